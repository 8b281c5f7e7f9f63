"""The small PowerShell of the modelled PCs: what it evaluates, and how everything else fails."""

from __future__ import annotations

import base64
from datetime import datetime, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provmode.lab.windows import cmd
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)


def a_pc() -> PC:
    pc = PC("PC-1", Clock(START, lambda: 0.0))
    pc.start_recording()
    return pc


def encoded(script: str) -> str:
    return base64.b64encode(script.encode("utf-16-le", "surrogatepass")).decode()


def run(script: str, stdin: bytes = b"", pc: PC | None = None) -> tuple[int | None, str, str]:
    running = cmd.start(pc or a_pc(), f"powershell -NoProfile -EncodedCommand {encoded(script)}", codepage=65001)
    running.feed(stdin, end=True)
    out, err = (data.decode().replace("\r\n", "\n") for data in running.read())
    return running.exit_code, out, err


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("'it''s'", "it's\n"),
        ('$x = \'a\'; "<$x>`t$nobody`$x"""', '<a>\t$x"\n'),
        ("$X = 1; $x + 2", "3\n"),
        ("'a' + 1 + 2", "a12\n"),
        ("5 - 2 - 1", "2\n"),
        ("(5 - (2 - 1))", "4\n"),
        ("0x10", "16\n"),
        ("010", "10\n"),
        ("$null - 1", "-1\n"),
        ("'ABC' -eq 'abc'", "True\n"),
        ("'' -eq $null", "False\n"),
        ("$null -eq $nothing", "True\n"),
        ("1 -lt 2 -and -not (2 -lt 1)", "True\n"),
        ("!(1 -ne 2) -or 3 -ge 4", "False\n"),
        ("if (1 -gt 2) { 'a' } elseif (2 -gt 1) { 'b' } else { 'c' }", "b\n"),
        ("if ($false) { 'a' }\nelse\n{ 'c' }", "c\n"),
        ("# nothing\n'a' # more\n", "a\n"),
        (
            "$h = @{ a = 1; 'b' = 'x' }; $h.A = 2; $h.c = $true; ConvertTo-Json $h -Compress",
            '{"a":2,"b":"x","c":true}\n',
        ),
        ("$o = ConvertFrom-Json '{\"Name\": [1, 2]}'; $o.name", "1 2\n"),
        ("[Math]::Max(1, [Math]::Min(9, 5))", "5\n"),
        ("[BitConverter]::ToString([Convert]::FromBase64String('AP8='))", "00-FF\n"),
        ("[Environment]::ExpandEnvironmentVariables('%windir%\\%x%')", "C:\\Windows\\%x%\n"),
        ("' Ab '.Trim().ToUpper().Replace('A', 'x').Length", "2\n"),
        ("[Console]::Out.WriteLine('x')", "x\n"),
        ("Write-Output 'a' 'b'", "a b\n"),
        ("return 'a'\n'b'", "a\n"),
        (" ", ""),
    ],
)
def test_a_script_prints(script: str, output: str) -> None:
    assert run(script) == (0, output, "")


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("try { throw 'x' } catch { $_.Exception.Message }", "x\n"),
        ("try { 'a' } catch { 'b' } finally { 'c' }", "a\nc\n"),
        ("try { [IO.File]::ReadAllBytes('C:\\x') } catch { $_.Exception.GetType().Name }", "FileNotFoundException\n"),
        ("try { [IO.File]::ReadAllBytes('') } catch { $_.Exception.GetType().Name }", "ArgumentException\n"),
        ("try { [Math]::Max(1, 'x') } catch { 'caught' }", "caught\n"),
        ("try { ConvertFrom-Json '{' } catch { 'caught' }", "caught\n"),
        ("try { Get-Nothing } catch { $_.Exception.GetBaseException().GetType().Name }", "CommandNotFoundException\n"),
        ("try { try { throw 'x' } finally { 'f' } } catch { 'c' }", "f\nc\n"),
    ],
)
def test_an_exception_is_caught(script: str, output: str) -> None:
    assert run(script) == (0, output, "")


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("exit", 0), ("try { exit 4 } catch { exit 5 }", 4)])
def test_a_script_ends_with_its_code(script: str, code: int) -> None:
    assert run(f"{script}; 'never'") == (code, "", "")


