"""An audit that tries again: one report, in which a night has caught the PCs that came on."""

from __future__ import annotations

import gc
import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.verdict import Verdict
from provmode.clock import utc_now
from provmode.errors import (
    AccessDenied,
    AuthenticationFailed,
    DeadlineExceeded,
    HostError,
    ProtocolError,
    QuotaExceeded,
    Unreachable,
    UsageError,
)
from provmode.fleet.allowance import Allowance
from provmode.fleet.audit import Audit, run_audit
from provmode.fleet.inventory import load
from provmode.fleet.looking import Here
from provmode.fleet.processes import Processes
from provmode.fleet.retrying import Retrying
from provmode.fleet.visit import GeventRunner
from provmode.history.database import Database, url_of
from provmode.history.reader import History
from provmode.history.run import NewRun
from provmode.history.writer import write
from provmode.lab.process import LabProcess
from provmode.report.document import document
from provmode.report.lines import Page
from provmode.report.progress import LogProgress
from provmode.report.terminal import print_audit
from provmode.transport.base import ConnectionLost, LogonForgotten
from provmode.transport.dial import NoResolver
from provmode.transport.session import Session


@dataclass
class Source:
    """An inventory in memory."""

    names: Sequence[str]
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    name: str = "the near PCs"
    path: None = None

    def read(self) -> Any:
        common = {"winrm_user": "LAB\\auditor", "winrm_password": "secret"}
        return {"all": ([(f"@winrm/{name}", self.data.get(name, {})) for name in self.names], common)}


class Night:
    """An audit over the PCs of a bench that tries again. Its clock moves only while it waits."""

    def __init__(self, bench: Any, near: Any) -> None:
        self.bench, self.runner = bench, near.in_turn(bench, may_only_look=True)
        self.stopped = False
        self.at: dict[float, Callable[[], object]] = {}
        """What happens at a time, in seconds since the beginning, if the run waits then."""
        self.lines: list[str] = []
        self.slept = timedelta(0)
        """By how much the wall clock is ahead of the monotonic one."""

    def pcs(self, count: int) -> list[Any]:
        """Switch on healthy PCs."""
        return [self.bench.pc("healthy", f"PC-{number}", seed=number) for number in range(1, count + 1)]

    def now(self) -> datetime:
        moment: datetime = self.bench.now() + self.slept
        return moment

    def pause(self, seconds: float) -> None:
        assert 0 < seconds <= 0.5
        before = self.bench.seconds
        self.bench.wait(seconds)
        for moment in [each for each in self.at if before < each <= self.bench.seconds]:
            self.at.pop(moment)()

    def audit(self, minutes: float = 60.0, every: float = 900.0, **options: Any) -> Audit:
        """Look at all PCs, and try again for so many *minutes*."""
        fleet = load(Source(list(self.bench.pcs)))
        usual = {
            "now": self.now,
            "runner": self.runner,
            "seconds": self.bench.clock,
            "pause": self.pause,
            "stop": lambda: self.stopped,
            "progress": LogProgress("looking at hosts", self.lines.append, self.bench.clock),
            "retrying": Retrying(self.bench.now() + timedelta(minutes=minutes), every),
        }
        return run_audit(fleet, fleet.names, **{**usual, **options})

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def night(bench: Any, near: Any) -> Night:
    return Night(bench, near)


def is_away(pc: Any, error: Exception | None = None) -> None:
    pc.error = error or Unreachable("no answer")


def verdicts(audit: Audit) -> dict[str, str]:
    return {report.host: report.assessment.verdict.value for report in audit.reports}


def test_a_pc_that_comes_on_is_assessed_and_nobody_else_is_asked_again(night: Night) -> None:
    _, laptop, other, _ = night.pcs(4)
    is_away(laptop)
    is_away(other, DeadlineExceeded("asleep"))
    night.at = {1000.0: laptop.heal, 2000.0: other.heal}

    audit = night.audit()

    assert verdicts(audit) == {f"PC-{number}": "healthy" for number in (1, 2, 3, 4)}
    assert night.runner.visited == [["PC-1", "PC-2", "PC-3", "PC-4"], ["PC-2", "PC-3"], ["PC-2", "PC-3"], ["PC-3"]]
    assert [report.tries for report in audit.reports] == [1, 3, 4, 1]
    assert (audit.exit_code(), audit.interrupted, audit.missing) == (0, False, [])


