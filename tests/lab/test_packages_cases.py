"""The kinds of PC by their packages: each PC is as its truth says, seen by its own CIM and programs."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab import fleet
from provmode.lab.packages import cases, catalogue, inbox
from provmode.lab.packages.cases import CASES, Case
from provmode.lab.personas import BY_NAME, PERSONAS, build_pc
from provmode.lab.windows import cmd
from provmode.lab.windows.pc import PC

START = datetime(2026, 11, 26, 8, 0, tzinfo=timezone.utc)
NAMES = [case.name for case in CASES]
POLICIES = "HKLM\\SOFTWARE\\Microsoft\\PolicyManager\\current\\device"
PROVISIONING = "HKLM\\SOFTWARE\\Microsoft\\Provisioning"


def build(case: str, persona: str = "healthy", seed: int = 1) -> PC:
    return build_pc(BY_NAME[persona], f"PC-{seed}", seed, START, lambda: 0.0, case)


def run(pc: PC, line: str) -> str:
    running = cmd.start(pc, line, codepage=65001)
    running.feed(b"", end=True)
    return running.read()[0].decode().replace("\r\n", "\n")


def keys(pc: PC, key: str) -> dict[str, dict[str, str]]:
    """Return the values below a key as ``reg query /s`` shows them: by the rest of the key's path."""
    found: dict[str, dict[str, str]] = {}
    at = ""
    for line in run(pc, f'reg query "{key}" /s').splitlines():
        if line.startswith("HKEY_"):
            at = line.removeprefix("HKEY_LOCAL_MACHINE\\" + key.partition("\\")[2]).strip("\\")
            found[at] = {}
        elif line.startswith("    "):
            name, _, data = line.strip().split("    ", 2)
            found[at][name] = data
    return found


def files(pc: PC) -> dict[str, str]:
    """Return the SHA-256 of all packages that are not Windows' own, by path in lower case, as certutil tells them."""
    rows = pc.query("root/cimv2", "SELECT Name FROM CIM_DataFile WHERE Extension = 'ppkg'")
    own = {name.lower() for name in inbox.NAMES}
    paths = [row["Name"] for row in rows if row["Name"].rpartition("\\")[2] not in own]
    return {path: run(pc, f'certutil -hashfile "{path}" SHA256').splitlines()[1] for path in paths}


def applied(pc: PC) -> dict[str, tuple[str, str]]:
    """Return file name and state of each package that left results, by id, without Windows' own."""
    found = {}
    results = keys(pc, f"{PROVISIONING}\\Results")
    for identity in {key.split("\\")[0] for key in results if key}:
        name = results[identity]["PackageFileName"]
        codes = [
            int(row["LastResult"], 16) for key, row in results.items() if key.startswith(identity) and "State" in row
        ]
        state = "failed" if any(code >= 2**31 for code in codes) else "pending" if any(codes) else "succeeded"
        if name not in inbox.NAMES:
            found[identity] = (name, state)
    return found


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_pc_is_as_its_truth_says(case: Case) -> None:
    pc, truth = build(case.name), cases.truth(case)

    assert files(pc) == {each["path"].lower(): each["sha256"] for each in truth["files"]}
    assert applied(pc) == {each["id"]: (each["file"], each["state"]) for each in truth["applied"]}
    areas = keys(pc, POLICIES)
    winners = {
        f"{area}/{name.removesuffix('_WinningProvider')}": data
        for area, row in areas.items()
        for name, data in row.items()
        if name.endswith("_WinningProvider")
    }
    assert winners == truth.get("winners", {})
    security = {name: int(data, 16) for name, data in areas.get("Security", {}).items()}
    assert security == truth.get("policies", {})
    store = keys(pc, f"{PROVISIONING}\\TrustedProvisioners\\Certificates")
    assert [name for name in store if name] == truth.get("trusted", [])
    failures = [each["failure"] for each in truth["applied"] if "failure" in each]
    told = keys(pc, f"{PROVISIONING}\\Results").values()
    assert {(row["LastResult"], row["FailingNodePath"]) for row in told if "FailingNodePath" in row} == {
        (each["code"], each["node"]) for each in failures
    }


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_places_of_the_truth_are_those_of_the_files(case: Case) -> None:
    for each in cases.truth(case)["files"]:
        begins = {
            "kept": "C:\\ProgramData\\Microsoft\\Provisioning\\",
            "reset": "C:\\Recovery\\Customizations\\",
            "image": "C:\\Windows\\Provisioning\\Packages\\",
            "removable": "E:\\",
        }
        assert each["path"].startswith(begins[each["place"]])


def test_every_pc_has_windows_own_packages_and_their_results() -> None:
    pc = build("inbox")
    listed = run(pc, "dir /b C:\\Windows\\Provisioning\\Packages").split("\n")[:-1]
    results = keys(pc, f"{PROVISIONING}\\Results")

    assert listed == sorted(inbox.NAMES)
    assert sorted(row["PackageFileName"] for row in results.values() if "PackageFileName" in row) == listed
    assert "FirstRunComplete" in keys(pc, PROVISIONING)[""]


def test_what_runs_is_done_in_time() -> None:
    pc = build("running")
    pc.advance(15 * 60)
    assert {state for _, state in applied(pc).values()} == {"pending"}
    pc.advance(10 * 60)

    assert {state for _, state in applied(pc).values()} == {"succeeded"}
    assert all(change.road == "self" for change in pc.mutations)


