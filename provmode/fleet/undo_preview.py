"""A look at what an undo would restore, and what it would make of each PC's verdict. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provmode.ccm.verdict import Assessment
from provmode.errors import OtherComputer, ProvmodeError
from provmode.fleet.progress import SILENT, Progress
from provmode.fleet.results import UNDO, HostOutcome
from provmode.fleet.undo import Undoing, not_undoable
from provmode.fleet.visit import GeventRunner, Runner, Visit, cause_of_failure, never, short
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

    def to_json(self) -> dict[str, Any]:
        """Return the host's row of the JSON report (contract)."""
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
        }


def _verdict(assessment: Assessment | None) -> str | None:
    return assessment.verdict.value if assessment is not None else None


@dataclass
class UndoPreview:
    """What an undo would do to all hosts."""

    hosts: list[HostPreview] = field(default_factory=list)
    interrupted: bool = False

    def exit_code(self) -> int:
        """Return the exit code of ``undo --dry`` (contract): that of `undo`, but 2 if something would be restored."""
        counted = [
            HostOutcome.STALE if host.outcome is HostOutcome.RESTORED else host.outcome.counts_as(host.cause)
            for host in self.hosts
        ]
        return UNDO.code(counted, interrupted=self.interrupted)

    def to_json(self) -> dict[str, Any]:
        """Return what would become of every host (contract)."""
        return {"dry": True, "interrupted": self.interrupted, "hosts": [host.to_json() for host in self.hosts]}


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
    preview, found = UndoPreview(), dict[str, HostPreview]()
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
        detail = error.what if isinstance(error, ProvmodeError) else f"{type(error).__name__}: {error}"
        outcome = HostOutcome.STALE if isinstance(error, OtherComputer) else HostOutcome.UNREACHED
        return HostPreview(host, outcome, None, cannot, detail, cause_of_failure(error))
    if read_only and (seen.restored or seen.left):
        detail = "the inventory says not to change it (winrm_read_only)"
        return HostPreview(host, HostOutcome.FAILED, seen, cannot, detail)
    if seen.busy and (seen.restored or seen.left):
        return HostPreview(host, HostOutcome.STALE, seen, cannot, f"{seen.busy}: at work now, and would not be touched")
    outcome = HostOutcome.STALE if seen.left else HostOutcome.RESTORED if seen.restored else HostOutcome.NOTHING
    return HostPreview(host, outcome, seen, cannot)
