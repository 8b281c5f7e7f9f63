"""Applying a plan on one host: look again, take the lease, carry out the steps, read back, release the lease."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from provmode.ccm.client import client_state, not_answering
from provmode.ccm.impact import window_open
from provmode.ccm.judge import judge
from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import NEXT_STEP, OTHER_COMPUTER, Assessment, Outcome, Verdict, cause_of, outcome, passes
from provmode.errors import (
    AuthenticationFailed,
    Cause,
    CertificateUntrusted,
    HostError,
    OtherComputer,
    ProvmodeError,
    Unreachable,
    UsageError,
)
from provmode.fleet.identity import Answering, Together, name_read
from provmode.fleet.journal import HostRecord, Journal, JournalLost
from provmode.fleet.lease import HostLease
from provmode.fleet.plan_file import PlannedHost
from provmode.fleet.results import HostOutcome
from provmode.fleet.step_files import StepFiles
from provmode.fleet.visit import Visit, failure_of
from provmode.reading import NOT_READ, Known, Unknown, known
from provmode.remediation.decide import ALLOW_SHELLS, check_idle, fingerprint, unread_now, what_changed
from provmode.remediation.execute import PAUSES, Look, OvertakenStep, StaleStep, execute
from provmode.remediation.steps import CLIENT, PACKAGES, TRACES, About, Step
from provmode.transport.session import Session
from provmode.windows.conversation import Conversation, Pause
from provmode.windows.files import StaleFile
from provmode.windows.names import ComputerName
from provmode.windows.system import clock_and_name

CLOCK_HOLDS = timedelta(seconds=30)
"""How long the PC's clock, as the look has read it, is good for the lease that is taken after it."""
AWAY = (Unreachable, AuthenticationFailed, CertificateUntrusted, OtherComputer)
"""Errors of a PC that answered when we looked and cannot be reached since. Any other error is a failed step."""


@dataclass(frozen=True)
class HostResult:
    """How one host ended, and why."""

    host: str
    outcome: HostOutcome
    detail: str = ""
    """A sentence. For a failure it names the step and what can be undone."""
    cause: str | None = None
    """For `unreached`, or `stale` because another PC answers: one of the eleven causes."""
    next_step: str = ""
    steps: tuple[str, ...] = ()
    """What was changed, in words."""
    requests: int = 0
    to_mend: bool = False
    """Whether it is the operator's to mend, whatever the cause says."""
    passes: bool = False
    """Whether it passes by itself, whatever the cause says."""
    tries: int = 1
    """How often the run began it; `requests` are those of all of them."""

    def after(self, earlier: HostResult) -> HostResult:
        """Return the result of a later try, with what the *earlier* ones cost."""
        return replace(self, tries=earlier.tries + 1, requests=earlier.requests + self.requests)

    def to_json(self) -> dict[str, Any]:
        """Return the host's row of the JSON report (contract); cause and next step only if there is one."""
        document: dict[str, Any] = {"host": self.host, "ended": self.outcome.value, "detail": self.detail}
        if self.cause is not None:
            document["cause"] = self.cause
        if self.next_step:
            document["next_step"] = self.next_step
        tries = {"tries": self.tries} if self.tries > 1 else {}
        return {**document, "steps": list(self.steps), "requests": self.requests, **tries}


def settled_client(now: Callable[[], datetime], policy: Policy) -> Conversation[ClientReadings]:
    """Ask a client's state. While its service starts or stops, or started a moment ago, wait and ask again."""
    for pause in (*PAUSES, None):
        client: ClientReadings = yield from client_state(now, policy.legitimate_processes)
        if pause is None or not (not_answering(client) or judge(client, policy, now()).rule == "client-starting"):
            break
        yield Pause(pause)
    return client


