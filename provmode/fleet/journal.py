"""The journal: every change before it is made, with what was there before, so that a crash loses nothing.

One JSON object a line, appended and forced to disk before the change is sent. Each line carries the SHA-256 of the
line before it (``prev``), so that a changed or missing line is found. A last line that was torn by a crash is
tolerated: what it announced had not begun.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from provmode.errors import UsageError
from provmode.remedy.steps import Step, step_from_json

FIRST = "0" * 64
"""``prev`` of the first line."""


class JournalDamaged(UsageError):
    """A line was changed, is missing, or is none; the message says which."""


@dataclass
class StepRecord:
    """One step of one host, as the journal tells it."""

    number: int
    step: Step
    previous: bytes | None
    """Bytes of the file before the change, where it is one."""
    ending: str | None = None
    """``changed`` or ``already``; ``None``: begun and not known to have ended; ``failed``."""
    undone: bool = False


@dataclass
class HostRecord:
    """What a journal tells about one host."""

    steps: list[StepRecord] = field(default_factory=list)
    outcome: str | None = None
    """How the host ended; ``None``: it is open."""

    @property
    def done(self) -> frozenset[int]:
        """Numbers of the steps that ended well."""
        return frozenset(record.number for record in self.steps if record.ending in ("changed", "already"))

    @property
    def changed(self) -> bool:
        """Whether a step changed something, or may have."""
        return any(record.ending != "already" for record in self.steps)


@dataclass
class Told:
    """Everything a journal tells."""

    plan_id: str
    lines: int
    torn: bool
    """Whether the last line was torn by a crash."""
    closed: bool
    """Whether the last run came to its end."""
    hosts: dict[str, HostRecord]
    last: str
    """Hash of the last whole line."""
    size: int
    """Bytes of whole lines."""


class Journal:
    """A journal that is being written. Use `create` or `resume`; `close` when the run ends."""

    def __init__(self, file: IO[bytes], last: str, now: Callable[[], datetime]) -> None:
        self._file = file
        self._last = last
        self._now = now

    @classmethod
    def create(cls, path: Path, plan_id: str, now: Callable[[], datetime]) -> Journal:
        """Begin a new journal for the plan *plan_id*.

        Raises:
            UsageError: there is one already, or it cannot be written.
        """
        try:
            file = path.open("xb")
        except FileExistsError:
            raise UsageError(
                f"there is a journal {path} of an earlier run",
                next_step="go on with it (--resume), or write another (--journal FILE)",
            ) from None
        except OSError as error:
            raise UsageError(f"cannot write the journal {path}: {error.strerror}") from None
        _sync_folder(path)
        journal = cls(file, FIRST, now)
        journal.write("run-begun", plan=plan_id)
        return journal

    @classmethod
    def resume(cls, path: Path, plan_id: str, now: Callable[[], datetime]) -> tuple[Journal, Told]:
        """Go on with a journal; a torn last line is cut off.

        Raises:
            JournalDamaged: it cannot be trusted.
            UsageError: it is of another plan, or cannot be written.
        """
        told = read(path)
        if told.plan_id != plan_id:
            raise UsageError(f"the journal {path} is of another plan", next_step="give the plan it was written for")
        try:
            file = path.open("r+b")
        except OSError as error:
            raise UsageError(f"cannot write the journal {path}: {error.strerror}") from None
        file.truncate(told.size)
        file.seek(told.size)
        journal = cls(file, told.last, now)
        journal.write("run-resumed", plan=plan_id)
        return journal, told

    def write(self, event: str, **fields: Any) -> None:
        """Append one line and force it to disk.

        Raises:
            OSError: it could not be written; whatever it announces must not be done.
        """
        line = {"time": self._now().isoformat(), "event": event, **fields, "prev": self._last}
        data = json.dumps(line, ensure_ascii=False, sort_keys=True).encode() + b"\n"
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._last = hashlib.sha256(data).hexdigest()

    def step_begun(self, host: str, number: int, step: Step, previous: bytes | None) -> None:
        """Announce a step with what is there before it."""
        kept = {"previous": b64encode(previous).decode("ascii")} if previous is not None else {}
        self.write("step-begun", host=host, number=number, step=step.to_json(), **kept)

    def close(self) -> None:
        """Say that the run came to its end, and close the file."""
        self.write("run-ended")
        self._file.close()

    def abandon(self) -> None:
        """Close the file without a word: the run did not come to its end."""
        self._file.close()


def read(path: Path) -> Told:
    """Read and verify a journal.

    Raises:
        JournalDamaged: a line was changed, is missing or is none.
        UsageError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the journal {path}: {error.strerror}") from None
    whole = data[: data.rfind(b"\n") + 1]
    told = Told("", 0, len(whole) != len(data), False, {}, FIRST, len(whole))
    for number, line in _lines(path, whole):
        told.lines = number
        _tell(told, line, path, number)
    if not told.plan_id:
        raise JournalDamaged(f"{path} is no journal of provmode, or its first line is missing")
    return told


def _lines(path: Path, whole: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    last = FIRST
    for number, data in enumerate(whole.splitlines(keepends=True), 1):
        try:
            line = json.loads(data)
            prev = line["prev"]
        except (ValueError, KeyError, TypeError):
            raise JournalDamaged(f"{path}, line {number}: it is none of provmode's") from None
        if prev != last:
            raise JournalDamaged(
                f"{path}, line {number}: it does not follow the line before it: one was changed, added or taken out"
            )
        last = hashlib.sha256(data).hexdigest()
        yield number, {**line, "hash": last}


def _tell(told: Told, line: dict[str, Any], path: Path, number: int) -> None:
    event = line.get("event")
    told.last = line["hash"]
    told.closed = event == "run-ended"
    try:
        if event in ("run-begun", "run-resumed"):
            told.plan_id = line["plan"]
            return
        if event in ("run-ended", "undo-begun", "undo-ended"):
            return
        host = told.hosts.setdefault(line["host"], HostRecord())
        if event == "step-begun":
            previous = b64decode(line["previous"]) if "previous" in line else None
            again = next((record for record in host.steps if record.number == line["number"]), None)
            if again is None:
                host.steps.append(StepRecord(line["number"], step_from_json(line["step"]), previous))
            elif again.ending is None and again.previous is None:
                again.previous = previous
        elif event == "step-ended":
            _step(host, line["number"]).ending = line["ending"]
        elif event == "step-undone":
            _step(host, line["number"]).undone = True
        elif event == "host-ended":
            host.outcome = line["outcome"]
    except (KeyError, ValueError, TypeError, StopIteration) as error:
        raise JournalDamaged(f"{path}, line {number}: {event} without {error}") from None


def _step(host: HostRecord, number: int) -> StepRecord:
    return next(record for record in host.steps if record.number == number)


def _sync_folder(path: Path) -> None:
    """Force the folder's entry of a new file to disk."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
