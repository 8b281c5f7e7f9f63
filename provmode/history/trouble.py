"""What can be wrong with a history's database, each as one line with what to do about it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from provmode.errors import ProvmodeError


class HistoryError(ProvmodeError):
    """The history cannot be read or written. No PC is concerned."""


class NotOurs(HistoryError):
    """The database is not one that this version of provmode can use."""


@contextmanager
def explained(name: str, done: str, *, is_file: bool) -> Iterator[None]:
    """Turn what the database *name* says into one line.

    Raises:
        HistoryError: it said something.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = getattr(error, "orig", None) or error
        first = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        raise HistoryError(
            f"the history {name} cannot be {done}: {first}", next_step=_step_for(first.lower(), is_file)
        ) from None


def refused(path: Path, done: str, error: OSError) -> HistoryError:
    """Return what the system said about a file."""
    if error.errno in (errno.ELOOP, errno.ENOENT) and path.is_symlink():
        return HistoryError(
            f"the history {path} is a link that leads to no file", next_step="give the path of the file itself"
        )
    return HistoryError(
        f"the history {path} cannot be {done}: {error.strerror}",
        next_step="make its folder, and let only the user of these runs write to it",
    )


def _step_for(words: str, is_file: bool) -> str:
    for part, step in _STEPS.items():
        if part in words:
            return step
    return "look at the file, its folder and its disk" if is_file else "look at the server's log"


_STEPS = {
    "locked": "another program writes to it, or died while it did: look who has the file open",
    "lock timeout": "another program writes to it",
    "is full": "make room on its disk, or prune it (provmode history prune)",
    "disk i/o": "make room on its disk, and look whether the disk is sound",
    "no space": "make room on its disk, or prune it (provmode history prune)",
    "readonly": "let the user of this run write to the file and its folder",
    "unable to open": "look at its folder: it has to be there, and belong to the user of this run",
    "not a database": "the file is something else: give another path",
    "malformed": "the file is damaged: move it away, and import the reports of earlier runs (provmode history import)",
    "authentication": "look at ~/.pgpass and the server's pg_hba.conf",
    "pg_hba.conf": "look at ~/.pgpass and the server's pg_hba.conf",
    "no password": "put the password into ~/.pgpass, or into a file that $PGPASSFILE names",
    "does not exist": "create it on the server (createuser, createdb)",
    "permission denied": "let the user of this run make and write tables there",
    "connection": "look whether the server runs and lets this user in",
}
