"""What holds of each key of the configuration, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provmode.fleet.configuration import Configuration, toml
from provmode.fleet.configured import DEFAULT, Holding
from provmode.text import visible


def configuration_lines(found: Configuration, rows: Sequence[Holding]) -> Iterator[str]:
    """Yield the file that counts, and a line for each key: its value, and where that comes from."""
    if found.path is None:
        yield "There is no configuration file: provmode init writes one."
    else:
        yield visible(f"The configuration file is {found.path} ({found.found_by}).")
    yield ""
    cells = [(row.key, _value(row), _origin(row)) for row in rows]
    key, value = (max(len(row[column]) for row in cells) for column in (0, 1))
    for row in cells:
        yield visible(f"{row[0]:<{key}}  {row[1]:<{min(value, 40)}}  {row[2]}")
    yield ""
    yield "Of policy and data the inventory's own are stronger than the file's; --data is stronger than both."


def _value(row: Holding) -> str:
    if row.hidden:
        return "(not shown)"
    return "(none)" if row.value is None else toml(row.value)


def _origin(row: Holding) -> str:
    return DEFAULT if row.source == DEFAULT else f"{row.source} {row.place}"
