"""Inventories that are no program: names, files (``@csv/FILE``, ``@list/FILE``), and the hosts that a plan keeps."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provmode.connector.sources.connectors import OF_FILES
from provmode.connector.sources.found import FoundHost
from provmode.connector.sources.reading import STANDARD_INPUT, is_file
from provmode.errors import UsageError
from provmode.fleet.ownership import refuse_foreign
from provmode.fleet.plan_file import key_from, read


def file_of(name: str) -> str | None:
    """Return the path that a name such as ``@csv/FILE`` has; ``None`` if it is another name."""
    kind, _, argument = name.removeprefix("@").partition("/")
    return argument if name.startswith("@") and kind in OF_FILES else None


def split_names(inventory: str) -> list[str]:
    """Return the names of an inventory, split at commas; not at those in the path of a file that is there."""
    left, names = inventory.split(","), []
    while left:
        length = 1
        if file_of(left[0]) is not None:
            longer = (count for count in range(len(left), 1, -1) if _is_file(",".join(left[:count])))
            length = next(longer, 1)
        names.append(",".join(left[:length]))
        left = left[length:]
    return names


def _is_file(name: str) -> bool:
    file = file_of(name)
    return file not in (None, STANDARD_INPUT) and is_file(Path(os.path.expanduser(str(file))))


@dataclass(frozen=True)
class KeptHosts:
    """Hosts that a plan keeps, because the list that it was made from can be gone."""

    name: str
    hosts: tuple[FoundHost, ...]
    path: Path | None = None

    def read(self) -> dict[str, Any]:
        """Return the hosts with their data, and their groups."""
        groups: dict[str, Any] = {"all": ([(host.full_name, dict(host.data)) for host in self.hosts], {})}
        for host in self.hosts:
            for group in host.groups:
                groups.setdefault(group, ([], {}))[0].append(host.full_name)
        return groups


def kept_in(path: Path) -> KeptHosts:
    """Return the hosts that a plan keeps.

    Raises:
        UsageError: others can change it, or it keeps no hosts.
        PlanRefused: it is not a whole plan.
    """
    try:
        refuse_foreign(path, "says how the password is used")
    except OSError as error:
        raise UsageError(f"cannot read the plan {path}: {error.strerror}") from None
    plan, key = read(path, None), key_from(None)
    signature = plan.document.get("signature")
    if key is not None and isinstance(signature, dict) and signature.get("algorithm") == key.algorithm:
        plan = read(path, key)  # whoever can write the file could as well leave the signature out
    if plan.made_from is None:
        raise UsageError(
            f"the plan {path} keeps no hosts: it was made from {plan.inventory}", next_step=f"give {plan.inventory}"
        )
    return KeptHosts(f"@plan/{path}", plan.made_from.hosts)
