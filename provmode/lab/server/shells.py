"""Command shells over WS-Management (MS-WSMV 3.1.4.5 onwards): Create, Command, Send, Receive, Signal, Delete.

Dialogues as recorded. A shell belongs to the user, not to the connection: it survives a broken connection, and ends
with Delete or when it has been idle for its idle time, by the lab's clock.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol
from xml.etree.ElementTree import Element

from provmode.lab.server import faults
from provmode.lab.server.envelope import SHELL, Request, Stack, parse_duration
from provmode.lab.server.faults import SHELL_PLUGIN, Fault, ProviderFault, SoapFault
from provmode.lab.server.xmltree import escape, quote

CMD = SHELL + "/cmd"
STATE = SHELL + "/CommandState/"
SIGNALS = {
    SHELL + "/signal/terminate": "terminate",
    SHELL + "/signal/ctrl_c": "ctrl_c",
    SHELL + "/signal/ctrl_break": "ctrl_break",
}
_RSP = f"{{{SHELL}}}"
MAX_COMMAND_LINE = 32767
"""Characters CreateProcess accepts; cmd.exe itself checks its own limit of 8191."""

_UNKNOWN_COMMAND = replace(
    faults.INVALID_SELECTORS,
    message="The Windows Remote Shell received a request to perform an operation on a command identifier that does "
    "not exist. Either the command has completed execution or the client specified an invalid command identifier. ",
)
_TOO_LONG = Fault(
    2147942606,
    "w:InternalError",
    "The filename or extension is too long. ",
    sender=False,
    provider=ProviderFault(*SHELL_PLUGIN, "The filename or extension is too long. ", nested=False),
)
_FILE_NOT_FOUND = Fault(
    2147942402,
    "w:InternalError",
    "The system cannot find the file specified. ",
    sender=False,
    provider=ProviderFault(*SHELL_PLUGIN, "The system cannot find the file specified. ", nested=False),
)
_INVALID_PARAMETER = replace(
    faults.INVALID_PARAMETER,
    provider=ProviderFault(*SHELL_PLUGIN, "The parameter is incorrect. ", nested=False),
)
_BUSY = Fault(
    2150859241,
    "w:QuotaLimit",
    "The WS-Management service cannot process the request. The maximum number of concurrent commands per shell has "
    "been exceeded. Retry the request later or raise the Maximum Commands per Shell quota. ",
)
"""By analogy: MS-WSMV note <121> says that a second command is rejected, but not the code."""


def _unknown_shell(shell_id: str) -> Fault:
    """Return the fault for a shell that does not exist (any more)."""
    text = (
        f"The request for the Windows Remote Shell with ShellId {shell_id} failed because the shell was not found "
        "on the server. Possible causes are: the specified ShellId is incorrect or the shell no longer exists on "
        "the server. Provide the correct ShellId or create a new shell and retry the operation. "
    )
    provider = ProviderFault("Shell provider", r"%systemroot%\system32\WsmSvc.dll", text)
    return replace(faults.INVALID_SELECTORS, provider=provider)


class RunningCommand(Protocol):
    """A command line that cmd.exe executes."""

    exit_code: int | None
    """``None`` while it runs; unsigned 32 bits afterwards."""

    def feed(self, data: bytes, end: bool) -> None:
        """Pass it standard input; *end*: this is all of it."""

    def read(self) -> tuple[bytes, bytes]:
        """Return and clear what it has written to standard output and standard error."""

    def signal(self, code: str) -> None:
        """End it: ``terminate``, ``ctrl_c`` or ``ctrl_break``."""


class StartCommand(Protocol):
    """Starts a command line on the PC."""

    def __call__(
        self, line: str, *, codepage: int, environment: Mapping[str, str], directory: str | None, user: str
    ) -> RunningCommand:
        """Start *line*."""


@dataclass
class _Command:
    """A command of a shell, and its output that is not delivered yet."""

    running: RunningCommand
    endless_stdin: bool = False
    """Whether its standard input is a console: that never ends, whatever a Send says."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    done_delivered: bool = False

    def drain(self) -> None:
        """Move the process's output into the buffers."""
        stdout, stderr = self.running.read()
        self.stdout += stdout
        self.stderr += stderr

    @property
    def ready(self) -> bool:
        """Whether a Receive can be answered."""
        return bool(self.stdout or self.stderr) or self.running.exit_code is not None