@pytest.mark.parametrize(
    "script",
    [
        "throw 'it broke'",
        "Get-Process",
        "[IO.File]::ReadAllBytes('C:\\nothing')",
        "[Net.WebClient]::Download('x')",
        "'a'.Explode()",
        "$x.name.other",
        "if (",
        "if (1) { 'a'",
        "@{ a = 1",
        "'a' 'b'",
        "1 = 2",
        "'open",
        "[Math]::Max(1)",
        "1 - 'a'",
        "'a' -gt 1",
        "New-Object",
        "New-Object IO.",
        "$h = @{ a = [Text.Encoding]::UTF8 }; ConvertTo-Json $h",
        "(" * 2000,
        "!" * 2000 + "1",
        "1" + "+1" * 1200,
        "1" * 1200,
        "ConvertFrom-Json ('[' + '" + "[" * 1200 + "')",
    ],
)
def test_a_failing_script_ends_with_code_1_and_an_error(script: str) -> None:
    code, out, err = run(script)
    assert (code, out) == (1, "")
    assert err


def test_a_script_can_be_passed_in_every_way_of_powershell() -> None:
    pc = a_pc()
    for line in (
        "powershell -Command 'a'",
        "powershell -c 'a'",
        "powershell.exe -NoLogo 'a'",
        "powershell -ep Bypass 'a'",
    ):
        running = cmd.start(pc, line)
        running.feed(b"", end=True)
        assert (running.exit_code, running.read()) == (0, (b"a\r\n", b"")), line
    running = cmd.start(pc, "powershell -Command -")
    running.feed(b"'a'; [Console]::Out.WriteLine('b')", end=True)
    assert (running.exit_code, running.read()) == (0, (b"a\r\nb\r\n", b""))


@pytest.mark.parametrize(
    "line", ["powershell -EncodedCommand", "powershell -e !!", "powershell -e YQ==", "powershell -c"]
)
def test_a_command_line_without_a_script_fails(line: str) -> None:
    running = cmd.start(a_pc(), line)
    running.feed(b"", end=True)
    assert running.exit_code == 1
    out, err = running.read()
    assert (out, err != b"") == (b"", True)


def _encoded(script: str) -> str:
    return "powershell -NoProfile -EncodedCommand " + base64.b64encode(script.encode("utf-16-le")).decode()


@pytest.mark.parametrize("script", ["Get-Nothing", "$x = [Nowhere]::Thing()", "{{ no script", "throw 'x'; $y"])
def test_a_script_that_fails_fails_without_waiting_for_its_input(script: str) -> None:
    for line in (_encoded(script), f"powershell -Command {script}", "powershell -EncodedCommand !!"):
        running = cmd.start(a_pc(), line)  # nothing is fed
        assert running.exit_code == 1
        assert running.read()[1]


def test_a_script_waits_for_its_input_where_it_reads_it() -> None:
    pc = a_pc()
    read = "$r = New-Object IO.StreamReader([System.Console]::OpenStandardInput()); $r.ReadToEnd()"

    running = cmd.start(pc, _encoded(f"'before'; try {{ {read} }} finally {{ 'after' }}"))

    assert running.exit_code is None
    assert running.read() == (b"before\r\n", b"")
    running.feed(b"given", end=True)
    assert (running.exit_code, running.read()[0]) == (0, b"given\r\nafter\r\n")
    assert cmd.start(pc, _encoded(f"exit 3; {read}")).exit_code == 3


