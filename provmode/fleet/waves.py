"""The limits of a run: waves, the time between them, the failure budget, and the guards that hold it back. Pure."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provmode.errors import UsageError
from provmode.fields import BOOLEAN, LINES, TEXT, Field, object_schema

ALL, NONE = "all", "none"
"""What takes a limit away by name: one wave of all hosts, no end to failures, nothing that has to be reached."""
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
class LeastReached:
    """How many hosts of a wave have to be reached before the next one begins."""

    number: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> LeastReached:
        """Read ``5``, ``50%`` or ``5,50%`` (both have to be reached; a smaller wave has to be reached whole).

        Raises:
            UsageError: *text* is none of these.
        """
        return cls(*number_and_share(text, "--min-reached"))

    def missed(self, reached: int, hosts: int) -> str:
        """Return in words that too few *hosts* of a wave were *reached*; empty if enough were."""
        share = f"{reached} of {_hosts(hosts)} {'was' if hosts == 1 else 'were'} reached"
        if self.number is not None and reached < min(self.number, hosts):
            return f"{share}, and --min-reached asks for {self.number}"
        if self.percent is not None and 100 * reached < self.percent * hosts:
            return f"{share}, and --min-reached asks for {self.percent:g} %"
        return ""


def count_or_none(text: str | None, option: str, *, least: int = 1) -> int | None:
    """Read a number of at least *least*; ``none`` and ``None`` are no limit.

    Raises:
        UsageError: *text*, the value of *option*, is neither.
    """
    if text in (None, NONE):
        return None
    if not re.fullmatch(r"[0-9]{1,7}", str(text)) or int(str(text)) < least:
        raise UsageError(
            f"{option} {text} is not a number of {least} or more", next_step=f"write {option} 20, or {option} {NONE}"
        )
    return int(str(text))


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
    min_reached: str | None = None
    """As `LeastReached.parse` reads it; ``none`` and ``None`` are no limit."""
    per_group: str | None = None
    """Hosts of one group of the inventory in a wave, at most; ``none`` and ``None`` are no limit."""
    per_site: str | None = None
    """Hosts of one site in a wave, at most; ``none`` and ``None`` are no limit."""
    max_restarts: str | None = None
    """Installs and restarts that leaving the mode may set off; ``none`` and ``None`` are no limit."""
    ramp: bool = False
    """Whether the run begins with one host at a time."""
    spread: bool = False
    """Whether the first wave has hosts of as many kinds as it can."""
    look_again: bool = False
    """Whether, after each soak, the hosts that were changed are looked at again."""

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

    def least_reached(self) -> LeastReached | None:
        """Return how much of each wave has to be reached, if there is a limit.

        Raises:
            UsageError: `min_reached` cannot be read.
        """
        return None if self.min_reached in (None, NONE) else LeastReached.parse(str(self.min_reached))

    def caps(self) -> tuple[int | None, int | None]:
        """Return how many hosts of one group and of one site a wave may have; ``None`` is no limit.

        Raises:
            UsageError: one of them cannot be read.
        """
        return count_or_none(self.per_group, "--per-group"), count_or_none(self.per_site, "--per-site")

    def most_restarts(self) -> int | None:
        """Return how many installs and restarts may be set off; ``None`` is no limit.

        Raises:
            UsageError: `max_restarts` cannot be read.
        """
        return count_or_none(self.max_restarts, "--max-restarts", least=0)

    def check(self) -> None:
        """Check those that are kept as they were written.

        Raises:
            UsageError: one of them cannot be read.
        """
        self.budget()
        self.least_reached()
        self.caps()
        self.most_restarts()

    def changed(self, given: Mapping[str, Any]) -> Limits:
        """Return these limits, with those *given* by name instead."""
        return dataclasses.replace(self, **given)

    def to_json(self) -> dict[str, Any]:
        """Return the limits as a journal has them."""
        return {
            **dataclasses.asdict(self),
            "wave": ALL if self.wave is None else self.wave,
            **{name: NONE if getattr(self, name) is None else getattr(self, name) for name in _OR_NONE},
            "limit": list(self.limit),
            "exclude": list(self.exclude),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Limits:
        """Read back what `to_json` wrote. `LIMITS` accepts it; limits that only a later version knows are skipped.

        Of a limit that an earlier version did not know, the safe one counts.
        """
        known = {name: document[name] for name in _FIELDS if name in document}
        known |= {name: None for name in _OR_NONE[1:] if known.get(name) == NONE}
        return SAFE.changed({**known, "limit": tuple(known["limit"]), "exclude": tuple(known["exclude"])})


_OR_NONE = ("max_failures", "min_reached", "per_group", "per_site", "max_restarts")
"""The limits that ``none`` takes away."""

SAFE = Limits("5,25%", 0.0, "5,20%", min_reached="50%", ramp=True, spread=True, look_again=True)
"""What counts unless a user says otherwise: five hosts first, of as many kinds as they can be, one at a time and then
more; then a quarter, then the rest. A run ends once more than five hosts, or more than a fifth of those that were
reached, failed, and after a wave of which not even half was reached. With a soak, what was changed is looked at again.
"""


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


_FIELDS: Mapping[str, Field] = {
    "wave": TEXT,
    "soak": Field({"type": "number", "minimum": 0}, _number),
    "max_failures": TEXT,
    "parallel": Field({"type": "integer", "minimum": 1}, lambda value: type(value) is int and value >= 1),
    "limit": LINES,
    "exclude": LINES,
    **dict.fromkeys(_OR_NONE[1:], dataclasses.replace(TEXT, optional=True)),
    **dict.fromkeys(("ramp", "spread", "look_again"), dataclasses.replace(BOOLEAN, optional=True)),
}


def _accepts(value: Any) -> bool:
    return isinstance(value, dict) and all(
        field.accepts(value[name]) if name in value else field.optional for name, field in _FIELDS.items()
    )


LIMITS = Field(object_schema("The limits of the run, as they count in it.", _FIELDS), _accepts, optional=True)
"""The limits as a field of a journal's line."""


def _hosts(number: int) -> str:
    return f"{number} host{'s' if number != 1 else ''}"
