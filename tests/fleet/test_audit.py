"""The audit of a whole fleet: every verdict is true, and a failure on one host affects no other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.client import client_state
from provmode.ccm.judge import judge
from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Verdict
from provmode.errors import Cause
from provmode.fleet.audit import audit_inventory
from provmode.fleet.plan import plan_inventory
from provmode.lab.personas import PERSONAS
from provmode.lab.process import LabProcess
from provmode.reading import Absent, Known
from provmode.transport.session import Session
from provmode.transport.target import Deadlines
from provmode.windows.file_changes import put_file

Run = Callable[..., Any]
PERSONA = {persona.name: persona for persona in PERSONAS}


def now() -> datetime:
    return datetime.now(timezone.utc)


@pytest.fixture(scope="module")
def everything() -> dict[str, float]:
    """Every persona, twice as likely as not."""
    return {persona.name: 2 for persona in PERSONAS}


@pytest.mark.parametrize("seed", [1, 20, 300])
def test_every_verdict_is_the_true_one(provmode: Run, tmp_path: Path, seed: int) -> None:
    ran = provmode("demo", "--hosts", "120", "--seed", str(seed), "--format", "json", "--truth", "truth.json")

    report = json.loads(ran.stdout)
    truth = json.loads((tmp_path / "truth.json").read_text())["hosts"]
    assert ran.returncode == 6, ran.stderr
    assert {host["host"]: host["verdict"] for host in report["hosts"]} == {
        name: host["verdict"] for name, host in truth.items()
    }
    assert report["summary"]["total"] == 120 == len(report["hosts"])
    for host in report["hosts"]:
        persona = PERSONA[truth[host["host"]]["persona"]]
        assert host["reason"]
        assert host.get("cause") == persona.cause
        if host["verdict"] == "healthy":
            assert host["requests"] <= 10


def test_the_json_report_has_the_documented_shape(provmode: Run) -> None:
    report = json.loads(provmode("demo", "--hosts", "40", "--seed", "5", "--format", "json").stdout)

    assert set(report) == {
        *("format", "version", "provmode", "began", "ended", "inventory", "limit", "summary", "hosts"),
    }
    assert (report["format"], report["version"], report["limit"]) == ("provmode-audit", 1, [])
    assert report["inventory"].endswith("lab.py")
    assert report["began"] <= report["ended"]
    assert set(report["summary"]) == {verdict.value for verdict in Verdict} | {"total"}
    assert sum(count for name, count in report["summary"].items() if name != "total") == 40
    for host in report["hosts"]:
        assert {"host", "verdict", "reason", "findings", "facts"} <= set(host)
        assert isinstance(host["findings"], list)
        if host["verdict"] == "unassessed":
            assert host["cause"] in {cause.value for cause in Cause}
            assert host["next_step"]
        else:
            assert host["facts"]["client_version"]


def test_a_host_that_could_not_be_assessed_is_never_compliant_and_says_why(
    lab: LabProcess, audit: Callable[..., Any]
) -> None:
    ran, report = audit(lab)

    for host in report["hosts"]:
        cause = PERSONA[lab.host(host["host"]).persona].cause
        assert (host["verdict"] == "unassessed") is (cause is not None)
        if cause:
            assert host["cause"] == cause
            assert host["next_step"]
    assert ran.returncode == 6  # one PC refuses the password


@pytest.fixture
def audit(provmode: Run, tmp_path: Path, place_of: Callable[..., Any]) -> Callable[..., Any]:
    """Run an audit over a lab's inventory; return what ran and its JSON."""

    def run(lab: LabProcess, *arguments: str, hosts: Any = None) -> tuple[Any, Any]:
        inventory = tmp_path / "fleet.py"
        pcs = [(f"@winrm/{host.name}", place_of(host)) for host in lab.hosts if hosts is None or host.persona in hosts]
        data = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file)}
        inventory.write_text(f"pcs = ({pcs!r}, {data!r})\n")
        ran = provmode("audit", str(inventory), "--format", "json", *arguments)
        return ran, json.loads(ran.stdout) if ran.stdout else None

    return run


