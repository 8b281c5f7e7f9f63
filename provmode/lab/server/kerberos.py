"""Kerberos: a PC's keytab takes tickets, raw or in SPNEGO, with MIT's GSS-API (python-gssapi).

MIT's library is the acceptor, of SPNEGO too: it shares no code with clients that make their tokens with pyspnego. Its
own error tokens are not Windows', so a refused ticket is answered with a KRB-ERROR as Windows words it
(``kerberos_tokens``). Only a lab with keytabs imports this module: the library is an extra.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import gssapi
from gssapi.exceptions import BadChannelBindingsError
from gssapi.raw import (
    IOV,
    ChannelBindings,
    IOVBufferType,
    inquire_sec_context_by_oid,
    set_neg_mechs,
    unwrap,
    wrap_iov,
)
from gssapi.raw.misc import GSSError

from provmode.lab.server import kerberos_rc4, kerberos_tokens
from provmode.lab.server.kerberos_tokens import ErrorCode
from provmode.lab.server.mechanisms import ChannelBinding, Refused
from provmode.lab.server.sealing import SealBroken, Wrapped

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clocks of client and server may differ (MS-KILE 3.1.1.2)."""
_KERBEROS = gssapi.MechType.kerberos
_SPNEGO = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
_SESSION_KEY = gssapi.OID.from_int_seq("1.2.840.113554.1.2.2.5.5")
"""``GSS_C_INQ_SSPI_SESSION_KEY``."""
_DELEGATED = 0x1
"""``GSS_C_DELEG_FLAG``."""
_CHANNEL_BOUND = 0x800
"""``GSS_C_CHANNEL_BOUND_FLAG``: the client sent a channel binding, and it was the right one (MIT 1.19)."""
_OTHER_KEY = {31, 35, 44, 45}
"""Bad integrity, not for us, no such version of the key, no key: to Windows, a ticket that was modified."""


class KerberosAcceptor:
    """One PC's keys and clock."""

    def __init__(self, keytab: Path, replay_cache: str, ahead: timedelta = timedelta(0)) -> None:
        """Read *keytab*; *replay_cache* is MIT's name of one, *ahead* how far the PC's clock is ahead of the clients'.

        Raises:
            ValueError: the file is no keytab.
        """
        store = {"keytab": f"FILE:{keytab}", "rcache": replay_cache}
        self.ahead = ahead
        if not keytab.is_file():
            raise ValueError(f"there is no keytab {keytab}")
        try:
            gssapi.Credentials(usage="accept", store=store, mechs=[_KERBEROS])  # SPNEGO is content with NTLM's, if any
            self.credentials = gssapi.Credentials(usage="accept", store=store, mechs=[_KERBEROS, _SPNEGO])
            set_neg_mechs(self.credentials, [_KERBEROS])  # and no NTLM of the system's, if there is a library for it
        except GSSError as error:
            raise ValueError(f"{keytab} cannot be used as a keytab: {error}") from error

    def now(self) -> datetime:
        """Return the time on the PC's clock."""
        return datetime.now(timezone.utc) + self.ahead


@dataclass
class Sealed:
    """A sealed message (RFC 4121 section 4.2.6.2): the token's head, and as many bytes as the message."""

    header: bytes
    data: bytes


