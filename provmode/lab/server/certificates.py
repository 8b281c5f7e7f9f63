"""The lab's certificate authority and the certificates its listeners present.

Every lab makes its own. A client trusts the lab by the CA file; the persona with the bad certificate presents a
self-signed one for another name, which that file does not cover.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = dt.timedelta(days=30)


@dataclass(frozen=True)
class ServerCertificate:
    """A certificate with its key, ready for a listener."""

    context: ssl.SSLContext
    digest: bytes
    """SHA-256 of the certificate, to which ``tls-server-end-point`` binds (RFC 5929 section 4)."""


class CertificateAuthority:
    """The lab's CA; writes ``ca.pem`` for clients into *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _sign("provmode lab CA", self._key.public_key(), "provmode lab CA", self._key, [], ca=True)
        self.path = folder / "ca.pem"
        self.path.write_bytes(_pem(self._certificate))

    def issue(self, names: Iterable[str]) -> ServerCertificate:
        """Return a certificate for *names* (host names and addresses), signed by this CA."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = list(names)
        certificate = _sign(names[0], key.public_key(), "provmode lab CA", self._key, names)
        return _load(certificate, key, self._folder)

    def self_signed(self, name: str) -> ServerCertificate:
        """Return a self-signed certificate for *name*, which no CA vouches for."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(name, key.public_key(), name, key, [name])
        return _load(certificate, key, self._folder)


def _sign(
    subject: str,
    public: ec.EllipticCurvePublicKey,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    names: list[str],
    *,
    ca: bool = False,
) -> x509.Certificate:
    """Build and sign one certificate."""
    now = dt.datetime.now(dt.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_common_name(subject))
        .issuer_name(_common_name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(_key_usage(ca=ca), critical=True)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(key, hashes.SHA256())


def _common_name(name: str) -> x509.Name:
    """Return a distinguished name that is only a common name (at most 64 characters, X.520)."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    """Return the key usage: signing certificates, or signing handshakes. OpenSSL's strict mode requires it."""
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    """Return *name* as an IP address if it is one, else as a host name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    """Return *certificate* as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _load(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, folder: Path) -> ServerCertificate:
    """Return a server context for *certificate*. The key passes through a file: ``ssl`` loads nothing else."""
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"server-{certificate.serial_number:x}.pem"
    path.touch(mode=0o600)
    try:
        path.write_bytes(private + _pem(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(path)
    finally:
        path.unlink()
    return ServerCertificate(context, certificate.fingerprint(hashes.SHA256()))
