"""The one command line: what it prints is read without its words, whatever the language, and however hostile."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.errors import AccessDenied, RemoteFault
from provmode.packages.on_pc.applied import applied, applied_ids, commands_in, results_in
from provmode.packages.on_pc.files import with_hashes
from provmode.packages.on_pc.inventory import (
    HASHES,
    INVENTORY,
    MAX_HASHED_ALONE,
    READING_LINES,
    REGISTRY,
    hashed,
    hashes_in,
    inventory,
    provisioning_registry,
)
from provmode.packages.on_pc.model import AppliedPackage, CommandResult, PackageFile, Place, PlaceFiles, package_id
from provmode.packages.on_pc.reg_query import LONGEST_TEXT, MAX_KEYS, TooMany, read_tree
from provmode.reading import Absent, Known, Unknown
from provmode.transport.write_gate import changes
from provmode.wsman import CommandLine, Completed, Instance

Drive = Callable[..., Any]
ID = "{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}"
OTHER = "{1f4e2c40-9d5f-41b4-ab8b-0ec5dd0fc160}"
KEPT = "C:\\ProgramData\\Microsoft\\Provisioning"
A, B = "0a" * 32, "1b" * 32
ROOT = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Provisioning"
SHELLS_FORBIDDEN = RemoteFault("no shells", code=0x803381AC, kind="shells-forbidden")

REGISTRY_TEXT = "\r\n".join(
    [
        "",
        ROOT,
        "    FirstRunComplete    REG_DWORD    0x1",
        "",
        f"{ROOT}\\CommandResults\\DeviceContext\\{ID}\\install",
        "    State    REG_DWORD    0x2",
        f"{ROOT}\\Results\\{ID}",
        "    PackageFileName    REG_SZ    start_pins.ppkg",
        f"{ROOT}\\Results\\{ID}\\Policies\\0\\xml",
        "    (Standard)    REG_SZ    x",
        "    Categories    REG_MULTI_SZ    Policies\\0Start",
        "    Message    REG_SZ    Zugriff",
        "  verweigert",
        "    LastResult    REG_DWORD    0x80070005",
        "    NumFailures    REG_DWORD    0x1",
        "    FailingNodePath    REG_SZ    ./Vendor/MSFT/Policy/Config/Start",
        f"{ROOT}\\Results\\{ID}\\Accounts\\0\\xml",
        "    LastResult    REG_SZ    0",
        "",
    ]
)
CERTUTIL = {
    "english": ("SHA256 hash of {path}:", "CertUtil: -hashfile command completed successfully."),
    "german": ("SHA256-Hash von {path}:", "CertUtil: -hashfile-Befehl wurde erfolgreich ausgeführt."),
    "old": ("SHA256 hash of file {path}:", "CertUtil: -hashfile command completed successfully."),
}
EVENT = (
    "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>12</EventID>"
    "<TimeCreated SystemTime='2026-08-14T10:35:17.1234567Z'/></System><EventData>"
    f"<Data Name='Package'>{ID}</Data><Data Name='HRESULT'>0x80070005</Data></EventData></Event>"
)


def printed(
    files: dict[str, str], registry: str = REGISTRY_TEXT, events: str = EVENT, language: str = "english"
) -> str:
    """Return what the line prints."""
    before, after = CERTUTIL[language]
    lines = []
    for path, digest in files.items():
        shown = " ".join(digest[at : at + 2] for at in range(0, 64, 2)) if language == "old" else digest
        lines += [f"@provmode file {path}", before.format(path=path), shown, after]
    lines += ["@provmode registry ", registry, "@provmode done ", "@provmode events ", events, "@provmode done"]
    return "\r\n".join(lines) + "\r\n"


def completed(text: str, **rest: Any) -> Completed:
    """Return the output as it comes."""
    return Completed(rest.pop("exit_code", 0), text.encode(), **rest)


# -- the line itself --------------------------------------------------------------------------------------------------


def test_every_line_passes_the_gate_as_a_whole_and_no_other() -> None:
    for line in READING_LINES:
        assert not changes(CommandLine(line), read_only_lines=READING_LINES)
        assert changes(CommandLine(f"{line} & del x"), read_only_lines=READING_LINES)
    assert changes(HASHES)
    assert changes(INVENTORY)


def test_the_lines_are_short_and_read_the_64_bit_registry() -> None:
    assert all(len(line) < 8191 for line in READING_LINES)
    assert INVENTORY.line.count("reg query") == 1
    assert "/s /reg:64" in INVENTORY.line
    assert "Wow6432Node" not in INVENTORY.line
    assert INVENTORY.max_output is not None


def test_a_file_name_gets_into_no_command_but_by_the_variable_of_for() -> None:
    body = HASHES.line.partition(") do @(")[2]

    assert body == 'echo @provmode file %i& certutil -hashfile "%i" SHA256))'


# -- hashes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", CERTUTIL)
def test_hashes_are_read_in_every_language(drive: Drive, language: str) -> None:
    files = {f"{KEPT}\\a b;c&d%e.ppkg": A, f"{KEPT}\\Büro 日本.ppkg": B}

    answer = drive(inventory(), completed(printed(files, language=language)))

    assert answer.hashes.value == {path.lower(): (path, Known(digest)) for path, digest in files.items()}


def test_a_file_that_certutil_cannot_read_is_could_not_tell() -> None:
    lines = [
        *("@provmode file C:\\x\\a.ppkg", "CertUtil: -hashfile-Befehl ist fehlgeschlagen: 0x80070005 (WIN32: 5)"),
        *("@provmode file C:\\x\\b.ppkg", "CertUtil: -hashfile command FAILED: 0x80070020 (WIN32: 32)"),
        *("@provmode file C:\\x\\c.ppkg", "'certutil' is not recognized as an internal or external command"),
        *("@provmode file C:\\x\\d.ppkg", A[:-1], A + "0", "g" * 64),
    ]

    found = hashes_in(lines)

    assert [found[f"c:\\x\\{name}.ppkg"][1].cause for name in "abcd"] == [  # type: ignore[union-attr]
        *("access-denied", "fault", "malformed", "malformed")
    ]


def test_what_cim_names_in_lower_case_is_shown_as_windows_writes_it() -> None:
    place = PlaceFiles(Place.KEPT, KEPT, Known((PackageFile(f"{KEPT}\\Kiosk.ppkg".lower(), Place.KEPT, 5),)))

    (found,) = with_hashes((place,), {f"{KEPT}\\Kiosk.ppkg".lower(): (f"{KEPT}\\Kiosk.ppkg", Known(A))})

    assert found.files == Known((PackageFile(f"{KEPT}\\Kiosk.ppkg", Place.KEPT, 5, sha256=Known(A)),))


def test_a_file_that_only_the_line_shows_is_there_as_well() -> None:
    places = (PlaceFiles(Place.KEPT, KEPT, Known(())), PlaceFiles(Place.IMAGE, "x", Unknown("access-denied", "no")))
    new, image = "D:\\Data\\Microsoft\\Provisioning\\a.ppkg", "C:\\Windows\\Provisioning\\Packages\\b.ppkg"

    found = with_hashes(places, {new.lower(): (new, Known(A)), image.lower(): (image, Known(B))})

    assert found[0].files == Known((PackageFile(new, Place.KEPT, sha256=Known(A)),))
    assert found[1] == places[1], "a place that CIM could not read does not become known by a part of it"


def test_the_few_files_that_the_line_does_not_show_are_hashed_alone(drive: Drive) -> None:
    files = tuple(PackageFile(f"E:\\{number}.ppkg", Place.REMOVABLE, 10) for number in range(MAX_HASHED_ALONE + 1))
    answer = Completed(0, f'{{"exists":true,"size":10,"sha256":"{A}","base64":""}}'.encode())

    (found,) = drive(
        hashed((PlaceFiles(Place.REMOVABLE, "E:\\", Known(files)),), Known({})), *([answer] * MAX_HASHED_ALONE)
    )

    assert [file.sha256 for file in found.files.value][:-1] == [Known(A)] * MAX_HASHED_ALONE
    assert found.files.value[-1].sha256.cause == "too-large"


def test_a_large_file_is_not_loaded_into_the_memory_of_the_pc(drive: Drive) -> None:
    place = PlaceFiles(Place.REMOVABLE, "E:\\", Known((PackageFile("E:\\a.ppkg", Place.REMOVABLE, 2**30),)))

    (found,) = drive(hashed((place,), Known({})))

    assert found.files.value[0].sha256.cause == "too-large"


# -- shells -----------------------------------------------------------------------------------------------------------


def test_without_shells_everything_of_the_line_is_could_not_tell(drive: Drive) -> None:
    answer = drive(inventory(), SHELLS_FORBIDDEN)

    assert {each.cause for each in (answer.hashes, answer.registry, answer.events)} == {"shells-forbidden"}


def test_a_line_that_was_ended_early_keeps_what_came_before(drive: Drive) -> None:
    text = printed({f"{KEPT}\\a.ppkg": A})
    cut = text[: text.index("LastResult")]

    answer = drive(inventory(), completed(cut, cut=True))
    unfinished = drive(inventory(), completed(cut))

    assert len(answer.hashes.value) == 1
    assert answer.registry.cause == "too-large"
    assert answer.events.cause == "too-large"
    assert unfinished.registry.cause == "malformed"
    assert unfinished.events.cause == "malformed"


def test_reg_that_fails_is_absent_only_if_the_registry_provider_says_so(drive: Drive) -> None:
    text = printed({}, registry="").replace(
        "@provmode done \r\n@provmode events", "@provmode failed\r\n@provmode events"
    )
    there = Instance("X", {"ReturnValue": "0", "sNames": (), "Types": ()})

    absent = drive(inventory(), completed(text), Instance("X", {"ReturnValue": "2"}))
    partly = drive(inventory(), completed(text), there)
    denied = drive(inventory(), completed(text), Instance("X", {"ReturnValue": "5"}))

    assert absent.registry == Absent()
    assert (partly.registry.cause, denied.registry.cause) == ("access-denied", "access-denied")
    assert results_in(absent.registry) == Absent()
    assert isinstance(results_in(partly.registry), Unknown)


def test_the_registry_alone_is_asked_the_same_way(drive: Drive) -> None:
    assert not changes(REGISTRY, read_only_lines=READING_LINES)
    assert results_in(drive(provisioning_registry(), completed(REGISTRY_TEXT))).value[0].id == ID
    assert drive(provisioning_registry(), completed("", exit_code=1), Instance("X", {"ReturnValue": "2"})) == Absent()
    assert drive(provisioning_registry(), SHELLS_FORBIDDEN).cause == "shells-forbidden"
    assert drive(provisioning_registry(), AccessDenied("no")).cause == "access-denied"
    assert drive(provisioning_registry(), completed(REGISTRY_TEXT, cut=True)).cause == "too-large"


# -- the registry -----------------------------------------------------------------------------------------------------


def test_results_have_file_id_categories_hresult_and_node(drive: Drive) -> None:
    (result,) = results_in(drive(inventory(), completed(printed({}))).registry).value

    assert (result.file_name, result.id) == ("start_pins.ppkg", ID)
    policies, accounts = result.categories
    assert policies.categories == ("Policies", "Start")
    assert (policies.hresult, policies.failures) == ("0x80070005", 1)
    assert policies.failing_node == "./Vendor/MSFT/Policy/Config/Start"
    assert policies.message == "Zugriff\n  verweigert"
    assert (accounts.last_result, accounts.failed) == (0, False)
    assert result.failed == (policies,)


def test_results_of_commands_are_read_with_their_package(drive: Drive) -> None:
    registry = drive(inventory(), completed(printed({}))).registry

    assert commands_in(registry) == Known((CommandResult("DeviceContext", ID, "install", 2),))
    assert commands_in(Known(read_tree("", ROOT))) == Absent()
    assert results_in(Known(read_tree("", ROOT))) == Absent()


@pytest.mark.parametrize(
    ("text", "number"),
    [("REG_DWORD    0x80070005", 0x80070005), ("REG_SZ    -2147024891", 0x80070005), ("REG_SZ    0x0", 0)],
)
def test_a_result_is_read_however_it_is_kept(text: str, number: int) -> None:
    tree = read_tree(f"{ROOT}\\Results\\A\n    LastResult    {text}\n", ROOT)

    (result,) = results_in(Known(tree)).value  # type: ignore[union-attr]
    assert result.categories[0].last_result == number


@pytest.mark.parametrize("text", ["REG_SZ    oops", "REG_BINARY    00ff", "REG_SZ    " + "9" * 50, "REG_SZ"])
def test_a_result_that_is_no_number_is_not_made_up(text: str) -> None:
    (result,) = results_in(Known(read_tree(f"{ROOT}\\Results\\A\n    LastResult    {text}\n", ROOT))).value  # type: ignore[union-attr]

    assert result.categories[0].last_result is None
    assert not result.categories[0].failed


def test_what_is_not_below_the_key_is_left_out() -> None:
    tree = read_tree(
        f"{ROOT}Evil\\Results\\A\n    LastResult    REG_DWORD    0x1\nHKEY_USERS\\x\n    a    REG_SZ    b", ROOT
    )

    assert tree.keys == {}
    assert tree.values == {}


def test_large_registries_are_refused_and_long_texts_cut() -> None:
    with pytest.raises(TooMany):
        read_tree("\n".join(f"{ROOT}\\Results\\{number}" for number in range(MAX_KEYS + 1)), ROOT)
    text = f"{ROOT}\n    a    REG_SZ    " + "x" * 100_000 + "\n" + "y" * 100_000 + "\n" + "z\n" * 100_000
    assert len(read_tree(text, ROOT).text("a")) <= LONGEST_TEXT


@pytest.mark.parametrize(
    "lines",
    [
        [f"{ROOT}\\Results\\{number}" for number in range(600)],
        [
            line
            for number in range(200)
            for line in (f"{ROOT}\\Results\\A\\{number}", f"    Message    REG_SZ    {'x' * 1900}")
        ],
    ],
)
def test_results_that_would_fill_the_memory_of_a_fleet_are_refused(lines: list[str]) -> None:
    found = results_in(Known(read_tree("\n".join(lines), ROOT)))

    assert isinstance(found, Unknown)
    assert found.cause == "too-large"


def test_deep_keys_do_not_recurse() -> None:
    tree = read_tree(f"{ROOT}\\Results\\A" + "\\b" * 100_000 + "\n    LastResult    REG_DWORD    0x1", ROOT)

    assert len(results_in(Known(tree)).value) == 1  # type: ignore[union-attr]


@given(
    st.text(alphabet="@provmode \r\n\\HKEY_LOCAL_MACHINE<>Event0x5REG_SZ    registry events file done", max_size=400)
)
def test_no_output_raises_anything(text: str) -> None:
    def answered() -> Generator[Any, Any, None]:
        conversation = inventory()
        operation = next(conversation)
        assert operation == INVENTORY
        try:
            conversation.send(Completed(0, text.encode()))
            conversation.send(Instance("X", {"ReturnValue": "2"}))
        except StopIteration as stop:
            yield stop.value

    (answer,) = answered()
    assert isinstance(answer.hashes, Known)


def test_a_name_that_looks_like_a_mark_is_a_name(drive: Drive) -> None:
    path = f"{KEPT}\\@provmode registry.ppkg"

    answer = drive(inventory(), completed(printed({path: A})))

    assert answer.hashes.value == {path.lower(): (path, Known(A))}
    assert isinstance(answer.registry, Known)


# -- what was applied -------------------------------------------------------------------------------------------------


def test_applied_packages_are_results_and_ids_together(drive: Drive) -> None:
    results = results_in(drive(inventory(), completed(printed({}))).registry)
    ids = drive(applied_ids(), Instance("X", {"ReturnValue": "0", "sNames": (ID.upper(), OTHER, "nonsense")}))

    assert ids == Known((OTHER, ID))
    first, second = applied(results, ids).value  # type: ignore[union-attr]
    assert (first.id, first.file_name) == (ID, "start_pins.ppkg")
    assert second == AppliedPackage(OTHER)
    assert applied(Absent(), Absent()) == Absent()
    assert applied(Absent(), ids).value == (AppliedPackage(OTHER), AppliedPackage(ID))  # type: ignore[union-attr]
    assert isinstance(applied(Unknown("shells-forbidden", "x"), ids), Unknown)
    assert isinstance(applied(results, Unknown("access-denied", "x")), Unknown)


def test_a_result_of_another_source_is_no_package(drive: Drive) -> None:
    results = results_in(Known(read_tree(f"{ROOT}\\Results\\MDM\n    LastResult    REG_DWORD    0x0\n", ROOT)))

    assert applied(results, Absent()) == Absent()


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (ID.upper(), ID),
        (ID[1:-1], ID),
        (f"x_{ID}.ppkg", ID),
        ("", ""),
        ("{b84f2c39}", ""),
        (ID.replace("b8", "g8"), ""),
    ],
)
def test_ids_are_one_spelling(text: str, right: str) -> None:
    assert package_id(text) == right
