"""An audit as CSV, read by Python's own reader and by a spreadsheet: every host, every column, and no formula."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import unicodedata
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.atomic_file import write_output
from provmode.ccm.model import ClientReadings
from provmode.ccm.verdict import Assessment, Finding, Verdict, unassessed
from provmode.fleet.audit import Audit
from provmode.fleet.looking import HostReport
from provmode.reading import Known, Unknown
from provmode.report.table import COLUMNS, cell, table

FORMULAS = (
    *("=1+1", "+1+1", "-1+1", "@SUM(1)", "=cmd|' /C calc'!A0", '=HYPERLINK("http://example.com")'),
    *("  =1+1", "\t=1+1", "\r=1+1", "\n=1+1", '"=1+1', "\xa0=1+1", "\x1c=1+1"),
    *("\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(1)", "\u22121", "\ufe661", "\ufe621", "\ufe631", "\ufe6bA1"),
)
"""What a spreadsheet takes for a formula, or could."""


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet could take *text* for a formula; written without our own list of signs."""
    bare = text.lstrip().lstrip("\"'") if not text.startswith("'") else text
    first = unicodedata.normalize("NFKC", bare.lstrip()[:1])
    return first in ("=", "+", "-", "@", "\N{MINUS SIGN}", "\t", "\r")


def rows_of(audit: Audit) -> list[dict[str, str]]:
    text = "".join(table(audit)).encode().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_every_host_is_a_row_with_what_an_admin_sorts_by(audit_of: Callable[..., Audit]) -> None:
    entered = datetime(2026, 11, 20, 8, tzinfo=timezone.utc)
    state = ClientReadings(
        datetime(2026, 11, 26, 2, 1, tzinfo=timezone.utc),
        client_version=Known("5.00.9128.1007"),
        computer=Known("PC-000001"),
        enabled_time=Known(entered),
    )
    unread = ClientReadings(state.observed_at, client_version=Unknown("access-denied"))
    skew = Finding("clock-skew", "the PC's clock is 7 h ahead")

    stuck, off = rows_of(
        audit_of(
            Assessment(Verdict.STUCK, "in the mode, and nothing runs", "stuck", (skew,), age=timedelta(hours=138)),
            unassessed("connect-timeout", "no answer"),
            states=(state, unread),
        )
    )

    assert stuck == {
        **{"host": "PC-000001", "verdict": "stuck", "cause": "", "reason": "in the mode, and nothing runs"},
        **{"next_step": "", "age_seconds": "496800", "outcome": "pending", "rule": "stuck", "findings": "clock-skew"},
        **{"computer": "PC-000001", "client_version": "5.00.9128.1007", "leaves_at": ""},
        **{"enabled_time": "2026-11-20T08:00:00+00:00", "observed_at": "2026-11-26T02:01:00+00:00"},
        "waived": "",
    }
    assert (off["verdict"], off["cause"], off["reason"]) == ("unassessed", "connect-timeout", "no answer")
    assert off["next_step"] == "the PC is off, away or behind a firewall: try again when it is on"
    assert (off["client_version"], off["enabled_time"], off["age_seconds"]) == ("", "", "")


def test_a_host_that_an_interrupted_run_lacks_has_a_row_that_says_so(audit_of: Callable[..., Audit]) -> None:
    audit = audit_of(Assessment(Verdict.HEALTHY, "fine", "healthy"), interrupted=True)
    audit.selected.append("PC-2")

    healthy, missing = rows_of(audit)

    assert (healthy["host"], healthy["verdict"]) == ("PC-000001", "healthy")
    assert (missing["host"], missing["verdict"]) == ("PC-2", "")
    assert missing["reason"] == "not looked at: the run was interrupted"


def test_the_file_is_that_of_rfc_4180_with_the_mark_by_which_excel_knows_utf_8(audit_of: Callable[..., Audit]) -> None:
    text = "".join(table(audit_of(Assessment(Verdict.STUCK, 'Ä, "so"', "stuck")))).encode()

    assert text.startswith(b"\xef\xbb\xbfhost,verdict,cause,reason,")
    assert text.endswith(b"\r\n")
    assert re.sub(rb"\r\n", b"", text).count(b"\n") == 0
    assert ',"Ä, ""so""",'.encode() in text


@pytest.mark.parametrize("before", ["", "a;", "a; ", "a|"])
@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_a_text_also_behind_what_divides_lines_elsewhere(text: str, before: str) -> None:
    assert is_formula(text)
    assert cell(before + text).startswith(f"{before.strip()}'")


@pytest.mark.parametrize("text", ["PC-1", "a=b", "1 + 1", "in the mode; nothing runs", "5.00.9128.1007", "it's", ""])
def test_another_text_stays_as_it_is(text: str) -> None:
    assert cell(text) == text


def test_a_number_stays_a_number_also_below_zero() -> None:
    assert cell(-5) == "-5"


@given(st.data())
def test_no_text_makes_a_formula_a_row_or_a_column(audits: st.SearchStrategy[Audit], data: Any) -> None:
    audit = data.draw(audits)
    written = "".join(table(audit)).encode().decode("utf-8-sig")

    rows = list(csv.reader(io.StringIO(written, newline=""), strict=True))

    assert rows[0] == [column.name for column in COLUMNS]
    assert len(rows) == 1 + len(audit.selected)
    assert written.count("\r\n") == len(rows)
    numbers = rows[0].index("age_seconds")
    for row in rows[1:]:
        assert len(row) == len(COLUMNS)
        for number, value in enumerate(row):
            assert value.isprintable()
            assert number == numbers or not is_formula(value)
            assert number != numbers or re.fullmatch(r"(-?\d+)?", value)


@given(st.data())
def test_no_text_makes_a_formula_if_lines_are_divided_at_semicolons(
    audits: st.SearchStrategy[Audit], data: Any
) -> None:
    audit = data.draw(audits)
    written = "".join(table(audit)).encode().decode("utf-8-sig")

    rows = csv.reader(io.StringIO(written, newline=""), delimiter=";")

    assert not [value for row in rows for value in row if is_formula(value)]


@pytest.mark.spreadsheet
def test_a_spreadsheet_finds_text_and_no_formula(audit_of: Callable[..., Audit], tmp_path: Path) -> None:
    audit = audit_of(*(Assessment(Verdict.STUCK, text, "stuck") for text in FORMULAS))
    audit.reports = [HostReport(text, report.assessment) for text, report in zip(FORMULAS, audit.reports, strict=True)]
    bare = "host,reason\r\nPC-1,=1+1\r\n"
    write_output(tmp_path / "audit.csv", table(audit))
    (tmp_path / "bare.csv").write_text(bare)

    cells, bare_cells = (_cells_of(tmp_path / name) for name in ("audit.csv", "bare.csv"))

    assert [text for text, is_text in bare_cells if not is_text] == ["=1+1"], "that is how it shows a formula"
    assert [text for text, is_text in cells if not is_text] == []
    shown = {text for text, _ in cells}
    for text in FORMULAS:
        assert " ".join(text.split()) in shown, "the spreadsheet takes the apostrophe for the mark of a text"


def _cells_of(file: Path) -> list[tuple[str, bool]]:
    """Return the cells of a file as Gnumeric reads it, each with whether it has a value and is no formula."""
    out = file.with_suffix(".xml")
    ran = subprocess.run(
        ["ssconvert", "--export-type=Gnumeric_XmlIO:sax:0", str(file), str(out)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert out.exists(), ran.stderr
    cells = ElementTree.parse(out).iter("{http://www.gnumeric.org/v10.dtd}Cell")
    return [(each.text or "", "ValueType" in each.attrib) for each in cells]
