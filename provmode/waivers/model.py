"""One waiver, a file of them, and when each ends."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from enum import Enum
from functools import cached_property
from typing import Any

from provmode.ccm.rules import RULES
from provmode.ccm.verdict import Outcome, Verdict, outcome
from provmode.connector.host_names import spelling

MAX_DAYS = 180
"""How many days after it was made a waiver ends at the latest, unless the configuration says otherwise."""
SOON = timedelta(days=14)
"""How long before its end a waiver is said to end."""

WAIVABLE = tuple(verdict for verdict in Verdict if outcome(verdict) in (Outcome.PENDING, Outcome.FAILED))
"""The verdicts that can be waived: those on which somebody has to do something. Of a PC that was not assessed nobody
knows what to waive, one that is at work is left alone anyway, and a compliant one needs no waiver."""
RULES_OF = {rule.name: rule.verdict for rule in RULES if rule.verdict in WAIVABLE}
"""The rules that can be waived, with their verdicts."""


class Effect(str, Enum):
    """What a waiver does."""

    REPORT = "report"
    """The finding is counted apart, and does not raise the exit code."""
    HOLD = "hold"
    """The same, and nothing is changed on the PC."""

    def __str__(self) -> str:
        """Return the word itself."""
        return self.value


@dataclass(frozen=True)
class Waiver:
    """One waiver."""

    owner: str
    """Who answers for it."""
    reason: str
    created: date
    expires: date
    """The last day on which it counts."""
    zone: tzinfo
    """Where that day ends."""
    host: str = ""
    """One PC by its name; empty: any."""
    hosts: str = ""
    """PCs by a pattern; empty: any."""
    group: str = ""
    """PCs by their group; empty: any."""
    rule: str = ""
    verdict: str = ""
    ticket: str = ""
    effect: Effect = Effect.REPORT
    number: int = 1
    """Its place in the file, from 1."""
    line: int | None = None
    """The line on which it begins, if that is known."""

    @cached_property
    def until(self) -> datetime:
        """The moment at which it ends: the end of its last day, in UTC."""
        midnight = datetime(self.expires.year, self.expires.month, self.expires.day, tzinfo=self.zone)
        return (midnight + timedelta(days=1)).astimezone(timezone.utc)  # the next midnight by that zone's own clock

    def expired(self, now: datetime) -> bool:
        """Return whether it has ended."""
        return now >= self.until

    def ends_soon(self, now: datetime) -> bool:
        """Return whether it ends within `SOON`, and has not ended."""
        return now < self.until <= now + SOON

    @property
    def place(self) -> str:
        """Where it stands in the file, in words."""
        return f"waiver {self.number}" + (f" (line {self.line})" if self.line is not None else "")

    @property
    def about(self) -> str:
        """What it is about, in words: the PCs, and the rule or the verdict."""
        which = [self.host, self.hosts, f"group {self.group}" if self.group else ""]
        what = [f"rule {self.rule}" if self.rule else "", f"verdict {self.verdict}" if self.verdict else ""]
        return ", ".join(filter(None, (*which, *what)))

    @property
    def whose(self) -> str:
        """Who answers for it, in words, with the ticket and the last day."""
        ticket = f", {self.ticket}" if self.ticket else ""
        return f"{self.owner}{ticket}, until {self.expires.isoformat()}"

    @cached_property
    def _fits_pattern(self) -> Callable[[str], object]:
        return re.compile(fnmatch.translate(spelling(self.hosts))).match

    def names(self, host: str, groups: Iterable[str]) -> bool:
        """Return whether it is about a PC, by its name without the connector, and by the groups it is in.

        If it names a host, a pattern or a group together, the PC has to fit all of them.
        """
        return self.fits(spelling(host), set(map(spelling, groups)))

    def fits(self, host: str, groups: Container[str]) -> bool:
        """Return the same for a name and groups as `spelling` has them."""
        if self._host and self._host != host:
            return False
        if self.hosts and not self._fits_pattern(host):
            return False
        return not self._group or self._group in groups

    @cached_property
    def _host(self) -> str:
        return spelling(self.host)

    @cached_property
    def _group(self) -> str:
        return spelling(self.group)

    def covers(self, rule: str, verdict: str) -> bool:
        """Return whether it is about a finding; never about one that cannot be waived."""
        if verdict not in _WAIVABLE:
            return False
        return self.rule in ("", rule) and self.verdict in ("", verdict)

    def holds(self, rule: str, verdict: str) -> bool:
        """Return whether it keeps changes away from a PC that it names, and that was found so.

        Without a rule and a verdict it keeps every change away, whatever was found.
        """
        return self.effect is Effect.HOLD and (not (self.rule or self.verdict) or self.covers(rule, verdict))

    @property
    def words(self) -> str:
        """Everything that a report says of it, in words."""
        return words_of(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return what a report says of it (contract)."""
        return {
            "owner": self.owner,
            "reason": self.reason,
            "ticket": self.ticket,
            "expires": self.expires.isoformat(),
            "effect": self.effect.value,
        }

    def described(self) -> dict[str, Any]:
        """Return the same, and what it is about (contract)."""
        which = {"host": self.host, "hosts": self.hosts, "group": self.group}
        what = {"rule": self.rule, "verdict": self.verdict}
        named = {key: value for key, value in {**which, **what}.items() if value}
        return {"number": self.number, **named, **self.to_json(), "until": self.until.isoformat()}


_WAIVABLE = frozenset(verdict.value for verdict in WAIVABLE)


def words_of(waived: Mapping[str, Any]) -> str:
    """Return in words what a report says of a waiver, by `Waiver.to_json`."""
    held = "; nothing is changed there" if waived["effect"] == Effect.HOLD.value else ""
    ticket = f", {waived['ticket']}" if waived["ticket"] else ""
    return f"{waived['owner']}{ticket}, until {waived['expires']}: {waived['reason']}{held}"


@dataclass(frozen=True)
class Waivers:
    """A file of waivers."""

    waivers: tuple[Waiver, ...] = ()
    path: str = ""
    zone: str = ""
    """The name of the time zone in which days end."""


NONE = Waivers()
"""What holds without a file."""
