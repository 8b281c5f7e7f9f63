"""Facts about Windows itself: version, clock, start time, whether Setup runs.

All use CIM and start no process on the PC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from typing_extensions import override

from facts.base import ReadingFact
from provmode.connector.commands import ConversationCommand
from provmode.reading import Reading
from provmode.windows import system
from provmode.windows.conversation import Conversation
from provmode.windows.model import PcClock, Service, Setup, WindowsVersion
from provmode.windows.registry import ValueType, get_value


class OperatingSystem(ReadingFact[WindowsVersion]):
    """
    Return which Windows it is.

    .. code:: python

        Known(WindowsVersion(caption="Microsoft Windows 11 Enterprise", version="10.0.26100", build=26100,
                              architecture="64-bit", windows_directory="C:\\\\Windows"))
        Absent()                       # never: every Windows has one
        Unknown("access-denied", "…")

    Caption and architecture come in the PC's language. Source: Microsoft, "Win32_OperatingSystem class".
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(system.operating_system, system.OPERATING_SYSTEM)

    @override
    def value(self, document: Any) -> WindowsVersion:
        return WindowsVersion(**document)


class Clock(ReadingFact[PcClock]):
    """
    Return the PC's own clock: time in UTC, offset from UTC in minutes, and when it started.

    .. code:: python

        Known(PcClock(now=datetime(2026, 8, 20, 6, 30, tzinfo=timezone.utc), utc_offset_minutes=120,
                    last_boot=datetime(2026, 8, 19, 5, 2, tzinfo=timezone.utc)))
        Absent()                       # never
        Unknown("malformed", "…")

    Source: Microsoft, "Win32_OperatingSystem class" (``LocalDateTime``, ``CurrentTimeZone``, ``LastBootUpTime``).
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(system.clock, system.CLOCK)

    @override
    def value(self, document: Any) -> PcClock:
        boot = document["last_boot"]
        return PcClock(
            datetime.fromisoformat(document["now"]),
            document["utc_offset_minutes"],
            datetime.fromisoformat(boot) if boot else None,
        )


class BootTime(ReadingFact[datetime]):
    """
    Return when Windows started: UTC, by the PC's clock.

    .. code:: python

        Known(datetime(2026, 8, 19, 5, 2, tzinfo=timezone.utc))
        Absent()                       # Windows does not say
        Unknown("access-denied", "…")

    With fast startup, a shutdown does not reset this time. Source: Microsoft, "Win32_OperatingSystem class".
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(system.boot_time, system.CLOCK)

    @override
    def value(self, document: Any) -> datetime:
        return datetime.fromisoformat(document)


class ServiceState(ReadingFact[Service]):
    """
    Return state and start mode of one service.

    + service: its name, such as ``CcmExec`` (not the display name)

    .. code:: python

        Known(Service(name="Spooler", state="Running", start_mode="Auto"))
        Absent()                       # no such service, and no registry key of one
        Unknown("access-denied", "…")  # also: the service exists, but the account is not shown it, or not its state

    Source: Microsoft, "Win32_Service class".
    """

    @override
    def command(self, service: str) -> ConversationCommand:
        try:
            query = system.service_query(system.service_name(service))
        except ValueError as error:
            return self.refused(error)
        return self.converse(lambda: system.service(service), query)

    @override
    def value(self, document: Any) -> Service:
        return Service(**document)


class ServiceDependencies(ReadingFact[tuple[str, ...]]):
    r"""
    Return the services that have to run before a service.

    + service: its name, such as ``smstsmgr`` (not the display name)

    .. code:: python

        Known(("Winmgmt",))
        Absent()                       # it depends on none, or there is no such service
        Unknown("access-denied", "…")

    Source: ``DependOnService`` in the service's registry key (Microsoft, "HKLM\SYSTEM\CurrentControlSet\Services").
    """

    @override
    def command(self, service: str) -> ConversationCommand:
        try:
            key = system.service_key(system.service_name(service))
        except ValueError as error:
            return self.refused(error)
        question = get_value(key, "DependOnService", ValueType.REG_MULTI_SZ)
        return self.converse(lambda: system.service_dependencies(service), question)

    @override
    def value(self, document: Any) -> tuple[str, ...]:
        return tuple(document)


class Processes(ReadingFact[tuple[str, ...]]):
    """
    Return the names of all running processes.

    .. code:: python

        Known(("System", "TSManager.exe", "svchost.exe"))
        Absent()                       # never: some always run
        Unknown("access-denied", "…")  # also: the account is not shown the processes of others

    Source: Microsoft, "Win32_Process class".
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(_names, system.PROCESSES)

    @override
    def value(self, document: Any) -> tuple[str, ...]:
        return tuple(document)


class SetupState(ReadingFact[Setup]):
    """
    Return Windows Setup's own flags, ``HKLM\\SYSTEM\\Setup``.

    .. code:: python

        Known(Setup(system_setup_in_progress=False, oobe_in_progress=False, setup_type=0, setup_phase=0,
                    upgrade=False, command_line=""))
        Absent()                       # never: a missing key or value counts as not set
        Unknown("access-denied", "…")

    Source: the values as Windows images carry them and public scripts read them.
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(system.setup_state, system.SETUP.invoke("EnumValues"))

    @override
    def value(self, document: Any) -> Setup:
        return Setup(**document)


def _names() -> Conversation[Reading[tuple[str, ...]]]:
    names, _ = yield from system.processes()
    return names
