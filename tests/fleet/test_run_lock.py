"""A run that is still going is not begun again: two real processes, at one PC that accepts and never answers."""

from __future__ import annotations

import getpass
import json
import os
import platform
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
import pytest

from provmode.cli.common import CONFIGURATION
from provmode.cli.one_at_a_time import alone, typed
from provmode.fleet import run_lock
from provmode.fleet.configuration import Configuration
from provmode.fleet.run_lock import Holder, StillGoing, lock_file, one_run

Run = Callable[..., Any]
NOW = datetime(2026, 11, 26, 2, 0, tzinfo=timezone.utc)
HOLDER = Holder("provmode audit", "fleet.py", NOW, "provmode@controller", 4711)


class Mute:
    """Two PCs that accept connections and never answer, in the inventory of a configuration file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.listener = folder, socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        (folder / "pcs.csv").write_text(f"name,address,winrm_port\nPC-1,127.0.0.1,{port}\nPC-2,127.0.0.1,{port}\n")
        (folder / "others.csv").write_text(f"name,address,winrm_port\nPC-1,127.0.0.1,{port}\n")
        (folder / "password").write_text("secret-of-test\n")
        (folder / "provmode.toml").write_text(
            "inventory = 'pcs.csv'\n[data]\nwinrm_user = 'LAB\\auditor'\nwinrm_password_file = 'password'\n"
        )

    @contextmanager
    def going(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run provmode; yields when it has connected to a PC, and kills it at the end."""
        with subprocess.Popen(
            [sys.executable, "-m", "provmode", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            connection, _ = self.listener.accept()
            try:
                yield process
            finally:
                process.kill()
                connection.close()

    def answers_no_more(self) -> None:
        """Let a further run end at once: the PCs refuse connections."""
        self.listener.close()


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[Mute]:
    """The PCs, and the working directory."""
    tmp_path.chmod(0o755)
    pcs = Mute(tmp_path)
    pcs.listener.settimeout(60)
    yield pcs
    pcs.listener.close()


@pytest.mark.parametrize("kind", ["audit", "plan"])
def test_a_run_that_is_going_is_not_begun_again_and_the_line_says_who_has_it(
    provmode: Run, mute: Mute, kind: str
) -> None:
    with mute.going(kind, "--data", "winrm_host_deadline=599") as going:
        ran = provmode(kind)
        by_its_path = provmode(kind, str(mute.folder / "pcs.csv"))

    assert (ran.returncode, ran.stdout) == (3, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith("provmode: a run of pcs.csv is going since 20")
    typed_there = f"provmode {kind} --data winrm_host_deadline=..."
    assert f" UTC, by {getpass.getuser()}@{platform.node()}, process {going.pid}: {typed_there}; wait until" in line
    assert (by_its_path.returncode, by_its_path.stderr) == (3, ran.stderr)


def test_a_run_that_is_killed_leaves_nothing_behind(provmode: Run, mute: Mute) -> None:
    with mute.going("audit") as going:
        going.kill()
        going.wait()
        mute.answers_no_more()
        ran = provmode("audit")

    assert (ran.returncode, ran.stderr) == (8, "")


def test_worker_processes_do_not_keep_the_lock_of_a_run_that_is_gone(provmode: Run, mute: Mute) -> None:
    workers: list[int] = []
    try:
        with mute.going("audit", "--processes", "2") as going:
            children = Path(f"/proc/{going.pid}/task/{going.pid}/children").read_text().split()
            workers = [int(child) for child in children]
            for worker in workers:
                os.kill(worker, signal.SIGSTOP)  # they must not end before the other run asks
            going.kill()
            going.wait()
            mute.answers_no_more()
            ran = provmode("audit")
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGKILL)

    assert len(workers) == 2
    assert (ran.returncode, ran.stderr) == (8, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "--limit", "PC-1"),
        ("audit", "--exclude", "PC-2"),
        ("audit", "others.csv"),
        ("audit", "--config", "other.toml"),
        ("plan",),
    ],
    ids=" ".join,
)
def test_another_run_is_begun_beside_it(provmode: Run, mute: Mute, arguments: tuple[str, ...]) -> None:
    (mute.folder / "other.toml").write_text((mute.folder / "provmode.toml").read_text())
    with mute.going("audit"):
        mute.answers_no_more()
        ran = provmode(*arguments)

    assert (ran.returncode, ran.stderr) == (8, "")


def test_without_a_configuration_file_any_two_runs_go_beside_each_other(provmode: Run, mute: Mute) -> None:
    (mute.folder / "provmode.toml").rename(mute.folder / "unread.toml")
    options = ("--data", "winrm_user=LAB\\auditor", "--data", "winrm_password_file=password")
    with mute.going("audit", "pcs.csv", *options):
        mute.answers_no_more()
        ran = provmode("audit", "pcs.csv", *options)

    assert (ran.returncode, ran.stderr) == (8, "")


