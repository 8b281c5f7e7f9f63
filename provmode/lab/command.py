"""The lab's command line, the one parser for ``provmode lab`` and ``python -m provmode.lab``."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from provmode.lab.machine import DNS_DOMAIN, NETBIOS_DOMAIN

_FILE = click.Path(dir_okay=False, path_type=Path)
_USER = "provmode"
_DOMAIN = re.compile(r"(?!.{65})[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--hosts", type=click.IntRange(1), default=20, show_default=True, help="How many PCs.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same fleet.")
@click.option("--mix", metavar="PERSONA=SHARE,...", help="Which personas, instead of a plausible fleet.")
@click.option(
    "--packages",
    metavar="KIND=SHARE,...",
    help="Which provisioning packages are on the PCs, instead of a plausible fleet: docs/lab.md.",
)
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
@click.option(
    "--own-addresses", is_flag=True, help="Give each PC an address of its own, 127.1.0.1 and so on, with port 5985."
)
@click.option(
    "--domain",
    is_flag=True,
    help="Put the PCs into a domain of their own, with a ticket, and open a shell there; or run COMMAND there, and "
    "return its exit code.",
)
@click.option("--control", is_flag=True, help="Take requests on standard input, one line of JSON each: docs/lab.md.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def lab(
    hosts: int,
    seed: int,
    mix: str | None,
    packages: str | None,
    https: float,
    basic: bool,
    client_certificates: bool,
    keytabs: Path | None,
    dns_domain: str,
    truth: Path | None,
    inventory: Path | None,
    processes: int,
    own_addresses: bool,
    domain: bool,
    control: bool,
    command: tuple[str, ...],
) -> int:
    """Run a lab fleet of simulated PCs until interrupted; `inventories/lab.py` points pyinfra at it.

    With --control it also moves their clocks on, injects faults and reports what was changed on them. With --domain
    they are computers of a domain, in which you get a shell.
    """
    # here and not above: the whole command line imports this file, and most of its commands run no lab
    from provmode.lab.server.processes import WorkerEnded
    from provmode.lab.server.run import LabOptions, parse_mix, serve

    for path in filter(None, (truth, inventory)):
        _check_folder(path)
    if command and not domain:
        raise click.ClickException(f"only --domain runs a command: leave out {command[0]}, or write --domain before it")
    if domain:
        if control or keytabs is not None:
            raise click.ClickException(f"--domain cannot be combined with {'--control' if control else '--keytabs'}")
        fleet = {
            "hosts": hosts,
            "seed": seed,
            "mix": _mix(mix),
            "packages": _packages(packages),
            "https": https,
            "basic": basic,
            "client_certificates": client_certificates,
            "dns_domain": dns_domain,
            "inventory": str(inventory) if inventory is not None else None,
            "processes": processes,
        }
        return _run_domain(fleet, command, truth)
    try:
        options = LabOptions(
            hosts=hosts,
            seed=seed,
            mix=parse_mix(mix) if mix is not None else None,
            packages=parse_mix(packages) if packages is not None else None,
            https=https,
            basic=basic,
            client_certificates=client_certificates,
            keytabs=keytabs,
            dns_domain=dns_domain,
            own_addresses=own_addresses,
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


def _run_domain(fleet: Mapping[str, Any], command: Sequence[str], truth: Path | None) -> int:
    """Run a domain with a fleet, and a shell or *command* in it."""
    from provmode.lab.domain.controller import Setup
    from provmode.lab.domain.enter import DomainFailed, Job, run
    from provmode.lab.domain.requirements import DomainImpossible, find_way_in

    dns_domain = fleet["dns_domain"].lower()
    if not _DOMAIN.fullmatch(dns_domain):
        raise click.ClickException(f"{fleet['dns_domain']} is no name of a domain with a dot, such as {DNS_DOMAIN}")
    if command and shutil.which(command[0]) is None:
        raise click.ClickException(f"there is no program {command[0]} to run in the domain")
    try:
        way_in = find_way_in()
    except DomainImpossible as error:
        raise click.ClickException(str(error)) from None
    if not command:
        print(f"starting the domain {dns_domain} with {fleet['hosts']} PCs ...", file=sys.stderr)
    job = Job(
        setup=Setup(dns_domain, NETBIOS_DOMAIN, administrator_password=_password()),
        user=_USER,
        password=_password(),
        command=command or [os.environ.get("SHELL") or "/bin/sh"],
        shell=not command,
        fleet={**fleet, "dns_domain": dns_domain},
        truth=str(truth) if truth is not None else "",
    )
    try:
        code = run(way_in, job)
    except DomainFailed as error:
        raise click.ClickException(f"the domain could not be run: {error}") from None
    return code if command else 0


def _password() -> str:
    """Return a password that a domain takes: of three kinds of characters at least."""
    return f"Pw1-{secrets.token_urlsafe(18)}"


def _mix(text: str | None) -> dict[str, float]:
    """Return the shares of the personas in a domain.

    Raises:
        ClickException: the mix cannot be read.
    """
    from provmode.lab.domain.fleet import default_mix
    from provmode.lab.fleet import compose
    from provmode.lab.server.run import parse_mix

    try:
        mix = parse_mix(text) if text is not None else default_mix()
        compose(1, 1, mix)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    return mix


def _packages(text: str | None) -> dict[str, float] | None:
    """Return the shares of the kinds of PC by their packages in a domain.

    Raises:
        ClickException: they cannot be read.
    """
    from provmode.lab.fleet import compose
    from provmode.lab.server.run import parse_mix

    try:
        shares = parse_mix(text) if text is not None else None
        compose(1, 1, packages=shares)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    return shares
