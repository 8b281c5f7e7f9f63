"""Undoing a run by its journal: restore what can be restored, read it back, and report what cannot be undone.

Files (by their bytes), start modes, registry values and keys are restored. A step is undone only if the PC still is as
the run left it, so that later changes by others are kept; the host's other steps are undone all the same. Leaving the
mode, starting a service and requesting policy cannot be undone: the client has acted on them since.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import gevent

from provmode.ccm.policy import Policy
from provmode.connector.host_names import spelling
from provmode.errors import AccessDenied, OtherComputer, ProvmodeError, RemoteFault, UsageError
from provmode.fleet.apply import finish
from provmode.fleet.guarding.of_limits import cutting_of
from provmode.fleet.guarding.ramp import Ramping, ended_well
from provmode.fleet.guarding.reached import too_few
from provmode.fleet.guards import Guard, Guards, Stop
from provmode.fleet.inventory import Fleet, InventorySource, load
from provmode.fleet.journal import HostRecord, Journal, JournalLost, JournalState, StepRecord, read
from provmode.fleet.lease import HostLease
from provmode.fleet.progress import SILENT, Progress, soaks, wave_begins
from provmode.fleet.results import UNDO, UNDO_OUTCOMES, HostOutcome, counted, none_resolves
from provmode.fleet.selection import Chosen, choose, expanded
from provmode.fleet.visit import (
    Failure,
    GeventRunner,
    Runner,
    Visit,
    failure_of,
    looked_up,
    never,
    policies_of,
    short,
)
from provmode.fleet.waves import SAFE, Limits
from provmode.remediation.decide import check_idle
from provmode.remediation.execute import NotProved, StaleStep, execute
from provmode.remediation.lease import LeaseLost
from provmode.signing.keys import Given
from provmode.transport.session import Session
from provmode.windows.files import StaleFile


@dataclass(frozen=True)
class HostUndoResult:
    """How one host ended."""

    host: str
    outcome: HostOutcome
    restored: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()
    """What cannot be undone."""
    detail: str = ""
    cause: str | None = None
    next_step: str = ""
    to_mend: bool = False
    """Whether it is the operator's to mend, whatever the cause says."""

    def to_json(self) -> dict[str, Any]:
        """Return the host's row of the JSON report (contract); the next step only if there is one."""
        return {
            "host": self.host,
            "ended": self.outcome.value,
            "restored": list(self.restored),
            "cannot": list(self.cannot),
            "detail": self.detail,
            "cause": self.cause,
            **({"next_step": self.next_step} if self.next_step else {}),
        }


@dataclass
class UndoResult:
    """How a whole undo ended."""

    hosts: list[HostUndoResult] = field(default_factory=list)
    interrupted: bool = False
    notice: str = ""
    """What went wrong without making the undo fail."""
    ended_early: str = ""
    """Why the undo ended before its last wave."""
    stopped: Stop | None = None
    """The guard that ended it, if one did."""
    change: str = ""
    """Number of the change that it is part of."""
    excluded: tuple[str, ...] = ()
    """Host names of the journal that ``--exclude`` left out."""
    by_name: frozenset[str] = frozenset()
    """Hosts whose address is a name, which has to be looked up."""

    def count(self, outcome: HostOutcome) -> int:
        """Return how many hosts ended with *outcome*."""
        return sum(result.outcome is outcome for result in self.hosts)

    def exit_code(self) -> int:
        """Return the undo's exit code (contract): see `provmode.fleet.results`."""
        return UNDO.code(counted(self.hosts, self.by_name), interrupted=self.interrupted)

    @property
    def no_name_resolves(self) -> bool:
        """Whether it is DNS, and not the PCs: see `none_resolves`."""
        return none_resolves({host.host: host.cause for host in self.hosts}, self.by_name)

    def to_json(self) -> dict[str, Any]:
        """Return how every host ended (contract)."""
        summary: dict[str, Any] = {outcome.value: self.count(outcome) for outcome in UNDO_OUTCOMES}
        return {
            "summary": {**summary, "total": len(self.hosts)},
            "interrupted": self.interrupted,
            "ended_early": self.ended_early,
            **({"change": self.change} if self.change else {}),
            **({"stopped": self.stopped.to_json()} if self.stopped is not None else {}),
            **({"excluded": list(self.excluded)} if self.excluded else {}),
            "hosts": [result.to_json() for result in self.hosts],
        }


