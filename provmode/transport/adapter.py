"""requests' adapter over one dialled socket: no second connection, and answers bounded in size and time.

urllib3 would open a new connection behind its caller's back when the first is closed; pywinrm would then seal on it
with the keys of the first. Here the socket is handed out once, and whoever wants another gets `SocketGone`.
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
from provmode.transport.target import Counters

MAX_ANSWER = 8 * 1024 * 1024
"""Bytes one HTTP answer may have. Windows' own MaxEnvelopeSizekb is 500 (2012 and later); sealing adds under 1 %."""


class Owner(Protocol):
    """The connection an adapter works for."""

    context: ssl.SSLContext | None
    counters: Counters
    opened: list[http.client.HTTPConnection]

    def take_socket(self) -> socket.socket:
        """Hand out the dialled socket, once; `SocketGone` after that."""

    def remaining(self) -> float:
        """Return the seconds left for the answer that is being read; `AnswerTooSlow` if none are."""


class AnswerTooLarge(Exception):
    """An answer went past `MAX_ANSWER`."""


class AnswerTooSlow(Exception):
    """An answer took longer in all than the read deadline, byte by byte."""


class SocketGone(OSError):
    """urllib3 wanted a second TCP connection: the first is gone and nothing was sent."""


class SocketAdapter(requests.adapters.HTTPAdapter):
    """requests' adapter over the one dialled socket, with the shared TLS context and bounded answers."""

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
        """Return the pool's key with the shared TLS context in it."""
        host, pool = super().build_connection_pool_key_attributes(request, False, None)
        if self._connection.context is not None:
            context = self._connection.context
            return host, dict[str, Any](ssl_context=context, cert_reqs=context.verify_mode)
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Do nothing: trust and client certificate are in the shared context."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Count and send."""
        counters = self._connection.counters
        counters.requests += 1
        counters.bytes_sent += len(request.body or b"")
        return super().send(request, *args, **kwargs)

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Refuse a compressed answer, take every other."""
        encoding = resp.headers.get("Content-Encoding", "identity")
        if encoding.strip().lower() != "identity":  # asked for by nobody: a few KB may unpack to gigabytes
            resp.close()
            raise ProtocolError(
                f"the PC sent a compressed answer ({encoding[:20]!r}), which was not asked for; it was not unpacked",
                next_step="find out what answers on that port",
            )
        return super().build_response(req, resp)


class _MeteredReader(io.RawIOBase):
    """What a response is read from: every byte of it, headers and all, counted and within its deadline.

    `gevent.Timeout` alone does not do: it strikes only where a greenlet waits, and somebody who sends without a pause
    never lets it wait.
    """

    def __init__(self, sock: socket.socket, owner: Owner) -> None:
        self._raw = sock.makefile("rb", buffering=0)
        self._sock = sock  # by this name, as in socket.SocketIO: requests-ntlm takes the channel binding from it
        self._owner = owner
        self._got = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._owner.remaining())
        got = self._raw.readinto(buffer)
        self._got += got or 0
        self._owner.counters.bytes_received += got or 0
        if self._got > MAX_ANSWER:
            raise AnswerTooLarge
        return got

    def close(self) -> None:
        self._raw.close()
        super().close()


class _HTTPResponse(http.client.HTTPResponse):
    """A response that is read through the meter; *owner* is bound by `_HTTPConnection` and `_HTTPSConnection`."""

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
        self.is_verified = True  # where it is not, the caller said so by name: no warning at every connection

    def _new_conn(self) -> socket.socket:
        return self.owner.take_socket()


class _HTTPPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _pool(pool: type[_HTTPPool] | type[_HTTPSPool], owner: Owner, *args: Any, **kwargs: Any) -> Any:
    made = pool(*args, **kwargs)
    made.ConnectionCls = functools.partial(_owned, pool.ConnectionCls, owner)  # type: ignore[assignment]
    return made


def _owned(connection: type[Any], owner: Owner, *args: Any, **kwargs: Any) -> Any:
    made = connection(*args, **kwargs)
    made.own(owner)
    owner.opened.append(made)
    return made
