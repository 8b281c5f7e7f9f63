"""A table of PCs, as spreadsheets and directories export it: every mistake by line, no password ever repeated."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.connector.sources.table import Table, read_table


def read(text: str, encoding: str = "utf-8") -> Table:
    return read_table(text.encode(encoding))


def said(table: Table) -> list[tuple[int | None, str]]:
    return [(mistake.line, mistake.what) for mistake in table.mistakes]


def rows(table: Table) -> list[tuple[int, str, dict[str, Any], tuple[str, ...]]]:
    return [(row.line, row.name, row.values, row.groups) for row in table.rows]


def test_a_plain_table_is_read() -> None:
    table = read("name,address,groups,winrm_port\nPC-1,10.0.0.1,office,5986\n\nPC-2,,,\n")

    assert said(table) == []
    assert rows(table) == [
        (2, "PC-1", {"winrm_address": "10.0.0.1", "winrm_port": 5986}, ("office",)),
        (4, "PC-2", {}, ()),
    ]
    assert table.keys == {"winrm_address", "winrm_port"}


@pytest.mark.parametrize("separator", [";", ",", "\t", "|", "^", ":", "~", "!"])
def test_what_stands_between_cells_is_found_in_the_heading(separator: str) -> None:
    table = read(f"Name{separator}IP Address{separator}Groups\r\nPC-1{separator}10.0.0.1{separator}a\r\n")

    assert said(table) == []
    assert rows(table) == [(2, "PC-1", {"winrm_address": "10.0.0.1"}, ("a",))]


def test_excels_first_line_says_what_stands_between_cells() -> None:
    table = read("sep=;\r\nname;groups\r\nPC-1;a,b\r\n")

    assert rows(table) == [(3, "PC-1", {}, ("a", "b"))]
    assert said(read("sep=\nname;groups\n")) == [(1, "says sep= without what stands between cells")]


def test_excels_unicode_text_is_read() -> None:
    table = read('name\tgroups\r\nBÜRO-1\t"a;b"\r\n', "utf-16")

    assert rows(table) == [(2, "BÜRO-1", {}, ("a", "b"))]


def test_powershells_first_line_counts_for_nothing() -> None:
    table = read(
        '#TYPE Selected.Microsoft.ActiveDirectory.Management.ADComputer\r\n"Name","DNSHostName"\r\n"PC-1","a.b"'
    )

    assert rows(table) == [(3, "PC-1", {"winrm_address": "a.b"}, ())]


def test_quoted_cells_hold_separators_quotes_and_in_remarks_line_breaks() -> None:
    table = read('name;"groups";"#note"\nPC-1;"a;b";"said ""no"",\nthen yes"\nPC-2;"c";\n')

    assert said(table) == []
    assert rows(table) == [(2, "PC-1", {}, ("a", "b")), (4, "PC-2", {}, ("c",))]


def test_rows_that_are_commented_out_are_left_out_with_their_line() -> None:
    table = read("name\n#PC-1\n# PC-2\nPC-3\n")

    assert table.left_out == [(2, "PC-1"), (3, "PC-2")]
    assert [row.name for row in table.rows] == ["PC-3"]


def test_missing_cells_at_the_end_are_empty_and_so_are_more_of_them() -> None:
    assert rows(read("name;address;groups\nPC-1\nPC-2;;;;;\n")) == [(2, "PC-1", {}, ()), (3, "PC-2", {}, ())]


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("", [(None, "is empty")]),
        ("\n\n", [(None, "is empty")]),
        ("PC-1;10.0.0.1;hunter2\nPC-2;;\n", [(1, "is no heading")]),
        ("address\n10.0.0.1\n", [(1, "has no column for the names of the PCs")]),
        (
            "name;port;location\nPC-1;x;Berlin\n",
            [(1, "has a column 'port', which is not known"), (1, "has a column 'location', which is not known")],
        ),
        ("name;host\nPC-1;PC-1\n", [(1, "has 2 columns for one thing: name, host")]),
        ("name;groups\nPC-1;a;b\n", [(2, "has 3 cells, and the heading 2")]),
        ("name;;groups\nPC-1;x;a\n", [(2, "has something in column 2, which has no heading")]),
        ("name;groups\n;a\n", [(2, "has no name")]),
        ('name;groups\nPC-1;"a"b\nPC-2;a\n', [(2, "has a quote in the wrong place")]),
        ('name;groups\nPC-1;"a\nPC-2;b\n', [(2, "opens a quote that is not closed up to line 3")]),
        ('name;groups\nPC-1;"a\nPC-2;b"\n', [(2, "has a cell with a line break")]),
        ("name;winrm_port\nPC-1;x\nPC-2;5985\n", [(2, "winrm_port is 'x', no whole number")]),
        (
            "name;winrm_port;winrm_validate\nPC-1;x;z\n",
            [(2, "winrm_port is 'x', no whole number"), (2, "winrm_validate is 'z', neither true nor false")],
        ),
    ],
)  # fmt: skip
def test_every_mistake_is_said_by_line(text: str, mistakes: list[tuple[int | None, str]]) -> None:
    table = read(text)

    assert said(table) == mistakes
    assert "hunter2" not in str(table.mistakes)


def test_rows_are_checked_although_a_column_is_not_known() -> None:
    table = read("name;location;winrm_port\nPC-1;Berlin;x\nPC-2;Berlin;5985\n")

    assert [line for line, _ in said(table)] == [1, 2]
    assert [row.name for row in table.rows] == ["PC-1", "PC-2"]


@pytest.mark.parametrize("heading", ["winrm_password", "Kennwort", "#passwords", "пароль"])
def test_a_column_of_passwords_is_refused_and_none_of_its_cells_is_read(heading: str) -> None:
    table = read(f"name;{heading};winrm_port\nPC-1;hunter2;x\nPC-2;hunter3;hunter4\n")

    assert [line for line, _ in said(table)] == [1]
    assert "which holds passwords" in table.mistakes[0].what
    for way in ("$PROVMODE_PASSWORD", "winrm_password_file", "winrm_password_keyring"):
        assert way in table.mistakes[0].cure
    assert table.rows == []
    assert "hunter" not in str(table)


NAMES = st.from_regex(r"[A-Z]{2}-[0-9]{1,4}(\.example\.com)?|[ÄÖÜ][a-z]{1,9}", fullmatch=True)
GROUPS = st.lists(st.from_regex(r"[a-zä]{1,6}( [a-z]{1,4})?", fullmatch=True), max_size=3, unique=True)


@given(
    st.lists(st.tuples(NAMES, st.sampled_from(["", "10.0.0.1", "2001:db8::1"]), GROUPS), min_size=1, max_size=8),
    st.sampled_from([";", ",", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_what_was_exported_is_read(
    written: list[tuple[str, str, list[str]]], separator: str, quoting: Any, encoding: str, end: str, says: bool
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerow(["Name", "IP address", "Groups"])
    writer.writerows([name, address, ",".join(groups)] for name, address, groups in written)

    table = read((f"sep={separator}{end}" if says else "") + out.getvalue(), encoding)

    assert said(table) == []
    assert rows(table) == [
        (
            number,
            name,
            {"winrm_address": address} if address else {},
            tuple(group for group in groups if group != "all"),
        )
        for number, (name, address, groups) in enumerate(written, 3 if says else 2)
    ]


CELLS = st.text(alphabet='ab1;,"\t\n#=', max_size=8)


@given(
    st.binary(max_size=200)
    | st.lists(CELLS, max_size=20).map(lambda cells: ("name;groups\n" + "".join(cells)).encode())
)
def test_any_bytes_are_rows_or_mistakes(data: bytes) -> None:
    table = read_table(data)

    lines = data.count(b"\n") + data.count(b"\r") + 1
    assert all(0 < row.line <= lines and row.name for row in table.rows)
    assert all(mistake.line is None or 0 < mistake.line <= lines for mistake in table.mistakes)


@given(st.text(alphabet="abcXYZ0189!$%&", min_size=12, max_size=12), st.sampled_from(["password", "Passwort", "pw"]))
def test_no_secret_is_ever_repeated(secret: str, heading: str) -> None:
    for text in (f"name;{heading}\nPC-1;{secret}\n", f"PC-1;x;{secret}\n", f"{heading};name\n{secret};PC-1;x\n"):
        assert secret not in str(read(text))
