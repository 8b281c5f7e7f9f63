"""The modelled registry provider: every method, and Windows' return code for each failure."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.machine import CimError
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
HKLM, HKCU, HKU = "2147483650", "2147483649", "2147483651"
LAB = "SOFTWARE\\Lab"
MISMATCH = 0x80041005

# the method that reads, the method that writes, its parameter, the value as text, and the value read back
KINDS = [
    pytest.param("String", "sValue", "Grüße", "Grüße", id="String"),
    pytest.param("ExpandedString", "sValue", "%SystemRoot%\\inf", "C:\\Windows\\inf", id="ExpandedString"),
    pytest.param("MultiString", "sValue", ["netlogon", "samr"], ["netlogon", "samr"], id="MultiString"),
    pytest.param("DWORD", "uValue", "4294967295", 4294967295, id="DWORD"),
    pytest.param("QWORD", "uValue", "18446744073709551615", 18446744073709551615, id="QWORD"),
    pytest.param("Binary", "uValue", ["0", "127", "255"], [0, 127, 255], id="Binary"),
]


def a_pc() -> PC:
    pc = PC("PC-1", Clock(START, lambda: 0.0))
    pc.start_recording()
    return pc


@pytest.fixture
def pc() -> PC:
    return a_pc()


def call(pc: PC, method: str, path: str = LAB, *, hive: str = HKLM, **parameters: Any) -> dict[str, Any]:
    given_parameters = {"hDefKey": hive, "sSubKeyName": path, **parameters}
    return dict(pc.invoke("root/cimv2", "StdRegProv", {}, method, given_parameters))


def code(pc: PC, method: str, path: str = LAB, *, hive: str = HKLM, **parameters: Any) -> int:
    return int(call(pc, method, path, hive=hive, **parameters)["ReturnValue"])


def fault(pc: PC, method: str, **parameters: Any) -> int:
    with pytest.raises(CimError) as raised:
        pc.invoke("root/cimv2", "StdRegProv", {}, method, parameters)
    return raised.value.status


# -- values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "parameter", "given_value", "expected"), KINDS)
def test_a_value_that_was_written_is_read_back(
    pc: PC, kind: str, parameter: str, given_value: Any, expected: Any
) -> None:
    assert code(pc, "CreateKey") == 0
    assert code(pc, f"Set{kind}Value", sValueName="Some", **{parameter: given_value}) == 0
    assert call(pc, f"Get{kind}Value", sValueName="Some") == {parameter: expected, "ReturnValue": 0}


@pytest.mark.parametrize(("kind", "parameter", "given_value", "expected"), KINDS)
def test_a_missing_value_is_1_and_a_missing_key_2(
    pc: PC, kind: str, parameter: str, given_value: Any, expected: Any
) -> None:
    call(pc, "CreateKey")
    assert call(pc, f"Get{kind}Value", sValueName="Nothing") == {parameter: None, "ReturnValue": 1}
    assert call(pc, f"Get{kind}Value", LAB + "\\None", sValueName="x") == {parameter: None, "ReturnValue": 2}


@pytest.mark.parametrize(("kind", "parameter", "given_value", "expected"), KINDS)
def test_a_value_is_not_written_into_a_key_that_is_missing(
    pc: PC, kind: str, parameter: str, given_value: Any, expected: Any
) -> None:
    assert code(pc, f"Set{kind}Value", sValueName="Some", **{parameter: given_value}) == 2
    assert code(pc, "CheckAccess") == 2
    assert pc.mutations == []


@pytest.mark.parametrize(("kind", "parameter", "given_value", "expected"), KINDS)
def test_a_value_of_another_type_is_a_type_mismatch(
    pc: PC, kind: str, parameter: str, given_value: Any, expected: Any
) -> None:
    call(pc, "CreateKey")
    call(pc, f"Set{kind}Value", sValueName="Some", **{parameter: given_value})
    others = {"String", "MultiString", "DWORD", "QWORD", "Binary"} - {kind}
    assert {other: code(pc, f"Get{other}Value", sValueName="Some") for other in others} == dict.fromkeys(
        others, MISMATCH
    )


def test_an_expanded_string_can_be_read_from_a_plain_string(pc: PC) -> None:
    call(pc, "CreateKey")
    call(pc, "SetStringValue", sValueName="Some", sValue="%windir%\\x %nobody% 100%")
    assert call(pc, "GetExpandedStringValue", sValueName="Some")["sValue"] == "C:\\Windows\\x %nobody% 100%"
    assert call(pc, "GetStringValue", sValueName="Some")["sValue"] == "%windir%\\x %nobody% 100%"


def test_names_of_keys_and_values_compare_without_regard_to_case(pc: PC) -> None:
    call(pc, "CreateKey", "SOFTWARE\\LAB\\Inner")
    call(pc, "SetDWORDValue", "software\\lab\\INNER", sValueName="MyName", uValue="1")
    call(pc, "SetDWORDValue", "Software\\Lab\\inner", sValueName="MYNAME", uValue="2")
    assert call(pc, "GetDWORDValue", "SOFTWARE\\lab\\iNNER", sValueName="myname")["uValue"] == 2
    assert call(pc, "EnumValues", "software\\lab\\inner")["sNames"] == ["MyName"], "the first spelling is kept"
    assert call(pc, "EnumKey", "software\\lab")["sNames"] == ["Inner"]


def test_the_name_of_a_method_and_its_parameters_compare_without_regard_to_case(pc: PC) -> None:
    found = pc.invoke(
        "ROOT\\CIMV2",
        "stdregprov",
        {},
        "getstringvalue",
        {"HDEFKEY": HKLM, "ssubkeyname": "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion", "SVALUENAME": "systemroot"},
    )
    assert found == {"sValue": "C:\\Windows", "ReturnValue": 0}


def test_the_default_hive_is_hkey_local_machine(pc: PC) -> None:
    parameters = {"sSubKeyName": "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion", "sValueName": "SystemRoot"}
    assert pc.invoke("root/default", "StdRegProv", {}, "GetStringValue", parameters)["sValue"] == "C:\\Windows"


def test_the_value_without_a_name_is_the_default_value(pc: PC) -> None:
    call(pc, "CreateKey")
    assert code(pc, "GetStringValue") == 1
    assert code(pc, "SetStringValue", sValue="by default") == 0
    assert call(pc, "GetStringValue", sValueName="")["sValue"] == "by default"


def test_writing_again_replaces_type_and_data(pc: PC) -> None:
    call(pc, "CreateKey")
    call(pc, "SetStringValue", sValueName="Some", sValue="text")
    call(pc, "SetQWORDValue", sValueName="Some", uValue="5")
    assert code(pc, "GetStringValue", sValueName="Some") == MISMATCH
    assert call(pc, "GetQWORDValue", sValueName="Some")["uValue"] == 5
    assert call(pc, "EnumValues")["Types"] == [11]


def test_an_empty_list_is_read_as_nothing(pc: PC) -> None:
    call(pc, "CreateKey")
    assert code(pc, "SetMultiStringValue", sValueName="m", sValue=[]) == 0
    assert code(pc, "SetBinaryValue", sValueName="b", uValue=[]) == 0
    assert call(pc, "GetMultiStringValue", sValueName="m") == {"sValue": None, "ReturnValue": 0}
    assert call(pc, "GetBinaryValue", sValueName="b") == {"uValue": None, "ReturnValue": 0}


def test_a_single_element_makes_a_list_of_one(pc: PC) -> None:
    call(pc, "CreateKey")
    call(pc, "SetMultiStringValue", sValueName="m", sValue="only")
    assert call(pc, "GetMultiStringValue", sValueName="m")["sValue"] == ["only"]


@pytest.mark.parametrize(("kind", "expected"), [("DWORD", 3), ("QWORD", 3)])
def test_a_missing_number_is_the_documented_default(pc: PC, kind: str, expected: int) -> None:
    call(pc, "CreateKey")
    assert code(pc, f"Set{kind}Value", sValueName="n") == 0
    assert call(pc, f"Get{kind}Value", sValueName="n")["uValue"] == expected


# -- invalid parameters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given_value", ["4294967296", "-1", "one", "1.5", "", "1_0", ["1", "2"]])
def test_an_invalid_dword_is_refused(pc: PC, given_value: Any) -> None:
    call(pc, "CreateKey")
    parameters = {"hDefKey": HKLM, "sSubKeyName": LAB, "sValueName": "n", "uValue": given_value}
    assert fault(pc, "SetDWORDValue", **parameters) == MISMATCH
    assert call(pc, "EnumValues")["sNames"] is None


@pytest.mark.parametrize("given_value", [["256"], ["-1"], ["x"], [["1"]]])
def test_invalid_bytes_are_refused(pc: PC, given_value: Any) -> None:
    call(pc, "CreateKey")
    parameters = {"hDefKey": HKLM, "sSubKeyName": LAB, "sValueName": "n", "uValue": given_value}
    assert fault(pc, "SetBinaryValue", **parameters) == MISMATCH


def test_a_number_may_be_written_in_hexadecimal(pc: PC) -> None:
    call(pc, "CreateKey", hive="0x80000002")
    call(pc, "SetDWORDValue", sValueName="n", uValue="0xFF")
    assert call(pc, "GetDWORDValue", sValueName="n")["uValue"] == 255


def test_an_unknown_parameter_is_invalid(pc: PC) -> None:
    assert fault(pc, "GetStringValue", hDefKey=HKLM, sSubKeyName=LAB, sName="x") == 0x8004102F


def test_the_name_of_the_key_is_required(pc: PC) -> None:
    assert fault(pc, "EnumKey", hDefKey=HKLM) == 0x80041008


def test_an_unknown_method_is_invalid(pc: PC) -> None:
    assert fault(pc, "GetEveryValue", sSubKeyName=LAB) == 0x8004102E


@pytest.mark.parametrize(
    "method",
    ["GetStringValue", "SetStringValue", "EnumKey", "EnumValues", "CreateKey", "DeleteKey", "DeleteValue"],
)
def test_an_unknown_hive_is_an_invalid_handle(pc: PC, method: str) -> None:
    named = {"sValueName": "x"} if method.endswith("Value") else {}
    assert code(pc, method, hive="7", **named) == 6
    assert pc.mutations == []


# -- keys -------------------------------------------------------------------------------------------------------


def test_creating_a_key_creates_its_parents(pc: PC) -> None:
    assert code(pc, "CreateKey", "SOFTWARE\\A\\B\\C") == 0
    assert call(pc, "EnumKey", "SOFTWARE\\A") == {"sNames": ["B"], "ReturnValue": 0}
    assert call(pc, "EnumKey", "SOFTWARE\\A\\B\\C") == {"sNames": None, "ReturnValue": 0}
    assert [item.road for item in pc.mutations] == ["cim"] * 3


def test_creating_a_key_again_changes_nothing(pc: PC) -> None:
    call(pc, "CreateKey")
    call(pc, "SetStringValue", sValueName="Some", sValue="kept")
    changes = len(pc.mutations)
    assert code(pc, "CreateKey", LAB.upper()) == 0
    assert call(pc, "GetStringValue", sValueName="Some")["sValue"] == "kept"
    assert len(pc.mutations) == changes


def test_a_key_is_deleted_with_its_values(pc: PC) -> None:
    call(pc, "CreateKey")
    call(pc, "SetStringValue", sValueName="Some", sValue="x")
    assert code(pc, "DeleteKey") == 0
    assert code(pc, "GetStringValue", sValueName="Some") == 2
    call(pc, "CreateKey")
    assert call(pc, "EnumValues")["sNames"] is None


def test_a_key_with_subkeys_is_not_deleted(pc: PC) -> None:
    call(pc, "CreateKey", LAB + "\\Inner")
    assert code(pc, "DeleteKey") == 5
    assert code(pc, "DeleteKey", LAB + "\\Inner") == 0
    assert code(pc, "DeleteKey") == 0
    assert code(pc, "DeleteKey") == 2


def test_a_key_of_windows_can_be_deleted_and_created_again(pc: PC) -> None:
    key = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\RunOnce"
    assert code(pc, "DeleteKey", key) == 0
    assert code(pc, "EnumValues", key) == 2
    assert call(pc, "EnumKey", "SOFTWARE\\Microsoft\\Windows\\CurrentVersion")["sNames"] is None
    assert code(pc, "CreateKey", key) == 0
    assert code(pc, "SetDWORDValue", key, sValueName="n", uValue="1") == 0


def test_a_value_is_deleted_once(pc: PC) -> None:
    key = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion"
    before = call(pc, "EnumValues", key)["sNames"]
    assert code(pc, "DeleteValue", key, sValueName="productNAME") == 0
    assert call(pc, "EnumValues", key)["sNames"] == [name for name in before if name != "ProductName"]
    assert code(pc, "DeleteValue", key, sValueName="ProductName") != 0
    assert code(pc, "GetStringValue", key, sValueName="ProductName") == 1


def test_deleting_a_value_of_a_missing_key_reports_the_missing_key(pc: PC) -> None:
    assert code(pc, "DeleteValue", sValueName="x") == 2


def test_values_are_listed_with_their_types(pc: PC) -> None:
    call(pc, "CreateKey")
    call(pc, "SetStringValue", sValueName="s", sValue="x")
    call(pc, "SetExpandedStringValue", sValueName="e", sValue="x")
    call(pc, "SetBinaryValue", sValueName="b", uValue=["1"])
    call(pc, "SetDWORDValue", sValueName="d", uValue="1")
    call(pc, "SetMultiStringValue", sValueName="m", sValue=["x"])
    call(pc, "SetQWORDValue", sValueName="q", uValue="1")
    assert call(pc, "EnumValues") == {"sNames": list("sebdmq"), "Types": [1, 2, 3, 4, 7, 11], "ReturnValue": 0}


def test_listing_a_missing_key_reports_the_missing_key(pc: PC) -> None:
    assert call(pc, "EnumKey") == {"sNames": None, "ReturnValue": 2}
    assert call(pc, "EnumValues") == {"sNames": None, "Types": None, "ReturnValue": 2}


def test_access_is_granted_to_an_existing_key(pc: PC) -> None:
    assert call(pc, "CheckAccess", "SYSTEM\\Setup", uRequired="131097") == {"bGranted": True, "ReturnValue": 0}
    assert call(pc, "CheckAccess", uRequired="1") == {"bGranted": False, "ReturnValue": 2}


@pytest.mark.parametrize("hive", [HKLM, HKCU, HKU])
def test_the_root_of_a_hive_always_exists_and_cannot_be_deleted(pc: PC, hive: str) -> None:
    assert code(pc, "EnumKey", "", hive=hive) == 0
    assert call(pc, "CheckAccess", "", hive=hive)["bGranted"] is True
    assert code(pc, "DeleteKey", "", hive=hive) == 5
    assert code(pc, "EnumKey", "", hive=hive) == 0


def test_the_root_of_a_hive_lists_its_keys(pc: PC) -> None:
    assert call(pc, "EnumKey", "")["sNames"] == ["SOFTWARE", "SYSTEM"]


def test_hives_are_separate(pc: PC) -> None:
    assert code(pc, "CreateKey", hive=HKCU) == 0
    assert code(pc, "SetStringValue", hive=HKCU, sValueName="Some", sValue="mine") == 0
    assert code(pc, "GetStringValue", sValueName="Some") == 2
    assert call(pc, "EnumKey", "", hive=HKCU)["sNames"] == ["SOFTWARE"]


@given(st.text(), st.text(), st.sampled_from(["1", "2147483648", "2147483653", HKLM, HKCU]))
def test_any_name_of_key_and_value_is_answered_with_a_code(path: str, name: str, hive: str) -> None:
    pc = a_pc()
    codes = [
        code(pc, "CreateKey", path, hive=hive),
        code(pc, "SetStringValue", path, hive=hive, sValueName=name, sValue=path),
        code(pc, "GetStringValue", path, hive=hive, sValueName=name),
        code(pc, "EnumKey", path, hive=hive),
        code(pc, "EnumValues", path, hive=hive),
        code(pc, "DeleteValue", path, hive=hive, sValueName=name),
        code(pc, "GetStringValue", path, hive=hive, sValueName=name),
    ]
    assert codes == ([6] * 7 if hive == "1" else [0] * 6 + [1])


NAMES = st.text(st.characters(min_codepoint=33, exclude_characters="\\", categories=("L", "N", "P")), min_size=1)


@given(NAMES, st.lists(st.text(), max_size=4))
def test_a_list_of_strings_is_read_back_unchanged(name: str, items: list[str]) -> None:
    pc = a_pc()
    call(pc, "CreateKey")
    assert code(pc, "SetMultiStringValue", sValueName=name, sValue=items) == 0
    assert call(pc, "GetMultiStringValue", sValueName=name)["sValue"] == (items or None)


@given(st.binary(max_size=40))
def test_bytes_are_read_back_unchanged(data: bytes) -> None:
    pc = a_pc()
    call(pc, "CreateKey")
    assert code(pc, "SetBinaryValue", sValueName="b", uValue=[str(byte) for byte in data]) == 0
    assert bytes(call(pc, "GetBinaryValue", sValueName="b")["uValue"] or ()) == data
