"""The looks of a run, digested as they come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from provmode.ccm.verdict import unassessed
from provmode.cli.remembering import LooksOfRun
from provmode.fleet.looking import HostReport
from provmode.history.database import Database, url_of
from provmode.history.gathered import Gathered
from provmode.history.run import NewRun
from provmode.history.writer import write

Make = Callable[..., Any]
STATES = ("healthy", "stuck", "overdue", "away:timeout", "away:name-resolution")


def test_looks_that_were_digested_as_they_came_are_written_as_rows_are(
    row: Make, new_run: Make, spans_in: Make, tmp_path: Path
) -> None:
    rows = [row(f"PC-{place}", state, codes=["clock-skew"][: place % 2]) for place, state in enumerate(STATES)]
    looks = Gathered()
    for each in rows:
        looks.add(each)

    def written(name: str, run: NewRun) -> Any:
        with Database(url_of(f"sqlite:///{tmp_path / name}.sqlite")) as database:
            write(database, run)
            return spans_in(database)

    as_rows = written("rows", new_run(0, rows))
    assert len(as_rows) == len(rows)
    assert written("looks", new_run(0, looks=looks)) == as_rows


def test_a_later_look_at_a_host_that_was_away_replaces_the_first(row: Make) -> None:
    looks = Gathered([row("PC-1", "away:timeout"), {**row("PC-1", "stuck"), "tries": 2}])
    look = looks.by_name["pc-1"]
    assert (looks.states.state(look.key).verdict, look.tries) == ("stuck", 2)


@given(names=some.permutations([("PC-1", "away:timeout"), ("pc-1", "stuck"), ("Pc-1", "away:refused")]))
def test_of_several_names_for_one_host_what_is_known_of_it_counts(row: Make, names: list[tuple[str, str]]) -> None:
    looks = Gathered(row(host, state) for host, state in names)
    assert looks.states.state(looks.by_name["pc-1"].key).verdict == "stuck"
    looks.replace(row("PC-1", "away:timeout"))
    assert looks.states.state(looks.by_name["pc-1"].key).verdict == "stuck"


def report(host: str, cause: str) -> HostReport:
    return HostReport(host, unassessed(cause, f"nothing answers ({cause})", "look at it"))


@pytest.mark.parametrize("taken_again", [False, True])
def test_what_a_run_says_in_the_end_counts_and_not_what_it_took_first(taken_again: bool) -> None:
    looks = LooksOfRun()
    first, other = report("PC-1", "connect-timeout"), report("PC-2", "connect-timeout")
    looks.take(first)
    looks.take(other)
    last = report("PC-1", "name-resolution")
    if taken_again:
        looks.take(last)
    gathered = looks.of([last, other, report("PC-3", "refused")])
    causes = {name: gathered.states.state(look.key).cause for name, look in gathered.by_name.items()}
    assert causes == {"pc-1": "name-resolution", "pc-2": "connect-timeout", "pc-3": "refused"}


def test_a_finding_that_came_with_the_end_of_the_run_is_in_the_look(row: Make) -> None:
    looks = Gathered([row("PC-1", "stuck")])
    looks.replace(row("PC-1", "stuck", codes=["same-computer"]))
    look = looks.by_name["pc-1"]
    assert looks.states.state(look.key).codes == ("same-computer",)
    assert look.words().findings == (("same-computer", "there is same-computer"),)
