"""What a site deploys to a modelled PC: deployments, service windows, a pending restart. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, IntEnum


class Kind(str, Enum):
    """The kind of a deployment: its class in ClientSDK."""

    PROGRAM = "CCM_Program"
    APPLICATION = "CCM_Application"
    SOFTWARE_UPDATE = "CCM_SoftwareUpdate"


@dataclass(frozen=True)
class Deployment:
    """One deployment to the PC; required if it has a deadline."""

    name: str
    deadline: datetime | None
    kind: Kind = Kind.PROGRAM
    installed: bool = False
    """Already installed; of installed deployments a client still lists only applications."""

    def due(self, now: datetime) -> bool:
        """Return whether the client must start it by itself."""
        return not self.installed and self.deadline is not None and self.deadline <= now


class WindowType(IntEnum):
    """``CCM_ServiceWindow.Type``."""

    ALL_PROGRAMS = 1
    PROGRAMS = 2
    REBOOT_REQUIRED = 3
    SOFTWARE_UPDATES = 4
    TASK_SEQUENCES = 5
    NON_WORKING_HOURS = 6
    """The hours outside the user's business hours: not a maintenance window."""


@dataclass(frozen=True)
class ServiceWindow:
    """A recurring window; a client shows the current occurrence, or else the next."""

    identifier: str
    type: WindowType
    first: datetime
    duration: timedelta
    interval: timedelta

    def occurrence(self, now: datetime) -> tuple[datetime, datetime]:
        """Return begin and end of the current or else the next occurrence."""
        over = now - self.first - self.duration
        begin = self.first if over < timedelta(0) else self.first + (over // self.interval + 1) * self.interval
        return begin, begin + self.duration


@dataclass(frozen=True)
class PendingRestart:
    """A pending restart."""

    deadline: datetime | None
    """When the client restarts the PC; ``None``: not forced."""
    hard: bool = False
