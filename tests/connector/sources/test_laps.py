"""The local administrator that LAPS keeps in the directory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api.hiddenvalue import HiddenValue

from provmode.connector.host_data import WINRM_DATA, target_of
from provmode.connector.sources import laps_password
from provmode.connector.sources.computers import hosts_of
from provmode.connector.sources.found import FoundHost
from provmode.connector.sources.laps import (
    CURES,
    ENCRYPTED,
    NO_ACCOUNT,
    NONE,
    NOT_READABLE,
    LocalAccount,
    local_account,
)
from provmode.connector.sources.laps_password import LapsPassword, PasswordsAnew
from provmode.connector.sources.ldap import Entry, Refused
from provmode.connector.sources.wanted import Wanted
from provmode.errors import UsageError
from provmode.fleet.plan_file import MadeFrom
from provmode.transport.base import NotRenewed

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


# -- read anew ------------------------------------------------------------------------------------------------------

OLD, NEW = "S3cret-of-yesterday", "S3cret-of-today"


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Let the directory have this for a computer, or raise it; return who was asked for, call by call."""

    def has(answer: Any) -> list[Any]:
        asked = list[Any]()

        class Opened:
            wire = None

            def carry_out(self, talk: Any) -> list[Entry]:
                asked.append(talk)
                if isinstance(answer, Refused):
                    raise answer
                return [answer]

        @contextmanager
        def opened(wanted: Wanted, *, seconds: float) -> Iterator[Opened]:
            if isinstance(answer, UsageError):
                asked.append(answer)
                raise answer
            yield Opened()

        monkeypatch.setattr(laps_password, "opened", opened)
        monkeypatch.setattr(laps_password.ldap, "search", lambda wire, place, *rest: place)
        return asked

    return has


def kept(anew: PasswordsAnew | None = None) -> LapsPassword:
    local = LocalAccount("admin", OLD)
    return LapsPassword(local, "CN=PC-1,DC=corp,DC=example", anew or PasswordsAnew(Wanted("corp.example", laps=True)))


def target(password: LapsPassword, **data: Any) -> Any:
    defaults = {key: meta.default for key, meta in WINRM_DATA.items()}
    laps = {"winrm_user": ".\\admin", "winrm_password": password, "winrm_transport": "ntlm"}
    return target_of("@winrm/PC-1", {**defaults, **laps, **data}).credentials


def test_a_password_that_laps_changed_is_read_anew_once_for_this_pc(directory: Any) -> None:
    asked = directory(entry(msLAPS_Password=json.dumps({"n": "other", "p": NEW}).encode()))
    password = kept()
    credentials = target(password)
    assert (credentials.user, credentials.password) == (".\\admin", OLD)

    assert credentials.renew() == (".\\other", NEW)

    with pytest.raises(NotRenewed, match="was read anew before"):
        password.renew()
    assert asked == ["CN=PC-1,DC=corp,DC=example"]
    later = target(password)  # whoever logs on later in the run takes the newer one at once
    assert (later.user, later.password) == (".\\other", NEW)
    shown = f"{password} {password!r} {password.to_json()} {credentials!r} {later!r} {password.logon[0]}"
    assert OLD not in shown
    assert NEW not in shown


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (entry(msLAPS_Password=json.dumps({"n": "admin", "p": OLD}).encode()), "LAPS has no other password for it"),
        (entry(ms_Mcs_AdmPwdExpirationTime=b"1"), NOT_READABLE),
        (entry(), NONE),
        (Refused(32, "0000208D: NameErr"), "the directory no longer has it where it was"),
    ],
)
def test_why_there_is_no_newer_one(directory: Any, answer: Any, why: str) -> None:
    directory(answer)
    password = kept()

    with pytest.raises(NotRenewed) as none:
        password.renew()

    assert str(none.value) == why
    assert password.logon == (".\\admin", OLD)


def test_a_directory_that_does_not_answer_is_asked_once_for_all(directory: Any) -> None:
    asked = directory(UsageError("no domain controller of corp.example answers", next_step="look at DNS"))
    anew = PasswordsAnew(Wanted("corp.example", laps=True))

    for _ in range(3):
        with pytest.raises(NotRenewed, match="could not be read anew: no domain controller of corp"):
            kept(anew).renew()

    assert len(asked) == 1


@pytest.mark.parametrize(
    "data",
    [{"winrm_user": "CORP\\me"}, {"winrm_password": "own"}, {"winrm_transport": "kerberos", "winrm_user": "a@B"}],
)
def test_who_takes_another_account_or_password_has_none_read_anew(data: dict[str, Any]) -> None:
    assert target(kept(), **data).renew is None
