"""The journal: every change is written here, with the state before it, before it is made. So a crash loses nothing.

One JSON object a line, appended and forced to disk before the change is sent. The kinds of line are the table in
`provmode.fleet.journal_events`; ``docs/journal.schema.json`` describes them. Each line carries its own SHA-256
(``hash``) and that of the line before it (``prev``), so that a changed or missing line is found, and a signature if
there is a key: see `provmode.fleet.journal_chain`.

A crash can tear the last line, which then has no line ending. That is tolerated: what it announced had not begun. A
journal whose very last lines are missing reads like the journal of a run that crashed.
"""

from __future__ import annotations

import errno
import fcntl
import os
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

from provmode.errors import UsageError
from provmode.fleet.group_commit import GroupCommit, forcing
from provmode.fleet.journal_chain import FIRST, JournalDamaged, checked_lines, encoded, is_signed, sealed
from provmode.fleet.journal_events import EVENTS, HostRecord, JournalState, StepRecord, apply_line
from provmode.fleet.plan_file import KEY_ENVIRONMENT
from provmode.fleet.waves import Limits
from provmode.remediation.steps import Step
from provmode.signing.keys import ED25519, Given, Key, Keys

__all__ = ["HostRecord", "Journal", "JournalDamaged", "JournalState", "StepRecord", "read", "signing_key"]

_START = b'{"event": "run-begun", "hash": "'
"""How every journal begins."""


class JournalLost(Exception):
    """The journal could not be written in the middle of a run: nothing more must be changed."""


class Journal:
    """A journal that is being written, by one program at a time. `create` or `resume` it; `close` it when a run ends.

    A line that could not be written whole is cut off again, and nothing is written after it.
    """

    def __init__(self, file: FileIO, state: JournalState, now: Callable[[], datetime], key: Key | None = None) -> None:
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
        key: Given = None,
        *,
        nonce: str = "",
        limits: Limits | None = None,
        change: str = "",
    ) -> Journal:
        """Begin a new journal for the plan *plan_id*, of a run under *limits*. It is signed with *key*, if there is
        one: a private or a shared one. *change* is the number of the change that the run is part of.

        *nonce* is different in every journal, so runs that begin at the same moment have different ids.

        Raises:
            UsageError: there is a journal already, it cannot be written, or the key cannot sign.
        """
        own = signing_key(Keys.of(key))
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
            journal = cls(file, JournalState(last_hash=FIRST), now, own)
            journal._begin(plan_id, nonce, limits, change)
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
        key: Given = None,
        unsigned: bool = False,
        nonce: str = "",
        limits: Limits | None = None,
        change: str = "",
    ) -> tuple[Journal, JournalState]:
        """Continue a journal under *limits*, for the *change*.

        A torn last line is cut off; a journal torn in its first line begins anew.

        *nonce* is different each time, so that two resumes of two copies of a journal have different ids.

        With a *key* the journal has to be signed with one that it trusts, unless *unsigned* journals are accepted as
        well. What is written from now on is signed with its own.

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
            keys = Keys.of(key)
            torn = JournalState(plan_id, last_hash=FIRST, signed=keys is not None) if first_line_torn(path) else None
            state = torn or read(path, keys)
            if keys is not None and not state.signed and not unsigned:
                raise JournalDamaged(f"{path} is not signed, and the plan is: another program wrote it")
            if state.plan_id != plan_id:
                raise UsageError(
                    f"the journal {path} belongs to another plan", next_step="give the plan it was written for"
                )
            own = signing_key(keys) if state.signed else None
            file.truncate(state.size)
            journal = cls(file, state, now, own)
            journal._begin(plan_id, nonce, limits, change, event if torn is None else "run-begun")
        except UsageError:
            file.close()
            raise
        except OSError as error:
            file.close()
            raise _unwritable(path, error) from None
        return journal, state

    def _begin(self, plan_id: str, nonce: str, limits: Limits | None, change: str, event: str = "run-begun") -> None:
        optional: dict[str, Any] = {"nonce": nonce} if nonce else {}
        if limits is not None:
            optional["limits"] = limits.to_json()
        if self._key is not None and self._key.algorithm == ED25519:
            optional["key"] = self._key.fingerprint
        if change:
            optional["change"] = change
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
        line = sealed({"time": self._now().isoformat(), "event": event, **fields, "prev": self._last}, self._key)
        data = encoded(line) + b"\n"
        try:
            self._append(data)
        except OSError:
            self._cut(self._size)
            raise
        self._last, self._size = line["hash"], self._size + len(data)
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


def signing_key(keys: Keys | None) -> Key | None:
    """Return the key that signs a journal; ``None`` if there is no key at all.

    Raises:
        UsageError: there are keys, and they can only check.
    """
    if keys is not None and keys.own is None:
        raise UsageError(
            "there is no key to sign the journal with: a public key only checks",
            next_step="give a private one (--journal-key)",
        )
    return keys.own if keys is not None else None


def first_line_torn(path: Path) -> bool:
    """Return whether a crash tore the first line: nothing had begun."""
    data = path.read_bytes()
    return b"\n" not in data and data[: len(_START)] == _START[: len(data)]


def read(
    path: Path,
    key: Given = None,
    *,
    unchecked: bool = False,
    each: Callable[[Mapping[str, Any]], None] | None = None,
) -> JournalState:
    """Read and verify a journal. *key* is that of who wrote it, or all of them; a journal without signature needs none.

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
    keys = Keys.of(key)
    state = JournalState(torn=len(whole) != len(data), last_hash=FIRST, size=len(whole), signed=is_signed(whole))
    if state.signed and keys is None and not unchecked:
        raise UsageError(f"the journal {path} is signed", next_step=f"give --key-file or ${KEY_ENVIRONMENT}")
    for number, line, section in checked_lines(path, whole, keys, unchecked=keys is None):
        state.lines, state.last_hash = number, line["hash"]
        if section.name not in state.signed_by and section.algorithm:
            state.signed_by.append(section.name)
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


def _sync_folder(path: Path) -> None:
    """Force the folder's entry of a new file to disk."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
