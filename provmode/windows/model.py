"""What is read from any Windows PC: services, Setup, the clock, the operating system, files. Plain values.

A value exists only if the PC gave all of its parts. Otherwise the `Reading` around it is absent or unknown.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provmode.reading import Known, Reading, Unknown, plain


class JsonRecord:
    """A dataclass that becomes JSON by its field names."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Service(JsonRecord):
    """A Windows service, as ``Win32_Service`` has it."""

    name: str
    state: str
    """``Running``, ``Stopped``, ``Start Pending`` ..."""
    start_mode: str
    """``Auto``, ``Manual``, ``Disabled``."""

    @property
    def disabled(self) -> bool:
        """Whether the service cannot start."""
        return self.start_mode.lower() == "disabled"

    @property
    def running(self) -> bool:
        """Whether the service runs."""
        return self.state.lower() == "running"

    @property
    def told(self) -> bool:
        """Whether the PC told state and start mode: both can be ``Unknown`` or empty for an account without rights."""
        return not {self.state.strip().lower(), self.start_mode.strip().lower()} & {"", "unknown"}


def told(service: Reading[Service]) -> Reading[Service]:
    """Return *service*, or "could not tell" if the PC named the service and told nothing of it."""
    if not isinstance(service, Known) or service.value.told:
        return service
    name, state, mode = (text or "empty" for text in vars(service.value).values())
    detail = f"service {name}: the PC does not tell this account its state ({state}) or start mode ({mode})"
    return Unknown("access-denied", detail)


@dataclass(frozen=True)
class ProcessStart(JsonRecord):
    """Since when a process runs."""

    name: str
    started: datetime
    """UTC, by the PC's clock."""


@dataclass(frozen=True)
class Setup(JsonRecord):
    """Windows Setup's flags under ``HKLM\\SYSTEM\\Setup``."""

    system_setup_in_progress: bool
    oobe_in_progress: bool
    setup_type: int
    """Not 0: Setup takes over the next start of Windows."""
    setup_phase: int
    upgrade: bool
    command_line: str
    """What Setup runs at the next start."""

    @property
    def running(self) -> bool:
        """Whether Setup is at work, or takes over the next start."""
        return self.system_setup_in_progress or self.oobe_in_progress or self.setup_type != 0 or self.upgrade


@dataclass(frozen=True)
class PcClock(JsonRecord):
    """The PC's own clock."""

    now: datetime
    """UTC."""
    utc_offset_minutes: int
    last_boot: datetime | None
    """UTC; ``None`` if the PC does not say it, or says no time."""


@dataclass(frozen=True)
class WindowsVersion(JsonRecord):
    """Which Windows it is."""

    caption: str
    """``Microsoft Windows 11 Enterprise``; localised."""
    version: str
    """``10.0.26100``."""
    build: int
    """``26100``."""
    architecture: str
    """``64-bit``; localised."""
    windows_directory: str
    """``C:\\Windows``."""


@dataclass(frozen=True)
class FileInfo(JsonRecord):
    """A file, as ``CIM_DataFile`` has it."""

    path: str
    size: int
    """Bytes."""
    created: datetime | None
    """UTC, like the two below."""
    modified: datetime | None
    accessed: datetime | None
