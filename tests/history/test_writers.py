"""Writers that are killed, several at once, and readers beside them: nothing is lost, nothing is half there."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.engine import URL

from provmode.history.database import Database, HistoryError
from provmode.history.reader import History
from provmode.history.run import NewRun
from provmode.history.tables import HOST
from provmode.history.writer import write

Start = Callable[..., "subprocess.Popen[str]"]
STATES = ("healthy", "healthy", "healthy", "stuck", "away:refused", "away:deadline")


@pytest.fixture(scope="session")
def nights(new_run: Callable[..., NewRun], row: Callable[..., Any]) -> Callable[..., list[NewRun]]:
    """Make runs over a few hundred hosts that move between states."""

    def make(count: int, *, hosts: int = 150, seed: int = 7) -> list[NewRun]:
        chosen = random.Random(seed)
        return [
            new_run(night, [row(f"PC-{number:04}", chosen.choice(STATES)) for number in range(hosts)])
            for night in range(count)
        ]

    return make


def names_in(database: Database) -> list[str]:
    with database.reading() as connection:
        return [run.name for run in History(connection).runs()][::-1]


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def killed_after(process: subprocess.Popen[str], seconds: float) -> list[str]:
    """Let a writer begin, kill it, and return the names of the runs that it said were written."""
    go(process)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.communicate()[0].split()


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_that_is_killed_leaves_a_whole_history(
    database: Database, start_writer: Start, nights: Any, spans_in: Any, rewritten: Any, seed: int
) -> None:
    runs = nights(5)
    chosen = random.Random(seed)
    longest = 0.15 if seed % 2 else 0.6  # the tables are made in the first tenth of a second
    said: list[str] = []

    for _ in range(3):
        said += killed_after(start_writer(database.url, runs), chosen.uniform(0, longest))
        if said:
            there = names_in(database)
            assert set(said) <= set(there)
            assert there == [run.name for run in runs][: len(there)]
            spans_in(database)
        if database.is_file and Path(database.name).exists():
            with sqlite3.connect(database.name) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            connection.close()

    for run in runs:
        write(database, run)
    assert spans_in(database) == rewritten(runs)


@pytest.mark.parametrize("round_", range(2))
def test_several_writers_at_once_write_every_run(
    database: Database, start_writer: Start, nights: Any, spans_in: Any, rewritten: Any, round_: int
) -> None:
    runs = nights(9, seed=round_)
    random.Random(round_).shuffle(runs)
    writers = [start_writer(database.url, runs[first::3]) for first in range(3)]

    for writer in writers:
        go(writer)
    ended = [writer.communicate(timeout=60) for writer in writers]

    assert [(writer.returncode, said[1]) for writer, said in zip(writers, ended, strict=True)] == [(0, "")] * 3
    assert names_in(database) == [f"run-{night}" for night in range(9)]
    assert spans_in(database) == rewritten(runs)


def test_the_same_run_from_several_writers_is_one_run(
    database: Database, start_writer: Start, nights: Any, spans_in: Any, rewritten: Any
) -> None:
    runs: Sequence[NewRun] = nights(3)
    writers = [start_writer(database.url, runs) for _ in range(3)]

    for writer in writers:
        go(writer)
    for writer in writers:
        assert writer.communicate(timeout=60)[1] == ""

    assert names_in(database) == ["run-0", "run-1", "run-2"]
    assert spans_in(database) == rewritten(runs)


def test_who_reads_sees_one_picture_and_nobody_waits(
    database: Database, new_run: Callable[..., NewRun], row: Callable[..., Any]
) -> None:
    write(database, new_run(0, [row("PC-1")]))

    with Database(database.url, patience=0.2) as other, other.reading() as connection:
        history = History(connection)
        (run,) = history.runs()
        write(database, new_run(1, [row("PC-1", "stuck")]))

        assert [each.name for each in history.runs()] == ["run-0"]
        assert [stay.verdict for stay in history.timeline("PC-1").stays] == ["healthy"]
        assert [(host.verdict, host.host) for host in history.state(run)] == [("healthy", "PC-1")]
    assert names_in(database) == ["run-0", "run-1"]


def test_what_is_being_written_is_not_seen_and_not_waited_for(
    database: Database, new_run: Callable[..., NewRun], row: Callable[..., Any]
) -> None:
    write(database, new_run(0, [row("PC-1")]))

    with Database(database.url, patience=0.2) as other, database.writing() as connection:
        connection.execute(insert(HOST).values(name="pc-2", shown="PC-2"))
        assert names_in(other) == ["run-0"]


def test_who_reads_writes_nothing(database: Database, new_run: Callable[..., NewRun]) -> None:
    write(database, new_run(0))
    before = names_in(database)
    with pytest.raises(HistoryError), database.reading() as connection:
        connection.exec_driver_sql("DELETE FROM run")
    assert names_in(database) == before


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_nobody_but_its_owner_reads_the_file(file_url: URL, new_run: Callable[..., NewRun], umask: int) -> None:
    before = os.umask(umask)
    try:
        with Database(file_url) as database:
            write(database, new_run(0))
            with database.writing() as connection:
                connection.execute(insert(HOST).values(name="pc-2", shown="PC-2"))
                there = sorted(Path(database.name).parent.glob("history.sqlite*"))
                modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in there}
    finally:
        os.umask(before)

    assert modes == dict.fromkeys(("history.sqlite", "history.sqlite-shm", "history.sqlite-wal"), 0o600)
