"""Class ``StdRegProv``: every method that reads or writes. Microsoft, "StdRegProv class".

Return values: 0 success, 1 the value is missing, 2 the key is missing, 5 access denied, 6 no such hive, 0x80041005 the
value has another type. An empty list is returned as null. A Set method without a number writes 3, the default in the
class's own definition.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from provmode.lab.windows.schema import INVALID_PARAMETER, TYPE_MISMATCH, CimClass, Method
from provmode.lab.windows.state import PcState
from provmode.lab.windows.store import HIVES, Data, RegType, RegValue

OK, VALUE_MISSING, KEY_MISSING, DENIED, BAD_HIVE = 0, 1, 2, 5, 6
_KEY = {"hDefKey": "uint32?", "sSubKeyName": "string"}
_DEFAULT_HIVE = 0x80000002
_UNSET = 3

Arguments = dict[str, Any]


def _hive(arguments: Arguments) -> int:
    given = arguments["hDefKey"]
    return _DEFAULT_HIVE if given is None else int(given)


def _get(kinds: tuple[RegType, ...], out: str, convert: Callable[[PcState, RegValue], Any]) -> Method:
    def call(pc: PcState, _: Any, arguments: Arguments) -> Arguments:
        hive, path = _hive(arguments), arguments["sSubKeyName"] or ""
        if hive not in HIVES:
            return {out: None, "ReturnValue": BAD_HIVE}
        if not pc.registry.key_exists(hive, path):
            return {out: None, "ReturnValue": KEY_MISSING}
        value = pc.registry.get(hive, path, arguments["sValueName"] or "")
        if value is None:
            return {out: None, "ReturnValue": VALUE_MISSING}
        if value.type not in kinds:
            return {out: None, "ReturnValue": TYPE_MISMATCH}
        return {out: convert(pc, value), "ReturnValue": OK}

    return Method({**_KEY, "sValueName": "string?"}, call, static=True)


def _set(kind: RegType, parameter: str, parameter_type: str, convert: Callable[[Any], Data]) -> Method:
    def call(pc: PcState, _: Any, arguments: Arguments) -> Arguments:
        hive, path = _hive(arguments), arguments["sSubKeyName"] or ""
        if hive not in HIVES:
            return {"ReturnValue": BAD_HIVE}
        if not pc.registry.key_exists(hive, path):
            return {"ReturnValue": KEY_MISSING}
        try:
            data = convert(arguments[parameter])
        except (TypeError, ValueError):
            return {"ReturnValue": INVALID_PARAMETER}
        pc.registry.set(hive, path, arguments["sValueName"] or "", kind, data)
        return {"ReturnValue": OK}

    return Method({**_KEY, "sValueName": "string?", parameter: parameter_type}, call, static=True)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _expand(pc: PcState, value: RegValue) -> str:
    def variable(match: re.Match[str]) -> str:
        return pc.environment.get(match.group(1).lower(), match.group())

    return re.sub(r"%([^%]+)%", variable, str(value.data))


def _enum_key(pc: PcState, _: Any, arguments: Arguments) -> Arguments:
    if _hive(arguments) not in HIVES:
        return {"sNames": None, "ReturnValue": BAD_HIVE}
    names = pc.registry.subkeys(_hive(arguments), arguments["sSubKeyName"] or "")
    return {"sNames": names or None, "ReturnValue": KEY_MISSING if names is None else OK}


def _enum_values(pc: PcState, _: Any, arguments: Arguments) -> Arguments:
    if _hive(arguments) not in HIVES:
        return {"sNames": None, "Types": None, "ReturnValue": BAD_HIVE}
    values = pc.registry.values(_hive(arguments), arguments["sSubKeyName"] or "")
    if values is None:
        return {"sNames": None, "Types": None, "ReturnValue": KEY_MISSING}
    names, types = [value.name for value in values], [int(value.type) for value in values]
    return {"sNames": names or None, "Types": types or None, "ReturnValue": OK}


def _create_key(pc: PcState, _: Any, arguments: Arguments) -> Arguments:
    if _hive(arguments) not in HIVES:
        return {"ReturnValue": BAD_HIVE}
    pc.registry.create_key(_hive(arguments), arguments["sSubKeyName"] or "")
    return {"ReturnValue": OK}


def _delete_key(pc: PcState, _: Any, arguments: Arguments) -> Arguments:
    hive, path = _hive(arguments), arguments["sSubKeyName"] or ""
    if hive not in HIVES:
        return {"ReturnValue": BAD_HIVE}
    if not pc.registry.key_exists(hive, path):
        return {"ReturnValue": KEY_MISSING}
    return {"ReturnValue": OK if pc.registry.delete_key(hive, path) else DENIED}


def _delete_value(pc: PcState, _: Any, arguments: Arguments) -> Arguments:
    hive = _hive(arguments)
    if hive not in HIVES:
        return {"ReturnValue": BAD_HIVE}
    deleted = pc.registry.delete_value(hive, arguments["sSubKeyName"] or "", arguments["sValueName"] or "")
    return {"ReturnValue": OK if deleted else KEY_MISSING}


def _check_access(pc: PcState, _: Any, arguments: Arguments) -> Arguments:
    exists = _hive(arguments) in HIVES and pc.registry.key_exists(_hive(arguments), arguments["sSubKeyName"] or "")
    return {"bGranted": exists, "ReturnValue": OK if exists else KEY_MISSING}


_VALUE = {**_KEY, "sValueName": "string?"}

METHODS: dict[str, Method] = {
    "GetStringValue": _get((RegType.SZ,), "sValue", lambda pc, value: value.data),
    "GetExpandedStringValue": _get((RegType.EXPAND_SZ, RegType.SZ), "sValue", _expand),
    "GetMultiStringValue": _get((RegType.MULTI_SZ,), "sValue", lambda pc, value: list(value.data) or None),  # type: ignore[arg-type]
    "GetDWORDValue": _get((RegType.DWORD,), "uValue", lambda pc, value: value.data),
    "GetQWORDValue": _get((RegType.QWORD,), "uValue", lambda pc, value: value.data),
    "GetBinaryValue": _get((RegType.BINARY,), "uValue", lambda pc, value: list(value.data) or None),  # type: ignore[arg-type]
    "SetStringValue": _set(RegType.SZ, "sValue", "string?", _text),
    "SetExpandedStringValue": _set(RegType.EXPAND_SZ, "sValue", "string?", _text),
    "SetMultiStringValue": _set(RegType.MULTI_SZ, "sValue", "string[]?", lambda value: tuple(value or ())),
    "SetDWORDValue": _set(RegType.DWORD, "uValue", "uint32?", lambda value: _UNSET if value is None else value),
    "SetQWORDValue": _set(RegType.QWORD, "uValue", "uint64?", lambda value: _UNSET if value is None else value),
    "SetBinaryValue": _set(RegType.BINARY, "uValue", "uint8[]?", lambda value: bytes(value or ())),
    "EnumKey": Method(_KEY, _enum_key, static=True),
    "EnumValues": Method(_KEY, _enum_values, static=True),
    "CreateKey": Method(_KEY, _create_key, static=True),
    "DeleteKey": Method(_KEY, _delete_key, static=True),
    "DeleteValue": Method(_VALUE, _delete_value, static=True),
    "CheckAccess": Method({**_KEY, "uRequired": "uint32?"}, _check_access, static=True),
}

CLASSES = tuple(
    CimClass(namespace, "StdRegProv", {}, lambda pc: (), methods=METHODS)
    for namespace in ("root/cimv2", "root/default")
)
