"""``provmode report``: a run as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provmode.atomic_file import check_output, write_output
from provmode.cli.common import InventoryName, configuration, file_path
from provmode.cli.remembering import history, inventory_name, is_kept
from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.results import COMPLIANT, EXIT_CODES

if TYPE_CHECKING:
    from provmode.report.page.data import PageData


@click.command(epilog=EXIT_CODES["report"].help)
@click.option("--output", type=file_path(), required=True, metavar="FILE.html", help="Write the page to this file.")
@click.option("--run", metavar="RUN", help="Of this run: its number, the beginning of its id, or last.")
@click.option(
    "--inventory",
    type=InventoryName(),
    metavar="INVENTORY",
    help="Of the last complete audit of this inventory; else of the configured one, else of any.",
)
@click.option(
    "--from",
    "source",
    type=file_path(),
    metavar="REPORT.json",
    help="Of the JSON report of an audit alone, without the history.",
)
def report(output: Path, run: str | None, inventory: str | None, source: Path | None) -> int:
    """Make a page of the last complete audit in the history: one HTML file to open, mail and print. Asks no PC."""
    from provmode.report.page.render import render

    if sum(each is not None for each in (run, inventory, source)) > 1:
        raise UsageError("--run, --inventory and --from each say which run is meant", next_step="give one of them")
    check_output(output)
    write_output(output, render(_page_of_file(source) if source is not None else _page_of_run(run, inventory)))
    return COMPLIANT


def _page_of_file(source: Path) -> PageData:
    from provmode.report.page.of_report import page_of_report, read_report

    return page_of_report(read_report(source), source, utc_now())


def _page_of_run(run: str | None, inventory: str | None) -> PageData:
    if not is_kept():
        raise UsageError(
            "there is nothing to make a page of: runs are not remembered",
            next_step="give --from REPORT.json, or write url under [history] in provmode.toml",
        )
    from provmode.history.reader import History
    from provmode.report.page.of_history import page_of_history, run_of_page

    inventory = inventory or configuration().options.get("inventory")
    with history() as database, database.reading() as connection:
        found = run_of_page(
            History(connection), run=run, inventory=inventory_name(inventory) if inventory is not None else None
        )
        return page_of_history(connection, found, utc_now(), str(database.name))
