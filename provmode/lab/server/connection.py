"""One TCP connection to a PC's WinRM: HTTP, authentication, the service, and injected faults.

It is its own `asyncio.Protocol`, not a web framework: the framing must be as strict as http.sys, some answers must be
cut off in the middle, and the server shares the CPU with the client that is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

from provmode.lab.server.authentication import AcceptedRequest, AuthenticationPolicy, Authenticator, charset_of
from provmode.lab.server.certificates import principal_of
from provmode.lab.server.http import (
    CONTINUE,
    HttpAnswer,
    HttpRefusal,
    HttpRequest,
    RequestReader,
    refusal_answer,
)
from provmode.lab.server.injection import Injection, Kind
from provmode.lab.server.service import Caller, ReceivedMessage, SoapAnswer, WinRMService

PATH = "/wsman"


@dataclass
class Endpoint:
    """What a port serves: how clients authenticate, and the service."""

    policy: AuthenticationPolicy
    service: WinRMService
    open_connections: set[Connection] = field(default_factory=set)

    def connect(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self)


class Connection(asyncio.Protocol):
    """One connection; answers one request at a time, in order."""

    __slots__ = ("_authenticator", "_closing", "_endpoint", "_peer", "_reader", "_task", "_transport")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._reader = RequestReader(endpoint.service.options.limits.max_envelope + 4096)
        self._authenticator = Authenticator(endpoint.policy)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._peer = ""
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        tls = transport.get_extra_info("ssl_object")
        self._authenticator.principal = principal_of(tls.getpeercert(binary_form=True)) if tls else ""
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""
        self._endpoint.service.counters.connections += 1
        self._endpoint.open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the request in progress. Shells stay open: they belong to the user."""
        self._closing = True
        self._endpoint.open_connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take bytes; begin the next request unless one is being answered."""
        self._reader.feed(data)
        if self._task is None:
            self._next()

    def abort(self) -> None:
        """Drop the connection."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def _next(self) -> None:
        """Answer the requests that have arrived whole, one after the other, until one has to be waited for."""
        while self._task is None and not self._closing:
            try:
                request = self._reader.take()
            except HttpRefusal as refusal:
                self._endpoint.service.counters.requests += 1
                self._send(refusal_answer(refusal))
                return
            if request is None:
                if self._reader.take_expectation() and self._transport is not None:
                    self._transport.write(CONTINUE)
                return
            self._serve(request)

    def _serve(self, request: HttpRequest) -> None:
        """Answer one request: at once, or in a task if there is something to wait for."""
        counters = self._endpoint.service.counters
        counters.requests += 1
        counters.bytes_in += request.wire_bytes
        try:
            answer = self._answer(request)
        except Exception as error:  # noqa: BLE001 - see _failed
            answer = self._failed(error)
        if isinstance(answer, HttpAnswer):
            self._finish(request, answer)
        else:
            self._task = asyncio.get_running_loop().create_task(self._serve_later(request, answer))

    async def _serve_later(self, request: HttpRequest, work: Awaitable[HttpAnswer | None]) -> None:
        """Send the answer that *work* returns, then begin the next request."""
        try:
            answer = await work
        except Exception as error:  # noqa: BLE001 - see _failed
            answer = self._failed(error)
        self._finish(request, answer)
        self._task = None
        self._next()

    @staticmethod
    def _failed(error: Exception) -> HttpAnswer:
        """Report a bug of the lab; return an answer all the same."""
        report = {"message": "the lab failed to answer a request", "exception": error}
        asyncio.get_running_loop().call_exception_handler(report)
        return HttpAnswer(500, close=True)

    def _finish(self, request: HttpRequest, answer: HttpAnswer | None) -> None:
        """Send *answer*, if there is one."""
        token = self._authenticator.take_last_token()
        if answer is None:
            return
        if token:
            answer = answer._replace(headers=answer.headers + token)
        self._send(answer, close=not request.keep_alive)

    def _send(self, answer: HttpAnswer, *, close: bool = False) -> None:
        """Write *answer*; close the connection afterwards if it says so."""
        if self._transport is None or self._transport.is_closing():
            return
        data = answer.encode()
        self._endpoint.service.counters.bytes_out += len(data)
        self._transport.write(data)
        if answer.close or close:
            self._closing = True
            self._transport.close()

    def _answer(self, request: HttpRequest) -> HttpAnswer | Awaitable[HttpAnswer | None]:
        """Return the answer to *request*, or what to wait for; ``None``: send nothing, the connection is closed."""
        if request.target.partition("?")[0].rstrip("/").lower() != PATH:
            return HttpAnswer(404)
        if request.method != "POST":
            return HttpAnswer(405, (("Allow", "POST"),))
        anonymous = self._anonymous_identify(request)
        if anonymous is not None:
            return self._soap(anonymous)
        if "authorization" in request.headers:
            injection = self._endpoint.service.injections.triggered_by_handshake()
            if injection is not None:
                return HttpAnswer(injection.code)
        accepted = self._authenticator.authenticate(request)
        self._endpoint.service.counters.delegated += self._authenticator.delegated
        if isinstance(accepted, HttpAnswer):
            self._count_handshake()
            return accepted
        return self._soap(accepted)

    def _anonymous_identify(self, request: HttpRequest) -> AcceptedRequest | None:
        """Return an Identify request marked as unauthenticated (MS-WSMV 3.1.4.1.23), or ``None``."""
        mark = request.headers.get("wsmanidentify", "").strip().lower()
        if mark != "unauthenticated" or "authorization" in request.headers or not request.body:
            return None
        return AcceptedRequest("", request.body, charset_of(request.headers.get("content-type", "")), sealed=False)

    def _count_handshake(self) -> None:
        """Count a request that only authenticated, and whether its login was refused."""
        counters = self._endpoint.service.counters
        counters.handshakes += 1
        counters.refused_logins += self._authenticator.refused

    def _soap(self, accepted: AcceptedRequest) -> HttpAnswer | Awaitable[HttpAnswer | None]:
        """Let the service answer, unless an injection applies."""
        service = self._endpoint.service
        received = service.read(accepted.message, accepted.charset)
        injection = service.injections.triggered_by(received.info)
        if injection is not None:
            return self._inject(injection, accepted, received)
        answer = service.answer_at_once(received, self._caller(accepted))
        return self._wait(accepted, received) if answer is None else self._pack(answer, accepted)

    async def _wait(self, accepted: AcceptedRequest, received: ReceivedMessage) -> HttpAnswer:
        """Return the service's answer when it has one."""
        return self._pack(await self._endpoint.service.answer(received, self._caller(accepted)), accepted)

    def _caller(self, accepted: AcceptedRequest) -> Caller:
        """Return the user and address of the client."""
        return Caller(accepted.user, self._peer)

    def _pack(self, answer: SoapAnswer, accepted: AcceptedRequest, *, sealed: bool | None = None) -> HttpAnswer:
        """Return *answer* as HTTP, by default sealed if the request was, in the charset of the request."""
        if answer.last:
            return HttpAnswer(answer.status, close=True)
        content_type = f"application/soap+xml;charset={accepted.charset}"
        body = answer.text.encode(accepted.charset, "replace")
        if accepted.sealed if sealed is None else sealed:
            content_type, body = self._authenticator.seal(body, content_type)
        return HttpAnswer(answer.status, (("Content-Type", content_type),), body)

    async def _inject(
        self, injection: Injection, accepted: AcceptedRequest, received: ReceivedMessage
    ) -> HttpAnswer | None:
        """Carry out *injection*; return the answer to send, if any."""
        kind = injection.kind
        if kind in (Kind.DROP_BEFORE, Kind.STALL):
            await self._leave_unanswered(kind)
            return None
        if kind is Kind.REDIRECT:
            return HttpAnswer(307, (("Location", injection.location),))
        if kind is Kind.STATUS:
            return HttpAnswer(injection.code)
        if kind is Kind.FORGET:
            self._authenticator.forget()
            return self._authenticator.unauthorized()
        if kind is Kind.JUNK:
            return self._pack(SoapAnswer(200, injection.text), accepted)
        if kind in (Kind.FAULT, Kind.QUOTA, Kind.SHELL_QUOTA, Kind.ACCESS_DENIED):
            return self._pack(self._endpoint.service.injected_fault(injection, received.partial), accepted)
        answer = await self._endpoint.service.answer(received, self._caller(accepted))
        if kind is Kind.PLAIN_TEXT:
            return self._pack(answer, accepted, sealed=False)
        if kind is Kind.CLOSE_AFTER:
            return self._pack(answer, accepted)._replace(close=True)
        self._withhold(self._pack(answer, accepted), cut=kind is Kind.CUT_ANSWER)
        return None

    async def _leave_unanswered(self, kind: Kind) -> None:
        """Close the connection, or wait until the client closes it."""
        if kind is Kind.STALL:
            await asyncio.Event().wait()  # never set: the task is cancelled with the connection
        self.abort()

    def _withhold(self, answer: HttpAnswer, *, cut: bool) -> None:
        """Close the connection without sending *answer*, or with *cut* in the middle of its body."""
        if cut and self._transport is not None:
            data = answer.encode()
            self._transport.write(data[: len(data) - len(answer.body) // 2 - 1])
            self._closing = True
            self._transport.close()
        else:
            self.abort()
