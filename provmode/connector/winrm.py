"""``@winrm`` for pyinfra: the only file that knows pyinfra's connector API (3.10).

pyinfra loads every connector at every start, so this module imports nothing heavy: the first connection imports the
session and pywinrm.

pyinfra keeps few errors to the host they concern (``ConnectError`` in `connect`, ``OSError`` and ``TimeoutError``
elsewhere); any other error ends the run for all hosts. So this module translates every error, whatever it is.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from io import IOBase
from typing import TYPE_CHECKING, Any

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError, InventoryError
from pyinfra.api.hiddenvalue import HiddenValue
from pyinfra.api.output import echo, format_text
from pyinfra.api.state import StateStage
from pyinfra.api.util import get_file_io
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput, OutputLine, extract_control_arguments
from typing_extensions import Unpack, override

from provmode.connector.host_data import WINRM_DATA, WinRMData, check_keys, combined, typed
from provmode.errors import HostError, ProvmodeError, ReadOnlyRefused
from provmode.text import json_text, visible

if TYPE_CHECKING:
    from pyinfra.api import Host, State
    from pyinfra.api.arguments import ConnectorArguments

    from provmode.connector.commands import LeasedCommand
    from provmode.connector.run_lease import RunLease
    from provmode.transport.base import Connection
    from provmode.transport.session import Session
    from provmode.transport.target import Counters, Target
    from provmode.wsman.operations import Operation

logger = logging.getLogger(__name__)

LAST_ERROR = "provmode_error"
"""Key in ``host.connector_data`` under which the last error of a host is kept as an exception, for the fleet runner."""

FOR_UNIX = "pyinfra's own facts and operations are for Unix, apart from server.shell: use those of provmode"
"""What to do if a fact asks for a command that is not known to only read."""


class Masked(HiddenValue):
    """A secret in a host's data: pyinfra prints it as ``*MASKED*``, in text and in JSON."""

    def to_json(self) -> str:
        """Return the mask."""
        return str(self)


class Printed(CommandOutput):
    """What a PC printed. pyinfra iterates over it to print it: then nothing in it can control the terminal.

    Facts and operations take ``stdout_lines`` and the like, which are as the PC sent them.
    """

    def __iter__(self) -> Iterator[OutputLine]:
        for line in self.combined_lines:
            yield OutputLine(line.buffer_name, visible(line.line))


