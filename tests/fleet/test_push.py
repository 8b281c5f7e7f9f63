"""A push is a plan and an apply in one breath: shown, asked, limited, journaled, and only for a few PCs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import Unreachable
from provmode.fleet.journal import read
from provmode.fleet.waves import SAFE

KEY = b"0123456789abcdef0123456789abcdef"


class Push:
    """Pushes to the PCs of a bench, from a folder of their own."""

    def __init__(self, commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands, self.bench, self.folder = commands, commands.bench, commands.bench.folder
        monkeypatch.chdir(self.folder)
        monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)

    def fleet(self, *personas: str) -> list[Any]:
        return [self.bench.pc(persona, f"PC-{number}", seed=number) for number, persona in enumerate(personas, 1)]

    def run(self, *arguments: object, signed: bool = False) -> Any:
        unsigned = () if signed else ("--unsigned",)
        return self.commands.run("push", self.commands.inventory, *unsigned, *arguments)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("push-*"))

    def changed(self) -> list[str]:
        return [name for name, pc in self.bench.pcs.items() if pc.changes]


@pytest.fixture
def push(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Push:
    return Push(commands, monkeypatch)


def said(text: str) -> str:
    return " ".join(text.split())


def test_a_push_plans_shows_applies_and_reports(push: Push) -> None:
    push.fleet("armed", "armed", "healthy")

    ran = push.run("--yes", "--limit", "pc-1,PC-3")

    assert (ran.code, push.changed()) == (0, ["PC-1"])
    assert push.files == ["push-20261126T120000Z.json", "push-20261126T120000Z.json.journal"]
    assert ran.out.startswith("changes  1 of 2\n")
    assert ran.out.splitlines()[-1] == "1 host: 1 changed"
    assert "about to change 1 host" in ran.err
    assert f"limits: --wave {SAFE.wave} --soak 0 --max-failures {SAFE.max_failures} --parallel 64" in said(ran.err)
    journal = read(push.folder / push.files[1])
    assert (journal.closed, journal.limits, [host.outcome for host in journal.hosts.values()]) == (
        *(True, SAFE),
        ["changed"],
    )


def test_what_a_push_says_about_its_undo_works(push: Push) -> None:
    (one,) = push.fleet("armed")
    before = one.machine.files.read("C:\\Windows\\ccmsetup\\MobileClient.TCF")
    ran = push.run("--yes")
    _, _, command = ran.err.splitlines()[-1].partition("provmode undo ")

    looked = push.commands.run("undo", *shlex.split(command))
    undone = push.commands.run("undo", *shlex.split(command)[:-1], "--yes")

    assert (looked.code, undone.code) == (2, 0)
    assert one.machine.files.read("C:\\Windows\\ccmsetup\\MobileClient.TCF") == before


def test_without_a_terminal_and_without_yes_the_plan_is_kept_and_can_be_applied(push: Push) -> None:
    push.fleet("armed")

    ran = push.run()
    changed = push.changed()
    (plan,) = push.files
    applied = push.commands.run("apply", plan, "--unsigned")

    assert (ran.code, changed, applied.code) == (3, [], 0)
    assert "there is no terminal to ask at; give --yes" in ran.err
    assert f"the plan is kept in {plan}: provmode apply {plan} --unsigned makes its changes" in said(ran.err)


@pytest.mark.parametrize(("answer", "code", "changed"), [("n", 3, []), ("", 3, []), ("y", 0, ["PC-1", "PC-2"])])
def test_at_a_terminal_a_push_asks_after_it_has_shown_the_plan_and_the_limits(
    push: Push, answer: str, code: int, changed: list[str]
) -> None:
    push.fleet("armed", "armed")
    push.commands.answer = answer

    ran = push.run("--wave", "1")

    assert (ran.code, push.changed()) == (code, changed)
    assert ran.out.startswith("changes  2 of 2\n")
    words = said(ran.err)
    assert (
        words.index("wave 2 of 2: 1 host: PC-2")
        < words.index("limits: --wave 1")
        < words.index("Change 2 hosts? [y/N]")
    )


@pytest.mark.parametrize("asked", [False, True])
def test_a_push_says_its_waves_and_limits_once(push: Push, asked: bool) -> None:
    push.fleet("armed", "armed")
    push.commands.answer = "y" if asked else None

    ran = push.run("--wave", "1", *(() if asked else ("--yes",)))

    assert (ran.code, push.changed()) == (0, ["PC-1", "PC-2"])
    said_once = ("wave 1 of 2: 1 host: PC-1", "wave 2 of 2: 1 host: PC-2", "limits: --wave 1 ")
    assert [said(ran.err).count(words) for words in said_once] == [1, 1, 1]


def test_a_push_is_refused_for_many_pcs_before_anything_is_sent(push: Push) -> None:
    pcs = push.fleet(*["armed"] * 26)

    refused = push.run("--yes")
    lifted = push.run("--limit", "PC-?", "--max-hosts", "8")
    nonsense = [push.run("--yes", "--max-hosts", words).code for words in ("0", "many", "-1", "²")]

    assert (refused.code, lifted.code, nonsense) == (1, 1, [1] * 4)
    assert refused.err.strip() == (
        "a push is for a few PCs, at most 25, and this would be 26; "
        "choose some (--limit), use plan and apply, or give --max-hosts 26"
    )
    assert [pc.actions for pc in pcs] == [[]] * 26
    assert push.files == []


@pytest.mark.parametrize("most", ["26", "all"])
def test_the_cap_is_lifted_by_name(push: Push, most: str) -> None:
    push.fleet(*["healthy"] * 26)

    ran = push.run("--max-hosts", most)

    assert (ran.code, push.files) == (0, []), "nothing to change: no plan, no question"


def test_a_push_goes_in_safe_waves_and_ends_after_too_many_failures(push: Push) -> None:
    for pc in push.fleet(*["armed"] * 7):
        pc.refuse("provmode-claim", times=None)

    ran = push.run("--yes", "--format", "json")

    report = json.loads(ran.out)
    assert ran.code == 6
    assert report["applied"]["ended_early"].endswith("more than the failure budget of 20 %")
    assert report["applied"]["summary"]["not-started"] >= 2
    assert len(report["plan"]["hosts"]) == 7


def test_the_json_of_a_push_is_one_object_and_the_plan_is_shown_beside_it(push: Push) -> None:
    push.fleet("armed")

    asked = push.run("--format", "json")
    done = push.run("--format", "json", "--yes", "--output", "mine.json")

    assert json.loads(asked.out)["applied"] is None
    assert json.loads(done.out)["applied"]["summary"]["changed"] == 1
    assert json.loads(done.out)["plan"] == json.loads(Path("mine.json").read_text())
    assert "changes 1 of 1" in said(done.err)


@pytest.mark.parametrize(
    ("others", "code"), [(["healthy"], 0), (["client-broken"], 4), (["gone"], 8), (["gone", "client-broken"], 4)]
)
def test_the_exit_code_counts_the_pcs_that_were_left_alone_too(push: Push, others: list[str], code: int) -> None:
    pcs = push.fleet("armed", *["healthy" if other == "gone" else other for other in others])
    for pc, other in zip(pcs[1:], others, strict=True):
        pc.error = Unreachable("no answer") if other == "gone" else None

    ran = push.run("--yes")

    assert (ran.code, push.changed()) == (code, ["PC-1"])


def test_a_push_is_signed_unless_it_is_told_not_to_be(push: Push) -> None:
    push.fleet("armed")
    (push.folder / "key").write_bytes(KEY)

    refused = push.run("--yes", signed=True)
    done = push.run("--yes", "--key-file", "key", signed=True)

    assert (refused.code, done.code) == (1, 0)
    assert "there is no key to sign the plan with; give --key-file or --unsigned" in refused.err
    assert read(push.folder / push.files[1], KEY).signed
    assert json.loads((push.folder / push.files[0]).read_text())["signature"] is not None


def test_a_push_that_died_is_resumed_as_it_was_begun(push: Push) -> None:
    push.fleet("armed", "armed")
    push.bench.pcs["PC-2"].refuse("provmode-claim", times=None)
    first = push.run("--yes", "--wave", "1", "--max-failures", "none", "--limit", "PC-*")
    push.bench.pcs["PC-2"].heal()

    again = push.commands.run("apply", push.files[0], "--unsigned", "--resume")

    assert (first.code, again.code, push.changed()) == (4, 0, ["PC-1", "PC-2"])
    assert "--wave 1 --soak 0 --max-failures none --parallel 64 (as the run was begun" in said(again.err)


def test_bad_limits_and_files_stop_a_push_before_anything_is_sent(push: Push) -> None:
    (one,) = push.fleet("armed")
    (push.folder / "mine.json.journal").write_text("")

    codes = [
        push.run("--yes", *words).code
        for words in (
            ("--wave", "x"),
            ("--max-failures", "x"),
            ("--output", "mine.json"),
            ("--output", "no/such/plan"),
            ("--limit", "PC-9"),
        )
    ]

    assert (codes, one.actions) == ([1] * 5, [])
