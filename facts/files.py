"""Facts about files: existence, size and times (by CIM), and contents (by a static script).

`File` starts no process on the PC. `Sha256` and `Contents` start one PowerShell with a script that never changes
and reads the path from standard input.
"""

from __future__ import annotations

import codecs
from base64 import b64decode, b64encode
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from typing_extensions import override

from facts.base import ReadingFact
from provmode.connector.commands import ConversationCommand
from provmode.errors import AccessDenied, HostError, RemoteFault
from provmode.reading import Absent, Known, Unknown
from provmode.windows import files
from provmode.windows.conversation import Conversation, could_not_tell
from provmode.windows.files import READ_COMMAND, file_hash, read_file, sha256
from provmode.windows.model import FileInfo


class File(ReadingFact[FileInfo]):
    """
    Return whether a file is there, its size in bytes and its times in UTC.

    + path: such as ``%windir%\\ccmsetup\\MobileClient.TCF`` or ``C:\\Windows\\CCM\\CcmExec.exe``

    .. code:: python

        Known(FileInfo(path="C:\\\\Windows\\\\ccmsetup\\\\MobileClient.TCF", size=812,
                       created=datetime(2026, 8, 19, 5, 2, tzinfo=timezone.utc), modified=…, accessed=…))
        Absent()                       # no such file
        Unknown("access-denied", "…")

    Only the variables ``%windir%`` and ``%systemroot%`` are expanded. Source: Microsoft, "CIM_DataFile class". For a
    32-bit view, give the real path (``C:\\Windows\\SysWOW64``).
    """

    @override
    def command(self, path: str) -> ConversationCommand:
        try:
            whole = files.full_path(path)
        except ValueError as error:
            return self.refused(error)
        return self.converse(lambda: files.file_info(whole), files.file_query((whole,)))

    @override
    def value(self, document: Any) -> FileInfo:
        times = (document[name] for name in ("created", "modified", "accessed"))
        return FileInfo(
            document["path"], document["size"], *(datetime.fromisoformat(time) if time else None for time in times)
        )


class Sha256(ReadingFact[str]):
    """
    Return the SHA-256 of a file, in hexadecimal.

    + path: any variable of the PC's environment is expanded

    .. code:: python

        Known("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
        Absent()                       # no such file
        Unknown("access-denied", "…")
    """

    @override
    def command(self, path: str) -> ConversationCommand:
        return self.converse(lambda: _hash(path), READ_COMMAND)


@dataclass(frozen=True)
class FileContents:
    """The bytes of a file."""

    data: bytes

    @property
    def text(self) -> str | None:
        """The bytes as text: decoded by byte order mark, else as UTF-8; ``None`` if neither works."""
        for mark, encoding in (
            (codecs.BOM_UTF8, "utf-8"),
            (codecs.BOM_UTF16_LE, "utf-16-le"),
            (codecs.BOM_UTF16_BE, "utf-16-be"),
        ):
            if self.data.startswith(mark):
                return _decoded(self.data[len(mark) :], encoding)
        return _decoded(self.data, "utf-8")

    def to_json(self) -> dict[str, Any]:
        """Return size, hash, the bytes as base64, and the text if they are text."""
        return {
            "size": len(self.data),
            "sha256": sha256(self.data),
            "base64": b64encode(self.data).decode("ascii"),
            "text": self.text,
        }


class Contents(ReadingFact[FileContents]):
    """
    Return the bytes of a file, up to 32 MiB, verified by hash.

    + path: any variable of the PC's environment is expanded

    .. code:: python

        Known(FileContents(data=b"[Client Install]\\r\\n…"))    # {"known": {"size", "sha256", "base64", "text"}}
        Absent()                                              # no such file
        Unknown("access-denied", "…")                         # not readable, too large, or changed while it was read
    """

    @override
    def command(self, path: str) -> ConversationCommand:
        return self.converse(lambda: _contents(path), READ_COMMAND)

    @override
    def value(self, document: Any) -> FileContents:
        return FileContents(b64decode(document["base64"]))


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _hash(path: str) -> Conversation[Any]:
    return (yield from _as_reading(file_hash(path)))


def _contents(path: str) -> Conversation[Any]:
    def transfer() -> Conversation[Any]:
        data = yield from read_file(path)
        return None if data is None else FileContents(data)

    return (yield from _as_reading(transfer()))


def _as_reading(transfer: Generator[Any, Any, Any]) -> Conversation[Any]:
    """Turn the result or the error of *transfer* into a reading."""
    try:
        value = yield from transfer
    except (RemoteFault, AccessDenied) as error:
        return could_not_tell(error)
    except HostError as error:
        return Unknown(str(error.cause), error.what)
    return Absent() if value is None else Known(value)
