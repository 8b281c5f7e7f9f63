"""The registry over WMI: which call is sent, and what each return value means. Driven without a PC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provmode.errors import AccessDenied, RemoteFault
from provmode.reading import Absent, Known, Unknown
from provmode.windows.registry import Key, RegistryData, ValueType, data_of, get_value, read_value, values_of
from provmode.wsman import Instance, UnexpectedAnswer

KEY = Key.parse("HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec")


def answer(**properties: Any) -> Instance:
    """Return a method's answer; its values are text, as on the wire."""
    return Instance("X_OUTPUT", properties)


@pytest.mark.parametrize(
    ("text", "hive", "path"),
    [
        ("HKLM\\SOFTWARE\\X", "HKLM", "SOFTWARE\\X"),
        ("hkey_local_machine\\SOFTWARE\\X\\", "HKLM", "SOFTWARE\\X"),
        ("HKU/S-1-5-18/Software", "HKU", "S-1-5-18\\Software"),
        ("HKCR", "HKCR", ""),
    ],
)
def test_a_key_is_read_as_admins_write_it(text: str, hive: str, path: str) -> None:
    assert Key.parse(text) == Key(hive, path)


def test_the_32_bit_view_is_spelled_by_its_path() -> None:
    assert Key.parse("HKLM\\SOFTWARE\\X", 32).path == "SOFTWARE\\Wow6432Node\\X"
    assert Key.parse("HKLM\\SOFTWARE", 32).path == "SOFTWARE\\Wow6432Node"
    for key in ("HKLM\\SYSTEM\\Setup", "HKU\\SOFTWARE"):
        with pytest.raises(ValueError, match="no 32-bit view"):
            Key.parse(key, 32)


@pytest.mark.parametrize(("key", "view"), [("SOFTWARE\\X", 64), ("HKXX\\X", 64), ("", 64), ("HKLM\\SOFTWARE\\X", 16)])
def test_an_invalid_key_or_view_is_refused(key: str, view: Any) -> None:
    with pytest.raises(ValueError, match=r"registry key|view is"):
        Key.parse(key, view)


def test_the_call_names_hive_key_and_value() -> None:
    call = get_value(KEY, "ProvisioningMode")

    assert call.method == "GetStringValue"
    assert dict(call.parameters) == {"hDefKey": "2147483650", "sSubKeyName": KEY.path, "sValueName": "ProvisioningMode"}


@pytest.mark.parametrize(
    ("code", "cause"),
    [("5", "access-denied"), ("2147749893", "type-mismatch"), ("-2147217403", "type-mismatch"), ("6", "fault")],
)
def test_a_return_value_for_a_failure_is_unknown(code: str, cause: str) -> None:
    reading = data_of(answer(ReturnValue=code), ValueType.REG_SZ, "x")

    assert isinstance(reading, Unknown)
    assert reading.cause == cause


@pytest.mark.parametrize("code", ["1", "2"])
def test_a_missing_value_or_key_is_known_absent(code: str) -> None:
    assert data_of(answer(ReturnValue=code), ValueType.REG_SZ, "x") == Absent()


def test_an_answer_without_a_return_value_is_refused() -> None:
    with pytest.raises(UnexpectedAnswer):
        data_of(answer(sValue="true"), ValueType.REG_SZ, "x")


@pytest.mark.parametrize(
    ("value_type", "properties", "data"),
    [
        (ValueType.REG_SZ, {"sValue": "true"}, "true"),
        (ValueType.REG_SZ, {"sValue": None}, ""),
        (ValueType.REG_EXPAND_SZ, {"sValue": "C:\\Windows"}, "C:\\Windows"),
        (ValueType.REG_MULTI_SZ, {"sValue": ("a", "b")}, ("a", "b")),
        (ValueType.REG_MULTI_SZ, {"sValue": "a"}, ("a",)),
        (ValueType.REG_MULTI_SZ, {}, ()),
        (ValueType.REG_DWORD, {"uValue": "4294967295"}, 4294967295),
        (ValueType.REG_QWORD, {"uValue": "18446744073709551615"}, 18446744073709551615),
        (ValueType.REG_BINARY, {"uValue": ("0", "255")}, b"\x00\xff"),
        (ValueType.REG_BINARY, {"uValue": "7"}, b"\x07"),
    ],
)
def test_every_type_of_data_is_read(value_type: ValueType, properties: dict[str, Any], data: Any) -> None:
    reading = data_of(answer(ReturnValue="0", **properties), value_type, "x")

    assert reading == Known(RegistryData(value_type, data))


def test_a_missing_number_is_unknown() -> None:
    assert isinstance(data_of(answer(ReturnValue="0"), ValueType.REG_DWORD, "x"), Unknown)


def test_values_come_with_their_types_also_if_there_is_only_one() -> None:
    assert values_of(answer(ReturnValue="0", sNames="A", Types="1"), "x") == Known({"A": 1})
    assert values_of(answer(ReturnValue="0", sNames=("A", "B"), Types=("1", "4")), "x") == Known({"A": 1, "B": 4})
    assert values_of(answer(ReturnValue="0"), "x") == Known({})
    assert values_of(answer(ReturnValue="2"), "x") == Absent()


def test_a_value_is_read_by_its_own_type_and_its_name_in_any_case(drive: Callable[..., Any]) -> None:
    types = answer(ReturnValue="0", sNames=("Mode",), Types=("4",))

    assert drive(read_value(KEY, "mode"), types, answer(ReturnValue="0", uValue="1")) == Known(
        RegistryData(ValueType.REG_DWORD, 1)
    )


def test_a_value_of_a_type_that_wmi_cannot_read_is_unknown(drive: Callable[..., Any]) -> None:
    reading = drive(read_value(KEY, "Mode"), answer(ReturnValue="0", sNames="Mode", Types="10"))

    assert isinstance(reading, Unknown)
    assert "type 10" in reading.detail


@pytest.mark.parametrize(
    ("error", "cause"),
    [(AccessDenied("no"), "access-denied"), (RemoteFault("gone", code=1, kind="unavailable"), "unavailable")],
)
def test_a_fault_of_the_pc_is_unknown(error: Exception, cause: str, drive: Callable[..., Any]) -> None:
    reading = drive(read_value(KEY, "Mode"), error)

    assert isinstance(reading, Unknown)
    assert reading.cause == cause


@pytest.mark.parametrize(
    "odd",
    [
        answer(sNames="Mode"),
        answer(ReturnValue="0", sNames=("Mode", "Other"), Types="1"),
        answer(ReturnValue="nonsense"),
        answer(ReturnValue="0", sNames="Mode", Types="REG_SZ"),
    ],
)
def test_an_answer_that_makes_no_sense_is_unknown(odd: Instance, drive: Callable[..., Any]) -> None:
    reading = drive(read_value(KEY, "Mode"), odd)

    assert isinstance(reading, Unknown)
    assert reading.cause == "malformed"
