"""The table of rules, from what was read and what the policy says to the verdict and its reason.

The first rule that applies decides. Each rule names its source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from provmode.ccm.model import CHECK_INTERVAL, ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Verdict
from provmode.ccm.version import leaves_by_itself
from provmode.reading import Absent, Known, Reading, Unknown, known
from provmode.windows.model import Service, told

# -- the case that the rules judge ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One client, with everything that a rule looks at."""

    state: ClientReadings
    policy: Policy
    signals: tuple[str, ...] = field(default=())
    """What legitimately runs, in words."""
    unread: Unknown | None = None
    """Why we could not tell whether something runs."""

    @property
    def version(self) -> str:
        """The client's version; empty if it is not known."""
        return known(self.state.client_version, "")

    @property
    def excludes(self) -> str:
        """The excluded tasks in words."""
        return f"{len(self.state.excludes)} system tasks excluded"

    @property
    def since(self) -> str:
        """When the client entered the mode, and how long ago, in words."""
        if not isinstance(self.state.enabled_time, Known):
            return "since an unknown time"
        entered = self.state.enabled_time.value.strftime("%Y-%m-%d %H:%M UTC")
        age = self.state.age
        return f"since {entered}" + (f" ({duration(age)})" if age is not None and age >= timedelta(0) else "")

    @property
    def in_question(self) -> bool:
        """Whether the client may need work under this policy, so that we must know what runs on the PC."""
        return self.state.needs_more or (self.policy.check_tcf and bool(self.state.armed_files))

    @property
    def armed_paths(self) -> str:
        """The paths of the TCF files that would bring the mode back."""
        return ", ".join(file.path for file in self.state.armed_files)

    @property
    def service_disabled(self) -> bool:
        """Whether CcmExec is known to be disabled."""
        return isinstance(self.state.service, Known) and self.state.service.value.disabled

    @property
    def stays_down(self) -> str:
        """Why CcmExec stays down, in words: it is disabled, or stopped and not automatic; empty if neither is known."""
        service = known(self.state.service, None)
        if service is not None and service.disabled:
            return "disabled"
        if service is not None and service.state.lower() == "stopped" and service.start_mode.lower() != "auto":
            return f"stopped and its start mode is {service.start_mode}"
        return ""

    @property
    def times_out(self) -> bool | None:
        """Whether this client's version leaves the mode by itself."""
        version = known(self.state.client_version, None)
        return leaves_by_itself(version) if version is not None else None

    @property
    def leaves_at(self) -> datetime | None:
        """The latest moment at which the client leaves by itself: its time limit plus one check interval.

        ``None`` if the time of entry is not known, or if the client never leaves by itself.
        """
        if isinstance(self.state.enabled_time, Known) and self.state.time_limit is not None:
            return later(self.state.enabled_time.value, self.state.time_limit + CHECK_INTERVAL)
        return None

    @property
    def without_limit(self) -> bool:
        """Whether the client's time limit is so long that it never leaves by itself."""
        return self.state.time_limit is None

    @property
    def past_time_limit(self) -> bool:
        """Whether the time limit, the hourly check and the policy's grace have all passed."""
        clock = known(self.state.clock, None)
        if self.leaves_at is None or clock is None:
            return False
        return clock.now > later(self.leaves_at, timedelta(minutes=self.policy.grace_minutes))

    @property
    def in_future(self) -> bool:
        """Whether the client entered the mode, as it says, at a time that its own clock has not reached."""
        age = self.state.age
        return age is not None and age < -timedelta(minutes=self.policy.maximum_skew_minutes)

    @property
    def young(self) -> bool:
        """Whether the client has been in the mode for less than the policy's minimum age."""
        age = self.state.age
        return age is not None and timedelta(0) <= age < timedelta(minutes=self.policy.minimum_age_minutes)


def later(moment: datetime, span: timedelta) -> datetime:
    """Return *moment* plus *span*, or the end of the calendar if that comes first: a PC may name any moment."""
    try:
        return moment + span
    except OverflowError:
        return datetime.max.replace(tzinfo=timezone.utc)


