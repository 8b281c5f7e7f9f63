"""Dialling a PC: name and TCP connection within one deadline, and a separate cause for each kind of failure.

A busy controller must not call a PC silent that is not, so:

* Names queue to be looked up (`provmode.transport.resolver`). The deadline of a name begins when its turn comes. An IP
  address does not queue.
* The controller may look at an open connection only after the deadline has passed. The connection counts as open.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable
from typing import Any

from provmode.errors import Cause, Unreachable
from provmode.transport.resolver import RESOLVER, AddressInfo, NotAnswered
from provmode.transport.target import Counters, Endpoint

OUR_DNS = "look at this computer's network and its DNS servers, or set winrm_address to IP addresses"


class NoResolver(Unreachable):
    """DNS does not answer: this says nothing about the PC, and nothing about its name."""

    cause = Cause.NAME_RESOLUTION
    to_mend = True


def dial(endpoint: Endpoint, deadline: float, *, seconds: Callable[[], float]) -> socket.socket:
    """Return a TCP connection to *endpoint*; name and connection together take at most *deadline* seconds.

    *seconds* is a monotonic clock.

    Raises:
        NoResolver: DNS does not answer.
        Unreachable: the name does not resolve, nothing answered in time, or the connection was refused.
    """
    where = f"{endpoint.name} ({endpoint.address}:{endpoint.port})"
    try:
        return _dial(endpoint, deadline, seconds)
    except UnicodeError:  # an empty label, or one of over 63 characters
        raise Unreachable(
            f"{endpoint.address[:80]} is not a host name",
            next_step="check the name in the inventory",
            cause=Cause.NAME_RESOLUTION,
        ) from None
    except NotAnswered as silence:
        raise NoResolver(f"DNS does not answer for {endpoint.address}, {silence}", next_step=OUR_DNS) from None
    except socket.gaierror as error:
        if error.errno in (socket.EAI_AGAIN, socket.EAI_SYSTEM, socket.EAI_FAIL):
            raise NoResolver(
                f"DNS does not answer for {endpoint.address} ({error.strerror or error})", next_step=OUR_DNS
            ) from None
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
    """Try each address in turn; each but the last gets half of the remaining time."""
    numeric = _numeric(endpoint.address, endpoint.port)
    if numeric is not None:
        ends, addresses = seconds() + deadline, [numeric]
    else:
        name = endpoint.address.encode("idna")
        began, addresses = RESOLVER.addresses(name, endpoint.port, deadline, seconds=seconds)
        ends = began + deadline
    for family, kind, protocol, _, address in addresses[:-1]:
        try:
            return _connect(socket.socket(family, kind, protocol), address, _remaining(ends, seconds) / 2)
        except OSError:
            continue  # the next address of the same PC
    family, kind, protocol, _, address = addresses[-1]
    return _connect(socket.socket(family, kind, protocol), address, _remaining(ends, seconds))


def _remaining(ends: float, seconds: Callable[[], float]) -> float:
    return max(0.05, ends - seconds())


def _numeric(address: str, port: int) -> AddressInfo | None:
    """Return the address info of an IP address, without the resolver; ``None`` for a name."""
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
    """Connect *sock* within *seconds*; close it if that fails."""
    try:
        sock.settimeout(seconds)
        try:
            sock.connect(address)
        except TimeoutError:
            sock.getpeername()  # raises if not connected; if connected, only our look was late and the PC is not silent
    except OSError as error:
        sock.close()
        if error.errno == errno.ENOTCONN:
            raise TimeoutError from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock


def speaks_tls(endpoint: Endpoint, deadline: float, *, counters: Counters, seconds: Callable[[], float]) -> bool:
    """Return whether the port answers a TLS greeting, asked on a connection of its own. Send nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with dial(endpoint, deadline, seconds=seconds) as sock:
            counters.connections += 1
            sock.settimeout(deadline)
            with context.wrap_socket(sock):
                return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, Unreachable):  # no connection, or no answer
        return False