def test_each_host_has_one_row_with_its_last_answer_and_what_all_looks_cost(night: Night) -> None:
    slow, away = night.pcs(2)
    is_away(slow, DeadlineExceeded("asleep"))
    is_away(away)
    night.at = {700.0: slow.heal, 1500.0: lambda: is_away(away, AuthenticationFailed("refused"))}

    audit = night.audit()
    rows = {row["host"]: row for row in document(audit)["hosts"]}

    assert [(name, row["verdict"], row.get("cause"), row["tries"]) for name, row in rows.items()] == [
        ("PC-1", "healthy", None, 2),
        ("PC-2", "unassessed", "auth", 3),
    ]
    assert document(audit)["retried_until"] == "2026-11-26T13:00:00+00:00"
    assert document(audit)["summary"]["total"] == 2
    assert document(audit)["ended"] == "2026-11-26T12:30:00+00:00"


def test_requests_of_all_looks_are_counted(night: Night) -> None:
    (pc,) = night.pcs(1)
    once = night.audit().reports[0].requests
    night.bench.seconds = 0.0
    pc.heal()
    pc.refuse(kind="quota", times=6)

    (report,) = night.audit().reports

    assert report.assessment.verdict is Verdict.HEALTHY
    assert report.tries > 1
    assert report.requests == once + 6
    assert report.to_json()["tries"] == report.tries


def test_a_run_that_is_not_told_to_try_again_looks_once_and_says_nothing_of_it(night: Night) -> None:
    is_away(night.pcs(1)[0])

    found = document(night.audit(retrying=None))

    assert night.bench.seconds == 0.0
    assert "retried_until" not in found
    assert "tries" not in found["hosts"][0]


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationFailed("the account was refused"),
        AccessDenied("no rights"),
        ProtocolError("not WinRM"),
        NoResolver("DNS does not answer"),
        HostError("strange"),
    ],
)
def test_whoever_refuses_or_is_to_be_mended_is_asked_once_and_the_run_ends_at_once(
    night: Night, error: HostError
) -> None:
    is_away(night.pcs(1)[0], error)

    audit = night.audit()

    assert night.runner.visited == [["PC-1"]]
    assert audit.reports[0].assessment.cause == error.cause.value
    assert night.bench.seconds == 0.0


@pytest.mark.parametrize(
    ("what", "happens"),
    [
        ("", {"kind": "drop-before"}),
        ("", {"kind": "fault", "code": 0x800706BA}),
        ("StdRegProv", {"kind": "fault", "code": 0x800706BA}),
        ("CcmExec", {"kind": "fault", "code": 0x8007045B}),
    ],
    ids=["hangs up", "RPC is not there yet", "its registry is not there yet", "shuts down"],
)
def test_a_pc_that_is_starting_or_stopping_is_tried_again(night: Night, what: str, happens: dict[str, Any]) -> None:
    (pc,) = night.pcs(1)
    pc.refuse(what, times=None, **happens)
    causes: list[str | None] = []
    night.at = {899.0: pc.heal}

    class Watching(LogProgress):
        def ended(self, result: Any) -> None:
            causes.append(result.assessment.cause)

    audit = night.audit(progress=Watching("looking", night.lines.append, night.bench.clock))

    assert causes == ["protocol", None]
    assert verdicts(audit) == {"PC-1": "healthy"}


@pytest.mark.parametrize("error", [ConnectionLost("it broke off", sent=True), LogonForgotten("no", sent=True)])
def test_a_pc_that_breaks_off_the_logon_is_asked_once_because_that_may_be_a_refusal(
    night: Night, error: HostError
) -> None:
    is_away(night.pcs(1)[0], error)

    audit = night.audit()

    assert audit.reports[0].assessment.cause == "protocol"
    assert night.runner.visited == [["PC-1"]]


@pytest.mark.parametrize("error", [Unreachable("x"), DeadlineExceeded("x"), QuotaExceeded("x")])
def test_whoever_is_away_slow_or_full_is_asked_until_the_end(night: Night, error: HostError) -> None:
    is_away(night.pcs(1)[0], error)

    audit = night.audit(minutes=60)

    assert len(night.runner.visited) == 4  # at 0, 15, 30 and 45 minutes: the one at 60 would be at the end
    assert night.bench.seconds == 45 * 60.0, "nobody waits for a round that does not come"
    assert (audit.exit_code(), audit.reports[0].tries) == (8, 4)


