"""The write gate: an operation that does not certainly only read counts as a change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.transport.write_gate import changes
from provmode.windows.files import READ_ONLY_LINES
from provmode.windows.registry import Key, ValueType, get_value
from provmode.windows.scripts import READ_BYTES, SWAP_BYTES
from provmode.wsman import CommandLine, Enumerate, Get, Identify, Invoke, Resource
from provmode.wsman.operations import Put

KEY = Key.parse("HKLM\\SOFTWARE\\Test")
CLIENT = Resource.cim("root/ccm", "SMS_Client")


@pytest.mark.parametrize(
    "operation",
    [
        Identify(),
        Get(CLIENT),
        Enumerate.query("root/cimv2", "SELECT * FROM Win32_Process"),
        *(get_value(KEY, "x", value_type) for value_type in ValueType),
        KEY.invoke("EnumValues"),
        KEY.invoke("enumkey"),
    ],
)
def test_reading_operations_pass(operation: object) -> None:
    assert changes(operation) is False  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "operation",
    [
        Invoke(CLIENT, "SetClientProvisioningMode", (("bEnable", "false"),)),
        Invoke(CLIENT, "TriggerSchedule", (("sScheduleID", "{...21}"),)),
        Invoke(CLIENT, "GetStringValue"),  # the name of a reading method, on another class
        *(
            KEY.invoke(method)
            for method in ("SetStringValue", "SetDWORDValue", "CreateKey", "DeleteKey", "DeleteValue")
        ),
        KEY.invoke("AMethodOfALaterWindows"),
        Invoke(Resource.cim("root/cimv2", "Win32_Service", {"Name": "CcmExec"}), "StartService"),
        Put(Resource.cim("root/cimv2", "Win32_Service", {"Name": "CcmExec"}), (("StartMode", "Auto"),)),
    ],
)
def test_every_other_operation_is_a_change(operation: object) -> None:
    assert changes(operation)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        'type "%windir%\\ccmsetup\\MobileClient.TCF"',
        "reg query HKLM\\SOFTWARE\\Microsoft\\CCM /s",
        "sc query CcmExec",
        "sc.exe qc CcmExec",
        "hostname",
        "ver",
        "whoami /groups",
        "echo hello & hostname && ver || echo no",
        "dir C:\\ 2>nul",
        'dir /b "%windir%\\ccmsetup\\x*" & dir /b "%windir%\\ccmsetup\\x"',
        'type "a & del b"',
        'dir"C:\\x"',
        "dir/b",
        "@echo.",
        "type x 2>&1",
    ],
)
def test_commands_that_only_read_pass(line: str) -> None:
    assert not changes(CommandLine(line))


@pytest.mark.parametrize(
    "line",
    [
        "del C:\\x",
        'mkdir "%windir%\\ccmsetup\\x" && dir /b "%windir%\\ccmsetup\\x"',
        'rmdir "%windir%\\ccmsetup\\x" && echo gone',
        "dir C:\\ && md C:\\x",
        "rd C:\\x",
        "reg add HKLM\\SOFTWARE\\X",
        "reg delete HKLM\\SOFTWARE\\X /f",
        "sc config CcmExec start= auto",
        "sc stop CcmExec",
        "echo x > C:\\x.txt",
        "echo x >> C:\\x.txt",
        "type a.txt | more",
        "type a & del b",
        "type a&&del b",
        "type a || rd /s /q C:\\",
        "echo %COMSPEC%",
        "echo !x!",
        "for %i in (1) do del x",
        "(del x)",
        "type x ^& del y",
        "type x\ndel y",
        "type x\rdel y",
        "ty%windir%pe x",
        'ty"x"pe x',
        'type "unclosed & del y',
        'type "unclosed',
        "hostname.bat",
        "typeset x",
        "verify",
        "echoes",
        "powershell -c hostname",
        "cmd /c hostname",
        "whoami.exe.cmd",
        "",
        "   ",
        "> x type y",
        "type x 2> nul.txt",
        "echo x > nul:stream",
        "dir > nul & > y",
        "wmic process call create notepad",
        SWAP_BYTES,
    ],
)
def test_every_other_command_is_a_change(line: str) -> None:
    assert changes(CommandLine(line), read_only_lines=READ_ONLY_LINES)


def test_the_reading_script_passes_only_unchanged() -> None:
    assert not changes(CommandLine(READ_BYTES), read_only_lines=READ_ONLY_LINES)
    assert changes(CommandLine(READ_BYTES))
    assert changes(CommandLine(READ_BYTES + " & del x"), read_only_lines=READ_ONLY_LINES)


DANGEROUS = st.sampled_from(["del x", "reg add k", "rd /s y", "sc stop z", "start w", "copy a b"])
HARMLESS = st.sampled_from(["hostname", "ver", 'type "a"', "echo hi", "sc query"])
GLUE = st.sampled_from([" & ", "&", "&&", " || ", "|", " | ", "\n", " & @", " && ("])


@given(HARMLESS, GLUE, DANGEROUS, GLUE, HARMLESS)
def test_a_change_anywhere_in_a_line_makes_it_a_change(a: str, one: str, bad: str, two: str, b: str) -> None:
    assert changes(CommandLine(f"{a}{one}{bad}{two}{b}"))
    assert changes(CommandLine(f"{bad}{one}{a}"))


READING = {
    "StdRegProv": (
        *("GetStringValue", "GetExpandedStringValue", "GetMultiStringValue", "GetDWORDValue", "GetQWORDValue"),
        *("GetBinaryValue", "EnumKey", "EnumValues", "CheckAccess"),
    ),
    "SMS_Client": ("GetAssignedSite",),
    "CCM_ClientUtilities": ("DetermineIfRebootPending",),
    "Win32_Service": (),
}
"""The methods that only read, as Microsoft documents them."""
METHODS = sorted({method for methods in READING.values() for method in methods})


@given(st.sampled_from(sorted(READING)), st.text(max_size=40) | st.sampled_from(METHODS), st.booleans())
def test_a_method_reads_only_if_it_is_documented_to_on_its_class(name: str, method: str, lower: bool) -> None:
    operation = Invoke(Resource.cim("root/cimv2", name.lower() if lower else name), method.lower() if lower else method)

    assert changes(operation) is (method.lower() not in {known.lower() for known in READING[name]})


@pytest.mark.parametrize(("name", "method"), [(name, method) for name in READING for method in READING[name]])
def test_each_documented_reading_method_passes(name: str, method: str) -> None:
    assert not changes(Invoke(Resource.cim("root/cimv2", name), method))
