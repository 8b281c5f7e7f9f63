"""The HTTP body of a sealed message (MS-WSMV 2.2.9.1): a frame around a signature and the sealed bytes. Pure.

    --Encrypted Boundary
        Content-Type: application/HTTP-SPNEGO-session-encrypted
        OriginalContent: type=application/soap+xml;charset=UTF-8;Length=1234
    --Encrypted Boundary
        Content-Type: application/octet-stream
    <length of the signature, 4 bytes><signature><sealed message>--Encrypted Boundary--

A frame is read as it is written or not at all. After its end there may be white space: Windows sends one line break,
OMI two.
"""

from __future__ import annotations

import re
import struct

NEGOTIATE = b"application/HTTP-SPNEGO-session-encrypted"
"""What sealed messages are called after a logon by ``Negotiate``, whatever the mechanism inside it."""
KERBEROS = b"application/HTTP-Kerberos-session-encrypted"
"""What they are called after a logon by the scheme ``Kerberos``."""
MOST_PADDING = 16
"""Bytes that a cipher may add to a message; Kerberos with RC4 adds one to eight."""

_BOUNDARY = b"--Encrypted Boundary\r\n"
_END = b"--Encrypted Boundary--"
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


def content_type(protocol: bytes) -> bytes:
    """Return the content type of a request whose body is sealed."""
    return b'multipart/encrypted;protocol="' + protocol + b'";boundary="Encrypted Boundary"'


def is_sealed(declared: str, protocol: bytes) -> bool:
    """Return whether the content type *declared* by an answer is that of a sealed message of *protocol*.

    The protocol has to stand there in quotes.
    """
    media, _, parameters = declared.partition(";")
    return (
        media.strip().lower() == "multipart/encrypted"
        and f'protocol="{protocol.decode()}"'.lower() in parameters.lower()
    )


def pack(protocol: bytes, length: int, signature: bytes, sealed: bytes) -> bytes:
    """Return the body of a request with one sealed message; *length* is the message's own, padding included."""
    return b"".join(
        (
            _BOUNDARY + b"\tContent-Type: " + protocol,
            b"\r\n\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n" % length,
            _BOUNDARY + b"\tContent-Type: application/octet-stream\r\n",
            struct.pack("<I", len(signature)),
            signature,
            sealed,
            _END + b"\r\n",
        )
    )


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
