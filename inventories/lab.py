"""The lab fleet of a running ``provmode lab``: ``pyinfra inventories/lab.py fact facts.client.ClientState``.

The lab writes its state to ``.lab/fleet.json`` in the directory it was started in; ``PROVMODE_LAB`` names another
file. The group is ``lab``.
"""

import json
import os
from pathlib import Path
from typing import Any


def _state() -> dict[str, Any]:
    """Read the lab's state; exit with one clear line if there is no lab."""
    path = Path(os.environ.get("PROVMODE_LAB") or Path(".lab") / "fleet.json")
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"no lab is running: {path} is missing; start one with: provmode lab") from None
    except ValueError:
        raise SystemExit(f"{path} is not the state of a lab; start one with: provmode lab") from None
    return state


def _data(state: dict[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    """Return the inventory data of one PC."""
    return {
        "winrm_address": host["address"],
        "winrm_port": host["port"],
        "winrm_scheme": host["scheme"],
        "winrm_transport": "ntlm",
        "winrm_user": state["user"],
        "winrm_password_file": state["password_file"],
        "winrm_ca": state["ca_file"],
    }


_lab = _state()
lab = [(f"@winrm/{host['name']}", _data(_lab, host)) for host in _lab["hosts"]]
