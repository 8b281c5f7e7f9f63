"""``provmode show``: a plan or a journal as text, with every name, for a ticket or a board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provmode.cli.common import complain, console_for, file_path, key_file_option, printing
from provmode.cli.keys import approving, journal_keys, plan_keys, unless_secret
from provmode.errors import UsageError
from provmode.fleet.results import COMPLIANT, EXIT_CODES, REFUSED

if TYPE_CHECKING:
    from provmode.fleet.plan_file import Plan
    from provmode.signing.keys import Keys


@click.command(epilog=EXIT_CODES["show"].help)
@click.argument("file", metavar="PLAN|JOURNAL", type=file_path())
@key_file_option
def show(file: Path, key_file: Path | None) -> int:
    """Print a plan, or the whole change that a journal records, as text with every name and nothing cut.

    With the key of who signed it the signature is checked; without it the text says that it was not.
    """
    from provmode.fleet.plan_file import PlanRefused

    key_file = unless_secret(key_file)  # whoever only reads needs none
    try:
        if _is_journal(file):
            _show_journal(file, journal_keys(key_file))
        else:
            _show_plan(file, plan_keys(key_file))
    except PlanRefused as error:
        complain(str(error))
        return REFUSED
    return COMPLIANT


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


def _show_journal(file: Path, keys: Keys | None) -> None:
    from provmode.fleet.history import history_of
    from provmode.report.history import print_history

    history = history_of(file, keys)
    with printing():
        print_history(history, console_for(None, wide=True))


def _show_plan(file: Path, keys: Keys | None) -> None:
    from provmode.fleet.plan_file import read

    print_whole_plan(file, read(file, keys), checked=keys is not None)


def print_whole_plan(file: Path, plan: Plan, *, checked: bool) -> None:
    """Print a plan with every name, and who made and approved it.

    Raises:
        PlanRefused: it is not a whole plan, or an approval in it was changed.
    """
    from provmode.clock import utc_now
    from provmode.fleet.approvals import is_by_approver
    from provmode.report.changes import print_plan_file

    who = approving()
    by_approver = {each: is_by_approver(file, plan.document, each, who) for each in plan.approvals}
    with printing():
        print_plan_file(
            *(plan, console_for(None, wide=True)), checked=checked, now=utc_now(), approved=by_approver.__getitem__
        )
