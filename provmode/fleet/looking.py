"""Looking at one host of many: what an audit and a plan do with each, and what comes of it.

`look_at` is the same in this process and in a worker process. So a `Question` and a `Looked` can be sent through a
pipe: they have neither a connection nor a function in them that only this process has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from provmode.ccm.client import client_state
from provmode.ccm.judge import judge
from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Assessment, unassessed
from provmode.errors import ProvmodeError
from provmode.fleet.identity import Answering, with_twins
from provmode.fleet.inventory import Fleet
from provmode.fleet.visit import Runner, Visit, failure_of, short
from provmode.remediation.decide import Remediation
from provmode.transport.session import Session
from provmode.waivers.model import Waiver

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HostReport:
    """The report on one host."""

    host: str
    """Its name, without the connector."""
    assessment: Assessment
    state: ClientReadings | None = None
    """What was read; ``None`` if nothing was."""
    requests: int = 0
    """HTTP requests it cost, authentication included."""
    retries: int = 0
    seconds: float = 0.0
    tries: int = 1
    """How often it was looked at in this run; requests, retries and seconds are those of all looks."""
    waived: Waiver | None = None
    """The waiver that covers what was found; ``None`` if none does."""

    @classmethod
    def of(cls, visit: Visit, assessment: Assessment, state: ClientReadings | None) -> HostReport:
        """Return the report on the host of *visit*, with what the visit cost."""
        cost = visit.counters
        return cls(short(visit.host.name), assessment, state, cost.requests, cost.retries, cost.seconds)

    def beside(self, others: Sequence[str]) -> HostReport:
        """Return the report with the finding that the hosts *others* are the same PC."""
        return replace(self, assessment=with_twins(self.assessment, others))

    def after(self, earlier: HostReport) -> HostReport:
        """Return the report of a later look, with what the *earlier* ones cost."""
        return replace(
            self,
            tries=earlier.tries + 1,
            requests=earlier.requests + self.requests,
            retries=earlier.retries + self.retries,
            seconds=earlier.seconds + self.seconds,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the host's row of the JSON report (contract: host, verdict, reason, findings, facts)."""
        return {
            "host": self.host,
            **self.assessment.to_json(),
            "requests": self.requests,
            "retries": self.retries,
            **({"tries": self.tries} if self.tries > 1 else {}),
            "facts": self.state.to_json() if self.state is not None else {},
            **({"waived": self.waived.to_json()} if self.waived is not None else {}),
        }


def failed_assessment(name: str, error: Exception | None) -> Assessment:
    """Return the assessment of a host that could not be looked at because of *error*."""
    if not isinstance(error, ProvmodeError):
        logger.debug("unforeseen error about %s", name, exc_info=error)
    failure = failure_of(error)
    assessment = unassessed(failure.cause, failure.what, failure.next_step)
    return replace(assessment, to_mend=failure.to_mend, passes=failure.passes)


@dataclass(frozen=True)
class Answered:
    """What a PC answered to a question."""

    client: ClientReadings
    assessment: Assessment
    remediation: Remediation | None = None
    """What is to be done; ``None`` if that was not the question."""


class Question(Protocol):
    """What is asked of each host. It can be pickled."""

    def ask(self, session: Session, host: str, policy: Policy, now: Callable[[], datetime]) -> Answered:
        """Ask the PC of *host* over *session*.

        Raises:
            HostError: as `Session.send`.
        """


@dataclass(frozen=True)
class State:
    """The question of an audit: how is the client?"""

    def ask(self, session: Session, host: str, policy: Policy, now: Callable[[], datetime]) -> Answered:
        """Read the client's state and judge it; see `Question`."""
        client = session.converse(client_state(now, policy.legitimate_processes))
        return Answered(client, judge(client, policy, now()))


@dataclass(frozen=True)
class Looked:
    """What came of looking at one host. It can be pickled."""

    name: str
    """Its name in the inventory."""
    report: HostReport
    answering: Answering | None = None
    """Which PC answered; ``None`` if none did."""
    remediation: Remediation | None = None
    """What is to be done, if that was the question and the PC that answered is the one that is meant."""


def look_at(visit: Visit, question: Question, policy: Policy, now: Callable[[], datetime]) -> Looked:
    """Visit one host and ask it *question*; every error becomes its report. *now* is the controller's clock, UTC."""
    name = visit.host.name
    answering: Answering | None = None

    def ask() -> Answered:
        nonlocal answering
        answered = question.ask(visit.session, name, policy, now)
        answering = who = Answering.of(visit.session, answered.client)
        assessment, remediation = who.judged(answered.assessment), answered.remediation
        if remediation is not None:
            remediation = replace(remediation, assessment=assessment) if who.other is None else None
        return Answered(who.shown_in(answered.client), assessment, remediation)

    answered = visit.connected(ask)
    if answered is None:
        return Looked(name, HostReport.of(visit, failed_assessment(name, visit.error), None), answering)
    report = HostReport.of(visit, answered.assessment, answered.client)
    logger.debug("%s: %s by the rule %s", report.host, report.assessment.verdict.value, report.assessment.rule)
    return Looked(name, report, answering, answered.remediation)


def never_looked_at(name: str) -> Looked:
    """Return what to say about a host that a run lost, although nobody interrupted it."""
    return Looked(name, HostReport(short(name), failed_assessment(name, RuntimeError("it was never looked at"))))


class Looker(Protocol):
    """Looks at many hosts."""

    def look(
        self,
        fleet: Fleet,
        policies: Mapping[str, Policy],
        question: Question,
        gather: Callable[[Looked], None],
        *,
        now: Callable[[], datetime],
        stop: Callable[[], bool],
    ) -> None:
        """Ask every host of *policies* the *question*, and give *gather* what comes of each as it comes.

        When *stop* turns true no further host is begun, and hosts in progress are dropped.

        Raises:
            UsageError: a host's data has a value of the wrong type.
        """


@dataclass(frozen=True)
class Here:
    """Looks at many hosts from this process."""

    runner: Runner

    def look(
        self,
        fleet: Fleet,
        policies: Mapping[str, Policy],
        question: Question,
        gather: Callable[[Looked], None],
        *,
        now: Callable[[], datetime],
        stop: Callable[[], bool],
    ) -> None:
        """Ask every host; see `Looker`."""

        def work(visit: Visit) -> None:
            looked = look_at(visit, question, policies[visit.host.name], now)
            visit.forget()
            gather(looked)

        self.runner.visit(fleet, list(policies), work, stop=stop, finish_begun=False)
