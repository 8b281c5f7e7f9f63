"""The cases an audit meets: how to build a PC of each, and the verdict an audit must give it.

Every persona keeps well away from the edges of the default policy (minimum age 4 h, one hour of grace, 5 minutes of
clock skew), so that a seed never decides a verdict. The PC's clock counts: by the controller's clock,
``wrong-clock`` is over its limit.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from provmode.lab.packages import cases, inbox
from provmode.lab.packages.cases import INBOX
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.configmgr import DEFAULT_MINUTES, EXCLUDES, KEY, TCF_PATH, Client, TaskSequence, install
from provmode.lab.windows.deployments import Deployment, Kind, PendingRestart, ServiceWindow, WindowType
from provmode.lab.windows.pc import PC
from provmode.lab.windows.schema import unix
from provmode.lab.windows.store import HKLM, RegType

MODERN = ("5.00.9128.1007", "5.00.9122.1033", "5.00.9106.1022", "5.00.9078.1025", "5.00.8913.1012", "5.00.8790.1007")
OLD = ("5.00.8740.1024", "5.00.8692.1003", "5.00.8634.1007", "5.00.8325.1000", "5.00.7958.1000")

Build = Callable[[PC, random.Random], None]


@dataclass(frozen=True)
class Persona:
    """One case."""

    name: str
    verdict: str
    """What an audit with the default policy must say."""
    build: Build
    share: float
    """Its share of a fleet, relative to the other personas."""
    network: str = "answers"
    """How the network reaches it: a value of `provmode.lab.server.hosting.Network`."""
    cause: str | None = None
    """The cause of ``unassessed``."""
    latency: float = 0.0
    """Seconds every answer takes."""
    skew: timedelta = timedelta(0)
    """How far the PC's clock is ahead."""


# -- parts ------------------------------------------------------------------------------------------------------


def _true_text(rng: random.Random) -> str:
    return rng.choice(("true", "true", "True", "TRUE"))


def _enabled_time(rng: random.Random, when: datetime) -> tuple[RegType, Any]:
    """Return ProvisioningEnabledTime in one of the registry types that occur in the field."""
    kind = rng.choice((RegType.QWORD, RegType.QWORD, RegType.DWORD, RegType.SZ))
    return kind, str(unix(when)) if kind is RegType.SZ else unix(when)


def _in_mode(pc: PC, rng: random.Random, version: str, age: timedelta | None) -> Client:
    """Put a client into the mode; *age* ``None`` leaves no time stamp behind."""
    values: dict[str, tuple[RegType, Any]] = {
        "ProvisioningMode": (RegType.SZ, _true_text(rng)),
        "SystemTaskExcludes": (RegType.SZ, EXCLUDES),
    }
    if age is not None:
        values["ProvisioningEnabledTime"] = _enabled_time(rng, pc.now() - age)
    client = install(pc, version, values=values)
    client.in_mode = True
    client.deployments = _deployments(pc, rng)
    return client


_REQUIRED = {
    "7-Zip 24.09": Kind.APPLICATION,
    "Contoso VPN 5.2": Kind.PROGRAM,
    "Office Update": Kind.SOFTWARE_UPDATE,
    "Defender Platform": Kind.SOFTWARE_UPDATE,
    "Feature Update 24H2": Kind.SOFTWARE_UPDATE,
}


def _deployments(pc: PC, rng: random.Random) -> list[Deployment]:
    chosen = rng.sample(tuple(_REQUIRED), rng.randint(0, 3))
    return [
        Deployment(name, pc.now() + timedelta(hours=rng.choice((-200, -30, -5, 48))), _REQUIRED[name])
        for name in chosen
    ]


def _add_client_sdk_data(pc: PC, client: Client, rng: random.Random) -> None:
    """Add what ClientSDK shows: deployments that leaving the mode does not start, service windows, a pending restart.

    *rng* is a stream of its own, so that changes here do not change what a persona draws.
    """
    now = pc.now().replace(second=0, microsecond=0)
    client.deployments += [
        item
        for item in (
            Deployment("Company Portal 11.2", now - timedelta(days=60), Kind.APPLICATION, installed=True),
            Deployment("Notepad++ 8.7", None, Kind.APPLICATION),
        )
        if rng.random() < 0.7
    ]

    def window(kind: WindowType, begins: timedelta, hours: int, every: int) -> ServiceWindow:
        identifier = f"{{{str(UUID(int=rng.getrandbits(128), version=4)).upper()}}}"
        return ServiceWindow(identifier, kind, now + begins, timedelta(hours=hours), timedelta(days=every))

    hours = timedelta(hours=rng.choice((-5, -2, 4, 9)))
    client.service_windows = [window(WindowType.NON_WORKING_HOURS, hours, 9, 1)]
    kind = rng.choice((WindowType.ALL_PROGRAMS, WindowType.SOFTWARE_UPDATES))
    begins = rng.choice((None, None, timedelta(hours=-1), timedelta(hours=30)))
    if begins is not None:  # open now, or later
        client.service_windows.append(window(kind, begins, 6, 7))
    if rng.random() < 0.2:
        deadline = rng.choice((None, now + timedelta(hours=rng.randint(2, 40))))
        client.pending_restart = PendingRestart(deadline, hard=rng.random() < 0.3)


