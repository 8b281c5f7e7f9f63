"""``provmode plan --packages``: what differs from what the inventory wants becomes steps, and the rest is said."""

from __future__ import annotations

import json
import os
import pickle
import runpy
from base64 import b64encode
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from provmode.ccm.policy import Policy
from provmode.errors import Unreachable
from provmode.fleet.packages.planning import Files, PackagesQuestion, wanted_of
from provmode.lab.packages import trust
from provmode.lab.packages.catalogue import CANARY, made, signer
from provmode.lab.packages.signer import self_signed
from provmode.lab.windows.store import HKLM, RegType
from provmode.remediation.packages import PackagesRead
from provmode.windows.files import MAX_SIZE

SCHEMAS = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "test_plan.py")))
"""What `test_plan.py` reads schemas with."""
CERTIFICATE = signer().certificate.public_bytes(Encoding.DER)
BASE = made("base").id
SETTLED = "its packages are as the inventory wants them"


def absent(name: str) -> dict[str, Any]:
    """Return how the inventory says that a package of the catalogue should not be there."""
    return {"id": made(name).id, "present": False}


def by_hash(name: str) -> dict[str, Any]:
    """Return how the inventory names a package without its file."""
    package = made(name)
    return {"id": package.id, "version": package.version, "sha256": package.sha256}


def kinds(host: dict[str, Any]) -> list[str]:
    """Return the kinds of a host's steps."""
    return [step["kind"] for step in host["steps"]]


def certificate(fleet: Any, name: str = "signer.cer", pem: bool = False) -> dict[str, Any]:
    """Write the signer's certificate; return how the inventory names it."""
    encoding = Encoding.PEM if pem else Encoding.DER
    (fleet.folder / name).write_bytes(signer().certificate.public_bytes(encoding))
    return {"file": name}


# -- what is planned --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "wanted", "steps", "left", "code"),
    [
        ("inbox", "base", ["package-add"], "", 2),
        ("applied", "base", [], SETTLED, 0),
        ("applied", "base-new", ["package-add"], "", 2),
        ("never-applied", "base", ["package-add"], "", 2),
        ("removable", "base", ["package-add"], "", 2),
        ("at-reset", "base", ["package-add"], "", 2),
        ("newer", "base-new", [], SETTLED, 0),
        ("newer", "base-old", [], "the PC has the newer version 1.10", 2),
        ("newer", "base", [], "the PC has the newer version 1.10", 2),
        ("failed", "join", [], "failed: 0x8007054B at Accounts/ComputerAccount; adding the same package again", 2),
        ("running", "apps", [], "it is there, and is still being applied", 2),
        ("forbidden", "oem", [], "a policy forbids adding packages (AllowAddProvisioningPackage)", 2),
        ("signed-trusted", "oem", [], "a policy requires signed packages (RequireProvisioningPackageSignature)", 2),
        ("signed-trusted", "signed", [], SETTLED, 0),
        ("unreadable", "base", ["package-add"], "", 2),
        ("inbox", "tampered", [], "its file is not what was signed", 2),
    ],
)
def test_a_pc_of_each_kind_is_brought_to_a_file_or_left_alone_with_the_reason(
    fleet: Any, kind: str, wanted: str, steps: list[str], left: str, code: int
) -> None:
    pc = fleet.pc(fleet.file(wanted), kind=kind)

    host = fleet.plan(code=code)["PC-1"]

    assert kinds(host) == steps
    assert left in host["left_alone"]
    assert bool(left) == bool(host["left_alone"])
    assert pc.changes == []


@pytest.mark.parametrize(
    ("kind", "wanted", "steps", "left", "code"),
    [
        ("applied", absent("base"), ["package-remove"], "", 2),
        ("newer", absent("base"), ["package-remove"], "", 2),
        ("inbox", absent("base"), [], SETTLED, 0),
        ("forbidden", absent("base"), [], "a policy forbids removing packages", 2),
        ("unreadable", absent("secure"), [], SETTLED, 0),
        ("applied", by_hash("base"), [], SETTLED, 0),
        ("newer", by_hash("base-old"), [], "the PC has the newer version 1.10", 2),
        ("running", by_hash("apps"), [], "still being applied", 2),
        ("failed", by_hash("join"), [], "failed: 0x8007054B", 2),
        ("never-applied", by_hash("base"), [], "the inventory names no file of it, so it cannot be added", 2),
        ("inbox", by_hash("base"), [], "the inventory names no file of it, so it cannot be added", 2),
    ],
)
def test_a_package_is_named_by_its_id_or_without_its_file(
    fleet: Any, kind: str, wanted: dict[str, Any], steps: list[str], left: str, code: int
) -> None:
    fleet.pc(wanted, kind=kind)

    host = fleet.plan(code=code)["PC-1"]

    assert kinds(host) == steps
    assert left in host["left_alone"]
    assert bool(left) == bool(host["left_alone"])


