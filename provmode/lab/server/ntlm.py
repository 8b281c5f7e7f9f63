"""NTLM's acceptor with the names of one PC: its challenge says which computer, and which domain, answers.

pyspnego's acceptor names the machine it runs on. Clients use these names: some take the domain of their account from
``TargetName``, others compare the computer's name with the one they meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import spnego
from spnego._context import GSSMech
from spnego._ntlm import NTLMProxy
from spnego._ntlm_raw.messages import AvId, Challenge, NegotiateFlags, TargetInfo, Version

from provmode.lab.machine import DNS_DOMAIN, NETBIOS_DOMAIN

_NETBIOS_LENGTH = 15


@dataclass(frozen=True)
class PcNames:
    """The names of a PC that is a member of a domain, as its challenge has them (MS-NLMP 2.2.2.1)."""

    computer: str
    domain: str = NETBIOS_DOMAIN
    """NetBIOS name."""
    dns_domain: str = DNS_DOMAIN
    os_version: str = "10.0.22631"

    @property
    def netbios(self) -> str:
        """Return the computer's NetBIOS name: capitals, and no more than 15 characters."""
        return self.computer[:_NETBIOS_LENGTH].upper()

    @property
    def dns(self) -> str:
        """Return the computer's full DNS name, which has all characters of its name."""
        return f"{self.computer}.{self.dns_domain}"


def acceptor(names: PcNames, *, wrapped: bool) -> Any:
    """Return a new acceptor of raw NTLM, or with *wrapped* of NTLM in SPNEGO, that names the PC."""
    inner = _Acceptor(names)
    if not wrapped:
        return inner
    options = spnego.NegotiateOptions.use_negotiate
    return spnego.server(protocol="negotiate", options=options, _negotiate_contexts={GSSMech.ntlm: inner})


class _Acceptor(NTLMProxy):
    """pyspnego's acceptor, with another challenge."""

    def __init__(self, names: PcNames) -> None:
        super().__init__(usage="accept", options=spnego.NegotiateOptions.use_ntlm)
        self._names = names

    def _step_accept_negotiate(self, token: bytes) -> bytes:
        """Answer a NEGOTIATE message: pyspnego's flags and challenge, the PC's names, all of it as the MIC covers it.

        A member of a domain names the domain as its target (MS-NLMP 3.2.5.1.1).
        """
        made = Challenge.unpack(super()._step_accept_negotiate(token))
        flags = made.flags & ~NegotiateFlags.target_type_server | NegotiateFlags.target_type_domain
        self._temp_challenge = Challenge(
            flags,
            made.server_challenge,
            target_name=self._names.domain,
            target_info=self._target_info(made.target_info),
            version=self._version() if flags & NegotiateFlags.version else None,
        )
        return self._temp_challenge.pack()

    def _target_info(self, made: TargetInfo | None) -> TargetInfo:
        """Return the names, and the time that pyspnego put there."""
        info = TargetInfo()
        info[AvId.nb_domain_name] = self._names.domain
        info[AvId.nb_computer_name] = self._names.netbios
        info[AvId.dns_domain_name] = self._names.dns_domain
        info[AvId.dns_computer_name] = self._names.dns
        info[AvId.dns_tree_name] = self._names.dns_domain
        assert made is not None
        info[AvId.timestamp] = made[AvId.timestamp]
        return info

    def _version(self) -> Version:
        """Return the PC's version of Windows."""
        major, minor, build = (int(part) for part in self._names.os_version.split("."))
        return Version(major, minor, build)
