"""The verdict: one test for every rule, and the promises of the whole table as properties."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.ccm.judge import judge
from provmode.ccm.model import CcmEvalStatus, ClientReadings, TaskSequence, TcfFile
from provmode.ccm.policy import LEGITIMATE_PROCESSES, Policy
from provmode.ccm.rules import RULES, Case, duration
from provmode.ccm.verdict import CORRECT_THE_VALUE, NEXT_STEP, Verdict
from provmode.reading import NOT_READ, Absent, Known, Unknown
from provmode.remediation.decide import fingerprint, what_changed
from provmode.text import SENTENCE
from provmode.windows.model import PcClock, ProcessStart, Service, Setup

NOW = datetime(2026, 8, 20, 12, 0, tzinfo=timezone.utc)
RUNNING = Known(Service("CcmExec", "Running", "Auto"))
DISABLED = Known(Service("CcmExec", "Stopped", "Disabled"))
IDLE_AGENT = Known(Service("smstsmgr", "Stopped", "Manual"))
NO_SETUP = Known(Setup(False, False, 0, 0, False, ""))
ARMED = Known((TcfFile("%windir%\\ccmsetup\\MobileClient.TCF", True, "ANSI", ("SMSPROVISIONINGMODE=1",)),))

HEALTHY = ClientReadings(
    NOW,
    client_version=Known("5.00.9128.1007"),
    provisioning_mode=Known(False),
    system_task_excludes=Known(()),
    service=RUNNING,
    tcf=Absent(),
    task_sequence_agent=IDLE_AGENT,
    processes=Known(("svchost.exe",)),
    setup=NO_SETUP,
)


def in_mode(hours: float | None, **changes: Any) -> ClientReadings:
    """Return a client in the mode for *hours*, with nothing running."""
    state = replace(
        HEALTHY,
        provisioning_mode=Known(True),
        system_task_excludes=Known(("SchedulerStartup",)),
        enabled_time=Absent() if hours is None else Known(NOW - timedelta(hours=hours)),
        max_minutes=Absent(),
        task_sequences=Known(()),
        task_sequence_agent=IDLE_AGENT,
        processes=Known(("svchost.exe",)),
        setup=NO_SETUP,
        clock=Known(PcClock(NOW, 120, NOW - timedelta(days=3))),
        health_evaluation=Known(CcmEvalStatus("Ready", Absent(), Absent())),
    )
    return replace(state, **changes)


def verdict(state: ClientReadings, **policy: Any) -> Verdict:
    """Return the verdict under a policy."""
    return judge(state, Policy(**policy), NOW).verdict


def test_a_client_out_of_the_mode_with_nothing_left_behind_is_healthy() -> None:
    assert verdict(HEALTHY) is Verdict.HEALTHY


def test_missing_values_mean_off_and_empty() -> None:
    assert verdict(replace(HEALTHY, provisioning_mode=Absent(), system_task_excludes=Absent())) is Verdict.HEALTHY


def test_a_pc_with_neither_client_nor_service_has_no_client() -> None:
    state = ClientReadings(NOW, client_version=Absent(), service=Absent())

    assert verdict(state) is Verdict.NO_CLIENT


def test_a_service_without_its_wmi_namespace_is_a_broken_client() -> None:
    assert verdict(replace(HEALTHY, client_version=Absent())) is Verdict.CLIENT_BROKEN


def test_a_client_with_a_starting_service_is_neither_broken_nor_healthy() -> None:
    starting = Known(Service("CcmExec", "Start Pending", "Auto"))
    assessment = judge(
        replace(HEALTHY, client_version=Unknown("unavailable", "not now"), service=starting), Policy(), NOW
    )

    assert assessment.verdict is Verdict.UNASSESSED
    assert "look again in a few minutes" in assessment.reason


def test_an_upgrade_that_took_the_client_down_is_left_alone_and_not_called_broken() -> None:
    state = replace(
        in_mode(1, processes=Known(("SetupHost.exe",))), client_version=Unknown("unavailable", "x"), service=DISABLED
    )

    assert judge(state, Policy(), NOW).verdict is Verdict.IN_PROGRESS


def test_a_client_without_its_service_is_broken() -> None:
    assert verdict(replace(HEALTHY, service=Absent())) is Verdict.CLIENT_BROKEN


def test_a_disabled_service_outside_the_mode_is_a_broken_client() -> None:
    assert verdict(replace(HEALTHY, service=DISABLED)) is Verdict.CLIENT_BROKEN


@pytest.mark.parametrize(
    "signal",
    [
        {"processes": Known(("tsmanager.EXE",))},
        {"processes": Known(("SetupHost.exe",))},
        {"task_sequence_agent": Known(Service("smstsmgr", "Running", "Manual"))},
        {"task_sequence_agent": Known(Service("smstsmgr", "Start Pending", "Manual"))},
        {"setup": Known(Setup(True, False, 0, 0, False, ""))},
        {"setup": Known(Setup(False, False, 2, 4, False, "oobe\\windeploy.exe"))},
    ],
)
def test_a_client_in_the_mode_is_left_alone_while_anything_legitimate_runs(signal: dict[str, Any]) -> None:
    for hours in (1, 30, 900, None):
        for service in (RUNNING, DISABLED):
            assert verdict(in_mode(hours, service=service, **signal)) is Verdict.IN_PROGRESS


@pytest.mark.parametrize("builtin", LEGITIMATE_PROCESSES)
def test_a_policy_that_names_a_process_of_its_own_keeps_every_built_in_one(builtin: str) -> None:
    policy = Policy.from_mapping(
        {"legitimate_processes": ["ourtool.exe"], "wait_for_self_healing": False, "minimum_age_minutes": 0},
        where="data",
    )

    for process in (builtin.upper(), "OurTool.exe"):
        assert judge(in_mode(900, processes=Known((process,))), policy, NOW).verdict is Verdict.IN_PROGRESS


def test_a_half_exited_client_with_something_running_is_left_alone_too() -> None:
    state = in_mode(900, provisioning_mode=Known(False), processes=Known(("SetupHost.exe",)))

    assert verdict(state) is Verdict.IN_PROGRESS


def test_a_client_before_1902_never_leaves_by_itself_and_is_stuck() -> None:
    assert verdict(in_mode(None, client_version=Known("5.00.8740.1024"))) is Verdict.STUCK
    assert verdict(in_mode(200, client_version=Known("5.0.8325.1000"))) is Verdict.STUCK


def test_a_client_that_entered_the_mode_recently_is_not_yet_called_stuck() -> None:
    assert verdict(in_mode(1, client_version=Known("5.00.8740.1024"))) is Verdict.IN_PROGRESS
    assert verdict(in_mode(1, service=DISABLED)) is Verdict.IN_PROGRESS


def test_a_modern_client_without_a_time_stamp_is_stuck() -> None:
    assert verdict(in_mode(None)) is Verdict.STUCK


def test_a_modern_client_within_its_time_leaves_by_itself_and_says_when() -> None:
    assessment = judge(in_mode(10), Policy(), NOW)

    assert assessment.verdict is Verdict.SELF_HEALING
    assert assessment.leaves_at == NOW - timedelta(hours=10) + timedelta(minutes=2880 + 60)
    assert assessment.age == timedelta(hours=10)


def test_zero_max_minutes_means_48_hours() -> None:
    assert verdict(in_mode(40, max_minutes=Known(0))) is Verdict.SELF_HEALING


@pytest.mark.parametrize("minutes", [4294967295, 5_270_401, 10**20 - 1])
def test_a_client_whose_time_limit_never_comes_is_stuck_and_says_so(minutes: int) -> None:
    state = in_mode(10, max_minutes=Known(minutes))
    assessment = judge(state, Policy(), NOW)

    assert assessment.verdict is Verdict.STUCK
    assert f"with ProvisioningMaxMinutes {minutes} it never leaves by itself" in assessment.reason
    assert assessment.leaves_at is None
    assert verdict(in_mode(3, max_minutes=Known(minutes))) is Verdict.IN_PROGRESS
    assert verdict(replace(state, processes=Known(("SetupHost.exe",)))) is Verdict.IN_PROGRESS
    assert verdict(replace(state, processes=Unknown("fault", "x"))) is Verdict.UNASSESSED


def test_a_time_limit_of_years_is_still_one() -> None:
    assert verdict(in_mode(10, max_minutes=Known(525_600))) is Verdict.SELF_HEALING


@pytest.mark.parametrize("clock", [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)])
def test_times_at_the_ends_of_the_calendar_are_judged(clock: datetime) -> None:
    pc = Known(PcClock(clock.replace(tzinfo=timezone.utc), 0, None))

    for entered in (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)):
        state = in_mode(None, clock=pc, enabled_time=Known(entered.replace(tzinfo=timezone.utc)))
        assert judge(state, Policy(grace_minutes=527_040), NOW).verdict in Verdict


def test_a_shorter_time_limit_makes_a_client_overdue_earlier() -> None:
    assert verdict(in_mode(10, max_minutes=Known(60))) is Verdict.OVERDUE


def test_a_client_is_overdue_only_after_the_grace_of_the_policy() -> None:
    assert verdict(in_mode(49.5)) is Verdict.SELF_HEALING
    assert verdict(in_mode(49.5), grace_minutes=0) is Verdict.OVERDUE


def test_a_client_that_should_have_left_is_overdue_also_with_its_service_disabled() -> None:
    assert verdict(in_mode(90)) is Verdict.OVERDUE
    assert verdict(in_mode(90, service=DISABLED)) is Verdict.OVERDUE


@pytest.mark.parametrize(
    ("mode", "expected"), [("Manual", Verdict.STUCK), ("Auto", Verdict.SELF_HEALING), ("Disabled", Verdict.STUCK)]
)
def test_a_client_leaves_by_itself_only_if_its_service_starts_again(mode: str, expected: Verdict) -> None:
    state = in_mode(5, service=Known(Service("CcmExec", "Stopped", mode)))
    assessment = judge(state, Policy(), NOW)

    assert assessment.verdict is expected
    codes = {finding.code for finding in assessment.findings}
    assert codes >= {"service-disabled" if mode == "Disabled" else "service-stopped"}
    assert expected is Verdict.SELF_HEALING or "cannot fire" in assessment.reason


def test_a_client_with_a_disabled_service_is_stuck_before_its_time_limit() -> None:
    assert verdict(in_mode(10, service=DISABLED)) is Verdict.STUCK


def test_a_policy_that_does_not_wait_calls_a_self_healing_client_stuck() -> None:
    assert verdict(in_mode(10), wait_for_self_healing=False) is Verdict.STUCK


def test_a_time_stamp_in_the_pcs_own_future_is_stuck_and_says_why() -> None:
    assessment = judge(in_mode(-30), Policy(), NOW)

    assert assessment.verdict is Verdict.STUCK
    assert "clock" in assessment.reason


def test_ages_are_counted_by_the_pcs_own_clock() -> None:
    behind = Known(PcClock(NOW - timedelta(hours=80), 0, None))
    state = in_mode(90, clock=behind)  # by its own clock 10 hours in the mode

    assessment = judge(state, Policy(), NOW)

    assert assessment.verdict is Verdict.SELF_HEALING
    assert [finding.code for finding in assessment.findings] == ["clock-skew"]


def test_a_client_with_excluded_tasks_but_without_the_mode_is_half_exited() -> None:
    assert verdict(in_mode(900, provisioning_mode=Known(False))) is Verdict.HALF_EXITED
    assert verdict(in_mode(900, provisioning_mode=Absent())) is Verdict.HALF_EXITED


def test_an_armed_client_on_which_something_runs_is_left_alone() -> None:
    armed = replace(HEALTHY, tcf=ARMED)
    at_work = judge(replace(armed, processes=Known(("SetupHost.exe",))), Policy(), NOW)
    unread = judge(replace(armed, setup=Unknown("access-denied", "no")), Policy(), NOW)

    assert at_work.verdict is Verdict.IN_PROGRESS
    assert "MobileClient.TCF carries SMSPROVISIONINGMODE=1 and something is at work" in at_work.reason
    assert unread.verdict is Verdict.UNASSESSED
    assert "could not tell whether a task sequence" in unread.reason
    assert verdict(replace(armed, processes=Known(("SetupHost.exe",))), check_tcf=False) is Verdict.HEALTHY


def test_a_tcf_that_would_bring_the_mode_back_arms_a_healthy_client() -> None:
    assert verdict(replace(HEALTHY, tcf=ARMED)) is Verdict.ARMED
    assert verdict(replace(HEALTHY, tcf=ARMED), check_tcf=False) is Verdict.HEALTHY


def test_an_armed_tcf_of_a_client_in_the_mode_is_a_finding() -> None:
    assessment = judge(in_mode(90, tcf=ARMED), Policy(), NOW)

    assert "tcf-armed" in {finding.code for finding in assessment.findings}


def test_a_task_sequence_without_its_engine_is_an_orphan() -> None:
    state = in_mode(90, task_sequences=Known((TaskSequence("PS100001", "Upgrade", "Running", "Running", None),)))

    assert "orphaned-task-sequence" in {finding.code for finding in judge(state, Policy(), NOW).findings}


def test_a_tcf_that_could_not_be_read_is_not_healthy() -> None:
    state = replace(HEALTHY, tcf=Unknown("access-denied", "no"))

    assessment = judge(state, Policy(), NOW)

    assert (assessment.verdict, assessment.cause) == (Verdict.UNASSESSED, "access-denied")


def test_a_client_is_not_called_stuck_if_we_cannot_tell_what_runs() -> None:
    assessment = judge(in_mode(900, processes=Unknown("access-denied", "no")), Policy(), NOW)

    assert (assessment.verdict, assessment.cause) == (Verdict.UNASSESSED, "access-denied")


def test_a_client_without_a_valid_version_is_not_judged() -> None:
    assert verdict(in_mode(900, client_version=Known("unknown"))) is Verdict.UNASSESSED


# -- every rule and every finding, word for word ------------------------------------------------------------------

GUIDE = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text("utf-8")
OLD = Known("5.00.8740.1024")
HALF_OUT = {"provisioning_mode": Known(False), "system_task_excludes": Known(("SchedulerStartup", "SchedulerLogon"))}
LONG_SINCE = "since 2026-07-14 00:00 UTC (37 days 12 h)"
STOPPED = Known(Service("CcmExec", "Stopped", "Manual"))
BOTH_FILES = Known(
    (
        *ARMED.value,
        TcfFile("%windir%\\ccmsetup\\MobileClientUnicode.tcf", False, "UTF-16 LE", ()),
        TcfFile("%windir%\\System32\\ccmsetup\\MobileClient.TCF", True, "ANSI", ("SMSPROVISIONINGMODE=1",)),
    )
)
PATHS = "%windir%\\ccmsetup\\MobileClient.TCF, %windir%\\System32\\ccmsetup\\MobileClient.TCF"
DENIED = Unknown("access-denied", "Win32_Process: access denied")

WORDS: list[tuple[str, Verdict, ClientReadings, dict[str, Any], str]] = [
    (
        *("no-client", Verdict.NO_CLIENT, ClientReadings(NOW, client_version=Absent(), service=Absent()), {}),
        "there is no ConfigMgr client on this PC",
    ),
    (
        *("live", Verdict.IN_PROGRESS, in_mode(10, processes=Known(("tsmanager.EXE", "a.exe", "SetupHost.exe"))), {}),
        "in provisioning mode since 2026-08-20 02:00 UTC (10 h 0 min) and at work: SetupHost.exe, tsmanager.EXE "
        "running; leave it alone",
    ),
    (
        *("live", Verdict.IN_PROGRESS, in_mode(None, setup=Known(Setup(True, False, 0, 0, False, ""))), {}),
        "in provisioning mode since an unknown time and at work: Windows Setup in progress; leave it alone",
    ),
    (
        "live",
        Verdict.IN_PROGRESS,
        in_mode(
            900,
            **HALF_OUT,
            processes=Known(("ccmsetup.exe",)),
            task_sequence_agent=Known(Service("smstsmgr", "Start Pending", "Manual")),
            setup=Known(Setup(False, False, 0, 0, True, "")),
        ),
        {},
        "2 system tasks excluded and something is at work: ccmsetup.exe running; the task sequence agent (smstsmgr) is "
        "start pending; Windows Setup in progress; leave it alone",
    ),
    (
        *("live", Verdict.IN_PROGRESS, replace(HEALTHY, tcf=BOTH_FILES, processes=Known(("ccmsetup.exe",))), {}),
        f"{PATHS} carries SMSPROVISIONINGMODE=1 and something is at work that may need it: ccmsetup.exe running; "
        "leave it alone",
    ),
    (
        "client-starting",
        Verdict.UNASSESSED,
        replace(HEALTHY, client_version=Absent(), service=Known(Service("CcmExec", "Stop Pending", "Auto"))),
        {},
        "CcmExec is starting or stopping and root\\ccm does not answer yet: look again in a few minutes",
    ),
    (
        *("client-wmi-broken", Verdict.CLIENT_BROKEN, replace(HEALTHY, client_version=Absent()), {}),
        "the CcmExec service exists but root\\ccm does not answer: repair the client (ccmrepair.exe)",
    ),
    (
        *("client-service-missing", Verdict.CLIENT_BROKEN, replace(HEALTHY, service=Absent()), {}),
        "client 5.00.9128.1007 is registered but its CcmExec service is missing: reinstall the client",
    ),
    (
        *("live-unread", Verdict.UNASSESSED, in_mode(900, processes=DENIED), {}),
        "in provisioning mode, and could not tell whether a task sequence or an upgrade runs: "
        "Win32_Process: access denied",
    ),
    (
        *("live-unread", Verdict.UNASSESSED, replace(HEALTHY, tcf=ARMED, setup=Unknown("malformed")), {}),
        "%windir%\\ccmsetup\\MobileClient.TCF carries SMSPROVISIONINGMODE=1, and could not tell whether a task "
        "sequence or an upgrade runs: malformed",
    ),
    (
        *("needed-unread", Verdict.UNASSESSED, replace(HEALTHY, service=Unknown("quota", "too many users")), {}),
        "could not tell whether the client is healthy: too many users",
    ),
    (
        *("needed-unread", Verdict.UNASSESSED, in_mode(900, clock=Unknown("malformed")), {}),
        "could not tell whether the client is healthy: malformed",
    ),
    (
        *("version-unread", Verdict.UNASSESSED, in_mode(900, client_version=Known("5.x")), {}),
        "in provisioning mode, and '5.x' is not a client version: cannot tell if it leaves by itself",
    ),
    (
        *("young", Verdict.IN_PROGRESS, in_mode(3.5, client_version=OLD), {}),
        "in provisioning mode since 2026-08-20 08:30 UTC (3 h 30 min), less than 240 min: too early to call it stuck",
    ),
    (
        *("old-client", Verdict.STUCK, in_mode(900, client_version=OLD), {}),
        f"in provisioning mode {LONG_SINCE}, nothing runs, and client 5.00.8740.1024 (before 1902) never leaves by "
        "itself: take it out",
    ),
    (
        *("no-enabled-time", Verdict.STUCK, in_mode(None), {}),
        "in provisioning mode without ProvisioningEnabledTime, nothing runs: its time limit has nothing to count from: "
        "take it out",
    ),
    (
        *("no-time-limit", Verdict.STUCK, in_mode(900, max_minutes=Known(4294967295)), {}),
        f"in provisioning mode {LONG_SINCE}, nothing runs, and with ProvisioningMaxMinutes 4294967295 it never leaves "
        "by itself: take it out",
    ),
    (
        *("overdue", Verdict.OVERDUE, in_mode(900), {}),
        f"in provisioning mode {LONG_SINCE}, nothing runs; it should have left by 2026-07-16 01:00 UTC: take it out",
    ),
    (
        *("overdue", Verdict.OVERDUE, in_mode(900, service=DISABLED), {}),
        f"in provisioning mode {LONG_SINCE}, nothing runs; it should have left by 2026-07-16 01:00 UTC but its CcmExec "
        "is disabled: take it out",
    ),
    (
        *("entered-in-future", Verdict.STUCK, in_mode(-30), {}),
        "in provisioning mode, nothing runs, and it says it entered at a time its own clock has not reached (since "
        "2026-08-21 18:00 UTC): its time limit cannot fire: correct the clock and take it out",
    ),
    (
        *("service-disabled", Verdict.STUCK, in_mode(10, service=DISABLED), {}),
        "in provisioning mode since 2026-08-20 02:00 UTC (10 h 0 min), nothing runs, and CcmExec is disabled, so that "
        "its time limit cannot fire: enable the service and take it out",
    ),
    (
        *("service-disabled", Verdict.STUCK, in_mode(10, service=STOPPED), {}),
        "in provisioning mode since 2026-08-20 02:00 UTC (10 h 0 min), nothing runs, and CcmExec is stopped and its "
        "start mode is Manual, so that its time limit cannot fire: start the service and take it out",
    ),
    (
        *("needed-unread", Verdict.UNASSESSED, in_mode(10, service=Known(Service("CcmExec", "stopped", ""))), {}),
        "could not tell whether the client is healthy: service CcmExec: the PC does not tell this account its state "
        "(stopped) or start mode (empty)",
    ),
    (
        "live-unread",
        Verdict.UNASSESSED,
        in_mode(900, task_sequence_agent=Known(Service("smstsmgr", "Unknown", "Manual"))),
        {},
        "in provisioning mode, and could not tell whether a task sequence or an upgrade runs: service smstsmgr: the PC "
        "does not tell this account its state (Unknown) or start mode (Manual)",
    ),
    (
        *("live-unread", Verdict.UNASSESSED, in_mode(900, task_sequence_agent=Absent()), {}),
        "in provisioning mode, and could not tell whether a task sequence or an upgrade runs: every client has a task "
        "sequence agent (smstsmgr), and this one has none: repair it",
    ),
    (
        *("live-unread", Verdict.UNASSESSED, in_mode(900, processes=Absent()), {}),
        "in provisioning mode, and could not tell whether a task sequence or an upgrade runs: Windows has no class of "
        "processes",
    ),
    (
        *("not-waiting", Verdict.STUCK, in_mode(10), {"wait_for_self_healing": False}),
        "in provisioning mode since 2026-08-20 02:00 UTC (10 h 0 min), nothing runs, and the policy says not to wait: "
        "take it out",
    ),
    (
        *("self-healing", Verdict.SELF_HEALING, in_mode(10), {}),
        "in provisioning mode since 2026-08-20 02:00 UTC (10 h 0 min), nothing runs; it leaves by itself by "
        "2026-08-22 03:00 UTC",
    ),
    (
        *("half-exited", Verdict.HALF_EXITED, in_mode(900, **HALF_OUT), {}),
        "the mode is off in the registry but 2 system tasks excluded: somebody edited the registry; leave the mode by "
        "its method",
    ),
    (
        *("service-disabled-outside", Verdict.CLIENT_BROKEN, replace(HEALTHY, service=DISABLED), {}),
        "CcmExec is disabled although the client is not in provisioning mode: nothing is managed here",
    ),
    (
        *("armed", Verdict.ARMED, replace(HEALTHY, tcf=BOTH_FILES), {}),
        f"healthy now, but {PATHS} carries SMSPROVISIONINGMODE=1 and can bring the mode back: take the entry out",
    ),
    (
        *("healthy", Verdict.HEALTHY, HEALTHY, {}),
        "client 5.00.9128.1007 is not in provisioning mode",
    ),
]


@pytest.mark.parametrize(
    ("rule", "expected", "state", "policy", "reason"),
    WORDS,
    ids=[f"{number} {row[0]}" for number, row in enumerate(WORDS)],
)
def test_a_verdict_names_its_rule_and_says_what_was_read_and_what_to_do(
    rule: str, expected: Verdict, state: ClientReadings, policy: dict[str, Any], reason: str
) -> None:
    assessment = judge(state, Policy(**policy), NOW)

    assert (assessment.rule, assessment.verdict, assessment.reason) == (rule, expected, reason)
    source = next(item.source for item in RULES if item.name == rule)
    assert re.search(rf"^\| `{rule}` \| `{expected}` \| [^|]+ \| {re.escape(source)} \|$", GUIDE, re.MULTILINE)


def test_each_rule_is_shown_word_for_word() -> None:
    assert {row[0] for row in WORDS} == {rule.name for rule in RULES}


REGISTERED = TaskSequence("PS100001", "Upgrade", "Running", "Running", None)
NAMELESS = TaskSequence(None, None, "Running", "Running", None)
ENGINE = Known(("svchost.exe", "TSManager.exe"))
STARTS = Known(
    (
        ProcessStart("svchost.exe", NOW - timedelta(days=90)),
        ProcessStart("SetupHost.exe", NOW - timedelta(hours=1)),
        ProcessStart("TSManager.exe", NOW - timedelta(days=2, minutes=1)),
    )
)
LOOK = ": look at the PC; provmode does not touch it"
FINDINGS: list[tuple[str, ClientReadings, str]] = [
    (
        *("at-work-too-long", in_mode(900, processes=ENGINE)),
        f"at work for longer than its time limit: in provisioning mode {LONG_SINCE}{LOOK}",
    ),
    (
        *("at-work-too-long", in_mode(900, processes=ENGINE, max_minutes=Known(4294967295))),
        f"at work for longer than 2 days 0 h: in provisioning mode {LONG_SINCE}{LOOK}",
    ),
    (
        *("at-work-too-long", in_mode(10, processes=ENGINE, process_starts=STARTS)),
        f"TSManager.exe has been running since 2026-08-18 11:59 UTC (2 days 0 h), longer than 2 days 0 h{LOOK}",
    ),
    (
        *("at-work-too-long", in_mode(10, setup=Known(Setup(False, True, 0, 0, False, "")))),
        "Windows Setup is in progress by its flags, none of its programs runs, and Windows last started 3 days 0 h ago"
        f"{LOOK}",
    ),
    (
        *("agent-depends-on-client", in_mode(10, agent_dependencies=Known(("Winmgmt", "CCMEXEC")))),
        "the task sequence agent (smstsmgr) depends on CcmExec: leaving the mode can fail with 0x80004005; "
        "operations.service.dependencies mends it",
    ),
    (
        *("clock-skew", in_mode(10, clock=Known(PcClock(NOW + timedelta(minutes=6), 0, None)))),
        "the PC's clock is 6 min ahead",
    ),
    (
        *("clock-skew", in_mode(10, clock=Known(PcClock(NOW - timedelta(days=1, hours=2), 0, None)))),
        "the PC's clock is 1 day 2 h behind",
    ),
    (
        "orphaned-task-sequence",
        in_mode(10, task_sequences=Known((REGISTERED, replace(REGISTERED, package_name=None), NAMELESS))),
        "left behind and not running: Upgrade, PS100001, a task sequence",
    ),
    (
        *("notify-only", in_mode(10, health_evaluation=Known(CcmEvalStatus("Ready", Known(True), Absent())))),
        "the client's own repair (CcmEval) only notifies: it will not mend this",
    ),
    (*("service-disabled", in_mode(10, service=DISABLED)), "CcmExec is disabled"),
    (*("service-disabled", in_mode(900, **HALF_OUT, service=DISABLED)), "CcmExec is disabled"),
    (
        *("service-stopped", in_mode(10, service=STOPPED)),
        "CcmExec is stopped: no time limit fires before it runs again",
    ),
    (
        *("tcf-armed", in_mode(10, tcf=BOTH_FILES)),
        f"{PATHS} can bring the mode back: disarm it first",
    ),
    (*("tcf-armed", in_mode(900, **HALF_OUT, tcf=BOTH_FILES)), f"{PATHS} can bring the mode back: disarm it first"),
    *(
        (
            *("short-max-minutes", in_mode(10, max_minutes=Known(minutes))),
            f"ProvisioningMaxMinutes is {minutes}: it is checked every 60 minutes",
        )
        for minutes in (1, 59)
    ),
    (
        *("tcf-unread", in_mode(10, tcf=Unknown("access-denied", "MobileClient.TCF exists but cannot be read"))),
        "MobileClient.TCF could not be read: MobileClient.TCF exists but cannot be read",
    ),
    (
        *("tcf-unread", in_mode(900, **HALF_OUT, tcf=Unknown("malformed"))),
        "MobileClient.TCF could not be read: malformed",
    ),
    (
        *("shells-forbidden", in_mode(10, tcf=Unknown("shells-forbidden"))),
        "the PC's policy forbids remote shells: nothing can be changed there, and MobileClient.TCF was not read",
    ),
]


OF_RUNS = {
    **{"other-name": "test_identity.py", "same-computer": "test_identity.py", "trace-kept": "test_traces.py"},
    "package-left": "packages/test_planning.py",
}
"""Findings that a run adds to the judge's, and the files in tests/fleet that show them."""


