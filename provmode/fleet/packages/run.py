"""Looking at the packages of a fleet: every host, then each distinct package once. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from provmode.ccm.model import ClientReadings
from provmode.ccm.verdict import Assessment, Verdict
from provmode.fleet.audit import named
from provmode.fleet.identity import Answering, twins, with_twins
from provmode.fleet.inventory import Fleet, InventorySource, load
from provmode.fleet.looking import failed_assessment
from provmode.fleet.packages.drift import Target, WantedHere
from provmode.fleet.packages.found import HostPackages, PackagesFound, distinct
from provmode.fleet.packages.judging import Judged, judge
from provmode.fleet.packages.kinds import Noted
from provmode.fleet.packages.local_file import LocalPackage, read_local
from provmode.fleet.packages.reading import read_packages
from provmode.fleet.packages.sharing import Sharing
from provmode.fleet.packages.winners import ask_winners, compare
from provmode.fleet.progress import SILENT, Progress
from provmode.fleet.visit import GeventRunner, Runner, Visit, looked_up, never, policies_of, short
from provmode.packages.model import Package
from provmode.packages.on_pc.state import packages_on_pc
from provmode.packages.wanted import wanted_packages
from provmode.reading import Known, Reading


def packages_inventory(
    inventory: str | InventorySource,
    *,
    now: Callable[[], datetime],
    limit: Sequence[str] = (),
    exclude: Sequence[str] = (),
    override: Mapping[str, Any] | None = None,
    known: Sequence[Path] = (),
    winners: bool = False,
    progress: Progress = SILENT,
    stop: Callable[[], bool] = never,
    runner: Runner | None = None,
) -> PackagesFound:
    """Look at the packages of the hosts of an inventory; *limit* names some of them, *exclude* leaves others out.

    *known* are packages on this computer; those that hosts have as well are not read on a PC. With *winners* each host
    whose packages set policies is visited again, and asked whose values hold.

    Raises:
        UsageError: the inventory or a package on this computer cannot be used; nothing was sent.
    """
    fleet = load(inventory, override=override)
    chosen = fleet.choose(limit, exclude)
    names = chosen.names
    policies_of(fleet, names)  # checks every host's data
    local = _Local()
    targets = {short(name): _target(fleet, name, local) for name in names}
    for path in known:
        local.read(path)
    found = PackagesFound(
        [short(name) for name in names],
        inventory=named(inventory),
        began=now(),
        notes=fleet.notes,
        excluded=tuple(map(short, chosen.excluded)),
        by_name=looked_up(fleet, names),
    )
    visits = runner or GeventRunner()
    progress.begin(len(names))
    by_host: dict[str, HostPackages] = {}
    answering: dict[str, Answering] = {}

    sharing = Sharing()

    def work(visit: Visit) -> None:
        report, who = _look_at(visit, now)
        state = sharing.state(report.state) if report.state is not None else None
        by_host[report.host] = replace(report, state=state)
        if who is not None:
            answering[report.host] = who
        progress.ended(report)

    visits.visit(fleet, names, work, stop=stop, finish_begun=False)
    found.interrupted = stop()
    if not found.interrupted:
        lost = RuntimeError("it was never looked at")
        for name in names:
            by_host.setdefault(short(name), HostPackages(short(name), None, failed_assessment(name, lost)))
    hosts = [by_host[host] for host in found.selected if host in by_host]
    packages = read_packages(fleet, hosts, local.by_hash, visits, stop)
    if winners:
        asked = ask_winners(fleet, hosts, packages, visits, stop)
        hosts = [replace(host, winners=asked.get(host.host, {})) if host.state is not None else host for host in hosts]
    found.interrupted = found.interrupted or stop()
    others = twins(answering, found.selected)
    found.hosts = [
        _judged(host, packages, targets[host.host], now(), _names(answering.get(host.host), others.get(host.host, ())))
        for host in hosts
    ]
    found.packages = distinct(found.hosts, packages)
    found.ended = now()
    return found


def _look_at(visit: Visit, now: Callable[[], datetime]) -> tuple[HostPackages, Answering | None]:
    """Visit one host; every error becomes its report. Return which PC answered, too, if one did."""
    host = short(visit.host.name)
    answering: Answering | None = None

    def look() -> HostPackages:
        nonlocal answering
        state = visit.session.converse(packages_on_pc())
        answering = Answering.of(visit.session, ClientReadings(now()))
        return HostPackages(host, state)

    report = visit.connected(look) or HostPackages(host, None, failed_assessment(visit.host.name, visit.error))
    report = replace(report, requests=visit.counters.requests)
    visit.forget()
    return report, answering


def _names(who: Answering | None, others: Sequence[str]) -> tuple[Noted, ...]:
    """Return what an audit finds about the name of a PC, too."""
    if who is None:
        return ()
    assessment = who.judged(Assessment(Verdict.HEALTHY, "", ""))
    assessment = with_twins(assessment, others) if others else assessment
    return tuple(Noted(finding.code, finding.text) for finding in assessment.findings)


def _judged(
    host: HostPackages,
    packages: Mapping[str, Reading[Package]],
    target: Target | None,
    now: datetime,
    names: tuple[Noted, ...],
) -> HostPackages:
    if host.state is None:
        return host
    judged = judge(host.state, packages, target, now)
    differ, unread = ((), ()) if host.winners is None else compare(host, packages, host.winners)
    found = Judged((*judged.findings, *differ, *names), (*judged.unread, *unread))
    return replace(host, judged=found)


class _Local:
    """Packages on this computer, each read once."""

    def __init__(self) -> None:
        self._by_path: dict[Path, LocalPackage] = {}

    def read(self, path: Path) -> LocalPackage:
        if path not in self._by_path:
            self._by_path[path] = read_local(path)
        return self._by_path[path]

    @property
    def by_hash(self) -> dict[str, Reading[Package]]:
        return {each.sha256: Known(each.package) for each in self._by_path.values()}


def _target(fleet: Fleet, name: str, local: _Local) -> Target | None:
    """Return the packages that a host should have; ``None`` if its data does not say."""
    wanted = wanted_packages(fleet.data_of(name), f"data of {short(name)}")
    if wanted is None:
        return None
    target = []
    for each in wanted:
        if each.file:
            file = local.read(Path(each.file))
            about = file.package.metadata
            target.append(WantedHere(about.id, about.version, file.sha256, about.name))
        else:
            target.append(WantedHere(each.id, each.version, each.sha256, present=each.present))
    return tuple(target)
