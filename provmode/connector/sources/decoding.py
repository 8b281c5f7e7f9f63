"""The bytes of a text file to lines of text, whatever program wrote it. Pure.

Editors, spreadsheets and shells write UTF-8 with and without a byte order mark, UTF-16 with and without one, and
Windows' own code page. What is neither is refused by line: a name that is read wrong would lead to another PC.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

LONGEST_LINE = 10_000
"""Characters of a line. A longer one is no row of PCs."""
MOST_BYTES = 32 * 1024 * 1024
"""Bytes of a file: 300,000 PCs with a hundred characters each."""

_MARKS = (  # the longer ones first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
_KINDS = (
    (b"PK\x03\x04", "an Excel workbook or another archive", "save it as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save it as CSV UTF-8"),
    (b"%PDF", "a PDF", "export it as CSV or text"),
    (b"\x1f\x8b", "compressed", "unpack it first"),
)
"""What else begins like this, and what to do with it."""


@dataclass(frozen=True)
class Mistake:
    """What is wrong with a file, by line."""

    line: int | None
    """``None`` if it is about the whole file."""
    what: str
    cure: str = ""


@dataclass(frozen=True)
class Decoded:
    """The lines of a file, without their ends. If there is a mistake, there are none."""

    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    mistakes: tuple[Mistake, ...] = ()


def decode(data: bytes) -> Decoded:
    """Return the lines of a text file; ``\\n``, ``\\r\\n`` and ``\\r`` end a line, and nothing else does."""
    if len(data) > MOST_BYTES:
        return _refused(None, f"is larger than {MOST_BYTES // 1024 // 1024} MiB", "is it the right file?")
    for signature, what, cure in _KINDS:
        if data.startswith(signature):
            return _refused(None, f"is {what}, not text", cure)
    try:
        text, notes = _text(data)
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        tried = "UTF-8 or Windows-1252" if error.encoding == "charmap" else error.encoding.upper()
        return _refused(line, f"cannot be read as {tried}", "save the file as UTF-8")
    text = text.removesuffix("\x1a")  # the end of a file, as MS-DOS marks it
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    mistakes = [
        Mistake(number, f"has {len(line):,} characters, and no line may have over {LONGEST_LINE:,}")
        for number, line in enumerate(lines, 1)
        if len(line) > LONGEST_LINE
    ]
    if "\0" in text:
        number = next(number for number, line in enumerate(lines, 1) if "\0" in line)
        mistakes.append(Mistake(number, "has a NUL character: this is no text", "save the file as UTF-8"))
    return Decoded(() if mistakes else tuple(lines), notes, tuple(mistakes))


def _refused(line: int | None, what: str, cure: str) -> Decoded:
    return Decoded(mistakes=(Mistake(line, what, cure),))


def _text(data: bytes) -> tuple[str, tuple[str, ...]]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding), ()
    if encoding := _wide(data[:1000]):
        return data.decode(encoding), ()
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError as error:
        line = 1 + data[: error.start].count(b"\n")
        text = data.decode("cp1252")  # what is neither fails here
    return text, (f"line {line} is not UTF-8, so the file was read as Windows-1252; save it as UTF-8 to be sure",)


def _wide(head: bytes) -> str:
    """Return the encoding of UTF-16 without a mark: half of its bytes are zero if most of its letters are ASCII."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > len(head) // 4 and not even:
        return "utf-16-le"
    if even > len(head) // 4 and not odd:
        return "utf-16-be"
    return ""
