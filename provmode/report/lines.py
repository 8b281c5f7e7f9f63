"""Lines of a report: indented, wrapped, without trailing spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from provmode.text import visible

T = TypeVar("T")

NAMES_SHOWN = 8
"""How many host names of a folded case are shown; the JSON has all of them."""


def line(text: str | Text, console: Console, indent: int = 0, style: str = "") -> None:
    """Print *text*, indented by *indent* columns and wrapped to the width; nothing is cut off."""
    content = Text(visible(text), style=style) if isinstance(text, str) else text
    for part in content.wrap(console, max(20, console.width - indent), overflow="fold"):
        part.rstrip()
        console.print(Text(" " * indent).append_text(part) if part else part, soft_wrap=True)


def names_of(hosts: Sequence[str], shown: int = NAMES_SHOWN) -> str:
    """Return the first few host names, and how many more there are."""
    more = f" and {len(hosts) - shown:,} more" if len(hosts) > shown else ""
    return ", ".join(hosts[:shown]) + more


def count_of(number: int) -> str:
    """Return a number of hosts in words: ``1 host``, ``1,842 hosts``."""
    return f"{number:,} host{'s' if number != 1 else ''}"


def fold(items: Iterable[T], key: Callable[[T], str]) -> list[tuple[str, list[T]]]:
    """Group the items by their *key*; the largest group comes first."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return sorted(groups.items(), key=lambda pair: -len(pair[1]))
