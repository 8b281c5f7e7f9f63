"""``provmode apply``: make exactly the changes of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provmode.cli.common import (
    InventoryName,
    complain,
    configured,
    console_for,
    data_option,
    file_path,
    format_option,
    key_file_option,
    limits_by_name,
    limits_options,
    print_json,
    printing,
    refused_logons,
    retrying_of,
    retrying_options,
    run_options,
    running,
    say,
    say_if_no_name_resolves,
    usual_limits,
)
from provmode.cli.exports import check_figures, figures_option, write_figures
from provmode.cli.guard_options import yes_many_option
from provmode.cli.guarding import guards_of_plan
from provmode.cli.keys import approving, journal_key_options, keys_of_journal, plan_keys
from provmode.cli.plans_folder import next_plan
from provmode.cli.remembering import remember_journal
from provmode.cli.waiving import again_from, waivers_option
from provmode.cli.windows import Guarding, change_option, guard_options, same_change
from provmode.clock import utc_now
from provmode.fleet.results import COMPLIANT, EXIT_CODES, REFUSED

if TYPE_CHECKING:
    from provmode.fleet.apply import ApplyResult
    from provmode.fleet.begun import Coming, Settled
    from provmode.fleet.export import Export
    from provmode.fleet.inventory import InventorySource
    from provmode.fleet.plan_file import Plan


@click.command(epilog=EXIT_CODES["apply"].help)
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@click.option(
    "--inventory",
    type=InventoryName(),
    metavar="INVENTORY",
    help="Inventory to use instead of the one named in the plan.",
)
@data_option
@limits_options
@yes_many_option
@guard_options
@change_option
@click.option("--journal", type=file_path(), help="Journal file; else PLAN.journal.")
@click.option("--resume", is_flag=True, help="Resume the run of the journal.")
@figures_option
@waivers_option
@key_file_option
@click.option("--unsigned", is_flag=True, help="Accept unsigned plans.")
@journal_key_options
@format_option
@retrying_options
@run_options
def apply(
    plan_file: Path,
    inventory: str | None,
    data: tuple[str, ...],
    journal: Path | None,
    resume: bool,
    figures: Export | None,
    waivers: Path | None,
    key_file: Path | None,
    unsigned: bool,
    journal_key: Path | None,
    unsigned_journal: bool,
    output_format: str,
    retry_until: str | None,
    every: str | None,
    retry: bool,
    stop_file: Path | None,
    yes_many: int | None,
    change: str | None,
    **_: Any,
) -> int:
    """Make exactly the changes of PLAN. A host that changed since the plan is left as it is.

    PLAN may be a folder: then it is the newest plan there that is signed, approved, not expired and not finished. A run
    that a window stopped goes on.

    What is about to happen is said before the first host. --resume goes on under the limits that the run was begun
    with; those that you name count instead.
    """
    from provmode.connector.host_data import read_override
    from provmode.fleet.begun import settle
    from provmode.fleet.guards import RunRefused
    from provmode.fleet.inventory import inventory_of
    from provmode.fleet.plan_file import PlanRefused, load
    from provmode.report.prometheus import Changes

    if plan_file.is_dir():
        taken = next_plan(plan_file, key_file, journal, journal_key, resume=resume, unsigned_journal=unsigned_journal)
        if taken is None:
            return COMPLIANT
        plan_file, resume, unsigned = taken.path, taken.resume, False
    guarding = Guarding("apply")
    retrying = guarding.until_it_closes(retrying_of(retry_until, every))
    journal = journal or plan_file.with_name(plan_file.name + ".journal")
    check_figures(figures, plan=plan_file, journal=journal)
    try:
        key = plan_keys(key_file)
        plan = load(plan_file, key, unsigned=unsigned, now=utc_now(), approving=approving())
        keys = keys_of_journal(plan, key_file, journal_key, unsigned=unsigned_journal)
        settled = settle(limits_by_name(), journal, resume=resume, key=keys, new=usual_limits())
        number = same_change(change, plan.change)
        guarding.about(change=number, journal=journal, inventory=inventory or plan.inventory, plan=plan.id)
        with refused_logons(retry=retry):
            result = run_apply_of(
                plan,
                configured(inventory or inventory_of(plan, plan_file)),
                override=read_override(data),
                settled=settled,
                journal=journal,
                resume=resume,
                key=key,
                journal_key=keys,
                unsigned_journal=unsigned_journal,
                retrying=retrying,
                waivers=again_from(waivers),
                guards=[*guarding.guards, *guards_of_plan(plan, inventory or plan.inventory, stop_file, yes_many)],
                change=number,
            )
    except (PlanRefused, RunRefused) as error:
        complain(str(error))
        return REFUSED
    named = inventory or plan.inventory
    write_figures(figures, Changes(result, named, utc_now()))
    show_apply(result, output_format)
    return remember_journal(journal, keys, result.exit_code(), inventory=named)


def run_apply_of(
    plan: Plan, inventory: str | InventorySource, *, settled: Settled, said: bool = False, **options: Any
) -> ApplyResult:
    """Apply a plan, with progress, until interrupted; *options* are those of `apply_plan`.

    What is about to happen is said on standard error, before the first host, unless it was *said* already.
    """
    from provmode.fleet.apply import apply_plan
    from provmode.report.coming import print_coming

    def announce(coming: Coming) -> None:
        if not said:
            say(lambda console: print_coming(coming, settled.source, console))

    with running("applying", settled.limits.parallel) as common:
        result = apply_plan(plan, inventory, limits=settled.limits, announce=announce, **{**common, **options})
    if result.notice:
        complain(result.notice)
    return result


def show_apply(result: ApplyResult, output_format: str = "text") -> None:
    """Print how every host ended on standard output."""
    from provmode.report.changes import print_apply

    with printing(changes=True):
        if output_format == "json":
            print_json(result.to_json())
        else:
            print_apply(result, console_for(None))
    say_if_no_name_resolves(result)
