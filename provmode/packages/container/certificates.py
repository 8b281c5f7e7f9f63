"""Certificates in a signature: what is told of them, and what their keys have signed."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from provmode.packages.container.der import Malformed

if TYPE_CHECKING:
    from cryptography import x509

MAX_CHAIN = 8
CODE_SIGNING, TIME_STAMPING, ANY_USAGE = "1.3.6.1.5.5.7.3.3", "1.3.6.1.5.5.7.3.8", "2.5.29.37.0"
MIN_RSA, MIN_CURVE = 2048, 224

_RSA = {"1.2.840.113549.1.1.1": "", "1.2.840.113549.1.1.4": "md5", "1.2.840.113549.1.1.5": "sha1"}
_RSA |= {"1.2.840.113549.1.1.11": "sha256", "1.2.840.113549.1.1.12": "sha384", "1.2.840.113549.1.1.13": "sha512"}
_ECDSA = {"1.2.840.10045.2.1": "", "1.2.840.10045.4.1": "sha1", "1.2.840.10045.4.3.2": "sha256"}
_ECDSA |= {"1.2.840.10045.4.3.3": "sha384", "1.2.840.10045.4.3.4": "sha512"}


class Unsupported(ValueError):
    """A kind of key or signature that is not read."""


@dataclass(frozen=True)
class Certificate:
    """A certificate. Names are as they stand there, not yet safe to print."""

    subject: str
    issuer: str
    sha1: str
    """Its thumbprint as Windows shows it, in capital hexadecimal digits."""
    sha256: str
    not_before: datetime
    not_after: datetime
    usages: tuple[str, ...] | None
    """Object identifiers of its extended key usage; ``None`` if it has none, and so may be used for anything."""
    weak_key: bool
    by_itself: bool
    """Whether it names itself as its issuer."""
    serial_number: int = field(repr=False)
    issuer_der: bytes = field(repr=False)
    der: bytes = field(repr=False)

    def may(self, usage: str) -> bool:
        """Whether it is made for this use."""
        return self.usages is None or usage in self.usages or ANY_USAGE in self.usages


def _load(der: bytes) -> x509.Certificate:
    from cryptography import x509
    from cryptography.utils import CryptographyDeprecationWarning

    with warnings.catch_warnings():  # of a serial number that is not positive
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return x509.load_der_x509_certificate(der)


def _errors() -> tuple[type[Exception], ...]:
    """Return what `cryptography` raises of certificates and keys that are none."""
    from cryptography import exceptions, x509

    of_keys = (exceptions.InvalidSignature, exceptions.UnsupportedAlgorithm, exceptions.InternalError)
    of_x509 = (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
    return (ValueError, TypeError, OverflowError, *of_keys, *of_x509)


def certificate_of(der: bytes) -> Certificate | None:
    """Return what *der* says; ``None`` if it is no certificate."""
    try:
        loaded = _load(der)
        return Certificate(
            subject=loaded.subject.rfc4514_string(),
            by_itself=loaded.subject == loaded.issuer,
            issuer=loaded.issuer.rfc4514_string(),
            sha1=hashlib.sha1(der, usedforsecurity=False).hexdigest().upper(),
            sha256=hashlib.sha256(der).hexdigest().upper(),
            not_before=loaded.not_valid_before_utc,
            not_after=loaded.not_valid_after_utc,
            usages=_usages(loaded),
            weak_key=_has_weak_key(loaded),
            serial_number=loaded.serial_number,
            issuer_der=loaded.issuer.public_bytes(),
            der=der,
        )
    except _errors():
        return None


def _usages(certificate: x509.Certificate) -> tuple[str, ...] | None:
    """Return what it is made for; nothing if its extensions cannot be read."""
    from cryptography import x509

    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        return tuple(use.dotted_string for use in uses)
    except x509.ExtensionNotFound:
        return None
    except _errors():
        return ()


def _has_weak_key(certificate: x509.Certificate) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        key = certificate.public_key()
    except _errors():
        return False  # it has then signed nothing that is believed
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size < MIN_RSA
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < MIN_CURVE


def has_signed(certificate: Certificate, algorithm: str, digest: str, signature: bytes, data: bytes) -> bool:
    """Whether the key of *certificate* made *signature* over *data*; *algorithm* is an object identifier.

    Raises:
        Unsupported: such keys or signatures are not read.
        Malformed: *algorithm* and *digest* contradict each other.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    wanted = {**_RSA, **_ECDSA}.get(algorithm)
    if wanted is None:
        raise Unsupported(f"signatures of the kind {algorithm} are not read")
    if wanted not in ("", digest):
        raise Malformed("its two digest algorithms differ")
    functions: dict[str, hashes.HashAlgorithm] = {
        **{"md5": hashes.MD5(), "sha1": hashes.SHA1()},  # noqa: S303 - who asks says that they are weak
        **{"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()},
    }
    try:
        key = _load(certificate.der).public_key()
        if isinstance(key, rsa.RSAPublicKey) and algorithm in _RSA:
            key.verify(signature, data, padding.PKCS1v15(), functions[digest])
            return True
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm in _ECDSA:
            key.verify(signature, data, ec.ECDSA(functions[digest]))
            return True
    except InvalidSignature:
        return False
    except _errors():
        raise Unsupported(f"such a key with {digest} is refused by this computer's OpenSSL") from None
    raise Unsupported("the key of its certificate is of another kind than its signature")


def issuers_of(certificate: Certificate, among: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    """Return who issued *certificate*, who issued that one and so on, as far as the keys of those *among* prove it."""
    chain: list[Certificate] = []
    last = certificate
    while len(chain) < MAX_CHAIN:
        found = next((each for each in among if each not in (*chain, certificate) and _issued(each, last)), None)
        if found is None:
            break
        chain.append(found)
        last = found
    return tuple(chain)


def proves_itself(certificate: Certificate) -> bool:
    """Whether *certificate* is signed by its own key."""
    return _issued(certificate, certificate)


def _issued(issuer: Certificate, certificate: Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    try:
        _load(certificate.der).verify_directly_issued_by(_load(issuer.der))
    except _errors():
        return False
    return True