@pytest.mark.parametrize(
    ("personas", "code"),
    [
        (("healthy", "no-client"), 0),
        (("healthy", "overdue"), 2),
        (("healthy", "refused"), 8),
        (("armed", "refused"), 2),
        (("healthy", "wrong-password"), 4),
        (("armed", "wrong-password", "refused"), 6),
        (("healthy", "unresolvable-name"), 8),
        (("unresolvable-name",), 4),
        (("black-hole", "refused"), 8),
    ],
)
def test_the_exit_code_says_what_there_is_to_do(
    lab: LabProcess, audit: Callable[..., Any], personas: tuple[str, ...], code: int
) -> None:
    ran, _ = audit(lab, hosts=personas)

    assert ran.returncode == code


@pytest.mark.parametrize(("allowed", "code"), [("2", 8), ("1", 4), ("0", 4), ("100%", 8), ("99.9%", 4), ("2,50%", 4)])
@pytest.mark.parametrize("command", ["audit", "plan"])
def test_a_run_that_learned_less_than_was_asked_for_fails(
    provmode: Run, tmp_path: Path, command: str, allowed: str, code: int
) -> None:
    pcs = [(f"@winrm/PC-{number}", {"winrm_address": "127.0.0.1", "winrm_port": 1}) for number in (1, 2)]
    (tmp_path / "fleet.py").write_text(f"pcs = ({pcs!r}, {{'winrm_user': 'u', 'winrm_password': 'p'}})\n")

    ran = provmode(command, "fleet.py", "--max-unassessed", allowed)

    assert ran.returncode == code
    assert ("2 of 2 hosts could not be assessed, more than the" in ran.stderr) is (code == 4)


def test_an_allowance_that_is_none_is_bad_usage(provmode: Run) -> None:
    ran = provmode("audit", "@winrm/pc-1", "--max-unassessed", "some")

    assert ran.returncode == 1
    assert "--max-unassessed some: 'some' is not a number or a percentage; write it as in 5,2%" in ran.stderr


def test_a_broken_client_is_a_failure(provmode: Run, tmp_path: Path) -> None:
    with LabProcess(3, 1, mix={"client-broken": 1}, inventory=tmp_path / "lab.py"):
        ran = provmode("audit", "lab.py")

    assert ran.returncode == 4


def test_an_audit_changes_nothing_on_any_pc(lab: LabProcess, audit: Callable[..., Any]) -> None:
    before = lab.mutations()

    audit(lab)

    assert lab.mutations() == before


def test_a_limit_selects_by_name_pattern_and_group(lab: LabProcess, audit: Callable[..., Any]) -> None:
    names = [host.name for host in lab.hosts]

    for limits, expected in (
        ((names[0],), names[:1]),
        ((f"@winrm/{names[1]}", names[0]), names[:2]),
        (("PC-*",), names),
        (("pcs",), names),
    ):
        _, report = audit(lab, *(part for limit in limits for part in ("--limit", limit)))
        assert [host["host"] for host in report["hosts"]] == expected


def test_policy_in_the_inventory_changes_the_verdict(tmp_path: Path, provmode: Run) -> None:
    with LabProcess(4, 1, mix={"self-healing": 1}, inventory=tmp_path / "lab.py"):
        waiting = json.loads(provmode("audit", "lab.py", "--format", "json").stdout)
        impatient = json.loads(
            provmode(
                "audit", "lab.py", "--format", "json", "--data", 'provmode_policy={"wait_for_self_healing": false}'
            ).stdout
        )

    assert waiting["summary"]["self-healing"] == 4
    assert impatient["summary"]["stuck"] == 4


def test_group_data_beside_the_inventory_counts(tmp_path: Path, provmode: Run) -> None:
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data" / "all.py").write_text("provmode_policy = {'wait_for_self_healing': False}\n")
    with LabProcess(2, 1, mix={"self-healing": 1}, inventory=tmp_path / "lab.py"):
        ran = provmode("audit", "lab.py", "--format", "json")

    assert json.loads(ran.stdout)["summary"]["stuck"] == 2


