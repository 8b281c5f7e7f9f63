"""SOAP faults in Windows' own words and shapes.

Codes and texts are those of the published list of WS-Management codes (``wsmerror.h``), the shapes those of the
recorded faults: a ``WSManFault``, with a ``ProviderFault`` inside if a provider raised it. Quotas, and CIM errors of
newer stacks, are a ``MSFT_WmiError``, and their envelope has no ``RelatesTo``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from provmode.lab.server.languages import translate
from provmode.lab.server.xmltree import escape, quote

ACTIONS = {
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault",
    "n": "http://schemas.xmlsoap.org/ws/2004/09/enumeration/fault",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer/fault",
}
"""The action of a fault's envelope, by the prefix of its subcode (DSP0226 section 14.6)."""
FAULT_DETAIL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/"
_NAMESPACES = (
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common" '
)


@dataclass(frozen=True)
class ExtendedStatus:
    """WMI's ``__ExtendedStatus``: what WMI was doing when it failed."""

    namespace: str
    """``root/cimv2``."""
    operation: str
    """WMI's own name: ``ExecQuery``, ``GetObject``, ``ExecMethod``, ``PutInstance``."""
    parameter_info: str
    provider: str = "WinMgmt"


@dataclass(frozen=True)
class ProviderFault:
    """A fault that a plug-in of the service raised."""

    provider: str
    path: str
    text: str
    nested: bool = True
    """Whether the text is wrapped in a ``WSManFault`` of its own, with the computer's real name."""
    status: ExtendedStatus | None = None


@dataclass(frozen=True)
class WmiError:
    """``MSFT_WmiError``: the CIM error with which WinRM 3.0 and later report quotas and failed methods."""

    cim_status: int
    category: int
    kind: str = "HRESULT"
    source: str | None = None


WMI_PLUGIN = ("WMI Provider", r"%systemroot%\system32\WsmWmiPl.dll")
SHELL_PLUGIN = ("Shell cmd plugin", r"%systemroot%\system32\winrscmd.dll")


@dataclass(frozen=True)
class Fault:
    """One fault, before it is put into a language and a shape."""

    code: int
    subcode: str
    """With Windows' prefix: ``w:TimedOut``."""
    reason: str
    sender: bool = True
    """``s:Sender`` (the client's fault) or ``s:Receiver`` (the server's)."""
    detail: str | None = None
    """The last part of the ``faultDetail`` URI."""
    message: str | None = None
    """The text in the detail, if it differs from the reason."""
    provider: ProviderFault | None = None
    wmi_error: WmiError | None = None
    not_understood: tuple[str, str] | None = None
    """(namespace, name) of a header that must be understood but is not: a ``s:MustUnderstand`` fault."""
    unread: bool = False
    """The listener refused the account before it read the message: its answer relates to none, in no language."""

    @property
    def action(self) -> str:
        """Return the action URI of its envelope."""
        return ACTIONS[self.subcode.partition(":")[0]]

    @property
    def related(self) -> bool:
        """Return whether the envelope has ``RelatesTo``."""
        return self.wmi_error is None and not self.unread


class SoapFault(Exception):
    """Raised anywhere below the service to make it answer with *fault*."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.code}: {fault.reason}")
        self.fault = fault


@dataclass(frozen=True)
class FaultContext:
    """What a fault contains of its PC: the language and two names."""

    machine: str
    """The PC's name as the client wrote it."""
    computer: str
    """The PC's own name."""
    language: str

    def translated(self, text: str) -> str:
        """Return *text* in the PC's language, escaped."""
        return escape(translate(text, self.language))


def fault_body(fault: Fault, context: FaultContext) -> str:
    """Return the ``s:Fault`` element."""
    role = "s:MustUnderstand" if fault.not_understood else ("s:Sender" if fault.sender else "s:Receiver")
    subcode = "" if fault.not_understood else f"<s:Subcode><s:Value>{fault.subcode}</s:Value></s:Subcode>"
    language = "" if fault.unread else context.language
    detail = f"<w:FaultDetail>{FAULT_DETAIL}{fault.detail}</w:FaultDetail>" if fault.detail else ""
    inner = _wmi_error(fault, fault.wmi_error, context) if fault.wmi_error else _wsman_fault(fault, context)
    return (
        f"<s:Fault><s:Code><s:Value>{role}</s:Value>{subcode}</s:Code>"
        f'<s:Reason><s:Text xml:lang="{language}">{context.translated(fault.reason)}</s:Text></s:Reason>'
        f"<s:Detail>{detail}{inner}</s:Detail></s:Fault>"
    )


def _wsman_fault(fault: Fault, context: FaultContext) -> str:
    """Return the ``WSManFault`` of the detail."""
    if fault.provider:
        message = _provider_fault(fault, fault.provider, context)
    else:
        message = context.translated(fault.message or fault.reason)
    return (
        '<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" '
        f'Code="{fault.code}" Machine="{quote(context.machine)}"><f:Message>{message}</f:Message></f:WSManFault>'
    )


