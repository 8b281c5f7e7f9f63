"""The modelled ConfigMgr client over days: overdue deployments, task sequences that end, jumps of the clock."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from provmode.lab.windows.clock import Clock
from provmode.lab.windows.configmgr import EXCLUDES, KEY, TCF_PATH, Client, TaskSequence, install
from provmode.lab.windows.deployments import Deployment
from provmode.lab.windows.pc import PC
from provmode.lab.windows.store import HKLM, RegType

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
HOUR = 3600
WEEK = 7 * 24
NEW, OLD = "5.00.9128.1007", "5.00.8740.1024"
ENTRY = b"SMSPROVISIONINGMODE=1\r\n"


def a_pc(version: str = NEW, name: str = "PC-1") -> tuple[PC, Client]:
    pc = PC(name, Clock(START, lambda: 0.0))
    client = install(pc, version)
    pc.start_recording()
    return pc, client


def set_mode(pc: PC, enabled: str) -> None:
    pc.invoke("root/ccm", "SMS_Client", {}, "SetClientProvisioningMode", {"bEnable": enabled})


def visible_state(pc: PC) -> dict[str, Any]:
    """Return the state of the client that an admin can see."""
    assert pc.client is not None
    values = {item.name: item.data for item in pc.registry.values(HKLM, KEY) or ()}
    service = pc.services.get("CcmExec")
    report = pc.files.get("C:\\Windows\\CCM\\CcmEvalReport.xml")
    return {
        "values": values,
        "service": service,
        "in_mode": pc.client.in_mode,
        "installs": list(pc.client.installs),
        "report": report and report.data,
        "processes": sorted(process.name for process in pc.processes),
    }


# -- deployments ------------------------------------------------------------------------------------------------


def test_leaving_starts_overdue_deployments_and_records_them() -> None:
    pc, client = a_pc()
    client.deployments = [
        Deployment("past", START - timedelta(days=2)),
        Deployment("soon", START + timedelta(hours=1)),
        Deployment("later", START + timedelta(days=9)),
    ]
    set_mode(pc, "true")
    pc.advance(2 * HOUR)
    assert client.installs == [], "nothing starts inside"
    set_mode(pc, "true")
    pc.advance(60)
    assert client.installs == [], "nor if the mode is entered once more"
    set_mode(pc, "false")
    assert client.installs == ["past", "soon"]
    words = [item.what for item in pc.mutations if item.what.startswith("install")]
    assert words == ["install of past started", "install of soon started"]


def test_leaving_twice_starts_nothing_twice() -> None:
    pc, client = a_pc()
    client.deployments = [Deployment("past", START - timedelta(days=2))]
    for enabled in ("true", "false", "false", "true", "false"):
        set_mode(pc, enabled)
        pc.advance(60)
    assert client.installs == ["past"]


def test_leaving_outside_the_mode_starts_nothing() -> None:
    pc, client = a_pc()
    client.deployments = [Deployment("past", START - timedelta(days=2))]
    set_mode(pc, "false")
    assert client.installs == []


def test_the_time_limit_also_starts_overdue_deployments() -> None:
    pc, client = a_pc()
    client.deployments = [Deployment("past", START - timedelta(days=2)), Deployment("later", START + timedelta(days=9))]
    set_mode(pc, "true")
    pc.advance(50 * HOUR)
    assert client.installs == ["past"]


def test_deployments_and_task_sequences_are_seen_over_wmi() -> None:
    pc, client = a_pc()
    client.deployments = [Deployment("VPN", START)]
    client.task_sequences = [TaskSequence("PS100021", "Upgrade")]
    (program,) = pc.enumerate("root/ccm/ClientSDK", "CCM_Program")
    assert (program.properties["Name"], program.properties["Deadline"]) == ("VPN", START)
    (request,) = pc.enumerate("root/ccm/SoftMgmtAgent", "CCM_TSExecutionRequest")
    assert (request.properties["ContentID"], request.properties["State"]) == ("PS100021", "Running")


# -- task sequences ---------------------------------------------------------------------------------------------


def test_a_task_sequence_that_ends_takes_the_client_out_of_the_mode() -> None:
    pc, client = a_pc(OLD)
    set_mode(pc, "true")
    client.task_sequences = [TaskSequence("PS100021", "OSD", ends=START + timedelta(minutes=40))]
    pc.processes.start("TSManager.exe", "", START)
    client.deployments = [Deployment("past", START)]
    pc.advance(30 * 60)
    assert (client.in_mode, client.task_sequences_run(pc)) == (True, True)
    pc.advance(15 * 60)
    assert (client.in_mode, client.task_sequences_run(pc)) == (False, False)
    assert (client.task_sequences, client.installs) == ([], ["past"])
    assert pc.mutations[-1].road == "self"


def test_a_task_sequence_without_end_keeps_the_health_evaluation_off() -> None:
    pc, client = a_pc(OLD)
    set_mode(pc, "true")
    client.task_sequences = [TaskSequence("PS100021", "OSD")]
    pc.processes.start("TSManager.exe", "", START)
    pc.advance(WEEK * HOUR)
    assert client.in_mode
    assert client.task_sequences_run(pc)


# -- a week -----------------------------------------------------------------------------------------------------


def healthy(pc: PC, client: Client) -> None:
    """Leave the client as it was installed."""


def in_mode(pc: PC, client: Client) -> None:
    set_mode(pc, "true")
    client.deployments = [Deployment("past", START), Deployment("third day", START + timedelta(hours=60))]


def stopped(pc: PC, client: Client) -> None:
    in_mode(pc, client)
    pc.advance(20)
    pc.services.change_start_mode("CcmExec", "Disabled")
    pc.services.stop("CcmExec")


def armed(pc: PC, client: Client) -> None:
    pc.files.write(TCF_PATH, ENTRY, START)


def armed_in_mode(pc: PC, client: Client) -> None:
    armed(pc, client)
    in_mode(pc, client)


def upgrading(pc: PC, client: Client) -> None:
    in_mode(pc, client)
    client.task_sequences = [TaskSequence("PS100021", "Upgrade", ends=START + timedelta(hours=30, minutes=7))]
    pc.processes.start("TSManager.exe", "", START)


@pytest.mark.parametrize("version", [NEW, OLD])
@pytest.mark.parametrize("build", [healthy, in_mode, stopped, armed, armed_in_mode, upgrading])
def test_a_week_in_one_jump_ends_as_a_week_of_minutes(build: Any, version: str) -> None:
    jumped, client = a_pc(version)
    build(jumped, client)
    jumped.advance(WEEK * HOUR)
    walked, client = a_pc(version)
    build(walked, client)
    for _ in range(WEEK * 60 // 5):
        walked.advance(5 * 60)
    assert visible_state(jumped) == visible_state(walked)


def test_an_armed_client_enters_the_mode_again_whenever_it_has_left_it() -> None:
    pc, client = a_pc()
    armed(pc, client)
    for _ in range(WEEK):
        pc.advance(HOUR)
    entries = [item.when - START for item in pc.mutations if item.what.endswith("ProvisioningMode = 'true'")]
    assert entries == [timedelta(days=day) for day in (1, 3, 5, 7)]


def test_a_healthy_client_stays_healthy_all_week() -> None:
    pc, _ = a_pc()
    before = visible_state(pc) | {"report": None}
    pc.advance(WEEK * HOUR)
    assert visible_state(pc) | {"report": None} == before
    assert all("CcmEvalReport" in item.what for item in pc.mutations)
    assert {item.road for item in pc.mutations} == {"self"}


def test_an_old_client_in_the_mode_stays_there_all_week() -> None:
    pc, client = a_pc(OLD)
    in_mode(pc, client)
    pc.advance(WEEK * HOUR)
    assert visible_state(pc)["values"] == {"ProvisioningMode": "true", "SystemTaskExcludes": EXCLUDES}
    assert (client.in_mode, client.installs) == (True, [])


# -- two PCs ----------------------------------------------------------------------------------------------------


def test_two_pcs_do_not_share_state() -> None:
    (one, _), (other, quiet) = a_pc(name="PC-1"), a_pc(name="PC-2")
    before = visible_state(other)
    in_mode(one, one.client)  # type: ignore[arg-type]
    armed(one, one.client)  # type: ignore[arg-type]
    one.registry.delete_value(HKLM, "SYSTEM\\Setup", "SetupType")
    one.registry.set(HKLM, KEY, "ProvisioningMaxMinutes", RegType.DWORD, 60)
    one.advance(5 * HOUR)
    assert one.now() - other.now() == timedelta(hours=5)
    assert visible_state(other) == before
    assert other.mutations == []
    assert (quiet.deployments, quiet.schedules) == ([], [])
    assert other.files.get(TCF_PATH) is None
    assert other.registry.get(HKLM, "SYSTEM\\Setup", "SetupType") is not None
