"""A table of PCs with a heading, as spreadsheets and directories export it. Pure.

What stands between cells is found in the heading, or said by Excel's first line ``sep=;``. Cells may be quoted, with
quotes doubled inside. PowerShell's first line ``#TYPE ...`` counts for nothing, and a row that begins with ``#`` is
left out.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from provmode.connector.sources.decoding import Mistake, decode
from provmode.connector.sources.headings import (
    GROUPS,
    NAME,
    REMARK,
    WAYS_FOR_PASSWORDS,
    column_of,
    holds_passwords,
    nearest_column,
    value_of,
)

_SEPARATOR = re.compile(r'"?sep=(?P<separator>.?)"?', re.IGNORECASE)
_USUAL = ";,\t|"
"""What usually stands between cells, the likelier one first."""
_NO_SEPARATOR = frozenset("_-.#/\"' ()")
"""Characters of headings that never stand between cells."""
_BLANKS = " \t"


@dataclass(frozen=True)
class Row:
    """A row that names a PC."""

    line: int
    name: str
    values: dict[str, Any]
    """The value of each key of ``winrm_*`` whose cell is not empty."""
    groups: tuple[str, ...] = ()


@dataclass
class Table:
    """The rows of a table, and everything that is wrong with it."""

    rows: list[Row] = field(default_factory=list)
    keys: frozenset[str] = frozenset()
    """The keys of ``winrm_*`` that have a column."""
    left_out: list[tuple[int, str]] = field(default_factory=list)
    """The rows that are commented out: line and first cell."""
    notes: tuple[str, ...] = ()
    mistakes: list[Mistake] = field(default_factory=list)

    def wrong(self, line: int | None, what: str, cure: str = "") -> None:
        """Add a mistake."""
        self.mistakes.append(Mistake(line, what, cure))


def read_table(data: bytes) -> Table:
    """Read a table. Where it has mistakes, the rows that can be read are there all the same, to be checked further."""
    decoded = decode(data)
    table = Table(notes=decoded.notes, mistakes=list(decoded.mistakes))
    if not decoded.mistakes:
        _read(table, decoded.lines)
    return table


def _read(table: Table, lines: Sequence[str]) -> None:
    begin, separator = _beginning(table, lines)
    if begin >= len(lines):
        if not table.mistakes:
            table.wrong(None, "is empty", "its first line names the columns: name, address, groups")
        return
    heading = lines[begin]
    separator = separator or _separator(heading)
    columns = _columns(table, begin + 1, _cells(heading, separator))
    if columns is None:
        return
    table.keys = frozenset(columns) - {NAME, GROUPS, REMARK, ""}
    for number, cells in _rows(table, lines, begin + 1, separator):
        _row(table, number, cells, columns)


def _beginning(table: Table, lines: Sequence[str]) -> tuple[int, str]:
    """Return the index of the heading, and what the file says that stands between cells."""
    index, separator = 0, ""
    while index < len(lines):
        line = lines[index]
        said = None if separator else _SEPARATOR.fullmatch(line)
        if said is not None:
            separator = said["separator"]
            if not separator or separator in '" ' or separator.isalnum():
                table.wrong(index + 1, "says sep= without what stands between cells", "write sep=; or take it out")
                return len(lines), ""
        elif line.strip(_BLANKS) and not line.startswith("#TYPE "):
            break
        index += 1
    return index, separator


def _separator(heading: str) -> str:
    """Return what stands between the cells of a heading: what makes most headings of it that are known."""
    outside = re.sub(r'"[^"]*"', "", heading)
    found = {character for character in outside if not character.isalnum() and character not in _NO_SEPARATOR}
    candidates = [*(usual for usual in _USUAL if usual in found), *sorted(found.difference(_USUAL))[:20]]

    def known(candidate: str) -> tuple[int, int]:
        cells = _cells(heading, candidate)
        return sum(column_of(cell) is not None or holds_passwords(cell) for cell in cells), len(cells)

    return max(candidates, key=known, default=",")


def _cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line that is a heading, whatever its quotes are."""
    return [cell.strip(_BLANKS) for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def _columns(table: Table, line: int, headings: Sequence[str]) -> list[str] | None:
    """Return the column of each heading; ``None`` if the rows must not or cannot be read."""
    columns = [column_of(heading) if heading else "" for heading in headings]
    secret = [heading for heading in headings if holds_passwords(heading)]
    if not secret and not any(column not in (None, "", REMARK) for column in columns):
        table.wrong(  # the line may be a row: it is not repeated
            line, "is no heading", "the first line names the columns: name, and address, groups, winrm_... if needed"
        )
        return None
    for heading, column in zip(headings, columns, strict=True):
        if heading in secret:
            table.wrong(line, f"has a column {heading[:60]!a}, which holds passwords", WAYS_FOR_PASSWORDS)
        elif column is None:
            table.wrong(line, f"has a column {heading[:60]!a}, which is not known", nearest_column(heading))
    for column in dict.fromkeys(columns):
        if column not in (None, "", REMARK) and columns.count(column) > 1:
            same = [heading for heading, other in zip(headings, columns, strict=True) if other == column]
            table.wrong(line, f"has {len(same)} columns for one thing: {', '.join(same)[:100]}", "take all but one out")
    if NAME not in columns:
        table.wrong(line, "has no column for the names of the PCs", "call it name")
    if secret or NAME not in columns:
        return None
    return [column if column is not None else REMARK for column in columns]


def _rows(table: Table, lines: Sequence[str], begin: int, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line and cells of each row from the line with the index *begin* on."""
    reader = csv.reader(
        (f"{line}\n" for line in lines[begin:]), delimiter=separator, skipinitialspace=True, strict=True
    )
    while True:
        number = begin + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            end = begin + reader.line_num
            if end > number or "end of data" in str(error):
                table.wrong(number, f"opens a quote that is not closed up to line {end}", "close it, or take it out")
            else:
                table.wrong(number, "has a quote in the wrong place", 'quotes inside of a quoted cell are doubled: ""')
            continue
        yield number, [cell.strip(_BLANKS) for cell in cells]


def _row(table: Table, number: int, cells: list[str], columns: Sequence[str]) -> None:
    if not any(cells):
        return
    if cells[0].startswith("#"):
        table.left_out.append((number, cells[0].lstrip("# \t")))
        return
    if any(cells[len(columns) :]):
        table.wrong(number, f"has {len(cells)} cells, and the heading {len(columns)}", "quote a cell with a separator")
        return
    filled = {column: cell for column, cell in zip(columns, cells, strict=False) if cell and column != REMARK}
    if filled.pop("", ""):
        place = next(place for place, column in enumerate(columns) if not column and cells[place])
        table.wrong(number, f"has something in column {place + 1}, which has no heading", "name the column")
    if "\n" in "".join(filled.values()):
        table.wrong(
            number, "has a cell with a line break", "look for a quote in this line that is closed in a later one"
        )
        return
    name = filled.pop(NAME, "").removeprefix("@winrm/")
    groups = _groups(filled.pop(GROUPS, ""))
    values: dict[str, Any] = {}
    for key, cell in filled.items():
        try:
            values[key] = value_of(key, cell)
        except ValueError as error:
            table.wrong(number, f"{key} is {cell[:60]!a}, {error}")
    if name:
        table.rows.append(Row(number, name, values, groups))
    else:
        table.wrong(number, "has no name")


@functools.lru_cache(maxsize=1024)
def _groups(cell: str) -> tuple[str, ...]:
    """Return the groups in a cell; ``all`` is the group of every host."""
    names = (group.strip(_BLANKS) for group in re.split("[;,|]", cell))
    return tuple(dict.fromkeys(group for group in names if group and group != "all"))
