"""Which waiver covers which finding, and what is said of those that do not count."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.ccm.rules import RULES, Rule
from provmode.ccm.verdict import Outcome, Verdict, outcome
from provmode.waivers.match import Book, Row, State, counting, held_by
from provmode.waivers.model import Waivers
from provmode.waivers.words import parse

Reading = Callable[..., Waivers]
Written = Callable[..., str]
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)
STUCK = Row("PC-1", "old-client", "stuck", ("site-a",))


@pytest.mark.parametrize(
    ("changed", "covers"),
    [
        ({}, True),
        ({"host": '"pc-1"'}, True),
        ({"host": '"PC-2"'}, False),
        ({"host": None, "hosts": '"pc-*"'}, True),
        ({"host": None, "hosts": '"PC"'}, False),
        ({"host": None, "hosts": '"PC-[23]"'}, False),
        ({"host": None, "group": '"SITE-A"'}, True),
        ({"host": None, "group": '"site"'}, False),
        ({"hosts": '"X-*"'}, False),
        ({"host": None, "hosts": '"PC-*"', "group": '"site-b"'}, False),
        ({"rule": '"old-client"'}, True),
        ({"rule": '"overdue"'}, False),
        ({"verdict": '"stuck"'}, True),
        ({"verdict": '"armed"'}, False),
        ({"rule": '"old-client"', "verdict": '"stuck"'}, True),
        ({"host": None, "hosts": '"*"', "verdict": '"stuck"'}, True),
    ],
)
def test_a_finding_is_covered_if_everything_that_the_waiver_names_fits(
    reading: Reading, written: Written, changed: dict[str, str | None], covers: bool
) -> None:
    waived = Book(reading(written(**changed))).waive([STUCK], NOW)

    assert (set(waived.by_host) == {"PC-1"}) is covers
    assert waived.standings[0].hosts == (("PC-1",) if covers else ())


@given(st.sampled_from(RULES), st.sampled_from(["", *(rule.name for rule in RULES)]), st.booleans())
def test_nothing_is_waived_that_nobody_has_to_do_something_about(rule: Rule, named: str, by_verdict: bool) -> None:
    verdict: Verdict = rule.verdict
    words = f'rule = "{named}"\n' if named else ""
    words += f'verdict = "{verdict.value}"\n' if by_verdict else ""
    text = (
        f'zone = "UTC"\n[[waiver]]\nhosts = "PC-*"\nowner = "A"\nreason = "r"\nticket = "t"\n{words}'
        "created = 2026-11-01\nexpires = 2026-12-01\n"
    )
    try:
        waivers = parse(text.encode(), "waivers.toml", now=NOW)
    except ValueError:
        return

    waived = Book(waivers).waive([Row("PC-1", rule.name, verdict.value)], NOW)

    assert not waived.by_host or outcome(verdict) in (Outcome.PENDING, Outcome.FAILED)


def test_what_expired_counts_again_and_is_said(reading: Reading, written: Written) -> None:
    waivers = reading(written(expires="2026-11-25"))
    end = waivers.waivers[0].until

    before = Book(waivers).waive([STUCK], end - timedelta(seconds=1))
    after = Book(waivers).waive([STUCK], end)

    assert set(before.by_host) == {"PC-1"}
    assert after.by_host == {}
    assert after.standings[0].state is State.EXPIRED
    assert after.sentences == [
        "waivers.toml: waiver 1 (line 3) (PC-1; Anna, CHG1) expired on 2026-11-25: 1 finding counts again; "
        "mend what it covers, or waive that anew"
    ]


@pytest.mark.parametrize(("days", "said"), [(14.0, True), (14.001, False), (0.001, True)])
def test_for_fourteen_days_it_is_said_that_one_ends(
    reading: Reading, written: Written, days: float, said: bool
) -> None:
    waivers = reading(written())
    now = waivers.waivers[0].until - timedelta(days=days)

    waived = Book(waivers).waive([STUCK], now)

    expected = ["waivers.toml: waiver 1 (line 3) (PC-1; Anna, CHG1) ends on 2026-12-31: then 1 finding counts again"]
    assert waived.sentences == (expected if said else [])


def test_one_that_names_no_pc_and_one_that_matches_nothing_are_said(reading: Reading, written: Written) -> None:
    waivers = reading(written(host='"PC-9"'), written(rule='"armed"'))

    waived = Book(waivers).waive([STUCK], NOW)

    assert [each.state for each in waived.standings] == [State.UNUSED, State.UNUSED]
    assert [sentence.partition(") ")[2].partition(") ")[2] for sentence in waived.sentences] == [
        "names no PC of the inventory; take it out of the file",
        "matches no finding; take it out of the file",
    ]


def test_a_look_at_some_pcs_does_not_say_that_a_waiver_matches_nothing(reading: Reading, written: Written) -> None:
    assert Book(reading(written(host='"PC-9"'))).waive([STUCK], NOW, complete=False).sentences == []


@pytest.mark.parametrize(
    ("row", "complete"), [(Row("PC-2", "armed", "armed"), False), (Row("PC-1", "unreached", "unassessed"), True)]
)
@pytest.mark.parametrize(
    ("expires", "said"),
    [
        ("2026-11-25", "expired on 2026-11-25; mend what it covers, or waive that anew"),
        ("2026-11-30", "ends on 2026-11-30"),
    ],
)
def test_of_a_pc_that_was_not_looked_at_nobody_says_that_its_waiver_is_of_no_use_any_more(
    reading: Reading, written: Written, row: Row, complete: bool, expires: str, said: str
) -> None:
    waived = Book(reading(written(expires=expires))).waive([row], NOW, complete=complete)

    assert waived.sentences == [f"waivers.toml: waiver 1 (line 3) (PC-1; Anna, CHG1) {said}"]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (
            "2026-11-25",
            "2027-02-01",
            ["1 expired on 2026-11-25, and others cover what it did; take it out of the file"],
        ),
        ("2026-11-30", "2027-02-01", []),
        (
            *("2026-11-30", "2026-12-01"),
            ["2 ends on 2026-12-01: then 1 finding counts again"],
        ),
        (
            *("2026-11-24", "2026-11-25"),
            [
                "1 expired on 2026-11-24: 1 finding counts again; mend what it covers, or waive that anew",
                "2 expired on 2026-11-25: 1 finding counts again; mend what it covers, or waive that anew",
            ],
        ),
    ],
)
def test_what_was_waived_anew_is_not_said_to_count_again(
    reading: Reading, written: Written, first: str, second: str, said: list[str]
) -> None:
    waived = Book(reading(written(expires=first), written(expires=second))).waive([STUCK], NOW)

    about = re.compile(r"waivers.toml: waiver (\d) \(line \d+\) \(PC-1; Anna, CHG1\)")
    assert [about.sub(r"\1", each) for each in waived.sentences] == said


def test_a_hold_that_ends_is_said_even_if_a_report_goes_on(reading: Reading, written: Written) -> None:
    waivers = reading(written(expires="2026-11-30", effect='"hold"'), written(expires="2027-02-01"))

    assert Book(waivers).waive([STUCK], NOW).sentences == [
        "waivers.toml: waiver 1 (line 3) (PC-1; Anna, CHG1) ends on 2026-11-30"
    ]


def test_an_expired_waiver_that_covers_nothing_is_to_be_taken_out(reading: Reading, written: Written) -> None:
    waived = Book(reading(written(expires="2026-11-25"))).waive([Row("PC-1", "healthy", "healthy")], NOW)

    assert waived.sentences == [
        "waivers.toml: waiver 1 (line 3) (PC-1; Anna, CHG1) expired on 2026-11-25, and it covers nothing; "
        "take it out of the file"
    ]


def test_of_a_pc_that_was_not_assessed_nobody_says_that_its_waiver_matches_nothing(
    reading: Reading, written: Written
) -> None:
    waived = Book(reading(written())).waive([Row("PC-1", "unreached", "unassessed")], NOW)

    assert waived.by_host == {}
    assert waived.sentences == []


def test_of_several_waivers_all_are_used_and_the_one_that_counts_holds_or_ends_last(
    reading: Reading, written: Written
) -> None:
    waivers = reading(
        written(expires="2026-12-01"), written(expires="2026-12-02"), written(expires="2026-11-30", effect='"hold"')
    )

    waived = Book(waivers).waive([STUCK], NOW)

    assert waived.by_host["PC-1"].number == 3
    assert counting(waivers.waivers[:2]).number == 2
    assert [each.state for each in waived.standings] == [State.USED] * 3


# -- holds ------------------------------------------------------------------------------------------------------------


def test_a_hold_keeps_changes_away_and_says_who_answers_for_it(reading: Reading, written: Written) -> None:
    hold = Book(reading(written(effect='"hold"'))).hold(STUCK, NOW)

    assert hold is not None
    assert held_by(hold) == "held by Anna, CHG1, until 2026-12-31: the lab rebuilds it every night"


def test_a_waiver_that_only_reports_keeps_no_change_away(reading: Reading, written: Written) -> None:
    assert Book(reading(written())).hold(STUCK, NOW) is None


def test_a_hold_that_has_expired_keeps_no_change_away(reading: Reading, written: Written) -> None:
    book = Book(reading(written(effect='"hold"')))

    assert book.hold(STUCK, datetime(2026, 12, 31, 23, 0, tzinfo=timezone.utc)) is None


def test_a_hold_without_a_rule_keeps_every_change_away_also_from_a_healthy_pc(
    reading: Reading, written: Written
) -> None:
    book, healthy = Book(reading(written(effect='"hold"'))), Row("PC-1", "healthy", "healthy")

    assert book.hold(healthy, NOW) is not None
    assert book.waive([healthy], NOW).by_host == {}
    assert book.waive([healthy], NOW).sentences == []  # it is of use


def test_a_hold_with_a_rule_is_about_that_finding_alone(reading: Reading, written: Written) -> None:
    book = Book(reading(written(effect='"hold"', rule='"overdue"')))

    assert book.hold(STUCK, NOW) is None
    assert book.hold(Row("PC-1", "overdue", "overdue"), NOW) is not None


# -- many -------------------------------------------------------------------------------------------------------------


def test_waivers_of_single_pcs_are_found_without_a_look_at_each(reading: Reading, written: Written) -> None:
    waivers = reading(*(written(host=f'"PC-{number}"') for number in range(2000)))
    book = Book(waivers)

    assert {len(book.naming(f"pc-{number}", ())) for number in range(2000)} == {1}
    assert book._of_many == []
