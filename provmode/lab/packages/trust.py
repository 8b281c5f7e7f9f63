"""Whose packages a lab PC trusts, and whether one is signed and as it was signed.

The trusted certificates are in the registry in the layout of Windows' certificate stores: a key for each, by its SHA-1
thumbprint, with the value ``Blob``. That provisioning keeps them so is read in Windows' binaries, not documented.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from provmode.lab.windows.store import HKLM, Registry, RegType

KEY = "SOFTWARE\\Microsoft\\Provisioning\\TrustedProvisioners\\Certificates"
_SHA1_PROPERTY, _CERTIFICATE_PROPERTY = 3, 32
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")


@dataclass(frozen=True)
class Signed:
    """A signature that a package carries."""

    certificate: x509.Certificate
    intact: bool
    """The package is as it was signed."""

    @property
    def thumbprint(self) -> str:
        """The certificate's SHA-1 in capitals."""
        return thumbprint(self.certificate)


def thumbprint(certificate: x509.Certificate) -> str:
    """Return a certificate's SHA-1 as Windows shows it."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - Windows' name for it


def signature_of(data: bytes) -> Signed | None:
    """Return the signature of a package; ``None``: it has none.

    Raises:
        ValueError: there is something in its place that is no signature.
    """
    if data[:8] != b"MSWIM\0\0\0" or len(data) < 208:
        return None
    size, _, offset = struct.unpack_from("<IIQ", data, 180)
    if not size:
        return None
    if not 208 <= offset <= offset + size <= len(data):
        raise ValueError("the signature is not in the file")
    covered = data[:180] + bytes(8) + data[188:offset]
    try:
        return _check(data[offset : offset + size], covered)
    except (IndexError, StopIteration, TypeError) as error:
        raise ValueError("the signature cannot be read") from error


def _check(block: bytes, covered: bytes) -> Signed:
    kind, wrapped = _parts(_value(block))
    if _value(kind) != _SIGNED_DATA:
        raise ValueError("no signed data")
    parts = _parts(_value(_value(wrapped)))
    content = next(part for part in parts if part[0] == 0x30)
    digest_of = _value(_value(_parts(_value(content))[1]))
    stated = _value(_parts(_value(_parts(digest_of)[1]))[1])
    certificates = [
        x509.load_der_x509_certificate(each) for part in parts if part[0] == 0xA0 for each in _parts(_value(part))
    ]
    signer = _parts(_value(_parts(_value(parts[-1]))[0]))
    serial = int.from_bytes(_value(_parts(_value(signer[1]))[1]), "big", signed=True)
    certificate = next(each for each in certificates if each.serial_number == serial)
    attributes = next(part for part in signer if part[0] == 0xA0)
    signature = _value(next(part for part in signer if part[0] == 0x04))
    digests = [_parts(_value(each)) for each in _parts(_value(attributes))]
    inner = next(_value(_parts(_value(values))[0]) for name, values in digests if _value(name) == _MESSAGE_DIGEST)
    intact = (
        hashlib.sha256(covered).digest() == stated
        and hashlib.sha256(digest_of).digest() == inner
        and _verifies(certificate, signature, b"\x31" + attributes[1:])
    )
    return Signed(certificate, intact)


def _verifies(certificate: x509.Certificate, signature: bytes, signed: bytes) -> bool:
    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _value(part: bytes) -> bytes:
    """Return the contents of a value in DER."""
    start, end = _bounds(part, 0)
    return part[start:end]


def _parts(value: bytes) -> list[bytes]:
    """Return the values in DER that *value* is made of."""
    found, at = [], 0
    while at < len(value):
        _, end = _bounds(value, at)
        found.append(value[at:end])
        at = end
    return found


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    """Return start and end of the contents of the value that begins at *at*."""
    length, start = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[start : start + count], "big"), start + count
        if not 0 < count < 5:
            raise ValueError("a length")
    if start + length > len(data):
        raise ValueError("a value that ends behind the data")
    return start, start + length


# -- the store --------------------------------------------------------------------------------------------------


def blob(certificate: x509.Certificate) -> bytes:
    """Return a certificate as a store keeps it: properties, each with number, 1, length and bytes."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    sha1 = hashlib.sha1(der, usedforsecurity=False).digest()
    rows = ((_SHA1_PROPERTY, sha1), (_CERTIFICATE_PROPERTY, der))
    return b"".join(struct.pack("<III", number, 1, len(data)) + data for number, data in rows)


def trust(registry: Registry, certificate: x509.Certificate) -> str:
    """Put a certificate into the store; return its thumbprint."""
    name = thumbprint(certificate)
    registry.set(HKLM, f"{KEY}\\{name}", "Blob", RegType.BINARY, blob(certificate))
    return name


def distrust(registry: Registry, name: str) -> bool:
    """Take a certificate out of the store; return whether it was there."""
    return registry.delete_key(HKLM, f"{KEY}\\{name.upper()}")


def trusted(registry: Registry) -> dict[str, bytes]:
    """Return the certificates of the store in DER, by thumbprint."""
    found: dict[str, bytes] = {}
    for name in registry.subkeys(HKLM, KEY) or []:
        value = registry.get(HKLM, f"{KEY}\\{name}", "Blob")
        data = bytes(value.data) if value is not None and isinstance(value.data, bytes) else b""
        at = 0
        while at + 12 <= len(data):
            number, _, length = struct.unpack_from("<III", data, at)
            if number == _CERTIFICATE_PROPERTY:
                found[name] = data[at + 12 : at + 12 + length]
            at += 12 + length
    return found
