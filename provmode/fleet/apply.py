"""Applying a plan: exactly what it says, host by host, in waves, with every change journalled before it is made.

A host ends in one of six ways (`Ended`). Whatever goes wrong on one host concerns that host; what goes wrong too often
ends the run after the wave it happened in (`Budget`, counted over the hosts that were reached).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, Union

import gevent

from provmode.ccm.client import away, client_state
from provmode.ccm.judge import judge
from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Assessment, Outcome, Verdict, outcome
from provmode.errors import (
    AuthenticationFailed,
    Cause,
    CertificateUntrusted,
    HostError,
    ProvmodeError,
    Unreachable,
    UsageError,
)
from provmode.fleet.host_lease import Claim
from provmode.fleet.inventory import Fleet
from provmode.fleet.journal import HostRecord, Journal
from provmode.fleet.plan_file import Plan, PlannedHost
from provmode.fleet.visit import WORKING, Visit, cause_of_failure, short, visit_all
from provmode.fleet.waves import Budget
from provmode.reading import known
from provmode.remediation.decide import fingerprint, moved, not_read_again, still_idle
from provmode.remediation.execute import PAUSES, Look, OvertakenStep, StaleStep, perform
from provmode.remediation.steps import DisarmTcf, RequestPolicy, SetMode, SetStartMode, Step
from provmode.transport.session import Session
from provmode.windows.conversation import Pause
from provmode.windows.files import StaleFile
from provmode.wsman import Operation


class Ended(str, Enum):
    """How a host ended."""

    CHANGED = "changed"
    """As planned, and read back."""
    ALREADY = "already"
    """It was compliant before anything was done; nothing was changed."""
    STALE = "stale"
    """It is not what the plan saw, or another controller is at work on it; nothing was changed from there on."""
    FAILED = "failed"
    """A step failed, or reading back does not show a compliant client."""
    UNREACHED = "unreached"
    NOT_STARTED = "not-started"

    def __str__(self) -> str:
        """Return the word itself."""
        return self.value


AWAY = (Unreachable, AuthenticationFailed, CertificateUntrusted)
"""Errors of a PC that was there for the look and is not any more; any other is a step that failed."""


@dataclass(frozen=True)
class HostResult:
    """How one host ended, and why."""

    host: str
    ended: Ended
    detail: str = ""
    """A sentence; for failures with the step and what can be undone."""
    cause: str | None = None
    """For `unreached`: one of the nine causes."""
    next_step: str = ""
    steps: tuple[str, ...] = ()
    """What was changed, in words."""
    requests: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name; causes only where there is one."""
        document: dict[str, Any] = {"host": self.host, "ended": self.ended.value, "detail": self.detail}
        if self.cause is not None:
            document["cause"] = self.cause
        if self.next_step:
            document["next_step"] = self.next_step
        return {**document, "steps": list(self.steps), "requests": self.requests}


@dataclass
class Applied:
    """A whole run."""

    results: list[HostResult] = field(default_factory=list)
    interrupted: bool = False
    over_budget: str = ""
    """Why the run ended before its last wave."""

    def count(self, ended: Ended) -> int:
        """Return how many hosts ended so."""
        return sum(result.ended is ended for result in self.results)

    def exit_code(self) -> int:
        """Return the run's exit code (contract): 4 failed, 2 something is pending still, 6 both, 8 only unreached."""
        if self.interrupted:
            return 130
        code = 4 if self.count(Ended.FAILED) else 0
        code |= 2 if self.count(Ended.STALE) or self.count(Ended.NOT_STARTED) else 0
        return code or (8 if self.count(Ended.UNREACHED) else 0)


Conversing = Generator[Union[Operation, Pause], Any, ClientReadings]


def settled_state(now: Callable[[], datetime], policy: Policy) -> Conversing:
    """Ask a client's state; while its service is on its way up or down, or up a moment ago, wait and ask again."""
    for pause in (*PAUSES, None):
        state: ClientReadings = yield from client_state(now, policy.legitimate_processes)
        if pause is None or not (away(state) or judge(state, policy, now()).rule == "client-starting"):
            break
        yield Pause(pause)
    return state


