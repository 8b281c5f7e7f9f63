"""Trying again: which hosts, when the next round begins, and when there is none. Pure.

A run that retries looks once at every host. Then, in rounds, it tries again those that were off, away or slow, so that
a night catches laptops as they come.

* Rounds begin at fixed distances, each from the beginning of the one before, on the monotonic clock.
* The end is a time of the wall clock: no round begins at or after it. A round in progress then is finished.
* If the wall clock jumps, or the computer slept, that is noticed: the time that it slept counts, and the end stays the
  time of day that was named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Protocol

from provmode.calendars.wall_clock import moments
from provmode.errors import Cause, UsageError

DEFAULT_EVERY = "15m"
LEAST, MOST = 60.0, 86400.0
"""Seconds from the beginning of one round to the next, as a user may name them."""
JUMP = 60.0
"""Seconds by which the wall clock has to differ from the monotonic one between two looks to count as a jump."""
ASTRAY = 86400.0
"""Seconds by which the wall clock may be set back: after more nobody can say when the end is."""

TRIED_AGAIN: Mapping[Cause, str] = {
    Cause.CONNECT_TIMEOUT: "the PC is off or away, and may come",
    Cause.REFUSED: "WinRM starts after Windows does, and another device may have the address of a laptop that is away",
    Cause.NAME_RESOLUTION: "many a laptop has a name in DNS only while it is there",
    Cause.DEADLINE: "the PC is asleep, overloaded or behind a slow line",
    Cause.QUOTA: "other sessions end",
}
"""Causes that pass by themselves, each with the reason why its hosts are tried again."""
NOT_TRIED_AGAIN: Mapping[Cause, str] = {
    Cause.AUTH: "accounts lock",
    Cause.ACCESS_DENIED: "somebody has to give the account its rights",
    Cause.TLS: "somebody has to mend the certificate, or the inventory",
    Cause.PROTOCOL: "what answers is broken or no WinRM; yes if the PC is starting, stopping or busy, or hangs up",
    Cause.OTHER_COMPUTER: "somebody has to correct DNS, or the inventory",
    Cause.SHELLS_FORBIDDEN: "somebody has to change the group policy",
}
"""All other causes, each with the reason why its hosts are not tried again in the same run."""


class Ended(Protocol):
    """How a host ended: what says whether it is tried again."""

    @property
    def cause(self) -> str | None:
        """Why it could not be assessed or reached, if so."""

    @property
    def to_mend(self) -> bool:
        """Whether that is the operator's to mend, whatever the cause says."""

    @property
    def passes(self) -> bool:
        """Whether it passes by itself, whatever the cause says."""


def tried_again(ended: Ended) -> bool:
    """Return whether a host that *ended* so is tried again.

    What is the operator's to mend never is, such as DNS that does not answer.
    """
    return ended.cause is not None and not ended.to_mend and (ended.passes or ended.cause in TRIED_AGAIN)


@dataclass(frozen=True)
class Retrying:
    """Until when, and how often, a run tries again the hosts that were off, away or slow.

    Raises:
        UsageError: *until* has no time zone, or *every* is not positive.
    """

    until: datetime
    """No round begins at or after this time. Its time zone is that in which times are said."""
    every: float = 900.0
    """Seconds from the beginning of one round to the beginning of the next."""

    def __post_init__(self) -> None:
        if self.until.utcoffset() is None:
            raise UsageError(f"{self.until} has no time zone", next_step="give a datetime with one")
        if not self.every > 0:
            raise UsageError(f"rounds cannot begin every {self.every:g} s")

    def until_at_most(self, end: datetime) -> Retrying:
        """Return the same, but with an end that is not after *end*."""
        return self if self.until <= end else Retrying(end.astimezone(self.until.tzinfo), self.every)


# -- what a user writes ---------------------------------------------------------------------------------------------


def read_every(text: str, option: str = "--every") -> float:
    """Read ``90s``, ``15m`` or ``1h`` as seconds. Messages name the *option*.

    Raises:
        UsageError: *text* is none of these, or less than a minute, or more than a day.
    """
    match = re.fullmatch(r"([0-9]{1,6})([smh])", text.strip())
    if match is None:
        raise UsageError(f"{option} {text}: it is not a length of time", next_step="write it as in 15m, 1h or 90s")
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]
    if not LEAST <= seconds <= MOST:
        raise UsageError(f"{option} {text}: it is not between 1m and 24h", next_step="write it as in 15m, 1h or 90s")
    return seconds


