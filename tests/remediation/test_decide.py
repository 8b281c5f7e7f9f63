"""Which steps a client gets, in which order, what is asked for them, and when a plan no longer holds."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

import pytest

from provmode.ccm.client import client_state
from provmode.ccm.impact import Impact
from provmode.ccm.judge import judge
from provmode.ccm.model import ClientReadings, TcfFile
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Assessment, Verdict
from provmode.errors import AccessDenied, AnswerLost, RemoteFault
from provmode.reading import NOT_READ, Absent, Known, Unknown
from provmode.remediation.decide import (
    LEFT_ALONE,
    NO_SHELL,
    Remediation,
    check_idle,
    decide,
    disarm,
    fingerprint,
    plan_remediation,
    unread_now,
    what_changed,
)
from provmode.remediation.steps import DisarmTcf, RequestPolicy, SetMode, SetServiceState, SetStartMode, Step
from provmode.windows.model import PcClock, Service, Setup
from provmode.windows.scripts import READ_BYTES
from provmode.wsman import CommandLine, Completed, Enumerate, Get, Instance, Invoke

NOW = datetime(2026, 8, 20, 12, 0, tzinfo=timezone.utc)
ENTERED = NOW - timedelta(days=9)
TCF = "%windir%\\ccmsetup\\MobileClient.TCF"
ARMED, DISARMED = b"SMSPROVISIONINGMODE=1\r\nx\r\n", b"x\r\n"
POLICY = Policy()


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


CLIENT = ClientReadings(
    NOW,
    client_version=Known("5.00.9128.1007"),
    computer=Known("PC-1"),
    provisioning_mode=Known(True),
    system_task_excludes=Known(("SchedulerStartup",)),
    service=Known(Service("CcmExec", "Running", "Auto")),
    tcf=Absent(),
    enabled_time=Known(ENTERED),
    max_minutes=Absent(),
    task_sequences=Known(()),
    task_sequence_agent=Known(Service("smstsmgr", "Stopped", "Manual")),
    processes=Known(()),
    setup=Known(Setup(False, False, 0, 0, False, "")),
    clock=Known(PcClock(NOW, 0, None)),
)


def steps(verdict: Verdict, files: dict[str, bytes] | None = None, **changes: Any) -> tuple[Step, ...]:
    return decide(replace(CLIENT, **changes), Assessment(verdict, "", ""), files or {}).steps


# -- which steps, in which order ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "before_the_exit"),
    [
        (Known(Service("CcmExec", "Running", "Auto")), ()),
        (Known(Service("CcmExec", "Start Pending", "Manual")), ()),
        (Known(Service("CcmExec", "STOPPED", "Auto")), (SetServiceState("CcmExec", "STOPPED", "Running"),)),
        (
            Known(Service("CcmExec", "Stopped", "Disabled")),
            (SetStartMode("CcmExec", "Disabled", "Auto"), SetServiceState("CcmExec", "Stopped", "Running")),
        ),
        (Known(Service("CcmExec", "Running", "disabled")), (SetStartMode("CcmExec", "disabled", "Auto"),)),
        (Unknown("access-denied", "x"), ()),
        (Absent(), ()),
    ],
)
@pytest.mark.parametrize("verdict", [Verdict.STUCK, Verdict.OVERDUE, Verdict.HALF_EXITED])
def test_the_service_is_enabled_and_started_before_the_mode_is_left_and_policy_requested(
    verdict: Verdict, service: Any, before_the_exit: tuple[Step, ...]
) -> None:
    assert steps(verdict, service=service) == (*before_the_exit, SetMode(False, "true"), RequestPolicy())


def test_a_client_half_out_of_the_mode_is_taken_out_by_the_same_method() -> None:
    found = steps(Verdict.HALF_EXITED, provisioning_mode=Known(False))

    assert found == (SetMode(False, "half-exited"), RequestPolicy())


def test_every_armed_file_is_disarmed_first_and_the_others_are_left() -> None:
    files = {TCF: ARMED, "C:\\not-armed": b"x", "C:\\second": b"\xff\xfe" + ARMED.decode().encode("utf-16-le")}

    found = steps(Verdict.STUCK, files)

    assert found == (
        DisarmTcf(
            TCF,
            digest(ARMED),
            digest(DISARMED),
            "ANSI",
            (f"--- {TCF}", f"+++ {TCF}", "@@ -1,2 +1 @@", "-SMSPROVISIONINGMODE=1", " x"),
        ),
        disarm("C:\\second", files["C:\\second"]),
        SetMode(False, "true"),
        RequestPolicy(),
    )
    assert [step.encoding for step in found if isinstance(step, DisarmTcf)] == ["ANSI", "UTF-16 LE"]


def test_an_armed_client_outside_the_mode_gets_its_files_disarmed_and_nothing_else() -> None:
    armed = Assessment(Verdict.ARMED, "", "")

    assert decide(CLIENT, armed, {TCF: ARMED}) == Remediation(CLIENT, armed, (disarm(TCF, ARMED),))
    assert decide(CLIENT, armed, {TCF: b"x"}) == Remediation(CLIENT, armed, (), "no file is armed any more")


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        ("healthy", "compliant: nothing to change"),
        ("no-client", "compliant: there is no client to change"),
        ("in-progress", "at work: never touched"),
        ("self-healing", "will leave the mode by itself, and the policy says to wait"),
        ("client-broken", "the client is broken: repair or reinstall it; provmode cannot"),
        ("unassessed", "could not be assessed: provmode changes only what it could assess"),
    ],
)
def test_every_other_client_is_left_alone_and_the_plan_says_why(verdict: str, why: str) -> None:
    assessment = Assessment(Verdict(verdict), "", "")

    assert decide(CLIENT, assessment, {TCF: ARMED}) == Remediation(CLIENT, assessment, (), why)
    assert len(LEFT_ALONE) == 6


# -- what is asked --------------------------------------------------------------------------------------------------


class Answers:
    """The answers of a PC in the mode, by what is asked; the file is read by a script."""

    def __init__(self, *, armed: bool, running: str = "", mode: str = "true") -> None:
        self.data, self.running, self.mode = ARMED if armed else None, running, mode
        self.fault: Exception | None = None
        self.asked: list[str] = []

    def __call__(self, asked: Any) -> Any:
        if isinstance(asked, CommandLine):
            self.asked.append("read" if asked.line == READ_BYTES else "type")
            return self.script() if asked.line == READ_BYTES else self.type()
        if isinstance(asked, Get):
            return Instance("SMS_Client", {"ClientVersion": "5.00.8740.1024"})
        if isinstance(asked, Invoke):
            return self.method(asked)
        assert isinstance(asked, Enumerate)
        self.asked.append(asked.wql or asked.resource.class_name)
        return self.instances(self.asked[-1])

    def type(self) -> Completed:
        marks = [f"@provmode {number} absent\r\n".encode() for number in range(4)]
        if self.data is not None:
            marks[0] = self.data + b"@provmode 0 shown\r\n"
        return Completed(0, b"".join(marks))

    def script(self) -> Any:
        if self.fault is not None:
            return self.fault
        if self.data is None:
            return Completed(0, b'{"exists": false}')
        document = {"exists": True, "size": len(self.data), "sha256": digest(self.data)}
        return Completed(0, json.dumps({**document, "base64": base64.b64encode(self.data).decode()}).encode())

    def method(self, asked: Invoke) -> Any:
        given = dict(asked.parameters)
        if asked.method == "GetStringValue":
            values = {"ProvisioningMode": self.mode, "SystemTaskExcludes": "Scheduler" if self.mode == "true" else ""}
            return Instance("X", {"ReturnValue": "0", "sValue": values.get(str(given["sValueName"]), "")})
        if asked.method == "EnumValues" and str(given["sSubKeyName"]).endswith("CcmExec"):
            return Instance("X", {"ReturnValue": "0", "sNames": "ProvisioningEnabledTime", "Types": "11"})
        if asked.method == "GetQWORDValue":
            return Instance("X", {"ReturnValue": "0", "uValue": str(int(ENTERED.timestamp()))})
        self.asked.append(asked.method)
        return Instance("X", {"ReturnValue": "2", "RebootPending": "true"})

    def instances(self, asked: str) -> list[Instance]:
        if "CcmExec" in asked:
            return [Instance("X", {"Name": "CcmExec", "State": "Running", "StartMode": "Auto"})]
        if "smstsmgr" in asked:
            return [Instance("X", {"Name": "smstsmgr", "State": "Stopped", "StartMode": "Manual"})]
        if "Win32_Process" in asked:
            return [Instance("X", {"Name": name}) for name in ("System", self.running) if name]
        if "LocalDateTime" in asked:
            return [Instance("X", {"CSName": "PC-1", "LocalDateTime": NOW.isoformat(), "CurrentTimeZone": "0"})]
        if asked == "CCM_Program":
            return [Instance("X", {"Name": "Office", "Deadline": NOW.isoformat()})]
        return []

    def converse(self, conversation: Any) -> Any:
        given: Any = None
        try:
            while True:
                asked = conversation.throw(given) if isinstance(given, Exception) else conversation.send(given)
                given = self(asked)
        except StopIteration as stop:
            return stop.value


def clock() -> datetime:
    return NOW


def test_a_stuck_client_gets_its_armed_files_read_its_steps_and_what_leaving_sets_off() -> None:
    pc = Answers(armed=True)

    remediation = pc.converse(plan_remediation(clock, POLICY))

    assert remediation.assessment.verdict is Verdict.STUCK
    assert remediation.steps == (disarm(TCF, ARMED), SetMode(False, "true"), RequestPolicy())
    assert remediation.impact == Impact(Known(("Office",)), Known(True), Absent())
    assert remediation.left_alone == ""
    assert pc.asked.count("read") == 1
    assert remediation.fingerprint == fingerprint(remediation.client)
    assert remediation.client.observed_at == NOW


def test_a_client_that_is_only_armed_is_not_asked_what_leaving_the_mode_sets_off() -> None:
    pc = Answers(armed=True, mode="false")

    remediation = pc.converse(plan_remediation(clock, POLICY))

    assert remediation.steps == (disarm(TCF, ARMED),)
    assert remediation.impact is None
    assert "CCM_Program" not in pc.asked


@pytest.mark.parametrize(
    ("policy", "running", "planned"),
    [(Policy(check_tcf=False), "", ["mode", "policy"]), (POLICY, "TSManager.exe", [])],
    ids=["the policy ignores the file", "at work"],
)
def test_an_armed_file_is_not_read_if_nothing_is_to_be_done_about_it(
    policy: Policy, running: str, planned: list[str]
) -> None:
    pc = Answers(armed=True, running=running)

    remediation = pc.converse(plan_remediation(clock, policy))

    assert [step.kind for step in remediation.steps] == planned
    assert "read" not in pc.asked


def test_a_file_that_went_away_between_the_two_looks_is_not_disarmed() -> None:
    pc = Answers(armed=True, mode="false")
    answer = pc.script

    def gone() -> Any:
        pc.data = None
        return answer()

    pc.script = gone  # type: ignore[method-assign]

    remediation = pc.converse(plan_remediation(clock, POLICY))

    assert (remediation.steps, remediation.left_alone) == ((), "no file is armed any more")


def test_a_client_whose_file_cannot_be_read_keeps_its_verdict_and_gets_no_steps() -> None:
    pc = Answers(armed=True)
    pc.fault = AccessDenied("access denied", next_step="use another account")

    remediation = pc.converse(plan_remediation(clock, POLICY))

    assert remediation.assessment.verdict is Verdict.STUCK
    assert remediation.client.in_mode
    assert (remediation.steps, remediation.impact) == ((), None)
    assert remediation.left_alone == "what the change depends on could not be read: access denied"


# -- the last look --------------------------------------------------------------------------------------------------


def setup(**flags: int) -> list[Any]:
    """Return the answers about Windows Setup: the types of its values, then each."""
    values = [Instance("X", {"ReturnValue": "0", "uValue": str(flag)}) for flag in flags.values()]
    return [Instance("X", {"ReturnValue": "0", "sNames": tuple(flags), "Types": ("4",) * len(flags)}), *values]


AGENT = [Instance("X", {"Name": "smstsmgr", "State": "Stopped", "StartMode": "Manual"})]
IDLE = setup(SetupType=0, Upgrade=0)
SYSTEM = [Instance("X", {"Name": "System"})]


def test_the_last_look_asks_only_what_runs_and_lets_an_idle_pc_pass(converse: Callable[..., Any]) -> None:
    talk = converse(check_idle(clock, Policy(legitimate_processes=("own.exe",))), SYSTEM, AGENT, *IDLE)

    assert talk.end is None
    assert "Name='own.exe' OR Name='System'" in talk.asked[0]
    assert "Name='smstsmgr'" in talk.asked[1]
    assert len(talk.asked) == 5


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (
            ([*SYSTEM, Instance("X", {"Name": "TSManager.exe"})], AGENT, *setup(SetupType=2)),
            "StaleStep: TSManager.exe running; Windows Setup in progress: at work now, and not touched; plan anew",
        ),
        (
            (RemoteFault("it broke", code=1, kind="fault"), AGENT, *IDLE),
            "HostError: could not tell whether a task sequence or an upgrade runs: it broke; apply the plan again",
        ),
        (
            (SYSTEM, RemoteFault("", code=1, kind="unavailable"), *IDLE),
            "HostError: could not tell whether a task sequence or an upgrade runs: unavailable; apply the plan again",
        ),
        (
            ([], AGENT, *IDLE),
            "HostError: could not tell whether a task sequence or an upgrade runs: processes: the account is not shown "
            "those of others (System is not among them); apply the plan again",
        ),
        ((AnswerLost("the connection broke"),), "AnswerLost: the connection broke"),
    ],
)
def test_a_pc_on_which_something_runs_or_may_run_is_not_touched(
    converse: Callable[..., Any], answers: tuple[Any, ...], says: str
) -> None:
    assert converse(check_idle(clock, POLICY), *answers).end == says


# -- whether a plan still holds -------------------------------------------------------------------------------------

CHANGES: dict[str, Any] = {
    "computer": Known("PC-2"),
    "client_version": Known("5.00.9122.1000"),
    "provisioning_mode": Known(False),
    "system_task_excludes": Known(()),
    "service": Known(Service("CcmExec", "Stopped", "Auto")),
    "tcf": Known((TcfFile(TCF, True, "ANSI", ()),)),
    "enabled_time": Known(NOW),
    "max_minutes": Known(60),
    "setup": Known(Setup(False, False, 0, 0, False, "setup.exe")),
}
"""What a plan depends on, each with another value."""


def test_a_fingerprint_is_the_one_that_stands_in_plans_already_written() -> None:
    assert fingerprint(CLIENT) == "a6347fe18cc74430347b0c2ea5552317"
    assert fingerprint(ClientReadings(NOW)) == "ebaed39deee3c1c02f4c82be2f075bc2"


@pytest.mark.parametrize("name", CHANGES)
def test_what_the_plan_depends_on_changes_the_fingerprint_and_is_named(name: str) -> None:
    now = replace(CLIENT, **{name: CHANGES[name]})
    verdict = judge(now, POLICY, NOW).verdict.value

    assert fingerprint(now) != fingerprint(CLIENT)
    says = f"{name.replace('_', ' ')} changed since the plan; it is {verdict} now"
    assert what_changed(CLIENT.to_json(), now, POLICY, NOW) == says


@pytest.mark.parametrize(
    "changes",
    [
        {"processes": Known(("TSManager.exe",))},
        {"task_sequence_agent": Known(Service("smstsmgr", "Paused", "Manual"))},
        {"task_sequence_agent": Known(Service("smstsmgr", "stopped", "Manual"))},
    ],
)
def test_what_runs_changes_the_fingerprint(changes: dict[str, Any]) -> None:
    assert fingerprint(replace(CLIENT, **changes)) != fingerprint(CLIENT)


def test_what_runs_is_named_if_nothing_else_changed() -> None:
    at_work = replace(CLIENT, processes=Known(("TSManager.exe",)))

    assert what_changed(CLIENT.to_json(), at_work, POLICY, NOW) == (
        "what runs there changed since the plan; it is in-progress now"
    )


def test_several_changes_are_named_in_one_line() -> None:
    now = replace(CLIENT, enabled_time=Known(NOW), max_minutes=Known(60))

    assert what_changed(CLIENT.to_json(), now, POLICY, NOW) == (
        "enabled time, max minutes changed since the plan; it is self-healing now"
    )


def test_what_changes_by_itself_does_not_change_the_fingerprint() -> None:
    later = NOW + timedelta(hours=1)
    now = replace(CLIENT, observed_at=later, clock=Known(PcClock(later, 0, None)), processes=Known(("svchost.exe",)))

    assert fingerprint(now) == fingerprint(CLIENT)


@pytest.mark.parametrize("name", CHANGES)
def test_what_cannot_be_read_any_more_is_found_before_it_is_called_a_change(name: str) -> None:
    unread = Unknown("access-denied", "access denied")
    now = replace(CLIENT, **{name: unread})

    assert unread_now(CLIENT.to_json(), now) == unread
    assert unread_now(now.to_json(), now) is None, "it could not be read for the plan either"
    assert unread_now(CLIENT.to_json(), replace(CLIENT, **{name: NOT_READ})) is None
    assert unread_now(CLIENT.to_json(), replace(CLIENT, **{name: CHANGES[name]})) is None


def test_the_first_reading_that_is_unknown_now_is_the_one_that_is_named() -> None:
    first, second = Unknown("access-denied", "1"), Unknown("fault", "2")

    assert unread_now(CLIENT.to_json(), replace(CLIENT, setup=second, service=first)) == first


def test_a_client_is_asked_the_same_for_a_plan_as_for_an_audit() -> None:
    planned, audited = Answers(armed=False), Answers(armed=False)

    client = planned.converse(plan_remediation(clock, POLICY)).client

    assert client == audited.converse(client_state(clock, POLICY.legitimate_processes))
    assert planned.asked[: len(audited.asked)] == audited.asked


@pytest.mark.parametrize(("cause", "expected"), [("shells-forbidden", NO_SHELL), ("access-denied", "")])
def test_only_a_policy_against_shells_keeps_a_client_in_the_mode_from_being_changed(cause: str, expected: str) -> None:
    client = replace(CLIENT, tcf=Unknown(cause, "it could not be read"))

    remediation = decide(client, Assessment(Verdict.OVERDUE, "", ""), {})

    assert remediation.left_alone == expected
    assert bool(remediation.steps) is not bool(expected)
