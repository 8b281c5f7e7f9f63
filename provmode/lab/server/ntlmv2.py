"""NTLMv2 at the server, straight from MS-NLMP: the challenge, the proof of the password, and sealing.

It is what every client of today speaks, without the cost of a library that is made for all of NTLM. `ntlm` uses it, and
leaves older responses, and sessions without extended session security, to pyspnego.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import NamedTuple

from spnego._ntlm_raw.crypto import RC4Handle

SIGNATURE = b"NTLMSSP\0"
"""How every message begins."""
AUTHENTICATE = SIGNATURE + b"\3\0\0\0"

UNICODE, OEM, REQUEST_TARGET, SIGN, SEAL = 0x1, 0x2, 0x4, 0x10, 0x20
LM_KEY, NTLM, ALWAYS_SIGN = 0x80, 0x200, 0x8000
TARGET_TYPE_DOMAIN, TARGET_TYPE_SERVER = 0x10000, 0x20000
EXTENDED_SESSION_SECURITY, TARGET_INFO, VERSION = 0x80000, 0x800000, 0x2000000
KEY_128, KEY_EXCHANGE, KEY_56 = 0x20000000, 0x40000000, 0x80000000
"""MS-NLMP 2.2.2.5."""

NB_COMPUTER, NB_DOMAIN, DNS_COMPUTER, DNS_DOMAIN, DNS_TREE, FLAGS, TIME, BINDINGS = 1, 2, 3, 4, 5, 6, 7, 10
"""MS-NLMP 2.2.2.1."""
_HAS_MIC = 2
_V1_RESPONSE = 24
"""Bytes of a response of LM or NTLMv1; that of NTLMv2 is longer."""
_EPOCH = 116_444_736_000_000_000
"""1970 in tenths of a microsecond since 1601."""
_BLOB_HEAD = b"\1\1" + bytes(6)
_TO_SERVER, _TO_CLIENT = b"session key to client-to-server ", b"session key to server-to-client "


class NotProved(ValueError):
    """The client has not proved that it knows the password."""


def av_pair(identifier: int, value: bytes) -> bytes:
    """Return an AV pair (MS-NLMP 2.2.2.1)."""
    return struct.pack("<HH", identifier, len(value)) + value


def av_pairs(data: bytes) -> dict[int, bytes]:
    """Return the AV pairs that end where *data* ends, each of them once.

    Raises:
        NotProved: they are malformed.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        identifier, length = struct.unpack_from("<HH", data, at)
        at += 4
        if identifier == 0:
            if length or at != len(data):
                break
            return found
        if identifier in found or at + length > len(data):
            break
        found[identifier] = data[at : at + length]
        at += length
    raise NotProved("malformed AV pairs")


