"""The folder in which provmode keeps what outlasts a run: who may write there, and one writer at a time."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

OURS = "provmode"


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for the state of a user.

    It is ``$XDG_STATE_HOME/provmode``; in a service of systemd that has one, its own state folder
    (``$STATE_DIRECTORY``), or ``provmode`` in it if it has another name; else ``~/.local/state/provmode``.

    Raises:
        RuntimeError: the user has no home.
    """
    base = Path(environment.get("XDG_STATE_HOME", ""))
    if base.is_absolute():
        return base / OURS
    of_service = Path(environment.get("STATE_DIRECTORY", "").partition(":")[0])
    if of_service.is_absolute():
        return of_service if of_service.name == OURS else of_service / OURS
    return Path.home() / ".local" / "state" / OURS


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Make *folder* if it is missing, and keep other processes of provmode from writing there at the same time.

    Raises:
        OSError: it cannot be made, or others can write there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        check_ours(os.fstat(handle))
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def check_ours(found: os.stat_result) -> None:
    """Raise if somebody else can change the file or folder.

    Raises:
        PermissionError: somebody can.
    """
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(0, "it belongs to somebody else, or others can write there")
