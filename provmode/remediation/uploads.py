"""A file that is put on a PC, needed by one command, and deleted again: it may hold secrets. Pure conversations."""

from __future__ import annotations

from typing import Any

from provmode.errors import AnswerLost, HostError
from provmode.text import shortened
from provmode.windows.conversation import Conversation, Pause
from provmode.windows.file_changes import delete_file, swap_file
from provmode.windows.files import StaleFile, file_hash, script_answer, script_line, sha256
from provmode.wsman import Completed

FOLDER = "%windir%\\System32\\config\\systemprofile"
"""Where a file is put while it is needed: only administrators and Windows itself may write or read there."""
TRACES_FIND_IT = "`provmode traces` finds the file, and `provmode plan --remove-traces` deletes it"
_TO_DELETE = (0.0, 1.0, 2.0, 5.0)
"""Seconds before each try to delete an uploaded file: a scanner for viruses may hold it open."""


def uploaded(digest: str, extension: str = "ppkg") -> str:
    """Return where a file with this SHA-256 is put while it is needed."""
    return f"{FOLDER}\\provmode-{digest}.{extension}"


def with_file(path: str, data: bytes, work: Conversation[None]) -> Conversation[None]:
    """Put a file there, do *work* with it, and delete it whatever came of that: it may hold secrets.

    One that an earlier run left is used if it is the same, and replaced if it is another.

    Raises:
        HostError: the work failed, or the file stayed.
    """
    digest = sha256(data)
    there = yield from file_hash(path)
    failed: HostError | None = None
    try:
        if there not in (None, digest):
            yield from delete_file(path, expected=str(there))
        if there != digest:
            yield from swap_file(path, data, expected=None)
        yield from work
    except HostError as error:
        failed = error
    left = yield from _left(path, digest)
    if left:
        what = f"{failed.what}; {left}" if failed else left
        raise HostError(what, next_step=TRACES_FIND_IT) from failed
    if failed is not None:
        raise failed


def clean_up(path: str, digest: str) -> Conversation[None]:
    """Delete a file that an earlier run put there and could not delete.

    Raises:
        HostError: it stays.
    """
    if (yield from file_hash(path)) is None:
        return
    left = yield from _left(path, digest)
    if left:
        raise HostError(left, next_step=TRACES_FIND_IT)


def _left(path: str, digest: str) -> Conversation[str]:
    """Delete an uploaded file; return why it stayed, empty if it is gone."""
    why = ""
    for pause in _TO_DELETE:
        if pause:
            yield Pause(pause)
        try:
            yield from delete_file(path, expected=digest)
        except StaleFile:
            pass  # an earlier request deleted it, and its answer was lost; or it is another file
        except HostError as error:
            why = error.what
        else:
            return ""
        try:
            there = yield from file_hash(path)
        except HostError as error:
            why = error.what
            continue
        if there is None:
            return ""
        why = why if there == digest else "another file is in its place"
    return f"{path}, which may hold secrets, could not be deleted: {why}"


def by_script(script: str, what: str, **parameters: Any) -> Conversation[None]:
    """Run a static script. A lost answer is not a failure: the caller reads back.

    Raises:
        HostError: the cmdlet refused it; the message has its HRESULT.
    """
    try:
        completed: Completed = yield script_line(script, **parameters)
    except AnswerLost:
        return
    answer = script_answer(completed, what)
    if answer.get("result") == "refused":
        number = answer.get("hresult")
        shown = f"0x{number & 0xFFFFFFFF:08X}" if isinstance(number, int) else "no number"
        raise HostError(
            f"{what}: Windows refused it: {shown} ({shortened(str(answer.get('type')), 60)})",
            next_step="look up the number, then at the PC's provisioning events",
        )
    if answer.get("result") != "done":
        raise HostError(f"{what}: the script did not say that it is done", next_step="look at the PC")
