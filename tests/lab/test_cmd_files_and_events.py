"""What tells of files and events on a modelled PC without PowerShell: certutil, reg, dir, loops, wevtutil, drives."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree as ET

import pytest

from provmode.lab.machine import CimError
from provmode.lab.windows import cmd
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.events import Event, Level, Provider
from provmode.lab.windows.pc import PC
from provmode.lab.windows.store import HKLM, Drive, DriveType, RegType

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
CHANNEL = "Microsoft-Windows-Example/Admin"
EXAMPLE = Provider("Microsoft-Windows-Example", "{11111111-2222-3333-4444-555555555555}")
ODD_NAMES = ("Lab & Büro.ppkg", "a^b 100%.ppkg", "x (2).ppkg", "plain.ppkg", "%PATH%.ppkg", "日本.ppkg")


def a_pc(*, german: bool = False) -> PC:
    pc = PC("PC-1", Clock(START, lambda: 0.0), german=german)
    pc.start_recording()
    return pc


def run(pc: PC, line: str, codepage: int = 65001) -> tuple[int | None, str, str]:
    running = cmd.start(pc, line, codepage=codepage)
    running.feed(b"", end=True)
    out, err = (each.decode("utf-8" if codepage == 65001 else f"cp{codepage}") for each in running.read())
    return running.exit_code, out.replace("\r\n", "\n"), err.replace("\r\n", "\n")


# -- certutil ---------------------------------------------------------------------------------------------------


def test_certutil_prints_the_hash_of_a_file_between_two_lines() -> None:
    pc = a_pc()
    pc.files.write("C:\\My Data\\a.ppkg", b"abc", START)

    code, output, errors = run(pc, 'certutil -hashfile "C:\\My Data\\a.ppkg" SHA256')

    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        "SHA256 hash of C:\\My Data\\a.ppkg:",
        hashlib.sha256(b"abc").hexdigest(),
        "CertUtil: -hashfile command completed successfully.",
    ]
    assert (
        hashlib.sha1(b"abc", usedforsecurity=False).hexdigest()
        in run(pc, 'certutil /hashfile "C:\\My Data\\a.ppkg"')[1]
    )


def test_on_a_german_pc_certutil_translates_the_lines_but_not_the_hash() -> None:
    pc = a_pc(german=True)
    pc.files.write("C:\\a.ppkg", b"abc", START)

    assert run(pc, "certutil -hashfile C:\\a.ppkg SHA256")[1].splitlines() == [
        "SHA256-Hash von C:\\a.ppkg:",
        hashlib.sha256(b"abc").hexdigest(),
        "CertUtil: -hashfile-Befehl wurde erfolgreich ausgeführt.",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "name"),
    [
        ("C:\\Data\\none.ppkg SHA256", 0x80070002, "ERROR_FILE_NOT_FOUND"),
        ("C:\\none\\a.ppkg SHA256", 0x80070003, "ERROR_PATH_NOT_FOUND"),
        ("C:\\Kept\\a.ppkg SHA256", 0x80070005, "ERROR_ACCESS_DENIED"),
        ("C:\\Data SHA256", 0x80070005, "ERROR_ACCESS_DENIED"),
        ("C:\\Data\\empty.ppkg SHA256", 0x800703EE, "ERROR_FILE_INVALID"),
    ],
)
def test_certutil_fails_on_standard_output_and_ends_with_the_hresult(arguments: str, code: int, name: str) -> None:
    pc = a_pc()
    pc.files.write("C:\\Data\\empty.ppkg", b"", START)
    pc.files.write("C:\\Kept\\a.ppkg", b"x", START)
    pc.protected = ("c:\\kept\\",)

    ended, output, errors = run(pc, f"certutil -hashfile {arguments}")

    assert (ended, errors) == (code, "")
    assert f"CertUtil: -hashfile command FAILED: 0x{code:08x} (WIN32: {code & 0xFFFF} {name})\n" in output
    assert run(pc, f"certutil -hashfile {arguments} & if errorlevel 1 echo positive")[1].count("positive") == 0


@pytest.mark.parametrize("line", ["certutil", "certutil -hashfile", "certutil -hashfile a b c", "certutil -dump a"])
def test_certutil_refuses_arguments_that_it_does_not_have(line: str) -> None:
    assert run(a_pc(), line)[0] == 0x80070057


def test_certutil_knows_no_invented_algorithm() -> None:
    pc = a_pc()
    pc.files.write("C:\\a", b"x", START)

    assert run(pc, "certutil -hashfile C:\\a SHA257")[0] == 0xD0000225


# -- loops over files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_loop_over_files_hands_on_each_name_as_it_is(name: str) -> None:
    pc = a_pc()
    pc.files.write(f"C:\\Pro (gram) & Data\\{name}", name.encode(), START)

    code, output, errors = run(
        pc, 'for %f in ("C:\\Pro (gram) & Data\\*.ppkg") do @certutil -hashfile "%f" SHA256 & echo %~zf %~nxf'
    )

    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        f"SHA256 hash of C:\\Pro (gram) & Data\\{name}:",
        hashlib.sha256(name.encode()).hexdigest(),
        "CertUtil: -hashfile command completed successfully.",
        f"{len(name.encode())} {name}",
    ]


@pytest.mark.parametrize(
    ("modifiers", "shown"),
    [
        ("", "C:\\Data\\sub\\a b.tar.gz"),
        ("f", "C:\\Data\\sub\\a b.tar.gz"),
        ("s", "C:\\Data\\sub\\a b.tar.gz"),
        ("d", "C:"),
        ("p", "\\Data\\sub\\"),
        ("dp", "C:\\Data\\sub\\"),
        ("n", "a b.tar"),
        ("x", ".gz"),
        ("nx", "a b.tar.gz"),
        ("z", "3"),
        ("t", "03/02/2026 08:00 AM"),
        ("a", "--a--------"),
        ("zn", "3 a b.tar"),
    ],
)
def test_the_modifiers_of_a_loop_variable(modifiers: str, shown: str) -> None:
    pc = a_pc()
    pc.files.write("C:\\Data\\sub\\a b.tar.gz", b"abc", START)

    assert run(pc, f'for %f in ("C:\\Data\\sub\\*.gz") do @echo %~{modifiers}f')[1] == f"{shown}\n"


def test_a_variable_may_begin_at_the_sign_that_ended_no_variable() -> None:
    pc = a_pc()
    pc.files.write("C:\\ProgramData\\x\\a.ppkg", b"", START)

    line = 'for %f in ("%ProgramData%\\x\\*.ppkg" "%SystemDrive%\\none\\*") do @echo %~zf;%ProgramData%'

    assert run(pc, line)[1] == "0;C:\\ProgramData\n"


def test_if_exist_takes_wildcards() -> None:
    pc = a_pc()
    pc.files.write("C:\\Data\\a.ppkg", b"", START)

    for name, there in (
        ("C:\\Data\\*.ppkg", True),
        ("C:\\Data\\*.cab", False),
        ("C:\\Da*", True),
        ("C:\\No\\*", False),
    ):
        assert run(pc, f'if exist "{name}" (echo yes) else echo no')[1] == ("yes\n" if there else "no\n"), name


def test_dir_lists_full_paths_of_all_folders_below() -> None:
    pc = a_pc()
    for name in ("a.ppkg", "sub\\b.ppkg", "sub\\deep\\c.PPKG", "sub\\d.txt"):
        pc.files.write(f"C:\\Data\\{name}", b"", START)

    assert run(pc, "dir /s /b C:\\Data\\*.ppkg") == (
        0,
        "C:\\Data\\a.ppkg\nC:\\Data\\sub\\b.ppkg\nC:\\Data\\sub\\deep\\c.PPKG\n",
        "",
    )
    assert run(pc, "dir /s /b C:\\Data")[1].splitlines()[:2] == ["C:\\Data\\a.ppkg", "C:\\Data\\sub"]
    assert run(pc, "dir /s /b C:\\Data\\*.none") == (1, "", "File Not Found\n")


# -- reg --------------------------------------------------------------------------------------------------------


def test_reg_shows_a_tree_once_in_the_layout_of_windows() -> None:
    pc = a_pc()
    pc.registry.set(HKLM, "SOFTWARE\\Lab\\B", "n", RegType.DWORD, 5)
    pc.registry.create_key(HKLM, "SOFTWARE\\Lab\\A\\Empty")
    pc.registry.set(HKLM, "SOFTWARE\\Lab\\B\\In", "m", RegType.MULTI_SZ, ("x", "y & z"))
    root = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab"

    assert run(pc, "reg query HKLM\\SOFTWARE\\Lab /s") == (
        0,
        f"\n{root}\\A\n\n{root}\\A\\Empty\n\n{root}\\B\n    n    REG_DWORD    0x5\n\n"
        f"{root}\\B\\In\n    m    REG_MULTI_SZ    x\\0y & z\n\n\n".replace("\n\n\n", "\n\n"),
        "",
    )


def test_reg_finds_a_value_by_name_in_a_tree_and_counts() -> None:
    pc = a_pc()
    for key in ("Lab", "Lab\\A", "Lab\\A\\B"):
        pc.registry.set(HKLM, f"SOFTWARE\\{key}", "other", RegType.SZ, "")
    pc.registry.set(HKLM, "SOFTWARE\\Lab\\A\\B", "Wanted", RegType.SZ, "v")

    code, output, _ = run(pc, "reg query HKLM\\SOFTWARE\\Lab /v wanted /s")

    assert (code, output.splitlines()[1:]) == (
        0,
        [
            "HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab\\A\\B",
            "    Wanted    REG_SZ    v",
            "",
            "End of search: 1 match(es) found.",
        ],
    )
    assert run(pc, "reg query HKLM\\SOFTWARE\\Lab /v none /s")[0] == 1


# -- events -----------------------------------------------------------------------------------------------------


def with_events() -> PC:
    pc = a_pc()
    for number in (60, 20, 22, 61):
        level = Level.ERROR if number == 22 else Level.INFORMATION
        pc.events.write(
            CHANNEL, Event(EXAMPLE, number, level, START + timedelta(minutes=number), {"Name": f"<{number}> & 'é'"})
        )
    pc.advance(7200)
    return pc


def numbers(output: str) -> list[int]:
    space = "{http://schemas.microsoft.com/win/2004/08/events/event}"
    found = [ET.fromstring(line) for line in output.splitlines()]
    return [int(event.findtext(f".//{space}EventID") or 0) for event in found]


def test_wevtutil_writes_an_event_a_line_newest_first_if_asked() -> None:
    pc = with_events()

    code, output, errors = run(pc, f"wevtutil qe {CHANNEL} /f:xml /c:3 /rd:true")

    assert (code, errors, numbers(output)) == (0, "", [61, 22, 20])
    assert numbers(run(pc, f"wevtutil query-events {CHANNEL.upper()} /count:2")[1]) == [60, 20]
    event = ET.fromstring(output.splitlines()[0])
    texts = {child.tag.rpartition("}")[2]: child.text for child in event.iter()}
    assert texts["Data"] == "<61> & 'é'"
    assert texts["Channel"] == CHANNEL
    assert texts["EventRecordID"] == "4"
    assert "TimeCreated SystemTime='2026-03-02T09:01:00.0000000Z'" in output


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("*", [60, 20, 22, 61]),
        ("*[System[EventID=22]]", [22]),
        ("*[System[(EventID=20 or EventID=22)]]", [20, 22]),
        ("*[System[(EventID>=60 and EventID<=62) or Level=2]]", [60, 22, 61]),
        ("*[System[Provider[@Name='microsoft-windows-example'] and (Level!=2)]]", [60, 20, 61]),
        ("*[System[TimeCreated[timediff(@SystemTime) <= 3600000]]]", [60, 61]),
        ("*[System[EventRecordID>3]]", [61]),
    ],
)
def test_wevtutil_selects_by_xpath(query: str, found: list[int]) -> None:
    assert numbers(run(with_events(), f'wevtutil qe {CHANNEL} "/q:{query}"')[1]) == found


@pytest.mark.parametrize(
    "query", ["x", "*[System[EventID]]", "*[System[EventID=]]", "*[System[(EventID=1]]", "*[", "*]"]
)
def test_wevtutil_refuses_a_query_that_is_none(query: str) -> None:
    assert run(with_events(), f'wevtutil qe {CHANNEL} "/q:{query}"')[:2] == (15001, "")


@pytest.mark.parametrize(
    "line",
    [
        "wevtutil",
        "wevtutil qe",
        f"wevtutil xx {CHANNEL}",
        f"wevtutil qe {CHANNEL} /c:x",
        f"wevtutil qe {CHANNEL} /zz:1",
    ],
)
def test_wevtutil_refuses_arguments_that_it_does_not_have(line: str) -> None:
    assert run(with_events(), line)[:2] == (87, "")


def test_wevtutil_says_that_there_is_no_such_channel() -> None:
    pc = with_events()
    pc.events.remove(CHANNEL)

    assert run(pc, f"wevtutil qe {CHANNEL} /f:xml") == (
        15007,
        "",
        "Failed to read events. The specified channel could not be found. Check channel configuration.\n",
    )
    assert run(pc, "wevtutil qe System") == (0, "", "")


def test_wevtutil_writes_a_root_and_utf_16_if_asked() -> None:
    running = cmd.start(with_events(), f"wevtutil qe {CHANNEL} /e:Events /uni:true", codepage=437)
    output = running.read()[0].decode("utf-16-le")

    assert [event.tag for event in [ET.fromstring(output)]] == ["Events"]
    assert "<60> & 'é'" in "".join(ET.fromstring(output).itertext())


# -- drives -----------------------------------------------------------------------------------------------------


def test_drives_are_seen_by_both_classes_and_their_type_by_one() -> None:
    pc = a_pc()
    pc.drives += [
        Drive("D:", DriveType.COMPACT_DISC, None),
        Drive("E:", DriveType.REMOVABLE, "FAT32", 8_000_000_000, "KITTING"),
    ]
    pc.files.write("E:\\a.ppkg", b"x", START)

    rows = pc.query("root/cimv2", "SELECT DeviceID, VolumeName FROM Win32_LogicalDisk WHERE DriveType = 2")
    assert rows == [{"DeviceID": "E:", "VolumeName": "KITTING"}]
    every = pc.enumerate("root/cimv2", "CIM_LogicalDisk")
    assert [(each.class_name, each.properties["DeviceID"]) for each in every] == [
        ("Win32_LogicalDisk", letter) for letter in ("C:", "D:", "E:")
    ]
    assert every[1].properties["FileSystem"] is every[1].properties["Size"] is None
    found = pc.query(
        "root/cimv2", "SELECT Name FROM CIM_DataFile WHERE Drive='e:' AND Path='\\\\' AND Extension='ppkg'"
    )
    assert found == [{"Name": "e:\\a.ppkg"}]
    with pytest.raises(CimError) as raised:
        pc.query("root/cimv2", "SELECT DeviceID FROM CIM_LogicalDisk WHERE DriveType = 2")
    assert raised.value.status == 0x80041017


def test_the_kind_of_a_drive_is_told_in_the_language_of_the_pc() -> None:
    assert (
        a_pc(german=True).enumerate("root/cimv2", "Win32_LogicalDisk")[0].properties["Description"]
        == "Lokale Festplatte"
    )


# -- bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("for %i in (1 2) do @echo %i& echo x", "1\nx\n2\nx\n"),
        ("(for %i in (1 2) do @echo %i) & echo x", "1\n2\nx\n"),
        ("for %i in (1 2) do @(echo %i& echo x)", "1\nx\n2\nx\n"),
        ("@(echo a) & @echo b", "a\nb\n"),
        ("if 1==2 echo a & echo b", ""),
        ("if 1==1 (echo a) & echo b", "a\nb\n"),
        ("if 1==2 (echo a) else echo b& echo c", "b\nc\n"),
        ("(if 1==2 echo a) & echo b", "b\n"),
        ("if 1==1 ver | findstr none || echo no", "no\n"),
    ],
)
def test_the_rest_of_a_line_is_the_body_of_a_loop_or_of_an_if(line: str, output: str) -> None:
    assert run(a_pc(), line)[1] == output
