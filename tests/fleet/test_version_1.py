"""Plans and journals that provmode 0.1.0 wrote are still read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from provmode.clock import utc_now
from provmode.fleet.apply import apply_plan
from provmode.fleet.audit import audit_inventory
from provmode.fleet.inventory import InventorySource
from provmode.fleet.journal import read
from provmode.fleet.plan_file import load
from provmode.fleet.undo import undo_run
from provmode.fleet.verify import verify_journal
from provmode.lab.process import LabProcess

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


def test_a_journal_of_version_1_that_a_crash_tore_is_read() -> None:
    journal = read(KEPT / "three-armed-killed.journal", KEY)

    assert journal.torn
    assert not journal.closed
    assert [record.ending for host in journal.hosts.values() for record in host.steps] == [None, None, None]


# -- applied and undone -----------------------------------------------------------------------------------------------


@pytest.fixture
def armed() -> Iterator[LabProcess]:
    """The lab that the plan was made for."""
    with LabProcess(3, 11, mix={"armed": 1}) as lab:
        yield lab


def time_of_writing() -> datetime:
    return WRITTEN


def test_a_plan_of_version_1_is_applied_and_undone_by_its_old_journal(
    armed: LabProcess, source_of: Callable[[LabProcess], InventorySource], tmp_path: Path
) -> None:
    inventory = source_of(armed)
    plan = load(KEPT / "three-armed.plan.json", KEY, unsigned=False, now=WRITTEN)
    old = tmp_path / "old.journal"
    old.write_bytes((KEPT / "three-armed.journal").read_bytes())

    applied = apply_plan(plan, inventory, journal=tmp_path / "new.journal", now=time_of_writing, key=KEY)
    undone = undo_run(old, inventory, now=time_of_writing, key=KEY)

    assert [result.outcome.value for result in applied.hosts] == ["changed"] * 3
    assert [result.outcome.value for result in undone.hosts] == ["restored"] * 3
    assert {event["event"] for event in map(json.loads, old.read_bytes().splitlines())} >= {"run-begun", "undo-ended"}
    assert verify_journal(old, key=KEY).undone == 3
    verdicts = {report.assessment.verdict.value for report in audit_inventory(inventory, now=utc_now).reports}
    assert verdicts == {"armed"}


def test_a_killed_run_of_version_1_is_resumed(
    armed: LabProcess, source_of: Callable[[LabProcess], InventorySource], tmp_path: Path
) -> None:
    inventory = source_of(armed)
    plan = load(KEPT / "three-armed.plan.json", KEY, unsigned=False, now=WRITTEN)
    journal = tmp_path / "killed.journal"
    journal.write_bytes((KEPT / "three-armed-killed.journal").read_bytes())

    applied = apply_plan(plan, inventory, journal=journal, now=time_of_writing, key=KEY, resume=True)

    assert [result.outcome.value for result in applied.hosts] == ["changed"] * 3
    found = verify_journal(journal, key=KEY)
    assert (found.exit_code(), found.open_steps, found.open_leases) == (0, [], [])
    assert all(
        len([change for change in armed.mutations(host.name) if "MobileClient" in change["what"]])
        for host in armed.hosts
    )