@pytest.mark.parametrize(("code", "state", "text"), FINDINGS, ids=[f"{n} {row[0]}" for n, row in enumerate(FINDINGS)])
def test_a_finding_has_its_code_and_its_sentence_and_comes_alone(code: str, state: ClientReadings, text: str) -> None:
    assessment = judge(state, Policy(), NOW)

    assert [finding.to_json() for finding in assessment.findings] == [{"code": code, "text": text}]


def test_every_finding_about_a_client_that_the_guide_promises_is_shown_word_for_word() -> None:
    table = GUIDE.split("\n## Findings\n")[1].split("\n## ")[0]
    promised = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))

    assert {row[0] for row in FINDINGS} == promised - set(OF_RUNS)
    for code, file in OF_RUNS.items():
        assert f'"{code}"' in (Path(__file__).parents[1] / "fleet" / file).read_text("utf-8")


@pytest.mark.parametrize(
    "state",
    [
        in_mode(10),
        in_mode(10, clock=Known(PcClock(NOW + timedelta(minutes=5), 0, None))),
        in_mode(10, clock=Known(PcClock(NOW - timedelta(minutes=5), 0, None))),
        in_mode(10, task_sequences=Known((REGISTERED,)), processes=Known(("TSManager.exe",))),
        in_mode(10, task_sequences=Known((REGISTERED,)), processes=DENIED),
        in_mode(10, health_evaluation=Known(CcmEvalStatus("Ready", Known(False), Absent()))),
        in_mode(10, health_evaluation=NOT_READ),
        *(in_mode(10, max_minutes=Known(minutes)) for minutes in (0, 60, 2880)),
        in_mode(10, tcf=Known((TcfFile("MobileClient.TCF", False, "ANSI", ()),))),
        in_mode(10, service=DENIED),
        replace(HEALTHY, service=DISABLED),
        replace(HEALTHY, service=STOPPED),
        replace(HEALTHY, tcf=ARMED),
        replace(HEALTHY, tcf=DENIED),
        in_mode(900, **HALF_OUT, service=STOPPED),
        in_mode(10, agent_dependencies=Known(("Winmgmt",))),
        in_mode(10, agent_dependencies=Absent()),
        in_mode(10, agent_dependencies=DENIED),
        in_mode(10, processes=ENGINE),
        in_mode(900, processes=DENIED),
    ],
)
def test_what_is_as_usual_or_told_by_the_verdict_is_no_finding(state: ClientReadings) -> None:
    assert judge(state, Policy(), NOW).findings == ()


