"""Text from a PC, made safe to show: it must neither control a terminal nor make a report large."""

from __future__ import annotations

LONGEST = 300
"""Characters of a text that a PC sent, in details, entries and the like."""
SENTENCE = 600
"""Characters of a sentence that may repeat such texts: a reason, a finding, an error."""


def shortened(text: str, limit: int = LONGEST) -> str:
    """Return *text* if it has at most *limit* characters, else its beginning and how long it was."""
    if len(text) <= limit:
        return text
    end = f"\N{HORIZONTAL ELLIPSIS} ({len(text):,} characters)"
    return text[: limit - len(end)] + end


def visible(text: str) -> str:
    """Return *text* with every character replaced that is not printable (escapes, bells, bidirectional marks).

    Line breaks and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in text)
