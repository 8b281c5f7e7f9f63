"""The registry, written by class ``StdRegProv`` and read back."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import operation

from facts.registry import Keys, Value
from operations.step import Commands, carry_out, isolated, known_or_absent
from provmode.reading import Absent, known
from provmode.remediation.steps import SetRegistryKey, SetRegistryValue
from provmode.windows.registry import Key, RegistryData, ValueType
from provmode.wsman.xml import escape

Data = str | int | bytes | list[str] | tuple[str, ...]


@operation()
@isolated
def value(
    key: str, value: str, data: Data = "", type: str = "REG_SZ", present: bool = True, view: int = 64
) -> Commands:
    """
    Make a registry value have this type and data, or not be there.

    + key: such as ``HKLM\\SOFTWARE\\Example``; created with its parents if it does not exist
    + value: the value's name; empty is the key's default value
    + data: text, a number, bytes or a list of texts, as the type needs it
    + type: ``REG_SZ``, ``REG_EXPAND_SZ`` (without variables: WMI returns them only expanded), ``REG_MULTI_SZ``,
      ``REG_DWORD``, ``REG_QWORD`` or ``REG_BINARY``
    + present: False deletes the value
    + view: 64 or 32 (``Wow6432Node``)

    Changes only this value. Undone by setting the previous value, which ``--diff`` shows.

    .. code:: python

        registry.value(
            name="Cap the time in provisioning mode",
            key="HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec", value="ProvisioningMaxMinutes",
            data=1440, type="REG_DWORD",
        )
    """
    path = str(Key.parse(key, 32 if view == 32 else 64))
    reading = known_or_absent(host.get_fact(Value, key=path, value=value), f"{path}\\{value}")
    wanted = registry_data(data, type) if present else None
    current = known(reading, None)
    if current == wanted:
        host.noop(f"{path}\\{value} is as it should be")
        return
    yield from carry_out(SetRegistryValue(path, value, current, wanted))


@operation()
@isolated
def key(key: str, present: bool = True, view: int = 64) -> Commands:
    """
    Make a registry key be there, or not be there.

    + key: such as ``HKLM\\SOFTWARE\\Example``
    + present: False deletes the key with its values; a key that has subkeys is refused
    + view: 64 or 32 (``Wow6432Node``)

    Changes only this key (and creates its parents). A created key is undone by deleting it. The values of a deleted key
    are lost: save them first.
    """
    path = str(Key.parse(key, 32 if view == 32 else 64))
    reading = known_or_absent(host.get_fact(Keys, key=path), path)
    exists = not isinstance(reading, Absent)
    if exists == present:
        host.noop(f"{path} is {'there' if present else 'absent'}")
        return
    if exists and known(reading, ()):
        raise ValueError(f"{path} has subkeys ({', '.join(known(reading, ())[:5])}): delete them first")
    yield from carry_out(SetRegistryKey(path, present))


def registry_data(data: object, type: str) -> RegistryData:
    """Return *data* as a registry type and value.

    Raises:
        ValueError: the type is unknown, the data does not fit it, or XML cannot contain the text.
    """
    if type not in ValueType.__members__:
        raise ValueError(f"type {type!r} is not one of {', '.join(ValueType.__members__)}")
    value_type = ValueType[type]
    if value_type in (ValueType.REG_DWORD, ValueType.REG_QWORD):
        bits = 32 if value_type is ValueType.REG_DWORD else 64
        if isinstance(data, bool) or not isinstance(data, int) or not 0 <= data < 2**bits:
            raise ValueError(f"{type} takes a number from 0 to {2**bits - 1}, not {data!r}")
        return RegistryData(value_type, data)
    if value_type is ValueType.REG_BINARY:
        if not isinstance(data, bytes):
            raise ValueError(f"{type} takes bytes, not {data!r}")
        return RegistryData(value_type, data)
    if value_type is ValueType.REG_MULTI_SZ:
        if not isinstance(data, (list, tuple)) or not all(isinstance(item, str) and item for item in data):
            raise ValueError(f"{type} takes a list of texts that are not empty, not {data!r}")
        escape("".join(data))  # raises if XML cannot contain the text, before anything is sent
        return RegistryData(value_type, tuple(data))
    if not isinstance(data, str):
        raise ValueError(  # noqa: TRY004 - one kind of error for bad arguments
            f"{type} takes text, not {data!r}"
        )
    if value_type is ValueType.REG_EXPAND_SZ and "%" in data:
        raise ValueError(f"{type} {data!r}: WMI returns variables only expanded, so the value could not be verified")
    escape(data)
    return RegistryData(value_type, data)
