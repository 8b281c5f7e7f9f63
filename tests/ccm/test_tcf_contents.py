"""The contents of a `MobileClient.TCF`: text and encoding as in the file, sections, properties of ``Install=``."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.ccm import tcf
from provmode.ccm.tcf_contents import contents_of, properties_of, sections_of

TEXT = (
    "; made by ccmsetup\r\nEarly=1\r\n[Site]\r\nSMSSITECODE = PS1\r\nsmssitecode=PS2\r\n\r\n[client install]\r\n"
    'Install=INSTALL=ALL SMSMP="mp 1.corp" smsprovisioningmode=1 /mp:x SMSMP=mp2\r\nalone\r\n[SITE]\r\nX=a=b\r\n'
)


def shown_by_type(data: bytes) -> bytes:
    """Return what cmd.exe's ``type`` prints of a file in a UTF-8 console."""
    return data[2:].decode("utf-16-le").encode() if data.startswith(b"\xff\xfe") else data


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT.encode("cp1252"), "ANSI"),
        ((TEXT + "Gr\u00f6\u00dfe=1").encode("cp1252"), "ANSI"),
        ((TEXT + "Gr\u00f6\u00dfe=1").encode("utf-8-sig"), "UTF-8"),
        (b"\xff\xfe" + (TEXT + "Gr\u00f6\u00dfe=\u20ac\U0001f600").encode("utf-16-le"), "UTF-16 LE"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "UTF-16 BE"),
        (TEXT.encode("utf-16-le"), "UTF-16 LE"),
        (b"", "ANSI"),
    ],
)
def test_text_and_encoding_are_those_of_the_file(data: bytes, encoding: str) -> None:
    found = contents_of("x", shown_by_type(data), len(data))

    assert found.encoding == encoding == tcf.read(data).encoding
    assert found.text == tcf.text_of(data).removeprefix("\ufeff")
    assert found.armed == tcf.read(data).armed == bool(data)


def test_an_encoding_that_the_size_does_not_tell_is_as_shown_by_type() -> None:
    for size in (None, 3):
        assert contents_of("x", TEXT.encode(), size).encoding == "as shown by type"


def test_sections_and_the_install_line_are_read() -> None:
    found = contents_of("x", TEXT.encode(), len(TEXT))

    assert found.sections == {
        "": {"Early": "1"},
        "Site": {"SMSSITECODE": "PS1", "X": "a=b"},
        "client install": {
            "Install": 'INSTALL=ALL SMSMP="mp 1.corp" smsprovisioningmode=1 /mp:x SMSMP=mp2',
            "alone": "",
        },
    }
    assert found.install == {"INSTALL": "ALL", "SMSMP": "mp2", "smsprovisioningmode": "1", "/mp:x": ""}
    assert len(found.entries) == 1


def test_a_quoted_value_keeps_its_blanks_and_one_without_its_end_is_read_to_the_end() -> None:
    assert properties_of('A="b  c" D="" E="f g') == {"A": "b  c", "D": "", "E": '"f g'}


def test_the_install_line_of_its_own_section_comes_first() -> None:
    text = "[Other]\nInstall=A=1\n[Client Install]\ninstall=A=2\n"

    assert contents_of("x", text.encode(), None).install == {"A": "2"}
    assert contents_of("x", b"Install=A=3", None).install == {"A": "3"}
    assert contents_of("x", b"nothing", None).install == {}


@given(st.binary(max_size=200), st.none() | st.integers(0, 400))
def test_any_bytes_have_contents(data: bytes, size: int | None) -> None:
    found = contents_of("x", data, size)

    assert found.armed == tcf.read_type_output(data).armed
    assert all(isinstance(value, str) for keys in found.sections.values() for value in keys.values())


@pytest.mark.parametrize(
    "part", ["[", "[a]\n", "a=1\n", '"', 'A="', "A ", "\r", "Install=", "=", "SMSPROVISIONINGMODE=1 "]
)
def test_the_largest_file_is_read_in_a_moment(part: str) -> None:
    data = (part * (tcf.MAX_BYTES // len(part))).encode()

    begun = time.process_time()
    contents_of("x", data, len(data))
    properties_of(data.decode())
    sections_of(data.decode())

    assert time.process_time() - begun < 10
