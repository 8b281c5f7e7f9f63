"""Which hosts names, groups, patterns, lists and files mean; case does not count, and a slip is never silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from provmode.errors import UsageError
from provmode.fleet.selection import choose, expand

NAMES = ["@winrm/PC-1", "@winrm/PC-2", "@winrm/LAPTOP-3", "@winrm/pc-1.example.org", "@winrm/ÄRZTE"]
GROUPS = {"@winrm/PC-1": ["Office"], "@winrm/LAPTOP-3": ["Office", "Pilot"], "@winrm/PC-2": []}


def chosen(*limit: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [name.removeprefix("@winrm/") for name in choose(NAMES, GROUPS, limit, exclude).names]


@pytest.mark.parametrize(
    ("limit", "found"),
    [
        ((), ["PC-1", "PC-2", "LAPTOP-3", "pc-1.example.org", "ÄRZTE"]),
        (("PC-1",), ["PC-1"]),
        (("pc-1",), ["PC-1"]),
        (("@winrm/pc-1",), ["PC-1"]),
        (("ärzte",), ["ÄRZTE"]),
        (("LAPTOP-3", "PC-1"), ["PC-1", "LAPTOP-3"]),
        (("laptop-3,PC-1",), ["PC-1", "LAPTOP-3"]),
        ((" PC-2 , @winrm/PC-1",), ["PC-1", "PC-2"]),
        (("office",), ["PC-1", "LAPTOP-3"]),
        (("PC-*",), ["PC-1", "PC-2", "pc-1.example.org"]),
        (("pc-?",), ["PC-1", "PC-2"]),
        (("*[23]",), ["PC-2", "LAPTOP-3"]),
        (("@WINRM/PC-?",), ["PC-1", "PC-2"]),
        (("PC-1*",), ["PC-1", "pc-1.example.org"]),
    ],
)
def test_hosts_are_chosen_by_name_group_and_pattern_in_any_case(limit: tuple[str, ...], found: list[str]) -> None:
    assert chosen(*limit) == found


def test_a_pattern_matches_hosts_and_never_a_group() -> None:
    with pytest.raises(UsageError, match=r"--limit O\* matches no host"):
        chosen("O*")
    assert chosen("P*") == ["PC-1", "PC-2", "pc-1.example.org"], "not LAPTOP-3, which is in Pilot"


@pytest.mark.parametrize(
    ("limit", "exclude", "left"),
    [
        ((), ("pc-2",), ["PC-1", "LAPTOP-3", "pc-1.example.org", "ÄRZTE"]),
        ((), ("OFFICE,PC-2", "*.example.org"), ["ÄRZTE"]),
        (("office",), ("pilot",), ["PC-1"]),
        (("PC-1",), ("PC-2",), ["PC-1"]),
    ],
)
def test_what_is_excluded_is_left_out_whatever_the_limit_says(
    limit: tuple[str, ...], exclude: tuple[str, ...], left: list[str]
) -> None:
    assert chosen(*limit, exclude=exclude) == left


def test_a_file_names_hosts_by_line_and_comma_with_remarks(tmp_path: Path) -> None:
    file = tmp_path / "hosts, of today"
    file.write_bytes("\ufeffpc-1\r\n\r\n# off today: PC-2\r\n laptop-3 ,ÄRZTE # two\r\n".encode())

    assert chosen(f"@{file}") == ["PC-1", "LAPTOP-3", "ÄRZTE"]
    assert chosen("PC-2", f"@{file}") == ["PC-1", "PC-2", "LAPTOP-3", "ÄRZTE"]
    assert chosen(exclude=(f"@{file}",)) == ["PC-2", "pc-1.example.org"]
    assert expand("--limit", [f"@{file}", "pc-1,office"]) == ("pc-1", "laptop-3", "ÄRZTE", "office")


def test_a_list_can_have_a_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("PC-2")

    assert chosen(f"PC-1,@{tmp_path / 'more'}") == ["PC-1", "PC-2"]


@pytest.mark.parametrize(
    ("limit", "exclude", "told"),
    [
        (
            ("PC-11",),
            (),
            "--limit PC-11 matches no host and no group of the inventory; did you mean PC-1?",
        ),
        (("ofice",), (), "--limit ofice matches no host and no group of the inventory; did you mean Office?"),
        (("PC-1", "KIOSK"), (), "--limit KIOSK matches no host and no group of the inventory"),
        ((), ("LAPTOP-4",), "--exclude LAPTOP-4 matches no host and no group of the inventory; did you mean LAPTOP-3?"),
        (("PC-1",), ("office",), "--limit and --exclude leave no host; an empty run is never a success"),
        (("!PC-1",), (), "--limit !PC-1 is not a name; give --exclude PC-1"),
        (("PC-1,,PC-2",), (), "--limit 'PC-1,,PC-2': a name is empty; give a name, a group or a pattern"),
        (("",), (), "--limit '': a name is empty; give a name, a group or a pattern"),
        (("@no/such",), (), "--limit @no/such: the file cannot be read: No such file or directory"),
        (("@" + "x" * 300,), (), f"--limit @{'x' * 300}: the file cannot be read: File name too long"),
    ],
)
def test_a_slip_is_one_line_and_never_everything(limit: tuple[str, ...], exclude: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError) as refused:
        chosen(*limit, exclude=exclude)

    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("data", "told"), [(b"# nobody\n\n", "the file names no host"), (b"PC-\xff\n", "the file is not UTF-8")]
)
def test_a_file_without_names_is_refused(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "hosts").write_bytes(data)

    with pytest.raises(UsageError, match=told):
        chosen(f"@{tmp_path / 'hosts'}")


def test_a_host_elsewhere_may_be_excluded_and_not_chosen() -> None:
    found = choose(NAMES[:2], GROUPS, (), ["laptop-3"], others=NAMES, place="the plan")

    assert (list(found.names), found.excluded) == (NAMES[:2], ())
    with pytest.raises(UsageError, match="--limit LAPTOP-3 matches no host and no group of the plan"):
        choose(NAMES[:2], GROUPS, ["LAPTOP-3"], others=NAMES, place="the plan")


def test_hosts_that_were_left_out_are_those_that_would_have_been_chosen() -> None:
    found = choose(NAMES, GROUPS, ["PC-*"], ["office", "ÄRZTE", "pc-2"])

    assert (found.names, found.excluded) == (("@winrm/pc-1.example.org",), ("@winrm/PC-1", "@winrm/PC-2"))


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("PC-0001", "PC-00001"), ("PC-0021", "PC-00021"), ("pc-00031", "PC-00030"), ("PCC-00012", "PC-00012")],
)
def test_of_many_like_names_the_one_with_the_same_ends_is_proposed(slip: str, meant: str) -> None:
    names = [f"@winrm/PC-{number:05}" for number in range(1, 31)]

    with pytest.raises(UsageError, match=rf"did you mean {meant}\?"):
        choose(names, {}, [slip])
