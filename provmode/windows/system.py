"""Questions to any Windows PC: services, processes, Setup, clock, operating system. Pure conversations.

Every conversation is a generator of operations. It holds no socket and no clock. A fault from the PC counts as an
answer: `Unknown`, or `Absent` if the PC says that the thing does not exist. Errors that end the conversation with the
PC (the network, the account) are not caught here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta, timezone

from provmode.reading import Absent, Known, Reading, Unknown, known
from provmode.windows.conversation import Conversation, ask
from provmode.windows.model import PcClock, Service, Setup, WindowsVersion
from provmode.windows.registry import Key, ValueType, data_of, get_value, values_of
from provmode.wsman import Enumerate, Instance, UnexpectedAnswer, integer, moment, text

SETUP = Key("HKLM", r"SYSTEM\Setup")
PROCESSES = Enumerate.query("root/cimv2", "SELECT Name FROM Win32_Process")
OPERATING_SYSTEM = Enumerate.query(
    "root/cimv2", "SELECT Caption,Version,BuildNumber,OSArchitecture,WindowsDirectory FROM Win32_OperatingSystem"
)
CLOCK = Enumerate.query(
    "root/cimv2", "SELECT CSName,LocalDateTime,CurrentTimeZone,LastBootUpTime FROM Win32_OperatingSystem"
)


_FOLDER = re.compile(r"[A-Za-z]:\\[^\x00-\x1f\x7f\"*?<>|%/\ufffd]{0,259}")


def folder_of(text: str) -> str:
    """Return *text* if it is the path of a folder, as Windows writes its own.

    Raises:
        UnexpectedAnswer: it is not.
    """
    if not _FOLDER.fullmatch(text):
        raise UnexpectedAnswer(f"{text[:60]!r} is not a folder")
    return text


def service_query(name: str) -> Enumerate:
    """Return the query for one service's state and start mode."""
    return Enumerate.query("root/cimv2", f"SELECT Name,State,StartMode FROM Win32_Service WHERE Name='{name}'")


def service(name: str) -> Conversation[Reading[Service]]:
    """Ask one service's state and start mode; absent if the service does not exist."""

    def read(found: list[Instance]) -> Reading[Service]:
        if not found:
            return Absent()
        return Known(
            Service(text(found[0], "Name") or name, text(found[0], "State") or "", text(found[0], "StartMode") or "")
        )

    return (yield from ask(service_query(name), read, f"service {name}"))


def processes(names: Sequence[str] = ()) -> Conversation[Reading[tuple[str, ...]]]:
    """Ask the names of all running processes, or which of *names* run."""

    def read(found: list[Instance]) -> Reading[tuple[str, ...]]:
        return Known(tuple(sorted({name for item in found if (name := text(item, "Name"))})))

    return (yield from ask(processes_query(names), read, "processes"))


def processes_query(names: Sequence[str]) -> Enumerate:
    """Return the query for the processes called *names*, or for all processes without names."""
    if not names:
        return PROCESSES
    wanted = " OR ".join("Name='{}'".format(name.replace("\\", "\\\\").replace("'", "\\'")) for name in names)
    return Enumerate.query("root/cimv2", f"SELECT Name FROM Win32_Process WHERE {wanted}")


def types_of(key: Key) -> Conversation[Reading[dict[str, int]]]:
    """Ask a key's values and their types."""
    return (yield from ask(key.invoke("EnumValues"), lambda answer: values_of(answer, str(key)), str(key)))


