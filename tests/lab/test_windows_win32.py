"""The Windows classes an admin queries: operating system, services, processes, files; properties and return codes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from provmode.lab.machine import CimError, Instance
from provmode.lab.windows import configmgr
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC
from provmode.lab.windows.store import HKLM, RegType

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
NOT_FOUND, INVALID_PARAMETER, NOT_CAPABLE = 0x80041002, 0x80041008, 0x80041024
INVALID_CLASS, INVALID_METHOD, INVALID_NAMESPACE = 0x80041010, 0x8004102E, 0x8004100E
NO_KEYS = 0x803380FA


def a_pc(**settings: Any) -> PC:
    pc = PC("PC-1", Clock(START, lambda: 0.0), **settings)
    pc.start_recording()
    return pc


@pytest.fixture
def pc() -> PC:
    return a_pc()


def get(pc: PC, class_name: str, **keys: str) -> dict[str, Any]:
    return dict(pc.get("root/cimv2", class_name, keys).properties)


def service(pc: PC, name: str, method: str, **parameters: Any) -> int:
    return int(pc.invoke("root/cimv2", "Win32_Service", {"Name": name}, method, parameters)["ReturnValue"])


def state(pc: PC, name: str) -> tuple[str, str]:
    found = get(pc, "Win32_Service", Name=name)
    return found["State"], found["StartMode"]


# -- the operating system ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [-480, 0, 60, 345])
def test_times_of_the_operating_system_carry_the_offset_of_the_pc(minutes: int) -> None:
    pc = a_pc(utc_offset_minutes=minutes, up=timedelta(hours=5))
    found = get(pc, "Win32_OperatingSystem")
    assert found["LocalDateTime"] == START
    assert found["LocalDateTime"].utcoffset() == timedelta(minutes=minutes)
    assert found["LastBootUpTime"] == START - timedelta(hours=5)
    assert found["LastBootUpTime"].utcoffset() == timedelta(minutes=minutes)
    assert found["CurrentTimeZone"] == minutes
    assert found["InstallDate"] < found["LastBootUpTime"]


def test_windows_was_installed_at_a_whole_second_and_its_clock_has_milliseconds() -> None:
    pc = PC("PC-1", Clock(START + timedelta(seconds=1.234567), lambda: 0.0))
    found = get(pc, "Win32_OperatingSystem")
    assert found["InstallDate"].microsecond == 0
    assert found["LocalDateTime"].microsecond == 234000
    assert found["LastBootUpTime"].microsecond == 234567


def test_the_clock_of_the_operating_system_moves(pc: PC) -> None:
    pc.advance(90)
    assert get(pc, "Win32_OperatingSystem")["LocalDateTime"] == START + timedelta(seconds=90)
    assert get(pc, "Win32_OperatingSystem")["LastBootUpTime"] == START - timedelta(days=3), (
        "the boot time does not move"
    )


def test_a_clock_also_runs_by_itself() -> None:
    seconds = [100.0]
    pc = PC("PC-1", Clock(START, lambda: seconds[0]))
    seconds[0] = 160.0
    assert pc.now() == START + timedelta(seconds=60)
    pc.advance(0.5)
    assert pc.now() == START + timedelta(seconds=60.5)


def test_the_build_number_is_part_of_the_version() -> None:
    found = get(a_pc(os_version="10.0.26100", caption="Microsoft Windows 11 Pro"), "Win32_OperatingSystem")
    assert (found["Version"], found["BuildNumber"]) == ("10.0.26100", "26100")
    assert found["Caption"] == "Microsoft Windows 11 Pro"
    assert found["Name"].startswith("Microsoft Windows 11 Pro|")


def test_a_german_pc_reports_its_language() -> None:
    found = get(a_pc(german=True), "Win32_OperatingSystem")
    assert (found["OSLanguage"], found["Locale"], found["MUILanguages"]) == (1031, "0407", ["de-DE"])


def test_the_computer_has_the_same_name_everywhere(pc: PC) -> None:
    assert get(pc, "Win32_ComputerSystem", Name="pc-1")["DNSHostName"] == "PC-1"
    assert get(pc, "Win32_OperatingSystem")["CSName"] == "PC-1"


# -- services ---------------------------------------------------------------------------------------------------


def test_a_service_is_started_and_stopped_once(pc: PC) -> None:
    assert state(pc, "BITS") == ("Stopped", "Manual")
    assert service(pc, "bits", "StartService") == 0
    assert state(pc, "BITS") == ("Running", "Manual")
    assert service(pc, "BITS", "StartService") == 10
    assert service(pc, "BITS", "StopService") == 0
    assert service(pc, "BITS", "StopService") == 5
    assert [item.what for item in pc.mutations] == ["service BITS started", "service BITS stopped"]
    assert {item.road for item in pc.mutations} == {"cim"}


def test_a_disabled_service_does_not_start(pc: PC) -> None:
    assert service(pc, "BITS", "ChangeStartMode", StartMode="Disabled") == 0
    assert service(pc, "BITS", "StartService") == 14
    assert state(pc, "BITS") == ("Stopped", "Disabled")


def test_disabling_a_service_does_not_stop_it(pc: PC) -> None:
    assert service(pc, "Spooler", "ChangeStartMode", StartMode="Disabled") == 0
    assert state(pc, "Spooler") == ("Running", "Disabled")


@pytest.mark.parametrize(
    ("mode", "expected"), [("Automatic", "Auto"), ("automatic", "Auto"), ("Manual", "Manual"), ("Disabled", "Disabled")]
)
@pytest.mark.parametrize("method", ["ChangeStartMode", "Change"])
def test_the_start_mode_is_set(pc: PC, method: str, mode: str, expected: str) -> None:
    assert service(pc, "BITS", method, StartMode=mode) == 0
    assert state(pc, "BITS") == ("Stopped", expected)


@pytest.mark.parametrize("mode", ["Sometimes", "", "Boot"])
def test_an_unknown_start_mode_is_an_invalid_parameter(pc: PC, mode: str) -> None:
    assert service(pc, "BITS", "ChangeStartMode", StartMode=mode) == 21
    assert pc.mutations == []


def test_a_change_without_values_changes_nothing(pc: PC) -> None:
    assert service(pc, "BITS", "Change") == 0
    assert pc.mutations == []


def test_a_service_that_others_depend_on_does_not_stop(pc: PC) -> None:
    assert service(pc, "RpcSs", "StopService") == 3
    assert state(pc, "RpcSs") == ("Running", "Auto")
    for name in ("Schedule", "Spooler", "Winmgmt"):
        assert service(pc, name, "StopService") == 0
    assert service(pc, "RpcSs", "StopService") == 0


def test_starting_a_service_starts_its_dependencies(pc: PC) -> None:
    for name in ("Schedule", "Spooler", "Winmgmt", "RpcSs"):
        service(pc, name, "StopService")
    assert service(pc, "Spooler", "StartService") == 0
    assert state(pc, "RpcSs") == ("Running", "Auto")
    assert state(pc, "Schedule") == ("Stopped", "Auto")


def test_a_service_with_a_disabled_dependency_does_not_start(pc: PC) -> None:
    for name in ("Schedule", "Spooler", "Winmgmt", "RpcSs"):
        service(pc, name, "StopService")
    service(pc, "RpcSs", "ChangeStartMode", StartMode="Disabled")
    assert service(pc, "Spooler", "StartService") == 13
    assert state(pc, "Spooler") == ("Stopped", "Auto")


def test_none_of_the_services_pauses(pc: PC) -> None:
    assert service(pc, "Spooler", "PauseService") == 5
    assert service(pc, "BITS", "PauseService") == 6
    assert get(pc, "Win32_Service", Name="Spooler")["AcceptPause"] is False


def test_interrogating_shows_whether_a_service_runs(pc: PC) -> None:
    assert service(pc, "Spooler", "InterrogateService") == 0
    assert service(pc, "BITS", "InterrogateService") == 6


def test_the_properties_of_a_service_follow_its_state(pc: PC) -> None:
    running, stopped = get(pc, "Win32_Service", Name="Spooler"), get(pc, "Win32_Service", Name="BITS")
    assert (running["Started"], running["AcceptStop"], running["ProcessId"] > 0) == (True, True, True)
    assert (stopped["Started"], stopped["AcceptStop"], stopped["ProcessId"]) == (False, False, 0)


def test_an_unknown_service_is_not_found(pc: PC) -> None:
    assert fault(pc, "get", "Win32_Service", {"Name": "Nobody"}) == NOT_FOUND
    with pytest.raises(CimError) as raised:
        service(pc, "Nobody", "StartService")
    assert raised.value.status == NOT_FOUND


def fault(pc: PC, operation: str, class_name: str, *arguments: Any, namespace: str = "root/cimv2") -> int:
    with pytest.raises(CimError) as raised:
        getattr(pc, operation)(namespace, class_name, *arguments)
    return raised.value.status


def test_faults_are_those_of_wmi(pc: PC) -> None:
    assert fault(pc, "get", "Win32_Service", {}) == NO_KEYS
    assert fault(pc, "get", "Win32_Service", {"Colour": "red"}) == NOT_FOUND
    assert fault(pc, "get", "Win32_Toaster", {}) == INVALID_CLASS
    assert fault(pc, "enumerate", "Win32_Toaster") == INVALID_CLASS
    assert fault(pc, "enumerate", "Win32_Service", namespace="root/nowhere") == INVALID_NAMESPACE
    assert fault(pc, "put", "Win32_Service", {"Name": "BITS"}, {"State": "Running"}) == NOT_CAPABLE
    assert fault(pc, "put", "Win32_Service", {"Name": "Nobody"}, {}) == NOT_FOUND
    assert fault(pc, "invoke", "Win32_Service", {"Name": "BITS"}, "Explode", {}) == INVALID_METHOD
    assert fault(pc, "invoke", "Win32_Service", {"Name": "BITS"}, "ChangeStartMode", {}) == INVALID_PARAMETER
    assert fault(pc, "invoke", "Win32_Service", {}, "StartService", {}) == NO_KEYS
    assert pc.mutations == []


def test_every_listed_instance_is_found_by_its_keys(pc: PC) -> None:
    configmgr.install(pc, "5.00.9128.1007")
    for class_name in ("Win32_Service", "Win32_Process", "CIM_DataFile", "Win32_ComputerSystem"):
        listed = pc.enumerate("root/cimv2", class_name)
        assert listed, class_name
        for item in listed:
            keys = {name: str(item.properties[name]) for name in item.keys}
            assert pc.get("root/cimv2", class_name, keys) == item


# -- processes --------------------------------------------------------------------------------------------------


def test_a_process_is_created_found_and_terminated(pc: PC) -> None:
    line = '"C:\\Program Files\\Tool\\tool.exe" /quiet'
    answer = pc.invoke("root/cimv2", "Win32_Process", {}, "Create", {"CommandLine": line})
    assert answer["ReturnValue"] == 0
    found = get(pc, "Win32_Process", Handle=str(answer["ProcessId"]))
    assert (found["CommandLine"], found["CreationDate"]) == (line, START)
    assert found["Name"] == "tool.exe"
    keys = {"Handle": found["Handle"]}
    assert pc.invoke("root/cimv2", "Win32_Process", keys, "Terminate", {})["ReturnValue"] == 0
    assert fault(pc, "get", "Win32_Process", keys) == NOT_FOUND
    assert [item.what for item in pc.mutations] == ["process tool.exe started", "process tool.exe ended"]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("notepad.exe x.txt", "notepad.exe"),
        ("C:\\Windows\\a.exe", "a.exe"),
        ('"C:\\a b\\c d.exe"', "c d.exe"),
        ('"a.exe', "a.exe"),
    ],
)
def test_the_name_of_a_process_is_that_of_its_program(pc: PC, line: str, name: str) -> None:
    number = pc.invoke("root/cimv2", "Win32_Process", {}, "Create", {"CommandLine": line})["ProcessId"]
    assert get(pc, "Win32_Process", Handle=str(number))["Name"] == name


@pytest.mark.parametrize("line", ['"', '""', "C:\\Windows\\", '" " x'])
def test_a_process_without_a_program_is_a_path_not_found(pc: PC, line: str) -> None:
    answer = pc.invoke("root/cimv2", "Win32_Process", {}, "Create", {"CommandLine": line})
    assert answer == {"ProcessId": None, "ReturnValue": 9}
    assert pc.mutations == []


@pytest.mark.parametrize("line", ["", "  ", None])
def test_an_empty_command_line_is_an_invalid_parameter(pc: PC, line: str | None) -> None:
    answer = pc.invoke("root/cimv2", "Win32_Process", {}, "Create", {"CommandLine": line})
    assert answer == {"ProcessId": None, "ReturnValue": 21}
    assert pc.mutations == []


def test_numbers_of_processes_are_unique(pc: PC) -> None:
    started = [pc.invoke("root/cimv2", "Win32_Process", {}, "Create", {"CommandLine": "a.exe"}) for _ in range(5)]
    numbers = [item.properties["ProcessId"] for item in pc.enumerate("root/cimv2", "Win32_Process")]
    assert len(set(numbers)) == len(numbers)
    assert {item["ProcessId"] for item in started} <= set(numbers)
    assert get(pc, "Win32_OperatingSystem")["NumberOfProcesses"] == len(numbers)


def test_a_process_of_windows_can_be_ended(pc: PC) -> None:
    (spooler,) = pc.query("root/cimv2", "SELECT * FROM Win32_Process WHERE Name='spoolsv.exe'")
    assert isinstance(spooler, Instance)
    handle = str(spooler.properties["Handle"])
    pc.invoke("root/cimv2", "Win32_Process", {"Handle": handle}, "Terminate", {"Reason": "0"})
    assert pc.query("root/cimv2", "SELECT * FROM Win32_Process WHERE Name='spoolsv.exe'") == []


# -- files and tasks --------------------------------------------------------------------------------------------


def test_a_file_is_found_by_its_name_and_described(pc: PC) -> None:
    pc.files.write("C:\\Data\\My Report.TXT", b"12345", START)
    found = get(pc, "CIM_DataFile", Name="c:\\\\data\\\\my report.txt")
    assert (found["Name"], found["FileSize"], found["LastModified"]) == ("c:\\data\\my report.txt", 5, START)
    assert (found["Drive"], found["Path"], found["FileName"], found["Extension"]) == (
        "c:",
        "\\data\\",
        "my report",
        "txt",
    )
    where = "Drive='c:' AND Path='\\\\data\\\\' AND Extension='txt'"
    rows = pc.query("root/cimv2", f"SELECT FileSize FROM CIM_DataFile WHERE {where}")
    assert rows == [{"FileSize": 5}]


@pytest.mark.parametrize(("name", "stem", "extension"), [("plain", "plain", ""), ("a.b.c", "a.b", "c")])
def test_the_extension_of_a_file_follows_the_last_dot(pc: PC, name: str, stem: str, extension: str) -> None:
    pc.files.write(f"C:\\Data\\{name}", b"", START)
    found = get(pc, "CIM_DataFile", Name=f"c:\\data\\{name}")
    assert (found["FileName"], found["Extension"]) == (stem, extension)


def test_a_file_that_was_deleted_is_not_found(pc: PC) -> None:
    pc.files.delete("c:\\windows\\WIN.INI")
    assert fault(pc, "get", "CIM_DataFile", {"Name": "c:\\windows\\win.ini"}) == NOT_FOUND


def test_the_health_task_exists_only_with_a_client(pc: PC) -> None:
    space, text = (
        "root/Microsoft/Windows/TaskScheduler",
        "SELECT State FROM MSFT_ScheduledTask WHERE TaskName LIKE '%Health%'",
    )
    assert pc.query(space, text) == []
    client = configmgr.install(pc, "5.00.9128.1007")
    assert pc.query(space, text) == [{"State": 3}]
    client.health_task_enabled = False
    assert pc.query(space, text) == [{"State": 1}]


def test_two_pcs_share_nothing_that_changes() -> None:
    one, other = a_pc(), a_pc()
    service(one, "BITS", "StartService")
    one.invoke("root/cimv2", "Win32_Process", {}, "Create", {"CommandLine": "a.exe"})
    one.files.write("C:\\Windows\\win.ini", b"changed", START)
    one.services.put(replace(next(iter(one.services)), display_name="mine"))
    one.registry.set(HKLM, "SYSTEM\\Setup", "SetupType", RegType.DWORD, 2)
    assert state(other, "BITS") == ("Stopped", "Manual")
    assert other.query("root/cimv2", "SELECT * FROM Win32_Process WHERE Name='a.exe'") == []
    assert other.files.read("C:\\Windows\\win.ini") != b"changed"
    assert "mine" not in {item.display_name for item in other.services}
    value = other.registry.get(HKLM, "SYSTEM\\Setup", "SetupType")
    assert value is not None
    assert value.data == 0
    assert other.mutations == []
