"""Looking again, after a soak, at hosts that were changed: which of them have relapsed.

A client that is in the mode again, will be, or is broken now, was not helped: that counts as a failure. A host that
cannot be looked at has shown nothing, and counts as nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Assessment, Outcome, Verdict
from provmode.fleet.apply_host import HostResult
from provmode.fleet.inventory import Fleet
from provmode.fleet.looking import Here, Looked, State
from provmode.fleet.results import HostOutcome
from provmode.fleet.visit import Runner


class Again(str, Enum):
    """What another look at a host that was changed has shown."""

    HOLDS = "holds"
    RELAPSED = "relapsed"
    """In the mode again, or about to be, or the client is broken."""
    NOT_SEEN = "not-seen"
    """It could not be looked at: that is no failure."""


def again(assessment: Assessment) -> Again:
    """Return what *assessment*, of a host that was changed, means."""
    if assessment.verdict is Verdict.UNASSESSED:
        return Again.NOT_SEEN
    bad = assessment.outcome in (Outcome.PENDING, Outcome.FAILED) or assessment.verdict is Verdict.SELF_HEALING
    return Again.RELAPSED if bad else Again.HOLDS


def relapsed(before: HostResult, assessment: Assessment) -> HostResult:
    """Return the result of a host that ended as *before*, and is as *assessment* says since."""
    return replace(
        before,
        outcome=HostOutcome.FAILED,
        detail=f"changed, and looked at again after the soak: {assessment.verdict.value}: {assessment.reason}",
        next_step="find out what brings it back before you plan anew",
    )


@dataclass
class LookedAgain:
    """What other looks at the hosts of earlier waves have shown."""

    found: dict[str, Again] = field(default_factory=dict)
    """What the last of them has shown, by the host's name in the inventory."""

    def look(
        self,
        runner: Runner,
        fleet: Fleet,
        policies: Mapping[str, Policy],
        gather: Callable[[str, Assessment], None],
        *,
        now: Callable[[], datetime],
        stop: Callable[[], bool],
    ) -> None:
        """Look at the hosts of *policies*, and tell *gather* of those that have relapsed."""

        def take(looked: Looked) -> None:
            assessment = looked.report.assessment
            self.found[looked.name] = again(assessment)
            if self.found[looked.name] is Again.RELAPSED:
                gather(looked.name, assessment)

        Here(runner).look(fleet, policies, State(), take, now=now, stop=stop)

    def to_json(self) -> dict[str, int]:
        """Return how many hosts have shown what (contract)."""
        found = list(self.found.values())
        return {each.value: found.count(each) for each in Again}
