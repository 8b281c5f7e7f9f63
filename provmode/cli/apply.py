"""``provmode apply``: make exactly the changes of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provmode.cli.common import (
    Finite,
    complain,
    console_for,
    data_option,
    file_path,
    format_option,
    key_file_option,
    print_json,
    printing,
    refused_logons,
    run_options,
    running,
)
from provmode.clock import utc_now
from provmode.fleet.results import EXIT_CODES, REFUSED

if TYPE_CHECKING:
    from provmode.fleet.apply import ApplyResult
    from provmode.fleet.plan_file import Plan


@click.command(epilog=EXIT_CODES["apply"].help)
@click.argument("plan_file", metavar="PLAN", type=file_path())
@click.option("--inventory", help="Inventory to use instead of the one named in the plan.")
@data_option
@click.option("--wave", metavar="10,100,25%", help="Hosts in each wave; a last wave takes the rest.")
@click.option("--soak", type=Finite(0, 604800), default=0.0, show_default=True, help="Seconds between waves.")
@click.option("--max-failures", metavar="5,2%", help="End the run if more than this many of the reached hosts fail.")
@click.option("--journal", type=file_path(), help="Journal file; else PLAN.journal.")
@click.option("--resume", is_flag=True, help="Resume the run of the journal.")
@key_file_option
@click.option("--unsigned", is_flag=True, help="Accept unsigned plans.")
@format_option
@run_options
def apply(
    plan_file: Path,
    inventory: str | None,
    data: tuple[str, ...],
    wave: str | None,
    soak: float,
    max_failures: str | None,
    journal: Path | None,
    resume: bool,
    key_file: Path | None,
    unsigned: bool,
    output_format: str,
    retry: bool,
    parallel: int,
) -> int:
    """Make exactly the changes of PLAN. A host that changed since the plan is left as it is."""
    from provmode.connector.host_data import read_override
    from provmode.fleet.inventory import planned_inventory
    from provmode.fleet.plan_file import PlanRefused, key_from, load
    from provmode.fleet.waves import Limits

    try:
        key = key_from(key_file)
        plan = load(plan_file, key, unsigned=unsigned, now=utc_now())
        with refused_logons(retry=retry):
            result = run_apply_of(
                plan,
                inventory or planned_inventory(plan.inventory, plan_file),
                override=read_override(data),
                limits=Limits(wave, soak, max_failures),
                journal=journal or plan_file.with_name(plan_file.name + ".journal"),
                resume=resume,
                parallel=parallel,
                key=key,
            )
    except PlanRefused as error:
        complain(str(error))
        return REFUSED
    show_apply(result, output_format)
    return result.exit_code()


def run_apply_of(plan: Plan, inventory: str, *, parallel: int, **options: Any) -> ApplyResult:
    """Apply a plan, with progress, until interrupted; *options* are those of `apply_plan`."""
    from provmode.fleet.apply import apply_plan

    with running("applying", parallel) as common:
        result = apply_plan(plan, inventory, **common, **options)
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
