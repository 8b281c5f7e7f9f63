"""An undo is as careful as an apply: it is looked at, asked, chosen, done in waves, limited and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import Unreachable
from provmode.fleet.journal import read
from provmode.fleet.undo import undo_run
from provmode.fleet.waves import SAFE, Limits

TCF = "%windir%\\ccmsetup\\MobileClient.TCF"
NEEDS_ALL = ("overdue", 5)
"""A persona and a seed of a PC that needs every kind of step."""


class Undo:
    """A run of apply that can be undone."""

    def __init__(self, commands: Any, *pcs: tuple[str, int]) -> None:
        self.commands, self.bench = commands, commands.bench
        self.pcs = [self.bench.pc(persona, f"PC-{number}", seed) for number, (persona, seed) in enumerate(pcs, 1)]
        plan = self.bench.folder / "plan"
        self.journal = Path(f"{plan}.journal")
        commands.run("plan", commands.inventory, "--output", plan, "--unsigned")
        assert commands.run("apply", plan, "--unsigned", "--wave", "all").code == 0

    def run(self, *arguments: object) -> Any:
        return self.commands.run("undo", self.journal, "--inventory", self.commands.inventory, "--unsigned", *arguments)

    def ends(self, *arguments: object) -> dict[str, str]:
        ran = self.run("--yes", "--format", "json", *arguments)
        return {host["host"]: host["ended"] for host in json.loads(ran.out)["hosts"]}

    def changes(self) -> list[int]:
        return [len(pc.machine.mutations) for pc in self.pcs]


@pytest.fixture
def three_armed(commands: Any) -> Undo:
    return Undo(commands, ("armed", 1), ("armed", 2), ("armed", 3))


def said(text: str) -> str:
    return " ".join(text.split())


# -- the preview ------------------------------------------------------------------------------------------------------


def test_a_preview_changes_nothing_and_says_what_would_become_of_each_pc(commands: Any) -> None:
    undo = Undo(commands, ("armed", 1), NEEDS_ALL)
    before = undo.changes(), undo.journal.read_bytes()

    as_json = undo.run("--dry", "--format", "json")
    as_text = undo.run("--dry")

    one, two = json.loads(as_json.out)["hosts"]
    assert (as_json.code, as_text.code) == (2, 2)
    assert (undo.changes(), undo.journal.read_bytes()) == before
    assert (one["would_end"], one["verdict"], one["verdict_after"]) == ("restored", "healthy", "armed")
    assert (two["would_end"], two["verdict"], two["verdict_after"]) == ("restored", "healthy", "client-broken")
    assert one["would_restore"] == [f"{TCF} as it was before the run"]
    assert two["would_restore"][0] == "CcmExec start mode Auto -> Disabled"
    assert [line.split(":")[0] for line in two["cannot"]] == [
        "CcmExec state Stopped -> Running",
        "ProvisioningMode true -> false",
        "machine policy as it is -> requested and evaluated",
    ]
    (line,) = [line for line in as_text.out.splitlines() if line.startswith("  PC-1: ")]
    assert line.endswith("verdict: healthy now, armed after the undo")
    assert as_text.out.splitlines()[-1] == "2 hosts: 2 would be restored, 2 with another verdict"


def test_the_verdict_that_a_preview_foretells_is_the_one_that_follows(commands: Any) -> None:
    undo = Undo(commands, ("armed", 1), NEEDS_ALL, ("overdue", 1))
    foretold = {
        host["host"]: host["verdict_after"] for host in json.loads(undo.run("--dry", "--format", "json").out)["hosts"]
    }

    undo.ends()
    found = json.loads(commands.run("audit", commands.inventory, "--format", "json").out)["hosts"]

    assert {host["host"]: host["verdict"] for host in found} == foretold


def test_a_preview_says_what_was_changed_since_and_what_is_not_reached(three_armed: Undo) -> None:
    one, two, _ = three_armed.pcs
    one.machine.files.write("C:\\Windows\\ccmsetup\\MobileClient.TCF", b"; another\r\n", three_armed.bench.now())
    two.error = Unreachable("no answer")

    ran = three_armed.run("--dry", "--format", "json")

    hosts = json.loads(ran.out)["hosts"]
    assert [host["would_end"] for host in hosts] == ["stale", "unreached", "restored"]
    assert [host["cause"] for host in hosts] == [None, "connect-timeout", None]
    assert hosts[0]["would_leave"] == [f"{TCF} is another file, not what it was as it was; it would be left as it is"]
    assert [host["verdict_after"] for host in hosts] == ["healthy", None, "armed"]


def test_a_preview_says_what_is_at_work(three_armed: Undo) -> None:
    one = three_armed.pcs[0]
    one.machine.processes.start("TSManager.exe", "C:\\Windows\\CCM\\TSManager.exe", three_armed.bench.now())

    ran = three_armed.run("--dry", "--format", "json", "--host", "PC-1")
    after = three_armed.ends("--host", "PC-1")

    (host,) = json.loads(ran.out)["hosts"]
    assert (host["would_end"], after) == ("stale", {"PC-1": "stale"})
    assert host["detail"].endswith(": at work now, and would not be touched")


def test_nothing_to_restore_is_a_preview_that_ends_with_0(three_armed: Undo) -> None:
    three_armed.ends()

    ran = three_armed.run("--dry")

    assert (ran.code, ran.out.splitlines()[-1]) == (0, "3 hosts: 0 would be restored")


# -- the question -----------------------------------------------------------------------------------------------------


def test_without_a_terminal_and_without_yes_nothing_is_restored(three_armed: Undo) -> None:
    before = three_armed.changes(), three_armed.journal.read_bytes()

    ran = three_armed.run()

    assert (ran.code, ran.out) == (3, "")
    assert ran.err.endswith(
        "nothing was changed: there is no terminal to ask at; give --yes if you know what will happen\n"
    )
    assert (three_armed.changes(), three_armed.journal.read_bytes()) == before


@pytest.mark.parametrize("answer", ["", "n", "no", "yess", "J"])
def test_at_a_terminal_only_yes_is_yes(three_armed: Undo, answer: str) -> None:
    before = three_armed.changes()
    three_armed.commands.answer = answer

    ran = three_armed.run()

    assert (ran.code, three_armed.changes()) == (3, before)
    assert "Restore this on 3 hosts? [y/N]" in ran.err


@pytest.mark.parametrize("answer", ["y", "YES"])
def test_at_a_terminal_the_preview_comes_before_the_question(three_armed: Undo, answer: str) -> None:
    three_armed.commands.answer = answer

    ran = three_armed.run("--format", "json")

    words = said(ran.err)
    assert ran.code == 0
    assert words.index("armed after the undo") < words.index("limits: --wave") < words.index("Restore this on 3 hosts?")
    assert json.loads(ran.out)["summary"]["restored"] == 3


def test_yes_asks_nothing_and_says_what_is_about_to_happen(three_armed: Undo) -> None:
    ran = three_armed.run("--yes")

    assert ran.code == 0
    assert said(ran.err).startswith(f"about to undo 3 hosts 3 hosts: {TCF} as it was before the run PC-1, PC-2, PC-3 ")
    assert "[y/N]" not in ran.err
    assert ran.out.splitlines()[-1] == "3 hosts: 3 restored"


# -- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "restored"),
    [
        (("--host", "pc-2"), {"PC-2"}),
        (("--host", "PC-2", "--limit", "PC-3"), {"PC-2", "PC-3"}),
        (("--limit", "pc-[12]"), {"PC-1", "PC-2"}),
        (("--exclude", "PC-2,pc-3"), {"PC-1"}),
        (("--limit", "PC-1,PC-2", "--exclude", "PC-1"), {"PC-2"}),
    ],
)
def test_only_chosen_hosts_are_undone(three_armed: Undo, arguments: tuple[str, ...], restored: set[str]) -> None:
    ends = three_armed.ends(*arguments)

    assert ends == dict.fromkeys(sorted(restored), "restored")


def test_a_slip_in_a_choice_restores_nothing(three_armed: Undo) -> None:
    before = three_armed.changes()

    ran = [three_armed.run("--yes", *words) for words in (("--host", "PC-9"), ("--limit", "PC-9"), ("--only", "file"))]

    assert [each.code for each in ran] == [1, 1, 1]
    assert "has nothing about PC-9" in ran[0].err
    assert "--limit PC-9 matches no host and no group of the journal; did you mean PC-" in ran[1].err
    assert "--only file is not a kind of change; give tcf, service, registry" in ran[2].err
    assert three_armed.changes() == before


@pytest.mark.parametrize(
    ("only", "restored"),
    [
        ("tcf", [f"{TCF} "]),
        ("service", ["CcmExec start mode Auto -> Disabled"]),
        ("registry", []),
        ("service, tcf", ["CcmExec start mode Auto -> Disabled", f"{TCF} "]),
    ],
)
def test_only_chosen_kinds_of_change_are_undone(commands: Any, only: str, restored: list[str]) -> None:
    undo = Undo(commands, NEEDS_ALL)

    ran = undo.run("--yes", "--only", only, "--format", "json")

    (host,) = json.loads(ran.out)["hosts"]
    assert ran.code == 0
    assert len(host["restored"]) == len(restored)
    assert all(found.startswith(wanted) for found, wanted in zip(host["restored"], restored, strict=True))
    left = read(undo.journal).hosts["PC-1"].steps
    assert sum(step.undone for step in left) == len(restored), "the others can be undone later"


# -- waves and limits -------------------------------------------------------------------------------------------------


def test_an_undo_goes_in_waves_and_ends_when_too_many_fail(commands: Any) -> None:
    undo = Undo(commands, *(("armed", seed) for seed in range(1, 8)))
    for pc in undo.pcs[:2]:
        pc.refuse("provmode-claim", times=None)

    ran = undo.run("--yes", "--format", "json")

    report = json.loads(ran.out)
    ends = [host["ended"] for host in report["hosts"]]
    assert (ran.code, ends) == (6, ["failed"] * 2 + ["not-started"] * 5)
    assert report["ended_early"] == "2 of 2 reached hosts failed, more than the failure budget of 20 %"
    assert {host["detail"] for host in report["hosts"][2:]} == {report["ended_early"]}
    assert report["summary"]["failed"] == 2
    assert "wave 1 of 2: 5 hosts: PC-1, PC-2, PC-3, PC-4, PC-5" in said(ran.err)


def test_the_limits_of_an_undo_are_taken_away_by_name_and_kept_in_the_journal(commands: Any) -> None:
    undo = Undo(commands, *(("armed", seed) for seed in range(1, 8)))
    for pc in undo.pcs[:2]:
        pc.refuse("provmode-claim", times=None)

    ends = undo.ends("--wave", "3", "--max-failures", "none")

    begun = [line for line in map(json.loads, undo.journal.read_bytes().splitlines()) if line["event"] == "undo-begun"]
    assert list(ends.values()) == ["failed"] * 2 + ["restored"] * 5
    assert [line["limits"] for line in begun] == [SAFE.changed({"wave": "3", "max_failures": "none"}).to_json()]


def test_a_file_of_hosts_is_read_once_and_its_names_are_in_the_journal(three_armed: Undo) -> None:
    names = three_armed.bench.folder / "names"
    names.write_text("pc-1\npc-3\n")

    ends = three_armed.ends("--limit", f"@{names}")

    (begun,) = [line for line in map(json.loads, three_armed.journal.read_bytes().splitlines()) if "limits" in line][1:]
    assert list(ends) == ["PC-1", "PC-3"]
    assert begun["limits"]["limit"] == ["pc-1", "pc-3"]


def test_a_pause_between_the_waves_of_an_undo_is_kept(three_armed: Undo) -> None:
    bench, pauses = three_armed.bench, list[float]()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        bench.wait(seconds)

    result = undo_run(
        *(three_armed.journal, three_armed.commands.inventory),
        now=bench.now,
        unsigned=True,
        limits=Limits("1,1", 1.0),
        runner=three_armed.commands.runner(),
        pause=pause,
        seconds=bench.clock,
    )

    assert [host.outcome.value for host in result.hosts] == ["restored"] * 3
    assert pauses == [0.5] * 4
