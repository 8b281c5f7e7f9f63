"""``provmode traces``: say what provmode left on each PC."""

from __future__ import annotations

import functools
import io
from pathlib import Path

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
    key_file_option,
    print_json,
    printing,
    refused_logons,
    run_options,
    running,
    say_if_no_name_resolves,
)
from provmode.cli.keys import journal_keys
from provmode.fleet.results import EXIT_CODES
from provmode.text import json_text

journals_option = click.option(
    "--journal",
    "journals",
    type=file_path(),
    multiple=True,
    help="Journal whose undo has the bytes of backups, which then can go; may be repeated.",
)


@click.command(epilog=EXIT_CODES["traces"].help)
@inventory_argument
@choice_options
@journals_option
@key_file_option
@format_option
@click.option("--output", type=file_path(), help="Write the report to this file.")
@data_option
@run_options
def traces(
    inventory: str,
    limit: tuple[str, ...],
    exclude: tuple[str, ...],
    journals: tuple[Path, ...],
    key_file: Path | None,
    output_format: str,
    output: Path | None,
    data: tuple[str, ...],
    retry: bool,
    parallel: int,
) -> int:
    """Say what provmode left on the hosts of an INVENTORY. Changes nothing; plan --remove-traces removes it."""
    from provmode.connector.host_data import read_override
    from provmode.fleet.traces import journaled_files, traces_inventory
    from provmode.report.traces import print_traces

    override = read_override(data)
    journaled = journaled_files(journals, journal_keys(key_file)) if journals else {}
    if output is not None:
        check_output(output)
    with refused_logons(retry=retry), running("looking for traces", parallel) as options:
        chosen = functools.partial(traces_inventory, configured(inventory), limit=limit, exclude=exclude)
        found = chosen(override=override, journaled=journaled, **options)
    for note in found.notes:
        complain(note)
    if output is not None:
        file = io.StringIO()
        print_traces(found, console_for(file))
        write_output(output, json_text(found.to_json(), 2) + "\n" if output_format == "json" else file.getvalue())
    else:
        with printing():
            if output_format == "json":
                print_json(found.to_json(), 2)
            else:
                print_traces(found, console_for(None))
    say_if_no_name_resolves(found)
    return found.exit_code()
