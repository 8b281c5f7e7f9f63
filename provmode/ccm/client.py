"""How a ConfigMgr client is asked: the operations, and what their answers mean. Pure conversations.

Every conversation is a generator of operations; it holds no socket and no clock. A fault of the PC is an answer like
another (`Unknown`, or `Absent` where it says that there is no such thing); what ends the conversation with the PC
(the network, the account) is not caught here.

What is asked of a healthy client, and no more: its version, two registry values, its service, and `MobileClient.TCF`
(one command, `type`, the only process that is started on the PC).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from provmode.ccm import tcf
from provmode.ccm.codes import TASK_STATE, name_of
from provmode.ccm.model import (
    CcmEvalStatus,
    ClientReadings,
    TaskSequence,
    TcfFile,
)
from provmode.errors import AccessDenied, RemoteFault
from provmode.reading import Absent, Known, Reading, Unknown, known
from provmode.windows.conversation import Conversation, ask, could_not_tell
from provmode.windows.files import file_info, file_query
from provmode.windows.model import FileInfo
from provmode.windows.registry import Key, ValueType, data_of, get_value
from provmode.windows.system import (
    clock_and_name,
    number,
    processes,
    service,
    service_query,
    setup_state,
    types_of,
)
from provmode.wsman import (
    CommandLine,
    Completed,
    Enumerate,
    Get,
    Instance,
    Operation,
    Resource,
    UnexpectedAnswer,
    integer,
    text,
)

CCMEXEC = Key("HKLM", r"SOFTWARE\Microsoft\CCM\CcmExec")
"""Where the mode is kept. Microsoft, "Provisioning mode"."""
CCMEVAL = Key("HKLM", r"SOFTWARE\Microsoft\CCM\CcmEval")
SMS_CLIENT = Get(Resource.cim("root/ccm", "SMS_Client"))
"""The client itself, a singleton."""
TASK_SEQUENCES = Enumerate(Resource.cim("root/ccm/SoftMgmtAgent", "CCM_TSExecutionRequest"))
HEALTH_TASK = Enumerate.query(
    "root/Microsoft/Windows/TaskScheduler",
    "SELECT TaskName,State FROM MSFT_ScheduledTask WHERE TaskName='Configuration Manager Health Evaluation'",
)

TCF_PATHS = (
    r"%windir%\ccmsetup\MobileClient.TCF",
    r"%windir%\ccmsetup\MobileClientUnicode.tcf",
    r"%windir%\System32\ccmsetup\MobileClient.TCF",
    r"%windir%\SysWOW64\ccmsetup\MobileClient.TCF",
)
"""Where the file may be: Microsoft documents the first folder for 32- and 64-bit clients; the Unicode copy and the two
legacy folders (ConfigMgr 2007) are general knowledge, not confirmed."""

_MARK = "@provmode"


# -- single questions -------------------------------------------------------------------------------------------


def client_version() -> Conversation[Reading[str]]:
    """Ask ``SMS_Client.ClientVersion``; absent where there is no ``root\\ccm`` or no such class."""

    def read(instance: Instance) -> Reading[str]:
        version = text(instance, "ClientVersion")
        return Known(version) if version else Unknown("malformed", "SMS_Client has no ClientVersion")

    return (yield from ask(SMS_CLIENT, read, "client version"))


def provisioning_mode() -> Conversation[Reading[bool]]:
    """Ask ``ProvisioningMode``, REG_SZ; clients and scripts differ in its case (``true``, ``True``)."""

    def read(answer: Instance) -> Reading[bool]:
        data = data_of(answer, ValueType.REG_SZ, f"{CCMEXEC} ProvisioningMode")
        if not isinstance(data, Known):
            return data
        word = str(data.value.data).strip().lower()
        if word in ("true", "false", ""):
            return Known(word == "true")
        return Unknown("malformed", f"ProvisioningMode is {str(data.value.data)[:40]!r}, neither true nor false")

    return (yield from ask(get_value(CCMEXEC, "ProvisioningMode"), read, "ProvisioningMode"))


def system_task_excludes() -> Conversation[Reading[tuple[str, ...]]]:
    """Ask ``SystemTaskExcludes``, REG_SZ: names separated by semicolons, empty when healthy."""

    def read(answer: Instance) -> Reading[tuple[str, ...]]:
        data = data_of(answer, ValueType.REG_SZ, f"{CCMEXEC} SystemTaskExcludes")
        if not isinstance(data, Known):
            return data
        return Known(tuple(part.strip() for part in str(data.value.data).split(";") if part.strip()))

    return (yield from ask(get_value(CCMEXEC, "SystemTaskExcludes"), read, "SystemTaskExcludes"))


_LAST_SECOND = int(datetime(9999, 12, 31, tzinfo=timezone.utc).timestamp())


def _moment_of(seconds: Reading[int]) -> Reading[datetime]:
    """Read Unix seconds, UTC, as a time. Microsoft, "Provisioning mode": "epoch (Unix timestamp) ... in UTC"."""
    if not isinstance(seconds, Known):
        return seconds
    if seconds.value == 0:
        return Absent()
    if seconds.value > _LAST_SECOND:
        return Unknown("malformed", f"ProvisioningEnabledTime is {seconds.value}, no time in seconds")
    return Known(datetime.fromtimestamp(seconds.value, timezone.utc))


def enabled_time() -> Conversation[Reading[datetime]]:
    """Ask ``ProvisioningEnabledTime``: when the mode was last entered. It is not cleared on exit."""
    types = yield from types_of(CCMEXEC)
    return _moment_of((yield from number(CCMEXEC, "ProvisioningEnabledTime", types)))


def max_minutes() -> Conversation[Reading[int]]:
    """Ask ``ProvisioningMaxMinutes``, REG_DWORD: absent or 0 means 2880."""
    types = yield from types_of(CCMEXEC)
    return (yield from number(CCMEXEC, "ProvisioningMaxMinutes", types))


def task_sequences() -> Conversation[Reading[tuple[TaskSequence, ...]]]:
    """Ask ``CCM_TSExecutionRequest``: one for each task sequence that runs, waits, or was left behind."""

    def read(found: list[Instance]) -> Reading[tuple[TaskSequence, ...]]:
        return Known(
            tuple(
                TaskSequence(
                    text(item, "ContentID"),
                    text(item, "MIFPackageName"),
                    text(item, "State"),
                    text(item, "RunningState"),
                    text(item, "CompletionState"),
                )
                for item in found
            )
        )

    return (yield from ask(TASK_SEQUENCES, read, "task sequences"))


def health_evaluation() -> Conversation[Reading[CcmEvalStatus]]:
    """Ask the client's own repair: the scheduled task, whether it only notifies, when it last reported."""

    def read(found: list[Instance]) -> Reading[str]:
        state = integer(found[0], "State") if found else None
        return Absent() if state is None else Known(name_of(state, TASK_STATE))

    task = yield from ask(HEALTH_TASK, read, "health evaluation task")
    if isinstance(task, Unknown):
        return task
    notify = yield from ask(
        get_value(CCMEVAL, "NotifyOnly"), lambda answer: data_of(answer, ValueType.REG_SZ, "NotifyOnly"), "NotifyOnly"
    )
    only: Reading[bool]
    only = Known(str(notify.value.data).strip().lower() == "true") if isinstance(notify, Known) else notify
    report = yield from file_info(r"%windir%\CCM\CcmEvalReport.xml")
    return Known(CcmEvalStatus(known(task, "missing"), only, _modified(report)))


