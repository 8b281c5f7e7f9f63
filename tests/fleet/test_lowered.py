"""Protection is not lost by setting something else, and what is set to protect less is in the report."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import State
from pyinfra.context import ctx_state
from rich.console import Console

from provmode.ccm.policy import LEGITIMATE_PROCESSES, Policy
from provmode.connector.host_data import combined, lowered_by
from provmode.errors import UsageError
from provmode.fleet.audit import Audit
from provmode.fleet.inventory import Fleet, load
from provmode.fleet.lowered import lowered_in
from provmode.fleet.plan import Planned
from provmode.fleet.plan_file import load as load_plan
from provmode.fleet.visit import hosts_of, policies_of
from provmode.lab.process import Host, LabProcess
from provmode.report.changes import print_plan
from provmode.report.document import document
from provmode.report.terminal import print_audit

Run = Callable[..., Any]
PC = "@winrm/PC-1"
ACCOUNT = {"winrm_user": "u", "winrm_password": "p"}
PLACES = ("all", "first group", "second group", "host", "override")
TWO_PLACES = list(itertools.permutations(PLACES, 2))


def fleet_with(places: Mapping[str, dict[str, Any]]) -> Fleet:
    """Return a fleet of one PC whose data is set at the given places."""
    with ctx_state.use(State()):
        return Fleet(
            ([(PC, places.get("host", {}))], {**ACCOUNT, **places.get("all", {})}),
            override_data=places.get("override", {}),
            first=([PC], places.get("first group", {})),
            second=([PC], places.get("second group", {})),
        )  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("true", "false"), TWO_PLACES)
def test_a_host_that_is_read_only_at_any_place_is_read_only(true: str, false: str) -> None:
    fleet = fleet_with({true: {"winrm_read_only": True}, false: {"winrm_read_only": False}})

    (host,) = hosts_of(fleet, [PC])

    assert fleet.data_of(PC)["winrm_read_only"] is True
    assert host.connector.data["winrm_read_only"] is True


@pytest.mark.parametrize(("one", "other"), TWO_PLACES)
def test_a_policy_at_one_place_loses_nothing_that_another_place_protects(one: str, other: str) -> None:
    fleet = fleet_with(
        {
            one: {"provmode_policy": {"legitimate_processes": ["ourtool.exe"], "minimum_age_minutes": 500}},
            other: {"provmode_policy": {"legitimate_processes": ["second.exe"], "grace_minutes": 90}},
        }
    )

    policy = policies_of(fleet, [PC])[PC]
    (host,) = hosts_of(fleet, [PC])

    assert set(policy.legitimate_processes) == {*LEGITIMATE_PROCESSES, "ourtool.exe", "second.exe"}
    assert (policy.minimum_age_minutes, policy.grace_minutes) == (500, 90)
    assert Policy.from_mapping(host.data.get("provmode_policy"), where="pyinfra's data") == policy


@dataclass(frozen=True)
class Groups:
    """An inventory that exists only in memory."""

    groups: dict[str, Any]
    name: str = "some groups"
    path: None = None

    def read(self) -> dict[str, Any]:
        return self.groups


def test_a_host_in_two_groups_keeps_what_each_of_them_says_about_it() -> None:
    own = {"legitimate_processes": ["ourtool.exe"]}
    one = {"winrm_read_only": True, "provmode_policy": own}
    two = {"winrm_read_only": False, "provmode_policy": {"grace_minutes": 5}}

    for groups in ({"one": ([(PC, one)], {}), "two": ([(PC, two)], {})}, {"all": ([(PC, one), (PC, two)], {})}):
        data = load(Groups(groups)).data_of(PC)
        assert data["winrm_read_only"] is True
        assert data["provmode_policy"] == {**own, "grace_minutes": 5}


def test_group_data_beside_the_inventory_and_in_the_file_are_combined_too(provmode: Run, tmp_path: Path) -> None:
    for folder in (tmp_path / "group_data", tmp_path / "elsewhere" / "group_data"):
        folder.mkdir(parents=True)
    account = {**ACCOUNT, "winrm_address": "127.0.0.1", "winrm_port": 1}
    in_file = {**account, "provmode_policy": {"grace_minutes": 5}}
    (tmp_path / "elsewhere" / "fleet.py").write_text(f"pcs = ([{PC!r}], {in_file!r})\n")
    (tmp_path / "elsewhere" / "group_data" / "pcs.py").write_text("provmode_policy = {'check_tcf': False}\n")
    (tmp_path / "group_data" / "pcs.py").write_text("provmode_policy = {'minimum_age_minutes': 7}\n")

    ran = provmode("audit", "elsewhere/fleet.py", "--format", "json")

    assert {item["setting"]: item["value"] for item in json.loads(ran.stdout)["lowered_protection"]} == {
        "grace_minutes": 5,
        "check_tcf": False,
        "minimum_age_minutes": 7,
    }


def test_read_only_with_a_value_of_the_wrong_type_is_refused_whatever_comes_after_it() -> None:
    fleet = fleet_with({"all": {"winrm_read_only": "yes"}, "host": {"winrm_read_only": False}})

    with pytest.raises(UsageError, match="winrm_read_only is 'yes'"):
        policies_of(fleet, [PC])


def test_other_keys_are_combined_as_in_pyinfra() -> None:
    assert combined([{"a": 1, "winrm_read_only": None}, {"a": 2, "winrm_read_only": False}]) == {
        "a": 2,
        "winrm_read_only": False,
    }


def test_pyinfras_own_runs_do_not_change_a_pc_that_is_read_only_at_any_place(
    lab: LabProcess, healthy: Host, pyinfra: Run, tmp_path: Path
) -> None:
    address = {"winrm_address": healthy.address, "winrm_port": healthy.port, "winrm_read_only": False}
    account = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file)}
    (tmp_path / "fleet.py").write_text(f"pcs = ([('@winrm/{healthy.name}', {address!r})], {account!r})\n")
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data" / "pcs.py").write_text("winrm_read_only = True\n")
    before = lab.mutations(healthy.name)

    ran = pyinfra("fleet.py", "--data", "winrm_read_only=false", "exec", "--", "sc stop CcmExec")

    assert "changes the PC and this session only reads" in " ".join(ran.stderr.split())
    assert lab.mutations(healthy.name) == before


# -- what is set to protect less is in the report ---------------------------------------------------------------------

LOWERING: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"winrm_scheme": "https", "winrm_validate": False}, {"winrm_scheme": "http", "winrm_validate": False}),
    ({"winrm_transport": "basic", "winrm_basic_over_http": True}, {"winrm_basic_over_http": True}),
    ({"winrm_transport": "kerberos", "winrm_kerberos_delegation": True}, {"winrm_kerberos_delegation": True}),
)


@pytest.mark.parametrize(("lower", "without_effect"), LOWERING)
def test_a_connection_that_protects_less_is_named_if_the_setting_has_an_effect(
    lower: dict[str, Any], without_effect: dict[str, Any]
) -> None:
    assert [item.setting for item in lowered_by(lower)] == [list(lower)[1]]
    assert lowered_by(without_effect) == lowered_by({}) == ()


def printed(audit: Audit) -> tuple[str, str]:
    """Return the texts of an audit and of a plan."""
    texts = []
    for show, what in ((print_audit, audit), (print_plan, Planned(audit))):
        file = io.StringIO()
        show(what, Console(file=file, width=100))  # type: ignore[operator]
        texts.append(file.getvalue())
    return texts[0], texts[1]


def test_reports_say_which_built_in_signs_are_off_and_on_how_many_hosts() -> None:
    pcs = [f"@winrm/PC-{number}" for number in range(3)]
    policy = {"not_legitimate_processes": ["ccmsetup.exe"], "legitimate_processes": ["ours.exe"]}
    with ctx_state.use(State()):
        fleet = Fleet((pcs, ACCOUNT), few=(pcs[:2], {"provmode_policy": policy}))  # type: ignore[no-untyped-call]

    audit = Audit(["PC-0", "PC-1", "PC-2"], lowered=lowered_in(fleet, pcs, policies_of(fleet, pcs)))

    for text in printed(audit):
        assert "2 hosts: ccmsetup.exe does not count as legitimate work (not_legitimate_processes)" in text
    assert document(audit)["lowered_protection"] == [
        {
            "setting": "not_legitimate_processes",
            "value": "ccmsetup.exe",
            "says": "ccmsetup.exe does not count as legitimate work",
            "hosts": ["PC-0", "PC-1"],
        }
    ]


def test_a_report_of_the_usual_protection_does_not_mention_it() -> None:
    audit = Audit(["PC-1"], lowered=lowered_in(fleet_with({}), [PC], {PC: Policy(legitimate_processes=("a.exe",))}))

    assert not any("protect" in text for text in printed(audit))
    assert "lowered_protection" not in document(audit)


def test_running_upgrades_are_planned_only_if_their_sign_is_taken_out_by_name(provmode: Run, tmp_path: Path) -> None:
    hasty = {"legitimate_processes": ["ourtool.exe"], "wait_for_self_healing": False, "minimum_age_minutes": 0}
    out = {**hasty, "not_legitimate_processes": [name for name in LEGITIMATE_PROCESSES if name.startswith("Setup")]}
    with LabProcess(8, 7, mix={"upgrade-running": 1}, inventory=tmp_path / "lab.py"):
        kept = provmode("audit", "lab.py", "--format", "json", "--data", f"provmode_policy={json.dumps(hasty)}")
        told = provmode("plan", "lab.py", "--unsigned", "--data", f"provmode_policy={json.dumps(out)}")

    report = json.loads(kept.stdout)
    assert report["summary"]["in-progress"] == 8, kept.stdout
    assert {item["setting"] for item in report["lowered_protection"]} == {
        "wait_for_self_healing",
        "minimum_age_minutes",
    }
    assert "8 hosts: SetupHost.exe does not count as legitimate work" in told.stdout


def test_a_plan_of_version_1_is_read_with_the_same_processes() -> None:
    kept = Path(__file__).parent / "version-1" / "every-step.plan.json"
    at = datetime(2026, 11, 26, tzinfo=timezone.utc)

    plan = load_plan(kept, b"0123456789abcdef0123456789abcdef", unsigned=False, now=at)

    assert {host.policy for host in plan.hosts} == {Policy()}
