"""One host's packages, looked at together: its files, what is in them, and what Windows says was applied. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provmode.fleet.packages.kinds import Unread
from provmode.packages.model import Package
from provmode.packages.on_pc.model import PackageFile, PackagesOnPc, Place
from provmode.reading import Known, Reading, Unknown

APPLIED = frozenset({Place.KEPT, Place.IMAGE})
"""Places whose packages Windows has applied."""

Packages = Mapping[str, Reading[Package]]
"""What is in each package, by its hash."""


@dataclass(frozen=True)
class OnHost:
    """One file, with what is in it."""

    file: PackageFile
    package: Reading[Package]
    """Unknown if the file's hash is, or the package could not be read."""

    @property
    def id(self) -> str:
        """The package's id; empty if it could not be told."""
        return self.package.value.metadata.id if isinstance(self.package, Known) else ""

    @property
    def label(self) -> str:
        """How people call it."""
        return str(self.package.value) if isinstance(self.package, Known) else self.file.name


class OneHost:
    """One host's packages, looked at together."""

    def __init__(self, state: PackagesOnPc, packages: Packages) -> None:
        self.state = state
        self.files = [OnHost(file, _package(file, packages)) for file in state.files]
        self.own = [each for each in self.files if not set_apart(each.file, each.package)]
        ids = state.applied_ids.value if isinstance(state.applied_ids, Known) else ()
        results = state.results.value if isinstance(state.results, Known) else ()
        self.applied_ids = {*ids, *(result.id for result in results if result.id and result.file_name)}
        self.applied_names = {result.file_name.lower().rpartition("\\")[2] for result in results if result.file_name}
        self.knows_applied = not isinstance(state.results, Unknown) and not isinstance(state.applied_ids, Unknown)
        self.knows_places = all(isinstance(each.files, Known) for each in state.places)
        self.knows_own = self.knows_places and all(isinstance(each.package, Known) for each in self.own)
        self.knows_files = self.knows_places and all(isinstance(each.package, Known) for each in self.files)

    def label_of(self, id_: str, otherwise: str) -> str:
        """Return how people call the package with an id."""
        return next((each.label for each in self.files if id_ and each.id == id_), otherwise or id_)

    def applied(self, each: OnHost) -> bool | None:
        """Whether Windows says that a file's package was applied; ``None`` if it could not be told."""
        if each.file.name.lower() in self.applied_names or (each.id and each.id in self.applied_ids):
            return True
        return False if self.knows_applied and each.id else None

    def unread(self) -> Iterator[Unread]:
        """Yield what could not be told."""
        places: dict[tuple[str, str], list[str]] = {}
        for place in self.state.places:
            if isinstance(place.files, Unknown):
                places.setdefault((place.files.detail, place.files.cause), []).append(str(place.place))
        for (detail, cause), same_places in places.items():
            yield Unread(f"packages ({', '.join(same_places)}): {detail}", cause)
        hashes = [each.file.sha256 for each in self.own if isinstance(each.file.sha256, Unknown)]
        for cause in dict.fromkeys(each.cause for each in hashes):
            same = [each for each in hashes if each.cause == cause]
            yield Unread(f"hashes of {len(same)} packages: {same[0].detail}", cause)
        for each in self.own:
            if isinstance(each.file.sha256, Known) and isinstance(each.package, Unknown):
                yield Unread(f"{each.file.name}: {each.package.detail}", each.package.cause)
        said: tuple[tuple[str, Reading[Any]], ...] = (
            ("results of packages", self.state.results),
            ("applied packages", self.state.applied_ids),
            ("whether a policy requires signatures", self.state.policies.signature_required),
        )
        for what, reading in said:
            if isinstance(reading, Unknown):
                yield Unread(f"{what}: {reading.detail}", reading.cause)


def set_apart(file: PackageFile, package: Reading[Package]) -> bool:
    """Whether a file is one of those that every Windows has.

    They are told by place and name, which anybody may choose. So one with commands or secrets is not set apart.
    """
    found = package.value if isinstance(package, Known) else None
    return file.inbox and (found is None or not (found.commands or found.secrets))


def _package(file: PackageFile, packages: Packages) -> Reading[Package]:
    if isinstance(file.sha256, Known):
        return packages.get(file.sha256.value, Unknown("not-read", "the package was not read"))
    return file.sha256 if isinstance(file.sha256, Unknown) else Unknown("not-read", "the file is gone")
