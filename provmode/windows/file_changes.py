"""Files on a PC, changed by compare-and-swap. Pure conversations over the static scripts.

A write says what it expects to find: a SHA-256, or no file. If something else is there, the write is refused as stale
and nothing changes. The new bytes go to a file beside the old one and then take its place in one step. The old file
stays as a backup, and the hash of the new one is read back.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from provmode.errors import HostError, ProtocolError
from provmode.windows.conversation import Conversation
from provmode.windows.files import MAX_SIZE, StaleFile, file_hash, script_answer, script_line, sha256
from provmode.windows.scripts import REMOVE_FILE, SWAP_BYTES


@dataclass(frozen=True)
class Swapped:
    """A write that was done and read back."""

    before: str | None
    """SHA-256 of what was there, in hexadecimal; ``None``: nothing."""
    after: str
    """SHA-256 of what is there now."""
    backup: str | None
    """Where the old file is; ``None`` where there was none."""


def swap_file(
    path: str, data: bytes, *, expected: str | None, backup: str = "provmode-backup"
) -> Conversation[Swapped]:
    """Put *data* in place of the file whose SHA-256 is *expected* (``None``: where there is none).

    The old file stays beside it as ``path.backup``.

    Raises:
        StaleFile: something else is there; nothing was written.
        AccessDenied: the account may not write there.
        ProtocolError: the script did not answer as it should, or the hash read back is not that of *data*.
        HostError: *data* is larger than `MAX_SIZE`.
    """
    if len(data) > MAX_SIZE:
        raise HostError(f"{path}: {len(data):,} bytes are over the limit of {MAX_SIZE:,}")
    content = b64encode(data).decode("ascii")
    answer = script_answer(
        (yield script_line(SWAP_BYTES, path=path, expected=expected or "", base64=content, backup=backup)), path
    )
    if answer.get("result") != "swapped":
        raise StaleFile(f"{path} is not what was expected; nothing was written", next_step="read it again")
    if answer.get("after") != sha256(data):
        raise ProtocolError(f"{path}: what is there now is not what was written", next_step="read it again")
    return Swapped(expected, str(answer["after"]), answer.get("backup"))


def remove_file(path: str, *, expected: str, backup: str = "provmode-backup") -> Conversation[str]:
    """Move the file whose SHA-256 is *expected* to ``path.backup``, and return where that is.

    Raises:
        StaleFile: something else is there, or nothing; nothing was moved.
        AccessDenied: the account may not move it.
        ProtocolError: the script did not answer as it should.
    """
    answer = script_answer((yield script_line(REMOVE_FILE, path=path, expected=expected, backup=backup)), path)
    if answer.get("result") != "removed":
        raise StaleFile(f"{path} is not what was expected; nothing was moved", next_step="read it again")
    return str(answer.get("backup"))


def put_file(path: str, data: bytes) -> Conversation[Swapped]:
    """Write *data* over whatever is there now; between looking and writing nobody else may change it."""
    before = yield from file_hash(path)
    after = sha256(data)
    if before == after:
        return Swapped(before, after, None)
    return (yield from swap_file(path, data, expected=before))
