"""``provmode package fleet``: which packages the PCs of a fleet have, and what is wrong with them."""

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
    print_parts,
    printing,
    refused_logons,
    run_options,
    running,
    say_if_no_name_resolves,
)
from provmode.fleet.results import PACKAGE_FLEET


@click.command("fleet", epilog=PACKAGE_FLEET.help)
@inventory_argument
@choice_options
@click.option(
    "--known",
    type=file_path(),
    multiple=True,
    metavar="FILE",
    help="Package on this computer, which then is not read on a PC; may be repeated.",
)
@click.option("--winners", is_flag=True, help="Ask also whose values hold for the policies that packages set.")
@format_option
@click.option("--output", type=file_path(), help="Write the report to this file.")
@data_option
@run_options
def package_fleet(
    inventory: str,
    limit: tuple[str, ...],
    exclude: tuple[str, ...],
    known: tuple[Path, ...],
    winners: bool,
    output_format: str,
    output: Path | None,
    data: tuple[str, ...],
    retry: bool,
    parallel: int,
) -> int:
    """Say which packages the hosts of an INVENTORY have, and what is wrong with them. Changes nothing."""
    from provmode.connector.host_data import read_override
    from provmode.fleet.packages.run import packages_inventory
    from provmode.report.packages.fleet import print_packages
    from provmode.report.packages.fleet_document import written

    override = read_override(data)
    if output is not None:
        check_output(output)
    with refused_logons(retry=retry), running("looking at packages", parallel) as options:
        chosen = functools.partial(packages_inventory, configured(inventory), limit=limit, exclude=exclude)
        found = chosen(override=override, known=known, winners=winners, **options)
    for note in found.notes:
        complain(note)
    if output is not None:
        file = io.StringIO()
        print_packages(found, console_for(file))
        write_output(output, written(found) if output_format == "json" else file.getvalue())
    else:
        with printing():
            if output_format == "json":
                print_parts(written(found))
            else:
                print_packages(found, console_for(None))
    say_if_no_name_resolves(found)
    return found.exit_code()
