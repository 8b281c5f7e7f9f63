"""XPRESS: pieces that are no pieces, and how much work they cost."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provmode.packages.container import xpress
from provmode.packages.errors import PackageUnreadable, Unreadable

EIGHT = bytes([0x88] * 128)
"""Lengths of codes: each of the 256 letters has eight bits, so that a letter is its own code."""


def letters(text: bytes) -> bytes:
    """Return a piece of letters alone."""
    even = text + bytes(len(text) % 2 + 4)
    return EIGHT + bytes(128) + b"".join(even[at + 1 : at + 2] + even[at : at + 1] for at in range(0, len(even), 2))


def one_match(length_bytes: bytes) -> bytes:
    """Return a piece of the letter 0 and then a match with it, one byte back, of a length that *length_bytes* say."""
    lengths = bytearray(256)
    lengths[0] = 0x01  # the letter 0 has the one bit 0
    lengths[(256 + 15) // 2] = 0x10  # a match one byte back, of a length of 15 and more, has the one bit 1
    return bytes(lengths) + struct.pack("<HH", 0b01 << 14, 0) + length_bytes


@given(st.binary(min_size=1, max_size=300))
def test_letters_alone_are_read_back(text: bytes) -> None:
    assert xpress.unpack(letters(text), len(text)) == text


@pytest.mark.parametrize(
    ("said", "length"),
    [(b"\x00", 18), (b"\x05", 23), (b"\xfe", 272), (b"\xff\x0f\x00", 18), (b"\xff\xff\x7f", 32770)],
)
def test_a_match_has_the_length_that_it_says(said: bytes, length: int) -> None:
    assert xpress.unpack(one_match(said), length + 1) == bytes(length + 1)


@pytest.mark.parametrize(
    ("piece", "size", "says"),
    [
        (b"", 10, "shorter than its table"),
        (EIGHT + bytes(131), 10, "shorter than its table"),
        (bytes(256) + bytes(10), 10, "no code"),
        (bytes([0x11] * 256) + bytes(10), 10, "more codes"),
        (letters(b"abc"), 100, "ends too early"),
        (one_match(b""), 100, "ends within a length"),
        (one_match(b"\xff\x00\x00\x00\x00\x00\x10"), 100, "cannot be"),
        (one_match(b"\x05"), 23, "longer than it should be"),
    ],
)
def test_a_piece_that_is_none_is_damaged(piece: bytes, size: int, says: str) -> None:
    with pytest.raises(PackageUnreadable, match=says) as caught:
        xpress.unpack(piece, size)

    assert caught.value.cause is Unreadable.DAMAGED


def test_a_match_before_the_start_is_damaged() -> None:
    piece = bytearray(one_match(b"\x05"))
    piece[256:258] = struct.pack("<H", 0b11 << 14)

    with pytest.raises(PackageUnreadable, match="before its start"):
        xpress.unpack(bytes(piece), 100)


@given(st.binary(min_size=0, max_size=600), st.integers(1, 65536))
@example(EIGHT + bytes(128) + bytes(40), 65536)
def test_any_bytes_are_as_many_bytes_as_asked_for_or_one_error(piece: bytes, size: int) -> None:
    with suppress(PackageUnreadable):
        assert len(xpress.unpack(piece, size)) == size
