"""Applying a plan: exactly what it says, host by host, in waves, with every change journaled before it is made.

A failure on one host ends that host alone. Too many failures end the run (`Budget`, counted over the hosts that were
reached). If the run retries, hosts that were off, away or slow are begun again in later rounds. Each round goes in
waves under the same limits, and what the journal says of a host counts, as in a resume.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import gevent

from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Assessment
from provmode.errors import UsageError
from provmode.fleet.apply_host import HostApply, HostResult, unreached
from provmode.fleet.begun import Coming, settle
from provmode.fleet.guarding.consequences import MostRestarts
from provmode.fleet.guarding.cutting import Cutting
from provmode.fleet.guarding.of_limits import cutting_of
from provmode.fleet.guarding.ramp import Ramping, ended_well
from provmode.fleet.guarding.reached import too_few
from provmode.fleet.guarding.relapse import LookedAgain, relapsed
from provmode.fleet.guards import Guard, Guards, Stop
from provmode.fleet.holds import Holds
from provmode.fleet.identity import Together
from provmode.fleet.inventory import Fleet, InventorySource, load
from provmode.fleet.journal import HostRecord, Journal, read
from provmode.fleet.plan_file import Plan, PlannedHost, PlanRefused
from provmode.fleet.progress import SILENT, Progress, soaks, wave_begins
from provmode.fleet.results import APPLY, APPLY_OUTCOMES, HostOutcome, counted, none_resolves
from provmode.fleet.retrying import Retrying, tried_again
from provmode.fleet.rounds import Rounds
from provmode.fleet.selection import Chosen, choose, expanded
from provmode.fleet.step_files import StepFiles
from provmode.fleet.visit import GeventRunner, Runner, Visit, looked_up, never, policies_of, short
from provmode.fleet.waves import Budget, LeastReached, Limits
from provmode.reading import plain
from provmode.remediation.steps import CLIENT
from provmode.signing.keys import Given, Keys
from provmode.waivers.model import Waivers


@dataclass
class ApplyResult:
    """How a whole run ended."""

    hosts: list[HostResult] = field(default_factory=list)
    interrupted: bool = False
    ended_early: str = ""
    """Why the run ended before its last wave."""
    stopped: Stop | None = None
    """The guard that ended it, if one did."""
    change: str = ""
    """Number of the change that it is part of."""
    notice: str = ""
    """What went wrong without making the run fail."""
    excluded: tuple[str, ...] = ()
    """Host names of the plan that ``--exclude`` left out although something would be changed on them."""
    by_name: frozenset[str] = frozenset()
    """Hosts whose address is a name, which has to be looked up."""
    looked_again: LookedAgain = field(default_factory=LookedAgain)
    """What other looks at hosts of earlier waves have shown."""
    retried_until: datetime | None = None
    """Until when hosts that were not reached were tried again; ``None`` if they were not."""

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
        until = self.retried_until
        summary: dict[str, Any] = {outcome.value: self.count(outcome) for outcome in APPLY_OUTCOMES}
        return {
            "summary": {**summary, "total": len(self.hosts)},
            "interrupted": self.interrupted,
            "ended_early": self.ended_early,
            **({"change": self.change} if self.change else {}),
            **({"stopped": self.stopped.to_json()} if self.stopped is not None else {}),
            **({"looked_again": self.looked_again.to_json()} if self.looked_again.found else {}),
            **({"retried_until": plain(until.astimezone(timezone.utc))} if until is not None else {}),
            **({"excluded": list(self.excluded)} if self.excluded else {}),
            "hosts": [result.to_json() for result in self.hosts],
        }


def apply_plan(
    plan: Plan,
    inventory: str | InventorySource,
    *,
    journal: Path,
    now: Callable[[], datetime],
    key: Given = None,
    journal_key: Given = None,
    unsigned_journal: bool = False,
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
    retrying: Retrying | None = None,
    guards: Sequence[Guard] = (),
    waivers: Callable[[], Waivers] | None = None,
    change: str = "",
) -> ApplyResult:
    """Apply a plan that was read and accepted, and keep a *journal* of every change.

    Without *limits* a run that is resumed goes on under those that it was begun with, and a new one has the safe ones.
    *announce* is told what is about to happen, before the first host.

    *now* is the controller's clock, UTC; *seconds* is a monotonic one and *pause* waits. When *stop* turns true, hosts
    in progress are finished and no other is begun.

    The journal is signed with *journal_key*, else with *key*, the plan's; a plan that is not signed then has an
    unsigned journal, whatever the key. *unsigned_journal* accepts and writes one without a signature all the same.

    *retrying* says until when hosts that were not reached because they were off, away or slow are begun again, in
    rounds. No round begins once the plan has expired. If *stop* turns true after every host was begun once, the run
    ends and is not interrupted.

    *waivers* returns the waivers as they are when it is asked, before each host: one that they hold is not begun.

    *guards* may keep the run from beginning, and stop it before a wave or a host. *change* is the number of the change
    that the run is part of.

    Raises:
        RunRefused: a guard does not let it begin.
        PlanRefused: the inventory has none of the plan's hosts. (If it has only some, the others end as stale.)
        UsageError: the inventory, a limit or the journal cannot be used; nothing was changed.
    """
    key = _journal_keys(plan, Keys.of(key), Keys.of(journal_key), unsigned=unsigned_journal)
    limits = expanded(limits or settle({}, journal, resume=resume, key=key).limits)
    fleet = load(inventory, override=override)
    chosen = _chosen(plan, fleet, limits)
    limits.sizes(len(chosen.names))  # raises before there is a journal
    budget, least = limits.budget(), limits.least_reached()
    cutting = cutting_of(limits, fleet, chosen.names, {host.name: host.document for host in plan.changing})
    runner = runner or GeventRunner(working=limits.parallel)
    if limits.ramp and isinstance(runner, Ramping):
        runner.begin_small()
    policies = _policies_of(plan, fleet, inventory)
    files = StepFiles()
    wanted = set(chosen.names)
    files.check(step for host in plan.changing if host.name in wanted for step in host.steps)
    if waivers is not None:
        guards = [*guards, Holds(plan, fleet.groups_of, waivers, now)]
    most = limits.most_restarts()
    if most is not None:
        guards = [*guards, MostRestarts(most, {host.name: host for host in plan.changing})]
    Guards(guards).check_start(chosen.names)
    writer, earlier = _open_journal(journal, plan, now, key, nonce(), limits, change, resume=resume)
    try:
        run = PlanRun(
            plan,
            fleet,
            writer,
            now=now,
            earlier=earlier,
            policies=policies,
            chosen=chosen.names,
            runner=runner,
            stop=stop,
            progress=progress,
            pause=pause,
            seconds=seconds,
            records=lambda: read(journal, key).hosts,
            guards=guards,
            cutting=cutting,
            look_again=limits.look_again,
            files=files,
        )
        sizes = limits.sizes(run.to_come)
        announce(run.coming(sizes, limits, retrying))
        progress.begin(len(chosen.names))
        result = run.run(sizes, soak=limits.soak, budget=budget, retrying=retrying, sizes=limits.sizes, least=least)
        result.change = change
        result.excluded = tuple(map(short, chosen.excluded))
        result.by_name = looked_up(fleet, [name for name in chosen.names if name in policies])
    except BaseException:
        writer.abandon()
        raise
    result.notice = finish(writer, "run-ended", complete=not (result.interrupted or run.journal_lost))
    return result


def _journal_keys(plan: Plan, key: Keys | None, journal_key: Keys | None, *, unsigned: bool) -> Keys | None:
    """Return the keys of the journal; ``None`` if it is not to be signed.

    Raises:
        UsageError: the plan is signed, and there is no key that can sign the journal.
    """
    if unsigned or (not plan.signed and journal_key is None):
        return None
    keys = journal_key or key
    if keys is None:
        raise UsageError(
            "the plan is signed, and its journal has to be signed with the same key", next_step="give the plan's key"
        )
    if keys.own is None:
        raise UsageError(
            "the plan is signed, and there is no key to sign the journal with",
            next_step="give a private key of your own (--journal-key), or --unsigned-journal",
        )
    return keys


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
    key: Given,
    nonce: str,
    limits: Limits,
    change: str,
    *,
    resume: bool,
) -> tuple[Journal, Mapping[str, HostRecord]]:
    """Create the journal, or resume it; return it with what it says about each host."""
    if not resume:
        return Journal.create(path, plan.id, now, key, nonce=nonce, limits=limits, change=change), {}
    writer, state = Journal.resume(path, plan.id, now, key=key, nonce=nonce, limits=limits, change=change)
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
    journal says about each host, if the run is resumed, and *records* what it says now. *chosen* are the names of the
    hosts to work on, if not all of the plan's. *cutting* says which of them are in which wave, if not as they follow
    each other. With *look_again* the hosts that were changed are looked at once more after each soak. *files* are those
    that steps need.

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
        records: Callable[[], Mapping[str, HostRecord]] | None = None,
        guards: Sequence[Guard] = (),
        cutting: Cutting | None = None,
        look_again: bool = False,
        files: StepFiles | None = None,
    ) -> None:
        self._cutting, self._look_again = cutting or Cutting(), look_again
        self._files = files or StepFiles()
        self._fleet, self._journal, self._now = fleet, journal, now
        self._runner, self._stop, self._progress = runner or GeventRunner(), stop, progress
        self._pause, self._seconds = pause, seconds
        self._expires = plan.expires
        self._policies, self._together = policies or {}, Together()
        before = earlier or {}
        self._records = records or (lambda: before)
        names = {host.name for host in plan.changing} if chosen is None else set(chosen)
        self._planned = [host for host in plan.changing if host.name in names]
        self._work = {host.name: self._work_on(host, before) for host in self._planned}
        self.result = ApplyResult()
        self._guards = Guards(guards, self._tripped)
        self._held = {name: held for name in self._work if (held := self._held_now(name)) is not None}
        """Hosts that get no turn from the beginning. They are in no wave, so that none consists of them alone."""
        self._ended: dict[str, HostResult] = {}
        """How each host ended, by its name in the inventory."""
        self.journal_lost = False
        """Whether the journal could not be written and the run had to end."""
        self._worked = False
        """Whether this run worked on a host of the last wave. Hosts that an earlier run finished need no soak."""
        self._looked = False
        """Whether this run has looked again at what was changed. What the run before it changed is looked at before the
        first wave that goes on."""
        self._wave_ended = 0.0
        self._budget: Budget | None = None
        self._failed = self._reached = 0
        self._in_wave = self._left = len(self._work)
        """Hosts that have not ended: of this wave, and in all."""

    def _work_on(self, host: PlannedHost, earlier: Mapping[str, HostRecord]) -> HostApply:
        """Return the work on a host of which the journal says so much."""
        return HostApply(
            host,
            self._journal,
            now=self._now,
            earlier=earlier.get(host.host),
            today=self._policies.get(host.name),
            together=self._together,
            seconds=self._seconds,
            files=self._files,
        )

    @property
    def to_come(self) -> int:
        """How many hosts are in the waves: all but those that get no turn from the beginning."""
        return len(self._work) - len(self._held)

    def _names(self) -> list[str]:
        return [name for name in self._work if name not in self._held]

    def _held_now(self, name: str) -> Stop | None:
        """Return why a host of the inventory that no earlier run finished gets no turn now."""
        if name not in self._fleet.connector_of or self._work[name].done_before() is not None:
            return None
        return self._guards.not_this_host(name)

    def coming(self, waves: Sequence[int], limits: Limits, retrying: Retrying | None = None) -> Coming:
        """Return what is about to happen."""
        until = retrying.until_at_most(self._expires) if retrying is not None else None
        waiting = self._waiting(self._names(), waves)
        return Coming(waiting, self.to_come - sum(map(len, waiting)), limits, until, held=len(self._held))

    def _waiting(self, names: Sequence[str], waves: Sequence[int]) -> tuple[tuple[PlannedHost, ...], ...]:
        """Return the hosts of each wave that an earlier run did not finish, without waves that have none."""
        planned = {host.name: host for host in self._planned}
        cut = self._cutting.cut(names, waves)
        found = [tuple(planned[name] for name in wave if self._work[name].done_before() is None) for wave in cut]
        return tuple(wave for wave in found if wave)

    def run(
        self,
        waves: Sequence[int],
        *,
        soak: float = 0.0,
        budget: Budget | None = None,
        retrying: Retrying | None = None,
        sizes: Callable[[int], Sequence[int]] = lambda hosts: [hosts],
        least: LeastReached | None = None,
    ) -> ApplyResult:
        """Apply to the plan's hosts that are `to_come`, in *waves* of so many each, with *soak* seconds between them.

        No further host is begun once the failure *budget* is sure to be exceeded, even if the rest of the wave
        succeeds. *retrying* says until when hosts are begun again, and *sizes* how large the waves of so many are then.
        *least* is how much of a wave has to be reached before the next one begins.
        """
        self._budget = budget
        until = retrying.until_at_most(self._expires) if retrying is not None else None
        clocks: dict[str, Any] = {"now": self._now, "seconds": self._seconds, "pause": self._pause}
        rounds = Rounds(until, stop=self._stop, progress=self._progress, **clocks) if until is not None else None
        for name, held in self._held.items():
            self._end_held(name, held)
        self._waves(self._names(), waves, soak, least)
        why = self.result.ended_early or "the run was ended before its turn"
        for name in self._work:
            self._ended.setdefault(name, HostResult(short(name), self._no_turn, why))
        self.result.interrupted = self._stop()
        if rounds is not None and until is not None and not self._ended_early():
            self.result.retried_until = until.until
            self._retry(rounds, sizes, soak)
            if until is not retrying and not self._stop() and not self.result.ended_early and self._away():
                self.result.ended_early = "the plan expires before the next round: plan anew for those not reached"
        self.result.hosts = [self._ended[name] for name in self._work]
        return self.result

    def _retry(self, rounds: Rounds, sizes: Callable[[int], Sequence[int]], soak: float) -> None:
        """Begin again, in *rounds*, the hosts that were off, away or slow; each round goes in waves of these *sizes*.

        What the journal says about a host by then counts as in a resume: no step is carried out twice, and a lease that
        could not be released is its own.
        """
        while again := self._away():
            self.result.ended_early = self._budget.spent(self._failed, self._reached) if self._budget else ""
            if self.result.ended_early or not rounds.wait(len(again)):
                return
            try:
                records = self._records()
            except UsageError as error:  # the report of what was changed is worth more than another round
                self.result.ended_early = f"no host is tried again: {error}"
                return
            self._work.update({host.name: self._work_on(host, records) for host in again})
            self._left = len(again)
            self._waves([host.name for host in again], sizes(len(again)), soak, None)  # they were away before
            if self._ended_early():
                return

    def _away(self) -> list[PlannedHost]:
        """Return the hosts to begin again: those that were not reached, for a cause that passes by itself."""
        ended = [(host, self._ended[host.name]) for host in self._planned]
        return [host for host, result in ended if result.outcome is HostOutcome.UNREACHED and tried_again(result)]

    def _waves(self, names: Sequence[str], waves: Sequence[int], soak: float, least: LeastReached | None) -> None:
        """Work on the hosts *names*, in *waves* of so many hosts each."""
        number, before = 0, list[str]()
        to_come = len(self._waiting(names, waves))
        for wave in self._cutting.cut(names, waves):
            waiting = sum(self._work[name].done_before() is None for name in wave)
            if waiting and least is not None and before and not self._ended_early():
                self._guards.stop(too_few(least, [self._ended[name].outcome for name in before]))
            number, before = number + (waiting > 0), wave
            if self._worked and not self._soak(soak, number, to_come):
                break
            resumed = waiting > 0 and not self._looked
            if (self._worked or resumed) and soak and self._look_again and not self._ended_early():
                self._look_at_changed()
            if self._ended_early():
                break
            self._worked = False
            self._in_wave = len(wave)
            if waiting:
                if not self._guards.before_wave([name for name in wave if self._work[name].done_before() is None]):
                    break
                wave_begins(self._progress, number, to_come, waiting)
            self._wave(wave)
            if self._ended_early():
                break

    def _soak(self, soak: float, wave: int, waves: int) -> bool:
        """Wait before *wave* of *waves*; returns whether the run goes on. The time between two rounds counts."""
        until = self._wave_ended + soak
        while (left := until - self._seconds()) > 0 and not self._stop():
            soaks(self._progress, wave, waves, left)
            self._pause(min(left, 0.5))
        return not self._stop()

    def _look_at_changed(self) -> None:
        """Look again at every host that was changed; one that has relapsed counts as a failure."""
        changed = {
            host.name: host.policy
            for host in self._planned
            if host.about == CLIENT  # of other steps, the state of the client says nothing
            and host.name in self._fleet.connector_of
            and host.name in self._ended
            and self._ended[host.name].outcome is HostOutcome.CHANGED
        }
        looks: dict[str, Any] = {"now": self._now, "stop": self._ended_early}
        if changed:
            self._looked = True
            self.result.looked_again.look(self._runner, self._fleet, changed, self._relapsed, **looks)

    def _relapsed(self, name: str, assessment: Assessment) -> None:
        result = self._ended[name] = relapsed(self._ended[name], assessment)
        try:
            verdict = assessment.verdict.value
            self._journal.write("host-relapsed", host=result.host, verdict=verdict, detail=result.detail)
        except OSError:
            self.journal_lost = True
        self._failed += 1
        if self._budget is not None and not self.result.ended_early:
            self.result.ended_early = self._budget.spent(self._failed, self._reached)

    def _wave(self, names: Sequence[str]) -> None:
        known = self._fleet.connector_of
        for name in (name for name in names if name not in known):
            detail = "the inventory does not have it any more"
            self._end(name, HostResult(short(name), HostOutcome.STALE, detail, next_step="plan anew"), journal=True)
        present = [name for name in names if name in known]
        self._runner.visit(self._fleet, present, self._visit, stop=self._ended_early, finish_begun=True)
        self._wave_ended = self._seconds()

    def _ended_early(self) -> bool:
        """Return whether the run must not begin another host."""
        if self._left and self._now() >= self._expires and not self.result.ended_early:
            self.result.ended_early = "the plan expired while it was applied: plan anew for the rest"
        return self._stop() or self.journal_lost or bool(self.result.ended_early)

    def _visit(self, visit: Visit) -> None:
        name = visit.host.name
        work = self._work[name]
        result = work.done_before()
        if result is not None:
            self._end(name, result, journal=False)
            return
        if self._is_held(name):
            return
        result = visit.connected(lambda: self._in_turn(work, visit))
        self.journal_lost = self.journal_lost or work.journal_lost
        if result is None and visit.error is not None:  # else it was ended in its turn, or the run before it
            self._worked = True
            away = unreached(short(name), visit.error)
            self._guards.host_ended(name, away, 0.0)
            self._end(name, away, journal=False)

    def _is_held(self, name: str) -> bool:
        """Return whether a host alone gets no turn; it has ended then."""
        held = self._guards.not_this_host(name)
        if held is not None:
            self._end_held(name, held)
        return held is not None

    def _end_held(self, name: str, held: Stop) -> None:
        self._end(name, HostResult(short(name), held.outcome, held.why, next_step=held.next_step), journal=False)

    def _in_turn(self, work: HostApply, visit: Visit) -> HostResult | None:
        """Work on a host and count it, both within its turn: whoever is next sees whether the run goes on."""
        name = visit.host.name
        if self._ended_early() or not self._guards.before_host(name) or self._is_held(name):
            return None
        began = self._seconds()
        result = work.run(visit)
        self.journal_lost = self.journal_lost or work.journal_lost
        self._worked = True
        self._guards.host_ended(name, result, self._seconds() - began)
        ended_well(self._runner, result.outcome)
        self._end(name, result, journal=result.outcome is not HostOutcome.UNREACHED)
        return result

    def _tripped(self, stop: Stop) -> None:
        """A guard stops the run."""
        self.result.stopped, self.result.ended_early = stop, self.result.ended_early or stop.why
        try:
            self._journal.write("guard-tripped", guard=stop.guard, why=stop.why, deferred=stop.deferred)
        except OSError:
            self.journal_lost = True

    @property
    def _no_turn(self) -> HostOutcome:
        stopped = self.result.stopped
        return stopped.outcome if stopped is not None else HostOutcome.NOT_STARTED

    def _end(self, name: str, result: HostResult, *, journal: bool) -> None:
        if journal:
            try:
                self._journal.write("host-ended", host=result.host, outcome=result.outcome.value, detail=result.detail)
            except OSError:
                self.journal_lost = True
        before = self._ended.get(name)
        self._ended[name] = result if before is None else result.after(before)
        self._progress.ended(result)
        self._count(result)

    def _count(self, result: HostResult) -> None:
        """Count a host that has ended, and check the failure budget."""
        self._in_wave -= 1
        self._left -= 1
        self._reached += result.outcome not in (HostOutcome.UNREACHED, HostOutcome.NOT_STARTED, HostOutcome.DEFERRED)
        self._failed += result.outcome is HostOutcome.FAILED
        if self._budget is not None and self._left:
            spent = self._budget.spent(self._failed, self._reached, to_come=self._in_wave)
            self.result.ended_early = self.result.ended_early or spent
