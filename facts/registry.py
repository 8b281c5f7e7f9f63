"""Facts about the registry, read by class ``StdRegProv``: no process is started on the PC."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from facts.base import ReadingFact
from provmode.connector.commands import ConversationCommand
from provmode.reading import Known, Reading
from provmode.windows.conversation import Conversation, ask
from provmode.windows.registry import (
    Key,
    RegistryData,
    ValueType,
    failure,
    get_value,
    read_value,
    values_of,
)
from provmode.wsman import Instance, strings


class Value(ReadingFact[RegistryData]):
    """
    Return one registry value, with its type.

    + key: such as ``HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec``
    + value: the value's name; empty is the key's default value
    + view: 64 or 32 (``Wow6432Node``)

    .. code:: python

        Known(RegistryData(type=ValueType.REG_SZ, data="false"))    # {"known": {"type": "REG_SZ", "data": "false"}}
        Absent()                                                    # no such key, or no such value in it
        Unknown("access-denied", "...")                             # could not tell

    REG_BINARY is hex in JSON. Source: Microsoft, "StdRegProv class".
    """

    @override
    def command(self, key: str, value: str = "", view: int = 64) -> ConversationCommand:
        try:
            parsed = Key.parse(key, _view(view))
        except ValueError as error:
            return self.refused(error)
        return self.converse(lambda: read_value(parsed, value), get_value(parsed, value))

    @override
    def value(self, document: Any) -> RegistryData:
        value_type, data = ValueType[document["type"]], document["data"]
        if value_type is ValueType.REG_BINARY:
            data = bytes.fromhex(data)
        return RegistryData(value_type, tuple(data) if isinstance(data, list) else data)


class Values(ReadingFact[dict[str, str]]):
    """
    Return the names and types of a key's values.

    + key: such as ``HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec``
    + view: 64 or 32 (``Wow6432Node``)

    .. code:: python

        Known({"ProvisioningMode": "REG_SZ", "ProvisioningEnabledTime": "REG_QWORD"})    # {} if it has none
        Absent()                                                                         # no such key
        Unknown("access-denied", "...")
    """

    @override
    def command(self, key: str, view: int = 64) -> ConversationCommand:
        try:
            parsed = Key.parse(key, _view(view))
        except ValueError as error:
            return self.refused(error)
        return self.converse(lambda: _values(parsed), parsed.invoke("EnumValues"))


class Keys(ReadingFact[tuple[str, ...]]):
    """
    Return the names of a key's subkeys.

    + key: such as ``HKLM\\SOFTWARE\\Microsoft\\CCM``
    + view: 64 or 32 (``Wow6432Node``)

    .. code:: python

        Known(("CcmEval", "CcmExec", "Logging"))    # () if it has none
        Absent()                                    # no such key
        Unknown("access-denied", "...")
    """

    @override
    def command(self, key: str, view: int = 64) -> ConversationCommand:
        try:
            parsed = Key.parse(key, _view(view))
        except ValueError as error:
            return self.refused(error)
        return self.converse(lambda: _keys(parsed), parsed.invoke("EnumKey"))

    @override
    def value(self, document: Any) -> tuple[str, ...]:
        return tuple(document)


def _view(view: int) -> Any:
    return view  # Key.parse refuses every other number than 64 and 32


def _values(key: Key) -> Conversation[Any]:
    types = yield from ask(key.invoke("EnumValues"), lambda answer: values_of(answer, str(key)), str(key))
    if not isinstance(types, Known):
        return types
    return Known({name: _type_name(number) for name, number in types.value.items()})


def _type_name(number: int) -> str:
    return ValueType(number).name if number in ValueType._value2member_map_ else f"type {number}"


def _keys(key: Key) -> Conversation[Any]:
    def read(answer: Instance) -> Reading[tuple[str, ...]]:
        reading: Reading[tuple[str, ...]] | None = failure(answer, str(key))
        return Known(strings(answer, "sNames")) if reading is None else reading

    return (yield from ask(key.invoke("EnumKey"), read, str(key)))
