"""The database of the history: where it is, its tables, its transactions, and what can be wrong with it.

A file of SQLite is in WAL mode, so that who reads never waits for who writes. Every write is one transaction: a writer
that is killed leaves what was there before. Writers wait for each other, in SQLite by ``BEGIN IMMEDIATE``, in
PostgreSQL by an advisory lock.
"""

from __future__ import annotations

import functools
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url

from provmode.errors import ProvmodeError, UsageError
from provmode.history.tables import METADATA, REVISION

PATIENCE = 30
"""Seconds for which a writer waits for another one, and a connection for a server."""
_LOCK = 0x70726F766D6F6465
"""The number of the advisory lock in PostgreSQL: the letters of provmode."""
_WRITING = "provmode_writing"


class HistoryError(ProvmodeError):
    """The history cannot be read or written. No PC is concerned."""


class NotOurs(HistoryError):
    """The database is not one that this version of provmode can use."""


def url_of(text: str, folder: Path | None = None) -> URL:
    """Return the address of a history; a relative path of SQLite begins in *folder*.

    Raises:
        UsageError: it is none that provmode takes, or has a password in it.
    """
    try:
        url = make_url(text)
    except sqlalchemy.exc.ArgumentError:
        raise UsageError("the history's url cannot be read", next_step=_EXAMPLES) from None
    if url.password is not None:
        raise UsageError(
            "the history's url has a password in it",
            next_step="put it into ~/.pgpass, or into a file that $PGPASSFILE names",
        )
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername != "sqlite" or url.query or url.host or not url.database or url.database == ":memory:":
        raise UsageError("the history's url is neither of SQLite nor of PostgreSQL", next_step=_EXAMPLES)
    return url.set(database=str(Path(folder or "", os.path.expanduser(url.database)).absolute()))


_EXAMPLES = 'write "sqlite:///history.sqlite" or "postgresql://user@server/provmode"'


