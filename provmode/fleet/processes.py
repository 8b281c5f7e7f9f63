"""A run over several processes of this computer: each worker process looks at a share of the hosts.

One process has one core to give. The run's process loads the inventory, keeps the fuses of the passwords and the
Kerberos tickets, and takes what the workers report: one report, one fuse, one logon at the KDC. What a worker needs
goes through its pipe: an argument could be read by every user of this computer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import gevent
import gevent.subprocess

from provmode.ccm.policy import Policy
from provmode.ccm.verdict import unassessed
from provmode.connector.host_data import KEYS
from provmode.errors import UsageError
from provmode.fleet.inventory import Fleet
from provmode.fleet.looking import Here, HostReport, Looked, Question
from provmode.fleet.messages import STOP, Answer, Ask, Ended, Task
from provmode.fleet.pipe import Pipe
from provmode.fleet.visit import DIALLING, WORKING, GeventRunner, Runner, short
from provmode.process import debugging
from provmode.transport import logons
from provmode.transport.logons import Account, LogonNotTried

WORTH_IT = 500
"""Hosts below which starting another process costs more than it saves."""
MOST = 4
"""Processes of a run if nobody says how many, of a computer with that many cores."""
PATIENCE = 60.0
"""Seconds for a worker to end after it was told to: it closes what it opened on the PCs in progress."""
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from gevent import monkey; monkey.patch_all(); "
    "from provmode.fleet.worker import main; main()"
)
"""The program of a worker. It imports from where this process does, and from nowhere else."""


def processes_for(hosts: int, wanted: int | None, cores: int) -> int:
    """Return how many processes look at so many *hosts*; *wanted* is what the user said, if anything."""
    if wanted is not None:
        return max(1, min(wanted, hosts))
    return 1 if hosts < WORTH_IT else max(1, min(cores, MOST))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Processes:
    """Looks at hosts in *wanted* processes; ``None``: as many as are worth it. *working* counts over all of them.

    *runner* visits them if that is this process alone.
    """

    wanted: int | None = None
    working: int = WORKING
    runner: Runner | None = None
    in_progress = 0
    """Hosts that a run would wait for if it was interrupted: none, they are dropped."""

    def look(
        self,
        fleet: Fleet,
        policies: Mapping[str, Policy],
        question: Question,
        gather: Callable[[Looked], None],
        *,
        now: Callable[[], datetime],
        stop: Callable[[], bool],
    ) -> None:
        """Ask every host; see `provmode.fleet.looking.Looker`. Workers have the controller's clock, not *now*.

        A host whose worker process ended early is reported as not assessed.
        """
        count = processes_for(len(policies), self.wanted, cores())
        if count == 1:
            here = Here(self.runner or GeventRunner(working=self.working))
            here.look(fleet, policies, question, gather, now=now, stop=stop)
            return
        names, working, dialling = list(policies), -(-self.working // count), DIALLING // count
        workers: list[_Worker] = []
        try:
            for number in range(count):
                share = {name: policies[name] for name in names[number::count]}
                data = {name: _keys_of(fleet, name) for name in share}
                workers.append(_Worker(Task(data, share, question, working, dialling, debugging()), gather))
            greenlets = [worker.greenlet for worker in workers]
            while not stop() and len(gevent.joinall(greenlets, timeout=0.2)) < count:
                if any(worker.wrong for worker in workers):
                    break
        finally:
            for worker in workers:
                worker.stop()
            gevent.joinall([worker.greenlet for worker in workers], timeout=PATIENCE)
            for worker in workers:
                worker.end()
        wrong = next((worker.wrong for worker in workers if worker.wrong is not None), None)
        if wrong is not None:
            raise UsageError(wrong[0], next_step=wrong[1])
        if not stop():
            for worker in workers:
                worker.report_lost(gather)


def _keys_of(fleet: Fleet, name: str) -> dict[str, Any]:
    """Return the part of a host's data that the connector reads: the rest can be any Python object."""
    return {key: value for key, value in fleet.data_of(name).items() if key in KEYS}


