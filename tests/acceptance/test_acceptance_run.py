"""The acceptance run itself: it fails when it should, names the PCs that it did not check, and changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Protocol

import pytest
from testinfra.host import Host

from provmode.errors import ReadOnlyRefused
from provmode.lab.process import LabProcess

Accept = Callable[..., CompletedProcess[str]]
USAGE = 4
"""pytest's exit code for a run that cannot start."""
OUT_OF_THE_MODE = "test_the_client_is_out_of_provisioning_mode"
NOTHING_EXCLUDED = "test_no_system_task_is_excluded"
SERVICE_RUNS = "test_the_client_service_runs"
SERVICE_ENABLED = "test_the_client_service_is_not_disabled"
NO_TCF = "test_no_mobileclient_tcf_brings_the_mode_back"
UNREACHED = {"wrong-password": "auth", "access-denied": "access-denied"}
EVERYTHING = {OUT_OF_THE_MODE, NOTHING_EXCLUDED, SERVICE_RUNS, SERVICE_ENABLED, NO_TCF}


class Mended(Protocol):
    """The lab after its plan was applied (from conftest.py, which other modules cannot import)."""

    lab: LabProcess
    inventory: Path
    plan: Path

    def name_of(self, persona: str) -> str: ...


class Connections(Protocol):
    """Connects to PCs (from conftest.py)."""

    def to(self, name: str) -> Host: ...


def ended(ran: CompletedProcess[str], how: str, name: str) -> set[str]:
    """Return the tests of the PC *name* with the result *how*: PASSED, FAILED, ERROR or XFAIL."""
    lines = [line.removeprefix(f"{how} ") for line in ran.stdout.splitlines() if line.startswith(f"{how} ")]
    return {line.partition("::")[2].partition("[")[0] for line in lines if f"[{name}]" in line}


def test_pcs_that_were_not_mended_are_not_accepted(accept: Accept, tmp_path: Path) -> None:
    inventory = tmp_path / "fleet.py"
    personas = ("stuck-old-client", "stuck-service-disabled", "half-exited", "armed", "no-client", *UNREACHED)
    with LabProcess(len(personas), 11, mix=dict.fromkeys(personas, 1), inventory=inventory) as lab:
        name = {host.persona: host.name for host in lab.hosts}

        ran = accept("--inventory", str(inventory))

        assert not any(lab.mutations().values())
        assert lab.counters(name["wrong-password"])["refused_logins"] == 1  # accounts lock
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert ended(ran, "FAILED", name["stuck-old-client"]) == {OUT_OF_THE_MODE, NOTHING_EXCLUDED}
    assert ended(ran, "FAILED", name["stuck-service-disabled"]) == EVERYTHING - {NO_TCF}
    assert ended(ran, "FAILED", name["half-exited"]) == {NOTHING_EXCLUDED}
    assert ended(ran, "FAILED", name["armed"]) == {NO_TCF}
    assert ended(ran, "PASSED", name["no-client"]) == EVERYTHING
    for persona, cause in UNREACHED.items():
        assert ended(ran, "ERROR", name[persona]) == EVERYTHING
        assert f"{name[persona]} could not be looked at: {cause}: " in ran.stdout


def test_the_checks_use_a_shell_and_no_cim(mended: Mended, accept: Accept) -> None:
    healthy = mended.name_of("healthy")
    before = mended.lab.counters(healthy)

    ran = accept("--inventory", str(mended.inventory), "--limit", healthy)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    after = mended.lab.counters(healthy)
    asked = {action for action, count in after["actions"].items() if count != before["actions"].get(action, 0)}
    assert asked == {"Create", "Command", "Receive", "Signal", "Delete"}  # a shell, no CIM
    lines = after["commands"][len(before["commands"]) :]
    assert {line.split()[0] for line in lines} == {"ver", "reg", "sc", "type", "dir"}


def test_with_a_plan_the_changed_pcs_are_accepted_and_the_others_are_named(mended: Mended, accept: Accept) -> None:
    before = mended.lab.mutations()

    ran = accept("--inventory", str(mended.inventory), "--plan", str(mended.plan))

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "30 passed" in ran.stdout
    assert "not looked at: 5 hosts that the plan does not change" in ran.stdout
    assert f"{mended.name_of('osd-running')}: at work: never touched" in ran.stdout
    assert f"{mended.name_of('refused')}: could not be assessed" in ran.stdout
    assert mended.lab.mutations() == before


