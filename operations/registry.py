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

    + key: such as ``HKLM\\SOFTWARE\\Example``; created with its parents where it is not there
    + value: the value's name; empty is the key's default value
    + data: text, a number, bytes or a list of texts, as the type needs it
    + type: ``REG_SZ``, ``REG_EXPAND_SZ`` (without variables: WMI reads them expanded only), ``REG_MULTI_SZ``,
      ``REG_DWORD``, ``REG_QWORD`` or ``REG_BINARY``
    + present: False deletes the value
    + view: 64 or 32 (``Wow6432Node``)

    Changes this one value. Undone by setting what was there before, which ``--diff`` shows.

    .. code:: python

        registry.value(
            name="Cap the time in provisioning mode",
            key="HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec", value="ProvisioningMaxMinutes",
            data=1440, type="REG_DWORD",
        )
    """
    place = str(Key.parse(key, 32 if view == 32 else 64))
    reading = known_or_absent(host.get_fact(Value, key=place, value=value), f"{place}\\{value}")
    wanted = registry_data(data, type) if present else None
    there = known(reading, None)
    if there == wanted:
        host.noop(f"{place}\\{value} is as it should be")
        return
    yield from carry_out(SetRegistryValue(place, value, there, wanted))


@operation()
@isolated
def key(key: str, present: bool = True, view: int = 64) -> Commands:
    """
    Make a registry key be there, or not be there.

    + key: such as ``HKLM\\SOFTWARE\\Example``
    + present: False deletes it with its values; one that has subkeys is refused
    + view: 64 or 32 (``Wow6432Node``)

    Changes this one key (and creates its parents). A created key is undone by deleting it; a deleted one had values
    that are gone: keep them first.
    """
    place = str(Key.parse(key, 32 if view == 32 else 64))
    reading = known_or_absent(host.get_fact(Keys, key=place), place)
    there = not isinstance(reading, Absent)
    if there == present:
        host.noop(f"{place} is {'there' if present else 'absent'}")
        return
    if there and known(reading, ()):
        raise ValueError(f"{place} has subkeys ({', '.join(known(reading, ())[:5])}): delete them first")
    yield from carry_out(SetRegistryKey(place, present))


def registry_data(data: object, type: str) -> RegistryData:
    """Return *data* as the registry keeps it.

    Raises:
        ValueError: an unknown type, data that does not fit it, or text that XML cannot carry.
    """
    if type not in ValueType.__members__:
        raise ValueError(f"type {type!r} is none of {', '.join(ValueType.__members__)}")
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
        escape("".join(data))  # raises where it could not be sent, before anything is
        return RegistryData(value_type, tuple(data))
    if not isinstance(data, str):
        raise ValueError(  # noqa: TRY004 - one kind of error for bad arguments
            f"{type} takes text, not {data!r}"
        )
    if value_type is ValueType.REG_EXPAND_SZ and "%" in data:
        raise ValueError(f"{type} {data!r}: WMI reads variables expanded only, so it could not be proved what is there")
    escape(data)
    return RegistryData(value_type, data)
