"""The registry over WMI: operations of class ``StdRegProv``, and what their return values mean. Pure.

Source: Microsoft, "StdRegProv class" (methods, parameters, ``hDefKey`` values, the value types of ``EnumValues``).
For a missing key or value the PC answers with a return value, not with a fault. Every read is an Invoke, so WinRM
requires the execute right even to read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

from provmode.errors import AccessDenied, RemoteFault
from provmode.reading import Absent, Known, Reading, Unknown
from provmode.windows.conversation import Conversation, could_not_tell
from provmode.wsman import Instance, Invoke, Resource, UnexpectedAnswer, integer, integers, strings, text

PROVIDER = Resource.cim("root/cimv2", "StdRegProv")
"""Registered in ``root\\default`` and, since Windows Vista, in ``root\\cimv2`` as well."""

HIVES = {
    "HKCR": 0x80000000,
    "HKCU": 0x80000001,
    "HKLM": 0x80000002,
    "HKU": 0x80000003,
    "HKCC": 0x80000005,
}
"""``hDefKey``. HKCU is the hive of the account that asks, not of the user at the PC."""

_LONG_NAMES = {
    "HKEY_CLASSES_ROOT": "HKCR",
    "HKEY_CURRENT_USER": "HKCU",
    "HKEY_LOCAL_MACHINE": "HKLM",
    "HKEY_USERS": "HKU",
    "HKEY_CURRENT_CONFIG": "HKCC",
}

SUCCESS, VALUE_MISSING, KEY_MISSING, DENIED, BAD_HIVE = 0, 1, 2, 5, 6
TYPE_MISMATCH = 0x80041005

View = Literal[64, 32]


class ValueType(IntEnum):
    """Types as ``EnumValues`` numbers them."""

    REG_SZ = 1
    REG_EXPAND_SZ = 2
    REG_BINARY = 3
    REG_DWORD = 4
    REG_MULTI_SZ = 7
    REG_QWORD = 11


_GETTERS = {
    ValueType.REG_SZ: "GetStringValue",
    ValueType.REG_EXPAND_SZ: "GetExpandedStringValue",
    ValueType.REG_BINARY: "GetBinaryValue",
    ValueType.REG_DWORD: "GetDWORDValue",
    ValueType.REG_MULTI_SZ: "GetMultiStringValue",
    ValueType.REG_QWORD: "GetQWORDValue",
}


@dataclass(frozen=True)
class RegistryData:
    """One value: its type and its data."""

    type: ValueType
    data: str | int | bytes | tuple[str, ...]
    """``str`` for REG_SZ and REG_EXPAND_SZ (expanded), ``int`` for numbers, ``bytes`` for REG_BINARY."""

    def to_json(self) -> dict[str, Any]:
        """Return ``{"type": "REG_SZ", "data": ...}``; bytes as hex."""
        data = self.data.hex() if isinstance(self.data, bytes) else self.data
        return {"type": self.type.name, "data": list(data) if isinstance(data, tuple) else data}


@dataclass(frozen=True)
class Key:
    """A registry key."""

    hive: str
    """``HKLM`` and so on."""
    path: str

    @classmethod
    def parse(cls, key: str, view: View = 64) -> Key:
        """Read ``HKLM\\SOFTWARE\\...``; *view* 32 goes below ``Wow6432Node``.

        WinRM has no option for the view (the provider's architecture cannot be set), so the 32-bit view is spelled by
        its path. It exists only below ``SOFTWARE``.

        Raises:
            ValueError: an unknown hive, or a 32-bit view of a key without one.
        """
        head, _, path = key.replace("/", "\\").partition("\\")
        hive = _LONG_NAMES.get(head.upper(), head.upper())
        if hive not in HIVES:
            raise ValueError(f"registry key {key!r} does not begin with a hive ({', '.join(HIVES)})")
        if view == 32:
            first, _, rest = path.partition("\\")
            if hive not in ("HKLM", "HKCU") or first.upper() != "SOFTWARE":
                raise ValueError(f"registry key {key!r} has no 32-bit view: only HKLM\\SOFTWARE and HKCU\\SOFTWARE do")
            path = f"{first}\\Wow6432Node\\{rest}".rstrip("\\")
        elif view != 64:
            raise ValueError(f"view is {view!r}: 64 or 32")
        return cls(hive, path.strip("\\"))

    def __str__(self) -> str:
        """Return ``HKLM\\SOFTWARE\\...``."""
        return f"{self.hive}\\{self.path}"

    def invoke(self, method: str, *parameters: tuple[str, Any]) -> Invoke:
        """Return the call of a StdRegProv *method* on this key."""
        return Invoke(PROVIDER, method, (("hDefKey", str(HIVES[self.hive])), ("sSubKeyName", self.path), *parameters))


def get_value(key: Key, value: str, value_type: ValueType = ValueType.REG_SZ) -> Invoke:
    """Return the operation that reads *value* as *value_type*; an empty name is the key's default value."""
    return key.invoke(_GETTERS[value_type], ("sValueName", value))


def failure(answer: Instance, what: str) -> Absent | Unknown | None:
    """Return what a return value other than 0 means, or ``None`` for success.

    Raises:
        UnexpectedAnswer: the answer has no return value.
    """
    code = integer(answer, "ReturnValue")
    if code is None:
        raise UnexpectedAnswer(f"{what}: the answer has no ReturnValue")
    if code == SUCCESS:
        return None
    if code in (VALUE_MISSING, KEY_MISSING):
        return Absent()
    if code == DENIED:
        return Unknown("access-denied", f"{what}: access denied (5)")
    if code & 0xFFFFFFFF == TYPE_MISMATCH:
        return Unknown("type-mismatch", f"{what}: the value has another type than expected (0x80041005)")
    return Unknown("fault", f"{what}: StdRegProv answered {code & 0xFFFFFFFF:#x}")


def data_of(answer: Instance, value_type: ValueType, what: str) -> Reading[RegistryData]:
    """Return the data in a ``Get...Value`` answer."""
    failed = failure(answer, what)
    if failed is not None:
        return failed
    data: str | int | bytes | tuple[str, ...] | None
    if value_type in (ValueType.REG_SZ, ValueType.REG_EXPAND_SZ):
        data = text(answer, "sValue") or ""
    elif value_type is ValueType.REG_MULTI_SZ:
        data = strings(answer, "sValue")
    elif value_type is ValueType.REG_BINARY:
        data = bytes(integers(answer, "uValue"))
    else:
        data = integer(answer, "uValue")
        if data is None:
            return Unknown("malformed", f"{what}: success without a value")
    return Known(RegistryData(value_type, data))


def values_of(answer: Instance, what: str) -> Reading[dict[str, int]]:
    """Return an ``EnumValues`` answer as ``{name: type number}``; a key without values is known and empty."""
    failed = failure(answer, what)
    if failed is not None:
        return failed
    return Known(dict(zip(strings(answer, "sNames"), integers(answer, "Types"), strict=True)))


def read_value(key: Key, value: str) -> Conversation[Reading[RegistryData]]:
    """Read *value* of any type: ``EnumValues`` gives the type, then the getter of that type reads the data."""
    what = f"{key} {value or '(default)'}"
    try:
        types = values_of((yield key.invoke("EnumValues")), what)
        if not isinstance(types, Known):
            return types
        number = next((t for name, t in types.value.items() if name.lower() == value.lower()), None)
        if number is None:
            return Absent()
        if number not in ValueType._value2member_map_:
            return Unknown("type-mismatch", f"{what} has registry type {number}, which WMI cannot read")
        value_type = ValueType(number)
        return data_of((yield get_value(key, value, value_type)), value_type, what)
    except (RemoteFault, AccessDenied) as error:
        return could_not_tell(error)
    except (UnexpectedAnswer, ValueError, OverflowError) as error:
        return Unknown("malformed", f"{what}: {error}")
