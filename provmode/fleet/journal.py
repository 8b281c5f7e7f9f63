"""The journal: every change before it is made, with what was there before, so that a crash loses nothing.

One JSON object a line, appended and forced to disk before the change is sent. Each line carries its own SHA-256
(``hash``) and that of the line before it (``prev``), so that a changed or missing line is found. A last line that was
torn by a crash, so one without its line ending, is tolerated: what it announced had not begun. Lines that are missing
at the very end leave a journal that is whole but not closed, as a crash does.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

from provmode.errors import UsageError
from provmode.fleet.plan_file import KEY_ENVIRONMENT
from provmode.remediation.steps import Step, step_from_json

FIRST = "0" * 64
"""``prev`` of the first line."""
_BEGINNING = b'{"event": "run-begun", "hash": "'
"""How every journal begins."""


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
    """``changed``, ``already`` or ``stale`` (nothing was changed); ``None``: begun and not known to have ended."""
    undone: bool = False
    undoing: bool = False
    """Whether taking it back was begun: it may have been taken back."""


@dataclass
class HostRecord:
    """What a journal tells about one host."""

    steps: list[StepRecord] = field(default_factory=list)
    outcome: str | None = None
    """How the host ended; ``None``: it is open."""
    claim: str | None = None
    """Token of the claim that was announced and is not known to have been released."""

    @property
    def done(self) -> frozenset[int]:
        """Numbers of the steps that ended well."""
        return frozenset(record.number for record in self.steps if record.ending in ("changed", "already"))

    @property
    def changed(self) -> bool:
        """Whether a step changed something, or may have."""
        return any(record.ending in ("changed", None) for record in self.steps)

    @property
    def undone(self) -> bool:
        """Whether something of it was taken back since, or may have been."""
        return any(record.undone or record.undoing for record in self.steps)


@dataclass
class Told:
    """Everything a journal tells."""

    plan_id: str
    lines: int
    torn: bool
    """Whether the last line was torn by a crash."""
    closed: bool
    """Whether the last run, or the last undo, came to its end."""
    hosts: dict[str, HostRecord]
    last: str
    """Hash of the last whole line."""
    size: int
    """Bytes of whole lines."""
    first: str = ""
    """Hash of the first line."""
    signed: bool = False
    """Whether its lines are chained with the plan's key: who has not the key cannot have written it."""
    undoing: bool = False
    """Whether what it tells last is an undo."""


