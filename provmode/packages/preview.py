"""What a package would change on one PC, which of its values would not hold, and what a removal would leave. Pure.

Each effect is a line, as a diff has it:

    - a value before                                    + a value of the package
    ! what should be known before the package is added  ? what cannot be told

No line holds a secret: values that are secrets are not in a `Package`, and what the PC has in their place is not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from provmode.packages.findings import Weight
from provmode.packages.lint import lint
from provmode.packages.model import Command, Holds, Package, Setting, Stage
from provmode.packages.on_pc.model import PolicyWinner, package_id
from provmode.packages.on_pc.policies import MAX_AREAS
from provmode.packages.precedence import Candidate, Outcome, Resolution, resolve
from provmode.packages.secrets import masked
from provmode.packages.versions import Given
from provmode.reading import Known, Reading, Unknown
from provmode.text import one_line, shortened

MOST_LINES = 400
"""Lines about settings, and lines about commands, that are shown."""
LONGEST_VALUE, LONGEST_PATH, LONGEST_COMMAND = 120, 200, 400
POLICIES = "Policies"
"""Under which policies stand."""
_AREA = re.compile(r"[A-Za-z0-9_.~-]{1,200}")
_FOR_THE_PC = (Stage.STATIC, Stage.SYSTEM)
"""The stages whose policies are those of the PC, and not of a user, a SIM card or a time to come."""

NOT_TAKEN_BACK = (
    "! a removal takes back only some kinds of settings: Windows keeps the others as they are",
    "! accounts, the computer name, joins, policies and what commands did stay",
)
"""What a removal does if it is not known what is in the package."""

TAKEN_BACK: tuple[tuple[str, ...], ...] = (
    ("CountryAndRegion",),
    ("Power",),
    ("TabletMode",),
    ("Maps",),
    ("Browser",),
    ("DeviceFormFactor",),
    ("USBErrorsOEMOverride",),
    ("WeakCharger",),
    ("ConnectivityProfiles", "WiFiSense"),
    ("DeviceManagement", "PGList"),
    ("UniversalAppInstall", "LaunchAppAtLogin"),
    # by configuration service providers that are in the list
    ("Certificates",),
    ("ConnectivityProfiles", "Email"),
    ("ConnectivityProfiles", "EnterpriseAPN"),
    ("ConnectivityProfiles", "Exchange"),
    ("ConnectivityProfiles", "VPN"),
    ("ConnectivityProfiles", "WLAN"),
    ("UniversalAppInstall",),
    ("WLAN",),
)
"""The settings that Windows takes back if a package is removed: how their paths begin.

Source: Microsoft, "Settings changed when you uninstall a package". What is not in its lists stays.
"""


@dataclass(frozen=True)
class Preview:
    """What adding a package would do."""

    effects: tuple[str, ...]
    """Lines in words."""
    wins: tuple[str, ...]
    """Policies, as ``Area/Policy``, whose value would certainly be the package's."""


def areas_of(package: Package) -> tuple[str, ...]:
    """Return the areas of the package's policies, as many as a PC is asked for."""
    found = dict.fromkeys(area for each in package.settings for area, _ in _policy(each))
    return tuple(sorted(found))[:MAX_AREAS]


def preview(package: Package, others: Sequence[Package | None], winners: Reading[tuple[PolicyWinner, ...]]) -> Preview:
    """Return what adding *package* to a PC would change.

    *others* are the packages there and those that come with it, ``None`` for each that could not be read. Those with
    the id of *package* are what it replaces. *winners* are the policies of its `areas_of` that are set there.
    """
    return _Before(package, others, winners).preview()


def removal(package: Package | None) -> tuple[str, ...]:
    """Return what a removal would take back and what it would leave; ``None``: the package could not be read."""
    if package is None:
        return NOT_TAKEN_BACK
    back, stays = list[str](), list[str]()
    for setting in package.settings:
        if not setting.is_command:
            place = _taken_back(setting)
            (back if place else stays).append(place or setting.steps[0].name)
    lines = []
    if back:
        lines.append(f"! a removal takes back at most: {_each_once(back)}")
    if stays:
        lines.append(f"! a removal does not take back: {_each_once(stays)}; these settings stay as they are")
    if package.commands:
        lines.append(f"! a removal does not take back what {_count(len(package.commands), 'command')} did")
    return tuple(lines)


