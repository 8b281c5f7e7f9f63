"""What stands in a `MobileClient.TCF`: text and encoding, sections, the properties of its ``Install=`` line. Pure.

The verdict needs none of this: it asks only whether the file is armed (`provmode.ccm.tcf`).

cmd.exe's ``type`` prints a UTF-16 file with a byte order mark in the console's code page (UTF-8 here), and every other
file byte by byte. So the text can be read from its output, and the encoding can be told from it and the file's size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from provmode.ccm import tcf
from provmode.windows.model import JsonRecord

INSTALL = "Install"
"""The key of the line that ccmsetup takes its properties from, in section ``Client Install``."""
SECTION = "Client Install"


@dataclass(frozen=True)
class TcfContents(JsonRecord):
    """One `MobileClient.TCF` with its contents."""

    path: str
    armed: bool
    """Whether the file contains ``SMSPROVISIONINGMODE=1``."""
    encoding: str
    """``ANSI``, ``UTF-8``, ``UTF-16 LE`` or ``UTF-16 BE``; ``as shown by type`` if it could not be told."""
    text: str
    """With the file's own line endings, without its byte order mark."""
    sections: dict[str, dict[str, str]]
    """Keys and values by section, both as they are written. What stands before the first section is in ``""``. Of a
    key that is there twice in a section the first holds, as in Windows. A line without ``=`` is a key without a value.
    Comments (``;``) are left out."""
    install: dict[str, str]
    """The properties of the ``Install=`` line, such as ``SMSSITECODE``, without the quotation marks around a value. Of
    a property that is there twice the last holds. A word without ``=`` (``/mp:...``) has an empty value."""
    entries: tuple[str, ...]
    """The lines that arm the file."""


def contents_of(path: str, output: bytes, size: int | None) -> TcfContents:
    """Return a file's contents from what ``type`` printed; *size* are the bytes of the file, if that is known."""
    read = tcf.read_type_output(output)
    encoding, text = _decoded(output, size, read.encoding)
    sections = sections_of(text)
    lines = tuple(entry.text for entry in read.entries)
    return TcfContents(path, read.armed, encoding, text, sections, _install_of(sections), lines)


def _decoded(output: bytes, size: int | None, encoding: str) -> tuple[str, str]:
    if encoding != "as shown by type":  # the bytes of the file, which say what they are
        return encoding, tcf.text_of(output).removeprefix("\ufeff")
    try:
        text = output.decode("utf-8")
    except UnicodeDecodeError:  # a UTF-16 file would have been printed as UTF-8
        return "ANSI", tcf.text_of(output)
    if size == len(text.encode("utf-16-le")) + 2 and size != len(output):
        return "UTF-16 LE", text
    if size == len(output):
        return "ANSI", tcf.text_of(output)
    return encoding, text


_SECTION = re.compile(r"[ \t]*\[([^\]]*)\]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_WORD = re.compile(r'(?:[^\s"]|"[^"]*(?:"|$))+')


def sections_of(text: str) -> dict[str, dict[str, str]]:
    """Return the keys and values of INI-like *text*, by section; names are compared without regard to case."""
    found: dict[str, dict[str, str]] = {}
    spelled: dict[str, str] = {"": ""}
    seen: set[tuple[str, str]] = set()
    section = ""
    for line in _LINE_END.split(text):
        head = _SECTION.match(line)
        if head is not None:
            name = head.group(1).strip()
            section = spelled.setdefault(name.lower(), name)
            found.setdefault(section, {})
            continue
        key, _, value = (part.strip() for part in line.partition("="))
        if (key or value) and not key.startswith(";") and (section, key.lower()) not in seen:
            seen.add((section, key.lower()))
            found.setdefault(section, {})[key] = value
    return found


def properties_of(line: str) -> dict[str, str]:
    """Return the properties in the value of an ``Install=`` line, by their names as they are written."""
    found: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for word in _WORD.findall(line):
        name, _, value = word.partition("=")
        name = spelled.setdefault(name.lower(), name)
        found[name] = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return found


def _install_of(sections: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return the properties of the ``Install=`` line: of section ``Client Install`` if it is there, else of any."""
    lines = [
        (section.lower() != SECTION.lower(), value)
        for section, keys in sections.items()
        for key, value in keys.items()
        if key.lower() == INSTALL.lower()
    ]
    return properties_of(min(lines, key=lambda item: item[0])[1]) if lines else {}
