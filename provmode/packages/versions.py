"""Several packages of one id are an update, not a conflict: which of them count."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from provmode.packages.findings import Finding, places
from provmode.packages.model import Package, Setting

_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,7}")


@dataclass(frozen=True)
class Given:
    """A package, and where it comes from."""

    package: Package
    label: str
    """A name of the file, or of the place."""
    unclear: bool = False
    """Whether another file is of the same id and version, and differs."""

    @property
    def sorted_by(self) -> tuple[str, str, str]:
        """Return what brings packages into an order that does not depend on how they were given."""
        return self.package.metadata.id, self.package.metadata.version, self.label

    def __str__(self) -> str:
        """Return its name and version, and where it comes from."""
        return f"{self.package} ({self.label})" if self.label else str(self.package)

    def to_json(self) -> dict[str, Any]:
        """Return it as ``docs/package.schema.json`` describes it."""
        told = self.package.metadata
        return {
            "file": self.label,
            "id": told.id,
            "name": told.name,
            "version": told.version,
            "owner": told.owner,
            "rank": told.rank,
            "precedence": told.precedence,
            "ordered_by": None if self.unclear else told.ordered_by,
        }


@dataclass(frozen=True)
class Kept:
    """The packages that count."""

    packages: tuple[Given, ...]
    replaced: tuple[tuple[Given, Given], ...]
    """Each with the newer version that replaces it."""
    copies: tuple[tuple[Given, Given], ...]
    """Each with another of the same id, version and content."""
    findings: tuple[Finding, ...]

    @property
    def everything(self) -> tuple[Given, ...]:
        """Return all packages, also those that do not count."""
        return (*self.packages, *(old for old, _ in (*self.replaced, *self.copies)))


def version_of(text: str) -> tuple[int, ...] | None:
    """Return a version as numbers, so that 1.10 is above 1.9 and 1.0 is 1; ``None`` if it is not made of numbers."""
    if not _VERSION.fullmatch(text.strip()):
        return None
    numbers = [int(part) for part in text.strip().split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def keep(packages: Sequence[Given]) -> Kept:
    """Return which of the packages count: of one id the newest version."""
    groups: dict[str, list[Given]] = {}
    for number, given in enumerate(sorted(packages, key=lambda each: each.sorted_by)):
        groups.setdefault(given.package.metadata.id or f"none {number}", []).append(given)
    kept: list[Given] = []
    replaced, copies, findings = [], [], []
    for group in groups.values():
        newest = _newest(group)
        if newest is None:
            kept += [replace(each, unclear=True) for each in group]
            versions = [each.package.metadata.version for each in group]
            findings.append(Finding("version-unclear", f"{group[0].package.metadata.name}: {places(versions)}"))
            continue
        first, *others = newest
        copies += [(each, first) for each in others if _alike(first.package, each.package)]
        different = [each for each in others if not _alike(first.package, each.package)]
        unclear = bool(different)
        kept += [replace(each, unclear=unclear) for each in (first, *different)]
        replaced += [(each, first) for each in group if each not in newest]
        if different:
            labels = [each.label for each in (first, *different)]
            findings.append(Finding("same-version-differs", f"{first}: {places(labels)}"))
    order = sorted(kept, key=lambda each: each.sorted_by)
    return Kept(tuple(order), tuple(replaced), tuple(copies), tuple(findings))


def _newest(group: list[Given]) -> list[Given] | None:
    """Return those of the newest version; ``None`` if it cannot be told which that is."""
    versions = [version_of(each.package.metadata.version) for each in group]
    if None in versions:
        same = len({each.package.metadata.version for each in group}) == 1
        return group if same else None
    highest = max(version for version in versions if version is not None)
    return [each for each, version in zip(group, versions, strict=True) if version == highest]


def _alike(one: Package, other: Package) -> bool:
    """Return whether two packages certainly do the same."""
    if one is other:
        return True
    same = (one.metadata.owner, one.metadata.rank, one.metadata.altitude) == (
        *(other.metadata.owner, other.metadata.rank, other.metadata.altitude),
    )
    if any(each.masked and not each.mark for each in (*one.commands, *other.commands)):
        return False
    if (one.commands, one.assets) != (other.commands, other.assets):
        return False
    return same and _same_settings(one.settings, other.settings)


def _same_settings(one: Sequence[Setting], other: Sequence[Setting]) -> bool:
    if len(one) != len(other):
        return False
    pairs = zip(sorted(one, key=_sorted_by), sorted(other, key=_sorted_by), strict=True)
    return all(a.steps == b.steps and a.when == b.when and a.same_value(b) for a, b in pairs)


def _sorted_by(setting: Setting) -> tuple[Any, ...]:
    return setting.steps, str(setting.when), setting.value
