"""Commands that are part of cmd.exe: they start no process."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from provmode.lab.windows.cmd.language import arguments
from provmode.lab.windows.cmd.texts import say

if TYPE_CHECKING:
    from provmode.lab.windows.cmd.shell import Session


def _echo(session: Session, rest: str) -> int:
    text = rest[1:] if rest[:1] in " .:(,;=" else rest
    if not text.strip() and rest[:1] not in (".", ":", "("):
        session.print("ECHO ist eingeschaltet (ON).\r\n" if session.pc.german else "ECHO is on.\r\n")
    elif text.strip().lower() not in ("on", "off"):
        session.print(f"{text}\r\n")
    return 0


def _type(session: Session, rest: str) -> int:
    """Show files; with more than one, their names go to standard error.

    A file that begins with the UTF-16 little-endian mark comes out in the console's code page without it; every other
    file passes byte for byte. Both are known behaviour of cmd.exe, not recorded.
    """
    names = arguments(rest)
    if not names:
        session.complain(say(session.pc, "syntax"))
        return 1
    code = 0
    for name in names:
        path = session.path(name)
        data = session.pc.files.read(path)
        if data is None:
            folder = path.rpartition("\\")[0]
            session.complain(
                say(session.pc, "file-not-found" if session.pc.files.is_folder(folder) else "path-not-found")
            )
            code = 1
            continue
        if len(names) > 1:
            session.complain(f"\r\n{name}\r\n\r\n\r\n")
        if data.startswith(codecs.BOM_UTF16_LE):
            session.print(data[2:].decode("utf-16-le", "replace"))
        else:
            session.out += data
    return code


def _ver(session: Session, rest: str) -> int:
    session.print(f"\r\nMicrosoft Windows [Version {session.pc.os_version}.4317]\r\n")
    return 0


def _set(session: Session, rest: str) -> int:
    name, sign, value = rest.strip().partition("=")
    if sign:
        session.variables[name.strip().strip('"').lower()] = value.rstrip('"')
        return 0
    found = {key: text for key, text in sorted(session.variables.items()) if key.startswith(name.strip().lower())}
    for key, text in found.items():
        session.print(f"{key}={text}\r\n")
    return 0 if found else 1


def _cd(session: Session, rest: str) -> int:
    wanted = " ".join(part for part in arguments(rest) if part.lower() != "/d")
    if not wanted:
        session.print(f"{session.directory}\r\n")
        return 0
    path = session.path(wanted)
    if not session.pc.files.is_folder(path) and path.lower() not in ("c:\\", "c:\\windows\\system32"):
        session.complain(say(session.pc, "path-not-found"))
        return 1
    session.directory = path
    return 0


def _dir(session: Session, rest: str) -> int:
    """List names (``/b``); the long form is not modelled beyond names."""
    names = [part for part in arguments(rest) if not part.startswith("/")]
    path = session.path(names[0]) if names else session.directory
    if session.pc.files.get(path) is not None:
        session.print(f"{path.rpartition(chr(92))[2]}\r\n")
        return 0
    listed = session.pc.files.listdir(path)
    if not listed:
        session.complain(say(session.pc, "dir-not-found"))
        return 1
    for name in listed:
        session.print(f"{name}\r\n")
    return 0


def _del(session: Session, rest: str) -> int:
    for name in (part for part in arguments(rest) if not part.startswith("/")):
        if not session.pc.files.delete(session.path(name)):
            session.complain(say(session.pc, "file-not-found"))
    return 0  # del says 0 even where there was nothing


def _exit(session: Session, rest: str) -> int:
    session.ended = True
    numbers = [part for part in arguments(rest) if re.fullmatch(r"-?[0-9]{1,20}", part)]
    return int(numbers[0]) if numbers else 0


def _nothing(session: Session, rest: str) -> int:
    return 0


COMMANDS: dict[str, Callable[[Session, str], int]] = {
    **{"echo": _echo, "type": _type, "ver": _ver, "set": _set, "cd": _cd, "chdir": _cd, "dir": _dir},
    **{"del": _del, "erase": _del, "exit": _exit, "rem": _nothing, "cls": _nothing, "title": _nothing},
}
"""By name."""
