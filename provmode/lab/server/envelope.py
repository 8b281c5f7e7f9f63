"""SOAP envelopes: read a request's headers as strictly as Windows, write answers in the recorded shape.

Header rules: MS-WSMV 3.1.4.1.1 to 3.1.4.1.10 and DSP0226 sections 5 and 6.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple
from xml.etree.ElementTree import Element

from provmode.lab.server import faults
from provmode.lab.server.faults import Fault, FaultContext, SoapFault, fault_body
from provmode.lab.server.xmltree import MalformedXml, escape, local, parse

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
WSMV = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
EVENTING = "http://schemas.xmlsoap.org/ws/2004/08/eventing"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
ANONYMOUS = ADDRESSING + "/role/anonymous"

MIN_ENVELOPE = 8192
"""Octets; less is an EncodingLimit fault (MS-WSMV 3.1.4.1.7)."""
MAX_MESSAGE_ID = 2048

_PREFIXES = {
    "s": SOAP,
    "a": ADDRESSING,
    "x": TRANSFER,
    "e": EVENTING,
    "n": ENUMERATION,
    "w": WSMAN,
    "rsp": SHELL,
    "p": WSMV,
}
_UNDERSTOOD = {
    ADDRESSING: {"To", "ReplyTo", "Action", "MessageID", "FaultTo", "From", "RelatesTo"},
    WSMAN: {
        "ResourceURI",
        "MaxEnvelopeSize",
        "OperationTimeout",
        "Locale",
        "SelectorSet",
        "OptionSet",
        "RequestTotalItemsCountEstimate",
    },
    WSMV: {"DataLocale", "SessionId", "OperationID", "SequenceId", "ActivityId", "CompressionType"},
}
_KNOWN = {f"{{{namespace}}}{name}" for namespace, names in _UNDERSTOOD.items() for name in names}
ACTION, RESOURCE_URI = f"{{{ADDRESSING}}}Action", f"{{{WSMAN}}}ResourceURI"
_MESSAGE_ID, _TO = f"{{{ADDRESSING}}}MessageID", f"{{{ADDRESSING}}}To"
_REPLY_TO, _FAULT_TO, _ADDRESS = (f"{{{ADDRESSING}}}{name}" for name in ("ReplyTo", "FaultTo", "Address"))
_SELECTORS, _OPTIONS = f"{{{WSMAN}}}SelectorSet", f"{{{WSMAN}}}OptionSet"
_TIMEOUT, _ENVELOPE_SIZE = f"{{{WSMAN}}}OperationTimeout", f"{{{WSMAN}}}MaxEnvelopeSize"
_OPERATION_ID, _SESSION_ID = f"{{{WSMV}}}OperationID", f"{{{WSMV}}}SessionId"
_BODY, _HEADER = f"{{{SOAP}}}Body", f"{{{SOAP}}}Header"
_MUST_UNDERSTAND = f"{{{SOAP}}}mustUnderstand"
_LOCALES = (
    (f"{{{WSMAN}}}Locale", faults.UNSUPPORTED_LOCALE),
    (f"{{{WSMV}}}DataLocale", faults.UNSUPPORTED_DATA_LOCALE),
)
_HOST = re.compile(r"^[a-z]+://(\[[^\]]*\]|[^/:]*)", re.IGNORECASE)
_DURATION = re.compile(
    r"^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$", re.ASCII
)


@dataclass(frozen=True)
class Limits:
    """The service's own limits (MS-WSMV 2.2.4.10); requests are clamped to them."""

    max_envelope: int = 500 * 1024
    """Octets."""
    max_timeout: float = 60.0
    """Seconds."""


@dataclass(frozen=True)
class Request:
    """A request with valid headers."""

    action: str
    resource_uri: str
    message_id: str
    selectors: tuple[tuple[str, str], ...]
    options: Mapping[str, str]
    """By upper-case name."""
    timeout: float
    """Seconds the client waits, clamped to the service's own limit."""
    max_envelope: int
    """Octets of the largest answer, counted as UTF-16: two octets a character."""
    body: Element | None
    """The one element in the SOAP body."""
    to: str
    operation_id: str | None = None
    """Echoed by WinRM 3.0 and later to a client that also named its session."""

    def selector(self, name: str) -> str | None:
        """Return the value of the selector *name*, ignoring case."""
        return next((value for key, value in self.selectors if key.lower() == name.lower()), None)


