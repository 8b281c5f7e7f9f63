"""One conversation with one PC: typed operations in, typed answers out.

The session drives the sans-IO exchanges of `provmode.wsman` over one `Connection` at a time, and decides what it
sends again:

* A message that certainly was not sent (the connection was closed before): sent over a new connection. What it is
  about does not hang on the connection: enumerations and shells belong to the account.
* A read that lost its answer: asked again, from its first message. So is one whose shell ended under it.
* A change that lost its answer *may have happened*: the session never repeats it. The caller gets `AnswerLost` and
  reads back.
* A PC that has no room (quota), is busy, or restarts a service: asked again within the host's deadline, with growing
  pauses and jitter. A change only if the fault says that nothing was done (`Fault.refused`), or if it came before the
  message that makes the change; else the change *may have happened*, as above.
* A refused account: never tried again, because accounts lock. A password that other PCs refused is not tried at all
  (`provmode.transport.logons`). If the password is kept where it is changed by itself (LAPS), it is read anew, and a
  newer one is tried once.
* A PC that accepts the logon and then denies it, or breaks off in the middle of it: one further logon, not more.

Its command lines share one shell on the PC, which the first one opens and `close` deletes. A shell of which that cannot
be said ends by its idle time-out: if the connection is gone in the middle of a change, the change goes on there.

It also sees to it that the PC that answers is the PC that was meant, if the target says which: at every `connect`, and
on every new connection if authentication tells the name, as NTLM does.

One write gate: a read-only session refuses every operation that changes a PC, before it sends a byte.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, TypeVar, cast, overload

import gevent

from provmode.ccm.verdict import NEXT_STEP, OTHER_COMPUTER
from provmode.errors import (
    AccessDenied,
    AnswerLost,
    AuthenticationFailed,
    Cause,
    CertificateUntrusted,
    DeadlineExceeded,
    HostError,
    OtherComputer,
    ProtocolError,
    QuotaExceeded,
    ReadOnlyRefused,
    RemoteFault,
)
from provmode.reading import Known
from provmode.transport.base import Connect, Connection, ConnectionLost, LogonForgotten, LogonNotSent, NotRenewed
from provmode.transport.logons import LogonNotTried, Logons
from provmode.transport.refusals import denied
from provmode.transport.stack import connection
from provmode.transport.target import Counters, Target
from provmode.transport.write_gate import changes
from provmode.windows.conversation import Pause
from provmode.windows.names import ComputerName
from provmode.windows.system import clock_and_name
from provmode.wsman import (
    CommandLine,
    Completed,
    Enumerate,
    Fault,
    FaultKind,
    Get,
    Identify,
    Instance,
    Invoke,
    MalformedAnswer,
    OpenShell,
    Operation,
    Put,
    Request,
    Resource,
    Response,
    UnexpectedAnswer,
    decode,
    delete_shell,
    encode,
    exchange_for,
)
from provmode.wsman.exchange import Identity
from provmode.wsman.notation import describe

logger = logging.getLogger(__name__)
T = TypeVar("T")

LOGONS_IN_VAIN = 2
"""Logons in a row that a PC may accept, or leave unanswered, without answering a message; then none is tried again."""
ATTEMPTS = 4
"""Maximum attempts for one operation; the pauses between them are 0.5, 1 and 2 s, give or take a half."""
FIRST_PAUSE = 0.5
OPERATION_TIMEOUT_MARGIN = 5.0
"""Seconds before the read deadline at which the PC is asked to give up, so that it can still answer."""
MAX_RECEIVED = 64 * 1024 * 1024
"""Bytes of all answers to one operation, repetitions included. More would fill the memory from one PC."""
MAX_RECEIVED_OF_COMMAND = 96 * 1024 * 1024
"""The same for a command line: its output comes as base64, a third longer."""
LARGE = 64 * 1024
"""Bytes of an answer before which other PCs, and Ctrl-C, get their turn: reading it takes time without a pause."""
END_OF_SHELLS = 3.0
"""Seconds that deleting the shells may take at most; a PC that does not answer deletes them by their idle time-out."""
_TRANSIENT = frozenset({FaultKind.QUOTA, FaultKind.UNAVAILABLE})
"""Faults of a PC that may work in a moment: ask again."""
_STALE = frozenset({FaultKind.STALE_CONTEXT})
"""Faults after which a read starts again from its first message."""
_DELETE_SHELL = "ShellDelete"
_CLEAN_UP_MESSAGES = frozenset({_DELETE_SHELL, "Signal", "Release"})
"""Clean-up messages. The PC times these resources out anyway, so ignore failures."""
_COMMAND = "Command"
_CHANGE_MESSAGES = frozenset({"Invoke", "Put", _COMMAND})
"""Messages that make a change; once the PC accepts one, the change has begun."""
_SHELL_MESSAGES = frozenset({_COMMAND, "Send", "Receive"})
_STRANGE = (ProtocolError, AuthenticationFailed, CertificateUntrusted, OtherComputer)
"""Errors after which a PC is sent no further message, not even to clean up."""


class CommandTimedOut(DeadlineExceeded):
    """A command line reached its time-out and was terminated on the PC; its changes until then remain."""


class Session:
    """A conversation with one PC. Not for two greenlets at once: a connection has one message in flight.

    *logons* has the fuse of each password; without it this session shares its fuse with no other.

    *connect* makes its connections, *seconds* is a monotonic clock, *message_id* makes unique ids, *pause* waits,
    *jitter* returns 0..1. They are passed in so that tests depend on neither time nor chance.
    """

    def __init__(
        self,
        target: Target,
        *,
        read_only: bool,
        connect: Connect = connection,
        logons: Logons | None = None,
        seconds: Callable[[], float] = time.monotonic,
        message_id: Callable[[], str] = lambda: f"uuid:{str(uuid.uuid4()).upper()}",
        pause: Callable[[float], Any] = gevent.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.target = target
        self.read_only = read_only
        self.counters = Counters()
        self.computer: ComputerName | None = None
        """What the PC calls itself; ``None`` until it said so."""
        self._connect = connect
        self._seconds = seconds
        self._message_id = message_id
        self._pause = pause
        self._jitter = jitter
        self._connection: Connection | None = None
        self._logons = logons or Logons()
        self._logon = self._logons.of(target)
        self._logged_on = self._renewed = False
        self._in_vain = 0
        self._ends: float | None = None
        self._command_ends: float | None = None
        self._change_sent = self._change_accepted = False
        self._received, self._may_receive = 0, MAX_RECEIVED
        self._shell = OpenShell()
        self._left: list[Resource] = []
        """Further shells to delete."""
        self._at_work = False
        """Whether an operation is being performed."""
        self._shell_died = False
        """Whether the shell was gone in the middle of a command line."""

    # -- the connection ---------------------------------------------------------------------------------------

    def dial(self) -> None:
        """Open the TCP connection and send nothing; see `Connection.dial`."""
        self._dialled().dial()

    def admit(self) -> None:
        """Wait until the password may be tried on this PC. The wait does not count against the host's deadline.

        `connect` does this itself; this is for callers who wait before they take a turn.

        Raises:
            LogonNotTried: other PCs refused it.
        """
        began = self._seconds()
        self._logon.enter()
        if self._ends is not None:
            self._ends += self._seconds() - began

    def connect(self) -> None:
        """Dial and authenticate; if authentication itself sends no password or certificate, send Identify.

        If a certain PC is meant and authentication did not say which one answers, ask for its name.

        Raises:
            OtherComputer: another PC than the one that is meant answers.
            HostError: any kind; nothing was changed on the PC.
        """
        self.begin()
        place, account = self.target.endpoint, self.target.credentials
        where = f"{place.scheme}://{place.address}:{place.port}"
        logger.debug("%s: connecting to %s by %s as %s", place.name, where, account.authentication, account.user)
        connection = self._log_on()
        if not self._proved_by_handshake:
            self.send(Identify())
        if self.target.endpoint.computer and connection.computer is None:
            self._ask_name()

    def name(self) -> ComputerName | None:
        """Return what the PC calls itself; ask it if it did not say so yet. ``None``: it could not be told.

        Raises:
            OtherComputer: another PC than the one that is meant answers.
            HostError: as `send`.
        """
        if self.computer is None:
            self._ask_name()
        return self.computer

    def _ask_name(self) -> None:
        _, name = self.converse(clock_and_name())
        self._meet(ComputerName(netbios=name.value) if isinstance(name, Known) else None)

    def _meet(self, computer: ComputerName | None) -> None:
        """Take note of what the PC that answers calls itself.

        Raises:
            OtherComputer: it is not the PC that is meant, or not the PC that answered before.
        """
        if computer is None:
            return
        endpoint, before = self.target.endpoint, self.computer
        if endpoint.computer and not computer.is_called(endpoint.computer):
            self._hang_up()
            meant = "" if endpoint.computer == endpoint.name else f"; {endpoint.computer} is meant"
            raise OtherComputer(
                f"{endpoint.name} leads to another PC, which calls itself {computer}{meant}",
                next_step=NEXT_STEP[OTHER_COMPUTER],
            )
        if before is not None and not computer.is_one_with(before):
            self._hang_up()
            raise OtherComputer(
                f"{endpoint.name} led to {before} and leads to {computer} now", next_step=NEXT_STEP[OTHER_COMPUTER]
            )
        self.computer = before or computer

    def begin(self) -> None:
        """Restart the host's deadline: the next conversation with this PC begins now."""
        self._ends = self._seconds() + self.target.deadlines.host

    def close(self) -> None:
        """Delete the shells, and close the connection. Never raise; a second call does nothing, a later operation dials
        again.
        """
        try:
            self.end_shells()
        finally:
            self._hang_up()

    def end_shells(self) -> None:
        """Delete the shells that this conversation opened; a later command line opens another. Never raise.

        If the connection is gone, over a new one. Not while another greenlet waits for an answer: they would mix.
        """
        if self._at_work:
            return
        left = [*self._left, *([self._shell.address] if self._shell.address is not None else [])]
        self._forget_shells()
        if not left:
            return
        ends, self._ends, self._command_ends = self._ends, self._seconds() + END_OF_SHELLS, None
        try:
            with gevent.Timeout(END_OF_SHELLS, False):
                for shell in left:
                    self._delete(shell)
        except HostError as error:
            logger.debug("%s: its shell ends by its idle time-out: %s", self.target.endpoint.name, error.what)
        finally:
            self._ends = ends

    def _delete(self, shell: Resource) -> None:
        self._received = 0
        try:
            self._continue(delete_shell(shell))
        except Fault:
            pass  # it is gone already, or the PC drops it (MS-WSMV 3.1.4.1.31.5)
        except (MalformedAnswer, UnexpectedAnswer) as error:
            self._drop()
            raise ProtocolError(str(error)) from None

    def _forget_shells(self) -> None:
        self._shell, self._left = OpenShell(), []

    def _hang_up(self) -> None:
        """Close the connection, and give up the place of a logon that has not ended."""
        self._drop()
        self._logon.leave()

    def _drop(self) -> None:
        """Close the connection, and keep the place of a logon that has not ended."""
        self._logged_on = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _proved_by_handshake(self) -> bool:
        """Whether authenticating shows that the account is accepted; with the other schemes the first message does."""
        return self.target.credentials.authentication in ("ntlm", "kerberos", "credssp")

    def _log_on(self) -> Connection:
        """Return the connection, dialled and authenticated.

        Raises:
            HostError: any kind; no message was sent.
        """
        connection = self._dialled()
        if self._logged_on:
            return connection
        try:
            connection.dial()  # first, so that a silent PC takes no place
            self.admit()
            connection.authenticate()
            self._meet(connection.computer)
        except ConnectionLost as lost:
            self._drop()
            if not lost.sent:
                raise
            broken = ConnectionLost(lost.what, sent=False)  # it contained no operation
            broken.passes = False  # it may be this PC's way to refuse the account
            raise self._tried_in_vain(broken) from None
        except HostError as error:
            self._refused(error)
            self._drop()
            if self._renew(error):
                return self._log_on()
            raise
        self._logged_on = True
        if self._proved_by_handshake:
            self._logon.accepted()
        return connection

    def _refused(self, error: HostError) -> None:
        """Count *error* for the fuse if the PC refused the password."""
        if _refuses(error):
            self._logon.refused()

    def _renew(self, error: HostError) -> bool:
        """Read a password anew that the PC refused, from where it is kept; return whether to log on with another one.

        Raises:
            AuthenticationFailed: the refusal stands, and why there is no newer password.
        """
        credentials = self.target.credentials
        if credentials.renew is None or not _refuses(error):
            return False
        began = self._seconds()
        try:
            if self._renewed:
                raise NotRenewed("so is the password that was read anew")
            self._renewed = True
            user, password = credentials.renew()
        except NotRenewed as why:
            raise AuthenticationFailed(f"{error.what}; {why}", next_step=error.next_step) from None
        finally:
            if self._ends is not None:  # it is not this PC that was waited for
                self._ends += self._seconds() - began
        logger.debug("%s: the password was read anew and is another one", self.target.endpoint.name)
        self.target = replace(self.target, credentials=replace(credentials, user=user, password=password))
        self._logon = self._logons.of(self.target)
        return True

    def _tried_in_vain(self, lost: ConnectionLost) -> HostError:
        """Count a logon after which no message was answered; return *lost*, or an error that is not tried again."""
        self._in_vain += 1
        if self._in_vain < LOGONS_IN_VAIN:
            return lost
        may_have_happened = lost.sent and self._change_sent
        kind = AuthenticationFailed if isinstance(lost, LogonForgotten) and not may_have_happened else ProtocolError
        return kind(
            f"{lost.what}, after {self._in_vain} logons in a row",
            next_step="look at the PC's WinRM service; not tried again, accounts lock",
        )

    def _dialled(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect(self.target, counters=self.counters, seconds=self._seconds)
        return self._connection

    # -- operations -------------------------------------------------------------------------------------------

    @overload
    def send(self, operation: Identify) -> Identity: ...
    @overload
    def send(self, operation: Get | Invoke | Put) -> Instance: ...
    @overload
    def send(self, operation: Enumerate) -> list[Instance]: ...
    @overload
    def send(self, operation: CommandLine) -> Completed: ...
    @overload
    def send(self, operation: Operation) -> Any: ...
    def send(self, operation: Operation) -> Any:
        """Perform *operation* and return its answer.

        Raises:
            ReadOnlyRefused: the operation changes the PC and this session is read-only; nothing was sent.
            AnswerLost: the operation changes the PC, was sent, and its answer was lost. It may have happened.
            RemoteFault: the PC answered with a fault (`AccessDenied` and `QuotaExceeded` for those two).
            HostError: the connection, the account, the deadline or the protocol failed.
            ValueError: the operation cannot be encoded (a text with control characters, a command line too long).
        """
        mutating = changes(operation, read_only_lines=self.target.read_only_lines)
        if mutating and self.read_only:
            raise ReadOnlyRefused(
                f"{self.target.endpoint.name}: {describe(operation)} changes the PC and this session only reads"
            )
        if self._ends is None:
            self.begin()
        timeout = operation.timeout if isinstance(operation, CommandLine) else None
        self._command_ends = self._seconds() + timeout if timeout is not None else None
        self._received = 0
        self._may_receive = MAX_RECEIVED_OF_COMMAND if isinstance(operation, CommandLine) else MAX_RECEIVED
        at_once = isinstance(operation, Invoke) and operation.at_once
        what, began, before = describe(operation), self._seconds(), self.counters.requests
        self._at_work = True
        try:
            return self._try(lambda: exchange_for(operation, self._shell), mutating, what, at_once=at_once)
        except _STRANGE:
            self._forget_shells()
            raise
        finally:
            self._at_work = False
            seconds, requests = self._seconds() - began, self.counters.requests - before
            logger.debug("%s: %s (requests: %d, seconds: %.3f)", self.target.endpoint.name, what, requests, seconds)

    def converse(self, conversation: Generator[Operation | Pause, Any, T]) -> T:
        """Drive *conversation*: perform the operations it yields, send it the answers, return its result.

        If the PC answers an operation with a fault (`RemoteFault`, `AccessDenied`, `QuotaExceeded`), the fault is
        thrown into the conversation, which may take it as an answer. If an answer was lost, `AnswerLost` is thrown
        into it, so that it can read back. Any other error ends the conversation. After a `Pause` the session waits.

        Raises:
            HostError: as `send`.
        """
        try:
            operation = next(conversation)
            while True:
                try:
                    answer = self._send_or_pause(operation)
                except (RemoteFault, AccessDenied, QuotaExceeded, AnswerLost) as error:
                    operation = conversation.throw(error)
                else:
                    operation = conversation.send(answer)
        except StopIteration as stop:
            return cast(T, stop.value)
        finally:
            conversation.close()

    def _send_or_pause(self, operation: Operation | Pause) -> Any:
        """Perform an operation, or wait for a `Pause` and extend the host's deadline by as much."""
        if not isinstance(operation, Pause):
            return self.send(operation)
        if self._ends is not None:
            self._ends += operation.seconds
        self._pause(operation.seconds)
        return None

    def _try(
        self, exchange: Callable[[], Generator[Request, Response, T]], mutating: bool, what: str, *, at_once: bool
    ) -> T:
        """Drive *exchange*; repeat it from its start if the rules in the module's docstring allow it.

        If the operation must be done *at once* and the PC refuses it for now, it is not repeated: the caller must look
        at the PC again first.
        """
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            self._change_sent = self._change_accepted = False
            try:
                return self._drive_in_shell(exchange(), mutating)
            except Fault as fault:
                error = self._fault(fault, mutating, what)
                transient = fault.kind in _TRANSIENT
                begun = self._change_accepted or (self._change_sent and transient and not fault.refused)
                if mutating and begun:  # a later message failed, or it failed halfway
                    raise self._lost(what, str(fault)) from None
                again = transient or ((fault.kind in _STALE or self._shell_died_by(fault)) and not mutating)
                if last or at_once or not again:
                    raise error from None
            except ConnectionLost as lost:
                if mutating and (lost.sent or self._change_accepted):
                    raise self._lost(what, lost.what) from None
                if last:
                    raise ProtocolError(
                        f"{lost.what} ({ATTEMPTS} attempts)",
                        next_step="look at the PC's WinRM service",
                        passes=lost.passes,
                    ) from None
                error = lost
            except DeadlineExceeded as slow:
                if mutating and self._change_sent and not isinstance(slow, CommandTimedOut):
                    raise self._lost(what, slow.what) from None
                raise
            except ProtocolError as broken:
                if mutating and self._change_sent:
                    raise self._lost(what, broken.what) from None
                raise
            except HostError as gone:  # the next connection could not be made
                if mutating and self._change_accepted:
                    raise self._lost(what, gone.what) from None
                raise
            self._wait(attempt, error)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _drive_in_shell(self, exchange: Generator[Request, Response, T], mutating: bool) -> T:
        """Drive *exchange*; a shell whose command was not seen to end is not used again.

        A change goes on in it. A question ends with it, when the shells are deleted.
        """
        self._shell_died = False
        try:
            return self._drive(exchange)
        finally:
            left = self._shell.taken_away()
            if left is not None and not mutating:
                self._left.append(left)

    def _drive(self, exchange: Generator[Request, Response, T]) -> T:
        """Send the requests that *exchange* yields and send it the answers; it may clean up after a fault."""
        try:
            first = request = next(exchange)
            while True:
                try:
                    response = self._exchange(request) if request is first else self._continue(request)
                    self._change_accepted |= request.shape in _CHANGE_MESSAGES
                except Fault as fault:
                    self._note_shell_gone(request, fault)
                    request = exchange.throw(fault)
                except HostError as error:
                    begins = isinstance(error, CommandTimedOut) and not self._change_sent
                    if request.shape in _CLEAN_UP_MESSAGES and not begins:  # the operation itself is done
                        if request.shape == _DELETE_SHELL and not isinstance(error, _STRANGE):
                            self._left += [request.resource] if request.resource is not None else []
                        request = exchange.throw(Fault(code=None, reason=error.what))
                    elif isinstance(error, DeadlineExceeded):
                        request = exchange.throw(error)
                    else:
                        raise
                except (MalformedAnswer, UnexpectedAnswer) as error:
                    if request.shape not in _CLEAN_UP_MESSAGES:
                        raise
                    self._drop()
                    request = exchange.throw(Fault(code=None, reason=str(error)))
                else:
                    request = exchange.send(response)
        except StopIteration as stop:
            return cast(T, stop.value)
        except (MalformedAnswer, UnexpectedAnswer) as error:
            self._drop()
            raise ProtocolError(
                f"{self.target.endpoint.name} answered with something that is not WS-Management: {error}",
                next_step="find out what answers on that port",
            ) from None
        finally:
            exchange.close()

    def _note_shell_gone(self, request: Request, fault: Fault) -> None:
        """Take note if *fault* says that the shell does not exist; then a command line was not begun in it."""
        if request.shape in _SHELL_MESSAGES and fault.shell_gone:
            self._shell_died = True
            if request.shape == _COMMAND:
                self._change_sent = False

    def _shell_died_by(self, fault: Fault) -> bool:
        return self._shell_died and fault.shell_gone

    def _continue(self, request: Request) -> Response:
        """Send the next message of an exchange; if the connection was closed before it, over a new connection."""
        attempts = 2 if request.shape in _CLEAN_UP_MESSAGES else ATTEMPTS
        for attempt in range(attempts):
            try:
                return self._exchange(request)
            except ConnectionLost as lost:
                if lost.sent:
                    raise
                if attempt == attempts - 1:
                    raise ProtocolError(
                        f"{lost.what} ({attempts} attempts)",
                        next_step="look at the PC's WinRM service",
                        passes=lost.passes,
                    ) from None
                self._wait(attempt, lost)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _exchange(self, request: Request) -> Response:
        self._check_deadlines(request.what)
        connection = self._log_on()
        message_id = self._message_id()
        data = encode(
            request,
            to=self.target.endpoint.url,
            message_id=message_id,
            operation_timeout=self._operation_timeout(),
        )
        sent_before, self._change_sent = self._change_sent, self._change_sent or request.shape in _CHANGE_MESSAGES
        try:
            status, answer = connection.exchange(data)
        except LogonForgotten as lost:
            self._drop()
            if not lost.sent:
                self._change_sent = sent_before
            raise self._tried_in_vain(lost) from None
        except HostError as error:
            self._refused(error)
            self._drop()
            if isinstance(error, ConnectionLost):
                error.passes = error.passes and self._proved_by_handshake  # else it may be a refusal
                if not error.sent:
                    self._change_sent = sent_before
            if self._renew(error):
                self._change_sent = sent_before  # who is not let in has changed nothing
                raise ConnectionLost(error.what, sent=False) from None
            raise
        self._in_vain = 0
        if not self._proved_by_handshake:
            self._logon.accepted()
        self._count(len(answer), request.what)
        response = decode(answer, message_id=message_id)
        if status not in (200, 500):
            raise UnexpectedAnswer(f"HTTP {status} with an answer that is not a fault")
        return response

    def _count(self, size: int, what: str) -> None:
        """Count an answer of *size* bytes, and let others have their turn before a large one is read."""
        self._received += size
        if self._received > self._may_receive:
            self._hang_up()
            raise ProtocolError(
                f"{self.target.endpoint.name} sent over {self._may_receive // 2**20} MiB in answer to {what}",
                next_step="find out what answers on that port",
            )
        if size > LARGE:
            self._pause(0.0)

    def _operation_timeout(self) -> float:
        """Return the seconds for OperationTimeout: the time left, but less than the read deadline."""
        ends = min(end for end in (self._ends, self._command_ends, float("inf")) if end is not None)
        read = self.target.deadlines.read
        return max(0.5, min(read - min(OPERATION_TIMEOUT_MARGIN, read / 2), ends - self._seconds()))

    def _check_deadlines(self, what: str) -> None:
        if self._command_ends is not None and self._seconds() >= self._command_ends:
            self._command_ends = None  # so that the messages that terminate the command on the PC are sent
            raise CommandTimedOut(
                f"{self.target.endpoint.name}: the command ran longer than its time-out; it was terminated on the PC",
                next_step="raise _timeout, or look at what it waits for",
            )
        if self._ends is not None and self._seconds() >= self._ends:
            self._drop()
            raise DeadlineExceeded(
                f"{self.target.endpoint.name} did not finish {what} within {self.target.deadlines.host:g} s "
                "(host deadline)",
                next_step="the PC is overloaded; try again, or raise winrm_host_deadline",
            )

    def _wait(self, attempt: int, error: HostError) -> None:
        """Pause before the next attempt; raise *error* if the host's deadline would pass."""
        seconds = FIRST_PAUSE * 2**attempt * (0.5 + self._jitter())
        if isinstance(error, ConnectionLost) and not error.sent and attempt == 0:
            seconds = 0.0  # the PC closed an idle connection: dial at once
        if self._ends is not None and self._seconds() + seconds >= self._ends:
            raise error
        self.counters.retries += 1
        self._pause(seconds)

    # -- faults -----------------------------------------------------------------------------------------------

    def _lost(self, what: str, how: str) -> AnswerLost:
        return AnswerLost(
            f"{self.target.endpoint.name}: {what} was sent and its answer was lost ({how}): it may have happened",
            next_step="read back before trying again",
        )

    def _fault(self, fault: Fault, mutating: bool, what: str) -> HostError:
        name = self.target.endpoint.name
        if fault.kind is FaultKind.TIMED_OUT:
            if mutating:
                return self._lost(what, "the PC's own OperationTimeout passed")
            return DeadlineExceeded(f"{name} did not finish {what} in the time given", next_step="try again later")
        if fault.kind is FaultKind.ACCESS_DENIED:
            return AccessDenied(
                f"{name} denies {self.target.credentials.user or 'this account'} {what} ({fault})",
                next_step=denied(self.target.credentials.user, str(self.computer or "")),
            )
        if fault.kind is FaultKind.QUOTA:
            return QuotaExceeded(
                f"{name} has no room for {what} ({fault})",
                next_step="wait for other sessions to end, or raise the quota (winrm get winrm/config)",
            )
        return RemoteFault(
            f"{name} answered {what} with a fault: {fault}",
            code=fault.code,
            kind=fault.kind.value,
            next_step=fault.next_step,
            cause=Cause.SHELLS_FORBIDDEN if fault.kind is FaultKind.SHELLS_FORBIDDEN else None,
        )


def _refuses(error: HostError) -> bool:
    """Return whether a PC refused a password that was tried."""
    return isinstance(error, AuthenticationFailed) and not isinstance(error, (LogonNotSent, LogonNotTried))
