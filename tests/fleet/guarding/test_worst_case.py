"""How many hosts can fail at worst is what a run does if every host fails at the worst moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.fleet.guarding.worst_case import WorstCase, worst_case
from provmode.fleet.waves import Budget


def failures_of(waves: list[int], budget: Budget, parallel: int, good: int) -> int:
    """Return how many hosts fail in a run of which the first *good* hosts end well, and all others fail."""
    failed = reached = 0
    for size in waves:
        left = size
        while left:
            if budget.spent(failed, reached, to_come=left):
                return failed
            begun = min(parallel, left)  # all are begun before one of them ends
            failures = max(0, min(begun, reached + begun - good))
            failed, reached, left = failed + failures, reached + begun, left - begun
    return failed


BUDGETS = st.builds(Budget, st.none() | st.integers(0, 20), st.none() | st.integers(0, 100).map(float))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), BUDGETS, st.integers(1, 70), st.integers(0, 60))
def test_no_run_has_more_failures_than_were_said(waves: list[int], budget: Budget, parallel: int, good: int) -> None:
    assert failures_of(waves, budget, parallel, good) <= worst_case(waves, budget, parallel).failed <= sum(waves)


@pytest.mark.parametrize(
    ("waves", "budget", "parallel", "worst"),
    [
        ([5, 100, 295], Budget(5, 20.0), 64, WorstCase(69, 64)),
        ([5, 100, 295], Budget(5, 20.0), 1, WorstCase(6, 1)),
        ([10, 10], Budget(0), 4, WorstCase(4, 4)),
        ([10], Budget(None, 50.0), 3, WorstCase(8, 3)),
        ([10], Budget(None, 100.0), 3, WorstCase(10, 0)),
        ([3, 4], None, 5, WorstCase(7, 5)),
        ([], Budget(1), 5, WorstCase(0, 0)),
    ],
)
def test_the_worst_case_is_the_budget_and_what_is_worked_on(
    waves: list[int], budget: Budget | None, parallel: int, worst: WorstCase
) -> None:
    assert worst_case(waves, budget, parallel) == worst
    assert worst.budget + worst.in_flight == worst.failed
