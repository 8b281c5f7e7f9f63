"""Names that could be taken for other names are refused, and the character is named."""

from __future__ import annotations

import pytest

from provmode.connector.host_names import check_host_name
from provmode.errors import UsageError
from provmode.fleet.inventory import Fleet, Groups, load


class Named:
    """An inventory of these names."""

    name, path = "the names", None

    def __init__(self, *names: str) -> None:
        self._names = names

    def read(self) -> Groups:
        return {"all": ([f"@winrm/{name}" for name in self._names], {})}


def fleet(*names: str) -> Fleet:
    return load(Named(*names))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("PC-1 ", "U+0020 SPACE, which is a blank"),
        (" PC-1", "U+0020 SPACE, which is a blank"),
        ("PC-1\t", "U+0009, which is a blank"),
        ("PC-1\n", "U+000A, which is a blank"),
        ("PC-\u00a01", "U+00A0 NO-BREAK SPACE, which is a blank"),
        ("PC-\u200b1", "U+200B ZERO WIDTH SPACE, which cannot be seen"),
        ("PC-\u00ad1", "U+00AD SOFT HYPHEN, which cannot be seen"),
        ("PC-\u202e1", "U+202E RIGHT-TO-LEFT OVERRIDE, which cannot be seen"),
        ("PC-\x1b1", "U+001B, which cannot be seen"),
        ("PC-\ud800", "U+D800, which cannot be seen"),
        ("\u0420C-00001", "U+0420 CYRILLIC CAPITAL LETTER ER, which is of another script"),
        ("pc-\u0430\u0440\u0440", "U+0430 CYRILLIC SMALL LETTER A, which is of another script"),
        ("\u03a1C-1", "U+03A1 GREEK CAPITAL LETTER RHO, which is of another script"),
        ("\uff30\uff23-1", "U+FF30 FULLWIDTH LATIN CAPITAL LETTER P, which looks like P"),
        ("PC-\uff11", "U+FF11 FULLWIDTH DIGIT ONE, which looks like 1"),
        ("PC\uff0d1", "U+FF0D FULLWIDTH HYPHEN-MINUS, which looks like -"),
        ("PC-\u00b2", "U+00B2 SUPERSCRIPT TWO, which looks like 2"),
        ("\u212aiosk", "U+212A KELVIN SIGN, which looks like K"),
        ("PC-1.ex\u0430mple.com", "U+0430 CYRILLIC SMALL LETTER A, which is of another script"),
    ],
)
def test_a_name_that_looks_like_another_is_refused_and_the_character_is_named(name: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        fleet(name)

    assert message in str(error.value)
    assert str(error.value).isascii()


@pytest.mark.parametrize(
    "name",
    [
        *("PC-00001", "pc_1.example.com", "192.0.2.1", "fe80::1", "B\u00dcRO-1", "stra\u00dfe", "u\u0308ber"),
        *("\u0441\u0435\u0440\u0432\u0435\u0440-1.example.com", "\u03b3\u03c1\u03b1\u03c6\u03b5\u03af\u03bf"),
        *("\u7d4c\u7406\u90e8-PC1", "\u30ab\u30e1\u30e9\u306e-PC", "\uc11c\ubc84-1", "\u05d0\u05d1\u05d2-1"),
    ],
)
def test_a_name_in_one_script_is_accepted(name: str) -> None:
    check_host_name(name)

    assert fleet(name).names == [f"@winrm/{name}"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("PC-1", "pc-1"), ("b\u00fcro", "bu\u0308ro"), ("STRASSE", "stra\u00dfe"), ("\uac00", "\u1100\u1161")],
)
def test_two_spellings_of_one_name_are_one_pc_twice(one: str, other: str) -> None:
    with pytest.raises(UsageError, match="the inventory has one PC as"):
        fleet(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [("PC-1", "\u0420\u0421-1"), ("box", "\u03b2\u03bf\u03c7"), ("\u0440\u0441.a.com", "pc.a.com")]
)
def test_two_names_that_look_alike_are_refused_together(one: str, other: str) -> None:
    assert fleet(one).names
    assert fleet(other).names

    with pytest.raises(UsageError, match="two names that look alike") as error:
        fleet(one, other)
    assert str(error.value).isascii()
