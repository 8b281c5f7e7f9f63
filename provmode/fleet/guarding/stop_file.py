"""The stop file: whoever may write there stops a run, by a file whose first line says why.

It is looked at before the start, each wave and each host. What cannot be looked at counts as a stop: a guard that is
blind holds the run back.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Sequence
from pathlib import Path

from provmode.fleet.guards import Guard, Stop
from provmode.fleet.state_folder import state_folder
from provmode.text import one_line, shortened

NAME = "stop-file"
FILE = "stop"
"""The file's name in the state folder, which is looked at unless another is named."""
MOST_BYTES = 4096
LONGEST = 200
"""Characters of its first line that are repeated."""


def default_stop_file() -> Path | None:
    """Return the file that stops the runs of this user, unless another is named; ``None`` if there is no home."""
    try:
        return state_folder() / FILE
    except RuntimeError:
        return None


class StopFile(Guard):
    """Stops a run as long as there is a file at *path*."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def before_start(self, hosts: Sequence[str]) -> Stop | None:
        """Return why the run may not begin."""
        return self.look()

    def before_wave(self, hosts: Sequence[str]) -> Stop | None:
        """Return why a wave may not begin."""
        return self.look()

    def before_host(self, host: str) -> Stop | None:
        """Return why a host may not be begun."""
        return self.look()

    def look(self) -> Stop | None:
        """Return who stops the run and why; ``None`` if there is no file."""
        try:
            found = os.lstat(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._stop(f"could not tell whether there is a stop file {self._path}: {error.strerror}")
        try:
            words = _first_line(self._path)
        except OSError as error:
            words = f"could not be read: {error.strerror}"
        return self._stop(f"the stop file {self._path} of {_owner(found.st_uid)} {words}")

    def _stop(self, why: str) -> Stop:
        return Stop(NAME, why, next_step="ask them, and remove the file; then --resume, if the run had begun")


def _first_line(path: Path) -> str:
    """Return in words what the file says, without waiting for what is no file."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return "says nothing: it is no file"
        text = os.read(handle, MOST_BYTES).decode("utf-8-sig", "replace")
    finally:
        os.close(handle)
    line = one_line(text.splitlines()[0]) if text.strip() else ""
    return f"says: {shortened(line, LONGEST)}" if line else "says nothing"


def _owner(number: int) -> str:
    try:
        return one_line(pwd.getpwuid(number).pw_name)
    except KeyError:
        return f"user {number}"
