"""Carrying out a step with scripted answers: stale, not proved, lost answers, pending services, return codes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import pytest

from provmode.ccm.codes import SERVICE_RETURN
from provmode.errors import AccessDenied, AnswerLost, HostError, RemoteFault
from provmode.remediation.decide import disarm
from provmode.remediation.execute import ALREADY, CHANGED, PAUSES, NotProved, StaleStep, execute
from provmode.remediation.steps import (
    RequestPolicy,
    SetFile,
    SetMode,
    SetRegistryKey,
    SetRegistryValue,
    SetServiceDependencies,
    SetServiceState,
    SetStartMode,
    Step,
)
from provmode.windows.conversation import Pause
from provmode.windows.files import sha256
from provmode.windows.registry import RegistryData, ValueType
from provmode.windows.scripts import READ_BYTES, REMOVE_FILE, SWAP_BYTES
from provmode.wsman import CommandLine, Completed, Enumerate, Get, Instance, Invoke

Drive = Callable[..., Any]
KEY = "HKLM\\SOFTWARE\\X"
OLD, NEW = RegistryData(ValueType.REG_SZ, "old"), RegistryData(ValueType.REG_SZ, "new")
STEP = SetRegistryValue(KEY, "v", OLD, NEW)
LOST = AnswerLost("the connection broke")
DENIED = AccessDenied("access denied")


def answer(**properties: Any) -> Instance:
    """Return a method's answer; values arrive as text."""
    return Instance("X_OUTPUT", properties)


DONE = answer(ReturnValue="0")
TYPES = answer(ReturnValue="0", sNames="v", Types="1")
NO_KEY = answer(ReturnValue="2")


def holds(data: str) -> tuple[Instance, Instance]:
    """Return the two answers for a value that contains text."""
    return TYPES, answer(ReturnValue="0", sValue=data)


# -- registry -------------------------------------------------------------------------------------------------------


def test_a_value_is_read_changed_and_read_back(drive: Drive) -> None:
    assert drive(execute(STEP), *holds("old"), DONE, *holds("new")) == CHANGED


def test_a_value_that_is_already_as_wanted_is_not_sent(drive: Drive) -> None:
    assert drive(execute(STEP), *holds("new")) == ALREADY


def test_a_value_that_somebody_changed_is_stale_and_nothing_is_sent(drive: Drive) -> None:
    with pytest.raises(StaleStep, match=r"X\\v is REG_SZ 'other', not REG_SZ 'old' as it was; look again"):
        drive(execute(STEP), *holds("other"))
    with pytest.raises(StaleStep, match="is absent, not REG_SZ 'old'"):
        drive(execute(STEP), NO_KEY)


def test_a_value_that_is_not_as_wanted_after_the_change_is_not_proved(drive: Drive) -> None:
    with pytest.raises(NotProved, match="is REG_SZ 'old' after the change, not REG_SZ 'new'"):
        drive(execute(STEP), *holds("old"), DONE, *holds("old"))


def test_a_change_whose_answer_was_lost_is_read_back(drive: Drive) -> None:
    assert drive(execute(STEP), *holds("old"), LOST, *holds("new")) == CHANGED
    with pytest.raises(NotProved):
        drive(execute(STEP), *holds("old"), LOST, *holds("old"))


def test_a_new_value_has_its_key_created_first(drive: Drive) -> None:
    assert drive(execute(SetRegistryValue(KEY, "v", None, NEW)), NO_KEY, DONE, DONE, *holds("new")) == CHANGED


def test_a_value_is_deleted(drive: Drive) -> None:
    step = SetRegistryValue(KEY, "v", OLD, None)

    assert drive(execute(step), *holds("old"), DONE, answer(ReturnValue="0")) == CHANGED
    assert drive(execute(step), NO_KEY) == ALREADY


@pytest.mark.parametrize(
    ("code", "message"),
    [("5", "access denied"), ("2", "there is no such key or value"), ("6", "StdRegProv answered 0x6")],
)
def test_a_value_that_the_pc_refuses_is_not_changed(drive: Drive, code: str, message: str) -> None:
    with pytest.raises(HostError, match=f"{message}.*it was not changed"):
        drive(execute(STEP), *holds("old"), answer(ReturnValue=code))


def test_a_value_that_cannot_be_read_is_not_changed(drive: Drive) -> None:
    with pytest.raises(HostError, match="cannot be read: access denied; look at the account's rights"):
        drive(execute(STEP), DENIED)


