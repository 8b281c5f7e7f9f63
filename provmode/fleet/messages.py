"""What the process of a run and its worker processes say to each other.

The run's process sends one `Task`, an `Answer` to each `Ask`, and `STOP` if the run ends early. A worker sends a
`Looked` for each host, an `Ask` if only the run's process can tell, and at the end an `Ended`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provmode.ccm.policy import Policy
from provmode.fleet.looking import Question

STOP = "stop"
"""Drop what is in progress, and end."""


@dataclass(frozen=True)
class Task:
    """The hosts that a worker looks at, and how. It has passwords in it, so it is never printed."""

    data: Mapping[str, Mapping[str, Any]]
    """The data of each host, by its name in the inventory."""
    policies: Mapping[str, Policy]
    question: Question
    working: int
    dialling: int
    debug: bool

    def __repr__(self) -> str:
        """Return how many hosts it has."""
        return f"Task({len(self.data)} hosts)"


@dataclass(frozen=True)
class Ask:
    """A worker's question to the run's process. *number* 0 asks for no answer."""

    number: int
    what: str
    arguments: tuple[Any, ...]

    def __repr__(self) -> str:
        """Return what is asked, without the password that may be in it."""
        return f"Ask({self.number}, {self.what!r})"


@dataclass(frozen=True)
class Answer:
    """The answer to `Ask`."""

    number: int
    value: Any = None
    refused: tuple[Any, ...] = ()
    """What the error has to say, if there was one."""

    def __repr__(self) -> str:
        """Return which answer it is; there may be a ticket in it."""
        return f"Answer({self.number})"


@dataclass(frozen=True)
class Ended:
    """A worker has done its task."""

    wrong: tuple[str, str] | None = None
    """What is wrong with the data of a host and what to do about it; the run ends."""
