"""The registry: values and keys, present and absent, in a dry run, a first run and a second run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from operations.registry import registry_data
from provmode.lab.process import Host, LabProcess
from provmode.remediation.lease import NAME
from provmode.windows.registry import RegistryData, ValueType

PERSONAS = {"healthy": 3}
KEY = "HKLM\\SOFTWARE\\Example\\Deep"
OTHER = "HKLM\\SOFTWARE\\Other"
HEAD = "from pyinfra import host\nfrom operations import registry\n"
Pcs = Callable[[str], list[Host]]


@dataclass(frozen=True)
class Case:
    """One value that is written."""

    name: str
    data: Any
    type: str
    diff: str
    """The value in a diff."""
    query: str
    """The value in the output of ``reg query``."""
    before: tuple[Any, str, str] | None = None
    """The previous value: data, type, and its form in a diff."""


CASES = [
    Case("text", "grün & <b> \"'", "REG_SZ", "REG_SZ 'grün & <b> \"\\''", "REG_SZ    grün & <b> \"'"),
    Case("blanks", "  a  b ", "REG_SZ", "REG_SZ '  a  b '", "REG_SZ      a  b "),
    Case("empty", "", "REG_SZ", "REG_SZ ''", "REG_SZ    "),
    Case("expand", "C:\\x", "REG_EXPAND_SZ", "REG_EXPAND_SZ 'C:\\\\x'", "REG_EXPAND_SZ    C:\\x"),
    Case("list", ["a", "b c"], "REG_MULTI_SZ", "REG_MULTI_SZ ['a', 'b c']", "REG_MULTI_SZ    a\\0b c"),
    Case("no list", [], "REG_MULTI_SZ", "REG_MULTI_SZ []", "REG_MULTI_SZ    "),
    Case("number", 2**32 - 1, "REG_DWORD", "REG_DWORD 4294967295", "REG_DWORD    0xffffffff"),
    Case("zero", 0, "REG_DWORD", "REG_DWORD 0", "REG_DWORD    0x0"),
    Case("large", 2**64 - 1, "REG_QWORD", f"REG_QWORD {2**64 - 1}", "REG_QWORD    0xffffffffffffffff"),
    Case("bytes", b"\0\x7f\xff", "REG_BINARY", "REG_BINARY '007fff'", "REG_BINARY    007FFF"),
    Case("no bytes", b"", "REG_BINARY", "REG_BINARY ''", "REG_BINARY    "),
    Case("other data", "new", "REG_SZ", "REG_SZ 'new'", "REG_SZ    new", ("old", "REG_SZ", "REG_SZ 'old'")),
    Case("other type", 7, "REG_DWORD", "REG_DWORD 7", "REG_DWORD    0x7", ("7", "REG_SZ", "REG_SZ '7'")),
]
BY_NAME = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)

SETTING = HEAD + "".join(
    f"registry.value(name={case.name!r}, key={KEY!r}, value={case.name!r}, data={case.data!r}, type={case.type!r})\n"
    for case in CASES
)
MORE = f"""
registry.value(name='default value', key={KEY!r}, value='', data='unnamed')
registry.value(name='32 bit', key='HKLM/SOFTWARE/Example32', value='x', data=7, type='REG_DWORD', view=32)
registry.value(name='long name', key='HKEY_LOCAL_MACHINE\\\\SOFTWARE\\\\Long', value='x', data='y')
registry.key(name='key', key={OTHER!r})
"""
TAKING = HEAD + (
    f"registry.value(name='value away', key={KEY!r}, value='text', present=False)\n"
    f"registry.value(name='never was', key={KEY!r}, value='nothing', present=False)\n"
    f"registry.value(name='no such key', key='HKLM\\\\SOFTWARE\\\\Nowhere', value='x', present=False)\n"
    f"registry.key(name='key away', key={OTHER!r}, present=False)\n"
    f"registry.key(name='key never was', key='HKLM\\\\SOFTWARE\\\\Nowhere', present=False)\n"
)


def at_value(name: str) -> str:
    """Return the heading of a value's diff."""
    return f"{KEY}\\{name}"


