"""Names of ConfigMgr's and WMI's numbers. A number that is not listed stays a number."""

from __future__ import annotations

SERVICE_RETURN: dict[int, str] = {
    # Microsoft, "Win32_Service class", return values of its methods
    **{0: "success", 1: "not supported", 2: "access denied", 3: "dependent services running"},
    **{4: "invalid control", 5: "cannot accept control", 6: "not active", 7: "timeout", 8: "unknown failure"},
    **{9: "path not found", 10: "already running", 11: "database locked", 12: "dependency deleted"},
    **{13: "dependency failure", 14: "disabled", 15: "logon failed", 16: "marked for deletion", 17: "no thread"},
    **{18: "circular dependency", 19: "duplicate name", 20: "invalid name", 21: "invalid parameter"},
    **{22: "invalid account", 23: "exists", 24: "already paused"},
}
"""Return values of the methods of ``Win32_Service``."""

TASK_STATE: dict[int, str] = {0: "Unknown", 1: "Disabled", 2: "Queued", 3: "Ready", 4: "Running"}
"""``State`` of ``MSFT_ScheduledTask``. Microsoft, "TASK_STATE enumeration"."""

MACHINE_POLICY_RETRIEVAL = "{00000000-0000-0000-0000-000000000021}"
"""Schedule of "request machine assignments". Microsoft, "TriggerSchedule method in class SMS_Client"."""
MACHINE_POLICY_EVALUATION = "{00000000-0000-0000-0000-000000000022}"
"""Schedule of "evaluate machine policies"; the same source."""


def name_of(code: int, names: dict[int, str]) -> str:
    """Return the name of *code* in *names*, or ``unknown (code)``."""
    return names.get(code, f"unknown ({code})")
