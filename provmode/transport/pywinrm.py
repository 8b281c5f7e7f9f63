"""One TCP connection to one PC, authenticated once, and sealed if encryption is in force.

pywinrm does authentication and message encryption (NTLM, Kerberos, CredSSP, certificate, Basic). This module adds
what a fleet needs and pywinrm lacks, each point measured on pywinrm 0.5.0:

* A separate deadline for the connection (`provmode.transport.dial`; pywinrm has one number for connection and
  answer).
* **One object, one TCP connection.** When a connection is closed, urllib3 silently opens a second one, and pywinrm
  would seal on it with the keys of the first. Here the second connection is refused: the session discards a broken
  connection and dials again.
* No redirects (pywinrm follows them, with credentials), and nothing from the environment (proxies, CA bundles,
  ``.netrc``, ``LM_COMPAT_LEVEL``): the variables that weaken NTLM are taken out when this module is imported.
* If sealing is in force, a plain-text answer is refused (pywinrm accepts it).
* What an NTLM handshake agrees on is checked before the next message is sent (`provmode.transport.ntlm_checks`), and a
  request for a proxy's account is refused (requests-ntlm begins a handshake).
* Answers have a maximum size and a maximum time as a whole (`provmode.transport.adapter`).
* One TLS context per kind of trust, shared by all hosts (`provmode.transport.tls`).
* Every exception of requests, urllib3, pywinrm, pyspnego and ssl becomes one of `provmode.errors`.

This module does not know SOAP: bytes go in, bytes come out.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import gevent
import requests
import urllib3.exceptions
from winrm.encryption import Encryption
from winrm.exceptions import InvalidCredentialsError, WinRMError
from winrm.transport import Transport as PywinrmTransport

from provmode.errors import (
    AuthenticationFailed,
    CertificateUntrusted,
    DeadlineExceeded,
    HostError,
    ProtocolError,
    UsageError,
)
from provmode.transport import refusals
from provmode.transport.adapter import MAX_ANSWER, AnswerTooLarge, AnswerTooSlow, SocketAdapter, SocketGone
from provmode.transport.base import ConnectionLost, LogonForgotten, LogonNotSent
from provmode.transport.challenge import computer_in
from provmode.transport.dial import dial
from provmode.transport.ntlm_checks import Handshake, ignore_environment
from provmode.transport.target import Counters, Target, Trust, check_credentials
from provmode.transport.tls import tls_context
from provmode.windows.names import ComputerName

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/soap+xml;charset=UTF-8"

ignore_environment()


_END = Encryption.MIME_BOUNDARY + b"--"


def _without_epilogue(content: bytes) -> bytes:
    """Return a sealed answer without the white space after its closing boundary, which pywinrm takes for sealed data.

    Windows sends one line break there, OMI two. Anything else stays, and breaks the seal.
    """
    bare = content.rstrip(b"\r\n\t ")
    return bare + b"\r\n" if bare.endswith(_END) else content


@dataclass(frozen=True)
class _SealedAnswer:
    """What pywinrm reads of a sealed answer."""

    headers: Mapping[str, str]
    content: bytes
    request: requests.PreparedRequest


class _Template:
    """Stand-in for the session that pywinrm's sealing takes: it prepares requests.

    The messages on one connection differ only in their body, so the session prepares the first, and the others are
    copies of it. If the session has cookies, it prepares each message.
    """

    def __init__(self, session: requests.Session) -> None:
        self._session = session
        self._first: requests.PreparedRequest | None = None

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Return *request* as the session would prepare it."""
        if self._session.cookies:
            return self._session.prepare_request(request)
        if self._first is None:
            self._first = self._session.prepare_request(request)
        prepared = self._first.copy()
        prepared.prepare_body(request.data, None)
        return prepared