def test_an_unreachable_pc_fails_with_its_cause(mended: Mended, accept: Accept) -> None:
    refused, healthy = mended.name_of("refused"), mended.name_of("healthy")

    ran = accept("--inventory", str(mended.inventory), "--limit", refused, "--limit", healthy)

    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert ended(ran, "ERROR", refused) == EVERYTHING
    assert ended(ran, "PASSED", healthy) == EVERYTHING
    assert f"{refused} could not be looked at: refused: " in ran.stdout


def test_an_unreachable_pc_that_is_allowed_is_reported_and_does_not_fail(mended: Mended, accept: Accept) -> None:
    refused, healthy = mended.name_of("refused"), mended.name_of("healthy")
    limits = ("--limit", refused, "--limit", healthy)

    ran = accept("--inventory", str(mended.inventory), *limits, "--allow-unreached", refused)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ended(ran, "XFAIL", refused) == EVERYTHING
    assert f"{refused} could not be looked at: refused: " in ran.stdout


def test_a_run_that_reached_no_pc_accepts_nothing(mended: Mended, accept: Accept) -> None:
    refused = mended.name_of("refused")

    ran = accept("--inventory", str(mended.inventory), "--limit", refused, "--allow-unreached", refused)

    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "no PC was looked at: nothing is accepted" in ran.stdout


def test_without_a_plan_a_pc_rightly_in_the_mode_is_not_accepted(
    mended: Mended, accept: Accept, tmp_path: Path
) -> None:
    busy = mended.name_of("osd-running")
    lab, state = mended.lab, tmp_path / "fleet.json"
    hosts = [{"name": h.name, "address": h.address, "port": h.port, "scheme": h.scheme} for h in lab.hosts]
    files = {"password_file": str(lab.password_file), "ca_file": str(lab.ca_file)}
    state.write_text(json.dumps({"hosts": hosts, "user": lab.user, **files}))

    ran = accept("--inventory", "inventories/lab.py", "--limit", busy, PROVMODE_LAB=str(state))

    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert ended(ran, "FAILED", busy) == {OUT_OF_THE_MODE, NOTHING_EXCLUDED}
    assert re.search(r"ProvisioningMode is 'true'", ran.stdout, re.IGNORECASE)


def test_a_command_that_changes_a_pc_is_refused_before_it_is_sent(mended: Mended, connections: Connections) -> None:
    name = mended.name_of("healthy")
    host = connections.to(f"@winrm/{name}")
    before = mended.lab.counters(name)

    with pytest.raises(ReadOnlyRefused):
        host.run(r"reg add HKLM\SOFTWARE\Microsoft\CCM\CcmExec /v ProvisioningMode /d false /f")

    assert mended.lab.counters(name) == before


def test_arguments_are_put_into_the_quotes_of_cmd(mended: Mended, connections: Connections) -> None:
    host = connections.to(f"@winrm/{mended.name_of('healthy')}")

    assert host.check_output("reg query %s /v ProductName", r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion")
    with pytest.raises(ValueError, match="double quote"):
        host.run("type %s", 'a"b')


def test_the_plan_left_pcs_alone_that_need_no_change(mended: Mended) -> None:
    for persona in ("osd-running", "self-healing", "healthy", "no-client"):
        assert mended.lab.mutations(mended.name_of(persona)) == []


def test_a_run_that_cannot_start_ends_with_one_line(mended: Mended, accept: Accept, tmp_path: Path) -> None:
    inventory, plan = ("--inventory", str(mended.inventory)), ("--plan", str(mended.plan))
    messages = {
        ("--limit", "PC-00001"): "--limit needs --inventory",
        ("--inventory", "no/such/fleet.py"): "there is no inventory no/such/fleet.py",
        (*inventory, "--limit", "NOBODY"): "--limit NOBODY matches no host",
        (*inventory, "--plan", str(mended.inventory)): "cannot use the plan",
        (*inventory, *plan, "--limit", mended.name_of("healthy")): "changes none of these hosts",
        ("--inventory", "inventories/lab.py"): "no lab is running",
    }

    with ThreadPoolExecutor() as several:
        runs = several.map(lambda arguments: accept(*arguments, PROVMODE_LAB=str(tmp_path / "none.json")), messages)

    for ran, line in zip(runs, messages.values(), strict=True):
        assert ran.returncode == USAGE
        assert [printed for printed in ran.stderr.splitlines() if line in printed], ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr
