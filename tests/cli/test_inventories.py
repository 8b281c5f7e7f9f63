"""Tables, lists and standard input as inventories, on the command lines of provmode and of pyinfra."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete

from provmode.cli.main import cli
from provmode.lab.process import Host, LabProcess

Run = Callable[..., Any]
KEY = {"PROVMODE_PLAN_KEY": "0123456789abcdef0123456789abcdef"}


@pytest.fixture
def account(lab: LabProcess) -> list[str]:
    """The options that name the lab's account."""
    return ["--data", f"winrm_user={lab.user}", "--data", f"winrm_password_file={lab.password_file}"]


@pytest.fixture
def table(lab: LabProcess, healthy: Host, tmp_path: Path) -> Path:
    """A table with a PC of the lab, as Excel exports it in Germany."""
    file = tmp_path / "my pcs.csv"
    text = f"Name;Address;Groups;winrm_port\r\n{healthy.name};{healthy.address};office;{healthy.port}\r\n"
    file.write_bytes(("sep=;\r\n" + text).encode("utf-16"))
    return file


def typed(folder: Path, text: bytes, *arguments: str, module: str = "provmode", **environment: str) -> Any:
    """Run a command with *text* as its standard input."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PROVMODE")}
    ran = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**clean, **environment},
        input=text,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return subprocess.CompletedProcess(ran.args, ran.returncode, ran.stdout.decode(), ran.stderr.decode())


def test_an_audit_of_a_table(provmode: Run, table: Path, account: list[str], healthy: Host) -> None:
    for inventory in (table.name, f"@csv/{table.name}", f"@csv/{table}"):
        ran = provmode("audit", inventory, "--limit", "office", *account, "--format", "json")

        assert ran.returncode == 0, ran.stderr
        assert [(host["host"], host["verdict"]) for host in json.loads(ran.stdout)["hosts"]] == [
            (healthy.name, "healthy")
        ]


def test_an_address_that_leads_to_another_pc_is_unassessed(
    provmode: Run, lab: LabProcess, healthy: Host, account: list[str], tmp_path: Path
) -> None:
    (tmp_path / "pcs.csv").write_text(f"name,address,winrm_port\nPC-77777,{healthy.address},{healthy.port}\n")

    ran = provmode("audit", "pcs.csv", *account, "--format", "json")

    (host,) = json.loads(ran.stdout)["hosts"]
    assert (ran.returncode, host["verdict"], host["cause"]) == (4, "unassessed", "other-computer")


def test_pyinfra_speaks_winrm_to_the_hosts_of_a_table(
    pyinfra: Run, table: Path, account: list[str], healthy: Host
) -> None:
    ran = pyinfra(f"@csv/{table.name}", *account, "exec", "--", "hostname")

    assert ran.returncode == 0, ran.stderr
    assert f"[@winrm/{healthy.name}]" in ran.stderr
    assert healthy.name in ran.stdout + ran.stderr


def test_pyinfra_takes_names_from_standard_input(
    lab: LabProcess, healthy: Host, account: list[str], tmp_path: Path, data_of: Callable[..., list[str]]
) -> None:
    ran = typed(
        *(tmp_path, f"{healthy.name}\n".encode(), "-y", "@list/-", *data_of(lab, healthy)),
        *("exec", "--", "hostname"),
        module="pyinfra",
    )

    assert ran.returncode == 0, ran.stderr
    assert f"[@winrm/{healthy.name}]" in ran.stderr


def test_pyinfra_prints_the_mistakes_of_a_table_without_a_traceback(pyinfra: Run, tmp_path: Path) -> None:
    (tmp_path / "pcs.csv").write_text("name,winrm_port,password\nPC-1,x,hunter2\n")
    (tmp_path / "pcs.txt").write_text("PC-1\nPC 2\nPC-1\n")

    table, names = pyinfra("@csv/pcs.csv", "exec", "--", "hostname"), pyinfra("@list/pcs.txt", "exec", "--", "x")

    assert (table.returncode, names.returncode) == (1, 1)
    assert "pcs.csv, line 1 has a column 'password', which holds passwords" in table.stderr
    for line in ("pcs.txt, line 2 has more than one name", "pcs.txt, line 3: PC-1 is on line 1 already"):
        assert line in names.stderr
    for ran in (table, names):
        assert "Traceback" not in ran.stderr
        assert "hunter2" not in ran.stdout + ran.stderr


def test_every_mistake_is_a_line_and_nothing_is_sent(provmode: Run, tmp_path: Path) -> None:
    (tmp_path / "pcs.csv").write_text("name,winrm_port\nPC-1,x\nPC-1,70000\nPC\x07-3,\n")

    for command in ("audit", "plan", "traces", "push"):
        more = ("--unsigned", "--yes") if command == "push" else ()
        ran = provmode(command, "pcs.csv", *more, "--data", "winrm_user=u", environment={"PROVMODE_PASSWORD": "p"})

        assert ran.returncode == 1
        assert [line.partition(":")[2].partition(";")[0] for line in ran.stderr.splitlines()] == [
            " pcs.csv, line 2: winrm_port is 'x', no whole number",
            " pcs.csv, line 3: PC-1 is on line 2 already",
            " pcs.csv, line 3: winrm_port is 70000",
            " pcs.csv, line 4: the name is 'PC\\x07-3', with a character that cannot be seen (U+0007)",
        ]
        assert ran.stdout == ""


@pytest.fixture
def broken(tmp_path: Path) -> Any:
    """A lab of its own with a PC to mend, and a table that leads there."""
    with LabProcess(1, 11, mix={"armed": 1}) as lab:
        (host,) = lab.hosts
        text = f"name;address;winrm_port\n{host.name};{host.address};{host.port}\n"
        yield lab, text.encode()


def test_a_plan_from_standard_input_is_applied_when_the_list_is_gone(broken: Any, tmp_path: Path) -> None:
    lab, table = broken
    account = ("--data", f"winrm_user={lab.user}", "--data", f"winrm_password_file={lab.password_file}")

    planned = typed(tmp_path, table, "plan", "@csv/-", "--output", "plan.json", *account, **KEY)
    applied = typed(tmp_path, b"", "apply", "plan.json", *account, **KEY)
    undo = ("undo", "plan.json.journal", "--inventory", "@plan/plan.json", "--yes")
    undone = typed(tmp_path, b"", *undo, *account, **KEY)

    assert planned.returncode == 2, planned.stderr
    assert applied.returncode == 0, applied.stderr
    assert "1 host: 1 changed" in applied.stdout
    assert undone.returncode == 0, undone.stderr


def test_show_of_standard_input_asks_nobody(tmp_path: Path) -> None:
    ran = typed(tmp_path, b"PC-1\nPC-2\n", "inventory", "show", "@list/-", "--limit", "PC-2", "--json")

    document = json.loads(ran.stdout)
    assert ran.returncode == 0, ran.stderr
    assert [host["host"] for host in document["hosts"]] == ["PC-2"]
    assert document["left_out"] == [{"what": "PC-1", "why": "not in --limit", "place": ""}]


def test_what_was_guessed_and_left_out_is_said_on_standard_error(provmode: Run, tmp_path: Path) -> None:
    (tmp_path / "pcs.csv").write_bytes("name;#where\nPC-1;Köln\n#PC-2;\n".encode("cp1252"))

    ran = provmode("inventory", "show", "pcs.csv")

    assert ran.stderr.splitlines() == [
        "provmode: pcs.csv: line 2 is not UTF-8, so the file was read as Windows-1252; save it as UTF-8 to be sure",
        "provmode: pcs.csv: 1 left out, commented out",
    ]


def completed(folder: Path, incomplete: str) -> list[tuple[str, str]]:
    found = ShellComplete(cli, {}, "provmode", "_PROVMODE_COMPLETE").get_completions(["audit"], incomplete)
    return [(item.type, item.value.replace(str(folder), "HERE")) for item in found]


def test_the_shell_completes_inventories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pcs.csv", "pcs.txt", ".hidden", "other"):
        (tmp_path / name).touch()
    (tmp_path / "pcs").mkdir()

    assert completed(tmp_path, "@") == [("plain", "@csv/"), ("plain", "@list/"), ("plain", "@winrm/")]
    assert completed(tmp_path, "@l") == [("plain", "@list/")]
    assert completed(tmp_path, "@csv/pc") == [
        ("plain", "@csv/pcs/"),
        ("plain", "@csv/pcs.csv"),
        ("plain", "@csv/pcs.txt"),
    ]
    assert completed(tmp_path, f"@list/{tmp_path}/o") == [("plain", "@list/HERE/other")]
    assert ("plain", "@csv/.hidden") not in completed(tmp_path, "@csv/")
    assert completed(tmp_path, "@csv/no/such/") == []
    assert completed(tmp_path, "@winrm/PC") == []
    assert completed(tmp_path, "fle") == [("file", "fle")]
