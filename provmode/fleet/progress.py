"""How a run reports its progress to its caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable


class Progress(Protocol):
    """Receives the progress of a run: first the number of hosts, then the result of each host as it ends."""

    def begin(self, hosts: int) -> None:
        """Begin: the run has this many hosts."""

    def ended(self, result: Any) -> None:
        """One more host has ended; *result* is what the run returns for it."""


@runtime_checkable
class WaveProgress(Protocol):
    """What a `Progress` may receive besides, from a run that goes in waves."""

    def wave(self, number: int, waves: int, hosts: int) -> None:
        """Wave *number* of *waves* begins; it has this many hosts."""

    def soaking(self, wave: int, waves: int, left: float) -> None:
        """The run waits *left* more seconds before it begins *wave*; called again and again while it waits."""


@runtime_checkable
class RoundProgress(Protocol):
    """What a `Progress` may receive besides, from a run that tries hosts again."""

    def round(self, number: int, hosts: int) -> None:
        """Round *number* begins; it has this many hosts. The first look was round 1, and is not announced."""

    def waiting(self, words: str) -> None:
        """The run waits for its next round; *words* say how many hosts it has, when it begins, and until when."""

    def noticed(self, words: str) -> None:
        """Something about the time was noticed."""


def wave_begins(progress: Progress, number: int, waves: int, hosts: int) -> None:
    """Tell *progress* of a wave, if it wants to know."""
    if isinstance(progress, WaveProgress):
        progress.wave(number, waves, hosts)


def soaks(progress: Progress, wave: int, waves: int, left: float) -> None:
    """Tell *progress* that the run waits, if it wants to know."""
    if isinstance(progress, WaveProgress):
        progress.soaking(wave, waves, left)


class AndAlso:
    """Progress that gives each result to a function too, before it shows it."""

    def __init__(self, progress: Progress, each: Callable[[Any], None]) -> None:
        self._progress, self._each = progress, each
        self._rounds = progress if isinstance(progress, RoundProgress) else None

    def begin(self, hosts: int) -> None:
        """Begin: the run has this many hosts."""
        self._progress.begin(hosts)

    def ended(self, result: Any) -> None:
        """One more host has ended."""
        self._each(result)
        self._progress.ended(result)

    def round(self, number: int, hosts: int) -> None:
        """Round *number* begins."""
        if self._rounds is not None:
            self._rounds.round(number, hosts)

    def waiting(self, words: str) -> None:
        """The run waits for its next round."""
        if self._rounds is not None:
            self._rounds.waiting(words)

    def noticed(self, words: str) -> None:
        """Something about the time was noticed."""
        if self._rounds is not None:
            self._rounds.noticed(words)


class Silent:
    """Progress that is not shown."""

    def begin(self, hosts: int) -> None:
        """Do nothing."""

    def ended(self, result: Any) -> None:
        """Do nothing."""


SILENT = Silent()
