"""`provmode traces`, and a plan that removes what provmode left: looked at, planned, applied and undone in the lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provmode.fleet.plan_file import KEY_ENVIRONMENT
from provmode.lab.process import Host, LabProcess
from provmode.lab.windows.store import HKLM, RegType
from provmode.reading import known
from provmode.remediation.execute import execute
from provmode.remediation.exit_guard import GUARD_COMMAND, GUARD_KEY, GUARD_VALUE, guard_data
from provmode.remediation.lease import Token
from provmode.remediation.steps import SetRegistryValue
from provmode.transport.session import Session
from provmode.windows.files import read_file
from provmode.windows.registry import Key, read_value
from provmode.windows.system import clock
from provmode.wsman import CommandLine

KEY = "0123456789abcdef0123456789abcdef"
BACKUP = r"%windir%\ccmsetup\MobileClient.TCF.provmode-backup"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@pytest.fixture(scope="module")
def traced(folder: Path) -> Iterator[LabProcess]:
    """A lab with an inventory ``lab.py``."""
    mix = {"armed": 1, "healthy": 3, "osd-running": 1, "refused": 1}
    with LabProcess(6, 5, mix=mix, inventory=folder / "lab.py") as lab:
        yield lab


@pytest.fixture(scope="module")
def run(folder: Path, traced: LabProcess) -> Callable[..., Any]:
    """Run provmode beside the inventory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PROVMODE")}

    def runner(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "provmode", *arguments],
            cwd=folder,
            env={**clean, KEY_ENVIRONMENT: KEY, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return runner


def names(lab: LabProcess, persona: str) -> list[Host]:
    return [host for host in lab.hosts if host.persona == persona]


def guard(session: Session) -> None:
    session.converse(execute(SetRegistryValue(GUARD_KEY, GUARD_VALUE, None, guard_data())))


def test_what_a_run_left_is_found_removed_and_put_back_and_its_undo_works_without_it(
    traced: LabProcess, run: Callable[..., Any], connect: Callable[..., Session]
) -> None:
    armed, guarded = names(traced, "armed")[0], names(traced, "healthy")[0]
    session, other = connect(traced, armed), connect(traced, guarded)
    assert run("traces", "lab.py").returncode == 8, "nothing was left, and one PC could not be looked at"
    assert run("plan", "lab.py", "--output", "plan.json").returncode == 2
    assert run("apply", "plan.json").returncode == 0
    guard(other)

    before = traced.mutations()
    looked = run("traces", "lab.py", "--format", "json", "--journal", "plan.json.journal")
    as_text = run("traces", "lab.py").stdout.splitlines()
    unsure = run("plan", "lab.py", "--remove-traces", "--limit", armed.name)
    planned = run("plan", "lab.py", "--remove-traces", "--journal", "plan.json.journal", "--output", "clean.json")
    assert traced.mutations() == before

    report = json.loads(looked.stdout)
    assert looked.returncode == planned.returncode == 2
    assert report["summary"] == {"traces": 2, "none": 3, "unassessed": 1, "total": 6}
    found = {host["host"]: host["traces"] for host in report["hosts"]}
    assert [(each["kind"], each["place"], each["removable"]) for each in found[armed.name]] == [
        ("backup", BACKUP, True)
    ]
    assert [each["kind"] for each in found[guarded.name]] == ["exit-guard"]
    for host in report["hosts"]:
        about = [line for line in as_text if line.startswith(f"  {host['host']}: ")]
        entries = [host["reason"]] if "reason" in host else [*host["traces"], *host["unread"]]
        assert len(about) == len(entries), host
    assert unsure.returncode == 0
    assert "it may be the only copy" in unsure.stdout
    assert f"{BACKUP} SHA-256" in planned.stdout
    assert "2 to change" in planned.stdout

    applied = run("apply", "clean.json", "--format", "json")
    assert applied.returncode == 0, applied.stdout
    assert json.loads(applied.stdout)["summary"]["changed"] == 2
    assert session.converse(read_file(BACKUP)) is None
    assert run("traces", "lab.py").returncode == 8

    assert run("undo", "clean.json.journal", "--inventory", "lab.py", "--yes").returncode == 0
    assert b"SMSPROVISIONINGMODE" in (session.converse(read_file(BACKUP)) or b"").upper()
    assert other.converse(read_value(Key.parse(GUARD_KEY), GUARD_VALUE)).value == guard_data()
    planned = run("plan", "lab.py", "--remove-traces", "--journal", "plan.json.journal", "--output", "again.json")
    assert planned.returncode == 2, planned.stdout
    assert run("apply", "again.json").returncode == 0
    assert session.converse(read_file(BACKUP)) is None
    undone = run("undo", "plan.json.journal", "--inventory", "lab.py", "--yes")
    assert undone.returncode == 0, undone.stdout


def test_a_live_lease_and_a_pc_at_work_keep_everything(
    traced: LabProcess, run: Callable[..., Any], connect: Callable[..., Session]
) -> None:
    leased, busy = names(traced, "healthy")[1], names(traced, "osd-running")[0]
    for host in (leased, busy):
        guard(connect(traced, host))
    session = connect(traced, leased)
    young = session.converse(_young())
    session.send(CommandLine(f'mkdir "%windir%\\ccmsetup\\provmode-claim\\{young}"'))

    planned = run("plan", "lab.py", "--remove-traces", "--format", "json", "--unsigned")

    hosts = {host["host"]: host for host in json.loads(planned.stdout)["hosts"]}
    assert hosts[leased.name]["steps"] == hosts[busy.name]["steps"] == []
    assert "a run is at work there" in hosts[leased.name]["left_alone"]
    assert hosts[busy.name]["left_alone"].endswith("at work now, and not touched")


def test_a_pc_that_began_to_work_since_the_plan_is_stale_and_keeps_its_traces(
    traced: LabProcess, folder: Path, run: Callable[..., Any]
) -> None:
    busy = names(traced, "osd-running")[0]
    document = {"kind": "trace-guard", "before": guard_data().data}
    planned = json.loads(run("plan", "lab.py", "--unsigned", "--format", "json", "--limit", busy.name).stdout)
    planned["hosts"][0].update(steps=[document], left_alone="")
    (folder / "edited.json").write_text(json.dumps(planned))

    applied = run("apply", "edited.json", "--unsigned", "--format", "json")

    assert json.loads(applied.stdout)["hosts"][0]["ended"] == "stale"
    assert applied.returncode == 2


def test_what_stays_is_a_finding_and_is_printed_beside_what_goes(bench: Any, commands: Any) -> None:
    pc = bench.pc("healthy")
    pc.machine.files.write("C:\\Windows\\ccmsetup\\MobileClient.TCF.provmode-backup", b"only here", bench.now())
    pc.machine.registry.set(HKLM, GUARD_KEY.removeprefix("HKLM\\"), GUARD_VALUE, RegType.SZ, GUARD_COMMAND)

    as_json = commands.run("plan", commands.inventory, "--remove-traces", "--unsigned", "--format", "json")
    as_text = commands.run("plan", commands.inventory, "--remove-traces", "--unsigned").out.splitlines()

    (host,) = json.loads(as_json.out)["hosts"]
    kept = f"{BACKUP}: it may be the only copy: no journal that was given has its bytes (--journal FILE)"
    assert [step["kind"] for step in host["steps"]] == ["trace-guard"]
    assert host["findings"] == [{"code": "trace-kept", "text": kept}]
    assert as_text[as_text.index("stays all the same") + 1] == f"  PC-1: {kept}"


def test_what_could_not_be_looked_for_is_a_finding_too(bench: Any, commands: Any) -> None:
    bench.pc("healthy").refuse("shell/cmd", times=None)
    policy = 'provmode_policy={"check_tcf": false}'

    ran = commands.run(
        *("plan", commands.inventory, "--remove-traces", "--unsigned", "--format", "json", "--data", policy)
    )

    (host,) = json.loads(ran.out)["hosts"]
    (finding,) = host["findings"]
    assert (host["verdict"], host["steps"], finding["code"]) == ("healthy", [], "trace-kept")
    assert finding["text"].startswith("could not look for files: ")
    assert host["left_alone"] == finding["text"]


def test_a_journal_without_remove_traces_is_bad_usage(run: Callable[..., Any]) -> None:
    ran = run("plan", "lab.py", "--journal", "plan.json.journal")

    assert ran.returncode == 1
    assert ran.stderr == "provmode: --journal says which backups can go; give --remove-traces too\n"


def _young() -> Any:
    now = known((yield from clock()), None)
    assert now is not None
    return str(Token(now.now, "0123456789abcdef"))
