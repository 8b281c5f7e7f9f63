"""Packages of a lab PC over WinRM, by clients that are not provmode's: pywinrm and pypsrp."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import winrm
from pypsrp.wsman import SelectorSet

from provmode.lab.packages import cases
from provmode.lab.packages.catalogue import made
from provmode.lab.packages.engine import KEPT
from provmode.lab.personas import BY_NAME, build_pc
from provmode.lab.process import LabError, LabProcess
from provmode.lab.server.hosting import HostSpec
from provmode.lab.windows import cmd

START = datetime(2026, 11, 26, 8, 0, tzinfo=timezone.utc)
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/"
N = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
W = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
CHANNEL = "Microsoft-Windows-Provisioning-Diagnostics-Provider/Admin"
NAMES = ("conflict", "secrets", "removable")


@pytest.fixture
def lab(serve: Any) -> Iterator[Any]:
    """A lab of one PC of each of a few kinds."""
    pcs = {name: build_pc(BY_NAME["healthy"], name, 1, START, lambda: 0.0, name) for name in NAMES}
    with serve([HostSpec(name, pc, partial(cmd.start, pc)) for name, pc in pcs.items()]) as served:
        yield served


class Shell:
    """A shell of pywinrm on one PC."""

    def __init__(self, lab: Any, name: str) -> None:
        port = next(host.port for host in lab.lab.hosts if host.name == name)
        self._protocol = winrm.Protocol(
            f"http://127.0.0.1:{port}/wsman",
            transport="ntlm",
            username="LAB\\provmode",
            password=lab.lab.account.password,
            message_encryption="always",
            proxy=None,
            ca_trust_path=None,
        )
        self._shell = self._protocol.open_shell(codepage=65001)

    def run(self, line: str) -> tuple[str, int]:
        command = self._protocol.run_command(self._shell, line, skip_cmd_shell=False)
        out, err, code = self._protocol.get_command_output(self._shell, command)
        self._protocol.cleanup_command(self._shell, command)
        assert err == b""
        return out.decode().replace("\r\n", "\n"), code & 0xFFFFFFFF


def query(lab: Any, name: str, wql: str) -> list[dict[str, str | None]]:
    """Return what pypsrp finds by WQL: each object's texts by property."""
    element = ET.Element(f"{{{N}}}Enumerate")
    ET.SubElement(element, f"{{{W}}}OptimizeEnumeration")
    ET.SubElement(element, f"{{{W}}}MaxElements").text = "100"
    ET.SubElement(element, f"{{{W}}}Filter", Dialect="http://schemas.microsoft.com/wbem/wsman/1/WQL").text = wql
    client = lab.client(name)
    body = client.enumerate(WMI + "*", element)
    found: list[dict[str, str | None]] = []
    while True:
        for items in (each for each in body.iter() if each.tag in (f"{{{W}}}Items", f"{{{N}}}Items")):
            found += [{child.tag.rpartition("}")[2]: child.text for child in item} for item in items]
        if any(each.tag.endswith("}EndOfSequence") for each in body.iter()):
            return found
        pull = ET.Element(f"{{{N}}}Pull")
        ET.SubElement(pull, f"{{{N}}}EnumerationContext").text = body.findtext(f".//{{{N}}}EnumerationContext")
        ET.SubElement(pull, f"{{{N}}}MaxElements").text = "100"
        body = client.pull(WMI + "*", pull)


def test_files_are_found_by_extension_and_on_the_root_of_a_removable_drive(lab: Any) -> None:
    kept = query(
        lab,
        "conflict",
        "SELECT Name, FileSize FROM CIM_DataFile WHERE Drive = 'C:' AND "
        "Path = '\\\\ProgramData\\\\Microsoft\\\\Provisioning\\\\' AND Extension = 'ppkg'",
    )
    drives = query(lab, "removable", "SELECT DeviceID FROM Win32_LogicalDisk WHERE DriveType = 2")
    on_them = query(lab, "removable", "SELECT Name FROM CIM_DataFile WHERE Drive = 'E:' AND Extension = 'ppkg'")

    expected = {each["path"].lower() for each in cases.truth(cases.BY_NAME["conflict"])["files"]}
    assert {row["Name"] for row in kept} == expected
    assert str(len(made("kiosk").data)) in {row["FileSize"] for row in kept}
    assert [row["DeviceID"] for row in drives] == ["E:"]
    assert [row["Name"] for row in on_them] == ["e:\\büro 100%.ppkg"]


