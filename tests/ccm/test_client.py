"""The questions to a client: what is too large or out of range becomes "could not tell", whatever the PC sends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.ccm import tcf
from provmode.ccm.client import (
    MAX_FACT,
    TCF_PATHS,
    bounded,
    client_state,
    enabled_time,
    max_minutes,
    mobile_client_tcf,
    tcf_command,
)
from provmode.ccm.judge import judge
from provmode.ccm.model import ClientReadings, TcfFile
from provmode.ccm.policy import Policy
from provmode.errors import HostError, RemoteFault
from provmode.reading import Absent, Known, Unknown
from provmode.remediation.decide import plan_remediation
from provmode.windows.files import TooLarge, read_file, script_answer
from provmode.windows.model import PcClock
from provmode.windows.system import boot_time, clock_and_name, operating_system
from provmode.wsman import Completed, Instance

NOW = datetime(2026, 8, 20, 12, 0, tzinfo=timezone.utc)
Drive = Callable[..., Any]


FAILED = b"type failed"


def shown(*contents: bytes | None, cut: bool = False) -> Completed:
    """Return the output of the command for `MobileClient.TCF`; ``None``: there is no file, `FAILED`: type failed."""
    output = b""
    for number in range(len(contents) if cut else len(TCF_PATHS)):
        content = contents[number] if number < len(contents) else None
        result = "absent" if content is None else "failed" if content is FAILED else "shown"
        mark = f"@provmode {number} {result}"
        output += (content if content and content is not FAILED else b"") + (
            b"" if cut and number == len(contents) - 1 else f"{mark}\r\n".encode()
        )
    return Completed(0, output, cut=cut)


# -- MobileClient.TCF -------------------------------------------------------------------------------------------------


def test_the_largest_file_is_read_and_one_byte_more_is_refused_with_its_size(drive: Drive) -> None:
    entry = b"SMSPROVISIONINGMODE=1\r\n"
    largest = entry + b"x" * (tcf.MAX_BYTES - len(entry))

    read = drive(mobile_client_tcf(), shown(largest))
    refused = drive(mobile_client_tcf(), shown(largest + b"x"))

    assert read == Known((TcfFile(TCF_PATHS[0], True, "as shown by type", ("SMSPROVISIONINGMODE=1",)),))
    assert isinstance(refused, Unknown)
    assert refused.cause == "too-large"
    assert "1,048,577 bytes: too large to be one" in refused.detail


def test_output_without_an_end_is_not_waited_for_and_the_size_is_asked(drive: Drive) -> None:
    limit = tcf_command().max_output
    system = [Instance("A", {"Version": "10.0", "BuildNumber": "26100", "WindowsDirectory": "D:\\Win"})]
    file = [Instance("A", {"Name": "x", "FileSize": "67108864"})]

    refused = drive(mobile_client_tcf(), shown(b"", b"x" * 5_000_000, cut=True), system, file)
    without_size = drive(mobile_client_tcf(), shown(b"x" * 5_000_000, cut=True), system, [])

    assert limit is not None
    assert limit < 5_000_000
    assert f"{TCF_PATHS[1]} has 67,108,864 bytes: too large" in refused.detail
    assert f"{TCF_PATHS[0]} has over 1,048,576 bytes: too large" in without_size.detail


def test_the_bytes_of_a_file_that_is_too_large_are_not_loaded(drive: Drive) -> None:
    answer = b'{"exists":true,"size":67108864,"sha256":"0","base64":"eA=="}'

    with pytest.raises(TooLarge, match="has 67,108,864 bytes, over the limit of 1,048,576"):
        drive(read_file("x", tcf.MAX_BYTES), Completed(0, answer))


def test_more_bytes_than_the_file_has_are_refused(drive: Drive) -> None:
    answer = b'{"exists":true,"size":1,"sha256":"0","base64":"eHh4"}'

    with pytest.raises(HostError, match="more than its 1 bytes came"):
        drive(read_file("x"), Completed(0, answer))


@pytest.mark.parametrize(
    "answer", ["[" * 100_000, '{"size":' + "9" * 5000 + "}", '{"size":NaN}', '{"a":' * 100_000, "\ufeff"]
)
def test_an_answer_of_a_script_that_is_not_one_is_one_error(answer: str) -> None:
    with pytest.raises(HostError, match="did not run the script"):
        script_answer(Completed(0, answer.encode()), "x")


def test_a_file_with_many_or_long_entries_does_not_make_a_report_large(drive: Drive) -> None:
    long = b"Install=" + b"SMSPROVISIONINGMODE=1 " * 40_000
    many = b"SMSPROVISIONINGMODE=1\r\n" * 40_000

    (file,) = drive(mobile_client_tcf(), shown(long)).value
    (other,) = drive(mobile_client_tcf(), shown(many)).value

    assert file.armed
    assert other.armed
    assert sum(map(len, (*file.entries, *other.entries))) < 10_000
    assert file.entries[0].endswith("\N{HORIZONTAL ELLIPSIS} (880,007 characters)")


@pytest.mark.parametrize(
    "windir", ["C:\\Win\x1bdows", "\\\\server\\share", "C:\\%x%", "C:\\a\0", "x" * 300, "C:\\" + "x" * 300, "C:\\a|b"]
)
def test_a_windows_folder_that_is_none_is_could_not_tell(drive: Drive, windir: str) -> None:
    reading = drive(
        operating_system(), [Instance("A", {"Version": "1", "BuildNumber": "1", "WindowsDirectory": windir})]
    )

    assert isinstance(reading, Unknown)
    assert reading.cause == "malformed"
    assert "is not a folder" in reading.detail


def test_a_file_that_exists_and_cannot_be_read_is_could_not_tell(drive: Drive) -> None:
    assert drive(mobile_client_tcf(), shown(b"x", FAILED)) == Unknown(
        "access-denied", f"{TCF_PATHS[1]} exists but cannot be read"
    )


@pytest.mark.parametrize("result", ["", "shown twice", "absent C:\\Windows", "shown\x1b[2J"])
def test_a_mark_that_says_something_else_is_could_not_tell(drive: Drive, result: str) -> None:
    output = shown().stdout.replace(b"@provmode 0 absent", f"@provmode 0 {result}".encode())

    answer = drive(mobile_client_tcf(), Completed(0, output))

    assert isinstance(answer, Unknown)
    assert answer.cause == "malformed"


# -- times and numbers ------------------------------------------------------------------------------------------------

WIRE_TIMES = st.from_regex(
    r"(0001|000[0-9]|[0-9]{4}|9999)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]|2[0-3]):[0-5][0-9])?",
    fullmatch=True,
)


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "00010101000000.000000+840"]
)
def test_a_clock_at_the_ends_of_time_is_could_not_tell(drive: Drive, time: str) -> None:
    clock, name = drive(clock_and_name(), [Instance("A", {"CSName": "PC", "LocalDateTime": time})])
    system = [Instance("A", {"CSName": "PC", "LocalDateTime": "2026-08-20T12:00:00Z", "LastBootUpTime": time})]

    assert isinstance(clock, Unknown)
    assert clock.cause == "malformed"
    assert name == Known("PC"), "one bad property loses only itself"
    assert drive(clock_and_name(), system)[0] == Known(PcClock(NOW, 0, None))
    assert drive(boot_time(), system).cause == "malformed"


@given(WIRE_TIMES, st.integers(-(10**20) + 1, 10**20 - 1))
def test_any_clock_is_known_or_could_not_be_told(time: str, offset: int) -> None:
    conversation = clock_and_name()
    next(conversation)
    with pytest.raises(StopIteration) as end:
        conversation.send([Instance("A", {"CSName": "PC", "LocalDateTime": time, "CurrentTimeZone": str(offset)})])

    assert all(isinstance(reading, (Known, Unknown)) for reading in end.value.value)


@pytest.mark.parametrize("kind", ["1", "4", "11"])
@given(number=st.text("0123456789-+xabcdef ", max_size=30))
def test_any_number_of_the_registry_is_known_or_could_not_be_told(kind: str, number: str) -> None:
    for question, value in ((enabled_time, "ProvisioningEnabledTime"), (max_minutes, "ProvisioningMaxMinutes")):
        conversation = question()
        next(conversation)
        conversation.send(Instance("A", {"ReturnValue": "0", "sNames": (value,), "Types": (kind,)}))
        with pytest.raises(StopIteration) as end:
            conversation.send(Instance("A", {"ReturnValue": "0", "sValue": number, "uValue": number}))
        assert isinstance(end.value.value, (Known, Absent, Unknown))


def test_a_time_of_entry_out_of_range_is_could_not_tell(drive: Drive) -> None:
    types = Instance("A", {"ReturnValue": "0", "sNames": ("ProvisioningEnabledTime",), "Types": ("1",)})

    for number in ("253402300800", "9" * 20, "9" * 21, "-1"):
        answer = drive(enabled_time(), types, Instance("A", {"ReturnValue": "0", "sValue": number}))
        assert isinstance(answer, Unknown), number
        assert answer.cause == "malformed"


# -- a damaged WMI ----------------------------------------------------------------------------------------------------

NO_CLASS = RemoteFault("the class does not exist", code=0x80041010, kind="not-found")
VERSION = Instance("A", {"ClientVersion": "5.00.9128.1007"})
SERVICE = [Instance("A", {"Name": "CcmExec", "State": "Running", "StartMode": "Auto"})]
MODE_ON = Instance("A", {"ReturnValue": "0", "sValue": "true"})
NO_VALUE = Instance("A", {"ReturnValue": "1"})
TYPES = Instance("A", {"ReturnValue": "0", "sNames": ("x",), "Types": ("1",)})
CLOCK = [Instance("A", {"CSName": "PC", "LocalDateTime": "2026-08-20T12:00:00Z"})]
NO_KEY = Instance("A", {"ReturnValue": "2"})
IDLE = [Instance("A", {"Name": "System"})]
AGENT = ([Instance("A", {"Name": "smstsmgr", "State": "Stopped", "StartMode": "Manual"})],)


def in_the_mode(
    processes: Any = IDLE, agent: tuple[Any, ...] = AGENT, registry: Any = TYPES, clock: Any = CLOCK
) -> tuple[Any, ...]:
    """Return the answers of a client in the mode, without a time of entry, on a Windows without scheduled tasks."""
    first = (VERSION, SERVICE, MODE_ON, NO_VALUE, shown())
    return (*first, processes, *agent, TYPES, NO_VALUE, [], registry, NO_CLASS, NO_KEY, NO_VALUE, [], clock)


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ((NO_CLASS, [], NO_KEY), "no-client"),
        ((NO_CLASS, [], TYPES, NO_VALUE, NO_VALUE, shown()), "unassessed"),
        ((NO_CLASS, NO_CLASS, NO_CLASS, NO_CLASS, shown()), "unassessed"),
        ((VERSION, NO_CLASS, NO_VALUE, NO_VALUE, shown()), "unassessed"),
        ((VERSION, SERVICE, NO_CLASS, NO_CLASS, shown()), "unassessed"),
        ((VERSION, SERVICE, NO_VALUE, NO_VALUE, shown(FAILED)), "unassessed"),
        ((VERSION, SERVICE, NO_VALUE, NO_VALUE, shown()), "healthy"),
        (in_the_mode(), "stuck"),
        (in_the_mode(processes=NO_CLASS), "unassessed"),
        (in_the_mode(processes=[]), "unassessed"),
        (in_the_mode(agent=([], NO_KEY)), "unassessed"),
        (in_the_mode(agent=([], TYPES)), "unassessed"),
        (in_the_mode(registry=NO_CLASS), "unassessed"),
        (in_the_mode(clock=NO_CLASS), "unassessed"),
    ],
)
def test_a_pc_without_the_classes_of_windows_is_neither_healthy_nor_stuck(
    drive: Drive, answers: tuple[Any, ...], verdict: str
) -> None:
    state = drive(client_state(lambda: NOW), *answers)

    assert str(judge(state, Policy(), NOW).verdict) == verdict


# -- size of the facts ------------------------------------------------------------------------------------------------


def test_a_reading_of_many_characters_is_could_not_tell_and_others_stay() -> None:
    state = ClientReadings(
        NOW, client_version=Known("5" * (MAX_FACT + 1)), system_task_excludes=Known(("x" * (MAX_FACT - 4),))
    )

    found = bounded(state)

    assert found.client_version == Unknown("too-large", "client version: 65,539 characters, over 65,536")
    assert found.system_task_excludes == state.system_task_excludes


def test_what_a_client_says_is_bounded_before_it_is_judged(drive: Drive) -> None:
    version = Instance("A", {"ClientVersion": "5" * 5_000_000})
    service = [Instance("A", {"Name": "CcmExec", "State": "Running", "StartMode": "Auto"})]
    missing = Instance("A", {"ReturnValue": "1"})

    remediation = drive(plan_remediation(lambda: NOW, Policy()), version, service, missing, missing, shown())

    assert remediation.assessment.verdict.value == "unassessed"
    assert "5,000,002 characters" in remediation.assessment.reason
    assert len(str(remediation.client.to_json())) < 5000