class WinRMConnector(BaseConnector):
    """
    Talks to Windows PCs over WS-Management (WinRM): CIM natively, ``cmd.exe`` where CIM cannot.

    .. code:: shell

        pyinfra @winrm/PC-0001 --data winrm_user='EXAMPLE\\auditor' fact facts.client.ClientReadings
        pyinfra @winrm/PC-0001 exec -- winrm get wmi/root/ccm/SMS_Client

    While pyinfra connects and prepares (so in every ``--dry`` run) the session is read-only: a command that would
    change the PC is refused before a byte is sent.
    """

    handles_execution = True
    data_cls = WinRMData
    data_meta = WINRM_DATA

    session: Session | None = None
    lease: RunLease | None = None
    _not_dialled: Exception | None = None
    """Why `dial` failed, until `connect` raises it."""

    @staticmethod
    def new_connection(target: Target, *, counters: Counters, seconds: Callable[[], float]) -> Connection:
        """Return a connection to a PC, not yet dialled: `transport.stack` chooses which kind."""
        from provmode.transport.stack import connection

        return connection(target, counters=counters, seconds=seconds)

    def __init__(self, state: State, host: Host) -> None:
        data = combined(_layers_of(host))
        for key in ("winrm_read_only", "provmode_policy"):
            if key in data:
                setattr(host.data, key, data[key])
        self.state, self.host = state, host
        self.data = typed(host.data.dict())  # as pyinfra does it, which evaluates the types anew for every host
        if self.data["winrm_password"] is not None:
            # `debug-inventory` prints all of a host's data: this way it prints a mask
            host.data.winrm_password = Masked(self.data["winrm_password"])  # type: ignore[no-untyped-call]

    @override
    @staticmethod
    def make_names_data(name: str | None = None) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        name = (name or "").removeprefix("\ufeff")  # the byte order mark of a text file that names were read from
        if not name:
            raise InventoryError("@winrm needs the name of a PC: @winrm/PC-0001")
        yield f"@winrm/{name}", {}, []

    # -- connection -------------------------------------------------------------------------------------------

    def open(self) -> Session:
        """Return this host's session, not yet connected.

        Raises:
            UsageError: the host's data cannot be used (unknown scheme, no user, an unreadable file).
        """
        if self.session is None:
            from provmode.connector.host_data import target_of
            from provmode.connector.run_lease import LEASE, RunLease
            from provmode.connector.session_lease import SessionLease
            from provmode.remediation.lease import holder
            from provmode.transport.logons import PROCESS
            from provmode.transport.session import Session

            target = target_of(self.host.name, self.data)
            self.session = Session(target, read_only=True, connect=self.new_connection, logons=PROCESS)
            by = holder(uuid.uuid4().hex, self.host.name)  # no other run's, not even in this process
            self.lease = RunLease(SessionLease(by, self.session), self.host, self.state)
            self.host.connector_data[LEASE] = self.lease
        return self.session

    def dial(self) -> None:
        """Open the TCP connection, wait until the password may be tried on this PC, and send nothing yet.

        Separate from `connect`, so that a fleet run can wait for many PCs at once while it works on few. If this
        fails, `connect` raises the error.
        """
        try:
            session = self.open()
            session.dial()
            session.admit()
        except Exception as error:  # noqa: BLE001 - `connect` translates it
            self._not_dialled = error

    @override
    def connect(self) -> None:
        failed, self._not_dialled = self._not_dialled, None
        self.host.connector_data.pop(LAST_ERROR, None)
        try:
            check_keys(self.host.name.rpartition("/")[2], self.host.data.dict())
            if failed is not None:
                raise failed
            self.open().connect()
            if self.lease is not None:
                self.lease.begin_run()
        except ProvmodeError as error:
            self._give_up(error)
            raise ConnectError(str(error)) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns only this host
            self._give_up(_unexpected(error))
            raise ConnectError(str(_unexpected(error))) from None

    @override
    def disconnect(self) -> None:
        if self.lease is not None:
            self.lease.end_run()
        if self.session is not None:
            self.session.close()

    def _give_up(self, error: ProvmodeError) -> None:
        self.host.connector_data[LAST_ERROR] = error
        self.disconnect()

    # -- commands ---------------------------------------------------------------------------------------------

    @override
    def run_shell_command(
        self,
        command: StringCommand | str,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> tuple[bool, CommandOutput]:
        if print_input:
            echo(f"{self.host.print_prefix}>>> {visible(str(command))}", err=True)
        try:
            ok, lines = self._run(command, arguments)
        except Exception as error:  # noqa: BLE001 - translated here: no error must end the run for the other hosts
            ok, lines = False, [OutputLine("stderr", str(self._recorded(error)))]
        if print_output:
            for line in Printed(lines):
                text = line.line if line.buffer_name == "stdout" else format_text(line.line, "red")
                echo(f"{self.host.print_prefix}{text}", err=True)
        return ok, Printed(lines)

    def _run(self, command: StringCommand | str, arguments: Any) -> tuple[bool, list[OutputLine]]:
        from provmode.connector.commands import ConversationCommand, LeasedCommand, OperationCommand
        from provmode.wsman.notation import parse
        from provmode.wsman.operations import CommandLine

        session = self._session_for_stage()
        if isinstance(command, ConversationCommand):
            return True, [_document(session.converse(command.converse()))]
        if isinstance(command, LeasedCommand):
            return True, [_document(self._change(session, command))]
        if isinstance(command, OperationCommand):
            operation: Operation = command.operation
        else:
            operation = parse(command.get_raw_value() if isinstance(command, StringCommand) else command)
        if isinstance(operation, CommandLine):
            try:
                return self._run_line(session, operation, arguments)
            except ReadOnlyRefused as error:
                always = bool(self.data["winrm_read_only"])
                raise ReadOnlyRefused(error.what, next_step=error.next_step if always else FOR_UNIX) from None
        return True, _answer_lines(session.send(operation))

    def _change(self, session: Session, command: LeasedCommand) -> Any:
        if session.read_only or self.lease is None:
            raise ReadOnlyRefused(f"{self.host.name}: this operation changes the PC and this session only reads")
        with self.lease.at_work() as look:
            session.begin()
            return session.converse(command.converse(look))

    def _run_line(self, session: Session, operation: Any, arguments: Any) -> tuple[bool, list[OutputLine]]:
        from provmode.connector.host_data import with_arguments
        from provmode.windows.codepages import decode_console

        control = extract_control_arguments(arguments)
        completed = session.send(with_arguments(operation, arguments, control, self.data["winrm_codepage"]))
        codepage = self.data["winrm_codepage"]
        lines = [OutputLine("stdout", line) for line in decode_console(completed.stdout, codepage)]
        lines += [OutputLine("stderr", line) for line in decode_console(completed.stderr, codepage)]
        return completed.exit_code in (control.get("_success_exit_codes") or [0]), lines

    def _session_for_stage(self) -> Session:
        """Return the session: read-only while pyinfra connects and prepares, or if the host's data says so."""
        session = self.open()
        preparing = self.state.current_stage in (StateStage.Connect, StateStage.Prepare) and not self.state.is_executing
        session.read_only = preparing or bool(self.data["winrm_read_only"])
        session.begin()
        return session

    def _recorded(self, error: Exception) -> ProvmodeError:
        recorded = error if isinstance(error, ProvmodeError) else _unexpected(error)
        self.host.connector_data[LAST_ERROR] = recorded
        return recorded

    # -- files ------------------------------------------------------------------------------------------------

    @override
    def put_file(
        self,
        filename_or_io: str | IOBase,
        remote_filename: str,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> bool:
        """Write a file byte for byte: compare-and-swap with the current file, verified by hash."""
        from provmode.windows.file_changes import put_file

        with get_file_io(filename_or_io) as source:  # type: ignore[arg-type]
            data = source.read()
        content = data.encode() if isinstance(data, str) else bytes(data)
        return self._transfer(
            lambda session: session.converse(put_file(remote_filename, content)), "uploaded", print_output
        )

    @override
    def get_file(
        self,
        remote_filename: str,
        filename_or_io: str | IOBase,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> bool:
        """Read a file byte for byte, verified by hash.

        Raises:
            OSError: the PC has no such file, the file could not be read, or it changed while it was read.
        """
        from provmode.windows.files import read_file

        def fetch(session: Session) -> None:
            data = session.converse(read_file(remote_filename))
            if data is None:
                raise HostError(f"{self.host.name} has no file {remote_filename}", next_step="check the path")
            with get_file_io(filename_or_io, "wb") as out:  # type: ignore[arg-type]
                out.write(data)

        return self._transfer(fetch, "downloaded", print_output)

    def _transfer(self, work: Any, done: str, print_output: bool) -> bool:
        try:
            work(self._session_for_stage())
        except Exception as error:  # noqa: BLE001 - as in run_shell_command
            raise OSError(str(self._recorded(error))) from None
        if print_output:
            echo(f"{self.host.print_prefix}file {done}", err=True)
        return True


def _layers_of(host: Host) -> Iterator[Mapping[str, Any]]:
    """Yield the places that pyinfra takes a host's data from, the weakest first; ``host.data`` has groups as one."""
    inventory = host.inventory
    yield inventory.get_data()
    for group in host.groups:
        yield inventory.get_group_data(group)
    yield inventory.get_host_data(host.name)
    yield inventory.get_override_data()


def _unexpected(error: Exception) -> ProvmodeError:
    """Translate an unexpected error: a defect of provmode, or a command that cannot be sent."""
    logger.debug("unexpected error", exc_info=error)
    if isinstance(error, ValueError):
        return ProvmodeError(f"this cannot be sent: {error}", next_step="change the command")
    return ProvmodeError(
        f"provmode's own error ({type(error).__name__}: {error})", next_step="run with --debug and report it"
    )


def _document(value: Any) -> OutputLine:
    from provmode.reading import plain

    return OutputLine("stdout", json_text(plain(value)))


def _answer_lines(answer: Any) -> list[OutputLine]:
    """Return one JSON document per line: one for an object, or one for each item of a list."""
    return [_document(item) for item in (answer if isinstance(answer, list) else [answer])]
