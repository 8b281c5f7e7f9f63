"""What an account is not shown is could-not-tell, never missing and never at rest; and a reason to wait has an end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from provmode.ccm.client import client_state, health_evaluation
from provmode.ccm.judge import judge
from provmode.ccm.model import CcmEvalStatus, ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Assessment, Outcome, Verdict
from provmode.errors import AccessDenied, HostError
from provmode.reading import Absent, Known, Unknown
from provmode.remediation.decide import check_idle
from provmode.windows.model import PcClock, ProcessStart, Service, Setup
from provmode.windows.system import boot_time, clock_and_name, processes, service, service_dependencies
from provmode.wsman import CommandLine, Completed, Enumerate, Get, Instance, Invoke

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=timezone.utc)
Drive = Callable[..., Any]
DENIED = Instance("A", {"ReturnValue": "5"})
MISSING = Instance("A", {"ReturnValue": "2"})
KEY = Instance("A", {"ReturnValue": "0", "sNames": ("ImagePath", "Start"), "Types": ("2", "4")})
EMPTY_KEY = Instance("A", {"ReturnValue": "0"})


def state(**fields: Any) -> ClientReadings:
    """Return a client in the mode for 36 days, on which nothing runs; *fields* replace readings."""
    idle = ClientReadings(
        NOW,
        client_version=Known("5.00.9128.1007"),
        provisioning_mode=Known(True),
        system_task_excludes=Known(("SchedulerStartup",)),
        service=Known(Service("CcmExec", "Running", "Auto")),
        tcf=Absent(),
        enabled_time=Known(NOW - timedelta(days=36)),
        max_minutes=Absent(),
        task_sequences=Known(()),
        task_sequence_agent=Known(Service("smstsmgr", "Stopped", "Manual")),
        processes=Known(()),
        process_starts=Known(()),
        setup=Known(Setup(False, False, 0, 0, False, "")),
        clock=Known(PcClock(NOW, 0, NOW - timedelta(days=3))),
        health_evaluation=Known(CcmEvalStatus("Ready", Known(False), Absent())),
    )
    return replace(idle, **fields)


def judged(policy: Policy | None = None, **fields: Any) -> Assessment:
    """Return the assessment of such a client."""
    return judge(state(**fields), policy or Policy(), NOW)


# -- services that are not shown --------------------------------------------------------------------------------------


def test_a_service_that_is_not_shown_is_found_by_its_key(drive: Drive) -> None:
    hidden = drive(service("CcmExec"), [], KEY)

    assert hidden == Unknown(
        "access-denied",
        "service CcmExec exists (HKLM\\SYSTEM\\CurrentControlSet\\Services\\CcmExec), but the account is not shown it",
    )


@pytest.mark.parametrize("key", [MISSING, EMPTY_KEY])
def test_a_service_that_neither_witness_knows_is_absent(drive: Drive, key: Instance) -> None:
    assert drive(service("CcmExec"), [], key) == Absent()


def test_a_service_whose_key_cannot_be_read_is_could_not_tell(drive: Drive) -> None:
    denied, refused = drive(service("CcmExec"), [], DENIED), drive(service("CcmExec"), [], AccessDenied("no"))

    assert denied.cause == refused.cause == "access-denied"
    assert "service CcmExec is not shown, and HKLM" in denied.detail


def test_a_service_that_is_shown_costs_one_question(drive: Drive) -> None:
    shown = [Instance("A", {"Name": "CcmExec", "State": "Running", "StartMode": "Auto"})]

    assert drive(service("CcmExec"), shown) == Known(Service("CcmExec", "Running", "Auto"))


@pytest.mark.parametrize("state", ["Unknown", "unknown", "", " ", None, "Running"])
@pytest.mark.parametrize("mode", ["Unknown", "UNKNOWN", "", None, "Auto"])
def test_a_state_or_start_mode_that_is_not_told_is_could_not_tell(
    drive: Drive, state: str | None, mode: str | None
) -> None:
    shown = [Instance("A", {"Name": "CcmExec", "State": state, "StartMode": mode})]
    found = drive(service("CcmExec"), shown)

    if (state, mode) == ("Running", "Auto"):
        assert isinstance(found, Known)
    else:
        assert isinstance(found, Unknown)
        assert found.cause == "access-denied"


@pytest.mark.parametrize("words", [("Unknown", "Unknown"), ("", ""), ("Running", "Unknown"), ("", "Auto")])
@pytest.mark.parametrize("hours", [None, 10, 900])
def test_a_client_whose_service_is_not_told_is_unassessed(words: tuple[str, str], hours: int | None) -> None:
    service = Known(Service("CcmExec", *words))
    out = {"provisioning_mode": Known(False), "system_task_excludes": Known(())}
    since = {} if hours is None else {"enabled_time": Known(NOW - timedelta(hours=hours))}

    assessment = judged(service=service, **(out if hours is None else since))

    assert (assessment.verdict, assessment.cause) == (Verdict.UNASSESSED, "access-denied")
    assert judged(service=service, client_version=Absent()).verdict is Verdict.UNASSESSED


@pytest.mark.parametrize(
    "unshown",
    [
        {"task_sequence_agent": Absent()},
        {"task_sequence_agent": Known(Service("smstsmgr", "Unknown", "Unknown"))},
        {"task_sequence_agent": Known(Service("smstsmgr", "", "Manual"))},
        {"processes": Absent()},
    ],
)
def test_a_client_in_the_mode_is_unassessed_if_what_every_client_has_is_not_shown(unshown: dict[str, Any]) -> None:
    assessment = judged(**unshown)

    assert assessment.verdict is Verdict.UNASSESSED
    assert "could not tell whether a task sequence or an upgrade runs" in assessment.reason


# -- other things that are not shown ----------------------------------------------------------------------------------


def test_an_account_that_is_not_shown_the_processes_of_others_cannot_tell_what_runs(drive: Drive) -> None:
    names, starts = drive(processes(("TSManager.exe",)), [])

    assert names == starts
    assert names.cause == "access-denied"


def test_the_process_that_always_runs_is_no_part_of_the_answer(drive: Drive) -> None:
    def process(name: str, started: str | None) -> Instance:
        return Instance("A", {"Name": name, "CreationDate": started})

    found = [
        process("System", None),
        process("TSManager.exe", "2026-11-25T10:00:00Z"),
        process("TSManager.exe", "2026-11-24T10:00:00+01:00"),
        process("SetupHost.exe", "10:30:00"),
    ]

    names, starts = drive(processes(("tsmanager.exe", "setuphost.exe")), found)

    assert names == Known(("SetupHost.exe", "TSManager.exe"))
    assert starts == Known((ProcessStart("TSManager.exe", datetime(2026, 11, 24, 9, tzinfo=timezone.utc)),))
    assert drive(processes(("ccmsetup.exe",)), found) == (Known(()), Known(()))
    assert drive(processes(), found)[0] == Known(("SetupHost.exe", "System", "TSManager.exe"))


def test_a_task_that_is_not_shown_is_found_by_its_key(drive: Drive) -> None:
    assert drive(health_evaluation(), [], EMPTY_KEY).cause == "access-denied"
    assert drive(health_evaluation(), [], DENIED).cause == "access-denied"
    missing = drive(health_evaluation(), [], MISSING, Instance("A", {"ReturnValue": "1"}), [])
    assert missing.value.task == "missing"


def test_a_notify_only_that_is_neither_true_nor_false_is_not_read_as_false(drive: Drive) -> None:
    task = [Instance("A", {"TaskName": "x", "State": "3"})]
    words = Instance("A", {"ReturnValue": "0", "sValue": "perhaps"})
    system = [Instance("A", {"Version": "10.0", "BuildNumber": "1", "WindowsDirectory": "C:\\Windows"})]

    status = drive(health_evaluation(), task, words, system, []).value

    assert isinstance(status.notify_only, Unknown)


# -- the whole conversation -------------------------------------------------------------------------------------------


def answers(hidden: frozenset[str], mode: str, asked: list[Any]) -> Callable[[Any], Any]:
    """Return a PC's answers to an account that is not shown what is *hidden*."""

    def service_row(name: str, state: str) -> list[Instance]:
        return [] if name in hidden else [Instance("A", {"Name": name, "State": state, "StartMode": "Auto"})]

    def answer(operation: Any) -> Any:
        asked.append(operation)
        words = repr(operation)
        if isinstance(operation, Get):
            return Instance("SMS_Client", {"ClientVersion": "5.00.9128.1007"})
        if isinstance(operation, CommandLine):
            return Completed(0, b"".join(b"@provmode %d absent\r\n" % number for number in range(4)))
        if isinstance(operation, Enumerate):
            if "LocalDateTime" in words:
                return [Instance("A", {"CSName": "PC-1", "CurrentTimeZone": "0", "LocalDateTime": NOW})]
            if "Win32_Process" in words:
                return [] if "processes" in hidden else [Instance("A", {"Name": "System"})]
            if "Win32_Service" in words:
                return service_row("CcmExec", "Running") if "CcmExec" in words else service_row("smstsmgr", "Stopped")
            return []
        assert isinstance(operation, Invoke)
        name = dict(operation.parameters).get("sValueName")
        if operation.method == "EnumValues" and "Services" in words:
            return KEY
        if operation.method == "EnumValues":
            entered = "ProvisioningEnabledTime"
            return Instance("A", {"ReturnValue": "0", "sNames": (entered,), "Types": ("11",)})
        if name == "ProvisioningEnabledTime":
            entered = str(int((NOW - timedelta(days=36)).timestamp()))
            return Instance("A", {"ReturnValue": "0", "uValue": entered})
        return Instance("A", {"ReturnValue": "0", "sValue": mode if name == "ProvisioningMode" else ""})

    return answer


