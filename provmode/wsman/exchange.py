"""Operations as exchanges of messages: generators that yield a `Request` and are sent the `Response`.

Sans-IO: the driver owns the socket. It may throw a `Fault` into an exchange instead of sending a response. If the
exchange holds a resource on the PC (a shell), it first yields the requests that free the resource, and then raises the
fault. A closed exchange yields nothing more: the connection is gone.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from xml.etree.ElementTree import Element

from provmode.wsman import uris
from provmode.wsman.errors import UnexpectedAnswer
from provmode.wsman.faults import BUSY, Fault, FaultKind
from provmode.wsman.messages import Request, Response
from provmode.wsman.operations import (
    CommandLine,
    Completed,
    Enumerate,
    Get,
    Identify,
    Instance,
    Invoke,
    Operation,
    Put,
    Resource,
)
from provmode.wsman.values import checked_name, read_endpoint, read_object, write_object, write_property
from provmode.wsman.xml import child, escape, local_name

T = TypeVar("T")
Exchange = Generator[Request, Response, T]

MAX_ELEMENTS = 32_000
"""Objects to ask for at a time: Windows' MaxBatchItems (MS-WSMV 2.2.4.10)."""
MAX_PAGES = 10_000
"""Pulls after which we give up an enumeration: even at one object a page, no query here finds that many."""
MAX_OBJECTS = 200_000


@dataclass(frozen=True)
class Identity:
    """The WS-Management service that answers. DSP0226 section 11."""

    vendor: str
    """``Microsoft Corporation``."""
    version: str
    """``OS: 10.0.22631 SP: 0.0 Stack: 3.0``; zeros for a client that is not authenticated."""
    protocol: str

    def to_json(self) -> dict[str, str]:
        """Return the three by name."""
        return dict(vars(self))


def identify() -> Exchange[Identity]:
    """Ask which service answers."""
    response = yield Request("Identify", "", None, "", "Identify")
    body = _body(response, "IdentifyResponse")
    return Identity(_text(body, "ProductVendor"), _text(body, "ProductVersion"), _text(body, "ProtocolVersion"))


def get(operation: Get) -> Exchange[Instance]:
    """Read one instance or a singleton. DSP0226 section 7.3, MS-WSMV 3.1.4.2."""
    response = yield Request("Get", uris.GET, operation.resource, "", f"Get {_named(operation.resource)}")
    return read_object(_any_body(response, "an object"))


def put(operation: Put) -> Exchange[Instance]:
    """Write one instance; return the instance as it is afterwards. DSP0226 section 7.4, MS-WSMV 3.1.4.3."""
    resource = operation.resource
    body = write_object(Instance(resource.class_name, dict(operation.properties), resource.uri))
    response = yield Request("Put", uris.PUT, resource, body, f"Put {_named(resource)}")
    return read_object(_any_body(response, "an object"))


def invoke(operation: Invoke) -> Exchange[Instance]:
    """Call a method; return its ``_OUTPUT``. MS-WSMV 3.1.4.1.32, DSP0230 section 10.3."""
    resource, method = operation.resource, checked_name(operation.method)
    inner = "".join(write_property(name, value) for name, value in operation.parameters)
    body = f'<p:{method}_INPUT xmlns:p="{escape(resource.uri)}">{inner}</p:{method}_INPUT>'
    what = f"Invoke {method} on {_named(resource)}"
    response = yield Request("Invoke", f"{resource.uri}/{method}", resource, body, what)
    if response.body is None:
        return Instance(f"{method}_OUTPUT")  # a method without a result
    if local_name(response.body) != f"{method}_OUTPUT":
        raise UnexpectedAnswer(f"{what}: expected {method}_OUTPUT, got {local_name(response.body)[:60]!r}")
    return read_object(response.body)


# -- enumeration ------------------------------------------------------------------------------------------------


