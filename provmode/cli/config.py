"""``provmode config``: what holds, and where each value comes from."""

from __future__ import annotations

import os
from typing import Any

import click

from provmode.cli.common import (
    InventoryName,
    configuration,
    data_option,
    format_option,
    key_file_option,
    max_unassessed_option,
    parallel_option,
    print_json,
    printing,
    processes_option,
    wave_options,
)
from provmode.cli.exports import write_option
from provmode.cli.keys import journal_key_option
from provmode.cli.waiving import waivers_option
from provmode.cli.windows import guard_options
from provmode.fleet.results import COMPLIANT, EXIT_CODES


@click.command(epilog=EXIT_CODES["config"].help)
@click.argument("inventory", type=InventoryName(), required=False)
@max_unassessed_option
@wave_options
@waivers_option
@guard_options
@write_option
@data_option
@key_file_option
@journal_key_option
@processes_option
@parallel_option
@format_option
def config(output_format: str, data: tuple[str, ...], **_: Any) -> int:
    """Say what holds for a run, and where each value comes from: an option, the environment, a file, or the default.

    It takes the options of a run. No PC is asked, no inventory is run, and no secret is shown.
    """
    from provmode.connector.host_data import PASSWORD_ENVIRONMENT, USER_ENVIRONMENT, read_override
    from provmode.fleet.configured import document, holdings
    from provmode.fleet.guarding.stop_file import default_stop_file
    from provmode.fleet.plan_file import KEY_ENVIRONMENT
    from provmode.report.configuration import configuration_lines

    found, stop_file = configuration(), default_stop_file()
    rows = holdings(
        found,
        options=_given(),
        data=read_override(data),
        environment=os.environ,
        variables={
            "key_file": KEY_ENVIRONMENT,
            "winrm_user": USER_ENVIRONMENT,
            "winrm_password": PASSWORD_ENVIRONMENT,
        },
        defaults={"limits.stop_file": str(stop_file)} if stop_file is not None else {},
    )
    with printing():
        if output_format == "json":
            print_json(document(found, rows), 2)
        else:
            for line in configuration_lines(found, rows):
                print(line)
    return COMPLIANT


def _given() -> dict[str, Any]:
    """Return the options that were given on the command line, as the configuration file writes their values."""
    context = click.get_current_context()
    given = {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    return {name: _as_written(value) for name, value in given.items()}


def _as_written(value: Any) -> Any:
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return value if isinstance(value, (int, float)) else str(value)
