"""NTLM: really verified, with the names of one PC: its challenge says which computer, and which domain, answers.

NTLMv2 is `ntlmv2`'s; what is older, and SPNEGO around it, is pyspnego's. pyspnego's own challenge names the machine
it runs on. Clients use these names: some take the domain of their account from ``TargetName``, others compare the
computer's name with the one they meant.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import spnego
from spnego._context import GSSMech
from spnego._ntlm import NTLMProxy
from spnego._ntlm_raw.messages import Negotiate
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import BadBindingsError, InvalidTokenError, SpnegoError

from provmode.lab.machine import DNS_DOMAIN, NETBIOS_DOMAIN
from provmode.lab.server import ntlmv2
from provmode.lab.server.accounts import AccountFile
from provmode.lab.server.mechanisms import ChannelBinding, Refused
from provmode.lab.server.ntlmv2 import NotProved, Sealing
from provmode.lab.server.sealing import SealBroken, Wrapped

NTLMSSP = ntlmv2.SIGNATURE
"""How every message begins that is not wrapped in SPNEGO."""
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

    @cached_property
    def target_info(self) -> bytes:
        """The names as AV pairs, in Windows' order."""
        pairs = {
            ntlmv2.NB_DOMAIN: self.domain,
            ntlmv2.NB_COMPUTER: self.netbios,
            ntlmv2.DNS_DOMAIN: self.dns_domain,
            ntlmv2.DNS_COMPUTER: self.dns,
            ntlmv2.DNS_TREE: self.dns_domain,
        }
        return b"".join(ntlmv2.av_pair(each, name.encode("utf-16-le")) for each, name in pairs.items())

    @cached_property
    def version(self) -> bytes:
        """The PC's version of Windows (MS-NLMP 2.2.2.10)."""
        major, minor, build = (int(part) for part in self.os_version.split("."))
        return struct.pack("<BBH3xB", major, minor, build, 15)


def acceptor(accounts: AccountFile, names: PcNames, *, wrapped: bool) -> Any:
    """Return a new acceptor of raw NTLM, or with *wrapped* of NTLM in SPNEGO, that names the PC."""
    inner = _Acceptor(accounts, names)
    if not wrapped:
        return inner
    options = spnego.NegotiateOptions.use_negotiate
    return spnego.server(protocol="negotiate", options=options, _negotiate_contexts={GSSMech.ntlm: inner})


@dataclass(frozen=True)
class _SentChallenge:
    """The challenge, as pyspnego asks for it."""

    server_challenge: bytes
    data: bytes

    def pack(self) -> bytes:
        """Return the message."""
        return self.data


@dataclass(frozen=True)
class _LoggedOn:
    """The account that has logged on, as pyspnego asks for it."""

    domain: str | None
    username: str


@cache
def _blank() -> dict[str, Any]:
    """Return the attributes of pyspnego's acceptor before its first step, which are the same for all."""
    return dict(vars(NTLMProxy(usage="accept", options=spnego.NegotiateOptions.use_ntlm)))


