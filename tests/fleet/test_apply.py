"""Apply from the command line: exactly the plan is applied, and the outcome of every host is reported."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import select
import signal
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.fleet.journal import Journal, read
from provmode.fleet.plan_file import KEY_ENVIRONMENT, sign
from provmode.lab.process import Host, LabProcess
from provmode.remediation.lease import NAME

CCMEXEC = "HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec"
KEY = "0123456789abcdef0123456789abcdef"
EXCLUDES = "SchedulerStartup;SchedulerShutdown"
Ran = subprocess.CompletedProcess[str]


def hears_hangups() -> None:
    """Let a program hear SIGHUP even if the tests run under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Works:
    """A lab whose clock runs fast while provmode works on it, and a folder with its inventory."""

    def __init__(self, lab: LabProcess, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        (self.one, self.two, self.three) = lab.hosts

    def start(
        self, *arguments: str, key: str | None = KEY, under: tuple[str, ...] = (), **options: Any
    ) -> subprocess.Popen[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PROVMODE")}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": hears_hangups}
        return subprocess.Popen(
            [*under, sys.executable, "-m", "provmode", *arguments],
            cwd=self.folder,
            env={**clean, **({KEY_ENVIRONMENT: key} if key else {})},
            text=True,
            **{**pipes, **options},
        )

    def unread(self, *arguments: str) -> Ran:
        """Run a command whose output nobody reads."""
        reader, writer = os.pipe()
        os.close(reader)
        running = self.start(*arguments, stdout=writer)
        os.close(writer)
        return self.finish(running)

    def finish(self, running: subprocess.Popen[str]) -> Ran:
        while True:
            try:
                out, err = running.communicate(timeout=0.05)
            except subprocess.TimeoutExpired:
                self.lab.advance(2)
            else:
                return subprocess.CompletedProcess(running.args, running.returncode, out, err)

    def run(self, *arguments: str, key: str | None = KEY) -> Ran:
        return self.finish(self.start(*arguments, key=key))

    def apply(self, *arguments: str) -> tuple[Ran, dict[str, Any]]:
        ran = self.run("apply", "plan.json", "--format", "json", *arguments)
        assert ran.stdout, ran.stderr
        report: dict[str, Any] = json.loads(ran.stdout)
        return ran, report

    def plan(self, *arguments: str) -> dict[str, Any]:
        ran = self.run("plan", "lab.py", "--output", "plan.json", *arguments)
        assert ran.returncode == 2, ran.stderr
        document: dict[str, Any] = json.loads((self.folder / "plan.json").read_text("utf-8"))
        return document

    def mutations(self) -> dict[str, list[str]]:
        """Return the changes on each PC that came over WinRM."""
        return {
            name: [change["what"] for change in changes if change["road"] in ("cim", "shell")]
            for name, changes in self.lab.mutations().items()
        }

    def rearm(self) -> None:
        """Put every PC back into the mode."""
        for host in self.lab.hosts:
            self.lab.heal(host.name)
            for name, data in (("ProvisioningMode", "true"), ("SystemTaskExcludes", EXCLUDES)):
                self.lab.set_registry(host.name, CCMEXEC, name, data, "SZ")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LabProcess, Path]]:
    folder = tmp_path_factory.mktemp("apply")
    with LabProcess(3, 4, mix={"stuck-old-client": 1}, inventory=folder / "lab.py") as lab:
        yield lab, folder / "lab.py"


@pytest.fixture
def works(everything: tuple[LabProcess, Path], tmp_path: Path) -> Works:
    """Three PCs in the mode, and an empty folder with their inventory."""
    lab, inventory = everything
    (tmp_path / "lab.py").write_text(inventory.read_text("utf-8"), "utf-8")
    works = Works(lab, tmp_path)
    works.rearm()
    return works


def ended(report: dict[str, Any]) -> list[str]:
    return [host["ended"] for host in report["hosts"]]


def exits(changes: dict[str, list[str]], host: Host) -> int:
    return sum("SetClientProvisioningMode(False)" in change for change in changes[host.name])


def leases_left(changes: dict[str, list[str]], host: Host) -> list[str]:
    """Return the lease folders that were made on a PC and not removed."""
    ours = [change.split(" ") for change in changes[host.name] if NAME in change]
    renamed = [words for words in ours if words[2] == "renamed"]
    created = [words[1] for words in ours if words[2] == "made"] + [words[4] for words in renamed]
    removed = [words[1] for words in ours if words[2] == "removed"] + [words[1] for words in renamed]
    return list((Counter(created) - Counter(removed)).elements())


