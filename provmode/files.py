"""Files byte for byte: reading in pieces, and compare-and-swap. Pure conversations over the static scripts.

A write says what it expects to find (its SHA-256, or that there is nothing); whatever else is there stays as it is and
the write is refused as stale. The new bytes go to a file beside, which then takes the old one's place in one step; the
old one stays as a backup, and what is there afterwards is read back by hash.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from provmode.errors import AccessDenied, HostError, ProtocolError
from provmode.scripts import READ_BYTES, REMOVE_FILE, SWAP_BYTES
from provmode.wsman.operations import CommandLine, Completed

T = TypeVar("T")
Transfer = Generator[CommandLine, Completed, T]

CHUNK = 192 * 1024
"""Bytes read at a time: 256 KB of base64, which Windows sends in a few envelopes."""
MAX_SIZE = 32 * 1024 * 1024
"""Bytes of a file that is read or written whole; what is kept here are settings, not images."""
READING = CommandLine(READ_BYTES)
"""The command that reads, as it is shown; the path is not in it."""
READING_LINES = frozenset({READ_BYTES})
"""Command lines that only read, for the write gate."""


class StaleFile(HostError):
    """The file is not what was expected: somebody changed it since. Nothing was written."""


class FileMissing(HostError):
    """There is no such file."""


@dataclass(frozen=True)
class Swapped:
    """A write that was done and read back."""

    before: str | None
    """SHA-256 of what was there, in hexadecimal; ``None``: nothing."""
    after: str
    """SHA-256 of what is there now."""
    backup: str | None
    """Where the old file is; ``None`` where there was none."""


def sha256(data: bytes) -> str:
    """Return the SHA-256 of *data* in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_file(path: str) -> Transfer[bytes | None]:
    """Return a file's bytes, or ``None`` where there is no such file. ``%windir%`` and its kin are expanded.

    Raises:
        StaleFile: it changed while it was read.
        AccessDenied: the account may not read it.
        ProtocolError: the script did not answer as it should.
        HostError: it is larger than `MAX_SIZE`.
    """
    data, whole = b"", ""
    while True:
        answer = _answer((yield _line(READ_BYTES, path=path, offset=len(data), count=CHUNK)), path)
        if not answer.get("exists"):
            return None
        size = _size(answer, path)
        if size > MAX_SIZE:
            raise HostError(f"{path} has {size:,} bytes, over the limit of {MAX_SIZE:,}")
        if whole and answer["sha256"] != whole:
            raise StaleFile(f"{path} changed while it was read", next_step="read it again")
        whole = str(answer["sha256"])
        chunk = _bytes(answer, path)
        data += chunk
        if len(data) >= size:
            break
        if not chunk:
            raise ProtocolError(f"{path}: {len(data):,} of {size:,} bytes came and no more")
    if sha256(data) != whole:
        raise ProtocolError(f"{path}: what came has another hash than the file", next_step="read it again")
    return data


def file_hash(path: str) -> Transfer[str | None]:
    """Return the SHA-256 of a file without its bytes, or ``None`` where there is no such file."""
    answer = _answer((yield _line(READ_BYTES, path=path, offset=0, count=0)), path)
    return str(answer["sha256"]) if answer.get("exists") else None


def swap_file(path: str, data: bytes, *, expected: str | None, backup: str = "provmode-backup") -> Transfer[Swapped]:
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
    answer = _answer((yield _line(SWAP_BYTES, path=path, expected=expected or "", base64=content, backup=backup)), path)
    if answer.get("result") != "swapped":
        raise StaleFile(f"{path} is not what was expected; nothing was written", next_step="read it again")
    if answer.get("after") != sha256(data):
        raise ProtocolError(f"{path}: what is there now is not what was written", next_step="read it again")
    return Swapped(expected, str(answer["after"]), answer.get("backup"))


def remove_file(path: str, *, expected: str, backup: str = "provmode-backup") -> Transfer[str]:
    """Move the file whose SHA-256 is *expected* to ``path.backup``, and return where that is.

    Raises:
        StaleFile: something else is there, or nothing; nothing was moved.
        AccessDenied: the account may not move it.
        ProtocolError: the script did not answer as it should.
    """
    answer = _answer((yield _line(REMOVE_FILE, path=path, expected=expected, backup=backup)), path)
    if answer.get("result") != "removed":
        raise StaleFile(f"{path} is not what was expected; nothing was moved", next_step="read it again")
    return str(answer.get("backup"))


def put_file(path: str, data: bytes) -> Transfer[Swapped]:
    """Write *data* over whatever is there now; between looking and writing nobody else may change it."""
    before = yield from file_hash(path)
    after = sha256(data)
    if before == after:
        return Swapped(before, after, None)
    return (yield from swap_file(path, data, expected=before))


def _line(script: str, **parameters: Any) -> CommandLine:
    return CommandLine(script, stdin=json.dumps(parameters).encode("ascii"))


def _answer(completed: Completed, path: str) -> dict[str, Any]:
    """Return the script's answer; standard error of PowerShell may hold progress records and is no sign of failure."""
    lines = completed.stdout.decode("utf-8", "replace").lstrip("\ufeff").splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else None
    except ValueError:
        answer = None
    if completed.exit_code != 0 or not isinstance(answer, dict):
        raise ProtocolError(
            f"{path}: PowerShell on the PC did not run the script (exit code {completed.exit_code})",
            next_step="look whether PowerShell is blocked or in constrained language mode there",
        )
    error = answer.get("error")
    if error == "UnauthorizedAccessException":
        raise AccessDenied(f"{path}: access denied", next_step="use an account that may read and write it")
    if error == "DirectoryNotFoundException":
        raise HostError(f"{path}: there is no such folder on the PC", next_step="check the path")
    if error is not None:
        raise HostError(f"{path}: {error} on the PC", next_step="look whether a program holds the file open")
    return answer


def _size(answer: dict[str, Any], path: str) -> int:
    size = answer.get("size")
    if not isinstance(size, int) or size < 0 or not isinstance(answer.get("sha256"), str):
        raise ProtocolError(f"{path}: an answer without size or hash")
    return size


def _bytes(answer: dict[str, Any], path: str) -> bytes:
    try:
        return b64decode(answer.get("base64") or "", validate=True)
    except ValueError:
        raise ProtocolError(f"{path}: an answer that is not base64") from None
