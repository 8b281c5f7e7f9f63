"""A row of the table, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One claim: the target and the measurement."""

    what: str
    target: str
    measured: str
    met: bool | None
    """``None``: there is no target, or the claim could not be measured (`measured` says why)."""


def show(rows: Sequence[Row], console: Console, *, title: str) -> None:
    """Print the table."""
    table = Table(title=title, title_justify="left", show_lines=True)
    for heading in ("What", "Target", "Measured", "Met"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        met = {True: "[green]yes[/]", False: "[red]no[/]", None: "-"}[row.met]
        table.add_row(row.what, row.target, row.measured, met)
    console.print(table)
