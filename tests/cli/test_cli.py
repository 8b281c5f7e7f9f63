"""The command line: bad input is one clear line and exit code 1; reports fit 80 columns and need no colour."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.verdict import Verdict

Run = Callable[..., Any]

ONE = "pcs = (['@winrm/PC-1'], {'winrm_user': 'u', 'winrm_password': 'p', 'winrm_address': '127.0.0.1'})\n"


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (None, (), "there is no inventory fleet.py"),
        ("pcs = [", (), "cannot read the inventory fleet.py"),
        ("pcs = []\n", (), "has no hosts"),
        ("import nosuchmodule\npcs = ['@winrm/PC-1']\n", (), "cannot read the inventory fleet.py"),
        ("pcs = [int('s3cret')]\n", (), "cannot read the inventory fleet.py: ValueError (fleet.py, line 1)"),
        ("pcs = {}['s3cret']\n", (), "cannot read the inventory fleet.py: KeyError (fleet.py, line 1)"),
        (ONE, ("--data", "winrm_password=s3cret"), "--data winrm_password: every user of this computer could read it"),
        (ONE, ("--data", "winrm_password_file=s3cret"), "the file that winrm_password_file names: No such file"),
        (ONE, ("--data", "winrm_password_file=~s3cret"), "the file that winrm_password_file names: No such file"),
        (
            ONE.replace("'winrm_password': 'p'", "'winrm_password_env': 's3cret'"),
            (),
            "no password for u; set the variable that winrm_password_env names",
        ),
        (
            ONE.replace("'winrm_password': 'p'", "'winrm_password_env': 's3cret!'"),
            (),
            "winrm_password_env is not the name of an environment variable",
        ),
        (
            ONE.replace("'winrm_password': 'p'", "'winrm_password_env': ('s3cret',)"),
            (),
            "PC-1: winrm_password_env is of the wrong type",
        ),
        ("pcs = ['@winrm/PC-1', '@winrm/pc-1']\n", (), "one PC as @winrm/PC-1 and as @winrm/pc-1"),
        ("pcs = ['@winrm/PC-1/wsman']\n", (), "PC-1/wsman is not a host name"),
        (ONE, ("--data", "winrm_codepage=-5"), "winrm_codepage: code page -5 is not known here"),
        (
            "raise SystemExit('no lab is running')\n",
            (),
            "cannot read the inventory fleet.py: no lab is running (fleet.py, line 1)",
        ),
        ("import sys\nsys.exit(0)\n", (), "the inventory fleet.py: it ends the program (fleet.py, line 2)"),
        ("raise SystemExit\n", (), "the inventory fleet.py: it ends the program (fleet.py, line 1)"),
        ("import sys\nsys.exit(8)\n", (), "the inventory fleet.py: it ends the program (fleet.py, line 2)"),
        ("pcs = ['@nosuch/PC-1']\n", (), "there is no connector @nosuch"),
        ("pcs = ['PC-1']\n", (), "PC-1 is not a @winrm host; write it as @winrm/PC-1"),
        (ONE, ("--limit", "PC-9"), "--limit PC-9 matches no host"),
        (ONE, ("--data", "winrm_pasword=x"), "there is no such key; did you mean winrm_password?"),
        (ONE, ("--data", "winrm_port"), "has no value"),
        (
            ONE.replace("winrm_user", "winrm_usr"),
            (),
            "data of PC-1: there is no key winrm_usr; did you mean winrm_user?",
        ),
        (
            ONE,
            ("--data", "winrm_password_file=missing.txt"),
            "cannot read the file that winrm_password_file names: No such file",
        ),
        (ONE, ("--data", "winrm_port=many"), "winrm_port"),
        (ONE, ("--data", "winrm_port=99999"), "winrm_port is 99999"),
        (ONE, ("--data", "winrm_read_deadline=-1"), "winrm_read_deadline is -1"),
        (ONE, ("--data", "winrm_transport=basic"), "Basic over plain HTTP would send the password readable"),
        (ONE.replace("'winrm_password': 'p', ", ""), (), "no password for u"),
        (ONE, ("--output", "."), "is a directory"),
        (ONE, ("--data", 'provmode_policy={"grace_minuts": 5}'), "did you mean grace_minutes?"),
        (ONE, ("--data", 'provmode_policy={"grace_minutes": -5}'), "grace_minutes is -5"),
        (ONE, ("--data", "provmode_policy=nonsense"), "provmode_policy is str"),
        (f"{ONE}winrm_port = 's3cret'\n", (), "fleet.py, line 2: winrm_port at the top of an inventory counts for no"),
        (ONE.replace("'winrm_user': 'u', ", ""), (), "PC-1: no user is given; set winrm_user or $PROVMODE_USER"),
        (ONE, ("--data", "winrm_path=wsman"), "winrm_path is 'wsman', which does not begin with a slash"),
        (ONE, ("--data", "winrm_certificate=missing.pem"), "cannot read the client certificate missing.pem"),
        (
            ONE,
            ("--data", "winrm_transport=credssp", "--data", "winrm_stack=pywinrm"),
            "winrm_stack pywinrm does not check to whom CredSSP hands the password; leave winrm_stack out",
        ),
        (ONE, ("--format", "xml"), "'xml' is not one of"),
        (ONE, ("--parallel", "0"), "--parallel"),
        (ONE, ("--nosuch",), "No such option"),
        (ONE, ("--output", "no/such/folder/report.txt", "--data", "winrm_port=1"), "cannot write"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_1(
    provmode: Run, tmp_path: Path, text: str | None, arguments: tuple[str, ...], message: str
) -> None:
    if text is not None:
        (tmp_path / "fleet.py").write_text(text)

    ran = provmode("audit", "fleet.py", *arguments)

    assert ran.returncode == 1, ran.stderr
    assert message in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "Traceback" not in ran.stderr
    assert "s3cret" not in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_group_data_that_exits_does_not_decide_the_exit_code(provmode: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "fleet.py").write_text(ONE)
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data" / "all.py").write_text("import sys\nsys.exit(0)\n")

    ran = provmode(command, "fleet.py")

    assert ran.returncode == 1
    assert "cannot read the inventory fleet.py: it ends the program (all.py, line 2)" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stdout == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_run_works_with_closed_standard_streams(tmp_path: Path, closed: str) -> None:
    command = f"{sys.executable} -m provmode audit @winrm/pc-1 --data winrm_address=127.0.0.1 --data winrm_port=1"
    account = {"PROVMODE_USER": "u", "PROVMODE_PASSWORD": "p"}
    ran = subprocess.run(
        f"{command} {closed}", shell=True, cwd=tmp_path, env={**os.environ, **account}, capture_output=True, text=True
    )

    assert ran.returncode == 8, ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo", "--hosts", "0"), "--hosts"),
        (("lab", "--mix", "nosuch=1"), "nosuch"),
        (("lab", "--mix", "healthy=lots"), "healthy"),
        (("lab", "--truth", "/nonexistent/truth"), "cannot write /nonexistent/truth: there is no such folder"),
        (("demo", "--truth", "/nonexistent/truth"), "cannot write /nonexistent/truth: there is no such folder"),
        (("nosuch",), "No such command 'nosuch'; provmode --help says more"),
        (("audit",), "Missing argument 'INVENTORY'; provmode audit --help says more"),
    ],
)
def test_bad_usage_is_one_clear_line_too(provmode: Run, arguments: tuple[str, ...], message: str) -> None:
    ran = provmode(*arguments)

    assert ran.returncode == 1
    assert message in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


def test_an_unreadable_ca_is_one_clear_line_for_the_whole_run(provmode: Run, tmp_path: Path) -> None:
    (tmp_path / "fleet.py").write_text(ONE)

    ran = provmode("audit", "fleet.py", "--data", "winrm_scheme=https", "--data", "winrm_ca=missing.pem")

    assert ran.returncode == 1
    assert "cannot read the CA bundle missing.pem" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory, run_on_terminal: Run) -> str:
    """The output of a demo on a terminal."""
    printed: str = run_on_terminal(tmp_path_factory.mktemp("screen"), "demo", "--hosts", "60", "--seed", "7").stdout
    return printed


def test_the_report_fits_80_columns_and_needs_no_colour(screen: str) -> None:
    assert "\x1b" not in screen
    assert max(len(line) for line in screen.splitlines()) <= 80


def test_verdicts_come_worst_first_with_counts_of_the_whole(screen: str) -> None:
    headings = re.findall(r"^([a-z-]+)  (\d+) of 60  ", screen, re.MULTILINE)

    assert [name for name, _ in headings] == [
        verdict for verdict in (v.value for v in _severity()) if verdict in dict(headings)
    ]
    assert sum(int(count) for _, count in headings) == 60
    assert headings[-1][0] == "healthy"


def _severity() -> tuple[Verdict, ...]:
    from provmode.ccm.verdict import SEVERITY

    return tuple(SEVERITY)


def test_unassessed_hosts_are_grouped_by_cause_with_the_next_step(screen: str) -> None:
    section = screen[screen.index("unassessed") :].split("\n\n")[0]

    assert "connect-timeout" in section
    causes = re.findall(r"^  ([a-z-]+)  \d+ *$", section, re.MULTILINE)
    assert len(causes) == len(set(causes)) > 3
    for cause in re.split(r"^  [a-z-]+  \d+ *$", section, flags=re.MULTILINE)[1:]:
        assert "      -> " in cause


def test_identical_cases_are_folded(screen: str) -> None:
    assert re.search(r"^  \d+ hosts: PC-\d+", screen, re.MULTILINE)
    assert screen.strip().splitlines()[-1].strip()


@pytest.mark.parametrize("arguments", [("--help",), ("audit", "--help"), ("demo", "-h"), ("lab", "-h")])
def test_help_says_what_the_exit_codes_mean(provmode: Run, arguments: tuple[str, ...]) -> None:
    ran = provmode(*arguments)

    assert ran.returncode == 0
    assert "Exit codes:" in ran.stdout
    if arguments[0] != "lab":
        assert "not assessed" in ran.stdout


def test_the_version_is_that_of_the_package(provmode: Run) -> None:
    from importlib.metadata import version

    assert version("provmode") in provmode("--version").stdout


def test_control_characters_from_a_pc_are_replaced() -> None:
    from provmode.text import visible

    assert visible("\x1b[31mred\x07\u202e") == "\ufffd[31mred\ufffd\ufffd"
    assert visible("Müller\tGröße\nnext") == "Müller\tGröße\nnext"


def test_an_output_that_cannot_be_written_is_one_line(provmode: Run, tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "fleet.py").write_text(ONE)
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "provmode", "audit", "fleet.py", "--data", "winrm_port=1"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ran.returncode == 1
    assert "the output cannot be written" in ran.stderr
    assert "Traceback" not in ran.stderr
