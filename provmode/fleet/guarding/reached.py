"""Whether enough of a wave was reached for the next one to begin. Pure.

A wave of which nearly nobody was reached has shown nothing: that is no success.
"""

from __future__ import annotations

from collections.abc import Sequence

from provmode.fleet.guards import Stop
from provmode.fleet.results import HostOutcome
from provmode.fleet.waves import LeastReached

NAME = "min-reached"
_NOT_REACHED = (HostOutcome.UNREACHED, HostOutcome.NOT_STARTED, HostOutcome.DEFERRED)
"""What has shown nothing of a change: nobody came there, or a hold or a window kept the host from its turn."""


def too_few(least: LeastReached, outcomes: Sequence[HostOutcome]) -> Stop | None:
    """Return why the next wave may not begin after one that ended with *outcomes*; ``None`` if it may."""
    reached = sum(outcome not in _NOT_REACHED for outcome in outcomes)
    missed = least.missed(reached, len(outcomes))
    if not missed:
        return None
    next_step = "--resume when more of them are on, or give a smaller --min-reached"
    return Stop(NAME, f"of the last wave {missed}", next_step=next_step)
