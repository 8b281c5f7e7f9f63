"""The lab's command line, the one parser for ``provmode lab`` and ``python -m provmode.lab``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from provmode.lab.machine import DNS_DOMAIN

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--hosts", type=click.IntRange(1), default=20, show_default=True, help="How many PCs.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same fleet.")
@click.option("--mix", metavar="PERSONA=SHARE,...", help="Which personas, instead of a plausible fleet.")
@click.option("--https", type=click.FloatRange(0, 1), default=0.0, help="Share of the PCs that listen on HTTPS.")
@click.option("--basic", is_flag=True, help="Offer Basic authentication as well.")
@click.option(
    "--client-certificates", is_flag=True, help="Let the PCs on HTTPS take the certificate of the lab's account."
)
@click.option(
    "--keytabs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take Kerberos tickets on the PCs with a NAME.keytab in this folder.",
)
@click.option("--dns-domain", metavar="NAME", default=DNS_DOMAIN, show_default=True, help="The domain of the PCs.")
@click.option("--truth", type=_FILE, help="Write the persona and verdict of every PC to this file.")
@click.option("--inventory", type=_FILE, help="Write a pyinfra inventory to this file.")
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Share the PCs out over so many processes: one does for some 3,000 requests a second.",
)
@click.option("--control", is_flag=True, help="Take requests on standard input, one line of JSON each: docs/lab.md.")
def lab(
    hosts: int,
    seed: int,
    mix: str | None,
    https: float,
    basic: bool,
    client_certificates: bool,
    keytabs: Path | None,
    dns_domain: str,
    truth: Path | None,
    inventory: Path | None,
    processes: int,
    control: bool,
) -> int:
    """Run a lab fleet of simulated PCs until interrupted; `inventories/lab.py` points pyinfra at it.

    With --control it also moves their clocks on, injects faults and reports what was changed on them.
    """
    # here and not above: the whole command line imports this file, and most of its commands run no lab
    from provmode.lab.server.processes import WorkerEnded
    from provmode.lab.server.run import LabOptions, parse_mix, serve

    for path in filter(None, (truth, inventory)):
        _check_folder(path)
    try:
        options = LabOptions(
            hosts=hosts,
            seed=seed,
            mix=parse_mix(mix) if mix is not None else None,
            https=https,
            basic=basic,
            client_certificates=client_certificates,
            keytabs=keytabs,
            dns_domain=dns_domain,
            truth=truth,
            inventory=inventory,
            processes=processes,
        )
        return asyncio.run(serve(options, control=control))
    except (ValueError, WorkerEnded) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"the lab could not be run: {file}{error.strerror or error}") from None


def _check_folder(path: Path) -> None:
    """Reject a file in a missing folder before the lab is built."""
    if not path.parent.is_dir():
        raise click.ClickException(f"cannot write {path}: there is no such folder")