class Application:
    """Applies one plan to a fleet.

    *now* is the controller's clock. *policies* are the inventory's as they are now, by host: a host that one of them
    would leave alone is left alone, whatever the plan's own says. *told* is what an earlier run's journal says of each
    host, when it is resumed.

    Raises:
        UsageError: *told* is of a plan with other steps.
    """

    def __init__(
        self,
        plan: Plan,
        fleet: Fleet,
        journal: Journal,
        *,
        now: Callable[[], datetime],
        told: Mapping[str, HostRecord] | None = None,
        policies: Mapping[str, Policy] | None = None,
        working: int = WORKING,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[HostResult], None] = lambda result: None,
        pause: Callable[[float], Any] = gevent.sleep,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet, self._journal, self._now = fleet, journal, now
        self._told, self._policies = told or {}, policies or {}
        self._working, self._stop, self._progress = working, stop, progress
        self._pause, self._seconds = pause, seconds
        self._planned = {host.name: host for host in plan.changing}
        self._expires = plan.expires
        for host in plan.changing:
            _fits(host, self._told.get(host.host))
        self.applied = Applied()
        self.halted = False
        """Whether the journal could not be written and the run had to end."""
        self._worked = False
        """Whether a host of the last wave was worked on: what an earlier run did needs no soak."""
        self._budget: Budget | None = None
        self._failed = self._reached = 0
        self._to_come, self._later = 0, 0
        """Hosts of this wave that have not ended, and of those after it."""

    def run(self, waves: Sequence[int], *, soak: float = 0.0, budget: Budget | None = None) -> Applied:
        """Apply to the plan's hosts, *waves* of so many hosts each, *soak* seconds between them.

        No further host is begun once the failure *budget* is spent, whatever the rest of the wave may bring.
        """
        names, position = list(self._planned), 0
        self._budget, self._later = budget, len(names)
        for number, size in enumerate(waves):
            wave, position = names[position : position + size], position + size
            if number and self._worked and not self._soak(soak):
                break
            if self._ended_early():
                break
            self._worked = False
            self._to_come, self._later = len(wave), len(names) - position
            self._wave(wave)
            if self._ended_early():
                break
        self._not_started(names)
        self.applied.interrupted = self._stop()
        order = {short(name): number for number, name in enumerate(names)}
        self.applied.results.sort(key=lambda result: order[result.host])
        return self.applied

    def _soak(self, soak: float) -> bool:
        """Wait between waves; returns whether the run goes on."""
        until = self._seconds() + soak
        while (left := until - self._seconds()) > 0 and not self._stop():
            self._pause(min(left, 0.5))
        return not self._stop()

    def _wave(self, names: Sequence[str]) -> None:
        there = [name for name in names if name in self._fleet.connector_of]
        for name in set(names).difference(there):
            gone = HostResult(short(name), Ended.STALE, "the inventory has it no more", next_step="plan anew")
            self._end(gone, journal=True)
        visit_all(self._fleet, there, self._work, stop=self._ended_early, working=self._working, drop=False)

    def _ended_early(self) -> bool:
        """Whether no further host is to be begun."""
        left = self._to_come + self._later
        if left and self._now() >= self._expires and not self.applied.over_budget:
            self.applied.over_budget = "the plan expired while it was applied: plan anew for the rest"
        return self._stop() or self.halted or bool(self.applied.over_budget)

    def _not_started(self, names: Sequence[str]) -> None:
        ended = {result.host for result in self.applied.results}
        for name in names:
            if short(name) not in ended:
                why = self.applied.over_budget or "the run was ended before its turn"
                self.applied.results.append(HostResult(short(name), Ended.NOT_STARTED, why))

    def _work(self, visit: Visit) -> None:
        name = visit.host.name
        told = self._told.get(short(name))
        if told is not None and told.undone:
            detail = "its changes were undone since"
            self._end(HostResult(short(name), Ended.STALE, detail, next_step="plan anew"), journal=False)
            return
        if told is not None and told.outcome in (Ended.CHANGED.value, Ended.ALREADY.value):
            self._end(HostResult(short(name), Ended(told.outcome), "done by the run that was resumed"), journal=False)
            return
        result = visit.connected(lambda: None if self._ended_early() else self._apply(visit, told))
        if result is None and visit.error is None:
            return  # its turn came after the run was ended: not started
        self._worked = True
        if result is None:
            result = _unreached(short(name), visit.error)
        self._end(result, journal=result.ended is not Ended.UNREACHED)

    def _end(self, result: HostResult, *, journal: bool) -> None:
        if journal:
            try:
                self._journal.write("host-ended", host=result.host, outcome=result.ended.value, detail=result.detail)
            except OSError:
                self.halted = True
        self.applied.results.append(result)
        self._progress(result)
        self._count(result)

    def _count(self, result: HostResult) -> None:
        """Count a host that has ended, and see what is left of the failure budget."""
        self._to_come -= 1
        self._reached += result.ended is not Ended.UNREACHED
        self._failed += result.ended is Ended.FAILED
        if self._budget is not None and self._to_come + self._later:
            spent = self._budget.spent(self._failed, self._reached, to_come=self._to_come)
            self.applied.over_budget = self.applied.over_budget or spent

    # -- one host -------------------------------------------------------------------------------------------------

    def _apply(self, visit: Visit, told: HostRecord | None) -> HostResult:
        """Work on one host; its claim is given back however that ends."""
        left = told is not None and told.claim is not None and not visit.read_only
        claim = Claim(short(visit.host.name), visit.session, self._write, self._journal.run, left=left)
        result = self._apply_claimed(visit, told, claim)
        try:
            claim.release()
        except _JournalLost:
            self.halted = True
        return replace(result, requests=visit.counters.requests)

    def _write(self, event: str, **fields: Any) -> None:
        try:
            self._journal.write(event, **fields)
        except OSError as error:
            raise _JournalLost(f"the journal cannot be written: {error.strerror}; nothing was sent") from None

    def _apply_claimed(self, visit: Visit, told: HostRecord | None, claim: Claim) -> HostResult:
        planned = self._planned[visit.host.name]
        session, host, policy = visit.session, planned.host, self._policy(planned)
        steps = _Steps(planned, session, self._journal, told, lambda: still_idle(self._now, policy))
        looked = False
        try:
            refused = self._refuse(planned, session, told)
            looked = True
            if refused is not None:
                return replace(refused, requests=visit.counters.requests)
            if visit.read_only:
                return HostResult(host, Ended.FAILED, "the inventory says not to change it (winrm_read_only)")
            session.read_only = False
            claim.take()
            steps.perform()
            session.begin()
            state = session.converse(settled_state(self._now, policy))
            result = self._read_back(host, judge(state, policy, self._now()), steps)
        except (StaleStep, StaleFile) as error:
            result = HostResult(host, Ended.STALE, steps.stale(error), next_step=error.next_step)
        except _JournalLost as error:
            self.halted = True
            result = HostResult(host, Ended.FAILED, str(error), next_step="make room for the journal, then --resume")
        except ProvmodeError as error:
            if not steps.sent and isinstance(error, AWAY if looked else HostError):
                result = _unreached(host, error)
            else:
                result = HostResult(host, Ended.FAILED, steps.told(error.what), next_step=error.next_step)
        except Exception as error:  # noqa: BLE001 - a defect of ours concerns this host alone, and is never hidden
            said = f"provmode's own error ({type(error).__name__}: {error})"
            result = HostResult(host, Ended.FAILED, steps.told(said), next_step="report it")
        return HostResult(**{**vars(result), "steps": tuple(steps.changed), "requests": visit.counters.requests})

    def _refuse(self, planned: PlannedHost, session: Session, told: HostRecord | None) -> HostResult | None:
        """Look at the host once more; return how it ends if the plan does not hold for it any more."""
        policy, begun = self._policy(planned), told is not None and bool(told.steps)
        state = session.converse(settled_state(self._now, policy))
        assessment = judge(state, policy, self._now())
        kind = outcome(assessment.verdict)
        if kind is Outcome.COMPLIANT and not begun:
            return HostResult(planned.host, Ended.ALREADY, assessment.reason)
        if assessment.verdict is Verdict.UNASSESSED:
            return HostResult(planned.host, Ended.UNREACHED, assessment.reason, assessment.cause, assessment.next_step)
        if told is not None and begun:
            # what an earlier run did moved it on: with its service back it may be about to leave by itself
            as_left = kind in (Outcome.COMPLIANT, Outcome.PENDING) or assessment.verdict is Verdict.SELF_HEALING
            held = as_left and _holds(planned, told, state)
        else:
            held = kind is Outcome.PENDING and fingerprint(state) == planned.fingerprint
        if held:
            return self._left_alone_now(planned, state, begun=begun)
        facts = planned.document.get("facts", {})
        unread = not_read_again(facts, state)
        if unread is not None:  # not known is not changed
            cause = unread.cause if unread.cause in {cause.value for cause in Cause} else Cause.PROTOCOL.value
            detail = f"could not tell whether it is as the plan saw it: {unread.detail or unread.cause}"
            return HostResult(planned.host, Ended.UNREACHED, detail, cause, "apply the plan again")
        detail = moved(facts, state, policy, self._now())
        return HostResult(planned.host, Ended.STALE, detail, next_step="plan anew")

    def _policy(self, planned: PlannedHost) -> Policy:
        """Return the plan's policy, with what the inventory's of today calls legitimate as well."""
        today = self._policies.get(planned.name, planned.policy)
        names = dict.fromkeys((*planned.policy.legitimate_processes, *today.legitimate_processes))
        return replace(planned.policy, legitimate_processes=tuple(names))

    def _left_alone_now(self, planned: PlannedHost, state: ClientReadings, *, begun: bool) -> HostResult | None:
        """Return how a host ends that the inventory's policy of today would not touch."""
        today = judge(state, self._policies.get(planned.name, planned.policy), self._now())
        if outcome(today.verdict) in (Outcome.PENDING, Outcome.COMPLIANT):
            return None
        if begun and today.verdict is Verdict.SELF_HEALING:
            return None  # what was begun is brought to its end
        detail = f"the inventory's policy has changed since the plan: it is {today.verdict.value} now: {today.reason}"
        return HostResult(planned.host, Ended.STALE, detail, next_step="plan anew")

    def _read_back(self, host: str, assessment: Assessment, steps: _Steps) -> HostResult:
        if outcome(assessment.verdict) is not Outcome.COMPLIANT:
            return HostResult(
                host, Ended.FAILED, steps.told(f"read back: {assessment.verdict.value}: {assessment.reason}")
            )
        if not steps.anything_changed:
            return HostResult(host, Ended.ALREADY, "somebody else did it first")
        return HostResult(host, Ended.CHANGED, assessment.reason)


