"""What is worth knowing before a package is shipped, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.packages.writer import Asset, Setting, command
from provmode.packages.findings import FINDINGS, Weight
from provmode.packages.lint import lint
from provmode.packages.model import TOKEN_LIFE, Package

Make = Callable[..., Package]
ROOT = Path(__file__).parents[2]
MADE = datetime(2026, 3, 2, 9, 30, tzinfo=timezone.utc)
TOKEN = [Setting("Accounts/Azure/BPRT", "0.AXtoken")]
FILES = "ProvisioningCommands/DeviceContext/CommandFiles"


def codes(package: Package, now: datetime | None = None) -> set[str]:
    """Return the codes of all findings."""
    return {finding.code for finding in lint(package, now=now)}


CASES: dict[str, dict[str, Any]] = {
    "secret": {"settings": [Setting("Accounts/Users/User[UserName=kim]/Password", "hunter2")]},
    "secret-in-command": {"settings": command("a", "net user kim hunter2")},
    "secret-in-file": {"assets": [Asset(FILES, "a.cmd", b"net user kim hunter2")]},
    "token": {"settings": TOKEN, "image": {"CREATIONTIME": None}},
    "unsigned": {},
    "default-rank": {"rank": 0},
    "owner-loses": {"owner": "OEM", "rank": 99},
    "command-result": {"settings": command("a", "a.exe")},
    "command-stops": {"settings": [*command("a", "a.exe"), *command("b", "b.exe", number=1)]},
    "command-restarts": {
        "settings": [*command("a", "a.exe", RestartRequired="True"), *command("b", "b.exe", number=1)],
    },
    "command-long": {"settings": command("a", "a.exe " + "x" * 8191)},
    "command-context": {"settings": [Setting("ProvisioningCommands/UserContext/CommandLine", "a.exe")]},
}


@pytest.mark.parametrize("code", CASES)
def test_what_may_do_harm_is_a_finding(code: str, made: Make) -> None:
    assert code in codes(made(**CASES[code]))


def test_a_package_made_with_care_has_no_finding_that_counts(made: Make) -> None:
    package = made(
        rank=7,
        settings=[
            Setting("Policies/Start/X", "1"),
            *command("a", "a.exe", ReturnCodeSuccess="0", ContinueInstall="True"),
            *command("b", "b.exe", number=1, ReturnCodeSuccess="0", RestartRequired="True"),
        ],
    )

    assert codes(package) == {"unsigned"}
    assert not any(finding.counts for finding in lint(package))


@pytest.mark.parametrize(
    ("left", "code"),
    [
        (timedelta(days=-1), "token-dead"),
        (timedelta(0), "token-dead"),
        (timedelta(days=29), "token-ends-soon"),
        (timedelta(days=31), None),
    ],
)
def test_a_token_is_dead_180_days_after_the_package_was_made_at_the_latest(
    left: timedelta, code: str | None, made: Make
) -> None:
    found = codes(made(settings=TOKEN), MADE + TOKEN_LIFE - left)

    assert found & {"token", "token-dead", "token-ends-soon"} == ({code} if code else set())


def test_without_the_time_whether_a_token_is_dead_is_not_said(made: Make) -> None:
    assert not codes(made(settings=TOKEN)) & {"token", "token-dead", "token-ends-soon"}


def test_findings_come_in_the_order_of_their_table(made: Make) -> None:
    found = [each.code for each in lint(made(altitude=1, settings=command("a", "net user kim hunter2")))]

    assert found == sorted(found, key=list(FINDINGS).index)


def test_every_finding_says_what_it_means_and_what_to_do() -> None:
    for code, kind in FINDINGS.items():
        assert re.fullmatch("[a-z0-9-]+", code)
        assert kind.means
        assert kind.to_do
        assert kind.weight in Weight
        assert "|" not in kind.means + kind.to_do  # they stand in a table


def test_every_kind_of_finding_is_found_somewhere_in_the_code() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "provmode/packages").glob("*.py"))

    assert [each for each in FINDINGS if len(re.findall(f'"{each}"', code)) < 2] == []
