"""MobileClient.TCF: the entry that arms the file is found, and removed without changing another byte."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.ccm import tcf

ENCODINGS = {"ANSI": (b"", "cp1252"), "UTF-8": (b"\xef\xbb\xbf", "utf-8"), "UTF-16 LE": (b"\xff\xfe", "utf-16-le")}
ENCODINGS["UTF-16 BE"] = (b"\xfe\xff", "utf-16-be")

ENTRY_LINES = st.sampled_from(
    ["SMSPROVISIONINGMODE=1", 'SMSPROVISIONINGMODE="1"', "  SmsProvisioningMode = 1 ", "\tsmsprovisioningmode=1"]
)
TOKENS = st.sampled_from(["SMSPROVISIONINGMODE=1", 'SMSPROVISIONINGMODE="1"', "smsProvisioningMode=1"])
OTHER_LINES = st.sampled_from(
    [
        "[Client Install]",
        "Install=INSTALL=ALL SMSSITECODE=PS1",
        "; SMSPROVISIONINGMODE=1",
        "SMSPROVISIONINGMODE=0",
        "SMSPROVISIONINGMODE=",
        "SMSPROVISIONINGMODE=10",
        "XSMSPROVISIONINGMODE=1",
        'Install=INSTALL=ALL NOTE="see SMSPROVISIONINGMODE=1 there"',
        "SMSPublicRootKey=0602000000A40000",
        "Name=Müller",
        "",
    ]
)
ENDINGS = st.sampled_from(["\r\n", "\n", "\r"])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, str, bool]:
    """Return a file's text, the same without the entry, and whether it is armed."""
    text = kept = ""
    armed = False
    for _ in range(draw(st.integers(0, 8))):
        ending = draw(ENDINGS)
        kind = draw(st.sampled_from(["other", "other", "line", "token"]))
        if kind == "line":
            text += draw(ENTRY_LINES) + ending
            armed = True
        elif kind == "token":
            token = draw(TOKENS)
            before, after = draw(st.sampled_from([("INSTALL=ALL", " SMSMP=mp1"), ("INSTALL=ALL SMSSITECODE=PS1", "")]))
            text += f"Install={before} {token}{after}{ending}"
            kept += f"Install={before}{after}{ending}"
            armed = True
        else:
            line = draw(OTHER_LINES)
            if not line and text.endswith("\r") and ending == "\n":
                ending = "\r\n"  # otherwise the two line endings would become one
            text += line + ending
            kept += line + ending
    return text, kept, armed


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(file=files())
def test_disarming_removes_the_entry_and_nothing_else_in_every_encoding(
    encoding: str, file: tuple[str, str, bool]
) -> None:
    text, kept, armed = file
    mark, codec = ENCODINGS[encoding]

    data = mark + text.encode(codec)

    assert tcf.read(data).armed is armed
    assert tcf.disarm(data) == mark + kept.encode(codec)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_and_disarmed_and_a_second_disarm_changes_nothing(data: bytes) -> None:
    disarmed = tcf.disarm(data)

    assert not tcf.read(disarmed).armed
    assert tcf.disarm(disarmed) == disarmed
    if not tcf.read(data).armed:
        assert disarmed is data


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_bytes_around_the_entry_survive_even_if_they_are_not_text(before: bytes, after: bytes) -> None:
    before = before.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"x")
    after = after.replace(b"\0", b"x")
    data = b"a" + before + b"\r\nSMSPROVISIONINGMODE=1\r\n;" + after

    assert tcf.disarm(b"X" + data).startswith(b"Xa" + before + b"\r\n;")


def test_the_install_line_keeps_its_other_properties() -> None:
    data = b"[Client Install]\r\nInstall=INSTALL=ALL SMSPROVISIONINGMODE=1 SMSSITECODE=PS1 SMSMP=mp1\r\n"

    assert tcf.disarm(data) == b"[Client Install]\r\nInstall=INSTALL=ALL SMSSITECODE=PS1 SMSMP=mp1\r\n"


def test_an_install_line_with_only_the_entry_stays_as_an_empty_one() -> None:
    assert tcf.disarm(b"Install=SMSPROVISIONINGMODE=1\r\n") == b"Install=\r\n"


def test_every_entry_has_its_line_number_and_kind() -> None:
    read = tcf.read(b"[A]\r\nSMSPROVISIONINGMODE=1\r\nInstall=X=1 SMSPROVISIONINGMODE=1\r\n")

    assert [(entry.line, entry.kind) for entry in read.entries] == [(2, "line"), (3, "token")]


@given(st.lists(st.tuples(st.sampled_from(["", "A=1", "SMSPROVISIONINGMODE=1", "x SMSPROVISIONINGMODE"]), ENDINGS)))
def test_lines_are_counted_whatever_their_ending(lines: list[tuple[str, str]]) -> None:
    text = ""
    for line, ending in lines:
        text += line + ("\r\n" if not line and text.endswith("\r") and ending == "\n" else ending)

    expected = [
        number for number, line in enumerate(re.split("\r\n|\r|\n", text), 1) if line == "SMSPROVISIONINGMODE=1"
    ]
    assert [entry.line for entry in tcf.read(text.encode()).entries] == expected


@pytest.mark.parametrize("quotes", range(6))
def test_a_property_counts_if_the_quotes_before_it_are_closed(quotes: int) -> None:
    line = "Install=" + '" ' * quotes + "SMSPROVISIONINGMODE=1 " + '" SMSPROVISIONINGMODE=1'
    inside = "Install=" + '" ' * quotes

    assert (
        tcf.disarm(line.encode())
        == (inside + '" SMSPROVISIONINGMODE=1' if quotes % 2 == 0 else inside + 'SMSPROVISIONINGMODE=1 "').encode()
    )


def test_utf_16_without_its_mark_is_recognised_and_kept() -> None:
    data = "[Client Install]\r\nSMSPROVISIONINGMODE=1\r\nA=1\r\n".encode("utf-16-le")

    assert tcf.read(data).encoding == "UTF-16 LE"
    assert tcf.disarm(data) == "[Client Install]\r\nA=1\r\n".encode("utf-16-le")


def test_output_of_type_is_not_called_ansi() -> None:
    assert tcf.read_type_output(b"SMSPROVISIONINGMODE=1\r\n").encoding == "as shown by type"
    assert tcf.read_type_output(b"SMSPROVISIONINGMODE=1\r\n").armed
