"""The one command line for what CIM cannot tell: hashes of package files, the registry of the engine, its events.

A PC with five packages would need some hundred questions to StdRegProv for its results. ``certutil``, ``reg`` and
``wevtutil`` say the same in one command of ``cmd.exe``. Their words are translated, so marks of our own divide the
output, and only what no Windows translates is read: paths, hashes, keys, values, XML, error numbers.

The lines are static and only read. The write gate compares them as a whole. A file's name gets into a command by a
variable of ``for``, which ``cmd.exe`` fills in after it has looked for ``&``, ``%`` and quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from provmode.errors import AccessDenied, HostError, RemoteFault
from provmode.packages.on_pc.events import EVENTS_LINE, MAX_EVENTS_OUTPUT, read_events
from provmode.packages.on_pc.files import MAX_FILES, MAX_PATH, with_hashes
from provmode.packages.on_pc.model import PackageFile, PlaceFiles, ProvisioningEvent
from provmode.packages.on_pc.reg_query import TooMany, Tree, lines_of, read_tree
from provmode.reading import Absent, Known, Reading, Unknown
from provmode.windows.conversation import Conversation, could_not_tell
from provmode.windows.files import file_hash
from provmode.windows.registry import Key
from provmode.windows.system import types_of
from provmode.wsman import CommandLine, Completed

PROVISIONING = Key("HKLM", r"SOFTWARE\Microsoft\Provisioning")
REGISTRY_LINE = rf"reg query HKLM\{PROVISIONING.path} /s /reg:64"
MAX_REGISTRY_OUTPUT = 1024 * 1024
_ROOT = rf"HKEY_LOCAL_MACHINE\{PROVISIONING.path}"

_MARK = "@provmode"
_PLACES = (
    r"%ProgramData%\Microsoft\Provisioning",
    r"%ProgramData%\Microsoft\Provisioning\AssetCache",
    r"%SystemDrive%\Recovery\Customizations",
    r"%windir%\Provisioning\Packages",
)
_FILES = " ".join(rf'"{place}\*.ppkg"' for place in _PLACES)
HASHES_LINE = f'(for %i in ({_FILES}) do @(echo {_MARK} file %i& certutil -hashfile "%i" SHA256))'
"""In parentheses: without them, the rest of a line is part of the loop."""
INVENTORY = CommandLine(
    f"{HASHES_LINE} & echo {_MARK} registry & ({REGISTRY_LINE} && echo {_MARK} done || echo {_MARK} failed) "
    f"& echo {_MARK} events & ({EVENTS_LINE} && echo {_MARK} done || echo {_MARK} failed)",
    max_output=MAX_REGISTRY_OUTPUT + MAX_EVENTS_OUTPUT + 4 * MAX_FILES * MAX_PATH,
)
HASHES = CommandLine(HASHES_LINE, max_output=8 * MAX_FILES * MAX_PATH)
REGISTRY = CommandLine(REGISTRY_LINE, max_output=MAX_REGISTRY_OUTPUT)
READING_LINES = frozenset({INVENTORY.line, HASHES_LINE, REGISTRY_LINE, EVENTS_LINE})
"""Command lines that only read, for the write gate."""

MAX_HASHED_ALONE = 4
"""Files that are hashed one by one, because the line does not show them: hidden ones, and those of removable drives."""
MAX_SIZE_HASHED_ALONE = 64 * 1024 * 1024
"""Bytes of such a file: the script that reads it holds it in memory."""

Hashes = dict[str, tuple[str, Reading[str]]]
"""By path in lower case: the path as Windows writes it, and the file's hash."""


@dataclass(frozen=True)
class Inventory:
    """What the command line says."""

    hashes: Reading[Hashes]
    registry: Reading[Tree]
    events: Reading[tuple[ProvisioningEvent, ...]]


def inventory() -> Conversation[Inventory]:
    """Ask hashes, registry and events, by one process on the PC."""
    completed = yield from _run(INVENTORY)
    if isinstance(completed, Unknown):
        return Inventory(completed, completed, completed)
    parts = _Parts.of(completed)
    registry = parts.registry if parts.registry is not None else (yield from _no_registry())
    return Inventory(Known(hashes_in(parts.files)), registry, parts.events)


def provisioning_registry() -> Conversation[Reading[Tree]]:
    """Ask ``HKLM\\SOFTWARE\\Microsoft\\Provisioning`` with all keys below; absent if there is no such key."""
    completed = yield from _run(REGISTRY)
    if isinstance(completed, Unknown):
        return completed
    if completed.exit_code != 0 and not completed.cut:
        return (yield from _no_registry())
    return _tree(_text(completed), cut=completed.cut)


def hashes() -> Conversation[Reading[Hashes]]:
    """Ask the hashes of the package files in every place but removable drives."""
    completed = yield from _run(HASHES)
    return completed if isinstance(completed, Unknown) else Known(hashes_in(lines_of(_text(completed))))


def hashed(places: tuple[PlaceFiles, ...], known_hashes: Reading[Hashes]) -> Conversation[tuple[PlaceFiles, ...]]:
    """Return *places* with hashes; the few files that the line did not show are asked for one by one."""
    if not isinstance(known_hashes, Known):
        return tuple(_without_hashes(each, known_hashes) for each in places)
    found, asked = [], 0
    for each in with_hashes(places, known_hashes.value):
        if isinstance(each.files, Known):
            files = []
            for file in each.files.value:
                if isinstance(file.sha256, Unknown) and file.sha256.cause == "not-read" and not file.inbox:
                    asked += 1
                    file = replace(file, sha256=(yield from _hash_of(file, asked)))
                files.append(file)
            each = replace(each, files=Known(tuple(files)))
        found.append(each)
    return tuple(found)


