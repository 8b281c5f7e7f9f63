"""Output files are written whole, or the old files stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provmode.atomic_file import check_output, write_output
from provmode.errors import UsageError


def test_a_report_replaces_the_last_one_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    for text in ("monday\n", "tuesday: PC-Ä\n"):
        write_output(report, text)

        assert report.read_text("utf-8") == text
        assert os.listdir(tmp_path) == ["report.txt"]


def test_if_a_report_cannot_be_written_the_last_one_stays(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    report.write_text("monday\n")
    (tmp_path / "report.txt.part").symlink_to("/dev/full")

    with pytest.raises(UsageError, match=r"cannot write .*report\.txt: No space left on device"):
        write_output(report, "tuesday\n")

    assert report.read_text() == "monday\n"
    assert os.listdir(tmp_path) == ["report.txt"]


def test_a_link_is_followed_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("report.txt")
    write_output(tmp_path / "latest", "monday\n")
    write_output(tmp_path / "latest", "tuesday\n")

    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "report.txt").read_text() == "tuesday\n"


def test_a_device_is_written_to_and_not_replaced() -> None:
    with pytest.raises(UsageError, match="cannot write /dev/full: No space left on device"):
        write_output(Path("/dev/full"), "monday\n")
    write_output(Path("/dev/null"), "monday\n")

    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize(
    ("name", "message"), [("", "it is a folder"), ("no/such/report.txt", "there is no such folder")]
)
def test_a_file_that_cannot_be_written_is_refused_before_a_run(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_output(tmp_path / name)
