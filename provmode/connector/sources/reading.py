"""The file, the pipe or the standard input that a source's argument names."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from provmode.connector.sources.decoding import MOST_BYTES
from provmode.connector.sources.found import SourceError
from provmode.errors import UsageError

STANDARD_INPUT = "-"

_read_once: dict[str, bytes] = {}
"""What can be read only once, for a run that loads its inventory twice."""


@dataclass(frozen=True)
class Opened:
    """What was read."""

    data: bytes
    name: str
    """What messages call it."""
    file: Path | None
    """The file, if it is one: another reading would find it again."""


def read_source(argument: str | None, connector: str) -> Opened:
    """Read what *argument* names, at most one byte more than is allowed.

    Raises:
        SourceError: it cannot be read; the message says how to write the path.
    """
    if not argument:
        raise SourceError(
            UsageError(f"@{connector} names no file", next_step=f"write @{connector}/FILE, or @{connector}/- for stdin")
        )
    if argument == STANDARD_INPUT:
        return Opened(_once(argument, 0, connector), "standard input", None)
    path = Path(os.path.expanduser(argument))
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SourceError(UsageError(f"@{connector}/{argument} is a folder", next_step="name a file"))
        if not stat.S_ISREG(status.st_mode):
            return Opened(_once(argument, str(path), connector), argument, None)
        with path.open("rb") as file:
            return Opened(file.read(MOST_BYTES + 1), argument, path)
    except SourceError:
        raise
    except (OSError, ValueError) as error:
        raise SourceError(_unreadable(connector, argument, path, error)) from None


def is_file(path: Path) -> bool:
    """Return whether there is a file at *path*; what cannot be a path, such as a long list of names, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _once(argument: str, path: str | int, connector: str) -> bytes:
    if argument not in _read_once:
        try:
            with open(path, "rb", closefd=isinstance(path, str)) as file:
                _read_once[argument] = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise SourceError(
                UsageError(f"@{connector}/{argument} cannot be read: {error.strerror}", next_step="name a file")
            ) from None
    return _read_once[argument]


def _unreadable(connector: str, argument: str, path: Path, error: OSError | ValueError) -> UsageError:
    if not isinstance(error, FileNotFoundError):
        reason = getattr(error, "strerror", None) or "this is no path"
        return UsageError(f"@{connector}/{argument} cannot be read: {reason}")
    drive = re.fullmatch(r"([A-Za-z]):[\\/](.*)", argument)
    next_step = f"this is {Path.cwd()}; name a file from here, or by its whole path"
    if drive is not None:
        there = Path("/mnt", drive[1].lower(), *drive[2].replace("\\", "/").split("/"))
        next_step = f"this is a path of Windows: write @{connector}/{there}" if there.exists() else _COPY
    elif argument.startswith("\\\\") or "\\" in argument:
        next_step = _COPY
    elif _is_cut_at_a_comma(path):
        next_step = "a path is cut at its commas here: rename the file, or name it alone to provmode"
    return UsageError(f"@{connector}: there is no file {argument}", next_step=next_step)


_COPY = "this is a path of Windows: copy the file to this computer, and name it as it is called here"


def _is_cut_at_a_comma(path: Path) -> bool:
    try:
        return any(entry.name.startswith(f"{path.name},") for entry in path.parent.iterdir())
    except OSError:
        return False
