"""``multipart/encrypted``: the framing of sealed messages (MS-WSMV 2.2.9.1).

Only the framing: the security context that is passed in does the sealing.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import Protocol

BOUNDARY = b"Encrypted Boundary"
SPNEGO = "application/HTTP-SPNEGO-session-encrypted"
"""Sealed with what ``Negotiate`` has agreed on, be it NTLM or Kerberos."""
KERBEROS = "application/HTTP-Kerberos-session-encrypted"
"""Sealed with what the scheme ``Kerberos`` has agreed on."""
CREDSSP = "application/HTTP-CredSSP-session-encrypted"
"""Sealed in the TLS connection of the scheme ``CredSSP``, in pieces of no more than `PIECE` bytes."""
PIECE = 16384


_ONE, _MANY = "multipart/encrypted", "multipart/x-multi-encrypted"


@lru_cache(maxsize=256)
def content_type_of(protocol: str, *, pieces: int = 1) -> str:
    """Return the content type of a sealed body."""
    return f'{_ONE if pieces == 1 else _MANY};protocol="{protocol}";boundary="Encrypted Boundary"'


CONTENT_TYPE = content_type_of(SPNEGO)
_PROTOCOL = re.compile(r';\s*protocol="([^"]*)"', re.IGNORECASE)

_HEAD = re.compile(
    rb"--[ ]?Encrypted Boundary\r\n"
    rb"[ \t]*Content-Type:[ ]*(?P<protocol>[^\r\n;]+)\r\n"
    rb"[ \t]*OriginalContent:[ ]*type=(?P<type>[^\r\n]*?);Length=(?P<length>[0-9]{1,9})\r\n"
    rb"--[ ]?Encrypted Boundary\r\n"
    rb"[ \t]*Content-Type:[ ]*application/octet-stream\r\n",
    re.IGNORECASE,
)
_STREAM, _USUAL_HEAD = b"application/octet-stream\r\n", 512
"""How a head ends, and within how many bytes it usually does."""
_END = b"--Encrypted Boundary--\r\n"
_APPLICATION_DATA = b"\x17"
"""How a TLS record begins (RFC 5246 section 6.2.1)."""
_TAIL = re.compile(rb"--[ ]?Encrypted Boundary--(\r\n)?$")


class Wrapped(Protocol):
    """A message that a security context has sealed."""

    @property
    def header(self) -> bytes:
        """What goes before the data."""

    @property
    def data(self) -> bytes:
        """The sealed data."""


class Seals(Protocol):
    """A security context that seals. It counts the sequence numbers of each direction."""

    def wrap_winrm(self, data: bytes) -> Wrapped:
        """Seal *data*."""


class SecurityContext(Seals, Protocol):
    """A security context that seals and opens. The methods are called as pyspnego's, which is one."""

    padding: int
    """By how many bytes at most the sealed data are longer than the message."""

    def unwrap_winrm(self, header: bytes, data: bytes) -> bytes:
        """Open *data*.

        Raises:
            SealBroken: the signature or the sequence number is wrong.
        """


class SealBroken(Exception):
    """The body is not framed as specified."""


def is_sealed(content_type: str) -> bool:
    """Return whether *content_type* announces a sealed body."""
    return content_type.lower().startswith((_ONE, _MANY))


@lru_cache(maxsize=256)
def protocol_of(content_type: str) -> str:
    """Return what the content type of a sealed body says it is sealed for; empty: nothing."""
    found = _PROTOCOL.search(content_type)
    return found[1] if found else ""


def split(body: bytes, protocol: str = SPNEGO, padding: int = 0) -> tuple[str, int, bytes, bytes]:
    """Cut a sealed body into (original content type, stated length, signature, sealed data).

    The sealed data may be longer than the stated length by *padding* bytes: some clients count the cipher's padding,
    others do not. Inside of the body the name of SPNEGO is right for every *protocol* (MS-WSMV 2.2.9.1.2.2.1).

    Raises:
        SealBroken: the body is not framed as in MS-WSMV 2.2.9.1.
    """
    at = body.find(_STREAM, 0, _USUAL_HEAD)
    head = body[: at + len(_STREAM)] if at >= 0 else _unusual_head(body)
    sealed_for, content_type, length = _read_head(head) if at >= 0 else _read_head.__wrapped__(head)
    start = len(head)
    if sealed_for not in (SPNEGO.lower(), protocol.lower()):
        raise SealBroken("the encrypted body has no valid MIME head")
    if len(body) < start + 4:
        raise SealBroken("the encrypted body ends before the signature")
    (signature_length,) = struct.unpack_from("<I", body, start)
    data_start = start + 4 + signature_length
    stated_end = data_start + length
    ends = (end for end in range(stated_end, stated_end + padding + 1) if _TAIL.fullmatch(body, end))
    data_end = next(ends, None)
    if signature_length > 256 or data_end is None:
        raise SealBroken("the encrypted body does not end where its length says")
    return content_type, length, body[start + 4 : data_start], body[data_start:data_end]


