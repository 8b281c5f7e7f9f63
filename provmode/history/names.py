"""How the history names a host, and which text a database takes. Pure."""

from __future__ import annotations

import hashlib

LONGEST_NAME = 255


def name_of(host: str) -> str:
    """Return the name by which the history knows a host: without case, and with nothing that a database refuses."""
    name = storable(host).casefold()
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    return f"{name[: LONGEST_NAME - len(digest) - 1]}\N{HORIZONTAL ELLIPSIS}{digest}"


def storable(text: str) -> str:
    """Return *text* as every database takes it: without NUL, without lone surrogates."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
