"""The Kerberos tickets of a process: one logon for each account and run, and a context for each PC.

* An account logs on once: with its keytab, its password, or the ticket that `kinit` left. The ticket-granting ticket is
  read once and kept in memory.
* Each PC gets a ticket cache of its own in memory, with that one ticket. A shared cache is searched from its beginning
  for every PC, so that 3,000 tickets in it cost ten times what 30 do; and nobody finds thousands of tickets in his own.
* Kerberos' library waits for a silent KDC for half a minute, without letting anybody else work. So it is called in
  threads, and nobody waits for longer than the connect deadline.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import gevent
import gevent.event
import gevent.threadpool
import spnego
import spnego.exceptions
from spnego._context import GSSMech
from spnego._gss import GSSAPIProxy
from spnego._negotiate import NegotiateProxy

from provmode.transport.kerberos_words import NO_CREDENTIAL, SILENCE, principal_of
from provmode.transport.logons import SAYING
from provmode.transport.security import SecurityContext, bound_to
from provmode.transport.target import Credentials

T = TypeVar("T")

THREADS = 8
RENEW_BEFORE = 60.0
"""Seconds before a ticket's end at which a new one is got."""
FLAGS = spnego.ContextReq.mutual_auth | spnego.ContextReq.sequence_detect | spnego.ContextReq.replay_detect
PROTECTION = spnego.ContextReq.integrity | spnego.ContextReq.confidentiality
_MINOR = 2**32
"""GSS-API gives Kerberos' negative numbers as positive ones of 32 bits."""


@dataclass(frozen=True)
class Service:
    """What is asked of a host, and how."""

    kind: str
    """The first part of its principal; the host's name is the second."""
    domain: str = ""
    """The third part, which only domain controllers have; empty: there is none."""
    spnego: bool = False
    """Whether the tokens of Kerberos are wrapped in SPNEGO."""
    sealed: bool = True
    """Whether the handshake agrees on signing and sealing. Over TLS a domain controller refuses both."""


WINRM = Service("HTTP")
"""WinRM's, as every Windows client asks for it."""


class KerberosFailed(Exception):
    """Kerberos' library failed. *code* is MIT's number, `SILENCE` if nothing came in time."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@dataclass(frozen=True)
class Source:
    """Where an account's ticket comes from: the first of keytab, password and ticket cache that there is."""

    principal: str
    keytab: str
    password: str
    forwardable: bool


def source_of(credentials: Credentials) -> Source:
    """Return where the ticket of *credentials* comes from."""
    return Source(
        principal_of(credentials.user),
        str(credentials.keytab or ""),
        "" if credentials.keytab else credentials.password,
        credentials.kerberos_delegation,
    )


@dataclass(frozen=True)
class Ticket:
    """A ticket-granting ticket (and, with trusts, those of other realms), as libkrb5 has it."""

    client: Any
    tickets: tuple[Any, ...]
    ends: float
    """When the first of them ends, in seconds since 1970."""


Packed = tuple[tuple[bytes, ...], float]
"""A `Ticket` that can be sent to another process: its tickets as libkrb5 writes them down, and its end."""


