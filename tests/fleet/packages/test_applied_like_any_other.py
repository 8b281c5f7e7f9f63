"""Plans of packages beside the rest: keys and approvals, folders of plans, the history, drift, pages, processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provmode.fleet.key_files import write_pair
from provmode.lab.packages.catalogue import CANARY, made
from provmode.lab.process import LabProcess
from provmode.signing.keys import PrivateKey

ALICE, BOB, NIGHT = (PrivateKey(bytes(range(start, start + 32))) for start in range(3))
SIGNING = """
[signing]
plan_keys = ["alice.key.pub"]
approvers = ["bob.key.pub"]
approvals = 1
journal_key = "night.key"
"""


def configure(fleet: Any, text: str) -> None:
    """Write the configuration file."""
    path = fleet.folder / "provmode.toml"
    path.write_text(text)
    path.chmod(0o600)


@pytest.fixture
def signing(fleet: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fleet whose plans are signed, and approved by a second person."""
    for name, key in (("alice", ALICE), ("bob", BOB), ("night", NIGHT)):
        write_pair(fleet.folder / f"{name}.key", key)
    configure(fleet, SIGNING)
    monkeypatch.setenv("PROVMODE_CONFIG", str(fleet.folder / "provmode.toml"))
    monkeypatch.setattr("provmode.cli.plan.made_by", lambda: "alice@desk")
    fleet.pc(fleet.file("base"))
    (fleet.folder / "plans").mkdir()
    ran = fleet.commands.run(
        *("plan", fleet.inventory, "--packages", "--output", "plans/one.json", "--key-file", "alice.key")
    )
    assert ran.code == 2, ran.err
    return fleet


def test_a_plan_of_packages_is_signed_and_approved_and_every_field_counts(signing: Any) -> None:
    pc, path = signing.bench.pcs["PC-1"], signing.folder / "plans" / "one.json"
    apply = ("apply", "plans/one.json")
    assert signing.commands.run(*apply).code == 3, "nobody approved it"
    assert signing.commands.run("approve", "plans/one.json", "--key-file", "bob.key", "--yes").code == 0
    whole = path.read_text()
    for old, new in ((made("base").sha256, made("base-new").sha256), ('"before": []', '"before": ["applied"]')):
        path.write_text(whole.replace(old, new))
        assert path.read_text() != whole
        assert signing.commands.run(*apply).code == 3
    assert pc.changes == []
    path.write_text(whole)

    ran = signing.commands.run(*apply)

    assert ran.code == 0, ran.err
    assert signing.installed(pc) == ["Contoso Base 1.2"]
    assert signing.commands.run("verify", "plans/one.json.journal", "--key-file", "night.key.pub").code == 0


def test_a_folder_of_plans_takes_one_of_packages(signing: Any) -> None:
    assert signing.commands.run("approve", "plans/one.json", "--key-file", "bob.key", "--yes").code == 0

    assert signing.commands.run("apply", "plans").code == 0
    assert signing.installed(signing.bench.pcs["PC-1"]) == ["Contoso Base 1.2"]
    again = signing.commands.run("apply", "plans")
    assert (again.code, again.out) == (0, "")


# -- what is remembered -----------------------------------------------------------------------------------------------


@pytest.fixture
def remembering(fleet: Any) -> Any:
    """A fleet whose runs are remembered."""
    configure(fleet, "[history]\nurl = 'sqlite:///history.sqlite'\n")
    return fleet


def answer(fleet: Any, *arguments: str) -> Any:
    """Return what a command says as JSON."""
    ran = fleet.commands.run(*arguments, "--format", "json")
    assert ran.out, ran.err
    return json.loads(ran.out)


def test_a_plan_of_packages_is_no_look_and_what_it_changed_is_remembered(remembering: Any) -> None:
    remembering.pc(remembering.file("base"))
    remembering.commands.run("audit", remembering.inventory)
    remembering.plan(code=2)
    remembering.ends(code=0)
    remembering.ends("undo", code=0)

    runs = answer(remembering, "history", "runs")["runs"]
    assert [run["kind"] for run in runs][::-1] == ["audit", "apply", "undo"]
    host = answer(remembering, "history", "host", "PC-1")
    assert len(host["spans"]) == 1
    assert [change["ended"] for change in host["changes"]] == ["changed", "restored"]
    text = remembering.commands.run("history", "host", "PC-1").out
    assert f"package Contoso Base {made('base').id} absent -> 1.2" in " ".join(text.split())


def test_a_client_that_somebody_else_mends_is_not_mended_by_a_run_about_packages(remembering: Any) -> None:
    pc = remembering.pc(remembering.file("base"), persona="half-exited")
    remembering.commands.run("audit", remembering.inventory)
    remembering.bench.wait(3600)
    remembering.plan(code=2)
    remembering.ends(code=0)
    remembering.bench.wait(3600)
    remembering.bench.pc("healthy", pc.name)
    remembering.commands.run("audit", remembering.inventory)

    (row,) = answer(remembering, "drift")["hosts"]

    assert (row["word"], row["by_us"]) == ("fixed", False)


def test_a_page_names_the_run_that_changed_packages_and_has_no_secret(remembering: Any) -> None:
    remembering.pc(remembering.file("join"))
    remembering.commands.run("audit", remembering.inventory)
    remembering.plan(code=2)
    remembering.ends(code=0)
    remembering.commands.run("audit", remembering.inventory)

    ran = remembering.commands.run("report", "--output", "page.html")

    assert ran.code == 0, ran.err
    page = (remembering.folder / "page.html").read_text()
    assert json.loads((remembering.folder / "plan.json").read_text())["id"][:8] in page
    assert CANARY not in page


# -- several processes ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LabProcess, Path]]:
    """Six PCs of two kinds, over the network."""
    folder = tmp_path_factory.mktemp("lab")
    kinds = {"applied": 1.0, "inbox": 1.0}
    with LabProcess(6, 5, mix={"healthy": 1}, packages=kinds, inventory=folder / "lab.py") as running:
        yield running, folder


def test_two_processes_plan_the_same_as_one(lab: tuple[LabProcess, Path], provmode: Any, tmp_path: Path) -> None:
    (tmp_path / "base.ppkg").write_bytes(made("base").data)
    (tmp_path / "kiosk.ppkg").write_bytes(made("kiosk").data)
    wanted = f"provmode_packages={json.dumps([{'file': 'kiosk.ppkg'}, {'file': 'base.ppkg'}])}"
    (tmp_path / "lab.py").write_text((lab[1] / "lab.py").read_text())

    def planned(processes: str) -> Any:
        ran = provmode(
            *("plan", "lab.py", "--packages", "--data", wanted, "--unsigned", "--format", "json"),
            *("--processes", processes),
        )
        assert ran.returncode == 2, ran.stderr
        return [(host["host"], host["steps"], host["left_alone"]) for host in json.loads(ran.stdout)["hosts"]]

    one, two = planned("1"), planned("2")

    assert one == two
    assert {len(steps) for _, steps, _ in one} == {1, 2}
