"""Carrying out a step: what is there is checked, changed, and read back. A pure conversation.

It ends in one of three ways: ``CHANGED`` (done and read back), ``ALREADY`` (it was so before; nothing was sent that
changes a PC), or an error. A lost answer is not an ending: what is there is read back.
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
        StaleStep: the PC has something else than the step expects; nothing was changed.
        NotProved: the change was sent, and reading back does not show it.
        RemoteFault, AccessDenied: the PC refused it.
        HostError: any other; what was sent may have happened.
    """
    return step.execute(announce, data=data, look=look)
