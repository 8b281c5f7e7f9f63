"""Questions to a ConfigMgr client: the operations, and what their answers mean. Pure conversations.

Every conversation is a generator of operations. It holds no socket and no clock. A fault from the PC counts as an
answer: `Unknown`, or `Absent` if the PC says that the thing does not exist. Errors that end the conversation with the
PC (the network, the account) are not caught here.

A healthy client is asked only for its version, two registry values, its service, and `MobileClient.TCF`. Reading
`MobileClient.TCF` takes one command, `type`: the only process that is started on the PC.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import datetime, timezone
from typing import Any

from provmode.ccm import tcf
from provmode.ccm.codes import TASK_STATE, name_of
from provmode.ccm.model import (
    CcmEvalStatus,
    ClientReadings,
    TaskSequence,
    TcfFile,
)
from provmode.ccm.tcf_contents import TcfContents, contents_of
from provmode.errors import AccessDenied, RemoteFault
from provmode.reading import Absent, Known, Reading, Unknown, known, plain
from provmode.text import shortened
from provmode.windows.conversation import Conversation, ask, could_not_tell
from provmode.windows.files import READ_ONLY_LINES, file_info
from provmode.windows.model import FileInfo
from provmode.windows.registry import Key, ValueType, data_of, get_value
from provmode.windows.system import (
    clock_and_name,
    number,
    processes,
    service,
    service_dependencies,
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
"""The key that holds the mode. Microsoft, "Provisioning mode"."""
CCMEVAL = Key("HKLM", r"SOFTWARE\Microsoft\CCM\CcmEval")
AGENT = "smstsmgr"
"""The task sequence agent, a service of every client."""
SMS_CLIENT = Get(Resource.cim("root/ccm", "SMS_Client"))
"""The client, a singleton class."""
TASK_SEQUENCES = Enumerate(Resource.cim("root/ccm/SoftMgmtAgent", "CCM_TSExecutionRequest"))
HEALTH_TASK = Enumerate.query(
    "root/Microsoft/Windows/TaskScheduler",
    "SELECT TaskName,State FROM MSFT_ScheduledTask WHERE TaskName='Configuration Manager Health Evaluation'",
)
_TASKS = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tree"
HEALTH_TASK_KEY = Key("HKLM", rf"{_TASKS}\Microsoft\Configuration Manager\Configuration Manager Health Evaluation")
"""Where Windows lists the task. General knowledge, not confirmed."""

TCF_PATHS = (
    r"%windir%\ccmsetup\MobileClient.TCF",
    r"%windir%\ccmsetup\MobileClientUnicode.tcf",
    r"%windir%\System32\ccmsetup\MobileClient.TCF",
    r"%windir%\SysWOW64\ccmsetup\MobileClient.TCF",
)
"""Possible places of the file. Microsoft documents the first folder for 32- and 64-bit clients. The Unicode copy and
the two legacy folders (ConfigMgr 2007) are general knowledge, not confirmed."""

_MARK = "@provmode"
_RESULTS = ("shown", "failed", "absent")
_ENTRIES = 100
"""Entries of a file that are kept: a real one has one."""
MAX_FACT = 64 * 1024
"""Characters that a reading has in JSON at most. A longer one is no version, no state and no list of tasks."""


# -- single questions -------------------------------------------------------------------------------------------


def client_version() -> Conversation[Reading[str]]:
    """Ask ``SMS_Client.ClientVersion``; absent if ``root\\ccm`` or the class does not exist."""

    def read(instance: Instance) -> Reading[str]:
        version = text(instance, "ClientVersion")
        return Known(version) if version else Unknown("malformed", "SMS_Client has no ClientVersion")

    return (yield from ask(SMS_CLIENT, read, "client version"))


def provisioning_mode() -> Conversation[Reading[bool]]:
    """Ask ``ProvisioningMode``, REG_SZ; clients and scripts differ in its case (``true``, ``True``)."""
    name = "ProvisioningMode"
    return (yield from ask(get_value(CCMEXEC, name), lambda answer: _flag(answer, name), name))


def _flag(answer: Instance, name: str) -> Reading[bool]:
    data = data_of(answer, ValueType.REG_SZ, name)
    if not isinstance(data, Known):
        return data
    word = str(data.value.data).strip().lower()
    if word in ("true", "false", ""):
        return Known(word == "true")
    return Unknown("malformed", f"{name} is {str(data.value.data)[:40]!r}, neither true nor false")


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
        return Unknown("malformed", f"ProvisioningEnabledTime is {seconds.value}, not a time in seconds")
    return Known(datetime.fromtimestamp(seconds.value, timezone.utc))


def enabled_time() -> Conversation[Reading[datetime]]:
    """Ask ``ProvisioningEnabledTime``: when the client last entered the mode. The value is not cleared on exit."""
    types = yield from types_of(CCMEXEC)
    return _moment_of((yield from number(CCMEXEC, "ProvisioningEnabledTime", types)))


def max_minutes() -> Conversation[Reading[int]]:
    """Ask ``ProvisioningMaxMinutes``, REG_DWORD: absent or 0 means 2880."""
    types = yield from types_of(CCMEXEC)
    return (yield from number(CCMEXEC, "ProvisioningMaxMinutes", types))


def task_sequences() -> Conversation[Reading[tuple[TaskSequence, ...]]]:
    """Ask ``CCM_TSExecutionRequest``: one object for each task sequence that runs, waits, or was left behind."""

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
    """Ask about the client's own repair: the scheduled task, whether it only notifies, when it last reported."""

    def read(found: list[Instance]) -> Reading[str]:
        state = integer(found[0], "State") if found else None
        return Absent() if state is None else Known(name_of(state, TASK_STATE))

    task = yield from ask(HEALTH_TASK, read, "health evaluation task")
    if isinstance(task, Absent):  # a task has rights of its own, too: a hidden one is not shown
        registered = yield from types_of(HEALTH_TASK_KEY)
        if isinstance(registered, Unknown):
            return Unknown(registered.cause, f"the health evaluation task is not shown, and {registered.detail}")
        if isinstance(registered, Known):
            return Unknown("access-denied", "the health evaluation task exists, but the account is not shown it")
    if isinstance(task, Unknown):
        return task
    notify_only = yield from ask(
        get_value(CCMEVAL, "NotifyOnly"), lambda answer: _flag(answer, "NotifyOnly"), "NotifyOnly"
    )
    report = yield from file_info(r"%windir%\CCM\CcmEvalReport.xml")
    return Known(CcmEvalStatus(known(task, "missing"), notify_only, _modified(report)))