def _hash_of(file: PackageFile, number: int) -> Conversation[Reading[str]]:
    if number > MAX_HASHED_ALONE:
        return Unknown("too-large", f"over {MAX_HASHED_ALONE} files that the command line does not show")
    if file.size is None or file.size > MAX_SIZE_HASHED_ALONE:
        return Unknown("too-large", f"{file.path}: over {MAX_SIZE_HASHED_ALONE:,} bytes")
    try:
        found = yield from file_hash(file.path)
    except (RemoteFault, AccessDenied) as error:
        return could_not_tell(error)
    except HostError as error:
        return Unknown(str(error.cause), error.what)
    if found is None:
        return Absent()
    return Known(found) if re.fullmatch("[0-9a-f]{64}", found) else Unknown("malformed", f"{file.path}: no SHA-256")


def _without_hashes(each: PlaceFiles, why: Absent | Unknown) -> PlaceFiles:
    if not isinstance(each.files, Known):
        return each
    return replace(each, files=Known(tuple(replace(file, sha256=why) for file in each.files.value)))


def _run(line: CommandLine) -> Conversation[Completed | Unknown]:
    try:
        completed: Completed = yield line
    except (RemoteFault, AccessDenied) as error:
        return could_not_tell(error)
    return completed


def _text(completed: Completed) -> str:
    return completed.stdout.decode("utf-8", "replace")


def _tree(output: str, *, cut: bool = False) -> Reading[Tree]:
    if cut:
        return Unknown("too-large", f"{PROVISIONING} has over {MAX_REGISTRY_OUTPUT:,} bytes of text")
    try:
        return Known(read_tree(output, _ROOT))
    except TooMany as error:
        return Unknown("too-large", f"{PROVISIONING}: {error}")


def _no_registry() -> Conversation[Reading[Tree]]:
    """``reg`` failed: its words are translated, so the registry provider says whether there is no such key."""
    values = yield from types_of(PROVISIONING)
    if isinstance(values, Absent):
        return Absent()
    detail = values.detail if isinstance(values, Unknown) else "reg query could not read all of it"
    return Unknown(values.cause if isinstance(values, Unknown) else "access-denied", f"{PROVISIONING}: {detail}")


# -- the output of the line ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Parts:
    """The three parts of the output."""

    files: list[str]
    registry: Reading[Tree] | None
    """``None``: ``reg`` failed."""
    events: Reading[tuple[ProvisioningEvent, ...]]

    @classmethod
    def of(cls, completed: Completed) -> _Parts:
        lines = lines_of(_text(completed))
        first = _position(lines, f"{_MARK} registry")
        second = _position(lines, f"{_MARK} events", first + 1)
        files, middle, last = lines[:first], lines[first + 1 : second], lines[second + 1 :]
        if first == len(lines) or (second == len(lines) and not completed.cut):
            unfinished = Unknown("malformed", f"the command did not finish (exit code {completed.exit_code})")
            return cls(files, unfinished, unfinished)
        middle, how_registry = _ended(middle)
        last, how = _ended(last)
        registry = _tree("\n".join(middle), cut=second == len(lines)) if how_registry != "failed" else None
        events: Reading[tuple[ProvisioningEvent, ...]]
        if how == "done":
            events = read_events("\n".join(last))
        elif completed.cut:
            events = Unknown("too-large", "the provisioning events do not end")
        else:
            events = Unknown("fault", "wevtutil could not read the provisioning events")
        return cls(files, registry, events)


def _position(lines: list[str], mark: str, start: int = 0) -> int:
    """Return where the line *mark* is; the number of lines if it is not there. ``echo`` prints the blank before &."""
    return next((at for at in range(start, len(lines)) if lines[at].rstrip() == mark), len(lines))


def _ended(lines: list[str]) -> tuple[list[str], str]:
    """Return the lines of a part before its last mark, and what that says: ``done``, ``failed``, or nothing."""
    at = next((at for at in reversed(range(len(lines))) if lines[at].startswith(_MARK)), len(lines))
    return lines[:at], lines[at].removeprefix(_MARK).strip() if at < len(lines) else ""


_HASH = re.compile(r"(?:[0-9a-f]{2} ?){32}", re.IGNORECASE)
_ERROR = re.compile(r"\b0x[0-9a-f]{8}\b")
_FILE = f"{_MARK} file "


def hashes_in(lines: list[str]) -> Hashes:
    """Return the hashes of the files in the output of `HASHES_LINE`.

    ``certutil`` prints a line of words, the hash (Windows 7 and 8: in pairs, blanks between), and another of words; if
    it fails, words with the error's number.
    """
    found: Hashes = {}
    path, said = "", list[str]()
    for line in [*lines, _FILE]:
        if not line.startswith(_FILE):
            said.append(line.strip())
            continue
        if 0 < len(path) <= MAX_PATH and len(found) < 4 * MAX_FILES:
            found[path.lower()] = (path, _hash(path, said))
        path, said = line[len(_FILE) :].rstrip(), []
    return found


def _hash(path: str, said: list[str]) -> Reading[str]:
    for line in said:
        if _HASH.fullmatch(line):
            return Known(line.replace(" ", "").lower())
    numbers = _ERROR.findall(" ".join(said).lower())
    if "0x80070005" in numbers:
        return Unknown("access-denied", f"{path}: certutil: access denied (0x80070005)")
    if numbers:
        return Unknown("fault", f"{path}: certutil answered {numbers[0]}")
    return Unknown("malformed", f"{path}: certutil printed no hash")
