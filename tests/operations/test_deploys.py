"""The deploys, run with pyinfra: which PCs are left alone and why, and what is done to the others in which order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operations.files import BACKUP
from provmode.ccm.client import CCMEXEC
from provmode.ccm.verdict import Verdict
from provmode.lab.personas import BY_NAME
from provmode.lab.process import Host, LabProcess
from provmode.remediation.decide import LEFT_ALONE
from provmode.remediation.exit_guard import GUARD_COMMAND, GUARD_KEY, GUARD_VALUE

PERSONAS = {
    "healthy": 4,
    **dict.fromkeys(("armed", "half-exited", "overdue", "stuck-service-disabled", "stuck-no-enabled-time"), 1),
    **dict.fromkeys(("stuck-old-client", "self-healing", "wrong-clock", "osd-running", "upgrade-running"), 1),
    **dict.fromkeys(("no-client", "client-broken"), 1),
}
ROOT = Path(__file__).parent.parent.parent
COMPLY = str(ROOT / "deploys" / "comply.py")
GUARD = str(ROOT / "deploys" / "guard.py")
KEY = str(CCMEXEC)
TCF = "%windir%\\ccmsetup\\MobileClient.TCF"
LEFT = ("healthy", "self-healing", "osd-running", "upgrade-running", "no-client", "client-broken")
"""Personas that are not changed."""
TAKEN_OUT = ("half-exited", "overdue", "stuck-service-disabled", "stuck-no-enabled-time", "wrong-clock")
"""Personas that leave the mode; the last one is self-healing with a policy not to wait."""
Pcs = Callable[[str], list[Host]]


@pytest.fixture(scope="module")
def loaded(pyinfra: Any, pcs: Pcs) -> Host:
    """A PC with every defect: in the mode, with a disabled service and an armed file."""
    pc = pcs("stuck-service-disabled")[0]
    data = "[Client Install]\r\nInstall=INSTALL=ALL SMSPROVISIONINGMODE=1\r\n"
    ran = pyinfra.apply(f"from operations import files\nfiles.contents(name='arm', path={TCF!r}, data={data!r})\n", pc)
    assert ran.results["arm"].changed == 1, ran.output
    return pc


@pytest.fixture(scope="module")
def comply(loaded: Host, fleet: LabProcess, pyinfra: Any, pcs: Pcs) -> dict[str, tuple[Any, dict[str, list[str]]]]:
    """A dry run, a first and a second run on a PC of every persona: the output, and the changes on each PC."""
    hosts = [pcs(name)[0] for name in (*LEFT, *TAKEN_OUT, "armed")]
    unread, misspelt = pcs("healthy")[1:3]
    hosts += [unread, misspelt]
    policies: dict[str, Any] = {pc.name: {} for pc in hosts}
    policies[pcs("wrong-clock")[0].name] = {"wait_for_self_healing": False}
    policies[misspelt.name] = {"wait_for_self_heeling": False}
    runs, before = {}, {pc.name: len(pyinfra.mutations(pc)) for pc in hosts}
    fleet.inject(unread.name, kind="access-denied", action="GetStringValue", times=None)
    try:
        for name, run in (("dry", pyinfra.dry), ("first", pyinfra.apply), ("second", pyinfra.apply)):
            changed: dict[str, list[str]] = {}
            with pyinfra.hurried():
                ran = run(COMPLY, *hosts, provmode_policy=policies)
            for pc in hosts:
                everything = pyinfra.mutations(pc)
                changed[pc.name] = everything[before[pc.name] :]
                before[pc.name] = len(everything)
            runs[name] = (ran, changed)
    finally:
        fleet.heal(unread.name)
    return runs


def calls(lines: list[str]) -> list[str]:
    """Return the changes in short, in order; files by name only, without temporary files and backups."""
    short = []
    for line in lines:
        if line.startswith("file ") and " written" in line and "provmode-" not in line:
            short.append(line.partition(" written")[0].rpartition("\\")[2])
        elif line.startswith("service "):
            short.append(line)
        elif line.startswith("SMS_Client."):
            short.append(line.removeprefix("SMS_Client.").replace("00000000-0000-0000-0000-000000000", ""))
    return short


# -- comply: who is left alone --------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", ["dry", "first", "second"])
@pytest.mark.parametrize("persona", LEFT)
def test_a_pc_that_is_left_alone_is_not_touched_and_the_log_says_why(
    comply: Any, pcs: Pcs, persona: str, run: str
) -> None:
    ran, changed = comply[run]
    pc, verdict = pcs(persona)[0], BY_NAME[persona].verdict

    assert changed[pc.name] == []
    reasons = [line for line in ran.lines(pc) if line.startswith(f"left alone: {verdict}: ")]
    assert len(reasons) == 1, ran.output
    assert reasons[0].endswith(f"({LEFT_ALONE[Verdict(verdict)]})")


def test_a_pc_that_could_not_be_assessed_is_left_alone(comply: Any, pcs: Pcs) -> None:
    pc = pcs("healthy")[1]

    for run in ("dry", "first"):
        ran, changed = comply[run]
        assert any(line.startswith("left alone: unassessed: ") for line in ran.lines(pc)), ran.output
        assert changed[pc.name] == []


def test_a_misspelt_policy_leaves_that_host_alone_and_says_so(comply: Any, pcs: Pcs) -> None:
    pc = pcs("healthy")[2]

    for run in ("dry", "first"):
        ran, changed = comply[run]
        (reason,) = [line for line in ran.lines(pc) if line.startswith("left alone: ")]
        assert "provmode_policy has no key 'wait_for_self_heeling'; did you mean wait_for_self_healing?" in reason
        assert changed[pc.name] == []


def test_every_pc_that_is_left_alone_has_a_reason(comply: Any, fleet: LabProcess) -> None:
    ran, changed = comply["first"]

    for name, lines in changed.items():
        reasons = [line for line in ran.lines(fleet.host(name)) if line.startswith("left alone: ")]
        assert bool(reasons) == (lines == []), name


# -- comply: a dry run -----------------------------------------------------------------------------------------------


def test_a_dry_run_changes_nothing_on_any_pc(comply: Any) -> None:
    ran, changed = comply["dry"]

    assert ran.code == 0
    assert [lines for lines in changed.values() if lines] == []
    assert "Traceback" not in ran.output


def test_a_dry_run_shows_everything_that_would_change(comply: Any, loaded: Host) -> None:
    ran = comply["dry"][0]

    assert ran.block(loaded, f"{TCF} SMSPROVISIONINGMODE") == [
        *("- 1", "+ absent", "encoding: ANSI", f"--- {TCF}", f"+++ {TCF}", "@@ -1,2 +1,2 @@", " [Client Install]"),
        *("-Install=INSTALL=ALL SMSPROVISIONINGMODE=1", "+Install=INSTALL=ALL"),
    ]
    assert ran.block(loaded, "CcmExec start mode") == ["- Disabled", "+ Auto"]
    assert ran.block(loaded, "CcmExec state") == ["- Stopped", "+ Running"]
    assert ran.block(loaded, "ProvisioningMode") == ["- true", "+ false"]
    assert ran.block(loaded, "machine policy") == ["- as it is", "+ requested and evaluated"]


def test_a_dry_run_counts_the_hosts_that_would_change(comply: Any) -> None:
    pending = {name.rpartition(" | ")[2]: hosts for name, hosts in comply["dry"][0].pending.items()}

    assert pending["Leave provisioning mode by the client's own method"] == len(TAKEN_OUT)
    assert pending["Ask for machine policy"] == len(TAKEN_OUT)
    assert pending["Look again that nothing runs there"] == 0


# -- comply: for real ------------------------------------------------------------------------------------------------


def test_the_armed_file_is_disarmed_first_and_policy_is_requested_last(comply: Any, loaded: Host) -> None:
    assert calls(comply["first"][1][loaded.name]) == [
        "MobileClient.TCF",
        "service CcmExec start mode Auto",
        "service CcmExec started",
        "SetClientProvisioningMode(False)",
        "TriggerSchedule({021})",
        "TriggerSchedule({022})",
    ]


@pytest.mark.parametrize("persona", TAKEN_OUT)
def test_a_client_in_the_mode_leaves_it_by_its_own_method(
    comply: Any, fleet: LabProcess, pcs: Pcs, persona: str, at: Any
) -> None:
    ran, changed = comply["first"]
    pc = pcs(persona)[0]

    assert calls(changed[pc.name])[-3:] == [
        "SetClientProvisioningMode(False)",
        "TriggerSchedule({021})",
        "TriggerSchedule({022})",
    ], ran.output
    assert fleet.registry(pc.name, KEY, "SystemTaskExcludes") == ""
    assert fleet.registry(pc.name, KEY, "SystemTaskExcludes") == ""
    assert "RUNNING" in at(pc, "sc query CcmExec")


def test_an_armed_pc_is_only_disarmed(comply: Any, pcs: Pcs, at: Any) -> None:
    pc = pcs("armed")[0]

    assert calls(comply["first"][1][pc.name]) == ["MobileClient.TCF"]
    assert "SMSPROVISIONINGMODE=1" in at(pc, f"type {TCF}{BACKUP}").upper().replace('"', "").replace(" ", "")


def test_installs_are_never_requested(comply: Any) -> None:
    _, changed = comply["first"]

    triggered = {line for lines in changed.values() for line in calls(lines) if "TriggerSchedule" in line}
    assert triggered == {"TriggerSchedule({021})", "TriggerSchedule({022})"}


def test_the_second_run_leaves_every_pc_alone(comply: Any, pcs: Pcs) -> None:
    ran, changed = comply["second"]

    assert [lines for lines in changed.values() if lines] == []
    assert ran.results == {}
    for persona in (*TAKEN_OUT, "armed"):
        assert any(line.startswith("left alone: healthy: ") for line in ran.lines(pcs(persona)[0])), persona


def test_a_pc_that_goes_to_work_after_the_prompt_is_left_alone(fleet: LabProcess, pyinfra: Any, pcs: Pcs) -> None:
    pc = pcs("stuck-old-client")[0]
    arming = f"from operations import files\nfiles.contents(name='arm', path={TCF!r}, data='SMSPROVISIONINGMODE=1')\n"
    assert pyinfra.apply(arming, pc).results["arm"].changed == 1
    before = len(pyinfra.mutations(pc))
    deploy = (
        "from pyinfra.operations import server\nfrom deploys.comply import comply\nfrom pyinfra import host\n"
        "server.shell(name='somebody starts an upgrade', commands=[host.data.line])\ncomply()\n"
    )
    command = 'winrm invoke Create wmicimv2/Win32_Process @{CommandLine="C:\\$WINDOWS.~BT\\Sources\\SetupHost.exe"}'

    ran = pyinfra.apply(deploy, pc, line=command)

    assert any(line.startswith("stuck: ") for line in ran.lines(pc)), ran.output
    assert any(line.startswith("the PC is at work (SetupHost.exe") for line in ran.lines(pc)), ran.output
    assert pyinfra.mutations(pc)[before:] == ["process SetupHost.exe started"]


# -- guard -----------------------------------------------------------------------------------------------------------


def test_with_waivers_in_the_configuration_no_pc_is_changed_and_the_other_road_is_said(pyinfra: Any, pcs: Pcs) -> None:
    armed = pcs("armed")[0]
    before = pyinfra.mutations(armed)

    with pyinfra.configured('[waivers]\nfile = "waivers.toml"\n'):
        ran = pyinfra.apply(COMPLY, armed)

    assert ran.code != 0
    assert "do not heed the PCs that it holds: use `provmode plan` and `provmode apply`, which do" in ran.output
    assert "Traceback" not in ran.output
    assert pyinfra.mutations(armed) == before


def test_the_guard_is_set_once_and_removed_once(
    comply: object, fleet: LabProcess, pyinfra: Any, pcs: Pcs, at: Any
) -> None:
    pc, bare = pcs("healthy")[3], pcs("no-client")[0]
    removing = ("--data", "provmode_guard=false")
    head = f"{GUARD_KEY}\\{GUARD_VALUE}"
    guard_value = f"REG_SZ {GUARD_COMMAND!r}"
    values = []

    for flags, before, after in (((), "absent", guard_value), (removing, guard_value, "absent")):
        dry = pyinfra.dry(GUARD, pc, bare, flags=flags)
        assert dry.block(pc, head) == [f"- {before}", f"+ {after}"]
        assert dry.block(bare, head) == [f"- {before}", f"+ {after}"]
        for changed, unchanged in ((2, 0), (0, 2)):
            (result,) = pyinfra.apply(GUARD, pc, bare, flags=flags).results.values()
            assert (result.changed, result.failed, result.unchanged) == (changed, 0, unchanged)
        values.append(fleet.registry(pc.name, GUARD_KEY, GUARD_VALUE))

    assert values == [GUARD_COMMAND, None]
    assert pyinfra.work(pc) == [
        f"registry value {GUARD_KEY} {GUARD_VALUE} = {GUARD_COMMAND!r}",
        f"registry value {GUARD_KEY} {GUARD_VALUE} deleted",
    ]


def test_an_agent_that_depends_on_the_client_is_mended_only_if_asked_for(
    fleet: LabProcess, pyinfra: Any, pcs: Pcs
) -> None:
    pc = pcs("healthy")[3]
    fleet.set_registry(pc.name, KEY, "SystemTaskExcludes", "SchedulerStartup", "SZ")
    fleet.set_service(pc.name, "smstsmgr", depends_on=["CcmExec"])

    def run(**data: Any) -> tuple[Any, list[str]]:
        before = len(pyinfra.mutations(pc))
        with pyinfra.hurried():
            ran = pyinfra.apply(COMPLY, pc, provmode_policy={pc.name: {}}, **data)
        return ran, pyinfra.mutations(pc)[before:]

    unmended, nothing = run()
    refused, still_nothing = run(provmode_mend_agent="yes")
    mended, changes = run(provmode_mend_agent=True)

    assert unmended.code != 0
    assert any("0x80004005" in line for line in unmended.lines(pc)), unmended.output
    assert not any("depends on" in line for line in nothing)
    assert any("provmode_mend_agent is 'yes', neither true nor false" in line for line in refused.lines(pc))
    assert still_nothing == []
    assert "service smstsmgr depends on Winmgmt" in changes, mended.output
    assert "SMS_Client.SetClientProvisioningMode(False)" in changes
    assert fleet.registry(pc.name, KEY, "SystemTaskExcludes") == ""


def test_comply_changes_nothing_if_the_configuration_says_when_pcs_may_be_changed(pyinfra: Any, pcs: Pcs) -> None:
    pc = pcs("overdue")[-1]
    before = pyinfra.mutations(pc)
    path = pyinfra._folder / "provmode.toml"
    path.write_text('[windows]\nwindow = ["windows.ics"]\n')
    try:
        ran = pyinfra.apply(COMPLY, pc)
    finally:
        path.unlink()

    assert pyinfra.mutations(pc) == before
    assert ran.code != 0
    said = " ".join(ran.output.split())
    assert "names windows, and pyinfra's runs do not stay inside them" in said
    assert "use `provmode plan` and `provmode apply`" in said