class _JournalLost(Exception):
    """The journal could not be written: nothing more may be changed."""


class _Steps:
    """The steps of one host, carried out in order and journalled."""

    def __init__(
        self, planned: PlannedHost, session: Session, journal: Journal, told: HostRecord | None, look: Look
    ) -> None:
        self._host, self._steps = planned.host, planned.steps
        self._session, self._journal, self._look = session, journal, look
        self._done = told.done if told is not None else frozenset()
        self._begun = {record.number for record in told.steps} if told is not None else set()
        self._before = told is not None and told.changed
        self.changed: list[str] = []
        self.sent = False
        self._now: Step | None = None
        self._open: int | None = None
        """The step that was announced and has not ended."""
        self._kept: list[Step] = []

    @property
    def anything_changed(self) -> bool:
        """Whether a step changed something, in this run or the one that is resumed."""
        return bool(self.changed) or self._before

    def perform(self) -> None:
        """Carry out what is not done yet."""
        for number, step in enumerate(self._steps):
            if number in self._done or (isinstance(step, RequestPolicy) and not self.anything_changed):
                continue  # who did the rest asks for policy
            self._now = step
            self._session.begin()
            ending = self._session.converse(perform(step, record=self._recorder(number, step), look=self._look))
            if ending == "changed":
                self.changed += [str(item) for item in step.properties]
                self._kept.append(step)
                self._note("step-ended", number, ending)
            elif number in self._begun:  # an earlier run began it, and it happened: it was ours
                self._before = True
                self._note("step-ended", number, "changed")
            elif self._open == number:  # somebody else did it after we had announced it
                self._note("step-ended", number, ending)
        self._now = None

    def _recorder(self, number: int, step: Step) -> Callable[[Any], None]:
        def record(previous: bytes | None) -> None:
            try:
                self._journal.step_begun(self._host, number, step, previous)
            except OSError as error:
                raise self._journal_lost(error) from None
            self.sent = True
            self._open = number

        return record

    def _note(self, event: str, number: int, ending: str) -> None:
        self._open = None
        try:
            self._journal.write(event, host=self._host, number=number, ending=ending)
        except OSError as error:
            raise self._journal_lost(error) from None

    def _journal_lost(self, error: OSError) -> _JournalLost:
        return _JournalLost(f"the journal cannot be written: {error.strerror}; {step_words(self._kept)}")

    def stale(self, error: HostError) -> str:
        """Return the same as `told`, and journal that the step that was announced did not happen, where that is so."""
        known = self._open is not None and self._open not in self._begun and not isinstance(error, OvertakenStep)
        if known and self._open is not None:
            try:
                self._note("step-ended", self._open, "stale")
            except _JournalLost:
                pass  # it stays open: what is less is said, never more
        return self.told(error.what)

    def told(self, what: str) -> str:
        """Return what happened with the step it happened in and what was done before."""
        where = f"{self._now.properties[0].name}: " if self._now is not None else ""
        return f"{where}{what}; {step_words(self._kept)}"


