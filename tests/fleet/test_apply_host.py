"""Applying a plan on one host: what is said of it, what was done, and what the journal has of it."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.policy import Policy
from provmode.errors import (
    AuthenticationFailed,
    CertificateUntrusted,
    HostError,
    OtherComputer,
    ProtocolError,
    QuotaExceeded,
    Unreachable,
    UsageError,
)
from provmode.fleet import apply_host
from provmode.fleet.apply_host import HostApply, HostResult, settled_client, unreached
from provmode.fleet.identity import Together
from provmode.fleet.journal import HostRecord, Journal, StepRecord, read
from provmode.fleet.plan_file import PlannedHost
from provmode.fleet.results import HostOutcome
from provmode.remediation.lease import Token
from provmode.remediation.steps import RequestPolicy, SetMode, SetStartMode
from provmode.windows.names import ComputerName
from provmode.wsman.exchange import MAX_COMMANDS

TCF = "%windir%\\ccmsetup\\MobileClient.TCF"
NEEDS_ALL, NEEDS_SERVICE, NEEDS_MODE = ("overdue", 5), ("overdue", 1), ("overdue", 6)
"""Personas and seeds of PCs that need every kind of step, all but the file, or the mode alone."""
DONE_ALL = (
    f"{TCF} SMSPROVISIONINGMODE 1 -> absent",
    "CcmExec start mode Disabled -> Auto",
    "CcmExec state Stopped -> Running",
    "ProvisioningMode true -> false",
    "machine policy as it is -> requested and evaluated",
)


class Full(Journal):
    """A journal that has room for so many lines."""

    room = 1_000

    def write(self, event: str, **fields: Any) -> None:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= 1
        super().write(event, **fields)


@dataclass
class Applied:
    """How one host was applied to."""

    result: HostResult
    work: HostApply
    visit: Any
    path: Path

    @property
    def events(self) -> list[tuple[Any, ...]]:
        """The lines of the journal after its first, shortened: the event, the number of the step, its ending."""
        lines = [json.loads(line) for line in self.path.read_bytes().splitlines()]
        last = max(number for number, line in enumerate(lines) if line["event"] in ("run-begun", "run-resumed"))
        return [
            tuple(line[name] for name in ("event", "number", "ending") if name in line) for line in lines[last + 1 :]
        ]


class Applying:
    """One PC, and a plan for it."""

    def __init__(
        self,
        bench: Any,
        near: Any,
        persona: tuple[str, int],
        policy: Policy | None = None,
        prepare: Callable[[Any], object] = lambda pc: None,
    ) -> None:
        self.bench, self.near = bench, near
        self.pc = bench.pc(persona[0], seed=persona[1])
        prepare(self.pc)
        (self.planned,) = bench.plan(policy=policy).hosts
        self._runs = 0

    def apply(
        self,
        *,
        resume: Path | None = None,
        room: int | None = None,
        read_only: bool = False,
        planned: PlannedHost | None = None,
        **options: Any,
    ) -> Applied:
        self._runs += 1
        path = resume or self.bench.folder / f"{self._runs}.journal"
        if resume is None:
            journal, earlier = Full.create(path, "plan-1", self.bench.now), None
        else:
            journal, state = Full.resume(path, "plan-1", self.bench.now)
            earlier = state.hosts.get("PC-1")
        assert isinstance(journal, Full)
        journal.room = 1_000 if room is None else room
        planned, now = planned or self.planned, self.bench.now
        work = HostApply(planned, journal, now=now, earlier=earlier, seconds=self.bench.clock, **options)
        visit = self.near.visit(self.pc, read_only=read_only)
        result = work.run(visit)
        journal.abandon()
        return Applied(result, work, visit, path)

    def with_facts(self, **facts: Any) -> PlannedHost:
        """Return the plan's part for the host with other facts."""
        document = {**self.planned.document, "facts": {**self.planned.document["facts"], **facts}}
        return dataclasses.replace(self.planned, document=document)


@pytest.fixture
def applying(bench: Any, near: Any) -> Callable[..., Applying]:
    return lambda *arguments, **options: Applying(bench, near, *arguments, **options)


# -- the result -------------------------------------------------------------------------------------------------------


def test_a_result_as_json_has_a_cause_and_a_next_step_only_if_there_is_one() -> None:
    plain = HostResult("PC-1", HostOutcome.ALREADY)
    full = HostResult("PC-1", HostOutcome.UNREACHED, "why", "tls", "do it", ("a -> b", "c -> d"), 7)

    assert plain.to_json() == {"host": "PC-1", "ended": "already", "detail": "", "steps": [], "requests": 0}
    assert full.to_json() == {
        **{"host": "PC-1", "ended": "unreached", "detail": "why", "cause": "tls", "next_step": "do it"},
        **{"steps": ["a -> b", "c -> d"], "requests": 7},
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        plain.outcome = HostOutcome.CHANGED  # type: ignore[misc]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            Unreachable("no answer", next_step="switch it on"),
            HostResult("PC-1", HostOutcome.UNREACHED, "no answer", "connect-timeout", "switch it on"),
        ),
        (
            OtherComputer("it is PC-2", next_step="look at DNS"),
            HostResult("PC-1", HostOutcome.STALE, "it is PC-2", "other-computer", "look at DNS"),
        ),
        (
            UsageError("no such file", next_step="name one"),
            HostResult("PC-1", HostOutcome.UNREACHED, "no such file", "protocol", "name one"),
        ),
        (
            ZeroDivisionError("by zero"),
            HostResult(
                "PC-1",
                HostOutcome.UNREACHED,
                "provmode's own error (ZeroDivisionError: by zero)",
                "protocol",
                "report it",
            ),
        ),
    ],
)
def test_a_host_that_was_not_reached_says_why(error: Exception, expected: HostResult) -> None:
    assert unreached("PC-1", error) == expected


