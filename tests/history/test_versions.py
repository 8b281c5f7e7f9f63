"""Versions of the tables: the steps make what the code expects, older ones are brought up, later ones are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL, Engine

from provmode.history import database as module
from provmode.history.database import MIGRATIONS, Database, HistoryError, NotOurs
from provmode.history.reader import History
from provmode.history.run import NewRun
from provmode.history.tables import METADATA, REVISION
from provmode.history.writer import write

SECOND = '''
"""A step of a version that is to come."""
import sqlalchemy as sa
from alembic import op
revision = "0002"
down_revision = "0001"
def upgrade():
    op.add_column("run", sa.Column("place", sa.Text(), nullable=True))
    op.create_table("more", sa.Column("id", sa.Integer(), primary_key=True))
'''
FAILS = SECOND + '    op.execute("INSERT INTO more (away) VALUES (1)")\n'


def engine_of(url: URL) -> Engine:
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)


def set_version(url: URL, version: str) -> None:
    with engine_of(url).begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")


def version_of(url: URL) -> str:
    with engine_of(url).connect() as connection:
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


@pytest.fixture
def with_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make this version one that has a second step."""

    def add(step: str) -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "second.py").write_text(step)
        monkeypatch.setattr(module, "MIGRATIONS", folder)
        monkeypatch.setattr(module, "REVISION", "0002")

    return add


@pytest.fixture
def written(database_url: URL, new_run: Callable[..., NewRun], row: Callable[..., Any]) -> URL:
    """A history of this version with one run in it."""
    with Database(database_url) as database:
        write(database, new_run(0, [row("PC-1")]))
    return database_url


def test_the_steps_make_the_tables_that_the_code_expects(written: URL) -> None:
    with engine_of(written).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})

        assert compare_metadata(context, METADATA) == []


def test_names_and_conditions_are_those_that_the_code_expects(file_url: URL, new_run: Callable[..., NewRun]) -> None:
    with Database(file_url) as database:
        write(database, new_run(0))
    made = sqlalchemy.create_engine("sqlite://")
    METADATA.create_all(made)

    def statements(engine: Engine) -> list[str]:
        with engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").scalars()
            return sorted("".join(sorted(sql.replace(",", "").split())) for sql in found if "alembic" not in sql)

    assert statements(engine_of(file_url)) == statements(made)
    made.dispose()


def test_the_last_step_is_the_version_of_the_tables() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [REVISION]


def test_a_history_of_a_later_version_is_refused_and_stays_as_it_is(
    written: URL, new_run: Callable[..., NewRun]
) -> None:
    set_version(written, "0002")

    with Database(written) as database:
        with pytest.raises(NotOurs, match=r"is of a later version of provmode \(its tables are 0002") as reading:
            database.reading().__enter__()
        with pytest.raises(NotOurs, match="is of a later version of provmode") as writing:
            write(database, new_run(1))
    assert {error.value.next_step for error in (reading, writing)} == {"use that version, or another history"}
    set_version(written, REVISION)
    with Database(written) as database, database.reading() as connection:
        assert [run.name for run in History(connection).runs()] == ["run-0"]


def test_a_version_that_nobody_made_is_refused(written: URL, new_run: Callable[..., NewRun]) -> None:
    set_version(written, "0000")

    with Database(written) as database, pytest.raises(NotOurs, match="no version of provmode is known"):
        write(database, new_run(1))


def test_an_older_history_is_brought_up_by_the_first_that_writes_to_it(
    written: URL, with_step: Callable[[str], None], new_run: Callable[..., NewRun], row: Any, spans_in: Any
) -> None:
    with_step(SECOND)

    with Database(written) as database:
        with pytest.raises(HistoryError, match="is of an earlier version of provmode") as raised:
            database.reading().__enter__()
        assert raised.value.next_step == "the next run that writes to it makes it right"
        write(database, new_run(1, [row("PC-1", "stuck")]))
        assert [span[3] for span in spans_in(database)] == ["healthy", "stuck"]
    assert version_of(written) == "0002"
    with engine_of(written).connect() as connection:
        assert connection.exec_driver_sql("SELECT place FROM run").scalars().all() == [None, None]


def test_a_step_that_fails_leaves_the_older_history_whole(
    written: URL, with_step: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, new_run: Any, spans_in: Any
) -> None:
    with_step(FAILS)

    with Database(written) as database, pytest.raises(HistoryError, match=r"cannot be written: .*away") as raised:
        write(database, new_run(1))
    assert "\n" not in str(raised.value)
    assert version_of(written) == "0001"
    assert "more" not in sqlalchemy.inspect(engine_of(written)).get_table_names()
    monkeypatch.undo()
    with Database(written) as database:
        write(database, new_run(1))
        assert len(spans_in(database)) == 1