def test_a_refusal_of_the_pc_is_raised(drive: Drive) -> None:
    with pytest.raises(AccessDenied):
        drive(execute(STEP), *holds("old"), DENIED)


@pytest.mark.parametrize("present", [True, False])
def test_a_key_is_read_changed_and_read_back(drive: Drive, present: bool) -> None:
    step = SetRegistryKey(KEY, present)
    exists, missing = answer(ReturnValue="0"), NO_KEY
    before, after = (missing, exists) if present else (exists, missing)

    assert drive(execute(step), before, DONE, after) == CHANGED
    assert drive(execute(step), after) == ALREADY
    assert drive(execute(step), before, LOST, after) == CHANGED
    words = "absent after the change, not present" if present else "present after the change, not absent"
    with pytest.raises(NotProved, match=rf"X is {words}"):
        drive(execute(step), before, DONE, before)
    with pytest.raises(HostError, match="cannot be read"):
        drive(execute(step), DENIED)


# -- services -------------------------------------------------------------------------------------------------------


def found(state: str = "Running", start_mode: str = "Auto") -> list[Instance]:
    """Return the answer to a query for a service."""
    return [Instance("XmlFragment", {"Name": "X", "State": state, "StartMode": start_mode})]


def test_a_start_mode_is_read_changed_and_read_back(drive: Drive) -> None:
    step = SetStartMode("X", "Auto", "Manual")
    manual = found(start_mode="Manual")

    assert drive(execute(step), found(), DONE, manual) == CHANGED
    assert drive(execute(step), found(), LOST, manual) == CHANGED
    assert drive(execute(step), manual) == ALREADY
    with pytest.raises(StaleStep, match="X start mode is Disabled, not Auto as it was"):
        drive(execute(step), found(start_mode="Disabled"))
    with pytest.raises(NotProved, match="X start mode is Auto after the change, not Manual"):
        drive(execute(step), found(), DONE, found())
    with pytest.raises(HostError, match="there is no service X"):
        drive(execute(step), [], answer(ReturnValue="2"))
    with pytest.raises(HostError, match="service X cannot be read: service X is not shown"):
        drive(execute(step), [], answer(ReturnValue="5"))


def names(*services: str) -> Any:
    """Return the answer to a question for what a service depends on."""
    return answer(ReturnValue="0", sValue=services) if services else answer(ReturnValue="1")


def test_dependencies_are_read_changed_and_read_back(drive: Drive) -> None:
    step = SetServiceDependencies("X", ("CcmExec",), ("Winmgmt", "RpcSs"))
    before, after = names("ccmexec"), names("RpcSs", "winmgmt")

    assert drive(execute(step), before, DONE, after) == CHANGED
    assert drive(execute(step), before, LOST, after) == CHANGED
    assert drive(execute(step), after) == ALREADY
    assert drive(execute(SetServiceDependencies("X", ("A",), ())), names("A"), DONE, names()) == CHANGED
    assert step.undo == SetServiceDependencies("X", ("Winmgmt", "RpcSs"), ("CcmExec",))
    with pytest.raises(StaleStep, match="what X depends on is nothing, not CcmExec as it was"):
        drive(execute(step), names())
    with pytest.raises(NotProved, match="what X depends on is ccmexec after the change, not Winmgmt, RpcSs"):
        drive(execute(step), before, DONE, before)
    with pytest.raises(HostError, match="what service X depends on cannot be read"):
        drive(execute(step), answer(ReturnValue="5"))


@pytest.mark.parametrize(("code", "word"), [item for item in SERVICE_RETURN.items() if item[0] not in (0, 10)])
def test_a_return_code_is_reported_in_words(drive: Drive, code: int, word: str) -> None:
    step = SetServiceState("X", "Stopped", "Running")

    with pytest.raises(HostError, match=rf"start of X: the PC answered {word} \({code}\)"):
        drive(execute(step), found("Stopped"), answer(ReturnValue=str(code)))


@pytest.mark.parametrize(
    ("properties", "message"),
    [({"ReturnValue": "99"}, r"unknown \(99\) \(99\)|unknown \(99\)"), ({}, "answered nothing")],
)
def test_an_unknown_return_code_is_reported_as_it_is(drive: Drive, properties: dict[str, str], message: str) -> None:
    with pytest.raises(HostError, match=message):
        drive(execute(SetStartMode("X", "Auto", "Manual")), found(), answer(**properties))