def _unusual_head(body: bytes) -> bytes:
    """Return the head of a sealed body that is long, or in other letters; empty if the body has no head."""
    found = _HEAD.match(body)
    return found[0] if found else b""


@lru_cache(maxsize=4096)
def _read_head(head: bytes) -> tuple[str, str, int]:
    """Return what the head of a sealed body says: sealed for what, original content type, length; else empty."""
    found = _HEAD.fullmatch(head)
    if found is None:
        return "", "", 0
    return found["protocol"].decode("latin-1").lower(), found["type"].decode("latin-1"), int(found["length"])


def frame(signature: bytes, sealed: bytes, length: int, content_type: str, protocol: str = SPNEGO) -> bytes:
    """Put a sealed message into its MIME frame; *length* is that of the plaintext."""
    head = (
        f"--Encrypted Boundary\r\n\tContent-Type: {protocol}\r\n"
        f"\tOriginalContent: type={content_type};Length={length}\r\n"
        "--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
    )
    return b"".join(
        (
            head.encode("latin-1"),
            struct.pack("<I", len(signature)),
            signature,
            sealed,
            _END,
        )
    )


def seal(context: Seals, message: bytes, content_type: str, protocol: str = SPNEGO) -> bytes:
    """Return *message* sealed and framed."""
    wrapped = context.wrap_winrm(message)
    return frame(wrapped.header, wrapped.data, len(message), content_type, protocol)


def seal_answer(context: Seals, message: bytes, content_type: str, protocol: str) -> tuple[str, bytes]:
    """Return content type and body of an answer with *message*."""
    if protocol != CREDSSP:
        return content_type_of(protocol), seal(context, message, content_type, protocol)
    pieces = [message[at : at + PIECE] for at in range(0, len(message), PIECE)] or [b""]
    sealed = [seal(context, piece, content_type, protocol).removesuffix(_END) for piece in pieces]
    return content_type_of(protocol, pieces=len(pieces)), b"".join(sealed) + _END


def unseal(context: SecurityContext, header: str, body: bytes, protocol: str = SPNEGO) -> tuple[str, bytes]:
    """Return the original content type and the message of a sealed body; *header* is the body's own content type.

    Raises:
        SealBroken: it is not framed as specified, or not sealed with these keys.
    """
    if protocol_of(header).lower() != protocol.lower():
        raise SealBroken("the body is sealed for another authentication than that of the connection")
    if protocol == CREDSSP:
        return _unseal_pieces(context, header, body)
    content_type, length, signature, data = split(body, protocol, context.padding)
    message = context.unwrap_winrm(signature, data)
    if length not in (len(message), len(data)):
        raise SealBroken(f"the body says {length} bytes, and {len(message)} were in it")
    return content_type, message


def _unseal_pieces(context: SecurityContext, header: str, body: bytes) -> tuple[str, bytes]:
    """Return the original content type and the message of a body in pieces (MS-WSMV 2.2.9.1.3)."""
    content_type, pieces, at = "", [], 0
    while not _TAIL.fullmatch(body, at):
        head = _HEAD.match(body, at)
        if head is None or head["protocol"].decode("latin-1").lower() != CREDSSP.lower():
            raise SealBroken("a piece of the encrypted body has no valid MIME head")
        start = head.end() + 4  # behind the length of the trailer, which TLS says by itself
        at = start
        while body[at : at + 1] == _APPLICATION_DATA:
            at += 5 + int.from_bytes(body[at + 3 : at + 5], "big")
        piece = context.unwrap_winrm(b"", body[start:at])
        if len(piece) != int(head["length"]) or len(piece) > PIECE:
            raise SealBroken("a piece of the encrypted body has not the length that it says")
        content_type = head["type"].decode("latin-1")
        pieces.append(piece)
    if header.lower().startswith(_MANY) != (len(pieces) > 1):
        raise SealBroken("the content type does not say how many pieces there are")
    return content_type, b"".join(pieces)