def test_a_report_goes_to_a_file_when_asked(lab: LabProcess, audit: Callable[..., Any], tmp_path: Path) -> None:
    ran, report = audit(lab, "--output", str(tmp_path / "report.json"), hosts=("healthy",))

    assert report is None
    assert ran.stdout == ""
    assert json.loads((tmp_path / "report.json").read_text())["summary"]["total"] == sum(
        host.persona == "healthy" for host in lab.hosts
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_audit_reports_what_it_has_and_what_is_missing(
    lab: LabProcess, tmp_path: Path, number: signal.Signals
) -> None:
    slow = next(host for host in lab.hosts if host.persona == "healthy")
    quick = next(host for host in lab.hosts if host.persona == "armed")
    lab.inject(slow.name, kind="stall", times=None)
    before = lab.counters(slow.name)["requests"]
    pcs = [(f"@winrm/{host.name}", {"winrm_address": host.address, "winrm_port": host.port}) for host in (slow, quick)]
    data = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file)}
    (tmp_path / "fleet.py").write_text(f"pcs = ({pcs!r}, {data!r})\n")
    log = tmp_path / "log"
    try:
        with log.open("w") as stderr:
            running = subprocess.Popen(
                [sys.executable, "-m", "provmode", "audit", "fleet.py", "--format", "json", "--debug"],
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # even if the tests run under nohup
            )
        reported = f"{quick.name}: armed by the rule armed"
        while reported not in log.read_text() or lab.counters(slow.name)["requests"] == before:
            assert running.poll() is None
        running.send_signal(number)
        out, _ = running.communicate(timeout=60)
    finally:
        lab.heal(slow.name)

    report = json.loads(out)
    assert running.returncode == 130
    assert "Traceback" not in log.read_text()
    assert report["interrupted"] is True
    assert report["missing"] == [slow.name]
    assert [host["host"] for host in report["hosts"]] == [quick.name]
    assert report["summary"]["total"] == 2