def test_trust_comes_first_then_removals_then_additions_as_the_inventory_has_them(fleet: Any) -> None:
    wanted = (fleet.file("kiosk"), absent("base"), fleet.file("signed"), fleet.file("oem"))
    fleet.pc(*wanted, kind="applied", trust=[certificate(fleet)])

    host = fleet.plan(code=2)["PC-1"]

    assert kinds(host) == ["trusted-provisioner", "package-remove", *["package-add"] * 3]
    assert [step["name"] for step in host["steps"][2:]] == ["Contoso Kiosk", "Contoso Signed", "Fabrikam Defaults"]


def test_packages_that_come_together_are_weighed_against_each_other(fleet: Any) -> None:
    fleet.pc(fleet.file("kiosk"), fleet.file("base"), fleet.file("rival"))

    kiosk, base, desk = fleet.plan(code=2)["PC-1"]["steps"]

    policy = "Start/HidePowerButton"
    assert policy in kiosk["wins"]
    assert policy not in base["wins"]
    assert any(f"! Policies/{policy}: its value would not hold: Contoso Kiosk 1.0 wins" in at for at in base["effects"])
    assert policy not in desk["wins"]
    assert "Experience/AllowCortana" in base["wins"]


def test_a_package_that_is_left_alone_is_not_weighed_against_those_that_come(fleet: Any) -> None:
    fleet.pc(fleet.file("tampered"), fleet.file("oem"))

    host = fleet.plan(code=2)["PC-1"]

    assert kinds(host) == ["package-add"]
    assert not [line for line in host["steps"][0]["effects"] if "Contoso Signed" in line]


def test_a_package_of_a_signer_that_is_trusted_by_the_same_plan_can_be_added(fleet: Any) -> None:
    other = self_signed()
    (fleet.folder / "other.cer").write_bytes(other.certificate.public_bytes(Encoding.DER))
    pc = fleet.pc(fleet.file("signed"), trust=[certificate(fleet)])
    stranger = fleet.pc(fleet.file("signed"), trust=[{"file": "other.cer"}])
    for each in (pc, stranger):
        fleet.policy(each, "RequireProvisioningPackageSignature", 1)

    found = fleet.plan(code=2)

    assert kinds(found["PC-1"]) == ["trusted-provisioner", "package-add"]
    assert kinds(found["PC-2"]) == ["trusted-provisioner"]
    (finding,) = found["PC-2"]["findings"]
    assert finding["code"] == "package-left"
    assert "does not trust the signer of this one" in finding["text"]


def test_certificates_are_trusted_and_trusted_no_more(fleet: Any) -> None:
    thumbprint = signer().thumbprint.lower()
    fleet.pc(trust=[certificate(fleet)])
    fleet.pc(trust=[certificate(fleet, "signer.pem", pem=True)])
    fleet.pc(trust=[certificate(fleet)], kind="signed-trusted")
    fleet.pc(trust=[{"thumbprint": thumbprint.upper(), "present": False}], kind="signed-trusted")
    fleet.pc(trust=[{**certificate(fleet), "present": False}], kind="signed-trusted")
    fleet.pc(trust=[{"thumbprint": thumbprint, "present": False}])

    found = fleet.plan(code=2)

    steps = [host["steps"][0] if host["steps"] else None for host in found.values()]
    assert steps[0] == steps[1]
    assert steps[0]["certificate"] == b64encode(CERTIFICATE).decode()
    assert (steps[0]["thumbprint"], steps[0]["present"]) == (thumbprint, True)
    assert (steps[2], steps[5]) == (None, None)
    assert [(each["present"], bool(each["certificate"])) for each in steps[3:5]] == [(False, False), (False, True)]


def test_hosts_whose_data_says_nothing_of_packages_are_left_alone_and_not_looked_at(fleet: Any) -> None:
    pc, other = fleet.pc(fleet.file("base")), fleet.pc()

    found = fleet.plan(code=2)

    assert found["PC-2"]["left_alone"] == "the inventory does not say which packages it should have"
    assert (pc.actions.count("Command"), other.actions.count("Command")) == (2, 1)