def _provider_fault(fault: Fault, provider: ProviderFault, context: FaultContext) -> str:
    """Return the ``ProviderFault``: a bare text, or a ``WSManFault`` with WMI's extended status."""
    text = context.translated(provider.text)
    if provider.nested:
        text = (
            '<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" '
            f'Code="{fault.code}" Machine="{quote(context.computer)}"><f:Message>{text}</f:Message></f:WSManFault>'
        )
    status = _extended_status(provider.status) if provider.status else ""
    return f'<f:ProviderFault provider="{provider.provider}" path="{provider.path}">{text}{status}</f:ProviderFault>'


def _extended_status(status: ExtendedStatus) -> str:
    """Return WMI's ``__ExtendedStatus`` as recorded: description and status code are nil."""
    uri = f"http://schemas.microsoft.com/wbem/wsman/1/wmi/{status.namespace}/__ExtendedStatus"
    return (
        f'<f:ExtendedError><p:__ExtendedStatus {_NAMESPACES}xmlns:p="{quote(uri)}" '
        'xsi:type="p:__ExtendedStatus_Type"><p:Description xsi:nil="true"/>'
        f"<p:Operation>{escape(status.operation)}</p:Operation>"
        f"<p:ParameterInfo>{escape(status.parameter_info)}</p:ParameterInfo>"
        f"<p:ProviderName>{escape(status.provider)}</p:ProviderName>"
        '<p:StatusCode xsi:nil="true"/></p:__ExtendedStatus></f:ExtendedError>'
    )


def _wmi_error(fault: Fault, error: WmiError, context: FaultContext) -> str:
    """Return the ``MSFT_WmiError`` of the detail, its properties in the recorded order."""
    message = context.translated(fault.message or fault.reason)
    fields = (
        ("CIMStatusCode", "UnsignedInt", str(error.cim_status)),
        ("CIMStatusCodeDescription", "String", None),
        ("ErrorSource", "String", escape(error.source) if error.source else None),
        ("ErrorSourceFormat", "UnsignedShort", "0"),
        ("ErrorType", "UnsignedShort", "0"),
        ("Message", "String", message),
        ("MessageID", "String", f"HRESULT 0x{fault.code:08x}"),
        ("OtherErrorSourceFormat", "String", None),
        ("OtherErrorType", "String", None),
        ("OwningEntity", "String", None),
        ("PerceivedSeverity", "UnsignedShort", "0"),
        ("ProbableCause", "UnsignedShort", "0"),
        ("ProbableCauseDescription", "String", None),
        ("error_Category", "UnsignedInt", str(error.category)),
        ("error_Code", "UnsignedInt", str(fault.code)),
        ("error_Type", "String", error.kind),
        ("error_WindowsErrorMessage", "String", message),
    )
    return (
        '<p:MSFT_WmiError b:IsCIM_Error="true" '
        'xmlns:p="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError" '
        f'xmlns:b="http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd" {_NAMESPACES}'
        f'xsi:type="p:MSFT_WmiError_Type">{"".join(map(_wmi_error_field, fields))}</p:MSFT_WmiError>'
    )


def _wmi_error_field(field: tuple[str, str, str | None]) -> str:
    """Return one typed property; ``None`` is nil."""
    name, kind, value = field
    if value is None:
        return f'<p:{name} xsi:nil="true" xsi:type="cim:cim{kind}"/>'
    return f'<p:{name} xsi:type="cim:cim{kind}">{value}</p:{name}>'


# The faults of the service itself. What WMI raises is in `cim_faults`.

