"""Authentication of a connection: NTLM and Basic, really verified.

Each TCP connection has its own `Authenticator`, because NTLM authenticates the connection (MS-NTHT 3.1). As in
Windows, ``Negotiate`` accepts raw NTLMSSP tokens and SPNEGO-wrapped ones. ``Kerberos`` is offered too, but the lab has
no key distribution centre: every ticket is refused.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from enum import Enum

import spnego
import spnego.channel_bindings
import spnego.exceptions

from provmode.lab.server.accounts import AccountFile
from provmode.lab.server.http import HttpAnswer, HttpRequest
from provmode.lab.server.ntlm import PcNames, acceptor
from provmode.lab.server.sealing import SealBroken, SecurityContext, is_sealed, split

SOAP = "application/soap+xml"
_NTLMSSP = b"NTLMSSP\0"
_AUTHENTICATE = _NTLMSSP + b"\3\0\0\0"
_MSV_AV_CHANNEL_BINDINGS = 10
"""MS-NLMP 2.2.2.1."""


class CbtHardening(str, Enum):
    """``Service/Auth/CbtHardeningLevel`` (MS-WSMV 2.2.4.6): how channel binding tokens are checked over HTTPS."""

    NONE = "None"
    RELAXED = "Relaxed"
    """Windows' default: a wrong token is refused, a missing token accepted."""
    STRICT = "Strict"


@dataclass(frozen=True)
class AuthenticationPolicy:
    """How a PC's listener authenticates; shared by all its connections."""

    accounts: AccountFile
    names: PcNames
    """What the PC calls itself and its domain in NTLM's challenge."""
    basic: bool = False
    allow_unencrypted: bool = False
    """``Service/AllowUnencrypted``: whether unencrypted HTTP bodies are accepted."""
    tls: bool = False
    certificate_digest: bytes = b""
    """SHA-256 of the server's certificate: ``tls-server-end-point`` (RFC 5929)."""
    cbt: CbtHardening = CbtHardening.RELAXED

    def challenges(self) -> tuple[tuple[str, str], ...]:
        """Return the ``WWW-Authenticate`` headers of a refused request."""
        schemes = ["Negotiate", "Kerberos"] + (['Basic realm="WSMAN"'] if self.basic else [])
        return tuple(("WWW-Authenticate", scheme) for scheme in schemes)


@dataclass(frozen=True)
class AcceptedRequest:
    """A request of a known user, or an anonymous Identify (*user* is empty): the SOAP message and how it came."""

    user: str
    message: bytes
    charset: str
    sealed: bool


