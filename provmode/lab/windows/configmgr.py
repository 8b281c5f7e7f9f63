"""The modelled ConfigMgr client: provisioning mode, its time limit, the Health Evaluation task, task sequences.

Sources: Microsoft, "Provisioning mode" (registry values, time limit, hourly check, the exit method, why a registry edit
is not enough) and "Client health checks"; a published log for `SystemTaskExcludes`; a field report for the re-applied
`MobileClient.TCF`. How long `root\\ccm` does not answer while CcmExec restarts is undocumented: a few seconds are
assumed.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from provmode.lab.machine import CimError
from provmode.lab.windows.deployments import Deployment, PendingRestart, ServiceWindow
from provmode.lab.windows.schema import (
    FAILED,
    SERVER_UNAVAILABLE,
    SHUTTING_DOWN,
    UNSPECIFIED,
    CimClass,
    Method,
    Properties,
    unix,
)
from provmode.lab.windows.services import Service
from provmode.lab.windows.state import PcState
from provmode.lab.windows.store import HKLM, RegType

KEY = "SOFTWARE\\Microsoft\\CCM\\CcmExec"
EXCLUDES = "SchedulerStartup;SchedulerShutdown;SchedulerLogon;SchedulerLogoff;ClientRegistrationStartup"
TIME_OUT_BUILD = 8790
DEFAULT_MINUTES = 2880
CHECK_EVERY = timedelta(minutes=60)
EVALUATE_EVERY = timedelta(days=1)
STOPPING, STARTING = timedelta(seconds=3), timedelta(seconds=8)
"""After a restart begins: Stop Pending until the first, Start Pending until the second."""
TCF_PATH = "C:\\Windows\\ccmsetup\\MobileClient.TCF"

_ARMED = re.compile(r'(^|[\s=])SMSPROVISIONINGMODE\s*=\s*"?1"?(\s|$)', re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class TaskSequence:
    """A registered task sequence; its processes show whether it runs."""

    content_id: str
    package_name: str
    state: str = "Running"
    running_state: str = "Running"
    completion_state: str | None = None
    ends: datetime | None = None
    """When it succeeds and takes the client out of the mode; ``None``: never."""


class Client:
    """The client's state outside the registry, and its behaviour."""

    def __init__(self, version: str, installed: datetime) -> None:
        self.version = version
        self.wmi_present = True
        self.in_mode = False
        """CcmExec's own state; a registry edit does not change it."""
        self.time_out_broken = False
        """The hourly check does nothing, as on clients that never leave the mode."""
        self.health_task_enabled = True
        self.site_code = "PS1"
        self.task_sequences: list[TaskSequence] = []
        self.deployments: list[Deployment] = []
        self.service_windows: list[ServiceWindow] = []
        self.pending_restart: PendingRestart | None = None
        self.installs: list[str] = []
        """Names of deployments that started when the mode was left."""
        self.schedules: list[str] = []
        """Schedules that were triggered, in order."""
        self._restarting: datetime | None = None
        self._next_check = installed + CHECK_EVERY
        self._next_evaluation = installed + EVALUATE_EVERY

    @property
    def build(self) -> int:
        """The third part of the version."""
        return int(self.version.split(".")[2])

    # -- by itself --------------------------------------------------------------------------------------------

    def tick(self, pc: PcState) -> None:
        """Do everything that is due, in order of time."""
        now = pc.now()
        while True:
            due = min(self._next_check, self._next_evaluation)
            ended = min((item.ends for item in self.task_sequences if item.ends), default=None)
            self._finish_restart(pc, min(due, now) if ended is None else min(due, ended, now))
            if ended is not None and ended <= min(due, now):
                self._task_sequence_ends(pc, ended)
            elif due > now:
                break
            elif due == self._next_check:
                self._next_check += CHECK_EVERY
                self._check_time_limit(pc, due)
            else:
                self._next_evaluation += EVALUATE_EVERY
                self._evaluate_health(pc, due)

    def _task_sequence_ends(self, pc: PcState, when: datetime) -> None:
        self.task_sequences = [item for item in self.task_sequences if item.ends is None or item.ends > when]
        for name in ("TSManager.exe", "TsProgressUI.exe", "SetupHost.exe"):
            pc.processes.end_all(name)
        agent = pc.services.get("smstsmgr")
        if agent is not None:
            pc.services.put(replace(agent, state="Stopped"))
        for name in ("SystemSetupInProgress", "Upgrade"):
            if pc.registry.get(HKLM, "SYSTEM\\Setup", name) is not None:
                pc.registry.set(HKLM, "SYSTEM\\Setup", name, RegType.DWORD, 0)
        service = pc.services.get("CcmExec")
        if service is not None and service.start_mode == "Disabled":
            pc.services.put(replace(service, start_mode="Auto"))
        self.set_mode(pc, False, when)

    def _check_time_limit(self, pc: PcState, when: datetime) -> None:
        """Leave the mode after its time limit: clients of 5.00.8790 and later, while CcmExec runs."""
        if self.build < TIME_OUT_BUILD or self.time_out_broken or not self._running(pc) or not self._registry_mode(pc):
            return
        entered = self._number(pc, "ProvisioningEnabledTime")
        if entered is None:
            return
        minutes = self._number(pc, "ProvisioningMaxMinutes") or DEFAULT_MINUTES
        if unix(when) >= entered + minutes * 60:
            self.set_mode(pc, False, when)

    def _evaluate_health(self, pc: PcState, when: datetime) -> None:
        """Run the Health Evaluation task: enable and start CcmExec, re-apply `MobileClient.TCF`, write the report."""
        if not self.health_task_enabled:
            return
        notify = pc.registry.get(HKLM, "SOFTWARE\\Microsoft\\CCM\\CcmEval", "NotifyOnly")
        only_notifies = notify is not None and str(notify.data).lower() == "true"
        service = pc.services.get("CcmExec")
        if service is not None and not only_notifies and not self.task_sequences_run(pc):
            if service.start_mode == "Disabled" or service.state == "Stopped":
                pc.services.put(replace(service, start_mode="Auto", state="Running"))
                pc.record("CcmExec enabled and started by the Health Evaluation task")
                self._next_check = when + CHECK_EVERY
            if self.tcf_armed(pc) and not self.in_mode:
                self.set_mode(pc, True, when)
        report = f'<ClientHealthReport><Summary EvaluationTime="{when:%Y-%m-%dT%H:%M:%SZ}"/></ClientHealthReport>'
        pc.files.write("C:\\Windows\\CCM\\CcmEvalReport.xml", report.encode(), when)

    def task_sequences_run(self, pc: PcState) -> bool:
        """Return whether a task sequence engine runs."""
        return any(process.name.lower() == "tsmanager.exe" for process in pc.processes)

    def tcf_armed(self, pc: PcState) -> bool:
        """Return whether `MobileClient.TCF` contains ``SMSPROVISIONINGMODE=1``, in any encoding."""
        data = pc.files.read(TCF_PATH) or b""
        encoding = "utf-8-sig" if data.startswith(codecs.BOM_UTF8) else "latin-1"
        if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            encoding = "utf-16"
        return any(
            _ARMED.search(line) is not None and not line.lstrip().startswith(";")
            for line in data.decode(encoding, "replace").splitlines()
        )

    # -- provisioning mode ------------------------------------------------------------------------------------

    def set_mode(self, pc: PcState, enabled: bool, when: datetime) -> None:
        """Enter or leave the mode as the client's own method does: registry, CcmExec's state, restart of CcmExec."""
        pc.registry.set(HKLM, KEY, "ProvisioningMode", RegType.SZ, "true" if enabled else "false")
        pc.registry.set(HKLM, KEY, "SystemTaskExcludes", RegType.SZ, EXCLUDES if enabled else "")
        if enabled and self.build >= TIME_OUT_BUILD:
            pc.registry.set(HKLM, KEY, "ProvisioningEnabledTime", RegType.QWORD, unix(when))
        left = self.in_mode and not enabled
        self.in_mode = enabled
        self._restart(pc, when)
        if left:
            self._start_overdue_installs(pc, when)

    def _start_overdue_installs(self, pc: PcState, when: datetime) -> None:
        for deployment in self.deployments:
            if deployment.due(when) and deployment.name not in self.installs:
                self.installs.append(deployment.name)
                pc.record(f"install of {deployment.name} started")

    def _restart(self, pc: PcState, when: datetime) -> None:
        service = pc.services.get("CcmExec")
        if service is None or service.state == "Stopped":
            return
        self._restarting = when
        self._next_check = when + CHECK_EVERY
        pc.services.put(replace(service, state="Stop Pending"))
        pc.record("CcmExec restarts")

    def _finish_restart(self, pc: PcState, now: datetime) -> None:
        if self._restarting is None:
            return
        service = pc.services.get("CcmExec")
        since = now - self._restarting
        if service is None or service.state == "Stopped":
            self._restarting = None
        elif since >= STARTING:
            self._restarting = None
            pc.services.put(replace(service, state="Running"))
        elif since >= STOPPING:
            pc.services.put(replace(service, state="Start Pending"))

    def service_changed(self, pc: PcState) -> None:
        """Note that CcmExec was started or stopped: the hourly check counts from the start of CcmExec."""
        if self._running(pc):
            self._next_check = pc.now() + CHECK_EVERY

    def _running(self, pc: PcState) -> bool:
        service = pc.services.get("CcmExec")
        return service is not None and service.state == "Running"

    def _registry_mode(self, pc: PcState) -> bool:
        value = pc.registry.get(HKLM, KEY, "ProvisioningMode")
        return value is not None and str(value.data).strip().lower() == "true"

    def _number(self, pc: PcState, name: str) -> int | None:
        value = pc.registry.get(HKLM, KEY, name)
        if value is None:
            return None
        if isinstance(value.data, str) and re.fullmatch(r"[0-9]{1,20}", value.data):
            return int(value.data)
        return value.data if isinstance(value.data, int) else None

    # -- WMI --------------------------------------------------------------------------------------------------

    def check_answering(self, pc: PcState, cim: CimClass, operation: str) -> None:
        """Fail as WMI does while CcmExec restarts; the namespace itself stays.

        Raises:
            CimError: CcmExec is stopping or starting.
        """
        if self._restarting is not None:
            stopping = pc.now() - self._restarting < STOPPING
            raise CimError(SHUTTING_DOWN if stopping else SERVER_UNAVAILABLE, operation, cim.name)

    def check_method(self, pc: PcState, name: str) -> None:
        """Fail methods while CcmExec is not running, as CcmExec carries them out (assumed, not documented).

        Raises:
            CimError: CcmExec is not running.
        """
        if not self._running(pc):
            raise CimError(FAILED, "ExecMethod", f"SMS_Client::{name}")


