"""Kerberos' tokens from outside: what a client's first one is, and the one that tells it why it was refused.

GSS-API frames a token with the name of its mechanism (RFC 2743 section 3.1); SPNEGO negotiates one (RFC 4178). Only the
framing, no keys: the acceptor is in ``kerberos``. Everything is DER (X.690).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

KERBEROS_OID = bytes.fromhex("2a864886f712010202")
"""1.2.840.113554.1.2.2 (RFC 4121)."""
MICROSOFTS_KERBEROS_OID = bytes.fromhex("2a864882f712010202")
"""1.2.840.48018.1.2.2: one bit is lost, and Windows still sends it first (MS-SPNG 3.1.5.2)."""
NTLM_OID = bytes.fromhex("2b06010401823702020a")
SPNEGO_OID = bytes.fromhex("2b0601050502")

_INTEGER, _OCTETS, _OID, _ENUMERATED, _STRING, _TIME, _SEQUENCE = 0x02, 0x04, 0x06, 0x0A, 0x1B, 0x18, 0x30
_GSS, _TICKET, _AP_REQ, _KRB_ERROR = 0x60, 0x61, 0x6E, 0x7E
_NEG_TOKEN_RESP = 0xA1
_REJECT = 2
_KRB_ERROR_TOKEN = b"\x03\x00"
"""RFC 4121 section 4.1: what kind of Kerberos token follows."""


class Framing(Enum):
    """How a client's first token is framed."""

    OTHER = "other"
    KERBEROS = "a raw Kerberos token"
    SPNEGO_KERBEROS = "SPNEGO that prefers Kerberos"
    SPNEGO_OTHER = "SPNEGO that prefers something else"


class ErrorCode(int, Enum):
    """What a server says of a ticket (RFC 4120 section 7.5.9)."""

    TICKET_EXPIRED = 32
    REPEATED = 34
    SKEW = 37
    MODIFIED = 41
    GENERIC = 60


@dataclass(frozen=True)
class Ticket:
    """What stands in clear on a client's ticket: the service it is for."""

    realm: str
    name_type: int
    service: tuple[str, ...]
    """``("HTTP", "pc-1.corp.example")``."""


class NotDer(ValueError):
    """The bytes are not DER, or not of the expected type."""


def framing_of(token: bytes) -> Framing:
    """Return how the first token of a handshake is framed, whatever the bytes are."""
    try:
        tag, body = _only(token)
        (oid_tag, oid), rest = _first(body)
        if tag != _GSS or oid_tag != _OID:
            return Framing.OTHER
        if oid in (KERBEROS_OID, MICROSOFTS_KERBEROS_OID):
            return Framing.KERBEROS
        if oid != SPNEGO_OID:
            return Framing.OTHER
        mechanisms = [value for tag, value in _elements(_inside(rest, 0xA0, _SEQUENCE, 0xA0, _SEQUENCE)) if tag == _OID]
    except NotDer:
        return Framing.OTHER
    known = [each for each in mechanisms if each in (KERBEROS_OID, MICROSOFTS_KERBEROS_OID, NTLM_OID)]
    return Framing.SPNEGO_KERBEROS if known and known[0] != NTLM_OID else Framing.SPNEGO_OTHER


def ticket_of(token: bytes) -> Ticket | None:
    """Return what can be read of the ticket in a client's first token, raw or inside SPNEGO, or ``None``."""
    try:
        if framing_of(token) is Framing.SPNEGO_KERBEROS:
            _, body = _only(token)
            token = _mechanism_token(_first(body)[1])
        _, body = _only(token)
        _, request = _first(body)  # behind the mechanism's name
        fields = dict(_elements(_inside(request[2:], _AP_REQ, _SEQUENCE)))
        ticket = dict(_elements(_inside(fields[0xA3], _TICKET, _SEQUENCE)))
        name = dict(_elements(_inside(ticket[0xA2], _SEQUENCE)))
        parts = tuple(value.decode() for _, value in _elements(_inside(name[0xA1], _SEQUENCE)))
        return Ticket(
            _inside(ticket[0xA1], _STRING).decode(), int.from_bytes(_inside(name[0xA0], _INTEGER), "big"), parts
        )
    except (NotDer, KeyError, UnicodeDecodeError):
        return None