UNDO_KINDS: Mapping[str, frozenset[str]] = {
    "tcf": frozenset({"tcf", "file"}),
    "service": frozenset({"start-mode", "service-state"}),
    "registry": frozenset({"registry-value", "registry-key"}),
    "packages": frozenset({"package-add", "package-remove", "trusted-provisioner"}),
}
"""What an undo can be limited to: the kinds of step of each word."""


@dataclass(frozen=True)
class Undoing:
    """What is to be undone: hosts of a journal, and of an inventory."""

    journal: Path
    state: JournalState
    fleet: Fleet
    names: tuple[str, ...]
    """The inventory's names of the hosts, in its order."""
    excluded: tuple[str, ...]
    """Host names of the journal that ``--exclude`` left out."""
    policies: Mapping[str, Policy]
    limits: Limits
    kinds: frozenset[str] | None
    """Kinds of step that are undone; ``None``: all."""

    def steps_of(self, name: str) -> tuple[StepRecord, ...]:
        """Return the steps of a host that can be undone, the last one first."""
        return undoable(self.state.hosts[short(name)], self.kinds)

    @property
    def restoring(self) -> int:
        """On how many hosts there is something to restore."""
        return sum(bool(self.steps_of(name)) for name in self.names)

    @property
    def waves(self) -> list[list[str]]:
        """The names of the hosts in each wave."""
        cutting = cutting_of(self.limits, self.fleet, self.names)
        return cutting.cut(self.names, self.limits.sizes(len(self.names)))


def undoing(
    journal: Path,
    inventory: str | InventorySource,
    *,
    hosts: Sequence[str] = (),
    kinds: Iterable[str] | None = None,
    limits: Limits = SAFE,
    key: Given = None,
    unsigned: bool = False,
    override: Mapping[str, Any] | None = None,
) -> Undoing:
    """Return what is to be undone: see `undo_run`. Nothing is sent.

    Raises:
        UsageError: the journal, the inventory or a limit cannot be used, or one of the hosts is missing.
    """
    state = read(journal, key)
    if not state.signed and not unsigned:
        raise UsageError(
            f"the journal {journal} is not signed: whoever wrote it decides what is restored",
            next_step="give --unsigned if you know who wrote it",
        )
    limits = expanded(limits)
    limits.check()
    fleet = load(inventory, override=override)
    source = inventory if isinstance(inventory, str) else inventory.name
    chosen = _chosen(journal, state, fleet, source, hosts, limits)
    limits.sizes(len(chosen.names))
    return Undoing(
        *(journal, state, fleet, chosen.names, tuple(map(short, chosen.excluded))),
        policies=policies_of(fleet, chosen.names),
        limits=limits,
        kinds=None if kinds is None else frozenset(kinds),
    )


