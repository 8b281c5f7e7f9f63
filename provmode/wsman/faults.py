"""Faults: what a PC answers if it cannot or will not.

Windows reports the same failure in several forms: a ``WSManFault`` with a code (all versions); inside it a
``ProviderFault`` with the provider's own code and an ``__ExtendedStatus`` (WMI); or, from Windows 8 and Server 2012
on, an ``MSFT_WmiError`` instead. Texts are localised, so only numbers decide.

Order of reading: the innermost ``WSManFault/@Code``, then ``MSFT_WmiError/error_Code`` and ``CIMStatusCode``, then the
SOAP subcode. ``error_Type`` says what kind of number ``error_Code`` is: an HRESULT, a Win32 error, or an MI result,
which is a ``CIMStatusCode``. Sources: MS-WSMV 2.2.4.43 and 3.1.4.1.21, DSP0226 section 14, Microsoft's
"MI_Context_PostError function" (``error_Type``), recorded faults of Windows Server 2008 R2 to 2016; code names from
``wsmerror.h``.
"""

from __future__ import annotations

import re
from enum import Enum
from xml.etree.ElementTree import Element

from provmode.wsman.codes import name_of
from provmode.wsman.xml import child, descendants, local_name


class FaultKind(str, Enum):
    """The family of a fault, by which a caller decides."""

    ACCESS_DENIED = "access-denied"
    QUOTA = "quota"
    SHELLS_FORBIDDEN = "shells-forbidden"
    """The PC's policy forbids remote shells, and so every command line. CIM works all the same."""
    TIMED_OUT = "timed-out"
    """OperationTimeout passed. For Receive this means "nothing yet", for everything else "may have happened"."""
    NOT_FOUND = "not-found"
    """No such class, namespace or instance on this PC."""
    STALE_CONTEXT = "stale-context"
    """The PC dropped the enumeration; start it again."""
    UNAVAILABLE = "unavailable"
    """The PC is busy, starting or stopping, or a service is not running. `Fault.refused` says whether nothing was
    done."""
    PROCESS_GONE = "process-gone"
    """The process that a message is for has ended, or has closed its standard input."""
    ENVELOPE_TOO_LARGE = "envelope-too-large"
    INVALID = "invalid"
    """The request does not fit the class (action, selectors, filter, schema): a mistake of ours or of the caller."""
    PROVIDER_FAILED = "provider-failed"
    """The provider failed while it worked; `Fault.description`, if there is one, says how."""
    UNKNOWN = "unknown"
    """Any other code; the fault keeps it."""


_KINDS: dict[FaultKind, frozenset[int]] = {
    FaultKind.ACCESS_DENIED: frozenset(
        # E_ACCESSDENIED; WS-Man: service, provider, connect to WMI denied; WBEM_E_ACCESS_DENIED, privileges
        {0x80070005, 0x80338104, 0x80338105, 0x80338106, 0x80041003, 0x80041062}
    ),
    FaultKind.QUOTA: frozenset(
        # shells, operations, users; user load, system; per plug-in quotas; WBEM quota
        {
            0x8033803F,
            0x803381A5,
            0x803381A6,
            0x803381A7,
            0x803381A8,
            0x803381AB,
            0x8004106C,
            *range(0x803381E4, 0x803381EB),
        }
    ),
    FaultKind.SHELLS_FORBIDDEN: frozenset({0x803381AC}),  # Winrs/AllowRemoteShellAccess is false
    FaultKind.TIMED_OUT: frozenset({0x80338029, 0x80338126, 0x80041069}),
    FaultKind.NOT_FOUND: frozenset(
        # WS-Man resource not found; WBEM_E_NOT_FOUND, INVALID_NAMESPACE, INVALID_CLASS; file and path not found
        {0x80338000, 0x80041002, 0x8004100E, 0x80041010, 0x80070002, 0x80070003}
    ),
    FaultKind.STALE_CONTEXT: frozenset({0x8033801B, 0x8033801C}),
    FaultKind.UNAVAILABLE: frozenset(
        # WBEM_E_SHUTTING_DOWN, INITIALIZATION/PROVIDER_LOAD_FAILURE, CALL_CANCELLED; RPC server unavailable, call
        # failed (with and without having begun), disconnected, server died (both); no host process; shutdown in
        # progress; service not active, disabled, cannot accept controls; device not ready (sysprep), busy, aborted
        {0x80041033, 0x80041014, 0x80041013, 0x80041032, 0x800706BA, 0x800706BE, 0x800706BF, 0x80010108}
        | {0x80010007, 0x80010012, 0x80080005, 0x8007045B, 0x80070426, 0x80070422, 0x80070425}
        | {0x80070015, 0x800700AA, 0x800703E3, 0x80338014, 0x80338112}
    ),
    FaultKind.PROCESS_GONE: frozenset({0x8007006D, 0x800700E8}),  # ERROR_BROKEN_PIPE, ERROR_NO_DATA
    FaultKind.ENVELOPE_TOO_LARGE: frozenset({0x80338048}),
    FaultKind.INVALID: frozenset(
        # header; arguments; action; selectors; keys; class with WQL; schema; WBEM invalid query, parameter, method
        {
            0x8033800F,
            0x803381E1,
            0x80338001,
            0x8033805B,
            0x803380FA,
            0x803380FB,
            0x80338108,
            0x80338041,
        }
        | {0x80041017, 0x80041008, 0x80041024, 0x80041055, 0x80041056, 0x80041005, 0x8004102E, 0x8004102F}
    ),
    # "not capable" by its name; but a real PC sent it with a driver's error, and it comes for classes without instances
    FaultKind.PROVIDER_FAILED: frozenset({0x80338102, 0x80041004}),
}