class Partial(NamedTuple):
    """What a fault needs of a request whose headers are not checked yet."""

    message_id: str | None = None
    machine: str = ""
    operation_id: str | None = None


@dataclass(frozen=True)
class Stack:
    """The generation of the WinRM service: what it puts into its envelopes and how it enumerates."""

    version: str = "3.0"
    """As Identify reports it."""
    activity_id: bool = True
    wmi_errors: bool = True
    """Quotas and CIM errors as ``MSFT_WmiError``."""
    command_options: bool = False
    """Whether ``Command`` heeds its options (MS-WSMV note <117>: Windows Server 2012 and earlier do)."""
    first_page: int | None = None
    """Items the first EnumerateResponse may hold: 1 on Windows Server 2008 to 2012; ``None``: as many as fit."""
    max_shells: int = 30
    max_operations: int = 1500


_OLD = Stack(activity_id=False, wmi_errors=False, command_options=True, max_shells=5, max_operations=15)
WINRM_1 = replace(_OLD, version="1.1")
"""Windows Server 2003 R2: everything in the first answer."""
WINRM_2 = replace(_OLD, version="2.0", first_page=1)
"""Windows 7 and Server 2008 R2: one item first."""
WINRM_3_2012 = Stack("3.0", command_options=True, first_page=1)
"""Windows 8 and Server 2012."""
WINRM_3 = Stack("3.0")
"""Later versions. No recording has their first page; the protocol allows as many items as fit (DSP0226 8.2.3)."""


def read_root(message: bytes, charset: str) -> Element:
    """Parse *message* and return its ``s:Envelope``.

    Raises:
        SoapFault: it is not XML, or not a SOAP 1.2 envelope.
    """
    try:
        root = parse(message, charset)
    except MalformedXml as error:
        raise SoapFault(faults.SCHEMA_VALIDATION) from error
    if root.tag != f"{{{SOAP}}}Envelope" or root.find(_BODY) is None:
        raise SoapFault(faults.SCHEMA_VALIDATION)
    return root


def body_of(root: Element) -> Element | None:
    """Return the one element in the SOAP body, or ``None`` if the body is empty.

    Raises:
        SoapFault: the body has more than one element.
    """
    body = root.find(_BODY)
    if body is None or len(body) > 1:
        raise SoapFault(faults.SCHEMA_VALIDATION)
    return body[0] if len(body) else None


def header_elements(root: Element) -> list[Element]:
    """Return the elements of the SOAP header."""
    header = root.find(_HEADER)
    return [] if header is None else list(header)


def header_texts(root: Element) -> dict[str, str]:
    """Return the texts of the SOAP header's elements by name."""
    return {element.tag: (element.text or "").strip() for element in header_elements(root)}


def partial(texts: Mapping[str, str]) -> Partial:
    """Return what a fault needs of a request with these `header_texts`; the rest of it need not be valid."""
    return Partial(
        texts.get(_MESSAGE_ID) or None,
        machine_of(texts.get(_TO, "")),
        _operation_id(texts),
    )


def machine_of(to: str) -> str:
    """Return the host of the URL a client addressed its message to; empty if it is not a URL."""
    match = _HOST.match(to)
    return match[1] if match else ""


def _operation_id(texts: Mapping[str, str]) -> str | None:
    """Return the ``OperationID`` to echo: only if the request also has a ``SessionId``."""
    return texts.get(_OPERATION_ID) if _SESSION_ID in texts else None


