"""Files that are read by ranges: regular ones, and nothing that never ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provmode.errors import UsageError
from provmode.regular_file import opened


def test_a_range_of_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")

    with opened(tmp_path / "a") as file:
        assert file.size == 10
        assert [file.read(*part) for part in ((0, 3), (8, 5), (10, 1), (4, 0))] == [b"012", b"89", b"", b""]


def test_a_file_that_has_become_shorter_gives_less(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")

    with opened(tmp_path / "a") as file:
        os.truncate(tmp_path / "a", 4)
        assert file.read(2, 8) == b"23"


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").symlink_to("a")

    with opened(tmp_path / "b") as file:
        assert file.size == 1


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "/dev/stdin/x", ".", "gone", "a\0b"])
def test_what_is_no_file_is_refused_without_waiting(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match="cannot read"), opened(tmp_path / name):
        raise AssertionError("it was opened")


def test_a_file_is_closed_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    before = len(os.listdir("/proc/self/fd"))

    with opened(tmp_path / "a"):
        pass

    assert len(os.listdir("/proc/self/fd")) == before
