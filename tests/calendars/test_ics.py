"""What a calendar says: recurrence, exceptions, both nights when clocks change; and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import recurring_ical_events.test

from provmode.calendars.events import CalendarRefused, Source
from provmode.calendars.ics import HORIZON, spans_of

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
RECORDED = Path(__file__).parent / "exported"
NIGHT = "DTSTART;TZID=Europe/Berlin:20261001T220000 DTEND;TZID=Europe/Berlin:20261002T060000"
BEGIN = datetime(2026, 10, 20, tzinfo=UTC)
Show = Callable[..., list[str]]


def calendar(*events: str, head: str = "") -> bytes:
    """A calendar with these events; each is its lines, separated by spaces."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//a test//EN", *head.split("|")]
    for number, event in enumerate(events):
        lines += ["BEGIN:VEVENT", *([] if "UID:" in event else [f"UID:event-{number}"]), *event.split(), "END:VEVENT"]
    return "\r\n".join(line for line in (*lines, "END:VCALENDAR", "\r\n") if line).encode()


@pytest.fixture
def shown() -> Show:
    """What a calendar says, in local times of *zone*."""

    def show(text: bytes, zone: str = "UTC", begin: datetime = BEGIN, days: float = 10, **of: Any) -> list[str]:
        spans = spans_of(text, Source("night.ics", **of), begin, timedelta(days=days))
        local = [(span.begins.astimezone(ZoneInfo(zone)), span.ends.astimezone(ZoneInfo(zone))) for span in spans]
        return [f"{begins:%m-%d %H:%M} - {ends:%m-%d %H:%M}" for begins, ends in local]

    return show


# -- when events are ------------------------------------------------------------------------------------------------


def test_an_event_is_from_its_beginning_to_its_end(shown: Show) -> None:
    text = calendar("DTSTART:20261021T200000Z DTEND:20261022T040000Z")

    assert shown(text) == ["10-21 20:00 - 10-22 04:00"]


def test_a_window_that_is_open_when_the_calendar_is_read_counts(shown: Show) -> None:
    assert shown(calendar(NIGHT + " RRULE:FREQ=DAILY"), "Europe/Berlin", days=0.5) == ["10-19 22:00 - 10-20 06:00"]


def test_the_second_tuesday_is_found(shown: Show) -> None:
    text = calendar(
        "DTSTART;TZID=Europe/Berlin:20260113T200000 DURATION:PT4H RRULE:FREQ=MONTHLY;BYDAY=2TU",
    )

    assert shown(text, "Europe/Berlin", days=60) == ["11-10 20:00 - 11-11 00:00", "12-08 20:00 - 12-09 00:00"]


def test_windows_that_overlap_or_touch_are_one(shown: Show) -> None:
    text = calendar(
        "DTSTART:20261021T200000Z DURATION:PT2H",
        "DTSTART:20261021T210000Z DURATION:PT2H",
        "DTSTART:20261021T230000Z DURATION:PT1H",
        "DTSTART:20261022T000001Z DURATION:PT1H",
    )

    assert shown(text) == ["10-21 20:00 - 10-22 00:00", "10-22 00:00 - 10-22 01:00"]


@pytest.mark.parametrize("left_out", ["EXDATE;TZID=Europe/Berlin:20261021T220000", "EXDATE:20261021T200000Z"])
def test_a_day_that_is_left_out_is_no_window(shown: Show, left_out: str) -> None:
    text = calendar(f"{NIGHT} RRULE:FREQ=DAILY;UNTIL=20261022T200000Z {left_out}")

    assert shown(text, "Europe/Berlin")[-2:] == ["10-20 22:00 - 10-21 06:00", "10-22 22:00 - 10-23 06:00"]


def test_an_occurrence_that_was_moved_is_where_it_was_moved_to(shown: Show) -> None:
    moved = (
        "UID:night RECURRENCE-ID;TZID=Europe/Berlin:20261021T220000 "
        "DTSTART;TZID=Europe/Berlin:20261021T233000 DTEND;TZID=Europe/Berlin:20261022T010000"
    )
    text = calendar(f"UID:night {NIGHT} RRULE:FREQ=DAILY;UNTIL=20261021T200000Z", moved)

    assert shown(text, "Europe/Berlin")[-1] == "10-21 23:30 - 10-22 01:00"
    assert len(shown(text, "Europe/Berlin")) == 3


