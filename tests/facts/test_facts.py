"""Every fact, through the real server: known, known absent, could not tell; and unchanged by pyinfra's JSON."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import facts
from facts.base import ConversationFact
from facts.cim import Query
from facts.client import (
    ClientService,
    ClientState,
    ClientVersion,
    ExitImpact,
    HealthEvaluation,
    MobileClientTcf,
    ProvisioningEnabledTime,
    ProvisioningMaxMinutes,
    ProvisioningMode,
    SystemTaskExcludes,
    TaskSequences,
)
from facts.files import Contents, File, FileContents, Sha256
from facts.packages import (
    AppliedPackages,
    PackagePolicies,
    Packages,
    PolicyWinners,
    ProvisioningCommandResults,
    ProvisioningEvents,
    TrustedProvisioners,
)
from facts.registry import Keys, Value, Values
from facts.system import (
    BootTime,
    Clock,
    OperatingSystem,
    Processes,
    ServiceDependencies,
    ServiceState,
    SetupState,
)
from provmode.ccm import tcf
from provmode.ccm.client import client_state
from provmode.ccm.model import ClientReadings
from provmode.connector.commands import ConversationCommand
from provmode.lab.process import Host, LabProcess
from provmode.packages.on_pc.model import PackagePolicies as Policies
from provmode.reading import Absent, Known, Unknown, plain
from provmode.transport.session import Session
from provmode.windows.registry import RegistryData, ValueType

Connect = Callable[..., Session]
CCMEXEC = "HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec"
TCF = "%windir%\\ccmsetup\\MobileClient.TCF"

ALL = sorted(
    {
        item
        for module in pkgutil.iter_modules(facts.__path__)
        for item in vars(importlib.import_module(f"facts.{module.name}")).values()
        if inspect.isclass(item) and issubclass(item, ConversationFact) and hasattr(item, "command")
    },
    key=lambda fact: fact.__qualname__,
)


def read(session: Session, fact_class: Any, **arguments: Any) -> Any:
    """Read a fact as the connector does, and back from JSON as pyinfra does."""
    fact = fact_class()
    command = fact.command(**arguments)
    assert isinstance(command, ConversationCommand)
    answer = session.converse(command.converse())
    processed = fact.process([json.dumps(plain(answer))])
    assert processed == answer
    return processed


@pytest.mark.parametrize("fact", ALL, ids=lambda fact: fact.__name__)
def test_a_facts_docstring_shows_its_three_answers(fact: type[ConversationFact[Any]]) -> None:
    docstring = inspect.getdoc(fact) or ""

    for case in ("Known(", "Absent(", "Unknown("):
        assert case in docstring or (fact is ClientState and case[:-1] in docstring), case


@pytest.mark.parametrize("fact", ALL, ids=lambda fact: fact.__name__)
def test_a_pc_that_was_not_reached_is_unknown(fact: type[ConversationFact[Any]]) -> None:
    default = fact.default()

    parts = {ClientReadings: ("client_version", "service"), Policies: ("allow_add", "signature_required")}
    readings = [getattr(default, part) for part in parts[type(default)]] if type(default) in parts else [default]
    assert all(isinstance(reading, Unknown) for reading in readings)


OF_PACKAGES = {ProvisioningCommandResults, PolicyWinners, PackagePolicies}
"""Known answers of these are in `test_package_facts`."""

KNOWN: list[tuple[type[ConversationFact[Any]], dict[str, Any], Callable[[Any], bool]]] = [
    (ClientVersion, {}, lambda value: value.startswith("5.00.")),
    (ClientService, {}, lambda value: value.name == "CcmExec" and value.running),
    (ProvisioningMode, {}, lambda value: value is True),
    (ProvisioningEnabledTime, {}, lambda value: value.tzinfo is timezone.utc),
    (SystemTaskExcludes, {}, lambda value: "SchedulerStartup" in value),
    (TaskSequences, {}, lambda value: value == ()),
    (HealthEvaluation, {}, lambda value: value.task in ("Ready", "Disabled")),
    (ExitImpact, {}, lambda value: isinstance(value.past_due, Known) and isinstance(value.reboot_pending, Known)),
    (OperatingSystem, {}, lambda value: value.version.startswith("10.0.") and value.version.endswith(str(value.build))),
    (Clock, {}, lambda value: value.now.tzinfo is not None and value.last_boot < value.now),
    (BootTime, {}, lambda value: value < datetime.now(timezone.utc)),
    (SetupState, {}, lambda value: not value.running),
    (Processes, {}, lambda value: {"System", "svchost.exe"} <= set(value)),
    (ServiceState, {"service": "spooler"}, lambda value: (value.name, value.start_mode) == ("Spooler", "Auto")),
    (ServiceDependencies, {"service": "smstsmgr"}, lambda value: value == ("Winmgmt",)),
    (File, {"path": "%windir%\\win.ini"}, lambda value: value.path == "C:\\Windows\\win.ini" and value.size > 0),
    (Sha256, {"path": "C:\\Windows\\win.ini"}, lambda value: len(value) == 64),
    (Contents, {"path": "%windir%\\win.ini"}, lambda value: b"[fonts]" in value.data),
    (Query, {"wql": "SELECT Name FROM Win32_Service WHERE Name='CcmExec'"}, lambda v: v == [{"Name": "CcmExec"}]),
    (Value, {"key": CCMEXEC, "value": "ProvisioningMode"}, lambda value: value.type is ValueType.REG_SZ),
    (Values, {"key": CCMEXEC}, lambda value: value["ProvisioningMode"] == "REG_SZ"),
    (Keys, {"key": "HKLM\\SOFTWARE\\Microsoft\\CCM"}, lambda value: "CcmExec" in value),
    (Packages, {}, lambda value: any(file.inbox and len(file.sha256.value) == 64 for file in value)),
    (AppliedPackages, {}, lambda value: "Power.Settings.Sleep.ppkg" in {each.file_name for each in value}),
    (TrustedProvisioners, {}, lambda value: value == ()),
    (ProvisioningEvents, {}, lambda value: isinstance(value, tuple)),
]


def test_every_fact_has_a_known_answer_here() -> None:
    elsewhere = {ClientState, MobileClientTcf, ProvisioningMaxMinutes}  # absent, or more than one reading: below

    assert set(ALL) == {fact for fact, _, _ in KNOWN} | elsewhere | OF_PACKAGES


@pytest.fixture
def overdue(lab: LabProcess, of_persona: Any) -> Host:
    """A PC in the mode, its service running."""
    return of_persona(lab, "overdue")  # type: ignore[no-any-return]


@pytest.mark.parametrize(("fact", "arguments", "right"), KNOWN, ids=lambda item: getattr(item, "__name__", ""))
def test_an_existing_value_is_known(
    lab: LabProcess, overdue: Host, connect: Connect, fact: Any, arguments: dict[str, Any], right: Any
) -> None:
    session = connect(lab, overdue, read_only=True)
    if fact is ClientService and not read(session, fact).value.running:
        right = lambda value: value.disabled  # noqa: E731 - the other half of the personas

    answer = read(session, fact, **arguments)

    assert isinstance(answer, Known)
    assert right(answer.value)


@pytest.mark.parametrize(
    ("fact", "arguments"),
    [
        (ClientVersion, {}),
        (ClientService, {}),
        (ProvisioningMode, {}),
        (ProvisioningEnabledTime, {}),
        (ProvisioningMaxMinutes, {}),
        (SystemTaskExcludes, {}),
        (MobileClientTcf, {}),
        (TaskSequences, {}),
        (File, {"path": TCF}),
        (File, {"path": "C:\\no folder\\no'file.txt"}),
        (Sha256, {"path": TCF}),
        (Contents, {"path": TCF}),
        (Query, {"wql": "SELECT * FROM SMS_Client", "namespace": "root/ccm"}),
        (Value, {"key": CCMEXEC, "value": "ProvisioningMode"}),
        (Value, {"key": "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion", "value": "Nonsense"}),
        (Values, {"key": CCMEXEC}),
        (Keys, {"key": CCMEXEC}),
        (ServiceState, {"service": "Nowhere"}),
        (ServiceDependencies, {"service": "Dhcp"}),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_a_missing_value_is_absent(
    lab: LabProcess, connect: Connect, of_persona: Any, fact: Any, arguments: dict[str, Any]
) -> None:
    assert read(connect(lab, of_persona(lab, "no-client"), read_only=True), fact, **arguments) == Absent()


ACTIONS = ("Get", "Enumerate", "EnumValues", "EnumKey", "GetStringValue", "GetMultiStringValue", "Create")


SEVERAL = (ClientState, PackagePolicies)
"""Facts of more than one reading."""


@pytest.mark.parametrize("fact", [fact for fact in ALL if fact not in SEVERAL], ids=lambda fact: fact.__name__)
@pytest.mark.parametrize(("kind", "cause"), [("access-denied", "access-denied"), ("fault", "unavailable")])
def test_a_value_that_was_denied_or_failed_is_unknown(
    lab: LabProcess, healthy: Host, connect: Connect, fact: Any, kind: str, cause: str
) -> None:
    arguments = next(({**arguments} for known, arguments, _ in KNOWN if known is fact), {})
    arguments |= {"areas": "Start"} if fact is PolicyWinners else {}
    for action in ACTIONS:
        lab.inject(healthy.name, kind=kind, action=action, times=None, code=0x80041014, text="not now")

    answer = read(connect(lab, healthy, read_only=True), fact, **arguments)

    assert isinstance(answer, Unknown)
    assert answer.cause == cause
    assert answer.detail


def test_an_armed_file_is_returned_with_its_entry(lab: LabProcess, connect: Connect, of_persona: Any) -> None:
    (file,) = read(connect(lab, of_persona(lab, "armed"), read_only=True), MobileClientTcf).value

    assert file.armed
    assert "PROVISIONINGMODE" in file.entries[0].upper()


@pytest.fixture(scope="module")
def armed_lab() -> Iterator[LabProcess]:
    """PCs whose files have every encoding and line ending that the lab writes."""
    with LabProcess(24, 9, mix={"armed": 1}) as running:
        yield running


def test_a_file_is_answered_with_its_contents(armed_lab: LabProcess, connect: Connect) -> None:
    encodings = set()
    for host in armed_lab.hosts:
        session = connect(armed_lab, host, read_only=True)
        (file,) = read(session, MobileClientTcf).value
        before = armed_lab.counters(host.name)["processes"]
        data = read(session, Contents, path=TCF).value.data
        verdict = session.converse(client_state(lambda: datetime.now(timezone.utc))).tcf.value[0]

        encodings.add(file.encoding)
        assert before == 1, "the contents cost one process"
        assert file.encoding == tcf.read(data).encoding
        assert file.text == tcf.text_of(data).removeprefix("\ufeff")
        assert file.sections["IDENT"] == {"TYPE": "Target Configuration File"}
        assert file.sections["Site"] == {"SMSSITECODE": "PS1"}
        assert file.install.items() >= {"INSTALL": "ALL", "SMSSITECODE": "PS1", "SMSMP": "mp01.corp.example"}.items()
        assert file.armed
        assert (file.path, file.armed) == (verdict.path, verdict.armed)
        assert set(verdict.to_json()) == {"path", "armed", "encoding", "entries"}, "the verdict needs no more"
    assert encodings == {"ANSI", "UTF-8", "UTF-16 LE"}


def test_max_minutes_are_known_when_they_are_set(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    session = connect(lab, healthy, read_only=True)
    assert read(session, ProvisioningMaxMinutes) == Absent()

    lab.set_registry(healthy.name, CCMEXEC, "ProvisioningMaxMinutes", 600, "REG_DWORD")

    assert read(session, ProvisioningMaxMinutes) == Known(600)


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("REG_SZ", "text é €", "text é €"),
        ("REG_EXPAND_SZ", "%windir%\\x", "C:\\Windows\\x"),
        ("REG_DWORD", 4294967295, 4294967295),
        ("REG_QWORD", 2**63 + 1, 2**63 + 1),
        ("REG_BINARY", [0, 255, 16], b"\x00\xff\x10"),
        ("REG_MULTI_SZ", ["one", "two"], ("one", "two")),
    ],
)
@pytest.mark.parametrize("view", [64, 32])
def test_every_registry_type_is_read_in_both_views(
    lab: LabProcess, healthy: Host, connect: Connect, kind: str, data: Any, expected: Any, view: int
) -> None:
    folder = "SOFTWARE\\Wow6432Node\\Test" if view == 32 else "SOFTWARE\\Test"
    lab.set_registry(healthy.name, f"HKLM\\{folder}", kind, data, kind)

    answer = read(connect(lab, healthy, read_only=True), Value, key="HKLM\\SOFTWARE\\Test", value=kind, view=view)

    assert answer == Known(RegistryData(ValueType[kind], expected))


def test_times_are_utc_in_any_time_zone_of_the_pc(lab: LabProcess, healthy: Host, connect: Connect) -> None:
    clock = read(connect(lab, healthy, read_only=True), Clock).value

    assert abs(clock.now - datetime.now(timezone.utc)) < timedelta(minutes=5)
    assert clock.now.utcoffset() == timedelta(0)


def test_contents_have_text_only_if_they_are_text() -> None:
    assert FileContents("Größe\r\n".encode()).text == "Größe\r\n"
    assert FileContents(b"\xff\xfe" + "Größe".encode("utf-16-le")).text == "Größe"
    assert FileContents(b"\xef\xbb\xbfx").text == "x"
    assert FileContents("Größe".encode("cp1252")).text is None
    assert FileContents(b"MZ\x00\x01").text is None


@pytest.mark.parametrize(
    ("fact", "arguments"),
    [
        (File, {"path": "relative.txt"}),
        (File, {"path": "%TEMP%\\x"}),
        (File, {"path": "C:\\Windows\\*"}),
        (Value, {"key": "HKXX\\Software", "value": "x"}),
        (Values, {"key": "HKLM\\SYSTEM", "view": 32}),
        (Keys, {"key": "HKLM\\SOFTWARE", "view": 16}),
        (ServiceState, {"service": "a' OR Name LIKE '%"}),
        (ServiceDependencies, {"service": "a\\b"}),
    ],
)
def test_an_invalid_argument_fails_in_one_line_and_sends_nothing(
    lab: LabProcess, healthy: Host, connect: Connect, fact: Any, arguments: dict[str, Any]
) -> None:
    before = lab.counters(healthy.name)["requests"]

    with pytest.raises(ValueError, match=r"path|registry key|view|service") as error:
        read(connect(lab, healthy), fact, **arguments)

    assert "\n" not in str(error.value)
    assert lab.counters(healthy.name)["requests"] == before


def test_a_healthy_client_gets_few_requests_and_starts_one_process(
    lab: LabProcess, healthy: Host, connect: Connect
) -> None:
    before = lab.counters(healthy.name)

    state = read(connect(lab, healthy, read_only=True), ClientState)

    after = lab.counters(healthy.name)
    assert state.provisioning_mode in (Known(False), Absent())
    assert after["requests"] - before["requests"] <= 10
    assert after["processes"] - before["processes"] == 1
    assert all(command.startswith("(if exist ") for command in after["commands"][len(before["commands"]) :])


@pytest.mark.parametrize(("shown", "words"), [("hidden", "is not shown it"), ("named", "does not tell this account")])
def test_a_service_that_the_account_is_not_shown_is_unknown(
    lab: LabProcess, healthy: Host, connect: Connect, shown: str, words: str
) -> None:
    session = connect(lab, healthy, read_only=True)
    lab.set_service(healthy.name, "CcmExec", shown=shown)
    try:
        answers = [read(session, ClientService), read(session, ServiceState, service="ccmexec")]
        state = read(session, ClientState)
    finally:
        lab.set_service(healthy.name, "CcmExec", shown="whole")

    assert state.service == answers[0]
    for answer in answers:
        assert (answer.cause, words in answer.detail) == ("access-denied", True)


def test_facts_change_nothing(lab: LabProcess, overdue: Host, connect: Connect) -> None:
    before = lab.mutations(overdue.name)
    session = connect(lab, overdue, read_only=True)

    for fact, arguments, _ in KNOWN:
        read(session, fact, **arguments)
    read(session, ClientState)

    assert lab.mutations(overdue.name) == before
