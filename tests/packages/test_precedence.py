"""Which package's value holds: by owner type and rank, explained; what is not documented is undecided."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.packages.writer import Condition, Setting, Variant, command
from provmode.packages.model import OWNERS, Package
from provmode.packages.precedence import POLICY_NOTE, Outcome, Resolution, Resolved, resolve
from provmode.packages.versions import Given, keep, version_of
from provmode.reading import Absent, Known, Reading, Unknown

Make = Callable[..., Package]
NAME = "Accounts/ComputerAccount/ComputerName"
PINS = "Policies/Start/ConfigureStartPins"
PASSWORD = "Accounts/Users/User[UserName=kim]/Password"


def identity(number: int) -> str:
    """Return an id of a package."""
    return f"{{00000000-0000-0000-0000-{number:012}}}"


@pytest.fixture(scope="session")
def named(made: Make) -> Callable[..., Given]:
    """Return what makes a package with a value for one setting; its name is also its label."""

    def make(name: str, owner: str = "ITAdmin", rank: Any = 0, value: str = "", path: str = PINS, **told: Any) -> Given:
        settings = [Setting(path, value or name)]
        told = {"id": identity(sum(name.encode())), "settings": settings, **told}
        return Given(made(name=name, owner=owner, rank=rank, **told), f"{name}.ppkg")

    return make


def one(resolved: Resolved, path: str = PINS) -> Resolution:
    """Return what holds for one setting."""
    (found,) = [each for each in resolved.settings if each.path == path]
    return found


def test_a_rank_never_beats_an_owner_type(recorded: Make, named: Callable[..., Given]) -> None:
    oem = named("oem", "OEM", 99, path=NAME)

    found = one(resolve([oem, Given(recorded("mOSD"), "mOSD.ppkg")]), NAME)

    assert found.winner is not None
    assert found.winner.setting.value == "Z-%SERIAL%"
    assert found.why == (
        "mOSD 1.00 (mOSD.ppkg) wins over oem 1.0 (oem.ppkg): owner type SystemIntegrator is above OEM, and a rank "
        "counts only within one owner type (3000 against 2099)"
    )


def test_of_one_owner_type_the_higher_rank_wins(named: Callable[..., Given]) -> None:
    found = one(resolve([named("it0"), named("it7", rank=7)]))

    assert found.winner is not None
    assert found.winner.setting.value == "it7"
    assert "both are of ITAdmin, and rank 7 is above rank 0 (5007 against 5000)" in found.why


def test_every_owner_type_is_above_the_one_before_it(named: Callable[..., Given]) -> None:
    for low, high in itertools.pairwise(OWNERS):
        found = one(resolve([named("low", low, 99), named("high", high, 0)]))
        assert found.winner is not None
        assert found.winner.given.package.metadata.owner == high


def test_a_tie_is_undecided_and_names_all(named: Callable[..., Given]) -> None:
    resolved = resolve([named("one"), named("two"), named("low", "OEM")])
    found = one(resolved)

    assert found.outcome is Outcome.UNDECIDED
    assert found.winner is None
    assert found.why == (
        "one 1.0 (one.ppkg) and two 1.0 (two.ppkg) are both of ITAdmin with rank 0; "
        "which of them wins is not documented"
    )
    assert [each.setting.value for each in found.candidates] == ["one", "two", "low"]
    assert [each.code for each in resolved.findings] == ["undecided"]


def test_a_tie_of_one_value_is_decided_as_far_as_it_matters(named: Callable[..., Given]) -> None:
    found = one(resolve([named("one", value="x"), named("two", value="x")]))

    assert (found.outcome, found.winner) == (Outcome.SAME, None)


@pytest.mark.parametrize(("owner", "rank"), [("ITPro", 0), ("ITAdmin", 100), ("ITAdmin", "high"), ("", 3)])
def test_what_windows_does_not_know_is_not_ordered(owner: str, rank: Any, named: Callable[..., Given]) -> None:
    found = one(resolve([named("odd", owner, rank), named("oem", "OEM")]))

    assert found.outcome is Outcome.UNDECIDED
    assert "it is not known where odd 1.0 (odd.ppkg) stands" in found.why
    assert {each.setting.value for each in found.candidates} == {"odd", "oem"}


def test_a_package_that_contradicts_itself_is_not_ordered(named: Callable[..., Given]) -> None:
    found = one(resolve([named("odd", altitude=2000), named("oem", "OEM")]))

    assert found.outcome is Outcome.UNDECIDED
    assert "owner type and rank come to 5000, the file says 2000" in found.why


def test_what_one_package_sets_holds_whatever_its_owner(named: Callable[..., Given]) -> None:
    assert one(resolve([named("odd", "ITPro")])).outcome is Outcome.ALONE


def test_a_secret_is_compared_without_being_shown(named: Callable[..., Given]) -> None:
    same = resolve([named("one", value="hunter2", path=PASSWORD), named("two", value="hunter2", path=PASSWORD)])
    other = resolve([named("one", value="hunter2", path=PASSWORD), named("two", value="hunter3", path=PASSWORD)])

    assert [one(each, PASSWORD).outcome for each in (same, other)] == [Outcome.SAME, Outcome.UNDECIDED]
    assert "hunter" not in repr(same) + repr(other)


def test_a_setting_that_a_package_has_twice_is_not_decided_by_its_order(made: Make) -> None:
    twice = made(settings=[Setting("A/B", "1"), Setting("A/B", "2")], name="twice")

    found = one(resolve([Given(twice, "twice.ppkg")]), "A/B")

    assert found.outcome is Outcome.UNDECIDED
    assert "more than once" in found.why


# -- conditions -----------------------------------------------------------------------------------------------------


def test_what_is_set_under_conditions_beats_nobody_unconditionally(named: Callable[..., Given]) -> None:
    states = [[Condition("Mcc", "311"), Condition("Mnc", "480")]]
    carrier = named(
        "carrier", "MobileOperator", 9, settings=[], variants=[Variant("vzw", states, [Setting(PINS, "c")])]
    )

    alone, both = one(resolve([carrier])), one(resolve([carrier, named("oem", "OEM")]))

    assert (alone.outcome, alone.winner) == (Outcome.CONDITIONAL, None)
    assert both.winner is not None
    assert both.winner.setting.value == "oem"
    assert [str(each.setting.when) for each in both.may_win] == ["Mcc=311 and Mnc=480"]


def test_what_may_win_is_listed_by_precedence_and_by_what_it_asks_for(named: Callable[..., Given]) -> None:
    def package(name: str, rank: int, *states: list[Condition]) -> Given:
        variants = [
            Variant(str(number), [state], [Setting(PINS, str(len(state)))]) for number, state in enumerate(states)
        ]
        return named(name, rank=rank, settings=[], variants=variants)

    mcc, mnc, lang = Condition("Mcc", "1"), Condition("Mnc", "2"), Condition("Lang", "de")
    found = one(resolve([package("low", 0, [mcc, mnc]), package("high", 5, [lang], [mcc], [mcc, lang])]))

    assert [str(each.setting.when) for each in found.may_win] == [
        *("Mcc=1 and Lang=de", "Mcc=1", "Lang=de", "Mcc=1 and Mnc=2"),
    ]


def test_of_conditions_that_ask_for_as_much_the_later_one_comes_first(named: Callable[..., Given]) -> None:
    variants = [Variant(lang, [[Condition("Lang", lang)]], [Setting(PINS, lang)]) for lang in ("de", "fr")]

    found = one(resolve([named("office", settings=[], variants=variants)]))

    assert [each.setting.value for each in found.may_win] == ["fr", "de"]


# -- no conflicts ---------------------------------------------------------------------------------------------------


def test_members_of_a_list_with_other_identities_are_no_conflict(named: Callable[..., Given]) -> None:
    kim, ann = "Accounts/Users/User[UserName=kim]/UserGroup", "Accounts/Users/User[UserName=ann]/UserGroup"
    resolved = resolve([named("one", path=kim), named("two", path=ann)])

    assert [each.outcome for each in resolved.settings] == [Outcome.ALONE, Outcome.ALONE]


def test_commands_are_no_conflict_since_each_package_runs_its_own(named: Callable[..., Given]) -> None:
    resolved = resolve([named(name, settings=command("setup", f"{name}.exe")) for name in ("one", "two")])

    assert resolved.settings == ()
    assert resolved.commands == 2


# -- versions -------------------------------------------------------------------------------------------------------


def test_several_versions_of_one_package_are_an_update(named: Callable[..., Given]) -> None:
    versions = [named("office", version=version, value=version, id=identity(1)) for version in ("1.9", "1.10", "1.2")]

    resolved = resolve(versions)

    assert one(resolved).outcome is Outcome.ALONE
    assert one(resolved).candidates[0].setting.value == "1.10"
    assert sorted(old.package.metadata.version for old, _ in resolved.kept.replaced) == ["1.2", "1.9"]
    assert resolved.findings == ()


def test_a_copy_of_a_package_counts_once(named: Callable[..., Given]) -> None:
    package = named("office").package
    resolved = resolve([Given(package, "a.ppkg"), Given(package, "b.ppkg")])

    assert one(resolved).outcome is Outcome.ALONE
    assert [old.label for old, _ in resolved.kept.copies] == ["b.ppkg"]


def test_which_of_two_different_files_of_one_version_counts_is_not_guessed(named: Callable[..., Given]) -> None:
    resolved = resolve([named("a", value="1", id=identity(1)), named("b", value="2", id=identity(1))])

    assert one(resolved).outcome is Outcome.UNDECIDED
    assert [each.code for each in resolved.findings] == ["same-version-differs", "undecided"]


def test_which_of_two_versions_that_are_no_numbers_is_newer_is_not_guessed(named: Callable[..., Given]) -> None:
    files = [named("a", value=version, version=version, id=identity(1)) for version in ("spring", "autumn")]

    assert one(resolve(files)).outcome is Outcome.UNDECIDED
    assert [each.code for each in resolve(files).findings] == ["version-unclear", "undecided"]


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.0", (1,)), ("1.00", (1,)), ("1.10", (1, 10)), ("0", ()), ("1.a", None), ("", None), ("-1", None)],
)
def test_a_version_is_compared_as_numbers(text: str, version: tuple[int, ...] | None) -> None:
    assert version_of(text) == version


# -- what a PC says -------------------------------------------------------------------------------------------------


OBSERVED: dict[str, tuple[Reading[str], str | None]] = {
    "the same": (Known(identity(sum(b"it7")).strip("{}").upper()), None),
    "another of these": (Known(identity(sum(b"it0"))), "winner-differs"),
    "somebody else": (Known("8c3b3ea3-0000-0000-0000-000000000000"), "winner-differs"),
    "none": (Absent(), "winner-absent"),
    "not told": (Unknown("access-denied", "no right"), None),
}


@pytest.mark.parametrize("case", OBSERVED)
def test_what_a_pc_says_stands_beside_what_was_computed(case: str, named: Callable[..., Given]) -> None:
    reading, code = OBSERVED[case]
    resolved = resolve([named("it0"), named("it7", rank=7)], {PINS: reading})

    assert one(resolved).observed == reading
    assert one(resolved).winner is not None
    assert [each.code for each in resolved.findings] == ([code] if code else [])


def test_of_a_tie_what_a_pc_says_is_no_difference(named: Callable[..., Given]) -> None:
    resolved = resolve([named("one"), named("two")], {PINS: Known(identity(sum(b"two")))})

    assert [each.code for each in resolved.findings] == ["undecided"]


def test_policies_are_told_to_meet_those_of_others(named: Callable[..., Given]) -> None:
    assert one(resolve([named("one")])).to_json()["note"] == POLICY_NOTE
    assert one(resolve([named("one", path=NAME)]), NAME).to_json()["note"] == ""


# -- properties -----------------------------------------------------------------------------------------------------

OWNER = st.sampled_from([*OWNERS, "ITPro"])
TOLD = st.tuples(
    OWNER, st.sampled_from([0, 1, 99, 100]), st.sampled_from("xy"), st.integers(0, 3), st.sampled_from("12")
)


@pytest.fixture(scope="session")
def cached(named: Callable[..., Given]) -> Callable[..., Given]:
    """Return what makes each package once."""
    made: dict[Any, Given] = {}

    def make(owner: str, rank: int, value: str, number: int, version: str) -> Given:
        told = (owner, rank, value, number, version)
        if told not in made:
            name = "-".join(map(str, told))
            made[told] = named(name, owner, rank, value, id=identity(number), version=version)
        return made[told]

    return make


@given(told=st.lists(TOLD, min_size=1, max_size=5, unique=True), seed=st.randoms(use_true_random=False))
def test_the_order_of_packages_never_matters(told: list[Any], seed: Any, cached: Callable[..., Given]) -> None:
    packages = [cached(*each) for each in told]
    shuffled = list(packages)
    seed.shuffle(shuffled)

    first, again = resolve(packages), resolve(shuffled)

    assert [each.to_json() for each in first.settings] == [each.to_json() for each in again.settings]
    assert sorted(first.findings) == sorted(again.findings)


@given(told=st.lists(TOLD, min_size=1, max_size=5, unique=True))
def test_a_winner_is_certain(told: list[Any], cached: Callable[..., Given]) -> None:
    """No package that counts is above it or beside it with another value, and all are known to Windows."""
    packages = [cached(*each) for each in told]
    found = one(resolve(packages))
    counting = keep(packages).packages

    if found.outcome is Outcome.WINS:
        assert found.winner is not None
        at = [each.package.metadata.ordered_by for each in counting]
        assert None not in at
        assert found.winner.given.package.metadata.ordered_by == max(each for each in at if each is not None)
        assert at.count(found.winner.given.package.metadata.ordered_by) == 1
    elif found.outcome is Outcome.ALONE:
        assert len(counting) == 1
    elif found.outcome is Outcome.SAME:
        top = [each for each in found.candidates if each.ordered_by in (None, found.candidates[0].ordered_by)]
        assert len({each.setting.value for each in top}) == 1
    else:
        assert len({each.setting.value for each in found.candidates}) == 2
        assert {each.given.label for each in found.candidates} == {each.label for each in counting}
