"""Whether a run may change PCs at a moment: inside a window, outside every blackout, and not after a time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from provmode.calendars.spans import Span, joined


@dataclass(frozen=True)
class State:
    """What holds at one moment."""

    open: bool
    why: str = ""
    """Why it is not open."""
    closes: datetime | None = None
    """When it is not open any more; ``None``: nothing is known to close it."""
    opens: datetime | None = None
    """When it is open next, if it is not; ``None``: not before the calendars were read to."""


@dataclass(frozen=True)
class Opening:
    """Windows, blackouts and a last moment. A blackout is stronger than a window."""

    windows: tuple[Span, ...] | None = None
    """When something may be changed; ``None``: there is no calendar of windows, and it always may."""
    blackouts: tuple[Span, ...] = ()
    """When nothing may be changed."""
    not_after: datetime | None = None
    """From then on nothing may be changed, whatever else is said."""

    @cached_property
    def spans(self) -> tuple[Span, ...] | None:
        """The windows without the blackouts, in order; ``None`` if there are no windows."""
        return None if self.windows is None else tuple(_without(joined(self.windows), self._shut))

    @cached_property
    def _shut(self) -> tuple[Span, ...]:
        """The blackouts, in order."""
        return joined(self.blackouts)

    def at(self, moment: datetime) -> State:
        """Return what holds at a *moment*."""
        if self.not_after is not None and moment >= self.not_after:
            return State(False, "it is later than --not-after says")
        blackout = next((span for span in self._shut if span.has(moment)), None)
        if self.spans is None:
            return self._without_windows(moment, blackout)
        window = next((span for span in self.spans if span.has(moment)), None)
        if window is not None:
            return State(True, closes=self._at_most(window.ends))
        why = "a blackout holds" if blackout is not None else "no window is open"
        opens = next((span.begins for span in self.spans if span.begins > moment), None)
        return State(False, why, opens=self._if_before(opens))

    def _without_windows(self, moment: datetime, blackout: Span | None) -> State:
        if blackout is not None:
            return State(False, "a blackout holds", opens=self._if_before(blackout.ends))
        begins = next((span.begins for span in self._shut if span.begins > moment), None)
        return State(True, closes=self._at_most(begins))

    def _at_most(self, moment: datetime | None) -> datetime | None:
        return min((each for each in (moment, self.not_after) if each is not None), default=None)

    def _if_before(self, opens: datetime | None) -> datetime | None:
        """Return when it opens, unless it is too late then."""
        late = opens is not None and self.not_after is not None and opens >= self.not_after
        return None if late else opens


def _without(spans: Sequence[Span], blackouts: Sequence[Span]) -> Iterator[Span]:
    """Yield the parts of *spans* that *blackouts* leave; both are in order, and have gaps."""
    first = 0
    for span in spans:
        begins = span.begins
        while first < len(blackouts) and blackouts[first].ends <= begins:
            first += 1
        number = first
        while number < len(blackouts) and blackouts[number].begins < span.ends:
            if begins < blackouts[number].begins:
                yield Span(begins, blackouts[number].begins)
            begins = max(begins, blackouts[number].ends)
            number += 1
        if begins < span.ends:
            yield Span(begins, span.ends)