# -- changed ----------------------------------------------------------------------------------------------------------


def test_every_step_is_carried_out_in_order_journaled_and_read_back(applying: Any) -> None:
    host = applying(NEEDS_ALL)

    applied = host.apply()

    assert applied.result == HostResult(
        *("PC-1", HostOutcome.CHANGED, "client 5.00.9128.1007 is not in provisioning mode"),
        steps=DONE_ALL,
        requests=applied.visit.counters.requests,
    )
    assert applied.result.requests > 50
    steps = [[("step-begun", number), ("step-ended", number, "changed")] for number in range(5)]
    assert applied.events == [("claim-begun",), *(event for pair in steps for event in pair), ("claim-released",)]
    assert not applied.work.journal_lost
    record = read(applied.path).hosts["PC-1"]
    assert [step.step for step in record.steps] == list(host.planned.steps)
    assert [step.previous is not None for step in record.steps] == [True, False, False, False, False]


def test_a_client_that_is_compliant_already_is_not_touched(applying: Any) -> None:
    host = applying(("armed", 1))
    host.apply()
    before = len(host.pc.changes)

    applied = host.apply()

    assert applied.result == HostResult(
        *("PC-1", HostOutcome.ALREADY, "client 5.00.8740.1024 is not in provisioning mode"),
        requests=applied.visit.counters.requests,
    )
    assert applied.events == []
    assert len(host.pc.changes) == before


def test_each_step_and_the_last_look_have_the_hosts_whole_deadline(applying: Any, bench: Any) -> None:
    host = applying(NEEDS_SERVICE)
    for words in ("ChangeStartMode", "StartService", "SetClientProvisioningMode", "TriggerSchedule"):
        host.pc.before(words, lambda: bench.wait(100))

    applied = host.apply()

    assert applied.result.outcome is HostOutcome.CHANGED, applied.result
    assert bench.seconds > 400
    claims = [event for event in applied.events if event == ("claim-begun",)]
    assert len(claims) > 2, "a lease that is over a minute old is renewed before the next step"


def test_a_step_right_after_a_quick_one_has_the_whole_deadline_too(applying: Any, bench: Any) -> None:
    host = applying(NEEDS_SERVICE)
    for words, seconds in (("ChangeStartMode", 55), ("StartService", 100)):  # together over the deadline
        host.pc.before(words, lambda seconds=seconds: bench.wait(seconds))

    assert host.apply().result.outcome is HostOutcome.CHANGED


# -- looked at once more ----------------------------------------------------------------------------------------------


