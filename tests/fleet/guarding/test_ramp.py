"""A run begins with one host at a time; each that ends well lets two more begin, up to as many as it may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gevent
import pytest
from gevent.event import Event

from provmode.fleet.apply import apply_plan
from provmode.fleet.guarding.ramp import Turns, ended_well
from provmode.fleet.results import HostOutcome
from provmode.fleet.visit import GeventRunner
from provmode.fleet.waves import Limits


class Hosts:
    """Hosts that are worked on until a test lets them end."""

    def __init__(self, count: int, working: int) -> None:
        self.names = [f"@winrm/PC-{number}" for number in range(1, count + 1)]
        self.runner = GeventRunner(working=working)
        self.begun: list[str] = []
        self.ends = {name: Event() for name in self.names}
        self.outcomes: dict[str, HostOutcome] = {}

    def shards(self, names: Sequence[str]) -> Any:
        yield from ([_Host(name)] for name in names)

    def work(self, visit: Any) -> None:
        with visit._turn:
            self.begun.append(visit.host.name)
            self.ends[visit.host.name].wait()
            ended_well(self.runner, self.outcomes.get(visit.host.name, HostOutcome.CHANGED))

    def visit(self, names: Sequence[str] | None = None) -> Any:
        visiting = gevent.spawn(
            *(self.runner.visit, self, names or self.names, self.work), stop=lambda: False, finish_begun=True
        )
        self.settle()
        return visiting

    def settle(self) -> None:
        """Let every greenlet run as far as it can."""
        for _ in range(50):
            gevent.sleep(0)

    def end(self, count: int, outcome: HostOutcome = HostOutcome.CHANGED) -> None:
        """End as many of the hosts that are worked on, the first begun first."""
        going = [name for name in self.begun if not self.ends[name].is_set()][:count]
        assert len(going) == count
        for name in going:
            self.outcomes[name] = outcome
            self.ends[name].set()
        self.settle()

    def finish(self, visiting: Any) -> None:
        """End all hosts, those that have not begun too."""
        while self.at_work:
            self.end(self.at_work)
        visiting.get(timeout=5)

    @property
    def at_work(self) -> int:
        return sum(not self.ends[name].is_set() for name in self.begun)


class _Host:
    def __init__(self, name: str) -> None:
        from provmode.connector.winrm import WinRMConnector

        self.name, self.connector_data = name, {}
        self.connector = WinRMConnector.__new__(WinRMConnector)


def test_hosts_that_end_well_double_what_is_worked_on_up_to_the_limit() -> None:
    hosts = Hosts(40, working=10)
    hosts.runner.begin_small()
    visiting = hosts.visit()

    at_work = [hosts.at_work]
    while at_work[-1] < 10:
        hosts.end(at_work[-1])
        at_work.append(hosts.at_work)
    hosts.end(10)

    assert at_work == [1, 2, 4, 8, 10]
    assert (hosts.at_work, hosts.runner.in_progress) == (10, 10)
    hosts.finish(visiting)


@pytest.mark.parametrize("outcome", [HostOutcome.FAILED, HostOutcome.STALE, HostOutcome.UNREACHED])
def test_a_host_that_does_not_end_well_leaves_its_turn_to_one_other(outcome: HostOutcome) -> None:
    hosts = Hosts(9, working=10)
    hosts.runner.begin_small()
    visiting = hosts.visit()

    at_work = []
    for _ in range(3):
        hosts.end(1, outcome)
        at_work.append(hosts.at_work)

    assert at_work == [1, 1, 1]
    hosts.finish(visiting)


@pytest.mark.parametrize("outcome", [HostOutcome.ALREADY, HostOutcome.RESTORED, HostOutcome.NOTHING])
def test_a_host_on_which_nothing_had_to_be_done_has_ended_well(outcome: HostOutcome) -> None:
    hosts = Hosts(9, working=10)
    hosts.runner.begin_small()
    visiting = hosts.visit()

    hosts.end(1, outcome)

    assert hosts.at_work == 2
    hosts.finish(visiting)


def test_the_next_wave_goes_on_where_the_last_one_ended() -> None:
    hosts = Hosts(30, working=16)
    hosts.runner.begin_small()
    first = hosts.visit(hosts.names[:3])
    hosts.end(1)
    hosts.end(2)
    first.join(timeout=5)

    second = hosts.visit(hosts.names[3:])

    assert hosts.at_work == 4
    hosts.finish(second)


def test_without_a_ramp_all_are_worked_on_at_once() -> None:
    hosts = Hosts(30, working=16)
    visiting = hosts.visit()

    assert hosts.at_work == 16
    hosts.end(3)
    assert hosts.at_work == 16, "those that end well do not make it more"
    hosts.finish(visiting)


def test_turns_are_never_fewer_than_before() -> None:
    turns = Turns(3)
    turns.allow(2)
    with turns:
        assert turns.taken == 1
    assert turns.taken == 0


class Told:
    """A runner that keeps what it is told."""

    def __init__(self, runner: Any) -> None:
        self._runner, self.told = runner, list[str]()

    def visit(self, *arguments: Any, **options: Any) -> None:
        self._runner.visit(*arguments, **options)

    def begin_small(self) -> None:
        self.told.append("begin small")

    def ended_well(self) -> None:
        self.told.append("ended well")


@pytest.mark.parametrize("ramp", [True, False])
def test_a_run_begins_small_if_its_limits_say_so_and_says_which_hosts_ended_well(
    bench: Any, near: Any, ramp: bool
) -> None:
    _, two, _ = (bench.pc("armed", f"PC-{number}", seed=1) for number in (1, 2, 3))
    plan = bench.plan()
    two.refuse("provmode-claim", times=None)
    runner = Told(near.in_turn(bench))

    result = apply_plan(
        *(plan, _Inventory(list(bench.pcs))),
        journal=bench.folder / "journal",
        now=bench.now,
        limits=Limits(ramp=ramp),
        runner=runner,
        seconds=bench.clock,
    )

    assert [host.outcome.value for host in result.hosts] == ["changed", "failed", "changed"]
    assert runner.told == ["begin small"] * ramp + ["ended well"] * 2


class _Inventory:
    name, path = "the near PCs", None

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def read(self) -> Any:
        return {"all": ([f"@winrm/{name}" for name in self._names], {"winrm_user": "a", "winrm_password": "b"})}
