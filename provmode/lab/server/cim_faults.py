"""WMI's errors as the WMI plug-in of WinRM tells them.

What failed (a query, a Get, a method) decides the shape. Recorded: a query on a class that does not exist, and a
Get of what is not there. Observed by others' clients: a method on a missing instance answers ``MSFT_WmiError``.
The rest is built by analogy from the published list of codes.
"""

from __future__ import annotations

from dataclasses import replace

from . import faults
from .envelope import Stack
from .faults import WMI_PLUGIN, ExtendedStatus, Fault, ProviderFault, WmiError

# CIM status codes, DSP0200 section 5.2.
FAILED, ACCESS_DENIED, INVALID_NAMESPACE, INVALID_PARAMETER, INVALID_CLASS, NOT_FOUND = 1, 2, 3, 4, 5, 6
NOT_SUPPORTED, ALREADY_EXISTS, TYPE_MISMATCH = 7, 11, 13
DIALECT_UNKNOWN, INVALID_QUERY, METHOD_NOT_AVAILABLE, METHOD_NOT_FOUND = 14, 15, 16, 17

KEYS_REQUIRED = -1

_HRESULTS = {
    FAILED: 0x80041001,
    ACCESS_DENIED: 0x80041003,
    INVALID_NAMESPACE: 0x8004100E,
    INVALID_PARAMETER: 0x80041008,
    INVALID_CLASS: 0x80041010,
    NOT_FOUND: 0x80041002,
    NOT_SUPPORTED: 0x8004100C,
    ALREADY_EXISTS: 0x80041019,
    TYPE_MISMATCH: 0x80041005,
    DIALECT_UNKNOWN: 0x80041018,
    INVALID_QUERY: 0x80041017,
    METHOD_NOT_AVAILABLE: 0x80041055,
    METHOD_NOT_FOUND: 0x8004102E,
}
"""WBEM_E_* of each status."""
_TEXTS = {
    FAILED: "Generic failure ",
    ACCESS_DENIED: "Access denied ",
    INVALID_NAMESPACE: "Invalid namespace ",
    INVALID_PARAMETER: "Invalid parameter ",
    INVALID_CLASS: "Invalid class ",
    NOT_FOUND: "Not found ",
    NOT_SUPPORTED: "Provider is not capable of the attempted operation ",
    ALREADY_EXISTS: "Object or property already exists ",
    TYPE_MISMATCH: "Type mismatch ",
    DIALECT_UNKNOWN: "Invalid query type ",
    INVALID_QUERY: "Invalid query ",
    METHOD_NOT_AVAILABLE: "Provider has not implemented the method ",
    METHOD_NOT_FOUND: "Invalid method Parameter(s) ",
}
"""WMI's message of each status."""
_CATEGORIES = {NOT_FOUND: 6, ACCESS_DENIED: 18, INVALID_CLASS: 6, INVALID_NAMESPACE: 6}
"""MI_ERRORCATEGORY: 6 object not found, 18 access denied; 0 elsewhere."""

_CANNOT_PROCESS_FILTER = Fault(
    2150858778,
    "n:CannotProcessFilter",
    "The data source could not process the filter. The filter might be missing or it might be invalid. Change "
    "the filter and try the request again.  ",
)
_CLASS_MISSING = "The specified class does not exist in the given namespace. "


def query_fault(status: int, extended: ExtendedStatus, stack: Stack) -> Fault:
    """Return the fault of a failed query or enumeration with CIM *status*."""
    texts = {INVALID_CLASS: _CLASS_MISSING, INVALID_QUERY: _CANNOT_PROCESS_FILTER.reason}
    if status in texts:
        provider = ProviderFault(*WMI_PLUGIN, texts[status], status=extended)
        return replace(_CANNOT_PROCESS_FILTER, provider=provider)
    return object_fault(status, extended, stack)


def object_fault(status: int, extended: ExtendedStatus, stack: Stack) -> Fault:
    """Return the fault of a failed Get, Put or enumeration with CIM *status*."""
    if status in (INVALID_NAMESPACE, INVALID_CLASS, NOT_FOUND):
        provider = ProviderFault(*WMI_PLUGIN, faults.RESOURCE_NOT_FOUND.reason, status=extended)
        return replace(faults.RESOURCE_NOT_FOUND, provider=provider)
    if status == ACCESS_DENIED:
        denied = Fault(
            2150859013,
            "w:AccessDenied",
            "The WS-Management service cannot process the request. The WMI provider returned an 'access denied' "
            "error. ",
        )
        return replace(denied, provider=ProviderFault(*WMI_PLUGIN, denied.reason, status=extended))
    if status == NOT_SUPPORTED:
        incapable = Fault(
            2150859010,
            "w:InternalError",
            "The WS-Management service cannot process the request. The WMI service reported that the WMI provider "
            "could not perform the requested operation. ",
            sender=False,
        )
        return replace(incapable, provider=ProviderFault(*WMI_PLUGIN, incapable.reason, status=extended))
    return error_fault(status, extended, stack)


def method_fault(status: int, extended: ExtendedStatus, stack: Stack) -> Fault:
    """Return the fault of a failed method call with CIM *status*."""
    if status in (INVALID_NAMESPACE, INVALID_CLASS, ACCESS_DENIED):
        return object_fault(status, extended, stack)
    if status == METHOD_NOT_FOUND:
        return replace(
            faults.INVALID_ACTION,
            provider=ProviderFault(*WMI_PLUGIN, faults.INVALID_ACTION.reason, status=extended),
        )
    return error_fault(status, extended, stack)


def error_fault(status: int, extended: ExtendedStatus, stack: Stack) -> Fault:
    """Return WMI's own error: ``MSFT_WmiError`` on WinRM 3.0 and later, a ``WSManFault`` with the HRESULT before."""
    code = _HRESULTS.get(status, _HRESULTS[FAILED])
    text = _TEXTS.get(status, _TEXTS[FAILED])
    fault = Fault(code, "w:InternalError", text, sender=False)
    if stack.wmi_errors:
        wmi_error = WmiError(status, _CATEGORIES.get(status, 0), source=extended.provider)
        return replace(fault, wmi_error=wmi_error)
    return replace(fault, provider=ProviderFault(*WMI_PLUGIN, text, status=extended))
