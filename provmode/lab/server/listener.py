"""One loopback port a PC: ports that answer, ports that refuse, and ports that swallow every connection attempt."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from dataclasses import dataclass, field

from provmode.lab.server.connection import Endpoint

LOOPBACK = "127.0.0.1"
BACKLOG = 512
"""Connections that may wait to be accepted; the kernel caps it at ``somaxconn``."""


@dataclass
class Port:
    """A bound port and what holds it."""

    number: int
    sockets: list[socket.socket] = field(default_factory=list)
    server: asyncio.Server | None = None
    endpoint: Endpoint | None = None

    async def close(self) -> None:
        """Stop listening, drop the open connections and free the port."""
        if self.server is not None:
            self.server.close()
        if self.endpoint is not None:
            for connection in list(self.endpoint.open_connections):
                connection.abort()
        for each in self.sockets:
            each.close()


async def answer(endpoint: Endpoint, context: ssl.SSLContext | None = None) -> Port:
    """Listen and answer, over TLS where there is a *context*."""
    bound = _bind()
    server = await asyncio.get_running_loop().create_server(endpoint.connect, sock=bound, ssl=context, backlog=BACKLOG)
    return Port(bound.getsockname()[1], server=server, endpoint=endpoint)


def refuse() -> Port:
    """Hold a port without listening: the kernel answers every attempt with a reset."""
    bound = _bind()
    return Port(bound.getsockname()[1], [bound])


def black_hole() -> Port:
    """Listen with a backlog that is full for good: the kernel drops every further SYN, as a firewall does.

    One connection of our own fills a backlog of 0, and nobody ever accepts it (Linux: an accept queue holds
    backlog + 1).
    """
    bound = _bind()
    bound.listen(0)
    filler = socket.create_connection(bound.getsockname())
    return Port(bound.getsockname()[1], [bound, filler])


def _bind() -> socket.socket:
    """Return a socket bound to a free loopback port."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.bind((LOOPBACK, 0))
    except OSError:
        bound.close()
        raise
    return bound


def allow_open_files(needed: int) -> None:
    """Raise the limit of open files as far as the system lets us.

    Raises:
        OSError: the hard limit is below *needed*; it says what to raise.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise OSError(f"the lab needs {needed} open files, the limit is {hard}; raise it with: ulimit -Hn {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
