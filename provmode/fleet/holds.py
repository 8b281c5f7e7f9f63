"""The waivers that hold hosts, looked at again while a plan is applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from provmode.errors import UsageError
from provmode.fleet.guards import Guard, Stop
from provmode.fleet.plan_file import Plan
from provmode.waivers.match import Book, Row, held_by
from provmode.waivers.model import NONE, Waivers

GUARD = "waivers"


class Holds(Guard):
    """Gives no turn to a host that a waiver holds, and stops the run if nobody can tell which these are.

    *waivers* returns them as they are when it is asked. A host is taken as the *plan* found it, with the groups that
    the inventory has it in.
    """

    def __init__(
        self,
        plan: Plan,
        groups_of: Mapping[str, Sequence[str]],
        waivers: Callable[[], Waivers],
        now: Callable[[], datetime],
    ) -> None:
        self._waivers, self._now = waivers, now
        self._rows = {
            host.name: Row(
                host.host, str(host.document.get("rule", "")), host.verdict, tuple(groups_of.get(host.name, ()))
            )
            for host in plan.changing
        }
        self._book, self._read = Book(NONE), NONE

    def before_start(self, hosts: Sequence[str]) -> Stop | None:
        """Return why the waivers cannot be read."""
        return self._stop()

    def before_host(self, host: str) -> Stop | None:
        """Return why the waivers cannot be read any more."""
        return self._stop()

    def not_this_host(self, host: str) -> Stop | None:
        """Return which waiver holds *host*."""
        if self._stop() is not None or host not in self._rows:
            return None  # `before_host` ends the run
        hold = self._book.hold(self._rows[host], self._now())
        if hold is None:
            return None
        return Stop(GUARD, held_by(hold), f"ask {hold.owner}; once it is not held any more, --resume begins it")

    def _stop(self) -> Stop | None:
        try:
            read = self._waivers()
        except UsageError as error:
            return Stop(GUARD, f"nobody can tell which hosts are held: {error}", "mend the file; --resume goes on")
        if read is not self._read:
            self._read, self._book = read, Book(read)
        return None
