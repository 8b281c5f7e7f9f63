"""``customizations.xml``, the source of a package: what it says of itself, its settings, and when they apply.

`Raw` settings hold values with their secrets. They live only while a package is read, and never print them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

from provmode.packages.errors import Budget, damaged, too_large
from provmode.packages.model import Condition, Step, TargetState, When, path_of
from provmode.packages.secrets import kind_of
from provmode.packages.xml import children, first
from provmode.wsman.xml import local_name

MAX_SETTINGS = 20_000
MAX_PATHS = 4 << 20
"""Characters of the paths of all settings together. One long name above many settings would be in each of them."""
MAX_CONDITIONS = 2_000
"""Target states and their conditions, in one package."""
MAX_CONDITIONAL = 100_000
"""Target states of all conditional settings together: what a report of them would repeat."""

_LISTS = ("Files", "Packages", "Dependencies", "List")
"""What names end with below which values without an identity are repeated."""
_FOLDED = {"UserName"}
"""Identities in which case does not count: names of Windows accounts."""


@dataclass(frozen=True)
class Raw:
    """A setting as it stands in the source, with its value."""

    steps: tuple[Step, ...]
    value: str = field(repr=False)
    when: When | None = None
    secret: str | None = None
    """The kind of secret that it is, by its path."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names along its path."""
        return tuple(step.name for step in self.steps)

    @property
    def plain_path(self) -> str:
        """Return the path without what tells members of lists apart."""
        return "/".join(self.names)

    @property
    def path(self) -> str:
        """Return the path."""
        return path_of(self.steps)


@dataclass(frozen=True)
class Customizations:
    """What stands in ``customizations.xml``."""

    config: dict[str, str]
    """``ID``, ``Name``, ``Version`` and the others of ``PackageConfig``."""
    settings: tuple[Raw, ...]
    missing: tuple[str, ...]
    """Targets that are referred to and are not there."""
    unknown_conditions: tuple[str, ...]
    duplicates: tuple[str, ...]
    """Paths that stand there more than once for the same conditions."""


def read_source(root: Element) -> Customizations:
    """Return what stands in the source.

    Raises:
        PackageUnreadable: it is no source of a package, or beyond the limits.
    """
    config = first(root, "PackageConfig")
    if config is None:
        raise damaged("its source does not say which package it is")
    customizations = first(first(root, "Settings"), "Customizations")
    targets = _targets(first(customizations, "Targets"))
    settings: list[Raw] = []
    paths = Budget("characters of the paths of its settings:", MAX_PATHS)
    missing: dict[str, None] = {}
    parts: dict[tuple[str, ...], When] = {}
    for part in customizations if customizations is not None else ():
        kind = local_name(part)
        if kind == "Common":
            settings += _settings(part, None, paths)
        elif kind in ("Variant", "Profile"):
            when = _when(part, targets, parts)
            missing.update(dict.fromkeys(when.missing))
            for below in children(part, "Settings"):
                settings += _settings(below, when, paths)
        if len(settings) > MAX_SETTINGS:
            raise too_large("settings:", len(settings), MAX_SETTINGS)
    repeated = sum(len(setting.when.states) for setting in settings if setting.when)
    if repeated > MAX_CONDITIONAL:
        raise too_large("conditions of its settings:", repeated, MAX_CONDITIONAL)
    numbered, duplicates = _numbered(settings)
    conditions = {each.name for states in targets.values() for state in states for each in state.conditions}
    unknown = {name for name in conditions if Condition(name, "").priority is None}
    names = {local_name(each): (each.text or "").strip() for each in reversed(config)}
    return Customizations(names, tuple(numbered), tuple(missing), tuple(sorted(unknown)), tuple(duplicates))


def read_answer_file(root: Element) -> tuple[Raw, ...]:
    """Return the unconditional settings of ``AnswerFile.xml``, which repeats those of the source."""
    paths = Budget("characters of the paths of its answer file:", MAX_PATHS)
    commons = children(first(root, "Customizations"), "Common")
    settings = [setting for common in commons for setting in _settings(common, None, paths)]
    return tuple(_numbered(settings)[0])


