"""Steps in the registry: what each sends, line by line, and what it says if the PC does not do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provmode.errors import AccessDenied, AnswerLost
from provmode.remediation.execute import ALREADY, CHANGED, execute
from provmode.remediation.steps import SetRegistryKey, SetRegistryValue, Step, data_text, step_from_json
from provmode.windows.registry import RegistryData, ValueType
from provmode.wsman import Instance

Converse = Callable[..., Any]
KEY = "HKLM\\SOFTWARE\\X"
LOST, DENIED = AnswerLost("the connection broke"), AccessDenied("access denied")


def call(method: str, *parameters: str) -> str:
    """Return the call of a method of StdRegProv on the key; 2147483650 is HKLM."""
    given = ";".join(('hDefKey="2147483650"', 'sSubKeyName="SOFTWARE\\X"', *parameters))
    return f"winrm invoke {method} wmicimv2/StdRegProv @{{{given}}}"


NAME = 'sValueName="v"'
LIST, READ = call("EnumValues"), call("GetStringValue", NAME)


def answer(code: int = 0, **properties: Any) -> Instance:
    return Instance("X_OUTPUT", {"ReturnValue": str(code), **properties})


def text(data: str) -> RegistryData:
    return RegistryData(ValueType.REG_SZ, data)


def holds(data: str) -> tuple[Instance, Instance]:
    """Return the two answers for a value that contains text."""
    return answer(sNames="v", Types="1"), answer(sValue=data)


@pytest.mark.parametrize(
    ("data", "line", "document", "words"),
    [
        (text("a"), call("SetStringValue", NAME, 'sValue="a"'), {"type": "REG_SZ", "data": "a"}, "REG_SZ 'a'"),
        (
            RegistryData(ValueType.REG_EXPAND_SZ, "%x%"),
            call("SetExpandedStringValue", NAME, 'sValue="%x%"'),
            {"type": "REG_EXPAND_SZ", "data": "%x%"},
            "REG_EXPAND_SZ '%x%'",
        ),
        (
            RegistryData(ValueType.REG_MULTI_SZ, ("a", "b")),
            call("SetMultiStringValue", NAME, 'sValue="a"', 'sValue="b"'),
            {"type": "REG_MULTI_SZ", "data": ["a", "b"]},
            "REG_MULTI_SZ ['a', 'b']",
        ),
        (
            RegistryData(ValueType.REG_DWORD, 7),
            call("SetDWORDValue", NAME, 'uValue="7"'),
            {"type": "REG_DWORD", "data": 7},
            "REG_DWORD 7",
        ),
        (
            RegistryData(ValueType.REG_QWORD, 2**40),
            call("SetQWORDValue", NAME, 'uValue="1099511627776"'),
            {"type": "REG_QWORD", "data": 2**40},
            "REG_QWORD 1099511627776",
        ),
        (
            RegistryData(ValueType.REG_BINARY, b"\0\xff"),
            call("SetBinaryValue", NAME, 'uValue="0"', 'uValue="255"'),
            {"type": "REG_BINARY", "data": "00ff"},
            "REG_BINARY '00ff'",
        ),
    ],
    ids=lambda item: item.type.name if isinstance(item, RegistryData) else "",
)
def test_data_of_each_type_is_written_shown_and_kept_in_its_own_form(
    converse: Converse, data: RegistryData, line: str, document: dict[str, Any], words: str
) -> None:
    step = SetRegistryValue(KEY, "v", text("old"), data)
    kept = {"kind": "registry-value", "key": KEY, "value": "v"}
    kept |= {"before": {"type": "REG_SZ", "data": "old"}, "after": document}
    other = answer(sNames="v", Types=str(data.type.value)), DENIED

    talk = converse(execute(step), *holds("old"), answer(), *other)

    assert talk.asked[:3] == [LIST, READ, line]
    assert step.to_json() == kept
    assert step_from_json(kept) == step
    assert [str(item) for item in step.properties] == [f"{KEY}\\v REG_SZ 'old' -> {words}"]
    assert data_text(data) == words


def test_a_value_that_is_not_there_yet_is_written_with_its_key(converse: Converse) -> None:
    step = SetRegistryValue(KEY, "v", None, text("new"))
    announced: list[Any] = []

    talk = converse(execute(step, announce=announced.append), answer(2), answer(), answer(), *holds("new"))

    assert (talk.end, announced) == (CHANGED, [None])
    assert converse(execute(step, announce=announced.append), *holds("new")).end == ALREADY
    assert announced == [None], "nothing is changed the second time"
    assert talk.asked == [LIST, call("CreateKey"), call("SetStringValue", NAME, 'sValue="new"'), LIST, READ]
    assert [str(item) for item in step.properties] == [f"{KEY}\\v absent -> REG_SZ 'new'"]
    assert step.to_json()["before"] is None
    assert step_from_json(step.to_json()) == step


def test_a_value_is_deleted_and_its_undo_writes_it_again(converse: Converse) -> None:
    step = SetRegistryValue(KEY, "v", text("old"), None)

    talk = converse(execute(step), *holds("old"), answer(), answer())

    assert talk.end == CHANGED
    assert talk.asked == [LIST, READ, call("DeleteValue", NAME), LIST]
    assert step.undo == SetRegistryValue(KEY, "v", None, text("old"))
    assert step_from_json(step.to_json()) == step


def test_each_call_is_sent_even_if_the_answer_of_the_one_before_was_lost(converse: Converse) -> None:
    step = SetRegistryValue(KEY, "v", None, text("new"))

    talk = converse(execute(step), answer(2), LOST, LOST, *holds("new"))

    assert (talk.end, len(talk.asked)) == (CHANGED, 5)


@pytest.mark.parametrize("present", [True, False])
def test_a_key_is_made_or_deleted(converse: Converse, present: bool) -> None:
    step = SetRegistryKey(KEY, present)
    before, after = (answer(2), answer()) if present else (answer(), answer(2))
    announced: list[Any] = []

    talk = converse(execute(step, announce=announced.append), before, answer(), after)

    assert (talk.end, announced) == (CHANGED, [None])
    assert talk.asked == [call("EnumKey"), call("CreateKey" if present else "DeleteKey"), call("EnumKey")]
    assert converse(execute(step), after).end == ALREADY
    words = "absent -> present" if present else "present -> absent"
    assert [str(item) for item in step.properties] == [f"{KEY} {words}"]
    assert step.undo == SetRegistryKey(KEY, not present)
    assert step.to_json() == {"kind": "registry-key", "key": KEY, "present": present}


CHANGE, MAKE = SetRegistryValue(KEY, "v", text("old"), text("new")), SetRegistryKey(KEY, True)
RIGHTS = "; look at the account's rights"
NOT_CHANGED = f": it was not changed{RIGHTS} on that key"


@pytest.mark.parametrize(
    ("step", "answers", "says"),
    [
        (
            CHANGE,
            holds("other"),
            f"StaleStep: {KEY}\\v is REG_SZ 'other', not REG_SZ 'old' as it was; look again and plan anew",
        ),
        (
            CHANGE,
            (*holds("old"), LOST, *holds("old")),
            f"NotProved: {KEY}\\v is REG_SZ 'old' after the change, not REG_SZ 'new'; look at the PC, then try again",
        ),
        (CHANGE, (DENIED,), f"HostError: {KEY}\\v cannot be read: access denied{RIGHTS}"),
        (CHANGE, (*holds("old"), answer(5)), f"HostError: {KEY}\\v: access denied (5){NOT_CHANGED}"),
        (CHANGE, (*holds("old"), answer(2)), f"HostError: {KEY}\\v: there is no such key or value{NOT_CHANGED}"),
        (CHANGE, (*holds("old"), answer(1)), f"HostError: {KEY}\\v: there is no such key or value{NOT_CHANGED}"),
        (CHANGE, (*holds("old"), answer(1018)), f"HostError: {KEY}\\v: StdRegProv answered 0x3fa{NOT_CHANGED}"),
        (CHANGE, (*holds("old"), DENIED), "AccessDenied: access denied"),
        (MAKE, (answer(5),), f"HostError: {KEY} cannot be read: {KEY}: access denied (5){RIGHTS}"),
        (MAKE, (DENIED,), f"HostError: {KEY} cannot be read: access denied{RIGHTS}"),
        (
            MAKE,
            (Instance("X_OUTPUT", {}),),
            f"HostError: {KEY} cannot be read: {KEY}: {KEY}: the answer has no ReturnValue{RIGHTS}",
        ),
        (MAKE, (answer(2), answer(5)), f"HostError: {KEY}: access denied (5){NOT_CHANGED}"),
        (
            MAKE,
            (answer(2), LOST, answer(2)),
            f"NotProved: {KEY} is absent after the change, not present; look at the PC, then try again",
        ),
        (
            SetRegistryKey(KEY, False),
            (answer(), answer(), answer()),
            f"NotProved: {KEY} is present after the change, not absent; look at the PC, then try again",
        ),
    ],
)
def test_what_the_pc_does_not_do_is_said_in_one_line(
    converse: Converse, step: Step, answers: tuple[Any, ...], says: str
) -> None:
    assert converse(execute(step), *answers).end == says