def file_time(nanoseconds: int) -> bytes:
    """Return a time since 1970 as Windows counts it."""
    return struct.pack("<Q", nanoseconds // 100 + _EPOCH)


def challenge_flags(asked: int) -> int:
    """Return the flags of the answer to a client that has *asked* for these; neither Unicode nor OEM: 0."""
    flags = asked | REQUEST_TARGET | NTLM | ALWAYS_SIGN | TARGET_INFO | TARGET_TYPE_DOMAIN
    flags &= ~TARGET_TYPE_SERVER
    if flags & UNICODE:
        flags &= ~OEM
    elif not flags & OEM:
        return 0
    return flags & ~LM_KEY if flags & EXTENDED_SESSION_SECURITY else flags


def challenge_message(flags: int, nonce: bytes, target_name: str, target_info: bytes, version: bytes) -> bytes:
    """Return a CHALLENGE message (MS-NLMP 2.2.1.2); *version* is in it if the flags say so."""
    name = target_name.encode("utf-16-le" if flags & UNICODE else "cp1252")
    version = version if flags & VERSION else b""
    start = 48 + len(version)
    return b"".join(
        (
            SIGNATURE,
            struct.pack("<IHHII", 2, len(name), len(name), start, flags),
            nonce,
            bytes(8),
            struct.pack("<HHI", len(target_info), len(target_info), start + len(name)),
            version,
            name,
            target_info,
        )
    )


@dataclass(frozen=True)
class Response:
    """The part of an AUTHENTICATE message (MS-NLMP 2.2.1.3) that proves a password by NTLMv2."""

    message: bytes
    flags: int
    user: str
    domain: str
    proof: bytes
    blob: bytes
    """The client's challenge, which the proof covers (MS-NLMP 2.2.2.7)."""
    pairs: dict[int, bytes]
    session_key: bytes
    """The key it has chosen, encrypted."""
    mic_at: int
    """Where its integrity code is; 0: there is no room for one."""

    @property
    def has_mic(self) -> bool:
        """Whether the client says that the message has an integrity code."""
        return bool(int.from_bytes(self.pairs.get(FLAGS, b""), "little") & _HAS_MIC)


def read_response(message: bytes) -> Response | None:
    """Read an AUTHENTICATE message; ``None``: it is one of another kind than this module knows.

    Raises:
        NotProved: it is malformed.
        struct.error: it ends early.
    """
    (flags,) = struct.unpack_from("<I", message, 60)
    if not message.startswith(AUTHENTICATE) or not flags & UNICODE:
        return None
    fields, starts = [], []
    for position in (20, 28, 36, 52, 12, 44):
        length, start = struct.unpack_from("<H2xI", message, position)
        if length and start + length > len(message):
            raise NotProved("a field is outside of the message")
        fields.append(message[start : start + length] if length else b"")
        if start:
            starts.append(start)
    response, domain, user, session_key = fields[:4]
    if len(response) <= _V1_RESPONSE or not user:
        return None
    blob = response[16:]
    if len(blob) < 36 or not blob.startswith(_BLOB_HEAD) or blob[24:28] != bytes(4) or blob[-4:] != bytes(4):
        raise NotProved("malformed client challenge")
    pairs = av_pairs(blob[28:-4])
    if len(pairs.get(TIME, bytes(8))) != 8 or len(pairs.get(FLAGS, bytes(4))) != 4:
        raise NotProved("malformed AV pairs")
    payload = min(starts)
    return Response(
        message,
        flags,
        user.decode("utf-16-le"),
        domain.decode("utf-16-le"),
        response[:16],
        blob,
        pairs,
        session_key,
        mic_at=72 if payload >= 88 else 64 if payload >= 80 else 0,
    )


def session_key(response: Response, nt_hash: bytes, nonce: bytes, before: bytes) -> bytes:
    """Return the session's key, if *response* proves the password with *nt_hash* (MS-NLMP 3.3.2 and 3.2.5.1.2).

    *before* are the two messages before it, NEGOTIATE and CHALLENGE, as they were on the wire.

    Raises:
        NotProved: it does not, or its integrity code is wrong.
    """
    name = (response.user.upper() + response.domain).encode("utf-16-le")
    key = hmac.digest(nt_hash, name, "md5")
    if not hmac.compare_digest(hmac.digest(key, nonce + response.blob, "md5"), response.proof):
        raise NotProved("wrong password")
    key = hmac.digest(key, response.proof, "md5")
    if response.flags & KEY_EXCHANGE and response.flags & (SIGN | SEAL):
        key = RC4Handle(key).update(response.session_key)
    if response.has_mic:
        at, message = response.mic_at, response.message
        blank = message[:at] + bytes(16) + message[at + 16 :]
        if not at or not hmac.compare_digest(hmac.digest(key, before + blank, "md5"), message[at : at + 16]):
            raise NotProved("wrong message integrity code")
    return key


def bindings_hash(bindings: bytes) -> bytes:
    """Return what a client puts into its AV pairs of a packed ``gss_channel_bindings_struct`` (MS-NLMP 3.1.5.1.2)."""
    return hashlib.md5(bindings).digest()  # noqa: S324 - NTLM's own


class Sealed(NamedTuple):
    """A sealed message: its signature and its data."""

    header: bytes
    data: bytes


class Sealing:
    """The server's side of a session that signs and seals with extended session security (MS-NLMP 3.4.2 to 3.4.5)."""

    NEEDS = SIGN | SEAL | EXTENDED_SESSION_SECURITY

    def __init__(self, flags: int, key: bytes) -> None:
        weak = key if flags & KEY_128 else key[:7] if flags & KEY_56 else key[:5]
        self._sign_out, self._sign_in = (
            hashlib.md5(key + direction + b"signing key magic constant\0").digest()  # noqa: S324 - NTLM's own
            for direction in (_TO_CLIENT, _TO_SERVER)
        )
        self._out, self._in = (
            RC4Handle(hashlib.md5(weak + direction + b"sealing key magic constant\0").digest())  # noqa: S324
            for direction in (_TO_CLIENT, _TO_SERVER)
        )
        self._exchanged = bool(flags & KEY_EXCHANGE)
        self._sent = self._received = 0

    def wrap(self, data: bytes) -> Sealed:
        """Seal *data*."""
        sealed = self._out.update(data)
        signature = self._signature(self._out, self._sign_out, self._sent, data)
        self._sent += 1
        return Sealed(signature, sealed)

    def unwrap(self, signature: bytes, sealed: bytes) -> bytes:
        """Open *sealed*.

        Raises:
            NotProved: the signature is not that of the next message.
        """
        data = self._in.update(sealed)
        right = self._signature(self._in, self._sign_in, self._received, data)
        self._received += 1
        if not hmac.compare_digest(right, signature):
            raise NotProved("wrong signature")
        return data

    def _signature(self, stream: RC4Handle, key: bytes, number: int, data: bytes) -> bytes:
        """Return the signature of a message; the cipher's stream goes on with it."""
        sequence = struct.pack("<I", number)
        checksum = hmac.digest(key, sequence + data, "md5")[:8]
        return b"\1\0\0\0" + (stream.update(checksum) if self._exchanged else checksum) + sequence
