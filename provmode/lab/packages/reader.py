"""What a lab PC reads of a package: its metadata, the compiled settings, its assets.

A reader of its own, for images as `provmode.lab.packages.image` makes them: stored resources. What is compressed is
unpacked by ``wimlib-imagex`` or ``7z``, if one is installed: an independent program, as the lab's eyes.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, XMLParser

INVALID_DATA, NOT_IMPLEMENTED, NEEDS_PASSWORD = 0x8007000D, 0x80004001, 0x80070056
"""HRESULTs of a file that is not a package, of one that the lab cannot unpack, of an encrypted one. With which of them
Windows answers is not documented."""
_COMPRESSED, _METADATA = 4, 2
_MOST_ENTRIES, _MOST_BYTES = 20_000, 64 * 2**20
_CONFIG = "{urn:schemas-Microsoft-com:Windows-ICD-Package-Config.v1.0}PackageConfig"
_CUSTOMIZATIONS = "Multivariant/0/customizations.xml"


class Unreadable(ValueError):
    """The file is not a package that can be applied."""

    def __init__(self, code: int) -> None:
        super().__init__(f"0x{code:08x}")
        self.code = code
        """An HRESULT."""


@dataclass(frozen=True)
class Compiled:
    """One compiled file of a package: a setting as the engine applies it."""

    stage: str
    """``RunTime``."""
    xml: str
    """``0__Policies_Start_HidePowerButton.provxml``."""
    path: tuple[str, ...]
    value: str
    is_number: bool
    category: str
    """The first part of the setting's path in the source."""
    conditional: bool


@dataclass(frozen=True)
class Read:
    """A package as it was read."""

    id: str
    name: str
    version: str
    owner: str
    rank: int
    altitude: int
    notes: str
    description: str
    settings: tuple[Compiled, ...]
    assets: Mapping[str, bytes]
    """The contents of the assets by their paths in the package."""


@lru_cache(maxsize=64)  # the PCs of a fleet hold the same packages
def read(data: bytes) -> Read:
    """Read a package.

    Raises:
        Unreadable: it is not a package, is encrypted, or is compressed and no installed program can unpack it.
    """
    try:
        return _read(data)
    except (struct.error, OverflowError, IndexError, KeyError, ParseError, UnicodeError) as error:
        raise Unreadable(INVALID_DATA) from error


def _read(data: bytes) -> Read:
    if data[:8] != b"MSWIM\0\0\0":
        raise Unreadable(INVALID_DATA)
    offset, size = _resource(data, 72)[:2]
    image = _parse(data[offset : offset + size].decode("utf-16")).find("IMAGE")
    if image is None:
        raise Unreadable(INVALID_DATA)
    if "encryptpackage=true" in (image.findtext("NOTES") or "").lower():
        raise Unreadable(NEEDS_PASSWORD)
    files = _files(data)
    config = _parse(files[_CUSTOMIZATIONS].decode("utf-8-sig")).find(_CONFIG)
    if config is None:
        raise Unreadable(INVALID_DATA)
    texts = {child.tag.rpartition("}")[2]: child.text or "" for child in config}
    return Read(
        texts["ID"],
        texts["Name"],
        texts["Version"],
        texts["OwnerType"],
        _number(texts["Rank"]),
        _number(image.findtext("ALTITUDE") or ""),
        texts.get("Notes", ""),
        texts.get("Description", ""),
        tuple(_settings(files)),
        {path: content for path, content in files.items() if path.count("/") == 3 and path.startswith("DataAsset/")},
    )


