"""A large fleet in memory: what is the same on many hosts is there once."""

from __future__ import annotations

from datetime import datetime, timezone

from provmode.fleet.packages.sharing import Sharing
from provmode.packages.on_pc.model import (
    CategoryResult,
    PackageFile,
    PackageResult,
    PackagesOnPc,
    Place,
    PlaceFiles,
    ProvisioningEvent,
)
from provmode.reading import Known, Unknown


def state(time: datetime | None = None) -> PackagesOnPc:
    """Return what a PC says; every text is an object of its own."""
    path, digest = "".join(["C:\\", "a.ppkg"]), "".join(["ab"] * 32)
    files = Known((PackageFile(path, Place.KEPT, 5, time, None, Known(digest)),))
    result = PackageResult("{id}", "a.ppkg", "{id}", (CategoryResult("".join(["Policies", "\\0"])),))
    events = tuple(ProvisioningEvent(number, time, (("Id", "".join(["{", "id}"])),)) for number in (10, 12, 20, 30, 32))
    return PackagesOnPc((PlaceFiles(Place.KEPT, "".join(["C:", "\\"]), files),), Known((result,)), events=Known(events))


def test_two_hosts_with_the_same_packages_share_them() -> None:
    sharing = Sharing()
    one, other = sharing.state(state()), sharing.state(state())

    assert one.places[0] is other.places[0]
    assert one.results is other.results
    assert one.events.value[0].data is other.events.value[0].data  # type: ignore[union-attr]


def test_files_of_other_times_share_path_and_hash() -> None:
    sharing = Sharing()
    one = sharing.state(state()).files[0]
    other = sharing.state(state(datetime(2026, 8, 14, tzinfo=timezone.utc))).files[0]

    assert one != other
    assert one.path is other.path
    assert one.sha256 is other.sha256


def test_nothing_is_lost_but_events_about_parts_that_went_well() -> None:
    before = state()
    after = Sharing().state(before)

    assert after.places == before.places
    assert after.results == before.results
    assert [event.number for event in after.events.value] == [12, 20, 32]  # type: ignore[union-attr]
    unknown = PackagesOnPc(results=Unknown("access-denied", "no"))
    assert Sharing().state(unknown) == unknown
