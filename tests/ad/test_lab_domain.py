"""``provmode lab --domain``: a fleet in a domain of its own, from the directory to the change, and nothing left."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.domain.controller import FOLDER

pytestmark = [pytest.mark.active_directory, pytest.mark.kdc]

PROVMODE = [sys.executable, "-m", "provmode"]
SCRIPT = shlex.join(PROVMODE)
FILES = [FOLDER / name for name in ("password", "keytabs", "setup.json")]
"""What has to be there in the domain alone."""
IN_DIRECTORY = """
import sys
import ldb, samba.param
from samba.auth import system_session
from samba.samdb import SamDB
parameters = samba.param.LoadParm()
parameters.load(sys.argv[1])
directory = SamDB(session_info=system_session(), lp=parameters)
def changed(name, attribute, *values):
    (found,) = directory.search(expression=f"(sAMAccountName={name}$)", attrs=[])
    change = ldb.Message(found.dn)
    change["change"] = ldb.MessageElement(list(values), ldb.FLAG_MOD_REPLACE, attribute)
    directory.modify(change)
(pc,) = directory.search(expression="(sAMAccountName=PC-00007$)", attrs=["servicePrincipalName"])
print(*sorted(map(str, pc["servicePrincipalName"])))
changed("PC-00001", "userAccountControl", "4098")
changed("PC-00002", "servicePrincipalName")
changed("PC-00002", "dNSHostName", "new-name.corp.example")
zone = "DC=corp.example,CN=MicrosoftDNS,DC=DomainDnsZones,DC=corp,DC=example"
directory.rename(f"DC=pc-00002,{zone}", f"DC=new-name,{zone}")
directory.delete(f"DC=pc-00003,{zone}")
"""
"""Disable a computer; give another a new name, without a service principal name; take the name in DNS from a third.

For a name that is the account's own, Samba needs no service principal name.
"""


def start(
    folder: Path, *arguments: str, before: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start the command line as a user does, in *folder*; its temporary files are in ``temporary`` there."""
    (folder / "temporary").mkdir()
    return subprocess.Popen(
        [*before, *PROVMODE, "lab", "--domain", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, **(environment or {}), "TMPDIR": str(folder / "temporary")},
    )


