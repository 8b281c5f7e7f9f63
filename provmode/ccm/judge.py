"""The verdict: a table of rules over what was read and what the policy says.

`judge` is pure and total: every combination of readings has exactly one verdict, the first rule that applies. Three
promises hold over the whole table, and are tested as properties:

1. What could not be read is never called healthy.
2. A client is never called stuck, overdue or half-exited while something that may be a task sequence or an upgrade
   runs on it, nor while it could not be told whether one does.
3. Ages are counted by the PC's own clock, never by the controller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from provmode.ccm.model import CHECK_INTERVAL, ClientState, Service
from provmode.ccm.policy import Policy
from provmode.ccm.version import leaves_by_itself
from provmode.reading import Absent, Known, Reading, Unknown, known, plain


class Verdict(str, Enum):
    """One a host."""

    HEALTHY = "healthy"
    IN_PROGRESS = "in-progress"
    SELF_HEALING = "self-healing"
    STUCK = "stuck"
    OVERDUE = "overdue"
    HALF_EXITED = "half-exited"
    ARMED = "armed"
    CLIENT_BROKEN = "client-broken"
    NO_CLIENT = "no-client"
    UNASSESSED = "unassessed"

    def __str__(self) -> str:
        """Return the word itself."""
        return self.value


class Outcome(str, Enum):
    """What a verdict means for a run."""

    COMPLIANT = "compliant"
    """Nothing to do: healthy, or there is no client to be stuck."""
    LEFT_ALONE = "left-alone"
    """In the mode, rightly or for now; nothing to do yet."""
    PENDING = "pending"
    """A remediation would change it."""
    FAILED = "failed"
    """Broken in a way that no remediation here mends."""
    UNASSESSED = "unassessed"


SEVERITY = (
    *(Verdict.STUCK, Verdict.OVERDUE, Verdict.HALF_EXITED, Verdict.ARMED, Verdict.CLIENT_BROKEN),
    *(Verdict.UNASSESSED, Verdict.SELF_HEALING, Verdict.IN_PROGRESS, Verdict.NO_CLIENT, Verdict.HEALTHY),
)
"""Worst first."""

_OUTCOMES = {
    **dict.fromkeys((Verdict.HEALTHY, Verdict.NO_CLIENT), Outcome.COMPLIANT),
    **dict.fromkeys((Verdict.IN_PROGRESS, Verdict.SELF_HEALING), Outcome.LEFT_ALONE),
    **dict.fromkeys((Verdict.STUCK, Verdict.OVERDUE, Verdict.HALF_EXITED, Verdict.ARMED), Outcome.PENDING),
    Verdict.CLIENT_BROKEN: Outcome.FAILED,
    Verdict.UNASSESSED: Outcome.UNASSESSED,
}


def outcome(verdict: Verdict) -> Outcome:
    """Return what *verdict* means for a run and its exit code."""
    return _OUTCOMES[verdict]


@dataclass(frozen=True)
class Finding:
    """Something an admin should know that does not make the verdict."""

    code: str
    """One word to filter by."""
    text: str

    def to_json(self) -> dict[str, str]:
        """Return both by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Assessment:
    """The answer about one host."""

    verdict: Verdict
    reason: str
    """A sentence: what was seen, since when, what will happen or what to do."""
    rule: str
    """Which rule decided."""
    findings: tuple[Finding, ...] = ()
    age: timedelta | None = None
    """Time in the mode, by the PC's clock."""
    leaves_at: datetime | None = None
    """When the client leaves by itself at the latest, UTC by the PC's clock."""
    cause: str | None = None
    """For `unassessed`: one of the nine causes."""
    next_step: str = ""
    """For `unassessed`: the next thing to do."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name; ages in seconds, times ISO 8601."""
        document: dict[str, Any] = {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "rule": self.rule,
            "findings": [finding.to_json() for finding in self.findings],
        }
        if self.age is not None:
            document["age_seconds"] = round(self.age.total_seconds())
        if self.leaves_at is not None:
            document["leaves_at"] = plain(self.leaves_at)
        if self.cause is not None:
            document["cause"] = self.cause
            document["next_step"] = self.next_step
        return document


