"""The client's operations: mode in both directions, armed files, limit, policy, last resort, guard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from provmode.ccm import tcf
from provmode.ccm.client import CCMEXEC
from provmode.lab.process import Host, LabProcess
from provmode.remediation.exit_guard import GUARD_COMMAND, GUARD_KEY, GUARD_VALUE
from provmode.remediation.lease import NAME
from provmode.transport.session import Session
from provmode.windows.files import read_file

PERSONAS = {
    "healthy": 3,
    **dict.fromkeys(("armed", "half-exited", "self-healing", "stuck-service-disabled"), 1),
    **dict.fromkeys(("osd-running", "upgrade-running", "no-client", "client-broken"), 1),
}
HEAD = "from pyinfra import host\nfrom deploys.comply import at_rest\nfrom operations import client, files\n"
KEY = str(CCMEXEC)
TCF = "%windir%\\ccmsetup\\MobileClient.TCF"
TCF_HEAD = f"{TCF} SMSPROVISIONINGMODE"
SECOND = "%windir%\\ccmsetup\\MobileClientUnicode.tcf"
GUARD = f"{GUARD_KEY}\\{GUARD_VALUE}"
MAX = f"{KEY}\\ProvisioningMaxMinutes"
Pcs = Callable[[str], list[Host]]
Runs = dict[str, tuple[Any, dict[str, list[str]]]]

ENTERING = (
    HEAD
    + """
client.exit_guard(name='guard')
client.max_minutes(name='limit', minutes=59)
client.provisioning_mode(name='enter', enabled=True)
"""
)
LEAVING = (
    HEAD
    + """
