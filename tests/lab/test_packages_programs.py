"""What adds and removes packages on a lab PC: DISM and the cmdlets of the module Provisioning, as scripts call them."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from provmode.lab.packages import traces
from provmode.lab.packages.catalogue import made, signer
from provmode.lab.packages.engine import KEPT, Engine, Faults
from provmode.lab.windows import cmd
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC
from provmode.lab.windows.store import HKLM, RegType

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
FILE = "C:\\My Share\\Büro & Co (2).ppkg"
BASE = made("base")
ADD = f'DISM.exe /Online /Add-ProvisioningPackage /PackagePath:"{FILE}"'


def a_pc(*, german: bool = False, package: str = "base") -> PC:
    pc = PC("PC-1", Clock(START, lambda: 0.0), german=german)
    pc.packages = Engine()
    pc.files.write(FILE, made(package).data, START)
    pc.files.write("C:\\signer.cer", signer().certificate.public_bytes(serialization.Encoding.DER), START)
    pc.start_recording()
    return pc


def engine(pc: PC) -> Engine:
    assert isinstance(pc.packages, Engine)
    return pc.packages


def run(pc: PC, line: str, stdin: str = "") -> tuple[int | None, str, str]:
    running = cmd.start(pc, line, codepage=65001)
    running.feed(stdin.encode(), end=True)
    out, err = (each.decode().replace("\r\n", "\n") for each in running.read())
    return running.exit_code, out, err


def script(pc: PC, text: str, stdin: str = "") -> tuple[int | None, str, str]:
    encoded = base64.b64encode(text.encode("utf-16-le")).decode()
    return run(pc, f"powershell.exe -NoProfile -NonInteractive -EncodedCommand {encoded}", stdin)


def answer(pc: PC, text: str, stdin: str = "") -> Any:
    code, out, err = script(pc, text, stdin)
    assert (code, err) == (0, ""), (code, out, err)
    return json.loads(out)


def installed(pc: PC) -> list[str]:
    return [each.name for each in engine(pc).installed(pc)]


# -- DISM -------------------------------------------------------------------------------------------------------


def test_dism_adds_a_package() -> None:
    pc = a_pc()

    code, output, errors = run(pc, ADD)

    assert (code, errors) == (0, "")
    assert output.startswith("\nDeployment Image Servicing and Management tool\nVersion: 10.0.22631.1\n")
    assert output.endswith("Image Version: 10.0.22631.4317\n\nThe operation completed successfully.\n")
    assert installed(pc) == ["Contoso Base"]
    assert pc.files.read(f"{KEPT}\\Büro & Co (2).ppkg") == BASE.data
    assert {item.road for item in pc.mutations} == {"shell"}


def test_dism_speaks_german_on_a_german_pc() -> None:
    pc = a_pc(german=True)

    assert "Tool zur Imageverwaltung für die Bereitstellung" in run(pc, ADD)[1]
    assert (
        "\nFehler: 2\n\nDas System kann die angegebene Datei nicht finden.\n"
        in run(pc, "dism /online /add-provisioningpackage /packagepath:C:\\none.ppkg")[1]
    )


@pytest.mark.parametrize(
    ("fault", "number", "shown"),
    [
        (0x80070002, 2, "Error: 2\n\nThe system cannot find the file specified."),
        (0x80070005, 5, "Error: 5\n\nAccess is denied."),
        (0x800700B7, 183, "Error: 183\n"),
        (0x800B0100, 0x800B0100, "Error: 0x800b0100\n"),
        (0xC0000061, 0xC0000061, "Error: 0xc0000061\n"),
    ],
)
def test_dism_ends_with_the_number_of_what_went_wrong(fault: int, number: int, shown: str) -> None:
    pc = a_pc()
    engine(pc).faults = Faults(add=fault)

    code, output, _ = run(pc, ADD)

    assert code == number
    assert shown in output
    assert "C:\\Windows\\Logs\\DISM\\dism.log" in output
    assert installed(pc) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("", 87),
        ("/Online", 87),
        ("/Online /Add-ProvisioningPackage", 87),
        ("/Add-ProvisioningPackage /PackagePath:C:\\a.ppkg", 87),
        (f'/Online /Add-ProvisioningPackage /PackagePath:"{FILE}" /Frobnicate', 87),
        (f'/Online /Add-ProvisioningPackage /PackagePath:"{FILE}" more', 87),
        ("/Online /Remove-ProvisioningPackage /PackagePath:C:\\a.ppkg", 87),
        ("/Online /Add-ProvisioningPackage /PackagePath:C:\\none.ppkg", 2),
        ("/Online /Add-ProvisioningPackage /PackagePath:C:\\none\\a.ppkg", 3),
        (f'/Online /Add-ProvisioningPackage /PackagePath:"{FILE}" /CatalogPath:C:\\none.cat', 2),
    ],
)
def test_dism_refuses_what_it_cannot_do(arguments: str, code: int) -> None:
    pc = a_pc()

    assert run(pc, f"dism {arguments}")[0] == code
    assert installed(pc) == []
    assert run(pc, f"dism {arguments} /quiet")[1] == ""


def test_dism_tells_what_a_file_holds() -> None:
    code, output, _ = run(a_pc(), f'dism /online /Get-ProvisioningPackageInfo "/PackagePath:{FILE}"')

    assert code == 0
    assert f"PackageID : {BASE.id}\nName : Contoso Base\nVersion : 1.2\n" in output


def test_without_an_engine_dism_and_the_cmdlets_say_that_it_is_not_there() -> None:
    pc = a_pc()
    pc.packages = None

    assert run(pc, ADD)[0] == 50
    assert script(pc, "$ErrorActionPreference = 'Stop'; Get-ProvisioningPackage -AllInstalledPackages")[0] == 1


# -- the cmdlets ------------------------------------------------------------------------------------------------

INSTALL = """
$ErrorActionPreference = 'Stop'
$reader = New-Object IO.StreamReader([Console]::OpenStandardInput(), [Text.Encoding]::UTF8)
$asked = ConvertFrom-Json $reader.ReadToEnd()
$answer = @{ result = 'failed' }
try {
    $found = Install-ProvisioningPackage -PackagePath $asked.path -QuietInstall
    $answer.id = [string]$found.PackageId
    $answer.installed = $found.IsInstalled
    $answer.results = @($found.Result)
    $answer.result = 'installed'
} catch {
    $answer.code = $_.Exception.HResult
    $answer.message = $_.Exception.Message
}
[Console]::Out.WriteLine((ConvertTo-Json $answer -Compress))
"""


def test_a_script_installs_a_package_that_it_is_told_on_standard_input() -> None:
    pc = a_pc()

    found = answer(pc, INSTALL, json.dumps({"path": FILE}))

    assert (found["result"], found["id"], found["installed"]) == ("installed", BASE.provider, True)
    assert found["results"] == [
        f"{xml}.provxml Category:Policies LastResult:Success NumberOfFailures:0"
        for xml in ("0__Policies_Start_HidePowerButton", "1__Policies_Experience_AllowCortana")
    ]
    assert installed(pc) == ["Contoso Base"]


@pytest.mark.parametrize(("fault", "code"), [(0x800700B7, 0x800700B7 - 2**32), (0x80070005, 0x80070005 - 2**32)])
def test_a_script_is_told_the_hresult(fault: int, code: int) -> None:
    pc = a_pc()
    engine(pc).faults = Faults(add=fault)

    found = answer(pc, INSTALL, json.dumps({"path": FILE}))

    assert (found["result"], found["code"]) == ("failed", code)
    assert f"0x{fault:08x}" in found["message"]


def test_what_failed_and_what_runs_is_in_the_result() -> None:
    pc = a_pc(package="join")
    engine(pc).faults = Faults(categories={"Accounts": (0x8007054B, "Accounts/ComputerAccount")})

    results = answer(pc, INSTALL, json.dumps({"path": FILE}))["results"]

    assert results[0] == (
        "0__Accounts_ComputerAccount_Account.provxml Category:Accounts "
        "LastResult:Error (0x8007054b) Accounts/ComputerAccount NumberOfFailures:1"
    )
    assert [each.split()[2] for each in results if "ProvisioningCommands" in each] == ["LastResult:Pending"]


def test_without_quiet_install_nobody_is_there_to_be_asked() -> None:
    pc = a_pc()

    assert script(pc, f"$ErrorActionPreference = 'Stop'; Install-ProvisioningPackage '{FILE}'")[0] == 1
    assert installed(pc) == []
    assert script(pc, f"Add-ProvisioningPackage '{FILE}' -Quiet | Out-Null") == (0, "", "")
    assert installed(pc) == ["Contoso Base"]


def test_force_install_applies_what_is_there_already() -> None:
    pc = a_pc()
    key, name = f"{traces.POLICIES}\\current\\device\\Start", "HidePowerButton"
    script(pc, f"Install-ProvisioningPackage '{FILE}' -QuietInstall")
    pc.registry.set(HKLM, key, name, RegType.DWORD, 9)

    assert answer(pc, INSTALL, json.dumps({"path": FILE}))["result"] == "installed", "nothing is said"
    assert [each.data for each in [pc.registry.get(HKLM, key, name)] if each] == [9]
    script(pc, f"Install-ProvisioningPackage -PackagePath '{FILE}' -ForceInstall -QuietInstall")
    assert [each.data for each in [pc.registry.get(HKLM, key, name)] if each] == [1]


def test_packages_are_listed_and_found_by_id_and_by_file() -> None:
    pc = a_pc()
    listing = "ConvertTo-Json @(Get-ProvisioningPackage -AllInstalledPackages) -Compress"
    assert answer(pc, listing) == []
    assert answer(pc, f"ConvertTo-Json (Get-ProvisioningPackage -PackagePath '{FILE}').IsInstalled") is False

    script(pc, f"Install-ProvisioningPackage '{FILE}' -QuietInstall")

    found = answer(pc, listing)
    shown = {name: value for name, value in found[0].items() if name != "Result"}
    assert shown == {
        "IsInstalled": True,
        "PackageID": BASE.provider,
        "PackageName": "Contoso Base",
        "PackagePath": f"{KEPT}\\Büro & Co (2).ppkg",
        "Description": "",
        "Rank": 0,
        "Altitude": 5000,
        "Version": "1.2",
        "OwnerType": "ITAdmin",
        "Notes": "Made by the desk for clients",
    }
    for identity in (BASE.id, BASE.provider, BASE.id.upper()):
        assert answer(pc, f"ConvertTo-Json (Get-ProvisioningPackage -PackageId '{identity}').Version") == "1.2"
    assert answer(pc, f"ConvertTo-Json (Get-ProvisioningPackage -PackagePath '{FILE}').IsInstalled") is True
    code, output, _ = script(pc, "Get-ProvisioningPackage -AllInstalledPackages")
    assert (code, "PackageName : Contoso Base\n" in output) == (0, True)


UNINSTALL = """
$ErrorActionPreference = 'Stop'
$reader = New-Object IO.StreamReader([Console]::OpenStandardInput(), [Text.Encoding]::UTF8)
$asked = ConvertFrom-Json $reader.ReadToEnd()
$answer = @{ result = 'removed' }
try {
    $null = Uninstall-ProvisioningPackage -PackageId $asked.id
} catch {
    $answer = @{ code = $_.Exception.HResult }
}
$answer.left = @(Get-ProvisioningPackage -AllInstalledPackages).Count
[Console]::Out.WriteLine((ConvertTo-Json $answer -Compress))
"""


def test_a_script_removes_a_package_by_its_id() -> None:
    pc = a_pc()
    run(pc, ADD)

    assert answer(pc, UNINSTALL, json.dumps({"id": BASE.id})) == {"result": "removed", "left": 0}
    assert pc.files.listdir(KEPT) is None
    assert answer(pc, UNINSTALL, json.dumps({"id": BASE.id})) == {"code": 0x80070490 - 2**32, "left": 0}


def test_a_policy_that_forbids_removing_is_told() -> None:
    pc = a_pc()
    run(pc, ADD)
    pc.registry.set(HKLM, traces.SECURITY, "AllowRemoveProvisioningPackage", RegType.DWORD, 0)

    assert answer(pc, UNINSTALL, json.dumps({"id": BASE.id})) == {"code": 0x80070005 - 2**32, "left": 1}


def test_all_packages_are_removed_at_once() -> None:
    pc = a_pc()
    run(pc, ADD)
    pc.files.write("C:\\kiosk.ppkg", made("kiosk").data, START)
    run(pc, "dism /online /add-provisioningpackage /packagepath:C:\\kiosk.ppkg")
    names = "foreach ($each in @(Get-ProvisioningPackage -AllInstalledPackages)) { Write-Output $each.PackageName }"
    assert script(pc, names)[1] == "Contoso Base\nContoso Kiosk\n"

    assert script(pc, "Uninstall-ProvisioningPackage -AllInstalledPackages | Out-Null") == (0, "", "")
    assert installed(pc) == []


def test_certificates_are_trusted_listed_and_distrusted() -> None:
    pc = a_pc(package="signed")
    pc.registry.set(HKLM, traces.SECURITY, "RequireProvisioningPackageSignature", RegType.DWORD, 1)
    assert answer(pc, INSTALL, json.dumps({"path": FILE}))["code"] == 0x800B0109 - 2**32
    listing = "ConvertTo-Json @(@(Get-TrustedProvisioningCertificate).Thumbprint) -Compress"

    name = answer(
        pc, "ConvertTo-Json (Install-TrustedProvisioningCertificate -CertificatePath 'C:\\signer.cer').Thumbprint"
    )

    assert name == signer().thumbprint
    assert answer(pc, listing) == [name]
    assert answer(pc, INSTALL, json.dumps({"path": FILE}))["result"] == "installed"
    assert script(pc, f"Uninstall-TrustedProvisioningCertificate -Thumbprint '{name}'") == (0, "", "")
    assert answer(pc, listing) == []


@pytest.mark.parametrize(
    "text",
    [
        "Install-ProvisioningPackage",
        "Install-ProvisioningPackage -QuietInstall",
        "Install-ProvisioningPackage -PackagePath",
        "Install-ProvisioningPackage -PackagePath $null -QuietInstall",
        "Install-ProvisioningPackage -PackagePath 'a' -Frobnicate",
        "Install-ProvisioningPackage 'a' 'b' -QuietInstall",
        "Uninstall-ProvisioningPackage",
        "Get-ProvisioningPackage -Package 'x'",
        "Uninstall-TrustedProvisioningCertificate",
    ],
)
def test_parameters_that_do_not_fit_end_the_script(text: str) -> None:
    code, _, errors = script(a_pc(), f"{text}\n'behind'")

    assert code == 1
    assert "ParameterBinding" in errors


def test_a_failure_ends_a_script_only_if_it_is_to_stop_at_failures() -> None:
    pc = a_pc()
    call = "Install-ProvisioningPackage -PackagePath 'C:\\none.ppkg' -QuietInstall"

    code, output, errors = script(pc, f"{call}\n'behind'")
    assert (code, output) == (0, "behind\n")
    assert "0x80070002" in errors
    assert script(pc, f"{call} -ErrorAction SilentlyContinue\n'behind'") == (0, "behind\n", "")
    assert script(pc, f"{call} -ErrorAction Stop\n'behind'")[:2] == (1, "")
    assert script(pc, f"$ErrorActionPreference = 'Stop'\n{call}\n'behind'")[:2] == (1, "")


def test_in_constrained_language_the_cmdlets_run_and_net_does_not() -> None:
    pc = a_pc()
    pc.constrained_language = True

    assert script(pc, f"Install-ProvisioningPackage -PackagePath '{FILE}' -QuietInstall | Out-Null") == (0, "", "")
    assert installed(pc) == ["Contoso Base"]
    code, output, errors = script(pc, INSTALL, json.dumps({"path": FILE}))
    assert (code, output) == (1, "")
    assert "CannotCreateTypeConstrainedLanguage" in errors or "MethodInvocationNotSupported" in errors
    assert script(pc, "$x = [Convert]::ToBase64String($null)")[0] == 1
    assert script(pc, "'Ab'.ToUpper()") == (0, "AB\n", "")


# -- the language -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("@().Count", "0\n"),
        ("@('a').Count", "1\n"),
        ("[string]5 + 'x'", "5x\n"),
        ("[int]'7' + 1", "8\n"),
        ("[bool]'x'", "True\n"),
        ("$null = 'x'; $null -eq $null", "True\n"),
        ("foreach ($x in @('a')) { $x }", "a\n"),
        ("foreach ($x in $null) { 'never' }", ""),
        ("@{ a = 1 } | ConvertTo-Json -Compress", '{"a":1}\n'),
        ("'[1,2]' | ConvertFrom-Json | ConvertTo-Json -Compress", "[1,2]\n"),
    ],
)
def test_lists_casts_loops_and_pipelines(text: str, output: str) -> None:
    assert script(a_pc(), text) == (0, output, "")


@pytest.mark.parametrize("text", ["1 | 2", "foreach ('x' in 'y') { }", "[Frob]'x'", "@(", "'a' |"])
def test_what_is_not_of_the_language_fails(text: str) -> None:
    assert script(a_pc(), text)[0] == 1
