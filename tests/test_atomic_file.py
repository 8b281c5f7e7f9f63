"""Output files are written whole, or the old files stay."""

from __future__ import annotations

import errno
import os
import resource
import secrets
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import provmode.atomic_file
from provmode.atomic_file import check_output, write_output
from provmode.errors import UsageError


def test_a_report_replaces_the_last_one_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    for text in ("monday\n", "tuesday: PC-Ä\n"):
        write_output(report, text)

        assert report.read_text("utf-8") == text
        assert os.listdir(tmp_path) == ["report.txt"]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond *size* bytes."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_if_a_report_cannot_be_written_the_last_one_stays(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    report.write_text("monday\n")

    with (
        room_for(4),
        pytest.raises(UsageError, match=rf"cannot write .*report\.txt: {os.strerror(errno.EFBIG)}"),
    ):
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


# -- what others prepare -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prepare", ["symlink_to", "hardlink_to"])
def test_nothing_that_was_prepared_under_the_temporary_name_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: str
) -> None:
    victim, report = tmp_path / "victim", tmp_path / "report.txt"
    victim.write_text("precious\n")
    monkeypatch.setattr(secrets, "token_hex", lambda size: "guessed")
    for name in ("report.txt.part", ".provmode-guessed.part"):
        getattr(tmp_path / name, prepare)(victim)

    with pytest.raises(UsageError, match="File exists"):
        write_output(report, "monday\n")
    monkeypatch.undo()
    (tmp_path / ".provmode-guessed.part").unlink()
    write_output(report, "monday\n")

    assert victim.read_text() == "precious\n"
    assert report.read_text() == "monday\n"
    assert not report.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["report.txt", "report.txt.part", "victim"]


def test_a_hard_link_in_the_reports_place_is_replaced_and_its_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious\n")
    (tmp_path / "report.txt").hardlink_to(tmp_path / "victim")

    write_output(tmp_path / "report.txt", "monday\n")

    assert (tmp_path / "victim").read_text() == "precious\n"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_somebody_else_prepared_in_a_shared_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    shared, report = tmp_path / "shared", tmp_path / "shared" / "report.txt"
    shared.mkdir()
    shared.chmod(0o1777)
    (tmp_path / "victim").write_text("precious\n")
    if kind == "file":
        report.touch(0o666)
    else:
        report.symlink_to(tmp_path / "victim")
    stranger = os.geteuid() + 1
    lstat = Path.lstat
    strangers = lambda path: os.stat_result((*lstat(path)[:4], stranger, *lstat(path)[5:]))  # noqa: E731
    monkeypatch.setattr(Path, "lstat", strangers)

    for write in (check_output, lambda path: write_output(path, "monday\n")):
        with pytest.raises(UsageError, match="belongs to somebody else"):
            write(report)

    assert (tmp_path / "victim").read_text() == "precious\n"
    assert sorted(os.listdir(shared)) == ["report.txt"]


def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")

    with pytest.raises(UsageError, match="cannot write"):
        write_output(tmp_path / "one", "monday\n")


# -- modes and owners --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mask", "public"), [(0o022, 0o644), (0o000, 0o666), (0o077, 0o600)])
def test_a_new_report_has_the_umasks_mode_and_a_private_file_is_its_owners_alone(
    tmp_path: Path, mask: int, public: int
) -> None:
    with umask(mask):
        write_output(tmp_path / "report", "monday\n")
        write_output(tmp_path / "plan", "monday\n", private=True)

    assert mode_of(tmp_path / "report") == public
    assert mode_of(tmp_path / "plan") == 0o600


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_report_keeps_the_mode_that_it_had(tmp_path: Path, mode: int) -> None:
    report = tmp_path / "report"
    report.touch()
    report.chmod(mode)

    write_output(report, "tuesday\n")

    assert mode_of(report) == mode
    assert report.read_text() == "tuesday\n"


