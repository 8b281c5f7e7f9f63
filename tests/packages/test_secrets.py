"""Secrets are told by place and kind, and their values are in nothing that a package is read to."""

from __future__ import annotations

import base64
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.packages.writer import Asset, Description, Setting, command, package
from provmode.packages.container import of_bytes
from provmode.packages.document import package_document
from provmode.packages.errors import PackageUnreadable
from provmode.packages.lint import lint
from provmode.packages.model import Holds, Package
from provmode.packages.read import read_package
from provmode.packages.secrets import MASK, kind_of, masked
from provmode.text import json_text

Make = Callable[..., Package]
Describe = Callable[..., Description]
CANARY = "Canary-7f3!x"
USER = "Accounts/Users/User[UserName=kim]"
WLAN = "ConnectivityProfiles/WLAN/WLANSetting/WLANConfig[SSID=Office]/WLANXmlSettings"


def everything(package: Package) -> str:
    """Return all that can be printed of a package."""
    return json_text(package_document(package, lint(package))) + repr(package) + str(package)


# -- by name ----------------------------------------------------------------------------------------------------------

NAMED = {
    f"{USER}/Password": "account password",
    "Accounts/ComputerAccount/Password": "domain join password",
    "Accounts/Azure/BPRT": "bulk token",
    f"{WLAN}/SecurityKey": "Wi-Fi key",
    "Workplace/Enrollments/UPN[UPN=a@b.example]/Secret": "enrolment secret",
    "Certificates/ClientCertificates/Cert[CertificateName=vpn]/CertificatePassword": "certificate password",
    "DMAcc/Account[Id=1]/Secret": "device management secret",
    "EditionUpgrade/UpgradeEditionWithProductKey": "product key",
    "SharedPC/KioskModePassword": "password",
    "VPN/Eap/PfxPassword": "certificate password",
    "VPN/L2tpPsk": "pre-shared key",
}


@pytest.mark.parametrize("path", NAMED)
def test_a_secret_is_told_by_place_and_kind_once_with_its_copies(path: str, made: Make) -> None:
    package = made(settings=[Setting(path, CANARY)])

    assert [(each.place, each.kind) for each in package.secrets] == [(path, NAMED[path])]
    assert package.secrets[0].copies == ("source", "answer file", "compiled")
    assert (package.settings[0].holds, package.settings[0].value) == (Holds.SECRET, "")
    assert CANARY not in everything(package)


def test_four_secrets_are_four_and_a_macro_is_none(made: Make) -> None:
    package = made(
        settings=[
            Setting("Accounts/Azure/Authority", "https://login.microsoftonline.com/common"),
            Setting("Accounts/Azure/BPRT", "0.AXtoken"),
            Setting("Accounts/ComputerAccount/Account", "corp\\join"),
            Setting("Accounts/ComputerAccount/Password", CANARY),
            Setting(f"{WLAN}/SecurityKey", "psk12345"),
            Setting("Workplace/Enrollments/UPN[UPN=e@x.example]/Secret", "s3cret"),
            Setting("Workplace/Enrollments/UPN[UPN=f@x.example]/Secret", "$(__DEVICEIDHASH)"),
        ]
    )

    assert [each.place.rsplit("/", 1)[-1] for each in package.secrets] == ["BPRT", "Password", "SecurityKey", "Secret"]
    assert (package.settings[-1].holds, package.settings[-1].value) == (Holds.MACRO, "$(__DEVICEIDHASH)")
    assert [f"{each.dead_at:%Y-%m-%d}" for each in package.tokens] == ["2026-08-29"]  # made on 2026-03-02
    for value in ("0.AXtoken", CANARY, "psk12345", "s3cret"):
        assert value not in everything(package)


def test_an_empty_secret_is_none(made: Make) -> None:
    package = made(settings=[Setting(f"{USER}/Password", "")])

    assert package.secrets == ()
    assert package.settings[0].holds is Holds.EMPTY


@pytest.mark.parametrize(
    "path",
    ["Policies/DeviceLock/AllowSimpleDevicePassword", "Policies/DeviceLock/MinDevicePasswordLength", "A/PasswordType"],
)
def test_a_rule_about_passwords_is_no_secret(path: str, made: Make) -> None:
    assert kind_of(path.split("/"), "1") is None
    assert made(settings=[Setting(path, "1")]).settings[0].value == "1"


@pytest.mark.parametrize("value", ["%SERIAL%x", "%hunter2%", "$(__hunter2)", "a%RAND:5%"])
def test_what_is_not_nothing_but_a_macro_of_windows_is_a_secret(value: str, made: Make) -> None:
    package = made(settings=[Setting(f"{USER}/Password", value)])

    assert len(package.secrets) == 1
    assert value not in everything(package)


