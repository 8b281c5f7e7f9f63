"""Steps on files: which file is replaced by which bytes, when none is, and what it says if the PC does not do it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any

import pytest

from provmode.ccm.client import TCF_PATHS
from provmode.ccm.model import ClientReadings, TcfFile
from provmode.errors import AccessDenied, AnswerLost
from provmode.reading import Known, Unknown
from provmode.remediation.decide import disarm
from provmode.remediation.execute import ALREADY, CHANGED, execute
from provmode.remediation.steps import DisarmTcf, SetFile, Step, step_from_json
from provmode.wsman import Completed

Converse = Callable[..., Any]
LOST, DENIED = AnswerLost("the connection broke"), AccessDenied("access denied")
PATH = "C:\\x.ini"
ARMED = b"[Client Install]\r\nSMSPROVISIONINGMODE=1\r\nInstall=INSTALL=ALL\r\n"
DISARMED = b"[Client Install]\r\nInstall=INSTALL=ALL\r\n"
LARGE = b"x" * (1024 * 1024 + 1)


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


OLD, NEW = digest(b"old"), digest(b"new")
DIFF = (f"--- {PATH}", f"+++ {PATH}", "@@ -1,2 +3 @@", "-old", " same", "+new")
BACK = (f"--- {PATH}", f"+++ {PATH}", "@@ -3 +1,2 @@", "+old", " same", "-new")
CHANGE, MAKE, REMOVE = SetFile(PATH, OLD, NEW, DIFF), SetFile(PATH, None, NEW), SetFile(PATH, OLD, None)
DISARM = disarm(PATH, ARMED)


def script(**document: Any) -> Completed:
    return Completed(0, json.dumps(document).encode())


def reads(data: bytes | None) -> Completed:
    if data is None:
        return script(exists=False)
    chunk = base64.b64encode(data[: 192 * 1024]).decode()
    return script(exists=True, size=len(data), sha256=digest(data), base64=chunk)


def swapped(data: bytes) -> Completed:
    return script(result="swapped", after=digest(data), backup=f"{PATH}.provmode-backup")


STALE, REMOVED = script(result="stale"), script(result="removed", backup=f"{PATH}.kept")


def call(name: str, **parameters: Any) -> str:
    return f"{name} {json.dumps({'path': PATH, **parameters})}"


READ, HASH = call("READ_BYTES", offset=0, count=192 * 1024), call("READ_BYTES", offset=0, count=0)


def swap(data: bytes, expected: str, backup: str = "provmode-backup") -> str:
    return call("SWAP_BYTES", expected=expected, base64=base64.b64encode(data).decode(), backup=backup)


@pytest.mark.parametrize(
    ("step", "data", "answers", "asked", "previous"),
    [
        (CHANGE, b"new", (reads(b"old"), swapped(b"new")), [READ, swap(b"new", OLD)], b"old"),
        (CHANGE, b"new", (reads(b"old"), LOST, reads(b"new")), [READ, swap(b"new", OLD), HASH], b"old"),
        (MAKE, b"new", (reads(None), swapped(b"new")), [HASH, swap(b"new", "")], None),
        (
            SetFile(PATH, OLD, NEW, backup="kept"),
            b"new",
            (reads(b"old"), swapped(b"new")),
            [READ, swap(b"new", OLD, "kept")],
            b"old",
        ),
        (
            REMOVE,
            None,
            (reads(b"old"), REMOVED, reads(None)),
            [READ, call("REMOVE_FILE", expected=OLD, backup="provmode-backup"), HASH],
            b"old",
        ),
        (
            SetFile(PATH, OLD, None, backup="kept"),
            b"not written",
            (reads(b"old"), LOST, reads(None)),
            [READ, call("REMOVE_FILE", expected=OLD, backup="kept"), HASH],
            b"old",
        ),
        (DISARM, None, (reads(ARMED), swapped(DISARMED)), [READ, swap(DISARMED, digest(ARMED))], ARMED),
        (DISARM, None, (reads(ARMED), LOST, reads(DISARMED)), [READ, swap(DISARMED, digest(ARMED)), HASH], ARMED),
    ],
)
def test_only_the_file_that_was_seen_is_replaced_and_its_bytes_are_announced(
    converse: Converse, step: Step, data: bytes | None, answers: Any, asked: list[str], previous: bytes | None
) -> None:
    announced: list[Any] = []

    talk = converse(execute(step, announce=announced.append, data=data), *answers)

    assert (talk.end, talk.asked, announced) == (CHANGED, asked, [previous])


@pytest.mark.parametrize(
    ("step", "data", "there"),
    [
        (CHANGE, b"new", b"new"),
        (MAKE, b"new", b"new"),
        (REMOVE, None, None),
        (SetFile(PATH, None, None), None, None),
        (DISARM, None, DISARMED),
    ],
)
def test_a_file_that_is_already_as_wanted_is_not_written(
    converse: Converse, step: Step, data: bytes | None, there: bytes | None
) -> None:
    announced: list[Any] = []

    assert converse(execute(step, announce=announced.append, data=data), reads(there)).end == ALREADY
    assert announced == []


ANEW, TRY = "; look again and plan anew", "; look at the PC, then try again"
OTHER = f"StaleStep: {PATH} is another file, not what it was as it was{ANEW}"
ABSENT = f"StaleStep: {PATH} is absent, not what it was as it was{ANEW}"
OTHER_NOW = f"StaleStep: {PATH} is another file, not what it was a moment ago as it was{ANEW}"
OVERTAKEN = f"OvertakenStep: {PATH} was changed as planned in between; look again"
NOT_ITS_BYTES = f"HostError: {PATH}: the bytes to write are not those of the step; plan anew"


@pytest.mark.parametrize(
    ("step", "data", "answers", "says"),
    [
        (CHANGE, None, (), NOT_ITS_BYTES),
        (CHANGE, b"other", (), NOT_ITS_BYTES),
        (CHANGE, b"new", (reads(b"newer"),), OTHER),
        (CHANGE, b"new", (reads(None),), ABSENT),
        (MAKE, b"new", (reads(b"somebody's"),), OTHER),
        (REMOVE, None, (reads(b"newer"),), OTHER),
        (DISARM, None, (reads(ARMED + b";"),), OTHER),
        (DISARM, None, (reads(None),), ABSENT),
        (
            DISARM,
            None,
            (reads(LARGE),),
            f"StaleStep: {PATH} is another file, too large to be one, not what it was as it was{ANEW}",
        ),
        (
            DisarmTcf(PATH, digest(ARMED), NEW, "ANSI", ()),
            None,
            (reads(ARMED),),
            f"StaleStep: {PATH} is edited otherwise by this version of provmode, not edited as planned as it was{ANEW}",
        ),
        (CHANGE, b"new", (reads(b"old"), STALE, reads(b"newer")), OTHER_NOW),
        (CHANGE, b"new", (reads(b"old"), STALE, reads(None)), OTHER_NOW),
        (CHANGE, b"new", (reads(b"old"), STALE, reads(b"new")), OVERTAKEN),
        (DISARM, None, (reads(ARMED), STALE, reads(DISARMED)), OVERTAKEN),
        (REMOVE, None, (reads(b"old"), STALE), OTHER_NOW),
        (
            CHANGE,
            b"new",
            (reads(b"old"), LOST, reads(b"old")),
            f"NotProved: {PATH} is what it was before after the change, not what was written{TRY}",
        ),
        (
            CHANGE,
            b"new",
            (reads(b"old"), LOST, reads(b"newer")),
            f"NotProved: {PATH} is another file after the change, not what was written{TRY}",
        ),
        (
            CHANGE,
            b"new",
            (reads(b"old"), LOST, reads(None)),
            f"NotProved: {PATH} is absent after the change, not what was written{TRY}",
        ),
        (
            REMOVE,
            None,
            (reads(b"old"), LOST, reads(b"old")),
            f"NotProved: {PATH} is a file after the change, not absent{TRY}",
        ),
        (CHANGE, b"new", (reads(b"old"), DENIED), "AccessDenied: access denied"),
    ],
)
def test_what_is_not_written_is_said_in_one_line(
    converse: Converse, step: Step, data: bytes | None, answers: Any, says: str
) -> None:
    assert converse(execute(step, data=data), *answers).end == says


@pytest.mark.parametrize("size", [1024 * 1024, 1024 * 1024 + 1])
def test_a_file_of_over_a_megabyte_is_no_tcf_and_is_not_read(converse: Converse, size: int) -> None:
    data = b"x" * size
    chunks = [data[at : at + 192 * 1024] for at in range(0, size, 192 * 1024)]
    answers = [
        script(exists=True, size=size, sha256=digest(data), base64=base64.b64encode(chunk).decode()) for chunk in chunks
    ]

    talk = converse(execute(DISARM), *(answers if size == 1024 * 1024 else answers[:1]))

    assert ("too large" in talk.end) is (size > 1024 * 1024)


@pytest.mark.parametrize(
    ("step", "document"),
    [
        (
            CHANGE,
            {
                **{"kind": "file", "path": PATH, "before": OLD, "after": NEW},
                **{"diff": list(DIFF), "backup": "provmode-backup"},
            },
        ),
        (
            DISARM,
            {
                **{"kind": "tcf", "path": PATH, "before": digest(ARMED), "after": digest(DISARMED), "encoding": "ANSI"},
                "diff": [
                    *(f"--- {PATH}", f"+++ {PATH}", "@@ -1,3 +1,2 @@", " [Client Install]"),
                    *("-SMSPROVISIONINGMODE=1", " Install=INSTALL=ALL"),
                ],
            },
        ),
    ],
)
def test_a_step_on_a_file_is_kept_as_json(step: Step, document: dict[str, Any]) -> None:
    assert step.to_json() == document
    assert step_from_json(document) == step


def test_a_file_step_of_a_journal_without_a_diff_is_read() -> None:
    assert step_from_json({"kind": "file", "path": PATH, "before": OLD, "after": None}) == REMOVE


def test_a_change_is_shown_by_the_beginning_of_both_hashes_or_by_its_entry() -> None:
    steps: tuple[Step, ...] = (CHANGE, MAKE, REMOVE, DISARM)

    assert [str(item) for step in steps for item in step.properties] == [
        f"{PATH} SHA-256 {OLD[:12]} -> SHA-256 {NEW[:12]}",
        f"{PATH} absent -> SHA-256 {NEW[:12]}",
        f"{PATH} SHA-256 {OLD[:12]} -> absent",
        f"{PATH} SMSPROVISIONINGMODE 1 -> absent",
    ]
    assert {step.in_words for step in steps} == {"compare-and-swap by the static script, the old file kept beside it"}
    assert [step.operations for step in steps] == [(), (), (), ()]
    assert (CHANGE.text_diff(), CHANGE.diff_encoding(), MAKE.text_diff()) == (DIFF, "", ())
    assert (DISARM.text_diff(), DISARM.diff_encoding()) == (DISARM.diff, "ANSI")


def test_the_undo_of_a_change_writes_the_old_bytes_and_shows_the_opposite_diff() -> None:
    assert CHANGE.undo == SetFile(PATH, NEW, OLD, BACK)
    assert REMOVE.undo == SetFile(PATH, None, OLD)
    assert DISARM.undo == SetFile(
        PATH,
        digest(DISARMED),
        digest(ARMED),
        (
            *(f"--- {PATH}", f"+++ {PATH}", "@@ -1,2 +1,3 @@", " [Client Install]"),
            *("+SMSPROVISIONINGMODE=1", " Install=INSTALL=ALL"),
        ),
    )


def test_what_a_plan_allows_in_a_disarming() -> None:
    fields = DisarmTcf.plan_fields or {}
    text, hashed = {"type": "string", "minLength": 1}, {"$ref": "#/$defs/digest"}

    assert {name: field.schema for name, field in fields.items()} == {
        **{"path": text, "before": hashed, "after": hashed, "encoding": text},
        "diff": {"type": "array", "items": {"type": "string"}},
    }
    assert DisarmTcf.plan_description == "MobileClient.TCF without the entry that brings the mode back."
    assert SetFile.plan_fields is None


@pytest.mark.parametrize(
    ("path", "armed", "done"), [(PATH, True, False), (PATH, False, True), ("C:\\another.ini", True, True)]
)
def test_a_file_is_still_disarmed_unless_the_client_shows_it_armed(path: str, armed: bool, done: bool) -> None:
    file = TcfFile(path, armed, "ANSI", ())

    client = ClientReadings(datetime(2026, 1, 1, tzinfo=timezone.utc), tcf=Known((file,)))

    assert DISARM.still_done(client) is done


def test_what_a_client_shows_after_a_file_step_is_its_other_files_and_this_one_as_it_becomes() -> None:
    here, there = TCF_PATHS[0], TCF_PATHS[1]
    other, armed = TcfFile(there, False, "ANSI", ()), TcfFile(here, True, "ANSI", ("SMSPROVISIONINGMODE=1",))
    client = ClientReadings(datetime(2026, 1, 1, tzinfo=timezone.utc), tcf=Known((armed, other)))

    def after(step: SetFile, data: bytes | None, before: ClientReadings = client) -> Any:
        shown = step.shown_after(before, data)
        return shown.tcf if shown is not None else None

    disarmed = after(SetFile(here.upper(), OLD, NEW), DISARMED)
    removed = after(SetFile(here, OLD, None), None)
    unread = replace(client, tcf=Unknown("access-denied", "it cannot be read"))

    assert [(file.path, file.armed) for file in disarmed.value] == [(there, False), (here.upper(), False)]
    assert removed == Known((other,))
    assert after(CHANGE, b"new") is None  # no MobileClient.TCF
    assert after(SetFile(here, OLD, NEW), ARMED, unread) == unread.tcf
    assert [file.armed for file in after(SetFile(here, OLD, NEW), ARMED).value] == [False, True]
