"""Conversations with scripted answers, and a record of what they asked."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import pytest

from provmode.connector.commands import text
from provmode.errors import ProvmodeError
from provmode.windows.conversation import Pause
from provmode.windows.scripts import DELETE_FILE, READ_BYTES, REMOVE_FILE, SWAP_BYTES
from provmode.wsman import CommandLine

SCRIPTS = {
    READ_BYTES: "READ_BYTES",
    SWAP_BYTES: "SWAP_BYTES",
    REMOVE_FILE: "REMOVE_FILE",
    DELETE_FILE: "DELETE_FILE",
}


@dataclass(frozen=True)
class Talk:
    """A conversation that has ended."""

    asked: list[str]
    """What was asked, in order: operations as the winrm tool writes them, scripts by name with their input, pauses."""
    end: Any
    """The result; or the error, as ``Class: message``."""


def _line(asked: Any) -> str:
    if isinstance(asked, Pause):
        return f"pause {asked.seconds:g}"
    if isinstance(asked, CommandLine) and asked.line in SCRIPTS:
        return f"{SCRIPTS[asked.line]} {asked.stdin.decode()}"
    return text(asked)


@pytest.fixture
def converse() -> Callable[..., Talk]:
    """Carry out a conversation with these answers; errors are thrown into it, and a pause takes no answer."""

    def run(conversation: Generator[Any, Any, Any], *answers: Any) -> Talk:
        asked: list[str] = []
        waiting, given = list(answers), None
        try:
            while True:
                question = conversation.throw(given) if isinstance(given, Exception) else conversation.send(given)
                asked.append(_line(question))
                given = None if isinstance(question, Pause) else waiting.pop(0)
        except StopIteration as stop:
            end = stop.value
        except ProvmodeError as error:
            end = f"{type(error).__name__}: {error}"
        assert waiting == [], f"{len(waiting)} answers were not asked for: {asked}"
        return Talk(asked, end)

    return run
