"""Faults in the forms that Windows sends: every one can be read, and numbers tell them apart, never their text."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.wsman import Fault, FaultKind, MalformedAnswer, decode, uris
from provmode.wsman.codes import CODES
from provmode.wsman.faults import BUSY, read_fault

WSMAN_FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
WMI_ERROR_NAMESPACES = (
    "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError",
    "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/MSFT_WmiError",
    "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/StandardCimv2/MSFT_WmiError",
)
CLASS_MISSING = "The specified class does not exist in the given namespace. "


def fault_of(detail: str = "", *, subcode: str = "w:InternalError", reason: str = "It failed. ") -> Fault:
    """Return the fault as read from a whole answer; like that of a quota fault, its header has no RelatesTo."""
    data = (
        f'<s:Envelope xmlns:s="{uris.SOAP}" xmlns:w="{uris.WSMAN}" xmlns:a="{uris.ADDRESSING}"'
        f' xmlns:f="{WSMAN_FAULT}" xmlns:xsi="{uris.XSI}"><s:Header><a:Action>{uris.WSMAN}/fault</a:Action></s:Header>'
        "<s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value>"
        f"<s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{reason}</s:Text></s:Reason>'
        f"<s:Detail>{detail}</s:Detail></s:Fault></s:Body></s:Envelope>"
    )
    with pytest.raises(Fault) as caught:
        decode(data.encode(), message_id="uuid:another")
    return caught.value


def wsman(code: int | str, inner: str = "", machine: str = "pc-1") -> str:
    """Return a WSManFault, with *inner* (such as the provider's fault) in its message."""
    return f'<f:WSManFault Code="{code}" Machine="{machine}"><f:Message>{inner}</f:Message></f:WSManFault>'


def provider(code: int | str, message: str = "", extended: str = "", machine: str = "REAL-NAME") -> str:
    """Return the ProviderFault that the WMI plug-in puts inside a WSManFault."""
    return (
        r'<f:ProviderFault provider="WMI Provider" path="%systemroot%\system32\WsmWmiPl.dll">'
        f"{wsman(code, message, machine)}{extended}</f:ProviderFault>"
    )


def extended(status: str, operation: str = "ExecQuery", description: str = "") -> str:
    """Return the ExtendedError of WMI; what is empty is nil, as Windows Server 2008 R2 sends it."""
    words = f"<p:Description>{description}</p:Description>" if description else '<p:Description xsi:nil="true"/>'
    code = f"<p:StatusCode>{status}</p:StatusCode>" if status else '<p:StatusCode xsi:nil="true"/>'
    return (
        '<f:ExtendedError><p:__ExtendedStatus xmlns:p="urn:p" xsi:type="p:__ExtendedStatus_Type">'
        f"{words}<p:Operation>{operation}</p:Operation>"
        f"<p:ParameterInfo>SELECT</p:ParameterInfo><p:ProviderName>WinMgmt</p:ProviderName>{code}"
        "</p:__ExtendedStatus></f:ExtendedError>"
    )


def wmi_error(
    *,
    code: str = "",
    kind: str = "",
    message_id: str = "",
    cim: str = "",
    namespace: str = WMI_ERROR_NAMESPACES[0],
    text: str = "No.",
) -> str:
    """Return an MSFT_WmiError; an empty value is written as nil."""

    def one(name: str, value: str) -> str:
        return f"<p:{name}>{value}</p:{name}>" if value else f'<p:{name} xsi:nil="true"/>'

    return (
        f'<p:MSFT_WmiError xmlns:p="{namespace}" xsi:type="p:MSFT_WmiError_Type">{one("CIMStatusCode", cim)}'
        f"{one('Message', text)}{one('MessageID', message_id)}{one('error_Code', code)}{one('error_Type', kind)}"
        "</p:MSFT_WmiError>"
    )


# -- forms -------------------------------------------------------------------------------------------------------


def test_a_plain_fault_has_code_subcode_reason_and_machine() -> None:
    fault = fault_of(wsman(2150858793, "Not in time. "), subcode="w:TimedOut", reason="Zu spät. ")

    assert (fault.code, fault.subcode, fault.reason, fault.machine) == (0x80338029, "TimedOut", "Zu spät.", "pc-1")
    assert fault.provider_text == ""
    assert fault.kind is FaultKind.TIMED_OUT


def test_the_innermost_fault_has_the_code_the_text_and_the_real_name() -> None:
    fault = fault_of(wsman(2150858752, provider(2147749902, "Der Namespace fehlt. ")))

    assert (fault.code, fault.provider_text, fault.machine) == (0x8004100E, "Der Namespace fehlt.", "REAL-NAME")
    assert fault.kind is FaultKind.NOT_FOUND


def test_an_inner_fault_without_a_code_leaves_the_outer_one() -> None:
    assert fault_of(wsman(5, provider(""))).code == 5
    assert fault_of(wsman(5, provider("no number"))).code == 5


def test_a_provider_with_only_a_text_leaves_the_code_of_the_service() -> None:
    inside = '<f:ProviderFault provider="Shell cmd plugin" path="winrscmd.dll">No file. </f:ProviderFault>'
    fault = fault_of(wsman(2147942402, inside), reason="No file. ")

    assert (fault.code, fault.reason, fault.provider_text) == (0x80070002, "No file.", "No file.")
    assert fault.kind is FaultKind.NOT_FOUND


def test_the_text_of_the_service_or_provider_is_reported_rather_than_the_general_reason() -> None:
    which = fault_of(wsman(2150858767, "The timeout is invalid: PT-1S. "), reason="A header is invalid. ")
    inside = '<f:ProviderFault provider="microsoft.powershell" path="p.dll">It has no runspace. </f:ProviderFault>'
    plugin = fault_of(wsman(2152992672, inside), reason="")

    assert (which.service_text, which.provider_text) == ("The timeout is invalid: PT-1S.", "")
    assert str(which) == "ERROR_WSMAN_INVALID_MESSAGE_INFORMATION_HEADER: The timeout is invalid: PT-1S."
    assert (plugin.service_text, plugin.provider_text) == ("", "It has no runspace.")
    assert str(plugin) == "error 2152992672 (0x80540FA0): It has no runspace."


def test_the_status_of_wmi_is_kept_with_its_operation() -> None:
    fault = fault_of(wsman(2150858778, provider(2150858778, CLASS_MISSING, extended("2147749911", "ExecQuery"))))

    assert (fault.code, fault.wmi_status, fault.operation) == (2150858778, 0x80041017, "ExecQuery")
    assert fault.provider_text == CLASS_MISSING.strip()
    assert fault.kind is FaultKind.INVALID


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("", FaultKind.NOT_FOUND),  # Windows Server 2008 R2: nil, and the class does not exist
        ("2147749904", FaultKind.NOT_FOUND),  # WBEM_E_INVALID_CLASS
        ("-2147217392", FaultKind.NOT_FOUND),  # the same, signed
        ("0x80041010", FaultKind.NOT_FOUND),
        ("2147749890", FaultKind.NOT_FOUND),  # WBEM_E_NOT_FOUND
        ("2147749911", FaultKind.INVALID),  # WBEM_E_INVALID_QUERY
        ("2147749891", FaultKind.ACCESS_DENIED),  # WBEM_E_ACCESS_DENIED
        ("2147749939", FaultKind.UNAVAILABLE),  # WBEM_E_SHUTTING_DOWN
        ("2147749996", FaultKind.QUOTA),  # WBEM_E_QUOTA_VIOLATION
        ("2147749993", FaultKind.TIMED_OUT),  # WBEM_E_TIMED_OUT
    ],
)
def test_the_kind_of_a_failed_query_comes_from_the_status_of_wmi(status: str, kind: FaultKind) -> None:
    detail = wsman(2150858778, provider(2150858778, CLASS_MISSING, extended(status)))

    assert fault_of(detail, subcode="n:CannotProcessFilter").kind is kind