def enumerate_all(operation: Enumerate) -> Exchange[list[Instance]]:
    """Read every object: Enumerate (optimised), then Pull until EndOfSequence. DSP0226 section 8, MS-WSMV 3.1.4.8-9.

    The first answer may contain one object, all objects or none. Every answer brings a new context (recorded).
    """
    resource = operation.resource
    what = f"Enumerate {operation.wql or _named(resource)}"
    wql = f'<w:Filter Dialect="{uris.WQL}">{escape(operation.wql)}</w:Filter>' if operation.wql is not None else ""
    body = f"<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>{MAX_ELEMENTS}</w:MaxElements>{wql}</n:Enumerate>"
    page = _body((yield Request("Enumerate", uris.ENUMERATE, resource, body, what)), "EnumerateResponse")
    found = _objects(page)
    for _ in range(MAX_PAGES):
        if child(page, "EndOfSequence") is not None:
            return found
        context = _text(page, "EnumerationContext")
        if not context:
            raise UnexpectedAnswer(f"{what}: neither EndOfSequence nor a context for the next page")
        if len(found) > MAX_OBJECTS:
            break
        body = (
            f"<n:Pull><n:EnumerationContext>{escape(context)}</n:EnumerationContext>"
            f"<n:MaxElements>{MAX_ELEMENTS}</n:MaxElements></n:Pull>"
        )
        page = _body((yield Request("Pull", uris.PULL, resource, body, what)), "PullResponse")
        found += _objects(page)
    yield from _quietly(_release(resource, _text(page, "EnumerationContext"), what))
    raise UnexpectedAnswer(f"{what}: no end after {len(found):,} objects")


def _release(resource: Resource, context: str, what: str) -> Request:
    body = f"<n:Release><n:EnumerationContext>{escape(context)}</n:EnumerationContext></n:Release>"
    return Request("Release", uris.RELEASE, resource, body, what)


def _objects(page: Element) -> list[Instance]:
    """Return the objects of a page; from a ``w:Item`` (an object and its reference) take the object."""
    items = child(page, "Items")
    if items is None:
        return []
    found = []
    for item in items:
        inner = item[0] if local_name(item) == "Item" and len(item) else item
        found.append(read_object(inner))
    return found


# -- command shell ----------------------------------------------------------------------------------------------

MAX_LINE = 8191
"""Characters that cmd.exe accepts: Microsoft, "Command prompt (Cmd.exe) command-line string limitation"."""
SEND_CHUNK = 48 * 1024
"""Octets of standard input in one Send: as base64 well below the 150 KB envelope of the oldest service."""
MAX_OUTPUT = 64 * 1024 * 1024
"""Octets of output after which a command is terminated."""
IDLE_TIMEOUT = 180
"""Seconds after which the PC ends a shell that nobody sends anything to (``IdleTimeOut``, MS-WSMV 2.2.4.37 and
3.1.4.1.31.5), instead of its own two hours. While a command runs we ask for output at least every minute. The pauses
between two command lines of a visit are shorter, as a rule; a shell that has ended is replaced."""
MAX_COMMANDS = 10
"""Command lines in one shell. Each counts as an operation of the account until the shell is deleted, also when it has
ended (MS-WSMV 3.1.4.12, product note 118), and Windows Server 2008 R2 allows 15."""
_TERMINATED = 0xC000013A
"""STATUS_CONTROL_C_EXIT: how Windows ends a command that is terminated."""


