"""Waves and the failure budget: every host in one wave, and only hosts that were reached count."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.errors import UsageError
from provmode.fleet.apply import ApplyResult
from provmode.fleet.apply_host import HostResult
from provmode.fleet.results import APPLY_OUTCOMES, HostOutcome
from provmode.fleet.waves import Budget, Limits, wave_sizes

PARTS = st.lists(
    st.one_of(st.integers(1, 5000).map(str), st.integers(1, 100).map(lambda percent: f"{percent}%")),
    min_size=1,
    max_size=6,
)
RESULTS = st.lists(st.sampled_from(APPLY_OUTCOMES).map(lambda ended: HostResult("PC-1", ended)), max_size=60)


@pytest.mark.parametrize(
    ("text", "hosts", "sizes"),
    [
        ("10,100,25%", 1000, [10, 100, 250, 640]),
        ("5", 0, []),
        ("10", 3, [3]),
        ("1%", 3, [1, 2]),
        ("100%", 5, [5]),
        ("50%,50%", 5, [3, 2]),
        (" 1 , 2 ", 5, [1, 2, 2]),
        ("5,5", 5, [5]),
        ("2,5", 3, [2, 1]),
        ("9999999", 3, [3]),
    ],
)
def test_waves_have_the_given_sizes_and_the_last_takes_the_rest(text: str, hosts: int, sizes: list[int]) -> None:
    assert wave_sizes(text, hosts) == sizes


@given(PARTS, st.integers(0, 10_000))
def test_every_host_is_in_exactly_one_wave_and_no_wave_is_empty(parts: list[str], hosts: int) -> None:
    sizes = wave_sizes(",".join(parts), hosts)

    assert sum(sizes) == hosts
    assert all(size > 0 for size in sizes)
    assert len(sizes) <= len(parts) + 1


@given(PARTS, st.integers(1, 10_000))
def test_no_wave_but_the_last_is_larger_than_given(parts: list[str], hosts: int) -> None:
    sizes = wave_sizes(",".join(parts), hosts)

    for size, part in zip(sizes, parts, strict=False):
        given_size = -(-hosts * int(part[:-1]) // 100) if part.endswith("%") else int(part)
        assert size <= given_size


@pytest.mark.parametrize(
    ("text", "part"),
    [
        *((text, text) for text in ("0", "0%", "101%", "-1", "1.5", "ten", "10;20", "10 20", "٣", "1e3", "99999999")),
        *(("%", "%"), ("", ""), (",,", ""), ("5,", ""), ("5, ten", "ten")),
    ],
)
def test_a_wave_that_is_not_a_number_is_refused(text: str, part: str) -> None:
    with pytest.raises(UsageError) as refused:
        wave_sizes(text, 10)

    assert (
        str(refused.value)
        == f"--wave {text}: '{part}' is not a number of hosts or a percentage; write it as in 10,100,25%"
    )


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5", Budget(5, None)),
        ("2%", Budget(None, 2.0)),
        ("5,2%", Budget(5, 2.0)),
        ("2.5%, 5", Budget(5, 2.5)),
        ("0", Budget(0, None)),
        ("0%", Budget(None, 0.0)),
        ("100%", Budget(None, 100.0)),
        ("9999999", Budget(9_999_999, None)),
        (" 5 , 2% ", Budget(5, 2.0)),
    ],
)
def test_a_budget_is_a_number_a_percentage_or_both(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@pytest.mark.parametrize(
    ("text", "part"),
    [
        *(("", ""), (",", ""), ("5,", ""), ("5,6", "6"), ("1%,2%", "2%"), ("101%", "101%"), ("100.1%", "100.1%")),
        *((text, text) for text in ("-1", "five", "1.5", "nan%", "1%%", "99999999", "0100%")),
    ],
)
def test_an_invalid_budget_is_refused(text: str, part: str) -> None:
    with pytest.raises(UsageError) as refused:
        Budget.parse(text)

    assert str(refused.value) == f"--max-failures {text}: '{part}' is not a number or a percentage; write it as in 5,2%"


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 10), st.integers(0, 100))
def test_at_the_end_of_a_wave_the_percentage_is_of_the_reached_hosts(
    failed: int, fine: int, number: int, percent: int
) -> None:
    over = failed > number or 100 * failed > percent * (failed + fine)

    assert bool(Budget(number, percent).spent(failed, failed + fine)) is over


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 100))
def test_within_a_wave_the_budget_is_spent_only_if_it_is_sure_to_be_exceeded(
    failed: int, fine: int, to_come: int, percent: int
) -> None:
    budget = Budget(None, percent)

    now_spent = bool(budget.spent(failed, failed + fine, to_come=to_come))
    in_the_best_case, in_any_case = (
        bool(budget.spent(failed, failed + fine + to_come)),
        all(budget.spent(failed, failed + fine + more) for more in range(to_come + 1)),
    )

    assert now_spent is in_the_best_case is in_any_case


@pytest.mark.parametrize(
    ("failed", "reached", "to_come", "why"),
    [
        (0, 0, 0, ""),
        (0, 10, 0, ""),
        (1, 4, 0, ""),  # 25 %, and not more
        (1, 2, 2, ""),
        (2, 8, 0, ""),
        (3, 12, 0, "3 hosts failed, more than the 2 of the failure budget"),
        (1, 3, 0, "1 of 3 reached hosts failed, more than the failure budget of 25 %"),
        (1, 1, 2, "1 of 1 reached hosts failed, more than the failure budget of 25 %"),
    ],
)
def test_a_budget_of_two_hosts_and_a_quarter_is_spent_by_more_than_that(
    failed: int, reached: int, to_come: int, why: str
) -> None:
    assert Budget(2, 25.0).spent(failed, reached, to_come=to_come) == why


def test_a_budget_of_nothing_is_spent_by_the_first_failure() -> None:
    assert Budget(0, 0.0).spent(0, 0) == ""
    assert Budget(0).spent(1, 9, to_come=500) == "1 host failed, more than the 0 of the failure budget"
    assert Budget(None, 0.0).spent(1, 9, to_come=500).endswith("more than the failure budget of 0 %")
    assert Budget(None, 2.5).spent(3, 100) == "3 of 100 reached hosts failed, more than the failure budget of 2.5 %"


def test_a_budget_without_a_limit_is_never_spent() -> None:
    assert Budget().spent(1_000, 1_000) == ""
    assert Budget(None, 100.0).spent(1_000, 1_000) == ""


def test_without_limits_there_is_one_wave_of_all_hosts_no_pause_and_no_budget() -> None:
    limits = Limits()

    assert limits.sizes(7) == [7]
    assert limits.soak == 0
    assert limits.budget() is None


def test_the_limits_are_read_as_waves_and_as_a_budget() -> None:
    limits = Limits(wave="1,50%", max_failures="5,2%")

    assert limits.sizes(4) == [1, 2, 1]
    assert limits.budget() == Budget(5, 2.0)
    with pytest.raises(UsageError, match=r"^--wave : '' is not a number of hosts"):
        Limits(wave="").sizes(4)
    with pytest.raises(UsageError, match=r"^--max-failures : '' is not a number or"):
        Limits(max_failures="").budget()


def test_a_limit_cannot_be_raised_during_a_run() -> None:
    limits = Limits(soak=5.0, max_failures="5")
    budget = limits.budget()

    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.soak = 0.0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        budget.number = 1_000  # type: ignore[misc, union-attr]
    assert limits.sizes(3) == [3]


@given(RESULTS, st.booleans())
def test_the_exit_code_is_that_of_the_worst_outcomes(results: list[HostResult], interrupted: bool) -> None:
    ended = {result.outcome for result in results}
    code = ApplyResult(results, interrupted=interrupted).exit_code()

    if interrupted:
        assert code == 130
        return
    assert bool(code & 4) is (HostOutcome.FAILED in ended)
    assert bool(code & 2) is bool(ended & {HostOutcome.STALE, HostOutcome.NOT_STARTED, HostOutcome.DEFERRED})
    assert (code == 8) is (
        bool(ended)
        and HostOutcome.UNREACHED in ended <= {HostOutcome.UNREACHED, HostOutcome.CHANGED, HostOutcome.ALREADY}
    )
    assert (code == 0) is (ended <= {HostOutcome.CHANGED, HostOutcome.ALREADY})
