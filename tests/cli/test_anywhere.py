"""The command line from any folder: a plan finds its inventory, and `--debug` tells what is asked of each PC."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.process import Host, LabProcess

KEY = {"PROVMODE_PLAN_KEY": "0123456789abcdef0123456789abcdef"}


@pytest.fixture(scope="module")
def change(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the inventory ``lab.py`` of an overdue PC."""
    folder = tmp_path_factory.mktemp("change")
    with LabProcess(1, 5, mix={"overdue": 1}, inventory=folder / "lab.py"):
        yield folder


def test_a_plan_finds_its_inventory_here_or_beside_itself_and_else_the_option_is_named(
    change: Path, tmp_path: Path, provmode: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(change)
    from provmode.fleet.inventory import planned_inventory

    assert planned_inventory("lab.py", change / "plan.json") == "lab.py"
    monkeypatch.chdir(tmp_path)
    assert planned_inventory("lab.py", change / "plan.json") == str(change / "lab.py")
    assert planned_inventory("@winrm/PC-00001", change / "plan.json") == "@winrm/PC-00001"

    planned = provmode("plan", str(change / "lab.py"), "--output", str(tmp_path / "plan.json"), environment=KEY)
    text = (tmp_path / "plan.json").read_text().replace(f'"{change / "lab.py"}"', '"lab.py"')
    (tmp_path / "unsigned.json").write_text(re.sub(r'"signature": \{.*\}', '"signature": null', text))
    nowhere = provmode("apply", "unsigned.json", "--unsigned")
    (change / "unsigned.json").write_bytes((tmp_path / "unsigned.json").read_bytes())
    found = provmode("apply", str(change / "unsigned.json"), "--unsigned")

    assert planned.returncode == 2
    assert nowhere.returncode == 1
    assert nowhere.stderr == (
        "provmode: there is no inventory lab.py here or beside unsigned.json, which was made with it; "
        "give --inventory FILE\n"
    )
    assert found.returncode == 0, found.stderr
    assert "1 host: 1 changed" in found.stdout


@pytest.mark.parametrize("before", [True, False], ids=["before the command", "after it"])
def test_debug_says_what_is_asked_of_a_healthy_pc_and_what_it_costs(
    lab: LabProcess, healthy: Host, provmode: Callable[..., Any], data_of: Callable[..., list[str]], before: bool
) -> None:
    audit = ("audit", f"@winrm/{healthy.name}", *data_of(lab, healthy))

    ran = provmode("--debug", *audit) if before else provmode(*audit, "--debug")

    assert ran.returncode == 0
    said = ran.stderr
    assert f"{healthy.name}: connecting to http://{healthy.address}:{healthy.port} by ntlm as {lab.user}" in said
    for what in ("Get SMS_Client", "Invoke GetStringValue on StdRegProv", "the command \\(if exist"):
        assert re.search(rf"{healthy.name}: {what}.* \(requests: [1-9]\d*, seconds: \d+\.\d+\)", said), what
    assert f"{healthy.name}: healthy by the rule " in said
    assert lab.password not in said
    assert provmode(*audit).stderr == ""


def test_a_fact_of_pyinfras_own_says_which_ones_work_here(
    lab: LabProcess, healthy: Host, pyinfra: Callable[..., Any], data_of: Callable[..., list[str]]
) -> None:
    ran = pyinfra(*data_of(lab, healthy), f"@winrm/{healthy.name}", "fact", "server.Hostname")

    said = " ".join(ran.stderr.split())
    assert "the command uname -n changes the PC and this session only reads; pyinfra's own facts and operations" in said
    assert "use those of provmode" in said
