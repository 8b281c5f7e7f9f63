"""TLS to a domain controller: its certificate is checked, and the logon is bound to it."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import gevent

from provmode.errors import UsageError
from provmode.transport.target import Trust
from provmode.transport.tls import channel_binding, tls_context

_UNKNOWN_CA = (
    "if it is your domain's, give the CA that signed it: ca=FILE (on a CA of Windows: certutil -ca.cert FILE, then "
    "openssl x509 to make it PEM)"
)
_CURES = {
    62: "name the controller as its certificate does, with server=DC",
    9: "set this computer's clock",
    10: "renew it: the certificate of the controller has expired",
}
"""What to do, by OpenSSL's number of what is wrong with a certificate."""


class TlsClosed(Exception):
    """The controller listens on the port and agrees on no TLS."""


def secured(connection: Any, server: str, ca: str, seconds: float) -> tuple[Any, bytes]:
    """Return *connection* with TLS over it, and the channel binding of the certificate.

    *ca* is the PEM file of who signs it; empty: the system's own store says.

    Raises:
        UsageError: the certificate is not trusted, or the file cannot be read.
        TlsClosed: it agrees on no TLS within *seconds*.
    """
    context = tls_context(Trust(ca=Path(os.path.expanduser(ca)) if ca else None))
    connection.settimeout(seconds)
    try:
        with gevent.Timeout(seconds + 1, TimeoutError):
            over_tls = context.wrap_socket(connection, server_hostname=server)
    except ssl.SSLCertVerificationError as error:
        raise UsageError(
            f"the certificate of the domain controller {server} is not trusted: {error.verify_message}",
            next_step=_CURES.get(error.verify_code, _UNKNOWN_CA),
        ) from None
    except OSError:  # OpenSSL's own errors too
        raise TlsClosed from None
    return over_tls, channel_binding(over_tls.getpeercert(binary_form=True) or b"")
