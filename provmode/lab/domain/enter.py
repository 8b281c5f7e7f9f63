"""From outside: make the namespaces of a domain, pass signals on to what runs inside, and return its exit code.

Inside are only processes of the domain. They end with their first one, which ends with this process, however that ends;
and the domain's files are in memory, mounted inside alone. So nothing can stay.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any

from provmode.lab.domain.controller import Setup

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PATIENCE = 60.0
"""Seconds that everything inside has to end, once the command has ended or this process was told to stop twice."""


class DomainFailed(RuntimeError):
    """The domain could not be run; the message says why."""


@dataclass(frozen=True)
class Job:
    """What is to run inside."""

    setup: Setup
    """The domain."""
    user: str
    """Whose ticket is in the cache."""
    password: str
    command: Sequence[str]
    """What runs beside the domain, until whose end the domain is there."""
    shell: bool = False
    """Whether the command is a person's shell, who is greeted."""
    fleet: Mapping[str, Any] | None = None
    """Fields of `provmode.lab.server.run.LabOptions`, paths as text; ``None``: no PCs."""
    truth: str = ""
    """Where to write what an audit must find."""


class Running:
    """A domain with its command; use it as a context manager. Without `wait` its exit ends the command."""

    def __init__(
        self, way_in: Sequence[str], job: Job, *, stdin: int | IO[Any] | None = None, stdout: int | None = None
    ) -> None:
        """Start; *way_in* is from `provmode.lab.domain.requirements.find_way_in`."""
        ours, theirs = socket.socketpair()
        self._line = ours
        try:
            terminal = _terminal() if stdin is None else None
            self.process = subprocess.Popen(
                [*way_in, sys.executable, "-m", "provmode.lab.domain.inside", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=stdin,
                stdout=stdout,
                text=True,
                preexec_fn=os.setpgrp,  # noqa: PLW1509 - no thread runs here; Ctrl-C is for the command, not for Samba
            )
        finally:
            theirs.close()
        self._terminal = terminal
        inner = None if os.geteuid() == 0 else [os.geteuid(), os.getegid()]
        self._send({**asdict(job), "terminal": terminal is not None, "map_to": inner})

    @property
    def first_process(self) -> int:
        """The process id, out here, of the first process inside."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def pass_on(self, number: int) -> None:
        """Send a signal to the command."""
        self._send({"signal": number})

    def _send(self, document: Mapping[str, Any]) -> None:
        try:
            self._line.sendall(json.dumps(document).encode() + b"\n")
        except OSError:
            pass  # it has ended, and `wait` says how

    def wait(self) -> int:
        """Wait for the command and the end of the domain; return the exit code, 128 and more after a signal.

        Raises:
            DomainFailed: the domain could not be run.
        """
        code = self.process.wait()
        said = b"".join(iter(lambda: self._line.recv(65536), b""))
        ended = json.loads(said) if said else {}
        if "error" in ended:
            raise DomainFailed(ended["error"])
        if "exit" not in ended:
            raise DomainFailed(f"the domain ended early, with {f'signal {-code}' if code < 0 else f'exit code {code}'}")
        return int(ended["exit"])

    def kill(self) -> None:
        """End everything inside at once."""
        self.process.kill()

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._line.shutdown(socket.SHUT_WR)  # the sign to stop, if the command still runs
        except OSError:
            pass  # it has ended
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._line.close()
        if self._terminal is not None:
            _take_back(self._terminal)


def run(way_in: Sequence[str], job: Job) -> int:
    """Run a domain and its command; return the command's exit code.

    Signals are passed on to the command; the second one ends everything at once.

    Raises:
        DomainFailed: the domain could not be run.
    """
    with Running(way_in, job) as running:
        got: list[int] = []

        def heed(number: int, frame: FrameType | None) -> None:
            got.append(number)
            if len(got) == 1:
                running.pass_on(number)
            else:
                running.kill()

        before = {number: signal.signal(number, heed) for number in SIGNALS}
        try:
            return running.wait()
        except DomainFailed:
            if got:
                return 128 + got[0]
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _terminal() -> int | None:
    """Return the terminal that this process reads from, if it is in the foreground there."""
    try:
        return 0 if os.tcgetpgrp(0) == os.getpgrp() else None
    except OSError:
        return None


def _take_back(terminal: int) -> None:
    """Put this process into the foreground of *terminal* again; the command was."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.tcsetpgrp(terminal, os.getpgrp())
    except OSError:
        pass  # the terminal is gone
    finally:
        signal.signal(signal.SIGTTOU, before)
