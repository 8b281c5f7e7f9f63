"""What is known of a run, as it is given to the history, and as the history gives it back. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from provmode.history.gathered import Gathered, Look

LOOKS = ("audit", "plan", "push")
"""Kinds of runs that look at hosts."""
CHANGES = ("apply", "push", "undo")
"""Kinds of runs that change them."""
KINDS = ("audit", "plan", "push", "apply", "undo")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def number_of(time: datetime) -> int:
    """Return a time as the history stores it: microseconds since 1970, UTC."""
    return (time - _EPOCH) // _MICROSECOND


@functools.lru_cache(maxsize=4096)  # the hosts of a run share the few moments at which runs began
def time_of(number: int) -> datetime:
    """Return a time that was stored."""
    return _EPOCH + timedelta(microseconds=number)


STEPS = "steps"
"""In what is said about a run: what its steps are for, if none of them is about the client."""


@dataclass(frozen=True)
class Change:
    """How one host ended in a run that changes PCs."""

    host: str
    at: datetime
    outcome: str
    """`provmode.fleet.results.HostOutcome`."""
    changed: bool
    """Whether something was changed on it, or might have been."""
    detail: str = ""
    cause: str | None = None
    next_step: str = ""
    steps: tuple[str, ...] = ()
    """What was changed, in words."""


@dataclass(frozen=True)
class NewRun:
    """A run that is over, for the history."""

    name: str
    """Its id: the same run is never written twice."""
    kind: str
    began: datetime
    ended: datetime
    inventory: str
    complete: bool
    """Whether it looked at every host of the inventory, and was not interrupted."""
    exit_code: int | None
    by: str
    version: str
    rows: Iterable[Mapping[str, Any]] = ()
    """The looks, as rows of the JSON report (`docs/audit.schema.json`)."""
    looks: Gathered | None = field(default=None, kw_only=True)
    """The looks, if they were digested as they came; then `rows` is empty."""
    changes: tuple[Change, ...] = ()
    plan: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else is known: ``limit``, ``exclude``, ``settings``, ``notes``."""


@dataclass(frozen=True)
class Run:
    """A run in the history."""

    number: int
    """A short number, in the order in which runs were written."""
    name: str
    kind: str
    began: datetime
    ended: datetime
    inventory: str
    complete: bool
    exit_code: int | None
    by: str
    version: str
    plan: str | None
    counts: Mapping[str, int]
    """Hosts by verdict; of a run that only changes PCs, by how they ended."""
    about: Mapping[str, Any]
    looked: int = field(repr=False, default=0)
    """The hosts that it looked at (`provmode.history.bits`), by their numbers in the history."""
    assessed: int = field(repr=False, default=0)
    rounds: tuple[tuple[int, int], ...] = field(repr=False, default=())
    """Of each later round that found hosts: when it began, as the history stores it, and the hosts that it found."""

    @property
    def hosts(self) -> int:
        """How many hosts it was about."""
        return sum(self.counts.values())

    @property
    def at(self) -> int:
        """When it began, as the history stores it."""
        return number_of(self.began)


def rounds_of(
    run: NewRun, looks: Mapping[str, Look], assessed: Callable[[bytes], bool]
) -> list[tuple[int, Collection[str]]]:
    """Return when a run looked, and which hosts it found then: first when it began, then each later round.

    *looks* are by the host's name, and *assessed* says of a look's digest whether it assessed the host. Such a host was
    found in the round that its ``tries`` say. One that was never assessed counts with the beginning: it was away since.
    """
    began, ended = number_of(run.began), number_of(run.ended)
    later: dict[int, list[str]] = {}
    for name, look in looks.items():
        if look.tries > 1 and assessed(look.key):
            later.setdefault(look.tries, []).append(name)
    rounds: list[tuple[int, Collection[str]]] = []
    for names in later.values():
        times = (_read_at(looks[name]) for name in names)
        moment = min((time for time in times if time is not None and began < time <= ended), default=None)
        if moment is not None:
            rounds.append((moment, names))
    if not rounds:
        return [(began, looks.keys())]
    return [(began, looks.keys() - {name for _, names in rounds for name in names}), *sorted(rounds, key=_first)]


def _first(round_: tuple[int, Collection[str]]) -> int:
    return round_[0]


def _read_at(look: Look) -> int | None:
    """Return when a host was read; ``None`` if the report does not say it."""
    try:
        return number_of(datetime.fromisoformat(look.observed_at))
    except (TypeError, ValueError, OverflowError):
        return None  # an old report, or an edited one
