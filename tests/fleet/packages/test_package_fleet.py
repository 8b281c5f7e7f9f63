"""``provmode package fleet`` over PCs of the lab: which packages there are, each read once, and what is wrong."""

from __future__ import annotations

import importlib.util
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from provmode.errors import Unreachable
from provmode.fleet.packages.kinds import FINDINGS
from provmode.fleet.packages.run import packages_inventory
from provmode.fleet.results import PACKAGE_FLEET
from provmode.lab.packages.signer import self_signed, signed
from provmode.lab.packages.writer import Setting
from provmode.lab.packages.writer import command as runs
from provmode.lab.windows.store import HKLM
from provmode.report.packages.fleet import print_packages
from provmode.report.packages.fleet_document import schema

OTHER = "{1f4e2c40-9d5f-41b4-ab8b-0ec5dd0fc160}"
CANARY = "Canary-Pa55word-7f3a"
SECRET = Setting("Accounts/Users/User[UserName=kim]/Password", CANARY)
TOKEN = Setting("Accounts/Azure/BPRT", "0.AVYA" + "x" * 400)
DOCS = Path(__file__).parents[3] / "docs"
Furnish = Callable[..., Any]
Make = Callable[..., Any]


def document(commands: Any, *arguments: str, code: int | None = None) -> dict[str, Any]:
    """Return what the command says as JSON."""
    ended = commands.run("package", "fleet", commands.inventory, "--format", "json", *arguments)
    assert code is None or ended.code == code, ended.err + ended.out
    found: dict[str, Any] = json.loads(ended.out)
    return found


FOLDERS = {"image": "C:\\Windows\\Provisioning\\Packages"}


def row(found: dict[str, Any], host: str = "PC-1") -> dict[str, Any]:
    """Return a host's row."""
    (one,) = (row for row in found["hosts"] if row["host"] == host)
    return dict(one)


def codes(found: dict[str, Any], host: str = "PC-1") -> list[str]:
    """Return the codes of a host's findings."""
    return [finding["code"] for finding in row(found, host)["findings"]]


INBOX = 6
"""Packages that every PC of the lab has."""