def _client(pc: PcState) -> Client:
    assert isinstance(pc.client, Client)
    return pc.client


def _sms_client(pc: PcState) -> Iterable[Properties]:
    yield {
        "AllowLocalAdminOverride": True,
        "ClientType": 1,
        "ClientVersion": _client(pc).version,
        "EnableAutoAssignment": True,
    }


def _set_mode(pc: PcState, _: Properties, arguments: dict[str, Any]) -> dict[str, Any]:
    client = _client(pc)
    client.check_method(pc, "SetClientProvisioningMode")
    agent = pc.services.get("smstsmgr")
    if agent is not None and "ccmexec" in map(str.lower, agent.depends_on):
        # a fault of client 1802 that reports from the field name; assumed for every version
        raise CimError(UNSPECIFIED, "ExecMethod", "SMS_Client::SetClientProvisioningMode")
    pc.record(f"SMS_Client.SetClientProvisioningMode({arguments['bEnable']})")
    client.set_mode(pc, bool(arguments["bEnable"]), pc.now())
    return {}


def _trigger(pc: PcState, _: Properties, arguments: dict[str, Any]) -> dict[str, Any]:
    client = _client(pc)
    client.check_method(pc, "TriggerSchedule")
    schedule = arguments["sScheduleID"] or ""
    if not re.fullmatch(r"\{00000000-0000-0000-0000-000000000[0-9]{3}\}", schedule):
        raise CimError(FAILED, "ExecMethod", "SMS_Client::TriggerSchedule")
    client.schedules.append(schedule)
    pc.record(f"SMS_Client.TriggerSchedule({schedule})")
    return {"ReturnValue": 0}


