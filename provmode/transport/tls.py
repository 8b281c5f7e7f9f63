"""TLS contexts: one for each kind of trust, shared by all hosts with the same trust.

A context with a CA bundle costs about 0.4 MB, so a fleet cannot have one for each PC.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable
from pathlib import Path

import certifi

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
        _load(
            lambda: context.load_cert_chain(str(certificate), str(key) if key else None),
            certificate,
            "client certificate",
        )
    return context


def _load(load: Callable[[], None], path: Path, what: str) -> None:
    try:
        load()
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise UsageError(f"cannot read the {what} {path}: {reason}", next_step="give a readable PEM file") from None


def _load_system_store(context: ssl.SSLContext) -> None:
    paths = ssl.get_default_verify_paths()
    cafile, capath = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    if cafile.is_file() or capath.is_dir():
        context.load_verify_locations(
            cafile=str(cafile) if cafile.is_file() else None, capath=str(capath) if capath.is_dir() else None
        )
    else:  # a Python built without the system's OpenSSL: the bundle that requests uses
        context.load_verify_locations(cafile=certifi.where())
