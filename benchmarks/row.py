"""One line of the table, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One claim: what was wanted, what was measured."""

    what: str
    target: str
    measured: str
    met: bool | None
    """``None``: it could not be measured, or there is no target; `measured` says why or what."""


def show(rows: Sequence[Row], console: Console, *, title: str) -> None:
    """Print the table."""
    table = Table(title=title, title_justify="left", show_lines=True)
    for heading in ("What", "Target", "Measured", "Met"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        met = {True: "[green]yes[/]", False: "[red]no[/]", None: "-"}[row.met]
        table.add_row(row.what, row.target, row.measured, met)
    console.print(table)
