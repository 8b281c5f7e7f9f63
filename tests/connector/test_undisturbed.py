"""Ctrl-C while a greenlet is at work on a PC."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from provmode.connector.undisturbed import undisturbed

Heard = list[Any]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """In which greenlets a handler of Ctrl-C was called."""
    greenlets: Heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: greenlets.append(gevent.getcurrent()))
    yield greenlets
    signal.signal(signal.SIGINT, before)


def ctrl_c() -> None:
    """Send the signal, and compute until it has come."""
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):
        pass


def spawned(work: Any) -> Any:
    """Run *work* in a greenlet of its own, and return what it returned and the greenlet."""
    greenlet = gevent.spawn(work)
    return greenlet.get(), greenlet


def test_the_handler_is_not_called_in_the_greenlet_that_is_at_work_but_soon_after(heard: Heard) -> None:
    def work() -> Heard:
        with undisturbed():
            with undisturbed():
                pass
            ctrl_c()
            return list(heard)

    during, _ = spawned(work)
    gevent.sleep(0)

    assert during == []
    assert heard == [gevent.get_hub()]


def test_the_handler_is_called_at_once_in_any_other_greenlet(heard: Heard) -> None:
    done = Event()

    def work() -> None:
        with undisturbed():
            done.wait()

    busy = gevent.spawn(work)
    gevent.sleep(0)
    _, idle = spawned(ctrl_c)
    with undisturbed():
        ctrl_c()
    done.set()
    busy.join()

    assert heard == [idle, gevent.getcurrent()]


def test_the_handler_is_as_before_when_nobody_is_at_work_any_more(heard: Heard) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def work() -> Any:
        with undisturbed():
            gevent.sleep(0)
            return signal.getsignal(signal.SIGINT)

    pair = [gevent.spawn(work), gevent.spawn(work)]
    during = [greenlet.get() for greenlet in pair]

    assert during[0] is during[1] is not handler
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_handler_that_was_set_meanwhile_stays(heard: Heard) -> None:
    def work() -> None:
        with undisturbed():
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    spawned(work)

    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN, signal.SIG_DFL])
def test_what_is_not_a_programs_own_handler_is_left_alone(heard: Heard, handler: Any) -> None:
    signal.signal(signal.SIGINT, handler)

    def work() -> Any:
        with undisturbed():
            return signal.getsignal(signal.SIGINT)

    during, _ = spawned(work)

    assert during is handler


def test_in_another_thread_the_work_is_done_all_the_same(heard: Heard) -> None:
    done: list[str] = []

    def work() -> None:
        with undisturbed():
            done.append("done")

    thread = threading.Thread(target=spawned, args=(work,))
    thread.start()
    thread.join()

    assert done == ["done"]
