"""One TCP connection to one PC, authenticated once, and sealed if encryption is in force.

pywinrm does authentication and message encryption (NTLM, Kerberos, certificate, Basic; not CredSSP). This module adds
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
    HostError,
    ProtocolError,
    UsageError,
)
from provmode.transport import refusals
from provmode.transport.adapter import AnswerTooLarge, AnswerTooSlow, SocketAdapter, SocketGone
from provmode.transport.challenge import computer_in
from provmode.transport.dial import dial, speaks_tls
from provmode.transport.failures import Failures
from provmode.transport.ntlm_checks import Handshake, ignore_environment
from provmode.transport.target import Counters, Target, check_credentials
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
        self._failures = Failures(target)
        self._handshake = Handshake(self._failures.where, tls=target.endpoint.scheme == "https")
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
        with self.counters.timed(self._seconds):
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
        with self.counters.timed(self._seconds), self._translating_errors("authentication"):
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
            raise self._failures.closed()
        session = transport.session
        with self.counters.timed(self._seconds), self._translating_errors("a message"):
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
            raise self._failures.redirected(response.status_code)
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
            self._handshake.sending(request.headers.get("Authorization"))

    def received(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        """Look at the answer to *request*.

        Raises:
            ProtocolError: it asks for a proxy's account, or for an NTLM handshake that is too weak.
        """
        if response.status_code == 407:
            raise self._failures.proxy_account()
        if self.credentials.authentication == "ntlm":
            self._handshake.received(request.headers.get("Authorization"), response.headers.get("WWW-Authenticate"))

    def check_authenticated(self, response: requests.Response) -> None:
        """Raise unless *response* completes the handshake."""
        if response.status_code == 401:
            raise self._refused_account(response)
        if response.status_code >= 400 and response.status_code != 500:
            raise self._unexpected_status(response)
        if self.credentials.authentication == "ntlm" and not self._handshake.sound:
            raise self._failures.no_authentication()
        if self.credentials.authentication == "ntlm":
            names = (_challenged_by(earlier) for earlier in response.history)
            self._computer = next((name for name in names if name is not None), None)

    def _refused_account(self, response: requests.Response) -> HostError:
        names = (_challenged_by(earlier) for earlier in response.history)
        return self._failures.status_401(
            response.headers.get("WWW-Authenticate", ""),
            sent="Authorization" in response.request.headers,
            computer=next((str(name) for name in names if name is not None), ""),
        )

    def _unexpected_status(self, response: requests.Response) -> ProtocolError:
        return self._failures.unexpected_status(
            response.status_code, response.headers.get("Server", ""), response.content
        )

    def _unseal(self, transport: _Sealing, response: requests.Response) -> bytes:
        if response.status_code == 401:
            if self._once_a_connection(transport):
                raise self._failures.forgotten(sent=transport.encryption is not None)
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
            raise self._failures.without_a_word(response.status_code)
        if transport.encryption is None:
            return response.content
        if not is_message:
            raise self._failures.plain_text()
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
        return self._failures.where

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
        return self.counters.bytes_received == self._received_before and speaks_tls(
            self.endpoint, self.deadlines.connect, counters=self.counters, seconds=self._seconds
        )

    def _translated(self, error: Exception, what: str) -> HostError:
        chain, failures = list(_causes(error)), self._failures
        if isinstance(error, requests.TooManyRedirects):
            return failures.redirected(error.response.status_code if error.response is not None else None)
        if any(isinstance(link, SocketGone) for link in chain):
            return failures.closed_before(what)
        for link in chain:
            if isinstance(link, ssl.SSLCertVerificationError):
                return failures.untrusted(link.verify_message, link.verify_code)
        if any(isinstance(link, ssl.SSLError) for link in chain):
            return failures.tls_broke(what) if self.tls_agreed else failures.tls_failed(_ssl_reason(chain))
        tls_not_begun = self.endpoint.scheme == "https" and not self.tls_agreed
        if tls_not_begun and any(isinstance(link, (socket.timeout, TimeoutError, AnswerTooSlow)) for link in chain):
            return failures.tls_silent()
        if any(isinstance(link, (AnswerTooSlow, socket.timeout, TimeoutError, requests.Timeout)) for link in chain):
            return failures.too_slow(what)
        if isinstance(error, InvalidCredentialsError):
            return AuthenticationFailed(
                f"{self._where} refused the credentials", next_step=refusals.account(self.endpoint, self.credentials)
            )
        if isinstance(error, PermissionError) and self.credentials.authentication == "ntlm":
            return failures.ntlm_ended()
        if any(isinstance(link, AnswerTooLarge) for link in chain):
            return failures.too_large()
        if isinstance(error, requests.ConnectionError) or any(
            isinstance(link, (ConnectionError, urllib3.exceptions.HTTPError)) for link in chain
        ):
            if tls_not_begun:
                return failures.tls_closed()
            return failures.speaks_tls() if self._is_https_port(chain) else failures.broken_off(what)
        if isinstance(error, ImportError) or "is not installed" in str(error):
            return ProtocolError(
                f"{self.credentials.authentication} needs a library that is not installed here",
                next_step=f"{sys.executable} -m pip install 'pywinrm[{self.credentials.authentication}]>=0.5,<0.6'",
            )
        return failures.not_winrm(what, type(error).__name__)


def _is_tls_alert(error: BaseException) -> bool:
    """Return whether *error* is about a TLS alert where an HTTP answer should be (RFC 8446 section 5.1)."""
    return isinstance(error, http.client.BadStatusLine) and str(error.args[0]).startswith("\x15\x03")


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
