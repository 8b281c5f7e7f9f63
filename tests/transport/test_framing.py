"""Answers of HTTP/1.1 are read as they are written, however they come, or not at all."""

from __future__ import annotations

import http.client
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.transport.framing import (
    MAX_CHUNK_LINE,
    MAX_HEAD,
    Answer,
    AnswerReader,
    CutOff,
    NotHttp,
    TooLarge,
)


def read(data: bytes, *, pieces: int = 0, ends: bool = False, most: int = 1 << 20) -> Answer | None:
    """Read *data*, at once or in pieces of a size; *ends*: the stream ends after it."""
    reader, answer = AnswerReader(most), None
    for start in range(0, len(data), pieces or max(1, len(data))):
        assert answer is None, "an answer before the last byte"
        answer = reader.feed(data[start : start + (pieces or len(data))])
    return reader.feed(b"") if ends else answer


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("pieces", [0, 1, 2, 7])
@pytest.mark.parametrize(
    ("data", "body"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (OK + b"content-length:5\r\n\r\nhello", b"hello"),
        (OK + b"Content-Length:  \t 5 \t\r\n\r\nhello", b"hello"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\n", b""),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (OK + b"Transfer-Encoding: CHUNKED\r\n\r\n2;a=b\r\nhe\r\n00003 \r\nllo\r\n0\r\nX: 1\r\n\r\n", b"hello"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n" * 3 + OK + b"Content-Length: 1\r\n\r\nx", b"x"),
    ],
)
def test_an_answer_is_read_however_it_comes(data: bytes, body: bytes, pieces: int) -> None:
    answer = read(data, pieces=pieces)

    assert answer is not None
    assert answer.body == body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "does not begin"),
        (b"ICY 200 OK\r\n\r\n", "does not begin"),
        (b"\r\n" + OK, "does not begin"),
        (b"HTTP/2 200\r\n\r\n", "does not begin"),
        (b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "change of protocol"),
        (OK + b"Content-Length : 0\r\n\r\n", "header line"),
        (OK + b"Content-Length: 0\r\n X: folded\r\n\r\n", "header line"),
        (OK + b"Content-Length: 0\nX: 1\r\n\r\n", "header line"),
        (OK + b"Content-Length: 0\rX: 1\r\n\r\n", "header line"),
        (OK + b"no colon\r\n\r\n", "header line"),
        (OK + b": empty\r\n\r\n", "header line"),
        (OK + b"X: \0\r\nContent-Length: 0\r\n\r\n", "header line"),
        (OK + b"Content-Length: -1\r\n\r\n", "a length"),
        (OK + b"Content-Length: +1\r\n\r\nx", "a length"),
        (OK + b"Content-Length: 0x1\r\n\r\nx", "a length"),
        (OK + b"Content-Length: 1_0\r\n\r\nx", "a length"),
        (OK + b"Content-Length: \r\n\r\n", "a length"),
        (OK + b"Content-Length: 1, 1\r\n\r\nx", "a length"),
        (OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "a length"),
        (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "a length beside"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\n", "transfer coding"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "transfer coding"),
        (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "transfer coding"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n", "without a size"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "without a size"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n", "without a size"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n", "longer than it says"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", "longer than it says"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n", "header line"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * MAX_CHUNK_LINE, "before a chunk"),
        (OK + b"Content-Length: 1\r\n\r\nxy", "more than one answer"),
        (OK + b"Content-Length: 0\r\n\r\n" + OK, "more than one answer"),
        (b"HTTP/1.1 204 No Content\r\n\r\nx", "more than one answer"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n", "more than one answer"),
        (OK + b"X: " + b"a" * MAX_HEAD, "a head of over"),
    ],
)
def test_what_is_not_one_answer_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(NotHttp, match=reason):
        read(data)


@pytest.mark.parametrize("status", [b"HTTP/1.1 503 No", b"HTTP/1.0 503 No"])
def test_an_answer_without_a_length_ends_with_the_connection(status: bytes) -> None:
    data = status + b"\r\nConnection: close\r\n\r\nthe service"

    assert read(data) is None
    answer = read(data, ends=True)
    assert answer is not None
    assert (answer.status, answer.body, answer.last) == (503, b"the service", True)


@pytest.mark.parametrize("data", [b"", b"HTT", OK, OK + b"Content-Length: 5\r\n\r\nhell"])
def test_a_stream_that_ends_early_is_cut_off(data: bytes) -> None:
    with pytest.raises(CutOff) as cut:
        read(data, ends=True)
    assert cut.value.begun is bool(data)


@pytest.mark.parametrize(
    ("status", "header", "last"),
    [
        (b"1.1", b"", False),
        (b"1.1", b"Connection: close\r\n", True),
        (b"1.1", b"Connection: Keep-Alive, Close\r\n", True),
        (b"1.0", b"", True),
        (b"1.0", b"Connection: keep-alive\r\n", False),
    ],
)
def test_whether_the_connection_goes_on_is_read(status: bytes, header: bytes, last: bool) -> None:
    answer = read(b"HTTP/" + status + b" 200 OK\r\n" + header + b"Content-Length: 0\r\n\r\n")
    assert answer is not None
    assert answer.last is last


def test_a_field_that_comes_twice_is_joined() -> None:
    offers = b"WWW-Authenticate: Negotiate\r\nwww-authenticate: Kerberos\r\n"
    answer = read(b"HTTP/1.1 401 No\r\n" + offers + b"Content-Length: 0\r\n\r\n")
    assert answer is not None
    assert answer.field("WWW-Authenticate") == "Negotiate, Kerberos"
    assert answer.field("Server") == ""


def test_everything_together_is_bounded() -> None:
    whole = OK + b"Content-Length: 100\r\n\r\n" + b"x" * 100
    assert read(whole, most=len(whole)) is not None
    for data in (
        whole,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 90,
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 90,
    ):
        with pytest.raises(TooLarge):
            read(data, most=len(whole) - 1)


def test_a_length_over_the_bound_is_refused_before_its_body_comes() -> None:
    with pytest.raises(TooLarge):
        read(OK + b"Content-Length: 200\r\n\r\n", most=150)


def test_thousands_of_small_parts_are_read() -> None:
    before = b"HTTP/1.1 100 Continue\r\n\r\n" * 5000
    answer = read(before + OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n")
    assert answer is not None
    assert answer.body == b"x" * 5000


# -- against anything, and against another reader -------------------------------------------------------------------

PARTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 503 No\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"abc",
        b"X: y\r\n",
        b" ",
        b"\n",
        b":",
    ]
)
STREAMS = st.one_of(
    st.binary(max_size=200), st.lists(st.one_of(PARTS, st.binary(max_size=4)), max_size=12).map(b"".join)
)


