"""The limits that count in a run: those told by name, else those it was begun with, else the safe ones.

A run that is resumed goes on as it was begun: its journal has the limits. A journal of a version that did not keep them
has none, and then the safe ones count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provmode.fleet.journal import first_line_torn, read
from provmode.fleet.plan_file import PlannedHost
from provmode.fleet.retrying import Retrying
from provmode.fleet.waves import SAFE, Limits
from provmode.signing.keys import Given


@dataclass(frozen=True)
class Settled:
    """The limits of a run, and where they come from."""

    limits: Limits
    source: str
    """In words, for the people who watch the run."""


NEW = "the safe ones, where you named none"
AS_BEGUN = "as the run was begun, where you named none"
NOT_KEPT = (
    "the journal does not say how the run was begun (an earlier version wrote it): the safe ones, where you named none"
)


def usual(configured: Mapping[str, Any], file: Path | None) -> Settled:
    """Return the limits of a new run where none is told by name: those *configured* in a *file*, else the safe ones."""
    if not configured:
        return Settled(SAFE, NEW)
    return Settled(SAFE.changed(configured), f"those of {file}, else the safe ones, where you named none")


def settle(
    given: Mapping[str, Any],
    journal: Path,
    *,
    resume: bool,
    key: Given,
    new: Settled = Settled(SAFE, NEW),
) -> Settled:
    """Return the limits of a run; *given* are the fields of `Limits` that were told by name, *new* those of a new run.

    Raises:
        UsageError: the journal of the run to *resume* cannot be trusted.
    """
    if not resume or not journal.exists() or first_line_torn(journal):  # then nothing has begun
        return Settled(new.limits.changed(given), new.source)
    begun = read(journal, key).limits
    if begun is None:
        return Settled(SAFE.changed(given), NOT_KEPT)
    return Settled(begun.changed(given), AS_BEGUN)


@dataclass(frozen=True)
class Coming:
    """What is about to happen: said before the first host."""

    waves: tuple[tuple[PlannedHost, ...], ...]
    """The hosts of each wave, in order, without those that an earlier run finished."""
    finished: int
    """Hosts that an earlier run finished: they are not worked on again."""
    limits: Limits
    retrying: Retrying | None = None
    """Until when, and how often, hosts that are not reached are tried again; ``None``: they are not."""
    held: int = 0
    """Hosts that get no turn because a waiver holds them."""

    @property
    def hosts(self) -> tuple[PlannedHost, ...]:
        """All hosts that are worked on."""
        return tuple(host for wave in self.waves for host in wave)
