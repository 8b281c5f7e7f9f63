"""Whether enough of a wave was reached for the next one to begin. Pure.

A wave of which nearly nobody was reached has shown nothing: that is no success.
"""

from __future__ import annotations

from collections.abc import Sequence

from provmode.fleet.guards import Stop
from provmode.fleet.results import HostOutcome
from provmode.fleet.waves import LeastReached

NAME = "min-reached"
_NO_TURN = (HostOutcome.NOT_STARTED, HostOutcome.DEFERRED)
"""What says nothing of a host: a hold, or a maintenance window of its own, kept it from its turn."""


def too_few(least: LeastReached, outcomes: Sequence[HostOutcome]) -> Stop | None:
    """Return why the next wave may not begin after one that ended with *outcomes*; ``None`` if it may.

    Hosts that a hold or a window of their own kept from their turn do not count, but a wave of nobody else is too few.
    """
    had_turn = [outcome for outcome in outcomes if outcome not in _NO_TURN]
    without = len(outcomes) - len(had_turn)
    if not had_turn:
        if not least.missed(0, without):
            return None
        why = "of the last wave no host had a turn: each is held, or waits for its own maintenance window"
        step = "--resume when some of them can be changed, choose others (--limit), or --min-reached none"
        return Stop(NAME, why, next_step=step)
    missed = least.missed(sum(outcome is not HostOutcome.UNREACHED for outcome in had_turn), len(had_turn))
    if not missed:
        return None
    others = f" ({without} more had no turn)" if without else ""
    next_step = "--resume when more of them are on, or give a smaller --min-reached"
    return Stop(NAME, f"of the last wave {missed}{others}", next_step=next_step)
