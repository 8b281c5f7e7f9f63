"""A file that a run writes beside its report: its format, and where it is. Pure."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from provmode.errors import UsageError

FORMATS = ("json", "junit", "csv", "prometheus")
"""The words for the formats; `provmode.report.exports` writes them."""
FORMATS_LISTED = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"


@dataclass(frozen=True)
class Export:
    """A file to write."""

    format: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> Export:
        """Read ``FORMAT=FILE``; ``~`` begins a path in the home of the user.

        Raises:
            UsageError: *text* is something else, or there is no such format.
        """
        word, equals, path = text.partition("=")
        if not word or not equals or not path.strip():
            raise UsageError(f"--write {text} is not FORMAT=FILE", next_step=f"write it as in {FORMATS[-1]}=FILE")
        if word not in FORMATS:
            raise UsageError(f"--write {text}: there is no format {word}", next_step=f"use {FORMATS_LISTED}")
        return cls(word, Path(os.path.expanduser(path)))

    def __str__(self) -> str:
        """Return it as `parse` reads it."""
        return f"{self.format}={self.path}"
