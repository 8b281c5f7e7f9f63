"""The two handshakes of the lean connection: NTLM and Kerberos, each with its checks and its errors.

A handshake makes tokens and reads those of the PC; the connection carries them. It ends well only if everything is
agreed on that `provmode.transport.ntlm_checks` (NTLM) or `REQUIRED_OF_KERBEROS` asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from provmode.errors import AuthenticationFailed
from provmode.transport.base import LogonNotSent
from provmode.transport.challenge import computer_in
from provmode.transport.failures import Failures
from provmode.transport.kerberos_words import about_pc, about_ticket
from provmode.transport.ntlm_checks import Handshake as NtlmChecks
from provmode.transport.ntlm_checks import weak
from provmode.transport.security import PROOF, SecurityContext, ntlm
from provmode.transport.target import Target
from provmode.windows.names import ComputerName


class Logon(Protocol):
    """One handshake with one PC."""

    computer: ComputerName | None
    """What the PC calls itself, if the handshake tells."""
    context: SecurityContext
    """What seals messages after the handshake."""

    def begin(self, binding: bytes) -> bytes:
        """Return the first token; *binding* is the binding of the TLS channel, empty without TLS.

        Raises:
            LogonNotSent: there is none, because of something on this side.
        """

    def sending(self, authorization: str) -> None:
        """Look at the header of a request that is about to be sent; raise a `HostError` and it is not."""

    def received(self, authorization: str, offers: str) -> None:
        """Look at the ``WWW-Authenticate`` of the answer to it; raise a `HostError` and the handshake ends."""

    def next(self, token: bytes | None) -> bytes:
        """Take the token of a 401, ``None`` if it has none; return the next one to send.

        Raises:
            AuthenticationFailed: the PC refuses the account.
        """

    def finish(self, token: bytes | None) -> None:
        """Take the token of the answer that accepts us, ``None`` if it has none.

        Raises:
            ProtocolError: the handshake has not agreed on what is required.
        """


class NtlmLogon:
    """NTLMv2: three tokens, of which the PC sends the second."""

    context: SecurityContext

    def __init__(self, target: Target, failures: Failures) -> None:
        self._target, self._failures = target, failures
        self._checks = NtlmChecks(failures.where, tls=target.endpoint.scheme == "https")
        self.computer: ComputerName | None = None

    def begin(self, binding: bytes) -> bytes:
        """Return the NEGOTIATE."""
        self.context = ntlm(self._target.credentials, _host(self._target), binding)
        return self.context.step(None)

    def sending(self, authorization: str) -> None:
        """Look at a message about to be sent."""
        self._checks.sending(authorization)

    def received(self, authorization: str, offers: str) -> None:
        """Look at the challenges in an answer."""
        self._checks.received(authorization, offers)

    def next(self, token: bytes | None) -> bytes:
        """Take the CHALLENGE and return the AUTHENTICATE."""
        if self.context.complete:
            raise self._failures.refused(str(self.computer or ""))
        if token is None:
            raise self._failures.ntlm_ended()
        self.computer = computer_in(token)
        return self.context.step(token)

    def finish(self, token: bytes | None) -> None:
        """Require a whole handshake."""
        if not self._checks.sound:
            raise self._failures.no_authentication()


class KerberosLogon:
    """Kerberos: one token, to which the PC answers with its proof that it is the one that was meant."""

    context: SecurityContext
    computer: ComputerName | None = None

    def __init__(self, target: Target, failures: Failures) -> None:
        self._target, self._failures = target, failures
        self._host = target.credentials.kerberos_host or _host(target)

    def begin(self, binding: bytes) -> bytes:
        """Return the ticket for the PC, with the proof that we own it."""
        from provmode.transport.tickets import PROCESS, KerberosFailed, source_of

        credentials, seconds = self._target.credentials, self._target.deadlines.connect
        try:
            self.context = PROCESS.context(credentials, self._host, binding, seconds)
        except KerberosFailed as failed:
            account = source_of(credentials).principal
            means = about_ticket(failed.code, failed.text, account=account, service=self._service, seconds=seconds)
            raise LogonNotSent(f"{self._failures.where}: {means.what}", next_step=means.next_step) from None
        return self.context.step(None)

    def sending(self, authorization: str) -> None:
        """Nothing is to be seen in a ticket."""

    def received(self, authorization: str, offers: str) -> None:
        """Nothing is to be seen before the end."""

    def next(self, token: bytes | None) -> bytes:
        """Read why the PC refuses the ticket: it may say so in an error token."""
        from provmode.transport.tickets import failure_in

        failed = failure_in(lambda: self.context.step(token)) if token else None
        code, text = (failed.code, failed.text) if failed is not None else (0, "")
        means = about_pc(code, text, service=self._service)
        raise AuthenticationFailed(f"{self._failures.where}: {means.what}", next_step=means.next_step)

    def finish(self, token: bytes | None) -> None:
        """Take the PC's proof, and require it, signing and sealing."""
        if token is not None and not self.context.complete:
            self._take(token)
        missing = self.context.missing() if self.context.complete else [PROOF]
        if missing:
            raise weak(self._failures.where, missing, "Kerberos")
        if self._target.credentials.kerberos_delegation and not self.context.delegated:
            from provmode.transport.tickets import PROCESS

            PROCESS.not_delegated(self._target.endpoint.name)

    def _take(self, token: bytes) -> None:
        """Take the PC's proof; one that is wrong is none."""
        from provmode.transport.tickets import failure_in

        failure_in(lambda: self.context.step(token))

    @property
    def _service(self) -> str:
        return f"HTTP/{self._host}"


def _host(target: Target) -> str:
    """Return the name that the PC is connected by, without the zone of an IPv6 address."""
    return target.endpoint.address.partition("%")[0]


LOGONS: dict[str, Callable[[Target, Failures], Logon]] = {"ntlm": NtlmLogon, "kerberos": KerberosLogon}
"""The handshake of each authentication that the lean connection speaks."""
