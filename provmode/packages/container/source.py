"""Where the bytes of a package come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from provmode.packages.errors import damaged


class Source(Protocol):
    """A file, of which ranges are read."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    def read(self, offset: int, count: int) -> bytes:
        """Return the *count* bytes from *offset* on. Less than that means that the file ended while it was read."""


@dataclass(frozen=True)
class _Memory:
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, count: int) -> bytes:
        return self.data[offset : offset + count]


def of_bytes(data: bytes) -> Source:
    """Return *data* as a source."""
    return _Memory(data)


def exactly(source: Source, offset: int, count: int, what: str) -> bytes:
    """Return a range of *source*; *what* it is stands in errors.

    Raises:
        PackageUnreadable: the file ends before.
    """
    if offset + count > source.size:
        raise damaged(f"{what} would end at byte {offset + count:,}, the file has {source.size:,}")
    data = source.read(offset, count) if count else b""
    if len(data) != count:
        raise damaged(f"of {what}, {count:,} bytes, {len(data):,} could be read")
    return data
