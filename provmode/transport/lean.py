"""One TCP connection to one PC, authenticated once by NTLM, Kerberos or CredSSP, with no HTTP library above the socket.

An HTTP library costs more than everything else that an audit does. What a conversation with WinRM needs of HTTP is
little: one request, one answer, on one connection. So this module writes the requests itself and reads the answers
with `provmode.transport.framing`. It promises what `provmode.transport.pywinrm` promises:

* a deadline of its own for the connection (`provmode.transport.dial`), and one for each answer as a whole
* one object, one TCP connection: nothing is ever sent on a second one
* no redirect, no proxy, nothing from the environment, no compressed answer, one answer to one request
* what the handshake agrees on is checked before anything else is sent; over HTTPS its first token is bound to the
  PC's certificate
* over plain HTTP every message is sealed, and only sealed answers are read
* nothing is repeated: the session decides what is sent again

The handshake's first token goes out with the first request, without a 401 first.
"""

from __future__ import annotations

import base64
import functools
import logging
import select
import socket
import ssl
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
import gevent.monkey

from provmode.errors import HostError, UsageError
from provmode.transport import sealed_body
from provmode.transport.dial import dial, speaks_tls
from provmode.transport.failures import SCHEMES, Failures, schemes_in
from provmode.transport.framing import Answer, AnswerReader, CutOff, NotHttp, TooLarge
from provmode.transport.handshakes import LOGONS
from provmode.transport.ntlm_checks import ignore_environment
from provmode.transport.security import ContextExpired, SecurityContext
from provmode.transport.target import Counters, Target, check_credentials
from provmode.transport.tls import channel_binding, tls_context
from provmode.windows.names import ComputerName

logger = logging.getLogger(__name__)

READ_AT_ONCE = 64 * 1024
MOST_TOKENS = 7
"""Tokens that we send in one handshake at most. NTLM takes two, Kerberos one or two, CredSSP five or six."""
_FRAMES = {"Kerberos": sealed_body.KERBEROS, "CredSSP": sealed_body.CREDSSP}
"""How sealed bodies are framed, by scheme; those of the others are Negotiate's."""
_LOGON, _MESSAGE = "authentication", "a message"
_TLS_ALERT = b"\x15\x03"
"""How a TLS alert begins (RFC 8446 section 5.1)."""

ignore_environment()


_poll = gevent.monkey.get_original("select", "poll")
"""Looks at a line at once; gevent's own would let others run before it looks."""


class _TooSlow(Exception):
    """The answer was not whole within the read deadline."""