def test_a_file_that_does_not_count_is_not_missed_if_it_cannot_be_read() -> None:
    assert judge(in_mode(10, tcf=DENIED), Policy(check_tcf=False), NOW).findings == ()


def test_a_policy_says_how_far_a_clock_may_be_off() -> None:
    state = in_mode(10, clock=Known(PcClock(NOW + timedelta(minutes=6), 0, None)))

    assert judge(state, Policy(maximum_skew_minutes=6), NOW).findings == ()
    assert judge(state, Policy(maximum_skew_minutes=0), NOW).findings


# -- exact limits -----------------------------------------------------------------------------------------------------

SECOND = 1 / 3600


@pytest.mark.parametrize(
    ("hours", "changes", "policy", "rule"),
    [
        # the minimum age: 240 minutes
        *[(4 - SECOND, {"client_version": OLD}, {}, "young"), (4, {"client_version": OLD}, {}, "old-client")],
        *[(0, {"client_version": OLD}, {}, "young"), (-SECOND, {"client_version": OLD}, {}, "old-client")],
        *[(4 - SECOND, {"service": DISABLED}, {}, "young"), (4, {"service": DISABLED}, {}, "service-disabled")],
        (1, {"client_version": OLD}, {"minimum_age_minutes": 60}, "old-client"),
        (4 - SECOND, {}, {"wait_for_self_healing": False}, "self-healing"),
        (4, {}, {"wait_for_self_healing": False}, "not-waiting"),
        # the time limit, one hour for the check, one hour of grace
        *[(50, {}, {}, "self-healing"), (50 + SECOND, {}, {}, "overdue")],
        *[(49, {}, {"grace_minutes": 0}, "self-healing"), (49 + SECOND, {}, {"grace_minutes": 0}, "overdue")],
        *[(3, {"max_minutes": Known(1)}, {}, "overdue"), (2, {"max_minutes": Known(1)}, {}, "self-healing")],
        # a time of entry that the PC's clock has not reached, by more than its clock may be off
        *[(-5 / 60, {}, {}, "self-healing"), (-5 / 60 - SECOND, {}, {}, "entered-in-future")],
        # ten years
        *[(9, {"max_minutes": Known(5_270_400)}, {}, "self-healing")],
        *[(9, {"max_minutes": Known(5_270_401)}, {}, "no-time-limit")],
    ],
)
def test_a_time_is_over_at_its_exact_second(
    hours: float, changes: dict[str, Any], policy: dict[str, Any], rule: str
) -> None:
    assert judge(in_mode(hours, **changes), Policy(**policy), NOW).rule == rule


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=59), "0 min"),
        (timedelta(minutes=1), "1 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=1), "1 h 0 min"),
        (timedelta(hours=23, minutes=59), "23 h 59 min"),
        (timedelta(hours=24), "1 day 0 h"),
        (timedelta(hours=47, minutes=59), "1 day 23 h"),
        (timedelta(days=2, hours=5, minutes=7), "2 days 5 h"),
    ],
)
def test_a_length_of_time_in_words_is_never_longer_than_it_is(length: timedelta, words: str) -> None:
    assert duration(length) == words


