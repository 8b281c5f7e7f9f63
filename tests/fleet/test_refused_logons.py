"""A refused password is not tried on a whole fleet, nor in the next run: counted at the lab's own counters."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.fleet.refused_logons import FILE, RefusedLogons
from provmode.lab.process import Host, LabProcess
from provmode.transport.logons import Refusals

Run = Callable[..., Any]
NOW = datetime(2026, 8, 20, 9, 10, tzinfo=timezone.utc)
REFUSED = Refusals(("PC-1", "PC-2", "PC-3"), NOW)


@pytest.fixture(scope="module")
def fleet() -> Iterator[LabProcess]:
    """Forty PCs that answer, and some that are silent."""
    with LabProcess(60, 3, mix={"healthy": 40, "refused": 6, "black-hole": 6}) as lab:
        yield lab


class Logons:
    """Runs provmode on a lab's PCs and counts the logons that they refuse."""

    def __init__(self, lab: LabProcess, provmode: Run, folder: Path, place_of: Callable[..., Any]) -> None:
        self.lab, self.provmode, self.folder, self.place_of = lab, provmode, folder, place_of
        self.password = folder / "password"
        self.password.write_text("not the password\n")
        self.alive = [host for host in lab.hosts if host.persona not in ("refused", "black-hole")]
        self.silent = [host for host in lab.hosts if host.persona in ("refused", "black-hole")]

    def refused(self) -> int:
        """How many logons the PCs have refused so far."""
        return sum(pc["refused_logins"] for pc in self.lab.counters().values())

    def write(self, groups: dict[str, tuple[list[Host], dict[str, Any]]], **common: Any) -> str:
        """Write an inventory."""
        lines = []
        for name, (hosts, data) in groups.items():
            pcs = [(f"@winrm/{host.name}", self.place_of(host)) for host in hosts]
            every = {"winrm_user": self.lab.user, "winrm_password_file": str(self.password)}
            lines.append(f"{name} = ({pcs!r}, { ({**every, **common, **data})!r})\n")
        (self.folder / "fleet.py").write_text("".join(lines))
        return "fleet.py"

    def audit(self, inventory: str, *options: str, **more: Any) -> tuple[int, dict[str, Any], Any]:
        """Audit, and return how many logons were refused, the hosts by name, and what ran."""
        before = self.refused()
        ran = self.provmode("audit", inventory, "--format", "json", *options, **more)
        hosts = {host["host"]: host for host in json.loads(ran.stdout)["hosts"]}
        return self.refused() - before, hosts, ran


@pytest.fixture
def logons(fleet: LabProcess, provmode: Run, tmp_path: Path, place_of: Callable[..., Any]) -> Logons:
    """The forty PCs."""
    return Logons(fleet, provmode, tmp_path, place_of)


def not_tried(hosts: dict[str, Any]) -> list[str]:
    """Return the hosts that were not tried."""
    return [name for name, host in hosts.items() if host["reason"].startswith("not tried: 3 PCs refused this account")]


@pytest.mark.parametrize("processes", ["1", "3"])
def test_a_wrong_password_is_refused_by_three_pcs_of_a_fleet_and_by_none_in_the_next_run(
    logons: Logons, processes: str
) -> None:
    inventory = logons.write({"pcs": (logons.alive, {})})

    first, hosts, ran = logons.audit(inventory, "--processes", processes)
    second, again, ran_again = logons.audit(inventory, "--processes", processes)

    assert first == 3
    assert len(hosts) == len(logons.alive) >= 40
    assert len(not_tried(hosts)) == len(hosts) - 3
    assert {host["cause"] for host in hosts.values()} == {"auth"}
    assert all("--retry-refused-logons" in hosts[name]["next_step"] for name in not_tried(hosts))
    assert ran.returncode == 4
    assert second == 0
    assert len(not_tried(again)) == len(again)
    for each in (ran, ran_again):
        (line,) = each.stderr.splitlines()
        assert line.startswith("provmode: LAB\\provmode was refused 3 times in a row, the last time on 20")
        assert "--retry-refused-logons" in line
        assert "not the password" not in each.stdout + each.stderr


