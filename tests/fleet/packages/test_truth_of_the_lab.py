"""A fleet of every kind of PC that the lab has, over the network: what is found is what the lab says of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.packages.cases import CASES, INBOX
from provmode.lab.packages.catalogue import CANARY
from provmode.lab.process import LabProcess

EXPECTED: dict[str, set[str]] = {
    "inbox": set(),
    "applied": set(),
    "applied-no-file": {"no-file"},
    "never-applied": {"not-applied"},
    "failed": {"failed", "secrets"},
    "at-reset": {"at-reset"},
    "secrets": {"secrets"},
    "old-token": {"secrets", "token-dead"},
    "signed-trusted": set(),
    "signed-untrusted": set(),
    "tampered": {"tampered", "not-applied"},
    "mdm-wins": {"winner-differs"},
    "forbidden": set(),
    "newer": set(),
    "conflict": set(),
    "running": set(),
    "unreadable": set(),
    "refuses": set(),
    "many": set(),
    "tie": {"undecided"},
    "image": set(),
    "removable": {"on-removable"},
}
"""The findings on each kind of PC."""


@dataclass(frozen=True)
class Looked:
    """What a run said, and what the lab says of its PCs."""

    found: dict[str, Any]
    truth: dict[str, Any]
    out: str
    processes: dict[str, int]

    @property
    def pairs(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each host's row, and the truth about it."""
        return ((row, self.truth[row["host"]]) for row in self.found["hosts"])


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run provmode's command line in a folder."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder)}
    command = [sys.executable, "-m", "provmode", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


@pytest.fixture(scope="module", params=[4, 20261126])
def looked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Looked:
    """A run over a fleet of a seed."""
    folder: Path = tmp_path_factory.mktemp("lab")
    kinds = {case.name: 1.0 for case in CASES}
    with LabProcess(
        2 * len(CASES),
        request.param,
        mix={"healthy": 1},
        packages=kinds,
        truth=folder / "truth.json",
        inventory=folder / "lab.py",
    ) as lab:
        ran = run(folder, "--debug", "package", "fleet", "lab.py", "--format", "json", "--winners")
        text = run(folder, "package", "fleet", "lab.py", "--winners")
        counters = lab.counters()
    assert ran.returncode == text.returncode == 2, ran.stderr
    processes = {host: each["processes"] for host, each in counters.items()}
    truth = json.loads((folder / "truth.json").read_text("utf-8"))["packages"]
    return Looked(json.loads(ran.stdout), truth, ran.stdout + ran.stderr + text.stdout + text.stderr, processes)


def test_every_kind_of_pc_has_the_findings_that_are_expected(looked: Looked) -> None:
    assert {each["case"] for each in looked.truth.values()} == {case.name for case in CASES} == set(EXPECTED)
    for row, truth in looked.pairs:
        assert {finding["code"] for finding in row["findings"]} == EXPECTED[truth["case"]], truth["case"]


def test_every_file_is_found_with_place_and_hash_and_no_other(looked: Looked) -> None:
    for row, truth in looked.pairs:
        own = {each["path"]: each for each in row["packages"] if not each["inbox"]}
        right = {each["path"]: each for each in truth["files"]}
        assert {path.lower() for path in own} == {path.lower() for path in right}
        for path, file in right.items():
            shown = next(each for name, each in own.items() if name.lower() == path.lower())
            assert (shown["place"], shown["sha256"]) == (file["place"], {"known": file["sha256"]})


def test_every_package_is_told_with_version_signature_and_number_of_secrets(looked: Looked) -> None:
    packages = {package["sha256"]: package for package in looked.found["packages"]}
    for truth in looked.truth.values():
        for file in truth["files"]:
            reading = packages[file["sha256"]]["package"]
            if truth["case"] == "unreadable":
                assert reading["unknown"]["cause"] == "package:encrypted"
                continue
            known = reading["known"]
            assert (known["id"], known["version"], len(known["secrets"])) == (
                file["id"],
                file["version"],
                file["secrets"],
            )
            if "signature" in file:
                assert known["signature"]["intact"] == {"known": file["signature"]["intact"]}


def test_what_was_applied_and_what_failed_is_told(looked: Looked) -> None:
    for row, truth in looked.pairs:
        results = {each["id"]: each for each in row["facts"]["results"]["known"]}
        applied = row["facts"]["applied_ids"].get("known", [])
        for each in truth["applied"]:
            assert each["id"] in applied
            failed = [part for part in results[each["id"]]["categories"] if part["failures"]]
            assert bool(failed) == (each["state"] == "failed")
            if failed:
                assert f"0x{failed[0]['last_result']:08x}" == each["failure"]["code"]
                assert failed[0]["failing_node"] == each["failure"]["node"]
        assert set(applied) == {each["id"] for each in truth["applied"]}


def test_trusted_certificates_and_policies_are_told(looked: Looked) -> None:
    names = {
        "RequireProvisioningPackageSignature": "signature_required",
        "AllowAddProvisioningPackage": "allow_add",
        "AllowRemoveProvisioningPackage": "allow_remove",
    }
    for row, truth in looked.pairs:
        assert row["facts"]["trusted"] == {"known": [each.lower() for each in truth.get("trusted", ())]}
        policies = {name: {"known": bool(value)} for name, value in truth.get("policies", {}).items()}
        assert row["facts"]["policies"] == {
            ours: policies.get(name, {"absent": True}) for name, ours in sorted(names.items(), key=lambda pair: pair[1])
        }


def test_whose_policies_hold_is_told_as_the_pc_has_it(looked: Looked) -> None:
    for row, truth in looked.pairs:
        told = {path.removeprefix("Policies/"): each for path, each in row["winners"].items() if "known" in each}
        right = truth.get("winners", {}) if row["winners"] else {}
        assert {path: each["known"].strip("{}") for path, each in told.items()} == right
    asked = {truth["case"] for row, truth in looked.pairs if row["winners"]}
    assert asked >= {"applied", "conflict", "mdm-wins", "newer", "signed-trusted"}
    assert "applied-no-file" not in asked, "its settings are not known"


def test_an_encrypted_package_makes_a_pc_untold_and_not_clean(looked: Looked) -> None:
    untold = {row["host"] for row in looked.found["hosts"] if row["unread"]}

    assert untold == {host for host, truth in looked.truth.items() if truth["case"] == "unreadable"}


def test_a_pc_costs_few_requests_and_one_process_and_each_package_one_more(looked: Looked) -> None:
    assert max(row["requests"] for row in looked.found["hosts"]) <= 30
    runs, distinct = 2, len(looked.found["packages"])
    extra = sum(truth["case"] == "removable" for truth in looked.truth.values())  # certutil is not shown its drive

    assert sum(looked.processes.values()) == runs * (len(looked.truth) + distinct + extra)


def test_no_secret_of_a_package_is_in_any_output(looked: Looked) -> None:
    assert CANARY not in looked.out
    assert INBOX in {truth["case"] for truth in looked.truth.values()}