def test_what_is_the_same_on_pcs_is_read_once(fleet: Any) -> None:
    pcs = [fleet.pc(fleet.file("kiosk"), kind="applied") for _ in range(4)]

    fleet.plan(code=2)

    commands = [pc.actions.count("Command") for pc in pcs]
    assert commands == [3, 2, 2, 2], "the one package that is no file here is read on one of them"


# -- words ------------------------------------------------------------------------------------------------------------


def test_what_a_plan_leaves_alone_is_said_once_also_of_a_host_that_it_changes(fleet: Any) -> None:
    fleet.pc(fleet.file("base-old"), fleet.file("kiosk"), kind="newer")
    fleet.pc(fleet.file("base-old"), kind="newer")

    fleet.plan(code=2)
    planned = fleet.commands.run("plan", fleet.inventory, "--packages")
    shown = fleet.commands.run("show", "plan.json")

    for text in (planned.out, shown.out):
        assert "stays all the same\n  PC-1: Contoso Base 1.1: the PC has the newer version 1.10" in text
        assert text.count("the PC has the newer version 1.10") == 2
        assert "2 hosts: 1 to change, 1 left alone" in text
    assert "(what Contoso Kiosk changes)" in planned.out


def test_a_plan_is_what_its_schema_says_and_is_read_again(fleet: Any) -> None:
    fleet.pc(fleet.file("signed"), absent("base"), kind="applied", trust=[certificate(fleet)])
    fleet.pc(kind="forbidden")
    fleet.pc(fleet.file("base")).error = Unreachable("off")

    fleet.plan()

    document = json.loads((fleet.folder / "plan.json").read_text())
    assert SCHEMAS.misfits(SCHEMAS.SCHEMA, document) == []
    assert fleet.commands.run("show", "plan.json").code == 0


# -- exit codes -------------------------------------------------------------------------------------------------------


def test_what_could_not_be_looked_at_is_not_called_in_order(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("base"), kind="applied")
    pc.refuse("certutil", times=None)

    host = fleet.plan(code=8)["PC-1"]

    assert host["left_alone"].startswith("its packages could not be looked at: ")
    assert host["steps"] == []


@pytest.mark.parametrize("about", ["--packages", "--remove-traces"])
def test_a_pc_that_does_not_tell_what_runs_there_is_not_called_in_order(fleet: Any, about: str) -> None:
    pc = fleet.pc(fleet.file("base"), kind="applied")
    pc.refuse("FROM Win32_Process", times=None)

    ran = fleet.commands.run("plan", fleet.inventory, about)

    assert ran.code == 8, ran.out
    assert "could not be looked at: could not tell whether a task sequence or an upgrade runs" in ran.out


def test_traces_that_could_not_be_looked_for_are_not_called_gone(fleet: Any) -> None:
    fleet.pc(fleet.file("base")).refuse("systemprofile", times=None)

    ran = fleet.commands.run("plan", fleet.inventory, "--remove-traces")

    assert (ran.code, "could not look for files: " in ran.out) == (8, True), ran.out


def test_a_pc_that_allows_no_shells_is_the_operators_to_mend(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("base"))
    for words in ("/shell/Command", "transfer/Create"):
        pc.refuse(words, kind="fault", times=None, code=0x803381AC, text="no shells")

    host = fleet.plan(code=4)["PC-1"]

    assert (host["verdict"], host["cause"], host["steps"]) == ("unassessed", "shells-forbidden", [])


def test_a_pc_that_is_away_is_code_8_and_another_that_is_to_be_changed_is_code_2(fleet: Any) -> None:
    fleet.pc(fleet.file("base"), kind="applied").error = Unreachable("off")
    fleet.plan(code=8)
    fleet.pc(fleet.file("base"))
    fleet.plan(code=2)


def test_the_state_of_the_client_does_not_count(fleet: Any) -> None:
    fleet.pc(fleet.file("base"), kind="applied", persona="stuck-old-client")
    fleet.pc(fleet.file("base"), kind="applied", persona="client-broken")

    found = fleet.plan(code=0)

    assert [host["left_alone"] for host in found.values()] == [SETTLED] * 2


# -- PCs at work ------------------------------------------------------------------------------------------------------