# -- settings -----------------------------------------------------------------------------------------------------


def _settings(part: Element, when: When | None, paths: Budget) -> Iterator[Raw]:
    for element in part:
        if local_name(element) == "Settings":  # so Microsoft's own example has it
            yield from _settings(element, when, paths)
        else:
            yield from _below(element, (), 0, when, paths)


def _below(element: Element, above: tuple[Step, ...], length: int, when: When | None, paths: Budget) -> Iterator[Raw]:
    name, identity = local_name(element), _identity(element)
    length += len(name) + len(identity)
    paths.spend(length)
    names = (*(step.name for step in above), name)
    text = element.text or ""
    secret = kind_of(names, text) or (kind_of(names[:-1], text) if len(names) > 1 else None)
    # what a secret is told apart by could be the secret itself
    steps = (*above, Step(name, "" if secret else identity))
    for attribute, value in element.attrib.items():
        if kind_of((attribute,)):
            yield Raw((*steps, Step(f"@{attribute}")), value, when, kind_of((*names, attribute)))
    if not len(element):
        yield Raw(steps, text, when, secret)
    for child in element:
        yield from _below(child, steps, length, when, paths)


def _identity(element: Element) -> str:
    """Return what tells a member of a list from the others. ``Name`` repeats it if there is another attribute."""
    attributes = {name: value for name, value in element.attrib.items() if name[:1] != "{" and not kind_of((name,))}
    own = {name: value for name, value in attributes.items() if name != "Name"} or attributes
    return ",".join(f"{name}={value.lower() if name in _FOLDED else value}" for name, value in sorted(own.items()))


def _numbered(settings: list[Raw]) -> tuple[list[Raw], list[str]]:
    """Return the settings, those that stand there again with their number; and the paths of these."""
    before = Counter[tuple[tuple[Step, ...], int]]()
    numbered, duplicates = [], dict[str, None]()
    for setting in settings:
        place = setting.steps, id(setting.when)  # equal ones are one object, and are long to compare
        again = before[place]
        before[place] += 1
        if again:
            if len(setting.steps) < 2 or not setting.steps[-2].name.endswith(_LISTS):
                duplicates[setting.path] = None
            setting = replace(setting, steps=(*setting.steps[:-1], replace(setting.steps[-1], again=again)))
        numbered.append(setting)
    return numbered, list(duplicates)


# -- conditions ---------------------------------------------------------------------------------------------------


def _targets(element: Element | None) -> dict[str, tuple[TargetState, ...]]:
    found: dict[str, tuple[TargetState, ...]] = {}
    count = 0
    for target in children(element, "Target"):
        name = target.attrib.get("Id", "")
        states = []
        for state in target.iter():
            if local_name(state) != "TargetState":
                continue
            conditions = tuple(
                Condition(each.attrib.get("Name", ""), each.attrib.get("Value", ""))
                for each in children(state, "Condition")
            )
            count += 1 + len(conditions)
            if conditions or first(state, "TargetState") is None:  # an example of Microsoft's has one within another
                states.append(TargetState(name, conditions))
        if count > MAX_CONDITIONS:
            raise too_large("conditions:", count, MAX_CONDITIONS)
        found[name] = (*found.get(name, ()), *states)
    return found


def _when(part: Element, targets: dict[str, tuple[TargetState, ...]], parts: dict[tuple[str, ...], When]) -> When:
    """Return when a part applies; *parts* are those before, so that what is the same is kept once."""
    refs = [ref.attrib.get("Id", "") for refs in children(part, "TargetRefs") for ref in children(refs, "TargetRef")]
    names = tuple(dict.fromkeys(refs))
    kind = local_name(part).lower()
    key = (kind, *names)
    if key not in parts:
        states = tuple(state for name in names for state in targets.get(name, ()))
        missing = tuple(name for name in names if name not in targets)
        parts[key] = When(kind, states, missing)
        if sum(len(each.states) for each in parts.values()) > MAX_CONDITIONAL:
            raise too_large("conditions of its parts:", len(states), MAX_CONDITIONAL)
    return parts[key]