@dataclass
class _Shell:
    """One shell of one user."""

    identity: str
    owner: str
    codepage: int
    environment: Mapping[str, str]
    directory: str | None
    idle_timeout: float
    created: float
    last_used: float
    commands: dict[str, _Command] = field(default_factory=dict)
    operations: int = 0
    """Commands started, also those that have ended: Terminate does not take them off the user's operations (MS-WSMV
    note <118>)."""
    waiting: int = 0
    """Receives that wait for output."""


class Shells:
    """The shells of one PC."""

    def __init__(
        self, start: StartCommand, clock: Callable[[], float], stack: Stack, *, codepage: int, chunk: int = 4096
    ) -> None:
        self._start = start
        self._clock = clock
        self._stack = stack
        self._codepage = codepage
        self._chunk = chunk
        """Bytes of one ``rsp:Stream``; output is cut there, even inside a character."""
        self._shells: dict[str, _Shell] = {}

    @property
    def open(self) -> int:
        """How many shells there are."""
        self._drop_idle()
        return len(self._shells)

    def operations(self, owner: str) -> int:
        """Return how many of a user's operations the commands of his shells are."""
        return sum(shell.operations for shell in self._shells.values() if shell.owner == owner)

    def end_all(self) -> None:
        """Close every shell, as a restart of WinRM does."""
        for shell in list(self._shells.values()):
            self._end(shell)

    def wake(self) -> None:
        """Make every waiting Receive look again, because the clock moved; close the shells that are idle by now."""
        self._drop_idle()
        for shell in self._shells.values():
            for command in shell.commands.values():
                command.changed.set()

    def create(self, request: Request, owner: str, client: str) -> str:
        """Open a shell; return the body of CreateResponse."""
        self._drop_idle()
        limit = self._stack.max_shells
        if sum(shell.owner == owner for shell in self._shells.values()) >= limit:
            raise SoapFault(faults.quota(faults.QUOTA_SHELLS, limit, "shells", as_wmi_error=self._stack.wmi_errors))
        shell = self._shell_from(request, owner)
        self._shells[shell.identity] = shell
        return _created(shell, request.to, client)

    def _shell_from(self, request: Request, owner: str) -> _Shell:
        """Read a Create request."""
        body = _expect(request.body, "Shell")
        codepage = request.options.get("WINRS_CODEPAGE", str(self._codepage))
        if not codepage.isdigit():
            raise SoapFault(faults.INVALID_OPTIONS)
        idle = parse_duration((body.findtext(_RSP + "IdleTimeOut") or "PT7200S").strip())
        if idle is None or idle <= 0:
            raise SoapFault(faults.SCHEMA_VALIDATION)
        variables = body.findall(f"{_RSP}Environment/{_RSP}Variable")
        now = self._clock()
        return _Shell(
            identity=_new_id(),
            owner=owner,
            codepage=int(codepage),
            environment={item.get("Name", ""): item.text or "" for item in variables},
            directory=(body.findtext(_RSP + "WorkingDirectory") or "").strip() or None,
            idle_timeout=idle,
            created=now,
            last_used=now,
        )

    def command(self, request: Request, owner: str) -> tuple[str, str]:
        """Start a command; return the body of CommandResponse, and the command line."""
        shell = self._find(request, owner)
        body = _expect(request.body, "CommandLine")
        program = body.findtext(_RSP + "Command") or ""
        arguments = [element.text or "" for element in body.findall(_RSP + "Arguments")]
        line = " ".join([program, *arguments])
        self._check_command(shell, program, line, request.options)
        running = self._start(
            line,
            codepage=shell.codepage,
            environment=shell.environment,
            directory=shell.directory,
            user=owner,
        )
        shell.operations += 1
        identity = _new_id()
        endless_stdin = self._heeds(request.options, "WINRS_CONSOLEMODE_STDIN")
        shell.commands = {identity: _Command(running, endless_stdin)}  # the previous command was delivered completely
        return f"<rsp:CommandResponse><rsp:CommandId>{identity}</rsp:CommandId></rsp:CommandResponse>", line

    def _heeds(self, options: Mapping[str, str], name: str) -> bool:
        """Return whether this PC heeds the option *name* of a Command, and it is set."""
        return self._stack.command_options and options.get(name, "").upper() in ("TRUE", "1")

    def _check_command(self, shell: _Shell, program: str, line: str, options: Mapping[str, str]) -> None:
        """Reject a command that cannot be started."""
        if not program.strip():
            raise SoapFault(_INVALID_PARAMETER)
        if any(not command.done_delivered for command in shell.commands.values()):
            raise SoapFault(_BUSY)
        if len(line) > MAX_COMMAND_LINE:
            raise SoapFault(_TOO_LONG)
        if self._heeds(options, "WINRS_SKIP_CMD_SHELL") and "\\" not in program:
            raise SoapFault(_FILE_NOT_FOUND)  # CreateProcess without a path

    async def receive(self, request: Request, owner: str) -> str:
        """Wait for output or the end of a command; return the body of ReceiveResponse.

        Raises:
            SoapFault: 2150858793 if the operation's time runs out first.

        """
        shell = self._find(request, owner)
        stream = _expect(request.body, "Receive").find(_RSP + "DesiredStream")
        if stream is None or not stream.get("CommandId"):
            raise SoapFault(_INVALID_PARAMETER)
        identity = stream.get("CommandId", "").upper()
        command = self._command(shell, identity)
        if command.done_delivered:
            raise SoapFault(_UNKNOWN_COMMAND)
        shell.waiting += 1
        try:
            await self._wait(command, request.timeout)
        finally:
            shell.waiting -= 1
            shell.last_used = self._clock()
        return self._received(command, identity, request.max_envelope)

    async def _wait(self, command: _Command, timeout: float) -> None:
        """Wait until *command* has output or has ended, at most *timeout* seconds."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            command.drain()
            if command.ready:
                return
            command.changed.clear()
            remaining = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(command.changed.wait(), remaining)
            except asyncio.TimeoutError:
                raise SoapFault(faults.TIMED_OUT) from None

    def _received(self, command: _Command, identity: str, max_envelope: int) -> str:
        """Return the output that fits, and the end of the streams if that is all of it."""
        room = (max_envelope - 8192) // 2  # two octets a character; the rest is for the envelope
        budget = self._chunk * max(1, room // (self._chunk * 4 // 3 + 160))  # base64, and the element around it
        parts = [_stream(name, identity, chunk) for name, chunk in _cut(command, budget, self._chunk)]
        code = command.running.exit_code
        if code is None or command.stdout or command.stderr:
            parts.append(f'<rsp:CommandState CommandId="{identity}" State="{STATE}Running"></rsp:CommandState>')
        else:
            command.done_delivered = True
            parts += [_stream(name, identity, b"", end=True) for name in ("stdout", "stderr")]
            parts.append(
                f'<rsp:CommandState CommandId="{identity}" State="{STATE}Done">'
                f"<rsp:ExitCode>{code & 0xFFFFFFFF}</rsp:ExitCode></rsp:CommandState>"
            )
        return f"<rsp:ReceiveResponse>{''.join(parts)}</rsp:ReceiveResponse>"

    def send(self, request: Request, owner: str) -> str:
        """Feed a command's standard input; return the body of SendResponse."""
        shell = self._find(request, owner)
        for stream in _expect(request.body, "Send").findall(_RSP + "Stream"):
            command = self._command(shell, stream.get("CommandId", "").upper())
            try:
                data = base64.b64decode((stream.text or "").encode("ascii"), validate=True)
            except (ValueError, binascii.Error):
                raise SoapFault(_INVALID_PARAMETER) from None
            if stream.get("Name") != "stdin":
                raise SoapFault(_INVALID_PARAMETER)
            end = stream.get("End", "").lower() in ("true", "1") and not command.endless_stdin
            command.running.feed(data, end)
            command.changed.set()
        return "<rsp:SendResponse/>"

    def signal(self, request: Request, owner: str) -> str:
        """Send a signal to a command; ``terminate`` also frees its slot. Return the body of SignalResponse."""
        shell = self._find(request, owner)
        body = _expect(request.body, "Signal")
        identity = body.get("CommandId", "").upper()
        command = self._command(shell, identity)
        code = SIGNALS.get((body.findtext(_RSP + "Code") or "").strip())
        if code is None:
            raise SoapFault(_INVALID_PARAMETER)
        if command.running.exit_code is None:
            command.running.signal(code)
            command.changed.set()
        if code == "terminate" or command.done_delivered:
            del shell.commands[identity]
        return "<rsp:SignalResponse/>"

    def delete(self, request: Request, owner: str) -> str:
        """Close a shell and end what runs in it; return the (empty) body of DeleteResponse."""
        self._end(self._find(request, owner))
        return ""

    def _end(self, shell: _Shell) -> None:
        """Close *shell*: terminate its processes and wake every waiting Receive."""
        for command in shell.commands.values():
            if command.running.exit_code is None:
                command.running.signal("terminate")
            command.changed.set()
        del self._shells[shell.identity]

    def _find(self, request: Request, owner: str) -> _Shell:
        """Return the shell a request names. Another user's shell does not exist for this user."""
        self._drop_idle()
        identity = request.selector("ShellId") or ""
        shell = self._shells.get(identity.upper())
        if shell is None or shell.owner != owner:
            raise SoapFault(_unknown_shell(identity))
        shell.last_used = self._clock()
        return shell

    @staticmethod
    def _command(shell: _Shell, identity: str) -> _Command:
        """Return the command a request names."""
        command = shell.commands.get(identity)
        if command is None:
            raise SoapFault(_UNKNOWN_COMMAND)
        return command

    def _drop_idle(self) -> None:
        """Close the shells that have been idle for their idle time: no request came, and none waits (MS-WSMV
        3.1.4.1.31.5).
        """
        now = self._clock()
        unused = [shell for shell in self._shells.values() if not shell.waiting]
        for shell in [shell for shell in unused if now - shell.last_used >= shell.idle_timeout]:
            self._end(shell)


