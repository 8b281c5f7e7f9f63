"""What the page of a run shows, as plain values: nothing is on the page that is not here. Pure.

Texts of PCs are taken as they are; `provmode.report.page.render` makes them safe to show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from provmode.ccm.verdict import SEVERITY, Outcome, Verdict, outcome
from provmode.history.drift import MEANINGS as MEANINGS_OF_WORDS
from provmode.history.drift import Word
from provmode.report.terminal import MEANINGS

NAMES_SHOWN = 5
"""How many names stand beside a count."""

WORDS: Mapping[str, str] = {word.value: MEANINGS_OF_WORDS[word] for word in Word}
"""The words for what has become of a PC since the run before, in the order of the page, with their meanings."""


@dataclass(frozen=True)
class Names:
    """Some PCs: how many, and the first few by name."""

    count: int
    shown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What there is to say of each that is named; empty: nothing of any."""

    @classmethod
    def of(cls, names: Sequence[str], shown: int = NAMES_SHOWN, notes: Sequence[str] = ()) -> Names:
        """Return the first few of *names*, and how many there are."""
        return cls(len(names), tuple(names[:shown]), tuple(notes[:shown]))

    @property
    def more(self) -> int:
        """How many are not named."""
        return self.count - len(self.shown)


NOBODY = Names(0)


@dataclass(frozen=True)
class Counts:
    """How many PCs have each verdict."""

    by_verdict: Mapping[Verdict, int]
    not_looked_at: int = 0
    """PCs that an interrupted run did not come to."""
    at_work_too_long: int = 0
    """PCs that need something although their verdict alone does not say so."""
    waived: int = 0
    """PCs that need something, and for which somebody answers."""

    @property
    def total(self) -> int:
        """Every PC of the run: the denominator."""
        return sum(self.by_verdict.values()) + self.not_looked_at

    @property
    def assessed(self) -> int:
        """PCs that have a verdict of their own."""
        return self.total - self.unassessed - self.not_looked_at

    @property
    def unassessed(self) -> int:
        """PCs that could not be assessed."""
        return self.of(Outcome.UNASSESSED)

    @property
    def need_something(self) -> int:
        """PCs that were assessed and on which something has to be done."""
        return self.of(Outcome.PENDING) + self.of(Outcome.FAILED) + self.at_work_too_long

    def of(self, wanted: Outcome) -> int:
        """Return how many PCs have a verdict that means *wanted*."""
        return sum(count for verdict, count in self.by_verdict.items() if outcome(verdict) is wanted)

    @property
    def rows(self) -> list[tuple[Verdict, Outcome, int, str]]:
        """The verdicts that occur, worst first: each with what it means for the run, its count and its meaning."""
        return [
            (verdict, outcome(verdict), self.by_verdict[verdict], MEANINGS[verdict])
            for verdict in SEVERITY
            if self.by_verdict.get(verdict)
        ]


@dataclass(frozen=True)
class Became:
    """What has become of some PCs since the run before."""

    word: str
    """One of `WORDS`."""
    by_us: Names
    """PCs that a run of provmode changed in between, by its journal."""
    not_by_us: Names


@dataclass(frozen=True)
class Since:
    """What has changed since the run before."""

    began: datetime
    """When the run before began."""
    run: str
    became: tuple[Became, ...] = ()


@dataclass(frozen=True)
class Moment:
    """One run, as a bar of the trend."""

    began: datetime
    compliant: int
    left_alone: int
    need_something: int
    unassessed: int

    @property
    def total(self) -> int:
        """Every PC of the run."""
        return self.compliant + self.left_alone + self.need_something + self.unassessed


@dataclass(frozen=True)
class Group:
    """PCs with an identical finding."""

    text: str
    """What was found, without what differs from PC to PC."""
    hosts: Names
    next_step: str = ""
    verdict: Verdict | None = None
    """``None``: a finding beside the verdict."""


@dataclass(frozen=True)
class Away:
    """A PC that could not be assessed."""

    host: str
    since: datetime | None = None
    """Since when; ``None`` if it is not known."""
    last_verdict: Verdict | None = None
    """What it was when it was last assessed; ``None``: it never was, as far as is known."""
    last_seen: datetime | None = None


@dataclass(frozen=True)
class NotAssessed:
    """PCs that could not be assessed for the same cause."""

    cause: str
    hosts: Names
    next_steps: tuple[str, ...] = ()
    ages: tuple[tuple[str, int], ...] = ()
    """How many have been so for how long, in words."""
    longest: tuple[Away, ...] = ()
    """Those that have been so for longest; none if nothing is known of the time before."""


@dataclass(frozen=True)
class KnownWaiver:
    """A waiver, and how it stood after the run."""

    about: str
    """Which PCs and findings it is about."""
    owner: str
    ticket: str
    reason: str
    expires: str
    """The last day on which it counts."""
    stands: str
    """One of `provmode.report.page.known.MEANINGS`."""
    holds: bool
    """Whether it keeps changes away."""
    covered: int
    """PCs with a finding that it covers, or would cover if it had not expired."""
    uses: int | None = None
    """In how many runs it was used; ``None`` if nothing is known of other runs."""


@dataclass(frozen=True)
class Made:
    """The changes of one plan."""

    plan: str
    command: str
    began: datetime
    who: str
    outcomes: tuple[tuple[str, Names], ...]
    change: str = ""
    """The number of the change, as the admin's own system calls it."""


@dataclass(frozen=True)
class HostRow:
    """One PC."""

    host: str
    verdict: Verdict
    reason: str
    cause: str = ""
    next_step: str = ""
    in_mode: int | None = None
    """Seconds in provisioning mode."""
    since: datetime | None = None
    """When it was first seen with this verdict, without another in between."""
    last_verdict: Verdict | None = None
    """If it is unassessed: what it was when it was last assessed."""
    last_seen: datetime | None = None
    findings: tuple[str, ...] = ()
    at_work_too_long: bool = False
    """Whether it needs something although its verdict alone does not say so."""
    waived: bool = False
    """Whether somebody answers for what was found; the next step says who."""


@dataclass(frozen=True)
class Run:
    """How the page's run was made."""

    inventory: str
    began: datetime
    ended: datetime | None = None
    run: str = ""
    kind: str = "audit"
    version: str = ""
    """The provmode that looked."""
    policy: str = ""
    limit: Names = NOBODY
    """Names, groups and patterns that the run was limited to."""
    exclude: Names = NOBODY
    who: str = ""
    exit_code: int | None = None
    exit_meaning: str = ""
    source: str = ""
    """Where the page has the run from: the history, or a file."""
    change: str = ""
    """Number of the change that the run is part of."""
    lowered: tuple[tuple[str, Names], ...] = ()
    """Settings that protect less than the defaults, in words."""


@dataclass(frozen=True)
class PageData:
    """Everything that the page shows, in its order."""

    made: datetime
    """When the page was made: ages count from here."""
    counts: Counts
    run: Run
    since: Since | None = None
    no_before: str = ""
    """Why there is nothing to compare with, as a sentence."""
    no_history: str = ""
    """Why nothing is known of other runs, as a sentence."""
    trend: tuple[Moment, ...] = ()
    groups: tuple[Group, ...] = ()
    groups_left_out: int = 0
    not_assessed: tuple[NotAssessed, ...] = ()
    waivers: tuple[KnownWaiver, ...] = ()
    changes: tuple[Made, ...] = ()
    hosts: Sequence[HostRow] = field(default_factory=tuple)
    """The PCs that are not plainly healthy, the most urgent first."""
