"""``provmode inventory``: look at an inventory, and ask no PC."""

from __future__ import annotations

import click

from provmode.cli.common import (
    choice_options,
    complain,
    configured,
    console_for,
    data_option,
    format_option,
    inventory_argument,
    print_json,
    printing,
)
from provmode.fleet.results import COMPLIANT, EXIT_CODES


@click.group(epilog=EXIT_CODES["inventory"].help)
def inventory() -> None:
    """Look at an inventory without asking a PC."""


@inventory.command(epilog=EXIT_CODES["inventory"].help)
@inventory_argument
@choice_options
@data_option
@click.option("--json", "as_json", is_flag=True, help="As --format json.")
@format_option
def show(
    inventory: str,
    limit: tuple[str, ...],
    exclude: tuple[str, ...],
    data: tuple[str, ...],
    as_json: bool,
    output_format: str,
) -> int:
    """Say which hosts of INVENTORY a run would ask, where and as whom, and what it would leave out and why.

    Nothing is sent, and no password is looked up.
    """
    from provmode.connector.host_data import read_override
    from provmode.fleet.asked import would_ask
    from provmode.report.inventory import inventory_lines
    from provmode.report.lines import is_wide

    asked = would_ask(configured(inventory), limit=limit, exclude=exclude, override=read_override(data))
    with printing():
        if as_json or output_format == "json":
            print_json(asked.to_json(), 2)
        else:
            for line in inventory_lines(asked, wide=is_wide(console_for(None))):
                print(line)
    for note in asked.notes:
        complain(note)
    return COMPLIANT
