"""What provmode left on a PC, and which of it can go. Pure conversations.

`PLACES` is the list. Two things stay, whatever is asked: everything on a PC on which a run is at work (a lease that is
not old), and a file that may be the only copy of what was there before. A backup may go only if a journal has its
bytes, because `undo` takes them from there, or if the file beside it has them or yields them again when it is edited.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from provmode.ccm import tcf
from provmode.ccm.client import TCF_PATHS, client_state
from provmode.ccm.judge import judge
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Finding, Outcome, Verdict
from provmode.errors import AccessDenied, HostError, ProtocolError, RemoteFault
from provmode.reading import NOT_READ, Known, Reading, Unknown, known
from provmode.remediation.decide import LEFT_ALONE, Remediation, check_idle
from provmode.remediation.execute import StaleStep
from provmode.remediation.exit_guard import GUARD_KEY, GUARD_VALUE
from provmode.remediation.lease import ABANDONED
from provmode.remediation.lease_folder import FOLDER, NAME, Token
from provmode.remediation.steps import DeleteTrace, DeleteUpload, EndLease, RemoveGuard, Step
from provmode.remediation.steps.trace import UPLOAD_PATH
from provmode.remediation.uploads import FOLDER as UPLOADS
from provmode.text import shortened
from provmode.windows.conversation import Conversation, could_not_tell
from provmode.windows.files import StaleFile, TooLarge, file_hash, read_file, sha256
from provmode.windows.registry import Key, RegistryData, ValueType, read_value
from provmode.windows.system import clock_and_name
from provmode.wsman import CommandLine, Completed, UnexpectedAnswer

PLACES = {
    "lease": f"`{FOLDER}`, with one folder in it",
    "backup": "`MobileClient.TCF.provmode-backup`",
    "replaced": "`MobileClient.TCF.provmode-replaced`",
    "unfinished": "`MobileClient.TCF.provmode-`, 32 digits",
    "exit-guard": f"`{GUARD_KEY}`, value `{GUARD_VALUE}`",
    "upload": f"`{UPLOADS}`: `provmode-`, 64 digits, `.ppkg` or `.cer`",
    "other": "`MobileClient.TCF.provmode-`, anything else",
}
"""The kinds of trace, and where each is. The files are looked for beside every possible `MobileClient.TCF`."""
SAYS = {
    "lease": "says that a run works on the PC",
    "backup": "the file before it was edited",
    "replaced": "the file before a backup was put back",
    "unfinished": "new bytes that never became the file",
    "exit-guard": "leaves provisioning mode at the next administrator's logon",
    "upload": "a package or certificate that was to be added; it may hold secrets",
    "other": "not written by this version of provmode",
}
"""What each kind of trace is."""

_MARK = "@provmode"
_ENTRIES = 50
"""Entries of one folder that are looked at."""
_UNREADABLE = (StaleFile, TooLarge, AccessDenied, ProtocolError, RemoteFault)


@dataclass(frozen=True)
class Trace:
    """One thing that provmode left on a PC."""

    kind: str
    place: str
    detail: str = ""
    stays: str = ""
    """Why it is not removed; empty if it can be."""
    step: Step | None = None
    """The step that removes it."""

    def to_json(self) -> dict[str, Any]:
        """Return the trace's row of the JSON report (contract); ``stays`` only if it does."""
        document = {"kind": self.kind, "place": self.place, "says": SAYS[self.kind], "detail": self.detail}
        return {**document, "removable": not self.stays, **({"stays": self.stays} if self.stays else {})}


@dataclass(frozen=True)
class Traces:
    """Everything that was found on a PC."""

    found: tuple[Trace, ...]
    unread: tuple[str, ...] = ()
    """What could not be looked at, and why."""
    causes: tuple[str, ...] = ()
    """The cause of each: that of an `Unknown`."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that remove what can be removed: files first, the lease last."""
        steps = [trace.step for trace in self.found if trace.step is not None and not trace.stays]
        return tuple(sorted(steps, key=lambda step: isinstance(step, EndLease)))

    @property
    def kept(self) -> tuple[Trace, ...]:
        """What stays."""
        return tuple(trace for trace in self.found if trace.stays)