# -- what the rules look at -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One client as the rules see it."""

    state: ClientState
    policy: Policy
    signals: tuple[str, ...] = field(default=())
    """What legitimately runs, in words."""
    unread: Unknown | None = None
    """Why it could not be told whether something runs."""

    @property
    def version(self) -> str:
        """The client's version, or words for not knowing it."""
        return known(self.state.client_version, "of unknown version")

    @property
    def excludes(self) -> str:
        """The excluded tasks in words."""
        return f"{len(self.state.excludes)} system tasks excluded"

    @property
    def since(self) -> str:
        """Since when the client is in the mode, in words."""
        if not isinstance(self.state.enabled_time, Known):
            return "since an unknown time"
        entered = self.state.enabled_time.value.strftime("%Y-%m-%d %H:%M UTC")
        age = self.state.age
        return f"since {entered}" + (f" ({duration(age)})" if age is not None and age >= timedelta(0) else "")

    @property
    def service_disabled(self) -> bool:
        """Whether CcmExec is known to be disabled."""
        return isinstance(self.state.service, Known) and self.state.service.value.disabled

    @property
    def times_out(self) -> bool | None:
        """Whether this client's version leaves the mode by itself."""
        version = known(self.state.client_version, None)
        return leaves_by_itself(version) if version is not None else None

    @property
    def leaves_at(self) -> datetime | None:
        """When the client's time is over and its next check has passed, at the latest."""
        if isinstance(self.state.enabled_time, Known):
            return self.state.enabled_time.value + self.state.time_limit + CHECK_INTERVAL
        return None

    @property
    def past_time_limit(self) -> bool:
        """Whether the time limit, the hourly check and the policy's grace have all passed."""
        clock = known(self.state.clock, None)
        if self.leaves_at is None or clock is None:
            return False
        return clock.now > self.leaves_at + timedelta(minutes=self.policy.grace_minutes)

    @property
    def in_future(self) -> bool:
        """Whether the client says it entered the mode at a time that its own clock has not reached."""
        age = self.state.age
        return age is not None and age < -timedelta(minutes=self.policy.maximum_skew_minutes)

    @property
    def young(self) -> bool:
        """Whether the client has been in the mode for less than the policy's minimum age."""
        age = self.state.age
        return age is not None and timedelta(0) <= age < timedelta(minutes=self.policy.minimum_age_minutes)


