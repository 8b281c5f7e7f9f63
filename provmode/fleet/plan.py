"""Planning: every host of a selection looked at, and what would be changed on it written down. Changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from provmode import __version__
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Assessment
from provmode.fleet.audit import Audit, HostReport, failed_assessment
from provmode.fleet.inventory import Fleet
from provmode.fleet.plan_file import FORMAT, VERSION
from provmode.fleet.visit import WORKING, Visit, policies_of, short, visit_all
from provmode.reading import plain
from provmode.remediation.decide import LEFT_ALONE, Remedy, survey_remedy


@dataclass(frozen=True)
class Proposal:
    """What a plan says about one host."""

    name: str
    """As the inventory has it."""
    report: HostReport
    remedy: Remedy | None
    """``None`` where it could not be assessed."""
    policy: Policy

    @property
    def left_alone(self) -> str:
        """Why nothing is done; empty where something is."""
        return self.remedy.left_alone if self.remedy is not None else LEFT_ALONE[self.report.assessment.verdict]

    def to_json(self) -> dict[str, Any]:
        """Return the host's part of the plan file."""
        remedy = self.remedy
        return {
            **self.report.to_json(),
            "name": self.name,
            "policy": plain(dataclasses.asdict(self.policy)),
            "fingerprint": remedy.fingerprint if remedy is not None else None,
            "steps": [step.to_json() for step in remedy.steps] if remedy is not None else [],
            "left_alone": self.left_alone,
            "impact": remedy.impact.to_json() if remedy is not None and remedy.impact is not None else None,
        }


@dataclass
class Planned:
    """A whole planning run."""

    audit: Audit
    proposals: list[Proposal] = field(default_factory=list)

    @property
    def changing(self) -> list[Proposal]:
        """Hosts on which something would be changed."""
        return [item for item in self.proposals if item.remedy is not None and item.remedy.steps]

    def document(
        self, *, plan_id: str, inventory: str, limit: Sequence[str], by: str, now: datetime, valid: timedelta
    ) -> dict[str, Any]:
        """Return the plan file's content, unsigned."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "provmode": __version__,
            "id": plan_id,
            "created": now.isoformat(),
            "expires": (now + valid).isoformat(),
            "by": by,
            "inventory": inventory,
            "limit": list(limit),
            "hosts": [item.to_json() for item in self.proposals],
        }


def run_plan(
    fleet: Fleet,
    names: Sequence[str],
    *,
    now: Callable[[], datetime],
    progress: Callable[[HostReport], None] = lambda report: None,
    stop: Callable[[], bool] = lambda: False,
    working: int = WORKING,
) -> Planned:
    """Look at every host of *names* and return what would be changed; every session is read-only.

    Raises:
        UsageError: as `run_audit`; nothing was sent.
    """
    policies = policies_of(fleet, names)
    planned = Planned(Audit([short(name) for name in names]))

    def work(visit: Visit) -> None:
        policy = policies[visit.host.name]
        remedy = visit.connected(lambda: visit.session.converse(survey_remedy(now, policy)))
        assessment: Assessment = remedy.assessment if remedy else failed_assessment(visit.host.name, visit.error)
        counters = visit.counters
        report = HostReport(
            short(visit.host.name),
            assessment,
            remedy.state if remedy is not None else None,
            requests=counters.requests,
            retries=counters.retries,
            seconds=counters.seconds,
        )
        planned.audit.reports.append(report)
        planned.proposals.append(Proposal(visit.host.name, report, remedy, policy))
        progress(report)

    visit_all(fleet, names, work, stop=stop, working=working)
    planned.audit.interrupted = stop()
    position = {name: number for number, name in enumerate(names)}
    planned.proposals.sort(key=lambda item: position[item.name])
    planned.audit.reports = [item.report for item in planned.proposals]
    return planned
