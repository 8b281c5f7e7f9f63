"""A look at what an undo would restore, and what it would make of each PC's verdict. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provmode.ccm.verdict import Assessment
from provmode.errors import OtherComputer
from provmode.fleet.progress import SILENT, Progress
from provmode.fleet.results import UNDO, UNDO_OUTCOMES, HostOutcome, counted, none_resolves
from provmode.fleet.undo import Undoing, not_undoable
from provmode.fleet.visit import GeventRunner, Runner, Visit, failure_of, looked_up, never, short
from provmode.remediation.foresee import Foreseen, foresee


@dataclass(frozen=True)
class HostPreview:
    """What an undo would do to one host."""

    host: str
    outcome: HostOutcome
    """``restored``: something would be restored; ``nothing``, ``stale``, ``unreached``, ``not-started``: nothing."""
    foreseen: Foreseen | None = None
    cannot: tuple[str, ...] = ()
    """What cannot be undone."""
    detail: str = ""
    cause: str | None = None
    next_step: str = ""
    to_mend: bool = False
    """Whether it is the operator's to mend, whatever the cause says."""

    @property
    def verdicts(self) -> tuple[str, str] | None:
        """The verdict now and after the undo, if both can be told."""
        seen = self.foreseen
        return None if seen is None or seen.then is None else (seen.now.verdict.value, seen.then.verdict.value)

    def to_json(self) -> dict[str, Any]:
        """Return the host's row of the JSON report (contract); the next step only if there is one."""
        seen = self.foreseen
        return {
            "host": self.host,
            "would_end": self.outcome.value,
            "verdict": _verdict(seen.now if seen is not None else None),
            "verdict_after": _verdict(seen.then if seen is not None else None),
            "would_restore": list(seen.restored) if seen is not None else [],
            "would_leave": list(seen.left) if seen is not None else [],
            "cannot": list(self.cannot),
            "detail": self.detail,
            "cause": self.cause,
            **({"next_step": self.next_step} if self.next_step else {}),
        }


def _verdict(assessment: Assessment | None) -> str | None:
    return assessment.verdict.value if assessment is not None else None


@dataclass
class UndoPreview:
    """What an undo would do to all hosts."""

    hosts: list[HostPreview] = field(default_factory=list)
    interrupted: bool = False
    excluded: tuple[str, ...] = ()
    """Host names of the journal that ``--exclude`` left out."""
    by_name: frozenset[str] = frozenset()
    """Hosts whose address is a name, which has to be looked up."""

    @property
    def no_name_resolves(self) -> bool:
        """Whether it is DNS, and not the PCs: see `none_resolves`."""
        return none_resolves({host.host: host.cause for host in self.hosts}, self.by_name)

    @property
    def other_verdict(self) -> int:
        """How many hosts would get another verdict by the undo."""
        return sum(host.verdicts is not None and len(set(host.verdicts)) > 1 for host in self.hosts)

    def count(self, outcome: HostOutcome) -> int:
        """Return how many hosts would end with *outcome*."""
        return sum(host.outcome is outcome for host in self.hosts)

    def exit_code(self) -> int:
        """Return the exit code of ``undo --dry`` (contract): that of `undo`, but 2 if something would be restored."""
        outcomes = counted(self.hosts, self.by_name)
        return UNDO.code(
            [HostOutcome.STALE if each is HostOutcome.RESTORED else each for each in outcomes],
            interrupted=self.interrupted,
        )

    def to_json(self) -> dict[str, Any]:
        """Return what would become of every host (contract)."""
        summary = {outcome.value: self.count(outcome) for outcome in UNDO_OUTCOMES}
        return {
            "dry": True,
            "summary": {**summary, "other_verdict": self.other_verdict, "total": len(self.hosts)},
            "interrupted": self.interrupted,
            **({"excluded": list(self.excluded)} if self.excluded else {}),
            "hosts": [host.to_json() for host in self.hosts],
        }


def preview_undo(
    chosen: Undoing,
    *,
    now: Callable[[], datetime],
    runner: Runner | None = None,
    stop: Callable[[], bool] = never,
    progress: Progress = SILENT,
) -> UndoPreview:
    """Look at the hosts that are to be undone, and return what would become of each; every session is read-only.

    *now* is the controller's clock, UTC.
    """
    preview, found = UndoPreview(excluded=chosen.excluded), dict[str, HostPreview]()
    preview.by_name = looked_up(chosen.fleet, chosen.names)
    cannot = {name: not_undoable(chosen.state.hosts[short(name)], chosen.kinds) for name in chosen.names}
    progress.begin(len(chosen.names))

    def work(visit: Visit) -> None:
        name = visit.host.name
        steps = [(record.step.undo, record.previous) for record in chosen.steps_of(name)]
        undos = [(step, data) for step, data in steps if step is not None]
        seen = visit.connected(lambda: visit.session.converse(foresee(undos, now, chosen.policies[name])))
        found[name] = _preview(short(name), seen, visit.error, cannot[name], read_only=visit.read_only)
        progress.ended(found[name])

    (runner or GeventRunner(working=chosen.limits.parallel)).visit(
        chosen.fleet, chosen.names, work, stop=stop, finish_begun=False
    )
    preview.interrupted = stop()
    preview.hosts = [
        found.get(name) or HostPreview(short(name), HostOutcome.NOT_STARTED, cannot=cannot[name])
        for name in chosen.names
    ]
    return preview


def _preview(
    host: str, seen: Foreseen | None, error: Exception | None, cannot: tuple[str, ...], *, read_only: bool
) -> HostPreview:
    if seen is None:
        failure = failure_of(error)
        outcome = HostOutcome.STALE if isinstance(error, OtherComputer) else HostOutcome.UNREACHED
        return HostPreview(
            *(host, outcome, None, cannot, failure.what, failure.cause, failure.next_step), to_mend=failure.to_mend
        )
    if read_only and (seen.restored or seen.left):
        detail = "the inventory says not to change it (winrm_read_only)"
        return HostPreview(host, HostOutcome.FAILED, seen, cannot, detail)
    if seen.busy and (seen.restored or seen.left):
        return HostPreview(host, HostOutcome.STALE, seen, cannot, f"{seen.busy}: at work now, and would not be touched")
    outcome = HostOutcome.STALE if seen.left else HostOutcome.RESTORED if seen.restored else HostOutcome.NOTHING
    return HostPreview(host, outcome, seen, cannot)
