"""Inventories from a real directory: Samba's, over sealed LDAP with Kerberos."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.active_directory, pytest.mark.kdc]

Run = Callable[..., Any]
PASSWORD = "Pa55-word-of-an-auditor"
KEY = {"PROVMODE_PLAN_KEY": "0123456789abcdef0123456789abcdef"}
BERLIN = ["NEVER-1", "PC-0001", "PC-0002", "PC-0003", "PC-0004"]
MUNICH = ["BÜRO-1", "longcomputername-17", "PC-0005"]


def names(document: Any) -> list[str]:
    return [host["host"] for host in document["hosts"]]


@pytest.mark.parametrize(
    ("inventory", "found"),
    [
        ("lab.test/Clients/Berlin", BERLIN),
        ("LAB.TEST/clients/berlin/", BERLIN),
        ("lab.test/Clients/München", MUNICH),
        ("lab.test/Clients/Halle%2C Saale", ["PC-0006"]),
        ("lab.test/Clients", sorted([*BERLIN, *MUNICH, "PC-0006"], key=str.lower)),
        ("lab.test?group=Pilot (all)", ["PC-0001", "PC-0002"]),
        ("lab.test?group=inner", ["PC-0002"]),
        ("lab.test/Clients/Halle%2C Saale?group=Domain Computers", ["PC-0006"]),  # it is their primary group
        ("lab.test?filter=(&(name=PC-*)(|(name=*2)(name=*3)))", ["PC-0002", "PC-0003"]),
        ("lab.test?filter=operatingSystem=Windows Server*", ["PC-0006"]),
        ("lab.test/Clients/Berlin?stale=0", [*BERLIN, "STALE-1", "STALE-2"]),
        ("lab.test/Clients/Berlin?stale=150", [*BERLIN, "STALE-2"]),
        ("lab.test/Clients/Berlin?disabled=1", ["DISABLED-1", *BERLIN]),
        ("lab.test/Domain Controllers?dc=1", ["DC1"]),
        ("lab.test/Clients/Berlin?server=dc1.lab.test", BERLIN),
        ("lab.test/Clients/Berlin?ldaps=1&ca={ca}", BERLIN),
    ],
)
def test_who_is_found(corp: Any, shown: Run, inventory: str, found: list[str]) -> None:
    inventory = inventory.replace("{ca}", str(corp.folder / "ca.pem"))
    assert sorted(names(shown(f"@ad/{inventory}")), key=str.lower) == found


def test_who_is_left_out_and_why(shown: Run) -> None:
    document = shown("@ad/lab.test")

    assert {(item["what"], item["why"]) for item in document["left_out"]} == {
        ("DC1", "a domain controller"),
        ("DISABLED-1", "disabled"),
        ("STALE-1", "stale: no logon for 90 days"),
        ("STALE-2", "stale: no logon for 90 days"),
        ("NAMELESS-1", "no dNSHostName"),
        ("FOREIGN-1", "its dNSHostName is outside the domain"),
        ("SUFFIX-1", "its dNSHostName is outside the domain"),
        ("DOUBLE-1", "its dNSHostName is that of another"),
        ("ODD-1", "its dNSHostName cannot be the name of a PC"),
    }
    assert "lab.test: 2 left out, stale: no logon for 90 days" in document["notes"]


def test_laps_gives_each_pc_an_account_of_its_own(provmode: Run, shown: Run, tmp_path: Path) -> None:
    document = shown("@ad/lab.test/Laps?laps=1")
    planned = provmode("plan", "@ad/lab.test/Laps?laps=1", "--output", "plan.json", **KEY)

    assert [(host["host"], host["user"], host["transport"]) for host in document["hosts"]] == [
        ("LAPS-NEW", ".\\admin", "ntlm"),
        ("LAPS-OLD", ".\\Administrator", "ntlm"),
    ]
    assert [(item["what"], item["why"]) for item in document["left_out"]] == [
        ("LAPS-ENC", "LAPS keeps its password encrypted"),
        ("LAPS-NONE", "it has no LAPS password"),
    ]
    written = (tmp_path / "plan.json").read_text() + planned.stdout + planned.stderr + json.dumps(document)
    assert "LAPS-NEW" in written
    assert "Secret-of" not in written


ROTATE = (
    "import json, sys, ldb, samba.param\n"
    "from samba.auth import system_session\n"
    "from samba.samdb import SamDB\n"
    "parameters = samba.param.LoadParm(); parameters.load(sys.argv[1])\n"
    "directory = SamDB(session_info=system_session(), lp=parameters)\n"
    "change = ldb.Message(ldb.Dn(directory, 'CN=PC-00001,OU=Lab,DC=lab,DC=test'))\n"
    "value = json.dumps({'n': 'provmode', 't': '1d9', 'p': sys.stdin.readline()})\n"
    "change['p'] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, 'msLAPS-Password')\n"
    "directory.modify(change)\n"
)
"""A program for Samba's Python, which lets LAPS keep what it reads for the PC of the lab."""


