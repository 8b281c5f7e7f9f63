"""What is deployed to a modelled PC: deployments, service windows, a pending restart. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, IntEnum


class Kind(str, Enum):
    """What is deployed, by the class that shows it."""

    PROGRAM = "CCM_Program"
    APPLICATION = "CCM_Application"
    SOFTWARE_UPDATE = "CCM_SoftwareUpdate"


@dataclass(frozen=True)
class Deployment:
    """Something deployed to the PC; required where it has a deadline."""

    name: str
    deadline: datetime | None
    kind: Kind = Kind.PROGRAM
    installed: bool = False
    """Already there: only an application is still listed then."""

    def due(self, now: datetime) -> bool:
        """Return whether it has to start by itself."""
        return not self.installed and self.deadline is not None and self.deadline <= now


class WindowType(IntEnum):
    """``CCM_ServiceWindow.Type``."""

    ALL_PROGRAMS = 1
    PROGRAMS = 2
    REBOOT_REQUIRED = 3
    SOFTWARE_UPDATES = 4
    TASK_SEQUENCES = 5
    NON_WORKING_HOURS = 6
    """The hours outside the user's business hours: no maintenance window."""


@dataclass(frozen=True)
class ServiceWindow:
    """A window that comes again and again; a client shows the time that is now, or else the next."""

    identifier: str
    type: WindowType
    first: datetime
    lasts: timedelta
    every: timedelta

    def shown(self, now: datetime) -> tuple[datetime, datetime]:
        """Return begin and end as they are told at *now*."""
        over = now - self.first - self.lasts
        begin = self.first if over < timedelta(0) else self.first + (over // self.every + 1) * self.every
        return begin, begin + self.lasts


@dataclass(frozen=True)
class PendingRestart:
    """A restart that waits."""

    deadline: datetime | None
    """When it is made; ``None``: nobody is forced."""
    hard: bool = False