def test_a_time_of_entry_that_is_now_was_no_time_ago() -> None:
    assert "since 2026-08-20 12:00 UTC (0 min)" in judge(in_mode(0, client_version=OLD), Policy(), NOW).reason


# -- what is not known ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "rule"),
    [
        *((cause, "client-wmi-broken") for cause in ("unavailable", "fault", "unknown", "not-found", "invalid")),
        ("provider-failed", "client-wmi-broken"),
        *((cause, "needed-unread") for cause in ("access-denied", "quota", "timed-out", "malformed", "too-large")),
    ],
)
def test_a_client_is_broken_only_if_its_own_wmi_failed(cause: str, rule: str) -> None:
    assert judge(replace(HEALTHY, client_version=Unknown(cause, "away")), Policy(), NOW).rule == rule


@pytest.mark.parametrize("version", [Absent(), Unknown("unavailable", "away")])
def test_a_client_whose_service_could_not_be_read_is_not_called_broken(version: Any) -> None:
    state = replace(HEALTHY, client_version=version, service=DENIED)

    assert judge(state, Policy(), NOW).rule == "needed-unread"


@pytest.mark.parametrize("cause", ["access-denied", "unavailable"])
def test_a_pc_without_the_service_whose_client_could_not_be_read_is_not_called_broken(cause: str) -> None:
    state = replace(HEALTHY, client_version=Unknown(cause, "away"), service=Absent())

    assessment = judge(state, Policy(), NOW)

    assert assessment.rule == "needed-unread"
    assert assessment.reason == "could not tell whether the client is healthy: away"