def looked_at(hidden: frozenset[str], mode: str) -> tuple[Assessment, list[Any]]:
    asked: list[Any] = []
    answer, conversation = answers(hidden, mode, asked), client_state(lambda: NOW, Policy().legitimate_processes)
    operation = next(conversation)
    while True:
        try:
            operation = conversation.send(answer(operation))
        except StopIteration as stop:
            return judge(stop.value, Policy(), NOW), asked


@pytest.mark.parametrize(
    ("hidden", "mode", "verdict"),
    [
        ({"CcmExec"}, "false", Verdict.UNASSESSED),
        ({"CcmExec"}, "true", Verdict.UNASSESSED),
        ({"smstsmgr"}, "true", Verdict.UNASSESSED),
        ({"processes"}, "true", Verdict.UNASSESSED),
        ({"smstsmgr", "processes"}, "false", Verdict.HEALTHY),
        ({}, "true", Verdict.OVERDUE),
        ({}, "false", Verdict.HEALTHY),
    ],
)
def test_what_is_hidden_from_the_account_is_never_called_missing(hidden: set[str], mode: str, verdict: Verdict) -> None:
    assessment, _ = looked_at(frozenset(hidden), mode)

    assert assessment.verdict is verdict
    assert (assessment.cause == "access-denied") == (verdict is Verdict.UNASSESSED)


