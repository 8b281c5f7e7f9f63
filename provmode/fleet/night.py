"""When plans are applied at night: days and a time, the command line, and how long a run may go on. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from provmode.errors import UsageError

HOUR = 60
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MARGIN = 900
"""Seconds that a run may need to begin and to write its report, beside the window and the hosts in progress."""


def time_of_day(text: str) -> int:
    """Return the minutes after midnight of a time such as ``02:00``.

    Raises:
        UsageError: it is no such time.
    """
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text, re.ASCII):
        raise UsageError(f"{text} is not a time of day", next_step="write it as 02:00 or 22:30")
    return HOUR * int(text[:2]) + int(text[3:])


@dataclass(frozen=True)
class When:
    """A time of day, on some days of the week or on all."""

    at: int
    """Minutes after midnight."""
    days: tuple[str, ...] = ()
    """The days on which it counts, in order; without any, all."""

    @classmethod
    def parse(cls, text: str) -> When:
        """Read ``22:30`` or ``Tue,Thu 22:30``; systemd's ``Tue,Thu *-*-* 22:30`` is the same.

        Raises:
            UsageError: it is neither.
        """
        first, _, rest = text.partition(" ")
        days, time = (first, rest) if first[:1].isalpha() else ("", text)
        named = days.split(",") if days else []
        if not set(named) <= set(DAYS):
            raise UsageError(f"{days} are not days of the week", next_step="write them as Mon,Tue,Sun")
        return cls(time_of_day(time.removeprefix("*-*-* ")), tuple(day for day in DAYS if day in named))

    @property
    def systemd(self) -> str:
        """As ``OnCalendar=`` takes it."""
        days = f"{','.join(self.days)} " if self.days else ""
        return f"{days}*-*-* {self.at // HOUR:02}:{self.at % HOUR:02}"

    @property
    def cron(self) -> str:
        """As the first five fields of a line of cron."""
        days = ",".join(str((DAYS.index(day) + 1) % 7) for day in self.days) or "*"
        return f"{self.at % HOUR} {self.at // HOUR} * * {days}"

    def within(self, begins: datetime, ends: datetime) -> bool:
        """Return whether it comes within a span of local time."""
        moment = begins.replace(hour=self.at // HOUR, minute=self.at % HOUR, second=0, microsecond=0)
        moment += timedelta(days=moment < begins)
        while moment < ends:
            if not self.days or DAYS[moment.weekday()] in self.days:
                return True
            moment += timedelta(days=1)
        return False

    def __str__(self) -> str:
        """Return it as `parse` takes it."""
        return " ".join(filter(None, (",".join(self.days), f"{self.at // HOUR:02}:{self.at % HOUR:02}")))


@dataclass(frozen=True)
class Change:
    """Applying the plans of a folder at night."""

    plans: str
    when: When
    window: float
    """Seconds of the longest window of the calendars."""
    drain: float
    """Seconds that a host may take."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Files that only root has to read, beside those of a look: the keys."""
    reads: tuple[str, ...] = ()
    """What a run needs beside what a look needs: calendars, public keys, the gate, the stop file."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[^\"'\\]+", self.plans) or not self.plans.isprintable():
            raise UsageError(f"a unit cannot name the folder {self.plans}", next_step="give it another name")

    @property
    def longest(self) -> int:
        """Seconds after which a run is ended: the window, the hosts in progress, and something for the report.

        A run that begins within a window is over by then, unless something hangs.
        """
        return round(self.window + self.drain) + MARGIN

    @property
    def grace(self) -> int:
        """Seconds that a run which is told to end has for its hosts in progress."""
        return round(self.drain) + MARGIN
