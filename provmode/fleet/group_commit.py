"""Forces a file to disk for all who wait for it at once.

``fsync`` takes from a tenth of a millisecond to many, and stops every greenlet while it runs. So it runs in a thread,
and whoever comes meanwhile waits for the next one, which serves all of them. Nobody is let go before an ``fsync`` that
began after his line was written.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import gevent
from gevent.event import Event


class GroupCommit:
    """What of one file is on disk. *force* forces the whole file there; it runs in a thread."""

    def __init__(self, force: Callable[[], None], size: int = 0) -> None:
        self._force = force
        self.durable = size
        """Bytes of the file that are on disk for certain."""
        self._written = size
        self._running: Event | None = None
        self._failed: OSError | None = None

    def wait(self, size: int) -> None:
        """Return once the first *size* bytes of the file are on disk; they have been written already.

        Raises:
            OSError: they could not be forced to disk. From then on every call raises it.
        """
        self._written = max(self._written, size)
        while self.durable < size:
            if self._failed is not None:
                raise OSError(self._failed.errno, self._failed.strerror)
            if self._running is not None:
                self._running.wait()
            else:
                self._lead()

    def _lead(self) -> None:
        """Force to disk what is written now, for everybody who waits."""
        self._running, until = Event(), self._written
        try:
            failed = gevent.get_hub().threadpool.apply(_caught, (self._force,))
            if failed is None:
                self.durable = max(self.durable, until)
            else:
                self._failed = failed
        finally:
            running, self._running = self._running, None
            running.set()


def _caught(force: Callable[[], None]) -> OSError | None:
    """Return the error of *force*: gevent prints what a thread raises."""
    try:
        force()
    except OSError as error:
        return error
    return None


def forcing(descriptor: int) -> Callable[[], None]:
    """Return what forces the file behind *descriptor* to disk."""
    return lambda: os.fsync(descriptor)
