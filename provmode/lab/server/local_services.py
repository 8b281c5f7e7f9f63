"""Change a modelled PC's services without CIM: what an account is shown of them, and the like. For tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from provmode.lab.windows.pc import PC
from provmode.lab.windows.services import Shown

FIELDS = ("state", "start_mode", "depends_on", "shown")


def write_service(pc: PC, name: str, changes: Mapping[str, Any]) -> None:
    """Change fields of a service (`FIELDS`), or remove the service if *changes* are empty.

    Raises:
        ValueError: no such service or field, or no such value of ``shown``.
    """
    service = pc.services.get(name)
    if service is None:
        raise ValueError(f"no such service: {name}")
    if not changes:
        pc.services.remove(name)
        return
    for field, value in changes.items():
        if field not in FIELDS:
            raise ValueError(f"no such field: {field}; there are {', '.join(FIELDS)}")
        if field == "shown" and value not in get_args(Shown):
            raise ValueError(f"shown is {value!r}, not one of {', '.join(get_args(Shown))}")
    fields: dict[str, Any] = {
        field: tuple(value) if isinstance(value, list) else value for field, value in changes.items()
    }
    pc.services.put(replace(service, **fields))