def test_a_filter_refused_without_a_provider_is_an_invalid_request() -> None:
    assert fault_of(wsman(2150858778), subcode="n:CannotProcessFilter").kind is FaultKind.INVALID


@pytest.mark.parametrize("namespace", WMI_ERROR_NAMESPACES)
@pytest.mark.parametrize(
    ("code", "message_id"), [("2150859173", "HRESULT 0x803381a5"), ("-2144108123", ""), ("", "HRESULT 0x803381a5")]
)
def test_a_wmi_error_is_read_in_each_of_its_namespaces(namespace: str, code: str, message_id: str) -> None:
    detail = wmi_error(code=code, message_id=message_id, cim="27", namespace=namespace, text="30 shells. ")
    fault = fault_of(detail, subcode="w:QuotaLimit")

    assert (fault.code, fault.cim_status, fault.provider_text) == (0x803381A5, 27, "30 shells.")
    assert fault.kind is FaultKind.QUOTA
    assert fault.name == "ERROR_WSMAN_QUOTA_MAX_SHELLS"


CIM_STATUS = {
    # DSP0200, "CIM status codes", which MI_Result continues
    **{2: FaultKind.ACCESS_DENIED},
    **dict.fromkeys((3, 5, 6), FaultKind.NOT_FOUND),  # namespace, class, instance
    **dict.fromkeys((4, 7), FaultKind.INVALID),  # parameter, not supported
    **dict.fromkeys((12, 13, 14, 15), FaultKind.INVALID),  # property, type, query language, query
    **dict.fromkeys((16, 17), FaultKind.INVALID),  # method not available, method not found
    **{27: FaultKind.QUOTA, 28: FaultKind.UNAVAILABLE},  # limits exceeded, shutting down
}


