"""``provmode plan``: say what would be changed on which host, and why."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provmode.atomic_file import check_output
from provmode.cli.audit import say_what_was_not_learned
from provmode.cli.common import (
    Finite,
    choice_options,
    complain,
    configured,
    console_for,
    data_option,
    file_path,
    format_option,
    inventory_argument,
    key_file_option,
    looking,
    made_by,
    max_unassessed_option,
    print_json,
    printing,
    processes_option,
    refused_logons,
    run_options,
)
from provmode.cli.exports import export_options, write_exports
from provmode.cli.keys import journal_keys, signing_keys
from provmode.cli.one_at_a_time import alone
from provmode.cli.remembering import LooksOfRun, is_kept, remember_plan
from provmode.cli.traces import journals_option
from provmode.cli.waiving import waivers_of, waivers_option
from provmode.cli.windows import change_option, while_open, window_options, windows_of_run
from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.results import BAD_USAGE, EXIT_CODES
from provmode.waivers.model import NONE, Waivers

if TYPE_CHECKING:
    from provmode.fleet.allowance import Allowance
    from provmode.fleet.inventory import InventorySource
    from provmode.fleet.looking import HostReport
    from provmode.fleet.plan import Planned
    from provmode.fleet.windows import Windows
    from provmode.report.exports import Exports
    from provmode.signing.keys import Given


@click.command(epilog=EXIT_CODES["plan"].help)
@inventory_argument
@click.option("--output", type=file_path(), help="Write the plan to this file.")
@export_options
@choice_options
@window_options
@change_option
@max_unassessed_option
@waivers_option
@data_option
@click.option(
    "--valid",
    type=Finite(0, 8784, min_open=True),
    default=24.0,
    show_default=True,
    help="Hours until the plan expires.",
)
@click.option("--remove-traces", is_flag=True, help="Plan only to remove what provmode itself left on the hosts.")
@click.option("--packages", is_flag=True, help="Plan only to bring provisioning packages to what the inventory names.")
@journals_option
@key_file_option
@click.option("--unsigned", is_flag=True, help="Write the plan without a signature.")
@format_option
@processes_option
@run_options
def plan(
    inventory: str,
    output: Path | None,
    exports: Exports,
    limit: tuple[str, ...],
    exclude: tuple[str, ...],
    max_unassessed: Allowance | None,
    waivers: Path | None,
    data: tuple[str, ...],
    valid: float,
    remove_traces: bool,
    packages: bool,
    journals: tuple[Path, ...],
    key_file: Path | None,
    unsigned: bool,
    output_format: str,
    processes: int | None,
    retry: bool,
    parallel: int,
    change: str | None,
    **_: Any,
) -> int:
    """Say what would be changed on which host of an INVENTORY, and why. Changes nothing."""
    from provmode.connector.host_data import read_override
    from provmode.fleet.plan_file import sign, write

    windows = windows_of_run(looks=True)
    if windows is not None:
        windows.check()
    key = None if unsigned else signing_keys(key_file)
    if output is not None and key is None and not unsigned:
        raise UsageError("there is no key to sign the plan with", next_step="give --key-file or --unsigned")
    if output is not None:
        check_output(output)
    if journals and not remove_traces:
        raise UsageError("--journal says which backups can go", next_step="give --remove-traces too")
    if packages and remove_traces:
        raise UsageError("a plan is about packages or about traces", next_step="make two plans")
    override, known = read_override(data), waivers_of(waivers)
    planner = planner_of_traces(journals, journal_keys(key_file, of_plan=True)) if remove_traces else None
    if packages:
        from provmode.fleet.packages.planning import plan_packages_of as planner
    alone("plan", inventory, limit, exclude)
    looks = LooksOfRun() if is_kept() else None
    with refused_logons(retry=retry):
        planned = run_plan_of(
            configured(inventory),
            limit=limit,
            exclude=exclude,
            override=override,
            parallel=parallel,
            processes=processes,
            planner=planner,
            waivers=known,
            windows=windows,
            each=looks.take if looks is not None else None,
        )
    planned.audit.change = change or ""
    planned.audit.max_unassessed = max_unassessed
    plan_id = planned.audit.run = str(uuid.uuid4())
    written = write_exports(exports, planned.audit)
    document = sign(
        planned.document(
            plan_id=plan_id,
            inventory=inventory,
            limit=limit,
            exclude=exclude,
            by=made_by(),
            now=utc_now(),
            valid=timedelta(hours=valid),
            change=change or "",
        ),
        key,
    )
    if output is not None and not planned.audit.interrupted:
        try:
            write(output, document)
        except UsageError as error:  # a full disk: the plan is still shown, and the history takes the looks
            complain(str(error))
            written = False
    if output_format == "json":
        with printing():
            print_json(document)
    else:
        show_plan(planned)
    if output is not None and planned.audit.interrupted:
        complain(f"interrupted; the plan {output} was not written")
    say_what_was_not_learned(planned.audit)
    return remember_plan(planned, plan_id, planned.exit_code() if written else BAD_USAGE, looks=looks)


def planner_of_traces(journals: tuple[Path, ...], key: Given) -> Callable[..., Planned]:
    """Return the function that plans the removal of what provmode left; *journals* have the bytes of backups."""
    from provmode.fleet.traces import journaled_files, plan_traces

    return functools.partial(plan_traces, journaled=journaled_files(journals, key))


def run_plan_of(
    inventory: str | InventorySource,
    *,
    limit: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    override: dict[str, Any] | None = None,
    parallel: int,
    processes: int | None = None,
    planner: Callable[..., Planned] | None = None,
    waivers: Waivers = NONE,
    windows: Windows | None = None,
    each: Callable[[HostReport], None] | None = None,
) -> Planned:
    """Plan for the hosts of an inventory, with progress, until interrupted; *planner* instead of `plan_inventory`.

    No further host is looked at once *windows* are closed. *each* gets every report as it comes.
    """
    from provmode.fleet.plan import plan_inventory

    with looking("planning", parallel, processes, each) as options:
        make = planner or plan_inventory
        options["stop"] = while_open(options["stop"], windows, complain)
        return make(inventory, limit=limit, exclude=exclude, override=override, waivers=waivers, **options)


def show_plan(planned: Planned) -> None:
    """Print a plan on standard output."""
    from provmode.report.changes import print_plan

    with printing():
        print_plan(planned, console_for(None))
