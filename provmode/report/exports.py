"""The files that a run writes beside its report: each format, and writing them."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provmode.atomic_file import check_output, write_output
from provmode.errors import UsageError
from provmode.fleet.audit import Audit
from provmode.fleet.export import Export
from provmode.report import document, junit, prometheus, table

MOST_BYTES_KEPT = 65_536
"""How large a file may be of which something is taken over."""


@dataclass(frozen=True)
class Wanted:
    """How a file is to be written."""

    every_host: bool = False
    """Whether hosts that need nothing have cases of their own in JUnit's XML."""
    previous: Callable[[], str] = str
    """Returns what is in the file now."""


TEXTS: Mapping[str, Callable[[Audit, Wanted], Iterable[str]]] = {
    "json": lambda audit, wanted: document.written(audit),
    "junit": lambda audit, wanted: junit.junit(audit, every_host=wanted.every_host),
    "csv": lambda audit, wanted: table.table(audit),
    "prometheus": lambda audit, wanted: prometheus.metrics(audit, previous=wanted.previous),
}
"""What yields the text of each format."""


@dataclass(frozen=True)
class Exports:
    """The files of one run."""

    files: tuple[Export, ...] = ()
    every_host: bool = False
    """Whether hosts that need nothing have cases of their own in JUnit's XML."""

    def check(self, others: Mapping[str, Path]) -> None:
        """Refuse, before the run, what cannot be written afterwards; *others* are the run's own files, by their names.

        Raises:
            UsageError: two of the files are one, or one cannot be written.
        """
        check_files(self.files, others)
        if self.every_host and not any(export.format == "junit" for export in self.files):
            raise UsageError("--junit-all is about --write junit=FILE", next_step="give that too")

    def write(self, audit: Audit) -> list[UsageError]:
        """Write every file, and return what went wrong; one that cannot be written keeps no other from it."""
        failed = []
        for export in self.files:
            wanted = Wanted(self.every_host, functools.partial(kept_text, export.path))
            try:
                write_output(export.path, TEXTS[export.format](audit, wanted))
            except UsageError as error:
                failed.append(error)
        return failed


def check_files(files: Iterable[Export], others: Mapping[str, Path]) -> None:
    """Refuse files of which two are one, or one is among the *others* of the run, or cannot be written.

    Raises:
        UsageError: says which.
    """
    seen = {os.path.realpath(path): name for name, path in others.items()}
    for export in files:
        place = os.path.realpath(export.path)
        if place in seen:
            raise UsageError(
                f"--write {export}: the file is that of {seen[place]} too", next_step="give each a file of its own"
            )
        seen[place] = f"--write {export}"
        check_output(export.path)


def kept_text(path: Path) -> str:
    """Return what is in a file of ours; nothing of one that is somebody else's, too large, or cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        status = os.fstat(descriptor)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid in (0, os.geteuid())
        if not ours or status.st_size > MOST_BYTES_KEPT:
            return ""
        return os.read(descriptor, MOST_BYTES_KEPT).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
