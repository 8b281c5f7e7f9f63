"""A run in several processes gives the report of one process, and no process, secret or lock outlives it."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest

from provmode.ccm.policy import Policy
from provmode.clock import utc_now
from provmode.connector.sources.laps import LocalAccount
from provmode.connector.sources.laps_password import LapsPassword, PasswordsAnew
from provmode.connector.sources.wanted import Wanted
from provmode.fleet.audit import Audit, run_audit
from provmode.fleet.inventory import Fleet, InventorySource, load
from provmode.fleet.looking import Looked, State
from provmode.fleet.messages import Answer, Ask, Task
from provmode.fleet.pipe import Pipe
from provmode.fleet.plan import Compliance, Planned, plan_inventory
from provmode.fleet.processes import MOST, WORTH_IT, Processes, processes_for
from provmode.fleet.traces import Removal
from provmode.lab.process import LabProcess

Run = Callable[..., Any]


def test_few_hosts_are_looked_at_by_one_process_and_many_by_one_a_core() -> None:
    assert processes_for(WORTH_IT - 1, None, cores=8) == 1
    assert processes_for(WORTH_IT, None, cores=2) == 2
    assert processes_for(100_000, None, cores=64) == MOST
    assert processes_for(100_000, None, cores=1) == 1


def test_what_the_user_said_counts_but_no_process_is_without_a_host() -> None:
    assert processes_for(10, 3, cores=1) == 3
    assert processes_for(2, 3, cores=8) == 2
    assert processes_for(100_000, 1, cores=8) == 1


def told(audit: Audit) -> list[tuple[Any, ...]]:
    """Return what an audit says of each host, without the times of this run."""
    rows = []
    for report in audit.reports:
        state = report.state.to_json() if report.state is not None else {}
        for key in ("observed_at", "clock"):
            state.pop(key, None)
        assessment = report.assessment
        codes = [finding.code for finding in assessment.findings]
        rows.append((report.host, assessment.verdict, assessment.rule, assessment.cause, codes, state))
    return rows


@pytest.fixture(scope="module")
def mixed_lab() -> Iterator[LabProcess]:
    """Sixty PCs in the mix of a fleet."""
    with LabProcess(60, 5) as lab:
        yield lab


def test_three_processes_report_the_same_as_one(
    mixed_lab: LabProcess, source_of: Callable[..., InventorySource]
) -> None:
    fleet = load(source_of(mixed_lab))
    alone = run_audit(fleet, fleet.names, now=utc_now, looker=Processes(1))
    together = run_audit(fleet, fleet.names, now=utc_now, looker=Processes(3))

    assert len({report.assessment.verdict for report in alone.reports}) > 6
    assert told(together) == told(alone)
    assert together.exit_code() == alone.exit_code()
    assert [report.requests for report in together.reports] == [report.requests for report in alone.reports]


def test_a_plan_of_three_processes_has_the_steps_of_a_plan_of_one(
    mixed_lab: LabProcess, source_of: Callable[..., InventorySource]
) -> None:
    def steps(planned: Planned) -> list[tuple[Any, ...]]:
        return [
            (item.name, item.remediation.steps if item.remediation else None, item.left_alone, item.policy)
            for item in planned.proposals
        ]

    alone = plan_inventory(source_of(mixed_lab), now=utc_now)
    together = plan_inventory(source_of(mixed_lab), now=utc_now, looker=Processes(3))

    assert steps(together) == steps(alone)
    assert any(item.remediation is not None and item.remediation.steps for item in together.proposals)


def test_two_hosts_that_are_one_pc_are_found_although_two_processes_looked_at_them(lab: LabProcess) -> None:
    pc = next(host for host in lab.hosts if host.persona == "healthy")
    place = {"winrm_port": pc.port, "winrm_user": lab.user, "winrm_password_file": str(lab.password_file)}
    place["winrm_address"] = pc.address
    fleet = Fleet(([("@winrm/ONE", place), ("@winrm/TWO", place)], {}))  # type: ignore[no-untyped-call]

    audit = run_audit(fleet, fleet.names, now=utc_now, looker=Processes(2))

    assert [
        "same-computer" in [finding.code for finding in report.assessment.findings] for report in audit.reports
    ] == [
        True,
        True,
    ]


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_the_command_takes_the_number_of_processes(
    lab: LabProcess, provmode: Run, tmp_path: Path, command: str
) -> None:
    inventory = written(tmp_path, lab)

    ran = provmode(command, inventory, "--processes", "2", "--format", "json", "--debug")

    assert len(json.loads(ran.stdout)["hosts"]) == len(lab.hosts)
    assert "by the rule" in ran.stderr  # the workers' log


def written(folder: Path, lab: LabProcess, **data: Any) -> str:
    """Write an inventory of a lab, and return its name."""
    pcs = [(f"@winrm/{host.name}", {"winrm_address": host.address, "winrm_port": host.port}) for host in lab.hosts]
    common = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file), "winrm_connect_deadline": 2}
    (folder / "fleet.py").write_text(f"pcs = ({pcs!r}, { ({**common, **data})!r})\n")
    return "fleet.py"


# -- a run that ends early ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def healthy_lab() -> Iterator[LabProcess]:
    """Twelve healthy PCs."""
    with LabProcess(12, 7, mix={"healthy": 1}) as lab:
        yield lab


def children(pid: int) -> list[int]:
    """Return the processes that *pid* started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], bool]) -> None:
    """Wait for *condition*, for a minute at most."""
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def link_of(path: Path) -> str:
    """Return where a link leads to; empty if it has gone in the meantime."""
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""


