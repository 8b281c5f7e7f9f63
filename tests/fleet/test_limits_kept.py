"""The limits of a run: safe unless taken away by name, said before the first host, kept by its journal."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from provmode.cli.common import progress_bar, say
from provmode.errors import UsageError
from provmode.fleet.begun import AS_BEGUN, NEW, NOT_KEPT, settle
from provmode.fleet.journal import Journal, read
from provmode.fleet.waves import ALL, NONE, SAFE, Limits
from provmode.report.lines import line

BEGUN = Limits("1,1", 2.0, "1", 3, ("PC-1", "PC-2"), ("PC-9",))


def first_line(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes().splitlines()[0]))


def plan_file(commands: Any) -> Path:
    path = commands.bench.folder / "plan"
    planned = commands.run("plan", commands.inventory, "--output", path, "--unsigned")
    assert planned.code == 2, planned
    return Path(path)


def fleet(commands: Any, count: int) -> list[Any]:
    return [commands.bench.pc("armed", f"PC-{number}", seed=number) for number in range(1, count + 1)]


def fails(pc: Any) -> None:
    pc.refuse("provmode-claim", times=None)


# -- which limits count -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [
        *(SAFE, BEGUN, Limits(), Limits("all", 0, "none", 1)),
        Limits(min_reached="5,50%", per_group="3", per_site="20", ramp=True, spread=True),
    ],
)
def test_limits_in_a_journal_are_read_back(bench: Any, limits: Limits) -> None:
    journal = bench.folder / "journal"

    Journal.create(journal, "plan-1", bench.now, limits=limits).close()
    found = read(journal).limits

    assert found is not None
    assert found.to_json() == limits.to_json() == first_line(journal)["limits"]
    assert (found.sizes(7), found.budget()) == (limits.sizes(7), limits.budget())


def test_a_new_run_has_the_safe_limits_but_those_that_are_named(bench: Any) -> None:
    settled = settle({"wave": ALL}, bench.folder / "journal", resume=False, key=None)

    assert (settled.limits, settled.source) == (SAFE.changed({"wave": ALL}), NEW)
    assert SAFE.sizes(400) == [5, 100, 295]
    assert SAFE.budget() is not None


def test_a_resumed_run_has_the_limits_it_was_begun_with_but_those_that_are_named(bench: Any) -> None:
    journal = bench.folder / "journal"
    Journal.create(journal, "plan-1", bench.now, limits=BEGUN).close()

    same = settle({}, journal, resume=True, key=None)
    other = settle({"soak": 7.0, "max_failures": NONE}, journal, resume=True, key=None)

    assert (same.limits, same.source) == (BEGUN, AS_BEGUN)
    assert other.limits == Limits("1,1", 7.0, NONE, 3, ("PC-1", "PC-2"), ("PC-9",))


def test_the_limits_of_the_last_resume_count_in_the_next_one_and_an_undo_changes_none(bench: Any) -> None:
    journal = bench.folder / "journal"
    Journal.create(journal, "plan-1", bench.now, limits=SAFE).close()
    Journal.resume(journal, "plan-1", bench.now, limits=BEGUN)[0].close()
    Journal.resume(journal, "plan-1", bench.now, event="undo-begun", limits=Limits())[0].close()

    assert settle({}, journal, resume=True, key=None).limits == BEGUN


def test_a_journal_that_does_not_have_its_limits_is_resumed_under_the_safe_ones_and_it_is_said(bench: Any) -> None:
    journal = bench.folder / "journal"
    Journal.create(journal, "plan-1", bench.now).close()

    settled = settle({"soak": 3.0}, journal, resume=True, key=None)

    assert (settled.limits, settled.source) == (SAFE.changed({"soak": 3.0}), NOT_KEPT)


@pytest.mark.parametrize("torn", [True, False])
def test_a_run_that_never_began_is_resumed_under_the_safe_limits(bench: Any, torn: bool) -> None:
    journal = bench.folder / "journal"
    if torn:
        journal.write_bytes(b'{"event": "run-begun", "hash": "12')

    assert settle({}, journal, resume=True, key=None).limits == SAFE


@pytest.mark.parametrize(
    "change",
    [
        {"wave": 5},
        {"wave": ""},
        {"soak": "1"},
        {"soak": -1},
        {"soak": True},
        {"max_failures": None},
        {"parallel": 0},
        {"parallel": True},
        {"limit": "PC-1"},
        {"exclude": [1]},
        {"min_reached": 50},
        {"per_site": None},
        {"per_group": ""},
        {"ramp": "yes"},
        {"spread": 1},
    ],
)
def test_limits_that_are_none_make_a_journal_damaged(bench: Any, change: dict[str, Any]) -> None:
    journal = bench.folder / "journal"
    writer = Journal.create(journal, "plan-1", bench.now)
    writer.write("run-resumed", plan="plan-1", signed=False, limits={**SAFE.to_json(), **change})
    writer.close()

    with pytest.raises(UsageError, match="line 2: run-resumed without a valid limits"):
        read(journal)


def test_limits_that_only_a_later_version_knows_do_not_stop_the_reader(bench: Any) -> None:
    journal = bench.folder / "journal"
    writer = Journal.create(journal, "plan-1", bench.now)
    writer.write("run-resumed", plan="plan-1", signed=False, limits={**SAFE.to_json(), "until": "02:00"})
    writer.close()

    assert read(journal).limits == SAFE


def test_of_limits_that_the_version_that_wrote_a_journal_did_not_know_the_safe_ones_count(bench: Any) -> None:
    journal = bench.folder / "journal"
    writer = Journal.create(journal, "plan-1", bench.now)
    old = {"wave": "all", "soak": 0.0, "max_failures": "none", "parallel": 3, "limit": [], "exclude": []}
    writer.write("run-resumed", plan="plan-1", signed=False, limits=old)
    writer.close()

    assert read(journal).limits == SAFE.changed({"wave": "all", "max_failures": "none", "parallel": 3})


# -- at the command line ----------------------------------------------------------------------------------------------


def test_a_run_without_any_limit_named_is_safe_and_says_so_before_its_first_host(commands: Any) -> None:
    pcs = fleet(commands, 7)
    plan = plan_file(commands)
    for pc in pcs:
        fails(pc)

    ran = commands.run("apply", plan, "--unsigned", "--format", "json")

    said = " ".join(ran.err.split())
    assert said.startswith("about to change 7 hosts 7 hosts:")
    first = ["PC-1", "PC-2", "PC-5", "PC-6", "PC-7"]  # their clients have five versions
    assert f"SMSPROVISIONINGMODE 1 -> absent wave 1 of 2: 5 hosts: {', '.join(first)} wave 2 of 2: 2" in said
    assert "guards: --min-reached 50% --ramp --spread at worst: 5 hosts fail before the run ends: 1 within" in said
    limits = f"limits: --wave 5,25% --soak 0 --max-failures 5,20% --parallel 64 ({NEW})"
    assert limits in [line.strip() for line in ran.err.splitlines()], "one line, as it is no terminal"
    report = json.loads(ran.out)
    assert report["ended_early"].endswith("more than the failure budget of 20 %")
    assert [host["ended"] for host in report["hosts"] if host["host"] not in first] == ["not-started"] * 2
    assert first_line(Path(f"{plan}.journal"))["limits"] == SAFE.to_json()


def test_limits_are_taken_away_only_by_name(commands: Any) -> None:
    for pc in fleet(commands, 7):
        fails(pc)
    plan = plan_file(commands)
    for pc in commands.bench.pcs.values():
        fails(pc)

    ran = commands.run("apply", plan, "--unsigned", "--wave", "all", "--max-failures", "none", "--format", "json")

    assert "wave 1 of 1: 7 hosts" in ran.err
    assert [host["ended"] for host in json.loads(ran.out)["hosts"]] == ["failed"] * 7


def test_a_resume_goes_on_as_the_run_was_begun_unless_it_is_told_otherwise(commands: Any) -> None:
    pcs = fleet(commands, 4)
    plan = plan_file(commands)
    for pc in pcs[1:]:
        fails(pc)
    named = ("--wave", "1,1,1", "--max-failures", "0", "--parallel", "2", "--exclude", "PC-4")
    first = commands.run("apply", plan, "--unsigned", *named, "--format", "json")
    begun = first_line(Path(f"{plan}.journal"))["limits"]

    again = commands.run("apply", plan, "--unsigned", "--resume", "--format", "json")
    told = commands.run("apply", plan, "--unsigned", "--resume", "--max-failures", "2", "--format", "json")

    ends = [[host["ended"] for host in json.loads(ran.out)["hosts"]] for ran in (first, again, told)]
    assert ends == [["changed", "failed", "not-started"]] * 2 + [["changed", "failed", "failed"]]
    own = {"wave": "1,1,1", "max_failures": "0", "parallel": 2, "exclude": ("PC-4",)}
    assert begun == SAFE.changed(own).to_json()
    assert "about to change 2 hosts; 1 host finished before" in again.err
    assert AS_BEGUN in " ".join(again.err.split())
    assert "--wave 1,1,1 --soak 0 --max-failures 2 --parallel 2 --exclude PC-4" in " ".join(told.err.split())
    assert pcs[3].changes == []


def test_a_resume_of_a_journal_without_limits_says_that_the_safe_ones_count(commands: Any) -> None:
    fleet(commands, 1)
    plan = plan_file(commands)
    Journal.create(Path(f"{plan}.journal"), json.loads(plan.read_text())["id"], commands.bench.now).abandon()

    ran = commands.run("apply", plan, "--unsigned", "--resume")

    assert ran.code == 0
    assert NOT_KEPT in " ".join(ran.err.split())


def test_only_the_chosen_hosts_of_a_plan_are_changed(commands: Any) -> None:
    one, two, three = fleet(commands, 3)
    healthy = commands.bench.pc("healthy", "PC-4")
    plan = plan_file(commands)
    names = commands.bench.folder / "pilot.txt"
    names.write_text("pc-1\npc-2, PC-4 # the pilot\n")

    ran = commands.run("apply", plan, "--unsigned", "--limit", f"@{names}", "--exclude", "pc-2")
    names.unlink()
    again = commands.run("apply", plan, "--unsigned", "--resume", "--limit", "*")
    unknown = commands.run("apply", plan, "--unsigned", "--resume", "--limit", "PC-5")

    assert (ran.code, bool(one.changes), ran.out.splitlines()[-1]) == (0, True, "1 host: 1 changed; 1 host left out")
    assert (again.code, bool(three.changes)) == (0, True)
    assert again.out.splitlines()[-1] == "2 hosts: 2 changed; 1 host left out"
    assert (unknown.code, two.changes, healthy.changes) == (1, [], [])
    assert "--limit PC-5 matches no host and no group of the plan; did you mean PC-" in unknown.err


def test_nothing_is_said_to_begin_if_the_run_cannot_begin(commands: Any) -> None:
    fleet(commands, 1)
    plan = plan_file(commands)
    commands.run("apply", plan, "--unsigned")

    ran = commands.run("apply", plan, "--unsigned")

    assert ran.code == 1
    assert "about to change" not in ran.err


class Terminal(io.StringIO):
    """Standard error that says it is a terminal, with a progress bar in its place or not."""

    def isatty(self) -> bool:
        return True


def test_what_is_said_while_there_is_a_progress_bar_stands_on_lines_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    with progress_bar("applying"):
        say(lambda console: line("about to change 1 host", console))

    before, found, _ = terminal.getvalue().partition("about to change 1 host")
    assert found
    assert re.search(r"\r(\x1b\[[0-9;]*[A-Za-z])*$", before), "the bar was taken away before"
