"""requests' adapter over one dialled socket: no second connection, and limits on the size and time of answers.

When a connection is closed, urllib3 silently opens a new one, and pywinrm would seal messages on it with the keys of
the first. Here urllib3 gets the socket once; if it asks again, it gets `SocketGone`.
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import ssl
from typing import Any, Protocol

import requests
import requests.adapters
import urllib3.connection
import urllib3.connectionpool

from provmode.errors import ProtocolError
from provmode.transport.framing import MAX_ANSWER
from provmode.transport.target import Counters


class Owner(Protocol):
    """The connection an adapter works for."""

    context: ssl.SSLContext | None
    counters: Counters
    opened: list[http.client.HTTPConnection]
    tls_agreed: bool
    """Whether the TLS handshake has succeeded."""

    def take_socket(self) -> socket.socket:
        """Return the dialled socket; raise `SocketGone` if it was taken before."""

    def remaining(self) -> float:
        """Return the seconds left for the answer that is being read; raise `AnswerTooSlow` if there are none."""

    def sending(self, request: requests.PreparedRequest) -> None:
        """Look at a request that is about to be sent; raise a `HostError` and it is not."""

    def received(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        """Look at the answer to *request*; raise a `HostError` and it is not used."""


class AnswerTooLarge(Exception):
    """An answer is larger than `MAX_ANSWER`."""


class AnswerTooSlow(Exception):
    """An answer kept coming, but was not complete within the read deadline."""


class SocketGone(OSError):
    """urllib3 wanted a second TCP connection: the first is gone and nothing was sent."""


class SocketAdapter(requests.adapters.HTTPAdapter):
    """requests' adapter over the one dialled socket, with the shared TLS context and limits on answers."""

    def __init__(self, connection: Owner) -> None:
        self._connection = connection
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools whose connections take the dialled socket."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": functools.partial(_pool, _HTTPPool, self._connection),
            "https": functools.partial(_pool, _HTTPSPool, self._connection),
        }

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Return the pool's key, with the shared TLS context in it."""
        host, pool = super().build_connection_pool_key_attributes(request, False, None)
        if self._connection.context is not None:
            context = self._connection.context
            return host, dict[str, Any](ssl_context=context, cert_reqs=context.verify_mode)
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Do nothing: the shared context holds trust and client certificate."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Count the request and send it; the connection looks at it before, and at the answer after."""
        self._connection.sending(request)
        counters = self._connection.counters
        counters.requests += 1
        counters.bytes_sent += len(request.body or b"")
        response = super().send(request, *args, **kwargs)
        self._connection.received(request, response)
        return response

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Refuse compressed answers; accept all others."""
        encoding = resp.headers.get("Content-Encoding", "identity")
        if encoding.strip().lower() != "identity":  # we did not ask for it: a few KB can unpack to gigabytes
            resp.close()
            raise ProtocolError(
                f"the PC sent a compressed answer ({encoding[:20]!r}), which was not asked for; it was not unpacked",
                next_step="find out what answers on that port",
            )
        return super().build_response(req, resp)


class _MeteredReader(io.RawIOBase):
    """Stream from which a response is read: counts every byte, headers included, and enforces the read deadline.

    `gevent.Timeout` is not enough: it fires only while a greenlet waits, and a PC that sends without a pause never
    lets it wait.
    """

    def __init__(self, sock: socket.socket, owner: Owner) -> None:
        self._raw = sock.makefile("rb", buffering=0)
        self._sock = sock  # named as in socket.SocketIO: requests-ntlm takes the channel binding from it
        self._owner = owner
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._owner.remaining())
        count = self._raw.readinto(buffer)
        self._received += count or 0
        self._owner.counters.bytes_received += count or 0
        if self._received > MAX_ANSWER:
            raise AnswerTooLarge
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _HTTPResponse(http.client.HTTPResponse):
    """A response that is read through `_MeteredReader`; `_HTTPConnection` and `_HTTPSConnection` bind *owner*."""

    def __init__(self, owner: Owner, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_MeteredReader(sock, owner))


class _HTTPConnection(urllib3.connection.HTTPConnection):
    owner: Owner

    def own(self, owner: Owner) -> None:
        self.owner = owner
        self.response_class = functools.partial(_HTTPResponse, owner)  # type: ignore[assignment]

    def _new_conn(self) -> socket.socket:
        return self.owner.take_socket()


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    owner: Owner

    def own(self, owner: Owner) -> None:
        self.owner = owner
        self.response_class = functools.partial(_HTTPResponse, owner)  # type: ignore[assignment]

    def connect(self) -> None:
        super().connect()
        self.owner.tls_agreed = True
        self.is_verified = True  # if not, the caller asked for that explicitly: no warning at every connection

    def _new_conn(self) -> socket.socket:
        return self.owner.take_socket()


class _HTTPPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _pool(pool: type[_HTTPPool] | type[_HTTPSPool], owner: Owner, *args: Any, **kwargs: Any) -> Any:
    created = pool(*args, **kwargs)
    created.ConnectionCls = functools.partial(_owned, pool.ConnectionCls, owner)  # type: ignore[assignment]
    return created


def _owned(connection: type[Any], owner: Owner, *args: Any, **kwargs: Any) -> Any:
    created = connection(*args, **kwargs)
    created.own(owner)
    owner.opened.append(created)
    return created
