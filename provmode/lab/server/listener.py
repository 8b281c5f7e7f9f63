"""One loopback port a PC: ports that answer, ports that refuse, and ports that never answer a connection attempt."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from dataclasses import dataclass, field

from provmode.lab.server.connection import Endpoint

LOOPBACK = "127.0.0.1"
HTTP, HTTPS = 5985, 5986
"""WinRM's own ports."""
BACKLOG = 512
"""Connections that may wait to be accepted; the kernel caps it at ``somaxconn``."""


@dataclass(frozen=True)
class Place:
    """Where to listen; the port 0 is any that is free."""

    address: str = LOOPBACK
    port: int = 0


ANYWHERE = Place()


@dataclass
class Port:
    """A bound port, and its sockets and server."""

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


async def listen(endpoint: Endpoint, context: ssl.SSLContext | None = None, place: Place = ANYWHERE) -> Port:
    """Listen at *place* and answer, over TLS if there is a *context*."""
    bound = _bind(place)
    server = await asyncio.get_running_loop().create_server(endpoint.connect, sock=bound, ssl=context, backlog=BACKLOG)
    return Port(bound.getsockname()[1], server=server, endpoint=endpoint)


def refuse(place: Place = ANYWHERE) -> Port:
    """Bind a port without listening: the kernel answers every attempt with a reset."""
    bound = _bind(place)
    return Port(bound.getsockname()[1], [bound])


def black_hole(place: Place = ANYWHERE) -> Port:
    """Listen with a full backlog: the kernel drops every further SYN, as a firewall does.

    Our own connection fills a backlog of 0 and is never accepted (on Linux an accept queue holds backlog + 1).
    """
    bound = _bind(place)
    bound.listen(0)
    filler = socket.create_connection(bound.getsockname())
    return Port(bound.getsockname()[1], [bound, filler])


def _bind(place: Place) -> socket.socket:
    """Return a socket bound to *place*.

    Raises:
        OSError: the port is taken; the message says which.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if place.port:  # whoever had it before may have left connections that are not quite over
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((place.address, place.port))
    except OSError as error:
        bound.close()
        where = f"{place.address}:{place.port}" if place.port else place.address
        raise OSError(error.errno, f"{where}: {error.strerror}") from None
    return bound


def allow_open_files(needed: int) -> None:
    """Raise the limit of open files as far as the system lets us.

    Raises:
        OSError: the hard limit is below *needed*; the message says how to raise it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise OSError(f"the lab needs {needed} open files, the limit is {hard}; raise it with: ulimit -Hn {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
