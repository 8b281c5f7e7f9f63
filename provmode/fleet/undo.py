"""Undoing a run by its journal: restore what can be restored, read it back, and report what cannot be undone.

Files (by their bytes), start modes, registry values and keys are restored. A step is undone only if the PC still is as
the run left it, so that later changes by others are kept; the host's other steps are undone all the same. Leaving the
mode, starting a service and requesting policy cannot be undone: the client has acted on them since.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from provmode.ccm.policy import Policy
from provmode.errors import AccessDenied, OtherComputer, ProvmodeError, RemoteFault, UsageError
from provmode.fleet.apply import finish
from provmode.fleet.inventory import Fleet, InventorySource, load
from provmode.fleet.journal import HostRecord, Journal, JournalLost, JournalState, StepRecord, read
from provmode.fleet.lease import HostLease
from provmode.fleet.progress import SILENT, Progress
from provmode.fleet.results import UNDO, HostOutcome
from provmode.fleet.visit import GeventRunner, Runner, Visit, cause_of_failure, never, policies_of, short
from provmode.remediation.decide import check_idle
from provmode.remediation.execute import NotProved, StaleStep, execute
from provmode.remediation.lease import LeaseLost
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

    def to_json(self) -> dict[str, Any]:
        """Return the host's row of the JSON report (contract)."""
        return {
            "host": self.host,
            "ended": self.outcome.value,
            "restored": list(self.restored),
            "cannot": list(self.cannot),
            "detail": self.detail,
            "cause": self.cause,
        }


@dataclass
class UndoResult:
    """How a whole undo ended."""

    hosts: list[HostUndoResult] = field(default_factory=list)
    interrupted: bool = False
    notice: str = ""
    """What went wrong without making the undo fail."""

    def exit_code(self) -> int:
        """Return the undo's exit code (contract): see `provmode.fleet.results`."""
        return UNDO.code(
            (result.outcome.counts_as(result.cause) for result in self.hosts), interrupted=self.interrupted
        )

    def to_json(self) -> dict[str, Any]:
        """Return how every host ended (contract)."""
        return {"interrupted": self.interrupted, "hosts": [result.to_json() for result in self.hosts]}