@pytest.mark.parametrize("status", ["CANCELLED", "cancelled", "TENTATIVE"])
def test_a_window_that_was_cancelled_or_is_tentative_is_not_open(shown: Show, status: str) -> None:
    text = calendar(f"{NIGHT} RRULE:FREQ=DAILY STATUS:{status}")

    assert shown(text) == []


def test_one_occurrence_can_be_cancelled(shown: Show) -> None:
    cancelled = (
        "UID:night RECURRENCE-ID;TZID=Europe/Berlin:20261021T220000 STATUS:CANCELLED "
        "DTSTART;TZID=Europe/Berlin:20261021T220000 DTEND;TZID=Europe/Berlin:20261022T060000"
    )
    text = calendar(f"UID:night {NIGHT} RRULE:FREQ=DAILY;UNTIL=20261022T200000Z", cancelled)

    assert shown(text, "Europe/Berlin")[-2:] == ["10-20 22:00 - 10-21 06:00", "10-22 22:00 - 10-23 06:00"]


def test_a_tentative_blackout_holds_and_a_cancelled_one_does_not(shown: Show) -> None:
    event = "DTSTART:20261021T200000Z DURATION:PT2H STATUS:"

    assert shown(calendar(event + "TENTATIVE"), blackout=True) == ["10-21 20:00 - 10-21 22:00"]
    assert shown(calendar(event + "CANCELLED"), blackout=True) == []


def test_an_all_day_blackout_is_the_days_of_its_zone() -> None:
    text = calendar("DTSTART;VALUE=DATE:20261024 DTEND;VALUE=DATE:20261026")

    [freeze] = spans_of(text, Source("freeze.ics", BERLIN, blackout=True), BEGIN)

    assert (freeze.begins, freeze.ends) == (
        datetime(2026, 10, 24, tzinfo=BERLIN),
        datetime(2026, 10, 26, tzinfo=BERLIN),
    )
    assert freeze.ends - freeze.begins == timedelta(hours=49), "clocks are put back"


def test_times_without_a_zone_are_in_the_zone_that_is_named() -> None:
    text = calendar("DTSTART:20261021T220000 DURATION:PT8H RRULE:FREQ=DAILY;UNTIL=20261022T220000")

    spans = spans_of(text, Source("night.ics", zone=ZoneInfo("America/New_York")), BEGIN)

    assert [span.begins for span in spans] == [datetime(2026, 10, day, 2, tzinfo=UTC) for day in (22, 23)]


def test_an_all_day_event_recurs_and_has_days_left_out() -> None:
    text = calendar("DTSTART;VALUE=DATE:20261020 RRULE:FREQ=DAILY;UNTIL=20261023 EXDATE;VALUE=DATE:20261021")

    spans = spans_of(text, Source("freeze.ics", BERLIN, blackout=True), datetime(2026, 10, 19, tzinfo=UTC))

    days = [(span.begins.astimezone(BERLIN).day, span.ends.astimezone(BERLIN).day) for span in spans]
    assert days == [(20, 21), (22, 24)]


def test_a_rule_that_ends_on_a_day_includes_that_day(shown: Show) -> None:
    assert shown(calendar(NIGHT + " RRULE:FREQ=DAILY;UNTIL=20261021"), "Europe/Berlin")[-1].startswith("10-21 22:00")


@pytest.mark.parametrize(
    ("until", "last"),
    [("20261025T002959Z", "10-24"), ("20261025T003000Z", "10-25"), ("20261025T013000Z", "10-25")],
)
def test_a_rule_that_ends_in_the_hour_that_comes_twice_ends_there(shown: Show, until: str, last: str) -> None:
    text = calendar(f"DTSTART;TZID=Europe/Berlin:20261001T023000 DURATION:PT10M RRULE:FREQ=DAILY;UNTIL={until}")

    found = shown(text, "Europe/Berlin", days=20)

    assert found[-1].startswith(f"{last} 02:30")
    assert len({*found}) == len(found)


# -- the nights when clocks change ----------------------------------------------------------------------------------

CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC), timedelta(hours=1)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC), timedelta(hours=-1)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC), timedelta(hours=1)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC), timedelta(hours=-1)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC), timedelta(minutes=30)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC), timedelta(minutes=-30)),
]
"""A zone, when its clocks change, and by how much they are put forward."""


@pytest.mark.parametrize(("name", "change", "forward"), CHANGES)
def test_the_clocks_do_change_then(name: str, change: datetime, forward: timedelta) -> None:
    before, after = ((change + timedelta(seconds=late)).astimezone(ZoneInfo(name)).utcoffset() for late in (-1, 0))

    assert before is not None
    assert after is not None
    assert after - before == forward


@pytest.mark.parametrize(("name", "change", "forward"), CHANGES)
@pytest.mark.parametrize("length", ["DTEND", "DURATION"])
@pytest.mark.parametrize("blackout", [False, True])
def test_in_both_nights_a_window_ends_at_the_earlier_and_a_blackout_at_the_later_of_clock_and_length(
    name: str, change: datetime, forward: timedelta, length: str, blackout: bool
) -> None:
    first = (change - timedelta(days=8)).astimezone(ZoneInfo(name)).date()
    end = f"DTEND;TZID={name}:{first + timedelta(days=1):%Y%m%d}T060000" if length == "DTEND" else "DURATION:PT8H"
    text = calendar(f"DTSTART;TZID={name}:{first:%Y%m%d}T220000 {end} RRULE:FREQ=DAILY")

    spans = spans_of(text, Source("n.ics", blackout=blackout), change - timedelta(hours=1), timedelta(days=1))

    night = spans[0].ends - spans[0].begins
    by_the_clock, exact = timedelta(hours=8) - forward, timedelta(hours=8)
    assert night == (max if blackout else min)(by_the_clock, exact)
    assert f"{spans[0].begins.astimezone(ZoneInfo(name)):%H:%M}" == "22:00"


@pytest.mark.parametrize(("name", "change", "forward"), [each for each in CHANGES if each[2] > timedelta(0)])
def test_a_time_that_is_missing_is_read_by_the_old_offset_and_a_blackout_holds_from_the_leap(
    name: str, change: datetime, forward: timedelta
) -> None:
    missing = (change + timedelta(minutes=15)).astimezone(ZoneInfo(name)) - forward  # clocks would show it
    text = calendar(f"DTSTART;TZID={name}:{missing:%Y%m%dT%H%M%S} DURATION:PT2H")

    [window] = spans_of(text, Source("n.ics"), change - timedelta(days=1))
    [blackout] = spans_of(text, Source("n.ics", blackout=True), change - timedelta(days=1))

    assert window.begins == change + timedelta(minutes=15)
    assert blackout.begins == change
    assert blackout.ends >= window.ends


@pytest.mark.parametrize(("name", "change", "forward"), [each for each in CHANGES if each[2] < timedelta(0)])
def test_a_time_that_comes_twice_is_the_first_and_a_blackout_ends_at_the_second(
    name: str, change: datetime, forward: timedelta
) -> None:
    first = change + forward
    begins, ends = (moment.astimezone(ZoneInfo(name)) for moment in (first - timedelta(hours=1), first))
    text = calendar(f"DTSTART;TZID={name}:{begins:%Y%m%dT%H%M%S} DTEND;TZID={name}:{ends:%Y%m%dT%H%M%S}")

    [window] = spans_of(text, Source("n.ics"), change - timedelta(days=1))
    [blackout] = spans_of(text, Source("n.ics", blackout=True), change - timedelta(days=1))

    assert window.ends == first
    assert blackout.ends == change


# -- what real programs write ---------------------------------------------------------------------------------------


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.ics").read_bytes()


def test_windows_that_khal_wrote_are_read(shown: Show) -> None:
    assert shown(recorded("khal-windows"), "Europe/Berlin", days=14) == [
        "10-23 22:00 - 10-24 06:00",
        "10-30 22:00 - 10-31 06:00",
    ]
    late = shown(recorded("khal-windows"), "Europe/Berlin", begin=datetime(2027, 3, 20, tzinfo=UTC), days=60)
    assert late == ["03-19 22:00 - 03-20 06:00", "03-26 22:00 - 03-27 06:00"], "UNTIL"


