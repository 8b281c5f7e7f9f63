"""The list of PCs as the JSON that the page's script reads: small, and with nothing that ends its element. Pure.

Reasons of many PCs differ in numbers, times and the PC's name alone. So a text is kept once, with a tab for each such
part and a line break for the name, and each row has only its own parts, joined by tabs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provmode.ccm.verdict import outcome
from provmode.report.page.data import HostRow
from provmode.text import json_text, shortened, visible

MOST_BYTES = 1_500_000
"""The list is never larger than this, so that the page stays below 2 MB."""
MOST_ROWS = 10_000
"""How many PCs the page lists, worst first."""
LENGTHS = (600, 300, 150, 80, 40)
"""To how many characters texts are shortened so that the list is small enough. If the last does not suffice, PCs are
left out."""
SAMPLE = 300
LONGEST_NAME = 253
"""The longest name in DNS."""
NUMBERS = re.compile(r"\d+(?:[-.:, ]\d+)*")
"""Numbers, times and versions: what differs between texts that say the same."""


@dataclass(frozen=True)
class Rows:
    """The list, and what it lacks."""

    json: str
    listed: int
    left_out: int = 0
    shortened_to: int | None = None
    """To how many characters texts were shortened; ``None``: they are whole."""


def plain_text(text: str, limit: int = LENGTHS[0]) -> str:
    """Return a text of a PC on one line, without what would control how it is shown, and not longer than *limit*."""
    return shortened(" ".join(visible(text).split()), limit)


def rows_of(hosts: Sequence[HostRow], *, most_bytes: int = MOST_BYTES, most_rows: int = MOST_ROWS) -> Rows:
    """Return the list of *hosts*, as many and with texts as long as there is room for."""
    kept, length = hosts[:most_rows], LENGTHS[0]
    text, size = _packed(kept, length)
    if size > most_bytes:
        length = _short_enough(kept, most_bytes)
        text, size = _packed(kept, length)
    while size > most_bytes:
        kept = kept[: int(len(kept) * most_bytes / size * 0.95)]
        text, size = _packed(kept, length)
    return Rows(text, len(kept), len(hosts) - len(kept), length if length < LENGTHS[0] else None)


def _short_enough(hosts: Sequence[HostRow], most_bytes: int) -> int:
    """Return the length of texts at which the list is small enough, judged by some of its rows, else the shortest."""
    some = hosts[:: max(1, len(hosts) // SAMPLE)]
    fits = (length for length in LENGTHS[1:] if _packed(some, length)[1] * len(hosts) / len(some) <= most_bytes)
    return next(fits, LENGTHS[-1])


def _packed(hosts: Sequence[HostRow], length: int) -> tuple[str, int]:
    """Return the list with texts of at most *length* characters, and its size."""
    text = _safe(_Table(length).document(hosts))
    return text, len(text.encode("utf-8", "replace"))


def _safe(document: Any) -> str:
    """Return JSON that no HTML parser sees an end tag or a comment in."""
    text = json_text(document)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


class _Table:
    """Texts and kinds of rows, each kept once."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._texts: dict[str, int] = {}
        self._kinds: dict[tuple[str, str, str], int] = {}

    def document(self, hosts: Sequence[HostRow]) -> dict[str, Any]:
        rows = [self._row(host) for host in hosts]
        return {"kinds": list(map(list, self._kinds)), "texts": list(self._texts), "rows": rows}

    def _row(self, row: HostRow) -> list[Any]:
        name = plain_text(row.host, LONGEST_NAME)
        kind = (row.verdict.value, outcome(row.verdict).value, plain_text(row.cause, 40))
        last = row.last_verdict
        cells: list[Any] = [
            name,
            self._kinds.setdefault(kind, len(self._kinds)),
            *self._text(row.reason, name),
            *self._text(row.next_step, name),
            row.in_mode,
            _minutes(row.since),
            last.value if last is not None else None,
            _minutes(row.last_seen),
            *(part for finding in row.findings for part in self._text(finding, name)),
        ]
        while cells[-1] is None:
            cells.pop()
        return cells

    def _text(self, text: str, name: str) -> tuple[int, str]:
        """Return the number of a text, and the parts of it that are this row's own."""
        text = plain_text(text, self._length)
        if name:
            text = text.replace(name, "\n")
        parts: list[str] = []

        def take(found: re.Match[str]) -> str:
            parts.append(found.group())
            return "\t"

        kept = NUMBERS.sub(take, text)
        return self._texts.setdefault(kept, len(self._texts)), "\t".join(parts)


def _minutes(moment: datetime | None) -> int | None:
    """Return a time in whole minutes since 1970, UTC."""
    return None if moment is None else int(moment.timestamp() // 60)