class LeanConnection:
    """A `provmode.transport.base.Connection` for NTLM, Kerberos and CredSSP, over http and https."""

    def __init__(self, target: Target, *, counters: Counters, seconds: Callable[[], float]) -> None:
        check_credentials(target.endpoint, target.credentials)
        self.endpoint, self.credentials, self.deadlines = target.endpoint, target.credentials, target.deadlines
        self.counters = counters
        self.alive = False
        self._target, self._trust = target, target.trust
        self._seconds = seconds
        self._failures = Failures(target)
        self._socket: socket.socket | None = None
        self._context: SecurityContext | None = None
        self._protocol = sealed_body.NEGOTIATE
        self._seals = target.endpoint.scheme == "http"
        self._dialled = self._authenticated = self._used = False
        self._computer: ComputerName | None = None
        self._head = _head(target)
        self._message_head = b""
        self._line = _poll()

    @property
    def computer(self) -> ComputerName | None:
        """What the PC called itself in its NTLM challenge."""
        return self._computer

    @property
    def sealed(self) -> bool:
        """Whether messages are encrypted inside HTTP: always over plain HTTP."""
        return self._authenticated and self._seals

    def dial(self) -> None:
        """Resolve the name and open the TCP connection. Do nothing the second time, not even after it was closed."""
        if self._dialled:
            return
        with self.counters.timed(self._seconds):
            self._socket = dial(self.endpoint, self.deadlines.connect, seconds=self._seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.counters.connections += 1
        self._line.register(self._socket.fileno(), select.POLLIN)
        self._dialled = self.alive = True

    def authenticate(self) -> None:
        """Agree on TLS if the scheme is https, and authenticate the connection."""
        if self._authenticated:
            return
        self.dial()
        with self.counters.timed(self._seconds), self._closing(_LOGON):
            binding = self._agree_on_tls() if self.endpoint.scheme == "https" else b""
            self._log_on(binding)
            kind = sealed_body.content_type(self._protocol) if self._seals else b"application/soap+xml;charset=UTF-8"
            self._message_head = self._head_of(kind)
        self._authenticated = True

    def exchange(self, message: bytes) -> tuple[int, bytes]:
        """Send one SOAP message and return the HTTP status and the answer, unsealed."""
        context = self._context
        if not self.alive or not self._authenticated or context is None:
            raise self._failures.closed()
        with self.counters.timed(self._seconds), self._closing(_MESSAGE):
            head, body = self._sealed(message, context) if self._seals else (self._message_head, message)
            answer = self._ask(b"%s%d\r\n\r\n" % (head, len(body)), body, _MESSAGE)
            return answer.status, self._message_in(answer, context)

    def _head_of(self, content_type: bytes) -> bytes:
        """Return the head of a message, up to its length."""
        return self._head + b"Content-Type: " + content_type + b"\r\nContent-Length: "

    def _sealed(self, message: bytes, context: SecurityContext) -> tuple[bytes, bytes]:
        """Return the head and the body of *message*, sealed."""
        try:
            if self._protocol == sealed_body.CREDSSP and len(message) > sealed_body.PIECE:
                pieces = [context.seal(piece) for piece in sealed_body.cut(message)]
                kind = sealed_body.content_type(self._protocol, len(pieces))
                return self._head_of(kind), sealed_body.pack_pieces(self._protocol, pieces)
            return self._message_head, sealed_body.pack(self._protocol, *context.seal(message))
        except ContextExpired:
            raise self._failures.ticket_ended(sent=False) from None

    def close(self) -> None:
        """Close the connection. Never raise; a second call does nothing."""
        self.alive = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- TLS --------------------------------------------------------------------------------------------------------

    def _agree_on_tls(self) -> bytes:
        """Put TLS over the connection and return the channel binding of the PC's certificate."""
        context, failures = tls_context(self._trust), self._failures
        assert self._socket is not None
        self._socket.settimeout(self.deadlines.read)
        try:
            with gevent.Timeout(self.deadlines.read + 1, _TooSlow):
                secured = context.wrap_socket(self._socket, server_hostname=self.endpoint.address.partition("%")[0])
        except ssl.SSLCertVerificationError as error:
            raise failures.untrusted(error.verify_message, error.verify_code) from None
        except (ssl.SSLEOFError, ConnectionError):
            raise failures.tls_closed() from None
        except ssl.SSLError as error:
            raise failures.tls_failed(str(error.reason or "no reason given")) from None
        except (_TooSlow, TimeoutError):
            raise failures.tls_silent() from None
        except OSError:
            raise failures.tls_closed() from None
        self._socket = secured
        return channel_binding(secured.getpeercert(binary_form=True) or b"")

    # -- the handshake ----------------------------------------------------------------------------------------------

    def _log_on(self, binding: bytes) -> None:
        """Authenticate by the first of this mechanism's schemes that the PC offers."""
        schemes = SCHEMES[self.credentials.authentication]
        for number, scheme in enumerate(schemes):
            self._protocol = _FRAMES.get(scheme, sealed_body.NEGOTIATE)
            refusal = self._shake_hands(scheme, binding)
            if refusal is None:
                return
            if not set(schemes[number + 1 :]) & set(schemes_in(refusal)):
                raise self._failures.status_401(refusal, sent=False)
        raise AssertionError("unreachable: after the last scheme there are no others")

    def _shake_hands(self, scheme: str, binding: bytes) -> str | None:
        """Authenticate by *scheme*. Return ``None``, or what the PC offers if it does not offer this scheme."""
        logon = LOGONS[self.credentials.authentication](self._target, self._failures)
        token = logon.begin(binding)
        for number in range(MOST_TOKENS):
            authorization = f"{scheme} {base64.b64encode(token).decode('ascii')}"
            logon.sending(authorization)
            head = b"%sAuthorization: %s\r\nContent-Length: 0\r\n\r\n" % (self._head, authorization.encode("ascii"))
            answer = self._ask(head, b"", _LOGON)
            offers = answer.field("WWW-Authenticate")
            logon.received(authorization, offers)
            reply = _token_in(offers, scheme)
            if answer.status != 401:
                if answer.status >= 400 and answer.status != 500:
                    raise self._unexpected(answer)
                logon.finish(reply)
                self._context, self._computer = logon.context, logon.computer
                return None
            if number == 0 and reply is None and scheme not in schemes_in(offers):
                return offers
            token = logon.next(reply)
        raise self._failures.not_winrm(_LOGON, "a handshake without an end")

    # -- HTTP -------------------------------------------------------------------------------------------------------

    def _ask(self, head: bytes, body: bytes, what: str) -> Answer:
        """Send one request and return its answer, whole.

        Raises:
            HostError: it did not come, or is no answer that WinRM gives.
        """
        self._check_line(what)
        self.counters.requests += 1
        self.counters.bytes_sent += len(body)
        answer = self._exchanged(head + body, what)
        if answer.last:
            self.alive = False
        if answer.status == 407:
            raise self._failures.proxy_account()
        if 300 <= answer.status < 400:
            raise self._failures.redirected(answer.status)
        encoding = answer.field("Content-Encoding") or "identity"
        if encoding.lower() != "identity":
            raise self._failures.compressed(encoding)
        return answer

    def _check_line(self, what: str) -> None:
        """Look at the line before anything is sent: it has to be open, and nothing may have come that nobody asked for.

        Raises:
            ConnectionLost: the PC has closed it, so that *what* is certainly not sent.
            ProtocolError: something has come.
        """
        if not self.alive or self._socket is None:
            raise self._failures.closed_before(what)
        if not self._used:
            self._used = True
            return
        if not self._line.poll(0):
            return
        self._socket.settimeout(0.0)  # over TLS it may be a session ticket, which is no data
        try:
            came = self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            came = b""
        if came:
            raise self._failures.not_winrm(what, "an answer that nobody asked for")
        raise self._failures.closed_before(what)

    def _exchanged(self, request: bytes, what: str) -> Answer:
        """Send *request* and read the answer within the read deadline."""
        sock, failures = self._socket, self._failures
        assert sock is not None
        reader, beginning = AnswerReader(), b""
        due = self._seconds() + self.deadlines.read
        try:
            sock.settimeout(self.deadlines.read)
            sock.sendall(request)
            while True:
                sock.settimeout(self._left(due))
                data = sock.recv(READ_AT_ONCE)
                self.counters.bytes_received += len(data)
                beginning = beginning or data[:2]
                answer = reader.feed(data)
                if answer is not None:
                    return answer
        except (TimeoutError, _TooSlow):
            raise failures.too_slow(what) from None
        except TooLarge:
            raise failures.too_large() from None
        except NotHttp as error:
            if self._seals and beginning == _TLS_ALERT:
                raise failures.speaks_tls() from None
            raise failures.not_winrm(what, str(error)) from None
        except ssl.SSLError as error:
            if what == _LOGON and "ALERT" in (error.reason or ""):  # TLS 1.3: the PC refuses after the TLS handshake
                raise failures.tls_failed(str(error.reason)) from None
            raise failures.tls_broke(what) from None
        except (OSError, CutOff):
            if self._seals and not beginning and self._speaks_tls():
                raise failures.speaks_tls() from None
            raise failures.broken_off(what) from None

    def _left(self, due: float) -> float:
        """Return the seconds until *due*; checked before each read, so that a PC that never pauses is caught too."""
        left = due - self._seconds()
        if left <= 0:
            raise _TooSlow
        return left

    def _speaks_tls(self) -> bool:
        return not self._authenticated and speaks_tls(
            self.endpoint, self.deadlines.connect, counters=self.counters, seconds=self._seconds
        )

    def _message_in(self, answer: Answer, context: SecurityContext) -> bytes:
        """Return the SOAP message in *answer*."""
        if answer.status == 401:
            raise self._failures.forgotten(sent=self._seals)
        declared = answer.field("Content-Type")
        if self._seals:
            is_message = sealed_body.is_sealed(declared, self._protocol)
        else:
            is_message = declared.partition(";")[0].strip().lower() == "application/soap+xml"
        # Windows sends faults with 500; others, and proxies, choose the status by the fault (DSP0226 section 13)
        if answer.status not in (200, 500) and not (answer.status >= 400 and is_message):
            raise self._unexpected(answer)
        if not answer.body:
            raise self._failures.without_a_word(answer.status)
        if not self._seals:
            return answer.body
        if not is_message:
            raise self._failures.plain_text()
        try:
            if self._protocol == sealed_body.CREDSSP:
                pieces = sealed_body.unpack_pieces(answer.body)
                return b"".join(context.open(length, b"", records) for length, records in pieces)
            return context.open(*sealed_body.unpack(self._protocol, answer.body))
        except ContextExpired:
            raise self._failures.ticket_ended(sent=True) from None

    def _unexpected(self, answer: Answer) -> HostError:
        return self._failures.unexpected_status(answer.status, answer.field("Server"), answer.body)

    @contextmanager
    def _closing(self, what: str) -> Iterator[None]:
        """Close the connection after any error, and make an error about the PC of what a library cannot read.

        The original exception is dropped (``from None``): pyinfra prints an error's cause instead of its message.
        """
        try:
            yield
        except (HostError, UsageError):
            self.close()
            raise
        except Exception as error:  # noqa: BLE001 - unknown bytes in pyspnego's parsers can raise anything
            self.close()
            logger.debug("%s: %s failed in %s", self._failures.where, what, type(error).__name__)
            raise self._failures.not_winrm(what, type(error).__name__) from None
        except BaseException:
            self.close()
            raise


@functools.lru_cache(maxsize=64)
def _quoted(path: str) -> str:
    """Return a path as it is written in a request."""
    return urllib.parse.quote(path, safe="!#$%&'()*+,/:;=?@[]~")


def _head(target: Target) -> bytes:
    """Return the beginning of every request to *target*."""
    endpoint = target.endpoint
    address = endpoint.address.partition("%")[0]
    host = f"[{address}]" if ":" in address else address.encode("idna").decode("ascii")
    return (
        f"POST {_quoted(endpoint.path)} HTTP/1.1\r\nHost: {host}:{endpoint.port}\r\nUser-Agent: provmode\r\n"
        "Accept-Encoding: identity\r\nConnection: Keep-Alive\r\n"
    ).encode("ascii")


def _token_in(offers: str, scheme: str) -> bytes | None:
    """Return the token after *scheme* in a ``WWW-Authenticate`` header; ``None`` if there is none.

    Raises:
        ValueError: it is not base64.
    """
    for offer in offers.split(","):
        name, _, token = offer.strip().partition(" ")
        if token and name.lower() == scheme.lower():
            return base64.b64decode(token.strip().encode(), validate=True)
    return None