@dataclass(frozen=True)
class Story:
    """A dry run, a first and a second run, and the changes of each."""

    pc: Host
    runs: dict[str, Any]
    mutations: dict[str, list[str]]
    after_first: dict[str, Any]
    """The registry values after the first run."""


@pytest.fixture(scope="module")
def setting(fleet: LabProcess, pyinfra: Any, pcs: Pcs) -> Story:
    """Every value and key, set."""
    pc = pcs("healthy")[0]
    for case in CASES:
        if case.before is not None:
            fleet.set_registry(pc.name, KEY, case.name, case.before[0], case.before[1])
    return run_story(fleet, pyinfra, pc, SETTING + MORE)


@pytest.fixture(scope="module")
def taking(setting: Story, fleet: LabProcess, pyinfra: Any) -> Story:
    """Some of them, deleted."""
    return run_story(fleet, pyinfra, setting.pc, TAKING)


def run_story(fleet: LabProcess, pyinfra: Any, pc: Host, deploy: str) -> Story:
    """Run dry, then twice for real."""
    runs, mutations, before = {}, {}, len(pyinfra.mutations(pc))
    for name, run in (("dry", pyinfra.dry), ("first", pyinfra.apply), ("second", pyinfra.apply)):
        runs[name] = run(deploy, pc)
        mutations[name] = pyinfra.mutations(pc)[before:]
        before += len(mutations[name])
        if name == "first":
            after_first = {case.name: fleet.registry(pc.name, KEY, case.name) for case in CASES}
    return Story(pc, runs, mutations, after_first)


# -- values and keys that must exist ------------------------------------------------------------------------------


def test_a_dry_run_detects_every_change_and_makes_none(setting: Story) -> None:
    assert setting.runs["dry"].code == 0, setting.runs["dry"].output
    everything = [*(case.name for case in CASES), "default value", "32 bit", "long name", "key"]
    assert setting.runs["dry"].pending == dict.fromkeys(everything, 1)
    assert setting.mutations["dry"] == []


@BY_NAME
def test_a_dry_run_shows_a_value_before_and_after_with_its_type(setting: Story, case: Case) -> None:
    before = "absent" if case.before is None else case.before[2]

    assert setting.runs["dry"].block(setting.pc, at_value(case.name)) == [f"- {before}", f"+ {case.diff}"]


def test_a_dry_run_shows_a_key_before_and_after(setting: Story) -> None:
    assert setting.runs["dry"].block(setting.pc, OTHER) == ["- absent", "+ present"]


def test_a_real_run_without_diff_shows_none(setting: Story) -> None:
    assert at_value("text") not in setting.runs["first"].lines(setting.pc)


@BY_NAME
def test_the_first_run_writes_type_and_data(setting: Story, at: Any, case: Case) -> None:
    expected = case.data.hex() if isinstance(case.data, bytes) else case.data
    assert setting.after_first[case.name] == expected
    if case.name == "text":
        return  # deleted meanwhile; the others are also read on the PC

    assert f"    {case.name}    {case.query}\n" in at(setting.pc, f'reg query {KEY} /v "{case.name}"')


def test_the_first_run_changes_what_it_says_and_nothing_else(setting: Story) -> None:
    changed = [line for line in setting.mutations["first"] if NAME not in line]

    assert all(result.changed == 1 for result in setting.runs["first"].results.values()), setting.runs["first"].output
    assert len([line for line in changed if line.startswith(f"registry value {KEY} ")]) == len(CASES) + 1
    assert [line for line in changed if line.startswith("registry key")] == [
        "registry key HKLM\\SOFTWARE\\Wow6432Node\\Example32 created",
        "registry key HKLM\\SOFTWARE\\Long created",
        f"registry key {OTHER} created",
    ]
    assert len(changed) == len(CASES) + 6


def test_the_second_run_changes_nothing(setting: Story) -> None:
    assert setting.mutations["second"] == []
    assert all(result.unchanged == 1 for result in setting.runs["second"].results.values()), setting.runs[
        "second"
    ].output
    assert len(setting.runs["second"].results) == len(CASES) + 4


