"""cmd.exe on a modelled PC: its operators, quotes, variables redirections, and errors."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provmode.lab.windows import cmd, configmgr
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)


def a_pc(german: bool = False) -> PC:
    pc = PC("PC-1", Clock(START, lambda: 0.0), german=german)
    pc.start_recording()
    return pc


@pytest.fixture
def pc() -> PC:
    return a_pc()


def run(pc: PC, line: str, stdin: bytes = b"", codepage: int = 437, user: str = "lab\\admin") -> tuple[int, str, str]:
    """Return exit code, output and errors, with plain line feeds."""
    running = cmd.start(pc, line, codepage=codepage, user=user)
    running.feed(stdin, end=True)
    assert running.exit_code is not None, "the command does not end"
    out, err = (data.decode("utf-8" if codepage == 65001 else f"cp{codepage}") for data in running.read())
    return running.exit_code, out.replace("\r\n", "\n"), err.replace("\r\n", "\n")


def out(pc: PC, line: str, stdin: bytes = b"") -> str:
    return run(pc, line, stdin)[1]


# -- operators --------------------------------------------------------------------------------------------------

GOOD, BAD = "echo good", "type missing.txt 2>nul"


@pytest.mark.parametrize(
    ("line", "code", "output"),
    [
        ("echo a&echo b", 0, "a\nb\n"),
        ("echo a & echo b", 0, "a \nb\n"),
        (f"{BAD} & echo b", 0, "b\n"),
        (f"echo a & {BAD}", 1, "a \n"),
        ("echo a&&echo b", 0, "a\nb\n"),
        (f"{BAD} && echo b", 1, ""),
        ("echo a||echo b", 0, "a\n"),
        (f"{BAD} || echo b", 0, "b\n"),
        (f"{BAD} && echo b || echo c", 0, "c\n"),
        ("echo a&&echo b||echo c", 0, "a\nb\n"),
        (f"echo a||echo b&&{BAD}", 0, "a\n"),
        (f"{BAD} || {BAD} || echo c", 0, "c\n"),
        (f"({BAD} & echo b)||echo c", 0, "b\n"),
        (f"({BAD} && echo b)||(echo c&echo d)", 0, "c\nd\n"),
        ("(echo a)&(echo b)", 0, "a\nb\n"),
        ("((echo a))", 0, "a\n"),
        ("exit 5 & echo never", 5, ""),
        ("echo a&exit /b 7", 7, "a\n"),
        ("exit 3 || echo never", 3, ""),
        ("cmd /c exit 3 & echo then", 0, "then\n"),
        ("cmd /c exit 3", 3, ""),
        ('cmd /c "echo a&echo b"', 0, "a\nb\n"),
        ("cmd.exe /c ver | findstr Version", 0, "Microsoft Windows [Version 10.0.22631.4317]\n"),
        ("", 0, ""),
        ("   ", 0, ""),
        ("rem nothing & nothing", 1, ""),
    ],
)
def test_commands_are_joined_as_cmd_joins_them(pc: PC, line: str, code: int, output: str) -> None:
    assert run(pc, line)[:2] == (code, output)


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("echo hello", "hello\n"),
        ("ECHO  two  blanks ", " two  blanks \n"),
        ("@echo quiet", "quiet\n"),
        ("echo.", "\n"),
        ("echo.x", "x\n"),
        ("echo", "ECHO is on.\n"),
        ('echo "a & b"', '"a & b"\n'),
        ("echo a ^& b", "a & b\n"),
        ("echo ^^", "^\n"),
        ('echo "a ^& b"', '"a ^& b"\n'),
        ("echo a)", "a)\n"),
        ("echo a;b,c", "a;b,c\n"),
    ],
)
def test_echo_prints_its_argument(pc: PC, line: str, output: str) -> None:
    assert run(pc, line) == (0, output, "")


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("echo %COMPUTERNAME%", "PC-1\n"),
        ("echo %computername%%OS%", "PC-1Windows_NT\n"),
        ("echo %windir%\\x", "C:\\Windows\\x\n"),
        ("echo %nobody% 100%", "%nobody% 100%\n"),
        ("echo %USERNAME%", "admin\n"),
        ('echo "%OS%"', '"Windows_NT"\n'),
    ],
)
def test_variables_are_expanded(pc: PC, line: str, output: str) -> None:
    assert run(pc, line) == (0, output, "")


def test_a_variable_is_expanded_before_the_line_sets_it(pc: PC) -> None:
    assert out(pc, "set x=1& echo %x%") == "%x%\n"
    assert out(pc, "set x=1&cmd /c set x") == "x=1\n"
    assert out(pc, "set x=1&&set x") == "x=1\n"
    assert run(pc, "set nobody")[0] == 1


def test_a_nested_shell_has_its_own_variables_and_folder(pc: PC) -> None:
    assert out(pc, 'cmd /c "set x=1&set x&cd C:\\Windows&cd"&set x&cd') == "x=1\nC:\\Windows\nC:\\Windows\\system32\n"


def test_a_command_gets_the_environment_of_the_shell(pc: PC) -> None:
    running = cmd.start(pc, "echo %Colour% %OS%", environment={"COLOUR": "red"})
    assert running.read()[0] == b"red Windows_NT\r\n"


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("if exist C:\\Windows\\win.ini echo there", "there\n"),
        ('if exist "C:\\Windows\\win.ini" (echo there) else (echo not)', "there\n"),
        ("if exist C:\\nothing (echo there) else (echo not)", "not\n"),
        ("if not exist C:\\nothing echo not", "not\n"),
        ("if exist C:\\Windows echo folder", "folder\n"),
        ("if %OS%==Windows_NT echo yes", "yes\n"),
        ('if "%OS%"=="x" (echo yes) else echo no', "no\n"),
        ("if not a==b echo differs", "differs\n"),
        ("if a==A echo same", ""),
    ],
)
def test_conditions(pc: PC, line: str, output: str) -> None:
    assert run(pc, line) == (0, output, "")


# -- the quotes around a line: ``cmd /?`` ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ('"echo hallo & echo x"', "hallo \nx\n"),  # WinRb's gem quotes every line
        ('"hostname"', "PC-1\n"),
        ("\"echo 'hello world'\"", "'hello world'\n"),
        ('"echo "string with trailing \\""', '"string with trailing \\"\n'),
        ('"echo" a b', "a b\n"),
        ('"hostname" & echo then', "PC-1\nthen\n"),
        ('"echo a" & echo "b"', 'a" & echo "b\n'),  # the last quote of the line is the other one that goes
        ('"echo a', "a\n"),
        ('  "echo a&echo b"', "a\nb\n"),
        ('echo "a & b"', '"a & b"\n'),
        ('cmd /c ""hostname"&echo b"', "PC-1\nb\n"),
        ('cmd /s /c "echo "a b""', '"a b"\n'),
    ],
)
def test_the_first_and_the_last_quote_of_a_line_go(pc: PC, line: str, output: str) -> None:
    assert out(pc, line) == output


def test_the_quotes_around_an_executable_with_a_blank_in_its_name_stay(pc: PC) -> None:
    pc.files.write("C:\\Program Files\\Some Tool.exe", b"MZ", START)
    pc.files.write("C:\\Program Files\\(x86) Tool.exe", b"MZ", START)

    assert "Files\\Some Tool" in run(pc, '"C:\\Program Files\\Some Tool.exe" /x')[2]
    assert "Files\\Some Tool" in run(pc, '"C:\\Program Files\\Some Tool" /x')[2]
    for split_up in (
        '"C:\\Program Files\\Some Tool.exe" "/x"',
        '"C:\\Program Files\\(x86) Tool.exe"',
        '"C:\\Program Files\\No Tool.exe"',
        'cmd /s /c "C:\\Program Files\\Some Tool.exe"',
    ):
        assert run(pc, split_up)[2].startswith("'C:\\Program' is not recognized")


# -- ERRORLEVEL and loops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("echo %errorlevel%", "0\n"),
        ("nobody 2>nul & echo %errorlevel%", "0\n"),  # the line is expanded before it runs
        ("nobody 2>nul & if errorlevel 9009 echo unknown", "unknown\n"),
        ("nobody 2>nul & if errorlevel 9010 echo more", ""),
        ("nobody 2>nul & echo x>nul & if errorlevel 1 echo still", "still\n"),  # echo leaves it as it is
        ("nobody 2>nul & ver >nul & if not errorlevel 1 echo reset", "reset\n"),
        ("cmd /c exit 7 & if errorlevel 7 if not errorlevel 8 echo seven", "seven\n"),
        ("rmdir none 2>nul & if not errorlevel 1 echo unseen", "unseen\n"),
        ("rmdir none 2>nul || if errorlevel 2 echo seen", "seen\n"),
        ("cmd /c exit 7 & cmd /c if not errorlevel 1 echo new", "new\n"),
    ],
)
def test_errorlevel_is_what_the_last_command_left(pc: PC, line: str, output: str) -> None:
    assert out(pc, line) == output


def test_exit_without_a_number_gives_the_errorlevel(pc: PC) -> None:
    assert run(pc, "cmd /c exit 7 & exit")[0] == 7
    assert run(pc, "exit")[0] == 0


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("for %i in (a b) do @echo %i", "a\nb\n"),
        ('for %A in (a,"b c";d) do @echo %A-%~A', 'a-a\n"b c"-b c\nd-d\n'),
        ("for /L %n in (1,1,3) do @echo %n", "1\n2\n3\n"),
        ("for /L %n in (3,-2,0) do @echo %n", "3\n1\n"),
        ("for %f in (C:\\Windows\\win.*) do @echo %f", "C:\\Windows\\win.ini\n"),
        ("for %i in (a b) do @if not %i==a echo %i", "b\n"),
        ("(for %i in (b a) do @echo %i)|sort", "a\nb\n"),
        ("for %i in (a b) do @for %j in (1 2) do @echo %i%j", "a1\na2\nb1\nb2\n"),
        ("for %i in (a b) do echo %i", "\nC:\\Windows\\system32>echo a \na\n\nC:\\Windows\\system32>echo b \nb\n"),
        ("for %i in (a b) do @exit 3", ""),
        ("for /L %n in (1,0,3) do @echo %n", ""),
    ],
)
def test_a_loop_runs_its_command_for_each_item(pc: PC, line: str, output: str) -> None:
    assert out(pc, line) == output


# -- redirection ------------------------------------------------------------------------------------------------


def test_output_is_written_to_a_file_and_read_back(pc: PC) -> None:
    assert run(pc, "echo one>C:\\Temp\\a.txt&echo two>>C:\\Temp\\a.txt") == (0, "", "")
    assert pc.files.read("c:\\temp\\A.TXT") == b"one\r\ntwo\r\n"
    assert out(pc, "type C:\\Temp\\a.txt") == "one\ntwo\n"
    assert out(pc, "echo three>C:\\Temp\\a.txt&type C:\\Temp\\a.txt") == "three\n"
    assert {item.road for item in pc.mutations} == {"shell"}


def test_a_file_is_the_input_of_a_command(pc: PC) -> None:
    pc.files.write("C:\\Temp\\in.txt", b"b\r\na\r\n", START)
    assert out(pc, "sort < C:\\Temp\\in.txt") == "a\nb\n"
    assert run(pc, "sort < C:\\Temp\\nothing.txt")[0] == 1
    assert out(pc, "sort <nul", b"not read") == ""


@pytest.mark.parametrize(
    ("line", "output", "errors"),
    [
        ("nobody 2>nul", "", ""),
        ("nobody >nul 2>&1", "", ""),
        ("echo a>nul", "", ""),
        ("echo a>&2", "", "a\n"),
        ("echo a 1>&2", "", "a \n"),
        ("(echo a&echo b)>nul&echo c", "c\n", ""),
        ("echo a2>nul", "", ""),
    ],
)
def test_output_is_redirected(pc: PC, line: str, output: str, errors: str) -> None:
    assert run(pc, line)[1:] == (output, errors)


def test_errors_can_be_redirected_to_the_output(pc: PC) -> None:
    _, output, errors = run(pc, "nobody 2>&1")
    assert (output.startswith("'nobody' is not recognized"), errors) == (True, "")


def test_a_pipe_passes_output_on(pc: PC) -> None:
    assert out(pc, "(echo b&echo a)|sort") == "a\nb\n"
    assert out(pc, "(echo b&echo a&echo ab)|findstr a|sort") == "a\nab\n"
    assert run(pc, "echo x|findstr y") == (1, "", "")
    assert run(pc, "nobody | sort")[2].startswith("'nobody'")


def test_a_command_waits_for_the_end_of_its_input(pc: PC) -> None:
    running = cmd.start(pc, "sort&echo end")
    running.feed(b"b\r\n", end=False)
    assert running.exit_code is None
    assert running.read() == (b"", b"")
    running.feed(b"a\r\n", end=True)
    assert running.exit_code == 0
    assert running.read()[0] == b"a\r\nb\r\nend\r\n"
    assert running.read() == (b"", b""), "output is returned only once"


@pytest.mark.parametrize(("signal", "code"), [("terminate", 1), ("ctrl_c", 0xC000013A), ("ctrl_break", 0xC000013A)])
def test_a_command_that_waits_can_be_ended(pc: PC, signal: str, code: int) -> None:
    running = cmd.start(pc, "more & echo never")
    running.signal(f"http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/{signal}")
    assert (running.exit_code, running.read()) == (code, (b"", b""))
    running.feed(b"late", end=True)
    running.signal("terminate")
    assert (running.exit_code, running.read()) == (code, (b"", b""))


# -- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nobody", "Nobody.exe", "C:\\tools\\nobody", "Get-Process"])
def test_an_unknown_command_is_not_recognized(pc: PC, name: str) -> None:
    expected = f"'{name}' is not recognized as an internal or external command,\noperable program or batch file.\n"
    assert run(pc, f"{name} /x y") == (1, "", expected)


def test_a_german_pc_has_german_messages() -> None:
    _, _, errors = run(a_pc(german=True), "gibtsnicht", codepage=850)
    assert errors == 'Der Befehl "gibtsnicht" ist entweder falsch geschrieben oder\nkonnte nicht gefunden werden.\n'


@pytest.mark.parametrize(
    ("line", "token"),
    [("&& echo a", "&&"), ("echo a && || echo b", "||"), ("| sort", "|"), ("echo a && & echo b", "&"), (") x", ")")],
)
def test_an_operator_without_a_command_is_unexpected(pc: PC, line: str, token: str) -> None:
    assert run(pc, line) == (1, "", f"{token} was unexpected at this time.\n")


def test_a_line_that_is_too_long_is_refused(pc: PC) -> None:
    longest = "echo " + "x" * (8191 - 5)
    assert run(pc, longest)[0] == 0
    assert run(pc, longest + "x") == (1, "", "The command line is too long.\n")


@pytest.mark.parametrize(
    "line",
    [
        "echo a&" * 1000 + "echo a",
        "echo a&&" * 900 + "echo a",
        "nobody||" * 900 + "echo a",
        "sort|" * 1500 + "sort",
        "if a==a " * 1000 + "echo a",
        "(" * 4000 + "echo a",
        "(" * 30 + "echo a" + ")" * 30,
        "cmd /c " * 1000 + "echo a",
        "for /l %i in (1,1,99999999) do " * 5 + "@ver",
        "for %i in (a) do " * 100 + "@ver",
    ],
)
def test_a_deeply_nested_line_ends(pc: PC, line: str) -> None:
    assert run(pc, line)[0] in (0, 1)


def test_every_command_of_a_long_chain_runs(pc: PC) -> None:
    assert out(pc, "echo a&" * 1000 + "echo b") == "a\n" * 1000 + "b\n"
    assert out(pc, "nobody||" * 900 + "echo b") == "b\n"


WORDS = st.sampled_from(
    [
        *("echo", "type", "ver", "set", "cd", "dir", "del", "exit", "rem", "reg", "sc", "net", "sort", "more", "cmd"),
        *(
            "findstr",
            "hostname",
            "whoami",
            "powershell",
            "chcp",
            "tasklist",
            "if",
            "for",
            "%i",
            "in",
            "(a b)",
            "do",
            "errorlevel",
            "not",
            "exist",
            "else",
            "add",
            "query",
        ),
        *("&", "&&", "|", "||", "(", ")", "^", '"', ">", ">>", "2>", "2>&1", "<", "%os%", "%", "==", "/c", "/v", "/t"),
        *("/d", "HKLM\\SOFTWARE\\x", "HKCU", "REG_DWORD", "REG_BINARY", "REG_QWORD", "0x", "010", "abc", "-5", "--5"),
        *("config", "start=", "start", "stop", "BITS", "CcmExec", "C:\\Windows\\win.ini", "nul", "a==b", "@", "²", "-"),
        *("-Command", "$x", "=", "[Math]::Max(1)", "1 - 'a'", "{", "}", "throw", "."),
    ]
)


@given(st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=10).map(" ".join)), st.binary(max_size=20))
@example("exit --5", b"")
@example("reg add HKLM\\x /v y /t REG_DWORD /d 010", b"")
@example("reg add HKLM\\x /v y /t REG_BINARY /d abc", b"")
@example("powershell -Command 1 - 'a'", b"")
@example("powershell -Command x a.", b"")
def test_any_line_ends_with_an_exit_code(line: str, stdin: bytes) -> None:
    pc = a_pc()
    configmgr.install(pc, "5.00.9128.1007")
    running = cmd.start(pc, line, codepage=437)
    running.feed(stdin, end=True)
    assert running.exit_code in range(2**32)
    output, errors = running.read()
    assert isinstance(output + errors, bytes)
