"""``multipart/encrypted``: the framing of sealed messages (MS-WSMV 2.2.9.1).

Only the framing: the security context that is passed in does the sealing.
"""

from __future__ import annotations

import re
import struct
from typing import Protocol

BOUNDARY = b"Encrypted Boundary"
SPNEGO = "application/HTTP-SPNEGO-session-encrypted"
CONTENT_TYPE = f'multipart/encrypted;protocol="{SPNEGO}";boundary="Encrypted Boundary"'

_HEAD = re.compile(
    rb"^--[ ]?Encrypted Boundary\r\n"
    rb"[ \t]*Content-Type:[ ]*(?P<protocol>[^\r\n;]+)\r\n"
    rb"[ \t]*OriginalContent:[ ]*type=(?P<type>[^\r\n]*?);Length=(?P<length>[0-9]{1,9})\r\n"
    rb"--[ ]?Encrypted Boundary\r\n"
    rb"[ \t]*Content-Type:[ ]*application/octet-stream\r\n",
    re.IGNORECASE,
)
_TAIL = re.compile(rb"--[ ]?Encrypted Boundary--(\r\n)?$")


class Wrapped(Protocol):
    """A message that a security context has sealed."""

    header: bytes
    data: bytes


class SecurityContext(Protocol):
    """The part of a pyspnego context that sealing needs. It counts the sequence numbers of each direction."""

    def wrap_winrm(self, data: bytes) -> Wrapped:
        """Seal *data*."""

    def unwrap_winrm(self, header: bytes, data: bytes) -> bytes:
        """Open *data*; raise pyspnego's errors if the signature or sequence number is wrong."""


class SealBroken(Exception):
    """The body is not framed as specified."""


def is_sealed(content_type: str) -> bool:
    """Return whether *content_type* announces a sealed body."""
    return content_type.lower().startswith("multipart/encrypted")


def split(body: bytes) -> tuple[str, int, bytes, bytes]:
    """Cut a sealed body into (original content type, plaintext length, signature, sealed data).

    Raises:
        SealBroken: the body is not framed as in MS-WSMV 2.2.9.1.
    """
    head = _HEAD.match(body)
    if head is None or head["protocol"].decode("latin-1").lower() != SPNEGO.lower():
        raise SealBroken("the encrypted body has no valid MIME head")
    length = int(head["length"])
    start = head.end()
    if len(body) < start + 4:
        raise SealBroken("the encrypted body ends before the signature")
    (signature_length,) = struct.unpack_from("<I", body, start)
    data_start = start + 4 + signature_length
    data_end = data_start + length  # NTLM seals without padding: as many bytes as the plaintext
    if signature_length > 256 or not _TAIL.fullmatch(body, data_end):
        raise SealBroken("the encrypted body does not end where its length says")
    return head["type"].decode("latin-1"), length, body[start + 4 : data_start], body[data_start:data_end]


def frame(signature: bytes, sealed: bytes, length: int, content_type: str) -> bytes:
    """Put a sealed message into its MIME frame; *length* is that of the plaintext."""
    head = (
        f"--Encrypted Boundary\r\n\tContent-Type: {SPNEGO}\r\n"
        f"\tOriginalContent: type={content_type};Length={length}\r\n"
        "--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
    )
    return b"".join(
        (
            head.encode("latin-1"),
            struct.pack("<I", len(signature)),
            signature,
            sealed,
            b"--Encrypted Boundary--\r\n",
        )
    )


def seal(context: SecurityContext, message: bytes, content_type: str) -> bytes:
    """Return *message* sealed and framed."""
    wrapped = context.wrap_winrm(message)
    return frame(wrapped.header, wrapped.data, len(message), content_type)
