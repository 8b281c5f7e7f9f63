"""The HTTP body of a sealed message (MS-WSMV 2.2.9.1): a frame around a signature and the sealed bytes. Pure.

    --Encrypted Boundary
        Content-Type: application/HTTP-SPNEGO-session-encrypted
        OriginalContent: type=application/soap+xml;charset=UTF-8;Length=1234
    --Encrypted Boundary
        Content-Type: application/octet-stream
    <length of the signature, 4 bytes><signature><sealed message>--Encrypted Boundary--

A frame is read as it is written or not at all. After its end there may be white space: Windows sends one line break,
OMI two.

CredSSP seals a message in pieces of at most 16 KiB, each in a head of its own, with one end behind them all. A piece is
one or more TLS records, which say themselves how long they are.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator

NEGOTIATE = b"application/HTTP-SPNEGO-session-encrypted"
"""What sealed messages are called after a logon by ``Negotiate``, whatever the mechanism inside it."""
KERBEROS = b"application/HTTP-Kerberos-session-encrypted"
"""What they are called after a logon by the scheme ``Kerberos``."""
CREDSSP = b"application/HTTP-CredSSP-session-encrypted"
"""What they are called after a logon by the scheme ``CredSSP``."""
PIECE = 16384
"""Bytes of a message that CredSSP seals at once at most (MS-WSMV 2.2.9.1.3)."""
MOST_PADDING = 16
"""Bytes that a cipher may add to a message; Kerberos with RC4 adds one to eight."""

_BOUNDARY = b"--Encrypted Boundary\r\n"
_END = b"--Encrypted Boundary--"
_ONE, _MANY = "multipart/encrypted", "multipart/x-multi-encrypted"
_RECORD = b"\x17\x03\x03"
"""How a TLS record with data begins, of TLS 1.2 or 1.3 (RFC 8446 section 5.1)."""
_RECORD_HEAD = 5
_FRAME = re.compile(
    rb"--Encrypted Boundary\r\n"
    rb"[ \t]*Content-Type:[ ]*(?P<protocol>application/HTTP-[A-Za-z]{1,16}-session-encrypted)[ ]*\r\n"
    rb"[ \t]*OriginalContent:[ ]*type=[\x20-\x7e]{0,200}?;Length=(?P<length>[0-9]{1,9})[ ]*\r\n"
    rb"--Encrypted Boundary\r\n"
    rb"[ \t]*Content-Type:[ ]*application/octet-stream[ ]*\r\n",
    re.IGNORECASE,
)


class SealError(ValueError):
    """The body is not a sealed message; the text says why."""


def content_type(protocol: bytes, pieces: int = 1) -> bytes:
    """Return the content type of a request whose body is sealed in *pieces*."""
    media = (_ONE if pieces == 1 else _MANY).encode()
    return media + b';protocol="' + protocol + b'";boundary="Encrypted Boundary"'


def is_sealed(declared: str, protocol: bytes) -> bool:
    """Return whether the content type *declared* by an answer is that of a sealed message of *protocol*.

    The protocol has to stand there in quotes.
    """
    media, _, parameters = declared.partition(";")
    medias = (_ONE, _MANY) if protocol == CREDSSP else (_ONE,)
    return media.strip().lower() in medias and f'protocol="{protocol.decode()}"'.lower() in parameters.lower()


def pack(protocol: bytes, length: int, signature: bytes, sealed: bytes) -> bytes:
    """Return the body of a request with one sealed message; *length* is the message's own, padding included."""
    return pack_pieces(protocol, [(length, signature, sealed)])


def cut(message: bytes) -> Iterator[bytes]:
    """Yield the pieces of a message that CredSSP seals one by one."""
    for at in range(0, len(message), PIECE):
        yield message[at : at + PIECE]


def pack_pieces(protocol: bytes, pieces: Iterable[tuple[int, bytes, bytes]]) -> bytes:
    """Return the body of a request with a message sealed in pieces: of each its length, its signature, its bytes."""
    parts: list[bytes] = []
    for length, signature, sealed in pieces:
        parts += (
            _BOUNDARY + b"\tContent-Type: " + protocol,
            b"\r\n\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n" % length,
            _BOUNDARY + b"\tContent-Type: application/octet-stream\r\n",
            struct.pack("<I", len(signature)),
            signature,
            sealed,
        )
    return b"".join((*parts, _END + b"\r\n"))


def unpack_pieces(body: bytes) -> list[tuple[int, bytes]]:
    """Return what the body of an answer by CredSSP holds: of each piece its stated length and its TLS records.

    Raises:
        SealError: it is not one message in pieces.
    """
    bare = body.rstrip(b"\r\n\t ")
    pieces: list[tuple[int, bytes]] = []
    at, end = 0, len(bare) - len(_END)
    while not pieces or at != end:
        frame = _FRAME.match(bare, at)
        if frame is None or frame["protocol"].lower() != CREDSSP.lower():
            raise SealError("it is in no frame of this protocol")
        start = at = frame.end() + 4  # after the length of a trailer, which the records do not need
        while bare.startswith(_RECORD, at):
            at += _RECORD_HEAD + int.from_bytes(bare[at + 3 : at + _RECORD_HEAD], "big")
        length = int(frame["length"])
        if at == start or at > end or length > PIECE:
            raise SealError("a piece of it is not as long as it says")
        pieces.append((length, bare[start:at]))
    if not bare.endswith(_END):
        raise SealError("its frame has no end")
    return pieces


def unpack(protocol: bytes, body: bytes) -> tuple[int, bytes, bytes]:
    """Return what the body of an answer holds: the stated length of the message, its signature, the sealed bytes.

    Raises:
        SealError: it is not one sealed message of *protocol*.
    """
    frame = _FRAME.match(body)
    if frame is None or frame["protocol"].lower() != protocol.lower():
        raise SealError("it is in no frame of this protocol")
    bare = body.rstrip(b"\r\n\t ")
    if not bare.endswith(_END):
        raise SealError("its frame has no end")
    length, start, end = int(frame["length"]), frame.end(), len(bare) - len(_END)
    size = int.from_bytes(body[start : start + 4], "little")
    sealed_at = start + 4 + size
    if start + 4 > end or sealed_at > end:
        raise SealError("its signature is longer than its frame")
    if not 0 <= end - sealed_at - length <= MOST_PADDING:
        raise SealError("it is not as long as it says")
    return length, body[start + 4 : sealed_at], body[sealed_at:end]
