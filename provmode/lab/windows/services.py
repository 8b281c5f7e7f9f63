"""Services and processes, with the return codes of ``Win32_Service`` (Microsoft, "Win32_Service class")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from provmode.lab.windows.store import RegType, RegValue

OK, NOT_SUPPORTED, DEPENDENTS_RUNNING, CANNOT_ACCEPT, NOT_ACTIVE = 0, 1, 3, 5, 6
ALREADY_RUNNING, DEPENDENCY_FAILED, DISABLED, INVALID_PARAMETER = 10, 13, 14, 21

KEY = "HKLM\\SYSTEM\\CurrentControlSet\\Services"
Shown = Literal["whole", "named", "hidden"]


@dataclass(frozen=True)
class Service:
    """One service."""

    name: str
    display_name: str
    state: str = "Running"
    start_mode: str = "Auto"
    path_name: str = "C:\\Windows\\system32\\svchost.exe -k netsvcs -p"
    account: str = "LocalSystem"
    depends_on: tuple[str, ...] = ()
    class_name: str = "Win32_Service"
    """``Win32_TerminalService`` for the one service of a derived class."""
    shown: Shown = "whole"
    """What WMI shows the account of it, by the service's own security descriptor: ``whole``, ``named`` (its state and
    start mode are ``Unknown``) or ``hidden``."""

    def key(self) -> tuple[str, dict[str, RegValue]]:
        """Return its registry key, in which the service manager keeps it; every account may read it."""
        values = [
            RegValue("Type", RegType.DWORD, 16),
            RegValue("Start", RegType.DWORD, {"Auto": 2, "Manual": 3}.get(self.start_mode, 4)),
            RegValue("ErrorControl", RegType.DWORD, 1),
            RegValue("ImagePath", RegType.EXPAND_SZ, self.path_name),
            RegValue("DisplayName", RegType.SZ, self.display_name),
            RegValue("ObjectName", RegType.SZ, self.account),
        ]
        if self.depends_on:
            values.append(RegValue("DependOnService", RegType.MULTI_SZ, self.depends_on))
        return f"{KEY}\\{self.name}", {value.name.lower(): value for value in values}


class ServiceControl:
    """One PC's services, copy-on-write over a shared table."""

    __slots__ = ("_base", "_changed", "_own", "_record")

    def __init__(
        self, base: Mapping[str, Service], record: Callable[[str], None], changed: Callable[[str], None]
    ) -> None:
        self._base = base
        self._own: dict[str, Service | None] = {}
        self._record = record
        self._changed = changed

    def __iter__(self) -> Iterator[Service]:
        """Yield every service, by name."""
        names = sorted({*self._base, *self._own})
        return (service for name in names if (service := self.get(name)) is not None)

    def get(self, name: str) -> Service | None:
        """Return a service; ``None``: no such service."""
        key = name.lower()
        return self._own[key] if key in self._own else self._base.get(key)

    def put(self, service: Service) -> None:
        """Add or replace a service without recording; for building a PC and for what it does by itself."""
        self._own[service.name.lower()] = service

    def remove(self, name: str) -> None:
        """Remove a service; for building a PC."""
        self._own[name.lower()] = None

    def start(self, name: str) -> int:
        """Start a service and what it depends on."""
        service = self._existing(name)
        if service.state in ("Running", "Start Pending"):
            return ALREADY_RUNNING
        if service.start_mode == "Disabled":
            return DISABLED
        for needed in service.depends_on:
            other = self.get(needed)
            if other is None or (other.state != "Running" and self.start(needed) != OK):
                return DEPENDENCY_FAILED
        self._set(replace(service, state="Running"), f"service {service.name} started")
        return OK

    def stop(self, name: str) -> int:
        """Stop a service, unless a running service depends on it."""
        service = self._existing(name)
        if service.state == "Stopped":
            return CANNOT_ACCEPT
        if any(name.lower() in map(str.lower, other.depends_on) and other.state == "Running" for other in self):
            return DEPENDENTS_RUNNING
        self._set(replace(service, state="Stopped"), f"service {service.name} stopped")
        return OK

    def pause(self, name: str) -> int:
        """Fail: none of the modelled services can be paused."""
        return CANNOT_ACCEPT if self._existing(name).state == "Running" else NOT_ACTIVE

    def change_start_mode(self, name: str, mode: str) -> int:
        """Set the start mode: ``Automatic``, ``Manual``, ``Disabled`` (``Boot`` and ``System``: drivers only)."""
        modes = {"automatic": "Auto", "auto": "Auto", "manual": "Manual", "disabled": "Disabled"}
        if mode.lower() not in modes:
            return INVALID_PARAMETER
        service = replace(self._existing(name), start_mode=modes[mode.lower()])
        self.put(service)
        self._record(f"service {service.name} start mode {service.start_mode}")
        return OK

    def change_dependencies(self, name: str, names: tuple[str, ...]) -> int:
        """Set the services that have to run before this one; an empty name is none."""
        wanted = tuple(each for each in names if each)
        if any(self.get(each) is None for each in wanted):
            return INVALID_PARAMETER
        service = replace(self._existing(name), depends_on=wanted)
        self.put(service)
        self._record(f"service {service.name} depends on {', '.join(wanted) or 'nothing'}")
        return OK

    def _existing(self, name: str) -> Service:
        service = self.get(name)
        if service is None:
            raise KeyError(name)
        return service

    def _set(self, service: Service, change: str) -> None:
        self.put(service)
        self._record(change)
        self._changed(service.name)


@dataclass(frozen=True)
class Process:
    """One running process."""

    name: str
    pid: int
    parent: int
    command_line: str
    created: datetime


class Processes:
    """One PC's processes: a shared list, and the processes started or ended since."""

    __slots__ = ("_base", "_created", "_ended", "_next", "_own", "started")

    def __init__(self, base: tuple[str, ...], created: datetime) -> None:
        self._base = base
        self._created = created
        self._own: dict[int, Process] = {}
        self._ended: set[int] = set()
        self._next = 9000
        self.started: list[str] = []
        """Command lines started from outside, in order."""

    def __iter__(self) -> Iterator[Process]:
        """Yield every process."""
        for number, name in enumerate(self._base):
            pid = 4 * (number + 1)
            if pid not in self._ended:
                yield Process(name, pid, 4, name, self._created)
        yield from self._own.values()

    def start(self, name: str, command_line: str, now: datetime) -> Process:
        """Start a process."""
        self._next += 4
        process = self._own[self._next] = Process(name, self._next, 704, command_line, now)
        return process

    def end(self, pid: int) -> bool:
        """End a process; return whether it existed."""
        if self._own.pop(pid, None) is not None:
            return True
        alive = any(process.pid == pid for process in self)
        self._ended.add(pid)
        return alive

    def end_all(self, name: str) -> None:
        """End every process called *name*."""
        for process in [process for process in self if process.name.lower() == name.lower()]:
            self.end(process.pid)
