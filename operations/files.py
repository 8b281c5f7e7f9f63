"""Files, by compare-and-swap: only the file that was read is replaced, and it is kept beside the new one."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, StrictUndefined
from jinja2 import TemplateError as JinjaError
from pyinfra import host
from pyinfra.api import operation

from facts.files import Contents
from operations.step import Commands, carry_out, isolated, known_or_absent
from provmode.reading import known
from provmode.remediation.diff import text_diff
from provmode.remediation.steps import SetFile
from provmode.windows.files import sha256

BACKUP = ".provmode-backup"
"""Suffix of the old file's name."""
_FULL_PATH = re.compile(r"(?:[A-Za-z]:|%[^%]+%|\\\\[^\\/]+\\[^\\/]+)[\\/]")


@operation()
@isolated
def contents(path: str, data: bytes | str) -> Commands:
    """
    Make a file have these bytes.

    + path: any variable of the PC's environment is expanded
    + data: the bytes; text is written as UTF-8

    Changes only this file, and only if it is still the file that was read: if it changed in between, it stays as it is
    and the operation fails. The old file is kept beside it (``.provmode-backup``). Undone by `restored`, or by `absent`
    if there was no file before.
    """
    if not isinstance(data, (bytes, str)):
        raise ValueError(f"data for {path} is neither bytes nor text: {type(data).__name__}")  # noqa: TRY004
    wanted = data.encode() if isinstance(data, str) else data
    yield from _set(path, wanted)


@operation()
@isolated
def template(src: str | StringIO, path: str, encoding: str = "utf-8", **data: Any) -> Commands:
    """
    Make a file have what a jinja2 template renders to.

    + src: the template's file on the controller (UTF-8), or a ``StringIO`` with its text; line endings are kept
    + path: any variable of the PC's environment is expanded
    + encoding: encoding of the file: ``utf-8``, ``utf-16`` (with byte order mark), ``cp1252``
    + data: variables of the template, besides ``host``; a missing variable is an error

    Changes only this file. Undone in the same way as `contents`.
    """
    text = src.getvalue() if isinstance(src, StringIO) else Path(src).read_bytes().decode("utf-8-sig")
    ends: Literal["\r\n", "\n"] = "\r\n" if "\r\n" in text else "\n"
    try:
        jinja = Environment(  # noqa: S701 - no HTML
            undefined=StrictUndefined, keep_trailing_newline=True, newline_sequence=ends
        )
        rendered = jinja.from_string(text).render(host=host, **data)
    except JinjaError as error:
        raise ValueError(f"the template for {path}: {error}") from None
    mark = b"\xff\xfe" if encoding.lower() in ("utf-16", "utf16") else b""
    try:
        wanted = mark + rendered.encode("utf-16-le" if mark else encoding)
    except LookupError:
        raise ValueError(f"there is no encoding {encoding!r}") from None
    yield from _set(path, wanted)


@operation()
@isolated
def absent(path: str) -> Commands:
    """
    Make a file not be there.

    + path: any variable of the PC's environment is expanded

    Changes the file's name: the file is renamed to ``.provmode-backup`` beside it. Undone by `restored`.
    """
    yield from _set(path, None)


@operation()
@isolated
def restored(path: str) -> Commands:
    """
    Put the file back that an operation here replaced or moved away.

    + path: the file's own path, not that of its backup

    Changes only this file; the backup stays. Undone by hand: the current file is kept beside it as
    ``.provmode-replaced``. If there is no backup, the operation fails.
    """
    backup = known(known_or_absent(host.get_fact(Contents, path=path + BACKUP), path + BACKUP), None)
    if backup is None:
        raise ValueError(f"there is no backup {path}{BACKUP}")
    yield from _set(path, backup.data, backup="provmode-replaced")


def _set(path: str, wanted: bytes | None, backup: str = BACKUP[1:]) -> Commands:
    if not _FULL_PATH.match(path):
        raise ValueError(f"path {path!r} is not a full path such as C:\\folder\\file or %windir%\\file")
    current = known(known_or_absent(host.get_fact(Contents, path=path), path), None)
    before = current.data if current is not None else None
    if before == wanted:
        host.noop(f"{path} is as it should be")
        return
    step = SetFile(
        path,
        None if before is None else sha256(before),
        None if wanted is None else sha256(wanted),
        text_diff(path, before or b"", wanted or b""),
        backup,
    )
    yield from carry_out(step, data=wanted)