def outcome(data: bytes, pieces: int) -> Any:
    try:
        return read(data, pieces=pieces, ends=True)
    except (NotHttp, TooLarge, CutOff) as error:
        return type(error)
    except AssertionError:
        return NotHttp  # bytes after the answer, which come in a piece of their own


@given(STREAMS)
def test_any_bytes_are_an_answer_or_one_of_three_errors(data: bytes) -> None:
    reader = AnswerReader(4096)
    try:
        reader.feed(data)
    except (NotHttp, TooLarge, CutOff):
        pass


@given(STREAMS, st.integers(min_value=1, max_value=9))
def test_how_bytes_come_makes_no_difference(data: bytes, pieces: int) -> None:
    def whole(size: int) -> Any:
        reader = AnswerReader(4096)
        got = []
        try:
            for start in range(0, len(data), size):
                got.append(reader.feed(data[start : start + size]))
                if got[-1] is not None:
                    return got[-1] if start + size >= len(data) else NotHttp
        except (NotHttp, TooLarge) as error:
            return type(error)
        return None

    assert whole(pieces) == whole(max(1, len(data)))


class _Line:
    """A socket that has received *data*, for `http.client`."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self._data)


@given(STREAMS)
def test_what_is_read_here_is_what_pythons_own_client_reads(data: bytes) -> None:
    reader = AnswerReader(4096)
    try:
        answer = reader.feed(data) if data else None
    except (NotHttp, TooLarge):
        return
    if answer is None:
        return
    other = http.client.HTTPResponse(_Line(data), method="POST")  # type: ignore[arg-type]
    other.begin()

    assert (other.status, other.read()) == (answer.status, answer.body)
