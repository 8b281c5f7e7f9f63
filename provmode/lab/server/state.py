"""The files of a running lab: the state file that `inventories/lab.py` reads, and a pyinfra inventory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from provmode.lab.server.hosting import USER, LabHost

STATE_FILE = Path(".lab") / "fleet.json"
"""Where ``provmode lab`` writes its state, under the current directory."""


class Listening(Protocol):
    """A lab whose PCs listen, be it in this process or in several."""

    hosts: list[LabHost]
    password_file: Path
    ca_file: Path
    certificate_file: Path


def describe(lab: Listening) -> dict[str, Any]:
    """Return what a client needs to use *lab*, without the password itself."""
    return {
        "pid": os.getpid(),
        "user": USER,
        "password_file": str(lab.password_file),
        "ca_file": str(lab.ca_file),
        "certificate_file": str(lab.certificate_file),
        "hosts": [host.to_json() for host in lab.hosts],
    }


def host_data(lab: Listening, host: LabHost) -> dict[str, Any]:
    """Return the inventory data of one PC."""
    return {
        "winrm_address": host.address,
        "winrm_port": host.port,
        "winrm_scheme": host.scheme,
        "winrm_transport": "ntlm",
        "winrm_user": USER,
        "winrm_password_file": str(lab.password_file),
        "winrm_ca": str(lab.ca_file),
    }


def inventory(lab: Listening) -> str:
    """Return a pyinfra inventory of *lab*: the group ``lab``, a line for each PC."""
    lines = [
        '"""The lab fleet that ran when this file was written. The lab removes this file when it ends."""',
        "",
        "lab = [",
    ]
    lines += [f"    {(f'@winrm/{host.name}', host_data(lab, host))!r}," for host in lab.hosts]
    return "\n".join([*lines, "]", ""])


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write *document* to *path* atomically: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".new")
    partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
