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


IN_ONE_PROCESS_OR_TWO = pytest.mark.parametrize("processes", ["1", "2"])


@IN_ONE_PROCESS_OR_TWO
@pytest.mark.usefixtures("ticket")
def test_a_fleet_is_audited_with_the_ticket_of_the_person_who_runs_it(
    provmode: Any, inventory: Write, processes: str
) -> None:
    ran = provmode("audit", str(inventory()), "--format", "json", "--processes", processes)

    assert {host["verdict"] for host in json.loads(ran.stdout)["hosts"]} == {"healthy"}
    assert ran.returncode == 0


@IN_ONE_PROCESS_OR_TWO
@pytest.mark.usefixtures("no_ticket")
def test_without_a_ticket_every_pc_says_what_to_do_and_the_run_fails(
    provmode: Any, inventory: Write, processes: str
) -> None:
    ran = provmode("audit", str(inventory()), "--format", "json", "--processes", processes)

    hosts = json.loads(ran.stdout)["hosts"]
    assert {(host["verdict"], host["cause"], host["requests"]) for host in hosts} == {("unassessed", "auth", 0)}
    assert all("there is no Kerberos ticket here" in host["reason"] for host in hosts)
    assert ran.returncode == 4


@IN_ONE_PROCESS_OR_TWO
@pytest.mark.usefixtures("no_ticket")
def test_the_user_that_is_named_logs_on_once_with_the_password_in_the_environment(
    provmode: Any, inventory: Write, realm: Any, processes: str
) -> None:
    log = Path(realm.server.tmpdir) / "kdc.log"
    before = log.read_text().count("AS_REQ")

    ran = provmode(
        "audit",
        str(inventory(winrm_user=f"provmode@{realm.name.lower()}")),
        *("--format", "json", "--processes", processes),
        environment={"PROVMODE_PASSWORD": realm.password},
    )

    assert {host["verdict"] for host in json.loads(ran.stdout)["hosts"]} == {"healthy"}
    assert log.read_text().count("AS_REQ") - before == 1


@IN_ONE_PROCESS_OR_TWO
@pytest.mark.usefixtures("no_ticket")
def test_a_wrong_password_is_tried_once_in_a_run(provmode: Any, inventory: Write, realm: Any, processes: str) -> None:
    log = Path(realm.server.tmpdir) / "kdc.log"
    before = log.read_text().count("AS_REQ")

    ran = provmode(
        "audit",
        str(inventory(winrm_user=f"provmode@{realm.name.lower()}")),
        *("--format", "json", "--processes", processes),
        environment={"PROVMODE_PASSWORD": "wrong"},
    )

    hosts = json.loads(ran.stdout)["hosts"]
    assert all("refused the password of provmode@CORP.EXAMPLE" in host["reason"] for host in hosts)
    assert log.read_text().count("AS_REQ") - before == 1


@pytest.mark.usefixtures("ticket")
def test_kerberos_works_where_openssl_is_in_fips_mode(
    provmode: Any, inventory: Write, fips_mode: dict[str, str]
) -> None:
    ran = provmode("audit", str(inventory()), "--format", "json", environment=fips_mode)

    assert {host["verdict"] for host in json.loads(ran.stdout)["hosts"]} == {"healthy"}
    assert ran.stderr == ""


@IN_ONE_PROCESS_OR_TWO
def test_a_ticket_that_is_not_delegated_is_said_once(
    provmode: Any, inventory: Write, realm: Any, no_ticket: Path, processes: str
) -> None:
    realm.kinit(no_ticket, "-F")
    fleet = str(inventory(winrm_kerberos_delegation=True))

    ran = provmode("audit", fleet, "--format", "json", "--processes", processes)

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