def test_the_kind_of_a_wmi_error_without_a_code_comes_from_its_cim_status() -> None:
    kinds = {status: fault_of(wmi_error(cim=str(status))).kind for status in range(1, 35)}

    assert {status: kind for status, kind in kinds.items() if kind is not FaultKind.UNKNOWN} == CIM_STATUS
    assert fault_of(wmi_error(cim="")).kind is FaultKind.UNKNOWN


@pytest.mark.parametrize(
    ("error", "code", "kind", "name"),
    [
        # Microsoft's own MI code answers so for a class that does not exist: 5 is no Win32 number here
        ({"kind": "MI", "code": "5", "cim": "5"}, None, FaultKind.NOT_FOUND, "MI RESULT 5"),
        ({"kind": "MI", "code": "5"}, None, FaultKind.NOT_FOUND, "MI RESULT 5"),
        ({"kind": "MI"}, None, FaultKind.NOT_FOUND, "MI RESULT 5"),
        ({"code": "5"}, None, FaultKind.NOT_FOUND, "MI RESULT 5"),
        ({"code": "5", "kind": "a word of the provider"}, None, FaultKind.NOT_FOUND, "MI RESULT 5"),
        ({"kind": "MI", "code": "2", "message_id": "MI RESULT 2"}, None, FaultKind.ACCESS_DENIED, "MI RESULT 2"),
        ({"kind": "MI", "code": "15", "message_id": "MI RESULT 15"}, None, FaultKind.INVALID, "MI RESULT 15"),
        ({"kind": "MI", "code": "28", "message_id": "MI RESULT 28"}, None, FaultKind.UNAVAILABLE, "MI RESULT 28"),
        ({"kind": "MI", "code": "1", "message_id": "MI RESULT 1"}, None, FaultKind.UNKNOWN, "MI RESULT 1"),
        ({"kind": "WIN32", "code": "2"}, 0x80070002, FaultKind.NOT_FOUND, "ERROR_FILE_NOT_FOUND"),
        ({"kind": "Win32", "code": "5"}, 0x80070005, FaultKind.ACCESS_DENIED, "E_ACCESSDENIED"),
        (
            {"code": "1115", "message_id": "Windows System Error 1115"},
            *(0x8007045B, FaultKind.UNAVAILABLE, "ERROR_SHUTDOWN_IN_PROGRESS"),
        ),
        (
            {"message_id": "Windows System Error 3", "cim": "1"},
            *(0x80070003, FaultKind.NOT_FOUND, "ERROR_PATH_NOT_FOUND"),
        ),
        ({"kind": "Windows System Error", "code": "2"}, 0x80070002, FaultKind.NOT_FOUND, "ERROR_FILE_NOT_FOUND"),
        ({"kind": "WIN32", "code": "0x80070002"}, 0x80070002, FaultKind.NOT_FOUND, "ERROR_FILE_NOT_FOUND"),
        ({"kind": "HRESULT", "code": "2147749902"}, 0x8004100E, FaultKind.NOT_FOUND, "WBEM_E_INVALID_NAMESPACE"),
        ({"kind": "HRESULT", "code": "-2147217394"}, 0x8004100E, FaultKind.NOT_FOUND, "WBEM_E_INVALID_NAMESPACE"),
        ({"kind": "hresult", "cim": "5"}, None, FaultKind.NOT_FOUND, "MI RESULT 5"),
        (
            {"kind": "HRESULT", "code": "0", "message_id": "HRESULT 0x80041033"},
            *(0x80041033, FaultKind.UNAVAILABLE),
            "",
        ),
        ({"kind": "MI", "code": "5", "message_id": "m"}, None, FaultKind.NOT_FOUND, "m"),
        ({"kind": "MI Result", "code": "5", "message_id": "m"}, None, FaultKind.NOT_FOUND, "m"),
        ({"kind": "HRESULT", "code": "5", "message_id": "m"}, 5, FaultKind.ACCESS_DENIED, "ERROR_ACCESS_DENIED"),
        ({"code": "5", "message_id": "m"}, 5, FaultKind.ACCESS_DENIED, "ERROR_ACCESS_DENIED"),
        ({"kind": "WIN32", "code": "0", "cim": "5", "message_id": "m"}, None, FaultKind.NOT_FOUND, "m"),
        ({"kind": "WIN32", "code": "65535", "message_id": "m"}, 0x8007FFFF, FaultKind.UNKNOWN, ""),
        ({"kind": "WIN32", "code": "65536", "message_id": "m"}, 65536, FaultKind.UNKNOWN, ""),
        ({"kind": "MI", "code": "2", "cim": "6", "message_id": "m"}, None, FaultKind.NOT_FOUND, "m"),
        ({"kind": "WIN32", "message_id": "MI RESULT 5"}, None, FaultKind.UNKNOWN, "MI RESULT 5"),
        # a provider's own kind of number: only what is evidently an HRESULT is one
        ({"kind": "disk", "code": "5", "cim": "1", "message_id": "d 5"}, None, FaultKind.UNKNOWN, "d 5"),
        ({"kind": "disk", "code": "5", "cim": "6", "message_id": "d 5"}, None, FaultKind.NOT_FOUND, "d 5"),
        ({"kind": "disk", "code": "2147749902", "message_id": "d"}, 0x8004100E, FaultKind.NOT_FOUND, ""),
        ({"kind": "disk", "code": "2147483648", "message_id": "d"}, 0x80000000, FaultKind.UNKNOWN, ""),
        ({"kind": "disk", "code": "2147483647", "message_id": "d"}, None, FaultKind.UNKNOWN, "d"),
    ],
)
def test_the_type_of_a_wmi_error_decides_how_its_number_is_read(
    error: dict[str, str], code: int | None, kind: FaultKind, name: str
) -> None:
    fault = fault_of(wmi_error(**{"message_id": "MI RESULT 5", **error}), subcode="w:InternalError")

    assert (fault.code, fault.kind) == (code, kind)
    assert not name or fault.name == name


