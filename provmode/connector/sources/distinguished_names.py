"""Distinguished names as a directory writes them (RFC 4514). Pure."""

from __future__ import annotations

import functools
import re

_ESCAPED = re.compile(r"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
_PART = re.compile(r"(?:\\.|[^\\,])+", re.DOTALL)


def parts_of(name: str) -> list[tuple[str, str]]:
    """Return the parts of a distinguished name, from the innermost: attribute in upper case, and value.

    Raises:
        ValueError: *name* is not a distinguished name.
    """
    parts: list[tuple[str, str]] = []
    place = 0
    while True:
        found = _PART.match(name, place)
        attribute, equals, value = found[0].partition("=") if found is not None else ("", "", "")
        if found is None or not equals or not attribute.strip():
            raise ValueError("not a distinguished name")
        parts.append((attribute.strip().upper(), _unescaped(_trimmed(value))))
        place = found.end()
        if place == len(name):
            return parts
        place += 1  # the comma


def path_of(name: str) -> tuple[str, ...]:
    """Return the OUs and containers that an object is in, the outermost first.

    Raises:
        ValueError: *name* is not a distinguished name.
    """
    first = _PART.match(name)
    if first is None or name[first.end() : first.end() + 1] != ",":
        parts_of(name)  # raises, if it is no name
        return ()
    if "=" not in first[0]:
        raise ValueError("not a distinguished name")
    return _containers(name[first.end() + 1 :])


@functools.lru_cache(maxsize=1024)
def _containers(name: str) -> tuple[str, ...]:
    """Return the OUs and containers in the name of a container: thousands of objects have the same."""
    return tuple(value for attribute, value in reversed(parts_of(name)) if attribute != "DC")


def domain_name(domain: str) -> str:
    """Return the distinguished name of a domain. *domain* is a DNS name, which needs no escapes."""
    return ",".join(f"DC={label}" for label in domain.split("."))


def _trimmed(value: str) -> str:
    """Return *value* without blanks around it; one that is escaped belongs to it."""
    value = value.lstrip(" ")
    bare = value.rstrip(" ")
    slashes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if slashes % 2 and len(bare) < len(value) else bare


def _unescaped(value: str) -> str:
    """Return what a value stands for: ``\\,`` is a comma, ``\\C3\\BC`` the UTF-8 of a letter."""
    if "\\" not in value:
        return value
    read, place = bytearray(), 0
    for found in _ESCAPED.finditer(value):
        read += value[place : found.start()].encode()
        read += bytes.fromhex(found[1]) if len(found[1]) == 2 else found[1].encode()
        place = found.end()
    return (bytes(read) + value[place:].encode()).decode()