class _Acceptor(NTLMProxy):
    """pyspnego's acceptor, with another challenge and another check of NTLMv2."""

    def __init__(self, accounts: AccountFile, names: PcNames) -> None:
        vars(self).update(_blank())
        self._accounts = accounts
        self._names = names

    @property
    def sealing(self) -> Sealing | None:
        """The session's keys, made anew; ``None``: it is one of an older kind, which pyspnego seals."""
        flags = int(self._context_attr)
        return Sealing(flags, self.session_key) if flags & Sealing.NEEDS == Sealing.NEEDS else None

    def _step_accept_negotiate(self, token: bytes) -> bytes:
        """Answer a NEGOTIATE message with the PC's names; a member of a domain names the domain as its target.

        See MS-NLMP 3.2.5.1.1.
        """
        negotiate = Negotiate.unpack(token)
        flags = ntlmv2.challenge_flags(negotiate.flags)
        if not flags:
            raise ValueError("neither Unicode nor OEM")
        names, nonce = self._names, os.urandom(8)
        info = names.target_info + ntlmv2.av_pair(ntlmv2.TIME, ntlmv2.file_time(time.time_ns())) + bytes(4)
        message = ntlmv2.challenge_message(flags, nonce, names.domain, info, names.version)
        self._temp_negotiate = negotiate
        self._temp_challenge = _SentChallenge(nonce, message)  # type: ignore[assignment]
        return message

    def _step_accept_authenticate(self, token: bytes, channel_bindings: GssChannelBindings | None) -> None:
        """Check the client's proof of its password."""
        try:
            response = ntlmv2.read_response(token)
            if response is not None:
                self._prove(response, channel_bindings)
        except NotProved as error:
            raise InvalidTokenError(context_msg=str(error)) from error  # CredSSP tells the client of these
        if response is None:
            super()._step_accept_authenticate(token, channel_bindings)

    def _prove(self, response: ntlmv2.Response, channel_bindings: GssChannelBindings | None) -> None:
        """Complete the handshake if *response* proves the password."""
        assert self._temp_negotiate is not None
        assert self._temp_challenge is not None
        name = f"{response.domain}\\{response.user}" if response.domain else response.user
        nt_hash = self._accounts.nt_hash_of(name)
        if nt_hash is None:
            raise NotProved("unknown user")
        _check_bindings(response.pairs.get(ntlmv2.BINDINGS), channel_bindings)
        challenge = self._temp_challenge
        before = self._temp_negotiate.pack() + challenge.pack()
        self._session_key = ntlmv2.session_key(response, nt_hash, challenge.server_challenge, before)
        domain, _, user = name.rpartition("\\")
        self._credential = _LoggedOn(domain or None, user)  # type: ignore[assignment]
        self._context_attr = response.flags
        self._complete = True


def _check_bindings(bound: bytes | None, right: GssChannelBindings | None) -> None:
    """Refuse a client that has bound its handshake to another channel, or to none though this is asked for."""
    if right is None:
        return
    if bound not in (ntlmv2.bindings_hash(right.pack()), bytes(16)):
        raise BadBindingsError(context_msg="the client's channel binding is not that of this connection")


class NtlmMechanism:
    """NTLM, raw or wrapped in SPNEGO, against the accounts of a PC."""

    padding = 0
    delegated = False

    def __init__(self, accounts: AccountFile, names: PcNames, binding: ChannelBinding, *, wrapped: bool) -> None:
        self._accounts = accounts
        self._binding = binding
        self._sealing: Sealing | None = None
        with accounts.in_force():
            self._context = acceptor(accounts, names, wrapped=wrapped)

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
        if isinstance(self._context, _Acceptor) and self._context.complete:  # SPNEGO's own checks use pyspnego's keys
            self._sealing = self._context.sealing
        return reply

    def _bindings(self, token: bytes) -> GssChannelBindings | None:
        """Return the binding that the client must have used, if this PC checks bindings."""
        if self._binding.data is None or ntlmv2.AUTHENTICATE not in token:
            return None
        bound = channel_binding_of(token)
        if bound is None or not any(bound):
            if self._binding.required:
                raise BadBindingsError(context_msg="a channel binding token is required")
            return None
        return GssChannelBindings(application_data=self._binding.data)

    def wrap_winrm(self, data: bytes) -> Wrapped:
        """Seal *data*."""
        if self._sealing is not None:
            return self._sealing.wrap(data)
        return self._context.wrap_winrm(data)  # type: ignore[no-any-return]

    def unwrap_winrm(self, header: bytes, data: bytes) -> bytes:
        """Open sealed *data*."""
        try:
            if self._sealing is not None:
                return self._sealing.unwrap(header, data)
            return bytes(self._context.unwrap_winrm(header, data))
        except (SpnegoError, ValueError, struct.error) as error:
            raise SealBroken(str(error)) from error


def channel_binding_of(token: bytes) -> bytes | None:
    """Return the channel binding hash in an NTLM AUTHENTICATE message, raw or inside SPNEGO; ``None``: no hash.

    The message is MS-NLMP 2.2.1.3; the NTLMv2 client challenge with its AV pairs is 2.2.2.7.
    """
    start = token.find(ntlmv2.AUTHENTICATE)
    if start < 0 or len(token) < start + 28:
        return None
    length, offset = struct.unpack_from("<H2xI", token, start + 20)
    response = token[start + offset : start + offset + length]
    position = 16 + 28  # NTProofStr, then the fixed part of the client challenge
    while position + 4 <= len(response):
        identifier, size = struct.unpack_from("<HH", response, position)
        if identifier == 0:
            return None
        if identifier == ntlmv2.BINDINGS:
            return response[position + 4 : position + 4 + size]
        position += 4 + size
    return None
