"""Packages on this computer: those that the inventory wants, and those whose content need not be read on a PC."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from provmode.errors import UsageError
from provmode.packages.errors import PackageUnreadable
from provmode.packages.model import Package
from provmode.packages.read import read_package
from provmode.regular_file import opened

PIECE = 1024 * 1024
"""Bytes that are read at a time for the hash."""


@dataclass(frozen=True)
class LocalPackage:
    """A package on this computer."""

    path: Path
    sha256: str
    package: Package


def read_local(path: Path) -> LocalPackage:
    """Read a package and its hash.

    Raises:
        UsageError: it is not a file that can be read, or no package that can be read.
    """
    try:
        with opened(path) as file:
            digest = hashlib.sha256()
            for offset in range(0, file.size, PIECE):
                digest.update(file.read(offset, PIECE))
            return LocalPackage(path, digest.hexdigest(), read_package(file))
    except PackageUnreadable as error:
        raise UsageError(f"{path}: {error.what}", next_step=error.next_step) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
