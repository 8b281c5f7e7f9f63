"""Files as a Windows image (WIM) with the header of a provisioning package; every resource stored.

Layouts from Microsoft's "Windows Imaging File Format (WIM)" paper.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Union

FLAGS = 0x20082
"""Compressed, reparse points fixed up, XPRESS: what Windows Configuration Designer writes, though nothing is packed."""
CHUNK = 32768
EPOCH = dt.datetime(1601, 1, 1, tzinfo=dt.timezone.utc)

_STEP = 1 << 20


@dataclass(frozen=True)
class Zeros:
    """A file of many zeros. In an image on a disk it takes no room."""

    size: int


Content = Union[bytes, Zeros]
_Tree = dict[str, Union["_Tree", bytes]]
"""Folders within folders; a file as its path."""


def image_bytes(files: Mapping[str, Content], xml: str, *, when: int = 0) -> bytes:
    """Return an image of *files*, by paths with ``/``, and of *xml*, the elements within ``IMAGE`` and around it."""
    stream = io.BytesIO()
    _write(stream, files, xml, when)
    return stream.getvalue()


def write_image(path: Path, files: Mapping[str, Content], xml: str, *, when: int = 0) -> None:
    """Write such an image to a file, with holes in it for `Zeros`."""
    with path.open("wb") as stream:
        _write(stream, files, xml, when)


def filetime(moment: dt.datetime) -> int:
    """Return *moment* in tenths of microseconds since 1601."""
    return (moment - EPOCH) // dt.timedelta(microseconds=1) * 10


def _write(stream: BinaryIO, files: Mapping[str, Content], xml: str, when: int) -> None:
    hashes = {path: _sha1(content) for path, content in files.items()}
    used, rows = Counter(hashes.values()), dict[bytes, bytes]()
    at = 208
    for path, content in files.items():
        sha1, size = hashes[path], _size(content)
        if sha1 in rows or not size:
            continue
        _put(stream, at, content)
        rows[sha1] = _row(size, 0, at, used[sha1], sha1)
        at += size
    tree = _metadata(files, hashes, when)
    _put(stream, at, tree)
    table = b"".join(rows.values()) + _row(len(tree), 2, at, 1, hashlib.sha1(tree, usedforsecurity=False).digest())
    at += len(tree)
    _put(stream, at, table)
    end = at + len(table)
    text = f"\ufeff<WIM><TOTALBYTES>{end}</TOTALBYTES>{xml}</WIM>".encode("utf-16-le", "surrogatepass")
    _put(stream, end, text)
    head = b"MSWIM\0\0\0" + struct.pack("<IIII", 208, 0x10D00, FLAGS, CHUNK)
    head += hashlib.sha256(tree + text).digest()[:16] + struct.pack("<HHI", 1, 1, 1)
    head += _resource(len(table), 2, at) + _resource(len(text), 2, end)
    _put(stream, 0, head.ljust(208, b"\0"))


def _put(stream: BinaryIO, at: int, content: Content) -> None:
    if isinstance(content, Zeros):
        return  # what follows is written behind it
    stream.seek(at)
    stream.write(content)


def _resource(size: int, flags: int, offset: int) -> bytes:
    return struct.pack("<QQQ", size | flags << 56, offset, size)


def _row(size: int, flags: int, offset: int, uses: int, sha1: bytes) -> bytes:
    return _resource(size, flags, offset) + struct.pack("<HI", 1, uses) + sha1


def _size(content: Content) -> int:
    return content.size if isinstance(content, Zeros) else len(content)


def _pieces(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    for at in range(0, content.size, _STEP):
        yield bytes(min(_STEP, content.size - at))


def _sha1(content: Content) -> bytes:
    if not _size(content):
        return bytes(20)
    sha1 = hashlib.sha1(usedforsecurity=False)
    for piece in _pieces(content):
        sha1.update(piece)
    return sha1.digest()


def _metadata(files: Mapping[str, Content], hashes: Mapping[str, bytes], when: int) -> bytes:
    """Return the tree of files: no security descriptors, the root, then folder by folder."""
    tree: _Tree = {}
    for path in files:
        *folders, name = path.split("/")
        at = tree
        for folder in folders:
            below = at.setdefault(folder, {})
            assert isinstance(below, dict), f"{folder} is a file and a folder"
            at = below
        at[name] = path.encode("utf-8", "surrogatepass")
    start = 8 + len(_entry("", 0, 0, b"", when)) + 8
    folders_in_order: list[_Tree] = [tree]
    places: list[int] = []
    for each in folders_in_order:  # grows as it goes
        places.append(start)
        start += sum(len(_entry(name, 0, 0, b"", when)) for name in each) + 8
        folders_in_order += [below for below in each.values() if isinstance(below, dict)]
    made = bytearray(struct.pack("<II", 8, 0) + _entry("", 0x10, places[0], b"", when) + bytes(8))
    below_places = iter(places[1:])
    for each in folders_in_order:
        for name, entry in each.items():
            if isinstance(entry, bytes):
                made += _entry(name, 0x20, 0, hashes[entry.decode("utf-8", "surrogatepass")], when)
            else:
                made += _entry(name, 0x10, next(below_places), b"", when)
        made += bytes(8)
    return bytes(made)


def _entry(name: str, attributes: int, below: int, sha1: bytes, when: int) -> bytes:
    """Return an entry of the tree; each has a length that eight divides, and the root's is 104 bytes."""
    raw = name.encode("utf-16-le", "surrogatepass")
    body = struct.pack("<IiQ16xQQQ20s12xHHH", attributes, -1, below, when, when, when, sha1, 0, 0, len(raw))
    body += raw + b"\0\0"
    body += bytes(-len(body) % 8)
    return struct.pack("<Q", 8 + len(body)) + body
