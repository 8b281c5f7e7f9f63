"""Ctrl-C in a pyinfra run: it ends the run, and none of the steps that are being carried out on a PC."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import gevent

_at_work: set[Any] = set()
"""The greenlets that must not be ended now."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep Ctrl-C from ending this greenlet within the block.

    pyinfra's handler raises in whatever greenlet runs when the signal comes, be it in the middle of a step. Here it is
    called a moment later, by the event loop, and so it ends the main greenlet, as it does while every host is waited
    for. The main greenlet itself is not kept from it.
    """
    current = gevent.getcurrent()
    if current in _at_work or current is gevent.get_hub().parent:
        yield
        return
    _at_work.add(current)
    handler = _Later.install()
    try:
        yield
    finally:
        _at_work.discard(current)
        if handler is not None and not _at_work:
            handler.remove()


class _Later:
    """The handler of Ctrl-C while somebody is at work."""

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self._handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if gevent.getcurrent() in _at_work:
            gevent.get_hub().loop.run_callback(self._handler, number, None)
        else:
            self._handler(number, frame)

    @classmethod
    def install(cls) -> _Later | None:
        """Take the place of the present handler, and return the one in force; ``None`` if there is nothing to do.

        Python's own handler stays: an event loop's may be in its place, which Python does not see. Signals are handled
        in the main thread only.
        """
        present = signal.getsignal(signal.SIGINT)
        if isinstance(present, cls):
            return present
        if not callable(present) or present is signal.default_int_handler:
            return None
        later = cls(present)
        try:
            signal.signal(signal.SIGINT, later)
        except ValueError:
            return None
        return later

    def remove(self) -> None:
        """Put the handler back, unless somebody set another one meanwhile."""
        before = self._handler
        if signal.getsignal(signal.SIGINT) is self:
            signal.signal(signal.SIGINT, before)
