"""The bytes of a package on a PC, by ranges: a package of a gigabyte costs its header, its tables and a small file.

Whoever reads a package wants bytes at once, and a conversation has to ask for them. So a `Ranges` raises `RangeWanted`
for bytes that it does not have; the conversation fetches them, and begins to read anew. Reading again costs some
milliseconds of the controller; the PC is asked for nothing twice.

Each answer has the hash of the whole file, so a file that changes in between is noticed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from provmode.errors import ProtocolError
from provmode.windows.conversation import Conversation
from provmode.windows.files import (
    CHUNK,
    READ_COMMAND,
    StaleFile,
    TooLarge,
    bytes_of,
    script_answer,
    script_line,
    sha256,
    size_of,
)

T = TypeVar("T")

LARGEST = 64 * 1024 * 1024
"""Bytes of a package that is read on a PC: the script there holds the whole file in memory while it hashes it."""
WHOLE = 4 * CHUNK
"""Bytes of a package that is fetched as a whole, so that its signature can be checked."""
MOST = 4 * 1024 * 1024
"""Bytes that are fetched of a larger one."""
ROUNDS = 24
"""How often ranges are fetched for one package."""


class RangeWanted(Exception):
    """Bytes that were not fetched yet."""

    def __init__(self, offset: int, count: int) -> None:
        super().__init__(f"bytes {offset} to {offset + count}")
        self.offset, self.count = offset, count


class Ranges:
    """The bytes of a file, as far as they were fetched."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._parts: dict[int, bytes] = {}
        """By their offset; none touches another."""

    @property
    def fetched(self) -> int:
        """How many bytes there are."""
        return sum(map(len, self._parts.values()))

    @property
    def whole(self) -> bytes | None:
        """The whole file, if all of it was fetched."""
        return self._parts.get(0, b"" if self.size == 0 else None) if self.fetched == self.size else None

    def read(self, offset: int, count: int) -> bytes:
        """Return *count* bytes from *offset*, fewer at the end of the file.

        Raises:
            RangeWanted: they were not fetched yet.
        """
        end = min(offset + count, self.size)
        if offset < 0 or offset >= end:
            return b""
        for start, part in self._parts.items():
            if start <= offset < start + len(part):
                if end <= start + len(part):
                    return part[offset - start : end - start]
                raise RangeWanted(start + len(part), end - start - len(part))
        raise RangeWanted(offset, end - offset)

    def add(self, offset: int, data: bytes) -> None:
        """Add fetched bytes, joined with those they touch."""
        for start, part in sorted(self._parts.items()):
            if start <= offset <= start + len(part):
                data, offset = part[: offset - start] + data + part[offset - start + len(data) :], start
                del self._parts[start]
            elif offset <= start <= offset + len(data):
                data = data[: start - offset] + part + data[start - offset + len(part) :]
                del self._parts[start]
        self._parts[offset] = data

    def missing(self, offset: int, count: int) -> tuple[int, int]:
        """Return a range to fetch that begins at *offset*: to what is wanted, or more, but nothing that is there."""
        end = min(max(offset + count, offset + CHUNK), self.size)
        return offset, min((start for start in self._parts if offset < start < end), default=end) - offset


def with_bytes(
    path: str, work: Callable[[Ranges, str], T], *, expected: str = "", largest: int = LARGEST
) -> Conversation[T | None]:
    """Do *work* with the bytes of the file and its hash; return its result, or ``None`` if the file does not exist.

    *work* is begun anew whenever it wants bytes that were not fetched. *expected* is the hash that the file must have.

    Raises:
        StaleFile: the file has another hash than *expected*, or changed while it was read.
        TooLarge: the file is larger than *largest*, or *work* wants more of it than is fetched.
        HostError: as `script_answer`.
    """
    fetch = _Fetching(path, expected, largest)
    if not (yield from fetch.next(0, CHUNK)):
        return None
    source = fetch.source
    while source.whole is None and source.size <= WHOLE:
        yield from fetch.next(source.fetched, CHUNK)
    for _ in range(ROUNDS):
        if source.whole is not None and sha256(source.whole) != fetch.hash:
            raise ProtocolError(f"{path}: the bytes that came do not have the file's hash", next_step="read it again")
        try:
            return work(source, fetch.hash)
        except RangeWanted as wanted:
            offset, count = source.missing(wanted.offset, wanted.count)
        if source.fetched + count > MOST:
            break
        end = offset + count
        while offset < end:
            yield from fetch.next(offset, min(CHUNK, end - offset))
            offset += CHUNK
    raise TooLarge(
        f"{path}: reading it takes more than {MOST:,} of its {source.size:,} bytes",
        next_step="read it on this computer",
    )


class _Fetching:
    """Fetching a file range by range."""

    def __init__(self, path: str, expected: str, largest: int) -> None:
        self.path, self.hash, self._largest = path, expected, largest
        self.source = Ranges(-1)

    def next(self, offset: int, count: int) -> Conversation[bool]:
        """Fetch a range; return whether the file exists."""
        answer = script_answer(
            (yield script_line(READ_COMMAND.line, path=self.path, offset=offset, count=count)), self.path
        )
        if not answer.get("exists"):
            if self.source.size >= 0:
                raise StaleFile(f"{self.path} is gone since its beginning was read", next_step="look again")
            return False
        size = size_of(answer, self.path)
        if size > self._largest:
            raise TooLarge(
                f"{self.path} has {size:,} bytes, over the limit of {self._largest:,}",
                next_step="copy it, and read it on this computer",
            )
        found = str(answer["sha256"]).lower()
        if not re.fullmatch("[0-9a-f]{64}", found):
            raise ProtocolError(f"{self.path}: the script's answer has no SHA-256")
        if (self.hash and found != self.hash) or self.source.size not in (-1, size):
            raise StaleFile(f"{self.path} is not the file that was seen before", next_step="look again")
        if self.source.size < 0:
            self.hash, self.source = found, Ranges(size)
        data = bytes_of(answer, self.path)
        if len(data) != max(0, min(count, size - offset)):
            raise ProtocolError(f"{self.path}: {len(data):,} bytes came instead of {count:,} from {offset:,}")
        self.source.add(offset, data)
        return True