client.provisioning_mode(name='leave', enabled=False)
client.policy_requested(name='policy')
client.max_minutes(name='no limit')
client.exit_guard(name='no guard', present=False)
"""
)


def story(pyinfra: Any, deploy: str, *pcs: Host, **data: Any) -> Runs:
    """Run dry, then twice for real; return the output and the changes on each PC of each run."""
    runs, before = {}, {pc.name: len(pyinfra.mutations(pc)) for pc in pcs}
    for name, run in (("dry", pyinfra.dry), ("first", pyinfra.apply), ("second", pyinfra.apply)):
        ran, changed = run(deploy, *pcs, **data), {}
        for pc in pcs:
            everything = pyinfra.mutations(pc)
            changed[pc.name] = everything[before[pc.name] :]
            before[pc.name] = len(everything)
        runs[name] = (ran, changed)
    return runs


@pytest.fixture(scope="module")
def entering(pyinfra: Any, pcs: Pcs) -> Runs:
    """A PC that enters the mode, as for a rehearsal."""
    with pyinfra.hurried():
        return story(pyinfra, ENTERING, pcs("healthy")[0])


@pytest.fixture(scope="module")
def entered(entering: Runs, fleet: LabProcess, pcs: Pcs) -> dict[str, Any]:
    """The registry values after entering."""
    names = ("ProvisioningMode", "SystemTaskExcludes", "ProvisioningMaxMinutes")
    name = pcs("healthy")[0].name
    return {
        **{value: fleet.registry(name, KEY, value) for value in names},
        "guard": fleet.registry(name, GUARD_KEY, GUARD_VALUE),
    }


@pytest.fixture(scope="module")
def leaving(entered: object, fleet: LabProcess, pyinfra: Any, pcs: Pcs) -> Runs:
    """The same PC leaves the mode, and so does one that is half out and loses the answer."""
    half = pcs("half-exited")[0]
    fleet.inject(half.name, kind="drop-after", action="SetClientProvisioningMode")
    try:
        with pyinfra.hurried():
            return story(pyinfra, LEAVING, pcs("healthy")[0], half)
    finally:
        fleet.heal(half.name)


# -- the mode, the limit, the guard ---------------------------------------------------------------------------------


def test_a_dry_run_shows_mode_limit_and_guard_and_changes_nothing(entering: Runs, pcs: Pcs) -> None:
    ran, changed = entering["dry"]
    pc = pcs("healthy")[0]

    assert changed == {pc.name: []}
    assert ran.pending == {"guard": 1, "limit": 1, "enter": 1}
    assert ran.block(pc, "ProvisioningMode") == ["- false", "+ true"]
    assert ran.block(pc, MAX) == ["- absent", "+ REG_DWORD 59"]
    assert ran.block(pc, GUARD) == ["- absent", f"+ REG_SZ {GUARD_COMMAND!r}"]


@pytest.mark.parametrize("run", ["dry", "first"])
def test_a_limit_below_an_hour_gives_a_warning(entering: Runs, pcs: Pcs, run: str) -> None:
    warning = "ProvisioningMaxMinutes 59: the client checks only every 60 minutes"

    assert entering[run][0].lines(pcs("healthy")[0]).count(warning) == 1


def test_the_mode_is_entered_by_the_clients_own_method(entering: Runs, entered: dict[str, Any], pcs: Pcs) -> None:
    ran, changed = entering["first"]

    assert [result.changed for result in ran.results.values()] == [1, 1, 1], ran.output
    assert "SMS_Client.SetClientProvisioningMode(True)" in changed[pcs("healthy")[0].name]
    assert entered["ProvisioningMode"] == "true"
    assert "SchedulerStartup" in entered["SystemTaskExcludes"]
    assert entered["ProvisioningMaxMinutes"] == 59
    assert entered["guard"] == GUARD_COMMAND
    assert len(GUARD_COMMAND) <= 260


def test_the_second_run_changes_nothing(entering: Runs, pcs: Pcs) -> None:
    ran, changed = entering["second"]

    assert changed == {pcs("healthy")[0].name: []}
    assert [result.unchanged for result in ran.results.values()] == [1, 1, 1], ran.output


def test_a_dry_run_of_leaving_shows_the_previous_state_of_each_host(leaving: Runs, pcs: Pcs) -> None:
    ran, changed = leaving["dry"]
    pc, half = pcs("healthy")[0], pcs("half-exited")[0]

    assert changed == {pc.name: [], half.name: []}
    assert ran.block(pc, "ProvisioningMode") == ["- true", "+ false"]
    assert ran.block(half, "ProvisioningMode") == ["- half-exited", "+ false"]
    assert ran.block(pc, "machine policy") == ["- as it is", "+ requested and evaluated"]
    assert ran.block(pc, MAX) == ["- REG_DWORD 59", "+ absent"]
    assert ran.block(pc, GUARD)[1] == "+ absent"
    assert ran.pending == {"leave": 2, "policy": 2, "no limit": 1, "no guard": 1}


def test_one_call_leaves_the_mode_even_if_its_answer_is_lost_and_then_policy_is_requested(
    leaving: Runs, fleet: LabProcess, pcs: Pcs
) -> None:
    ran, changed = leaving["first"]

    assert [result.changed for result in ran.results.values()] == [2, 2, 1, 1], ran.output
    for pc in (pcs("healthy")[0], pcs("half-exited")[0]):
        calls = [line for line in changed[pc.name] if line.startswith("SMS_Client.")]
        assert calls == [
            "SMS_Client.SetClientProvisioningMode(False)",
            "SMS_Client.TriggerSchedule({00000000-0000-0000-0000-000000000021})",
            "SMS_Client.TriggerSchedule({00000000-0000-0000-0000-000000000022})",
        ]
        assert fleet.registry(pc.name, KEY, "ProvisioningMode") == "false"
        assert fleet.registry(pc.name, KEY, "SystemTaskExcludes") == ""
        assert fleet.registry(pc.name, KEY, "ProvisioningMaxMinutes") is None
        assert fleet.registry(pc.name, GUARD_KEY, GUARD_VALUE) is None


def test_the_client_service_runs_after_leaving_the_mode(leaving: Runs, pcs: Pcs, at: Any) -> None:
    assert "RUNNING" in at(pcs("healthy")[0], "sc query CcmExec")


def test_the_second_run_only_requests_policy_again(leaving: Runs, pcs: Pcs) -> None:
    ran, changed = leaving["second"]

    assert {name: result.changed for name, result in ran.results.items()} == {
        **{"leave": 0, "policy": 2, "no limit": 0, "no guard": 0}
    }
    work = [[line for line in lines if NAME not in line] for lines in changed.values()]
    assert [len(lines) for lines in work] == [2, 2]
    assert all("TriggerSchedule" in line for lines in work for line in lines)


# -- who is refused -------------------------------------------------------------------------------------------------

REFUSING = (
    HEAD
    + """
