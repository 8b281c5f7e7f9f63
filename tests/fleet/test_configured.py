"""The configuration file in runs: weaker than options and inventory, and heard by every command that reads it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import Unreachable, UsageError
from provmode.fleet.begun import AS_BEGUN
from provmode.fleet.configuration import Configuration, checked
from provmode.fleet.configured import Holding, holdings
from provmode.fleet.inventory import PyinfraFile, WithDefaults, load
from provmode.fleet.visit import policies_of
from provmode.fleet.waves import SAFE

KEY = "0123456789abcdef0123456789abcdef"


# -- host data --------------------------------------------------------------------------------------------------------


@pytest.fixture
def inventory(bench: Any, programs: None) -> Any:
    """Write an inventory whose hosts have an account, a policy and data of their own."""

    def write(data: Mapping[str, Any], group: str = "pcs") -> str:
        file = bench.folder / "own.py"
        own = {"winrm_user": "lab", "winrm_password": "p", "winrm_address": "127.0.0.1", **data}
        if group == "group_data":
            (bench.folder / "group_data").mkdir()
            text = "".join(f"{key} = {value!r}\n" for key, value in own.items())
            (bench.folder / "group_data" / "all.py").write_text(text)
            group, own = "pcs", {}
        file.write_text(f"{group} = (['@winrm/PC-1'], {own!r})\n")
        return str(file)

    return write


@pytest.mark.parametrize("group", ["pcs", "all", "group_data"])
def test_the_inventorys_own_data_is_stronger_than_the_file(inventory: Any, group: str) -> None:
    own = inventory({"winrm_port": 5985, "provmode_policy": {"grace_minutes": 90}}, group)
    weak = {"winrm_user": "weak", "winrm_port": 1, "winrm_codepage": 850}

    fleet = load(WithDefaults(own, {**weak, "provmode_policy": {"grace_minutes": 10, "minimum_age_minutes": 20}}))

    data = fleet.data_of("@winrm/PC-1")
    assert [data[key] for key in weak] == ["lab", 5985, 850]
    assert data["provmode_policy"] == {"grace_minutes": 90, "minimum_age_minutes": 20}


@pytest.mark.parametrize("group", ["pcs", "all", "group_data"])
def test_keys_that_protect_add_up(inventory: Any, group: str) -> None:
    own = inventory({"winrm_read_only": False, "provmode_policy": {"legitimate_processes": ["Ours.exe"]}}, group)
    policy = {"legitimate_processes": ["Theirs.exe"], "not_legitimate_processes": ["TSManager.exe"]}

    fleet = load(WithDefaults(own, {"winrm_read_only": True, "provmode_policy": policy}))

    (found,) = policies_of(fleet, fleet.names).values()
    assert fleet.data_of("@winrm/PC-1")["winrm_read_only"] is True
    assert {"Ours.exe", "Theirs.exe"} <= set(found.legitimate_processes)
    assert "TSManager.exe" not in found.legitimate_processes
    assert [lowered.value for lowered in found.lowered] == ["TSManager.exe"], "reports say so"


def test_what_the_inventory_protects_the_file_cannot_take_out(inventory: Any) -> None:
    own = inventory({"provmode_policy": {"legitimate_processes": ["TSManager.exe"]}})

    fleet = load(WithDefaults(own, {"provmode_policy": {"not_legitimate_processes": ["TSManager.exe"]}}))

    with pytest.raises(UsageError, match="take it out of one"):
        policies_of(fleet, fleet.names)


def test_an_inventory_has_its_own_name_and_kind_with_defaults_too(bench: Any, inventory: Any) -> None:
    own = inventory({})

    assert (WithDefaults(own, {}).name, WithDefaults(own, {}).path) == (own, Path(own))
    assert WithDefaults(PyinfraFile(Path(own)), {}).name == own
    assert load(WithDefaults("@winrm/PC-1", {"winrm_port": 1})).is_list
    with pytest.raises(UsageError, match="there is no inventory nosuch"):
        load(WithDefaults("nosuch", {}))


# -- at the command line ----------------------------------------------------------------------------------------------


class Folder:
    """The working directory of commands, with a configuration file."""

    def __init__(self, commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands, self.bench, self.path = commands, commands.bench, commands.bench.folder / "here"
        self.path.mkdir()
        monkeypatch.chdir(self.path)
        monkeypatch.delenv("PROVMODE_CONFIG", raising=False)
        monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)

    def write(self, text: str, *, inventory: bool = True) -> None:
        named = f"inventory = {str(self.commands.inventory)!r}\n" if inventory else ""
        (self.path / "provmode.toml").write_text(named + text)

    def run(self, *arguments: object) -> Any:
        return self.commands.run(*arguments)


@pytest.fixture
def here(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Folder:
    folder = Folder(commands, monkeypatch)
    for number in (1, 2, 3):
        folder.bench.pc("armed", f"PC-{number}", seed=number)
    return folder


def test_looks_take_the_inventory_from_the_file(here: Folder) -> None:
    here.write("")

    for command in ("audit", "plan", "traces"):
        found = json.loads(here.run(command, "--format", "json").out)
        assert [host["host"] for host in found["hosts"]] == ["PC-1", "PC-2", "PC-3"], command
    shown = json.loads(here.run("inventory", "show", "--json").out)
    assert shown["inventory"] == str(here.commands.inventory)


def test_a_push_takes_inventory_and_limits_from_the_file(here: Folder) -> None:
    here.write('[limits]\nwave = "1,1"\nmax_failures = 0\n')

    ran = here.run("push", "--unsigned", "--yes")

    assert ran.code == 0
    said = " ".join(ran.err.split())
    assert "limits: --wave 1,1 --soak 0 --max-failures 0 --parallel 64 (those of provmode.toml, else" in said


def test_what_a_push_says_about_its_undo_names_the_file_that_was_named(here: Folder) -> None:
    here.write("")
    (here.path / "provmode.toml").rename(here.path / "mine.toml")

    ran = here.run("push", "--unsigned", "--yes", "--config", "mine.toml")

    command = ran.err.partition("what can be restored from it: provmode ")[2].strip()
    assert command.endswith(" --config mine.toml --unsigned --dry")
    assert here.run(*shlex.split(command)).code == 2, "there is something to restore"


def test_an_inventory_that_is_named_counts_instead(here: Folder) -> None:
    here.write("inventory = 'nosuch.py'\n", inventory=False)

    assert here.run("audit", here.commands.inventory).code == 2
    assert here.run("audit").err.startswith("there is no inventory nosuch.py")


def test_a_plan_and_its_undo_keep_the_inventory_that_they_name(here: Folder) -> None:
    plan = here.path / "plan.json"
    here.run("plan", here.commands.inventory, "--output", plan, "--unsigned")
    here.write("inventory = 'nosuch.py'\n", inventory=False)

    assert here.run("apply", plan, "--unsigned").code == 0


def test_the_policy_of_the_file_counts_in_audit_plan_and_apply(here: Folder) -> None:
    plan = here.path / "plan.json"
    here.run("plan", here.commands.inventory, "--output", plan, "--unsigned")
    here.write("[policy]\nlegitimate_processes = ['lsass.exe']\ngrace_minutes = 1\n")

    audit = json.loads(here.run("audit", "--format", "json").out)
    again = json.loads(here.run("plan", "--format", "json").out)
    applied = here.run("apply", plan, "--unsigned", "--format", "json")

    assert [host["verdict"] for host in audit["hosts"]] == ["in-progress"] * 3
    assert [row["setting"] for row in audit["lowered_protection"]] == ["grace_minutes"]
    assert [host["steps"] for host in again["hosts"]] == [[]] * 3
    assert [host["ended"] for host in json.loads(applied.out)["hosts"]] == ["stale"] * 3
    assert not any(pc.changes for pc in here.bench.pcs.values())


def test_a_limit_that_is_named_is_stronger_than_the_file(here: Folder) -> None:
    here.write('parallel = 7\n[limits]\nwave = "1"\nsoak = 3\nmax_failures = "none"\n')
    plan = here.path / "plan.json"
    here.run("plan", "--output", plan, "--unsigned")

    here.run("apply", plan, "--unsigned", "--wave", "all", "--max-failures", "1")

    first = json.loads(Path(f"{plan}.journal").read_text().splitlines()[0])
    assert first["limits"] == SAFE.changed({"wave": "all", "soak": 3.0, "max_failures": "1", "parallel": 7}).to_json()


def test_a_resume_goes_on_as_it_was_begun_whatever_the_file_says(here: Folder) -> None:
    plan = here.path / "plan.json"
    here.run("plan", here.commands.inventory, "--output", plan, "--unsigned")
    here.run("apply", plan, "--unsigned", "--exclude", "PC-3")
    here.write('parallel = 7\n[limits]\nwave = "all"\nmax_failures = "none"\n')

    ran = here.run("apply", plan, "--unsigned", "--resume", "--exclude", "PC-2")

    assert f"--wave {SAFE.wave} --soak 0 --max-failures {SAFE.max_failures} --parallel 64" in " ".join(ran.err.split())
    assert AS_BEGUN in " ".join(ran.err.split())


def test_more_unassessed_hosts_than_the_file_allows_fail_an_audit(here: Folder) -> None:
    here.write("max_unassessed = 0\n")
    here.bench.pcs["PC-1"].error = Unreachable("PC-1 is off")

    assert here.run("audit").code & 4
    assert "more than the 0 of --max-unassessed" in here.run("audit").err
    assert "max-unassessed" not in here.run("audit", "--max-unassessed", "2").err


def test_the_key_of_the_file_signs_unless_the_environment_has_one(
    here: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.write("key_file = 'plan.key'\n")
    (here.path / "plan.key").write_text(KEY)
    monkeypatch.setenv("PROVMODE_CONFIG", "provmode.toml")

    here.run("plan", "--output", "plan.json")
    assert here.run("apply", "plan.json").code == 0
    monkeypatch.setenv("PROVMODE_PLAN_KEY", "another key, which fits no line")
    assert here.run("apply", "plan.json", "--journal", "second").code == 3


def test_whoever_only_reads_a_plan_needs_no_key_that_the_file_names(
    here: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVMODE_CONFIG", "provmode.toml")
    here.write("")
    here.run("plan", "--output", "plan.json", "--unsigned")
    here.write("key_file = 'nosuch.key'\n")

    assert here.run("show", "plan.json").code == 0
    assert here.run("verify", "plan.json").err.startswith("cannot read the key file nosuch.key")


def test_a_mistake_in_the_file_ends_every_command_that_reads_it_before_anything_is_sent(here: Folder) -> None:
    here.write("parrallel = 8\n")

    for command in (
        *(("audit",), ("plan",), ("push",), ("traces",), ("inventory", "show"), ("config",)),
        *(("apply", "p"), ("undo", "j", "--inventory", "i"), ("verify", "j"), ("show", "p")),
    ):
        ran = here.run(*command)
        said = "provmode.toml: there is no key parrallel; did you mean parallel?\n"
        assert (ran.code, ran.err, ran.out) == (1, said, ""), command
    assert here.commands.parallel == [], "no run was begun"


# -- what holds -------------------------------------------------------------------------------------------------------

VARIABLES = {"key_file": "PLAN_KEY", "winrm_user": "USER", "winrm_password": "PASSWORD"}


def held(document: Mapping[str, Any], **given: Any) -> dict[str, Holding]:
    empty: dict[str, Any] = {"options": {}, "data": {}, "environment": {}}
    found = checked(document, path=Path("/etc/provmode/provmode.toml")) if document else Configuration()
    rows = holdings(found, **{**empty, **given}, variables=VARIABLES)
    return {row.key: row for row in rows}


def test_each_value_says_where_it_comes_from() -> None:
    rows = held(
        {"parallel": 8, "processes": 2, "policy": {"grace_minutes": 90}, "data": {"winrm_port": 5985}},
        options={"processes": 4},
        data={"winrm_scheme": "https"},
        environment={"USER": "auditor"},
    )

    assert [
        (rows[key].value, rows[key].source, rows[key].place) for key in ("parallel", "processes", "limits.wave")
    ] == [
        (8, "file", "/etc/provmode/provmode.toml"),
        (4, "option", "--processes"),
        (SAFE.wave, "default", ""),
    ]
    assert (rows["policy.grace_minutes"].value, rows["policy.grace_minutes"].source) == (90, "file")
    assert {key: row.source for key, row in rows.items() if key.startswith("data.")} == {
        "data.winrm_port": "file",
        "data.winrm_scheme": "option",
        "data.winrm_user": "environment",
    }


def test_the_environment_is_stronger_than_the_file_for_the_key_and_weaker_for_the_user() -> None:
    rows = held(
        {"key_file": "plan.key", "data": {"winrm_user": "of the file"}},
        environment={"PLAN_KEY": KEY, "USER": "of the environment"},
    )

    assert (rows["key_file"].source, rows["key_file"].value, rows["key_file"].hidden) == ("environment", None, True)
    assert (rows["data.winrm_user"].source, rows["data.winrm_user"].value) == ("file", "of the file")


@pytest.mark.parametrize("value", ["s3cret", ["s3cret"], {"s3cret": 1}])
@pytest.mark.parametrize("key", ["winrm_password_file", "winrm_password_env", "winrm_password_keyring"])
def test_what_could_be_the_password_itself_is_not_shown(key: str, value: Any) -> None:
    rows = held({}, data={key: value}, environment={"PASSWORD": "s3cret", "PLAN_KEY": "s3cret"})

    assert rows[f"data.{key}"].hidden
    assert "s3cret" not in json.dumps([row.to_json() for row in rows.values()])


def test_a_password_file_that_is_there_is_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")

    rows = held({"data": {"winrm_password_file": str(tmp_path / "password")}})

    assert rows["data.winrm_password_file"].value == str(tmp_path / "password")
