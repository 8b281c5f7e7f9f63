"""Files on a PC, read only: whether they exist (CIM), and their bytes (a static script). Pure conversations.

`provmode.windows.file_changes` writes files.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from typing import Any

from provmode.errors import AccessDenied, HostError, ProtocolError
from provmode.reading import Absent, Known, Reading, Unknown
from provmode.windows.conversation import Conversation, ask
from provmode.windows.model import FileInfo
from provmode.windows.scripts import READ_BYTES
from provmode.windows.system import moment_of, operating_system
from provmode.wsman import CommandLine, Completed, Enumerate, Instance, integer

# -- what CIM says about a file -------------------------------------------------------------------------------------

_WINDOWS_FOLDER = re.compile(r"%(?:windir|systemroot)%", re.IGNORECASE)


def file_query(paths: tuple[str, ...]) -> Enumerate:
    """Return the query for files by their full paths. The path is the key, so WMI does not walk the disk."""
    names = " OR ".join("Name='{}'".format(path.replace("\\", "\\\\").replace("'", "\\'")) for path in paths)
    return Enumerate.query(
        "root/cimv2", f"SELECT Name,FileSize,CreationDate,LastModified,LastAccessed FROM CIM_DataFile WHERE {names}"
    )


def full_path(path: str) -> str:
    """Return *path* if CIM can be asked for it.

    Raises:
        ValueError: *path* does not begin with a drive or ``%windir%``, or contains another variable or a wildcard.
    """
    if not re.match(r"[a-z]:\\|%(?:windir|systemroot)%\\", path, re.IGNORECASE):
        raise ValueError(f"path {path!r} does not begin with a drive (C:\\) or %windir%")
    rest = _WINDOWS_FOLDER.sub("", path)
    if any(character in rest[2 if rest[1:2] == ":" else 0 :] for character in '%*?"<>|:/'):
        raise ValueError(f"path {path!r} contains a wildcard or a variable other than %windir%")
    return path


def file_info(path: str) -> Conversation[Reading[FileInfo]]:
    """Ask size and times of a file; ``%windir%`` in the path costs one more question."""
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
        times = (moment_of(found[0], name) for name in ("CreationDate", "LastModified", "LastAccessed"))
        return Known(FileInfo(path, size, *times))

    return (yield from ask(file_query((path,)), read, path))


# -- the bytes of a file --------------------------------------------------------------------------------------------

CHUNK = 192 * 1024
"""Bytes read at a time: 256 KB of base64, which Windows sends in a few envelopes."""
MAX_SIZE = 32 * 1024 * 1024
"""Bytes of the largest file that is read or written: the files here are settings, not images."""
READ_COMMAND = CommandLine(READ_BYTES)
"""The command that reads a file. It does not contain the path, which comes on standard input."""
READ_ONLY_LINES = frozenset({READ_BYTES})
"""Command lines that only read, and so pass the write gate."""


class StaleFile(HostError):
    """The file is not the expected one: somebody changed it in between. Nothing was written."""


class TooLarge(HostError):
    """The file is larger than the reader wants; the message has its size."""


def sha256(data: bytes) -> str:
    """Return the SHA-256 of *data* in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_file(path: str, limit: int = MAX_SIZE) -> Conversation[bytes | None]:
    """Return a file's bytes, or ``None`` if the file does not exist. Variables such as ``%windir%`` are expanded.

    Raises:
        StaleFile: the file changed while it was read.
        AccessDenied: the account is not allowed to read the file.
        ProtocolError: the script did not answer as it should.
        TooLarge: the file is larger than *limit*; at most the first `CHUNK` of it was read.
    """
    data, expected = bytearray(), ""
    while True:
        answer = script_answer((yield script_line(READ_BYTES, path=path, offset=len(data), count=CHUNK)), path)
        if not answer.get("exists"):
            return None
        size = size_of(answer, path)
        if size > limit:
            raise TooLarge(f"{path} has {size:,} bytes, over the limit of {limit:,}", next_step="look at the file")
        if expected and answer["sha256"] != expected:
            raise StaleFile(f"{path} changed while it was read", next_step="read it again")
        expected = str(answer["sha256"])
        chunk = bytes_of(answer, path)
        data += chunk
        if len(data) > size:
            raise ProtocolError(f"{path}: more than its {size:,} bytes came")
        if len(data) == size:
            break
        if not chunk:
            raise ProtocolError(f"{path}: only {len(data):,} of {size:,} bytes came")
    content = bytes(data)
    if sha256(content) != expected:
        raise ProtocolError(f"{path}: the bytes that came do not have the file's hash", next_step="read it again")
    return content


def file_hash(path: str) -> Conversation[str | None]:
    """Return the SHA-256 of a file without reading its bytes, or ``None`` if the file does not exist."""
    answer = script_answer((yield script_line(READ_BYTES, path=path, offset=0, count=0)), path)
    return str(answer["sha256"]) if answer.get("exists") else None


# -- the scripts' parameters and answers --------------------------------------------------------------------------


def script_line(script: str, **parameters: Any) -> CommandLine:
    """Return the command that runs a static *script*; the parameters go to its standard input as JSON."""
    return CommandLine(script, stdin=json.dumps(parameters).encode("ascii"))


def script_answer(completed: Completed, path: str) -> dict[str, Any]:
    """Return the script's answer. Standard error is ignored: PowerShell writes progress records to it."""
    lines = completed.stdout.decode("utf-8", "replace").lstrip("\ufeff").splitlines()
    try:
        answer = json.loads(lines[-1], parse_int=_whole, parse_constant=_no_number) if lines else None
    except (ValueError, RecursionError):
        answer = None
    if completed.exit_code != 0 or not isinstance(answer, dict):
        raise ProtocolError(
            f"{path}: PowerShell on the PC did not run the script (exit code {completed.exit_code})",
            next_step="check whether PowerShell is blocked or in constrained language mode on the PC",
        )
    error = answer.get("error")
    if error == "UnauthorizedAccessException":
        raise AccessDenied(f"{path}: access denied", next_step="use an account that may read and write it")
    if error == "DirectoryNotFoundException":
        raise HostError(f"{path}: there is no such folder on the PC", next_step="check the path")
    if error is not None:
        raise HostError(f"{path}: {error} on the PC", next_step="check whether a program holds the file open")
    return answer


def _whole(digits: str) -> int:
    if len(digits) > 20:  # the time to read a number grows with the square of its length
        raise ValueError("a number of over 20 digits")
    return int(digits)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def size_of(answer: dict[str, Any], path: str) -> int:
    """Return the file's size in an answer that has its hash as well.

    Raises:
        ProtocolError: the answer has no size or hash.
    """
    size = answer.get("size")
    if not isinstance(size, int) or size < 0 or not isinstance(answer.get("sha256"), str):
        raise ProtocolError(f"{path}: the script's answer has no size or hash")
    return size


def bytes_of(answer: dict[str, Any], path: str) -> bytes:
    """Return the bytes in an answer.

    Raises:
        ProtocolError: they are not base64.
    """
    try:
        return b64decode(answer.get("base64") or "", validate=True)
    except ValueError:
        raise ProtocolError(f"{path}: the script's answer is not base64") from None
