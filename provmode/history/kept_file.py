"""Reading a file that somebody kept. It can be anything: what never ends, or is no file, is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from provmode.errors import UsageError

LARGEST = 1 << 30
"""Bytes: a report of 100,000 hosts has 150 MB."""


def read_kept(path: Path, largest: int = LARGEST) -> bytes:
    """Return the content of a file.

    Raises:
        UsageError: it cannot be read, is a pipe or a device, or is larger than any report.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe that nobody writes to would wait without end
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"{path} is not a file", next_step="give the path of a file")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise UsageError(f"{path} is larger than any report", next_step="give a report, a plan or a journal")
    return content
