"""A history that cannot be used: one line that says what is wrong and what to do, and nothing half-written."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.engine import URL

from provmode.errors import UsageError
from provmode.history.database import Database, HistoryError, url_of
from provmode.history.reader import History
from provmode.history.run import NewRun
from provmode.history.tables import HOST, RUN
from provmode.history.writer import write

NewRunFrom = Callable[..., NewRun]


def read_error(url: URL) -> HistoryError:
    with Database(url, patience=0.2) as database, pytest.raises(HistoryError) as raised, database.reading():
        raise AssertionError("it was read")
    return said_well(raised.value)


def write_error(url: URL, run: NewRun) -> HistoryError:
    with Database(url, patience=0.2) as database, pytest.raises(HistoryError) as raised:
        write(database, run)
    return said_well(raised.value)


def said_well(error: HistoryError) -> HistoryError:
    assert "\n" not in str(error)
    assert error.next_step, error
    assert error.__cause__ is None
    return error


def runs_in(url: URL) -> list[str]:
    with Database(url) as database, database.reading() as connection:
        return [run.name for run in History(connection).runs()][::-1]


# -- its address ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqlite:///history.sqlite", "sqlite:////srv/provmode/history.sqlite"),
        ("sqlite:////var/lib/provmode/h.sqlite", "sqlite:////var/lib/provmode/h.sqlite"),
        ("postgresql://me@server/provmode", "postgresql+psycopg://me@server/provmode"),
        ("postgresql:///provmode", "postgresql+psycopg:///provmode"),
    ],
)
def test_an_address_is_taken(text: str, expected: str) -> None:
    assert url_of(text, Path("/srv/provmode")).render_as_string() == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "history.sqlite", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://server/file"),
        *("sqlite:///a?mode=ro", "sqlite:///a\0b", "mysql://server/provmode", "postgresql+asyncpg://server/provmode"),
        *("postgresql://me@server:port/provmode", "postgresql://me@server/provmode?plugin=theirs"),
    ],
)
def test_an_address_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        url_of(text)
    assert raised.value.next_step


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:Pa55word@server/provmode",
        "postgresql://server/provmode?user=me&password=Pa55word",
        "postgresql://server/provmode?sslkey=a&sslpassword=Pa55word",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="has a password in it") as raised:
        url_of(text)
    assert "Pa55word" not in str(raised.value)


# -- a file -----------------------------------------------------------------------------------------------------------


def test_a_history_that_is_not_there_yet_is_not_made_by_reading(file_url: URL) -> None:
    error = read_error(file_url)

    assert error.what == f"there is no history in {file_url.database} yet"
    assert not Path(str(file_url.database)).exists()


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path, new_run: NewRunFrom) -> None:
    error = write_error(url_of(f"sqlite:///{tmp_path}/away/h.sqlite"), new_run(0))

    assert error.what.endswith("away/h.sqlite cannot be made: No such file or directory")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_refused(tmp_path: Path, new_run: NewRunFrom) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    for name in ("folder", "pipe"):
        url = url_of(f"sqlite:///{tmp_path}/{name}")
        assert "is not a file" in write_error(url, new_run(0)).what
        assert "is not a file" in read_error(url).what


def test_a_link_to_a_history_is_followed_and_one_that_leads_nowhere_is_refused(
    tmp_path: Path, file_url: URL, new_run: NewRunFrom
) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(str(file_url.database))
    url = url_of(f"sqlite:///{link}")

    assert "is a link that leads to no file" in write_error(url, new_run(0)).what
    assert not Path(str(file_url.database)).exists()
    with Database(file_url) as database:
        write(database, new_run(0))
    with Database(url) as database:
        write(database, new_run(1))
    assert runs_in(file_url) == ["run-0", "run-1"]


def test_a_file_that_is_something_else_stays_as_it_is(file_url: URL, new_run: NewRunFrom) -> None:
    file = Path(str(file_url.database))
    file.write_text("no database " * 1000)

    for error in (read_error(file_url), write_error(file_url, new_run(0))):
        assert error.what.endswith("file is not a database")
    assert file.read_text() == "no database " * 1000


@pytest.mark.parametrize(
    "tables",
    [
        ("CREATE TABLE notes (text)",),
        ("CREATE TABLE run (id)",),
        ("CREATE TABLE alembic_version (version_num)", "INSERT INTO alembic_version VALUES ('0001')"),
        ("CREATE TABLE alembic_version (version_num)", "INSERT INTO alembic_version VALUES ('ae10')"),
    ],
)
def test_a_database_of_somebody_else_stays_as_it_is(
    file_url: URL, new_run: NewRunFrom, tables: tuple[str, ...]
) -> None:
    file = Path(str(file_url.database))
    with sqlite3.connect(file) as connection:
        for statement in tables:
            connection.execute(statement)
    connection.close()
    before = file.read_bytes()

    for error in (read_error(file_url), write_error(file_url, new_run(0))):
        assert error.what.endswith("has tables of something else in it")
    assert file.read_bytes() == before
    assert sorted(each.name for each in file.parent.iterdir()) == [file.name]


def test_a_damaged_history_is_said_to_be_damaged(file_url: URL, new_run: NewRunFrom, row: Any) -> None:
    file = Path(str(file_url.database))
    with Database(file_url) as database:
        write(database, new_run(0, [row(f"PC-{number}") for number in range(2000)]))
        database.compact()
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))

    for error in (read_error(file_url), write_error(file_url, new_run(1))):
        assert "malformed" in error.what
        assert "move it away" in error.next_step


AS_NOBODY = """
import os, sys
import alembic.runtime.environment, alembic.script
from provmode.history.database import Database, HistoryError, url_of
from provmode.history.run import NewRun
from provmode.history.writer import write
from datetime import datetime, timezone
url, done = sys.argv[1:]
now = datetime(2026, 11, 26, tzinfo=timezone.utc)
with Database(url_of(url)) as database:
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)
    try:
        if done == "write":
            write(database, NewRun("other", "audit", now, now, "fleet.py", True, 0, "me", "0"))
        else:
            with database.reading():
                pass
    except HistoryError as error:
        print(error)
