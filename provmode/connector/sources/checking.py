"""Names and values of all rows of a source, before anything is sent: every mistake, with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from provmode.connector.host_data import mistakes_in
from provmode.connector.host_names import check_host_name, look, spelling
from provmode.connector.mistakes import check_address, check_visible
from provmode.connector.sources.table import Row
from provmode.errors import UsageError

LONGEST_GROUP = 100
"""Characters of a group's name."""


def mistakes_of(rows: Iterable[Row], place: Callable[[int], str]) -> Iterator[tuple[int, UsageError]]:
    """Yield everything that is wrong with *rows*, each with its line; *place* says where a line is."""
    first: dict[str, Row] = {}
    fine: set[object] = set()
    """Values and groups that were checked: most rows have the same."""
    for row in rows:
        where = place(row.line)
        errors = [_wrong_name(where, row, first), *_wrong_values(where, row, fine)]
        for group in row.groups:
            if group not in fine:
                errors.append(_wrong_group(where, group))
                if errors[-1] is None:
                    fine.add(group)
        for error in errors:
            if error is not None:
                yield row.line, error


def _wrong_name(where: str, row: Row, first: dict[str, Row]) -> UsageError | None:
    try:
        check_address(f"{where}: the name", row.name)
        check_host_name(row.name)
    except UsageError as error:
        return error if where in error.what else UsageError(f"{where}: {error.what}", next_step=error.next_step)
    other = first.setdefault(look(row.name), row)
    if other is row:
        return None
    if spelling(other.name) == spelling(row.name):
        return UsageError(
            f"{where}: {row.name} is on line {other.line} already", next_step="take one of the two lines out"
        )
    return UsageError(
        f"{where}: {row.name!a} looks like {other.name!a} on line {other.line}",
        next_step="take out the one that is not the PC's",
    )


def _wrong_values(where: str, row: Row, fine: set[object]) -> Iterator[UsageError]:
    values: dict[str, Any] = dict(row.values)
    address = values.pop("winrm_address", None)
    if address is not None:
        try:
            check_address(f"{where}: winrm_address", address)
        except UsageError as error:
            yield error
    key = tuple(sorted(values.items()))
    if key and key not in fine:
        wrong = list(mistakes_in(where, values))
        yield from wrong
        if not wrong:
            fine.add(key)


def _wrong_group(where: str, group: str) -> UsageError | None:
    try:
        check_visible(f"{where}: a group", group, blanks=True)
    except UsageError as error:
        return error
    if len(group) > LONGEST_GROUP:
        return UsageError(f"{where}: a group's name has {len(group):,} characters, over {LONGEST_GROUP}")
    for character in "*?[":
        if character in group:
            return UsageError(
                f"{where}: the group {group!a} has a {character}", next_step="--limit would take it for a pattern"
            )
    if group.startswith(("@", "!")):
        return UsageError(f"{where}: the group {group!a} begins with {group[0]}", next_step="--limit could not name it")
    return None
