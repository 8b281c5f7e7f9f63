"""Which hosts are in which wave: caps by group and site, and a first wave of as many kinds as it can have."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.fleet.guarding.cutting import Cutting, Kind
from provmode.fleet.waves import wave_sizes

KINDS = st.builds(Kind, *[st.sampled_from(["", "a", "b", "c"])] * 4)
HOSTS = st.lists(st.tuples(KINDS, st.lists(st.sampled_from("xyz"), unique=True, max_size=3)), max_size=40)
CAPS = st.none() | st.integers(1, 5)
SIZES = st.lists(st.integers(1, 20), max_size=4)


def cutting(hosts: list[tuple[Kind, list[str]]], **options: object) -> tuple[list[str], Cutting]:
    names = [f"PC-{number}" for number in range(1, len(hosts) + 1)]
    kinds = {name: kind for name, (kind, _) in zip(names, hosts, strict=True)}
    groups = {name: member_of for name, (_, member_of) in zip(names, hosts, strict=True)}
    return names, Cutting(kinds=kinds, groups=groups, **options)  # type: ignore[arg-type]


def in_one_site(count: int, site: str = "a") -> list[tuple[Kind, list[str]]]:
    return [(Kind(site=site), [])] * count


@given(HOSTS, SIZES, CAPS, CAPS, st.booleans())
def test_every_host_is_in_one_wave_and_no_wave_breaks_its_limits(
    hosts: list[tuple[Kind, list[str]]], sizes: list[int], per_group: int | None, per_site: int | None, spread: bool
) -> None:
    names, cut = cutting(hosts, per_group=per_group, per_site=per_site, spread=spread)

    waves = cut.cut(names, sizes)

    assert sorted(name for wave in waves for name in wave) == sorted(names)
    assert all(waves)
    for number, wave in enumerate(waves):
        assert number >= len(sizes) or len(wave) <= sizes[number]
        assert wave == sorted(wave, key=names.index)
        sites = Counter(cut.kinds[name].site for name in wave)
        groups = Counter(group for name in wave for group in cut.groups[name])
        assert per_site is None or max(sites.values()) <= per_site
        assert per_group is None or max(groups.values(), default=0) <= per_group


@given(HOSTS, st.integers(1, 40), st.sampled_from(["5", "1,2", "50%", "3,25%"]))
def test_without_caps_and_spread_hosts_follow_each_other(
    hosts: list[tuple[Kind, list[str]]], size: int, wave: str
) -> None:
    names, cut = cutting(hosts)

    waves = cut.cut(names, wave_sizes(wave, len(names)))

    assert [name for wave in waves for name in wave] == names
    assert [len(wave) for wave in waves] == wave_sizes(wave, len(names))


def test_a_site_that_is_too_large_for_a_wave_goes_on_in_the_next_ones() -> None:
    hosts = [*in_one_site(5, "Berlin"), *in_one_site(2, "Bonn")]
    names, cut = cutting(hosts, per_site=2)

    assert cut.cut(names, [3, 4]) == [["PC-1", "PC-2", "PC-6"], ["PC-3", "PC-4", "PC-7"], ["PC-5"]]


def test_a_host_counts_in_each_of_its_groups() -> None:
    names, cut = cutting([(Kind(), groups) for groups in (["x"], ["x", "y"], ["y"], ["y", "z"], [])], per_group=1)

    assert cut.cut(names, [5]) == [["PC-1", "PC-3", "PC-5"], ["PC-2"], ["PC-4"]]


def test_hosts_of_which_no_site_is_known_count_as_one_site() -> None:
    names, cut = cutting(in_one_site(3, ""), per_site=1)

    assert cut.cut(names, [3]) == [["PC-1"], ["PC-2"], ["PC-3"]]


# -- the first wave ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trait", ["model", "build", "client", "site"])
def test_the_first_wave_has_hosts_of_every_kind(trait: str) -> None:
    values = ["a"] * 6 + ["b", "a", "c", "a"]
    names, cut = cutting([(Kind(**{trait: value}), []) for value in values], spread=True)

    assert cut.cut(names, [3, 7]) == [["PC-1", "PC-7", "PC-9"], [name for name in names if name[3:] not in "179"]]


def test_hosts_that_are_all_of_one_kind_follow_each_other() -> None:
    names, cut = cutting(in_one_site(6), spread=True)

    assert cut.cut(names, [2, 4]) == [names[:2], names[2:]]


def test_a_host_that_brings_more_news_comes_before_one_that_brings_less() -> None:
    kinds = [Kind("a", "1", "x", "s"), Kind("b", "1", "x", "s"), Kind("b", "2", "y", "t"), Kind("c", "1", "x", "s")]
    names, cut = cutting([(kind, []) for kind in kinds], spread=True)

    assert cut.cut(names, [2, 2]) == [["PC-1", "PC-3"], ["PC-2", "PC-4"]]


def test_once_every_value_is_there_each_kind_gets_its_turn() -> None:
    names, cut = cutting([*in_one_site(8, "a"), *in_one_site(8, "b")], spread=True)

    first = cut.cut(names, [6, 10])[0]

    assert Counter(cut.kinds[name].site for name in first) == {"a": 3, "b": 3}


def test_only_the_first_wave_is_chosen_so() -> None:
    names, cut = cutting([*in_one_site(6, "a"), *in_one_site(2, "b")], spread=True)

    assert cut.cut(names, [2, 2, 4]) == [["PC-1", "PC-7"], ["PC-2", "PC-3"], ["PC-4", "PC-5", "PC-6", "PC-8"]]


@given(HOSTS, st.integers(1, 20))
def test_no_first_wave_of_that_size_has_a_value_less_than_it_could(
    hosts: list[tuple[Kind, list[str]]], size: int
) -> None:
    names, cut = cutting(hosts, spread=True)

    first = (cut.cut(names, [size, len(names)]) or [[]])[0]

    here = {trait for name in first for trait in cut.kinds[name].traits}
    everywhere = {trait for kind, _ in hosts for trait in kind.traits}
    assert here == everywhere or len(first) == min(size, len(names))
    assert len(here) >= min(len(everywhere), size), "each host brings at least one value, as long as one is missing"


def test_a_wave_of_thousands_is_cut_at_once() -> None:
    hosts = [(Kind(f"m{n % 300}", str(n % 9), f"v{n % 7}", f"s{n % 150}"), []) for n in range(20_000)]
    names, cut = cutting(hosts, spread=True, per_site=100)

    waves = cut.cut(names, [5000, 15_000])

    assert sum(map(len, waves)) == 20_000
