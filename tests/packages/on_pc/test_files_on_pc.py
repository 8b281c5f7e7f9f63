"""Which package files a PC has: asked folder by folder, and what cannot be told is not guessed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime, timezone
from typing import Any

import pytest

from provmode.errors import AccessDenied, RemoteFault
from provmode.packages.on_pc.files import (
    FOLDERS,
    MAX_DRIVES,
    MAX_FILES,
    REMOVABLE_DRIVES,
    all_files,
    folder_query,
    folders,
    package_files,
    packages_in,
    place_of,
)
from provmode.packages.on_pc.model import PackageFile, Place, PlaceFiles
from provmode.reading import Known, Unknown
from provmode.wsman import Enumerate, Instance

Drive = Callable[..., Any]
SYSTEM = [Instance("A", {"Version": "10.0", "BuildNumber": "26100", "WindowsDirectory": "D:\\WINDOWS"})]
KEPT = "d:\\programdata\\microsoft\\provisioning"


def file(path: str, size: str = "6026") -> Instance:
    """Return what CIM says of a file."""
    time = "20260814103517.000000+000"
    return Instance("A", {"Name": path, "FileSize": size, "CreationDate": time, "LastModified": time})


def operations_of(conversation: Generator[Any, Any, Any], *answers: Any) -> list[Any]:
    """Return what a conversation asks, if it is given these answers."""
    asked = [next(conversation)]
    for answer in answers:
        try:
            asked.append(conversation.send(answer))
        except StopIteration:
            break
    return asked


def test_each_folder_is_asked_for_by_drive_path_and_extension_alone() -> None:
    asked = operations_of(package_files(), SYSTEM, [], [], [], [], [Instance("A", {"DeviceID": "E:"})])

    wql = [each.wql for each in asked[1:5] + asked[6:] if isinstance(each, Enumerate)]
    assert len(wql) == len(FOLDERS) + 1
    for each in wql:
        where = str(each).partition(" WHERE ")[2]
        assert " OR " not in where
        assert "LIKE" not in where
        assert [part.partition("=")[0] for part in where.split(" AND ")] == ["Drive", "Path", "Extension"]
    assert "Drive='D:' AND Path='\\\\ProgramData\\\\Microsoft\\\\Provisioning\\\\'" in str(wql[0])
    assert "Drive='D:' AND Path='\\\\WINDOWS\\\\Provisioning\\\\Packages\\\\'" in str(wql[3])
    assert "Drive='E:' AND Path='\\\\' AND Extension='ppkg'" in str(wql[4])
    assert asked[5] == REMOVABLE_DRIVES


def test_files_are_known_with_place_size_and_times(drive: Drive) -> None:
    kept = [file(f"{KEPT}\\start pins & more;100%.ppkg")]
    places = drive(package_files(), SYSTEM, kept, [], [], [], [])

    (found,) = all_files(places).value
    assert found == PackageFile(
        f"{KEPT}\\start pins & more;100%.ppkg",
        Place.KEPT,
        6026,
        datetime(2026, 8, 14, 10, 35, 17, tzinfo=timezone.utc),
        datetime(2026, 8, 14, 10, 35, 17, tzinfo=timezone.utc),
    )
    assert [each.place for each in places] == [Place.KEPT, Place.ASSET_CACHE, Place.RESET, Place.IMAGE]
    assert all(isinstance(each.files, Known) for each in places)


def test_a_quote_in_the_folder_of_windows_does_not_end_the_query() -> None:
    assert "Path='\\\\it\\'s\\\\'" in str(folder_query("C:\\it's").wql)


@pytest.mark.parametrize("error", [AccessDenied("no"), RemoteFault("busy", code=1, kind="unavailable")])
def test_one_place_that_could_not_be_read_leaves_the_others_known(drive: Drive, error: Exception) -> None:
    places = drive(package_files(), SYSTEM, [file(f"{KEPT}\\a.ppkg")], [], error, [], [])

    assert isinstance(places[0].files, Known)
    assert isinstance(places[2].files, Unknown)
    assert all_files(places) == places[2].files, "not all files are known, so the list is not"


def test_without_the_folder_of_windows_no_place_is_known(drive: Drive) -> None:
    places = drive(package_files(), AccessDenied("no"))

    assert {each.place for each in places} == set(Place)
    assert all(isinstance(each.files, Unknown) for each in places)


@pytest.mark.parametrize(
    "path",
    ["c:\\elsewhere\\a.ppkg", f"{KEPT}\\sub\\a.ppkg", f"{KEPT}\\", "", f"{KEPT}\\{'a' * 1100}.ppkg", "a.ppkg"],
)
def test_a_file_that_is_not_in_the_folder_is_could_not_tell(drive: Drive, path: str) -> None:
    answer = drive(packages_in(Place.KEPT, KEPT.upper()), [file(path)])

    assert answer.files.cause == "malformed"


def test_more_files_than_a_folder_of_packages_has_are_refused(drive: Drive) -> None:
    many = [file(f"{KEPT}\\{number}.ppkg") for number in range(MAX_FILES + 1)]

    assert drive(packages_in(Place.KEPT, KEPT), many).files.cause == "too-large"


@pytest.mark.parametrize("size", ["six", "9" * 30, "1.5"])
def test_a_size_that_is_none_is_could_not_tell(drive: Drive, size: str) -> None:
    assert drive(packages_in(Place.KEPT, KEPT), [file(f"{KEPT}\\a.ppkg", size)]).files.cause == "malformed"


@pytest.mark.parametrize("name", ["E:' OR Drive='C:", "", "EE:", "\\\\server"])
def test_a_drive_that_is_none_is_asked_nothing(drive: Drive, name: str) -> None:
    places = drive(package_files(), SYSTEM, [], [], [], [], [Instance("A", {"DeviceID": name})])

    assert places[-1].place is Place.REMOVABLE
    assert isinstance(places[-1].files, Unknown)


def test_more_drives_than_are_looked_at_are_said(drive: Drive) -> None:
    drives = [Instance("A", {"DeviceID": f"{letter}:"}) for letter in "EFGHIJKLMN"]
    places = drive(package_files(), SYSTEM, [], [], [], [], drives, *([[]] * MAX_DRIVES))

    assert isinstance(places[-1].files, Unknown)
    assert "10 removable drives" in places[-1].files.detail


def test_inbox_packages_are_told_by_place_and_name() -> None:
    name = "Power.Settings.Sleep.ppkg"

    assert PackageFile(f"C:\\Windows\\Provisioning\\Packages\\{name}", Place.IMAGE).inbox
    assert not PackageFile(f"C:\\ProgramData\\Microsoft\\Provisioning\\{name}", Place.KEPT).inbox
    assert not PackageFile("C:\\Windows\\Provisioning\\Packages\\Kiosk.ppkg", Place.IMAGE).inbox


@pytest.mark.parametrize("place", [place for place in Place if place is not Place.REMOVABLE])
def test_a_place_is_found_again_by_the_path_of_a_file(place: Place) -> None:
    folder = folders("C:\\Windows")[place]

    assert place_of(f"{folder}\\a.ppkg") is place
    assert place_of(f"{folder.upper()}\\a.ppkg") is place
    assert place_of("E:\\a.ppkg") is Place.REMOVABLE


def test_no_place_is_left_out_of_the_json() -> None:
    document = PlaceFiles(Place.KEPT, "C:\\x", Known((PackageFile("C:\\x\\a.ppkg", Place.KEPT, 1),))).to_json()

    assert document["place"] == "kept"
    assert document["files"]["known"][0]["sha256"]["unknown"]["cause"] == "not-read"
