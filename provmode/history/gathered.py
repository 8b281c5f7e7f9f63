"""The looks of a run, each digested as it comes. Pure.

A run waits for PCs most of its time. What is digested meanwhile need not be digested when it is over and somebody waits
for the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from provmode.history.look import Looks, Words
from provmode.history.names import name_of


class Look(NamedTuple):
    """What of a row of a report is written."""

    host: str
    """As the report names it."""
    name: str
    """As the history does."""
    key: bytes
    """The digest of the state (`Looks.key`)."""
    reason: str
    next_step: str
    findings: Sequence[Mapping[str, Any]]
    tries: int
    """How often the host was looked at in the run."""
    observed_at: Any
    """When it was read, as the report says it; ``None`` if it was looked at once."""

    def words(self) -> Words:
        """Return what the report says to a person."""
        findings = tuple((each["code"], each["text"]) for each in self.findings)
        return Words(self.reason, self.next_step, findings)


class Gathered:
    """The looks of one run, by the history's names of the hosts."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self.states = Looks()
        self.by_name: dict[str, Look] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, Any]) -> None:
        """Digest a row of a report (`docs/audit.schema.json`).

        A host that was assessed before is kept as it was found: of two names for one host, what is known of it counts.
        """
        look = self._look(row)
        there = self.by_name.get(look.name)
        if there is None or not self.states.assessed(there.key):
            self.by_name[look.name] = look

    def replace(self, row: Mapping[str, Any]) -> None:
        """Digest what a run says of a host in the end, if that is not what `add` was given."""
        look = self._look(row)
        there = self.by_name.get(look.name)
        if there is None or there.host == look.host or not self.states.assessed(there.key):
            self.by_name[look.name] = look

    def _look(self, row: Mapping[str, Any]) -> Look:
        host, tries = row["host"], row.get("tries", 1)
        return Look(
            host,
            name_of(host),
            self.states.key(row),
            row["reason"],
            row.get("next_step", ""),
            row["findings"],
            tries,
            row["facts"].get("observed_at") if tries > 1 else None,
        )
