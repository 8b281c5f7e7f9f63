"""Enumerations in progress: pages, contexts that change with every answer, and their end (DSP0226 section 8).

A page holds as many items as the client asked for, if they fit into its envelope at two octets a character (UTF-16).
A context that has been idle for `IDLE_SECONDS` of the lab's clock is dropped.
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
    last_used: float


@dataclass(frozen=True)
class Page:
    """The items of one answer."""

    items: tuple[str, ...]
    context: str
    """The context for the next Pull; empty at the end of the sequence."""


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
            SoapFault: 2150858779 if the context is old, finished, idle for too long, or another user's.

        """
        return self._page(self._take(context, owner), count, max_envelope)

    def release(self, context: str, owner: str) -> None:
        """End an enumeration early; raises like `pull`."""
        self._take(context, owner)

    def _take(self, context: str, owner: str) -> _Enumeration:
        """Return the enumeration of *context* and make the context invalid."""
        self._drop_idle()
        found = self._open.get(context)
        if found is None or found.owner != owner:
            raise SoapFault(faults.INVALID_CONTEXT)
        del self._open[context]
        return found

    def _page(self, enumeration: _Enumeration, count: int, max_envelope: int) -> Page:
        """Take the next page from *enumeration*."""
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
        enumeration.last_used = self._clock()
        self._open[context] = enumeration
        return context

    def _drop_idle(self) -> None:
        """Drop enumerations that have been idle for too long."""
        now = self._clock()
        for context in [key for key, each in self._open.items() if now - each.last_used >= IDLE_SECONDS]:
            del self._open[context]