class _Worker:
    """A worker process, as the run's process sees it."""

    def __init__(self, task: Task, gather: Callable[[Looked], None]) -> None:
        self._task, self._gather = task, gather
        self._missing = dict.fromkeys(task.data)
        self._entered: Counter[tuple[str, str]] = Counter()
        self._gone = False
        self.wrong: tuple[str, str] | None = None
        """What is wrong with the data of a host, and what to do about it."""
        to_worker, from_run = os.pipe()
        from_worker, to_run = os.pipe()
        self._process = gevent.subprocess.Popen(
            [sys.executable, "-I", "-c", _START, json.dumps(sys.path)],
            stdin=to_worker,
            stdout=to_run,
            start_new_session=True,  # Ctrl-C and SIGHUP are for the run's process to decide
        )
        os.close(to_worker)
        os.close(to_run)
        self._pipe = Pipe(from_worker, from_run)
        self.greenlet = gevent.spawn(self._talk)

    def _talk(self) -> None:
        try:
            self._pipe.send(self._task)
            while not isinstance(message := self._pipe.receive(), Ended):
                self._take(message)
            self.wrong = message.wrong
        except (EOFError, OSError):
            pass  # it is gone: `report_lost` says so for its hosts
        finally:
            self._gone = True
            for who, logons_in_flight in self._entered.items():
                for _ in range(logons_in_flight):
                    _account(who).leave()

    def _take(self, message: Looked | Ask) -> None:
        if isinstance(message, Looked):
            self._missing.pop(message.name, None)
            self._gather(message)
        elif message.number:
            gevent.spawn(self._answer, message)
        else:
            self._note(message)

    def _answer(self, ask: Ask) -> None:
        """Answer what a worker asks and waits for; in a greenlet of its own, because it can take long."""
        answer = _ticket(ask) if ask.what == "ticket" else self._may_log_on(ask)
        try:
            self._pipe.send(answer)
        except OSError:
            pass  # it is gone: `_talk` notices

    def _may_log_on(self, ask: Ask) -> Answer:
        who = (ask.arguments[0], ask.arguments[1])
        account = _account(who)
        try:
            if ask.what == "check":
                account.check()
            else:
                account.enter()
                if self._gone:
                    account.leave()
                else:
                    self._entered[who] += 1
        except LogonNotTried as error:
            return Answer(ask.number, refused=(error.what, error.next_step))
        return Answer(ask.number)

    def _note(self, tell: Ask) -> None:
        """Take note of what a worker tells."""
        if tell.what == "not-delegated":
            from provmode.transport import tickets

            tickets.PROCESS.not_delegated(*tell.arguments)
            return
        user, password, *refused_by = tell.arguments
        account = _account((user, password))
        if tell.what == "accepted":
            account.accepted()
        elif tell.what == "refused":
            account.refused(*refused_by)
        else:
            self._entered[user, password] -= 1
            account.leave()

    def stop(self) -> None:
        """Tell it to drop what is in progress, and to end."""
        if not self._gone:
            gevent.spawn(self._say_stop)

    def _say_stop(self) -> None:
        try:
            self._pipe.send(STOP)
        except OSError:
            pass  # it is gone already

    def end(self) -> None:
        """Wait until it has ended, for a while."""
        self._pipe.close()
        try:
            self._process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.greenlet.kill()

    def report_lost(self, gather: Callable[[Looked], None]) -> None:
        """Report the hosts of which it did not tell anything."""
        code = int(self._process.wait())
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        for name in self._missing:
            lost = unassessed(
                "protocol",
                f"a worker process of provmode {how} before it had looked at this PC",
                "look for a lack of memory in this computer's log, then run again, with --processes 1 if it recurs",
            )
            gather(Looked(name, HostReport(short(name), lost)))


def _account(who: tuple[str, str]) -> Account:
    return logons.PROCESS.account(*who)


def _ticket(ask: Ask) -> Answer:
    from provmode.transport import tickets

    try:
        return Answer(ask.number, tickets.PROCESS.packed(*ask.arguments))
    except tickets.KerberosFailed as failed:
        return Answer(ask.number, refused=(failed.code, failed.text))
