"""Authentication of a connection: NTLM, Kerberos, CredSSP, certificates and Basic, really verified.

Each TCP connection has its own `Authenticator`, because NTLM authenticates the connection (MS-NTHT 3.1), and so does
Kerberos once bodies are sealed. As in Windows, ``Negotiate`` accepts raw NTLMSSP and Kerberos tokens and both wrapped
in SPNEGO; the scheme ``Kerberos`` accepts raw Kerberos tokens. A PC without a keytab offers Kerberos too, as a PC that
has lost its domain does: it refuses every ticket.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from provmode.lab.server.accounts import AccountFile
from provmode.lab.server.http import HttpAnswer, HttpRequest
from provmode.lab.server.kerberos_tokens import Framing, framing_of
from provmode.lab.server.mechanisms import CbtHardening, ChannelBinding, Mechanism, Refused, Ticket
from provmode.lab.server.ntlm import NTLMSSP, NtlmMechanism, PcNames
from provmode.lab.server.sealing import CREDSSP, KERBEROS, SPNEGO, SealBroken, is_sealed, seal_answer, unseal

SOAP = "application/soap+xml"

TakeTicket = Callable[[ChannelBinding, Callable[[str, str], "str | None"], bool], Ticket]
"""Begins a Kerberos handshake of a PC: the binding, the names of its users, and whether it is wrapped in SPNEGO."""


@dataclass(frozen=True)
class AuthenticationPolicy:
    """How a PC's listener authenticates; shared by all its connections."""

    accounts: AccountFile
    names: PcNames
    """What the PC calls itself and its domain in NTLM's challenge."""
    negotiate: bool = True
    """``Service/Auth/Negotiate``: whether the scheme is offered."""
    kerberos: bool = True
    """``Service/Auth/Kerberos``: whether the scheme is offered. `negotiate` takes tickets without it."""
    ntlm: bool = True
    """Whether the policy "Restrict NTLM: Incoming NTLM traffic" lets NTLM in."""
    take_ticket: TakeTicket | None = None
    """Begins a Kerberos handshake; ``None``: the PC has no keys that a domain knows."""
    certificate: bool = False
    """``Service/Auth/Certificate``: whether a client's certificate is mapped to an account by its principal name."""
    begin_credssp: Callable[[AuthenticationPolicy], Mechanism] | None = None
    """Begins a CredSSP handshake; ``None``: ``Service/Auth/CredSSP`` is off."""
    basic: bool = False
    allow_unencrypted: bool = False
    """``Service/AllowUnencrypted``: whether unencrypted HTTP bodies are accepted."""
    tls: bool = False
    certificate_digest: bytes = b""
    """SHA-256 of the server's certificate: ``tls-server-end-point`` (RFC 5929)."""
    cbt: CbtHardening = CbtHardening.RELAXED

    def challenges(self, scheme: str = "", token: bytes = b"") -> tuple[tuple[str, str], ...]:
        """Return the ``WWW-Authenticate`` headers of a refused request; one scheme may have a *token*."""
        schemes = ["Negotiate"] if self.negotiate else []
        schemes += ["Kerberos"] if self.kerberos else []
        schemes += ['Basic realm="WSMAN"'] if self.basic else []
        schemes += ["CredSSP"] if self.begin_credssp else []
        said = f" {base64.b64encode(token).decode('ascii')}" if token else ""
        return tuple(("WWW-Authenticate", each + said if each.lower() == scheme.lower() else each) for each in schemes)

    def binding(self) -> ChannelBinding:
        """Return what a handshake must be bound to."""
        if not self.tls or self.cbt is CbtHardening.NONE:
            return ChannelBinding()
        data = b"tls-server-end-point:" + self.certificate_digest
        return ChannelBinding(data, required=self.cbt is CbtHardening.STRICT)

    def takes_tokens(self, scheme: str) -> bool:
        """Return whether a handshake may begin under *scheme*."""
        on = {"kerberos": self.kerberos, "credssp": self.begin_credssp is not None}
        return on.get(scheme.lower(), self.negotiate and scheme.lower() in _NEGOTIATED)

    def begin(self, scheme: str, token: bytes) -> Mechanism:
        """Return the mechanism for the first token of a handshake.

        Raises:
            Refused: none that is allowed here understands it.
        """
        if scheme.lower() == "credssp" and self.begin_credssp is not None:
            return self.begin_credssp(self)
        framing = framing_of(token)
        if scheme.lower() == "kerberos" and framing is not Framing.KERBEROS:
            raise Refused("the scheme Kerberos takes raw Kerberos tokens")
        if framing is Framing.KERBEROS or (framing is Framing.SPNEGO_KERBEROS and self.take_ticket is not None):
            if self.take_ticket is None:
                raise Refused("the PC has no keytab")
            return self.take_ticket(self.binding(), self.accounts.logon_name_in, framing is Framing.SPNEGO_KERBEROS)
        if not self.ntlm:
            raise Refused("NTLM is restricted by policy")
        return NtlmMechanism(self.accounts, self.names, self.binding(), wrapped=not token.startswith(NTLMSSP))


MUTUAL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
"""What a client says in ``Authorization`` to log on with the certificate of its TLS connection."""
_PROTOCOLS = {"kerberos": KERBEROS, "credssp": CREDSSP}
"""What a body is sealed for, by scheme; the others are SPNEGO."""
_NEGOTIATED = ("negotiate", "ntlm")
"""The schemes under which the mechanism is negotiated."""


class AcceptedRequest(NamedTuple):
    """A request of a known user, or an anonymous Identify (*user* is empty): the SOAP message and how it came."""

    user: str
    message: bytes
    charset: str
    sealed: bool


