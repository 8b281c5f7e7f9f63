"""What the lines of a journal add up to, and which lines are refused; without a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provmode.fleet.journal_events import EVENTS, HostRecord, JournalState, StepRecord, apply_line
from provmode.remediation.steps import RequestPolicy, SetMode

MODE = SetMode(False, "true")
Line = dict[str, Any]
BEGUN: Line = {"event": "run-begun", "plan": "plan-1", "signed": True, "nonce": "0f"}
RESUMED: Line = {**BEGUN, "event": "run-resumed"}
UNDO: Line = {**BEGUN, "event": "undo-begun"}
CLAIM: Line = {"event": "claim-begun", "host": "PC-1", "token": "t1"}
RELEASED: Line = {"event": "claim-released", "host": "PC-1"}
STEP: Line = {"event": "step-begun", "host": "PC-1", "number": 1, "step": MODE.to_json()}
ENDED: Line = {"event": "step-ended", "host": "PC-1", "number": 1, "ending": "changed"}
UNDO_STEP: Line = {"event": "step-undo-begun", "host": "PC-1", "number": 1}
UNDONE: Line = {"event": "step-undone", "host": "PC-1", "number": 1, "ending": "changed"}
HOST: Line = {"event": "host-ended", "host": "PC-1", "outcome": "changed", "detail": ""}


def state_after(*lines: Line) -> JournalState:
    state = JournalState()
    for line in lines:
        apply_line(state, line)
    return state


def host_after(*lines: Line) -> HostRecord:
    return state_after(BEGUN, *lines).hosts["PC-1"]


def test_a_journal_that_says_nothing_has_an_empty_state() -> None:
    state = state_after()

    assert (state.plan_id, state.lines, state.size, state.hosts) == ("", 0, 0, {})
    assert (state.torn, state.closed, state.signed, state.undoing) == (False, False, False, False)


@pytest.mark.parametrize(
    ("lines", "closed", "undoing"),
    [
        ((BEGUN,), False, False),
        ((BEGUN, {"event": "run-ended"}), True, False),
        ((BEGUN, {"event": "run-ended"}, BEGUN), False, False),
        ((BEGUN, {"event": "run-ended"}, RESUMED), False, False),
        ((BEGUN, {"event": "run-ended"}, UNDO), False, True),
        ((BEGUN, UNDO, {"event": "undo-ended"}), True, True),
        ((BEGUN, UNDO, {"event": "undo-ended"}, UNDO), False, True),
        ((BEGUN, UNDO, RESUMED), False, False),
    ],
)
def test_a_run_is_closed_by_its_own_end_and_opened_by_the_next(
    lines: tuple[Line, ...], closed: bool, undoing: bool
) -> None:
    state = state_after(*lines)

    assert (state.closed, state.undoing, state.plan_id) == (closed, undoing, "plan-1")


@pytest.mark.parametrize("begins", ["run-begun", "run-resumed", "undo-begun"])
def test_the_plan_is_that_of_the_last_run(begins: str) -> None:
    assert state_after(BEGUN, {**BEGUN, "event": begins, "plan": "plan-2"}).plan_id == "plan-2"


def test_the_lease_is_the_one_that_was_announced_last_until_it_is_released() -> None:
    assert host_after(CLAIM).lease == "t1"
    assert host_after(CLAIM, {**CLAIM, "token": "t2"}).leases == ["t1", "t2"]
    assert host_after(CLAIM, {**CLAIM, "token": "t2"}).lease == "t2"
    assert host_after(CLAIM, RELEASED).lease is None
    assert host_after(CLAIM, RELEASED, {**CLAIM, "token": "t3"}).leases == ["t3"]
    assert host_after(CLAIM, {**RELEASED, "host": "PC-2"}).lease == "t1"


def test_a_step_that_was_announced_is_open_until_it_ends() -> None:
    begun = StepRecord(1, MODE, None)

    assert (begun.ending, begun.undone, begun.undoing) == (None, False, False)
    assert host_after(STEP).steps == [begun]
    assert host_after(STEP, ENDED).steps == [StepRecord(1, MODE, None, "changed")]
    assert host_after(STEP, ENDED, STEP).steps == [begun]
    assert host_after({**STEP, "previous": "/w=="}).steps == [StepRecord(1, MODE, b"\xff")]
    assert host_after({**STEP, "previous": ""}).steps == [StepRecord(1, MODE, b"")]


def test_the_bytes_of_a_file_are_those_before_the_first_change() -> None:
    first, second, none = {**STEP, "previous": "Zmlyc3Q="}, {**STEP, "previous": "c2Vjb25k"}, STEP

    for lines, previous in (
        ((first, second), b"first"),
        ((first, none), b"first"),
        ((none, second), b"second"),
        (({**STEP, "previous": ""}, second), b""),
    ):
        assert host_after(*lines).steps == [StepRecord(1, MODE, previous)]


def test_steps_of_different_numbers_and_hosts_are_different_steps() -> None:
    other = {**STEP, "number": 2, "step": RequestPolicy().to_json()}

    state = state_after(BEGUN, STEP, other, {**STEP, "host": "PC-2"}, {**ENDED, "number": 2, "ending": "already"}, HOST)

    assert state.hosts == {
        "PC-1": HostRecord([StepRecord(1, MODE, None), StepRecord(2, RequestPolicy(), None, "already")], "changed"),
        "PC-2": HostRecord([StepRecord(1, MODE, None)]),
    }


@pytest.mark.parametrize(
    ("ending", "done", "changed"),
    [("changed", {1}, True), ("already", {1}, False), ("stale", set(), False), (None, set(), True)],
)
def test_a_step_is_done_if_it_ended_well_and_may_have_changed_something_until_it_ends(
    ending: str | None, done: set[int], changed: bool
) -> None:
    host = host_after(STEP, *([{**ENDED, "ending": ending}] if ending else []))

    assert (host.done, host.changed, host.undone) == (done, changed, False)
    assert host.begun == ({1} if ending is None else set())


def test_a_step_counts_as_undone_from_the_moment_its_undo_was_announced() -> None:
    announced, undone = host_after(STEP, ENDED, UNDO_STEP), host_after(STEP, ENDED, UNDO_STEP, UNDONE)

    assert announced.steps == [StepRecord(1, MODE, None, "changed", undone=False, undoing=True)]
    assert undone.steps == [StepRecord(1, MODE, None, "changed", undone=True, undoing=True)]
    assert announced.undone
    assert undone.undone
    assert host_after(STEP, ENDED, UNDONE).undone, "version 0.1.0 did not announce it"


def test_a_host_that_did_not_end_has_no_outcome() -> None:
    assert host_after(CLAIM) == HostRecord(leases=["t1"])
    assert host_after(CLAIM).outcome is None
    assert host_after({**HOST, "outcome": "stale"}).outcome == "stale"


@pytest.mark.parametrize("line", [ENDED, UNDO_STEP, UNDONE])
@pytest.mark.parametrize("number", [0, 2])
def test_a_step_that_was_not_announced_cannot_end(line: Line, number: int) -> None:
    with pytest.raises(LookupError, match=f"^step {number}, which was not announced$"):
        state_after(BEGUN, STEP, {**line, "number": number})


NO_TEXT, NO_NUMBER = ("", None, 7, ["x"]), (-1, "1", 1.0, True, None)


@pytest.mark.parametrize(
    ("line", "field", "wrong"),
    [
        *((line, "plan", NO_TEXT) for line in (BEGUN, RESUMED, UNDO)),
        *((line, "signed", (None, 0, "true")) for line in (BEGUN, RESUMED, UNDO)),
        *((line, "nonce", (None, 7)) for line in (BEGUN, RESUMED, UNDO)),
        *((line, "host", NO_TEXT) for line in (CLAIM, RELEASED, STEP, ENDED, UNDO_STEP, UNDONE, HOST)),
        *((line, "number", NO_NUMBER) for line in (STEP, ENDED, UNDO_STEP, UNDONE)),
        (CLAIM, "token", NO_TEXT),
        (STEP, "step", (None, [], "mode")),
        (STEP, "previous", (None, 7)),
        (ENDED, "ending", ("", None, "done", 7)),
        (UNDONE, "ending", ("", None, "stale", 7)),
        (HOST, "outcome", NO_TEXT),
        (HOST, "detail", (None, 7)),
    ],
)
def test_a_line_with_an_impossible_value_is_refused(line: Line, field: str, wrong: tuple[Any, ...]) -> None:
    for value in wrong:
        state = state_after(BEGUN, STEP)
        before = repr(state)
        with pytest.raises(ValueError, match=f"^a valid {field}: ") as refused:
            apply_line(state, {**line, field: value})
        assert str(refused.value) == f"a valid {field}: {value!r}"
        assert repr(state) == before


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        *((line, ("plan",)) for line in (BEGUN, RESUMED, UNDO)),
        (CLAIM, ("host", "token")),
        (RELEASED, ("host",)),
        ({**STEP, "number": 2}, ("host", "number", "step")),
        (ENDED, ("host", "number", "ending")),
        (UNDO_STEP, ("host", "number")),
        (UNDONE, ("host", "number")),
        (HOST, ("host", "outcome")),
    ],
)
def test_a_line_without_a_field_that_counts_is_refused(line: Line, fields: tuple[str, ...]) -> None:
    for field in fields:
        with pytest.raises(KeyError, match=f"^'{field}'$"):
            state_after(BEGUN, STEP, {name: value for name, value in line.items() if name != field})


@pytest.mark.parametrize("event", ["coffee-made", None, 7, ["run-ended"], {}])
def test_an_event_of_a_later_version_changes_nothing(event: object) -> None:
    assert state_after(BEGUN, {"event": event, "plan": "", "host": 7}) == state_after(BEGUN)


@pytest.mark.parametrize("deferred", [True, False])
def test_a_guard_that_tripped_says_why_the_run_stopped_until_the_next_one_begins(deferred: bool) -> None:
    tripped = {"event": "guard-tripped", "guard": "window", "why": "it closes", "deferred": deferred}

    stopped = state_after(BEGUN, STEP, tripped)

    assert (stopped.stopped, stopped.deferred) == ("it closes", deferred)
    assert replace(stopped, stopped="", deferred=False) == state_after(BEGUN, STEP)
    assert state_after(BEGUN, tripped, BEGUN) == state_after(BEGUN)


def test_a_host_that_has_relapsed_has_failed_whatever_was_changed_on_it() -> None:
    relapsed = {"event": "host-relapsed", "host": "PC-1", "verdict": "armed", "detail": "it is armed again"}

    assert host_after(STEP, ENDED, HOST, relapsed).outcome == "failed"
    assert host_after(STEP, ENDED, HOST, relapsed).done == host_after(STEP, ENDED, HOST).done


def test_every_event_is_applied_here() -> None:
    lines = (BEGUN, RESUMED, UNDO, CLAIM, RELEASED, STEP, ENDED, UNDO_STEP, UNDONE, HOST)

    assert {line["event"] for line in lines} | {"run-ended", "undo-ended", "guard-tripped", "host-relapsed"} == set(
        EVENTS
    )
