"""One TCP connection to a PC's WinRM: HTTP, the door, the service, and what goes wrong on request.

An `asyncio.Protocol` of its own rather than a web framework: the framing has to be as strict as http.sys, some
answers have to be cut off in the middle, and the server shares two cores with the client that is measured.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from provmode.lab.server.authentication import Admitted, Door, DoorPolicy, charset_of
from provmode.lab.server.http import (
    CONTINUE,
    HttpAnswer,
    HttpRefusal,
    HttpRequest,
    RequestReader,
    refusal_answer,
)
from provmode.lab.server.injection import Injection, Kind
from provmode.lab.server.sealing import CONTENT_TYPE, seal
from provmode.lab.server.service import Caller, Incoming, SoapAnswer, WinRMService

PATH = "/wsman"


@dataclass
class Endpoint:
    """What stands behind a port: who may come in, and the service."""

    policy: DoorPolicy
    service: WinRMService
    open_connections: set[Connection] = field(default_factory=set)

    def connect(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self)


class Connection(asyncio.Protocol):
    """One connection; answers one request at a time, in order."""

    __slots__ = ("_closing", "_door", "_endpoint", "_peer", "_reader", "_task", "_transport")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._reader = RequestReader(endpoint.service.options.limits.max_envelope + 4096)
        self._door = Door(endpoint.policy)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._peer = ""
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""
        self._endpoint.service.counters.connections += 1
        self._endpoint.open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting for whatever the client no longer waits for. Shells stay: they are the user's."""
        self._closing = True
        self._endpoint.open_connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take bytes; begin with the next request where none is being answered."""
        self._reader.feed(data)
        if self._task is None:
            self._next()

    def abort(self) -> None:
        """Drop the connection."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def _next(self) -> None:
        """Begin with the next request that is here whole."""
        try:
            request = self._reader.take()
        except HttpRefusal as refusal:
            self._endpoint.service.counters.requests += 1
            self._send(refusal_answer(refusal))
            return
        if request is not None:
            self._task = asyncio.get_running_loop().create_task(self._serve(request))
        elif self._reader.take_expectation() and self._transport is not None:
            self._transport.write(CONTINUE)

    async def _serve(self, request: HttpRequest) -> None:
        """Answer one request and go on to the next."""
        counters = self._endpoint.service.counters
        counters.requests += 1
        counters.bytes_in += request.wire_bytes
        try:
            answer = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - a mistake of the lab's: tell who runs it, let no client wait
            report = {"message": "the lab failed to answer a request", "exception": error}
            asyncio.get_running_loop().call_exception_handler(report)
            answer = HttpAnswer(500, close=True)
        token = self._door.take_last_token()
        if answer is not None:
            self._send(replace(answer, headers=answer.headers + token), close=not request.keep_alive)
        self._task = None
        if not self._closing:
            self._next()

    def _send(self, answer: HttpAnswer, *, close: bool = False) -> None:
        """Write *answer*, and close after it where it says so."""
        if self._transport is None or self._transport.is_closing():
            return
        data = answer.encode()
        self._endpoint.service.counters.bytes_out += len(data)
        self._transport.write(data)
        if answer.close or close:
            self._closing = True
            self._transport.close()

    async def _answer(self, request: HttpRequest) -> HttpAnswer | None:
        """Return the answer to *request*; ``None`` where there is none to send (any more)."""
        if request.target.partition("?")[0].rstrip("/").lower() != PATH:
            return HttpAnswer(404)
        if request.method != "POST":
            return HttpAnswer(405, (("Allow", "POST"),))
        anonymous = self._anonymous_identify(request)
        if anonymous is not None:
            return await self._soap(anonymous)
        admitted = self._door.admit(request)
        if isinstance(admitted, HttpAnswer):
            self._count_handshake(request, admitted)
            return admitted
        return await self._soap(admitted)

    def _anonymous_identify(self, request: HttpRequest) -> Admitted | None:
        """Return an Identify from someone who has not authenticated and says so (MS-WSMV 3.1.4.1.23)."""
        said = request.headers.get("wsmanidentify", "").strip().lower()
        if said != "unauthenticated" or "authorization" in request.headers or not request.body:
            return None
        return Admitted("", request.body, charset_of(request.headers.get("content-type", "")), sealed=False)

    def _count_handshake(self, request: HttpRequest, answer: HttpAnswer) -> None:
        """Count a request that was authentication alone, and whether a password was refused in it."""
        counters = self._endpoint.service.counters
        counters.handshakes += 1
        offered = len(answer.headers) > 1  # the list of schemes, not a token: nobody came in
        counters.refused_logins += answer.status == 401 and offered and "authorization" in request.headers

    async def _soap(self, admitted: Admitted) -> HttpAnswer | None:
        """Let the service answer, unless something is to go wrong."""
        service = self._endpoint.service
        incoming = service.read(admitted.message, admitted.charset)
        injection = service.injections.strike(incoming.info)
        if injection is not None:
            return await self._go_wrong(injection, admitted, incoming)
        return self._pack(await service.answer(incoming, self._caller(admitted)), admitted)

    def _caller(self, admitted: Admitted) -> Caller:
        """Return who asks."""
        return Caller(admitted.user, self._peer)

    def _pack(self, answer: SoapAnswer, admitted: Admitted, *, sealed: bool | None = None) -> HttpAnswer:
        """Return *answer* as HTTP: sealed where the request was, in the charset of the request."""
        content_type = f"application/soap+xml;charset={admitted.charset}"
        body = answer.text.encode(admitted.charset, "replace")
        if admitted.sealed if sealed is None else sealed:
            body = seal(self._door.security, body, content_type)
            content_type = CONTENT_TYPE
        return HttpAnswer(answer.status, (("Content-Type", content_type),), body)

    async def _go_wrong(self, injection: Injection, admitted: Admitted, incoming: Incoming) -> HttpAnswer | None:
        """Do what *injection* says instead of answering."""
        kind = injection.kind
        if kind in (Kind.DROP_BEFORE, Kind.STALL):
            await self._without_answer(kind)
            return None
        if kind is Kind.REDIRECT:
            return HttpAnswer(307, (("Location", injection.location),))
        if kind is Kind.STATUS:
            return HttpAnswer(injection.code)
        if kind is Kind.JUNK:
            return self._pack(SoapAnswer(200, injection.text), admitted)
        if kind in (Kind.FAULT, Kind.QUOTA, Kind.SHELL_QUOTA, Kind.ACCESS_DENIED):
            return self._pack(self._endpoint.service.injected_fault(injection, incoming.partial), admitted)
        answer = await self._endpoint.service.answer(incoming, self._caller(admitted))
        if kind is Kind.PLAIN_TEXT:
            return self._pack(answer, admitted, sealed=False)
        self._lose(self._pack(answer, admitted), cut=kind is Kind.CUT_ANSWER)
        return None

    async def _without_answer(self, kind: Kind) -> None:
        """Drop the connection, or leave the client waiting until it does."""
        if kind is Kind.STALL:
            await asyncio.Event().wait()  # nobody sets it: the task is cancelled with the connection
        self.abort()

    def _lose(self, answer: HttpAnswer, *, cut: bool) -> None:
        """Close the connection instead of sending *answer*, or after the first half of its body."""
        if cut and self._transport is not None:
            data = answer.encode()
            self._transport.write(data[: len(data) - len(answer.body) // 2 - 1])
            self._closing = True
            self._transport.close()
        else:
            self.abort()
