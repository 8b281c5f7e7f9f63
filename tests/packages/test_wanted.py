"""Which packages a PC should have, as its data says it."""

from __future__ import annotations

from typing import Any

import pytest

from provmode.errors import UsageError
from provmode.packages.wanted import WantedPackage, WantedProvisioner, wanted_packages, wanted_provisioners

ID = "{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}"
SHA256 = "0123456789abcdef" * 4
THUMBPRINT = "0123456789abcdef0123456789abcdef01234567"


def packages(*entries: Any) -> Any:
    return wanted_packages({"provmode_packages": list(entries)}, "pc-1")


def provisioners(*entries: Any) -> Any:
    return wanted_provisioners({"provmode_trusted_provisioners": list(entries)}, "pc-1")


def test_a_pc_that_says_nothing_of_packages_is_not_one_that_should_have_none() -> None:
    assert wanted_packages({}, "pc-1") is None
    assert wanted_provisioners({}, "pc-1") is None
    assert packages() == ()


def test_a_package_is_named_by_its_file_or_by_id_version_and_hash_or_as_absent_by_its_id() -> None:
    assert packages(
        {"file": "kiosk.ppkg"},
        {"id": ID.upper().strip("{}"), "version": "1.2", "sha256": SHA256.upper()},
        {"id": "{00000000-0000-0000-0000-000000000001}", "present": False},
    ) == (
        WantedPackage("kiosk.ppkg"),
        WantedPackage("", ID, "1.2", SHA256),
        WantedPackage("", "{00000000-0000-0000-0000-000000000001}", present=False),
    )


def test_a_certificate_is_named_by_its_file_or_its_thumbprint() -> None:
    colons = ":".join(THUMBPRINT.upper()[place : place + 2] for place in range(0, 40, 2))
    assert provisioners({"file": "signer.cer"}, {"thumbprint": colons, "present": False}) == (
        WantedProvisioner("signer.cer"),
        WantedProvisioner("", THUMBPRINT, present=False),
    )


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("kiosk.ppkg", "is not an object"),
        ({"path": "kiosk.ppkg"}, "'path' is not one of file, id, version, sha256 and present"),
        ({"file": 3}, "file is 3, not text"),
        ({"file": "kiosk.ppkg", "present": "no"}, "neither true nor false"),
        ({"file": "kiosk.ppkg", "id": ID}, "says its own id"),
        ({"id": ID}, "names neither a file"),
        ({"id": ID, "version": "1"}, "names neither a file"),
        ({"id": "kiosk", "present": False}, "is not a package's id"),
        ({"id": ID, "version": "1", "sha256": "12"}, "is not a SHA-256"),
        ({"file": "kiosk.ppkg", "present": False}, "named by its id alone"),
        ({"id": ID, "version": "1", "present": False}, "named by its id alone"),
        ({}, "names neither a file"),
    ],
)
def test_an_entry_that_could_be_meant_otherwise_is_refused_with_the_host_and_the_key(entry: Any, words: str) -> None:
    with pytest.raises(UsageError, match=r"^pc-1: provmode_packages.*") as refused:
        packages(entry)
    assert words in str(refused.value)


@pytest.mark.parametrize("entry", [{}, {"file": "a.cer", "thumbprint": THUMBPRINT}, {"thumbprint": "12"}])
def test_a_certificate_that_is_named_twice_or_not_at_all_is_refused(entry: Any) -> None:
    with pytest.raises(UsageError, match="pc-1: provmode_trusted_provisioners"):
        provisioners(entry)


@pytest.mark.parametrize("value", ["kiosk.ppkg", {"file": "kiosk.ppkg"}, None, [{"file": str(n)} for n in range(201)]])
def test_what_is_not_a_short_list_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="is not a list of at most 200 entries"):
        wanted_packages({"provmode_packages": value}, "pc-1")


def test_a_package_that_is_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="is there twice"):
        packages({"file": "kiosk.ppkg"}, {"file": "kiosk.ppkg"})
    with pytest.raises(UsageError, match="is there twice"):
        packages({"id": ID, "present": False}, {"id": ID.upper(), "version": "1", "sha256": SHA256})
