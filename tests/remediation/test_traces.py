"""What provmode left on a PC: what is found, what may go, and what stays whatever is asked."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from provmode.ccm import tcf
from provmode.ccm.client import TCF_PATHS
from provmode.errors import AccessDenied
from provmode.fleet.plan_file import step_schema
from provmode.lab.windows import cmd, configmgr
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC
from provmode.remediation.exit_guard import GUARD_COMMAND, GUARD_KEY, GUARD_VALUE
from provmode.remediation.lease import RENEW, Token, release, take
from provmode.remediation.steps import KINDS, DeleteTrace, DeleteUpload, EndLease, RemoveGuard, Step, step_from_json
from provmode.remediation.traces import PLACES, SAYS, Traces, look_for_traces, traces_command
from provmode.transport.write_gate import changes
from provmode.windows.conversation import Pause
from provmode.windows.files import READ_ONLY_LINES, sha256
from provmode.wsman import CommandLine, Completed, Enumerate, Instance, Invoke

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
FOLDER = "C:\\Windows\\ccmsetup"
TCF = f"{FOLDER}\\MobileClient.TCF"
ARMED = b"[Client Install]\r\nInstall=INSTALL=ALL SMSPROVISIONINGMODE=1 SMSSITECODE=PS1\r\n"
DEAD = "fedcba9876543210"
BACKUP = f"{TCF_PATHS[0]}.provmode-backup"
SECRET = b"a package with the password Canary-51c"
PLACE = f"%windir%\\System32\\config\\systemprofile\\provmode-{sha256(SECRET)}.ppkg"
UPLOAD = PLACE.replace("%windir%", "C:\\Windows")


class Windows:
    """A modelled PC that answers what a conversation asks; its RunOnce key has the guard or not."""

    def __init__(self) -> None:
        self.pc = PC("PC-1", Clock(START, lambda: 0.0))
        configmgr.install(self.pc, "5.00.9128.1007")
        self.pc.start_recording()
        self.guard: str | None = None
        self.shells = True
        self.sent: list[Any] = []
        self.answered: list[bytes] = []

    def put(self, path: str, data: bytes) -> None:
        self.pc.files.write(path, data, START)

    def lease(self, age: timedelta) -> str:
        name = f"{FOLDER}\\provmode-claim\\{Token(self.pc.now() - age, DEAD)}"
        self.answer(CommandLine(f'mkdir "{name}"'))
        return name

    def answer(self, asked: Any) -> Any:
        self.sent.append(asked)
        if isinstance(asked, CommandLine):
            running = cmd.start(self.pc, asked.line, codepage=65001)
            if asked.stdin is not None:
                running.feed(asked.stdin, end=True)
            out, err = running.read()
            assert running.exit_code is not None
            self.answered.append(out)
            return Completed(running.exit_code, out, err)
        if isinstance(asked, Pause):
            return self.pc.advance(asked.seconds)
        if isinstance(asked, Invoke):
            return self._registry(asked)
        assert isinstance(asked, Enumerate)
        now = self.pc.now().isoformat().replace("+00:00", "Z")
        return [Instance("XmlFragment", {"LocalDateTime": now, "CurrentTimeZone": "0", "CSName": "PC-1"})]

    def _registry(self, asked: Invoke) -> Instance:
        known = self.guard is not None
        if asked.method == "EnumValues":
            names = {"sNames": (GUARD_VALUE,), "Types": ("1",)} if known else {}
            return Instance("EnumValues_OUTPUT", {"ReturnValue": "0", **names})
        if asked.method == "DeleteValue":
            self.guard = None
            return Instance("DeleteValue_OUTPUT", {"ReturnValue": "0"})
        return Instance("GetStringValue_OUTPUT", {"ReturnValue": "0", "sValue": self.guard})

    def converse(self, talk: Generator[Any, Any, Any]) -> Any:
        try:
            asked = next(talk)
            while True:
                refused = isinstance(asked, CommandLine) and not self.shells
                asked = talk.throw(AccessDenied("shells are disabled")) if refused else talk.send(self.answer(asked))
        except StopIteration as stop:
            return stop.value


def execute(windows: Windows, step: Step) -> str:
    announced: list[Any] = []
    ending: str = windows.converse(step.execute(announced.append))
    assert len(announced) == (ending == "changed")
    return ending


@pytest.fixture
def windows() -> Windows:
    return Windows()


def one(traces: Traces, kind: str) -> Any:
    return next(trace for trace in traces.found if trace.kind == kind)


def test_a_pc_on_which_provmode_left_nothing_has_no_traces(windows: Windows) -> None:
    windows.put(TCF, ARMED)
    windows.put(f"{TCF}.old", ARMED)

    assert windows.converse(look_for_traces()) == Traces(())


def test_everything_that_provmode_left_is_found_without_changing_anything(windows: Windows) -> None:
    windows.put(TCF, tcf.disarm(ARMED))
    for extension in ("backup", "replaced", "0" * 32, "note"):
        windows.put(f"{TCF}.provmode-{extension}", ARMED)
    windows.put("C:\\Windows\\System32\\ccmsetup\\MobileClient.TCF.provmode-backup", ARMED)
    windows.put(UPLOAD, SECRET)
    windows.lease(timedelta(hours=2))
    windows.guard = GUARD_COMMAND
    windows.sent.clear()

    found = windows.converse(look_for_traces())

    assert {trace.kind for trace in found.found} == set(PLACES) == set(SAYS)
    assert len(found.found) == 8
    assert not [each for each in windows.sent if changes(each, read_only_lines=READ_ONLY_LINES)]
    assert not changes(traces_command())


def test_a_backup_that_may_be_the_only_copy_stays(windows: Windows) -> None:
    windows.put(f"{TCF}.provmode-backup", ARMED)
    for now_there in (tcf.disarm(ARMED), b"another file", None):
        if now_there is not None:
            windows.put(TCF, now_there)
        else:
            windows.pc.files.delete(TCF)

        found = windows.converse(look_for_traces())

        assert "only copy" in one(found, "backup").stays
        assert found.steps == ()


@pytest.mark.parametrize(
    ("now_there", "journaled"),
    [(tcf.disarm(ARMED), {sha256(ARMED)}), (None, {sha256(ARMED)}), (ARMED, set())],
    ids=["a journal has its bytes", "a journal has them and the file is gone", "the file has the same bytes"],
)
def test_a_backup_that_no_undo_needs_can_go(windows: Windows, now_there: bytes | None, journaled: set[str]) -> None:
    windows.put(f"{TCF}.provmode-backup", ARMED)
    if now_there is not None:
        windows.put(TCF, now_there)

    found = windows.converse(look_for_traces(journaled))

    assert found.steps == (DeleteTrace(BACKUP, sha256(ARMED)),)


def test_a_backup_that_an_undo_made_can_go_because_the_same_edit_makes_it_again(windows: Windows) -> None:
    windows.put(TCF, ARMED)
    windows.put(f"{TCF}.provmode-backup", tcf.disarm(ARMED))

    assert windows.converse(look_for_traces()).steps == (DeleteTrace(BACKUP, sha256(tcf.disarm(ARMED))),)


@pytest.mark.parametrize("age", [timedelta(0), timedelta(minutes=14), timedelta(minutes=-14)])
def test_nothing_is_removed_from_a_pc_with_a_live_lease(windows: Windows, age: timedelta) -> None:
    windows.lease(age)
    windows.guard = GUARD_COMMAND
    windows.put(f"{TCF}.provmode-{'0' * 32}", b"half")

    found = windows.converse(look_for_traces())

    assert found.steps == ()
    assert [trace.stays for trace in found.found] == [one(found, "lease").stays] * 3
    assert "a run is at work there" in one(found, "lease").stays


def test_a_lease_with_something_else_in_its_folder_stays(windows: Windows) -> None:
    windows.lease(timedelta(hours=2))
    windows.put(f"{FOLDER}\\provmode-claim\\note.txt", b"x")

    assert windows.converse(look_for_traces()).steps == ()


def test_an_old_lease_is_ended_by_the_run_that_takes_it_over(windows: Windows) -> None:
    old = windows.lease(timedelta(hours=2)).rpartition("\\")[2]
    (step,) = windows.converse(look_for_traces()).steps
    assert step == EndLease(old)

    with pytest.raises(Exception, match=f"still lease {old}"):
        execute(windows, step)
    token = windows.converse(take("0123456789abcdef"))
    assert execute(windows, step) == "changed"
    windows.converse(release(token))

    assert windows.converse(look_for_traces()) == Traces(())
    assert windows.pc.now() - START > timedelta(seconds=RENEW), "it was watched before it was taken over"


def test_the_lease_is_ended_last_and_the_others_are_removed_and_read_back(windows: Windows) -> None:
    windows.lease(timedelta(hours=2))
    windows.guard = GUARD_COMMAND
    windows.put(TCF, tcf.disarm(ARMED))
    windows.put(f"{TCF}.provmode-backup", ARMED)
    steps = windows.converse(look_for_traces({sha256(ARMED)})).steps

    assert [type(step) for step in steps] == [DeleteTrace, RemoveGuard, EndLease]
    assert [execute(windows, step) for step in steps[:2]] == ["changed", "changed"]
    assert [execute(windows, step) for step in steps[:2]] == ["already", "already"]
    assert [trace.kind for trace in windows.converse(look_for_traces()).found] == ["lease"]
    assert windows.pc.files.read(TCF) == tcf.disarm(ARMED)


def test_a_trace_that_changed_since_the_plan_is_left_as_it_is(windows: Windows) -> None:
    windows.put(f"{TCF}.provmode-backup", b"another")

    with pytest.raises(Exception, match="is another file, not what it was"):
        execute(windows, DeleteTrace(BACKUP, sha256(ARMED)))

    assert windows.pc.files.read(f"{TCF}.provmode-backup") == b"another"


def test_where_no_shell_is_allowed_the_guard_is_found_and_the_rest_could_not_be_told(windows: Windows) -> None:
    windows.guard, windows.shells = GUARD_COMMAND, False

    found = windows.converse(look_for_traces())

    assert [trace.kind for trace in found.found] == ["exit-guard"]
    assert found.unread == ("files: shells are disabled",)


@pytest.mark.parametrize(
    "path",
    [
        "C:\\Windows\\win.ini",
        "%windir%\\ccmsetup\\MobileClient.TCF",
        "%windir%\\ccmsetup\\MobileClient.TCF.provmode-backup\\..\\..\\win.ini",
        "%windir%\\ccmsetup\\MobileClient.TCF.provmode-backup.exe",
        "%windir%\\ccmsetup\\ccmsetup.exe.provmode-backup",
    ],
)
def test_a_plan_cannot_name_another_file_as_a_trace(path: str) -> None:
    fields = KINDS["trace-file"].plan_fields
    assert fields is not None

    assert fields["path"].accepts(BACKUP)
    assert not fields["path"].accepts(path)
    assert any(row["properties"]["kind"] == {"const": "trace-file"} for row in step_schema()["oneOf"])


def test_a_package_that_was_left_on_the_pc_is_deleted_and_its_bytes_are_read_by_nobody(windows: Windows) -> None:
    half = f"{UPLOAD}.provmode-{'0' * 32}"
    for path in (UPLOAD, half, UPLOAD.replace(".ppkg", ".CER")):
        windows.put(path, SECRET)
    windows.sent.clear()

    steps = windows.converse(look_for_traces()).steps

    assert DeleteUpload(PLACE, sha256(SECRET)) in steps
    announced: list[Any] = []
    for step in steps:
        assert step_from_json(step.to_json()) == step
        assert windows.converse(step.execute(announced.append)) == "changed"
        assert windows.converse(step.execute(announced.append)) == "already"
    assert announced == [None] * 3, "a journal would keep the secrets"
    assert b"Canary" not in b"".join(windows.answered)
    assert windows.converse(look_for_traces()) == Traces(())


def test_another_file_than_the_one_that_was_seen_is_not_deleted(windows: Windows) -> None:
    windows.put(UPLOAD, b"another")

    with pytest.raises(Exception, match="is another file, not what it was"):
        execute(windows, DeleteUpload(PLACE, sha256(SECRET)))
    assert windows.pc.files.read(UPLOAD) == b"another"


def test_a_file_there_that_provmode_did_not_name_stays(windows: Windows) -> None:
    windows.put(f"{UPLOAD}.old", SECRET)

    (trace,) = windows.converse(look_for_traces()).found

    assert (trace.kind, trace.stays, trace.step) == ("upload", "look at it on the PC", None)
    fields = KINDS["trace-upload"].plan_fields
    assert fields is not None
    assert fields["path"].accepts(PLACE)
    for path in (UPLOAD, f"{PLACE}.old", PLACE.replace("provmode-", ""), f"{PLACE}\\..\\x", "%windir%\\win.ini"):
        assert not fields["path"].accepts(path)


@pytest.mark.parametrize("step", [DeleteTrace(BACKUP, "0" * 64), RemoveGuard(GUARD_COMMAND), EndLease("")])
def test_what_a_removal_undoes_is_what_was_there(step: Step) -> None:
    assert step_from_json(step.to_json()) == step
    undo = step.undo
    if isinstance(step, DeleteTrace):
        assert undo is not None
        assert undo.to_json() == {
            **{"kind": "file", "path": BACKUP, "before": None, "after": "0" * 64},
            **{"diff": [], "backup": "provmode-backup"},
        }
    elif isinstance(step, RemoveGuard):
        assert undo is not None
        assert str(undo.properties[0]).startswith(f"{GUARD_KEY}\\{GUARD_VALUE} absent -> REG_SZ")
    else:
        assert undo is None


def test_only_steps_that_remove_traces_are_about_them() -> None:
    assert {kind for kind, step in KINDS.items() if step.about == "traces"} == {
        "trace-file",
        "trace-guard",
        "trace-lease",
        "trace-upload",
    }
