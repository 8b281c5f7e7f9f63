"""The configuration file at the command line: ``--config``, ``provmode config``, ``provmode init``, and real runs."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.fleet.configuration import commented
from provmode.lab.process import Host, LabProcess

Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The working directory; others can enter it."""
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def of_lab(lab: LabProcess, healthy: Host, folder: Path) -> str:
    """What a configuration file says to reach a PC of the lab."""
    (folder / "pcs.csv").write_text(f"name,address,winrm_port\n{healthy.name},{healthy.address},{healthy.port}\n")
    return (
        f"inventory = 'pcs.csv'\n[data]\nwinrm_user = {lab.user!r}\nwinrm_password_file = {str(lab.password_file)!r}\n"
    ).replace("\\\\", "\\")


def test_an_audit_needs_nothing_but_the_file(provmode: Run, folder: Path, of_lab: str, healthy: Host) -> None:
    (folder / "provmode.toml").write_text(of_lab)

    for options in ((), ("--processes", "2")):
        ran = provmode("audit", "--format", "json", *options)

        assert ran.returncode == 0, ran.stderr
        report = json.loads(ran.stdout)
        assert report["inventory"] == "pcs.csv"
        assert [(host["host"], host["verdict"]) for host in report["hosts"]] == [(healthy.name, "healthy")]


def test_the_policy_of_the_file_counts_in_every_process(
    provmode: Run, folder: Path, of_lab: str, lab: LabProcess, of_persona: Callable[[LabProcess, str], Host]
) -> None:
    armed = of_persona(lab, "armed")
    (folder / "pcs.csv").write_text(f"name,address,winrm_port\n{armed.name},{armed.address},{armed.port}\n")
    (folder / "provmode.toml").write_text(of_lab + "[policy]\nlegitimate_processes = ['lsass.exe']\n")

    ran = provmode("audit", "--format", "json", "--processes", "2")

    assert [host["verdict"] for host in json.loads(ran.stdout)["hosts"]] == ["in-progress"], ran.stderr


def test_a_file_is_named_before_the_command_or_as_its_option(provmode: Run, folder: Path) -> None:
    (folder / "one.toml").write_text("parallel = 1\n")
    (folder / "two.toml").write_text("parallel = 2\n")
    (folder / "provmode.toml").write_text("parallel = 3\n")

    def parallel(*arguments: str, **environment: str) -> Any:
        ran = provmode(*arguments, "--format", "json", environment=environment)
        found = json.loads(ran.stdout)
        (row,) = (row for row in found["values"] if row["key"] == "parallel")
        return found["file"], found["found_by"], row["value"], row["source"], row["from"]

    named = "named by --config"
    assert parallel("config") == ("provmode.toml", "in the working directory", 3, "file", "provmode.toml")
    assert parallel("--config", "one.toml", "config") == ("one.toml", named, 1, "file", "one.toml")
    assert parallel("config", "--config", "one.toml") == ("one.toml", named, 1, "file", "one.toml")
    assert parallel("--config", "one.toml", "config", "--config", "two.toml")[2] == 2
    assert parallel("config", PROVMODE_CONFIG="two.toml")[:3] == ("two.toml", "named by $PROVMODE_CONFIG", 2)
    assert parallel("--config", "one.toml", "config", PROVMODE_CONFIG="two.toml")[2] == 1
    assert parallel("config", "--parallel", "4")[2:] == (4, "option", "--parallel")


def test_a_group_of_commands_takes_it_too(provmode: Run, folder: Path) -> None:
    (folder / "one.toml").write_text("inventory = '@winrm/PC-1'\n[data]\nwinrm_port = 5999\n")

    for arguments in (
        ("--config", "one.toml", "inventory", "show"),
        ("inventory", "--config", "one.toml", "show"),
        ("inventory", "show", "--config", "one.toml"),
    ):
        ran = provmode(*arguments)
        assert (ran.returncode, ran.stdout.splitlines()[0].split()[:2]) == (0, ["PC-1", "PC-1:5999"]), ran.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("parallel =\n", "cannot read the configuration provmode.toml: Invalid value (at line 1, column 11)"),
        ("parrallel = 8\n", "provmode.toml: there is no key parrallel; did you mean parallel?"),
        ("key_file = 'plan.key'\n", "provmode.toml: key_file is not taken from the working directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_exit_code_1(
    provmode: Run, folder: Path, text: str, said: str
) -> None:
    (folder / "provmode.toml").write_text(text)

    ran = provmode("audit", "@winrm/PC-1")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"provmode: {said}")
    assert ran.stderr.count("\n") == 1


