"""The ways by which a PC lets its users log on: the switches of its WinRM service and of the policies around it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from provmode.lab.server.authentication import AuthenticationPolicy, TakeTicket
from provmode.lab.server.credssp import CredSspMechanism
from provmode.lab.server.mechanisms import CbtHardening, ChannelBinding


@dataclass(frozen=True)
class Logon:
    """By which ways a PC lets its users log on."""

    negotiate: bool = True
    """``Service/Auth/Negotiate``."""
    kerberos: bool = True
    """``Service/Auth/Kerberos``: the scheme of this name. Negotiate takes tickets without it."""
    ntlm: bool = True
    """Whether the policy "Restrict NTLM: Incoming NTLM traffic" lets NTLM in."""
    credssp: bool = False
    """``Service/Auth/CredSSP``."""
    certificate: bool = False
    """``Service/Auth/Certificate``: whether the certificate of an account's principal name is mapped to it."""
    cbt: CbtHardening = CbtHardening.RELAXED
    keytab: Path | None = None
    """The keys of its services in a Kerberos realm; ``None``: it refuses every ticket."""
    ahead: timedelta = timedelta(0)
    """How far its clock is ahead of the domain's, to Kerberos."""

    def changed(self, changes: Mapping[str, Any]) -> Logon:
        """Return these ways with *changes*, the fields by name as in JSON: ``ahead`` in seconds.

        Raises:
            ValueError: an unknown field, or a value it cannot have.
            TypeError: a value of another type.
        """
        unknown = set(changes) - set(self.__dataclass_fields__)
        if unknown:
            raise ValueError(f"unknown ways to log on: {', '.join(sorted(unknown))}")
        read = dict(changes)
        for name in {"negotiate", "kerberos", "ntlm", "credssp", "certificate"} & set(read):
            if not isinstance(read[name], bool):
                raise TypeError(f"{name} is {read[name]!r}: give true or false")
        if "cbt" in read:
            read["cbt"] = CbtHardening(read["cbt"])
        if read.get("keytab") is not None:
            read["keytab"] = Path(read["keytab"])
        if "ahead" in read:
            read["ahead"] = timedelta(seconds=float(read["ahead"]))
        return replace(self, **read)


class Tickets:
    """What the PCs of a lab share to take Kerberos tickets; made when the first of them needs it."""

    def __init__(self) -> None:
        self._replay_cache: int | None = None

    def taker(self, keytab: Path, ahead: timedelta) -> TakeTicket:
        """Return what begins a Kerberos handshake with the keys of *keytab*. The library for it is loaded here.

        Raises:
            ValueError: the file is no keytab, or the library is missing.
        """
        try:
            from provmode.lab.server import kerberos
        except ImportError as error:
            raise ValueError(
                f"a PC with a keytab needs the libraries of the extra `kerberos`, see docs/install.md ({error})"
            ) from error
        acceptor = kerberos.KerberosAcceptor(keytab, self._replay_cache_name(), ahead)
        return lambda binding, logon_name_in, wrapped: kerberos.KerberosMechanism(
            acceptor, binding, logon_name_in, wrapped=wrapped
        )

    def _replay_cache_name(self) -> str:
        """Return the name of the file in which MIT's library keeps the tokens that the PCs of this lab have seen.

        The file is in memory. A token that is sent again is refused, as by Windows.
        """
        if self._replay_cache is None:
            self._replay_cache = os.memfd_create("provmode-lab-replay-cache")
        return f"file2:/proc/self/fd/{self._replay_cache}"

    def close(self) -> None:
        """Forget the tokens that were seen."""
        if self._replay_cache is not None:
            os.close(self._replay_cache)
            self._replay_cache = None


def with_logon(policy: AuthenticationPolicy, logon: Logon, tickets: Tickets) -> AuthenticationPolicy:
    """Return *policy* with the ways of *logon*.

    Raises:
        ValueError: the keytab cannot be used.
    """
    return replace(
        policy,
        negotiate=logon.negotiate,
        kerberos=logon.kerberos,
        ntlm=logon.ntlm,
        certificate=logon.certificate,
        begin_credssp=_begin_credssp if logon.credssp else None,
        cbt=logon.cbt,
        take_ticket=tickets.taker(logon.keytab, logon.ahead) if logon.keytab else None,
    )


def _begin_credssp(policy: AuthenticationPolicy) -> CredSspMechanism:
    """Begin a CredSSP handshake; inside of it the PC takes what it takes by Negotiate, bound to no other TLS."""
    take = policy.take_ticket
    ticket = None if take is None else lambda wrapped: take(ChannelBinding(), policy.accounts.logon_name_in, wrapped)
    return CredSspMechanism(policy.accounts, policy.names, ticket, ntlm=policy.ntlm)