client.provisioning_mode(name='enter', enabled=True, _ignore_errors=True)
client.provisioning_mode(name='leave', enabled=False, _ignore_errors=True)
client.task_excludes_cleared(name='clear', after_failed_exits=2, _ignore_errors=True)
at_rest(name='at rest', _ignore_errors=True)
"""
)


@pytest.fixture(scope="module")
def refusing(pyinfra: Any, pcs: Pcs) -> Runs:
    """Operations that a PC at work and a PC without a client must refuse."""
    names = ("osd-running", "upgrade-running", "no-client", "client-broken")
    return story(pyinfra, REFUSING, *(pcs(name)[0] for name in names))


@pytest.mark.parametrize("run", ["dry", "first", "second"])
@pytest.mark.parametrize("persona", ["osd-running", "upgrade-running"])
def test_a_pc_at_work_is_refused_with_the_reason(refusing: Runs, pcs: Pcs, persona: str, run: str) -> None:
    ran, changed = refusing[run]
    pc = pcs(persona)[0]

    assert changed[pc.name] == []
    refusals = [line for line in ran.lines(pc) if line.startswith("the PC is at work (") and "TSManager.exe" in line]
    assert len(refusals) == 3, ran.output  # leave, clear and at rest; the PC is already in the mode
    assert all(line.endswith("and is not touched") for line in refusals)


@pytest.mark.parametrize("run", ["dry", "first", "second"])
@pytest.mark.parametrize("persona", ["no-client", "client-broken"])
def test_a_pc_without_a_working_client_is_refused(refusing: Runs, pcs: Pcs, persona: str, run: str) -> None:
    ran, changed = refusing[run]
    pc = pcs(persona)[0]

    assert changed[pc.name] == []
    refusals = [line for line in ran.lines(pc) if "no ConfigMgr client" in line or "could not be read" in line]
    assert len(refusals) == 3, ran.output


def test_only_refused_hosts_fail(refusing: Runs) -> None:
    results = refusing["first"][0].results

    assert {name: (result.changed, result.failed, result.unchanged) for name, result in results.items()} == {
        "enter": (0, 2, 2),
        "leave": (0, 4, 0),
        "clear": (0, 4, 0),
        "at rest": (0, 2, 2),
    }
    assert "Traceback" not in refusing["first"][0].output


def test_entering_is_refused_on_a_pc_at_work_that_is_not_in_the_mode(
    refusing: object, fleet: LabProcess, pyinfra: Any, pcs: Pcs, connect: Callable[..., Session]
) -> None:
    pc = pcs("healthy")[1]
    start = "from pyinfra.operations import server\nserver.shell(name='start', commands=[host.data.line])\n"
    line = 'winrm invoke Create wmicimv2/Win32_Process @{CommandLine="C:\\Windows\\CCM\\TSManager.exe"}'

    ran = pyinfra.apply(
        HEAD + start + "client.provisioning_mode(name='enter', enabled=True, _ignore_errors=True)\n", pc, line=line
    )

    assert ran.results["enter"].failed == 1, ran.output
    assert any("the PC is at work (TSManager.exe" in line for line in ran.lines(pc))
    assert fleet.registry(pc.name, KEY, "ProvisioningMode") != "true"
    assert pyinfra.mutations(pc) == ["process TSManager.exe started"]


def test_a_policy_can_name_more_processes_that_count_as_work(pyinfra: Any, pcs: Pcs) -> None:
    known, misspelt = pcs("healthy")[1:]
    policies = {known.name: {"legitimate_processes": ["explorer.exe"]}, misspelt.name: {"grace": 5}}

    ran = pyinfra.apply(HEAD + "at_rest(name='rest', _ignore_errors=True)\n", known, misspelt, provmode_policy=policies)

    assert ran.results["rest"].failed == 2
    assert any("explorer.exe" in line for line in ran.lines(known))
    assert any("provmode_policy has no key 'grace'" in line for line in ran.lines(misspelt)), ran.output


def test_a_pc_whose_processes_cannot_be_read_is_refused_too(fleet: LabProcess, pyinfra: Any, pcs: Pcs) -> None:
    pc = pcs("healthy")[2]
    before = pyinfra.mutations(pc)
    fleet.inject(pc.name, kind="access-denied", action="Enumerate", times=None)
    try:
        ran = pyinfra.apply(HEAD + "at_rest(name='rest', _ignore_errors=True)\n", pc)
        ran2 = pyinfra.apply(HEAD + "client.provisioning_mode(name='enter', enabled=True, _ignore_errors=True)\n", pc)
    finally:
        fleet.heal(pc.name)

    assert any("processes could not be read (access-denied)" in line for line in ran.lines(pc)), ran.output
    assert any("could not be read (access-denied)" in line for line in ran2.lines(pc)), ran2.output
    assert pyinfra.mutations(pc) == before


def test_policy_is_not_requested_in_the_mode(pyinfra: Any, pcs: Pcs) -> None:
    pc = pcs("self-healing")[0]
    before = pyinfra.mutations(pc)

    ran = pyinfra.apply(HEAD + "client.policy_requested(name='policy', _ignore_errors=True)\n", pc)

    assert ran.results["policy"].failed == 1
    assert "the client is in provisioning mode and takes no policy: leave the mode first" in ran.lines(pc)
    assert pyinfra.mutations(pc) == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("max_minutes(minutes=0", "minutes is 0, not a whole number between 1 and 525600"),
        ("max_minutes(minutes=525601", "minutes is 525601, not a whole number"),
        ("max_minutes(minutes='600'", "minutes is '600', not a whole number"),
        ("max_minutes(minutes=True", "minutes is True, not a whole number"),
        ("task_excludes_cleared(after_failed_exits=1", "is the last resort: use provisioning_mode, twice, before it"),
        ("task_excludes_cleared(after_failed_exits=None", "TypeError"),
    ],
)
def test_an_invalid_argument_is_an_error_in_one_line(
    wrong: tuple[Any, list[str]], pcs: Pcs, call: str, message: str
) -> None:
    ran, changed = wrong

    assert changed == []
    assert len([line for line in ran.lines(pcs("self-healing")[0]) if message in line]) == 1, ran.output
    assert ran.results[f"{call})"].failed == 1
    assert "Traceback" not in ran.output


@pytest.fixture(scope="module")
def wrong(pyinfra: Any, pcs: Pcs) -> tuple[Any, list[str]]:
    """The run with invalid arguments, and its changes."""
    calls = (
        *(f"max_minutes(minutes={minutes}" for minutes in ("0", "525601", "'600'", "True")),
        *(f"task_excludes_cleared(after_failed_exits={times}" for times in ("1", "None")),
    )
    pc = pcs("self-healing")[0]
    before = len(pyinfra.mutations(pc))
    deploy = "".join(f"client.{call}, _ignore_errors=True, name={call + ')'!r})\n" for call in calls)
    return pyinfra.apply(HEAD + deploy, pc), pyinfra.mutations(pc)[before:]


# -- the last resort, and the armed file ------------------------------------------------------------------------------

WIDE = b"\xff\xfe" + "[Client Install]\r\nSMSPROVISIONINGMODE=1\r\nx=é\r\n".encode("utf-16-le")
NARROW = b"[Client Install]\nInstall=INSTALL=ALL SMSPROVISIONINGMODE=1\n"
ARMING = HEAD + (
    f"files.contents(name='one', path={TCF!r}, data={WIDE!r})\n"
    f"files.contents(name='two', path={SECOND!r}, data={NARROW!r})\n"
)
MENDING = (
    HEAD
    + """
