"""The names of the numbers: those of Microsoft's headers, each with its own number."""

from __future__ import annotations

from pathlib import Path

from provmode.wsman.codes import CODES, name_of

WSMERROR = {
    int(number): name
    for number, name in (line.split() for line in Path(__file__).with_name("wsmerror.txt").read_text().splitlines())
}
"""``wsmerror.h`` of the Windows SDK: a number and its name on each line."""

WMI = """
    1001 FAILED  1002 NOT_FOUND  1003 ACCESS_DENIED  1004 PROVIDER_FAILURE  1005 TYPE_MISMATCH  1008 INVALID_PARAMETER
    100E INVALID_NAMESPACE  1010 INVALID_CLASS  1013 PROVIDER_LOAD_FAILURE  1014 INITIALIZATION_FAILURE
    1017 INVALID_QUERY  1024 PROVIDER_NOT_CAPABLE  102E INVALID_METHOD  102F INVALID_METHOD_PARAMETERS
    1032 CALL_CANCELLED  1033 SHUTTING_DOWN  1055 METHOD_NOT_IMPLEMENTED  1056 METHOD_DISABLED
    1062 PRIVILEGE_NOT_HELD  1069 TIMED_OUT  106C QUOTA_VIOLATION
"""
"""Microsoft, "WMI error constants": the last four digits, and the name after ``WBEM_E_``."""

WIN32 = """
    2 ERROR_FILE_NOT_FOUND  3 ERROR_PATH_NOT_FOUND  21 ERROR_NOT_READY  109 ERROR_BROKEN_PIPE  170 ERROR_BUSY
    206 ERROR_FILENAME_EXCED_RANGE  232 ERROR_NO_DATA  995 ERROR_OPERATION_ABORTED  1058 ERROR_SERVICE_DISABLED
    1061 ERROR_SERVICE_CANNOT_ACCEPT_CTRL  1062 ERROR_SERVICE_NOT_ACTIVE  1115 ERROR_SHUTDOWN_IN_PROGRESS
    1722 RPC_S_SERVER_UNAVAILABLE  1726 RPC_S_CALL_FAILED  1727 RPC_S_CALL_FAILED_DNE
"""
"""Microsoft, "System error codes"."""


def pairs(table: str) -> list[tuple[str, str]]:
    words = table.split()
    return list(zip(words[::2], words[1::2], strict=True))


def test_every_code_of_ws_management_has_the_name_of_the_header() -> None:
    assert [name_of(code) for code in WSMERROR] == list(WSMERROR.values())
    assert {code: name for code, name in CODES.items() if code >= 0x80100000} == WSMERROR
    assert sorted(WSMERROR) == list(range(0x80338000, 0x80338200))


def test_every_code_of_wmi_and_com_has_its_documented_name() -> None:
    assert {code: name for code, name in CODES.items() if 0x80000000 <= code < 0x80070000} == {
        0x80010007: "RPC_E_SERVER_DIED",
        0x80010012: "RPC_E_SERVER_DIED_DNE",
        0x80010108: "RPC_E_DISCONNECTED",
        **{int(f"8004{digits}", 16): f"WBEM_E_{name}" for digits, name in pairs(WMI)},
    }
    assert {code: name for code, name in CODES.items() if 0x80080000 <= code < 0x80100000} == {
        0x80080005: "CO_E_SERVER_EXEC_FAILURE"
    }


def test_a_win32_error_has_its_documented_name_as_a_bare_number_and_as_an_hresult() -> None:
    names = {int(number): name for number, name in pairs(WIN32)}

    assert {code: name for code, name in CODES.items() if code < 0x80000000} == {
        **names,
        5: "ERROR_ACCESS_DENIED",
        50: "ERROR_NOT_SUPPORTED",
        87: "ERROR_INVALID_PARAMETER",
    }
    assert {code & 0xFFFF: name for code, name in CODES.items() if code >> 16 == 0x8007} == {
        **names,
        5: "E_ACCESSDENIED",
    }


def test_a_number_without_a_name_is_given_in_decimal_and_hexadecimal() -> None:
    assert name_of(0x80338029) == "ERROR_WSMAN_OPERATION_TIMEDOUT"
    assert name_of(0x80540FA0) == "error 2152992672 (0x80540FA0)"