def test_rounds_keep_their_distance_and_one_that_takes_longer_is_followed_at_once(night: Night) -> None:
    is_away(night.pcs(1)[0])
    took, began = iter([100.0, 400.0, 2000.0, 0.0, 0.0]), list[float]()

    def passes() -> None:
        began.append(night.bench.seconds)
        night.bench.wait(next(took))

    night.runner.at_end_of["PC-1"] = passes
    night.audit(minutes=75)

    assert began == [0.0, 900.0, 1800.0, 3800.0]


def test_a_round_in_progress_at_the_end_is_finished_and_none_follows(night: Night) -> None:
    one, two = night.pcs(2)
    is_away(one)
    is_away(two)

    def comes_late() -> None:
        if len(night.runner.visited) == 2:
            night.bench.wait(3600.0)
            two.heal()

    night.runner.at_end_of["PC-1"] = comes_late
    audit = night.audit(minutes=60)

    assert verdicts(audit) == {"PC-1": "unassessed", "PC-2": "healthy"}
    assert len(night.runner.visited) == 2


def test_hosts_that_are_one_pc_are_found_whatever_round_they_answered_in(night: Night) -> None:
    one, two = night.pcs(2)
    two.machine.computer_name = one.machine.computer_name
    is_away(two)
    night.at = {10.0: two.heal}

    audit = night.audit()

    codes = [[finding.code for finding in report.assessment.findings] for report in audit.reports]
    assert ["same-computer" in each for each in codes] == [True, True]
    assert [report.tries for report in audit.reports] == [1, 2]


def test_what_may_be_unassessed_counts_at_the_end(night: Night) -> None:
    one, two = night.pcs(2)
    is_away(one)
    is_away(two)
    night.at = {10.0: two.heal}

    audit = night.audit()
    audit.max_unassessed = Allowance(1)
    allowed = audit.exit_code()
    audit.max_unassessed = Allowance(0)

    assert (allowed, audit.exit_code()) == (8, 4)


# -- a run that is stopped --------------------------------------------------------------------------------------------


def test_a_run_that_is_stopped_while_it_waits_ends_at_once_with_a_report_that_lacks_nobody(night: Night) -> None:
    _, laptop = night.pcs(2)
    is_away(laptop)
    night.at = {100.0: night.stop}

    audit = night.audit()

    assert night.bench.seconds == 100.0
    assert (audit.interrupted, audit.missing, audit.exit_code()) == (False, [], 8)
    assert verdicts(audit) == {"PC-1": "healthy", "PC-2": "unassessed"}
    assert "interrupted" not in document(audit)


def test_a_run_that_is_stopped_in_a_later_round_keeps_what_was_found_before(night: Night) -> None:
    one, two = night.pcs(2)
    is_away(one)
    is_away(two)
    night.at = {800.0: lambda: (one.heal(), two.heal())}
    night.runner.at_end_of["PC-1"] = lambda: night.stop() if night.bench.seconds else None

    audit = night.audit()

    assert verdicts(audit) == {"PC-1": "healthy", "PC-2": "unassessed"}
    assert [report.tries for report in audit.reports] == [2, 1]
    assert (audit.interrupted, audit.exit_code()) == (False, 8)


def test_a_run_that_is_stopped_in_its_first_look_is_interrupted_and_tries_nobody_again(night: Night) -> None:
    one, _ = night.pcs(2)
    is_away(one)
    night.runner.at_end_of["PC-1"] = night.stop

    audit = night.audit()

    assert (audit.interrupted, audit.missing, audit.exit_code()) == (True, ["PC-2"], 130)
    assert audit.retried_until is None
    assert night.bench.seconds == 0.0


def test_what_was_found_is_not_lost_if_a_later_round_cannot_be_done(night: Night) -> None:
    _, laptop = night.pcs(2)
    is_away(laptop)

    class Once(Here):
        def look(self, *arguments: Any, **options: Any) -> None:
            if night.bench.seconds:
                raise UsageError("no worker process can be started", next_step="look at the limits")
            super().look(*arguments, **options)

    audit = night.audit(looker=Once(night.runner))

    assert verdicts(audit) == {"PC-1": "healthy", "PC-2": "unassessed"}
    assert audit.notes == ["no host is tried again: no worker process can be started; look at the limits"]


# -- what is said -----------------------------------------------------------------------------------------------------


