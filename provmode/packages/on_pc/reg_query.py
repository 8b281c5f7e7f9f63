"""What ``reg query KEY /s`` prints, as a tree. Pure.

Source: Microsoft, "reg query". A key is a line that begins with its hive's long name, a value an indented line of name,
type and data, each four blanks apart. Multi-strings are joined by ``\\0``, numbers are hexadecimal, and a text may go
on over several lines. The only words that Windows translates are the name of a key's default value and error messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from provmode.text import shortened
from provmode.windows.registry import RegistryData, ValueType

MAX_KEYS, MAX_VALUES = 5_000, 20_000
LONGEST_TEXT = 2_000
"""Characters of a value's text that are kept."""
_VALUE = re.compile(r" {4}(.*?) {4}(REG_[A-Z_]+)(?: {4}(.*))?")
_KEY = re.compile(r"HKEY_[A-Z_]+\\.*")


class TooMany(ValueError):
    """More keys or values than are read."""


@dataclass
class Tree:
    """A registry key with its values and keys; names compare without regard to case."""

    name: str = ""
    values: dict[str, RegistryData] = field(default_factory=dict)
    """By name in lower case."""
    keys: dict[str, Tree] = field(default_factory=dict)
    """By name in lower case."""

    def at(self, path: str) -> Tree | None:
        """Return the key under *path*, or ``None`` if there is none."""
        found: Tree | None = self
        for name in path.split("\\"):
            found = found.keys.get(name.lower()) if found is not None else None
        return found

    def text(self, name: str) -> str:
        """Return a text value; empty if there is none, or one of another type."""
        value = self.values.get(name.lower())
        return value.data if value is not None and isinstance(value.data, str) else ""

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a multi-string, or a text as one; empty if there is none."""
        value = self.values.get(name.lower())
        if value is None or isinstance(value.data, (int, bytes)):
            return ()
        return value.data if isinstance(value.data, tuple) else (value.data,)

    def number(self, name: str) -> int | None:
        """Return a number, also one that is kept as text (decimal, or hexadecimal with 0x); ``None`` if it is none."""
        value = self.values.get(name.lower())
        if value is None or isinstance(value.data, (bytes, tuple)):
            return None
        return value.data if isinstance(value.data, int) else number_of(value.data)

    def walk(self, path: str = "") -> Iterator[tuple[str, Tree]]:
        """Yield every key below this one with its path."""
        waiting = [(f"{path}\\{key.name}".lstrip("\\"), key) for key in self.keys.values()]
        while waiting:
            where, key = waiting.pop(0)
            yield where, key
            waiting += [(f"{where}\\{each.name}", each) for each in key.keys.values()]


def lines_of(output: str) -> list[str]:
    """Return the lines of what a program printed; nothing but a line feed ends one: names can have other breaks."""
    return [line.rstrip("\r") for line in output.split("\n")]


def number_of(text: str) -> int | None:
    """Return the number in *text*, decimal or ``0x`` hexadecimal, of at most 64 bits."""
    text = text.strip().lower()
    if re.fullmatch(r"0x[0-9a-f]{1,16}", text):
        return int(text, 16)
    return int(text) if re.fullmatch(r"-?[0-9]{1,20}", text) else None


def read_tree(output: str, root: str) -> Tree:
    """Return the tree of the key *root* (``HKEY_LOCAL_MACHINE\\...``); what is not below it is left out.

    Raises:
        TooMany: more keys or values than are read.
    """
    tree = Tree(root.rpartition("\\")[2])
    counted = keys = 0
    current: Tree | None = None
    last = ""
    for line in lines_of(output):
        if _KEY.fullmatch(line):
            current, last = _below(tree, line, root), ""
            keys += 1
        elif current is None:
            continue
        elif found := _VALUE.fullmatch(line):
            last = found.group(1).lower()
            current.values[last] = _data(found.group(2), found.group(3) or "")
            counted += 1
        elif last and line.strip():
            _go_on(current.values, last, line)
        if keys > MAX_KEYS or counted > MAX_VALUES:
            raise TooMany(f"over {MAX_KEYS:,} keys or {MAX_VALUES:,} values")
    return tree


def _below(tree: Tree, line: str, root: str) -> Tree | None:
    """Return the key that *line* names, made with those above it; ``None`` if it is not below *root*."""
    if line.lower() == root.lower():
        return tree
    if not line.lower().startswith(root.lower() + "\\"):
        return None
    key = tree
    for name in line[len(root) + 1 :].split("\\")[:64]:
        key = key.keys.setdefault(name.lower(), Tree(shortened(name)))
    return key


_NUMBERS = {"REG_DWORD": ValueType.REG_DWORD, "REG_QWORD": ValueType.REG_QWORD}


def _data(kind: str, text: str) -> RegistryData:
    if kind in _NUMBERS and (number := number_of(text)) is not None:
        return RegistryData(_NUMBERS[kind], number)
    if kind == "REG_MULTI_SZ":
        parts = tuple(shortened(part) for part in text.split("\\0")[:100] if part)
        return RegistryData(ValueType.REG_MULTI_SZ, parts)
    return RegistryData(ValueType.REG_SZ, shortened(text, LONGEST_TEXT))


def _go_on(values: dict[str, RegistryData], name: str, line: str) -> None:
    """Take a further line of a text."""
    before = values[name]
    if isinstance(before.data, str) and len(before.data) < LONGEST_TEXT:
        text = shortened(f"{before.data}\n{line}", LONGEST_TEXT)
        values[name] = RegistryData(before.type, text)
