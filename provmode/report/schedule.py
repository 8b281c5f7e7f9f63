"""A schedule of looks: the times, the command lines, and where a run of a service finds and keeps its files. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provmode.errors import UsageError
from provmode.fleet.night import HOUR, Change

DAY = 24 * HOUR
STATE = "provmode"
"""The name of the service's folder below ``/var/lib``."""


def interval(text: str) -> int:
    """Return the minutes of an interval such as ``15m`` or ``2h`` that divides an hour or a day.

    Raises:
        UsageError: it is none; cron could not keep to it either.
    """
    found = re.fullmatch(r"([1-9][0-9]?)([mh])", text, re.ASCII)
    minutes = int(found[1]) * (HOUR if found[2] == "h" else 1) if found else 0
    if (
        not 5 <= minutes <= DAY // 2
        or (HOUR if minutes < HOUR else DAY) % minutes
        or (minutes > HOUR and minutes % HOUR)
    ):
        raise UsageError(
            f"{text} is not an interval of a schedule",
            next_step="give 5m, 10m, 12m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h or 12h",
        )
    return minutes


@dataclass(frozen=True)
class Schedule:
    """What is started when, and as whom."""

    program: tuple[str, ...]
    """The words of a command line before the name of the command."""
    configuration: Path
    """The configuration file; its folder is the working directory."""
    user: str
    at: int
    """When the whole inventory is looked at: minutes after midnight."""
    every: int
    """After how many minutes the unassessed hosts are looked at again."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Files that only root has to read, by the keys that name them."""
    reads: tuple[str, ...] = ()
    """What else a run needs: the interpreter, the files of the inventory, the program that is told."""
    writes: tuple[str, ...] = ()
    """Folders beside its own that a run writes to: that of the history, and those of files for others."""
    remembers: bool = False
    """Whether there is a history: without one nobody knows who was not assessed, and there is no retry."""
    notifies: bool = False
    """Whether somebody is told what changed."""
    change: Change | None = None
    """What is applied at night, if anything."""

    def __post_init__(self) -> None:
        for path in (*self.program, str(self.configuration), *self.secrets.values(), *self.writes):
            if not path.isprintable() or path != path.strip() or set(path) & set("\"'\\"):
                raise UsageError(
                    f"a unit cannot name {path}: it has a quote, a backslash, an invisible character or an outer blank",
                    next_step="give it another name",
                )
        if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,30}", self.user):
            raise UsageError(f"{self.user} is not the name of a user", next_step="give the name of a system user")

    @property
    def folder(self) -> str:
        """The working directory."""
        return str(self.configuration.parent)

    def audit(self, state: str) -> list[str]:
        """Return the command line of the nightly look. *state* is the folder above the service's own."""
        return self._audit(state, "audit.json", *(("--notify",) if self.notifies else ()))

    def retry(self, state: str) -> list[str]:
        """Return the command line of a look at those that could not be assessed; *state* as above.

        Most of them will be away again: how many may be is said of the whole inventory, not of them.
        """
        return self._audit(state, "retry.json", "--only", "unassessed", "--max-unassessed", "100%")

    def _audit(self, state: str, report: str, *options: str) -> list[str]:
        output = ("--format", "json", "--output", f"{state}/{STATE}/{report}")
        return [*self.program, "audit", "--config", str(self.configuration), *options, *output]

    def apply(self, change: Change) -> list[str]:
        """Return the command line that applies what is due. When it may is said by the configuration file."""
        return [*self.program, "apply", "--config", str(self.configuration), change.plans]

    @property
    def offset(self) -> int:
        """Minutes after midnight of the first retry of a day: halfway between two, seen from the nightly look."""
        return (self.at + self.every // 2) % self.every