"""


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that every user reaches."""
    folder = Path(tempfile.mkdtemp(prefix="provmode-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def as_nobody(url: URL, done: str) -> str:
    command = [sys.executable, "-c", AS_NOBODY, url.render_as_string(), done]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    return ran.stdout


def test_a_user_without_the_right_to_it_is_told_so(shared_folder: Path, new_run: NewRunFrom) -> None:
    url = url_of(f"sqlite:///{shared_folder}/h.sqlite")
    file = shared_folder / "h.sqlite"
    shared_folder.chmod(0o555)
    assert "h.sqlite cannot be made: Permission denied; make its folder" in as_nobody(url, "write")

    shared_folder.chmod(0o755)
    with Database(url) as database:
        write(database, new_run(0))
    file.chmod(0o000)
    for done in ("read", "write"):
        assert "unable to open database file; look at its folder" in as_nobody(url, done)

    file.chmod(0o444)
    shared_folder.chmod(0o555)
    said = as_nobody(url, "write")
    assert said.count("\n") == 1
    assert "h.sqlite cannot be written: " in said
    assert "; " in said
    shared_folder.chmod(0o000)
    for done in ("read", "write"):
        assert "h.sqlite cannot be opened: Permission denied; " in as_nobody(url, done)

    shared_folder.chmod(0o755)
    file.chmod(0o600)
    assert runs_in(url) == ["run-0"]


FULL = """
import resource, sys
import alembic.runtime.environment, alembic.script
from provmode.history.database import Database, HistoryError, url_of
from provmode.history.run import NewRun
from provmode.history.writer import write
from datetime import datetime, timezone
url, size = sys.argv[1:]
now = datetime(2026, 11, 26, tzinfo=timezone.utc)
row = {"verdict": "healthy", "rule": "healthy", "reason": "", "findings": [], "facts": {}}
rows = [{**row, "host": f"HOST-{number}"} for number in range(3000)]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
with Database(url_of(url)) as database:
    try:
        write(database, NewRun("large", "audit", now, now, "fleet.py", True, 0, "me", "0", rows))
    except HistoryError as error:
        print(error)
"""


@pytest.mark.parametrize("size", [0, 4096, 20_000, 100_000, 150_000])
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_what_was_there(
    file_url: URL, new_run: NewRunFrom, spans_in: Any, there: bool, size: int
) -> None:
    if there:
        with Database(file_url) as database:
            write(database, new_run(0))
    command = [sys.executable, "-c", FULL, file_url.render_as_string(), str(size)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    assert ran.stdout.count("\n") == 1
    assert "cannot be written: d" in ran.stdout  # disk I/O error, database or disk is full
    assert "; make room on its disk" in ran.stdout
    with Database(file_url) as database:
        write(database, new_run(1))
        spans_in(database)
    assert runs_in(file_url) == (["run-0", "run-1"] if there else ["run-1"])


def test_a_writer_does_not_wait_for_ever_for_another(file_url: URL, new_run: NewRunFrom) -> None:
    with Database(file_url) as database:
        write(database, new_run(0))
    other = sqlite3.connect(str(file_url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    error = write_error(file_url, new_run(1))

    other.close()
    assert error.what.endswith("cannot be written: database is locked")
    assert "another program writes to it" in error.next_step
    assert runs_in(file_url) == ["run-0"]


# -- a server ---------------------------------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def test_a_server_that_does_not_answer_is_named(new_run: NewRunFrom) -> None:
    port = closed_port()
    for host in ("127.0.0.1", "localhost"):
        for error in (
            read_error(url_of(f"postgresql://me@{host}:{port}/provmode")),
            write_error(url_of(f"postgresql://me@{host}:{port}/provmode"), new_run(0)),
        ):
            assert error.what.startswith(f"the history postgresql://me@{host}:{port}/provmode cannot be ")
            assert "Connection refused" in error.what
            assert error.next_step == "look whether the server runs and lets this user in"


@pytest.mark.postgresql
def test_what_the_server_does_not_have_is_named(postgresql: Any, new_run: NewRunFrom) -> None:
    there = f"?host={postgresql.folder}"

    assert 'role "nobody-here" does not exist' in read_error(url_of(f"postgresql://nobody-here@/postgres{there}")).what
    error = write_error(url_of(f"postgresql://postgres@/nothing-here{there}"), new_run(0))
    assert 'database "nothing-here" does not exist' in error.what
    assert error.next_step.startswith("create it on the server")


@pytest.mark.postgresql
def test_a_user_who_may_not_make_tables_is_told_so(postgresql: Any, new_run: NewRunFrom) -> None:
    postgresql.sql("CREATE ROLE reader LOGIN")
    postgresql.sql("CREATE DATABASE others")
    error = write_error(url_of(f"postgresql://reader@/others?host={postgresql.folder}"), new_run(0))
    postgresql.sql("DROP DATABASE others")
    postgresql.sql("DROP ROLE reader")

    assert "permission denied for schema public" in error.what
    assert error.next_step == "let the user of this run make and write tables there"


@pytest.mark.postgresql
def test_a_writer_does_not_wait_for_ever_for_another_transaction(
    postgresql: Any, database: Database, new_run: NewRunFrom
) -> None:
    write(database, new_run(0))
    with database.writing():
        error = write_error(database.url, new_run(1))

    assert "lock" in error.what
    assert "another program writes to it" in error.next_step
    assert runs_in(database.url) == ["run-0"]


@pytest.mark.postgresql
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_server_that_stops_in_mid_write_leaves_what_was_there(
    postgresql: Any, database: Database, new_run: NewRunFrom, row: Any, spans_in: Any
) -> None:
    write(database, new_run(0, [row("PC-1")]))

    away: list[HistoryError] = []

    def begin_and_stop() -> None:
        with database.writing() as connection:
            connection.execute(insert(HOST).values(name="pc-2", shown="PC-2"))
            postgresql.stop()
            away.append(read_error(database.url))
            connection.execute(select(func.count()).select_from(RUN))

    try:
        with pytest.raises(HistoryError) as raised:
            begin_and_stop()
    finally:
        postgresql.start()

    assert said_well(raised.value).next_step == "look whether the server runs and lets this user in"
    assert away[0].next_step == "look whether the server runs and lets this user in"
    write(database, new_run(1, [row("PC-1")]))
    assert len(spans_in(database)) == 1
    with database.reading() as connection:
        assert connection.execute(select(HOST.c.name)).scalars().all() == ["pc-1"]


# -- whose fault ------------------------------------------------------------------------------------------------------


def test_an_error_of_who_reads_is_not_one_of_the_history(database: Database, new_run: NewRunFrom) -> None:
    write(database, new_run(0))

    with pytest.raises(BrokenPipeError), database.reading():
        raise BrokenPipeError
    with pytest.raises(BrokenPipeError), database.writing():
        raise BrokenPipeError


def test_what_was_removed_gives_its_space_back(file_url: URL, new_run: NewRunFrom, row: Any) -> None:
    file = Path(str(file_url.database))
    with Database(file_url) as database:
        write(database, new_run(0, [row(f"PC-{number}", reason=f"it is {number}") for number in range(3000)]))
        database.compact()
        before = file.stat().st_size
        with database.writing() as connection:
            for table in ("span", "words", "host"):
                connection.exec_driver_sql(f"DELETE FROM {table}")
        database.compact()

    assert file.stat().st_size < before / 2
    assert file.with_name(f"{file.name}-wal").exists() is False