def test_keys_can_be_written_in_different_ways(setting: Story, at: Any) -> None:
    assert "x    REG_DWORD    0x7" in at(setting.pc, "reg query HKLM\\SOFTWARE\\Wow6432Node\\Example32")
    assert "x    REG_SZ    y" in at(setting.pc, "reg query HKLM\\SOFTWARE\\Long")
    assert "    REG_SZ    unnamed" in at(setting.pc, f"reg query {KEY}")


# -- values and keys that must be absent ---------------------------------------------------------------------------


def test_a_dry_run_shows_deleted_values_and_keys_before_and_after(taking: Story) -> None:
    dry = taking.runs["dry"]

    assert dry.block(taking.pc, at_value("text")) == ["- REG_SZ 'grün & <b> \"\\''", "+ absent"]
    assert dry.block(taking.pc, OTHER) == ["- present", "+ absent"]
    assert dry.pending == {"value away": 1, "never was": 0, "no such key": 0, "key away": 1, "key never was": 0}
    assert taking.mutations["dry"] == []


def test_values_and_keys_are_deleted_once_and_the_rest_stays(taking: Story, fleet: LabProcess, at: Any) -> None:
    changed = [line for line in taking.mutations["first"] if NAME not in line]
    assert changed == [f"registry value {KEY} text deleted", f"registry key {OTHER} deleted"]
    assert {name: result.changed for name, result in taking.runs["first"].results.items()} == {
        **{"value away": 1, "never was": 0, "no such key": 0, "key away": 1, "key never was": 0}
    }
    assert taking.mutations["second"] == []
    assert [result.unchanged for result in taking.runs["second"].results.values()] == [1] * 5
    assert fleet.registry(taking.pc.name, KEY, "text") is None
    assert fleet.registry(taking.pc.name, KEY, "other data") == "new"
    assert at(taking.pc, f"reg query {OTHER} 2>nul") == ""


# -- arguments and faults -------------------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"type": "REG_NONE"}, "type 'REG_NONE' is not one of REG_SZ, REG_EXPAND_SZ"),
    ({"type": "REG_DWORD", "data": "7"}, "REG_DWORD takes a number from 0 to 4294967295, not '7'"),
    ({"type": "REG_DWORD", "data": True}, "REG_DWORD takes a number"),
    ({"type": "REG_DWORD", "data": -1}, "REG_DWORD takes a number"),
    ({"type": "REG_DWORD", "data": 2**32}, "REG_DWORD takes a number"),
    ({"type": "REG_QWORD", "data": 2**64}, "REG_QWORD takes a number"),
    ({"type": "REG_SZ", "data": 7}, "REG_SZ takes text, not 7"),
    ({"type": "REG_BINARY", "data": "00"}, "REG_BINARY takes bytes, not '00'"),
    ({"type": "REG_MULTI_SZ", "data": "a"}, "REG_MULTI_SZ takes a list of texts"),
    ({"type": "REG_MULTI_SZ", "data": ["a", ""]}, "texts that are not empty"),
    ({"type": "REG_EXPAND_SZ", "data": "%windir%\\x"}, "WMI returns variables only expanded"),
    ({"key": "HKXX\\SOFTWARE"}, "registry key 'HKXX\\\\SOFTWARE' does not begin with a hive (HKCR"),
    ({"key": "HKLM\\SYSTEM\\x", "view": 32}, "has no 32-bit view"),
    ({"key": 5}, "AttributeError"),
    ({"data": "\ud800"}, "cannot be written in XML"),
]


