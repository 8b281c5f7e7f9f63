"""The hosts of ``audit --only unassessed``: those that could not be assessed when they were looked at last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provmode.cli.common import complain
from provmode.cli.remembering import inventory_name, reading_history
from provmode.errors import Cause
from provmode.transport.logons import RETRY_OPTION

if TYPE_CHECKING:
    from provmode.history.unassessed import Unassessed

only_option = click.option(
    "--only",
    type=click.Choice(["unassessed"]),
    help="Only hosts that could not be assessed when they were looked at last; the history knows them.",
)


class Wanted:
    """Says which hosts are looked at, and counts them. Who refused the account is left out, unless told to *retry*."""

    def __init__(self, found: Unassessed, *, retry: bool) -> None:
        self._found, self._retry = found, retry
        self._taken = self._refused = 0

    def __call__(self, host: str) -> bool:
        """Return whether a host is looked at."""
        cause = self._found.cause(host)
        refused = cause == Cause.AUTH and not self._retry
        taken = cause is not None and not refused
        self._taken += taken
        self._refused += refused
        return taken

    def say(self) -> None:
        """Say on standard error what was left out, and if nobody is left."""
        from provmode.report.lines import count_of

        if self._refused:
            complain(f"left out because they refused the account: {count_of(self._refused)}; {RETRY_OPTION} asks them")
        elif not self._taken:
            complain("every host was assessed when it was looked at last: no PC was asked")


def wanted(inventory: str, *, retry: bool) -> Wanted:
    """Return which hosts of an inventory are looked at.

    Raises:
        UsageError: there is no history, or it has no look at this inventory.
        HistoryError: it cannot be read.
    """
    from provmode.history.unassessed import Unassessed

    with reading_history() as connection:
        return Wanted(Unassessed(connection, inventory_name(inventory)), retry=retry)
