"""Commands that are part of cmd.exe: they start no process."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from provmode.lab.windows.cmd.language import arguments
from provmode.lab.windows.cmd.paths import files, is_pattern, matches
from provmode.lab.windows.cmd.texts import message
from provmode.lab.windows.session import Session
from provmode.lab.windows.store import normal


def _echo(session: Session, rest: str) -> int:
    text = rest[1:] if rest[:1] in " .:(,;=" else rest
    if not text.strip() and rest[:1] not in (".", ":", "("):
        session.print("ECHO ist eingeschaltet (ON).\r\n" if session.pc.german else "ECHO is on.\r\n")
    elif text.strip().lower() not in ("on", "off"):
        session.print(f"{text}\r\n")
    return 0


def _type(session: Session, rest: str) -> int:
    """Print files, also by wildcards; with more than one, print their names to standard error.

    It stops at the first missing file. A file with a UTF-16 little-endian byte order mark is printed in the console's
    code page, without the mark; every other file is printed byte for byte. Both are known behaviour of cmd.exe, not
    recorded.
    """
    names = arguments(rest)
    if not names:
        session.print_error(message(session.pc, "syntax"))
        return 1
    several = len(names) > 1
    for name in names:
        if name.lower() == "nul":
            continue
        found = files(session, name)
        if not found:
            session.print_error(message(session.pc, _why_missing(session, session.path(name))))
            return 1
        for path in found:
            if several or len(found) > 1:
                session.print_error(f"\r\n{name if len(found) == 1 else path.rpartition(chr(92))[2]}\r\n\r\n\r\n")
            data = session.pc.files.read(path) or b""
            if data.startswith(codecs.BOM_UTF16_LE):
                session.print(data[2:].decode("utf-16-le", "replace"))
            else:
                session.out += data
    return 0


def _why_missing(session: Session, path: str) -> str:
    """Return the message for a path that is no file."""
    if session.pc.files.is_folder(path):
        return "access-denied"
    return "file-not-found" if session.pc.files.is_folder(path.rpartition("\\")[0]) else "path-not-found"


def _without_switches(session: Session, rest: str) -> bool:
    """Return whether a command that has no switches was given none; print an error otherwise."""
    if not any(word.startswith("/") for word in arguments(rest)):
        return True
    session.print_error(message(session.pc, "syntax"))
    return False


def _ver(session: Session, rest: str) -> int:
    if not _without_switches(session, rest):
        return 1
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
        session.print_error(message(session.pc, "path-not-found"))
        return 1
    session.directory = path
    return 0


_DIR_SWITCH = re.compile(r"/-?(?:[bcdlnpqrswx4]|[aost]:?[a-z-]*)", re.IGNORECASE)


def _dir(session: Session, rest: str) -> int:
    """List names (``/b``), also by wildcards in the last part; the long form is not modelled beyond names.

    With ``/s`` it lists full paths, of all folders below.

    One of several names is enough for success. With ``/b`` an empty folder gives the same error as a missing folder;
    without, it lists ``.`` and ``..``.
    """
    words = arguments(rest)
    names = [word for word in words if not word.startswith("/")]
    flags = [flag.lower() for word in words if word.startswith("/") for flag in re.findall("/[^/]*", word)]
    for flag in flags:
        if not _DIR_SWITCH.fullmatch(flag):
            session.print_error(message(session.pc, "invalid-switch", flag[1:]))
            return 1
    bare = "/b" in flags or "/a-d" in flags
    if "/s" in flags:
        listed = [line for name in names or [""] for line in _tree(session, name)]
    else:
        listed = [line for name in names or [""] for line in _listed(session, name, bare=bare)]
    if not listed:
        session.print_error(message(session.pc, "dir-not-found"))
        return 1
    for line in listed:
        session.print(f"{line}\r\n")
    return 0


def _listed(session: Session, name: str, *, bare: bool) -> list[str]:
    """Return the lines of ``dir`` for one name; empty: the folder."""
    path = session.path(name) if name else session.directory
    if session.pc.files.get(path) is not None:
        return [path.rpartition("\\")[2]]
    if is_pattern(path):
        return matches(session, path)
    found = session.pc.files.listdir(path)
    return [] if found is None else found if bare else [".", "..", *found]


def _tree(session: Session, name: str) -> list[str]:
    """Return the full paths that ``dir /s /b`` lists: what matches in each folder, then what is in its folders."""
    files, path = session.pc.files, normal(session.path(name) if name else session.directory)
    listed, waiting = [], [path]
    pattern = "*"
    if not files.is_folder(path):
        folder, _, pattern = path.rpartition("\\")
        waiting = [folder]
    while waiting:
        at = waiting.pop()
        listed += [f"{at}\\{found}" for found in matches(session, f"{at}\\{pattern}")]
        inner = [f"{at}\\{found}" for found in files.listdir(at) or []]
        waiting += [each for each in reversed(inner) if files.is_folder(each)]
    return listed


ACCESS_DENIED, NOT_FOUND, PATH_NOT_FOUND, NOT_EMPTY, NO_FOLDER = 5, 2, 3, 145, 267
"""Exit codes of ``rmdir``: the number of the system error. That ``rmdir`` returns the number, and ``mkdir`` always 1,
is known from published tests of cmd.exe, not from its documentation."""


def _denied(session: Session, path: str) -> bool:
    """Print an error and return ``True`` if the account must not write to *path*."""
    if not path.lower().startswith(session.pc.protected):
        return False
    session.print_error(message(session.pc, "access-denied"))
    return True


def _mkdir(session: Session, rest: str) -> int:
    """Make folders and their parents."""
    names, code = arguments(rest), 0
    if not names:
        session.print_error(message(session.pc, "syntax"))
        return 1
    for name in names:
        path = session.path(name)
        if _denied(session, path):
            code = 1
        elif not session.pc.files.make_folder(path):
            session.print_error(message(session.pc, "exists", name))
            code = 1
    return code


def _ren(session: Session, rest: str) -> int:
    """Rename a folder or a file; the new name has no path. Wildcards are not modelled."""
    words = arguments(rest)
    if len(words) != 2 or set(words[1]) & set('\\/:*?"<>|'):
        session.print_error(message(session.pc, "syntax"))
        return 1
    path, name = session.path(words[0]), words[1]
    files, target = session.pc.files, f"{path.rpartition(chr(92))[0]}\\{name}"
    if _denied(session, path):
        return 1
    if files.exists(target):
        session.print_error(message(session.pc, "duplicate"))
        return 1
    if not (files.rename_folder(path, name) or files.move(path, target, session.pc.now())):
        session.print_error(message(session.pc, "file-not-found"))
        return 1
    return 0


def _rmdir(session: Session, rest: str) -> int:
    """Remove folders; with ``/s`` also their contents."""
    words = arguments(rest)
    names, code = [word for word in words if not word.startswith("/")], 0
    if not names:
        session.print_error(message(session.pc, "syntax"))
        return 1
    for name in names:
        path = session.path(name)
        if any(word.lower() == "/s" for word in words) and not path.lower().startswith(session.pc.protected):
            _empty(session, path)
            if not session.pc.files.exists(path):
                continue
        code = _remove(session, path) or code
    return code


def _empty(session: Session, path: str) -> None:
    files = session.pc.files
    for name in files.listdir(path) or []:
        inside = f"{path}\\{name}"
        if not files.delete(inside):
            _empty(session, inside)
    files.remove_folder(path)


def _remove(session: Session, path: str) -> int:
    files = session.pc.files
    if _denied(session, path):
        return ACCESS_DENIED
    if files.remove_folder(path):
        return 0
    if files.is_folder(path):
        key, code = "not-empty", NOT_EMPTY
    elif files.exists(path):
        key, code = "no-folder", NO_FOLDER
    elif files.is_folder(path.rpartition("\\")[0]):
        key, code = "file-not-found", NOT_FOUND
    else:
        key, code = "path-not-found", PATH_NOT_FOUND
    session.print_error(message(session.pc, key))
    return code


def _del(session: Session, rest: str) -> int:
    """Delete files, also by wildcards.

    A missing folder is an error; a missing file, and wildcards that match nothing, only print a complaint.
    """
    names, code = [word for word in arguments(rest) if not word.startswith("/")], 0
    if not names:
        session.print_error(message(session.pc, "syntax"))
        return 1
    for name in names:
        path = session.path(name)
        found = files(session, name)
        for each in found:
            session.pc.files.delete(each)
        if not found:
            session.print_error(message(session.pc, "could-not-find", path))
            code = code if session.pc.files.is_folder(path.rpartition("\\")[0]) else 1
    return code


def _exit(session: Session, rest: str) -> int:
    session.ended = True
    numbers = [part for part in arguments(rest) if re.fullmatch(r"-?[0-9]{1,20}", part)]
    return int(numbers[0]) if numbers else session.errorlevel


def _cls(session: Session, rest: str) -> int:
    if not _without_switches(session, rest):
        return 1
    session.print("\f")
    return 0


def _nothing(session: Session, rest: str) -> int:
    return 0


COMMANDS: dict[str, Callable[[Session, str], int]] = {
    **{"echo": _echo, "type": _type, "ver": _ver, "set": _set, "cd": _cd, "chdir": _cd, "dir": _dir},
    **{"mkdir": _mkdir, "md": _mkdir, "rmdir": _rmdir, "rd": _rmdir, "ren": _ren, "rename": _ren},
    **{"del": _del, "erase": _del, "exit": _exit, "rem": _nothing, "cls": _cls, "title": _nothing},
}
"""The built-in commands, by name."""
