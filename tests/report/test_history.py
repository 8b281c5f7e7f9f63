"""The whole change that a journal records, as text."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from pathlib import Path

from provmode.fleet.history import history_of
from provmode.fleet.journal import Journal
from provmode.fleet.waves import Limits
from provmode.report.history import print_history
from provmode.report.lines import Page


def test_the_limits_of_a_run_are_shown_as_the_options_that_name_them_and_nothing_is_cut(tmp_path: Path) -> None:
    names = tuple(f"PC-{number}" for number in range(1, 13))
    limits = Limits("1,25%", 2.0, "5%", 64, limit=names)
    journal = tmp_path / "journal"
    Journal.create(journal, "plan-1", lambda: datetime(2026, 11, 26, tzinfo=timezone.utc), limits=limits).close()
    file = io.StringIO()

    print_history(history_of(journal, None), Page(file=file, wide=True))

    chosen = " ".join(f"--limit {name}" for name in names)
    assert f"      limits: --wave 1,25% --soak 2 --max-failures 5% --parallel 64 {chosen}\n" in file.getvalue()
