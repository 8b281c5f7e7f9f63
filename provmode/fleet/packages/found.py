"""What a run found about packages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provmode import __version__
from provmode.ccm.verdict import TO_MEND, Assessment, Outcome, cause_of
from provmode.fleet.packages.judging import Judged
from provmode.fleet.packages.kinds import Noted
from provmode.fleet.packages.one_host import set_apart
from provmode.fleet.results import PACKAGE_FLEET, none_resolves
from provmode.packages.document import signature_document
from provmode.packages.model import Package
from provmode.packages.on_pc.model import PackageFile, PackagesOnPc
from provmode.reading import Known, Reading, plain

FORMAT, VERSION = "provmode-packages", 1


@dataclass(frozen=True)
class HostPackages:
    """The packages of one host."""

    host: str
    """Its name, without the connector."""
    state: PackagesOnPc | None
    """``None`` if the host could not be looked at."""
    failure: Assessment | None = None
    """Why it could not be looked at."""
    judged: Judged = field(default_factory=Judged)
    winners: Mapping[str, Reading[str]] | None = None
    """Whose value holds for the policies that its packages set, by their paths; ``None`` if it was not asked."""
    requests: int = 0
    """HTTP requests that looking at it cost, authentication included; without those for reading packages."""

    @property
    def files(self) -> tuple[PackageFile, ...]:
        """Its package files."""
        return self.state.files if self.state is not None else ()

    @property
    def findings(self) -> tuple[Noted, ...]:
        """What is worth knowing of it."""
        return self.judged.findings

    @property
    def outcomes(self) -> set[Outcome]:
        """What it means for the exit code."""
        if self.state is None:
            return {self.failure.outcome if self.failure is not None else Outcome.UNASSESSED}
        found = {Outcome.PENDING} if any(each.counts for each in self.findings) else set[Outcome]()
        for each in self.judged.unread:
            found.add(Outcome.FAILED if cause_of(each.cause) in TO_MEND else Outcome.UNASSESSED)
        return found or {Outcome.COMPLIANT}

    def to_json(self) -> dict[str, Any]:
        """Return the host's row (contract)."""
        document: dict[str, Any] = {"host": self.host, "requests": self.requests}
        if self.failure is not None:
            document.update(reason=self.failure.reason, cause=self.failure.cause, next_step=self.failure.next_step)
        document["findings"] = [finding.to_json() for finding in self.findings]
        document["unread"] = [each.to_json() for each in self.judged.unread]
        if self.state is not None:
            document["packages"] = [{**file.to_json(), "inbox": file.inbox} for file in self.files]
            facts = plain(self.state)
            del facts["places"]
            document["facts"] = facts
        if self.winners is not None:
            document["winners"] = {path: reading.to_json() for path, reading in self.winners.items()}
        return document


@dataclass(frozen=True)
class FleetPackage:
    """One distinct package of the fleet."""

    sha256: str
    package: Reading[Package]
    hosts: tuple[str, ...]
    places: Counter[str]
    """How many files of it there are, by place."""
    names: tuple[str, ...]
    """What its files are called."""
    inbox: bool
    """Whether it is one of those that every Windows has: see `set_apart`."""

    @property
    def label(self) -> str:
        """How people call it."""
        return str(self.package.value) if isinstance(self.package, Known) else self.names[0]

    def to_json(self) -> dict[str, Any]:
        """Return it without what is secret (contract)."""
        document: dict[str, Any] = {
            "sha256": self.sha256,
            "inbox": self.inbox,
            "names": list(self.names),
            "hosts": len(self.hosts),
            "places": dict(sorted(self.places.items())),
        }
        if not isinstance(self.package, Known):
            return {**document, "package": self.package.to_json()}
        package = self.package.value
        about = {
            **package.metadata.to_json(),
            "size": package.size,
            "settings": len(package.settings),
            "commands": len(package.commands),
            "secrets": plain(package.secrets),
            "tokens": plain(package.tokens),
            "signature": signature_document(package.signature),
        }
        return {**document, "package": {"known": about}}


@dataclass
class PackagesFound:
    """What a run found. An interrupted run lacks some hosts."""

    selected: list[str]
    hosts: list[HostPackages] = field(default_factory=list)
    packages: list[FleetPackage] = field(default_factory=list)
    """Each distinct package, those on most hosts first."""
    inventory: str = ""
    began: datetime | None = None
    ended: datetime | None = None
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)
    """What a person should know about the inventory, a sentence each."""
    excluded: tuple[str, ...] = ()
    """Host names that ``--exclude`` left out."""
    by_name: frozenset[str] = frozenset()
    """Hosts whose address is a name, which has to be looked up."""

    @property
    def missing(self) -> list[str]:
        """Hosts that were not looked at because the run was interrupted."""
        seen = {host.host for host in self.hosts}
        return [name for name in self.selected if name not in seen]

    def count(self, outcome: Outcome) -> int:
        """Return how many hosts have *outcome*, perhaps beside another."""
        return sum(outcome in host.outcomes for host in self.hosts)

    @property
    def no_name_resolves(self) -> bool:
        """Whether it is DNS, and not the PCs: see `none_resolves`."""
        causes = {host.host: host.failure.cause if host.failure is not None else None for host in self.hosts}
        return none_resolves(causes, self.by_name)

    def exit_code(self) -> int:
        """Return the run's exit code (contract): see `provmode.fleet.results`."""
        outcomes = [outcome for host in self.hosts for outcome in host.outcomes]
        return PACKAGE_FLEET.code(
            [*outcomes, *([Outcome.FAILED] if self.no_name_resolves else [])], interrupted=self.interrupted
        )

    def summary(self) -> dict[str, int]:
        """Return how many hosts there are of which kind (contract)."""
        return {
            "total": len(self.selected),
            "findings": self.count(Outcome.PENDING),
            "clean": self.count(Outcome.COMPLIANT),
            "not_told": sum(host.state is not None and bool(host.judged.unread) for host in self.hosts),
            "unassessed": sum(host.state is None for host in self.hosts) + len(self.missing),
            "packages": sum(not package.inbox for package in self.packages),
            "inbox": sum(package.inbox for package in self.packages),
        }

    def head(self) -> dict[str, Any]:
        """Return everything but the hosts (contract)."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "provmode": __version__,
            "inventory": self.inventory,
            "began": plain(self.began),
            "ended": plain(self.ended),
            "summary": self.summary(),
            "packages": [package.to_json() for package in self.packages],
        }
        if self.excluded:
            document["excluded"] = list(self.excluded)
        if self.interrupted:
            document |= {"interrupted": True, "missing": self.missing}
        return document

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each host's row (contract)."""
        for host in self.hosts:
            yield host.to_json()


def distinct(hosts: list[HostPackages], packages: dict[str, Reading[Package]]) -> list[FleetPackage]:
    """Return each distinct package of *hosts*, those on most hosts first."""
    files: dict[str, list[tuple[str, PackageFile]]] = {}
    for host in hosts:
        for file in host.files:
            if isinstance(file.sha256, Known):
                files.setdefault(file.sha256.value, []).append((host.host, file))
    found = [
        FleetPackage(
            sha256,
            packages[sha256],
            tuple(dict.fromkeys(host for host, _ in pairs)),
            Counter(str(file.place) for _, file in pairs),
            tuple(dict.fromkeys(file.name for _, file in pairs)),
            all(set_apart(file, packages[sha256]) for _, file in pairs),
        )
        for sha256, pairs in files.items()
    ]
    return sorted(
        found, key=lambda package: (package.inbox, -len(package.hosts), package.label.lower(), package.sha256)
    )
