"""The lease on a PC, as operations and deploys hold it: who is alone there, from when to when, and what is left."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event
from pyinfra import host
from pyinfra.api import Config, Inventory, State
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.deploy import add_deploy
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operations import run_ops
from pyinfra.operations import python

from deploys.comply import comply
from operations import registry, service
from operations.step import StepCommand, one_lease
from provmode.ccm.client import CCMEXEC
from provmode.connector.run_lease import RunLease
from provmode.lab.process import Host, LabProcess
from provmode.reading import known
from provmode.remediation.lease import FOLDER, NAME, release, take
from provmode.remediation.steps import SetRegistryValue
from provmode.transport.session import Session
from provmode.windows.registry import RegistryData, ValueType
from provmode.windows.system import clock
from provmode.wsman import CommandLine

PERSONAS = {"overdue": 16}
ROOT = Path(__file__).parent.parent.parent
COMPLY = str(ROOT / "deploys" / "comply.py")
HEAD = "from pyinfra import host\nfrom operations import client, files, registry, service\n"
KEY = str(CCMEXEC)
TCF = "%windir%\\ccmsetup\\MobileClient.TCF"
OTHER = "fedcba9876543210"
TAKEN = "another controller is at work on it since "
EXIT = "SMS_Client.SetClientProvisioningMode(False)"
TAKING, RELEASING = ["lease made", "token made"], ["token removed", "lease removed"]
Pcs = Callable[[str], list[Host]]
Connect = Callable[..., Session]
Left = Callable[[Host], list[str]]


def story(changes: list[str]) -> list[str]:
    """Return the changes in order, those of a lease in two words; without renewals, temporary files and backups."""
    told = []
    for change in changes:
        if NAME in change:
            if " renamed to " not in change:
                path, _, what = change.rpartition(" ")
                told.append(f"{'lease' if path.endswith(NAME) else 'token'} {what}")
        elif not change.startswith("file ") or (" written" in change and "provmode-" not in change):
            told.append(change)
    return told


def holders(changes: list[str]) -> set[str]:
    """Return who had a token of the lease."""
    return {part[-16:] for change in changes if NAME + "\\" in change for part in [change.rpartition(" ")[0]]}


def until(condition: Callable[[], Any]) -> None:
    """Wait until *condition* is true."""
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "it did not happen within a minute"
        time.sleep(0.02)


@pytest.fixture
def left(connect: Connect, fleet: LabProcess) -> Left:
    """What is left of a lease on a PC: the folders, as its own ``dir`` lists them."""

    def look(host: Host) -> list[str]:
        completed = connect(fleet, host, read_only=True).send(CommandLine(f'dir /b "{FOLDER}*" & dir /b "{FOLDER}"'))
        return bytes(completed.stdout).decode().split()

    return look


@pytest.fixture
def somebody(connect: Connect, fleet: LabProcess) -> Callable[[Host], Any]:
    """Another controller that works on a PC."""

    @contextmanager
    def at_work(host: Host) -> Iterator[str]:
        session = connect(fleet, host, read_only=False)
        token = session.converse(take(OTHER))
        try:
            yield str(token)
        finally:
            assert session.converse(release(token))

    return at_work


# -- one operation --------------------------------------------------------------------------------------------------

TWO = HEAD + (
    "service.service(name='off', service='Spooler', start_mode='Disabled', running=False)\n"
    f"registry.value(name='set', key={KEY!r}, value='Example', data='x')\n"
)


def test_an_operation_holds_the_lease_for_itself_and_one_without_changes_takes_none(
    pyinfra: Any, pcs: Pcs, left: Left
) -> None:
    pc = pcs("overdue")[9]

    dry = pyinfra.dry(TWO, pc)
    after_dry = pyinfra.mutations(pc)
    first = pyinfra.apply(TWO, pc)
    after_first = pyinfra.mutations(pc)
    second = pyinfra.apply(TWO, pc)

    assert (dry.code, first.code, second.code) == (0, 0, 0), first.output
    assert after_dry == []
    assert story(after_first) == [
        *(*TAKING, "service Spooler start mode Disabled", "service Spooler stopped", *RELEASING),
        *(*TAKING, f"registry value {KEY} Example = 'x'", *RELEASING),
    ]
    assert pyinfra.mutations(pc) == after_first
    assert left(pc) == []


def test_an_operation_that_fails_halfway_releases_the_lease(pyinfra: Any, pcs: Pcs, left: Left) -> None:
    pc = pcs("overdue")[10]

    ran = pyinfra.apply(HEAD + "service.service(service='BITS', start_mode='Disabled', running=True)\n", pc)

    assert any("the PC answered disabled (14)" in line for line in ran.lines(pc)), ran.output
    assert story(pyinfra.mutations(pc)) == [*TAKING, "service BITS start mode Disabled", *RELEASING]
    assert left(pc) == []


def test_a_read_only_inventory_is_refused_before_the_lease_is_taken(pyinfra: Any, pcs: Pcs) -> None:
    pc = pcs("overdue")[11]

    ran = pyinfra.apply(TWO, pc, winrm_read_only=True)

    assert any("this operation changes the PC and this session only reads" in line for line in ran.lines(pc)), (
        ran.output
    )
    assert pyinfra.mutations(pc) == []


# -- somebody else is at work ---------------------------------------------------------------------------------------

EVERY_KIND = HEAD + (
    "client.provisioning_mode(name='leave', enabled=False, _ignore_errors=True)\n"
    f"files.contents(name='file', path={TCF!r}, data='x', _ignore_errors=True)\n"
    f"registry.value(name='value', key={KEY!r}, value='Example', data='x', _ignore_errors=True)\n"
    "registry.key(name='key', key='HKLM\\\\SOFTWARE\\\\Example', _ignore_errors=True)\n"
    "service.service(name='service', service='Spooler', running=False, _ignore_errors=True)\n"
)


@pytest.mark.parametrize("deploy", [EVERY_KIND, COMPLY], ids=["operations", "comply"])
def test_a_pc_on_which_somebody_else_works_fails_with_one_line_and_is_not_changed(
    pyinfra: Any, pcs: Pcs, fleet: LabProcess, somebody: Any, left: Left, deploy: str
) -> None:
    pc = pcs("overdue")[0]

    mode = fleet.registry(pc.name, KEY, "ProvisioningMode")
    with somebody(pc) as token:
        before = pyinfra.mutations(pc)
        ran = pyinfra.apply(deploy, pc)
        after, still = pyinfra.mutations(pc), left(pc)

    lines = [line for line in ran.lines(pc) if TAKEN in line and token in line]
    assert len(lines) == (5 if deploy == EVERY_KIND else 1), ran.output  # comply ends at its first
    assert all(result.failed == 1 for result in ran.results.values()), ran.output
    assert after == before
    assert still == [NAME, token]
    assert mode.lower() == "true"
    assert fleet.registry(pc.name, KEY, "ProvisioningMode") == mode


def test_a_folder_of_version_0_1_0_is_heeded(
    pyinfra: Any, pcs: Pcs, fleet: LabProcess, connect: Connect, left: Left
) -> None:
    pc = pcs("overdue")[0]
    session = connect(fleet, pc, read_only=False)
    now = known(session.converse(clock()), None)
    assert now is not None
    token = f"{now.now:%Y%m%dT%H%M%SZ}-aa17816785869fb5"  # of a run of 0.1.0, as in tests/fleet/version-1
    made = session.send(CommandLine(f'mkdir "{FOLDER}" && mkdir "{FOLDER}\\{token}"'))
    assert made.exit_code == 0
    before = pyinfra.mutations(pc)

    ran = pyinfra.apply(COMPLY, pc)
    after, still = pyinfra.mutations(pc), left(pc)
    session.send(CommandLine(f'rmdir "{FOLDER}\\{token}" && rmdir "{FOLDER}"'))

    assert any(TAKEN in line and token in line for line in ran.lines(pc)), ran.output
    assert after == before
    assert still == [NAME, token]


def test_of_two_runs_at_once_one_works_and_the_other_gives_way(pyinfra: Any, pcs: Pcs, left: Left) -> None:
    pc = pcs("overdue")[1]

    one = pyinfra.start(COMPLY, pc)
    until(lambda: "token made" in story(pyinfra.mutations(pc)))
    os.kill(one.pid, signal.SIGSTOP)  # it holds the lease, and stands still
    try:
        other = pyinfra.apply(HEAD + "client.provisioning_mode(name='leave', enabled=False)\n", pc)
    finally:
        os.kill(one.pid, signal.SIGCONT)
    with pyinfra.hurried():
        ran = pyinfra.finish(one)

    assert any(TAKEN in line for line in other.lines(pc)), other.output
    assert all(result.failed == 0 for result in ran.results.values()), ran.output
    assert story(pyinfra.mutations(pc)).count(EXIT) == 1
    assert left(pc) == []


OVERTAKEN = HEAD + (
    "from provmode.remediation.lease import FOLDER, LOOK\n"
    "from provmode.wsman import CommandLine\n"
    "last_look = client.check_idle\n"
    "def overtaken(now, policy):\n"
    "    yield from last_look(now, policy)\n"
    "    found = yield LOOK\n"
    "    token = found.stdout.decode().split()[-1]\n"
    f'    yield CommandLine(f\'ren "{{FOLDER}}\\\\{{token}}" "{{token[:16]}}-{OTHER}"\')\n'
    "client.check_idle = overtaken\n"
    "client.provisioning_mode(name='leave', enabled=False)\n"
)


def test_an_operation_whose_lease_was_taken_over_does_not_call_the_exit(
    pyinfra: Any, pcs: Pcs, fleet: LabProcess, connect: Connect, left: Left
) -> None:
    pc = pcs("overdue")[2]

    ran = pyinfra.apply(OVERTAKEN, pc)
    still = left(pc)
    connect(fleet, pc, read_only=False).send(CommandLine(f'rmdir /s /q "{FOLDER}"'))

    assert any("another controller took over" in line for line in ran.lines(pc)), ran.output
    assert EXIT not in pyinfra.mutations(pc)
    assert fleet.registry(pc.name, KEY, "ProvisioningMode").lower() == "true"
    assert [name[-16:] for name in still] == [NAME[-16:], OTHER]


# -- comply ---------------------------------------------------------------------------------------------------------


def arm(pyinfra: Any, pc: Host) -> None:
    """Give a PC an armed file and a disabled service, so that it needs every operation of the deploy."""
    deploy = HEAD + (
        f"files.contents(name='arm', path={TCF!r}, data='SMSPROVISIONINGMODE=1')\n"
        "service.service(name='off', service='CcmExec', running=False, start_mode='Disabled')\n"
    )
    assert pyinfra.apply(deploy, pc).code == 0


def test_comply_holds_one_lease_from_its_first_change_to_its_last(pyinfra: Any, pcs: Pcs, left: Left) -> None:
    pc, beside = pcs("overdue")[3:5]
    arm(pyinfra, pc)
    before = len(pyinfra.mutations(pc))

    with pyinfra.hurried():
        first = pyinfra.apply(COMPLY, pc, beside)
    changes, all_changes = pyinfra.mutations(pc)[before:], [pyinfra.mutations(pc), pyinfra.mutations(beside)]
    second = pyinfra.apply(COMPLY, pc, beside)

    assert (first.code, second.code) == (0, 0), first.output
    told = story(changes)
    assert told[:2] == TAKING
    assert "MobileClient.TCF written" in told[2]
    assert told[3:5] == ["service CcmExec start mode Auto", "service CcmExec started"]
    assert told[5] == EXIT
    assert [line for line in told[6:] if "TriggerSchedule" in line] == told[-4:-2]
    assert told[-2:] == RELEASING
    assert len([line for line in told if "lease" in line or "token" in line]) == 4
    assert len(holders(changes)) == len(holders(pyinfra.mutations(beside))) == 1
    assert holders(changes) != holders(pyinfra.mutations(beside))
    assert [pyinfra.mutations(pc), pyinfra.mutations(beside)] == all_changes
    assert left(pc) == left(beside) == []


def test_a_run_that_ends_at_another_hosts_failure_releases_every_lease(
    pyinfra: Any, pcs: Pcs, fleet: LabProcess, left: Left
) -> None:
    pc, denied = pcs("overdue")[5:7]
    fleet.inject(denied.name, kind="access-denied", action="SetClientProvisioningMode", times=None)
    try:
        with pyinfra.hurried():
            ran = pyinfra.apply(COMPLY, pc, denied, flags=("--fail-percent", "0"))
    finally:
        fleet.heal(denied.name)

    assert "Over 0% of hosts failed" in ran.output
    told = story(pyinfra.mutations(pc))
    assert EXIT in told  # it holds the lease: policy was still to be requested
    assert not [line for line in told if "TriggerSchedule" in line]
    assert told[-2:] == RELEASING
    assert story(pyinfra.mutations(denied))[-2:] == RELEASING
    assert EXIT not in pyinfra.mutations(denied)
    assert left(pc) == left(denied) == []


WAITS = (
    "import os\n"
    "from deploys.comply import comply\n"
    "from provmode.remediation.steps import client\n"
    "from provmode.windows.conversation import Pause\n"
    "def until_mode(enabled, read_back=client._until_mode):\n"
    "    while not os.path.exists({go!r}):\n"
    "        yield Pause(0.1)\n"
    "    return (yield from read_back(enabled))\n"
    "client._until_mode = until_mode\n"
    "comply()\n"
)
"""The deploy; after the exit it waits for a file before it goes on."""


def test_a_run_that_is_interrupted_ends_the_step_in_progress_and_releases_the_lease(
    pyinfra: Any, pcs: Pcs, left: Left, tmp_path: Path
) -> None:
    pc, beside = pcs("overdue")[7:9]  # beside is left alone: pyinfra has a greenlet to disconnect pc while it works
    policies = {pc.name: {}, beside.name: {"misspelt": True}}
    go = tmp_path / "go"

    running = pyinfra.start(WAITS.format(go=str(go)), pc, beside, provmode_policy=policies)
    until(lambda: EXIT in pyinfra.mutations(pc))
    running.send_signal(signal.SIGINT)
    go.touch()
    with pyinfra.hurried():
        ran = pyinfra.finish(running)

    told = story(pyinfra.mutations(pc))
    assert "Exiting upon user request" in ran.output
    assert "Success" in ran.output.partition("--> Disconnecting from hosts")[2], ran.output  # of the step in progress
    assert not [line for line in told if "TriggerSchedule" in line]
    assert told[-2:] == RELEASING
    assert left(pc) == []


CTRL_C = (
    "import os, signal\n"
    "os.environ['FIRST'] = 'yes'\n"
    "from deploys.comply import comply\n"
    "from operations import client\n"
    "idle = client.check_idle\n"
    "def last_look(now, policy):\n"
    "    yield from idle(now, policy)\n"
    "    if os.environ.pop('FIRST', ''):\n"
    "        os.kill(os.getpid(), signal.SIGINT)\n"
    "client.check_idle = last_look\n"
    "comply()\n"
)
"""The deploy; the signal comes right before the exit is called, while nobody waits."""


def test_ctrl_c_while_a_step_computes_does_not_end_it_in_the_middle(pyinfra: Any, pcs: Pcs, left: Left) -> None:
    pc, beside = pcs("overdue")[14:16]

    with pyinfra.hurried():
        ran = pyinfra.apply(CTRL_C, pc, beside)

    assert "Exiting upon user request" in ran.output
    assert ran.output.partition("--> Disconnecting from hosts")[2].count("Success") == 2, ran.output
    for each in (pc, beside):
        told = story(pyinfra.mutations(each))
        assert EXIT in told
        assert not [line for line in told if "TriggerSchedule" in line]
        assert told[-2:] == RELEASING
        assert left(each) == []


CTRL_C_AT_THE_END = HEAD + (
    "import os, signal\n"
    "os.environ['FIRST'] = 'yes'\n"
    "from provmode.connector import session_lease\n"
    "remove = session_lease.release\n"
    "def release(*tokens):\n"
    "    if os.environ.pop('FIRST', ''):\n"
    "        os.kill(os.getpid(), signal.SIGINT)\n"
    "    return (yield from remove(*tokens))\n"
    "session_lease.release = release\n"
    f"registry.value(name='a', key={KEY!r}, value='Example', data='a')\n"
    f"registry.value(name='b', key={KEY!r}, value='Example', data='b')\n"
)
"""The signal comes right before the lease of the first operation is released."""


def test_ctrl_c_at_the_end_of_an_operation_leaves_no_lease(pyinfra: Any, pcs: Pcs, left: Left) -> None:
    both = pcs("overdue")[14:16]
    before = [len(pyinfra.mutations(pc)) for pc in both]

    ran = pyinfra.apply(CTRL_C_AT_THE_END, *both)

    assert "Exiting upon user request" in ran.output
    for pc, changes in zip(both, before, strict=True):
        assert story(pyinfra.mutations(pc)[changes:]) == [*TAKING, VALUES[0], *RELEASING], ran.output
        assert left(pc) == []


# -- operations in the same process: what is held before the run's end ------------------------------------------------


@pytest.fixture
def run(fleet: LabProcess, pyinfra: Any) -> Iterator[Callable[..., State]]:
    """Prepare a deploy with pyinfra's own functions, and run it; the connections last until the test's end."""
    states: list[State] = []

    def run(deploy: Callable[[], None], *hosts: Host) -> State:
        everybody = {"winrm_user": fleet.user, "winrm_password_file": str(fleet.password_file)}
        names = [(f"@winrm/{host.name}", {"winrm_address": host.address, "winrm_port": host.port}) for host in hosts]
        state = State(Inventory((names, everybody)), Config())  # type: ignore[no-untyped-call]
        states.append(state)
        connect_all(state)
        add_deploy(state, deploy)
        with pyinfra.hurried():
            run_ops(state)
        return state

    yield run
    for state in states:
        disconnect_all(state)


VALUES = [f"registry value {KEY} Example = {data!r}" for data in "abc"]


def value(data: str) -> None:
    """Set a value."""
    registry.value(name=data, key=KEY, value="Example", data=data)


def wrong(*, ignored: bool) -> None:
    """Fail."""
    service.service(name="wrong", service="Nowhere", running=True, _ignore_errors=ignored)


def test_comply_releases_the_lease_as_soon_as_an_operation_has_failed(
    run: Any, pyinfra: Any, pcs: Pcs, fleet: LabProcess, left: Left
) -> None:
    pc = pcs("overdue")[8]
    arm(pyinfra, pc)
    armed = len(pyinfra.mutations(pc))
    fleet.inject(pc.name, kind="access-denied", action="StartService", times=None)
    try:
        with pytest.raises(PyinfraError, match="No hosts remaining"):
            run(comply, pc)
        told, still = story(pyinfra.mutations(pc)[armed:]), left(pc)  # before the connection is closed
    finally:
        fleet.heal(pc.name)

    assert told[:2] == TAKING
    assert "MobileClient.TCF written" in told[2]
    assert told[-2:] == RELEASING
    assert EXIT not in told
    assert still == []


def test_a_lease_is_renewed_while_operations_share_it(run: Any, pyinfra: Any, pcs: Pcs, left: Left) -> None:
    pc, before = pcs("overdue")[12], len(pyinfra.mutations(pcs("overdue")[12]))
    ticks = itertools.count(0, 45)

    def deploy() -> None:
        host.connector.lease._lease._seconds = lambda: float(next(ticks))
        with one_lease():
            for data in "abc":
                value(data)

    run(deploy, pc)

    changes = pyinfra.mutations(pc)[before:]
    assert story(changes) == [*TAKING, *VALUES, *RELEASING]
    assert len([change for change in changes if NAME in change and " renamed to " in change]) == 1
    assert left(pc) == []


def test_nothing_is_changed_any_more_after_the_end_of_the_run(run: Any, pyinfra: Any, pcs: Pcs) -> None:
    pc = pcs("overdue")[13]
    state = run(lambda: value("a"), pc)
    (there,) = state.inventory
    disconnect_all(state)
    before = pyinfra.mutations(pc)
    step = SetRegistryValue(KEY, "Example", RegistryData(ValueType.REG_SZ, "a"), None)

    ok, output = there.run_shell_command(StepCommand(step))

    assert not ok
    assert "the run has ended" in output.stderr
    assert pyinfra.mutations(pc) == before


def test_an_ignored_failure_does_not_end_a_shared_lease(run: Any, pyinfra: Any, pcs: Pcs, left: Left) -> None:
    pc, before = pcs("overdue")[9], len(pyinfra.mutations(pcs("overdue")[9]))

    def deploy() -> None:
        with one_lease():
            value("a")
            with one_lease():
                value("b")
            wrong(ignored=True)
            value("c")
            value("c")  # nothing to change: the lease is released all the same

    run(deploy, pc)

    assert story(pyinfra.mutations(pc)[before:]) == [*TAKING, *VALUES, *RELEASING]
    assert left(pc) == []


@pytest.mark.parametrize("outer", [False, True], ids=["by itself", "among others"])
def test_operations_within_a_call_share_a_lease_or_each_take_their_own(
    run: Any, pyinfra: Any, pcs: Pcs, left: Left, outer: bool
) -> None:
    pc, before = pcs("overdue")[10], len(pyinfra.mutations(pcs("overdue")[10]))

    def each() -> None:
        value("a")
        value("b")

    def together() -> None:
        with one_lease():
            each()

    def deploy() -> None:
        if outer:
            with one_lease():
                python.call(name="each", function=each)
                value("c")
        else:
            python.call(name="together", function=together)
            value("c")
            python.call(name="each", function=each)

    run(deploy, pc)

    a, b, c = VALUES
    assert story(pyinfra.mutations(pc)[before:]) == (
        [*TAKING, a, b, c, *RELEASING]
        if outer
        else [
            *(*TAKING, a, b, *RELEASING, *TAKING, c, *RELEASING),
            *(*TAKING, a, *RELEASING, *TAKING, b, *RELEASING),
        ]
    )
    assert left(pc) == []


class SlowToRelease:
    """A lease whose release takes a while; it keeps what happened."""

    taken = True

    def __init__(self) -> None:
        self.told: list[str] = []
        self.go_on = Event()

    def release(self) -> bool | None:
        if not self.taken:
            self.told.append("nothing to release")
            return None
        self.taken = False
        self.told.append("release begins")
        self.go_on.wait()
        self.told.append("released")
        return True


def test_the_end_of_a_run_waits_until_a_lease_that_is_being_released_is_free() -> None:
    slow = SlowToRelease()
    lease = RunLease(slow, None, None)  # type: ignore[arg-type]
    releasing = gevent.spawn(lease.release)
    gevent.sleep(0)
    ending = gevent.spawn(lambda: (lease.end_run(), slow.told.append("the connection is closed")))
    for _ in range(20):
        gevent.sleep(0)
    before = list(slow.told)
    slow.go_on.set()
    gevent.joinall([releasing, ending], timeout=10, raise_error=True)

    assert before == ["release begins"]
    assert slow.told == ["release begins", "released", "nothing to release", "the connection is closed"]
