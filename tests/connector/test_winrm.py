"""`@winrm` under pyinfra's own command line, as its users run it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.connector.host_data import KEYS, WINRM_DATA, WinRMData
from provmode.connector.winrm import WinRMConnector
from provmode.lab.process import Host, LabProcess

Run = Callable[..., Any]
Data = Callable[[LabProcess, Host], list[str]]


@pytest.fixture
def inventory(lab: LabProcess, tmp_path: Path, place_of: Callable[..., Any]) -> Callable[..., str]:
    """Write a pyinfra inventory of some PCs of the lab; keyword arguments are data of each of them."""

    def write(*hosts: Host, **more: Any) -> str:
        everybody = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file)}
        pcs = [(f"@winrm/{host.name}", {**place_of(host), **more}) for host in hosts]
        path = tmp_path / "fleet.py"
        path.write_text(f"pcs = ({pcs!r}, {everybody!r})\n")
        return str(path)

    return write


def test_every_key_has_a_type_and_a_description() -> None:
    assert set(WinRMData.__annotations__) == KEYS
    assert all(meta.description for meta in WINRM_DATA.values())
    assert WinRMConnector.data_meta is WINRM_DATA


def test_a_fact_is_read_from_a_host_named_on_the_command_line(
    lab: LabProcess, healthy: Host, pyinfra: Run, data_of: Data
) -> None:
    ran = pyinfra(*data_of(lab, healthy), "--json", f"@winrm/{healthy.name}", "fact", "facts.client.ClientVersion")

    assert ran.returncode == 0, ran.stderr
    assert '"known": "5.00.' in ran.stdout


def test_exec_runs_the_notation_as_operations_and_other_commands_in_cmd_exe(
    lab: LabProcess, healthy: Host, pyinfra: Run, data_of: Data
) -> None:
    host = (*data_of(lab, healthy), f"@winrm/{healthy.name}", "exec", "--")

    version = pyinfra(*host, "winrm get wmi/root/ccm/SMS_Client")
    line = pyinfra(*host, "echo hello & hostname")

    assert version.returncode == 0, version.stderr
    assert '"ClientVersion": "5.00.' in version.stderr
    assert "hello" in line.stderr
    assert healthy.name.lower() in line.stderr.lower()


@pytest.mark.parametrize(
    "command",
    [
        ("fact", "facts.client.MobileClientTcf"),
        ("exec", "--", "hostname"),
        ("exec", "--", "nosuchprogram"),
        ("server.shell", "hostname"),
    ],
    ids=" ".join,
)
def test_no_shell_is_left_when_pyinfra_ends(
    lab: LabProcess, healthy: Host, pyinfra: Run, data_of: Data, command: tuple[str, ...]
) -> None:
    before = lab.counters(healthy.name)

    pyinfra("-y", *data_of(lab, healthy), f"@winrm/{healthy.name}", *command)

    after = lab.counters(healthy.name)
    assert after["actions"]["Create"] == before["actions"].get("Create", 0) + 1
    assert after["shells"] == before["shells"]


def test_a_command_that_fails_is_a_failure_with_its_output(
    lab: LabProcess, healthy: Host, pyinfra: Run, data_of: Data
) -> None:
    ran = pyinfra(*data_of(lab, healthy), f"@winrm/{healthy.name}", "exec", "--", "nosuchprogram")

    assert ran.returncode != 0
    assert "nosuchprogram" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_one_hosts_failure_of_any_kind_never_ends_the_run_for_the_others(
    lab: LabProcess, pyinfra: Run, inventory: Callable[..., str]
) -> None:
    strange = next(host for host in lab.hosts if host.persona == "armed")
    lab.inject(strange.name, kind="junk", times=None, text="<a/>")
    try:
        ran = pyinfra("--json", inventory(*lab.hosts), "fact", "facts.client.ProvisioningMode")
    finally:
        lab.heal(strange.name)

    read = json.loads(ran.stdout)
    answers = next(iter(read.values())) if "facts.client.ProvisioningMode" in str(list(read)[:1]) else read
    healthy = [host.name for host in lab.hosts if host.persona == "healthy"]
    assert len(healthy) >= 2
    for name in healthy:
        assert {"known", "absent"} & set(answers[f"@winrm/{name}"]), name
    assert "Traceback" not in ran.stderr
    for message in ("does not resolve", "refused the connection", "did not answer within", "refused LAB"):
        assert message in ran.stderr, message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"winrm_scheme": "ftp"}, "winrm_scheme is 'ftp'; use one of http, https"),
        ({"winrm_transport": "digest"}, "winrm_transport is 'digest'"),
        ({"winrm_computer": "10.0.0.5"}, "winrm_computer is '10.0.0.5'; give the PC's own name"),
        ({"winrm_port": 70000}, "winrm_port is 70000"),
        ({"winrm_connect_deadline": 0}, "winrm_connect_deadline is 0"),
        ({"winrm_password_file": "missing.txt"}, "cannot read the file that winrm_password_file names"),
        ({"winrm_password": 12345}, "winrm_password is not text"),
        ({"winrm_transport": "basic"}, "winrm_basic_over_http"),
        ({"winrm_transport": "certificate"}, "needs winrm_scheme https"),
        ({"winrm_scheme": "https", "winrm_ca": "missing.pem"}, "cannot read the CA bundle missing.pem"),
    ],
)
def test_invalid_data_is_one_line_about_that_host(
    lab: LabProcess, healthy: Host, pyinfra: Run, inventory: Callable[..., str], wrong: dict[str, Any], message: str
) -> None:
    ran = pyinfra(inventory(healthy, **wrong), "fact", "facts.client.ClientVersion")

    assert message in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
    assert "12345" not in ran.stderr


def test_data_of_the_wrong_type_is_named_in_the_error(
    healthy: Host, pyinfra: Run, inventory: Callable[..., str]
) -> None:
    ran = pyinfra(inventory(healthy, winrm_port="many"), "fact", "facts.client.ClientVersion")

    assert ran.returncode != 0
    assert "winrm_port" in ran.stderr


def test_a_dry_run_reads_and_changes_nothing(
    lab: LabProcess, healthy: Host, pyinfra: Run, inventory: Callable[..., str], tmp_path: Path
) -> None:
    deploy = tmp_path / "deploy.py"
    deploy.write_text(
        "from pyinfra import host\n"
        "from pyinfra.operations import server\n"
        "from facts.client import ProvisioningMode\n"
        "print('MODE', host.get_fact(ProvisioningMode))\n"
        "server.shell(name='Change', commands=['reg add HKLM\\\\SOFTWARE\\\\Test /v x /d y /f'])\n"
    )
    before = lab.mutations(healthy.name)

    ran = pyinfra("--dry", inventory(healthy), str(deploy))

    assert ran.returncode == 0, ran.stderr
    assert "MODE" in ran.stdout + ran.stderr
    assert lab.mutations(healthy.name) == before


def test_a_fact_cannot_change_a_pc_whatever_it_sends(
    lab: LabProcess, healthy: Host, pyinfra: Run, inventory: Callable[..., str], tmp_path: Path
) -> None:
    deploy = tmp_path / "deploy.py"
    deploy.write_text(
        "from pyinfra import host\n"
        "from pyinfra.facts.server import Command\n"
        "host.get_fact(Command, command='echo x > C:\\\\Windows\\\\CCM\\\\x.txt', _ignore_errors=True)\n"
    )
    before = lab.counters(healthy.name)["actions"].get("Command", 0)

    ran = pyinfra("--dry", inventory(healthy), str(deploy))

    assert "changes the PC and this session only reads" in " ".join(ran.stderr.split())
    assert lab.counters(healthy.name)["actions"].get("Command", 0) == before


def test_a_read_only_inventory_refuses_changes_in_a_real_run_too(
    lab: LabProcess, healthy: Host, pyinfra: Run, inventory: Callable[..., str]
) -> None:
    ran = pyinfra(inventory(healthy, winrm_read_only=True), "exec", "--", "sc stop CcmExec")

    assert ran.returncode != 0
    assert "this session only reads" in " ".join(ran.stderr.split())


def test_pyinfras_commands_upload_and_download_files(
    healthy: Host, pyinfra: Run, inventory: Callable[..., str], tmp_path: Path
) -> None:
    data = bytes(range(256)) * 300
    (tmp_path / "source.bin").write_bytes(data)
    deploy = tmp_path / "deploy.py"
    deploy.write_text(
        "from pyinfra import host\n"
        "from pyinfra.api import FileDownloadCommand, FileUploadCommand, operation\n"
        "@operation()\n"
        "def copy():\n"
        "    yield FileUploadCommand('source.bin', 'C:\\\\Windows\\\\CCM\\\\copy.bin')\n"
        "    yield FileDownloadCommand('C:\\\\Windows\\\\CCM\\\\copy.bin', 'back.bin')\n"
        "copy(name='Copy')\n"
    )

    ran = pyinfra(inventory(healthy), str(deploy))

    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "back.bin").read_bytes() == data


def test_a_missing_file_is_an_error_in_one_line(
    healthy: Host, pyinfra: Run, inventory: Callable[..., str], tmp_path: Path
) -> None:
    deploy = tmp_path / "deploy.py"
    deploy.write_text(
        "from pyinfra.api import FileDownloadCommand, operation\n"
        "@operation()\n"
        "def fetch():\n"
        "    yield FileDownloadCommand('C:\\\\nothing.bin', 'back.bin')\n"
        "fetch(name='Fetch')\n"
    )

    ran = pyinfra(inventory(healthy), str(deploy))

    assert ran.returncode != 0
    assert "has no file C:" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "back.bin").exists()


def test_verbose_output_shows_notation_that_can_be_pasted(
    healthy: Host, pyinfra: Run, inventory: Callable[..., str]
) -> None:
    ran = pyinfra("-vvv", inventory(healthy), "fact", "facts.client.ProvisioningMode")

    assert "winrm invoke GetStringValue wmicimv2/StdRegProv @{hDefKey=" in ran.stderr


def test_the_name_of_a_pc_is_required(pyinfra: Run) -> None:
    ran = pyinfra("@winrm/", "fact", "facts.client.ClientVersion")

    assert ran.returncode != 0
    assert "needs the name of a PC" in ran.stderr
