"""The page of a run in the history, out of a real database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.verdict import Verdict
from provmode.errors import UsageError
from provmode.history.database import Database, url_of
from provmode.history.reader import History
from provmode.history.run import Change, NewRun
from provmode.history.writer import write
from provmode.report.page.data import PageData
from provmode.report.page.of_history import page_of_history, run_of_page
from provmode.report.page.render import render, sentence

NIGHT = datetime(2026, 11, 20, 2, 0, tzinfo=timezone.utc)
ENTERED = "2026-11-18T02:00:00+00:00"
Rows = Mapping[str, str]


def row(host: str, word: str) -> dict[str, Any]:
    """Return the row of a report; *word* is a verdict, or the cause of an unassessed PC."""
    found: dict[str, Any] = {"host": host, "verdict": word, "reason": f"{host} is {word}", "rule": word}
    found |= {"findings": [], "requests": 9, "retries": 0, "facts": {"client_version": {"known": "5.00.9128.1007"}}}
    if word in ("auth", "connect-timeout"):
        return found | {"verdict": "unassessed", "cause": word, "next_step": f"mend {word}", "facts": {}}
    if word == "stuck":
        found["reason"] = "in provisioning mode since 2026-11-18 02:00 UTC (2 days 0 h), nothing runs: take it out"
        found["facts"]["enabled_time"] = {"known": ENTERED}
    if word == "in-progress":
        found["findings"] = [{"code": "at-work-too-long", "text": "at work for 9 days"}]
    return found


class Nights:
    """A history, one night after the other."""

    def __init__(self, database: Database) -> None:
        self.database, self.began = database, NIGHT

    def night(self, rows: Rows, /, **changes: Any) -> None:
        """Write the audit of a night."""
        run = NewRun(
            f"run-{self.began:%Y%m%d}",
            "audit",
            self.began,
            self.began + timedelta(minutes=3),
            "fleet.py",
            True,
            2,
            "night@controller",
            "0.1.0",
            [row(host, word) for host, word in rows.items()],
        )
        write(self.database, replace(run, **changes))
        self.began += timedelta(days=1)

    def apply(self, *hosts: str, outcome: str = "changed", hours: float = -12) -> None:
        """Write an apply that changed some PCs, so many hours from the coming night."""
        at = self.began + timedelta(hours=hours)
        changes = tuple(Change(host, at, outcome, True, "left the mode") for host in hosts)
        name = f"apply-{at:%Y%m%d%H}"
        write(
            self.database,
            NewRun(name, "apply", at, at, "fleet.py", False, 0, "op@controller", "0.1.0", (), changes, "plan-7"),
        )

    def page(self, run: str | None = None, inventory: str | None = None) -> PageData:
        """Return the page of a run."""
        with self.database.reading() as connection:
            found = run_of_page(History(connection), run=run, inventory=inventory)
            return page_of_history(connection, found, self.began, "history.sqlite")


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    """An empty history."""
    with Database(url_of("sqlite:///history.sqlite", tmp_path)) as database:
        yield Nights(database)


def became(data: PageData) -> dict[str, tuple[list[str], list[str]]]:
    """Return each word with its PCs, by us and not by us, as they are named."""
    assert data.since is not None
    return {
        each.word: tuple(
            [f"{name} ({note})" if note else name for name, note in zip(some.shown, some.notes, strict=True)]
            for some in (each.by_us, each.not_by_us)
        )
        for each in data.since.became
    }


def test_each_word_has_its_pcs_and_whether_it_was_us(nights: Nights) -> None:
    nights.night({"A": "stuck", "B": "stuck", "C": "healthy", "D": "healthy", "E": "stuck", "F": "stuck", "G": "auth"})
    nights.apply("A")
    nights.night({"A": "healthy", "B": "healthy", "C": "stuck", "D": "auth", "E": "armed", "F": "stuck", "H": "armed"})

    assert became(nights.page()) == {
        "new": ([], ["C (stuck)", "H (armed)"]),
        "changed": ([], ["E (stuck, now armed)"]),
        "still": ([], ["F (stuck)"]),
        "fixed": (["A (was stuck)"], ["B (was stuck)"]),
        "lost": ([], ["D (auth)"]),
        "appeared": ([], ["H (armed)"]),
        "vanished": ([], ["G"]),
    }


def test_one_that_returned_has_how_often_it_did_and_until_when(nights: Nights) -> None:
    for word in ("stuck", "healthy", "healthy", "stuck"):
        nights.night({"A": word})

    assert became(nights.page()) == {"returned": ([], ["A (stuck; 1 time before, until 2026-11-21)"])}


def test_the_first_run_has_nothing_to_be_compared_with_and_says_so(nights: Nights) -> None:
    nights.night({"A": "stuck"})

    data = nights.page()

    assert data.since is None
    page = render(data)
    assert page.count("There is no earlier run of the whole inventory in the history.") == 1
    assert "provmode has changed no PC of this inventory" in page
    assert len(data.trend) == 1


def test_the_sentence_and_the_trend_count_the_same(nights: Nights) -> None:
    nights.night({"A": "stuck", "B": "healthy", "C": "auth", "D": "self-healing"})
    nights.night({"A": "healthy", "B": "client-broken", "C": "auth", "D": "no-client"})

    data = nights.page()

    assert [
        (each.compliant, each.left_alone, each.need_something, each.unassessed, each.began) for each in data.trend
    ] == [(1, 1, 1, 1, NIGHT), (2, 0, 1, 1, NIGHT + timedelta(days=1))]
    assert sentence(data.counts) == "1 of 4 PCs needs something; 3 assessed, 1 not."


def test_a_pc_that_is_at_work_for_too_long_needs_something(nights: Nights) -> None:
    nights.night({"A": "in-progress", "B": "auth"})

    data = nights.page()

    assert sentence(data.counts) == "1 of 2 PCs needs something; 1 assessed, 1 not."
    assert [each.host for each in data.hosts] == ["A", "B"]


def test_a_limited_run_is_in_no_trend_and_makes_nobody_vanish(nights: Nights) -> None:
    nights.night({"A": "stuck", "B": "healthy"})
    nights.night({"A": "healthy"}, complete=False, about={"limit": ["A"]})

    data = nights.page(run="last")

    assert became(data) == {"fixed": ([], ["A (was stuck)"])}
    assert len(data.trend) == 1
    assert data.run.limit.shown == ("A",)
    assert nights.page().counts.total == 2


def test_an_unassessed_pc_has_since_when_and_what_it_was_before(nights: Nights) -> None:
    nights.night({"A": "stuck", "B": "auth"})
    for cause in ("connect-timeout", "auth"):
        nights.night({"A": cause, "B": "auth"})

    (auth,) = nights.page().not_assessed

    assert [(each.host, each.since, each.last_verdict, each.last_seen) for each in auth.longest] == [
        ("B", NIGHT, None, None),
        ("A", NIGHT + timedelta(days=1), Verdict.STUCK, NIGHT),
    ]
    assert auth.next_steps == ("mend auth",)
    assert auth.ages == (("for 1 to 7 days", 2),)


def test_the_time_in_the_mode_is_that_of_the_run_and_not_of_the_first_look(nights: Nights) -> None:
    for _ in range(4):
        nights.night({"A": "stuck"})

    (pc,) = nights.page().hosts

    assert pc.in_mode == 5 * 86_400
    assert pc.since == NIGHT
    assert pc.reason == "in provisioning mode since 2026-11-18 02:00 UTC, nothing runs: take it out"


@pytest.mark.parametrize("entered", ["never", "2026-11-18T02:00:00", 7, None])
def test_an_entry_that_is_no_time_leaves_the_time_in_the_mode_open(nights: Nights, entered: Any) -> None:
    stuck = row("A", "stuck")
    stuck["facts"]["enabled_time"] = {"known": entered}
    nights.night({}, rows=[stuck])

    assert [pc.in_mode for pc in nights.page().hosts] == [None]


def test_changes_stand_by_plan_and_those_of_other_pcs_do_not(nights: Nights) -> None:
    nights.night({"A": "stuck", "B": "stuck"})
    nights.apply("A", "elsewhere")
    nights.night({"A": "healthy", "B": "stuck"})
    nights.apply("B", outcome="failed", hours=-3)

    made = nights.page().changes
    of_first_night = nights.page(run="run-20261120").changes

    assert [(each.plan, each.command, each.who, each.outcomes) for each in made] == [
        ("plan-7", "apply", "op@controller", (("failed", made[0].outcomes[0][1]),)),
        ("plan-7", "apply", "op@controller", (("changed", made[1].outcomes[0][1]),)),
    ]
    assert [each.outcomes[0][1].shown for each in made] == [("B",), ("A",)]
    assert of_first_night == ()


def test_the_page_of_an_earlier_run_is_as_it_was_then(nights: Nights) -> None:
    nights.night({"A": "stuck"})
    nights.night({"A": "healthy"})
    nights.night({"A": "auth"})

    data = nights.page(run="run-20261121")

    assert sentence(data.counts) == "0 of 1 PC needs something; 1 assessed, 0 not."
    assert became(data) == {"fixed": ([], ["A (was stuck)"])}
    assert len(data.trend) == 2
    assert (data.run.run, data.run.kind, data.run.who) == ("run-20261121", "audit, number 2", "night@controller")
    assert (data.run.exit_code, data.run.exit_meaning) == (2, "changes pending")
    assert data.run.source == "the history history.sqlite"


def test_policy_and_settings_that_protect_less_are_those_of_the_run(nights: Nights) -> None:
    says = {"setting": "winrm_validate", "value": False, "says": "certificates are not checked", "hosts": ["A", "B"]}
    nights.night({"A": "stuck"}, about={"policy": {"minimum_age_minutes": 30}, "lowered_protection": [says]})
    nights.night({"A": "stuck"}, about={"policy": {}})
    nights.night({"A": "stuck"})

    first, second, third = (nights.page(run=f"{number}").run for number in (1, 2, 3))

    assert (first.policy, second.policy, third.policy) == ("minimum_age_minutes = 30", "the defaults", "")
    assert [(words, some.shown) for words, some in first.lowered] == [("certificates are not checked", ("A", "B"))]
    assert second.lowered == third.lowered == ()


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({}, "the history has no complete audit of any inventory; audit it"),
        ({"inventory": "other.py"}, "the history has no complete audit of other.py; audit it"),
        ({"run": "apply-2026111914"}, r"run 1 \(apply\) looked at no host; give an audit or a plan"),
        ({"run": "nowhere"}, "no run of the history begins with nowhere"),
    ],
)
def test_a_run_that_has_no_page_is_one_line(nights: Nights, wanted: Mapping[str, str], says: str) -> None:
    nights.apply("A")

    with pytest.raises(UsageError) as raised:
        nights.page(**wanted)

    assert raised.match(says)


def test_many_pcs_of_a_word_are_counted_and_some_are_named(nights: Nights, make_row: Callable[..., Any]) -> None:
    nights.night({f"PC-{n:03}": "healthy" for n in range(60)})
    nights.night({f"PC-{n:03}": "stuck" for n in range(60)})

    data = nights.page()

    assert data.since is not None
    (new,) = data.since.became
    assert (new.not_by_us.count, len(new.not_by_us.shown), new.not_by_us.more) == (60, 10, 50)
    assert "</span> and 50 more" in render(data)
