"""The names of the numbers: those of Microsoft's headers, each with its own number."""

from __future__ import annotations

from pathlib import Path

import pytest

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
"""Microsoft, "System error codes"; each comes as an HRESULT and as the bare number."""


def pairs(table: str) -> list[tuple[str, str]]:
    words = table.split()
    return list(zip(words[::2], words[1::2], strict=True))


WMI_CODES = {int(f"8004{digits}", 16): f"WBEM_E_{name}" for digits, name in pairs(WMI)}
WIN32_CODES = {int(number): name for number, name in pairs(WIN32)}
BARE = {**WIN32_CODES, 5: "ERROR_ACCESS_DENIED", 50: "ERROR_NOT_SUPPORTED", 87: "ERROR_INVALID_PARAMETER"}
AS_HRESULT = {0x80070000 | number: name for number, name in {**WIN32_CODES, 5: "E_ACCESSDENIED"}.items()}
COM = {
    0x80010007: "RPC_E_SERVER_DIED",
    0x80010012: "RPC_E_SERVER_DIED_DNE",
    0x80010108: "RPC_E_DISCONNECTED",
    0x80080005: "CO_E_SERVER_EXEC_FAILURE",
}


@pytest.mark.parametrize("names", [WSMERROR, WMI_CODES, BARE, AS_HRESULT, COM])
def test_every_number_has_the_name_of_the_header(names: dict[int, str]) -> None:
    assert {number: name_of(number) for number in names} == names


def test_no_other_number_has_a_name_and_the_codes_of_ws_management_have_no_gap() -> None:
    assert set(CODES) == {*WSMERROR, *WMI_CODES, *BARE, *AS_HRESULT, *COM}
    assert sorted(WSMERROR) == list(range(0x80338000, 0x80338200))


def test_a_number_without_a_name_is_given_in_decimal_and_hexadecimal() -> None:
    assert name_of(0x80540FA0) == "error 2152992672 (0x80540FA0)"
    assert name_of(51) == "error 51 (0x00000033)"
