"""NTLMv2 at the server: a client of another library, and what a single changed byte comes to."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterator
from typing import Any

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.server import ntlmv2
from provmode.lab.server.accounts import Account, AccountFile, nt_hash
from provmode.lab.server.mechanisms import ChannelBinding, Refused
from provmode.lab.server.ntlm import NtlmMechanism, PcNames
from provmode.lab.server.ntlmv2 import NotProved
from provmode.lab.server.sealing import SealBroken

ACCOUNT = Account("svc", "a password", "LAB")
NONCE = b"challeng"


@pytest.fixture
def accounts() -> Iterator[AccountFile]:
    file = AccountFile([ACCOUNT])
    yield file
    file.remove()


def server(accounts: AccountFile, *, wrapped: bool = False) -> NtlmMechanism:
    return NtlmMechanism(accounts, PcNames("PC-1"), ChannelBinding(), wrapped=wrapped)


def client(password: str = ACCOUNT.password, protocol: str = "ntlm") -> Any:
    return spnego.client("LAB\\svc", password, protocol=protocol, options=spnego.NegotiateOptions.use_ntlm)


def logged_on(accounts: AccountFile) -> tuple[Any, NtlmMechanism]:
    """Return both ends of a session."""
    there, here = client(), server(accounts)
    here.step(there.step(here.step(there.step())))
    assert here.complete
    assert here.user == "LAB\\svc"
    return there, here


def test_messages_go_both_ways_and_are_counted(accounts: AccountFile) -> None:
    there, here = logged_on(accounts)

    for number in range(5):
        asked = there.wrap_winrm(b"question %d" % number)
        assert here.unwrap_winrm(asked.header, asked.data) == b"question %d" % number
        said = here.wrap_winrm(b"answer %d" % number)
        assert there.unwrap_winrm(said.header, said.data) == b"answer %d" % number


@pytest.mark.parametrize("what", ["header", "data", "again", "left out"])
def test_a_message_that_is_not_the_next_one_is_refused(accounts: AccountFile, what: str) -> None:
    there, here = logged_on(accounts)
    first, second = there.wrap_winrm(b"first"), there.wrap_winrm(b"second")
    header, data = first.header, first.data
    if what == "header":
        header = header[:5] + bytes([header[5] ^ 1]) + header[6:]
    elif what == "data":
        data = data[:-1] + bytes([data[-1] ^ 1])
    elif what == "again":
        assert here.unwrap_winrm(header, data) == b"first"
    else:
        header, data = second.header, second.data

    with pytest.raises(SealBroken):
        here.unwrap_winrm(header, data)


def test_every_byte_of_the_last_token_counts(accounts: AccountFile) -> None:
    let_in = []
    for at in range(400):
        there, here = client(), server(accounts)
        token = there.step(here.step(there.step()))
        assert token is not None
        if at >= len(token):
            break
        try:
            here.step(token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :])
        except Refused:
            continue
        let_in.append(at)

    assert at > 300
    assert let_in == []


def test_the_integrity_code_covers_the_messages_before_it(accounts: AccountFile) -> None:
    there, here = client(), server(accounts)
    first = there.step()
    assert first is not None
    challenge = here.step(first[:-1] + bytes([first[-1] ^ 1]))  # the last byte of the client's version

    with pytest.raises(Refused, match="integrity code"):
        here.step(there.step(challenge))


@pytest.mark.parametrize(("user", "password"), [("LAB\\svc", "wrong"), ("LAB\\nobody", "a password"), ("svc", "x")])
def test_a_wrong_password_and_an_unknown_user_are_refused(accounts: AccountFile, user: str, password: str) -> None:
    there, here = spnego.client(user, password, protocol="ntlm"), server(accounts)

    with pytest.raises(Refused):
        here.step(there.step(here.step(there.step())))

    assert not here.complete


@pytest.mark.parametrize("user", ["svc", "LAB\\svc", "lab\\SVC", "svc@LAB", "svc@corp.example", "corp.example\\svc"])
def test_an_account_logs_on_by_each_of_its_names(accounts: AccountFile, user: str) -> None:
    there, here = spnego.client(user, ACCOUNT.password, protocol="ntlm"), server(accounts)

    here.step(there.step(here.step(there.step())))

    assert here.user == "LAB\\svc"


def proof(pairs: bytes, *, head: bytes = b"\1\1" + bytes(6), end: bytes = bytes(4)) -> bytes:
    """Return an AUTHENTICATE message of the account, without room for an integrity code, around these AV pairs."""
    blob = head + bytes(8) + b"nonce..." + bytes(4) + pairs + end
    key = hmac.new(nt_hash(ACCOUNT.password), "SVCLAB".encode("utf-16-le"), hashlib.md5).digest()
    answer = hmac.new(key, NONCE + blob, hashlib.md5).digest() + blob
    fields, payload = b"", b""
    for part in (b"", answer, "LAB".encode("utf-16-le"), "svc".encode("utf-16-le"), b"", b""):
        fields += struct.pack("<HHI", len(part), len(part), 64 + len(payload))
        payload += part
    return ntlmv2.AUTHENTICATE + fields + struct.pack("<I", ntlmv2.UNICODE | ntlmv2.NTLM) + payload


def prove(message: bytes) -> bytes:
    response = ntlmv2.read_response(message)
    assert response is not None
    return ntlmv2.session_key(response, nt_hash(ACCOUNT.password), NONCE, b"")


END = bytes(4)
NAME = ntlmv2.av_pair(ntlmv2.NB_COMPUTER, "PC-1".encode("utf-16-le"))


def test_a_client_without_an_integrity_code_is_let_in_if_it_announces_none() -> None:
    assert len(prove(proof(NAME + END))) == 16

    with pytest.raises(NotProved, match="integrity code"):
        prove(proof(NAME + ntlmv2.av_pair(ntlmv2.FLAGS, struct.pack("<I", 2)) + END))


@pytest.mark.parametrize(
    "message",
    [
        proof(NAME),
        proof(NAME + NAME + END),
        proof(NAME + END + NAME + END),
        proof(NAME[:-1] + END),
        proof(ntlmv2.av_pair(ntlmv2.FLAGS, b"\2") + END),
        proof(ntlmv2.av_pair(ntlmv2.TIME, b"\2") + END),
        proof(NAME + END, head=b"\2\1" + bytes(6)),
        proof(NAME + END, end=b""),
        proof(NAME + END, end=b"\1\0\0\0"),
        proof(NAME + END)[:-2],
    ],
)
def test_a_malformed_proof_is_refused_though_the_password_is_right(message: bytes) -> None:
    with pytest.raises(NotProved):
        prove(message)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail_in_another_way(junk: bytes) -> None:
    try:
        ntlmv2.read_response(ntlmv2.AUTHENTICATE + junk)
    except (ValueError, struct.error):
        pass  # what `NtlmMechanism.step` refuses
