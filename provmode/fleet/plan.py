"""Planning: look at every host of a selection, and write down what would be changed on it. Changes nothing."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from provmode import __version__
from provmode.ccm.machine import machine
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import OTHER_COMPUTER, Outcome, Verdict
from provmode.errors import HostError
from provmode.fleet.audit import Audit, named, row_of, waive
from provmode.fleet.identity import Answering, twins
from provmode.fleet.inventory import Fleet, InventorySource, load
from provmode.fleet.looking import Answered, Here, HostReport, Looked, Looker, Question, never_looked_at
from provmode.fleet.lowered import lowered_in
from provmode.fleet.plan_file import FORMAT, VERSION, MadeFrom
from provmode.fleet.progress import SILENT, Progress
from provmode.fleet.visit import GeventRunner, Runner, looked_up, never, policies_of, short
from provmode.reading import plain
from provmode.remediation.decide import LEFT_ALONE, Remediation, plan_remediation
from provmode.remediation.steps import CLIENT, About
from provmode.transport.session import Session
from provmode.waivers.match import Book, held_by
from provmode.waivers.model import NONE, Waivers

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compliance:
    """The question of a plan: how is the client, and what would bring it into compliance?"""

    def ask(self, session: Session, host: str, policy: Policy, now: Callable[[], datetime]) -> Answered:
        """Look at the client and decide; see `Question`."""
        remediation = session.converse(plan_remediation(now, policy))
        if remediation.steps:
            try:
                remediation = dataclasses.replace(remediation, machine=session.converse(machine()))
            except HostError as error:  # only the order of the waves depends on it
                logger.debug("%s: could not ask what kind of PC it is: %s", host, error.what)
        return answered(remediation)


def answered(remediation: Remediation) -> Answered:
    """Return what a PC answered, if the question was what is to be done."""
    return Answered(remediation.client, remediation.assessment, remediation)


@dataclass(frozen=True)
class Proposal:
    """What a plan says about one host."""

    name: str
    """Its name in the inventory."""
    report: HostReport
    remediation: Remediation | None
    """``None`` if the host could not be assessed."""
    policy: Policy

    @property
    def left_alone(self) -> str:
        """Why nothing is done; empty if something is."""
        if self.remediation is not None:
            return self.remediation.left_alone
        if self.report.assessment.cause == OTHER_COMPUTER:
            return "another PC answers, and nothing is changed there"
        return LEFT_ALONE[self.report.assessment.verdict]

    @property
    def counts_as(self) -> Outcome:
        """What it counts as without steps, in a plan that is not about the clients."""
        return self.remediation.counts_as if self.remediation is not None else Outcome.COMPLIANT

    def to_json(self) -> dict[str, Any]:
        """Return the host's part of the plan file."""
        remediation = self.remediation
        impact, kind = (remediation.impact, remediation.machine) if remediation is not None else (None, None)
        return {
            **self.report.to_json(),
            "name": self.name,
            "policy": plain(dataclasses.asdict(self.policy)),
            "fingerprint": remediation.fingerprint if remediation is not None else None,
            "steps": [step.to_json() for step in remediation.steps] if remediation is not None else [],
            "left_alone": self.left_alone,
            "impact": impact.to_json() if impact is not None else None,
            **({"machine": kind.to_json()} if kind is not None else {}),
        }


@dataclass
class Planned:
    """The result of a planning run."""

    audit: Audit
    proposals: list[Proposal] = field(default_factory=list)
    about: About = CLIENT
    """What its steps are for."""
    made_from: MadeFrom | None = None
    """The hosts that it was made from, if the inventory was no program."""
    same: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Hosts that are one PC with others, and these others."""

    def exit_code(self) -> int:
        """Return the run's exit code (contract): see `provmode.fleet.results`."""
        if self.about == CLIENT:
            return self.audit.exit_code()
        changing = {item.report.host for item in self.changing}
        counts_as = {item.report.host: item.counts_as for item in self.proposals}

        def outcome_of(report: HostReport) -> Outcome:
            if report.host in changing:
                return Outcome.PENDING
            assessment = report.assessment
            return assessment.outcome if assessment.verdict is Verdict.UNASSESSED else counts_as[report.host]

        return self.audit.exit_code(outcome_of)

    @property
    def changing(self) -> list[Proposal]:
        """Hosts on which something would be changed."""
        return [item for item in self.proposals if item.remediation is not None and item.remediation.steps]

    def document(
        self,
        *,
        plan_id: str,
        inventory: str,
        limit: Sequence[str],
        exclude: Sequence[str] = (),
        by: str,
        now: datetime,
        valid: timedelta,
        change: str = "",
    ) -> dict[str, Any]:
        """Return the plan file's content, unsigned."""
        lowered = [item.to_json() for item in self.audit.lowered]
        return {
            "format": FORMAT,
            "version": VERSION,
            "provmode": __version__,
            "id": plan_id,
            "created": now.isoformat(),
            "expires": (now + valid).isoformat(),
            "by": by,
            "inventory": inventory,
            **({"change": change} if change else {}),
            "limit": list(limit),
            **({"exclude": list(exclude), "excluded": list(self.audit.excluded)} if exclude else {}),
            **({"lowered_protection": lowered} if lowered else {}),
            **({"made_from": self.made_from.to_json()} if self.made_from is not None else {}),
            **({"interrupted": True, "missing": self.audit.missing} if self.audit.interrupted else {}),
            "hosts": [item.to_json() for item in self.proposals],
        }


