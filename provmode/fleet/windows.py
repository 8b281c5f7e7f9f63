"""Change windows: the calendars of a run, read again before each wave, and the guard that keeps a run inside them.

Nothing is cut off at the end of a window: no host is begun that might not be ready by then (`provmode.calendars.need`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from provmode.calendars.events import LARGEST, CalendarRefused, Source
from provmode.calendars.ics import spans_of
from provmode.calendars.need import Need
from provmode.calendars.opening import Opening, State
from provmode.calendars.spans import Span
from provmode.ccm.rules import duration
from provmode.errors import UsageError
from provmode.fleet.guards import Guard, RunRefused, Stop
from provmode.fleet.results import HostOutcome
from provmode.fleet.retrying import JUMP, read_every, read_until

NONE = "none"
"""What takes calendars away by name that the configuration file has."""
DRAIN = "15m"
"""How long a host may take, as long as none has ended in this run."""
FARTHEST = timedelta(hours=12)
"""How far away a time of day may be that a run may not go beyond."""
_CHANGES = frozenset({HostOutcome.CHANGED, HostOutcome.RESTORED})
"""How hosts end on which everything was done that takes time."""


class Calendar:
    """One file. It is read again whenever it is asked; what it says is found anew only if its bytes changed."""

    def __init__(self, path: Path, *, zone: tzinfo | None = None, blackout: bool = False) -> None:
        self._path, self._source = path, Source(str(path), zone, blackout)
        self._text: bytes | None = None
        self._spans: tuple[Span, ...] = ()

    def spans(self, now: datetime) -> tuple[Span, ...]:
        """Return when its events are, from when it was read first or changed.

        Raises:
            CalendarRefused: it cannot be read, or cannot be relied on.
        """
        text = self._read()
        if text != self._text:
            self._spans = spans_of(text, self._source, now)
            self._text = text
        return self._spans

    def _read(self) -> bytes:
        try:
            with open(self._path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise self._source.refuse("it is not a file", "give a calendar as a file (.ics)")
                return file.read(LARGEST + 1)
        except OSError as error:
            raise self._source.refuse(
                f"it cannot be read: {error.strerror}", "give a calendar that this user can read"
            ) from None


@dataclass
class Windows:
    """When a run may change PCs: calendars of windows and of blackouts, and a last moment."""

    now: Callable[[], datetime]
    """The controller's clock, UTC."""
    windows: Sequence[Calendar] | None = None
    """``None``: it always may, unless something else forbids it."""
    blackouts: Sequence[Calendar] = ()
    not_after: datetime | None = None
    zone: tzinfo | None = None
    """In which times are said; ``None``: this computer's."""
    holds: Callable[[], Iterable[Span]] = tuple
    """When somebody holds changes back, beside the blackouts."""
    _opening: Opening | None = field(default=None, init=False)

    def read(self) -> None:
        """Read the calendars, again if they were read before.

        Raises:
            CalendarRefused: one of them cannot be read, or cannot be relied on.
        """
        now = self.now()
        windows = None if self.windows is None else tuple(span for each in self.windows for span in each.spans(now))
        blackouts = (span for each in self.blackouts for span in each.spans(now))
        self._opening = Opening(windows, (*blackouts, *self.holds()), self.not_after)

    @property
    def state(self) -> State:
        """What holds now, by the calendars as they were read last."""
        if self._opening is None:
            self.read()
            assert self._opening is not None
        return self._opening.at(self.now())

    def check(self) -> None:
        """Read the calendars, and refuse if nothing may be done now.

        Raises:
            CalendarRefused: one of them cannot be relied on.
            RunRefused: nothing may be done now.
        """
        self.read()
        stop = self.shut(self.state)
        if stop is not None:
            raise RunRefused(stop.why, next_step=stop.next_step)

    def shut(self, state: State) -> Stop | None:
        """Return why nothing may be begun if it is not open; else ``None``."""
        if state.open:
            return None
        if state.opens is None:
            late = self.not_after is not None and self.now() >= self.not_after
            step = (
                "give a later --not-after" if late else f"no window opens before {self._horizon}: give another calendar"
            )
        else:
            step = f"it opens next at {self.said(state.opens)}"
        return Stop("window", f"nothing may be changed now: {state.why}", step, deferred=True)

    @property
    def _horizon(self) -> str:
        from provmode.calendars.ics import HORIZON

        return self.said(self.not_after or self.now() + HORIZON)

    def said(self, moment: datetime) -> str:
        """Return a moment as people of the zone say it."""
        local = moment.astimezone(self.zone)
        return f"{local:%Y-%m-%d %H:%M} {local.tzname() or ''}".strip()


