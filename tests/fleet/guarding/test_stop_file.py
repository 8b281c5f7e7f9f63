"""The stop file: looked at before the start, each wave and each host; it says who and why."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from provmode.fleet.guarding.stop_file import StopFile, default_stop_file

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "stop"


def why(file: Path) -> str:
    stop = StopFile(file).look()
    assert stop is not None
    assert (stop.guard, stop.deferred) == ("stop-file", False)
    return stop.why


def test_without_the_file_nothing_stops(file: Path) -> None:
    guard = StopFile(file)

    assert [guard.before_start([]), guard.before_wave([]), guard.before_host("@winrm/PC-1")] == [None] * 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "says nothing"),
        (b"\n\nlater\n", "says nothing"),
        (b"  the line to Bonn is down \nmore\n", "says: the line to Bonn is down"),
        ("\ufeffWartung läuft\r\n".encode(), "says: Wartung läuft"),
        (b"\xff\xfe broken", "says: �� broken"),
        (b"\x1b[31mred\x07 \xe2\x80\xaegnp.exe", "says: �[31mred� �gnp.exe"),
    ],
)
def test_it_says_whose_the_file_is_and_its_first_line(file: Path, text: bytes, words: str) -> None:
    file.write_bytes(text)

    assert why(file) == f"the stop file {file} of {ME} {words}"


def test_a_long_line_and_a_large_file_are_cut(file: Path) -> None:
    file.write_bytes(b"x" * 50_000_000)

    assert len(why(file)) < 300 + len(str(file))
    assert "(4,096 characters)" in why(file)


def test_a_folder_stops_too(file: Path) -> None:
    file.mkdir()

    assert "says nothing: it is no file" in why(file)


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(file: Path) -> None:
    os.mkfifo(file)

    assert "says nothing: it is no file" in why(file)


def test_a_link_that_leads_nowhere_stops_too(file: Path) -> None:
    file.symlink_to(file.with_name("gone"))

    assert "could not be read: No such file or directory" in why(file)


def test_a_place_that_cannot_be_looked_at_stops_too(file: Path) -> None:
    file.write_text("no folder")

    assert why(file / "stop") == f"could not tell whether there is a stop file {file}/stop: Not a directory"


def test_the_file_of_a_user_without_a_name_is_told_by_number(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.touch()

    def gone(number: int) -> Any:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", gone)

    assert f"of user {os.getuid()} says nothing" in why(file)


# -- a run ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def plan(commands: Any) -> str:
    for number in range(1, 4):
        commands.bench.pc("armed", f"PC-{number}", seed=1)
    path = str(commands.bench.folder / "plan.json")
    assert commands.run("plan", commands.inventory, "--output", path, "--unsigned").code == 2
    return path


def test_a_file_that_is_there_at_the_start_lets_nothing_begin(commands: Any, plan: str) -> None:
    usual = default_stop_file()
    assert usual is not None
    usual.parent.mkdir(parents=True, exist_ok=True)
    usual.write_text("CHG0012345 is on hold\n")

    refused = commands.run("apply", plan, "--unsigned")
    pushed = commands.run("push", commands.inventory, "--unsigned", "--yes", "--output", Path(plan).with_name("push"))
    usual.unlink()
    again = commands.run("apply", plan, "--unsigned")

    assert (refused.code, pushed.code) == (3, 3)
    assert f"the stop file {usual} of {ME} says: CHG0012345 is on hold; ask them" in " ".join(refused.err.split())
    assert f"of {ME} says: CHG0012345 is on hold" in " ".join(pushed.err.split())
    assert again.code == 0


@pytest.mark.parametrize("by", ["option", "file"])
def test_a_file_that_comes_while_a_host_is_worked_on_lets_no_other_begin(
    commands: Any, plan: str, tmp_path: Path, by: str
) -> None:
    stop, config = tmp_path / "our-stop", tmp_path / "provmode.toml"
    config.write_text(f'[limits]\nstop_file = "{stop.name}"\n')
    options = ("--stop-file", stop) if by == "option" else ("--config", config)
    commands.bench.pcs["PC-2"].before("provmode-claim", lambda: stop.write_text("wait\n"))

    ran = commands.run("apply", plan, "--unsigned", "--format", "json", *options)
    stop.unlink()
    again = commands.run("apply", plan, "--unsigned", "--resume", *options)

    report = json.loads(ran.out)
    assert [host["ended"] for host in report["hosts"]] == ["changed", "changed", "not-started"]
    assert (ran.code, report["stopped"]["guard"]) == (2, "stop-file")
    assert report["stopped"]["why"] == report["ended_early"] == f"the stop file {stop} of {ME} says: wait"
    assert commands.bench.pcs["PC-3"].changes
    assert again.code == 0


def test_an_undo_stops_too(commands: Any, plan: str, tmp_path: Path) -> None:
    assert commands.run("apply", plan, "--unsigned").code == 0
    stop = tmp_path / "our-stop"
    undo = ("undo", f"{plan}.journal", "--inventory", commands.inventory, "--unsigned", "--yes", "--stop-file", stop)
    stop.touch()
    refused = commands.run(*undo)
    stop.unlink()
    commands.bench.pcs["PC-1"].before("provmode-claim", stop.touch)

    ran = commands.run(*undo)

    assert (refused.code, ran.code) == (3, 2)
    assert "3 hosts: 1 restored, 2 not-started" in ran.out


def test_the_configuration_shows_which_file_counts(commands: Any, tmp_path: Path) -> None:
    usual = commands.run("config", "--format", "json")
    named = commands.run("config", "--format", "json", "--stop-file", tmp_path / "stop")

    shown = [
        next(row["value"] for row in json.loads(ran.out)["values"] if row["key"] == "limits.stop_file")
        for ran in (usual, named)
    ]
    assert shown == [str(default_stop_file()), str(tmp_path / "stop")]
