"""Text from a PC as it may be shown: what a file, a package or a fault is called there must not steer a terminal."""

from __future__ import annotations


def visible(text: str) -> str:
    """Return *text* with everything that is no printable character (escapes, bells, bidirectional marks) replaced.

    Line breaks and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in text)
