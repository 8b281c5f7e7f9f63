"""A calendar's text to spans of time: what recurs, what was moved, left out or cancelled. Pure.

An occurrence has two ends: by the wall clock (22:00 to 06:00 is nine hours in the night when clocks are put back) and
by its exact length (RFC 5545, 3.8.5.3). A window ends at the earlier, a blackout at the later of both.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from provmode.calendars.events import LASTS, Source, calendars_of, check_steps
from provmode.calendars.spans import Span, joined
from provmode.calendars.wall_clock import moments

HORIZON = timedelta(days=400)
"""How far a calendar is read: a yearly window is always seen."""


def spans_of(text: bytes, source: Source, begin: datetime, horizon: timedelta = HORIZON) -> tuple[Span, ...]:
    """Return when the events of a calendar's *text* are, from *begin* (UTC) as far as the *horizon*, in order.

    Raises:
        CalendarRefused: the calendar cannot be relied on.
    """
    from recurring_ical_events import CalendarQuery

    calendars = calendars_of(text, source)
    end = begin + horizon
    check_steps(calendars, begin, end, source)
    found: list[Span] = []
    for calendar in calendars:
        try:
            occurrences = CalendarQuery(calendar).between(begin, end)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            why = " ".join(str(error).split())[:120]
            raise source.refuse(f"when its events are cannot be found: {why}", "export it again as .ics") from None
        found += (_span(each, source) for each in occurrences if _counts(each, source))
    return joined(span for span in found if begin < span.ends and span.begins < span.ends)


def _counts(occurrence: Any, source: Source) -> bool:
    """Return whether an occurrence counts: not if it was cancelled, and a tentative one opens nothing."""
    status = str(occurrence.get("STATUS", "")).upper()
    return status != "CANCELLED" and (source.blackout or status != "TENTATIVE")


def _span(occurrence: Any, source: Source) -> Span:
    """Return when an occurrence is; a time that is missing when clocks are put forward is the leap for a blackout."""
    start, end = occurrence["DTSTART"].dt, occurrence["DTEND"].dt
    begins = start.astimezone(timezone.utc)
    ends = [*moments(end, end.tzinfo), begins + _exactly(occurrence, end - start)]  # end - start is what clocks show
    if source.blackout:
        return Span(min(begins, *moments(start, start.tzinfo)), max(ends))
    return Span(begins, min(ends))


def _exactly(occurrence: Any, by_the_wall: timedelta) -> timedelta:
    """Return how long an occurrence lasts by its exact length; an RDATE can have a length of its own."""
    exact, walled = (float(part) for part in str(occurrence[LASTS]).split("/"))
    return timedelta(seconds=exact) if by_the_wall == timedelta(seconds=walled) else by_the_wall