class _Before:
    """A PC before a package is added."""

    def __init__(
        self, package: Package, others: Sequence[Package | None], winners: Reading[tuple[PolicyWinner, ...]]
    ) -> None:
        read = [each for each in others if each is not None]
        self._package = package
        self._replaced = [each for each in read if each.metadata.id == package.metadata.id]
        self._others = [each for each in read if each.metadata.id != package.metadata.id]
        self._unread = len(others) - len(read)
        self._winners = winners
        self._areas = {area.lower() for area in areas_of(package)}
        self._names: Mapping[str, str] = {each.metadata.id: str(each) for each in (*read, package)}
        known = winners.value if isinstance(winners, Known) else ()
        self._set = {(each.area.lower(), each.policy.lower()): each for each in known}

    def preview(self) -> Preview:
        resolved = resolve([Given(each, "") for each in (self._package, *self._others)])
        settings, wins = list[str](), list[str]()
        for resolution in resolved.settings:
            own = [each for each in (*resolution.candidates, *resolution.may_win) if self._is_own(each)]
            if own:
                doubt = self._doubt(resolution, own)
                settings += self._values(own)
                settings += [f"{doubt[0]} {_path(own[0].setting)}: {doubt[2:]}"] if doubt else []
                wins += [] if doubt else self._told_by_the_pc(own[0].setting)
        commands = [_command(each) for each in self._package.commands]
        effects = (*self._notes(), *_most(settings), *_most(commands), *removal(self._package))
        return Preview(effects, tuple(dict.fromkeys(wins)))

    def _notes(self) -> Iterator[str]:
        """Yield what concerns all of it."""
        for finding in lint(self._package):
            if finding.weight is Weight.WRONG:
                yield f"! {_sentence(finding.code)}: {_sentence(finding.text)}; {finding.to_do}"
        for token in self._package.tokens:
            when = f"on {token.dead_at:%Y-%m-%d} at the latest" if token.dead_at else "on a day that it does not tell"
            yield f"! the token {_sentence(token.place)} is dead {when}"
        if isinstance(self._winners, Unknown) and self._areas:
            told = one_line(self._winners.detail or self._winners.cause)
            yield f"? which policies are set now could not be told: {told}"
        if self._unread:
            yield f"? {_count(self._unread, 'package')} there could not be read: whether its values hold is not known"
        for old in self._replaced:
            if old.metadata.version == self._package.metadata.version:
                yield "? another file of this id and version is there; whether Windows applies this is not documented"
                continue
            gone = {each.path for each in old.settings} - {each.path for each in self._package.settings}
            if gone:
                what = f"{_count(len(gone), 'setting')} of {_name(str(old))}"
                yield f"? {what}, which it replaces, are not in it; whether Windows takes them back is not documented"

    def _is_own(self, candidate: Candidate) -> bool:
        return candidate.given.package is self._package

    # -- settings ---------------------------------------------------------------------------------------------------

    def _values(self, own: Sequence[Candidate]) -> Iterator[str]:
        first = own[0].setting
        hidden = any(each.setting.holds is Holds.SECRET or each.setting.masked for each in own)
        yield from self._now(first, hidden=hidden)
        for each in own:
            when = f", only if {one_line(str(each.setting.when))}" if each.setting.when else ""
            late = _late(each.setting)
            yield f"+ {_path(each.setting)}: {_value(each.setting)}{shortened(when, LONGEST_PATH)}{late}"

    def _now(self, setting: Setting, *, hidden: bool) -> Iterator[str]:
        for area, policy in _policy(setting):
            now = self._set.get((area.lower(), policy.lower()))
            if now is not None:
                yield f"- {_path(setting)}: {_before(now.value, hidden=hidden)}, of {self._whose(now)}"
            elif not isinstance(self._winners, Unknown) and area.lower() in self._areas:
                yield f"- {_path(setting)}: not set"

    def _whose(self, winner: PolicyWinner) -> str:
        return _name(self._names.get(package_id(winner.provider), winner.provider))

    def _doubt(self, resolution: Resolution, own: Sequence[Candidate]) -> str:
        """Return why it is not certain that the package's value holds, after ``!`` or ``?``; empty if it is."""
        if all(each.setting.when is not None for each in own):
            return "? whether its conditions hold, and whether it wins then, is not known"
        winner = resolution.winner
        if winner is not None and not self._is_own(winner):
            return f"! its value would not hold: {one_line(resolution.why)}"
        if resolution.outcome is Outcome.SAME:
            return f"? whose value it would be is not known: {one_line(resolution.why)}"
        if winner is None:
            return f"? whether its value holds is not known: {one_line(resolution.why)}"
        maybe = [each for each in resolution.may_win if not self._is_own(each)]
        if maybe:
            return f"? {_name(str(maybe[0].given))} sets it under conditions, and may win"
        return self._doubt_of_policy(winner.setting)

    def _doubt_of_policy(self, setting: Setting) -> str:
        """Return why a policy may not be the package's although the package is above the others."""
        for area, policy in _policy(setting):
            now = self._set.get((area.lower(), policy.lower()))
            if now is not None and package_id(now.provider) not in self._names:
                return f"? it is that of {self._whose(now)} now, which is no package that was read here"
        return ""

    def _told_by_the_pc(self, setting: Setting) -> list[str]:
        """Return the policy if the PC tells afterwards whose it is, and no package there can hold a surprise."""
        if self._unread or isinstance(self._winners, Unknown) or setting.stage not in _FOR_THE_PC:
            return []
        return [f"{area}/{policy}" for area, policy in _policy(setting) if area.lower() in self._areas]


