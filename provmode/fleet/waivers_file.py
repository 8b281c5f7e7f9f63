"""The file of waivers: who may have written it, reading it, and adding to it.

It decides what raises an exit code and what is changed. So nobody but its user and root may be able to write to it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

from provmode.atomic_file import check_output, write_output
from provmode.errors import UsageError
from provmode.fleet.configuration_file import bytes_of
from provmode.fleet.ownership import refuse_foreign
from provmode.waivers.adding import added
from provmode.waivers.model import MAX_DAYS, NONE, Waiver, Waivers
from provmode.waivers.words import parse

DOES = "decides what is reported and changed"
WHAT = "the waivers"


def read(path: Path, *, now: datetime, max_days: int = MAX_DAYS) -> Waivers:
    """Return the waivers of a file; *now* says what is yet to come.

    Raises:
        UsageError: it cannot be read, others can change it, or it is not TOML.
        Mistakes: everything that is wrong with it.
    """
    try:
        refuse_foreign(path, DOES)
        data = bytes_of(path, WHAT)
    except FileNotFoundError:
        raise UsageError(
            f"cannot read {WHAT} {path}: there is no such file",
            next_step="`provmode waive` begins one; without any, take file out of [waivers] in provmode.toml",
        ) from None
    except OSError as error:
        raise UsageError(f"cannot read {WHAT} {path}: {error.strerror or error}") from None
    return parse(data, str(path), now=now, max_days=max_days)


class Rereading:
    """The waivers of a file, which may change while a run goes on: it is read again if it did."""

    def __init__(self, path: Path, *, now: Callable[[], datetime], max_days: int = MAX_DAYS) -> None:
        self._path, self._now, self._max_days = path, now, max_days
        self._seen: tuple[int, ...] = ()
        self._waivers = NONE

    def __call__(self) -> Waivers:
        """Return the waivers as the file has them now.

        Raises:
            UsageError: as `read`.
        """
        try:
            status = self._path.stat()
        except OSError:
            self._seen = ()  # `read` says what is wrong
        else:
            seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if seen == self._seen:
                return self._waivers
            self._seen = seen
        try:
            self._waivers = read(self._path, now=self._now(), max_days=self._max_days)
        except UsageError:
            self._seen = ()
            raise
        return self._waivers


def add(
    path: Path, values: Mapping[str, str | date], *, zone: str = "", now: datetime, max_days: int = MAX_DAYS
) -> Waiver:
    """Write a waiver at the end of a file, whole or not at all, and return it.

    Without a file one is begun, with *zone*. Whoever adds at the same time waits.

    Raises:
        UsageError: the file cannot be read or written, or others can change it; it is as it was.
        Mistakes: everything that is wrong with the file, or with the new waiver; the file is as it was.
    """
    check_output(path)
    with _alone(path):
        data = None
        try:
            if os.path.lexists(path):
                refuse_foreign(path, DOES)
                data = bytes_of(path, WHAT)
            else:
                refuse_foreign(path.parent, f"is to hold a file that {DOES}")
        except OSError as error:
            raise UsageError(f"cannot read {WHAT} {path}: {error.strerror or error}") from None
        new, waiver = added(data, values, str(path), zone=zone, now=now, max_days=max_days)
        write_output(path, new.decode("utf-8"))
        if data is None:
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))
    return waiver


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of the file's folder, as all do who add a waiver.

    Raises:
        UsageError: the folder cannot be locked.
    """
    folder = Path(os.path.realpath(path)).parent
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise UsageError(f"cannot lock the folder {folder}: {error.strerror or error}") from None
        yield
    finally:
        os.close(descriptor)