def run(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, in *folder*. No folder may stay."""
    with start(folder, *arguments, **options) as lab:
        out, err = lab.communicate(timeout=240)
    assert left_in(folder) == []
    return subprocess.CompletedProcess(lab.args, lab.returncode, out, err)


def left_in(folder: Path) -> list[Path]:
    """Return what is left of domains that were started in *folder*."""
    return [*(folder / "temporary").iterdir(), *(path for path in FILES if path.exists())]


def network_of(pid: int | str) -> str:
    """Return which network a process is in; none, if it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""


def processes_in(network: str) -> list[int]:
    return [
        int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit() and network_of(each.name) == network
    ]


def verdicts(text: str) -> dict[str, str]:
    return {host["host"]: host["verdict"] for host in json.loads(text)["hosts"]}


def test_an_audit_gives_every_pc_of_a_whole_fleet_its_verdict(tmp_path: Path) -> None:
    audit = [*PROVMODE, "audit", "@ad/corp.example", "--format", "json"]

    ran = run(tmp_path, "--truth", "truth.json", "--", *audit)

    found = {host["host"]: (host["verdict"], host.get("cause")) for host in json.loads(ran.stdout)["hosts"]}
    true = json.loads((tmp_path / "truth.json").read_text())["hosts"]
    assert found == {name: (host["verdict"], host.get("cause")) for name, host in true.items()}
    assert len({host["persona"] for host in true.values()}) == len(found) == 20
    assert {"stuck", "healthy", "unassessed"} <= {verdict for verdict, _ in found.values()}
    assert ran.returncode == 6  # that of the audit
    assert [line for line in ran.stderr.splitlines() if "left out" in line] == [
        "provmode: corp.example: 1 left out, a domain controller",
        "provmode: corp.example: 1 left out, disabled",
        "provmode: corp.example: 1 left out, stale: no logon for 90 days",
    ]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a few commands said, one after another, in one domain of PCs that are overdue."""
    folder = tmp_path_factory.mktemp("told")
    (folder / "change.py").write_text(IN_DIRECTORY)
    ntlm = (
        r"--data winrm_transport=ntlm --data 'winrm_user=LAB\provmode' "
        "--data winrm_password_file=$PROVMODE_DOMAIN/password"
    )
    (folder / "script").write_text(
        f"""
        {SCRIPT} audit @ad/corp.example/Clients/Berlin --format json > berlin.json
        {SCRIPT} plan @ad/corp.example/Clients/Hamburg --output plan.json > plan.out
        {SCRIPT} apply plan.json > apply.out
        {SCRIPT} audit @ad/corp.example/Clients/Hamburg --format json > mended.json
        {SCRIPT} audit @ad/corp.example/Clients/Berlin {ntlm} --format json > ntlm.json
        {SCRIPT} inventory show '@ad/corp.example?group=Pilot' --json > pilot.json
        klist > klist.out
        env > env.out
        /usr/bin/python3 change.py "$SMB_CONF_PATH" > names.out
        {SCRIPT} audit @ad/corp.example --format json > changed.json 2> changed.err
        kill -9 $$
        """
    )
    environment = {"PROVMODE_USER": "LAB\\somebody", "PROVMODE_PASSWORD": "of another domain"}
    ran = run(folder, "--hosts", "7", "--mix", "overdue=1", "sh", "script", environment=environment)
    assert ran.returncode == 128 + signal.SIGKILL, ran.stderr
    return folder


def test_an_ou_is_audited_alone(told: Path) -> None:
    assert verdicts((told / "berlin.json").read_text()) == dict.fromkeys(
        ["PC-00001", "PC-00004", "PC-00007"], "overdue"
    )


def test_what_is_planned_is_applied_and_mends_the_pcs(told: Path) -> None:
    assert "2 hosts: 2 to change" in (told / "plan.out").read_text()
    assert "2 hosts: 2 changed" in (told / "apply.out").read_text()
    assert verdicts((told / "mended.json").read_text()) == {"PC-00002": "healthy", "PC-00005": "healthy"}


def test_the_same_account_and_password_do_for_ntlm(told: Path) -> None:
    assert verdicts((told / "ntlm.json").read_text()) == verdicts((told / "berlin.json").read_text())


def test_a_pc_has_the_service_names_that_windows_registers(told: Path) -> None:
    assert (told / "names.out").read_text().split() == [
        f"{service}/{name}"
        for service in ("HOST", "RestrictedKrbHost", "TERMSRV", "WSMAN")
        for name in ("PC-00007", "pc-00007.corp.example")
    ]


def test_a_group_and_a_ticket_are_there_and_nothing_of_another_domain(told: Path) -> None:
    pilot = [host["host"] for host in json.loads((told / "pilot.json").read_text())["hosts"]]
    environment = (told / "env.out").read_text()

    assert pilot == ["PC-00001", "PC-00005"]
    assert "Default principal: provmode@CORP.EXAMPLE" in (told / "klist.out").read_text()
    assert "of another domain" not in environment
    assert "LAB\\somebody" not in environment


def test_a_computer_that_is_disabled_lacks_its_services_or_its_name_is_told_from_others(told: Path) -> None:
    document = json.loads((told / "changed.json").read_text())
    hosts = {host["host"]: host for host in document["hosts"]}

    assert "PC-00001" not in hosts
    assert "corp.example: 2 left out, disabled" in (told / "changed.err").read_text()
    assert (hosts["PC-00002"]["cause"], hosts["PC-00003"]["cause"]) == ("auth", "name-resolution")
    assert "the domain knows no service HTTP/new-name.corp.example" in hosts["PC-00002"]["reason"]
    assert "pc-00003.corp.example does not resolve" in hosts["PC-00003"]["reason"]
    assert {hosts[name]["verdict"] for name in ("PC-00004", "PC-00006", "PC-00007")} == {"overdue"}


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Start a domain whose command waits; return the lab and its network."""
    begun: list[subprocess.Popen[str]] = []
    networks: list[str] = []

    def begin(*command: str) -> tuple[subprocess.Popen[str], str]:
        lab = start(tmp_path, "--hosts", "1", "--mix", "healthy=1", "sh", "-c", *command)
        begun.append(lab)
        assert lab.stdout is not None
        files, network = lab.stdout.readline().split()
        networks.append(network)
        assert int(files) == len(FILES)
        return lab, network

    yield begin
    for lab in begun:
        lab.kill()
    for pid in [pid for network in networks for pid in processes_in(network)]:  # none, unless a test has failed
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended with the first of them
    for lab in begun:
        lab.communicate()


SAYS = f'echo "$(ls -d {" ".join(map(str, FILES))} | wc -l) $(readlink /proc/self/ns/net)"'


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_and_no_folder_stays_after_a_signal(
    tmp_path: Path, waiting: Callable[..., Any], number: signal.Signals
) -> None:
    lab, network = waiting(f"nohup sleep 1000 & {SAYS}; exec sleep 1000")
    assert len(processes_in(network)) > 10  # Samba's, the lab's and the command's

    lab.send_signal(number)

    assert lab.wait(30) == (128 + number if number != signal.SIGKILL else -number)
    until(lambda: processes_in(network) == [], "a process is left")
    assert left_in(tmp_path) == []


def test_what_the_command_left_running_ends_with_it(tmp_path: Path, waiting: Callable[..., Any]) -> None:
    lab, network = waiting(f"nohup sleep 1000 > /dev/null 2>&1 & {SAYS}; exit 5")

    assert lab.wait(30) == 5
    assert processes_in(network) == []
    assert left_in(tmp_path) == []


def test_a_command_has_time_to_end_after_a_signal(waiting: Callable[..., Any]) -> None:
    lab, _ = waiting(f'trap "echo heard; exit 9" INT; {SAYS}; while :; do sleep 0.1; done')

    lab.send_signal(signal.SIGINT)

    assert lab.wait(30) == 9
    assert lab.stdout.read() == "heard\n"


def test_a_second_signal_ends_a_command_that_does_not_heed_the_first(
    tmp_path: Path, waiting: Callable[..., Any]
) -> None:
    lab, network = waiting(f'trap "echo heard" INT; {SAYS}; while :; do sleep 0.1; done')
    lab.send_signal(signal.SIGINT)
    assert lab.stdout.readline() == "heard\n"

    lab.send_signal(signal.SIGINT)

    assert lab.wait(30) == 128 + signal.SIGINT
    assert processes_in(network) == []
    assert left_in(tmp_path) == []


def test_a_signal_while_the_domain_is_made_ends_it(tmp_path: Path) -> None:
    with start(tmp_path, "--hosts", "1", "true") as lab:
        until(lambda: first_inside(lab.pid) != 0, "nothing was started")
        network = network_of(first_inside(lab.pid))
        lab.terminate()

        assert lab.wait(30) == 128 + signal.SIGTERM
    assert processes_in(network) == []
    assert left_in(tmp_path) == []


def first_inside(pid: int) -> int:
    """Return the first process in the namespaces that the process *pid* has made; 0: there is none yet."""
    for child in children_of(pid):
        for grandchild in children_of(child):
            if b"provmode.lab.domain.inside" in Path(f"/proc/{grandchild}/cmdline").read_bytes().split(b"\0"):
                return grandchild
    return 0


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []  # it has ended


def test_what_ends_all_processes_runs_only_among_those_of_a_domain() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "provmode.lab.domain.inside", "0"], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 1
    assert ran.stderr == "this program runs in a domain of `provmode lab --domain` alone\n"