def test_a_quota_fault_without_relates_to_is_accepted() -> None:
    # fault_of decodes with the id of another message: Windows leaves RelatesTo out of quota faults
    assert fault_of(wmi_error(code="2150859174", cim="27")).kind is FaultKind.QUOTA
    assert fault_of(wsman(2150859174)).kind is FaultKind.QUOTA


@pytest.mark.parametrize(
    ("subcode", "kind"),
    [
        ("w:AccessDenied", FaultKind.ACCESS_DENIED),
        ("w:QuotaLimit", FaultKind.QUOTA),
        ("w:Concurrency", FaultKind.QUOTA),
        ("w:TimedOut", FaultKind.TIMED_OUT),
        ("a:DestinationUnreachable", FaultKind.NOT_FOUND),
        ("a:EndpointUnavailable", FaultKind.UNAVAILABLE),
        ("n:InvalidEnumerationContext", FaultKind.STALE_CONTEXT),
        ("w:EncodingLimit", FaultKind.ENVELOPE_TOO_LARGE),
        ("w:InvalidSelectors", FaultKind.INVALID),
        ("a:ActionNotSupported", FaultKind.INVALID),
        ("w:CannotProcessFilter", FaultKind.INVALID),
        ("w:InvalidParameter", FaultKind.INVALID),
        ("w:UnsupportedFeature", FaultKind.INVALID),
        ("w:SchemaValidationError", FaultKind.INVALID),
        ("\n  wsman:SchemaValidationError\n", FaultKind.INVALID),
        ("QuotaLimit", FaultKind.QUOTA),
        ("w:InternalError", FaultKind.UNKNOWN),
        ("", FaultKind.UNKNOWN),
    ],
)
def test_the_kind_of_a_fault_without_a_number_comes_from_its_subcode(subcode: str, kind: FaultKind) -> None:
    fault = fault_of(subcode=subcode)

    assert fault.code is None
    assert fault.kind is kind


