"""Accounts and sealing: hashes, files, framing."""

from __future__ import annotations

import os
import stat

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.server.accounts import Account, AccountFile, md4, nt_hash
from provmode.lab.server.authentication import charset_of
from provmode.lab.server.ntlm import channel_binding_of
from provmode.lab.server.sealing import SealBroken, frame, split


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        (b"abc", "a448017aaf21d8525fc10ae87aa6729d"),
        (b"message digest", "d9130a8164549fe818874806e1c7014b"),
        (b"1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ],
)
def test_md4_gives_the_digests_of_rfc_1320(message: bytes, digest: str) -> None:
    assert md4(message).hex() == digest


def test_nt_hash_of_password_is_the_well_known_one() -> None:
    assert nt_hash("password").hex() == "8846f7eaee8fb117ad06bdd830b7586c"


def test_the_account_file_is_private_holds_no_password_and_is_in_force_only_inside(tmp_path: object) -> None:
    before = os.environ.get("NTLM_USER_FILE")
    file = AccountFile([Account("svc", "canary-password", "CORP")])
    try:
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
        assert "canary" not in file.path.read_text()
        with file.in_force():
            assert os.environ["NTLM_USER_FILE"] == str(file.path)
        assert os.environ.get("NTLM_USER_FILE") == before
    finally:
        file.remove()
    assert not file.path.exists()


def test_an_account_has_every_spelling_of_its_name() -> None:
    account = Account("svc", "x", "CORP", "corp.example")
    names = ("SVC", "corp\\svc", "svc@CORP", ".\\svc", "svc@corp.example", "CORP.example\\svc")
    assert all(account.matches_name(name) for name in names)
    assert not account.matches_name("OTHER\\svc")


def test_an_account_of_the_pc_itself_has_no_principal_name_and_no_ticket() -> None:
    account = Account("svc", "x", "PC-1", dns_domain="")
    file = AccountFile([account])
    file.remove()
    assert account.logon_name == "PC-1\\svc"
    assert all(account.matches_name(name) for name in ("svc", "pc-1\\SVC", ".\\svc"))
    assert not any(account.matches_name(name) for name in ("svc@PC-1", "svc@corp.example", "svc@", "CORP\\svc"))
    assert file.logon_name_in("svc", "") is file.logon_name_in("svc", "CORP.EXAMPLE") is None


@given(st.binary(max_size=600), st.binary(min_size=16, max_size=16))
def test_splitting_a_framed_message_gives_back_its_parts(data: bytes, signature: bytes) -> None:
    body = frame(signature, data, len(data), "application/soap+xml;charset=UTF-8")
    assert split(body) == ("application/soap+xml;charset=UTF-8", len(data), signature, data)


def test_sealed_data_that_holds_the_boundary_is_cut_by_its_length() -> None:
    data = b"--Encrypted Boundary--\r\n--Encrypted Boundary\r\n"
    assert split(frame(b"s" * 16, data, len(data), "t"))[3] == data


@given(st.integers(0, 250), st.binary(max_size=3))
def test_a_torn_or_overwritten_frame_is_refused_or_keeps_its_length(cut: int, junk: bytes) -> None:
    body = frame(b"s" * 16, b"hello", 5, "t")
    torn = body[:cut] + junk
    if torn in (body, body[:-2]):
        return
    with pytest.raises(SealBroken):
        split(torn)


def test_the_charset_comes_from_the_content_type() -> None:
    assert charset_of("application/soap+xml;charset=UTF-16") == "UTF-16"
    assert charset_of('application/soap+xml; charset="utf-8"') == "utf-8"
    assert charset_of("application/soap+xml") == "UTF-8"


@given(st.binary(max_size=200))
def test_no_token_makes_the_channel_binding_reader_fail(junk: bytes) -> None:
    message = b"NTLMSSP\0\3\0\0\0" + b"\0" * 8 + b"\xff\x00\xff\x00\x10\x00\x00\x00" + junk
    found = channel_binding_of(message)
    assert found is None or isinstance(found, bytes)


def test_the_channel_binding_of_a_real_client_is_found() -> None:
    file = AccountFile([Account("svc", "pw", "CORP")])
    try:
        bindings = spnego.channel_bindings.GssChannelBindings(application_data=b"tls-server-end-point:abc")
        client = spnego.client("CORP\\svc", "pw", protocol="ntlm", channel_bindings=bindings)
        with file.in_force():
            server = spnego.server(protocol="ntlm")
            challenge = server.step(client.step())
        token = client.step(challenge)
    finally:
        file.remove()
    assert token is not None
    bound = channel_binding_of(token)
    assert bound is not None
    assert len(bound) == 16
    assert any(bound)
