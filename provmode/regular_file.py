"""A file on this computer that is read by ranges: a regular one, no pipe, device or folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provmode.errors import UsageError


class RegularFile:
    """An open file of a fixed size."""

    def __init__(self, number: int, size: int) -> None:
        self._number, self._size = number, size

    @property
    def size(self) -> int:
        """Bytes of the file when it was opened."""
        return self._size

    def read(self, offset: int, count: int) -> bytes:
        """Return the *count* bytes from *offset* on; less if the file has become shorter."""
        parts, left = [], count
        while left > 0:
            part = os.pread(self._number, min(left, 1 << 30), offset)
            if not part:
                break
            parts.append(part)
            offset, left = offset + len(part), left - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@contextmanager
def opened(path: Path) -> Iterator[RegularFile]:
    """Open a file.

    Raises:
        UsageError: there is none, it is no regular file, or it cannot be opened.
    """
    try:
        number = os.open(
            path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )  # a pipe that nobody writes to does not block
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name has a NUL in it"
        raise UsageError(f"cannot read {path}: {why}") from None
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
            raise UsageError(f"cannot read {path}: it is {kind}", next_step="name a file")
        yield RegularFile(number, found.st_size)
    finally:
        os.close(number)
