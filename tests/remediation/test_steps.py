"""Steps as values: their JSON, their undo, what reports show of them, what can be pasted into a prompt."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.step import StepCommand
from provmode.ccm import tcf
from provmode.ccm.client import TCF_PATHS
from provmode.connector.commands import text
from provmode.remediation import steps
from provmode.remediation.decide import disarm
from provmode.remediation.diff import text_diff
from provmode.remediation.execute import execute
from provmode.remediation.exit_guard import GUARD_KEY, GUARD_VALUE
from provmode.remediation.steps import (
    KINDS,
    AddPackage,
    DeleteTrace,
    DeleteUpload,
    DisarmTcf,
    EndLease,
    RemoveGuard,
    RemovePackage,
    RequestPolicy,
    SetFile,
    SetMode,
    SetRegistryKey,
    SetRegistryValue,
    SetServiceDependencies,
    SetServiceState,
    SetStartMode,
    SetTrustedProvisioner,
    Step,
    data_text,
    step_from_json,
)
from provmode.remediation.uploads import uploaded
from provmode.windows.registry import RegistryData, ValueType
from provmode.wsman.notation import parse
from provmode.wsman.operations import Invoke

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)
PLAIN = st.from_regex(r"[A-Za-z0-9 _.$-]{1,12}", fullmatch=True)
HASHES = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
MODES = st.sampled_from(["Auto", "Manual", "Disabled"])


def data(words: st.SearchStrategy[str]) -> st.SearchStrategy[RegistryData]:
    """Return registry data of every type."""
    return st.one_of(
        st.builds(RegistryData, st.sampled_from([ValueType.REG_SZ, ValueType.REG_EXPAND_SZ]), words),
        st.builds(RegistryData, st.just(ValueType.REG_DWORD), st.integers(0, 2**32 - 1)),
        st.builds(RegistryData, st.just(ValueType.REG_QWORD), st.integers(0, 2**64 - 1)),
        st.builds(RegistryData, st.just(ValueType.REG_BINARY), st.binary(max_size=8)),
        st.builds(RegistryData, st.just(ValueType.REG_MULTI_SZ), st.lists(words, max_size=3).map(tuple)),
    )


KEYS = PLAIN.map(lambda name: f"HKLM\\SOFTWARE\\{name.strip()}x")
VALUES = st.builds(SetRegistryValue, KEYS, WORDS, st.none() | data(WORDS), st.none() | data(WORDS))
TEXTS = st.lists(WORDS | st.sampled_from(["-- x", "++ x", "@@ -1 +1 @@", "-", "+", ""]), max_size=6).map("\n".join)


@st.composite
def files(draw: st.DrawFn) -> SetFile:
    """A change of a text file, with its diff."""
    before, after = draw(TEXTS), draw(TEXTS)
    diff = text_diff("C:\\x", before.encode(), after.encode())
    return SetFile("C:\\x", draw(st.none() | HASHES), draw(HASHES), diff)


@st.composite
def disarmings(draw: st.DrawFn) -> DisarmTcf:
    """An armed file, disarmed."""
    lines = [*draw(st.lists(WORDS, max_size=3)), "SMSPROVISIONINGMODE=1", *draw(st.lists(WORDS, max_size=3))]
    return disarm("C:\\x", "\r\n".join(lines).encode("utf-8"))


IDS = st.uuids().map(lambda each: f"{{{each}}}")
LINES = st.lists(WORDS, max_size=3).map(tuple)
THUMBPRINTS = st.text("0123456789abcdef", min_size=40, max_size=40)


STEPS = st.one_of(
    VALUES,
    st.builds(SetRegistryKey, KEYS, st.booleans()),
    st.builds(SetStartMode, PLAIN, MODES, MODES),
    st.builds(
        SetServiceState,
        PLAIN,
        st.sampled_from(["Running", "Stopped", "Stop Pending"]),
        st.sampled_from(["Running", "Stopped", "Restarted"]),
    ),
    st.builds(
        SetServiceDependencies,
        PLAIN,
        st.lists(PLAIN, max_size=3).map(tuple),
        st.lists(PLAIN, max_size=3).map(tuple),
    ),
    files(),
    disarmings(),
    st.builds(DeleteTrace, st.sampled_from([f"{path}.provmode-backup" for path in TCF_PATHS]), HASHES),
    st.builds(DeleteUpload, HASHES.map(uploaded), HASHES),
    st.builds(RemoveGuard, WORDS),
    st.builds(EndLease, st.sampled_from(["", "20260302T080000Z-0123456789abcdef"])),
    st.builds(SetMode, st.booleans(), st.sampled_from(["true", "false", "half-exited"])),
    st.just(RequestPolicy()),
    st.builds(
        *(AddPackage, WORDS, PLAIN, IDS, PLAIN, HASHES, st.just("") | THUMBPRINTS),
        before=LINES,
        wins=LINES,
        effects=LINES,
    ),
    st.builds(RemovePackage, PLAIN, IDS, LINES, LINES),
    st.builds(SetTrustedProvisioner, THUMBPRINTS, PLAIN, st.just("MIIB"), st.booleans()),
)
EXAMPLED = {
    *(SetRegistryValue, SetRegistryKey, SetStartMode, SetServiceState, SetServiceDependencies),
    *(SetFile, DisarmTcf, SetMode, RequestPolicy),
}
EXAMPLED |= {DeleteTrace, DeleteUpload, RemoveGuard, EndLease, AddPackage, RemovePackage, SetTrustedProvisioner}
"""The kinds that `STEPS` makes."""


def test_every_kind_of_step_is_known_at_run_time_and_tested_here() -> None:
    in_files = {
        item
        for module in pkgutil.iter_modules(steps.__path__)
        for item in vars(importlib.import_module(f"{steps.__name__}.{module.name}")).values()
        if inspect.isclass(item) and issubclass(item, Step) and not inspect.isabstract(item)
    }
    code = "from provmode.remediation.steps import KINDS; print(*sorted(KINDS))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert in_files == EXAMPLED
    assert ran.stdout.split() == sorted(kind.kind for kind in in_files)


@given(STEPS)
def test_a_step_is_the_same_after_json(step: Step) -> None:
    document = json.loads(json.dumps(step.to_json()))

    assert step_from_json(document) == step
    assert document["kind"] in KINDS


@given(STEPS)
def test_each_kind_of_step_is_carried_out_by_its_own_class(step: Step) -> None:
    conversation: Any = execute(step, data=b"")

    assert conversation.__qualname__ == f"{type(step).__name__}.execute"


@given(STEPS)
def test_the_undo_of_an_undo_is_the_step(step: Step) -> None:
    back = step.undo
    if back is None:
        without = (SetServiceState, SetMode, RequestPolicy, EndLease, RemovePackage, DeleteUpload)
        assert isinstance(step, without) or (isinstance(step, AddPackage) and step.before)
        return

    again = back.undo

    if isinstance(step, AddPackage):
        assert isinstance(back, RemovePackage)
        assert (back.id, again) == (step.id, None), "it has to be added again from its file"
    elif isinstance(step, DisarmTcf):
        assert again == SetFile(step.path, step.before, step.after, step.diff)
    elif isinstance(step, DeleteTrace):
        assert again == SetFile(step.path, step.before, None)
    elif isinstance(step, RemoveGuard):
        assert again == SetRegistryValue(GUARD_KEY, GUARD_VALUE, RegistryData(ValueType.REG_SZ, step.before), None)
    else:
        assert again == step


@given(STEPS)
def test_the_undo_of_a_step_swaps_before_and_after(step: Step) -> None:
    if step.undo is None or isinstance(step, DisarmTcf):
        return
    ((done,), (undone,)) = step.properties, step.undo.properties

    assert (undone.name, undone.before, undone.after) == (done.name, done.after, done.before)


@given(files())
def test_the_diff_of_an_undo_removes_what_the_step_added(step: SetFile) -> None:
    back = step.undo
    assert back is not None

    assert back.diff[:2] == step.diff[:2]
    done = [(line[:1], line[1:]) for line in step.diff[2:] if line[:1] in "+-"]
    undone = [(line[:1], line[1:]) for line in back.diff[2:] if line[:1] in "+-"]
    assert undone == [({"+": "-", "-": "+"}[sign], rest) for sign, rest in done]


def test_the_diff_of_an_undo_swaps_the_line_numbers() -> None:
    step = SetFile("x", "a", "b", text_diff("x", b"one\n-- two\n", b"one\n"))

    assert step.diff == ("--- x", "+++ x", "@@ -1,2 +1 @@", " one", "--- two")
    assert step.undo is not None
    assert step.undo.diff == ("--- x", "+++ x", "@@ -1 +1,2 @@", " one", "+-- two")


@given(STEPS)
def test_every_step_shows_one_property_before_and_after(step: Step) -> None:
    (item,) = step.properties

    assert item.name
    assert str(item) == f"{item.name} {item.before} -> {item.after}"
    assert "\n" not in item.before + item.after


@given(
    st.one_of(
        st.builds(SetRegistryValue, KEYS, PLAIN, st.none() | data(PLAIN), st.none() | data(PLAIN)),
        st.builds(SetRegistryKey, KEYS, st.booleans()),
        st.builds(SetStartMode, st.from_regex(r"[A-Za-z0-9_]{1,12}", fullmatch=True), MODES, MODES),
        st.builds(SetMode, st.booleans(), st.just("true")),
        st.just(RequestPolicy()),
    )
)
def test_the_operations_of_a_step_can_be_pasted_and_parsed(step: Step) -> None:
    assert step.operations
    for operation in step.operations:
        assert isinstance(operation, Invoke)
        lists = [value for _, value in operation.parameters if isinstance(value, tuple)]
        if all(len(value) > 1 for value in lists):
            assert text(operation).startswith("winrm invoke ")
            assert parse(text(operation)) == operation
        else:  # the winrm tool writes a list as one name given several times
            assert text(operation).startswith("# ")
    assert str(StepCommand(step)) == " ; ".join(text(operation) for operation in step.operations)


@pytest.mark.parametrize(
    ("step", "methods"),
    [
        (SetServiceState("X", "Stopped", "Running"), ["StartService"]),
        (SetServiceState("X", "Running", "Stopped"), ["StopService"]),
        (SetServiceState("X", "Running", "Restarted"), ["StopService", "StartService"]),
        (SetRegistryValue("HKLM\\X", "v", None, RegistryData(ValueType.REG_SZ, "")), ["CreateKey", "SetStringValue"]),
        (
            SetRegistryValue("HKLM\\X", "v", RegistryData(ValueType.REG_SZ, ""), RegistryData(ValueType.REG_DWORD, 1)),
            ["SetDWORDValue"],
        ),
        (SetRegistryValue("HKLM\\X", "v", RegistryData(ValueType.REG_SZ, ""), None), ["DeleteValue"]),
        (SetRegistryKey("HKLM\\X", False), ["DeleteKey"]),
        (RequestPolicy(), ["TriggerSchedule", "TriggerSchedule"]),
    ],
)
def test_a_step_calls_the_methods_that_it_needs(step: Step, methods: list[str]) -> None:
    assert [operation.method for operation in step.operations if isinstance(operation, Invoke)] == methods


@given(st.one_of(files(), disarmings()))
def test_a_change_of_a_file_is_shown_in_words(step: Step) -> None:
    assert step.operations == ()
    assert str(StepCommand(step, data=b"")) == f"# {step.properties[0]}"


@given(disarmings())
def test_a_disarming_has_both_hashes_a_diff_and_the_encoding(step: DisarmTcf) -> None:
    assert step.before != step.after
    assert any("SMSPROVISIONINGMODE" in line for line in step.diff)
    assert step.encoding in ("ANSI", "UTF-8", "UTF-16 LE", "UTF-16 BE")


def test_a_disarming_keeps_bytes_that_are_not_text() -> None:
    armed = b"\xff\xfe" + "SMSPROVISIONINGMODE=1\r\n".encode("utf-16-le") + b"\x00\xd8\x41"

    step = disarm("x", armed)

    assert tcf.disarm(armed) == b"\xff\xfe\x00\xd8\x41"
    assert step_from_json(json.loads(json.dumps(step.to_json()))) == step


VALUE: dict[str, Any] = {"kind": "registry-value", "key": "HKLM\\X", "value": "x", "before": None, "after": None}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "None is not a kind of step"),
        ({"kind": "format-disk"}, "'format-disk' is not a kind of step"),
        ({"kind": "mode", "enabled": True}, "before"),
        ({"kind": "mode", "enabled": True, "before": "true", "after": "x"}, "after"),
        ({**VALUE, "before": {"type": "REG_NONE", "data": ""}}, "REG_NONE"),
        ({**VALUE, "before": {"type": "REG_SZ"}}, "data"),
        ({**VALUE, "before": "text"}, "registry-value"),
        ({**VALUE, "before": {"type": "REG_BINARY", "data": "xy"}}, "hexadecimal"),
        ({name: item for name, item in VALUE.items() if name != "before"}, "before"),
        ({"kind": "file", "path": "x", "before": None, "after": None, "diff": 5}, "file"),
    ],
)
def test_a_document_that_is_not_a_step_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        step_from_json(document)


@pytest.mark.parametrize(
    ("registry", "text_shown"),
    [
        (None, "absent"),
        (RegistryData(ValueType.REG_SZ, "a\n'"), 'REG_SZ "a\\n\'"'),
        (RegistryData(ValueType.REG_MULTI_SZ, ("a", "b")), "REG_MULTI_SZ ['a', 'b']"),
        (RegistryData(ValueType.REG_BINARY, b"\0\xff"), "REG_BINARY '00ff'"),
        (RegistryData(ValueType.REG_DWORD, 7), "REG_DWORD 7"),
    ],
)
def test_registry_data_is_shown_with_its_type(registry: RegistryData | None, text_shown: str) -> None:
    assert data_text(registry) == text_shown
