"""``--write`` at the command line, and ``[report] write`` of the configuration file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from provmode.errors import Mistakes, Unreachable
from provmode.fleet.configuration import checked
from provmode.report.prometheus import CHANGES


@pytest.fixture
def here(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of commands whose fleet are three PCs; one needs something."""
    folder: Path = commands.bench.folder / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PROVMODE_CONFIG", raising=False)
    for number, persona in enumerate(("healthy", "armed", "healthy"), 1):
        commands.bench.pc(persona, f"PC-{number}", seed=number)
    return folder


def asked(commands: Any) -> bool:
    return any(pc.actions for pc in commands.bench.pcs.values())


def names(path: Path) -> list[str]:
    """Return the hosts in a CSV."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row["host"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_one_run_writes_every_format_beside_its_report(commands: Any, here: Path, command: str) -> None:
    plain = commands.run(command, commands.inventory)
    files = ("json=a.json", "junit=a.xml", "csv=a.csv", "prometheus=a.prom")

    ran = commands.run(command, commands.inventory, *(word for file in files for word in ("--write", file)))

    assert (ran.code, ran.out) == (plain.code, plain.out) == (2, plain.out)
    report = json.loads((here / "a.json").read_text())
    assert report["format"] == "provmode-audit"
    assert [host["host"] for host in report["hosts"]] == names(here / "a.csv") == ["PC-1", "PC-2", "PC-3"]
    assert 'tests="2" failures="1"' in (here / "a.xml").read_text()
    assert 'verdict="armed"} 1' in (here / "a.prom").read_text()


def test_the_json_is_that_of_the_report(commands: Any, here: Path) -> None:
    ran = commands.run("audit", commands.inventory, "--format", "json", "--write", "json=a.json")

    assert (here / "a.json").read_text() == ran.out


def test_junit_all_has_a_case_for_every_host(commands: Any, here: Path) -> None:
    commands.run("audit", commands.inventory, "--write", "junit=a.xml", "--junit-all")

    assert 'tests="3" failures="1"' in (here / "a.xml").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--write", "a.csv"], "--write a.csv is not FORMAT=FILE; write it as in prometheus=FILE"),
        (["--write", "xml=a"], "--write xml=a: there is no format xml; use json, junit, csv or prometheus"),
        (["--write", "csv=nosuch/a"], "cannot write nosuch/a: there is no such folder"),
        (["--write", "csv=a", "--write", "json=a"], "--write json=a: the file is that of --write csv=a too; give each"),
        (["--write", "csv=a", "--output", "./a"], "--write csv=a: the file is that of --output too; give each"),
        (["--junit-all"], "--junit-all is about --write junit=FILE; give that too"),
    ],
)
@pytest.mark.parametrize("command", ["audit", "plan"])
def test_what_cannot_be_written_ends_the_run_before_a_pc_is_asked(
    commands: Any, here: Path, command: str, options: list[str], said: str
) -> None:
    ran = commands.run(command, commands.inventory, *options)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(said)
    assert ran.err.count("\n") == 1
    assert not asked(commands)
    assert list(here.iterdir()) == []


def test_a_plan_of_traces_has_no_verdicts_to_write(commands: Any, here: Path) -> None:
    ran = commands.run("plan", commands.inventory, "--remove-traces", "--write", "csv=a")

    assert (ran.code, ran.err) == (1, "--write is about verdicts, and a plan with --remove-traces has none\n")
    assert not asked(commands)


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_a_file_that_cannot_be_written_loses_neither_the_report_nor_another(
    commands: Any, here: Path, command: str
) -> None:
    plain = commands.run(command, commands.inventory)

    ran = commands.run(command, commands.inventory, "--write", "csv=/dev/full", "--write", "prometheus=a.prom")

    assert ran.out == plain.out
    assert ran.err.splitlines()[-1] == "provmode: cannot write /dev/full: No space left on device"
    assert ran.code == 1
    assert (here / "a.prom").exists()


@pytest.mark.parametrize("command", [("audit",), ("plan", "--unsigned")])
def test_a_report_that_cannot_be_written_loses_no_other_file(
    commands: Any, here: Path, command: tuple[str, ...]
) -> None:
    ran = commands.run(*command, commands.inventory, "--output", "/dev/full", "--write", "csv=a.csv")

    assert (ran.code, names(here / "a.csv")) == (1, ["PC-1", "PC-2", "PC-3"])


# -- changes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def plan(commands: Any, here: Path) -> Path:
    """A plan for the three PCs, of which one is changed."""
    path = here / "plan.json"
    commands.run("plan", commands.inventory, "--output", path, "--unsigned")
    return path


def test_an_apply_writes_how_many_hosts_ended_how(commands: Any, here: Path, plan: Path) -> None:
    ran = commands.run("apply", plan, "--unsigned", "--write", "prometheus=changes.prom")

    families = {each.name: each for each in text_string_to_metric_families((here / "changes.prom").read_text())}
    assert ran.code == 0
    assert [(name, each.documentation, each.type) for name, each in families.items()] == [
        (metric.name, metric.says, "gauge") for metric in CHANGES
    ]
    assert {sample.labels["outcome"]: sample.value for sample in families["provmode_changes"].samples} == {
        **{"changed": 1, "already": 0, "stale": 0, "failed": 0, "unreached": 0, "not-started": 0, "deferred": 0},
    }
    (sample,) = families["provmode_last_apply_timestamp_seconds"].samples
    assert (sample.labels, sample.value) == ({"inventory": commands.inventory}, commands.bench.now().timestamp())


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("csv=a.csv", "--write csv=a.csv: changes are written as prometheus only"),
        ("prometheus=nosuch/a", "cannot write nosuch/a: there is no such folder"),
        ("prometheus=plan.json", "--write prometheus=plan.json: the file is that of the plan too"),
        ("prometheus=plan.json.journal", "--write prometheus=plan.json.journal: the file is that of the journal too"),
    ],
)
def test_figures_that_cannot_be_written_end_an_apply_before_a_pc_is_asked(
    commands: Any, here: Path, plan: Path, file: str, said: str
) -> None:
    before, asked_before = plan.read_bytes(), [len(pc.actions) for pc in commands.bench.pcs.values()]

    ran = commands.run("apply", plan, "--unsigned", "--write", file)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(said)
    assert [len(pc.actions) for pc in commands.bench.pcs.values()] == asked_before
    assert plan.read_bytes() == before
    assert [path.name for path in here.iterdir()] == ["plan.json"]


def test_figures_that_cannot_be_written_change_neither_report_nor_exit_code_of_an_apply(
    commands: Any, plan: Path
) -> None:
    ran = commands.run("apply", plan, "--unsigned", "--write", "prometheus=/dev/full")

    assert ran.code == 0
    assert "changed" in ran.out
    assert ran.err.splitlines()[-1] == "provmode: cannot write /dev/full: No space left on device"


def test_the_files_of_the_configuration_are_not_those_of_an_apply(
    commands: Any, here: Path, plan: Path, configured: Path
) -> None:
    run(commands, configured, "apply", plan, "--unsigned")

    assert [path.name for path in configured.iterdir()] == ["provmode.toml"]


# -- the configuration file -------------------------------------------------------------------------------------------


@pytest.fixture
def configured(commands: Any, here: Path) -> Path:
    """A configuration file elsewhere that names the fleet and two files; returns its folder."""
    folder: Path = commands.bench.folder / "etc"
    folder.mkdir(mode=0o755)
    (folder / "provmode.toml").write_text(
        f'inventory = "{commands.inventory}"\n[report]\nwrite = ["csv=a.csv", "prometheus=a.prom"]\n'
    )
    return folder


def run(commands: Any, folder: Path, *arguments: object) -> Any:
    return commands.run(*arguments, "--config", folder / "provmode.toml")


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_the_files_of_the_configuration_stand_beside_it(
    commands: Any, here: Path, configured: Path, command: str
) -> None:
    ran = run(commands, configured, command)

    assert ran.code == 2, ran.err
    assert sorted(path.name for path in configured.iterdir()) == ["a.csv", "a.prom", "provmode.toml"]
    assert list(here.iterdir()) == []


def test_options_count_instead_of_the_configuration(commands: Any, here: Path, configured: Path) -> None:
    run(commands, configured, "audit", "--write", "csv=mine.csv")

    assert [path.name for path in here.iterdir()] == ["mine.csv"]
    assert [path.name for path in configured.iterdir()] == ["provmode.toml"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["audit", "--limit", "PC-1"], "the run is about some hosts only"),
        (["audit", "--exclude", "PC-1"], "the run is about some hosts only"),
        (["audit", "@winrm/PC-1"], "the inventory is another one"),
        (["plan", "--remove-traces"], "the plan is about traces"),
    ],
)
def test_a_look_at_a_part_replaces_no_file_about_the_whole(
    commands: Any, here: Path, configured: Path, arguments: list[str], why: str
) -> None:
    run(commands, configured, "audit")
    before = {path.name: path.read_bytes() for path in configured.iterdir()}

    ran = run(commands, configured, *arguments)

    assert {path.name: path.read_bytes() for path in configured.iterdir()} == before
    line = f"the files of [report] write stay as they are, because {why}; --write names files for this run"
    assert ran.err.splitlines()[0] == f"provmode: {line}"


def test_a_look_at_those_that_were_away_replaces_no_file_about_the_whole(
    commands: Any, here: Path, configured: Path
) -> None:
    with (configured / "provmode.toml").open("a") as file:
        file.write(f'[history]\nurl = "sqlite:///{here}/history.sqlite"\n')
    commands.bench.pcs["PC-1"].error = Unreachable("PC-1 does not answer")
    run(commands, configured, "audit")
    before = {path.name: path.read_bytes() for path in configured.iterdir()}

    ran = run(commands, configured, "audit", "--only", "unassessed")

    assert {path.name: path.read_bytes() for path in configured.iterdir()} == before
    assert "stay as they are" not in ran.err


def test_a_look_at_the_whole_may_name_it_otherwise(commands: Any, here: Path, configured: Path) -> None:
    (here / "pcs.txt").write_text("PC-1\nPC-2\nPC-3\n")
    (configured / "provmode.toml").write_text(f'inventory = "{here}/pcs.txt"\n[report]\nwrite = ["csv=a.csv"]\n')

    run(commands, configured, "audit", "./pcs.txt")

    assert names(configured / "a.csv") == ["PC-1", "PC-2", "PC-3"]


def test_files_are_not_taken_from_the_working_directory(commands: Any, here: Path) -> None:
    (here / "provmode.toml").write_text(f'inventory = "{commands.inventory}"\n[report]\nwrite = ["csv=a.csv"]\n')

    ran = commands.run("audit")

    said = "report.write is not taken from the working directory, because whoever prepared it would decide what is run"
    assert ran.code == 1
    assert ran.err.startswith(f"provmode.toml: {said}, believed or overwritten")
    assert not asked(commands)
    assert [path.name for path in here.iterdir()] == ["provmode.toml"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("csv=a.csv", "; write it as in"),
        (["a.csv"], "; write it as in prometheus=FILE"),
        (["xml=a"], "; use json, junit, csv or prometheus"),
        (["csv=a", 5], "; write it as in"),
    ],
)
def test_a_value_that_names_no_files_is_one_line(value: Any, said: str) -> None:
    with pytest.raises(Mistakes) as error:
        checked({"report": {"write": value}}, path=Path("/etc/provmode/provmode.toml"))

    (line,) = error.value.lines
    words = 'report.write is not a list of "FORMAT=FILE", with json, junit, csv or prometheus'
    assert line.startswith(f"/etc/provmode/provmode.toml: {words}{said}")


def test_config_shows_the_files_and_where_they_come_from(commands: Any, here: Path, configured: Path) -> None:
    def row(*options: str) -> Any:
        values = json.loads(run(commands, configured, "config", "--format", "json", *options).out)["values"]
        return next(each for each in values if each["key"] == "report.write")

    of_file, of_option = row(), row("--write", "csv=b.csv", "--write", "json=b.json")

    assert of_file["value"] == [f"csv={configured}/a.csv", f"prometheus={configured}/a.prom"]
    assert of_file["source"] == "file"
    assert (of_option["value"], of_option["from"]) == (["csv=b.csv", "json=b.json"], "--write")
