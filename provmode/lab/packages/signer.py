"""The signature of a package: Authenticode in the image's own place, by a key and certificate of the lab's own.

The digest is SHA-256 over all bytes before the signature, with bytes 180 to 187 of the header (its size and kind) as
zeros.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KIND = 0x00010001
SIP = bytes.fromhex("c553309f9d43f74b8a7704f0450a1d9f")
"""{9F3053C5-439D-4BF7-8A77-04F0450A1D9F}: what Windows has for signatures in images."""
SIGNED_DATA, CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME = (
    "1.2.840.113549.1.7.2",
    *("1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.5"),
)
INDIRECT_DATA, SIP_INFO = "1.3.6.1.4.1.311.2.1.4", "1.3.6.1.4.1.311.2.1.30"
DIGESTS = {
    "sha1": ("1.3.14.3.2.26", hashes.SHA1()),  # noqa: S303 - to be refused
    "sha256": ("2.16.840.1.101.3.4.2.1", hashes.SHA256()),
    "sha384": ("2.16.840.1.101.3.4.2.2", hashes.SHA384()),
}
RSA, ECDSA = "1.2.840.113549.1.1.1", "1.2.840.10045.4.3.2"

_STEP = 1 << 20


@dataclass(frozen=True)
class Signer:
    """Who signs."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def thumbprint(self) -> str:
        """The certificate's SHA-1, as Windows shows it."""
        return self.certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - Windows' name for it


def self_signed(
    name: str = "Lab package signing",
    *,
    elliptic: bool = False,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
    valid_from: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc),
    valid_to: dt.datetime = dt.datetime(2049, 1, 1, tzinfo=dt.timezone.utc),
) -> Signer:
    """Return a new key with a certificate that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1()) if elliptic else rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_to)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Signer(key, certificate)


def signed(data: bytes, signer: Signer, **how: object) -> bytes:
    """Return the package *data* with a signature; *how* is that of `sign`."""
    stream = io.BytesIO(data)
    sign(stream, signer, **how)  # type: ignore[arg-type]
    return stream.getvalue()


def sign(
    stream: BinaryIO,
    signer: Signer,
    *,
    digest: str = "sha256",
    when: dt.datetime | None = None,
    certificates: Sequence[x509.Certificate] | None = None,
    attributes: Sequence[bytes] | None = None,
    more_signers: Sequence[Signer] = (),
    unsigned_attributes: bytes = b"",
) -> None:
    """Sign the package that *stream* holds, where it is.

    What is wrong on purpose can be given: *certificates* others than the signer's, signed *attributes* others than the
    right ones, *more_signers*.
    """
    stream.seek(0, 2)
    end = stream.tell()
    stream.seek(180)
    stream.write(struct.pack("<IIQ", 0, 0, end))
    covered = hashlib.new(digest)
    stream.seek(0)
    while piece := stream.read(_STEP):
        covered.update(piece)
    content = der(0x30, object_id(SIP_INFO), _sip()) + der(0x30, _algorithm(digest), der(0x04, covered.digest()))
    if attributes is None:
        attributes = right_attributes(content, digest, when)
    signers = [signer, *more_signers]
    chain = [each.certificate for each in signers] if certificates is None else certificates
    data = der(
        0x30,
        der(0x02, b"\x01"),
        der(0x31, _algorithm(digest)),
        der(0x30, object_id(INDIRECT_DATA), der(0xA0, der(0x30, content))),
        der(0xA0, *(each.public_bytes(serialization.Encoding.DER) for each in chain)) if chain else b"",
        der(0x31, *(_signer_info(each, digest, attributes, unsigned_attributes) for each in signers)),
    )
    block = der(0x30, object_id(SIGNED_DATA), der(0xA0, data))
    stream.seek(end)
    stream.write(block)
    stream.seek(180)
    stream.write(struct.pack("<IIQ", len(block), KIND, end))


def right_attributes(content: bytes, digest: str, when: dt.datetime | None = None) -> list[bytes]:
    """Return the signed attributes that *content*, the indirect digest without its outer tag, has to have."""
    made = [
        der(0x30, object_id(CONTENT_TYPE), der(0x31, object_id(INDIRECT_DATA))),
        der(0x30, object_id(MESSAGE_DIGEST), der(0x31, der(0x04, hashlib.new(digest, content).digest()))),
    ]
    if when is not None:
        text = when.astimezone(dt.timezone.utc).strftime("%y%m%d%H%M%SZ").encode()
        made.append(der(0x30, object_id(SIGNING_TIME), der(0x31, der(0x17, text))))
    return made


def _signer_info(signer: Signer, digest: str, attributes: Sequence[bytes], unsigned_attributes: bytes) -> bytes:
    certificate, algorithm = signer.certificate, DIGESTS[digest][1]
    serial = certificate.serial_number.to_bytes(certificate.serial_number.bit_length() // 8 + 1, "big")
    signed_part = der(0x31, *attributes)
    if isinstance(signer.key, rsa.RSAPrivateKey):
        kind = der(0x30, object_id(RSA), der(0x05))
        signature = signer.key.sign(signed_part, padding.PKCS1v15(), algorithm)
    else:
        kind = der(0x30, object_id(ECDSA))
        signature = signer.key.sign(signed_part, ec.ECDSA(algorithm))
    return der(
        0x30,
        der(0x02, b"\x01"),
        der(0x30, certificate.issuer.public_bytes(), der(0x02, serial)),
        _algorithm(digest),
        der(0xA0, *attributes),
        kind,
        der(0x04, signature),
        der(0xA1, unsigned_attributes) if unsigned_attributes else b"",
    )


def _sip() -> bytes:
    zero = der(0x02, b"\0")
    return der(0x30, der(0x02, b"\x01\0\0"), der(0x04, SIP), zero, zero, zero, zero, zero)


def _algorithm(digest: str) -> bytes:
    return der(0x30, object_id(DIGESTS[digest][0]), der(0x05))


def der(tag: int, *parts: bytes) -> bytes:
    """Return a value in DER."""
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 128 | len(length)]) + length + body


def object_id(text: str) -> bytes:
    """Return an object identifier in DER."""
    first, second, *rest = map(int, text.split("."))
    made = bytearray([first * 40 + second])
    for number in rest:
        groups = [number & 127]
        while number := number >> 7:
            groups.append(number & 127 | 128)
        made += bytes(reversed(groups))
    return der(0x06, bytes(made))