def read_request(root: Element, limits: Limits, texts: Mapping[str, str] | None = None) -> Request:
    """Check the headers of a request and return it; *texts* are its `header_texts`, if they are known.

    Raises:
        SoapFault: a header is missing, malformed, not understood, or asks for something unsupported.
    """
    headers: dict[str, Element] = {}
    for element in header_elements(root):
        _check_understood(element)
        if element.tag in headers:
            raise SoapFault(faults.INVALID_HEADER)
        headers[element.tag] = element
    texts = header_texts(root) if texts is None else texts
    message_id = texts.get(_MESSAGE_ID, "")
    if not message_id or len(message_id) > MAX_MESSAGE_ID:
        raise SoapFault(faults.INVALID_HEADER)
    _check_addresses(headers)
    _check_locales(headers)
    return Request(
        action=_required(texts, ACTION),
        resource_uri=_resource_uri(texts),
        message_id=message_id,
        selectors=_pairs(headers.get(_SELECTORS), "Selector"),
        options={name.upper(): value for name, value in _options(headers)},
        timeout=_timeout(texts.get(_TIMEOUT), limits),
        max_envelope=_max_envelope(texts.get(_ENVELOPE_SIZE), limits),
        body=body_of(root),
        to=_required(texts, _TO),
        operation_id=_operation_id(texts),
    )


def must_understand(element: Element) -> bool:
    """Return whether a header must be understood. Windows also accepts the attribute without a namespace."""
    value = element.get(_MUST_UNDERSTAND, element.get("mustUnderstand", "false"))
    return value.strip().lower() in ("true", "1")


def _check_understood(element: Element) -> None:
    """Reject a header that must be understood but is not (SOAP 1.2 part 1, section 5.4.8)."""
    if element.tag in _KNOWN:
        return
    namespace = element.tag[1:].rpartition("}")[0] if element.tag.startswith("{") else ""
    if must_understand(element) and local(element) not in _UNDERSTOOD.get(namespace, ()):
        raise SoapFault(replace(faults.MUST_UNDERSTAND, not_understood=(namespace, local(element))))


def _check_addresses(headers: Mapping[str, Element]) -> None:
    """Reject a request whose answer would go anywhere but to the client (MS-WSMV 3.1.4.1.3 and 3.1.4.1.4)."""
    reply_to = headers.get(_REPLY_TO)
    if reply_to is None:
        raise SoapFault(faults.HEADER_REQUIRED)
    fault_to = headers.get(_FAULT_TO)
    for element in [reply_to] if fault_to is None else [reply_to, fault_to]:
        address = (element.findtext(_ADDRESS) or "").strip()
        if address.rstrip("/") != ANONYMOUS:
            raise SoapFault(faults.UNSUPPORTED_ADDRESSING)


def _check_locales(headers: Mapping[str, Element]) -> None:
    """Reject a language that must be understood (MS-WSMV 3.1.4.1.8 and 3.1.4.1.9)."""
    for tag, fault in _LOCALES:
        if tag in headers and must_understand(headers[tag]):
            raise SoapFault(fault)


def _required(texts: Mapping[str, str], tag: str) -> str:
    """Return the text of a required addressing header."""
    value = texts.get(tag, "")
    if not value:
        raise SoapFault(faults.HEADER_REQUIRED)
    return value


def _resource_uri(texts: Mapping[str, str]) -> str:
    """Return the resource URI, which every request needs."""
    uri = texts.get(RESOURCE_URI, "")
    if not uri:
        raise SoapFault(faults.INVALID_RESOURCE_URI)
    return uri


def _pairs(parent: Element | None, child: str) -> tuple[tuple[str, str], ...]:
    """Return the (name, value) of each named child. A duplicate name is a fault (DSP0226 5.4.2)."""
    if parent is None:
        return ()
    found: dict[str, tuple[str, str]] = {}
    for element in parent.findall(f"{{{WSMAN}}}{child}"):
        name = element.get("Name", "")
        if not name or name.lower() in found:
            raise SoapFault(faults.INVALID_SELECTORS if child == "Selector" else faults.INVALID_OPTIONS)
        found[name.lower()] = (name, element.text or "")
    return tuple(found.values())


