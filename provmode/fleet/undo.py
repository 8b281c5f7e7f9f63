"""Undoing what a journal tells: what can be restored is restored and proved, what cannot is said.

Restored are files (by their bytes), start modes, registry values and keys: only where what is there now is what the run
left, so that nobody's later work is overwritten. A mode that was left, a service that was started and a policy that was
requested cannot be taken back: what the client did since is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from provmode.errors import ProvmodeError
from provmode.fleet.inventory import Fleet
from provmode.fleet.journal import HostRecord, Journal, StepRecord
from provmode.fleet.visit import WORKING, Visit, cause_of_failure, short, visit_all
from provmode.remedy.perform import StaleStep, perform
from provmode.remedy.steps import DisarmTcf, SetFile, Step
from provmode.session import Session


@dataclass(frozen=True)
class Undone:
    """What became of one host."""

    host: str
    ended: str
    """``restored``, ``nothing`` (nothing that could be), ``stale``, ``failed`` or ``unreached``."""
    restored: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()
    """What cannot be taken back."""
    detail: str = ""
    cause: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {**vars(self), "restored": list(self.restored), "cannot": list(self.cannot)}


@dataclass
class UndoRun:
    """A whole undo."""

    results: list[Undone] = field(default_factory=list)
    interrupted: bool = False

    def exit_code(self) -> int:
        """Return 4 where something failed, 2 where something was changed since, 8 where a host was not reached."""
        if self.interrupted:
            return 130
        ended = {result.ended for result in self.results}
        code = (4 if "failed" in ended else 0) | (2 if "stale" in ended else 0)
        return code or (8 if "unreached" in ended else 0)


def run_undo(
    fleet: Fleet,
    names: Sequence[str],
    told: dict[str, HostRecord],
    journal: Journal,
    *,
    stop: Callable[[], bool] = lambda: False,
    working: int = WORKING,
    progress: Callable[[Undone], None] = lambda result: None,
) -> UndoRun:
    """Undo what *told* tells of the hosts *names*, the last step first; journalled as ``step-undone``."""
    run = UndoRun()

    def work(visit: Visit) -> None:
        host = short(visit.host.name)
        back = _Back(host, told[host], journal)
        result = visit.connected(lambda: back.perform(visit.session)) if back.steps else back.result("nothing")
        if result is None:
            error = visit.error
            said = error.what if isinstance(error, ProvmodeError) else f"{type(error).__name__}: {error}"
            result = back.result("unreached", said, cause_of_failure(error))
        run.results.append(result)
        progress(result)

    journal.write("undo-begun")
    visit_all(fleet, names, work, stop=stop, working=working, drop=False)
    run.interrupted = stop()
    journal.write("undo-ended")
    run.results.sort(key=lambda result: result.host)
    return run


class _Back:
    """The way back on one host."""

    def __init__(self, host: str, record: HostRecord, journal: Journal) -> None:
        self._host, self._journal = host, journal
        changed = [step for step in record.steps if step.ending != "already" and not step.undone]
        self.steps = [step for step in reversed(changed) if step.step.undo is not None]
        self._cannot = tuple(_cannot(step.step) for step in changed if step.step.undo is None)
        self._restored: list[str] = []

    def perform(self, session: Session) -> Undone:
        session.read_only = False
        for record in self.steps:
            try:
                self._one(session, record)
            except StaleStep as error:
                return self.result("stale", f"{error.what}; it was left as it is")
            except ProvmodeError as error:
                return self.result("failed", str(error))
        return self.result("restored" if self._restored else "nothing")

    def _one(self, session: Session, record: StepRecord) -> None:
        back: Step | None = record.step.undo
        assert back is not None
        session.begin()
        ending = session.converse(perform(back, data=_bytes(record)))
        self._journal.write("step-undone", host=self._host, number=record.number, ending=ending)
        if ending == "changed":
            self._restored += [str(item) for item in back.properties]

    def result(self, ended: str, detail: str = "", cause: str | None = None) -> Undone:
        return Undone(self._host, ended, tuple(self._restored), self._cannot, detail, cause)


def _bytes(record: StepRecord) -> bytes | None:
    return record.previous if isinstance(record.step, (DisarmTcf, SetFile)) else None


def _cannot(step: Step) -> str:
    return f"{step.properties[0]}: cannot be taken back"
