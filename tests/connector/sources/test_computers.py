"""Computer accounts as hosts, and which are left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sansldap
from hypothesis import given
from hypothesis import strategies as st

from provmode.connector.sources import ldap
from provmode.connector.sources.computers import hosts_of
from provmode.connector.sources.found import FoundHost
from provmode.connector.sources.ldap import Entry, Wire
from provmode.connector.sources.wanted import Wanted

NOW = 1_790_000_000.0
DAY = 86_400
WANTED = Wanted("corp.example")


def filetime(days_ago: float) -> str:
    return str(int((NOW - days_ago * DAY + 11_644_473_600) * 10_000_000))


def entry(name: str = "PC-0001", unit: str = "OU=Berlin,OU=Clients", **values: str | None) -> Entry:
    written: dict[str, str | None] = {
        "samaccountname": f"{name}$",
        "dnshostname": f"{name.lower()}.corp.example",
        "useraccountcontrol": "4096",
        "lastlogontimestamp": filetime(3),
        "whencreated": "20200101000000.0Z",
        "operatingsystem": "Windows 10 Pro",
        **{key.lower(): value for key, value in values.items()},
    }
    return Entry(
        f"CN={name},{unit},DC=corp,DC=example",
        {key: (value.encode("utf-8", "surrogateescape"),) for key, value in written.items() if value is not None},
    )


def asked(*entries: Entry, wanted: Wanted = WANTED, suffixes: tuple[str, ...] = ("corp.example",)) -> Any:
    return hosts_of(entries, wanted, suffixes, NOW)


def why(*entries: Entry, **options: Any) -> list[tuple[str, str]]:
    return [(item.what, item.why) for item in asked(*entries, **options)[1]]


def test_a_computer_becomes_a_host() -> None:
    hosts, left_out = asked(entry())

    assert left_out == ()
    assert hosts == (
        FoundHost(
            "PC-0001",
            {
                "winrm_address": "pc-0001.corp.example",
                "winrm_computer": "PC-0001",
                "winrm_transport": "kerberos",
            },
            ("ou:Clients", "ou:Clients/Berlin", "os:Windows 10"),
        ),
    )


LEFT_OUT: list[tuple[dict[str, str | None], str]] = [
    ({"userAccountControl": "4098"}, "disabled"),
    ({"userAccountControl": "532480"}, "a domain controller"),
    ({"userAccountControl": "83890176"}, "a domain controller"),  # a read-only one
    ({"userAccountControl": None}, "it may not be read whether it is disabled"),
    ({"lastLogonTimestamp": filetime(91)}, "stale: no logon for 90 days"),
    ({"lastLogonTimestamp": None}, "stale: joined over 90 days ago, and never logged on"),
    ({"lastLogonTimestamp": "0"}, "stale: joined over 90 days ago, and never logged on"),
    ({"lastLogonTimestamp": None, "whenCreated": "soon"}, "stale: joined over 90 days ago, and never logged on"),
    ({"dNSHostName": None}, "no dNSHostName"),
    ({"dNSHostName": "pc-0001.evil.example"}, "its dNSHostName is outside the domain"),
    ({"dNSHostName": "pc-0001.evilcorp.example"}, "its dNSHostName is outside the domain"),
    ({"dNSHostName": "corp.example"}, "its dNSHostName is outside the domain"),
    ({"dNSHostName": "10.0.0.1"}, "its dNSHostName is outside the domain"),
    ({"dNSHostName": "pc-0001..corp.example"}, "its dNSHostName cannot be the name of a PC"),
    ({"dNSHostName": ".corp.example"}, "its dNSHostName cannot be the name of a PC"),
    ({"dNSHostName": "a@b.corp.example"}, "its dNSHostName cannot be the name of a PC"),
    ({"dNSHostName": "evil.example/.corp.example"}, "its dNSHostName cannot be the name of a PC"),
    ({"dNSHostName": "pc\x1b[2J.corp.example"}, "its dNSHostName cannot be the name of a PC"),
    ({"sAMAccountName": "PC 1$"}, "its name cannot be the name of a PC"),
    ({"sAMAccountName": "*$"}, "its name cannot be the name of a PC"),
    ({"sAMAccountName": "12345$"}, "its name cannot be the name of a PC"),
    ({"sAMAccountName": "РC-0001$"}, "its name cannot be the name of a PC"),  # a Cyrillic letter
    ({"sAMAccountName": None}, "its name cannot be the name of a PC"),
]
REASONS = {reason for _, reason in LEFT_OUT}


@pytest.mark.parametrize(("values", "reason"), LEFT_OUT)
def test_what_is_left_out_is_said(values: dict[str, str | None], reason: str) -> None:
    hosts, (left_out,) = asked(entry(**values))

    assert (hosts, left_out.why, left_out.place) == ((), reason, "corp.example/Clients/Berlin")
    assert left_out.what.isprintable()


def test_options_take_them_in() -> None:
    entries = (
        entry("PC-1", userAccountControl="4098"),
        entry("PC-2", lastLogonTimestamp=filetime(400)),
        entry("PC-3", lastLogonTimestamp=None),
        entry("DC-1", userAccountControl="532480", lastLogonTimestamp=filetime(400)),
    )

    assert why(*entries, wanted=Wanted("corp.example", stale_days=0, disabled=True, controllers=True)) == []
    assert why(*entries[1:2], wanted=Wanted("corp.example", stale_days=401)) == []


def test_a_computer_that_has_just_been_joined_is_not_stale() -> None:
    assert why(entry(lastLogonTimestamp=None, whenCreated="20260901000000.0Z")) == []


def test_a_clock_that_runs_ahead_makes_nobody_stale() -> None:
    assert why(entry(lastLogonTimestamp=filetime(-400))) == []


def test_suffixes_that_the_domain_allows_count() -> None:
    other = entry(dNSHostName="pc-0001.clients.example.")

    assert why(other) == [("PC-0001", "its dNSHostName is outside the domain")]
    assert why(other, suffixes=("corp.example", "Clients.Example", "")) == []


def test_an_account_cannot_take_the_address_of_another() -> None:
    mine, his = entry("PC-0001"), entry("AAA", dNSHostName="PC-0001.corp.example")

    for entries in ((mine, his), (his, mine)):
        hosts, _ = asked(*entries)
        assert [host.name for host in hosts] == ["PC-0001"]
        assert why(*entries) == [("AAA", "its dNSHostName is that of another")]


def test_an_account_that_looks_like_another_does_not_end_the_run() -> None:
    """Both names are of one script; the fleet would refuse them together."""
    mine, his = entry("HOCT"), entry("НОСТ", dNSHostName="x.corp.example")  # the second is Cyrillic

    for entries in ((mine, his), (his, mine)):
        assert [host.name for host in asked(*entries)[0]] == ["HOCT"]
        assert why(*entries) == [("НОСТ", "its name looks like another")]


def test_the_name_of_a_pc_is_not_cut_as_that_of_its_account_is() -> None:
    (long,), _ = asked(entry("LONGCOMPUTERNAM", dNSHostName="longcomputername-17.corp.example"))
    (other,), _ = asked(entry("LONGCOMPUTERNAM", dNSHostName="other.corp.example"))

    assert (long.name, long.data["winrm_computer"]) == ("longcomputername-17",) * 2
    assert (other.name, other.data["winrm_computer"]) == ("LONGCOMPUTERNAM",) * 2


@pytest.mark.parametrize(
    ("system", "group"),
    [
        ("Windows 10 Pro", "os:Windows 10"),
        ("Windows 11 Enterprise", "os:Windows 11"),
        ("Windows Server 2012 R2 Standard", "os:Windows Server 2012 R2"),
        ("Samba", "os:Samba"),
        ("a*b?[c],d\x1b", "os:a_b__c]_d_"),
    ],
)
def test_groups_of_operating_systems(system: str, group: str) -> None:
    (host,), _ = asked(entry(operatingSystem=system))

    assert host.groups[-1] == group


def test_an_object_of_unknown_place_counts_without_one() -> None:
    (host,), _ = asked(Entry("broken", entry().values))

    assert host.groups == ("os:Windows 10",)


TEXTS = st.one_of(st.none(), st.text(max_size=30), st.from_regex(r"\A[a-z]{1,3}\.corp\.example\Z"))


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), max_size=6))
def test_whatever_the_directory_says_hosts_are_few_and_plain(rows: list[tuple[str | None, ...]]) -> None:
    entries = [
        entry(sAMAccountName=name and name.encode("utf-8", "replace").decode(), dNSHostName=dns, operatingSystem=system)
        for name, dns, system, _ in (
            tuple(text if text is None else text.encode("utf-8", "replace").decode() for text in row) for row in rows
        )
    ]

    hosts, left_out = asked(*entries)

    assert len(hosts) + len(left_out) == len(entries)
    for host in hosts:
        assert host.data["winrm_address"].endswith(".corp.example")
        assert host.name.isprintable()
        assert not set(host.name) & set("@/,:* ")
    assert all(group.isprintable() for host in hosts for group in host.groups)
    assert all((item.what + item.place).isprintable() for item in left_out)


def test_ten_thousand_accounts_take_a_second_or_so() -> None:
    import time

    entries = [entry(f"PC-{number:05}") for number in range(10_000)]

    began = time.process_time()
    hosts, _ = asked(*entries)

    assert len(hosts) == 10_000
    assert time.process_time() - began < 4, "many times what it takes on a quiet machine"


def test_ten_thousand_computers_come_over_ldap_by_pages() -> None:
    """With umlauts in names, OUs and addresses, a hundred without an address, and a hundred with that of another."""
    number = 10_000

    def account(place: int) -> sansldap.SearchResultEntry:
        name = f"{'FL' if place % 10 else 'FÜ'}-{place:05}"
        address = {3: None, 5: b"fl-00001.corp.example"}.get(place % 100, f"{name.lower()}.corp.example".encode())
        values = {"sAMAccountName": f"{name}$".encode(), "dNSHostName": address, "userAccountControl": b"4096"}
        values |= {"lastLogonTimestamp": filetime(3).encode(), "operatingSystem": b"Windows 11 Enterprise"}
        attributes = [sansldap.PartialAttribute(key, [value]) for key, value in values.items() if value is not None]
        unit = f"OU=Büro {place % 20}\\, Süd,OU=Flotte"
        return sansldap.SearchResultEntry(1, [], f"CN={name},{unit},DC=corp,DC=example", attributes)

    wire, side, written = Wire(), sansldap.LDAPServer(), ldap._PACKING
    talk = ldap.search(wire, "DC=corp,DC=example", ldap.SUBTREE, ldap.equal("objectCategory", "computer"), ["*"])
    send, waiting, sent = next(talk), list[ldap.Message](), 0
    found: list[Entry] = []
    try:
        while True:
            for request in side.receive(send):
                page = [replace(account(place), message_id=request.message_id) for place in range(sent, sent + 1_000)]
                sent += len(page)
                more = sansldap.PagedResultControl(False, 0, b"more" if sent < number else b"")
                side.search_result_done(request.message_id, sansldap.LDAPResultCode.SUCCESS, controls=[more])
                waiting += wire.feed(b"".join(one.pack(written) for one in page) + side.data_to_send())
            send = talk.send(None if send else waiting.pop(0))
    except StopIteration as ended:
        found = ended.value

    hosts, left_out = asked(*found)

    assert sent == number
    assert Counter(item.why for item in left_out) == {
        "no dNSHostName": 100,
        "its dNSHostName is that of another": 100,
    }
    assert len({host.name for host in hosts}) == number - 200
    by_name = {host.name: host for host in hosts}
    assert by_name["FÜ-00010"].data["winrm_address"] == "fü-00010.corp.example"
    assert by_name["FÜ-00010"].groups == ("ou:Flotte", "ou:Flotte/Büro 10_ Süd", "os:Windows 11")
    assert by_name["FL-00001"].data["winrm_address"] == "fl-00001.corp.example"


def test_the_guide_has_every_reason() -> None:
    root = Path(__file__).parents[3]
    section = (root / "docs" / "inventories.md").read_text("utf-8").partition("**What is left out**")[2]
    listed = {row.strip("| ").partition(" |")[0] for row in section.partition("\n\n")[2].splitlines()[2:13]}
    reasons = set(REASONS) | {"its dNSHostName is that of another", "its name looks like another"}

    assert listed == reasons