def step_words(kept: Sequence[Step]) -> str:
    """Return in words what was done before, and what of it can be undone."""
    if not kept:
        return "nothing was done before"
    undoable = [step.properties[0].name for step in kept if step.undo is not None]
    done = ", ".join(step.properties[0].name for step in kept)
    return f"done before: {done}" + (f" (undo restores {', '.join(undoable)})" if undoable else " (cannot be undone)")


def _fits(planned: PlannedHost, told: HostRecord | None) -> None:
    """Raise `UsageError` where a journal tells of other steps than the plan has."""
    for record in told.steps if told is not None else ():
        if not 0 <= record.number < len(planned.steps) or planned.steps[record.number] != record.step:
            raise UsageError(
                f"the journal tells of another step on {planned.host} than the plan has: the plan was edited since",
                next_step="give the plan it was written for",
            )


def _holds(planned: PlannedHost, told: HostRecord, state: ClientReadings) -> bool:
    """Whether what the journal says was done is so still; what somebody took back since is not done again."""
    service = known(state.service, None)
    for number in told.done:
        step = planned.steps[number]
        if isinstance(step, SetMode) and state.needs_more:
            return False
        if isinstance(step, SetStartMode) and service is not None and service.start_mode != step.after:
            return False
        if isinstance(step, DisarmTcf) and step.path in {file.path for file in state.armed_files}:
            return False
    return True


def _unreached(host: str, error: Exception | None) -> HostResult:
    if isinstance(error, ProvmodeError):
        return HostResult(host, Ended.UNREACHED, error.what, cause_of_failure(error), error.next_step)
    return HostResult(host, Ended.UNREACHED, f"provmode's own error ({type(error).__name__}: {error})", "protocol")