def test_a_pending_service_is_waited_for(drive: Drive) -> None:
    step = SetServiceState("X", "Stopped", "Running")
    pending = found("Start Pending")

    assert drive(execute(step), found("Stopped"), DONE, pending, None, pending, None, found()) == CHANGED


def test_a_stop_is_waited_for_and_a_service_that_is_stopping_already_is_not_a_failure(drive: Drive) -> None:
    step = SetServiceState("X", "Running", "Stopped")
    pending = found("Stop Pending")

    assert drive(execute(step), found(), DONE, pending, None, found("Stopped")) == CHANGED
    for code in ("5", "6"):
        assert drive(execute(step), pending, answer(ReturnValue=code), pending, None, found("Stopped")) == CHANGED
    assert drive(execute(step), found("Stopped")) == ALREADY


def test_a_restart_stops_waits_and_starts(drive: Drive) -> None:
    step = SetServiceState("X", "Running", "Restarted")

    assert drive(execute(step), found(), DONE, found("Stopped"), DONE, found()) == CHANGED
    assert drive(execute(step), found("Stopped"), DONE, found()) == CHANGED
    assert drive(execute(step), found(), LOST, found("Stopped"), answer(ReturnValue="10"), found()) == CHANGED


def test_a_service_that_never_runs_is_not_proved_after_two_minutes(drive: Drive) -> None:
    step = SetServiceState("X", "Stopped", "Running")
    looks = [item for _ in PAUSES for item in (found("Start Pending"), None)]

    with pytest.raises(NotProved, match="X state is Start Pending after the change, not Running"):
        drive(execute(step), found("Stopped"), DONE, *looks, found("Start Pending"))
    assert 100 <= sum(PAUSES) <= 150


# -- files ----------------------------------------------------------------------------------------------------------


def script(**document: Any) -> Completed:
    """Return the output of a script."""
    return Completed(0, json.dumps(document).encode())


def reads(data: bytes | None) -> Completed:
    """Return the output of the script that reads a file."""
    if data is None:
        return script(exists=False)
    return script(exists=True, size=len(data), sha256=sha256(data), base64=base64.b64encode(data).decode())


def swapped(data: bytes) -> Completed:
    """Return the output of the script that swaps a file."""
    return script(result="swapped", after=sha256(data), backup="x.provmode-backup")


FILE = SetFile("C:\\x", sha256(b"old"), sha256(b"new"))
CREATE = SetFile("C:\\x", None, sha256(b"new"))
REMOVE = SetFile("C:\\x", sha256(b"old"), None)


def test_a_file_is_read_swapped_and_checked_by_its_hash(drive: Drive) -> None:
    assert drive(execute(FILE, data=b"new"), reads(b"old"), swapped(b"new")) == CHANGED
    assert drive(execute(FILE, data=b"new"), reads(b"new")) == ALREADY
    assert drive(execute(CREATE, data=b"new"), reads(None), swapped(b"new")) == CHANGED


def test_a_file_that_somebody_changed_is_stale(drive: Drive) -> None:
    for there in (b"newer", None):
        with pytest.raises(StaleStep, match="not what it was"):
            drive(execute(FILE, data=b"new"), reads(there))
    with pytest.raises(StaleStep):
        drive(execute(CREATE, data=b"new"), reads(b"somebody's"))
    with pytest.raises(StaleStep, match="is another file, not what it was a moment ago"):
        drive(execute(FILE, data=b"new"), reads(b"old"), script(result="stale"), reads(b"newer"))


def test_a_lost_answer_of_a_swap_is_read_back_by_hash(drive: Drive) -> None:
    assert drive(execute(FILE, data=b"new"), reads(b"old"), LOST, reads(b"new")) == CHANGED
    for there in (b"old", b"newer", None):
        with pytest.raises(NotProved, match="after the change, not what was written"):
            drive(execute(FILE, data=b"new"), reads(b"old"), LOST, reads(there))


@pytest.mark.parametrize("data", [None, b"other"])
def test_bytes_that_are_not_those_of_the_step_are_never_written(drive: Drive, data: bytes | None) -> None:
    with pytest.raises(HostError, match="the bytes to write are not those of the step"):
        drive(execute(FILE, data=data))


