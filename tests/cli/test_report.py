"""``provmode report`` writes a page, or one line that says why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provmode.fleet.results import BAD_USAGE, COMPLIANT
from provmode.lab.process import LabProcess

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A fleet of every kind of PC."""
    path = tmp_path_factory.mktemp("fleet") / "lab.py"
    with LabProcess(20, 7, inventory=path):
        yield str(path)


def test_the_page_of_a_report_says_what_the_audit_says(provmode: Run, tmp_path: Path, inventory: str) -> None:
    provmode("audit", inventory, "--format", "json", "--output", "report.json")

    ran = provmode("report", "--from", "report.json", "--output", "page.html")

    page = (tmp_path / "page.html").read_text("utf-8")
    assert (ran.returncode, ran.stdout, ran.stderr) == (COMPLIANT, "", "")
    assert page.startswith("<!doctype html>")
    assert re.search(r"\d of 20 PCs needs? something; \d+ assessed, \d+ not\.", page)


def test_a_file_that_cannot_be_written_is_said_before_anything_is_read(provmode: Run, tmp_path: Path) -> None:
    ran = provmode("report", "--from", "away.json", "--output", str(tmp_path / "no folder" / "page.html"))

    assert ran.returncode == BAD_USAGE
    assert ran.stderr.startswith("provmode: cannot write ")
    assert ran.stderr.endswith("no such folder\n")
    assert ran.stderr.count("\n") == 1


def test_what_is_no_report_leaves_the_page_before_as_it_is(provmode: Run, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("the page of yesterday")
    (tmp_path / "report.json").write_text("{}")

    ran = provmode("report", "--from", "report.json", "--output", "page.html")

    assert ran.returncode == BAD_USAGE
    assert ran.stderr == (
        "provmode: report.json: it is not the JSON report of an audit; "
        "give the JSON report that `provmode audit --format json` wrote\n"
    )
    assert (tmp_path / "page.html").read_text() == "the page of yesterday"


# -- out of the history ---------------------------------------------------------------------------------------------


@pytest.fixture
def configured(tmp_path: Path, inventory: str) -> Path:
    """A folder with a configuration file that names inventory and history."""
    (tmp_path / "provmode.toml").write_text(f'inventory = "{inventory}"\n[history]\nurl = "sqlite:///history.sqlite"\n')
    return tmp_path


def test_the_page_is_of_the_last_complete_audit_and_says_what_changed_since_the_one_before(
    provmode: Run, configured: Path
) -> None:
    for limit in ([], [], ["--limit", "PC-00001"]):
        provmode("audit", *limit)

    ran = provmode("report", "--output", "page.html")
    of_first = provmode("report", "--run", "1", "--output", "first.html")
    of_limited = provmode("report", "--run", "last", "--output", "limited.html")

    page, first, limited = (
        (configured / name).read_text("utf-8") for name in ("page.html", "first.html", "limited.html")
    )
    assert [each.returncode for each in (ran, of_first, of_limited)] == [COMPLIANT] * 3, ran.stderr
    assert ran.stdout + ran.stderr == ""
    assert re.search(r"\d of 20 PCs needs? something; \d+ assessed, \d+ not\.", page)
    assert "audit, number 2" in page
    assert "<code>number 1</code>" in page
    assert '<th scope="row">still ' in page
    assert "There is no earlier run of the whole inventory in the history." in first
    assert "of 1 PC " in limited
    assert str(configured / "history.sqlite") in page


def test_the_page_of_an_inventory_that_was_never_audited_is_one_line(provmode: Run, configured: Path) -> None:
    provmode("audit")

    ran = provmode("report", "--inventory", "other.py", "--output", "page.html")

    assert ran.returncode == BAD_USAGE
    assert ran.stderr.startswith("provmode: the history has no complete audit of other.py; ")
    assert ran.stderr.count("\n") == 1
    assert not (configured / "page.html").exists()


def test_a_history_without_a_run_is_one_line(provmode: Run, configured: Path) -> None:
    ran = provmode("report", "--output", "page.html")

    assert ran.returncode == BAD_USAGE
    what = f"there is no history in {configured / 'history.sqlite'} yet"
    assert ran.stderr == f"provmode: {what}; the first run that writes to it makes it\n"


def test_without_a_history_the_line_says_what_else_a_page_can_be_made_of(provmode: Run) -> None:
    ran = provmode("report", "--output", "page.html")

    assert ran.returncode == BAD_USAGE
    assert ran.stderr == (
        "provmode: there is nothing to make a page of: runs are not remembered; "
        "give --from REPORT.json, or write url under [history] in provmode.toml\n"
    )


def test_two_answers_to_which_run_is_meant_are_refused(provmode: Run, tmp_path: Path) -> None:
    ran = provmode("report", "--run", "1", "--from", "report.json", "--output", "page.html")

    assert ran.returncode == BAD_USAGE
    assert "--run, --inventory and --from each say which run is meant; give one of them" in ran.stderr
    assert not (tmp_path / "page.html").exists()
