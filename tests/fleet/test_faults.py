"""Apply to lab PCs while a fault hits each request in turn: the report stays true, and a resume ends compliant."""

from __future__ import annotations

import errno
import itertools
import os
import random
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import gevent
import pytest
from pyinfra.api import State
from pyinfra.context import ctx_state

from provmode.ccm.policy import Policy
from provmode.connector.host_data import target_of
from provmode.connector.winrm import WinRMConnector
from provmode.errors import UsageError
from provmode.fleet import apply_host
from provmode.fleet.apply import PlanRun
from provmode.fleet.apply_host import HostResult
from provmode.fleet.inventory import Fleet
from provmode.fleet.journal import HostRecord, Journal, read
from provmode.fleet.lease import HostLease
from provmode.fleet.plan import run_plan
from provmode.fleet.plan_file import Plan, load, sign, write
from provmode.fleet.progress import Silent
from provmode.fleet.results import HostOutcome
from provmode.fleet.undo import HostUndoResult, undo_hosts
from provmode.fleet.visit import GeventRunner
from provmode.lab.process import Host, LabProcess
from provmode.remediation.execute import execute
from provmode.remediation.lease import ABANDONED, FOLDER, NAME, LeaseTaken, Token
from provmode.remediation.steps import DisarmTcf, SetMode, SetServiceState, SetStartMode, Step
from provmode.transport.session import Session
from provmode.windows.file_changes import swap_file
from provmode.windows.files import file_hash, read_file
from provmode.wsman import CommandLine

CCMEXEC = "HKLM\\SOFTWARE\\Microsoft\\CCM\\CcmExec"
KEY = b"a key of the owner of the fleet"


def now() -> datetime:
    return datetime.now(timezone.utc)


class Recorder(Silent):
    """Progress that records the results."""

    def __init__(self) -> None:
        self.results: list[HostResult] = []

    def ended(self, result: HostResult) -> None:
        self.results.append(result)


class Bench:
    """One PC that needs every kind of step, a plan for it, and a way to put it back into its first state."""

    def __init__(self, lab: LabProcess, host: Host, folder: Path) -> None:
        self.lab, self.host, self.folder = lab, host, folder
        self.fleet = fleet_of(lab, [host])
        self.impatient = fleet_of(lab, [host], winrm_read_deadline=0.5)
        self.plan = self.plan_anew()
        self.steps = self.plan.changing[0].steps
        (self.tcf,) = (step for step in self.steps if isinstance(step, DisarmTcf))
        before = self.read_tcf()
        assert before is not None
        self.armed = before
        self.values = {
            name: lab.registry(host.name, CCMEXEC, name) for name in ("ProvisioningMode", "SystemTaskExcludes")
        }
        self._runs = 0

    def session(self) -> Session:
        host = next(iter(next(self.fleet.shards(self.fleet.names))))
        assert isinstance(host.connector, WinRMConnector)
        return host.connector.open()

    def plan_anew(self) -> Plan:
        planned = run_plan(self.fleet, self.fleet.names, now=now, runner=GeventRunner(working=1))
        document = planned.document(
            plan_id="a-plan", inventory="lab", limit=(), by="a test", now=now(), valid=timedelta(hours=1)
        )
        write(self.folder / "plan.json", sign(document, KEY))
        return load(self.folder / "plan.json", KEY, unsigned=False, now=now())

    def journal_path(self) -> Path:
        self._runs += 1
        return self.folder / f"{self._runs}.journal"

    def apply(self, journal: Path, *, resume: bool = False, plan: Plan | None = None, **options: Any) -> HostResult:
        plan, fleet = plan or self.plan, options.pop("fleet", self.fleet)
        earlier: dict[str, HostRecord] | None = None
        if resume:
            writer, state = Journal.resume(journal, plan.id, now)
            earlier = state.hosts
        else:
            writer = Journal.create(journal, plan.id, now, nonce=str(journal))
        application = PlanRun(plan, fleet, writer, now=now, earlier=earlier, runner=GeventRunner(working=1), **options)
        applied = application.run([len(plan.changing)])
        if application.journal_lost:
            writer.abandon()
        else:
            writer.close()
        (result,) = applied.hosts
        return result

    def undo(self, journal: Path) -> HostUndoResult:
        writer, state = Journal.resume(journal, self.plan.id, now, event="undo-begun")
        run = undo_hosts(self.fleet, self.fleet.names, state.hosts, writer, now=now, runner=GeventRunner(working=1))
        writer.close("undo-ended")
        (result,) = run.hosts
        return result

    def do(self, step: Step) -> None:
        """Change the PC as another program does."""
        session = self.session()
        session.read_only = False
        session.converse(execute(step))
        session.close()

    def put_tcf(self, data: bytes) -> None:
        session = self.session()
        session.read_only = False
        current = session.converse(file_hash(self.tcf.path))
        session.converse(swap_file(self.tcf.path, data, expected=current))
        session.close()

    def read_tcf(self) -> bytes | None:
        session = self.session()
        try:
            return session.converse(read_file(self.tcf.path))
        finally:
            session.close()

    def at(self, line: str) -> str:
        """Run a command line at the PC."""
        session = self.session()
        session.read_only = False
        completed = session.send(CommandLine(line))
        session.close()
        return bytes(completed.stdout).decode("utf-8")

    def leases(self) -> list[str]:
        """Return the lease folders on the PC, by the lab's own record of changes."""
        left: list[str] = []
        for change in self.mutations():
            before, renamed, after = change["what"].removeprefix("folder ").partition(" renamed to ")
            if renamed and NAME in before:
                left = [after if folder == before else folder for folder in left]
                continue
            folder, _, what = change["what"].removeprefix("folder ").rpartition(" ")
            if NAME in folder:
                left = [*left, folder] if what == "made" else [other for other in left if other != folder]
        return left

    def back(self) -> None:
        """Put the PC back into the state that the plan saw."""
        self.lab.heal(self.host.name)
        self.lab.end_shells(self.host.name)  # of runs that were killed; they would be idle in three minutes
        if self.leases():
            self.at(f'rmdir /s /q "{FOLDER}"')
        if self.read_tcf() != self.armed:
            self.put_tcf(self.armed)
        for name, data in self.values.items():
            self.lab.set_registry(self.host.name, CCMEXEC, name, data, "SZ")
        self.do(SetServiceState("CcmExec", "Running", "Stopped"))
        self.do(SetStartMode("CcmExec", "Auto", "Disabled"))

    def mutations(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.lab.mutations(self.host.name)
        return found


def fleet_of(lab: LabProcess, hosts: list[Host], **data: Any) -> Fleet:
    """Return a fleet of PCs of a lab."""
    everybody = {
        "winrm_user": lab.user,
        "winrm_password_file": str(lab.password_file),
        "winrm_scheme": "http",
        **data,
    }
    names = [(f"@winrm/{host.name}", {"winrm_address": host.address, "winrm_port": host.port}) for host in hosts]
    with ctx_state.use(State()):
        return Fleet((names, everybody))  # type: ignore[no-untyped-call]


SPOKEN: dict[str, Any] = {"stack": "lean"}
"""The code that speaks HTTP in the test that runs."""


@pytest.fixture(params=["lean", "pywinrm"])
def either_stack(request: pytest.FixtureRequest) -> Iterator[None]:
    """Speak to the PCs by each of the two stacks."""
    SPOKEN["stack"] = request.param
    yield
    SPOKEN["stack"] = "lean"


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Bench]]:
    """PCs that need every step; pauses move the lab's clock instead of waiting."""
    with LabProcess(60, 5, mix={"overdue": 1}) as lab, pytest.MonkeyPatch.context() as patch:

        def open_session(self: WinRMConnector) -> Session:
            name = self.host.name.rpartition("/")[2]
            if self.session is None:
                target = replace(target_of(self.host.name, self.data), stack=SPOKEN["stack"])
                self.session = Session(target, read_only=True, pause=lambda seconds: lab.advance(seconds, name))
            return self.session

        patch.setattr(WinRMConnector, "open", open_session)
        fleet = fleet_of(lab, list(lab.hosts))
        planned = run_plan(fleet, fleet.names, now=now, runner=GeventRunner(working=1))
        needy = [item.report.host for item in planned.changing if item.remediation and len(item.remediation.steps) == 5]
        yield [Bench(lab, lab.host(name), tmp_path_factory.mktemp(name)) for name in needy]


