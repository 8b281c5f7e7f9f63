"""A verified journal as text: how much is in it, and what a crash left open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from provmode.fleet.journal_events import JournalState
from provmode.fleet.verify import Verification
from provmode.text import visible


def signed_by(state: JournalState) -> str:
    """Return who signed a journal that was checked, in words."""
    names = ["the plan's key" if not name else f"the key {name}" for name in state.signed_by]
    return f"signed with {' and '.join(names)}"


def verification_lines(verification: Verification, journal: Path) -> Iterator[str]:
    """Yield the lines of a report on a journal."""
    state = verification.state
    signed = signed_by(state) if state.signed else "not signed"
    yield f"{visible(str(journal))}: {state.lines} lines, each follows the one before it"
    yield (
        f"plan {visible(state.plan_id)}; {signed}; hosts: {len(state.hosts)}, changes: {verification.changed}, "
        f"undone: {verification.undone}"
    )
    if state.torn:
        yield "the last line was torn by a crash; what it announced had not begun"
    if not state.closed:
        what, how = ("undo", "undo again") if state.undoing else ("run", "resume it with apply --resume")
        yield f"the {what} did not finish, or its last lines were cut off: {how}"
    for step in verification.open_steps:
        yield f"open: {visible(step)}: it may have happened"
    for lease in verification.open_leases:
        yield f"open: {visible(lease)}: it may still be on the PC"