def test_a_secret_that_only_windows_sees_is_told(made: Make) -> None:
    document = (
        '<wap-provisioningdoc><characteristic type="Accounts"><characteristic type="Users"><characteristic type="eve">'
        f'<parm name="Password" value="{CANARY}" datatype="string" />'
        "</characteristic></characteristic></characteristic></wap-provisioningdoc>"
    ).encode()
    package = made(files={"Multivariant/0/Prov/RunTime/0__Accounts_Users.provxml": document})

    assert [(each.kind, each.copies) for each in package.secrets] == [("account password", ("compiled",))]
    assert CANARY not in everything(package)


def test_a_policy_that_holds_a_password_is_a_secret(made: Make) -> None:
    package = made(settings=[Setting("Policies/Proxy/ProxyPassword", CANARY)])

    assert [each.kind for each in package.secrets] == ["password"]
    assert CANARY not in everything(package)


def test_a_short_secret_within_another_word_is_masked_and_is_no_finding(made: Make) -> None:
    settings = [Setting(f"{USER}/Password", "Admin"), Setting("A/Group", "Administrators"), Setting("A/B", "is Admin,")]
    package = made(settings=settings)

    assert [each.value for each in package.settings[1:]] == [f"{MASK}istrators", f"is {MASK},"]
    assert [each.place for each in package.secrets] == [f"{USER}/Password", "A/B"]


@pytest.mark.parametrize(
    "element",
    [
        f'<Password Value="{CANARY}">x</Password>',
        f'<Account Name="a" Password="{CANARY}"><B>1</B></Account>',
        f'<Account AuthSecret="{CANARY}" />',
        f"<Password><Value>{CANARY}</Value></Password>",
        f"<Password>{CANARY}<A>1</A></Password>",
        f"<A><!-- {CANARY} -->1</A>",
    ],
)
def test_a_secret_in_an_attribute_or_another_element_is_not_shown(element: str, made: Make) -> None:
    body = f"<Common><A>{element}</A></Common>"
    source = (
        '<WindowsCustomizations><PackageConfig xmlns="p"><ID>1</ID></PackageConfig><Settings xmlns="s"><Customizations>'
        f"{body}</Customizations></Settings></WindowsCustomizations>"
    )

    assert CANARY not in everything(made(files={"Multivariant/0/customizations.xml": source.encode()}))


# -- in texts -------------------------------------------------------------------------------------------------------

LINES = [
    "net user admin {} /add",
    "net user /add admin {}",
    'net.exe user "my admin" "{}" /add',
    "net use Z: \\\\srv\\share {} /user:corp\\u",
    "net use \\\\srv\\share /user:corp\\u {}",
    "reg add HKLM\\X /v DefaultPassword /t REG_SZ /d {} /f",
    'reg add "HKLM\\X" /d "{}" /v DefaultPassword',
    "setup.exe /p:{}",
    "setup --password {}",
    "setup --pw={}",
    "setup -Password '{}'",
    "msiexec /i x.msi TOKEN={} /qn",
    "msiexec /i x.msi LICENSE_KEY={} /qn",
    'powershell -c "net user a \\"{}\\" /add"',
    'cmd /c set "PASSWORD={} and more" && x',
    "schtasks /create /ru u /rp {} /tn x",
    "psexec -u u -p {} cmd",
    "psexec -p {} -u u cmd",
    "cmdkey /add:s /user:u /pass:{}",
    "autologon64.exe /accepteula user dom {}",
    "curl -u user:{} http://x",
    "curl https://u:{}@host/x",
    "powershell ConvertTo-SecureString '{}' -AsPlainText -Force",
    "sc config svc obj= u password= {}",
    "netsh wlan set hostednetwork key={}",
    "netdom join x /domain:d /userd:u /passwordd:{}",
    "powershell Set-ItemProperty -Path x -Name DefaultPassword -Value '{}'",
    "powershell [Net.NetworkCredential]::new('u','{}')",
    "slmgr /ipk {}",
]
TEXTS = [
    "<Password><Value>{}</Value><PlainText>true</PlainText></Password>",
    "<WLANProfile><keyMaterial>{}</keyMaterial></WLANProfile>",
    '{{"password": "{}"}}',
    '"DefaultPassword"="{}"',
    "$Password = '{}'",
    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
]


@pytest.mark.parametrize("line", LINES)
def test_a_secret_in_a_command_line_is_masked_and_told(line: str, made: Make) -> None:
    package = made(settings=command("setup", line.format(CANARY)))

    assert MASK in package.commands[0].line
    assert package.commands[0].masked
    assert [each.copies for each in package.secrets] == [("source", "answer file", "compiled")]
    assert "in a command line" in package.secrets[0].kind
    assert CANARY not in everything(package)


