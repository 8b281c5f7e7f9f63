"""The values as an admin's script reads them: one Windows program per value. Used by the thread pool and Ansible.

The client's version is left out (it is only in CIM), and only one of the four paths of MobileClient.TCF is read. Both
favour the other contenders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks.job import CCMEXEC, SERVICE, TCF, Read

COMMANDS: Mapping[str, str] = {
    "mode": f'reg query "HKLM\\{CCMEXEC}" /v ProvisioningMode',
    "excludes": f'reg query "HKLM\\{CCMEXEC}" /v SystemTaskExcludes',
    "state": f"sc query {SERVICE}",
    "start": f"sc qc {SERVICE}",
    "tcf": f'type "{TCF}"',
}
"""Name of each value, and the command line that prints it."""


def read(outputs: Mapping[str, str]) -> Read | None:
    """Return the values from *outputs* (by name of the value); ``None`` if one that every PC has is missing."""
    if "START_TYPE" not in outputs.get("start", ""):
        return None
    return Read(
        mode=_value(outputs.get("mode", ""), "ProvisioningMode"),
        excludes=_value(outputs.get("excludes", ""), "SystemTaskExcludes"),
        service_running=re.search(r"STATE\s*: 4  RUNNING", outputs.get("state", "")) is not None,
    )


def _value(output: str, name: str) -> str | None:
    match = re.search(rf"^\s+{name}\s+REG_SZ[ \t]*(.*?)\s*$", output, re.MULTILINE)
    return match[1] if match is not None else None
