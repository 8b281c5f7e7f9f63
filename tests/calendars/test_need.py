"""How long a host may take, learned from the hosts so far; and whether one still fits before the end."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.calendars.need import MARGIN, Need

END = datetime(2026, 11, 27, 5, tzinfo=timezone.utc)


def need(*took: float, drain: float = 900.0) -> Need:
    made = Need(drain)
    for seconds in took:
        made.took(seconds)
    return made


@pytest.mark.parametrize(
    ("took", "seconds"),
    [
        ((), 900.0),
        ((5.0,), 60.0),
        ((5.0, 200.0, 7.0), 200.0),
        ((5.0, 2000.0), 900.0),
        ((5.0,) * 99 + (300.0,), 300.0),
        ((5.0,) * 100 + (300.0,), 60.0),
    ],
)
def test_a_host_is_given_what_the_99th_of_a_hundred_took_between_a_minute_and_the_drain(
    took: tuple[float, ...], seconds: float
) -> None:
    assert need(*took).seconds == seconds


def test_a_drain_of_less_than_a_minute_counts() -> None:
    assert need(5.0, drain=30.0).seconds == 30.0


def test_a_host_is_begun_only_if_it_is_ready_before_the_end_with_a_margin() -> None:
    last = END - MARGIN - timedelta(seconds=200)

    assert need(200.0).fits(last, END)
    assert not need(200.0).fits(last + timedelta(seconds=1), END)
    assert need(200.0).fits(END, None)


@given(st.lists(st.floats(0, 5000), min_size=1, max_size=300), st.floats(60, 3600))
def test_no_more_than_one_host_in_a_hundred_took_longer_unless_the_drain_says_so(
    took: list[float], drain: float
) -> None:
    seconds = need(*took, drain=drain).seconds

    assert 60 <= seconds <= drain
    assert seconds == drain or sum(each > seconds for each in took) <= len(took) / 100