def read_until(text: str, now: datetime, zone: tzinfo | None = None, option: str = "--retry-until") -> datetime:
    """Read ``06:00``, the next time at which clocks of *zone* show it, or a date and time with its time zone.

    *zone* is this computer's if it is ``None``. The answer is in *zone*. A time that comes twice, in the night when
    clocks are put back, is the next of the two. One that does not come, when they are put forward, is the moment at
    which they are. Messages name the *option*.

    Raises:
        UsageError: *text* is neither, or has passed.
    """
    how = "write it as in 06:00, or with date and zone as in 2026-11-27T06:00+01:00"
    match = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", text.strip())
    if match is not None:
        hour, minute = int(match[1]), int(match[2])
        if hour > 23 or minute > 59:
            raise UsageError(f"{option} {text}: there is no such time of day", next_step=how)
        return _next(time(hour, minute), now, zone)
    try:
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
        if moment.utcoffset() is not None:
            moment = moment.astimezone(zone)
    except (ValueError, OverflowError):  # the last, and the first, day that there is: in another zone there is none
        raise UsageError(f"{option} {text}: it is not a time", next_step=how) from None
    if moment.utcoffset() is None:
        raise UsageError(f"{option} {text}: it has no time zone", next_step=how)
    if moment <= now:
        raise UsageError(f"{option} {text}: it has passed", next_step=how)
    return moment


def _next(shown: time, now: datetime, zone: tzinfo | None) -> datetime:
    """Return the next moment after *now* at which clocks of *zone* show this time, or pass it."""
    today = now.astimezone(zone).date()
    days = (datetime.combine(today + timedelta(days=days), shown) for days in range(3))
    return next(moment for day in days for moment in moments(day, zone) if moment > now).astimezone(zone)


# -- when the rounds begin ------------------------------------------------------------------------------------------


class Timetable:
    """When the rounds of a run begin. It is told what two clocks show: *now* the wall's, *seconds* the monotonic one.

    The first round, which is the run's first look, begins when this is made.
    """

    def __init__(self, retrying: Retrying, now: datetime, seconds: float) -> None:
        self._until, self._every = retrying.until, retrying.every
        self._now, self._seconds = now, seconds
        self._began = seconds
        self._astray = self._slept = 0.0

    def look(self, now: datetime, seconds: float) -> float:
        """Note what the clocks show; return by how many seconds the wall clock jumped since the last look, 0 if not."""
        jumped = (now - self._now).total_seconds() - (seconds - self._seconds)
        self._now, self._seconds = now, seconds
        if abs(jumped) < JUMP:
            return 0.0
        self._astray += jumped
        self._slept += max(0.0, jumped)
        return jumped

    def begin(self) -> None:
        """A round begins, at the time of the last look."""
        self._began, self._slept = self._seconds, 0.0

    @property
    def left(self) -> float | None:
        """Seconds from the last look until the next round begins; ``None`` if none begins any more."""
        left = max(0.0, self._began + self._every - self._slept - self._seconds)
        if self._astray <= -ASTRAY or self._now + timedelta(seconds=left) >= self._until.astimezone(timezone.utc):
            return None
        return left

    def words(self, hosts: int, left: float) -> str:
        """Return in words how many *hosts* are still to be tried, and when the next round begins."""
        begins = (self._now + timedelta(seconds=left)).astimezone(self._until.tzinfo)
        return f"{_hosts(hosts)} still away; next round at {begins:%H:%M}, until {said(self._until, begins)}"


def said(moment: datetime, other: datetime) -> str:
    """Return a time of day; with its date if it is not within a day after the *other*."""
    near = timedelta(0) <= moment - other < timedelta(days=1)
    return f"{moment:%H:%M}" if near else f"{moment:%Y-%m-%d %H:%M}"


def _hosts(number: int) -> str:
    return f"{number:,} host{'s' if number != 1 else ''}"
