"""The connectors ``@csv`` and ``@list``: hosts with data and groups, and all mistakes of a file at once."""

from __future__ import annotations

import csv
import io
import os
import re
import time
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api.exceptions import PyinfraError

from provmode.connector import CsvConnector, ListConnector, WinRMConnector
from provmode.connector.sources import reading
from provmode.connector.sources.checking import mistakes_of
from provmode.connector.sources.connectors import SOURCES
from provmode.connector.sources.found import Found, FoundHost, SourceError
from provmode.connector.sources.headings import WORDS
from provmode.connector.sources.table import read_table
from provmode.errors import UsageError
from provmode.text import SENTENCE


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reading, "_read_once", {})


def hosts(found: Found) -> list[tuple[str, dict[str, Any], tuple[str, ...]]]:
    return [(host.name, dict(host.data), host.groups) for host in found.hosts]


def refusal(connector: Any, argument: str | None) -> list[str]:
    with pytest.raises(SourceError) as refused:
        connector.find(argument)
    assert isinstance(refused.value, UsageError)
    assert isinstance(refused.value, PyinfraError), "pyinfra prints it without a traceback"
    return refused.value.lines


def test_a_table_gives_hosts_with_data_and_groups(tmp_path: Path) -> None:
    (tmp_path / "pcs.csv").write_text("name;address;groups;winrm_port\nPC-1;10.0.0.1;office,pilot;\nPC-2;;;5986\n")

    found = CsvConnector.find("pcs.csv")

    assert hosts(found) == [
        ("PC-1", {"winrm_computer": "PC-1", "winrm_address": "10.0.0.1"}, ("pcs", "office", "pilot")),
        ("PC-2", {"winrm_port": 5986}, ("pcs",)),
    ]
    assert list(CsvConnector.make_names_data("pcs.csv"))[1] == ("@winrm/PC-2", {"winrm_port": 5986}, ["pcs"])
    assert found.again
    assert found.file == Path("pcs.csv")


def test_the_pc_that_is_meant_is_the_one_of_the_name_unless_the_row_says_another(tmp_path: Path) -> None:
    (tmp_path / "pcs.csv").write_text(
        "name;address;winrm_computer\nPC-1;10.0.0.1;\nKASSE-2;10.0.0.2;PC-2\n10.0.0.3;10.0.0.3;\nPC-4;;\n"
    )

    computers = [host.data.get("winrm_computer") for host in CsvConnector.find("pcs.csv").hosts]

    assert computers == ["PC-1", "PC-2", None, None]


def test_a_list_gives_names(tmp_path: Path) -> None:
    (tmp_path / "pcs.txt").write_bytes("\ufeffPC-1\r\n# off\r\nPC-2\r\n".encode())

    assert hosts(ListConnector.find("pcs.txt")) == [("PC-1", {}, ("pcs",)), ("PC-2", {}, ("pcs",))]


def test_all_mistakes_of_a_file_are_said_in_its_order_each_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "pcs.csv").write_bytes(
        "name;address;groups;port;winrm_port;winrm_scheme;winrm_password_env\n"
        "PC-1;;;;59x85;;\n"
        "PC-2;10.0.0.1/x;;;;;\n"
        "pc-1;;;;;;\n"
        "PC\u200b3;;;;;;\n"
        "PC-4;;a*b;;5986;http;\n"
        "PC-5;;;;99999;;hunter2!\n"
        "\u0420C-2;;;;;;\n".encode()
    )

    assert refusal(CsvConnector, "pcs.csv") == [
        "pcs.csv, line 1 has a column 'port', which is not known; did you mean winrm_port?",
        "pcs.csv, line 2: winrm_port is '59x85', no whole number",
        "pcs.csv, line 3: winrm_address is '10.0.0.1/x', not a host name: it has a /; "
        "winrm_path is the listener's path",
        "pcs.csv, line 4: pc-1 is on line 2 already; take one of the two lines out",
        "pcs.csv, line 5: the name is 'PC\\u200b3', with a character that cannot be seen (U+200B ZERO WIDTH SPACE); "
        "type it anew",
        "pcs.csv, line 6: winrm_port is 5986, the port of https, and winrm_scheme is http; "
        "set winrm_scheme https, or another port",
        "pcs.csv, line 6: the group 'a*b' has a *; --limit would take it for a pattern",
        "pcs.csv, line 7: winrm_port is 99999; use 5985 (http) or 5986 (https)",
        "pcs.csv, line 7: winrm_password_env is not the name of an environment variable; "
        "put the password into a variable, and the variable's name there",
        "pcs.csv, line 8: the host name '\\u0420C-2' has U+0420 CYRILLIC CAPITAL LETTER ER, which is of another script "
        "than the letters beside it; type the name anew",
    ]