def until(true: Callable[[], bool], else_: str) -> None:
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends, else_
        time.sleep(0.02)


def test_it_needs_no_root_and_the_command_runs_as_the_person(tmp_path: Path) -> None:
    """A user namespace without root stands for a user: it has no rights but those over its own files."""
    somebody = ["unshare", "--user", "--map-user=1234", "--map-group=1234"]
    command = f"id -u; grep ^CapEff /proc/self/status; {SCRIPT} audit @ad/corp.example --format json > audit.json"

    ran = run(tmp_path, "--hosts", "2", "--mix", "healthy=1", "sh", "-c", command, before=somebody)

    assert ran.stdout.split() == ["1234", "CapEff:", "0" * 16], ran.stderr
    assert verdicts((tmp_path / "audit.json").read_text()) == {"PC-00001": "healthy", "PC-00002": "healthy"}


def test_where_user_namespaces_are_forbidden_one_line_says_so(tmp_path: Path) -> None:
    """The limit is one of the user namespace around it, not of this machine."""
    around = ["unshare", "--user", "--map-user=1234", "--map-group=1234", "--keep-caps", "sh", "-c"]
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --ambient-caps=-all "$@"'

    ran = run(tmp_path, "true", before=[*around, forbid, "sh"])

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "provmode: a domain needs user namespaces, and user.max_user_namespaces is 0 here: sudo sysctl "
        "user.max_user_namespaces=10000\n"
    )


def test_a_person_gets_a_shell_with_a_ticket_and_a_terminal(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        environment = {**os.environ, "SHELL": "/bin/sh", "TERM": "dumb", "PS1": "$ ", "TMPDIR": str(tmp_path)}
        os.execve(sys.executable, [*PROVMODE, "lab", "--domain", "--hosts", "4", "--mix", "overdue=1"], environment)
    said = said_until(terminal, "$ ")
    os.write(terminal, b"sleep 1000\n")
    until(lambda: b"sleep" in in_front(terminal), "sleep does not run in the foreground")
    os.write(terminal, b"\x03echo wo''ken\n")  # Ctrl-C is for the program, not for the lab
    said_until(terminal, "woken")
    os.write(terminal, b"klist; false\n")
    said += said_until(terminal, "renew until")
    os.write(terminal, b"exit\n")
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert "on a network of its own, with 4 PCs:\r\n4 overdue.\r\n" in said
    assert "the ticket of provmode@CORP.EXAMPLE" in said
    assert "Default principal: provmode@CORP.EXAMPLE" in said
    assert re.search(r"  provmode plan @ad/corp.example/Clients/Berlin --output plan.json  what", said)
    assert list(tmp_path.iterdir()) == []


def in_front(terminal: int) -> bytes:
    """Return the command line of the process in the foreground."""
    try:
        return Path(f"/proc/{os.tcgetpgrp(terminal)}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""  # it has ended


def said_until(terminal: int, words: str) -> str:
    """Return what is written to the terminal until *words* are there."""
    said = ""
    while words not in said:
        assert select.select([terminal], [], [], 60)[0], said
        said += os.read(terminal, 65536).decode()
    return said