def test_an_all_day_freeze_that_khal_wrote_is_read() -> None:
    [freeze] = spans_of(recorded("khal-freeze"), Source("f.ics", BERLIN, blackout=True), BEGIN)

    assert freeze.begins == datetime(2026, 12, 19, tzinfo=BERLIN)
    assert freeze.ends == datetime(2027, 1, 7, tzinfo=BERLIN)


def test_what_calcurse_wrote_has_no_zone_and_is_refused_unless_one_is_named() -> None:
    begin = datetime(2026, 11, 20, tzinfo=UTC)
    with pytest.raises(CalendarRefused, match="has no zone"):
        spans_of(recorded("calcurse"), Source("c.ics", blackout=True), begin)

    spans = spans_of(recorded("calcurse"), Source("c.ics", BERLIN, blackout=True), begin, timedelta(days=6))

    assert [span.begins.astimezone(BERLIN) for span in spans] == [
        datetime(2026, 11, 20, 22, tzinfo=BERLIN),
        datetime(2026, 11, 24, 21, 30, tzinfo=BERLIN),
    ]


def test_a_zone_that_the_file_defines_counts_and_not_another_one_of_the_same_short_name(shown: Show) -> None:
    """The program vobject calls New York's zone EST. In the zone database EST is a zone without summer time."""
    assert shown(recorded("vobject"), "America/New_York", days=12) == [
        "10-23 22:00 - 10-24 06:00",
        "10-30 22:00 - 10-31 06:00",
    ], "10-24 is left out"
    assert shown(recorded("vobject"), "America/New_York", begin=datetime(2026, 10, 31, 12, tzinfo=UTC), days=1) == [
        "10-31 22:00 - 11-01 05:00"
    ]


def test_names_that_windows_gives_to_zones_are_known(shown: Show) -> None:
    text = calendar("DTSTART;TZID=WINDOWS:20261021T220000 DURATION:PT1H")

    assert shown(text.replace(b"WINDOWS", b"W. Europe Standard Time"), "Europe/Berlin") == ["10-21 22:00 - 10-21 23:00"]


LIBRARYS_OWN = sorted((Path(recurring_ical_events.test.__file__).parent / "calendars").glob("*.ics"))


def test_there_are_calendars_of_other_programs() -> None:
    assert len(LIBRARYS_OWN) > 50


@pytest.mark.parametrize("path", LIBRARYS_OWN, ids=lambda path: path.stem)
@pytest.mark.parametrize("blackout", [False, True])
def test_every_calendar_is_read_or_refused_in_one_line(path: Path, blackout: bool) -> None:
    source, begin = Source(path.name, BERLIN, blackout), datetime(2019, 1, 1, tzinfo=UTC)
    said = f"{path.name}: read; nothing"
    try:
        spans_of(path.read_bytes(), source, begin, timedelta(days=3000))
    except CalendarRefused as refused:
        said = str(refused)

    assert re.fullmatch(rf"{re.escape(path.name)}: [^\n]+; [^\n]+", said)


# -- what is refused ------------------------------------------------------------------------------------------------

