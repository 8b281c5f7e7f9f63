"""What ``[change]`` of the configuration file asks `provmode systemd` for: plans of a folder, applied at night."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from provmode.cli.common import configuration
from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.night import Change, When

if TYPE_CHECKING:
    from provmode.calendars.spans import Span
    from provmode.fleet.for_user import User

KEYS = ("plan_keys", "journal_keys", "approvers")
"""Lists of public keys under ``[signing]``."""


def change_of_night() -> Change | None:
    """Return what is applied at night, by the configuration file; ``None`` if it has no table ``[change]``.

    Raises:
        UsageError: what it needs is missing: a folder, a key, a window, or a time within one.
    """
    from provmode.fleet.windows import DRAIN, read_drain

    found = configuration()
    table, windows, signing = found.table("change"), found.table("windows"), found.table("signing")
    if not table:
        return None
    if "plans" not in table:
        raise UsageError(f"{found.path}: [change] names no folder", next_step="set plans under [change]")
    if not ("plan_keys" in signing or "key_file" in found.options):
        raise UsageError(
            "plans of a folder have to be signed, and nobody says with which keys",
            next_step="name the public keys of who makes plans: plan_keys under [signing]",
        )
    when = When.parse(table.get("at", AT))
    spans = _windows(windows)
    if not any(when.within(span.begins.astimezone(), span.ends.astimezone()) for span in spans):
        raise UsageError(
            f"no window is open at {when}, when plans are to be applied",
            next_step="set at under [change] to a time within a window, on this computer's clock",
        )
    secrets = {
        key: os.path.abspath(path) for name in ("", "signing") for key, path in found.secrets.get(name, {}).items()
    }
    public = [path for name in KEYS for path in signing.get(name, ())]
    gate = [word for word in windows.get("gate", ())[:1] if "/" in word]
    stop = [found.options["stop_file"]] if "stop_file" in found.options else []
    return Change(
        os.path.abspath(table["plans"]),
        when,
        max((span.ends - span.begins).total_seconds() for span in spans),
        read_drain(windows.get("drain", DRAIN)),
        secrets,
        tuple(os.path.abspath(path) for path in (*_calendars(windows), *public, *gate, *stop)),
    )


AT = "22:00"
"""When plans are applied if the file does not say."""


def _calendars(windows: Mapping[str, Any]) -> list[str]:
    return [*windows.get("window", ()), *windows.get("blackout", ())]


def _windows(windows: Mapping[str, Any]) -> tuple[Span, ...]:
    """Return the windows that are known now.

    Raises:
        UsageError: there is none.
        CalendarRefused: a calendar cannot be relied on.
    """
    from provmode.calendars.spans import joined
    from provmode.fleet.windows import calendars

    zone = ZoneInfo(str(windows["zone"])) if "zone" in windows else None
    found = calendars(windows.get("window"), zone=zone)
    if found is None:
        raise UsageError(
            "plans are applied at night only inside windows, and the configuration names none",
            next_step='name a calendar: window = ["windows.ics"] under [windows]',
        )
    spans = joined(span for calendar in found for span in calendar.spans(utc_now()))
    if not spans:
        raise UsageError(
            "the calendars under [windows] have no window to come", next_step="add windows, and write the units again"
        )
    return spans


def hindered(change: Change, user: User) -> Iterator[str]:
    """Yield what keeps the service of *user* from applying plans."""
    folder = Path(change.plans)
    cure = shlex.join(["install", "-d", "-m", "700", "-o", user.name, change.plans])
    try:
        if not (user.may(folder, 1) and user.may(folder, 2)):
            yield f"{user.name} cannot write to {folder}, where plans and their journals are: {cure}"
    except OSError as error:
        yield f"{user.name} needs the folder {folder} for plans and their journals ({error.strerror}): {cure}"