def test_a_state_folder_that_cannot_be_written_is_one_line_and_the_run_goes_on(
    provmode: Run, mute: Mute, state_folder: Path
) -> None:
    state_folder.parent.joinpath("provmode").touch()  # a file where the folder should be
    mute.answers_no_more()

    ran = provmode("audit")

    (line,) = [line for line in ran.stderr.splitlines() if "locked" in line]
    assert line.startswith(f"provmode: {state_folder}/audit-")
    assert line.endswith(".lock cannot be locked (File exists): the same run can be started twice")
    assert ran.returncode == 8
    assert "PC-1" in ran.stdout


def test_it_is_held_until_the_command_is_over_with_its_report_and_its_history(
    tmp_path: Path, state_folder: Path
) -> None:
    configuration = Configuration(tmp_path / "provmode.toml", values={"": {"inventory": "pcs.csv"}})
    file = lock_file(state_folder, "audit", "pcs.csv", tmp_path / "provmode.toml")

    with click.Context(click.Command("audit")) as context:
        context.meta[CONFIGURATION] = configuration
        alone("audit", "pcs.csv", (), ())
        with pytest.raises(StillGoing), one_run(file, HOLDER):
            pass

    with one_run(file, HOLDER) as trouble:
        assert trouble == ""


# -- the file -------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a lock, in a folder that does not exist yet."""
    return tmp_path / "state" / "provmode" / "audit.lock"


def test_only_the_user_can_read_who_holds_it(file: Path) -> None:
    with one_run(file, HOLDER) as trouble:
        held = json.loads(file.read_text())

    assert trouble == ""
    assert held == {**HOLDER.to_json(), "format": "provmode-run-lock", "version": 1}
    assert (held["process"], held["began"]) == (4711, "2026-11-26T02:00:00+00:00")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_it_can_be_taken_again_when_it_is_free_and_says_who_has_it_now(file: Path) -> None:
    with one_run(file, Holder("a much longer command line " * 9, "fleet.py", NOW, "a@b", 1)):
        pass
    with one_run(file, HOLDER) as trouble:
        with pytest.raises(StillGoing) as refused, one_run(file, HOLDER):
            pass

        assert trouble == ""
        assert json.loads(file.read_text())["command"] == "provmode audit"
    assert str(refused.value) == (
        "a run of fleet.py is going since 2026-11-26 02:00 UTC, by provmode@controller, process 4711: provmode audit; "
        "wait until it has ended, or end it"
    )


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "{}", '{"began": 7}', "[" * 100_000], ids=lambda text: text[:9])
def test_what_cannot_be_read_does_not_free_it(file: Path, text: str) -> None:
    with one_run(file, HOLDER):
        file.write_text(text)
        with pytest.raises(StillGoing) as refused, one_run(file, HOLDER):
            pass

    assert refused.value.what == "the same run is going; whose it is cannot be read"


def _prepare(file: Path, how: str, elsewhere: Path) -> None:
    file.parent.mkdir(parents=True)
    elsewhere.write_text("precious")
    if how == "a link":
        file.symlink_to(elsewhere)
    elif how == "another name of a file":
        file.hardlink_to(elsewhere)
    elif how == "a pipe":
        os.mkfifo(file)
    elif how == "a folder":
        file.mkdir()
    else:
        file.write_text("theirs")
        file.chmod(0o666)
    if how == "in a folder of all":
        file.chmod(0o600)
        file.parent.chmod(0o1777)


@pytest.mark.parametrize(
    "how", ["a link", "another name of a file", "a pipe", "a folder", "writable by others", "in a folder of all"]
)
def test_what_somebody_prepared_is_not_written_to_and_stops_nothing(file: Path, tmp_path: Path, how: str) -> None:
    _prepare(file, how, tmp_path / "elsewhere")

    with one_run(file, HOLDER) as trouble:
        assert trouble.startswith(f"{file} cannot be locked (")
        assert trouble.endswith("): the same run can be started twice")

    assert (tmp_path / "elsewhere").read_text() == "precious"
    assert not file.is_file() or file.read_text() in ("theirs", "precious")


def test_a_file_of_another_user_is_not_written_to(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = os.geteuid() + 1
    file.parent.mkdir(parents=True)
    file.write_text("theirs")
    monkeypatch.setattr(run_lock, "one_writer", lambda folder: nullcontext())  # it would look at the folder's owner
    monkeypatch.setattr(os, "geteuid", lambda: stranger)

    with one_run(file, HOLDER) as trouble:
        assert "(it belongs to somebody else, or others can write there)" in trouble

    assert file.read_text() == "theirs"


def test_a_lock_is_for_one_kind_one_inventory_and_one_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to("real.toml")
    files = {
        lock_file(tmp_path, kind, inventory, configuration).name
        for kind in ("audit", "plan")
        for inventory in ("a", "b")
        for configuration in (tmp_path / "real.toml", tmp_path / "link.toml", tmp_path / "other.toml")
    }

    assert len(files) == 8
    assert all(len(name) < 40 for name in files)


def test_no_value_of_host_data_is_kept() -> None:
    words = [
        "audit",
        "--data",
        "winrm_password_env=hunter2",
        "--data=winrm_user=x=y",
        "--data",
        "oops",
        "--format",
        "a b",
    ]

    assert typed(words) == (
        "provmode audit --data winrm_password_env=... --data=winrm_user=... --data oops=... --format 'a b'"
    )