def _start_processes(pc: PC, *names: str) -> None:
    for name in names:
        pc.processes.start(name, f"C:\\Windows\\CCM\\{name}", pc.now() - timedelta(minutes=12))


def _set_service(pc: PC, name: str, state: str | None = None, start_mode: str | None = None) -> None:
    service = pc.services.get(name)
    assert service is not None
    service = replace(service, state=state or service.state, start_mode=start_mode or service.start_mode)
    pc.services.put(service)


_HEADER = "; mobileclient.tcf\r\n[IDENT]\r\nTYPE=Target Configuration File\r\n\r\n[Site]\r\nSMSSITECODE=PS1\r\n"


def _write_tcf(pc: PC, rng: random.Random, *, armed: bool) -> None:
    """Write MobileClient.TCF in one of several encodings, with one of several line endings."""
    properties = "INSTALL=ALL SMSSITECODE=PS1 CCMLOGLEVEL=1 SMSMP=mp01.corp.example"
    line = ""
    if armed and rng.random() < 0.5:
        entry = rng.choice(("SMSPROVISIONINGMODE=1", 'SMSPROVISIONINGMODE="1"', "smsprovisioningmode=1"))
        properties = rng.choice((f"{properties} {entry}", properties.replace(" CCM", f" {entry} CCM")))
    elif armed:
        line = rng.choice(("SMSPROVISIONINGMODE=1\r\n", "SmsProvisioningMode = 1\r\n"))
    elif rng.random() < 0.3:
        line = "SMSPROVISIONINGMODE=0\r\n"
    text = f"{_HEADER}\r\n[Client Install]\r\nInstall={properties}\r\n{line}SMSPublicRootKey=0602000000A40000\r\n"
    text = rng.choice((text, text.rstrip(), text.replace("\r\n", "\n")))
    encoding = rng.choice(("cp1252", "cp1252", "utf-8-sig", "utf-16"))
    data = b"\xff\xfe" + text.encode("utf-16-le") if encoding == "utf-16" else text.encode(encoding)
    pc.files.write(TCF_PATH, data, pc.now() - timedelta(days=90))


def _usually_write_tcf(pc: PC, rng: random.Random) -> None:
    if rng.random() < 0.8:
        _write_tcf(pc, rng, armed=False)


# -- personas ---------------------------------------------------------------------------------------------------


def _healthy(pc: PC, rng: random.Random) -> None:
    values: dict[str, tuple[RegType, Any]] = {}
    if rng.random() < 0.85:
        values = {
            "ProvisioningMode": (RegType.SZ, rng.choice(("false", "false", "False"))),
            "SystemTaskExcludes": (RegType.SZ, ""),
        }
        if rng.random() < 0.5:  # left the mode long ago: the time stamp stays
            values["ProvisioningEnabledTime"] = _enabled_time(rng, pc.now() - timedelta(days=rng.randint(20, 300)))
    install(pc, rng.choice(MODERN + OLD[:1]), values=values)
    _usually_write_tcf(pc, rng)


def _osd_running(pc: PC, rng: random.Random) -> None:
    client = _in_mode(pc, rng, rng.choice(MODERN), timedelta(minutes=rng.randint(8, 170)))
    ends = pc.now() + timedelta(minutes=rng.randint(30, 90))
    client.task_sequences = [TaskSequence("PS100021", "Windows 11 24H2 bare metal", ends=ends)]
    _start_processes(pc, "TSManager.exe", "TsProgressUI.exe")
    _set_service(pc, "smstsmgr", "Running")
    _usually_write_tcf(pc, rng)


