"""The commands of cmd.exe and the tools of Windows on a modelled PC: their output and their changes."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.windows import cmd, configmgr
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC
from provmode.lab.windows.store import HKLM, RegType

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
LAB = "HKLM\\SOFTWARE\\Lab"
NOT_FOUND = "ERROR: The system was unable to find the specified registry key or value.\n"


def a_pc() -> PC:
    pc = PC("PC-1", Clock(START, lambda: 0.0), os_version="10.0.19045")
    configmgr.install(pc, "5.00.9128.1007")
    pc.start_recording()
    return pc


@pytest.fixture
def pc() -> PC:
    return a_pc()


def raw(pc: PC, line: str, codepage: int = 437) -> tuple[int | None, bytes, bytes]:
    running = cmd.start(pc, line, codepage=codepage, user="LAB\\Admin")
    running.feed(b"", end=True)
    return (running.exit_code, *running.read())


def run(pc: PC, line: str) -> tuple[int | None, str, str]:
    code, out, err = raw(pc, line)
    return code, out.decode("cp437").replace("\r\n", "\n"), err.decode("cp437").replace("\r\n", "\n")


# -- the PC -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("hostname", "PC-1\n"),
        ("HOSTNAME.EXE", "PC-1\n"),
        ("C:\\Windows\\system32\\hostname.exe", "PC-1\n"),
        ("whoami", "lab\\admin\n"),
        ("ver", "\nMicrosoft Windows [Version 10.0.19045.4317]\n"),
        ("chcp", "Active code page: 437\n"),
        ("cd", "C:\\Windows\\system32\n"),
        ("cd /d C:\\Windows&cd", "C:\\Windows\n"),
    ],
)
def test_programs_print_what_the_pc_is(pc: PC, line: str, output: str) -> None:
    assert run(pc, line) == (0, output, "")
    assert pc.mutations == []


def test_the_running_processes_are_listed(pc: PC) -> None:
    code, output, _ = run(pc, "tasklist | findstr CcmExec")
    assert code == 0
    assert output.startswith("CcmExec.exe")
    pc.processes.end_all("ccmexec.exe")
    assert run(pc, "tasklist | findstr CcmExec") == (1, "", "")


# -- type -------------------------------------------------------------------------------------------------------


def test_type_passes_a_file_byte_for_byte(pc: PC) -> None:
    data = bytes(range(256))
    pc.files.write("C:\\Data\\all.bin", data, START)
    assert raw(pc, "type C:\\Data\\all.bin") == (0, data, b"")
    assert raw(pc, 'type "c:\\DATA\\..\\data\\ALL.bin"') == (0, data, b"")


@pytest.mark.parametrize(
    ("codepage", "expected"), [(437, b"M\x81ller ?"), (850, b"M\x81ller ?"), (1252, b"M\xfcller \x80"), (65001, None)]
)
def test_type_shows_utf_16_in_the_code_page_of_the_console(pc: PC, codepage: int, expected: bytes | None) -> None:
    pc.files.write("C:\\Data\\u.txt", b"\xff\xfe" + "Müller €".encode("utf-16-le"), START)
    assert raw(pc, "type C:\\Data\\u.txt", codepage) == (0, expected or "Müller €".encode(), b"")


def test_type_passes_utf_16_without_mark_and_big_endian_as_it_is(pc: PC) -> None:
    for data in ("ab".encode("utf-16-le"), b"\xfe\xff" + "ab".encode("utf-16-be"), b"\xef\xbb\xbfab"):
        pc.files.write("C:\\Data\\u.txt", data, START)
        assert raw(pc, "type C:\\Data\\u.txt") == (0, data, b"")


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("C:\\Windows\\nothing.txt", "The system cannot find the file specified.\n"),
        ("C:\\Nowhere\\nothing.txt", "The system cannot find the path specified.\n"),
    ],
)
def test_type_reports_a_missing_file(pc: PC, path: str, complaint: str) -> None:
    assert run(pc, f"type {path}") == (1, "", complaint)
    assert run(pc, f"type {path} 2>nul || echo gone") == (0, "gone\n", "")


def test_type_without_a_name_is_wrong_syntax(pc: PC) -> None:
    assert run(pc, "type") == (1, "", "The syntax of the command is incorrect.\n")


def test_type_of_several_files_shows_those_before_a_missing_one(pc: PC) -> None:
    pc.files.write("C:\\Windows\\a.txt", b"A", START)
    code, output, errors = run(pc, "type C:\\Windows\\a.txt C:\\Windows\\none.txt")
    assert (code, output) == (1, "A")
    assert "a.txt" in errors
    assert "cannot find the file" in errors


@given(st.text(st.characters(codec="utf-8")))
def test_any_utf_16_file_is_shown_whole_in_utf_8(text: str) -> None:
    pc = a_pc()
    pc.files.write("C:\\Data\\u.txt", b"\xff\xfe" + text.encode("utf-16-le"), START)
    assert raw(pc, "type C:\\Data\\u.txt", 65001) == (0, text.encode(), b"")


# -- files ------------------------------------------------------------------------------------------------------


def test_a_folder_is_listed(pc: PC) -> None:
    pc.files.write("C:\\Data\\b.txt", b"", START)
    pc.files.write("C:\\Data\\Sub\\c.txt", b"", START)
    assert run(pc, "dir /b C:\\Data") == (0, "b.txt\nSub\n", "")
    assert run(pc, "dir /b C:\\Data\\b.txt") == (0, "b.txt\n", "")
    assert run(pc, "dir /b C:\\Nowhere") == (1, "", "File Not Found\n")


def test_a_file_is_deleted(pc: PC) -> None:
    assert run(pc, "del /q C:\\Windows\\win.ini") == (0, "", "")
    assert pc.files.read("C:\\Windows\\win.ini") is None
    assert run(pc, "del C:\\Windows\\win.ini") == (0, "", "Could Not Find C:\\Windows\\win.ini\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        *(
            ("dir /e", 1),
            ("dir zzz", 1),
            ("dir fileA zzz", 0),
            ("dir zzz fileA", 0),
            ("dir sub\\zzz", 1),
            ("dir file*", 0),
        ),
        *(("type", 1), ("type NUL", 0), ("type i\\dont\\exist", 1), ("type file* i\\dont\\exist", 1)),
        *(("type i\\dont\\exist file*", 1), ("erase", 1), ("erase fileE", 0), ("erase i\\dont\\exist", 1)),
        *(("erase file* i\\dont\\exist", 1), ("erase *.none", 0), ("ver foo", 0), ("ver /f", 1)),
        *(("cls", 0), ("cls foobar", 0), ("cls /X", 1), ("title a new title", 0), ("title", 0)),
        *(("mkdir", 1), ("mkdir sub", 1), ("rmdir", 1), ("rmdir sub", 145), ("rmdir fileA", 267), ("rmdir zzz", 2)),
        *(("rmdir zzz\\abc", 3), ("cd sub", 0), ("cd ..", 0), ("cd", 0), ("set", 0), ("set nobody", 1), ("nobody", 1)),
    ],
)
def test_a_built_in_succeeds_and_fails_as_in_wines_tests_of_windows(pc: PC, line: str, code: int) -> None:
    """The lines and results of ``programs/cmd/tests/test_builtins.bat`` (Wine), which its authors run on Windows."""
    for name in ("fileA", "fileB", "fileE", "sub\\fileB"):
        pc.files.write(f"C:\\foo\\{name}", name.encode() + b"\r\n", START)

    found = run(pc, f"cd /d C:\\foo & ({line} && echo SUCCESS|| echo FAILURE)")[1].splitlines()

    assert found[-1:] == ["FAILURE" if code else "SUCCESS"]


def test_type_stops_at_the_first_missing_file_and_knows_wildcards(pc: PC) -> None:
    for name in ("fileA", "fileB"):
        pc.files.write(f"C:\\foo\\{name}", name.encode(), START)

    assert run(pc, "type C:\\foo\\zzz C:\\foo\\fileB") == (1, "", "The system cannot find the file specified.\n")
    assert run(pc, "type C:\\foo\\file*")[:2] == (0, "fileAfileB")
    assert run(pc, "type C:\\foo\\file* C:\\foo\\zzz C:\\foo\\fileB")[:2] == (1, "fileAfileB")
    assert run(pc, "type nul") == (0, "", "")
    assert run(pc, "type C:\\foo") == (1, "", "Access is denied.\n")


def test_erase_deletes_by_wildcards_and_says_what_it_could_not_find(pc: PC) -> None:
    for name in ("fileA", "fileB", "other"):
        pc.files.write(f"C:\\foo\\{name}", b"", START)

    assert run(pc, "cd C:\\foo & del file* none\\x") == (1, "", "Could Not Find C:\\foo\\none\\x\n")
    assert pc.files.listdir("C:\\foo") == ["other"]


def test_dir_refuses_a_switch_it_does_not_have(pc: PC) -> None:
    assert run(pc, "dir /z") == (1, "", 'Invalid switch - "z".\n')
    assert run(pc, "dir /b/s/o:n /-c C:\\Windows\\win.ini") == (0, "C:\\Windows\\win.ini\n", "")


def test_cls_writes_a_form_feed(pc: PC) -> None:
    assert run(pc, "cls") == (0, "\f", "")


def test_a_folder_is_made_and_removed_and_each_is_recorded(pc: PC) -> None:
    assert run(pc, "mkdir C:\\Data\\Deep & md C:\\Data\\Flat") == (0, "", "")
    assert run(pc, "dir /b C:\\Data") == (0, "Deep\nFlat\n", "")
    assert run(pc, "rmdir C:\\Data\\Deep && rd C:\\Data\\flat && RD C:\\Data") == (0, "", "")
    assert [change.what for change in pc.mutations] == [
        *("folder C:\\Data made", "folder C:\\Data\\Deep made", "folder C:\\Data\\Flat made"),
        *("folder C:\\Data\\Deep removed", "folder C:\\Data\\Flat removed", "folder C:\\Data removed"),
    ]
    assert {change.road for change in pc.mutations} == {"shell"}


def test_an_empty_folder_exists_but_lists_like_a_missing_one(pc: PC) -> None:
    run(pc, "mkdir C:\\Empty")
    assert run(pc, "if exist C:\\Empty echo there") == (0, "there\n", "")
    assert run(pc, "dir /b C:\\Empty") == run(pc, "dir /b C:\\Nowhere") == (1, "", "File Not Found\n")
    assert run(pc, "dir /a C:\\Empty") == (0, ".\n..\n", "")
    assert run(pc, "dir /b C:\\Emp*") == run(pc, "dir /b C:\\?mpty") == (0, "Empty\n", "")
    assert run(pc, "dir /b C:\\Nope*") == (1, "", "File Not Found\n")


def test_an_existing_folder_cannot_be_made_and_the_next_command_does_not_run(pc: PC) -> None:
    pc.files.write("C:\\Data\\a.txt", b"", START)
    for name in ("C:\\Windows", '"C:\\Data\\a.txt"'):
        bare = name.strip('"')
        output = (1, "", f"A subdirectory or file {bare} already exists.\n")
        assert run(pc, f"mkdir {name}") == run(pc, f"mkdir {name} && echo done") == output
    assert run(pc, "mkdir") == run(pc, "rmdir") == (1, "", "The syntax of the command is incorrect.\n")


@pytest.mark.parametrize(
    ("path", "code", "output"),
    [
        ("C:\\Windows\\nothing", 2, "The system cannot find the file specified.\n"),
        ("C:\\Nowhere\\nothing", 3, "The system cannot find the path specified.\n"),
        ("C:\\Windows", 145, "The directory is not empty.\n"),
        ("C:\\Windows\\win.ini", 267, "The directory name is invalid.\n"),
    ],
)
def test_a_folder_that_cannot_be_removed_stays_and_the_next_command_does_not_run(
    pc: PC, path: str, code: int, output: str
) -> None:
    assert run(pc, f"rmdir {path}") == run(pc, f"rmdir {path} && echo done") == (code, "", output)
    assert pc.mutations == []


def test_a_folder_is_removed_with_its_contents_only_with_s(pc: PC) -> None:
    pc.files.write("C:\\Data\\Deep\\a.txt", b"", START)
    run(pc, "mkdir C:\\Data\\Empty\\More")
    assert run(pc, "rmdir C:\\Data")[0] == 145
    assert run(pc, "rmdir /s /q C:\\Data") == (0, "", "")
    assert not pc.files.exists("C:\\Data")


def test_in_a_protected_path_no_folder_is_made_or_removed(pc: PC) -> None:
    run(pc, "mkdir C:\\Data\\Kept")
    pc.protected, before = ("c:\\data",), list(pc.mutations)
    assert run(pc, "mkdir C:\\Data\\New") == (1, "", "Access is denied.\n")
    assert run(pc, "rmdir C:\\Data\\Kept") == run(pc, "rd /s C:\\Data") == (5, "", "Access is denied.\n")
    assert pc.mutations == before


# -- reg --------------------------------------------------------------------------------------------------------


def test_reg_shows_one_value(pc: PC) -> None:
    code, output, errors = run(pc, 'reg query "HKLM\\software\\microsoft\\CCM\\CcmExec" /v provisioningmode')
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[1].lower() == "hkey_local_machine\\software\\microsoft\\ccm\\ccmexec"
    assert lines[2] == "    ProvisioningMode    REG_SZ    false"


def test_reg_shows_a_key_with_its_values_and_subkeys(pc: PC) -> None:
    pc.registry.create_key(HKLM, "SOFTWARE\\Lab\\Inner")
    pc.registry.set(HKLM, "SOFTWARE\\Lab", "d", RegType.DWORD, 2880)
    pc.registry.set(HKLM, "SOFTWARE\\Lab", "m", RegType.MULTI_SZ, ("a", "b"))
    pc.registry.set(HKLM, "SOFTWARE\\Lab", "b", RegType.BINARY, b"\x01\xab")
    pc.registry.set(HKLM, "SOFTWARE\\Lab", "", RegType.SZ, "x")
    pc.registry.set(HKLM, "SOFTWARE\\Lab\\Inner", "q", RegType.QWORD, 255)
    code, output, _ = run(pc, f"reg query {LAB}")
    assert code == 0
    assert output.splitlines()[1:] == [
        "HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab",
        "    d    REG_DWORD    0xb40",
        "    m    REG_MULTI_SZ    a\\0b",
        "    b    REG_BINARY    01AB",
        "    (Default)    REG_SZ    x",
        "",
        "HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab\\Inner",
        "",
    ]
    assert "    q    REG_QWORD    0xff" in run(pc, f"reg query {LAB} /s")[1].splitlines()


@pytest.mark.parametrize("line", ["reg query HKLM\\None", "reg query HKLM\\SYSTEM\\Setup /v None"])
def test_reg_reports_a_missing_key_or_value(pc: PC, line: str) -> None:
    assert run(pc, line) == (1, "", NOT_FOUND)


@pytest.mark.parametrize(
    "line",
    [
        *("reg", "reg query", "reg query HKXX\\a", "reg explode HKLM\\a", f"reg add {LAB} /v x /t REG_ODD /d 1"),
        f"reg add {LAB} /v x /t REG_DWORD /d one",
        f"reg add {LAB} /v x /t REG_DWORD /d 4294967296",
        f"reg add {LAB} /v x /t REG_QWORD /d 18446744073709551616",
        f"reg add {LAB} /v x /t REG_BINARY /d abc",
        f"reg add {LAB} /v x /t REG_BINARY /d zz",
    ],
)
def test_reg_reports_wrong_syntax_and_writes_nothing(pc: PC, line: str) -> None:
    code, output, errors = run(pc, line)
    assert (code, output) == (1, "")
    assert errors.startswith("ERROR: Invalid syntax.")
    assert pc.mutations == []


@pytest.mark.parametrize(
    ("kind", "given_data", "data"),
    [
        ("REG_SZ", "false", "false"),
        ("REG_DWORD", "10", 10),
        ("REG_DWORD", "010", 10),
        ("REG_DWORD", "0xFF", 255),
        ("REG_QWORD", "18446744073709551615", 2**64 - 1),
        ("REG_BINARY", "00ff", b"\x00\xff"),
        ("REG_MULTI_SZ", "a\\0b", ("a", "b")),
    ],
)
def test_reg_writes_a_value(pc: PC, kind: str, given_data: str, data: object) -> None:
    done = (0, "The operation completed successfully.\n", "")
    assert run(pc, f"REG ADD {LAB} /v x /t {kind} /d {given_data} /f") == done
    value = pc.registry.get(HKLM, "SOFTWARE\\Lab", "x")
    assert value is not None
    assert (value.type.name, value.data) == (kind[4:], data)
    assert run(pc, f"reg delete {LAB} /v x /f") == done
    assert pc.registry.get(HKLM, "SOFTWARE\\Lab", "x") is None
    assert run(pc, f"reg delete {LAB} /v x /f") == (1, "", NOT_FOUND)


def test_a_registry_edit_by_reg_is_only_half_an_exit(pc: PC) -> None:
    pc.invoke("root/ccm", "SMS_Client", {}, "SetClientProvisioningMode", {"bEnable": "true"})
    run(pc, "reg add HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec /v ProvisioningMode /t REG_SZ /d false /f")
    assert pc.client is not None
    assert pc.client.in_mode
    assert pc.mutations[-1].road == "shell"


def test_the_32_bit_view_is_separate(pc: PC) -> None:
    key = "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion"
    assert "C:\\Program Files\n" in run(pc, f"reg query {key} /v ProgramFilesDir")[1]
    assert "C:\\Program Files (x86)\n" in run(pc, f"reg query {key} /v ProgramFilesDir /reg:32")[1]


# -- services ---------------------------------------------------------------------------------------------------


def test_sc_shows_the_state_of_a_service(pc: PC) -> None:
    code, output, _ = run(pc, "sc query ccmexec")
    assert code == 0
    assert "SERVICE_NAME: CcmExec" in output
    assert "STATE              : 4  RUNNING" in output
    assert "STATE              : 1  STOPPED" in run(pc, "sc query BITS")[1]
    pc.invoke("root/ccm", "SMS_Client", {}, "SetClientProvisioningMode", {"bEnable": "false"})
    assert "STATE              : 3  STOP_PENDING" in run(pc, "sc query CcmExec")[1]


def test_sc_shows_the_configuration_of_a_service(pc: PC) -> None:
    assert "START_TYPE         : 2   AUTO_START" in run(pc, "sc qc CcmExec")[1]
    assert run(pc, "sc config CcmExec start= disabled")[0] == 0
    assert "START_TYPE         : 4   DISABLED" in run(pc, "sc qc CcmExec")[1]
    assert run(pc, "sc config CcmExec start=demand")[0] == 0
    assert "START_TYPE         : 3   DEMAND_START" in run(pc, "sc qc CcmExec")[1]


def test_sc_starts_and_stops(pc: PC) -> None:
    assert run(pc, "sc stop CcmExec")[0] == 0
    assert run(pc, "sc stop CcmExec")[0] == 1062
    run(pc, "sc config CcmExec start= disabled")
    assert run(pc, "sc start CcmExec")[0] == 1058
    run(pc, "sc config CcmExec start= auto")
    assert run(pc, "sc start CcmExec")[0] == 0
    assert run(pc, "sc start CcmExec")[0] == 1056


def test_sc_reports_an_unknown_service(pc: PC) -> None:
    code, output, _ = run(pc, "sc query Nobody")
    assert code == 1060
    assert output.startswith("[SC] EnumQueryServicesStatus:OpenService FAILED 1060:")


def test_net_starts_and_stops(pc: PC) -> None:
    assert [run(pc, f"net {verb} BITS")[0] for verb in ("start", "start", "stop", "stop")] == [0, 2, 0, 2]
    assert run(pc, "net start Nobody")[0] == 2


# -- ren ----------------------------------------------------------------------------------------------------------


def test_ren_renames_a_folder_in_its_place_once(pc: PC) -> None:
    run(pc, "mkdir C:\\Data\\old")
    pc.start_recording()

    assert run(pc, 'ren "C:\\Data\\old" "new" & dir /b C:\\Data') == (0, "new\n", "")
    code, out, err = run(pc, 'ren "C:\\Data\\old" "other" & dir /b C:\\Data')
    assert (code, out) == (0, "new\n")
    assert "cannot find the file" in err
    assert [change.what for change in pc.mutations][2:] == ["folder C:\\Data\\old renamed to C:\\Data\\new"]


def test_ren_replaces_nothing_and_moves_nothing(pc: PC) -> None:
    run(pc, "mkdir C:\\Data\\old C:\\Data\\new")

    assert run(pc, "ren C:\\Data\\old new")[0] == 1
    assert run(pc, "rename C:\\Data\\old C:\\Elsewhere")[0] == 1
    assert run(pc, "dir /b C:\\Data")[1].split() == ["new", "old"]