class Tickets:
    """The tickets of a process; *now* is the clock, in seconds since 1970."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._pool: gevent.threadpool.ThreadPool | None = None
        self._got: dict[Source, gevent.event.AsyncResult] = {}
        self._not_delegated: list[str] = []
        self._elsewhere: Callable[[Source, float], Packed | None] | None = None

    def get_elsewhere(self, get: Callable[[Source, float], Packed | None]) -> None:
        """Take each ticket from *get*, within so many seconds: another process logs on. ``None``: it cannot send it.

        *get* raises `KerberosFailed` if that process got none.
        """
        self._elsewhere = get

    def packed(self, source: Source, seconds: float) -> Packed | None:
        """Return the ticket from *source* for another process; ``None`` if Kerberos' library is too old for that.

        Raises:
            KerberosFailed: no ticket could be got within *seconds*.
        """
        import krb5

        if not hasattr(krb5, "marshal_credentials"):  # MIT 1.20
            return None
        ticket = self._ticket(source, time.monotonic() + seconds)
        context = krb5.init_context()
        return tuple(krb5.marshal_credentials(context, one) for one in ticket.tickets), ticket.ends

    def forget(self) -> None:
        """Forget every ticket, and what is to be said about them."""
        self._got.clear()
        self._not_delegated.clear()

    def not_delegated(self, pc: str) -> None:
        """Take note that *pc* was not given the ticket, although that was asked for."""
        self._not_delegated.append(pc)

    def take_not_delegated(self) -> list[str]:
        """Return the PCs of `not_delegated`, for another process to say; here they are forgotten."""
        taken, self._not_delegated = self._not_delegated, []
        return taken

    def notes(self) -> list[str]:
        """Return what a run has to say about its tickets, a line each."""
        if not self._not_delegated:
            return []
        first, *more = self._not_delegated
        others = f" and {len(more)} more" if more else ""
        return [
            f"winrm_kerberos_delegation was asked for and not given to {first}{others}: the ticket is not forwardable "
            "(kinit -f), or the domain does not trust the PC for delegation"
        ]

    def context(
        self,
        credentials: Credentials,
        host: str,
        binding: bytes,
        seconds: float,
        *,
        service: Service = WINRM,
    ) -> SecurityContext:
        """Return a context to a *service* of *host*, with its first token made, within *seconds*.

        Raises:
            KerberosFailed: no ticket could be got.
            UsageError: the account is written as Kerberos cannot use it.
        """
        ends = time.monotonic() + seconds
        ticket = self._ticket(source_of(credentials), ends)
        begin = functools.partial(_begin, ticket, host, binding, credentials.kerberos_delegation, service)
        return self.run(begin, ends - time.monotonic())

    def run(self, call: Callable[[], T], seconds: float) -> T:
        """Return what *call* returns, called in a thread.

        Raises:
            KerberosFailed: it failed, or did not return within *seconds*.
        """
        if self._pool is None:
            self._pool = gevent.threadpool.ThreadPool(THREADS)
        try:
            with gevent.Timeout(max(0.05, seconds)):  # for a free thread too: nothing is queued that nobody waits for
                result, error = self._pool.spawn(_caught, call).get()
        except gevent.Timeout:
            raise KerberosFailed(SILENCE, "no answer in time") from None
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def _ticket(self, source: Source, ends: float) -> Ticket:
        """Return the ticket from *source*: who comes first gets it, the others wait for it."""
        waiting = self._got.get(source)
        if waiting is not None and waiting.successful() and waiting.value.ends - self._now() < RENEW_BEFORE:
            waiting = None
        if waiting is None:
            waiting = self._got[source] = gevent.event.AsyncResult()
            try:
                waiting.set(self._new(source, ends - time.monotonic()))
            except KerberosFailed as failed:
                waiting.set_exception(failed)
            except BaseException as ended:
                del self._got[source]
                waiting.set_exception(KerberosFailed(SILENCE, type(ended).__name__))
                raise
        try:
            with gevent.Timeout(max(0.05, ends - time.monotonic())):
                return waiting.get()  # type: ignore[no-any-return]
        except gevent.Timeout:
            raise KerberosFailed(SILENCE, "no answer in time") from None

    def _new(self, source: Source, seconds: float) -> Ticket:
        packed = self._elsewhere(source, seconds) if self._elsewhere is not None else None
        if packed is None:
            return self.run(functools.partial(_got_from, source), seconds)
        return self.run(functools.partial(_unpacked, packed), seconds)


PROCESS = Tickets()
"""The tickets of this process: every PC that the connector reaches shares them."""
SAYING.append(PROCESS.notes)


def _caught(call: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """Return the result of *call*, or its error as `KerberosFailed`: gevent prints what a thread raises."""
    import gssapi.raw.misc
    import krb5

    try:
        return call(), None
    except KerberosFailed as failed:
        return None, failed
    except krb5.Krb5Error as error:
        return None, KerberosFailed(error.err_code, str(error).rpartition(" ")[0])
    except spnego.exceptions.SpnegoError as error:
        return None, _failed(_innermost(error))
    except gssapi.raw.misc.GSSError as error:
        return None, _failed(error)
    except Exception as error:  # noqa: BLE001 - told to whoever waits for the thread
        return None, error


def _innermost(error: Exception) -> Exception:
    """Return the error of GSS-API below pyspnego's, which can be around each other."""
    below = getattr(error, "base_error", None)
    return _innermost(below) if isinstance(below, Exception) else error


def _failed(error: Exception) -> KerberosFailed:
    """Return what an error of GSS-API says: the number and text of the mechanism below it."""
    minor = getattr(error, "min_code", 0)
    code = minor - _MINOR if minor > _MINOR // 2 else minor
    said = getattr(error, "get_all_statuses", None)
    texts = said(minor, False) if said is not None and minor else [str(error)]
    return KerberosFailed(code, "; ".join(text.strip() for text in texts))