def test_a_starting_service_whose_client_answers_is_judged_as_any_other() -> None:
    starting = Known(Service("CcmExec", "Start Pending", "Auto"))

    assert verdict(replace(HEALTHY, service=starting)) is Verdict.HEALTHY
    assert judge(replace(HEALTHY, client_version=Absent(), service=RUNNING), Policy(), NOW).rule == "client-wmi-broken"


@pytest.mark.parametrize("reading", ["enabled_time", "max_minutes", "clock"])
def test_times_are_needed_of_a_client_in_the_mode_that_has_a_time_limit_and_of_no_other(reading: str) -> None:
    unread: dict[str, Any] = {reading: DENIED}

    assert judge(in_mode(900, **unread), Policy(), NOW).rule == "needed-unread"
    assert judge(in_mode(900, client_version=OLD, **unread), Policy(), NOW).rule == "old-client"
    assert judge(in_mode(900, **HALF_OUT, **unread), Policy(), NOW).rule == "half-exited"


def test_the_file_is_needed_only_of_a_client_out_of_the_mode_and_only_if_it_counts() -> None:
    assert judge(replace(HEALTHY, tcf=DENIED), Policy(), NOW).rule == "needed-unread"
    assert judge(replace(HEALTHY, tcf=DENIED), Policy(check_tcf=False), NOW).rule == "healthy"
    assert judge(in_mode(900, tcf=DENIED), Policy(), NOW).rule == "overdue"
    assert judge(in_mode(900, client_version=OLD, tcf=DENIED), Policy(), NOW).rule == "old-client"
    assert judge(in_mode(900, **HALF_OUT, tcf=DENIED), Policy(), NOW).rule == "half-exited"


