"""`MobileClient.TCF`: finding the entry that brings provisioning mode back, and taking it out.

The file is INI-like text that ccmsetup reads. `SMSPROVISIONINGMODE=1` in it puts the client into the mode when the
client is installed or repaired. The entry is a line of its own, or a property inside the ``Install=`` line of
``[Client Install]`` beside others (``SMSSITECODE``, ``SMSMP``) that must stay. Sources: Microsoft, "About client
installation parameters and properties" (``/config``, ``Install=INSTALL=ALL ...``); a field report of the line of its
own. The encoding is not documented anywhere: it is detected by byte order mark and kept.

The editor removes the entry and changes no other byte: it does not re-encode and keeps the line endings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

ENTRY = "SMSPROVISIONINGMODE"
MAX_BYTES = 1024 * 1024
"""Bytes of the largest file that is read: a real one has a few hundred. Reading takes time in proportion to the size,
and a file of this size, whatever is in it, does not hold up the other PCs."""


@dataclass(frozen=True)
class Entry:
    """One entry that arms the file."""

    line: int
    """Counted from 1."""
    kind: Literal["line", "token"]
    """A line of its own, or a property inside ``Install=``."""
    text: str
    """The line as it is in the file, without its ending."""


@dataclass(frozen=True)
class Tcf:
    """What a file says about provisioning mode."""

    encoding: str
    """``UTF-8``, ``UTF-16 LE`` or ``UTF-16 BE``, detected by byte order mark; without one ``ANSI``: bytes as they are.
    ``as shown by type``: see `read_type_output`."""
    entries: tuple[Entry, ...]

    @property
    def armed(self) -> bool:
        """Whether the file would bring the mode back."""
        return bool(self.entries)


_BOMS: tuple[tuple[bytes, str, str], ...] = (
    (b"\xff\xfe", "UTF-16 LE", "utf-16-le"),
    (b"\xfe\xff", "UTF-16 BE", "utf-16-be"),
    (b"\xef\xbb\xbf", "UTF-8", "latin-1"),
)
# UTF-8 is edited as single bytes too: the entry is ASCII, and bytes that are not valid UTF-8 must survive.

_VALUE = r'(?:"1"|1)'
_LINE = re.compile(rf"[ \t]*{ENTRY}[ \t]*=[ \t]*{_VALUE}[ \t]*", re.IGNORECASE)
_INSTALL = re.compile(r"[ \t]*Install[ \t]*=", re.IGNORECASE)
_TOKEN = re.compile(rf"(?<=[ \t=]){ENTRY}={_VALUE}(?=[ \t]|$)", re.IGNORECASE)
_WORD = re.compile(ENTRY, re.IGNORECASE)
_BREAK = re.compile(r"\r\n|\r|\n")


def read(data: bytes) -> Tcf:
    """Return what a file with the bytes *data* says; never raises."""
    encoding, text, _, _ = _decode(data)
    return Tcf(encoding, _entries(text))


def read_type_output(output: bytes) -> Tcf:
    """Return what a file says, from the *output* of cmd.exe's ``type``.

    ``type`` prints a UTF-16 file in the console's code page, without its byte order mark, and every other file as it
    is. So output that looks like ANSI may come from a UTF-16 file; its encoding is called ``as shown by type``. The
    result says whether the file is armed, but is not a base for editing.
    """
    content = read(output)
    return Tcf("as shown by type", content.entries) if content.encoding == "ANSI" else content


def disarm(data: bytes) -> bytes:
    """Return *data* without the entry, and every other byte as it was; the same object if there is no entry.

    A line of its own is removed with its line ending. A property inside ``Install=`` is removed with one blank beside
    it. A second call changes nothing.
    """
    _, text, codec, bom = _decode(data)
    spans = [span for line in _lines(text) for span in _spans(text, line)]
    if not spans:
        return data
    kept, position = [], 0
    for start, end in spans:
        kept.append(text[position:start])
        position = end
    kept.append(text[position:])
    edited = "".join(kept)
    return bom + edited.encode(codec, errors="surrogatepass") + _odd_byte(data, codec)


def text_of(data: bytes) -> str:
    """Return a file as text to show; never raises. ANSI is read as Windows-1252; undefined bytes are replaced."""
    encoding, text, _, _ = _decode(data)
    if encoding == "UTF-8":
        return data[3:].decode("utf-8", "replace")
    if encoding == "ANSI":
        return data.decode("cp1252", "replace")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decode(data: bytes) -> tuple[str, str, str, bytes]:
    """Return encoding, text, codec and byte order mark; encoding the text with the codec gives back the same bytes."""
    for bom, encoding, codec in _BOMS:
        if data.startswith(bom):
            body = data[len(bom) :]
            if codec == "latin-1":
                return encoding, body.decode(codec), codec, bom
            whole = body[: len(body) // 2 * 2]
            return encoding, _decode_utf16(whole, codec), codec, bom
    if len(data) >= 4 and data[1::2].count(0) > len(data) // 4:  # most second bytes are zero: UTF-16 without its mark
        return "UTF-16 LE", _decode_utf16(data[: len(data) // 2 * 2], "utf-16-le"), "utf-16-le", b""
    return "ANSI", data.decode("latin-1"), "latin-1", b""


def _decode_utf16(data: bytes, codec: str) -> str:
    """Decode; if surrogates do not pair, go code unit by code unit, so that any bytes come back the same."""
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        order: Literal["little", "big"] = "little" if codec == "utf-16-le" else "big"
        return "".join(chr(int.from_bytes(data[i : i + 2], order)) for i in range(0, len(data), 2))


def _odd_byte(data: bytes, codec: str) -> bytes:
    """Return the half code unit at the end of a UTF-16 file of odd length."""
    return data[-1:] if codec != "latin-1" and len(data) % 2 else b""


@dataclass(frozen=True)
class _Line:
    number: int
    start: int
    end: int
    """Without its ending."""
    ending: int
    """With it."""


def _lines(text: str) -> Iterator[_Line]:
    """Yield the lines that contain the word `ENTRY`. Each character is looked at a few times, however many lines."""
    number, position = 1, 0
    while word := _WORD.search(text, position):
        start = (
            max(text.rfind("\n", position, word.start()), text.rfind("\r", position, word.start()), position - 1) + 1
        )
        number += _breaks(text, position, start)
        ending = _BREAK.search(text, word.end())
        end, position = ending.span() if ending is not None else (len(text), len(text))
        yield _Line(number, start, end, position)
        number += ending is not None


def _breaks(text: str, start: int, end: int) -> int:
    return text.count("\n", start, end) + text.count("\r", start, end) - text.count("\r\n", start, end)


def _spans(text: str, at: _Line) -> list[tuple[int, int]]:
    """Return the spans of *text* to take out for one line."""
    line = text[at.start : at.end]
    if _LINE.fullmatch(line):
        return [(at.start, at.ending)]
    if not _INSTALL.match(line):
        return []
    return [_with_blank(line, at.start, token.start(), token.end()) for token in _tokens(line)]


def _with_blank(line: str, offset: int, start: int, end: int) -> tuple[int, int]:
    """Widen a token by one blank: the one before it, or for the first property the one after it."""
    if line[start - 1] != "=":
        start -= 1
    elif end < len(line):
        end += 1
    return offset + start, offset + end


def _tokens(line: str) -> list[re.Match[str]]:
    """Return the property's tokens in an ``Install=`` line that are not inside a quoted value."""
    found, quotes, counted = [], 0, 0
    for token in _TOKEN.finditer(line):
        quotes += line.count('"', counted, token.start())
        counted = token.start()
        if quotes % 2 == 0:
            found.append(token)
    return found


def _entries(text: str) -> tuple[Entry, ...]:
    found = []
    for at in _lines(text):
        if _spans(text, at):
            line = text[at.start : at.end]
            found.append(Entry(at.number, "line" if _LINE.fullmatch(line) else "token", line.strip()))
    return tuple(found)
