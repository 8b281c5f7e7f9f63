"""Plans and journals that provmode 0.1.0 wrote are still read."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

from provmode.fleet.journal import read
from provmode.fleet.plan_file import load

KEPT = Path(__file__).parent / "version-1"
KEY = b"0123456789abcdef0123456789abcdef"
WRITTEN = datetime(2026, 11, 26, tzinfo=timezone.utc)
EVERY_KIND = {"tcf": 1, "start-mode": 1, "service-state": 1, "mode": 3, "policy": 3}


def test_a_plan_of_version_1_is_read_with_every_kind_of_step() -> None:
    plan = load(KEPT / "every-step.plan.json", KEY, unsigned=False, now=WRITTEN)

    assert Counter(step.kind for host in plan.changing for step in host.steps) == EVERY_KIND
    assert plan.by == "admin@controller"
    assert plan.signed


def test_a_journal_of_version_1_is_read_to_its_last_undo() -> None:
    journal = read(KEPT / "every-step-undone.journal", KEY)

    assert Counter(record.step.kind for host in journal.hosts.values() for record in host.steps) == EVERY_KIND
    assert {host.outcome for host in journal.hosts.values()} == {"changed"}
    assert sorted(record.step.kind for host in journal.hosts.values() for record in host.steps if record.undone) == [
        "start-mode",
        "tcf",
    ]
    assert journal.signed
    assert journal.closed


def test_a_journal_of_version_1_that_a_crash_cut_off_is_read() -> None:
    journal = read(KEPT / "three-armed-killed.journal", KEY)

    assert journal.torn
    assert not journal.closed
    assert [record.ending for host in journal.hosts.values() for record in host.steps] == [None, None, None]
