"""The limits of a run: waves, the time between them, and the failure budget. Pure."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provmode.errors import UsageError
from provmode.fields import LINES, TEXT, Field, object_schema

ALL, NONE = "all", "none"
"""What takes a limit away by name: one wave of all hosts, no end to failures."""
WORKING = 64
"""Hosts that are worked on at a time."""


def wave_sizes(text: str, hosts: int) -> list[int]:
    """Return how many hosts each wave has; the last wave takes the rest.

    ``10,100,25%`` on 1,000 hosts: 10, then 100, then 250 (a percentage is of all hosts), then the other 640.

    Raises:
        UsageError: *text* is not a list of numbers and percentages.
    """
    sizes: list[int] = []
    left = hosts
    for part in (part.strip() for part in text.split(",")):
        match = re.fullmatch(r"([0-9]{1,7})(%?)", part)
        if match is None or int(match.group(1)) == 0 or (match.group(2) and int(match.group(1)) > 100):
            raise UsageError(
                f"--wave {text}: {part!r} is not a number of hosts or a percentage",
                next_step="write it as in 10,100,25%",
            )
        size = -(-hosts * int(match.group(1)) // 100) if match.group(2) else int(match.group(1))
        size = min(size, left)
        if size:
            sizes.append(size)
        left -= size
    return [*sizes, left] if left else sizes


def number_and_share(text: str, option: str) -> tuple[int | None, float | None]:
    """Read ``5``, ``2%`` or ``5,2%``: a number of hosts, a percentage of them, or both.

    Raises:
        UsageError: *text*, the value of *option*, is none of these.
    """
    number: int | None = None
    percent: float | None = None
    for part in (part.strip() for part in text.split(",")):
        if re.fullmatch(r"[0-9]{1,7}", part) and number is None:
            number = int(part)
        elif re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?%", part) and percent is None and float(part[:-1]) <= 100:
            percent = float(part[:-1])
        else:
            raise UsageError(
                f"{option} {text}: {part!r} is not a number or a percentage", next_step="write it as in 5,2%"
            )
    return number, percent


@dataclass(frozen=True)
class Budget:
    """How many failures a run is allowed to have. Only hosts that were reached count."""

    number: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``5``, ``2%`` or ``5,2%`` (whichever is exceeded first ends the run).

        Raises:
            UsageError: *text* is none of these.
        """
        return cls(*number_and_share(text, "--max-failures"))

    def spent(self, failed: int, reached: int, *, to_come: int = 0) -> str:
        """Return in words why the run has to end; empty if it can go on.

        The percentage is of the hosts *reached* and *to_come* in the same wave. So the budget is spent as soon as it is
        sure to be exceeded, even if none of the hosts to come fails.
        """
        if self.number is not None and failed > self.number:
            return f"{_hosts(failed)} failed, more than the {self.number} of the failure budget"
        if self.percent is not None and failed and 100 * failed / (reached + to_come) > self.percent:
            share = f"{failed} of {reached} reached hosts"
            return f"{share} failed, more than the failure budget of {self.percent:g} %"
        return ""


@dataclass(frozen=True)
class Limits:
    """The limits of one run, as a user gives them; by default one wave of all hosts, and no end to failures."""

    wave: str | None = None
    """As `wave_sizes` reads it; ``all`` and ``None`` are one wave."""
    soak: float = 0.0
    """Seconds between waves."""
    max_failures: str | None = None
    """As `Budget.parse` reads it; ``none`` and ``None`` are no limit."""
    parallel: int = WORKING
    """Hosts that are worked on at a time."""
    limit: tuple[str, ...] = ()
    """Hosts, groups and patterns that the run is limited to; empty: all of the plan or the journal."""
    exclude: tuple[str, ...] = ()
    """Hosts, groups and patterns that are left out."""

    def sizes(self, hosts: int) -> list[int]:
        """Return how many hosts each wave has.

        Raises:
            UsageError: `wave` cannot be read.
        """
        one_wave = self.wave is None or self.wave == ALL
        return [hosts] if one_wave else wave_sizes(str(self.wave), hosts)

    def budget(self) -> Budget | None:
        """Return the failure budget, if there is one.

        Raises:
            UsageError: `max_failures` cannot be read.
        """
        return None if self.max_failures in (None, NONE) else Budget.parse(str(self.max_failures))

    def changed(self, given: Mapping[str, Any]) -> Limits:
        """Return these limits, with those *given* by name instead."""
        return dataclasses.replace(self, **given)

    def to_json(self) -> dict[str, Any]:
        """Return the limits as a journal has them."""
        return {
            **dataclasses.asdict(self),
            "wave": ALL if self.wave is None else self.wave,
            "max_failures": NONE if self.max_failures is None else self.max_failures,
            "limit": list(self.limit),
            "exclude": list(self.exclude),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Limits:
        """Read back what `to_json` wrote. `LIMITS` accepts it; limits that only a later version knows are skipped."""
        known = {name: document[name] for name in _FIELDS}
        return cls(**{**known, "limit": tuple(known["limit"]), "exclude": tuple(known["exclude"])})


SAFE = Limits("5,25%", 0.0, "5,20%")
"""What counts unless a user says otherwise: five hosts first, then a quarter, then the rest; and a run ends once more
than five hosts, or more than a fifth of those that were reached, failed."""


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


_FIELDS: Mapping[str, Field] = {
    "wave": TEXT,
    "soak": Field({"type": "number", "minimum": 0}, _number),
    "max_failures": TEXT,
    "parallel": Field({"type": "integer", "minimum": 1}, lambda value: type(value) is int and value >= 1),
    "limit": LINES,
    "exclude": LINES,
}


def _accepts(value: Any) -> bool:
    return isinstance(value, dict) and all(
        name in value and field.accepts(value[name]) for name, field in _FIELDS.items()
    )


LIMITS = Field(object_schema("The limits of the run, as they count in it.", _FIELDS), _accepts, optional=True)
"""The limits as a field of a journal's line."""


def _hosts(number: int) -> str:
    return f"{number} host{'s' if number != 1 else ''}"
