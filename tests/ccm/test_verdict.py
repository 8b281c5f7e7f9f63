"""The ten verdicts and the ten causes: what each means, and how an answer looks as JSON."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from provmode.ccm.verdict import (
    NEXT_STEP,
    SEVERITY,
    Assessment,
    Finding,
    Outcome,
    Verdict,
    cause_of,
    outcome,
    unassessed,
)
from provmode.errors import Cause
from provmode.text import SENTENCE

OUTCOMES = {
    "stuck": "pending",
    "overdue": "pending",
    "half-exited": "pending",
    "armed": "pending",
    "client-broken": "failed",
    "unassessed": "unassessed",
    "self-healing": "left-alone",
    "in-progress": "left-alone",
    "no-client": "compliant",
    "healthy": "compliant",
}
"""The ten verdicts of the contract, worst first, and what each counts as."""


def test_the_ten_verdicts_are_those_of_the_contract_worst_first() -> None:
    assert [str(verdict) for verdict in SEVERITY] == list(OUTCOMES)
    assert set(SEVERITY) == set(Verdict)


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_has_its_outcome(verdict: Verdict) -> None:
    assert outcome(verdict).value == OUTCOMES[verdict.value]
    assert Assessment(verdict, "", "").outcome is outcome(verdict)


@pytest.mark.parametrize("cause", NEXT_STEP)
def test_a_cause_that_the_operator_has_to_mend_is_a_failure_and_another_is_not(cause: str) -> None:
    theirs = cause in ("auth", "tls", "access-denied", "other-computer", "shells-forbidden")

    assert unassessed(cause, "x").outcome is (Outcome.FAILED if theirs else Outcome.UNASSESSED)
    assert replace(unassessed(cause, "x"), to_mend=True).outcome is Outcome.FAILED


def test_the_causes_are_the_eleven_of_the_contract_and_the_next_step_belongs_to_the_cause() -> None:
    assert set(NEXT_STEP) == {cause.value for cause in Cause}
    assert len(NEXT_STEP) == 11
    assert unassessed("tls", "no") == Assessment(
        Verdict.UNASSESSED, "no", "unreached", cause="tls", next_step=NEXT_STEP["tls"]
    )
    assert unassessed("tls", "no", "ask the owner").next_step == "ask the owner"


@pytest.mark.parametrize("cause", Cause)
def test_the_next_step_of_a_cause_is_that_of_the_guide(cause: Cause) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text("utf-8")

    assert f"\n| `{cause}` | {unassessed(cause.value, 'x').next_step} |\n" in guide


@pytest.mark.parametrize(
    ("word", "cause"),
    [
        *((cause.value, cause.value) for cause in Cause),
        ("timed-out", "deadline"),
        *((word, "protocol") for word in ("malformed", "fault", "unavailable", "not-read", "too-large", "", "Quota")),
    ],
)
def test_why_a_reading_is_not_known_has_one_of_the_ten_causes(word: str, cause: str) -> None:
    assert cause_of(word) == cause
    assert unassessed(word, "x").cause == cause


def test_an_answer_has_as_json_what_it_says_and_no_more() -> None:
    at = datetime(2026, 8, 22, 3, 0, tzinfo=timezone.utc)

    short = Assessment(Verdict.HEALTHY, "fine", "healthy")
    whole = Assessment(
        Verdict.SELF_HEALING,
        "it leaves by itself",
        "self-healing",
        (Finding("clock-skew", "ahead"), Finding("tcf-armed", "disarm it")),
        age=timedelta(minutes=1, milliseconds=600),
        leaves_at=at,
    )

    assert short.to_json() == {"verdict": "healthy", "reason": "fine", "rule": "healthy", "findings": []}
    assert whole.to_json() == {
        "verdict": "self-healing",
        "reason": "it leaves by itself",
        "rule": "self-healing",
        "findings": [{"code": "clock-skew", "text": "ahead"}, {"code": "tcf-armed", "text": "disarm it"}],
        "age_seconds": 61,
        "leaves_at": "2026-08-22T03:00:00+00:00",
    }
    assert unassessed("tls", "no", "ask").to_json() == {
        **{"verdict": "unassessed", "reason": "no", "rule": "unreached", "findings": []},
        **{"cause": "tls", "next_step": "ask"},
    }


def test_reasons_and_findings_are_bounded_and_say_how_long_they_were() -> None:
    texts = [Assessment(Verdict.STUCK, "r" * 1000, "x").reason, Finding("x", "r" * 1000).text]

    for text in texts:
        assert len(text) == SENTENCE
        assert text.endswith("r\N{HORIZONTAL ELLIPSIS} (1,000 characters)")
