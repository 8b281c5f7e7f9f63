"""Names of files as cmd.exe takes them: wildcards in the last part, and what ``%~`` makes of a loop's variable."""

from __future__ import annotations

from fnmatch import fnmatchcase

from provmode.lab.windows.session import Session
from provmode.lab.windows.store import File, normal


def matches(session: Session, path: str) -> list[str]:
    """Return the names in a folder that match the wildcards in the last part of *path*."""
    folder, _, last = path.rpartition("\\")
    pattern = last.lower().replace("[", "[[]")
    return [name for name in session.pc.files.listdir(folder) or [] if fnmatchcase(name.lower(), pattern)]


def files(session: Session, name: str) -> list[str]:
    """Return the paths of the files that *name*, which may have wildcards, means."""
    path = session.path(name)
    folder = path.rpartition("\\")[0]
    paths = [f"{folder}\\{match}" for match in matches(session, path)] if is_pattern(path) else [path]
    return [path for path in paths if session.pc.files.get(path) is not None]


def exists(session: Session, name: str) -> bool:
    """Return whether there is a file or a folder that *name*, which may have wildcards, means."""
    path = session.path(name)
    return bool(matches(session, path)) if is_pattern(path) else session.pc.files.exists(path)


def described(session: Session, modifiers: str, value: str) -> str:
    """Return what ``%~`` with *modifiers* makes of the value of a loop: the parts of its full path, its size, ...

    There are no short names here: ``s`` changes nothing.
    """
    if not modifiers:
        return value
    path = normal(session.path(value))
    file = session.pc.files.get(path)
    drive, _, rest = path.partition("\\")
    folder, _, last = rest.rpartition("\\")
    stem, dot, extension = last.rpartition(".")
    stem, extension = (stem, f"{dot}{extension}") if dot else (last, "")
    about = []
    if "a" in modifiers:
        about.append("d----------" if session.pc.files.is_folder(path) else "--a--------" if file else "")
    if "t" in modifiers:
        about.append(f"{file.modified:%d.%m.%Y %H:%M}" if file and session.pc.german else _date(file))
    if "z" in modifiers:
        about.append(str(len(file.data)) if file else "")
    whole = "f" in modifiers or not set(modifiers) & set("dpnx")
    parts = {"d": drive, "p": f"\\{folder}\\" if folder else "\\", "n": stem, "x": extension}
    named = "".join(text for letter, text in parts.items() if whole or letter in modifiers)
    if about and not set(modifiers) & set("fdpnxs"):
        return " ".join(about)
    return " ".join([*about, named])


def _date(file: File | None) -> str:
    return f"{file.modified:%m/%d/%Y %I:%M %p}" if file else ""


def is_pattern(path: str) -> bool:
    """Return whether the last part of a path has wildcards."""
    last = path.rpartition("\\")[2]
    return "*" in last or "?" in last
