"""The PC that answers is the PC that was meant; else it is neither healthy nor changed, and the run says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import State
from pyinfra.context import ctx_state

from provmode.ccm.verdict import Outcome
from provmode.clock import utc_now
from provmode.fleet.apply import PlanRun
from provmode.fleet.audit import Audit, run_audit
from provmode.fleet.identity import Together
from provmode.fleet.inventory import Fleet
from provmode.fleet.journal import Journal
from provmode.fleet.plan import Planned, run_plan
from provmode.fleet.plan_file import Plan, load, write
from provmode.fleet.results import EXIT_CODES, HostOutcome
from provmode.fleet.undo import undo_hosts
from provmode.lab.process import Host, LabProcess
from provmode.transport import dial as dialling
from provmode.windows.names import ComputerName

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def armed() -> Iterator[LabProcess]:
    with LabProcess(6, 3, mix={"armed": 1, "healthy": 1}) as lab:
        yield lab


def of(lab: LabProcess, persona: str, number: int = 0) -> Host:
    return [host for host in lab.hosts if host.persona == persona][number]


def fleet_of(lab: LabProcess, *hosts: tuple[str, Host, dict[str, Any]], **data: Any) -> Fleet:
    """Return a fleet of names that lead to PCs of the lab."""
    common = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file), **data}
    places = [{"winrm_address": host.address, "winrm_port": host.port, **own} for _, host, own in hosts]
    data_of = [{key: value for key, value in place.items() if value is not None} for place in places]
    names = [(f"@winrm/{name}", place) for (name, _, _), place in zip(hosts, data_of, strict=True)]
    with ctx_state.use(State()):
        return Fleet((names, common))  # type: ignore[no-untyped-call]


def audit(fleet: Fleet) -> Audit:
    return run_audit(fleet, fleet.names, now=utc_now)


def plan(fleet: Fleet, folder: Path) -> tuple[Planned, Plan]:
    planned = run_plan(fleet, fleet.names, now=utc_now)
    document = planned.document(
        plan_id="a-plan", inventory="lab", limit=(), by="a test", now=utc_now(), valid=timedelta(hours=1)
    )
    write(folder / "plan.json", {**document, "signature": None})
    return planned, load(folder / "plan.json", None, unsigned=True, now=utc_now())


def apply(plan: Plan, fleet: Fleet, journal: Path) -> Any:
    writer = Journal.create(journal, plan.id, utc_now)
    result = PlanRun(plan, fleet, writer, now=utc_now).run([len(plan.changing)])
    writer.close()
    return result


def codes(report: Any) -> list[str]:
    return [finding.code for finding in report.assessment.findings]


def changes(lab: LabProcess, host: Host) -> list[Any]:
    return list(lab.mutations(host.name))


def test_every_pc_of_the_lab_answers_to_its_own_name_without_another_request(armed: LabProcess) -> None:
    names = [(host.name, host, {"winrm_computer": f"{host.name.lower()}.elsewhere.example"}) for host in armed.hosts]

    found = audit(fleet_of(armed, *names))

    assert {report.assessment.verdict.value for report in found.reports} == {"armed", "healthy"}
    for report in found.reports:
        assert codes(report) == []
        assert report.state is not None
        assert report.state.computer.to_json() == {"known": report.host}
        assert report.assessment.verdict.value != "healthy" or report.requests <= 12


@pytest.mark.parametrize("persona", ["healthy", "armed"])
def test_a_name_that_leads_to_another_pc_is_unassessed_and_failed(
    armed: LabProcess, persona: str, tmp_path: Path
) -> None:
    pc = of(armed, persona)
    fleet = fleet_of(armed, ("FINANCE-07", pc, {"winrm_computer": "FINANCE-07"}))
    before = changes(armed, pc)

    found = audit(fleet)
    planned, _ = plan(fleet, tmp_path)

    (report,) = found.reports
    assert report.assessment.verdict.value == "unassessed"
    assert report.assessment.cause == "other-computer"
    assert pc.name in report.assessment.reason
    assert "winrm_computer" in report.assessment.next_step
    assert report.assessment.outcome is Outcome.FAILED
    assert found.exit_code() == planned.audit.exit_code() == 4
    assert planned.changing == []
    assert "another PC answers" in planned.proposals[0].left_alone
    assert changes(armed, pc) == before


@pytest.mark.parametrize("transport", ["ntlm", "basic"])
def test_a_plain_name_is_the_name_of_the_pc_that_is_meant(
    secure_lab: LabProcess, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    pc = of(secure_lab, "healthy")
    real = dialling.dial
    for module in ("lean", "pywinrm"):
        monkeypatch.setattr(
            f"provmode.transport.{module}.dial",
            lambda endpoint, *rest, **more: real(replace(endpoint, address=pc.address), *rest, **more),
        )
    options = {
        "winrm_address": None,
        "winrm_transport": transport,
        "winrm_scheme": "https",
        "winrm_validate": False,
    }
    names = (pc.name, f"{pc.name.lower()}.corp.example", "FINANCE-07.corp.example", "10.99.0.1")

    for name in names:  # one at a time: together they would be one PC
        (report,) = audit(fleet_of(secure_lab, (name, pc, options))).reports
        is_other = name.startswith("FINANCE")
        assert (report.assessment.cause == "other-computer") is is_other, report
        assert report.assessment.verdict.value == ("unassessed" if is_other else "healthy")
        assert codes(report) == (["other-name"] if name == "10.99.0.1" else [])


def test_a_label_of_ones_own_is_a_finding_if_nothing_says_which_pc_is_meant(armed: LabProcess) -> None:
    pc = of(armed, "healthy")

    (without,) = audit(fleet_of(armed, ("TILL-3", pc, {}))).reports
    (meant,) = audit(fleet_of(armed, ("TILL-3", pc, {"winrm_computer": pc.name}))).reports

    assert (without.assessment.verdict.value, codes(without)) == ("healthy", ["other-name"])
    assert pc.name in without.assessment.findings[0].text
    assert (meant.assessment.verdict.value, codes(meant)) == ("healthy", [])


@pytest.mark.parametrize("value", [7, "", "10.0.0.1"])
def test_a_winrm_computer_that_is_no_name_is_refused(armed: LabProcess, value: Any) -> None:
    fleet = fleet_of(armed, (of(armed, "healthy").name, of(armed, "healthy"), {"winrm_computer": value}))

    with pytest.raises(ValueError, match="winrm_computer"):
        audit(fleet)


def test_two_names_of_one_pc_are_said_and_only_one_gets_steps(armed: LabProcess, tmp_path: Path) -> None:
    pc, alone = of(armed, "armed"), of(armed, "healthy")
    fleet = fleet_of(armed, (pc.name, pc, {}), (alone.name, alone, {}), ("10.99.0.2", pc, {}))

    found = audit(fleet)
    planned, _ = plan(fleet, tmp_path)

    assert [codes(report) for report in found.reports] == [["same-computer"], [], ["other-name", "same-computer"]]
    assert "10.99.0.2" in found.reports[0].assessment.findings[0].text
    assert [item.report.host for item in planned.changing] == [pc.name]
    assert [codes(item.report) for item in planned.proposals] == [codes(report) for report in found.reports]
    assert f"the same PC as {pc.name}" in planned.proposals[2].left_alone


def test_of_two_planned_names_of_one_pc_one_is_worked_on(armed: LabProcess, tmp_path: Path) -> None:
    pc = of(armed, "armed", 1)
    plans = [plan(fleet_of(armed, (name, pc, {})), tmp_path)[1] for name in (pc.name, "TILL-4")]
    both = replace(plans[0], hosts=tuple(host for each in plans for host in each.hosts))
    before = len(changes(armed, pc))

    result = apply(both, fleet_of(armed, (pc.name, pc, {}), ("TILL-4", pc, {})), tmp_path / "journal")

    assert sorted(host.outcome.value for host in result.hosts) in (["changed", "stale"], ["already", "changed"])
    assert sum("MobileClient.TCF written" in change["what"] for change in changes(armed, pc)[before:]) == 1


def test_a_planned_name_that_leads_to_a_compliant_pc_is_stale(armed: LabProcess, tmp_path: Path) -> None:
    pc, healthy = of(armed, "armed", 2), of(armed, "healthy")
    _, planned = plan(fleet_of(armed, (pc.name, pc, {})), tmp_path)
    before = changes(armed, healthy)

    moved = apply(planned, fleet_of(armed, (pc.name, healthy, {})), tmp_path / "1.journal")
    refused = apply(planned, fleet_of(armed, (pc.name, healthy, {"winrm_computer": pc.name})), tmp_path / "2.journal")

    for result in (moved, refused):
        (host,) = result.hosts
        assert (host.outcome, host.cause) == (HostOutcome.STALE, "other-computer")
        assert healthy.name in host.detail
        assert result.exit_code() == 4
    assert changes(armed, healthy) == before


def test_a_resumed_run_works_on_no_other_pc(armed: LabProcess, tmp_path: Path) -> None:
    pc, healthy = of(armed, "armed", 2), of(armed, "healthy")
    _, planned = plan(fleet_of(armed, (pc.name, pc, {})), tmp_path)
    writer = Journal.create(tmp_path / "journal", planned.id, utc_now)
    writer.step_begun(pc.name, 0, planned.changing[0].steps[0], b"")
    writer.abandon()
    before = changes(armed, healthy)

    writer, state = Journal.resume(tmp_path / "journal", planned.id, utc_now)
    elsewhere = fleet_of(armed, (pc.name, healthy, {}))
    (host,) = PlanRun(planned, elsewhere, writer, now=utc_now, earlier=state.hosts).run([1]).hosts
    writer.close()

    assert (host.outcome, host.cause) == (HostOutcome.STALE, "other-computer")
    assert changes(armed, healthy) == before


def test_an_undo_restores_nothing_on_another_pc(armed: LabProcess, tmp_path: Path) -> None:
    pc, healthy = of(armed, "armed", 2), of(armed, "healthy")
    _, planned = plan(fleet_of(armed, (pc.name, pc, {})), tmp_path)
    writer = Journal.create(tmp_path / "journal", planned.id, utc_now)
    writer.step_begun(pc.name, 0, planned.changing[0].steps[0], b"")
    writer.abandon()
    writer, state = Journal.resume(tmp_path / "journal", planned.id, utc_now, event="undo-begun")
    elsewhere = fleet_of(armed, (pc.name, healthy, {"winrm_computer": pc.name}))
    before = changes(armed, healthy)

    result = undo_hosts(elsewhere, elsewhere.names, state.hosts, writer, now=utc_now)
    writer.close("undo-ended")

    (host,) = result.hosts
    assert (host.outcome, host.cause) == (HostOutcome.STALE, "other-computer")
    assert result.exit_code() == 4
    assert changes(armed, healthy) == before


def test_the_command_line_says_it_in_audit_and_plan(armed: LabProcess, provmode: Run, tmp_path: Path) -> None:
    pc, other = of(armed, "healthy"), of(armed, "armed", 2)
    at = {"winrm_address": other.address, "winrm_port": other.port}
    pcs = [
        ("@winrm/FINANCE-07", {"winrm_address": pc.address, "winrm_port": pc.port, "winrm_computer": "FINANCE-07"}),
        (f"@winrm/{other.name}", at),
        ("@winrm/TILL-9", at),
    ]
    data = {"winrm_user": armed.user, "winrm_password_file": str(armed.password_file)}
    (tmp_path / "fleet.py").write_text(f"pcs = ({pcs!r}, {data!r})\n")

    ran = provmode("audit", "fleet.py", "--limit", "FINANCE-07", "--format", "json")
    planned = provmode("plan", "fleet.py")

    assert ran.stdout, ran.stderr
    (host,) = json.loads(ran.stdout)["hosts"]
    assert (ran.returncode, host["cause"]) == (4, "other-computer")
    assert planned.returncode == 6
    assert f"FINANCE-07 leads to another PC, which calls itself {pc.name}" in " ".join(planned.stdout.split())
    assert f"TILL-9: the same PC answers for {other.name}" in planned.stdout
    assert "another PC answers" in EXIT_CODES["audit"].meanings[4]


def test_only_the_first_host_of_a_pc_enters_a_run() -> None:
    together, pc = Together(), ComputerName("PC-1", "pc-1.corp.example")

    assert together.enter("PC-1", pc) is None
    assert together.enter("10.0.0.5", ComputerName("PC-1")) == "PC-1"
    assert together.enter("PC-1", pc) is None
    assert together.enter("PC-1.other", ComputerName("PC-1", "pc-1.other.example")) is None
    assert together.enter("nameless", None) is None