# -- numbers -----------------------------------------------------------------------------------------------------


KINDS = {
    FaultKind.SHELLS_FORBIDDEN: (0x803381AC,),  # REMOTESHELLS_NOT_ALLOWED
    FaultKind.ACCESS_DENIED: (
        *(0x80070005, 0x80338104, 0x80338105, 0x80338106),  # E_ACCESSDENIED; to the service, a provider, WMI
        *(0x80041003, 0x80041062),  # WBEM_E_ACCESS_DENIED, WBEM_E_PRIVILEGE_NOT_HELD
    ),
    FaultKind.QUOTA: (
        *(0x8033803F, 0x803381A5, 0x803381A6),  # a limit; shells, operations
        *(0x803381A7, 0x803381A8, 0x803381AB),  # user, system, users of shells
        *(0x803381E4, 0x803381E5, 0x803381E6, 0x803381E7, 0x803381E8, 0x803381E9, 0x803381EA),  # of a plug-in (PPQ)
        0x8004106C,  # WBEM_E_QUOTA_VIOLATION
    ),
    FaultKind.TIMED_OUT: (0x80338029, 0x80338126, 0x80041069),
    FaultKind.NOT_FOUND: (
        *(0x80338000, 0x80070002, 0x80070003),
        *(0x80041002, 0x8004100E, 0x80041010),  # WBEM_E_NOT_FOUND, WBEM_E_INVALID_NAMESPACE, WBEM_E_INVALID_CLASS
    ),
    FaultKind.STALE_CONTEXT: (0x8033801B, 0x8033801C),
    FaultKind.UNAVAILABLE: (
        *(0x80041033, 0x80041014),  # WBEM_E_SHUTTING_DOWN, WBEM_E_INITIALIZATION_FAILURE
        *(0x80041013, 0x80041032),  # WBEM_E_PROVIDER_LOAD_FAILURE, WBEM_E_CALL_CANCELLED
        *(0x800706BA, 0x800706BE, 0x800706BF),  # RPC_S_SERVER_UNAVAILABLE, RPC_S_CALL_FAILED, ..._DNE
        *(0x80010108, 0x80010007, 0x80010012),  # RPC_E_DISCONNECTED, RPC_E_SERVER_DIED, ..._DNE
        0x80080005,  # CO_E_SERVER_EXEC_FAILURE: no host process for the shell
        *(0x80070422, 0x80070425, 0x80070426),  # a service is disabled, takes no controls, is not active
        *(0x8007045B, 0x80070015),  # ERROR_SHUTDOWN_IN_PROGRESS, ERROR_NOT_READY: sysprep or OOBE runs
        *(0x800700AA, 0x800703E3),  # ERROR_BUSY, ERROR_OPERATION_ABORTED
        *(0x80338014, 0x80338112),  # the endpoint or the HTTP service is unavailable
    ),
    FaultKind.PROCESS_GONE: (0x8007006D, 0x800700E8),  # ERROR_BROKEN_PIPE, ERROR_NO_DATA
    FaultKind.ENVELOPE_TOO_LARGE: (0x80338048,),
    FaultKind.INVALID: (
        *(0x8033800F, 0x803381E1),  # a header is invalid (recorded), an argument is not recognized
        *(0x80338001, 0x8033805B, 0x80338041),  # action, selectors, schema
        *(0x803380FA, 0x803380FB, 0x80338108),  # keys, a class with WQL, an enumeration with selectors
        *(0x80041005, 0x80041008, 0x80041017),  # WBEM_E_TYPE_MISMATCH, WBEM_E_INVALID_PARAMETER, WBEM_E_INVALID_QUERY
        *(0x80041024, 0x8004102E, 0x8004102F),  # WBEM_E_PROVIDER_NOT_CAPABLE, WBEM_E_INVALID_METHOD(_PARAMETERS)
        *(0x80041055, 0x80041056),  # WBEM_E_METHOD_NOT_IMPLEMENTED, WBEM_E_METHOD_DISABLED
    ),
    FaultKind.PROVIDER_FAILED: (0x80338102, 0x80041004),
}
"""The numbers of each kind, by the texts of ``wsmerror.h``, "WMI error constants" and "System error codes"."""
KIND_OF = {code: kind for kind, codes in KINDS.items() for code in codes}
BARE = {code & 0xFFFF: kind for code, kind in KIND_OF.items() if code >> 16 == 0x8007}