def test_a_list_is_checked_in_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "pcs.txt").write_text("PC-1\nPC-2 x\nPC-1\n127.1\nPC-3.\nPC\x07\n")

    said = refusal(ListConnector, "pcs.txt")

    assert [re.sub(r"^pcs.txt, line (\d+).*", r"\1", line) for line in said] == ["2", "3", "4", "5", "6"]
    assert "PC-1 is on line 1 already" in said[1]
    assert "resolvers read as 127.0.0.1" in said[2]
    assert "U+0007" in said[4]


def test_of_very_many_mistakes_the_first_are_said_and_the_rest_counted(tmp_path: Path) -> None:
    (tmp_path / "pcs.txt").write_text("bad name\n" * 1000)

    said = refusal(ListConnector, "pcs.txt")

    assert len(said) == 51
    assert said[-1] == "and 950 more mistakes"


@pytest.mark.parametrize(("connector", "data"), [(CsvConnector, "name\n#PC-1\n"), (ListConnector, "# nobody\n\n")])
def test_a_file_without_names_is_refused(connector: Any, data: str, tmp_path: Path) -> None:
    (tmp_path / "pcs").write_text(data)

    assert refusal(connector, "pcs") == ["pcs names no PC; an empty run is never a success"]


def test_what_is_left_out_and_what_was_guessed_is_said(tmp_path: Path) -> None:
    (tmp_path / "pcs.csv").write_bytes("name\nBÜRO-1\n#PC-2\n".encode("cp1252"))

    found = CsvConnector.find("pcs.csv")

    assert [(item.what, item.why, item.place) for item in found.left_out] == [
        ("PC-2", "commented out", "pcs.csv, line 3")
    ]
    assert found.notes == (
        "pcs.csv: line 2 is not UTF-8, so the file was read as Windows-1252; save it as UTF-8 to be sure",
    )
    assert found.hosts[0].name == "BÜRO-1"


ANY = st.text(max_size=12) | st.from_regex(r"(xn--)?[a-z0-9.:%\[\]/\\_-]{1,12}", fullmatch=True)


@given(st.lists(st.tuples(ANY, ANY, ANY, ANY), max_size=5))
def test_any_cells_are_hosts_or_mistakes_with_a_line(rows: list[tuple[str, str, str, str]]) -> None:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(["name", "address", "groups", "winrm_user"])
    writer.writerows(rows)
    table = read_table(out.getvalue().encode("utf-8", "replace"))

    errors = list(mistakes_of(table.rows, "pcs.csv, line {}".format))

    assert all(str(error).startswith(f"pcs.csv, line {line}: ") for line, error in errors)
    assert all(len(str(error)) <= 2 * SENTENCE + 2 for _, error in errors)


# -- paths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["my pcs.csv", "pcs, of today.csv", "BÜRO.csv", "a'b\".csv", "-"])
def test_any_name_of_a_file_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("name\nPC-1\n")

    assert CsvConnector.find(f"./{name}").hosts[0].name == "PC-1"
    assert CsvConnector.find(str(tmp_path / name)).hosts[0].name == "PC-1"


def test_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pcs.txt").write_text("PC-1\n")

    assert ListConnector.find("~/pcs.txt").hosts[0].name == "PC-1"


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        (None, "@csv names no file; write @csv/FILE, or @csv/- for stdin"),
        ("gone.csv", "@csv: there is no file gone.csv; this is HERE; name a file from here, or by its whole path"),
        ("folder", "@csv/folder is a folder; name a file"),
        ("C:\\Users\\anna\\pcs.csv", "this is a path of Windows: copy the file to this computer"),
        ("C:/Users/anna/pcs.csv", "this is a path of Windows: copy the file to this computer"),
        ("\\\\server\\share\\pcs.csv", "this is a path of Windows: copy the file to this computer"),
        ("pcs", "a path is cut at its commas here: rename the file, or name it alone to provmode"),
        ("x" * 300, "cannot be read: File name too long"),
        ("folder/deeper/pcs.csv", "there is no file folder/deeper/pcs.csv"),
        ("pcs\0.csv", "cannot be read: this is no path"),
    ],
)
def test_a_path_that_leads_nowhere_says_how_to_write_it(argument: str | None, says: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "pcs, of today.csv").write_text("name\nPC-1\n")

    (said,) = refusal(CsvConnector, argument)

    assert says in said.replace(str(tmp_path), "HERE")


def test_a_file_that_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pcs.csv").write_text("name\nPC-1\n")

    def denied(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)

    assert refusal(CsvConnector, "pcs.csv") == ["@csv/pcs.csv cannot be read: Permission denied"]


def test_a_pipe_is_read_once_and_remembered(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"PC-1\nPC-2\n")
    os.close(write)

    found = [ListConnector.find(f"/dev/fd/{read}") for _ in range(2)]
    os.close(read)

    assert [[host.name for host in each.hosts] for each in found] == [["PC-1", "PC-2"]] * 2
    assert not found[0].again
    assert found[0].file is None
    assert found[0].hosts[0].groups == ()


