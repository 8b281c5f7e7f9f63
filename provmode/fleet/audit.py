"""The audit: every host of a selection looked at, over pyinfra's hosts and their `@winrm` connector.

Each host is looked at once; if the run retries, those that were off, away or slow are looked at again in later rounds.
Each host is asked the same as by the fact `ClientState`. Any failure of a host becomes that host's report.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import gevent

from provmode.ccm.verdict import Outcome, Verdict
from provmode.errors import Cause, UsageError
from provmode.fleet.allowance import Allowance
from provmode.fleet.identity import Answering, twins
from provmode.fleet.inventory import Fleet, InventorySource, load
from provmode.fleet.looking import Here, HostReport, Looked, Looker, State, never_looked_at
from provmode.fleet.lowered import LoweredOn, lowered_in
from provmode.fleet.progress import SILENT, Progress
from provmode.fleet.results import AUDIT, none_resolves
from provmode.fleet.retrying import Retrying, tried_again
from provmode.fleet.rounds import Rounds
from provmode.fleet.selection import Chosen
from provmode.fleet.visit import GeventRunner, Runner, looked_up, never, policies_of, short
from provmode.waivers.match import NOTHING, Book, Row, Waived
from provmode.waivers.model import NONE, Waivers


@dataclass
class Audit:
    """The reports of a run. An interrupted run lacks some hosts."""

    selected: list[str]
    """Host names of the selection, without the connector: the denominator."""
    reports: list[HostReport] = field(default_factory=list)
    interrupted: bool = False
    lowered: list[LoweredOn] = field(default_factory=list)
    """Settings that protect less than the defaults, and their hosts."""
    by_name: frozenset[str] = frozenset()
    """Hosts whose address is a name, which has to be looked up."""
    max_unassessed: Allowance | None = None
    """How many hosts may be unassessed before the run counts as failed."""
    inventory: str = ""
    """The inventory, as it was named."""
    limit: tuple[str, ...] = ()
    """Names, groups and patterns that the run was limited to."""
    change: str = ""
    """Number of the change that the run is part of; empty if nobody named one."""
    only: str = ""
    """What hosts had to be besides, in a word; empty: anything."""
    exclude: tuple[str, ...] = ()
    """Names, groups and patterns that were left out."""
    notes: list[str] = field(default_factory=list)
    """What a person should know about the inventory, such as what a list left out; a sentence each."""
    excluded: tuple[str, ...] = ()
    """Host names that these left out of the selection."""
    run: str = ""
    """The run's id in the history; empty if it has none."""
    began: datetime | None = None
    """When the run began, by the controller's clock."""
    ended: datetime | None = None
    retried_until: datetime | None = None
    """Until when hosts that were off, away or slow were tried again; ``None`` if they were not."""
    waived: Waived = NOTHING
    """What waivers make of it."""

    def about(self, inventory: str, limit: Sequence[str], exclude: Sequence[str], chosen: Chosen) -> None:
        """Note what the run was about: the *inventory*, and which of its hosts were *chosen*, by which words."""
        self.inventory, self.limit, self.exclude = inventory, tuple(limit), tuple(exclude)
        self.excluded = tuple(map(short, chosen.excluded))

    @property
    def complete(self) -> bool:
        """Whether the run looked at every host of the inventory."""
        return not (self.limit or self.exclude or self.only or self.interrupted)

    @property
    def missing(self) -> list[str]:
        """Hosts of the selection that were not looked at because the run was interrupted."""
        seen = {report.host for report in self.reports}
        return [name for name in self.selected if name not in seen]

    def count(self, verdict: Verdict) -> int:
        """Return how many hosts have *verdict*."""
        return sum(report.assessment.verdict is verdict for report in self.reports)

    def exit_code(self, outcome_of: Callable[[HostReport], Outcome] | None = None) -> int:
        """Return the run's exit code (contract): see `provmode.fleet.results`. What is waived does not raise it.

        *outcome_of* says what a host means for it: a run for another purpose counts other things, and waives nothing.
        """
        return AUDIT.code(self._outcomes(outcome_of), interrupted=self.interrupted)

    def _outcomes(self, outcome_of: Callable[[HostReport], Outcome] | None) -> Iterator[Outcome]:
        no_dns = self.no_name_resolves
        for report in self.reports:
            if outcome_of is None and report.waived is not None:
                continue
            unresolved = report.assessment.cause == Cause.NAME_RESOLUTION
            yield Outcome.FAILED if unresolved and no_dns else (outcome_of or _outcome)(report)
        if self.too_many_unassessed:
            yield Outcome.FAILED

    @property
    def no_name_resolves(self) -> bool:
        """Whether it is DNS, and not the PCs: see `none_resolves`. Who was away before says nothing about DNS."""
        causes = {report.host: report.assessment.cause for report in self.reports}
        return not self.only and none_resolves(causes, self.by_name)

    @property
    def too_many_unassessed(self) -> str:
        """In words: more hosts are unassessed than `max_unassessed` allows; empty if not."""
        allowed = self.max_unassessed or Allowance()
        return allowed.exceeded(self.count(Verdict.UNASSESSED), len(self.selected))


