"""Kerberos messages sealed with RC4 (RFC 4757), as Windows makes them for WinRM: without padding.

MIT's library appends a byte of padding, as RFC 1964 wants it. Windows leaves it out (MS-WSMV 2.2.9.1.2.2.2), and
clients take the byte for the last one of the message. So the library's token is opened and made anew, without the byte
and with the same sequence number.
"""

from __future__ import annotations

import hashlib
import hmac

from provmode.lab.server.kerberos_tokens import KERBEROS_OID

_SEALED = bytes.fromhex("020111001000ffff")
"""Token, checksum and cipher of a message sealed with RC4 (RFC 4757 section 7.3)."""
_START = b"\x06\x09" + KERBEROS_OID + _SEALED
_WRAP = 13
"""What a key is used for: to seal."""


def is_rc4(header: bytes) -> bool:
    """Return whether *header* begins a message that is sealed with RC4."""
    return header[:1] == b"\x60" and _START in header[:32]


def without_padding(header: bytes, data: bytes, padding: int, key: bytes) -> tuple[bytes, bytes]:
    """Return header and data of a sealed message again, without the last bytes of *data*; *key* is the session's."""
    at = header.index(_START) + len(_START)
    sequence, checksum, confounder = header[at : at + 8], header[at + 8 : at + 16], header[at + 16 : at + 24]
    number = rc4(_sequence_key(key, checksum), sequence)
    stream = _message_key(key, number[:4])
    plain = rc4(stream, confounder + data)[: 8 + len(data) - padding]
    checksum = _checksum(key, plain)
    sealed = rc4(stream, plain)
    sequence = rc4(_sequence_key(key, checksum), number)
    body = header[header.index(_START) : at] + sequence + checksum + sealed[:8]
    return _framed(body, len(plain) - 8), sealed[8:]


def _framed(body: bytes, following: int) -> bytes:
    """Return the head of GSS-API's frame and *body*; the length in it covers the *following* data (RFC 2743 3.1)."""
    size = len(body) + following
    if size < 0x80:
        return bytes((0x60, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((0x60, 0x80 | len(length))) + length + body


def _checksum(key: bytes, plain: bytes) -> bytes:
    """Return the checksum of confounder and message."""
    digest = hashlib.md5(_WRAP.to_bytes(4, "little") + _SEALED + plain, usedforsecurity=False).digest()
    return _hmac(_hmac(key, b"signaturekey\0"), digest)[:8]


def _message_key(key: bytes, number: bytes) -> bytes:
    """Return the key of one message."""
    local = bytes(each ^ 0xF0 for each in key)
    return _hmac(_hmac(local, bytes(4)), number)


def _sequence_key(key: bytes, checksum: bytes) -> bytes:
    """Return the key of the sequence number beside *checksum*."""
    return _hmac(_hmac(key, bytes(4)), checksum)


def _hmac(key: bytes, data: bytes) -> bytes:
    """Return HMAC-MD5."""
    return hmac.new(key, data, "md5").digest()


def rc4(key: bytes, data: bytes) -> bytes:
    """Return *data* encrypted, or decrypted, with RC4."""
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) & 0xFF
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) & 0xFF
        j = (j + state[i]) & 0xFF
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) & 0xFF])
    return bytes(out)