def _upgrade_running(pc: PC, rng: random.Random) -> None:
    client = _in_mode(pc, rng, rng.choice(MODERN + OLD[:2]), timedelta(minutes=rng.randint(15, 600)))
    client.task_sequences = [TaskSequence("PS100042", "In-place upgrade to Windows 11 24H2")]
    _start_processes(pc, "TSManager.exe", "SetupHost.exe")
    if rng.random() < 0.6:  # the step Upgrade Operating System stops and disables CcmExec
        _set_service(pc, "CcmExec", "Stopped", "Disabled")
    if rng.random() < 0.4:
        pc.registry.set(HKLM, "SYSTEM\\Setup", "SystemSetupInProgress", RegType.DWORD, 1)
        pc.registry.set(HKLM, "SYSTEM\\Setup", "Upgrade", RegType.DWORD, 1)
    _usually_write_tcf(pc, rng)


def _self_healing(pc: PC, rng: random.Random) -> None:
    _in_mode(pc, rng, rng.choice(MODERN), timedelta(minutes=rng.randint(5 * 60, 30 * 60)))
    if rng.random() < 0.3:
        pc.registry.set(HKLM, KEY, "ProvisioningMaxMinutes", RegType.DWORD, rng.choice((0, 2880, 4320)))
    _usually_write_tcf(pc, rng)


def _wrong_clock(pc: PC, rng: random.Random) -> None:
    """Put a client into the mode so long ago that its limit has passed by every clock but its own."""
    limit = rng.choice((None, None, 0, 2880, 4320))
    age = timedelta(minutes=(limit or DEFAULT_MINUTES) - rng.randint(2 * 60, 4 * 60))
    _in_mode(pc, rng, rng.choice(MODERN), age)
    if limit is not None:
        pc.registry.set(HKLM, KEY, "ProvisioningMaxMinutes", RegType.DWORD, limit)
    _usually_write_tcf(pc, rng)


def _stuck_old_client(pc: PC, rng: random.Random) -> None:
    client = _in_mode(pc, rng, rng.choice(OLD), None)
    if rng.random() < 0.4:  # the task sequence died and its request stayed
        client.task_sequences = [TaskSequence("PS100033", "Windows 10 1809 upgrade", "Running", "Running")]
    _usually_write_tcf(pc, rng)


def _stuck_no_enabled_time(pc: PC, rng: random.Random) -> None:
    _in_mode(pc, rng, rng.choice(MODERN), None)
    _usually_write_tcf(pc, rng)


def _stuck_service_disabled(pc: PC, rng: random.Random) -> None:
    client = _in_mode(pc, rng, rng.choice(MODERN), timedelta(hours=rng.randint(6, 36)))
    _set_service(pc, "CcmExec", "Stopped", "Disabled")
    pc.registry.set(HKLM, "SOFTWARE\\Microsoft\\CCM\\CcmEval", "NotifyOnly", RegType.SZ, "True")
    client.health_task_enabled = rng.random() < 0.7
    _usually_write_tcf(pc, rng)


def _overdue(pc: PC, rng: random.Random) -> None:
    client = _in_mode(pc, rng, rng.choice(MODERN), timedelta(hours=rng.randint(60, 900)))
    client.time_out_broken = True
    if rng.random() < 0.5:
        _set_service(pc, "CcmExec", "Stopped", "Disabled")
        client.health_task_enabled = False
    if rng.random() < 0.3:
        _write_tcf(pc, rng, armed=True)


def _half_exited(pc: PC, rng: random.Random) -> None:
    client = _in_mode(pc, rng, rng.choice(MODERN + OLD), timedelta(days=rng.randint(2, 40)))
    pc.registry.set(HKLM, KEY, "ProvisioningMode", RegType.SZ, "false")  # somebody's script
    client.time_out_broken = True
    _usually_write_tcf(pc, rng)


def _armed(pc: PC, rng: random.Random) -> None:
    _healthy(pc, rng)
    _write_tcf(pc, rng, armed=True)


def _client_broken(pc: PC, rng: random.Random) -> None:
    client = install(pc, rng.choice(MODERN))
    client.wmi_present = False
    _usually_write_tcf(pc, rng)


def _no_client(pc: PC, rng: random.Random) -> None:
    """Leave the PC as Windows was installed."""


