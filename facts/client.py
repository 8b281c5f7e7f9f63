"""Facts about the ConfigMgr client and its provisioning mode.

Each answers with a `Reading`: known, known absent, or could not tell. `ClientState` reads everything that the verdict
needs; the others answer one question each. Facts never change a PC. Only `MobileClientTcf` and `ClientState` start a
process on it (one ``cmd.exe``, for ``type``).
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from typing_extensions import override

from facts.base import ConversationFact, ReadingFact
from provmode.ccm import client
from provmode.ccm.impact import Impact, exit_impact
from provmode.ccm.model import CcmEvalStatus, ClientReadings, TaskSequence
from provmode.ccm.tcf_contents import TcfContents
from provmode.connector.commands import ConversationCommand
from provmode.reading import from_json
from provmode.windows import system
from provmode.windows.model import Service
from provmode.windows.registry import get_value


def _now() -> datetime:
    return datetime.now(timezone.utc)


class ClientVersion(ReadingFact[str]):
    """
    Return the version of the ConfigMgr client.

    .. code:: python

        Known("5.00.9128.1007")        # {"known": "5.00.9128.1007"}
        Absent()                       # {"absent": true}: no root\\ccm, or no SMS_Client in it
        Unknown("access-denied", "…")  # {"unknown": {"cause": …, "detail": …}}

    Source: Microsoft, "SMS_Client client WMI class" (``root\\ccm``, ``ClientVersion``).
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(client.client_version, client.SMS_CLIENT)


class ClientService(ReadingFact[Service]):
    """
    Return state and start mode of the client's service, CcmExec.

    .. code:: python

        Known(Service(name="CcmExec", state="Running", start_mode="Auto"))
        Absent()                       # no such service
        Unknown("access-denied", "…")

    CcmExec is disabled during an in-place upgrade, and stays disabled after a stuck one. Source: "Win32_Service class".
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(lambda: system.service("CcmExec"), system.service_query("CcmExec"))

    @override
    def value(self, document: Any) -> Service:
        return Service(**document)


class ProvisioningMode(ReadingFact[bool]):
    """
    Return whether the client is in provisioning mode.

    .. code:: python

        Known(False)
        Absent()                       # no such value: the same as off
        Unknown("malformed", "…")

    Source: Microsoft, "Provisioning mode": ``HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec``, ``ProvisioningMode``.
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(client.provisioning_mode, get_value(client.CCMEXEC, "ProvisioningMode"))


class ProvisioningEnabledTime(ReadingFact[datetime]):
    """
    Return when the mode was last entered: UTC, by the PC's clock. It stays after the mode was left.

    .. code:: python

        Known(datetime(2026, 8, 20, 6, 30, tzinfo=timezone.utc))
        Absent()                       # never entered, or a client before 1902
        Unknown("type-mismatch", "…")

    Source: Microsoft, "Provisioning mode": Unix seconds, UTC. REG_QWORD according to one public table; REG_DWORD and
    digits in REG_SZ are read too.
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(client.enabled_time, client.CCMEXEC.invoke("EnumValues"))

    @override
    def value(self, document: Any) -> datetime:
        return datetime.fromisoformat(document)


class ProvisioningMaxMinutes(ReadingFact[int]):
    """
    Return after how many minutes the client leaves the mode by itself.

    .. code:: python

        Known(600)
        Absent()                       # not set: 2880 (48 hours), the same as 0
        Unknown("access-denied", "…")

    Source: Microsoft, "Provisioning mode"; checked every 60 minutes, client 5.00.8790 and later.
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(client.max_minutes, client.CCMEXEC.invoke("EnumValues"))


class SystemTaskExcludes(ReadingFact[tuple[str, ...]]):
    """
    Return the system tasks that CcmExec does not start.

    .. code:: python

        Known(())                      # empty: healthy
        Known(("SchedulerStartup", "ClientRegistrationStartup"))
        Absent()                       # no such value, the same as empty
        Unknown("access-denied", "…")

    If this is not empty while the mode is off, somebody edited the registry and the client is half out of the mode.
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(client.system_task_excludes, get_value(client.CCMEXEC, "SystemTaskExcludes"))

    @override
    def value(self, document: Any) -> tuple[str, ...]:
        return tuple(document)


class MobileClientTcf(ReadingFact[tuple[TcfContents, ...]]):
    """
    Return every `MobileClient.TCF` there is: whether it would bring the mode back, and its contents.

    .. code:: python

        Known((TcfContents(path="%windir%\\ccmsetup\\MobileClient.TCF", armed=True, encoding="UTF-16 LE",
                           text="[Client Install]\r\nInstall=INSTALL=ALL SMSSITECODE=PS1 SMSPROVISIONINGMODE=1\r\n",
                           sections={"Client Install": {"Install": "INSTALL=ALL SMSSITECODE=PS1 …"}},
                           install={"INSTALL": "ALL", "SMSSITECODE": "PS1", "SMSPROVISIONINGMODE": "1"},
                           entries=("Install=INSTALL=ALL SMSSITECODE=PS1 SMSPROVISIONINGMODE=1",)),))
        Absent()                       # no such file in any of its places
        Unknown("access-denied", "…")  # a file exists and cannot be read

    The text comes from cmd.exe's ``type``, which prints a UTF-16 file as UTF-8; the file's size tells its encoding.
    Enough to read the file, but not to edit it (operations read the bytes).
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(client.mobile_client_tcf_contents, client.tcf_command())

    @override
    def value(self, document: Any) -> tuple[TcfContents, ...]:
        return tuple(TcfContents(**{**item, "entries": tuple(item["entries"])}) for item in document)


