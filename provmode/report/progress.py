"""Progress as lines of a log: when a wave or a round begins, when the run waits, and at intervals. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from provmode.fleet.looking import HostReport
from provmode.fleet.traces import HostTraces
from provmode.fleet.undo_preview import HostPreview
from provmode.report.lines import count_of
from provmode.report.traces import TRACED
from provmode.report.undoing import WOULD

EVERY = 30.0
"""Seconds between two lines, also if no host ended between them. A run that is done before prints none."""


class LogProgress:
    """Writes the progress of a run line by line.

    *write* takes a line, and *seconds* is a monotonic clock. Call `look` often: it writes a line if it is time for one.
    """

    def __init__(self, words: str, write: Callable[[str], None], seconds: Callable[[], float]) -> None:
        self._words, self._write, self._seconds = words, write, seconds
        self._began = self._said = seconds()
        self._hosts = 0
        self._outcomes: Counter[str] = Counter()
        self._wave = self._waiting = ""
        self._soaking_before = 0
        self._quiet = False

    def begin(self, hosts: int) -> None:
        """Begin: the run has this many hosts."""
        self._hosts = hosts

    def ended(self, result: Any) -> None:
        """One more host has ended."""
        self._outcomes[_word(result)] += 1
        self.look()

    def wave(self, number: int, waves: int, hosts: int) -> None:
        """Say that a wave begins, if there are several."""
        self._waiting = ""
        if waves > 1:
            self._wave = f"wave {number} of {waves}"
            self._say(f"{self._wave} begins: {count_of(hosts)}")

    def soaking(self, wave: int, waves: int, left: float) -> None:
        """Say once that the run waits before a wave, and then at intervals."""
        self._waiting = f"{left:.0f} s left before wave {wave} of {waves}"
        if self._soaking_before != wave:
            self._soaking_before = wave
            self._say(f"{self._done()}; {self._waiting}")
        self.look()

    def round(self, number: int, hosts: int) -> None:
        """Say that a round begins, and count its hosts from now on."""
        self._hosts, self._quiet, self._wave = hosts, False, ""
        self._outcomes.clear()
        self._say(f"round {number} begins: {count_of(hosts)}")

    def waiting(self, words: str) -> None:
        """Say until when the run waits, and nothing more before it goes on: that can be hours."""
        self._quiet = True
        self._say(words)

    def noticed(self, words: str) -> None:
        """Say what was noticed."""
        self._say(words)

    def look(self) -> None:
        """Write a line if the last one is long enough ago, unless the run waits for its next round."""
        if not self._quiet and self._seconds() - self._said >= EVERY:
            parts = (self._done(), self._waiting or self._wave, f"{self._seconds() - self._began:.0f} s so far")
            self._say("; ".join(filter(None, parts)))

    def _done(self) -> str:
        counts = ", ".join(f"{count} {word}" for word, count in self._outcomes.most_common())
        return f"{self._outcomes.total()} of {count_of(self._hosts)} done" + (f" ({counts})" if counts else "")

    def _say(self, text: str) -> None:
        self._said = self._seconds()
        self._write(f"{self._words}: {text}")


def _word(result: Any) -> str:
    """Return in a word or two what came of a host."""
    if isinstance(result, HostReport):
        return result.assessment.verdict.value
    if isinstance(result, HostTraces):
        return TRACED[result.outcome]
    if isinstance(result, HostPreview):
        return WOULD[result.outcome]
    return str(getattr(result, "outcome", "done"))