def _number(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


def _parse(text: str) -> Element:
    """Parse XML without a document type, so that no entity is ever expanded."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Unreadable(INVALID_DATA)
    parser = XMLParser()  # noqa: S314 - no document type
    parser.feed(re.sub(r"^\s*<\?xml[^>]*\?>", "", text, count=1))
    return parser.close()


def _settings(files: Mapping[str, bytes]) -> list[Compiled]:
    found = []
    for source in sorted(path for path in files if re.fullmatch(r"Multivariant/0/Prov/[^/]+\.xml", path)):
        stage = source.rpartition("/")[2].removesuffix(".xml")
        seen = set[str]()
        for each in _parse(files[source].decode("utf-8-sig")).iter("ConfigurationSet"):
            name = each.get("Data", "").replace("\\", "/").rpartition("/")[2]
            if name in seen or f"Multivariant/0/Prov/{stage}/{name}" not in files:
                continue  # the same file under other conditions
            seen.add(name)
            conditional = bool(set(each.keys()) - {"Type", "SettingsGroup", "Data"})
            found += _compiled(stage, name, files[f"Multivariant/0/Prov/{stage}/{name}"], conditional=conditional)
    return found


def _compiled(stage: str, name: str, data: bytes, *, conditional: bool) -> list[Compiled]:
    found: list[Compiled] = []
    waiting: list[tuple[Element, tuple[str, ...]]] = [(_parse(data.decode("utf-8-sig")), ())]
    while waiting:
        element, path = waiting.pop()
        for child in element:
            if child.tag == "characteristic":
                waiting.append((child, (*path, child.get("type", ""))))
            elif child.tag == "parm":
                leaf = (*path, child.get("name", ""))
                category = (child.get("SettingsPath") or "/".join(leaf)).partition("/")[0]
                is_number = child.get("datatype") == "integer"
                found.append(Compiled(stage, name, leaf, child.get("value", ""), is_number, category, conditional))
    return found


# -- the image --------------------------------------------------------------------------------------------------


def _resource(data: bytes, at: int) -> tuple[int, int, int]:
    """Return offset, size in the file and flags of a resource."""
    packed, offset, _ = struct.unpack_from("<QQQ", data, at)
    return offset, packed & (2**56 - 1), packed >> 56


def _files(data: bytes) -> dict[str, bytes]:
    """Return the files of the image by path."""
    offset, size, flags = _resource(data, 48)
    if flags & _COMPRESSED:
        return _unpacked(data)
    blobs: dict[bytes, bytes] = {}
    tree: bytes | None = None
    for at in range(offset, min(offset + size, len(data)) - 49, 50):
        start, length, flags = _resource(data, at)
        if flags & _COMPRESSED:
            return _unpacked(data)
        if flags & _METADATA:
            tree = data[start : start + length]
        else:
            content = data[start : start + length]
            if hashlib.sha1(content, usedforsecurity=False).digest() != data[at + 30 : at + 50]:
                raise Unreadable(INVALID_DATA)
            blobs[data[at + 30 : at + 50]] = content
    if tree is None:
        raise Unreadable(INVALID_DATA)
    return {path: blobs[sha1] if sha1.strip(b"\0") else b"" for path, sha1 in _entries(tree).items()}


def _entries(tree: bytes) -> dict[str, bytes]:
    """Return the SHA-1 of each file by path."""
    root = (struct.unpack_from("<I", tree)[0] + 7) & ~7
    waiting, found, seen = [("", struct.unpack_from("<Q", tree, root + 16)[0])], {}, set[int]()
    while waiting:
        folder, at = waiting.pop()
        if at in seen or len(seen) > _MOST_ENTRIES:
            raise Unreadable(INVALID_DATA)
        seen.add(at)
        while length := struct.unpack_from("<Q", tree, at)[0]:
            attributes, _, below = struct.unpack_from("<IiQ", tree, at + 8)
            (named,) = struct.unpack_from("<H", tree, at + 100)
            name = tree[at + 102 : at + 102 + named].decode("utf-16-le")
            if attributes & 0x10:
                waiting.append((f"{folder}{name}/", below))
            else:
                found[f"{folder}{name}"] = tree[at + 64 : at + 84]
            if length < 104 or len(found) > _MOST_ENTRIES:
                raise Unreadable(INVALID_DATA)
            at += length
    return found


def _unpacked(data: bytes) -> dict[str, bytes]:
    """Unpack the image with a program that is installed."""
    programs = {
        "wimlib-imagex": ["apply", "{file}", "1", "{folder}", "--no-acls"],
        "7z": ["x", "-y", "-o{folder}", "{file}"],
    }
    program = next(filter(shutil.which, programs), None)
    if program is None:
        raise Unreadable(NOT_IMPLEMENTED)
    with tempfile.TemporaryDirectory(prefix="provmode-lab-") as place:
        file, folder = Path(place, "file.ppkg"), Path(place, "files")
        file.write_bytes(data)
        folder.mkdir()
        words = [word.format(file=file, folder=folder) for word in programs[program]]
        try:
            subprocess.run([program, *words], capture_output=True, timeout=60, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise Unreadable(INVALID_DATA) from error
        paths = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        if len(paths) > _MOST_ENTRIES or sum(path.stat().st_size for path in paths) > _MOST_BYTES:
            raise Unreadable(NOT_IMPLEMENTED)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
