"""Change a modelled PC's files, and how its provisioning goes, as somebody at the PC does. For tests."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from provmode.lab.packages.engine import Engine, Faults
from provmode.lab.windows.pc import PC

FIELDS = ("add", "remove", "categories", "command_seconds")


def write_file(pc: PC, path: str, content: str | None) -> None:
    """Write a file whose *content* is in Base64, or delete it if there is none.

    Raises:
        ValueError: it is no full path, or no Base64.
    """
    if path[1:3] != ":\\":
        raise ValueError(f"{path} is no full path")
    with pc.changes_by("hand"):
        if content is None:
            pc.files.delete(path)
            return
        try:
            data = base64.b64decode(content, validate=True)
        except binascii.Error as error:
            raise ValueError(f"the content is no Base64: {error}") from None
        pc.files.write(path, data, pc.now())


def write_provisioning(pc: PC, changes: Mapping[str, Any]) -> None:
    """Change how adding, removing and applying packages goes on a PC (`FIELDS`); without changes all goes well.

    Raises:
        ValueError: no such field, or the PC has no provisioning.
    """
    if not isinstance(pc.packages, Engine):
        raise ValueError(f"{pc.computer_name} has no provisioning")  # noqa: TRY004 - not a matter of types
    for field in changes:
        if field not in FIELDS:
            raise ValueError(f"no such field: {field}; there are {', '.join(FIELDS)}")
    engine = pc.packages
    categories = {name: (_code(code), str(node)) for name, (code, node) in dict(changes.get("categories", {})).items()}
    engine.faults = Faults(_code(changes.get("add", 0)), _code(changes.get("remove", 0)), categories)
    engine.command_time = timedelta(seconds=float(changes.get("command_seconds", Engine.COMMAND_SECONDS)))


def _code(given: Any) -> int:
    """Return an HRESULT, which may be written as ``0x800700b7``."""
    return int(given, 16) if isinstance(given, str) else int(given)
