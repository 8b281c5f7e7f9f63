"""Steps that remove what provmode left: what each sends, where it may, and what it says if the PC does not do it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from provmode.ccm.client import TCF_PATHS
from provmode.errors import AnswerLost
from provmode.remediation.execute import ALREADY, CHANGED, execute
from provmode.remediation.lease_folder import FOLDER, LOOK, Found, look
from provmode.remediation.steps import (
    DeleteTrace,
    EndLease,
    RemoveGuard,
    SetFile,
    SetRegistryValue,
    Step,
    step_from_json,
)
from provmode.windows.registry import RegistryData, ValueType
from provmode.wsman import Completed, Instance

Converse = Callable[..., Any]
LOST = AnswerLost("the connection broke")
PATH = f"{TCF_PATHS[0]}.provmode-backup"
OLD = sha256(b"old").hexdigest()
DELETE, GUARD = DeleteTrace(PATH, OLD), RemoveGuard("leave")
KEY, VALUE = "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\RunOnce", "!provmode exit guard"
TOKEN = "20260302T080000Z-0123456789abcdef"
ENDED = EndLease(TOKEN)


def script(**document: Any) -> Completed:
    return Completed(0, json.dumps(document).encode())


def reads(data: bytes | None) -> Completed:
    if data is None:
        return script(exists=False)
    content = base64.b64encode(data).decode()
    return script(exists=True, size=len(data), sha256=sha256(data).hexdigest(), base64=content)


def call(name: str, **parameters: Any) -> str:
    return f"{name} {json.dumps({'path': PATH, **parameters})}"


READ, HASH = call("READ_BYTES", offset=0, count=192 * 1024), call("READ_BYTES", offset=0, count=0)
GONE = call("DELETE_FILE", expected=OLD)
DELETED, STALE = script(result="deleted"), script(result="stale")


# -- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [DELETED, STALE, LOST], ids=["deleted", "deleted by the first of two", "lost"])
def test_the_file_that_was_seen_is_deleted_announced_with_its_bytes_and_read_back(
    converse: Converse, answer: Any
) -> None:
    announced: list[Any] = []

    talk = converse(execute(DELETE, announce=announced.append), reads(b"old"), answer, reads(None))

    assert (talk.end, talk.asked, announced) == (CHANGED, [READ, GONE, HASH], [b"old"])


@pytest.mark.parametrize("answer", [DELETED, STALE, LOST])
def test_a_file_that_is_still_there_is_not_proved_to_be_gone(converse: Converse, answer: Any) -> None:
    talk = converse(execute(DELETE), reads(b"old"), answer, reads(b"old"))

    assert talk.end == f"NotProved: {PATH} is a file after the change, not absent; look at the PC, then try again"


@pytest.mark.parametrize(
    ("there", "end"),
    [
        (None, ALREADY),
        (b"new", f"StaleStep: {PATH} is another file, not what it was as it was; look again and plan anew"),
    ],
)
def test_a_file_that_went_away_or_changed_is_left(converse: Converse, there: bytes | None, end: str) -> None:
    announced: list[Any] = []

    talk = converse(execute(DELETE, announce=announced.append), reads(there))

    assert (talk.end, talk.asked, announced) == (end, [READ], [])


# -- the exit guard -------------------------------------------------------------------------------------------------


def test_the_guard_is_removed_as_the_registry_value_that_was_seen(converse: Converse) -> None:
    same = SetRegistryValue(KEY, VALUE, RegistryData(ValueType.REG_SZ, "leave"), None)
    there = (Instance("X", {"ReturnValue": "0", "sNames": VALUE, "Types": "1"}),)
    there += (Instance("X", {"ReturnValue": "0", "sValue": "leave"}),)
    gone = (Instance("X", {"ReturnValue": "0"}),)
    announced: list[Any] = []

    talk = converse(execute(GUARD, announce=announced.append), *there, *gone, *gone)

    assert (talk.end, announced) == (CHANGED, [None])
    assert talk == converse(execute(same), *there, *gone, *gone)
    assert (GUARD.properties, GUARD.operations, GUARD.undo) == (same.properties, same.operations, same.undo)
    assert [str(item) for item in GUARD.properties] == [f"{KEY}\\{VALUE} REG_SZ 'leave' -> absent"]
    assert converse(execute(GUARD), *gone).end == ALREADY
    assert converse(execute(RemoveGuard("other")), *there).end == (
        f"StaleStep: {KEY}\\{VALUE} is REG_SZ 'leave', not REG_SZ 'other' as it was; look again and plan anew"
    )


# -- the lease ------------------------------------------------------------------------------------------------------


def listing(*names: str) -> Completed:
    return Completed(0, "".join(f"{name}\r\n" for name in ("provmode-claim", *names)).encode())


@pytest.mark.parametrize("step", [ENDED, EndLease("")])
@pytest.mark.parametrize("there", [(), ("20260302T090000Z-fedcba9876543210",)])
def test_a_lease_that_was_taken_over_is_ended(converse: Converse, step: EndLease, there: tuple[str, ...]) -> None:
    announced: list[Any] = []

    talk = converse(execute(step, announce=announced.append), listing(*there))

    assert (talk.end, announced) == (CHANGED, [None])
    assert len(talk.asked) == 1


def test_a_lease_that_is_still_there_is_not_ended(converse: Converse) -> None:
    announced: list[Any] = []

    talk = converse(execute(ENDED, announce=announced.append), listing("20260302T090000Z-fedcba9876543210", TOKEN))

    assert announced == []
    assert talk.end == (
        f"StaleStep: {FOLDER} is still lease {TOKEN}, not taken over by this run as it was; look again and plan anew"
    )


def test_what_is_found_in_the_folder_of_the_lease_is_a_value() -> None:
    conversation = look()

    assert next(conversation) == LOOK
    with pytest.raises(StopIteration) as stop:
        conversation.send(listing("note.txt"))
    assert {stop.value.value, Found(True, ())} == {Found(True, ())}


# -- what a plan says and allows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "document", "words", "undo", "in_words"),
    [
        (
            DELETE,
            {"kind": "trace-file", "path": PATH, "before": OLD},
            f"{PATH} SHA-256 {OLD[:12]} -> absent",
            SetFile(PATH, None, OLD),
            "compare-and-delete by the static script; the bytes go into the journal",
        ),
        (
            GUARD,
            {"kind": "trace-guard", "before": "leave"},
            f"{KEY}\\{VALUE} REG_SZ 'leave' -> absent",
            SetRegistryValue(KEY, VALUE, None, RegistryData(ValueType.REG_SZ, "leave")),
            "",
        ),
        (
            ENDED,
            {"kind": "trace-lease", "token": TOKEN},
            f"{FOLDER} lease {TOKEN} -> absent",
            None,
            "taken over once it has not changed for 7 minutes, as every lease that a run left, and released",
        ),
        (
            EndLease(""),
            {"kind": "trace-lease", "token": ""},
            f"{FOLDER} an empty folder -> absent",
            None,
            "taken over once it has not changed for 7 minutes, as every lease that a run left, and released",
        ),
    ],
)
def test_a_removal_is_kept_as_json_shown_in_words_and_undone_if_it_can_be(
    step: Step, document: dict[str, Any], words: str, undo: Step | None, in_words: str
) -> None:
    assert step.to_json() == document
    assert step_from_json(document) == step
    assert ([str(item) for item in step.properties], step.undo, step.in_words) == ([words], undo, in_words)
    assert step.about == "traces"
    assert len({step, step_from_json(document)}) == 1
    if not isinstance(step, RemoveGuard):
        assert step.operations == (), "nothing that could be pasted"


def test_what_a_plan_allows_in_these_steps() -> None:
    file, guard, lease = (kind.plan_fields or {} for kind in (DeleteTrace, RemoveGuard, EndLease))
    token = "^(?:[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16})?$"

    assert (file["path"].accepts(PATH), guard["before"].accepts("leave"), lease["token"].accepts(TOKEN)) == (True,) * 3
    assert {name: field.schema for name, field in file.items()} == {
        "path": {
            "type": "string",
            "pattern": f"^(?:{'|'.join(re.escape(path) for path in TCF_PATHS)})"
            "\\.provmode-(?:backup|replaced|[0-9a-f]{32})$",
        },
        "before": {"$ref": "#/$defs/digest"},
    }
    assert {name: field.schema for name, field in guard.items()} == {"before": {"type": "string"}}
    assert {name: field.schema for name, field in lease.items()} == {"token": {"type": "string", "pattern": token}}
    assert [kind.plan_description for kind in (DeleteTrace, RemoveGuard, EndLease)] == [
        "A file that provmode left beside a MobileClient.TCF is deleted.",
        "The exit guard, a value of RunOnce, is removed.",
        "The lease that a run left when it died is taken over, and released.",
    ]


@pytest.mark.parametrize(
    ("token", "accepted"),
    [
        *((TOKEN, True), ("", True)),
        *(
            (TOKEN.upper(), False),
            (f"{TOKEN}\n", False),
            (f"x{TOKEN}", False),
            ("..", False),
            (5, False),
            (None, False),
        ),
    ],
)
def test_a_plan_names_a_lease_only_by_the_name_of_a_token(token: Any, accepted: bool) -> None:
    assert (EndLease.plan_fields or {})["token"].accepts(token) is accepted


@pytest.mark.parametrize("path", TCF_PATHS)
@pytest.mark.parametrize("extension", ["backup", "replaced", "0" * 32])
def test_a_plan_names_a_file_only_beside_each_place_of_the_real_one(path: str, extension: str) -> None:
    accepts = (DeleteTrace.plan_fields or {})["path"].accepts

    assert accepts(f"{path}.provmode-{extension}")
    for wrong in (f"{path}.provmode-{extension}x", f"{path}.provmode-{extension}\n", f"x{path}.provmode-{extension}"):
        assert not accepts(wrong)
    assert not accepts(f"{path}.provmode-")
    assert not accepts(None)
