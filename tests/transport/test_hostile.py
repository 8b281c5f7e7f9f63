"""A hostile server in the PC's place: any answer becomes one error about this host, in time, and exposes no secret."""

from __future__ import annotations

import base64
import gzip
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from provmode.errors import HostError, ProtocolError, RemoteFault
from provmode.transport.base import LogonForgotten
from provmode.transport.pywinrm import PywinrmConnection, _Sealing
from provmode.transport.session import MAX_RECEIVED, Session
from provmode.transport.target import Counters, Credentials, Deadlines, Endpoint, Target, Trust
from provmode.wsman import Enumerate, Get, Resource

CANARY = "canary-Pa55word-that-nobody-may-see"
CLIENT = Get(Resource.cim("root/ccm", "SMS_Client"))


class Stranger:
    """A raw HTTP server that answers the requests of a connection with prepared answers, in order."""

    def __init__(self, answers: list[bytes | Callable[[socket.socket, bytes], None]]) -> None:
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.received = b""
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            for answer in self._answers:
                request = self._request(connection)
                if not request:
                    break
                if callable(answer):
                    answer(connection, request)
                else:
                    connection.sendall(answer)
        except OSError:
            pass  # the client has closed the connection, as it should
        finally:
            connection.close()

    def _request(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
        self.received += data
        return data

    def close(self) -> None:
        """Stop listening and close all connections."""
        self._listener.close()
        for connection in self._open:
            connection.close()


@contextmanager
def stranger(*answers: Any) -> Iterator[Stranger]:
    """Run a stranger for a test."""
    server = Stranger(list(answers))
    try:
        yield server
    finally:
        server.close()


def session_to(server: Stranger, authentication: Any = "ntlm", scheme: Any = "http", **deadlines: float) -> Session:
    """Return a session to a stranger that uses the canary as its password."""
    waits = {"connect": 5.0, "read": 30.0, "host": 120.0, **deadlines}
    target = Target(
        Endpoint("PC-0001", "127.0.0.1", server.port, scheme),
        Credentials(authentication, "CORP\\auditor", CANARY, basic_over_http=True),
        trust=Trust(),
        deadlines=Deadlines(**waits),
    )
    return Session(target, read_only=True, pause=lambda seconds: None)


def ask(session: Session) -> str:
    """Ask for something; check that it ends in an error of one line, and return the line."""
    try:
        with pytest.raises(HostError) as error:
            session.send(CLIENT)
    finally:
        session.close()
    message = str(error.value)
    assert "\n" not in message
    assert CANARY not in message
    assert CANARY not in repr(error.value)
    assert error.value.__cause__ is None
    return message


def http(status: str, *headers: str, body: bytes = b"", length: int | None = None) -> bytes:
    """Return an HTTP answer."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


SOAP = "Content-Type: application/soap+xml;charset=UTF-8"
OFFER = http("401 Unauthorized", "WWW-Authenticate: Negotiate")


def challenge(flags: int = 0xE28A8235) -> bytes:
    """Return a 401 with an NTLM challenge of these flags (MS-NLMP 2.2.1.2), otherwise as Windows sends it."""
    info = struct.pack("<HH", 2, 8) + "CORP".encode("utf-16-le")
    info += struct.pack("<HHQ", 7, 8, 0x01DB_D1EE_A324_0000) + struct.pack("<HH", 0, 0)  # the time stamp, the end
    name = "CORP".encode("utf-16-le")
    fixed = 56
    message = (
        b"NTLMSSP\0"
        + struct.pack("<I", 2)
        + struct.pack("<HHI", len(name), len(name), fixed)
        + struct.pack("<I", flags)
        + b"\x01\x02\x03\x04\x05\x06\x07\x08"
        + b"\0" * 8
        + struct.pack("<HHI", len(info), len(info), fixed + len(name))
        + b"\x0a\x00\x63\x45\x00\x00\x00\x0f"
        + name
        + info
    )
    return http("401 Unauthorized", f"WWW-Authenticate: Negotiate {base64.b64encode(message).decode()}")


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", body=b"welcome"),
        http("200 OK"),
        http("404 Not Found"),
        http("503 Service Unavailable"),
        http("500 Internal Server Error"),
        http("401 Unauthorized"),
        http("401 Unauthorized", 'WWW-Authenticate: Basic realm="WSMAN"'),
        http("401 Unauthorized", "WWW-Authenticate: Digest, Kerberos"),
        http("407 Proxy Authentication Required", "Proxy-Authenticate: NTLM"),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\0\xff\xfe garbage \r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"",
    ],
)
def test_a_first_answer_that_is_not_winrm_is_one_error(answer: bytes) -> None:
    with stranger(answer) as server:
        ask(session_to(server))


@pytest.mark.parametrize(
    "second",
    [
        http("401 Unauthorized", "WWW-Authenticate: Negotiate"),
        http("401 Unauthorized"),
        http("401 Unauthorized", "WWW-Authenticate: Negotiate !!!notbase64"),
        http("401 Unauthorized", "WWW-Authenticate: Negotiate TlRMTVNTUAACAAAA"),
        http("401 Unauthorized", f"WWW-Authenticate: Negotiate {base64.b64encode(b'x' * 3000).decode()}"),
        http("200 OK"),
        b"",
    ],
)
def test_a_broken_challenge_is_one_error(second: bytes) -> None:
    with stranger(OFFER, second) as server:
        ask(session_to(server))


@pytest.mark.parametrize(
    "status",
    ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"],
)
def test_no_redirect_is_followed_at_any_step(status: str) -> None:
    with stranger() as elsewhere:
        away = http(status, f"Location: http://127.0.0.1:{elsewhere.port}/wsman")
        for answers in ((away,), (OFFER, away), (OFFER, challenge(), away)):
            with stranger(*answers) as server:
                message = ask(session_to(server))
                assert "redirect" in message or "is not WinRM" in message
        assert elsewhere.connections == 0


FAULT = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    b'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value>'
    b"<s:Subcode><s:Value>w:InvalidSelectors</s:Value></s:Subcode></s:Code><s:Reason><s:Text>No such key.</s:Text>"
    b"</s:Reason></s:Fault></s:Body></s:Envelope>"
)
SEALED = "application/HTTP-SPNEGO-session-encrypted"


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error", "503 Service Unavailable"])
@pytest.mark.parametrize("kind", [SEALED, f"multipart/encrypted;protocol={SEALED}", f"text/xml;x='protocol={SEALED}'"])
def test_plain_text_that_calls_itself_sealed_is_not_read(kind: str, status: str) -> None:
    plain = http(status, f"Content-Type: {kind}", body=FAULT)
    with stranger(OFFER, challenge(), http("200 OK"), plain) as server:
        assert "No such key" not in ask(session_to(server))


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
def test_a_stranger_that_accepts_any_login_cannot_answer_in_plain_text(status: str) -> None:
    plain = http(status, SOAP, body=b"<s:Envelope/>")
    with stranger(OFFER, challenge(), http("200 OK"), plain) as server:
        assert "plain text" in ask(session_to(server))


def test_a_stranger_that_asks_for_no_login_gets_no_message() -> None:
    with stranger(http("200 OK"), http("200 OK", SOAP, body=b"x")) as server:
        assert "asked for no authentication" in ask(session_to(server))
        assert b"SMS_Client" not in server.received


def test_a_challenge_without_sealing_never_leads_to_readable_messages() -> None:
    without_seal_and_sign = 0xE28A8235 & ~0x20 & ~0x10
    with stranger(OFFER, challenge(without_seal_and_sign), http("200 OK"), http("200 OK", SOAP, body=b"x")) as server:
        assert "lacks signing, sealing: somebody stands in between" in ask(session_to(server))
        assert b"SMS_Client" not in server.received


def test_a_forged_seal_is_one_error() -> None:
    boundary = b"--Encrypted Boundary\r\n"
    body = (
        boundary + b"\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n"
        b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=5\r\n"
        + boundary
        + b"\tContent-Type: application/octet-stream\r\n"
        + struct.pack("<i", 16)
        + b"\1" * 21
        + b"--Encrypted Boundary--\r\n"
    )
    kind = (
        'Content-Type: multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";'
        'boundary="Encrypted Boundary"'
    )
    for damaged in (
        body,
        body[:40],
        body.replace(b"Length=5", b"Length=x"),
        b"",
        body.replace(b"\x10\0\0\0", b"\xff\xff\xff\x7f"),
    ):
        with stranger(OFFER, challenge(), http("200 OK"), http("200 OK", kind, body=damaged)) as server:
            ask(session_to(server))


def endless(head: bytes, piece: bytes) -> Callable[[socket.socket, bytes], None]:
    """Send *head* and then *piece* for as long as the client listens."""

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"A" * 65536 + b"\r\n"),
        endless(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 99999999999\r\n\r\n", b"A" * 65536),
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"A" * 1000 + b"\r\n"),
        endless(b"HTTP/1.1 200 OK\r\nX: ", b"A" * 65536),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_an_endless_answer_is_an_error(answer: Any) -> None:
    with stranger(answer) as server:
        ask(session_to(server, read=1.0))
    with stranger(answer) as server:
        ask(session_to(server, "basic", read=1.0))


def test_an_answer_that_stops_half_way_is_one_error() -> None:
    with stranger(http("200 OK", SOAP, body=b"<s:Env", length=500)) as server:
        ask(session_to(server, "basic"))


def test_silence_ends_at_the_read_deadline() -> None:
    def silent(connection: socket.socket, _: bytes) -> None:
        connection.recv(1)

    with stranger(silent) as server:
        assert "read deadline" in ask(session_to(server, read=1.0))


LAUGHS = (
    b'<!DOCTYPE lol [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>&b;</s:Body></s:Envelope>'
)


@pytest.mark.parametrize(
    "body",
    [
        LAUGHS,
        b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        b"<a>" * 100_000,
        b"<a>" * 5000 + b"</a>" * 5000,
        b"\0" * 1000,
        b"<html>login</html>",
        b'<?xml version="1.0" encoding="utf-7"?><a/>',
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>',
        b'<e:Envelope xmlns:e="x"><e:Body><e:Fault/></e:Body></e:Envelope>',
    ],
)
def test_hostile_xml_is_one_error(body: bytes) -> None:
    with stranger(http("200 OK", SOAP, body=body)) as server:
        ask(session_to(server, "basic"))


@pytest.mark.parametrize(
    "status", ["400 Bad Request", "404 Not Found", "500 Internal Server Error", "503 Service Unavailable"]
)
def test_a_fault_is_read_whatever_its_http_status(status: str) -> None:
    with stranger(http(status, SOAP, body=FAULT)) as server:
        session = session_to(server, "basic")
        with pytest.raises(RemoteFault, match="InvalidSelectors: No such key") as error:
            session.send(CLIENT)
        session.close()

    assert error.value.kind == "invalid"


@pytest.mark.parametrize("kind", ["Content-Type: text/html", "Content-Type: text/xml", "X-Nothing: 1"])
def test_an_error_page_is_not_read_as_a_fault(kind: str) -> None:
    with stranger(http("503 Service Unavailable", kind, body=FAULT)) as server:
        message = ask(session_to(server, "basic"))

    assert "HTTP 503: the WinRM service is not listening" in message
    assert "No such key" not in message


def test_an_answer_with_an_error_status_that_is_not_a_fault_is_refused() -> None:
    object_ = (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><SMS_Client>'
        b"<ClientVersion>5</ClientVersion></SMS_Client></s:Body></s:Envelope>"
    )
    with stranger(http("503 Service Unavailable", SOAP, body=object_)) as server:
        assert "HTTP 503 with an answer that is not a fault" in ask(session_to(server, "basic"))


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "503 Service Unavailable"])
def test_a_fault_in_plain_text_is_not_read_if_encryption_is_in_force(status: str) -> None:
    with stranger(OFFER, challenge(), http("200 OK"), http(status, SOAP, body=FAULT)) as server:
        assert "No such key" not in ask(session_to(server))


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
def test_an_empty_answer_is_called_so(status: str) -> None:
    with stranger(http(status, SOAP)) as server:
        message = ask(session_to(server, "basic"))

    assert f"HTTP {status[:3]} without a word" in message
    assert "AllowUnencrypted" in message


def envelope(body: str) -> bytes:
    """Return an answer with this body."""
    soap = f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{body}</s:Body></s:Envelope>'
    return http("200 OK", SOAP, body=soap.encode())


def test_an_enumeration_without_an_end_is_an_error_long_before_it_fills_the_memory() -> None:
    item = f"<p:A xmlns:p='u'><p:Name>{'x' * 1_900_000}</p:Name></p:A>"
    context = "<EnumerationContext>c</EnumerationContext>"
    first = envelope(f"<EnumerateResponse>{context}</EnumerateResponse>")
    page = envelope(f"<PullResponse>{context}<Items>{item}</Items></PullResponse>")
    pages = MAX_RECEIVED // len(page) + 1
    with stranger(first, *[page] * (pages + 10)) as server:
        session = session_to(server, "basic")
        with pytest.raises(ProtocolError, match="sent over 64 MiB in answer to Enumerate") as error:
            session.send(Enumerate(Resource.cim("root/cimv2", "Win32_Process")))
        received = session.counters.bytes_received
        session.close()

    assert "\n" not in str(error.value)
    assert MAX_RECEIVED < received < MAX_RECEIVED + 2 * len(page)


def test_others_have_their_turn_before_a_large_answer_is_read() -> None:
    turns: list[float] = []
    small, large = "<SMS_Client/>", f"<SMS_Client><A>{'x' * 70_000}</A></SMS_Client>"
    with stranger(envelope(small), envelope(large)) as server:
        session = session_to(server, "basic")
        session._pause = turns.append
        session.send(CLIENT)
        before = list(turns)
        session.send(CLIENT)
        session.close()

    assert before == []
    assert turns == [0.0]


def test_an_answer_to_another_message_is_refused() -> None:
    body = (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        b'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"><s:Header>'
        b"<a:Action>http://schemas.xmlsoap.org/ws/2004/09/transfer/GetResponse</a:Action>"
        b"<a:RelatesTo>uuid:0</a:RelatesTo></s:Header><s:Body><SMS_Client/></s:Body></s:Envelope>"
    )
    with stranger(http("200 OK", SOAP, body=body)) as server:
        assert "another message" in ask(session_to(server, "basic"))


def test_a_compression_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, 9)
    with stranger(http("200 OK", SOAP, "Content-Encoding: gzip", body=bomb)) as server:
        ask(session_to(server, "basic"))


def test_proxies_and_passwords_in_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    with stranger(http("200 OK")) as proxy, stranger(http("404 Not Found")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password stolen\n")
        ask(session_to(server))

        assert proxy.connections == 0
        assert base64.b64encode(b"thief:stolen") not in server.received


def test_the_password_never_crosses_the_wire_readable_with_ntlm() -> None:
    with stranger(OFFER, challenge(), http("401 Unauthorized", "WWW-Authenticate: Negotiate")) as server:
        assert "refused" in ask(session_to(server))
        assert CANARY.encode() not in server.received
        assert CANARY.encode("utf-16-le") not in server.received


@pytest.mark.parametrize("authentication", ["ntlm", "kerberos", "credssp"])
def test_a_refusal_of_a_sealed_message_is_not_answered_by_the_library(authentication: Any) -> None:
    offered: list[int] = []

    class Sealed:
        """pywinrm's sealing, with a library that would log on again and send the message again."""

        def prepare_encrypted_request(self, session: requests.Session, url: str, message: bytes) -> Any:
            request = session.prepare_request(requests.Request("POST", url, data=message))
            request.register_hook("response", lambda response, **_: offered.append(response.status_code))
            return request

    with stranger(OFFER) as server:
        target = session_to(server, authentication).target
        connection = PywinrmConnection(target, counters=Counters(), seconds=time.monotonic)
        connection.dial()
        transport = connection._transport = _Sealing(target.endpoint.url, username="u", password=CANARY)
        transport.owner = connection
        session = requests.Session()
        transport.prepare(session)
        transport.encryption, transport.template = Sealed(), session
        connection._authenticated = True
        connection._handshake.sound = True

        with pytest.raises(LogonForgotten) as lost:
            connection.exchange(b"sealed")
        connection.close()

    assert lost.value.sent
    assert offered == []


@pytest.mark.parametrize("authentication", ["ntlm", "basic"])
def test_a_port_that_speaks_no_tls_is_called_so(authentication: Any) -> None:
    class WithoutTls(Stranger):
        def _request(self, connection: socket.socket) -> bytes:
            return connection.recv(65536)  # the client's greeting

    server = WithoutTls([http("400 Bad Request")])
    try:
        message = ask(session_to(server, authentication, scheme="https"))
    finally:
        server.close()

    assert "check that the port is the HTTPS listener (5986)" in message
    assert server.connections == 1
