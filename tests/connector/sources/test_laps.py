"""The local administrator that LAPS keeps in the directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api.hiddenvalue import HiddenValue

from provmode.connector.sources.computers import hosts_of
from provmode.connector.sources.found import FoundHost
from provmode.connector.sources.laps import CURES, ENCRYPTED, NO_ACCOUNT, NONE, NOT_READABLE, local_account
from provmode.connector.sources.ldap import Entry
from provmode.connector.sources.wanted import Wanted
from provmode.fleet.plan_file import MadeFrom

COMPUTER = {
    "samaccountname": b"PC-1$",
    "dnshostname": b"pc-1.corp.example",
    "useraccountcontrol": b"4096",
    "whencreated": b"20260101000000.0Z",
}


def entry(**values: bytes) -> Entry:
    both = {**COMPUTER, **{name.replace("_", "-").lower(): value for name, value in values.items()}}
    return Entry("CN=PC-1,DC=corp,DC=example", {name: (value,) for name, value in both.items()})


@pytest.mark.parametrize(
    ("values", "user", "password"),
    [
        ({"msLAPS_Password": b'{"n":"admin","t":"1d9","p":"S3cret \\"x"}'}, "admin", 'S3cret "x'),
        ({"ms_Mcs_AdmPwd": b"S3cret"}, "Administrator", "S3cret"),
        ({"ms_Mcs_AdmPwd": b"old", "msLAPS_Password": b'{"n":"a b","p":"new"}'}, "a b", "new"),
    ],
)
def test_both_kinds_of_laps_are_read(values: dict[str, bytes], user: str, password: str) -> None:
    found = local_account(entry(**values))

    assert (found.user, found.password, found.why_not) == (user, password, "")
    assert password not in repr(found)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, NONE),
        ({"ms_Mcs_AdmPwdExpirationTime": b"1"}, NOT_READABLE),
        ({"msLAPS_PasswordExpirationTime": b"1"}, NOT_READABLE),
        ({"msLAPS_PasswordExpirationTime": b"1", "msLAPS_EncryptedPassword": b"\xff"}, ENCRYPTED),
        ({"msLAPS_Password": b"not JSON"}, NO_ACCOUNT),
        ({"msLAPS_Password": b"[" * 5000}, NO_ACCOUNT),
        ({"msLAPS_Password": b'{"n":5,"p":"x"}'}, NO_ACCOUNT),
        ({"msLAPS_Password": b'{"n":"CORP\\\\admin","p":"x"}'}, NO_ACCOUNT),
        ({"msLAPS_Password": b'{"n":"a@corp","p":"x"}'}, NO_ACCOUNT),
        ({"msLAPS_Password": b'{"n":"admin","p":""}'}, NO_ACCOUNT),
        ({"ms_Mcs_AdmPwd": b"x" * 300}, NO_ACCOUNT),
        ({"ms_Mcs_AdmPwd": b"a\nb"}, NO_ACCOUNT),
        ({"msLAPS_Password": b'{"n":"a\\u001bb","p":"x"}'}, NO_ACCOUNT),
    ],
)
def test_why_there_is_none(values: dict[str, bytes], why: str) -> None:
    found = local_account(entry(**values))

    assert (found.user, found.password, found.why_not) == ("", "", why)
    assert CURES[why]


@given(st.binary(max_size=80), st.booleans())
def test_no_value_breaks_it(value: bytes, old: bool) -> None:
    found = local_account(entry(**{"ms_Mcs_AdmPwd" if old else "msLAPS_Password": value}))

    assert bool(found.password) != bool(found.why_not)


def test_a_host_logs_on_with_it_and_shows_no_password() -> None:
    secret = "S3cret-of-the-PC"
    account = entry(msLAPS_Password=json.dumps({"n": "admin", "p": secret}).encode())

    (host,), left_out = hosts_of([account], Wanted("corp.example", laps=True, stale_days=0), ["corp.example"], 0)

    assert left_out == ()
    assert (host.data["winrm_user"], host.data["winrm_transport"]) == (".\\admin", "ntlm")
    assert isinstance(host.data["winrm_password"], HiddenValue)
    assert host.data["winrm_password"].unmask() == secret  # type: ignore[no-untyped-call]
    assert secret not in repr(host) + str(host.data)


def test_without_laps_it_is_not_read() -> None:
    account = entry(msLAPS_Password=b'{"n":"admin","p":"S3cret"}')

    (host,), _ = hosts_of([account], Wanted("corp.example", stale_days=0), ["corp.example"], 0)

    assert "winrm_password" not in host.data
    assert host.data["winrm_transport"] == "kerberos"


def test_a_plan_keeps_no_password() -> None:
    host = FoundHost("PC-1", {"winrm_user": ".\\admin", "winrm_password": HiddenValue("S3cret")})  # type: ignore[no-untyped-call]

    assert MadeFrom(True, (host,)).to_json()["hosts"] == [{"name": "@winrm/PC-1", "data": {"winrm_user": ".\\admin"}}]


def test_the_guide_has_every_reason() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "inventories.md").read_text("utf-8")

    assert all(f"| {why} |" in guide for why in CURES)