PERSONAS: tuple[Persona, ...] = (
    Persona("healthy", "healthy", _healthy, 55),
    Persona("osd-running", "in-progress", _osd_running, 2),
    Persona("upgrade-running", "in-progress", _upgrade_running, 3),
    Persona("self-healing", "self-healing", _self_healing, 3),
    Persona("stuck-old-client", "stuck", _stuck_old_client, 2),
    Persona("stuck-no-enabled-time", "stuck", _stuck_no_enabled_time, 1),
    Persona("stuck-service-disabled", "stuck", _stuck_service_disabled, 1.5),
    Persona("overdue", "overdue", _overdue, 3),
    Persona("half-exited", "half-exited", _half_exited, 2),
    Persona("armed", "armed", _armed, 3),
    Persona("client-broken", "client-broken", _client_broken, 1.5),
    Persona("no-client", "no-client", _no_client, 2),
    Persona("wrong-clock", "self-healing", _wrong_clock, 1, skew=timedelta(hours=-7)),
    Persona("slow", "healthy", _healthy, 1, latency=0.15),
    Persona("refused", "unassessed", _healthy, 3, network="refused", cause="refused"),
    Persona("black-hole", "unassessed", _healthy, 8, network="black-hole", cause="connect-timeout"),
    Persona("unresolvable-name", "unassessed", _healthy, 2, network="unresolvable", cause="name-resolution"),
    Persona("bad-certificate", "unassessed", _healthy, 1, network="bad-certificate", cause="tls"),
    Persona("wrong-password", "unassessed", _healthy, 1.5, network="wrong-password", cause="auth"),
    Persona("access-denied", "unassessed", _healthy, 1.5, network="access-denied", cause="access-denied"),
    Persona("quota-exceeded", "unassessed", _healthy, 1, network="quota", cause="quota"),
    Persona("dies-in-mid-answer", "unassessed", _healthy, 1, network="dies", cause="protocol"),
)
BY_NAME = {persona.name: persona for persona in PERSONAS}
DESCRIPTIONS = {
    "healthy": "never in the mode, or left it long ago",
    "osd-running": "in the mode while a bare-metal task sequence runs; it ends well within 90 minutes",
    "upgrade-running": "in the mode while an in-place upgrade runs, often with CcmExec stopped and disabled",
    "self-healing": "in the mode for 5 to 30 hours, its time limit still ahead",
    "stuck-old-client": "in the mode; the client is older than 5.00.8790 and has no time limit",
    "stuck-no-enabled-time": "in the mode without `ProvisioningEnabledTime`, from which the limit counts",
    "stuck-service-disabled": "in the mode, CcmExec disabled, and the client's own repair only notifies",
    "overdue": "in the mode long after its limit; half of them with CcmExec disabled",
    "half-exited": "somebody set `ProvisioningMode` to `false` in the registry; the system tasks are still excluded",
    "armed": "healthy, but `MobileClient.TCF` carries `SMSPROVISIONINGMODE=1`",
    "client-broken": "CcmExec runs, but WMI has no `root\\ccm`",
    "no-client": "Windows without a ConfigMgr client",
    "wrong-clock": "in the mode, 2 to 4 hours before its limit by its own clock, which is 7 hours slow",
    "slow": "healthy, and takes 150 ms for every answer",
    "refused": "nothing listens on its port",
    "black-hole": "attempts to connect get no answer, as with a firewall or a PC that is off",
    "unresolvable-name": "no DNS server knows its name",
    "bad-certificate": "listens on HTTPS, with a self-signed certificate for another name",
    "wrong-password": "the account has another password here",
    "access-denied": "the account may log on, but every operation is denied",
    "quota-exceeded": "the account's quota of operations is always used up",
    "dies-in-mid-answer": "the connection breaks in the middle of every answer",
}
"""What each persona is, in one line: the table in docs/lab.md."""

_SYSTEMS = (
    ("10.0.26100", "Microsoft Windows 11 Enterprise"),
    ("10.0.22631", "Microsoft Windows 11 Enterprise"),
    ("10.0.19045", "Microsoft Windows 10 Enterprise"),
    ("10.0.17763", "Microsoft Windows 10 Enterprise LTSC"),
    ("10.0.20348", "Microsoft Windows Server 2022 Standard"),
)


def build_pc(
    persona: Persona, name: str, seed: int, start: datetime, seconds: Callable[[], float], packages: str = INBOX
) -> PC:
    """Build the PC *name* of *persona*; *start* is the true time, *seconds* the lab's clock.

    *packages* is its kind by its provisioning packages (`provmode.lab.packages.cases`).
    """
    rng = random.Random(seed)  # noqa: S311 - variety, not secrecy
    version, caption = rng.choice(_SYSTEMS)
    pc = PC(
        name,
        Clock(start + persona.skew, seconds),
        os_version=version,
        caption=caption,
        utc_offset_minutes=rng.choice((-480, -300, 0, 60, 60, 120, 330, 345)),
        german=rng.random() < 0.15,
        up=timedelta(minutes=rng.randint(200, 20_000)),
        keys=inbox.keys(),
        files=inbox.files(),
    )
    persona.build(pc, rng)
    if isinstance(pc.client, Client):
        _add_client_sdk_data(pc, pc.client, random.Random(f"{seed} ClientSDK"))  # noqa: S311
    cases.build(pc, cases.BY_NAME[packages])
    pc.start_recording()
    return pc
