"""The brake: a run over unusually many hosts begins only if somebody says how many they are. Pure.

A filter that went wrong, or a judgement that did, shows in the number. So it has to be given exactly, as one has read
it; a yes would be given by habit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from provmode.fleet.guards import Guard, Stop

NAME = "brake"
MANY = 50
"""Fewer hosts than this are never too many."""
PERCENT = 5
TIMES = 3


@dataclass(frozen=True)
class Usual:
    """What a number of hosts is compared with."""

    assessed: int
    """Hosts that were assessed, of the whole fleet."""
    source: str
    """By which run, in words."""
    last: int | None = None
    """Hosts that the plan before would have changed; ``None``: not known."""


def too_many(hosts: int, usual: Usual) -> str:
    """Return in words why *hosts* are unusually many to change; empty if they are not."""
    if hosts < MANY:
        return ""
    if 100 * hosts > PERCENT * usual.assessed:
        share = f"{100 * hosts / usual.assessed:.0f} % of" if usual.assessed else "of"
        return f"{share} the {usual.assessed:,} assessed {usual.source}, and more than {PERCENT} %"
    if usual.last is not None and hosts > TIMES * usual.last:
        return f"more than {TIMES} times the {usual.last:,} of the plan before"
    return ""


class Brake(Guard):
    """Lets a run over unusually many hosts begin only if *said* is their number.

    *usual* tells what they are compared with, and is asked only if there are many. *ask* asks a person for the number;
    without it nobody is asked.
    """

    def __init__(self, said: int | None, usual: Callable[[], Usual], ask: Callable[[str], str] | None = None) -> None:
        self._said, self._usual, self._ask = said, usual, ask

    def before_start(self, hosts: Sequence[str]) -> Stop | None:
        """Return why the run may not begin."""
        many = len(hosts)
        if self._said is not None:
            if self._said == many:
                return None
            why = f"--yes-many {self._said:,} is not the number of hosts to change, which is {many:,}"
            return Stop(NAME, why, next_step=f"look why, and give --yes-many {many} if that is right")
        why = too_many(many, self._usual()) if many >= MANY else ""
        if not why:
            return None
        if self._ask is not None and self._ask(f"{many:,} hosts would be changed: {why}. Their number?") == str(many):
            return None
        return Stop(
            NAME, f"{many:,} hosts would be changed: {why}", next_step=f"if that is right, give --yes-many {many}"
        )
