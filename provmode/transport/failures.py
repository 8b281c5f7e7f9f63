"""The errors about one PC, whichever library spoke to it: each says whose fault it is and what to do next.

`refusals` has the words about what a PC refuses; this module has the errors that need no more than the target.
"""

from __future__ import annotations

from provmode.errors import AuthenticationFailed, CertificateUntrusted, DeadlineExceeded, ProtocolError, SpeaksTls
from provmode.transport import refusals
from provmode.transport.base import ConnectionLost, LogonForgotten, LogonNotSent
from provmode.transport.framing import MAX_ANSWER
from provmode.transport.kerberos_words import about_pc, about_ticket
from provmode.transport.target import Target

WHO_ANSWERS = "find out what answers on that port"
SCHEMES = {
    "ntlm": ("Negotiate", "NTLM"),
    "kerberos": ("Negotiate", "Kerberos"),
    "basic": ("Basic",),
    "credssp": ("CredSSP",),
}
"""The HTTP schemes that an authentication can use, the first one preferred."""


def schemes_in(offers: str) -> list[str]:
    """Return the schemes of a ``WWW-Authenticate`` header, each once."""
    return sorted({part.split()[0] for part in offers.split(",") if part.split()})


class Failures:
    """The errors about one target."""

    def __init__(self, target: Target) -> None:
        self._endpoint, self._credentials = target.endpoint, target.credentials
        self._connect, self._read = target.deadlines.connect, target.deadlines.read
        endpoint = target.endpoint
        self.where = f"{endpoint.name} ({endpoint.address}:{endpoint.port})"

    # -- HTTP -------------------------------------------------------------------------------------------------------

    def redirected(self, status: int | None) -> ProtocolError:
        """It answered with a redirect."""
        shown = f"HTTP {status}" if status is not None else "HTTP 3xx"
        return ProtocolError(
            f"{self.where} answered with a redirect ({shown}), which WinRM never does; it was not followed",
            next_step=WHO_ANSWERS,
        )

    def proxy_account(self) -> ProtocolError:
        """It asked for a proxy's account."""
        return ProtocolError(
            f"{self.where} asked for a proxy's account (HTTP 407), which WinRM never does; nothing more was sent",
            next_step=WHO_ANSWERS,
        )

    def unexpected_status(self, status: int, server: str, body: bytes) -> ProtocolError:
        """It answered with a status that is none of WinRM's; *server* is the header of that name."""
        meaning, next_step = refusals.status(status, server, body, self._endpoint, self._credentials)
        return ProtocolError(f"{self.where} answered HTTP {status}: {meaning}", next_step=next_step)

    def without_a_word(self, status: int) -> ProtocolError:
        """It answered a message with an empty body."""
        readable = self._endpoint.scheme == "http" and self._credentials.authentication == "basic"
        return ProtocolError(
            f"{self.where} answered HTTP {status} without a word (an empty body)",
            next_step="it probably takes no unencrypted messages (AllowUnencrypted): use https, or winrm_transport ntlm"
            if readable
            else "look at the PC's WinRM event log (Microsoft-Windows-WinRM/Operational)",
        )

    def plain_text(self) -> ProtocolError:
        """It answered a sealed message in plain text."""
        return ProtocolError(
            f"{self.where} answered in plain text although encryption is in force; the answer was not read",
            next_step=WHO_ANSWERS,
        )

    def not_winrm(self, what: str, how: str) -> ProtocolError:
        """It answered *what* with something that cannot be read; *how* in a word or two."""
        return ProtocolError(
            f"{self.where} answered {what} with something that is not WinRM ({how})", next_step=WHO_ANSWERS
        )

    def too_large(self) -> ProtocolError:
        """Its answer is too large."""
        return ProtocolError(f"{self.where} sent an answer of over {MAX_ANSWER // 2**20} MiB", next_step=WHO_ANSWERS)

    @staticmethod
    def compressed(encoding: str) -> ProtocolError:
        """Its answer is compressed: a few KB can unpack to gigabytes."""
        return ProtocolError(
            f"the PC sent a compressed answer ({encoding[:20]!r}), which was not asked for; it was not unpacked",
            next_step=WHO_ANSWERS,
        )

    def too_slow(self, what: str) -> DeadlineExceeded:
        """It did not answer *what* in time."""
        return DeadlineExceeded(
            f"{self.where} did not answer {what} within {self._read:g} s (read deadline)",
            next_step="the PC is overloaded or asleep; try again, or raise winrm_read_deadline",
        )

    # -- the connection ---------------------------------------------------------------------------------------------

    def closed(self) -> ConnectionLost:
        """The connection is closed on our side."""
        return ConnectionLost(f"the connection to {self.where} is closed", sent=False)

    def closed_before(self, what: str) -> ConnectionLost:
        """It closed the connection before *what* was sent."""
        return ConnectionLost(f"{self.where} closed the connection before {what} was sent", sent=False)

    def broken_off(self, what: str) -> ConnectionLost:
        """It broke off in the middle of *what*."""
        return ConnectionLost(f"{self.where} broke off the connection in the middle of {what}", sent=True)

    def forgotten(self, *, sent: bool) -> LogonForgotten:
        """It denies the logon that it accepted before.

        Over plain HTTP anybody can say so, after the PC has done what it was asked: then *sent* is true.
        """
        return LogonForgotten(f"{self.where} no longer treats the connection as authenticated", sent=sent)

    def ticket_ended(self, *, sent: bool) -> ConnectionLost:
        """Our ticket ended while the connection was open: a new connection needs a new one."""
        return ConnectionLost(f"the Kerberos ticket for {self.where} ended in the middle of a conversation", sent=sent)

    def speaks_tls(self) -> SpeaksTls:
        """Plain HTTP was sent to a port that speaks TLS."""
        return SpeaksTls(f"{self.where} was spoken to in plain HTTP and speaks TLS", next_step=refusals.HTTPS_PORT)

    # -- TLS --------------------------------------------------------------------------------------------------------

    def untrusted(self, message: str, code: int) -> CertificateUntrusted:
        """Its certificate is not trusted; *message* and *code* are OpenSSL's."""
        return CertificateUntrusted(
            f"the certificate of {self.where} is not trusted: {message}", next_step=refusals.certificate(code)
        )

    def tls_failed(self, reason: str) -> CertificateUntrusted:
        """TLS could not be agreed on; *reason* is OpenSSL's."""
        return CertificateUntrusted(f"TLS with {self.where} failed ({reason})", next_step=refusals.tls(reason))

    def tls_broke(self, what: str) -> ConnectionLost:
        """TLS broke after it had been agreed on."""
        return ConnectionLost(f"TLS with {self.where} broke in the middle of {what}", sent=True)

    def tls_silent(self) -> CertificateUntrusted:
        """It did not answer our greeting."""
        return CertificateUntrusted(
            f"{self.where} did not answer the beginning of TLS within {self._read:g} s (read deadline)",
            next_step=f"{refusals.HTTP_PORT}; else the PC is overloaded or asleep",
        )

    def tls_closed(self) -> CertificateUntrusted:
        """It closed the connection at our greeting."""
        return CertificateUntrusted(
            f"{self.where} closed the connection at the beginning of TLS", next_step=refusals.tls("EOF")
        )

    # -- CredSSP ----------------------------------------------------------------------------------------------------

    def credssp_ended(self, why: str = "") -> LogonNotSent:
        """It offers CredSSP, and ended it before an account was tried; *why* is what it said of it."""
        return LogonNotSent(
            f"{self.where} offers CredSSP and ended it before the logon{why and ': '}{why}",
            next_step="look at the PC's WinRM event log (Microsoft-Windows-WinRM/Operational)",
        )

    def credssp_tls(self, reason: str) -> ProtocolError:
        """TLS inside of CredSSP could not be agreed on, or broke; *reason* is OpenSSL's."""
        return ProtocolError(
            f"TLS inside of CredSSP with {self.where} failed ({reason}); no password was handed over",
            next_step="it takes TLS 1.2 or later: look at the PC's Schannel settings, or somebody stands in between",
        )

    def credssp_too_old(self, version: int) -> ProtocolError:
        """It speaks a version of CredSSP that somebody in between can use."""
        return ProtocolError(
            f"{self.where} speaks CredSSP version {version}, with which somebody in between can take over the logon "
            "(CVE-2018-0886); no password was handed over",
            next_step="install the PC's updates (it lacks those since May 2018), or use winrm_transport kerberos",
        )

    # -- the account ------------------------------------------------------------------------------------------------

    def not_offered(self, schemes: list[str]) -> LogonNotSent:
        """It offers other schemes than the one that is wanted."""
        kind = self._credentials.authentication
        return LogonNotSent(
            f"{self.where} offers {', '.join(schemes)[:80]}, not {kind}", next_step=refusals.not_offered(kind)
        )

    def nothing_offered(self) -> LogonNotSent:
        """It asks for an account and offers no way to give one."""
        return LogonNotSent(
            f"{self.where} asked for an account and offered no authentication (HTTP 401)",
            next_step=refusals.not_offered(self._credentials.authentication),
        )

    def no_ticket(self) -> LogonNotSent:
        """It asks for a Kerberos ticket, and none was sent."""
        return LogonNotSent(f"{self.where} was sent no Kerberos ticket", next_step=refusals.NO_TICKET)

    def ntlm_ended(self) -> LogonNotSent:
        """It offers Negotiate, and answers NTLM's first message with no challenge."""
        return LogonNotSent(
            f"{self.where} offers Negotiate and ended it at NTLM's first message", next_step=refusals.NTLM_ENDED
        )

    def no_ntlm_here(self, what: str) -> LogonNotSent:
        """Say that our own OpenSSL refuses *what* NTLM is made of."""
        return LogonNotSent(
            f"{self.where} was sent no logon: {refusals.without(what)}", next_step=refusals.WITHOUT_NTLM
        )

    def refused(self, computer: str = "", why: str = "") -> AuthenticationFailed:
        """It refused the account after it was tried; *computer* is what it calls itself, *why* what it said of it."""
        user = self._credentials.user or "the client certificate"
        return AuthenticationFailed(
            f"{self.where} refused {user} ({self._credentials.authentication}){why and ': '}{why}",
            next_step=refusals.account(self._endpoint, self._credentials, computer),
        )

    def no_ticket_got(self, code: int, text: str, *, account: str, service: str) -> LogonNotSent:
        """Say why no ticket for it could be got; *code* and *text* are the library's."""
        means = about_ticket(code, text, account=account, service=service, seconds=self._connect)
        return LogonNotSent(f"{self.where}: {means.what}", next_step=means.next_step)

    def ticket_refused(self, code: int, text: str, service: str) -> AuthenticationFailed:
        """It refused the ticket; *code* and *text* are those of its error token, 0 and empty without one."""
        means = about_pc(code, text, service=service)
        return AuthenticationFailed(f"{self.where}: {means.what}", next_step=means.next_step)

    def no_authentication(self) -> ProtocolError:
        """It accepted us without having asked for an account."""
        return ProtocolError(f"{self.where} asked for no authentication, which WinRM never does", next_step=WHO_ANSWERS)

    def status_401(self, offers: str, *, sent: bool, computer: str = "") -> AuthenticationFailed:
        """It answered 401: return what that means by the schemes it *offers* and by whether anything was *sent*."""
        kind, schemes = self._credentials.authentication, schemes_in(offers)
        usable = SCHEMES.get(kind)
        if usable and schemes and not set(usable) & set(schemes):
            return self.not_offered(schemes)
        if not sent and kind != "certificate":
            return self.no_ticket() if kind == "kerberos" and schemes else self.nothing_offered()
        return self.refused(computer)
