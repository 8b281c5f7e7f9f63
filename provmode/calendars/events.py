"""The events of a calendar's text, checked: what cannot be relied on is refused, with event and cure. Pure."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Any

from provmode.errors import UsageError
from provmode.text import visible

LARGEST, MOST_EVENTS, MOST_STEPS = 5_000_000, 10_000, 5_000_000
"""Bytes, events, and steps of recurrence (about a microsecond each) that a calendar may have."""
LASTS = "X-PROVMODE-LASTS"
"""Notes in an event the seconds from its beginning to its end: the exact ones, and those that clocks show. Each
occurrence is a copy and has it too."""
_READ = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID", "STATUS", "SEQUENCE")
"""The properties that decide when an event is."""


class CalendarRefused(UsageError):
    """A calendar cannot be relied on; the message names the file and the event."""


@dataclass(frozen=True)
class Source:
    """Where a calendar comes from, and what it is for."""

    name: str
    """Its file."""
    zone: tzinfo | None = None
    """The zone of times and days that name none."""
    blackout: bool = False
    """Whether its events forbid, and not allow."""
    defined: Mapping[str, tzinfo] = field(default_factory=dict)
    """Zones that the calendar itself defines, and whose names name no place: ``EST`` of many a program has summer
    time, and that of the zone database has none."""

    def refuse(self, why: str, cure: str, event: Any = None) -> CalendarRefused:
        """Return the refusal of the calendar, because of an *event* if one is named."""
        return CalendarRefused(f"{self.name}: {_named(event)}{why}", next_step=cure)


_ZONE = 'write its zone under [windows] in provmode.toml, as in zone = "Europe/Berlin"'


def calendars_of(text: bytes, source: Source) -> list[Any]:
    """Return the calendars in a *text*, with every event's times placed in a zone.

    Raises:
        CalendarRefused: it is none, it is too large, or something in it cannot be relied on.
    """
    from icalendar import Calendar

    if len(text) > LARGEST:
        raise source.refuse(f"it has more than {LARGEST:,} bytes", "leave out what is past")
    try:
        decoded = text.decode("utf-8-sig")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about zones whose names are guessed: an unknown one is refused here
            found = Calendar.from_ical(decoded, multiple=True)
    except (ValueError, LookupError, TypeError, RecursionError, OverflowError) as error:
        raise source.refuse(f"it is not an iCalendar file: {_short(error)}", _EXPORT) from None
    begun = decoded.upper().count("BEGIN:VCALENDAR")
    if not found or any(each.name != "VCALENDAR" for each in found) or len(found) < begun:
        raise source.refuse("it is not a whole iCalendar file", _EXPORT)
    if any(str(each.get("METHOD", "")).upper() == "CANCEL" for each in found):
        raise source.refuse("it is the cancellation of a meeting, and not a calendar", _EXPORT)
    events = [event for each in found for event in each.walk("VEVENT")]
    if not events:
        raise source.refuse("there is no event in it", "give the calendar that has the windows or blackouts")
    if len(events) > MOST_EVENTS:
        raise source.refuse(f"it has more than {MOST_EVENTS:,} events", "leave out what is past")
    for calendar in found:
        placing = replace(source, defined=_defined(calendar, source))
        for event in calendar.walk("VEVENT"):
            _check(event, placing)
    return found


_EXPORT = "export it again as .ics"


def _defined(calendar: Any, source: Source) -> dict[str, tzinfo]:
    """Return the zones that a *calendar* defines itself and whose names are not as in ``Europe/Berlin``."""
    zones = [zone for zone in calendar.walk("VTIMEZONE") if "/" not in str(zone.get("TZID", "/"))]
    try:
        return {str(zone["TZID"]): zone.to_tz(lookup_tzid=False) for zone in zones}
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise source.refuse(f"its time zones cannot be read: {_short(error)}", _EXPORT) from None


def _check(event: Any, source: Source) -> None:
    """Place the times of an *event* in a zone, and note how long it lasts.

    Raises:
        CalendarRefused: its times cannot be relied on.
    """
    try:
        _place(event, source)
    except CalendarRefused:
        raise
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise source.refuse(f"it cannot be read: {_short(error)}", "correct the event", event) from None


def _place(event: Any, source: Source) -> None:
    from icalendar.prop import vDDDTypes

    broken = [str(name) for name, _ in getattr(event, "errors", ()) if str(name).upper() in _READ]
    if broken or "DTSTART" not in event:
        raise source.refuse(f"{', '.join(broken) or 'DTSTART'} cannot be read", "correct the event", event)
    if "EXRULE" in event:
        raise source.refuse("EXRULE is not part of iCalendar any more", "name the days with EXDATE", event)
    start = event["DTSTART"]
    days = not isinstance(start.dt, datetime)
    if days and not source.blackout:
        raise source.refuse(
            "an event that lasts all day does not say when a window opens", "give it a beginning and an end", event
        )
    if "DTEND" in event and isinstance(event["DTEND"].dt, datetime) is days:
        raise source.refuse("one of its ends is a day and the other a time", "correct the event", event)
    begins = _placed(start.dt, start.params, source, event)
    ends, exact = _end_of(event, begins, days, source)
    if exact <= timedelta(0):
        raise source.refuse("it ends when it begins, or before", "correct its end", event)
    event[LASTS] = f"{exact.total_seconds()}/{(ends - begins).total_seconds()}"
    _place_rest(event, source, begins.tzinfo, days)
    for rule in _rules(event):
        _place_until(rule, begins.tzinfo)
    event["DTSTART"], event["DTEND"] = vDDDTypes(begins), vDDDTypes(ends)
    event.pop("DURATION", None)


def _end_of(event: Any, begins: datetime, days: bool, source: Source) -> tuple[datetime, timedelta]:
    """Return when an event ends by the wall clock, in the zone of its beginning, and how long it lasts exactly."""
    if "DTEND" in event:
        end = _placed(event["DTEND"].dt, event["DTEND"].params, source, event)
        return end.astimezone(begins.tzinfo), _utc(end) - _utc(begins)
    if "DURATION" in event:
        lasts = event["DURATION"].dt
    elif days:
        lasts = timedelta(days=1)
    else:
        raise source.refuse("it has no end", "give it an end", event)
    return begins + lasts, lasts


def _place_rest(event: Any, source: Source, zone: tzinfo | None, days: bool) -> None:
    """Place the other times of an event: days that are left out or added, and which occurrence it replaces."""
    from icalendar.prop import vDDDLists, vDDDTypes

    def placed(value: Any, params: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(each if isinstance(each, timedelta) else placed(each, params) for each in value)
        if not isinstance(value, datetime) and not days:
            return value  # a whole day of an event with times, which leaves out all that begins on it
        return _placed(value, params, source, event)

    for name in ("EXDATE", "RDATE"):
        if name in event:
            lists = event[name] if isinstance(event[name], list) else [event[name]]
            dates = [placed(each.dt, each_list.params) for each_list in lists for each in each_list.dts]
            if len(dates) > MOST_EVENTS:
                raise source.refuse(f"{name} has more than {MOST_EVENTS:,} dates", "leave out what is past", event)
            event[name] = vDDDLists(dates)
    if "RECURRENCE-ID" in event:
        old = event["RECURRENCE-ID"]
        event["RECURRENCE-ID"] = vDDDTypes(_placed(old.dt, old.params, source, event))
        if "RANGE" in old.params:
            event["RECURRENCE-ID"].params["RANGE"] = old.params["RANGE"]


def _placed(value: date, params: Any, source: Source, event: Any) -> datetime:
    """Return a time in its zone; a day is its midnight in the calendar's zone.

    Raises:
        CalendarRefused: the zone is unknown, or there is none.
    """
    if isinstance(value, datetime) and str(params.get("TZID", "")) in source.defined:
        return value.replace(tzinfo=source.defined[str(params["TZID"])])
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if isinstance(value, datetime) and "TZID" in params:
        raise source.refuse(
            f"the time zone {visible(str(params['TZID']))} is not known",
            "name one as in Europe/Berlin, or export the calendar with its VTIMEZONE",
            event,
        )
    if source.zone is None:
        what = "its time has no zone" if isinstance(value, datetime) else "its day has no zone"
        raise source.refuse(what, _ZONE, event)
    if isinstance(value, datetime):
        return value.replace(tzinfo=source.zone)
    return datetime.combine(value, time(0), source.zone)


def _rules(event: Any) -> list[Any]:
    """Return the recurrence rules of an event."""
    rules = event.get("RRULE", [])
    return rules if isinstance(rules, list) else [rules]


def _place_until(rule: Any, zone: tzinfo | None) -> None:
    """Write the end of a rule in UTC; a day is over at its end."""
    for number, until in enumerate(rule.get("UNTIL", [])):
        if not isinstance(until, datetime):
            until = datetime.combine(until, time(23, 59, 59))
        placed = until if until.tzinfo is not None else until.replace(tzinfo=zone, fold=1)
        rule["UNTIL"][number] = placed.astimezone(timezone.utc)


# -- how much work a calendar is ------------------------------------------------------------------------------------

_SECONDS = {
    **{"SECONDLY": 1, "MINUTELY": 60, "HOURLY": 3600, "DAILY": 86400},
    **{"WEEKLY": 604800, "MONTHLY": 2_592_000, "YEARLY": 31_536_000},
}
_COSTS, _MADE = {"YEARLY": 40, "MONTHLY": 10, "WEEKLY": 3}, 100
"""Steps for one period of a rule, and for one occurrence that is made."""
_LAST_YEAR = datetime(9999, 12, 31, tzinfo=timezone.utc)


def check_steps(calendars: list[Any], begin: datetime, end: datetime, source: Source) -> None:
    """Refuse calendars whose events recur so often that finding them from *begin* to *end* would take long.

    Raises:
        CalendarRefused: it names the event that is one too many.
    """
    left = float(MOST_STEPS)
    for event in (event for each in calendars for event in each.walk("VEVENT")):
        for rule in _rules(event):
            left -= _steps(rule, _utc(event["DTSTART"].dt), begin, end)
            if left < 0:
                raise source.refuse(
                    "it recurs so often that finding when would take too long",
                    "let it begin later (DTSTART), or recur less often (FREQ)",
                    event,
                )


def _steps(rule: Any, first: datetime, begin: datetime, end: datetime) -> float:
    """Return how many steps it takes to find the occurrences of a *rule*, and to make those from *begin* to *end*."""
    frequency, every = str(rule["FREQ"][0]).upper(), max(1, int(rule.get("INTERVAL", [1])[0]))
    times = math.prod(max(1, len(rule.get(part, []))) for part in ("BYHOUR", "BYMINUTE", "BYSECOND"))
    until = min([_LAST_YEAR, *rule.get("UNTIL", [])])
    sought = until if _may_never_come(rule) else min(end, until)
    each = _SECONDS[frequency] * every
    steps, made = _seconds(first, sought) / each, _seconds(max(first, begin), min(end, until)) / each
    if "COUNT" in rule and not any(str(part).upper().startswith("BY") for part in rule):
        steps, made = min(steps, int(rule["COUNT"][0])), min(made, int(rule["COUNT"][0]))
    return 1 + times * (steps * _COSTS.get(frequency, 1) + made * _MADE)


def _seconds(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds())


def _may_never_come(rule: Any) -> bool:
    """Return whether a rule could have no occurrence: then it is looked for up to the last year there is."""
    frequency = str(rule["FREQ"][0]).upper()
    if any(part in rule for part in ("BYYEARDAY", "BYWEEKNO", "BYEASTER")):
        return True
    if any(abs(int(place)) > 1 for place in rule.get("BYSETPOS", [])):
        return True
    if any(abs(int(day)) > 28 for day in rule.get("BYMONTHDAY", [])):
        return True
    skips = int(rule.get("INTERVAL", [1])[0]) > 1
    by_day = any(part in rule for part in ("BYDAY", "BYMONTHDAY"))
    return skips and ("BYMONTH" in rule or (by_day and frequency not in ("WEEKLY", "MONTHLY", "YEARLY")))


# -- words ----------------------------------------------------------------------------------------------------------


def _named(event: Any) -> str:
    """Return how a message names an event: by its summary, else by its UID."""
    if event is None:
        return ""
    said = next((str(event[name]) for name in ("SUMMARY", "UID") if str(event.get(name, "")).strip()), "")
    return f"event {visible(' '.join(said.split()))[:60]!r}: " if said else "an event without a name: "


def _short(error: Exception) -> str:
    return visible(" ".join(str(error).split()))[:120]


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc)
