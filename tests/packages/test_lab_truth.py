"""``provmode package fleet`` over a lab fleet finds what the lab's truth foretells, on every PC, and no secret."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.packages.cases import CASES
from provmode.lab.packages.catalogue import CANARY
from provmode.lab.process import LabProcess

STATES = {
    "at-reset",
    "failed",
    "no-file",
    "not-applied",
    "on-removable",
    "secrets",
    "tampered",
    "token-dead",
}
"""The findings that the truth foretells."""


def foretold(truth: Mapping[str, Any]) -> set[str]:
    """Return the findings that a PC must have."""
    found = {{"reset": "at-reset", "removable": "on-removable"}.get(each["place"], "") for each in truth["files"]}
    applied = {each["id"] for each in truth["applied"]}
    names = {each["path"].rpartition("\\")[2] for each in truth["files"]}
    for each in truth["files"]:
        if each["place"] == "kept" and each["id"] not in applied and "encrypted" not in each:
            found.add("not-applied")
        if each["secrets"]:
            found.add("secrets")
        if not each.get("signature", {"intact": True})["intact"]:
            found.add("tampered")
        if date.fromisoformat(each.get("token_ends", "9999-12-31")) < date.today():
            found.add("token-dead")
    for each in truth["applied"]:
        found |= {"failed"} if each["state"] == "failed" else set()
        found |= {"no-file"} if each["file"] not in names else set()
    return found & STATES


@pytest.mark.parametrize("seed", [11, 2026])
def test_what_is_found_is_what_the_truth_foretells(seed: int, tmp_path: Path) -> None:
    truth, inventory = tmp_path / "truth.json", tmp_path / "fleet.py"
    hosts = len(CASES) + 6
    with LabProcess(hosts, seed, mix={"healthy": 4, "no-client": 1}, truth=truth, inventory=inventory):
        command = [sys.executable, "-m", "provmode", "package", "fleet", str(inventory), "--format", "json"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    assert ran.returncode in (2, 6), ran.stderr
    told = json.loads(truth.read_text())["packages"]
    found = {host["host"]: host for host in json.loads(ran.stdout)["hosts"]}
    assert set(found) == set(told)
    for name, expected in told.items():
        codes = {finding["code"] for finding in found[name]["findings"]}
        assert codes & STATES == foretold(expected), (name, expected["case"])
        files = {
            (each["path"].lower(), each["sha256"]["known"]) for each in found[name]["packages"] if not each["inbox"]
        }
        assert files == {(each["path"].lower(), each["sha256"]) for each in expected["files"]}, name
        is_unread = any("encrypted" in each for each in expected["files"])
        assert bool(found[name]["unread"]) is is_unread, name
    assert CANARY not in ran.stdout + ran.stderr
