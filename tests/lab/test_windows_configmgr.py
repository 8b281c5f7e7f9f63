"""The modelled ConfigMgr client enters and leaves the mode: by its method, by a registry edit, and by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from provmode.lab.machine import CimError
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.configmgr import CLASSES, EXCLUDES, KEY, TCF_PATH, Client, TaskSequence, install
from provmode.lab.windows.deployments import Deployment
from provmode.lab.windows.pc import PC
from provmode.lab.windows.services import Service
from provmode.lab.windows.store import HKLM, Data, RegType

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
HOUR = 3600
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
    tasks = "SchedulerStartup;SchedulerShutdown;SchedulerLogon;SchedulerLogoff;ClientRegistrationStartup"
    assert value(pc, "SystemTaskExcludes") == (RegType.SZ, tasks)
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


@pytest.mark.parametrize(("state", "start_mode"), [("Stopped", "Manual"), ("Running", "Disabled")])
def test_the_health_evaluation_sets_a_service_to_automatic_and_starts_it(pc: PC, state: str, start_mode: str) -> None:
    pc.services.put(Service("CcmExec", "SMS Agent Host", state, start_mode))
    hours(pc, 24)
    assert service(pc) == ("Running", "Auto")
    assert [(item.when, item.what) for item in pc.mutations][:1] == [
        (START + timedelta(days=1), "CcmExec enabled and started by the Health Evaluation task")
    ]
    hours(pc, 24)
    assert sum("Health Evaluation" in item.what for item in pc.mutations) == 1, "a service that runs is left"


def test_the_hourly_check_counts_from_the_start_by_the_health_evaluation(pc: PC) -> None:
    enter(pc)
    pc.advance(HOUR / 2)
    service_method(pc, "StopService")
    write(pc, "ProvisioningMaxMinutes", RegType.DWORD, 60)
    pc.advance((START + timedelta(days=1) - pc.now()).total_seconds())
    assert pc.now() == START + timedelta(days=1)
    assert (service(pc), client(pc).in_mode) == (("Running", "Auto"), True)
    pc.advance(59 * 60)
    assert client(pc).in_mode
    pc.advance(60)
    assert not client(pc).in_mode


def test_the_health_evaluation_of_a_pc_without_the_service_does_nothing_but_report(pc: PC) -> None:
    pc.services.remove("CcmExec")
    pc.files.write(TCF_PATH, ENTRY, START)
    hours(pc, 25)
    assert not client(pc).in_mode
    assert [item.what for item in pc.mutations if item.road == "self"] == [
        "file C:\\Windows\\CCM\\CcmEvalReport.xml written (89 bytes)"
    ]


def test_the_report_has_the_time_of_the_evaluation(pc: PC) -> None:
    hours(pc, 24)
    assert pc.files.read("C:\\Windows\\CCM\\CcmEvalReport.xml") == (
        b'<ClientHealthReport><Summary EvaluationTime="2026-03-03T08:00:00Z"/></ClientHealthReport>'
    )


# -- the end of a task sequence -----------------------------------------------------------------------------------

ENGINE = ("TSManager.exe", "TsProgressUI.exe", "SetupHost.exe")
SETUP = "SYSTEM\\Setup"


def upgrade(pc: PC, *ends: datetime | None) -> None:
    """Begin task sequences, with all that one upgrade changes on a PC."""
    enter(pc)
    client(pc).task_sequences = [
        TaskSequence(f"PS10000{number}", "Upgrade", ends=end) for number, end in enumerate(ends)
    ]
    for name in (*ENGINE, "notepad.exe"):
        pc.processes.start(name, "", pc.now())
    pc.services.put(Service("smstsmgr", "ConfigMgr Task Sequence Agent", "Running", "Manual"))
    for name in ("SystemSetupInProgress", "Upgrade"):
        pc.registry.set(HKLM, SETUP, name, RegType.DWORD, 1)
    pc.services.change_start_mode("CcmExec", "Disabled")


def flags(pc: PC) -> list[Data]:
    found = [pc.registry.get(HKLM, SETUP, name) for name in ("SystemSetupInProgress", "Upgrade")]
    return [item.data for item in found if item is not None]


def running(pc: PC) -> set[str]:
    return {process.name for process in pc.processes} & {*ENGINE, "notepad.exe"}


def test_with_a_task_sequence_end_its_engine_its_agent_setups_flags_and_the_mode(pc: PC) -> None:
    upgrade(pc, START + timedelta(minutes=40))
    pc.advance(39 * 60)
    assert (running(pc), flags(pc)) == ({*ENGINE, "notepad.exe"}, [1, 1])
    pc.advance(30)
    agent = pc.services.get("smstsmgr")
    assert pc.now() == START + timedelta(minutes=40), "it has ended at its end, not after it"
    assert (running(pc), flags(pc)) == ({"notepad.exe"}, [0, 0])
    assert (agent and agent.state, client(pc).in_mode, client(pc).task_sequences) == ("Stopped", False, [])
    assert service(pc) == ("Stop Pending", "Auto"), "it is enabled, and restarts as the mode is left"
    pc.advance(8)
    assert service(pc) == ("Running", "Auto")


def test_a_task_sequence_that_ends_leaves_the_registrations_of_others(pc: PC) -> None:
    upgrade(pc, START + timedelta(minutes=40), None, START + timedelta(minutes=50))
    pc.advance(45 * 60)
    assert [item.content_id for item in client(pc).task_sequences] == ["PS100001", "PS100002"]
    pc.advance(5 * 60)
    assert [item.content_id for item in client(pc).task_sequences] == ["PS100001"]


def test_a_task_sequence_ends_on_a_pc_without_agent_service_and_flags(pc: PC) -> None:
    enter(pc)
    client(pc).task_sequences = [TaskSequence("PS100021", "OSD", ends=START + timedelta(minutes=40))]
    for name in ("SystemSetupInProgress", "Upgrade"):
        pc.registry.delete_value(HKLM, SETUP, name)
    for name in ("smstsmgr", "CcmExec"):
        pc.services.remove(name)
    pc.advance(HOUR)
    assert (client(pc).in_mode, mode(pc), flags(pc)) == (False, "false", [])


def test_a_task_sequence_that_ends_with_a_health_evaluation_ends_first(pc: PC) -> None:
    upgrade(pc, START + timedelta(days=1))
    hours(pc, 24)
    assert (client(pc).in_mode, service(pc)[1]) == (False, "Auto")
    assert not any("Health Evaluation" in item.what for item in pc.mutations)


# -- seconds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "state", "status"),
    [
        (0, "Stop Pending", SHUTTING_DOWN),
        (2.9, "Stop Pending", SHUTTING_DOWN),
        (3, "Start Pending", SERVER_UNAVAILABLE),
        (7.9, "Start Pending", SERVER_UNAVAILABLE),
        (8, "Running", None),
    ],
)
@pytest.mark.parametrize("sequences", [[], [TaskSequence("PS100021", "OSD", ends=START + timedelta(minutes=40))]])
def test_a_restart_stops_for_three_seconds_and_starts_for_five(
    pc: PC, sequences: list[TaskSequence], seconds: float, state: str, status: int | None
) -> None:
    client(pc).task_sequences = sequences
    set_mode(pc, "true")
    pc.advance(seconds)
    assert service(pc) == (state, "Auto")
    if status is None:
        assert pc.get("root/ccm", "SMS_Client", {}).properties["ClientVersion"] == NEW
        return
    with pytest.raises(CimError) as raised:
        pc.get("root/ccm", "SMS_Client", {})
    assert (raised.value.status, raised.value.operation, raised.value.parameter_info) == (
        status,
        "GetObject",
        "SMS_Client",
    )


def test_a_service_that_is_stopped_or_removed_while_it_restarts_stays_so(pc: PC) -> None:
    set_mode(pc, "true")
    service_method(pc, "StopService")
    pc.advance(30)
    assert service(pc) == ("Stopped", "Auto")
    assert pc.get("root/ccm", "SMS_Client", {}).properties["ClientVersion"] == NEW
    service_method(pc, "StartService")
    set_mode(pc, "false")
    pc.services.remove("CcmExec")
    pc.advance(30)
    assert pc.services.get("CcmExec") is None


def test_a_stopped_service_is_not_restarted_by_a_task_sequence_that_ends(pc: PC) -> None:
    enter(pc)
    client(pc).task_sequences = [TaskSequence("PS100021", "OSD", ends=START + timedelta(minutes=40))]
    service_method(pc, "StopService")
    pc.advance(HOUR)
    assert (client(pc).in_mode, service(pc)) == (False, ("Stopped", "Auto"))


@pytest.mark.parametrize("process", ["TSMANAGER.EXE", "tsmanager.exe"])
def test_the_name_of_the_engine_is_compared_without_regard_to_case(pc: PC, process: str) -> None:
    assert not client(pc).task_sequences_run(pc)
    pc.processes.start(process, "", START)
    assert client(pc).task_sequences_run(pc)


def test_a_client_whose_mode_is_not_in_the_registry_has_no_time_limit(pc: PC) -> None:
    enter(pc)
    pc.registry.delete_value(HKLM, KEY, "ProvisioningMode")
    hours(pc, 60)
    assert client(pc).in_mode


@pytest.mark.parametrize("data", [" True ", "TRUE"])
def test_the_mode_in_the_registry_is_read_without_regard_to_case(pc: PC, data: str) -> None:
    enter(pc)
    write(pc, "ProvisioningMode", RegType.SZ, data)
    hours(pc, 50)
    assert not client(pc).in_mode


def test_a_client_whose_time_limit_is_broken_stays_in_the_mode(pc: PC) -> None:
    client(pc).time_out_broken = True
    enter(pc)
    hours(pc, 7 * 24)
    assert client(pc).in_mode


@pytest.mark.parametrize(
    ("data", "armed"),
    [
        (b"\xef\xbb\xbfSMSPROVISIONINGMODE=1", True),
        (b"\xff\xfe" + ENTRY.decode().encode("utf-16-le"), True),
        (b"\xfe\xff" + ENTRY.decode().encode("utf-16-be"), True),
        (b"\xff\xfe" + ENTRY.decode().encode("utf-16-le") + b"\x00", True),
        (b"SMSPROVISIONINGMODE = 1 ", True),
        (b"Install=SMSPROVISIONINGMODE=1 SMSMP=x", True),
        (b"x\n  ; SMSPROVISIONINGMODE=1", False),
        (b"\xe4\xf6\nSMSPROVISIONINGMODE=1", True),
        (b"XSMSPROVISIONINGMODE=1", False),
    ],
)
def test_a_file_is_armed_by_the_entry_outside_of_comments(pc: PC, data: bytes, armed: bool) -> None:
    pc.files.write(TCF_PATH, data, START)
    assert client(pc).tcf_armed(pc) is armed


# -- what is recorded and what WMI shows ------------------------------------------------------------------------------


def test_each_call_of_a_method_is_recorded_with_what_it_changed(pc: PC) -> None:
    set_mode(pc, "true")
    assert [item.what for item in pc.mutations] == [
        "SMS_Client.SetClientProvisioningMode(True)",
        f"registry value HKLM\\{KEY} ProvisioningMode = 'true'",
        f"registry value HKLM\\{KEY} SystemTaskExcludes = '{EXCLUDES}'",
        f"registry value HKLM\\{KEY} ProvisioningEnabledTime = {int(START.timestamp())}",
        "CcmExec restarts",
    ]


PLAIN: dict[str, dict[str, str]] = {
    "ResetPolicy": {"uFlags": "0"},
    "RequestMachinePolicy": {},
    "EvaluateMachinePolicy": {},
    "SetAssignedSite": {"sSiteCode": "PS2"},
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_other_methods_are_recorded_and_answer_0(pc: PC, name: str) -> None:
    assert dict(pc.invoke("root/ccm", "SMS_Client", {}, name, PLAIN[name])) == {"ReturnValue": 0}
    assert [(item.what, item.road) for item in pc.mutations] == [(f"SMS_Client.{name}", "cim")]


def test_a_triggered_schedule_is_recorded(pc: PC) -> None:
    schedule = "{00000000-0000-0000-0000-000000000022}"
    pc.invoke("root/ccm", "SMS_Client", {}, "TriggerSchedule", {"sScheduleID": schedule})
    assert [item.what for item in pc.mutations] == [f"SMS_Client.TriggerSchedule({schedule})"]


@pytest.mark.parametrize("schedule", [None, "", "{00000000-0000-0000-0000-00000000002A}"])
def test_what_is_not_the_id_of_a_schedule_fails(pc: PC, schedule: str | None) -> None:
    assert refused(pc, "TriggerSchedule", {"sScheduleID": schedule}) == (FAILED, "SMS_Client::TriggerSchedule")
    assert pc.mutations == []


def refused(pc: PC, method: str, parameters: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(CimError) as raised:
        pc.invoke("root/ccm", "SMS_Client", {}, method, parameters)
    assert raised.value.operation == "ExecMethod"
    return raised.value.status, raised.value.parameter_info


METHODS = {
    **PLAIN,
    "SetClientProvisioningMode": {"bEnable": "true"},
    "TriggerSchedule": {"sScheduleID": "{00000000-0000-0000-0000-000000000021}"},
}


@pytest.mark.parametrize("name", METHODS)
def test_no_method_but_that_of_the_site_is_carried_out_while_the_service_is_stopped(pc: PC, name: str) -> None:
    service_method(pc, "StopService")
    changes = len(pc.mutations)
    assert refused(pc, name, METHODS[name]) == (FAILED, f"SMS_Client::{name}")
    assert len(pc.mutations) == changes
    client(pc).site_code = "PS7"
    assert dict(pc.invoke("root/ccm", "SMS_Client", {}, "GetAssignedSite", {})) == {
        **{"sSiteCode": "PS7", "ReturnValue": 0}
    }


def test_the_classes_have_the_properties_keys_and_methods_of_a_client(pc: PC) -> None:
    assert {f"{cim.namespace}:{cim.name}": (dict(cim.types), cim.keys) for cim in CLASSES} == {
        "root/ccm:SMS_Client": (
            {
                **{"AllowLocalAdminOverride": "boolean", "ClientType": "uint32"},
                **{"ClientVersion": "string", "EnableAutoAssignment": "boolean"},
            },
            (),
        ),
        "root/ccm:CCM_InstalledComponent": (
            {"DisplayName": "string", "Name": "string", "Version": "string"},
            ("Name",),
        ),
        "root/ccm/softmgmtagent:CCM_TSExecutionRequest": (
            {
                **{"CompletionState": "string", "ContentID": "string", "MIFPackageName": "string"},
                **{"RequestID": "string", "RunningState": "string", "State": "string"},
            },
            ("RequestID",),
        ),
        "root/ccm/invagt:InventoryActionStatus": (
            {"InventoryActionID": "string", "LastCycleStartedDate": "datetime", "LastReportDate": "datetime"},
            ("InventoryActionID",),
        ),
    }
    methods = {(cim.name, name): method for cim in CLASSES for name, method in cim.methods.items()}
    assert {name: (dict(method.parameters), method.static) for (_, name), method in methods.items()} == {
        "SetClientProvisioningMode": ({"bEnable": "boolean"}, True),
        "TriggerSchedule": ({"sScheduleID": "string"}, True),
        "GetAssignedSite": ({}, True),
        "ResetPolicy": ({"uFlags": "uint32"}, True),
        "RequestMachinePolicy": ({}, True),
        "EvaluateMachinePolicy": ({}, True),
        "SetAssignedSite": ({"sSiteCode": "string"}, True),
    }
    assert {cim for cim, _ in methods} == {"SMS_Client"}
    client(pc).task_sequences = [TaskSequence("PS100021", "Upgrade")]
    shown = {cim.name: pc.enumerate(cim.namespace, cim.name) for cim in CLASSES}
    assert all(set(item.properties) == set(cim.types) for cim in CLASSES for item in shown[cim.name])


def test_the_instances_of_each_class(pc: PC) -> None:
    client(pc).task_sequences = [
        TaskSequence("PS100021", "Upgrade"),
        TaskSequence("PS100022", "OSD", "Completed", "Succeeded", "Success"),
    ]
    booted = START - timedelta(days=3)
    found = {cim.name: [dict(item.properties) for item in pc.enumerate(cim.namespace, cim.name)] for cim in CLASSES}
    assert found == {
        "SMS_Client": [
            {
                **{"AllowLocalAdminOverride": True, "ClientType": 1},
                **{"ClientVersion": NEW, "EnableAutoAssignment": True},
            }
        ],
        "CCM_InstalledComponent": [
            {"DisplayName": name, "Name": name, "Version": NEW}
            for name in ("CcmFramework", "SmsClient", "CcmPolicyAgent")
        ],
        "CCM_TSExecutionRequest": [
            {
                **{"CompletionState": None, "ContentID": "PS100021", "MIFPackageName": "Upgrade"},
                **{"RequestID": "{00000000-0000-0000-0000-000000000000}"},
                **{"RunningState": "Running", "State": "Running"},
            },
            {
                **{"CompletionState": "Success", "ContentID": "PS100022", "MIFPackageName": "OSD"},
                **{"RequestID": "{00000001-0000-0000-0000-000000000000}"},
                **{"RunningState": "Succeeded", "State": "Completed"},
            },
        ],
        "InventoryActionStatus": [
            {
                "InventoryActionID": f"{{00000000-0000-0000-0000-00000000000{number}}}",
                **dict.fromkeys(("LastCycleStartedDate", "LastReportDate"), booted - timedelta(days=1)),
            }
            for number in (1, 3)
        ],
    }


# -- installed ----------------------------------------------------------------------------------------------------


def test_a_client_is_installed_with_services_registry_files_and_its_process() -> None:
    pc = PC("PC-1", Clock(START, lambda: 0.0))
    installed = install(pc, NEW)
    assert installed is pc.client
    assert (installed.version, installed.build, installed.in_mode, installed.wmi_present) == (NEW, 8790, False, True)
    assert (installed.site_code, installed.task_sequences, installed.pending_restart) == ("PS1", [], None)
    assert pc.services.get("CcmExec") == Service(
        "CcmExec", "SMS Agent Host", "Running", "Auto", "C:\\Windows\\CCM\\CcmExec.exe", depends_on=("Winmgmt",)
    )
    assert pc.services.get("smstsmgr") == Service(
        *("smstsmgr", "ConfigMgr Task Sequence Agent", "Stopped", "Manual"),
        "C:\\Windows\\CCM\\TSManager.exe /service",
        depends_on=("Winmgmt",),
    )
    assert {item.name: (item.type, item.data) for item in pc.registry.values(HKLM, KEY) or ()} == {
        "ProvisioningMode": (RegType.SZ, "false"),
        "SystemTaskExcludes": (RegType.SZ, ""),
    }
    site = pc.registry.get(HKLM, "SOFTWARE\\Microsoft\\SMS\\Mobile Client", "AssignedSiteCode")
    assert site is not None
    assert (site.type, site.data) == (RegType.SZ, "PS1")
    assert pc.registry.key_exists(HKLM, EVAL)
    assert pc.files.is_folder("C:\\Windows\\ccmsetup")
    files = [pc.files.get(f"C:\\Windows\\CCM\\{name}") for name in ("CcmExec.exe", "CcmEvalReport.xml")]
    assert [(file.data, file.modified) for file in files if file is not None] == [
        (b"MZ\x90\x00", START - timedelta(days=3)),
        (b"<ClientHealthReport/>", START - timedelta(hours=9)),
    ]
    processes = [process for process in pc.processes if process.name == "CcmExec.exe"]
    assert [(process.command_line, process.created) for process in processes] == [
        ("C:\\Windows\\CCM\\CcmExec.exe", START - timedelta(days=3))
    ]


def test_a_client_is_installed_with_other_values_of_its_key_or_with_none() -> None:
    for values in ({}, {"ProvisioningMode": (RegType.SZ, "True")}):
        pc = PC("PC-1", Clock(START, lambda: 0.0))
        install(pc, NEW, values=values)
        found = {item.name: (item.type, item.data) for item in pc.registry.values(HKLM, KEY) or ()}
        assert pc.registry.key_exists(HKLM, KEY)
        assert found == values
