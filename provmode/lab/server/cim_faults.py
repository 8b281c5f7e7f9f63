"""WMI's errors as WinRM's WMI plug-in reports them.

The failed operation (a query, a Get, a method) decides the shape. Recorded: a query on a missing class, and a Get of
a missing instance. Observed by other clients: a method on a missing instance answers ``MSFT_WmiError``. The rest is
built by analogy from the published list of codes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from provmode.lab.server import faults
from provmode.lab.server.envelope import Stack
from provmode.lab.server.faults import WMI_PLUGIN, ExtendedStatus, Fault, ProviderFault, WmiError

# WMI error constants (Microsoft, "WMI Error Constants").
FAILED, NOT_FOUND, ACCESS_DENIED = 0x80041001, 0x80041002, 0x80041003
TYPE_MISMATCH, INVALID_PARAMETER, NOT_SUPPORTED = 0x80041005, 0x80041008, 0x8004100C
INVALID_NAMESPACE, INVALID_CLASS, PROVIDER_LOAD_FAILURE = 0x8004100E, 0x80041010, 0x80041013
INVALID_QUERY, INVALID_QUERY_TYPE, PROVIDER_NOT_CAPABLE = 0x80041017, 0x80041018, 0x80041024
INVALID_METHOD, INVALID_METHOD_PARAMETERS, SHUTTING_DOWN = 0x8004102E, 0x8004102F, 0x80041033
RPC_SERVER_UNAVAILABLE, UNSPECIFIED = 0x800706BA, 0x80004005
NO_KEYS = 0x803380FA
"""ERROR_WSMAN_INVALID_URI_WMI_SINGLETON: raised by the plug-in itself, before it asks WMI."""


@dataclass(frozen=True)
class _Meaning:
    """A WMI error in CIM's terms."""

    text: str
    cim_status: int = 1
    """DSP0200 section 5.2: 1 failed, 2 access denied, 3 invalid namespace, 4 invalid parameter, 5 invalid class, 6
    not found, 7 not supported, 13 type mismatch, 14 query language unknown, 15 invalid query, 17 no such method."""
    category: int = 0
    """MI_ERRORCATEGORY: 6 object not found, 18 access denied."""


_MEANINGS = {
    FAILED: _Meaning("Generic failure "),
    NOT_FOUND: _Meaning("Not found ", 6, 6),
    ACCESS_DENIED: _Meaning("Access denied ", 2, 18),
    TYPE_MISMATCH: _Meaning("Type mismatch ", 13),
    INVALID_PARAMETER: _Meaning("Invalid parameter ", 4),
    NOT_SUPPORTED: _Meaning("Not supported ", 7),
    INVALID_NAMESPACE: _Meaning("Invalid namespace ", 3, 6),
    INVALID_CLASS: _Meaning("Invalid class ", 5, 6),
    PROVIDER_LOAD_FAILURE: _Meaning("Provider load failure "),
    INVALID_QUERY: _Meaning("Invalid query ", 15),
    INVALID_QUERY_TYPE: _Meaning("Invalid query type ", 14),
    PROVIDER_NOT_CAPABLE: _Meaning("Provider is not capable of the attempted operation ", 7),
    INVALID_METHOD: _Meaning("Invalid method ", 17),
    INVALID_METHOD_PARAMETERS: _Meaning("Invalid method Parameter(s) ", 4),
    SHUTTING_DOWN: _Meaning("Shutting down "),
    RPC_SERVER_UNAVAILABLE: _Meaning("The RPC server is unavailable. "),
    UNSPECIFIED: _Meaning("Unspecified error "),
}

_CANNOT_PROCESS_FILTER = Fault(
    2150858778,
    "n:CannotProcessFilter",
    "The data source could not process the filter. The filter might be missing or it might be invalid. Change "
    "the filter and try the request again.  ",
)
_CLASS_MISSING = "The specified class does not exist in the given namespace. "
_PROVIDER_DENIED = Fault(
    2150859013,
    "w:AccessDenied",
    "The WS-Management service cannot process the request. The WMI provider returned an 'access denied' error. ",
)
_NOT_CAPABLE = Fault(
    2150859010,
    "w:InternalError",
    "The WS-Management service cannot process the request. The WMI service reported that the WMI provider could "
    "not perform the requested operation. ",
    sender=False,
)
_KEYS_NEEDED = Fault(
    2150859002,
    "w:InvalidSelectors",
    "The WinRM client cannot process the request. The resource URI is not valid: it does not contain keys, but the "
    "class selected is not a singleton. To access an instance which is not a singleton, keys must be provided. Use "
    'the following command to get more information in how to construct a resource URI: "winrm help uris". ',
    detail="InsufficientSelectors",
)


def query_fault(status: int, extended: ExtendedStatus, stack: Stack) -> Fault:
    """Return the fault of a query that failed with WMI's *status*."""
    texts = {INVALID_CLASS: _CLASS_MISSING, INVALID_QUERY: _CANNOT_PROCESS_FILTER.reason}
    if status in texts:
        return _raised_by_wmi(_CANNOT_PROCESS_FILTER, extended, texts[status])
    return object_fault(status, extended, stack)


def object_fault(status: int, extended: ExtendedStatus, stack: Stack) -> Fault:
    """Return the fault of a Get, Put or enumeration that failed with WMI's *status*."""
    if status == NO_KEYS:
        return _raised_by_wmi(_KEYS_NEEDED, None)
    if status in (INVALID_NAMESPACE, INVALID_CLASS, NOT_FOUND):
        return _raised_by_wmi(faults.RESOURCE_NOT_FOUND, extended)
    if status == ACCESS_DENIED:
        return _raised_by_wmi(_PROVIDER_DENIED, extended)
    if status in (NOT_SUPPORTED, PROVIDER_NOT_CAPABLE):
        return _raised_by_wmi(_NOT_CAPABLE, extended)
    return error_fault(status, extended, stack)


def method_fault(status: int, extended: ExtendedStatus, stack: Stack) -> Fault:
    """Return the fault of a method call that failed with WMI's *status*."""
    if status in (INVALID_NAMESPACE, INVALID_CLASS, ACCESS_DENIED, NO_KEYS):
        return object_fault(status, extended, stack)
    if status == INVALID_METHOD:
        return _raised_by_wmi(faults.INVALID_ACTION, extended)
    return error_fault(status, extended, stack)


def error_fault(status: int, extended: ExtendedStatus, stack: Stack) -> Fault:
    """Return WMI's own error: ``MSFT_WmiError`` on WinRM 3.0 and later, else a ``WSManFault`` with WMI's code."""
    meaning = _MEANINGS.get(status, _MEANINGS[FAILED])
    fault = Fault(status, "w:InternalError", meaning.text, sender=False)
    if stack.wmi_errors:
        error = WmiError(meaning.cim_status, meaning.category, source=extended.provider)
        return replace(fault, wmi_error=error)
    return _raised_by_wmi(fault, extended)


def _raised_by_wmi(fault: Fault, extended: ExtendedStatus | None, text: str | None = None) -> Fault:
    """Return *fault* as the WMI plug-in raises it."""
    return replace(fault, provider=ProviderFault(*WMI_PLUGIN, text or fault.reason, status=extended))