@pytest.mark.parametrize(
    "state",
    [
        in_mode(900, client_version=Known("x")),
        in_mode(1, client_version=OLD),
        in_mode(900, client_version=OLD),
        in_mode(None),
        in_mode(900, max_minutes=Known(4294967295)),
        in_mode(900),
        in_mode(-30),
        in_mode(10, service=DISABLED),
        in_mode(10, service=STOPPED),
        in_mode(10),
        in_mode(1),
    ],
)
@pytest.mark.parametrize("wait", [True, False])
def test_what_is_said_of_the_mode_is_said_only_of_a_client_in_it(state: ClientReadings, wait: bool) -> None:
    policy = Policy(wait_for_self_healing=wait)
    off: dict[str, Any] = {"provisioning_mode": Known(False), "system_task_excludes": Known(())}
    expected = Verdict.CLIENT_BROKEN if state.service == DISABLED else Verdict.HEALTHY

    assert judge(replace(state, **HALF_OUT), policy, NOW).rule == "half-exited"
    assert judge(replace(state, **off), policy, NOW).verdict is expected


def test_what_was_not_read_or_never_comes_has_no_words_and_no_time() -> None:
    case = Case(ClientReadings(NOW), Policy())

    assert (case.version, case.since, case.stays_down, case.armed_paths) == ("", "since an unknown time", "", "")
    assert (case.times_out, case.leaves_at) == (None, None)
    assert Case(in_mode(10, max_minutes=Known(4294967295)), Policy()).leaves_at is None
    assert Case(in_mode(None), Policy()).leaves_at is None
    assert [case.past_time_limit, case.in_future, case.young, case.without_limit, case.service_disabled] == [False] * 5


