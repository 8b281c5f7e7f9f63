"""Which packages a PC should have, as its data in the inventory says it. Pure.

``provmode_packages`` is a list. Each entry names one package:

* ``{"file": "packages/kiosk.ppkg"}``: this package is there, with the id, version and bytes of the file;
* ``{"id": "{...}", "version": "1.2", "sha256": "..."}``: the same without the file, which can be checked and not
  added;
* ``{"id": "{...}", "present": False}``: no package with this id is there.

``provmode_trusted_provisioners`` is a list of certificates whose packages Windows trusts: ``{"file": "signer.cer"}``,
``{"thumbprint": "..."}``, or one of both with ``"present": False``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provmode.errors import UsageError

PACKAGES, PROVISIONERS = "provmode_packages", "provmode_trusted_provisioners"
"""The keys of a host's data."""
MOST = 200
"""Entries of such a list."""
_ID = re.compile(r"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?")


@dataclass(frozen=True)
class WantedPackage:
    """One package that should be there, or should not."""

    file: str = ""
    """Its file on this computer, as the inventory names it; empty if it names none."""
    id: str = ""
    """In lower case, with braces; empty if the file says it."""
    version: str = ""
    sha256: str = ""
    present: bool = True


@dataclass(frozen=True)
class WantedProvisioner:
    """One certificate that should be trusted, or should not."""

    file: str = ""
    thumbprint: str = ""
    """SHA-1 of the certificate, 40 hexadecimal digits in lower case."""
    present: bool = True


def wanted_packages(data: Mapping[str, Any], where: str) -> tuple[WantedPackage, ...] | None:
    """Return the packages that a host's *data* names; ``None`` if it says nothing of packages.

    Raises:
        UsageError: the data cannot be used; *where* names the host.
    """
    if PACKAGES not in data:
        return None
    found = tuple(_package(entry, f"{where}: {PACKAGES}") for entry in _list(data[PACKAGES], f"{where}: {PACKAGES}"))
    _each_once([entry.id for entry in found if entry.id], f"{where}: {PACKAGES}")
    _each_once([entry.file for entry in found if entry.file], f"{where}: {PACKAGES}")
    return found


def wanted_provisioners(data: Mapping[str, Any], where: str) -> tuple[WantedProvisioner, ...] | None:
    """Return the certificates that a host's *data* names; ``None`` if it says nothing of them.

    Raises:
        UsageError: the data cannot be used; *where* names the host.
    """
    if PROVISIONERS not in data:
        return None
    place = f"{where}: {PROVISIONERS}"
    found = tuple(_provisioner(entry, place) for entry in _list(data[PROVISIONERS], place))
    _each_once([entry.thumbprint for entry in found if entry.thumbprint], place)
    _each_once([entry.file for entry in found if entry.file], place)
    return found


def _package(entry: Any, where: str) -> WantedPackage:
    fields = _fields(entry, ("file", "id", "version", "sha256"), where)
    present, id_, sha256 = fields["present"], fields["id"], fields["sha256"].lower()
    if id_:
        matched = _ID.fullmatch(id_.strip().lower())
        if matched is None:
            raise UsageError(f"{where}: {id_!r:.60} is not a package's id", next_step="write it as {8-4-4-4-12}")
        id_ = f"{{{matched.group(1)}}}"
    if sha256 and re.fullmatch("[0-9a-f]{64}", sha256) is None:
        raise UsageError(f"{where}: {sha256!r:.70} is not a SHA-256", next_step="write 64 hexadecimal digits")
    if not present and (not id_ or fields["file"] or fields["version"] or sha256):
        raise UsageError(f"{where}: a package that should not be there is named by its id alone")
    if present and not fields["file"] and not (id_ and fields["version"] and sha256):
        raise UsageError(f"{where}: an entry names neither a file, nor id, version and sha256 together")
    if present and fields["file"] and (id_ or fields["version"] or sha256):
        raise UsageError(f"{where}: {fields['file']!r:.60} says its own id, version and sha256: leave them out")
    return WantedPackage(fields["file"], id_, fields["version"], sha256, present)


def _provisioner(entry: Any, where: str) -> WantedProvisioner:
    fields = _fields(entry, ("file", "thumbprint"), where)
    thumbprint = re.sub(r"[\s:]", "", fields["thumbprint"]).lower()
    if thumbprint and re.fullmatch("[0-9a-f]{40}", thumbprint) is None:
        raise UsageError(f"{where}: {thumbprint!r:.60} is not a thumbprint", next_step="write 40 hexadecimal digits")
    if bool(fields["file"]) == bool(thumbprint):
        raise UsageError(f"{where}: an entry names a file or a thumbprint, one of both")
    return WantedProvisioner(fields["file"], thumbprint, fields["present"])


def _fields(entry: Any, names: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where}: {entry!r:.60} is not an object", next_step='write {"file": "..."}')
    strange = sorted(map(str, set(entry) - {*names, "present"}))
    if strange:
        raise UsageError(f"{where}: {strange[0]!r:.60} is not one of {', '.join(names)} and present")
    wrong = next((name for name in names if not isinstance(entry.get(name, ""), str)), None)
    if wrong is not None:
        raise UsageError(f"{where}: {wrong} is {entry[wrong]!r:.60}, not text")
    present = entry.get("present", True)
    if not isinstance(present, bool):
        raise UsageError(f"{where}: present is {present!r:.60}, neither true nor false")
    return {**{name: entry.get(name, "") for name in names}, "present": present}


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) > MOST:
        raise UsageError(f"{where} is not a list of at most {MOST} entries", next_step='write [{"file": "..."}]')
    return list(value)


def _each_once(names: list[str], where: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{where}: {twice!r:.60} is there twice")
