"""What two packages differ in, mostly two versions of one. Secrets are added, removed or changed, and never shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from provmode.packages.model import Command, Holds, Metadata, Package, Setting
from provmode.reading import Known, plain

T = TypeVar("T")
_NUMBERED = re.compile(r"^DataAsset/\d+/\d+_[A-Za-z0-9+.=]{1,50}/")


class What(str, Enum):
    """What became of a part."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    UNTOLD = "untold"
    """Whether a secret is another one cannot be told."""

    def __str__(self) -> str:
        """Return the value, so that it prints as in JSON."""
        return self.value


@dataclass(frozen=True)
class Change:
    """One difference."""

    part: str
    """``metadata``, ``signature``, ``setting``, ``command``, ``asset``, ``secret``, ``stage`` or ``finding``."""
    place: str
    what: What
    before: str | None
    """``None`` if it was not there, or is a secret."""
    after: str | None

    def to_json(self) -> dict[str, Any]:
        """Return it as ``docs/package.schema.json`` describes it."""
        return {**vars(self), "what": self.what.value}


def diff(old: Package, new: Package) -> tuple[Change, ...]:
    """Return what *new* has otherwise than *old*. Both have to be read with one key for secrets to be compared."""
    return (
        *_metadata(old.metadata, new.metadata),
        *_compared("signature", {"signer": _signer(old)}, {"signer": _signer(new)}),
        *_settings(old.settings, new.settings),
        *_commands(old, new),
        *_assets(old, new),
        *_secrets(old, new),
        *_compared("finding", _findings(old), _findings(new)),
    )


def _metadata(old: Metadata, new: Metadata) -> Iterable[Change]:
    for name, before in vars(old).items():
        after = getattr(new, name)
        if before != after:
            yield Change("metadata", name, What.CHANGED, _text(before), _text(after))


def _text(value: object) -> str | None:
    return None if value is None else str(plain(value))


def _signer(package: Package) -> str | None:
    signer = package.signature.signer
    return f"{signer.value.subject}, SHA-1 {signer.value.sha1}" if isinstance(signer, Known) else None


def _compared(part: str, old: Mapping[str, str | None], new: Mapping[str, str | None]) -> Iterable[Change]:
    for place in sorted({*old, *new}):
        before, after = old.get(place), new.get(place)
        if before != after:
            what = What.ADDED if before is None else What.REMOVED if after is None else What.CHANGED
            yield Change(part, place, what, before, after)


def _findings(package: Package) -> dict[str, str | None]:
    return {f"{each.code}: {each.text}": each.weight.value for each in package.findings}


def _assets(old: Package, new: Package) -> Iterable[Change]:
    for either, before, after in _pairs(old.assets, new.assets, lambda each: (_asset_place(each.path),)):
        told = [f"{each.size:,} bytes, SHA-1 {each.sha1}" if each else None for each in (before, after)]
        if told[0] != told[1]:
            what = What.ADDED if before is None else What.REMOVED if after is None else What.CHANGED
            yield Change("asset", _asset_place(either.path), what, *told)


def _asset_place(path: str) -> str:
    """Return where an asset is, without the folder of its number and hash: both change with it."""
    return _NUMBERED.sub("DataAsset/", path)


# -- what may hold secrets --------------------------------------------------------------------------------------------


def _settings(old: Iterable[Setting], new: Iterable[Setting]) -> Iterable[Change]:
    def place(setting: Setting) -> tuple[Hashable, ...]:
        return setting.path, str(setting.when or "")

    for either, before, after in _pairs(old, new, place):
        where = either.path + (f" if {either.when}" if either.when else "")
        if before is None or after is None:
            what = What.ADDED if before is None else What.REMOVED
            yield Change("setting", where, what, _shown(before), _shown(after))
        elif before.same_value(after) is not True:
            what = What.CHANGED if before.same_value(after) is False else What.UNTOLD
            yield Change("setting", where, what, _shown(before), _shown(after))
        elif before.source != after.source:
            yield Change("stage", where, What.CHANGED, before.source, after.source)


def _shown(setting: Setting | None) -> str | None:
    return None if setting is None or setting.holds is Holds.SECRET else setting.value


def _commands(old: Package, new: Package) -> Iterable[Change]:
    def place(command: Command) -> tuple[Hashable, ...]:
        return command.context, command.name, str(command.when or ""), command.only_compiled

    for either, before, after in _pairs(old.commands, new.commands, place):
        where = "/".join(filter(None, (either.context, either.name or f"command {either.order}")))
        if before is None or after is None:
            what = What.ADDED if before is None else What.REMOVED
            yield Change("command", where, what, _line(before), _line(after))
        elif _line(before) != _line(after) or (before.masked and before.mark != after.mark):
            yield Change("command", where, What.CHANGED, _line(before), _line(after))
        elif before.masked and not before.mark:
            yield Change("command", where, What.UNTOLD, _line(before), _line(after))


def _line(command: Command | None) -> str | None:
    """Return what a command does, in a line."""
    if command is None:
        return None
    told = {
        "files": ", ".join(command.files),
        "continues": command.continue_install,
        "restarts": command.restart_required,
        "success": command.success_codes,
        "restart codes": command.restart_codes,
    }
    more = "; ".join(f"{name}: {value}" for name, value in told.items() if value)
    return f"{command.line} ({more})" if more else command.line


def _secrets(old: Package, new: Package) -> Iterable[Change]:
    for either, before, after in _pairs(old.secrets, new.secrets, lambda each: (_asset_place(each.place), each.kind)):
        where = f"{either.place} ({either.kind})"
        if before is None or after is None:
            yield Change("secret", where, What.ADDED if before is None else What.REMOVED, None, None)
        elif not before.mark or not after.mark:
            yield Change("secret", where, What.UNTOLD, None, None)
        elif before.mark != after.mark:
            yield Change("secret", where, What.CHANGED, None, None)


def _pairs(
    old: Iterable[T], new: Iterable[T], place: Callable[[T], tuple[Hashable, ...]]
) -> Iterable[tuple[T, T | None, T | None]]:
    """Yield what is in the same place in both, in the order of places; of several in one place the first with first.

    First comes one of the two that is there.
    """
    places: dict[tuple[Hashable, ...], tuple[list[T], list[T]]] = {}
    for side, items in enumerate((old, new)):
        for item in items:
            places.setdefault(place(item), ([], []))[side].append(item)
    for key in sorted(places, key=str):
        before, after = places[key]
        for number in range(max(len(before), len(after))):
            first = before[number] if number < len(before) else None
            second = after[number] if number < len(after) else None
            either = second if second is not None else first
            if either is not None:
                yield either, first, second