def test_the_log_says_who_is_away_and_when_the_next_round_begins_and_nothing_while_it_waits(night: Night) -> None:
    _, one, two = night.pcs(3)
    is_away(one)
    is_away(two)
    night.at = {800.0: one.heal}
    night.slept = timedelta(hours=8)
    until = Retrying(datetime(2026, 11, 26, 20, 31, tzinfo=timezone.utc))

    night.audit(retrying=until)

    assert night.lines == [
        "looking at hosts: 2 hosts still away; next round at 20:15, until 20:31",
        "looking at hosts: round 2 begins: 2 hosts",
        "looking at hosts: 1 host still away; next round at 20:30, until 20:31",
        "looking at hosts: round 3 begins: 1 host",
    ]


def test_a_clock_that_jumps_while_the_run_waits_is_noticed_and_said(night: Night) -> None:
    is_away(night.pcs(1)[0])

    def sleeps() -> None:
        night.slept = timedelta(hours=3)

    night.at = {600.0: sleeps}
    night.audit(minutes=240)

    assert night.lines[1:4] == [
        "looking at hosts: the clock of this computer was put forward by 3 h 0 min, or it slept; the rounds go on by "
        "the new time",
        "looking at hosts: round 2 begins: 1 host",
        "looking at hosts: 1 host still away; next round at 15:25, until 16:00",
    ]


def test_the_text_says_what_came_of_it(night: Night) -> None:
    _, one, two = night.pcs(3)
    is_away(one)
    is_away(two)
    night.at = {100.0: one.heal}
    file = io.StringIO()

    print_audit(night.audit(minutes=20), Page(file=file, width=200, wide=True))

    assert "tried again until 2026-11-26 12:20: 2 hosts looked at again, 1 of them assessed\n" in file.getvalue()
    assert "PC-3: connect-timeout: no answer" in file.getvalue()
    assert "(looked at 2 times)" in file.getvalue()


# -- the real lab -----------------------------------------------------------------------------------------------------