class _Sealing(PywinrmTransport):
    """pywinrm's transport, changed to authenticate with an empty message through our adapter.

    Only public methods are overridden or called (pywinrm 0.5: ``build_session``, ``setup_encryption``).
    """

    owner: PywinrmConnection
    template: _Template
    """Template of the messages that are sealed."""

    def setup_encryption(self, session: requests.Session) -> None:
        """Prepare *session*, do pywinrm's handshake over it, then take the keys."""
        self.prepare(session)
        self.handshake(session)
        self.encryption = Encryption(session, self.auth_method)
        self.template = _Template(session)

    def prepare(self, session: requests.Session) -> None:
        self.session = session  # set before the handshake, so that a failed handshake closes the connection too
        session.trust_env = False
        session.max_redirects = 0
        session.headers["Accept-Encoding"] = "identity"
        session.headers["User-Agent"] = "provmode"
        session.cert = None  # the client certificate is in the TLS context
        adapter = SocketAdapter(self.owner)
        session.mount("http://", adapter)
        session.mount("https://", adapter)

    def handshake(self, session: requests.Session) -> None:
        """Authenticate the connection with an empty POST, as pywinrm does before it seals."""
        request = session.prepare_request(requests.Request("POST", self.endpoint, data=None))
        response = self.owner.post(session, request)
        self.owner.check_authenticated(response)


