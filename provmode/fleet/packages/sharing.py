"""One object for what is the same on many hosts, so that a large fleet fits into memory. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TypeVar

from provmode.packages.on_pc.model import PackageFile, PackagesOnPc, PlaceFiles, ProvisioningEvent
from provmode.reading import Known

T = TypeVar("T", bound=Hashable)

ABOUT_PACKAGES = frozenset({20, 21, 22, 23, 60, 61, 62, 63, 64, 65})
"""Events about adding, applying or removing a package as a whole."""


class Sharing:
    """What was seen before."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, Hashable] = {}

    def one(self, value: T) -> T:
        """Return what was seen before and is the same as *value*, or *value* itself."""
        return self._seen.setdefault(value, value)  # type: ignore[return-value]

    def state(self, state: PackagesOnPc) -> PackagesOnPc:
        """Return *state* with shared parts, and of its events those about whole packages, and failures."""
        results, events = state.results, state.events
        if isinstance(results, Known):
            results = self.one(Known(tuple(self.one(each) for each in results.value)))
        if isinstance(events, Known):
            events = Known(tuple(self._event(each) for each in events.value if _kept(each)))
        return replace(
            state,
            places=tuple(self._place(each) for each in state.places),
            results=results,
            applied_ids=self.one(state.applied_ids),
            commands=self.one(state.commands),
            trusted=self.one(state.trusted),
            policies=self.one(state.policies),
            events=events,
            push_service=self.one(state.push_service),
        )

    def _place(self, each: PlaceFiles) -> PlaceFiles:
        files = each.files
        if isinstance(files, Known):
            files = self.one(Known(tuple(self._file(file) for file in files.value)))
        return self.one(replace(each, folder=self.one(each.folder), files=files))

    def _file(self, file: PackageFile) -> PackageFile:
        return self.one(replace(file, path=self.one(file.path), sha256=self.one(file.sha256)))

    def _event(self, each: ProvisioningEvent) -> ProvisioningEvent:
        return replace(each, data=self.one(each.data))


def _kept(event: ProvisioningEvent) -> bool:
    return event.failure or event.number in ABOUT_PACKAGES
