"""HTTP/1.1 as http.sys speaks it on a WinRM port: strict reading of requests, writing of answers.

Bytes in, requests out; no socket. Requests that http.sys refuses before WinRM sees them raise an `HttpRefusal` with
the status of http.sys. Sources: RFC 9112 for the framing; MS-WSMV 2.1 for the path and the method;
the limits are http.sys' documented defaults (``MaxRequestBytes`` 16384).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

SERVER = "Microsoft-HTTPAPI/2.0"
HEAD_LIMIT = 16384
"""Bytes of request line and headers; more is a 400, as http.sys' ``MaxRequestBytes``."""

_TOKEN = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
_REASONS = {
    100: "Continue",
    200: "OK",
    307: "Temporary Redirect",
    400: "Bad Request",
    401: "",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    500: "",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_REASON_LINES = {status: f"HTTP/1.1 {status} {reason}" for status, reason in _REASONS.items()}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpRefusal(Exception):
    """A request that http.sys refuses; the connection closes after the answer."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"HTTP {status}: {why}")
        self.status = status


class HttpRequest(NamedTuple):
    """One whole request."""

    method: str
    target: str
    headers: Mapping[str, str]
    """By lower-case name; repeated headers are joined with a comma."""
    body: bytes = b""
    keep_alive: bool = True
    wire_bytes: int = 0
    """Its bytes on the wire, headers included."""


class HttpAnswer(NamedTuple):
    """One answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    close: bool = False
    """Close the connection after it."""

    def encode(self) -> bytes:
        """Return the bytes for the wire, with ``Server``, ``Date`` and ``Content-Length``."""
        head = _REASON_LINES.get(self.status) or f"HTTP/1.1 {self.status} "
        for name, value in self.headers:
            head += f"\r\n{name}: {value}"
        closed = "\r\nConnection: close" if self.close else ""
        head += f"\r\nServer: {SERVER}\r\nDate: {_date()}{closed}\r\nContent-Length: {len(self.body)}\r\n\r\n"
        return head.encode("latin-1") + self.body


@dataclass
class _Clock:
    second: int = -1
    text: str = ""


_clock = _Clock()


def _date() -> str:
    """Return the time of day for ``Date``, formatted once a second."""
    now = int(time.time())
    if now != _clock.second:
        _clock.second = now
        _clock.text = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now))
    return _clock.text


def refusal_answer(refusal: HttpRefusal) -> HttpAnswer:
    """Return http.sys' error page, which closes the connection."""
    title = _REASONS.get(refusal.status, "Error")
    page = (
        f"<HTML><HEAD><TITLE>{title}</TITLE></HEAD><BODY><h2>{title}</h2>"
        f"<hr><p>HTTP Error {refusal.status}. {title}.</p></BODY></HTML>"
    )
    header = ("Content-Type", "text/html; charset=us-ascii")
    return HttpAnswer(refusal.status, (header,), page.encode("ascii"), close=True)


@dataclass
class RequestReader:
    """Cuts a byte stream into requests.

    Feed it bytes as they arrive, cut anywhere, and take requests out until it returns ``None``. After an
    `HttpRefusal` the stream cannot be read any further.
    """

    body_limit: int
    """Bytes of a body; more is a 413 (``MaxEnvelopeSizekb``, MS-WSMV 2.2.4.10)."""
    _buffer: bytearray = field(default_factory=bytearray)
    _head: tuple[str, str, dict[str, str], bool, int, int] | None = None

    def feed(self, data: bytes) -> None:
        """Take *data* from the wire."""
        self._buffer += data

    def take(self) -> HttpRequest | None:
        """Return the next whole request, or ``None`` if more bytes are needed.

        Raises:
            HttpRefusal: http.sys would refuse it.
        """
        if self._head is None and not self._take_head():
            return None
        assert self._head is not None
        method, target, headers, keep_alive, length, head_bytes = self._head
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._head = None
        return HttpRequest(method, target, headers, body, keep_alive, head_bytes + length)

    def take_expectation(self) -> bool:
        """Return whether the client waits for ``100 Continue`` before it sends the body; at most once a request."""
        if self._head is None or self._head[4] <= len(self._buffer):
            return False
        return self._head[2].pop("expect", "").lower() == "100-continue"

    @property
    def mid_request(self) -> bool:
        """Whether a request has arrived only in part."""
        return self._head is not None or bool(self._buffer)

    def _take_head(self) -> bool:
        """Read request line and headers into ``_head``; ``False`` if they are not complete yet."""
        end = self._buffer.find(b"\r\n\r\n", 0, HEAD_LIMIT)
        if end < 0:
            if len(self._buffer) >= HEAD_LIMIT:
                raise HttpRefusal(400, "request line and headers are too long")
            return False
        method, target, headers, keep_alive = parse_head(bytes(self._buffer[:end]))
        length = _body_length(method, headers)
        if length > self.body_limit:
            raise HttpRefusal(413, f"the body has {length} bytes, the limit is {self.body_limit}")
        del self._buffer[: end + 4]
        self._head = (method, target, headers, keep_alive, length, end + 4)
        return True


def parse_head(head: bytes) -> tuple[str, str, dict[str, str], bool]:
    """Read a request line and its headers; return method, target, headers and whether to keep the connection.

    Raises:
        HttpRefusal: 400 for bad framing, 505 for another version.
    """
    first, *rest = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not _TOKEN.match(parts[0]) or not parts[1] or "\n" in first:
        raise HttpRefusal(400, "not an HTTP request line")
    method, target, version = parts
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise HttpRefusal(505 if version.startswith("HTTP/") else 400, "not HTTP/1.1")
    headers = _parse_headers(rest)
    if version == "HTTP/1.1" and "host" not in headers:
        raise HttpRefusal(400, "no Host header")
    connection = headers.get("connection", "").lower()
    keep_alive = "close" not in connection if version == "HTTP/1.1" else "keep-alive" in connection
    return method, target, headers, keep_alive


def _parse_headers(lines: Iterable[str]) -> dict[str, str]:
    """Return the headers by lower-case name. Folded lines and invalid names are a 400."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        key = _key(name)
        if not colon or not key or "\n" in value or "\0" in value:
            raise HttpRefusal(400, "a malformed header")
        if key not in headers:
            headers[key] = value.strip()
        elif key in ("content-length", "host", "authorization"):
            raise HttpRefusal(400, f"{name} occurs twice")
        else:
            headers[key] = f"{headers[key]}, {value.strip()}"
    return headers


@lru_cache(maxsize=256)
def _key(name: str) -> str:
    """Return the name of a header in lower case; empty: it is not one."""
    return name.lower() if _TOKEN.match(name) else ""


def _body_length(method: str, headers: Mapping[str, str]) -> int:
    """Return the length of the body from ``Content-Length``.

    Raises:
        HttpRefusal: 411 for a POST without one, 501 for a transfer coding, 400 for nonsense.
    """
    if "transfer-encoding" in headers:
        raise HttpRefusal(501, "transfer codings are not modelled")
    text = headers.get("content-length")
    if text is None:
        if method == "POST":
            raise HttpRefusal(411, "a POST without Content-Length")
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise HttpRefusal(400, "Content-Length is not a number")
    return int(text)
