"""Files that a command writes whole or not at all, so that a full disk never destroys the previous file."""

from __future__ import annotations

import os
from pathlib import Path

from provmode.errors import UsageError


def check_output(path: Path) -> None:
    """Refuse an output file that cannot be written, before the run starts.

    Raises:
        UsageError: the folder does not exist, or the file is not writable.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: {'it is a folder' if path.is_dir() else 'there is no such folder'}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"cannot write {path}: permission denied")


def write_output(path: Path, text: str) -> None:
    """Write *text* as UTF-8 to a temporary file, which then replaces *path*.

    Write directly to a pipe, to a device, or to a file in a folder in which we cannot create files.

    Raises:
        UsageError: the file cannot be written; the previous file is still there.
    """
    path = path.resolve()  # follow a link, do not replace it
    in_place = path.exists() and (not path.is_file() or not os.access(path.parent, os.W_OK))
    try:
        if in_place:
            path.write_text(text, encoding="utf-8", errors="surrogatepass")
            return
        temporary = path.with_name(path.name + ".part")
        try:
            with temporary.open("w", encoding="utf-8", errors="surrogatepass") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