def number(key: Key, value: str, types: Reading[dict[str, int]]) -> Conversation[Reading[int]]:
    """Ask a number, kept as REG_QWORD, REG_DWORD or digits in REG_SZ; *types* are the types of the key's values."""
    if not isinstance(types, Known):
        return types
    numbers = {name.lower(): number for name, number in types.value.items()}
    kind = numbers.get(value.lower())
    if kind is None:
        return Absent()
    if kind not in (ValueType.REG_SZ, ValueType.REG_DWORD, ValueType.REG_QWORD):
        return Unknown("type-mismatch", f"{key} {value} has registry type {kind}, not a number")
    value_type = ValueType(kind)

    def read(answer: Instance) -> Reading[int]:
        data = data_of(answer, value_type, f"{key} {value}")
        if not isinstance(data, Known):
            return data
        digits = str(data.value.data).strip()
        if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
            return Unknown("malformed", f"{key} {value} is {digits[:40]!r}, not a number")
        return Known(int(digits))

    return (yield from ask(get_value(key, value, value_type), read, value))


def setup_state() -> Conversation[Reading[Setup]]:
    """Ask Windows Setup's flags. A missing value counts as not set; an unreadable value makes the answer unknown."""
    types = yield from types_of(SETUP)
    if not isinstance(types, Known):
        return types if isinstance(types, Unknown) else Known(Setup(False, False, 0, 0, False, ""))
    numbers: dict[str, int] = {}
    for name in ("SystemSetupInProgress", "OOBEInProgress", "SetupType", "SetupPhase", "Upgrade"):
        flag = yield from number(SETUP, name, types)
        if isinstance(flag, Unknown):
            return flag
        numbers[name] = known(flag, 0)
    command = ""
    if "cmdline" in {name.lower() for name in types.value}:
        line = yield from ask(
            get_value(SETUP, "CmdLine"), lambda answer: data_of(answer, ValueType.REG_SZ, "CmdLine"), "CmdLine"
        )
        if isinstance(line, Unknown):
            return line
        command = str(line.value.data) if isinstance(line, Known) else ""
    return Known(
        Setup(
            bool(numbers["SystemSetupInProgress"]),
            bool(numbers["OOBEInProgress"]),
            numbers["SetupType"],
            numbers["SetupPhase"],
            bool(numbers["Upgrade"]),
            command,
        )
    )


def clock() -> Conversation[Reading[PcClock]]:
    """Ask the PC's own time, its offset from UTC, and when the PC started."""
    times, _ = yield from clock_and_name()
    return times


def clock_and_name() -> Conversation[tuple[Reading[PcClock], Reading[str]]]:
    """Ask the PC's clock (see `clock`) and, in the same question, the PC's own name."""

    def read(found: list[Instance]) -> Reading[tuple[PcClock, str]]:
        now = moment(found[0], "LocalDateTime") if found else None
        if now is None:
            return Unknown("malformed", "Win32_OperatingSystem has no LocalDateTime")
        offset = integer(found[0], "CurrentTimeZone")
        if offset is None:
            offset = int((now.utcoffset() or timedelta(0)).total_seconds()) // 60
        boot = moment(found[0], "LastBootUpTime")
        utc = timezone.utc
        times = PcClock(now.astimezone(utc), offset, boot.astimezone(utc) if boot else None)
        return Known((times, text(found[0], "CSName") or ""))

    answer = yield from ask(CLOCK, read, "clock")
    if not isinstance(answer, Known):
        return answer, answer
    times, name = answer.value
    return Known(times), Known(name) if name else Unknown("malformed", "Win32_OperatingSystem has no CSName")


def operating_system() -> Conversation[Reading[WindowsVersion]]:
    """Ask the version of Windows, and the folder it is installed in."""

    def read(found: list[Instance]) -> Reading[WindowsVersion]:
        version = text(found[0], "Version") if found else None
        build = integer(found[0], "BuildNumber") if found else None
        if version is None or build is None:
            return Unknown("malformed", "Win32_OperatingSystem has no Version or BuildNumber")
        return Known(
            WindowsVersion(
                text(found[0], "Caption") or "",
                version,
                build,
                text(found[0], "OSArchitecture") or "",
                folder_of(text(found[0], "WindowsDirectory") or "C:\\Windows"),
            )
        )

    return (yield from ask(OPERATING_SYSTEM, read, "operating system"))
