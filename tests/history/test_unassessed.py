"""Which hosts could not be assessed when they were looked at last, whatever run that was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import UsageError
from provmode.history.database import Database, url_of
from provmode.history.run import NewRun
from provmode.history.unassessed import Unassessed
from provmode.history.writer import write

FIRST = datetime(2026, 11, 1, 1, tzinfo=timezone.utc)


def row(host: str, cause: str | None = None) -> Mapping[str, Any]:
    verdict = "healthy" if cause is None else "unassessed"
    row = {"host": host, "verdict": verdict, "rule": verdict, "reason": "x", "findings": [], "facts": {}}
    return row if cause is None else {**row, "cause": cause, "next_step": "do it"}


def run(night: int, *rows: Mapping[str, Any], inventory: str = "fleet.py", kind: str = "audit") -> NewRun:
    began = FIRST + timedelta(days=night)
    return NewRun(f"run-{night}", kind, began, began, inventory, True, 0, "me@here", "0.1.0", rows=rows)


def causes(folder: Path, *runs: NewRun, inventory: str = "fleet.py") -> Mapping[str, str | None]:
    with Database(url_of("sqlite:///history.sqlite", folder)) as database:
        for each in runs:
            write(database, each)
        with database.reading() as connection:
            found = Unassessed(connection, inventory)
    return {host: found.cause(host) for host in ("PC-1", "PC-2", "PC-3")}


def test_the_latest_look_at_each_host_counts_whatever_run_it_was(tmp_path: Path) -> None:
    first = run(0, row("PC-1", "refused"), row("PC-2"), row("PC-3", "auth"))
    second = run(1, row("PC-1"), row("pc-2", "deadline"), kind="plan")
    third = run(2, row("PC-1", "quota"))

    assert causes(tmp_path, first) == {"PC-1": "refused", "PC-2": None, "PC-3": "auth"}
    assert causes(tmp_path, second) == {"PC-1": None, "PC-2": "deadline", "PC-3": "auth"}
    assert causes(tmp_path, third) == {"PC-1": "quota", "PC-2": "deadline", "PC-3": "auth"}


def test_a_host_that_nobody_looked_at_is_not_among_them(tmp_path: Path) -> None:
    assert causes(tmp_path, run(0, row("PC-1")))["PC-3"] is None


def test_an_inventory_that_no_run_has_looked_at_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no look at other\.py; audit all of it once, without --only"):
        causes(tmp_path, run(0, row("PC-1", "refused")), inventory="other.py")
