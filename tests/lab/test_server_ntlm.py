"""The names in NTLM's challenge, read and answered byte for byte (MS-NLMP 2.2.1), without a library of NTLM."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import struct
from typing import Any

import pytest
import spnego

from provmode.lab.server.accounts import nt_hash
from provmode.lab.server.hosting import USER

GET = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get"
OS = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/Win32_OperatingSystem"
NB_COMPUTER, NB_DOMAIN, DNS_COMPUTER, DNS_DOMAIN, DNS_TREE, TIME = 1, 2, 3, 4, 5, 7
GO_NEGOTIATE = b"NTLMSSP\0\1\0\0\0" + struct.pack("<I8x8x", 0xA0888201) + bytes((6, 1, 0xB1, 0x1D, 0, 0, 0, 15))
"""The NEGOTIATE message of go-ntlmssp: Unicode, target info, extended session security, neither seal nor key exchange.
Its version is that of Windows 7, though it does not set the flag for it."""
TARGET_TYPE_DOMAIN, TARGET_TYPE_SERVER, VERSION = 0x10000, 0x20000, 0x02000000


class ReadChallenge:
    """A CHALLENGE message (MS-NLMP 2.2.1.2)."""

    def __init__(self, data: bytes) -> None:
        assert data.startswith(b"NTLMSSP\0\2\0\0\0")
        (self.flags,) = struct.unpack_from("<I", data, 20)
        self.server_challenge = data[24:32]
        self.target_name = self._field(data, 12).decode("utf-16-le")
        self.target_info = self._field(data, 40)
        self.version = data[48:56]

    @staticmethod
    def _field(data: bytes, at: int) -> bytes:
        length, offset = struct.unpack_from("<H2xI", data, at)
        return data[offset : offset + length]

    @property
    def pairs(self) -> dict[int, bytes]:
        """The AV pairs up to the end mark."""
        found: dict[int, bytes] = {}
        at = 0
        while True:
            identifier, length = struct.unpack_from("<HH", self.target_info, at)
            if identifier == 0:
                assert at + 4 == len(self.target_info)
                return found
            found[identifier] = self.target_info[at + 4 : at + 4 + length]
            at += 4 + length

    def name(self, identifier: int) -> str:
        """One of the names."""
        return self.pairs[identifier].decode("utf-16-le")


def _challenge(client: Any, token: bytes) -> ReadChallenge:
    response, _ = client.post(Authorization="Negotiate " + base64.b64encode(token).decode())
    assert response.status == 401
    answer = base64.b64decode(response.headers["WWW-Authenticate"].removeprefix("Negotiate "))
    return ReadChallenge(answer[answer.index(b"NTLMSSP\0") :])  # alone, or the last element of a SPNEGO answer


@pytest.mark.parametrize("name", ["PC-1", "PC-2", "pc-with-a-long-name"])
def test_the_challenge_has_the_pcs_own_names_and_its_domains(serve: Any, spec: Any, raw: Any, name: str) -> None:
    with serve([spec(name)]) as served:
        challenge = _challenge(raw(served.host), GO_NEGOTIATE)

    assert challenge.target_name == "LAB"
    assert challenge.flags & (TARGET_TYPE_DOMAIN | TARGET_TYPE_SERVER) == TARGET_TYPE_DOMAIN
    assert challenge.name(NB_DOMAIN) == "LAB"
    assert challenge.name(NB_COMPUTER) == name.upper()[:15]
    assert challenge.name(DNS_DOMAIN) == challenge.name(DNS_TREE) == "corp.example"
    assert challenge.name(DNS_COMPUTER) == f"{name}.corp.example"
    assert len(challenge.pairs[TIME]) == 8


def test_each_pc_of_a_lab_names_itself_also_in_spnego(serve: Any, spec: Any, raw: Any) -> None:
    with serve([spec("PC-1"), spec("PC-2")]) as served:
        tokens = [
            spnego.client("u", "p", protocol="negotiate", options=spnego.NegotiateOptions.use_negotiate).step()
            for _ in served.lab.hosts
        ]
        challenges = [_challenge(raw(host), token or b"") for host, token in zip(served.lab.hosts, tokens, strict=True)]

    assert [each.name(NB_COMPUTER) for each in challenges] == ["PC-1", "PC-2"]


def test_the_challenge_has_the_version_of_windows_for_a_client_that_asks(served: Any, raw: Any) -> None:
    asking = GO_NEGOTIATE[:12] + struct.pack("<I", 0xA0888201 | VERSION) + GO_NEGOTIATE[16:]

    challenge = _challenge(raw(served.host), asking)

    assert challenge.version == struct.pack("<BBH3xB", 10, 0, 20348, 15)


def _go_authenticate(challenge: ReadChallenge, user: str, password: str) -> bytes:
    """Return go-ntlmssp's AUTHENTICATE message: its domain is what the server calls its target, and it has no MIC."""
    domain = challenge.target_name
    key = hmac.new(nt_hash(password), (user.upper() + domain).encode("utf-16-le"), hashlib.md5).digest()
    blob = b"\1\1" + bytes(6) + challenge.pairs[TIME] + b"go-chall" + bytes(4) + challenge.target_info + bytes(4)
    answer = hmac.new(key, challenge.server_challenge + blob, hashlib.md5).digest() + blob
    fields, payload = b"", b""
    for part in (b"", answer, domain.encode("utf-16-le"), user.encode("utf-16-le"), b"", b""):
        fields += struct.pack("<HHI", len(part), len(part), 64 + len(payload))
        payload += part
    return b"NTLMSSP\0\3\0\0\0" + fields + struct.pack("<I", challenge.flags) + payload


@pytest.mark.parametrize(("password", "status"), [(None, 200), ("wrong", 401)])
def test_a_client_that_takes_its_domain_from_the_target_name_is_let_in(
    serve: Any, spec: Any, raw: Any, envelope: Any, password: str | None, status: int
) -> None:
    with serve([spec(https=True)]) as served:
        client = raw(served.host, ssl.create_default_context(cafile=str(served.lab.authority.path)))
        challenge = _challenge(client, GO_NEGOTIATE)
        user = USER.partition("\\")[2]
        token = base64.b64encode(_go_authenticate(challenge, user, password or served.lab.account.password)).decode()

        response, answer = client.post(
            envelope(GET, OS), Authorization=f"Negotiate {token}", Content_Type="application/soap+xml;charset=UTF-8"
        )

    assert response.status == status
    assert (b"GetResponse" in answer) is (status == 200)