def _expect(body: Element | None, name: str) -> Element:
    """Return the body, which must be the element *name* of the shell's namespace."""
    if body is None or body.tag != _RSP + name:
        raise SoapFault(faults.SCHEMA_VALIDATION)
    return body


def _new_id() -> str:
    """Return a GUID as shells and commands have it: upper case, no prefix."""
    return str(uuid.uuid4()).upper()


def _cut(command: _Command, budget: int, size: int) -> Iterator[tuple[str, bytes]]:
    """Take output from *command* in chunks of *size* bytes, *budget* bytes at most."""
    for name, buffer in (("stdout", command.stdout), ("stderr", command.stderr)):
        while buffer and budget > 0:
            chunk = bytes(buffer[: min(size, budget)])
            del buffer[: len(chunk)]
            budget -= len(chunk)
            yield name, chunk


def _stream(name: str, command: str, data: bytes, *, end: bool = False) -> str:
    """Return one ``rsp:Stream``."""
    mark = ' End="true"' if end else ""
    text = base64.b64encode(data).decode("ascii")
    return f'<rsp:Stream Name="{name}" CommandId="{command}"{mark}>{text}</rsp:Stream>'


def _created(shell: _Shell, to: str, client: str) -> str:
    """Return the body of CreateResponse: the reference to the shell, then the shell."""
    return (
        f"<x:ResourceCreated><a:Address>{escape(to)}</a:Address><a:ReferenceParameters>"
        f"<w:ResourceURI>{CMD}</w:ResourceURI><w:SelectorSet>"
        f'<w:Selector Name="ShellId">{shell.identity}</w:Selector></w:SelectorSet></a:ReferenceParameters>'
        f'</x:ResourceCreated><rsp:Shell xmlns:rsp="{SHELL}"><rsp:ShellId>{shell.identity}</rsp:ShellId>'
        f"<rsp:ResourceUri>{CMD}</rsp:ResourceUri><rsp:Owner>{escape(shell.owner)}</rsp:Owner>"
        f"<rsp:ClientIP>{client}</rsp:ClientIP>{_environment(shell)}"
        f"<rsp:IdleTimeOut>PT{shell.idle_timeout:.3f}S</rsp:IdleTimeOut>"
        "<rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams>"
        "<rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime><rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity>"
        "</rsp:Shell>"
    )


def _environment(shell: _Shell) -> str:
    """Return the variables that the client asked for; nothing if it asked for none."""
    variables = "".join(
        f'<rsp:Variable Name="{quote(name)}">{escape(value)}</rsp:Variable>'
        for name, value in shell.environment.items()
    )
    return f"<rsp:Environment>{variables}</rsp:Environment>" if variables else ""