def plan_inventory(
    inventory: str | InventorySource,
    *,
    now: Callable[[], datetime],
    limit: Sequence[str] = (),
    exclude: Sequence[str] = (),
    override: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
    stop: Callable[[], bool] = never,
    runner: Runner | None = None,
    looker: Looker | None = None,
    waivers: Waivers = NONE,
) -> Planned:
    """Look at the hosts of an inventory and return what would be changed; *limit* names some of them.

    Findings that *waivers* cover are marked, and hosts that they hold are left alone.

    Raises:
        UsageError: the inventory cannot be used; nothing was sent.
    """
    fleet = load(inventory, override=override)
    chosen = fleet.choose(limit, exclude)
    planned = run_plan(fleet, chosen.names, now=now, progress=progress, stop=stop, runner=runner, looker=looker)
    planned.audit.about(named(inventory), limit, exclude, chosen)
    take_waivers(planned, fleet, waivers, now())
    return planned


def take_waivers(planned: Planned, fleet: Fleet, waivers: Waivers, now: datetime) -> None:
    """Mark the findings that *waivers* cover at a moment, and plan nothing for hosts that they hold.

    A plan that is not about the clients is about no findings: there only holds count.
    """
    if not waivers.waivers:
        return
    audit, book = planned.audit, Book(waivers)
    if planned.about == CLIENT:
        waive(audit, fleet, waivers, now, complete=audit.complete)
        planned.proposals = [
            dataclasses.replace(item, report=report)
            for item, report in zip(planned.proposals, audit.reports, strict=True)
        ]
    rows = {item.report.host: row_of(item.report, fleet.groups_of.get(item.name, ())) for item in planned.proposals}
    holds = {host: hold for host, row in rows.items() if (hold := book.hold(row, now)) is not None}
    for number, item in enumerate(planned.proposals):
        host, remediation = item.report.host, item.remediation
        hold = next((holds[name] for name in (host, *planned.same.get(host, ())) if name in holds), None)
        differs = remediation is not None and (remediation.steps or item.counts_as is Outcome.PENDING)
        if hold is not None and remediation is not None and (differs or host in planned.same):
            remediation = dataclasses.replace(
                remediation, steps=(), impact=None, left_alone=held_by(hold), counts_as=Outcome.COMPLIANT
            )
            planned.proposals[number] = dataclasses.replace(item, remediation=remediation)


def run_plan(
    fleet: Fleet,
    names: Sequence[str],
    *,
    now: Callable[[], datetime],
    progress: Progress = SILENT,
    stop: Callable[[], bool] = never,
    runner: Runner | None = None,
    looker: Looker | None = None,
    question: Question | None = None,
    about: About = CLIENT,
) -> Planned:
    """Look at every host of *names* and return what would be changed; every session is read-only.

    *question* is asked instead of what would bring the clients into compliance; *about* says what its steps are for.
    *runner* and *looker* are as in `run_audit`.

    Raises:
        UsageError: as `run_audit`; nothing was sent.
    """
    policies = policies_of(fleet, names)
    planned = Planned(Audit([short(name) for name in names], lowered=lowered_in(fleet, names, policies)))
    planned.about, planned.made_from, planned.audit.notes = about, fleet.kept(names), fleet.notes
    planned.audit.by_name, planned.audit.began = looked_up(fleet, names), now()
    answering: dict[str, Answering] = {}
    progress.begin(len(names))

    def gather(looked: Looked) -> None:
        if looked.answering is not None:
            answering[looked.report.host] = looked.answering
        planned.proposals.append(Proposal(looked.name, looked.report, looked.remediation, policies[looked.name]))
        progress.ended(looked.report)

    looks = looker or Here(runner or GeventRunner())
    looks.look(fleet, policies, question or Compliance(), gather, now=now, stop=stop)
    planned.audit.interrupted = stop()
    if not planned.audit.interrupted:
        done = {item.name for item in planned.proposals}
        for name in (name for name in names if name not in done):
            planned.proposals.append(Proposal(name, never_looked_at(name).report, None, policies[name]))
    position = {name: number for number, name in enumerate(names)}
    planned.proposals.sort(key=lambda item: position[item.name])
    _once_a_pc(planned, answering)
    planned.audit.reports = [item.report for item in planned.proposals]
    planned.audit.ended = now()
    return planned


def _once_a_pc(planned: Planned, answering: Mapping[str, Answering]) -> None:
    """Say which hosts are one PC, and leave each such PC to the first of its hosts that has steps."""
    planned.same = others = twins(answering, planned.audit.selected)
    changing: set[str] = set()
    for number, item in enumerate(planned.proposals):
        host = item.report.host
        if host not in others:
            continue
        found, remediation = item.report.beside(others[host]), item.remediation
        if remediation is not None:
            remediation = dataclasses.replace(remediation, assessment=found.assessment)
            first = next((other for other in others[host] if other in changing), None)
            if remediation.steps and first is not None:
                left_alone = f"the same PC as {first}, which the plan changes"
                remediation = dataclasses.replace(
                    remediation, steps=(), impact=None, machine=None, left_alone=left_alone
                )
            elif remediation.steps:
                changing.add(host)
        planned.proposals[number] = dataclasses.replace(item, report=found, remediation=remediation)
