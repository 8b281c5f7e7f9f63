"""One SOAP message: a request as bytes, an answer as its parts.

No socket, clock or uuid: address, message id and time-out are passed in. The header follows MS-WSMV 3.1.4.1
(ResourceURI .1, SelectorSet .2, ReplyTo .3, MessageID .5, OperationTimeout .6, MaxEnvelopeSize .7, Locale .8,
DataLocale .9, OptionSet .10) and DSP0226 section 5.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from provmode.wsman import uris
from provmode.wsman.errors import MalformedAnswer, UnexpectedAnswer
from provmode.wsman.faults import read_fault
from provmode.wsman.operations import Resource
from provmode.wsman.values import write_selectors
from provmode.wsman.xml import child, escape, local_name, parse

MAX_ENVELOPE_SIZE = 153_600
"""Octets that an answer may have: the value of Windows' own clients; the minimum is 8,192 (MS-WSMV 3.1.4.1.7)."""


@dataclass(frozen=True)
class Request:
    """One message to send, still without address and id."""

    shape: str
    """The kind of message, one of `SHAPES`; `docs/evidence.md` gives the evidence for each kind."""
    action: str
    """Action URI; empty for Identify, which has no addressing."""
    resource: Resource | None
    body: str
    """XML inside ``s:Body``, with the prefixes s, a, w, p, n, rsp, cim and xsi bound (p is the resource URI)."""
    what: str
    """The operation in words, for errors: ``Invoke GetStringValue on StdRegProv``."""
    options: tuple[tuple[str, str], ...] = ()
    """``OptionSet`` of the header. MS-WSMV 3.1.4.1.10."""
    options_must_be_understood: bool = True


@dataclass(frozen=True)
class Response:
    """One answer that is not a fault."""

    action: str
    """Action URI; empty for Identify."""
    body: Element | None
    """First element inside ``s:Body``, or ``None`` for an empty body."""
    rest: tuple[Element, ...] = ()
    """Further elements inside ``s:Body`` (the ``Shell`` beside a ``ResourceCreated``)."""


_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    f'<s:Envelope xmlns:s="{uris.SOAP}" xmlns:a="{uris.ADDRESSING}" xmlns:w="{uris.WSMAN}" xmlns:v="{uris.WSMV}"'
    f' xmlns:n="{uris.ENUMERATION}" xmlns:rsp="{uris.SHELL}" xmlns:cim="{uris.CIM_COMMON}" xmlns:xsi="{uris.XSI}">'
    "<s:Header>%s</s:Header><s:Body>%s</s:Body></s:Envelope>"
)

_IDENTIFY = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    f'<s:Envelope xmlns:s="{uris.SOAP}" xmlns:i="{uris.IDENTITY}">'
    "<s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>"
)


def encode(
    request: Request,
    *,
    to: str,
    message_id: str,
    operation_timeout: float,
    max_envelope_size: int = MAX_ENVELOPE_SIZE,
    locale: str = "en-US",
) -> bytes:
    """Return *request* as a SOAP envelope in UTF-8.

    *operation_timeout* is in seconds: the PC answers with a fault if the operation takes longer.

    Raises:
        ValueError: a text that XML cannot represent.
    """
    if request.resource is None:
        return _IDENTIFY.encode()
    header = (
        f"{_fixed_header(to, max_envelope_size, locale)}"
        f'<w:ResourceURI s:mustUnderstand="true">{escape(request.resource.uri)}</w:ResourceURI>'
        f'<a:Action s:mustUnderstand="true">{escape(request.action)}</a:Action>'
        f"<a:MessageID>{escape(message_id)}</a:MessageID>"
        f"<w:OperationTimeout>PT{operation_timeout:.3f}S</w:OperationTimeout>"
        f"{write_selectors(request.resource)}{_option_set(request)}"
    )
    return (_ENVELOPE % (header, request.body)).encode()


@functools.lru_cache(maxsize=256)
def _fixed_header(to: str, max_envelope_size: int, locale: str) -> str:
    """Return the part of the header that is the same in every message to a PC."""
    return (
        f"<a:To>{escape(to)}</a:To>"
        f'<a:ReplyTo><a:Address s:mustUnderstand="true">{uris.ANONYMOUS}</a:Address></a:ReplyTo>'
        f'<w:MaxEnvelopeSize s:mustUnderstand="true">{max_envelope_size}</w:MaxEnvelopeSize>'
        f'<w:Locale xml:lang="{escape(locale)}" s:mustUnderstand="false"/>'
        f'<v:DataLocale xml:lang="{escape(locale)}" s:mustUnderstand="false"/>'
    )


def _option_set(request: Request) -> str:
    if not request.options:
        return ""
    inner = "".join(f'<w:Option Name="{escape(name)}">{escape(value)}</w:Option>' for name, value in request.options)
    understand = ' s:mustUnderstand="true"' if request.options_must_be_understood else ""
    return f"<w:OptionSet{understand}>{inner}</w:OptionSet>"


def decode(data: bytes, *, message_id: str | None = None) -> Response:
    """Return the answer in *data*; with *message_id*, check that it answers that message.

    Faults are not checked: Windows sends quota faults without ``RelatesTo`` (recorded).

    Raises:
        Fault: the PC answered with a fault.
        MalformedAnswer: *data* is not a SOAP envelope.
        UnexpectedAnswer: *data* answers another message.
    """
    root = parse(data)
    if local_name(root) != "Envelope":
        raise MalformedAnswer(f"expected a SOAP Envelope, got {local_name(root)[:60]!r}")
    body = child(root, "Body")
    if body is None:
        raise MalformedAnswer("the Envelope has no Body")
    first = body[0] if len(body) else None
    if first is not None and local_name(first) == "Fault":
        raise read_fault(first)
    header = child(root, "Header")
    action = _header_text(header, "Action")
    if message_id is not None and action:
        related = _header_text(header, "RelatesTo")
        if related.lower() != message_id.lower():
            raise UnexpectedAnswer("the answer relates to another message than ours")
    return Response(action, first, tuple(body[1:]))


def _header_text(header: Element | None, name: str) -> str:
    found = child(header, name) if header is not None else None
    return (found.text or "").strip() if found is not None else ""
