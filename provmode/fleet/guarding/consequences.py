"""What the steps of a plan set off on the PCs: installs and restarts, as far as the plan knows. Pure.

Leaving the mode starts the required deployments that are past their deadline, and lets a pending restart come. What
could not be told counts as one of each, because it could be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provmode.ccm.impact import Impact
from provmode.fleet.guards import Guard, Stop
from provmode.fleet.plan_file import PlannedHost
from provmode.reading import Known, Unknown, known

NAME = "max-restarts"


@dataclass(frozen=True)
class SetOff:
    """What is set off, and what of it could not be told."""

    installs: int = 0
    restarts: int = 0
    not_told: int = 0
    """How many of them are counted because it could not be told whether there are any."""

    @property
    def total(self) -> int:
        """Installs and restarts together."""
        return self.installs + self.restarts

    def __add__(self, other: SetOff) -> SetOff:
        """Return both together."""
        return SetOff(self.installs + other.installs, self.restarts + other.restarts, self.not_told + other.not_told)

    @property
    def words(self) -> str:
        """What it is, in words."""
        not_told = f" ({self.not_told:,} of them could not be told, and count)" if self.not_told else ""
        return f"{self.installs:,} install{'s' * (self.installs != 1)} and {self.restarts:,} restart" + (
            f"{'s' * (self.restarts != 1)}{not_told}"
        )


def impact_of(document: Mapping[str, Any]) -> Impact | None:
    """Return what a plan says that leaving the mode sets off on a host; ``None`` if it does not say."""
    try:
        return Impact.from_json(document["impact"])
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def set_off(host: PlannedHost) -> SetOff:
    """Return what the steps of a host set off: nothing, if they do not leave the mode."""
    if not any(step.kind == "mode" for step in host.steps):
        return SetOff()
    impact = impact_of(host.document)
    if impact is None:
        return SetOff(1, 1, 2)
    untold = [isinstance(reading, Unknown) for reading in (impact.past_due, impact.reboot_pending)]
    installs = 1 if untold[0] else len(known(impact.past_due, ()))
    restarts = 1 if untold[1] or impact.reboot_pending == Known(True) else 0
    return SetOff(installs, restarts, sum(untold))


def all_set_off(hosts: Iterable[PlannedHost]) -> SetOff:
    """Return what the steps of all *hosts* set off."""
    return sum(map(set_off, hosts), SetOff())


class MostRestarts(Guard):
    """Lets a run begin only if what it sets off is at most *most* installs and restarts."""

    def __init__(self, most: int, planned: Mapping[str, PlannedHost]) -> None:
        self._most, self._planned = most, planned

    def before_start(self, hosts: Sequence[str]) -> Stop | None:
        """Return why the run may not begin."""
        found = all_set_off(self._planned[name] for name in hosts)
        if found.total <= self._most:
            return None
        why = f"leaving the mode would set off {found.words}, more than the {self._most:,} of --max-restarts"
        return Stop(NAME, why, next_step=f"choose fewer hosts (--limit), or give --max-restarts {found.total}")
