"""The state of one modelled PC, below CIM.

Every change is recorded in `PcState.mutations` with its ``road``: ``cim`` or ``shell`` over WinRM, ``self`` for the PC
itself, ``hand`` for a user at the PC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from provmode.lab.windows.base import CHANNELS, DRIVES, FILES, KEYS, PROCESSES, SERVICES
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.events import EventLog
from provmode.lab.windows.provisioning import PackageFacts
from provmode.lab.windows.services import Processes, ServiceControl
from provmode.lab.windows.store import Drive, File, FileSystem, Keys, Registry


class ConfigMgrClient(Protocol):
    """What the PC needs of its ConfigMgr client (`provmode.lab.windows.configmgr.Client`)."""

    wmi_present: bool
    health_task_enabled: bool

    def tick(self, pc: PcState) -> None:
        """Do what is due by the PC's own clock."""

    def service_changed(self, pc: PcState) -> None:
        """Note that CcmExec was started or stopped."""


class Provisioning(Protocol):
    """The engine of one PC; every operation raises `ProvisioningFailed`."""

    def tick(self, pc: PcState) -> None:
        """Do what is due by the PC's own clock."""

    def add(self, pc: PcState, path: str, *, force: bool = False) -> PackageFacts:
        """Apply the package in a file; *force*: also if it is there already."""

    def remove(self, pc: PcState, package_id: str) -> PackageFacts:
        """Remove a package; what it had set is reverted only in part."""

    def facts(self, pc: PcState, path: str) -> PackageFacts:
        """Return what a file holds."""

    def installed(self, pc: PcState) -> Sequence[PackageFacts]:
        """Return the packages that are applied, in the order in which they were."""

    def trust(self, pc: PcState, path: str) -> str:
        """Trust the certificate in a file, or the one a package in it is signed with; return its thumbprint."""

    def distrust(self, pc: PcState, thumbprint: str) -> None:
        """Trust a certificate no longer."""

    def trusted(self, pc: PcState) -> Mapping[str, bytes]:
        """Return the trusted certificates in DER by thumbprint."""


@dataclass(frozen=True)
class Mutation:
    """One change of a PC."""

    when: datetime
    what: str
    road: str
    """``cim``, ``shell``, ``self`` or ``hand``."""

    def to_json(self) -> dict[str, str]:
        """Return the fields by name."""
        return {"when": self.when.isoformat(), "what": self.what, "road": self.road}


class PcState:
    """One modelled PC without its CIM: registry, files, services, processes, clock, and the ConfigMgr client."""

    def __init__(
        self,
        computer_name: str,
        clock: Clock,
        *,
        os_version: str = "10.0.22631",
        caption: str = "Microsoft Windows 11 Enterprise",
        utc_offset_minutes: int = 0,
        german: bool = False,
        up: timedelta = timedelta(days=3),
        keys: Keys = KEYS,
        files: Mapping[str, File] = FILES,
    ) -> None:
        self.computer_name = computer_name
        self.clock = clock
        self.os_version = os_version
        self.caption = caption
        self.model = "Lab PC"
        self.utc_offset_minutes = utc_offset_minutes
        self.german = german
        self.booted = clock.now() - up
        self.mutations: list[Mutation] = []
        self._road = "build"
        self.registry = Registry(keys, self.record, self._service_keys)
        self.files = FileSystem(files, self.record)
        self.services = ServiceControl(SERVICES, self.record, self._service_changed)
        self.processes = Processes(PROCESSES, self.booted)
        self.events = EventLog(CHANNELS)
        self.drives: list[Drive] = list(DRIVES)
        self.client: ConfigMgrClient | None = None
        self.packages: Provisioning | None = None
        self.constrained_language = False
        """PowerShell runs in constrained language mode, as under an application control policy."""
        self.protected: tuple[str, ...] = ()
        """Prefixes of paths, lower case, that the account must not read or write."""

    def start_recording(self) -> None:
        """Record changes from now on, by default as made by a user at the PC; the PC is built."""
        self._road = "hand"

    @property
    def netbios_name(self) -> str:
        """The name in capitals, cut to 15 characters."""
        return self.computer_name.upper()[:15]

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables by lower-case name."""
        return {
            **{"windir": "C:\\Windows", "systemroot": "C:\\Windows", "systemdrive": "C:", "os": "Windows_NT"},
            **{"programdata": "C:\\ProgramData", "comspec": "C:\\Windows\\system32\\cmd.exe"},
            **{"temp": "C:\\Windows\\TEMP", "tmp": "C:\\Windows\\TEMP", "computername": self.netbios_name},
            **{"programfiles": "C:\\Program Files", "path": "C:\\Windows\\system32;C:\\Windows"},
        }

    def now(self) -> datetime:
        """Return the PC's own time, UTC."""
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        """Move the clock on by *seconds*, and do in order what the PC does by itself in that time."""
        self.clock.advance(timedelta(seconds=seconds))
        self.tick()

    def tick(self) -> None:
        """Do what is due by the PC's own clock."""
        with self.changes_by("self"):
            if self.client is not None:
                self.client.tick(self)
            if self.packages is not None:
                self.packages.tick(self)

    @contextmanager
    def changes_by(self, road: str) -> Iterator[None]:
        """Record changes inside the block with *road*."""
        before, self._road = self._road, road
        try:
            yield
        finally:
            self._road = before

    def record(self, what: str) -> None:
        """Record a change."""
        if self._road != "build":
            self.mutations.append(Mutation(self.clock.now(), what, self._road))

    def _service_keys(self) -> Keys:
        keys = (service.key() for service in self.services)
        return {key[0].lower(): key for key in keys}

    def _service_changed(self, name: str) -> None:
        if self.client is not None and name.lower() == "ccmexec":
            self.client.service_changed(self)
