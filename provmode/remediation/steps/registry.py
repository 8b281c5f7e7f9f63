"""Steps in the registry, by class ``StdRegProv``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from provmode.errors import AnswerLost, HostError
from provmode.reading import Known, Reading, Unknown, known
from provmode.remediation.steps.base import (
    ALREADY,
    CHANGED,
    Announce,
    Look,
    Property,
    Step,
    Work,
    no_look,
    not_proved,
    register,
    stale,
)
from provmode.windows.conversation import Conversation, ask
from provmode.windows.registry import Key, RegistryData, ValueType, failure, read_value
from provmode.wsman import Instance, Operation
from provmode.wsman.operations import Value


@register
@dataclass(frozen=True)
class SetRegistryValue(Step):
    """A registry value; ``None`` means that there is no such value."""

    kind: ClassVar[str] = "registry-value"
    key: str
    value: str
    before: RegistryData | None
    after: RegistryData | None

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: ``KEY\\value``."""
        return (Property(self._place, data_text(self.before), data_text(self.after)),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The calls of StdRegProv."""
        key = Key.parse(self.key)
        if self.after is None:
            return (key.invoke("DeleteValue", ("sValueName", self.value)),)
        method, parameter, data = _setter(self.after)
        create = () if self.before is not None else (key.invoke("CreateKey"),)
        return (*create, key.invoke(method, ("sValueName", self.value), (parameter, data)))

    @property
    def undo(self) -> SetRegistryValue | None:
        """The opposite change."""
        return SetRegistryValue(self.key, self.value, self.after, self.before)

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Write the value if it is still what was seen, and read it back."""
        key = Key.parse(self.key)
        current = yield from _read_data(key, self.value)
        if current == self.after:
            return ALREADY
        if current != self.before:
            raise stale(self._place, data_text(self.before), data_text(current))
        announce(None)
        yield from _send(self.operations, self._place)
        current = yield from _read_data(key, self.value)
        if current != self.after:
            raise not_proved(self._place, data_text(self.after), data_text(current))
        return CHANGED

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> SetRegistryValue:
        """Read back the fields, including the data."""
        return cls(**{**fields, **{name: _data_from_json(fields[name]) for name in ("before", "after")}})

    @property
    def _place(self) -> str:
        return f"{self.key}\\{self.value}"


@register
@dataclass(frozen=True)
class SetRegistryKey(Step):
    """A registry key without values: created with its parents, or deleted while it has no subkeys."""

    kind: ClassVar[str] = "registry-key"
    key: str
    present: bool

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the key."""
        return (Property(self.key, *self._words),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The call of StdRegProv."""
        return (Key.parse(self.key).invoke("CreateKey" if self.present else "DeleteKey"),)

    @property
    def undo(self) -> SetRegistryKey | None:
        """Delete a created key; create a deleted key again, empty."""
        return SetRegistryKey(self.key, not self.present)

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Create or delete the key, and read back whether it exists."""
        if (yield from self._exists()) == self.present:
            return ALREADY
        announce(None)
        yield from _send(self.operations, self.key)
        if (yield from self._exists()) != self.present:
            before, after = self._words
            raise not_proved(self.key, after, before)
        return CHANGED

    def _exists(self) -> Conversation[bool]:
        reading: Reading[None] = yield from ask(
            Key.parse(self.key).invoke("EnumKey"), lambda answer: failure(answer, self.key) or Known(None), self.key
        )
        if isinstance(reading, Unknown):
            raise HostError(f"{self.key} cannot be read: {reading.detail}", next_step="look at the account's rights")
        return isinstance(reading, Known)

    @property
    def _words(self) -> tuple[str, str]:
        return ("absent", "present") if self.present else ("present", "absent")


def data_text(data: RegistryData | None) -> str:
    """Return registry data as a diff shows it: type and data, or ``absent``."""
    if data is None:
        return "absent"
    text = data.data.hex() if isinstance(data.data, bytes) else data.data
    return f"{data.type.name} {list(text) if isinstance(text, tuple) else text!r}"


def _read_data(key: Key, value: str) -> Conversation[RegistryData | None]:
    reading = yield from read_value(key, value)
    if isinstance(reading, Unknown):
        raise HostError(f"{key}\\{value} cannot be read: {reading.detail}", next_step="look at the account's rights")
    return known(reading, None)


def _send(operations: tuple[Operation, ...], what: str) -> Conversation[None]:
    """Send calls of StdRegProv. A lost answer is not a failure: the caller reads back."""
    for operation in operations:
        try:
            answer: Instance = yield operation
        except AnswerLost:
            continue
        failed = failure(answer, what)
        if failed is not None:
            reason = failed.detail if isinstance(failed, Unknown) else f"{what}: there is no such key or value"
            raise HostError(f"{reason}: it was not changed", next_step="look at the account's rights on that key")


def _data_from_json(document: Any) -> RegistryData | None:
    if document is None:
        return None
    value_type, data = ValueType[document["type"]], document["data"]
    if value_type is ValueType.REG_BINARY:
        data = bytes.fromhex(data)
    return RegistryData(value_type, tuple(data) if isinstance(data, list) else data)


def _setter(data: RegistryData) -> tuple[str, str, Value]:
    """Return StdRegProv's method, the name of its parameter, and the data in the form that it takes."""
    number = data.type in (ValueType.REG_DWORD, ValueType.REG_QWORD, ValueType.REG_BINARY)
    method = {
        ValueType.REG_SZ: "SetStringValue",
        ValueType.REG_EXPAND_SZ: "SetExpandedStringValue",
        ValueType.REG_MULTI_SZ: "SetMultiStringValue",
        ValueType.REG_DWORD: "SetDWORDValue",
        ValueType.REG_QWORD: "SetQWORDValue",
        ValueType.REG_BINARY: "SetBinaryValue",
    }[data.type]
    value: Value = tuple(str(byte) for byte in data.data) if isinstance(data.data, bytes) else data.data
    return method, "uValue" if number else "sValue", str(value) if isinstance(value, int) else value