class HostApply:
    """Applies one host's part of a plan.

    *earlier* is what the journal of a resumed run says about the host. *today* is the inventory's current policy: a
    host that it would leave alone is left alone, whatever the plan's own policy says. *together* are the PCs that the
    run works on: a host that is one of them under another name is left alone. *files* are those that steps need.

    Raises:
        UsageError: *earlier* has other steps than the plan.
    """

    def __init__(
        self,
        planned: PlannedHost,
        journal: Journal,
        *,
        now: Callable[[], datetime],
        earlier: HostRecord | None = None,
        today: Policy | None = None,
        together: Together | None = None,
        seconds: Callable[[], float] = time.monotonic,
        files: StepFiles | None = None,
    ) -> None:
        self._seconds = seconds
        self._files = files if files is not None else StepFiles()
        self._together = together if together is not None else Together()
        self._planned, self._journal, self._now, self._earlier = planned, journal, now, earlier
        self._today = today if today is not None else planned.policy
        self._policy = planned.policy.protecting_like(self._today)
        self._client: ClientReadings | None = None
        """What the look before the first step has read."""
        self.journal_lost = False
        """Whether the journal could not be written: the run has to end."""
        _check_same_steps(planned, earlier)

    def done_before(self) -> HostResult | None:
        """Return the host's result if an earlier run finished it, or if that run was undone since; else ``None``."""
        earlier, host = self._earlier, self._planned.host
        if earlier is None:
            return None
        if earlier.undone:
            return HostResult(host, HostOutcome.STALE, "its changes were undone since", next_step="plan anew")
        if earlier.outcome in (HostOutcome.CHANGED.value, HostOutcome.ALREADY.value):
            return HostResult(
                host, HostOutcome(earlier.outcome), "done by the run that was resumed", steps=changed_by(earlier)
            )
        return None

    def run(self, visit: Visit) -> HostResult:
        """Work on the host, and release its lease in any case."""
        earlier = self._earlier.leases if self._earlier is not None and not visit.read_only else ()
        lease = HostLease(
            *(self._planned.host, visit.session, self._write, self._journal.run_id),
            earlier=tuple(earlier),
            seconds=self._seconds,
        )
        result = self._work(visit, lease)
        try:
            lease.release()
        except JournalLost:
            self.journal_lost = True
        visit.session.end_shells()  # so that it is among the requests
        return replace(result, requests=visit.counters.requests)

    def _write(self, event: str, **fields: Any) -> None:
        try:
            self._journal.write(event, **fields)
        except OSError as error:
            raise JournalLost(f"the journal cannot be written: {error.strerror}; nothing was sent") from None

    def _work(self, visit: Visit, lease: HostLease) -> HostResult:
        session, host, policy = visit.session, self._planned.host, self._policy

        def look() -> Conversation[None]:
            yield from check_idle(self._now, policy)
            yield from lease.look()

        steps = HostSteps(self._planned, session, self._journal, self._earlier, look, lease.renew, self._files)
        looked = False
        try:
            refused = self._refuse(session)
            looked = True
            if refused is not None:
                return refused
            if visit.read_only:
                return HostResult(host, HostOutcome.FAILED, "the inventory says not to change it (winrm_read_only)")
            session.read_only = False
            lease.take(self._pc_time())
            steps.run()
            if self._planned.about == CLIENT:
                session.begin()
                client = session.converse(settled_client(self._now, policy))
                result = _read_back(host, judge(client, policy, self._now()), steps)
            else:
                result = _done(host, self._planned.about, steps)
        except (StaleStep, StaleFile) as error:
            result = HostResult(host, HostOutcome.STALE, steps.stale(error), next_step=error.next_step)
        except JournalLost as error:
            self.journal_lost = True
            result = HostResult(
                host, HostOutcome.FAILED, str(error), next_step="make room for the journal, then --resume"
            )
        except ProvmodeError as error:
            if not steps.announced and isinstance(error, AWAY if looked else HostError):
                result = unreached(host, error)
            else:
                result = HostResult(host, HostOutcome.FAILED, steps.explain(error.what), next_step=error.next_step)
        except Exception as error:  # noqa: BLE001 - a bug of ours ends this host alone, and is reported
            message = steps.explain(f"provmode's own error ({type(error).__name__}: {error})")
            result = HostResult(host, HostOutcome.FAILED, message, next_step="report it")
        return replace(result, steps=tuple(steps.changed))

    def _refuse(self, session: Session) -> HostResult | None:
        """Look at the host once more; return its result if the plan must not be applied to it, else ``None``."""
        planned, policy = self._planned, self._policy
        client = self._client = session.converse(settled_client(self._now, policy))
        assessment = judge(client, policy, self._now())
        kind = outcome(assessment.verdict)
        earlier = self._earlier if self._earlier is not None and self._earlier.steps else None
        begun = earlier is not None
        if assessment.verdict is Verdict.UNASSESSED:
            return HostResult(
                *(planned.host, HostOutcome.UNREACHED, assessment.reason, assessment.cause, assessment.next_step),
                to_mend=assessment.to_mend,
                passes=assessment.passes,
            )
        if client.computer == NOT_READ:  # a compliant client is not asked for it
            clock, computer = session.converse(clock_and_name())
            client = self._client = replace(client, clock=clock, computer=computer, observed_at=self._now())
        who = Answering.of(session, client)
        elsewhere = self._elsewhere(who, client)
        if elsewhere is not None:
            return elsewhere
        if planned.about != CLIENT:  # each of its steps looks at what it changes; the client's state does not matter
            session.converse(check_idle(self._now, policy))
            waits = planned.about == PACKAGES and self._outside_its_window(session, client, begun=begun)
            return waits or self._worked_on(who, begun=begun)
        if kind is Outcome.COMPLIANT and not begun:
            return HostResult(planned.host, HostOutcome.ALREADY, assessment.reason)
        if earlier is not None:
            # our own earlier steps changed the verdict: a client whose service runs again can be self-healing
            as_left = kind in (Outcome.COMPLIANT, Outcome.PENDING) or assessment.verdict is Verdict.SELF_HEALING
            holds = as_left and all(planned.steps[number].still_done(client) for number in earlier.done)
        else:
            holds = kind is Outcome.PENDING and fingerprint(client) == planned.fingerprint
        if not holds:
            return self._not_as_planned(client)
        return (
            self._left_alone_today(client, begun=begun)
            or self._outside_its_window(session, client, begun=begun)
            or self._worked_on(who, begun=begun)
        )

    def _pc_time(self) -> datetime | None:
        """Return the PC's own time now, if the look has read its clock a moment ago; else ``None``."""
        clock = known(self._client.clock, None) if self._client is not None else None
        if self._client is None or clock is None:
            return None
        passed = self._now() - self._client.observed_at
        return clock.now + passed if timedelta(0) <= passed <= CLOCK_HOLDS else None

    def _elsewhere(self, who: Answering, client: ClientReadings) -> HostResult | None:
        """Return the result for a host whose name leads to another PC than the plan saw, or than is meant."""
        host = self._planned.host
        if who.other is not None:
            return _other_computer(host, f"it leads to another PC, which calls itself {who.other}")
        facts: Mapping[str, Any] = self._planned.document.get("facts", {})
        planned = facts.get("computer")
        named = planned.get("known") if isinstance(planned, Mapping) else None
        if not isinstance(named, str) or not named:
            return None
        before, today = ComputerName(netbios=named), name_read(client.computer)
        if today is None:
            unread = client.computer
            detail = unread.detail or unread.cause if isinstance(unread, Unknown) else "it has no name"
            detail = f"could not tell whether it is the computer that the plan saw: {detail}"
            return HostResult(host, HostOutcome.UNREACHED, detail, Cause.PROTOCOL.value, "apply the plan again")
        if today.is_one_with(before):
            return None
        return _other_computer(host, f"it leads to another computer than when the plan was made: {today}, not {before}")

    def _worked_on(self, who: Answering, *, begun: bool) -> HostResult | None:
        """Return the result for a host that is a PC which the run works on under another name; else ``None``."""
        other = self._together.enter(self._planned.host, who.name)
        if other is None or begun:  # finish what was begun; the lease keeps the two apart
            return None
        detail = f"it is the same PC as {other}, which this run works on"
        return HostResult(self._planned.host, HostOutcome.STALE, detail, next_step="plan anew")

    def _left_alone_today(self, client: ClientReadings, *, begun: bool) -> HostResult | None:
        """Return the result for a host that the inventory's current policy would leave alone; else ``None``."""
        today = judge(client, self._today, self._now())
        if outcome(today.verdict) in (Outcome.PENDING, Outcome.COMPLIANT):
            return None
        if begun and today.verdict is Verdict.SELF_HEALING:
            return None  # finish what was begun
        detail = f"the inventory's policy has changed since the plan: it is {today.verdict.value} now: {today.reason}"
        return HostResult(self._planned.host, HostOutcome.STALE, detail, next_step="plan anew")

    def _outside_its_window(self, session: Session, client: ClientReadings, *, begun: bool) -> HostResult | None:
        """Return the result for a PC that waits for a maintenance window of its own; else ``None``.

        What was begun is finished. A PC that has no such window waits for none, as the client itself does.
        """
        if begun or not self._policy.only_in_maintenance_window:
            return None
        found = session.converse(window_open(known(client.clock, None)))
        if found == Known(False):
            detail = "no maintenance window of this PC is open"
        elif isinstance(found, Unknown):
            detail = f"could not tell whether a maintenance window of this PC is open: {found.detail or found.cause}"
        else:
            return None
        step = "--resume while it is open, or take only_in_maintenance_window out of its policy"
        return HostResult(self._planned.host, HostOutcome.DEFERRED, detail, next_step=step)

    def _not_as_planned(self, client: ClientReadings) -> HostResult:
        facts: Mapping[str, Any] = self._planned.document.get("facts", {})
        unread = unread_now(facts, client)
        if unread is not None:  # unknown does not mean changed
            detail = f"could not tell whether it is as the plan saw it: {unread.detail or unread.cause}"
            cause = cause_of(unread.cause)
            cure = f"{ALLOW_SHELLS}, and " if cause == Cause.SHELLS_FORBIDDEN.value else ""
            again = f"{cure}apply the plan again"
            return HostResult(
                *(self._planned.host, HostOutcome.UNREACHED, detail, cause, again), passes=passes(unread.cause)
            )
        detail = what_changed(facts, client, self._policy, self._now())
        return HostResult(self._planned.host, HostOutcome.STALE, detail, next_step="plan anew")