@pytest.fixture
def pcs(benches: list[Bench]) -> list[Bench]:
    """The benches, as their plans saw them."""
    for bench in benches:
        bench.back()
    return benches


@pytest.fixture
def pc(benches: list[Bench]) -> Iterator[Bench]:
    """One bench, as its plan saw it."""
    bench = benches[0]
    bench.back()
    yield bench
    bench.lab.heal(bench.host.name)


# -- what really happened ---------------------------------------------------------------------------------------------

SIGNS = {
    "tcf": "MobileClient.TCF written",
    "start-mode": "start mode Auto",
    "service-state": "CcmExec started",
    "mode": "SetClientProvisioningMode(False)",
    "policy": "TriggerSchedule",
}
"""Words in the lab's own record of changes that show that a step happened."""
ONCE = {**dict.fromkeys(SIGNS, 1), "policy": 2}
"""Policy is requested and evaluated."""


def happened(mutations: list[dict[str, str]]) -> dict[str, int]:
    """Return how often each step happened."""
    return {
        kind: sum(sign in mutation["what"] for mutation in mutations)
        for kind, sign in SIGNS.items()
        if any(sign in mutation["what"] for mutation in mutations)
    }


def announced(journal: Path, host: str) -> set[str]:
    record = read(journal).hosts.get(host, HostRecord())
    return {step.step.kind for step in record.steps}


def assert_leases_are_journaled(pc: Bench, journal: Path, since: int, where: str) -> None:
    """Every lease that was taken is in the journal, and a lease that is still on the PC is open there."""
    text = journal.read_text("utf-8", "replace")
    changes = " ".join(change["what"] for change in pc.mutations()[since:])
    tokens = {word.rpartition("\\")[2] for word in changes.split() if NAME in word} - {NAME}
    assert all(Token.parse(token) is not None for token in tokens), where
    assert all(f'"token": "{token}"' in text for token in tokens), where
    assert not pc.leases() or read(journal).hosts[pc.host.name].lease is not None, where


def compliant(pc: Bench) -> bool:
    mode, excludes = (
        pc.lab.registry(pc.host.name, CCMEXEC, name) for name in ("ProvisioningMode", "SystemTaskExcludes")
    )
    tcf = pc.read_tcf()
    return mode.lower() == "false" and excludes == "" and tcf != pc.armed


def assert_reported_truthfully(pc: Bench, result: HostResult, journal: Path, since: int, where: str) -> None:
    done = happened(pc.mutations()[since:])
    record = read(journal).hosts.get(pc.host.name, HostRecord())
    ended = {step.step.kind for step in record.steps if step.ending == "changed"}
    assert set(done) <= announced(journal, pc.host.name), where
    assert ended <= set(done), where
    assert all(times == 1 for kind, times in done.items() if kind != "policy"), where
    assert pc.read_tcf() is not None, where
    assert_leases_are_journaled(pc, journal, since, where)
    if result.outcome is HostOutcome.CHANGED:
        assert set(done) == set(SIGNS), where
        assert compliant(pc), where
    else:
        overtaken = result.outcome is HostOutcome.STALE and "as planned in between" in result.detail
        assert overtaken or result.outcome in (HostOutcome.FAILED, HostOutcome.UNREACHED), f"{where}: {result}"
        assert result.detail, where
        assert (result.outcome is HostOutcome.UNREACHED) <= (not done), where


# -- the matrix -------------------------------------------------------------------------------------------------------