def _plain(pc: PcState, _: Properties, arguments: dict[str, Any], *, name: str) -> dict[str, Any]:
    _client(pc).check_method(pc, name)
    pc.record(f"SMS_Client.{name}")
    return {"ReturnValue": 0}


def _assigned_site(pc: PcState, _: Properties, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"sSiteCode": _client(pc).site_code, "ReturnValue": 0}


def _requests(pc: PcState) -> Iterable[Properties]:
    for number, item in enumerate(_client(pc).task_sequences):
        yield {
            "CompletionState": item.completion_state,
            "ContentID": item.content_id,
            "MIFPackageName": item.package_name,
            "RequestID": f"{{{number:08X}-0000-0000-0000-000000000000}}",
            "RunningState": item.running_state,
            "State": item.state,
        }


def _inventory(pc: PcState) -> Iterable[Properties]:
    installed = pc.booted - timedelta(days=1)
    for action in ("{00000000-0000-0000-0000-000000000001}", "{00000000-0000-0000-0000-000000000003}"):
        yield {"InventoryActionID": action, "LastCycleStartedDate": installed, "LastReportDate": installed}


def _components(pc: PcState) -> Iterable[Properties]:
    for name in ("CcmFramework", "SmsClient", "CcmPolicyAgent"):
        yield {"DisplayName": name, "Name": name, "Version": _client(pc).version}


