"""The handshakes of the lean connection: NTLM, Kerberos and CredSSP, each with its checks and its errors.

A handshake makes tokens and reads those of the PC; the connection carries them. It ends well only if everything is
agreed on that `provmode.transport.ntlm_checks` (NTLM), `REQUIRED_OF_KERBEROS` or `provmode.transport.credssp` asks for.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Protocol

from spnego.exceptions import BadBindingsError, InvalidTokenError, NativeError, SpnegoError

from provmode.errors import HostError
from provmode.transport.challenge import computer_in
from provmode.transport.credssp import OLDEST, KerberosInside, LogonInside, NotProved, NtlmInside, Tunnel, words_of
from provmode.transport.failures import Failures
from provmode.transport.ntlm_checks import Handshake as NtlmChecks
from provmode.transport.ntlm_checks import weak
from provmode.transport.security import PROOF, SecurityContext, ntlm, ntlm_lacks
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
        self.context = _with_password(self._target, self._failures, binding)
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
        self._service = _service(target)

    def begin(self, binding: bytes) -> bytes:
        """Return the ticket for the PC, with the proof that we own it."""
        self.context = _with_ticket(self._target, self._failures, self._service, binding)
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
        raise self._failures.ticket_refused(code, text, self._service)

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


class CredSspLogon:
    """CredSSP: TLS, a logon by NTLM or Kerberos inside of it, the proof of TLS' key, and the password at last."""

    context: SecurityContext
    _inside: LogonInside

    def __init__(self, target: Target, failures: Failures) -> None:
        self._target, self._failures = target, failures
        self._answers = 0
        self.computer: ComputerName | None = None

    def begin(self, binding: bytes) -> bytes:
        """Return TLS' greeting. *binding* is not needed: the logon inside is bound to the TLS inside."""
        credentials, failures = self._target.credentials, self._failures
        if credentials.credssp_mechanism == "kerberos":
            service = _service(self._target)
            context = _with_ticket(self._target, failures, service, b"")
            self._inside = KerberosInside(context, failures, service)
        else:
            self._inside = NtlmInside(_with_password(self._target, failures, b""), failures)
        self._tunnel = Tunnel(credentials.user, credentials.password, self._inside)
        self.context = SecurityContext(self._tunnel)
        return self.context.step(None)

    def sending(self, authorization: str) -> None:
        """Nothing is to be seen in TLS: the logon inside looks at its own tokens."""

    def received(self, authorization: str, offers: str) -> None:
        """The same."""

    def next(self, token: bytes | None) -> bytes:
        """Take the PC's token; TLS 1.3 has an answer without one, before the logon begins."""
        self._answers += 1
        if token is None and (self._inside.begun or self._answers == 1):
            raise self._inside.refused("")
        try:
            made = self.context.step(token or b"")
        except (SpnegoError, ssl.SSLError, NotProved) as error:
            raise self._meaning(error) from None
        self.computer = self._inside.computer
        if not made:
            raise self._inside.refused("")
        return made

    def finish(self, token: bytes | None) -> None:
        """Require that everything was proved: a PC has no reason to accept us before that."""
        if not self.context.complete:
            raise self._failures.no_authentication()

    def _meaning(self, error: Exception) -> HostError:
        """Return what an error of pyspnego or OpenSSL means."""
        if isinstance(error, SpnegoError) and isinstance(error.base_error, NativeError):
            return self._inside.refused(words_of(error.nt_status))  # the PC's own words: the errorCode of a TSRequest
        broken = error if isinstance(error, ssl.SSLError) else error.__cause__
        if isinstance(broken, ssl.SSLError):
            return self._failures.credssp_tls(str(broken.reason or "no reason given"))
        version = self._tunnel.version
        if version is not None and version < OLDEST:
            return self._failures.credssp_too_old(version)
        if isinstance(error, (NotProved, BadBindingsError)) or (
            isinstance(error, InvalidTokenError) and version is not None
        ):
            return weak(self._failures.where, ["the proof that the TLS inside ends at the PC"], "CredSSP")
        return self._failures.not_winrm("authentication", type(error).__name__)


def _host(target: Target) -> str:
    """Return the name that the PC is connected by, without the zone of an IPv6 address."""
    return target.endpoint.address.partition("%")[0]


def _service(target: Target) -> str:
    """Return the PC's service principal, without its realm."""
    return f"HTTP/{target.credentials.kerberos_host or _host(target)}"


def _with_password(target: Target, failures: Failures, binding: bytes) -> SecurityContext:
    """Return a context for NTLM.

    Raises:
        LogonNotSent: this computer cannot speak it.
    """
    lacks = ntlm_lacks()
    if lacks:
        raise failures.no_ntlm_here(lacks)
    return ntlm(target.credentials, _host(target), binding)


def _with_ticket(target: Target, failures: Failures, service: str, binding: bytes) -> SecurityContext:
    """Return a context with a ticket for *service*, its first token made.

    Raises:
        LogonNotSent: no ticket could be got.
    """
    from provmode.transport.tickets import PROCESS, KerberosFailed, source_of

    host = service.partition("/")[2]
    try:
        return PROCESS.context(target.credentials, host, binding, target.deadlines.connect)
    except KerberosFailed as failed:
        account = source_of(target.credentials).principal
        raise failures.no_ticket_got(failed.code, failed.text, account=account, service=service) from None


LOGONS: dict[str, Callable[[Target, Failures], Logon]] = {
    "ntlm": NtlmLogon,
    "kerberos": KerberosLogon,
    "credssp": CredSspLogon,
}
"""The handshake of each authentication that the lean connection speaks."""
