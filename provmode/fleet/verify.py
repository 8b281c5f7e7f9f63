"""Verifying a journal: that no line was changed, added or removed, and what a crash left open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provmode.fleet.journal import JournalDamaged, JournalState, read
from provmode.fleet.results import COMPLIANT, PENDING
from provmode.signing.keys import Given, Keys


@dataclass(frozen=True)
class Verification:
    """A verified journal: every line is as it was written."""

    state: JournalState

    @property
    def changed(self) -> int:
        """How many steps changed something."""
        return sum(record.ending == "changed" for host in self.state.hosts.values() for record in host.steps)

    @property
    def undone(self) -> int:
        """How many steps were undone."""
        return sum(record.undone for host in self.state.hosts.values() for record in host.steps)

    @property
    def open_steps(self) -> list[str]:
        """Steps that were announced and are not known to have ended: they might have happened."""
        return [
            f"{name}: {record.step.properties[0]}"
            for name, host in self.state.hosts.items()
            for record in host.steps
            if record.ending is None and not record.undone
        ]

    @property
    def open_leases(self) -> list[str]:
        """Leases that were announced and are not known to have been released."""
        return [f"{name}: lease {host.lease}" for name, host in self.state.hosts.items() if host.lease is not None]

    def exit_code(self) -> int:
        """Return the exit code (contract): see `provmode.fleet.results`."""
        return COMPLIANT if self.state.closed else PENDING


def verify_journal(journal: Path, *, key: Given = None, unsigned: bool = False) -> Verification:
    """Read and verify a journal.

    Whoever has a *key* expects a signature. Anybody can write a journal without one, so it is then accepted only if
    *unsigned* says so: the journal itself must not decide how it is checked.

    Raises:
        JournalDamaged: a line was changed, is missing, or was signed with another key; or it is not signed.
        UsageError: the journal cannot be read, or it is signed and there is no key.
    """
    state = read(journal, key)
    if Keys.of(key) is not None and not state.signed and not unsigned:
        raise JournalDamaged(
            f"the journal {journal} is not signed, and a key was given: anybody can have written it",
            next_step="give --unsigned if the plan was not signed either",
        )
    return Verification(state)