class Database:
    """A history's database. Use it as a context manager: leaving it closes its connections."""

    def __init__(self, url: URL, *, patience: float | None = None) -> None:
        self.url, self._patience = url, PATIENCE if patience is None else patience
        self.name = url.database if url.drivername == "sqlite" else url.render_as_string(hide_password=True)
        self._engine = self._new_engine()
        self._usable = False

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    @property
    def is_file(self) -> bool:
        """Whether it is a file of SQLite."""
        return self.url.drivername == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that only reads.

        Raises:
            HistoryError: there is no history yet, it cannot be read, or it is not of this version.
        """
        with self._explained("read"):
            if not self._usable:
                self._prepare(create=False)
            with self._engine.connect() as connection, connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in the one transaction that writes; all of it happens, or nothing.

        A history that is not there is made, and an older one is brought to this version.

        Raises:
            HistoryError: it cannot be written, another writer holds it for too long, or it is of a later version.
        """
        with self._explained("written"):
            if not self._usable:
                self._prepare(create=True)
            with self._begin_writing() as connection:
                yield connection

    def compact(self) -> None:
        """Give the space of what was removed back to the file system, as far as the database does not do so itself."""
        if self.is_file:
            with self._explained("written"), self._engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                driver.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")

    @contextmanager
    def _begin_writing(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(**{_WRITING: True}) as connection, connection.begin():
            if not self.is_file:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{int(self._patience * 1000)}ms'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            yield connection

    # -- its tables -----------------------------------------------------------------------------------------------

    def _prepare(self, *, create: bool) -> None:
        """See that the tables are those of this version; make or move them if *create*.

        Raises:
            HistoryError: they are not, and cannot be made so.
        """
        if self.is_file and not Path(str(self.url.database)).exists():
            if not create:
                raise HistoryError(f"there is no history in {self.name} yet", next_step="the first run makes it")
            self._make_file()
        with self._engine.connect() as connection, connection.begin():
            found = self._revision(connection)
        if found != REVISION:
            if not create:
                raise HistoryError(
                    f"the history {self.name} is of an earlier version of provmode"
                    if found
                    else f"there is no history in {self.name} yet",
                    next_step="the next run that writes to it makes it right",
                )
            with self._begin_writing() as connection:
                self._migrate(connection)
        self._usable = True

    def _revision(self, connection: Connection) -> str | None:
        """Return of which version the tables are; ``None`` if there are none.

        Raises:
            NotOurs: they are of a later version, or somebody else's.
        """
        names = set(sqlalchemy.inspect(connection).get_table_names())
        if "alembic_version" not in names:
            if names & set(METADATA.tables):
                raise NotOurs(
                    f"{self.name} has tables of something else in it",
                    next_step="give the history a database of its own",
                )
            return None
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
        revision = str(found[0]) if found else None
        if revision is not None and revision > REVISION:
            raise NotOurs(
                f"the history {self.name} is of a later version of provmode (its tables are {revision}, this version "
                f"knows {REVISION})",
                next_step="use that version, or another history",
            )
        return revision

    def _migrate(self, connection: Connection) -> None:
        """Bring the tables to this version, in the transaction that *connection* is in."""
        if self._revision(connection) == REVISION:
            return  # another writer was first
        from alembic.config import Config
        from alembic.runtime.environment import EnvironmentContext
        from alembic.script import ScriptDirectory

        steps = ScriptDirectory(str(Path(__file__).with_name("migrations")))
        upgrade = functools.partial(_steps_to_this_version, steps)
        with EnvironmentContext(Config(), steps, fn=upgrade) as environment:
            environment.configure(connection=connection, target_metadata=METADATA)
            environment.run_migrations()

    # -- the engine -----------------------------------------------------------------------------------------------

    def _make_file(self) -> None:
        """Make the file, empty, so that nobody but its owner can read it."""
        path = Path(str(self.url.database))
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
        except OSError as error:
            raise HistoryError(
                f"the history {path} cannot be made: {error.strerror}",
                next_step="make its folder, and let only the user of these runs write to it",
            ) from None

    def _new_engine(self) -> Engine:
        if not self.is_file:
            return self._new_server_engine()
        engine = sqlalchemy.create_engine(
            self.url, connect_args={"timeout": self._patience}, poolclass=sqlalchemy.pool.NullPool
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: sqlite3.Connection, _: Any) -> None:
            connection.isolation_level = None  # SQLAlchemy's events begin transactions, not Python's sqlite3
            for pragma in ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}").fetchall()

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            writing = connection.get_execution_options().get(_WRITING)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

        return engine

    def _new_server_engine(self) -> Engine:
        try:
            return sqlalchemy.create_engine(
                self.url,
                connect_args={"connect_timeout": int(self._patience) or 1, "application_name": "provmode"},
                poolclass=sqlalchemy.pool.NullPool,
            )
        except ImportError:
            raise UsageError(
                "the history is in PostgreSQL, and its driver is not installed",
                next_step="install provmode[postgresql]",
            ) from None

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        """Turn what the database says into one line."""
        if self.is_file:
            self._check_file()
        try:
            yield
        except sqlalchemy.exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            first = (str(cause).strip() or type(cause).__name__).splitlines()[0]
            raise HistoryError(
                f"the history {self.name} cannot be {done}: {first}", next_step=_step_for(first.lower())
            ) from None
        except OSError as error:
            raise HistoryError(f"the history {self.name} cannot be {done}: {error.strerror or error}") from None

    def _check_file(self) -> None:
        """Refuse what is no file: SQLite would wait for a pipe without end."""
        try:
            mode = os.stat(str(self.url.database)).st_mode
        except OSError:
            return  # it is not there, or SQLite says why it cannot be opened
        if not stat.S_ISREG(mode):
            raise HistoryError(f"the history {self.name} is not a file", next_step="give the path of a file")


def _steps_to_this_version(steps: Any, revision: str, _: Any) -> Any:
    return steps._upgrade_revs("head", revision)


def _step_for(words: str) -> str:
    for part, step in _STEPS.items():
        if part in words:
            return step
    return ""


_STEPS = {
    "locked": "another program writes to it, or died while it did: look who has the file open",
    "lock timeout": "another program writes to it",
    "full": "make room on its disk, or prune it (provmode history prune)",
    "no space": "make room on its disk, or prune it (provmode history prune)",
    "readonly": "let the user of this run write to the file and its folder",
    "unable to open": "look at its folder: it has to be there, and belong to the user of this run",
    "not a database": "the file is something else: give another path",
    "malformed": "the file is damaged: move it away, and import the reports of earlier runs (provmode history import)",
    "connection": "look whether the server runs and lets this user in",
    "authentication": "look at ~/.pgpass and the server's pg_hba.conf",
}