def _other_computer(host: str, detail: str) -> HostResult:
    return HostResult(host, HostOutcome.STALE, detail, OTHER_COMPUTER, NEXT_STEP[OTHER_COMPUTER])


def _read_back(host: str, assessment: Assessment, steps: HostSteps) -> HostResult:
    if outcome(assessment.verdict) is not Outcome.COMPLIANT:
        problem = f"read back: {assessment.verdict.value}: {assessment.reason}"
        return HostResult(host, HostOutcome.FAILED, steps.explain(problem))
    if not steps.anything_changed:
        return HostResult(host, HostOutcome.ALREADY, "somebody else did it first")
    return HostResult(host, HostOutcome.CHANGED, assessment.reason)


def _done(host: str, about: About, steps: HostSteps) -> HostResult:
    """Return the result for steps that are not about the client: each has read back what it changed."""
    already, changed = _ENDED[about]
    if not steps.anything_changed:
        return HostResult(host, HostOutcome.ALREADY, already)
    return HostResult(host, HostOutcome.CHANGED, changed)


_ENDED: Mapping[About, tuple[str, str]] = {
    TRACES: ("nothing of it was there any more", "removed, and read back"),
    PACKAGES: ("its packages are as planned", "its packages are as planned, read back"),
}


class HostSteps:
    """The steps of one host, carried out in order and journaled."""

    def __init__(
        self,
        planned: PlannedHost,
        session: Session,
        journal: Journal,
        earlier: HostRecord | None,
        look: Look,
        renew: Callable[[], None],
        files: StepFiles,
    ) -> None:
        self._renew, self._files = renew, files
        self._host, self._steps = planned.host, planned.steps
        self._session, self._journal, self._look = session, journal, look
        self._done = earlier.done if earlier is not None else frozenset()
        self._begun = earlier.begun if earlier is not None else frozenset()
        self._changed_before = earlier is not None and earlier.changed
        self.changed: list[str] = list(changed_by(earlier)) if earlier is not None else []
        """What was changed, in words, also by the run that is resumed."""
        self.announced = False
        """Whether a step was announced: from then on a request that changes the PC could have been sent."""
        self._current: Step | None = None
        self._open: int | None = None
        """The step that was announced and has not ended."""
        self._steps_done: list[Step] = []

    @property
    def anything_changed(self) -> bool:
        """Whether a step changed something, in this run or in the run that it resumes."""
        return bool(self._steps_done) or self._changed_before

    def run(self) -> None:
        """Carry out the steps that are not done yet."""
        for number, step in enumerate(self._steps):
            if number in self._done or (step.only_after_changes and not self.anything_changed):
                continue  # whoever made the changes also requests policy
            self._current = step
            self._renew()
            self._session.begin()
            announce, data = self._announcer(number, step), self._files.bytes_of(step)
            ending = self._session.converse(execute(step, announce=announce, data=data, look=self._look))
            if ending == "changed":
                self.changed += [str(item) for item in step.properties]
                self._steps_done.append(step)
                self._end(number, ending)
            elif number in self._begun:  # an earlier run announced it, and it happened: we did it
                self._session.converse(step.clean_up())
                self.changed += [str(item) for item in step.properties]
                self._changed_before = True
                self._end(number, "changed")
            elif self._open == number:  # somebody else did it after we announced it
                self._end(number, ending)
        self._current = None

    def _announcer(self, number: int, step: Step) -> Callable[[Any], None]:
        def announce(previous: bytes | None) -> None:
            try:
                self._journal.step_begun(self._host, number, step, previous)
            except OSError as error:
                raise self._journal_lost(error) from None
            self.announced = True
            self._open = number

        return announce

    def _end(self, number: int, ending: str) -> None:
        self._open = None
        try:
            self._journal.write("step-ended", host=self._host, number=number, ending=ending)
        except OSError as error:
            raise self._journal_lost(error) from None

    def _journal_lost(self, error: OSError) -> JournalLost:
        return JournalLost(f"the journal cannot be written: {error.strerror}; {_done_before(self._steps_done)}")

    def stale(self, error: HostError) -> str:
        """Explain a stale step; journal that the announced step did not happen, if that is certain."""
        number = self._open
        if number is not None and number not in self._begun and not isinstance(error, OvertakenStep):
            try:
                self._end(number, "stale")
            except JournalLost:
                pass  # leave it open: claim less rather than more
        return self.explain(error.what)

    def explain(self, what: str) -> str:
        """Return *what* happened, with the step it happened in and what was done before."""
        where = f"{self._current.properties[0].name}: " if self._current is not None else ""
        return f"{where}{what}; {_done_before(self._steps_done)}"


