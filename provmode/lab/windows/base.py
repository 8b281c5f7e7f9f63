"""What all modelled PCs have in common, stored once: registry, files, services, processes."""

from __future__ import annotations

from datetime import datetime, timezone

from provmode.lab.windows.services import Service
from provmode.lab.windows.store import HIVES, Drive, DriveType, File, RegType, base_keys

_INSTALLED = datetime(2025, 3, 4, 9, 12, 7, tzinfo=timezone.utc)

KEYS = base_keys(
    {
        **{hive: {} for hive in HIVES.values()},
        "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion": {
            "ProductName": (RegType.SZ, "Windows 10 Enterprise"),
            "SystemRoot": (RegType.SZ, "C:\\Windows"),
            "InstallDate": (RegType.DWORD, 1741079527),
            "DigitalProductId": (RegType.BINARY, bytes(range(16))),
        },
        "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion": {
            "ProgramFilesDir": (RegType.SZ, "C:\\Program Files"),
            "DevicePath": (RegType.EXPAND_SZ, "%SystemRoot%\\inf"),
        },
        "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\RunOnce": {},
        "HKLM\\SOFTWARE\\Wow6432Node\\Microsoft\\Windows\\CurrentVersion": {
            "ProgramFilesDir": (RegType.SZ, "C:\\Program Files (x86)"),
        },
        "HKLM\\SYSTEM\\Setup": {
            "SystemSetupInProgress": (RegType.DWORD, 0),
            "OOBEInProgress": (RegType.DWORD, 0),
            "SetupType": (RegType.DWORD, 0),
            "SetupPhase": (RegType.DWORD, 0),
            "CmdLine": (RegType.SZ, ""),
        },
        "HKLM\\SYSTEM\\CurrentControlSet\\Services\\Netlogon\\Parameters": {
            "DynamicSiteName": (RegType.SZ, "Default-First-Site-Name"),
        },
        "HKLM\\SYSTEM\\CurrentControlSet\\Services\\LanmanServer\\Parameters": {
            "NullSessionPipes": (RegType.MULTI_SZ, ("netlogon", "samr")),
        },
        "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment": {
            "windir": (RegType.EXPAND_SZ, "%SystemRoot%"),
        },
    }
)

_SERVICES = (
    Service("BITS", "Background Intelligent Transfer Service", "Stopped", "Manual"),
    Service("CryptSvc", "Cryptographic Services", account="NT Authority\\NetworkService"),
    Service("Dhcp", "DHCP Client", account="NT Authority\\LocalService"),
    Service("Dnscache", "DNS Client", account="NT AUTHORITY\\NetworkService"),
    Service("EventLog", "Windows Event Log", account="NT AUTHORITY\\LocalService"),
    Service("LanmanServer", "Server"),
    Service("LanmanWorkstation", "Workstation", account="NT AUTHORITY\\NetworkService"),
    Service("RpcSs", "Remote Procedure Call (RPC)", account="NT AUTHORITY\\NetworkService"),
    Service("Schedule", "Task Scheduler", depends_on=("RpcSs",)),
    Service("Spooler", "Print Spooler", depends_on=("RpcSs",), path_name="C:\\Windows\\System32\\spoolsv.exe"),
    Service(
        "TermService",
        "Remote Desktop Services",
        start_mode="Manual",
        account="NT Authority\\NetworkService",
        class_name="Win32_TerminalService",
    ),
    Service("W32Time", "Windows Time", start_mode="Manual", account="NT AUTHORITY\\LocalService"),
    Service("Winmgmt", "Windows Management Instrumentation", depends_on=("RpcSs",)),
    Service("WinRM", "Windows Remote Management (WS-Management)", account="NT AUTHORITY\\NetworkService"),
    Service("wuauserv", "Windows Update", "Stopped", "Manual"),
)
SERVICES = {service.name.lower(): service for service in _SERVICES}

PROCESSES = (
    *("System", "Registry", "smss.exe", "csrss.exe", "wininit.exe", "services.exe", "lsass.exe", "winlogon.exe"),
    *("svchost.exe",) * 24,
    *("dwm.exe", "spoolsv.exe", "MsMpEng.exe", "WmiPrvSE.exe", "explorer.exe", "sihost.exe", "taskhostw.exe"),
    *("RuntimeBroker.exe", "SearchIndexer.exe", "conhost.exe", "fontdrvhost.exe"),
)

_SYSTEM_PROFILE = "C:\\Windows\\System32\\config\\systemprofile"
_HOSTS = b"# Copyright (c) 1993-2009 Microsoft Corp.\r\n#\r\n127.0.0.1 localhost\r\n"
FILES = {
    file.path.lower(): file
    for file in (
        File("C:\\Windows\\System32\\drivers\\etc\\hosts", _HOSTS, _INSTALLED, _INSTALLED),
        File(
            "C:\\Windows\\win.ini", b"; for 16-bit app support\r\n[fonts]\r\n[extensions]\r\n", _INSTALLED, _INSTALLED
        ),
        File(
            f"{_SYSTEM_PROFILE}\\AppData\\Local\\Microsoft\\Windows\\History\\desktop.ini", b"", _INSTALLED, _INSTALLED
        ),
        File("C:\\Windows\\explorer.exe", b"MZ\x90\x00", _INSTALLED, _INSTALLED),
        File("C:\\Windows\\System32\\config\\systemprofile\\ntuser.dat", b"regf", _INSTALLED, _INSTALLED),
    )
}

CHANNELS = (
    *("Application", "Security", "Setup", "System"),
    "Microsoft-Windows-Provisioning-Diagnostics-Provider/Admin",
)
DRIVES = (Drive("C:", DriveType.LOCAL, "NTFS", 256_060_514_304, "Windows"),)