@pytest.mark.parametrize("text", [*TEXTS, *LINES])
def test_a_secret_in_a_script_is_told_by_its_line(text: str, made: Make) -> None:
    script = f"@echo off\r\n{text.format(CANARY)}\r\n".encode()
    package = made(assets=[Asset("ProvisioningCommands/DeviceContext/CommandFiles", "setup.cmd", script)])

    line = 3 if text.startswith("-----") else 2
    assert [place.place.rsplit("/", 1)[-1] for place in package.secrets] == [f"setup.cmd, line {line}"]
    assert CANARY not in everything(package)


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_in_a_value_is_masked_and_told(text: str, made: Make) -> None:
    package = made(settings=[Setting("VPN/ProfileXML", text.format(CANARY))])

    assert package.settings[0].masked
    assert len(package.secrets) == 1
    assert CANARY not in everything(package)


def test_a_secret_that_is_known_from_elsewhere_is_found_in_any_text(made: Make) -> None:
    package = made(
        settings=[
            Setting(f"{USER}/Password", CANARY),
            Setting("A/Note", f"kim has {CANARY} now"),
            *command("x", f"setup.exe {CANARY}"),
        ],
        notes=f"ask for {CANARY}",
        description=f"{CANARY}!",
        assets=[Asset("ProvisioningCommands/DeviceContext/CommandFiles", "a.ps1", f"do-it {CANARY}".encode("utf-16"))],
    )

    assert len(package.secrets) == 4
    assert package.commands[0].line == f"setup.exe {MASK}"
    assert package.metadata.notes == f"ask for {MASK}"
    assert CANARY not in everything(package)


def test_a_key_that_is_compiled_into_the_xml_of_a_network_is_one_secret(made: Make) -> None:
    compiled = f"<WLANProfile><name>Office</name><keyMaterial>{CANARY}</keyMaterial></WLANProfile>"
    path = "ConnectivityProfiles/WLAN/WLANSetting/Office/WlanXml"
    package = made(
        settings=[
            Setting("A/B", compiled.replace(CANARY, ""), compiled_path=path),
            Setting(f"{WLAN}/SecurityKey", CANARY, compiled=compiled, compiled_path=path),
            Setting(f"{USER}/Password", "another one"),
        ],
        files={"CommonSettings/1/AnswerFile.xml": None},
    )

    assert [(each.kind, each.copies) for each in package.secrets] == [
        ("Wi-Fi key", ("source", "compiled")),
        ("account password", ("source", "compiled")),
    ]
    assert CANARY not in everything(package)


def test_a_key_in_a_compiled_file_of_another_name_is_still_one_secret(made: Make) -> None:
    document = (
        f'<wap-provisioningdoc><characteristic type="WiFi"><parm name="Xml" value="&lt;a&gt;{CANARY}&lt;/a&gt;" />'
        "</characteristic></wap-provisioningdoc>"
    ).encode()
    package = made(
        settings=[Setting(f"{WLAN}/SecurityKey", CANARY, compiled_path="")],
        files={"Multivariant/0/Prov/RunTime/0__WiFi.provxml": document},
    )

    assert [each.copies for each in package.secrets] == [("source", "answer file", "compiled")]


@pytest.mark.parametrize(("secret", "shown"), [("abcd", MASK), ("abc", "abc")])
def test_only_what_is_no_longer_than_a_short_word_is_not_looked_for_elsewhere(
    secret: str, shown: str, made: Make
) -> None:
    package = made(settings=[Setting(f"{USER}/Password", secret), Setting("A/B", f"x {secret} y")])

    assert package.settings[1].value == f"x {shown} y"


def test_a_key_within_xml_is_found_although_it_is_written_in_another_way(made: Make) -> None:
    secret = "a&b<c>d"
    package = made(settings=[Setting(f"{WLAN}/SecurityKey", secret), Setting("A/Xml", "<x>a&amp;b&lt;c&gt;d</x>")])

    assert package.settings[1].value == f"<x>{MASK}</x>"


def test_a_secret_in_an_encoded_command_is_masked_with_it(made: Make) -> None:
    encoded = base64.b64encode(f"net user admin {CANARY} /add".encode("utf-16-le")).decode()
    harmless = base64.b64encode("Get-Process | Out-Null".encode("utf-16-le")).decode()
    package = made(
        settings=[*command("a", f"powershell -EncodedCommand {encoded}"), *command("b", f"powershell -e {harmless}")]
    )

    assert [each.line for each in package.commands] == [
        f"powershell -EncodedCommand {MASK}",
        f"powershell -e {harmless}",
    ]
    assert len(package.secrets) == 1


