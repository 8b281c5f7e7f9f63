"""CredSSP (MS-CSSP): TLS inside of HTTP, a logon inside of that, and at last the user's password.

pyspnego is the acceptor. Inside it takes what ``Negotiate`` takes: NTLM and Kerberos, each raw or in SPNEGO (MS-CSSP
2.2.1.1). TLS is no newer than 1.2, because clients do not agree on what the length of a TLS 1.3 trailer is. What the
client delegates is not looked at.
"""

from __future__ import annotations

import ssl
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import spnego
import spnego.tls
from spnego.exceptions import BadMICError, InvalidCredentialError, SpnegoError

from provmode.lab.server.accounts import AccountFile
from provmode.lab.server.kerberos_tokens import Framing, framing_of
from provmode.lab.server.mechanisms import Refused, Ticket
from provmode.lab.server.ntlm import NTLMSSP, PcNames, acceptor
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


TakeTicket = Callable[[bool], Ticket]
"""Begins a Kerberos handshake of the PC, with ``True`` one in SPNEGO."""


class _Bytes(NamedTuple):
    """Bytes, as pyspnego asks for them."""

    data: bytes


class _Ticket:
    """A Kerberos handshake, called as pyspnego calls its own."""

    def __init__(self, mechanism: Ticket) -> None:
        self._mechanism = mechanism

    @property
    def complete(self) -> bool:
        return self._mechanism.complete

    def step(self, token: bytes) -> bytes | None:
        try:
            return self._mechanism.step(token)
        except Refused as error:
            raise InvalidCredentialError(context_msg=str(error)) from error

    def wrap(self, data: bytes) -> _Bytes:
        return _Bytes(self._mechanism.wrap(data))

    def unwrap(self, data: bytes) -> _Bytes:
        try:
            return _Bytes(self._mechanism.unwrap(data))
        except SealBroken as error:
            raise BadMICError(context_msg=str(error)) from error


class _Inside:
    """The logon inside, of the kind that the client's first token has."""

    def __init__(self, accounts: AccountFile, names: PcNames, take_ticket: TakeTicket | None, ntlm: bool) -> None:
        self._accounts, self._names, self._take_ticket, self._ntlm = accounts, names, take_ticket, ntlm
        self._context: Any = None
        self._ticket: Ticket | None = None

    @property
    def user(self) -> str | None:
        """The logon name of who has logged on; ``None``: nobody, or not here."""
        if self._ticket is not None:
            return self._ticket.user
        return self._accounts.logon_name_of(self._context.client_principal or "") if self._context else None

    @property
    def complete(self) -> bool:
        return self._context is not None and bool(self._context.complete)

    @property
    def client_principal(self) -> str | None:
        return self.user

    def step(self, token: bytes) -> bytes | None:
        if self._context is None:
            self._context = self._begun(token)
        return self._context.step(token)  # type: ignore[no-any-return]

    def wrap(self, data: bytes) -> Any:
        return self._context.wrap(data)

    def unwrap(self, data: bytes) -> Any:
        return self._context.unwrap(data)

    def _begun(self, token: bytes) -> Any:
        framing = framing_of(token)
        if framing in (Framing.KERBEROS, Framing.SPNEGO_KERBEROS) and self._take_ticket is not None:
            self._ticket = self._take_ticket(framing is Framing.SPNEGO_KERBEROS)
            return _Ticket(self._ticket)
        if framing is Framing.KERBEROS or not self._ntlm:
            raise InvalidCredentialError(context_msg="the PC takes no such logon")
        return acceptor(self._accounts, self._names, wrapped=not token.startswith(NTLMSSP))


class CredSspMechanism:
    """CredSSP against the accounts of a PC, and its keys if it has any."""

    padding = 0
    delegated = True

    def __init__(
        self, accounts: AccountFile, names: PcNames, take_ticket: TakeTicket | None = None, *, ntlm: bool = True
    ) -> None:
        self._accounts = accounts
        self._inside = _Inside(accounts, names, take_ticket, ntlm)
        self._context = spnego.server(
            protocol="credssp", credssp_negotiate_context=self._inside, credssp_tls_context=tls_context()
        )

    @property
    def complete(self) -> bool:
        """Whether the handshake is over."""
        return self._context.complete

    @property
    def user(self) -> str | None:
        """The logon name; only after the handshake."""
        return self._inside.user

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
