"""A clock that runs and can be moved on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta


class Clock:
    """One PC's clock: *start* (UTC, aware), plus the *seconds* since, plus the time it was moved on."""

    __slots__ = ("_ahead", "_origin", "_seconds", "_start")

    def __init__(self, start: datetime, seconds: Callable[[], float]) -> None:
        self._start = start
        self._seconds = seconds
        self._origin = seconds()
        self._ahead = 0.0

    def now(self) -> datetime:
        """Return the time, UTC."""
        return self._start + timedelta(seconds=self._seconds() - self._origin + self._ahead)

    def advance(self, delta: timedelta) -> None:
        """Move the clock on by *delta*."""
        self._ahead += delta.total_seconds()
