"""Bytes after the closing boundary of a sealed answer, put there by a relay between client and PC."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from provmode.errors import ProtocolError
from provmode.lab.process import Host, LabProcess
from provmode.transport.session import Session
from provmode.wsman import Get, Resource, text

CLIENT = Get(Resource.cim("root/ccm", "SMS_Client"))
END = b"--Encrypted Boundary--\r\n"


def read_message(sock: socket.socket) -> tuple[bytes, bytes]:
    """Return head and body of one HTTP message; both are empty if the other side has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return b"", b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < int(lengths[0]):
        body += sock.recv(65536)
    return head, body


def relay(client: socket.socket, host: Host, change: Callable[[bytes], bytes]) -> None:
    """Pass messages on until one side closes; *change* the bodies of sealed answers."""
    with client, socket.create_connection((host.address, host.port)) as pc:
        while True:
            head, body = read_message(client)
            if not head:
                return
            pc.sendall(head + b"\r\n\r\n" + body)
            head, body = read_message(pc)
            if body.endswith(END):
                body = change(body)
            lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
            client.sendall(b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body)


@pytest.fixture
def through(
    lab: LabProcess, healthy: Host, make_target: Any
) -> Iterator[Callable[[Callable[[bytes], bytes]], Session]]:
    """Open a session to a PC through a relay that changes sealed answers."""
    opened: list[Session] = []
    threads: list[threading.Thread] = []

    def open_session(change: Callable[[bytes], bytes]) -> Session:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with listener:
                relay(listener.accept()[0], healthy, change)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        target = make_target(lab, healthy)
        endpoint = replace(target.endpoint, address="127.0.0.1", port=listener.getsockname()[1])
        opened.append(Session(replace(target, endpoint=endpoint), read_only=True, pause=lambda seconds: None))
        return opened[-1]

    yield open_session
    for session in opened:
        session.close()
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize("more", [b"", b"\r\n", b"\r\n\r\n", b" \t\r\n", b"\n"])
def test_white_space_after_a_sealed_answer_is_ignored(through: Any, more: bytes) -> None:
    session = through(lambda body: body + more)

    for _ in range(3):
        assert text(session.send(CLIENT), "ClientVersion")


def test_a_sealed_answer_may_end_without_a_line_break(through: Any) -> None:
    assert text(through(lambda body: body.removesuffix(b"\r\n")).send(CLIENT), "ClientVersion")


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body + b"x",
        lambda body: body + b"\r\nx\r\n",
        lambda body: body + b"\0",
        lambda body: body + b"<s:Envelope/>\r\n",
        lambda body: body.removesuffix(END) + b"\r\n" + END,
        lambda body: body.removesuffix(END) + b"\r\n",
        lambda body: body + body,
    ],
)
def test_anything_else_breaks_the_seal(through: Any, change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ProtocolError, match="is not WinRM"):
        through(change).send(CLIENT)
