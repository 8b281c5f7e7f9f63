"""Which hosts are in which wave: at most so many of a group and of a site, and many kinds in the first one. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """What hosts differ in that decides how they take a change. Empty: not known."""

    model: str = ""
    build: str = ""
    client: str = ""
    """The version of the ConfigMgr client."""
    site: str = ""

    @property
    def traits(self) -> tuple[tuple[str, str], ...]:
        """Its values, each with what it is a value of."""
        return tuple(vars(self).items())


NOT_KNOWN = Kind()


@dataclass(frozen=True)
class Cutting:
    """How hosts are cut into waves.

    *per_group* and *per_site* are how many hosts of one group and of one site a wave may have. Hosts of which the
    site is not known count as one site.
    """

    per_group: int | None = None
    per_site: int | None = None
    spread: bool = False
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """The kind of each host by its name."""
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The groups of each host by its name."""

    def cut(self, names: Sequence[str], sizes: Iterable[int]) -> list[list[str]]:
        """Return the hosts of each wave, of these *sizes* at most; if caps leave hosts over, there are more waves.

        Every host is in one wave. Within a wave the hosts are in the order of *names*.
        """
        left, waves = list(names), list[list[str]]()
        wanted = deque(size for size in sizes if size)
        place = {name: number for number, name in enumerate(names)}
        while left:
            size = wanted.popleft() if wanted else len(left)
            order = self._spread(left, size) if self.spread and not waves else left
            wave = self._fill(order, size)
            waves.append(sorted(wave, key=place.__getitem__))
            taken = set(wave)
            left = [name for name in left if name not in taken]
        return waves

    def _fill(self, order: Sequence[str], size: int) -> list[str]:
        """Return the first *size* hosts in *order* that the caps let into one wave."""
        if self.per_group is None and self.per_site is None:
            return list(order[:size])
        wave, groups, sites = list[str](), Counter[str](), Counter[str]()
        for name in order:
            if len(wave) == size:
                break
            site, member_of = self._kind(name).site, self.groups.get(name, ())
            if self.per_site is not None and sites[site] >= self.per_site:
                continue
            if self.per_group is not None and any(groups[group] >= self.per_group for group in member_of):
                continue
            wave.append(name)
            sites[site] += 1
            groups.update(member_of)
        return wave

    def _spread(self, names: Sequence[str], size: int) -> list[str]:
        """Return *names* with those first that a wave of *size* should have.

        Each is the one that brings the most models, builds, client versions and sites that the wave does not have yet.
        Once it has all of them, each kind gets its turn. Of hosts alike, the first in the order counts.
        """
        waiting: dict[Kind, deque[str]] = {}
        for name in names:
            waiting.setdefault(self._kind(name), deque()).append(name)
        first, seen = list[str](), set[tuple[str, str]]()
        turns = Counter[Kind]()
        place = {kind: number for number, kind in enumerate(waiting)}
        while waiting and len(first) < size:
            news = {kind: sum(trait not in seen for trait in kind.traits) for kind in waiting}
            kind = min(waiting, key=lambda each: (-news[each], turns[each], place[each]))
            if not news[kind]:
                first += _in_turn(waiting, turns, place, size - len(first))
                break
            first.append(waiting[kind].popleft())
            seen.update(kind.traits)
            turns[kind] += 1
            if not waiting[kind]:
                del waiting[kind]
        chosen = set(first)
        return first + [name for name in names if name not in chosen]

    def _kind(self, name: str) -> Kind:
        return self.kinds.get(name, NOT_KNOWN)


def _in_turn(
    waiting: Mapping[Kind, deque[str]], turns: Mapping[Kind, int], place: Mapping[Kind, int], count: int
) -> list[str]:
    """Return the next *count* hosts, each of the kind that has had the fewest turns."""
    rows = (
        (turns[kind] + number, place[kind], name)
        for kind, names in waiting.items()
        for number, name in enumerate(names)
    )
    return [name for _, _, name in sorted(rows)[:count]]


def by_position(names: Sequence[str], sizes: Iterable[int]) -> list[list[str]]:
    """Return the hosts of each wave as they follow each other."""
    return Cutting().cut(names, sizes)


Cut = Callable[[Sequence[str], Sequence[int]], "list[list[str]]"]
"""Cuts hosts into waves of some sizes."""
