"""Names of a fleet: nobody's silence costs one deadline in all, is called DNS, and hides no name that is answered."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import monkey
from gevent.pool import Pool

from provmode.errors import Cause, Unreachable
from provmode.transport import dial as dialling
from provmode.transport.dial import NoResolver, dial
from provmode.transport.resolver import AT_ONCE, NotAnswered, Resolver
from provmode.transport.target import Endpoint

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 9))]
Ask = Callable[..., Any]


class Silence:
    """Holds up real threads until it is over; gevent's locks would not."""

    def __init__(self) -> None:
        self._lock = monkey.get_original("_thread", "allocate_lock")()
        self._lock.acquire()

    def wait(self) -> None:
        if self._lock.acquire(timeout=60):
            self._lock.release()

    def end(self) -> None:
        if self._lock.locked():
            self._lock.release()


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silence]:
    """A DNS that knows ``good``, says that there is no ``none``, and is silent about everything else."""
    over = Silence()

    def ask(name: bytes, *_: Any, **__: Any) -> Any:
        if name.startswith(b"good"):
            return FOUND
        if name.startswith(b"none"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        over.wait()
        return FOUND

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    yield over
    over.end()


@pytest.fixture(autouse=True)
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """A resolver that no other test has seen."""
    fresh = Resolver()
    monkeypatch.setattr(dialling, "RESOLVER", fresh)
    return fresh


def dialled(name: str, deadline: float) -> Exception | None:
    try:
        dial(Endpoint(name, name, 9), deadline, seconds=time.monotonic)
    except Unreachable as error:
        return error
    return None


def test_four_hundred_names_that_nobody_answers_for_cost_one_deadline_and_are_called_dns(
    dns: Silence,
) -> None:
    began = time.monotonic()

    errors = Pool(400).map(lambda number: dialled(f"dead-{number}", 1.0), range(400))

    took = time.monotonic() - began
    assert took < 8  # one after another in windows of 32 it would take 13 s, of 8 it would take 50
    for error in errors:
        assert isinstance(error, NoResolver)
        assert error.cause is Cause.NAME_RESOLUTION
        assert "DNS does not answer" in error.what
        assert "this computer's network and its DNS servers" in error.next_step


def test_after_that_nobody_is_asked_for_a_while(dns: Silence, resolver: Resolver) -> None:
    now = [0.0]
    Pool(20).map(lambda number: _addresses(resolver, b"dead-%d" % number, lambda: now[0]), range(20))

    with pytest.raises(NotAnswered):
        resolver.addresses(b"good", 9, 0.2, seconds=lambda: now[0])
    now[0] = 31.0
    assert resolver.addresses(b"good", 9, 5.0, seconds=lambda: now[0])[1] == FOUND


def _addresses(resolver: Resolver, name: bytes, seconds: Callable[[], float]) -> None:
    with pytest.raises(NotAnswered):
        resolver.addresses(name, 9, 0.2, seconds=seconds)


@pytest.mark.parametrize("known", ["good", "none"])
def test_names_of_a_zone_that_is_dead_hide_no_name_that_is_answered(dns: Silence, known: str) -> None:
    names = [name for number in range(60) for name in (f"dead-{number}", f"{known}-{number}")]

    errors = dict(Pool(len(names)).map(lambda name: (name, dialled(name, 1.0)), names))

    for name, error in errors.items():
        assert isinstance(error, Unreachable), name
        assert isinstance(error, NoResolver) is name.startswith("dead"), name
        assert (error.cause is Cause.NAME_RESOLUTION) is not name.startswith("good"), name
    assert not isinstance(dialled("good-afterwards", 1.0), NoResolver)


def test_a_name_that_waits_for_its_turn_loses_nothing_of_its_deadline(dns: Silence) -> None:
    resolver = Resolver(at_once=1, most=1)
    first = gevent.spawn(resolver.addresses, b"dead", 9, 0.5, seconds=time.monotonic)
    waiting = gevent.spawn(resolver.addresses, b"good", 9, 0.5, seconds=time.monotonic)
    gevent.wait([first], timeout=10)
    assert isinstance(first.exception, NotAnswered)
    assert not waiting.ready()  # the thread is still asking

    dns.end()

    assert waiting.get(timeout=10)[1] == FOUND


def test_a_killed_wait_gives_its_turn_to_the_next(dns: Silence) -> None:
    resolver = Resolver(at_once=1, most=1)
    first = gevent.spawn(resolver.addresses, b"dead", 9, 30.0, seconds=time.monotonic)
    killed = gevent.spawn(resolver.addresses, b"good", 9, 30.0, seconds=time.monotonic)
    last = gevent.spawn(resolver.addresses, b"good", 9, 30.0, seconds=time.monotonic)
    gevent.idle()

    killed.kill()
    dns.end()

    assert last.get(timeout=10)[1] == FOUND
    assert first.get(timeout=10)[1] == FOUND


def test_a_resolver_that_says_try_again_is_called_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", ask)

    error = dialled("pc-1", 5.0)

    assert isinstance(error, NoResolver)
    assert "Temporary failure" in error.what
    assert AT_ONCE > 8
