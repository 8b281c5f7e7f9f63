"""An apply that tries again: a PC that comes on is changed once, under the limits and in the journal of the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.clock import utc_now
from provmode.errors import AuthenticationFailed, HostError, ProtocolError, Unreachable
from provmode.fleet.apply import ApplyResult, apply_plan
from provmode.fleet.journal import read
from provmode.fleet.plan import plan_inventory
from provmode.fleet.plan_file import load, sign, write
from provmode.fleet.results import HostOutcome
from provmode.fleet.retrying import Retrying
from provmode.fleet.verify import verify_journal
from provmode.fleet.waves import Limits
from provmode.lab.process import LabProcess
from provmode.report.progress import LogProgress
from provmode.transport.dial import NoResolver

VERSION_1 = Path(__file__).parent / "version-1"
KEY = b"a key of the owner of the fleet"
START = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)


@dataclass
class Source:
    """An inventory in memory."""

    names: Sequence[str]
    name: str = "the near PCs"
    path: None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def read(self) -> Any:
        return {"all": ([f"@winrm/{name}" for name in self.names], {"winrm_user": "u", "winrm_password": "p"})}


class Night:
    """Runs of apply over the PCs of a bench that try again. The clock moves only while a run waits."""

    def __init__(self, bench: Any, near: Any) -> None:
        self.bench, self.runner = bench, near.in_turn(bench)
        self.journal = bench.folder / "journal"
        self.stopped = False
        self.at: dict[float, Callable[[], object]] = {}
        """What happens at a time, in seconds since the beginning, if the run waits then."""
        self.lines: list[str] = []

    def pcs(self, count: int) -> list[Any]:
        """Switch on PCs that need a change."""
        return [self.bench.pc("armed", f"PC-{number}", seed=number) for number in range(1, count + 1)]

    def pause(self, seconds: float) -> None:
        before = self.bench.seconds
        self.bench.wait(seconds)
        for moment in [each for each in self.at if before < each <= self.bench.seconds]:
            self.at.pop(moment)()

    def apply(self, plan: Any, minutes: float = 60.0, every: float = 900.0, **options: Any) -> ApplyResult:
        usual = {
            "journal": self.journal,
            "limits": Limits(),
            "now": self.bench.now,
            "runner": self.runner,
            "progress": LogProgress("applying", self.lines.append, self.bench.clock),
            "pause": self.pause,
            "seconds": self.bench.clock,
            "stop": lambda: self.stopped,
            "retrying": Retrying(self.bench.now() + timedelta(minutes=minutes), every),
        }
        return apply_plan(plan, Source(list(self.bench.pcs)), **{**usual, **options})

    def stop(self) -> None:
        self.stopped = True

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.read_bytes().splitlines()]

    def ends(self, host: str) -> list[str]:
        """How the journal says that a host ended, each time."""
        return [line["outcome"] for line in self.events if line["event"] == "host-ended" and line["host"] == host]


@pytest.fixture
def night(bench: Any, near: Any) -> Night:
    return Night(bench, near)


def is_away(pc: Any, error: HostError | None = None) -> None:
    pc.error = error or Unreachable("no answer", next_step="switch it on")


def ended(result: ApplyResult) -> list[str]:
    return [host.outcome.value for host in result.hosts]


def test_a_pc_that_comes_on_is_changed_and_nobody_else_is_begun_again(night: Night) -> None:
    one, two, three = night.pcs(3)
    plan = night.bench.plan(hours=8)
    is_away(two), is_away(three)
    night.at = {1000.0: two.heal}

    result = night.apply(plan)

    assert ended(result) == ["changed", "changed", "unreached"]
    assert night.runner.visited == [["PC-1", "PC-2", "PC-3"], ["PC-2", "PC-3"], ["PC-2", "PC-3"], ["PC-3"]]
    assert [host.tries for host in result.hosts] == [1, 3, 4]
    assert result.exit_code() == 8
    assert [len(pc.changes) for pc in (one, two, three)] == [1, 1, 0]
    assert night.bench.seconds == 2700.0, "nobody waits for the round that would begin at the end"


def test_hosts_count_by_how_they_ended_at_last(night: Night) -> None:
    (laptop,) = night.pcs(1)
    plan = night.bench.plan(hours=8)
    is_away(laptop)
    night.at = {10.0: laptop.heal}

    result = night.apply(plan)
    document = result.to_json()

    assert (result.exit_code(), result.interrupted, result.ended_early) == (0, False, "")
    assert document["summary"]["changed"] == document["summary"]["total"] == 1
    assert document["retried_until"] == "2026-11-26T13:00:00+00:00"
    assert document["hosts"][0]["tries"] == 2


def test_a_run_that_is_not_told_to_try_again_says_nothing_of_it(night: Night) -> None:
    (pc,) = night.pcs(1)
    plan = night.bench.plan()
    is_away(pc)

    document = night.apply(plan, retrying=None).to_json()

    assert "retried_until" not in document
    assert "tries" not in document["hosts"][0]
    assert night.bench.seconds == 0.0


@pytest.mark.parametrize(
    "error",
    [AuthenticationFailed("refused"), ProtocolError("not WinRM"), NoResolver("DNS does not answer")],
)
def test_whoever_refuses_or_is_to_be_mended_is_begun_once(night: Night, error: HostError) -> None:
    (pc,) = night.pcs(1)
    plan = night.bench.plan()
    is_away(pc, error)

    result = night.apply(plan)

    assert ended(result) == ["unreached"]
    assert night.runner.visited == [["PC-1"]]
    assert night.bench.seconds == 0.0


def test_a_host_that_failed_or_was_stale_is_not_begun_again(night: Night) -> None:
    fails, stale, _ = night.pcs(3)
    plan = night.bench.plan(hours=8)
    fails.refuse("provmode-claim", times=None)
    stale.machine.computer_name = "PC-9"

    result = night.apply(plan)

    assert ended(result) == ["failed", "stale", "changed"]
    assert night.runner.visited == [["PC-1", "PC-2", "PC-3"]]


# -- the journal ------------------------------------------------------------------------------------------------------


def test_the_journal_of_all_rounds_is_that_of_one_run(night: Night) -> None:
    _, laptop = night.pcs(2)
    plan = night.bench.plan(hours=8)
    is_away(laptop)
    night.at = {10.0: laptop.heal}

    night.apply(plan)
    state = verify_journal(night.journal).state
    events = [line["event"] for line in night.events]

    assert (events[0], events[-1], events.count("run-begun"), events.count("run-ended")) == (
        *("run-begun", "run-ended"),
        *(1, 1),
    )
    assert state.closed
    assert {name: host.outcome for name, host in state.hosts.items()} == {"PC-1": "changed", "PC-2": "changed"}
    assert night.ends("PC-2") == ["changed"], "a host that was not reached has not ended"
    assert next(line["time"] for line in night.events if line.get("host") == "PC-2") == "2026-11-26T12:15:00+00:00"


def test_a_reader_of_version_1_finds_no_event_and_no_field_that_it_does_not_know(night: Night) -> None:
    known = {"run-begun": {"nonce", "limits"}}
    for kept in VERSION_1.glob("*.journal"):
        for line in map(json.loads, kept.read_bytes().split(b"\n")[:-1]):
            known.setdefault(line["event"], set()).update(line)
    (laptop,) = night.pcs(1)
    plan = night.bench.plan(hours=8)
    is_away(laptop)
    night.at = {10.0: laptop.heal}

    night.apply(plan)

    assert {line["event"] for line in night.events} >= {"run-begun", "step-ended", "host-ended", "run-ended"}
    for line in night.events:
        assert set(line) <= known[line["event"]]


def test_what_is_done_is_done_for_a_resume_too(night: Night) -> None:
    _, laptop = night.pcs(2)
    plan = night.bench.plan(hours=8)
    is_away(laptop)
    night.at = {10.0: laptop.heal}
    night.apply(plan)
    before = len(laptop.actions)

    again = night.apply(plan, resume=True)

    assert ended(again) == ["changed", "changed"]
    assert len(laptop.actions) == before


def test_a_pc_that_goes_away_with_the_lease_is_taken_over_in_the_next_round(night: Night) -> None:
    (laptop,) = night.pcs(1)
    plan = night.bench.plan(hours=8)
    laptop.before("provmode-claim", lambda: laptop.before("", lambda: is_away(laptop)))
    left: list[int] = []

    def comes_back() -> None:
        left.append(len(read(night.journal).hosts["PC-1"].leases))
        laptop.heal()

    night.at = {10.0: comes_back}

    result = night.apply(plan, every=120.0)

    assert left == [1], "its lease was announced and not released"
    assert ended(result) == ["changed"]
    assert len(laptop.changes) == 1
    assert night.bench.seconds < 180.0, "it is its own lease: nobody watches it"
    assert read(night.journal).hosts["PC-1"].leases == []


def test_a_host_that_was_begun_is_never_changed_twice(night: Night) -> None:
    laptop = night.bench.pc("stuck-service-disabled", "PC-1")
    plan = night.bench.plan(hours=8)
    laptop.before("SetClientProvisioningMode", lambda: is_away(laptop))
    first = night.apply(plan)
    done = list(laptop.changes)
    night.runner.visited.clear()
    begun = night.bench.seconds
    night.at = {begun + 100.0: laptop.heal}

    again = night.apply(plan, resume=True)

    assert (ended(first), ended(again)) == (["failed"], ["changed"])
    assert done, "the service was changed before it went away"
    assert night.runner.visited == [["PC-1"], ["PC-1"]], "away at first, and then there"
    assert laptop.changes[: len(done)] == done
    assert not set(done) & set(laptop.changes[len(done) :]), "the rest, and nothing of what was done"
    numbers = [line["number"] for line in night.events if line["event"] == "step-begun"]
    assert numbers == [0, 1, 2, 2, 3], "only the exit, which did not happen, is begun again"


def test_without_its_journal_no_other_round_begins_and_the_report_is_not_lost(night: Night) -> None:
    _, laptop = night.pcs(2)
    plan = night.bench.plan(hours=8)
    is_away(laptop)
    night.at = {10.0: lambda: night.journal.write_bytes(b"{}\n")}

    result = night.apply(plan)

    assert ended(result) == ["changed", "unreached"]
    assert result.ended_early.startswith("no host is tried again: ")
    assert night.runner.visited == [["PC-1", "PC-2"]]


# -- the limits -------------------------------------------------------------------------------------------------------


def test_each_round_goes_in_waves_of_the_run_with_its_pause_between_them(night: Night) -> None:
    pcs = night.pcs(4)
    plan = night.bench.plan(hours=8)
    for pc in pcs[1:]:
        is_away(pc)
    night.at = {500.0: lambda: [pc.heal() for pc in pcs]}

    result = night.apply(plan, limits=Limits(wave="1,2", soak=60.0))

    assert ended(result) == ["changed"] * 4
    assert night.runner.visited == [["PC-1"], ["PC-2", "PC-3"], ["PC-4"], ["PC-2"], ["PC-3", "PC-4"]]
    assert night.bench.seconds == 900.0 + 60.0, "between two rounds there was time enough"


def test_a_pause_is_kept_before_a_round_that_follows_at_once(night: Night) -> None:
    one, _ = night.pcs(2)
    plan = night.bench.plan(hours=8)
    is_away(one)
    night.at = {100.0: one.heal}

    night.apply(plan, limits=Limits(wave="1", soak=300.0), every=120.0)

    assert night.runner.visited == [["PC-1"], ["PC-2"], ["PC-1"]]
    assert night.bench.seconds == 600.0


def test_the_failure_budget_counts_each_host_once_over_all_rounds(night: Night) -> None:
    pcs = night.pcs(4)
    plan = night.bench.plan(hours=8)
    for pc in pcs[1:]:
        is_away(pc)
    pcs[0].refuse("provmode-claim", times=None)

    def come() -> None:
        for pc in pcs[1:]:
            pc.heal()
        pcs[1].refuse("provmode-claim", times=None)

    night.at = {2000.0: come}

    result = night.apply(plan, limits=Limits(wave="1", max_failures="1"))

    assert ended(result) == ["failed", "failed", "unreached", "unreached"]
    assert result.ended_early == "2 hosts failed, more than the 1 of the failure budget"
    assert pcs[2].changes == pcs[3].changes == []
    assert result.exit_code() == 4


def test_a_run_whose_budget_is_spent_begins_no_round_and_waits_for_none(night: Night) -> None:
    one, two = night.pcs(2)
    plan = night.bench.plan(hours=8)
    is_away(one)
    two.refuse("provmode-claim", times=None)

    result = night.apply(plan, limits=Limits(max_failures="0"))

    assert ended(result) == ["unreached", "failed"]
    assert result.ended_early == "1 host failed, more than the 0 of the failure budget"
    assert (night.runner.visited, night.bench.seconds) == ([["PC-1", "PC-2"]], 0.0)


def test_the_expiry_of_the_plan_ends_the_rounds_and_is_said(night: Night) -> None:
    (laptop,) = night.pcs(1)
    plan = night.bench.plan(hours=0.75)
    is_away(laptop)

    result = night.apply(plan, minutes=600.0)

    assert len(night.runner.visited) == 3, "at 0, 15 and 30 minutes; at 45 the plan has expired"
    assert night.lines[-1] == "applying: round 3 begins: 1 host"
    assert night.lines[0] == "applying: 1 host still away; next round at 12:15, until 12:45"
    assert result.ended_early == "the plan expires before the next round: plan anew for those not reached"
    assert (ended(result), result.exit_code()) == (["unreached"], 8)


def test_a_plan_that_expires_in_a_round_is_not_applied_to_the_rest_of_it(night: Night) -> None:
    one, two = night.pcs(2)
    plan = night.bench.plan(hours=0.5)
    is_away(one), is_away(two)
    night.at = {10.0: lambda: (one.heal(), two.heal())}

    def takes_long() -> None:
        if night.bench.seconds:
            night.bench.wait(3600.0)

    night.runner.at_end_of["PC-1"] = takes_long
    result = night.apply(plan)

    assert ended(result) == ["changed", "unreached"]
    assert result.ended_early == "the plan expired while it was applied: plan anew for the rest"
    assert two.changes == []


# -- a run that is stopped --------------------------------------------------------------------------------------------


def test_a_run_that_is_stopped_while_it_waits_ends_at_once_and_has_finished(night: Night) -> None:
    _, laptop = night.pcs(2)
    plan = night.bench.plan(hours=8)
    is_away(laptop)
    night.at = {100.0: night.stop}

    result = night.apply(plan)

    assert night.bench.seconds == 100.0
    assert (ended(result), result.interrupted, result.exit_code()) == (["changed", "unreached"], False, 8)
    assert night.events[-1]["event"] == "run-ended"


def test_a_run_that_is_stopped_in_a_later_round_finishes_its_host_and_begins_no_other(night: Night) -> None:
    one, two = night.pcs(2)
    plan = night.bench.plan(hours=8)
    is_away(one), is_away(two)
    night.at = {100.0: lambda: (one.heal(), two.heal())}
    night.runner.at_end_of["PC-1"] = lambda: night.stop() if night.bench.seconds else None

    result = night.apply(plan)

    assert ended(result) == ["changed", "unreached"]
    assert (result.interrupted, result.exit_code()) == (False, 8)


def test_a_run_that_is_stopped_before_its_last_host_is_interrupted_and_tries_nobody_again(night: Night) -> None:
    one, _ = night.pcs(2)
    plan = night.bench.plan(hours=8)
    is_away(one)
    night.runner.at_end_of["PC-1"] = night.stop

    result = night.apply(plan)

    assert ended(result) == ["unreached", "not-started"]
    assert (result.interrupted, result.exit_code(), result.retried_until) == (True, 130, None)
    assert night.events[-1]["event"] != "run-ended"


# -- the real lab -----------------------------------------------------------------------------------------------------


def test_a_pc_of_the_lab_that_wakes_up_between_rounds_is_changed_once(
    tmp_path: Path, source_of: Callable[..., Any]
) -> None:
    passed = [0.0]

    def now() -> datetime:
        return utc_now() + timedelta(seconds=passed[0])

    with LabProcess(3, 2, mix={"armed": 1}) as lab:
        laptop = lab.hosts[1].name
        source = source_of(lab)
        document = plan_inventory(source, now=now).document(
            **{"plan_id": "plan-1", "inventory": "lab", "limit": (), "by": "a test", "now": now()},
            valid=timedelta(hours=8),
        )
        write(tmp_path / "plan.json", sign(document, KEY))
        plan = load(tmp_path / "plan.json", KEY, unsigned=False, now=now())
        lab.inject(laptop, kind="stall", times=None)

        def pause(seconds: float) -> None:
            passed[0] += 60.0
            if passed[0] == 1200.0:
                lab.heal(laptop)

        result = apply_plan(
            plan,
            source,
            **{"journal": tmp_path / "journal", "key": KEY, "now": now, "pause": pause},
            override={"winrm_read_deadline": 1.0, "winrm_host_deadline": 3.0},
            seconds=lambda: passed[0],
            retrying=Retrying(now() + timedelta(hours=2)),
        )
        changes = {name: [each["what"] for each in done] for name, done in lab.mutations().items()}

    assert ended(result) == ["changed"] * 3
    assert [host.tries for host in result.hosts] == [1, 3, 1]
    assert sorted(map(len, changes.values())) == [len(changes[laptop])] * 3, "as much as on the others"
    assert verify_journal(tmp_path / "journal", key=KEY).state.closed


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_says_before_the_first_host_that_it_will_try_again(commands: Any) -> None:
    pc = commands.bench.pc("armed")
    plan = commands.bench.folder / "plan.json"
    commands.bench.plan()
    is_away(pc)

    ended = commands.run(
        *("apply", plan, "--unsigned", "--inventory", commands.inventory, "--every", "20m"),
        *("--retry-until", (START + timedelta(minutes=19)).isoformat()),
    )

    assert ended.code == 8, ended.err
    assert "hosts that are not reached: tried again until 2026-11-26 12:19, every 20 min" in " ".join(ended.err.split())
    assert "tried again until 2026-11-26 12:19: no round began" in ended.out
    assert HostOutcome.UNREACHED.value in ended.out


def test_the_waves_of_a_round_may_be_away_because_their_hosts_were_before(bench: Any, near: Any) -> None:
    night = Night(bench, near)
    pcs = night.pcs(6)
    plan = bench.plan(hours=2)
    pcs[0].error = pcs[5].error = Unreachable("it is off")

    result = night.apply(plan, minutes=20, limits=Limits("50%", min_reached="60%"))

    assert (result.stopped, result.ended_early) == (None, "")
    assert [host.tries for host in result.hosts] == [2, 1, 1, 1, 1, 2]
    assert night.runner.visited[2:] == [["PC-1"], ["PC-6"]]