def _policy(setting: Setting) -> Iterator[tuple[str, str]]:
    """Yield area and name of the policy that a setting is; nothing if it is none that a PC can be asked for."""
    names = [step.name for step in setting.steps]
    if len(names) == 3 and names[0] == POLICIES and str(setting.steps[1]) == names[1] and _AREA.fullmatch(names[1]):
        yield names[1], names[2]


def _taken_back(setting: Setting) -> str:
    """Return which of the kinds that Windows takes back a setting is; empty if it is none."""
    names = [step.name.lower() for step in setting.steps]
    for place in TAKEN_BACK:
        if names[: len(place)] == [name.lower() for name in place]:
            return "/".join(place)
    return ""


def _path(setting: Setting) -> str:
    return shortened(one_line(setting.path), LONGEST_PATH)


def _sentence(text: str) -> str:
    return shortened(one_line(text), LONGEST_COMMAND)


def _name(text: str) -> str:
    return shortened(one_line(text), LONGEST_VALUE)


def _value(setting: Setting) -> str:
    if setting.holds is Holds.SECRET:
        return "a secret, which is not shown"
    if setting.holds is Holds.EMPTY:
        return "empty"
    return _name(setting.value)


def _before(value: object, *, hidden: bool) -> str:
    """Return a value that the PC has; not if a secret stands in its place, and without what looks like one."""
    if hidden or value is None:
        return "a value that is not shown"
    return _name(masked(str(value))[0]) or "empty"


def _late(setting: Setting) -> str:
    """Return when a value is set, if that is not when the package is added."""
    late = {
        Stage.USER: ", for each user at the first logon",
        Stage.UICC: ", for each new SIM card",
        Stage.UPDATE: ", after an update of Windows",
    }
    return late.get(setting.stage, "")


def _command(command: Command) -> str:
    who = (
        "runs as SYSTEM"
        if command.as_system
        else f"runs, as whom is not known ({_name(command.context) or 'no context'})"
    )
    source = ", which its source does not have" if command.only_compiled else ""
    when = f", only if {shortened(one_line(str(command.when)), LONGEST_PATH)}" if command.when else ""
    return f"! {who}{source}{when}: {shortened(one_line(command.line), LONGEST_COMMAND) or 'an empty line'}"


def _most(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield f"! and {len(lines) - MOST_LINES:,} lines more; `provmode package show` shows everything"


def _each_once(names: Iterable[str]) -> str:
    return shortened(one_line(", ".join(sorted(set(names)))))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"
