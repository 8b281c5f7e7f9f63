"""Distinguished names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.connector.sources.distinguished_names import domain_name, parts_of, path_of


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("CN=PC-1,OU=Berlin,OU=Clients,DC=corp,DC=example", ("Clients", "Berlin")),
        ("CN=PC-1,CN=Computers,DC=corp,DC=example", ("Computers",)),
        ("CN=PC-1,OU=Halle\\, Saale,DC=corp", ("Halle, Saale",)),
        ("cn=PC-1, ou=a , dc=corp", ("a",)),
        ("CN=PC\\0ACNF:1,OU=M\\C3\\BCnchen,DC=corp", ("München",)),
        ("CN=PC-1,OU=ends in a blank\\ ,DC=corp", ("ends in a blank ",)),
        ("CN=PC-1,OU=\\#1 \\+ \\\\,DC=corp", ("#1 + \\",)),
    ],
)
def test_the_place_of_an_object(name: str, path: tuple[str, ...]) -> None:
    assert path_of(name) == path


@pytest.mark.parametrize("name", ["", ",", "CN", "CN=a,", "CN=a,,DC=b", "=a", "CN=a,b", "CN=a\\"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError):
        parts_of(name)


def escaped(value: str) -> str:
    """Write a value as RFC 4514 section 2.4 has it."""
    text = "".join(f"\\{character}" if character in ',+"\\<>;=' else character for character in value)
    text = text.replace("\0", "\\00")
    text = f"\\{text}" if text[:1] in (" ", "#") and text else text
    return f"{text[:-1]}\\ " if text.endswith(" ") and len(value) > 1 else text


@given(st.lists(st.tuples(st.sampled_from(("CN", "OU", "DC")), st.text(min_size=1, max_size=12)), min_size=1))
def test_a_name_that_was_written_is_read(parts: list[tuple[str, str]]) -> None:
    parts = [(attribute, value.encode("utf-8", "replace").decode()) for attribute, value in parts]
    assert parts_of(",".join(f"{attribute}={escaped(value)}" for attribute, value in parts)) == parts


@given(st.text(max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    try:
        assert parts_of(text)
    except ValueError:
        pass  # it is none


def test_the_name_of_a_domain() -> None:
    assert domain_name("corp.example") == "DC=corp,DC=example"