def test_one_command_hashes_all_files_whatever_their_names(lab: Any) -> None:
    shell = Shell(lab, "secrets")

    output, code = shell.run(f'for %f in ("{KEPT}\\*.ppkg") do @certutil -hashfile "%f" SHA256')

    assert code == 0
    assert output.splitlines()[:2] == [
        f"SHA256 hash of {KEPT}\\Contoso Join & Co.ppkg:",
        hashlib.sha256(made("join").data).hexdigest(),
    ]


def test_registry_and_events_are_read_and_a_package_is_added(lab: Any) -> None:
    shell = Shell(lab, "conflict")
    results, _ = shell.run("reg query HKLM\\SOFTWARE\\Microsoft\\Provisioning\\Results /s")
    assert "    PackageFileName    REG_SZ    Contoso Kiosk.ppkg\n" in results

    code = shell.run('dism /online /add-provisioningpackage "/packagepath:C:\\none & x.ppkg"')[1]
    assert code == 2
    events, code = shell.run(f"wevtutil qe {CHANNEL} /f:xml /c:2 /rd:true")
    numbers = [ET.fromstring(line).findtext(".//{*}EventID") for line in events.splitlines()]
    assert (code, numbers) == (0, ["62", "60"])

    path = f"{KEPT}\\Contoso Kiosk.ppkg"
    text = f"ConvertTo-Json (Install-ProvisioningPackage '{path}' -ForceInstall -QuietInstall).PackageName"
    encoded = base64.b64encode(text.encode("utf-16-le")).decode()
    assert shell.run(f"powershell -NoProfile -EncodedCommand {encoded}") == ('"Contoso Kiosk"\n', 0)


def test_the_registry_provider_shows_the_winner_of_a_policy(lab: Any) -> None:
    method = ET.Element(f"{{{WMI}StdRegProv}}GetStringValue_INPUT")
    area = "SOFTWARE\\Microsoft\\PolicyManager\\current\\device\\Start"
    values = {"hDefKey": str(0x80000002), "sSubKeyName": area, "sValueName": "HidePowerButton_WinningProvider"}
    for name, value in values.items():
        ET.SubElement(method, f"{{{WMI}StdRegProv}}{name}").text = value

    body = lab.client("conflict").invoke(
        f"{WMI}StdRegProv/GetStringValue", f"{WMI}StdRegProv", method, selector_set=SelectorSet()
    )

    assert body.findtext(".//{*}sValue") == made("kiosk").provider


# -- the lab as a process ---------------------------------------------------------------------------------------


def test_a_lab_in_processes_has_the_packages_of_its_truth_and_takes_orders(tmp_path: Path) -> None:
    shares = {"applied": 1.0, "refuses": 1.0}
    truth = tmp_path / "truth.json"
    with LabProcess(4, 3, mix={"healthy": 1}, packages=shares, truth=truth, processes=2) as lab:
        told = json.loads(truth.read_text())["packages"]
        names = {each["case"]: name for name, each in told.items()}
        results = f"HKLM\\SOFTWARE\\Microsoft\\Provisioning\\Results\\{made('base').id}"
        for name, each in told.items():
            file = lab.registry(name, results, "PackageFileName")
            assert file == (each["applied"][0]["file"] if each["applied"] else None)
        assert set(names) == set(shares)
        host = names["refuses"]
        lab.write_file(host, "C:\\k.ppkg", made("kiosk").data)
        lab.set_provisioning(host)
        lab.set_provisioning(host, add="0x80070005", categories={"Accounts": ["0x8007054b", "x"]}, command_seconds=5)
        lab.write_file(host, "C:\\k.ppkg", None)
        what = [item["what"] for item in lab.mutations(host)]
        assert what == [f"file C:\\k.ppkg written ({len(made('kiosk').data)} bytes)", "file C:\\k.ppkg deleted"]
        for wrong in (
            lambda: lab.set_provisioning(host, speed=1),
            lambda: lab.set_provisioning(host, add="x"),
            lambda: lab.write_file(host, "k.ppkg", b""),
            lambda: lab.ask("file-write", host=host, path="C:\\x", content="?"),
        ):
            with pytest.raises(LabError):
                wrong()
