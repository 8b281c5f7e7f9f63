"""Reading each distinct package once for the whole fleet, from one of the hosts that have it.

If the host dies, or its file is not the one that was hashed, another host that has it is asked. A package that cannot
be read by its own fault (encrypted, damaged) is the same everywhere, and is not asked for again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from provmode.fleet.inventory import Fleet
from provmode.fleet.packages.found import HostPackages
from provmode.fleet.visit import Runner, Visit, failure_of, short
from provmode.packages.model import Package
from provmode.packages.on_pc.contents import LARGEST
from provmode.packages.on_pc.package import OF_THE_PACKAGE, package_on_pc
from provmode.reading import Absent, Known, Reading, Unknown

TRIES = 5
"""Hosts that one package is asked of at most."""
_NOT_READ = Unknown("not-read", "no host was asked for the package")


@dataclass
class _Wanted:
    """A package to read."""

    sha256: str
    left: list[tuple[str, str]] = field(default_factory=list)
    """Hosts that have it and were not asked yet, each with the path of its file."""
    asked: int = 0
    reading: Reading[Package] = _NOT_READ

    @property
    def open(self) -> bool:
        """Whether another host is asked."""
        final = isinstance(self.reading, Known) or (
            isinstance(self.reading, Unknown) and self.reading.cause.startswith(OF_THE_PACKAGE)
        )
        return not final and bool(self.left) and self.asked < TRIES


_Share = dict[str, list[tuple[_Wanted, str]]]
"""For each host of the fleet what is read there, and from which path."""


def read_packages(
    fleet: Fleet,
    hosts: Sequence[HostPackages],
    known: Mapping[str, Reading[Package]],
    runner: Runner,
    stop: Callable[[], bool],
) -> dict[str, Reading[Package]]:
    """Return what is in each package of *hosts*, by its hash. *known* are read already."""
    names = {short(name): name for name in fleet.names}
    wanted = _wanted(hosts, known)
    while not stop() and (share := _share(wanted, names)):
        runner.visit(fleet, list(share), _worker(share), stop=stop, finish_begun=False)
    return {**known, **{each.sha256: each.reading for each in wanted}}


def _wanted(hosts: Sequence[HostPackages], known: Mapping[str, Reading[Package]]) -> list[_Wanted]:
    found: dict[str, _Wanted] = {}
    for host in hosts:
        for file in host.files:
            if not isinstance(file.sha256, Known) or file.sha256.value in known:
                continue
            each = found.setdefault(file.sha256.value, _Wanted(file.sha256.value))
            if file.size is not None and file.size > LARGEST:
                each.reading = Unknown(
                    "too-large", f"{file.size:,} bytes: copy it, and read it with `provmode package show`"
                )
            elif all(name != host.host for name, _ in each.left):
                each.left.append((host.host, file.path))
    return list(found.values())


def _share(wanted: Sequence[_Wanted], names: Mapping[str, str]) -> _Share:
    """Share out what is still to be read: each package to the first host that has it, none many if others do."""
    share: _Share = {}
    load = Counter[str]()
    for each in wanted:
        if each.open:
            host, path = min(each.left, key=lambda place: load[place[0]])
            each.left.remove((host, path))
            each.asked += 1
            load[host] += 1
            share.setdefault(names[host], []).append((each, path))
    return share


def _worker(share: _Share) -> Callable[[Visit], None]:
    def work(visit: Visit) -> None:
        left = share[visit.host.name]

        def read() -> bool:
            while left:
                each, path = left[0]
                visit.session.begin()  # the deadline is for each package
                reading = visit.session.converse(package_on_pc(path, each.sha256))
                gone = Unknown("not-read", "its file is gone from the host that was asked")
                each.reading = gone if isinstance(reading, Absent) else reading
                left.pop(0)
            return True

        if visit.connected(read) is None:
            failure = failure_of(visit.error)
            for each, _ in left:
                each.reading = Unknown(failure.cause, f"the host that was asked for it: {failure.what}")
        visit.forget()

    return work
