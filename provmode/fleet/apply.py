"""Applying a plan: exactly what it says, host by host, in waves, with every change journaled before it is made.

A failure on one host ends that host alone. Too many failures end the run (`Budget`, counted over the hosts that were
reached).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import gevent

from provmode.ccm.policy import Policy
from provmode.errors import UsageError
from provmode.fleet.apply_host import HostApply, HostResult, unreached
from provmode.fleet.begun import Coming, settle
from provmode.fleet.identity import Together
from provmode.fleet.inventory import Fleet, InventorySource, load
from provmode.fleet.journal import HostRecord, Journal
from provmode.fleet.plan_file import Plan, PlannedHost, PlanRefused
from provmode.fleet.progress import SILENT, Progress, soaks, wave_begins
from provmode.fleet.results import APPLY, APPLY_OUTCOMES, HostOutcome, counted, none_resolves
from provmode.fleet.selection import Chosen, choose, expanded
from provmode.fleet.visit import GeventRunner, Runner, Visit, looked_up, never, policies_of, short
from provmode.fleet.waves import Budget, Limits


@dataclass
class ApplyResult:
    """How a whole run ended."""

    hosts: list[HostResult] = field(default_factory=list)
    interrupted: bool = False
    ended_early: str = ""
    """Why the run ended before its last wave."""
    notice: str = ""
    """What went wrong without making the run fail."""
    excluded: tuple[str, ...] = ()
    """Host names of the plan that ``--exclude`` left out although something would be changed on them."""
    by_name: frozenset[str] = frozenset()
    """Hosts whose address is a name, which has to be looked up."""

    def count(self, outcome: HostOutcome) -> int:
        """Return how many hosts ended with *outcome*."""
        return sum(result.outcome is outcome for result in self.hosts)

    def exit_code(self) -> int:
        """Return the run's exit code (contract): see `provmode.fleet.results`."""
        return APPLY.code(counted(self.hosts, self.by_name), interrupted=self.interrupted)

    @property
    def no_name_resolves(self) -> bool:
        """Whether it is DNS, and not the PCs: see `none_resolves`."""
        return none_resolves({host.host: host.cause for host in self.hosts}, self.by_name)

    def to_json(self) -> dict[str, Any]:
        """Return how every host ended (contract)."""
        summary: dict[str, Any] = {outcome.value: self.count(outcome) for outcome in APPLY_OUTCOMES}
        return {
            "summary": {**summary, "total": len(self.hosts)},
            "interrupted": self.interrupted,
            "ended_early": self.ended_early,
            **({"excluded": list(self.excluded)} if self.excluded else {}),
            "hosts": [result.to_json() for result in self.hosts],
        }