def has_connections(pid: int, ports: set[int]) -> bool:
    """Return whether a process has a connection to each of *ports*."""
    sockets = {target for entry in Path(f"/proc/{pid}/fd").iterdir() if (target := link_of(entry))}
    established = {
        int(fields[2].rpartition(":")[2], 16)
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        if fields[3] == "01" and f"socket:[{fields[9]}]" in sockets
    }
    return ports <= established


@contextmanager
def held_up(lab: LabProcess, folder: Path, **data: Any) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run an audit in two processes that both wait, because no PC of the lab answers. Yield the run and its workers."""
    inventory = written(
        folder, lab, winrm_connect_deadline=60, winrm_read_deadline=600, winrm_host_deadline=600, **data
    )
    os.kill(lab.pid, signal.SIGSTOP)
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "provmode", "audit", inventory, "--format", "json", "--processes", "2"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            try:
                until(lambda: len(children(running.pid)) == 2)
                workers = children(running.pid)
                ports = [host.port for host in lab.hosts]
                until(lambda: all(has_connections(pid, {*ports[n::2]}) for n, pid in enumerate(workers)))
                yield running, workers
            finally:
                running.kill()
                running.communicate()
        until(lambda: not any(map(runs, workers)))
    finally:
        os.kill(lab.pid, signal.SIGCONT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_and_its_workers_and_names_the_missing_hosts(
    healthy_lab: LabProcess, tmp_path: Path, number: signal.Signals
) -> None:
    with held_up(healthy_lab, tmp_path) as (running, workers):
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
        assert not any(map(runs, workers))

    assert running.returncode == 130, err
    assert json.loads(out)["missing"] == [host.name for host in healthy_lab.hosts]
    assert err == ""


def test_workers_end_with_a_run_that_is_killed(healthy_lab: LabProcess, tmp_path: Path) -> None:
    with held_up(healthy_lab, tmp_path) as (running, workers):
        running.kill()
        running.communicate()

        until(lambda: not any(map(runs, workers)))


def test_a_worker_leaves_it_to_the_run_what_a_signal_means(healthy_lab: LabProcess, tmp_path: Path) -> None:
    with held_up(healthy_lab, tmp_path) as (running, workers):
        for worker in workers:
            os.kill(worker, signal.SIGTERM)  # as a service manager does
        os.kill(healthy_lab.pid, signal.SIGCONT)
        out, err = running.communicate(timeout=60)

    assert running.returncode == 0, err
    assert json.loads(out)["summary"]["healthy"] == len(healthy_lab.hosts)


def test_the_hosts_of_a_worker_that_dies_are_not_assessed_and_the_others_are(
    healthy_lab: LabProcess, tmp_path: Path
) -> None:
    with held_up(healthy_lab, tmp_path) as (running, workers):
        os.kill(workers[0], signal.SIGKILL)
        os.kill(healthy_lab.pid, signal.SIGCONT)
        out, err = running.communicate(timeout=60)

    hosts = json.loads(out)["hosts"]
    assert running.returncode == 8, err
    assert [host["verdict"] for host in hosts] == ["unassessed", "healthy"] * 6
    assert {host["cause"] for host in hosts[::2]} == {"protocol"}
    assert all("a worker process of provmode was ended by signal 9" in host["reason"] for host in hosts[::2])
    assert all("--processes 1" in host["next_step"] for host in hosts[::2])


def test_a_worker_that_dies_while_it_logs_on_gives_its_place_to_others(healthy_lab: LabProcess, tmp_path: Path) -> None:
    # three logons may be in flight before the first success; the dead worker has one or two of them
    with held_up(healthy_lab, tmp_path) as (running, workers):
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: not runs(workers[0]))
        os.kill(healthy_lab.pid, signal.SIGCONT)
        out, _ = running.communicate(timeout=60)

    assert json.loads(out)["summary"]["healthy"] == len(healthy_lab.hosts) // 2


def test_no_secret_is_in_the_arguments_or_the_environment_of_a_worker(healthy_lab: LabProcess, tmp_path: Path) -> None:
    secret = healthy_lab.password
    with held_up(healthy_lab, tmp_path, winrm_password=secret) as (_, workers):
        for worker in workers:
            said = Path(f"/proc/{worker}/cmdline").read_bytes() + Path(f"/proc/{worker}/environ").read_bytes()
            assert secret.encode() not in said
            assert healthy_lab.hosts[0].name.encode() not in said


def test_a_module_in_the_working_folder_is_not_taken_for_provmode(healthy_lab: LabProcess, tmp_path: Path) -> None:
    inventory = written(tmp_path, healthy_lab)
    (tmp_path / "json.py").write_text("open('taken', 'w')\n")
    (tmp_path / "sitecustomize.py").write_text("open('taken', 'w')\n")
    command = "import sys; sys.path.remove(''); from provmode.cli.entry import main; main()"

    ran = subprocess.run(
        [sys.executable, "-c", command, "audit", inventory, "--processes", "2"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "taken").exists()


# -- what goes through the pipe -------------------------------------------------------------------------------------


@pytest.fixture
def pipes() -> Iterator[tuple[Pipe, Pipe]]:
    """Both ends of a pipe."""
    (one_in, other_out), (other_in, one_out) = os.pipe(), os.pipe()
    ends = Pipe(one_in, one_out), Pipe(other_in, other_out)
    yield ends
    for end in ends:
        end.close()


def test_messages_of_many_greenlets_arrive_whole(pipes: tuple[Pipe, Pipe]) -> None:
    one, other = pipes
    senders = [gevent.spawn(one.send, (number, "x" * 300_000)) for number in range(20)]

    received = [other.receive() for _ in senders]

    assert sorted(number for number, _ in received) == list(range(20))
    assert {len(text) for _, text in received} == {300_000}


def test_an_end_that_is_gone_is_noticed(pipes: tuple[Pipe, Pipe]) -> None:
    one, other = pipes
    one.close()

    with pytest.raises(EOFError):
        other.receive()
    with pytest.raises(OSError, match="pipe"):
        other.send("x")


def test_every_question_and_every_answer_can_be_sent(
    lab: LabProcess, source_of: Callable[..., InventorySource]
) -> None:
    for question in (State(), Compliance(), Removal({"PC-1": frozenset({"00"})})):
        assert pickle.loads(pickle.dumps(question)) == question
    looked = Looked("@winrm/PC-1", plan_inventory(source_of(lab), now=utc_now).proposals[0].report)
    assert pickle.loads(pickle.dumps(looked)) == looked


def test_a_password_that_can_be_read_anew_can_be_sent() -> None:
    local = LocalAccount(user="Administrator", password="s3cret")
    password = LapsPassword(local, "CN=PC-1", PasswordsAnew(Wanted("corp.example", laps=True)))

    sent = pickle.loads(pickle.dumps(password))

    assert sent.logon == password.logon
    assert "s3cret" not in f"{sent!r} {sent}"


def test_no_message_shows_a_secret() -> None:
    data = {"@winrm/PC-1": {"winrm_password": "s3cret"}}
    messages = (
        Task(data, {"@winrm/PC-1": Policy()}, State(), 1, 1, False),
        Ask(1, "enter", ("LAB\\auditor", "s3cret")),
        Answer(1, "s3cret"),
    )

    assert "s3cret" not in f"{messages!r}"
