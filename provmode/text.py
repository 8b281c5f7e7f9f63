"""Text from a PC, made safe to show: it must neither control a terminal nor make a report large."""

from __future__ import annotations

import json
import re
from typing import Any

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


def one_line(text: str) -> str:
    """Return *text* in one line, with a blank for each of its blanks and breaks, and otherwise as `visible` does."""
    return visible(" ".join(text.split()))


def json_text(document: Any, indent: int | None = None) -> str:
    """Return *document* as JSON in which every character that is not printable is escaped.

    Programs read the same values. A terminal is not controlled by them, and lone surrogates, from names that are not
    Unicode, can be written as UTF-8.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return text if text.isprintable() else _UNPRINTABLE.sub(_escaped, text)


_UNPRINTABLE = re.compile(r"[^\n -~]")
"""Candidates: all but ASCII that is printable. JSON itself has no other line breaks and no tabs."""


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    if character.isprintable():
        return character
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]  # json leaves DEL as it is
