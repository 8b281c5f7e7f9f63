"""Services: start mode and state, in a dry run, a first run and a second run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provmode.lab.process import Host, LabProcess
from provmode.remediation.lease import NAME

PERSONAS = {"healthy": 4}
HEAD = "from pyinfra import host\nfrom operations import service\n"
Pcs = Callable[[str], list[Host]]
At = Callable[[Host, str], str]

DEPLOY = (
    HEAD
    + """
service.service(name='manual', service='Dnscache', start_mode='Manual')
service.service(name='stop', service='W32Time', running=False)
service.service(name='start', service='wuauserv', running=True)
service.service(name='off for good', service='spooler', start_mode='Disabled', running=False)
service.service(name='as it is', service='Dhcp', start_mode='Auto', running=True)
service.service(name='nothing asked', service='Dhcp')
"""
)
BACK = (
    HEAD
    + """
service.service(name='manual', service='Dnscache', start_mode='Auto')
service.service(name='stop', service='W32Time', running=True)
service.service(name='start', service='wuauserv', running=False)
service.service(name='on again', service='Spooler', start_mode='Auto', running=True)
"""
)


@pytest.fixture(scope="module")
def runs(pyinfra: Any, pcs: Pcs) -> dict[str, tuple[Any, list[str]]]:
    """A dry run, a first and a second run, and a dry run of the way back: the output, and the changes."""
    pc, results, before = pcs("healthy")[0], {}, 0
    for name, run in (
        ("dry", pyinfra.dry),
        ("first", pyinfra.apply_with_diff),
        ("second", pyinfra.apply),
        ("dry back", pyinfra.dry),
    ):
        ran, changed = run(BACK if name == "dry back" else DEPLOY, pc), pyinfra.mutations(pc)
        results[name] = (ran, changed[before:])
        before = len(changed)
    return results


@pytest.mark.parametrize("run", ["dry", "first"])
def test_state_and_start_mode_are_shown_before_and_after(runs: Any, pcs: Pcs, run: str) -> None:
    pc, ran = pcs("healthy")[0], runs[run][0]

    assert ran.block(pc, "Dnscache start mode") == ["- Auto", "+ Manual"]
    assert ran.block(pc, "W32Time state") == ["- Running", "+ Stopped"]
    assert ran.block(pc, "wuauserv state") == ["- Stopped", "+ Running"]


def test_a_dry_run_shows_both_changes_of_one_operation(runs: Any, pcs: Pcs) -> None:
    pc, ran = pcs("healthy")[0], runs["dry"][0]

    assert ran.block(pc, "Spooler start mode") == ["- Auto", "+ Disabled"]
    assert ran.block(pc, "Spooler state") == ["- Running", "+ Stopped"]
    assert ran.pending == {"manual": 1, "stop": 1, "start": 1, "off for good": 1, "as it is": 0, "nothing asked": 0}


def test_a_dry_run_changes_nothing(runs: Any) -> None:
    assert runs["dry"][1] == []
    assert runs["dry back"][1] == []


def test_the_first_run_changes_what_it_says(runs: Any) -> None:
    ran, changed = runs["first"]

    assert [line for line in changed if NAME not in line] == [
        "service Dnscache start mode Manual",
        "service W32Time stopped",
        "service wuauserv started",
        "service Spooler start mode Disabled",
        "service Spooler stopped",
    ]
    assert [result.changed for result in ran.results.values()] == [1, 1, 1, 1, 0, 0]


def test_the_second_run_changes_nothing(runs: Any) -> None:
    ran, changed = runs["second"]

    assert changed == []
    assert [result.unchanged for result in ran.results.values()] == [1] * 6


def test_sc_on_the_pc_shows_the_changes(runs: Any, pcs: Pcs, at: At) -> None:
    pc = pcs("healthy")[0]

    assert "DEMAND_START" in at(pc, "sc qc Dnscache")
    assert "DISABLED" in at(pc, "sc qc Spooler")
    assert "STOPPED" in at(pc, "sc query Spooler")
    assert "STOPPED" in at(pc, "sc query W32Time")
    assert "RUNNING" in at(pc, "sc query wuauserv")


def test_a_dry_run_of_the_way_back_shows_the_reverse(runs: Any, pcs: Pcs) -> None:
    pc, ran = pcs("healthy")[0], runs["dry back"][0]

    assert ran.block(pc, "Spooler start mode") == ["- Disabled", "+ Auto"]
    assert ran.block(pc, "Spooler state") == ["- Stopped", "+ Running"]
    assert ran.block(pc, "wuauserv state") == ["- Running", "+ Stopped"]


def test_a_disabled_service_is_enabled_before_it_is_started(runs: Any, pyinfra: Any, pcs: Pcs) -> None:
    pc = pcs("healthy")[0]
    before = len(pyinfra.work(pc))

    ran = pyinfra.apply(BACK, pc)

    assert [result.changed for result in ran.results.values()] == [1, 1, 1, 1], ran.output
    assert pyinfra.work(pc)[before:][-2:] == ["service Spooler start mode Auto", "service Spooler started"]


def test_a_restart_restarts_each_time_and_starts_what_was_stopped(pyinfra: Any, pcs: Pcs) -> None:
    pc = pcs("healthy")[1]
    deploy = HEAD + (
        "service.service(name='running', service='W32Time', restarted=True)\n"
        "service.service(name='stopped', service='wuauserv', restarted=True)\n"
    )
    dry = pyinfra.dry(deploy, pc)
    assert pyinfra.mutations(pc) == []

    for _ in range(2):
        ran = pyinfra.apply(deploy, pc)
        assert [result.changed for result in ran.results.values()] == [1, 1], ran.output

    assert dry.block(pc, "W32Time state") == ["- Running", "+ Restarted"]
    assert dry.block(pc, "wuauserv state") == ["- Stopped", "+ Restarted"]
    w32time, wuauserv = ("stopped", "started"), ("stopped", "started")
    assert pyinfra.work(pc) == [
        *(f"service W32Time {word}" for word in w32time),
        "service wuauserv started",
        *(f"service W32Time {word}" for word in w32time),
        *(f"service wuauserv {word}" for word in wuauserv),
    ]


WRONG = [
    ("service='Nowhere', running=True", "there is no service Nowhere on this PC"),
    ("service='Dhcp', start_mode='Boot'", "start_mode 'Boot' is not one of Auto, Manual, Disabled"),
    ("service=\"Dhcp' OR Name LIKE '%\", running=False", "is not a service name"),
    ("service='RpcSs', running=False", "stop of RpcSs: the PC answered dependent services running (3)"),
    ("service='BITS', start_mode='Disabled', running=True", "start of BITS: the PC answered disabled (14)"),
]


@pytest.fixture(scope="module")
def refused(pyinfra: Any, pcs: Pcs) -> tuple[Any, list[str]]:
    """The run with impossible operations, on a PC that no other test changes, and its changes."""
    pc = pcs("healthy")[2]
    calls = (
        f"service.service(_ignore_errors=True, name='wrong {number}', {arguments})\n"
        for number, (arguments, _) in enumerate(WRONG)
    )
    return pyinfra.apply(HEAD + "".join(calls), pc), pyinfra.work(pc)


@pytest.mark.parametrize(("number", "message"), list(enumerate(message for _, message in WRONG)))
def test_an_impossible_operation_is_an_error_in_one_line(
    refused: tuple[Any, list[str]], pcs: Pcs, number: int, message: str
) -> None:
    ran, _ = refused

    assert len([line for line in ran.lines(pcs("healthy")[2]) if message in line]) == 1, ran.output
    assert ran.results[f"wrong {number}"].failed == 1
    assert "Traceback" not in ran.output


def test_an_impossible_operation_changes_only_what_comes_before_its_error(refused: tuple[Any, list[str]]) -> None:
    assert refused[1] == ["service BITS start mode Disabled"]


def test_one_hosts_fault_does_not_affect_others(refused: object, fleet: LabProcess, pyinfra: Any, pcs: Pcs) -> None:
    denied, failing, right = pcs("healthy")[:3]
    fleet.inject(denied.name, kind="access-denied", action="ChangeStartMode", times=None)
    fleet.inject(failing.name, kind="fault", action="Enumerate", times=None, code=0x80041001, text="Generic failure")
    deploy = HEAD + "service.service(name='mode', service='CryptSvc', start_mode='Manual')\n"
    try:
        ran = pyinfra.apply(deploy, denied, failing, right)
    finally:
        fleet.heal(denied.name)
        fleet.heal(failing.name)

    assert (ran.results["mode"].changed, ran.results["mode"].failed) == (1, 2), ran.output
    assert any("could not be read" in line for line in ran.lines(failing))
    assert pyinfra.work(right)[-1] == "service CryptSvc start mode Manual"
    assert "Traceback" not in ran.output


def test_a_lost_answer_is_read_back(refused: object, fleet: LabProcess, pyinfra: Any, pcs: Pcs, at: At) -> None:
    pc = pcs("healthy")[2]
    fleet.inject(pc.name, kind="drop-after", action="ChangeStartMode")
    fleet.inject(pc.name, kind="drop-after", action="StopService")
    deploy = HEAD + "service.service(name='off', service='EventLog', start_mode='Disabled', running=False)\n"
    try:
        ran = pyinfra.apply(deploy, pc)
    finally:
        fleet.heal(pc.name)

    assert ran.results["off"].changed == 1, ran.output
    assert "DISABLED" in at(pc, "sc qc EventLog")
    assert "STOPPED" in at(pc, "sc query EventLog")


# -- what a service depends on ----------------------------------------------------------------------------------------

DEPENDENCIES = HEAD + "service.dependencies(name='depend', service='SMSTSMGR', depends_on=['winmgmt'])\n"
NONE = HEAD + "service.dependencies(name='depend', service='smstsmgr', depends_on=[])\n"


def test_dependencies_are_shown_set_and_read_back(fleet: LabProcess, pyinfra: Any, pcs: Pcs, at: At) -> None:
    pc = pcs("healthy")[3]
    fleet.set_service(pc.name, "smstsmgr", depends_on=["CcmExec"])
    before, work = pyinfra.mutations(pc), len(pyinfra.work(pc))

    dry = pyinfra.dry(DEPENDENCIES, pc)
    assert pyinfra.mutations(pc) == before
    first = pyinfra.apply(DEPENDENCIES, pc)
    after_first = pyinfra.mutations(pc)
    second = pyinfra.apply(DEPENDENCIES, pc)

    assert dry.block(pc, "smstsmgr depends on") == ["- CcmExec", "+ winmgmt"]
    assert (first.results["depend"].changed, second.results["depend"].unchanged) == (1, 1), first.output
    assert pyinfra.work(pc)[work:] == ["service smstsmgr depends on winmgmt"]
    assert pyinfra.mutations(pc) == after_first, "an operation without work takes no lease"
    assert "DEPENDENCIES       : winmgmt" in at(pc, "sc qc smstsmgr")


def test_no_dependencies_are_none(fleet: LabProcess, pyinfra: Any, pcs: Pcs, at: At) -> None:
    pc = pcs("healthy")[3]
    fleet.set_service(pc.name, "smstsmgr", depends_on=["CcmExec", "Winmgmt"])

    ran = pyinfra.apply(NONE, pc)

    assert ran.results["depend"].changed == 1, ran.output
    assert "DEPENDENCIES       : \n" in at(pc, "sc qc smstsmgr")
    assert pyinfra.apply(NONE, pc).results["depend"].unchanged == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("service='Nowhere', depends_on=[]", "there is no service Nowhere on this PC"),
        ("service='Dhcp', depends_on=['Nowhere']", "there is no service Nowhere on this PC"),
        ("service='Dhcp', depends_on='Winmgmt'", "depends_on is 'Winmgmt', not a list of service names"),
        ("service='Dhcp', depends_on=['a\\\\b']", "is not a service name"),
        ("service='Dhcp', depends_on=['dhcp']", "service Dhcp cannot depend on itself"),
    ],
)
def test_impossible_dependencies_are_an_error_in_one_line(pyinfra: Any, pcs: Pcs, arguments: str, message: str) -> None:
    pc = pcs("healthy")[3]
    before = pyinfra.mutations(pc)

    ran = pyinfra.apply(f"{HEAD}service.dependencies(_ignore_errors=True, name='wrong', {arguments})\n", pc)

    assert len([line for line in ran.lines(pc) if message in line]) == 1, ran.output
    assert pyinfra.mutations(pc) == before
    assert "Traceback" not in ran.output


@pytest.mark.parametrize("shown", ["hidden", "named"])
def test_a_service_that_the_account_is_not_shown_is_neither_missing_nor_changed(
    fleet: LabProcess, pyinfra: Any, pcs: Pcs, shown: str
) -> None:
    pc = pcs("healthy")[3]
    before = pyinfra.mutations(pc)
    fleet.set_service(pc.name, "Spooler", shown=shown)
    deploy = HEAD + "service.service(name='off', service='Spooler', running=False)\n"
    try:
        ran = pyinfra.apply(deploy, pc)
    finally:
        fleet.set_service(pc.name, "Spooler", shown="whole")

    assert any("service Spooler could not be read (access-denied)" in line for line in ran.lines(pc)), ran.output
    assert pyinfra.mutations(pc) == before
