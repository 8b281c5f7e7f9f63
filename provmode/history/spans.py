"""The looks at one host, and the spans that they make. Pure.

`spans_of` says what spans are. The writer does the same faster for the usual case, a run that is later than all
others; a test compares the two.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Found:
    """What one look found: the numbers of a state and of words."""

    at: int
    assessed: bool
    state: int
    words: int


@dataclass(frozen=True)
class Span:
    """The time in which every look at a host found the same, or could not assess it for the same cause."""

    assessed: bool
    since: int
    until: int | None
    state: int
    words: int
    away_since: int | None = None
    seen: int | None = None


def spans_of(looks: Iterable[Found]) -> list[Span]:
    """Return the spans of one host, in the order in which they began; *looks* are in the order of time.

    Only a look that assessed the host ends a span of an assessed state: while it is away, it stays in what it was last
    known to be in. A span of being away ends with any look that finds something else.
    """
    ended: list[Span] = []
    known: Span | None = None
    away: Span | None = None
    seen: int | None = None
    for look in looks:
        last = known if look.assessed else away
        if look.assessed:
            if away is not None:
                ended.append(replace(away, until=look.at))
                away = None
            seen = look.at
        if last is not None and last.state == look.state:
            continue
        if last is not None:
            ended.append(replace(last, until=look.at))
        if look.assessed:
            known = Span(True, look.at, None, look.state, look.words)
        else:
            since = last.away_since if last is not None else look.at
            away = Span(False, look.at, None, look.state, look.words, since, seen)
    ended += [each for each in (known, away) if each is not None]
    return sorted(ended, key=lambda span: (span.since, not span.assessed))


class Covering:
    """Spans of one kind of one host, to ask which of them a moment is in."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self._begins = [span.since for span in spans]

    def at(self, moment: int) -> Span | None:
        """Return the span that *moment* is in."""
        place = bisect_right(self._begins, moment) - 1
        if place < 0:
            return None
        span = self._spans[place]
        return span if span.until is None or moment < span.until else None


def looks_of(spans: Sequence[Span], looked: Iterable[tuple[int, bool]]) -> Iterator[Found]:
    """Yield the looks that made *spans*, in order; *looked* says when a run looked at the host and assessed it.

    Runs that were pruned are not among them. What the spans themselves say of looks counts, too.
    """
    known = Covering([span for span in spans if span.assessed])
    away = Covering([span for span in spans if not span.assessed])
    moments = dict(looked)
    for span in spans:
        moments[span.since] = span.assessed
        if not span.assessed:
            if span.seen is not None:
                moments[span.seen] = True
            if span.until is not None and away.at(span.until) is None:
                moments[span.until] = True
    for at, assessed in sorted(moments.items()):
        found = (known if assessed else away).at(at)
        if found is not None:
            yield Found(at, assessed, found.state, found.words)