def _modified(file: Reading[FileInfo]) -> Reading[datetime]:
    if not isinstance(file, Known):
        return file
    if file.value.modified is None:
        return Unknown("malformed", f"{file.value.path}: CIM_DataFile has no LastModified that is a time")
    return Known(file.value.modified)


# -- MobileClient.TCF -------------------------------------------------------------------------------------------


def tcf_command() -> CommandLine:
    """Return the one command line that prints every existing `MobileClient.TCF`, each followed by a mark.

    ``if exist`` and ``type`` are built into cmd.exe, so one process prints all files. cmd.exe's messages are localised,
    so the mark says how it went: one of three ``echo`` commands runs.
    """
    parts = (
        f'(if exist "{path}" (type "{path}" && echo {_MARK} {number} shown || echo {_MARK} {number} failed) '
        f"else echo {_MARK} {number} absent)"
        for number, path in enumerate(TCF_PATHS)
    )
    return CommandLine(" & ".join(parts), max_output=len(TCF_PATHS) * (tcf.MAX_BYTES + 1024))


def mobile_client_tcf() -> Conversation[Reading[tuple[TcfFile, ...]]]:
    """Read every `MobileClient.TCF`.

    Absent: no folder has the file. A file that exists but could not be read makes the answer `Unknown`.
    """
    shown = yield from _shown()
    if not isinstance(shown, Known):
        return shown
    return Known(tuple(_file(path, data) for path, data in shown.value.items()))


def mobile_client_tcf_contents() -> Conversation[Reading[tuple[TcfContents, ...]]]:
    """Read every `MobileClient.TCF` with its contents; the sizes of the files, from CIM, tell their encodings."""
    shown = yield from _shown()
    if not isinstance(shown, Known):
        return shown
    files = []
    for path, data in shown.value.items():
        file = known((yield from file_info(path)), None)
        files.append(contents_of(path, data, file.size if file is not None else None))
    return Known(tuple(files))


def _shown() -> Conversation[Reading[dict[str, bytes]]]:
    """Return what ``type`` prints of every `MobileClient.TCF` that exists, by path."""
    try:
        completed: Completed = yield tcf_command()
        if completed.cut:
            return (yield from _too_large(completed))
        contents = _split(completed)
    except (RemoteFault, AccessDenied) as error:
        return could_not_tell(error)
    except UnexpectedAnswer as error:
        return Unknown("malformed", str(error))
    unreadable = [path for path, (result, _) in contents.items() if result == "failed"]
    if unreadable:
        return Unknown("access-denied", f"{', '.join(unreadable)} exists but cannot be read")
    shown = {path: data for path, (result, data) in contents.items() if result == "shown"}
    for path, data in shown.items():
        if len(data) > tcf.MAX_BYTES:
            return Unknown("too-large", f"{path} has {len(data):,} bytes: {_TOO_LARGE}")
    return Known(shown) if shown else Absent()


_TOO_LARGE = f"too large to be one (a real one has a few hundred, at most {tcf.MAX_BYTES:,} are read)"


def _too_large(completed: Completed) -> Conversation[Unknown]:
    """Ask CIM for the size of the file whose output did not end; every mark before it came."""
    shown = sum(f"{_MARK} {index} ".encode() in completed.stdout for index in range(len(TCF_PATHS)))
    path = TCF_PATHS[min(shown, len(TCF_PATHS) - 1)]
    file = known((yield from file_info(path)), None)
    size = f"{file.size:,}" if file is not None and file.size > tcf.MAX_BYTES else f"over {tcf.MAX_BYTES:,}"
    return Unknown("too-large", f"{path} has {size} bytes: {_TOO_LARGE}")


