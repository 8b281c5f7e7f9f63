"""The page of one JSON report: what is taken from it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.verdict import Assessment, Finding, Outcome, Verdict, unassessed
from provmode.errors import UsageError
from provmode.fleet.audit import Audit
from provmode.fleet.looking import HostReport
from provmode.report.document import document
from provmode.report.page.of_report import page_of_report, read_report
from provmode.report.page.render import render

NOW = datetime(2026, 11, 26, 7, 0, tzinfo=timezone.utc)
Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def audit() -> Audit:
    """An audit of five PCs, one of which it did not come to."""
    reports = [
        HostReport("PC-1", Assessment(Verdict.HEALTHY, "fine", "healthy")),
        HostReport("PC-2", Assessment(Verdict.STUCK, "stuck on PC-2", "old-client", age=timedelta(hours=70))),
        HostReport("PC-3", unassessed("auth", "PC-3 refused X", "ask the owner")),
        HostReport("PC-4", Assessment(Verdict.HEALTHY, "fine", "healthy", (Finding("same-computer", "is PC-1 too"),))),
    ]
    return Audit(
        [f"PC-{number}" for number in range(1, 6)],
        reports,
        interrupted=True,
        inventory="fleet.py",
        run="0a1b2c3d",
        limit=("pcs*",),
        began=NOW - timedelta(minutes=9),
        ended=NOW - timedelta(minutes=7),
    )


@pytest.fixture
def written(tmp_path: Path, audit: Audit) -> Callable[..., Path]:
    """Write the audit's report, edited, to a file."""

    def write(edit: Edit = lambda report: None) -> Path:
        report = json.loads(json.dumps(document(audit)))
        edit(report)
        path = tmp_path / "report.json"
        path.write_text(json.dumps(report))
        return path

    return write


def test_everything_of_the_report_is_on_its_page(written: Callable[..., Path], audit: Audit) -> None:
    path = written()

    data = page_of_report(read_report(path), path, NOW)

    assert (data.counts.total, data.counts.assessed, data.counts.unassessed) == (5, 3, 1)
    assert (data.counts.not_looked_at, data.counts.of(Outcome.PENDING)) == (1, 1)
    assert [(row.host, row.cause, row.next_step, row.in_mode, row.findings) for row in data.hosts] == [
        ("PC-2", "", "", 70 * 3600, ()),
        ("PC-3", "auth", "ask the owner", None, ()),
        ("PC-4", "", "", None, ("is PC-1 too",)),
    ]
    assert (data.run.inventory, data.run.limit.shown) == ("fleet.py", ("pcs*",))
    assert data.run.run == audit.run == "0a1b2c3d"
    assert data.run.ended is not None
    assert data.run.ended - data.run.began == timedelta(minutes=2)
    assert (data.since, data.trend, data.changes) == (None, (), ())
    assert data.no_history in render(data)


def test_a_report_of_no_pcs_has_a_page(written: Callable[..., Path]) -> None:
    path = written(lambda report: report.update(hosts=[], missing=[]))

    page = render(page_of_report(read_report(path), path, NOW))

    assert "0 of 0 PCs need something; 0 assessed, 0 not." in page


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda report: report.update(format="provmode-inventory"), "it is not the JSON report of an audit"),
        (lambda report: report.update(version=2), "it is not of version 1, which this provmode reads"),
        (lambda report: report.update(version=True), "it is not of version 1, which this provmode reads"),
        (lambda report: report.pop("hosts"), "hosts is missing"),
        (lambda report: report.update(hosts={}), "hosts is not what it has to be"),
        (lambda report: report.update(hosts=[7]), "hosts is not what it has to be"),
        (lambda report: report["hosts"][1].update(verdict="fine"), "hosts[1].verdict is not what it has to be"),
        (lambda report: report["hosts"][1].update(verdict=["stuck"]), "hosts[1].verdict is not what it has to be"),
        (lambda report: report["hosts"][1].update(host=""), "hosts[1].host is not what it has to be"),
        (lambda report: report["hosts"][2].pop("cause"), "hosts[2].cause is missing"),
        (lambda report: report["hosts"][1].update(age_seconds="3"), "hosts[1].age_seconds is not what it has to be"),
        (lambda report: report["hosts"][3]["findings"][0].pop("text"), "hosts[3].findings[0].text is missing"),
        (lambda report: report.update(began="yesterday"), "began is not a time with its zone"),
        (lambda report: report.update(began="2026-11-26T07:00:00"), "began is not a time with its zone"),
        (lambda report: report.update(began="0001-01-01T00:00:00+14:00"), "began is not a time with its zone"),
        (lambda report: report.update(missing="PC-5"), "missing is not what it has to be"),
    ],
)
def test_what_is_no_report_is_one_line_that_names_the_place(
    written: Callable[..., Path], edit: Edit, says: str
) -> None:
    path = written(edit)

    with pytest.raises(UsageError) as raised:
        page_of_report(read_report(path), path, NOW)

    assert str(raised.value) == (f"{path}: {says}; give the JSON report that `provmode audit --format json` wrote")


@pytest.mark.parametrize("contents", [b"", b"\xff\xfe", b"[" * 100_000, b"[]", b'"provmode-audit"', b"null"])
def test_what_is_not_json_of_ours_is_one_line(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(contents)

    with pytest.raises(UsageError, match=r"it is not (JSON|the JSON report of an audit)"):
        read_report(path)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*away\.json: No such file or directory"):
        read_report(tmp_path / "away.json")


@pytest.mark.parametrize("age", [-5, 10**18])
def test_any_age_that_a_pc_says_has_its_page(written: Callable[..., Path], age: int) -> None:
    path = written(lambda report: report["hosts"][1].update(age_seconds=age))

    assert "PC-2" in render(page_of_report(read_report(path), path, NOW))
