"""What a PC has of one package: the files that Windows kept of it, whether it was applied, and what of it failed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from provmode.errors import HostError
from provmode.packages.model import Package
from provmode.packages.on_pc.applied import applied_ids, results_in
from provmode.packages.on_pc.files import folders, packages_in
from provmode.packages.on_pc.inventory import hashed, inventory
from provmode.packages.on_pc.model import (
    BEGUN,
    COMPLETED,
    FAILED,
    CategoryResult,
    PackageResult,
    Place,
    ProvisioningEvent,
)
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
    applying: bool = False
    """Whether Windows says that it is not done with it."""

    @property
    def lines(self) -> tuple[str, ...]:
        """What a plan compares: versions, hashes, and whether it was applied."""
        return (*map(str, self.copies), *(("applied",) if self.applied else ()))

    @property
    def settled(self) -> bool:
        """Whether it was applied, all of it, and no part failed."""
        return self.applied and not self.applying and not self.failed

    def has(self, sha256: str) -> bool:
        """Return whether Windows kept a file with this hash."""
        return any(copy.sha256 == sha256 for copy in self.copies)


def copies_of(id_: str, known: dict[str, tuple[str, str]]) -> Conversation[OnThisPc]:
    """Ask what the PC has of the package with this id. Files whose hash is not in *known* are read there, and added.

    Raises:
        HostError: something of it could not be told.
    """
    found: PackagesThere = yield from on_this_pc(known)
    known |= {digest: (each.metadata.id, each.metadata.version) for digest, each in found.read.items()}
    return found(id_)


class PackagesThere:
    """What a PC has of every package."""

    def __init__(
        self,
        kept: Sequence[tuple[str, Copy]],
        ids: Collection[str],
        results: Sequence[PackageResult],
        unread: Sequence[str],
        read: Mapping[str, Package],
        events: Sequence[ProvisioningEvent] = (),
    ) -> None:
        self._kept, self._ids, self._results, self._unread, self._events = kept, ids, results, unread, events
        self.read = read
        """The packages that were read on the PC, by the hash of their files."""

    @property
    def hashes(self) -> tuple[str, ...]:
        """The hash of each file that Windows kept and that is known to be a package's."""
        return tuple(copy.sha256 for _, copy in self._kept)

    @property
    def unread(self) -> int:
        """How many files are kept that cannot be read."""
        return len(self._unread)

    def __call__(self, id_: str) -> OnThisPc:
        """Return what it has of one.

        Raises:
            HostError: it was applied, and none but a file that cannot be read could be its file.
        """
        copies = tuple(sorted(copy for own, copy in self._kept if own == id_))
        names = {copy.path.rpartition("\\")[2].lower() for copy in copies}
        results = [each for each in self._results if each.id == id_ or (not each.id and _name(each) in names)]
        failed = tuple(category for each in results for category in each.failed)
        last = self._last_event(id_)
        pending = any(category.pending for each in results for category in each.categories)
        applying = pending or (last is not None and last.number == BEGUN)
        if last is not None and last.number == FAILED and not failed:
            number = int(last.hresult, 16) if last.hresult else None
            failed = (CategoryResult("all", last_result=number, failures=1),)
        applied = bool(results) or id_ in self._ids
        if applied and not copies and self._unread:
            step = "look at the file on the PC; an encrypted package cannot be read"
            raise HostError(f"could not tell which version of {id_} was applied: {self._unread[0]}", next_step=step)
        return OnThisPc(copies, applied, failed, applying)

    def _last_event(self, id_: str) -> ProvisioningEvent | None:
        """Return the newest event that says how far a package is; ``None`` if the log has none."""
        about = (BEGUN, COMPLETED, FAILED)
        return next((each for each in self._events if each.number in about and each.package == id_), None)


def on_this_pc(known: Identities) -> Conversation[PackagesThere]:
    """Ask what the PC has of every package; see `copies_of`."""
    system = _told((yield from operating_system()), "the PC's Windows folder")
    folder = folders(system.windows_directory)[Place.KEPT]
    said = yield from inventory()
    (place,) = yield from hashed(((yield from packages_in(Place.KEPT, folder)),), said.hashes)
    kept, unread, read = list[tuple[str, Copy]](), list[str](), dict[str, Package]()
    for file in _told(place.files, f"the packages in {folder}"):
        if file.place is not Place.KEPT:
            continue
        digest = _told(file.sha256, f"the hash of {file.path}")
        if digest not in known:
            found = yield from package_on_pc(file.path, digest)
            if isinstance(found, Unknown) and found.cause.startswith(OF_THE_PACKAGE):
                unread.append(f"{file.path}: {found.detail}")
                continue
            read[digest] = _told(found, f"which package {file.path} is")
        about = read[digest].metadata if digest in read else None
        id_, version = (about.id, about.version) if about is not None else known[digest]
        kept.append((id_, Copy(version, digest, file.path)))
    results = _told_or_none(results_in(said.registry), "the results of packages")
    ids = _told_or_none((yield from applied_ids()), "the ids of applied packages")
    events = said.events.value if isinstance(said.events, Known) else ()
    return PackagesThere(kept, ids or (), results or (), unread, read, events)


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
