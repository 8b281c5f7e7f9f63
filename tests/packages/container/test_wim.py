"""The container: what is read of it, how little, and what is refused."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.errors import ProvmodeError
from provmode.lab.packages.image import Zeros, image_bytes
from provmode.lab.packages.writer import Asset, Description, package, package_files, write_package
from provmode.packages.container import of_bytes, open_container, resource, tree, wim
from provmode.packages.container.header import Resource, read_header
from provmode.packages.errors import PackageUnreadable, Unreadable

ID = "{0b7a5a3e-0d2f-4b0b-a5be-6d6a6b7f2c11}"
PLAIN = package(Description(ID, "plain"))


def refusal(data: bytes) -> PackageUnreadable:
    """Return the error that reading all of *data* ends with."""
    with pytest.raises(PackageUnreadable) as caught:
        read_all(data)
    assert "\n" not in str(caught.value)
    return caught.value


def read_all(data: bytes) -> dict[str, bytes]:
    """Return every file of the package *data*."""
    container = open_container(of_bytes(data))
    return {path: container.content(path) for path in container.files}


def changed(at: int, by: bytes, data: bytes = PLAIN) -> bytes:
    """Return *data* with other bytes at a place."""
    return data[:at] + by + data[at + len(by) :]


# -- what designers make ------------------------------------------------------------------------------------------


def test_the_package_of_an_administrator_is_read_as_the_designer_made_it(recorded: dict[str, Path]) -> None:
    container = open_container(of_bytes(recorded["start_pins"].read_bytes()))

    assert sorted(container.files) == [
        "CommonSettings/1/AnswerFile.xml",
        "CommonSettings/CommonSettings.xml",
        "Multivariant/0/MasterDatastore.xml",
        "Multivariant/0/Prov/RunTime.xml",
        "Multivariant/0/Prov/RunTime/0__Policies_Start_ConfigureStartPins.provxml",
        "Multivariant/0/customizations.xml",
        "Multivariant/Multivariant.xml",
    ]
    assert len(container.folders) == 6
    source = container.content("Multivariant/0/customizations.xml")
    assert container.files["Multivariant/0/customizations.xml"].size == len(source) == 994
    assert b"<ID>{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}</ID>" in source
    assert "<ALTITUDE>5000</ALTITUDE>" in container.xml
    assert (container.trailing, container.other_streams, container.header.signed) == (0, 0, False)


def test_every_file_of_a_recorded_package_matches_the_hash_that_the_designer_wrote(recorded: dict[str, Path]) -> None:
    for path in recorded.values():
        container = open_container(of_bytes(path.read_bytes()))
        for name, entry in container.files.items():
            assert hashlib.sha1(container.content(name), usedforsecurity=False).hexdigest() == entry.sha1
    assert len(recorded) == 2


def test_what_the_lab_makes_is_read_back(full: Description) -> None:
    assert read_all(package(full)) == package_files(full)


def test_an_empty_file_has_no_content_and_its_hash(made: bytes) -> None:
    container = open_container(of_bytes(image_bytes({"empty.txt": b"", "other": b"1"}, "<IMAGE/>")))

    assert container.content("empty.txt") == b""
    assert container.files["empty.txt"].sha1 == "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def test_bytes_that_belong_to_nothing_are_counted() -> None:
    assert open_container(of_bytes(PLAIN)).trailing == 0
    assert open_container(of_bytes(PLAIN + bytes(7))).trailing == 7


# -- other programs -----------------------------------------------------------------------------------------------


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by their paths."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.wim
@pytest.mark.parametrize("name", ["start_pins", "mOSD"])
def test_wimlib_reads_the_same_of_a_recorded_package(
    name: str, recorded: dict[str, Path], run: Callable[..., str], tmp_path: Path
) -> None:
    run("wimlib-imagex", "extract", recorded[name], "1", f"--dest-dir={tmp_path}", "--no-acls")

    assert read_all(recorded[name].read_bytes()) == files_in(tmp_path)


@pytest.mark.wim
def test_wimlib_and_7_zip_read_what_the_lab_makes(
    full: Description, made: bytes, run: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "made.ppkg"
    path.write_bytes(made)

    assert "was successfully verified" in run("wimlib-imagex", "verify", path)
    run("wimlib-imagex", "extract", path, "1", f"--dest-dir={tmp_path / 'wimlib'}", "--no-acls")
    assert files_in(tmp_path / "wimlib") == package_files(full)
    assert "Everything is Ok" in run("7z", "t", path)
    run("7z", "x", path, f"-o{tmp_path / '7z'}")
    assert files_in(tmp_path / "7z") == package_files(full)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that are hard to pack, easy to pack, of odd sizes, and in folders."""
    folder, noise = tmp_path / "folder", random.Random(14)
    words = [noise.randbytes(noise.randrange(1, 12)) for _ in range(200)]
    contents = {
        "noise.bin": noise.randbytes(100_000),
        "zeros.bin": bytes(300_000),
        "words.bin": b"".join(noise.choices(words, k=60_000)),
        "a/b/long matches.txt": b"abcdefg" * 20_000 + b"x" * 70_000,
        "a/b/one.txt": b"1",
        "a/empty.txt": b"",
        "a/chunk.bin": bytes(range(256)) * 128,
        "a/Ümläut 日本.txt": "Grüße".encode() * 50,
    }
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.mark.wim
@pytest.mark.parametrize(
    "options",
    [
        "--compress=XPRESS --chunk-size=32768",
        "--compress=XPRESS --chunk-size=4096",
        "--compress=XPRESS --chunk-size=65536",
        "--compress=XPRESS:100 --chunk-size=32768 --check",
        "--compress=none",
    ],
)
def test_what_wimlib_packs_is_unpacked(options: str, folder: Path, run: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "captured.ppkg"
    run("wimlib-imagex", "capture", folder, path, *options.split(), "--rpfix", "--no-acls")

    assert read_all(path.read_bytes()) == files_in(folder)
    assert open_container(of_bytes(path.read_bytes())).trailing == 0


@pytest.mark.wim
@pytest.mark.parametrize(
    ("options", "cause", "says"),
    [
        ("--compress=LZX", Unreadable.COMPRESSION, "LZX"),
        ("--compress=LZMS", Unreadable.COMPRESSION, "LZMS"),
        ("--compress=LZX --solid", Unreadable.COMPRESSION, "LZX"),
        ("--compress=XPRESS --solid --solid-compress=XPRESS", Unreadable.COMPRESSION, "solid"),
        ("--compress=XPRESS --pipable", Unreadable.COMPRESSION, "for a pipe"),
    ],
)
def test_what_designers_do_not_use_is_refused_by_name(
    options: str, cause: Unreadable, says: str, folder: Path, run: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "captured.ppkg"
    run("wimlib-imagex", "capture", folder, path, *options.split(), "--no-acls")

    error = refusal(path.read_bytes())
    assert error.cause is cause
    assert says in str(error)


@pytest.mark.wim
def test_one_of_several_parts_is_refused(folder: Path, run: Callable[..., str], tmp_path: Path) -> None:
    run("wimlib-imagex", "capture", folder, tmp_path / "whole.wim", "--compress=XPRESS", "--no-acls")
    run("wimlib-imagex", "split", tmp_path / "whole.wim", tmp_path / "part.swm", "0.05")

    assert refusal((tmp_path / "part.swm").read_bytes()).cause is Unreadable.SPLIT


@pytest.mark.wim
def test_what_wimlib_finds_damaged_is_damaged(
    recorded: dict[str, Path], run: Callable[..., str], tmp_path: Path
) -> None:
    data = recorded["mOSD"].read_bytes()
    row = open_container(of_bytes(data))._resources
    for at in (each.offset + each.size // 2 for each in row.values()):
        broken = changed(at, bytes([data[at] ^ 0xFF]), data)
        (tmp_path / "broken.ppkg").write_bytes(broken)
        run("wimlib-imagex", "verify", tmp_path / "broken.ppkg", fails=True)
        assert refusal(broken).cause is Unreadable.DAMAGED


# -- how little is read ---------------------------------------------------------------------------------------------


def test_of_a_package_of_one_gigabyte_a_few_small_ranges_are_read(
    full: Description, file_source: Callable[[Path], Any], tmp_path: Path
) -> None:
    large = Asset("ProvisioningCommands/DeviceContext/CommandFiles", "setup.msi", Zeros(1 << 30))
    write_package(tmp_path / "large.ppkg", replace(full, assets=[*full.assets, large]))
    source = file_source(tmp_path / "large.ppkg")

    container = open_container(source)
    container.content("Multivariant/0/customizations.xml")

    assert source.size > 1 << 30
    assert len(source.ranges) == 5, "header, table, tree, XML, the file"
    assert source.total < 16_000
    assert (tmp_path / "large.ppkg").stat().st_blocks * 512 < 1 << 20, "the file is one with a hole"
    with pytest.raises(PackageUnreadable) as caught:
        container.content("DataAsset/2/1_large/setup.msi")
    assert caught.value.cause is Unreadable.TOO_LARGE
    assert source.total < 16_000, "what is over the limit is not read"


def test_a_limit_of_the_reader_is_kept_to_the_byte(made: bytes) -> None:
    container = open_container(of_bytes(made))
    path = "Multivariant/0/customizations.xml"
    size = container.files[path].size

    assert len(container.content(path, limit=size)) == size
    with pytest.raises(PackageUnreadable, match="over"):
        container.content(path, limit=size - 1)


def test_a_file_that_shrinks_while_it_is_read_is_damaged() -> None:
    class Shrinking:
        size = len(PLAIN)

        def read(self, offset: int, count: int) -> bytes:
            return PLAIN[offset : offset + count - (offset > 0)]

    with pytest.raises(PackageUnreadable) as caught:
        open_container(Shrinking())
    assert caught.value.cause is Unreadable.DAMAGED


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", Unreadable.NOT_A_PACKAGE),
        (b"MSWIM\0\0", Unreadable.NOT_A_PACKAGE),
        (b"PK\x03\x04" + bytes(500), Unreadable.NOT_A_PACKAGE),
        (PLAIN[:100], Unreadable.DAMAGED),
        (PLAIN[:1000], Unreadable.DAMAGED),
        (PLAIN[:-1], Unreadable.DAMAGED),
        (changed(8, b"\xd1"), Unreadable.DAMAGED),
        (changed(12, struct.pack("<I", 0xE00)), Unreadable.COMPRESSION),
        (changed(12, struct.pack("<I", 0x10C00)), Unreadable.DAMAGED),
        (changed(16, struct.pack("<I", 0x60082)), Unreadable.COMPRESSION),
        (changed(16, struct.pack("<I", 0x82)), Unreadable.COMPRESSION),
        (changed(16, struct.pack("<I", 0x2008A)), Unreadable.SPLIT),
        (changed(16, struct.pack("<I", 0x20092)), Unreadable.DAMAGED),
        (changed(16, struct.pack("<I", 0x200C2)), Unreadable.DAMAGED),
        (changed(20, struct.pack("<I", 12345)), Unreadable.DAMAGED),
        (changed(40, struct.pack("<HH", 2, 2)), Unreadable.SPLIT),
        (changed(44, struct.pack("<I", 2)), Unreadable.DAMAGED),
        (changed(48, struct.pack("<Q", 1 << 40)), Unreadable.DAMAGED),
        (changed(48, struct.pack("<QQQ", 1 << 40, 0, 1 << 40)), Unreadable.TOO_LARGE),
        (changed(56, struct.pack("<Q", 1 << 63)), Unreadable.DAMAGED),
        (changed(80, struct.pack("<Q", 1 << 63)), Unreadable.DAMAGED),
    ],
)
def test_a_header_that_is_none_is_refused_with_its_cause(data: bytes, cause: Unreadable) -> None:
    refused = refusal(data)
    assert refused.cause is cause
    assert refused.next_step


def test_the_error_is_one_that_pyinfra_keeps_to_its_host() -> None:
    assert issubclass(PackageUnreadable, (ProvmodeError, OSError))
    assert str(Unreadable.NOT_A_PACKAGE) == "not-a-package"


def image(names: list[str]) -> bytes:
    """Return an image of files of these names."""
    return image_bytes({name: name.encode("utf-8", "replace") for name in names}, "<IMAGE/>")


@pytest.mark.parametrize("name", ["..", ".", "a\\b", "nul\0", "\ud800", "x" * 256, "a/../b"])
def test_a_name_that_windows_gives_no_file_is_refused(name: str) -> None:
    refusal(image(["first", name]))


def test_a_name_of_255_characters_and_one_with_a_bell_are_read() -> None:
    assert set(read_all(image(["y" * 255, "bell\a"]))) == {"y" * 255, "bell\a"}


def test_two_files_whose_names_windows_takes_for_one_are_refused() -> None:
    error = refusal(image(["Multivariant/0/customizations.xml", "Multivariant/0/Customizations.XML"]))

    assert error.cause is Unreadable.DAMAGED
    assert "two files of one name" in str(error)


def test_folders_deeper_than_any_real_ones_are_refused() -> None:
    assert read_all(image(["/".join("d" * tree.MAX_DEPTH) + "/f"]))
    assert refusal(image(["/".join("d" * (tree.MAX_DEPTH + 1)) + "/f"])).cause is Unreadable.TOO_LARGE


def metadata_of(data: bytes) -> tuple[int, int]:
    """Return where the tree of files of the package *data* is, and where its row in the table is."""
    header = open_container(of_bytes(data)).header
    at = header.table.end - 50
    return int.from_bytes(data[at + 8 : at + 16], "little"), at


def with_tree(change: Callable[[bytearray], None], data: bytes = PLAIN) -> bytes:
    """Return *data* with another tree of files, whose hash is right."""
    start, row = metadata_of(data)
    size = int.from_bytes(data[row : row + 7], "little")
    described = bytearray(data[start : start + size])
    change(described)
    assert len(described) == size
    hashed = hashlib.sha1(described, usedforsecurity=False).digest()
    return changed(row + 30, hashed, changed(start, bytes(described), data))


def test_folders_in_a_circle_are_refused() -> None:
    def circle(described: bytearray) -> None:
        root = int.from_bytes(described[24:32], "little")
        assert described[root + 8] == 0x10, "the first entry below the root is a folder"
        described[root + 16 : root + 24] = described[24:32]

    assert "circle" in str(refusal(with_tree(circle)))


def test_a_tree_whose_hash_is_wrong_is_refused() -> None:
    start, _ = metadata_of(PLAIN)

    assert "hash" in str(refusal(changed(start + 60, b"\xff")))


def test_a_file_whose_hash_is_not_in_the_table_is_refused() -> None:
    row = open_container(of_bytes(PLAIN)).header.table.offset

    assert "is not in it" in str(refusal(changed(row + 30, bytes([PLAIN[row + 30] ^ 1]))))


def with_table(change: Callable[[bytes], bytes], data: bytes = PLAIN) -> bytes:
    """Return *data* with another table of resources, behind everything else."""
    header = open_container(of_bytes(data)).header
    rows = change(data[header.table.offset : header.table.end])
    place = struct.pack("<QQQ", len(rows) | 2 << 56, len(data), len(rows))
    return changed(48, place, data + rows)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows[:8] + struct.pack("<Q", 1 << 40) + rows[16:], "would end at byte"),
        (lambda rows: rows[:50] + rows, "a hash twice"),
        (lambda rows: rows + rows[-50:], "2 trees"),
        (lambda rows: rows[:-50], "0 trees"),
        (lambda rows: rows[:-1], "cut off"),
        (lambda rows: b"", "0 trees"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(change: Callable[[bytes], bytes], says: str) -> None:
    assert read_all(with_table(lambda rows: rows)) == read_all(PLAIN)

    with pytest.raises(PackageUnreadable, match=says) as caught:
        open_container(of_bytes(with_table(change)))
    assert caught.value.cause is Unreadable.DAMAGED


def of_pieces(starts: list[int], body: bytes, original: int, *, packed: bool = True) -> bytes:
    """Return what is unpacked of a resource of pieces of 4,096 bytes."""
    header = replace(read_header(of_bytes(PLAIN)), chunk_size=4096, flags=0x20082 if packed else 0x80)
    data = struct.pack(f"<{len(starts)}I", *starts) + body
    found = Resource(len(data), resource.PACKED, 0, original)
    return resource.content_of(of_bytes(data), header, found, "it", 1 << 20)


def test_pieces_that_would_grow_are_stored_as_they_are() -> None:
    body = bytes(range(256)) * 40

    assert of_pieces([4096, 8192], body, 10_240) == body


@pytest.mark.parametrize(
    ("starts", "size", "original"),
    [
        ([8192, 4096], 10_240, 10_240),
        ([4096, 4096], 10_240, 10_240),
        ([4096, 20_000], 10_240, 10_240),
        ([4097, 8192], 10_240, 10_240),
        ([4096, 8192], 10_241, 10_240),
        ([4096, 8192], 8192, 10_240),
        ([], 100, 10_240),
        ([], 1, 10_240),
    ],
)
def test_pieces_out_of_order_are_damaged(starts: list[int], size: int, original: int) -> None:
    with pytest.raises(PackageUnreadable) as caught:
        of_pieces(starts, bytes(range(256)) * (size // 256) + bytes(size % 256), original)
    assert caught.value.cause is Unreadable.DAMAGED
    assert "out of order" in str(caught.value) or "is packed in" in str(caught.value)


def test_a_packed_resource_in_a_package_that_packs_nothing_is_damaged() -> None:
    with pytest.raises(PackageUnreadable, match="says that nothing is"):
        of_pieces([4096, 8192], bytes(10_240), 10_240, packed=False)


def test_a_packed_resource_that_takes_more_room_than_its_content_is_not_read() -> None:
    class Endless:
        size = 1 << 40

        def read(self, offset: int, count: int) -> bytes:
            raise AssertionError(f"{count:,} bytes were read")

    header = read_header(of_bytes(PLAIN))
    with pytest.raises(PackageUnreadable, match="is packed in"):
        resource.content_of(Endless(), header, Resource(1 << 39, resource.PACKED, 0, 1000), "it", 1 << 20)


@pytest.mark.parametrize("original", [99, 101])
def test_a_stored_resource_of_two_sizes_is_damaged(original: int) -> None:
    found = Resource(100, 0, 0, original)

    with pytest.raises(PackageUnreadable, match="is stored in 100 bytes"):
        resource.content_of(of_bytes(bytes(200)), read_header(of_bytes(PLAIN)), found, "it", 1000)


@pytest.mark.parametrize(
    ("flags", "cause"), [(resource.SOLID, Unreadable.COMPRESSION), (resource.SPANNED, Unreadable.SPLIT)]
)
def test_a_resource_of_another_kind_is_refused_by_its_cause(flags: int, cause: Unreadable) -> None:
    with pytest.raises(PackageUnreadable) as caught:
        resource.content_of(of_bytes(bytes(9)), read_header(of_bytes(PLAIN)), Resource(9, flags, 0, 9), "it", 9)
    assert caught.value.cause is cause


def entry(name: str, *, streams: int = 0, short: int = 0, attributes: int = 0x10, below: int = 0) -> bytes:
    """Return an entry of a tree."""
    raw = name.encode("utf-16-le")
    body = (
        struct.pack("<IiQ16x24x20s12xHHH", attributes, -1, below, bytes(20), streams, short, len(raw)) + raw + bytes(2)
    )
    body += bytes(-len(body) % 8)
    return struct.pack("<Q", len(body) + 8) + body


def stream(name: str, sha1: bytes, length: int | None = None) -> bytes:
    """Return a stream of a file."""
    raw = name.encode("utf-16-le")
    body = struct.pack("<8x20sH", sha1, len(raw)) + raw
    body += bytes(-len(body) % 8)
    return struct.pack("<Q", len(body) + 8 if length is None else length) + body


def tree_of(*parts: bytes) -> tree.Tree:
    """Read a tree of which these are the parts below the root."""
    root = entry("", below=8 + 104)
    return tree.read_tree(struct.pack("<II", 8, 0) + root + b"".join(parts) + bytes(8))


def test_the_content_of_a_file_may_stand_in_a_stream_of_its_own_and_named_ones_are_counted() -> None:
    parts = (entry("f", streams=2, attributes=0x20), stream("", b"c" * 20), stream("Zone.Identifier", b"d" * 20))
    found = tree_of(*parts, entry("g", attributes=0x20))

    assert [(each.path, each.sha1) for each in found.files] == [("f", b"c" * 20), ("g", bytes(20))]
    assert found.other_streams == 1


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([entry("f", short=100, attributes=0x20)], "longer than its entry"),
        ([entry("f", streams=1, attributes=0x20), stream("", bytes(20), 20)], "a stream"),
        ([entry("f", streams=1, attributes=0x20), stream("", bytes(20), 1 << 20)], "a stream"),
        ([entry("f", streams=9, attributes=0x20), stream("", bytes(20))], "a stream"),
        ([struct.pack("<Q", 100) + bytes(92)], "an entry"),
        ([struct.pack("<Q", 1 << 63) + bytes(96)], "an entry"),
    ],
)
def test_a_tree_that_is_cut_off_is_damaged(parts: list[bytes], says: str) -> None:
    with pytest.raises(PackageUnreadable, match=says) as caught:
        tree_of(*parts)
    assert caught.value.cause is Unreadable.DAMAGED


def test_streams_count_as_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_ENTRIES", 100)

    with pytest.raises(PackageUnreadable) as caught:
        tree_of(entry("f", streams=200, attributes=0x20), stream("", bytes(20)) * 200)
    assert caught.value.cause is Unreadable.TOO_LARGE


def test_more_entries_than_any_real_package_has_are_refused_before_they_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"f{number}" for number in range(99)]
    monkeypatch.setattr(tree, "MAX_ENTRIES", 100)
    assert len(read_all(image(names))) == 99  # and the root

    assert refusal(image([*names, "one more"])).cause is Unreadable.TOO_LARGE