@pytest.fixture(scope="module")
def refused(setting: Story, pyinfra: Any, pcs: Pcs) -> tuple[Any, Any, Host, list[str]]:
    """Runs with every invalid argument, dry and for real, on a PC that no other test changes."""
    pc = pcs("healthy")[1]
    deploy = HEAD + "".join(
        f"registry.value(_ignore_errors=True, name='wrong {number}', "
        f"**{ {'key': KEY, 'value': 'wrong', **arguments}!r})\n"
        for number, (arguments, _) in enumerate(WRONG)
    )
    deploy += "registry.key(_ignore_errors=True, name='full key', key='HKLM\\\\SOFTWARE\\\\Microsoft', present=False)\n"
    return pyinfra.dry(deploy, pc), pyinfra.apply(deploy, pc), pc, pyinfra.mutations(pc)


@pytest.mark.parametrize(("number", "message"), list(enumerate(message for _, message in WRONG)))
def test_an_invalid_argument_is_an_error_in_one_line(
    refused: tuple[Any, Any, Host, list[str]], number: int, message: str
) -> None:
    dry, real, pc, _ = refused

    assert sum(message in line for line in real.lines(pc)) >= 1, real.output
    assert real.results[f"wrong {number}"].failed == 1
    assert any(message in line for line in dry.lines(pc)), dry.output
    assert "Traceback" not in real.output + dry.output


def test_an_invalid_argument_changes_nothing(refused: tuple[Any, Any, Host, list[str]]) -> None:
    _, real, pc, mutations = refused

    assert mutations == []
    assert any("HKLM\\SOFTWARE\\Microsoft has subkeys (" in line for line in real.lines(pc))
    assert real.results["full key"].failed == 1


def test_one_hosts_wrong_data_or_fault_does_not_affect_others(
    refused: object, fleet: LabProcess, pyinfra: Any, pcs: Pcs
) -> None:
    wrong, denied, right = pcs("healthy")
    fleet.inject(denied.name, kind="access-denied", action="SetDWORDValue", times=None)
    deploy = HEAD + f"registry.value(name='set', key={KEY!r}, value='own', data=host.data.wanted, type='REG_DWORD')\n"
    try:
        ran = pyinfra.apply(deploy, wrong, denied, right, wanted={wrong.name: "x", denied.name: 1, right.name: 2})
    finally:
        fleet.heal(denied.name)

    assert [fleet.registry(pc.name, KEY, "own") for pc in (wrong, denied, right)] == [None, None, 2]
    assert ran.results["set"].changed == 1
    assert ran.results["set"].failed == 2
    assert any("REG_DWORD takes a number" in line for line in ran.lines(wrong))
    assert any("denied" in line for line in ran.lines(denied))
    assert "Traceback" not in ran.output


def test_a_value_that_cannot_be_read_is_not_changed(fleet: LabProcess, pyinfra: Any, pcs: Pcs) -> None:
    pc = pcs("healthy")[2]
    before = pyinfra.mutations(pc)
    fleet.inject(pc.name, kind="access-denied", action="EnumValues", times=None)
    try:
        ran = pyinfra.apply(HEAD + f"registry.value(name='set', key={KEY!r}, value='z', data='y')\n", pc)
    finally:
        fleet.heal(pc.name)

    assert any("could not be read (access-denied)" in line for line in ran.lines(pc)), ran.output
    assert "nothing was changed" in ran.output
    assert pyinfra.mutations(pc) == before


def test_a_lost_answer_is_read_back(fleet: LabProcess, pyinfra: Any, pcs: Pcs) -> None:
    pc = pcs("healthy")[2]
    fleet.inject(pc.name, kind="drop-after", action="SetStringValue")
    try:
        ran = pyinfra.apply(HEAD + f"registry.value(name='set', key={KEY!r}, value='lost', data='found')\n", pc)
    finally:
        fleet.heal(pc.name)

    assert ran.results["set"].changed == 1, ran.output
    assert fleet.registry(pc.name, KEY, "lost") == "found"


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [("x", "REG_SZ", "x"), (("a", "b"), "REG_MULTI_SZ", ("a", "b")), (b"", "REG_BINARY", b""), (0, "REG_QWORD", 0)],
)
def test_data_that_fits_its_type_is_unchanged(data: object, kind: str, expected: Any) -> None:
    assert registry_data(data, kind) == RegistryData(ValueType[kind], expected)
