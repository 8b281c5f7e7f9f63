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


PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b'"',
        b"=",
        b"1",
        b"Install=",
        b"SMSPROVISIONINGMODE=1",
        b"SMSPROVISIONINGMODE",
    ]
) | st.binary(max_size=4)
MARKS = st.sampled_from([mark for mark, _ in ENCODINGS.values()])


@given(MARKS, st.lists(PIECES | PIECES.map(lambda piece: piece.decode("latin-1").encode("utf-16-le")), max_size=12))
def test_any_bytes_are_read_and_disarmed_and_a_second_disarm_changes_nothing(mark: bytes, pieces: list[bytes]) -> None:
    data = mark + b"".join(pieces)

    disarmed = tcf.disarm(data)

    assert not tcf.read(disarmed).armed
    assert (disarmed is data) is not tcf.read(data).armed
    assert tcf.disarm(disarmed) is disarmed


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
    read = tcf.read(b"[A]\r\n smsProvisioningMode = 1\t\r\nX=1\nInstall=X=1 SMSPROVISIONINGMODE=1\r\n")

    assert read == tcf.Tcf(
        "ANSI",
        (
            tcf.Entry(2, "line", "smsProvisioningMode = 1"),
            tcf.Entry(4, "token", "Install=X=1 SMSPROVISIONINGMODE=1"),
        ),
    )
    assert read.armed


def test_an_install_line_with_several_entries_is_one_entry_and_loses_all_of_them() -> None:
    line = b'Install=SMSPROVISIONINGMODE=1 A=1\tSMSPROVISIONINGMODE=1 smsprovisioningmode="1"'

    assert [entry.line for entry in tcf.read(line).entries] == [1]
    assert tcf.disarm(line) == b"Install=A=1"


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


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"", "ANSI"),
        (b"a\0", "ANSI"),
        (b"a\0b", "ANSI"),
        (b"a\0b\0", "UTF-16 LE"),
        (b"a\0b\0c.d.", "ANSI"),  # half of the second bytes are zero
        (b"a\0b\0c\0d.", "UTF-16 LE"),
        (b"\0a\0b\0c\0d", "ANSI"),
        (b"\xff\xfe", "UTF-16 LE"),
        (b"\xfe\xff", "UTF-16 BE"),
        (b"\xef\xbb\xbf", "UTF-8"),
        (b"\xef\xbb", "ANSI"),
    ],
)
def test_an_encoding_is_told_by_its_mark_or_by_the_zeros_of_utf_16(data: bytes, encoding: str) -> None:
    assert tcf.read(data).encoding == encoding


@pytest.mark.parametrize(
    ("mark", "codec", "lone"),
    [
        *((mark, "utf-16-le", lone) for mark in (b"", b"\xff\xfe") for lone in (b"\x00\xd8A\x00", b"\x01\xdc")),
        *((b"\xfe\xff", "utf-16-be", lone) for lone in (b"\xd8\x00\x00A", b"\xdc\x01")),
    ],
)
@pytest.mark.parametrize("half", [b"", b"S", b"\n"])
def test_utf_16_with_lone_surrogates_or_half_a_character_at_its_end_keeps_every_byte(
    mark: bytes, codec: str, lone: bytes, half: bytes
) -> None:
    before, entry, after = ("\N{EURO SIGN}A=1\r\n", "SMSPROVISIONINGMODE=1\r\n", "B=2\r\n")
    kept = mark + before.encode(codec) + lone + "\r\n".encode(codec)

    assert tcf.disarm(kept + entry.encode(codec) + after.encode(codec) + half) == kept + after.encode(codec) + half


def test_output_of_type_is_not_called_ansi() -> None:
    entry = "SMSPROVISIONINGMODE=1\r\n"
    entries = (tcf.Entry(1, "line", "SMSPROVISIONINGMODE=1"),)

    assert tcf.read_type_output(entry.encode()) == tcf.Tcf("as shown by type", entries)
    assert tcf.read_type_output(b"\xef\xbb\xbf" + entry.encode()) == tcf.Tcf("UTF-8", entries)
    assert tcf.read_type_output(entry.encode("utf-16-le")) == tcf.Tcf("UTF-16 LE", entries)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"M\xfcller \x80\x81", "M\u00fcller \u20ac\ufffd"),
        (b"\xef\xbb\xbfM\xc3\xbcller\xff", "M\u00fcller\ufffd"),
        (b"\xff\xfeA\0\xac\x20\x00\xd8B\0", "A\u20ac\ufffdB"),
        (b"\xfe\xff\0A\x20\xac\xd8\x00\0B", "A\u20ac\ufffdB"),
        (b"A\0B\0C\0", "ABC"),
        (b"\xff\xfe\x3d\xd8\x00\xde", "\U0001f600"),
    ],
)
def test_a_file_is_shown_as_text_with_a_mark_for_what_is_none(data: bytes, text: str) -> None:
    assert tcf.text_of(data) == text
