"""Conversations: generators that ask a PC. Pure.

A conversation yields operations, receives their answers, and returns its result. It holds no socket, no clock and no
random number, so a test needs no PC for it.

* If the PC answers with a fault, the driver throws it into the conversation (`RemoteFault`, `AccessDenied`,
  `QuotaExceeded`). The conversation may treat the fault as an answer.
* If an answer is lost, the driver throws `AnswerLost`. The conversation may then read back what happened.
* Every other error ends the conversation: the network, the account, the deadline.
* A conversation that has to wait yields a `Pause`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar, Union

from provmode.errors import AccessDenied, RemoteFault
from provmode.reading import Absent, Reading, Unknown
from provmode.wsman import Enumerate, Get, Invoke, Operation, UnexpectedAnswer

T = TypeVar("T")


@dataclass(frozen=True)
class Pause:
    """Wait some seconds before the next operation. Nothing is sent; the host deadline moves by the same time."""

    seconds: float


Conversation = Generator[Union[Operation, Pause], Any, T]


def ask(operation: Operation, read: Callable[[Any], Reading[T]], what: str) -> Conversation[Reading[T]]:
    """Ask one operation. "Not found" becomes `Absent`; any other fault, or an unexpected answer, becomes `Unknown`.

    Every Windows has the classes in ``root\\cimv2`` that are asked here. A PC that does not find one has a damaged WMI,
    and says nothing about services, processes or the registry: `Unknown`.
    """
    try:
        return read((yield operation))
    except RemoteFault as fault:
        return Absent() if fault.kind == "not-found" and not _of_windows(operation) else could_not_tell(fault)
    except AccessDenied as denied:
        return could_not_tell(denied)
    except (UnexpectedAnswer, ValueError, OverflowError) as error:
        return Unknown("malformed", f"{what}: {error}")


def _of_windows(operation: Operation) -> bool:
    return isinstance(operation, (Enumerate, Get, Invoke)) and operation.resource.namespace == "root/cimv2"


def could_not_tell(error: RemoteFault | AccessDenied) -> Unknown:
    """Return the `Unknown` for a fault, with the cause ``access-denied`` or the kind of the fault."""
    if isinstance(error, AccessDenied):
        return Unknown("access-denied", error.what)
    return Unknown(error.kind, error.what)
