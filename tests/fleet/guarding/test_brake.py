"""Unusually many hosts are changed only if somebody says exactly how many they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.fleet.guarding.brake import Brake, Usual, too_many

COUNTS = st.integers(0, 3000)


@pytest.mark.parametrize(
    ("hosts", "assessed", "last", "why"),
    [
        (49, 49, 1, ""),
        (50, 1000, None, ""),
        (51, 1000, None, "5 % of the 1,000 assessed yesterday, and more than 5 %"),
        (50, 50, None, "100 % of the 50 assessed yesterday, and more than 5 %"),
        (50, 0, None, "of the 0 assessed yesterday, and more than 5 %"),
        (150, 100_000, 50, ""),
        (151, 100_000, 50, "more than 3 times the 50 of the plan before"),
        (50, 100_000, 0, "more than 3 times the 0 of the plan before"),
    ],
)
def test_from_fifty_hosts_up_a_share_and_the_plan_before_count(
    hosts: int, assessed: int, last: int | None, why: str
) -> None:
    assert too_many(hosts, Usual(assessed, "yesterday", last)) == why


def names(count: int) -> list[str]:
    return [f"@winrm/PC-{number}" for number in range(count)]


@given(COUNTS, st.none() | COUNTS, COUNTS, st.none() | COUNTS)
def test_without_a_terminal_only_the_exact_number_lets_many_begin(
    hosts: int, said: int | None, assessed: int, last: int | None
) -> None:
    usual = Usual(assessed, "yesterday", last)

    stop = Brake(said, lambda: usual).before_start(names(hosts))

    allowed = said == hosts if said is not None else not too_many(hosts, usual)
    assert (stop is None) == allowed
    assert stop is None or stop.next_step.endswith((f"--yes-many {hosts}", f"--yes-many {hosts} if that is right"))


def test_few_hosts_are_compared_with_nothing() -> None:
    def fail() -> Usual:
        raise AssertionError("nobody looks into the history for few hosts")

    assert Brake(None, fail).before_start(names(49)) is None


@pytest.mark.parametrize(("answer", "begins"), [("60", True), ("59", False), ("", False), ("yes", False)])
def test_at_a_terminal_the_number_is_asked_for(answer: str, begins: bool) -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return answer

    stop = Brake(None, lambda: Usual(100, "yesterday"), ask).before_start(names(60))

    assert (stop is None) == begins
    assert asked == ["60 hosts would be changed: 60 % of the 100 assessed yesterday, and more than 5 %. Their number?"]


# -- a run ------------------------------------------------------------------------------------------------------------


class Fleet:
    """Fifty armed PCs, and some that are healthy."""

    def __init__(self, commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands, self.bench, self.folder = commands, commands.bench, commands.bench.folder
        monkeypatch.chdir(self.folder)
        monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)
        self.folder.chmod(0o755)
        for number in range(1, 51):
            self.bench.pc("armed", f"PC-{number}", seed=1)

    @property
    def changed(self) -> int:
        return sum(bool(pc.changes) for pc in self.bench.pcs.values())

    def plan(self, *options: object) -> Path:
        ran = self.commands.run("plan", self.commands.inventory, "--output", "plan.json", "--unsigned", *options)
        assert ran.code == 2, ran.err
        return Path(self.folder) / "plan.json"


@pytest.fixture
def fleet(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(commands, monkeypatch)


def test_without_a_terminal_many_hosts_are_refused_and_the_option_that_lets_them_through_is_said(fleet: Fleet) -> None:
    plan = fleet.plan()

    refused = fleet.commands.run("apply", plan, "--unsigned")
    wrong = fleet.commands.run("apply", plan, "--unsigned", "--yes-many", "49")
    before = fleet.changed
    some = fleet.commands.run("apply", plan, "--unsigned", "--limit", "PC-1", "--journal", "one.journal")
    right = fleet.commands.run("apply", plan, "--unsigned", "--yes-many", "50")

    assert (refused.code, wrong.code, before) == (3, 3, 0)
    why = "50 hosts would be changed: 100 % of the 50 assessed when it was planned, and more than 5 %"
    assert f"provmode: {why}; if that is right, give --yes-many 50\n" in refused.err
    assert "--yes-many 49 is not the number of hosts to change, which is 50; look why" in wrong.err
    assert "about to change" not in refused.err
    assert (some.code, right.code, fleet.changed) == (0, 0, 50)


def test_a_resume_with_more_hosts_than_the_run_had_is_refused_too(fleet: Fleet) -> None:
    plan = fleet.plan()
    assert fleet.commands.run("apply", plan, "--unsigned", "--limit", "PC-1").code == 0

    more = fleet.commands.run("apply", plan, "--unsigned", "--resume", "--limit", "*")
    said = fleet.commands.run("apply", plan, "--unsigned", "--resume", "--limit", "*", "--yes-many", "50")

    assert (more.code, said.code, fleet.changed) == (3, 0, 50)


def test_the_history_knows_how_many_are_usual(fleet: Fleet) -> None:
    Path("provmode.toml").write_text("[history]\nurl = 'sqlite:///history.sqlite'\n")
    refused = fleet.commands.run("apply", fleet.plan("--limit", "PC-*"), "--unsigned")
    fleet.bench.wait(60)
    assert fleet.commands.run("audit", fleet.commands.inventory).code == 2
    fleet.bench.wait(60)

    again = fleet.commands.run("apply", fleet.plan("--limit", "PC-*"), "--unsigned")

    assert (refused.code, again.code, fleet.changed) == (3, 3, 0)
    assert "assessed when it was planned" in refused.err
    assert "100 % of the 50 assessed by the last audit of all" in again.err


def test_three_times_the_plan_before_is_told_by_the_history(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("provmode.toml").write_text("[history]\nurl = 'sqlite:///history.sqlite'\n")
    monkeypatch.setattr("provmode.fleet.guarding.brake.PERCENT", 100)
    few = fleet.plan("--limit", "PC-1,PC-2")
    few.unlink()
    fleet.bench.wait(60)

    ran = fleet.commands.run("apply", fleet.plan(), "--unsigned")

    assert ran.code == 3
    assert "50 hosts would be changed: more than 3 times the 2 of the plan before" in ran.err


def test_a_history_that_cannot_be_read_is_said_and_the_plan_counts(fleet: Fleet) -> None:
    plan = fleet.plan()
    Path("provmode.toml").write_text("[history]\nurl = 'sqlite:///history.sqlite'\n")
    Path("history.sqlite").write_text("no database")

    ran = fleet.commands.run("apply", plan, "--unsigned")

    assert ran.code == 3
    assert "the number of hosts is compared with the plan alone: " in ran.err
    assert "assessed when it was planned" in ran.err


def test_a_push_has_the_brake_too_and_asks_for_the_number_at_a_terminal(fleet: Fleet) -> None:
    push = ("push", fleet.commands.inventory, "--unsigned", "--yes", "--max-hosts", "all")

    refused = fleet.commands.run(*push, "--output", "one.json")
    before = fleet.changed
    fleet.commands.answer = "50"
    asked = fleet.commands.run(*push, "--output", "two.json")

    assert (refused.code, before) == (3, 0)
    assert "give --yes-many 50" in refused.err
    assert (asked.code, fleet.changed) == (0, 50)
    assert "Their number? " in asked.err