def test_the_first_unknown_reading_is_the_one_that_is_told() -> None:
    names = ["client_version", "service", "provisioning_mode", "system_task_excludes", "tcf"]
    for place in range(len(names)):
        unread: dict[str, Any] = {name: Unknown("malformed", name) for name in names[place:]}
        assert judge(replace(HEALTHY, **unread), Policy(), NOW).reason.endswith(f"healthy: {names[place]}")

    names = ["processes", "task_sequence_agent", "setup"]
    for place in range(len(names)):
        unread = {name: Unknown("malformed", name) for name in names[place:]}
        assert judge(in_mode(9, **unread), Policy(), NOW).reason.endswith(f"runs: {names[place]}")


def test_without_a_clock_there_is_no_age_and_no_word_of_one() -> None:
    old = judge(in_mode(900, client_version=OLD, clock=DENIED), Policy(), NOW)
    without = judge(in_mode(900, clock=Absent()), Policy(), NOW)

    for assessment in (old, without):
        assert assessment.age is None
        assert assessment.reason.startswith("in provisioning mode since 2026-07-14 00:00 UTC, nothing runs")


def test_only_a_client_in_the_mode_has_an_age_and_only_one_that_will_leave_a_time_of_leaving() -> None:
    stuck, half_out = judge(in_mode(10, service=DISABLED), Policy(), NOW), judge(in_mode(9, **HALF_OUT), Policy(), NOW)

    assert (stuck.age, stuck.leaves_at) == (timedelta(hours=10), None)
    assert (half_out.age, half_out.leaves_at) == (None, None)


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (in_mode(900, processes=Unknown("quota", "x"), client_version=Unknown("access-denied", "y")), "quota"),
        (in_mode(900, enabled_time=Unknown("deadline", "x")), "deadline"),
        (in_mode(900, enabled_time=Unknown("fault", "x")), "protocol"),
    ],
)
def test_a_client_that_could_not_be_assessed_has_a_cause_and_the_next_step_of_that_cause(
    state: ClientReadings, cause: str
) -> None:
    assessment = judge(state, Policy(), NOW)

    assert (assessment.cause, assessment.next_step) == (cause, NEXT_STEP[cause])


@pytest.mark.parametrize(
    "state",
    [
        in_mode(900, enabled_time=Unknown("malformed", "x")),
        in_mode(900, enabled_time=Unknown("type-mismatch", "x")),
        in_mode(900, setup=Unknown("too-large", "x")),
        in_mode(900, client_version=Known("x")),
    ],
)
def test_if_a_value_is_wrong_the_next_step_concerns_the_value_and_not_the_network(state: ClientReadings) -> None:
    assessment = judge(state, Policy(), NOW)

    assert (assessment.cause, assessment.next_step) == ("protocol", CORRECT_THE_VALUE)


def test_a_client_that_was_assessed_has_neither_cause_nor_next_step() -> None:
    assessment = judge(HEALTHY, Policy(), NOW)

    assert (assessment.cause, assessment.next_step) == (None, "")


# -- properties -------------------------------------------------------------------------------------------------

UNKNOWN = st.sampled_from(["access-denied", "fault", "malformed", "unavailable", "not-read", "quota"]).map(
    lambda cause: Unknown(cause, f"could not tell: {cause}")
)


