"""What a PC of the lab has of a package, as the steps ask it."""

from __future__ import annotations

from typing import Any

import pytest

from provmode.errors import HostError
from provmode.lab.packages import inbox, traces
from provmode.lab.packages.catalogue import made
from provmode.lab.packages.engine import KEPT
from provmode.lab.packages.writer import Description, Setting, package
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC
from provmode.lab.windows.store import HKLM, RegType
from provmode.packages.on_pc.copies import Copy, OnThisPc, copies_of, on_this_pc
from provmode.windows.files import sha256

ID = "{a1b2c3d4-0000-4000-8000-000000000001}"
PENDING = 0x02AB0003


def file_of(version: str = "1.0", id_: str = ID) -> bytes:
    return package(Description(id_, "Pins", version=version, settings=[Setting("Policies/Start/HidePowerButton", "1")]))


def put(windows: Any, name: str, data: bytes) -> None:
    windows.pc.files.write(f"{KEPT}\\{name}", data, windows.pc.now())


def added(windows: Any, name: str, data: bytes) -> None:
    path = f"C:\\Windows\\Temp\\{name}"
    windows.pc.files.write(path, data, windows.pc.now())
    windows.engine.add(windows.pc, path)
    windows.pc.files.delete(path)


def found(windows: Any, id_: str = ID) -> Any:
    return windows.converse(copies_of(id_, {}))


def copy(name: str, version: str = "1.0") -> Copy:
    return Copy(version, sha256(file_of(version)), f"{KEPT}\\{name}")


def test_a_pc_without_packages_has_nothing_of_one(windows: Any) -> None:
    assert found(windows) == OnThisPc()


@pytest.mark.parametrize("german", [False, True])
def test_windows_own_packages_are_none_of_those_that_it_kept(windows: Any, german: bool) -> None:
    windows.pc = PC("PC-1", Clock(windows.pc.now(), lambda: 0.0), german=german)
    windows.__post_init__()
    for file in inbox.files().values():
        windows.pc.files.write(file.path, file.data, windows.pc.now())
    assert windows.pc.files.listdir("C:\\Windows\\Provisioning\\Packages")
    assert windows.converse(on_this_pc({})).hashes == ()

    added(windows, "büro & co.ppkg", file_of())
    there = found(windows)
    assert there == OnThisPc((copy("büro & co.ppkg"),), applied=True)
    assert there.settled
    assert there.lines == (f"1.0 (SHA-256 {sha256(file_of())})", "applied")


def test_two_versions_that_are_kept_are_both_there_in_order(windows: Any) -> None:
    added(windows, "b.ppkg", file_of("1.0"))
    added(windows, "a.ppkg", file_of("1.1"))

    there = found(windows)

    assert there.copies == (copy("b.ppkg", "1.0"), copy("a.ppkg", "1.1"))
    assert there.has(sha256(file_of("1.0")))
    assert not there.has(sha256(file_of("2.0")))


def test_a_file_that_nothing_has_applied_is_there_and_not_applied(windows: Any) -> None:
    put(windows, "a.ppkg", file_of())
    assert found(windows) == OnThisPc((copy("a.ppkg"),))
    assert not found(windows).settled


def test_what_packages_brought_along_is_no_copy_of_them(windows: Any) -> None:
    put(windows, "AssetCache\\a.ppkg", file_of())
    assert found(windows) == OnThisPc()


def test_a_package_whose_file_was_deleted_is_applied_in_a_version_that_nobody_knows(windows: Any) -> None:
    added(windows, "a.ppkg", file_of())
    windows.pc.files.delete(f"{KEPT}\\a.ppkg")
    assert found(windows).lines == ("applied",)

    put(windows, "b.ppkg", made("secure").data)
    with_secret = found(windows)
    assert isinstance(with_secret, HostError), "the encrypted file could be it"
    assert f"could not tell which version of {ID} was applied" in with_secret.what


def test_an_encrypted_file_is_in_nobodys_way_if_it_can_be_no_copy(windows: Any) -> None:
    put(windows, "b.ppkg", made("secure").data)
    assert found(windows) == OnThisPc()
    assert windows.converse(on_this_pc({})).unread == 1
    added(windows, "a.ppkg", file_of())
    assert found(windows).settled


def test_a_result_that_is_pending_is_not_done_and_no_failure(windows: Any) -> None:
    added(windows, "a.ppkg", file_of())
    key = traces.results_key(ID, "RunTime", "0__Policies_Start_HidePowerButton.provxml")
    windows.pc.registry.set(HKLM, key, "LastResult", RegType.DWORD, PENDING)

    assert (found(windows).applying, found(windows).failed, found(windows).settled) == (True, (), False)


def test_the_newest_event_about_a_package_says_how_far_it_is(windows: Any) -> None:
    added(windows, "a.ppkg", file_of())
    for number, applying, failed in ((20, True, 0), (22, False, 1), (20, True, 0), (21, False, 0)):
        windows.pc.advance(1)
        traces.event(windows.pc, number, windows.pc.now(), PackageId=ID, HRESULT="0x80070005")
        traces.event(windows.pc, 22, windows.pc.now(), PackageId=made("base").id)
        there = found(windows)
        assert (there.applying, len(there.failed)) == (applying, failed), number


def test_what_was_read_on_the_pc_is_not_read_again(windows: Any) -> None:
    put(windows, "a.ppkg", file_of())
    known: dict[str, tuple[str, str]] = {}
    windows.converse(copies_of(ID, known))
    first = len(windows.asked)
    assert known == {sha256(file_of()): (ID, "1.0")}

    windows.converse(copies_of(ID, known))
    assert len(windows.asked) - first < first
