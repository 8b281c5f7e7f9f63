"""How an apply is printed: identical cases are folded."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone

import pytest
from rich.console import Console

from provmode.ccm.impact import Impact
from provmode.ccm.verdict import NEXT_STEP, Assessment, Verdict, unassessed
from provmode.fleet.apply import ApplyResult
from provmode.fleet.apply_host import HostResult
from provmode.fleet.results import HostOutcome
from provmode.reading import Absent, Unknown
from provmode.remediation.lease import LeaseTaken, Token, take
from provmode.remediation.steps import SetMode
from provmode.report.changes import print_apply, print_rows
from provmode.report.lines import Page
from provmode.report.planned import Row
from provmode.wsman import Completed, Instance

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)


def refused_by(token: Token) -> str:
    """Return the message of a controller that finds *token*."""
    talk = take("0" * 16)
    next(talk)
    talk.send([Instance("XmlFragment", {"LocalDateTime": START.isoformat(), "CurrentTimeZone": "0"})])
    talk.send(Completed(1))
    with pytest.raises(LeaseTaken) as raised:
        talk.send(Completed(0, f"provmode-claim\r\n{token}\r\n".encode()))
    return raised.value.what


def shown(results: list[HostResult], *, wide: bool = False) -> str:
    file = io.StringIO()
    print_apply(ApplyResult(results), Page(file=file, width=100, wide=wide))
    return file.getvalue()


def test_hosts_with_one_detail_and_unlike_next_steps_are_not_folded() -> None:
    results = [
        HostResult(f"PC-{number}", HostOutcome.UNREACHED, f"PC-{number} (10.0.0.1:1) is away", "refused", step)
        for number, step in enumerate(("try again", "try again", "look at the port"))
    ]

    printed = shown(results)

    assert "PC-0, PC-1\n      the PC is away\n      -> try again\n" in printed
    assert "PC-2\n      PC-2 (10.0.0.1:1) is away\n      -> look at the port\n" in printed


def test_a_wide_outcome_has_a_whole_line_for_each_host() -> None:
    words = "what was seen " * 20
    results = [
        HostResult("PC-0", HostOutcome.FAILED, words, next_step="do this"),
        *(HostResult(f"PC-{n}", HostOutcome.CHANGED, "well", steps=("a -> b", "c -> d")) for n in range(1, 20)),
    ]

    printed = shown(results, wide=True).splitlines()

    assert f"  PC-0: {words} -> do this" in printed
    assert all(f"  PC-{number}: well; a -> b; c -> d" in printed for number in range(1, 20))


def planned(*rows: Row, wide: bool = False) -> str:
    file = io.StringIO()
    print_rows(rows, (), len(rows), Page(file=file, width=100, wide=wide))
    return file.getvalue()


def test_a_plan_keeps_why_hosts_could_not_be_assessed() -> None:
    rows = [
        Row(f"PC-{number}", unassessed(cause, f"PC-{number} {why}"), (), "could not be assessed", None)
        for number, (cause, why) in enumerate((("tls", "has x"), ("tls", "has x"), ("auth", "refused it")))
    ]

    printed = " ".join(planned(*rows).split())

    assert f"PC-0, PC-1: tls: the PC has x -> {NEXT_STEP['tls']}" in printed
    assert f"PC-2: auth: PC-2 refused it -> {NEXT_STEP['auth']}" in printed


def test_a_plan_keeps_why_it_could_not_tell_what_leaving_the_mode_sets_off() -> None:
    stuck = Assessment(Verdict.STUCK, "stuck", "x")
    rows = [
        Row(f"PC-{number}", stuck, (SetMode(False, "true"),), "", Impact(Unknown("fault", why), Absent(), Absent()))
        for number, why in enumerate(("the class is broken", "the class is broken", "no room"))
    ]

    printed = " ".join(planned(*rows).split())

    assert "2 hosts: could not tell what would start: PC-0, PC-1 the class is broken" in printed
    assert "1 host: could not tell what would start: PC-2 no room" in printed


def test_hosts_that_another_controller_works_on_are_folded() -> None:
    results = [
        HostResult(f"PC-{number}", HostOutcome.STALE, refused_by(Token(START + timedelta(seconds=number), run * 16)))
        for number, run in enumerate("abc")  # each host has another holder
    ]
    file = io.StringIO()

    print_apply(ApplyResult(results), Console(file=file, width=100, highlight=False))

    printed = file.getvalue()
    assert "another controller is at work on it" in printed
    assert printed.count("another controller") == 1
    assert "PC-0, PC-1, PC-2" in printed
