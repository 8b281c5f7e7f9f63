"""Sets of hosts, one bit a host: a run of 100,000 hosts that looked at all of them takes 40 bytes. Pure."""

from __future__ import annotations

import functools
import operator
import zlib
from collections.abc import Iterable, Iterator

_IN_BYTE = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


def of(numbers: Iterable[int]) -> int:
    """Return the set of these *numbers* as an integer with their bits set."""
    numbers = tuple(numbers)
    bits = bytearray(max(numbers, default=0) // 8 + 1)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(bits, "little")


def union(*sets: int) -> int:
    """Return what is in any of the sets."""
    return functools.reduce(operator.or_, sets, 0)


def numbers(bits: int) -> Iterator[int]:
    """Yield the numbers of a set, in order."""
    for place, byte in enumerate(bits.to_bytes((bits.bit_length() + 7) // 8, "little")):
        if byte:
            for bit in _IN_BYTE[byte]:
                yield place * 8 + bit


def has(bits: int, number: int) -> bool:
    """Return whether *number* is in the set."""
    return bool(bits >> number & 1)


def packed(bits: int) -> bytes:
    """Return the set as it is stored."""
    return zlib.compress(bits.to_bytes((bits.bit_length() + 7) // 8, "little"))


def unpacked(stored: bytes) -> int:
    """Return a set that was stored."""
    return int.from_bytes(zlib.decompress(stored), "little")