@dataclass
class OpenShell:
    """A shell that stays open for the next command line: one visit to a PC opens one, as a rule.

    A command line runs in it if it wants the same code page, variables and folder, and if the one before was seen to
    end. Each has a cmd.exe of its own, so nothing else goes from one to the next.
    """

    address: Resource | None = None
    """``None``: no shell is open."""
    _opened_for: tuple[object, ...] = ()
    """Code page, environment and folder."""
    _started: int = 0
    """Command lines that were started in it."""
    _running: str | None = None
    """The id of the command that was not seen to end; empty before the PC has told it."""
    _ended: str = ""
    """The id of the last command, which has ended, and which the PC has not been told to forget."""

    def taken_away(self) -> Resource | None:
        """Return the shell's address if its command was not seen to end, and use that shell no more."""
        address = self.address if self._running is not None else None
        if address is not None:
            self._forget()
        return address

    def start(self, operation: CommandLine) -> Exchange[str]:
        """Start a command line, in the open shell if there is one; return the command's id.

        If the PC does not know the shell any more (it was idle for too long, or WinRM was restarted), nothing was
        started, and the command line is sent to a new one.
        """
        opened_for = (operation.codepage, operation.environment, operation.directory)
        if self.address is not None and (opened_for != self._opened_for or self._started >= MAX_COMMANDS):
            yield from self.delete()
        if self.address is not None:
            if self._ended:  # required before the next one: MS-WSMV 3.1.4.14
                yield from _quietly(_signal(self.address, self._ended))
            try:
                return (yield from self._begin(self.address, operation))
            except Fault as fault:
                if not fault.shell_gone:
                    raise
                self._forget()
        self.address = yield from _open_shell(operation)
        self._opened_for = opened_for
        return (yield from self._begin(self.address, operation))

    def _begin(self, shell: Resource, operation: CommandLine) -> Exchange[str]:
        before = self._ended
        self._running, self._ended, self._started = "", "", self._started + 1
        command_id = yield from _start(shell, operation)
        if command_id == before:
            raise UnexpectedAnswer("Command: the CommandId is that of the command before")
        self._running = command_id
        return command_id

    def ended(self, command_id: str) -> None:
        """Take note that a command has ended, and that all of its output was received."""
        self._running, self._ended = None, command_id

    def delete(self) -> Exchange[None]:
        """Terminate what runs, and delete the shell if there is one."""
        if self.address is not None:
            if self._running:
                yield from _quietly(_signal(self.address, self._running))
            yield from _quietly(delete_shell(self.address))
            self._forget()

    def _forget(self) -> None:
        self.address, self._started, self._running, self._ended = None, 0, None, ""


def run(operation: CommandLine, shell: OpenShell | None = None) -> Exchange[Completed]:
    """Run a command line: Create, Command, Send, Receive until done, Delete. MS-WSMV 3.1.4.5.2, .11 to .14, .4.1.

    Without a *shell* that stays open it gets one of its own. Terminate (Signal) is sent if we did not see the command
    end, and before the next command of a shell. Deleting the shell frees everything it holds, including the command's
    slot (MS-WSMV 3.1.4.12 and its product note on the operation counter).
    """
    if len(operation.line) > MAX_LINE:
        raise ValueError(f"the command line has {len(operation.line):,} characters, cmd.exe accepts {MAX_LINE:,}")
    if "\n" in operation.line or "\r" in operation.line:
        raise ValueError("a command line cannot contain a line break")
    within = shell if shell is not None else OpenShell()
    try:
        command_id = yield from within.start(operation)
        assert within.address is not None
        received = _Received(command_id, operation.max_output)
        yield from _send(within.address, command_id, operation.stdin, received)
        while received.exit_code is None:
            yield from _receive(within.address, command_id, received)
        if not received.cut:
            within.ended(command_id)
    except GeneratorExit:
        raise  # the connection is gone, so we cannot delete the shell; the PC drops it at its idle time-out
    except BaseException:
        yield from within.delete()
        raise
    if received.cut or shell is None:
        yield from within.delete()
    return Completed(received.exit_code, bytes(received.stdout), bytes(received.stderr), cut=received.cut)


def _open_shell(operation: CommandLine) -> Exchange[Resource]:
    environment = "".join(
        f'<rsp:Variable Name="{escape(name)}">{escape(value)}</rsp:Variable>' for name, value in operation.environment
    )
    directory = operation.directory
    body = (
        "<rsp:Shell>"
        + (f"<rsp:Environment>{environment}</rsp:Environment>" if environment else "")
        + (f"<rsp:WorkingDirectory>{escape(directory)}</rsp:WorkingDirectory>" if directory else "")
        + f"<rsp:IdleTimeOut>PT{IDLE_TIMEOUT}S</rsp:IdleTimeOut>"
        + "<rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>"
    )
    options = (("WINRS_NOPROFILE", "TRUE"), ("WINRS_CODEPAGE", str(operation.codepage)))
    resource = Resource(uris.CMD_SHELL)
    response = yield Request("ShellCreate", uris.CREATE, resource, body, _running(operation), options)
    created = _any_body(response, "a ResourceCreated")
    if local_name(created) == "ResourceCreated":
        return read_endpoint(created)
    shell_id = child(created, "ShellId")  # older stacks answer with the Shell alone
    if shell_id is None or not shell_id.text:
        raise UnexpectedAnswer("Create: expected a ShellId")
    return Resource(uris.CMD_SHELL, (("ShellId", shell_id.text.strip()),))


