"""When a run tries hosts again: which of them, when its rounds begin, and when there are no more."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from provmode.ccm.verdict import NEXT_STEP, TO_MEND, Assessment, Verdict, unassessed
from provmode.errors import Cause, UsageError
from provmode.fleet.retrying import (
    NOT_TRIED_AGAIN,
    TRIED_AGAIN,
    Retrying,
    Timetable,
    read_every,
    read_until,
    said,
    tried_again,
)

BERLIN = ZoneInfo("Europe/Berlin")
REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


# -- which hosts ------------------------------------------------------------------------------------------------------


def test_every_cause_either_passes_by_itself_or_does_not_and_says_why() -> None:
    assert set(TRIED_AGAIN) | set(NOT_TRIED_AGAIN) == set(Cause) == set(NEXT_STEP)
    assert not set(TRIED_AGAIN) & set(NOT_TRIED_AGAIN)


@pytest.mark.parametrize("cause", ["connect-timeout", "refused", "name-resolution", "deadline", "quota"])
def test_a_host_that_was_off_away_or_slow_is_tried_again(cause: str) -> None:
    assert tried_again(unassessed(cause, "x"))


@pytest.mark.parametrize("cause", sorted({*TO_MEND, "protocol"}))
def test_a_host_that_refused_or_has_to_be_mended_is_not_tried_again(cause: str) -> None:
    assert not tried_again(unassessed(cause, "x"))


def test_what_is_the_operators_to_mend_is_not_tried_again_whatever_its_cause() -> None:
    assert not tried_again(replace(unassessed("name-resolution", "DNS does not answer"), to_mend=True))
    assert not tried_again(replace(unassessed("protocol", "x"), to_mend=True, passes=True))


def test_what_passes_by_itself_is_tried_again_whatever_its_cause() -> None:
    assert tried_again(replace(unassessed("protocol", "the PC is starting"), passes=True))


def test_a_host_that_was_assessed_is_not_tried_again() -> None:
    assert not tried_again(Assessment(Verdict.HEALTHY, "x", "healthy", passes=True))


def test_the_reference_says_of_every_cause_whether_and_why_it_is_tried_again() -> None:
    section = REFERENCE.read_text("utf-8").partition("\n### Trying again\n")[2].partition("\n#")[0]
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", section, re.MULTILINE))

    assert rows == {
        **{cause.value: f"yes | {why}" for cause, why in TRIED_AGAIN.items()},
        **{cause.value: f"no | {why}" for cause, why in NOT_TRIED_AGAIN.items()},
    }


# -- what a user writes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "seconds"), [("15m", 900), ("1h", 3600), ("90s", 90), ("60s", 60), ("24h", 86400)])
def test_a_length_of_time_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert read_every(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "1.5h", "-5m", "1h30m", "1 m", "15M", "٥m"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="it is not a length of time; write it as in 15m, 1h or 90s"):
        read_every(text)


@pytest.mark.parametrize("text", ["59s", "0m", "25h", "1441m"])
def test_rounds_are_at_least_a_minute_and_at_most_a_day_apart(text: str) -> None:
    with pytest.raises(UsageError, match=f"--every {text}: it is not between 1m and 24h"):
        read_every(text)


@pytest.mark.parametrize(
    ("now", "text", "until"),
    [
        ("2026-11-26T20:00", "06:00", "2026-11-27T05:00"),  # 21:00 in Berlin: tomorrow
        ("2026-11-26T01:00", "06:00", "2026-11-26T05:00"),  # 02:00 in Berlin: today
        ("2026-11-26T05:00", "6:00", "2026-11-27T05:00"),  # it is 06:00 now
        ("2026-11-26T04:59:59", "06:00", "2026-11-26T05:00"),
        ("2026-12-31T22:30", "00:00", "2026-12-31T23:00"),  # midnight of the next year
    ],
)
def test_a_time_of_day_is_the_next_time_that_local_clocks_show_it(now: str, text: str, until: str) -> None:
    assert read_until(text, utc(now), BERLIN) == utc(until)


@pytest.mark.parametrize(
    ("now", "text", "until"),
    [
        # On 2026-10-25 clocks in Berlin are put back from 03:00 to 02:00, at 01:00 UTC.
        ("2026-10-24T20:00", "02:30", "2026-10-25T00:30"),  # the first of two
        ("2026-10-25T00:30", "02:30", "2026-10-25T01:30"),  # in between: the second
        ("2026-10-25T01:30", "02:30", "2026-10-26T01:30"),
        ("2026-10-24T20:00", "06:00", "2026-10-25T05:00"),  # the night has an hour more
        ("2026-10-24T20:00", "03:00", "2026-10-25T02:00"),  # comes once
        # On 2026-03-29 they are put forward from 02:00 to 03:00, at 01:00 UTC.
        ("2026-03-28T20:00", "02:30", "2026-03-29T01:00"),  # does not come: clocks leap over it
        ("2026-03-28T20:00", "02:00", "2026-03-29T01:00"),
        ("2026-03-28T20:00", "03:00", "2026-03-29T01:00"),
        ("2026-03-28T20:00", "01:59", "2026-03-29T00:59"),
        ("2026-03-29T01:00", "02:30", "2026-03-30T00:30"),  # they leapt: the next day
        ("2026-03-28T20:00", "06:00", "2026-03-29T04:00"),  # the night has an hour less
    ],
)
def test_a_time_that_comes_twice_or_not_at_all_is_defined(now: str, text: str, until: str) -> None:
    found = read_until(text, utc(now), BERLIN)

    assert found.tzinfo is BERLIN
    assert found.astimezone(timezone.utc) == utc(until)


def test_the_next_time_is_never_now_or_earlier_and_comes_within_a_day_and_an_hour() -> None:
    for zone in (BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kolkata")):
        for hours in range(0, 366 * 24, 7):
            now = utc("2026-01-01T00:00") + timedelta(hours=hours, minutes=hours % 60)
            until = read_until("02:15", now, zone)
            assert now < until <= now + timedelta(hours=25)
            assert until.tzinfo is zone


def test_without_a_zone_it_is_that_of_this_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        gap, fold = (read_until("02:30", utc(now)) for now in ("2026-03-28T20:00", "2026-10-25T00:30"))
        plain = read_until("06:00", utc("2026-11-26T20:00"))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert (gap, fold, plain) == (utc("2026-03-29T01:00"), utc("2026-10-25T01:30"), utc("2026-11-27T05:00"))
    assert plain.strftime("%H:%M") == "06:00"


@pytest.mark.parametrize("text", ["2026-11-27T06:00+01:00", "2026-11-27T05:00Z", "2026-11-27 05:00:00+00:00"])
def test_a_date_and_time_with_its_zone_is_taken_as_it_is_and_told_in_local_time(text: str) -> None:
    until = read_until(text, utc("2026-11-26T12:00"), BERLIN)

    assert until == utc("2026-11-27T05:00")
    assert until.strftime("%H:%M") == "06:00"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("24:00", "there is no such time of day"),
        ("06:60", "there is no such time of day"),
        ("6", "it is not a time"),
        ("morning", "it is not a time"),
        ("06:00+01:00", "it is not a time"),
        ("2026-11-27T06:00", "it has no time zone"),
        ("9999-12-31T23:59-12:00", "it is not a time"),
        ("0001-01-01T00:00+14:00", "it is not a time"),
        ("2026-11-26T11:59:59Z", "it has passed"),
        ("2026-11-26T12:00:00Z", "it has passed"),
    ],
)
def test_what_is_no_time_to_come_is_refused_and_says_how_to_write_one(text: str, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_until(text, utc("2026-11-26T12:00"), BERLIN)

    assert f"--retry-until {text}: {why}; write it as in 06:00, or with date and zone" in str(raised.value)


def test_programs_give_an_end_with_a_time_zone_and_rounds_that_are_apart() -> None:
    with pytest.raises(UsageError, match="has no time zone"):
        Retrying(datetime(2026, 11, 27, 6, 0))
    with pytest.raises(UsageError, match="every 0 s"):
        Retrying(utc("2026-11-27T06:00"), 0.0)
    with pytest.raises(UsageError, match="every nan s"):
        Retrying(utc("2026-11-27T06:00"), float("nan"))


def test_the_earlier_of_two_ends_counts() -> None:
    retrying = Retrying(utc("2026-11-27T05:00").astimezone(BERLIN))

    assert retrying.until_at_most(utc("2026-11-27T05:00")) is retrying
    earlier = retrying.until_at_most(utc("2026-11-27T02:00"))
    assert (earlier.until, earlier.until.tzinfo, earlier.every) == (utc("2026-11-27T02:00"), BERLIN, 900.0)


# -- when the rounds begin --------------------------------------------------------------------------------------------

BEGAN = utc("2026-11-26T20:00")


def timetable(until: str = "2026-11-27T05:00", every: float = 900.0) -> Timetable:
    return Timetable(Retrying(utc(until).astimezone(BERLIN), every), BEGAN, 1000.0)


def looked(table: Timetable, seconds: float, *, wall: float | None = None) -> float | None:
    """Look so many *seconds* after the beginning, and as many by the *wall* clock, if that is not the same."""
    table.look(BEGAN + timedelta(seconds=seconds if wall is None else wall), 1000.0 + seconds)
    return table.left


def test_a_round_begins_at_a_fixed_distance_from_the_beginning_of_the_one_before() -> None:
    table = timetable()

    assert looked(table, 300.0) == 600.0
    assert looked(table, 899.5) == 0.5
    assert looked(table, 900.0) == 0.0
    table.begin()
    assert looked(table, 1000.0) == 800.0


def test_after_a_round_that_took_longer_the_next_begins_at_once() -> None:
    table = timetable()

    assert looked(table, 2000.0) == 0.0
    table.begin()
    assert looked(table, 2000.0) == 900.0


def test_no_round_begins_at_or_after_the_end_and_nobody_waits_for_one() -> None:
    assert looked(timetable("2026-11-26T20:15:01"), 10.0) == 890.0
    assert looked(timetable("2026-11-26T20:15:00"), 10.0) is None
    assert looked(timetable("2026-11-26T21:00"), 3600.0) is None, "the first look took longer than there was time"


def test_a_computer_that_slept_goes_on_by_the_wall_clock() -> None:
    table = timetable()
    looked(table, 100.0)

    assert table.look(BEGAN + timedelta(seconds=700.0), 1200.0) == 500.0
    assert table.left == 200.0
    assert looked(table, 300.0, wall=800.0) == 100.0, "it is told once"
    table.begin()
    assert table.left == 900.0


def test_a_computer_that_slept_past_the_end_begins_no_other_round() -> None:
    table = timetable()

    assert looked(table, 100.0, wall=9 * 3600.0) is None


def test_a_clock_that_is_put_back_keeps_the_distance_and_the_time_of_day() -> None:
    table = timetable("2026-11-26T20:20")

    assert table.look(BEGAN - timedelta(hours=1), 1100.0) == -3700.0
    assert table.left == 800.0
    for number in range(1, 6):
        assert looked(table, 900.0 * number, wall=900.0 * number - 3700.0) == 0.0
        table.begin()
    assert looked(table, 5000.0, wall=1199.0) is None, "it is 20:19:59 again"


def test_a_clock_that_is_put_back_by_more_than_a_day_ends_the_run() -> None:
    assert looked(timetable(), 100.0, wall=-86_000.0) == 800.0
    assert looked(timetable(), 100.0, wall=-87_000.0) is None


def test_a_clock_that_is_corrected_by_less_than_a_minute_is_no_jump() -> None:
    table = timetable()

    assert table.look(BEGAN + timedelta(seconds=159.0), 1100.0) == 0.0
    assert table.left == 800.0


def test_the_wait_is_told_in_local_times() -> None:
    table = timetable()
    left = looked(table, 30.0)

    assert left is not None
    assert table.words(12, left) == "12 hosts still away; next round at 21:15, until 06:00"
    assert table.words(1, left).startswith("1 host still away")
    assert table.words(1200, left).startswith("1,200 hosts")


def test_an_end_on_another_day_is_told_with_its_date() -> None:
    begins = utc("2026-11-26T20:15").astimezone(BERLIN)

    assert said(begins + timedelta(hours=23), begins) == "20:15"
    assert said(begins + timedelta(days=1), begins) == "2026-11-27 21:15"