SERVICE_UNAVAILABLE, UNKNOWN_FAULT = 0x800706BA, 0x80041001
LOSSES: dict[str, dict[str, Any]] = {
    "the connection dies before": {"kind": "drop-before"},
    "the connection dies after": {"kind": "drop-after"},
}
REFUSALS: dict[str, dict[str, Any]] = {
    "nothing is answered": {"kind": "stall"},
    "the answer is cut": {"kind": "cut-answer"},
    "a quota is exceeded for a while": {"kind": "quota", "times": 2},
    "a quota is exceeded": {"kind": "quota", "times": 9},
    "the service restarts": {"kind": "fault", "code": SERVICE_UNAVAILABLE, "times": 3},
    "a fault is answered": {"kind": "fault", "code": UNKNOWN_FAULT},
    "access is denied": {"kind": "access-denied"},
}
REQUESTS = 100
"""More requests than an apply of every step makes; a test checks that."""


def drive(pcs: list[Bench], fault: dict[str, Any], position: int, words: str) -> None:
    """Apply with one fault at one request, check the result, resume, and check again."""
    pc = pcs[position % len(pcs)]  # in turns: a lost answer keeps a shell open, and a PC has only thirty
    where, journal, since = f"{words} at request {position}", pc.journal_path(), len(pc.mutations())
    pc.lab.inject(pc.host.name, skip=position, **fault)
    # what is never answered has to be waited for: briefly, and if that is too brief, the report is still true
    result = pc.apply(journal, fleet=pc.impatient if fault["kind"] == "stall" else pc.fleet)
    pc.lab.heal(pc.host.name)
    assert_reported_truthfully(pc, result, journal, since, where)

    again = pc.apply(journal, resume=True)

    assert again.outcome is HostOutcome.CHANGED, f"{where}: {result} then {again}"
    assert_reported_truthfully(pc, again, journal, since, where)
    assert [step for step in read(journal).hosts[pc.host.name].steps if step.ending is None] == [], where
    pc.back()


@pytest.mark.usefixtures("either_stack")
@pytest.mark.long
@pytest.mark.parametrize("words", LOSSES)
def test_whichever_answer_is_lost_the_report_is_true_and_a_resume_ends_compliant(pcs: list[Bench], words: str) -> None:
    for position in range(REQUESTS):
        drive(pcs, LOSSES[words], position, words)