def test_all_mistakes_are_said_each_on_a_line(provmode: Run, folder: Path) -> None:
    (folder / "provmode.toml").write_text("parrallel = 8\n[limits]\nwave = 0\n")

    ran = provmode("config")

    assert [line.split(";")[0] for line in ran.stderr.splitlines()] == [
        "provmode: provmode.toml: there is no key parrallel",
        'provmode: provmode.toml: limits.wave is not numbers of hosts or shares such as "10,100,25%", or "all"',
    ]


def test_what_reads_no_file_does_not_mind_a_bad_one(provmode: Run, folder: Path) -> None:
    (folder / "provmode.toml").write_text("parallel =\n")

    for arguments in (("init", "other.toml"), ("audit", "--help"), ("--version",), ("lab", "--help")):
        assert provmode(*arguments).returncode == 0, arguments


def test_without_a_file_an_inventory_is_asked_for_as_before(provmode: Run) -> None:
    ran = provmode("audit")

    assert (ran.returncode, ran.stderr) == (
        1,
        "provmode: Missing argument 'INVENTORY'; provmode audit --help says more\n",
    )


# -- config -----------------------------------------------------------------------------------------------------------


def test_config_shows_every_value_with_its_source_and_no_secret(provmode: Run, folder: Path) -> None:
    (folder / "provmode.toml").write_text(
        "[policy]\ngrace_minutes = 90\n[data]\nwinrm_user = 'LAB\\auditor'\nwinrm_password_file = 's3cret'\n"
    )
    environment = {"PROVMODE_PASSWORD": "s3cret", "PROVMODE_PLAN_KEY": "s3cret"}

    ran = provmode(
        "config",
        "fleet.py",
        "--wave",
        "all",
        "--max-unassessed",
        "5,40%",
        "--data",
        "winrm_port=5999",
        environment=environment,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "s3cret" not in ran.stdout
    lines = [" ".join(line.split()) for line in ran.stdout.splitlines()]
    assert lines[0] == "The configuration file is provmode.toml (in the working directory)."
    assert {
        'inventory "fleet.py" option INVENTORY',
        "key_file (not shown) environment $PROVMODE_PLAN_KEY",
        "parallel 64 default",
        'max_unassessed "5,40%" option --max-unassessed',
        "processes (none) default",
        'limits.wave "all" option --wave',
        "policy.grace_minutes 90 file provmode.toml",
        "data.winrm_password_file (not shown) file provmode.toml",
        "data.winrm_port 5999 option --data",
        'data.winrm_user "LAB\\\\auditor" file provmode.toml',
    } <= set(lines)


def test_config_without_a_file_says_so(provmode: Run) -> None:
    ran = provmode("config")

    assert ran.stdout.startswith("There is no configuration file: provmode init writes one.\n")
    assert json.loads(provmode("config", "--format", "json").stdout)["file"] is None


def test_config_runs_no_inventory(provmode: Run, folder: Path) -> None:
    (folder / "fleet.py").write_text("from pathlib import Path\nPath('ran').touch()\npcs = ['@winrm/PC-1']\n")
    (folder / "provmode.toml").write_text("inventory = 'fleet.py'\n")

    assert provmode("config").returncode == 0
    assert not (folder / "ran").exists()


# -- init -------------------------------------------------------------------------------------------------------------


def test_init_writes_a_file_that_is_read_and_says_nothing_yet(provmode: Run, folder: Path) -> None:
    ran = provmode("init")

    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == "provmode: written: provmode.toml; provmode config shows what holds\n"
    assert (folder / "provmode.toml").read_text() == commented()
    values = json.loads(provmode("config", "--format", "json").stdout)["values"]
    assert {row["source"] for row in values} == {"default"}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o000, 0o644), (0o002, 0o644), (0o077, 0o600)])
