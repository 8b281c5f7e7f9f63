"""One run of apply over many hosts: waves, pauses, budgets, ends, and what its report and its journal say."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from provmode.ccm.policy import Policy
from provmode.connector import WinRMConnector
from provmode.errors import Unreachable, UsageError
from provmode.fleet.apply import ApplyResult, PlanRun, apply_plan, finish
from provmode.fleet.apply_host import HostResult
from provmode.fleet.inventory import load
from provmode.fleet.journal import Journal, read
from provmode.fleet.plan_file import PlanRefused
from provmode.fleet.results import HostOutcome
from provmode.fleet.waves import Limits
from provmode.signing.keys import PrivateKey

KEY = b"a key of the owner of the fleet"
ALICE, BOB = PrivateKey(b"a" * 32), PrivateKey(b"b" * 32)


@dataclass
class Source:
    """An inventory in memory."""

    names: Sequence[str]
    data: dict[str, Any] = field(default_factory=dict)
    name: str = "the near PCs"
    path: None = None

    def read(self) -> Any:
        common = {"winrm_user": "LAB\\auditor", "winrm_password": "secret", **self.data}
        return {"all": ([f"@winrm/{name}" for name in self.names], common)}


class Recorder:
    """Progress that is recorded."""

    def __init__(self) -> None:
        self.hosts, self.results = -1, list[str]()

    def begin(self, hosts: int) -> None:
        self.hosts = hosts

    def ended(self, result: HostResult) -> None:
        self.results.append(result.host)


class Run:
    """Runs of apply over the PCs of a bench."""

    def __init__(self, bench: Any, near: Any) -> None:
        self.bench, self.near = bench, near
        self.journal = bench.folder / "journal"
        self.runner, self.progress = near.in_turn(bench), Recorder()
        self.pauses: list[float] = []
        self.stopped = False

    def fleet(self, count: int, persona: str = "armed") -> list[Any]:
        """Switch on PCs that need a change."""
        return [self.bench.pc(persona, f"PC-{number}", seed=number) for number in range(1, count + 1)]

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.bench.wait(seconds)

    def apply(self, plan: Any, source: Any = None, **options: Any) -> ApplyResult:
        usual = {
            "journal": self.journal,
            "limits": Limits(),
            "now": self.bench.now,
            "runner": self.runner,
            "progress": self.progress,
            "pause": self.pause,
            "seconds": self.bench.clock,
            "stop": lambda: self.stopped,
        }
        return apply_plan(plan, source or Source(list(self.bench.pcs)), **{**usual, **options})

    def stop(self) -> None:
        self.stopped = True

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.read_bytes().splitlines()]

    @property
    def ends(self) -> list[tuple[str, ...]]:
        """What the journal says about the end of hosts and of the run."""
        fields = ("event", "host", "outcome")
        return [
            tuple(line[name] for name in fields if name in line)
            for line in self.lines
            if line["event"].endswith("-ended") and line["event"] != "step-ended"
        ]


@pytest.fixture
def run(bench: Any, near: Any) -> Run:
    return Run(bench, near)


def fails(pc: Any) -> None:
    """Let the lease on a PC be refused: nothing is changed there."""
    pc.refuse("provmode-claim", times=None)


def is_gone(pc: Any) -> None:
    pc.error = Unreachable("no answer", next_step="switch it on")


def is_done(pc: Any) -> None:
    """Let somebody else do what the plan of an armed PC says."""
    pc.machine.files.write("C:\\Windows\\ccmsetup\\MobileClient.TCF", b"; empty\r\n", pc.bench.now())


def ended(result: ApplyResult) -> list[str]:
    return [host.outcome.value for host in result.hosts]


# -- the report -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
def test_the_report_has_every_host_in_the_order_of_the_plan(run: Run, backwards: bool) -> None:
    _, two, three, four = run.fleet(4)
    plan = run.bench.plan()
    fails(two), is_gone(three)
    four.machine.computer_name = "PC-9"
    run.runner.backwards = backwards

    result = run.apply(plan)

    names = ["PC-1", "PC-2", "PC-3", "PC-4"]
    assert [host.host for host in result.hosts] == names
    assert ended(result) == ["changed", "failed", "unreached", "stale"]
    assert result.to_json() == {
        "summary": {
            **{"changed": 1, "already": 0, "stale": 1, "failed": 1, "unreached": 1, "not-started": 0, "deferred": 0},
            "total": 4,
        },
        "interrupted": False,
        "ended_early": "",
        "hosts": [host.to_json() for host in result.hosts],
    }
    assert [result.count(outcome) for outcome in (HostOutcome.CHANGED, HostOutcome.ALREADY)] == [1, 0]
    assert result.exit_code() == 4, "another PC that answers counts as a failure"
    assert result.notice == ""
    assert (run.progress.hosts, sorted(run.progress.results)) == (4, names)
    assert sorted(run.ends) == [
        ("host-ended", "PC-1", "changed"),
        ("host-ended", "PC-2", "failed"),
        ("host-ended", "PC-4", "stale"),
        ("run-ended",),
    ]
    assert run.ends[-1] == ("run-ended",)
    assert next(line for line in run.lines if line.get("host") == "PC-2" and "detail" in line)["detail"] == (
        result.hosts[1].detail
    )


def test_a_result_of_nothing_is_a_success() -> None:
    result = ApplyResult()

    assert (result.hosts, result.interrupted, result.ended_early, result.notice) == ([], False, "", "")
    assert result.exit_code() == 0
    assert ApplyResult(interrupted=True).exit_code() == 130


def test_a_plan_that_changes_nothing_asks_no_pc(run: Run) -> None:
    run.fleet(1, "healthy")
    plan = run.bench.plan(hours=0.5)
    run.bench.wait(3600)

    result = run.apply(plan, Source(["ELSEWHERE"]), limits=Limits(max_failures="0"))

    assert (result.hosts, result.ended_early, result.exit_code()) == ([], "", 0)
    assert [line["event"] for line in run.lines] == ["run-begun", "run-ended"]
    assert run.progress.hosts == 0


def test_what_a_run_changes_is_what_the_plan_says(run: Run) -> None:
    one, two = run.fleet(2)

    result = run.apply(run.bench.plan(one))

    assert ended(result) == ["changed"]
    assert one.changes
    assert two.changes == []
    assert run.runner.visited == [["PC-1"]]


# -- waves ------------------------------------------------------------------------------------------------------------


def test_hosts_are_visited_in_waves_with_a_pause_between_them(run: Run) -> None:
    run.fleet(4)
    plan = run.bench.plan()

    result = run.apply(plan, limits=Limits(wave="1,2", soak=2.0))

    assert ended(result) == ["changed"] * 4
    assert run.runner.visited == [["PC-1"], ["PC-2", "PC-3"], ["PC-4"]]
    assert run.pauses == [0.5] * 8


def test_without_a_soak_there_is_no_pause(run: Run) -> None:
    run.fleet(2)

    run.apply(run.bench.plan(), limits=Limits(wave="1"))

    assert (run.runner.visited, run.pauses) == ([["PC-1"], ["PC-2"]], [])


def test_hosts_that_an_earlier_run_finished_need_no_pause_and_are_not_journaled_again(run: Run) -> None:
    one, two, three = run.fleet(3)
    plan = run.bench.plan()
    fails(two)
    first = run.apply(plan, limits=Limits(wave="1,1", soak=1.5))
    two.heal()
    before, pauses = len(one.actions), list(run.pauses)
    run.runner.visited.clear()

    again = run.apply(plan, limits=Limits(wave="1,1", soak=1.2), resume=True)

    assert (ended(first), ended(again)) == (["changed", "failed", "changed"], ["changed"] * 3)
    assert again.hosts[0].detail == "done by the run that was resumed"
    assert [host.steps for host in again.hosts] == [first.hosts[0].steps] * 3, "the outcome shows the whole change"
    assert first.hosts[0].steps
    assert len(one.actions) == before
    assert pauses == [0.5] * 6
    assert [round(pause, 3) for pause in run.pauses[6:]] == [0.5, 0.5, 0.2], "only after the host that was worked on"
    assert run.ends[-2:] == [("host-ended", "PC-2", "changed"), ("run-ended",)]
    assert [line["event"] for line in run.lines].count("run-resumed") == 1
    assert three.changes


def test_a_wave_of_hosts_that_were_not_reached_is_waited_for_too(run: Run) -> None:
    one, _ = run.fleet(2)
    plan = run.bench.plan()
    is_gone(one)

    result = run.apply(plan, limits=Limits(wave="1", soak=0.5))

    assert (ended(result), run.pauses) == (["unreached", "changed"], [0.5])
    assert dataclass_of(result.hosts[0]) == ("no answer", "connect-timeout", "switch it on")


def dataclass_of(result: HostResult) -> tuple[str, str | None, str]:
    return result.detail, result.cause, result.next_step


# -- ended before its last host ---------------------------------------------------------------------------------------

TURN = "the run was ended before its turn"


def test_a_run_that_is_stopped_finishes_its_host_and_begins_no_other(run: Run) -> None:
    run.fleet(3)
    plan = run.bench.plan()
    run.runner.at_end_of["PC-1"] = run.stop

    result = run.apply(plan)

    assert ended(result) == ["changed", "not-started", "not-started"]
    assert [host.detail for host in result.hosts[1:]] == [TURN, TURN]
    assert (result.interrupted, result.ended_early, result.exit_code()) == (True, "", 130)
    assert run.ends == [("host-ended", "PC-1", "changed")], "the run has not finished"
    assert run.progress.results == ["PC-1"]


def test_a_run_that_is_stopped_in_a_pause_begins_no_other_wave(run: Run) -> None:
    run.fleet(2)
    plan = run.bench.plan()

    def pause(seconds: float) -> None:
        run.pause(seconds)
        run.stopped = len(run.pauses) == 3

    result = run.apply(plan, limits=Limits(wave="1", soak=60.0), pause=pause)

    assert ended(result) == ["changed", "not-started"]
    assert (run.pauses, run.runner.visited) == ([0.5] * 3, [["PC-1"]])


def test_a_host_that_waits_for_its_turn_when_the_run_is_stopped_is_not_begun(run: Run) -> None:
    _, two = run.fleet(2)
    plan = run.bench.plan()
    run.runner.begun, run.runner.at_end_of["PC-1"] = True, run.stop
    before = len(two.actions)

    result = run.apply(plan)

    assert ended(result) == ["changed", "not-started"]
    assert len(two.actions) == before


def test_a_plan_that_expires_while_it_is_applied_is_not_applied_to_the_rest(run: Run) -> None:
    run.fleet(3)
    plan = run.bench.plan(hours=1)
    run.runner.at_end_of["PC-1"] = lambda: setattr(run.bench, "seconds", 3600.0)

    result = run.apply(plan, limits=Limits(wave="2"))

    why = "the plan expired while it was applied: plan anew for the rest"
    assert ended(result) == ["changed", "not-started", "not-started"]
    assert (result.ended_early, [host.detail for host in result.hosts[1:]]) == (why, [why, why])
    assert (result.interrupted, result.exit_code()) == (False, 2)
    assert run.ends[-1] == ("run-ended",), "what could be done is done"
    assert run.runner.visited == [["PC-1"]]


def test_a_plan_that_expires_in_a_pause_is_not_applied_to_the_next_wave(run: Run) -> None:
    run.fleet(2)

    result = run.apply(run.bench.plan(hours=0.5), limits=Limits(wave="1", soak=1800.0))

    assert ended(result) == ["changed", "not-started"]
    assert run.runner.visited == [["PC-1"]]


@pytest.mark.parametrize("seconds", [3599.0, 3600.0])
def test_a_plan_that_expires_after_its_last_host_was_applied_in_time(run: Run, seconds: float) -> None:
    run.fleet(2)
    plan = run.bench.plan(hours=1)
    run.bench.seconds = 3599.0
    run.runner.at_end_of["PC-2"] = lambda: setattr(run.bench, "seconds", seconds)

    result = run.apply(plan)

    assert (ended(result), result.ended_early) == (["changed", "changed"], "")


# -- the failure budget -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failing", "gone", "limits", "expected", "why"),
    [
        ("1", "", Limits(max_failures="0"), "f---", "1 host failed, more than the 0 of the failure budget"),
        ("12", "", Limits(max_failures="1"), "ff--", "2 hosts failed, more than the 1 of the failure budget"),
        ("1", "", Limits(max_failures="1"), "faaa", ""),
        ("4", "", Limits(max_failures="0"), "aaaf", ""),
        ("1", "", Limits(max_failures="25%"), "faaa", ""),
        (
            "12",
            "",
            Limits(max_failures="25%"),
            "ff--",
            "2 of 2 reached hosts failed, more than the failure budget of 25 %",
        ),
        (
            "13",
            "",
            Limits(max_failures="25%", wave="2"),
            "f---",
            "1 of 1 reached hosts failed, more than the failure budget of 25 %",
        ),
        ("3", "", Limits(max_failures="50%", wave="2"), "aafa", ""),
        (
            "1",
            "",
            Limits(max_failures="25%", wave="1"),
            "f---",
            "1 of 1 reached hosts failed, more than the failure budget of 25 %",
        ),
        ("", "12", Limits(max_failures="0,0%"), "uuaa", ""),
        (
            "3",
            "12",
            Limits(max_failures="49%"),
            "uuf-",
            "1 of 1 reached hosts failed, more than the failure budget of 49 %",
        ),
        ("3", "12", Limits(max_failures="50%"), "uufa", ""),
    ],
)
def test_a_run_ends_as_soon_as_its_budget_is_sure_to_be_exceeded(
    run: Run, failing: str, gone: str, limits: Limits, expected: str, why: str
) -> None:
    pcs = run.fleet(4)
    plan = run.bench.plan()
    for number, pc in enumerate(pcs, 1):
        (fails if str(number) in failing else is_gone if str(number) in gone else is_done)(pc)

    result = run.apply(plan, limits=limits)

    words = {"f": "failed", "a": "already", "u": "unreached", "-": "not-started"}
    assert ended(result) == [words[letter] for letter in expected]
    assert result.ended_early == why
    assert {host.detail for host in result.hosts if host.outcome is HostOutcome.NOT_STARTED} <= {why}
    assert run.ends[-1] == ("run-ended",)


def test_the_reason_for_which_a_run_ended_first_stays_the_reason(run: Run) -> None:
    one, two, _ = run.fleet(3)
    plan = run.bench.plan()
    fails(one), fails(two)
    run.runner.begun = True

    result = run.apply(plan, limits=Limits(max_failures="0"))

    assert (ended(result)[0], ended(result)[2]) == ("failed", "not-started")
    assert result.ended_early == "1 host failed, more than the 0 of the failure budget"


def test_a_plan_that_expires_after_its_budget_was_spent_was_ended_by_the_budget(run: Run) -> None:
    one, _ = run.fleet(2)
    plan = run.bench.plan(hours=1)
    fails(one)
    run.runner.at_end_of["PC-1"] = lambda: run.bench.wait(3600)

    result = run.apply(plan, limits=Limits(max_failures="0"))

    assert result.ended_early == "1 host failed, more than the 0 of the failure budget"


# -- the inventory ----------------------------------------------------------------------------------------------------


def test_a_host_that_the_inventory_lost_is_stale_and_the_others_are_changed(run: Run) -> None:
    run.fleet(3)

    result = run.apply(run.bench.plan(), Source(["PC-2"]), limits=Limits(wave="3", max_failures="0"))

    lost = [
        HostResult(name, HostOutcome.STALE, "the inventory does not have it any more", next_step="plan anew")
        for name in ("PC-1", "PC-3")
    ]
    assert ended(result) == ["stale", "changed", "stale"]
    assert [result.hosts[0], result.hosts[2]] == lost
    assert run.ends == [
        *(("host-ended", "PC-1", "stale"), ("host-ended", "PC-3", "stale"), ("host-ended", "PC-2", "changed")),
        ("run-ended",),
    ]


def test_a_plan_for_another_fleet_is_refused_as_a_whole(run: Run) -> None:
    run.fleet(2)
    plan = run.bench.plan()

    with pytest.raises(PlanRefused) as from_source:
        run.apply(plan, Source(["ELSEWHERE"]))
    with pytest.raises(PlanRefused) as from_text:
        run.apply(plan, "@winrm/ELSEWHERE")

    told = "the plan is for another fleet: {} has no host @winrm/PC-1; give the inventory that the plan was made with"
    assert str(from_source.value) == told.format("the near PCs")
    assert str(from_text.value) == told.format("@winrm/ELSEWHERE")
    assert not run.journal.exists()


def test_the_inventorys_policy_of_today_counts_and_so_does_an_override(run: Run) -> None:
    run.fleet(1, "self-healing")
    impatient = {"provmode_policy": {"wait_for_self_healing": False}}
    plan = run.bench.plan(policy=Policy(wait_for_self_healing=False))

    left_alone = run.apply(plan)
    changed = run.apply(plan, override=impatient, journal=run.bench.folder / "second")

    assert (ended(left_alone), ended(changed)) == (["stale"], ["changed"])
    assert left_alone.hosts[0].detail.startswith("the inventory's policy has changed since the plan: ")


def test_two_names_of_one_pc_are_not_both_worked_on(run: Run) -> None:
    one, two = run.fleet(2)
    two.machine, two.service = one.machine, one.service
    plan = run.bench.plan()
    fails(one)

    result = run.apply(plan)

    assert ended(result) == ["failed", "stale"]
    assert result.hosts[1].detail == "it is the same PC as PC-1, which this run works on"


# -- the journal ------------------------------------------------------------------------------------------------------


def test_a_signed_plan_has_a_signed_journal_and_needs_its_key(run: Run) -> None:
    run.fleet(1)
    plan = run.bench.plan(key=KEY)

    with pytest.raises(UsageError) as refused:
        run.apply(plan)
    assert not run.journal.exists()
    result = run.apply(plan, key=KEY)

    assert str(refused.value) == (
        "the plan is signed, and its journal has to be signed with the same key; give the plan's key"
    )
    assert ended(result) == ["changed"]
    assert read(run.journal, KEY).signed


def test_a_plan_that_its_author_signed_needs_a_key_of_who_applies_it(run: Run) -> None:
    run.fleet(1)
    plan = run.bench.plan(key=ALICE)

    with pytest.raises(UsageError) as refused:
        run.apply(plan, key=ALICE.public)
    assert not run.journal.exists()
    result = run.apply(plan, key=ALICE.public, journal_key=BOB)

    assert str(refused.value) == (
        "the plan is signed, and there is no key to sign the journal with; "
        "give a private key of your own (--journal-key), or --unsigned-journal"
    )
    assert ended(result) == ["changed"]
    assert read(run.journal, BOB.public).signed_by == [BOB.fingerprint]


@pytest.mark.parametrize("key", [None, KEY])
def test_a_plan_that_is_not_signed_has_a_journal_that_is_not_signed(run: Run, key: bytes | None) -> None:
    run.fleet(1)
    plan = run.bench.plan()

    run.apply(plan, key=key)
    run.apply(plan, key=key, resume=True)

    assert not read(run.journal).signed
    assert [line.get("plan") for line in run.lines if "plan" in line] == ["plan-1", "plan-1"]


def test_each_run_has_a_number_of_its_own(run: Run) -> None:
    run.fleet(1)
    plan = run.bench.plan()
    for name, options in (("one", {}), ("two", {}), ("given", {"nonce": lambda: "0f"})):
        run.apply(plan, journal=run.bench.folder / name, **options)
    run.apply(plan, journal=run.bench.folder / "one", resume=True)

    lines = [
        json.loads(line) for name in ("one", "two") for line in (run.bench.folder / name).read_bytes().splitlines()
    ]
    nonces = [line["nonce"] for line in lines if "nonce" in line]
    assert len(set(nonces)) == len(nonces) == 3
    assert all(len(nonce) == 32 for nonce in nonces)
    assert b'"nonce": "0f"' in (run.bench.folder / "given").read_bytes()


def test_limits_that_cannot_be_read_stop_a_run_before_anything_is_done(run: Run) -> None:
    (one,) = run.fleet(1)
    plan = run.bench.plan()
    before = len(one.actions)

    for limits in (Limits(wave="x"), Limits(max_failures="x")):
        with pytest.raises(UsageError):
            run.apply(plan, limits=limits)

    assert len(one.actions) == before
    assert not run.journal.exists()


def test_a_journal_of_an_earlier_run_is_not_written_unless_it_is_resumed(run: Run) -> None:
    (one,) = run.fleet(1)
    plan = run.bench.plan()
    run.apply(plan)
    before = run.journal.read_bytes(), len(one.actions)

    with pytest.raises(UsageError, match="resume that run"):
        run.apply(plan)
    with pytest.raises(UsageError, match="there is no journal"):
        run.apply(plan, journal=run.bench.folder / "other", resume=True)

    assert (run.journal.read_bytes(), len(one.actions)) == before


def full_at(event: str, monkeypatch: pytest.MonkeyPatch, *, host: str = "") -> None:
    """Let the disk be full from the first line of a kind on."""
    real, full = Journal.write, list[bool]()

    def write(self: Journal, name: str, **fields: Any) -> None:
        if full or (name == event and host in ("", fields.get("host"))):
            full.append(True)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, name, **fields)

    monkeypatch.setattr(Journal, "write", write)


@pytest.mark.parametrize(
    ("event", "first"), [("claim-begun", "failed"), ("claim-released", "changed"), ("host-ended", "changed")]
)
def test_once_the_journal_cannot_be_written_no_further_host_is_begun(
    run: Run, monkeypatch: pytest.MonkeyPatch, event: str, first: str
) -> None:
    _, two, _ = run.fleet(3)
    plan = run.bench.plan()
    full_at(event, monkeypatch)

    result = run.apply(plan)

    assert ended(result) == [first, "not-started", "not-started"]
    assert [host.detail for host in result.hosts[1:]] == [TURN, TURN]
    assert (result.interrupted, result.notice, two.changes) == (False, "", [])
    assert run.ends == []
    assert not read(run.journal).closed


def test_a_later_wave_is_not_begun_either_once_the_journal_cannot_be_written(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.fleet(3)
    plan = run.bench.plan()
    full_at("host-ended", monkeypatch, host="PC-2")

    result = run.apply(plan, limits=Limits(wave="1,1"))

    assert ended(result) == ["changed", "changed", "not-started"]
    assert run.runner.visited == [["PC-1"], ["PC-2"]]


def test_a_run_whose_last_line_alone_is_missing_has_not_failed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.fleet(1)
    plan = run.bench.plan()
    full_at("run-ended", monkeypatch)

    result = run.apply(plan)

    assert result.notice == "the journal's last line could not be written: No space left on device"
    assert (ended(result), result.exit_code()) == (["changed"], 0)


@pytest.mark.parametrize("complete", [True, False])
def test_the_end_of_a_run_is_in_its_journal_only_if_it_is_complete(run: Run, complete: bool) -> None:
    journal = Journal.create(run.journal, "plan-1", run.bench.now)

    assert finish(journal, "undo-ended", complete=complete) == ""
    assert [line["event"] for line in run.lines] == ["run-begun", *(["undo-ended"] if complete else [])]
    again, _ = Journal.resume(run.journal, "plan-1", run.bench.now)  # it was closed
    again.close()


def test_an_error_that_ends_a_run_leaves_a_journal_that_can_be_resumed(run: Run) -> None:
    _, two = run.fleet(2)
    plan = run.bench.plan()

    def interrupted() -> None:
        raise KeyboardInterrupt

    run.runner.at_end_of["PC-1"] = interrupted
    with pytest.raises(KeyboardInterrupt):
        run.apply(plan)
    run.runner.at_end_of.clear()
    assert (run.ends, two.changes) == ([("host-ended", "PC-1", "changed")], [])

    assert ended(run.apply(plan, resume=True)) == ["changed", "changed"]


def test_a_new_run_without_policies_works_by_those_of_the_plan(run: Run) -> None:
    run.fleet(1, "self-healing")
    plan = run.bench.plan(policy=Policy(wait_for_self_healing=False))
    journal = Journal.create(run.journal, "plan-1", run.bench.now)

    planned = PlanRun(plan, load(Source(["PC-1"])), journal, now=run.bench.now, runner=run.runner)
    result = planned.run([1])
    journal.close()

    assert (ended(result), planned.journal_lost) == (["changed"], False)


# -- without anything passed in ---------------------------------------------------------------------------------------


class Unplugged:
    """A connection to a PC that is not there."""

    computer = None

    def dial(self) -> None:
        raise Unreachable("the cable is unplugged")

    def close(self) -> None:
        pass


def test_a_run_needs_no_more_than_a_plan_an_inventory_a_journal_and_a_clock(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.fleet(2)
    plan = run.bench.plan()
    connect: Callable[..., Unplugged] = lambda target, **options: Unplugged()  # noqa: E731
    monkeypatch.setattr(WinRMConnector, "new_connection", staticmethod(connect))

    result = apply_plan(plan, Source(["PC-1", "PC-2"]), journal=run.journal, now=run.bench.now)

    assert [(host.outcome, host.detail) for host in result.hosts] == [
        (HostOutcome.UNREACHED, "the cable is unplugged")
    ] * 2
    assert result.exit_code() == 8
