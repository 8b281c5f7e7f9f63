"""A wave of which too few hosts were reached has shown nothing: no other begins after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import Unreachable, UsageError
from provmode.fleet.guarding.reached import too_few
from provmode.fleet.results import HostOutcome
from provmode.fleet.waves import LeastReached, Limits


def outcomes(reached: int, away: int) -> list[HostOutcome]:
    return [HostOutcome.CHANGED] * reached + [HostOutcome.UNREACHED] * away


@pytest.mark.parametrize(
    ("least", "reached", "away", "enough"),
    [
        ("50%", 2, 3, False),
        ("50%", 5, 5, True),
        ("50%", 0, 1, False),
        ("100%", 9, 1, False),
        ("0%", 0, 9, True),
        ("3", 3, 97, True),
        ("3", 2, 97, False),
        ("3", 2, 0, True),
        ("3,50%", 3, 4, False),
        ("33.4%", 1, 2, False),
    ],
)
def test_a_wave_is_enough_if_the_least_part_of_it_was_reached(
    least: str, reached: int, away: int, enough: bool
) -> None:
    stop = too_few(LeastReached.parse(least), outcomes(reached, away))

    assert (stop is None) == enough
    assert stop is None or stop.why.startswith(f"of the last wave {reached} of {reached + away} host")


def test_failed_and_stale_hosts_were_reached() -> None:
    assert too_few(LeastReached(percent=100.0), [HostOutcome.FAILED, HostOutcome.STALE, HostOutcome.ALREADY]) is None


KEPT = [HostOutcome.DEFERRED, HostOutcome.NOT_STARTED]
"""They wait for a maintenance window of their own, or are held."""


def test_hosts_that_were_kept_from_their_turn_do_not_count() -> None:
    half = LeastReached(percent=50.0)

    assert too_few(half, [*KEPT, *KEPT, HostOutcome.CHANGED]) is None
    stop = too_few(half, [*KEPT, HostOutcome.UNREACHED])
    assert stop is not None
    assert stop.why == (
        "of the last wave 0 of 1 host was reached, and --min-reached asks for 50 % (2 more had no turn)"
    )


@pytest.mark.parametrize(("least", "enough"), [("50%", False), ("1", False), ("0%", True)])
def test_a_wave_in_which_nobody_had_a_turn_has_shown_nothing(least: str, enough: bool) -> None:
    stop = too_few(LeastReached.parse(least), KEPT)

    assert (stop is None) == enough
    assert stop is None or stop.why.startswith("of the last wave no host had a turn: each is held, or waits")


@pytest.mark.parametrize("text", ["", "x", "101%", "5;6", "-1"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--min-reached .*is not a number or a percentage"):
        Limits(min_reached=text).check()


# -- a run ------------------------------------------------------------------------------------------------------------


def fleet(commands: Any, away: int, pcs: int = 7) -> str:
    """Plan for PCs of which so many are away when the plan is applied."""
    for number in range(1, pcs + 1):
        commands.bench.pc("armed", f"PC-{number}", seed=1)
    plan = str(commands.bench.folder / "plan.json")
    assert commands.run("plan", commands.inventory, "--output", plan, "--unsigned").code == 2
    for number in range(1, away + 1):
        commands.bench.pcs[f"PC-{number}"].error = Unreachable("it is off")
    return plan


def test_a_run_ends_after_a_wave_of_which_less_than_half_was_reached(commands: Any) -> None:
    plan = fleet(commands, away=3)

    ran = commands.run("apply", plan, "--unsigned", "--format", "json")
    resumed = [commands.bench.pcs[f"PC-{number}"].heal() for number in (1, 2)]
    again = commands.run("apply", plan, "--unsigned", "--resume")

    report = json.loads(ran.out)
    why = "of the last wave 2 of 5 hosts were reached, and --min-reached asks for 50 %"
    assert [host["ended"] for host in report["hosts"]] == ["unreached"] * 3 + ["changed"] * 2 + ["not-started"] * 2
    assert (ran.code, report["ended_early"]) == (2, why)
    assert report["stopped"] == {
        **{"guard": "min-reached", "why": why, "deferred": False},
        "next_step": "--resume when more of them are on, or give a smaller --min-reached",
    }
    journal = [json.loads(line) for line in Path(f"{plan}.journal").read_bytes().splitlines()]
    assert [line["why"] for line in journal if line["event"] == "guard-tripped"] == [why]
    assert (len(resumed), again.code) == (2, 8), "hosts that were done before were reached"
    assert "7 hosts: 6 changed, 1 unreached" in again.out


@pytest.mark.parametrize("option", ["none", "40%", "2"])
def test_the_least_part_can_be_made_smaller_and_taken_away(commands: Any, option: str) -> None:
    plan = fleet(commands, away=3)

    ran = commands.run("apply", plan, "--unsigned", "--min-reached", option)

    assert ran.code == 8
    assert "7 hosts: 4 changed, 3 unreached" in ran.out


def test_the_last_wave_may_be_away(commands: Any) -> None:
    plan = fleet(commands, away=7)

    ran = commands.run("apply", plan, "--unsigned", "--wave", "all")

    assert ran.code == 8
    assert "ended early" not in ran.out


def test_the_text_says_why_and_what_to_do(commands: Any) -> None:
    plan = fleet(commands, away=3)

    ran = commands.run("apply", plan, "--unsigned")

    words = " ".join(ran.out.split())
    assert "ended early: of the last wave 2 of 5 hosts were reached, and --min-reached asks for 50 %" in words
    assert "-> --resume when more of them are on, or give a smaller --min-reached" in words


def test_an_undo_ends_after_such_a_wave_too(commands: Any) -> None:
    plan = fleet(commands, away=0)
    assert commands.run("apply", plan, "--unsigned").code == 0
    for number in (1, 2, 3):
        commands.bench.pcs[f"PC-{number}"].error = Unreachable("it is off")

    ran = commands.run("undo", f"{plan}.journal", "--inventory", commands.inventory, "--unsigned", "--yes")

    assert ran.code == 2
    assert "7 hosts: 2 restored, 3 unreached, 2 not-started" in ran.out
    assert "ended early: of the last wave 2 of 5 hosts" in " ".join(ran.out.split())
