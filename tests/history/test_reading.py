"""Reading what runs remember, and names that somebody chose to break it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from provmode.errors import UsageError
from provmode.history.database import Database
from provmode.history.drifting import drift
from provmode.history.reader import History, Run
from provmode.history.run import Change, NewRun
from provmode.history.writer import write

FIRST = datetime(2026, 11, 1, 1, tzinfo=timezone.utc)
NewRunFrom = Callable[..., NewRun]
MakeRow = Callable[..., Any]


def last_run(history: History) -> Run:
    return history.run("last")


# -- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_is_read_as_it_was_written(database: Database, new_run: NewRunFrom, row: MakeRow) -> None:
    about = {"limit": ["berlin"], "notes": ["ß \N{SNOWMAN}"]}
    rows = [row("PC-1"), row("PC-2", "stuck"), row("PC-3", "away:off")]
    write(database, new_run(0, rows, exit_code=6, plan="plan-1", about=about, complete=False))

    with database.reading() as connection:
        run = last_run(History(connection))
    assert (run.number, run.name, run.kind, run.began, run.ended) == (
        *(1, "run-0", "audit"),
        *(FIRST, FIRST + timedelta(hours=1)),
    )
    assert (run.inventory, run.complete, run.exit_code, run.by, run.version, run.plan) == (
        *("fleet.py", False, 6),
        *("me@here", "0.1.0", "plan-1"),
    )
    assert (run.counts, run.hosts, run.about) == ({"healthy": 1, "stuck": 1, "unassessed": 1}, 3, about)


def test_runs_are_found_by_what_they_are(database: Database, new_run: NewRunFrom, row: MakeRow) -> None:
    for night, more in enumerate(({}, {"kind": "plan"}, {"inventory": "other.py"}, {"complete": False}, {})):
        write(database, new_run(night, [row("PC-1")], **more))

    with database.reading() as connection:
        history = History(connection)

        def names(**which: Any) -> list[str]:
            return [run.name.removeprefix("run-") for run in history.runs(**which)]

        assert names() == ["4", "3", "2", "1", "0"]
        assert names(limit=2) == ["4", "3"]
        assert names(kinds=("plan",)) == ["1"]
        assert names(inventory="fleet.py") == ["4", "3", "1", "0"]
        assert names(complete=True, kinds=("audit",)) == ["4", "2", "0"]
        assert names(until=FIRST + timedelta(days=1)) == ["1", "0"]
        assert history.inventories() == ["fleet.py", "other.py"]
        assert [run.name for run in history.trend("fleet.py", until=FIRST + timedelta(days=9), runs=5)] == [
            "run-0",
            "run-4",
        ]


@pytest.mark.parametrize(
    ("word", "expected"),
    [("last", "abcd-2"), ("1", "abcd-1"), ("#2", "abcd-2"), ("abcd-1", "abcd-1"), ("1234", "1234-5678")],
)
def test_a_run_is_named_by_number_or_beginning(
    database: Database, new_run: NewRunFrom, word: str, expected: str
) -> None:
    for night, name in ((1, "abcd-1"), (2, "abcd-2"), (0, "1234-5678")):
        write(database, new_run(night, name=name))

    with database.reading() as connection:
        assert History(connection).run(word).name == expected


@pytest.mark.parametrize(
    "word", ["abcd", "ab", "7", "%%%%", "____", "", "\0\0\0\0", "\udc80abc", "9" * 40, "١", "LAST"]
)
def test_a_word_that_means_no_run_is_refused(database: Database, new_run: NewRunFrom, word: str) -> None:
    for night, name in enumerate(("abcd-1", "abcd-2")):
        write(database, new_run(night, name=name))

    with database.reading() as connection, pytest.raises(UsageError) as raised:
        History(connection).run(word)
    assert raised.value.next_step == "provmode history runs lists them"


# -- hosts ------------------------------------------------------------------------------------------------------------


def test_the_state_of_a_past_run_is_what_was_known_then(database: Database, new_run: NewRunFrom, row: MakeRow) -> None:
    write(database, new_run(0, [row("PC-1", "stuck", codes=["clock-skew"]), row("PC-2")]))
    write(database, new_run(1, [row("PC-1", "away:off"), row("PC-3", "away:off", reason="it is off")]))
    write(database, new_run(2, [row("PC-1"), row("PC-2"), row("PC-3")]))

    with database.reading() as connection:
        history = History(connection)
        first, second, third = (list(history.state(history.run(f"run-{night}"))) for night in range(3))
    assert [(each.host, each.verdict, each.bad) for each in first] == [
        ("PC-1", "stuck", True),
        ("PC-2", "healthy", False),
    ]
    assert [(each.host, each.verdict) for each in third] == [(f"PC-{at}", "healthy") for at in (1, 2, 3)]
    known, never = second
    assert (known.verdict, never.verdict, never.known) == ("unassessed", "unassessed", None)
    assert known.known is not None
    assert (known.known.verdict, known.known.findings) == ("stuck", (("clock-skew", "there is clock-skew"),))
    assert dict(known.known.facts) == {
        "computer": {"known": "PC-1"},
        "client_version": {"known": "5.00.9122.1033"},
    }
    assert never.away is not None
    assert (never.away.reason, never.away.next_step) == ("it is off", "look at it")


def test_a_timeline_has_every_stay_and_every_change(database: Database, new_run: NewRunFrom, row: MakeRow) -> None:
    write(database, new_run(0, [row("PC-1", "stuck")]))
    change = Change(
        "pc-1", FIRST + timedelta(hours=9), "failed", True, "it did not help", "deadline", "look", ("Step",)
    )
    write(database, new_run(0.3, kind="apply", name="ours", changes=(change,)))
    for night, state in enumerate(("away:off", "away:off", "healthy", "away:refused"), 1):
        write(database, new_run(night, [row("PC-1", state)]))
    write(database, new_run(9, [row("PC-2")]))

    with database.reading() as connection:
        history = History(connection)
        timeline = history.timeline("pc-1")
        days = [
            (stay.verdict, stay.cause, (stay.since - FIRST).days, stay.until and (stay.until - FIRST).days)
            for stay in timeline.stays
        ]
        with pytest.raises(UsageError, match="the history knows no host PC") as raised:
            history.timeline("PC")
    assert days == [
        ("stuck", None, 0, 3),
        ("unassessed", "off", 1, 3),
        ("healthy", None, 3, None),
        ("unassessed", "refused", 4, None),
    ]
    assert (timeline.looked, timeline.seen) == (FIRST + timedelta(days=4), FIRST + timedelta(days=3))
    ((run, made),) = timeline.changes
    assert (run.name, run.counts, made) == ("ours", {"failed": 1}, Change("PC-1", *vars_of(change)))
    assert raised.value.next_step == "did you mean PC-1, PC-2?"


def vars_of(change: Change) -> tuple[Any, ...]:
    return tuple(vars(change).values())[1:]


def test_reading_a_timeline_leaves_the_rest_of_the_transaction_as_it_was(
    database: Database, new_run: NewRunFrom, row: MakeRow
) -> None:
    for night in range(60):
        write(database, new_run(night, [row("PC-1")]))

    with database.reading() as connection:
        history = History(connection)
        before = dict(connection.get_execution_options())
        history.timeline("PC-1")
        assert dict(connection.get_execution_options()) == before
        assert len(history.runs()) == 60


# -- names ------------------------------------------------------------------------------------------------------------

HOSTILE = (
    *("PC\0-1", "PC-\ud800", "'; DROP TABLE run; --", '"quoted"', "%", "_", "a\\b", "\N{RIGHT-TO-LEFT OVERRIDE}gpj"),
    *("x" * 10_000, "x" * 9_999 + "y", "x" * 9_999, "\N{SNOWMAN}" * 300, " ", "", "ÄRGER.example", "line\nbreak"),
)


def test_hostile_names_are_hosts_like_others(
    database: Database, new_run: NewRunFrom, row: MakeRow, spans_in: Any
) -> None:
    for night, state in enumerate(("healthy", "stuck", "away:off")):
        write(database, new_run(night, [row(name, state, reason=f"{name} is {state}") for name in HOSTILE]))
    changes = tuple(Change(name, FIRST + timedelta(hours=5), "changed", True, name, steps=(name,)) for name in HOSTILE)
    hostile = "\0\ud800'\n"
    ours = new_run(0.2, kind="apply", name="ours", changes=changes, inventory=hostile, by=hostile, about={"a": hostile})
    write(database, ours)

    assert len(spans_in(database)) == 3 * len(HOSTILE)
    with database.reading() as connection:
        history = History(connection)
        assert [len(list(history.state(history.run(f"run-{night}")))) for night in range(3)] == [len(HOSTILE)] * 3
        for name in HOSTILE:
            timeline = history.timeline(name)
            assert [stay.reason for stay in timeline.stays] == [
                f"{name} is {state}" for state in ("healthy", "stuck", "away:off")
            ]
            assert [change.steps for _, change in timeline.changes] == [(name,)]
            assert len(timeline.host) <= 255
            assert timeline.host.isprintable()
        assert len(drift(connection, history.run("run-0"), history.run("run-1")).hosts) == len(HOSTILE)
        assert [run.name for run in history.runs(inventory=hostile)] == ["ours"]
        assert history.run("ours").about == {"a": hostile}


def test_a_name_in_another_case_is_the_same_host(database: Database, new_run: NewRunFrom, row: MakeRow) -> None:
    write(database, new_run(0, [row("PC-1.corp.example")]))
    write(database, new_run(1, [row("pc-1.CORP.example", "stuck")]))

    with database.reading() as connection:
        timeline = History(connection).timeline("Pc-1.Corp.Example")
    assert [stay.verdict for stay in timeline.stays] == ["healthy", "stuck"]
    assert timeline.host == "PC-1.corp.example"


@pytest.mark.parametrize("names", [("PC-1", "pc-1"), ("pc-1", "PC-1")])
def test_of_two_names_for_one_host_in_one_run_what_was_assessed_counts(
    database: Database, new_run: NewRunFrom, row: MakeRow, spans_in: Any, names: tuple[str, str]
) -> None:
    rows = {"PC-1": row("PC-1", "away:off"), "pc-1": row("pc-1", "stuck")}
    write(database, new_run(0, [rows[name] for name in names]))

    assert [span[3] for span in spans_in(database)] == ["stuck"]
    with database.reading() as connection:
        assert last_run(History(connection)).counts == {"stuck": 1}


def test_a_run_without_hosts_is_a_run(database: Database, new_run: NewRunFrom, spans_in: Any) -> None:
    assert write(database, new_run(0))

    assert spans_in(database) == []
    with database.reading() as connection:
        history = History(connection)
        run = last_run(history)
        assert (run.hosts, run.counts, list(history.state(run))) == (0, {}, [])
