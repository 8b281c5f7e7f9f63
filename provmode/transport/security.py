"""The handshake and the sealing of a connection, by pyspnego.

A context is one logon to one PC. It makes the tokens of the handshake, and seals messages with the keys that the
handshake agreed on. The mechanism is the one that was asked for: a context for NTLM never speaks Kerberos, nor the
other way round, whatever else this machine has (``gss-ntlmssp``, a ticket cache).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

import spnego
import spnego.exceptions
from spnego._ntlm_raw.crypto import hmac_md5, ntowfv1, rc4k
from spnego.channel_bindings import GssChannelBindings

from provmode.transport.sealed_body import SealError
from provmode.transport.target import Credentials

logger = logging.getLogger(__name__)

T = TypeVar("T")

NTLM_SERVICE = "http"
"""The service in NTLM's target name (MsvAvTargetName), as requests-ntlm writes it."""


PROOF = "the PC's own proof of who it is"
"""What errors call mutual authentication."""
REQUIRED_OF_KERBEROS = {
    spnego.ContextReq.integrity: "signing",
    spnego.ContextReq.confidentiality: "sealing",
    spnego.ContextReq.mutual_auth: PROOF,
}
"""What both sides have to agree on (RFC 4121 section 4.1.1.1), by what errors call it."""
REQUIRED_OVER_TLS = {spnego.ContextReq.mutual_auth: PROOF}
"""The same if TLS signs and seals."""


_EXPIRED = 12
"""GSS_S_CONTEXT_EXPIRED (RFC 2744 section 3.9.1), in the upper half of a status."""


class ContextExpired(Exception):
    """The ticket that a context was made from has ended; the context seals nothing any more."""


class SecurityContext:
    """One logon over pyspnego's *context*."""

    def __init__(self, context: spnego.ContextProxy) -> None:
        self._context = context
        self._first: bytes | None = None

    def begin(self) -> None:
        """Make the first token now; `step` returns it later."""
        self._first = self.step(None)

    @property
    def complete(self) -> bool:
        """Whether the handshake has ended on our side."""
        return self._context.complete

    def step(self, token: bytes | None) -> bytes:
        """Take the PC's token (``None``: begin), and return the next one to send; empty if there is none."""
        if token is None and self._first is not None:
            return self._first
        return self._context.step(token) or b""

    def missing(self, required: Mapping[spnego.ContextReq, str] = REQUIRED_OF_KERBEROS) -> list[str]:
        """Return what of *required* a Kerberos handshake has not agreed on, as errors call it."""
        agreed = self._context.context_attr
        return [name for flag, name in required.items() if not agreed & flag]

    @property
    def delegated(self) -> bool:
        """Whether the PC was given the account's ticket."""
        return bool(self._context.context_attr & spnego.ContextReq.delegate)

    @property
    def mechanism(self) -> str:
        """The mechanism that the handshake agreed on: ``kerberos`` or ``ntlm``; empty before that."""
        return self._context.negotiated_protocol or ""

    def seal_whole(self, message: bytes) -> bytes:
        """Return *message* sealed, with its signature, as SASL has it."""
        return self._context.wrap(message).data

    def open_whole(self, sealed: bytes) -> bytes:
        """Return the message in *sealed*.

        Raises:
            SealError: it is signed and not sealed.
            Exception: one of pyspnego's or gssapi's: the seal is broken.
        """
        opened = self._context.unwrap(sealed)
        if not opened.encrypted:
            raise SealError("it is not sealed")
        return opened.data

    def seal(self, message: bytes) -> tuple[int, bytes, bytes]:
        """Return the length to state for *message* (with the cipher's padding), its signature, and its sealed bytes.

        Raises:
            ContextExpired: the ticket has ended.
        """
        wrapped = _unless_expired(lambda: self._context.wrap_winrm(message))
        return len(message) + wrapped.padding_length, wrapped.header, wrapped.data

    def open(self, length: int, signature: bytes, sealed: bytes) -> bytes:
        """Return the message in *sealed*; *length* is what the sender stated.

        The sender may or may not count the cipher's padding into it.

        Raises:
            SealError: the message is not as long as it says.
            ContextExpired: the ticket has ended.
            Exception: one of pyspnego's or gssapi's: the seal is broken.
        """
        message = _unless_expired(lambda: self._context.unwrap_winrm(signature, sealed))
        if length not in (len(message), len(sealed)):
            raise SealError("it is not as long as it says")
        return message


def _unless_expired(call: Callable[[], T]) -> T:
    """Return what *call* returns; tell the end of a ticket from every other error."""
    try:
        return call()
    except Exception as error:
        status = getattr(error, "maj_code", 0)  # gssapi's errors; pyspnego passes them on
        if isinstance(error, spnego.exceptions.ContextExpiredError) or status >> 16 & 0xFF == _EXPIRED:
            raise ContextExpired from None
        raise


@functools.cache
def ntlm_lacks() -> str:
    """Return what NTLM is made of and this computer's OpenSSL refuses, as in FIPS mode; empty if it has everything.

    NTLM needs MD4 as well, which pyspnego brings along.
    """
    needed: dict[str, Callable[[], object]] = {
        "HMAC-MD5": lambda: hmac_md5(b"key", b"data"),
        "RC4": lambda: rc4k(bytes(16), b"data"),
    }
    for name, use in needed.items():
        try:
            use()
        except Exception as error:  # noqa: BLE001 - hashlib and cryptography say it in many ways
            logger.debug("%s cannot be used here: %s", name, type(error).__name__)
            return name
    return ""


def ntlm(credentials: Credentials, host: str, binding: bytes) -> SecurityContext:
    """Return a context for NTLMv2.

    *host* is the name that the PC is connected by, *binding* the binding of its TLS channel, empty without TLS.
    """
    context = spnego.client(
        _hashed(credentials.user, credentials.password),
        hostname=host,
        service=NTLM_SERVICE,
        protocol="ntlm",
        channel_bindings=bound_to(binding),
        options=spnego.NegotiateOptions.use_ntlm,
    )
    return SecurityContext(context)


@functools.lru_cache(maxsize=64)
def _hashed(user: str, password: str) -> spnego.NTLMHash:
    """Return the account as its NT hash (MS-NLMP 3.3.1), made once: each costs as much as the rest of a handshake.

    pyspnego would make an LM hash as well for each PC, which NTLMv2 does not use.
    """
    return spnego.NTLMHash(username=user, nt_hash=ntowfv1(password).hex())


def bound_to(binding: bytes) -> GssChannelBindings | None:
    """Return *binding* as pyspnego takes it."""
    return GssChannelBindings(application_data=binding) if binding else None