def test_another_password_is_tried_at_once_and_a_retry_tries_the_old_one(logons: Logons, state_folder: Path) -> None:
    inventory = logons.write({"pcs": (logons.alive, {})})
    logons.audit(inventory)

    retried, _, _ = logons.audit(inventory, "--retry-refused-logons")
    blown_again, _, _ = logons.audit(inventory)
    logons.password.write_text("another wrong password\n")
    changed, _, _ = logons.audit(inventory)
    logons.password.write_text(f"{logons.lab.password}\n")
    right, hosts, ran = logons.audit(inventory)

    assert (retried, blown_again, changed, right) == (3, 0, 3, 0)
    assert {host["verdict"] for host in hosts.values()} == {"healthy"}
    assert ran.stderr == ""
    text = (state_folder / FILE).read_text()
    assert not [word for word in ("not the password", "another wrong", logons.lab.password) if word in text]


def test_a_retry_with_a_password_that_is_right_clears_the_fuse(logons: Logons, state_folder: Path) -> None:
    logons.password.write_text(f"{logons.lab.password}\n")
    memory = RefusedLogons(state_folder, now=lambda: NOW)
    memory.keep(logons.lab.user, logons.lab.password, REFUSED)
    inventory = logons.write({"pcs": (logons.alive, {})})

    _, blown, _ = logons.audit(inventory)
    _, retried, _ = logons.audit(inventory, "--retry-refused-logons")
    _, after, _ = logons.audit(inventory)

    assert len(not_tried(blown)) == len(blown)
    assert {host["verdict"] for host in (*retried.values(), *after.values())} == {"healthy"}


def test_silent_pcs_before_the_others_count_neither_way(logons: Logons) -> None:
    refused, hosts, _ = logons.audit(logons.write({"silent": (logons.silent, {}), "pcs": (logons.alive, {})}))

    assert logons.silent
    assert refused == 3
    assert {hosts[host.name]["cause"] for host in logons.silent} == {"refused", "connect-timeout"}
    assert len(not_tried(hosts)) == len(logons.alive) - 3


@pytest.mark.parametrize("parallel", ["1", "64"])
def test_two_accounts_are_independent(logons: Logons, parallel: str) -> None:
    right = {"winrm_password_file": str(logons.lab.password_file), "winrm_user": "provmode@LAB"}
    wrong, good = logons.alive[::2], logons.alive[1::2]

    refused, hosts, _ = logons.audit(
        logons.write({"wrong": (wrong, {}), "good": (good, right)}), "--parallel", parallel
    )

    assert refused == 3
    assert {hosts[host.name]["verdict"] for host in good} == {"healthy"}
    assert len(not_tried(hosts)) == len(wrong) - 3


def test_one_account_that_some_pcs_refuse_goes_on_with_the_others(
    provmode: Run, tmp_path: Path, place_of: Callable[..., Any]
) -> None:
    with LabProcess(20, 3, mix={"healthy": 9, "wrong-password": 1}) as lab:
        logons = Logons(lab, provmode, tmp_path, place_of)
        logons.password = lab.password_file
        wrong = [host.name for host in lab.hosts if host.persona == "wrong-password"]
        assert 0 < len(wrong) < 3
        _, hosts, _ = logons.audit(logons.write({"pcs": (logons.alive, {})}))

    assert not not_tried(hosts)
    assert {name for name, host in hosts.items() if host["verdict"] == "unassessed"} == set(wrong)


def test_local_accounts_are_tried_on_every_pc(logons: Logons) -> None:
    refused, hosts, ran = logons.audit(logons.write({"pcs": (logons.alive, {})}, winrm_user=".\\provmode"))

    assert refused == len(logons.alive)
    assert not not_tried(hosts)
    assert ran.stderr == ""


