"""The tree of a package: which files it has."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from provmode.packages.errors import damaged, too_large

MAX_ENTRIES = 20_000
"""Files, folders and streams of one package. Real ones have 7 to some hundreds."""
MAX_DEPTH = 32
"""Folders within folders. Real packages have five levels."""
MAX_NAME = 255
"""UTF-16 units of a name, as NTFS has it."""
FOLDER = 0x10

_ENTRY, _NAME_AT = 102, 102
_STREAM = 38
_NO_HASH = bytes(20)


@dataclass(frozen=True)
class Leaf:
    """A file in the tree."""

    path: str
    sha1: bytes
    """Of its content; zeros if it is empty."""
    attributes: int


@dataclass(frozen=True)
class Tree:
    """The files and folders of a package, by paths with ``/``."""

    files: tuple[Leaf, ...]
    folders: tuple[str, ...]
    other_streams: int
    """Named streams beside the content of files. Designers write none."""


def read_tree(data: bytes) -> Tree:
    """Return the tree that *data*, the metadata resource, describes.

    Raises:
        PackageUnreadable: it is damaged, runs in a circle, or is larger or deeper than any real one; or a name stands
            there twice, or is none that Windows would give a file.
    """
    return _Reader(data).read()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.entries = self.other_streams = 0
        self.files: list[Leaf] = []
        self.folders: list[str] = []
        self.seen: set[str] = set()

    def read(self) -> Tree:
        if len(self.data) < 8:
            raise damaged("its tree of files is empty")
        # security descriptors come first: their length, 0 if there are none
        start = max((int.from_bytes(self.data[:4], "little") + 7) & ~7, 8)
        roots = list(self.folder(start, single=True))
        if len(roots) != 1 or roots[0][0] or not roots[0][1] & FOLDER:
            raise damaged("its tree of files has no root")
        places, todo = {start}, [(roots[0][2], "", 0)]
        while todo:
            at, where, depth = todo.pop()
            if not at:
                continue
            if at in places:
                raise damaged("its folders run in a circle")
            if depth > MAX_DEPTH:
                raise too_large("levels of its folders:", depth, MAX_DEPTH)
            places.add(at)
            for name, attributes, below, sha1 in self.folder(at):
                path = f"{where}{name}"
                self.check(name, path)
                if attributes & FOLDER:
                    self.folders.append(path)
                    todo.append((below, f"{path}/", depth + 1))
                else:
                    self.files.append(Leaf(path, sha1, attributes))
        return Tree(tuple(self.files), tuple(self.folders), self.other_streams)

    def folder(self, at: int, *, single: bool = False) -> Iterator[tuple[str, int, int, bytes]]:
        """Yield name, attributes, place of what is below and hash of each entry from *at* on."""
        while True:
            length = self.length(at)
            if length <= 8:  # the end of a folder
                return
            self.count()
            if length < _ENTRY or at + length > len(self.data):
                raise damaged("an entry in its tree of files is cut off")
            attributes, _, below = struct.unpack_from("<IiQ", self.data, at + 8)
            sha1 = self.data[at + 64 : at + 84]
            streams, short, size = struct.unpack_from("<HHH", self.data, at + 96)
            if _NAME_AT + size + short > length or size % 2:
                raise damaged("a name in its tree of files is longer than its entry")
            name = self.name(self.data[at + _NAME_AT : at + _NAME_AT + size])
            at += (length + 7) & ~7
            for _ in range(streams):
                own, at = self.stream(at)
                if own and sha1 == _NO_HASH:
                    sha1 = own
            yield name, attributes, below, sha1
            if single:
                return

    def stream(self, at: int) -> tuple[bytes, int]:
        """Return the hash of the stream at *at* if it is a file's content, and where it goes on."""
        self.count()
        length = self.length(at)
        if length < _STREAM or at + length > len(self.data):
            raise damaged("a stream in its tree of files is cut off")
        named = int.from_bytes(self.data[at + 36 : at + 38], "little")
        self.other_streams += bool(named)
        return b"" if named else self.data[at + 16 : at + 36], at + ((length + 7) & ~7)

    def length(self, at: int) -> int:
        if at + 8 > len(self.data):
            raise damaged("its tree of files ends too early")
        return int.from_bytes(self.data[at : at + 8], "little")

    def count(self) -> None:
        self.entries += 1
        if self.entries > MAX_ENTRIES:
            raise too_large("entries of its tree of files:", self.entries, MAX_ENTRIES)

    def name(self, raw: bytes) -> str:
        if len(raw) > 2 * MAX_NAME:
            raise too_large("characters of a file's name:", len(raw) // 2, MAX_NAME)
        try:
            return raw.decode("utf-16-le")
        except UnicodeDecodeError:
            raise damaged("a file's name is not Unicode") from None

    def check(self, name: str, path: str) -> None:
        """Refuse what other readers would understand in another way, or would put elsewhere."""
        if name in ("", ".", "..") or not {"/", "\\", "\0"}.isdisjoint(name):
            raise damaged(f"a file's name, {name!r}, is none that Windows gives")
        key = path.upper()
        if key in self.seen:
            raise damaged(f"two files of one name, {path!r}")
        self.seen.add(key)
