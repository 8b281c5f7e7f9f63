"""Which package files a PC has, and where: by CIM, one folder at a time, so that WMI never walks the disk.

Source: Microsoft, "CIM_DataFile class" (``Drive``, ``Path``, ``Extension``), "Win32_LogicalDisk class" (``DriveType``).
CIM names a file in lower case. It shows nothing of a folder that the account may not list, as if it were empty.
"""

from __future__ import annotations

import re
from dataclasses import replace

from provmode.packages.on_pc.model import PackageFile, Place, PlaceFiles
from provmode.reading import Known, Reading, Unknown
from provmode.text import shortened
from provmode.windows.conversation import Conversation, ask
from provmode.windows.system import moment_of, operating_system
from provmode.wsman import Enumerate, Instance, integer, text

MAX_FILES = 200
"""Packages in one folder that are looked at; more is no folder of packages."""
MAX_PATH = 1024
"""Characters of a path."""
MAX_DRIVES = 8
"""Removable drives that are looked at: a card reader shows several."""
REMOVABLE_DRIVES = Enumerate.query("root/cimv2", "SELECT DeviceID FROM Win32_LogicalDisk WHERE DriveType=2")

FOLDERS = {
    Place.KEPT: r"\ProgramData\Microsoft\Provisioning",
    Place.ASSET_CACHE: r"\ProgramData\Microsoft\Provisioning\AssetCache",
    Place.RESET: r"\Recovery\Customizations",
    Place.IMAGE: r"\Provisioning\Packages",
}
"""The folders below the drive of Windows; the last one below the folder of Windows."""


def folders(windows_directory: str) -> dict[Place, str]:
    """Return the folder of each place but removable drives. The registry's ProgramData is taken to be the usual one."""
    drive = windows_directory[:2]
    return {
        place: (windows_directory.rstrip("\\") if place is Place.IMAGE else drive) + folder
        for place, folder in FOLDERS.items()
    }


def folder_query(folder: str) -> Enumerate:
    """Return the query for the packages in *folder*: drive, path and extension are known, so WMI lists that alone."""
    path = folder[2:].rstrip("\\") + "\\"
    quoted = path.replace("\\", "\\\\").replace("'", "\\'")
    return Enumerate.query(
        "root/cimv2",
        "SELECT Name,FileSize,CreationDate,LastModified FROM CIM_DataFile "
        f"WHERE Drive='{folder[:2]}' AND Path='{quoted}' AND Extension='ppkg'",
    )


def packages_in(place: Place, folder: str) -> Conversation[PlaceFiles]:
    """Ask which packages are in *folder*."""

    def read(found: list[Instance]) -> Reading[tuple[PackageFile, ...]]:
        if len(found) > MAX_FILES:
            return Unknown("too-large", f"{folder} has {len(found):,} packages, over {MAX_FILES}")
        files = []
        for each in found:
            path = text(each, "Name") or ""
            if not _is_in(path, folder):
                return Unknown("malformed", f"{folder}: CIM_DataFile named {shortened(path, 60)!r}, which is not in it")
            created, modified = moment_of(each, "CreationDate"), moment_of(each, "LastModified")
            files.append(PackageFile(path, place, integer(each, "FileSize"), created, modified))
        return Known(tuple(sorted(files, key=lambda file: file.path)))

    return PlaceFiles(place, folder, (yield from ask(folder_query(folder), read, f"packages in {folder}")))


def _is_in(path: str, folder: str) -> bool:
    head, _, name = path.rpartition("\\")
    return head.lower() == folder.rstrip("\\").lower() and bool(name) and len(path) <= MAX_PATH


def removable_drives() -> Conversation[Reading[tuple[str, ...]]]:
    """Ask which drives are removable: ``("E:",)``."""

    def read(found: list[Instance]) -> Reading[tuple[str, ...]]:
        drives = [(text(each, "DeviceID") or "").upper() for each in found]
        strange = next((drive for drive in drives if not re.fullmatch(r"[A-Z]:", drive)), None)
        if strange is not None:
            return Unknown("malformed", f"Win32_LogicalDisk named the drive {strange[:60]!r}")
        return Known(tuple(sorted(set(drives))))

    return (yield from ask(REMOVABLE_DRIVES, read, "removable drives"))


def package_files() -> Conversation[tuple[PlaceFiles, ...]]:
    """Ask which packages are on the PC, place by place, without their hashes."""
    system = yield from operating_system()
    if not isinstance(system, Known):
        cause = (
            system if isinstance(system, Unknown) else Unknown("malformed", "the PC does not say its Windows folder")
        )
        return tuple(PlaceFiles(place, "", cause) for place in Place)
    found = list[PlaceFiles]()
    for place, folder in folders(system.value.windows_directory).items():
        found += [(yield from packages_in(place, folder))]
    drives = yield from removable_drives()
    if not isinstance(drives, Known):
        cause = drives if isinstance(drives, Unknown) else Unknown("malformed", "the PC does not say its drives")
        return (*found, PlaceFiles(Place.REMOVABLE, "", cause))
    for drive in drives.value[:MAX_DRIVES]:
        found += [(yield from packages_in(Place.REMOVABLE, f"{drive}\\"))]
    if len(drives.value) > MAX_DRIVES:
        more = Unknown("too-large", f"the PC has {len(drives.value)} removable drives; {MAX_DRIVES} were looked at")
        found.append(PlaceFiles(Place.REMOVABLE, "", more))
    return tuple(found)


def all_files(places: tuple[PlaceFiles, ...]) -> Reading[tuple[PackageFile, ...]]:
    """Return the files of all places; unknown if one of them is."""
    for each in places:
        if isinstance(each.files, Unknown):
            return each.files
    return Known(tuple(file for each in places if isinstance(each.files, Known) for file in each.files.value))


def with_hashes(places: tuple[PlaceFiles, ...], hashes: dict[str, tuple[str, Reading[str]]]) -> tuple[PlaceFiles, ...]:
    """Return *places* with the hashes of their files, and with files that only the command line showed.

    *hashes* has for each path in lower case the path as Windows writes it, and the file's hash.
    """
    rest = dict(hashes)
    found = []
    for each in places:
        if isinstance(each.files, Known):
            files = tuple(_hashed(file, rest.pop(file.path.lower(), None)) for file in each.files.value)
            each = replace(each, files=Known(files))
        found.append(each)
    for path, hash_ in rest.values():
        place = place_of(path)
        at = next((number for number, each in enumerate(found) if each.place is place), None)
        if at is None or not isinstance(found[at].files, Known):
            continue
        files = (*found[at].files.value, PackageFile(path, place, sha256=hash_))  # type: ignore[union-attr]
        found[at] = replace(found[at], files=Known(files))
    return tuple(found)


def _hashed(file: PackageFile, hashed: tuple[str, Reading[str]] | None) -> PackageFile:
    return replace(file, path=hashed[0], sha256=hashed[1]) if hashed is not None else file


def place_of(path: str) -> Place:
    """Return the place of a file by the end of its folder; a root is that of a removable drive."""
    folder = path.rpartition("\\")[0].lower()
    if not folder[2:]:
        return Place.REMOVABLE
    ends = {place: known.lower().removeprefix(r"\programdata") for place, known in FOLDERS.items()}
    return next((place for place, end in ends.items() if folder.endswith(end)), Place.KEPT)
