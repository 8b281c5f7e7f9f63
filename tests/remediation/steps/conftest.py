"""A PC of the lab in this process: it answers what a conversation asks, and can lose answers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pytest

from provmode.errors import AnswerLost, ProvmodeError
from provmode.lab.packages.engine import Engine
from provmode.lab.windows import cmd
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC
from provmode.windows.conversation import Pause
from provmode.wsman import CommandLine, Completed, Enumerate, Instance, Invoke

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
UPLOADS = "C:\\Windows\\System32\\config\\systemprofile"


@dataclass
class WindowsPc:
    """A modelled PC with provisioning."""

    pc: PC = field(default_factory=lambda: PC("PC-1", Clock(START, lambda: 0.0)))
    asked: list[Any] = field(default_factory=list)
    announced: list[Any] = field(default_factory=list)
    lose: int | None = None
    """The request, counted from 0, that is carried out and whose answer is lost."""
    instead: Callable[[Any], Any] = lambda asked: None
    """Returns an answer or an error in place of the PC's, or ``None``."""

    def __post_init__(self) -> None:
        self.pc.packages = Engine()
        self.pc.start_recording()

    @property
    def engine(self) -> Engine:
        """Its provisioning."""
        assert isinstance(self.pc.packages, Engine)
        return self.pc.packages

    @property
    def uploads(self) -> list[str]:
        """The files that are left where they are put while they are needed."""
        return [name for name in self.pc.files.listdir(UPLOADS) or [] if "provmode" in name.lower()]

    @property
    def lines(self) -> list[str]:
        """The command lines that were sent since the last start."""
        return [each.line for each in self.asked if isinstance(each, CommandLine)]

    def carry_out(self, step: Any, **how: Any) -> Any:
        """Carry out a step; return how it ended, or the error."""
        self.asked, self.announced = [], []
        return self.converse(step.execute(self.announced.append, **how))

    def converse(self, talk: Generator[Any, Any, Any]) -> Any:
        """Hold a conversation; return its result, or the error."""
        answer: Any = None
        try:
            while True:
                asked = talk.throw(answer) if isinstance(answer, Exception) else talk.send(answer)
                answer = self._answer(asked)
        except StopIteration as stop:
            return stop.value
        except ProvmodeError as error:
            return error

    def _answer(self, asked: Any) -> Any:
        if isinstance(asked, Pause):
            return self.pc.advance(asked.seconds)
        number = len(self.asked)
        self.asked.append(asked)
        given = self.instead(asked)
        if given is not None:
            return given
        answer = self._done(asked)
        return AnswerLost("the connection broke") if number == self.lose else answer

    def _done(self, asked: Any) -> Any:
        self.pc.tick()
        if isinstance(asked, CommandLine):
            running = cmd.start(self.pc, asked.line, codepage=65001)
            running.feed(asked.stdin or b"", end=True)
            out, err = running.read()
            assert running.exit_code is not None
            return Completed(running.exit_code, out, err)
        if isinstance(asked, Invoke):
            out = self.pc.invoke(
                asked.resource.namespace, asked.resource.class_name, {}, asked.method, dict(asked.parameters)
            )
            return Instance(f"{asked.method}_OUTPUT", {name: _told(value) for name, value in out.items()})
        assert isinstance(asked, Enumerate)
        assert asked.wql is not None
        rows = self.pc.query(asked.resource.namespace, asked.wql)
        return [Instance("XmlFragment", {name: _told(value) for name, value in row.items()}) for row in rows]


def _told(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(map(str, value))
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return None if value is None else str(value)


@pytest.fixture
def windows() -> WindowsPc:
    """A PC with nothing on it but Windows."""
    return WindowsPc()