class Authenticator:
    """Authentication and unsealing of one connection."""

    __slots__ = ("_last_token", "_mechanism", "_policy", "_protocol", "delegated", "principal", "refused", "user")

    def __init__(self, policy: AuthenticationPolicy) -> None:
        self._policy = policy
        self.principal = ""
        """The user principal name in the certificate that the client has shown, if it has."""
        self._mechanism: Mechanism | None = None
        self._protocol = SPNEGO
        self._last_token: tuple[tuple[str, str], ...] = ()
        self.user: str | None = None
        self.refused = False
        """Whether the last request tried to log on and was refused."""
        self.delegated = False
        """Whether the last request ended a logon with which the client has handed over its credentials."""

    def authenticate(self, request: HttpRequest) -> AcceptedRequest | HttpAnswer:
        """Return the user and the message, or the HTTP answer if the request goes no further.

        A handshake step is answered with its token, a failed handshake with 401, an unencrypted body with an empty
        500 if sealing is required, and a body sealed with other keys with 400.
        """
        self.refused = self.delegated = False
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            pass  # the connection has logged on before, or has not
        elif self._policy.takes_tokens(scheme):
            answer = self._negotiate(scheme, token)
            if answer is not None:
                return answer
        elif scheme.lower() == "basic" and self._policy.basic:
            self._basic(token)
        elif scheme.lower() == MUTUAL and self._policy.certificate:
            name, _, domain = self.principal.partition("@")
            self.user = self._policy.accounts.logon_name_in(name, domain)
        if self.user is None:
            self.refused = bool(scheme)
            return self.unauthorized()
        return self._unwrap(self.user, request)

    def unauthorized(self) -> HttpAnswer:
        """Return the 401 that names the schemes on offer."""
        return HttpAnswer(401, self._policy.challenges())

    def _negotiate(self, scheme: str, token: str) -> HttpAnswer | None:
        """Take one step of the handshake; ``None`` once it is complete and the account is known."""
        try:
            blob = base64.b64decode(token, validate=True)
            if self._mechanism is None or self._mechanism.complete:
                self.forget()
                self._mechanism = self._policy.begin(scheme, blob)
            reply = self._mechanism.step(blob)
        except (Refused, binascii.Error) as error:
            return self._refuse(scheme, error.token if isinstance(error, Refused) else b"")
        token_header = (("WWW-Authenticate", f"{scheme} {base64.b64encode(reply or b'').decode('ascii')}"),)
        if not self._mechanism.complete:
            return HttpAnswer(401, token_header)
        self.user = self._mechanism.user
        if self.user is None:
            return self._refuse(scheme)
        self.delegated = self._mechanism.delegated
        self._protocol = _PROTOCOLS.get(scheme.lower(), SPNEGO)
        self._last_token = token_header if reply else ()
        return None

    def take_last_token(self) -> tuple[tuple[str, str], ...]:
        """Return the header with the closing token of SPNEGO or Kerberos, once: it goes out with the first answer."""
        header, self._last_token = self._last_token, ()
        return header

    def _basic(self, token: str) -> None:
        """Check a Basic user and password (RFC 7617); after a wrong pair the connection has no user."""
        self.user = None
        try:
            name, _, password = base64.b64decode(token, validate=True).decode("utf-8").partition(":")
        except (ValueError, binascii.Error):
            return
        account = self._policy.accounts.check(name, password)
        self.user = account.logon_name if account else None

    def forget(self) -> None:
        """Drop the handshake, its keys and its user."""
        self._mechanism = None
        self._last_token = ()
        self.user = None

    def _refuse(self, scheme: str, token: bytes = b"") -> HttpAnswer:
        """Drop the handshake and refuse; *token* tells the client why."""
        self.forget()
        self.refused = True
        return HttpAnswer(401, self._policy.challenges(scheme, token))

    def _unwrap(self, user: str, request: HttpRequest) -> AcceptedRequest | HttpAnswer:
        """Open the body."""
        content_type = request.headers.get("content-type", "")
        if is_sealed(content_type):
            return self._unseal(user, content_type, request.body)
        if not request.body:
            return HttpAnswer(200)  # the handshake has ended; the sealed message comes next
        if not self._policy.tls and not self._policy.allow_unencrypted:
            return HttpAnswer(500)
        if not content_type.lower().startswith(SOAP):
            return HttpAnswer(415)
        return AcceptedRequest(user, request.body, charset_of(content_type), sealed=False)

    def _unseal(self, user: str, content_type: str, body: bytes) -> AcceptedRequest | HttpAnswer:
        """Open a sealed body with the keys of this connection."""
        if self._mechanism is None or not self._mechanism.complete:
            return HttpAnswer(400, close=True)
        try:
            original, message = unseal(self._mechanism, content_type, body, self._protocol)
        except SealBroken:
            # The cipher stream has advanced past the broken message: nothing more on this connection can be read.
            self.forget()
            return HttpAnswer(400, close=True)
        return AcceptedRequest(user, message, charset_of(original), sealed=True)

    def seal(self, message: bytes, content_type: str) -> tuple[str, bytes]:
        """Return the content type and the body of an answer with *message*; only after a sealed request."""
        assert self._mechanism is not None
        return seal_answer(self._mechanism, message, content_type, self._protocol)


@lru_cache(maxsize=256)
def charset_of(content_type: str) -> str:
    """Return the ``charset`` of a content type; UTF-8 by default."""
    for part in content_type.split(";")[1:]:
        name, _, value = part.strip().partition("=")
        if name.lower() == "charset":
            return value.strip().strip('"') or "UTF-8"
    return "UTF-8"
