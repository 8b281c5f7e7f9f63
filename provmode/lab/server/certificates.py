"""The lab's certificate authority, the certificates its listeners present, and those of users.

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
_PRINCIPAL_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
"""``szOID_NT_PRINCIPAL_NAME``."""


@dataclass(frozen=True)
class ServerCertificate:
    """A certificate with its key, ready for a listener."""

    context: ssl.SSLContext
    digest: bytes
    """SHA-256 of the certificate, to which ``tls-server-end-point`` binds (RFC 5929 section 4)."""


class CertificateAuthority:
    """The lab's CA: a new one, or that of `make_authority`; writes ``ca.pem`` for clients into *folder*."""

    def __init__(self, folder: Path, authority: str | None = None) -> None:
        self._folder = folder
        authority = authority or make_authority()
        key = serialization.load_pem_private_key(authority.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(authority.encode())
        self.path = folder / "ca.pem"
        self.path.write_bytes(_pem(self._certificate))

    def issue(self, names: Iterable[str], *, asks: bool = False) -> ServerCertificate:
        """Return a certificate for *names* (host names and addresses), signed by this CA.

        With *asks* its listener asks clients for theirs, takes none, and refuses one that this CA has not signed.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = list(names)
        certificate = _sign(names[0], key.public_key(), "provmode lab CA", self._key, _server_names(names))
        made = _load(certificate, key, self._folder)
        if asks:
            made.context.load_verify_locations(self.path)
            made.context.verify_mode = ssl.CERT_OPTIONAL
        return made

    def issue_to_files(self, names: list[str], certificate: Path, key: Path) -> None:
        """Write a certificate for *names*, signed by this CA, and its key (mode 0600)."""
        made = ec.generate_private_key(ec.SECP256R1())
        signed = _sign(names[0], made.public_key(), "provmode lab CA", self._key, _server_names(names))
        certificate.write_bytes(_pem(signed))
        key.touch(mode=0o600)
        key.write_bytes(_key_pem(made))

    def issue_to_user(self, principal: str, path: Path) -> None:
        """Write a certificate for the user principal name *principal*, and its key, to *path* (mode 0600)."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.OtherName(_PRINCIPAL_NAME, _utf8_string(principal))
        extensions = [x509.SubjectAlternativeName([name]), x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])]
        certificate = _sign(principal, key.public_key(), "provmode lab CA", self._key, extensions)
        path.touch(mode=0o600)
        path.write_bytes(_key_pem(key) + _pem(certificate))

    def self_signed(self, name: str) -> ServerCertificate:
        """Return a self-signed certificate for *name*, which no CA vouches for."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(name, key.public_key(), name, key, _server_names([name]))
        return _load(certificate, key, self._folder)


def make_authority() -> str:
    """Return the key and the certificate of a new CA, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign("provmode lab CA", key.public_key(), "provmode lab CA", key, [], ca=True)
    return (_key_pem(key) + _pem(certificate)).decode("ascii")


def _sign(
    subject: str,
    public: ec.EllipticCurvePublicKey,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    extensions: list[x509.ExtensionType],
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
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


def principal_of(certificate: bytes | None) -> str:
    """Return the user principal name in a client's certificate (DER), by which Windows maps it to an account."""
    if certificate is None:
        return ""
    try:
        found = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return ""
    names = [name.value for name in found.value.get_values_for_type(x509.OtherName) if name.type_id == _PRINCIPAL_NAME]
    return names[0][2:].decode("utf-8", "replace") if names else ""


def _utf8_string(text: str) -> bytes:
    """Return *text*, at most 127 bytes of it, in DER."""
    value = text.encode()
    assert len(value) < 0x80
    return bytes((0x0C, len(value))) + value


def _server_names(names: list[str]) -> list[x509.ExtensionType]:
    """Return the extensions of a server called *names*."""
    alternative = x509.SubjectAlternativeName([_general_name(name) for name in names])
    return [alternative, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])]


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


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return *key* as PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, folder: Path) -> ServerCertificate:
    """Return a server context for *certificate*. The key passes through a file: ``ssl`` loads nothing else."""
    path = folder / f"server-{certificate.serial_number:x}.pem"
    path.touch(mode=0o600)
    try:
        path.write_bytes(_key_pem(key) + _pem(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(path)
    finally:
        path.unlink()
    return ServerCertificate(context, certificate.fingerprint(hashes.SHA256()))
