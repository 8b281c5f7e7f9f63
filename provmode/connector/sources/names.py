"""A list of names of PCs, one a line. Pure.

Empty lines count for nothing, nor does what comes after ``#``. A name may begin with ``@winrm/``.
"""

from __future__ import annotations

from dataclasses import dataclass

from provmode.connector.sources.decoding import Mistake, decode
from provmode.connector.sources.headings import NAME, column_of


@dataclass(frozen=True)
class Names:
    """The names of a list, with their lines."""

    names: tuple[tuple[int, str], ...]
    notes: tuple[str, ...] = ()
    mistakes: tuple[Mistake, ...] = ()


def read_names(data: bytes) -> Names:
    """Read a list; lines that are no name are among its mistakes, and what else stands there is never repeated."""
    decoded = decode(data)
    names: list[tuple[int, str]] = []
    mistakes = list(decoded.mistakes)
    for number, line in enumerate(decoded.lines, 1):
        name = line.removeprefix("\ufeff").partition("#")[0].strip(" \t")
        if not name:
            continue
        name = name.removeprefix("@winrm/")
        what, cure = _wrong(name)
        if not what and not names and column_of(name) == NAME:
            what, cure = "is the heading of a table, not the name of a PC", "take it out, or read the file by @csv/FILE"
        if what:
            mistakes.append(Mistake(number, what, cure))
        else:
            names.append((number, name))
    return Names(tuple(names), decoded.notes, tuple(mistakes))


def _wrong(name: str) -> tuple[str, str]:
    """Return what is wrong with a line, and the cure; both empty if it can be a name."""
    if any(character in name for character in " \t,;|"):
        return "has more than one name", "write one name a line; a table with a heading is read by @csv/FILE"
    if not name or name.startswith("@"):
        return "has a connector in place of a name", "write the name alone: PC-0001"
    if not any(character.isalnum() for character in name):
        return "has no letter and no digit", "take it out"
    return "", ""
