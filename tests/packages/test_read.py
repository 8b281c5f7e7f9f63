"""What is read of a package: metadata, settings, stages, conditions, commands, assets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from provmode.lab.packages.signer import self_signed, signed
from provmode.lab.packages.writer import Asset, Condition, Description, Setting, Variant, command, package
from provmode.packages.container import of_bytes
from provmode.packages.errors import PackageUnreadable, Unreadable
from provmode.packages.model import Package, Stage
from provmode.packages.read import read_package
from provmode.reading import Absent, Known, Unknown

Make = Callable[..., Package]
Describe = Callable[..., Description]
ID = "{11111111-2222-3333-4444-555555555555}"
SOURCE = "Multivariant/0/customizations.xml"


def codes(package: Package) -> list[str]:
    """Return the codes of the findings of a file."""
    return [finding.code for finding in package.findings]


def source(body: str, *, config: str = f"<ID>{ID}</ID><Name>office</Name><Version>1.0</Version>") -> bytes:
    """Return a source with *body* in its settings."""
    return (
        "<WindowsCustomizations>"
        f'<PackageConfig xmlns="urn:schemas-Microsoft-com:Windows-ICD-Package-Config.v1.0">{config}'
        "<OwnerType>ITAdmin</OwnerType></PackageConfig>"
        f'<Settings xmlns="urn:schemas-microsoft-com:windows-provisioning"><Customizations>{body}</Customizations>'
        "</Settings></WindowsCustomizations>"
    ).encode()


# -- recorded ---------------------------------------------------------------------------------------------------------


def test_start_pins_is_read_as_windows_configuration_designer_made_it(recorded: Make) -> None:
    package = recorded("start_pins")

    assert package.metadata.id == "{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}"
    assert (package.metadata.name, package.metadata.version) == ("windows-kitting-workflow-sample", "1.0")
    assert (package.metadata.owner, package.metadata.rank, package.metadata.altitude) == ("ITAdmin", 0, 5000)
    assert package.metadata.created is not None
    assert f"{package.metadata.created:%Y-%m-%d %H:%M:%S %Z}" == "2025-08-14 10:35:17 UTC"
    assert (package.files, package.size, package.secrets) == (7, 6026, ())
    assert [setting.path for setting in package.settings] == ["Policies/Start/ConfigureStartPins"]
    assert package.settings[0].value.startswith('{"pinnedList":[')
    assert package.signature.signer == Absent()
    assert package.findings == ()


def test_mosd_says_that_it_is_signed_and_is_not(recorded: Make) -> None:
    package = recorded("mOSD")

    assert (package.metadata.owner, package.metadata.altitude, len(package.settings)) == ("SystemIntegrator", 3000, 5)
    assert [setting.plain_path for setting in package.settings if setting.stage is Stage.USER] == [
        "Policies/Experience/AllowWindowsConsumerFeatures"
    ]
    assert package.metadata.sign_package is True
    assert codes(package) == ["not-signed-as-said"]


def test_mosds_command_runs_as_system(recorded: Make) -> None:
    (command,) = recorded("mOSD").commands

    assert (command.context, command.name, command.order) == ("PrimaryContext", "SetExecutionPolicy", 1)
    assert command.line == "powershell.exe -command set-executionpolicy bypass -force"
    assert command.as_system is True
    assert command.continue_install == "True"


# -- what a package says of itself --------------------------------------------------------------------------------


def test_what_a_package_says_of_itself_is_read(made: Make) -> None:
    metadata = made(
        version="2.10",
        owner="OEM",
        rank=99,
        notes="ours",
        description="for the office",
        designer={"SignPackage": "False", "Source": "CLI", "TargetSkus": "Desktop"},
    ).metadata

    assert (metadata.precedence, metadata.ordered_by, metadata.altitude) == (2099, 2099, 2099)
    assert (metadata.version, metadata.notes, metadata.description) == ("2.10", "ours", "for the office")
    assert (metadata.made_by, metadata.target_skus, metadata.sign_package) == ("CLI", "Desktop", False)
    assert metadata.created == datetime(2026, 3, 2, 9, 30, tzinfo=timezone.utc)


CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "id-differs": {"image": {"PACKAGEID": "{99999999-2222-3333-4444-555555555555}"}},
    "name-differs": {"image": {"NAME": "another"}},
    "version-differs": {"image": {"VERSION": "9.9"}},
    "altitude-differs": {"altitude": 5099},
    "not-signed-as-said": {"designer": {"SignPackage": "True"}},
    "several-sources": {"files": {"Multivariant/1/customizations.xml": source("")}},
    "compiled-missing": {
        "settings": [Setting("Policies/Start/X", "1")],
        "files": {"Multivariant/0/Prov/RunTime/0__Policies_Start_X.provxml": None},
    },
    "compiled-unlisted": {
        "settings": [Setting("Policies/Start/X", "1")],
        "files": {
            "Multivariant/0/Prov/RunTime/1__Policies_Start_X.provxml": b"<wap-provisioningdoc />",
        },
    },
    "stage-unknown": {"settings": [Setting("Policies/Start/X", "1", stage="Extension_RunOnce")]},
    "compiled-differs": {"settings": [Setting("Policies/Start/X", "No", compiled="1")]},
    "not-compiled": {
        "settings": [Setting("Policies/Start/X", "1"), Setting("Policies/Start/Y", "1", compiled_path="")]
    },
    "asset-hash-differs": {
        "assets": [
            Asset("ProvisioningCommands/DeviceContext/CommandFiles", "a.cmd", b"rem", folder="0_" + "A" * 43 + "=")
        ]
    },
}


@pytest.mark.parametrize("code", CONTRADICTIONS)
def test_a_contradiction_in_a_file_is_a_finding(code: str, made: Make) -> None:
    assert code in codes(made(**CONTRADICTIONS[code]))


def test_a_package_without_a_contradiction_has_no_finding(made: Make) -> None:
    package = made(
        settings=[
            Setting("Policies/Start/X", "Yes", compiled="1"),
            Setting("Accounts/Users/User[UserName=kim]/UserGroup", "Administrators", compiled="2"),
            *command("setup", "cmd /c setup.cmd", ReturnCodeSuccess="0"),
        ],
        variants=[Variant("sim", [[Condition("Mcc", "311")]], [Setting("Policies/Start/X", "No", compiled="0")])],
        assets=[Asset("ProvisioningCommands/PrimaryContext/Command/CommandConfig/CommandFile", "setup.cmd", b"rem")],
    )

    assert package.findings == ()
    assert [asset.matches for asset in package.assets] == [True]


def test_numbers_of_files_that_do_not_match_the_tree_are_no_finding(made: Make) -> None:
    assert made(image={"FILECOUNT": "99", "DIRCOUNT": "1"}).findings == ()


@pytest.mark.parametrize(
    ("told", "code"),
    [({"owner": "ITPro"}, "owner-unknown"), ({"rank": 100}, "rank-invalid"), ({"rank": "high"}, "rank-invalid")],
)
def test_an_owner_or_a_rank_that_windows_does_not_know_gives_no_precedence(
    told: dict[str, Any], code: str, made: Make
) -> None:
    package = made(**told)

    assert code in codes(package)
    assert package.metadata.precedence is None
    assert package.metadata.ordered_by is None


def test_a_package_that_is_ordered_by_another_number_is_not_ordered(made: Make) -> None:
    assert made(altitude=5099).metadata.ordered_by is None


def test_a_package_of_2015_says_less_and_is_read(made: Make) -> None:
    package = made(designer=None, notes=None, image={"CREATIONTIME": None, "ALTITUDE": None, "AUTHOR": None})

    assert package.metadata.created is None
    assert package.metadata.sign_package is None
    assert package.metadata.ordered_by == 5000
    assert package.findings == ()


def test_microsofts_own_misspelling_of_the_root_is_read(made: Make) -> None:
    assert len(made(root="WindowsCustomizatons", settings=[Setting("Policies/Start/X", "1")]).settings) == 1


# -- settings -------------------------------------------------------------------------------------------------------


def test_a_setting_has_its_path_with_the_identities_of_list_members(made: Make) -> None:
    package = made(
        settings=[
            Setting(
                "ConnectivityProfiles/WLAN/WLANSetting/WLANConfig[SSID=Office]/WLANXmlSettings/SecurityType", "Open"
            ),
            Setting("Accounts/Users/User[UserName=Kim]/UserGroup", "Administrators"),
        ]
    )

    assert [setting.path for setting in package.settings] == [
        "ConnectivityProfiles/WLAN/WLANSetting/WLANConfig[SSID=Office]/WLANXmlSettings/SecurityType",
        "Accounts/Users/User[UserName=kim]/UserGroup",
    ]
    assert package.settings[1].plain_path == "Accounts/Users/User/UserGroup"


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("RunTime", Stage.SYSTEM),
        ("User_RunTime", Stage.USER),
        ("Uicc_RunOnce", Stage.UICC),
        ("Static", Stage.STATIC),
        ("Update", Stage.UPDATE),
        ("Extension_RunOnce", Stage.UNKNOWN),
    ],
)
def test_a_setting_has_the_stage_that_its_compiled_value_is_in(name: str, stage: Stage, made: Make) -> None:
    package = made(settings=[Setting("Policies/Start/X", "1", stage=name), Setting("Policies/Start/Y", "1")])

    assert (package.settings[0].stage, package.settings[0].source) == (stage, name)
    assert package.settings[1].stage is Stage.SYSTEM


DIFFERS: dict[str, tuple[str, str, str, bool]] = {
    "another name of the PC": ("Accounts/ComputerAccount/ComputerName", "PC-%SERIAL%", "EVIL-1", True),
    "another line": ("ProvisioningCommands/DeviceContext/CommandLine", "a.exe", "b.exe", True),
    "the same line with other blanks": (
        "ProvisioningCommands/DeviceContext/CommandLine",
        "a.exe  /x",
        "a.exe /x",
        False,
    ),
    "another number": ("Policies/Start/X", "5", "6", True),
    "the other choice": ("Policies/Start/X", "True", "0", True),
    "a number for a word": ("Policies/Start/X", "Full", "3", False),
    "a word for a word": ("Policies/Start/X", "Basic", "Full", False),
    "another text": ("Policies/Start/X", '{"a": 1}', '{"a": 2}', True),
    "several texts": ("Policies/Start/X", "a;b", "a\uf000b\uf000\uf000", False),
    "a group by its number": ("Accounts/Users/User[UserName=kim]/UserGroup", "Administrators", "2", False),
    "a path of the author": ("ProvisioningCommands/DeviceContext/CommandFiles", "C:\\in\\a.cmd", "a.cmd", False),
}


@pytest.mark.parametrize("case", DIFFERS)
def test_only_what_certainly_differs_is_told_to_be_compiled_to_another_value(case: str, made: Make) -> None:
    path, value, compiled, differs = DIFFERS[case]

    assert ("compiled-differs" in codes(made(settings=[Setting(path, value, compiled=compiled)]))) is differs


def test_the_path_beside_a_compiled_value_tells_more_than_the_name_of_its_file(made: Make) -> None:
    document = (
        b'<wap-provisioningdoc><characteristic type="Policy">'
        b'<parm SettingsPath="Policies/Start/X" name="X" value="1" />'
        b"</characteristic></wap-provisioningdoc>"
    )
    package = made(
        settings=[Setting("Policies/Start/X", "1", compiled_path=""), Setting("Policies/Start/Y", "1")],
        files={"Multivariant/0/Prov/User_RunTime/0__Odd.provxml": document},
    )

    assert [setting.stage for setting in package.settings] == [Stage.USER, Stage.SYSTEM]
    assert codes(package) == ["compiled-unlisted"]


def test_a_compiled_file_with_a_value_of_the_source_is_no_stranger(made: Make) -> None:
    document = b'<wap-provisioningdoc><parm name="X" value="1" /></wap-provisioningdoc>'
    settings = [Setting("Policies/Start/X", "Yes", compiled="1"), Setting("Policies/Start/Y", "1")]

    same = made(settings=settings, files={"Multivariant/0/Prov/RunTime/9__Odd.provxml": document})
    other = made(settings=settings, files={"Multivariant/0/Prov/RunTime/9__Odd.provxml": document.replace(b"1", b"3")})

    assert codes(same) == ["compiled-unlisted"]
    assert codes(other) == ["compiled-unlisted", "compiled-without-source"]


def test_compiled_files_that_are_all_named_in_an_unknown_way_are_not_compared(made: Make) -> None:
    document = b'<wap-provisioningdoc><parm name="Z" value="7" /></wap-provisioningdoc>'
    package = made(
        settings=[Setting("Policies/Start/X", "1", compiled_path="")],
        files={"Multivariant/0/Prov/RunTime/9__Odd.provxml": document},
    )

    assert codes(package) == ["compiled-unlisted", "compiled-unmatched"]


def test_members_of_a_list_are_compiled_by_their_numbers(made: Make) -> None:
    document = b'<wap-provisioningdoc><parm name="UserGroup" value="2" /></wap-provisioningdoc>'
    package = made(
        settings=[Setting("Accounts/Users/User[UserName=kim]/UserGroup", "Administrators", compiled_path="")],
        files={"Multivariant/0/Prov/RunTime/3__Accounts_Users_0_UserGroup.provxml": document},
    )

    assert codes(package) == ["compiled-unlisted"]
    assert package.settings[0].stage is Stage.SYSTEM


def test_the_stage_of_what_is_not_compiled_is_not_guessed(made: Make) -> None:
    settings = [Setting("Policies/Start/X", "1"), Setting("Policies/A/X", "1", stage="User_RunTime")]
    package = made(settings=[*settings, Setting("HotSpot/Enabled", "1", compiled_path="")])

    assert package.settings[2].stage is Stage.UNKNOWN


def test_a_setting_that_is_there_twice_is_a_finding_and_both_are_kept(made: Make) -> None:
    package = made(files={SOURCE: source("<Common><A><B>1</B><B>2</B></A></Common>")})

    assert [(setting.path, setting.value) for setting in package.settings] == [("A/B", "1"), ("A/B#2", "2")]
    assert "duplicate" in codes(package)


def test_files_of_a_list_are_no_duplicates(made: Make) -> None:
    body = (
        "<Common><A><CommandFiles><CommandFile>a</CommandFile><CommandFile>b</CommandFile></CommandFiles></A></Common>"
    )
    package = made(files={SOURCE: source(body)})

    assert [setting.value for setting in package.settings] == ["a", "b"]
    assert "duplicate" not in codes(package)


def test_settings_within_settings_are_read_as_in_microsofts_example(made: Make) -> None:
    package = made(
        files={SOURCE: source("<Common><Settings><HotSpot><Enabled>1</Enabled></HotSpot></Settings></Common>")}
    )

    assert [setting.path for setting in package.settings] == ["HotSpot/Enabled"]


# -- conditions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Variant", "Profile"])
def test_a_conditional_setting_has_its_conditions(kind: str, made: Make) -> None:
    states = [[Condition("Mcc", "311"), Condition("Mnc", "480")], [Condition("Lang", "de")]]
    (setting,) = made(variants=[Variant("sim", states, [Setting("HotSpot/Enabled", "1")], kind=kind)]).settings

    assert setting.when is not None
    assert setting.when.kind == kind.lower()
    assert str(setting.when) == "Mcc=311 and Mnc=480 or Lang=de"
    assert [state.priority for state in setting.when.states] == [(2, 0, 2), (0, 1, 1)]
    assert setting.when.priority == (2, 0, 2)


@pytest.mark.parametrize(
    ("name", "value", "priority", "match"),
    [
        ("Mcc", "311", 0, "equal"),
        ("iccid", "pattern:.*", 0, "pattern"),
        ("MNC", "!Range:400, 550", 0, "range"),
        ("ProcessorName", "Pattern:.*Celeron.*", 1, "pattern"),
        ("Lang", "de", 1, "equal"),
        ("Moon", "Range:1, 2", None, "range"),
    ],
)
def test_a_condition_has_the_priority_and_the_kind_of_match_that_microsoft_describes(
    name: str, value: str, priority: int | None, match: str, made: Make
) -> None:
    (setting,) = made(variants=[Variant("t", [[Condition(name, value)]], [Setting("A/B", "1")])]).settings

    assert setting.when is not None
    (condition,) = setting.when.states[0].conditions
    assert condition.to_json() == {"name": name, "value": value, "priority": priority, "match": match}


def test_a_condition_that_microsoft_does_not_name_is_a_finding(made: Make) -> None:
    variant = Variant("x", [[Condition("Moon", "full")]], [Setting("HotSpot/Enabled", "1")])

    assert "condition-unknown" in codes(made(variants=[variant]))


def test_a_target_that_is_not_there_is_a_finding(made: Make) -> None:
    body = '<Variant><TargetRefs><TargetRef Id="gone" /></TargetRefs><Settings><A><B>1</B></A></Settings></Variant>'
    package = made(files={SOURCE: source(body)})

    assert "target-missing" in codes(package)
    assert package.settings[0].when is not None
    assert package.settings[0].when.states == ()
    assert package.settings[0].when.missing == ("gone",)


def test_a_target_state_within_a_target_state_is_read_as_in_microsofts_example(made: Make) -> None:
    state = '<TargetState><TargetState><Condition Name="Lang" Value="de" /></TargetState></TargetState>'
    refs = '<TargetRefs><TargetRef Id="t" /></TargetRefs>'
    variant = f"<Variant>{refs}<Settings><A><B>1</B></A></Settings></Variant>"
    targets = f'<Targets><Target Id="t">{state}</Target></Targets>'
    package = made(files={SOURCE: source(targets + variant)})

    assert str(package.settings[0].when) == "Lang=de"


# -- commands -------------------------------------------------------------------------------------------------------


def test_commands_are_read_in_their_order_with_what_they_do_afterwards(made: Make) -> None:
    commands = made(
        settings=[
            *command(
                "first", "a.exe", number=0, file="C:\\in\\a.exe", RestartRequired="True", ReturnCodeRestart="3010"
            ),
            *command("second", "b.exe", number=1, ReturnCodeSuccess="0 1"),
            *command("", "cmd /c c.cmd", context="DeviceContext"),
        ]
    ).commands

    assert [(each.order, each.name, each.line) for each in commands] == [
        (1, "first", "a.exe"),
        (2, "second", "b.exe"),
        (3, "", "cmd /c c.cmd"),
    ]
    assert (commands[0].restart_required, commands[0].restart_codes) == ("True", "3010")
    assert commands[0].files == ("C:\\in\\a.exe",)
    assert commands[1].success_codes == "0 1"
    assert [each.as_system for each in commands] == [True, True, True]


def test_files_of_the_command_for_the_device_belong_to_it(made: Make) -> None:
    place = "ProvisioningCommands/DeviceContext"
    (found,) = made(
        settings=[
            Setting(f"{place}/CommandLine", "cmd /c a.cmd"),
            Setting(f"{place}/CommandFiles/CommandFile[Name=a.cmd]", "C:\\in\\a.cmd"),
            Setting(f"{place}/CommandFiles/CommandFile[Name=b.ps1]", "C:\\in\\b.ps1"),
        ]
    ).commands

    assert (found.context, found.name, found.line) == ("DeviceContext", "", "cmd /c a.cmd")
    assert found.files == ("C:\\in\\a.cmd", "C:\\in\\b.ps1")


def test_as_whom_a_command_of_another_context_runs_is_not_guessed(made: Make) -> None:
    (found,) = made(settings=[Setting("ProvisioningCommands/UserContext/CommandLine", "a.exe")]).commands

    assert (found.context, found.as_system) == ("UserContext", None)


def test_a_command_that_only_windows_sees_is_told(made: Make) -> None:
    hidden = (
        b'<wap-provisioningdoc><characteristic type="ProvisioningCommands"><characteristic type="DeviceContext">'
        b'<characteristic type="$(__PackageID)"><parm name="CommandLine" value="evil.exe" datatype="string" />'
        b"</characteristic></characteristic></characteristic></wap-provisioningdoc>"
    )
    package = made(
        settings=[Setting("Policies/Start/X", "1")],
        files={"Multivariant/0/Prov/RunTime/9__ProvisioningCommands_DeviceContext_CommandLine.provxml": hidden},
    )

    assert {"compiled-command", "compiled-without-source", "compiled-unlisted"} <= {*codes(package)}
    assert [(each.line, each.only_compiled, each.as_system) for each in package.commands] == [("evil.exe", True, True)]


def test_a_command_hidden_in_the_file_of_another_setting_is_told(made: Make) -> None:
    hidden = (
        b'<wap-provisioningdoc><characteristic type="Policy">'
        b'<characteristic type="Config"><characteristic type="Start">'
        b'<parm name="X" value="1" datatype="integer" /></characteristic></characteristic></characteristic>'
        b'<characteristic type="ProvisioningCommands"><characteristic type="DeviceContext">'
        b'<characteristic type="1"><parm name="CommandLine" value="evil.exe" datatype="string" /></characteristic>'
        b"</characteristic></characteristic></wap-provisioningdoc>"
    )
    package = made(
        settings=[Setting("Policies/Start/X", "1")],
        files={"Multivariant/0/Prov/RunTime/0__Policies_Start_X.provxml": hidden},
    )

    assert codes(package) == ["compiled-command"]


def test_a_command_line_that_was_changed_only_where_windows_looks_is_told(made: Make) -> None:
    place = "ProvisioningCommands/PrimaryContext/Command/CommandConfig[Name=setup]/CommandLine"
    compiled = "ProvisioningCommands/PrimaryContext/$(__PackageID)/0/CommandLine"
    package = made(settings=[Setting(place, "setup.exe", compiled="evil.exe", compiled_path=compiled)])

    assert {"compiled-command", "compiled-differs"} == {*codes(package)}
    assert [each.line for each in package.commands] == ["setup.exe", "evil.exe"]


# -- assets -------------------------------------------------------------------------------------------------------


def test_an_asset_has_the_sha256_that_it_is_named_after(made: Make) -> None:
    content = b"\x4d\x5a" * 1000
    (asset,) = made(assets=[Asset("ProvisioningCommands/DeviceContext/CommandFiles", "setup.exe", content)]).assets

    assert (asset.name, asset.size) == ("setup.exe", 2000)
    assert asset.sha256 == hashlib.sha256(content).hexdigest()
    assert asset.sha1 == hashlib.sha1(content, usedforsecurity=False).hexdigest()
    assert asset.matches is None  # its content was not read


def test_a_large_script_is_not_looked_through_and_that_is_said(made: Make) -> None:
    package = made(assets=[Asset("ProvisioningCommands/DeviceContext/CommandFiles", "a.ps1", b"# " * 200_000)])

    assert codes(package) == ["not-scanned"]


# -- signature ------------------------------------------------------------------------------------------------------


def test_a_signed_package_says_by_whom_and_that_it_is_intact(described: Describe) -> None:
    signer = self_signed("Office packages")
    package_ = read_package(of_bytes(signed(package(described()), signer)))

    assert isinstance(package_.signature.signer, Known)
    assert package_.signature.signer.value.sha1 == signer.thumbprint
    assert package_.signature.intact == Known(True)
    assert package_.findings == ()


def test_a_signed_package_that_was_changed_is_told(described: Describe) -> None:
    data = signed(package(described(settings=[Setting("A/B", "before")])), self_signed())

    with pytest.raises(PackageUnreadable, match="it is signed, and was changed after that") as error:
        read_package(of_bytes(data.replace(b"before", b"after!")))

    assert error.value.cause is Unreadable.DAMAGED  # the container's own hash does not match either


def test_a_signed_package_whose_header_was_changed_is_told(described: Describe) -> None:
    data = bytearray(signed(package(described()), self_signed()))
    data[24] ^= 1  # its guid, which no hash of the container covers

    assert codes(read_package(of_bytes(bytes(data)))) == ["signature-broken"]


def test_a_signature_that_is_cut_off_is_malformed_and_one_cut_loose_leaves_bytes(described: Describe) -> None:
    data = signed(package(described()), self_signed())
    loose = data[:180] + bytes(16) + data[196:]

    assert codes(read_package(of_bytes(data[:-100]))) == ["signature-malformed"]
    assert codes(read_package(of_bytes(loose))) == ["trailing-bytes"]


def test_without_its_bytes_whether_a_package_is_intact_is_not_told(described: Describe) -> None:
    data = signed(package(described()), self_signed())

    found = read_package(of_bytes(data), signature=False)

    assert isinstance(found.signature.intact, Unknown)
    assert found.signature.intact.cause == "not-read"
    assert found.findings == ()


# -- what cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        ({"designer": {"EncryptPackage": "True"}}, Unreadable.ENCRYPTED),
        ({"files": {SOURCE: None}}, Unreadable.DAMAGED),
        ({"files": {SOURCE: b"<a><b></a>"}}, Unreadable.DAMAGED),
        ({"files": {SOURCE: b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}}, Unreadable.DAMAGED),
        ({"files": {SOURCE: b"<a>" * 100 + b"</a>" * 100}}, Unreadable.DAMAGED),
        ({"files": {SOURCE: b"<WindowsCustomizations />"}}, Unreadable.DAMAGED),
        ({"files": {"Multivariant/0/Prov/RunTime.xml": b"<"}, "settings": [Setting("A/B", "1")]}, Unreadable.DAMAGED),
        ({"files": {SOURCE: source("<Common>" + "<A>1</A>" * 20_001 + "</Common>")}}, Unreadable.TOO_LARGE),
        (
            {"files": {f"Multivariant/0/Prov/RunTime/{n}__A.provxml": b"<a />" for n in range(4001)}},
            Unreadable.TOO_LARGE,
        ),
    ],
    ids=[
        *("encrypted", "no source", "not well-formed", "entities", "deep", "no config", "a stage is not XML"),
        *("settings", "compiled files"),
    ],
)
def test_a_package_that_cannot_be_read_is_never_an_empty_one(
    told: dict[str, Any], cause: Unreadable, described: Describe
) -> None:
    with pytest.raises(PackageUnreadable) as error:
        read_package(of_bytes(package(described(**told))))

    assert error.value.cause is cause
    assert "\n" not in str(error.value)


def test_a_hostile_number_of_conditions_is_refused(described: Describe) -> None:
    targets = "".join(f'<Target Id="{n}"><TargetState /></Target>' for n in range(1500))
    refs = "".join(f'<TargetRef Id="{n}" />' for n in range(1500))
    variant = f"<Variant><TargetRefs>{refs}</TargetRefs><Settings>{'<A>1</A>' * 100}</Settings></Variant>"

    with pytest.raises(PackageUnreadable) as error:
        read_package(of_bytes(package(described(files={SOURCE: source(f"<Targets>{targets}</Targets>{variant}")}))))

    assert error.value.cause is Unreadable.TOO_LARGE


def test_names_with_control_characters_are_kept_apart_from_what_is_printed(made: Make) -> None:
    package = made(name="a\u202eb", settings=[Setting("Accounts/Users/User[UserName=x\u202ey]/UserGroup", "1")])

    assert package.metadata.name == "a\u202eb"
    assert package.settings[0].path == "Accounts/Users/User[UserName=x\u202ey]/UserGroup"