class PywinrmConnection:
    """A `provmode.transport.base.Connection` over pywinrm."""

    def __init__(self, target: Target, *, counters: Counters, seconds: Callable[[], float]) -> None:
        check_credentials(target.endpoint, target.credentials)
        self.endpoint, self.credentials, self.deadlines = target.endpoint, target.credentials, target.deadlines
        self.counters = counters
        self.context: ssl.SSLContext | None = None
        self._trust = target.trust
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._transport: _Sealing | None = None
        self._dialled = self._authenticated = False
        self.tls_agreed = False
        self._handshake = Handshake(self._where, tls=target.endpoint.scheme == "https")
        self.opened: list[http.client.HTTPConnection] = []
        self._answer_due = 0.0
        self.alive = False
        self._computer: ComputerName | None = None
        self._received_before = 0

    @property
    def computer(self) -> ComputerName | None:
        """What the PC called itself in its NTLM challenge."""
        return self._computer

    @property
    def sealed(self) -> bool:
        """Whether messages are encrypted inside HTTP (always over plain HTTP, except with Basic)."""
        return self._transport is not None and self._transport.encryption is not None

    def dial(self) -> None:
        """Resolve the name and open the TCP connection. Do nothing the second time, not even after it was closed."""
        if self._dialled:
            return
        with self._timed():
            self._socket = dial(self.endpoint, self.deadlines.connect, seconds=self._seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(self.deadlines.read)
        self.counters.connections += 1
        self._received_before = self.counters.bytes_received
        self._dialled = self.alive = True

    def authenticate(self) -> None:
        """Authenticate the connection; for NTLM and Kerberos this also takes the sealing keys.

        Basic and certificates prove the account in every request: nothing is sent here for them.
        """
        if self._authenticated:
            return
        self.dial()
        if self.endpoint.scheme == "https":
            self.context = tls_context(self._trust, self.credentials.certificate, self.credentials.certificate_key)
        transport = self._transport = self._build()
        with self._timed(), self._translating_errors("authentication"):
            session = transport.build_session()
            if transport.encryption is None:
                transport.prepare(session)
                if self._once_a_connection(transport):
                    transport.handshake(session)
        self._authenticated = True

    def _build(self) -> _Sealing:
        credentials = self.credentials
        over_http = self.endpoint.scheme == "http"
        try:
            transport = _Sealing(
                self.endpoint.url,
                username=credentials.user or None,
                password=credentials.password,
                ca_trust_path="",  # unused: trust is in the TLS context
                cert_pem=str(credentials.certificate) if credentials.certificate else None,
                cert_key_pem=str(credentials.certificate_key) if credentials.certificate_key else None,
                read_timeout_sec=int(self.deadlines.read),
                server_cert_validation="validate",
                kerberos_delegation=credentials.kerberos_delegation,
                kerberos_hostname_override=credentials.kerberos_host,
                auth_method=credentials.authentication,
                service="HTTP",
                message_encryption="always" if over_http and credentials.authentication != "basic" else "auto",
                proxy=None,
            )
        except WinRMError as error:
            raise UsageError(f"cannot authenticate as configured: {error}") from None
        transport.owner = self
        return transport

    def exchange(self, message: bytes) -> tuple[int, bytes]:
        """Send one SOAP message and return the HTTP status and the answer, unsealed."""
        transport = self._transport
        if not self.alive or not self._authenticated or transport is None or transport.session is None:
            raise ConnectionLost(f"the connection to {self._where} is closed", sent=False)
        session = transport.session
        with self._timed(), self._translating_errors("a message"):
            if transport.encryption is not None:
                template = cast("requests.Session", transport.template)
                request = transport.encryption.prepare_encrypted_request(template, self.endpoint.url, message)
            else:
                request = session.prepare_request(
                    requests.Request("POST", self.endpoint.url, data=message, headers={"Content-Type": CONTENT_TYPE})
                )
            if self._once_a_connection(transport):
                # the libraries would answer a 401 with a new handshake on the same connection and send the message
                # again, and pywinrm would go on sealing with the keys of the old one
                request.hooks["response"] = []
            response = self.post(session, request)
            return response.status_code, self._unseal(transport, response)

    def _once_a_connection(self, transport: _Sealing) -> bool:
        """Whether the account is proved once, in the handshake, and not again in each message."""
        return transport.encryption is not None or self.credentials.authentication in ("ntlm", "kerberos")

    def post(self, session: requests.Session, request: requests.PreparedRequest) -> requests.Response:
        """Send *request* and read the whole answer, within the read deadline, following no redirect."""
        self._answer_due = self._seconds() + self.deadlines.read
        with gevent.Timeout(self.deadlines.read + 1, AnswerTooSlow):
            response = session.send(
                request,
                allow_redirects=False,
                timeout=(self.deadlines.connect, self.deadlines.read),
                verify=self._trust.validate,
            )
        if 300 <= response.status_code < 400:
            raise self._redirected(response)
        return response

    def remaining(self) -> float:
        """Return the seconds left for the answer that is being read.

        Raises:
            AnswerTooSlow: there are none.
        """
        left = self._answer_due - self._seconds()
        if left <= 0:
            raise AnswerTooSlow
        return left

    def sending(self, request: requests.PreparedRequest) -> None:
        """Look at a request that is about to be sent.

        Raises:
            ProtocolError: it would end an NTLM handshake that is too weak.
        """
        if self.credentials.authentication == "ntlm":
            self._handshake.sending(request)

    def received(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        """Look at the answer to *request*.

        Raises:
            ProtocolError: it asks for a proxy's account, or for an NTLM handshake that is too weak.
        """
        if response.status_code == 407:
            raise ProtocolError(
                f"{self._where} asked for a proxy's account (HTTP 407), which WinRM never does; nothing more was sent",
                next_step="find out what answers on that port",
            )
        if self.credentials.authentication == "ntlm":
            self._handshake.received(request, response)

    def _redirected(self, response: requests.Response | None) -> ProtocolError:
        status = f"HTTP {response.status_code}" if response is not None else "HTTP 3xx"
        return ProtocolError(
            f"{self._where} answered with a redirect ({status}), which WinRM never does; it was not followed",
            next_step="find out what answers on that port",
        )

    def check_authenticated(self, response: requests.Response) -> None:
        """Raise unless *response* completes the handshake."""
        if response.status_code == 401:
            raise self._refused_account(response)
        if response.status_code >= 400 and response.status_code != 500:
            raise self._unexpected_status(response)
        if self.credentials.authentication == "ntlm" and not self._handshake.sound:
            raise ProtocolError(
                f"{self._where} asked for no authentication, which WinRM never does",
                next_step="find out what answers on that port",
            )
        if self.credentials.authentication == "ntlm":
            names = (_challenged_by(earlier) for earlier in response.history)
            self._computer = next((name for name in names if name is not None), None)

    def _refused_account(self, response: requests.Response) -> AuthenticationFailed:
        offered = response.headers.get("WWW-Authenticate", "")
        schemes = sorted({part.split()[0] for part in offered.split(",") if part.split()})
        user = self.credentials.user or "the client certificate"
        wanted = {
            "ntlm": {"Negotiate", "NTLM"},
            "kerberos": {"Kerberos", "Negotiate"},
            "basic": {"Basic"},
            "credssp": {"CredSSP"},
        }
        usable = wanted.get(self.credentials.authentication)
        if usable and schemes and not usable & set(schemes):
            return LogonNotSent(
                f"{self._where} offers {', '.join(schemes)[:80]}, not {self.credentials.authentication}",
                next_step=refusals.not_offered(self.credentials.authentication),
            )
        if "Authorization" not in response.request.headers and self.credentials.authentication != "certificate":
            kerberos = self.credentials.authentication == "kerberos" and bool(schemes)
            return LogonNotSent(
                f"{self._where} was sent no Kerberos ticket"
                if kerberos
                else f"{self._where} asked for an account and offered no authentication (HTTP 401)",
                next_step=refusals.NO_TICKET if kerberos else refusals.not_offered(self.credentials.authentication),
            )
        names = (_challenged_by(earlier) for earlier in response.history)
        computer = next((str(name) for name in names if name is not None), "")
        return AuthenticationFailed(
            f"{self._where} refused {user} ({self.credentials.authentication})",
            next_step=refusals.account(self.endpoint, self.credentials, computer),
        )

    def _unexpected_status(self, response: requests.Response) -> ProtocolError:
        server = response.headers.get("Server", "")
        meaning, next_step = refusals.status(
            response.status_code, server, response.content, self.endpoint, self.credentials
        )
        return ProtocolError(f"{self._where} answered HTTP {response.status_code}: {meaning}", next_step=next_step)

    def _speaks_tls(self) -> bool:
        """Whether the port answers a TLS greeting, asked on a connection of its own. Sends nothing else."""
        context = tls_context(Trust(validate=False))
        try:
            with dial(self.endpoint, self.deadlines.connect, seconds=self._seconds) as sock:
                self.counters.connections += 1
                sock.settimeout(self.deadlines.connect)
                with context.wrap_socket(sock):
                    return True
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")
        except OSError:  # no connection, or no answer
            return False

    def _without_a_word(self, response: requests.Response) -> ProtocolError:
        readable = self.endpoint.scheme == "http" and self.credentials.authentication == "basic"
        return ProtocolError(
            f"{self._where} answered HTTP {response.status_code} without a word (an empty body)",
            next_step="it probably takes no unencrypted messages (AllowUnencrypted): use https, or winrm_transport ntlm"
            if readable
            else "look at the PC's WinRM event log (Microsoft-Windows-WinRM/Operational)",
        )

    def _unseal(self, transport: _Sealing, response: requests.Response) -> bytes:
        if response.status_code == 401:
            if self._once_a_connection(transport):
                # over plain HTTP anybody can say so, after the PC has done what it was asked
                raise LogonForgotten(
                    f"{self._where} no longer treats the connection as authenticated",
                    sent=transport.encryption is not None,
                )
            raise self._refused_account(response)
        content_type = response.headers.get("Content-Type", "")
        if transport.encryption is None:
            is_message = content_type.partition(";")[0].strip().lower() == "application/soap+xml"
        else:  # with the quotes, by which pywinrm too tells a sealed answer: it returns any other as it is
            is_message = f'protocol="{transport.encryption.protocol_string.decode()}"' in content_type
        # Windows sends faults with 500; others, and proxies, choose the status by the fault (DSP0226 section 13)
        if response.status_code not in (200, 500) and not (response.status_code >= 400 and is_message):
            raise self._unexpected_status(response)
        if not response.content:
            raise self._without_a_word(response)
        if transport.encryption is None:
            return response.content
        if not is_message:
            raise ProtocolError(
                f"{self._where} answered in plain text although encryption is in force; the answer was not read",
                next_step="find out what answers on that port",
            )
        answer = _SealedAnswer(response.headers, _without_epilogue(response.content), response.request)
        return transport.encryption.parse_encrypted_response(cast("requests.Response", answer))

    def take_socket(self) -> socket.socket:
        """Return the dialled socket to urllib3, once.

        Raises:
            OSError: the socket was taken before: the connection is gone.
        """
        taken, self._socket = self._socket, None
        if taken is None:
            raise SocketGone("the connection was closed by the PC")
        return taken

    def close(self) -> None:
        """Close the connection. Never raise; a second call does nothing."""
        self.alive = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._transport is not None:
            self._transport.close_session()
        for connection in self.opened:  # also a connection that a failed handshake did not return to its pool
            connection.close()

    @property
    def _where(self) -> str:
        return f"{self.endpoint.name} ({self.endpoint.address}:{self.endpoint.port})"

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = self._seconds()
        try:
            yield
        finally:
            self.counters.seconds += self._seconds() - started

    @contextmanager
    def _translating_errors(self, what: str) -> Iterator[None]:
        """Translate every exception of the libraries below; after any exception the connection is dead.

        The original exception is dropped (``from None``): pyinfra prints an error's cause instead of its message, and
        the libraries' texts may quote headers.
        """
        try:
            yield
        except HostError:
            self.close()
            raise
        except UsageError:
            self.close()
            raise
        except Exception as error:  # noqa: BLE001 - unknown bytes in other people's parsers can raise anything
            self.close()
            logger.debug("%s: %s failed in %s", self._where, what, type(error).__name__)
            raise self._translated(error, what) from None
        except BaseException:
            self.close()
            raise

    def _is_https_port(self, chain: list[BaseException]) -> bool:
        """Whether the port, to which plain HTTP was spoken, speaks TLS: it says so, or said nothing and is asked."""
        if self.endpoint.scheme != "http":
            return False
        if any(_is_tls_alert(link) for link in chain):
            return True
        return self.counters.bytes_received == self._received_before and self._speaks_tls()

    def _translated(self, error: Exception, what: str) -> HostError:
        chain = list(_causes(error))
        if isinstance(error, requests.TooManyRedirects):
            return self._redirected(response=error.response)
        if any(isinstance(link, SocketGone) for link in chain):
            return ConnectionLost(f"{self._where} closed the connection before {what} was sent", sent=False)
        for link in chain:
            if isinstance(link, ssl.SSLCertVerificationError):
                return CertificateUntrusted(
                    f"the certificate of {self._where} is not trusted: {link.verify_message}",
                    next_step=refusals.certificate(link.verify_code),
                )
        if any(isinstance(link, ssl.SSLError) for link in chain):
            if self.tls_agreed:  # the TLS handshake had succeeded before: the connection broke
                return ConnectionLost(f"TLS with {self._where} broke in the middle of {what}", sent=True)
            return CertificateUntrusted(
                f"TLS with {self._where} failed ({_ssl_reason(chain)})", next_step=refusals.tls(_ssl_reason(chain))
            )
        tls_not_begun = self.endpoint.scheme == "https" and not self.tls_agreed
        if tls_not_begun and any(isinstance(link, (socket.timeout, TimeoutError, AnswerTooSlow)) for link in chain):
            return CertificateUntrusted(
                f"{self._where} did not answer the beginning of TLS within {self.deadlines.read:g} s (read deadline)",
                next_step=f"{refusals.HTTP_PORT}; else the PC is overloaded or asleep",
            )
        if any(isinstance(link, (AnswerTooSlow, socket.timeout, TimeoutError, requests.Timeout)) for link in chain):
            return DeadlineExceeded(
                f"{self._where} did not answer {what} within {self.deadlines.read:g} s (read deadline)",
                next_step="the PC is overloaded or asleep; try again, or raise winrm_read_deadline",
            )
        if isinstance(error, InvalidCredentialsError) or _is_refusal_of_credssp(error):
            not_offered = "available auth method" in str(error)
            return (LogonNotSent if not_offered else AuthenticationFailed)(
                f"{self._where} {'does not offer credssp' if not_offered else 'refused the credentials'}",
                next_step=refusals.not_offered("credssp")
                if not_offered
                else refusals.account(self.endpoint, self.credentials),
            )
        if isinstance(error, PermissionError) and self.credentials.authentication == "ntlm":
            return LogonNotSent(
                f"{self._where} offers Negotiate and ended it at NTLM's first message", next_step=refusals.NTLM_ENDED
            )
        if any(isinstance(link, AnswerTooLarge) for link in chain):
            return ProtocolError(
                f"{self._where} sent an answer of over {MAX_ANSWER // 2**20} MiB",
                next_step="find out what answers on that port",
            )
        if isinstance(error, requests.ConnectionError) or any(
            isinstance(link, (ConnectionError, urllib3.exceptions.HTTPError)) for link in chain
        ):
            if tls_not_begun:
                return CertificateUntrusted(
                    f"{self._where} closed the connection at the beginning of TLS", next_step=refusals.tls("EOF")
                )
            if self._is_https_port(chain):
                return ProtocolError(
                    f"{self._where} was spoken to in plain HTTP and speaks TLS", next_step=refusals.HTTPS_PORT
                )
            return ConnectionLost(f"{self._where} broke off the connection in the middle of {what}", sent=True)
        if isinstance(error, ImportError) or "is not installed" in str(error):
            return ProtocolError(
                f"{self.credentials.authentication} needs a library that is not installed here",
                next_step=f"{sys.executable} -m pip install 'pywinrm[{self.credentials.authentication}]>=0.5,<0.6'",
            )
        return ProtocolError(
            f"{self._where} answered {what} with something that is not WinRM ({type(error).__name__})",
            next_step="find out what answers on that port",
        )


def _is_tls_alert(error: BaseException) -> bool:
    """Return whether *error* is about a TLS alert where an HTTP answer should be (RFC 8446 section 5.1)."""
    return isinstance(error, http.client.BadStatusLine) and str(error.args[0]).startswith("\x15\x03")


def _is_refusal_of_credssp(error: Exception) -> bool:
    """Return whether *error* is how requests-credssp, which may not be installed, says that the logon was refused."""
    kind = type(error)
    return kind.__module__ == "requests_credssp.exceptions" and kind.__name__ in (
        "AuthenticationException",
        "NTStatusException",
    )


def _challenged_by(response: requests.Response) -> ComputerName | None:
    """Return what the PC calls itself in the challenge of *response*, if that has one."""
    for offer in response.headers.get("WWW-Authenticate", "").split(","):
        token = offer.strip().partition(" ")[2].strip()
        try:
            name = computer_in(base64.b64decode(token, validate=True))
        except (ValueError, binascii.Error):
            continue  # not a token: a realm, or a scheme alone
        if name is not None:
            return name
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and every exception that it holds: causes, contexts, urllib3's ``reason`` and arguments."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop()
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]


def _ssl_reason(chain: list[BaseException]) -> str:
    reasons = [link.reason for link in chain if isinstance(link, ssl.SSLError) and getattr(link, "reason", None)]
    return str(reasons[0]) if reasons else "no reason given"