RESOURCE_NOT_FOUND = Fault(
    2150858752,
    "a:DestinationUnreachable",
    "The WS-Management service cannot process the request. The service cannot find the resource identified by "
    "the resource URI and selectors. ",
    detail="InvalidResourceURI",
)
INVALID_ACTION = Fault(
    2150858753,
    "a:ActionNotSupported",
    "The WS-Management service cannot process the request. The WS-Addressing action URI is invalid. Check the "
    "documentation for information on how to construct an action URI. ",
)
ACTION_NOT_SUPPORTED = Fault(
    2150858771,
    "a:ActionNotSupported",
    "The WS-Management service does not support the action specified in the request.  ",
)
INVALID_HEADER = Fault(
    2150858767,
    "a:InvalidMessageInformationHeader",
    "The WS-Management service cannot process the request. The request contains one or more invalid SOAP headers.  ",
)
HEADER_REQUIRED = Fault(
    2150858769,
    "a:MessageInformationHeaderRequired",
    "The WS-Management service cannot process the request. The request does not have all the expected SOAP headers.  ",
)
MUST_UNDERSTAND = Fault(
    2150858768,
    "w:UnsupportedFeature",
    "The WS-Management service cannot process a SOAP header in the request that is marked as mustUnderstand by "
    "the client.  This could be caused by the use of a version of the protocol which is not supported, or may be "
    "an incompatibility between the client and server implementations. ",
)
INVALID_RESOURCE_URI = Fault(
    2150858811,
    "a:DestinationUnreachable",
    "The WS-Management service cannot process the request. The resource URI is missing or it has an incorrect "
    "format. Check the documentation or use the following command for information on how to construct a resource "
    'URI: "winrm help uris".  ',
    detail="InvalidResourceURI",
)
SCHEMA_VALIDATION = Fault(
    2150858817,
    "w:SchemaValidationError",
    "The SOAP XML in the message does not match the corresponding XML schema definition. Change the XML and retry.  ",
)
ENCODING_LIMIT = Fault(
    2150858805,
    "w:EncodingLimit",
    "The WS-Management service cannot process the request because the encoding of the request exceeds an "
    "internal encoding limit. Reconfigure the client to send messages which fit the encoding limits of the "
    "service.  ",
    detail="MinimumEnvelopeLimit",
)
ENVELOPE_EXCEEDED = Fault(
    2150858824,
    "w:EncodingLimit",
    "The response that the WS-Management service computed exceeds the maximum envelope size in the request. ",
    detail="MaxEnvelopeSize",
)
UNSUPPORTED_ADDRESSING = Fault(
    2150858870,
    "w:UnsupportedFeature",
    "The WS-Management service does not support the addressing mode. ",
    detail="AddressingMode",
)
UNSUPPORTED_LOCALE = Fault(
    2150858855,
    "w:UnsupportedFeature",
    "The WS-Management service does not support the locale. ",
    detail="Locale",
)
UNSUPPORTED_DATA_LOCALE = replace(UNSUPPORTED_LOCALE, detail="DataLocale")
INVALID_SELECTORS = Fault(
    2150858843,
    "w:InvalidSelectors",
    "The WS-Management service cannot process the request because the request contained invalid selectors for "
    "the resource. ",
    detail="UnexpectedSelectors",
)
INVALID_OPTIONS = Fault(
    2150858809,
    "w:InvalidOptions",
    "The WS-Management service cannot process the request because one or more options are not valid. The option "
    "names or values may not be valid or they are used in incorrect combinations. Retrieve the catalog entry for "
    "the resource and determine how to correct the invalid option values.  ",
)
TIMED_OUT = Fault(
    2150858793,
    "w:TimedOut",
    "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.  ",
    sender=False,
)
INVALID_CONTEXT = Fault(
    2150858779,
    "n:InvalidEnumerationContext",
    "The WS-Enumeration context in the enumeration is not valid. Enumeration may have been completed or "
    "canceled. You cannot use this enumeration context anymore. Start a new enumeration.  ",
    sender=False,
)
UNKNOWN_DIALECT = Fault(
    2150858777,
    "n:FilterDialectRequestedUnavailable",
    "The filter dialect (the type associated with the filter) was not supported for this resource. Change the "
    "filter dialect or remove it from the request and try the request again.  ",
)
INVALID_PARAMETER = Fault(
    87,
    "w:InternalError",
    "The parameter is incorrect. ",
    sender=False,
)
NOT_SUPPORTED = Fault(50, "w:InternalError", "The request is not supported. ", sender=False)
ACCESS_DENIED = Fault(5, "w:AccessDenied", "Access is denied. ", unread=True)
"""The account logged on, but the listener's ``RootSDDL`` does not admit it; as published from Server 2016."""
CANNOT_START = Fault(2147942405, "w:InternalError", "Access is denied. ", sender=False)
"""A shell may not start its program; as published from a dump."""
QUOTA_SHELLS = Fault(
    2150859173,
    "w:QuotaLimit",
    "The WS-Management service cannot process the request. The maximum number of concurrent shells for this "
    "user has been exceeded. Close existing shells or raise the quota for this user. ",
)
QUOTA_OPERATIONS = Fault(
    2150859174,
    "w:InternalError",
    "The WS-Management service cannot process the request. The maximum number of concurrent operations for "
    "this user has been exceeded. Close existing operations for this user, or raise the quota for this user. ",
    sender=False,
)


def quota(fault: Fault, limit: int, noun: str, *, as_wmi_error: bool) -> Fault:
    """Return *fault* with *limit* in its text, as ``MSFT_WmiError`` (WinRM 3.0 and later) or ``WSManFault``."""
    wmi_error = WmiError(27, 30) if as_wmi_error else None
    closing = fault.reason.partition("exceeded. ")[2]
    message = (
        f"The WS-Management service cannot process the request. This user is allowed a maximum number of {limit} "
        f"concurrent {noun}, which has been exceeded. {closing}"
    )
    return replace(fault, message=message, wmi_error=wmi_error)


def by_code(code: int, reason: str) -> Fault:
    """Return a fault with any *code*, for injections."""
    for known in (TIMED_OUT, RESOURCE_NOT_FOUND, ACCESS_DENIED, CANNOT_START, INVALID_CONTEXT):
        if known.code == code:
            return known
    return Fault(code, "w:InternalError", reason, sender=False)
