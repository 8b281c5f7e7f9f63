"""``provmode package``: what it prints, its exit codes, and that no secret is in any of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provmode.cli.main import cli
from provmode.fleet.results import EXIT_CODES
from provmode.lab.packages.signer import self_signed, signed
from provmode.lab.packages.writer import Asset, Condition, Description, Setting, Variant, command, package
from provmode.report.packages.files_document import COMMANDS, document_of, schema

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "tests" / "recordings" / "ppkg"
PINS, MOSD = RECORDINGS / "start_pins.ppkg", RECORDINGS / "mOSD.ppkg"
CANARY = "Canary-7f3!x"
ID = "{11111111-2222-3333-4444-555555555555}"
FILES = "ProvisioningCommands/DeviceContext/CommandFiles"

Write = Callable[..., Path]


def run(*words: object) -> Result:
    """Run ``provmode package`` in this process; errors are errors of the test."""
    return CliRunner().invoke(cli, ["package", *map(str, words)], standalone_mode=False)


def code(result: Result) -> int:
    """Return the exit code, which is what the command returns."""
    if result.exception is not None:
        raise result.exception
    return int(result.return_value)


def provmode(*words: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run ``provmode package`` as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "provmode", "package", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **more,
    )


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """Return what writes a package to a file."""

    def write(file: str = "office.ppkg", **told: Any) -> Path:
        path = tmp_path / file
        path.write_bytes(package(Description(**{"id": ID, "name": file.removesuffix(".ppkg"), **told})))
        return path

    return write


# -- exit codes -----------------------------------------------------------------------------------------------------


def test_a_package_without_a_finding_is_0_and_one_with_a_finding_2() -> None:
    assert code(run("show", PINS)) == 0
    assert code(run("lint", PINS)) == 0
    assert code(run("lint", "--strict", PINS)) == 2
    assert code(run("show", MOSD)) == 2
    assert code(run("lint", MOSD)) == 2


@pytest.mark.parametrize("command_", ["show", "lint", "resolve"])
def test_a_package_that_cannot_be_read_is_4_and_6_beside_a_finding(command_: str, tmp_path: Path) -> None:
    (tmp_path / "cut.ppkg").write_bytes(PINS.read_bytes()[:1000])
    odd = tmp_path / "odd.ppkg"
    odd.write_bytes(package(Description(ID, "odd", owner="ITPro", settings=[Setting("A/B", "1"), Setting("A/B", "2")])))

    assert code(run(command_, tmp_path / "cut.ppkg")) == 4
    assert code(run(command_, tmp_path / "cut.ppkg", PINS)) == 4
    assert code(run(command_, tmp_path / "cut.ppkg", odd)) == 6


def test_the_exit_code_is_that_of_the_process() -> None:
    assert [provmode("show", PINS).returncode, provmode("show", MOSD).returncode] == [0, 2]


def test_packages_that_differ_are_2_and_those_that_do_not_0() -> None:
    assert code(run("diff", PINS, PINS)) == 0
    assert code(run("diff", PINS, MOSD)) == 2


@pytest.mark.parametrize("command_", ["show", "lint", "resolve"])
def test_what_is_no_file_is_refused_at_once_as_bad_usage(command_: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    ran = provmode(command_, tmp_path / "pipe", "/dev/zero", tmp_path, tmp_path / "gone", PINS)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.splitlines() == [
        f"provmode: cannot read {tmp_path / 'pipe'}: it is a pipe or a device; name a file",
        "provmode: cannot read /dev/zero: it is a pipe or a device; name a file",
        f"provmode: cannot read {tmp_path}: it is a folder; name a file",
        f"provmode: cannot read {tmp_path / 'gone'}: No such file or directory",
    ]


def test_no_file_at_all_is_bad_usage() -> None:
    for command_ in COMMANDS:
        assert provmode(command_).returncode == 1


UNREADABLE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "the beginning of one": (lambda data: data[:1000], "damaged"),
    "a ZIP": (lambda data: b"PK\3\4" + data[4:], "not-a-package"),
    "nothing": (lambda data: b"", "not-a-package"),
    "packed as LZX": (lambda data: data[:16] + b"\x82\0\x04\0" + data[20:], "compression"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_told_with_its_cause(case: str, tmp_path: Path) -> None:
    change, cause = UNREADABLE[case]
    (tmp_path / "a.ppkg").write_bytes(change(PINS.read_bytes()))

    text, document = run("show", tmp_path / "a.ppkg"), run("show", tmp_path / "a.ppkg", "--format", "json")

    assert (code(text), code(document)) == (4, 4)
    assert f"could not be read: {cause}" in text.output
    (file,) = json.loads(document.output)["files"]
    assert file["package"] is None
    assert file["unreadable"]["cause"] == cause


def test_an_encrypted_package_is_never_clean(written: Write) -> None:
    path = written(designer={"EncryptPackage": "True"})

    assert code(run("show", path)) == 4
    assert "could not be read: encrypted" in run("lint", path).output


# -- text -----------------------------------------------------------------------------------------------------------


def test_show_says_what_is_in_a_package() -> None:
    shown = run("show", MOSD).output

    for words in (
        "mOSD 1.00  {1f4e2c40-9d5f-41b4-ab8b-0ec5dd0fc160}",
        "owner type SystemIntegrator, rank 0, altitude 3000",
        "made 2018-08-04 13:56:35 UTC",
        "not signed",
        "Accounts/ComputerAccount/ComputerName = Z-%SERIAL% [RunTime]",
        "1. SetExecutionPolicy (PrimaryContext, as SYSTEM): powershell.exe -command set-executionpolicy bypass -force",
        "! not-signed-as-said: ",
        "1 package: 1 with findings",
    ):
        assert words in shown


def test_show_says_by_whom_a_package_is_signed(tmp_path: Path) -> None:
    signer, path = self_signed("Office packages"), tmp_path / "a.ppkg"
    path.write_bytes(signed(package(Description(ID, "office")), signer))

    shown = run("show", path, "--wide")

    assert code(shown) == 0
    assert f"signed by CN=Office packages (SHA-1 {signer.thumbprint}); intact; whether a PC trusts it" in shown.output


def test_lint_folds_what_is_the_same_over_several_files() -> None:
    lines = run("lint", PINS, MOSD, "--wide").output.splitlines()

    at = lines.index("hint  unsigned")
    assert lines[at + 1] == f"  {PINS}, {MOSD}"


def test_resolve_says_who_wins_and_why(written: Write) -> None:
    place = "Accounts/ComputerAccount/ComputerName"
    oem = written("oem.ppkg", owner="OEM", rank=99, settings=[Setting(place, "OEM-1")])

    resolved = run("resolve", oem, MOSD, "--wide")

    assert code(resolved) == 0
    assert f"{place}  wins" in resolved.output
    assert "owner type SystemIntegrator is above OEM, and a rank counts only within one owner type" in resolved.output
    assert f"=  3000 mOSD 1.00 ({MOSD}): Z-%SERIAL%" in resolved.output


def test_resolve_leaves_a_tie_undecided(written: Write) -> None:
    one = written("one.ppkg", settings=[Setting("Policies/Start/X", "1")])
    two = written("two.ppkg", settings=[Setting("Policies/Start/X", "2")], id=ID.replace("1", "2"))

    resolved = run("resolve", one, two)

    assert code(resolved) == 2
    assert "which of them wins is not documented" in " ".join(resolved.output.split())
    assert "note: policies of an MDM server" in resolved.output


def test_resolve_says_that_it_does_not_know_all_if_one_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "cut.ppkg").write_bytes(PINS.read_bytes()[:1000])

    assert "each of them could win over those below" in " ".join(
        run("resolve", tmp_path / "cut.ppkg", PINS).output.split()
    )


def test_diff_says_what_became_of_each_part(written: Write) -> None:
    old = written("office.ppkg", settings=[Setting("A/B", "1")])
    new = written("office2.ppkg", name="office", settings=[Setting("A/B", "2")], version="1.1")

    lines = run("diff", old, new, "--wide").output.splitlines()

    assert lines[2:] == ["metadata  1", "  ~ version: 1.0 -> 1.1", "setting  1", "  ~ A/B: 1 -> 2", "2 differences"]


def test_a_name_from_a_package_controls_no_terminal_and_begins_no_line(written: Write) -> None:
    hostile = "x\u202e\u0085\n! id-differs: y\tz"
    path = written(
        "a.ppkg", name=hostile, settings=[Setting(f"Accounts/Users/User[UserName={hostile}]/UserGroup", hostile)]
    )

    for words in (("show", path), ("lint", path), ("resolve", path, "--wide"), ("diff", path, PINS)):
        for form in ("text", "json"):
            output = run(*words, "--format", form).output
            assert "\u202e" not in output
            assert "\u0085" not in output
            assert not [line for line in output.splitlines() if line.startswith("! id-differs: y")]


# -- JSON -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def everything(written: Write) -> Path:
    """Return a package with something of everything."""
    return written(
        "all.ppkg",
        owner="ITPro",
        image={"NAME": "another"},
        settings=[
            Setting("Policies/Start/X", "Yes", compiled="1"),
            Setting("Accounts/Users/User[UserName=kim]/Password", "hunter2"),
            Setting("Accounts/Azure/BPRT", "0.AXtoken"),
            *command("setup", "net user kim hunter2"),
        ],
        variants=[Variant("sim", [[Condition("Mcc", "311")]], [Setting("Policies/Start/X", "No", compiled="0")])],
        assets=[Asset(FILES, "setup.cmd", b"rem")],
    )


@pytest.mark.parametrize("command_", COMMANDS)
def test_the_json_of_every_command_is_as_the_schema_says(command_: str, everything: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.ppkg").write_bytes(PINS.read_bytes()[:1000])
    accepted = document_of(command_).accepts

    for files in ((everything, MOSD), (everything, tmp_path / "cut.ppkg")):
        document = json.loads(run(command_, *files, "--format", "json").output)
        assert document["command"] == command_
        assert accepted(document)
        assert not accepted({**document, "version": 2})


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads((ROOT / "docs" / "package.schema.json").read_text("utf-8")) == schema()


def test_a_document_without_a_field_or_with_another_type_is_not_accepted() -> None:
    document = json.loads(run("show", MOSD, "--format", "json").output)
    accepts = document_of("show").accepts
    package_ = document["files"][0]["package"]

    assert accepts(document)
    for name, value in list(package_.items()):
        del package_[name]
        assert not accepts(document), name
        package_[name] = object()
        assert not accepts(document), name
        package_[name] = value


def test_the_same_file_is_read_once_however_often_it_is_named() -> None:
    assert len(json.loads(run("show", PINS, PINS, "--format", "json").output)["files"]) == 1


# -- no secret anywhere -----------------------------------------------------------------------------------------------

USER = "Accounts/Users/User[UserName=kim]"
HIDDEN = (
    f'<wap-provisioningdoc><characteristic type="Accounts"><parm name="Password" value="{CANARY}" datatype="string" />'
    "</characteristic></wap-provisioningdoc>"
).encode()
PLANTED: dict[str, dict[str, Any]] = {
    "a password": {"settings": [Setting(f"{USER}/Password", CANARY)]},
    "a password under a condition": {
        "variants": [Variant("sim", [[Condition("Mcc", "311")]], [Setting(f"{USER}/Password", CANARY)])]
    },
    "compiled only": {"files": {"Multivariant/0/Prov/RunTime/9__Accounts.provxml": HIDDEN}},
    "in a command line": {"settings": command("a", f"net user kim {CANARY} /add")},
    "in a command line of a context": {
        "settings": command("", f"cmd /c x.cmd --password {CANARY}", context="DeviceContext")
    },
    "known, in a command line": {
        "settings": [Setting(f"{USER}/Password", CANARY), *command("a", f"anything {CANARY} /y")]
    },
    "in a script": {"assets": [Asset(FILES, "a.ps1", f"$Password = '{CANARY}'".encode("utf-16"))]},
    "of a certificate": {
        "settings": [Setting("Certificates/ClientCertificates/Cert[CertificateName=v]/CertificatePassword", CANARY)]
    },
    "of an account for device management": {"settings": [Setting("DMAcc/Account[AccountId=1]/AuthSecret", CANARY)]},
    "a Wi-Fi key in XML": {
        "settings": [Setting("A/WlanXml", f"<WLANProfile><keyMaterial>{CANARY}</keyMaterial></WLANProfile>")]
    },
    "a token": {"settings": [Setting("Accounts/Azure/BPRT", CANARY)]},
    "in the notes": {"settings": [Setting(f"{USER}/Password", CANARY)], "notes": CANARY, "description": f"is {CANARY}"},
    "in what cannot be read": {
        "files": {"Multivariant/0/customizations.xml": f"<a><Password>{CANARY}</a>".encode()},
    },
    "in what is too large": {
        "files": {
            "Multivariant/0/customizations.xml": (
                "<W><PackageConfig/><Settings><Customizations><Common>"
                + f"<Password>{CANARY}</Password>" * 20_001
                + "</Common></Customizations></Settings></W>"
            ).encode()
        },
    },
}


@pytest.mark.parametrize("place", PLANTED)
def test_no_command_shows_a_secret_in_any_output(place: str, written: Write) -> None:
    path = written("a.ppkg", **PLANTED[place])
    other = written("b.ppkg", id=ID.replace("1", "2"), **{**PLANTED[place], "rank": 5})
    said = ""

    for form in ("text", "json"):
        for words in (
            ("show", path),
            ("lint", path),
            ("diff", path, other),
            ("diff", path, PINS),
            ("resolve", path, other),
        ):
            result = run(*words, "--format", form, "--wide")
            assert code(result) in (0, 2, 4)
            said += result.output + result.stderr

    assert said
    assert CANARY not in said
    assert CANARY.encode("utf-16-le").hex() not in said


@pytest.mark.parametrize("command_", ["show", "lint", "resolve"])
def test_no_secret_is_in_the_log_of_a_process(command_: str, written: Write) -> None:
    paths = [written(f"{number}.ppkg", **told) for number, told in enumerate(PLANTED.values())]

    ran = provmode(command_, *paths, "--debug", "--wide")

    assert ran.returncode in (4, 6)
    assert "Traceback" not in ran.stderr
    assert CANARY not in ran.stdout + ran.stderr


def test_every_meaning_of_an_exit_code_is_in_the_help_of_every_part() -> None:
    for command_ in COMMANDS:
        words = " ".join(run(command_, "--help").output.split())
        for number, meaning in EXIT_CODES["package"].meanings.items():
            assert f"{number} {meaning}" in words
