"""Changes of files on a PC, by compare-and-swap. Pure conversations over the static scripts.

A write says what it expects to find: a file with a certain SHA-256, or no file. If the PC has something else, the
write is refused as stale and nothing changes. Otherwise the new bytes go to a file beside the old one, and that file
replaces the old one in one step. The old file stays as a backup, and the hash of the new file is read back.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from provmode.errors import HostError, ProtocolError
from provmode.windows.conversation import Conversation
from provmode.windows.files import MAX_SIZE, StaleFile, file_hash, script_answer, script_line, sha256
from provmode.windows.scripts import DELETE_FILE, REMOVE_FILE, SWAP_BYTES


@dataclass(frozen=True)
class Swapped:
    """A write that was done and read back."""

    before: str | None
    """SHA-256 of the old file, in hexadecimal; ``None`` if there was no file."""
    after: str
    """SHA-256 of the new file."""
    backup: str | None
    """Path of the old file's backup; ``None`` if there was no file."""


def swap_file(
    path: str, data: bytes, *, expected: str | None, backup: str = "provmode-backup"
) -> Conversation[Swapped]:
    """Replace the file with the SHA-256 *expected* by *data*; with ``None``, create a file that does not exist yet.

    The old file stays beside it as ``path.backup``.

    Raises:
        StaleFile: the PC has another file, or a file where none was expected; nothing was written.
        AccessDenied: the account is not allowed to write the file.
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
        raise StaleFile(f"{path} is not the expected file; nothing was written", next_step="read it again")
    if answer.get("after") != sha256(data):
        raise ProtocolError(f"{path}: the file now has another hash than what was written", next_step="read it again")
    return Swapped(expected, str(answer["after"]), answer.get("backup"))


def remove_file(path: str, *, expected: str, backup: str = "provmode-backup") -> Conversation[str]:
    """Move the file with the SHA-256 *expected* to ``path.backup``, and return the path of the backup.

    Raises:
        StaleFile: the PC has another file or none; nothing was moved.
        AccessDenied: the account is not allowed to move the file.
        ProtocolError: the script did not answer as it should.
    """
    answer = script_answer((yield script_line(REMOVE_FILE, path=path, expected=expected, backup=backup)), path)
    if answer.get("result") != "removed":
        raise StaleFile(f"{path} is not the expected file; nothing was moved", next_step="read it again")
    return str(answer.get("backup"))


def delete_file(path: str, *, expected: str) -> Conversation[None]:
    """Delete the file with the SHA-256 *expected*. No backup stays.

    Raises:
        StaleFile: the PC has another file or none; nothing was deleted.
        AccessDenied: the account is not allowed to delete the file.
        ProtocolError: the script did not answer as it should.
    """
    answer = script_answer((yield script_line(DELETE_FILE, path=path, expected=expected)), path)
    if answer.get("result") != "deleted":
        raise StaleFile(f"{path} is not the expected file; nothing was deleted", next_step="read it again")


def put_file(path: str, data: bytes) -> Conversation[Swapped]:
    """Write *data* over the present file, if any; refused as stale if the file changes between look and write."""
    before = yield from file_hash(path)
    after = sha256(data)
    if before == after:
        return Swapped(before, after, None)
    return (yield from swap_file(path, data, expected=before))