def test_a_plan_an_apply_and_an_undo_heed_the_same_fuse(
    provmode: Run, tmp_path: Path, place_of: Callable[..., Any]
) -> None:
    with LabProcess(12, 3, mix={"armed": 1}) as lab:
        logons = Logons(lab, provmode, tmp_path, place_of)
        right, wrong = f"{lab.password}\n", logons.password.read_text()
        inventory = logons.write({"pcs": (logons.alive, {})})
        logons.password.write_text(right)
        provmode("plan", inventory, "--output", "plan", "--unsigned")
        logons.password.write_text(wrong)
        refused = provmode("plan", inventory, "--format", "json")
        counted = logons.refused()
        everybody = ("--unsigned", "--min-reached", "none")
        applied = provmode("apply", "plan", *everybody, "--format", "json")
        logons.password.write_text(right)
        assert provmode("apply", "plan", "--unsigned", "--journal", "j").returncode == 0
        logons.password.write_text(wrong)
        undone = provmode("undo", "j", "--inventory", inventory, *everybody, "--yes", "--format", "json")
        in_all = logons.refused()
        provmode("undo", "j", "--inventory", inventory, "--unsigned", "--yes", "--retry-refused-logons")
        retried = logons.refused()

    assert len(not_tried({host["host"]: host for host in json.loads(refused.stdout)["hosts"]})) == 9
    assert (counted, in_all, retried) == (3, 3, 6)
    for ran in (applied, undone):
        assert ran.returncode == 4
        hosts = json.loads(ran.stdout)["hosts"]
        assert {(host["ended"], host["cause"], host["detail"][:10]) for host in hosts} == {
            ("unreached", "auth", "not tried:")
        }


def test_pyinfras_own_run_has_the_fuse_within_the_run(logons: Logons, pyinfra: Run) -> None:
    inventory = logons.write({"pcs": (logons.alive, {})})
    before = logons.refused()

    ran = pyinfra(inventory, "fact", "facts.client.ClientVersion")

    assert logons.refused() == before + 3
    assert ran.returncode != 0
    assert "not tried: 3 PCs refused this account" in " ".join(ran.stderr.split())