def test_nobody_else_may_write_to_what_init_wrote(provmode: Run, folder: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        provmode("init")
    finally:
        os.umask(before)

    assert stat.S_IMODE((folder / "provmode.toml").stat().st_mode) == mode


def test_init_replaces_no_file_and_follows_no_link(provmode: Run, folder: Path) -> None:
    (folder / "mine.toml").write_text("parallel = 8\n")
    (folder / "link.toml").symlink_to("elsewhere.toml")

    for name in ("mine.toml", "link.toml"):
        ran = provmode("init", name)
        assert (ran.returncode, ran.stderr) == (
            1,
            f"provmode: there is a file {name} already; give another name, or edit it\n",
        )
    assert (folder / "mine.toml").read_text() == "parallel = 8\n"
    assert not (folder / "elsewhere.toml").exists()


def test_init_says_if_the_folder_makes_the_file_useless(provmode: Run, folder: Path) -> None:
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)

    ran = provmode("init", "open/provmode.toml")

    assert ran.returncode == 1
    assert "open holds a file that decides what provmode does, and others can write to it" in ran.stderr


# -- files with secrets that systemd hands over ------------------------------------------------------------------------


@pytest.fixture
def credentials(tmp_path: Path, lab: LabProcess) -> dict[str, str]:
    """The environment of a service to which systemd has handed the password: a file that only it can read."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "winrm_password_file").write_bytes(lab.password_file.read_bytes())
    (folder / "winrm_password_file").chmod(0o400)
    (folder / "winrm_user").write_text("not a file with a secret")
    folder.chmod(0o500)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def test_a_password_that_systemd_hands_over_counts_in_place_of_the_file(
    provmode: Run, folder: Path, of_lab: str, lab: LabProcess, credentials: dict[str, str]
) -> None:
    (folder / "provmode.toml").write_text(of_lab.replace(str(lab.password_file), "only-root-can-read-it"))

    without = provmode("audit")
    handed = provmode("audit", environment=credentials)
    shown = provmode("config", "--format", "json", environment=credentials)

    assert without.returncode == 1
    assert "cannot read the file that winrm_password_file names" in without.stderr
    assert (handed.returncode, handed.stderr) == (0, "")
    path = f"{credentials['CREDENTIALS_DIRECTORY']}/winrm_password_file"
    rows = {row["key"]: (row["value"], row["source"], row["from"]) for row in json.loads(shown.stdout)["values"]}
    assert rows["data.winrm_password_file"] == (path, "environment", "$CREDENTIALS_DIRECTORY")
    assert rows["data.winrm_user"] == (lab.user, "file", "provmode.toml")


def test_what_systemd_hands_over_is_no_stronger_than_the_file(
    provmode: Run, folder: Path, of_lab: str, credentials: dict[str, str]
) -> None:
    (folder / "provmode.toml").write_text(of_lab)
    (folder / "own.py").write_text("pcs = (['@winrm/PC-1'], {'winrm_password_file': 'the-inventorys-own'})\n")

    for name in ("the-inventorys-own", "the-options-own"):
        (folder / name).touch()

    of_inventory = provmode("audit", "own.py", environment=credentials)
    of_option = provmode("audit", "--data", "winrm_password_file=the-options-own", environment=credentials)

    assert "the file the-inventorys-own that winrm_password_file names is empty" in of_inventory.stderr
    assert "the file the-options-own that winrm_password_file names is empty" in of_option.stderr


def test_only_what_the_file_names_is_taken_from_what_systemd_hands_over(
    provmode: Run, folder: Path, credentials: dict[str, str]
) -> None:
    (folder / "provmode.toml").write_text("inventory = '@winrm/PC-1'\n")

    shown = provmode("config", "--format", "json", environment=credentials)

    assert "winrm_password_file" not in shown.stdout


def test_the_key_of_plans_can_be_handed_over_too(provmode: Run, folder: Path) -> None:
    (folder / "handed").mkdir()
    (folder / "handed" / "key_file").write_text("0123456789abcdef0123456789abcdef")
    (folder / "other.toml").write_text("key_file = 'only-root-can-read-it'\ninventory = '@winrm/127.0.0.1'\n")
    options = ("--config", "other.toml", "--output", "plan", "--data", "winrm_port=1")
    account = {"PROVMODE_USER": "LAB\\a", "PROVMODE_PASSWORD": "p"}

    without = provmode("plan", *options, environment=account)
    handed = provmode("plan", *options, environment={**account, "CREDENTIALS_DIRECTORY": str(folder / "handed")})

    assert without.returncode == 1
    assert "only-root-can-read-it" in without.stderr
    assert handed.returncode == 8
    assert json.loads((folder / "plan").read_text())["signature"]
