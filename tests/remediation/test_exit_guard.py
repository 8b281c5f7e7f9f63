"""The entry that takes a PC out of the mode at the next logon."""

from __future__ import annotations

from provmode.remediation.exit_guard import GUARD_COMMAND, GUARD_KEY, GUARD_VALUE, guard_data
from provmode.windows.registry import RegistryData, ValueType


def test_the_guard_calls_the_clients_own_method_once_at_the_next_logon_of_an_administrator() -> None:
    assert GUARD_KEY == "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\RunOnce"
    assert GUARD_VALUE == "!provmode exit guard", "Windows deletes an entry with ! after its command, not before"
    assert guard_data() == RegistryData(
        ValueType.REG_SZ,
        "powershell.exe -NoProfile -Command Invoke-CimMethod -Namespace root/ccm -ClassName SMS_Client "
        "-MethodName SetClientProvisioningMode -Arguments @{bEnable=$false}",
    )
    assert len(GUARD_COMMAND) <= 260, "RunOnce takes no longer command line"
