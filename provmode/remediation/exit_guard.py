"""The exit guard: a run-once entry that takes a PC out of provisioning mode at the next logon, if an upgrade died.

Source of the idea: field reports of in-place upgrades that died with the client in the mode. ``RunOnce`` of ``HKLM`` is
run when an administrator logs on, and takes command lines of up to 260 characters (Microsoft, "Run and RunOnce Registry
Keys"). It calls the client's own method, which does no harm if the client has left the mode already.
"""

from __future__ import annotations

from provmode.windows.registry import RegistryData, ValueType

GUARD_KEY = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\RunOnce"
GUARD_VALUE = "!provmode exit guard"
"""The ``!`` has Windows delete the entry after the command has run, not before."""
GUARD_COMMAND = (
    "powershell.exe -NoProfile -Command Invoke-CimMethod -Namespace root/ccm -ClassName SMS_Client "
    "-MethodName SetClientProvisioningMode -Arguments @{bEnable=$false}"
)


def guard_data() -> RegistryData:
    """Return the entry's data."""
    return RegistryData(ValueType.REG_SZ, GUARD_COMMAND)