def reading(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return readings of all three cases."""
    return st.one_of(values.map(Known), st.just(Absent()), UNKNOWN)


SERVICES = st.builds(
    Service,
    st.just("CcmExec"),
    st.sampled_from(["Running", "Stopped", "Start Pending", "Stop Pending", "Paused"]),
    st.sampled_from(["Auto", "Manual", "Disabled"]),
)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(timezone.utc))
STATES = st.builds(
    ClientReadings,
    observed_at=st.just(NOW),
    client_version=reading(st.sampled_from(["5.00.9128.1007", "5.00.8740.1024", "5.00.8790.1007", "x", ""])),
    provisioning_mode=reading(st.booleans()),
    system_task_excludes=reading(st.sampled_from([(), ("SchedulerStartup",)])),
    service=reading(SERVICES),
    tcf=reading(st.sampled_from([(), ARMED.value])),
    enabled_time=reading(TIMES),
    max_minutes=reading(st.integers(0, 10**6)),
    task_sequences=reading(st.just(())),
    task_sequence_agent=reading(SERVICES),
    processes=reading(st.sampled_from([(), ("svchost.exe",), ("TSManager.exe",)])),
    process_starts=reading(st.lists(st.builds(ProcessStart, st.just("TSManager.exe"), TIMES), max_size=2).map(tuple)),
    agent_dependencies=reading(st.sampled_from([("Winmgmt",), ("CcmExec", "Winmgmt")])),
    setup=reading(
        st.builds(Setup, st.booleans(), st.booleans(), st.integers(0, 2), st.just(0), st.booleans(), st.just(""))
    ),
    clock=reading(st.builds(PcClock, TIMES, st.just(0), st.none())),
    health_evaluation=st.just(NOT_READ),
)
POLICIES = st.builds(
    Policy, wait_for_self_healing=st.booleans(), check_tcf=st.booleans(), minimum_age_minutes=st.integers(0, 10**4)
)


TEXTS = st.text(max_size=20) | st.sampled_from(["", "x" * 100_000, "5.00.9128.1007", "\ud800\x1b[31m", "disabled"])
ANY_TIME = st.datetimes(timezones=st.just(timezone.utc)) | st.sampled_from(
    [datetime.min.replace(tzinfo=timezone.utc), datetime.max.replace(tzinfo=timezone.utc)]
)
ANY_NUMBER = st.integers(-(10**20), 10**20) | st.sampled_from([0, 1, 59, 2880, 4294967295, 2**63, 10**20 - 1])
ANY_NAMES = st.lists(TEXTS, max_size=3).map(tuple)
ANY_SERVICE = st.builds(Service, TEXTS, TEXTS, TEXTS)


def any_reading(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return readings of all three cases, with any value, cause and detail."""
    return st.one_of(values.map(Known), st.just(Absent()), st.builds(Unknown, TEXTS, TEXTS))


ANYTHING = st.builds(
    ClientReadings,
    observed_at=ANY_TIME,
    client_version=any_reading(TEXTS),
    computer=any_reading(TEXTS),
    provisioning_mode=any_reading(st.booleans()),
    system_task_excludes=any_reading(ANY_NAMES),
    service=any_reading(ANY_SERVICE),
    tcf=any_reading(st.lists(st.builds(TcfFile, TEXTS, st.booleans(), TEXTS, ANY_NAMES), max_size=2).map(tuple)),
    enabled_time=any_reading(ANY_TIME),
    max_minutes=any_reading(ANY_NUMBER),
    task_sequences=any_reading(
        st.lists(st.builds(TaskSequence, *[st.none() | TEXTS] * 5), max_size=2).map(tuple),
    ),
    task_sequence_agent=any_reading(ANY_SERVICE),
    processes=any_reading(ANY_NAMES),
    process_starts=any_reading(
        st.lists(st.builds(ProcessStart, TEXTS | st.just("TSManager.exe"), ANY_TIME), max_size=2).map(tuple)
    ),
    agent_dependencies=any_reading(ANY_NAMES),
    setup=any_reading(st.builds(Setup, st.booleans(), st.booleans(), ANY_NUMBER, ANY_NUMBER, st.booleans(), TEXTS)),
    clock=any_reading(st.builds(PcClock, ANY_TIME, ANY_NUMBER, st.none() | ANY_TIME)),
    health_evaluation=any_reading(
        st.builds(CcmEvalStatus, TEXTS, any_reading(st.booleans()), any_reading(ANY_TIME)),
    ),
)
IN_THE_MODE = st.builds(
    in_mode,
    st.none(),
    enabled_time=ANY_TIME.map(Known),
    max_minutes=any_reading(ANY_NUMBER),
    clock=st.builds(PcClock, ANY_TIME, ANY_NUMBER, st.none()).map(Known),
)
ANY_POLICY = st.builds(
    Policy,
    wait_for_self_healing=st.booleans(),
    check_tcf=st.booleans(),
    grace_minutes=st.sampled_from([0, 60, 527_040]),
    minimum_age_minutes=st.sampled_from([0, 240, 527_040]),
    maximum_skew_minutes=st.sampled_from([0, 5, 527_040]),
)


@given(ANYTHING | IN_THE_MODE, ANY_POLICY, ANY_TIME)
def test_whatever_a_pc_says_has_a_verdict_of_a_bounded_size(
    state: ClientReadings, policy: Policy, now: datetime
) -> None:
    read_back = ClientReadings.from_json(json.loads(json.dumps(state.to_json())))

    for client in (state, read_back):
        assessment = judge(client, policy, now)
        texts = [assessment.reason, *(finding.text for finding in assessment.findings)]
        assert assessment.reason
        assert all(len(text) <= SENTENCE for text in texts)
        assert json.dumps(assessment.to_json())
        assert fingerprint(client) == fingerprint(state)
        assert what_changed(client.to_json(), client, policy, now)
    assert read_back == state


@given(STATES, POLICIES)
def test_every_combination_of_readings_has_a_verdict_with_a_reason(state: ClientReadings, policy: Policy) -> None:
    assessment = judge(state, policy, NOW)

    assert assessment.reason
    assert assessment.rule in {rule.name for rule in RULES}
    assert (assessment.verdict is Verdict.UNASSESSED) == (assessment.cause is not None)


NEAR = st.sampled_from(
    [HEALTHY, replace(HEALTHY, tcf=ARMED), *(in_mode(hours) for hours in (1, 10, 900)), in_mode(900, **HALF_OUT)]
)
"""Clients of which everything is known, so that what is made unknown decides."""


@pytest.mark.parametrize("reading", ["client_version", "service", "provisioning_mode", "system_task_excludes", "tcf"])
@given(state=STATES | NEAR, policy=POLICIES, unknown=UNKNOWN)
def test_a_client_with_unknown_readings_is_never_healthy(
    reading: str, state: ClientReadings, policy: Policy, unknown: Unknown
) -> None:
    policy = replace(policy, check_tcf=policy.check_tcf or reading == "tcf")
    unread: dict[str, Any] = {reading: unknown}

    assessment = judge(replace(state, **unread), policy, NOW)

    assert assessment.verdict not in (Verdict.HEALTHY, Verdict.ARMED)


AT_WORK: list[dict[str, Any]] = [
    {"processes": Known(("svchost.exe", "TSManager.exe"))},
    *({"task_sequence_agent": Known(Service("smstsmgr", state, "Manual"))} for state in ("Running", "Stop Pending")),
    {"setup": Known(Setup(False, True, 0, 0, False, ""))},
]


@given(
    STATES | NEAR,
    POLICIES,
    st.sampled_from(AT_WORK)
    | st.builds(
        lambda name, unknown: {name: unknown}, st.sampled_from([*AT_WORK[0], *AT_WORK[1], *AT_WORK[3]]), UNKNOWN
    ),
)
def test_no_remediation_is_called_for_while_something_runs_or_may_run(
    state: ClientReadings, policy: Policy, activity: dict[str, Any]
) -> None:
    assessment = judge(replace(state, **activity), policy, NOW)

    assert assessment.verdict not in (Verdict.STUCK, Verdict.OVERDUE, Verdict.HALF_EXITED)


@given(STATES)
def test_a_state_survives_its_json_form(state: ClientReadings) -> None:
    assert ClientReadings.from_json(state.to_json()) == state
