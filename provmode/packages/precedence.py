"""Which package's value holds for each setting, and why. What is not documented is undecided, never guessed.

Windows orders packages by their altitude: a thousand for each owner type, plus the rank. So a rank counts only between
packages of one owner type. The order in which packages are given never matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from provmode.packages.findings import Finding, places
from provmode.packages.model import Setting, Step, path_of
from provmode.packages.versions import Given, Kept, keep
from provmode.reading import Absent, Known, Reading

POLICY_NOTE = (
    "policies of an MDM server and of group policy come together with these in the PC's PolicyManager; "
    "what it names as the winning provider holds"
)


class Outcome(str, Enum):
    """Whether it can be told which value holds."""

    ALONE = "alone"
    """Only one package sets it."""
    WINS = "wins"
    """One package is above the others."""
    SAME = "same"
    """Which package wins cannot be told, and it does not matter: they set the same value."""
    CONDITIONAL = "conditional"
    """It is set only under conditions."""
    UNDECIDED = "undecided"
    """It cannot be told."""

    def __str__(self) -> str:
        """Return the value, so that it prints as in JSON."""
        return self.value


@dataclass(frozen=True)
class Candidate:
    """A value that one package sets."""

    given: Given
    setting: Setting
    position: int = 0
    """Its place in the package. Of conditions that ask for as much, the later one is applied last."""

    @property
    def ordered_by(self) -> int | None:
        """Return what the package is ordered by; ``None`` if that is not known."""
        return None if self.given.unclear else self.given.package.metadata.ordered_by

    def to_json(self) -> dict[str, Any]:
        """Return it as ``docs/package.schema.json`` describes it."""
        return {"package": self.given.to_json(), "setting": self.setting.to_json()}


@dataclass(frozen=True)
class Resolution:
    """What holds for one setting."""

    steps: tuple[Step, ...]
    outcome: Outcome
    why: str
    """One sentence."""
    candidates: tuple[Candidate, ...]
    """The values that are set always, the highest first; of equals in no order that means anything."""
    may_win: tuple[Candidate, ...]
    """The values that are set under conditions. Whether one beats an unconditional value is not documented."""
    observed: Reading[str] | None = None
    """The provider that won on a PC, as it says itself; ``None`` if it was not asked."""
    difference: Finding | None = None
    """In what the PC does not agree."""

    @property
    def path(self) -> str:
        """Return the setting's path."""
        return path_of(self.steps)

    @property
    def plain_path(self) -> str:
        """Return the path without what tells members of lists apart."""
        return "/".join(step.name for step in self.steps)

    @property
    def winner(self) -> Candidate | None:
        """Return whose value holds unless a condition does; ``None`` if that cannot be told."""
        return self.candidates[0] if self.outcome in (Outcome.ALONE, Outcome.WINS) else None

    @property
    def is_policy(self) -> bool:
        """Return whether others than packages set it too."""
        return self.steps[0].name == "Policies"

    def to_json(self) -> dict[str, Any]:
        """Return it as ``docs/package.schema.json`` describes it."""
        return {
            "path": self.path,
            "outcome": self.outcome.value,
            "why": self.why,
            "winner": self.winner.given.to_json() if self.winner else None,
            "candidates": [each.to_json() for each in self.candidates],
            "may_win": [each.to_json() for each in self.may_win],
            "note": POLICY_NOTE if self.is_policy else "",
            "observed": self.observed.to_json() if self.observed is not None else None,
            "difference": self.difference.to_json() if self.difference else None,
        }


@dataclass(frozen=True)
class Resolved:
    """What holds if these packages are on a PC together."""

    settings: tuple[Resolution, ...]
    kept: Kept = field(repr=False)
    """Which of the packages count, since some are other versions of one."""
    commands: int
    """Commands of all packages. Each package runs its own, so none is a conflict."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what could not be told, and in what a PC does not agree."""
        undecided = [each.path for each in self.settings if each.outcome is Outcome.UNDECIDED]
        found = [Finding("undecided", f"which value holds cannot be told: {places(undecided)}")] if undecided else []
        return (*self.kept.findings, *found, *(each.difference for each in self.settings if each.difference))


def resolve(packages: Sequence[Given], observed: Mapping[str, Reading[str]] | None = None) -> Resolved:
    """Return which value holds for each setting if these packages are on one PC.

    *observed* are the providers that won on a PC, by paths of policies such as ``Policies/Start/ConfigureStartPins``:
    ids of packages, or of others.
    """
    kept = keep(packages)
    found: dict[tuple[Step, ...], list[Candidate]] = {}
    for given in kept.packages:
        for position, setting in enumerate(given.package.settings):
            if not setting.is_command:
                found.setdefault(_place(setting), []).append(Candidate(given, setting, position))
    settings = [_resolve(steps, found[steps]) for steps in sorted(found)]
    if observed is not None:
        settings = [_observed(each, observed, kept) for each in settings]
    return Resolved(tuple(settings), kept, sum(len(each.package.commands) for each in kept.packages))


def _place(setting: Setting) -> tuple[Step, ...]:
    """Return the steps, the same for a value that is there again."""
    return tuple(Step(step.name, step.identity) for step in setting.steps)


