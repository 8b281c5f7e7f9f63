"""A resource of a package: a stretch of the file, stored or packed in pieces."""

from __future__ import annotations

import struct

from provmode.packages.container import xpress
from provmode.packages.container.header import COMPRESSED, Header, Resource
from provmode.packages.container.source import Source, exactly
from provmode.packages.errors import PackageUnreadable, Unreadable, damaged, too_large

METADATA = 0x02
PACKED = 0x04
SPANNED = 0x08
SOLID = 0x10


def content_of(source: Source, header: Header, resource: Resource, what: str, limit: int) -> bytes:
    """Return the content of a resource; *what* it is stands in errors.

    Raises:
        PackageUnreadable: it is over *limit* bytes, packed in another way, or damaged.
    """
    if resource.flags & SOLID:
        raise PackageUnreadable(Unreadable.COMPRESSION, f"the package is packed solid, several files in one: {what}")
    if resource.flags & SPANNED:
        raise PackageUnreadable(Unreadable.SPLIT, f"the package is one of several parts: {what} goes on in another")
    if resource.original > limit:
        raise too_large(f"bytes of {what}:", resource.original, limit)
    if not resource.flags & PACKED:
        if resource.size != resource.original:
            raise damaged(f"{what} is stored in {resource.size:,} bytes, and has {resource.original:,}")
        return exactly(source, resource.offset, resource.size, what)
    return _unpacked(source, header, resource, what)


def _unpacked(source: Source, header: Header, resource: Resource, what: str) -> bytes:
    if not header.flags & COMPRESSED:
        raise damaged(f"{what} is packed in a package that says that nothing is")
    size = header.chunk_size
    count = -(-resource.original // size)
    table = 4 * max(count - 1, 0)
    if not table <= resource.size <= table + resource.original:  # a piece that would grow is stored
        raise damaged(f"{what} is packed in {resource.size:,} bytes, and has {resource.original:,}")
    data = exactly(source, resource.offset, resource.size, what)
    starts = [0, *struct.unpack_from(f"<{table // 4}I", data)][:count]
    body = memoryview(data)[table:]
    made = []
    for index, start in enumerate(starts):
        end = starts[index + 1] if index + 1 < count else len(body)
        wanted = min(size, resource.original - index * size)
        if not start < end <= len(body) or end - start > wanted:
            raise damaged(f"the pieces of {what} are out of order")
        piece = bytes(body[start:end])
        made.append(piece if len(piece) == wanted else xpress.unpack(piece, wanted))
    return b"".join(made)
