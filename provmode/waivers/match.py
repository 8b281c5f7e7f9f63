"""Which waiver covers which finding, and what there is to say of each waiver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from provmode.ccm.verdict import Verdict
from provmode.connector.host_names import spelling
from provmode.waivers.model import Effect, Waiver, Waivers


@dataclass(frozen=True)
class Row:
    """What was found on one PC."""

    host: str
    """Its name, without the connector."""
    rule: str
    verdict: str
    groups: tuple[str, ...] = ()


class State(str, Enum):
    """How a waiver stands."""

    USED = "used"
    EXPIRED = "expired"
    """It has ended: what it covered counts again."""
    UNUSED = "unused"
    """It counts, and covers nothing that was found."""

    def __str__(self) -> str:
        """Return the word itself."""
        return self.value


@dataclass(frozen=True)
class Standing:
    """How one waiver stands after a run."""

    waiver: Waiver
    state: State
    hosts: tuple[str, ...] = ()
    """PCs with a finding that it covers, or that it would cover if it had not expired."""
    ends_soon: bool = False
    names_nobody: bool = False
    """Whether it is about no PC of the inventory."""
    covers_nothing: bool = False
    """Whether every PC that it is about was looked at, and it covers nothing there. Else nobody knows."""
    again: int = 0
    """How many of the findings no other waiver covers longer: they count again once it has ended."""

    def said(self, path: str) -> str:
        """Return what an admin should know of it, as a sentence; empty if that is nothing."""
        waiver = self.waiver
        who = f"{path}: {waiver.place} ({waiver.about}; {waiver.owner}, {waiver.ticket})"
        one, renewed = self.again == 1, bool(self.hosts) and not self.again
        again = f"{self.again:,} finding{'' if one else 's'} count{'s' if one else ''} again"
        if self.state is State.EXPIRED:
            counts = f": {again}" if self.again else ", and it covers nothing" if self.covers_nothing else ""
            counts = ", and others cover what it did" if renewed else counts
            no_use = self.covers_nothing or renewed
            cure = "take it out of the file" if no_use else "mend what it covers, or waive that anew"
            return f"{who} expired on {waiver.expires.isoformat()}{counts}; {cure}"
        if renewed and waiver.effect is not Effect.HOLD:
            return ""
        ends = f"ends on {waiver.expires.isoformat()}" if self.ends_soon else ""
        if self.state is State.UNUSED:
            nothing = "names no PC of the inventory" if self.names_nobody else "matches no finding"
            return f"{who} {nothing}" + (f", and {ends}" if ends else "") + "; take it out of the file"
        return f"{who} {ends}" + (f": then {again}" if self.again else "") if ends else ""

    def to_json(self) -> dict[str, Any]:
        """Return how it stands (contract)."""
        return {
            **self.waiver.described(),
            "state": self.state.value,
            "ends_soon": self.ends_soon,
            "hosts_covered": list(self.hosts),
        }


@dataclass(frozen=True)
class Waived:
    """What waivers make of a run."""

    by_host: Mapping[str, Waiver]
    """The waiver that counts for each PC with a waived finding."""
    standings: tuple[Standing, ...] = ()
    """Every waiver of the file."""
    path: str = ""

    @property
    def sentences(self) -> list[str]:
        """What an admin should know of the waivers: what has expired, what ends soon, and what matches nothing."""
        return [said for said in (each.said(self.path) for each in self.standings) if said]

    def to_json(self) -> list[dict[str, Any]]:
        """Return how every waiver stands (contract)."""
        return [each.to_json() for each in self.standings]


NOTHING = Waived({})


class Book:
    """The waivers of a file, to look PCs up in."""

    def __init__(self, waivers: Waivers) -> None:
        self._waivers = waivers
        self._of_one: dict[str, list[Waiver]] = {}
        self._of_many: list[Waiver] = []
        for waiver in waivers.waivers:
            if waiver.host:
                self._of_one.setdefault(spelling(waiver.host), []).append(waiver)
            else:
                self._of_many.append(waiver)

    def naming(self, host: str, groups: Iterable[str]) -> list[Waiver]:
        """Return the waivers that are about a PC, expired ones too."""
        name, spelled = spelling(host), set(map(spelling, groups))
        possible = [*self._of_one.get(name, ()), *self._of_many]
        return [waiver for waiver in possible if waiver.fits(name, spelled)]

    def hold(self, row: Row, now: datetime) -> Waiver | None:
        """Return the waiver that keeps changes away from a PC that was found so; ``None`` if none does."""
        holding = [
            waiver
            for waiver in self.naming(row.host, row.groups)
            if not waiver.expired(now) and waiver.holds(row.rule, row.verdict)
        ]
        return counting(holding) if holding else None

    def waive(self, rows: Iterable[Row], now: datetime, *, complete: bool = True) -> Waived:
        """Return what the waivers make of a run's rows.

        A run that is not *complete* cannot say of a waiver that it matches nothing, nor can one in which a PC that it
        is about could not be assessed.
        """
        by_host: dict[str, Waiver] = {}
        covered: dict[int, list[str]] = {waiver.number: [] for waiver in self._waivers.waivers}
        named, open_question = set(), set()
        longest: dict[str, datetime] = {}  # until when what was found on a PC is waived
        for row in rows:
            covering = []
            for waiver in self.naming(row.host, row.groups):
                named.add(waiver.number)
                if row.verdict == Verdict.UNASSESSED.value:
                    open_question.add(waiver.number)
                if waiver.covers(row.rule, row.verdict):
                    covered[waiver.number].append(row.host)
                    covering += [] if waiver.expired(now) else [waiver]
                elif waiver.holds(row.rule, row.verdict):
                    open_question.add(waiver.number)  # it keeps changes away from this PC: not without use
            if covering:
                by_host[row.host] = counting(covering)
                longest[row.host] = max(each.until for each in covering)
        standings = []
        for waiver in self._waivers.waivers:
            number, hosts = waiver.number, tuple(covered[waiver.number])
            nothing = complete and not hosts and number not in open_question
            state = State.EXPIRED if waiver.expired(now) else State.UNUSED if nothing else State.USED
            nobody = number not in named and complete
            again = sum(longest.get(host, waiver.until) <= max(waiver.until, now) for host in hosts)
            standings.append(Standing(waiver, state, hosts, waiver.ends_soon(now), nobody, nothing, again))
        return Waived(by_host, tuple(standings), self._waivers.path)


def counting(covering: Sequence[Waiver]) -> Waiver:
    """Return the one of several waivers that counts: one that holds, then the one that ends last, then the first."""
    return max(covering, key=lambda each: (each.effect is Effect.HOLD, each.until, -each.number))


def held_by(waiver: Waiver) -> str:
    """Return why nothing is changed on a PC."""
    return f"held by {waiver.whose}: {waiver.reason}"