@pytest.mark.parametrize(
    ("code", "kind"), [*KIND_OF.items(), *BARE.items(), (87, FaultKind.UNKNOWN), (0x800700CE, FaultKind.UNKNOWN)]
)
def test_a_number_means_the_same_in_every_form(code: int, kind: FaultKind) -> None:
    for detail in (wsman(code), wsman(2150858752, provider(code)), wmi_error(code=str(code)), wsman(hex(code))):
        fault = fault_of(detail)
        assert (fault.code, fault.kind) == (code, kind)


def test_no_other_number_has_a_kind() -> None:
    near = [number for start in {code & ~0x3FF for code in KIND_OF} for number in range(start, start + 0x400)]
    found = {number: Fault(code=number).kind for number in (*near, *range(0x10200))}

    assert {number: kind for number, kind in found.items() if kind is not FaultKind.UNKNOWN} == {**KIND_OF, **BARE}


def test_a_win32_error_has_one_name_in_both_forms() -> None:
    assert Fault(code=170).name == Fault(code=0x800700AA).name == "ERROR_BUSY"
    assert Fault(code=170).has(BUSY)
    assert Fault(code=1726).name == "RPC_S_CALL_FAILED"
    assert Fault(code=5).name == "ERROR_ACCESS_DENIED"


REFUSALS = (
    *(0x80041033, 0x80041014, 0x80041013),  # WMI shuts down, or the provider was not loaded
    *(0x800706BA, 1722, 0x800706BF, 1727, 0x80010012),  # nothing listens; "did not execute"
    *(0x80080005, 0x80070422, 0x80070425, 0x80070426, 1062, 0x80338014, 0x80338112),
    *(0x803381A5, 0x803381A6, 0x8033803F),  # the service's own quotas
)
HALFWAY = (
    *(995, 0x800703E3, 0x80041032),  # aborted, cancelled
    *(1726, 0x800706BE, 0x80010108, 0x80010007),  # the other side went away in the middle
    *(170, 21, 0x80070015, 1115, 0x8007045B),  # a provider may pass these on from halfway
    0x8004106C,  # WMI's memory
)


@pytest.mark.parametrize(
    ("code", "refused"), [*((code, True) for code in REFUSALS), *((code, False) for code in HALFWAY)]
)
def test_only_some_transient_faults_say_that_nothing_was_done(code: int, refused: bool) -> None:
    fault = fault_of(wsman(code))

    assert fault.kind in (FaultKind.UNAVAILABLE, FaultKind.QUOTA)
    assert fault.refused is refused


@given(
    st.one_of(st.integers(0, 2**32 - 1), st.sampled_from(sorted(CODES))), st.sampled_from(["", "EndpointUnavailable"])
)
def test_a_number_that_is_not_listed_never_says_that_nothing_was_done(code: int, subcode: str) -> None:
    fault = Fault(code=code, subcode=subcode)

    if fault.refused:
        listed = code in REFUSALS or code | 0x80070000 in REFUSALS or fault.kind is FaultKind.QUOTA
        assert listed or (fault.kind is FaultKind.UNAVAILABLE and subcode == "EndpointUnavailable")


@pytest.mark.parametrize(
    ("fault", "refused"),
    [
        (Fault(code=None, subcode="EndpointUnavailable"), True),
        (Fault(code=None, subcode="QuotaLimit"), True),
        (Fault(code=None, cim_status=28), False),  # the server shuts down: perhaps in the middle
        (Fault(code=1726, subcode="EndpointUnavailable"), False),
        (Fault(code=0x80041014, wmi_status=0x80041032), False),  # the provider was cancelled
        (Fault(code=5), False),
        (Fault(code=0x80338029), False),
        (Fault(code=4711), False),
    ],
)
def test_a_fault_says_that_nothing_was_done_only_by_number_or_as_a_refusal_of_the_service(
    fault: Fault, refused: bool
) -> None:
    assert fault.refused is refused


AGAIN = "the PC is busy, starting or shutting down: try again in some minutes"
SETUP = "Windows Setup may be at work there (sysprep, first start): try again when it is done"
DISABLED = "a service that this needs is disabled on the PC"
MEMORY = "the PC cannot start the process for this: look at its memory and its System event log"


