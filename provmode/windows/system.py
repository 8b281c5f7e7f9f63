"""Questions to any Windows PC: services, processes, Setup, clock, operating system. Pure conversations.

Every conversation is a generator of operations. It holds no socket and no clock. A fault from the PC counts as an
answer: `Unknown`, or `Absent` if the PC says that the thing does not exist. Errors that end the conversation with the
PC (the network, the account) are not caught here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from provmode.reading import Absent, Known, Reading, Unknown, known
from provmode.windows.conversation import Conversation, ask
from provmode.windows.model import PcClock, ProcessStart, Service, Setup, WindowsVersion, told
from provmode.windows.registry import Key, ValueType, data_of, get_value, values_of
from provmode.wsman import Enumerate, Instance, UnexpectedAnswer, integer, moment, text

T = TypeVar("T")

SETUP = Key("HKLM", r"SYSTEM\Setup")
SERVICES = Key("HKLM", r"SYSTEM\CurrentControlSet\Services")
PROCESSES = Enumerate.query("root/cimv2", "SELECT Name,CreationDate FROM Win32_Process")
ALWAYS_RUNS = "System"
"""A process of every Windows. An account that is not shown it is not shown what else runs."""
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


def service_name(name: str) -> str:
    """Return *name* if it can be the name of a service.

    Raises:
        ValueError: it cannot.
    """
    if not re.fullmatch(r"[^'\"\\/\x00-\x1f]{1,256}", name) or name != name.strip():
        raise ValueError(f"service {name!r} is not a service name")
    return name


def service_query(name: str) -> Enumerate:
    """Return the query for one service's state and start mode."""
    return Enumerate.query("root/cimv2", f"SELECT Name,State,StartMode FROM Win32_Service WHERE Name='{name}'")


def service_key(name: str) -> Key:
    """Return the registry key of a service, in which the service manager keeps it."""
    return Key(SERVICES.hive, f"{SERVICES.path}\\{name}")


def service(name: str) -> Conversation[Reading[Service]]:
    """Ask one service's state and start mode; absent if the service does not exist.

    A service's own security descriptor decides which account is shown it, so an empty answer is no proof. Only then
    its registry key is asked for: if there is one, the service is hidden from this account.
    """

    def read(found: list[Instance]) -> Reading[Service]:
        if not found:
            return Absent()
        return told(
            Known(
                Service(
                    text(found[0], "Name") or name, text(found[0], "State") or "", text(found[0], "StartMode") or ""
                )
            )
        )

    shown = yield from ask(service_query(name), read, f"service {name}")
    if not isinstance(shown, Absent):
        return shown
    key = service_key(name)
    values = yield from types_of(key)
    if isinstance(values, Unknown):
        return Unknown(values.cause, f"service {name} is not shown, and {key} cannot be read: {values.detail}")
    if known(values, None):
        return Unknown("access-denied", f"service {name} exists ({key}), but the account is not shown it")
    return Absent()


def service_dependencies(name: str) -> Conversation[Reading[tuple[str, ...]]]:
    """Ask which services have to run before a service; absent if it depends on none."""

    def read(answer: Instance) -> Reading[tuple[str, ...]]:
        data = data_of(answer, ValueType.REG_MULTI_SZ, f"{service_key(name)} DependOnService")
        if not isinstance(data, Known):
            return data
        names = tuple(item for item in (data.value.data if isinstance(data.value.data, tuple) else ()) if item.strip())
        return Known(names) if names else Absent()

    question = get_value(service_key(name), "DependOnService", ValueType.REG_MULTI_SZ)
    return (yield from ask(question, read, f"services that {name} depends on"))


def processes(
    names: Sequence[str] = (),
) -> Conversation[tuple[Reading[tuple[str, ...]], Reading[tuple[ProcessStart, ...]]]]:
    """Ask the names of all running processes, or which of *names* run; and since when they do.

    If none of *names* runs the answer would be empty, which is also what an account is shown that may not see the
    processes of others. So the question names one more process, which always runs.
    """
    wanted = {name.lower() for name in names}

    def read(found: list[Instance]) -> Reading[dict[str, datetime | None]]:
        running: dict[str, datetime | None] = {}
        for item in found:
            name = text(item, "Name")
            if name:
                times = [time for time in (moment_of(item, "CreationDate"), running.get(name)) if time is not None]
                running[name] = min(times, default=None)
        if ALWAYS_RUNS.lower() not in {name.lower() for name in running}:
            detail = f"processes: the account is not shown those of others ({ALWAYS_RUNS} is not among them)"
            return Unknown("access-denied", detail)
        return Known({name: running[name] for name in sorted(running) if not wanted or name.lower() in wanted})

    answer = yield from ask(processes_query(names), read, "processes")
    if not isinstance(answer, Known):
        return answer, answer
    starts = tuple(ProcessStart(name, time) for name, time in answer.value.items() if time is not None)
    return Known(tuple(answer.value)), Known(starts)


def processes_query(names: Sequence[str]) -> Enumerate:
    """Return the query for the processes called *names* and `ALWAYS_RUNS`, or for all processes without names."""
    if not names:
        return PROCESSES
    wanted = " OR ".join(
        "Name='{}'".format(name.replace("\\", "\\\\").replace("'", "\\'")) for name in (*names, ALWAYS_RUNS)
    )
    return Enumerate.query("root/cimv2", f"SELECT Name,CreationDate FROM Win32_Process WHERE {wanted}")


def moment_of(instance: Instance, name: str) -> datetime | None:
    """Return a time of an object, UTC; ``None`` if the PC does not say it, or says less than a time."""
    try:
        time = moment(instance, name)
        return time.astimezone(timezone.utc) if time is not None else None
    except (UnexpectedAnswer, OverflowError):
        return None


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

    def read(found: list[Instance]) -> Reading[tuple[Reading[PcClock], Reading[str]]]:
        system = found[0] if found else Instance("Win32_OperatingSystem", {})
        return Known((_part(system, _times), _part(system, _name)))

    answer = yield from ask(CLOCK, read, "clock")
    return answer.value if isinstance(answer, Known) else (answer, answer)


def boot_time() -> Conversation[Reading[datetime]]:
    """Ask when Windows started; absent if it does not say."""

    def read(found: list[Instance]) -> Reading[datetime]:
        time = moment(found[0], "LastBootUpTime") if found else None
        return Known(time.astimezone(timezone.utc)) if time is not None else Absent()

    return (yield from ask(CLOCK, read, "start of Windows"))


def _part(system: Instance, read: Callable[[Instance], Reading[T]]) -> Reading[T]:
    """Read one part of an answer, so that another part that cannot be read does not take it along."""
    try:
        return read(system)
    except (UnexpectedAnswer, ValueError, OverflowError) as error:
        return Unknown("malformed", f"Win32_OperatingSystem: {error}")


def _times(system: Instance) -> Reading[PcClock]:
    now = moment(system, "LocalDateTime")
    if now is None:
        return Unknown("malformed", "Win32_OperatingSystem has no LocalDateTime")
    try:
        offset = integer(system, "CurrentTimeZone")
    except UnexpectedAnswer:
        offset = None
    if offset is None:
        offset = int((now.utcoffset() or timedelta(0)).total_seconds()) // 60
    return Known(PcClock(now.astimezone(timezone.utc), offset, moment_of(system, "LastBootUpTime")))


def _name(system: Instance) -> Reading[str]:
    name = text(system, "CSName")
    return Known(name) if name else Unknown("malformed", "Win32_OperatingSystem has no CSName")


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
