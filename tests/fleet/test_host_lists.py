"""Inventories that are no program: tables, lists and names; and the hosts that a plan keeps of them."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.connector.sources import reading
from provmode.connector.sources.found import FoundHost
from provmode.errors import Mistakes, UsageError
from provmode.fleet import ownership
from provmode.fleet.host_lists import split_names
from provmode.fleet.inventory import HostNames, inventory_of, load, planned_inventory, source_of
from provmode.fleet.plan_file import PlanRefused
from provmode.fleet.plan_file import load as load_plan
from provmode.fleet.selection import choose
from provmode.fleet.visit import policies_of

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)


pytestmark = pytest.mark.usefixtures("programs")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; nothing has been read from standard input or a pipe yet."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(reading, "_read_once", {})
    monkeypatch.setenv("PROVMODE_USER", "LAB\\auditor")
    monkeypatch.setenv("PROVMODE_PASSWORD", "secret")
    return folder


@pytest.fixture
def pipe() -> Iterator[Any]:
    """Put text into a pipe and return the path to read it from; it can be read once."""
    opened: list[int] = []

    def filled(text: str) -> str:
        read, write = os.pipe()
        opened.append(read)
        os.write(write, text.encode())
        os.close(write)
        return f"/dev/fd/{read}"

    yield filled
    for descriptor in opened:
        os.close(descriptor)


TABLE = "name;address;groups;winrm_port\nPC-1;10.0.0.1;office,pilot;5986\nPC-2;;office;\n"


@pytest.mark.parametrize("inventory", ["@csv/pcs.csv", "pcs.csv", "./pcs.csv"])
def test_a_table_is_an_inventory(inventory: str) -> None:
    Path("pcs.csv").write_text(TABLE)

    fleet = load(inventory)

    assert fleet.names == ["@winrm/PC-1", "@winrm/PC-2"]
    assert fleet.data_of("@winrm/PC-1")["winrm_port"] == 5986
    assert fleet.groups_of == {"@winrm/PC-1": ["pcs", "office", "pilot"], "@winrm/PC-2": ["pcs", "office"]}
    assert fleet.select(["pilot"]) == ["@winrm/PC-1"]
    assert set(policies_of(fleet, ["@winrm/PC-2"])) == {"@winrm/PC-2"}


@pytest.mark.parametrize("inventory", ["@list/pcs.txt", "pcs.txt", "pcs.TXT", "pcs.lst"])
def test_a_list_is_an_inventory(inventory: str) -> None:
    Path(inventory.removeprefix("@list/")).write_text("PC-1\nPC-2\n")

    assert load(inventory).names == ["@winrm/PC-1", "@winrm/PC-2"]


def test_sources_and_names_can_be_mixed_and_a_program_can_name_them() -> None:
    Path("pcs.csv").write_text(TABLE)
    Path("pcs.txt").write_text("PC-3\n")
    Path("fleet.py").write_text("pcs = (['@csv/pcs.csv', '@winrm/PC-9'], {'winrm_user': 'u'})\n")

    mixed, program = load("@csv/pcs.csv,@winrm/PC-9,@list/pcs.txt"), load("fleet.py")

    assert [name.rpartition("/")[2] for name in mixed.names] == ["PC-1", "PC-2", "PC-9", "PC-3"]
    assert [name.rpartition("/")[2] for name in program.names] == ["PC-1", "PC-2", "PC-9"]
    assert program.data_of("@winrm/PC-1")["winrm_user"] == "u"
    assert program.kept(program.names) is None, "a program is read again, and its data can be secret"


def test_group_data_beside_a_table_counts_for_its_groups(folder: Path) -> None:
    beside = folder.parent / "group_data"
    beside.mkdir()
    (beside / "all.py").write_text("winrm_user = 'u'\n")
    (beside / "pilot.py").write_text("winrm_read_only = True\n")
    (folder.parent / "pcs.csv").write_text(TABLE)

    for inventory in ("../pcs.csv", "@csv/../pcs.csv"):
        fleet = load(inventory)
        assert [fleet.data_of(name).get("winrm_user") for name in fleet.names] == ["u", "u"]
        assert [fleet.data_of(name).get("winrm_read_only") for name in fleet.names] == [True, None]


def test_read_only_at_any_place_is_read_only_in_a_table_too() -> None:
    Path("pcs.csv").write_text("name;winrm_read_only\nPC-1;yes\n")
    Path("fleet.py").write_text("pcs = [('@csv/pcs.csv', {'winrm_read_only': False})]\n")

    assert load("fleet.py").data_of("@winrm/PC-1")["winrm_read_only"] is True
    assert load("pcs.csv", override={"winrm_read_only": False}).data_of("@winrm/PC-1")["winrm_read_only"] is True


@pytest.mark.parametrize("other", ["@list/pcs.txt", "@winrm/PC-2"])
def test_a_pc_that_two_sources_name_is_refused(other: str) -> None:
    Path("pcs.csv").write_text(TABLE)
    Path("pcs.txt").write_text("PC-2\n")

    with pytest.raises(UsageError, match=f"the inventory has PC-2 twice, and {other} is one of the two places"):
        load(f"@csv/pcs.csv,{other}")


def test_mistakes_end_a_run_before_it_begins_all_of_them() -> None:
    Path("pcs.csv").write_text("name;winrm_port\nPC-1;x\nPC-1;y\n")

    with pytest.raises(Mistakes) as refused:
        load("pcs.csv")

    assert [line.partition(":")[0] for line in refused.value.lines] == [
        "pcs.csv, line 2",
        "pcs.csv, line 3",
        "pcs.csv, line 3",
    ]
    assert str(refused.value) == "pcs.csv, line 2: winrm_port is 'x', no whole number (and 2 more mistakes)"


def begin(inventory: str) -> None:
    """Do what a run does before it asks a PC."""
    fleet = load(inventory)
    policies_of(fleet, fleet.names)


# -- what is written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inventory", "says"),
    [
        ("pcs.xlsx", "pcs.xlsx is a workbook; save it as CSV UTF-8, and give FILE.csv"),
        ("pcs", "invalid syntax (line 1); if it is no pyinfra inventory, write @csv/pcs for a table, "),
        ("gone.csv", "@csv: there is no file gone.csv; this is "),
        ("C:\\PCs\\pcs.txt", "@list: there is no file C:\\PCs\\pcs.txt; this is a path of Windows: copy the file"),
        ("gone.py", "there is no inventory gone.py; give @csv/FILE for a table, @list/FILE for names, a pyinfra"),
        ("@csv/gone.csv", "@csv: there is no file gone.csv"),
        ("-", "there is no inventory -; give @csv/FILE for a table, @list/FILE for names"),
        ("@CSV/pcs", "@CSV/pcs: there is no connector @CSV; write @csv"),
        ("@list", "@list names no file; write @list/FILE, or @list/- for stdin"),
        ("@list/pcs.csv,PC-2", "PC-2 is not a @winrm host; write it as @winrm/PC-2"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(inventory: str, says: str) -> None:
    for name in ("pcs.xlsx", "pcs.csv"):
        Path(name).write_text("PC-1\n")
    Path("pcs").write_text("PC 1\n")

    with pytest.raises(UsageError) as refused:
        begin(inventory)

    assert says in str(refused.value)


def test_commas_in_the_path_of_a_file_that_is_there_split_nothing() -> None:
    for name in ("pcs, of today.csv", "a,b.txt", "a"):
        Path(name).write_text("name\nPC-1\n")

    assert split_names("@csv/pcs, of today.csv") == ["@csv/pcs, of today.csv"]
    assert split_names("@winrm/X,@list/a,b.txt,@winrm/Y") == ["@winrm/X", "@list/a,b.txt", "@winrm/Y"]
    assert split_names("@list/a,@winrm/Y") == ["@list/a", "@winrm/Y"]
    assert split_names("@csv/gone,b.csv") == ["@csv/gone", "b.csv"]
    assert load("@csv/pcs, of today.csv").names == ["@winrm/PC-1"]
    assert load("pcs, of today.csv").names == ["@winrm/PC-1"]


def test_very_many_names_are_no_path() -> None:
    names = [f"@winrm/PC-{number:04}" for number in range(2000)]

    assert load(",".join(names)).names == names
    assert source_of("@winrm/" + "x" * 300) == HostNames("@winrm/" + "x" * 300)


@pytest.mark.parametrize("word", ["@csv/pcs.csv", "@list/pcs.txt,PC-1", "@list/-"])
def test_a_choice_of_hosts_is_no_inventory(word: str) -> None:
    with pytest.raises(UsageError, match=r"--limit @\w+/.* is an inventory, not a choice of hosts; give --limit @FILE"):
        choose(["@winrm/PC-1"], {}, [word])


def test_a_file_in_a_folder_that_is_called_like_a_source_can_be_chosen_from() -> None:
    Path("list").mkdir()
    Path("list/today").write_text("PC-1\n")

    assert choose(["@winrm/PC-1", "@winrm/PC-2"], {}, ["@list/today"]).names == ("@winrm/PC-1",)


# -- who can change a table -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["winrm_user", "winrm_transport", "winrm_password_file", "winrm_validate"])
def test_a_table_that_others_can_write_to_must_not_say_how_the_password_is_used(column: str) -> None:
    value = {"winrm_transport": "basic", "winrm_validate": "no"}.get(column, "x")
    Path("pcs.csv").write_text(f"name;{column}\nPC-1;{value}\n")
    Path("pcs.csv").chmod(0o666)

    with pytest.raises(UsageError, match=r"pcs.csv says how the password is used, and others can write to it"):
        load("pcs.csv")

    Path("pcs.csv").chmod(0o600)
    assert load("pcs.csv").names == ["@winrm/PC-1"]


def test_a_table_of_names_and_addresses_may_be_others(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pcs.csv").write_text("name;address;groups;winrm_port;winrm_read_only\nPC-1;10.0.0.1;;;\n")
    Path("pcs.csv").chmod(0o666)

    assert load("pcs.csv").names == ["@winrm/PC-1"]


# -- what a plan keeps ----------------------------------------------------------------------------------------------


def planned(commands: Any, inventory: str, *arguments: str) -> dict[str, Any]:
    ran = commands.run("plan", inventory, "--output", "plan.json", "--unsigned", *arguments)
    assert ran.code == 2, ran.err
    document: dict[str, Any] = json.loads(Path("plan.json").read_text("utf-8"))
    return document


def test_a_plan_from_a_pipe_keeps_its_hosts_and_is_applied_to_them(commands: Any, bench: Any, pipe: Any) -> None:
    bench.pc("armed", "PC-1", seed=1)
    bench.pc("armed", "PC-2", seed=2)
    inventory = "@csv/" + pipe("name;address;groups;winrm_read_only\nPC-1;10.0.0.1;a,b;no\nPC-2;;;")

    document = planned(commands, inventory)
    reading._read_once.clear()  # another process
    ran = commands.run("apply", "plan.json", "--unsigned")

    assert document["inventory"] == inventory
    assert document["made_from"] == {
        "again": False,
        "hosts": [
            {
                "name": "@winrm/PC-1",
                "groups": ["a", "b"],
                "data": {"winrm_computer": "PC-1", "winrm_address": "10.0.0.1", "winrm_read_only": False},
            },
            {"name": "@winrm/PC-2"},
        ],
    }
    assert (ran.code, [bool(pc.changes) for pc in bench.pcs.values()]) == (0, [True, True]), ran.err


def test_a_plan_keeps_only_the_hosts_that_it_was_limited_to(commands: Any, bench: Any, pipe: Any) -> None:
    bench.pc("armed", "PC-1")

    document = planned(commands, "@list/" + pipe("PC-1\nPC-2"), "--limit", "PC-1")

    assert document["made_from"]["hosts"] == [{"name": "@winrm/PC-1"}]


def test_a_plan_from_a_file_is_applied_with_the_file_as_it_is_then(commands: Any, bench: Any) -> None:
    bench.pc("armed", "PC-1", seed=1)
    bench.pc("armed", "PC-2", seed=2)
    Path("pcs.txt").write_text("PC-1\nPC-2\n")

    document = planned(commands, "pcs.txt")
    Path("pcs.txt").write_text("PC-2\n")
    ran = commands.run("apply", "plan.json", "--unsigned")

    assert document["made_from"]["again"] is True
    assert ran.code == 2
    assert "the inventory does not have it any more" in ran.out
    assert [bool(pc.changes) for pc in bench.pcs.values()] == [False, True]


def test_a_plan_whose_file_is_gone_names_the_option_and_can_be_its_own_inventory(commands: Any, bench: Any) -> None:
    bench.pc("armed", "PC-1")
    Path("pcs.txt").write_text("PC-1\n")
    planned(commands, "@list/pcs.txt")
    Path("pcs.txt").unlink()

    gone = commands.run("apply", "plan.json", "--unsigned")
    ran = commands.run("apply", "plan.json", "--unsigned", "--inventory", "@plan/plan.json")

    assert gone.code == 1
    assert "there is no inventory pcs.txt here or beside plan.json" in gone.err
    assert ran.code == 0, ran.err


def test_a_plan_finds_its_files_beside_itself(folder: Path) -> None:
    beside = folder.parent / "change"
    beside.mkdir()
    (beside / "pcs.csv").write_text("name\nPC-1\n")

    assert planned_inventory("@csv/pcs.csv,@winrm/PC-2", beside / "plan.json") == f"@csv/{beside}/pcs.csv,@winrm/PC-2"
    assert planned_inventory("pcs.csv", beside / "plan.json") == f"{beside}/pcs.csv"


def test_a_plan_of_names_and_of_a_program_keeps_nothing(commands: Any, bench: Any) -> None:
    bench.pc("armed", "PC-1")

    assert "made_from" not in planned(commands, "@winrm/PC-1")
    ran = commands.run("inventory", "show", "@plan/plan.json")
    assert "the plan plan.json keeps no hosts: it was made from @winrm/PC-1; give @winrm/PC-1" in ran.err


def test_a_push_from_a_pipe_says_how_to_undo_it(commands: Any, bench: Any, pipe: Any) -> None:
    bench.pc("armed", "PC-1")

    ran = commands.run("push", "@list/" + pipe("PC-1"), "--yes", "--unsigned", "--output", "my plan.json")
    reading._read_once.clear()
    undo = ran.err.partition("what can be restored from it: provmode ")[2].splitlines()[0]
    undone = commands.run(*shlex.split(undo))

    assert ran.code == 0, ran.err
    assert "--inventory '@plan/my plan.json'" in undo
    assert undone.code == 2, undone.err
    assert '"PC-1"' in undone.out or "PC-1" in undone.out


@pytest.mark.parametrize(
    "made_from",
    [
        None,
        [],
        {},
        {"again": 1, "hosts": []},
        {"again": True},
        {"again": True, "hosts": ["@winrm/PC-1"]},
        {"again": True, "hosts": [{"name": "PC-1"}]},
        {"again": True, "hosts": [{"name": "@winrm/"}]},
        {"again": True, "hosts": [{"name": "@winrm/a/b"}]},
        {"again": True, "hosts": [{"name": "@winrm/PC-1"}, {"name": "@winrm/PC-1"}]},
        {"again": True, "hosts": [{"name": "@winrm/PC-1", "data": {"winrm_password": "x"}}]},
        {"again": True, "hosts": [{"name": "@winrm/PC-1", "data": {"provmode_policy": {}}}]},
        {"again": True, "hosts": [{"name": "@winrm/PC-1", "data": []}]},
        {"again": True, "hosts": [{"name": "@winrm/PC-1", "groups": "a"}]},
        {"again": True, "hosts": [{"name": "@winrm/PC-1", "groups": ["all"]}]},
    ],
)
def test_a_plan_with_other_hosts_than_a_list_has_is_refused(made_from: Any) -> None:
    kept = Path(__file__).parent / "version-1" / "three-armed.plan.json"
    document = json.loads(kept.read_text("utf-8"))
    Path("plan.json").write_text(json.dumps({**document, "signature": None, "made_from": made_from}))

    with pytest.raises(PlanRefused, match=r"plan.json is not a whole plan: .*plan anew"):
        load_plan(Path("plan.json"), None, unsigned=True, now=NOW)


def test_a_kept_host_has_its_groups_and_data_again(pipe: Any) -> None:
    Path("pcs.csv").write_text(TABLE)
    fleet = load("pcs.csv")
    kept = Path(__file__).parent / "version-1" / "three-armed.plan.json"
    document = json.loads(kept.read_text("utf-8"))
    made_from = fleet.kept(fleet.names)
    assert made_from is not None
    document = {**document, "signature": None, "made_from": {**made_from.to_json(), "again": False}}
    Path("plan.json").write_text(json.dumps(document))

    plan = load_plan(Path("plan.json"), None, unsigned=True, now=NOW)
    again = load(inventory_of(plan, Path("plan.json")))

    assert plan.made_from is not None
    assert plan.made_from.hosts[1] == FoundHost("PC-2", {}, ("pcs", "office"))
    assert again.names == fleet.names
    assert [again.data_of(name) for name in again.names] == [fleet.data_of(name) for name in fleet.names]
    assert again.groups_of == fleet.groups_of


def test_a_plan_that_others_can_write_to_is_no_inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "_private_group", lambda status: False)
    Path("plan.json").write_text("{}")
    Path("plan.json").chmod(0o666)

    with pytest.raises(UsageError, match=r"plan.json says how the password is used, and others can write to it"):
        load("@plan/plan.json")
