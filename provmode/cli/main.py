"""``provmode ...``: the command line. Every error of the caller's is one line and exit code 1."""

from __future__ import annotations

import io
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from provmode import __version__
from provmode.atomic_file import check_output
from provmode.cli.audit import run_audit_of, show_audit
from provmode.cli.changes import COMMANDS
from provmode.cli.common import EXIT_CODES, parallel_option, read_override
from provmode.errors import ProvmodeError, UsageError


def exit_with(run: Callable[[], Any]) -> NoReturn:
    """Run the command line and end the process; errors become one line on standard error and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot write ends no run
    try:
        code = run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        code = 1
    except click.ClickException as error:
        _complain(error.format_message())
        code = 1
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except ProvmodeError as error:
        _complain(str(error))
        code = 1
    except BrokenPipeError:
        code = 1  # whoever read our output went away
        _give_up_output()
    except OSError as error:
        _complain(f"the output cannot be written: {error.strerror or error}")
        code = 1
        _give_up_output()
    sys.exit(code if isinstance(code, int) else 0)


def _give_up_output() -> None:
    """Keep Python from trying once more, and complaining, at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _complain(message: str) -> None:
    print(f"provmode: {' '.join(message.split())}", file=sys.stderr)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=EXIT_CODES)
@click.version_option(__version__, prog_name="provmode")
@click.option("--debug", is_flag=True, help="Log what happens on the wire side (never a secret) to standard error.")
def cli(debug: bool) -> None:
    """Find ConfigMgr clients stuck in provisioning mode, over WinRM."""
    # only our own log: pyspnego's shows whole NTLM tokens, from which a weak password can be guessed
    logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr, format="%(name)s: %(message)s")
    logging.getLogger("provmode").setLevel(logging.DEBUG if debug else logging.CRITICAL)
    logging.getLogger("pyinfra").setLevel(logging.CRITICAL)


for _command in COMMANDS:
    cli.add_command(_command)

_format = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Report as.",
)


@cli.command(epilog=EXIT_CODES)
@click.argument("inventory")
@click.option("--limit", multiple=True, metavar="NAME", help="Only this host, group or pattern; may be repeated.")
@_format
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the report there.")
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="Host data that overrides the inventory's.")
@parallel_option
def audit(
    inventory: str,
    limit: tuple[str, ...],
    output_format: str,
    output: Path | None,
    data: tuple[str, ...],
    parallel: int,
) -> int:
    """Look at every host of a pyinfra INVENTORY and say who is stuck, and why. Changes nothing."""
    override = read_override(data)
    if output is not None:
        check_output(output)
    found = run_audit_of(inventory, limit=limit, override=override, parallel=parallel)
    show_audit(found, output_format, output)
    return found.exit_code()


@cli.command(epilog=EXIT_CODES)
@click.option("--hosts", type=click.IntRange(1), default=60, show_default=True, help="How many PCs.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same fleet.")
@_format
@click.option("--truth", type=click.Path(dir_okay=False, path_type=Path), help="Write which PC is what.")
@click.option("--fix", is_flag=True, help="Then plan, apply in two waves, audit again, and apply again.")
@parallel_option
def demo(hosts: int, seed: int, output_format: str, truth: Path | None, fix: bool, parallel: int) -> int:
    """Start a lab fleet of simulated PCs, audit it through pyinfra, and stop it again."""
    from provmode.cli.demo import fix_fleet
    from provmode.lab.process import LabError, LabProcess

    if truth is not None:
        check_output(truth)
    with tempfile.TemporaryDirectory(prefix="provmode-demo-") as folder:
        inventory = Path(folder, "lab.py")
        try:
            with LabProcess(hosts, seed, truth=truth, inventory=inventory):
                if fix:
                    return fix_fleet(str(inventory), Path(folder), output_format, parallel=parallel)
                found = run_audit_of(str(inventory), parallel=parallel)
        except LabError as error:
            raise UsageError(f"the lab could not be run: {error}") from None
    show_audit(found, output_format)
    return found.exit_code()


@cli.command()
@click.option("--hosts", type=click.IntRange(1), default=20, show_default=True, help="How many PCs.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same fleet.")
@click.option("--mix", metavar="PERSONA=SHARE,...", help="Which personas, instead of a plausible fleet.")
@click.option("--https", type=click.FloatRange(0, 1), default=0.0, help="Share of the PCs that listen on HTTPS.")
@click.option("--basic", is_flag=True, help="Offer Basic authentication as well.")
@click.option("--truth", type=click.Path(dir_okay=False, path_type=Path), help="Write which PC is what.")
@click.option("--inventory", type=click.Path(dir_okay=False, path_type=Path), help="Write a pyinfra inventory.")
@click.option("--control", is_flag=True, help="Take requests on standard input, a line of JSON each: docs/lab.md.")
def lab(
    hosts: int,
    seed: int,
    mix: str | None,
    https: float,
    basic: bool,
    truth: Path | None,
    inventory: Path | None,
    control: bool,
) -> int:
    """Run a lab fleet of simulated PCs until interrupted; `inventories/lab.py` points pyinfra at it.

    With --control it also moves their clocks, lets things go wrong and tells what was done to them.
    """
    import asyncio

    from provmode.lab.server.run import LabOptions, parse_mix, serve

    for path in filter(None, (truth, inventory)):
        check_output(path)
    try:
        options = LabOptions(
            hosts=hosts,
            seed=seed,
            mix=parse_mix(mix) if mix is not None else None,
            https=https,
            basic=basic,
            truth=truth,
            inventory=inventory,
        )
        return asyncio.run(serve(options, control=control))
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise UsageError(f"the lab could not be run: {where}{error.strerror or error}") from None