def test_a_healthy_client_is_asked_five_questions_and_no_second_witness() -> None:
    _, asked = looked_at(frozenset(), "false")

    assert not any("Services" in repr(operation) for operation in asked)
    assert len(asked) == 5


def test_the_last_look_before_the_exit_takes_nothing_hidden_for_nothing(drive: Drive) -> None:
    system = [Instance("A", {"Name": "System"})]
    for found in (([],), (system, [], KEY)):
        with pytest.raises(HostError, match="could not tell whether"):
            drive(check_idle(lambda: NOW, Policy()), *found, *([] if found[0] else [[], MISSING]), MISSING)


# -- a reason to wait has an end --------------------------------------------------------------------------------------

TSMANAGER = Known(("TSManager.exe",))


def codes(assessment: Assessment) -> set[str]:
    return {finding.code for finding in assessment.findings}


@pytest.mark.parametrize(
    "signal",
    [
        {"processes": TSMANAGER},
        {"task_sequence_agent": Known(Service("smstsmgr", "Running", "Manual"))},
        {"setup": Known(Setup(False, True, 0, 0, False, ""))},
    ],
)
def test_a_client_at_work_for_longer_than_its_limit_is_untouched_and_counts_as_failed(signal: dict[str, Any]) -> None:
    late = judged(**signal)
    early = judged(enabled_time=Known(NOW - timedelta(hours=20)), clock=Known(PcClock(NOW, 0, None)), **signal)

    assert late.verdict is early.verdict is Verdict.IN_PROGRESS
    assert codes(late) == {"at-work-too-long"}
    assert (late.outcome, early.outcome) == (Outcome.FAILED, Outcome.LEFT_ALONE)
    assert codes(early) == set()


def test_the_limit_the_check_and_the_grace_count() -> None:
    for hours, too_long in ((48.5, False), (49.5, False), (50.5, True)):
        assessment = judged(processes=TSMANAGER, enabled_time=Known(NOW - timedelta(hours=hours)))
        assert (codes(assessment) == {"at-work-too-long"}) == too_long, hours