class WindowGuard(Guard):
    """Keeps a run inside its windows: none begins outside, and no host that might not be ready before the end.

    *seconds* is a monotonic clock. If the wall clock jumps against it, the run ends: nobody can say then how long a
    window is still open. No host is expected to take longer than the *drain*, in seconds.
    """

    def __init__(self, windows: Windows, *, seconds: Callable[[], float], drain: float) -> None:
        self._windows, self._seconds = windows, seconds
        self._need = Need(drain)
        self._clocks = self._both_clocks()

    def before_start(self, hosts: Sequence[str]) -> Stop | None:
        """Refuse to begin outside, or too late for a host."""
        self._windows.read()
        self._clocks = self._both_clocks()
        return self._closed("start it in the next window, or give a shorter --drain")

    def before_wave(self, hosts: Sequence[str]) -> Stop | None:
        """Read the calendars again; begin no wave outside, nor with a calendar that cannot be read any more."""
        try:
            self._windows.read()
        except CalendarRefused as error:
            step = "mend the calendar, look at what was changed so far, then --resume"
            return Stop("calendar", f"a calendar changed and cannot be relied on: {error}", step)
        return self._jumped() or self._closed()

    def before_host(self, host: str) -> Stop | None:
        """Begin no host that might not be ready before the end."""
        return self._jumped() or self._closed()

    def host_ended(self, host: str, result: Any, seconds: float) -> None:
        """Learn how long hosts take that are changed; one that was left as it is or failed can only be the slowest."""
        if result.outcome in _CHANGES or seconds > self._need.seconds:
            self._need.took(seconds)

    def _closed(self, too_late: str = "go on in the next window (--resume)") -> Stop | None:
        state = self._windows.state
        shut = self._windows.shut(state)
        if shut is not None or self._need.fits(self._windows.now(), state.closes):
            return shut
        assert state.closes is not None
        lasts = duration(timedelta(seconds=self._need.seconds))
        why = f"a host may take {lasts}, and nothing may be changed from {self._windows.said(state.closes)} on"
        return Stop("window", why, too_late, deferred=True)

    def _both_clocks(self) -> tuple[datetime, float]:
        return self._windows.now(), self._seconds()

    def _jumped(self) -> Stop | None:
        (wall, ran), (now, seconds) = self._clocks, self._both_clocks()
        self._clocks = now, seconds
        jumped = (now - wall).total_seconds() - (seconds - ran)
        if abs(jumped) <= JUMP:
            return None
        way = "was put forward by" if jumped > 0 else "was put back by"
        slept = ", or it slept" if jumped > 0 else ""
        why = f"the clock of this computer {way} {duration(timedelta(seconds=abs(jumped)))}{slept}"
        return Stop("clock", why, "look at its clock, then --resume")


def calendars(
    paths: Sequence[str] | None, *, zone: tzinfo | None, blackout: bool = False
) -> tuple[Calendar, ...] | None:
    """Return the calendars that *paths* name; ``None`` if there are none, or they are taken away by name.

    Raises:
        UsageError: they are taken away, and others named beside.
    """
    if not paths:
        return None
    if NONE in paths:
        if len(paths) > 1:
            option = "--blackout" if blackout else "--window"
            raise UsageError(f"{option} {NONE} takes calendars away", next_step="give it alone, or calendars")
        return None
    return tuple(Calendar(Path(path), zone=zone, blackout=blackout) for path in paths)


def last_moment(text: str, now: datetime, zone: tzinfo | None) -> datetime:
    """Read ``--not-after``: a time of day, at most 12 hours away, or a date and time with its zone.

    Raises:
        UsageError: *text* is neither.
        RunRefused: it has passed. Of a time of day that is so if its next moment is further away: a run that was
            started late would else go on until tomorrow's.
    """
    try:
        until = read_until(text, now, zone, option="--not-after")
    except UsageError as error:
        if error.what.endswith("it has passed"):
            raise RunRefused(error.what, next_step="give a later one") from None
        raise
    if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}", text.strip()) and until - now > FARTHEST:
        raise RunRefused(
            f"--not-after {text} has passed: it comes next in {duration(until - now)}",
            next_step="start earlier, or write it with its date, as in 2026-11-27T06:00+01:00",
        )
    return until


def read_drain(text: str) -> float:
    """Read ``--drain``: how long a host may take, as in ``15m``.

    Raises:
        UsageError: it is not a length of time.
    """
    return read_every(text, option="--drain")