def test_a_file_is_moved_away_and_that_is_read_back(drive: Drive) -> None:
    removed = script(result="removed", backup="C:\\x.provmode-backup")

    assert drive(execute(REMOVE), reads(b"old"), removed, reads(None)) == CHANGED
    assert drive(execute(REMOVE), reads(b"old"), LOST, reads(None)) == CHANGED
    assert drive(execute(REMOVE), reads(None)) == ALREADY
    with pytest.raises(NotProved, match="is a file after the change, not absent"):
        drive(execute(REMOVE), reads(b"old"), removed, reads(b"again"))
    with pytest.raises(StaleStep):
        drive(execute(REMOVE), reads(b"newer"))


def test_the_three_scripts_get_path_hash_and_bytes_on_standard_input() -> None:
    asked = list(questions_of(execute(FILE, data=b"new"), reads(b"old"), swapped(b"new")))
    asked += list(questions_of(execute(REMOVE), reads(b"old"), script(result="removed"), reads(None)))

    assert [line.line for line in asked] == [READ_BYTES, SWAP_BYTES, READ_BYTES, REMOVE_FILE, READ_BYTES]
    assert json.loads(asked[1].stdin or b"") == {
        **{"path": "C:\\x", "expected": FILE.before, "base64": "bmV3", "backup": "provmode-backup"}
    }
    assert json.loads(asked[3].stdin or b"") == {
        **{"path": "C:\\x", "expected": REMOVE.before, "backup": "provmode-backup"}
    }


def questions_of(conversation: Generator[Any, Any, Any], *answers: Any) -> Generator[CommandLine, None, None]:
    """Yield the questions of a conversation, and give it the answers one by one."""
    asked = next(conversation)
    for given in answers:
        yield asked
        try:
            asked = conversation.send(given)
        except StopIteration:
            return


ARMED = b"[Client Install]\r\nInstall=INSTALL=ALL SMSPROVISIONINGMODE=1\r\n"


def test_an_armed_file_is_disarmed_from_its_own_bytes(drive: Drive) -> None:
    step = disarm("C:\\t", ARMED)
    disarmed = ARMED.replace(b" SMSPROVISIONINGMODE=1", b"")
    announced: list[Any] = []

    assert drive(execute(step, announce=announced.append), reads(ARMED), swapped(disarmed)) == CHANGED
    assert announced == [ARMED]
    assert drive(execute(step), reads(disarmed)) == ALREADY
    for there in (ARMED + b"; more", None):
        with pytest.raises(StaleStep):
            drive(execute(step), reads(there))


# -- the announcement -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "data", "looks", "previous"),
    [
        (STEP, None, holds("old"), None),
        (SetRegistryKey(KEY, True), None, (NO_KEY,), None),
        (SetStartMode("X", "Auto", "Manual"), None, (found(),), None),
        (SetServiceState("X", "Running", "Stopped"), None, (found(),), None),
        (FILE, b"new", (reads(b"old"),), b"old"),
        (CREATE, b"new", (reads(None),), None),
        (REMOVE, None, (reads(b"old"),), b"old"),
        (disarm("C:\\t", ARMED), None, (reads(ARMED),), ARMED),
        (RequestPolicy(), None, (), None),
    ],
    ids=lambda item: getattr(item, "kind", ""),
)
def test_nothing_is_changed_if_the_journal_cannot_be_written(
    drive: Drive, step: Step, data: bytes | None, looks: tuple[Any, ...], previous: bytes | None
) -> None:
    announced: list[Any] = []

    def full(data_before: Any) -> None:
        announced.append(data_before)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        drive(execute(step, announce=full, data=data), *looks)

    assert announced == [previous]


# -- the client -----------------------------------------------------------------------------------------------------


