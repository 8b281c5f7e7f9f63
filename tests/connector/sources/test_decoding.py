"""Whatever program wrote a text file, its lines are the same; what cannot be told is refused by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.connector.sources.decoding import LONGEST_LINE, MOST_BYTES, decode

TEXT = "name;address\r\nBÜRO-1;10.0.0.1\r\nPC-2;\r\n"
LINES = ("name;address", "BÜRO-1;10.0.0.1", "PC-2;")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_lines_are_the_same_in_every_encoding_and_with_every_end(encoding: str, end: str) -> None:
    found = decode(TEXT.replace("\r\n", end).encode(encoding))

    assert (found.lines, found.notes, found.mistakes) == (LINES, (), ())


def test_big_endian_marks_are_heard() -> None:
    assert decode(b"\xfe\xff" + TEXT.encode("utf-16-be")).lines == LINES
    assert decode(b"\x00\x00\xfe\xff" + TEXT.encode("utf-32-be")).lines == LINES


def test_windows_own_code_page_is_read_and_said_with_its_line() -> None:
    found = decode(TEXT.encode("cp1252"))

    assert found.lines == LINES
    assert found.notes == ("line 2 is not UTF-8, so the file was read as Windows-1252; save it as UTF-8 to be sure",)


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b"PC-1\nPC-\x81\n", 2, "cannot be read as UTF-8 or Windows-1252"),  # an umlaut of the console's code page
        (b"\xef\xbb\xbfPC-1\nPC-\xff\n", 2, "cannot be read as UTF-8"),
        (b"\xff\xfeP\x00C", 1, "cannot be read as UTF-16"),
        (b"PC-1\nP\x00C-2\n" + b"PC-3\n" * 9, 2, "has a NUL character"),
        (b"PC-1\n" + b"x" * (LONGEST_LINE + 1), 2, "has 10,001 characters, and no line may have over 10,000"),
        (b"PK\x03\x04rest", None, "is an Excel workbook"),
        (b"\xd0\xcf\x11\xe0rest", None, "is an Excel workbook"),
        (b"%PDF-1.7", None, "is a PDF"),
        (b"\x1f\x8b\x08", None, "is compressed"),
        (b"x" * (MOST_BYTES + 1), None, "is larger than 32 MiB"),
    ],
)
def test_what_is_no_text_is_refused_by_line(data: bytes, line: int | None, says: str) -> None:
    found = decode(data)

    assert found.lines == ()
    assert [mistake.line for mistake in found.mistakes] == [line]
    assert says in found.mistakes[0].what


def test_only_ends_of_lines_end_a_line() -> None:
    assert decode("a\x0bb\x0cc\x1cd\x85e\u2028f\n".encode()).lines == ("a\x0bb\x0cc\x1cd\x85e\u2028f",)


def test_the_end_of_a_file_of_dos_is_no_line() -> None:
    assert decode(b"PC-1\r\n\x1a").lines == ("PC-1",)


@given(st.binary(max_size=300))
def test_any_bytes_are_lines_or_mistakes(data: bytes) -> None:
    found = decode(data)

    assert not (found.lines and found.mistakes)
    assert not any(character in line for line in found.lines for character in "\r\n\0")
