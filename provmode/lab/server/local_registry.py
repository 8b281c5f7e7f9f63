"""Read and write a modelled PC's registry as a user at the PC does, without CIM. For tests."""

from __future__ import annotations

from typing import Any

from provmode.lab.windows.pc import PC
from provmode.lab.windows.store import HIVES, Data, RegType

_HIVES = {name: number for number, name in HIVES.items()}


def read_registry(pc: PC, key: str, value: str) -> Any:
    r"""Return a value's data (bytes as hex, a multi-string as list); ``None``: no such value. *key* is ``HKLM\…``.

    Raises:
        ValueError: no such hive.
    """
    hive, path = _split_key(key)
    found = pc.registry.get(hive, path, value)
    if found is None:
        return None
    if isinstance(found.data, bytes):
        return found.data.hex()
    return list(found.data) if isinstance(found.data, tuple) else found.data


def write_registry(pc: PC, key: str, value: str, data: Any, kind: str) -> None:
    """Write a value of the type *kind* (``SZ``, ``DWORD``, ...), or delete it if *data* is ``None``.

    Raises:
        ValueError: no such hive or type.
    """
    hive, path = _split_key(key)
    with pc.changes_by("hand"):
        if data is None:
            pc.registry.delete_value(hive, path, value)
        else:
            pc.registry.set(hive, path, value, _registry_type(kind), _registry_data(data))


def _split_key(key: str) -> tuple[int, str]:
    """Return hive and path of a key."""
    hive, _, path = key.partition("\\")
    if hive.upper() not in _HIVES:
        raise ValueError(f"no such hive: {hive}")
    return _HIVES[hive.upper()], path


def _registry_type(name: str) -> RegType:
    """Return the registry type called *name*, with or without ``REG_``."""
    try:
        return RegType[name.upper().removeprefix("REG_")]
    except KeyError:
        raise ValueError(f"no such registry type: {name}") from None


def _registry_data(data: Any) -> Data:
    """Return data from JSON as the registry keeps it."""
    return tuple(data) if isinstance(data, list) else data