@dataclass
class Client:
    """A client that restarts after its method was called; each pause brings it nearer to running again."""

    mode: bool
    excludes: str
    busy: int = 0
    """How many pauses it stays away after the method was called."""
    lose: bool = False
    """Whether the method's answer is lost."""
    deaf: bool = False
    """Whether the method does nothing."""
    code: str | None = None
    unavailable: int = 0
    """How many calls of methods find the service restarting."""
    called: list[str] = field(default_factory=list)
    waited: float = 0.0
    away: int = 0

    def respond(self, asked: Any) -> Any:
        """Return the answer, or the error that is thrown in."""
        if isinstance(asked, Pause):
            self.waited += asked.seconds
            self.away = max(0, self.away - 1)
            return None
        if isinstance(asked, Enumerate):
            return found("Start Pending" if self.away else "Running")
        if isinstance(asked, Get):
            return RemoteFault("starting", code=1, kind="unavailable") if self.away else answer(ClientVersion="5.00")
        assert isinstance(asked, Invoke)
        parameters = dict(asked.parameters)
        if asked.method == "GetStringValue":
            if parameters["sValueName"] == "ProvisioningMode":
                return answer(ReturnValue="0", sValue=str(self.mode).lower())
            return answer(ReturnValue="0", sValue=self.excludes)
        return self.call(asked.method, str(asked.parameters[0][1]))

    def call(self, method: str, argument: str) -> Any:
        """Carry out a method of the client."""
        if self.unavailable:
            self.unavailable -= 1
            return RemoteFault("shutting down", code=1, kind="unavailable")
        self.called.append(f"{method}({argument})")
        if method == "SetClientProvisioningMode" and not self.deaf and self.code is None:
            self.mode, self.excludes = argument == "true", "Scheduler" if argument == "true" else ""
            self.away = self.busy
        if self.lose:
            self.lose = False
            return AnswerLost("the connection broke")
        return answer(**({} if self.code is None else {"ReturnValue": self.code}))

    def converse(self, step: Step) -> Any:
        """Answer a whole conversation."""
        conversation = execute(step)
        given: Any = None
        try:
            while True:
                asked = conversation.throw(given) if isinstance(given, Exception) else conversation.send(given)
                given = self.respond(asked)
        except StopIteration as stop:
            return stop.value


LEAVE, ENTER = SetMode(False, "true"), SetMode(True, "false")


@pytest.mark.parametrize(("step", "called"), [(LEAVE, "false"), (ENTER, "true")])
def test_the_mode_is_set_once_and_waited_for(step: SetMode, called: str) -> None:
    client = Client(not step.enabled, "" if step.enabled else "Scheduler", busy=3)

    assert client.converse(step) == CHANGED
    assert client.called == [f"SetClientProvisioningMode({called})"]
    assert client.waited == sum(PAUSES[:3])
    assert client.converse(step) == ALREADY
    assert len(client.called) == 1


def test_a_half_exited_client_is_taken_out_by_its_method() -> None:
    client = Client(False, "Scheduler")

    assert client.converse(SetMode(False, "half-exited")) == CHANGED
    assert client.excludes == ""


def test_a_restarting_service_is_waited_for_and_called_again() -> None:
    client = Client(True, "Scheduler", unavailable=2)

    assert client.converse(LEAVE) == CHANGED
    assert client.called == ["SetClientProvisioningMode(false)"]
    assert client.waited == sum(PAUSES[:2])


def test_a_method_whose_answer_was_lost_is_read_back_and_not_called_again() -> None:
    client = Client(True, "Scheduler", lose=True, busy=1)

    assert client.converse(LEAVE) == CHANGED
    assert client.called == ["SetClientProvisioningMode(false)"]


def test_a_method_that_does_nothing_is_not_proved() -> None:
    with pytest.raises(NotProved, match="ProvisioningMode is true, tasks excluded after the change, not false"):
        Client(True, "Scheduler", deaf=True).converse(LEAVE)


def test_a_client_that_never_answers_again_is_not_proved() -> None:
    client = Client(True, "Scheduler", busy=999)

    with pytest.raises(NotProved, match=r"is false, and the client does not answer \(CcmExec Start Pending\)"):
        client.converse(LEAVE)
    assert client.waited == sum(PAUSES)


def test_the_error_of_a_service_that_never_comes_back_is_raised() -> None:
    with pytest.raises(RemoteFault, match="shutting down"):
        Client(True, "Scheduler", unavailable=999).converse(LEAVE)


def test_an_error_code_of_the_client_is_reported() -> None:
    client = Client(True, "Scheduler", code="2147500037")

    with pytest.raises(HostError, match=r"the client answered 0x80004005; look at SmsClientMethodProvider\.log"):
        client.converse(LEAVE)


def test_a_mode_that_cannot_be_read_is_not_set(drive: Drive) -> None:
    with pytest.raises(HostError, match="the mode cannot be read: access denied"):
        drive(execute(LEAVE), DENIED, answer(ReturnValue="0", sValue=""))


def test_policy_is_requested_and_then_evaluated() -> None:
    client = Client(False, "", unavailable=1)

    assert client.converse(RequestPolicy()) == CHANGED
    assert client.called == [
        "TriggerSchedule({00000000-0000-0000-0000-000000000021})",
        "TriggerSchedule({00000000-0000-0000-0000-000000000022})",
    ]