@pytest.mark.parametrize(
    "line",
    [
        "powershell.exe -command set-executionpolicy bypass -force",
        "cmd /c install.bat",
        "msiexec /i x.msi /quiet /norestart",
        "powershell Get-X -PassThru foo",
        "powershell -Reference 'A, Version=1, PublicKeyToken=31bf3856ad364e35'",
        "curl https://aka.ms/x -o x",
        "net user administrator /active:yes",
    ],
)
def test_a_command_line_without_a_secret_is_shown_whole(line: str) -> None:
    assert masked(line) == (line, False)


@pytest.mark.parametrize("line", ["setup -Password $pw", "net user admin %PW% /add", "setup --password *"])
def test_what_stands_for_a_secret_is_masked_and_is_no_finding(line: str) -> None:
    assert masked(line)[1] is False


@given(st.text(max_size=300), st.lists(st.text(min_size=1, max_size=8), max_size=4))
def test_no_known_secret_is_left_in_a_masked_text(text: str, secrets: list[str]) -> None:
    shown, _ = masked(text + "".join(secrets), secrets)

    pieces = [piece for piece in shown.split(MASK) if piece]
    assert not [secret for secret in secrets for piece in pieces if secret in piece]


@pytest.mark.parametrize(
    "text",
    [
        *("password ", "-p ", "net user ", "'", "password='", "<password ", "-u ", "curl ", "/v password "),
        *("NetworkCredential", "A1B2C-", "net use \\\\", "x://a:", '"password', 'set "', "-e AAAA"),
    ],
)
def test_hostile_texts_are_looked_through_in_time_that_grows_with_them(text: str) -> None:
    from time import process_time

    def cost(size: int) -> float:
        started = process_time()
        masked(text * (size // len(text)))
        return process_time() - started

    assert cost(128_000) < 20 * cost(16_000) + 0.2


# -- marks, errors ----------------------------------------------------------------------------------------------------


def test_marks_are_equal_for_equal_secrets_of_one_process_and_say_nothing_elsewhere(described: Describe) -> None:
    data = package(described(settings=[Setting(f"{USER}/Password", CANARY)]))
    first, again = read_package(of_bytes(data), key=b"1"), read_package(of_bytes(data), key=b"1")
    other, without = read_package(of_bytes(data), key=b"2"), read_package(of_bytes(data))

    assert first.settings[0].same_value(again.settings[0]) is True
    assert first.settings[0].same_value(other.settings[0]) is False
    assert first.settings[0].same_value(without.settings[0]) is None
    assert first.secrets[0].mark.hex() not in everything(first)
    assert "mark=" not in everything(first)
    assert '"mark"' not in everything(first)


@pytest.mark.parametrize(
    "told",
    [
        {"files": {"Multivariant/0/customizations.xml": f"<a><Password>{CANARY}</a>".encode()}},
        {"files": {"CommonSettings/1/AnswerFile.xml": f"<a><Password>{CANARY}</a>".encode()}},
        {"files": {"Multivariant/0/Prov/RunTime/0__A.provxml": f'<a b="{CANARY}" b="">'.encode()}},
        {"files": {"Multivariant/0/customizations.xml": f"<a><Password>{CANARY}\udcff</a>".encode("utf-8", "replace")}},
        {"files": {"Multivariant/0/customizations.xml": f"<!DOCTYPE {CANARY}>".encode()}},
    ],
)
def test_no_error_has_a_secret_in_it(told: dict[str, Any], described: Describe) -> None:
    with pytest.raises(PackageUnreadable) as error:
        read_package(of_bytes(package(described(**told))))

    assert CANARY not in "".join(traceback.format_exception(error.value))
    assert CANARY not in repr(error.value.__context__)


def test_nothing_that_is_read_holds_a_secret(made: Make) -> None:
    package = made(
        settings=[Setting(f"{USER}/Password", CANARY), *command("x", f"net user kim {CANARY}")],
        assets=[Asset("ProvisioningCommands/DeviceContext/CommandFiles", "a.cmd", f"rem {CANARY}".encode())],
    )

    assert CANARY.encode() not in pickle.dumps(package)


def test_the_name_of_a_package_does_not_show_a_secret_of_it(made: Make) -> None:
    secret = Setting(f"{USER}/Password", CANARY)

    package = made(name=f"Kiosk {CANARY}", settings=[secret])
    assert package.metadata.name == "Kiosk ***"
    assert "name-differs" not in [each.code for each in package.findings]

    package = made(name=f"Kiosk {CANARY}", settings=[secret], image={"NAME": f"Other {CANARY}"})
    assert [each.text for each in package.findings if each.code == "name-differs"] == [
        'the source calls it "Kiosk ***", the container "Other ***"'
    ]
