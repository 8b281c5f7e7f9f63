"""An audit as JUnit's XML, read by junitparser, and measured by GitLab's limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml

from provmode.ccm.verdict import AT_WORK_TOO_LONG, Assessment, Finding, Outcome, Verdict, unassessed
from provmode.fleet.audit import Audit
from provmode.fleet.looking import HostReport
from provmode.report.junit import junit

HEALTHY = Assessment(Verdict.HEALTHY, "client 5.00 is not in provisioning mode", "healthy")
STUCK = Assessment(Verdict.STUCK, "in the mode, and nothing runs", "stuck")
OFF = unassessed("connect-timeout", "no answer")
GITLAB_BYTES, GITLAB_ELEMENTS = 30_000_000, 250_000


def written(audit: Audit, **options: Any) -> bytes:
    return "".join(junit(audit, **options)).encode()


def suite_of(audit: Audit, **options: Any) -> Any:
    (suite,) = JUnitXml.fromstring(written(audit, **options))
    return suite


def results(suite: Any) -> dict[str, list[tuple[str, str, str]]]:
    """Return the results of each case by its name: kind of result, its type, and its message."""
    return {case.name: [(type(each).__name__, each.type, each.message) for each in case.result] for case in suite}


def test_a_host_that_needs_something_is_a_case_and_the_others_are_counted(audit_of: Callable[..., Audit]) -> None:
    left_alone = Assessment(Verdict.SELF_HEALING, "will leave by itself", "self-healing")
    suite = suite_of(audit_of(HEALTHY, STUCK, OFF, left_alone, HEALTHY))

    assert results(suite) == {
        "PC-000002": [("Failure", "stuck", "stuck: in the mode, and nothing runs")],
        "PC-000003": [("Error", "connect-timeout", "connect-timeout: no answer")],
        "1 host self-healing": [],
        "2 hosts healthy": [],
    }
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (4, 1, 1, 0)
    assert (suite.name, suite.timestamp) == ("fleet.py", "2026-11-26T02:00:00")
    assert {each.name: each.value for each in suite.properties() if each.value != "0"} == {
        **{"hosts": "5", "stuck": "1", "unassessed": "1", "self-healing": "1", "healthy": "2"},
    }


def test_what_could_not_be_assessed_is_an_error_with_its_next_step(audit_of: Callable[..., Audit]) -> None:
    refused = unassessed("auth", "the PC refused the account")  # counts as failed for the exit code
    (case,) = suite_of(audit_of(refused))

    (error,) = case.result
    assert refused.outcome is Outcome.FAILED
    assert (type(error).__name__, error.type) == ("Error", "auth")
    assert error.text.splitlines() == [
        "auth: the PC refused the account",
        "next step: check user and password; not tried again, accounts lock",
    ]


def test_what_is_at_work_for_too_long_is_a_failure_with_its_finding(audit_of: Callable[..., Audit]) -> None:
    endless = Assessment(Verdict.IN_PROGRESS, "at work", "x", (Finding(AT_WORK_TOO_LONG, "since 2025"),))

    (case,) = suite_of(audit_of(endless))

    (failure,) = case.result
    assert (type(failure).__name__, failure.type) == ("Failure", "in-progress")
    assert failure.text.splitlines()[-1] == "at-work-too-long: since 2025"


def test_every_host_has_a_case_if_that_is_asked_for(audit_of: Callable[..., Audit]) -> None:
    suite = suite_of(audit_of(HEALTHY, STUCK, HEALTHY), every_host=True)

    assert {name: len(found) for name, found in results(suite).items()} == {
        **{"PC-000002": 1, "PC-000001": 0, "PC-000003": 0},
    }


def test_an_interrupted_run_has_an_error_that_says_what_it_lacks(audit_of: Callable[..., Audit]) -> None:
    audit = audit_of(HEALTHY, interrupted=True)
    audit.selected += ["PC-2", "PC-3"]

    assert results(suite_of(audit))["2 of 3 hosts not looked at"] == [
        ("Error", "interrupted", "2 of 3 hosts not looked at: the run was interrupted")
    ]


def test_cases_have_different_names_because_gitlab_keeps_only_the_first_of_equal_ones() -> None:
    names = ["2 hosts healthy", "a\x00", "a\ufffd", "a\ufffd (2)", "b" * 300, "b" * 300 + "c"]
    audit = Audit(names, [HostReport(name, STUCK) for name in names])
    audit.reports += [HostReport("c", HEALTHY), HostReport("d", HEALTHY)]

    cases = list(suite_of(audit))

    assert len({case.name for case in cases}) == len(cases) == 7


@given(st.data())
def test_any_text_is_read_back_and_every_host_is_counted_once(audits: st.SearchStrategy[Audit], data: Any) -> None:
    audit, every_host = data.draw(audits), data.draw(st.booleans())
    needing = [report for report in audit.reports if needs_something(report)]

    suite = suite_of(audit, every_host=every_host)

    cases = list(suite)
    assert len({case.name for case in cases}) == len(cases) == suite.tests
    assert Counter(type(each).__name__ for case in cases for each in case.result) == Counter(
        {"Failure": suite.failures, "Error": suite.errors}
    )
    assert suite.failures + suite.errors == len(needing) + audit.interrupted
    well = [case.name for case in cases if not case.result]
    assert (len(well) if every_host else sum(map(number_in, well))) == len(audit.reports) - len(needing)
    for case in cases:
        assert case.name.isprintable()
        for each in case.result:
            assert each.text.replace("\n", "").isprintable()


def needs_something(report: HostReport) -> bool:
    bad = (Outcome.PENDING, Outcome.FAILED, Outcome.UNASSESSED)
    return report.assessment.outcome in bad


def number_in(name: str) -> int:
    return int(name.split()[0].replace(",", ""))


# -- GitLab's limits ------------------------------------------------------------------------------------------------


def elements(text: bytes) -> int:
    """Return how many objects GitLab counts: elements, and no texts."""
    return sum(1 for _ in ElementTree.fromstring(text).iter())


LONG = "ä<&" * 200
FLEETS = {
    "short reasons": (100_000, unassessed("protocol", "x"), False, 100_000),
    "the longest reasons": (100_000, Assessment(Verdict.STUCK, LONG, "stuck"), False, None),
    "more elements than are taken": (130_000, unassessed("protocol", "x", "y"), False, None),
    "healthy": (100_000, HEALTHY, False, 0),
    "healthy, and a case for every host": (100_000, HEALTHY, True, 100_000),
    "more cases than are taken": (260_000, HEALTHY, True, None),
}
"""Hosts, the assessment of each, whether each is to have a case, and how many have one (``None``: not all)."""


@pytest.mark.parametrize("fleet", FLEETS)
def test_gitlab_takes_the_report_of_any_fleet_and_every_host_is_in_it(
    audit_of: Callable[..., Audit], fleet: str
) -> None:
    hosts, assessment, every_host, own = FLEETS[fleet]
    text = written(audit_of(*[assessment] * hosts), every_host=every_host)

    tree = ElementTree.fromstring(text)
    cases = list(tree.iter("testcase"))
    names = [case.attrib["name"] for case in cases]
    with_own = [name for name in names if name.startswith("PC-")]
    assert len(text) < GITLAB_BYTES
    assert elements(text) <= GITLAB_ELEMENTS
    assert len(set(names)) == len(names)
    assert next(each.attrib["value"] for each in tree.iter("property") if each.attrib["name"] == "hosts") == str(hosts)
    others = [name for name in names if not name.startswith("PC-")]
    assert len(with_own) + sum(map(number_in, others)) == hosts
    if own is not None:
        assert len(with_own) == own
        return
    left_out = hosts - len(with_own)
    assert 0 < left_out < hosts
    assert names[-1] == f"{left_out:,} hosts left out"
    assert [each.tag for each in cases[-1]] == ([] if assessment is HEALTHY else ["error"])
    assert max(len(text) / GITLAB_BYTES, elements(text) / GITLAB_ELEMENTS) > 0.99, "as much as there is room for"


def test_the_worst_hosts_have_their_cases_if_there_is_no_room_for_all(audit_of: Callable[..., Audit]) -> None:
    stuck = Assessment(Verdict.STUCK, "x", "stuck")
    text = written(audit_of(*[HEALTHY] * 260_000, stuck, OFF), every_host=True)

    cases = list(ElementTree.fromstring(text).iter("testcase"))

    assert [case.attrib["name"] for case in cases[:2]] == ["PC-260001", "PC-260002"]
    assert list(cases[-1]) == []
