"""How an account is written for Kerberos, and what its refusals mean."""

from __future__ import annotations

import pytest

from provmode.errors import UsageError
from provmode.transport import kerberos_words
from provmode.transport.kerberos_words import about_pc, about_ticket, principal_of


@pytest.mark.parametrize(
    ("user", "principal"),
    [
        ("", ""),
        ("auditor", "auditor"),
        ("auditor@CORP.EXAMPLE", "auditor@CORP.EXAMPLE"),
        ("auditor@corp.example", "auditor@CORP.EXAMPLE"),
        ("auditor@Corp.Example", "auditor@CORP.EXAMPLE"),
        ("HTTP/server.corp.example@corp.example", "HTTP/server.corp.example@CORP.EXAMPLE"),
        ("first@second@corp.example", "first@second@CORP.EXAMPLE"),
        ("corp.example\\auditor", "auditor@CORP.EXAMPLE"),
        ("jürgen@münchen.example", "jürgen@MÜNCHEN.EXAMPLE"),
    ],
)
def test_an_account_becomes_a_principal(user: str, principal: str) -> None:
    assert principal_of(user) == principal


@pytest.mark.parametrize("user", ["CORP\\auditor", ".\\auditor", "PC-0001\\auditor", "corp.example\\"])
def test_the_short_name_of_a_domain_is_refused_with_what_to_write(user: str) -> None:
    with pytest.raises(UsageError, match=r"needs the realm.*; write \w+@REALM .* or leave winrm_user out"):
        principal_of(user)


NUMBERS = {
    name: value
    for name, value in vars(kerberos_words).items()
    if name.isupper() and isinstance(value, int) and not name.startswith("_")
}


def test_every_number_has_words_of_its_own_or_shares_them_on_purpose() -> None:
    def words(code: int) -> str:
        means = about_ticket(code, "TEXT", account="a@R", service="HTTP/pc", seconds=5)
        return f"{means.what}; {means.next_step}"

    said = {name: words(code) for name, code in NUMBERS.items()}
    of_the_pc = {"NOT_US", "BAD_MATCH", "MODIFIED", "BAD_KEY_VERSION", "NO_KEY", "WRONG_PRINCIPAL"}
    generic = {name for name, line in said.items() if "TEXT" in line}

    assert generic == of_the_pc
    shared = {line: {name for name in said if said[name] == line} for line in said.values()}
    assert [names for names in shared.values() if len(names) > 1 and names != of_the_pc] == [
        {"PREAUTH_FAILED", "BAD_INTEGRITY"},
        {"SKEW", "KDC_SKEW"},
        {"NO_CREDENTIAL", "NO_CACHE"},
    ]


def test_what_is_not_known_is_said_in_the_librarys_words() -> None:
    assert (
        "Kerberos failed here (Something new)"
        in about_ticket(-1, "Something new", account="", service="HTTP/pc", seconds=5).what
    )
    assert "(Something new)" in about_pc(-1, "Something new", service="HTTP/pc").what
    assert about_pc(0, "", service="HTTP/pc").what == "it refused the Kerberos ticket"


@pytest.mark.parametrize("name", ["NOT_US", "MODIFIED", "BAD_KEY_VERSION", "NO_KEY", "WRONG_PRINCIPAL"])
def test_a_pc_with_another_key_is_said_to_be_another_pc_or_without_trust(name: str) -> None:
    means = about_pc(NUMBERS[name], "", service="HTTP/pc.corp.example")
    assert means.what == "it has another key than the domain has for HTTP/pc.corp.example"
    assert "another PC" in means.next_step
    assert "trust with the domain" in means.next_step


def test_a_skewed_clock_is_the_pcs_or_ours_by_who_says_so() -> None:
    assert "w32tm" in about_pc(NUMBERS["SKEW"], "", service="HTTP/pc").next_step
    assert "timedatectl" in about_ticket(NUMBERS["SKEW"], "", account="", service="HTTP/pc", seconds=5).next_step