@pytest.fixture
def laps_keeps(corp: Any) -> Callable[[str], None]:
    """Let LAPS keep a password for the PC of the lab."""
    python = [*corp.enter(), "/usr/bin/python3", "-c", ROTATE, str(corp.folder / "smb.conf")]
    return lambda password: subprocess.run(python, input=password, text=True, check=True, capture_output=True)


def test_a_pc_takes_the_account_that_laps_keeps_for_it(provmode: Run, pc: Any, laps_keeps: Run) -> None:
    laps_keeps(pc.password)

    ran = provmode("audit", "@ad/lab.test/Lab?laps=1", "--data", f"winrm_port={pc.port}", "--format", "json")

    (host,) = json.loads(ran.stdout)["hosts"]
    assert (host["host"], host["verdict"]) == ("PC-00001", "healthy"), (host["reason"], ran.stderr)
    assert pc.password not in ran.stdout + ran.stderr


@pytest.mark.parametrize("rotated", [True, False])
def test_a_password_that_laps_changes_before_the_logon_is_read_anew(
    corp: Any, pc: Any, laps_keeps: Run, rotated: bool, tmp_path: Path
) -> None:
    """The directory is read with the old password; then LAPS changes it, or does not."""
    laps_keeps("Secret-of-yesterday")
    code = (
        "import sys\n"
        "from gevent import monkey; monkey.patch_all()\n"
        "from provmode.connector.sources import active_directory\n"
        "read = active_directory.find\n"
        "def find(wanted):\n"
        "    found = read(wanted)\n"
        "    print('directory read', file=sys.stderr, flush=True)\n"
        "    sys.stdin.readline()\n"
        "    return found\n"
        "active_directory.find = find\n"
        "from provmode.cli.main import cli, exit_with\n"
        "exit_with(lambda: cli.main(standalone_mode=False))\n"
    )
    options = ["--debug", "audit", "@ad/lab.test/Lab?laps=1", "--data", f"winrm_port={pc.port}", "--format", "json"]
    audit = subprocess.Popen(
        [*corp.enter(tmp_path), sys.executable, "-c", code, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **corp.environment},
    )
    with audit:
        assert audit.stderr is not None
        said = "".join(iter(audit.stderr.readline, "directory read\n"))
        if rotated:
            laps_keeps(pc.password)
        stdout, stderr = audit.communicate("go on\n", timeout=120)

    (host,) = json.loads(stdout)["hosts"]
    assert (host["verdict"] == "healthy") == rotated, (host["reason"], stderr)
    if not rotated:
        assert host["reason"].endswith("refused .\\provmode (ntlm); LAPS has no other password for it"), host["reason"]
    assert "Secret-of-yesterday" not in stdout + said + stderr
    assert pc.password not in stdout + said + stderr


