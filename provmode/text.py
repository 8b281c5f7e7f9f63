"""Text from a PC, made safe to print: names of files, packages or faults must not control a terminal."""

from __future__ import annotations


def visible(text: str) -> str:
    """Return *text* with every character replaced that is not printable (escapes, bells, bidirectional marks).

    Line breaks and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in text)
