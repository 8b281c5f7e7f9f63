"""Histories in both kinds of database, rows of reports to write into them, and what is read back of them whole."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.engine import URL

from provmode.history import bits
from provmode.history.database import Database, url_of
from provmode.history.run import NewRun, number_of
from provmode.history.tables import COUNT, HOST, RUN, SPAN, STATE, WORDS
from provmode.history.writer import write

FIRST = datetime(2026, 11, 1, 1, tzinfo=timezone.utc)
PROGRAM = Path(__file__).with_name("write_runs.py")
Row = Mapping[str, Any]
Dump = list[tuple[Any, ...]]


def made_row(host: str, state: str = "healthy", *, reason: str = "", codes: Sequence[str] = (), **facts: Any) -> Row:
    """Return a row of a report: *state* is a verdict, or ``away:`` and the cause for which there is none."""
    verdict, _, cause = state.partition(":")
    if verdict == "away":
        words = reason or f"nothing answers ({cause})"
        said: dict[str, Any] = {"verdict": "unassessed", "rule": "unassessed", "cause": cause, "reason": words}
        return {"host": host, **said, "next_step": "look at it", "findings": [], "facts": {}}
    return {
        "host": host,
        "verdict": verdict,
        "rule": verdict,
        "reason": reason or f"it is {verdict}",
        "findings": [{"code": code, "text": f"there is {code}"} for code in codes],
        "facts": {
            "observed_at": FIRST.isoformat(),
            "client_version": {"known": "5.00.9122.1033"},
            "computer": {"known": host.partition(".")[0].upper()},
            **facts,
        },
    }


def made_run(night: float, rows: Iterable[Row] = (), *, name: str = "", kind: str = "audit", **more: Any) -> NewRun:
    """Return a run of a *night*, counted from 0."""
    began = FIRST + timedelta(days=night)
    known = {"inventory": "fleet.py", "complete": True, "exit_code": 0, "by": "me@here", "version": "0.1.0", **more}
    return NewRun(name or f"run-{night:g}", kind, began, began + timedelta(hours=1), rows=rows, **known)


@pytest.fixture(scope="session")
def row() -> Callable[..., Row]:
    """Make a row of a report."""
    return made_row


@pytest.fixture(scope="session")
def new_run() -> Callable[..., NewRun]:
    """Make a run."""
    return made_run


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """The address of a history that is not there yet, of each kind."""
    if request.param == "sqlite":
        yield url_of(f"sqlite:///{tmp_path}/history.sqlite")
        return
    server = request.getfixturevalue("postgresql")
    name = f"history_{uuid.uuid4().hex[:12]}"
    server.sql(f"CREATE DATABASE {name}")
    yield url_of(f"postgresql://postgres@/{name}?host={server.folder}")
    server.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def file_url(tmp_path: Path) -> URL:
    """The address of a file that is not there yet."""
    return url_of(f"sqlite:///{tmp_path}/history.sqlite")


@pytest.fixture
def database(database_url: URL) -> Iterator[Database]:
    """A history of each kind, to write to."""
    with Database(database_url, patience=5) as opened:
        yield opened


@pytest.fixture(scope="session")
def spans_in() -> Callable[[Database], Dump]:
    """Return every span of a history, by names instead of numbers, and see that it is whole.

    Of each: host, since, until, cause or verdict, away since, seen, the digests of state and words.
    """
    return _spans_in


def _spans_in(database: Database) -> Dump:
    with database.reading() as connection:
        rows = connection.execute(
            select(SPAN, HOST.c.name, STATE.c.verdict, STATE.c.cause, STATE.c.key, WORDS.c.key.label("said"))
            .join(HOST, SPAN.c.host_id == HOST.c.id)
            .join(STATE, SPAN.c.state_id == STATE.c.id)
            .join(WORDS, SPAN.c.words_id == WORDS.c.id)
        ).all()
        runs = connection.execute(select(RUN)).all()
        counts: dict[int, Counter[str]] = {run.id: Counter() for run in runs}
        for run_id, verdict, hosts in connection.execute(select(COUNT)):
            counts[run_id][verdict] = hosts
    for run in runs:
        if run.part_of is None:
            _whole([run, *(each for each in runs if each.part_of == run.id)], counts[run.id], rows)
    dump = [
        (each.name, each.since, each.until, each.cause or each.verdict, each.away_since, each.seen, each.key, each.said)
        for each in rows
    ]
    return sorted(dump, key=repr)


def _whole(rounds: Sequence[Any], counted: Counter[str], spans: Sequence[Any]) -> None:
    """See that what a run counted is what the bits of its rounds say, and what the spans say of their moments."""
    found: Counter[str] = Counter()
    every: set[int] = set()
    for run in rounds:
        looked, assessed = set(bits.numbers(bits.unpacked(run.looked))), set(bits.numbers(bits.unpacked(run.assessed)))
        if run.kind in ("apply", "undo"):
            assert looked == set()
            return
        assert assessed <= looked
        assert not looked & every, "a host has one last look"
        every |= looked
        there = [each for each in spans if each.since <= run.at and (each.until is None or run.at < each.until)]
        for host in looked:
            mine = [each for each in there if each.host_id == host and each.assessed == (host in assessed)]
            assert len(mine) == 1, (run.name, host)
            found[mine[0].verdict] += 1
    assert found == counted, rounds[0].name
    assert counted.total() == len(every)


@pytest.fixture
def rewritten(tmp_path: Path) -> Callable[[Iterable[NewRun]], Dump]:
    """Return the spans that one writer makes of runs, one after the other in the order of time."""

    def rewrite(runs: Iterable[NewRun]) -> Dump:
        with Database(url_of(f"sqlite:///{tmp_path}/again-{uuid.uuid4().hex}.sqlite")) as again:
            for run in sorted(runs, key=lambda each: number_of(each.began)):
                write(again, run)
            return _spans_in(again)

    return rewrite


@pytest.fixture
def start_writer(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that writes audits; it prints the name of each that it has written."""
    started: list[subprocess.Popen[str]] = []

    def start(url: URL, runs: Sequence[NewRun], *, umask: int = -1) -> subprocess.Popen[str]:
        file = tmp_path / f"runs-{uuid.uuid4().hex}.json"
        file.write_text(json.dumps([[run.name, run.began.isoformat(), list(run.rows)] for run in runs]))
        command = [sys.executable, str(PROGRAM), url.render_as_string(hide_password=False), str(file)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, umask=umask
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