def test_who_may_not_read_laps_is_told_so(provmode: Run, tmp_path: Path) -> None:
    """Active Directory says nothing of an attribute that an account may not read."""
    account = {"PROVMODE_USER": "provmode@lab.test", "PROVMODE_PASSWORD": PASSWORD}

    ran = provmode("audit", "@ad/lab.test/Laps?laps=1", KRB5CCNAME=f"FILE:{tmp_path}/none", **account)

    assert ran.returncode == 1
    assert "3 left out, its LAPS password may not be read; its LAPS password may not be read: let your" in ran.stderr


def test_how_a_host_is_asked_and_its_groups(shown: Run) -> None:
    document = shown("@ad/lab.test/Clients", "--limit", "ou:Clients/München")

    assert names(document) == MUNICH
    host = next(host for host in document["hosts"] if host["host"] == "PC-0005")
    assert (host["address"], host["transport"], host["computer"]) == ("pc-0005.lab.test", "kerberos", "PC-0005")
    assert host["groups"] == ["ou:Clients", "ou:Clients/München", "os:Windows 11"]


def test_every_page_is_read(corp: Any) -> None:
    """250 computers in pages of 40; Active Directory gives at most 1,000 at a time."""
    code = (
        "from gevent import monkey; monkey.patch_all()\n"
        "from provmode.connector.sources import ldap\n"
        "from provmode.connector.sources.domain_controllers import opened\n"
        "from provmode.connector.sources.wanted import Wanted\n"
        "with opened(Wanted('lab.test')) as there:\n"
        "    talk = ldap.search(there.wire, 'OU=Many,DC=lab,DC=test', ldap.SUBTREE, ldap.equal('objectClass',\n"
        "        'computer'), ['name'], page=40)\n"
        "    print(len({entry.text('name') for entry in there.carry_out(talk)}))\n"
    )
    ran = corp.run(sys.executable, "-c", code)

    assert ran.stdout.strip() == "250", ran.stderr


def test_a_password_serves_as_well_as_a_ticket(shown: Run, tmp_path: Path) -> None:
    account = {"PROVMODE_USER": "provmode@lab.test", "PROVMODE_PASSWORD": PASSWORD}

    assert names(shown("@ad/lab.test/Clients/Berlin", KRB5CCNAME=f"FILE:{tmp_path}/none", **account)) == BERLIN


def test_a_keytab_serves_as_well_as_a_ticket(corp: Any, shown: Run, tmp_path: Path) -> None:
    keytab = tmp_path / "provmode.keytab"
    lines = f"addent -password -p provmode@LAB.TEST -k 2 -e aes256-cts-hmac-sha1-96\n{PASSWORD}\nwkt {keytab}\n"
    subprocess.run(["ktutil"], input=lines, text=True, check=True, capture_output=True)

    document = shown(
        f"@ad/lab.test/Clients/Berlin?keytab={keytab}&user=provmode@LAB.TEST", KRB5CCNAME=f"FILE:{tmp_path}/none"
    )

    assert names(document) == BERLIN


@pytest.mark.parametrize(
    ("inventory", "said"),
    [
        (
            "lab.test/Clients/Berln",
            "lab.test/Clients has no OU 'Berln' that this account can see; it has Berlin, Halle, Saale, München",
        ),
        ("lab.test/Berlin*", "lab.test has no OU 'Berlin*' that this account can see; it has Clients, "),
        (
            "lab.test/Empty/X",
            "lab.test/Empty has no OU 'X' that this account can see; it has no OU at all",
        ),
        ("lab.test/Empty", "lab.test/Empty has no computer to ask; an empty run is never a success"),
        ("lab.test?group=*", "lab.test has no group '*' that this account can see; give its sAMAccountName"),
        (
            "lab.test/Clients?filter=(name=STALE*)",
            "lab.test/Clients, with this filter has no computer to ask: 2 left out, stale: no logon for 90 days; "
            "stale=0",
        ),
        ("lab.test?filter=((a=b)", "@ad: filter '((a=b)' is no LDAP filter"),
        ("other.test", "DNS knows no domain controller of other.test (_ldap._tcp.dc._msdcs.other.test); look at"),
        ("other.test?server=dc1.lab.test", "other.test: it has no domain other.test; check the domain's DNS name"),
        ("lab.test?server=dc9.lab.test", "no domain controller of lab.test answers: dc9.lab.test does not resolve"),
        (
            "lab.test?ldaps=1",
            "the certificate of the domain controller dc1.lab.test is not trusted: unable to get local issuer "
            "certificate; if it is your domain's, give the CA that signed it: ca=FILE",
        ),
    ],
)
def test_what_does_not_work_is_one_line_with_the_cure(provmode: Run, inventory: str, said: str) -> None:
    ran = provmode("audit", f"@ad/{inventory}")

    assert (ran.returncode, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"provmode: {said}"), line
    assert "; " in line