@pytest.mark.parametrize("case", NAMES)
def test_building_records_no_change_and_leaves_no_file_behind(case: str) -> None:
    pc = build(case)

    assert pc.mutations == []
    assert [name for name in pc.files.listdir("C:") or [] if "." in name] == []


def test_the_same_packages_are_the_same_bytes_on_every_pc() -> None:
    one, other = build("conflict", seed=1), build("conflict", "stuck-old-client", seed=2)

    assert files(one) == files(other)
    assert len({catalogue.made(name).sha256 for name in catalogue.NAMES}) == len(catalogue.NAMES)


def test_every_secret_of_the_packages_holds_the_same_word() -> None:
    for name in catalogue.NAMES:
        package = catalogue.made(name)
        assert (catalogue.CANARY.encode() in package.data) == (package.secrets > 0), name


def test_a_pc_that_refuses_does_so_with_the_code_of_its_truth() -> None:
    pc = build("refuses")
    pc.files.write("C:\\a.ppkg", catalogue.made("kiosk").data, START)

    running = cmd.start(pc, "dism /online /add-provisioningpackage /packagepath:C:\\a.ppkg")

    assert running.exit_code == 183
    assert cases.truth(cases.BY_NAME["refuses"])["refuses"] == "0x800700b7"


def test_the_tasks_and_the_service_of_provisioning_are_there() -> None:
    pc = build("inbox")
    where = "WHERE TaskPath = '\\\\Microsoft\\\\Windows\\\\Management\\\\Provisioning\\\\'"
    tasks = pc.query("root/microsoft/windows/taskscheduler", f"SELECT TaskName FROM MSFT_ScheduledTask {where}")
    services = pc.query("root/cimv2", "SELECT State, StartMode FROM Win32_Service WHERE Name = 'dmwappushservice'")

    assert [row["TaskName"] for row in tasks] == ["Cellular", "Logon", "Retry", "RunOnReboot"]
    assert services == [{"State": "Stopped", "StartMode": "Manual"}]


# -- the fleet --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "seed", "digest"),
    [
        (20, 1, "641cade30aa114385b561bd0e04e4f779ef0dae5a6dc5e665d5ad10e67d1f046"),
        (300, 7, "99fbae4dfade654524b7d7d4e519db038b956a48496155bd98b82275f6007dcf"),
        (2000, 42, "a62e75b3f139f06ec85e9a8ce65e1b73a522b2276fafca54efa0445c4f069fc8"),
    ],
)
def test_the_packages_move_no_verdict_of_a_seed(hosts: int, seed: int, digest: str) -> None:
    """The digests are of fleets from before there were packages."""
    for packages in (None, {"conflict": 1.0}):
        members = fleet.compose(hosts, seed, packages=packages)
        verdicts = json.dumps(fleet.truth(members)["hosts"], sort_keys=True)
        seeds = json.dumps([member.seed for member in members])
        assert hashlib.sha256((verdicts + seeds).encode()).hexdigest() == digest


def test_the_same_seed_gives_the_same_kinds_and_a_large_fleet_has_all() -> None:
    kinds = [member.packages for member in fleet.compose(300, 7)]

    assert kinds == [member.packages for member in fleet.compose(300, 7)]
    assert kinds != [member.packages for member in fleet.compose(300, 8)]
    assert set(kinds) == set(NAMES)
    counts = Counter(member.packages for member in fleet.compose(10_000, 3))
    whole = sum(case.share for case in CASES)
    for case in CASES:
        expected = 10_000 * case.share / whole
        assert abs(counts[case.name] - expected) < 5 * expected**0.5 + 1, case.name


@given(st.integers(1, 60), st.integers(), st.dictionaries(st.sampled_from(NAMES), st.floats(0.001, 1000), min_size=1))
def test_any_shares_give_the_kinds_asked_for_and_their_truth(hosts: int, seed: int, shares: dict[str, float]) -> None:
    members = fleet.compose(hosts, seed, packages=shares)
    truth = fleet.truth(members)

    assert [member.persona for member in members] == [member.persona for member in fleet.compose(hosts, seed)]
    assert {member.packages for member in members} <= set(shares)
    assert {name: entry["case"] for name, entry in truth["packages"].items()} == {
        member.name: member.packages for member in members
    }
    json.dumps(truth)


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"aplied": 1}, "there is no kind of PC by its packages 'aplied'"),
        ({"applied": 0}, "give more than 0"),
        ({}, "the mix is empty"),
    ],
)
def test_wrong_shares_are_rejected_with_a_reason(shares: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        fleet.compose(5, 1, packages=shares)


@pytest.mark.parametrize("persona", [each.name for each in PERSONAS if each.verdict != "unassessed"])
def test_the_packages_change_nothing_of_a_persona(persona: str) -> None:
    def client(pc: PC) -> Any:
        registry = [
            pc.registry.values(0x80000002, f"SOFTWARE\\Microsoft\\CCM\\{key}") for key in ("CcmExec", "CcmEval")
        ]
        others = sorted(file.path for file in pc.files.all() if not file.path.endswith(".ppkg"))
        return registry, others, list(pc.services), list(pc.processes), pc.os_version, pc.booted

    assert client(build("inbox", persona)) == client(build("conflict", persona))
