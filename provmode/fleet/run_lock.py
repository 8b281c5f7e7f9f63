"""One run of a whole inventory at a time, and who has it.

A timer, a cron line and a person can each start a run while an earlier one still goes: the fleet is slow tonight, or a
run keeps trying until the morning. The second would ask every PC again, and a wrong password would be refused three
more times.

Locked are an audit and a plan of *all* hosts of the inventory that a configuration file names: each excludes another of
its own kind, by the same user (the same state folder). Everything else starts as it always did. Who looks at some hosts
(``--limit``, ``--exclude``), or names another inventory, asks for something of his own. Whoever has no configuration
file schedules by means of his own. An apply and an undo are excluded by their journal, and on each PC by the lease.

The lock is the kernel's (`flock`): it goes with the process that holds it, however that ends, so none is ever stale.
The worker processes of a run do not inherit it. The file stays, and says who holds the lock while it is held. A lock
that cannot be taken, because the state folder cannot be written or others can, is said and stops nothing: a run that
only looks does less harm twice than not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from provmode.errors import UsageError
from provmode.fleet.state_folder import check_ours, one_writer

FORMAT, VERSION = "provmode-run-lock", 1
MOST_BYTES = 100_000


class StillGoing(UsageError):
    """The same run is going already. Nothing was done."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    command: str
    """As it was typed."""
    inventory: str
    began: datetime
    by: str
    """User and computer, as `user@computer`."""
    process: int

    def to_json(self) -> dict[str, Any]:
        """Return what stands in the file."""
        return {"format": FORMAT, "version": VERSION, **vars(self), "began": self.began.isoformat()}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Holder:
        """Return the holder that stands in a file.

        Raises:
            ValueError, LookupError, TypeError: it was not written by provmode.
        """
        began = datetime.fromisoformat(document["began"]).astimezone(timezone.utc)
        words = {name: str(document[name]) for name in ("command", "inventory", "by")}
        return cls(began=began, process=int(document["process"]), **words)

    @property
    def words(self) -> str:
        """In words: which run is going, since when, and whose it is."""
        return (
            f"a run of {self.inventory} is going since {self.began:%Y-%m-%d %H:%M UTC}, by {self.by}, "
            f"process {self.process}: {self.command}"
        )


def lock_file(folder: Path, kind: str, inventory: str, configuration: Path) -> Path:
    """Return the file of the lock for runs of a *kind* of the *inventory* that a *configuration* file names."""
    what = "\0".join((kind, inventory, os.path.realpath(configuration)))
    return folder / f"{kind}-{hashlib.sha256(what.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}.lock"


@contextmanager
def one_run(file: Path, holder: Holder) -> Iterator[str]:
    """Hold the lock. Yields why it could not be taken, in one line; nothing if it is held.

    Raises:
        StillGoing: another process holds it; the error says who.
    """
    descriptor, trouble = -1, ""
    try:
        descriptor = _take(file, holder)
    except OSError as error:
        trouble = f"{file} cannot be locked ({error.strerror or error}): the same run can be started twice"
    try:
        yield trouble
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _take(file: Path, holder: Holder) -> int:
    """Take the lock and write down who has it; return the file's descriptor.

    Whoever reads who it is has the folder to himself, as whoever writes it has. So nobody reads an earlier holder.

    Raises:
        StillGoing: another process holds it.
        OSError: it cannot be taken.
    """
    with one_writer(file.parent):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # not through a link, and no pipe
        descriptor = os.open(file, flags, 0o600)
        try:
            found = os.fstat(descriptor)
            check_ours(found)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise PermissionError(0, "it is not a file of provmode")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StillGoing(_who(descriptor), next_step="wait until it has ended, or end it") from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, (json.dumps(holder.to_json()) + "\n").encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _who(descriptor: int) -> str:
    try:
        return Holder.from_json(json.loads(os.pread(descriptor, MOST_BYTES, 0))).words
    except (ValueError, LookupError, TypeError, RecursionError):
        return "the same run is going; whose it is cannot be read"
