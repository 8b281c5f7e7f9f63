"""Files on a PC, read only: whether they are there (CIM), and their bytes (a static script). Pure conversations.

`provmode.windows.file_changes` writes them.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from datetime import timezone
from typing import Any

from provmode.errors import AccessDenied, HostError, ProtocolError
from provmode.reading import Absent, Known, Reading, Unknown
from provmode.windows.conversation import Conversation, ask
from provmode.windows.model import FileInfo
from provmode.windows.scripts import READ_BYTES
from provmode.windows.system import operating_system
from provmode.wsman import CommandLine, Completed, Enumerate, Instance, integer, moment

# -- what CIM says about a file -------------------------------------------------------------------------------------

_WINDOWS_FOLDER = re.compile(r"%(?:windir|systemroot)%", re.IGNORECASE)


def file_query(paths: tuple[str, ...]) -> Enumerate:
    """Return the query for files by their full path; asked by key, WMI does not walk the disk."""
    names = " OR ".join("Name='{}'".format(path.replace("\\", "\\\\").replace("'", "\\'")) for path in paths)
    return Enumerate.query(
        "root/cimv2", f"SELECT Name,FileSize,CreationDate,LastModified,LastAccessed FROM CIM_DataFile WHERE {names}"
    )


def full_path(path: str) -> str:
    """Return *path* if it can be asked by CIM.

    Raises:
        ValueError: it begins with neither a drive nor ``%windir%``, or holds another variable or a wildcard.
    """
    if not re.match(r"[a-z]:\\|%(?:windir|systemroot)%\\", path, re.IGNORECASE):
        raise ValueError(f"path {path!r} begins with neither a drive (C:\\) nor %windir%")
    rest = _WINDOWS_FOLDER.sub("", path)
    if any(character in rest[2 if rest[1:2] == ":" else 0 :] for character in '%*?"<>|:/'):
        raise ValueError(f"path {path!r} holds a wildcard or a variable other than %windir%")
    return path


def file_info(path: str) -> Conversation[Reading[FileInfo]]:
    """Ask size and times of a file; ``%windir%`` costs one question more."""
    if _WINDOWS_FOLDER.search(path):
        system = yield from operating_system()
        if not isinstance(system, Known):
            return system
        path = _WINDOWS_FOLDER.sub(lambda _: system.value.windows_directory, path)

    def read(found: list[Instance]) -> Reading[FileInfo]:
        if not found:
            return Absent()
        size = integer(found[0], "FileSize")
        if size is None:
            return Unknown("malformed", f"{path}: CIM_DataFile has no FileSize")
        times = (moment(found[0], name) for name in ("CreationDate", "LastModified", "LastAccessed"))
        return Known(FileInfo(path, size, *(time.astimezone(timezone.utc) if time else None for time in times)))

    return (yield from ask(file_query((path,)), read, path))


# -- the bytes of a file --------------------------------------------------------------------------------------------

CHUNK = 192 * 1024
"""Bytes read at a time: 256 KB of base64, which Windows sends in a few envelopes."""
MAX_SIZE = 32 * 1024 * 1024
"""Bytes of the largest file that is read or written. Files here are settings, not images."""
READ_COMMAND = CommandLine(READ_BYTES)
"""The command that reads a file. The path is not in it: it comes on standard input."""
READ_ONLY_LINES = frozenset({READ_BYTES})
"""Command lines that only read; the write gate lets them through."""


class StaleFile(HostError):
    """The file is not what was expected: somebody changed it since. Nothing was written."""


def sha256(data: bytes) -> str:
    """Return the SHA-256 of *data* in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_file(path: str) -> Conversation[bytes | None]:
    """Return a file's bytes, or ``None`` where there is no such file. ``%windir%`` and its kin are expanded.

    Raises:
        StaleFile: it changed while it was read.
        AccessDenied: the account may not read it.
        ProtocolError: the script did not answer as it should.
        HostError: it is larger than `MAX_SIZE`.
    """
    data, whole = b"", ""
    while True:
        answer = script_answer((yield script_line(READ_BYTES, path=path, offset=len(data), count=CHUNK)), path)
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


def file_hash(path: str) -> Conversation[str | None]:
    """Return the SHA-256 of a file without its bytes, or ``None`` where there is no such file."""
    answer = script_answer((yield script_line(READ_BYTES, path=path, offset=0, count=0)), path)
    return str(answer["sha256"]) if answer.get("exists") else None


# -- the scripts' parameters and answers --------------------------------------------------------------------------


def script_line(script: str, **parameters: Any) -> CommandLine:
    """Return the command that runs a static *script*; its parameters go to its standard input as JSON."""
    return CommandLine(script, stdin=json.dumps(parameters).encode("ascii"))


def script_answer(completed: Completed, path: str) -> dict[str, Any]:
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