def test_a_host_that_cannot_be_assessed_any_more_is_not_reached(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.refuse(times=None)

    applied = host.apply()

    assert dataclasses.replace(applied.result, detail="", requests=0) == HostResult(
        *("PC-1", HostOutcome.UNREACHED, "", "access-denied"),
        "give the account the rights that docs/reference.md lists, or use another",
    )
    assert applied.result.detail.startswith("could not tell whether the client is healthy: ")
    assert (applied.events, host.pc.changes) == ([], [])


def test_a_host_that_somebody_changed_since_the_plan_is_stale(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.write("SystemTaskExcludes", "SomethingElse")

    applied = host.apply()

    assert dataclasses.replace(applied.result, requests=0) == HostResult(
        *("PC-1", HostOutcome.STALE, "system task excludes changed since the plan; it is overdue now"),
        next_step="plan anew",
    )
    assert (applied.events, host.pc.changes) == ([], [])


@pytest.mark.parametrize(
    ("fault", "cause"),
    [({"kind": "access-denied"}, "access-denied"), ({"kind": "fault", "code": 0x80041001}, "protocol")],
)
def test_a_fact_that_cannot_be_read_now_has_not_changed(applying: Any, fault: dict[str, Any], cause: str) -> None:
    name = "ProvisioningMaxMinutes"  # an old client does not use it, so the verdict is the same without it
    host = applying(("stuck-old-client", 1), prepare=lambda pc: pc.write(name, 2880))
    host.pc.refuse(f"{name}<", times=None, **fault)

    applied = host.apply()

    assert (applied.result.outcome, applied.result.cause) == (HostOutcome.UNREACHED, cause)
    assert applied.result.detail.startswith("could not tell whether it is as the plan saw it: ")
    assert applied.result.next_step == "apply the plan again"
    assert (applied.events, host.pc.changes) == ([], [])


def test_a_host_that_the_inventory_protects_is_not_changed(applying: Any) -> None:
    host = applying(NEEDS_MODE)

    applied = host.apply(read_only=True)

    assert dataclasses.replace(applied.result, requests=0) == HostResult(
        *("PC-1", HostOutcome.FAILED, "the inventory says not to change it (winrm_read_only)")
    )
    assert (applied.events, host.pc.changes) == ([], [])


def test_a_protected_host_keeps_even_the_lease_of_an_earlier_run(applying: Any, bench: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.before("SetClientProvisioningMode", lambda: setattr(host.pc, "error", Unreachable("gone")))
    first = host.apply()
    host.pc.heal()

    protected = host.apply(resume=first.path, read_only=True)
    kept = read(first.path).hosts["PC-1"].lease
    free = host.apply(resume=first.path)

    assert protected.result.outcome is HostOutcome.FAILED
    assert kept is not None
    assert free.events[-1] == ("claim-released",)
    assert read(first.path).hosts["PC-1"].lease is None


# -- which PC ---------------------------------------------------------------------------------------------------------


def moved(host: Applying) -> None:
    """Let the host's name lead to another PC, which needs the same steps."""
    host.pc.machine.computer_name = "PC-2"


def test_a_name_that_leads_to_another_pc_than_the_plan_saw_is_stale(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    moved(host)

    applied = host.apply()

    assert dataclasses.replace(applied.result, requests=0) == HostResult(
        *("PC-1", HostOutcome.STALE),
        *("it leads to another computer than when the plan was made: PC-2, not PC-1", "other-computer"),
        "check the name in DNS; if the PC that answers is meant, set winrm_computer to its name",
    )
    assert (applied.events, host.pc.changes) == ([], [])


def test_a_compliant_client_is_asked_for_its_name_too(applying: Any) -> None:
    host = applying(("armed", 1))
    host.apply()
    moved(host)

    assert host.apply().result.cause == "other-computer"


@pytest.mark.parametrize("name", [{"unknown": {"cause": "fault", "detail": ""}}, {"known": ""}, None, "PC-1"])
def test_a_plan_that_does_not_say_which_pc_it_saw_is_compared_by_the_rest(applying: Any, name: object) -> None:
    host = applying(("armed", 1))
    host.apply()
    moved(host)

    assert host.apply(planned=host.with_facts(computer=name)).result.outcome is HostOutcome.ALREADY


def test_a_pc_whose_name_cannot_be_told_is_not_taken_for_the_right_one(applying: Any) -> None:
    host = applying(("armed", 1))
    host.apply()
    host.pc.refuse("Win32_OperatingSystem", "fault", code=0x80041001, times=None)

    applied = host.apply()

    assert (applied.result.outcome, applied.result.cause) == (HostOutcome.UNREACHED, "protocol")
    assert applied.result.detail == (
        "could not tell whether it is the computer that the plan saw: PC-1 answered the query "
        "SELECT CSName,LocalDateTime,CurrentTimeZone,LastBootUpTime FROM Win32_OperatingSystem "
        "with a fault: WBEM_E_FAILED"
    )
    assert applied.result.next_step == "apply the plan again"
    assert applied.events == []


@pytest.mark.parametrize("persona", [NEEDS_MODE, NEEDS_ALL])
def test_a_host_has_one_shell_for_all_command_lines_and_none_afterwards(
    applying: Any, persona: tuple[str, int]
) -> None:
    host = applying(persona)
    assert (host.pc.actions.count("Create"), host.pc.service.shells.open) == (1, 0), "the plan left one"
    host.pc.actions.clear()

    applied = host.apply()

    actions = host.pc.actions
    assert applied.result.outcome is HostOutcome.CHANGED
    assert actions.count("Command") >= 5
    assert actions.count("Signal") == actions.count("Command") - actions.count("Create")
    assert actions.count("Create") == actions.count("Delete") == -(-actions.count("Command") // MAX_COMMANDS)
    assert (applied.result.requests, host.pc.service.shells.open) == (len(actions), 0)


@pytest.mark.parametrize(("passing", "asked"), [(0.0, 1), (5.0, 1), (40.0, 2), (-40.0, 2)])
def test_the_clock_that_the_look_has_read_dates_the_lease_that_is_taken_at_once(
    applying: Any, monkeypatch: pytest.MonkeyPatch, passing: float, asked: int
) -> None:
    host = applying(NEEDS_MODE)
    clocks: list[str] = []
    for _ in range(3):
        host.pc.before("LocalDateTime", lambda: clocks.append("asked"))
    reads, looked = host.bench.now, list[str]()

    def now() -> datetime:
        """Let time pass on the controller's clock after it was read together with that of the PC."""
        seconds = passing if looked else 0.0
        looked.extend(clocks)
        moment: datetime = reads() + timedelta(seconds=seconds)
        return moment

    began = now()
    monkeypatch.setattr(host.bench, "now", now)
    applied = host.apply()

    assert applied.result.outcome is HostOutcome.CHANGED
    assert len(clocks) == asked
    announced = next(line for line in map(json.loads, applied.path.read_bytes().splitlines()) if "token" in line)
    since = Token.parse(announced["token"])
    assert since is not None
    assert since.since - began == timedelta(seconds=passing if asked == 1 else 0)


@pytest.mark.parametrize("gives_name", [True, False])
def test_a_pc_that_is_not_the_one_that_is_meant_is_left_alone(applying: Any, gives_name: bool) -> None:
    host = applying(NEEDS_MODE)
    host.pc.meant, host.pc.gives_name = "PC-7", gives_name

    applied = host.apply()

    assert (applied.result.outcome, applied.result.cause) == (HostOutcome.STALE, "other-computer")
    assert applied.result.detail == (
        "PC-1 leads to another PC, which calls itself PC-1; PC-7 is meant"
        if gives_name
        else "it leads to another PC, which calls itself PC-1"
    )
    assert (applied.events, host.pc.changes) == ([], [])


def test_a_pc_that_the_run_works_on_under_another_name_is_left_to_that_one(applying: Any) -> None:
    host, together = applying(NEEDS_MODE), Together()
    together.enter("ALIAS", ComputerName(netbios="PC-1"))

    applied = host.apply(together=together)

    assert dataclasses.replace(applied.result, requests=0) == HostResult(
        *("PC-1", HostOutcome.STALE, "it is the same PC as ALIAS, which this run works on"), next_step="plan anew"
    )
    assert (applied.events, host.pc.changes) == ([], [])
    assert host.apply(together=Together()).result.outcome is HostOutcome.CHANGED


def test_what_was_begun_under_one_name_is_finished_under_it(applying: Any) -> None:
    host, together = applying(NEEDS_SERVICE), Together()
    host.pc.refuse("SetClientProvisioningMode")
    first = host.apply()
    together.enter("ALIAS", ComputerName(netbios="PC-1"))

    assert first.result.outcome is HostOutcome.FAILED
    assert host.apply(resume=first.path, together=together).result.outcome is HostOutcome.CHANGED


# -- the policy of today ----------------------------------------------------------------------------------------------


def test_a_host_that_todays_policy_leaves_alone_is_left_alone(applying: Any) -> None:
    host = applying(("self-healing", 1), Policy(wait_for_self_healing=False))

    applied = host.apply(today=Policy())

    assert applied.result.outcome is HostOutcome.STALE
    assert applied.result.detail.startswith(
        "the inventory's policy has changed since the plan: it is self-healing now: "
    )
    assert applied.result.next_step == "plan anew"
    assert (applied.events, host.pc.changes) == ([], [])
    assert host.apply().result.outcome is HostOutcome.CHANGED, "the plan's own policy does not wait"


def test_what_was_begun_is_finished_although_todays_policy_would_wait(applying: Any) -> None:
    host = applying(("self-healing", 1), Policy(wait_for_self_healing=False))
    host.pc.refuse("SetClientProvisioningMode")
    first = host.apply()

    assert first.result.outcome is HostOutcome.FAILED
    assert host.apply(resume=first.path, today=Policy()).result.outcome is HostOutcome.CHANGED


def test_what_was_begun_is_left_if_todays_policy_asks_for_what_cannot_be_read(applying: Any) -> None:
    host = applying(NEEDS_MODE, Policy(check_tcf=False))
    host.pc.refuse("TriggerSchedule")
    first = host.apply()
    host.pc.refuse("MobileClient.TCF", times=None)

    again = host.apply(resume=first.path, today=Policy())

    assert (first.result.outcome, again.result.outcome) == (HostOutcome.FAILED, HostOutcome.STALE)
    assert again.result.detail.startswith(
        "the inventory's policy has changed since the plan: it is unassessed now: could not tell whether "
    )
    assert host.apply(resume=first.path).result.outcome is HostOutcome.CHANGED, "the plan's policy does not ask"


def test_a_program_that_todays_policy_protects_is_not_disturbed(applying: Any, bench: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.machine.processes.start("backup.exe", "C:\\backup.exe", bench.now())

    applied = host.apply(today=Policy(legitimate_processes=("backup.exe",)))

    assert applied.result.outcome is HostOutcome.STALE
    assert applied.result.detail == "what runs there changed since the plan; it is in-progress now"
    assert host.pc.changes == []


# -- waiting for the client -------------------------------------------------------------------------------------------


def test_a_client_that_does_not_answer_yet_is_asked_again_until_it_does(applying: Any, bench: Any, near: Any) -> None:
    host = applying(("armed", 1))
    host.pc.refuse("SMS_Client", "fault", code=0x800706BA, times=4)  # each asked for its version

    client = near.visit(host.pc).session.converse(settled_client(bench.now, Policy()))

    assert client.client_version.to_json() == {"known": "5.00.8740.1024"}
    assert bench.seconds > 0


def test_a_client_that_never_answers_is_returned_as_it_is_after_two_minutes(
    applying: Any, bench: Any, near: Any
) -> None:
    host = applying(("armed", 1))
    host.pc.refuse("SMS_Client", "fault", code=0x800706BA, times=None)

    client = near.visit(host.pc).session.converse(settled_client(bench.now, Policy()))

    assert client.client_version.to_json()["unknown"]["cause"] == "unavailable"
    assert 120 <= bench.seconds <= 400


def test_a_client_whose_service_starts_is_waited_for_before_anything_is_said_of_it(
    applying: Any, bench: Any, near: Any
) -> None:
    host = applying(("armed", 1))
    services = host.pc.machine.services
    running = services.get("CcmExec")
    services.put(dataclasses.replace(running, state="Start Pending"))
    host.pc.refuse("SMS_Client", "fault", code=0x80041001, times=None)

    def wait(seconds: float) -> None:
        bench.seconds += seconds
        if bench.seconds >= 3:
            services.put(running)
            host.pc.heal()

    bench.wait = wait
    client = near.visit(host.pc).session.converse(settled_client(bench.now, Policy()))

    assert (client.service.value.state, client.client_version.value) == ("Running", "5.00.8740.1024")
    assert 3 <= bench.seconds < 5


def overwritten(host: Applying) -> None:
    """Let somebody else write the file that a step is about to change."""
    path = "C:\\Windows\\ccmsetup\\MobileClient.TCF"
    host.pc.machine.files.write(path, b"; of somebody else\r\n", host.bench.now())


# -- stale and failed steps -------------------------------------------------------------------------------------------


def test_work_that_begins_in_the_meantime_is_not_disturbed(applying: Any, bench: Any) -> None:
    host = applying(NEEDS_SERVICE)
    processes = host.pc.machine.processes
    host.pc.before(
        "StartService", lambda: processes.start("TSManager.exe", "C:\\Windows\\CCM\\TSManager.exe", bench.now())
    )

    applied = host.apply()

    assert applied.result.outcome is HostOutcome.STALE
    where, _, rest = applied.result.detail.partition(": ")
    assert (where, rest.partition("; ")[0]) == (
        "ProvisioningMode",
        "TSManager.exe running: at work now, and not touched",
    )
    assert rest.endswith("; done before: CcmExec start mode, CcmExec state (undo restores CcmExec start mode)")
    assert applied.result.next_step == "plan anew"
    assert applied.result.steps == DONE_ALL[1:3]
    assert applied.events[-2:] == [("step-ended", 1, "changed"), ("claim-released",)]


def test_a_step_that_the_pc_refuses_fails_and_says_what_was_done_before(applying: Any) -> None:
    host = applying(NEEDS_SERVICE)
    host.pc.refuse("SetClientProvisioningMode")

    applied = host.apply()

    assert applied.result.outcome is HostOutcome.FAILED
    assert applied.result.detail.startswith("ProvisioningMode: PC-1 denies LAB\\auditor ")
    assert applied.result.detail.endswith(
        "; done before: CcmExec start mode, CcmExec state (undo restores CcmExec start mode)"
    )
    assert applied.result.next_step == "give the account the rights that docs/reference.md lists, or use another"
    assert applied.result.steps == DONE_ALL[1:3]
    assert applied.events[-2:] == [("step-begun", 2), ("claim-released",)]


def test_what_cannot_be_undone_is_said_to_be_so(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.refuse("TriggerSchedule")

    applied = host.apply()

    assert applied.result.detail.startswith("machine policy: PC-1 denies ")
    assert applied.result.detail.endswith("; done before: ProvisioningMode (cannot be undone)")


def test_the_first_step_has_nothing_before_it(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.refuse("SetClientProvisioningMode")

    assert host.apply().result.detail.endswith("; nothing was done before")


def test_a_client_that_goes_back_into_the_mode_at_once_is_not_changed(applying: Any) -> None:
    host = applying(NEEDS_MODE)

    def back() -> None:
        host.pc.write("ProvisioningMode", "true")
        host.pc.write("SystemTaskExcludes", "SchedulerStartup")

    host.pc.before("{00000000-0000-0000-0000-000000000022}", back)

    applied = host.apply()

    assert applied.result.outcome is HostOutcome.FAILED
    assert applied.result.detail.startswith("read back: ")
    assert applied.result.detail.endswith("; done before: ProvisioningMode, machine policy (cannot be undone)")
    assert applied.result.steps == DONE_ALL[3:]


def test_a_client_that_is_out_of_the_mode_and_does_not_answer_is_not_called_changed(applying: Any, bench: Any) -> None:
    host = applying(NEEDS_MODE)
    silent = {"kind": "fault", "code": 0x80041001, "times": None, "skip": 1}
    host.pc.before("SetClientProvisioningMode", lambda: host.pc.refuse("SMS_Client", **silent))

    applied = host.apply()

    assert applied.result.outcome is HostOutcome.FAILED
    assert applied.result.detail == (
        "ProvisioningMode: ProvisioningMode is false, and the client does not answer (CcmExec Running); "
        "nothing was done before"
    )
    assert applied.events[-2:] == [("step-begun", 0), ("claim-released",)]
    assert bench.seconds >= 120, "it had two minutes"
    host.pc.heal()
    assert host.apply(resume=applied.path).result.outcome is HostOutcome.CHANGED


def test_a_client_that_does_not_answer_at_the_end_is_not_called_changed(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.before(
        "{00000000-0000-0000-0000-000000000022}",
        lambda: host.pc.refuse("SMS_Client", "fault", code=0x800706BA, times=None, skip=1),
    )

    applied = host.apply()

    assert applied.result.outcome is HostOutcome.FAILED
    assert applied.result.detail.startswith("read back: ")


def test_what_somebody_else_did_first_is_not_ours(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.before("provmode-claim", lambda: host.pc.work(SetMode(False, "true")))

    applied = host.apply()

    assert dataclasses.replace(applied.result, requests=0) == HostResult(
        *("PC-1", HostOutcome.ALREADY, "somebody else did it first")
    )
    assert applied.events == [("claim-begun",), ("claim-released",)]
    assert "TriggerSchedule" not in host.pc.actions, "whoever left the mode requests policy"


def test_a_step_that_somebody_else_did_after_it_was_announced_ends_as_already_done(
    applying: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = applying(NEEDS_MODE)
    real = Journal.step_begun

    def announce(self: Journal, *arguments: Any) -> None:
        real(self, *arguments)
        host.pc.work(SetMode(False, "true"))

    monkeypatch.setattr(Journal, "step_begun", announce)

    applied = host.apply()

    assert (applied.result.outcome, applied.result.steps) == (HostOutcome.ALREADY, ())
    assert applied.events == [("claim-begun",), ("step-begun", 0), ("step-ended", 0, "already"), ("claim-released",)]


@pytest.mark.parametrize("overtaken", [False, True])
def test_a_step_that_became_stale_after_it_was_announced_is_open_only_if_it_might_have_happened(
    applying: Any, bench: Any, monkeypatch: pytest.MonkeyPatch, overtaken: bool
) -> None:
    host = applying(("armed", 1))
    (tcf,) = host.planned.steps
    real = Journal.step_begun

    def announce(self: Journal, *arguments: Any) -> None:
        real(self, *arguments)
        if overtaken:
            host.pc.work(tcf)
        else:
            overwritten(host)

    monkeypatch.setattr(Journal, "step_begun", announce)

    applied = host.apply()

    assert applied.result.outcome is HostOutcome.STALE
    assert applied.result.detail.startswith(f"{TCF} SMSPROVISIONINGMODE: ")
    assert applied.result.detail.endswith("; nothing was done before")
    assert read(applied.path).hosts["PC-1"].steps[0].ending == (None if overtaken else "stale")


def test_a_bug_of_ours_is_a_failure_of_this_host_that_keeps_what_was_done(
    applying: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = applying(NEEDS_MODE)

    def broken(*arguments: object) -> HostResult:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(apply_host, "_read_back", broken)

    applied = host.apply()

    assert dataclasses.replace(applied.result, requests=0) == HostResult(
        *("PC-1", HostOutcome.FAILED),
        "provmode's own error (ZeroDivisionError: by zero); "
        "done before: ProvisioningMode, machine policy (cannot be undone)",
        next_step="report it",
        steps=DONE_ALL[3:],
    )
    assert applied.events[-1] == ("claim-released",)


# -- a PC that goes away ----------------------------------------------------------------------------------------------

GONE: tuple[tuple[HostError, HostOutcome, str], ...] = (
    (Unreachable("no answer", next_step="do it"), HostOutcome.UNREACHED, "connect-timeout"),
    (AuthenticationFailed("no answer", next_step="do it"), HostOutcome.UNREACHED, "auth"),
    (CertificateUntrusted("no answer", next_step="do it"), HostOutcome.UNREACHED, "tls"),
    (OtherComputer("no answer", next_step="do it"), HostOutcome.STALE, "other-computer"),
)


@pytest.mark.parametrize(
    ("error", "outcome", "cause"),
    [*GONE, (ProtocolError("no answer", next_step="do it"), HostOutcome.UNREACHED, "protocol")],
)
def test_a_pc_that_is_gone_before_it_was_looked_at_is_not_reached(
    applying: Any, error: HostError, outcome: HostOutcome, cause: str
) -> None:
    host = applying(NEEDS_MODE)
    host.pc.error = error

    assert host.apply().result == HostResult("PC-1", outcome, "no answer", cause, "do it", requests=0)


@pytest.mark.parametrize(("error", "outcome", "cause"), GONE)
def test_a_pc_that_goes_away_before_the_first_step_is_not_reached(
    applying: Any, error: HostError, outcome: HostOutcome, cause: str
) -> None:
    host = applying(NEEDS_MODE)
    host.pc.before("provmode-claim", lambda: setattr(host.pc, "error", error))

    applied = host.apply()

    assert dataclasses.replace(applied.result, requests=0) == HostResult("PC-1", outcome, "no answer", cause, "do it")
    assert host.pc.changes == []


def test_any_other_error_after_the_look_is_a_failure_of_what_was_tried(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.before("provmode-claim", lambda: setattr(host.pc, "error", QuotaExceeded("no room", next_step="do it")))

    applied = host.apply()

    assert dataclasses.replace(applied.result, requests=0) == HostResult(
        *("PC-1", HostOutcome.FAILED, "no room; nothing was done before"), next_step="do it"
    )


@pytest.mark.parametrize("error", [error for error, _, _ in GONE])
def test_a_pc_that_goes_away_once_a_step_was_announced_has_failed(applying: Any, error: HostError) -> None:
    host = applying(NEEDS_MODE)
    host.pc.before("TriggerSchedule", lambda: setattr(host.pc, "error", error))

    applied = host.apply()

    assert dataclasses.replace(applied.result, requests=0) == HostResult(
        *("PC-1", HostOutcome.FAILED, "machine policy: no answer; done before: ProvisioningMode (cannot be undone)"),
        next_step="do it",
        steps=DONE_ALL[3:4],
    )
    assert read(applied.path).hosts["PC-1"].lease is not None, "its lease may still be there"


# -- a journal without room -------------------------------------------------------------------------------------------

NO_SPACE = "the journal cannot be written: No space left on device; "
DONE_SERVICE = "done before: CcmExec start mode, CcmExec state (undo restores CcmExec start mode)"


@pytest.mark.parametrize(
    ("room", "detail", "done"),
    [
        (0, "nothing was sent", 0),
        (1, "nothing was done before", 0),
        (2, "done before: CcmExec start mode (undo restores CcmExec start mode)", 1),
        (3, "done before: CcmExec start mode (undo restores CcmExec start mode)", 1),
        (4, DONE_SERVICE, 2),
        (5, DONE_SERVICE, 2),
    ],
)
def test_without_room_in_the_journal_nothing_more_is_changed(applying: Any, room: int, detail: str, done: int) -> None:
    host = applying(NEEDS_SERVICE)

    applied = host.apply(room=room)

    assert dataclasses.replace(applied.result, requests=0) == HostResult(
        *("PC-1", HostOutcome.FAILED, NO_SPACE + detail),
        next_step="make room for the journal, then --resume",
        steps=DONE_ALL[1 : 1 + done],
    )
    assert applied.work.journal_lost
    assert len(host.pc.changes) == done


def test_a_host_that_is_done_stays_done_if_only_the_end_of_its_lease_cannot_be_journaled(applying: Any) -> None:
    host = applying(NEEDS_MODE)

    applied = host.apply(room=5)

    assert (applied.result.outcome, applied.work.journal_lost) == (HostOutcome.CHANGED, True)
    assert applied.events[-1] == ("step-ended", 1, "changed")


def test_a_stale_step_whose_end_cannot_be_journaled_stays_open(applying: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host = applying(("armed", 1))
    real = Journal.step_begun

    def announce(self: Journal, *arguments: Any) -> None:
        real(self, *arguments)
        overwritten(host)

    monkeypatch.setattr(Journal, "step_begun", announce)

    applied = host.apply(room=2)

    assert applied.result.outcome is HostOutcome.STALE
    assert read(applied.path).hosts["PC-1"].steps[0].ending is None


# -- resumed ----------------------------------------------------------------------------------------------------------


def record(*steps: StepRecord, outcome: str | None = None) -> HostRecord:
    return HostRecord(list(steps), outcome)


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        (None, None),
        (record(), None),
        *((record(outcome=outcome), None) for outcome in ("stale", "failed")),
        (record(outcome="changed"), (HostOutcome.CHANGED, "done by the run that was resumed", "")),
        (record(outcome="already"), (HostOutcome.ALREADY, "done by the run that was resumed", "")),
        *(
            (
                record(StepRecord(0, SetMode(False, "true"), None, "changed", **{word: True}), outcome="changed"),
                (HostOutcome.STALE, "its changes were undone since", "plan anew"),
            )
            for word in ("undone", "undoing")
        ),
    ],
)
def test_what_an_earlier_run_finished_is_not_done_again(
    applying: Any, bench: Any, earlier: HostRecord | None, expected: tuple[HostOutcome, str, str] | None
) -> None:
    host = applying(NEEDS_MODE)
    journal = Journal.create(bench.folder / "journal", "plan-1", bench.now)
    before = len(host.pc.actions)

    done = HostApply(host.planned, journal, now=bench.now, earlier=earlier).done_before()
    journal.close()

    assert done == (None if expected is None else HostResult("PC-1", expected[0], expected[1], next_step=expected[2]))
    assert len(host.pc.actions) == before


@pytest.mark.parametrize(
    ("number", "step", "fits"),
    [
        (0, SetMode(False, "true"), True),
        (1, RequestPolicy(), True),
        (0, RequestPolicy(), False),
        (1, SetMode(False, "true"), False),
        (0, SetMode(False, "half-exited"), False),
        (2, RequestPolicy(), False),
        (-1, RequestPolicy(), False),
    ],
)
def test_a_journal_fits_a_plan_if_each_of_its_steps_is_the_one_of_that_number(
    applying: Any, bench: Any, number: int, step: Any, fits: bool
) -> None:
    host, earlier = applying(NEEDS_MODE), record(StepRecord(number, step, None))
    journal = Journal.create(bench.folder / "journal", "plan-1", bench.now)
    try:
        if fits:
            assert HostApply(host.planned, journal, now=bench.now, earlier=earlier).done_before() is None
            return
        with pytest.raises(UsageError) as refused:
            HostApply(host.planned, journal, now=bench.now, earlier=earlier)
    finally:
        journal.close()
    assert str(refused.value) == (
        "the journal has another step on PC-1 than the plan: the plan was edited since; "
        "give the plan it was written for"
    )


def test_a_resume_carries_out_only_what_is_left(applying: Any) -> None:
    host = applying(NEEDS_SERVICE)
    host.pc.refuse("SetClientProvisioningMode")
    first = host.apply()

    again = host.apply(resume=first.path)

    assert again.result.outcome is HostOutcome.CHANGED
    assert again.result.steps == DONE_ALL[1:], "the result of a resume has the steps of the first run, too"
    assert [event for event in again.events if event[0].startswith("step")] == [
        *(("step-begun", 2), ("step-ended", 2, "changed"), ("step-begun", 3), ("step-ended", 3, "changed"))
    ]


def test_a_change_whose_end_was_not_journaled_was_ours_and_policy_is_still_requested(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    first = host.apply(room=2)  # the lease, and the announcement of the mode
    assert host.pc.machine.client.in_mode is False

    again = host.apply(resume=first.path)

    assert first.result.outcome is HostOutcome.FAILED
    assert again.result.outcome is HostOutcome.CHANGED
    assert again.result.steps == DONE_ALL[3:]
    assert [event for event in again.events if event[0].startswith("step")] == [
        *(("step-ended", 0, "changed"), ("step-begun", 1), ("step-ended", 1, "changed"))
    ]


def test_a_host_on_which_only_an_earlier_run_changed_something_is_changed(applying: Any) -> None:
    host = applying(("armed", 1))
    first = host.apply(room=2)

    again = host.apply(resume=first.path)

    assert (first.result.outcome, again.result.outcome) == (HostOutcome.FAILED, HostOutcome.CHANGED)
    assert (again.result.steps, again.events[1]) == (DONE_ALL[:1], ("step-ended", 0, "changed"))


def test_policy_is_asked_for_again_at_once_if_an_answer_was_lost(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.refuse("TriggerSchedule", "drop-before")
    host.pc.refuse("TriggerSchedule", "drop-after")

    assert host.apply().result.outcome is HostOutcome.CHANGED
    assert host.pc.actions.count("TriggerSchedule") == 4, "request and evaluation, and each of the two that were lost"


def test_policy_is_asked_for_again_by_a_resume_if_all_its_answers_were_lost(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.refuse("TriggerSchedule", "drop-after", times=None)
    lost = host.apply()
    asked = host.pc.actions.count("TriggerSchedule")
    host.pc.heal()

    again = host.apply(resume=lost.path)

    assert (lost.result.outcome, asked) == (HostOutcome.FAILED, 4)
    assert lost.result.detail.startswith("machine policy: ")
    assert again.result.outcome is HostOutcome.CHANGED
    assert host.pc.actions.count("TriggerSchedule") == asked + 2


def test_a_host_that_somebody_changed_since_the_first_run_is_stale_for_a_resume(applying: Any) -> None:
    host = applying(NEEDS_SERVICE)
    host.pc.refuse("SetClientProvisioningMode")
    first = host.apply()
    host.pc.work(SetStartMode("CcmExec", "Auto", "Disabled"))
    changes = list(host.pc.changes)

    again = host.apply(resume=first.path)

    assert again.result.outcome is HostOutcome.STALE
    assert again.result.detail.startswith("service changed since the plan; it is ")
    assert host.pc.changes == changes


def test_what_somebody_else_did_after_a_step_was_stale_is_not_ours_in_a_resume_either(
    applying: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = applying(("armed", 1))
    (tcf,) = host.planned.steps
    armed = host.pc.machine.files.get("C:\\Windows\\ccmsetup\\MobileClient.TCF").data
    real = Journal.step_begun

    def announce(self: Journal, *arguments: Any) -> None:
        real(self, *arguments)
        overwritten(host)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "step_begun", announce)
        first = host.apply()
    host.pc.machine.files.write("C:\\Windows\\ccmsetup\\MobileClient.TCF", armed, host.bench.now())
    host.pc.work(tcf)

    again = host.apply(resume=first.path)

    assert first.result.outcome is HostOutcome.STALE
    assert (again.result.outcome, again.result.detail) == (HostOutcome.ALREADY, "somebody else did it first")
    (step,) = read(first.path).hosts["PC-1"].steps
    assert step.ending == "stale", "an undo must not take back what somebody else did"


def test_a_resume_finishes_a_client_that_would_now_leave_the_mode_by_itself(applying: Any) -> None:
    host = applying(("stuck-service-disabled", 1))
    host.pc.refuse("SetClientProvisioningMode")
    first = host.apply()
    assert host.pc.proposal(Policy()).report.assessment.verdict.value == "self-healing"

    assert host.apply(resume=first.path).result.outcome is HostOutcome.CHANGED


def test_work_that_began_before_a_resume_is_not_disturbed(applying: Any, bench: Any) -> None:
    host = applying(NEEDS_SERVICE)
    host.pc.refuse("SetClientProvisioningMode")
    first = host.apply()
    host.pc.machine.processes.start("TSManager.exe", "C:\\Windows\\CCM\\TSManager.exe", bench.now())
    changes = list(host.pc.changes)

    again = host.apply(resume=first.path)

    assert again.result.outcome is HostOutcome.STALE
    assert again.result.detail.endswith(" changed since the plan; it is in-progress now")
    assert (host.pc.changes, again.events) == (changes, [])


def test_a_run_that_only_took_its_lease_has_begun_nothing(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    first = host.apply(room=1)
    host.pc.write("SystemTaskExcludes", "SomethingElse")

    again = host.apply(resume=first.path)

    assert read(first.path).hosts["PC-1"].leases == []
    assert again.result.outcome is HostOutcome.STALE
    assert again.result.detail == "system task excludes changed since the plan; it is overdue now"
    assert host.pc.changes == []


def test_a_run_that_only_took_its_lease_leaves_a_host_that_is_compliant_now(applying: Any) -> None:
    host = applying(NEEDS_MODE)
    first = host.apply(room=1)
    host.pc.work(SetMode(False, "true"))

    again = host.apply(resume=first.path)

    assert again.result.outcome is HostOutcome.ALREADY
    assert again.result.detail == "client 5.00.9128.1007 is not in provisioning mode"


def test_a_step_that_an_earlier_run_may_have_done_stays_open_if_it_is_stale_now(
    applying: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = applying(("armed", 1))
    real, happens = (
        Journal.step_begun,
        [lambda: setattr(host.pc, "error", Unreachable("gone")), lambda: overwritten(host)],
    )

    def announce(self: Journal, *arguments: Any) -> None:
        real(self, *arguments)
        happens.pop(0)()

    monkeypatch.setattr(Journal, "step_begun", announce)
    first = host.apply()
    host.pc.heal()

    again = host.apply(resume=first.path)

    assert (first.result.outcome, again.result.outcome) == (HostOutcome.FAILED, HostOutcome.STALE)
    assert read(first.path).hosts["PC-1"].steps[0].ending is None


def test_the_lease_of_the_run_that_is_resumed_is_taken_over_without_waiting(applying: Any, bench: Any) -> None:
    host = applying(NEEDS_MODE)
    host.pc.before("SetClientProvisioningMode", lambda: setattr(host.pc, "error", Unreachable("gone")))
    first = host.apply()
    host.pc.heal()
    before = bench.seconds

    again = host.apply(resume=first.path)

    assert again.result.outcome is HostOutcome.CHANGED
    assert bench.seconds - before < 60
    other = host.apply(planned=dataclasses.replace(host.planned, fingerprint="another"))
    assert other.result.outcome is HostOutcome.ALREADY
