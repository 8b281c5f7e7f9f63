"""What two packages differ in, without a secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provmode.lab.packages.signer import self_signed, signed
from provmode.lab.packages.writer import Asset, Condition, Description, Setting, Variant, command, package
from provmode.packages.container import of_bytes
from provmode.packages.diff import Change, What, diff
from provmode.packages.model import Package
from provmode.packages.read import read_package
from provmode.text import json_text

Make = Callable[..., Package]
USER = "Accounts/Users/User[UserName=kim]"
FILES = "ProvisioningCommands/DeviceContext/CommandFiles"


def only(changes: tuple[Change, ...]) -> tuple[str, str, str, str | None, str | None]:
    """Return the one change."""
    (change,) = changes
    return change.part, change.place, change.what.value, change.before, change.after


def test_a_package_does_not_differ_from_itself(recorded: Make) -> None:
    assert diff(recorded("mOSD"), recorded("mOSD")) == ()


DIFFERENCES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, str, str, str | None, str | None]]] = {
    "a value": (
        {"settings": [Setting("Policies/Start/X", "1")]},
        {"settings": [Setting("Policies/Start/X", "2")]},
        ("setting", "Policies/Start/X", "changed", "1", "2"),
    ),
    "a setting more": ({}, {"settings": [Setting("A/B", "1")]}, ("setting", "A/B", "added", None, "1")),
    "a setting less": ({"settings": [Setting("A/B", "1")]}, {}, ("setting", "A/B", "removed", "1", None)),
    "conditions": (
        {"variants": [Variant("t", [[Condition("Lang", "de")]], [Setting("A/B", "1")])]},
        {"variants": [Variant("t", [[Condition("Lang", "de")]], [Setting("A/B", "2")])]},
        ("setting", "A/B if Lang=de", "changed", "1", "2"),
    ),
    "another stage": (
        {"settings": [Setting("A/B", "1"), Setting("A/C", "1")]},
        {"settings": [Setting("A/B", "1", stage="User_RunTime"), Setting("A/C", "1")]},
        ("stage", "A/B", "changed", "RunTime", "User_RunTime"),
    ),
    "an asset": (
        {"assets": [Asset(FILES, "a.bin", b"1")]},
        {"assets": [Asset(FILES, "a.bin", b"22")]},
        (
            *("asset", "DataAsset/a.bin", "changed"),
            "1 bytes, SHA-1 356a192b7913b04c54574d18c28d46e6395428ab",
            "2 bytes, SHA-1 12c6fc06c99a462375eeb3f43dfd832b08ca9e17",
        ),
    ),
    "metadata": ({"version": "1.0"}, {"version": "1.1"}, ("metadata", "version", "changed", "1.0", "1.1")),
}


@pytest.mark.parametrize("case", DIFFERENCES)
def test_a_difference_is_told_with_its_place(case: str, made: Make) -> None:
    old, new, told = DIFFERENCES[case]

    assert only(diff(made(**old), made(**new))) == told


def test_a_command_that_changed_is_told_with_what_it_does(made: Make) -> None:
    old = made(settings=command("setup", "a.exe", ReturnCodeSuccess="0"))
    new = made(settings=command("setup", "b.exe", ReturnCodeSuccess="0", RestartRequired="True"))

    changes = [each for each in diff(old, new) if each.part == "command"]

    assert only(tuple(changes)) == (
        *("command", "PrimaryContext/setup", "changed"),
        *("a.exe (success: 0)", "b.exe (restarts: True; success: 0)"),
    )


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [("hunter2", "hunter3", "changed"), ("hunter2", "", "removed"), ("", "hunter3", "added")],
)
def test_a_secret_that_changed_is_told_and_not_shown(before: str, after: str, what: str, made: Make) -> None:
    old, new = (made(settings=[Setting(f"{USER}/Password", value)]) for value in (before, after))

    changes = diff(old, new)

    assert only(tuple(each for each in changes if each.part == "secret")) == (
        *("secret", f"{USER}/Password (account password)", what),
        *(None, None),
    )
    assert "hunter" not in repr(changes) + json_text([each.to_json() for each in changes])


def test_a_secret_in_a_command_line_that_changed_is_told_and_not_shown(made: Make) -> None:
    old, new = (made(settings=command("a", f"net user kim {value}")) for value in ("hunter2", "hunter3"))

    changes = diff(old, new)

    assert {(each.part, each.what) for each in changes} == {
        *(("command", What.CHANGED), ("setting", What.CHANGED), ("secret", What.CHANGED)),
    }
    assert "hunter" not in repr(changes)


def test_without_a_key_whether_a_secret_is_another_is_not_told(described: Callable[..., Description]) -> None:
    data = package(described(settings=[Setting(f"{USER}/Password", "hunter2")]))
    old, new = (read_package(of_bytes(data)) for _ in range(2))

    assert {each.what for each in diff(old, new)} == {What.UNTOLD}


def test_a_signature_that_came_is_told(described: Callable[..., Description]) -> None:
    data, signer = package(described()), self_signed("Office packages")

    change = only(diff(read_package(of_bytes(data)), read_package(of_bytes(signed(data, signer)))))

    assert change[:4] == ("signature", "signer", "added", None)
    assert signer.thumbprint in str(change[4])


def test_a_finding_that_came_is_told(made: Make) -> None:
    change = only(tuple(each for each in diff(made(), made(altitude=2000)) if each.part == "finding"))

    assert change[1].startswith("altitude-differs: ")
    assert change[2] == "added"
