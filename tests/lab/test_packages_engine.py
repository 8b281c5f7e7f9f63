"""What provisioning does on a lab PC: adding, applying, precedence, refusals, removing."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from provmode.lab.packages import traces, trust
from provmode.lab.packages.catalogue import made, signer
from provmode.lab.packages.engine import IMAGE, KEPT, Engine, Faults
from provmode.lab.packages.reader import Unreadable, read
from provmode.lab.packages.signer import self_signed, signed
from provmode.lab.packages.writer import (
    Asset,
    Condition,
    Description,
    Setting,
    Variant,
    command,
    package,
    package_files,
)
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC
from provmode.lab.windows.provisioning import PENDING, ProvisioningFailed
from provmode.lab.windows.store import HKLM, RegType

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
ID = "{a1b2c3d4-0000-4000-8000-000000000001}"
OTHER = "{a1b2c3d4-0000-4000-8000-000000000002}"
AREA = f"{traces.POLICIES}\\current\\device\\Start"


@pytest.fixture
def pc() -> PC:
    made_pc = PC("PC-1", Clock(START, lambda: 0.0))
    made_pc.packages = Engine()
    made_pc.start_recording()
    return made_pc


def engine(pc: PC) -> Engine:
    assert isinstance(pc.packages, Engine)
    return pc.packages


def pins(value: str = "1", identity: str = ID, **more: Any) -> Description:
    return Description(identity, more.pop("name", "Pins"), settings=[Setting("Policies/Start/Pins", value)], **more)


def add(pc: PC, description: Description | bytes, file: str = "a b & c.ppkg", **how: Any) -> Any:
    data = description if isinstance(description, bytes) else package(description)
    pc.files.write(f"C:\\Share\\{file}", data, START)
    return engine(pc).add(pc, f"C:\\Share\\{file}", **how)


def refusal(pc: PC, description: Description | bytes) -> int:
    before = [item for item in pc.mutations if not item.what.startswith("file C:\\Share")]
    with pytest.raises(ProvisioningFailed) as raised:
        add(pc, description)
    assert [item for item in pc.mutations if not item.what.startswith("file C:\\Share")] == before
    assert engine(pc).installed(pc) == []
    return raised.value.code


def value(pc: PC, key: str, name: str) -> Any:
    found = pc.registry.get(HKLM, key, name)
    return None if found is None else found.data


def result(pc: PC, identity: str, xml: str, name: str) -> Any:
    return value(pc, traces.results_key(identity, "RunTime", xml), name)


def events(pc: PC) -> list[int]:
    found = pc.events.read(traces.CHANNEL)
    assert found is not None
    return [event.number for event in found[1]]


def policy(pc: PC, name: str) -> None:
    pc.registry.set(HKLM, traces.SECURITY, name, RegType.DWORD, 0 if name.startswith("Allow") else 1)


# -- adding -----------------------------------------------------------------------------------------------------


def test_adding_keeps_the_file_applies_the_setting_and_leaves_the_traces(pc: PC) -> None:
    added = add(pc, pins("1"))

    kept = f"{KEPT}\\a b & c.ppkg"
    assert pc.files.read(kept) == package(pins("1"))
    assert (added.installed, added.path, added.id, added.altitude) == (True, kept, ID, 5000)
    assert value(pc, AREA, "Pins") == 1
    assert value(pc, AREA, "Pins_ProviderSet") == 1
    assert value(pc, AREA, "Pins_WinningProvider") == ID.strip("{}")
    wanted = f"{traces.POLICIES}\\providers\\{ID.strip('{}')}\\default\\Device\\Start"
    assert (value(pc, wanted, "Pins"), value(pc, wanted, "Pins_LastWrite")) == (1, 1)
    assert value(pc, traces.results_key(ID), "PackageFileName") == "a b & c.ppkg"
    xml = "0__Policies_Start_Pins.provxml"
    found = {
        name: result(pc, ID, xml, name) for name in ("Categories", "LastResult", "NumFailures", "State", "Message")
    }
    assert found == {
        "Categories": ("Policies",),
        "LastResult": 0,
        "NumFailures": 0,
        "State": 3,
        "Message": "Provisioning succeeded",
    }
    assert result(pc, ID, xml, "FailingNodePath") is None
    assert pc.registry.key_exists(HKLM, f"{traces.KEY}\\PackageInfo\\{ID}")
    assert pc.registry.key_exists(HKLM, f"{traces.CACHED}\\{ID}")
    assert events(pc) == [60, 20, 10, 11, 21, 61]


def test_text_is_written_as_text_and_a_number_as_a_number(pc: PC) -> None:
    add(pc, pins('{"pinnedList":[]}'))

    found = pc.registry.get(HKLM, AREA, "Pins")
    assert found is not None
    assert (found.type, found.data) == (RegType.SZ, '{"pinnedList":[]}')


def test_a_package_that_was_applied_is_not_applied_again_and_nothing_is_said(pc: PC) -> None:
    add(pc, pins("1"))
    pc.registry.set(HKLM, AREA, "Pins", RegType.DWORD, 9)
    pc.files.delete(f"{KEPT}\\a b & c.ppkg")

    assert add(pc, pins("2")).installed
    assert value(pc, AREA, "Pins") == 9
    assert pc.files.get(f"{KEPT}\\a b & c.ppkg") is None
    assert events(pc)[6:] == [60, 23, 61]

    add(pc, pins("2"), force=True)
    assert value(pc, AREA, "Pins") == 2


def test_once_the_kept_state_is_gone_it_is_applied_again(pc: PC) -> None:
    add(pc, pins("1"))
    traces.remove_tree(pc.registry, f"{traces.CACHED}\\{ID}")

    add(pc, pins("2"))

    assert value(pc, AREA, "Pins") == 2


@pytest.mark.parametrize(
    ("first", "second", "is_applied"),
    [("1.0", "1.1", True), ("1.9", "1.10", True), ("1.10", "1.9", False), ("1.0", "1.00", False), ("2", "1.9", False)],
)
def test_a_newer_version_is_an_update_and_an_older_one_is_nothing(
    pc: PC, first: str, second: str, is_applied: bool
) -> None:
    add(pc, pins("1", version=first), "first.ppkg")

    add(pc, pins("2", version=second), "second.ppkg")

    assert value(pc, AREA, "Pins") == (2 if is_applied else 1)
    assert [each.version for each in engine(pc).installed(pc)] == [second if is_applied else first]
    assert pc.files.listdir(KEPT) == (["first.ppkg", "second.ppkg"] if is_applied else ["first.ppkg"])


def test_a_package_in_the_image_is_applied_from_there_and_stays_when_it_is_removed(pc: PC) -> None:
    path = f"{IMAGE}\\oem.ppkg"
    pc.files.write(path, package(pins("1", owner="OEM")), START)

    assert engine(pc).add(pc, path).path == path
    assert pc.files.listdir(KEPT) is None
    engine(pc).remove(pc, ID)
    assert pc.files.get(path) is not None


def test_in_setup_the_package_of_oobe_is_noted(pc: PC) -> None:
    pc.registry.set(HKLM, "SYSTEM\\Setup", "OOBEInProgress", RegType.DWORD, 1)

    add(pc, pins())

    assert value(pc, f"{traces.KEY}\\OOBEPackage", "PackageId") == ID


def test_conditions_and_stages_of_others_are_not_applied(pc: PC) -> None:
    carrier = [Variant("Carrier", [[Condition("Mcc", "311")]], [Setting("Policies/Start/Pins", "3")])]
    user = [Setting("Policies/Start/Colour", "4", stage="User_RunTime")]

    add(pc, Description(ID, "x", settings=user, variants=carrier))

    assert pc.registry.values(HKLM, AREA) is None
    assert pc.registry.subkeys(HKLM, traces.results_key(ID)) == []


# -- precedence -------------------------------------------------------------------------------------------------


RANKINGS = [
    (("ITAdmin", 0), ("OEM", 99), 0),
    (("OEM", 99), ("ITAdmin", 0), 1),
    (("ITAdmin", 7), ("ITAdmin", 0), 0),
    (("ITAdmin", 0), ("ITAdmin", 7), 1),
    (("SystemIntegrator", 0), ("MobileOperator", 0), 1),
    (("ITAdmin", 0), ("ITAdmin", 0), 1),
]


@pytest.mark.parametrize(("first", "second", "winner"), RANKINGS)
def test_owner_then_rank_decides_whose_value_holds(
    pc: PC, first: tuple[str, int], second: tuple[str, int], winner: int
) -> None:
    add(pc, pins("10", owner=first[0], rank=first[1]), "a.ppkg")
    add(pc, pins("20", OTHER, owner=second[0], rank=second[1]), "b.ppkg")

    assert value(pc, AREA, "Pins") == (10, 20)[winner]
    assert value(pc, AREA, "Pins_WinningProvider") == (ID, OTHER)[winner].strip("{}")
    for identity, wanted in ((ID, 10), (OTHER, 20)):
        key = f"{traces.POLICIES}\\providers\\{identity.strip('{}')}\\default\\Device\\Start"
        assert value(pc, key, "Pins") == wanted, "what each wants is there, whoever wins"


def test_the_value_of_another_provider_stays(pc: PC) -> None:
    traces.set_policy(pc.registry, "11111111-0000-4000-8000-000000000001", "Start", "Pins", "5", is_number=True)

    add(pc, pins("1", rank=99))

    assert value(pc, AREA, "Pins") == 5
    assert value(pc, AREA, "Pins_WinningProvider") == "11111111-0000-4000-8000-000000000001"


# -- commands ---------------------------------------------------------------------------------------------------


def apps(**more: Any) -> Description:
    script = Asset("ProvisioningCommands/DeviceContext/CommandFiles", "install.cmd", b"echo")
    settings = [*command("a", "cmd /c install.cmd", file="install.cmd"), *command("b", "cmd /c ver", number=1)]
    return Description(ID, "Apps", settings=[Setting("Policies/Start/Pins", "1"), *settings], assets=[script], **more)


def test_commands_run_one_after_the_other_behind_the_program_that_added(pc: PC) -> None:
    first, second = (
        f"{number}__ProvisioningCommands_PrimaryContext_Command_{n}_CommandLine.provxml"
        for number, n in ((1, 0), (3, 1))
    )
    state = f"{traces.KEY}\\CommandResults\\PrimaryContext\\{ID}"

    add(pc, apps())

    assert value(pc, AREA, "Pins") == 1, "settings are there at once"
    assert [value(pc, f"{state}\\{number}", "State") for number in (0, 1)] == [1, 1]
    assert [result(pc, ID, xml, "LastResult") for xml in (first, second)] == [PENDING, PENDING]
    assert result(pc, ID, first, "State") == 2
    assert not pc.registry.key_exists(HKLM, f"{traces.CACHED}\\{ID}")
    assert 21 not in events(pc)
    assert pc.files.read(f"{KEPT}\\AssetCache\\{ID}\\install.cmd") == b"echo"

    pc.advance(20)
    assert [value(pc, f"{state}\\{number}", "State") for number in (0, 1)] == [2, 1]
    assert [result(pc, ID, xml, "LastResult") for xml in (first, second)] == [0, PENDING]

    pc.advance(20)
    assert [value(pc, f"{state}\\{number}", "State") for number in (0, 1)] == [2, 2]
    assert [result(pc, ID, xml, "State") for xml in (first, second)] == [3, 3]
    assert pc.registry.key_exists(HKLM, f"{traces.CACHED}\\{ID}")
    assert events(pc)[-1] == 21
    assert pc.mutations[-1].road == "self"


def test_a_package_that_is_removed_while_its_commands_run_leaves_no_more_traces(pc: PC) -> None:
    add(pc, apps())
    engine(pc).remove(pc, ID)

    pc.advance(60)

    assert not pc.registry.key_exists(HKLM, traces.results_key(ID))
    assert 21 not in events(pc)


# -- what goes wrong --------------------------------------------------------------------------------------------


def test_a_failed_category_is_told_with_its_node_and_the_rest_is_applied(pc: PC) -> None:
    engine(pc).faults = Faults(categories={"Accounts": (0x8007054B, "Accounts/ComputerAccount")})
    settings = [Setting("Accounts/ComputerAccount/DomainName", "x.example"), Setting("Policies/Start/Pins", "1")]
    description, xml = Description(ID, "Join", settings=settings), "0__Accounts_ComputerAccount_DomainName.provxml"

    add(pc, description)

    names = ("LastResult", "NumFailures", "FailingNodePath", "FailingCategory", "State")
    assert [result(pc, ID, xml, name) for name in names] == [0x8007054B, 1, "Accounts/ComputerAccount", "Accounts", 3]
    assert value(pc, AREA, "Pins") == 1
    assert events(pc) == [60, 20, 10, 12, 10, 11, 22, 61]
    found = pc.events.read(traces.CHANNEL)
    assert found is not None
    assert found[1][3].data == {"Category": "Accounts", "HRESULT": "0x8007054b", "NodePath": "Accounts/ComputerAccount"}

    add(pc, description)
    assert result(pc, ID, xml, "NumFailures") == 2, "what failed is tried again"


def test_power_settings_fail_once_windows_is_set_up(pc: PC) -> None:
    description = Description(ID, "Power", settings=[Setting("Power/Policy/Settings/Sleep", "1")])

    add(pc, description)

    assert result(pc, ID, "0__Power_Policy_Settings_Sleep.provxml", "LastResult") == 0xC0000061


@pytest.mark.parametrize("code", [0x800700B7, 0x80070005, 0x80070002])
def test_a_pc_can_refuse_every_package(pc: PC, code: int) -> None:
    engine(pc).faults = Faults(add=code)

    assert refusal(pc, pins()) == code
    assert events(pc) == [60, 62]


def test_a_policy_forbids_adding(pc: PC) -> None:
    policy(pc, "AllowAddProvisioningPackage")

    assert refusal(pc, pins()) == 0x80070005


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: package(pins()), 0x800B0100),
        (lambda: signed(package(pins()), self_signed("Somebody")), 0x800B0109),
    ],
)
def test_where_a_signature_is_required_it_has_to_be_of_one_who_is_trusted(
    pc: PC, make: Callable[[], bytes], code: int
) -> None:
    policy(pc, "RequireProvisioningPackageSignature")
    trust.trust(pc.registry, signer().certificate)

    assert refusal(pc, make()) == code
    assert add(pc, signed(package(pins()), signer()), "good.ppkg").installed


@pytest.mark.parametrize("required", [False, True])
def test_a_changed_package_is_refused_in_any_case(pc: PC, required: bool) -> None:
    if required:
        policy(pc, "RequireProvisioningPackageSignature")
    data = made("tampered").data

    assert read(data).id == made("signed").id, "it can be read"
    assert refusal(pc, data) == 0x80096010
    assert refusal(pc, made("signed").data[:-100]) == 0x80096010


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 0x8007000D),
        (b"PK\x03\x04" + bytes(300), 0x8007000D),
        (b"MSWIM\0\0\0" + bytes(300), 0x8007000D),
        (package(pins())[:1000], 0x8007000D),
        (made("secure").data, 0x80070056),
    ],
)
def test_what_is_no_package_that_can_be_read_is_refused(pc: PC, data: bytes, code: int) -> None:
    assert refusal(pc, data) == code


@pytest.mark.parametrize(
    ("path", "code"),
    [("C:\\Share\\none.ppkg", 0x80070002), ("C:\\None\\a.ppkg", 0x80070003), ("C:\\Kept\\a.ppkg", 0x80070005)],
)
def test_a_file_that_cannot_be_read_is_told(pc: PC, path: str, code: int) -> None:
    pc.files.write("C:\\Share\\a.txt", b"", START)
    pc.files.write("C:\\Kept\\a.ppkg", package(pins()), START)
    pc.protected = ("c:\\kept\\",)

    with pytest.raises(ProvisioningFailed) as raised:
        engine(pc).add(pc, path)

    assert raised.value.code == code


# -- removing ---------------------------------------------------------------------------------------------------


def test_removing_deletes_the_kept_files_and_reverts_only_what_can_be(pc: PC) -> None:
    wlan = "ConnectivityProfiles/WLAN/WLANSetting/WLANConfig[SSID=x]/WLANXmlSettings/SecurityType"
    settings = [Setting("Policies/Start/Pins", "1"), Setting(wlan, "Open")]
    add(pc, Description(ID, "x", settings=settings), "one.ppkg")
    add(pc, Description(ID, "x", "1.1", settings=settings), "two.ppkg")
    add(pc, pins("3", OTHER, owner="OEM"), "other.ppkg")
    tracked = f"{traces.TRACKED}\\{ID.strip('{}')}"
    assert pc.registry.key_exists(HKLM, tracked)

    gone = engine(pc).remove(pc, ID.strip("{}").upper())

    assert (gone.id, gone.installed) == (ID, False)
    assert pc.files.listdir(KEPT) == ["other.ppkg"]
    assert not pc.registry.key_exists(HKLM, tracked)
    assert not pc.registry.key_exists(HKLM, f"{traces.KEY}\\PackageInfo\\{ID}")
    assert not pc.registry.key_exists(HKLM, traces.results_key(ID))
    assert value(pc, AREA, "Pins") == 1, "a policy stays"
    assert value(pc, AREA, "Pins_WinningProvider") == ID.strip("{}")
    assert pc.registry.key_exists(HKLM, f"{traces.CACHED}\\{ID}"), "that it was applied stays known"
    assert events(pc)[-2:] == [63, 64]
    assert [each.id for each in engine(pc).installed(pc)] == [OTHER]


def test_a_value_that_a_removed_package_left_is_in_nobodys_way(pc: PC) -> None:
    add(pc, pins("1", rank=9), "a.ppkg")
    engine(pc).remove(pc, ID)

    add(pc, pins("2", OTHER, owner="OEM"), "b.ppkg")

    assert value(pc, AREA, "Pins") == 2


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (lambda pc: engine(pc).remove(pc, ID), 0x80070490),
        (lambda pc: policy(pc, "AllowRemoveProvisioningPackage"), 0x80070005),
        (lambda pc: setattr(engine(pc), "faults", Faults(remove=0x80070020)), 0x80070020),
    ],
)
def test_what_cannot_be_removed_stays(pc: PC, prepare: Callable[[PC], object], code: int) -> None:
    add(pc, pins())
    prepare(pc)
    before = list(pc.mutations)

    with pytest.raises(ProvisioningFailed) as raised:
        engine(pc).remove(pc, ID)

    assert (raised.value.code, events(pc)[-1]) == (code, 65)
    assert pc.mutations == before


# -- trust ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [serialization.Encoding.DER, serialization.Encoding.PEM])
def test_a_certificate_is_kept_as_windows_keeps_certificates(pc: PC, encoding: serialization.Encoding) -> None:
    certificate = signer().certificate
    der = certificate.public_bytes(serialization.Encoding.DER)
    pc.files.write("C:\\signer.cer", certificate.public_bytes(encoding), START)

    name = engine(pc).trust(pc, "C:\\signer.cer")

    assert name == hashlib.sha1(der, usedforsecurity=False).hexdigest().upper() == signer().thumbprint
    kept = value(pc, f"{traces.KEY}\\TrustedProvisioners\\Certificates\\{name}", "Blob")
    assert kept.endswith(len(der).to_bytes(4, "little") + der)
    assert engine(pc).trusted(pc) == {name: der}
    engine(pc).distrust(pc, name.lower())
    assert engine(pc).trusted(pc) == {}
    with pytest.raises(ProvisioningFailed):
        engine(pc).distrust(pc, name)


# -- reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elliptic", [False, True])
def test_a_signature_is_known_and_every_changed_byte_of_it_is_noticed(elliptic: bool) -> None:
    who = self_signed("x", elliptic=elliptic)
    data = signed(package(pins()), who)

    found = trust.signature_of(data)

    assert found is not None
    assert (found.intact, found.thumbprint) == (True, who.thumbprint)
    assert trust.signature_of(package(pins())) is None
    for at in range(0, len(data) - 1, 97):
        if 180 <= at < 196 or at < 8:
            continue  # where the signature is
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            other = trust.signature_of(changed)
        except ValueError:
            continue
        assert other is None or not other.intact or at > len(package(pins())), at


def outcome(data: bytes) -> str:
    try:
        return read(data).name
    except Unreadable as error:
        return f"0x{error.code:08x}"


def test_a_damaged_package_is_unreadable_or_is_read_and_nothing_else_happens() -> None:
    data = package(apps())
    changed = [data[:at] for at in range(8, len(data), 53)]
    changed += [data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :] for at in range(8, len(data), 29)]

    outcomes = {outcome(each) for each in changed}

    assert "0x8007000d" in outcomes
    assert outcomes <= {"Apps", "0x8007000d", "0x80004001"}


def test_a_document_type_in_a_package_is_refused() -> None:
    path = "Multivariant/0/customizations.xml"
    source = package_files(pins())[path]
    assert isinstance(source, bytes)
    head, mark, rest = source.partition(b"<WindowsCustomizations>")
    typed = head + b"<!DOCTYPE WindowsCustomizations>" + mark + rest

    assert outcome(package(pins(files={path: source}))) == "Pins"
    assert outcome(package(pins(files={path: typed}))) == "0x8007000d"


def test_a_file_that_is_not_what_its_hash_says_is_refused() -> None:
    data = package(pins())
    changed = data.replace(b"<Name>Pins</Name>", b"<Name>Pink</Name>")

    assert changed != data
    assert outcome(changed) == "0x8007000d"


RECORDED = Path(__file__).parents[1] / "recordings" / "ppkg"


def test_real_packages_are_read_through_another_program() -> None:
    found = [read(path.read_bytes()) for path in sorted(RECORDED.glob("*.ppkg"))]

    assert [(each.name, each.owner, each.altitude) for each in found] == [
        ("mOSD", "SystemIntegrator", 3000),
        ("windows-kitting-workflow-sample", "ITAdmin", 5000),
    ]
    assert found[1].settings[0].path == ("Policy", "Config", "Start", "ConfigureStartPins")


@pytest.mark.parametrize("missing", [("wimlib-imagex",), ("7z",)])
def test_either_program_unpacks_what_is_compressed(missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name in missing else which(name))
    read.cache_clear()

    assert read((RECORDED / "start_pins.ppkg").read_bytes()).name == "windows-kitting-workflow-sample"


def test_without_such_a_program_what_is_compressed_cannot_be_applied(pc: PC, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    read.cache_clear()

    assert refusal(pc, (RECORDED / "start_pins.ppkg").read_bytes()) == 0x80004001
    assert add(pc, pins()).installed, "what is stored is read without one"