@pytest.mark.parametrize(
    ("fault", "next_step"),
    [
        (Fault(code=21), SETUP),
        (Fault(code=0x80070015), SETUP),
        (Fault(code=0x80070422), DISABLED),
        (Fault(code=0x80080005), MEMORY),
        (Fault(code=0x80338000, wmi_status=0x80070422), DISABLED),
        (Fault(code=995), AGAIN),
        (Fault(code=None, cim_status=28), AGAIN),
        (Fault(code=0x80041010), ""),
    ],
)
def test_a_pc_that_cannot_answer_now_has_a_next_step(fault: Fault, next_step: str) -> None:
    assert fault.next_step == next_step


def test_a_bare_number_is_a_win32_error_only_up_to_65535() -> None:
    assert Fault(code=0xFFFF).has(0x8007FFFF)
    assert Fault(code=0x10000).has(0x10000)
    assert not Fault(code=0x10000).has(0x80070000)


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (None, "It is not there.", FaultKind.NOT_FOUND),
        (None, "It  failed.", FaultKind.INVALID),  # the provider only repeats the reason
        (0x80041001, "It is not there.", FaultKind.INVALID),
        (0x80041001, "It failed.", FaultKind.INVALID),
    ],
)
def test_a_failed_query_is_about_a_missing_class_if_wmi_has_no_status_and_words_of_its_own(
    status: int | None, said: str, kind: FaultKind
) -> None:
    fault = Fault(
        code=0x8033801A,
        reason="It failed. ",
        provider_text=said,
        wmi_status=status,
        operation="ExecQuery",
        cim_status=5,
    )

    assert fault.kind is kind


def test_every_kind_of_fault_has_a_number() -> None:
    assert {*KINDS, FaultKind.UNKNOWN} == set(FaultKind)


WORDS = {
    "access-denied": 0x80070005,
    "quota": 0x803381A5,
    "timed-out": 0x80338029,
    "not-found": 0x80041002,
    "stale-context": 0x8033801B,
    "unavailable": 0x80041033,
    "process-gone": 0x8007006D,
    "envelope-too-large": 0x80338048,
    "invalid": 0x80041017,
    "provider-failed": 0x80338102,
    "unknown": 0x80041001,
}


def test_the_words_of_the_kinds_stay_as_the_report_has_them() -> None:
    assert {Fault(code=code).kind.value: code for code in WORDS.values()} == WORDS


def test_every_number_with_a_kind_has_a_name() -> None:
    assert set(KIND_OF) <= set(CODES)


@given(st.integers(0, 2**32 - 1) | st.sampled_from(sorted(CODES)))
def test_an_unknown_number_is_kept_and_reported_in_decimal_and_hexadecimal(code: int) -> None:
    fault = fault_of(wsman(code))

    assert fault.code == code
    assert fault.name == CODES.get(code, f"error {code} (0x{code:08X})")
    assert str(fault).startswith(fault.name)


@given(st.integers(-(2**31), -1))
def test_a_signed_number_is_the_unsigned_one(code: int) -> None:
    assert fault_of(wsman(code)).code == code + 2**32


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("<f:Message>within</f:Message>", "within"),
        ("before<f:Message>within</f:Message>", "before"),
        ("<f:Other>within</f:Other>", ""),
        (" \n ", ""),
    ],
)
def test_the_text_of_a_provider_may_be_one_message_deeper(inner: str, text: str) -> None:
    assert fault_of(wsman(5, provider(5, inner))).provider_text == text


def test_the_number_wins_over_the_subcode() -> None:
    assert fault_of(wsman(2150858793), subcode="w:QuotaLimit").kind is FaultKind.TIMED_OUT


# -- the message -------------------------------------------------------------------------------------------------


def test_the_message_is_one_line_with_the_name_and_the_text_of_the_provider() -> None:
    fault = fault_of(wsman(2150858752, provider(2150858752, "Not\n   here. ")), reason="Somewhere. ")

    assert str(fault) == "ERROR_WSMAN_RESOURCE_NOT_FOUND: Not here."


NOT_CAPABLE = "The WMI provider is not capable of this. "
DRIVER = "WDM specific return code: 4200"


def test_the_providers_own_words_are_shown_first() -> None:
    fault = fault_of(wsman(2150859010, provider(2150859010, NOT_CAPABLE, extended("", description=DRIVER))))

    assert (fault.description, fault.operation, fault.wmi_status) == (DRIVER, "ExecQuery", None)
    assert str(fault) == f"ERROR_WSMAN_WMI_PROVIDER_NOT_CAPABLE: {DRIVER} ({NOT_CAPABLE.strip()})"


