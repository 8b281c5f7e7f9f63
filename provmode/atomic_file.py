"""Files that a command writes: whole or not at all, so that a full disk never costs the one that was there."""

from __future__ import annotations

import os
from pathlib import Path

from provmode.errors import UsageError


def check_output(path: Path) -> None:
    """Refuse a file that cannot be written, before a run is made for it.

    Raises:
        UsageError: its folder is not there, or it may not be written.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: {'it is a folder' if path.is_dir() else 'there is no such folder'}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"cannot write {path}: permission denied")


def write_output(path: Path, text: str) -> None:
    """Write *text* to *path* as UTF-8: to a file beside, which then takes its place.

    A pipe, a device and a file in a folder that is closed to us are written to as they are.

    Raises:
        UsageError: it cannot be written; what was there is still there.
    """
    path = path.resolve()  # a link is followed, not replaced
    in_place = path.exists() and (not path.is_file() or not os.access(path.parent, os.W_OK))
    try:
        if in_place:
            path.write_text(text, encoding="utf-8", errors="surrogatepass")
            return
        beside = path.with_name(path.name + ".part")
        try:
            with beside.open("w", encoding="utf-8", errors="surrogatepass") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