_STRING = "string"
CLASSES = (
    CimClass(
        "root/ccm",
        "SMS_Client",
        {
            **{"AllowLocalAdminOverride": "boolean", "ClientType": "uint32", "ClientVersion": _STRING},
            "EnableAutoAssignment": "boolean",
        },
        _sms_client,
        methods={
            # its return type is not published: modelled without a return value
            "SetClientProvisioningMode": Method({"bEnable": "boolean"}, _set_mode, static=True),
            "TriggerSchedule": Method({"sScheduleID": _STRING}, _trigger, static=True),
            "GetAssignedSite": Method({}, _assigned_site, static=True),
            "ResetPolicy": Method({"uFlags": "uint32"}, partial(_plain, name="ResetPolicy"), static=True),
            "RequestMachinePolicy": Method({}, partial(_plain, name="RequestMachinePolicy"), static=True),
            "EvaluateMachinePolicy": Method({}, partial(_plain, name="EvaluateMachinePolicy"), static=True),
            "SetAssignedSite": Method({"sSiteCode": _STRING}, partial(_plain, name="SetAssignedSite"), static=True),
        },
    ),
    CimClass(
        "root/ccm",
        "CCM_InstalledComponent",
        dict.fromkeys(("DisplayName", "Name", "Version"), _STRING),
        _components,
        keys=("Name",),
    ),
    CimClass(
        "root/ccm/softmgmtagent",
        "CCM_TSExecutionRequest",
        dict.fromkeys(
            ("CompletionState", "ContentID", "MIFPackageName", "RequestID", "RunningState", "State"), _STRING
        ),
        _requests,
        keys=("RequestID",),
    ),
    CimClass(
        "root/ccm/invagt",
        "InventoryActionStatus",
        {"InventoryActionID": _STRING, "LastCycleStartedDate": "datetime", "LastReportDate": "datetime"},
        _inventory,
        keys=("InventoryActionID",),
    ),
)


def install(pc: PcState, version: str, *, values: Mapping[str, tuple[RegType, Any]] | None = None) -> Client:
    """Install a client on a PC: service, registry, files; *values* are the values of the CcmExec key."""
    pc.client = Client(version, pc.now())
    pc.services.put(
        Service("CcmExec", "SMS Agent Host", path_name="C:\\Windows\\CCM\\CcmExec.exe", depends_on=("Winmgmt",))
    )
    pc.services.put(
        Service(
            *("smstsmgr", "ConfigMgr Task Sequence Agent", "Stopped", "Manual"),
            path_name="C:\\Windows\\CCM\\TSManager.exe /service",
            depends_on=("Winmgmt",),
        )
    )
    healthy = {"ProvisioningMode": (RegType.SZ, "false"), "SystemTaskExcludes": (RegType.SZ, "")}
    pc.registry.create_key(HKLM, KEY)
    for name, (kind, data) in (healthy if values is None else values).items():
        pc.registry.set(HKLM, KEY, name, kind, data)
    pc.registry.set(HKLM, "SOFTWARE\\Microsoft\\SMS\\Mobile Client", "AssignedSiteCode", RegType.SZ, "PS1")
    pc.registry.create_key(HKLM, "SOFTWARE\\Microsoft\\CCM\\CcmEval")
    pc.files.make_folder("C:\\Windows\\ccmsetup")
    pc.files.write("C:\\Windows\\CCM\\CcmExec.exe", b"MZ\x90\x00", pc.booted)
    pc.files.write("C:\\Windows\\CCM\\CcmEvalReport.xml", b"<ClientHealthReport/>", pc.now() - timedelta(hours=9))
    pc.processes.start("CcmExec.exe", "C:\\Windows\\CCM\\CcmExec.exe", pc.booted)
    return pc.client