class TaskSequences(ReadingFact[tuple[TaskSequence, ...]]):
    """
    Return the task sequences that run, wait, or were left behind.

    .. code:: python

        Known(())                      # none
        Known((TaskSequence(content_id="PS100042", package_name="Windows 11 24H2", state="Running",
                            running_state="Running", completion_state=None),))
        Absent()                       # no such class: no client
        Unknown("unavailable", "…")

    A task sequence without a running `TSManager.exe` was left behind. Source: ``root\\ccm\\SoftMgmtAgent``,
    ``CCM_TSExecutionRequest``, properties as public scripts read them.
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(client.task_sequences, client.TASK_SEQUENCES)

    @override
    def value(self, document: Any) -> tuple[TaskSequence, ...]:
        return tuple(TaskSequence(**item) for item in document)


class HealthEvaluation(ReadingFact[CcmEvalStatus]):
    """
    Return the client's own repair: the CcmEval scheduled task.

    .. code:: python

        Known(CcmEvalStatus(task="Ready", notify_only=Known(False),
                               last_report=Known(datetime(2026, 8, 20, 0, 12, tzinfo=timezone.utc))))
        Absent()                       # never: a missing task is part of the answer
        Unknown("access-denied", "…")

    ``task`` is ``missing`` if there is no task; ``notify_only`` True means that it repairs nothing. Source: Microsoft,
    "Monitor clients" and "Configure client status".
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(client.health_evaluation, client.HEALTH_TASK)

    @override
    def value(self, document: Any) -> CcmEvalStatus:
        return CcmEvalStatus(
            document["task"],
            from_json(document["notify_only"], bool),
            from_json(document["last_report"], datetime.fromisoformat),
        )


class ExitImpact(ReadingFact[Impact]):
    """
    Return what leaving provisioning mode would set off at once.

    .. code:: python

        Known(Impact(past_due=Known(("7-Zip 24.09",)), reboot_pending=Known(False), window_open=Absent()))
        Absent()                       # never: each of the three fields can be absent by itself
        Unknown("access-denied", "…")  # not even the PC's clock, which deadlines are compared with

    Required deployments past their deadline start installing. Source: ``root\\ccm\\ClientSDK``, ``CCM_Program``,
    ``CCM_Application``, ``CCM_SoftwareUpdate``, ``CCM_ServiceWindow``, ``CCM_ClientUtilities``.
    """

    @override
    def command(self) -> ConversationCommand:
        return self.converse(exit_impact, system.CLOCK)

    @override
    def value(self, document: Any) -> Impact:
        return Impact.from_json(document)


class ClientState(ConversationFact[ClientReadings]):
    """
    Return everything the verdict needs: five questions to a healthy client, more only where those leave it open.

    .. code:: python

        ClientReadings(observed_at=datetime(2026, 8, 20, 6, 30, tzinfo=timezone.utc),
                       client_version=Known("5.00.9128.1007"), provisioning_mode=Known(False),
                       system_task_excludes=Known(()), service=Known(Service("CcmExec", "Running", "Auto")),
                       tcf=Absent(), enabled_time=Unknown("not-read", "…"), …)

    Each field is a `Reading`: ``Known``, ``Absent`` or ``Unknown``. Fields that were not needed are
    ``Unknown("not-read")``.
    """

    @override
    @staticmethod
    def default() -> ClientReadings:
        """Return a state in which everything is unknown."""
        return ClientReadings(_now())

    @override
    def command(self) -> ConversationCommand:
        return self.converse(lambda: client.client_state(_now), *client.FIRST_QUESTIONS)

    @override
    def read(self, document: Any) -> ClientReadings:
        return ClientReadings.from_json(document)
