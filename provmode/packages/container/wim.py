"""A package as a container: its files, its XML, what it is worth knowing of it as a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from provmode.packages.container import resource, tree
from provmode.packages.container.header import HEADER_SIZE, Header, Resource, read_header, resource_of
from provmode.packages.container.signature import Signature, signature_of
from provmode.packages.container.source import Source
from provmode.packages.errors import damaged

MAX_CONTENT = 2 << 20
"""Bytes of a file that is unpacked into memory, unless its reader says otherwise. A megabyte takes at worst a quarter
of a second."""
MAX_XML = 256 << 10
MAX_TREE = 4 << 20
_ROW = 50
"""Bytes of a row in the table of the resources: the resource, its part, how often it is used, its hash."""
MAX_TABLE = _ROW * tree.MAX_ENTRIES
_NO_HASH = bytes(20)


@dataclass(frozen=True)
class FileEntry:
    """A file in a package."""

    path: str
    """With ``/``; as it stands there, not yet safe to print."""
    size: int
    sha1: str
    """Of its content, in hexadecimal digits."""
    attributes: int
    """As Windows has them: 0x20 archive, 0x400 reparse point."""


@dataclass(frozen=True)
class Container:
    """A package that has been opened. Files are read as they are asked for."""

    source: Source = field(repr=False)
    header: Header
    xml: str = field(repr=False)
    """What it says of itself, unparsed."""
    files: Mapping[str, FileEntry]
    folders: tuple[str, ...]
    other_streams: int
    """Named streams beside the content of files; designers write none."""
    trailing: int
    """Bytes at the end of the file that belong to nothing in it."""
    _resources: Mapping[bytes, Resource] = field(repr=False)
    _content_end: int = field(repr=False)

    def signature(self, *, every_byte: bool = True) -> Signature:
        """Return its signature; that reads every byte, as `signature_of` says, which also says what *every_byte* is."""
        return signature_of(self.source, self.header, content_end=self._content_end, every_byte=every_byte)

    def content(self, path: str, limit: int = MAX_CONTENT) -> bytes:
        """Return the content of a file, which matches its hash.

        Raises:
            PackageUnreadable: there is no such file, it has over *limit* bytes, or it is damaged.
        """
        entry = self.files.get(path)
        if entry is None:
            raise damaged(f"there is no {path!r} in it")
        if not entry.size:
            return b""
        sha1 = bytes.fromhex(entry.sha1)
        data = resource.content_of(self.source, self.header, self._resources[sha1], repr(path), limit)
        if _sha1(data) != sha1:
            raise damaged(f"{path!r} does not match its hash")
        return data


def open_container(source: Source) -> Container:
    """Return the package in *source*: its header, table, tree and XML are read, no file.

    Raises:
        PackageUnreadable: it is not a package, is packed in another way, is damaged, or is beyond the limits.
    """
    header = read_header(source)
    rows, metadata, sha1 = _table(source, header)
    described = resource.content_of(source, header, metadata, "its tree of files", MAX_TREE)
    if _sha1(described) != sha1:
        raise damaged("its tree of files does not match its hash")
    found = tree.read_tree(described)
    content_end = max(each.end for each in (metadata, *rows.values()))
    return Container(
        source,
        header,
        _xml(source, header),
        MappingProxyType({leaf.path: _entry(leaf, rows) for leaf in found.files}),
        found.folders,
        found.other_streams,
        _trailing(source, header, content_end),
        MappingProxyType(rows),
        content_end,
    )


def _table(source: Source, header: Header) -> tuple[dict[bytes, Resource], Resource, bytes]:
    """Return the resources by their hashes, and the tree's resource and hash."""
    data = resource.content_of(source, header, header.table, "its table of resources", MAX_TABLE)
    if len(data) % _ROW:
        raise damaged("its table of resources is cut off")
    rows: dict[bytes, Resource] = {}
    trees = []
    for at in range(0, len(data), _ROW):
        row, sha1 = resource_of(data, at), data[at + 30 : at + _ROW]
        if row.end > source.size:
            raise damaged(f"a file in it would end at byte {row.end:,}, the file has {source.size:,}")
        if row.flags & resource.METADATA:
            trees.append((row, sha1))
        elif sha1 in rows:
            raise damaged("its table of resources has a hash twice")
        else:
            rows[sha1] = row
    if len(trees) != 1:
        raise damaged(f"it has {len(trees):,} trees of files instead of one")
    return rows, *trees[0]


def _entry(leaf: tree.Leaf, rows: Mapping[bytes, Resource]) -> FileEntry:
    if leaf.sha1 == _NO_HASH:
        return FileEntry(leaf.path, 0, hashlib.sha1(b"", usedforsecurity=False).hexdigest(), leaf.attributes)
    row = rows.get(leaf.sha1)
    if row is None:
        raise damaged(f"the content of {leaf.path!r} is not in it")
    return FileEntry(leaf.path, row.original, leaf.sha1.hex(), leaf.attributes)


def _xml(source: Source, header: Header) -> str:
    data = resource.content_of(source, header, header.xml, "its XML", MAX_XML)
    try:
        return data.decode("utf-16" if data[:2] == b"\xff\xfe" else "utf-16-le")
    except UnicodeDecodeError:
        raise damaged("its XML is not UTF-16") from None


def _trailing(source: Source, header: Header, content_end: int) -> int:
    ends = [HEADER_SIZE, content_end, header.table.end, header.xml.end, header.integrity.end]
    if header.signature_size:
        ends.append(header.signature_offset + header.signature_size)
    return max(source.size - max(ends), 0)


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()
