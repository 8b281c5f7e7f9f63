"""Steps on services: what each sends, line by line, and what it says if the PC does not do it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from provmode.ccm.model import ClientReadings
from provmode.errors import AccessDenied, AnswerLost
from provmode.reading import Absent, Known, Reading, Unknown
from provmode.remediation.execute import ALREADY, CHANGED, PAUSES, execute
from provmode.remediation.steps import START_MODES, SetServiceState, SetStartMode, Step, step_from_json
from provmode.windows.model import Service
from provmode.wsman import Instance

Converse = Callable[..., Any]
LOST, DENIED = AnswerLost("the connection broke"), AccessDenied("access denied")
LOOK = (
    "winrm enumerate wmicimv2/* -dialect:WQL -filter:\"SELECT Name,State,StartMode FROM Win32_Service WHERE Name='X'\""
)
START, STOP = (f"winrm invoke {method} wmicimv2/Win32_Service?Name=X" for method in ("StartService", "StopService"))
NEVER_STARTS = SetStartMode("X", "Auto", "Disabled")


def found(state: str = "Running", start_mode: str = "Auto") -> list[Instance]:
    return [Instance("XmlFragment", {"Name": "X", "State": state, "StartMode": start_mode})]


def answer(code: int) -> Instance:
    return Instance("X_OUTPUT", {"ReturnValue": str(code)})


@pytest.mark.parametrize(
    ("mode", "argument"), [("Auto", "Automatic"), ("Manual", "Manual"), ("Disabled", "Disabled"), ("Boot", "Boot")]
)
def test_a_start_mode_is_sent_in_the_word_that_the_method_takes(converse: Converse, mode: str, argument: str) -> None:
    step = SetStartMode("X", "System", mode)
    line = f'winrm invoke ChangeStartMode wmicimv2/Win32_Service?Name=X @{{StartMode="{argument}"}}'

    announced: list[Any] = []

    talk = converse(
        execute(step, announce=announced.append), found(start_mode="System"), answer(0), found(start_mode=mode)
    )

    assert (talk.end, announced) == (CHANGED, [None])
    assert talk.asked == [LOOK, line, LOOK]
    assert converse(execute(step), found(start_mode=mode)).end == ALREADY
    assert [str(item) for item in step.properties] == [f"X start mode System -> {mode}"]
    assert step.undo == SetStartMode("X", mode, "System")


def test_a_plan_sets_the_three_start_modes_that_the_documentation_names() -> None:
    assert list(START_MODES) == ["Auto", "Manual", "Disabled"]


@pytest.mark.parametrize(
    ("step", "document", "words"),
    [
        (
            NEVER_STARTS,
            {"kind": "start-mode", "service": "X", "before": "Auto", "after": "Disabled"},
            "X start mode Auto -> Disabled",
        ),
        (
            SetServiceState("X", "Stopped", "Running"),
            {"kind": "service-state", "service": "X", "before": "Stopped", "after": "Running"},
            "X state Stopped -> Running",
        ),
    ],
)
def test_a_step_on_a_service_is_kept_as_json_and_shown_in_words(
    step: Step, document: dict[str, Any], words: str
) -> None:
    assert step.to_json() == document
    assert step_from_json(document) == step
    assert [str(item) for item in step.properties] == [words]


def test_what_a_plan_allows_in_these_steps() -> None:
    mode, state = SetStartMode.plan_fields or {}, SetServiceState.plan_fields or {}
    text = {"type": "string", "minLength": 1}

    assert {name: field.schema for name, field in mode.items()} == {
        **{"service": text, "before": text},
        "after": {"enum": ["Auto", "Manual", "Disabled"]},
    }
    assert {name: field.schema for name, field in state.items()} == {
        **{"service": text, "before": text},
        "after": {"const": "Running"},
    }
    assert SetStartMode.plan_description == "How a service starts."
    assert SetServiceState.plan_description == "A service is started."


@pytest.mark.parametrize(
    ("step", "answers", "asked"),
    [
        (
            SetServiceState("X", "Stopped", "Running"),
            (found("Stopped"), answer(0), found("Start Pending"), found()),
            [LOOK, START, LOOK, "pause 1", LOOK],
        ),
        (SetServiceState("X", "Paused", "Running"), (found("Paused"), answer(10), found()), [LOOK, START, LOOK]),
        (SetServiceState("X", "Stopped", "Running"), (found("Stopped"), LOST, found()), [LOOK, START, LOOK]),
        (
            SetServiceState("X", "Running", "Stopped"),
            (found(), answer(0), found("Stop Pending"), found("Stopped")),
            [LOOK, STOP, LOOK, "pause 1", LOOK],
        ),
        (
            SetServiceState("X", "Running", "Restarted"),
            (found(), answer(0), found("Stopped"), answer(0), found()),
            [LOOK, STOP, LOOK, START, LOOK],
        ),
        (
            SetServiceState("X", "Running", "Restarted"),
            (found("Stopped"), answer(0), found()),
            [LOOK, START, LOOK],
        ),
    ],
)
def test_a_service_is_stopped_and_started_by_its_own_methods(
    converse: Converse, step: SetServiceState, answers: tuple[Any, ...], asked: list[str]
) -> None:
    announced: list[Any] = []

    talk = converse(execute(step, announce=announced.append), *answers)

    assert (talk.end, talk.asked, announced) == (CHANGED, asked, [None])
    assert [str(item) for item in step.properties] == [f"X state {step.before} -> {step.after}"]
    assert step.undo is None


@pytest.mark.parametrize("state", ["Running", "Stopped"])
def test_a_service_that_has_the_wanted_state_is_left_as_it_is(converse: Converse, state: Any) -> None:
    talk = converse(execute(SetServiceState("X", "Paused", state)), found(state))

    assert (talk.end, talk.asked) == (ALREADY, [LOOK])


@pytest.mark.parametrize(
    ("step", "before", "after", "accepted"),
    [
        (SetServiceState("X", "Running", "Stopped"), found(), found("Stopped"), {0, 5, 6}),
        (SetServiceState("X", "Stopped", "Running"), found("Stopped"), found(), {0, 10}),
        (NEVER_STARTS, found(), found(start_mode="Disabled"), {0}),
    ],
)
def test_of_the_return_values_only_those_that_mean_done_or_begun_are_accepted(
    converse: Converse, step: Step, before: Any, after: Any, accepted: set[int]
) -> None:
    ends = {code: converse(execute(step), before, answer(code), after).end for code in accepted}
    refused = {code: converse(execute(step), before, answer(code)).end for code in set(range(26)) - accepted}

    assert set(ends.values()) == {CHANGED}
    assert all("the PC answered" in end for end in refused.values())


AT_PC, RIGHTS = "; look at the service on the PC", "; look at the account's rights"
WAITED = [LOOK, *(line for pause in PAUSES for line in (f"pause {pause:g}", LOOK))]


@pytest.mark.parametrize(
    ("step", "answers", "says"),
    [
        (
            NEVER_STARTS,
            (found(start_mode="Manual"),),
            "StaleStep: X start mode is Manual, not Auto as it was; look again and plan anew",
        ),
        (
            NEVER_STARTS,
            (found(), LOST, found()),
            "NotProved: X start mode is Auto after the change, not Disabled; look at the PC, then try again",
        ),
        (NEVER_STARTS, (found(), answer(2)), f"HostError: X start mode: the PC answered access denied (2){AT_PC}"),
        (
            NEVER_STARTS,
            (found(), Instance("X_OUTPUT", {})),
            f"HostError: X start mode: the PC answered nothing{AT_PC}",
        ),
        (
            SetServiceState("X", "Stopped", "Running"),
            (found("Stopped"), answer(14)),
            f"HostError: start of X: the PC answered disabled (14){AT_PC}",
        ),
        (
            SetServiceState("X", "Running", "Stopped"),
            (found(), answer(3)),
            f"HostError: stop of X: the PC answered dependent services running (3){AT_PC}",
        ),
        (NEVER_STARTS, ([], answer(2)), "HostError: there is no service X; check its name"),
        (
            NEVER_STARTS,
            ([], Instance("X_OUTPUT", {"ReturnValue": "0", "sNames": ("Start",), "Types": ("4",)})),
            "HostError: service X cannot be read: service X exists (HKLM\\SYSTEM\\CurrentControlSet\\Services\\X), but "
            f"the account is not shown it{RIGHTS}",
        ),
        (NEVER_STARTS, (DENIED,), f"HostError: service X cannot be read: access denied{RIGHTS}"),
        (
            SetServiceState("X", "Running", "Stopped"),
            (found(), answer(0), DENIED),
            f"HostError: service X cannot be read: access denied{RIGHTS}",
        ),
    ],
)
def test_what_the_pc_does_not_do_is_said_in_one_line(
    converse: Converse, step: Step, answers: tuple[Any, ...], says: str
) -> None:
    assert converse(execute(step), *answers).end == says


def test_a_service_that_does_not_stop_is_looked_at_for_two_minutes(converse: Converse) -> None:
    stopping = [found("Stop Pending")] * (len(PAUSES) + 1)

    talk = converse(execute(SetServiceState("X", "Running", "Stopped")), found(), answer(0), *stopping)

    assert talk.asked == [LOOK, STOP, *WAITED]
    assert talk.end == (
        "NotProved: X state is Stop Pending after the change, not Stopped; look at the PC, then try again"
    )


@pytest.mark.parametrize(
    ("reading", "done"),
    [
        (Known(Service("CcmExec", "Stopped", "Auto")), True),
        (Known(Service("CcmExec", "Stopped", "Disabled")), False),
        (Absent(), True),
        (Unknown("fault", "x"), True),
    ],
)
def test_a_start_mode_is_still_set_unless_the_client_shows_another(reading: Reading[Service], done: bool) -> None:
    client = ClientReadings(datetime(2026, 1, 1, tzinfo=timezone.utc), service=reading)

    assert SetStartMode("CcmExec", "Disabled", "Auto").still_done(client) is done


@pytest.mark.parametrize("read", [Absent(), Unknown("access-denied", "it is not shown")])
@pytest.mark.parametrize(("service", "field"), [("CcmExec", "service"), ("SMSTSMGR", "task_sequence_agent")])
def test_a_start_mode_shows_only_on_a_service_that_was_read(service: str, field: str, read: Reading[Service]) -> None:
    step = SetStartMode(service, "Disabled", "Auto")
    client = ClientReadings(datetime(2026, 1, 1, tzinfo=timezone.utc), **{field: read})  # type: ignore[arg-type]

    assert step.shown_after(client, None) is None
