"""Dialling a PC: name and TCP connection within one deadline, and why it failed told apart.

Two things would make a busy controller call PCs silent that are not: names are resolved by a few threads, so that a
thousand wait for each other (the deadline begins when it is a name's turn, and an IP address needs no turn); and a
connection that stands may be looked at only when the deadline has passed (then it stands).
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from provmode.errors import Cause, Unreachable
from provmode.transport.target import Endpoint

RESOLVING = BoundedSemaphore(8)
"""Names resolved at a time: under gevent each takes one of ten threads."""

Place = tuple[Any, Any, int, str, Any]
"""Family, type, protocol, canonical name and address, as ``getaddrinfo`` has them."""


def dial(endpoint: Endpoint, deadline: float, *, seconds: Callable[[], float]) -> socket.socket:
    """Return a TCP connection to *endpoint*; name and connection together take at most *deadline* seconds.

    *seconds* is a monotonic clock.

    Raises:
        Unreachable: the name does not resolve, nothing answered in time, or the connection was refused.
    """
    where = f"{endpoint.name} ({endpoint.address}:{endpoint.port})"
    try:
        return _dial(endpoint, deadline, seconds)
    except UnicodeError:  # an empty label, or one of over 63 characters
        raise Unreachable(
            f"{endpoint.address[:80]} is no host name",
            next_step="check the name in the inventory",
            cause=Cause.NAME_RESOLUTION,
        ) from None
    except socket.gaierror as error:
        raise Unreachable(
            f"the name {endpoint.address} does not resolve ({error.strerror or error})",
            next_step="check the name in the inventory and in DNS",
            cause=Cause.NAME_RESOLUTION,
        ) from None
    except TimeoutError:
        raise Unreachable(
            f"{where} did not answer within {deadline:g} s (connect deadline)",
            next_step="the PC is off, away or behind a firewall; try again when it is on",
        ) from None
    except ConnectionRefusedError:
        raise Unreachable(
            f"{where} refused the connection",
            next_step="run `winrm quickconfig` on the PC, and check the port",
            cause=Cause.REFUSED,
        ) from None
    except OSError as error:
        raise Unreachable(
            f"{where} cannot be reached ({error.strerror or type(error).__name__})",
            next_step="check the route to the PC's network",
        ) from None


def _dial(endpoint: Endpoint, deadline: float, seconds: Callable[[], float]) -> socket.socket:
    """Try each address; every one but the last gets half of what is left."""
    numeric = _numeric(endpoint.address, endpoint.port)
    if numeric is not None:
        ends, places = seconds() + deadline, [numeric]
    else:
        name = endpoint.address.encode("idna")  # here, because gevent prints what its resolver's threads raise
        with RESOLVING:
            ends = seconds() + deadline
            with gevent.Timeout(deadline, socket.timeout):
                places = list(socket.getaddrinfo(name, endpoint.port, type=socket.SOCK_STREAM))
    for family, kind, protocol, _, address in places[:-1]:
        try:
            return _connect(socket.socket(family, kind, protocol), address, _left(ends, seconds) / 2)
        except OSError:
            continue  # the next address of the same PC
    family, kind, protocol, _, address = places[-1]
    return _connect(socket.socket(family, kind, protocol), address, _left(ends, seconds))


def _left(ends: float, seconds: Callable[[], float]) -> float:
    return max(0.05, ends - seconds())


def _numeric(address: str, port: int) -> Place | None:
    """Return where an IP address is, without a resolver; ``None`` for a name."""
    bare, _, scope = address.partition("%")
    try:
        version = ipaddress.ip_address(bare).version
    except ValueError:
        return None
    if version == 4:
        return socket.AF_INET, socket.SOCK_STREAM, 0, "", (bare, port)
    number = int(scope) if scope.isdigit() else socket.if_nametoindex(scope) if scope else 0
    return socket.AF_INET6, socket.SOCK_STREAM, 0, "", (bare, port, 0, number)


def _connect(sock: socket.socket, address: Any, seconds: float) -> socket.socket:
    """Connect *sock* within *seconds*; it is closed where that fails."""
    try:
        sock.settimeout(seconds)
        try:
            sock.connect(address)
        except TimeoutError:
            sock.getpeername()  # raises where it does not stand: a late look is no silent PC
    except OSError as error:
        sock.close()
        if error.errno == errno.ENOTCONN:
            raise TimeoutError from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock
