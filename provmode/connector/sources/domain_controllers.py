"""A domain controller: found by DNS, logged on to with Kerberos, and asked over LDAP in sealed messages, or over TLS.

The bind is GSS-SPNEGO with signing, sealing and the controller's own proof of who it is; without them nothing is asked.
Over TLS (LDAPS) that signs and seals: Active Directory allows no second layer, and the bind is tied to the
controller's certificate instead. No password is sent. Every wait has a deadline.

A controller that DNS names is asked for as ``ldap/CONTROLLER/DOMAIN``, a name that in a domain only its controllers
have; one that a person names may be called ``ldap/CONTROLLER`` alone.
"""

from __future__ import annotations

import functools
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import dns.exception
import dns.resolver

from provmode.connector.host_data import PASSWORD_ENVIRONMENT, USER_ENVIRONMENT
from provmode.connector.mistakes import check_keytab
from provmode.connector.sources.ldap import Message, NotLdap, Refused, Talk, Wire, bind
from provmode.connector.sources.ldaps import TlsClosed, secured
from provmode.connector.sources.wanted import Wanted, is_dns_name
from provmode.errors import Cause, Unreachable, UsageError
from provmode.text import shortened, visible
from provmode.transport.dial import dial
from provmode.transport.kerberos_words import EXPIRED, NO_CACHE, NO_CREDENTIAL, S_UNKNOWN, about_ticket, principal_of
from provmode.transport.security import REQUIRED_OF_KERBEROS, REQUIRED_OVER_TLS
from provmode.transport.target import Credentials, Endpoint
from provmode.transport.tickets import PROCESS, KerberosFailed, Service

T = TypeVar("T")

PORT, PORT_OVER_TLS = 389, 636
SERVICE = "ldap"
WANTS_TLS = frozenset({8, 13})
"""strongerAuthRequired and confidentialityRequired (RFC 4511 section 4.1.9), to a bind that seals."""
INVALID_CREDENTIALS = 49
BAD_BINDINGS = "80090346"
"""SEC_E_BAD_BINDINGS, in Active Directory's text beside LDAP 49."""
CONNECT = 5.0
"""Seconds for DNS, for the connection to one controller, and for a ticket."""
SILENCE = 30.0
"""Seconds for the next piece of an answer."""
WHOLE = 120.0
"""Seconds for everything."""
MOST_CONTROLLERS = 4
"""Controllers that are tried before the domain counts as silent."""
_LOOK = "look at DNS, at port {} and at the firewall, or name another one with server=DC"