def test_a_second_apply_of_a_plan_changes_nothing(works: Works) -> None:
    works.plan()
    before = works.mutations()
    first, report = works.apply("--wave", "1,50%")
    after = works.mutations()
    taken = works.run("apply", "plan.json")
    second, again = works.apply("--journal", "second.journal")
    verified = works.run("verify", "plan.json.journal")

    assert first.returncode == 0, first.stderr
    assert ended(report) == ["changed"] * 3
    assert all(exits(after, host) - exits(before, host) == 1 for host in works.lab.hosts)
    assert taken.returncode == 1
    assert "--resume" in taken.stderr
    assert second.returncode == 0
    assert ended(again) == ["already"] * 3
    assert works.mutations() == after
    assert all(leases_left(after, host) == [] for host in works.lab.hosts)
    assert "open" not in verified.stdout
    assert "hosts: 3, changes: 6, undone: 0" in verified.stdout


def test_a_host_that_changed_since_the_plan_is_stale_and_the_others_are_changed(works: Works) -> None:
    works.plan()
    works.lab.set_registry(works.two.name, CCMEXEC, "SystemTaskExcludes", "SomethingElse", "SZ")
    before = works.mutations()

    ran, report = works.apply()

    assert ran.returncode == 2
    assert ended(report) == ["changed", "stale", "changed"]
    assert "system task excludes changed since the plan" in report["hosts"][1]["detail"]
    assert works.mutations()[works.two.name] == before[works.two.name]


def test_an_expired_tampered_unsigned_or_foreign_plan_is_refused_as_a_whole(works: Works) -> None:
    document = works.plan("--limit", works.one.name)
    path, before = works.folder / "plan.json", works.lab.counters()
    passed = (datetime.now(timezone.utc) - timedelta(seconds=1)).isoformat()
    (works.folder / "other.py").write_text("pcs = ['@winrm/ELSEWHERE']\n")
    cases: list[tuple[dict[str, Any], tuple[str, ...], str]] = [
        (sign({**document, "expires": passed}, KEY.encode()), (), "expired"),
        ({**document, "expires": "2099-01-01T00:00:00+00:00"}, (), "does not fit"),
        (sign(document, b"another key of another owner"), (), "does not fit"),
        (sign(document, None), (), "not signed"),
        (document, ("--inventory", "other.py"), "another fleet"),
    ]

    for changed, arguments, message in cases:
        path.write_text(json.dumps(changed), "utf-8")
        ran = works.run("apply", "plan.json", *arguments)
        assert ran.returncode == 3, ran.stderr
        assert message in ran.stderr
        assert len(ran.stderr.splitlines()) == 1
    assert works.lab.counters() == before
    assert not (works.folder / "plan.json.journal").exists()


def test_a_spent_failure_budget_ends_the_run_and_a_resume_finishes_it(works: Works) -> None:
    works.plan()
    works.lab.inject(works.one.name, kind="access-denied", action="SetClientProvisioningMode", times=None)
    ran, report = works.apply("--wave", "1", "--max-failures", "0")
    works.lab.heal(works.one.name)
    resumed, again = works.apply("--resume")

    assert ran.returncode == 6
    assert ended(report) == ["failed", "not-started", "not-started"]
    assert "wave 1 of 2 begins: 1 host" in ran.stderr
    assert "ProvisioningMode" in report["hosts"][0]["detail"]
    assert "failure budget" in report["ended_early"]
    assert resumed.returncode == 0
    assert ended(again) == ["changed"] * 3


def test_one_journal_shows_a_whole_change_with_its_resumes_and_undos(works: Works) -> None:
    works.plan()
    works.lab.inject(works.two.name, kind="access-denied", action="SetClientProvisioningMode", times=None)
    works.apply("--wave", "2", "--max-failures", "0")
    works.lab.heal(works.two.name)
    works.run("apply", "plan.json", "--resume")
    works.run("undo", "plan.json.journal", "--inventory", "lab.py", "--yes", "--limit", works.one.name)
    shown = works.run("show", "plan.json.journal")
    without = works.run("show", "plan.json.journal", key=None)
    wrong = works.run("show", "plan.json.journal", key="the key of somebody else")
    lines = shown.stdout.splitlines()

    assert (shown.returncode, without.returncode, wrong.returncode) == (0, 0, 1)
    assert [line.split(":")[0] for line in lines if ": began 2" in line] == ["  apply", "  apply --resume", "  undo"]
    for host in works.lab.hosts:
        begins = f"  {host.name}: ProvisioningMode true -> false: changed 2"
        (step,) = [line for line in lines if line.startswith(begins)]
        assert [line for line in lines if line.startswith(f"  {host.name}: changed 2")]
        assert step.endswith(" UTC")
    assert any(line.startswith(f"  {works.two.name}: failed 2") for line in lines)
    assert "signed with the plan's key" in shown.stdout
    assert "not checked, because no key was given" in without.stdout
    assert shown.stdout.splitlines()[2:] == without.stdout.splitlines()[2:]
    assert "the key fits no line" in wrong.stderr


