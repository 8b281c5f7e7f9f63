"""The .NET classes that file scripts use, on a PC's own files, with .NET's exceptions.

Source: Microsoft, the pages of System.IO.File, System.Convert, System.BitConverter and the other classes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from provmode.lab.windows.state import PcState


class DotNetError(Exception):
    """A .NET exception, by the name of its class."""

    def __init__(self, type_name: str, message: str = "", code: int = 0x80131500) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.message = message
        self.code = code
        """Its HRESULT; if nothing else is said, that of any exception."""


class UnknownMember(Exception):
    """The type or member is not modelled."""


@dataclass(frozen=True)
class StreamReader:
    """Standard input as text."""

    text: str


@dataclass(frozen=True)
class Sha256:
    """A hash algorithm."""


@dataclass(frozen=True)
class Writer:
    """Standard output."""

    write: Callable[[str], None]


class Record(dict[str, Any]):
    """An object of a cmdlet: its properties by name."""


@dataclass(frozen=True)
class Opaque:
    """A value that scripts only pass on: an encoding, an open stream."""

    name: str
    payload: Any = None


class DotNet:
    """Static members and constructors, for one run of a script on one PC."""

    def __init__(self, pc: PcState, write: Callable[[str], None]) -> None:
        self._pc = pc
        self.stdin = b""
        """Standard input, once it has been read."""
        self._write = write

    def static(self, type_name: str, member: str, arguments: tuple[Any, ...] | None) -> Any:
        """Return ``[type]::member(arguments)``.

        Raises:
            UnknownMember: the member is not modelled.
            DotNetError: .NET throws an exception.
        """
        name = f"{type_name.lower().removeprefix('system.')}.{member.lower()}"
        found = getattr(self, "_" + re.sub(r"[^a-z0-9]", "_", name), None)
        if found is None:
            raise UnknownMember(f"[{type_name}]::{member}")
        return found(*(arguments or ()))

    # -- streams ----------------------------------------------------------------------------------------------

    def _console_openstandardinput(self) -> Any:
        return Opaque("stream", self.stdin)

    def _console_out(self) -> Any:
        return Writer(self._write)

    def _text_encoding_utf8(self) -> Any:
        return Opaque("utf-8")

    def _io_streamreader_new(self, stream: Any, encoding: Any = None) -> Any:
        return StreamReader(stream.payload.decode("utf-8-sig", "replace"))

    # -- files ------------------------------------------------------------------------------------------------

    def _check(self, path: str) -> None:
        if not isinstance(path, str) or not path:
            raise DotNetError("ArgumentException", "Empty path name is not legal.")
        if any(sign in path for sign in '<>|"*?\0'):
            raise DotNetError("ArgumentException", "Illegal characters in path.")
        lowered = path.lower()
        if any(lowered.startswith(prefix) for prefix in self._pc.protected):
            raise DotNetError("UnauthorizedAccessException", f"Access to the path '{path}' is denied.")

    def _check_folder(self, path: str) -> None:
        folder = path.rpartition("\\")[0]
        if not self._pc.files.is_folder(folder) and folder.rstrip("\\").lower() != "c:":
            raise DotNetError("DirectoryNotFoundException", f"Could not find a part of the path '{path}'.")

    def _io_file_exists(self, path: str) -> bool:
        return bool(path) and self._pc.files.get(path) is not None

    def _io_file_readallbytes(self, path: str) -> bytes:
        self._check(path)
        data = self._pc.files.read(path)
        if data is None:
            raise DotNetError("FileNotFoundException", f"Could not find file '{path}'.")
        return data

    def _io_file_writeallbytes(self, path: str, data: bytes) -> None:
        self._check(path)
        self._check_folder(path)
        self._pc.files.write(path, data, self._pc.now())

    def _io_file_move(self, source: str, target: str) -> None:
        self._check(source)
        self._check(target)
        if self._pc.files.get(target) is not None:
            raise DotNetError("IOException", "Cannot create a file when that file already exists.")
        if not self._pc.files.move(source, target, self._pc.now()):
            raise DotNetError("FileNotFoundException", f"Could not find file '{source}'.")

    def _io_file_replace(self, source: str, target: str, backup: str | None) -> None:
        old = self._io_file_readallbytes(target)
        new = self._io_file_readallbytes(source)
        if backup:
            self._check(backup)
            self._pc.files.write(backup, old, self._pc.now())
        self._pc.files.write(target, new, self._pc.now())
        self._pc.files.delete(source)

    def _io_file_delete(self, path: str) -> None:
        self._check(path)
        if not self._pc.files.delete(path):  # a missing folder is an error, a missing file is not
            self._check_folder(path)

    # -- values -----------------------------------------------------------------------------------------------

    def _environment_expandenvironmentvariables(self, text: str) -> str:
        variables = self._pc.environment
        return re.sub(r"%([^%]+)%", lambda match: variables.get(match.group(1).lower(), match.group()), text or "")

    def _math_min(self, left: int, right: int) -> int:
        return min(left, right)

    def _math_max(self, left: int, right: int) -> int:
        return max(left, right)

    def _security_cryptography_sha256_create(self) -> Any:
        return Sha256()

    def _bitconverter_tostring(self, data: bytes) -> str:
        return "-".join(f"{byte:02X}" for byte in data)

    def _convert_tobase64string(self, data: bytes, offset: int = 0, count: int | None = None) -> str:
        count = len(data) - offset if count is None else count
        if offset < 0 or count < 0 or offset + count > len(data):
            raise DotNetError("ArgumentOutOfRangeException", "Offset and length must refer to a position in the array.")
        return base64.b64encode(data[offset : offset + count]).decode("ascii")

    def _convert_frombase64string(self, text: str) -> bytes:
        try:
            return base64.b64decode(text or "", validate=True)
        except (binascii.Error, ValueError):
            raise DotNetError("FormatException", "The input is not a valid Base-64 string.") from None

    def _guid_newguid(self) -> Any:
        return Opaque("guid", uuid.uuid5(uuid.NAMESPACE_OID, f"{self._pc.computer_name}{len(self._pc.mutations)}"))


def member(target: Any, name: str, arguments: tuple[Any, ...] | None) -> Any:
    """Return a property or the result of a method of an instance.

    Raises:
        UnknownMember: the member is not modelled.
    """
    lowered = name.lower()
    if isinstance(target, dict):
        return next((value for key, value in target.items() if key.lower() == lowered), None)
    if isinstance(target, StreamReader) and lowered == "readtoend":
        return target.text
    if isinstance(target, Writer) and lowered == "writeline":
        target.write(f"{text(arguments[0] if arguments else '')}\r\n")
        return None
    if isinstance(target, Sha256) and lowered == "computehash" and arguments:
        return hashlib.sha256(arguments[0]).digest()
    if isinstance(target, (str, bytes, list)) and lowered in ("length", "count"):
        return len(target)
    if isinstance(target, list):  # a property of all members at once
        return [member(each, name, arguments) for each in target]
    if isinstance(target, str):
        return _string_member(target, lowered, arguments or ())
    if isinstance(target, Opaque) and target.name == "guid" and lowered == "tostring":
        return target.payload.hex if arguments == ("N",) else str(target.payload)
    if isinstance(target, DotNetError):
        return _exception_member(target, lowered)
    if isinstance(target, Opaque) and target.name == "record" and lowered == "exception":
        return target.payload
    if isinstance(target, Opaque) and target.name == "type" and lowered in ("name", "fullname"):
        return target.payload
    raise UnknownMember(name)


def _string_member(target: str, name: str, arguments: tuple[Any, ...]) -> Any:
    if name == "replace":
        return target.replace(*arguments)
    if name in ("tolower", "toupper", "trim"):
        return {"tolower": target.lower, "toupper": target.upper, "trim": target.strip}[name]()
    raise UnknownMember(name)


def _exception_member(target: DotNetError, name: str) -> Any:
    if name == "message":
        return target.message
    if name == "hresult":
        return target.code - 2**32 if target.code >= 2**31 else target.code
    if name == "getbaseexception":
        return target
    if name == "gettype":
        return Opaque("type", target.type_name)
    raise UnknownMember(name)


def text(value: Any) -> str:
    """Return a value as PowerShell shows it in a string."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, Record):
        width = max(map(len, value), default=0)
        lines = [f"{name:<{width}} : {text(item)}\r\n" for name, item in value.items()]
        return "\r\n" + "".join(lines) + "\r\n"
    return " ".join(text(item) for item in value) if isinstance(value, (list, bytes)) else str(value)