def test_a_run_of_pyinfra_asks_a_source_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its command line loads an inventory twice. A program has no such run: what it asks for, it gets as it is now."""
    asked: list[str | None] = []

    def find(name: str | None) -> Found:
        asked.append(name)
        return Found("here", (FoundHost(f"PC-{len(asked)}"),))

    monkeypatch.setattr(ListConnector, "find", find)

    def loaded(name: str) -> list[str]:
        return [host for host, _, _ in ListConnector.make_names_data(name)]

    for expected in ("@winrm/PC-1", "@winrm/PC-3"):
        with click.Context(click.Command("pyinfra")):
            assert loaded("a") == loaded("a") == [expected]
            loaded("b")
    assert [loaded("a"), loaded("a")] == [["@winrm/PC-5"], ["@winrm/PC-6"]]
    assert asked == ["a", "b", "a", "b", "a", "a"]


def test_no_more_of_a_file_is_read_than_is_allowed(tmp_path: Path) -> None:
    with (tmp_path / "pcs.txt").open("wb") as file:
        file.truncate(1024 * 1024 * 1024)  # with nothing on the disk

    began = time.process_time()
    said = refusal(ListConnector, "pcs.txt")

    assert said == ["pcs.txt is larger than 32 MiB; is it the right file?"]
    assert time.process_time() - began < 5


# -- for pyinfra ----------------------------------------------------------------------------------------------------


def test_every_source_speaks_winrm_and_has_an_entry_point() -> None:
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8")
    entries = project.partition('entry-points."pyinfra.connectors"]\n')[2].partition("\n\n")[0]

    assert dict(re.findall(r'^(\w+) = "(.*)"$', entries, re.MULTILINE)) == {
        "winrm": "provmode.connector:WinRMConnector",
        **{kind: f"provmode.connector:{source.__name__}" for kind, source in SOURCES.items()},
    }
    assert all(issubclass(source, WinRMConnector) and source.handles_execution for source in SOURCES.values())


def test_pyinfra_is_told_what_was_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("provmode.connector.sources.connectors.logger.warning", told.append)
    (tmp_path / "pcs.txt").write_bytes("BÜRO-1\n".encode("cp1252"))

    assert [name for name, _, _ in ListConnector.make_names_data("pcs.txt")] == ["@winrm/BÜRO-1"]
    assert len(told) == 1


def test_each_call_gives_data_of_its_own(tmp_path: Path) -> None:
    """Pyinfra changes what a connector yields."""
    (tmp_path / "pcs.csv").write_text("name;address\nPC-1;10.0.0.1\n")
    found = CsvConnector.find("pcs.csv")

    next(found.expanded())[1]["winrm_password"] = "hunter2"

    assert "winrm_password" not in next(found.expanded())[1]


# -- size -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["list", "csv"])
def test_a_hundred_thousand_lines_take_a_second_or_so(kind: str, tmp_path: Path) -> None:
    out = io.StringIO()
    out.write("name;address;groups;winrm_port\n" if kind == "csv" else "")
    for number in range(100_000):
        rest = f";10.{number >> 16}.{number >> 8 & 255}.{number & 255};office,floor{number % 40};5985"
        out.write(f"pc-{number:06}.example.com{rest if kind == 'csv' else ''}\n")
    (tmp_path / "pcs").write_text(out.getvalue())

    began = time.process_time()
    found = SOURCES[kind].find("pcs")

    assert len(found.hosts) == 100_000
    assert time.process_time() - began < (8 if kind == "csv" else 4), "many times what it takes on a quiet machine"


def test_standard_input_that_cannot_be_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: Any, **__: Any) -> Any:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(reading, "open", closed, raising=False)

    assert refusal(ListConnector, "-") == ["@list/- cannot be read: Bad file descriptor; name a file"]


# -- the guide ------------------------------------------------------------------------------------------------------

GUIDE = (Path(__file__).parents[3] / "docs" / "inventories.md").read_text("utf-8")


def test_the_examples_of_the_guide_are_read(tmp_path: Path) -> None:
    blocks = re.findall(r"^```text\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    (tmp_path / "pcs.txt").write_text(next(block for block in blocks if block.startswith("# pcs.txt")))
    (tmp_path / "pcs.csv").write_text(next(block for block in blocks if block.startswith("name;")))

    names, table = ListConnector.find("pcs.txt"), CsvConnector.find("pcs.csv")

    assert [host.name for host in names.hosts] == ["pc-0001.example.com", "pc-0002.example.com"]
    assert [(host.name, host.groups) for host in table.hosts] == [
        ("pc-0001", ("pcs", "office", "pilot")),
        ("pc-0002", ("pcs", "office")),
    ]
    assert [item.what for item in table.left_out] == ["pc-0003"]


def test_every_word_for_a_column_is_in_the_guide() -> None:
    listed = {
        column: set(re.findall(r"`(\w+)`", words))
        for column, words in re.findall(r"^\| `(\w+)` \| (.*?) \|", GUIDE, re.M)
    }

    for column, words in WORDS.items():
        assert listed[words[0]] == {*words[1:], *({column} if column.startswith("winrm_") else ())}