def undo_run(
    journal: Path,
    inventory: str | InventorySource,
    *,
    now: Callable[[], datetime],
    hosts: Sequence[str] = (),
    kinds: Iterable[str] | None = None,
    limits: Limits = SAFE,
    key: Given = None,
    unsigned: bool = False,
    override: Mapping[str, Any] | None = None,
    runner: Runner | None = None,
    stop: Callable[[], bool] = never,
    progress: Progress = SILENT,
    pause: Callable[[float], Any] = gevent.sleep,
    seconds: Callable[[], float] = time.monotonic,
    nonce: Callable[[], str] = lambda: uuid.uuid4().hex,
    guards: Sequence[Guard] = (),
    change: str = "",
) -> UndoResult:
    """Undo the run of *journal*, on all of its hosts or on *hosts*. The undo is written to the same journal.

    *now* is the controller's clock, UTC. *kinds* are the kinds of step to undo, if not all. *limits* are those of the
    undo; it has the safe ones, whatever the run had. *key* is what the journal was signed with; the undo is signed with
    its own. A journal that is not signed is refused unless *unsigned*. When *stop* turns true, hosts in progress are
    finished and no other is begun.

    *guards* may keep the undo from beginning, and stop it before a wave or a host. *change* is the number of the change
    that the undo is part of.

    Raises:
        RunRefused: a guard does not let it begin.
        UsageError: the journal or the inventory cannot be used, or lacks one of the hosts; nothing was changed.
    """
    chosen = undoing(
        *(journal, inventory),
        hosts=hosts,
        kinds=kinds,
        limits=limits,
        key=key,
        unsigned=unsigned,
        override=override,
    )
    Guards(guards).check_start(chosen.names)
    writer, state = Journal.resume(
        *(journal, chosen.state.plan_id, now),
        event="undo-begun",
        key=key,
        unsigned=unsigned,
        nonce=nonce(),
        limits=chosen.limits,
        change=change,
    )
    try:
        progress.begin(len(chosen.names))
        result = undo_hosts(
            chosen.fleet,
            chosen.names,
            state.hosts,
            writer,
            now=now,
            policies=chosen.policies,
            kinds=chosen.kinds,
            limits=chosen.limits,
            runner=runner or GeventRunner(working=limits.parallel),
            stop=stop,
            progress=progress,
            pause=pause,
            seconds=seconds,
            guards=guards,
        )
    except BaseException:
        writer.abandon()
        raise
    result.notice = finish(writer, "undo-ended", complete=not result.interrupted)
    result.change = change
    result.excluded, result.by_name = chosen.excluded, looked_up(chosen.fleet, chosen.names)
    return result


def _chosen(
    journal: Path, state: JournalState, fleet: Fleet, source: str, hosts: Sequence[str], limits: Limits
) -> Chosen:
    """Return the inventory's names of the hosts to undo, in its order."""
    in_journal = {spelling(host): host for host in state.hosts}
    for host in hosts:
        if spelling(short(host)) not in in_journal:
            raise UsageError(
                f"the journal {journal} has nothing about {short(host)}",
                next_step=f"provmode show {journal} names its hosts",
            )
    present = {short(name): name for name in fleet.names}
    wanted = (*limits.limit, *(in_journal[spelling(short(host))] for host in hosts))
    found = choose(
        [present.get(host, host) for host in state.hosts],
        fleet.groups_of,
        wanted,
        limits.exclude,
        others=fleet.names,
        place="the journal",
    )
    for name in found.names:
        if short(name) not in present:
            raise UsageError(f"{source} has no host {name}", next_step="give the inventory of the run")
    chosen = set(found.names)
    return Chosen(tuple(name for name in fleet.names if name in chosen), found.excluded)


