"""Registry and files: copy-on-write over a base that all PCs share, so that thousands of PCs fit into one process.

As in Windows, names keep their case and comparison ignores it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Union

HKLM = 0x80000002
HIVES = {0x80000000: "HKCR", 0x80000001: "HKCU", HKLM: "HKLM", 0x80000003: "HKU", 0x80000005: "HKCC"}


class RegType(IntEnum):
    """Registry types by Windows' numbers."""

    SZ = 1
    EXPAND_SZ = 2
    BINARY = 3
    DWORD = 4
    MULTI_SZ = 7
    QWORD = 11


Data = Union[str, int, bytes, "tuple[str, ...]"]


@dataclass(frozen=True)
class RegValue:
    """One value."""

    name: str
    type: RegType
    data: Data


Keys = Mapping[str, "tuple[str, dict[str, RegValue]]"]
"""Keys by lower-case ``HKLM\\path``: the path as written, and the key's values by lower-case name."""

_SERVICES = "hklm\\system\\currentcontrolset\\services\\"
Record = Callable[[str], None]
"""Called with the description of a change."""


def base_keys(tree: Mapping[str, Mapping[str, tuple[RegType, Data]]]) -> Keys:
    """Return the shared base of a registry from ``{"HKLM\\path": {name: (type, data)}}``, parents included."""
    keys: dict[str, tuple[str, dict[str, RegValue]]] = {}
    for path, values in tree.items():
        parts = path.split("\\")
        for depth in range(1, len(parts)):
            parent = "\\".join(parts[:depth])
            keys.setdefault(parent.lower(), (parent, {}))
        keys[path.lower()] = (path, {name.lower(): RegValue(name, kind, data) for name, (kind, data) in values.items()})
    return keys


