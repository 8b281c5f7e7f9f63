"""Dialling: one deadline for name and connection; a busy controller does not call a PC silent that answered."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from provmode.errors import Cause, Unreachable
from provmode.transport import dial as dialling
from provmode.transport.dial import dial
from provmode.transport.target import Endpoint


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def endpoint(address: str, port: int) -> Endpoint:
    return Endpoint("PC-0001", address, port)


def test_an_ip_address_is_dialled_without_a_resolver(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("the resolver was asked")

    monkeypatch.setattr(dialling.socket, "getaddrinfo", never)

    dial(endpoint("127.0.0.1", listener.getsockname()[1]), 2, seconds=time.monotonic).close()


def test_a_name_is_resolved(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[tuple[Any, ...]]()
    ask = socket.getaddrinfo

    def resolver(*question: Any, **more: Any) -> Any:
        asked.append((*question, more))
        return ask(*question, **more)

    monkeypatch.setattr(dialling.socket, "getaddrinfo", resolver)
    port = listener.getsockname()[1]

    with dial(endpoint("localhost", port), 2, seconds=time.monotonic) as connection:
        assert connection.getpeername() == ("127.0.0.1", port)
    assert asked == [(b"localhost", port, {"type": socket.SOCK_STREAM})]


def test_the_second_address_of_a_pc_is_tried_when_the_first_is_dead(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    dead = ("127.0.0.2", port)
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in (dead, ("127.0.0.1", port))]
    monkeypatch.setattr(dialling.socket, "getaddrinfo", lambda *_, **__: addresses)

    dial(endpoint("pc-0001.example.com", port), 2, seconds=time.monotonic).close()


def test_an_open_connection_is_used_even_if_it_is_looked_at_late(listener: socket.socket) -> None:
    class Late(socket.socket):
        def connect(self, address: Any) -> None:
            super().connect(address)
            raise TimeoutError

    dialling._connect(Late(socket.AF_INET, socket.SOCK_STREAM), listener.getsockname(), 1).close()


def test_a_connection_that_is_not_open_is_a_timeout_and_leaves_no_socket() -> None:
    class Silent(socket.socket):
        def connect(self, address: Any) -> None:
            raise TimeoutError

    sock = Silent(socket.AF_INET, socket.SOCK_STREAM)

    with pytest.raises(TimeoutError):
        dialling._connect(sock, ("127.0.0.1", 9), 1)
    assert sock.fileno() == -1


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("127.0.0.1", Cause.REFUSED),
        ("pc.invalid", Cause.NAME_RESOLUTION),
        ("pc-0001..example.com", Cause.NAME_RESOLUTION),
        ("x" * 64 + ".example.com", Cause.NAME_RESOLUTION),
    ],
)
def test_each_kind_of_failure_has_its_own_cause(address: str, cause: Cause) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(Unreachable) as error:
        dial(endpoint(address, port), 2, seconds=time.monotonic)

    assert error.value.cause is cause
    assert error.value.next_step
