"""Waves and the failure budget: every host in one wave, and only hosts that were reached count."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.errors import UsageError
from provmode.fleet.apply import ApplyResult
from provmode.fleet.apply_host import HostResult
from provmode.fleet.results import APPLY_OUTCOMES, HostOutcome
from provmode.fleet.waves import Budget, wave_sizes

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
    "text", ["0", "0%", "101%", "-1", "1.5", "ten", "10;20", "10 20", "٣", "1e3", "99999999", "%", "", ",,", "5,"]
)
def test_a_wave_that_is_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"--wave {text}")):
        wave_sizes(text, 10)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5", Budget(5, None)),
        ("2%", Budget(None, 2.0)),
        ("5,2%", Budget(5, 2.0)),
        ("2.5%, 5", Budget(5, 2.5)),
        ("0", Budget(0, None)),
        ("0%", Budget(None, 0.0)),
    ],
)
def test_a_budget_is_a_number_a_percentage_or_both(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@pytest.mark.parametrize("text", ["", ",", "5,", "5,6", "1%,2%", "101%", "-1", "five", "1.5", "nan%", "1%%"])
def test_an_invalid_budget_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--max-failures"):
        Budget.parse(text)


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

    if budget.spent(failed, failed + fine, to_come=to_come):
        assert all(budget.spent(failed, failed + fine + more) for more in range(to_come + 1))
    else:
        assert not budget.spent(failed, failed + fine + to_come)


def test_without_a_failure_the_budget_is_not_spent() -> None:
    assert Budget(0, 0.0).spent(0, 0) == ""
    assert "1 of 1 reached hosts" in Budget(None, 2.0).spent(1, 1)
    assert Budget(0).spent(1, 9, to_come=500) == "1 host failed, more than the 0 of the failure budget"


@given(RESULTS, st.booleans())
def test_the_exit_code_is_that_of_the_worst_outcomes(results: list[HostResult], interrupted: bool) -> None:
    ended = {result.outcome for result in results}
    code = ApplyResult(results, interrupted=interrupted).exit_code()

    if interrupted:
        assert code == 130
        return
    assert bool(code & 4) is (HostOutcome.FAILED in ended)
    assert bool(code & 2) is bool(ended & {HostOutcome.STALE, HostOutcome.NOT_STARTED})
    assert (code == 8) is (
        bool(ended)
        and HostOutcome.UNREACHED in ended <= {HostOutcome.UNREACHED, HostOutcome.CHANGED, HostOutcome.ALREADY}
    )
    assert (code == 0) is (ended <= {HostOutcome.CHANGED, HostOutcome.ALREADY})