class Registry:
    """One PC's registry."""

    __slots__ = ("_base", "_own", "_record", "_services")

    def __init__(self, base: Keys, record: Record, services: Callable[[], Keys] | None = None) -> None:
        self._base = base
        self._services = services
        """The keys of the services as they are now, by lower-case path. A key that is written to is no longer theirs:
        the service manager does not look at it before Windows starts anew."""
        self._own: dict[str, tuple[str, dict[str, RegValue]] | None] = {}
        self._record = record

    def _find(self, hive: int, path: str) -> tuple[str, dict[str, RegValue]] | None:
        full = _full(hive, path)
        if full in self._own:
            return self._own[full]
        if self._services is not None and full.startswith(_SERVICES) and full.count("\\") == _SERVICES.count("\\"):
            service = self._services().get(full)
            if service is not None:
                return service
        return self._base.get(full)

    def key_exists(self, hive: int, path: str) -> bool:
        """Return whether a key exists."""
        return self._find(hive, path) is not None

    def get(self, hive: int, path: str, name: str) -> RegValue | None:
        """Return a value; ``None`` if the value or its key is missing."""
        found = self._find(hive, path)
        return found[1].get(name.lower()) if found is not None else None

    def values(self, hive: int, path: str) -> list[RegValue] | None:
        """Return a key's values; ``None`` if the key is missing."""
        found = self._find(hive, path)
        return list(found[1].values()) if found is not None else None

    def subkeys(self, hive: int, path: str) -> list[str] | None:
        """Return the names of a key's subkeys; ``None`` if the key is missing."""
        if not self.key_exists(hive, path):
            return None
        prefix = _full(hive, path) + "\\"
        names = {
            full: entry[0].rpartition("\\")[2]
            for full, entry in self._all(prefix)
            if full.startswith(prefix) and "\\" not in full[len(prefix) :]
        }
        return [names[full] for full in sorted(names)]

    def _all(self, prefix: str = "") -> Iterator[tuple[str, tuple[str, dict[str, RegValue]]]]:
        """Yield the keys; those of the services only if keys below *prefix* could be among them."""
        below = prefix.startswith(_SERVICES) or _SERVICES.startswith(prefix)
        services = self._services() if self._services is not None and below else {}
        for full, entry in {**self._base, **services}.items() if services else self._base.items():
            if full not in self._own:
                yield full, entry
        for full, own in self._own.items():
            if own is not None:
                yield full, own

    def create_key(self, hive: int, path: str) -> None:
        """Create a key and its parents, unless the key exists."""
        parts = path.strip("\\").split("\\")
        for depth in range(1, len(parts) + 1):
            part = "\\".join(parts[:depth])
            if not self.key_exists(hive, part):
                self._own[_full(hive, part)] = (f"{HIVES[hive]}\\{part}", {})
                self._record(f"registry key {HIVES[hive]}\\{part} created")

    def set(self, hive: int, path: str, name: str, kind: RegType, data: Data) -> None:
        """Write a value; create its key if it is missing."""
        self.create_key(hive, path)
        spelled, values = self._writable(hive, path)
        old = values.get(name.lower())
        values[name.lower()] = RegValue(old.name if old else name, kind, data)
        self._record(f"registry value {spelled} {name} = {data!r}")

    def delete_value(self, hive: int, path: str, name: str) -> bool:
        """Delete a value; return whether it existed."""
        if self.get(hive, path, name) is None:
            return False
        spelled, values = self._writable(hive, path)
        del values[name.lower()]
        self._record(f"registry value {spelled} {name} deleted")
        return True

    def delete_key(self, hive: int, path: str) -> bool:
        """Delete a key; return whether it existed. A hive or a key with subkeys is not deleted."""
        if not path.strip("\\") or self.subkeys(hive, path) != []:
            return False
        self._own[_full(hive, path)] = None
        self._record(f"registry key {HIVES[hive]}\\{path} deleted")
        return True

    def remove_tree(self, hive: int, path: str) -> None:
        """Remove a key and everything below it without recording; for building a PC."""
        prefix = _full(hive, path)
        for full in [full for full, _ in self._all() if full == prefix or full.startswith(prefix + "\\")]:
            self._own[full] = None

    def everything(self) -> Keys:
        """Return all keys as they are now; for the base of other registries."""
        return dict(self._all())

    def _writable(self, hive: int, path: str) -> tuple[str, dict[str, RegValue]]:
        full = _full(hive, path)
        own = self._own.get(full)
        if own is None:
            found = self._find(hive, path)
            assert found is not None
            spelled, values = found
            own = self._own[full] = (spelled, dict(values))
        return own


def _full(hive: int, path: str) -> str:
    return f"{HIVES.get(hive, '?')}\\{path.strip(chr(92))}".rstrip("\\").lower()


class DriveType(IntEnum):
    """Kinds of drives by Windows' numbers."""

    REMOVABLE = 2
    LOCAL = 3
    COMPACT_DISC = 5


@dataclass(frozen=True)
class Drive:
    """One drive with a letter; its files are in the `FileSystem` by their full paths."""

    letter: str
    """``C:``."""
    type: DriveType
    file_system: str | None
    """``None``: there is no medium in it, or Windows cannot read it."""
    size: int | None = None
    label: str = ""


@dataclass(frozen=True)
class File:
    """One file."""

    path: str
    data: bytes
    created: datetime
    modified: datetime


