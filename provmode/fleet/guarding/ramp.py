"""The turns of hosts to be worked on: at the start of a run one, and for each host that ended well two more.

So 1, 2, 4, 8 and so on are worked on at a time. A host that did not end well leaves its turn to one other.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, runtime_checkable

from gevent.lock import Semaphore

from provmode.fleet.results import HostOutcome


@runtime_checkable
class Ramping(Protocol):
    """A `Runner` that can begin with one host at a time."""

    def begin_small(self) -> None:
        """Work on one host at a time from now on, until hosts end well."""

    def ended_well(self) -> None:
        """Work on one more host at a time, as one has ended well."""


WELL = frozenset({HostOutcome.CHANGED, HostOutcome.ALREADY, HostOutcome.RESTORED, HostOutcome.NOTHING})
"""How a host ends well."""


def ended_well(runner: object, outcome: HostOutcome) -> None:
    """Tell *runner* of a host that ended with *outcome*, if it wants to know and the host ended well."""
    if outcome in WELL and isinstance(runner, Ramping):
        runner.ended_well()


class Turns:
    """Turns of which some are *allowed* at a time. As a context manager it is one turn, and waits for it."""

    def __init__(self, allowed: int) -> None:
        self._allowed, self._free = allowed, Semaphore(allowed)

    @property
    def taken(self) -> int:
        """How many hosts have their turn."""
        return self._allowed - int(self._free.counter)

    def allow(self, allowed: int) -> None:
        """Allow more turns at a time."""
        while self._allowed < allowed:
            self._allowed += 1
            self._free.release()

    def __enter__(self) -> None:
        self._free.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._free.release()