def _start(shell: Resource, operation: CommandLine) -> Exchange[str]:
    body = f"<rsp:CommandLine><rsp:Command>{escape(operation.line)}</rsp:Command></rsp:CommandLine>"
    # Without WINRS_CONSOLEMODE_STDIN standard input is a pipe (MS-WSMV 3.1.4.11) and ends with the last Send. Up to
    # Server 2012 that of a console never ends; later versions ignore both options: every line goes through cmd.exe.
    options = (("WINRS_SKIP_CMD_SHELL", "FALSE"),)
    response = yield Request("Command", uris.COMMAND, shell, body, _running(operation), options)
    command_id = _text(_body(response, "CommandResponse"), "CommandId")
    if not command_id:
        raise UnexpectedAnswer("Command: expected a CommandId")
    return command_id


@dataclass
class _Received:
    """What a command has written so far, and how it ended."""

    command_id: str
    limit: int | None = None
    """Octets of output after which the command is terminated and what it wrote is kept."""
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    size: int = 0
    cut: bool = False
    exit_code: int | None = None
    """``None`` while it runs."""

    def check(self, element: Element) -> None:
        """Refuse output, or the state, of another command."""
        if element.get("CommandId", self.command_id).lower() != self.command_id.lower():
            raise UnexpectedAnswer(f"Receive: {local_name(element)} of another command")

    def add(self, stream: str, chunk: bytes) -> None:
        """Add output. A chunk may end within a character."""
        self.size += len(chunk)
        if self.size > MAX_OUTPUT:
            raise UnexpectedAnswer(f"the command wrote over {MAX_OUTPUT // 2**20} MiB; it was terminated")
        written = {"stdout": self.stdout, "stderr": self.stderr}.get(stream.lower())
        if written is not None:
            written += chunk
        if self.limit is not None and self.size > self.limit:
            self.cut, self.exit_code = True, _TERMINATED


def _send(shell: Resource, command_id: str, stdin: bytes, received: _Received) -> Exchange[None]:
    """Send standard input. A program need not read it: it may write first, or end.

    If it has not read in time, the Send times out, and the PC still passes the input on (Ansible measured this). A
    Send after that may find it busy, and is not taken: receive output, for which the program may wait, and send again.
    """
    for start in range(0, len(stdin), SEND_CHUNK):
        chunk = base64.b64encode(stdin[start : start + SEND_CHUNK]).decode("ascii")
        end = ' End="true"' if start + SEND_CHUNK >= len(stdin) else ""
        body = (
            f'<rsp:Send><rsp:Stream Name="stdin" CommandId="{escape(command_id)}"{end}>{chunk}</rsp:Stream></rsp:Send>'
        )
        request = Request("Send", uris.SEND, shell, body, "Send standard input")
        while received.exit_code is None:
            try:
                yield request
            except Fault as fault:
                if fault.kind is FaultKind.PROCESS_GONE:
                    return  # what it wrote and its exit code are still to be had
                if fault.has(BUSY):
                    yield from _receive(shell, command_id, received)
                    continue
                if fault.kind is not FaultKind.TIMED_OUT:
                    raise
            break


