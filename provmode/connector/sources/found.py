"""What a source of hosts finds. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import InventoryError

from provmode.errors import Mistakes, UsageError


class SourceError(Mistakes, InventoryError):
    """A source cannot be used. pyinfra prints `message`, and ends."""

    def __init__(self, *mistakes: UsageError) -> None:
        super().__init__(mistakes)
        self.message = "\n".join(self.lines)


@dataclass(frozen=True)
class FoundHost:
    """A host that a source found."""

    name: str
    """The PC's name, without a connector."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Its keys of ``winrm_*``; never a password that can be read."""
    groups: tuple[str, ...] = ()
    """Groups that it is in, the weakest first."""

    @property
    def full_name(self) -> str:
        """Its name in inventories, plans and reports: the same whichever source found it."""
        return f"@winrm/{self.name}"


@dataclass(frozen=True)
class LeftOut:
    """Something that could be a host and is none of the run."""

    what: str
    """Its name, as far as it has one."""
    why: str
    place: str = ""
    """Where it stands, such as ``pcs.csv, line 7``."""

    def to_json(self) -> dict[str, Any]:
        """Return it as the JSON of an inventory has it (contract)."""
        return {"what": self.what, "why": self.why, "place": self.place}


@dataclass(frozen=True)
class Found:
    """Everything that a source found."""

    source: str
    """What it is called in messages: a path, ``standard input``, a domain."""
    hosts: tuple[FoundHost, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """What a person should know although nothing is wrong, a sentence each."""
    again: bool = True
    """Whether it can be asked again. Standard input and pipes cannot."""
    file: Path | None = None
    """The file that it was read from, if others could change it meanwhile."""
    keys: frozenset[str] = frozenset()
    """The keys of ``winrm_*`` that it sets."""

    def left_out_counted(self) -> list[str]:
        """Return how many are left out for each reason, a sentence each."""
        counts = Counter(left_out.why for left_out in self.left_out)
        return [f"{self.source}: {count:,} left out, {why}" for why, count in counts.items()]

    def expanded(self) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """Yield name, data and groups of each host, as pyinfra takes them from a connector."""
        for host in self.hosts:
            yield host.full_name, dict(host.data), list(host.groups)
