"""``provmode drift``: what changed between two runs. No PC is asked."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from provmode.cli.common import (
    InventoryName,
    complain,
    configuration,
    console_for,
    format_option,
    print_json,
    printing,
)
from provmode.cli.remembering import NO_HISTORY, failed, inventory_name, is_kept, reading_history
from provmode.errors import ProvmodeError, UsageError
from provmode.fleet.configuration import WORSE
from provmode.fleet.results import COMPLIANT, EXIT_CODES, PENDING

if TYPE_CHECKING:
    from provmode.fleet.audit import Audit
    from provmode.history.drift import Drift

notify_option = click.option(
    "--notify", is_flag=True, help="Hand the drift to the command of [notify], if something of its words happened."
)


@click.command(epilog=EXIT_CODES["drift"].help)
@click.option("--since", metavar="RUN|DATE", help="The earlier run: its number, its id, or a date such as 2026-11-20.")
@click.option("--to", metavar="RUN", help="The later run; else the last complete audit.")
@click.option("--inventory", type=InventoryName(), metavar="INVENTORY", help="Of this inventory.")
@notify_option
@format_option
def drift(since: str | None, to: str | None, inventory: str | None, notify: bool, output_format: str) -> int:
    """Say what changed between two runs, and what of it was us: by default the last two complete audits."""
    from provmode.report.drift import drift_json, print_drift

    command = notifying() if notify else None
    found = find_drift(since, to, inventory_name(inventory) if inventory is not None else None)
    with printing():
        if output_format == "json":
            print_json(drift_json(found))
        else:
            print_drift(found, console_for(None))
    code = PENDING if any(each.is_told_by(WORSE) for each in found.hosts) else COMPLIANT
    return tell(command, found, code) if command is not None else code


def _configured() -> str | None:
    inventory = configuration().options.get("inventory")
    return inventory_name(inventory) if inventory else None


def find_drift(since: str | None = None, to: str | None = None, inventory: str | None = None) -> Drift:
    """Return what changed between two runs of the history.

    Without an *inventory* it is that of a run that is named, else that of the configuration file.

    Raises:
        UsageError: there are no such runs.
        HistoryError: the history cannot be read.
    """
    from provmode.history import drifting
    from provmode.history.reader import History

    with reading_history() as connection:
        read = History(connection)
        date = _date(since) if since is not None else None
        after = read.run(to) if to is not None else None
        if since is not None and date is None:
            before = read.run(since)
            after = after or drifting.latest(read, inventory or before.inventory)
        else:
            after = after or drifting.latest(read, inventory or _configured())
            before = drifting.before(read, after, date)
        return drifting.drift(connection, before, after)


def _date(text: str) -> datetime | None:
    """Return the moment that a text is; a date is its end in UTC. ``None`` if it is none."""
    if "-" not in text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if len(text) == len("2026-11-20"):
            moment = moment.replace(hour=23, minute=59, second=59)
        return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None


def notifying() -> list[str]:
    """Return the command that is told.

    Raises:
        UsageError: the configuration file names none.
    """
    command = configuration().table("notify").get("command")
    if not command:
        raise UsageError("nobody can be told: there is no command", next_step="write command under [notify]")
    if not is_kept():
        raise UsageError("nobody can be told what changed: runs are not remembered", next_step=NO_HISTORY)
    return list(command)


def tell(command: list[str], drift: Drift, code: int) -> int:
    """Hand the drift to a command if something of its words happened; return the exit code of a run that had *code*."""
    from provmode.cli.notify import NotTold, run_command
    from provmode.report.drift import drift_json

    words = configuration().table("notify").get("words") or list(WORSE)
    if not any(each.is_told_by(words) for each in drift.hosts):
        return code
    try:
        run_command(command, drift_json(drift))
    except NotTold as error:
        complain(str(error))
        return failed(code)
    return code


def tell_after_a_run(command: list[str], found: Audit, code: int) -> int:
    """After an audit, tell what changed since the complete one before; return the exit code of a run with *code*."""
    from provmode.history import drifting
    from provmode.history.reader import History

    if not found.complete:
        return code
    try:
        with reading_history() as connection:
            read = History(connection)
            after = read.run(found.run)
            before = drifting.earlier(read, after)
            if before is None:
                return code
            drift = drifting.drift(connection, before, after)
    except ProvmodeError as error:
        complain(f"nobody was told what changed: {error}")
        return failed(code)
    return tell(command, drift, code)