def _receive(shell: Resource, command_id: str, received: _Received) -> Exchange[None]:
    """Ask once for output, and whether the command is done. "Nothing yet" comes as a time-out fault."""
    body = (
        f'<rsp:Receive><rsp:DesiredStream CommandId="{escape(command_id)}">stdout stderr</rsp:DesiredStream>'
        "</rsp:Receive>"
    )
    try:
        response = yield Request("Receive", uris.RECEIVE, shell, body, "Receive output")
    except Fault as fault:
        if fault.kind is not FaultKind.TIMED_OUT:
            raise
        return
    answer = _body(response, "ReceiveResponse")
    _collect(answer, received)
    if received.cut:
        return
    state = child(answer, "CommandState")
    if state is not None:
        received.check(state)
    if state is not None and state.get("State", "").rpartition("/")[2] == "Done":
        received.exit_code = _exit_code(state)


def _collect(answer: Element, received: _Received) -> None:
    """Take the chunks of an answer."""
    for stream in answer:
        if local_name(stream) != "Stream" or not stream.text:
            continue
        received.check(stream)
        try:
            chunk = base64.b64decode(stream.text.encode("ascii").translate(None, b" \t\r\n"), validate=True)
        except (binascii.Error, ValueError):
            raise UnexpectedAnswer("Receive: the stream is not base64") from None
        received.add(stream.get("Name", ""), chunk)


def _exit_code(state: Element) -> int:
    text = _text(state, "ExitCode")
    if not re.fullmatch(r"-?[0-9]{1,10}", text):
        raise UnexpectedAnswer(f"Receive: expected an exit code, got {text[:20]!r}")
    return int(text) & 0xFFFFFFFF


def _signal(shell: Resource, command_id: str) -> Request:
    body = f'<rsp:Signal CommandId="{escape(command_id)}"><rsp:Code>{uris.TERMINATE}</rsp:Code></rsp:Signal>'
    return Request("Signal", uris.SIGNAL, shell, body, "Signal terminate")


def delete_shell(shell: Resource) -> Request:
    """Return the message that deletes a shell, and ends what runs in it. MS-WSMV 3.1.4.4.1."""
    return Request("ShellDelete", uris.DELETE, shell, "", "Delete shell")


def _quietly(request: Request) -> Exchange[None]:
    """Send a clean-up *request* and ignore a fault: the PC times these resources out anyway."""
    try:
        yield request
    except Fault:
        pass  # the shell is already gone, or the PC drops it (IdleTimeOut, MS-WSMV 3.1.4.1.31.5)


# -- common -----------------------------------------------------------------------------------------------------


def exchange_for(operation: Operation, shell: OpenShell | None = None) -> Exchange[Any]:
    """Return the exchange that performs *operation*; command lines use the *shell*, and leave it open.

    Raises:
        TypeError: *operation* is not an operation.
    """
    if isinstance(operation, Identify):
        return identify()
    if isinstance(operation, Get):
        return get(operation)
    if isinstance(operation, Enumerate):
        return enumerate_all(operation)
    if isinstance(operation, Invoke):
        return invoke(operation)
    if isinstance(operation, Put):
        return put(operation)
    if isinstance(operation, CommandLine):
        return run(operation, shell)
    raise TypeError(f"not an operation: {type(operation).__name__}")


SHAPES = (
    *("Identify", "Get", "Put", "Invoke", "Enumerate", "Pull", "Release"),
    *("ShellCreate", "Command", "Send", "Receive", "Signal", "ShellDelete"),
)
"""Every kind of message that is sent. `docs/evidence.md` gives the evidence for each, and a test checks the list."""


def _named(resource: Resource) -> str:
    keys = ",".join(value for _, value in resource.selectors)
    return f"{resource.class_name} {keys}".rstrip()


def _running(operation: CommandLine) -> str:
    return f"Command {operation.line[:60]}"


def _any_body(response: Response, expected: str) -> Element:
    if response.body is None:
        raise UnexpectedAnswer(f"expected {expected}, got an empty body")
    return response.body


def _body(response: Response, name: str) -> Element:
    body = _any_body(response, name)
    if local_name(body) != name:
        raise UnexpectedAnswer(f"expected {name}, got {local_name(body)[:60]!r}")
    return body


def _text(element: Element, name: str) -> str:
    found = child(element, name)
    return (found.text or "").strip() if found is not None else ""
