"""The names in an NTLM challenge: read if they are there, and nothing that stands there is an error."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spnego._ntlm_raw.messages import AvId, Challenge, TargetInfo

from provmode.transport.challenge import computer_in
from provmode.windows.names import ComputerName


def challenge(**names: str) -> bytes:
    info = TargetInfo()
    for kind, name in names.items():
        info[getattr(AvId, kind)] = name
    return Challenge(0xE28A8235, b"12345678", target_name="LAB", target_info=info).pack()


def test_both_names_are_read_also_inside_spnego() -> None:
    token = challenge(nb_domain_name="LAB", nb_computer_name="PC-00001", dns_computer_name="PC-00001.corp.example")

    assert computer_in(token) == ComputerName("PC-00001", "PC-00001.corp.example")
    assert computer_in(b"\xa1\x82\x01\x00spnego" + token) == computer_in(token)


def test_a_challenge_of_another_program_is_read_too() -> None:
    """The challenge of MS-NLMP 4.2.4.3, an example of the specification."""
    printed = bytes.fromhex(
        "4e544c4d53535000020000000c000c003800000033828ae20123456789abcdef00000000000000002400240044000000"
        "060070170000000f53006500720076006500720002000c0044006f006d00610069006e0001000c0053006500720076006500"
        "720000000000"
    )

    assert computer_in(printed) == ComputerName("Server")


@pytest.mark.parametrize(
    "token", [b"", b"NTLMSSP\0\2\0\0\0", challenge(nb_domain_name="LAB"), b"NTLMSSP\0\1\0\0\0" * 9]
)
def test_a_token_without_names_has_none(token: bytes) -> None:
    assert computer_in(token) is None


@given(st.binary(max_size=200), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF))
def test_no_challenge_is_an_error(pairs: bytes, length: int, offset: int) -> None:
    head = b"NTLMSSP\0\2\0\0\0" + b"\0" * 28 + struct.pack("<HHI", length, length, offset)

    name = computer_in(head + pairs)

    assert name is None or name.netbios or name.dns
