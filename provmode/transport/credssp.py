"""CredSSP (MS-CSSP): a logon inside of TLS inside of HTTP, at whose end the PC is given the password.

pyspnego speaks the protocol. Left alone it hands the password over whatever the logon inside has agreed on, and to any
version of the protocol. Here it is handed over only if

* TLS is no older than 1.2
* the logon inside has agreed on what `provmode.transport.ntlm_checks` asks of NTLM, or `REQUIRED_OF_KERBEROS` of
  Kerberos; NTLM's response is not even made if the PC's challenge lacks something
* the PC speaks version 5 of CredSSP or later: with older ones somebody in between can use the logon (CVE-2018-0886)
* the PC has proved, with the keys of that logon, that the key of the TLS is its own (``pubKeyAuth``). Whoever ends TLS
  in between cannot, so its certificate needs no CA

The tokens inside are NTLM's or Kerberos' own, without SPNEGO around them (MS-CSSP 2.2.1.1): there is nothing to
negotiate, and the logon inside has ended on both sides before anything is sealed by it.
"""

from __future__ import annotations

import functools
import ssl
from typing import NamedTuple

import spnego
import spnego.tls
from spnego._context import UnwrapResult
from spnego._credssp import CredSSPProxy

from provmode.errors import HostError
from provmode.transport.challenge import computer_in
from provmode.transport.failures import Failures
from provmode.transport.ntlm_checks import Handshake as NtlmChecks
from provmode.transport.ntlm_checks import weak
from provmode.transport.sealed_body import SealError
from provmode.transport.security import PROOF, SecurityContext
from provmode.windows.names import ComputerName

SERVICE = "HTTP"
OLDEST = 5
"""The first version of CredSSP in which what the two sides prove cannot be used by somebody in between."""
READ_AT_ONCE = 65536
_SAID = {
    0xC0000072: "the account is disabled",
    0xC0000071: "the password has expired",
    0xC0000224: "the password has to be changed",
    0xC0000193: "the account has expired",
    0xC0000234: "the account is locked",
    0xC000006E: "the account is restricted",
    0xC000006F: "these are not its logon hours",
    0xC0000070: "it may not log on to this PC",
    0xC000015B: "it may not log on over the network",
    0xC000006D: "",
    0x8009030C: "",
    0xC0000064: "",
    0xC000006A: "",
}
"""What a PC says about an account that it refuses (MS-ERREF 2.3.1); empty: wrong user or password."""
_KRB_ERROR = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x03\x00"
"""Kerberos' object identifier and the mark of an error, at the beginning of its token (RFC 4121 section 4.1)."""


def words_of(status: int) -> str:
    """Return what an NTSTATUS of the PC means."""
    return _SAID.get(status & 0xFFFFFFFF, f"status 0x{status & 0xFFFFFFFF:08X}")


class NotProved(Exception):
    """What the PC has sealed with the keys of the logon cannot be opened, or was not sealed."""


class Sealed(NamedTuple):
    """Bytes, as pyspnego asks for them."""

    data: bytes


class LogonInside:
    """The logon inside of CredSSP, called as pyspnego calls its own. It seals nothing before it is whole."""

    computer: ComputerName | None = None
    """What the PC calls itself, if the logon tells."""
    begun = False

    def __init__(self, context: SecurityContext, failures: Failures) -> None:
        self._context, self._failures = context, failures

    @property
    def complete(self) -> bool:
        """Whether the logon has ended on our side."""
        return self._context.complete

    def refused(self, why: str) -> HostError:
        """Return the error for a PC that ends the handshake; *why* is what it said of it, or nothing."""
        raise NotImplementedError

    def step(self, token: bytes | None = None) -> bytes:
        """Take the PC's token, ``None`` to begin, and return the next one.

        Raises:
            HostError: the PC's token lacks something that is required, or refuses us.
        """
        raise NotImplementedError

    def require(self) -> None:
        """Raise a `HostError` unless the logon has agreed on everything that is required."""
        raise NotImplementedError

    def wrap(self, data: bytes) -> Sealed:
        """Seal *data*: our proof, and the password at last."""
        self.require()
        return Sealed(self._context.seal_whole(data))

    def unwrap(self, data: bytes) -> Sealed:
        """Open the PC's proof.

        Raises:
            NotProved: *data* does not prove that the PC has the key of its TLS certificate.
        """
        try:
            return Sealed(self._context.open_whole(data))
        except Exception:  # noqa: BLE001 - pyspnego's, gssapi's or our own: each means that the keys do not fit
            raise NotProved from None