if host.data.clear:
    client.task_excludes_cleared(name='clear', after_failed_exits=2)
else:
    client.tcf_disarmed(name='disarm')
"""
)


@dataclass(frozen=True)
class Mending:
    """A dry run, a first and a second run; and the tasks that a PC excluded before."""

    runs: Runs
    excludes: str


@pytest.fixture(scope="module")
def mending(leaving: object, wrong: object, fleet: LabProcess, pyinfra: Any, pcs: Pcs) -> Mending:
    """Excludes cleared on one PC; files disarmed on PCs with one, two and no armed files."""
    clear, armed, twice, healthy = (pcs(name)[-1] for name in ("self-healing", "armed", "half-exited", "healthy"))
    assert [result.changed for result in pyinfra.apply(ARMING, twice).results.values()] == [1, 1]
    excludes = fleet.registry(clear.name, KEY, "SystemTaskExcludes")
    clears = {pc.name: pc is clear for pc in (clear, armed, twice, healthy)}
    return Mending(story(pyinfra, MENDING, clear, armed, twice, healthy, clear=clears), excludes)


def test_the_last_resort_empties_one_value_once(mending: Mending, fleet: LabProcess, pcs: Pcs) -> None:
    pc, runs = pcs("self-healing")[0], mending.runs

    diff = runs["dry"][0].block(pc, f"{KEY}\\SystemTaskExcludes")
    assert diff == [f"- REG_SZ {mending.excludes!r}", "+ REG_SZ ''"]
    changed = [line for line in runs["first"][1][pc.name] if NAME not in line]
    assert changed == [f"registry value {KEY} SystemTaskExcludes = ''"]
    assert [runs[run][0].results["clear"].changed for run in ("first", "second")] == [1, 0]
    assert fleet.registry(pc.name, KEY, "SystemTaskExcludes") == ""


def test_a_dry_run_shows_every_armed_file_with_its_encoding(mending: Mending, pcs: Pcs) -> None:
    dry, pc = mending.runs["dry"][0], pcs("half-exited")[0]

    assert dry.block(pc, TCF_HEAD) == [
        *("- 1", "+ absent", "encoding: UTF-16 LE", f"--- {TCF}", f"+++ {TCF}", "@@ -1,3 +1,2 @@"),
        *(" [Client Install]", "-SMSPROVISIONINGMODE=1", " x=é"),
    ]
    assert dry.block(pc, f"{SECOND} SMSPROVISIONINGMODE")[2] == "encoding: ANSI"
    assert dry.block(pcs("armed")[0], TCF_HEAD)[:2] == ["- 1", "+ absent"]
    assert dry.pending == {"clear": 1, "disarm": 2}


@pytest.mark.parametrize("run", ["dry", "second"])
def test_a_dry_run_and_a_second_run_change_nothing(mending: Mending, run: str) -> None:
    assert [lines for lines in mending.runs[run][1].values() if lines] == []


def test_armed_files_lose_their_entry_and_no_other_byte(
    mending: Mending, fleet: LabProcess, pcs: Pcs, connect: Callable[..., Session]
) -> None:
    twice = connect(fleet, pcs("half-exited")[0], read_only=True)
    armed = connect(fleet, pcs("armed")[0], read_only=True)
    before = armed.converse(read_file(f"{TCF}.provmode-backup"))

    result = mending.runs["first"][0].results["disarm"]
    assert (result.changed, result.failed, result.unchanged) == (2, 0, 1)
    assert mending.runs["first"][1][pcs("healthy")[2].name] == []
    assert twice.converse(read_file(TCF)) == WIDE.replace("SMSPROVISIONINGMODE=1\r\n".encode("utf-16-le"), b"")
    assert twice.converse(read_file(SECOND)) == b"[Client Install]\nInstall=INSTALL=ALL\n"
    assert before is not None
    assert armed.converse(read_file(TCF)) == tcf.disarm(before) != before


def test_a_disarmed_file_can_be_restored(
    mending: Mending, fleet: LabProcess, pyinfra: Any, pcs: Pcs, connect: Callable[..., Session]
) -> None:
    pc = pcs("half-exited")[0]

    ran = pyinfra.apply(HEAD + f"files.restored(name='back', path={TCF!r})\n", pc)

    assert ran.results["back"].changed == 1
    assert connect(fleet, pc, read_only=True).converse(read_file(TCF)) == WIDE


# -- faults -----------------------------------------------------------------------------------------------------------


def test_a_disabled_or_denied_client_does_not_stop_the_others(
    leaving: object, fleet: LabProcess, pyinfra: Any, pcs: Pcs
) -> None:
    disabled, denied, right = pcs("stuck-service-disabled")[0], pcs("half-exited")[0], pcs("healthy")[2]
    fleet.set_registry(denied.name, KEY, "SystemTaskExcludes", "SchedulerStartup", "REG_SZ")
    fleet.inject(denied.name, kind="access-denied", action="SetClientProvisioningMode", times=None)
    try:
        ran = pyinfra.apply(HEAD + "client.provisioning_mode(name='leave', enabled=False)\n", disabled, denied, right)
    finally:
        fleet.heal(denied.name)

    result = ran.results["leave"]
    assert (result.changed, result.failed, result.unchanged) == (0, 2, 1), ran.output
    assert any("denied" in line for line in ran.lines(denied)), ran.output
    assert pyinfra.work(disabled) == []
    assert "Traceback" not in ran.output
