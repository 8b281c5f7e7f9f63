"""What differs between two files, as text to show. Pure."""

from __future__ import annotations

import difflib

from provmode.ccm import tcf
from provmode.text import shortened
from provmode.windows.files import sha256

LONGEST_DIFF = 2000
"""Most lines, in both files together, that are compared line by line. A larger file would hold up all other PCs."""
LONGEST_LINE = 1000
"""Characters of a line that are shown."""


def text_diff(path: str, before: bytes, after: bytes) -> tuple[str, ...]:
    """Return a unified diff of two files as text, without line endings; empty if their text does not differ.

    For files of more than `LONGEST_DIFF` lines it shows their hashes alone.
    """
    old, new = tcf.text_of(before).splitlines(), tcf.text_of(after).splitlines()
    if len(old) + len(new) > LONGEST_DIFF and before != after:
        counts = (f"-({len(old)} lines, SHA-256 {sha256(before)})", f"+({len(new)} lines, SHA-256 {sha256(after)})")
        return (f"--- {path}", f"+++ {path}", *counts)
    return tuple(shortened(line, LONGEST_LINE) for line in difflib.unified_diff(old, new, path, path, lineterm=""))
