"""How a run reports its progress to its caller."""

from __future__ import annotations

from typing import Any, Protocol


class Progress(Protocol):
    """Receives the progress of a run: first the number of hosts, then the result of each host as it ends."""

    def begin(self, hosts: int) -> None:
        """Begin: the run has this many hosts."""

    def ended(self, result: Any) -> None:
        """One more host has ended; *result* is what the run returns for it."""


class Silent:
    """Progress that is not shown."""

    def begin(self, hosts: int) -> None:
        """Do nothing."""

    def ended(self, result: Any) -> None:
        """Do nothing."""


SILENT = Silent()