def duration(length: timedelta) -> str:
    """Return a length of time as people say it: ``3 days 4 h``, ``5 h 12 min``, ``40 min``."""
    minutes = int(length.total_seconds()) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} day{'s' if days > 1 else ''} {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _live(state: ClientState, policy: Policy) -> tuple[tuple[str, ...], Unknown | None]:
    """Return what legitimately runs, and the first reason why that could not be told."""
    signals = []
    legitimate = {name.lower() for name in policy.legitimate_processes}
    running = sorted({name for name in known(state.processes, ()) if name.lower() in legitimate})
    if running:
        signals.append(f"{', '.join(running)} running")
    agent = known(state.task_sequence_agent, None)
    if agent is not None and agent.state.lower() != "stopped":
        signals.append(f"the task sequence agent (smstsmgr) is {agent.state.lower()}")
    setup = known(state.setup, None)
    if setup is not None and setup.running:
        signals.append("Windows Setup in progress")
    readings: tuple[Reading[Any], ...] = (state.processes, state.task_sequence_agent, state.setup)
    unread = next((reading for reading in readings if isinstance(reading, Unknown)), None)
    return tuple(signals), unread


def live_signals(state: ClientState, policy: Policy | None = None) -> tuple[str, ...]:
    """Return what legitimately runs on a PC, in words; empty where nothing does."""
    return _live(state, policy or Policy())[0]


# -- the rules --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """One row of the table."""

    name: str
    verdict: Verdict
    source: str
    """Where the rule comes from."""
    applies: Callable[[Case], bool]
    reason: Callable[[Case], str]


_MODE = 'Microsoft, "Provisioning mode"'
_OURS = "provmode: what could not be read is never healthy"


def _present(reading: Reading[Any]) -> bool:
    return isinstance(reading, Known)


def _faulted(reading: Reading[Any]) -> bool:
    """Whether the PC itself answered that it cannot: a fault, or a service that is away."""
    return isinstance(reading, Unknown) and reading.cause in ("unavailable", "fault", "unknown", "not-found", "invalid")


def _pending(service: Reading[Service]) -> bool:
    """Whether the service is on its way up or down (``Start Pending``, ``Stop Pending`` ...)."""
    return isinstance(service, Known) and service.value.state.lower().endswith("pending")


def _needed(case: Case) -> Unknown | None:
    """Return the first reading that this verdict needs and that could not be told."""
    state = case.state
    readings: list[Reading[Any]] = [state.client_version, state.service, state.provisioning_mode]
    readings.append(state.system_task_excludes)
    if state.in_mode and case.times_out:
        readings += [state.enabled_time, state.max_minutes, state.clock]
    elif case.policy.check_tcf and not state.needs_more:
        readings.append(state.tcf)
    return next((reading for reading in readings if isinstance(reading, Unknown)), None)


def _unread_reason(case: Case) -> str:
    unread = _needed(case)
    return f"could not tell whether the client is healthy: {unread.detail or unread.cause}" if unread else ""


RULES: tuple[Rule, ...] = (
    Rule(
        "no-client",
        Verdict.NO_CLIENT,
        "no CcmExec service and no SMS_Client class",
        lambda case: isinstance(case.state.client_version, Absent) and isinstance(case.state.service, Absent),
        lambda case: "there is no ConfigMgr client on this PC",
    ),
    Rule(
        "live",
        Verdict.IN_PROGRESS,
        f"{_MODE}: the mode is on while a task sequence runs; it must not be taken out then",
        lambda case: case.state.needs_more and bool(case.signals),
        lambda case: (
            f"in provisioning mode {case.since} and at work: {'; '.join(case.signals)}; leave it alone"
            if case.state.in_mode
            else f"{case.excludes} and something is at work: {'; '.join(case.signals)}; leave it alone"
        ),
    ),
    Rule(
        "client-starting",
        Verdict.UNASSESSED,
        "provmode: a service on its way up or down is not broken",
        lambda case: _pending(case.state.service) and isinstance(case.state.client_version, (Unknown, Absent)),
        lambda case: "CcmExec is starting or stopping and root\\ccm does not answer yet: look again in a few minutes",
    ),
    Rule(
        "client-wmi-broken",
        Verdict.CLIENT_BROKEN,
        'Microsoft, "SMS_Client client WMI class": every client has it',
        lambda case: (
            _present(case.state.service)
            and (isinstance(case.state.client_version, Absent) or _faulted(case.state.client_version))
        ),
        lambda case: "the CcmExec service is there and root\\ccm does not answer: repair the client (ccmrepair.exe)",
    ),
    Rule(
        "client-service-missing",
        Verdict.CLIENT_BROKEN,
        "SMS_Client without its service",
        lambda case: _present(case.state.client_version) and isinstance(case.state.service, Absent),
        lambda case: f"client {case.version} is registered and its CcmExec service is missing: reinstall the client",
    ),
    Rule(
        "live-unread",
        Verdict.UNASSESSED,
        "provmode: a client that may be in use is never called stuck",
        lambda case: case.state.needs_more and case.unread is not None,
        lambda case: (
            "in provisioning mode, and could not tell whether a task sequence or an upgrade runs: "
            + ((case.unread.detail or case.unread.cause) if case.unread else "")
        ),
    ),
    Rule(
        "needed-unread",
        Verdict.UNASSESSED,
        _OURS,
        lambda case: _needed(case) is not None,
        _unread_reason,
    ),
    Rule(
        "version-unread",
        Verdict.UNASSESSED,
        _OURS,
        lambda case: case.state.in_mode and case.times_out is None,
        lambda case: (
            f"in provisioning mode, and {case.version!r} is no client version: cannot tell if it leaves by itself"
        ),
    ),
    Rule(
        "young",
        Verdict.IN_PROGRESS,
        "policy minimum_age_minutes: what runs there may not be recognised",
        lambda case: case.state.in_mode and case.young and (not case.times_out or case.service_disabled),
        lambda case: (
            f"in provisioning mode {case.since}, less than {case.policy.minimum_age_minutes} min: "
            "too early to call it stuck"
        ),
    ),
    Rule(
        "old-client",
        Verdict.STUCK,
        'Microsoft, "What\'s new in version 1902": earlier clients have no time limit',
        lambda case: case.state.in_mode and case.times_out is False,
        lambda case: (
            f"in provisioning mode {case.since}, nothing runs, and client {case.version} (before 1902) never "
            "leaves by itself: take it out"
        ),
    ),
    Rule(
        "no-enabled-time",
        Verdict.STUCK,
        f"{_MODE}: the time limit counts from ProvisioningEnabledTime",
        lambda case: case.state.in_mode and isinstance(case.state.enabled_time, Absent),
        lambda case: (
            "in provisioning mode without ProvisioningEnabledTime, nothing runs: its time limit has nothing to "
            "count from: take it out"
        ),
    ),
    Rule(
        "overdue",
        Verdict.OVERDUE,
        f"{_MODE}: ProvisioningMaxMinutes (2880 where absent or 0), checked every 60 minutes",
        lambda case: case.state.in_mode and case.past_time_limit,
        lambda case: (
            f"in provisioning mode {case.since}, nothing runs; it should have left by "
            f"{case.leaves_at:%Y-%m-%d %H:%M UTC}"
            + (" but its CcmExec is disabled" if case.service_disabled else "")
            + ": take it out"
        ),
    ),
    Rule(
        "entered-in-future",
        Verdict.STUCK,
        f"{_MODE}: the time limit counts from ProvisioningEnabledTime",
        lambda case: case.state.in_mode and case.in_future,
        lambda case: (
            "in provisioning mode, nothing runs, and it says it entered at a time its own clock has not "
            f"reached ({case.since}): its time limit cannot fire: correct the clock and take it out"
        ),
    ),
    Rule(
        "service-disabled",
        Verdict.STUCK,
        'Microsoft, "Troubleshoot provisioning mode" flow charts: the time limit is checked by CcmExec',
        lambda case: case.state.in_mode and case.service_disabled,
        lambda case: (
            f"in provisioning mode {case.since}, nothing runs, and CcmExec is disabled, so that its time limit "
            "cannot fire: enable the service and take it out"
        ),
    ),
    Rule(
        "not-waiting",
        Verdict.STUCK,
        "policy wait_for_self_healing = False",
        lambda case: case.state.in_mode and not case.policy.wait_for_self_healing and not case.young,
        lambda case: f"in provisioning mode {case.since}, nothing runs, and the policy says not to wait: take it out",
    ),
    Rule(
        "self-healing",
        Verdict.SELF_HEALING,
        f"{_MODE}: ProvisioningMaxMinutes (2880 where absent or 0), checked every 60 minutes",
        lambda case: case.state.in_mode,
        lambda case: (
            f"in provisioning mode {case.since}, nothing runs; it leaves by itself by "
            f"{case.leaves_at:%Y-%m-%d %H:%M UTC}"
        ),
    ),
    Rule(
        "half-exited",
        Verdict.HALF_EXITED,
        f"{_MODE}: changing the registry alone does not take the client out",
        lambda case: case.state.half_out,
        lambda case: (
            f"the mode is off in the registry but {case.excludes}: somebody edited the registry; "
            "leave the mode by its method"
        ),
    ),
    Rule(
        "service-disabled-outside",
        Verdict.CLIENT_BROKEN,
        'Microsoft, "Client health checks": CcmExec starts automatically',
        lambda case: case.service_disabled,
        lambda case: "CcmExec is disabled although the client is not in provisioning mode: nothing is managed here",
    ),
    Rule(
        "armed",
        Verdict.ARMED,
        "field reports: the Health Evaluation task re-applies MobileClient.TCF",
        lambda case: case.policy.check_tcf and bool(case.state.armed_files),
        lambda case: (
            f"healthy now, but {', '.join(file.path for file in case.state.armed_files)} carries "
            "SMSPROVISIONINGMODE=1 and can bring the mode back: take the entry out"
        ),
    ),
    Rule(
        "healthy",
        Verdict.HEALTHY,
        f"{_MODE}: off, and no system task excluded",
        lambda case: True,
        lambda case: f"client {case.version} is not in provisioning mode",
    ),
)
"""In order; the first that applies decides."""


def judge(state: ClientState, policy: Policy, now: datetime) -> Assessment:
    """Return the verdict on *state* under *policy*; *now* is the controller's time, UTC, for the clock finding only."""
    signals, unread = _live(state, policy)
    case = Case(state, policy, signals, unread)
    rule = next(rule for rule in RULES if rule.applies(case))
    cause = next_step = None
    if rule.verdict is Verdict.UNASSESSED:
        why = case.unread if rule.name == "live-unread" else _needed(case)
        cause = cause_of(why.cause if why is not None else "malformed")
        next_step = NEXT_STEP[cause]
    return Assessment(
        rule.verdict,
        rule.reason(case),
        rule.name,
        _findings(case, now),
        age=state.age if state.in_mode else None,
        leaves_at=case.leaves_at if rule.verdict is Verdict.SELF_HEALING else None,
        cause=cause,
        next_step=next_step or "",
    )


def _findings(case: Case, now: datetime) -> tuple[Finding, ...]:
    state, policy = case.state, case.policy
    found = []
    skew = state.clock.value.now - now if isinstance(state.clock, Known) else None
    if skew is not None and abs(skew) > timedelta(minutes=policy.maximum_skew_minutes):
        ahead = "ahead" if skew > timedelta(0) else "behind"
        found.append(Finding("clock-skew", f"the PC's clock is {duration(abs(skew))} {ahead}"))
    orphans = _orphans(case)
    if orphans:
        found.append(Finding("orphaned-task-sequence", f"left behind and not running: {', '.join(orphans)}"))
    health = known(state.health_evaluation, None)
    if health is not None and health.notify_only == Known(True):
        found.append(Finding("notify-only", "the client's own repair (CcmEval) only notifies: it will not mend this"))
    if state.needs_more and case.service_disabled:
        found.append(Finding("service-disabled", "CcmExec is disabled"))
    if state.needs_more and state.armed_files:
        paths = ", ".join(file.path for file in state.armed_files)
        found.append(Finding("tcf-armed", f"{paths} can bring the mode back: disarm it first"))
    minutes = known(state.max_minutes, 0)
    if 0 < minutes < 60:
        found.append(
            Finding("short-max-minutes", f"ProvisioningMaxMinutes is {minutes}: it is checked every 60 minutes")
        )
    if state.needs_more and policy.check_tcf and isinstance(state.tcf, Unknown):
        found.append(
            Finding("tcf-unread", f"MobileClient.TCF could not be read: {state.tcf.detail or state.tcf.cause}")
        )
    return tuple(found)


def _orphans(case: Case) -> list[str]:
    """Return task sequences that are registered although no engine runs."""
    if case.signals or case.unread is not None:
        return []
    requests = known(case.state.task_sequences, ())
    return [item.package_name or item.content_id or "a task sequence" for item in requests]


# -- hosts that could not be assessed ---------------------------------------------------------------------------

NEXT_STEP: dict[str, str] = {
    "name-resolution": "check the name in the inventory and in DNS",
    "connect-timeout": "the PC is off, away or behind a firewall: try again when it is on",
    "refused": "run `winrm quickconfig` on the PC, and check the port",
    "tls": "set winrm_ca to the CA that issued the certificate, and use a name it carries",
    "auth": "check user and password; not tried again, accounts lock",
    "access-denied": "give the account the rights that the README lists, or use another",
    "quota": "wait for other sessions to end, or raise WinRM's quotas on the PC",
    "protocol": "look at the PC's WinRM and WMI event logs, and what answers on that port",
    "deadline": "the PC is overloaded or asleep: try again later, or raise the deadlines",
}
"""The nine causes (contract) and what to do about each."""

_CAUSE_OF = {"access-denied": "access-denied", "quota": "quota", "timed-out": "deadline", "deadline": "deadline"}


def cause_of(word: str) -> str:
    """Return the contract's cause for the cause of an `Unknown`; what is none of the nine is ``protocol``."""
    return word if word in NEXT_STEP else _CAUSE_OF.get(word, "protocol")


def unassessed(cause: str, detail: str, next_step: str = "") -> Assessment:
    """Return the assessment of a host that could not be looked at; *cause* is one of the nine."""
    cause = cause_of(cause)
    return Assessment(Verdict.UNASSESSED, detail, "unreached", cause=cause, next_step=next_step or NEXT_STEP[cause])
