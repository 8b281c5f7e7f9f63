"""The verdict: one test for every rule, and the promises of the whole table as properties."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.ccm.judge import judge
from provmode.ccm.model import CcmEvalStatus, ClientReadings, TaskSequence, TcfFile
from provmode.ccm.policy import LEGITIMATE_PROCESSES, Policy
from provmode.ccm.rules import RULES
from provmode.ccm.verdict import NEXT_STEP, SEVERITY, Outcome, Verdict, cause_of, outcome, unassessed
from provmode.errors import Cause
from provmode.reading import NOT_READ, Absent, Known, Unknown
from provmode.remediation.decide import fingerprint, what_changed
from provmode.text import SENTENCE
from provmode.windows.model import PcClock, Service, Setup

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


@pytest.mark.parametrize("cause", ["unavailable", "provider-failed", "unknown", "invalid", "not-found"])
def test_a_client_whose_wmi_faults_is_broken(cause: str) -> None:
    assert verdict(replace(HEALTHY, client_version=Unknown(cause, "away"))) is Verdict.CLIENT_BROKEN


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


@given(STATES, POLICIES)
def test_a_client_with_unknown_readings_is_never_healthy(state: ClientReadings, policy: Policy) -> None:
    needed = [state.client_version, state.service, state.provisioning_mode, state.system_task_excludes]
    needed += [state.tcf] if policy.check_tcf else []

    if any(isinstance(item, Unknown) for item in needed):
        assert judge(state, policy, NOW).verdict not in (Verdict.HEALTHY, Verdict.ARMED)


@given(STATES, POLICIES)
def test_no_remediation_is_called_for_while_something_runs_or_may_run(state: ClientReadings, policy: Policy) -> None:
    agent, setup, processes = state.task_sequence_agent, state.setup, state.processes
    live = (
        processes == Known(("TSManager.exe",))
        or (isinstance(agent, Known) and agent.value.state != "Stopped")
        or (isinstance(setup, Known) and setup.value.running)
    )
    unread = any(isinstance(item, Unknown) for item in (agent, setup, processes))

    if live or unread:
        assert judge(state, policy, NOW).verdict not in (Verdict.STUCK, Verdict.OVERDUE, Verdict.HALF_EXITED)


@given(STATES)
def test_a_state_survives_its_json_form(state: ClientReadings) -> None:
    assert ClientReadings.from_json(state.to_json()) == state


def test_the_causes_are_the_ten_of_the_contract() -> None:
    assert set(NEXT_STEP) == {cause.value for cause in Cause}
    assert all(cause_of(cause) == cause for cause in NEXT_STEP)
    assert unassessed("tls", "no").next_step == NEXT_STEP["tls"]


def test_every_verdict_has_a_severity_and_an_outcome() -> None:
    assert set(SEVERITY) == set(Verdict)
    assert {outcome(item) for item in Verdict} == set(Outcome)


def test_the_ten_verdicts_are_those_of_the_contract() -> None:
    assert {item.value for item in Verdict} == {
        *("healthy", "in-progress", "self-healing", "stuck", "overdue", "half-exited", "armed"),
        *("client-broken", "no-client", "unassessed"),
    }