def failure_in(token_step: Callable[[], bytes]) -> KerberosFailed | None:
    """Return why the PC refused, as the error token that *token_step* takes tells; ``None`` if it tells nothing."""
    _, error = _caught(token_step)
    return error if isinstance(error, KerberosFailed) else None


def _got_from(source: Source) -> Ticket:
    """Get the ticket from *source*. Blocks."""
    import krb5

    context = krb5.init_context()
    principal = krb5.parse_name_flags(context, source.principal.encode()) if source.principal else None
    if source.keytab or source.password:
        options = krb5.get_init_creds_opt_alloc(context)
        krb5.get_init_creds_opt_set_canonicalize(options, True)
        krb5.get_init_creds_opt_set_forwardable(options, source.forwardable)
        if source.keytab:
            keytab = krb5.kt_resolve(context, source.keytab.encode())
            if principal is None:
                first = next(iter(keytab))  # kept until its principal is copied: it goes with its entry
                principal = krb5.copy_principal(context, first.principal)
            got = [krb5.get_init_creds_keytab(context, principal, options, keytab=keytab)]
        elif principal is not None:
            got = [krb5.get_init_creds_password(context, principal, options, password=source.password.encode())]
        client = krb5.copy_principal(context, got[0].client)
    else:
        cache = krb5.cc_cache_match(context, principal) if principal is not None else krb5.cc_default(context)
        client = krb5.cc_get_principal(context, cache)
        got = [ticket for ticket in cache if _is_granting(context, ticket)]
    if not got:
        raise KerberosFailed(NO_CREDENTIAL, "no ticket-granting ticket in the cache")
    return Ticket(client, tuple(got), min(float(ticket.times.endtime) for ticket in got))


def _unpacked(packed: Packed) -> Ticket:
    import krb5

    context = krb5.init_context()
    tickets = tuple(krb5.unmarshal_credentials(context, one) for one in packed[0])
    return Ticket(krb5.copy_principal(context, tickets[0].client), tickets, packed[1])


def _is_granting(context: Any, ticket: Any) -> bool:
    import krb5

    return bytes(krb5.unparse_name_flags(context, ticket.server)).startswith(b"krbtgt/")


def _begin(ticket: Ticket, host: str, binding: bytes, delegate: bool, service: Service) -> SecurityContext:
    """Return a context to *host* whose first token is made from *ticket*. Blocks."""
    import krb5

    context = krb5.init_context()
    cache = krb5.cc_new_unique(context, b"MEMORY")
    krb5.cc_initialize(context, cache, ticket.client)
    try:
        for one in ticket.tickets:
            krb5.cc_store_cred(context, cache, one)
        wanted = FLAGS | (PROTECTION if service.sealed else spnego.ContextReq.no_integrity)
        wanted |= spnego.ContextReq.delegate if delegate else spnego.ContextReq.none
        kerberos = _kerberos(f"MEMORY:{(cache.name or b'').decode()}", host, service, binding, wanted)
        security = SecurityContext(_in_spnego(kerberos) if service.spnego else kerberos)
        security.begin()
    finally:
        krb5.cc_destroy(context, cache)
    return security


def _kerberos(cache: str, host: str, service: Service, binding: bytes, wanted: spnego.ContextReq) -> GSSAPIProxy:
    """Return a context of Kerberos alone."""
    kerberos = GSSAPIProxy(
        spnego.KerberosCCache(cache),
        hostname=host,
        service=service.kind,
        channel_bindings=bound_to(binding),
        context_req=wanted,
    )
    if service.domain:
        import gssapi

        # without a realm, the KDC says which one it is, as with two parts
        name = gssapi.Name(f"{service.kind}/{host}/{service.domain}@", gssapi.NameType.kerberos_principal)
        bindings = gssapi.raw.ChannelBindings(0, b"", 0, b"", binding) if binding else None
        kerberos._context = gssapi.SecurityContext(
            name=name,
            creds=kerberos._credential,
            usage="initiate",
            mech=kerberos._mech,
            flags=kerberos._context_req,
            channel_bindings=bindings,
        )
    return kerberos


def _in_spnego(kerberos: GSSAPIProxy) -> NegotiateProxy:
    """Return pyspnego's SPNEGO around *kerberos*, which offers nothing else."""
    kerberos._is_wrapped = True
    return NegotiateProxy(_negotiate_contexts={GSSMech.kerberos: kerberos})