def _outcome(report: HostReport) -> Outcome:
    return report.assessment.outcome


def audit_inventory(
    inventory: str | InventorySource,
    *,
    now: Callable[[], datetime],
    limit: Sequence[str] = (),
    exclude: Sequence[str] = (),
    only: Callable[[str], bool] | None = None,
    override: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
    stop: Callable[[], bool] = never,
    runner: Runner | None = None,
    looker: Looker | None = None,
    retrying: Retrying | None = None,
    waivers: Waivers = NONE,
    seconds: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Any] = gevent.sleep,
) -> Audit:
    """Look at the hosts of an inventory; *limit* names some of them. For the rest see `run_audit`.

    *only* says of a host's name, without the connector, whether it is looked at. Findings that *waivers* cover are
    marked, and do not raise the exit code.

    Raises:
        UsageError: the inventory cannot be used; nothing was sent.
    """
    fleet = load(inventory, override=override)
    chosen = fleet.choose(limit, exclude)
    how: dict[str, Any] = {"progress": progress, "stop": stop, "runner": runner, "looker": looker}
    names = [name for name in chosen.names if only is None or only(short(name))]
    audit = run_audit(fleet, names, now=now, retrying=retrying, seconds=seconds, pause=pause, **how)
    audit.about(named(inventory), limit, exclude, chosen)
    waive(audit, fleet, waivers, now(), complete=audit.complete and only is None)
    return audit


def waive(audit: Audit, fleet: Fleet, waivers: Waivers, now: datetime, *, complete: bool) -> None:
    """Mark the findings of an audit that *waivers* cover at a moment; *complete*: it is of the whole inventory."""
    if not waivers.waivers:
        return
    names = {short(name): name for name in fleet.names}
    rows = [row_of(report, fleet.groups_of.get(names.get(report.host, ""), ())) for report in audit.reports]
    audit.waived = Book(waivers).waive(rows, now, complete=complete)
    by_host = audit.waived.by_host
    audit.reports = [
        replace(report, waived=by_host[report.host]) if report.host in by_host else report for report in audit.reports
    ]


def row_of(report: HostReport, groups: Sequence[str]) -> Row:
    """Return what was found on a host, as waivers look at it."""
    return Row(report.host, report.assessment.rule, report.assessment.verdict.value, tuple(groups))


def run_audit(
    fleet: Fleet,
    names: Sequence[str],
    *,
    now: Callable[[], datetime],
    progress: Progress = SILENT,
    stop: Callable[[], bool] = never,
    runner: Runner | None = None,
    looker: Looker | None = None,
    retrying: Retrying | None = None,
    seconds: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Any] = gevent.sleep,
) -> Audit:
    """Look at every host of *names* and return what was found. Changes nothing.

    *now* is the controller's clock, UTC. *progress* gets each report as it comes. When *stop* turns true no further
    host is begun, and hosts in progress are dropped. *looker* looks at the hosts; without one it is this process, with
    *runner*.

    *retrying* says until when hosts that were off, away or slow are looked at again, in rounds; *seconds* is a
    monotonic clock, and *pause* waits for the next round. The report on each host is that of its last look. If *stop*
    turns true after every host was looked at once, the run ends and is not interrupted: nobody is missing.

    Raises:
        UsageError: a host has another connector, or data of the wrong type or an impossible policy; nothing was sent.
    """
    policies = policies_of(fleet, names)
    audit = Audit([short(name) for name in names], lowered=lowered_in(fleet, names, policies))
    audit.by_name, audit.began, audit.notes = looked_up(fleet, names), now(), fleet.notes
    answering: dict[str, Answering] = {}
    found: dict[str, HostReport] = {}
    progress.begin(len(names))
    clocks: dict[str, Any] = {"now": now, "stop": stop, "progress": progress, "seconds": seconds, "pause": pause}
    rounds = Rounds(retrying, **clocks) if retrying is not None else None

    def gather(looked: Looked) -> None:
        host = looked.report.host
        if looked.answering is not None:
            answering[host] = looked.answering
        found[host] = looked.report.after(found[host]) if host in found else looked.report
        progress.ended(found[host])

    looks = looker or Here(runner or GeventRunner())
    looks.look(fleet, policies, State(), gather, now=now, stop=stop)
    audit.interrupted = stop()
    if not audit.interrupted:
        for name in names:
            found.setdefault(short(name), never_looked_at(name).report)
    if rounds is not None and retrying is not None and not audit.interrupted:
        audit.retried_until = retrying.until
        while rounds.wait(
            len(again := {name: policies[name] for name in names if tried_again(found[short(name)].assessment)})
        ):
            try:
                looks.look(fleet, again, State(), gather, now=now, stop=stop)
            except UsageError as error:  # what was found before is worth more than another round
                audit.notes = [*audit.notes, f"no host is tried again: {error}"]
                break
    others = twins(answering, audit.selected)
    audit.reports = [
        found[host].beside(others[host]) if host in others else found[host] for host in audit.selected if host in found
    ]
    audit.ended = now()
    return audit


def named(inventory: str | InventorySource) -> str:
    """Return the inventory as a report names it."""
    return inventory if isinstance(inventory, str) else inventory.name
