"""The journal: every change is written here, with the state before it, before it is made. So a crash loses nothing.

One JSON object a line, appended and forced to disk before the change is sent. The kinds of line are the table in
`provmode.fleet.journal_events`; ``docs/journal.schema.json`` describes them. Each line carries its own SHA-256
(``hash``) and that of the line before it (``prev``), so that a changed or missing line is found.

A crash can tear the last line, which then has no line ending. That is tolerated: what it announced had not begun. A
journal whose very last lines are missing reads like the journal of a run that crashed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import json
import os
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

from provmode.errors import UsageError
from provmode.fleet.group_commit import GroupCommit, forcing
from provmode.fleet.journal_events import EVENTS, HostRecord, JournalState, StepRecord, apply_line
from provmode.fleet.plan_file import KEY_ENVIRONMENT
from provmode.fleet.waves import Limits
from provmode.remediation.steps import Step

__all__ = ["HostRecord", "Journal", "JournalDamaged", "JournalState", "StepRecord", "read"]

FIRST = "0" * 64
"""``prev`` of the first line."""
_START = b'{"event": "run-begun", "hash": "'
"""How every journal begins."""


class JournalDamaged(UsageError):
    """A line was changed, is missing, or was not written by provmode; the message says which."""


class JournalLost(Exception):
    """The journal could not be written in the middle of a run: nothing more must be changed."""


class Journal:
    """A journal that is being written, by one program at a time. `create` or `resume` it; `close` it when a run ends.

    A line that could not be written whole is cut off again, and nothing is written after it.
    """

    def __init__(
        self, file: FileIO, state: JournalState, now: Callable[[], datetime], key: bytes | None = None
    ) -> None:
        self._key = key
        self._file = file
        self._first, self._last, self._size = state.first_hash, state.last_hash, state.size
        self._now = now
        self._broken = False
        self._disk = GroupCommit(forcing(file.fileno()), state.size)

    @property
    def run_id(self) -> str:
        """16 hexadecimal digits that identify this run, this resume or this undo on the PCs."""
        return self._first[:16]

    @classmethod
    def create(
        cls,
        path: Path,
        plan_id: str,
        now: Callable[[], datetime],
        key: bytes | None = None,
        *,
        nonce: str = "",
        limits: Limits | None = None,
    ) -> Journal:
        """Begin a new journal for the plan *plan_id*, of a run under *limits*. It is signed with *key*, if there is
        one.

        *nonce* is different in every journal, so runs that begin at the same moment have different ids.

        Raises:
            UsageError: there is a journal already, or it cannot be written.
        """
        try:
            file = FileIO(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))  # it holds files of PCs
        except FileExistsError:
            raise UsageError(
                f"there is a journal {path} of an earlier run",
                next_step="resume that run (--resume), or write another journal (--journal FILE)",
            ) from None
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            _lock(file, path)
            journal = cls(file, JournalState(last_hash=FIRST), now, key)
            journal._begin(plan_id, nonce, limits)
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
        limits: Limits | None = None,
    ) -> tuple[Journal, JournalState]:
        """Continue a journal under *limits*. A torn last line is cut off; a journal torn in its first line begins anew.

        *nonce* is different each time, so that two resumes of two copies of a journal have different ids.

        With a *key* the journal has to be signed with it, unless *unsigned* journals are accepted as well.

        Raises:
            JournalDamaged: it cannot be trusted.
            UsageError: it belongs to another plan, is being written by another run, or cannot be written.
        """
        if not path.exists():
            raise UsageError(
                f"there is no journal {path} to resume", next_step="leave out --resume, or give --journal FILE"
            )
        try:
            file = FileIO(path, "rb+")
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            _lock(file, path)
            torn = JournalState(plan_id, last_hash=FIRST, signed=key is not None) if first_line_torn(path) else None
            state = torn or read(path, key)
            if key is not None and not state.signed and not unsigned:
                raise JournalDamaged(f"{path} is not signed, and the plan is: another program wrote it")
            if state.plan_id != plan_id:
                raise UsageError(
                    f"the journal {path} belongs to another plan", next_step="give the plan it was written for"
                )
            file.truncate(state.size)
            journal = cls(file, state, now, key if state.signed else None)
            journal._begin(plan_id, nonce, limits, event if torn is None else "run-begun")
        except UsageError:
            file.close()
            raise
        except OSError as error:
            file.close()
            raise _unwritable(path, error) from None
        return journal, state

    def _begin(self, plan_id: str, nonce: str, limits: Limits | None, event: str = "run-begun") -> None:
        optional: dict[str, Any] = {"nonce": nonce} if nonce else {}
        if limits is not None:
            optional["limits"] = limits.to_json()
        self.write(event, plan=plan_id, signed=self._key is not None, **optional)
        self._first = self._last

    def write(self, event: str, **fields: Any) -> None:
        """Append one line and force it to disk; *event* and its *fields* are a row of `EVENTS`.

        Raises:
            OSError: the line could not be written; what it announces must not be done.
        """
        unknown = set(fields).difference(EVENTS[event].fields)
        if unknown:
            raise ValueError(f"{event} has no field {', '.join(sorted(unknown))}")
        if self._broken:
            raise OSError(errno.EIO, "an earlier line could not be written")
        line = {"time": self._now().isoformat(), "event": event, **fields, "prev": self._last}
        digest = _digest(line, self._key)
        data = _encoded({**line, "hash": digest}) + b"\n"
        try:
            self._append(data)
        except OSError:
            self._cut(self._size)
            raise
        self._last, self._size = digest, self._size + len(data)
        try:
            self._disk.wait(self._size)  # other hosts write their lines meanwhile, and are waited for together
        except OSError:
            self._cut(self._disk.durable)
            raise

    def _append(self, data: bytes) -> None:
        self._file.seek(self._size)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]

    def _cut(self, size: int) -> None:
        """Cut off what could not be written; nothing is written after it."""
        self._broken = True
        try:
            self._file.truncate(size)
        except OSError:
            pass  # the torn line stays, and nothing comes after it

    def step_begun(self, host: str, number: int, step: Step, previous: bytes | None) -> None:
        """Announce a step, with the bytes of the file before it."""
        kept = {"previous": b64encode(previous).decode("ascii")} if previous is not None else {}
        self.write("step-begun", host=host, number=number, step=step.to_json(), **kept)

    def close(self, event: str = "run-ended") -> None:
        """Write that the run ended, and close the file.

        Raises:
            OSError: the line could not be written; the file is closed.
        """
        try:
            self.write(event)
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close the file without a last line: the run did not finish."""
        self._file.close()


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write the journal {path}: {error.strerror}")