def undo_run(
    journal: Path,
    inventory: str | InventorySource,
    *,
    now: Callable[[], datetime],
    hosts: Sequence[str] = (),
    key: bytes | None = None,
    unsigned: bool = False,
    override: Mapping[str, Any] | None = None,
    runner: Runner | None = None,
    stop: Callable[[], bool] = never,
    progress: Progress = SILENT,
    nonce: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> UndoResult:
    """Undo the run of *journal*, on all of its hosts or on *hosts*. The undo is written to the same journal.

    *now* is the controller's clock, UTC. *key* is the plan's key. A journal that is not signed is refused unless
    *unsigned*. When *stop* turns true, hosts in progress are finished and no other is begun.

    Raises:
        UsageError: the journal or the inventory cannot be used, or lacks one of the hosts; nothing was changed.
    """
    state = read(journal, key)
    if not state.signed and not unsigned:
        raise UsageError(
            f"the journal {journal} is not signed: whoever wrote it decides what is restored",
            next_step="give --unsigned if you know who wrote it",
        )
    fleet, names = _chosen(journal, state, inventory, hosts, override)
    policies = policies_of(fleet, names)
    writer, state = Journal.resume(
        journal, state.plan_id, now, event="undo-begun", key=key, unsigned=unsigned, nonce=nonce()
    )
    try:
        progress.begin(len(names))
        result = undo_hosts(
            fleet,
            names,
            state.hosts,
            writer,
            now=now,
            policies=policies,
            runner=runner,
            stop=stop,
            progress=progress,
        )
    except BaseException:
        writer.abandon()
        raise
    result.notice = finish(writer, "undo-ended", complete=not result.interrupted)
    return result


def _chosen(
    journal: Path,
    state: JournalState,
    inventory: str | InventorySource,
    hosts: Sequence[str],
    override: Mapping[str, Any] | None,
) -> tuple[Fleet, list[str]]:
    """Return the fleet, and the inventory's names of the hosts to undo."""
    wanted = dict.fromkeys([short(host) for host in hosts] or state.hosts)
    for host in wanted:
        if host not in state.hosts:
            raise UsageError(f"the journal {journal} has nothing about {host}")
    fleet = load(inventory, override=override)
    names = [name for name in fleet.names if short(name) in wanted]
    present = {short(name) for name in names}
    for host in wanted:
        if host not in present:
            source = inventory if isinstance(inventory, str) else inventory.name
            raise UsageError(f"{source} has no host {host}", next_step="give the inventory of the run")
    return fleet, names


def undo_hosts(
    fleet: Fleet,
    names: Sequence[str],
    records: Mapping[str, HostRecord],
    journal: Journal,
    *,
    now: Callable[[], datetime],
    policies: Mapping[str, Policy] | None = None,
    runner: Runner | None = None,
    stop: Callable[[], bool] = never,
    progress: Progress = SILENT,
) -> UndoResult:
    """Undo the steps that *records* (by host) list for the hosts *names*, the last step first.

    Each step is journaled before as ``step-undo-begun`` and after as ``step-undone``. A PC is not touched while
    something runs there that the host's policy calls legitimate.

    When *stop* turns true, or the journal cannot be written any more, hosts in progress are finished and no other is
    begun.
    """
    policies = policies or {}
    result = UndoResult()
    undos = {
        short(name): HostUndo(short(name), records[short(name)], journal, now, policies.get(name, Policy()))
        for name in names
    }

    def stopped() -> bool:
        return stop() or any(undo.journal_lost for undo in undos.values())

    def work(visit: Visit) -> None:
        undo = undos[short(visit.host.name)]
        host_result = visit.connected(lambda: undo.run(visit)) if undo.steps else undo.nothing()
        if host_result is None and visit.error is None:
            return  # the run was stopped before this host's turn
        if host_result is None:
            error = visit.error
            detail = error.what if isinstance(error, ProvmodeError) else f"{type(error).__name__}: {error}"
            ended = HostOutcome.STALE if isinstance(error, OtherComputer) else HostOutcome.UNREACHED
            host_result = undo.result(ended, detail, cause_of_failure(error))
        result.hosts.append(host_result)
        progress.ended(host_result)

    (runner or GeventRunner()).visit(fleet, names, work, stop=stopped, finish_begun=True)
    result.interrupted = stop()
    begun = {each.host for each in result.hosts}
    result.hosts += [undo.result(HostOutcome.NOT_STARTED) for host, undo in undos.items() if host not in begun]
    result.hosts.sort(key=lambda each: each.host)
    return result


class HostUndo:
    """Undoes one host's part of a run."""

    def __init__(
        self, host: str, record: HostRecord, journal: Journal, now: Callable[[], datetime], policy: Policy
    ) -> None:
        self._host, self._journal, self._now, self._policy = host, journal, now, policy
        changed = [step for step in record.steps if step.ending in ("changed", None) and not step.undone]
        self.steps = [step for step in reversed(changed) if step.step.undo is not None]
        self._cannot = tuple(_cannot(step) for step in changed if step.step.undo is None)
        self._leases = tuple(record.leases)
        self._restored: list[str] = []
        self.journal_lost = False
        """Whether the journal could not be written."""

    def run(self, visit: Visit) -> HostUndoResult:
        """Undo the host's steps, the last one first."""
        if visit.read_only:
            return self.result(HostOutcome.FAILED, "the inventory says not to change it (winrm_read_only)")
        session = visit.session
        try:
            session.converse(check_idle(self._now, self._policy))
        except StaleStep as error:
            return self.result(HostOutcome.STALE, error.what)
        session.read_only = False
        lease = HostLease(self._host, session, self._write_line, self._journal.run_id, earlier=self._leases)
        try:
            return self._leased(session, lease)
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

    def result(self, outcome: HostOutcome, detail: str = "", cause: str | None = None) -> HostUndoResult:
        """Return how the host ended, with what was restored so far."""
        return HostUndoResult(self._host, outcome, tuple(self._restored), self._cannot, detail, cause)


def _cannot(record: StepRecord) -> str:
    doubt = " (it might not have happened)" if record.ending is None else ""
    return f"{record.step.properties[0]}: cannot be undone{doubt}"