def test_a_pc_at_work_is_not_planned_for(fleet: Any) -> None:
    pc = fleet.pc(fleet.file("base"))
    pc.machine.processes.start("TSManager.exe", "C:\\Windows\\CCM\\TSManager.exe", fleet.bench.now())
    setup = fleet.pc(fleet.file("base"))
    setup.machine.registry.set(HKLM, "SYSTEM\\Setup", "OOBEInProgress", RegType.DWORD, 1)

    found = fleet.plan(code=0)

    assert "TSManager.exe running: at work now" in found["PC-1"]["left_alone"]
    assert "Windows Setup in progress: at work now" in found["PC-2"]["left_alone"]
    assert [each.actions.count("Command") for each in (pc, setup)] == [1, 1], "no look at packages"


# -- data and files that cannot be used -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"provmode_packages": "kiosk.ppkg"}, "is not a list"),
        ({"provmode_packages": [{"file": "x", "vesrion": "1"}]}, "'vesrion' is not one of"),
        ({"provmode_packages": [{"id": "kiosk", "present": False}]}, "is not a package's id"),
        ({"provmode_packages": [absent("base"), absent("base")]}, "is there twice"),
        ({"provmode_packages": [{"file": "a.ppkg"}, absent("base")]}, f"names the package {BASE} twice"),
        ({"provmode_packages": [{"file": "a.ppkg"}, {"file": "./a.ppkg"}]}, f"names the package {BASE} twice"),
        ({"provmode_packages": [{"file": "a.ppkg"}, {"file": "b.ppkg"}]}, f"names the package {BASE} twice"),
        ({"provmode_trusted_provisioners": [{"thumbprint": "ab" * 20}]}, "without its file"),
        (
            {"provmode_trusted_provisioners": [{"file": "a.cer"}, {"file": "a.pem", "present": False}]},
            f"names the certificate {signer().thumbprint.lower()} twice",
        ),
        (
            {
                "provmode_trusted_provisioners": [
                    {"file": "a.cer"},
                    {"thumbprint": signer().thumbprint, "present": False},
                ]
            },
            f"names the certificate {signer().thumbprint.lower()} twice",
        ),
    ],
)
def test_data_that_cannot_be_used_names_the_host_in_one_line(fleet: Any, data: dict[str, Any], words: str) -> None:
    fleet.file("base", "a.ppkg")
    fleet.file("base-old", "b.ppkg")
    certificate(fleet, "a.cer")
    certificate(fleet, "a.pem", pem=True)
    fleet.pc(fleet.file("base"))
    fleet.pc(**data)

    why = fleet.refused()

    assert "data of PC-2: " in why
    assert words in why


@pytest.mark.parametrize("field", ["packages", "trusted_provisioners"])
@pytest.mark.parametrize("what", ["missing", "folder", "pipe", "device", "unreadable", "nul"])
def test_what_is_not_a_file_is_refused_by_its_name(fleet: Any, what: str, field: str) -> None:
    path = fleet.folder / "it.ppkg"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "unreadable":
        path.symlink_to(path)  # root reads whatever it may: a circle it cannot
    elif what == "nul":
        path = Path("it.ppkg\0")
    fleet.pc(**{f"provmode_{field}": [{"file": str(path)}]})

    assert "it.ppkg" in fleet.refused()


@pytest.mark.parametrize("data", [b"", b"MZ", b"PK\x03\x04" + bytes(400), b"MSWIM\0\0\0" + bytes(300)])
def test_what_is_no_package_is_refused_by_its_name(fleet: Any, data: bytes) -> None:
    (fleet.folder / "it.ppkg").write_bytes(data)
    fleet.pc({"file": "it.ppkg"})
    assert "it.ppkg" in fleet.refused()


def test_an_encrypted_package_and_one_without_an_id_are_refused_by_name(fleet: Any, made: Any) -> None:
    fleet.pc(fleet.file("secure", "locked.ppkg"))
    assert "locked.ppkg" in fleet.refused()
    fleet.data["PC-1"] = {"provmode_packages": [fleet.file(made(id="kiosk"), "nameless.ppkg")]}
    why = fleet.refused()
    assert "nameless.ppkg: its id 'kiosk' is not one that Windows gives" in why


def test_a_file_that_is_too_large_is_refused_without_being_read(fleet: Any) -> None:
    path = fleet.folder / "large.ppkg"
    path.write_bytes(b"MSWIM\0\0\0")
    os.truncate(path, 1 << 42)
    fleet.pc({"file": "large.ppkg"})
    assert f"large.ppkg has {1 << 42:,} bytes, and over {MAX_SIZE:,} are not put on a PC" in fleet.refused()