_REFUSED = frozenset(
    # WBEM_E_SHUTTING_DOWN, INITIALIZATION/PROVIDER_LOAD_FAILURE; RPC server unavailable, call failed and did not
    # execute, server died and did not execute; no host process; service not active, disabled, cannot accept controls
    {0x80041033, 0x80041014, 0x80041013, 0x800706BA, 0x800706BF, 0x80010012, 0x80080005}
    | {0x80070426, 0x80070422, 0x80070425, 0x80338014, 0x80338112}
)
"""The `UNAVAILABLE` numbers that mean by their documented text that the call did not begin. Not among them: aborted,
cancelled, "call failed", disconnected and a died server, because these come in the middle of a call too; busy, not
ready and a shutdown in progress, because a provider may pass them on from halfway through its work."""

BUSY = 0x800700AA
"""ERROR_BUSY. To a Send: the input before is still waiting to be read, and this one was not taken."""

INVALID_SELECTORS = 0x8033805B
"""ERROR_WSMAN_INVALID_SELECTORS: there is no such shell, or no such command in it (recorded)."""

_NEXT_STEP = {
    0x80070015: "Windows Setup may be at work there (sysprep, first start): try again when it is done",
    0x80070422: "a service that this needs is disabled on the PC",
    0x800704EC: "a policy of the PC blocks the program (AppLocker, software restriction): allow cmd.exe and PowerShell",
    0x800711C7: "the PC's code integrity policy blocks the program: allow cmd.exe and PowerShell",
    0x803381AC: "allow remote shells in the PC's group policy (Allow Remote Shell Access)",
    0x80080005: "the PC cannot start the process for this: look at its memory and its System event log",
}

_CIM_STATUS: dict[int, FaultKind] = {
    # MI_Result as MSFT_WmiError.CIMStatusCode gives it; DSP0200 status codes
    2: FaultKind.ACCESS_DENIED,
    3: FaultKind.NOT_FOUND,
    4: FaultKind.INVALID,
    5: FaultKind.NOT_FOUND,
    6: FaultKind.NOT_FOUND,
    7: FaultKind.INVALID,
    12: FaultKind.INVALID,
    13: FaultKind.INVALID,
    14: FaultKind.INVALID,
    15: FaultKind.INVALID,
    16: FaultKind.INVALID,
    17: FaultKind.INVALID,
    27: FaultKind.QUOTA,
    28: FaultKind.UNAVAILABLE,
}

_SUBCODES: dict[str, FaultKind] = {
    # DSP0226 section 14.6
    "AccessDenied": FaultKind.ACCESS_DENIED,
    "QuotaLimit": FaultKind.QUOTA,
    "Concurrency": FaultKind.QUOTA,
    "TimedOut": FaultKind.TIMED_OUT,
    "DestinationUnreachable": FaultKind.NOT_FOUND,
    "EndpointUnavailable": FaultKind.UNAVAILABLE,
    "InvalidEnumerationContext": FaultKind.STALE_CONTEXT,
    "EncodingLimit": FaultKind.ENVELOPE_TOO_LARGE,
    "InvalidSelectors": FaultKind.INVALID,
    "ActionNotSupported": FaultKind.INVALID,
    "CannotProcessFilter": FaultKind.INVALID,
    "SchemaValidationError": FaultKind.INVALID,
    "InvalidParameter": FaultKind.INVALID,
    "UnsupportedFeature": FaultKind.INVALID,
}

