"""The lab in several processes: one fleet, one control channel, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.process import Host, LabError, LabProcess

ROOT = Path(__file__).parents[2]
KEY = "HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec"
MIX = {"healthy": 4, "overdue": 2, "wrong-password": 1, "refused": 1, "stuck-old-client": 1, "bad-certificate": 1}
HOSTS = 14


def children(pid: int) -> list[int]:
    """Return the processes that *pid* has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs(pid: int) -> bool:
    """Return whether a process has not ended; a zombie has. Nobody here waits for the children of a killed lab."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until *holds*, at most 30 s."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: Any) -> Iterator[LabProcess]:
    folder = tmp_path_factory.mktemp("two")
    with LabProcess(
        HOSTS, 5, mix=MIX, https=0.3, inventory=folder / "lab.py", truth=folder / "truth.json", processes=2
    ) as running:
        yield running


@pytest.fixture
def answering(lab: LabProcess) -> list[Host]:
    """The PCs with a WinRM server, in the order of their names: neighbours are in different processes."""
    return [host for host in lab.hosts if host.persona in ("healthy", "overdue", "stuck-old-client")]


def audit(inventory: Path, output: Path) -> tuple[int, dict[str, Any]]:
    """Audit with the command; return its exit code, and verdict and cause of each PC."""
    command = [sys.executable, "-m", "provmode", "audit", str(inventory), "--format", "json", "--output", str(output)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert output.exists(), ran.stderr
    hosts = json.loads(output.read_text())["hosts"]
    return ran.returncode, {host["host"]: (host["verdict"], host.get("cause")) for host in hosts}


def test_the_fleet_and_its_audit_are_the_same_in_one_process_and_in_two(tmp_path: Path) -> None:
    found = []
    for processes in (1, 2):
        inventory, truth = tmp_path / f"lab{processes}.py", tmp_path / f"truth{processes}.json"
        with LabProcess(HOSTS, 5, mix=MIX, https=0.3, inventory=inventory, truth=truth, processes=processes) as running:
            assert len(children(running.pid)) == (2 if processes == 2 else 0)
            fleet = [(host.name, host.scheme, host.persona) for host in running.hosts]
            assert len({host.port for host in running.hosts}) == HOSTS
            code, audited = audit(inventory, tmp_path / f"audit{processes}.json")
        true = json.loads(truth.read_text())["hosts"]
        assert {name: verdict for name, (verdict, _) in audited.items()} == {
            name: host["verdict"] for name, host in true.items()
        }
        found.append((fleet, code, audited, true))

    assert found[0] == found[1]


def test_the_inventory_lists_all_pcs_with_one_password(lab: LabProcess) -> None:
    names = [host.name for host in lab.hosts]

    assert names == sorted(names)
    assert len(names) == HOSTS
    assert lab.password
    assert lab.ca_file.exists()


def test_requests_go_to_the_process_that_has_the_pc(lab: LabProcess, answering: list[Host]) -> None:
    for number, host in enumerate(answering):
        lab.set_registry(host.name, KEY, "Mark", number, "DWORD")

    assert [lab.registry(host.name, KEY, "Mark") for host in answering] == list(range(len(answering)))
    assert {name for name, changes in lab.mutations().items() if changes} == {host.name for host in answering}
    assert list(lab.mutations()) == [host.name for host in lab.hosts]
    for host in answering:
        lab.inject(host.name, kind="quota")
        lab.heal(host.name)
        lab.logon(host.name, ntlm=False)
        lab.logon(host.name)
        assert lab.counters(host.name) == lab.counters()[host.name]


def test_the_clocks_agree_and_move_on_together(lab: LabProcess, answering: list[Host]) -> None:
    def ahead() -> list[float]:
        """When each PC saw a change made now: all in one place and one after the other."""
        seen = []
        for host in answering:
            lab.set_registry(host.name, KEY, "Clock", 1, "DWORD")
            lab.set_registry(host.name, KEY, "Clock", None, "DWORD")
            when = lab.mutations(host.name)[-1]["when"]
            seen.append(_seconds(when))
        return seen

    before = ahead()
    lab.advance(86400)
    after = ahead()

    assert max(before) - min(before) < 10
    assert max(after) - min(after) < 10
    assert all(86400 <= late - early < 86420 for early, late in zip(before, after, strict=True))


def _seconds(when: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(when.replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda lab: lab.ask("dance"), "no such operation"),
        (lambda lab: lab.counters("PC-99999"), "no such PC"),
        (lambda lab: lab.ask("inject"), "'host' is missing"),
        (lambda lab: lab.ask("advance"), "'seconds' is missing"),
        (lambda lab: lab.ask("requests", host=["PC-00001"]), "unhashable"),
        (lambda lab: lab.inject(lab.hosts[1].name, kind="explode"), "explode|never answers"),
    ],
)
def test_a_bad_request_is_an_error_and_the_lab_keeps_running(lab: LabProcess, ask: Any, message: str) -> None:
    with pytest.raises(LabError, match=message):
        ask(lab)

    assert len(lab.counters()) > 0


def test_no_more_processes_than_pcs() -> None:
    with LabProcess(2, mix={"healthy": 1}, processes=8) as lab:
        assert len(children(lab.pid)) == 2
        assert len(lab.counters()) == 2


def test_nothing_is_left_when_the_lab_stops() -> None:
    with LabProcess(4, mix={"healthy": 1}, processes=2) as lab:
        workers, folder = children(lab.pid), lab.password_file.parent

    assert not any(map(runs, workers))
    assert not folder.exists()


def test_nothing_is_left_when_the_lab_is_killed() -> None:
    lab = LabProcess(4, mix={"healthy": 1}, processes=2).start()
    workers, folder = children(lab.pid), lab.password_file.parent
    assert all(map(runs, workers))

    os.kill(lab.pid, signal.SIGKILL)

    until(lambda: not any(map(runs, workers)), "a process of the lab is left")
    assert not folder.exists()
    lab.stop()


def test_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    arguments = ["--hosts", "4", "--mix", "healthy=1", "--processes", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "provmode.lab", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "the lab ended early"
        workers = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(30) == 0

    assert "4 PCs on 127.0.0.1 in 2 processes" in lines[0]
    assert len(workers) == 2
    assert not any(map(runs, workers))
    assert not (tmp_path / ".lab" / "fleet.json").exists()


def test_a_process_that_dies_ends_the_lab_with_its_words(tmp_path: Path) -> None:
    arguments = ["--hosts", "4", "--mix", "healthy=1", "--processes", "2", "--control"]
    with subprocess.Popen(
        [sys.executable, "-m", "provmode.lab", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        folder = Path(json.loads(process.stdout.readline())["password_file"]).parent
        first, second = children(process.pid)
        os.kill(second, signal.SIGKILL)
        assert process.wait(30) == 1
        said = process.stderr.read()

    assert said == "lab: process 2 of the lab ended by signal 9\n"
    assert not runs(first)
    assert not folder.exists()


def test_a_process_that_cannot_begin_says_why(tmp_path: Path) -> None:
    program = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))\n"
        "sys.argv = ['lab', '--hosts', '4', '--mix', 'healthy=1', '--processes', '2', '--control']\n"
        "runpy.run_module('provmode.lab', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 1
    assert "of the lab ended with exit code 1: the lab needs 1004 open files, the limit is 500" in done.stderr
    assert len(done.stderr.splitlines()) == 1
