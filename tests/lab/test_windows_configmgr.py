"""The modelled ConfigMgr client enters and leaves the mode: by its method, by a registry edit, and by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from provmode.lab.machine import CimError
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.configmgr import (
    EXCLUDES,
    KEY,
    TCF_PATH,
    Client,
    install,
)
from provmode.lab.windows.deployments import Deployment
from provmode.lab.windows.pc import PC
from provmode.lab.windows.store import HKLM, Data, RegType

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
HOUR = 3600
DAY = 24 * HOUR
NEW, OLD = "5.00.8790.1007", "5.00.8740.1024"
SHUTTING_DOWN, SERVER_UNAVAILABLE, FAILED = 0x80041033, 0x800706BA, 0x80041001
ENTRY = b"[Client Install]\r\nInstall=INSTALL=ALL SMSPROVISIONINGMODE=1\r\n"
EVAL = "SOFTWARE\\Microsoft\\CCM\\CcmEval"


@pytest.fixture
def make() -> Callable[..., PC]:
    def build(version: str = NEW) -> PC:
        pc = PC("PC-1", Clock(START, lambda: 0.0))
        install(pc, version)
        pc.start_recording()
        return pc

    return build


@pytest.fixture
def pc(make: Callable[..., PC]) -> PC:
    return make()


def client(pc: PC) -> Client:
    assert pc.client is not None
    return pc.client


def set_mode(pc: PC, enabled: str) -> dict[str, Any]:
    return dict(pc.invoke("root/ccm", "SMS_Client", {}, "SetClientProvisioningMode", {"bEnable": enabled}))


def value(pc: PC, name: str) -> tuple[RegType, Data] | None:
    found = pc.registry.get(HKLM, KEY, name)
    return None if found is None else (found.type, found.data)


def mode(pc: PC) -> Data | None:
    found = value(pc, "ProvisioningMode")
    return found[1] if found else None


def service(pc: PC) -> tuple[str, str]:
    properties = pc.get("root/cimv2", "Win32_Service", {"Name": "CcmExec"}).properties
    return str(properties["State"]), str(properties["StartMode"])


def service_method(pc: PC, method: str, **parameters: Any) -> int:
    return int(pc.invoke("root/cimv2", "Win32_Service", {"Name": "CcmExec"}, method, parameters)["ReturnValue"])


def fault(pc: PC, operation: str = "get", *arguments: Any) -> int:
    with pytest.raises(CimError) as raised:
        getattr(pc, operation)("root/ccm", "SMS_Client", {}, *arguments)
    return raised.value.status


def write(pc: PC, name: str, kind: RegType, data: Data) -> None:
    pc.registry.set(HKLM, KEY, name, kind, data)


def enter(pc: PC) -> None:
    """Enter the mode and wait until the client has restarted."""
    set_mode(pc, "true")
    pc.advance(30)


def hours(pc: PC, count: int) -> None:
    for _ in range(count):
        pc.advance(HOUR)


# -- by method --------------------------------------------------------------------------------------------------


def test_entering_writes_the_documented_values(pc: PC) -> None:
    assert set_mode(pc, "true") == {}, "the method has no return value"
    assert value(pc, "ProvisioningMode") == (RegType.SZ, "true")
    assert value(pc, "SystemTaskExcludes") == (RegType.SZ, EXCLUDES)
    assert value(pc, "ProvisioningEnabledTime") == (RegType.QWORD, int(START.timestamp()))
    assert client(pc).in_mode
    assert {item.road for item in pc.mutations} == {"cim"}


def test_an_old_client_does_not_write_the_enabled_time(make: Callable[..., PC]) -> None:
    pc = make(OLD)
    set_mode(pc, "true")
    assert value(pc, "ProvisioningMode") == (RegType.SZ, "true")
    assert value(pc, "ProvisioningEnabledTime") is None


def test_leaving_clears_the_mode_and_keeps_the_time(pc: PC) -> None:
    enter(pc)
    entered = value(pc, "ProvisioningEnabledTime")
    pc.advance(HOUR / 2)
    set_mode(pc, "false")
    assert value(pc, "ProvisioningMode") == (RegType.SZ, "false")
    assert value(pc, "SystemTaskExcludes") == (RegType.SZ, "")
    assert value(pc, "ProvisioningEnabledTime") == entered
    assert not client(pc).in_mode


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_the_method_restarts_the_client_which_does_not_answer_meanwhile(pc: PC, enabled: str) -> None:
    set_mode(pc, enabled)
    assert service(pc) == ("Stop Pending", "Auto")
    assert fault(pc) == SHUTTING_DOWN
    assert fault(pc, "invoke", "SetClientProvisioningMode", {"bEnable": "false"}) == SHUTTING_DOWN
    pc.advance(5)
    assert service(pc) == ("Start Pending", "Auto")
    assert fault(pc) == SERVER_UNAVAILABLE
    assert pc.query("root/cimv2", "SELECT Version FROM Win32_OperatingSystem"), "the rest of WMI answers"
    pc.advance(5)
    assert service(pc) == ("Running", "Auto")
    assert pc.get("root/ccm", "SMS_Client", {}).properties["ClientVersion"] == NEW


def test_the_whole_namespace_does_not_answer_while_the_client_restarts(pc: PC) -> None:
    set_mode(pc, "false")
    with pytest.raises(CimError) as raised:
        pc.query("root/ccm/softmgmtagent", "SELECT * FROM CCM_TSExecutionRequest")
    assert raised.value.status == SHUTTING_DOWN
    pc.advance(10)
    assert pc.query("root/ccm/softmgmtagent", "SELECT * FROM CCM_TSExecutionRequest") == []


def test_the_method_fails_while_the_service_is_stopped(pc: PC) -> None:
    assert service_method(pc, "StopService") == 0
    changes = len(pc.mutations)
    assert fault(pc, "invoke", "SetClientProvisioningMode", {"bEnable": "true"}) == FAILED
    assert mode(pc) == "false"
    assert len(pc.mutations) == changes


@pytest.mark.parametrize("enabled", ["yes", "", "2"])
def test_the_method_requires_a_boolean(pc: PC, enabled: str) -> None:
    assert fault(pc, "invoke", "SetClientProvisioningMode", {"bEnable": enabled}) == 0x80041005
    assert pc.mutations == []


def test_a_pc_without_a_client_has_no_ccm_namespace() -> None:
    pc = PC("PC-1", Clock(START, lambda: 0.0))
    assert fault(pc) == 0x8004100E
    install(pc, NEW)
    client(pc).wmi_present = False
    assert fault(pc) == 0x8004100E


def test_schedules_are_triggered_and_remembered(pc: PC) -> None:
    schedule = "{00000000-0000-0000-0000-000000000021}"
    assert pc.invoke("root/ccm", "SMS_Client", {}, "TriggerSchedule", {"sScheduleID": schedule})["ReturnValue"] == 0
    assert client(pc).schedules == [schedule]
    assert fault(pc, "invoke", "TriggerSchedule", {"sScheduleID": "21"}) == FAILED
    assert client(pc).schedules == [schedule]


# -- by a registry edit -----------------------------------------------------------------------------------------


def test_a_registry_write_changes_only_the_registry(pc: PC) -> None:
    enter(pc)
    changes = len(pc.mutations)
    write(pc, "ProvisioningMode", RegType.SZ, "false")
    assert client(pc).in_mode, "CcmExec goes on as before"
    assert value(pc, "SystemTaskExcludes") == (RegType.SZ, EXCLUDES)
    assert service(pc) == ("Running", "Auto")
    assert [(item.road, item.what[:14]) for item in pc.mutations[changes:]] == [("hand", "registry value")]


def test_a_client_half_out_of_the_mode_stays_half_out(pc: PC) -> None:
    enter(pc)
    client(pc).deployments = [Deployment("late", START)]
    write(pc, "ProvisioningMode", RegType.SZ, "false")
    hours(pc, 7 * 24)
    assert (client(pc).in_mode, client(pc).installs) == (True, [])
    assert value(pc, "SystemTaskExcludes") == (RegType.SZ, EXCLUDES)
    set_mode(pc, "false")
    assert (client(pc).in_mode, client(pc).installs) == (False, ["late"])
    assert value(pc, "SystemTaskExcludes") == (RegType.SZ, "")


# -- the time limit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["5.00.8790.1007", "5.00.8913.1012", "5.00.9128.1007"])
def test_a_client_since_1902_leaves_after_48_hours(make: Callable[..., PC], version: str) -> None:
    pc = make(version)
    enter(pc)
    hours(pc, 47)
    assert (mode(pc), client(pc).in_mode) == ("true", True)
    hours(pc, 2)
    assert (mode(pc), client(pc).in_mode) == ("false", False)
    assert value(pc, "SystemTaskExcludes") == (RegType.SZ, "")
    assert pc.mutations[-1].road == "self"


@pytest.mark.parametrize("version", ["5.00.8740.1024", "5.00.8325.1000"])
def test_an_older_client_never_leaves(make: Callable[..., PC], version: str) -> None:
    pc = make(version)
    enter(pc)
    write(pc, "ProvisioningEnabledTime", RegType.QWORD, int(START.timestamp()))
    hours(pc, 30 * 24)
    assert (mode(pc), client(pc).in_mode) == ("true", True)


@pytest.mark.parametrize(
    ("kind", "minutes", "limit"), [(RegType.DWORD, 120, 2), (RegType.DWORD, 0, 48), (RegType.DWORD, 4320, 72)]
)
def test_the_limit_is_the_one_the_admin_set(pc: PC, kind: RegType, minutes: int, limit: int) -> None:
    enter(pc)
    write(pc, "ProvisioningMaxMinutes", kind, minutes)
    hours(pc, limit - 1)
    assert client(pc).in_mode
    hours(pc, 2)
    assert not client(pc).in_mode


def test_a_limit_below_an_hour_acts_at_the_hourly_check(pc: PC) -> None:
    enter(pc)
    write(pc, "ProvisioningMaxMinutes", RegType.DWORD, 5)
    pc.advance(50 * 60)
    assert client(pc).in_mode
    pc.advance(15 * 60)
    assert not client(pc).in_mode


@pytest.mark.parametrize("kind", [RegType.QWORD, RegType.DWORD, RegType.SZ])
def test_the_enabled_time_is_read_in_each_registry_type(pc: PC, kind: RegType) -> None:
    enter(pc)
    entered = int((START - timedelta(hours=50)).timestamp())
    write(pc, "ProvisioningEnabledTime", kind, str(entered) if kind is RegType.SZ else entered)
    hours(pc, 1)
    assert not client(pc).in_mode


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (RegType.SZ, "yesterday"),
        (RegType.SZ, "²"),
        (RegType.SZ, ""),
        (RegType.BINARY, b"\x01\x02"),
        (RegType.MULTI_SZ, ("1", "2")),
    ],
)
@pytest.mark.parametrize("name", ["ProvisioningEnabledTime", "ProvisioningMaxMinutes"])
def test_an_enabled_time_that_is_not_a_number_is_ignored(pc: PC, name: str, kind: RegType, data: Data) -> None:
    enter(pc)
    write(pc, name, kind, data)
    hours(pc, 47)
    assert client(pc).in_mode
    hours(pc, 3)
    assert client(pc).in_mode is (name == "ProvisioningEnabledTime")


def test_no_time_limit_without_a_time(pc: PC) -> None:
    enter(pc)
    pc.registry.delete_value(HKLM, KEY, "ProvisioningEnabledTime")
    hours(pc, 7 * 24)
    assert client(pc).in_mode


def test_the_limit_counts_from_the_last_entry(pc: PC) -> None:
    enter(pc)
    hours(pc, 40)
    enter(pc)
    hours(pc, 40)
    assert client(pc).in_mode
    hours(pc, 10)
    assert not client(pc).in_mode


def test_the_hourly_check_counts_from_the_restart(pc: PC) -> None:
    write(pc, "ProvisioningMaxMinutes", RegType.DWORD, 60)
    pc.advance(50 * 60)
    set_mode(pc, "true")
    pc.advance(59 * 60)
    assert client(pc).in_mode
    pc.advance(2 * 60)
    assert not client(pc).in_mode


def test_no_check_while_the_service_is_stopped(pc: PC) -> None:
    enter(pc)
    client(pc).health_task_enabled = False
    service_method(pc, "ChangeStartMode", StartMode="Disabled")
    service_method(pc, "StopService")
    hours(pc, 7 * 24)
    pc.advance(HOUR / 2)
    assert client(pc).in_mode
    service_method(pc, "ChangeStartMode", StartMode="Automatic")
    service_method(pc, "StartService")
    pc.advance(59 * 60)
    assert client(pc).in_mode, "the hour counts from the start"
    pc.advance(2 * 60)
    assert not client(pc).in_mode


def test_changing_the_start_mode_does_not_delay_the_hourly_check(pc: PC) -> None:
    enter(pc)
    write(pc, "ProvisioningMaxMinutes", RegType.DWORD, 60)
    for _ in range(8):
        pc.advance(10 * 60)
        service_method(pc, "ChangeStartMode", StartMode="Automatic")
    assert not client(pc).in_mode


# -- health evaluation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [ENTRY, b"\xff\xfe" + ENTRY.decode().encode("utf-16-le"), b'\xef\xbb\xbfSMSPROVISIONINGMODE="1"\n', ENTRY.lower()],
)
def test_the_health_evaluation_applies_an_armed_file_again(pc: PC, data: bytes) -> None:
    pc.files.write(TCF_PATH, data, START)
    hours(pc, 23)
    assert not client(pc).in_mode
    hours(pc, 2)
    assert (client(pc).in_mode, mode(pc)) == (True, "true")


@pytest.mark.parametrize(
    "data", [b"", b"; SMSPROVISIONINGMODE=1\r\n", b"SMSPROVISIONINGMODE=0\r\n", b"SMSPROVISIONINGMODE=10\r\n", None]
)
def test_a_file_that_is_not_armed_changes_nothing(pc: PC, data: bytes | None) -> None:
    if data is not None:
        pc.files.write(TCF_PATH, data, START)
    hours(pc, 50)
    assert (client(pc).in_mode, mode(pc)) == (False, "false")


def test_the_health_evaluation_enables_and_starts_a_disabled_service(pc: PC) -> None:
    service_method(pc, "ChangeStartMode", StartMode="Disabled")
    service_method(pc, "StopService")
    hours(pc, 23)
    assert service(pc) == ("Stopped", "Disabled")
    hours(pc, 2)
    assert service(pc) == ("Running", "Auto")


@pytest.mark.parametrize("hindrance", ["notify-only", "task-disabled", "task-sequence"])
def test_the_health_evaluation_repairs_nothing_if_it_must_not(pc: PC, hindrance: str) -> None:
    if hindrance == "notify-only":
        pc.registry.set(HKLM, EVAL, "NotifyOnly", RegType.SZ, "TRUE")
    elif hindrance == "task-disabled":
        client(pc).health_task_enabled = False
    else:
        pc.processes.start("TSManager.exe", "", START)
    pc.files.write(TCF_PATH, ENTRY, START)
    service_method(pc, "ChangeStartMode", StartMode="Disabled")
    service_method(pc, "StopService")
    hours(pc, 3 * 24)
    assert service(pc) == ("Stopped", "Disabled")
    assert not client(pc).in_mode


def test_the_health_evaluation_writes_its_report(pc: PC) -> None:
    hours(pc, 25)
    report = pc.files.get("C:\\Windows\\CCM\\CcmEvalReport.xml")
    assert report is not None
    assert (report.modified, b"2026-03-03T08:00:00Z" in report.data) == (START + timedelta(days=1), True)


def test_a_stopped_client_in_the_mode_gets_out_of_it_in_time(pc: PC) -> None:
    enter(pc)
    service_method(pc, "ChangeStartMode", StartMode="Disabled")
    service_method(pc, "StopService")
    hours(pc, 51)
    assert (service(pc), client(pc).in_mode) == (("Running", "Auto"), False)
