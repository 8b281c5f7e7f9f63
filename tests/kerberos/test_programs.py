"""provmode's command line with Kerberos, as a person uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.process import Host, LabProcess

pytestmark = pytest.mark.kdc
Write = Callable[..., Path]


@pytest.fixture
def inventory(domain_lab: LabProcess, tmp_path: Path, name_of: Callable[[Host], str]) -> Write:
    """Write an inventory of the PCs of the realm."""

    def write(**data: Any) -> Path:
        pcs = [
            (
                f"@winrm/{host.name}",
                {"winrm_address": host.address, "winrm_port": host.port, "winrm_kerberos_host": name_of(host)},
            )
            for host in domain_lab.hosts
        ]
        path = tmp_path / "fleet.py"
        path.write_text(f"pcs = ({pcs!r}, { ({'winrm_transport': 'kerberos', **data})!r})\n")
        return path

    return write


@pytest.mark.usefixtures("ticket")
def test_a_fleet_is_audited_with_the_ticket_of_the_person_who_runs_it(provmode: Any, inventory: Write) -> None:
    ran = provmode("audit", str(inventory()), "--format", "json")

    assert {host["verdict"] for host in json.loads(ran.stdout)["hosts"]} == {"healthy"}
    assert ran.returncode == 0


@pytest.mark.usefixtures("no_ticket")
def test_without_a_ticket_every_pc_says_what_to_do_and_the_run_fails(provmode: Any, inventory: Write) -> None:
    ran = provmode("audit", str(inventory()), "--format", "json")

    hosts = json.loads(ran.stdout)["hosts"]
    assert {(host["verdict"], host["cause"], host["requests"]) for host in hosts} == {("unassessed", "auth", 0)}
    assert all("there is no Kerberos ticket here" in host["reason"] for host in hosts)
    assert ran.returncode == 4


@pytest.mark.usefixtures("no_ticket")
def test_a_password_in_the_environment_is_used_for_the_user_that_is_named(
    provmode: Any, inventory: Write, realm: Any
) -> None:
    ran = provmode(
        "audit",
        str(inventory(winrm_user=f"provmode@{realm.name.lower()}")),
        "--format",
        "json",
        environment={"PROVMODE_PASSWORD": realm.password},
    )

    assert {host["verdict"] for host in json.loads(ran.stdout)["hosts"]} == {"healthy"}


def test_a_ticket_that_is_not_delegated_is_said_once(
    provmode: Any, inventory: Write, realm: Any, no_ticket: Path
) -> None:
    realm.kinit(no_ticket, "-F")

    ran = provmode("audit", str(inventory(winrm_kerberos_delegation=True)), "--format", "json")

    assert ran.stderr.count("winrm_kerberos_delegation was asked for and not given to") == 1
    assert ran.returncode == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"winrm_user": "CORP\\provmode"}, "write provmode@REALM (the domain's DNS name), or leave winrm_user out"),
        ({"winrm_kerberos_keytab": "nowhere.keytab"}, "cannot read winrm_kerberos_keytab nowhere.keytab: No such file"),
        ({"winrm_kerberos_keytab": "fleet.py"}, "winrm_kerberos_keytab fleet.py is not a keytab"),
    ],
)
def test_a_mistake_ends_the_run_before_anything_is_sent(
    provmode: Any, inventory: Write, domain_lab: LabProcess, data: dict[str, Any], words: str
) -> None:
    before = sum(counters["requests"] for counters in domain_lab.counters().values())

    ran = provmode("audit", str(inventory(**data)))

    assert ran.returncode == 1
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert sum(counters["requests"] for counters in domain_lab.counters().values()) == before
