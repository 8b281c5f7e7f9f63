"""WQL of the modelled WMI: comparison, LIKE, quotes, and the faults of invalid queries."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provmode.lab.machine import CimError, Instance
from provmode.lab.windows import configmgr, wql
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
INVALID_NAMESPACE, INVALID_CLASS, INVALID_QUERY = 0x8004100E, 0x80041010, 0x80041017
SERVICE = "SELECT Name FROM Win32_Service WHERE "


@pytest.fixture(scope="module")
def pc() -> PC:
    machine = PC("PC-1", Clock(START, lambda: 0.0))
    machine.start_recording()
    return machine


def names(pc: PC, where: str, class_name: str = "Win32_Service") -> list[str]:
    found = pc.query("root/cimv2", f"SELECT Name FROM {class_name} WHERE {where}")
    return [row["Name"] for row in found if not isinstance(row, Instance)]


def refused(pc: PC, text: str, namespace: str = "root/cimv2") -> int:
    with pytest.raises(CimError) as raised:
        pc.query(namespace, text)
    assert raised.value.operation == "ExecQuery"
    return raised.value.status


# -- shapes -----------------------------------------------------------------------------------------------------


def test_a_star_finds_whole_objects_and_columns_find_rows(pc: PC) -> None:
    (found,) = pc.query("root/cimv2", "SELECT * FROM Win32_Service WHERE Name='WinRM'")
    assert isinstance(found, Instance)
    assert (found.class_name, found.namespace, found.keys) == ("Win32_Service", "root/cimv2", ("Name",))
    assert found.properties["State"] == "Running"
    (row,) = pc.query("root/cimv2", "SELECT state , NAME FROM Win32_Service WHERE Name='WinRM'")
    assert row == {"State": "Running", "Name": "WinRM"}
    assert list(row) == ["State", "Name"], "in the order of the query, spelled as in the class"


def test_an_object_of_a_derived_class_has_its_own_class_name(pc: PC) -> None:
    (found,) = pc.query("root/cimv2", "SELECT * FROM Win32_Service WHERE Name='TermService'")
    assert isinstance(found, Instance)
    assert found.class_name == "Win32_TerminalService"


def test_without_where_everything_is_found(pc: PC) -> None:
    assert len(pc.query("root/cimv2", "SELECT * FROM Win32_Service")) == len(list(pc.services))


def test_words_classes_and_namespaces_compare_without_regard_to_case(pc: PC) -> None:
    found = pc.query("\\ROOT\\CIMV2\\", "\r\n select\tNAME\nfrom WIN32_SERVICE wHeRe nAmE = 'WINRM'\t")
    assert found == [{"Name": "WinRM"}]


def test_nothing_found_is_an_empty_answer(pc: PC) -> None:
    assert names(pc, "Name='nobody'") == []


# -- comparison -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("Name='BITS'", ["BITS"]),
        ("'bits'=Name", ["BITS"]),
        ("Name='BITS' OR Name=\"wuauserv\"", ["BITS", "wuauserv"]),
        ("State<>'Running'", ["BITS", "wuauserv"]),
        ("State!='Running' AND Name<>'BITS'", ["wuauserv"]),
        ("NOT State='Running'", ["BITS", "wuauserv"]),
        ("NOT (Started = TRUE OR Name='BITS')", ["wuauserv"]),
        ("Started=FALSE", ["BITS", "wuauserv"]),
        ("Started=0", ["BITS", "wuauserv"]),
        ("Started='false'", ["BITS", "wuauserv"]),
        ("ProcessId=0", ["BITS", "wuauserv"]),
        ("ProcessId<'1'", ["BITS", "wuauserv"]),
        ("1200 > ProcessId", ["BITS", "wuauserv"]),
        ("ProcessId <= 0.5", ["BITS", "wuauserv"]),
        ("ProcessId < +1 AND ProcessId > -1", ["BITS", "wuauserv"]),
        ("Name < 'bits ' AND Name >= 'BITS'", ["BITS"]),
        ("InstallDate IS NULL AND State='Stopped'", ["BITS", "wuauserv"]),
        ("InstallDate = NULL AND State='Stopped'", ["BITS", "wuauserv"]),
        ("InstallDate IS NOT NULL", []),
        ("InstallDate <> NULL", []),
        ("InstallDate <> 'x'", []),  # a comparison with null is false
        ("NOT InstallDate = 'x' AND Name='BITS'", ["BITS"]),
        ("ProcessId='none'", []),
        ("Started < 'none'", []),
        ("Started <> 'none'", []),
    ],
)
def test_a_comparison_finds_the_matching_rows(pc: PC, where: str, expected: list[str]) -> None:
    assert names(pc, where) == expected


def test_and_binds_closer_than_or(pc: PC) -> None:
    assert names(pc, "Name='BITS' OR Name='WinRM' AND State='Stopped'") == ["BITS"]
    assert names(pc, "(Name='BITS' OR Name='WinRM') AND State='Running'") == ["WinRM"]
    assert names(pc, "State='Stopped' AND Name='nobody' OR Name='WinRM'") == ["WinRM"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("LastBootUpTime = '20260227080000.000000+000'", True),
        ("LastBootUpTime = '20260227090000.000000+060'", True),
        ("LastBootUpTime < '20260227080001.000000+000'", True),
        ("LastBootUpTime < '20260227080000.000000+060'", False),
        ("LastBootUpTime >= '20260227080001.000000+000'", False),
        ("LastBootUpTime = 'yesterday'", False),
        ("LastBootUpTime > 1", False),
    ],
)
def test_a_time_compares_with_dmtf_text_of_any_zone(pc: PC, where: str, found: bool) -> None:
    assert bool(pc.query("root/cimv2", f"SELECT Version FROM Win32_OperatingSystem WHERE {where}")) is found


# -- LIKE -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("bits", ["BITS"]),
        ("win%", ["Winmgmt", "WinRM"]),
        ("%server", ["LanmanServer"]),
        ("%work%", ["LanmanWorkstation"]),
        ("B_TS", ["BITS"]),
        ("B_S", []),
        ("%[st]", ["BITS", "RpcSs", "Winmgmt"]),
        ("%[x-z=]%", ["CryptSvc"]),
        ("%n%ser%", ["LanmanServer"]),
        ("win[m-r]%", ["Winmgmt", "WinRM"]),
        ("win[l=n]%", ["Winmgmt"]),
        ("win[^m]%", ["WinRM"]),
        ("w[0-9]%", ["W32Time"]),
        ("[a||b]its", ["BITS"]),
        ("[[b]its", ["BITS"]),
        ("", []),
        ("[bits", []),
        ("B.*S", []),
    ],
)
def test_like_finds_the_matching_rows(pc: PC, pattern: str, expected: list[str]) -> None:
    assert sorted(names(pc, f"Name LIKE '{pattern}'"), key=str.lower) == sorted(expected, key=str.lower)


def test_not_like_finds_the_others(pc: PC) -> None:
    everything = {service.name for service in pc.services}
    assert set(names(pc, "NOT Name LIKE 'w%'")) == {name for name in everything if name[0] not in "wW"}
    assert set(names(pc, "Name NOT LIKE 'w%'")) == {name for name in everything if name[0] not in "wW"}


def test_a_pattern_full_of_wildcards_is_matched_in_bounded_time(pc: PC) -> None:
    assert names(pc, "DisplayName LIKE '" + "%" * 60 + "\\u0001'") == []
    assert names(pc, "DisplayName LIKE '" + "%_" * 60 + "~'") == []
    assert names(pc, "DisplayName LIKE '" + "%" * 60 + "'") == [service.name for service in pc.services]


PLAIN = st.text(st.characters(exclude_characters="%_[]\\'\"", categories=("L", "N", "P", "Zs")), max_size=8)


@given(st.lists(PLAIN, min_size=1, max_size=4), PLAIN)
def test_like_finds_what_the_percent_signs_stand_for(pieces: list[str], filling: str) -> None:
    query = wql.parse("SELECT * FROM c WHERE p LIKE '" + "%".join(pieces) + "'")
    assert query.where({"p": filling.join(pieces)})
    assert not query.where({"p": None})
    if pieces[-1]:
        assert not query.where({"p": filling.join(pieces) + "\0"})


@given(st.text(max_size=12))
def test_like_takes_any_text_literally_once_it_is_escaped(text: str) -> None:
    escaped = "".join(f"[{sign}]" if sign in "%_[" else sign for sign in text)
    quoted = escaped.replace("\\", "\\\\").replace("'", "\\'")
    query = wql.parse(f"SELECT * FROM c WHERE p LIKE '{quoted}'")
    assert query.where({"p": text})
    assert not query.where({"p": text + "x"})


# -- quotes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "literal",
    [r"'c:\\windows\\win.ini'", r'"c:\\windows\\win.ini"', r'"C:\\Windows\\Win.INI"'],
)
def test_a_backslash_is_written_twice(pc: PC, literal: str) -> None:
    assert names(pc, f"Name={literal}", "CIM_DataFile") == ["c:\\windows\\win.ini"]


@given(st.text(max_size=20), st.sampled_from("'\""))
def test_any_text_can_be_quoted(text: str, quote: str) -> None:
    literal = quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
    query = wql.parse(f"SELECT * FROM c WHERE p = {literal}")
    assert query.where({"p": text})
    assert query.mentioned == ("p",)
    assert not query.where({"p": text + "x"})


# -- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT",
        "SELECT * FROM",
        "SELECT FROM Win32_Service",
        "SELECT Name Name FROM Win32_Service",
        "SELECT *, Name FROM Win32_Service",
        "SELECT Name, FROM Win32_Service",
        "SELECT * FROM Win32_Service WHERE",
        "SELECT * FROM Win32_Service Name='x'",
        SERVICE + "Name",
        SERVICE + "Name=",
        SERVICE + "Name=BITS",
        SERVICE + "Name='BITS",
        SERVICE + "Name='BITS' OR",
        SERVICE + "Name='BITS' State='x'",
        SERVICE + "(Name='BITS'",
        SERVICE + "Name='BITS')",
        SERVICE + "Name='O'Neill'",
        SERVICE + "Name LIKE 5",
        SERVICE + "Name LIKE '[z-a]'",
        SERVICE + "Name LIKE '[^]'",
        SERVICE + "Name IS 5",
        SERVICE + "Name ~ 'x'",
        SERVICE + "ProcessId=12abc",
        SERVICE + "Nobody='x'",
        "SELECT Nobody FROM Win32_Service",
        "DELETE FROM Win32_Service",
        "SELECT * FROM Win32_Service; SELECT * FROM Win32_Process",
        SERVICE + "ProcessId=" + "9" * 5000,
        SERVICE + "(" * 500 + "Name='x'" + ")" * 500,
        SERVICE + "NOT " * 3000 + "Name='x'",
    ],
)
def test_invalid_wql_is_an_invalid_query(pc: PC, text: str) -> None:
    assert refused(pc, text) == INVALID_QUERY


def test_an_unknown_class_is_an_invalid_class(pc: PC) -> None:
    assert refused(pc, "SELECT * FROM Win32_Services") == INVALID_CLASS
    assert refused(pc, "SELECT * FROM Win32_Service", "root/default") == INVALID_CLASS


def test_an_unknown_namespace_is_an_invalid_namespace(pc: PC) -> None:
    assert refused(pc, "SELECT * FROM Win32_Service", "root/cimv3") == INVALID_NAMESPACE
    assert refused(pc, "SELECT * FROM SMS_Client", "root/ccm") == INVALID_NAMESPACE, "this PC has no client"


def test_an_invalid_query_is_invalid_in_any_namespace(pc: PC) -> None:
    assert refused(pc, "SELECT", "root/cimv3") == INVALID_QUERY


def test_a_long_chain_of_conditions_is_answered(pc: PC) -> None:
    chain = " OR ".join(f"Name='n{number}'" for number in range(2000))
    assert names(pc, chain + " OR Name='BITS'") == ["BITS"]


WORDS = st.sampled_from(
    [
        *("SELECT", "*", "FROM", "WHERE", "Win32_Service", "Name", "State", "Started", "ProcessId", "InstallDate"),
        *("=", "<>", "<", ">=", "AND", "OR", "NOT", "LIKE", "IS", "NULL", "TRUE", "(", ")", ",", "5", "1.5", "-7"),
        *("'BITS'", '"%s"', "'[a-c]%'", "'[^'", "'[a--b]'", "'\\\\'", "''", "\\", "'"),
        *("Win32_OperatingSystem", "LocalDateTime", "MUILanguages", "Debug"),
    ]
)


def outcome(pc: PC, text: str) -> int:
    """Return the number of results, or the status of the fault."""
    try:
        return len(pc.query("root/cimv2", text))
    except CimError as error:
        return error.status


@given(st.one_of(st.text(), st.lists(WORDS, max_size=14).map(" ".join)))
@example("SELECT * FROM Win32_Service WHERE Started < 'x'")
@example("SELECT * FROM Win32_Service WHERE Name LIKE '[a||b]'")
def test_any_text_ends_in_an_answer_or_a_fault(pc: PC, text: str) -> None:
    assert outcome(pc, text) in {*range(50), INVALID_QUERY, INVALID_CLASS}


@given(st.lists(WORDS, min_size=1, max_size=7).map(" ".join))
@example("Debug > 'x'")
@example("LocalDateTime < '99999999999999.000000+000'")
def test_any_condition_ends_in_an_answer_or_an_invalid_query(pc: PC, condition: str) -> None:
    assert outcome(pc, f"SELECT * FROM Win32_OperatingSystem WHERE {condition}") in {0, 1, INVALID_QUERY}


def test_a_query_changes_nothing(pc: PC) -> None:
    other = PC("PC-2", Clock(START, lambda: 0.0))
    configmgr.install(other, "5.00.9128.1007")
    other.start_recording()
    other.query("root/ccm/softmgmtagent", "SELECT * FROM CCM_TSExecutionRequest")
    assert other.mutations == []
