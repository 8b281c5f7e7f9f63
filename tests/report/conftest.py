"""Audits with texts that somebody wrote to do harm."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import strategies as st

from provmode.ccm.model import ClientReadings
from provmode.ccm.verdict import NEXT_STEP, Assessment, Finding, Verdict, unassessed
from provmode.fleet.audit import Audit
from provmode.fleet.looking import HostReport
from provmode.reading import Absent, Known, Unknown

NIGHT = datetime(2026, 11, 26, 2, 0, tzinfo=timezone.utc)
PIECES = (
    *("=", "+", "-", "@", "=cmd|' /C calc'!A0", "\N{FULLWIDTH EQUALS SIGN}", "\N{SMALL HYPHEN-MINUS}"),
    *(" ", "\t", "\r", "\n", "\r\n", "\x85", "\u2028", "\x1c", "\xa0"),
    *("\x00", "\x1b[31m", "\x7f", "\x9b2J", "\ud800", "\udfff", "\ufffe", "\uffff", "\U0001ffff"),
    *("\u202e", "\u200b", "\ufeff", "\u2066", "A\u0301", "\u05d0", "\U0001f600"),
    *('"', "'", ",", ";", "|", "<", ">", "&", "&#0;", "]]>", "<!--", "</testcase>", "\\", "\\n", "{", "}", "# HELP"),
)
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(st.characters(), max_size=3), max_size=7).map("".join)


@st.composite
def _assessments(draw: Any) -> Assessment:
    if draw(st.booleans()):
        return unassessed(draw(st.sampled_from(sorted(NEXT_STEP))), draw(TEXTS), draw(TEXTS))
    verdict = draw(st.sampled_from([each for each in Verdict if each is not Verdict.UNASSESSED]))
    findings = draw(st.lists(st.builds(Finding, st.just("clock-skew"), TEXTS), max_size=2))
    age = draw(st.none() | st.timedeltas(timedelta(days=-9), timedelta(days=9999)))
    return Assessment(verdict, draw(TEXTS), "a-rule", tuple(findings), age=age)


_READINGS = st.builds(
    ClientReadings,
    st.just(NIGHT),
    client_version=TEXTS.map(Known) | st.just(Absent()) | st.just(Unknown("not-read")),
    computer=TEXTS.map(Known),
    enabled_time=st.datetimes(timezones=st.just(timezone.utc)).map(Known) | st.just(Absent()),
)


@st.composite
def _audits(draw: Any) -> Audit:
    hosts = draw(st.lists(TEXTS, unique=True, max_size=6))
    done = draw(st.integers(0, len(hosts)))
    reports = [HostReport(host, draw(_assessments()), draw(st.none() | _READINGS)) for host in hosts[:done]]
    return Audit(
        hosts,
        reports,
        interrupted=done < len(hosts),
        inventory=draw(TEXTS),
        limit=tuple(draw(st.lists(TEXTS, max_size=1))),
        began=NIGHT,
        ended=NIGHT + timedelta(minutes=9),
    )


@pytest.fixture(scope="session")
def audits() -> st.SearchStrategy[Audit]:
    """Audits, also interrupted ones, with texts that control terminals, end elements, are formulas and the like."""
    return _audits()


@pytest.fixture(scope="session")
def audit_of() -> Callable[..., Audit]:
    """Make the audit of hosts PC-000001, PC-000002 ... with these assessments, at two in the night."""

    def make(*assessments: Assessment, states: tuple[ClientReadings, ...] = (), **fields: Any) -> Audit:
        reports = [
            HostReport(f"PC-{number:06}", each, states[number - 1] if states else None)
            for number, each in enumerate(assessments, 1)
        ]
        named = {"inventory": "fleet.py", "began": NIGHT, "ended": NIGHT + timedelta(minutes=9), **fields}
        return Audit([report.host for report in reports], reports, **named)

    return make
