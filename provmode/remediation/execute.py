"""Carrying out a step: check the state, change it, read it back. A pure conversation.

It ends in one of three ways: ``CHANGED`` (done and read back), ``ALREADY`` (the state was as wanted; nothing was sent
that changes the PC), or an error. After a lost answer the state is read back.
"""

from __future__ import annotations

from provmode.remediation.steps.base import (
    ALREADY,
    CHANGED,
    PAUSES,
    Announce,
    Ending,
    Look,
    NotProved,
    OvertakenStep,
    StaleStep,
    Step,
    Work,
    no_look,
)

__all__ = [
    "ALREADY",
    "CHANGED",
    "PAUSES",
    "Announce",
    "Ending",
    "Look",
    "NotProved",
    "OvertakenStep",
    "StaleStep",
    "execute",
    "no_look",
]


def execute(
    step: Step, *, announce: Announce = lambda previous: None, data: bytes | None = None, look: Look = no_look
) -> Work:
    """Return the conversation that carries out *step*.

    *announce* is called right before a change is sent. *data* are the bytes that a `SetFile` writes. *look* is the last
    look before a `SetMode`.

    Raises:
        StaleStep: the state is not the one that the step expects; nothing was changed.
        NotProved: the change was sent, and reading back does not show it.
        RemoteFault, AccessDenied: the PC refused it.
        HostError: any other; the change might have happened.
    """
    return step.execute(announce, data=data, look=look)
