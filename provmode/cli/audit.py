"""``provmode audit``: look at every host and say who is stuck, and why."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provmode.atomic_file import check_output, write_output
from provmode.cli.common import (
    choice_options,
    complain,
    configured,
    console_for,
    data_option,
    file_path,
    format_option,
    inventory_argument,
    looking,
    max_unassessed_option,
    print_parts,
    printing,
    processes_option,
    refused_logons,
    retrying_of,
    retrying_options,
    run_options,
    say_if_no_name_resolves,
)
from provmode.cli.drift import notify_option, notifying, tell_after_a_run
from provmode.cli.exports import export_options, write_exports
from provmode.cli.one_at_a_time import alone
from provmode.cli.remembering import LooksOfRun, is_kept, new_run, remember_audit
from provmode.cli.unassessed import only_option, wanted
from provmode.cli.waiving import say_waivers, waivers_of, waivers_option
from provmode.cli.windows import change_option, while_open, window_options, windows_of_run
from provmode.errors import UsageError
from provmode.fleet.results import BAD_USAGE, EXIT_CODES
from provmode.waivers.model import NONE, Waivers

if TYPE_CHECKING:
    from provmode.fleet.allowance import Allowance
    from provmode.fleet.audit import Audit
    from provmode.fleet.inventory import InventorySource
    from provmode.fleet.looking import HostReport
    from provmode.fleet.retrying import Retrying
    from provmode.fleet.windows import Windows
    from provmode.report.exports import Exports


@click.command(epilog=EXIT_CODES["audit"].help)
@inventory_argument
@choice_options
@window_options
@change_option
@only_option
@max_unassessed_option
@waivers_option
@format_option
@click.option("--output", type=file_path(), help="Write the report to this file.")
@notify_option
@export_options
@data_option
@processes_option
@retrying_options
@run_options
def audit(
    inventory: str,
    limit: tuple[str, ...],
    exclude: tuple[str, ...],
    only: str | None,
    max_unassessed: Allowance | None,
    waivers: Path | None,
    output_format: str,
    output: Path | None,
    notify: bool,
    exports: Exports,
    data: tuple[str, ...],
    processes: int | None,
    retry_until: str | None,
    every: str | None,
    retry: bool,
    parallel: int,
    change: str | None,
    **_: Any,
) -> int:
    """Look at every host of an INVENTORY and say who is stuck, and why. Changes nothing."""
    from provmode.connector.host_data import read_override

    windows = windows_of_run(looks=True)
    if windows is not None:
        windows.check()
    retrying = retrying_of(retry_until, every)
    override = read_override(data)
    command = notifying() if notify else None
    known = waivers_of(waivers)
    if output is not None:
        check_output(output)
    alone("audit", inventory, limit, exclude)
    chosen = wanted(inventory, retry=retry) if only is not None else None  # which hosts: when nobody else asks them
    looks = LooksOfRun() if is_kept() else None
    with refused_logons(retry=retry):
        found = run_audit_of(
            configured(inventory),
            limit=limit,
            exclude=exclude,
            only=chosen,
            override=override,
            parallel=parallel,
            processes=processes,
            retrying=retrying,
            waivers=known,
            windows=windows,
            each=looks.take if looks is not None else None,
        )
    found.only, found.change = only or "", change or ""
    found.max_unassessed, found.run = max_unassessed, new_run()
    written = write_exports(exports, found)
    try:
        show_audit(found, output_format, output)
    except UsageError as error:  # a full disk: the history still takes the run
        complain(str(error))
        written = False
    say_what_was_not_learned(found)
    if chosen is not None:
        chosen.say()
    code = remember_audit(found, found.exit_code() if written else BAD_USAGE, looks=looks)
    return tell_after_a_run(command, found, code) if command is not None else code


def run_audit_of(
    inventory: str | InventorySource,
    *,
    limit: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    only: Callable[[str], bool] | None = None,
    override: dict[str, Any] | None = None,
    parallel: int,
    processes: int | None = None,
    retrying: Retrying | None = None,
    waivers: Waivers = NONE,
    now: Callable[[], datetime] | None = None,
    windows: Windows | None = None,
    each: Callable[[HostReport], None] | None = None,
) -> Audit:
    """Audit the hosts of an inventory, with progress, until interrupted; *now* is another clock than the usual one.

    *each* gets every report as it comes.

    No further host is looked at once *windows* are closed.
    """
    from provmode.fleet.audit import audit_inventory

    with looking("looking at hosts", parallel, processes, each) as options:
        if now is not None:
            options["now"] = now
        options |= {"retrying": retrying, "waivers": waivers, "stop": while_open(options["stop"], windows, complain)}
        return audit_inventory(inventory, limit=limit, exclude=exclude, only=only, override=override, **options)


def show_audit(found: Audit, output_format: str = "text", output: Path | None = None) -> None:
    """Print an audit on standard output, or write it to a file."""
    from provmode.report.document import written
    from provmode.report.terminal import print_audit

    if output is not None:
        write_output(output, written(found) if output_format == "json" else _as_text(found))
        return
    with printing():
        if output_format == "json":
            print_parts(written(found))
        else:
            print_audit(found, console_for(None))


def say_what_was_not_learned(found: Audit) -> None:
    """Say on standard error what the inventory left out, and why a run counts as failed although no host failed."""
    for note in found.notes:
        complain(note)
    say_if_no_name_resolves(found)
    if found.too_many_unassessed:
        complain(found.too_many_unassessed)
    say_waivers(found)


def _as_text(found: Audit) -> str:
    from provmode.report.terminal import print_audit

    file = io.StringIO()
    print_audit(found, console_for(file))
    return file.getvalue()
