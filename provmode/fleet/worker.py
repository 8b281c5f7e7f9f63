"""A worker process: looks at its share of a run's hosts, and tells the run's process what came of each.

Whether a password may be tried, and Kerberos' tickets, it asks the run's process: one fuse counts for all workers, and
an account logs on once. It ends with the run's process, however that ends. Its standard input and output are the pipes.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import AsyncResult, Event

from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.inventory import Fleet
from provmode.fleet.looking import Here
from provmode.fleet.messages import STOP, Answer, Ask, Ended, Task
from provmode.fleet.pipe import Pipe
from provmode.fleet.visit import GeventRunner
from provmode.process import collect_rarely, log_to_standard_error
from provmode.transport import logons, tickets
from provmode.transport.logons import LogonNotTried

logger = logging.getLogger(__name__)


class Parent:
    """The run's process, as a worker sees it."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._numbers = itertools.count(1)
        self._waiting: dict[int, AsyncResult] = {}
        self.stopped = Event()
        """Set if the run ends early, or its process is gone."""

    def listen(self) -> None:
        """Take answers until the run's process is gone or says stop."""
        try:
            while (message := self._pipe.receive()) != STOP:
                assert isinstance(message, Answer)
                self._waiting.pop(message.number).set(message)
        except EOFError:
            pass
        self.stopped.set()

    def ask(self, what: str, *arguments: Any) -> Answer:
        """Ask the run's process, and wait for the answer."""
        number = next(self._numbers)
        waiting = self._waiting[number] = AsyncResult()
        self._pipe.send(Ask(number, what, arguments))
        answer: Answer = waiting.get()
        return answer

    def tell(self, what: str, *arguments: Any) -> None:
        """Tell the run's process something to which there is no answer."""
        self._pipe.send(Ask(0, what, arguments))


class AccountElsewhere:
    """An account whose fuse the run's process keeps."""

    def __init__(self, parent: Parent, user: str, password: str) -> None:
        self._parent, self._who = parent, (user, password)

    def enter(self) -> None:
        """Wait until a logon may begin, and count it as in flight; see `logons.SharedAccount`."""
        self._asked("enter")

    def check(self) -> None:
        """Raise if the fuse has blown; see `logons.SharedAccount`."""
        self._asked("check")

    def leave(self) -> None:
        """Count a logon as no longer in flight."""
        self._parent.tell("leave", *self._who)

    def accepted(self) -> None:
        """A PC accepted the password."""
        self._parent.tell("accepted", *self._who)

    def refused(self, pc: str) -> None:
        """A PC refused the password."""
        self._parent.tell("refused", *self._who, pc)

    def _asked(self, what: str) -> None:
        answer = self._parent.ask(what, *self._who)
        if answer.refused:
            said, next_step = answer.refused
            raise LogonNotTried(said, next_step=next_step)


def work(pipe: Pipe) -> None:
    """Do the task that comes through *pipe*."""
    task: Task = pipe.receive()
    log_to_standard_error(debug=task.debug)
    parent = Parent(pipe)
    logons.PROCESS.keep_elsewhere(lambda user, password: AccountElsewhere(parent, user, password))
    not_delegated = _tickets_from(parent)
    listening = gevent.spawn(parent.listen)
    fleet = Fleet(([*task.data.items()], {}))  # type: ignore[no-untyped-call]
    runner = GeventRunner(task.working, task.dialling)
    ended = Ended()
    try:
        Here(runner).look(fleet, task.policies, task.question, pipe.send, now=utc_now, stop=parent.stopped.is_set)
    except UsageError as error:
        ended = Ended((error.what, error.next_step))
    for pc in not_delegated():
        parent.tell("not-delegated", pc)
    pipe.send(ended)
    listening.kill()


def _tickets_from(parent: Parent) -> Callable[[], list[str]]:
    """Take tickets from the run's process. Return what tells which PCs were not given theirs."""

    def get(source: tickets.Source, seconds: float) -> tickets.Packed | None:
        answer = parent.ask("ticket", source, seconds)
        if answer.refused:
            raise tickets.KerberosFailed(*answer.refused)
        packed: tickets.Packed | None = answer.value
        return packed

    tickets.PROCESS.get_elsewhere(get)
    return tickets.PROCESS.take_not_delegated


def _pipe_of_process() -> Pipe:
    """Return the pipe, and give the standard streams away: whatever a library prints must not get into it."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Pipe(incoming, outgoing)


def main() -> None:
    """Run the worker. The run's process starts it, and decides what a signal means."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a service manager sends it to every process of a service
    collect_rarely()
    pipe = _pipe_of_process()
    try:
        work(pipe)
    except (EOFError, BrokenPipeError):
        pass  # the run's process is gone, and nobody wants the answer
    except Exception:  # the run reports the hosts that are left as not assessed
        logger.debug("a worker process ended early", exc_info=True)
        raise SystemExit(1) from None
    finally:
        pipe.close()
