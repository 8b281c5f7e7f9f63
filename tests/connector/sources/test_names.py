"""A list of names: one a line, with remarks and blanks; what is no name is said by line and never repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.connector.sources.names import read_names

NAMES = st.from_regex(r"[A-Z]{2}-[0-9]{1,4}(\.example\.com)?|[ÄÖÜ][a-z]{1,9}", fullmatch=True)
BESIDE = st.sampled_from(["", " ", "\t", "  # office", "#", " # PC-9999, not this one"])


def test_blanks_remarks_marks_and_a_connector_are_no_part_of_a_name() -> None:
    found = read_names("\ufeff# the office\r\n\r\n PC-1 \r\nPC-2\t# new\r\n\ufeff@winrm/PC-3".encode())

    assert found.names == ((3, "PC-1"), (4, "PC-2"), (5, "PC-3"))
    assert found.mistakes == ()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("PC-1 hunter2", "has more than one name"),
        ("PC-1;hunter2", "has more than one name"),
        ("PC-1,PC-2", "has more than one name"),
        ("PC-1\thunter2", "has more than one name"),
        ("@ssh/PC-1", "has a connector in place of a name"),
        ("@winrm/", "has a connector in place of a name"),
        ("----", "has no letter and no digit"),
    ],
)
def test_a_line_that_is_no_name_is_said_and_not_repeated(line: str, says: str) -> None:
    found = read_names(f"PC-0\n{line}\n".encode())

    assert found.names == ((1, "PC-0"),)
    assert [(mistake.line, mistake.what) for mistake in found.mistakes] == [(2, says)]
    assert "hunter2" not in str(found.mistakes)


def test_the_heading_of_a_table_is_no_pc() -> None:
    found = read_names(b"Name\n----\nPC-1\nhost\n")

    assert [(mistake.line, mistake.what) for mistake in found.mistakes] == [
        (1, "is the heading of a table, not the name of a PC"),
        (2, "has no letter and no digit"),
    ]
    assert found.names == ((3, "PC-1"), (4, "host")), "below the first line it is a name like any other"


@given(
    st.lists(st.tuples(NAMES, BESIDE), min_size=1, max_size=12),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_was_written_is_read_with_its_line(lines: list[tuple[str, str]], encoding: str, end: str) -> None:
    data = "".join(f"{name}{beside}{end}" for name, beside in lines).encode(encoding)

    found = read_names(data)

    assert found.mistakes == ()
    assert found.names == tuple(enumerate((name for name, _ in lines), 1))


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_names_or_mistakes(data: bytes) -> None:
    found = read_names(data)

    assert all(name and not set(name) & set(" \t,;|#\r\n\0") for _, name in found.names)
    assert all(mistake.what for mistake in found.mistakes)
