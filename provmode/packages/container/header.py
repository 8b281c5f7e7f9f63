"""The header of a Windows image: what it is, and where its parts are."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from provmode.packages.container.source import Source
from provmode.packages.errors import PackageUnreadable, Unreadable, damaged

HEADER_SIZE = 208
MAGIC = b"MSWIM\0\0\0"
PIPABLE = b"WLPWM\0\0\0"
"""What images begin with that wimlib makes for a pipe."""
VERSION = 0x10D00
SOLID_VERSION = 0xE00
"""The version of images with solid resources (.esd)."""

COMPRESSED, PART_OF_SEVERAL, NO_IMAGES, BEING_WRITTEN = 0x2, 0x8, 0x10, 0x40
XPRESS = 0x20000
OTHERS = {0x40000: "LZX", 0x80000: "LZMS", 0x200000: "XPRESS 2"}

SIGNATURE_FIELDS = slice(180, 196)
"""Size, kind and place of the signature; all zero in an unsigned package."""


@dataclass(frozen=True)
class Resource:
    """A stretch of the file."""

    size: int
    """Bytes it takes in the file."""
    flags: int
    offset: int
    original: int
    """Bytes of its content, unpacked."""

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.size


@dataclass(frozen=True)
class Header:
    """The header of a Windows image."""

    version: int
    flags: int
    chunk_size: int
    guid: bytes
    images: int
    table: Resource
    """The table of the resources."""
    xml: Resource
    boot: Resource
    integrity: Resource
    signature_size: int
    signature_kind: int
    signature_offset: int
    raw: bytes

    @property
    def signed(self) -> bool:
        """Whether it names a signature at all; that says nothing about what is there."""
        return any(self.raw[SIGNATURE_FIELDS])


def resource_of(data: bytes, at: int = 0) -> Resource:
    """Return the resource that the 24 bytes from *at* on describe."""
    first, offset, original = struct.unpack_from("<QQQ", data, at)
    return Resource(first & (1 << 56) - 1, first >> 56, offset, original)


def read_header(source: Source) -> Header:
    """Return the header of *source*.

    Raises:
        PackageUnreadable: it is not a package, one of several parts, packed in another way, or damaged.
    """
    data = source.read(0, min(HEADER_SIZE, source.size))
    if data[:8] == PIPABLE:
        raise _packed("for a pipe, as wimlib does")
    if data[:8] != MAGIC:
        raise PackageUnreadable(
            Unreadable.NOT_A_PACKAGE,
            "not a provisioning package, or one that is wholly encrypted: it does not begin as a Windows image",
            next_step="give the .ppkg file as Windows Configuration Designer made it, without encryption",
        )
    if len(data) < HEADER_SIZE:
        raise damaged(f"its header has {len(data)} bytes of {HEADER_SIZE}")
    size, version, flags, chunk_size = struct.unpack_from("<IIII", data, 8)
    part, parts, images = struct.unpack_from("<HHI", data, 40)
    if size != HEADER_SIZE:
        raise damaged(f"its header says that it has {size:,} bytes instead of {HEADER_SIZE}")
    _check_packing(version, flags, chunk_size)
    if (part, parts) != (1, 1) or flags & PART_OF_SEVERAL:
        raise PackageUnreadable(
            Unreadable.SPLIT,
            f"the package is part {part} of {parts}; a package is one file",
            next_step="export it again with Windows Configuration Designer",
        )
    if flags & BEING_WRITTEN:
        raise damaged("it was not written to its end")
    if flags & NO_IMAGES or images != 1:
        raise damaged(f"it has {0 if flags & NO_IMAGES else images:,} images instead of one")
    table, xml, boot, integrity = (resource_of(data, at) for at in (48, 72, 96, 124))
    length, kind, offset = struct.unpack("<IIQ", data[SIGNATURE_FIELDS])
    return Header(
        *(version, flags, chunk_size, data[24:40], images),
        *(table, xml, boot, integrity),
        *(length, kind, offset),
        data,
    )


def _check_packing(version: int, flags: int, chunk_size: int) -> None:
    others = [name for flag, name in OTHERS.items() if flags & flag]
    if others:
        raise _packed(f"with {' and '.join(others)}")
    if version == SOLID_VERSION:
        raise _packed("solid, several files in one stretch")
    if version != VERSION:
        raise damaged(f"its version is 0x{version:X} instead of 0x{VERSION:X}")
    if not flags & COMPRESSED:
        return
    if not flags & XPRESS:
        raise _packed("in a way that it does not name")
    if chunk_size not in (1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16):
        raise damaged(f"pieces of {chunk_size:,} bytes; XPRESS has 4,096 to 65,536")


def _packed(how: str) -> PackageUnreadable:
    return PackageUnreadable(
        Unreadable.COMPRESSION,
        f"the package is packed {how}; only XPRESS, which Windows Configuration Designer uses, is read",
        next_step="export it again with Windows Configuration Designer",
    )