def _options(headers: Mapping[str, Element]) -> tuple[tuple[str, str], ...]:
    """Return the options as (name, value)."""
    return _pairs(headers.get(_OPTIONS), "Option")


def _timeout(text: str | None, limits: Limits) -> float:
    """Return the operation timeout in seconds, clamped (MS-WSMV 3.1.4.1.6)."""
    if not text:
        return limits.max_timeout
    seconds = parse_duration(text)
    if seconds is None:
        message = f"The XML contains an invalid timeout field in the SOAP header: {text}. "
        raise SoapFault(replace(faults.INVALID_HEADER, message=message))
    return min(seconds, limits.max_timeout)


@lru_cache(maxsize=32)
def parse_duration(text: str) -> float | None:
    """Return the seconds of an ``xs:duration`` (a year is 365 days, a month 30); ``None`` if it is not a duration."""
    match = _DURATION.match(text)
    if match is None or not any(match.groups()):
        return None
    years, months, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((years * 365 + months * 30 + days) * 24 + hours) * 3600 + minutes * 60 + seconds


def _max_envelope(text: str | None, limits: Limits) -> int:
    """Return the largest answer in octets, clamped (MS-WSMV 3.1.4.1.7)."""
    if not text:
        return limits.max_envelope
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise SoapFault(faults.INVALID_HEADER)
    if int(text) < MIN_ENVELOPE:
        raise SoapFault(faults.ENCODING_LIMIT)
    return min(int(text), limits.max_envelope)


def _declarations(prefixes: str) -> str:
    """Return the namespace declarations of an envelope."""
    return " ".join(f'xmlns:{prefix}="{_PREFIXES[prefix]}"' for prefix in prefixes.split())


_DECLARATIONS = {
    prefixes: _declarations(prefixes)
    for prefixes in ("s a x w p", "s a n w p", "s a x w rsp p", "s a w rsp p", "s a w p", "s a x e n w p")
}
"""The declarations each kind of answer was recorded with."""


def _new_id() -> str:
    """Return a message identifier, a random UUID (RFC 4122 section 4.4) in capitals as Windows writes them."""
    digits = os.urandom(16).hex().upper()
    variant = "89AB"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def write_answer(
    action: str, body: str, request: Partial | Request, stack: Stack, language: str, prefixes: str = "s a w p"
) -> str:
    """Return the envelope of an answer; *prefixes* are the namespaces it declares."""
    return _envelope(action, body, request.message_id, request.operation_id, stack, language, prefixes)


def write_fault(fault: Fault, request: Partial, stack: Stack, context: FaultContext) -> str:
    """Return the envelope of *fault*."""
    related = request.message_id if fault.related else None
    extra = ""
    if fault.not_understood:
        namespace, name = fault.not_understood
        extra = f'<s:NotUnderstood qname="q:{escape(name)}" xmlns:q="{escape(namespace)}"/>'
    return _envelope(
        fault.action,
        fault_body(fault, context),
        related,
        None if fault.unread else request.operation_id,
        stack,
        context.language,
        "s a x e n w p",
        extra,
    )


def _envelope(
    action: str,
    body: str,
    relates_to: str | None,
    operation_id: str | None,
    stack: Stack,
    language: str,
    prefixes: str,
    extra: str = "",
) -> str:
    """Return an envelope with its headers in the recorded order."""
    activity = f"<p:ActivityId>{_new_id()}</p:ActivityId>" if stack.activity_id else ""
    if operation_id and stack.activity_id:
        activity += (
            f'<p:OperationID s:mustUnderstand="false">{escape(operation_id)}</p:OperationID>'
            "<p:SequenceId>1</p:SequenceId>"
        )
    relation = f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo>" if relates_to else ""
    return (
        f'<s:Envelope xml:lang="{language}" {_DECLARATIONS[prefixes]}><s:Header><a:Action>{action}</a:Action>'
        f"<a:MessageID>uuid:{_new_id()}</a:MessageID>{activity}<a:To>{ANONYMOUS}</a:To>{relation}{extra}"
        f"</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
