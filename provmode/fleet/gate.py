"""The gate: a command of the user's that says, before the start and before each wave, whether the run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provmode.connector.host_data import PASSWORD_ENVIRONMENT
from provmode.errors import UsageError
from provmode.fleet.configuration_file import CREDENTIALS
from provmode.fleet.guards import Guard, Stop
from provmode.fleet.plan_file import KEY_ENVIRONMENT
from provmode.fleet.visit import short
from provmode.text import json_text, one_line, shortened

LIMIT = 30.0
"""Seconds that the command may take."""
FORMAT, VERSION = "provmode-gate", 1
_LAST = 4096
"""Bytes at the end of its output in which the reason is looked for."""


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the *environment* for a command of somebody else: without the password, the plan key, and systemd's."""
    secrets = (PASSWORD_ENVIRONMENT, KEY_ENVIRONMENT, CREDENTIALS)
    return {name: value for name, value in environment.items() if name not in secrets}


@dataclass(frozen=True)
class Answer:
    """What the command said."""

    goes: bool
    reason: str = ""
    """The last line of its output, or why there is none."""


def ask(command: Sequence[str], facts: Mapping[str, Any], *, limit: float = LIMIT) -> Answer:
    """Run *command* with *facts* as JSON on its standard input. No shell reads it, and it gets no secret of ours.

    Raises:
        UsageError: it cannot be started.
    """
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
        told.write(json_text(facts).encode())
        told.seek(0)
        try:
            process = subprocess.Popen(
                list(command),
                stdin=told,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=without_secrets(os.environ),
                start_new_session=True,  # so that what it started ends with it, and Ctrl-C reaches the run alone
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"the gate {command[0]} cannot be run: {why}", next_step="look at --gate") from None
        try:
            code = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return Answer(False, f"it took longer than {limit:.0f} s")
        said.seek(max(0, said.seek(0, os.SEEK_END) - _LAST))
        lines = [line for line in said.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return Answer(code == 0, shortened(one_line(lines[-1])) if lines else f"it ended with exit code {code}")


class GateGuard(Guard):
    """Asks a command before the start and before each wave. *facts* are what it is told of the run."""

    def __init__(
        self,
        command: Sequence[str],
        facts: Callable[[], Mapping[str, Any]],
        asking: Callable[[Sequence[str], Mapping[str, Any]], Answer] = ask,
    ) -> None:
        self._command, self._facts, self._asking = command, facts, asking

    def before_start(self, hosts: Sequence[str]) -> Stop | None:
        """Ask whether the run may begin.

        Raises:
            UsageError: the command cannot be started.
        """
        return self._asked("start", hosts)

    def before_wave(self, hosts: Sequence[str]) -> Stop | None:
        """Ask whether a wave may begin; a command that cannot be started any more is a no."""
        try:
            return self._asked("wave", hosts)
        except UsageError as error:
            return Stop("gate", error.what, "look at --gate, then --resume")

    def _asked(self, before: str, hosts: Sequence[str]) -> Stop | None:
        facts = {"format": FORMAT, "version": VERSION, "before": before, **self._facts(), "hosts": [*map(short, hosts)]}
        answer = self._asking(self._command, facts)
        if answer.goes:
            return None
        step = "look at what it says; start again" if before == "start" else "look at what it says, then --resume"
        return Stop("gate", f"the gate {self._command[0]} says stop: {answer.reason}", step)