def test_an_unsigned_journal_is_refused_for_a_signed_plan(works: Works) -> None:
    works.plan()
    plan_id = json.loads((works.folder / "plan.json").read_text())["id"]
    forged = Journal.create(works.folder / "plan.json.journal", plan_id, lambda: datetime.now(timezone.utc))
    for host in works.lab.hosts:
        forged.write("host-ended", host=host.name, outcome="changed", detail="")
    forged.abandon()
    before = works.mutations()

    ran = works.run("apply", "plan.json", "--resume")

    assert ran.returncode == 1
    assert "is not signed, and the plan is" in ran.stderr
    assert works.mutations() == before


def test_a_host_that_is_no_longer_in_the_inventory_is_stale_and_the_others_are_changed(works: Works) -> None:
    works.plan()
    text = (works.folder / "lab.py").read_text()
    (works.folder / "lab.py").write_text(text.replace(works.one.name, "PC-RENAMED"))

    ran, report = works.apply()

    assert ran.returncode == 2
    assert ended(report) == ["stale", "changed", "changed"]
    assert "the inventory does not have it any more" in report["hosts"][0]["detail"]


def test_a_resume_finishes_a_client_that_would_now_leave_the_mode_by_itself(tmp_path: Path) -> None:
    with LabProcess(3, 8, mix={"stuck-service-disabled": 1}, inventory=tmp_path / "lab.py") as lab:
        works = Works(lab, tmp_path)
        works.plan()
        for host in lab.hosts:
            lab.inject(host.name, kind="access-denied", action="SetClientProvisioningMode", times=None)
        _, first = works.apply("--no-ramp")
        for host in lab.hosts:
            lab.heal(host.name)
        _, resumed = works.apply("--resume")

    assert ended(first) == ["failed"] * 3
    assert ended(resumed) == ["changed"] * 3


@pytest.mark.parametrize("output_format", ["text", "json"])
def test_if_the_reader_of_a_report_is_gone_the_exit_code_is_the_runs_own(works: Works, output_format: str) -> None:
    of = ("--format", output_format)
    works.plan()

    audited = works.unread("audit", "lab.py", *of)
    planned = works.unread("plan", "lab.py", *of)
    applied = works.unread("apply", "plan.json", *of)
    verified = works.unread("verify", "plan.json.journal")
    undone = works.unread("undo", "plan.json.journal", "--inventory", "lab.py", "--yes", *of)

    assert (audited.returncode, planned.returncode) == (2, 2)
    assert (applied.returncode, verified.returncode, undone.returncode) == (0, 0, 0)
    gone = "provmode: the report could not be written in full: its reader is gone\n"
    assert [ran.stderr for ran in (audited, planned, verified)] == [gone] * 3
    for ran in (applied, undone):
        assert ran.stderr.startswith("about to ")
        assert ran.stderr.splitlines(keepends=True)[-1] == gone


def test_if_nobody_reads_any_output_the_exit_code_is_still_the_runs_own(works: Works) -> None:
    works.plan()
    reader, writer = os.pipe()
    os.close(reader)
    running = subprocess.Popen(
        [sys.executable, "-m", "provmode", "apply", "plan.json"],
        cwd=works.folder,
        env={**os.environ, KEY_ENVIRONMENT: KEY},
        stdout=writer,
        stderr=writer,
        text=True,
    )
    os.close(writer)

    assert works.finish(running).returncode == 0