def test_a_file_is_closed_to_others_until_it_has_its_owner_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, seen = tmp_path / "report", list[tuple[int, int, int]]()
    report.touch()
    report.chmod(0o644)
    monkeypatch.setattr(
        os, "fchown", lambda file, owner, group: seen.append((stat.S_IMODE(os.fstat(file).st_mode), owner, group))
    )

    write_output(report, "tuesday\n")

    assert seen == [(0o600, report.stat().st_uid, report.stat().st_gid)]


def test_if_neither_owner_nor_group_can_be_kept_the_new_group_gets_no_more_than_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: int, owner: int, group: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    report = tmp_path / "report"
    report.touch()
    report.chmod(0o664)
    monkeypatch.setattr(os, "fchown", refused)

    write_output(report, "tuesday\n")

    assert mode_of(report) == 0o644


# -- pipes, and two writers --------------------------------------------------------------------------------------------


def test_a_pipe_that_nobody_reads_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report")

    with pytest.raises(UsageError, match="nobody reads from it; start its reader first"):
        write_output(tmp_path / "report", "monday\n")


def test_a_pipe_at_the_old_temporary_name_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report.part")

    write_output(tmp_path / "report", "monday\n")

    assert (tmp_path / "report").read_text() == "monday\n"


def test_a_pipe_gets_everything_even_from_a_slow_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report")
    text = "monday: PC-Ä\n" * 50_000
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "report").read_text("utf-8")))
    holder = os.open(tmp_path / "report", os.O_RDONLY | os.O_NONBLOCK)  # a reader is there from the start
    reader.start()
    write_output(tmp_path / "report", text)
    os.close(holder)
    reader.join(timeout=60)

    assert read == [text]


def test_a_reader_that_takes_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provmode.atomic_file, "PATIENCE", 0.1)
    os.mkfifo(tmp_path / "report")
    reader = os.open(tmp_path / "report", os.O_RDONLY | os.O_NONBLOCK)

    with pytest.raises(UsageError, match=r"its reader took nothing for 0\.1 s"):
        write_output(tmp_path / "report", "x" * 1_000_000)
    os.close(reader)


def test_a_reader_is_waited_for_although_a_thousand_files_are_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provmode.atomic_file, "PATIENCE", 0.1)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    os.mkfifo(tmp_path / "report")
    reader = os.open(tmp_path / "report", os.O_RDONLY | os.O_NONBLOCK)
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1030)]
    try:
        with pytest.raises(UsageError, match=r"its reader took nothing for 0\.1 s"):
            write_output(tmp_path / "report", "x" * 1_000_000)
    finally:
        for file in (reader, *files):
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_report_can_be_written_to_standard_output(tmp_path: Path) -> None:
    program = "from pathlib import Path; from provmode.atomic_file import *; write_output(Path('/dev/stdout'), 'ä\\n')"
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=True)

    assert ran.stdout == "ä\n".encode()


def test_two_writers_at_once_do_not_disturb_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, both = tmp_path / "report", threading.Barrier(2, timeout=30)
    fsync, errors = os.fsync, list[Exception]()

    def together(file: int) -> None:
        both.wait()  # both have written, neither has replaced the report
        fsync(file)
        both.wait()

    def write(text: str) -> None:
        try:
            write_output(report, text)
        except UsageError as error:
            errors.append(error)

    monkeypatch.setattr(os, "fsync", together)
    writers = [threading.Thread(target=write, args=(name * 100_000,)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert errors == []
    assert report.read_text() in ("a" * 100_000, "b" * 100_000)
    assert os.listdir(tmp_path) == ["report"]


def test_a_file_can_be_written_in_parts(tmp_path: Path) -> None:
    write_output(tmp_path / "report", (part for part in ("one\n", "zwölf\n")))

    assert (tmp_path / "report").read_text("utf-8") == "one\nzwölf\n"


def test_a_part_that_cannot_be_made_leaves_the_previous_file(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("previous")

    def parts() -> Iterator[str]:
        yield "new"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_output(path, parts())

    assert path.read_text() == "previous"
    assert list(tmp_path.iterdir()) == [path]
