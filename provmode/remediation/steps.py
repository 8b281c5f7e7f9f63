"""Steps: one change of one thing on one PC, as a value.

A step says what it expects to find (`before`) and what is there when it is done (`after`), so that it can be shown,
written into a plan, carried out only on what was seen, read back, journalled and undone. As JSON it is an object with
``kind`` and its fields.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Union

from provmode.ccm.client import SMS_CLIENT
from provmode.ccm.codes import MACHINE_POLICY_EVALUATION, MACHINE_POLICY_RETRIEVAL
from provmode.windows.registry import Key, RegistryData, ValueType
from provmode.wsman import Invoke, Operation, Resource
from provmode.wsman.operations import Value

StartMode = Literal["Auto", "Manual", "Disabled"]
START_MODES: dict[str, str] = {"Auto": "Automatic", "Manual": "Manual", "Disabled": "Disabled"}
"""What ``Win32_Service.StartMode`` says, and what ``ChangeStartMode`` takes. Microsoft, "Win32_Service class"."""


@dataclass(frozen=True)
class Property:
    """One line of a diff."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        """Return ``name before -> after``."""
        return f"{self.name} {self.before} -> {self.after}"


class _Step:
    """What every step can say."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return ``kind`` and the fields."""
        document: dict[str, Any] = {"kind": self.kind}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            document[field.name] = value.to_json() if hasattr(value, "to_json") else _plain(value)
        return document


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class SetRegistryValue(_Step):
    """A registry value; ``None`` is a value that is not there."""

    kind: ClassVar[str] = "registry-value"
    key: str
    value: str
    before: RegistryData | None
    after: RegistryData | None

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: ``KEY\\value``."""
        return (Property(f"{self.key}\\{self.value}", data_text(self.before), data_text(self.after)),)

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
        """The step back."""
        return SetRegistryValue(self.key, self.value, self.after, self.before)


@dataclass(frozen=True)
class SetRegistryKey(_Step):
    """A registry key without values: created with its parents, or deleted while it has no subkeys."""

    kind: ClassVar[str] = "registry-key"
    key: str
    present: bool

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the key."""
        return (Property(self.key, "absent" if self.present else "present", "present" if self.present else "absent"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The call of StdRegProv."""
        return (Key.parse(self.key).invoke("CreateKey" if self.present else "DeleteKey"),)

    @property
    def undo(self) -> SetRegistryKey | None:
        """Delete what was created; a deleted key comes back empty."""
        return SetRegistryKey(self.key, not self.present)


@dataclass(frozen=True)
class SetStartMode(_Step):
    """How a service starts."""

    kind: ClassVar[str] = "start-mode"
    service: str
    before: str
    after: str

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: ``service start mode``."""
        return (Property(f"{self.service} start mode", self.before, self.after),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """``Win32_Service.ChangeStartMode``."""
        mode = START_MODES.get(self.after, self.after)
        return (Invoke(service_resource(self.service), "ChangeStartMode", (("StartMode", mode),)),)

    @property
    def undo(self) -> SetStartMode | None:
        """The step back."""
        return SetStartMode(self.service, self.after, self.before)


@dataclass(frozen=True)
class SetServiceState(_Step):
    """Whether a service runs. ``Restarted`` stops and starts it."""

    kind: ClassVar[str] = "service-state"
    service: str
    before: str
    after: Literal["Running", "Stopped", "Restarted"]

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: ``service state``."""
        return (Property(f"{self.service} state", self.before, self.after),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """``StopService`` and ``StartService``."""
        stop = Invoke(service_resource(self.service), "StopService")
        start = Invoke(service_resource(self.service), "StartService")
        return {"Running": (start,), "Stopped": (stop,), "Restarted": (stop, start)}[self.after]

    @property
    def undo(self) -> SetServiceState | None:
        """Nothing: what a service did in the meantime is done; its start mode decides what comes next."""
        return None


@dataclass(frozen=True)
class SetFile(_Step):
    """The contents of a file, by hash; ``None`` is a file that is not there. The bytes travel beside the step."""

    kind: ClassVar[str] = "file"
    path: str
    before: str | None
    """SHA-256, hexadecimal."""
    after: str | None
    diff: tuple[str, ...] = ()
    """A unified diff, where both are text."""
    backup: str = "provmode-backup"
    """What the old file is kept under: ``path.backup``."""

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the file."""
        return (Property(self.path, _hash_text(self.before), _hash_text(self.after)),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Nothing that could be pasted: the bytes go to a static script on its standard input."""
        return ()

    @property
    def undo(self) -> SetFile | None:
        """The step back; its bytes are the journal's."""
        return SetFile(self.path, self.after, self.before, _turned(self.diff))


@dataclass(frozen=True)
class DisarmTcf(_Step):
    """`MobileClient.TCF` without the entry that brings the mode back, every other byte as it was."""

    kind: ClassVar[str] = "tcf"
    path: str
    before: str
    """SHA-256 of what was seen."""
    after: str
    """SHA-256 of what will be there."""
    encoding: str
    diff: tuple[str, ...]

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the entry."""
        return (Property(f"{self.path} SMSPROVISIONINGMODE", "1", "absent"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Nothing that could be pasted: the bytes go to a static script on its standard input."""
        return ()

    @property
    def undo(self) -> SetFile | None:
        """The file as it was; its bytes are the journal's."""
        return SetFile(self.path, self.after, self.before, _turned(self.diff))


@dataclass(frozen=True)
class SetMode(_Step):
    """Provisioning mode, by the client's own method, and read back until everything agrees."""

    kind: ClassVar[str] = "mode"
    enabled: bool
    before: str
    """``true``, ``false`` or ``half-exited``."""

    @property
    def properties(self) -> tuple[Property, ...]:
        """Mode, and the task excludes that follow it."""
        return (Property("ProvisioningMode", self.before, "true" if self.enabled else "false"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The client's own method."""
        flag = "true" if self.enabled else "false"
        return (Invoke(SMS_CLIENT.resource, "SetClientProvisioningMode", (("bEnable", flag),), at_once=True),)

    @property
    def undo(self) -> SetMode | None:
        """Nothing: what the client did since (policy, installs) is done."""
        return None


@dataclass(frozen=True)
class RequestPolicy(_Step):
    """Ask for machine policy and have it evaluated, in this order."""

    kind: ClassVar[str] = "policy"

    @property
    def properties(self) -> tuple[Property, ...]:
        """What is asked for."""
        return (Property("machine policy", "as it is", "requested and evaluated"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Schedules 021 and 022."""
        return tuple(
            Invoke(SMS_CLIENT.resource, "TriggerSchedule", (("sScheduleID", schedule),))
            for schedule in (MACHINE_POLICY_RETRIEVAL, MACHINE_POLICY_EVALUATION)
        )

    @property
    def undo(self) -> None:
        """Nothing to undo: a request."""
        return


Step = Union[
    SetRegistryValue, SetRegistryKey, SetStartMode, SetServiceState, SetFile, DisarmTcf, SetMode, RequestPolicy
]

_KINDS: dict[str, type[Any]] = {
    step.kind: step
    for step in (
        *(SetRegistryValue, SetRegistryKey, SetStartMode, SetServiceState, SetFile, DisarmTcf, SetMode, RequestPolicy),
    )
}


def step_from_json(document: dict[str, Any]) -> Step:
    """Read back what ``to_json`` wrote.

    Raises:
        ValueError: it is no step.
    """
    fields = dict(document)
    step = _KINDS.get(str(fields.pop("kind", None)))
    if step is None:
        raise ValueError(f"no kind of step: {document.get('kind')!r}")
    try:
        if step is SetRegistryValue:
            fields |= {name: _data_from_json(fields[name]) for name in ("before", "after")}
        if "diff" in fields:
            fields["diff"] = tuple(fields["diff"])
        made: Step = step(**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"a step of kind {document['kind']!r}: {type(error).__name__}: {error}") from None
    return made


def service_resource(name: str) -> Resource:
    """Return the address of one service."""
    return Resource.cim("root/cimv2", "Win32_Service", {"Name": name})


def data_text(data: RegistryData | None) -> str:
    """Return registry data as a diff shows it: type and data, or ``absent``."""
    if data is None:
        return "absent"
    shown = data.data.hex() if isinstance(data.data, bytes) else data.data
    return f"{data.type.name} {list(shown) if isinstance(shown, tuple) else shown!r}"


def _data_from_json(document: Any) -> RegistryData | None:
    if document is None:
        return None
    value_type, data = ValueType[document["type"]], document["data"]
    if value_type is ValueType.REG_BINARY:
        data = bytes.fromhex(data)
    return RegistryData(value_type, tuple(data) if isinstance(data, list) else data)


def _setter(data: RegistryData) -> tuple[str, str, Value]:
    """Return StdRegProv's method, its parameter's name, and the data as it takes it."""
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


def _hash_text(digest: str | None) -> str:
    return "absent" if digest is None else f"SHA-256 {digest[:12]}"


def _turned(diff: tuple[str, ...]) -> tuple[str, ...]:
    """Return a unified diff for the way back; the first two lines are its head."""
    return (*diff[:2], *(_turned_line(line) for line in diff[2:]))


def _turned_line(line: str) -> str:
    if line.startswith("@@"):
        return re.sub(r"^@@ -(\S+) \+(\S+) @@", r"@@ -\2 +\1 @@", line)
    return {"+": "-", "-": "+"}.get(line[:1], line[:1]) + line[1:]
