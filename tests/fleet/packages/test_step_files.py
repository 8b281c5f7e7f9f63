"""The files that a plan needs: read once for all hosts, and never another file than the one that was planned."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import UsageError
from provmode.fleet.step_files import StepFiles, read_whole
from provmode.remediation.steps import AddPackage, RemovePackage
from provmode.windows.files import MAX_SIZE, sha256

DATA = b"the bytes of a package"
ID = "{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}"


@pytest.fixture
def step(tmp_path: Path) -> AddPackage:
    """A step that needs a file."""
    (tmp_path / "it.ppkg").write_bytes(DATA)
    return AddPackage(str(tmp_path / "it.ppkg"), "Pins", ID, "1.0", sha256(DATA))


def test_the_bytes_are_those_that_were_planned_and_are_read_once(step: AddPackage) -> None:
    files = StepFiles()
    files.check([step, replace(step, name="for another host")])
    Path(step.file).write_bytes(b"another file")

    assert files.bytes_of(step) == DATA


def test_a_step_that_needs_no_file_has_no_bytes() -> None:
    assert StepFiles().bytes_of(RemovePackage("Pins", ID, ())) is None


@pytest.mark.parametrize("data", [b"", DATA[:-1], DATA + b"\0", DATA.upper()])
def test_another_file_is_refused_and_what_to_do_is_said(step: AddPackage, data: bytes) -> None:
    Path(step.file).write_bytes(data)
    with pytest.raises(UsageError) as refused:
        StepFiles().check([step])
    assert str(refused.value) == f"{step.file} is not the file that was planned: it was changed since; plan anew"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("gone", "No such file or directory"),
        ("folder", "it is a folder"),
        ("pipe", "it is a pipe or a device"),
        ("device", "it is a pipe or a device"),
        ("circle", "Too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_is_refused_by_name_and_never_waited_for(step: AddPackage, what: str, words: str) -> None:
    path = Path(step.file)
    path.unlink()
    make: dict[str, Any] = {
        "gone": lambda: None,
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "circle": lambda: path.symlink_to(path),
    }
    make[what]()
    with pytest.raises(UsageError, match=f"^cannot read {path}: {words}"):
        StepFiles().check([step])


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(UsageError, match="NUL"):
        StepFiles().check([AddPackage("it\0.ppkg", "Pins", ID, "1.0", sha256(DATA))])


@pytest.mark.parametrize(("size", "refused"), [(MAX_SIZE, False), (MAX_SIZE + 1, True), (1 << 42, True)])
def test_what_is_larger_than_the_limit_is_refused_by_its_size_alone(tmp_path: Path, size: int, refused: bool) -> None:
    path = tmp_path / "large.ppkg"
    path.touch()
    os.truncate(path, size)
    if not refused:
        assert len(read_whole(path)) == size
        return
    with pytest.raises(UsageError) as error:
        read_whole(path)
    assert str(error.value) == (
        f"{path} has {size:,} bytes, and over {MAX_SIZE:,} are not put on a PC over WinRM; distribute it in another way"
    )
