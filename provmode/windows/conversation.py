"""How a PC is asked: a conversation, which is a generator. Pure.

It yields operations and receives their answers. It holds no socket, no clock and no random number, so a test needs no
PC for it. What it returns is the result.

* A fault that the PC answers with is thrown into the conversation (`RemoteFault`, `AccessDenied`, `QuotaExceeded`): the
  conversation may take that as an answer. So is a lost answer (`AnswerLost`): the conversation may read back what
  happened.
* Every other error ends the conversation: the network, the account, the deadline.
* A conversation that has to wait yields a `Pause`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar, Union

from provmode.errors import AccessDenied, RemoteFault
from provmode.reading import Absent, Reading, Unknown
from provmode.wsman import Operation, UnexpectedAnswer

T = TypeVar("T")


@dataclass(frozen=True)
class Pause:
    """Let some seconds pass before the next operation. Nothing is sent; the host deadline moves by as much."""

    seconds: float


Conversation = Generator[Union[Operation, Pause], Any, T]


def ask(operation: Operation, read: Callable[[Any], Reading[T]], what: str) -> Conversation[Reading[T]]:
    """Ask one operation; a fault or an answer that makes no sense becomes `Unknown`, "not found" `Absent`."""
    try:
        return read((yield operation))
    except RemoteFault as fault:
        return Absent() if fault.kind == "not-found" else could_not_tell(fault)
    except AccessDenied as denied:
        return could_not_tell(denied)
    except (UnexpectedAnswer, ValueError) as error:
        return Unknown("malformed", f"{what}: {error}")


def could_not_tell(error: RemoteFault | AccessDenied) -> Unknown:
    """Return the `Unknown` for a fault: ``access-denied``, or the family of the fault."""
    if isinstance(error, AccessDenied):
        return Unknown("access-denied", error.what)
    return Unknown(error.kind, error.what)
