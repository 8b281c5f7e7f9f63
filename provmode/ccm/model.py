"""What was read from one ConfigMgr client: every field is a `Reading`, so that "could not tell" is never a default.

Every client gets the first round of questions. Only a client in the mode, or half out of it, gets the second
(`needs_more`).
Sources of the fields: Microsoft, "Provisioning mode" (registry values), "CCM_TSExecutionRequest" and "SMS_Client"
class references, and the registry of clients as published scripts read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from provmode.reading import NOT_READ, Absent, Known, Reading, from_json, known
from provmode.windows.model import JsonRecord, PcClock, ProcessStart, Service, Setup

DEFAULT_MAX_MINUTES = 2880
"""48 hours: the time limit if `ProvisioningMaxMinutes` is absent or 0. Microsoft, "Provisioning mode"."""
CHECK_INTERVAL = timedelta(minutes=60)
"""How often the client checks whether its time in the mode is over. Microsoft, "Provisioning mode"."""
NEVER_MINUTES = 10 * 366 * 24 * 60
"""A time limit of more minutes, ten years, is none: 4294967295 is the largest number in a REG_DWORD."""


@dataclass(frozen=True)
class TcfFile(JsonRecord):
    """One `MobileClient.TCF` on the PC."""

    path: str
    armed: bool
    """Whether the file contains ``SMSPROVISIONINGMODE=1``."""
    encoding: str
    entries: tuple[str, ...]
    """The lines that contain the entry."""


@dataclass(frozen=True)
class TaskSequence(JsonRecord):
    """One ``CCM_TSExecutionRequest``: a task sequence that runs, waits, or was left behind."""

    content_id: str | None
    package_name: str | None
    state: str | None
    running_state: str | None
    completion_state: str | None


@dataclass(frozen=True)
class CcmEvalStatus(JsonRecord):
    """The client's own repair: the CcmEval scheduled task."""

    task: str
    """``Ready``, ``Running``, ``Disabled`` ... or ``missing``."""
    notify_only: Reading[bool]
    """True: CcmEval reports but repairs nothing."""
    last_report: Reading[datetime]
    """When CcmEval last wrote its report, UTC."""


@dataclass(frozen=True)
class ClientReadings(JsonRecord):
    """Everything the verdict needs to know of one client."""

    observed_at: datetime
    """The controller's time of the reading, UTC."""
    client_version: Reading[str] = NOT_READ
    """Absent: ``root\\ccm`` or ``SMS_Client`` does not exist."""
    computer: Reading[str] = NOT_READ
    """The PC's own name. The host's name or address may lead to another PC tomorrow."""
    provisioning_mode: Reading[bool] = NOT_READ
    """Absent: the value does not exist, which means off."""
    system_task_excludes: Reading[tuple[str, ...]] = NOT_READ
    """Names of the system tasks that CcmExec does not start. Absent means that no task is excluded."""
    service: Reading[Service] = NOT_READ
    """CcmExec."""
    tcf: Reading[tuple[TcfFile, ...]] = NOT_READ
    """Absent: no folder has the file."""
    enabled_time: Reading[datetime] = NOT_READ
    """When the client last entered the mode, by the PC's clock, UTC."""
    max_minutes: Reading[int] = NOT_READ
    task_sequences: Reading[tuple[TaskSequence, ...]] = NOT_READ
    task_sequence_agent: Reading[Service] = NOT_READ
    """smstsmgr."""
    processes: Reading[tuple[str, ...]] = NOT_READ
    """Names of the running processes: all of them, or those that were asked for."""
    process_starts: Reading[tuple[ProcessStart, ...]] = NOT_READ
    """Since when these processes run, as far as the PC says it; of several with one name the oldest."""
    agent_dependencies: Reading[tuple[str, ...]] = NOT_READ
    """The services that smstsmgr depends on. Absent: none."""
    setup: Reading[Setup] = NOT_READ
    clock: Reading[PcClock] = NOT_READ
    health_evaluation: Reading[CcmEvalStatus] = NOT_READ

    @property
    def in_mode(self) -> bool:
        """Whether the client is known to be in provisioning mode."""
        return known(self.provisioning_mode, False)

    @property
    def excludes(self) -> tuple[str, ...]:
        """The excluded system tasks; empty if they are not known."""
        return known(self.system_task_excludes, ())

    @property
    def half_out(self) -> bool:
        """Whether the mode is known to be off while system tasks are still excluded."""
        off = self.provisioning_mode in (Known(False), Absent())
        return off and bool(self.excludes)

    @property
    def needs_more(self) -> bool:
        """Whether the client needs the second round of questions: it is in the mode, or half out of it."""
        return self.in_mode or self.half_out

    @property
    def in_question(self) -> bool:
        """Whether the client may need work, so that we must know what runs on the PC."""
        return self.needs_more or bool(self.armed_files)

    @property
    def armed_files(self) -> tuple[TcfFile, ...]:
        """The TCF files that would bring the mode back."""
        return tuple(file for file in known(self.tcf, ()) if file.armed)

    @property
    def age(self) -> timedelta | None:
        """Time in the mode by the PC's own clock; ``None`` if the clock or the time of entry is not known."""
        if isinstance(self.enabled_time, Known) and isinstance(self.clock, Known):
            return self.clock.value.now - self.enabled_time.value
        return None

    @property
    def skew(self) -> timedelta | None:
        """How far the PC's clock is ahead of the controller's; ``None`` if it was not read."""
        return self.clock.value.now - self.observed_at if isinstance(self.clock, Known) else None

    @property
    def time_limit(self) -> timedelta | None:
        """How long the client stays in the mode before it leaves by itself; ``None`` if that is never."""
        minutes = known(self.max_minutes, 0)
        if minutes > NEVER_MINUTES:
            return None
        return timedelta(minutes=minutes if minutes > 0 else DEFAULT_MAX_MINUTES)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ClientReadings:
        """Read back what ``to_json`` wrote.

        Raises:
            ValueError, KeyError: *document* is not from ``to_json``.
        """
        fields: dict[str, Any] = {"observed_at": datetime.fromisoformat(document["observed_at"])}
        for name, value in _VALUES.items():
            if name in document or name not in _LATER:
                fields[name] = from_json(document[name], value)
        return cls(**fields)


def _record(kind: Any, **special: Any) -> Any:
    def read(document: dict[str, Any]) -> Any:
        return kind(**{name: special[name](value) if name in special else value for name, value in document.items()})

    return read


def _optional_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _each(read: Any) -> Any:
    return lambda items: tuple(read(item) for item in items)


_service = _record(Service)
_VALUES: dict[str, Any] = {
    "client_version": str,
    "computer": str,
    "provisioning_mode": bool,
    "system_task_excludes": tuple,
    "service": _service,
    "tcf": _each(_record(TcfFile, entries=tuple)),
    "enabled_time": datetime.fromisoformat,
    "max_minutes": int,
    "task_sequences": _each(_record(TaskSequence)),
    "task_sequence_agent": _service,
    "processes": tuple,
    "process_starts": _each(_record(ProcessStart, started=datetime.fromisoformat)),
    "agent_dependencies": tuple,
    "setup": _record(Setup),
    "clock": _record(PcClock, now=datetime.fromisoformat, last_boot=_optional_time),
    "health_evaluation": _record(
        CcmEvalStatus,
        notify_only=lambda item: from_json(item, bool),
        last_report=lambda item: from_json(item, datetime.fromisoformat),
    ),
}
_LATER = ("process_starts", "agent_dependencies")
"""Fields that documents of version 0.1.0 do not have."""