def own(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the packages of a fleet but those that every Windows has."""
    return [package for package in found["packages"] if not package["inbox"]]


def processes(pc: Any) -> int:
    """Return how many processes were started on a PC."""
    return pc.actions.count("Command")


def wanted(commands: Any, *packages: dict[str, Any]) -> str:
    """Return the option that says which packages every host should have."""
    return f"provmode_packages={json.dumps(list(packages))}"


# -- the fleet's packages ---------------------------------------------------------------------------------------------


def test_a_fleet_without_packages_is_clean(commands: Any, furnished: Furnish) -> None:
    furnished("PC-1")

    found = document(commands, code=0)

    assert found["summary"] == {
        **{"total": 1, "findings": 0, "clean": 1, "not_told": 0, "unassessed": 0},
        **{"packages": 0, "inbox": INBOX},
    }


def test_a_package_is_read_once_for_the_whole_fleet(commands: Any, furnished: Furnish, made: Make) -> None:
    kiosk = made(version="1.2")
    pcs = [furnished(f"PC-{number}").have(kiosk).pc for number in range(1, 6)]

    found = document(commands, code=0)

    (package,) = own(found)
    assert (package["sha256"], package["hosts"], package["places"]) == (kiosk.sha256, 5, {"kept": 5})
    assert package["package"]["known"]["version"] == "1.2"
    assert package["package"]["known"]["id"] == kiosk.id
    assert sum(map(processes, pcs)) == 5 + INBOX + 1, "each package was read on one of them"


def test_a_pc_with_five_known_packages_is_one_process_and_few_requests(
    commands: Any, furnished: Furnish, made: Make, tmp_path: Path
) -> None:
    pc, options = furnished("PC-1"), list[str]()
    for number in range(5):
        one = made(f"package {number}", id=f"{{00000000-0000-0000-0000-00000000000{number}}}")
        pc.have(one, f"{number}.ppkg")
        (tmp_path / f"{number}.ppkg").write_bytes(one.data)
        options += ["--known", str(tmp_path / f"{number}.ppkg")]

    for name in pc.pc.machine.files.listdir(FOLDERS["image"]):
        (tmp_path / name).write_bytes(pc.pc.machine.files.read(f"{FOLDERS['image']}\\{name}"))
        options += ["--known", str(tmp_path / name)]
    found = document(commands, *options, code=0)

    assert row(found)["requests"] <= 30
    assert (processes(pc.pc), found["summary"]["packages"]) == (1, 5)


@pytest.mark.parametrize("dies", ["before", "within"])
def test_if_the_host_that_is_asked_dies_another_is_asked(
    commands: Any, furnished: Furnish, made: Make, dies: str
) -> None:
    kiosk = made()
    first, second = (furnished(name).have(kiosk).pc for name in ("PC-1", "PC-2"))

    def die() -> None:
        first.error = Unreachable("it went off")

    if dies == "before":
        second.before("Win32_Service", die)  # both were looked at by then
    else:
        first.before("windows/shell/Send", die)  # while its bytes are read

    found = document(commands)

    assert own(found)[0]["package"]["known"]["id"] == kiosk.id
    assert first.error is not None


def test_a_package_that_nobody_can_read_is_said_with_its_cause_and_not_asked_for_again(
    commands: Any, furnished: Furnish, made: Make
) -> None:
    locked = made(designer={"EncryptPackage": "True"})
    pcs = [furnished(f"PC-{number}").have(locked).pc for number in (1, 2)]

    found = document(commands, code=8)

    assert own(found)[0]["package"]["unknown"]["cause"] == "package:encrypted"
    (unread,) = row(found)["unread"]
    assert unread["cause"] == "package:encrypted"
    assert "look at the project" not in unread["text"], "the report says once what to do"
    assert found["summary"]["clean"] == 0
    assert sum(map(processes, pcs)) == 2 + INBOX + 1


def test_the_packages_of_windows_itself_are_set_apart(commands: Any, furnished: Furnish, made: Make) -> None:
    furnished("PC-1").keep(made("inbox", id=OTHER), "Power.Settings.Other.ppkg", "image")

    found = document(commands, code=0)

    assert codes(found) == []
    assert (found["summary"]["packages"], found["summary"]["inbox"]) == (0, INBOX + 1)


@pytest.mark.parametrize("settings", [[SECRET], runs("user", "cmd /c ver")])
def test_a_package_that_only_has_such_a_name_is_not_set_apart(
    commands: Any, furnished: Furnish, made: Make, settings: list[Setting]
) -> None:
    furnished("PC-1").keep(made("inbox", settings=settings), "Power.Settings.Sleep.ppkg", "image")

    found = document(commands)

    assert "not-applied" not in codes(found), "its name is that of a result"
    assert [package["names"] for package in own(found)] == [["Power.Settings.Sleep.ppkg"]]
    assert codes(found) == (["secrets"] if settings == [SECRET] else [])


# -- findings ---------------------------------------------------------------------------------------------------------


def test_files_and_results_that_do_not_meet(commands: Any, furnished: Furnish, made: Make) -> None:
    furnished("PC-1").keep(made()).apply(made(id=OTHER), "gone.ppkg")
    furnished("PC-2").keep(made(), place="reset")

    found = document(commands, code=2)

    assert codes(found, "PC-1") == ["not-applied", "no-file"]
    assert "gone.ppkg: applied, and its file is gone" in row(found, "PC-1")["findings"][1]["text"]
    assert codes(found, "PC-2") == ["at-reset"], "a hint does not raise the exit code"
    assert found["summary"]["findings"] == 1


def test_a_failed_part_is_said_with_its_number_and_node(commands: Any, furnished: Furnish, made: Make) -> None:
    furnished("PC-1").keep(made()).apply(made(), result=0x80070005, node="./Vendor/MSFT/Policy/Config/Start")

    (finding,) = row(document(commands, code=2))["findings"]

    assert finding["code"] == "failed"
    assert finding["text"].endswith("failed with 0x80070005 at ./Vendor/MSFT/Policy/Config/Start")
    assert finding["text"].startswith("kiosk 1.0: ")


@pytest.mark.parametrize("required", [0, 1])
def test_unsigned_matters_where_a_signature_is_required(
    commands: Any, furnished: Furnish, made: Make, required: int
) -> None:
    furnished("PC-1").have(made()).policy("RequireProvisioningPackageSignature", required)

    assert codes(document(commands, code=2 * required)) == ["unsigned"] * required


def test_a_package_of_the_image_needs_no_signature(commands: Any, furnished: Furnish, made: Make) -> None:
    pc = furnished("PC-1").keep(made(), place="image").apply(made())
    pc.policy("RequireProvisioningPackageSignature", 1)

    assert codes(document(commands, code=0)) == []


def test_signed_is_trusted_only_by_the_pcs_own_store(commands: Any, furnished: Furnish, made: Make) -> None:
    signer = self_signed()
    good = replace(made(), data=signed(made().data, signer))
    for name in ("PC-1", "PC-2"):
        furnished(name).have(good).policy("RequireProvisioningPackageSignature", 1)
    commands.bench.pcs["PC-2"].machine.registry.create_key(
        HKLM, f"SOFTWARE\\Microsoft\\Provisioning\\TrustedProvisioners\\Certificates\\{signer.thumbprint}"
    )

    found = document(commands, code=2)

    assert codes(found, "PC-1") == ["untrusted"]
    assert codes(found, "PC-2") == []


def test_a_tampered_package_is_found_whatever_policies_say(commands: Any, furnished: Furnish, made: Make) -> None:
    data = bytearray(signed(made().data, self_signed()))
    data[188 + 8 + 2] ^= 1  # unused bytes of the header: everything but the signature is as it was
    furnished("PC-1").have(replace(made(), data=bytes(data)))

    assert "tampered" in codes(document(commands, code=2))


def test_secrets_are_said_by_place_and_kind_and_never_by_value(
    commands: Any, furnished: Furnish, made: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    line = f'cmd /c net user kim "{CANARY}"'
    furnished("PC-1").have(made(settings=[SECRET, *runs("user", line)]))
    command = ("package", "fleet", commands.inventory, "--debug")

    outputs = [commands.run(*command, *more) for more in ((), ("--wide",), ("--format", "json"))]

    for ended in outputs:
        assert ended.code == 2
        assert CANARY not in ended.out + ended.err + caplog.text
        assert "Accounts/Users/User[UserName=kim]/Password" in ended.out


@pytest.mark.parametrize(("days", "code"), [(181, "token-dead"), (170, "token-dies"), (1, None)])
def test_a_token_is_dead_after_180_days_at_the_latest(
    commands: Any, furnished: Furnish, made: Make, days: int, code: str | None
) -> None:
    furnished("PC-1").have(made(settings=[TOKEN], made=commands.bench.now() - timedelta(days=days)))

    found = codes(document(commands, code=2))

    assert [each for each in found if each != "secrets"] == ([code] if code else [])


def test_names_from_a_pc_control_no_terminal(commands: Any, furnished: Furnish, made: Make) -> None:
    name = "a;b & 100% \N{RIGHT-TO-LEFT OVERRIDE}gkpp.ppkg"
    furnished("PC-1").keep(made("Kiosk \N{RIGHT-TO-LEFT OVERRIDE}x"), name)

    ended = commands.run("package", "fleet", commands.inventory)
    found = document(commands)

    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in ended.out
    assert row(found)["packages"][0]["path"].endswith(name)
    assert "known" in row(found)["packages"][0]["sha256"], "every name was hashed by the one line"


# -- drift ------------------------------------------------------------------------------------------------------------


def entry(one: Any, version: str = "1.0") -> dict[str, str]:
    """Return how the inventory names a package without its file."""
    return {"id": one.id, "version": version, "sha256": one.sha256}


def test_a_wanted_package_that_is_there_is_no_drift(
    commands: Any, furnished: Furnish, made: Make, tmp_path: Path
) -> None:
    furnished("PC-1").have(made())
    (tmp_path / "kiosk.ppkg").write_bytes(made().data)

    by_file = document(commands, "--data", wanted(commands, {"file": str(tmp_path / "kiosk.ppkg")}), code=0)
    by_hash = document(commands, "--data", wanted(commands, entry(made())), code=0)

    assert codes(by_file) == codes(by_hash) == []


@pytest.mark.parametrize("what", ["missing", "other-version", "other-bytes", "unwanted", "version-not-told"])
def test_drift_is_found(commands: Any, furnished: Furnish, made: Make, what: str) -> None:
    one, pc = made(), furnished("PC-1")
    if what == "other-version":
        pc.have(made(version="0.9"))
    elif what == "other-bytes":
        pc.have(made(settings=[Setting("Policies/Start/HidePowerButton", "Yes")]))
    elif what == "version-not-told":
        pc.apply(one)
    elif what == "unwanted":
        pc.have(one)
    target = {"id": one.id, "present": False} if what == "unwanted" else entry(one)

    found = codes(document(commands, "--data", wanted(commands, target), code=2))

    assert found[0] == what
    assert set(found[1:]) <= {"no-file"}


def test_nothing_is_missing_as_long_as_a_package_on_the_pc_cannot_be_read(
    commands: Any, furnished: Furnish, made: Make
) -> None:
    furnished("PC-1").keep(made(id=OTHER, designer={"EncryptPackage": "True"}))

    found = document(commands, "--data", wanted(commands, entry(made())), code=8)

    assert codes(found) == [], "the package may be the wanted one"
    assert row(found)["unread"]


def test_a_package_that_the_inventory_does_not_name_is_a_hint(commands: Any, furnished: Furnish, made: Make) -> None:
    furnished("PC-1").have(made())

    assert codes(document(commands, "--data", wanted(commands), code=0)) == ["not-listed"]


def test_a_policy_that_forbids_adding_is_said_beside_what_is_missing(
    commands: Any, furnished: Furnish, made: Make
) -> None:
    furnished("PC-1").policy("AllowAddProvisioningPackage", 0)

    (finding,) = row(document(commands, "--data", wanted(commands, entry(made()))))["findings"]

    assert finding["text"].endswith("a policy forbids adding packages on the PC")


@pytest.mark.parametrize("word", ["not a package", "missing.ppkg"])
def test_a_wanted_file_that_cannot_be_read_ends_the_run_before_it_begins(
    commands: Any, furnished: Furnish, tmp_path: Path, word: str
) -> None:
    pc = furnished("PC-1").pc
    file = tmp_path / "missing.ppkg"
    if word == "not a package":
        file.write_bytes(b"PK\x03\x04" + bytes(400))

    ended = commands.run("package", "fleet", commands.inventory, "--data", wanted(commands, {"file": str(file)}))

    assert ended.code == 1
    assert str(file) in ended.err
    assert pc.actions == []


# -- winners ----------------------------------------------------------------------------------------------------------


def test_winners_are_asked_only_if_wanted_and_only_of_pcs_whose_packages_set_policies(
    commands: Any, furnished: Furnish, made: Make
) -> None:
    pc, other = furnished("PC-1").have(made()).pc, furnished("PC-2").have(made(id=OTHER, settings=[TOKEN])).pc
    assert "winners" not in row(document(commands))
    before = len(other.actions)

    found = document(commands, "--winners", code=2)

    assert row(found)["winners"] == {"Policies/Start/ConfigureStartPins": {"absent": True}}
    assert "winner-absent" in codes(found)
    assert row(found, "PC-2")["winners"] == {}
    assert other.actions[before:].count("GetStringValue") == 0
    assert pc.changes == []


def test_a_winner_that_could_not_be_read_is_untold_and_no_difference(
    commands: Any, furnished: Furnish, made: Make
) -> None:
    pc = furnished("PC-1").have(made()).pc
    pc.refuse("ConfigureStartPins_WinningProvider", times=None)

    found = document(commands, "--winners", code=4)

    assert codes(found) == []
    assert [each["cause"] for each in row(found)["unread"]] == ["access-denied"]


# -- what could not be told -------------------------------------------------------------------------------------------


def test_without_shells_the_files_are_known_and_the_rest_could_not_be_told(
    commands: Any, furnished: Furnish, made: Make
) -> None:
    pc = furnished("PC-1").have(made()).pc
    pc.refuse("/shell/Command", kind="fault", times=None, code=0x803381AC, text="no shells")
    pc.refuse("transfer/Create", kind="fault", times=None, code=0x803381AC, text="no shells")

    found = document(commands, "--data", wanted(commands, entry(made())), code=4)

    assert {each["cause"] for each in row(found)["unread"]} == {"shells-forbidden"}
    assert len(row(found)["packages"]) == 1 + INBOX
    assert codes(found) == [], "nothing is claimed to be missing"
    assert "known" in row(found)["facts"]["applied_ids"]


def test_what_many_hosts_deny_is_one_entry_at_a_terminal_and_says_all_places_once(
    commands: Any, furnished: Furnish
) -> None:
    for name in ("PC-1", "PC-2"):
        pc = furnished(name).pc
        pc.refuse("enumeration/Enumerate", kind="fault", times=None, code=5, text="Access is denied.")

    found = document(commands, code=4)
    report = packages_inventory(commands.inventory, now=commands.bench.now, runner=commands.runner())
    shown = io.StringIO()
    print_packages(report, Console(file=shown, force_terminal=True, width=400))

    assert row(found)["unread"][0]["text"].startswith("packages (kept, asset-cache, reset, image, ")
    assert shown.getvalue().count("packages (kept, ") == 1
    assert "2 hosts: PC-1, PC-2" in shown.getvalue()


def test_hosts_that_cannot_be_looked_at_are_said_with_cause_and_next_step(
    commands: Any, furnished: Furnish, made: Make
) -> None:
    furnished("PC-1").have(made())
    furnished("PC-2").pc.error = Unreachable("no answer")

    found = document(commands, code=8)
    text = commands.run("package", "fleet", commands.inventory).out

    assert row(found, "PC-2")["cause"] == "connect-timeout"
    assert row(found, "PC-2")["next_step"]
    assert found["summary"]["unassessed"] == 1
    assert "unassessed  1 of 2" in text


def test_another_pc_than_the_one_that_is_meant_is_not_reported_on(
    commands: Any, furnished: Furnish, made: Make
) -> None:
    pc = furnished("PC-1").have(made()).pc
    pc.gives_name, pc.machine.computer_name = False, "ELSEWHERE"
    pc.meant = "PC-1"

    found = document(commands, code=4)

    assert row(found)["cause"] == "other-computer"
    assert "packages" not in row(found)


def test_two_hosts_that_are_one_pc_say_so(commands: Any, furnished: Furnish, made: Make) -> None:
    for name in ("PC-1", "PC-2"):
        furnished(name).pc.machine.computer_name = "PC-1"

    found = document(commands)

    assert "same-computer" in codes(found, "PC-1")
    assert "same-computer" in codes(found, "PC-2")


# -- text and JSON ----------------------------------------------------------------------------------------------------


def test_the_same_on_many_hosts_is_one_entry_and_wide_is_a_line_each(
    commands: Any, furnished: Furnish, made: Make
) -> None:
    for number in range(1, 13):
        furnished(f"PC-{number}").have(made(settings=[SECRET]))

    folded = commands.run("package", "fleet", commands.inventory, "--output", str(commands.bench.folder / "out"))
    wide = (commands.bench.folder / "out").read_text("utf-8")

    assert folded.code == 2
    assert wide.count("account password at") == 12
    assert "PC-12: kiosk 1.0 (kept): account password" in wide
    assert "12 hosts: 12 with findings, 0 without, 0 not told in full, 0 not looked at" in wide


def test_the_document_is_as_its_schema_says(commands: Any, furnished: Furnish, made: Make) -> None:
    spec = importlib.util.spec_from_file_location("test_plan", Path(__file__).parents[1] / "test_plan.py")
    assert spec is not None
    assert spec.loader is not None
    validator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(validator)
    furnished("PC-1").have(made(settings=[SECRET, TOKEN])).keep(made(id=OTHER), "b.ppkg", "reset")
    furnished("PC-2").pc.error = Unreachable("no answer")

    found = document(commands)

    assert validator.misfits(schema(), found, "packages") == []
    assert validator.misfits(schema(), {**found, "hosts": [{"host": "PC-1"}]}, "packages") != []


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads((DOCS / "package-fleet.schema.json").read_text("utf-8")) == schema()


def test_nothing_is_changed_and_the_hosts_are_as_before(commands: Any, furnished: Furnish, made: Make) -> None:
    pc = furnished("PC-1").have(made(settings=[SECRET])).pc

    document(commands)

    assert pc.changes == []


def test_every_finding_says_what_it_means_and_what_to_do() -> None:
    assert all(kind.means and kind.to_do for kind in FINDINGS.values())


# -- the documents ----------------------------------------------------------------------------------------------------


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table in a section of the reference, without its head."""
    text = (DOCS / "reference.md").read_text("utf-8")
    section = re.split(r"^##+ ", text[text.index(f" {heading}\n") + 1 :], flags=re.MULTILINE)[0]
    table = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_every_finding_is_documented_with_its_weight_and_what_to_do() -> None:
    assert rows("Packages of a fleet") == [
        [f"`{code}`", kind.weight.value, kind.means, kind.to_do] for code, kind in FINDINGS.items()
    ]


def test_every_exit_code_is_documented_and_in_the_help(commands: Any) -> None:
    shown = " ".join(commands.run("package", "fleet", "--help").out.split())

    assert rows("`package fleet`") == [[str(code), meaning] for code, meaning in PACKAGE_FLEET.meanings.items()]
    assert all(f"{code} {meaning}" in shown for code, meaning in PACKAGE_FLEET.meanings.items())