def test_standard_input_is_read_as_utf_8_with_or_without_mark() -> None:
    script = "$r = New-Object IO.StreamReader([Console]::OpenStandardInput(), [Text.Encoding]::UTF8); $r.ReadToEnd()"
    for data in ("Grüße".encode(), b"\xef\xbb\xbf" + "Grüße".encode()):
        assert run(script, data) == (0, "Grüße\n", "")


def test_files_are_those_of_the_pc() -> None:
    pc = a_pc()
    script = "[IO.File]::WriteAllBytes('C:\\Windows\\x', [IO.File]::ReadAllBytes('c:\\WINDOWS\\win.ini'))"
    assert run(script, pc=pc) == (0, "", "")
    assert pc.files.read("C:\\Windows\\x") == pc.files.read("C:\\Windows\\win.ini")
    assert run("[IO.File]::Move('C:\\Windows\\x', 'C:\\Windows\\y')", pc=pc)[0] == 0
    assert run("[IO.File]::Move('C:\\Windows\\y', 'C:\\Windows\\win.ini')", pc=pc)[0] == 1
    assert run("[IO.File]::Delete('C:\\Windows\\y'); [IO.File]::Exists('C:\\Windows\\y')", pc=pc)[1] == "False\n"
    assert run("[IO.File]::Delete('C:\\Windows\\y')", pc=pc)[0] == 0, "a missing file is not an error"
    assert run("[IO.File]::Delete('C:\\Nowhere\\y')", pc=pc)[0] == 1, "a missing folder is an error"


@pytest.mark.parametrize(
    "call",
    [
        "[IO.File]::ReadAllBytes('C:\\Secret\\a')",
        "[IO.File]::WriteAllBytes('c:\\SECRET\\a', [Convert]::FromBase64String(''))",
        "[IO.File]::Move('C:\\Secret\\a', 'C:\\Windows\\a')",
        "[IO.File]::Move('C:\\Windows\\win.ini', 'C:\\Secret\\b')",
        "[IO.File]::Replace('C:\\Windows\\win.ini', 'C:\\Secret\\a', $null)",
        "[IO.File]::Delete('C:\\Secret\\a')",
    ],
)
def test_a_protected_file_is_denied(call: str) -> None:
    pc = a_pc()
    pc.files.write("C:\\Secret\\a", b"secret", START)
    pc.protected = ("c:\\secret\\",)
    before = len(pc.mutations)
    output = run(f"try {{ {call} }} catch {{ $_.Exception.GetBaseException().GetType().Name }}", pc=pc)
    assert output == (0, "UnauthorizedAccessException\n", "")
    assert len(pc.mutations) == before


PIECES = st.sampled_from(
    [
        *(
            "$x",
            "$_",
            "$null",
            "=",
            "'a'",
            '"$x"',
            "1",
            "0x",
            "+",
            "-",
            "-eq",
            "-gt",
            "-and",
            "-not",
            "!",
            "(",
            ")",
            "{",
        ),
        *(
            "}",
            "@{",
            ";",
            "\n",
            ",",
            ".",
            ".Length",
            "if",
            "else",
            "try",
            "catch",
            "finally",
            "throw",
            "exit",
            "return",
        ),
        *("[Math]", "::", "Max", "[IO.File]", "ReadAllBytes", "[Convert]", "FromBase64String", "ToBase64String", "|"),
        *("ConvertTo-Json", "ConvertFrom-Json", "New-Object", "-Compress", "[Guid]", "NewGuid", "ToString", "#", "`"),
        *("[Console]", "Out", "WriteLine", "[Text.Encoding]", "UTF8", "IO.StreamReader", "OpenStandardInput"),
    ]
)


@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=14).map(" ".join), st.lists(PIECES).map("".join)))
@example("New-Object IO.")
@example("[Console]::Out.WriteLine([Guid]::NewGuid().ToString(1))")
@example("exit 'a'")
def test_any_script_ends_with_an_exit_code(script: str) -> None:
    code, _, err = run(script[:3000], b"input")
    assert code in range(2**32)
    assert code != 0 or err == ""
