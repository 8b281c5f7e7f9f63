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
    lines = (tcf.text_of(before).splitlines(), tcf.text_of(after).splitlines())
    if sum(map(len, lines)) > LONGEST_DIFF and before != after:
        sums = [f"{len(each)} lines, SHA-256 {sha256(data)}" for each, data in zip(lines, (before, after), strict=True)]
        return (f"--- {path}", f"+++ {path}", f"-({sums[0]})", f"+({sums[1]})")
    lines_of_diff = difflib.unified_diff(*lines, path, path, lineterm="")
    return tuple(shortened(line.rstrip("\n"), LONGEST_LINE) for line in lines_of_diff)
