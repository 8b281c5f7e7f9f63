"""``provmode undo``: restore what a run changed, by its journal."""

from __future__ import annotations

from pathlib import Path

import click

from provmode.cli.common import (
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
from provmode.fleet.results import EXIT_CODES


@click.command(epilog=EXIT_CODES["undo"].help)
@click.argument("journal", type=file_path())
@click.option("--inventory", required=True, help="Inventory of the run.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only this host; may be repeated.")
@data_option
@key_file_option
@click.option("--unsigned", is_flag=True, help="Accept an unsigned journal.")
@format_option
@run_options
def undo(
    journal: Path,
    inventory: str,
    hosts: tuple[str, ...],
    data: tuple[str, ...],
    key_file: Path | None,
    unsigned: bool,
    output_format: str,
    retry: bool,
    parallel: int,
) -> int:
    """Restore files, start modes and the registry to the state before the run of JOURNAL. The mode is not restored."""
    from provmode.connector.host_data import read_override
    from provmode.fleet.plan_file import key_from
    from provmode.fleet.undo import undo_run
    from provmode.report.changes import print_undo

    key, override = key_from(key_file), read_override(data)
    with refused_logons(retry=retry), running("undoing", parallel) as options:
        result = undo_run(journal, inventory, hosts=hosts, override=override, key=key, unsigned=unsigned, **options)
    if result.notice:
        complain(result.notice)
    with printing(changes=True):
        if output_format == "json":
            print_json(result.to_json())
        else:
            print_undo(result, console_for(None))
    return result.exit_code()