@pytest.mark.parametrize("data", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\x30\x82"])
def test_what_is_no_certificate_is_refused_by_its_name(fleet: Any, data: bytes) -> None:
    (fleet.folder / "it.cer").write_bytes(data)
    fleet.pc(trust=[{"file": "it.cer"}])
    assert "it.cer is not a certificate (DER or PEM)" in fleet.refused()


def test_a_certificate_that_no_plan_could_hold_is_refused_by_its_name(fleet: Any) -> None:
    large = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.311.99.1"), bytes(20_000))
    other = self_signed()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(other.certificate.subject)
        .issuer_name(other.certificate.subject)
        .public_key(other.key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2025, 1, 1, tzinfo=timezone.utc))
        .not_valid_after(datetime(2035, 1, 1, tzinfo=timezone.utc))
        .add_extension(large, critical=False)
        .sign(other.key, other.certificate.signature_hash_algorithm)
    )
    (fleet.folder / "it.cer").write_bytes(certificate.public_bytes(Encoding.DER))
    fleet.pc(trust=[{"file": "it.cer"}])
    assert "it.cer: the certificate is too large" in fleet.refused()


def test_an_inventory_that_wants_nothing_is_refused(fleet: Any) -> None:
    fleet.pc()
    assert "no host of fleet.py says which packages it should have; write provmode_packages" in fleet.refused()


def test_a_plan_is_about_packages_or_about_traces(fleet: Any) -> None:
    fleet.pc(fleet.file("base"))
    assert "a plan is about packages or about traces" in fleet.refused("--remove-traces")


# -- which hosts ------------------------------------------------------------------------------------------------------


def test_only_chosen_hosts_are_looked_at_and_only_their_files_read(fleet: Any) -> None:
    fleet.pc(fleet.file("base"))
    other = fleet.pc({"file": "gone.ppkg"})

    assert list(fleet.plan("--limit", "PC-1", code=2)) == ["PC-1"]
    assert list(fleet.plan("--exclude", "PC-2", code=2)) == ["PC-1"]
    assert other.actions == []
    assert "gone.ppkg" in fleet.refused("--limit", "PC-2")


def test_two_hosts_that_are_one_pc_are_changed_once(fleet: Any) -> None:
    first, second = fleet.pc(fleet.file("base")), fleet.pc(fleet.file("base"))
    second.machine = first.machine
    second.service = first.service

    found = fleet.plan(code=2)

    assert kinds(found["PC-1"]) == ["package-add"]
    assert found["PC-2"]["left_alone"] == "the same PC as PC-1, which the plan changes"


def test_what_waivers_hold_is_left_alone(fleet: Any) -> None:
    fleet.pc(fleet.file("base"))
    fleet.pc(fleet.file("base-old"), kind="newer")
    (fleet.folder / "waivers.toml").write_text(
        'zone = "Europe/Berlin"\n[[waiver]]\nowner = "Anna"\nreason = "known"\nticket = "CHG1"\n'
        'created = 2026-11-20\nexpires = 2026-12-31\nhosts = "PC-*"\neffect = "hold"\n'
    )

    found = fleet.plan("--waivers", "waivers.toml", code=0)

    assert [host["steps"] for host in found.values()] == [[], []]
    assert all("CHG1" in host["left_alone"] for host in found.values())


# -- several processes, and languages ---------------------------------------------------------------------------------


def test_the_question_can_be_sent_to_a_worker(fleet: Any) -> None:
    fleet.pc(fleet.file("join"), trust=[certificate(fleet)])
    data = fleet.data["PC-1"]
    files = Files()
    wanted = wanted_of(SimpleNamespace(data_of=lambda name: data), "@winrm/PC-1", files)  # type: ignore[arg-type]
    read = PackagesRead({each.sha256: each.package for each in files.packages})
    question = PackagesQuestion({"@winrm/PC-1": wanted}, read)

    sent = pickle.dumps(question)
    session = fleet.bench.pcs["PC-1"].session()
    answered = pickle.loads(sent).ask(session, "@winrm/PC-1", Policy(), fleet.bench.now)
    session.close()

    assert CANARY.encode() not in sent, "what is sent holds no secret of a package"
    assert [step.kind for step in answered.remediation.steps] == ["trusted-provisioner", "package-add"]


@pytest.mark.parametrize("german", [False, True])
def test_the_language_of_a_pc_does_not_matter(fleet: Any, german: bool) -> None:
    pc = fleet.pc(fleet.file("base"), absent("kiosk"), kind="conflict")
    pc.machine.german = german

    host = fleet.plan(code=2)["PC-1"]

    assert kinds(host) == ["package-remove"]
    assert trust.trusted(pc.machine.registry) == {}