class Dawn:
    """A clock for a run over a lab: each pause takes a minute, in no time."""

    def __init__(self, *, at: Mapping[int, Callable[[], object]]) -> None:
        self.passed, self._at = 0.0, dict(at)

    def pause(self, seconds: float) -> None:
        self.passed += 60.0
        self._at.pop(int(self.passed // 60), lambda: None)()

    def options(self, minutes: float) -> dict[str, Any]:
        return {
            "now": lambda: utc_now() + timedelta(seconds=self.passed),
            "seconds": lambda: self.passed,
            "pause": self.pause,
            "retrying": Retrying(utc_now() + timedelta(minutes=minutes)),
        }


@pytest.fixture(scope="module")
def laptops() -> Iterator[LabProcess]:
    """PCs that are healthy, and some that refuse the account."""
    with LabProcess(8, 3, mix={"healthy": 3, "wrong-password": 1}) as lab:
        yield lab


def source(lab: LabProcess) -> Source:
    common = {"winrm_user": lab.user, "winrm_password": lab.password, "winrm_read_deadline": 1.0}
    data = {
        host.name: {"winrm_address": host.address, "winrm_port": host.port, **common, "winrm_host_deadline": 3.0}
        for host in lab.hosts
    }
    data["NOBODY"] = {"winrm_address": "127.0.0.1", "winrm_port": 1, **common}
    return Source(list(data), data)


@pytest.mark.parametrize("processes", [1, 2])
def test_pcs_of_the_lab_that_wake_up_between_rounds_are_found(laptops: LabProcess, processes: int) -> None:
    lab, healthy = laptops, [host.name for host in laptops.hosts if host.persona == "healthy"]
    refusing = [host.name for host in lab.hosts if host.persona == "wrong-password"]
    asleep, early, late = healthy[:3], healthy[0], healthy[1]
    for name in asleep:
        lab.inject(name, kind="stall", times=None)
    before = {name: lab.ask("requests", host=name)["refused_logins"] for name in refusing}
    sessions: list[int] = []

    def count() -> None:
        kept = [each for each in gc.get_objects() if isinstance(each, Session)]
        sessions.append(sum(each.target.endpoint.name in {*healthy, *refusing, "NOBODY"} for each in kept))

    dawn = Dawn(at={5: count, 10: lambda: lab.heal(early), 20: lambda: lab.heal(late)})
    fleet = load(source(lab))
    audit = run_audit(fleet, fleet.names, looker=Processes(processes, 64, GeventRunner()), **dawn.options(40))
    for name in asleep:
        lab.heal(name)

    found = {report.host: report for report in audit.reports}
    assert {name: found[name].tries for name in found} == {
        **dict.fromkeys([*healthy[3:], *refusing], 1),
        early: 2,
        late: 3,
        asleep[2]: 3,
        "NOBODY": 3,
    }
    assert {name for name in found if found[name].assessment.verdict is Verdict.HEALTHY} == {*healthy} - {asleep[2]}
    assert {found[name].assessment.cause for name in refusing} == {"auth"}
    assert (found[asleep[2]].assessment.cause, found["NOBODY"].assessment.cause) == ("deadline", "refused")
    after = {name: lab.ask("requests", host=name)["refused_logins"] for name in refusing}
    assert {name: after[name] - before[name] for name in refusing} == dict.fromkeys(refusing, 1)
    assert sessions == [0], "no session is kept while the run waits"


def test_an_account_that_was_refused_three_times_is_tried_on_no_pc_that_comes_later(tmp_path: Path) -> None:
    with LabProcess(4, 3, mix={"wrong-password": 1}) as lab:
        lab.inject(lab.hosts[3].name, kind="stall", times=None)
        dawn = Dawn(at={5: lambda: lab.heal(lab.hosts[3].name)})
        fleet = load(source(lab))

        audit = run_audit(fleet, fleet.names, runner=GeventRunner(), **dawn.options(50))

        late = next(report for report in audit.reports if report.host == lab.hosts[3].name)
        refused = sum(lab.ask("requests", host=host.name)["refused_logins"] for host in lab.hosts)
    assert late.assessment.cause == "auth"
    assert late.assessment.reason.startswith("not tried: 3 PCs refused this account")
    assert refused == 3


# -- the command ------------------------------------------------------------------------------------------------------


def test_ctrl_c_while_the_command_waits_ends_it_at_once_with_the_whole_report(tmp_path: Path) -> None:
    pc = {"winrm_address": "127.0.0.1", "winrm_port": 1, "winrm_user": "u", "winrm_password": "p"}
    (tmp_path / "fleet.py").write_text(f"pcs = ([('@winrm/PC-1', {pc!r})], {{}})\n")
    until = (utc_now() + timedelta(hours=2)).isoformat()
    command = [sys.executable, "-m", "provmode", "audit", "fleet.py", "--format", "json", "--retry-until", until]
    process = subprocess.Popen(
        [*command, "--every", "1h"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)

    assert "looking at hosts: 1 host still away; next round at " in line
    assert process.returncode == 8
    report = json.loads(out)
    assert [host["cause"] for host in report["hosts"]] == ["refused"]
    assert "interrupted" not in report
    assert report["retried_until"].startswith(until[:16])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--every", "15m"), "--every 15m says nothing without --retry-until; give both, or none"),
        (("--retry-until", "6am"), "--retry-until 6am: it is not a time; write it as in 06:00"),
        (("--retry-until", "06:00", "--every", "10s"), "--every 10s: it is not between 1m and 24h"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_nobody_is_asked(commands: Any, options: tuple[str, ...], why: str) -> None:
    pc = commands.bench.pc("healthy")

    ended = commands.run("audit", commands.inventory, *options)

    assert ended.code == 1
    assert why in ended.err
    assert pc.actions == []


def test_a_pc_that_comes_on_is_remembered_with_the_time_at_which_it_was_found(night: Night, tmp_path: Path) -> None:
    _, laptop, _ = night.pcs(3)
    is_away(laptop)
    night.at = {1000.0: laptop.heal}
    began = night.bench.now()

    audit = night.audit()
    with Database(url_of(f"sqlite:///{tmp_path}/history.sqlite")) as database:
        rows = [report.to_json() for report in audit.reports]
        write(database, NewRun("1234", "audit", began, night.bench.now(), "", True, 0, "", "", rows=rows))
        with database.reading() as connection:
            history = History(connection)
            seen = {host: history.timeline(host).seen for host in ("PC-1", "PC-2", "PC-3")}
            known = {each.host: each.known.since for each in history.state(history.run("last")) if each.known}

    assert seen == {"PC-1": began, "PC-2": began + timedelta(seconds=1800), "PC-3": began}
    assert known == seen
