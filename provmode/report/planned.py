"""What a plan says of each host, for a report: from a planning run, or from a plan that was written and read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provmode.ccm.impact import Impact
from provmode.ccm.policy import Lowered
from provmode.ccm.verdict import Assessment, Finding, Verdict
from provmode.fleet.lowered import LoweredOn
from provmode.fleet.plan import Planned, Proposal
from provmode.fleet.plan_file import Plan, PlannedHost
from provmode.remediation.steps import Step
from provmode.waivers.model import words_of


@dataclass(frozen=True)
class Row:
    """What a plan says of one host."""

    host: str
    assessment: Assessment
    """Of a plan that was read only with what a report shows: no ages."""
    steps: tuple[Step, ...]
    left_alone: str
    impact: Impact | None
    waived: str = ""
    """Who answers for what was found, in words, if a waiver covers it."""

    @classmethod
    def of(cls, proposal: Proposal) -> Row:
        """Return the row of a planning run's proposal."""
        remediation = proposal.remediation
        return cls(
            proposal.report.host,
            proposal.report.assessment,
            remediation.steps if remediation is not None else (),
            proposal.left_alone,
            remediation.impact if remediation is not None else None,
            proposal.report.waived.words if proposal.report.waived is not None else "",
        )

    @classmethod
    def read(cls, planned: PlannedHost) -> Row:
        """Return the row of a host in a plan that was read.

        Raises:
            LookupError, TypeError, ValueError: the plan lacks something, or a value is impossible.
        """
        document = planned.document
        assessment = Assessment(
            Verdict(planned.verdict),
            planned.reason,
            str(document.get("rule", "")),
            tuple(Finding(str(item["code"]), str(item["text"])) for item in document.get("findings", ())),
            cause=document.get("cause"),
            next_step=str(document.get("next_step", "")),
        )
        impact, waived = document.get("impact"), document.get("waived")
        return cls(
            planned.host,
            assessment,
            planned.steps,
            planned.left_alone,
            Impact.from_json(impact) if impact is not None else None,
            words_of(waived) if waived is not None else "",
        )


def rows_of(planned: Planned) -> list[Row]:
    """Return the rows of a planning run."""
    return [Row.of(proposal) for proposal in planned.proposals]


def rows_in(plan: Plan) -> list[Row]:
    """Return the rows of a plan that was read.

    Raises:
        LookupError, TypeError, ValueError: as `Row.read`.
    """
    return [Row.read(host) for host in plan.hosts]


def lowered_in(document: Mapping[str, Any]) -> Sequence[LoweredOn]:
    """Return the settings that protect less than the defaults, as a plan lists them.

    Raises:
        LookupError, TypeError: a setting lacks something.
    """
    return [
        LoweredOn(Lowered(item["setting"], item["value"], item["says"]), tuple(item["hosts"]))
        for item in document.get("lowered_protection", ())
    ]