class Authenticator:
    """Authentication and unsealing of one connection."""

    __slots__ = ("_complete", "_context", "_last_token", "_policy", "user")

    def __init__(self, policy: AuthenticationPolicy) -> None:
        self._policy = policy
        self._context: spnego.ContextProxy | None = None
        self._complete = False
        self._last_token: tuple[tuple[str, str], ...] = ()
        self.user: str | None = None

    @property
    def security(self) -> SecurityContext:
        """Return the context that seals the answers; only after a sealed request was accepted."""
        assert self._context is not None
        return self._context  # type: ignore[return-value]  # WinRMWrapResult is a Wrapped

    def authenticate(self, request: HttpRequest) -> AcceptedRequest | HttpAnswer:
        """Return the user and the message, or the HTTP answer if the request goes no further.

        A handshake step is answered with its token, a failed handshake with 401, an unencrypted body with an empty
        500 if sealing is required, and a body sealed with other keys with 400.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() in ("negotiate", "kerberos", "ntlm"):
            answer = self._negotiate(scheme, token)
            if answer is not None:
                return answer
        elif scheme.lower() == "basic" and self._policy.basic:
            self._basic(token)
        if self.user is None:
            return self._unauthorized()
        return self._unwrap(self.user, request)

    def _unauthorized(self) -> HttpAnswer:
        """Return the 401 that names the schemes on offer."""
        return HttpAnswer(401, self._policy.challenges())

    def _negotiate(self, scheme: str, token: str) -> HttpAnswer | None:
        """Take one step of the handshake; ``None`` once it is complete and the account is known."""
        try:
            blob = base64.b64decode(token, validate=True)
        except (ValueError, binascii.Error):
            return self._forget()
        if self._complete or self._context is None:
            self._begin(blob)
        try:
            reply = self._step(blob)
        except (spnego.exceptions.SpnegoError, ValueError, struct.error, IndexError, KeyError):
            # Wrong password, unknown user, wrong channel binding or not a token: the HTTP answer is the same.
            return self._forget()
        token_header = (("WWW-Authenticate", f"{scheme} {base64.b64encode(reply or b'').decode('ascii')}"),)
        if self._complete:
            self._last_token = token_header if reply else ()
            return None
        return HttpAnswer(401, token_header)

    def take_last_token(self) -> tuple[tuple[str, str], ...]:
        """Return the header with SPNEGO's closing token, once: it goes out with the first real answer."""
        header, self._last_token = self._last_token, ()
        return header

    def _begin(self, blob: bytes) -> None:
        """Start a new handshake: raw NTLMSSP or wrapped in SPNEGO."""
        self.user = None
        self._complete = False
        with self._policy.accounts.in_force():
            self._context = acceptor(self._policy.names, wrapped=not blob.startswith(_NTLMSSP))

    def _step(self, blob: bytes) -> bytes | None:
        """Feed *blob* to the acceptor; raise pyspnego's errors."""
        assert self._context is not None
        bindings = self._bindings(blob)
        with self._policy.accounts.in_force():
            reply = self._context.step(blob, channel_bindings=bindings)
        if self._context.complete:
            self._complete = True
            self.user = self._policy.accounts.logon_name_of(self._context.client_principal or "")
        return reply

    def _bindings(self, blob: bytes) -> spnego.channel_bindings.GssChannelBindings | None:
        """Return the binding the client must have used, if this PC checks bindings."""
        policy = self._policy
        if not policy.tls or policy.cbt is CbtHardening.NONE or _AUTHENTICATE not in blob:
            return None
        bound = channel_binding_of(blob)
        if bound is None or not any(bound):
            if policy.cbt is CbtHardening.STRICT:
                raise spnego.exceptions.BadBindingsError(context_msg="a channel binding token is required")
            return None
        return spnego.channel_bindings.GssChannelBindings(
            application_data=b"tls-server-end-point:" + policy.certificate_digest
        )

    def _basic(self, token: str) -> None:
        """Check a Basic user and password (RFC 7617); after a wrong pair the connection has no user."""
        self.user = None
        try:
            name, _, password = base64.b64decode(token, validate=True).decode("utf-8").partition(":")
        except (ValueError, binascii.Error):
            return
        account = self._policy.accounts.check(name, password)
        self.user = account.logon_name if account else None

    def _forget(self) -> HttpAnswer:
        """Drop the handshake and refuse."""
        self._context = None
        self._complete = False
        self.user = None
        return self._unauthorized()

    def _unwrap(self, user: str, request: HttpRequest) -> AcceptedRequest | HttpAnswer:
        """Open the body."""
        content_type = request.headers.get("content-type", "")
        if is_sealed(content_type):
            return self._unseal(user, request.body)
        if not request.body:
            return HttpAnswer(200)  # the handshake has ended; the sealed message comes next
        if not self._policy.tls and not self._policy.allow_unencrypted:
            return HttpAnswer(500)
        if not content_type.lower().startswith(SOAP):
            return HttpAnswer(415)
        return AcceptedRequest(user, request.body, charset_of(content_type), sealed=False)

    def _unseal(self, user: str, body: bytes) -> AcceptedRequest | HttpAnswer:
        """Open a sealed body with the keys of this connection."""
        if self._context is None or not self._complete:
            return HttpAnswer(400, close=True)
        try:
            original, _, signature, data = split(body)
            message = self._context.unwrap_winrm(signature, data)
        except (SealBroken, spnego.exceptions.SpnegoError, ValueError, struct.error):
            # The cipher stream has advanced past the broken message: nothing more on this connection can be read.
            self._forget()
            return HttpAnswer(400, close=True)
        return AcceptedRequest(user, message, charset_of(original), sealed=True)


def charset_of(content_type: str) -> str:
    """Return the ``charset`` of a content type; UTF-8 by default."""
    for part in content_type.split(";")[1:]:
        name, _, value = part.strip().partition("=")
        if name.lower() == "charset":
            return value.strip().strip('"') or "UTF-8"
    return "UTF-8"


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
