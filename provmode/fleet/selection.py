"""Which hosts a user means: names, groups and patterns, lists of them, and files of them. Case does not count.

``PC-0001`` matches the host ``@winrm/PC-0001``. ``@FILE`` stands for the names in a file, one a line or separated by
commas; what comes after ``#`` is a remark.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyinfra.api.connectors import get_all_connectors

from provmode.connector.host_names import spelling
from provmode.connector.sources.connectors import SOURCES
from provmode.connector.sources.reading import is_file as there
from provmode.errors import UsageError
from provmode.fleet.waves import Limits


def expand(option: str, values: Iterable[str]) -> tuple[str, ...]:
    """Return each name, group and pattern of an *option*'s values by itself: lists are split, files are read.

    Raises:
        UsageError: a value is empty, or a file cannot be read or names no host.
    """
    found: list[str] = []
    connectors = get_all_connectors()

    def is_file(text: str) -> bool:
        kind = text[1:].partition("/")[0].lower()
        if text.startswith("@") and kind in SOURCES and not there(Path(text[1:])):
            raise UsageError(
                f"{option} {text} is an inventory, not a choice of hosts",
                next_step=f"give {option} @FILE for the names in a file",
            )
        return text.startswith("@") and (kind in SOURCES or kind not in connectors)

    for value in values:
        for part in [value] if is_file(value) and there(Path(value[1:])) else value.split(","):
            name = part.strip()
            if not name:
                raise UsageError(f"{option} {value!r}: a name is empty", next_step="give a name, a group or a pattern")
            if name.startswith("!"):
                raise UsageError(f"{option} {name} is not a name", next_step=f"give --exclude {name[1:]}")
            found += _names_in(option, Path(name[1:])) if is_file(name) else [name]
    return tuple(dict.fromkeys(found))


def expanded(limits: Limits) -> Limits:
    """Return *limits* with each name that they choose by itself, so that a file may change later.

    Raises:
        UsageError: as `expand`.
    """
    return limits.changed({"limit": expand("--limit", limits.limit), "exclude": expand("--exclude", limits.exclude)})


def _names_in(option: str, path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{option} @{path}: the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{option} @{path}: the file is not UTF-8", next_step="save it as UTF-8") from None
    lines = [line.partition("#")[0] for line in text.splitlines()]
    names = [name.strip() for line in lines for name in line.split(",") if name.strip()]
    if not names:
        raise UsageError(f"{option} @{path}: the file names no host", next_step="an empty list is never everything")
    return names


@dataclass(frozen=True)
class Chosen:
    """Hosts that a user chose."""

    names: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    """Hosts that would be among them without ``--exclude``: a report counts them too."""


def choose(
    names: Sequence[str],
    groups_of: Mapping[str, Sequence[str]],
    limit: Sequence[str],
    exclude: Sequence[str] = (),
    *,
    others: Sequence[str] = (),
    place: str = "the inventory",
) -> Chosen:
    """Choose those of *names* that match any of *limit* (all, without any) and none of *exclude*, in their order.

    *others* are hosts that may be excluded as well, though they are none of *names*. Errors say that a word matches
    nothing in *place*.

    Raises:
        UsageError: one of them matches nothing, or no host is left.
    """
    wanted, unwanted = expand("--limit", limit), expand("--exclude", exclude)
    index = _Index(names, groups_of, place)
    meant = index.all_of("--limit", wanted) if wanted else set(names)
    out: set[str] = set()
    if unwanted:
        wider = _Index([*names, *others], groups_of, place) if others else index
        out = meant & wider.all_of("--exclude", unwanted)
    if names and meant == out:
        raise UsageError("--limit and --exclude leave no host", next_step="an empty run is never a success")
    in_order = [name for name in names if name in meant]
    return Chosen(tuple(name for name in in_order if name not in out), tuple(name for name in in_order if name in out))


class _Index:
    """All spellings by which hosts can be named."""

    def __init__(self, names: Sequence[str], groups_of: Mapping[str, Sequence[str]], place: str) -> None:
        self._place = place
        self._hosts: dict[str, set[str]] = {}
        self._groups: dict[str, set[str]] = {}
        self._shown: dict[str, str] = {}
        for name in names:
            words = [(word, self._hosts) for word in (name, name.rpartition("/")[2])]
            for word, known in (*words, *((group, self._groups) for group in groups_of.get(name, ()))):
                known.setdefault(spelling(word), set()).add(name)
                self._shown.setdefault(spelling(word), word)

    def all_of(self, option: str, words: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for word in words:
            matching = self._matching(spelling(word))
            if not matching:
                raise self._unknown(option, word)
            found |= matching
        return found

    def _matching(self, word: str) -> set[str]:
        exact = self._hosts.get(word, set()) | self._groups.get(word, set())
        if not any(character in word for character in "*?["):
            return exact
        fits: Callable[[str], object] = re.compile(fnmatch.translate(word)).match
        return exact.union(*(hosts for known, hosts in self._hosts.items() if fits(known)))

    def _unknown(self, option: str, word: str) -> UsageError:
        near = self._nearest(spelling(word))
        return UsageError(
            f"{option} {word} matches no host and no group of {self._place}",
            next_step=f"did you mean {near}?" if near else "",
        )

    def _nearest(self, word: str) -> str:
        """Return the name that was probably meant: of those that are alike, the one with most of the same ends."""

        def ends(known: str) -> int:
            return _same(word, known) + _same(word[::-1], known[::-1])

        near = difflib.get_close_matches(word, self._shown, n=50, cutoff=0.75)
        alike = [known for known in near if _ratio(word, known) == _ratio(word, near[0])]
        return self._shown[max(alike, key=ends)] if alike else ""


def _same(one: str, other: str) -> int:
    """Return how many characters are the same at the beginning of both."""
    return next(
        (number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _ratio(word: str, known: str) -> float:
    return difflib.SequenceMatcher(a=known, b=word).ratio()