CLASS_NOT_FOUND = 0x8033801A
"""Code of `CannotProcessFilter`. A query about a class that does not exist has this code too (recorded, 2008 R2)."""


_WIN32 = 0x80070000
"""A Win32 error as an HRESULT: ``HRESULT_FROM_WIN32``."""
_WIN32_NUMBERS = 0x10000
_HRESULT_FAILED = 0x80000000


class Fault(Exception):
    """A SOAP fault. The message is one line: the name or number, and the provider's text."""

    def __init__(
        self,
        *,
        code: int | None,
        subcode: str = "",
        reason: str = "",
        service_text: str = "",
        provider_text: str = "",
        description: str = "",
        wmi_status: int | None = None,
        cim_status: int | None = None,
        message_id: str = "",
        machine: str = "",
        operation: str = "",
    ) -> None:
        self.code = code
        """WS-Man or HRESULT code, unsigned; ``None`` if the fault has no code."""
        self.subcode = subcode
        """Local name of the SOAP subcode, such as ``InvalidSelectors``."""
        self.reason = reason
        """Localised text for people: what went wrong in general."""
        self.service_text = service_text
        """The WinRM service's text on this request (which header, which shell), localised. Often the same as the
        reason."""
        self.provider_text = provider_text
        """The provider's text, localised; empty if no provider was asked."""
        self.description = description
        """``Description`` of the provider's ``__ExtendedStatus``: the provider's own words on what failed."""
        self.wmi_status = wmi_status
        """``StatusCode`` of the provider's ``__ExtendedStatus``: a WBEM error."""
        self.cim_status = cim_status
        """``CIMStatusCode`` of an ``MSFT_WmiError``."""
        self.message_id = message_id
        """``MessageID`` of an ``MSFT_WmiError``: ``MI RESULT 5``."""
        self.machine = machine
        """The real name of the computer, from the innermost fault."""
        self.operation = operation
        """The WMI operation that failed: ``ExecQuery``, ``GetObject``, ``ExecMethod``."""
        super().__init__(code)

    @property
    def kind(self) -> FaultKind:
        """The family of this fault, by its code, else by its CIM status, else by its SOAP subcode."""
        for number in self._numbers:
            for kind, codes in _KINDS.items():
                if number in codes:
                    return kind
        if self.code == CLASS_NOT_FOUND and self.operation:
            # an invalid query has the same code, but then the provider only repeats the reason
            repeated = self.provider_text.split() == self.reason.split()
            return FaultKind.INVALID if self.wmi_status or repeated else FaultKind.NOT_FOUND
        if self.cim_status in _CIM_STATUS:
            return _CIM_STATUS[self.cim_status]
        return _SUBCODES.get(self.subcode, FaultKind.UNKNOWN)

    @property
    def _numbers(self) -> tuple[int, ...]:
        """The numbers that decide, as HRESULTs, the most telling first. A bare Win32 number becomes 0x8007nnnn."""
        found = [number for number in (self.wmi_status, self.code) if number not in (None, CLASS_NOT_FOUND)]
        return tuple(number | _WIN32 if number < _WIN32_NUMBERS else number for number in found if number is not None)

    def has(self, number: int) -> bool:
        """Return whether the PC gave this number (an HRESULT), also as a bare Win32 number."""
        return number in self._numbers

    @property
    def shell_gone(self) -> bool:
        """Whether this, as the answer to a message for a shell, says that the PC has no such shell or command."""
        return self.has(INVALID_SELECTORS) or (self.code is None and self.subcode == "InvalidSelectors")

    @property
    def refused(self) -> bool:
        """Whether the PC says that it did nothing, so that even a change may be sent again.

        A quota says so (but for WMI's own memory quota, which can be hit halfway), and some of the `UNAVAILABLE`
        numbers. When in doubt, the change may have begun.
        """
        if self.kind is FaultKind.QUOTA:
            return not self.has(0x8004106C)
        if self.kind is not FaultKind.UNAVAILABLE:
            return False
        decisive = [number for number in self._numbers if number in _KINDS[FaultKind.UNAVAILABLE]]
        if decisive:
            return all(number in _REFUSED for number in decisive)
        return self.subcode == "EndpointUnavailable"

    @property
    def next_step(self) -> str:
        """What a person can do about it; empty if the fault does not say."""
        for number in self._numbers:
            if number in _NEXT_STEP:
                return _NEXT_STEP[number]
        if self.kind is FaultKind.UNAVAILABLE:
            return "the PC is busy, starting or shutting down: try again in some minutes"
        return ""

    @property
    def name(self) -> str:
        """The code's symbolic name (``ERROR_WSMAN_...``), or its number, or the message id, or the subcode."""
        if self.code is None:
            return self.message_id or self.subcode or "a fault without a code"
        return name_of(self.code)

    def __str__(self) -> str:
        """Return name and text on one line; the provider's own words come first."""
        text = self.provider_text or self.service_text or self.reason
        if self.description and self.description != text:
            text = f"{self.description} ({text})" if text else self.description
        detail = " ".join(text.split())[:300]
        return f"{self.name}: {detail}" if detail else self.name


