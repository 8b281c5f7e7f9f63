"""A PC whose policy forbids remote shells: told from others, looked at without one, and not planned to be changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.verdict import Verdict
from provmode.errors import Cause, RemoteFault
from provmode.fleet.audit import audit_inventory
from provmode.fleet.plan import plan_inventory
from provmode.lab.process import LabProcess
from provmode.transport.session import Session
from provmode.wsman import CommandLine, Get, Resource, text

Run = Callable[..., Any]
KEY = {"PROVMODE_PLAN_KEY": "00" * 32}
WITHOUT_TCF = {"provmode_policy": {"check_tcf": False}}
FORBIDDEN = {
    "kind": "fault",
    "action": "Create",
    "code": 0x803381AC,
    "text": "The service is configured to not accept any remote shell requests.",
    "times": None,
}
STUCK, WELL = "stuck-no-enabled-time", "healthy"


def now() -> datetime:
    return datetime.now(timezone.utc)


@pytest.fixture(scope="module")
def hardened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LabProcess, Path]]:
    """A lab of two PCs, stuck and healthy, that forbid remote shells, with its inventory."""
    inventory = tmp_path_factory.mktemp("hardened") / "lab.py"
    with LabProcess(2, 3, mix={STUCK: 1, WELL: 1}, inventory=inventory) as lab:
        for host in lab.hosts:
            lab.inject(host.name, **FORBIDDEN)
        yield lab, inventory


@pytest.fixture
def source(hardened: tuple[LabProcess, Path], source_of: Callable[[LabProcess], Any]) -> Any:
    return source_of(hardened[0])


def name_of(lab: LabProcess, persona: str) -> str:
    return next(host.name for host in lab.hosts if host.persona == persona)


def test_a_command_line_there_has_its_own_cause_and_cure_and_cim_works(
    hardened: tuple[LabProcess, Path], connect: Callable[..., Session]
) -> None:
    lab, _ = hardened
    session = connect(lab, lab.host(name_of(lab, WELL)))

    with pytest.raises(RemoteFault, match="Allow Remote Shell Access") as refused:
        session.send(CommandLine("hostname"))

    assert (refused.value.cause, refused.value.kind) == (Cause.SHELLS_FORBIDDEN, "shells-forbidden")
    assert text(session.send(Get(Resource.cim("root/ccm", "SMS_Client"))), "ClientVersion")


def test_an_audit_names_the_cause_and_both_cures(hardened: tuple[LabProcess, Path], source: Any) -> None:
    reports = {report.host: report.assessment for report in audit_inventory(source, now=now).reports}

    well = reports[name_of(hardened[0], WELL)]
    assert (well.verdict, well.cause) == (Verdict.UNASSESSED, "shells-forbidden")
    assert "check_tcf False" in well.next_step
    assert "Allow Remote Shell Access" in well.next_step


def test_what_needs_no_shell_is_judged_without_one(hardened: tuple[LabProcess, Path], source: Any) -> None:
    reports = {
        report.host: report.assessment for report in audit_inventory(source, now=now, override=WITHOUT_TCF).reports
    }

    lab = hardened[0]
    assert reports[name_of(lab, WELL)].verdict is Verdict.HEALTHY
    stuck = reports[name_of(lab, STUCK)]
    assert stuck.verdict is Verdict.STUCK
    assert "shells-forbidden" in [finding.code for finding in stuck.findings]


@pytest.mark.parametrize("override", [{}, WITHOUT_TCF])
def test_a_plan_leaves_it_alone_and_says_why(
    hardened: tuple[LabProcess, Path], source: Any, override: dict[str, Any]
) -> None:
    planned = plan_inventory(source, now=now, override=override)

    assert planned.changing == []
    stuck = next(item for item in planned.proposals if item.report.host == name_of(hardened[0], STUCK))
    assert stuck.report.assessment.verdict is Verdict.STUCK
    assert "forbids remote shells" in stuck.left_alone
    assert "Allow Remote Shell Access" in stuck.left_alone


def test_a_policy_that_came_after_the_plan_is_reported_with_the_cure(
    hardened: tuple[LabProcess, Path], provmode: Run, tmp_path: Path
) -> None:
    lab, inventory = hardened
    stuck = name_of(lab, STUCK)
    lab.heal(stuck)
    policy = f"provmode_policy={json.dumps(WITHOUT_TCF['provmode_policy'])}"
    arguments = ("--limit", stuck, "--data", policy)
    made = provmode("plan", str(inventory), *arguments, "--output", "plan.json", environment=KEY)
    assert made.returncode == 2, made.stderr
    lab.inject(stuck, **FORBIDDEN)
    before = lab.mutations(stuck)

    ran = provmode("apply", "plan.json", "--data", policy, "--format", "json", environment=KEY)

    host = json.loads(ran.stdout)["hosts"][0]
    assert (host["ended"], host["cause"], host["steps"]) == ("unreached", "shells-forbidden", [])
    assert "Allow Remote Shell Access" in host["next_step"]
    assert lab.mutations(stuck) == before
