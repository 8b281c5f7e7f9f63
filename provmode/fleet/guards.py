"""What may stop a run that changes PCs: before it begins, before a wave, before a host (`Guard`).

The first guard that stops a run ends it: hosts in progress are finished, and no other is begun. Which guard it was, and
why, is in the journal (``guard-tripped``), in the report and in the exit code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from provmode.errors import ProvmodeError
from provmode.fleet.results import HostOutcome

T = TypeVar("T")


@dataclass(frozen=True)
class Stop:
    """Why a run has to end, or may not begin."""

    guard: str
    """The guard's name, as the journal and reports have it."""
    why: str
    """In words, for a person."""
    next_step: str = ""
    deferred: bool = False
    """Whether the hosts that got no turn have it in the next window (``--resume``); else somebody has to look first."""

    @property
    def outcome(self) -> HostOutcome:
        """How the hosts end that got no turn."""
        return HostOutcome.DEFERRED if self.deferred else HostOutcome.NOT_STARTED

    def to_json(self) -> dict[str, Any]:
        """Return it as reports have it."""
        return {
            "guard": self.guard,
            "why": self.why,
            "deferred": self.deferred,
            **({"next_step": self.next_step} if self.next_step else {}),
        }


class RunRefused(ProvmodeError):
    """A guard does not let a run begin; nothing was changed."""


class Guard:
    """What may stop a run. This one never does.

    Hosts are named as in the inventory. Each question is asked while the run waits for the answer.
    """

    def before_start(self, hosts: Sequence[str]) -> Stop | None:
        """Return why the run, over *hosts*, may not begin; nothing was sent, and there is no journal yet."""
        return None

    def before_wave(self, hosts: Sequence[str]) -> Stop | None:
        """Return why a wave of *hosts* may not begin. It is asked after the soak, and in every round."""
        return None

    def before_host(self, host: str) -> Stop | None:
        """Return why *host*, which was reached, may not be begun."""
        return None

    def not_this_host(self, host: str) -> Stop | None:
        """Return why *host* alone gets no turn; the run goes on with the others, and nothing is sent to it."""
        return None

    def host_ended(self, host: str, result: Any, seconds: float) -> None:
        """Take note that *host* ended with *result*; the run worked on it for so many *seconds*, 0 if it did not."""


class Guards:
    """The guards of one run, and the first `Stop` of one of them.

    *trip* is told of it, once: it writes the journal.
    """

    def __init__(self, guards: Iterable[Guard] = (), trip: Callable[[Stop], None] = lambda stop: None) -> None:
        self._guards, self._trip = tuple(guards), trip
        self.stopped: Stop | None = None

    def check_start(self, hosts: Sequence[str]) -> None:
        """Ask whether the run may begin.

        Raises:
            RunRefused: it may not.
        """
        stop = next((stop for guard in self._guards if (stop := guard.before_start(hosts))), None)
        if stop is not None:
            raise RunRefused(stop.why, next_step=stop.next_step)

    def before_wave(self, hosts: Sequence[str]) -> bool:
        """Return whether a wave may begin."""
        return self._go_on(guard.before_wave(hosts) for guard in self._guards)

    def before_host(self, host: str) -> bool:
        """Return whether a host may be begun."""
        return self._go_on(guard.before_host(host) for guard in self._guards)

    def not_this_host(self, host: str) -> Stop | None:
        """Return why a host alone gets no turn."""
        return next((stop for guard in self._guards if (stop := guard.not_this_host(host))), None)

    def host_ended(self, host: str, result: Any, seconds: float) -> None:
        """Tell all guards of a host that ended."""
        for guard in self._guards:
            guard.host_ended(host, result, seconds)

    def _go_on(self, answers: Iterable[Stop | None]) -> bool:
        if self.stopped is None:
            self.stop(next(filter(None, answers), None))
        return self.stopped is None

    def stop(self, stop: Stop | None) -> None:
        """End the run for a reason, unless it ends already."""
        if stop is not None and self.stopped is None:
            self.stopped = stop
            self._trip(stop)

    @property
    def why(self) -> str:
        """Why the run ends, in words; empty if it goes on."""
        return self.stopped.why if self.stopped is not None else ""