REFUSED = {
    "nothing": (b"", "it is not a whole iCalendar file"),
    "another file": (b"<html></html>\n", "it is not an iCalendar file"),
    "another encoding": (calendar(NIGHT).replace(b"a test", b"a \xff"), "it is not an iCalendar file"),
    "a card": (b"BEGIN:VCARD\r\nEND:VCARD\r\n", "it is not a whole iCalendar file"),
    "a file that was cut off": (calendar(NIGHT)[:-20], "it is not a whole iCalendar file"),
    "no event": (calendar(), "there is no event in it"),
    "a cancellation": (calendar(NIGHT, head="METHOD:CANCEL"), "it is the cancellation of a meeting"),
    "an unknown zone": (
        calendar(NIGHT.replace("Europe/Berlin", "Mars/Olympus") + " SUMMARY:Patches"),
        "event 'Patches': the time zone Mars/Olympus is not known",
    ),
    "a time without a zone": (
        calendar("DTSTART:20261021T220000 DURATION:PT1H"),
        "event 'event-0': its time has no zone",
    ),
    "an all-day window": (calendar("DTSTART;VALUE=DATE:20261021 UID:x"), "event 'x': an event that lasts all day"),
    "no beginning": (calendar("DTEND:20261021T220000Z"), "event 'event-0': DTSTART cannot be read"),
    "no end": (calendar("DTSTART:20261021T220000Z"), "event 'event-0': it has no end"),
    "no length": (calendar("DTSTART:20261021T220000Z DTEND:20261021T220000Z"), "event 'event-0': it ends when it beg"),
    "an end before": (calendar("DTSTART:20261021T220000Z DTEND:20261021T210000Z"), "event 'event-0': it ends when"),
    "a time that is none": (calendar("DTSTART:tonight DURATION:PT1H"), "event 'event-0': "),
    "a rule that is none": (calendar(NIGHT + " RRULE:FREQ=OFTEN"), "event 'event-0': "),
    "a day and a time": (calendar("DTSTART:20261021T220000Z DTEND;VALUE=DATE:20261022"), "event 'event-0': one of its"),
    "EXRULE": (calendar(NIGHT + " EXRULE:FREQ=DAILY"), "event 'event-0': EXRULE is not part"),
    "an exception in an unknown zone": (
        calendar(NIGHT + " RRULE:FREQ=DAILY EXDATE;TZID=Mars/Olympus:20261021T220000"),
        "event 'event-0': the time zone Mars/Olympus is not known",
    ),
    "every second": (calendar(NIGHT + " RRULE:FREQ=SECONDLY"), "event 'event-0': it recurs so often"),
    "every minute": (calendar(NIGHT + " RRULE:FREQ=MINUTELY"), "event 'event-0': it recurs so often"),
    "every second of a day": (
        calendar(NIGHT + " RRULE:FREQ=DAILY;BYHOUR=0,1,2,3;BYMINUTE=0,9,8,7,6,5;BYSECOND=0,1,2,3,4,5,6,7,8,9"),
        "event 'event-0': it recurs so often",
    ),
    "many years of quarters of an hour": (
        calendar("DTSTART:19010101T000000Z DURATION:PT1M RRULE:FREQ=MINUTELY;INTERVAL=15"),
        "event 'event-0': it recurs so often",
    ),
    "a rule that never comes": (
        calendar(*[NIGHT + " RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"] * 3),
        "event 'event-1': it recurs so often",
    ),
    "too many bytes": (calendar(NIGHT + " DESCRIPTION:" + "x" * 5_000_000), "it has more than 5,000,000 bytes"),
    "too many events": (calendar(*["DTSTART:20261021T220000Z"] * 10_001), "it has more than 10,000 events"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_relied_on_is_refused_with_its_file_its_event_and_a_cure(what: str) -> None:
    text, why = REFUSED[what]
    began = monotonic()

    with pytest.raises(CalendarRefused) as refused:
        spans_of(text, Source("night.ics"), BEGIN)

    assert str(refused.value).startswith(f"night.ics: {why}")
    assert "; " in str(refused.value)
    assert "\n" not in str(refused.value)
    assert monotonic() - began < 20, "however often it recurs"


def test_a_second_calendar_that_was_cut_off_is_not_overlooked() -> None:
    with pytest.raises(CalendarRefused, match="not a whole"):
        spans_of(calendar(NIGHT) + calendar(NIGHT)[:-20], Source("n.ics"), BEGIN)


def test_a_name_from_a_calendar_is_made_safe_to_show() -> None:
    with pytest.raises(CalendarRefused) as refused:
        spans_of(calendar("DTSTART:20261021T220000 SUMMARY:\x1b[31mred"), Source("n.ics"), BEGIN)

    assert "\x1b" not in str(refused.value)


def test_ten_thousand_events_are_read(shown: Show) -> None:
    text = calendar(*[f"DTSTART:202610{21 + n % 9}T{n % 24:02}0000Z DURATION:PT1M" for n in range(10_000)])

    assert len(spans_of(text, Source("n.ics"), BEGIN)) > 50


def test_a_yearly_window_is_always_within_the_horizon() -> None:
    assert timedelta(days=366) < HORIZON