class KerberosMechanism:
    """A ticket for one of a PC's services, and the keys that come with it."""

    padding = 1  # of a client that uses MIT's library and RC4; with AES there is none

    def __init__(
        self,
        acceptor: KerberosAcceptor,
        binding: ChannelBinding,
        logon_name_of: Callable[[str, str], str | None],
        *,
        wrapped: bool,
    ) -> None:
        """Begin a handshake, with *wrapped* in SPNEGO.

        *logon_name_of* returns the logon name for a name and its realm, or ``None`` for a user who may not log on.
        """
        self._acceptor = acceptor
        self._binding = binding
        self._logon_name_of = logon_name_of
        self._wrapped = wrapped
        bindings = None if binding.data is None else ChannelBindings(application_data=binding.data)
        self._context = gssapi.SecurityContext(creds=acceptor.credentials, usage="accept", channel_bindings=bindings)
        self._ticket: kerberos_tokens.Ticket | None = None
        self._complete = False

    @property
    def complete(self) -> bool:
        """Whether the handshake is over."""
        return self._complete

    @property
    def user(self) -> str | None:
        """The logon name, if the user may log on; only after the handshake."""
        name, _, realm = str(self._context.initiator_name).rstrip("\0").rpartition("@")
        return self._logon_name_of(name, realm)

    @property
    def delegated(self) -> bool:
        """Whether the client has forwarded a ticket-granting ticket."""
        return bool(int(self._context.actual_flags) & _DELEGATED)

    def step(self, token: bytes) -> bytes | None:
        """Take the client's ticket; the answer is the proof that the PC could read it (mutual authentication)."""
        self._ticket = self._ticket or kerberos_tokens.ticket_of(token)
        try:
            reply: bytes | None = self._context.step(token)
            complete = self._context.complete  # python-gssapi has kept an error until here
        except GSSError as error:
            raise self._refused(str(error), _windows_code(error)) from error
        if complete:
            self._check_clock()
            self._check_binding()
        self._complete = complete
        return reply

    def _check_clock(self) -> None:
        """Refuse a client whose clock is far from the PC's. MIT has only compared it with this machine's."""
        if abs(self._acceptor.ahead) > CLOCK_SKEW:
            raise self._refused("the clocks differ too much", ErrorCode.SKEW)

    def _check_binding(self) -> None:
        """Refuse a client that sent no channel binding, if it has to. MIT has refused a wrong one."""
        if self._binding.required and not int(self._context.actual_flags) & _CHANNEL_BOUND:
            raise Refused("a channel binding token is required")

    def _refused(self, why: str, code: int | None) -> Refused:
        """Return the refusal, with a KRB-ERROR if there is a *code* and something of a ticket was read."""
        if code is None or self._ticket is None:
            return Refused(why)
        now = self._acceptor.now()
        return Refused(why, kerberos_tokens.error_token(code, self._ticket, now, wrapped=self._wrapped))

    def wrap(self, data: bytes) -> bytes:
        """Seal *data* as one message of GSS-API."""
        return bytes(self._context.wrap(data, encrypt=True).message)

    def unwrap(self, data: bytes) -> bytes:
        """Open such a message."""
        return self.unwrap_winrm(b"", data)

    def wrap_winrm(self, data: bytes) -> Wrapped:
        """Seal *data* as Windows does: the token, and as many bytes as there are data."""
        buffers = IOV(IOVBufferType.header, data, IOVBufferType.padding, std_layout=False)
        wrap_iov(self._context, buffers, confidential=True)
        header, sealed, padding = (each.value or b"" for each in buffers)
        if kerberos_rc4.is_rc4(header):
            (key, *_) = inquire_sec_context_by_oid(self._context, _SESSION_KEY)
            return Sealed(*kerberos_rc4.without_padding(header, sealed + padding, len(padding), key))
        return Sealed(header, sealed)

    def unwrap_winrm(self, header: bytes, data: bytes) -> bytes:
        """Open sealed *data*; token and data together are one message of GSS-API."""
        try:
            opened = unwrap(self._context, header + data)
        except GSSError as error:
            raise SealBroken(str(error)) from error
        if not opened.encrypted:
            raise SealBroken("the message is signed and not encrypted")
        return bytes(opened.message)


def _windows_code(error: GSSError) -> int | None:
    """Return the error of Kerberos that Windows sends in place of MIT's; ``None``: it sends none.

    The code stands in MIT's own token; the one in *error* is another where SPNEGO is around it.
    """
    if isinstance(error, BadChannelBindingsError):
        return None
    code = kerberos_tokens.error_code_of(error.token or b"")
    return ErrorCode.MODIFIED if code in _OTHER_KEY else code
