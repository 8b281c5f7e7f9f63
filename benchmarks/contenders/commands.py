"""The values as an admin's script reads them: a program of Windows each. Used by the thread pool and by Ansible.

The client's version is left out (it is in CIM only), and of the four places of MobileClient.TCF one is looked at:
both to the advantage of the others.
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
"""Name of each value, and the command line that shows it."""


def read(shown: Mapping[str, str]) -> Read | None:
    """Return what the outputs say, by name of the value; ``None``: something that every PC has was not shown."""
    if "START_TYPE" not in shown.get("start", ""):
        return None
    return Read(
        mode=_value(shown.get("mode", ""), "ProvisioningMode"),
        excludes=_value(shown.get("excludes", ""), "SystemTaskExcludes"),
        service_running=re.search(r"STATE\s*: 4  RUNNING", shown.get("state", "")) is not None,
    )


def _value(shown: str, name: str) -> str | None:
    found = re.search(rf"^\s+{name}\s+REG_SZ[ \t]*(.*?)\s*$", shown, re.MULTILINE)
    return found[1] if found is not None else None