def test_a_table_larger_than_any_real_one_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wim, "MAX_TABLE", 100)

    assert refusal(PLAIN).cause is Unreadable.TOO_LARGE


# -- any bytes -----------------------------------------------------------------------------------------------------


def survives(data: bytes) -> None:
    """Read all of *data*; no error but `PackageUnreadable` may come of it."""
    try:
        container = open_container(of_bytes(data))
    except PackageUnreadable:
        return
    container.signature()
    for path in container.files:
        with suppress(PackageUnreadable):
            container.content(path)


@given(st.binary(max_size=400))
def test_any_bytes_behind_a_beginning_are_one_error(data: bytes) -> None:
    survives(PLAIN[:208] + data)
    survives(data)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6), st.booleans())
def test_a_recorded_package_with_any_bytes_changed_is_read_or_is_one_error(
    changes: list[tuple[int, int]], cut: bool
) -> None:
    data = bytearray((Path(__file__).parents[2] / "recordings" / "ppkg" / "start_pins.ppkg").read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    survives(bytes(data[: changes[0][0] % len(data)] if cut else data))


@given(st.lists(st.tuples(st.integers(8, 2_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_tree_with_any_bytes_changed_is_read_or_is_one_error(changes: list[tuple[int, int]]) -> None:
    def change(described: bytearray) -> None:
        for at, value in changes:
            described[at % len(described)] = value

    survives(with_tree(change))