def test_the_providers_own_words_are_not_cut_off_by_a_long_text_and_not_said_twice() -> None:
    detail = extended("", description=DRIVER)

    assert DRIVER in str(fault_of(wsman(2150859010, provider(2150859010, "x" * 5000, detail))))
    assert str(fault_of(wsman(4711, provider(4711, DRIVER, detail)))).count(DRIVER) == 1
    assert str(fault_of(wsman(4711, provider(4711, "", detail)), reason="")).endswith(f": {DRIVER}")


def test_a_fault_without_text_still_has_a_message() -> None:
    assert repr(Fault(code=5)) == "Fault(5)"
    assert str(fault_of(subcode="", reason="")) == "a fault without a code"
    assert str(fault_of(subcode="w:InternalError", reason="")) == "InternalError"
    assert str(fault_of(wsman(4711), reason="")) == "error 4711 (0x00001267)"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff<&>"), max_size=2000))
def test_the_text_of_the_pc_is_cut_to_one_line(text: str) -> None:
    message = str(fault_of(wsman(5, provider(5, text, extended("", description=text))), reason=text))

    assert len(message.splitlines()) == 1
    assert len(message) < 400


def test_long_texts_are_cut_at_their_limits() -> None:
    assert str(fault_of(wsman(5), reason="x" * 301)) == f"ERROR_ACCESS_DENIED: {'x' * 300}"
    assert fault_of(subcode="w:" + "x" * 61).subcode == "x" * 60
    assert fault_of(wmi_error(message_id="x" * 61)).message_id == "x" * 60


def test_a_subcode_is_cut_to_one_line_too() -> None:
    message = str(fault_of(subcode="w:Odd\n\u2028one" + "x" * 2000, reason=""))

    assert len(message.splitlines()) == 1
    assert message.startswith("Odd one")
    assert len(message) < 100


@pytest.mark.parametrize("language", ["Zugriff verweigert", "アクセスが拒否されました。", "Отказано в доступе.", ""])
def test_the_language_of_the_pc_does_not_matter(language: str) -> None:
    assert fault_of(wsman(2147942405, language), reason=language).kind is FaultKind.ACCESS_DENIED


# -- any content -------------------------------------------------------------------------------------------------

LEAVES = st.sampled_from(
    [
        *(
            "",
            "5",
            "x",
            "-1",
            "99999999999999999999",
            "0x80041010",
            "HRESULT 0x",
            "HRESULT 0x803381a5",
            "w:TimedOut",
            ":",
        ),
        *("٣", "-", "0x", "0xfffffffff", " 5 ", "MI", "WIN32", "HRESULT", "MI RESULT 5", "Windows System Error 99999"),
    ]
)
FAULT_NAMES = st.sampled_from(
    [
        *("Fault", "Code", "Subcode", "Value", "Reason", "Text", "Detail", "WSManFault", "Message", "ProviderFault"),
        *("ExtendedError", "__ExtendedStatus", "StatusCode", "Operation", "MSFT_WmiError", "error_Code", "MessageID"),
        *("CIMStatusCode", "FaultDetail", "error_Type", "Description"),
    ]
)


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> ET.Element:
    """Return an element with the names that occur in faults, in any order and nesting."""
    element = ET.Element(f"{{urn:x}}{draw(FAULT_NAMES)}")
    element.text = draw(LEAVES)
    if draw(st.booleans()):
        element.set("Code", draw(LEAVES))
        element.set("Machine", draw(LEAVES))
    if depth < 5:
        element.extend(draw(st.lists(trees(depth=depth + 1), max_size=3)))
    return element


@given(trees())
def test_any_tree_of_fault_elements_can_be_read(tree: ET.Element) -> None:
    fault = read_fault(tree)

    assert fault.kind in FaultKind
    assert fault.code is None or 0 <= fault.code < 2**32
    assert str(fault)


@given(st.data())
def test_a_truncated_fault_is_malformed_and_not_a_fault(data: st.DataObject) -> None:
    whole = (
        f'<s:Envelope xmlns:s="{uris.SOAP}" xmlns:f="{WSMAN_FAULT}"><s:Body><s:Fault><s:Detail>{wsman(5)}</s:Detail>'
        "</s:Fault></s:Body></s:Envelope>"
    ).encode()

    with pytest.raises(MalformedAnswer):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])
