"""What a PC has of one package: the files that Windows kept of it, whether it was applied, and what of it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from provmode.errors import HostError
from provmode.packages.on_pc.applied import applied_ids, results_in
from provmode.packages.on_pc.files import folders, packages_in
from provmode.packages.on_pc.inventory import hashed, inventory
from provmode.packages.on_pc.model import CategoryResult, PackageFile, PackageResult, Place
from provmode.packages.on_pc.package import OF_THE_PACKAGE, package_on_pc
from provmode.reading import Known, Reading, Unknown
from provmode.windows.conversation import Conversation
from provmode.windows.system import operating_system

T = TypeVar("T")

Identities = Mapping[str, tuple[str, str]]
"""Id and version of packages that were read before, by the hash of their files."""


@dataclass(frozen=True, order=True)
class Copy:
    """A file that Windows kept of a package."""

    version: str
    sha256: str
    path: str

    def __str__(self) -> str:
        """Return version and hash, as plans have them."""
        return f"{self.version} (SHA-256 {self.sha256})"


@dataclass(frozen=True)
class OnThisPc:
    """What a PC has of one package."""

    copies: tuple[Copy, ...] = ()
    """Sorted by version."""
    applied: bool = False
    """Whether Windows says that it was applied."""
    failed: tuple[CategoryResult, ...] = ()
    """The parts that failed."""

    @property
    def lines(self) -> tuple[str, ...]:
        """What a plan compares: versions, hashes, and whether it was applied."""
        return (*map(str, self.copies), *(("applied",) if self.applied else ()))

    def has(self, sha256: str) -> bool:
        """Return whether Windows kept a file with this hash."""
        return any(copy.sha256 == sha256 for copy in self.copies)


def copies_of(id_: str, known: Identities) -> Conversation[OnThisPc]:
    """Ask what the PC has of the package with this id. Files whose hash is not in *known* are read there.

    Raises:
        HostError: something of it could not be told.
    """
    found = yield from on_this_pc(known)
    return found(id_)


class PackagesThere:
    """What a PC has of every package."""

    def __init__(
        self,
        kept: tuple[tuple[str, Copy], ...],
        ids: frozenset[str],
        results: tuple[PackageResult, ...],
        unread: tuple[str, ...] = (),
    ) -> None:
        self._kept, self._ids, self._results, self._unread = kept, ids, results, unread

    def __call__(self, id_: str) -> OnThisPc:
        """Return what it has of one.

        Raises:
            HostError: it was applied, and none but a file that cannot be read could be its file.
        """
        copies = tuple(sorted(copy for own, copy in self._kept if own == id_))
        names = {copy.path.rpartition("\\")[2].lower() for copy in copies}
        results = [each for each in self._results if each.id == id_ or (not each.id and _name(each) in names)]
        failed = tuple(category for each in results for category in each.failed)
        applied = bool(results) or id_ in self._ids
        if applied and not copies and self._unread:
            step = "look at the file on the PC; an encrypted package cannot be read"
            raise HostError(f"could not tell which version of {id_} was applied: {self._unread[0]}", next_step=step)
        return OnThisPc(copies, applied, failed)


def on_this_pc(known: Identities) -> Conversation[PackagesThere]:
    """Ask what the PC has of every package; see `copies_of`."""
    system = _told((yield from operating_system()), "the PC's Windows folder")
    folder = folders(system.windows_directory)[Place.KEPT]
    said = yield from inventory()
    (place,) = yield from hashed(((yield from packages_in(Place.KEPT, folder)),), said.hashes)
    kept, unread = list[tuple[str, Copy]](), list[str]()
    for file in _told(place.files, f"the packages in {folder}"):
        if file.place is Place.KEPT:
            found = yield from _identified(file, known)
            if isinstance(found, Unknown):
                unread.append(found.detail)
            else:
                kept.append(found)
    results = _told_or_none(results_in(said.registry), "the results of packages")
    ids = _told_or_none((yield from applied_ids()), "the ids of applied packages")
    return PackagesThere(tuple(kept), frozenset(ids or ()), results or (), tuple(unread))


def _identified(file: PackageFile, known: Identities) -> Conversation[tuple[str, Copy] | Unknown]:
    """Return the id of the package in a file and the file; unknown if the file cannot be read wherever it is."""
    digest = _told(file.sha256, f"the hash of {file.path}")
    if digest in known:
        id_, version = known[digest]
        return id_, Copy(version, digest, file.path)
    package = yield from package_on_pc(file.path, digest)
    if isinstance(package, Unknown) and package.cause.startswith(OF_THE_PACKAGE):
        return Unknown(package.cause, f"{file.path}: {package.detail}")
    metadata = _told(package, f"which package {file.path} is").metadata
    return metadata.id, Copy(metadata.version, digest, file.path)


def _name(result: PackageResult) -> str:
    return result.file_name.rpartition("\\")[2].lower()


def _told(reading: Reading[T], what: str) -> T:
    """Return what is known.

    Raises:
        HostError: it is not.
    """
    found = _told_or_none(reading, what)
    if found is None:
        raise HostError(f"could not tell {what}: it is not there", next_step="look at the PC")
    return found


def _told_or_none(reading: Reading[T], what: str) -> T | None:
    if isinstance(reading, Unknown):
        step = "look at the account's rights on the PC, then try again"
        raise HostError(f"could not tell {what}: {reading.detail or reading.cause}", next_step=step)
    return reading.value if isinstance(reading, Known) else None
