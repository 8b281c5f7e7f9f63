"""Packages by operations and by the deploy: dry run, first and second run; what is refused, and what a log shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from provmode.lab.packages.catalogue import CANARY, made, signer
from provmode.lab.packages.engine import KEPT
from provmode.lab.packages.writer import Description, Setting, command, package
from provmode.lab.process import Host, LabProcess
from provmode.remediation.lease import NAME
from provmode.windows.files import sha256

PERSONAS = {"healthy": 9, "upgrade-running": 1}
HEAD = "from operations import packages\n"
ROOT = Path(__file__).parent.parent.parent
DEPLOY = str(ROOT / "deploys" / "packages.py")
ID, OTHER = (f"{{a1b2c3d4-0000-4000-8000-00000000000{number}}}" for number in (1, 2))
POWER = "Policies/Start/HidePowerButton"
THUMBPRINT = signer().thumbprint.lower()
SECURITY = "HKLM\\SOFTWARE\\Microsoft\\PolicyManager\\current\\device\\Security"
Pcs = Callable[[str], list[Host]]


def kiosk(version: str = "1.0", **told: Any) -> bytes:
    settings = [
        Setting(POWER, "1"),
        Setting("Accounts/Users/User[UserName=kim]/Password", CANARY),
        *command("setup", f"setup.exe /password:{CANARY}"),
    ]
    return package(Description(ID, "Kiosk", version=version, settings=settings, **told))


@pytest.fixture(scope="module")
def fleet() -> Iterator[LabProcess]:
    """A lab whose PCs have no packages but Windows' own."""
    mix = {name: 1e6 if count > 1 else 1e-6 for name, count in PERSONAS.items()}
    with LabProcess(10, 5, mix=mix, packages={"inbox": 1.0}) as running:
        assert {host.persona for host in running.hosts} == set(PERSONAS)
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of this computer, by name."""
    folder = tmp_path_factory.mktemp("packages")
    certificate = signer().certificate
    content = {
        "kiosk.ppkg": kiosk(),
        "older.ppkg": kiosk("0.9"),
        "signed.ppkg": made("signed").data,
        "tampered.ppkg": made("tampered").data,
        "secure.ppkg": made("secure").data,
        "signer.cer": certificate.public_bytes(serialization.Encoding.DER),
        "signer.pem": certificate.public_bytes(serialization.Encoding.PEM),
        "text.txt": b"neither a package nor a certificate",
    }
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return {name: str(folder / name) for name in [*content, "none.ppkg"]}


@pytest.fixture
def pc(pcs: Pcs, pyinfra: Any, taken: list[str]) -> Host:
    """A PC that no other test has changed."""
    found = next(each for each in pcs("healthy") if each.name not in taken)
    taken.append(found.name)
    return found


@pytest.fixture(scope="module")
def taken() -> list[str]:
    """The names of PCs that were used."""
    return []


def present(file: str, **more: Any) -> str:
    arguments = "".join(f", {name}={value!r}" for name, value in more.items())
    return f"{HEAD}packages.present(name='kiosk', file={file!r}{arguments})\n"


def uploads(pyinfra: Any, pc: Host) -> list[str]:
    """Return which files stayed where packages are put while they are needed."""
    ways = [each for each in pyinfra.work(pc) if "systemprofile" in each.lower()]
    there: set[str] = set()
    for each in ways:
        path = each.removeprefix("file ").split(" ")[0]
        there = there - {path} if " deleted" in each or " renamed to " in each else there | {path}
    return sorted(there)


def test_a_package_is_shown_added_and_left_as_it_is_the_second_time(
    pc: Host, pyinfra: Any, files: dict[str, str]
) -> None:
    deploy = present(files["kiosk.ppkg"])

    dry = pyinfra.dry(deploy, pc)
    assert pyinfra.work(pc) == [], "a dry run changes nothing"
    assert dry.pending == {"kiosk": 1}, dry.output
    shown = dry.block(pc, f"package Kiosk {ID}")
    assert "(what Kiosk changes)" in shown
    assert shown[0] == "- absent"
    assert shown[1] == f"+ 1.0 (SHA-256 {sha256(kiosk())}), applied"
    assert f"- {POWER}: not set" in shown
    assert f"+ {POWER}: 1" in shown
    assert "! runs as SYSTEM: setup.exe /password:***" in shown
    assert "! a removal does not take back: Accounts, Policies; these settings stay as they are" in shown

    with pyinfra.hurried():
        first = pyinfra.apply_with_diff(deploy, pc)
    assert first.results["kiosk"].changed == 1, first.output
    changes = pyinfra.work(pc)
    assert any(KEPT in each for each in changes)
    assert uploads(pyinfra, pc) == []

    second = pyinfra.apply(deploy, pc)
    assert second.results["kiosk"].unchanged == 1, second.output
    assert pyinfra.work(pc) == changes
    for ran in (dry, first, second):
        assert CANARY not in ran.output

    older = pyinfra.apply(present(files["older.ppkg"]), pc)
    assert older.code != 0
    assert "the PC has the newer version 1.0" in older.output

    gone = f"{HEAD}packages.absent(name='gone', id={ID.strip('{}').upper()!r})\n"
    dry = pyinfra.dry(gone, pc)
    assert "! a removal does not take back what 1 command did" in dry.block(pc, f"package Kiosk {ID}")
    assert pyinfra.apply(gone, pc).results["gone"].changed == 1
    assert pyinfra.apply(gone, pc).results["gone"].unchanged == 1


def test_whom_a_pc_trusts_is_changed_and_changed_back(pc: Host, pyinfra: Any, files: dict[str, str]) -> None:
    trust = f"{HEAD}packages.trusted_provisioner(name='trust', file={files['signer.cer']!r})\n"
    pem = trust.replace("signer.cer", "signer.pem")
    no_more = f"{HEAD}packages.trusted_provisioner(name='trust', thumbprint={THUMBPRINT.upper()!r}, present=False)\n"

    dry = pyinfra.dry(trust, pc)
    assert dry.pending == {"trust": 1}, dry.output
    assert pyinfra.work(pc) == []
    for deploy, again in ((trust, pem), (no_more, no_more)):
        assert pyinfra.apply(deploy, pc).results["trust"].changed == 1
        assert pyinfra.apply(again, pc).results["trust"].unchanged == 1
    assert uploads(pyinfra, pc) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("present(file={none.ppkg!r})", "is not a file of this computer"),
        ("present(file={text.txt!r})", "not a provisioning package"),
        ("present(file={secure.ppkg!r})", "encrypted"),
        ("present(file={tampered.ppkg!r})", "its file is not what was signed"),
        ("present(file={kiosk.ppkg!r}, version='1')", "says its own id, version and sha256"),
        ("present(id='x')", "name the package's file, or its id, version and sha256 together"),
        (f"present(id='{OTHER}', version='1', sha256='{'0' * 64}')", "names no file of it"),
        ("absent(id='kiosk')", "is not a package's id"),
        ("trusted_provisioner(file={text.txt!r})", "is not a certificate"),
        ("trusted_provisioner(thumbprint='12')", "is not a thumbprint"),
        ("trusted_provisioner()", "one of both"),
        (f"trusted_provisioner(thumbprint='{'0' * 40}')", "Windows needs the certificate"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_and_nothing_is_sent(
    pcs: Pcs, pyinfra: Any, files: dict[str, str], body: str, words: str
) -> None:
    pc = pcs("healthy")[-1]
    for name, path in files.items():
        body = body.replace(f"{{{name}!r}}", repr(path))

    ran = pyinfra.apply(f"{HEAD}packages.{body.replace('(', '(name=' + repr('it') + ', ', 1)}\n", pc)

    assert any(words in line for line in ran.lines(pc)), ran.output
    assert "Traceback" not in ran.output
    assert pyinfra.work(pc) == []


def test_policies_are_heeded_and_a_signer_can_be_trusted_in_the_same_run(
    pc: Host, fleet: LabProcess, pyinfra: Any, files: dict[str, str]
) -> None:
    fleet.set_registry(pc.name, SECURITY, "RequireProvisioningPackageSignature", 1, "REG_DWORD")
    before = pyinfra.work(pc)
    assert "this one is unsigned" in pyinfra.apply(present(files["kiosk.ppkg"]), pc).output
    assert "does not trust the signer" in pyinfra.apply(present(files["signed.ppkg"]), pc).output
    assert pyinfra.work(pc) == before

    lists = {
        "provmode_trusted_provisioners": [{"file": files["signer.cer"]}],
        "provmode_packages": [{"file": files["signed.ppkg"]}],
    }
    ran = pyinfra.apply(DEPLOY, pc, **lists)
    assert [result.changed for result in ran.results.values()] == [1, 1], ran.output
    again = pyinfra.apply(DEPLOY, pc, **lists)
    assert [result.unchanged for result in again.results.values()] == [1, 1], again.output

    fleet.set_registry(pc.name, SECURITY, "AllowAddProvisioningPackage", 0, "REG_DWORD")
    fleet.set_registry(pc.name, SECURITY, "AllowRemoveProvisioningPackage", 0, "REG_DWORD")
    assert "AllowAddProvisioningPackage" in pyinfra.apply(present(files["kiosk.ppkg"]), pc).output
    removal = f"{HEAD}packages.absent(name='gone', id={made('signed').id!r})\n"
    assert "AllowRemoveProvisioningPackage" in pyinfra.apply(removal, pc).output


def test_a_pc_at_work_is_not_touched(pcs: Pcs, pyinfra: Any, files: dict[str, str]) -> None:
    (busy,) = pcs("upgrade-running")
    ran = pyinfra.apply(present(files["kiosk.ppkg"]), busy)
    assert "the PC is at work" in ran.output
    assert pyinfra.work(busy) == []


def test_a_package_that_windows_refuses_fails_and_leaves_no_file(
    pc: Host, fleet: LabProcess, pyinfra: Any, files: dict[str, str]
) -> None:
    fleet.set_provisioning(pc.name, add=0x800700B7)
    ran = pyinfra.apply(present(files["kiosk.ppkg"]), pc)

    assert ran.code != 0
    assert "DISM refused it: 0x000000B7" in ran.output
    assert uploads(pyinfra, pc) == []


def test_a_pc_that_does_not_tell_what_it_has_is_left_alone(
    pc: Host, fleet: LabProcess, pyinfra: Any, files: dict[str, str]
) -> None:
    fleet.inject(pc.name, kind="access-denied", action="EnumKey", times=None)
    try:
        ran = pyinfra.apply(present(files["kiosk.ppkg"]), pc)
    finally:
        fleet.heal(pc.name)
    assert "the PC's packages could not be read" in ran.output
    assert pyinfra.work(pc) == []


def test_the_deploy_brings_a_pc_to_its_lists_in_order(pc: Host, pyinfra: Any, files: dict[str, str]) -> None:
    assert pyinfra.apply(present(files["signed.ppkg"]), pc).results["kiosk"].changed == 1
    lists = {
        "provmode_trusted_provisioners": [{"file": files["signer.cer"]}],
        "provmode_packages": [
            {"file": files["kiosk.ppkg"]},
            {"id": made("signed").id, "present": False},
        ],
    }
    dry = pyinfra.dry(DEPLOY, pc, **lists)
    names = [name.rpartition(" | ")[2] for name in dry.pending]
    assert [name.split(" ")[0] for name in names] == ["Trust", "No", "Package"], dry.output

    before = len(pyinfra.mutations(pc))
    with pyinfra.hurried():
        ran = pyinfra.apply(DEPLOY, pc, **lists)
    assert [result.changed for result in ran.results.values()] == [1, 1, 1], ran.output
    leases = [each for each in pyinfra.mutations(pc)[before:] if each.endswith((f"{NAME} made", f"{NAME} removed"))]
    assert [each.rpartition(" ")[2] for each in leases] == ["made", "removed"], "one lease for all three"
    changes = pyinfra.work(pc)
    again = pyinfra.apply(DEPLOY, pc, **lists)
    assert [result.unchanged for result in again.results.values()] == [1, 1, 1], again.output
    assert pyinfra.work(pc) == changes
    assert CANARY not in dry.output + ran.output + again.output


def test_the_deploy_leaves_a_host_alone_that_has_no_lists_or_none_that_can_be_used(
    pcs: Pcs, pyinfra: Any, files: dict[str, str]
) -> None:
    pc = pcs("healthy")[-1]
    assert "left alone: its data says nothing of packages" in pyinfra.apply(DEPLOY, pc).output
    ran = pyinfra.apply(DEPLOY, pc, provmode_packages=[{"file": files["kiosk.ppkg"], "versoin": "1"}])
    assert "left alone: data of " in ran.output
    with pyinfra.configured('[windows]\ngate = "/bin/true"\n'):
        held = pyinfra.apply(DEPLOY, pc, provmode_packages=[{"file": files["kiosk.ppkg"]}])
    assert held.code != 0
    assert "a gate, and pyinfra's runs do not ask it" in held.output
    assert pyinfra.work(pc) == []
