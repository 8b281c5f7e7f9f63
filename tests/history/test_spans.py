"""Spans: what a host was in from when until when, against a model that looks at every moment by itself."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provmode.history import bits
from provmode.history.database import Database, url_of
from provmode.history.pruning import prune
from provmode.history.run import NewRun, number_of
from provmode.history.spans import Found, Span, looks_of, spans_of
from provmode.history.writer import write

LOOKS = st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.integers(0, 2)), max_size=14)


def looks(drawn: Sequence[tuple[int, bool, int]]) -> list[Found]:
    """Return looks some moments apart; a state is either one of a host that was assessed, or a cause."""
    found, at = [], 0
    for later, assessed, state in drawn:
        at += later
        number = state + (0 if assessed else 10)
        found.append(Found(at, assessed, number, number + 100))
    return found


def known_at(made: Sequence[Found], moment: int) -> tuple[int, int] | None:
    """Return what the host was last known to be in at a moment, and since when, by going back look by look."""
    before = [look for look in made if look.assessed and look.at <= moment]
    if not before:
        return None
    same = before[-1]
    for look in reversed(before):
        if look.state != before[-1].state:
            break
        same = look
    return same.state, same.at


def away_at(made: Sequence[Found], moment: int) -> tuple[int, int, int, int | None] | None:
    """Return why the host was away at a moment: the cause, since when, away since when, when it was seen last."""
    before = [look for look in made if look.at <= moment]
    if not before or before[-1].assessed:
        return None
    cause = away = before[-1]
    same = True
    for look in reversed(before):
        if look.assessed:
            return cause.state, cause.at, away.at, look.at
        away = look
        same = same and look.state == cause.state
        if same:
            cause = look
    return cause.state, cause.at, away.at, None


@given(LOOKS)
def test_at_every_moment_the_spans_say_what_the_looks_before_it_said(drawn: list[tuple[int, bool, int]]) -> None:
    made = looks(drawn)
    spans = spans_of(made)

    for moment in range((made[-1].at if made else 0) + 3):
        there = [span for span in spans if span.since <= moment and (span.until is None or moment < span.until)]
        known = [(span.state, span.since) for span in there if span.assessed]
        away = [(span.state, span.since, span.away_since, span.seen) for span in there if not span.assessed]
        assert known == [each for each in (known_at(made, moment),) if each is not None]
        assert away == [each for each in (away_at(made, moment),) if each is not None]


@given(LOOKS)
def test_no_two_spans_that_follow_each_other_say_the_same(drawn: list[tuple[int, bool, int]]) -> None:
    for assessed in (True, False):
        spans = [span for span in spans_of(looks(drawn)) if span.assessed is assessed]
        for one, two in itertools.pairwise(spans):
            assert one.until is not None
            assert one.until <= two.since
            assert one.until < two.since or one.state != two.state


@given(LOOKS)
def test_the_looks_are_found_again_in_the_spans(drawn: list[tuple[int, bool, int]]) -> None:
    made = looks(drawn)

    assert list(looks_of(spans_of(made), [(look.at, look.assessed) for look in made])) == made


@given(LOOKS, st.integers(0, 14))
def test_spans_of_runs_that_were_pruned_stay_what_they_are(drawn: list[tuple[int, bool, int]], kept: int) -> None:
    made = looks(drawn)
    spans = spans_of(made)

    assert spans_of(looks_of(spans, [(look.at, look.assessed) for look in made[kept:]])) == spans


def test_a_host_that_is_away_stays_in_what_it_was_last_known_to_be_in() -> None:
    spans = spans_of([Found(1, True, 0, 0), Found(2, False, 10, 1), Found(3, False, 11, 2), Found(4, True, 0, 3)])

    assert spans == [
        Span(True, 1, None, 0, 0),
        Span(False, 2, 3, 10, 1, 2, 1),
        Span(False, 3, 4, 11, 2, 2, 1),
    ]


# -- the writer -------------------------------------------------------------------------------------------------------

HOSTS = ("PC-1", "PC-2", "PC-3", "PC-4")
STATES = ("healthy", "stuck", "overdue", "away:refused", "away:deadline")
NIGHTS = st.lists(st.dictionaries(st.sampled_from(HOSTS), st.sampled_from(STATES)), min_size=1, max_size=7)
"""Runs: what each found at some of the hosts."""


def expected(runs: Sequence[NewRun]) -> list[tuple[Any, ...]]:
    """Return the spans that the looks of all runs make, host by host."""
    by_host: dict[str, list[tuple[int, bool, str]]] = {}
    for run in sorted(runs, key=lambda each: each.began):
        for each in run.rows:
            look = (number_of(run.began), each["verdict"] != "unassessed", each.get("cause") or each["verdict"])
            by_host.setdefault(each["host"].casefold(), []).append(look)
    made = []
    for host, found in by_host.items():
        words = sorted({word for _, _, word in found})
        spans = spans_of(Found(at, assessed, words.index(word), 0) for at, assessed, word in found)
        made += [(host, span.since, span.until, words[span.state], span.away_since, span.seen) for span in spans]
    return sorted(made, key=repr)


def written(database: Database, runs: Sequence[NewRun], spans_in: Any) -> list[tuple[Any, ...]]:
    """Write runs and return the spans as `expected` has them."""
    assert all(write(database, run) for run in runs)
    return [span[:6] for span in spans_in(database)]


@settings(max_examples=60)
@given(NIGHTS, st.randoms(use_true_random=False))
def test_in_whatever_order_runs_are_written_the_spans_are_those_of_all_looks(
    row: Callable[..., Any], new_run: Callable[..., NewRun], spans_in: Any, nights: list[dict[str, str]], random: Any
) -> None:
    runs = [
        new_run(night, [row(host, state) for host, state in sorted(hosts.items())])
        for night, hosts in enumerate(nights)
    ]
    wanted = expected(runs)
    random.shuffle(runs)

    with tempfile.TemporaryDirectory() as folder, Database(url_of(f"sqlite:///{folder}/h.sqlite")) as database:
        assert written(database, runs, spans_in) == wanted


@pytest.mark.parametrize("order", ["forwards", "backwards", "the middle last"])
def test_each_database_has_the_same_spans(
    row: Callable[..., Any], new_run: Callable[..., NewRun], spans_in: Any, database: Database, order: str
) -> None:
    nights = ["HHSA", "HSSA", "AAHR", "RHHR", "HH-A", "SR-H"]
    words = {"H": "healthy", "S": "stuck", "A": "away:refused", "R": "away:deadline"}
    runs = [
        new_run(night, [row(host, words[found]) for host, found in zip(HOSTS, hosts, strict=True) if found in words])
        for night, hosts in enumerate(nights)
    ]
    ordered = {"forwards": runs, "backwards": runs[::-1], "the middle last": runs[:2] + runs[4:] + runs[2:4]}[order]

    assert written(database, ordered, spans_in) == expected(runs)


def test_an_inventory_that_nobody_looks_at_any_more_keeps_nothing_but_its_last_audit(
    row: Callable[..., Any], new_run: Callable[..., NewRun], spans_in: Any, database: Database
) -> None:
    runs = [new_run(night, [row("PC-1", STATES[night % 2])]) for night in range(1, 9)]
    for run in (new_run(0, [row("PC-9")], inventory="old.py"), *runs):
        write(database, run)

    prune(database, runs[5].began)

    begins = [number_of(run.began) for run in runs]
    assert [span[:3] for span in spans_in(database)] == [
        ("pc-1", begins[5], begins[6]),
        ("pc-1", begins[6], begins[7]),
        ("pc-1", begins[7], None),
        ("pc-9", number_of(new_run(0).began), None),
    ]


def test_a_look_at_one_host_does_not_make_a_late_run_of_all_slow(
    row: Callable[..., Any],
    new_run: Callable[..., NewRun],
    spans_in: Any,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [new_run(night, [row(host, STATES[night]) for host in HOSTS]) for night in range(3)]
    at_one = new_run(3, [row(HOSTS[0], "overdue")], complete=False)
    change = new_run(4, [], kind="apply")
    for run in (*runs[:2], at_one, change):
        write(database, run)
    made_anew: list[Any] = []

    def counted(looks: Any) -> Any:
        made_anew.append(looks)
        return spans_of(looks)

    monkeypatch.setattr("provmode.history.writer.spans_of", counted)

    assert write(database, runs[2])

    assert len(made_anew) == 1
    assert [span[:6] for span in spans_in(database)] == expected([*runs, at_one])


def test_a_run_is_written_once(
    row: Callable[..., Any], new_run: Callable[..., NewRun], spans_in: Any, database: Database
) -> None:
    assert write(database, new_run(0, [row("PC-1")]))
    before = spans_in(database)

    assert not write(database, new_run(0, [row("PC-1", "stuck")]))
    assert spans_in(database) == before


def test_two_runs_of_one_moment_are_two_runs(
    row: Callable[..., Any], new_run: Callable[..., NewRun], spans_in: Any, database: Database
) -> None:
    for name, state in (("one", "healthy"), ("two", "stuck"), ("three", "healthy")):
        assert write(database, new_run(0, [row("PC-1", state)], name=name))

    begin = number_of(new_run(0).began)
    assert [span[1:4] for span in spans_in(database)] == [
        (begin, begin + 1, "healthy"),
        (begin + 1, begin + 2, "stuck"),
        (begin + 2, None, "healthy"),
    ]


def test_more_hosts_than_one_statement_takes_are_written_both_ways(
    row: Callable[..., Any], new_run: Callable[..., NewRun], spans_in: Any, database: Database
) -> None:
    runs = [
        new_run(night, [row(f"PC-{number}", STATES[(number + night) % 5]) for number in range(1203)])
        for night in range(3)
    ]

    assert written(database, [runs[0], runs[2], runs[1]], spans_in) == expected(runs)


def test_what_a_run_that_was_pruned_saw_counts_for_an_earlier_one(
    row: Callable[..., Any], new_run: Callable[..., NewRun], spans_in: Any, database: Database
) -> None:
    runs = [
        new_run(0, [row("PC-1")]),
        new_run(2, [row("PC-1", "stuck")], complete=False),
        new_run(3, [row("PC-2")], complete=False),
        new_run(1, [row("PC-1", "away:refused")]),
    ]
    written(database, runs[:3], spans_in)
    prune(database, runs[2].began + timedelta(days=9))

    assert written(database, runs[3:], spans_in) == expected(runs)


def test_when_a_host_was_seen_last_outlives_the_run_that_saw_it(
    row: Callable[..., Any], new_run: Callable[..., NewRun], spans_in: Any, database: Database
) -> None:
    runs = [
        new_run(night, [row("PC-1", state)], complete=False)
        for night, state in enumerate(("stuck", "away:refused", "away:deadline"))
    ]
    written(database, runs[:2], spans_in)
    prune(database, runs[1].began)

    assert written(database, runs[2:], spans_in) == expected(runs)


@given(st.sets(st.integers(0, 3000)))
def test_a_set_of_hosts_is_read_as_it_was_stored(numbers: set[int]) -> None:
    there = bits.unpacked(bits.packed(bits.of(numbers)))

    assert list(bits.numbers(there)) == sorted(numbers)
    assert all(bits.has(there, number) == (number in numbers) for number in range(0, 3010, 7))
