"""Which setting of the source each compiled value is of, as far as the package tells, and whether it is the same.

Newer designers write the path of the setting beside the value (``SettingsPath``), older ones only into the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provmode.packages.compiled import Compiled, Parameter
from provmode.packages.customizations import Raw
from provmode.packages.model import COMMANDS

MAX_STEPS = 16
"""Steps of a path that file names are compared with. Real paths have up to ten."""
_TRUE, _FALSE = ("yes", "true", "1"), ("no", "false", "0")


@dataclass
class Matches:
    """Which settings of the source the compiled files are of."""

    stage: dict[int, str]
    """The stage of a setting, by its number."""
    settings: dict[int, tuple[int, ...]]
    """The settings that a compiled value can be of, by its number."""
    strangers: tuple[str, ...]
    """Compiled files that are of no setting of the source."""
    told: bool
    """Whether any file could be matched. If not, strangers are no news."""


def match(settings: Sequence[Raw], compiled: Compiled) -> Matches:
    """Return which settings the compiled files are of."""
    index = _Index(settings)
    matches = Matches({}, {}, (), told=False)
    strangers, in_group = [], dict[int, str]()
    groups, staged = set[str](), set[int]()
    by_file: dict[str, list[int]] = {file: [] for file in compiled.files}
    for number, parameter in enumerate(compiled.parameters):
        by_file[parameter.file].append(number)
    for file in compiled.files:
        group = _group(file)
        known = group in index.below
        for number in by_file[file]:
            parameter = compiled.parameters[number]
            found = index.find(parameter, group)
            known = known or bool(found) or index.has_value(parameter)
            if found:
                matches.settings[number] = found
            if id(found) not in staged:
                staged.add(id(found))
                for each in found:
                    matches.stage.setdefault(each, parameter.stage)
        if not known:
            strangers.append(file)
        elif group not in groups:
            groups.add(group)
            stage = file.split("/")[-2]
            in_group.update({each: stage for each in index.under(group) if each not in in_group})
    matches.told = len(strangers) < len(compiled.files)
    matches.stage = {**in_group, **matches.stage}  # a value of the setting itself tells more than its group
    matches.strangers = tuple(strangers)
    return matches


class _Index:
    """Settings by their paths, as file names have them, and by the last names of those."""

    def __init__(self, settings: Sequence[Raw]) -> None:
        self.settings = settings
        self.by_path: dict[str, list[int]] = {}
        self.below: dict[str, dict[str, list[int]]] = {}
        self.values: set[tuple[str, str]] = set()
        self.kept: dict[tuple[int, bool | None], tuple[int, ...]] = {}
        for number, setting in enumerate(settings):
            self.by_path.setdefault(setting.plain_path.lower(), []).append(number)
            leaf = _simple(setting.names[-1])
            self.values.add((leaf, _plain(setting.value)))
            for beginning in _beginnings(setting):
                self.below.setdefault(beginning, {}).setdefault(leaf, []).append(number)

    def find(self, parameter: Parameter, group: str) -> tuple[int, ...]:
        """Return the settings that a compiled value can be of; the same tuple for the same ones.

        If it applies under conditions, those that do so, else the others.
        """
        found = self.by_path.get(parameter.settings_path.lower())
        found = found or self.below.get(group, {}).get(_simple(parameter.names[-1]))
        if found is None:
            return ()
        key = id(found), parameter.conditional
        if key not in self.kept:
            under = [each for each in found if (self.settings[each].when is not None) is parameter.conditional]
            self.kept[key] = tuple(under or found)
        return self.kept[key]

    def has_value(self, parameter: Parameter) -> bool:
        """Return whether a setting of this last name has this value, wherever it is."""
        return (_simple(parameter.names[-1]), _plain(parameter.value)) in self.values

    def under(self, group: str) -> Iterator[int]:
        """Yield the settings of a group."""
        for numbers in self.below.get(group, {}).values():
            yield from numbers


def _plain(value: str) -> str:
    """Return a value so that the words of a source and the numbers that they are compiled to are the same."""
    plain = " ".join(value.split()).lower()
    return "1" if plain in _TRUE else "0" if plain in _FALSE else plain


def _beginnings(setting: Raw) -> set[str]:
    """Return how the groups that a setting can be in are called.

    For a member of a list the designer writes its name or its number there, or both.
    """
    ways: list[list[str]] = [[], [], []]
    found = set()
    for step in setting.steps[:MAX_STEPS]:
        name = _simple(step.name)
        for way, words in zip(ways, ([name], ["#"], [name, "#"]) if step.identity else ([name],) * 3, strict=True):
            way += words
            found.add("_".join(way))
    return found


def _group(file: str) -> str:
    """Return the group of settings that a compiled file is named after: ``3__Accounts_Users.provxml``."""
    name = re.sub(r"^\d+__?", "", file.split("/")[-1].removesuffix(".provxml"))
    return "_".join("#" if word.isdigit() else word for word in _simple(name).split("_"))


def _simple(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


# -- whether it is the same -------------------------------------------------------------------------------------------

_WORD = re.compile(r"[\w -]*")
"""What may be one of a setting's words, which is compiled to something else."""
_COMPARED = ("Policies", COMMANDS)
"""Below these a value is compiled as it is in the source, or as a number for a word."""
_NOT_COMPARED = ("CommandFile", "CommandFiles", "Dependency", "DependencyPackages", "FileName")
"""Paths of the author, which are compiled to paths in the package."""


def differs(setting: Raw, parameter: Parameter) -> bool:
    """Return whether a compiled value certainly is not the one of the source. If it cannot be told, it is not."""
    compared = setting.names[0] in _COMPARED or setting.names[-1] == "ComputerName"
    if not compared or not {"", *_NOT_COMPARED}.isdisjoint(setting.names):
        return False
    source, compiled = " ".join(setting.value.split()), " ".join(parameter.value.split())
    if source == compiled or "\uf000" in compiled:  # several texts, with what stands between them
        return False
    if source.lower() in _TRUE:
        return compiled.lower() in _FALSE
    if source.lower() in _FALSE:
        return compiled.lower() in _TRUE
    if setting.names[-1] in ("CommandLine", "ComputerName"):
        return True
    if source.isdigit() and compiled.isdigit():
        return setting.names[0] == "Policies"
    return parameter.kind == "string" and not compiled.isdigit() and _WORD.fullmatch(source) is None
