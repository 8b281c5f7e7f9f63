"""An audit as text: what differs is kept, what is the same is folded at a terminal, and elsewhere nothing is."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest

from provmode.ccm.verdict import Assessment, Finding, Verdict, unassessed
from provmode.fleet.audit import Audit
from provmode.fleet.looking import HostReport
from provmode.report.lines import Page
from provmode.report.terminal import case_of, print_audit


def printed(*assessments: Assessment, wide: bool = False) -> str:
    """Return the report on hosts PC-1, PC-2 ... with *assessments*."""
    reports = [HostReport(f"PC-{number}", each) for number, each in enumerate(assessments, 1)]
    file = io.StringIO()
    print_audit(Audit([report.host for report in reports], reports), Page(file=file, width=80, wide=wide))
    return file.getvalue()


def old(version: str) -> Assessment:
    reason = f"in provisioning mode since an unknown time, nothing runs, and client {version} (before 1902) never "
    return Assessment(Verdict.STUCK, f"{reason}leaves by itself: take it out", "old-client")


def test_hosts_that_share_a_cause_keep_their_reasons() -> None:
    report = printed(unassessed("protocol", "ProvisioningMode is 1"), unassessed("protocol", "no answer at all"))

    assert "ProvisioningMode is 1" in report
    assert "no answer at all" in report


def test_hosts_that_share_cause_reason_and_next_step_are_folded() -> None:
    report = printed(*(unassessed("refused", f"PC-{n} (10.0.0.{n}:5985) refused the connection") for n in (1, 2, 3)))

    assert "PC-1, PC-2, PC-3\n      the PC refused the connection\n" in report
    assert report.count("refused the connection") == report.count("->") == 1


def test_unassessed_hosts_keep_their_findings() -> None:
    found = Finding("clock-skew", "the PC's clock is 7 h ahead")

    assert "the PC's clock is 7 h ahead" in printed(
        Assessment(Verdict.UNASSESSED, "x", "needed-unread", (found,), cause="protocol"), unassessed("protocol", "y")
    )


def test_many_reasons_are_counted_at_a_terminal_and_all_of_them_are_in_a_wide_report() -> None:
    many = [unassessed("protocol", f"answer {'x' * number}!") for number in range(1, 13)]

    folded, wide = printed(*many), printed(*many, wide=True)

    assert folded.count("answer x") == 8
    assert "PC-9, PC-10, PC-11, PC-12: 4 more reasons; --wide prints them" in folded
    assert wide.count("answer x") == 12


def test_in_a_wide_report_the_line_of_a_host_has_everything_that_is_said_of_it() -> None:
    words = "a long reason, " * 20
    report = printed(
        *(unassessed("tls", f"{words}{number}", "do this") for number in range(1, 21)),
        Assessment(Verdict.SELF_HEALING, words, "x", (Finding("clock-skew", words),), age=timedelta(hours=3)),
        Assessment(Verdict.HEALTHY, "client 5.00.1 is not in provisioning mode", "healthy"),
        wide=True,
    ).splitlines()

    for number in range(1, 21):
        assert f"  PC-{number}: tls: {words}{number} -> do this" in report
    assert f"  PC-21 (3 h 0 min): {words.rstrip()}" in report
    assert f"      ! PC-21: {words.rstrip()}" in report
    assert "  PC-22: client 5.00.1 is not in provisioning mode" in report


def test_clients_of_several_old_versions_are_one_case_in_plain_words() -> None:
    report = " ".join(printed(old("5.00.8634.1007"), old("5.00.8740.1024")).split())

    assert "nothing runs, and a client before 1902 never leaves by itself" in report
    assert "client (before" not in report
    assert "client 5.00.8634.1007 (before 1902)" in printed(old("5.00.8634.1007"), wide=True)


@pytest.mark.parametrize(
    ("reason", "case"),
    [
        ("PC-1 (10.0.0.1:5985) did not answer", "the PC did not answer"),
        ("pc-1 denies it", "the PC denies it"),
        ("PC-10 and PC-1.example.com are others", "PC-10 and PC-1.example.com are others"),
        ("the certificate of PC-1.", "the certificate of the PC."),
        ("client 5.00.9128.1007 is not in it", "the client is not in it"),
        ("it should have left by 2026-01-01 00:00 UTC but", "it should have left in time but"),
    ],
)
def test_a_case_is_the_reason_without_what_differs_from_host_to_host(reason: str, case: str) -> None:
    assert case_of(reason, "PC-1") == case
