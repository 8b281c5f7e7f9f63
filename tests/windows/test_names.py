"""Names of a PC: which name in an inventory means it."""

from __future__ import annotations

import pytest

from provmode.windows.names import ComputerName, is_address

LONG = "reception-desk-0001"


@pytest.mark.parametrize(
    ("computer", "name", "called"),
    [
        (ComputerName("PC-0001", "PC-0001.corp.example"), "pc-0001.corp.example", True),
        (ComputerName("PC-0001", "pc-0001.corp.example"), "PC-0001", True),
        (ComputerName("PC-0001", "PC-0001.corp.example"), "pc-0001.elsewhere.example", True),
        (ComputerName("PC-0001", "PC-0001.corp.example"), "PC-0002", False),
        (ComputerName("RECEPTION-DESK-", LONG), LONG, True),
        (ComputerName("RECEPTION-DESK-", LONG), "reception-desk-0002", False),
        (ComputerName("RECEPTION-DESK-"), "reception-desk-0002", True),  # nothing tells these two apart
        (ComputerName("RECEPTION-DESK-"), "reception-desk", False),
        (ComputerName("PC-0001"), "PC-00012", False),
    ],
)
def test_a_name_is_compared_by_its_first_label_and_beyond_15_characters_if_it_can_be(
    computer: ComputerName, name: str, called: bool
) -> None:
    assert computer.is_called(name) is called


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ComputerName("PC-1", "pc-1.a.example"), ComputerName("PC-1", "PC-1.A.example"), True),
        (ComputerName("PC-1", "pc-1.a.example"), ComputerName("PC-1", "pc-1.b.example"), False),
        (ComputerName("PC-1", "pc-1.a.example"), ComputerName("PC-1", "pc-1"), True),
        (ComputerName("PC-1", "pc-1.a.example"), ComputerName("PC-1"), True),
        (ComputerName("RECEPTION-DESK-", LONG), ComputerName("RECEPTION-DESK-", "reception-desk-0002"), False),
        (ComputerName("RECEPTION-DESK-"), ComputerName("RECEPTION-DESK-", LONG), True),
        (ComputerName("PC-1"), ComputerName("PC-2"), False),
    ],
)
def test_two_names_are_one_pc_as_far_as_both_can_tell(one: ComputerName, other: ComputerName, same: bool) -> None:
    assert one.is_one_with(other) is other.is_one_with(one) is same


@pytest.mark.parametrize("name", ["10.0.0.5", "127.1", "fe80::1%eth0", "[fe80::1]", "2001:db8::7"])
def test_an_address_names_no_pc(name: str) -> None:
    assert is_address(name)


@pytest.mark.parametrize("name", ["pc-1", "1pc", "pc.10.example", "fe80"])
def test_a_name_is_not_an_address(name: str) -> None:
    assert not is_address(name)