@pytest.mark.parametrize("fields", [{}, {"provisioning_mode": Known(False)}, {"enabled_time": Absent()}])
def test_an_engine_older_than_the_policys_maximum_is_too_long(fields: dict[str, Any]) -> None:
    def with_engine(hours: float, **policy: Any) -> Assessment:
        starts = Known((ProcessStart("tsmanager.EXE", NOW - timedelta(hours=hours)),))
        young = {"enabled_time": Known(NOW - timedelta(hours=1)), **fields}
        return judged(Policy(**policy), processes=TSMANAGER, process_starts=starts, **young)

    assert codes(with_engine(47)) == set()
    assert codes(with_engine(49)) == {"at-work-too-long"}
    assert "TSManager" not in with_engine(47).reason or with_engine(49).verdict is Verdict.IN_PROGRESS
    assert codes(with_engine(49, maximum_work_minutes=3000)) == set()
    assert codes(with_engine(2, maximum_work_minutes=60)) == {"at-work-too-long"}


def test_a_process_that_is_no_legitimate_work_is_not_counted() -> None:
    starts = Known((ProcessStart("svchost.exe", NOW - timedelta(days=90)),))
    recent = Known(NOW - timedelta(hours=1))

    assert codes(judged(processes=TSMANAGER, process_starts=starts, enabled_time=recent)) == set()


def test_setup_by_its_flags_alone_on_a_pc_that_was_not_restarted_is_too_long() -> None:
    setup, recent = Known(Setup(True, False, 0, 0, False, "")), Known(NOW - timedelta(hours=1))

    assert codes(judged(setup=setup, enabled_time=recent)) == {"at-work-too-long"}
    assert codes(judged(setup=setup, enabled_time=recent, processes=Known(("SetupHost.exe",)))) == set()
    just_started = Known(PcClock(NOW, 0, NOW - timedelta(hours=1)))
    assert codes(judged(setup=setup, enabled_time=recent, clock=just_started)) == set()


def test_a_client_without_a_time_limit_is_at_work_too_long_by_the_policy() -> None:
    def at_work(hours: int) -> Assessment:
        entered = Known(NOW - timedelta(hours=hours))
        return judged(processes=TSMANAGER, max_minutes=Known(4294967295), enabled_time=entered)

    assert codes(at_work(47)) == set()
    assert codes(at_work(49)) == {"at-work-too-long"}


# -- a task sequence agent that depends on the client -----------------------------------------------------------------


def test_an_agent_that_depends_on_the_client_is_a_finding() -> None:
    assert "agent-depends-on-client" in codes(judged(agent_dependencies=Known(("Winmgmt", "ccmexec"))))
    for reading in (Known(("Winmgmt",)), Absent(), Unknown("access-denied", "no")):
        assert "agent-depends-on-client" not in codes(judged(agent_dependencies=reading))


def test_dependencies_are_read_from_the_key(drive: Drive) -> None:
    def value(*names: str) -> Instance:
        return Instance("A", {"ReturnValue": "0", "sValue": names})

    assert drive(service_dependencies("smstsmgr"), value("CcmExec", "Winmgmt")) == Known(("CcmExec", "Winmgmt"))
    assert drive(service_dependencies("smstsmgr"), value("")) == Absent()
    assert drive(service_dependencies("smstsmgr"), MISSING) == Absent()
    assert drive(service_dependencies("smstsmgr"), DENIED).cause == "access-denied"


# -- one bad property -------------------------------------------------------------------------------------------------


def test_a_bad_property_of_the_clock_loses_only_itself(drive: Drive) -> None:
    good = {"CSName": "PC-1", "LocalDateTime": "2026-11-25T12:00:00Z", "LastBootUpTime": "2026-11-24T12:00:00Z"}

    clock, name = drive(clock_and_name(), [Instance("A", {**good, "LastBootUpTime": "2026-11-24"})])
    assert (clock, name) == (Known(PcClock(NOW, 0, None)), Known("PC-1"))
    clock, name = drive(clock_and_name(), [Instance("A", {**good, "CurrentTimeZone": "x"})])
    assert (clock.value.now, name) == (NOW, Known("PC-1"))
    clock, name = drive(clock_and_name(), [Instance("A", {**good, "LocalDateTime": "2026-11-25T12:00:00"})])
    assert (clock.cause, name) == ("malformed", Known("PC-1"))
    clock, name = drive(clock_and_name(), [Instance("A", {**good, "CSName": ("a", "b")})])
    assert (clock.value.now, name.cause) == (NOW, "malformed")


def test_a_start_of_windows_that_is_no_time_is_could_not_tell(drive: Drive) -> None:
    assert drive(boot_time(), [Instance("A", {"LastBootUpTime": "2026-11-24"})]).cause == "malformed"
    assert drive(boot_time(), [Instance("A", {})]) == Absent()
