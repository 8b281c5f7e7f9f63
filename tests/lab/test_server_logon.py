"""Kerberos' tokens from outside, and the switches of authentication: what needs no KDC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.process import LabError, LabProcess
from provmode.lab.server.kerberos_rc4 import rc4
from provmode.lab.server.kerberos_tokens import (
    ErrorCode,
    Framing,
    Ticket,
    error_code_of,
    error_token,
    framing_of,
    ticket_of,
)
from provmode.lab.server.logon import Logon
from provmode.lab.server.mechanisms import CbtHardening
from provmode.lab.server.sealing import KERBEROS, SPNEGO, SealBroken, content_type_of, frame, protocol_of, split

TICKET = Ticket("CORP.EXAMPLE", 2, ("HTTP", "pc-1.corp.example"))
NOON = datetime(2026, 3, 2, 13, 0, 0, 250_000, timezone(timedelta(hours=1)))


def test_the_error_token_is_that_of_the_rfc_octet_by_octet() -> None:
    token = error_token(ErrorCode.SKEW, TICKET, NOON, wrapped=False)

    assert token.hex(" ") == (
        "60 70 06 09 2a 86 48 86 f7 12 01 02 02 03 00"  # GSS-API, Kerberos, KRB-ERROR
        " 7e 61 30 5f a0 03 02 01 05 a1 03 02 01 1e"  # version 5, type 30
        " a4 11 18 0f 32 30 32 36 30 33 30 32 31 32 30 30 30 30 5a"  # 20260302120000Z
        " a5 05 02 03 03 d0 90 a6 03 02 01 25"  # 250,000 microseconds, error 37
        " a9 0e 1b 0c 43 4f 52 50 2e 45 58 41 4d 50 4c 45"  # CORP.EXAMPLE
        " aa 24 30 22 a0 03 02 01 02 a1 1b 30 19 1b 04 48 54 54 50"  # type 2, HTTP
        " 1b 11 70 63 2d 31 2e 63 6f 72 70 2e 65 78 61 6d 70 6c 65"  # pc-1.corp.example
    )


def test_in_spnego_the_error_token_is_a_rejection_around_it() -> None:
    inner = error_token(ErrorCode.MODIFIED, TICKET, NOON, wrapped=False)

    wrapped = error_token(ErrorCode.MODIFIED, TICKET, NOON, wrapped=True)

    assert error_code_of(inner) == error_code_of(wrapped) == 41
    assert wrapped == bytes.fromhex("a17d307ba0030a0102a2740472") + inner
    assert len(inner) == 0x72


@given(st.binary(max_size=300))
def test_no_bytes_make_the_readers_of_tokens_fail(junk: bytes) -> None:
    assert framing_of(junk) in Framing
    assert ticket_of(junk) is error_code_of(junk) is None
    assert ticket_of(b"\x60\x82\x01\x00\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00" + junk) is None


def test_the_mechanism_that_a_client_prefers_is_found() -> None:
    ntlm = spnego.client("u", "p", protocol="negotiate", options=spnego.NegotiateOptions.use_negotiate).step()
    microsofts, kerberos = "06092a864882f712010202", "06092a864886f712010202"
    both = bytes.fromhex(f"602606062b0601050502a01c301aa0183016{microsofts}{kerberos}")
    negoex_first = bytes.fromhex(f"602706062b0601050502a01d301ba0193017060a2b06010401823702021e{kerberos}")

    assert framing_of(ntlm or b"") is Framing.SPNEGO_OTHER
    assert framing_of(both) is framing_of(negoex_first) is Framing.SPNEGO_KERBEROS
    assert framing_of(bytes.fromhex(f"600d{kerberos}0100")) is Framing.KERBEROS
    assert framing_of(b"NTLMSSP\0\1\0\0\0") is Framing.OTHER


@pytest.mark.parametrize(
    ("key", "plain", "sealed"),
    [
        (b"Key", b"Plaintext", "bbf316e8d940af0ad3"),
        (b"Wiki", b"pedia", "1021bf0420"),
        (bytes.fromhex("0102030405"), bytes(16), "b2396305f03dc027ccc3524a0a1118a8"),  # RFC 6229
    ],
)
def test_rc4_gives_the_well_known_streams(key: bytes, plain: bytes, sealed: str) -> None:
    assert rc4(key, plain).hex() == sealed


def test_a_body_may_be_longer_than_it_says_by_the_padding_alone() -> None:
    padded = frame(b"s" * 16, b"hello" + b"\1", 5, "t", KERBEROS)

    assert split(padded, KERBEROS, padding=1)[3] == b"hello\1"
    for protocol, padding in ((KERBEROS, 0), (SPNEGO, 1)):
        with pytest.raises(SealBroken):
            split(padded, protocol, padding)


def test_a_body_says_in_its_content_type_what_it_is_sealed_for() -> None:
    assert protocol_of(content_type_of(KERBEROS)) == "application/HTTP-Kerberos-session-encrypted"
    assert protocol_of("multipart/encrypted") == ""


def test_the_ways_to_log_on_are_read_from_json() -> None:
    read = Logon().changed({"ntlm": False, "cbt": "Strict", "keytab": "/k", "ahead": -90})

    assert read == Logon(ntlm=False, cbt=CbtHardening.STRICT, keytab=Path("/k"), ahead=timedelta(seconds=-90))
    assert read.changed({"keytab": None}).keytab is None


@pytest.mark.parametrize("changes", [{"nltm": False}, {"ntlm": "false"}, {"cbt": "strict"}, {"ahead": "x"}])
def test_a_way_to_log_on_that_there_is_not_is_an_error(changes: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Logon().changed(changes)


def test_the_switches_change_a_running_pc_and_errors_change_nothing(tmp_path: Path) -> None:
    with LabProcess(1, mix={"healthy": 1}) as lab:
        with pytest.raises(LabError, match="there is no keytab"):
            lab.logon("PC-00001", negotiate=False, keytab=str(tmp_path / "none"))
        with pytest.raises(LabError, match="unknown ways to log on: negotiation"):
            lab.logon("PC-00001", negotiation=False)
        lab.logon("PC-00001", kerberos=False)
        lab.logon("PC-00001")
