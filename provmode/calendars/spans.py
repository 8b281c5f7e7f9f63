"""Spans of time in UTC, and joining those that touch. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, order=True)
class Span:
    """From a moment up to another one, which is no longer part of it."""

    begins: datetime
    ends: datetime

    def has(self, moment: datetime) -> bool:
        """Return whether a *moment* is in it."""
        return self.begins <= moment < self.ends


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the same time as spans in their order, with a gap between any two."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.begins <= found[-1].ends:
            found[-1] = Span(found[-1].begins, max(found[-1].ends, span.ends))
        else:
            found.append(span)
    return tuple(found)