class NtlmInside(LogonInside):
    """NTLMv2, with the checks of NTLM by itself. It is bound to TLS by what the two sides prove afterwards."""

    def __init__(self, context: SecurityContext, failures: Failures) -> None:
        super().__init__(context, failures)
        self._checks = NtlmChecks(failures.where, tls=False)

    def refused(self, why: str) -> HostError:
        """Return the error: after the AUTHENTICATE it is about the account."""
        if self._checks.sound:
            return self._failures.refused(str(self.computer or ""), why)
        return self._failures.credssp_ended(why)

    def step(self, token: bytes | None = None) -> bytes:
        """Return the NEGOTIATE, or take the CHALLENGE and return the AUTHENTICATE."""
        if token is not None:
            self._checks.receive([token])
            self.computer = computer_in(token)
        made = self._context.step(token)
        self._checks.send(made)
        self.begun = True
        return made

    def require(self) -> None:
        """Require a whole handshake."""
        if not (self._checks.sound and self.complete):
            raise self._failures.no_authentication()


class KerberosInside(LogonInside):
    """Kerberos, which has to end with the PC's proof, signing and sealing."""

    def __init__(self, context: SecurityContext, failures: Failures, service: str) -> None:
        super().__init__(context, failures)
        self._service = service

    def refused(self, why: str) -> HostError:
        """Return the error: after the ticket it is about that; the password was accepted by the domain."""
        if self.begun:
            return self._failures.ticket_refused(0, why, self._service)
        return self._failures.credssp_ended(why)

    def step(self, token: bytes | None = None) -> bytes:
        """Return the ticket, or take the PC's proof, or its error."""
        self.begun = True
        if token is None:
            return self._context.step(None)
        from provmode.transport.tickets import failure_in

        failed = failure_in(lambda: self._context.step(token))
        if failed is not None and _KRB_ERROR in token[:24]:
            raise self._failures.ticket_refused(failed.code, failed.text, self._service)
        self.require()
        return b""

    def require(self) -> None:
        """Require the PC's proof, signing and sealing."""
        missing = self._context.missing() if self.complete else [PROOF]
        if missing:
            raise weak(self._failures.where, missing, "Kerberos")


class Tunnel(CredSSPProxy):
    """pyspnego's CredSSP with our logon inside, our floor for the versions, and reading that comes to an end."""

    def __init__(self, user: str, password: str, inside: LogonInside) -> None:
        super().__init__(
            user,
            password,
            credssp_negotiate_context=inside,
            credssp_tls_context=_tls(),
            credssp_min_protocol=OLDEST,
        )

    @property
    def version(self) -> int | None:
        """The version of CredSSP that was agreed on; ``None`` before that."""
        version: int | None = self.get_extra_info("protocol_version")
        return version

    def unwrap(self, data: bytes) -> UnwrapResult:
        """Open TLS records. A PC that ends TLS is an error; pyspnego would read on for ever."""
        self._in_buff.write(data)
        opened: list[bytes] = []
        while True:
            try:
                piece = self._tls_object.read(READ_AT_ONCE)
            except ssl.SSLWantReadError:
                return UnwrapResult(b"".join(opened), encrypted=True, qop=0)
            if not piece:
                raise SealError("the PC has ended TLS")
            opened.append(piece)


@functools.cache
def _tls() -> spnego.tls.CredSSPTLSContext:
    """Return the TLS of CredSSP. It believes every certificate: who has its key is proved inside.

    The PC may not begin TLS anew, with another certificate than the one that was proved.
    """
    made = spnego.tls.default_tls_context("initiate")
    made.context.minimum_version = ssl.TLSVersion.TLSv1_2
    made.context.options |= ssl.OP_NO_RENEGOTIATION
    return made