def _done_before(steps: Sequence[Step]) -> str:
    """Return in words which steps were done before, and which of them can be undone."""
    if not steps:
        return "nothing was done before"
    undoable = [step.properties[0].name for step in steps if step.undo is not None]
    done = ", ".join(step.properties[0].name for step in steps)
    return f"done before: {done}" + (f" (undo restores {', '.join(undoable)})" if undoable else " (cannot be undone)")


def changed_by(earlier: HostRecord) -> tuple[str, ...]:
    """Return in words what an earlier run changed on a host."""
    return tuple(str(item) for record in earlier.steps if record.ending == "changed" for item in record.step.properties)


def _check_same_steps(planned: PlannedHost, earlier: HostRecord | None) -> None:
    for record in earlier.steps if earlier is not None else ():
        if not 0 <= record.number < len(planned.steps) or planned.steps[record.number] != record.step:
            raise UsageError(
                f"the journal has another step on {planned.host} than the plan: the plan was edited since",
                next_step="give the plan it was written for",
            )


def unreached(host: str, error: Exception | None) -> HostResult:
    """Return the result for a host that could not be reached because of *error*."""
    failure = failure_of(error)
    outcome = HostOutcome.STALE if isinstance(error, OtherComputer) else HostOutcome.UNREACHED
    words = (failure.what, failure.cause, failure.next_step)
    return HostResult(host, outcome, *words, to_mend=failure.to_mend, passes=failure.passes)