def error_token(code: int, ticket: Ticket, now: datetime, *, wrapped: bool) -> bytes:
    """Return the KRB-ERROR (RFC 4120 section 5.9.1) that refuses *ticket*, with *wrapped* as SPNEGO's rejection.

    *now* is the time on the server's clock.
    """
    moment = now.astimezone(timezone.utc)
    names = b"".join(_der(_STRING, part.encode()) for part in ticket.service)
    principal = _der(0xA0, _integer(ticket.name_type)) + _der(0xA1, _der(_SEQUENCE, names))
    fields = (
        (0xA0, _integer(5)),  # version
        (0xA1, _integer(30)),  # type
        (0xA4, _der(_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())),
        (0xA5, _integer(moment.microsecond)),
        (0xA6, _integer(code)),
        (0xA9, _der(_STRING, ticket.realm.encode())),
        (0xAA, _der(_SEQUENCE, principal)),
    )
    message = _der(_KRB_ERROR, _der(_SEQUENCE, b"".join(_der(tag, value) for tag, value in fields)))
    token = _der(_GSS, _der(_OID, KERBEROS_OID) + _KRB_ERROR_TOKEN + message)
    if not wrapped:
        return token
    rejection = _der(0xA0, _der(_ENUMERATED, bytes((_REJECT,)))) + _der(0xA2, _der(_OCTETS, token))
    return _der(_NEG_TOKEN_RESP, _der(_SEQUENCE, rejection))


def error_code_of(token: bytes) -> int | None:
    """Return the code of a KRB-ERROR, raw or in SPNEGO's rejection; ``None``: it is none."""
    try:
        if token[:1] == bytes((_NEG_TOKEN_RESP,)):
            token = _inside(dict(_elements(_inside(token, _NEG_TOKEN_RESP, _SEQUENCE)))[0xA2], _OCTETS)
        _, message = _first(_inside(token, _GSS))
        if message[:2] != _KRB_ERROR_TOKEN:
            return None
        fields = dict(_elements(_inside(message[2:], _KRB_ERROR, _SEQUENCE)))
        return int.from_bytes(_inside(fields[0xA6], _INTEGER), "big")
    except (NotDer, KeyError):
        return None


def _mechanism_token(init: bytes) -> bytes:
    """Return the token that SPNEGO's NegTokenInit carries for the mechanism that the client prefers."""
    return _inside(dict(_elements(_inside(init, 0xA0, _SEQUENCE)))[0xA2], _OCTETS)


# -- DER ----------------------------------------------------------------------------------------------------------


def _first(data: bytes) -> tuple[tuple[int, bytes], bytes]:
    """Return tag and value of the first element, and what is behind it."""
    if len(data) < 2:
        raise NotDer("the data end in the middle of an element")
    tag, length, at = data[0], data[1], 2
    if length >= 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4 or len(data) < 2 + size:
            raise NotDer("an element has no definite length")
        length, at = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    if len(data) < at + length:
        raise NotDer("an element is longer than the data")
    return (tag, data[at : at + length]), data[at + length :]


def _only(data: bytes) -> tuple[int, bytes]:
    """Return tag and value of an element with nothing behind it."""
    element, rest = _first(data)
    if rest:
        raise NotDer("there is something behind the element")
    return element


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and value of each element."""
    while data:
        element, data = _first(data)
        yield element


def _inside(data: bytes, *tags: int) -> bytes:
    """Return the value inside of elements with these tags, from the outermost in."""
    for tag in tags:
        (found, data), _ = _first(data)
        if found != tag:
            raise NotDer(f"tag 0x{found:02x} in place of 0x{tag:02x}")
    return data


def _der(tag: int, value: bytes) -> bytes:
    """Return one element."""
    size = len(value)
    if size < 0x80:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + value


def _integer(number: int) -> bytes:
    """Return an INTEGER that is not negative."""
    return _der(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))