def apply_plan(
    plan: Plan,
    inventory: str | InventorySource,
    *,
    journal: Path,
    now: Callable[[], datetime],
    key: bytes | None = None,
    override: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    resume: bool = False,
    runner: Runner | None = None,
    stop: Callable[[], bool] = never,
    progress: Progress = SILENT,
    announce: Callable[[Coming], None] = lambda coming: None,
    pause: Callable[[float], Any] = gevent.sleep,
    seconds: Callable[[], float] = time.monotonic,
    nonce: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> ApplyResult:
    """Apply a plan that was read and accepted, and keep a *journal* of every change.

    Without *limits* a run that is resumed goes on under those that it was begun with, and a new one has the safe ones.
    *announce* is told what is about to happen, before the first host.

    *now* is the controller's clock, UTC; *seconds* is a monotonic one and *pause* waits. *key* is the plan's key; a
    plan that is not signed has an unsigned journal, whatever the key. When *stop* turns true, hosts in progress are
    finished and no other is begun.

    Raises:
        PlanRefused: the inventory has none of the plan's hosts. (If it has only some, the others end as stale.)
        UsageError: the inventory, a limit or the journal cannot be used; nothing was changed.
    """
    if plan.signed and key is None:
        raise UsageError(
            "the plan is signed, and its journal has to be signed with the same key", next_step="give the plan's key"
        )
    key = key if plan.signed else None
    limits = expanded(limits or settle({}, journal, resume=resume, key=key).limits)
    fleet = load(inventory, override=override)
    chosen = _chosen(plan, fleet, limits)
    sizes, budget = limits.sizes(len(chosen.names)), limits.budget()
    policies = _policies_of(plan, fleet, inventory)
    writer, earlier = _open_journal(journal, plan, now, key, nonce(), limits, resume=resume)
    try:
        run = PlanRun(
            plan,
            fleet,
            writer,
            now=now,
            earlier=earlier,
            policies=policies,
            chosen=chosen.names,
            runner=runner or GeventRunner(working=limits.parallel),
            stop=stop,
            progress=progress,
            pause=pause,
            seconds=seconds,
        )
        announce(run.coming(sizes, limits))
        progress.begin(len(chosen.names))
        result = run.run(sizes, soak=limits.soak, budget=budget)
        result.excluded = tuple(map(short, chosen.excluded))
        result.by_name = looked_up(fleet, [name for name in chosen.names if name in policies])
    except BaseException:
        writer.abandon()
        raise
    result.notice = finish(writer, "run-ended", complete=not (result.interrupted or run.journal_lost))
    return result


def _chosen(plan: Plan, fleet: Fleet, limits: Limits) -> Chosen:
    """Return the plan's hosts that have something to change and that the limits leave in.

    Raises:
        UsageError: a limit names no host of the plan, or no host is left.
    """
    names = {host.name: None for host in plan.changing}
    if not (limits.limit or limits.exclude):
        return Chosen(tuple(names))
    planned = [host.name for host in plan.hosts]
    found = choose(planned, fleet.groups_of, limits.limit, limits.exclude, others=fleet.names, place="the plan")
    return Chosen(
        tuple(name for name in found.names if name in names), tuple(name for name in found.excluded if name in names)
    )


def _policies_of(plan: Plan, fleet: Fleet, inventory: str | InventorySource) -> dict[str, Policy]:
    """Return the policies of those hosts of the plan that the inventory's fleet has."""
    names = [host.name for host in plan.changing]
    known = set(fleet.names)
    present = [name for name in names if name in known]
    if names and not present:
        source = inventory if isinstance(inventory, str) else inventory.name
        raise PlanRefused(
            f"the plan is for another fleet: {source} has no host {names[0]}",
            next_step="give the inventory that the plan was made with",
        )
    return policies_of(fleet, present)


def _open_journal(
    path: Path,
    plan: Plan,
    now: Callable[[], datetime],
    key: bytes | None,
    nonce: str,
    limits: Limits,
    *,
    resume: bool,
) -> tuple[Journal, Mapping[str, HostRecord]]:
    """Create the journal, or resume it; return it with what it says about each host."""
    if not resume:
        return Journal.create(path, plan.id, now, key, nonce=nonce, limits=limits), {}
    writer, state = Journal.resume(path, plan.id, now, key=key, nonce=nonce, limits=limits)
    return writer, state.hosts


def finish(journal: Journal, event: str, *, complete: bool) -> str:
    """Close a journal; if the run is *complete*, write its last line before.

    If that line cannot be written, the run has not failed: return a sentence that says so.
    """
    if not complete:
        journal.abandon()
        return ""
    try:
        journal.close(event)
    except OSError as error:
        return f"the journal's last line could not be written: {error.strerror}"
    return ""


class PlanRun:
    """One run over the hosts of a plan.

    *now* is the controller's clock. *policies* are the inventory's current policies, by host. *earlier* is what the
    journal says about each host, if the run is resumed. *chosen* are the names of the hosts to work on, if not all of
    the plan's.

    Raises:
        UsageError: *earlier* belongs to a plan with other steps.
    """

    def __init__(
        self,
        plan: Plan,
        fleet: Fleet,
        journal: Journal,
        *,
        now: Callable[[], datetime],
        earlier: Mapping[str, HostRecord] | None = None,
        policies: Mapping[str, Policy] | None = None,
        chosen: Sequence[str] | None = None,
        runner: Runner | None = None,
        stop: Callable[[], bool] = never,
        progress: Progress = SILENT,
        pause: Callable[[float], Any] = gevent.sleep,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet, self._journal, self._now = fleet, journal, now
        self._runner, self._stop, self._progress = runner or GeventRunner(), stop, progress
        self._pause, self._seconds = pause, seconds
        self._expires = plan.expires
        earlier, policies = earlier or {}, policies or {}
        together = Together()
        names = {host.name for host in plan.changing} if chosen is None else set(chosen)
        self._planned = [host for host in plan.changing if host.name in names]
        self._work = {
            host.name: HostApply(
                host,
                journal,
                now=now,
                earlier=earlier.get(host.host),
                today=policies.get(host.name),
                together=together,
                seconds=seconds,
            )
            for host in self._planned
        }
        self.result = ApplyResult()
        self.journal_lost = False
        """Whether the journal could not be written and the run had to end."""
        self._worked = False
        """Whether this run worked on a host of the last wave. Hosts that an earlier run finished need no soak."""
        self._budget: Budget | None = None
        self._failed = self._reached = 0
        self._in_wave = self._left = len(self._work)
        """Hosts that have not ended: of this wave, and in all."""

    def coming(self, waves: Sequence[int], limits: Limits) -> Coming:
        """Return what is about to happen."""
        waiting = self._waiting(waves)
        return Coming(waiting, len(self._planned) - sum(map(len, waiting)), limits)

    def _waiting(self, waves: Sequence[int]) -> tuple[tuple[PlannedHost, ...], ...]:
        """Return the hosts of each wave that an earlier run did not finish, without waves that have none."""
        left, found = list(self._planned), []
        for size in waves:
            wave, left = left[:size], left[size:]
            found.append(tuple(host for host in wave if self._work[host.name].done_before() is None))
        return tuple(wave for wave in found if wave)

    def run(self, waves: Sequence[int], *, soak: float = 0.0, budget: Budget | None = None) -> ApplyResult:
        """Apply to the plan's hosts, in *waves* of so many hosts each, with *soak* seconds between them.

        No further host is begun once the failure *budget* is sure to be exceeded, even if the rest of the wave
        succeeds.
        """
        names, position, number = list(self._work), 0, 0
        self._budget = budget
        to_come = len(self._waiting(waves))
        for size in waves:
            wave, position = names[position : position + size], position + size
            waiting = sum(self._work[name].done_before() is None for name in wave)
            number += waiting > 0
            if self._worked and not self._soak(soak, number, to_come):
                break
            if self._ended_early():
                break
            self._worked = False
            self._in_wave = len(wave)
            if waiting:
                wave_begins(self._progress, number, to_come, waiting)
            self._wave(wave)
            if self._ended_early():
                break
        self._not_started(names)
        self.result.interrupted = self._stop()
        order = {short(name): number for number, name in enumerate(names)}
        self.result.hosts.sort(key=lambda result: order[result.host])
        return self.result

    def _soak(self, soak: float, wave: int, waves: int) -> bool:
        """Wait before *wave* of *waves*; returns whether the run goes on."""
        until = self._seconds() + soak
        while (left := until - self._seconds()) > 0 and not self._stop():
            soaks(self._progress, wave, waves, left)
            self._pause(min(left, 0.5))
        return not self._stop()

    def _wave(self, names: Sequence[str]) -> None:
        known = self._fleet.connector_of
        for name in (name for name in names if name not in known):
            detail = "the inventory does not have it any more"
            self._end(HostResult(short(name), HostOutcome.STALE, detail, next_step="plan anew"), journal=True)
        present = [name for name in names if name in known]
        self._runner.visit(self._fleet, present, self._visit, stop=self._ended_early, finish_begun=True)

    def _ended_early(self) -> bool:
        """Return whether the run must not begin another host."""
        if self._left and self._now() >= self._expires and not self.result.ended_early:
            self.result.ended_early = "the plan expired while it was applied: plan anew for the rest"
        return self._stop() or self.journal_lost or bool(self.result.ended_early)

    def _not_started(self, names: Sequence[str]) -> None:
        ended = {result.host for result in self.result.hosts}
        for name in names:
            if short(name) not in ended:
                why = self.result.ended_early or "the run was ended before its turn"
                self.result.hosts.append(HostResult(short(name), HostOutcome.NOT_STARTED, why))

    def _visit(self, visit: Visit) -> None:
        name = visit.host.name
        work = self._work[name]
        result = work.done_before()
        if result is not None:
            self._end(result, journal=False)
            return
        result = visit.connected(lambda: self._in_turn(work, visit))
        self.journal_lost = self.journal_lost or work.journal_lost
        if result is None and visit.error is not None:  # else it was ended in its turn, or the run before it
            self._worked = True
            self._end(unreached(short(name), visit.error), journal=False)

    def _in_turn(self, work: HostApply, visit: Visit) -> HostResult | None:
        """Work on a host and count it, both within its turn: whoever is next sees whether the run goes on."""
        if self._ended_early():
            return None
        result = work.run(visit)
        self.journal_lost = self.journal_lost or work.journal_lost
        self._worked = True
        self._end(result, journal=result.outcome is not HostOutcome.UNREACHED)
        return result

    def _end(self, result: HostResult, *, journal: bool) -> None:
        if journal:
            try:
                self._journal.write("host-ended", host=result.host, outcome=result.outcome.value, detail=result.detail)
            except OSError:
                self.journal_lost = True
        self.result.hosts.append(result)
        self._progress.ended(result)
        self._count(result)

    def _count(self, result: HostResult) -> None:
        """Count a host that has ended, and check the failure budget."""
        self._in_wave -= 1
        self._left -= 1
        self._reached += result.outcome is not HostOutcome.UNREACHED
        self._failed += result.outcome is HostOutcome.FAILED
        if self._budget is not None and self._left:
            spent = self._budget.spent(self._failed, self._reached, to_come=self._in_wave)
            self.result.ended_early = self.result.ended_early or spent