def undo_hosts(
    fleet: Fleet,
    names: Sequence[str],
    records: Mapping[str, HostRecord],
    journal: Journal,
    *,
    now: Callable[[], datetime],
    policies: Mapping[str, Policy] | None = None,
    kinds: frozenset[str] | None = None,
    limits: Limits | None = None,
    runner: Runner | None = None,
    stop: Callable[[], bool] = never,
    progress: Progress = SILENT,
    pause: Callable[[float], Any] = gevent.sleep,
    seconds: Callable[[], float] = time.monotonic,
    guards: Sequence[Guard] = (),
) -> UndoResult:
    """Undo the steps that *records* (by host) list for the hosts *names*, the last step first.

    Only steps of *kinds* are undone. The hosts are worked on in waves; no further host is begun once too many failed.

    Each step is journaled before as ``step-undo-begun`` and after as ``step-undone``. A PC is not touched while
    something runs there that the host's policy calls legitimate.

    When *stop* turns true, or the journal cannot be written any more, hosts in progress are finished and no other is
    begun.
    """
    policies, limits = policies or {}, limits or Limits()
    budget, least, left, in_wave, worked = limits.budget(), limits.least_reached(), len(names), 0, False
    result = UndoResult()
    runner = runner or GeventRunner()
    if limits.ramp and isinstance(runner, Ramping):
        runner.begin_small()
    undos = {
        short(name): HostUndo(short(name), records[short(name)], journal, now, policies.get(name, Policy()), kinds)
        for name in names
    }

    guarding = Guards(guards, trip=lambda why: _tripped(result, journal, why))

    def stopped() -> bool:
        return stop() or bool(result.ended_early) or any(undo.journal_lost for undo in undos.values())

    def in_turn(undo: HostUndo, visit: Visit) -> HostUndoResult | None:
        found = undo.run(visit) if guarding.before_host(visit.host.name) else None
        if found is not None:
            ended_well(runner, found.outcome)
        return found

    def work(visit: Visit) -> None:
        nonlocal left, in_wave, worked
        undo = undos[short(visit.host.name)]
        began = seconds()
        host_result = visit.connected(lambda: in_turn(undo, visit)) if undo.to_visit else undo.nothing()
        if host_result is None and visit.error is None:
            return  # the run was stopped before this host's turn
        if host_result is None:
            ended = HostOutcome.STALE if isinstance(visit.error, OtherComputer) else HostOutcome.UNREACHED
            host_result = undo.away(ended, failure_of(visit.error))
        guarding.host_ended(visit.host.name, host_result, 0.0 if visit.error is not None else seconds() - began)
        result.hosts.append(host_result)
        progress.ended(host_result)
        left, in_wave, worked = left - 1, in_wave - 1, worked or bool(undo.steps)
        if budget is not None and left and not result.ended_early:
            reached = len(result.hosts) - result.count(HostOutcome.UNREACHED)
            result.ended_early = budget.spent(result.count(HostOutcome.FAILED), reached, to_come=in_wave)

    waves = cutting_of(limits, fleet, names).cut(names, limits.sizes(len(names)))
    for number, wave in enumerate(waves, 1):
        if number > 1 and least is not None and not stopped():
            before = {short(name) for name in waves[number - 2]}
            guarding.stop(too_few(least, [each.outcome for each in result.hosts if each.host in before]))
        until = seconds() + limits.soak
        while worked and not stopped() and (rest := until - seconds()) > 0:
            soaks(progress, number, len(waves), rest)
            pause(min(rest, 0.5))
        if stopped():
            break
        in_wave, worked = len(wave), False
        if not guarding.before_wave(wave):
            break
        wave_begins(progress, number, len(waves), len(wave))
        runner.visit(fleet, wave, work, stop=stopped, finish_begun=True)
    result.interrupted = stop()
    begun = {each.host for each in result.hosts}
    not_started = [undo for host, undo in undos.items() if host not in begun]
    no_turn = result.stopped.outcome if result.stopped is not None else HostOutcome.NOT_STARTED
    result.hosts += [undo.result(no_turn, result.ended_early) for undo in not_started]
    result.hosts.sort(key=lambda each: each.host)
    return result


def _tripped(result: UndoResult, journal: Journal, stop: Stop) -> None:
    """Note that a guard stopped the undo."""
    result.stopped, result.ended_early = stop, result.ended_early or stop.why
    with contextlib.suppress(OSError):  # the journal takes no line after this one, and `finish` says so
        journal.write("guard-tripped", guard=stop.guard, why=stop.why, deferred=stop.deferred)


def undoable(record: HostRecord, kinds: frozenset[str] | None = None) -> tuple[StepRecord, ...]:
    """Return the steps of a host that can be undone, the last one first."""
    return tuple(step for step in reversed(_changed(record, kinds)) if step.step.undo is not None)


def not_undoable(record: HostRecord, kinds: frozenset[str] | None = None) -> tuple[str, ...]:
    """Return in words what of a host cannot be undone."""
    changed = _changed(record, kinds)
    left = [f"{step.step.properties[0].name}: {step.step.undo_leaves}" for step in changed if step.step.undo_leaves]
    return (*(_cannot(step) for step in changed if step.step.undo is None), *left)


def _changed(record: HostRecord, kinds: frozenset[str] | None) -> list[StepRecord]:
    return [
        step
        for step in record.steps
        if step.ending in ("changed", None) and not step.undone and (kinds is None or step.step.kind in kinds)
    ]


