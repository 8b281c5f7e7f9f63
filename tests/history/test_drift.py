"""What changed between two runs: each word, by whom, and all of it against a model that reads every look."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provmode.errors import UsageError
from provmode.history.database import Database, url_of
from provmode.history.drift import MEANINGS, Drift, Drifted, Episode, Word
from provmode.history.drifting import before, drift, earlier, latest
from provmode.history.reader import History
from provmode.history.run import Change, NewRun
from provmode.history.writer import write

FIRST = datetime(2026, 11, 1, 1, tzinfo=timezone.utc)
BAD = {"stuck", "overdue", "armed"}


def between(database: Database, before: str = "run-0", after: str = "run-1") -> Drift:
    with database.reading() as connection:
        history = History(connection)
        return drift(connection, history.run(before), history.run(after))


def words_in(drifted: Drift) -> list[tuple[str, str]]:
    return [(each.word.value, each.host) for each in drifted.hosts]


Tell = Callable[..., list[NewRun]]


@pytest.fixture
def tell(database: Database, row: Callable[..., Any], new_run: Callable[..., NewRun]) -> Tell:
    """Write nights, each the states of PC-1, PC-2 ... in words; ``-`` is a host that was not looked at."""

    def write_nights(*nights: str, **more: Any) -> list[NewRun]:
        runs = [
            new_run(
                night, [row(f"PC-{at + 1}", state) for at, state in enumerate(told.split()) if state != "-"], **more
            )
            for night, told in enumerate(nights)
        ]
        for run in runs:
            write(database, run)
        return runs

    return write_nights


@pytest.mark.parametrize(
    ("nights", "expected"),
    [
        (("healthy", "stuck"), ["new"]),
        (("stuck", "stuck"), ["still"]),
        (("stuck", "overdue"), ["changed"]),
        (("stuck", "healthy"), ["fixed"]),
        (("stuck", "self-healing"), ["fixed"]),
        (("healthy", "healthy"), []),
        (("healthy", "no-client"), []),
        (("healthy", "away:refused"), ["lost"]),
        (("stuck", "away:refused"), ["lost"]),
        (("away:refused", "healthy"), ["found"]),
        (("away:refused", "stuck"), ["new", "found"]),
        (("away:refused", "away:refused"), []),
        (("away:refused", "away:deadline"), []),
        (("healthy -", "healthy healthy"), ["appeared"]),
        (("healthy -", "healthy stuck"), ["new", "appeared"]),
        (("healthy -", "healthy away:refused"), ["appeared"]),
        (("healthy healthy", "healthy -"), ["vanished"]),
        (("healthy stuck", "healthy -"), ["vanished"]),
    ],
)
def test_each_word(tell: Tell, database: Database, nights: Sequence[str], expected: list[str]) -> None:
    tell(*nights)

    assert [word for word, _ in words_in(between(database))] == expected


@pytest.mark.parametrize(
    ("nights", "expected"),
    [
        (("stuck", "away:off", "healthy"), ["fixed", "found"]),
        (("stuck", "away:off", "stuck"), ["still", "found"]),
        (("stuck", "away:off", "overdue"), ["changed", "found"]),
        (("healthy", "away:off", "healthy"), ["found"]),
    ],
)
def test_a_host_that_comes_back_is_compared_with_what_it_was_in(
    tell: Tell, database: Database, nights: Sequence[str], expected: list[str]
) -> None:
    tell(*nights)

    assert [word for word, _ in words_in(between(database, "run-1", "run-2"))] == expected


def test_a_host_that_is_lost_keeps_what_it_was_last_known_to_be_in(tell: Tell, database: Database) -> None:
    tell("stuck", "away:deadline")

    (lost,) = between(database).hosts
    assert (lost.word, lost.cause) == (Word.LOST, "deadline")
    assert lost.before == lost.after
    assert lost.after is not None
    assert (lost.after.verdict, lost.after.bad, lost.after.reason) == ("stuck", True, "it is stuck")
    with database.reading() as connection:
        history = History(connection)
        (state,) = history.state(history.run("last"))
    assert state.known is not None
    assert (state.verdict, state.bad) == ("unassessed", False)
    assert (state.known.verdict, state.known.since, state.known.seen) == ("stuck", FIRST, FIRST)
    assert state.away is not None
    assert (state.away.cause, state.away.since) == ("deadline", FIRST + timedelta(days=1))


def test_a_host_that_returns_says_how_often_and_since_when_it_was_mended(tell: Tell, database: Database) -> None:
    tell("stuck", "overdue", "healthy", "away:off", "armed", "healthy", "no-client", "stuck")

    (host,) = between(database, "run-6", "run-7").hosts
    assert (host.word, host.earlier) == (Word.RETURNED, Episode(2, FIRST + timedelta(days=5)))


def test_a_limited_or_interrupted_run_makes_nobody_vanish_or_appear(tell: Tell, database: Database) -> None:
    tell("healthy healthy -", "stuck - healthy", complete=False)

    assert words_in(between(database)) == [("new", "PC-1")]


def test_a_run_of_another_inventory_makes_nobody_vanish_or_appear(
    database: Database, new_run: Callable[..., NewRun], row: Callable[..., Any]
) -> None:
    write(database, new_run(0, [row("PC-1"), row("PC-2")]))
    write(database, new_run(1, [row("PC-2", "stuck"), row("PC-3")], inventory="other.py"))

    assert words_in(between(database)) == [("new", "PC-2")]


def test_a_host_that_a_limited_run_left_out_is_compared_with_the_look_before(tell: Tell, database: Database) -> None:
    tell("healthy stuck", "healthy -", "healthy stuck", complete=False)

    assert words_in(between(database, "run-1", "run-2")) == [("still", "PC-2")]


# -- by whom ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "changed", "by"),
    [
        (12.0, True, "by us"),
        (12.0, False, "not by us"),
        (-1.0, True, "not by us"),
        (24.5, True, "by us"),
        (26.0, True, "not by us"),
    ],
)
def test_what_a_run_of_ours_changed_in_between_was_us(
    tell: Tell, database: Database, new_run: Callable[..., NewRun], hours: float, changed: bool, by: str
) -> None:
    tell("stuck stuck", "healthy healthy")
    change = Change("pc-1", FIRST + timedelta(hours=hours), "changed", changed, "left the mode", steps=("SetMode",))
    write(database, new_run(hours / 24, kind="apply", name="ours", changes=(change,), plan="plan-1"))

    drifted = between(database)
    assert [(each.word, each.host, each.by) for each in drifted.hosts] == [
        (Word.FIXED, "PC-1", by),
        (Word.FIXED, "PC-2", "not by us"),
    ]
    one = drifted.hosts[0]
    if by == "by us":
        assert one.change is not None
        assert (one.change.detail, one.change.steps, one.plan) == ("left the mode", ("SetMode",), "plan-1")
    else:
        assert (one.change, one.plan) == (None, None)


# -- which runs -------------------------------------------------------------------------------------------------------


def test_the_last_two_complete_audits_of_the_inventory_are_compared(
    database: Database, new_run: Callable[..., NewRun], row: Callable[..., Any]
) -> None:
    for night, more in enumerate(
        ({}, {"complete": False}, {"inventory": "other.py"}, {}, {"kind": "plan"}, {"inventory": "other.py"})
    ):
        write(database, new_run(night, [row("PC-1")], **more))

    with database.reading() as connection:
        history = History(connection)
        assert latest(history).name == "run-5"
        last = latest(history, "fleet.py")
        assert (last.name, before(history, last).name) == ("run-3", "run-0")
        assert before(history, last, FIRST + timedelta(days=2)).name == "run-0"
        assert earlier(history, last) == before(history, last)
        assert earlier(history, before(history, last)) is None
        with pytest.raises(UsageError, match=r"no complete audit of fleet\.py that began by 2026-10-31 01:00 UTC"):
            before(history, last, FIRST - timedelta(days=1))
        with pytest.raises(UsageError, match=r"no complete audit of fleet\.py before run #1"):
            before(history, before(history, last))
        with pytest.raises(UsageError, match=r"no complete audit of away\.py"):
            latest(history, "away.py")


def test_runs_in_the_wrong_order_or_without_hosts_are_not_compared(
    tell: Tell, database: Database, new_run: Callable[..., NewRun]
) -> None:
    tell("healthy", "healthy")
    write(database, new_run(2, name="empty"))

    with pytest.raises(UsageError, match="run 2 did not begin before run 1"):
        between(database, "run-1", "run-0")
    with pytest.raises(UsageError, match="did not begin before"):
        between(database, "run-1", "run-1")
    with pytest.raises(UsageError, match="looked at no host"):
        between(database, "run-1", "empty")


def test_every_word_has_a_meaning_and_is_asked_for_by_itself(tell: Tell, database: Database) -> None:
    tell("healthy stuck overdue healthy", "stuck stuck healthy away:off")

    drifted = between(database)
    assert set(MEANINGS) == set(Word)
    assert words_in(drifted) == [("new", "PC-1"), ("still", "PC-2"), ("fixed", "PC-3"), ("lost", "PC-4")]
    assert [each.host for each in drifted.of(Word.NEW)] == ["PC-1"]
    assert [each.host for each in drifted.of(Word.STILL)] == ["PC-2"]


# -- against a model --------------------------------------------------------------------------------------------------

HOSTS = ("PC-1", "PC-2", "PC-3")
STATES = ("healthy", "stuck", "overdue", "away:off", "away:refused")
NIGHTS = st.lists(
    st.tuples(st.dictionaries(st.sampled_from(HOSTS), st.sampled_from(STATES), min_size=1), st.booleans()),
    min_size=2,
    max_size=7,
)


def model(nights: Sequence[tuple[dict[str, str], bool]], first: int, last: int) -> list[tuple[Any, ...]]:
    """Return the words between two nights, out of all looks: word, host, how often before and until which night."""
    said: list[tuple[Any, ...]] = []
    (before, before_whole), (after, after_whole) = nights[first], nights[last]
    for host in HOSTS:
        looks = [(night, states[host]) for night, (states, _) in enumerate(nights) if host in states]
        known = [(night, state) for night, state in looks if not state.startswith("away")]
        was = next((state for night, state in reversed(known) if night <= first), "")
        now = after.get(host, "away")
        if not now.startswith("away"):
            earlier = [(night, state in BAD) for night, state in known if night <= first]
            ends = [two[0] for one, two in itertools.pairwise(earlier) if one[1] and not two[1]]
            if now in BAD and was not in BAD:
                said.append(("returned", host, len(ends), ends[-1]) if ends else ("new", host))
            elif now in BAD:
                said.append(("still" if was == now else "changed", host))
            elif was in BAD:
                said.append(("fixed", host))
        if host in before and host in after:
            gone, there = before[host].startswith("away"), after[host].startswith("away")
            if gone != there:
                said.append(("found" if gone else "lost", host))
        if host in after and host not in before and before_whole:
            said.append(("appeared", host))
        if host in before and host not in after and after_whole:
            said.append(("vanished", host))
    order = [word.value for word in Word]
    return sorted(said, key=lambda each: (order.index(each[0]), each[1]))


def told(each: Drifted) -> tuple[Any, ...]:
    if each.earlier is None:
        return each.word.value, each.host
    return each.word.value, each.host, each.earlier.times, (each.earlier.ended - FIRST).days


@settings(max_examples=40)
@given(NIGHTS)
def test_between_any_two_runs_the_words_are_those_of_all_looks(
    row: Callable[..., Any], new_run: Callable[..., NewRun], nights: list[tuple[dict[str, str], bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder, Database(url_of(f"sqlite:///{folder}/h.sqlite")) as database:
        for night, (states, whole) in enumerate(nights):
            write(database, new_run(night, [row(host, state) for host, state in states.items()], complete=whole))
        for first in range(len(nights)):
            for last in range(first + 1, len(nights)):
                found = between(database, f"run-{first}", f"run-{last}")
                assert [told(each) for each in found.hosts] == model(nights, first, last)
