"""The kinds of PCs that a plan knows make its first wave, and only PCs that will be changed are asked for theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import UsageError
from provmode.fleet.guarding.cutting import Kind
from provmode.fleet.guarding.of_limits import kind_of


class Hosts:
    """An inventory of one host with some data."""

    def __init__(self, **data: Any) -> None:
        self.groups_of: dict[str, list[str]] = {}
        self.connector_of = {"@winrm/PC-1": None}
        self._data = data

    def data_of(self, name: str) -> dict[str, Any]:
        return self._data


PLANNED = {
    "facts": {"client_version": {"known": "5.00.9132.1000"}},
    "machine": {"model": {"known": "Latitude"}, "build": {"known": "22631"}, "ad_site": {"known": "Berlin"}},
}
CODE = {"machine": {"ad_site": {"absent": True}, "site_code": {"known": "PS1"}}}


@pytest.mark.parametrize(
    ("data", "planned", "kind"),
    [
        ({}, PLANNED, Kind("Latitude", "22631", "5.00.9132.1000", "Berlin")),
        ({"provmode_site": "Bonn"}, PLANNED, Kind("Latitude", "22631", "5.00.9132.1000", "Bonn")),
        ({}, CODE, Kind(site="PS1")),
        ({}, {}, Kind()),
        ({"provmode_site": "Bonn"}, {}, Kind(site="Bonn")),
        ({}, {"facts": {"client_version": {"unknown": {"cause": "x", "detail": ""}}}}, Kind()),
    ],
)
def test_the_inventorys_site_comes_before_that_of_the_directory_and_that_of_the_client(
    data: dict[str, Any], planned: dict[str, Any], kind: Kind
) -> None:
    assert kind_of("@winrm/PC-1", Hosts(**data), planned) == kind


def test_a_host_that_the_inventory_does_not_have_any_more_has_what_the_plan_says() -> None:
    assert kind_of("@winrm/PC-2", Hosts(provmode_site="Bonn"), PLANNED).site == "Berlin"


def test_a_site_that_is_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^data of PC-1: provmode_site is not text"):
        kind_of("@winrm/PC-1", Hosts(provmode_site=5), {})


# -- a run ------------------------------------------------------------------------------------------------------------


def planned(commands: Any) -> tuple[Path, dict[str, Any]]:
    path = Path(commands.bench.folder) / "plan.json"
    assert commands.run("plan", commands.inventory, "--output", path, "--unsigned").code == 2
    return path, {host["host"]: host for host in json.loads(path.read_text())["hosts"]}


def test_a_plan_has_the_kind_of_each_pc_that_it_would_change_and_asks_no_other(commands: Any) -> None:
    commands.bench.pc("armed", "PC-1").machine.model = "Latitude 7440"
    commands.bench.pc("healthy", "PC-2")

    _, hosts = planned(commands)

    assert hosts["PC-1"]["machine"] == {
        "model": {"known": "Latitude 7440"},
        "build": {"known": commands.bench.pcs["PC-1"].machine.os_version.rpartition(".")[2]},
        "ad_site": {"known": "Default-First-Site-Name"},
        "site_code": {"unknown": {"cause": "not-read", "detail": "the site of Active Directory is known"}},
    }
    assert "machine" not in hosts["PC-2"]


def test_a_pc_that_breaks_off_when_it_is_asked_is_planned_all_the_same(commands: Any) -> None:
    commands.bench.pc("armed", "PC-1").refuse("Win32_ComputerSystem", "drop-before", times=None)

    _, hosts = planned(commands)

    assert hosts["PC-1"]["steps"]
    assert "machine" not in hosts["PC-1"]


def test_the_first_wave_has_every_model_and_the_rest_keeps_its_order(commands: Any) -> None:
    for number in range(1, 9):
        pc = commands.bench.pc("armed", f"PC-{number}", seed=1)
        pc.machine.model = "Surface" if number == 7 else "Latitude"
    plan, _ = planned(commands)

    ran = commands.run("apply", plan, "--unsigned", "--wave", "2,3")
    other = commands.run("apply", plan, "--unsigned", "--wave", "2,3", "--no-spread", "--journal", f"{plan}.other")

    assert "wave 1 of 3: 2 hosts: PC-1, PC-7\n  wave 2 of 3: 3 hosts: PC-2, PC-3, PC-4\n" in ran.err
    assert "wave 1 of 3: 2 hosts: PC-1, PC-2\n  wave 2 of 3: 3 hosts: PC-3, PC-4, PC-5\n" in other.err


def test_sites_of_a_table_are_capped(commands: Any) -> None:
    for number in range(1, 7):
        commands.bench.pc("armed", f"PC-{number}", seed=1)
    table = Path(commands.bench.folder) / "pcs.csv"
    table.write_text("name;site\n" + "".join(f"PC-{n};{'Bonn' if n == 4 else 'Berlin'}\n" for n in range(1, 7)))
    plan = Path(commands.bench.folder) / "plan.json"
    assert commands.run("plan", table, "--output", plan, "--unsigned").code == 2

    ran = commands.run("apply", plan, "--unsigned", "--wave", "4", "--per-site", "2", "--no-spread")

    waves = ["3 hosts: PC-1, PC-2, PC-4", "2 hosts: PC-3, PC-5", "1 host: PC-6"]
    assert all(f"wave {number} of 3: {hosts}\n" in ran.err for number, hosts in enumerate(waves, 1))
    assert ran.code == 0
    assert "--per-site 2" in ran.err
