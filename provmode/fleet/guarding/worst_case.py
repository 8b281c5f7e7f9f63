"""How many hosts can fail before the failure budget ends a run. Pure.

The budget ends a run after the failure that exceeds it. Hosts that are being worked on at that moment are finished, and
they can fail too: only one host at a time would be exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provmode.fleet.waves import Budget


@dataclass(frozen=True)
class WorstCase:
    """How many hosts fail at worst."""

    failed: int
    in_flight: int
    """How many of them are worked on when the budget is exceeded, the one that exceeds it among them."""

    @property
    def budget(self) -> int:
        """How many the budget allows by then."""
        return self.failed - self.in_flight


def worst_case(waves: Sequence[int], budget: Budget | None, parallel: int) -> WorstCase:
    """Return how many hosts fail at worst, if every host of these *waves* is reached."""
    hosts = sum(waves)
    if budget is None:
        return WorstCase(hosts, min(parallel, hosts))
    worst, so_far = WorstCase(0, 0), 0
    for size in waves:
        so_far += size
        allowed = _allowed(so_far, budget)
        in_flight = max(0, min(parallel, size, so_far - allowed))
        worst = max(worst, WorstCase(min(allowed, so_far) + in_flight, in_flight), key=lambda each: each.failed)
    return worst


def _allowed(hosts: int, budget: Budget) -> int:
    """Return how many of *hosts*, all reached, can fail without the budget being exceeded."""
    low, high = 0, hosts
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (low, middle - 1) if budget.spent(middle, hosts) else (middle, high)
    return low