class Journal:
    """A journal that is being written, by one program at a time. `create` or `resume` it; `close` it when a run ends.

    A line that could not be written whole is cut off again, and nothing is written after it.
    """

    def __init__(self, file: FileIO, told: Told, now: Callable[[], datetime], key: bytes | None = None) -> None:
        self._key = key
        self._file = file
        self._first, self._last, self._size = told.first, told.last, told.size
        self._now = now
        self._broken = False

    @property
    def run(self) -> str:
        """16 hexadecimal digits by which the PCs know this run; when it is gone on with they are the same."""
        return self._first[:16]

    @classmethod
    def create(
        cls, path: Path, plan_id: str, now: Callable[[], datetime], key: bytes | None = None, *, nonce: str = ""
    ) -> Journal:
        """Begin a new journal for the plan *plan_id*; with *key* nobody else can write one that is believed.

        *nonce* is in no other journal: two controllers that begin at the same moment are two runs.

        Raises:
            UsageError: there is one already, or it cannot be written.
        """
        try:
            file = FileIO(path, "xb")
        except FileExistsError:
            raise UsageError(
                f"there is a journal {path} of an earlier run",
                next_step="go on with it (--resume), or write another (--journal FILE)",
            ) from None
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            _lock(file, path)
            journal = cls(file, _nothing(), now, key)
            journal._begin(plan_id, nonce)
            _sync_folder(path)
        except OSError as error:
            file.close()
            path.unlink(missing_ok=True)
            raise _unwritable(path, error) from None
        return journal

    @classmethod
    def resume(
        cls,
        path: Path,
        plan_id: str,
        now: Callable[[], datetime],
        *,
        event: str = "run-resumed",
        key: bytes | None = None,
        unsigned: bool = False,
        nonce: str = "",
    ) -> tuple[Journal, Told]:
        """Go on with a journal; a torn last line is cut off. One that was torn in its first line begins anew.

        With a *key* the journal has to be signed with it, unless *unsigned* ones are taken as well.

        Raises:
            JournalDamaged: it cannot be trusted.
            UsageError: it is of another plan, is being written by another run, or cannot be written.
        """
        if not path.exists():
            raise UsageError(
                f"there is no journal {path} to go on with", next_step="leave out --resume, or give --journal FILE"
            )
        try:
            file = FileIO(path, "rb+")
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            _lock(file, path)
            told = _nothing() if _torn_at_once(path) else read(path, key)
            if key is not None and told.lines and not told.signed and not unsigned:
                raise JournalDamaged(f"{path} is not signed, and the plan is: another program wrote it")
            key = key if told.signed or not told.lines else None
            if told.lines and told.plan_id != plan_id:
                raise UsageError(f"the journal {path} is of another plan", next_step="give the plan it was written for")
            file.truncate(told.size)
            journal = cls(file, told, now, key)
            if told.lines:
                journal.write(event, plan=plan_id, signed=key is not None)
            else:
                journal._begin(plan_id, nonce)
        except UsageError:
            file.close()
            raise
        except OSError as error:
            file.close()
            raise _unwritable(path, error) from None
        return journal, told

    def _begin(self, plan_id: str, nonce: str) -> None:
        self.write("run-begun", plan=plan_id, signed=self._key is not None, **({"nonce": nonce} if nonce else {}))
        self._first = self._last

    def write(self, event: str, **fields: Any) -> None:
        """Append one line and force it to disk.

        Raises:
            OSError: it could not be written; whatever it announces must not be done.
        """
        if self._broken:
            raise OSError(errno.EIO, "an earlier line could not be written")
        line = {"time": self._now().isoformat(), "event": event, **fields, "prev": self._last}
        digest = _digest(line, self._key)
        data = _encoded({**line, "hash": digest}) + b"\n"
        try:
            self._append(data)
        except OSError:
            self._broken = True
            try:
                self._file.truncate(self._size)
            except OSError:
                pass  # the torn line stays, and nothing comes after it
            raise
        self._last, self._size = digest, self._size + len(data)

    def _append(self, data: bytes) -> None:
        self._file.seek(self._size)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) or 0 :]
        os.fsync(self._file.fileno())

    def step_begun(self, host: str, number: int, step: Step, previous: bytes | None) -> None:
        """Announce a step with what is there before it."""
        kept = {"previous": b64encode(previous).decode("ascii")} if previous is not None else {}
        self.write("step-begun", host=host, number=number, step=step.to_json(), **kept)

    def close(self, event: str = "run-ended") -> None:
        """Say that the run came to its end, and close the file.

        Raises:
            OSError: it could not be said; the file is closed.
        """
        try:
            self.write(event)
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close the file without a word: the run did not come to its end."""
        self._file.close()


def _nothing() -> Told:
    return Told("", 0, False, False, {}, FIRST, 0)


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write the journal {path}: {error.strerror}")


def _lock(file: FileIO, path: Path) -> None:
    """Keep other runs from writing; the lock ends with the process, however that ends.

    Raises:
        UsageError: another run has it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"the journal {path} is being written by another run", next_step="wait for its end") from None


def _torn_at_once(path: Path) -> bool:
    """Whether a crash came before the first line was whole: nothing had begun."""
    data = path.read_bytes()
    return b"\n" not in data and data[: len(_BEGINNING)] == _BEGINNING[: len(data)]


