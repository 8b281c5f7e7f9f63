"""NTLM: really verified, with the names of one PC: its challenge says which computer, and which domain, answers.

pyspnego's acceptor names the machine it runs on. Clients use these names: some take the domain of their account from
``TargetName``, others compare the computer's name with the one they meant.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import spnego
from spnego._context import GSSMech
from spnego._ntlm import NTLMProxy
from spnego._ntlm_raw.messages import AvId, Challenge, NegotiateFlags, TargetInfo, Version
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import BadBindingsError, SpnegoError

from provmode.lab.machine import DNS_DOMAIN, NETBIOS_DOMAIN
from provmode.lab.server.accounts import AccountFile
from provmode.lab.server.mechanisms import ChannelBinding, Refused
from provmode.lab.server.sealing import SealBroken, Wrapped

NTLMSSP = b"NTLMSSP\0"
"""How every message begins that is not wrapped in SPNEGO."""
_AUTHENTICATE = NTLMSSP + b"\3\0\0\0"
_MSV_AV_CHANNEL_BINDINGS = 10
"""MS-NLMP 2.2.2.1."""
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


class NtlmMechanism:
    """NTLM, raw or wrapped in SPNEGO, against the accounts of a PC."""

    padding = 0
    delegated = False

    def __init__(self, accounts: AccountFile, names: PcNames, binding: ChannelBinding, *, wrapped: bool) -> None:
        self._accounts = accounts
        self._binding = binding
        with accounts.in_force():
            self._context = acceptor(names, wrapped=wrapped)

    @property
    def complete(self) -> bool:
        """Whether the handshake is over."""
        return bool(self._context.complete)

    @property
    def user(self) -> str | None:
        """The logon name; only after the handshake."""
        return self._accounts.logon_name_of(self._context.client_principal or "")

    def step(self, token: bytes) -> bytes | None:
        """Take one step. Wrong password, unknown user, wrong channel binding and what is no token are refused alike."""
        try:
            bindings = self._bindings(token)
            with self._accounts.in_force():
                reply: bytes | None = self._context.step(token, channel_bindings=bindings)
        except (SpnegoError, ValueError, struct.error, IndexError, KeyError) as error:
            raise Refused(str(error)) from error
        return reply

    def _bindings(self, token: bytes) -> GssChannelBindings | None:
        """Return the binding that the client must have used, if this PC checks bindings."""
        if self._binding.data is None or _AUTHENTICATE not in token:
            return None
        bound = channel_binding_of(token)
        if bound is None or not any(bound):
            if self._binding.required:
                raise BadBindingsError(context_msg="a channel binding token is required")
            return None
        return GssChannelBindings(application_data=self._binding.data)

    def wrap_winrm(self, data: bytes) -> Wrapped:
        """Seal *data*."""
        return self._context.wrap_winrm(data)  # type: ignore[no-any-return]

    def unwrap_winrm(self, header: bytes, data: bytes) -> bytes:
        """Open sealed *data*."""
        try:
            return bytes(self._context.unwrap_winrm(header, data))
        except (SpnegoError, ValueError, struct.error) as error:
            raise SealBroken(str(error)) from error


def channel_binding_of(token: bytes) -> bytes | None:
    """Return the channel binding hash in an NTLM AUTHENTICATE message, raw or inside SPNEGO; ``None``: no hash.

    The message is MS-NLMP 2.2.1.3; the NTLMv2 client challenge with its AV pairs is 2.2.2.7.
    """
    start = token.find(_AUTHENTICATE)
    if start < 0 or len(token) < start + 28:
        return None
    length, offset = struct.unpack_from("<H2xI", token, start + 20)
    response = token[start + offset : start + offset + length]
    position = 16 + 28  # NTProofStr, then the fixed part of the client challenge
    while position + 4 <= len(response):
        identifier, size = struct.unpack_from("<HH", response, position)
        if identifier == 0:
            return None
        if identifier == _MSV_AV_CHANNEL_BINDINGS:
            return response[position + 4 : position + 4 + size]
        position += 4 + size
    return None
