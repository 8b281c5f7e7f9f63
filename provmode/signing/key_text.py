"""Keys as they stand in files: PEM (PKCS8, SubjectPublicKeyInfo), or a secret text that is shared.

What looks like a key of a pair is never taken for a shared secret: otherwise everybody who has the public half could
sign with its bytes.
"""

from __future__ import annotations

import base64
import binascii
import re

from provmode.errors import UsageError
from provmode.signing.keys import SPKI, Key, PrivateKey, PublicKey, SharedKey

MINIMUM_KEY = 16
"""The least number of bytes of a shared key."""
MOST_BYTES = 100_000
"""More than any key has."""
PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
"""What stands before the 32 bytes of a private key in its PKCS8 (RFC 8410)."""
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s+(.*?)\s+-----END \1-----", re.DOTALL)
_OURS = "make a pair: provmode key new FILE"


def key_of(data: bytes, name: str) -> Key:
    """Return the key that a file holds; *name* is what to call the file in an error.

    Raises:
        UsageError: it holds none that can be used.
    """
    if len(data) > MOST_BYTES:
        raise UsageError(f"{name} has over {MOST_BYTES:,} bytes: it is no key", next_step=_OURS)
    plain = data.removeprefix(b"\xef\xbb\xbf").strip()
    if b"-----BEGIN" in _without_gaps(data):
        return _of_pem(plain, name)
    line = _decoded(plain)
    if line[:-32] == SPKI:
        return PublicKey(line[-32:])
    if _is_of_a_pair(data):
        raise UsageError(f"{name} is a key of a pair, but not in PEM", next_step=f"give it as PEM, or {_OURS}")
    return shared(plain)


def shared(secret: bytes) -> SharedKey:
    """Return the key that a secret text is.

    Raises:
        UsageError: it is too short, or looks like a key of a pair.
    """
    secret = secret.strip()
    if _is_of_a_pair(secret):
        raise UsageError(
            "a key of a pair is no shared key: whoever has its public half could sign",
            next_step="put it into a file, and give --key-file",
        )
    if len(secret) < MINIMUM_KEY:
        raise UsageError(
            f"the plan key has {len(secret)} bytes, under {MINIMUM_KEY}", next_step="make one: openssl rand -hex 32"
        )
    return SharedKey(secret)


def private_pem(key: PrivateKey) -> str:
    """Return a pair as a file, as ``openssl genpkey -algorithm ed25519`` writes it."""
    return _pem("PRIVATE KEY", PKCS8 + key.seed)


def public_pem(key: PublicKey) -> str:
    """Return the public half as a file, as ``openssl pkey -pubout`` writes it."""
    return _pem("PUBLIC KEY", SPKI + key.raw)


def public_line(key: PublicKey) -> str:
    """Return the public half as one line: the middle line of its file, which is taken for a file too."""
    return base64.b64encode(SPKI + key.raw).decode("ascii")


def _pem(label: str, der: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode('ascii')}\n-----END {label}-----\n"


def _of_pem(data: bytes, name: str) -> Key:
    blocks = _BLOCK.findall(data)
    if len(blocks) != 1 or data.count(b"-----BEGIN") != 1:
        raise UsageError(f"{name} is not one key in PEM", next_step=f"give a file with one key; {_OURS}")
    label, body = blocks[0][0].decode("ascii"), blocks[0][1]
    if label == "ENCRYPTED PRIVATE KEY" or b"ENCRYPTED" in body:
        raise UsageError(
            f"{name} is encrypted, and there is nobody to ask for its passphrase at night",
            next_step=f"decrypt it into a file that only you can read: (umask 077; openssl pkey -in {name} -out NEW)",
        )
    der = _decoded(body)
    if label == "PUBLIC KEY" and der[:-32] == SPKI:
        return PublicKey(der[-32:])
    if label == "PRIVATE KEY" and der[: len(PKCS8)] == PKCS8 and len(der) == len(PKCS8) + 32:
        return PrivateKey(der[len(PKCS8) :])
    raise UsageError(f"{name} holds a {label.lower()} that is not of Ed25519 as openssl writes it", next_step=_OURS)


def _decoded(text: bytes) -> bytes:
    """Return what a text in base64 means; nothing if it is none."""
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _without_gaps(data: bytes) -> bytes:
    """Return a text without what UTF-16 puts between its letters."""
    return data.replace(b"\0", b"")


_MARKS = (
    b"-----BEGIN",
    *(head for der in (SPKI, PKCS8) for head in (der, der.hex().encode(), base64.b64encode(der[:12]))),
)
"""By which a key of a pair is known: PEM, and what DER, its hexadecimal digits and base64 begin with."""
_OPENSSH = re.compile(rb"\s*(ssh-[a-z0-9-]+|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+|---- BEGIN SSH2)\s")


def _is_of_a_pair(data: bytes) -> bool:
    text = _without_gaps(data)
    joined = b"".join(text.split())
    found = any(mark in part for mark in _MARKS for part in (data, text, joined, joined.lower()))
    return found or _OPENSSH.match(text) is not None
