"""How a run tells its caller how far it is."""

from __future__ import annotations

from typing import Any, Protocol


class Progress(Protocol):
    """Hears how far a run is: first how many hosts there are, then each host's result as it ends."""

    def begin(self, hosts: int) -> None:
        """The run is over this many hosts."""

    def ended(self, result: Any) -> None:
        """One more host has ended; *result* is what the run returns for it."""


class Silent:
    """Progress that nobody watches."""

    def begin(self, hosts: int) -> None:
        """Say nothing."""

    def ended(self, result: Any) -> None:
        """Say nothing."""


SILENT = Silent()