def _resolve(steps: tuple[Step, ...], candidates: list[Candidate]) -> Resolution:
    always = sorted((each for each in candidates if each.setting.when is None), key=_order)
    under = sorted((each for each in candidates if each.setting.when is not None), key=_order)
    outcome, why = _decide(always) if always else (Outcome.CONDITIONAL, "it is set only under conditions")
    return Resolution(steps, outcome, why, tuple(always), tuple(under))


def _order(candidate: Candidate) -> tuple[Any, ...]:
    """Return what to sort by: those of which it is not known where they stand come first."""
    at, when = candidate.ordered_by, candidate.setting.when
    first = tuple(-each for each in when.priority) if when else ()
    return at is not None, -(at or 0), candidate.given.sorted_by, first, -candidate.position


def _decide(always: list[Candidate]) -> tuple[Outcome, str]:
    """Return whether it can be told which of the values holds, and why."""
    packages = list({id(each.given): each.given for each in always}.values())
    if len(packages) == 1 and not _same(always):
        return Outcome.UNDECIDED, f"{packages[0]} sets it more than once; which value holds is not documented"
    if len(packages) == 1 and packages[0].unclear:
        return Outcome.UNDECIDED, _why_unknown(packages[0])
    if len(packages) == 1:
        return Outcome.ALONE, f"only {packages[0]} sets it"
    unknown = [each for each in always if each.ordered_by is None]
    if unknown:
        why = " and ".join(dict.fromkeys(_why_unknown(each.given) for each in unknown))
        same = _same(always)
        return (Outcome.SAME, f"all set the same value, although {why}") if same else (Outcome.UNDECIDED, why)
    top = [each for each in always if each.ordered_by == always[0].ordered_by]
    tied = list(dict.fromkeys(str(each.given) for each in top))
    if len({id(each.given) for each in top}) > 1:
        metadata = top[0].given.package.metadata
        number = "both" if len(tied) == 2 else "all"
        both = f"{' and '.join(tied)} are {number} of {metadata.owner} with rank {metadata.rank}"
        if _same(top):
            return Outcome.SAME, f"{both}, and set the same value"
        return Outcome.UNDECIDED, f"{both}; which of them wins is not documented"
    if not _same(top):
        return Outcome.UNDECIDED, f"{tied[0]} wins, but sets it more than once; which value holds is not documented"
    return Outcome.WINS, _why_wins(always)


def _same(candidates: Sequence[Candidate]) -> bool:
    """Return whether all certainly set the same value."""
    return all(candidates[0].setting.same_value(each.setting) for each in candidates[1:])


def _why_unknown(given: Given) -> str:
    if given.unclear:
        return f"which file of {given} counts is not known"
    metadata = given.package.metadata
    if metadata.precedence is None:
        rank = "a rank that is no number" if metadata.rank is None else f"rank {metadata.rank}"
        return f"it is not known where {given} stands: owner type {metadata.owner or 'none'}, {rank}"
    return (
        f"it is not known where {given} stands: owner type and rank come to {metadata.precedence}, the file says "
        f"{metadata.altitude}"
    )


def _why_wins(always: Sequence[Candidate]) -> str:
    winner = always[0]
    second = next(each for each in always if each.given is not winner.given)
    one, other = winner.given.package.metadata, second.given.package.metadata
    if one.owner == other.owner:
        because = f"both are of {one.owner}, and rank {one.rank} is above rank {other.rank}"
    else:
        because = f"owner type {one.owner} is above {other.owner}, and a rank counts only within one owner type"
    return f"{winner.given} wins over {second.given}: {because} ({winner.ordered_by} against {second.ordered_by})"


# -- what a PC says -------------------------------------------------------------------------------------------------


def _observed(resolution: Resolution, observed: Mapping[str, Reading[str]], kept: Kept) -> Resolution:
    """Return *resolution* with what the PC says, if it was asked for this policy."""
    reading = observed.get(resolution.plain_path)
    if reading is None or not resolution.is_policy:
        return resolution
    told = _difference(resolution, reading, kept)
    return Resolution(
        *(resolution.steps, resolution.outcome, resolution.why, resolution.candidates, resolution.may_win),
        observed=reading,
        difference=told,
    )


def _difference(resolution: Resolution, reading: Reading[str], kept: Kept) -> Finding | None:
    if isinstance(reading, Absent) and resolution.candidates:
        return Finding("winner-absent", f"{resolution.path}: the PC has no such policy")
    if not isinstance(reading, Known):
        return None
    provider = _bare(reading.value)
    possible = [
        *(resolution.candidates if resolution.winner is None else resolution.candidates[:1]),
        *resolution.may_win,
    ]
    if provider in {_bare(each.given.package.metadata.id) for each in possible}:
        return None
    others = [each for each in kept.everything if _bare(each.package.metadata.id) == provider]
    won = f"the PC has the value of {others[0]}" if others else f"the PC has the value of another provider, {provider}"
    expected = f", not of {resolution.winner.given}" if resolution.winner else ""
    return Finding("winner-differs", f"{resolution.path}: {won}{expected}")


def _bare(identity: str) -> str:
    return identity.strip().strip("{}").lower()
