"""TLS contexts: one for each kind of trust, shared by all hosts with the same trust.

A context with a CA bundle costs about 0.4 MB, so a fleet cannot have one for each PC.
"""

from __future__ import annotations

import functools
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path

import certifi

from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.transport.target import Trust


@functools.lru_cache(maxsize=64)
def tls_context(trust: Trust, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Return the TLS context for *trust*: the same object for all hosts with the same trust.

    The system's store is read from OpenSSL's compiled-in paths. OpenSSL's environment variables (``SSL_CERT_FILE``)
    are ignored, so that nobody can widen the trust of a fleet run by setting them.

    Raises:
        UsageError: a file is missing or is not PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not trust.validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust.ca is not None:
        _load(lambda: context.load_verify_locations(cafile=str(trust.ca)), trust.ca, "CA bundle")
    else:
        _load_system_store(context)
    if certificate is not None:
        _load_client_certificate(context, certificate, key)
    return context


def channel_binding(certificate: bytes) -> bytes:
    """Return the channel binding ``tls-server-end-point`` for the server's *certificate* in DER (RFC 5929 section 4.1).

    Empty if the certificate's signature has no single hash function, for which the RFC defines none.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.utils import CryptographyDeprecationWarning

    try:
        with warnings.catch_warnings():  # of a serial number that is not positive, as Samba makes them
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return b""
    if algorithm is None:
        return b""
    digest = hashes.Hash(hashes.SHA256() if algorithm.name in ("md5", "sha1") else algorithm)
    digest.update(certificate)
    return b"tls-server-end-point:" + digest.finalize()


def _load(load: Callable[[], None], path: Path, what: str) -> None:
    try:
        load()
    except (OSError, ssl.SSLError) as error:
        no_certificate = isinstance(error, ssl.SSLError) and error.reason == "NO_CERTIFICATE_OR_CRL_FOUND"
        reason = "no certificate is in it" if no_certificate else _reason(error)
        raise UsageError(f"cannot read the {what} {path}: {reason}", next_step="give a readable PEM file") from None


def _reason(error: OSError) -> str:
    return error.strerror if not isinstance(error, ssl.SSLError) and error.strerror else type(error).__name__


def _load_client_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Load a client certificate and its key, which may be in the same file.

    Raises:
        UsageError: says which of the two files is at fault, and how.
    """
    data = _read(certificate, "client certificate")
    key_data = _read(key, "key of the client certificate") if key is not None else data
    if b"-----BEGIN CERTIFICATE" not in data:
        raise UsageError(
            f"cannot read the client certificate {certificate}: no certificate is in it",
            next_step="give a PEM file (openssl x509 and openssl pkcs12 make one)",
        )
    if b"PRIVATE KEY-----" not in key_data:
        raise UsageError(
            f"cannot read the key of the client certificate {key or certificate}: no key is in it",
            next_step="set winrm_certificate_key to the PEM file of the key",
        )
    try:
        context.load_cert_chain(str(certificate), str(key) if key else None, password=_no_password)
    except _KeyEncrypted:
        raise UsageError(
            f"the key of the client certificate {key or certificate} is encrypted",
            next_step="give a key without a passphrase that only you can read (openssl pkey)",
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(
                f"the key {key or certificate} does not belong to the client certificate {certificate}",
                next_step="set winrm_certificate_key to its key",
            ) from None
        raise UsageError(
            f"cannot read the client certificate {certificate} or its key: {error.reason or type(error).__name__}",
            next_step="give readable PEM files",
        ) from None
    _check_usable(certificate, data)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the {what} {path}: {_reason(error)}", next_step="give a readable PEM file"
        ) from None


class _KeyEncrypted(Exception):
    """A key needs a passphrase; OpenSSL itself would ask for it on the terminal."""


def _no_password() -> str:
    raise _KeyEncrypted


def _check_usable(path: Path, data: bytes) -> None:
    """Refuse a client certificate that every PC would refuse: out of its time, or not for this use.

    Raises:
        UsageError: says why.
    """
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(data)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= utc_now() <= ends:
        raise UsageError(
            f"the client certificate {path} is valid from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC",
            next_step="renew it, or set this computer's clock",
        )
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if x509.ObjectIdentifier("1.3.6.1.5.5.7.3.2") not in uses:
        raise UsageError(
            f"the client certificate {path} is not made for client authentication (its extended key usage)",
            next_step="give one that is",
        )


def _load_system_store(context: ssl.SSLContext) -> None:
    paths = ssl.get_default_verify_paths()
    cafile, capath = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    if cafile.is_file() or capath.is_dir():
        context.load_verify_locations(
            cafile=str(cafile) if cafile.is_file() else None, capath=str(capath) if capath.is_dir() else None
        )
    else:  # a Python built without the system's OpenSSL: the bundle that requests uses
        context.load_verify_locations(cafile=certifi.where())
