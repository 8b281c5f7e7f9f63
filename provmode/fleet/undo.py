"""Undoing what a journal tells: what can be restored is restored and proved, what cannot is said.

Restored are files (by their bytes), start modes, registry values and keys: only where what is there now is what the run
left, so that nobody's later work is overwritten; the rest of the host is restored all the same. A mode that was left, a
service that was started and a policy that was requested cannot be taken back: what the client did since is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provmode.ccm.policy import Policy
from provmode.errors import AccessDenied, ProvmodeError, RemoteFault
from provmode.fleet.inventory import Fleet
from provmode.fleet.journal import HostRecord, Journal, StepRecord
from provmode.fleet.visit import WORKING, Visit, cause_of_failure, short, visit_all
from provmode.remediation.decide import still_idle
from provmode.remediation.execute import NotProved, StaleStep, perform
from provmode.remediation.steps import DisarmTcf, SetFile, Step
from provmode.transport.session import Session
from provmode.windows.files import StaleFile


@dataclass(frozen=True)
class Undone:
    """What became of one host."""

    host: str
    ended: str
    """``restored``, ``nothing`` (nothing that could be), ``stale``, ``failed``, ``unreached`` or ``not-started``."""
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
        """Return 4: failed; 2: somebody changed it since, or it was not begun; 8: some hosts were not reached."""
        if self.interrupted:
            return 130
        ended = {result.ended for result in self.results}
        code = (4 if "failed" in ended else 0) | (2 if ended & {"stale", "not-started"} else 0)
        return code or (8 if "unreached" in ended else 0)


def run_undo(
    fleet: Fleet,
    names: Sequence[str],
    told: dict[str, HostRecord],
    journal: Journal,
    *,
    now: Callable[[], datetime],
    policies: Mapping[str, Policy] | None = None,
    stop: Callable[[], bool] = lambda: False,
    working: int = WORKING,
    progress: Callable[[Undone], None] = lambda result: None,
) -> UndoRun:
    """Undo what *told* tells of the hosts *names*, the last step first.

    Journalled before as ``step-undo-begun`` and after as ``step-undone``. A PC on which something runs that the host's
    policy calls legitimate is not touched.

    When *stop* turns true the hosts in hand are brought to an end and no other is begun. So too where the journal can
    not be written any more.
    """
    policies = policies or {}
    run, backs = UndoRun(), {}
    for name in names:
        back = _Back(short(name), told[short(name)], journal, now, policies.get(name, Policy()))
        backs[short(name)] = back
    halted = False

    def ended() -> bool:
        return stop() or halted

    def work(visit: Visit) -> None:
        nonlocal halted
        host = short(visit.host.name)
        back = backs[host]
        result = visit.connected(lambda: back.perform(visit)) if back.steps else back.nothing()
        halted = halted or back.halted
        if result is None and visit.error is None:
            return  # its turn came after the end of the run
        if result is None:
            error = visit.error
            said = error.what if isinstance(error, ProvmodeError) else f"{type(error).__name__}: {error}"
            result = back.result("unreached", said, cause_of_failure(error))
        run.results.append(result)
        progress(result)

    visit_all(fleet, names, work, stop=ended, working=working, drop=False)
    run.interrupted = stop()
    begun = {result.host for result in run.results}
    run.results += [back.result("not-started") for host, back in backs.items() if host not in begun]
    run.results.sort(key=lambda result: result.host)
    return run


class _JournalLost(Exception):
    """The journal could not be written: nothing more is taken back."""


class _Back:
    """The way back on one host."""

    def __init__(
        self, host: str, record: HostRecord, journal: Journal, now: Callable[[], datetime], policy: Policy
    ) -> None:
        self._host, self._journal, self._now, self._policy = host, journal, now, policy
        changed = [step for step in record.steps if step.ending in ("changed", None) and not step.undone]
        self.steps = [step for step in reversed(changed) if step.step.undo is not None]
        self._cannot = tuple(_cannot(step) for step in changed if step.step.undo is None)
        self._restored: list[str] = []
        self.halted = False
        """Whether the journal could not be written."""

    def perform(self, visit: Visit) -> Undone:
        if visit.read_only:
            return self.result("failed", "the inventory says not to change it (winrm_read_only)")
        session, stale, failed = visit.session, [], []
        try:
            session.converse(still_idle(self._now, self._policy))
        except StaleStep as error:
            return self.result("stale", error.what)
        session.read_only = False
        for record in self.steps:
            try:
                self._one(session, record)
            except (StaleStep, StaleFile) as error:
                stale.append(f"{error.what}; it was left as it is")
            except (NotProved, RemoteFault, AccessDenied) as error:
                failed.append(str(error))
            except ProvmodeError as error:
                failed.append(str(error))
                break
            except _JournalLost as error:
                self.halted = True
                failed.append(str(error))
                break
        if not failed and not stale and not self._restored:
            return self.nothing()
        return self.result("failed" if failed else "stale" if stale else "restored", "; ".join((*failed, *stale)))

    def nothing(self) -> Undone:
        """Return the answer for a host on which there is nothing to do."""
        if not self.steps:
            return self.result("nothing", "" if self._cannot else "nothing is left to take back")
        return self.result("nothing", "everything that can be restored is as it was before the run")

    def _one(self, session: Session, record: StepRecord) -> None:
        back: Step | None = record.step.undo
        assert back is not None
        session.begin()
        ending = session.converse(
            perform(back, data=_bytes(record), record=lambda previous: self._note("step-undo-begun", record))
        )
        if ending == "changed":
            self._restored += [str(item) for item in back.properties]
        self._note("step-undone", record, ending=ending)

    def _note(self, event: str, record: StepRecord, **fields: Any) -> None:
        try:
            self._journal.write(event, host=self._host, number=record.number, **fields)
        except OSError as error:
            raise _JournalLost(f"the journal cannot be written: {error.strerror}") from None

    def result(self, ended: str, detail: str = "", cause: str | None = None) -> Undone:
        return Undone(self._host, ended, tuple(self._restored), self._cannot, detail, cause)


def _bytes(record: StepRecord) -> bytes | None:
    return record.previous if isinstance(record.step, (DisarmTcf, SetFile)) else None


def _cannot(record: StepRecord) -> str:
    may = " (it may not have happened)" if record.ending is None else ""
    return f"{record.step.properties[0]}: cannot be taken back{may}"