def test_without_a_ticket_nobody_is_asked(provmode: Run, tmp_path: Path) -> None:
    none = f"FILE:{tmp_path}/none"
    wrong = {"PROVMODE_USER": "provmode@LAB.TEST", "PROVMODE_PASSWORD": "wrong"}

    no_ticket = provmode("audit", "@ad/lab.test", KRB5CCNAME=none)
    refused = provmode("audit", "@ad/lab.test", KRB5CCNAME=none, **wrong)

    assert no_ticket.stderr == (
        "provmode: cannot ask dc1.lab.test: there is no Kerberos ticket here; run kinit user@REALM, or give "
        "keytab=FILE after the ?\n"
    )
    assert "the domain refused the password of provmode@LAB.TEST; correct it" in refused.stderr
    assert no_ticket.returncode == refused.returncode == 1


def test_an_audit_asks_the_pcs_that_were_found(provmode: Run) -> None:
    """There are accounts and no PCs, so each is called by the name of the directory and said not to resolve."""
    ran = provmode("audit", "@ad/lab.test/Clients/Berlin", "--format", "json")

    document = json.loads(ran.stdout)
    assert document["inventory"] == "@ad/lab.test/Clients/Berlin"
    assert sorted(host["host"] for host in document["hosts"]) == BERLIN
    assert all("pc-000" in host["reason"] or "never-1" in host["reason"] for host in document["hosts"])
    assert "lab.test/Clients/Berlin: 1 left out, disabled" in ran.stderr


def test_a_plan_keeps_the_names_that_it_was_made_from(provmode: Run, tmp_path: Path) -> None:
    ran = provmode("plan", "@ad/lab.test/Clients/Berlin", "--output", "plan.json", **KEY)

    kept = json.loads((tmp_path / "plan.json").read_text())["made_from"]
    assert kept["again"] is True, ran.stderr
    assert [host["name"] for host in kept["hosts"]] == [f"@winrm/{name}" for name in BERLIN]
    assert kept["hosts"][1]["data"] == {
        "winrm_address": "pc-0001.lab.test",
        "winrm_computer": "PC-0001",
        "winrm_transport": "kerberos",
    }


@pytest.mark.parametrize("ticket", [True, False])
def test_a_pc_of_the_domain_is_found_and_audited(
    corp: Any, provmode: Run, pc: Any, tmp_path: Path, ticket: bool
) -> None:
    """From the directory to the verdict with Kerberos alone, by a ticket or by one logon with a password."""
    account = {"KRB5CCNAME": f"FILE:{tmp_path}/tickets"}
    if ticket:
        environment = {**os.environ, **corp.environment, **account}
        kinit = [*corp.enter(), "kinit", "provmode@LAB.TEST"]
        subprocess.run(kinit, input=PASSWORD, text=True, check=True, capture_output=True, env=environment)
    else:
        account |= {"PROVMODE_USER": "provmode@lab.test", "PROVMODE_PASSWORD": PASSWORD}

    ran = provmode(*("audit", "@ad/lab.test/Lab", "--data", f"winrm_port={pc.port}", "--format", "json"), **account)

    (host,) = json.loads(ran.stdout)["hosts"]
    assert (host["host"], host["verdict"]) == ("PC-00001", "healthy"), (host["reason"], ran.stderr)


