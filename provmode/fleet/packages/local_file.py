"""Packages on this computer: those that the inventory wants, and those whose content need not be read on a PC."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provmode.errors import UsageError
from provmode.packages.errors import PackageUnreadable
from provmode.packages.model import Package
from provmode.packages.read import read_package

PIECE = 1024 * 1024
"""Bytes that are read at a time for the hash."""


@dataclass(frozen=True)
class LocalPackage:
    """A package on this computer."""

    path: Path
    sha256: str
    package: Package


class _File:
    """A regular file, of which ranges are read."""

    def __init__(self, number: int, size: int) -> None:
        self._number, self.size = number, size

    def read(self, offset: int, count: int) -> bytes:
        """Return *count* bytes from *offset*, fewer at the end."""
        return os.pread(self._number, count, offset)


def read_local(path: Path) -> LocalPackage:
    """Read a package and its hash.

    Raises:
        UsageError: it is not a file that can be read, or no package that can be read.
    """
    try:
        with _opened(path) as file:
            digest = hashlib.sha256()
            for offset in range(0, file.size, PIECE):
                digest.update(file.read(offset, PIECE))
            return LocalPackage(path, digest.hexdigest(), read_package(file))
    except PackageUnreadable as error:
        raise UsageError(f"{path}: {error.what}", next_step=error.next_step) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None


@contextmanager
def _opened(path: Path) -> Iterator[_File]:
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe that nobody writes to does not block
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{path} is not a file", next_step="name a package (.ppkg)")
        yield _File(number, found.st_size)
    finally:
        os.close(number)