@pytest.mark.usefixtures("either_stack")
@pytest.mark.long
@pytest.mark.parametrize("offset", range(2))
def test_whichever_request_is_refused_the_report_is_true_and_a_resume_ends_compliant(
    pcs: list[Bench], offset: int
) -> None:
    kinds = list(REFUSALS)
    for position in range(offset, REQUESTS, 2):
        words = kinds[(position // 2 + 3 * offset) % len(kinds)]
        drive(pcs, REFUSALS[words], position, words)


@pytest.mark.usefixtures("either_stack")
@pytest.mark.parametrize("words", REFUSALS)
@pytest.mark.parametrize("action", ["ChangeStartMode", "StartService", "SetClientProvisioningMode", "TriggerSchedule"])
def test_each_change_is_refused_in_each_way(pcs: list[Bench], words: str, action: str) -> None:
    drive(pcs, {**REFUSALS[words], "action": action}, 0, f"{words} ({action})")


def test_the_matrix_reaches_the_last_request(pc: Bench) -> None:
    before = pc.lab.counters(pc.host.name)["requests"]

    result = pc.apply(pc.journal_path())

    assert result.outcome is HostOutcome.CHANGED
    assert pc.lab.counters(pc.host.name)["requests"] - before < REQUESTS


# -- the look and the change ------------------------------------------------------------------------------------------


def test_a_pc_on_which_setup_begins_during_the_apply_is_not_taken_out_of_the_mode(pc: Bench) -> None:
    def setup(flag: int) -> None:
        pc.lab.set_registry(pc.host.name, r"HKLM\SYSTEM\Setup", "SystemSetupInProgress", flag, "DWORD")

    since = len(pc.mutations())
    try:
        result, path = run_beside(pc, pc.plan, 1, lambda: setup(1))
    finally:
        setup(0)

    assert result.outcome is HostOutcome.STALE
    assert "Windows Setup in progress" in result.detail
    assert "done before: %windir%\\ccmsetup\\MobileClient.TCF" in result.detail
    assert "mode" not in happened(pc.mutations()[since:])
    assert [step for step in read(path).hosts[pc.host.name].steps if step.ending is None] == []


def test_a_pc_that_refuses_the_exit_for_now_is_checked_before_the_exit_is_called_again(pc: Bench) -> None:
    def busy() -> None:
        pc.lab.inject(pc.host.name, kind="quota", action="SetClientProvisioningMode", times=3)
        pc.lab.set_registry(pc.host.name, r"HKLM\SYSTEM\Setup", "SystemSetupInProgress", 1, "DWORD")

    since = len(pc.mutations())
    try:
        result, _ = run_beside(pc, pc.plan, 3, busy)
    finally:
        pc.lab.set_registry(pc.host.name, r"HKLM\SYSTEM\Setup", "SystemSetupInProgress", 0, "DWORD")

    assert result.outcome is HostOutcome.STALE
    assert "Windows Setup in progress" in result.detail
    assert "mode" not in happened(pc.mutations()[since:])


def test_a_host_name_that_leads_to_another_pc_since_the_plan_is_stale(pcs: list[Bench]) -> None:
    pc, other = pcs[:2]
    since = len(other.mutations())
    led = fleet_of(pc.lab, [replace(other.host, name=pc.host.name)])
    writer = Journal.create(pc.journal_path(), pc.plan.id, now)

    (result,) = PlanRun(pc.plan, led, writer, now=now, runner=GeventRunner(working=1)).run([1]).hosts
    writer.close()

    assert result.outcome is HostOutcome.STALE
    assert "computer" in result.detail
    assert other.mutations()[since:] == []


def test_a_host_that_the_current_policy_would_leave_alone_is_left_alone(pc: Bench) -> None:
    since = len(pc.mutations())
    today = Policy.from_mapping({"legitimate_processes": ["lsass.exe"]}, where="today")

    result = pc.apply(pc.journal_path(), policies={pc.plan.hosts[0].name: today})

    assert result.outcome is HostOutcome.STALE
    assert "it is in-progress now" in result.detail
    assert pc.mutations()[since:] == []


def test_no_host_is_begun_once_the_plan_has_expired(pcs: list[Bench]) -> None:
    names = [pc.host.name for pc in pcs[:2]]
    fleet = fleet_of(pcs[0].lab, [pc.host for pc in pcs[:2]])
    planned = run_plan(fleet, fleet.names, now=now, runner=GeventRunner(working=1))
    document = planned.document(
        plan_id="two", inventory="lab", limit=(), by="a test", now=now(), valid=timedelta(hours=1)
    )
    path = pcs[0].folder / "two.json"
    write(path, sign(document, KEY))
    recorder = Recorder()
    writer = Journal.create(pcs[0].journal_path(), "two", now)
    application = PlanRun(
        load(path, KEY, unsigned=False, now=now()),
        fleet,
        writer,
        now=lambda: now() + timedelta(hours=2 * len(recorder.results)),
        runner=GeventRunner(working=1),
        progress=recorder,
    )
    applied = application.run([2])
    writer.close()

    assert sorted(result.outcome.value for result in applied.hosts) == ["changed", "not-started"]
    assert "expired" in applied.ended_early
    assert {result.host for result in applied.hosts} == set(names)


def test_a_host_whose_first_step_is_refused_has_failed(pc: Bench) -> None:
    since = len(pc.mutations())
    pc.lab.inject(pc.host.name, kind="fault", code=UNKNOWN_FAULT, action="Command", skip=1)

    result = pc.apply(pc.journal_path())

    assert result.outcome is HostOutcome.FAILED
    assert "nothing was done before" in result.detail
    assert pc.mutations()[since:] == []


def test_a_host_whose_file_cannot_be_read_stays_pending_in_the_plan(pc: Bench) -> None:
    pc.lab.inject(pc.host.name, kind="fault", code=UNKNOWN_FAULT, action="Command", skip=1, times=None)

    planned = run_plan(pc.fleet, pc.fleet.select([pc.host.name]), now=now, runner=GeventRunner(working=1))

    (item,) = planned.proposals
    assert item.report.assessment.verdict.value == "overdue"
    assert "could not be read" in item.left_alone
    assert planned.changing == []
    assert planned.audit.exit_code() == 2


# -- two at once ------------------------------------------------------------------------------------------------------


class Interrupting(Journal):
    """A journal that calls *then* right after it announced a step: between our look and our change."""

    at = 0
    then: Callable[[], Any] = staticmethod(lambda: None)

    def step_begun(self, host: str, number: int, step: Step, previous: bytes | None) -> None:
        super().step_begun(host, number, step, previous)
        if number == self.at:
            self.then()


def run_beside(pc: Bench, plan: Plan, at: int, then: Callable[[], Any]) -> tuple[HostResult, Path]:
    """Apply *plan*, and call *then* at step *at*, after our look and before our change."""
    path = pc.journal_path()
    writer = Interrupting.create(path, plan.id, now)
    assert isinstance(writer, Interrupting)
    writer.at, writer.then = at, then  # type: ignore[method-assign]
    application = PlanRun(plan, pc.fleet, writer, now=now, runner=GeventRunner(working=1))
    (result,) = application.run([1]).hosts
    writer.close()
    return result, path


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_controller_that_finds_another_at_work_reports_stale_and_since_when(pc: Bench, at: int) -> None:
    since, other = len(pc.mutations()), []
    path = pc.journal_path()

    mine, journal = run_beside(pc, pc.plan, at, lambda: other.append(pc.apply(path)))

    assert mine.outcome is HostOutcome.CHANGED
    assert [result.outcome for result in other] == [HostOutcome.STALE]
    if at == 0:  # later it already sees that the host is not what the plan saw
        (token,) = re.findall(r'"token": "([^"]+)"', journal.read_text("utf-8"))
        assert re.search(rf"another controller is at work on it since .* UTC .*\(lease {token}\)", other[0].detail)
        assert other[0].next_step == "apply again when it is done"
    assert other[0].steps == ()
    assert happened(pc.mutations()[since:]) == ONCE
    assert compliant(pc)
    assert pc.leases() == []
    assert read(path).hosts[pc.host.name].lease is None


def test_the_lease_of_a_dead_controller_is_taken_over_after_a_while(pc: Bench) -> None:
    dead, path, since = pc.journal_path(), pc.journal_path(), len(pc.mutations())
    killed(pc, dead, in_line(2, 0.0))  # at its first step
    left = pc.leases()
    early = pc.apply(path)
    pc.lab.advance(ABANDONED.total_seconds() + 60, pc.host.name)

    late = pc.apply(pc.journal_path())

    assert len(left) == 2
    assert early.outcome is HostOutcome.STALE
    assert "another controller" in early.detail
    assert late.outcome is HostOutcome.CHANGED
    assert happened(pc.mutations()[since:]) == ONCE
    assert pc.leases() == []
    assert read(dead).hosts[pc.host.name].lease is not None


def test_the_lease_of_a_crashed_run_is_released_by_a_resume_that_finds_nothing_to_do(pc: Bench) -> None:
    journal = pc.journal_path()
    killed(pc, journal, in_line(2, 0.0))
    left = pc.leases()
    for step in pc.steps[:4]:
        pc.do(step)

    result = pc.apply(journal, resume=True)

    assert len(left) == 2
    assert result.outcome is HostOutcome.ALREADY
    assert pc.leases() == []
    assert read(journal).hosts[pc.host.name].lease is None


def test_a_host_that_refuses_the_lease_has_failed_with_the_message_of_the_pc(pc: Bench) -> None:
    pc.at(f'echo x> "{FOLDER}"')
    journal, since = pc.journal_path(), len(pc.mutations())

    result = pc.apply(journal)
    pc.at(f'del "{FOLDER}"')

    assert result.outcome is HostOutcome.FAILED
    assert re.search(
        r"could not be made: (The directory name is invalid|Der Verzeichnisname ist ungültig)", result.detail
    )
    assert happened(pc.mutations()[since:]) == {}
    assert read(journal).hosts[pc.host.name].lease is None
    assert pc.apply(pc.journal_path()).outcome is HostOutcome.CHANGED


def test_no_lease_is_taken_on_a_host_that_needs_nothing(pc: Bench) -> None:
    pc.apply(pc.journal_path())
    since = len(pc.mutations())

    result = pc.apply(pc.journal_path())

    assert result.outcome is HostOutcome.ALREADY
    assert pc.mutations()[since:] == []


def test_a_planned_file_change_that_somebody_else_makes_at_the_same_moment_is_stale(pc: Bench) -> None:
    since = len(pc.mutations())

    mine, journal = run_beside(pc, pc.plan, 0, lambda: pc.do(pc.tcf))

    assert mine.outcome is HostOutcome.STALE
    assert mine.steps == ()
    assert "as planned in between" in mine.detail
    assert happened(pc.mutations()[since:]) == {"tcf": 1}
    assert [step.ending for step in read(journal).hosts[pc.host.name].steps] == [None], (
        "the change might have been ours"
    )
    assert pc.leases() == []


def test_a_file_that_somebody_else_writes_at_the_same_moment_is_kept(pc: Bench) -> None:
    mine, journal = run_beside(pc, pc.plan, 0, lambda: pc.put_tcf(b"; his\r\n"))

    assert mine.outcome is HostOutcome.STALE
    assert pc.read_tcf() == b"; his\r\n"
    assert not read(journal).hosts[pc.host.name].changed
    assert pc.undo(journal).outcome == "nothing"


def test_a_controller_that_comes_when_only_policy_is_left_has_nothing_to_do(pc: Bench) -> None:
    since, other = len(pc.mutations()), []

    mine, _ = run_beside(pc, pc.plan, 4, lambda: other.append(pc.apply(pc.journal_path())))

    assert mine.outcome is HostOutcome.CHANGED
    assert [result.outcome for result in other] == [HostOutcome.ALREADY]
    assert happened(pc.mutations()[since:]) == ONCE
    assert compliant(pc)


def only_in_the_mode(pc: Bench) -> Plan:
    """Bring the PC into a state that needs only the exit, and make a plan for that."""
    pc.put_tcf(b"; nothing in it\r\n")
    pc.do(SetStartMode("CcmExec", "Disabled", "Auto"))
    pc.do(SetServiceState("CcmExec", "Stopped", "Running"))
    plan = pc.plan_anew()
    assert [step.kind for step in plan.changing[0].steps] == ["mode", "policy"]
    return plan


def test_of_two_controllers_that_only_need_the_exit_one_calls_it(pc: Bench) -> None:
    plan, other = only_in_the_mode(pc), []
    since = len(pc.mutations())

    mine, _ = run_beside(pc, plan, 0, lambda: other.append(pc.apply(pc.journal_path(), plan=plan)))

    assert mine.outcome is HostOutcome.CHANGED
    assert [result.outcome for result in other] == [HostOutcome.STALE]
    assert happened(pc.mutations()[since:]) == {"mode": 1, "policy": 2}


def test_an_exit_that_somebody_else_makes_at_the_same_moment_is_already(pc: Bench) -> None:
    plan = only_in_the_mode(pc)
    since = len(pc.mutations())

    mine, journal = run_beside(pc, plan, 0, lambda: pc.do(plan.changing[0].steps[0]))

    assert mine.outcome is HostOutcome.ALREADY
    assert "somebody else did it first" in mine.detail
    assert happened(pc.mutations()[since:]) == {"mode": 1}
    assert not read(journal).hosts[pc.host.name].changed


def test_a_host_on_which_setup_began_since_the_plan_is_never_touched(pc: Bench) -> None:
    since = len(pc.mutations())
    pc.lab.set_registry(pc.host.name, "HKLM\\SYSTEM\\Setup", "SystemSetupInProgress", 1, "DWORD")

    result = pc.apply(pc.journal_path())

    pc.lab.set_registry(pc.host.name, "HKLM\\SYSTEM\\Setup", "SystemSetupInProgress", 0, "DWORD")
    assert result.outcome is HostOutcome.STALE
    assert "in-progress" in result.detail
    assert [change for change in pc.mutations()[since:] if change["road"] != "hand"] == []


# -- one holder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 3])
def test_of_two_copies_of_a_journal_that_are_resumed_at_once_one_works(pc: Bench, at: int) -> None:
    journal, copy, since, other = pc.journal_path(), pc.journal_path(), len(pc.mutations()), []
    killed(pc, journal, in_line(2, 0.0))  # at its first step, with the lease
    copy.write_bytes(journal.read_bytes())
    writer, state = Interrupting.resume(journal, pc.plan.id, now)
    assert isinstance(writer, Interrupting)
    writer.at = at
    writer.then = lambda: other.append(pc.apply(copy, resume=True))  # type: ignore[method-assign]

    run = PlanRun(pc.plan, pc.fleet, writer, now=now, earlier=state.hosts, runner=GeventRunner(working=1))
    (mine,) = run.run([1]).hosts
    writer.close()

    assert mine.outcome is HostOutcome.CHANGED
    assert [result.outcome for result in other] == [HostOutcome.STALE]
    assert happened(pc.mutations()[since:]) == ONCE
    assert pc.leases() == []


def test_two_hosts_of_one_run_that_are_one_pc_are_not_leased_at_once(pc: Bench) -> None:
    lines: list[str] = []
    leases = [
        HostLease(host, pc.session(), lambda event, **fields: lines.append(event), "0" * 16)
        for host in (pc.host.name, "10.0.0.5")
    ]
    for session in {lease._session for lease in leases}:
        session.read_only = False

    leases[0].take()
    with pytest.raises(LeaseTaken):
        leases[1].take()
    leases[1].release()
    left = pc.leases()
    leases[0].release()
    for lease in leases:
        lease._session.close()

    assert len(left) == 2
    assert pc.leases() == []


def overtaking(monkeypatch: pytest.MonkeyPatch, then: Callable[[], Any]) -> None:
    """Call *then* once, right before a run looks whether it still holds the lease."""
    real, waiting = apply_host.check_idle, [then]

    def look(clock: Any, policy: Policy) -> Any:
        yield from real(clock, policy)
        if waiting:
            waiting.pop()()

    monkeypatch.setattr(apply_host, "check_idle", look)


@pytest.mark.parametrize("seconds", [16 * 60, 9 * 365 * 86400], ids=["16 minutes", "9 years"])
def test_a_run_whose_lease_was_taken_over_does_not_call_the_exit(
    pcs: list[Bench], monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    pc, other = pcs[-1], []
    plan, path = only_in_the_mode(pc), pc.journal_path()
    since = len(pc.mutations())

    def overtake() -> None:
        pc.lab.advance(seconds, pc.host.name)
        pc.lab.set_registry(pc.host.name, CCMEXEC, "ProvisioningMode", pc.values["ProvisioningMode"], "SZ")
        other.append(pc.apply(path, plan=plan))

    overtaking(monkeypatch, overtake)
    mine = pc.apply(pc.journal_path(), plan=plan)

    assert [result.outcome for result in other] == [HostOutcome.CHANGED]
    assert mine.outcome is HostOutcome.STALE
    assert "took over" in mine.detail
    assert happened(pc.mutations()[since:]) == {"mode": 1, "policy": 2}
    assert pc.leases() == []


def test_a_lease_is_renewed_while_work_goes_on(pc: Bench) -> None:
    journal, ticks = pc.journal_path(), itertools.count(0, 45)

    result = pc.apply(journal, seconds=lambda: float(next(ticks)))

    tokens = re.findall(r'"token": "([^"]+)"', journal.read_text("utf-8"))
    assert result.outcome is HostOutcome.CHANGED
    assert len(tokens) == len(set(tokens)) > 1
    assert pc.leases() == []


def test_undo_heeds_the_lease_of_another_run_and_takes_it(pc: Bench) -> None:
    journal = pc.journal_path()
    pc.apply(journal)
    session = pc.session()
    session.read_only = False
    stranger = HostLease(pc.host.name, session, lambda event, **fields: None, "f" * 16)
    stranger.take()

    refused = pc.undo(journal)
    left = pc.read_tcf()
    stranger.release()
    session.close()
    since = len(pc.mutations())
    undone = pc.undo(journal)

    assert refused.outcome == "stale"
    assert "another controller" in refused.detail
    assert left != pc.armed
    assert undone.outcome == "restored"
    changes = [change["what"] for change in pc.mutations()[since:]]
    assert NAME in changes[0]
    assert NAME in changes[-1]
    assert pc.leases() == []


def test_undo_removes_the_lease_of_a_run_that_died_before_its_first_step(pc: Bench) -> None:
    journal, since = pc.journal_path(), len(pc.mutations())
    killed(pc, journal, in_line(2, 0.0))
    left_by_the_crash = pc.leases()

    undone = pc.undo(journal)

    assert left_by_the_crash != []
    assert (undone.outcome, undone.detail) == ("nothing", "nothing is left to undo")
    assert pc.leases() == []
    assert happened(pc.mutations()[since:]) == {}
    assert [lease for record in read(journal).hosts.values() for lease in record.leases] == []


@pytest.mark.parametrize("line", range(4))
def test_after_a_kill_of_the_resume_too_another_resume_loses_nothing(pc: Bench, line: int) -> None:
    journal, since = pc.journal_path(), len(pc.mutations())
    killed(pc, journal, in_line(2, 1.0))
    killed(pc, journal, in_line(line, 1.0))

    assert_a_resume_finishes(pc, journal, since, f"the resume was killed in line {line}")


# -- undo -------------------------------------------------------------------------------------------------------------


def test_undo_restores_what_it_can_and_lists_what_it_cannot(pc: Bench) -> None:
    journal = pc.journal_path()
    pc.apply(journal)

    undone = pc.undo(journal)

    assert undone.outcome == "restored"
    assert pc.read_tcf() == pc.armed
    assert any("Auto -> Disabled" in line for line in undone.restored)
    assert [line.split(" ")[0] for line in undone.cannot] == ["CcmExec", "ProvisioningMode", "machine"]
    assert pc.undo(journal).outcome == "nothing", "a second undo does nothing"


def test_undo_restores_the_rest_if_somebody_changed_one_thing_since(pc: Bench) -> None:
    journal = pc.journal_path()
    pc.apply(journal)
    pc.do(SetStartMode("CcmExec", "Auto", "Manual"))

    undone = pc.undo(journal)

    assert undone.outcome == "stale"
    assert "Manual" in undone.detail
    assert pc.read_tcf() == pc.armed
    pc.do(SetStartMode("CcmExec", "Manual", "Auto"))
    assert [line.split(" ")[0] for line in pc.undo(journal).restored] == ["CcmExec"]


def test_undo_keeps_a_file_that_somebody_wrote_since(pc: Bench) -> None:
    journal = pc.journal_path()
    pc.apply(journal)
    pc.put_tcf(b"; the work of somebody else\r\n")

    undone = pc.undo(journal)

    assert undone.outcome == "stale"
    assert pc.read_tcf() == b"; the work of somebody else\r\n"
    assert any("Auto -> Disabled" in line for line in undone.restored)


@pytest.mark.parametrize("action", ["ChangeStartMode", "StartService", "SetClientProvisioningMode", "TriggerSchedule"])
def test_undo_after_a_run_that_failed_half_way_restores_what_was_done(pc: Bench, action: str) -> None:
    journal = pc.journal_path()
    pc.lab.inject(pc.host.name, kind="access-denied", action=action)
    failed = pc.apply(journal)
    pc.lab.heal(pc.host.name)

    undone = pc.undo(journal)

    assert failed.outcome is HostOutcome.FAILED
    assert "undo restores" in failed.detail
    assert undone.outcome == "restored"
    assert pc.read_tcf() == pc.armed
    assert pc.undo(journal).outcome == "nothing"


def test_undo_that_dies_half_way_is_finished_by_the_next(pc: Bench) -> None:
    journal = pc.journal_path()
    pc.apply(journal)
    pc.lab.inject(pc.host.name, kind="drop-before", action="Command", skip=1, times=None)  # all but the lease

    first = pc.undo(journal)
    pc.lab.heal(pc.host.name)
    second = pc.undo(journal)

    assert first.outcome == "failed"
    assert any("Auto -> Disabled" in line for line in first.restored)
    assert second.outcome == "restored"
    assert pc.read_tcf() == pc.armed


def test_a_change_that_happened_right_before_a_crash_can_be_undone_after_a_resume(pc: Bench) -> None:
    journal = pc.journal_path()
    writer = Journal.create(journal, pc.plan.id, now)
    writer.step_begun(pc.host.name, 0, pc.tcf, pc.armed)
    writer.abandon()
    pc.do(pc.tcf)  # the crash came right after the change

    resumed = pc.apply(journal, resume=True)
    undone = pc.undo(journal)

    assert resumed.outcome is HostOutcome.CHANGED
    assert undone.outcome == "restored"
    assert pc.read_tcf() == pc.armed


def test_an_undo_is_journaled_before_it_is_done(pc: Bench) -> None:
    for lines, restored in ((0, False), (1, False), (2, True)):
        path = pc.journal_path()
        pc.apply(path)
        since = len(pc.mutations())
        Full.lines = 1
        writer, state = Full.resume(path, pc.plan.id, now, event="undo-begun")
        assert isinstance(writer, Full)
        writer.lines = lines
        run = undo_hosts(pc.fleet, pc.fleet.names, state.hosts, writer, now=now, runner=GeventRunner(working=1))
        writer.abandon()

        assert [result.outcome for result in run.hosts] == ["failed"]
        assert any(NAME not in change["what"] for change in pc.mutations()[since:]) is restored
        assert pc.leases() == []
        assert read(path).hosts[pc.host.name].undone is restored
        assert (pc.apply(path, resume=True).outcome is HostOutcome.STALE) is restored
        pc.undo(path)
        pc.back()


def test_undo_touches_no_pc_on_which_setup_runs(pc: Bench) -> None:
    path = pc.journal_path()
    pc.apply(path)
    since = len(pc.mutations())
    pc.lab.set_registry(pc.host.name, r"HKLM\SYSTEM\Setup", "SystemSetupInProgress", 1, "DWORD")
    undone = pc.undo(path)
    pc.lab.set_registry(pc.host.name, r"HKLM\SYSTEM\Setup", "SystemSetupInProgress", 0, "DWORD")

    assert undone.outcome == "stale"
    assert "Windows Setup in progress" in undone.detail
    assert all("SystemSetupInProgress" in mutation["what"] for mutation in pc.mutations()[since:])


# -- resuming ---------------------------------------------------------------------------------------------------------


def test_a_resume_waits_for_a_client_that_just_started(pc: Bench) -> None:
    journal = pc.journal_path()
    pc.lab.inject(pc.host.name, kind="fault", code=UNKNOWN_FAULT, action="TriggerSchedule", times=None)
    first = pc.apply(journal)
    pc.lab.heal(pc.host.name)
    pc.lab.inject(pc.host.name, kind="fault", code=SERVICE_UNAVAILABLE, action="Get", times=5)

    assert first.outcome is HostOutcome.FAILED
    assert pc.apply(journal, resume=True).outcome is HostOutcome.CHANGED


def test_a_host_that_was_undone_since_is_stale_for_a_resume(pc: Bench) -> None:
    journal = pc.journal_path()
    pc.apply(journal)
    pc.undo(journal)
    since = len(pc.mutations())

    result = pc.apply(journal, resume=True)

    assert result.outcome is HostOutcome.STALE
    assert pc.mutations()[since:] == []


def test_a_host_that_somebody_changed_between_a_run_and_its_resume_is_stale(pc: Bench) -> None:
    journal = pc.journal_path()
    pc.lab.inject(pc.host.name, kind="access-denied", action="StartService")
    pc.apply(journal)
    pc.back()
    since = len(pc.mutations())

    result = pc.apply(journal, resume=True)

    assert result.outcome is HostOutcome.STALE
    assert pc.mutations()[since:] == []


def test_a_second_resume_does_nothing(pc: Bench) -> None:
    journal = pc.journal_path()
    pc.apply(journal)
    since = len(pc.mutations())

    assert pc.apply(journal, resume=True).outcome is HostOutcome.CHANGED
    assert pc.mutations()[since:] == []


def test_a_journal_of_a_plan_that_was_edited_since_is_refused(pc: Bench) -> None:
    journal = pc.journal_path()
    pc.apply(journal)
    state = read(journal)
    state.hosts[pc.host.name].steps[0].step = SetStartMode("Spooler", "Auto", "Disabled")

    writer = Journal.create(pc.journal_path(), "a-plan", now)
    with pytest.raises(UsageError, match="edited since"):
        PlanRun(pc.plan, pc.fleet, writer, now=now, earlier=state.hosts, runner=GeventRunner(working=1))
    writer.close()


# -- the journal's own failures ---------------------------------------------------------------------------------------


class Full(Journal):
    """A journal on a disk that is full after so many lines."""

    lines = 0

    def write(self, event: str, **fields: Any) -> None:
        if self.lines == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.lines -= 1
        super().write(event, **fields)


@pytest.mark.parametrize("lines", range(13))
def test_on_a_full_disk_nothing_is_changed_that_is_not_in_the_journal(pc: Bench, lines: int) -> None:
    path, since = pc.journal_path(), len(pc.mutations())
    Full.lines = 1
    writer = Full.create(path, pc.plan.id, now)
    assert isinstance(writer, Full)
    writer.lines = lines
    application = PlanRun(pc.plan, pc.fleet, writer, now=now, runner=GeventRunner(working=1))

    (result,) = application.run([1]).hosts
    writer.abandon()

    assert application.journal_lost
    assert result.outcome is (
        HostOutcome.CHANGED if lines >= 11 else HostOutcome.FAILED
    )  # from then on only the lines about the end are missing
    assert set(happened(pc.mutations()[since:])) <= announced(path, pc.host.name)
    assert lines or pc.mutations()[since:] == []
    assert pc.leases() == []
    assert pc.apply(path, resume=True).outcome is HostOutcome.CHANGED
    assert all(times == 1 for kind, times in happened(pc.mutations()[since:]).items() if kind != "policy")
    assert compliant(pc)


def test_a_host_that_is_read_only_in_the_inventory_is_neither_changed_nor_undone(pc: Bench) -> None:
    journal, since, fleet = pc.journal_path(), len(pc.mutations()), pc.fleet
    pc.fleet = fleet_of(pc.lab, [pc.host], winrm_read_only=True)
    result = pc.apply(journal)
    pc.fleet = fleet
    changes = pc.mutations()[since:]
    pc.apply(other := pc.journal_path())
    pc.fleet = fleet_of(pc.lab, [pc.host], winrm_read_only=True)
    undone = pc.undo(other)
    pc.fleet = fleet

    assert result.outcome is HostOutcome.FAILED
    assert "winrm_read_only" in result.detail
    assert changes == []
    assert undone.outcome == "failed"
    assert pc.read_tcf() != pc.armed


def test_a_bug_of_ours_is_reported_as_a_failure_of_that_host(pc: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> HostResult:
        raise ZeroDivisionError

    monkeypatch.setattr(apply_host, "_read_back", broken)

    result = pc.apply(pc.journal_path())

    assert result.outcome is HostOutcome.FAILED
    assert "ZeroDivisionError" in result.detail
    assert len(result.steps) == 5


def test_a_client_whose_service_restarts_during_the_look_is_waited_for(pc: Bench) -> None:
    pc.put_tcf(b"; nothing in it\r\n")
    pc.do(SetStartMode("CcmExec", "Disabled", "Auto"))
    pc.do(SetServiceState("CcmExec", "Stopped", "Running"))
    plan, since = pc.plan_anew(), len(pc.mutations())
    session = pc.session()
    session.read_only = False
    session.send(SetMode(False, "true").operations[0])  # it restarts now
    session.close()
    for name, data in pc.values.items():
        pc.lab.set_registry(pc.host.name, CCMEXEC, name, data, "SZ")

    result = pc.apply(pc.journal_path(), plan=plan)

    assert result.outcome is HostOutcome.CHANGED, result
    assert happened(pc.mutations()[since:]) == {"mode": 2, "policy": 2}


# -- killed -----------------------------------------------------------------------------------------------------------


def killed(pc: Bench, journal: Path, patch: Callable[[pytest.MonkeyPatch], None]) -> None:
    """Apply in a child process that *patch* makes die at some moment."""
    child = os.fork()
    if child == 0:
        try:
            gevent.reinit()
            patch(pytest.MonkeyPatch())
            pc.apply(journal, resume=journal.exists())
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_request(number: int, *, before: bool) -> Callable[[pytest.MonkeyPatch], None]:
    """Die right before that request is sent, or right after it was answered."""
    sent = itertools.count()

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real = Session._exchange

        def send(self: Session, request: Any) -> Any:
            chosen = next(sent) == number
            if chosen and before:
                die()
            answer = real(self, request)
            if chosen:
                die()
            return answer

        monkeypatch.setattr(Session, "_exchange", send)

    return patch


def in_line(number: int, share: float) -> Callable[[pytest.MonkeyPatch], None]:
    """Die when this share of that line of the journal is written."""
    written = itertools.count()

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real = Journal._append

        def append(self: Journal, data: bytes) -> None:
            if next(written) == number:
                self._file.seek(self._size)
                self._file.write(data[: int(len(data) * share)])
                die()
            real(self, data)

        monkeypatch.setattr(Journal, "_append", append)

    return patch


def assert_a_resume_finishes(pc: Bench, journal: Path, since: int, where: str) -> None:
    done = happened(pc.mutations()[since:])
    assert set(done) <= announced(journal, pc.host.name) if done else True, where
    if pc.mutations()[since:]:
        assert_leases_are_journaled(pc, journal, since, where)

    result = pc.apply(journal, resume=True)

    assert result.outcome is HostOutcome.CHANGED, f"{where}: {result}"
    assert all(times == 1 for kind, times in happened(pc.mutations()[since:]).items() if kind != "policy"), where
    assert set(happened(pc.mutations()[since:])) == set(SIGNS), where
    assert compliant(pc), where
    assert read(journal).closed, where
    assert_leases_are_journaled(pc, journal, since, where)
    assert pc.leases() == [], where


@pytest.mark.parametrize("before", [True, False])
def test_after_a_kill_at_a_random_request_a_resume_loses_nothing_and_does_nothing_twice(
    pcs: list[Bench], before: bool
) -> None:
    for number in random.Random(7 + before).sample(range(50), 12):
        pc = pcs[number % len(pcs)]
        journal, since = pc.journal_path(), len(pc.mutations())
        killed(pc, journal, at_request(number, before=before))
        assert_a_resume_finishes(pc, journal, since, f"killed at request {number}")
        pc.back()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_after_a_kill_within_a_journal_line_a_resume_loses_nothing(pcs: list[Bench], share: float) -> None:
    for line in range(0, 14, 2) if share == 0.0 else range(14):
        pc = pcs[line % len(pcs)]
        journal, since = pc.journal_path(), len(pc.mutations())
        killed(pc, journal, in_line(line, share))
        assert_a_resume_finishes(pc, journal, since, f"killed in line {line}")
        pc.back()


def test_after_many_kills_a_resume_ends_compliant(pc: Bench) -> None:
    chance, journal, since = random.Random(11), pc.journal_path(), len(pc.mutations())
    for _ in range(12):
        killed(pc, journal, at_request(chance.randrange(9, 28), before=chance.random() < 0.5))

    assert_a_resume_finishes(pc, journal, since, "killed twelve times")