def traces_command() -> CommandLine:
    """Return the one command line that lists everything but the exit guard; each part ends with a mark."""
    lists = [f'dir /b "{path}.provmode-*"' for path in TCF_PATHS]
    lists += [f'dir /b "{UPLOADS}\\provmode-*"', f'dir /b "{FOLDER}*"', f'dir /b "{FOLDER}"']
    return CommandLine(" & ".join(f"{line} & echo {_MARK} {number}" for number, line in enumerate(lists)))


def look_for_traces(journaled: Set[str] = frozenset()) -> Conversation[Traces]:
    """Look for everything that provmode left. Changes nothing.

    *journaled* are the hashes of files of this PC whose bytes are in a journal.
    """
    clock, _ = yield from clock_and_name()
    found: list[Trace] = []
    unread: list[tuple[str, str]] = []
    try:
        completed: Completed = yield traces_command()
        parts = _split(completed)
    except (RemoteFault, AccessDenied) as error:
        parts = None
        told = could_not_tell(error)
        unread.append((f"files: {told.detail}", told.cause))
    except UnexpectedAnswer as error:
        parts = None
        unread.append((f"files: {error}", "protocol"))
    if parts is not None:
        for path, names in zip(TCF_PATHS, parts, strict=False):
            found += yield from _files(path, names, journaled)
        found += yield from _uploads(parts[-3])
        if NAME in parts[-2]:
            now = clock.value.now if isinstance(clock, Known) else None
            found.append(_lease(parts[-1], now))
    guard = yield from read_value(Key.parse(GUARD_KEY), GUARD_VALUE)
    if isinstance(guard, Unknown):
        unread.append((f"exit guard: {guard.detail or guard.cause}", guard.cause))
    found += _guard(guard)
    busy = next((trace for trace in found if trace.kind == "lease" and trace.stays), None)
    if busy is not None:  # whoever is at work may need every one of them
        found = [trace if trace.stays else replace(trace, stays=busy.stays) for trace in found]
    return Traces(tuple(found), tuple(text for text, _ in unread), tuple(cause for _, cause in unread))


def _split(completed: Completed) -> list[list[str]]:
    """Return the names that each ``dir`` printed.

    Raises:
        UnexpectedAnswer: a mark is missing.
    """
    lines = [line.strip() for line in completed.stdout.decode("utf-8", "replace").splitlines()]
    parts: list[list[str]] = []
    for number in range(len(TCF_PATHS) + 3):
        mark = f"{_MARK} {number}"
        if mark not in lines:
            raise UnexpectedAnswer(f"the command did not finish (exit code {completed.exit_code})")
        end = lines.index(mark)
        parts.append([line for line in lines[:end] if line][:_ENTRIES])
        lines = lines[end + 1 :]
    return parts


def _files(path: str, names: list[str], journaled: Set[str]) -> Conversation[list[Trace]]:
    """Return the traces beside the file *path*, whose *names* were listed."""
    base = f"{path.rpartition(chr(92))[2]}.provmode-".lower()
    extensions = [name[len(base) :].lower() for name in names if name.lower().startswith(base)]
    found = []
    for extension in extensions:
        kind = extension if extension in ("backup", "replaced") else "other"
        kind = "unfinished" if re.fullmatch("[0-9a-f]{32}", extension) else kind
        place = f"{path}.provmode-{shortened(extension, 60)}"
        if kind == "other":
            found.append(Trace(kind, place, stays="look at it on the PC"))
            continue
        try:
            data = yield from read_file(place)
            current = (yield from read_file(path)) if kind != "unfinished" else None
        except _UNREADABLE as error:
            found.append(Trace(kind, place, stays=f"its bytes could not be read: {error.what}"))
            continue
        if data is None:
            continue  # it went away in between
        digest = sha256(data)
        copied = kind == "unfinished" or digest in journaled or data == current or _edit_of(current) == data
        stays = "" if copied else "it may be the only copy: no journal that was given has its bytes (--journal FILE)"
        found.append(Trace(kind, place, f"{len(data):,} bytes", stays, DeleteTrace(place, digest)))
    return found