class Directory:
    """A connection to a domain controller, logged on and sealed."""

    def __init__(self, connection: Any, server: str, ends: float, *, port: int = PORT, whole: float = WHOLE) -> None:
        self.server = server
        self._socket, self._ends, self._whole = connection, ends, whole
        self._look = _LOOK.format(port)
        self._wire = Wire()
        self._waiting: deque[Message] = deque()

    @property
    def wire(self) -> Wire:
        """What conversations are made with."""
        return self._wire

    def carry_out(self, talk: Talk[T]) -> T:
        """Return what a conversation ends with.

        Raises:
            UsageError: the controller was silent, broke off or answered something that is not LDAP.
            Refused: it answered with an error.
        """
        try:
            send = next(talk)
            while True:
                if send:
                    self._send(send)
                send = talk.send(None if send else self._next())
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]
        except NotLdap as error:
            raise UsageError(
                f"the domain controller {self.server}: {visible(str(error))}", next_step="is it a domain controller?"
            ) from None

    def seal(self, context: Any) -> None:
        """Seal everything from now on with the keys of *context*."""
        if self._waiting:
            raise NotLdap("it sent something unsealed after the handshake")
        self._wire.sealed(context.seal_whole, context.open_whole)

    def close(self) -> None:
        """Close the connection. Never raise."""
        with suppress(OSError):  # it ends either way
            self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._seconds())
            self._socket.sendall(data)
        except TimeoutError:
            raise self._silent() from None
        except OSError as error:
            raise self._broken(error.strerror or type(error).__name__) from None

    def _next(self) -> Message:
        while not self._waiting:
            try:
                self._socket.settimeout(self._seconds())
                data = self._socket.recv(262_144)
            except TimeoutError:
                raise self._silent() from None
            except OSError as error:
                raise self._broken(error.strerror or type(error).__name__) from None
            if not data:
                raise self._broken("it closed the connection")
            try:
                self._waiting.extend(self._wire.feed(data))
            except NotLdap:
                raise
            except Exception as error:  # noqa: BLE001 - pyspnego's and gssapi's errors on a broken seal
                raise UsageError(
                    f"the domain controller {self.server} sent a message whose seal is broken ({type(error).__name__})",
                    next_step="something between here and there changes what is sent",
                ) from None
        return self._waiting.popleft()

    def _seconds(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise UsageError(
                f"the domain controller {self.server} was not done within {self._whole:g} s", next_step="ask for an OU"
            )
        return min(SILENCE, left)

    def _silent(self) -> UsageError:
        return UsageError(
            f"the domain controller {self.server} did not answer for {SILENCE:g} s",
            next_step=f"try again; {self._look}",
        )

    def _broken(self, why: str) -> UsageError:
        return UsageError(f"the connection to the domain controller {self.server} broke ({why})", next_step=self._look)


@contextmanager
def opened(wanted: Wanted, *, seconds: float = WHOLE) -> Iterator[Directory]:
    """Log on to a domain controller of a domain; everything together takes at most *seconds*.

    Raises:
        UsageError: there is none, none answers, there is no ticket, or it refused it.
    """
    began = time.monotonic()
    servers = [wanted.server] if wanted.server else controllers_of(wanted.domain)
    try:
        directory = _logged_on(wanted, servers, began, seconds)
    except _WantsTls as wants:
        directory = _logged_on(replace(wanted, ldaps=True), [wants.server], began, seconds)
    try:
        yield directory
    finally:
        directory.close()


class _WantsTls(Exception):
    """The domain controller *server* lets nobody in without TLS."""

    def __init__(self, server: str) -> None:
        super().__init__(server)
        self.server = server


def _logged_on(wanted: Wanted, servers: list[str], began: float, seconds: float) -> Directory:
    """Return the first of *servers* that answers, logged on to."""
    server, connection, binding = _connected(servers, wanted)
    directory = Directory(connection, server, began + seconds, port=_port(wanted), whole=seconds)
    try:
        context = _context(wanted, server, binding)
        directory.carry_out(bind(directory.wire, functools.partial(_step, context, server)))
        _require(context, server, over_tls=wanted.ldaps)
        if not wanted.ldaps:
            directory.seal(context)
    except BaseException as error:
        directory.close()
        if isinstance(error, NotLdap):
            raise UsageError(f"the domain controller {server}: {error}") from None
        if isinstance(error, Refused):
            if error.code in WANTS_TLS and not wanted.ldaps:
                raise _WantsTls(server) from None
            raise _not_let_in(server, error, over_tls=wanted.ldaps) from None
        raise
    return directory


def controllers_of(domain: str) -> list[str]:
    """Return the domain controllers that DNS names, in the order in which to try them.

    Raises:
        UsageError: DNS names none, or does not answer.
    """
    record = f"_ldap._tcp.dc._msdcs.{domain}"
    cure = "look at this computer's DNS servers: they have to know the domain; or name one with server=DC"
    try:
        answer: Any = dns.resolver.resolve(record, "SRV", lifetime=CONNECT, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        raise UsageError(f"DNS knows no domain controller of {domain} ({record})", next_step=cure) from None
    except (dns.exception.DNSException, OSError, ValueError) as error:
        raise UsageError(f"DNS does not answer for {record} ({type(error).__name__})", next_step=cure) from None
    found = [str(one.target).rstrip(".").lower() for one in answer.rrset.processing_order()]
    servers = [server for server in found if is_dns_name(server)]
    if not servers:
        raise UsageError(f"DNS names no domain controller of {domain} that has a name", next_step=cure)
    return servers[:MOST_CONTROLLERS]


def _port(wanted: Wanted) -> int:
    return PORT_OVER_TLS if wanted.ldaps else PORT


def _connected(servers: list[str], wanted: Wanted) -> tuple[str, Any, bytes]:
    """Return the first controller that answers, the connection to it, and the binding of its TLS; empty without."""
    failed, port = [], _port(wanted)
    for server in servers:
        try:
            connection = dial(Endpoint(server, server, port), CONNECT, seconds=time.monotonic)
            if not wanted.ldaps:
                return server, connection, b""
            try:
                return (server, *secured(connection, server, wanted.ca, CONNECT))
            except BaseException:
                connection.close()
                raise
        except Unreachable as error:
            failed.append(f"{server} {_WHY.get(error.cause, 'cannot be reached')}")
        except TlsClosed:
            failed.append(f"{server} agrees on no TLS (has it a certificate?)")
    look = _LOOK.format(port) + ("" if wanted.ldaps else "; ldaps=1 asks port 636")
    raise UsageError(f"no domain controller of {wanted.domain} answers: {', '.join(failed)}", next_step=look)


_WHY = {
    Cause.CONNECT_TIMEOUT: f"was silent for {CONNECT:g} s or cannot be reached",
    Cause.REFUSED: "refused the connection",
    Cause.NAME_RESOLUTION: "does not resolve",
}


def _context(wanted: Wanted, server: str, binding: bytes) -> Any:
    """Return a Kerberos context to a controller, with its first token made."""
    user, password = wanted.user, ""
    environment = os.environ.get(USER_ENVIRONMENT, "")
    if not user and not wanted.keytab and "@" in environment:
        user, password = environment, os.environ.get(PASSWORD_ENVIRONMENT, "")
    keytab = Path(os.path.expanduser(wanted.keytab)) if wanted.keytab else None
    if keytab is not None:
        check_keytab("@ad", keytab)
    credentials = Credentials("kerberos", user, password, keytab=keytab)
    service = Service(SERVICE, wanted.domain, spnego=True, sealed=not wanted.ldaps)
    try:
        try:
            return PROCESS.context(credentials, server, binding, CONNECT, service=service)
        except KerberosFailed as failed:
            if failed.code != S_UNKNOWN or not wanted.server:
                raise
        return PROCESS.context(credentials, server, binding, CONNECT, service=replace(service, domain=""))
    except KerberosFailed as failed:
        called = f"{server}/{wanted.domain}" if not wanted.server else server
        raise _no_ticket(failed.code, failed.text, user, server, f"{SERVICE}/{called}") from None


def _no_ticket(code: int, text: str, user: str, server: str, service: str) -> UsageError:
    account = principal_of(user) if user else ""
    refusal = about_ticket(code, text, account=account, service=service, seconds=CONNECT)
    cure = refusal.next_step
    if code in (NO_CREDENTIAL, NO_CACHE, EXPIRED):
        cure = f"run kinit {account or 'user@REALM'}, or give keytab=FILE after the ?"
    elif code == S_UNKNOWN:
        cure = "name a domain controller that you know by its full DNS name with server=DC, or take server= out"
    return UsageError(f"cannot ask {server}: {refusal.what}", next_step=cure)


def _step(context: Any, server: str, token: bytes | None) -> bytes:
    """Return the next token of the handshake."""
    try:
        answer: bytes = PROCESS.run(lambda: context.step(token), CONNECT)
        return answer
    except KerberosFailed as failed:
        raise UsageError(
            f"the handshake with the domain controller {server} failed ({shortened(failed.text, 120)})",
            next_step="compare the clocks, and whether DNS leads to the right server",
        ) from None


def _require(context: Any, server: str, *, over_tls: bool) -> None:
    """Refuse a handshake that does not sign, seal and prove who the controller is; TLS signs and seals by itself."""
    required = REQUIRED_OVER_TLS if over_tls else REQUIRED_OF_KERBEROS
    missing = ["an end"] if not context.complete else context.missing(required)
    if not missing and context.mechanism != "kerberos":
        missing = ["Kerberos"]
    if missing:
        raise UsageError(
            f"the handshake with the domain controller {server} lacks {' and '.join(missing)}",
            next_step="nothing was asked; something between here and there may have changed it",
        )


def _not_let_in(server: str, refused: Refused, *, over_tls: bool) -> UsageError:
    said = visible(shortened(" ".join(refused.text.replace("\0", " ").split()), 120))
    if refused.code == INVALID_CREDENTIALS and BAD_BINDINGS in refused.text:
        return UsageError(
            f"the domain controller {server} refused the logon: it has another certificate than the one that came here",
            next_step="something between here and there opens TLS; ask from elsewhere, or take ldaps=1 out",
        )
    cure = "check the ticket (klist), the clocks, and that DNS leads to the right server"
    if over_tls and refused.code in WANTS_TLS:
        cure = "take ldaps=1 out, or set Samba's ldap server require strong auth = allow_sasl_over_tls"
    return UsageError(
        f"the domain controller {server} refused the logon (LDAP {refused.code}{': ' + said if said else ''})",
        next_step=cure,
    )
