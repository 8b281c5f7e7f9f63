"""What another user will not be able to use of this computer's files: said before a service of his fails every night.

Only owners and modes are looked at. An access list can allow more, so this is advice and refuses nothing.
"""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class User:
    """A user of this computer, who need not exist yet."""

    name: str
    number: int | None = None
    groups: frozenset[int] = frozenset()

    @classmethod
    def named(cls, name: str) -> User:
        """Return the user as this computer knows him."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return cls(name)
        return cls(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)))

    def may(self, path: Path, right: int) -> bool:
        """Return whether he has a *right* to a file or folder: 4 to read, 2 to write, 1 to run or enter.

        Raises:
            OSError: it cannot be looked at.
        """
        status = path.stat()
        if status.st_uid == self.number:
            return bool(status.st_mode & right << 6)
        return bool(status.st_mode & (right << 3 if status.st_gid in self.groups else right))


def hindrances(user: User, runs: Iterable[Path], reads: Iterable[Path], owned: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each thing that is in the way of *user*, with its cure.

    *runs* are programs and *reads* files for him. *owned* of them provmode refuses if they belong to somebody else.
    """
    closed: set[Path] = set()
    for path, right, verb in (*((path, 1, "run") for path in runs), *((path, 4, "read") for path in reads)):
        try:
            for folder in reversed(path.parents):
                if folder not in closed and not user.may(folder, 1):
                    closed.add(folder)
                    yield f"{user.name} cannot enter the folder {folder}: {_command('chmod', 'o+x', folder)}"
            if not user.may(path, right):
                yield f"{user.name} cannot {verb} {path}: {_command('chmod', 'o+r' if right == 4 else 'o+rx', path)}"
        except OSError as error:
            yield f"{user.name} has to {verb} {path}: {error.strerror}"
    for path in owned:
        try:
            owner = path.stat().st_uid
        except OSError:
            continue  # said above
        if owner not in (0, user.number):
            yield f"{path} belongs neither to {user.name} nor to root: {_command('chown', 'root', path)}"


def _command(program: str, what: str, path: Path) -> str:
    return shlex.join([program, what, str(path)])