def _modified(file: Reading[FileInfo]) -> Reading[datetime]:
    if not isinstance(file, Known):
        return file
    return Known(file.value.modified) if file.value.modified else Unknown("malformed", f"{file.value.path} has no time")


# -- MobileClient.TCF -------------------------------------------------------------------------------------------


def tcf_command() -> CommandLine:
    """Return the one command line that shows every `MobileClient.TCF` there is, each followed by a mark.

    ``type`` is built into cmd.exe: one process for all. Texts of cmd.exe are localised, so success is told by which
    ``echo`` runs; the second one also tells where Windows is.
    """
    parts = (
        f'type "{path}" && echo {_MARK} {number} shown || echo {_MARK} {number} failed %windir%'
        for number, path in enumerate(TCF_PATHS)
    )
    return CommandLine(" & ".join(parts))


def mobile_client_tcf() -> Conversation[Reading[tuple[TcfFile, ...]]]:
    """Show every `MobileClient.TCF`; where ``type`` failed, ask CIM whether the file is there at all.

    Absent: there is none anywhere. A file that is there and could not be shown makes the answer `Unknown`.
    """
    try:
        completed = yield tcf_command()
        shown, windir = _split(completed)
    except (RemoteFault, AccessDenied) as error:
        return could_not_tell(error)
    except UnexpectedAnswer as error:
        return Unknown("malformed", str(error))
    files = tuple(_file(path, data) for path, data in shown.items() if data is not None)
    missing = tuple(path.replace("%windir%", windir) for path, data in shown.items() if data is None)
    if missing:
        unreadable = yield from ask(file_query(missing), _names, "MobileClient.TCF")
        if isinstance(unreadable, Unknown):
            return unreadable
        if isinstance(unreadable, Known) and unreadable.value:
            return Unknown("access-denied", f"{', '.join(unreadable.value)} is there and cannot be read")
    return Known(files) if files else Absent()


