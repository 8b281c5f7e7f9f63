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
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url

from provmode.errors import UsageError
from provmode.history.tables import METADATA, REVISION
from provmode.history.trouble import HistoryError as HistoryError
from provmode.history.trouble import NotOurs as NotOurs
from provmode.history.trouble import explained, refused

PATIENCE = 30
"""Seconds for which a writer waits for another one, and a connection for a server."""
_LOCK = 0x70726F766D6F6465
"""The number of the advisory lock in PostgreSQL: the letters of provmode."""
CACHE = 100_000
"""KB that a connection to a file may cache: open spans lie all over a file of many nights, and SQLite's 2,000 are read
again and again."""
_BEGIN = "provmode_begin"
"""The option of a connection that says by which statement it begins a transaction in SQLite."""
_MARKS = {"run", "span", "state"}
"""Tables that every version has."""


_OF_A_SERVER = {
    "application_name": "provmode",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
"""How a connection is asked for: a server that is gone without a word is noticed within half a minute."""
MIGRATIONS = Path(__file__).with_name("migrations")


def url_of(text: str, folder: Path | None = None) -> URL:
    """Return the address of a history; a relative path of SQLite begins in *folder*.

    Raises:
        UsageError: it is none that provmode takes, or has a password in it.
    """
    try:
        url = make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # a port that is no number is a ValueError
        raise UsageError("the history's url cannot be read", next_step=_EXAMPLES) from None
    if url.password is not None or _SECRETS & set(url.query):
        raise UsageError(
            "the history's url has a password in it",
            next_step="put it into ~/.pgpass, or into a file that $PGPASSFILE names",
        )
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        if "plugin" in url.query:  # SQLAlchemy would load it
            raise UsageError("the history's url names a plugin", next_step=_EXAMPLES)
        return url.set(drivername="postgresql+psycopg")
    path = url.database or ""
    if url.drivername != "sqlite" or url.query or url.host or path in ("", ":memory:") or "\0" in path:
        raise UsageError("the history's url is neither of SQLite nor of PostgreSQL", next_step=_EXAMPLES)
    return url.set(database=str(Path(folder or "", os.path.expanduser(path)).absolute()))


_SECRETS = {"password", "sslpassword"}
_EXAMPLES = 'write "sqlite:///history.sqlite" or "postgresql://user@server/provmode"'


class Database:
    """A history's database. Use it as a context manager: leaving it closes its connections."""

    def __init__(self, url: URL, *, patience: float | None = None) -> None:
        self.url, self._patience = url, PATIENCE if patience is None else patience
        self.name = str(url.database) if self.is_file else url.set(drivername="postgresql").render_as_string()
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
        with explained(self.name, "read", is_file=self.is_file):
            self._prepare(create=False)
            with self._engine.connect() as connection:
                if not self.is_file:  # else each statement would see what was written in the meantime
                    connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                with connection.begin():
                    yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in the one transaction that writes; all of it happens, or nothing.

        A history that is not there is made, and an older one is brought to this version.

        Raises:
            HistoryError: it cannot be written, another writer holds it for too long, or it is of a later version.
        """
        with explained(self.name, "written", is_file=self.is_file):
            self._prepare(create=True)
            with self._begin_writing() as connection:
                yield connection

    def compact(self) -> None:
        """Give the space of what was removed back to the file system, as far as the database does not do so itself."""
        if self.is_file:
            with explained(self.name, "written", is_file=self.is_file):
                self._pragmas("incremental_vacuum", "wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _begin_writing(self) -> Iterator[Connection]:
        options = {_BEGIN: "BEGIN IMMEDIATE"}
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            if not self.is_file:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{max(1, int(self._patience * 1000))}ms'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            yield connection

    def _pragmas(self, *pragmas: str) -> None:
        """Run pragmas on a file, outside of transactions."""
        with closing(self._engine.raw_connection()) as connection:
            for pragma in pragmas:
                connection.cursor().executescript(f"PRAGMA {pragma}")  # `execute` makes one step: that frees one page

    # -- its tables -----------------------------------------------------------------------------------------------

    def _prepare(self, *, create: bool) -> None:
        """See that the tables are those of this version; make or move them if *create*.

        Raises:
            HistoryError: they are not, and cannot be made so.
        """
        if self.is_file:
            self._check_file(create=create)
        if self._usable:
            return
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
            if found is None and self.is_file:
                self._set_up_file()
            with self._begin_writing() as connection:
                self._migrate(connection)
        self._usable = True

    def _revision(self, connection: Connection) -> str | None:
        """Return of which version the tables are; ``None`` if there are none.

        Raises:
            NotOurs: they are of a later version, or somebody else's.
        """
        names = set(sqlalchemy.inspect(connection).get_table_names())
        if not names:
            return None
        stored: Sequence[Any] = ()
        if names >= {"alembic_version", *_MARKS}:
            version = sqlalchemy.table("alembic_version", sqlalchemy.column("version_num"))
            stored = connection.execute(sqlalchemy.select(version.c.version_num)).scalars().all()
        if not stored:
            raise NotOurs(
                f"{self.name} has tables of something else in it", next_step="give the history a database of its own"
            )
        revision = str(stored[0])
        if revision > REVISION:
            raise NotOurs(
                f"the history {self.name} is of a later version of provmode (its tables are {revision}, this version "
                f"knows {REVISION})",
                next_step="use that version, or another history",
            )
        return revision

    def _migrate(self, connection: Connection) -> None:
        """Bring the tables to this version, in the transaction that *connection* is in."""
        found = self._revision(connection)
        if found == REVISION:
            return  # another writer was first
        from alembic.config import Config
        from alembic.runtime.environment import EnvironmentContext
        from alembic.script import ScriptDirectory

        steps = ScriptDirectory(str(MIGRATIONS))
        if found is not None and found not in {step.revision for step in steps.walk_revisions()}:
            raise NotOurs(
                f"no version of provmode is known that makes tables {found}, which {self.name} has",
                next_step="give another history",
            )
        upgrade = functools.partial(_steps_to_this_version, steps)
        with EnvironmentContext(Config(), steps, fn=upgrade) as environment:
            environment.configure(connection=connection, target_metadata=METADATA)
            environment.run_migrations()

    # -- the engine -----------------------------------------------------------------------------------------------

    def _check_file(self, *, create: bool) -> None:
        """See that there is a file; make it if *create*, empty, so that nobody but its owner can read it."""
        path = Path(str(self.url.database))
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # SQLite would wait for a pipe without end
                raise HistoryError(f"the history {path} is not a file", next_step="give the path of a file")
            return
        except FileNotFoundError:
            if not create:
                raise HistoryError(
                    f"there is no history in {path} yet", next_step="the first run that writes to it makes it"
                ) from None
        except OSError as error:
            raise refused(path, "opened", error) from None
        try:
            file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise refused(path, "made", error) from None
        os.fchmod(file, 0o600)  # whatever the umask takes away
        os.close(file)

    def _set_up_file(self) -> None:
        """Give an empty file the modes that it keeps: they are set before the first table."""
        self._pragmas("auto_vacuum=INCREMENTAL", "journal_mode=WAL")

    def _new_engine(self) -> Engine:
        if not self.is_file:
            return self._new_server_engine()
        engine = sqlalchemy.create_engine(
            self.url, connect_args={"timeout": self._patience}, poolclass=sqlalchemy.pool.NullPool
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: sqlite3.Connection, _: Any) -> None:
            connection.isolation_level = None  # SQLAlchemy's events begin transactions, not Python's sqlite3
            for pragma in ("synchronous=FULL", "foreign_keys=ON", f"cache_size=-{CACHE}"):
                connection.execute(f"PRAGMA {pragma}").fetchall()

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            statement = connection.get_execution_options().get(_BEGIN)
            if statement is None:
                connection.exec_driver_sql("PRAGMA query_only=ON")
            connection.exec_driver_sql(statement or "BEGIN")

        return engine

    def _new_server_engine(self) -> Engine:
        try:
            return sqlalchemy.create_engine(
                self.url,
                connect_args={**_OF_A_SERVER, "connect_timeout": int(self._patience) or 1},
                poolclass=sqlalchemy.pool.NullPool,
            )
        except ImportError:
            raise UsageError(
                "the history is in PostgreSQL, and its driver is not installed",
                next_step="install provmode[postgresql]",
            ) from None


def _steps_to_this_version(steps: Any, revision: str, _: Any) -> Any:
    return steps._upgrade_revs("head", revision)