def _encoded(line: dict[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")


def _digest(line: dict[str, Any], key: bytes | None) -> str:
    if key is None:
        return hashlib.sha256(_encoded(line)).hexdigest()
    return hmac.new(key, _encoded(line), hashlib.sha256).hexdigest()


def _is_hash(told: Any, computed: str) -> bool:
    """Compare in constant time; as bytes, because ``compare_digest`` takes text in ASCII alone."""
    return isinstance(told, str) and hmac.compare_digest(told.encode("utf-8", "surrogatepass"), computed.encode())


def read(path: Path, key: bytes | None = None) -> Told:
    """Read and verify a journal; *key* is the plan's, and not needed for a journal that is not signed.

    Raises:
        JournalDamaged: a line was changed, is missing or is none, or was signed with another key.
        UsageError: it cannot be read, or is signed and there is no key.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the journal {path}: {error.strerror}") from None
    whole = data[: data.rfind(b"\n") + 1]
    told = Told("", 0, len(whole) != len(data), False, {}, FIRST, len(whole))
    told.signed = _is_signed(whole)
    if told.signed and key is None:
        raise UsageError(f"the journal {path} is signed", next_step=f"give --key-file or ${KEY_ENVIRONMENT}")
    for number, line in _lines(path, whole, key if told.signed else None):
        told.lines = number
        told.first = told.first or line["hash"]
        _tell(told, line, path, number)
    if not told.plan_id:
        raise JournalDamaged(f"{path} is no journal of provmode, or its first line is missing")
    return told


def _is_signed(whole: bytes) -> bool:
    """Whether the first line says that the journal is signed; that it says so is proved with the rest."""
    try:
        first = json.loads(whole.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and first.get("signed") is True


def _lines(path: Path, whole: bytes, key: bytes | None) -> Iterator[tuple[int, dict[str, Any]]]:
    last = FIRST
    for number, data in enumerate(whole.split(b"\n")[:-1], 1):
        try:
            line = json.loads(data)
            prev, digest = line["prev"], line.pop("hash")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise JournalDamaged(f"{path}, line {number}: it is none of provmode's") from None
        if not _is_hash(digest, _digest(line, key)) or data != _encoded({**line, "hash": digest}):
            raise JournalDamaged(f"{path}, line {number}: it was changed")
        if prev != last:
            raise JournalDamaged(
                f"{path}, line {number}: it does not follow the line before it: one was changed, added or taken out"
            )
        last = digest
        yield number, {**line, "hash": digest}


def _tell(told: Told, line: dict[str, Any], path: Path, number: int) -> None:
    event = line.get("event")
    told.last = line["hash"]
    try:
        if event in ("run-begun", "run-resumed", "undo-begun"):
            told.plan_id, told.closed, told.undoing = line["plan"], False, event == "undo-begun"
        elif event in ("run-ended", "undo-ended"):
            told.closed = True
        else:
            _tell_host(told.hosts.setdefault(line["host"], HostRecord()), line)
    except (KeyError, ValueError, TypeError, StopIteration) as error:
        raise JournalDamaged(f"{path}, line {number}: {event} without {error}") from None


def _tell_host(host: HostRecord, line: dict[str, Any]) -> None:
    event = line["event"]
    if event == "step-begun":
        previous = b64decode(line["previous"]) if "previous" in line else None
        again = next((record for record in host.steps if record.number == line["number"]), None)
        if type(line["number"]) is not int:
            raise ValueError(f"a number: {line['number']!r}")
        if again is None:
            host.steps.append(StepRecord(line["number"], step_from_json(line["step"]), previous))
        else:
            again.ending, again.previous = None, again.previous if again.previous is not None else previous
    elif event == "step-ended":
        _step(host, line["number"]).ending = line["ending"]
    elif event == "step-undo-begun":
        _step(host, line["number"]).undoing = True
    elif event == "step-undone":
        _step(host, line["number"]).undone = True
    elif event == "host-ended":
        host.outcome = line["outcome"]
    elif event == "claim-begun":
        host.claim = line["token"]
    elif event == "claim-released":
        host.claim = None


def _step(host: HostRecord, number: int) -> StepRecord:
    return next(record for record in host.steps if record.number == number)


def _sync_folder(path: Path) -> None:
    """Force the folder's entry of a new file to disk."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
