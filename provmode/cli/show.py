"""``provmode show``: a plan or a journal as text, with every name, for a ticket or a board."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from provmode.cli.common import complain, console_for, file_path, key_file_option, printing
from provmode.errors import UsageError
from provmode.fleet.results import COMPLIANT, EXIT_CODES, REFUSED


@click.command(epilog=EXIT_CODES["show"].help)
@click.argument("file", metavar="PLAN|JOURNAL", type=file_path())
@key_file_option
def show(file: Path, key_file: Path | None) -> int:
    """Print a plan, or the whole change that a journal records, as text with every name and nothing cut.

    With the plan's key the signature is checked; without it the text says that it was not.
    """
    from provmode.fleet.plan_file import PlanRefused, key_from

    if key_file is not None and _is_configured("key_file") and not os.access(key_file, os.R_OK):
        key_file = None  # not this user's key: whoever only reads needs none
    key = key_from(key_file)
    try:
        if _is_journal(file):
            _show_journal(file, key)
        else:
            _show_plan(file, key)
    except PlanRefused as error:
        complain(str(error))
        return REFUSED
    return COMPLIANT


def _is_configured(name: str) -> bool:
    """Return whether an option has its value from the configuration file."""
    return click.get_current_context().get_parameter_source(name) is click.core.ParameterSource.DEFAULT_MAP


def _is_journal(file: Path) -> bool:
    """Return whether the file begins like a journal: an object on a line of its own, with an event."""
    try:
        with file.open("rb") as opened:
            first = opened.readline()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    try:
        document = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "event" in document


def _show_journal(file: Path, key: bytes | None) -> None:
    from provmode.fleet.history import history_of
    from provmode.report.history import print_history

    history = history_of(file, key)
    with printing():
        print_history(history, console_for(None, wide=True))


def _show_plan(file: Path, key: bytes | None) -> None:
    from provmode.clock import utc_now
    from provmode.fleet.plan_file import read
    from provmode.report.changes import print_plan_file

    plan = read(file, key)
    with printing():
        print_plan_file(plan, console_for(None, wide=True), checked=key is not None, now=utc_now())