def test_an_audit_that_is_interrupted_in_a_command_leaves_no_shell(lab: LabProcess, tmp_path: Path) -> None:
    slow = next(host for host in lab.hosts if host.persona == "healthy")
    before = lab.counters(slow.name)
    lab.inject(slow.name, kind="stall", action="Receive")
    pcs = [(f"@winrm/{slow.name}", {"winrm_address": slow.address, "winrm_port": slow.port})]
    data = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file)}
    (tmp_path / "fleet.py").write_text(f"pcs = ({pcs!r}, {data!r})\n")
    with subprocess.Popen(
        [sys.executable, "-m", "provmode", "audit", "fleet.py", "--format", "json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        while lab.counters(slow.name)["actions"].get("Receive", 0) == before["actions"].get("Receive", 0):
            assert running.poll() is None
        assert lab.counters(slow.name)["shells"] == before["shells"] + 1
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=60)

    assert running.returncode == 130, errors
    assert json.loads(out)["missing"] == [slow.name]
    assert lab.counters(slow.name)["shells"] == before["shells"]


def test_a_pc_that_does_not_delete_its_shell_holds_an_audit_up_for_a_moment_only(
    lab: LabProcess, audit: Callable[..., Any]
) -> None:
    healthy = next(host for host in lab.hosts if host.persona == "healthy")
    for action in ("Delete", "Signal"):
        lab.inject(healthy.name, kind="stall", action=action, times=None)
    began = time.monotonic()
    try:
        _, report = audit(lab, hosts=("healthy",))
    finally:
        lab.heal(healthy.name)

    assert time.monotonic() - began < Deadlines().read
    assert {host["verdict"] for host in report["hosts"]} == {"healthy"}


@pytest.mark.long
def test_the_demo_with_fix_mends_the_fleet_and_its_second_apply_changes_nothing(provmode: Run) -> None:
    ran = provmode("demo", "--hosts", "30", "--seed", "11", "--fix", "--format", "json")

    stages = json.loads(ran.stdout)
    pending = ("stuck", "overdue", "half-exited", "armed")
    count = sum(stages["before"]["summary"][verdict] for verdict in pending)
    assert count > 0
    assert stages["applied"]["summary"]["changed"] == stages["applied"]["summary"]["total"] == count
    assert sum(stages["after"]["summary"][verdict] for verdict in pending) == 0
    assert stages["after"]["summary"]["healthy"] == stages["before"]["summary"]["healthy"] + count
    assert stages["again"]["summary"]["already"] == count
    for verdict in ("in-progress", "self-healing", "unassessed", "no-client"):
        assert stages["after"]["summary"][verdict] == stages["before"]["summary"][verdict]
    assert ran.returncode in (0, 4, 8)


@pytest.mark.long
def test_the_second_night_of_the_demo_says_which_pc_is_back_and_writes_its_page(provmode: Run, tmp_path: Path) -> None:
    ran = provmode("demo", "--hosts", "30", "--seed", "11", "--fix", "--page", "night.html", "--format", "json")

    stages = json.loads(ran.stdout)
    (back,) = (each for each in stages["drift"]["hosts"] if each["word"] == "returned")
    assert back["host"] in {each["host"] for each in stages["applied"]["hosts"] if each["ended"] == "changed"}
    assert (back["after"]["verdict"], back["by_us"], back["earlier"]["times"]) == ("half-exited", False, 1)
    assert stages["drift"]["after"]["summary"]["half-exited"] == 1
    page = (tmp_path / "night.html").read_text()
    assert back["host"] in page
    assert provmode("demo", "--page", "night.html").returncode == 1

    window, resumed, waived = (stages[name] for name in ("window", "resumed", "waived"))
    first = [each["host"] for each in window["hosts"] if each["ended"] == "changed"]
    later = [each["host"] for each in window["hosts"] if each["ended"] == "deferred"]
    assert (len(first), len(later)) == (1, window["summary"]["total"] - 1), "the window closed between two waves"
    assert later
    assert (window["stopped"]["guard"], window["stopped"]["deferred"]) == ("window", True)
    assert {each["host"] for each in resumed["hosts"] if each["ended"] == "changed"} >= set(later)
    assert resumed["summary"]["deferred"] == 0
    (left,) = (each for each in waived["hosts"] if each["host"] == back["host"])
    assert (left["verdict"], left["waived"]["owner"], left["waived"]["ticket"]) == (
        *("half-exited", "Ben Ito", "CHG0012399"),
    )
    assert left["waived"]["expires"]
    assert back["host"] not in first + later, "the waiver holds it"
    assert waived["summary"]["waived"] == 1
    assert ran.returncode == 0, "what is waived does not raise the exit code"


def test_ctrl_c_ends_the_demo_in_its_current_stage(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "provmode", "demo", "--hosts", "100", "--seed", "5", "--fix"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "==== audit ====\n"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)

    assert running.returncode == 130
    assert "Traceback" not in err
    assert "==== plan ====" not in out


def test_the_demo_leaves_nothing_behind(provmode: Run, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()

    provmode("demo", "--hosts", "5", "--seed", "3", environment={"TMPDIR": str(folder)})

    assert os.listdir(folder) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["temporary"]


def test_an_armed_pc_on_which_setup_runs_is_in_progress(lab: LabProcess, audit: Callable[..., Any]) -> None:
    pc = next(host for host in lab.hosts if host.persona == "armed")
    lab.set_registry(pc.name, r"HKLM\SYSTEM\Setup", "SystemSetupInProgress", 1, "DWORD")
    _, report = audit(lab, "--limit", pc.name)
    lab.set_registry(pc.name, r"HKLM\SYSTEM\Setup", "SystemSetupInProgress", 0, "DWORD")
    _, after = audit(lab, "--limit", pc.name)

    assert [host["verdict"] for host in report["hosts"]] == ["in-progress"]
    assert [host["verdict"] for host in after["hosts"]] == ["armed"]


@pytest.mark.parametrize(("times", "verdict"), [(1, "healthy"), (None, "client-broken")])
def test_a_client_whose_service_starts_during_the_audit_is_not_broken(
    lab: LabProcess, audit: Callable[..., Any], times: int | None, verdict: str
) -> None:
    pc = next(host for host in lab.hosts if host.persona == "healthy")
    lab.inject(pc.name, kind="fault", code=0x800706BA, action="Get", times=times)

    _, report = audit(lab, "--limit", pc.name)
    lab.heal(pc.name)

    assert [host["verdict"] for host in report["hosts"]] == [verdict]


def test_a_run_of_which_no_name_resolves_has_failed(lab: LabProcess, audit: Callable[..., Any], provmode: Run) -> None:
    ran = provmode(
        *("audit", "@winrm/pc-0001.invalid", "--format", "json", "--data", "winrm_user=u"),
        environment={"PROVMODE_PASSWORD": "x"},
    )

    report = json.loads(ran.stdout)
    assert ran.returncode == 4  # not one name of the run resolves
    assert "not one of the names resolves" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert report["summary"]["unassessed"] == report["summary"]["total"] == 1
    assert report["hosts"][0]["cause"] == "name-resolution"


def test_a_pc_whose_clock_is_behind_is_judged_by_its_own_clock(
    connect: Callable[..., Session],
) -> None:
    with LabProcess(6, 4, mix={"wrong-clock": 1}) as lab:
        for host in lab.hosts:
            state = connect(lab, host, read_only=True).converse(client_state(now))
            assert isinstance(state.clock, Known)
            elsewhere = replace(state, clock=Known(replace(state.clock.value, now=state.observed_at)))

            assert judge(state, Policy(), now()).verdict is Verdict.SELF_HEALING
            assert judge(elsewhere, Policy(), now()).verdict is Verdict.OVERDUE


# -- what a PC says in numbers, and in large ---------------------------------------------------------------------------

CCMEXEC = r"HKLM\SOFTWARE\Microsoft\CCM\CcmExec"
NEVER = [("ProvisioningMaxMinutes", 4294967295, "DWORD"), ("ProvisioningMaxMinutes", "9" * 20, "SZ")]


@pytest.mark.parametrize(
    ("value", "data", "kind", "verdict"),
    [
        *((*never, "stuck") for never in NEVER),
        ("ProvisioningEnabledTime", 253402214400, "QWORD", "stuck"),
        ("ProvisioningEnabledTime", "9" * 20, "SZ", "unassessed"),
    ],
)
def test_a_number_out_of_range_has_a_verdict_in_audit_and_plan(
    provmode: Run, tmp_path: Path, value: str, data: Any, kind: str, verdict: str
) -> None:
    with LabProcess(2, 1, mix={"self-healing": 1}, inventory=tmp_path / "lab.py") as lab:
        lab.set_registry(lab.hosts[0].name, CCMEXEC, value, data, kind)
        ran = provmode("audit", "lab.py", "--format", "json")
        planned = provmode("plan", "lab.py", "--unsigned", "--format", "json")

    assert [host["verdict"] for host in json.loads(ran.stdout)["hosts"]] == [verdict, "self-healing"]
    assert [host["verdict"] for host in json.loads(planned.stdout)["hosts"]] == [verdict, "self-healing"]
    assert ran.stderr == planned.stderr == ""


def test_an_error_in_judging_is_the_answer_of_that_host_alone(
    lab: LabProcess,
    source_of: Callable[[LabProcess], Any],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def judging(state: ClientReadings, *arguments: Any) -> Any:
        if isinstance(state.client_version, Absent):
            raise OverflowError("date value out of range")
        return judge(state, *arguments)

    monkeypatch.setattr("provmode.fleet.looking.judge", judging)
    monkeypatch.setattr("provmode.remediation.decide.judge", judging)
    source = source_of(lab)
    audited = audit_inventory(source, now=now).reports
    planned = plan_inventory(source, now=now).audit.reports

    broken = next(host.name for host in lab.hosts if host.persona == "no-client")
    for reports in (audited, planned):
        assert [report.host for report in reports] == [host.name for host in lab.hosts]
        (report,) = [report for report in reports if report.host == broken]
        assert report.assessment.verdict is Verdict.UNASSESSED
        assert report.assessment.reason == "provmode's own error (OverflowError: date value out of range)"
        assert sum(report.assessment.verdict is Verdict.HEALTHY for report in reports) >= 2
    assert capfd.readouterr().err == ""


def test_texts_of_a_pc_do_not_make_a_report_large(lab: LabProcess, audit: Callable[..., Any], provmode: Run) -> None:
    pc = next(host for host in lab.hosts if host.persona == "overdue")
    lab.set_registry(pc.name, CCMEXEC, "SystemTaskExcludes", ";".join(["x" * 1000] * 67), "SZ")
    lab.set_registry(pc.name, r"HKLM\SYSTEM\Setup", "CmdLine", "x" * 67_000, "SZ")
    try:
        ran, report = audit(lab, "--limit", pc.name)
    finally:
        lab.set_registry(pc.name, CCMEXEC, "SystemTaskExcludes", "SchedulerStartup", "SZ")
        lab.set_registry(pc.name, r"HKLM\SYSTEM\Setup", "CmdLine", "", "SZ")

    (host,) = report["hosts"]
    assert len(ran.stdout) < 20_000
    assert host["facts"]["system_task_excludes"]["unknown"]["cause"] == "too-large"
    assert "setup: 67," in host["facts"]["setup"]["unknown"]["detail"]


# -- Ctrl-C, whatever a PC sends ---------------------------------------------------------------------------------------

TCF = r"%windir%\ccmsetup\MobileClient.TCF"
BOMB = f"<a xmlns='{'u' * 600_000}'>{'<b/>' * 90_000}</a>"
"""An answer that costs minutes if its namespace is written out for each element."""


def work_of(process: int) -> int:
    """Return the processor time of a process so far, in ticks of a hundredth of a second."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("hostile", ["a file", "an answer"])
def test_an_interrupt_is_heard_while_a_hostile_pc_is_read(
    tmp_path: Path, connect: Callable[..., Session], number: signal.Signals, hostile: str
) -> None:
    """It ends before an audit of another PC, begun at the interrupt, is done three times."""
    with LabProcess(2, 5, mix={"healthy": 1}) as lab:
        other, pc = lab.hosts
        if hostile == "a file":
            connect(lab, pc).converse(put_file(TCF, b"Install=" + b"SMSPROVISIONINGMODE=1 " * 47_000))
        else:
            lab.inject(pc.name, kind="junk", times=None, text=BOMB)
        account = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file)}
        for name, host in (("hostile.py", pc), ("other.py", other)):
            pcs = [(f"@winrm/{host.name}", {"winrm_address": host.address, "winrm_port": host.port})]
            (tmp_path / name).write_text(f"pcs = ({pcs!r}, {account!r})\n")
        action = "Delete" if hostile == "a file" else "Get"  # the request before the hostile text is read
        asked = lab.counters(pc.name)["actions"].get(action, 0)
        command = [sys.executable, "-m", "provmode", "audit", "--format", "json"]
        running = subprocess.Popen(
            [*command, "hostile.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            while lab.counters(pc.name)["actions"].get(action, 0) == asked:
                assert running.poll() is None
            begun = work_of(running.pid)
            while running.poll() is None and work_of(running.pid) < begun + 5:
                pass  # until it reads, or is done
            running.send_signal(number)
            for _ in range(3):
                subprocess.run([*command, "other.py"], cwd=tmp_path, capture_output=True, check=True, timeout=120)
            ended = running.poll()
        finally:
            running.kill()
            out, err = running.communicate()

    assert ended is not None
    assert "Traceback" not in err
    assert out