def duration(length: timedelta) -> str:
    """Return a length of time in words: ``3 days 4 h``, ``5 h 12 min``, ``40 min``."""
    minutes = int(length.total_seconds()) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} day{'s' if days > 1 else ''} {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def live(state: ClientReadings, policy: Policy) -> tuple[tuple[str, ...], Unknown | None]:
    """Return what legitimately runs, in words, and the first reading that leaves it unknown."""
    signals = []
    legitimate = {name.lower() for name in policy.legitimate_processes}
    running = sorted({name for name in known(state.processes, ()) if name.lower() in legitimate})
    if running:
        signals.append(f"{', '.join(running)} running")
    agent = told(state.task_sequence_agent)
    if isinstance(agent, Known) and agent.value.state.lower() != "stopped":
        signals.append(f"the task sequence agent (smstsmgr) is {agent.value.state.lower()}")
    setup = known(state.setup, None)
    if setup is not None and setup.running:
        signals.append("Windows Setup in progress")
    readings = (
        _must_be_there(state.processes, "Windows has no class of processes"),
        agent
        if isinstance(state.service, Absent)  # no client, no agent
        else _must_be_there(
            agent, "every client has a task sequence agent (smstsmgr), and this one has none: repair it"
        ),
        state.setup,
    )
    unread = next((reading for reading in readings if isinstance(reading, Unknown)), None)
    return tuple(signals), unread


def _must_be_there(reading: Reading[Any], otherwise: str) -> Reading[Any]:
    """Return "could not tell" for what every client has, and this one is said not to have."""
    return Unknown("malformed", otherwise) if isinstance(reading, Absent) else reading


def live_signals(state: ClientReadings, policy: Policy | None = None) -> tuple[str, ...]:
    """Return what legitimately runs on a PC, in words; empty if nothing does."""
    return live(state, policy or Policy())[0]


# -- the rules --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """One row of the table."""

    name: str
    verdict: Verdict
    source: str
    """The document or decision that the rule follows."""
    applies: Callable[[Case], bool]
    reason: Callable[[Case], str]


_MODE = 'Microsoft, "Provisioning mode"'
_OURS = "provmode: what could not be read is never healthy"


def _present(reading: Reading[Any]) -> bool:
    return isinstance(reading, Known)


_FAULTS = ("unavailable", "fault", "unknown", "not-found", "invalid", "provider-failed")


def _faulted(reading: Reading[Any]) -> bool:
    """Whether the PC itself answered with a failure: a fault, or a service that is not available."""
    return isinstance(reading, Unknown) and reading.cause in _FAULTS


def _pending(service: Reading[Service]) -> bool:
    """Whether the service is starting or stopping (``Start Pending``, ``Stop Pending`` ...)."""
    return isinstance(service, Known) and service.value.state.lower().endswith("pending")


def needed_unread(case: Case) -> Unknown | None:
    """Return the first unknown reading among those that the verdict needs."""
    state = case.state
    readings: list[Reading[Any]] = [state.client_version, state.service, state.provisioning_mode]
    readings.append(state.system_task_excludes)
    if state.in_mode and case.times_out:
        readings += [state.enabled_time, state.max_minutes, state.clock]
    elif case.policy.check_tcf and not state.needs_more:
        readings.append(state.tcf)
    return next((reading for reading in readings if isinstance(reading, Unknown)), None)


def why(unread: Unknown | None) -> str:
    """Return why a reading is not known, in words."""
    return "" if unread is None else unread.detail or unread.cause


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
        f"{_MODE}: the mode is on while a task sequence runs; the client must not be taken out then",
        lambda case: case.in_question and bool(case.signals),
        lambda case: (
            f"in provisioning mode {case.since} and at work: {'; '.join(case.signals)}; leave it alone"
            if case.state.in_mode
            else f"{case.excludes} and something is at work: {'; '.join(case.signals)}; leave it alone"
            if case.state.half_out
            else f"{case.armed_paths} carries SMSPROVISIONINGMODE=1 and something is at work that may need it: "
            f"{'; '.join(case.signals)}; leave it alone"
        ),
    ),
    Rule(
        "client-starting",
        Verdict.UNASSESSED,
        "provmode: a service that is starting or stopping is not broken",
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
        lambda case: "the CcmExec service exists but root\\ccm does not answer: repair the client (ccmrepair.exe)",
    ),
    Rule(
        "client-service-missing",
        Verdict.CLIENT_BROKEN,
        "SMS_Client without its service",
        lambda case: _present(case.state.client_version) and isinstance(case.state.service, Absent),
        lambda case: f"client {case.version} is registered but its CcmExec service is missing: reinstall the client",
    ),
    Rule(
        "live-unread",
        Verdict.UNASSESSED,
        "provmode: a client that may be in use is never called stuck",
        lambda case: case.in_question and case.unread is not None,
        lambda case: (
            ("in provisioning mode" if case.state.needs_more else f"{case.armed_paths} carries SMSPROVISIONINGMODE=1")
            + ", and could not tell whether a task sequence or an upgrade runs: "
            + why(case.unread)
        ),
    ),
    Rule(
        "needed-unread",
        Verdict.UNASSESSED,
        _OURS,
        lambda case: needed_unread(case) is not None,
        lambda case: f"could not tell whether the client is healthy: {why(needed_unread(case))}",
    ),
    Rule(
        "version-unread",
        Verdict.UNASSESSED,
        _OURS,
        lambda case: case.state.in_mode and case.times_out is None,
        lambda case: (
            f"in provisioning mode, and {case.version!r} is not a client version: cannot tell if it leaves by itself"
        ),
    ),
    Rule(
        "young",
        Verdict.IN_PROGRESS,
        "policy minimum_age_minutes: what runs on the PC might not be recognised",
        lambda case: (
            case.state.in_mode and case.young and (not case.times_out or bool(case.stays_down) or case.without_limit)
        ),
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
        "no-time-limit",
        Verdict.STUCK,
        "provmode: a time limit of over ten years is none",
        lambda case: case.state.in_mode and case.without_limit,
        lambda case: (
            f"in provisioning mode {case.since}, nothing runs, and with ProvisioningMaxMinutes "
            f"{known(case.state.max_minutes, 0)} it never leaves by itself: take it out"
        ),
    ),
    Rule(
        "overdue",
        Verdict.OVERDUE,
        f"{_MODE}: ProvisioningMaxMinutes (2880 if absent or 0), checked every 60 minutes",
        lambda case: case.state.in_mode and case.past_time_limit,
        lambda case: (
            f"in provisioning mode {case.since}, nothing runs; it should have left by "
            f"{case.leaves_at:%Y-%m-%d %H:%M UTC}"
            + (f" but its CcmExec is {case.stays_down}" if case.stays_down else "")
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
        lambda case: case.state.in_mode and bool(case.stays_down),
        lambda case: (
            f"in provisioning mode {case.since}, nothing runs, and CcmExec is {case.stays_down}, so that its time "
            f"limit cannot fire: {'enable' if case.service_disabled else 'start'} the service and take it out"
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
        f"{_MODE}: ProvisioningMaxMinutes (2880 if absent or 0), checked every 60 minutes",
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
            f"healthy now, but {case.armed_paths} carries "
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
"""In order: the first rule that applies decides."""
