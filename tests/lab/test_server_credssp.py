"""CredSSP: pyspnego's client on the lab's server, and pypsrp's framing of its messages, in one piece and in many."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import spnego
import spnego.tls
from pypsrp.encryption import WinRMEncryption

from provmode.lab.server.hosting import USER
from provmode.lab.server.logon import Logon

GET = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get"
OS = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/Win32_OperatingSystem"


@pytest.fixture
def credssp(serve: Any, spec: Any) -> Iterator[Any]:
    """A lab of one small PC that takes CredSSP."""
    with serve([spec(logon=Logon(credssp=True))]) as running:
        yield running


def login(client: Any, user: str, password: str, **options: Any) -> int:
    """Log on; return the status of the last answer."""
    client.context = spnego.client(user, password, hostname="pc-1", protocol="credssp", **options)
    token = client.context.step()
    while True:
        response, _ = client.post(Authorization="CredSSP " + base64.b64encode(token or b"").decode())
        offered = [each.removeprefix("CredSSP ") for each in response.headers.get_all("WWW-Authenticate") or []]
        if response.status != 401 or offered[-1] in ("Kerberos", "CredSSP"):
            return int(response.status)
        token = client.context.step(base64.b64decode(offered[-1]))


def send(client: Any, message: bytes, **changes: str) -> tuple[int, str, bytes]:
    """Send a message sealed; return the status, the content type and the opened answer."""
    framing = WinRMEncryption(client.context, WinRMEncryption.CREDSSP)
    kind, body = framing.wrap_message(message)
    kind = f'{kind};protocol="{WinRMEncryption.CREDSSP}";boundary="Encrypted Boundary"'
    response, answer = client.post(body, Content_Type=changes.get("kind", kind))
    said = response.headers.get("Content-Type", "")
    return response.status, said, framing.unwrap_message(answer, "Encrypted Boundary") if answer else b""


def test_the_scheme_is_offered_where_it_is_on(credssp: Any, served: Any, raw: Any) -> None:
    assert raw(credssp.host).post()[0].headers.get_all("WWW-Authenticate") == ["Negotiate", "Kerberos", "CredSSP"]
    assert raw(served.host).post()[0].headers.get_all("WWW-Authenticate") == ["Negotiate", "Kerberos"]
    assert login(raw(served.host), USER, served.lab.account.password) == 401


def test_a_sealed_get_is_answered_sealed_and_the_tls_inside_is_1_2(credssp: Any, raw: Any, envelope: Any) -> None:
    client = raw(credssp.host)

    status = login(client, USER, credssp.lab.account.password)
    got = send(client, envelope(GET, OS))

    assert (status, got[0]) == (200, 200)
    assert (
        got[1]
        == 'multipart/encrypted;protocol="application/HTTP-CredSSP-session-encrypted";boundary="Encrypted Boundary"'
    )
    assert b"GetResponse" in got[2]
    assert client.context.get_extra_info("ssl_object").version() == "TLSv1.2"
    assert (credssp.service.counters.refused_logins, credssp.service.counters.delegated) == (0, 1)


def test_long_messages_go_in_pieces_both_ways(credssp: Any, raw: Any, envelope: Any) -> None:
    client = raw(credssp.host)
    login(client, USER, credssp.lab.account.password)
    long_name = "x" * 40_000
    client_selector = f'<w:SelectorSet><w:Selector Name="Name">{long_name}</w:Selector></w:SelectorSet>'
    enumerate_all = (
        '<n:Enumerate xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration"><w:OptimizeEnumeration/>'
        "<w:MaxElements>100</w:MaxElements>"
        '<w:Filter Dialect="http://schemas.microsoft.com/wbem/wsman/1/WQL">SELECT Name FROM X</w:Filter></n:Enumerate>'
    )
    credssp.service.machine.rows = [{"Name": "y" * 1000} for _ in range(40)]

    sent = send(client, envelope(GET, OS, extra=client_selector))
    action = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate"
    received = send(client, envelope(action, OS.replace("Win32_OperatingSystem", "*"), enumerate_all))

    assert sent[0] == received[0] == 200
    assert credssp.service.machine.calls[0] == ("get", ("root/cimv2", "Win32_OperatingSystem", {"Name": long_name}))
    assert received[1].startswith("multipart/x-multi-encrypted;")
    assert len(re.findall("y{1000}", received[2].decode())) == 40


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("LAB\\nobody", None)])
def test_a_wrong_password_is_told_inside_and_counted(credssp: Any, raw: Any, user: str, password: str | None) -> None:
    client = raw(credssp.host)

    with pytest.raises(spnego.exceptions.SpnegoError, match="NTStatus"):
        login(client, user, password or credssp.lab.account.password)

    assert credssp.service.counters.refused_logins == 1


def test_a_message_that_says_a_wrong_number_of_pieces_or_another_seal_is_refused(
    credssp: Any, raw: Any, envelope: Any
) -> None:
    protocol = f'protocol="{WinRMEncryption.CREDSSP}";boundary="Encrypted Boundary"'
    statuses = []
    for kind in (
        f"multipart/x-multi-encrypted;{protocol}",
        f"multipart/encrypted;{protocol.replace('CredSSP', 'SPNEGO')}",
    ):
        client = raw(credssp.host)
        login(client, USER, credssp.lab.account.password)
        statuses.append(send(client, envelope(GET, OS), kind=kind)[0])

    assert statuses == [400, 400]


def test_the_certificate_inside_is_one_that_no_ca_vouches_for(credssp: Any, raw: Any) -> None:
    tls = spnego.tls.default_tls_context()
    tls.context.verify_mode = ssl.CERT_REQUIRED

    with pytest.raises(spnego.exceptions.SpnegoError, match="TLS handshake"):
        login(raw(credssp.host), USER, credssp.lab.account.password, credssp_tls_context=tls)


@pytest.mark.parametrize(("ntlm", "status"), [(True, 200), (False, 401)])
def test_inside_it_takes_ntlm_raw_too_unless_a_policy_keeps_ntlm_out(
    serve: Any, spec: Any, raw: Any, ntlm: bool, status: int
) -> None:
    with serve([spec(logon=Logon(credssp=True, ntlm=ntlm))]) as running:
        inner = spnego.client(USER, running.lab.account.password, hostname="pc-1", service="HTTP", protocol="ntlm")
        try:
            came_to = login(raw(running.host), USER, running.lab.account.password, credssp_negotiate_context=inner)
        except spnego.exceptions.SpnegoError as error:
            came_to = 401 if "NTStatus" in str(error) else 0

    assert came_to == status
