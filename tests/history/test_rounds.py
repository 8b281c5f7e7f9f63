"""A host that a run found only in a later round counts as looked at then, and not when the run began."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from provmode.history.database import Database, url_of
from provmode.history.drift import Word
from provmode.history.drifting import drift
from provmode.history.pruning import prune
from provmode.history.reader import History, HostState
from provmode.history.reports import run_of
from provmode.history.run import NewRun
from provmode.history.tables import RUN
from provmode.history.writer import write

FIRST = datetime(2026, 11, 1, 1, tzinfo=timezone.utc)
NewRunFrom = Callable[..., NewRun]
MakeRow = Callable[..., Any]
DAY = timedelta(days=1)


def hours(number: float) -> datetime:
    """Return the time so many hours after the second night's run began."""
    return FIRST + DAY + timedelta(hours=number)


def found(row: Any, tries: int, when: datetime) -> Any:
    """Return a row of a host that was found in a later round."""
    return {**row, "tries": tries, "facts": {**row["facts"], "observed_at": when.isoformat()}}


@pytest.fixture
def runs(new_run: NewRunFrom, row: MakeRow) -> list[NewRun]:
    """Two nights. In the second, which goes on for five hours, a desk is looked at alone before the night finds it."""
    night = [
        row("DESK", "healthy"),
        found(row("LAPTOP", "stuck"), 3, hours(2)),
        found(row("OTHER", "stuck"), 3, hours(2.1)),
        found(row("LATE", "healthy"), 5, hours(4)),
        {**row("AWAY", "away:connect-timeout"), "tries": 6},
    ]
    alone = new_run(0, [row("LAPTOP", "overdue")], name="alone", complete=False)
    return [
        new_run(0, [row(name) for name in ("DESK", "LAPTOP", "OTHER", "LATE", "AWAY")], name="the first night"),
        NewRun(**{**vars(new_run(1, night, name="the second night")), "ended": hours(5)}),
        NewRun(**{**vars(alone), "began": hours(1), "ended": hours(1.1)}),
        new_run(2, [row("DESK"), row("LAPTOP"), row("LATE"), row("AWAY")], name="the third night"),
    ]


def by_host(history: History, run: str) -> dict[str, HostState]:
    return {each.host: each for each in history.state(history.run(run))}


def test_runs_with_rounds_give_the_same_spans_in_whatever_order_they_are_written(
    runs: list[NewRun], rewritten: Callable[..., Any], spans_in: Callable[[Database], Any], tmp_path: Path
) -> None:
    expected = rewritten(runs)
    for number, order in enumerate(itertools.permutations(runs[1:])):
        with Database(url_of(f"sqlite:///{tmp_path}/{number}.sqlite")) as database:
            for run in (*order, runs[0]):
                assert write(database, run)
                assert not write(database, run), "the same run is written once"
            assert spans_in(database) == expected


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 1, 3), (3, 2, 1, 0)])
def test_each_host_is_placed_by_its_last_look(database: Database, runs: list[NewRun], order: Sequence[int]) -> None:
    for number in order:
        write(database, runs[number])

    with database.reading() as connection:
        history = History(connection)
        stays = [(stay.verdict, stay.since, stay.until) for stay in history.timeline("LAPTOP").stays]
        assert stays == [
            ("healthy", FIRST, hours(1)),
            ("overdue", hours(1), hours(2)),
            ("stuck", hours(2), hours(24)),
            ("healthy", hours(24), None),
        ]
        found = by_host(history, "the second night")
        assert {name: host.verdict for name, host in found.items()} == {
            **{"DESK": "healthy", "LAPTOP": "stuck", "OTHER": "stuck", "LATE": "healthy", "AWAY": "unassessed"}
        }
        seen = {name: host.known.seen for name, host in found.items() if host.known is not None}
        assert seen == {"DESK": hours(0), "LAPTOP": hours(2), "OTHER": hours(2), "LATE": hours(4), "AWAY": FIRST}
        assert by_host(history, "alone")["LAPTOP"].verdict == "overdue"
        away = found["AWAY"].away
        assert away is not None
        assert away.since == hours(0)
        assert history.timeline("LATE").seen == hours(24)


def test_the_rounds_of_a_run_are_one_run(database: Database, runs: list[NewRun]) -> None:
    for run in runs:
        write(database, run)

    with database.reading() as connection:
        history = History(connection)
        names = [run.name for run in history.runs()]
        night = history.run("the second night")
        rows = connection.execute(select(RUN.c.part_of).where(RUN.c.part_of.is_not(None))).scalars().all()

    assert names == ["the third night", "alone", "the second night", "the first night"]
    assert night.counts == {"healthy": 2, "stuck": 2, "unassessed": 1}
    assert (night.looked.bit_count(), night.assessed.bit_count()) == (5, 4)
    assert rows == [night.number] * 2


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("the first night", "the second night", {"LAPTOP": "new", "OTHER": "new", "AWAY": "lost"}),
        ("the second night", "the third night", {"LAPTOP": "fixed", "OTHER": "vanished", "AWAY": "found"}),
    ],
)
def test_nights_are_compared_by_what_each_host_was_found_to_be_last(
    database: Database, runs: list[NewRun], before: str, after: str, words: dict[str, str]
) -> None:
    for run in runs:
        write(database, run)

    with database.reading() as connection:
        history = History(connection)
        changes = drift(connection, history.run(before), history.run(after))

    assert {each.host: each.word.value for each in changes.hosts} == words
    assert changes.of(Word.STILL) == []


def test_rounds_are_forgotten_with_their_run_and_only_then(database: Database, runs: list[NewRun]) -> None:
    for run in runs[:2]:
        write(database, run)

    assert prune(database, hours(3)).runs == 1, "the last run stays, though it began before, and its rounds with it"
    with database.reading() as connection:
        night = History(connection).run("last")
        assert (night.name, len(night.rounds)) == ("the second night", 2)
    for run in runs[2:]:
        write(database, run)
    assert prune(database, hours(24)).runs == 2
    with database.reading() as connection:
        assert connection.execute(select(RUN.c.name)).scalars().all() == ["the third night"]


def test_a_time_that_cannot_be_a_hosts_counts_as_the_beginning(
    database: Database, new_run: NewRunFrom, row: MakeRow
) -> None:
    odd = [hours(-30), hours(30), "yesterday", "2026-11-02T03:00:00", None]
    rows = [found(row(f"PC-{number}"), 2 + number, hours(2)) for number in range(len(odd))]
    for each, when in zip(rows, odd, strict=True):
        each["facts"]["observed_at"] = when.isoformat() if isinstance(when, datetime) else when
    write(database, NewRun(**{**vars(new_run(1, rows)), "ended": hours(5)}))

    with database.reading() as connection:
        history = History(connection)
        assert history.run("last").rounds == ()
        seen = {state.known.seen for state in history.state(history.run("last")) if state.known is not None}
        assert seen == {hours(0)}


def test_a_report_with_impossible_tries_is_refused(row: MakeRow) -> None:
    from provmode.errors import UsageError

    report = {"format": "provmode-audit", "version": 1, "began": FIRST.isoformat()}
    for tries in (0, -1, "2", [2], True, None):
        with pytest.raises(UsageError, match="host 1: tries is not what a report has there"):
            run_of({**report, "hosts": [{**row("PC-1"), "tries": tries}]}, "it.json")
