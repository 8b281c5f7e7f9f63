"""What provmode left on the PCs of a fleet, and planning its removal. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import OTHER_COMPUTER, TO_MEND, Assessment, Outcome, cause_of, unassessed
from provmode.fleet.audit import named
from provmode.fleet.identity import Answering
from provmode.fleet.inventory import InventorySource, load
from provmode.fleet.journal import read
from provmode.fleet.looking import Answered, Looker, failed_assessment
from provmode.fleet.plan import Planned, answered, run_plan, take_waivers
from provmode.fleet.progress import SILENT, Progress
from provmode.fleet.results import TRACES, none_resolves
from provmode.fleet.visit import GeventRunner, Runner, Visit, looked_up, never, policies_of, short
from provmode.remediation.traces import Traces, look_for_traces, plan_removal
from provmode.signing.keys import Given
from provmode.transport.session import Session
from provmode.waivers.model import NONE, Waivers
from provmode.windows.files import sha256
from provmode.windows.system import clock_and_name


@dataclass(frozen=True)
class HostTraces:
    """What provmode left on one host."""

    host: str
    """Its name, without the connector."""
    traces: Traces | None
    """``None`` if the host could not be looked at."""
    failure: Assessment | None = None
    """Why it could not be looked at."""

    @property
    def outcome(self) -> Outcome:
        """What it means for the exit code."""
        if self.traces is None:
            return self.failure.outcome if self.failure is not None else Outcome.UNASSESSED
        if self.traces.found:
            return Outcome.PENDING
        if self.to_mend:
            return Outcome.FAILED
        return Outcome.UNASSESSED if self.traces.unread else Outcome.COMPLIANT

    @property
    def to_mend(self) -> bool:
        """Whether something could not be looked at for a cause that is the operator's to mend."""
        return self.traces is not None and any(cause_of(cause) in TO_MEND for cause in self.traces.causes)

    def to_json(self) -> dict[str, Any]:
        """Return the host's row of the JSON report (contract)."""
        document: dict[str, Any] = {"host": self.host, "traces": [], "unread": []}
        if self.traces is not None:
            document["traces"] = [trace.to_json() for trace in self.traces.found]
            document["unread"] = list(self.traces.unread)
        if self.failure is not None:
            document.update(reason=self.failure.reason, cause=self.failure.cause, next_step=self.failure.next_step)
        return document


@dataclass
class TracesFound:
    """What a run found. An interrupted run lacks some hosts."""

    selected: list[str]
    hosts: list[HostTraces] = field(default_factory=list)
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
        """Return how many hosts have *outcome*."""
        return sum(host.outcome is outcome for host in self.hosts)

    def exit_code(self) -> int:
        """Return the run's exit code (contract): see `provmode.fleet.results`."""
        outcomes = [host.outcome for host in self.hosts]
        outcomes += [Outcome.FAILED for host in self.hosts if host.to_mend]
        return TRACES.code(
            [*outcomes, *([Outcome.FAILED] if self.no_name_resolves else [])], interrupted=self.interrupted
        )

    @property
    def no_name_resolves(self) -> bool:
        """Whether it is DNS, and not the PCs: see `none_resolves`."""
        return none_resolves(
            {host.host: host.failure.cause if host.failure is not None else None for host in self.hosts}, self.by_name
        )

    def to_json(self) -> dict[str, Any]:
        """Return what was found on every host (contract)."""
        unassessed = self.count(Outcome.UNASSESSED) + self.count(Outcome.FAILED)
        summary = {"traces": self.count(Outcome.PENDING), "none": self.count(Outcome.COMPLIANT)}
        document: dict[str, Any] = {
            "summary": {**summary, "unassessed": unassessed, "total": len(self.selected)},
            "hosts": [host.to_json() for host in self.hosts],
        }
        if self.excluded:
            document["excluded"] = list(self.excluded)
        if self.interrupted:
            document |= {"interrupted": True, "missing": self.missing}
        return document


