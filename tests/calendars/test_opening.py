"""Whether a moment is inside windows and outside blackouts, why not, and until when."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.calendars.opening import Opening, State
from provmode.calendars.spans import Span, joined

START = datetime(2026, 11, 26, tzinfo=timezone.utc)


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def span(begins: float, ends: float) -> Span:
    return Span(at(begins), at(ends))


NIGHT = Opening((span(22, 30), span(46, 54)))


@pytest.mark.parametrize(
    ("hour", "state"),
    [
        (21, State(False, "no window is open", opens=at(22))),
        (22, State(True, closes=at(30))),
        (29.99, State(True, closes=at(30))),
        (30, State(False, "no window is open", opens=at(46))),
        (54, State(False, "no window is open")),
    ],
)
def test_it_is_open_from_the_beginning_of_a_window_up_to_its_end(hour: float, state: State) -> None:
    assert NIGHT.at(at(hour)) == state


def test_without_windows_it_is_open_and_nothing_closes_it() -> None:
    assert Opening().at(at(0)) == State(True)


def test_a_calendar_without_a_window_to_come_opens_nothing() -> None:
    assert Opening(()).at(at(0)) == State(False, "no window is open")


def test_a_blackout_is_stronger_than_a_window() -> None:
    opening = Opening((span(22, 30),), (span(24, 25), span(28, 40)))

    assert opening.at(at(23)) == State(True, closes=at(24))
    assert opening.at(at(24)) == State(False, "a blackout holds", opens=at(25))
    assert opening.at(at(26)) == State(True, closes=at(28))
    assert opening.at(at(29)) == State(False, "a blackout holds")


def test_without_windows_a_blackout_closes_and_opens_again() -> None:
    opening = Opening(blackouts=(span(24, 25), span(25, 27)))

    assert opening.at(at(23)) == State(True, closes=at(24))
    assert opening.at(at(24)) == State(False, "a blackout holds", opens=at(27))
    assert opening.at(at(27)) == State(True)


def test_a_last_moment_closes_whatever_else_is_said() -> None:
    opening = Opening((span(22, 30), span(46, 54)), not_after=at(29))

    assert opening.at(at(23)) == State(True, closes=at(29))
    assert opening.at(at(29)) == State(False, "it is later than --not-after says")
    assert Opening(not_after=at(29)).at(at(28)) == State(True, closes=at(29))
    assert Opening((span(46, 54),), not_after=at(29)).at(at(28)) == State(False, "no window is open")
    assert Opening(blackouts=(span(20, 40),), not_after=at(29)).at(at(28)) == State(False, "a blackout holds")


spans = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: span(pair[0], pair[0] + pair[1])), max_size=6
)
hours = st.integers(0, 120).map(lambda half: half / 2)


@given(spans)
def test_joined_spans_are_the_same_time_with_a_gap_between_any_two(some: list[Span]) -> None:
    found = joined(some)

    assert all(one.ends < other.begins for one, other in pairwise(found))
    for half in range(120):
        assert any(each.has(at(half / 2)) for each in found) == any(each.has(at(half / 2)) for each in some)


@given(st.none() | spans, spans, st.none() | hours, hours)
def test_an_opening_says_of_every_moment_what_its_calendars_say(
    windows: list[Span] | None, blackouts: list[Span], last: float | None, hour: float
) -> None:
    opening = Opening(None if windows is None else tuple(windows), tuple(blackouts), None if last is None else at(last))

    def allowed(moment: datetime) -> bool:
        inside = windows is None or any(each.has(moment) for each in windows)
        late = last is not None and moment >= at(last)
        return inside and not late and not any(each.has(moment) for each in blackouts)

    state = opening.at(at(hour))
    later = [at(hour + half / 2) for half in range(1, 240)]
    changes = next((moment for moment in later if allowed(moment) != state.open), None)

    assert state.open == allowed(at(hour))
    assert bool(state.why) != state.open
    assert (state.closes, state.opens) == ((changes, None) if state.open else (None, changes))


def test_thousands_of_windows_and_blackouts_are_asked_before_every_host() -> None:
    opening = Opening(
        tuple(span(2 * number, 2 * number + 1) for number in range(4000)),
        tuple(span(2 * number + 0.25, 2 * number + 0.5) for number in range(4000)),
    )
    begun = time.process_time()

    states = [opening.at(at(0.1)) for _ in range(1000)]

    assert set(states) == {State(True, closes=at(0.25))}
    assert time.process_time() - begun < 5, "with each blackout taken from each window, one host would take a minute"
