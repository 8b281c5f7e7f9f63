"""After each soak what was changed is looked at again: a relapse or a broken client counts as a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.verdict import Assessment, Verdict
from provmode.errors import Unreachable
from provmode.fleet.guarding.relapse import Again, again
from provmode.fleet.journal import read

TCF = "C:\\Windows\\ccmsetup\\MobileClient.TCF"


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_is_a_relapse_or_holds_or_says_nothing(verdict: Verdict) -> None:
    relapses = {Verdict.STUCK, Verdict.OVERDUE, Verdict.HALF_EXITED, Verdict.ARMED}
    relapses |= {Verdict.SELF_HEALING, Verdict.CLIENT_BROKEN}
    holds = {Verdict.HEALTHY, Verdict.NO_CLIENT, Verdict.IN_PROGRESS}

    found = again(Assessment(verdict, "rule", "reason"))

    assert (found is Again.RELAPSED) == (verdict in relapses)
    assert (found is Again.HOLDS) == (verdict in holds)
    assert (found is Again.NOT_SEEN) == (verdict is Verdict.UNASSESSED)


class Run:
    """Applies a plan for armed PCs with a soak; what happens in a soak is told by its number."""

    def __init__(self, commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands, self.bench = commands, commands.bench
        self.in_soak: dict[str, Any] = {}
        """What happens right after a PC was worked on, by its name."""
        runner = commands.runner

        def with_events(working: int = 1) -> Any:
            made = runner(working)
            made.at_end_of = self.in_soak
            return made

        monkeypatch.setattr("provmode.fleet.visit.GeventRunner", with_events)

    def plan(self, pcs: int = 3) -> Path:
        for number in range(1, pcs + 1):
            self.bench.pc("armed", f"PC-{number}", seed=1)
        path = Path(self.bench.folder) / "plan.json"
        assert self.commands.run("plan", self.commands.inventory, "--output", path, "--unsigned").code == 2
        return path

    def arm(self, number: int) -> None:
        """Let somebody put the file with the entry back."""
        pc = self.bench.pcs[f"PC-{number}"]
        pc.machine.files.write(TCF, b"[Client Install]\r\nSMSPROVISIONINGMODE=1\r\n", self.bench.now())

    def apply(self, plan: Path, *options: str) -> Any:
        usual = ("--wave", "1,1", "--soak", "0.01", "--format", "json")
        return self.commands.run("apply", plan, "--unsigned", *usual, *options)


@pytest.fixture
def run(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(commands, monkeypatch)


def ends(ran: Any) -> list[str]:
    return [host["ended"] for host in json.loads(ran.out)["hosts"]]


def test_a_host_that_is_armed_again_before_the_next_wave_counts_as_a_failure(run: Run) -> None:
    plan = run.plan()
    run.in_soak["PC-1"] = lambda: run.arm(1)

    ran = run.apply(plan, "--max-failures", "0")

    report = json.loads(ran.out)
    assert ends(ran) == ["failed", "not-started", "not-started"]
    assert report["ended_early"] == "1 host failed, more than the 0 of the failure budget"
    assert report["looked_again"] == {"holds": 0, "relapsed": 1, "not-seen": 0}
    assert report["hosts"][0]["detail"].startswith("changed, and looked at again after the soak: armed: ")
    assert report["hosts"][0]["steps"], "what was changed is still said"
    assert ran.code == 6
    journal = Path(f"{plan}.journal")
    [line] = [each for each in map(json.loads, journal.read_bytes().splitlines()) if each["event"] == "host-relapsed"]
    assert (line["host"], line["verdict"], line["detail"]) == ("PC-1", "armed", report["hosts"][0]["detail"])
    assert read(journal).hosts["PC-1"].outcome == "failed"
    assert not run.bench.pcs["PC-2"].changes


def test_within_the_failure_budget_the_run_goes_on(run: Run) -> None:
    plan = run.plan()
    run.in_soak["PC-1"] = lambda: run.arm(1)

    ran = run.apply(plan, "--max-failures", "1")

    assert ends(ran) == ["failed", "changed", "changed"]
    assert json.loads(ran.out)["looked_again"] == {"holds": 1, "relapsed": 1, "not-seen": 0}
    assert ran.code == 4


def test_every_earlier_wave_is_looked_at_again_not_only_the_last(run: Run) -> None:
    plan = run.plan()
    run.in_soak["PC-2"] = lambda: run.arm(1)

    ran = run.apply(plan, "--max-failures", "none")

    assert ends(ran) == ["failed", "changed", "changed"]


def test_a_host_that_is_off_in_the_soak_is_no_failure(run: Run) -> None:
    plan = run.plan()

    def off() -> None:
        run.bench.pcs["PC-1"].error = Unreachable("it was switched off")

    run.in_soak["PC-1"] = off

    ran = run.apply(plan, "--max-failures", "0")
    text = run.commands.run("apply", plan, "--unsigned", "--resume", "--format", "text")

    assert (ends(ran), ran.code) == (["changed"] * 3, 0)
    assert json.loads(ran.out)["looked_again"] == {"holds": 1, "relapsed": 0, "not-seen": 1}
    assert "looked again" not in text.out


def test_the_text_says_how_many_hold(run: Run) -> None:
    plan = run.plan(4)
    run.in_soak["PC-1"] = lambda: run.arm(1)
    run.in_soak["PC-2"] = lambda: setattr(run.bench.pcs["PC-2"], "error", Unreachable("it is off"))

    ran = run.apply(plan, "--wave", "3,1", "--max-failures", "none", "--format", "text")

    said = " ".join(ran.out.split())
    assert "looked again at 3 hosts of earlier waves: 1 of them hold, 1 relapsed; 1 could not be looked at" in said
    assert "failed 1 of 4" in said


@pytest.mark.parametrize("options", [("--no-look-again",), ("--soak", "0")])
def test_without_a_soak_or_if_nobody_wants_it_nothing_is_looked_at_again(run: Run, options: tuple[str, ...]) -> None:
    plan = run.plan()
    run.in_soak["PC-1"] = lambda: run.arm(1)
    before = len(run.bench.pcs["PC-3"].actions)

    ran = run.apply(plan, "--max-failures", "0", *options)

    assert (ends(ran), ran.code) == (["changed"] * 3, 0)
    assert "looked_again" not in json.loads(ran.out)
    assert len(run.bench.pcs["PC-3"].actions) > before


def test_after_the_last_wave_nothing_is_looked_at_again(run: Run) -> None:
    plan = run.plan()
    run.in_soak["PC-3"] = lambda: run.arm(3)

    ran = run.apply(plan)

    assert ends(ran) == ["changed"] * 3
    assert json.loads(ran.out)["looked_again"] == {"holds": 2, "relapsed": 0, "not-seen": 0}


def test_a_resume_finds_a_host_that_has_relapsed_stale(run: Run) -> None:
    plan = run.plan()
    run.in_soak["PC-1"] = lambda: run.arm(1)
    assert run.apply(plan, "--max-failures", "0").code == 6
    run.in_soak.clear()

    again = run.apply(plan, "--resume", "--max-failures", "none")

    assert ends(again) == ["stale", "changed", "changed"]


def test_what_an_earlier_run_changed_is_looked_at_again_in_a_resume(run: Run) -> None:
    plan = run.plan()
    run.in_soak["PC-1"] = lambda: run.arm(1)
    assert run.apply(plan, "--no-look-again", "--limit", "PC-1").code == 0
    run.in_soak.clear()

    again = run.apply(plan, "--resume", "--limit", "*", "--look-again", "--max-failures", "none")

    assert ends(again) == ["failed", "changed", "changed"]


def test_a_run_that_goes_on_another_night_looks_first_at_what_was_changed_in_the_night_before(run: Run) -> None:
    plan, file = run.plan(), run.bench.folder / "halt"
    run.in_soak["PC-1"] = lambda: file.write_text("not tonight")
    assert ends(run.apply(plan, "--stop-file", file)) == ["changed", "not-started", "not-started"]
    run.in_soak.clear()
    file.unlink()
    run.arm(1)

    again = run.apply(plan, "--resume", "--max-failures", "0")

    assert (ends(again), again.code) == (["failed", "not-started", "not-started"], 6)
    assert json.loads(again.out)["looked_again"] == {"holds": 0, "relapsed": 1, "not-seen": 0}
    assert not run.bench.pcs["PC-2"].changes
