"""HTTP framing of the lab's server: whole, torn and malformed requests."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.server.http import HEAD_LIMIT, HttpAnswer, HttpRefusal, HttpRequest, RequestReader, refusal_answer

REQUEST = b"POST /wsman HTTP/1.1\r\nHost: pc\r\nContent-Length: 5\r\nX-One: 1\r\n\r\nhello"


def read_all(pieces: list[bytes]) -> list[HttpRequest]:
    reader = RequestReader(1000)
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (request := reader.take()) is not None:
            found.append(request)
    return found


@given(st.lists(st.integers(0, 2 * len(REQUEST)), max_size=12))
def test_requests_torn_at_any_byte_read_the_same(cuts: list[int]) -> None:
    stream = REQUEST * 2
    edges = [0, *sorted(cuts), len(stream)]
    requests = read_all([stream[start:end] for start, end in pairwise(edges)])
    assert [(each.method, each.target, each.body) for each in requests] == [("POST", "/wsman", b"hello")] * 2
    assert requests[0].headers["x-one"] == "1"
    assert requests[0].wire_bytes == len(REQUEST)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /wsman\r\n\r\n", 400),
        (b"POST /wsman HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"POST /wsman HTTP/1.1\r\nContent-Length: 1\r\n\r\n", 400),
        (b"POST /wsman HTTP/1.1\r\nHost: a\r\n\r\n", 411),
        (b"POST /wsman HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /wsman HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        (b"POST /wsman HTTP/1.1\r\nHost: a\r\n folded: 1\r\n\r\n", 400),
        (b"POST /wsman HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"POST /wsman HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"X" * HEAD_LIMIT, 400),
    ],
)
def test_a_malformed_head_is_refused_with_the_status_of_http_sys(head: bytes, status: int) -> None:
    with pytest.raises(HttpRefusal) as refusal:
        read_all([head])
    assert refusal.value.status == status
    assert refusal_answer(refusal.value).close


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_a_refusal_or_wait_for_more(data: bytes) -> None:
    reader = RequestReader(1000)
    reader.feed(data)
    status = 0
    try:
        reader.take()
    except HttpRefusal as refusal:
        status = refusal.status
    assert status in (0, 400, 411, 413, 501, 505)


def test_the_client_gets_100_continue_once() -> None:
    reader = RequestReader(1000)
    reader.feed(b"POST /wsman HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert reader.take() is None
    assert reader.take_expectation()
    assert not reader.take_expectation()


def test_connection_is_kept_or_closed_as_the_client_says() -> None:
    close = REQUEST.replace(b"X-One: 1", b"Connection: close")
    old = REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert [request.keep_alive for request in read_all([REQUEST + close + old])] == [True, False, False]


def test_an_answer_has_server_and_length() -> None:
    data = HttpAnswer(500, (("Content-Type", "text/plain"),), b"abc").encode()
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"Server: Microsoft-HTTPAPI/2.0" in head
    assert b"Content-Length: 3" in head
    assert body == b"abc"
