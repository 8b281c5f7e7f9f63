"""What changed between two runs that looked at the same inventory, in nine words. Pure.

What is compared is what was last known of a host at each of the two runs. So a host that was away does not count as
mended, and one that comes back as it was seen before did not change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from provmode.history.look import Words
from provmode.history.run import Change, Run


class Word(str, Enum):
    """What happened to a host between two runs."""

    NEW = "new"
    """It needs something, and did not before."""
    RETURNED = "returned"
    """It needs something again: it did before, and was mended."""
    CHANGED = "changed"
    """It needs something else than before."""
    STILL = "still"
    """It needs the same as before."""
    FIXED = "fixed"
    """It needed something, and does not any more."""
    LOST = "lost"
    """It was assessed before, and could not be assessed now."""
    FOUND = "found"
    """It could not be assessed before, and was assessed now."""
    APPEARED = "appeared"
    """It is in the inventory now, and was not before."""
    VANISHED = "vanished"
    """It was in the inventory before, and is not any more."""

    def __str__(self) -> str:
        """Return the word itself."""
        return self.value


MEANINGS = {
    Word.NEW: "needs something, and did not before",
    Word.RETURNED: "needs something again",
    Word.CHANGED: "needs something else than before",
    Word.STILL: "needs the same as before",
    Word.FIXED: "needed something, and does not any more",
    Word.LOST: "was assessed before, and could not be assessed now",
    Word.FOUND: "could not be assessed before, and was now",
    Word.APPEARED: "is in the inventory, and was not before",
    Word.VANISHED: "was in the inventory, and is not any more",
}


class Side(NamedTuple):
    """What was last known of a host at one of the two runs."""

    verdict: str
    rule: str
    bad: bool
    said: bytes
    """The words about it, as they are stored."""

    @property
    def reason(self) -> str:
        """What was said of it; read when somebody asks, because most of a large drift is only counted."""
        return Words.read(self.said).reason


@dataclass(frozen=True)
class Episode:
    """The time in which a host needed something before."""

    times: int
    """How often it did before."""
    ended: datetime
    """When the last of these times was over."""


@dataclass(frozen=True)
class Drifted:
    """One thing that happened to one host."""

    word: Word
    host: str
    before: Side | None
    after: Side | None
    change: Change | None = None
    """What a run of ours changed on the host in between; ``None``: it was not us."""
    plan: str | None = None
    """The plan of that run."""
    earlier: Episode | None = None
    """For `RETURNED`."""
    cause: str = ""
    """For `LOST`: why it could not be assessed."""
    waived: Mapping[str, str] | None = None
    """What the later run said of the waiver that covers it; ``None`` if none does."""
    waiver_ended: bool = False
    """Whether a waiver covered it in the earlier run, it still needs something, and none covers it any more."""

    def is_told_by(self, words: Collection[str]) -> bool:
        """Return whether it counts as one of these words: what is waived never does, and what was counts as new."""
        return self.waived is None and (self.word.value in words or (self.waiver_ended and Word.NEW.value in words))

    @property
    def by_us(self) -> bool:
        """Whether our journal has a change on the host in between."""
        return self.change is not None

    @property
    def by(self) -> str:
        """The same in words."""
        return "by us" if self.by_us else "not by us"


@dataclass(frozen=True)
class Drift:
    """What changed between two runs."""

    before: Run
    after: Run
    hosts: tuple[Drifted, ...] = field(default=())
    """By word, then by host."""

    def of(self, word: Word) -> list[Drifted]:
        """Return what happened in the sense of one word."""
        return [each for each in self.hosts if each.word is word]


def words_for(before: Side | None, after: Side | None, *, was_bad: bool) -> Iterator[Word]:
    """Yield the word for a host that was assessed now, if there is one; *was_bad*: at some time before both runs."""
    if after is None:
        return
    if after.bad:
        if before is None or not before.bad:
            yield Word.RETURNED if was_bad else Word.NEW
        else:
            yield Word.STILL if before.verdict == after.verdict else Word.CHANGED
    elif before is not None and before.bad:
        yield Word.FIXED
