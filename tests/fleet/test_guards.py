"""A guard may keep a run from beginning, and stop it before a wave or a host; everybody is told which, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from provmode.fleet.apply import ApplyResult, apply_plan
from provmode.fleet.guards import Guard, Guards, RunRefused, Stop
from provmode.fleet.journal import read
from provmode.fleet.undo import undo_run
from provmode.fleet.waves import Limits


class Told(Guard):
    """A guard that stops where it is told to, and keeps what it is asked."""

    def __init__(self, at: tuple[object, ...] = (), stop: Stop | None = None) -> None:
        self._at, self._stop = at, stop
        self.asked: list[tuple[object, ...]] = []

    def _answer(self, *question: object) -> Stop | None:
        self.asked.append(question)
        return self._stop if question == self._at else None

    def before_start(self, hosts: Sequence[str]) -> Stop | None:
        return self._answer("start", len(hosts))

    def before_wave(self, hosts: Sequence[str]) -> Stop | None:
        return self._answer("wave", *hosts)

    def before_host(self, host: str) -> Stop | None:
        return self._answer("host", host)

    def host_ended(self, host: str, result: Any, seconds: float) -> None:
        self.asked.append(("ended", host, result.outcome.value))


WHY = Stop("stop file", "bob says: wait", next_step="ask bob")
LATER = Stop("window", "the window closes at 06:00", deferred=True)


@pytest.fixture
def apply(bench: Any, near: Any) -> Any:
    plans: list[Any] = []

    def applying(*guards: Guard, pcs: int = 3, wave: str = "1,1", **options: Any) -> ApplyResult:
        if not bench.pcs:
            for number in range(1, pcs + 1):
                bench.pc("armed", f"PC-{number}", seed=number)
            plans.append(bench.plan())
        return apply_plan(
            plans[0],
            Inventory(list(bench.pcs)),
            journal=bench.folder / "journal",
            limits=Limits(wave=wave),
            now=bench.now,
            runner=near.in_turn(bench),
            pause=bench.wait,
            seconds=bench.clock,
            guards=guards,
            **options,
        )

    return applying


class Inventory:
    """An inventory in memory."""

    name, path = "the near PCs", None

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def read(self) -> Any:
        return {"all": ([f"@winrm/{name}" for name in self._names], {"winrm_user": "a", "winrm_password": "b"})}


def ended(result: Any) -> list[str]:
    return [host.outcome.value for host in result.hosts]


def lines_of(journal: Path, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, journal.read_bytes().splitlines()) if line["event"] == event]


def test_each_guard_is_asked_before_the_start_each_wave_and_each_host_and_told_how_it_ended(apply: Any) -> None:
    guards = Told(), Told()

    assert ended(apply(*guards, pcs=2)) == ["changed", "changed"]

    asked = [("start", 2)]
    for host in ("@winrm/PC-1", "@winrm/PC-2"):
        asked += [("wave", host), ("host", host), ("ended", host, "changed")]
    assert [guard.asked for guard in guards] == [asked, asked]


def test_a_run_that_may_not_begin_changes_nothing_and_writes_no_journal(apply: Any, bench: Any) -> None:
    with pytest.raises(RunRefused, match=r"^bob says: wait; ask bob$"):
        apply(Told(("start", 3), WHY))

    assert not (bench.folder / "journal").exists()
    assert all(not pc.machine.mutations for pc in bench.pcs.values())


@pytest.mark.parametrize("at", ["wave", "host"])
@pytest.mark.parametrize(("stop", "word"), [(WHY, "not-started"), (LATER, "deferred")])
def test_a_guard_that_stops_a_run_is_in_report_journal_and_exit_code(
    apply: Any, bench: Any, at: str, stop: Stop, word: str
) -> None:
    result = apply(Told((at, "@winrm/PC-2"), stop))

    assert ended(result) == ["changed", word, word]
    assert [host.detail for host in result.hosts[1:]] == [stop.why] * 2
    assert (result.ended_early, result.exit_code(), result.interrupted) == (stop.why, 2, False)
    report = result.to_json()
    assert (report["stopped"], report["summary"][word]) == (stop.to_json(), 2)
    [line] = lines_of(bench.folder / "journal", "guard-tripped")
    assert (line["guard"], line["why"], line["deferred"]) == (stop.guard, stop.why, stop.deferred)
    assert [len(pc.machine.mutations) > 0 for pc in bench.pcs.values()] == [True, False, False]


def test_only_the_first_guard_that_stops_a_run_is_written_down(apply: Any, bench: Any) -> None:
    result = apply(Told(("host", "@winrm/PC-1"), LATER), Told(("host", "@winrm/PC-1"), WHY), wave="all")

    assert result.stopped == LATER
    assert len(lines_of(bench.folder / "journal", "guard-tripped")) == 1


def test_a_run_that_was_deferred_is_resumed_and_finishes(apply: Any, bench: Any) -> None:
    apply(Told(("wave", "@winrm/PC-2"), LATER))
    guard = Told()

    result = apply(guard, resume=True)

    assert (ended(result), result.exit_code()) == (["changed"] * 3, 0)
    waves = [question for question in guard.asked if question[0] == "wave"]
    assert waves == [("wave", "@winrm/PC-2"), ("wave", "@winrm/PC-3")], "a wave that is done is not asked for"
    assert read(bench.folder / "journal").closed


@pytest.mark.parametrize(("stop", "word"), [(WHY, "not-started"), (LATER, "deferred")])
def test_an_undo_is_guarded_as_an_apply_is(apply: Any, bench: Any, near: Any, stop: Stop, word: str) -> None:
    apply()
    journal, inventory = bench.folder / "journal", Inventory(list(bench.pcs))
    options: dict[str, Any] = {
        **{"now": bench.now, "seconds": bench.clock, "pause": bench.wait, "runner": near.in_turn(bench)},
        **{"limits": Limits(wave="1,1"), "unsigned": True},
    }
    before = journal.read_bytes()
    with pytest.raises(RunRefused):
        undo_run(journal, inventory, guards=[Told(("start", 3), stop)], **options)
    assert journal.read_bytes() == before

    result = undo_run(journal, inventory, guards=[Told(("host", "@winrm/PC-2"), stop)], **options)

    assert ended(result) == ["restored", word, word]
    assert (result.to_json()["stopped"], result.exit_code()) == (stop.to_json(), 2)
    assert len(lines_of(journal, "guard-tripped")) == 1
    again = undo_run(journal, inventory, guards=[Told()], **options)
    assert ended(again) == ["nothing", "restored", "restored"]


def test_guards_that_never_stop_let_a_run_go_on() -> None:
    guards = Guards([Guard()])
    guards.check_start(["@winrm/PC-1"])
    assert guards.before_wave(["@winrm/PC-1"])
    assert guards.before_host("@winrm/PC-1")
    guards.host_ended("@winrm/PC-1", None, 1.0)
    assert (guards.stopped, guards.why) == (None, "")