@pytest.mark.parametrize("pc", ["armed"], indirect=True)
def test_a_plan_is_applied_to_the_pc_that_the_directory_names(provmode: Run, pc: Any, tmp_path: Path) -> None:
    """With one logon a run, and the directory asked anew by `apply`."""
    account = {"PROVMODE_USER": "provmode@lab.test", "PROVMODE_PASSWORD": PASSWORD, **KEY}
    account["KRB5CCNAME"] = f"FILE:{tmp_path}/none"
    port = ["--data", f"winrm_port={pc.port}"]

    planned = provmode("plan", "@ad/lab.test/Lab", *port, "--output", "plan.json", **account)
    gone = provmode("apply", "plan.json", "--inventory", "@ad/lab.test/Clients/Berlin", *port, **account)
    applied = provmode("apply", "plan.json", *port, **account)

    assert planned.returncode == 2, planned.stderr
    assert "PC-00001" in gone.stdout + gone.stderr
    assert gone.returncode != 0
    assert applied.returncode == 0, applied.stdout + applied.stderr


def test_a_controller_is_asked_for_as_windows_does(corp: Any, shown: Run, tmp_path: Path) -> None:
    """A controller alone has the name with the domain in it; a member of the domain cannot take it."""
    cache = f"FILE:{tmp_path}/tickets"
    assert corp.run("cp", str(corp.folder / "tickets"), str(tmp_path / "tickets")).returncode == 0
    code = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import gssapi\n"
        "from provmode.connector.sources.domain_controllers import opened\n"
        "from provmode.connector.sources.wanted import Wanted\n"
        "made, context = [], gssapi.SecurityContext\n"
        "gssapi.SecurityContext = lambda **given: made.append(str(given['name'])) or context(**given)\n"
        "with opened(Wanted('lab.test')): print(*made)\n"
    )
    ran = corp.run(sys.executable, "-c", code, KRB5CCNAME=cache)

    assert ran.stdout.strip() == "ldap/dc1.lab.test/lab.test@", ran.stderr


def test_nothing_of_the_directory_can_be_read_on_the_wire(corp: Any, tmp_path: Path) -> None:
    """Every byte that the client sends and receives, without the bind."""
    code = (
        "from gevent import monkey; monkey.patch_all()\n"
        "from provmode.connector.sources import domain_controllers\n"
        "from provmode.connector.sources.connectors import AdConnector\n"
        "from provmode.connector.sources.ldap import Wire\n"
        "seen, feed, to_send = bytearray(), Wire.feed, Wire.to_send\n"
        "def record(self, data): seen.extend(data); return feed(self, data)\n"
        "def sent(self): data = to_send(self); seen.extend(data); return data\n"
        "Wire.feed, Wire.to_send = record, sent\n"
        "AdConnector.find('lab.test/Clients')\n"
        "print(len(seen), [word for word in (b'PC-0001', b'pc-0001', b'Clients', b'objectCategory')\n"
        "    if word in seen])\n"
    )
    ran = corp.run(sys.executable, "-c", code)

    size, _, found = ran.stdout.partition(" ")
    assert int(size) > 4000, ran.stderr
    assert found == "[]\n"


def test_pyinfra_finds_the_same_hosts(corp: Any, tmp_path: Path) -> None:
    ran = corp.run(
        sys.executable, "-m", "pyinfra", "-y", "@ad/lab.test/Clients/Berlin", "debug-inventory", cwd=tmp_path
    )

    assert ran.returncode == 0, ran.stderr
    assert all(f"@winrm/{name}" in ran.stdout + ran.stderr for name in BERLIN)
    assert (ran.stderr + ran.stdout).count("left out, disabled") == 1  # pyinfra loads an inventory twice
