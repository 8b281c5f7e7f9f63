"""``provmode apply FOLDER``: the next plan of a folder, and nothing that is not signed, approved, timely and due."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.fleet.journal import Journal
from provmode.fleet.journal import read as read_journal
from provmode.fleet.key_files import write_pair
from provmode.fleet.plan_file import as_text, sign
from provmode.signing.keys import Key, Keys, PrivateKey

ALICE, BOB, MALLORY = (PrivateKey(bytes(range(first, first + 32))) for first in (0, 1, 2))


def journal(plan: Path) -> Path:
    return plan.with_name(f"{plan.name}.journal")


class Office:
    """PCs that are stuck, keys, and a folder of plans that alice makes and this computer applies as bob."""

    def __init__(self, commands: Any, folder: Path) -> None:
        self.commands, self.bench, self.plans = commands, commands.bench, folder / "plans"
        self.plans.mkdir(mode=0o755)
        for name, key in (("alice", ALICE), ("bob", BOB)):
            write_pair(folder / f"{name}.key", key)
        for number in (1, 2, 3):
            self.bench.pc("armed", f"PC-{number}", seed=number)
        self.configuration = folder / "provmode.toml"
        self.configure()

    def configure(self, more: str = "") -> None:
        self.configuration.write_text(f"[signing]\nplan_keys = ['alice.key.pub']\njournal_key = 'bob.key'\n{more}")

    def plan(self, name: str, *pcs: str, key: Key | None = ALICE, hours: float = 24) -> Path:
        """Make a plan a minute after whatever came before."""
        self.bench.wait(60)
        chosen = [self.bench.pcs[each] for each in pcs or self.bench.pcs]
        document = dict(self.bench.plan(*chosen, hours=hours).document)
        document |= {"id": f"id of {name}", "inventory": self.commands.inventory, "by": "alice@controller"}
        path = self.plans / name
        path.write_text(as_text(sign(document, key)), "utf-8")
        return path

    def apply(self, *options: object) -> Any:
        return self.commands.run("apply", self.plans, "--config", self.configuration, *options)

    def changed(self) -> list[str]:
        return [name for name, pc in self.bench.pcs.items() if pc.changes]

    def state(self, plan: Path) -> Any:
        return read_journal(journal(plan), Keys(BOB, (BOB,)))


@pytest.fixture
def office(commands: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)
    tmp_path.chmod(0o755)
    return Office(commands, tmp_path)


def lines(ran: Any) -> list[str]:
    """Return what is said about plans."""
    return [
        line.removeprefix("provmode: ")
        for line in ran.err.splitlines()
        if " is not taken: " in line or " is taken, " in line or "nothing to apply" in line
    ]


# -- which one ---------------------------------------------------------------------------------------------------------


def test_the_newest_plan_is_applied_and_nothing_is_said_of_the_older_one(office: Office) -> None:
    office.plan("monday.json", "PC-1")
    newest = office.plan("a tuesday.json", "PC-2")

    ran = office.apply()

    assert ran.code == 0, ran.err
    assert lines(ran) == [f"{newest} is taken, made at 2026-11-26 12:02 UTC"]
    assert (office.changed(), office.state(newest).closed) == (["PC-2"], True)


def test_one_plan_after_the_other_is_applied_once_and_then_there_is_nothing_to_do(office: Office) -> None:
    older, newer = office.plan("monday.json", "PC-1"), office.plan("tuesday.json", "PC-2")

    first, second, third = office.apply(), office.apply(), office.apply("--format", "json")

    assert (first.code, second.code, third.code) == (0, 0, 0)
    assert lines(second) == [
        f"{newer} is not taken: finished",
        f"{older} is taken, made at 2026-11-26 12:01 UTC",
    ]
    assert (third.out, third.err) == (
        "",
        f"provmode: nothing to apply in {office.plans}: finished: tuesday.json, monday.json\n",
    )


def test_an_empty_folder_is_no_fault(office: Office) -> None:
    (office.plans / "notes.txt").write_text("x")
    (office.plans / ".half-written.json").write_text("{")

    ran = office.apply()

    assert (ran.code, ran.out) == (0, "")
    assert ran.err == f"provmode: nothing to apply in {office.plans}: no file there ends in .json\n"


BAD: dict[str, tuple[Callable[[Office, Path], object], str]] = {
    "expired": (lambda office, path: office.plan(path.name, hours=0.001), "expired (at 2026-11-26 12:0"),
    "not signed": (lambda office, path: office.plan(path.name, key=None), "not signed"),
    "signed by somebody else": (lambda office, path: office.plan(path.name, key=MALLORY), "not a plan ("),
    "edited": (lambda office, path: path.write_text(path.read_text().replace("PC-2", "PC-3")), "not a plan ("),
    "cut off": (lambda office, path: path.write_text(path.read_text()[:700]), "not a plan ("),
    "empty": (lambda office, path: path.write_text(""), "not a plan ("),
    "no text": (lambda office, path: path.write_bytes(b"\xff\xfe\x00"), "not a plan ("),
    "deep": (lambda office, path: path.write_text("[" * 100_000), "not a plan ("),
    "another kind of file": (lambda office, path: path.write_text('{"format": "x"}'), "not a plan ("),
    "of a later version": (
        lambda office, path: path.write_text(path.read_text().replace('"version": 1', '"version": 2')),
        "not a plan (",
    ),
    "made tomorrow": (lambda office, path: tomorrow(office, path), "not to be applied ("),
    "a folder": (lambda office, path: (path.unlink(), path.mkdir()), "not a file"),
    "a link to nothing": (lambda office, path: (path.unlink(), path.symlink_to("nothing")), "a link"),
    "a link to a plan elsewhere": (
        lambda office, path: path.symlink_to(path.rename("elsewhere.json").absolute()),
        "a link",
    ),
    "its journal is damaged": (
        lambda office, path: journal(path).write_text("{}\n"),
        "its journal cannot be relied on (",
    ),
    "its journal is not signed": (
        lambda office, path: Journal.create(journal(path), f"id of {path.name}", office.bench.now).close(),
        "its journal cannot be relied on (",
    ),
    "its journal is another plan's": (
        lambda office, path: Journal.create(journal(path), "another", office.bench.now, BOB).close(),
        "its journal is another plan's (",
    ),
    "its journal is a link": (lambda office, path: journal(path).symlink_to("/dev/null"), "a link ("),
}


def tomorrow(office: Office, path: Path) -> None:
    document = json.loads(path.read_text())
    path.write_text(as_text(sign({**document, "created": "2026-11-27T11:00:00+00:00"}, ALICE)))


@pytest.mark.parametrize("how", BAD)
def test_a_plan_that_cannot_be_applied_is_said_and_never_keeps_another_from_its_turn(office: Office, how: str) -> None:
    spoil, said = BAD[how]
    good = office.plan("monday.json", "PC-1")
    bad = office.plan("tuesday.json", "PC-2")
    spoil(office, bad)
    office.bench.wait(60)

    ran = office.apply("--unsigned")

    assert ran.code == 0, ran.err
    assert lines(ran)[0].startswith(f"{bad} is not taken: {said}")
    assert lines(ran)[1:] == [f"{good} is taken, made at 2026-11-26 12:01 UTC"]
    assert office.changed() == ["PC-1"], "whatever --unsigned says"


def test_what_was_not_approved_has_to_wait(office: Office) -> None:
    office.configure("approvers = ['bob.key.pub']\n")
    plan = office.plan("monday.json")
    waiting = office.apply()
    approved = office.commands.run("approve", plan, "--key-file", "bob.key", "--config", office.configuration)
    assert (waiting.code, office.changed()) == (0, [])
    assert lines(waiting) == [f"nothing to apply in {office.plans}: not approved: monday.json"]

    assert approved.code == 3, "bob's name is alice's here: both are this user"
    office.configure("approvers = ['bob.key.pub']\napprovals = 0\n")
    assert office.apply().code == 0
    assert office.changed() == ["PC-1", "PC-2", "PC-3"]


def test_a_copy_of_a_plan_under_another_name_is_not_applied_again(office: Office) -> None:
    plan = office.plan("monday.json", "PC-1")
    office.apply()
    shutil.copy(plan, office.plans / "a-copy.json")
    shutil.copy(plan, office.plans / "z-copy.json")

    ran = office.apply()

    assert (ran.code, sorted(path.name for path in office.plans.glob("*.journal"))) == (0, ["monday.json.journal"])
    assert lines(ran)[0].startswith(f"nothing to apply in {office.plans}: finished: monday.json; a copy: ")


# -- going on ----------------------------------------------------------------------------------------------------------


def begun(office: Office, plan: Path, **tripped: Any) -> None:
    """Leave the journal of a run that a guard stopped before its first host."""
    written = Journal.create(journal(plan), f"id of {plan.name}", office.bench.now, BOB)
    written.write("guard-tripped", **tripped)
    written.close()


def test_a_run_that_a_window_stopped_goes_on_by_itself(office: Office) -> None:
    plan = office.plan("monday.json")
    begun(office, plan, guard="window", why="it closes at 06:00", deferred=True)

    ran = office.apply()

    assert ran.code == 0, ran.err
    assert lines(ran) == [f"{plan} is taken, made at 2026-11-26 12:01 UTC; its run, which did not finish, goes on"]
    assert office.changed() == ["PC-1", "PC-2", "PC-3"]
    assert lines(office.apply()) == [f"nothing to apply in {office.plans}: finished: monday.json"]


def test_a_run_that_crashed_goes_on_by_itself(office: Office) -> None:
    plan = office.plan("monday.json")
    Journal.create(journal(plan), f"id of {plan.name}", office.bench.now, BOB).abandon()

    assert office.apply().code == 0
    assert office.changed() == ["PC-1", "PC-2", "PC-3"]
    torn = office.plan("tuesday.json", "PC-1")
    journal(torn).write_bytes(journal(plan).read_bytes()[:40])
    assert " goes on" in lines(office.apply())[0], "nothing had begun: its first line is torn"


def test_a_run_that_somebody_has_to_look_at_is_left_alone_and_so_is_every_older_plan(office: Office) -> None:
    office.plan("monday.json", "PC-1")
    stopped = office.plan("tuesday.json", "PC-2")
    begun(office, stopped, guard="reached", why="only 1 of 10 was reached", deferred=False)

    ran = office.apply()

    assert (ran.code, ran.out, office.changed()) == (3, "", [])
    assert ran.err == (
        f"the run of {stopped} was stopped: only 1 of 10 was reached; look at it; then provmode apply "
        f"{stopped} --resume, or move the plan out of the folder\n"
    )
    office.plan("wednesday.json", "PC-3")
    assert office.apply().code == 0, "who made a newer one has looked"
    assert office.changed() == ["PC-3"]


def test_what_was_undone_is_not_done_again(office: Office) -> None:
    plan = office.plan("monday.json", "PC-1")
    office.apply()
    undone = office.commands.run(
        *("undo", journal(plan), "--inventory", office.commands.inventory, "--yes"),
        *("--config", office.configuration, "--key-file", "bob.key"),
    )
    assert undone.code == 0, undone.err

    assert lines(office.apply()) == [f"nothing to apply in {office.plans}: undone: monday.json"]


# -- the folder --------------------------------------------------------------------------------------------------------


def test_a_folder_that_others_can_write_to_is_refused_unless_they_can_change_only_their_own(office: Office) -> None:
    office.plan("monday.json", "PC-1")
    office.plans.chmod(0o777)

    refused = office.apply()
    office.plans.chmod(0o1777)
    sticky = office.apply()

    assert (refused.code, refused.err) == (
        1,
        f"{office.plans} decides which plans are applied, and others can write to it; take that from them: chmod go-w "
        f"{office.plans}\n",
    )
    assert (sticky.code, office.changed()) == (0, ["PC-1"])


def test_a_link_to_the_folder_counts_as_the_folder_if_nobody_else_can_turn_it(office: Office) -> None:
    office.plan("monday.json", "PC-1")
    here = office.plans.parent
    (here / "open").mkdir()
    for link in (here / "link", here / "open" / "link"):
        link.symlink_to(office.plans)
    (here / "open").chmod(0o777)

    turned = office.commands.run("apply", here / "open" / "link", "--config", office.configuration)
    ours = office.commands.run("apply", here / "link", "--config", office.configuration)

    assert (turned.code, "others can write to it" in turned.err) == (1, True)
    assert (ours.code, office.changed()) == (0, ["PC-1"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--resume",), "--resume goes with one plan, and "),
        (("--journal", "x.journal"), "--journal goes with one plan, and "),
    ],
)
def test_options_of_one_plan_do_not_go_with_a_folder(office: Office, options: tuple[str, ...], said: str) -> None:
    office.plan("monday.json")

    ran = office.apply(*options)

    assert (ran.code, ran.err.startswith(said), office.changed()) == (1, True, [])


def test_without_a_key_no_folder_is_looked_at(office: Office) -> None:
    office.plan("monday.json", key=None)
    office.configuration.write_text("")

    ran = office.apply("--unsigned")

    assert (ran.code, office.changed()) == (1, [])
    assert ran.err.startswith("plans of a folder have to be signed, and there is no key to check those of ")


def test_the_report_is_that_of_the_plan_that_was_taken(office: Office) -> None:
    office.plan("monday.json", "PC-1")

    ran = office.apply("--format", "json")

    assert [host["host"] for host in json.loads(ran.out)["hosts"]] == ["PC-1"]