def _names(found: list[Instance]) -> Reading[tuple[str, ...]]:
    return Known(tuple(text(item, "Name") or "?" for item in found))


def _file(path: str, data: bytes) -> TcfFile:
    read = tcf.read_shown(data)
    return TcfFile(path, read.armed, read.encoding, tuple(entry.text for entry in read.entries))


def _split(completed: Completed) -> tuple[dict[str, bytes | None], str]:
    """Return each path's bytes as shown (``None`` where ``type`` failed), and where Windows is.

    Raises:
        UnexpectedAnswer: a mark is missing.
    """
    output, position, windir = completed.stdout, 0, ""
    shown: dict[str, bytes | None] = {}
    for index, path in enumerate(TCF_PATHS):
        mark = f"{_MARK} {index} ".encode()
        start = output.find(mark, position)
        end = output.find(b"\n", start)
        if start < 0 or end < 0:
            said = completed.stderr.decode("utf-8", "replace").strip()[:120]
            raise UnexpectedAnswer(
                f"MobileClient.TCF: the command did not run to its end (exit {completed.exit_code}) {said}"
            )
        told = output[start + len(mark) : end].decode("utf-8", "replace").strip()
        shown[path] = output[position:start] if told.startswith("shown") else None
        windir = told.removeprefix("failed").strip() or windir if told.startswith("failed") else windir
        position = end + 1
    return shown, windir or "C:\\Windows"


# -- everything the verdict needs -------------------------------------------------------------------------------

FIRST_QUESTIONS: tuple[Operation, ...] = (
    SMS_CLIENT,
    service_query("CcmExec"),
    get_value(CCMEXEC, "ProvisioningMode"),
    get_value(CCMEXEC, "SystemTaskExcludes"),
    tcf_command(),
)
"""What is asked of every client."""


def away(state: ClientReadings) -> bool:
    """Whether the client did not answer although its service runs, as in the seconds after a start."""
    version, there = state.client_version, known(state.service, None)
    return isinstance(version, Unknown) and version.cause == "unavailable" and there is not None and there.running


def client_state(now: Callable[[], datetime], legitimate: Sequence[str] = ()) -> Conversation[ClientReadings]:
    """Ask what the verdict needs, and no more.

    What runs there is asked only of a client on which something may have to be done (first, and never left out), and
    more only of one that is in the mode, or half out of it.

    *now* is the controller's clock, UTC; it is read beside the PC's, so that the two can be compared. Of a PC's fifty
    processes a verdict needs those its policy calls *legitimate*; without names all are read.
    """
    state = ClientReadings(now())
    state = replace(state, client_version=(yield from client_version()))
    state = replace(state, service=(yield from service("CcmExec")))
    if away(state):  # its service may have come back between the two questions: no client is called broken for that
        state = replace(state, client_version=(yield from client_version()))
    if isinstance(state.client_version, Absent) and isinstance(state.service, Absent):
        return state
    state = replace(
        state,
        provisioning_mode=(yield from provisioning_mode()),
        system_task_excludes=(yield from system_task_excludes()),
        tcf=(yield from mobile_client_tcf()),
    )
    if state.in_question:
        state = yield from at_work(state, legitimate)
        if state.needs_more:
            state = yield from _second_round(state)
        clock, computer = yield from clock_and_name()
        state = replace(state, clock=clock, computer=computer, observed_at=now())
    return state


def at_work(state: ClientReadings, legitimate: Sequence[str]) -> Conversation[ClientReadings]:
    """Ask what runs on a PC that may be a reason for the mode, and nothing else; the answers are put into *state*."""
    return replace(
        state,
        processes=(yield from processes(legitimate)),
        task_sequence_agent=(yield from service("smstsmgr")),
        setup=(yield from setup_state()),
    )


def _second_round(state: ClientReadings) -> Conversation[ClientReadings]:
    """Ask since when the client is in the mode, and what it would do by itself."""
    state = replace(state, task_sequences=(yield from task_sequences()))
    types = yield from types_of(CCMEXEC)
    return replace(
        state,
        enabled_time=_moment_of((yield from number(CCMEXEC, "ProvisioningEnabledTime", types))),
        max_minutes=(yield from number(CCMEXEC, "ProvisioningMaxMinutes", types)),
        health_evaluation=(yield from health_evaluation()),
    )
