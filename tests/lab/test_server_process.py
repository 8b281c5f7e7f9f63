"""The lab as a process of its own: start, requests, stop, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pypsrp.exceptions import AuthenticationError, WSManFaultError
from pypsrp.shell import Process, SignalCode, WinRS
from pypsrp.wsman import WSMan
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import RequestException

from provmode.lab.fleet import compose
from provmode.lab.process import Host, LabError, LabProcess
from provmode.lab.server.build import build_fleet
from provmode.lab.server.listener import ANYWHERE

WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/"
ROOT = Path(__file__).parents[2]
KEY = "SOFTWARE\\Microsoft\\CCM\\CcmExec"


def client(lab: LabProcess, host: Host, **options: Any) -> WSMan:
    secure = host.scheme == "https"
    settings: dict[str, Any] = {
        "port": host.port,
        "ssl": secure,
        "username": lab.user,
        "password": lab.password,
        "auth": "ntlm",
        "encryption": "auto" if secure else "always",
        "cert_validation": str(lab.ca_file) if secure else False,
        "no_proxy": True,
        "connection_timeout": 1 if host.persona == "black-hole" else 30,
        "read_timeout": 60,
    }
    return WSMan(host.address, **{**settings, **options})


def get_string(wsman: WSMan, key: str, value: str) -> dict[str, str | None]:
    """Read a registry value over StdRegProv."""
    from xml.etree import ElementTree as ET

    uri = WMI + "StdRegProv"
    body = ET.fromstring(
        f'<p:GetStringValue_INPUT xmlns:p="{uri}"><p:hDefKey>2147483650</p:hDefKey>'
        f"<p:sSubKeyName>{key}</p:sSubKeyName><p:sValueName>{value}</p:sValueName></p:GetStringValue_INPUT>"
    )
    output = wsman.invoke(uri + "/GetStringValue", uri, body)[1][0]
    return {child.tag.rpartition("}")[2]: child.text for child in output}


@pytest.fixture(scope="module")
def lab() -> Iterator[LabProcess]:
    mix = {
        "healthy": 3,
        "stuck-old-client": 1,
        "refused": 1,
        "black-hole": 1,
        "unresolvable-name": 1,
        "bad-certificate": 1,
        "wrong-password": 1,
        "access-denied": 1,
        "quota-exceeded": 1,
        "dies-in-mid-answer": 1,
    }
    with LabProcess(12, seed=7, mix=mix) as running:
        yield running


def host_with(lab: LabProcess, persona: str) -> Host:
    return next(host for host in lab.hosts if host.persona == persona)


def test_the_password_file_is_private_and_the_ca_file_exists(lab: LabProcess) -> None:
    assert stat.S_IMODE(lab.password_file.stat().st_mode) == 0o600
    assert "BEGIN CERTIFICATE" in lab.ca_file.read_text()


def test_pypsrp_reads_the_registry_of_a_stuck_pc(lab: LabProcess) -> None:
    wsman = client(lab, host_with(lab, "stuck-old-client"))
    answer = get_string(wsman, KEY, "ProvisioningMode")
    assert answer["ReturnValue"] == "0"
    assert (answer["sValue"] or "").lower() == "true"


def test_pypsrp_runs_a_command(lab: LabProcess) -> None:
    host = host_with(lab, "healthy")
    with WinRS(client(lab, host), codepage=65001) as shell:
        process = Process(shell, "hostname")
        process.invoke()
        process.signal(SignalCode.CTRL_C)
    assert process.stdout.decode().strip() == host.name
    assert process.rc == 0
    assert lab.counters(host.name)["commands"] == ["hostname"]


@pytest.mark.parametrize(
    ("persona", "error"),
    [
        ("refused", RequestsConnectionError),
        ("black-hole", RequestException),
        ("unresolvable-name", RequestsConnectionError),
        ("bad-certificate", RequestException),
        ("wrong-password", AuthenticationError),
        ("access-denied", WSManFaultError),
        ("quota-exceeded", WSManFaultError),
        ("dies-in-mid-answer", RequestException),
    ],
)
def test_each_network_persona_fails_in_its_own_way(lab: LabProcess, persona: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        client(lab, host_with(lab, persona)).get(WMI + "Win32_OperatingSystem")


def test_the_registry_can_be_read_and_written_at_the_pc_and_the_road_is_hand(lab: LabProcess) -> None:
    host = host_with(lab, "healthy").name
    lab.set_registry(host, f"HKLM\\{KEY}", "ByHand", 5, "DWORD")
    assert lab.registry(host, f"HKLM\\{KEY}", "ByHand") == 5
    assert lab.registry(host, f"HKLM\\{KEY}", "Missing") is None
    assert lab.mutations(host)[-1]["road"] == "hand"


def test_counters_and_mutations_are_returned_for_one_pc_or_all(lab: LabProcess) -> None:
    host = host_with(lab, "healthy")
    before = lab.counters(host.name)["requests"]
    client(lab, host).get(WMI + "Win32_OperatingSystem")
    after = lab.counters(host.name)
    assert after["requests"] == before + 4
    assert lab.counters()[host.name] == after
    assert set(lab.mutations()) == {each.name for each in lab.hosts}


def test_an_injection_fails_requests_until_it_is_healed(lab: LabProcess) -> None:
    host = host_with(lab, "healthy")
    lab.inject(host.name, kind="fault", code=2150858793, times=None)
    with pytest.raises(WSManFaultError):
        client(lab, host).get(WMI + "Win32_OperatingSystem")
    lab.heal(host.name)
    client(lab, host).get(WMI + "Win32_OperatingSystem")


def test_the_clock_moves_on_one_pc_or_all(lab: LabProcess) -> None:
    host = host_with(lab, "healthy")
    cim = ".//{http://schemas.dmtf.org/wbem/wscim/1/common}Datetime"

    def local_time() -> str:
        body = client(lab, host).get(WMI + "Win32_OperatingSystem")
        uri = "{" + WMI + "Win32_OperatingSystem}"
        return str(body[0].find(uri + "LocalDateTime").findtext(cim))

    before = local_time()
    lab.advance(86400 * 400, host.name)
    assert int(local_time()[:4]) > int(before[:4])


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda lab: lab.ask("dance"), "no such operation"),
        (lambda lab: lab.counters("PC-99999"), "no such PC"),
        (lambda lab: lab.inject("PC-00001", kind="explode"), "explode|never answers"),
        (lambda lab: lab.ask("advance"), "seconds"),
        (lambda lab: lab.registry(host_with(lab, "healthy").name, "HKXX\\a", "b"), "no such hive"),
    ],
)
def test_a_bad_request_is_an_error_and_the_lab_keeps_running(lab: LabProcess, ask: Any, message: str) -> None:
    with pytest.raises(LabError, match=message):
        ask(lab)
    assert len(lab.counters()) > 0


def test_nothing_is_left_when_the_lab_stops() -> None:
    with LabProcess(2, mix={"healthy": 1}) as lab:
        folder, pid, port = lab.password_file.parent, lab.pid, lab.hosts[0].port
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with pytest.raises(LabError):
        lab.counters()


def test_the_lab_ends_with_the_program_that_started_it() -> None:
    program = (
        "import os; from provmode.lab.process import LabProcess\n"
        "lab = LabProcess(1, mix={'healthy': 1}).start(); print(lab.pid, lab.password_file, flush=True); os._exit(9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 9  # its pipes are closed when the lab has ended too: `run` waits for that
    _, password_file = done.stdout.split()
    assert not Path(password_file).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--hosts", "0"], "0 is not in the range x>=1"), (["--mix", "nobody=1"], "nobody"), (["--truth", "/"], "/")],
)
def test_bad_usage_is_one_line_and_exit_code_1(arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "provmode.lab", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_lab_for_people_leaves_its_state_and_ends_clean_on_a_signal(tmp_path: Path) -> None:
    arguments = ["--hosts", "3", "--seed", "1", "--mix", "healthy=1", "--truth", "truth.json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "provmode.lab", *arguments],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "the lab ended early"
        state = json.loads((tmp_path / ".lab" / "fleet.json").read_text())
        inventory = _inventory(tmp_path)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert "3 PCs" in lines[0]
    assert [host["name"] for host in state["hosts"]] == ["PC-00001", "PC-00002", "PC-00003"]
    assert inventory[0][0] == "@winrm/PC-00001"
    assert inventory[0][1]["winrm_port"] == state["hosts"][0]["port"]
    assert json.loads((tmp_path / "truth.json").read_text())["hosts"]["PC-00001"]["verdict"] == "healthy"
    assert not (tmp_path / ".lab" / "fleet.json").exists()
    assert "no lab is running" in _inventory_error(tmp_path)


def _load(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run inventories/lab.py in *folder* and print what it defines."""
    code = f"import json, runpy; print(json.dumps(runpy.run_path({str(ROOT / 'inventories' / 'lab.py')!r})['lab']))"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def _inventory(folder: Path) -> Any:
    return json.loads(_load(folder).stdout)