@pytest.mark.parametrize("command", ["apply", "undo"])
def test_changes_that_were_made_count_even_if_their_report_cannot_be_written(works: Works, command: str) -> None:
    works.plan()
    arguments: tuple[str, ...] = ("apply", "plan.json")
    if command == "undo":
        works.run(*arguments)
        arguments = ("undo", "plan.json.journal", "--inventory", "lab.py", "--yes")
    with open("/dev/full", "w") as full:
        ran = works.finish(works.start(*arguments, stdout=full.fileno()))

    assert ran.returncode == 0
    assert ran.stderr.splitlines()[0].startswith("about to ")
    assert ran.stderr.splitlines()[-1] == "provmode: the report could not be written in full: No space left on device"


def test_a_spent_failure_budget_ends_the_run_within_a_wave(works: Works) -> None:
    works.plan()
    for host in works.lab.hosts:
        works.lab.inject(host.name, kind="access-denied", action="SetClientProvisioningMode", times=None)

    ran, report = works.apply("--max-failures", "0", "--parallel", "1")

    assert ran.returncode == 6
    assert sorted(ended(report)) == ["failed", "not-started", "not-started"]
    assert "1 host failed" in report["ended_early"]


def test_hosts_that_cannot_be_reached_never_spend_the_budget(works: Works) -> None:
    works.plan()
    works.lab.inject(works.one.name, kind="access-denied", times=None)

    ran, report = works.apply("--wave", "1,1", "--max-failures", "0,0%", "--min-reached", "none")

    assert ran.returncode == 4  # the account's rights have to be mended
    assert ended(report) == ["unreached", "changed", "changed"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_finishes_the_host_in_progress_and_begins_no_other(works: Works, number: signal.Signals) -> None:
    works.plan()
    before = works.mutations()
    running = works.start("apply", "plan.json", "--format", "json", "--parallel", "1")
    while works.mutations() == before:
        assert running.poll() is None
    running.send_signal(number)
    ran = works.finish(running)
    after = works.mutations()
    resumed, again = works.apply("--resume")

    report = json.loads(ran.stdout)
    assert ran.returncode == 130
    assert report["interrupted"] is True
    assert sorted(ended(report)) == ["changed", "not-started", "not-started"]
    assert sum(after[host.name] != before[host.name] for host in works.lab.hosts) == 1
    assert "Traceback" not in ran.stderr
    assert resumed.returncode == 0
    assert ended(again) == ["changed"] * 3
    assert [exits(works.mutations(), host) - exits(before, host) for host in works.lab.hosts] == [1, 1, 1]


def test_a_run_under_nohup_goes_on_when_the_terminal_closes(works: Works) -> None:
    works.plan()
    before = works.mutations()
    running = works.start("apply", "plan.json", "--format", "json", "--parallel", "1", under=("nohup",))
    while works.mutations() == before:
        assert running.poll() is None
    running.send_signal(signal.SIGHUP)
    ran = works.finish(running)

    assert ran.returncode == 0
    assert ended(json.loads(ran.stdout)) == ["changed"] * 3


def test_when_the_terminal_closes_the_host_in_progress_is_finished_and_no_other_is_begun(works: Works) -> None:
    works.plan()
    before = works.mutations()
    master, slave = pty.openpty()
    running = works.start(
        *("apply", "plan.json", "--parallel", "1"),
        **dict.fromkeys(("stdin", "stdout", "stderr"), slave),
        start_new_session=True,
        preexec_fn=lambda: (hears_hangups(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
    )
    os.close(slave)
    while works.mutations() == before:
        assert running.poll() is None
        if select.select([master], [], [], 0)[0]:
            os.read(master, 65536)  # or its progress bar would fill the terminal
    os.close(master)
    ran = works.finish(running)
    after = works.mutations()
    journal = read(works.folder / "plan.json.journal", KEY.encode())

    assert ran.returncode == 130
    assert sum(after[host.name] != before[host.name] for host in works.lab.hosts) == 1
    assert [host.outcome for host in journal.hosts.values()] == ["changed"]
    assert all(host.lease is None for host in journal.hosts.values())


def test_a_second_and_a_third_ctrl_c_say_what_the_run_waits_for(works: Works) -> None:
    works.plan()
    for host in works.lab.hosts:
        works.lab.inject(host.name, kind="stall", times=1)  # until the read deadline
    before = works.lab.counters()
    running = works.start(
        "apply", "plan.json", "--format", "json", "--parallel", "1", "--data", "winrm_read_deadline=6"
    )
    while works.lab.counters() == before:
        assert running.poll() is None
    assert running.stderr is not None
    while not running.stderr.readline().startswith("  at worst"):  # the end of what is said before the first host
        assert running.poll() is None
    while not select.select([running.stderr], [], [], 0.05)[0]:
        assert running.poll() is None
        running.send_signal(signal.SIGINT)  # one that is still pending would swallow the next
    second = running.stderr.readline()
    running.send_signal(signal.SIGINT)
    third = running.stderr.readline()
    ran = works.finish(running)

    message = "provmode: interrupted; waiting for 1 host in progress (Ctrl-\\ ends at once and leaves work half done)\n"
    assert (second, third) == (message, message)
    assert ran.returncode == 130
    assert sorted(ended(json.loads(ran.stdout))) == ["not-started", "not-started", "unreached"]


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGUSR1])
def test_any_other_signal_ends_a_run_at_once_and_a_resume_goes_on(works: Works, number: signal.Signals) -> None:
    works.plan()
    before = works.mutations()
    running = works.start("apply", "plan.json", "--parallel", "1")
    while works.mutations() == before:
        assert running.poll() is None
    running.send_signal(number)
    killed = works.finish(running)
    resumed, report = works.apply("--resume")
    after = works.mutations()

    assert killed.returncode == -number
    assert resumed.returncode == 0
    assert ended(report) == ["changed"] * 3
    assert [exits(after, host) - exits(before, host) for host in works.lab.hosts] == [1, 1, 1]
    assert all(leases_left(after, host) == [] for host in works.lab.hosts)


def test_after_several_kills_a_resume_ends_compliant_and_does_nothing_twice(works: Works) -> None:
    chance, path = random.Random(3), works.folder / "plan.json.journal"
    works.plan()
    before = works.mutations()
    start = {name: counter["requests"] for name, counter in works.lab.counters().items()}
    for number in range(4):
        running = works.start("apply", "plan.json", *(["--resume"] if path.exists() else []))
        goal = sum(start.values()) + chance.randint(1, 130) + 60 * number
        while running.poll() is None:
            works.lab.advance(0.2)
            if sum(counter["requests"] for counter in works.lab.counters().values()) >= goal:
                running.kill()
                break
        running.communicate()

    ran, report = works.apply(*(["--resume"] if path.exists() else []))

    assert ran.returncode == 0, report
    assert ended(report) == ["changed"] * 3
    assert [exits(works.mutations(), host) - exits(before, host) for host in works.lab.hosts] == [1, 1, 1]
    assert all(step.ending == "changed" for host in read(path, KEY.encode()).hosts.values() for step in host.steps)


def test_of_two_controllers_at_once_one_changes_each_host_and_the_other_reports_that_it_did_not(works: Works) -> None:
    works.plan()
    before = works.mutations()
    running = [
        works.start("apply", "plan.json", "--format", "json", "--journal", f"{number}.journal") for number in (1, 2)
    ]
    reports = [json.loads(works.finish(each).stdout) for each in running]

    after = works.mutations()
    for number, host in enumerate(works.lab.hosts):
        results = sorted(ended(report)[number] for report in reports)
        assert results in (["already", "changed"], ["changed", "stale"]), reports
        assert exits(after, host) - exits(before, host) == 1
        assert works.lab.registry(host.name, CCMEXEC, "ProvisioningMode").lower() == "false"
        assert leases_left(after, host) == []


def test_two_runs_never_write_the_same_journal(works: Works) -> None:
    works.plan("--limit", works.one.name)
    running = works.start("apply", "plan.json", "--format", "json")
    while not (works.folder / "plan.json.journal").exists():
        assert running.poll() is None
    other = works.run("apply", "plan.json", "--resume")
    first = works.finish(running)

    assert (first.returncode, other.returncode) in ((0, 1), (0, 0))
    assert other.returncode == 0 or "another run" in other.stderr
    assert read(works.folder / "plan.json.journal", KEY.encode()).closed


def test_undo_lists_what_it_cannot_undo(works: Works) -> None:
    works.plan("--limit", works.one.name)
    works.apply()
    before = works.mutations()

    ran = works.run("undo", "plan.json.journal", "--inventory", "lab.py", "--yes", "--format", "json")
    stranger = works.run("undo", "plan.json.journal", "--inventory", "lab.py", "--host", "ELSEWHERE")

    (host,) = json.loads(ran.stdout)["hosts"]
    assert ran.returncode == 0
    assert host["ended"] == "nothing"
    assert [line.split(" ")[0] for line in host["cannot"]] == ["ProvisioningMode", "machine"]
    assert works.mutations() == before
    assert stranger.returncode == 1
    assert "has nothing about ELSEWHERE" in stranger.stderr
