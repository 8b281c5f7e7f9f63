"""``provmode ...``: the command line. Every error of the caller's is one line and exit code 1."""

from __future__ import annotations

import json
import logging
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from provmode import __version__
from provmode.errors import ProvmodeError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from provmode.fleet.audit import Audit

EXIT_CODES = """\b
Exit codes:
  0  all compliant
  2  changes pending
  4  failed on some host
  6  changes pending and failed
  8  nothing pending, but some hosts not assessed
  1  provmode's own error or bad usage
  130  interrupted"""


def exit_with(run: Callable[[], Any]) -> NoReturn:
    """Run the command line and end the process; errors become one line on standard error and exit code 1."""
    try:
        code = run()
    except click.exceptions.Exit as done:
        code = done.exit_code
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
    sys.exit(code if isinstance(code, int) else 0)


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


_format = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Report as.",
)
_parallel = click.option(
    "--parallel", type=click.IntRange(1, 1000), default=64, show_default=True, help="Hosts worked on at a time."
)


@cli.command(epilog=EXIT_CODES)
@click.argument("inventory")
@click.option("--limit", multiple=True, metavar="NAME", help="Only this host, group or pattern; may be repeated.")
@_format
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the report there.")
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="Host data that overrides the inventory's.")
@_parallel
def audit(
    inventory: str,
    limit: tuple[str, ...],
    output_format: str,
    output: Path | None,
    data: tuple[str, ...],
    parallel: int,
) -> int:
    """Look at every host of a pyinfra INVENTORY and say who is stuck, and why. Changes nothing."""
    override = _override(data)
    found = _audit(inventory, limit=limit, override=override, parallel=parallel)
    _report(found, output_format, output)
    return found.exit_code()


@cli.command(epilog=EXIT_CODES)
@click.option("--hosts", type=click.IntRange(1), default=60, show_default=True, help="How many PCs.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same fleet.")
@_format
@click.option("--truth", type=click.Path(dir_okay=False, path_type=Path), help="Write which PC is what.")
@_parallel
def demo(hosts: int, seed: int, output_format: str, truth: Path | None, parallel: int) -> int:
    """Start a lab fleet of simulated PCs, audit it through pyinfra, and stop it again."""
    from provmode.lab.process import LabError, LabProcess

    with tempfile.TemporaryDirectory(prefix="provmode-demo-") as folder:
        inventory = Path(folder, "lab.py")
        try:
            with LabProcess(hosts, seed, truth=truth, inventory=inventory):
                found = _audit(str(inventory), parallel=parallel)
        except LabError as error:
            raise UsageError(f"the lab could not be run: {error}") from None
    _report(found, output_format, None)
    return found.exit_code()


@cli.command()
@click.option("--hosts", type=click.IntRange(1), default=20, show_default=True, help="How many PCs.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same fleet.")
@click.option("--mix", metavar="PERSONA=SHARE,...", help="Which personas, instead of a plausible fleet.")
@click.option("--https", type=click.FloatRange(0, 1), default=0.0, help="Share of the PCs that listen on HTTPS.")
@click.option("--basic", is_flag=True, help="Offer Basic authentication as well.")
@click.option("--truth", type=click.Path(dir_okay=False, path_type=Path), help="Write which PC is what.")
@click.option("--inventory", type=click.Path(dir_okay=False, path_type=Path), help="Write a pyinfra inventory.")
def lab(
    hosts: int, seed: int, mix: str | None, https: float, basic: bool, truth: Path | None, inventory: Path | None
) -> int:
    """Run a lab fleet of simulated PCs until interrupted; `inventories/lab.py` points pyinfra at it."""
    import asyncio

    from provmode.lab.server.run import LabOptions, parse_mix, serve

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
        return asyncio.run(serve(options))
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from None


# -- running an audit ---------------------------------------------------------------------------------------------


def _audit(
    inventory: str,
    *,
    limit: tuple[str, ...] = (),
    override: dict[str, Any] | None = None,
    parallel: int,
) -> Audit:
    from provmode.fleet.audit import run_audit
    from provmode.fleet.inventory import load

    fleet = load(inventory, override=override)
    names = fleet.select(limit)
    with _interruptible() as stopped, _progress(len(names)) as tell:
        return run_audit(fleet, names, progress=tell, stop=stopped, working=parallel)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question: the run ends by itself, with what is known so far."""
    import gevent

    caught: list[int] = []
    watchers = [gevent.signal_handler(number, caught.append, number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield lambda: bool(caught)
    finally:
        for watcher in watchers:
            watcher.cancel()


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Any], None]]:
    """Show how far the run is, on a terminal's standard error; elsewhere say nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("looking at hosts"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("audit", total=total)
        yield lambda report: bar.advance(task)


def _report(found: Audit, output_format: str, output: Path | None) -> None:
    from provmode.report.document import as_json

    if output is None:
        if output_format == "json":
            sys.stdout.write(as_json(found))
        else:
            _print(found, None)
        return
    try:
        with output.open("w", encoding="utf-8") as file:
            if output_format == "json":
                file.write(as_json(found))
            else:
                _print(found, file)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None


def _print(found: Audit, file: Any) -> None:
    from rich.console import Console

    from provmode.report.terminal import print_audit

    console: Console = Console(file=file, highlight=False, soft_wrap=False)
    print_audit(found, console)


def _override(data: tuple[str, ...]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` pairs; numbers, booleans and JSON are taken as such, as pyinfra does.

    Raises:
        UsageError: a pair without ``=``, or a key that is none of ours.
    """
    from provmode.inventory_data import KEYS, OTHER_KEYS, nearest_key

    override: dict[str, Any] = {}
    for pair in data:
        key, sign, value = pair.partition("=")
        if not sign:
            raise UsageError(f"--data {key} has no value", next_step="write --data KEY=VALUE")
        if key not in KEYS and key not in OTHER_KEYS:
            raise UsageError(f"--data {key}: there is no such key", next_step=nearest_key(key))
        try:
            override[key] = json.loads(value)
        except ValueError:
            override[key] = value
    return override
