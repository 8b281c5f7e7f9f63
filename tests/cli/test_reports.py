"""Where a report goes decides how it is printed: folded at a terminal, with a line for each host elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provmode.cli.main import cli
from provmode.fleet.results import EXIT_CODES
from provmode.lab.process import LabProcess

Run = Callable[..., Any]
CCMEXEC = "HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LabProcess, str]]:
    """Twelve PCs in the mode; two have values that nobody writes, each another one."""
    inventory = tmp_path_factory.mktemp("fleet") / "lab.py"
    with LabProcess(12, 3, mix={"stuck-no-enabled-time": 1}, inventory=inventory) as lab:
        lab.set_registry(lab.hosts[0].name, CCMEXEC, "ProvisioningMode", 1, "DWORD")
        lab.set_registry(lab.hosts[1].name, CCMEXEC, "ProvisioningMode", '"true"', "SZ")
        yield lab, str(inventory)


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_in_a_pipe_grep_for_a_pc_finds_its_whole_reason(
    provmode: Run, fleet: tuple[LabProcess, str], command: str
) -> None:
    _, inventory = fleet

    reported = json.loads(provmode("audit", inventory, "--format", "json").stdout)["hosts"]
    lines = provmode(command, inventory).stdout.splitlines()

    for host in reported:
        assert any(host["host"] in line and host["reason"] in line for line in lines), host
    assert max(map(len, lines)) > 200


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_a_terminal_gets_80_columns_and_the_same_as_a_pipe_if_it_asks(
    provmode: Run, on_terminal: Run, fleet: tuple[LabProcess, str], command: str
) -> None:
    _, inventory = fleet

    folded, asked = on_terminal(command, inventory), on_terminal(command, inventory, "--wide")
    piped = provmode(command, inventory)

    assert max(map(len, folded.stdout.splitlines())) <= 80
    assert asked.stdout == piped.stdout
    assert "and 2 more" in folded.stdout
    assert "more" not in asked.stdout.split()


def test_pcs_that_share_a_cause_keep_their_reasons_and_the_advice_is_about_the_value(
    on_terminal: Run, fleet: tuple[LabProcess, str]
) -> None:
    _, inventory = fleet

    for command in ("audit", "plan"):
        report = " ".join(on_terminal(command, inventory).stdout.split())

        assert "ProvisioningMode: the value has another type than expected" in report
        assert "ProvisioningMode is '\"true\"', neither true nor false" in report
        assert "-> look at the value that the reason names, and correct it on the PC" in report
        assert "what answers on that port" not in report


def test_a_text_report_in_a_file_is_as_in_a_pipe(provmode: Run, fleet: tuple[LabProcess, str], tmp_path: Path) -> None:
    _, inventory = fleet

    piped = provmode("audit", inventory).stdout
    provmode("audit", inventory, "--output", "report.txt")

    assert (tmp_path / "report.txt").read_text("utf-8") == piped


def test_every_command_has_its_exit_codes_in_the_one_table_with_interruption() -> None:
    assert set(EXIT_CODES) == set(cli.commands)
    for name, command in cli.commands.items():
        assert command.epilog == EXIT_CODES[name].help
        assert {0, 1, 130} <= set(EXIT_CODES[name].meanings)
        assert re.search(r"^130  ", command.epilog or "", re.MULTILINE)
