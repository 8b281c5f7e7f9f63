"""CredSSP (MS-CSSP): TLS inside of HTTP, NTLM inside of that, and at last the user's password.

pyspnego is the acceptor. Inside it takes NTLM, in SPNEGO; TLS is no newer than 1.2, because clients do not agree on
what the length of a TLS 1.3 trailer is. What the client delegates is not looked at.
"""

from __future__ import annotations

import ssl
import struct
import tempfile
from functools import cache
from pathlib import Path

import spnego
import spnego.tls
from spnego.exceptions import SpnegoError

from provmode.lab.server.accounts import AccountFile
from provmode.lab.server.mechanisms import Refused
from provmode.lab.server.ntlm import PcNames, acceptor
from provmode.lab.server.sealing import SealBroken, Wrapped


@cache
def tls_context() -> spnego.tls.CredSSPTLSContext:
    """Return a context with a certificate that no CA vouches for, as Windows makes one for the service.

    The PCs of a process share it: its RSA key takes longer than all else that a PC needs to start.
    """
    made = spnego.tls.default_tls_context("accept")
    made.context.maximum_version = ssl.TLSVersion.TLSv1_2
    certificate, key, made.public_key = spnego.tls.generate_tls_certificate()
    with tempfile.TemporaryDirectory(prefix="provmode-lab-") as folder:
        path = Path(folder) / "credssp.pem"
        path.touch(mode=0o600)
        path.write_bytes(certificate + key)
        made.context.load_cert_chain(path)
    return made


class CredSspMechanism:
    """CredSSP against the accounts of a PC."""

    padding = 0
    delegated = True

    def __init__(self, accounts: AccountFile, names: PcNames) -> None:
        self._accounts = accounts
        with accounts.in_force():
            inner = acceptor(accounts, names, wrapped=True)
        self._context = spnego.server(
            protocol="credssp", credssp_negotiate_context=inner, credssp_tls_context=tls_context()
        )

    @property
    def complete(self) -> bool:
        """Whether the handshake is over."""
        return self._context.complete

    @property
    def user(self) -> str | None:
        """The logon name; only after the handshake."""
        return self._accounts.logon_name_of(self._context.client_principal or "")

    def step(self, token: bytes) -> bytes | None:
        """Take one step. A wrong password is told to clients whose version of the protocol has a field for it."""
        try:
            with self._accounts.in_force():
                reply = self._context.step(token)
        except (SpnegoError, ValueError, struct.error, IndexError, KeyError) as error:
            raise Refused(str(error)) from error
        if self._context.get_extra_info("auth_stage") == "Authentication failure":
            raise Refused("wrong password or unknown user", reply or b"")
        if not reply and not self.complete:
            raise Refused("the handshake has ended without a user")
        return reply

    def wrap_winrm(self, data: bytes) -> Wrapped:
        """Seal *data*, which is one piece of a message: a TLS record, cut behind as many bytes as its trailer has."""
        return self._context.wrap_winrm(data)

    def unwrap_winrm(self, header: bytes, data: bytes) -> bytes:
        """Open a sealed piece."""
        try:
            return self._context.unwrap_winrm(header, data)
        except (SpnegoError, ValueError, struct.error) as error:
            raise SealBroken(str(error)) from error
