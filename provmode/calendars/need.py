"""How long a host may take: learned from the hosts of this run so far. Pure."""

from __future__ import annotations

import bisect
from datetime import datetime, timedelta

LEAST = 60.0
"""Seconds that every host is given, however fast the others were."""
SHARE = 0.99
"""So large a part of the hosts so far took no longer than what is expected of the next one."""
MARGIN = timedelta(seconds=60)
"""How long before the end of a window the last host has to be ready."""


class Need:
    """What the next host is expected to take at most, in seconds: between a minute and the *drain*.

    Before the first host has ended nothing is known, and it is the drain.
    """

    def __init__(self, drain: float) -> None:
        self._drain = drain
        self._took: list[float] = []

    def took(self, seconds: float) -> None:
        """Note that a host took so long."""
        bisect.insort(self._took, seconds)

    @property
    def seconds(self) -> float:
        """The 99th of a hundred hosts so far, but no less than a minute and no more than the drain."""
        if not self._took:
            return self._drain
        slowest = self._took[min(len(self._took) - 1, int(SHARE * len(self._took)))]
        return min(max(slowest, LEAST), self._drain)

    def fits(self, now: datetime, end: datetime | None) -> bool:
        """Return whether a host that is begun *now* is expected to be ready in time before the *end*."""
        return end is None or now + timedelta(seconds=self.seconds) <= end - MARGIN
