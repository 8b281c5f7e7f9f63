"""Python objects through a pipe between this program and a worker process of its own.

Both ends are this program, and nobody else can open an anonymous pipe, so what comes out of it is believed. What a PC
says travels inside of it as text and numbers that were checked.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any

from gevent.fileobject import FileObject
from gevent.lock import BoundedSemaphore

_LENGTH = struct.Struct("!Q")


class Pipe:
    """One end of two pipes. Many greenlets may send; one receives.

    *incoming* and *outgoing* are file numbers, which now belong to the pipe.
    """

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming = FileObject(incoming, "rb")
        self._outgoing = FileObject(outgoing, "wb", bufsize=0)
        self._sending = BoundedSemaphore(1)

    def send(self, message: Any) -> None:
        """Send one object.

        Raises:
            OSError: the other end is gone.
        """
        body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        frame = memoryview(_LENGTH.pack(len(body)) + body)
        with self._sending:
            while frame:
                frame = frame[self._outgoing.write(frame) :]

    def receive(self) -> Any:
        """Return the next object.

        Raises:
            EOFError: the other end is gone.
        """
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return pickle.loads(self._exactly(length))  # noqa: S301 - from this program itself, see above

    def _exactly(self, length: int) -> bytes:
        try:
            data: bytes = self._incoming.read(length)
        except OSError as error:
            raise EOFError(str(error)) from None
        if len(data) < length:
            raise EOFError("the other end is gone")
        return data

    def close(self) -> None:
        """Close this end; the other one notices."""
        for file in (self._outgoing, self._incoming):
            try:
                file.close()
            except OSError:
                pass  # the other end was gone, which is what closing says