class HostUndo:
    """Undoes one host's part of a run."""

    def __init__(
        self,
        host: str,
        record: HostRecord,
        journal: Journal,
        now: Callable[[], datetime],
        policy: Policy,
        kinds: frozenset[str] | None = None,
    ) -> None:
        self._host, self._journal, self._now, self._policy = host, journal, now, policy
        self.steps, self._cannot = undoable(record, kinds), not_undoable(record, kinds)
        self._leases = tuple(record.leases)
        self._restored: list[str] = []
        self.journal_lost = False
        """Whether the journal could not be written."""

    @property
    def to_visit(self) -> bool:
        """Whether there is something to do on the PC: a step to undo, or a lease that a crash left."""
        return bool(self.steps or self._leases)

    def run(self, visit: Visit) -> HostUndoResult:
        """Undo the host's steps, the last one first."""
        if visit.read_only:
            return self.result(HostOutcome.FAILED, "the inventory says not to change it (winrm_read_only)")
        session = visit.session
        try:
            session.converse(check_idle(self._now, self._policy))
        except StaleStep as error:
            return self.result(HostOutcome.STALE, error.what, next_step=error.next_step)
        session.read_only = False
        lease = HostLease(self._host, session, self._write_line, self._journal.run_id, earlier=self._leases)
        try:
            return self._leased(session, lease) if self.steps else self.nothing()  # but the lease of the run goes
        finally:
            try:
                lease.release()
            except JournalLost:
                self.journal_lost = True

    def _leased(self, session: Session, lease: HostLease) -> HostUndoResult:
        """Take the lease, and undo the host's steps."""
        stale: list[str] = []
        failed: list[str] = []
        try:
            lease.take()
        except StaleStep as error:
            return self.result(HostOutcome.STALE, str(error))
        except ProvmodeError as error:
            return self.result(HostOutcome.FAILED, str(error))
        except JournalLost as error:
            self.journal_lost = True
            return self.result(HostOutcome.FAILED, str(error))
        for record in self.steps:
            try:
                lease.renew()
                self._undo(session, record)
            except LeaseLost as error:
                stale.append(error.what)
                break
            except (StaleStep, StaleFile) as error:
                stale.append(f"{error.what}; it was left as it is")
            except (NotProved, RemoteFault, AccessDenied) as error:
                failed.append(str(error))
            except ProvmodeError as error:
                failed.append(str(error))
                break
            except JournalLost as error:
                self.journal_lost = True
                failed.append(str(error))
                break
        if not failed and not stale and not self._restored:
            return self.nothing()
        outcome = HostOutcome.FAILED if failed else HostOutcome.STALE if stale else HostOutcome.RESTORED
        return self.result(outcome, "; ".join((*failed, *stale)))

    def nothing(self) -> HostUndoResult:
        """Return the result for a host on which there is nothing to do."""
        if not self.steps:
            return self.result(HostOutcome.NOTHING, "" if self._cannot else "nothing is left to undo")
        return self.result(HostOutcome.NOTHING, "everything that can be restored is as it was before the run")

    def _undo(self, session: Session, record: StepRecord) -> None:
        undo_step = record.step.undo
        assert undo_step is not None
        session.begin()
        ending = session.converse(
            execute(undo_step, data=record.previous, announce=lambda previous: self._write("step-undo-begun", record))
        )
        if ending == "changed":
            self._restored += [str(item) for item in undo_step.properties]
        self._write("step-undone", record, ending=ending)

    def _write(self, event: str, record: StepRecord, **fields: Any) -> None:
        self._write_line(event, host=self._host, number=record.number, **fields)

    def _write_line(self, event: str, **fields: Any) -> None:
        try:
            self._journal.write(event, **fields)
        except OSError as error:
            raise JournalLost(f"the journal cannot be written: {error.strerror}") from None

    def away(self, outcome: HostOutcome, failure: Failure) -> HostUndoResult:
        """Return how a host ended that could not be reached."""
        return replace(self.result(outcome, failure.what, failure.cause, failure.next_step), to_mend=failure.to_mend)

    def result(
        self, outcome: HostOutcome, detail: str = "", cause: str | None = None, next_step: str = ""
    ) -> HostUndoResult:
        """Return how the host ended, with what was restored so far."""
        return HostUndoResult(self._host, outcome, tuple(self._restored), self._cannot, detail, cause, next_step)


def _cannot(record: StepRecord) -> str:
    doubt = " (it might not have happened)" if record.ending is None else ""
    return f"{record.step.properties[0]}: cannot be undone{doubt}"