def test_ctrl_c_ends_a_run_in_which_hosts_wait_for_a_logon(logons: Logons, tmp_path: Path) -> None:
    stalled = logons.alive[:3]
    inventory = logons.write({"pcs": (logons.alive, {})}, winrm_read_deadline=600, winrm_host_deadline=600)
    logons.password.write_text(f"{logons.lab.password}\n")
    os.kill(logons.lab.pid, signal.SIGSTOP)  # every PC takes connections and answers none
    try:
        running = subprocess.Popen(
            [sys.executable, "-m", "provmode", "audit", inventory, "--format", "json"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while _connections(running.pid, stalled[0].port) < 1 or _connections(running.pid, logons.alive[-1].port) < 1:
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        os.kill(logons.lab.pid, signal.SIGCONT)

    assert running.returncode == 130, err
    assert json.loads(out)["missing"] == [host.name for host in logons.alive]


def test_hosts_that_wait_for_a_logon_take_no_turn_from_others(logons: Logons, tmp_path: Path) -> None:
    others = [replace(host, address="localhost") for host in logons.alive[:10]]  # a name takes longer: they come last
    mute = [socket.create_server(("127.0.0.1", 0)) for _ in range(8)]  # takes connections and answers none
    names = [Host(f"MUTE-{number}", *each.getsockname(), "http", "mute") for number, each in enumerate(mute)]
    right = {"winrm_password_file": str(logons.lab.password_file), "winrm_user": "provmode@LAB"}
    inventory = logons.write({"mute": (names, {}), "others": (others, right)}, winrm_read_deadline=30)
    before = logons.lab.counters()
    running = subprocess.Popen(
        [sys.executable, "-m", "provmode", "audit", inventory, "--parallel", "4"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        talks = [each.accept()[0] for each in mute]
        waiting = select.poll()  # unlike `select`, with any number of open files
        for talk in talks:
            waiting.register(talk, select.POLLIN)
        asked: list[tuple[int, int]] = []
        while len(asked) < 3 or any(
            logons.lab.counters(pc.name)["actions"] == before[pc.name]["actions"] for pc in others
        ):
            assert running.poll() is None
            asked = waiting.poll(0)
    finally:
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
        for each in (*mute, *talks):
            each.close()

    assert len(asked) == 3, "three have a turn, and the fourth turn is for the others"


def _connections(pid: int, port: int) -> int:
    """Return how many TCP connections to *port* are open on this machine, while *pid* runs."""
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[2].endswith(f":{port:04X}") and line.split()[3] == "01" for line in lines)


# -- the file -------------------------------------------------------------------------------------------------------


@pytest.fixture
def memory(tmp_path: Path) -> RefusedLogons:
    """A memory in a folder that does not exist yet."""
    return RefusedLogons(tmp_path / "new" / "provmode", now=lambda: NOW, rounds=1)


def test_only_the_user_can_read_the_file_and_it_holds_no_password(memory: RefusedLogons, tmp_path: Path) -> None:
    memory.keep("LAB\\one", "canary-1", REFUSED)
    memory.keep("LAB\\two", "canary-2", REFUSED)

    folder = tmp_path / "new" / "provmode"
    assert os.listdir(folder) == [FILE]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert "canary" not in (folder / FILE).read_text()
    assert memory.trouble == ""


def test_the_same_account_and_password_have_another_hash_in_each_file(tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "two"):
        RefusedLogons(tmp_path / name, now=lambda: NOW, rounds=1).keep("u", "p", REFUSED)
        keys |= set(json.loads((tmp_path / name / FILE).read_text())["logons"])

    assert len(keys) == 2


def test_a_password_is_found_by_name_in_any_spelling_and_another_is_not(memory: RefusedLogons) -> None:
    memory.keep("LAB\\one", "secret", REFUSED)

    assert memory.recall("lab\\ONE", "secret") == REFUSED
    assert memory.recall("LAB\\one", "Secret") is None
    assert memory.recall("LAB\\two", "secret") is None
    memory.keep("LAB\\one", "secret", None)
    assert memory.recall("LAB\\one", "secret") is None


def test_without_a_file_there_is_nothing_to_recall_and_none_is_made(memory: RefusedLogons, tmp_path: Path) -> None:
    assert memory.recall("u", "p") is None
    memory.keep("u", "p", None)

    assert memory.trouble == ""
    assert not (tmp_path / "new" / "provmode" / FILE).exists()


def _damage(path: Path, how: str) -> None:
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how == "a link":
        path.symlink_to("/etc/passwd")
    elif how == "a pipe":
        os.mkfifo(path)
    elif how == "writable by others":
        path.write_text('{"format": "provmode-refused-logons", "version": 1, "salt": "", "logons": {}}')
        path.chmod(0o666)
    else:
        path.write_text(how)


DAMAGE = (
    *(
        "",
        "[]",
        "nonsense",
        "null",
        '{"format": "provmode-refused-logons", "version": 1}',
        "[" * 100_000,
    ),
    '{"format": "provmode-refused-logons", "version": 9, "salt": "00", "logons": {}}',
    '{"format": "provmode-refused-logons", "version": 1, "salt": "x", "logons": {"a": {"user": "u"}}}',
    '{"format": "provmode-refused-logons", "version": 1, "salt": "00", "logons": ["u"]}',
    '{"format": "provmode-refused-logons", "version": 1, "salt": "zz", "logons": {}}',
    *("a folder", "a link", "a pipe", "writable by others"),
)


@pytest.mark.parametrize("how", DAMAGE, ids=lambda how: how[:20])
def test_a_file_that_cannot_be_read_is_one_line_and_ends_no_run(
    memory: RefusedLogons, tmp_path: Path, how: str
) -> None:
    memory.keep("u", "p", REFUSED)
    path = tmp_path / "new" / "provmode" / FILE
    _damage(path, how)

    assert memory.recall("u", "p") is None

    assert str(path) in memory.trouble
    assert "cannot be read" in memory.trouble
    assert "remembered only within this run" in memory.trouble
    memory.keep("u", "p", REFUSED)
    if how != "a folder":
        assert memory.recall("u", "p") == REFUSED
        assert not path.is_symlink()


def test_a_run_says_that_it_cannot_remember_and_goes_on(logons: Logons, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    inventory = logons.write({"pcs": (logons.alive, {})})

    refused, hosts, ran = logons.audit(inventory, environment={"XDG_STATE_HOME": str(tmp_path / "file")})

    assert refused == 3
    assert len(not_tried(hosts)) == len(hosts) - 3
    assert ran.returncode == 4
    assert "Traceback" not in ran.stderr
    (line,) = [line for line in ran.stderr.splitlines() if "cannot be" in line]
    assert f"{tmp_path / 'file' / 'provmode' / FILE} cannot be " in line
    assert "remembered only within this run" in line