def read_fault(fault: Element) -> Fault:
    """Return the fault in a SOAP ``Fault`` element; never raises, whatever the element contains."""
    subcode = _subcode(fault)
    reason = _text(_descend(fault, "Reason", "Text"))
    wmi_error = next(iter(descendants(fault, "MSFT_WmiError")), None)
    if wmi_error is not None:
        return _wmi_fault(wmi_error, subcode, reason)
    nested = descendants(fault, "WSManFault")
    outer, inner = (nested[0], nested[-1]) if nested else (None, None)
    provider = next(reversed(descendants(fault, "ProviderFault")), None)
    extended = next(iter(descendants(fault, "__ExtendedStatus")), None)
    numbers = (_number(item.get("Code", "")) for item in reversed(nested))
    return Fault(
        code=next((number for number in numbers if number is not None), None),
        subcode=subcode,
        reason=reason,
        service_text=_text(_descend(outer, "Message")),
        provider_text=(_text(_descend(inner, "Message")) if inner is not outer else "") or _text(provider),
        description=_text(_descend(extended, "Description")),
        wmi_status=_number(_text(_descend(extended, "StatusCode"))),
        machine=inner.get("Machine", "") if inner is not None else "",
        operation=_text(_descend(extended, "Operation")),
    )


_MESSAGE_ID = re.compile(r"(HRESULT|MI RESULT|Windows System Error) (0x[0-9a-f]{1,8}|[0-9]{1,10})", re.IGNORECASE)
_NUMBERS = {"hresult": "hresult", "win32": "win32", "windows system error": "win32", "mi": "mi", "mi result": "mi"}
"""The kind of number, by ``error_Type`` or by the words of a ``MessageID``."""


def _wmi_fault(error: Element, subcode: str, reason: str) -> Fault:
    """Return the fault in an ``MSFT_WmiError``.

    ``error_Type`` may also be a word of the provider's own: then a small ``error_Code`` means nothing to us, and
    ``CIMStatusCode`` decides. Without a type that we know, the words of the ``MessageID`` say what the number is.
    """
    message_id = " ".join(_text(child(error, "MessageID")).split())[:60]
    words = _MESSAGE_ID.fullmatch(message_id)
    named = " ".join(_text(child(error, "error_Type")).lower().split())
    in_words = _NUMBERS[words[1].lower()] if words else ""
    kind = _NUMBERS.get(named) or in_words or ("" if named else "hresult")
    number = _number(_text(child(error, "error_Code")))
    if not number and words and in_words == kind:
        number = _number(words[2])
    status = _number(_text(child(error, "CIMStatusCode")))
    if kind == "mi":
        status, number = status or number, None
    elif kind == "win32" and number and number < _WIN32_NUMBERS:
        number |= _WIN32
    elif not kind and number is not None and number < _HRESULT_FAILED:
        number = None
    return Fault(
        code=number or None,
        subcode=subcode,
        reason=reason,
        provider_text=_text(child(error, "Message")),
        cim_status=status,
        message_id=message_id,
    )


def _subcode(fault: Element) -> str:
    value = _text(_descend(fault, "Code", "Subcode", "Value"))
    return " ".join(value.rpartition(":")[2].split())[:60]


def _descend(element: Element | None, *path: str) -> Element | None:
    for name in path:
        element = child(element, name) if element is not None else None
    return element


def _text(element: Element | None) -> str:
    """Return an element's own text, or that of a ``Message`` inside it. Text after a child element is left out."""
    if element is None:
        return ""
    text = (element.text or "").strip()
    if not text and len(element) and local_name(element[0]) == "Message":
        return _text(element[0])
    return text


def _number(text: str) -> int | None:
    """Return a code as an unsigned number: decimal, signed decimal or ``0x`` hexadecimal."""
    text = text.strip()
    if re.fullmatch(r"-?[0-9]{1,20}", text):
        return int(text) & 0xFFFFFFFF
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", text):
        return int(text, 16)
    return None