def _lock(file: FileIO, path: Path) -> None:
    """Keep other runs from writing. The system releases the lock when the process ends, even if it is killed.

    Raises:
        UsageError: another run is writing.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(
            f"the journal {path} is being written by another run", next_step="wait until it ends"
        ) from None


def first_line_torn(path: Path) -> bool:
    """Return whether a crash tore the first line: nothing had begun."""
    data = path.read_bytes()
    return b"\n" not in data and data[: len(_START)] == _START[: len(data)]


def _encoded(line: dict[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")


def _digest(line: dict[str, Any], key: bytes | None) -> str:
    if key is None:
        return hashlib.sha256(_encoded(line)).hexdigest()
    return hmac.new(key, _encoded(line), hashlib.sha256).hexdigest()


def _same_hash(written: Any, computed: str) -> bool:
    """Compare in constant time; as bytes, because ``compare_digest`` takes only ASCII text."""
    return isinstance(written, str) and hmac.compare_digest(written.encode("utf-8", "surrogatepass"), computed.encode())


def read(
    path: Path,
    key: bytes | None = None,
    *,
    unchecked: bool = False,
    each: Callable[[Mapping[str, Any]], None] | None = None,
) -> JournalState:
    """Read and verify a journal. *key* is the plan's; a journal that is not signed needs none.

    A signed journal is read without a key only if *unchecked*; then nothing proves who wrote it. *each* gets every
    line.

    Raises:
        JournalDamaged: a line was changed, is missing, was not written by provmode or was signed with another key.
        UsageError: the journal cannot be read, or it is signed and there is no key.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the journal {path}: {error.strerror}") from None
    whole = data[: data.rfind(b"\n") + 1]
    state = JournalState(torn=len(whole) != len(data), last_hash=FIRST, size=len(whole), signed=_is_signed(whole))
    if state.signed and key is None and not unchecked:
        raise UsageError(f"the journal {path} is signed", next_step=f"give --key-file or ${KEY_ENVIRONMENT}")
    trusting = state.signed and key is None
    for number, line in _lines(path, whole, key if state.signed else None, trusting=trusting):
        state.lines, state.last_hash = number, line["hash"]
        state.first_hash = state.first_hash or line["hash"]
        try:
            apply_line(state, line)
        except (LookupError, ValueError, TypeError) as error:
            raise JournalDamaged(f"{path}, line {number}: {line.get('event')} without {error}") from None
        if each is not None:
            each(line)
    if not state.plan_id:
        raise JournalDamaged(f"{path} is not a journal of provmode, or its first line is missing")
    return state


def _is_signed(whole: bytes) -> bool:
    """Return whether the first line says that the journal is signed; the hashes prove that line too."""
    try:
        first = json.loads(whole.partition(b"\n")[0])
    except (ValueError, RecursionError):
        first = None
    return isinstance(first, dict) and first.get("signed") is True


def _lines(
    path: Path, whole: bytes, key: bytes | None, *, trusting: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and content of each line; *trusting*: without comparing the hash that only a key could prove."""
    last = FIRST
    for number, data in enumerate(whole.split(b"\n")[:-1], 1):
        try:
            line = json.loads(data)
            prev, digest = line["prev"], line.pop("hash")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise JournalDamaged(f"{path}, line {number}: it was not written by provmode") from None
        if not (trusting or _fits(line, digest, key)) or data != _encoded({**line, "hash": digest}):
            if key is not None and number == 1 and not any(_line_fits(each, key) for each in whole.split(b"\n")):
                raise JournalDamaged(
                    f"the key fits no line of {path}: it was signed with another key, or all of it was changed",
                    next_step="give the key that the plan was signed with",
                )
            raise JournalDamaged(f"{path}, line {number}: it was changed")
        if prev != last:
            raise JournalDamaged(
                f"{path}, line {number}: it does not follow the line before it: a line was changed, added or removed"
            )
        last = digest
        yield number, {**line, "hash": digest}


def _fits(line: dict[str, Any], digest: Any, key: bytes | None) -> bool:
    return _same_hash(digest, _digest(line, key))


def _line_fits(data: bytes, key: bytes) -> bool:
    """Return whether a line, as it stands in the file, was signed with *key*."""
    try:
        line = json.loads(data)
        return _fits(line, line.pop("hash"), key)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _sync_folder(path: Path) -> None:
    """Force the folder's entry of a new file to disk."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