def _inventory_error(folder: Path) -> str:
    return _load(folder).stderr


def test_a_written_inventory_names_every_pc_and_ends_with_the_lab(tmp_path: Path) -> None:
    path = tmp_path / "fleet.py"
    with LabProcess(2, mix={"healthy": 1}, inventory=path) as lab:
        text = path.read_text()
        names: dict[str, Any] = {}
        exec(compile(text, str(path), "exec"), names)
        assert [name for name, _ in names["lab"]] == [f"@winrm/{host.name}" for host in lab.hosts]
        assert Path(names["lab"][0][1]["winrm_password_file"]).is_absolute()
        assert lab.password not in text
    assert not path.exists()


def test_two_thousand_pcs_listen_in_one_process() -> None:
    with LabProcess(2000, seed=3, mix={"healthy": 1}) as lab:
        assert len({host.port for host in lab.hosts}) == 2000
        for host in (lab.hosts[0], lab.hosts[999], lab.hosts[-1]):
            assert client(lab, host).get(WMI + "Win32_OperatingSystem") is not None


def test_each_pc_can_have_an_address_of_its_own_with_the_port_of_winrm() -> None:
    members = compose(600, 1, {"healthy": 1})

    places = [spec.place for spec in build_fleet(members, own_addresses=True)]

    assert {place.port for place in places} == {5985}
    assert [places[number].address for number in (0, 1, 249, 250)] == [
        "127.1.0.1",
        "127.1.0.2",
        "127.1.0.250",
        "127.1.1.1",
    ]
    assert len({place.address for place in places}) == 600
    assert {spec.place.port for spec in build_fleet(members[:5], https=1.0, own_addresses=True)} == {5986}
    assert {spec.place for spec in build_fleet(members[:5])} == {ANYWHERE}


def test_half_of_a_lab_can_listen_on_https() -> None:
    with LabProcess(12, seed=2, mix={"healthy": 1}, https=0.5) as lab:
        assert {host.scheme for host in lab.hosts} == {"http", "https"}
        host = next(host for host in lab.hosts if host.scheme == "https")
        client(lab, host).get(WMI + "Win32_OperatingSystem")


def test_a_program_patched_by_gevent_can_start_and_ask_a_lab() -> None:
    program = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import gevent; from provmode.lab.process import LabProcess\n"
        "with LabProcess(3, mix={'healthy': 1}) as lab:\n"
        "    asked = [gevent.spawn(lab.counters, host.name) for host in lab.hosts]\n"
        "    gevent.joinall(asked, raise_error=True)\n"
        "    print(sorted(each.value['requests'] for each in asked))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[0, 0, 0]", "")
