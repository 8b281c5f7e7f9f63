"""The server on the wire, with clients that are wrong, interrupted or hostile."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from dataclasses import replace
from typing import Any

import pytest
import spnego

from provmode.lab.server.accounts import Account
from provmode.lab.server.envelope import WINRM_2, WINRM_3
from provmode.lab.server.hosting import USER, Network
from provmode.lab.server.logon import Logon
from provmode.lab.server.mechanisms import CbtHardening
from provmode.lab.server.sealing import CONTENT_TYPE, seal
from provmode.lab.server.service import ServiceOptions

GET = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get"
OS = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/Win32_OperatingSystem"
SOAP = "application/soap+xml;charset=UTF-8"
IDENTIFY = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    b'xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    b"<s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>"
)


def test_an_unauthenticated_request_gets_the_schemes_on_offer(served: Any, raw: Any) -> None:
    response, body = raw(served.host).post(b"", Content_Type=SOAP)
    assert (response.status, body) == (401, b"")
    assert response.headers.get_all("WWW-Authenticate") == ["Negotiate", "Kerberos"]
    assert response.headers["Server"] == "Microsoft-HTTPAPI/2.0"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/other", 404), ("GET", "/wsman", 405), ("GET", "/", 404)]
)
def test_anything_but_post_to_wsman_is_refused(served: Any, raw: Any, method: str, path: str, status: int) -> None:
    assert raw(served.host).post(path=path, method=method)[0].status == status


def test_a_sealed_get_is_answered_sealed(served: Any, raw: Any, envelope: Any) -> None:
    client = raw(served.host)
    assert client.login(USER, served.lab.account.password) == 200
    response, answer = client.sealed(envelope(GET, OS))
    assert response.status == 200
    assert response.headers["Content-Type"] == CONTENT_TYPE
    assert b"GetResponse" in answer
    assert b"RelatesTo>uuid:5E6FD101-710A-4EEA-A50D-70C0BF863AA3<" in answer


def test_spnego_wrapped_ntlm_is_accepted(served: Any, raw: Any, envelope: Any) -> None:
    client = raw(served.host)
    assert client.login(USER, served.lab.account.password, "negotiate") == 200
    assert client.sealed(envelope(GET, OS))[0].status == 200


@pytest.mark.parametrize(
    "user",
    ["provmode", "PROVMODE", "lab\\provmode", "provmode@LAB", "provmode@corp.example", "corp.example\\provmode"],
)
def test_the_account_may_be_spelled_as_windows_allows(served: Any, raw: Any, user: str) -> None:
    assert raw(served.host).login(user, served.lab.account.password) == 200


@pytest.mark.parametrize(("user", "status"), [("PC-1\\local", 200), (".\\local", 200), ("local@corp.example", 401)])
def test_an_account_of_the_pc_itself_is_spelled_with_the_pcs_name(
    serve: Any, spec: Any, raw: Any, user: str, status: int
) -> None:
    with serve([spec(accounts=(Account("local", "pw", "PC-1", dns_domain=""),))]) as served:
        assert raw(served.host).login(user, "pw") == status


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("LAB\\nobody", None), ("OTHER\\provmode", None)])
def test_a_wrong_password_or_user_is_refused(served: Any, raw: Any, user: str, password: str | None) -> None:
    assert raw(served.host).login(user, password or served.lab.account.password) == 401
    assert served.service.counters.refused_logins == 1


def test_every_connection_authenticates_for_itself(served: Any, raw: Any, envelope: Any) -> None:
    first, second = raw(served.host), raw(served.host)
    first.login(USER, served.lab.account.password)
    second.context = first.context
    assert second.sealed(envelope(GET, OS))[0].status == 401


def test_an_unencrypted_message_is_refused_if_sealing_is_required(served: Any, raw: Any, envelope: Any) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    response, body = client.post(envelope(GET, OS), Content_Type=SOAP)
    assert (response.status, body) == (500, b"")
    assert served.service.machine.calls == []


def test_a_message_sealed_with_stale_keys_is_a_400_and_ends_the_connection(
    served: Any, raw: Any, envelope: Any
) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    stale = client.context
    client.login(USER, served.lab.account.password)
    body = seal(stale, envelope(GET, OS), SOAP)
    response, _ = client.post(body, Content_Type=CONTENT_TYPE)
    assert response.status == 400
    assert response.headers["Connection"] == "close"
    assert served.service.machine.calls == []


def test_a_replayed_sealed_message_is_refused(served: Any, raw: Any, envelope: Any) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    body = seal(client.context, envelope(GET, OS), SOAP)
    assert client.post(body, Content_Type=CONTENT_TYPE)[0].status == 200
    assert client.post(body, Content_Type=CONTENT_TYPE)[0].status == 400


def test_a_body_over_the_envelope_limit_is_a_413(served: Any, raw: Any) -> None:
    client = raw(served.host)
    client.http.putrequest("POST", "/wsman")
    client.http.putheader("Content-Length", str(600 * 1024))
    client.http.endheaders()
    assert client.http.getresponse().status == 413


def test_a_request_torn_into_single_bytes_is_answered(served: Any) -> None:
    with socket.create_connection((served.host.address, served.host.port)) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"POST /wsman HTTP/1.1\r\nHost: pc\r\nContent-Length: 2\r\n\r\n{}":
            wire.sendall(bytes([byte]))
        assert wire.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_two_requests_in_one_packet_are_answered_in_order(served: Any) -> None:
    request = b"POST /%s HTTP/1.1\r\nHost: pc\r\nContent-Length: 0\r\n\r\n"
    with socket.create_connection((served.host.address, served.host.port)) as wire:
        wire.sendall(request % b"wsman" + request % b"nowhere")
        data = b""
        while data.count(b"\r\n\r\n") < 2:
            data += wire.recv(4096)
    assert data.index(b"HTTP/1.1 401") < data.index(b"HTTP/1.1 404")


def test_garbage_is_a_400_and_the_server_keeps_running(served: Any, raw: Any) -> None:
    with socket.create_connection((served.host.address, served.host.port)) as wire:
        wire.sendall(b"\x16\x03\x01 not http at all\r\n\r\n")
        assert wire.recv(4096).startswith(b"HTTP/1.1 400 ")
    assert raw(served.host).post()[0].status == 401


def test_identify_without_authentication_names_only_the_stack(served: Any, raw: Any) -> None:
    response, body = raw(served.host).post(IDENTIFY, Content_Type=SOAP, WSMANIDENTIFY="unauthenticated")
    assert response.status == 200
    assert b"OS: 0.0.0 SP: 0.0 Stack: 3.0<" in body
    assert b"Microsoft Corporation" in body
    assert b"SecurityProfiles" not in body


def test_identify_with_authentication_names_the_system(served: Any, raw: Any) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    assert b"OS: 10.0.20348 SP: 0.0 Stack: 3.0<" in client.sealed(IDENTIFY)[1]


def test_only_identify_needs_no_authentication(served: Any, raw: Any, envelope: Any) -> None:
    response, body = raw(served.host).post(envelope(GET, OS), Content_Type=SOAP, WSMANIDENTIFY="unauthenticated")
    assert response.status == 500
    assert b"Access is denied" in body
    assert served.service.machine.calls == []


def test_basic_is_checked_if_it_is_enabled(serve: Any, spec: Any, raw: Any, envelope: Any) -> None:
    with serve([spec(allow_unencrypted=True)], basic=True) as served:
        offered = raw(served.host).post()[0].headers.get_all("WWW-Authenticate")
        assert 'Basic realm="WSMAN"' in offered
        for password, status in ((served.lab.account.password, 200), ("wrong", 401)):
            token = base64.b64encode(f"{USER}:{password}".encode()).decode()
            headers = {"Content_Type": SOAP, "Authorization": f"Basic {token}"}
            assert raw(served.host).post(envelope(GET, OS), **headers)[0].status == status


def test_basic_is_refused_if_it_is_not_enabled(served: Any, raw: Any, envelope: Any) -> None:
    token = base64.b64encode(f"{USER}:{served.lab.account.password}".encode()).decode()
    response, _ = raw(served.host).post(envelope(GET, OS), Content_Type=SOAP, Authorization=f"Basic {token}")
    assert response.status == 401


def _bindings(digest: bytes) -> Any:
    return spnego.channel_bindings.GssChannelBindings(application_data=b"tls-server-end-point:" + digest)


@pytest.mark.parametrize(
    ("level", "token", "status"),
    [
        (CbtHardening.RELAXED, "right", 200),
        (CbtHardening.RELAXED, "none", 200),
        (CbtHardening.RELAXED, "wrong", 401),
        (CbtHardening.STRICT, "right", 200),
        (CbtHardening.STRICT, "none", 401),
        (CbtHardening.STRICT, "wrong", 401),
        (CbtHardening.NONE, "wrong", 200),
    ],
)
def test_channel_binding_is_checked_over_https(
    serve: Any, spec: Any, raw: Any, level: CbtHardening, token: str, status: int
) -> None:
    with serve([spec(https=True, logon=Logon(cbt=level))]) as served:
        context = ssl.create_default_context(cafile=str(served.lab.authority.path))
        client = raw(served.host, context)
        digest = served.call(lambda: served.lab._trusted.digest)
        options = {"right": _bindings(digest), "wrong": _bindings(b"\1" * 32)}
        given = {"channel_bindings": options[token]} if token in options else {}
        assert client.login(USER, served.lab.account.password, **given) == status


def test_over_https_messages_need_no_sealing_and_the_ca_is_trusted(
    serve: Any, spec: Any, raw: Any, envelope: Any
) -> None:
    with serve([spec(https=True)]) as served:
        client = raw(served.host, ssl.create_default_context(cafile=str(served.lab.authority.path)))
        client.login(USER, served.lab.account.password)
        assert client.post(envelope(GET, OS), Content_Type=SOAP)[0].status == 200


def test_utf16_requests_are_answered_in_utf16(serve: Any, spec: Any, raw: Any, envelope: Any) -> None:
    with serve([spec(https=True)]) as served:
        client = raw(served.host, ssl.create_default_context(cafile=str(served.lab.authority.path)))
        client.login(USER, served.lab.account.password)
        body = envelope(GET, OS).decode().encode("utf-16")
        response, answer = client.post(body, Content_Type="application/soap+xml;charset=UTF-16")
        assert response.headers["Content-Type"] == "application/soap+xml;charset=UTF-16"
        assert "GetResponse" in answer.decode("utf-16")


# The network's failures.


def test_a_refused_port_resets(serve: Any, spec: Any) -> None:
    with serve([spec(network=Network.REFUSED)]) as served, pytest.raises(ConnectionRefusedError):
        socket.create_connection((served.host.address, served.host.port))


def test_a_black_hole_never_completes_a_connection(serve: Any, spec: Any) -> None:
    with serve([spec(network=Network.BLACK_HOLE)]) as served, socket.socket() as wire:
        wire.settimeout(0.3)
        with pytest.raises(TimeoutError):
            wire.connect((served.host.address, served.host.port))


def test_the_name_of_an_unresolvable_pc_is_not_in_dns(serve: Any, spec: Any) -> None:
    with serve([spec(network=Network.UNRESOLVABLE)]) as served:
        assert served.host.address == "pc-1.invalid"


def test_a_bad_certificate_is_not_trusted(serve: Any, spec: Any, raw: Any) -> None:
    with serve([spec(network=Network.BAD_CERTIFICATE)]) as served:
        assert served.host.scheme == "https"
        client = raw(served.host, ssl.create_default_context(cafile=str(served.lab.authority.path)))
        with pytest.raises(ssl.SSLCertVerificationError):
            client.post()


def test_the_wrong_password_pc_refuses_the_labs_password_and_its_neighbour_takes_it(
    serve: Any, spec: Any, raw: Any
) -> None:
    with serve([spec("PC-1", network=Network.WRONG_PASSWORD), spec("PC-2")]) as served:
        statuses = [raw(host).login(USER, served.lab.account.password) for host in served.lab.hosts]
    assert statuses == [401, 200]


@pytest.mark.parametrize("stack", [WINRM_2, WINRM_3])
def test_an_account_the_listener_does_not_admit_is_refused_in_windows_own_shape(
    serve: Any, spec: Any, raw: Any, envelope: Any, stack: Any
) -> None:
    options = ServiceOptions(stack=stack, language="de-DE")
    session = "<p:SessionId>uuid:A</p:SessionId><p:OperationID>uuid:B</p:OperationID>"
    with serve([spec(network=Network.ACCESS_DENIED, options=options)]) as served:
        client = raw(served.host)
        assert client.login(USER, served.lab.account.password) == 200
        response, answer = client.sealed(envelope(GET, OS, extra=session))
    assert response.status == 500
    assert b"<a:Action>http://schemas.dmtf.org/wbem/wsman/1/wsman/fault</a:Action>" in answer
    assert b"RelatesTo" not in answer
    assert b"OperationID" not in answer
    assert (
        b"<s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>w:AccessDenied</s:Value></s:Subcode></s:Code>"
        b'<s:Reason><s:Text xml:lang="">Zugriff verweigert </s:Text></s:Reason><s:Detail>'
        b'<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="5" Machine="pc-1">'
        b"<f:Message>Zugriff verweigert </f:Message></f:WSManFault></s:Detail>"
    ) in answer
    assert served.service.machine.calls == []


def test_a_program_that_may_not_be_started_is_refused_in_another_shape(served: Any, raw: Any, envelope: Any) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    _inject(served, kind="fault", code=2147942405)
    answer = client.sealed(envelope(GET, OS))[1]
    assert b"<s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:InternalError</s:Value></s:Subcode>" in answer
    assert b'<s:Text xml:lang="en-US">Access is denied. </s:Text>' in answer
    assert b'Code="2147942405"' in answer
    assert b"RelatesTo" in answer


def test_a_used_up_quota_is_an_msft_wmierror_without_relates_to(serve: Any, spec: Any, raw: Any, envelope: Any) -> None:
    with serve([spec(network=Network.QUOTA)]) as served:
        client = raw(served.host)
        client.login(USER, served.lab.account.password)
        answer = client.sealed(envelope(GET, OS))[1]
    assert b"2150859174" in answer
    assert b"MSFT_WmiError" in answer
    assert b"RelatesTo" not in answer


def test_a_dying_pc_closes_inside_the_answer(serve: Any, spec: Any, raw: Any, envelope: Any) -> None:
    with serve([spec(network=Network.DIES)]) as served:
        client = raw(served.host)
        client.login(USER, served.lab.account.password)
        with pytest.raises(http.client.IncompleteRead) as broken:
            client.sealed(envelope(GET, OS))
        assert len(broken.value.partial) > 0
        assert len(served.service.machine.calls) == 1


# Injected faults.


def _inject(served: Any, **fields: Any) -> None:
    from provmode.lab.server.injection import Injection

    served.call(served.service.injections.add, Injection.from_json(fields))


@pytest.mark.parametrize(("kind", "executed"), [("drop-before", 0), ("drop-after", 1)])
def test_an_answer_can_be_lost_before_or_after_the_request_is_carried_out(
    served: Any, raw: Any, envelope: Any, kind: str, executed: int
) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    _inject(served, kind=kind, action="Get")
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        client.sealed(envelope(GET, OS))
    assert len(served.service.machine.calls) == executed


def test_an_injection_skips_and_repeats_as_set(served: Any, raw: Any, envelope: Any) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    _inject(served, kind="fault", action="Get", skip=1, times=2, code=2150858793)
    assert [client.sealed(envelope(GET, OS))[0].status for _ in range(4)] == [200, 500, 500, 200]


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"kind": "redirect", "location": "http://elsewhere/"}, 307), ({"kind": "status", "code": 503}, 503)],
)
def test_http_itself_can_go_wrong(served: Any, raw: Any, envelope: Any, fields: dict[str, Any], status: int) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    _inject(served, **fields)
    response, body = client.sealed(envelope(GET, OS))
    assert (response.status, body) == (status, b"")


def test_an_answer_can_be_unencrypted_or_junk(served: Any, raw: Any, envelope: Any) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    _inject(served, kind="plain-text")
    response, body = client.post(seal(client.context, envelope(GET, OS), SOAP), Content_Type=CONTENT_TYPE)
    assert response.headers["Content-Type"] == SOAP
    assert b"GetResponse" in body
    _inject(served, kind="junk", text="<not soap")
    assert client.sealed(envelope(GET, OS))[1] == b"<not soap"


def test_a_stalled_request_is_not_answered_and_frees_the_server_when_the_client_leaves(
    served: Any, raw: Any, envelope: Any
) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    _inject(served, kind="stall")
    client.http.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.sealed(envelope(GET, OS))
    client.close()
    assert raw(served.host).login(USER, served.lab.account.password) == 200


def test_an_unknown_kind_or_field_of_injection_is_refused() -> None:
    from provmode.lab.server.injection import Injection

    with pytest.raises(ValueError, match="explode"):
        Injection.from_json({"kind": "explode"})
    with pytest.raises(ValueError, match="colour"):
        Injection.from_json({"kind": "junk", "colour": 1})


def test_a_pc_slower_than_the_timeout_has_carried_out_the_request(
    serve: Any, spec: Any, raw: Any, envelope: Any
) -> None:
    with serve([spec(options=replace(ServiceOptions(), latency=0.1))]) as served:
        client = raw(served.host)
        client.login(USER, served.lab.account.password)
        request = envelope(GET, OS, OperationTimeout="<w:OperationTimeout>PT0.05S</w:OperationTimeout>")
        response, answer = client.sealed(request)
        assert response.status == 500
        assert b"2150858793" in answer
        assert len(served.service.machine.calls) == 1


def test_the_counters_separate_authentication_from_operations(served: Any, raw: Any, envelope: Any) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    client.sealed(envelope(GET, OS))
    counters = served.service.counters.to_json()
    assert counters["requests"] == 3
    assert counters["handshakes"] == 2
    assert counters["actions"] == {"Get": 1}
    assert counters["processes"] == 0
    assert counters["bytes_in"] > 1000
