"""A waiver more in the text of a file. Everything that is in the file stays as it is, byte for byte."""

from __future__ import annotations

import json
import zoneinfo
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime

from provmode.errors import UsageError
from provmode.waivers.model import MAX_DAYS, Waiver, Waivers
from provmode.waivers.words import KEYS, TABLE, parse, text_of, toml_of

NEW_FILE = """\
# Findings that are known: who answers for each, and until when. docs/waivers.md says what may stand here.
# Nobody but you and root may be able to write to this file and its folder.
"""


def block(values: Mapping[str, str | date]) -> str:
    """Return a waiver as TOML; *values* by the names of `KEYS`, and empty ones are left out."""
    lines = [f"[[{TABLE}]]"]
    for key in KEYS:
        value = values.get(key.name)
        if value:
            lines.append(f"{key.name} = {value.isoformat() if isinstance(value, date) else _quoted(value)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _known_zone(zone: str) -> str:
    """Return *zone*.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        what = (
            f"there is no time zone {zone!a:.60}" if zone else "the file names no time zone, so that no day has an end"
        )
        raise UsageError(what, next_step="give --zone Europe/Berlin, or another name of the IANA time zones") from None
    return zone


def added(
    data: bytes | None,
    values: Mapping[str, str | date],
    path: str,
    *,
    zone: str = "",
    now: datetime,
    max_days: int = MAX_DAYS,
) -> tuple[bytes, Waiver]:
    """Return the bytes of a file with a waiver more at its end, and that waiver.

    *data* are the bytes of the file as it is; ``None``: there is none. A file that names no time zone gets *zone*. If
    *values* do not say when it was created, it was today, there.

    Raises:
        UsageError: the file cannot be read, or the new waiver cannot be written behind what is there.
        Mistakes: everything that is wrong with the file, or with the new waiver.
    """
    before = parse(data, path, now=now, max_days=max_days) if data is not None else Waivers()
    data = NEW_FILE.encode() if data is None else data
    head = ""
    if not before.zone:
        head = f"zone = {_quoted(_known_zone(zone))}\n"
    elif zone not in ("", before.zone):
        raise UsageError(f"days end in {before.zone} in {path}, not in {zone}", next_step="leave --zone out")
    if "created" not in values:
        values = {**values, "created": now.astimezone(zoneinfo.ZoneInfo(before.zone or zone)).date()}
    for name, value in values.items():
        if isinstance(value, str) and not value.isprintable():
            raise UsageError(f"{name} {value!a:.60} is not a line of printable text", next_step="type it anew")
    ends = b"\r\n" if b"\r\n" in data else b"\n"
    between = b"" if not data or data.endswith(b"\n") else ends
    text = (head + "\n" + block(values)).encode().replace(b"\n", ends)
    new = data + between + text
    try:
        toml_of(text_of(new, path), path)
    except UsageError as error:
        raise UsageError(
            f"{path}: no waiver can be written behind its end ({error.what.partition(f'{path}: ')[2]})",
            next_step=f"write its waivers as [[{TABLE}]]",
        ) from None
    after = parse(new, path, now=now, max_days=max_days)
    kept = [replace(each, line=None) for each in after.waivers[:-1]] == [
        replace(each, line=None) for each in before.waivers
    ]
    if not kept or len(after.waivers) != len(before.waivers) + 1:
        raise UsageError(f"{path}: a waiver behind its end would change others", next_step="write it by hand")
    return new, after.waivers[-1]
