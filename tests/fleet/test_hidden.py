"""Over the wire: services that the account is not shown, work that never ends, and what a second witness costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.process import Host, LabProcess

Run = Callable[..., Any]
MIX = {"healthy": 3, "overdue": 1e-6, "upgrade-running": 1e-6, "no-client": 1e-6, "armed": 1e-6}


@pytest.fixture
def shy(tmp_path: Path) -> Iterator[tuple[LabProcess, Path]]:
    """A lab of a few PCs, and its inventory: a new one for each test, which changes services."""
    inventory = tmp_path / "lab.py"
    with LabProcess(6, 4, mix=MIX, inventory=inventory) as lab:
        yield lab, inventory


@pytest.fixture
def pc(shy: tuple[LabProcess, Path]) -> Callable[[str], Host]:
    """Find a PC of a persona."""
    return lambda persona: next(host for host in shy[0].hosts if host.persona == persona)


@pytest.fixture
def audited(shy: tuple[LabProcess, Path], provmode: Run) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Audit one PC: the exit code, and its report."""

    def audit(host: Host, command: str = "audit") -> tuple[int, dict[str, Any]]:
        ran = provmode(command, str(shy[1]), "--limit", host.name, "--format", "json")
        return ran.returncode, json.loads(ran.stdout)["hosts"][0]

    return audit


@pytest.mark.parametrize(
    ("persona", "service", "shown"),
    [
        ("healthy", "CcmExec", "hidden"),
        ("healthy", "CcmExec", "named"),
        ("overdue", "CcmExec", "hidden"),
        ("overdue", "CcmExec", "named"),
        ("overdue", "smstsmgr", "hidden"),
        ("overdue", "smstsmgr", "named"),
        ("armed", "smstsmgr", "hidden"),
    ],
)
def test_a_service_that_is_not_shown_is_unassessed_and_nothing_is_planned(
    shy: tuple[LabProcess, Path], pc: Any, audited: Any, persona: str, service: str, shown: str
) -> None:
    host = pc(persona)
    shy[0].set_service(host.name, service, shown=shown)
    try:
        code, report = audited(host)
        plan_code, planned = audited(host, "plan")
    finally:
        shy[0].set_service(host.name, service, shown="whole")

    assert (code, plan_code) == (4, 4)  # rights that the operator has to mend
    assert (report["verdict"], report["cause"]) == ("unassessed", "access-denied")
    assert service in report["reason"]
    assert "give the account the rights" in report["next_step"]
    assert planned["verdict"] == "unassessed"


def test_a_client_whose_agent_is_gone_is_unassessed_and_a_pc_without_a_client_has_none(
    shy: tuple[LabProcess, Path], pc: Any, audited: Any
) -> None:
    assert audited(pc("no-client"))[1]["verdict"] == "no-client"
    assert audited(pc("armed"))[1]["verdict"] == "armed"

    shy[0].set_service(pc("armed").name, "smstsmgr")
    code, report = audited(pc("armed"))

    assert (code, report["verdict"]) == (8, "unassessed")
    assert "every client has a task sequence agent" in report["reason"]


def test_only_a_service_that_is_not_shown_costs_one_more_request(
    shy: tuple[LabProcess, Path], pc: Any, audited: Any
) -> None:
    host, lab = pc("healthy"), shy[0]
    processes = lab.counters(host.name)["processes"]
    before = audited(host)[1]["requests"]

    lab.set_service(host.name, "CcmExec", shown="hidden")
    try:
        hidden = audited(host)[1]["requests"]
    finally:
        lab.set_service(host.name, "CcmExec", shown="whole")

    assert before <= 13
    assert hidden == before + 1
    assert lab.counters(host.name)["processes"] == processes + 2, "one process for each audit"


def test_a_pc_that_is_at_work_for_too_long_is_left_alone_and_counts_as_failed(
    shy: tuple[LabProcess, Path], pc: Any, audited: Any
) -> None:
    host, lab = pc("upgrade-running"), shy[0]
    lab.set_service(host.name, "CcmExec", state="Stopped", start_mode="Disabled")  # as the upgrade does: no limit fires
    at_work = audited(host)
    lab.advance(60 * 3600, host.name)

    too_long = audited(host)
    planned = audited(host, "plan")

    assert (at_work[0], at_work[1]["verdict"]) == (0, "in-progress")
    assert "at-work-too-long" not in {finding["code"] for finding in at_work[1]["findings"]}
    assert (too_long[0], too_long[1]["verdict"]) == (4, "in-progress")
    assert "at-work-too-long" in {finding["code"] for finding in too_long[1]["findings"]}
    assert (planned[0], planned[1]["verdict"]) == (4, "in-progress")
    assert not planned[1].get("steps")


def test_an_agent_that_depends_on_the_client_is_a_finding_of_a_pc_in_question_only(
    shy: tuple[LabProcess, Path], pc: Any, audited: Any
) -> None:
    for persona, expected in (("overdue", True), ("healthy", False)):
        shy[0].set_service(pc(persona).name, "smstsmgr", depends_on=["CcmExec"])

        codes = {finding["code"] for finding in audited(pc(persona))[1]["findings"]}

        assert ("agent-depends-on-client" in codes) == expected