@dataclass(frozen=True)
class Removal:
    """The question of a plan that only removes: what did provmode leave on the PC?"""

    journaled: Mapping[str, frozenset[str]]
    """For each host the hashes of the files whose bytes a journal has."""

    def ask(self, session: Session, host: str, policy: Policy, now: Callable[[], datetime]) -> Answered:
        """Look for what was left; see `Question`."""
        return answered(session.converse(plan_removal(now, policy, self.journaled.get(short(host), frozenset()))))


def journaled_files(journals: Iterable[Path], key: Given) -> dict[str, set[str]]:
    """Return for each host of *journals* the hashes of the files whose bytes they have.

    Raises:
        UsageError: a journal cannot be read, or cannot be trusted.
    """
    found: dict[str, set[str]] = {}
    for journal in journals:
        for host, record in read(journal, key).hosts.items():
            previous = (step.previous for step in record.steps)
            found.setdefault(host, set()).update(sha256(data) for data in previous if data is not None)
    return found


def traces_inventory(
    inventory: str | InventorySource,
    *,
    now: Callable[[], datetime],
    limit: Sequence[str] = (),
    exclude: Sequence[str] = (),
    override: Mapping[str, Any] | None = None,
    journaled: Mapping[str, Set[str]] | None = None,
    progress: Progress = SILENT,
    stop: Callable[[], bool] = never,
    runner: Runner | None = None,
) -> TracesFound:
    """Look at the hosts of an inventory for what provmode left there; *limit* names some of them, *exclude* others
    that are left out. Changes nothing.

    Raises:
        UsageError: the inventory cannot be used; nothing was sent.
    """
    fleet = load(inventory, override=override)
    chosen = fleet.choose(limit, exclude)
    names = chosen.names
    policies_of(fleet, names)  # checks every host's data
    result = TracesFound(
        [short(name) for name in names], notes=fleet.notes, excluded=tuple(map(short, chosen.excluded))
    )
    result.by_name = looked_up(fleet, names)
    copies = journaled or {}
    progress.begin(len(names))

    def work(visit: Visit) -> None:
        host = short(visit.host.name)

        def look() -> HostTraces:
            _, computer = visit.session.converse(clock_and_name())
            who = Answering.of(visit.session, ClientReadings(now(), computer=computer))
            if who.other is not None:
                return HostTraces(host, None, who.judged(unassessed(OTHER_COMPUTER, "another PC answers")))
            return HostTraces(host, visit.session.converse(look_for_traces(copies.get(host, frozenset()))))

        report = visit.connected(look) or HostTraces(host, None, failed_assessment(visit.host.name, visit.error))
        result.hosts.append(report)
        progress.ended(report)

    (runner or GeventRunner()).visit(fleet, names, work, stop=stop, finish_begun=False)
    result.interrupted = stop()
    if not result.interrupted:
        lost = RuntimeError("it was never looked at")
        result.hosts += [HostTraces(name, None, failed_assessment(name, lost)) for name in result.missing]
    position = {name: number for number, name in enumerate(result.selected)}
    result.hosts.sort(key=lambda report: position[report.host])
    return result


def plan_traces(
    inventory: str | InventorySource,
    *,
    now: Callable[[], datetime],
    limit: Sequence[str] = (),
    exclude: Sequence[str] = (),
    override: Mapping[str, Any] | None = None,
    journaled: Mapping[str, Set[str]] | None = None,
    progress: Progress = SILENT,
    stop: Callable[[], bool] = never,
    runner: Runner | None = None,
    looker: Looker | None = None,
    waivers: Waivers = NONE,
) -> Planned:
    """Look at the hosts of an inventory and return a plan that removes what provmode left there, and nothing else.

    Hosts that *waivers* hold are left alone.

    Raises:
        UsageError: the inventory cannot be used; nothing was sent.
    """
    fleet = load(inventory, override=override)
    chosen = fleet.choose(limit, exclude)
    planned = run_plan(
        *(fleet, chosen.names),
        now=now,
        progress=progress,
        stop=stop,
        runner=runner,
        looker=looker,
        question=Removal({host: frozenset(hashes) for host, hashes in (journaled or {}).items()}),
        about="traces",
    )
    planned.audit.about(named(inventory), limit, exclude, chosen)
    take_waivers(planned, fleet, waivers, now())
    return planned
