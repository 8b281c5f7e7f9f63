"""What the argument of ``@ad`` asks for."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.connector.sources.wanted import FEWEST_DAYS, OPTIONS, STALE_DAYS, Wanted, is_dns_name, read_argument
from provmode.errors import UsageError


@pytest.mark.parametrize(
    ("argument", "wanted"),
    [
        ("corp.example", Wanted("corp.example")),
        ("CORP.example./", Wanted("corp.example")),
        ("corp.example/Clients/Berlin", Wanted("corp.example", ("Clients", "Berlin"))),
        ("corp.example/München/", Wanted("corp.example", ("München",))),
        ("corp.example/A%2C B", Wanted("corp.example", ("A, B",))),
        ("corp.example/A\\/B/C", Wanted("corp.example", ("A/B", "C"))),
        ("corp.example?stale=0&disabled=1&dc=1", Wanted("corp.example", (), "", 0, True, True)),
        ("corp.example/X?stale=30", Wanted("corp.example", ("X",), stale_days=30)),
        ("corp.example?group=Pilot (all)", Wanted("corp.example", group="Pilot (all)")),
        ("corp.example?server=dc1.corp.example", Wanted("corp.example", server="dc1.corp.example")),
        ("corp.example?ldaps=1&ca=~/ca.pem", Wanted("corp.example", ldaps=True, ca="~/ca.pem")),
        ("corp.example?user=a@B.C&keytab=/k", Wanted("corp.example", user="a@B.C", keytab="/k")),
        ("corp.example?stale=0&filter=(&(a=b)(c=d))", Wanted("corp.example", stale_days=0, filter="(&(a=b)(c=d))")),
    ],
)
def test_an_argument_is_read(argument: str, wanted: Wanted) -> None:
    assert read_argument(argument) == wanted


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        (None, "@ad names no domain; write @ad/DOMAIN/OU/OU"),
        ("", "@ad names no domain"),
        ("CORP/Clients", "not the DNS name of a domain; give its DNS name, not the short one"),
        ("OU=Clients", "has a distinguished name, which is cut at its commas; write @ad/DOMAIN/OU/OU"),
        ("10.0.0.1:389/x", "is not the DNS name of a domain"),
        ("corp..example", "is not the DNS name of a domain"),
        ("corp.example//Berlin", "has an empty name between two slashes"),
        ("corp.example/a%ff", "has a % that is not UTF-8; write % as %25"),
        ("corp.example/a%0Ab", "has a character that cannot be seen"),
        ("corp.example?old=1", "@ad has no option 'old'; there are group, stale"),
        ("corp.example?disabled", "@ad has no option 'disabled'"),
        ("corp.example?ldaps=636", "ldaps is '636'; write ldaps=1"),
        ("corp.example?disabled=yes", "disabled is 'yes'; write disabled=1"),
        ("corp.example?dc=1&dc=0", "the option dc is there twice"),
        ("corp.example?stale=29", "neither 0 nor at least 30 days"),
        ("corp.example?stale=-1", "neither 0 nor at least 30 days"),
        ("corp.example?stale=٣٠", "neither 0 nor at least 30 days"),
        ("corp.example?group=", "group is empty"),
        ("corp.example?server=10.0.0.1/x", "server is '10.0.0.1/x'; give the full DNS name"),
        ("corp.example/" + "x" * 5000, "has over 4,000 characters"),
    ],
)
def test_a_mistake_is_one_line_that_says_how_to_write_it(argument: str | None, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_argument(argument)

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_less_than_the_domain_knows_is_no_limit() -> None:
    assert FEWEST_DAYS == 30, "lastLogonTimestamp lags by up to 14 days"
    assert Wanted("corp.example").stale_days == STALE_DAYS == 90


PRINTABLE = st.text(st.characters(exclude_categories=("C", "Zl", "Zp", "Zs")), min_size=1, max_size=20)


@given(st.lists(PRINTABLE, max_size=4), PRINTABLE, PRINTABLE)
def test_every_name_can_be_written_with_percent_signs(path: list[str], group: str, filter_: str) -> None:
    argument = "/".join(["corp.example", *(quote(name, safe="") for name in path)])

    wanted = read_argument(f"{argument}?group={quote(group, safe='')}&filter={quote(filter_, safe='')}")

    assert (wanted.path, wanted.group, wanted.filter) == (tuple(path), group, filter_)


@given(st.text(max_size=60))
def test_no_argument_breaks_it(text: str) -> None:
    said = domain = ""
    try:
        domain = read_argument(text).domain
    except UsageError as refused:
        said = str(refused)

    assert said.isprintable()
    assert said or is_dns_name(domain)


def test_the_filter_is_the_last_option() -> None:
    assert OPTIONS[-1] == "filter"


def test_the_guide_has_every_option() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "inventories.md").read_text("utf-8")
    section = guide.partition("## Active Directory\n")[2].partition("\n## ")[0]

    assert tuple(re.findall(r"^\| `(\w+)=", section, re.MULTILINE)) == OPTIONS
