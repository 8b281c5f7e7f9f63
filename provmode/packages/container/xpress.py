"""XPRESS with Huffman codes ([MS-XCA] 2.2), one piece at a time: the compression that packages use."""

from __future__ import annotations

from provmode.packages.errors import damaged

_TABLE = 256
"""Bytes of the lengths of the codes: 512 symbols, four bits each."""
_WIDTH = 15
"""Bits of the longest code."""


def unpack(data: bytes, size: int) -> bytes:
    """Return the *size* bytes that *data*, one piece, stands for.

    Each turn of the loop makes at least one byte, so the work is bounded by *size*.

    Raises:
        PackageUnreadable: *data* stands for no bytes, or for others than *size*.
    """
    if len(data) < _TABLE + 4:
        raise damaged(f"a packed piece of {len(data):,} bytes is shorter than its table of codes")
    codes = _codes(data)
    end = len(data)
    out = bytearray()
    # two words are kept ahead, as the format wants it: bytes of long matches lie between the words
    bits = int.from_bytes(data[_TABLE + 2 : _TABLE + 4], "little") | (
        int.from_bytes(data[_TABLE : _TABLE + 2], "little") << 16
    )
    at, have, made = _TABLE + 4, 32, 0
    while made < size:
        entry = codes[bits >> 17]
        length = entry & 15
        if not length:
            raise damaged("bits in a packed piece that are no code")
        bits = bits << length & 0xFFFFFFFF
        have -= length
        if have < 16:
            if at < end - 1:
                bits |= (data[at] | data[at + 1] << 8) << (16 - have)
            at += 2
            have += 16
        symbol = entry >> 4
        if symbol < 256:
            out.append(symbol)
            made += 1
            continue
        length = symbol & 15
        width = symbol >> 4 & 15
        if length == 15:
            length, at = _long_length(data, at)
        length += 3
        back = (bits >> (32 - width)) + (1 << width) if width else 1
        bits = bits << width & 0xFFFFFFFF
        have -= width
        if have < 16:
            if at < end - 1:
                bits |= (data[at] | data[at + 1] << 8) << (16 - have)
            at += 2
            have += 16
        if back > made:
            raise damaged("a packed piece refers to bytes before its start")
        if made + length > size:
            raise damaged("a packed piece is longer than it should be")
        start = made - back
        if back >= length:
            out += out[start : start + length]
        else:
            repeated = bytes(out[start:])
            out += (repeated * (length // back + 1))[:length]
        made += length
    if at > end + 4:  # the two words ahead may lie past the end, nothing else
        raise damaged("a packed piece ends too early")
    return bytes(out)


def _codes(data: bytes) -> list[int]:
    """Return, for each 15 bits that may come next, the symbol they begin with (times 16) and how many bits it has."""
    symbols: list[list[int]] = [[] for _ in range(_WIDTH + 1)]
    for index in range(_TABLE):
        pair = data[index]
        symbols[pair & 15].append(2 * index)
        symbols[pair >> 4].append(2 * index + 1)
    codes: list[int] = []
    for length in range(1, _WIDTH + 1):
        span = 1 << (_WIDTH - length)
        if len(codes) + span * len(symbols[length]) > 1 << _WIDTH:
            raise damaged("a packed piece has more codes than there are bits for")
        for symbol in symbols[length]:
            codes += [symbol << 4 | length] * span
    return codes + [0] * ((1 << _WIDTH) - len(codes))


def _long_length(data: bytes, at: int) -> tuple[int, int]:
    """Return the length of a match whose symbol says 15 or more, less the 3 that each has, and where it goes on."""
    extra = data[at : at + 1]
    if not extra:
        raise damaged("a packed piece ends within a length")
    if extra[0] < 255:
        return extra[0] + 15, at + 1
    length = int.from_bytes(data[at + 1 : at + 3], "little")
    if length < 15:  # 0 announces four more bytes: no piece is that long
        raise damaged("a packed piece has a length that cannot be")
    return length, at + 3
