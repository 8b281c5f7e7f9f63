"""The Windows classes an admin queries: operating system, computer, services, processes, files, scheduled tasks.

Properties and return codes: Microsoft, the pages of the classes in "Win32 provider" and "CIMWin32".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta, timezone
from typing import Any

from provmode.lab.machine import DNS_DOMAIN
from provmode.lab.windows.schema import CimClass, Method, Properties
from provmode.lab.windows.services import Service
from provmode.lab.windows.state import PcState
from provmode.lab.windows.store import DriveType, File


def _operating_system(pc: PcState) -> Iterable[Properties]:
    """Return the operating system; as recorded, it was installed at a whole second and its clock has milliseconds."""
    zone = timezone(timedelta(minutes=pc.utc_offset_minutes))
    now = pc.now()
    yield {
        "BootDevice": "\\Device\\HarddiskVolume1",
        "BuildNumber": pc.os_version.rpartition(".")[2],
        "Caption": pc.caption,
        "CSName": pc.netbios_name,
        "CSDVersion": None,
        "CurrentTimeZone": pc.utc_offset_minutes,
        "Debug": False,
        "InstallDate": (pc.booted - timedelta(days=400)).replace(microsecond=0).astimezone(zone),
        "LastBootUpTime": pc.booted.astimezone(zone),
        "LocalDateTime": now.replace(microsecond=now.microsecond // 1000 * 1000).astimezone(zone),
        "Locale": "0407" if pc.german else "0409",
        "Manufacturer": "Microsoft Corporation",
        "MUILanguages": ["de-DE"] if pc.german else ["en-US"],
        "Name": f"{pc.caption}|C:\\Windows|\\Device\\Harddisk0\\Partition3",
        "NumberOfProcesses": sum(1 for _ in pc.processes),
        "OSArchitecture": "64-Bit" if pc.german else "64-bit",
        "OSLanguage": 1031 if pc.german else 1033,
        "ProductType": 1,
        "SystemDirectory": "C:\\Windows\\system32",
        "SystemDrive": "C:",
        "Version": pc.os_version,
        "WindowsDirectory": "C:\\Windows",
    }


def _computer_system(pc: PcState) -> Iterable[Properties]:
    yield {
        "DNSHostName": pc.computer_name,
        "Domain": DNS_DOMAIN,
        "Manufacturer": "Contoso",
        "Model": pc.model,
        "Name": pc.netbios_name,
        "PartOfDomain": True,
        "TotalPhysicalMemory": 17179869184,
        "UserName": None,
    }


def _service(service: Service) -> Properties:
    told = service.shown == "whole"
    return {
        "AcceptPause": False,
        "AcceptStop": service.state == "Running",
        "Caption": service.display_name,
        "CreationClassName": service.class_name,
        "Description": service.display_name,
        "DisplayName": service.display_name,
        "ExitCode": 0,
        "InstallDate": None,
        "Name": service.name,
        "PathName": service.path_name,
        "ProcessId": 1200 if service.state == "Running" else 0,
        "Started": service.state == "Running",
        "StartMode": service.start_mode if told else "Unknown",
        "StartName": service.account,
        "State": service.state if told else "Unknown",
        "Status": "OK" if told else "Unknown",
    }


def _services(pc: PcState) -> Iterable[Properties]:
    return (_service(service) for service in pc.services if service.shown != "hidden")


def _service_by_name(pc: PcState, keys: Mapping[str, str]) -> Properties | None:
    names = [value for key, value in keys.items() if key.lower() == "name"]
    service = pc.services.get(names[0]) if len(names) == 1 else None
    return _service(service) if service is not None and service.shown != "hidden" else None


def _service_method(call: str) -> Method:
    def run(pc: PcState, instance: Properties, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"ReturnValue": getattr(pc.services, call)(instance["Name"])}

    return Method({}, run)


def _change_start_mode(pc: PcState, instance: Properties, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"ReturnValue": pc.services.change_start_mode(instance["Name"], arguments["StartMode"] or "")}


def _change(pc: PcState, instance: Properties, arguments: dict[str, Any]) -> dict[str, Any]:
    mode, names = arguments["StartMode"], arguments["ServiceDependencies"]
    code = pc.services.change_start_mode(instance["Name"], mode) if mode is not None else 0
    if code == 0 and names is not None:
        code = pc.services.change_dependencies(instance["Name"], tuple(name or "" for name in names))
    return {"ReturnValue": code}


def _interrogate(pc: PcState, instance: Properties, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"ReturnValue": 0 if instance["State"] == "Running" else 6}


_SERVICE_METHODS = {
    "StartService": _service_method("start"),
    "StopService": _service_method("stop"),
    "PauseService": _service_method("pause"),
    "ResumeService": _service_method("pause"),
    "InterrogateService": Method({}, _interrogate),
    "ChangeStartMode": Method({"StartMode": "string"}, _change_start_mode),
    "Change": Method(
        {
            **dict.fromkeys(("DisplayName", "PathName", "StartMode", "StartName", "StartPassword"), "string?"),
            **{"ServiceType": "uint8?", "ErrorControl": "uint8?", "DesktopInteract": "boolean?"},
            **{"LoadOrderGroup": "string?", "LoadOrderGroupDependencies": "string[]?"},
            "ServiceDependencies": "string[]?",
        },
        _change,
    ),
}
_SERVICE_TYPES = {
    **dict.fromkeys(
        ("Caption", "CreationClassName", "Description", "DisplayName", "Name", "PathName", "StartMode", "StartName"),
        "string",
    ),
    **{"State": "string", "Status": "string", "AcceptPause": "boolean", "AcceptStop": "boolean", "Started": "boolean"},
    **{"ExitCode": "uint32", "ProcessId": "uint32", "InstallDate": "datetime"},
}


def _processes(pc: PcState) -> Iterable[Properties]:
    for process in pc.processes:
        yield {
            "Caption": process.name,
            "CommandLine": process.command_line,
            "CreationDate": process.created,
            "Handle": str(process.pid),
            "Name": process.name,
            "ParentProcessId": process.parent,
            "ProcessId": process.pid,
            "SessionId": 0,
        }


def _create_process(pc: PcState, _: Properties, arguments: dict[str, Any]) -> dict[str, Any]:
    line = (arguments["CommandLine"] or "").strip()
    if not line:
        return {"ProcessId": None, "ReturnValue": 21}
    quoted = re.match(r'"([^"]*)"?', line)
    program = (quoted.group(1) if quoted else line.split()[0]).rpartition("\\")[2].strip()
    if not program:
        return {"ProcessId": None, "ReturnValue": 9}  # path not found
    process = pc.processes.start(program, line, pc.now())
    pc.processes.started.append(line)
    pc.record(f"process {program} started")
    return {"ProcessId": process.pid, "ReturnValue": 0}


def _terminate(pc: PcState, instance: Properties, arguments: dict[str, Any]) -> dict[str, Any]:
    pc.processes.end(instance["ProcessId"])
    pc.record(f"process {instance['Name']} ended")
    return {"ReturnValue": 0}


def _file(file: File) -> Properties:
    folder, _, name = file.path.rpartition("\\")
    stem, _, extension = name.rpartition(".")
    return {
        "Caption": file.path,
        "CreationDate": file.created,
        "Drive": file.path[:2].lower(),
        "Extension": extension.lower() if stem else "",
        "FileName": (stem or name).lower(),
        "FileSize": len(file.data),
        "FileType": f"{extension.upper()} File",
        "LastAccessed": file.modified,
        "LastModified": file.modified,
        "Name": file.path.lower(),
        "Path": folder[2:].lower() + "\\",
        "Readable": True,
        "Writeable": True,
    }


def _files(pc: PcState) -> Iterable[Properties]:
    return map(_file, pc.files.all())


def _file_by_name(pc: PcState, keys: Mapping[str, str]) -> Properties | None:
    names = [value for key, value in keys.items() if key.lower() == "name"]
    file = pc.files.get(names[0].replace("\\\\", "\\")) if len(names) == 1 else None
    return _file(file) if file is not None else None


_DRIVE_TEXTS = {
    DriveType.REMOVABLE: ("Removable Disk", "Wechseldatenträger"),
    DriveType.LOCAL: ("Local Fixed Disk", "Lokale Festplatte"),
    DriveType.COMPACT_DISC: ("CD-ROM Disc", "CD"),
}


def _disks(pc: PcState) -> Iterable[Properties]:
    """Yield the drives; without a medium all that is known of one is its letter and its type."""
    for drive in pc.drives:
        yield {
            "Caption": drive.letter,
            "Description": _DRIVE_TEXTS[drive.type][pc.german],
            "DeviceID": drive.letter,
            "DriveType": int(drive.type),
            "FileSystem": drive.file_system,
            "FreeSpace": None if drive.size is None else drive.size // 3,
            "MediaType": 12 if drive.type is DriveType.LOCAL else 11 if drive.type is DriveType.COMPACT_DISC else None,
            "Name": drive.letter,
            "Size": drive.size,
            "VolumeName": None if drive.file_system is None else drive.label,
        }


_DISK_TYPES = {
    **dict.fromkeys(("Caption", "Description", "DeviceID", "Name"), "string"),
    **{"FreeSpace": "uint64", "Size": "uint64"},
}
"""Those of CIM_LogicalDisk; what the drive holds and of which type it is, only Win32_LogicalDisk has."""

_TASKS = "\\Microsoft\\Configuration Manager\\"


def _tasks(pc: PcState) -> Iterable[Properties]:
    yield {
        "Author": "Microsoft Corporation",
        "Description": None,
        "State": 3,
        "TaskName": "ScheduledDefrag",
        "TaskPath": "\\Microsoft\\Windows\\Defrag\\",
    }
    for name in ("Cellular", "Logon", "Retry", "RunOnReboot") if pc.packages is not None else ():
        yield {
            "Author": "Microsoft Corporation",
            "Description": None,
            "State": 3,
            "TaskName": name,
            "TaskPath": "\\Microsoft\\Windows\\Management\\Provisioning\\",
        }
    if pc.client is not None:
        yield {
            "Author": "Microsoft Corporation",
            "Description": None,
            "State": 3 if pc.client.health_task_enabled else 1,
            "TaskName": "Configuration Manager Health Evaluation",
            "TaskPath": _TASKS,
        }


_STRINGS = "string"
CLASSES = (
    CimClass(
        "root/cimv2",
        "Win32_OperatingSystem",
        {
            **dict.fromkeys(("Caption", "CSName", "Version", "BuildNumber", "WindowsDirectory", "Locale"), _STRINGS),
            **dict.fromkeys(("SystemDirectory", "SystemDrive", "OSArchitecture", "Name", "Manufacturer"), _STRINGS),
            **dict.fromkeys(("BootDevice", "CSDVersion"), _STRINGS),
            **dict.fromkeys(("LocalDateTime", "LastBootUpTime", "InstallDate"), "datetime"),
            **{"CurrentTimeZone": "sint16", "ProductType": "uint32", "OSLanguage": "uint32", "Debug": "boolean"},
            **{"NumberOfProcesses": "uint32", "MUILanguages": "string[]"},
        },
        _operating_system,
    ),
    CimClass(
        "root/cimv2",
        "Win32_ComputerSystem",
        {
            **dict.fromkeys(("DNSHostName", "Domain", "Manufacturer", "Model", "Name", "UserName"), _STRINGS),
            **{"PartOfDomain": "boolean", "TotalPhysicalMemory": "uint64"},
        },
        _computer_system,
        keys=("Name",),
    ),
    CimClass(
        "root/cimv2",
        "Win32_Service",
        _SERVICE_TYPES,
        _services,
        keys=("Name",),
        methods=_SERVICE_METHODS,
        class_of=lambda properties: properties["CreationClassName"],
        lookup=_service_by_name,
    ),
    CimClass(
        "root/cimv2",
        "Win32_Process",
        {
            **dict.fromkeys(("Caption", "CommandLine", "Handle", "Name"), _STRINGS),
            **dict.fromkeys(("ParentProcessId", "ProcessId", "SessionId"), "uint32"),
            "CreationDate": "datetime",
        },
        _processes,
        keys=("Handle",),
        methods={
            "Create": Method(
                {"CommandLine": "string", "CurrentDirectory": "string?", "ProcessStartupInformation": "string?"},
                _create_process,
                static=True,
            ),
            "Terminate": Method({"Reason": "uint32?"}, _terminate),
        },
    ),
    CimClass(
        "root/cimv2",
        "CIM_DataFile",
        {
            **dict.fromkeys(("Caption", "Drive", "Extension", "FileName", "FileType", "Name", "Path"), _STRINGS),
            **dict.fromkeys(("CreationDate", "LastAccessed", "LastModified"), "datetime"),
            **{"FileSize": "uint64", "Readable": "boolean", "Writeable": "boolean"},
        },
        _files,
        keys=("Name",),
        lookup=_file_by_name,
    ),
    CimClass(
        "root/cimv2",
        "CIM_LogicalDisk",
        _DISK_TYPES,
        _disks,
        keys=("DeviceID",),
        class_of=lambda properties: "Win32_LogicalDisk",
    ),
    CimClass(
        "root/cimv2",
        "Win32_LogicalDisk",
        {
            **_DISK_TYPES,
            **{"DriveType": "uint32", "MediaType": "uint32", "FileSystem": "string", "VolumeName": "string"},
        },
        _disks,
        keys=("DeviceID",),
    ),
    CimClass(
        "root/microsoft/windows/taskscheduler",
        "MSFT_ScheduledTask",
        {**dict.fromkeys(("Author", "Description", "TaskName", "TaskPath"), _STRINGS), "State": "uint8"},
        _tasks,
        keys=("TaskName", "TaskPath"),
    ),
)
