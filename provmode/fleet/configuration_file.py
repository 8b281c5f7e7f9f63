"""The configuration file: where it is looked for, who may have written it, and reading it."""

from __future__ import annotations

import codecs
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provmode.errors import UsageError
from provmode.fleet.configuration import Configuration, checked
from provmode.fleet.ownership import refuse_foreign

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = "provmode.toml"
ENVIRONMENT = "PROVMODE_CONFIG"
SYSTEM = Path("/etc/provmode") / NAME
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable by which systemd names the folder of what ``LoadCredential=`` loads for a service."""
MOST_BYTES = 1_000_000
DOES = "decides what provmode does"


@dataclass(frozen=True)
class Place:
    """A file that was found."""

    path: Path
    found_by: str
    from_working_directory: bool = False


def find(
    named: Path | None, environment: Mapping[str, str] = os.environ, *, here: Path = Path(NAME), system: Path = SYSTEM
) -> Place | None:
    """Return the file that counts: *named* by the option, else by the environment, else *here*, else of the *system*.

    The first two count whether they are there or not. A folder that this user must not look into has no file for him.
    In the system's own folder, the file that is *here* is the system's.
    """
    if named is not None:
        return Place(named, "named by --config")
    if environment.get(ENVIRONMENT):
        return Place(Path(environment[ENVIRONMENT]), f"named by ${ENVIRONMENT}")
    if os.path.lexists(here) and not _is_same(here, system):
        return Place(here, "in the working directory", from_working_directory=True)
    return Place(system, f"in {system.parent}") if os.path.lexists(system) else None


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False  # one of them cannot be looked at, or leads nowhere


def read(place: Place) -> Configuration:
    """Return what a file says.

    Raises:
        UsageError: it cannot be read, others can change it, or it is not TOML.
        Mistakes: everything that is wrong with its keys.
    """
    path = place.path
    try:
        refuse_changeable(path)
        text = _text(path, bytes_of(path, "the configuration"))
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror or error}") from None
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"cannot read the configuration {path}: its values are nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from None
    return checked(document, path=path, found_by=place.found_by, from_working_directory=place.from_working_directory)


def refuse_changeable(path: Path) -> None:
    """Refuse a file that others can change.

    Raises:
        UsageError: says who can, and the cure.
        OSError: it cannot be looked at.
    """
    refuse_foreign(path, DOES)


def configuration(named: Path | None, environment: Mapping[str, str] = os.environ) -> Configuration:
    """Return what the file says that counts; without one, nothing.

    Files with secrets that systemd hands to this service count in place of those that it names.

    Raises:
        UsageError: as `read`.
    """
    place = find(named, environment)
    if place is None:
        return Configuration()
    found = read(place)
    folder = environment.get(CREDENTIALS, "")
    keys = [key for table in found.secrets.values() for key in table]
    handed = {key: os.path.join(folder, key) for key in keys if folder and os.path.lexists(os.path.join(folder, key))}
    return found.handed_over(CREDENTIALS, handed)


def bytes_of(path: Path, what: str) -> bytes:
    """Return what is in a file of a person; *what* it is, for a message.

    Raises:
        UsageError: it is no regular file, or too large.
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not make us wait
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"cannot read {what} {path}: it is not a regular file")
        if status.st_size > MOST_BYTES:
            raise UsageError(f"cannot read {what} {path}: it has over {MOST_BYTES:,} bytes")
        return file.read(MOST_BYTES + 1)


def _text(path: Path, data: bytes) -> str:
    """Return the text of a file. A byte order mark, as editors on Windows write it, is no part of it."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UsageError(f"cannot read the configuration {path}: it is UTF-16", next_step="save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"cannot read the configuration {path}: line {line} is not UTF-8", next_step="save it as UTF-8"
        ) from None
