"""Lines of a report: indented, without trailing spaces, and wrapped for people at a terminal.

A report that goes to a file or another program, or that is asked for with ``--wide``, is *wide*: no line is wrapped, no
name is left out, and every host has lines of its own that begin with its name, so that `grep NAME` finds its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from provmode.text import visible

T = TypeVar("T")

NAMES_SHOWN = 8
"""How many host names of a folded case are shown at a terminal; wide reports and the JSON have all of them."""


class Page(Console):
    """A console that reports are printed on."""

    def __init__(self, *, wide: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.wide = wide

    def on_broken_pipe(self) -> None:
        """Do not end the program when the reader of its output is gone."""
        raise  # noqa: PLE0704 - rich calls this while it handles the error


def is_wide(console: Console) -> bool:
    """Return whether a report on *console* is neither wrapped nor folded nor shortened."""
    return isinstance(console, Page) and console.wide


def line(text: str | Text, console: Console, indent: int = 0, style: str = "") -> None:
    """Print *text*, indented by *indent* columns and wrapped to the width, if not wide; nothing is cut off.

    What is in it begins no line of its own: a plan or a PC could write there what looks like ours.
    """
    content = Text(visible(text).replace("\n", " "), style=style) if isinstance(text, str) else text
    width = max(20, console.width - indent)
    for part in content.split() if is_wide(console) else content.wrap(console, width, overflow="fold"):
        part.rstrip()
        console.print(Text(" " * indent).append_text(part) if part else part, soft_wrap=True)


def names_of(hosts: Sequence[str], console: Console, shown: int = NAMES_SHOWN) -> str:
    """Return the first few host names, and how many more there are; all of them in a wide report."""
    shown = len(hosts) if is_wide(console) else shown
    more = f" and {len(hosts) - shown:,} more" if len(hosts) > shown else ""
    return ", ".join(hosts[:shown]) + more


def count_of(number: int) -> str:
    """Return a number of hosts in words: ``1 host``, ``1,842 hosts``."""
    return f"{number:,} host{'s' if number != 1 else ''}"


def print_left_out(excluded: Sequence[str], console: Console) -> None:
    """Print the hosts that ``--exclude`` left out, if any."""
    if excluded:
        line(f"left out by --exclude  {count_of(len(excluded))}", console, 0, "bold")
        line(names_of(excluded, console), console, 2)
        console.print()


def and_left_out(excluded: Sequence[str]) -> str:
    """Return how many hosts were left out, for the end of a report's last line."""
    return f"; {count_of(len(excluded))} left out" if excluded else ""


def print_missing(missing: Sequence[str], total: int, console: Console) -> None:
    """Print which of *total* hosts were not looked at because the run was interrupted."""
    line(Text.assemble(("interrupted", "bold red"), (f"  {len(missing)} of {total} not looked at", "bold")), console)
    line(names_of(missing, console), console, 2)
    console.print()


def fold(items: Iterable[T], key: Callable[[T], str]) -> list[tuple[str, list[T]]]:
    """Group the items by their *key*; the largest group comes first."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return sorted(groups.items(), key=lambda pair: -len(pair[1]))
