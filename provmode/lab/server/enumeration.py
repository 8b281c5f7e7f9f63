"""Enumerations in progress: pages, contexts that change with every answer, and their end (DSP0226 section 8).

A page holds as many items as the client asked for and its envelope takes, counted as UTF-16, two octets a
character. A context that nobody has pulled for `IDLE_SECONDS` of the PC's clock is dropped.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from provmode.lab.server import faults
from provmode.lab.server.faults import SoapFault

IDLE_SECONDS = 60.0
"""``Service/EnumerationTimeoutms``, 60000 by default."""
MAX_BATCH_ITEMS = 32000
_ENVELOPE_OVERHEAD = 2000
"""Characters of an answer's headers and wrapping, rounded up."""


@dataclass
class _Enumeration:
    """What is still to be sent of one enumeration."""

    items: deque[str]
    owner: str
    touched: float


@dataclass(frozen=True)
class Page:
    """One answer's worth of items."""

    items: tuple[str, ...]
    context: str
    """The context to pull with next, or empty at the end of the sequence."""


class Enumerations:
    """The open enumerations of one PC."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[str, _Enumeration] = {}

    def __len__(self) -> int:
        """Return how many are open: each counts as an operation of its user."""
        self._drop_idle()
        return len(self._open)

    def begin(self, items: Iterable[str], owner: str, count: int, max_envelope: int) -> Page:
        """Start an enumeration of *items* and return its first page, of *count* items at most (0: none yet)."""
        enumeration = _Enumeration(deque(items), owner, self._clock())
        if count == 0:
            return Page((), self._keep(enumeration))
        return self._page(enumeration, count, max_envelope)

    def pull(self, context: str, owner: str, count: int, max_envelope: int) -> Page:
        """Return the next page.

        Raises:
            SoapFault: 2150858779 where the context is old, finished, idle too long, or another user's.

        """
        return self._page(self._take(context, owner), count, max_envelope)

    def release(self, context: str, owner: str) -> None:
        """End an enumeration before its end; raises like `pull`."""
        self._take(context, owner)

    def _take(self, context: str, owner: str) -> _Enumeration:
        """Return the enumeration of *context*, which is no longer valid after this."""
        self._drop_idle()
        found = self._open.get(context)
        if found is None or found.owner != owner:
            raise SoapFault(faults.INVALID_CONTEXT)
        del self._open[context]
        return found

    def _page(self, enumeration: _Enumeration, count: int, max_envelope: int) -> Page:
        """Cut a page off *enumeration*."""
        room = max_envelope // 2 - _ENVELOPE_OVERHEAD
        items: list[str] = []
        while enumeration.items and len(items) < count and len(enumeration.items[0]) <= room:
            room -= len(enumeration.items[0])
            items.append(enumeration.items.popleft())
        if enumeration.items and not items:
            raise SoapFault(faults.ENVELOPE_EXCEEDED)
        return Page(tuple(items), self._keep(enumeration) if enumeration.items else "")

    def _keep(self, enumeration: _Enumeration) -> str:
        """Keep *enumeration* under a new context."""
        context = f"uuid:{str(uuid.uuid4()).upper()}"
        enumeration.touched = self._clock()
        self._open[context] = enumeration
        return context

    def _drop_idle(self) -> None:
        """Drop what nobody has pulled for too long."""
        now = self._clock()
        for context in [key for key, each in self._open.items() if now - each.touched >= IDLE_SECONDS]:
            del self._open[context]