class FileSystem:
    """One PC's files, by full path; a folder exists if it was made or has something in it."""

    __slots__ = ("_base", "_folders", "_own", "_record")

    def __init__(self, base: Mapping[str, File], record: Record) -> None:
        self._base = base
        self._own: dict[str, File | None] = {}
        self._folders: dict[str, str] = {}
        """Folders that were made: the path as written, by lower-case path."""
        self._record = record

    def get(self, path: str) -> File | None:
        """Return a file; ``None``: no such file."""
        full = normal(path).lower()
        return self._own[full] if full in self._own else self._base.get(full)

    def read(self, path: str) -> bytes | None:
        """Return a file's contents; ``None``: no such file."""
        found = self.get(path)
        return found.data if found is not None else None

    def write(self, path: str, data: bytes, now: datetime) -> None:
        """Write a file, replacing its contents."""
        old = self.get(path)
        spelled = old.path if old else normal(path)
        self._own[spelled.lower()] = File(spelled, data, old.created if old else now, now)
        self._record(f"file {spelled} written ({len(data)} bytes)")

    def delete(self, path: str) -> bool:
        """Delete a file; return whether it existed."""
        old = self.get(path)
        if old is None:
            return False
        self._own[old.path.lower()] = None
        self._record(f"file {old.path} deleted")
        return True

    def move(self, source: str, target: str, now: datetime) -> bool:
        """Rename a file, replacing any file of the new name; return whether the file existed."""
        old = self.get(source)
        if old is None:
            return False
        spelled = normal(target)
        self._own[old.path.lower()] = None
        self._own[spelled.lower()] = File(spelled, old.data, old.created, now)
        self._record(f"file {old.path} renamed to {spelled}")
        return True

    def make_folder(self, path: str) -> bool:
        """Make a folder and its parents; return ``False`` if the name or a parent is taken."""
        if self.exists(path):
            return False
        parts = normal(path).split("\\")
        for depth in range(2, len(parts) + 1):
            full = "\\".join(parts[:depth])
            if self.get(full) is not None:
                return False
            if not self.is_folder(full):
                self._folders[full.lower()] = full
                self._record(f"folder {full} made")
        return True

    def remove_folder(self, path: str) -> bool:
        """Remove a folder that was made; return ``False`` if it does not exist or is not empty."""
        full = normal(path).lower()
        if full not in self._folders or self.listdir(full):
            return False
        self._record(f"folder {self._folders.pop(full)} removed")
        return True

    def rename_folder(self, path: str, name: str) -> bool:
        """Rename a folder that was made, with what is in it; return ``False`` if it is not there or *name* is taken."""
        full = normal(path)
        target = f"{full.rpartition(chr(92))[0]}\\{name}"
        if full.lower() not in self._folders or self.exists(target):
            return False
        inside = full.lower() + "\\"
        if any(found.lower().startswith(inside) for found in self._paths()):
            return False  # folders with files in them are not modelled
        for old in [old for old in self._folders if old == full.lower() or old.startswith(inside)]:
            spelled = target + self._folders.pop(old)[len(full) :]
            self._folders[spelled.lower()] = spelled
        self._record(f"folder {full} renamed to {target}")
        return True

    def is_folder(self, path: str) -> bool:
        """Return whether a folder exists."""
        full = normal(path).lower().rstrip("\\")
        return full in self._folders or any(found.lower().startswith(full + "\\") for found in self._paths())

    def exists(self, path: str) -> bool:
        """Return whether a file or folder exists."""
        return self.get(path) is not None or self.is_folder(path)

    def listdir(self, path: str) -> list[str] | None:
        """Return the names in a folder; ``None``: no such folder."""
        if not self.is_folder(path):
            return None
        prefix = normal(path).lower().rstrip("\\") + "\\"
        names = {found[len(prefix) :].partition("\\")[0] for found in self._paths() if found.lower().startswith(prefix)}
        return sorted(names, key=str.lower)

    def _paths(self) -> Iterator[str]:
        yield from self._folders.values()
        yield from (file.path for file in self.all())

    def all(self) -> Iterator[File]:
        """Yield every file."""
        for full, file in self._base.items():
            if full not in self._own:
                yield file
        yield from (file for file in self._own.values() if file is not None)


def normal(path: str) -> str:
    """Return *path* with backslashes, and without ``.``, ``..`` and doubled separators."""
    parts: list[str] = []
    for part in path.replace("/", "\\").split("\\"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "\\".join(parts)