def _uploads(names: list[str]) -> Conversation[list[Trace]]:
    """Return the traces where files are put while they are needed; their bytes are not read: they may hold secrets."""
    found = []
    for name in names:
        place = f"{UPLOADS}\\{name.lower()}"
        if not UPLOAD_PATH.accepts(place):
            found.append(Trace("upload", f"{UPLOADS}\\{shortened(name, 120)}", stays="look at it on the PC"))
            continue
        try:
            digest = yield from file_hash(place)
        except _UNREADABLE as error:
            found.append(Trace("upload", place, stays=f"its hash could not be read: {error.what}"))
            continue
        if digest is not None:
            found.append(Trace("upload", place, f"SHA-256 {digest[:12]}", step=DeleteUpload(place, digest)))
    return found


def _edit_of(current: bytes | None) -> bytes | None:
    """Return what an edit makes of the file: a backup with these bytes is no loss, because it can be made again."""
    return tcf.disarm(current) if current is not None and len(current) <= tcf.MAX_BYTES else None


def _lease(names: list[str], now: datetime | None) -> Trace:
    """Return the trace of the lease's folder, in which are *names*; *now* is the PC's clock."""
    tokens = [token for token in map(Token.parse, names) if token is not None]
    if len(names) > 1 or (names and not tokens):
        return Trace("lease", FOLDER, f"{len(names)} entries", "it holds more than one lease: look at it on the PC")
    if not tokens:
        return Trace("lease", FOLDER, "empty", step=EndLease(""))
    token = tokens[0]
    since = f"since {token.since:%Y-%m-%d %H:%M:%S} UTC by its clock"
    if now is None or abs(now - token.since) <= ABANDONED:
        return Trace("lease", FOLDER, since, "a run is at work there, or was 15 minutes ago", EndLease(str(token)))
    return Trace("lease", FOLDER, since, step=EndLease(str(token)))


def _guard(reading: Reading[RegistryData]) -> list[Trace]:
    guard = known(reading, None)
    if guard is None:
        return []
    place = f"{GUARD_KEY}\\{GUARD_VALUE}"
    if guard.type is not ValueType.REG_SZ:
        return [Trace("exit-guard", place, guard.type.name, "provmode writes REG_SZ: look at it on the PC")]
    return [Trace("exit-guard", place, shortened(str(guard.data), 300), step=RemoveGuard(str(guard.data)))]


def plan_removal(
    now: Callable[[], datetime], policy: Policy, journaled: Set[str] = frozenset()
) -> Conversation[Remediation]:
    """Look at a client, then for traces, and return the steps that remove what can go. The client itself is left alone.

    A PC on which something legitimate runs keeps everything, and so does one that could not be assessed.
    """
    client = yield from client_state(now, policy.legitimate_processes)
    if client.computer == NOT_READ:
        client = replace(client, computer=(yield from clock_and_name())[1])
    assessment = judge(client, policy, now())
    if assessment.verdict is Verdict.UNASSESSED:
        return Remediation(client, assessment, (), LEFT_ALONE[assessment.verdict])
    try:
        yield from check_idle(now, policy)
        traces = yield from look_for_traces(journaled)
    except StaleStep as error:
        return Remediation(client, assessment, (), error.what)
    except HostError as error:
        unread = f"what provmode left could not be looked at: {error.what}"
        return Remediation(client, assessment, (), unread, counts_as=Outcome.UNASSESSED)
    notes = [Finding("trace-kept", f"{trace.place}: {trace.stays}") for trace in traces.kept]
    notes += [Finding("trace-kept", f"could not look for {text}") for text in traces.unread]
    assessment = replace(assessment, findings=(*assessment.findings, *notes))
    left_alone = "nothing of provmode is left there"
    if notes:
        left_alone = "; ".join(dict.fromkeys(note.text for note in notes))
    counts_as = Outcome.UNASSESSED if traces.unread else Outcome.COMPLIANT
    return Remediation(client, assessment, traces.steps, "" if traces.steps else left_alone, counts_as=counts_as)
