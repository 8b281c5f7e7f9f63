"""What leaving the mode sets off is counted before the start, and more than is allowed is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.policy import Policy
from provmode.errors import UsageError
from provmode.fleet.guarding.consequences import SetOff, all_set_off, set_off
from provmode.fleet.plan_file import PlannedHost
from provmode.fleet.waves import Limits
from provmode.remediation.steps import SetMode, SetStartMode

UNKNOWN = {"unknown": {"cause": "remote-fault", "detail": "no"}}
NOTHING = {"past_due": {"known": []}, "reboot_pending": {"known": False}, "window_open": {"known": False}}


def planned(impact: Any, *, leaves: bool = True) -> PlannedHost:
    step = SetMode(False, "true") if leaves else SetStartMode("CcmExec", "Disabled", "Auto")
    return PlannedHost("@winrm/PC-1", "stuck", "why", "f", (step,), "", Policy(), {"impact": impact})


@pytest.mark.parametrize(
    ("impact", "found"),
    [
        (NOTHING, SetOff()),
        ({**NOTHING, "past_due": {"known": ["Office", "Reader"]}}, SetOff(2)),
        ({**NOTHING, "reboot_pending": {"known": True}}, SetOff(0, 1)),
        ({**NOTHING, "past_due": {"absent": True}}, SetOff()),
        ({**NOTHING, "past_due": UNKNOWN}, SetOff(1, 0, 1)),
        ({**NOTHING, "past_due": UNKNOWN, "reboot_pending": UNKNOWN}, SetOff(1, 1, 2)),
        ({**NOTHING, "window_open": {"known": True}}, SetOff()),
        (None, SetOff(1, 1, 2)),
        ({}, SetOff(1, 1, 2)),
        ("none", SetOff(1, 1, 2)),
    ],
)
def test_what_could_not_be_told_counts_as_one(impact: Any, found: SetOff) -> None:
    assert set_off(planned(impact)) == found


def test_a_host_that_does_not_leave_the_mode_sets_nothing_off() -> None:
    assert set_off(planned(None, leaves=False)) == SetOff()


def test_hosts_are_added_up() -> None:
    hosts = [planned({**NOTHING, "past_due": {"known": ["Office"]}}), planned(None)]

    found = all_set_off(hosts)

    assert (found, found.total) == (SetOff(2, 1, 2), 3)
    assert found.words == "2 installs and 1 restart (2 of them could not be told, and count)"
    assert SetOff(1, 2).words == "1 install and 2 restarts"


@pytest.mark.parametrize("text", ["", "-1", "many", "5%", "1.5"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--max-restarts .*is not a number of 0 or more"):
        Limits(max_restarts=text).check()


# -- a run ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def plan(commands: Any) -> Path:
    """A plan for three PCs on which nothing is due, as far as they tell: one cannot tell its updates."""
    one, two, three = (commands.bench.pc("overdue", f"PC-{number}", seed=1) for number in (1, 2, 3))
    for pc in (one, two, three):
        pc.machine.client.deployments = []
        pc.machine.client.pending_restart = None
    three.refuse("CCM_SoftwareUpdate", times=None)
    path = Path(commands.bench.folder) / "plan.json"
    assert commands.run("plan", commands.inventory, "--output", path, "--unsigned").code == 2
    three.heal()
    return path


def test_more_than_is_allowed_is_refused_before_the_start(commands: Any, plan: Path) -> None:
    told = json.loads(plan.read_text())["hosts"]
    untold = [host["host"] for host in told if "unknown" in host["impact"]["past_due"]]

    refused = commands.run("apply", plan, "--unsigned", "--max-restarts", "0")
    journal = Path(f"{plan}.journal").exists()
    allowed = commands.run("apply", plan, "--unsigned", "--max-restarts", "1")

    assert untold == ["PC-3"]
    assert (refused.code, journal) == (3, False)
    why = "leaving the mode would set off 1 install and 0 restarts (1 of them could not be told, and count)"
    assert (
        f"{why}, more than the 0 of --max-restarts; choose fewer hosts (--limit), or give --max-restarts 1"
        in " ".join(refused.err.split())
    )
    assert allowed.code == 0
    assert "sets off at most: 1 install and 0 restarts (1 of them could not be told, and count)" in allowed.err
    assert "guards: --min-reached 50% --max-restarts 1 --ramp --spread" in allowed.err


def test_hosts_that_are_left_out_are_not_counted(commands: Any, plan: Path) -> None:
    ran = commands.run("apply", plan, "--unsigned", "--max-restarts", "0", "--exclude", "PC-3")

    assert ran.code == 0