def _file(path: str, data: bytes) -> TcfFile:
    content = tcf.read_type_output(data)
    entries = tuple(shortened(entry.text) for entry in content.entries[:_ENTRIES])
    return TcfFile(path, content.armed, content.encoding, entries)


def _split(completed: Completed) -> dict[str, tuple[str, bytes]]:
    """Return for each path how it went (``shown``, ``failed`` or ``absent``), and the bytes that ``type`` printed.

    Raises:
        UnexpectedAnswer: a mark is missing, or says something else.
    """
    output, position = completed.stdout, 0
    contents: dict[str, tuple[str, bytes]] = {}
    for index, path in enumerate(TCF_PATHS):
        mark = f"{_MARK} {index} ".encode()
        start = output.find(mark, position)
        end = output.find(b"\n", start)
        result = output[start + len(mark) : end].decode("utf-8", "replace").strip()
        if start < 0 or end < 0 or result not in _RESULTS:
            errors = completed.stderr.decode("utf-8", "replace").strip()[:120]
            raise UnexpectedAnswer(
                f"MobileClient.TCF: the command did not finish (exit code {completed.exit_code}) {errors}"
            )
        contents[path] = (result, output[position:start])
        position = end + 1
    return contents


READING_LINES = READ_ONLY_LINES | {tcf_command().line}
"""Every command line here that only reads, for the write gate, which compares them as a whole."""


# -- everything the verdict needs -------------------------------------------------------------------------------

FIRST_QUESTIONS: tuple[Operation, ...] = (
    SMS_CLIENT,
    service_query("CcmExec"),
    get_value(CCMEXEC, "ProvisioningMode"),
    get_value(CCMEXEC, "SystemTaskExcludes"),
    tcf_command(),
)
"""The questions that every client gets."""


def not_answering(state: ClientReadings) -> bool:
    """Whether the client did not answer although its service runs, as in the seconds after a start."""
    version, ccmexec = state.client_version, known(state.service, None)
    return isinstance(version, Unknown) and version.cause == "unavailable" and ccmexec is not None and ccmexec.running


def client_state(now: Callable[[], datetime], legitimate: Sequence[str] = ()) -> Conversation[ClientReadings]:
    """Ask what the verdict needs, and no more.

    Every client gets the first questions. If the client may need work, we always ask next what runs on the PC. If it
    is in the mode or half out of it, we ask the second round too.

    *now* is the controller's clock, UTC. It is read together with the PC's clock, so that the two can be compared.
    A PC has some fifty processes, of which the verdict needs those that its policy calls *legitimate*; without names
    all processes are read.
    """
    return bounded((yield from _client_state(now, legitimate)))


def bounded(state: ClientReadings) -> ClientReadings:
    """Return *state* with each reading that is longer than `MAX_FACT` as `Unknown`."""
    found: dict[str, Any] = {}
    for field in fields(state):
        value = getattr(state, field.name)
        if isinstance(value, Known):
            length = len(json.dumps(plain(value.value), ensure_ascii=False))
            if length > MAX_FACT:
                what = field.name.replace("_", " ")
                found[field.name] = Unknown("too-large", f"{what}: {length:,} characters, over {MAX_FACT:,}")
    return replace(state, **found) if found else state


def _client_state(now: Callable[[], datetime], legitimate: Sequence[str]) -> Conversation[ClientReadings]:
    state = ClientReadings(now())
    state = replace(state, client_version=(yield from client_version()))
    state = replace(state, service=(yield from service("CcmExec")))
    if not_answering(state):  # the service may have started between the two questions: do not call the client broken
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
        state = yield from activity(state, legitimate)
        state = replace(state, agent_dependencies=(yield from service_dependencies(AGENT)))
        if state.needs_more:
            state = yield from _second_round(state)
        clock, computer = yield from clock_and_name()
        state = replace(state, clock=clock, computer=computer, observed_at=now())
    return state


def activity(state: ClientReadings, legitimate: Sequence[str]) -> Conversation[ClientReadings]:
    """Ask only what runs on the PC that may be a reason for the mode; return *state* with the answers."""
    running, starts = yield from processes(legitimate)
    return replace(
        state,
        processes=running,
        process_starts=starts,
        task_sequence_agent=(yield from service("smstsmgr")),
        setup=(yield from setup_state()),
    )


def _second_round(state: ClientReadings) -> Conversation[ClientReadings]:
    """Ask how long the client has been in the mode, and what it would do by itself."""
    state = replace(state, task_sequences=(yield from task_sequences()))
    types = yield from types_of(CCMEXEC)
    return replace(
        state,
        enabled_time=_moment_of((yield from number(CCMEXEC, "ProvisioningEnabledTime", types))),
        max_minutes=(yield from number(CCMEXEC, "ProvisioningMaxMinutes", types)),
        health_evaluation=(yield from health_evaluation()),
    )
