"""A hostile server in the PC's place: any answer becomes one error about this host, in time, and exposes no secret."""

from __future__ import annotations

import base64
import gzip
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import requests

from provmode.errors import AuthenticationFailed, Cause, DeadlineExceeded, HostError, ProtocolError, RemoteFault
from provmode.transport.base import LogonForgotten, LogonNotSent
from provmode.transport.framing import MAX_ANSWER
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


def session_to(
    server: Stranger, authentication: Any = "ntlm", scheme: Any = "http", *, stack: Any = "lean", **deadlines: float
) -> Session:
    """Return a session to a stranger that uses the canary as its password."""
    waits = {"connect": 5.0, "read": 30.0, "host": 120.0, **deadlines}
    target = Target(
        Endpoint("PC-0001", "127.0.0.1", server.port, scheme),
        Credentials(authentication, "CORP\\auditor", CANARY, basic_over_http=True),
        trust=Trust(),
        deadlines=Deadlines(**waits),
        stack=stack,
    )
    return Session(target, read_only=True, pause=lambda seconds: None)


def ask(session: Session) -> HostError:
    """Ask for something; check that it ends in an error of one line without the password, and return the error."""
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
    return error.value


Said = tuple[type[HostError], Cause, str]
"""The kind of an error, its cause, and its whole line without the address and the name of a library's exception."""


def said(error: HostError) -> Said:
    """Return what an error tells the program and the reader."""
    return type(error), error.cause, re.sub(r" \((?:127\.0\.0\.1:\d+|\w+Error)\)", "", str(error))


def not_winrm(what: str, next_step: str = "find out what answers on that port") -> Said:
    """Return the error about a server that is something else than WinRM, or behaves as WinRM never does."""
    return ProtocolError, Cause.PROTOCOL, f"PC-0001 {what}; {next_step}"


def not_soap(what: str) -> Said:
    """Return the error about an answer that is something else than WS-Management."""
    return not_winrm(f"answered with something that is not WS-Management: {what}")


NO_LOGIN = not_winrm("asked for no authentication, which WinRM never does")
NO_LISTENER = not_winrm(
    "answered HTTP 404: no WinRM listener under /wsman", "check winrm_path and the port (winrm enumerate listener)"
)
NOT_LISTENING = not_winrm("answered HTTP 503: the WinRM service is not listening", "start the service WinRM on the PC")
PLAIN_TEXT = not_winrm("answered in plain text although encryption is in force; the answer was not read")
NOT_NTLM = not_winrm("answered the handshake with something that is not NTLM")
NO_HANDSHAKE = not_winrm("answered authentication with something that is not WinRM")
BAD_SEAL = not_winrm("answered a message with something that is not WinRM")
TOO_LARGE = not_winrm("sent an answer of over 8 MiB")
BROKEN_OFF = not_winrm(
    "broke off the connection in the middle of authentication, after 2 logons in a row",
    "look at the PC's WinRM service; not tried again, accounts lock",
)
CUT_SHORT = not_winrm(
    "broke off the connection in the middle of a message (4 attempts)", "look at the PC's WinRM service"
)


def refused(kind: type[HostError], what: str, next_step: str) -> Said:
    """Return the error about a refused logon."""
    return kind, Cause.AUTH, f"PC-0001 {what}; {next_step}"


def other_scheme(offered: str) -> Said:
    """Return the error about a PC that does not offer what is wanted; nothing about the account was sent to it."""
    return refused(LogonNotSent, f"offers {offered}, not ntlm", ENABLE)


ENABLE = (
    "set winrm_transport to what the PC offers, or enable it on the PC "
    '(winrm set winrm/config/service/auth @{Negotiate="true"})'
)
NOTHING_OFFERED = refused(LogonNotSent, "asked for an account and offered no authentication (HTTP 401)", ENABLE)
NTLM_ENDED = refused(
    LogonNotSent,
    "offers Negotiate and ended it at NTLM's first message",
    "it began no NTLM: NTLM may be switched off there (policy Restrict NTLM); use winrm_transport kerberos, or allow "
    "it",
)
REFUSED_USER = refused(
    AuthenticationFailed,
    "refused CORP\\auditor (ntlm)",
    "check user and password, and whether the account is locked, disabled or expired; use winrm_transport kerberos if "
    "the domain restricts NTLM or the account is a Protected User; not tried again, accounts lock",
)


def too_late(what: str) -> Said:
    return (
        DeadlineExceeded,
        Cause.DEADLINE,
        f"PC-0001 did not answer {what} within 1 s (read deadline); the PC is overloaded or asleep; try again, or raise"
        " winrm_read_deadline",
    )


def http(status: str, *headers: str, body: bytes = b"", length: int | None = None) -> bytes:
    """Return an HTTP answer."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def not_http(stack: str, reason: str, pywinrm: Said) -> Said:
    """Return the error about an answer to the logon that is not HTTP, of which pywinrm's stack knows less."""
    return (
        pywinrm
        if stack == "pywinrm"
        else not_winrm(f"answered authentication with something that is not WinRM ({reason})")
    )


def begun(stack: str) -> list[bytes]:
    """Return what comes before a challenge: pywinrm asks without a token first."""
    return [OFFER] if stack == "pywinrm" else []


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
    ("answer", "expected"),
    [
        (http("200 OK", body=b"welcome"), NO_LOGIN),
        (http("200 OK"), NO_LOGIN),
        (http("404 Not Found"), NO_LISTENER),
        (http("503 Service Unavailable"), NOT_LISTENING),
        (http("500 Internal Server Error"), NO_LOGIN),
        (http("401 Unauthorized"), NOTHING_OFFERED),
        (http("401 Unauthorized", 'WWW-Authenticate: Basic realm="WSMAN"'), other_scheme("Basic")),
        (http("401 Unauthorized", "WWW-Authenticate: Digest, Kerberos"), other_scheme("Digest, Kerberos")),
        (
            http("407 Proxy Authentication Required", "Proxy-Authenticate: NTLM"),
            not_winrm("asked for a proxy's account (HTTP 407), which WinRM never does; nothing more was sent"),
        ),
        (b"", BROKEN_OFF),
    ],
)
def test_a_first_answer_that_is_not_winrm_is_one_error(answer: bytes, expected: Said, stack: Any) -> None:
    with stranger(answer) as server:
        assert said(ask(session_to(server, stack=stack))) == expected


@pytest.mark.parametrize(
    ("answer", "reason", "pywinrm"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "it does not begin as HTTP/1.1 does", BROKEN_OFF),
        (b"\0\xff\xfe garbage \r\n\r\n", "it does not begin as HTTP/1.1 does", BROKEN_OFF),
        (b"HTTP/1.1 banana\r\n\r\n", "a status line that is none", BROKEN_OFF),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "a length that is not a number", NO_LOGIN),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n", "a chunk without a size", BROKEN_OFF),
    ],
)
def test_a_first_answer_that_is_not_http_is_one_error(answer: bytes, reason: str, pywinrm: Said, stack: Any) -> None:
    with stranger(answer) as server:
        assert said(ask(session_to(server, stack=stack))) == not_http(stack, reason, pywinrm)


def test_two_answers_to_one_request_are_one_error() -> None:
    with stranger(challenge() + challenge()) as server:
        expected = not_http("lean", "more than one answer to one request", BROKEN_OFF)
        assert said(ask(session_to(server))) == expected


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"x"])
def test_an_answer_that_comes_before_the_request_is_one_error(extra: bytes) -> None:
    connected, sent = threading.Event(), threading.Event()

    def accept_and_go_on(connection: socket.socket, _: bytes) -> None:
        connection.sendall(http("200 OK"))
        assert connected.wait(10)
        connection.sendall(extra)
        sent.set()

    with stranger(challenge(), accept_and_go_on) as server:
        session = session_to(server)
        session.connect()
        connected.set()
        assert sent.wait(10)
        assert select.select([session._connection._socket], [], [], 10)[0]  # type: ignore[union-attr]  # it has come
        error = ask(session)

    assert "something that is not WinRM (an answer that nobody asked for)" in str(error)
    assert b"SMS_Client" not in server.received


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (http("401 Unauthorized", "WWW-Authenticate: Negotiate"), NTLM_ENDED),
        (http("401 Unauthorized"), NOTHING_OFFERED),
        (http("401 Unauthorized", "WWW-Authenticate: Negotiate !!!notbase64"), NOT_NTLM),
        (http("401 Unauthorized", "WWW-Authenticate: Negotiate TlRMTVNTUAACAAAA"), NOT_NTLM),
        (
            http("401 Unauthorized", f"WWW-Authenticate: Negotiate {base64.b64encode(b'x' * 3000).decode()}"),
            NOT_NTLM,
        ),
        (http("200 OK"), NO_LOGIN),
        (b"", BROKEN_OFF),
    ],
)
def test_a_broken_challenge_is_one_error(second: bytes, expected: Said, stack: Any) -> None:
    if stack == "pywinrm" and expected in (NOTHING_OFFERED, NO_LOGIN):
        expected = NO_HANDSHAKE  # requests-ntlm finds no header that it could read
    with stranger(*begun(stack), second) as server:
        assert said(ask(session_to(server, stack=stack))) == expected


@pytest.mark.parametrize(
    "status",
    ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"],
)
def test_no_redirect_is_followed_at_any_step(status: str, stack: Any) -> None:
    redirect = not_winrm(f"answered with a redirect (HTTP {status[:3]}), which WinRM never does; it was not followed")
    with stranger() as elsewhere:
        away = http(status, f"Location: http://127.0.0.1:{elsewhere.port}/wsman")
        second = redirect if stack == "lean" else NO_HANDSHAKE
        steps = (((away,), redirect), ((*begun(stack), away), second), ((*begun(stack), challenge(), away), redirect))
        for answers, expected in steps:
            with stranger(*answers) as server:
                assert said(ask(session_to(server, stack=stack))) == expected
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
def test_plain_text_that_calls_itself_sealed_is_not_read(kind: str, status: str, stack: Any) -> None:
    plain = http(status, f"Content-Type: {kind}", body=FAULT)
    with stranger(*begun(stack), challenge(), http("200 OK"), plain) as server:
        assert said(ask(session_to(server, stack=stack))) == (NOT_LISTENING if status.startswith("503") else PLAIN_TEXT)


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
def test_a_stranger_that_accepts_any_login_cannot_answer_in_plain_text(status: str, stack: Any) -> None:
    plain = http(status, SOAP, body=b"<s:Envelope/>")
    with stranger(*begun(stack), challenge(), http("200 OK"), plain) as server:
        assert said(ask(session_to(server, stack=stack))) == PLAIN_TEXT


def test_a_stranger_that_asks_for_no_login_gets_no_message(stack: Any) -> None:
    with stranger(http("200 OK"), http("200 OK", SOAP, body=b"x")) as server:
        assert said(ask(session_to(server, stack=stack))) == NO_LOGIN
        assert b"SMS_Client" not in server.received


def test_a_challenge_without_sealing_never_leads_to_readable_messages(stack: Any) -> None:
    without_seal_and_sign = 0xE28A8235 & ~0x20 & ~0x10
    with stranger(
        *begun(stack), challenge(without_seal_and_sign), http("200 OK"), http("200 OK", SOAP, body=b"x")
    ) as server:
        assert said(ask(session_to(server, stack=stack))) == (
            ProtocolError,
            Cause.PROTOCOL,
            "the NTLM handshake with PC-0001 lacks signing, sealing: somebody stands in between, or the PC is set to"
            " weaker security; nothing more was sent; do not go on; find out who, or compare the PC's NTLM settings"
            " with those of a PC that works",
        )
        assert b"SMS_Client" not in server.received


def test_a_forged_seal_is_one_error(stack: Any) -> None:
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
    empty = not_winrm(
        "answered HTTP 200 without a word (an empty body)",
        "look at the PC's WinRM event log (Microsoft-Windows-WinRM/Operational)",
    )
    for damaged, expected in (
        (body, BAD_SEAL),
        (body[:40], BAD_SEAL),
        (body.replace(b"Length=5", b"Length=x"), BAD_SEAL),
        (b"", empty),
        (body.replace(b"\x10\0\0\0", b"\xff\xff\xff\x7f"), BAD_SEAL),
    ):
        with stranger(*begun(stack), challenge(), http("200 OK"), http("200 OK", kind, body=damaged)) as server:
            assert said(ask(session_to(server, stack=stack))) == expected


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
    ],
)
@pytest.mark.parametrize("authentication", ["ntlm", "basic"])
def test_an_endless_body_is_given_up_at_eight_mebibytes(answer: Any, authentication: str, stack: Any) -> None:
    with stranger(answer) as server:
        session = session_to(server, authentication, read=10.0, stack=stack)
        assert said(ask(session)) == TOO_LARGE
        if (
            stack == "lean"
            and authentication == "ntlm"
            and "Content-Length" in str(answer.__closure__[0].cell_contents)
        ):
            assert session.counters.bytes_received < 2**20  # the length says enough
        else:
            assert MAX_ANSWER < session.counters.bytes_received < MAX_ANSWER + 2**20


def test_an_answer_of_just_eight_mebibytes_is_read_and_one_byte_more_is_not() -> None:
    empty = len(http("200 OK", SOAP, length=2**23))
    page = b"<html>".ljust(2**23 - empty - len("</html>")) + b"</html>"
    read = not_soap(f"{len(page):,} bytes, over the limit of 2,097,152")
    for body, expected in ((page, read), (page + b" ", TOO_LARGE)):
        with stranger(http("200 OK", SOAP, body=body)) as server:
            assert said(ask(session_to(server, "basic", read=10.0))) == expected


@pytest.mark.parametrize(
    "answer",
    [
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"A" * 1000 + b"\r\n"),
        endless(b"HTTP/1.1 200 OK\r\nX: ", b"A" * 65536),
    ],
)
def test_endless_headers_are_given_up_long_before_that(answer: Any, stack: Any) -> None:
    too_long = not_http(stack, "a head of over 65536 bytes", BROKEN_OFF)
    for authentication, expected in (("ntlm", too_long), ("basic", CUT_SHORT)):
        with stranger(answer) as server:
            session = session_to(server, authentication, read=10.0, stack=stack)
            assert said(ask(session)) == expected
            assert session.counters.bytes_received < 2**20


@pytest.mark.parametrize("authentication", ["ntlm", "basic"])
def test_an_endless_beginning_is_given_up_at_eight_mebibytes_too(authentication: Any, stack: Any) -> None:
    with stranger(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4000)) as server:
        assert said(ask(session_to(server, authentication, read=30.0, stack=stack))) == TOO_LARGE


@pytest.mark.parametrize(("authentication", "what"), [("ntlm", "authentication"), ("basic", "a message")])
def test_a_beginning_that_nothing_follows_is_given_up_at_the_read_deadline(
    authentication: Any, what: str, stack: Any
) -> None:
    def begin_and_wait(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.recv(1)  # until the client gives up

    with stranger(begin_and_wait) as server:
        assert said(ask(session_to(server, authentication, read=1.0, stack=stack))) == too_late(what)


def test_an_answer_that_stops_half_way_is_one_error() -> None:
    with stranger(http("200 OK", SOAP, body=b"<s:Env", length=500)) as server:
        assert said(ask(session_to(server, "basic"))) == CUT_SHORT


def test_silence_ends_at_the_read_deadline(stack: Any) -> None:
    def silent(connection: socket.socket, _: bytes) -> None:
        connection.recv(1)

    with stranger(silent) as server:
        assert said(ask(session_to(server, read=1.0, stack=stack))) == too_late("authentication")


LAUGHS = (
    b'<!DOCTYPE lol [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>&b;</s:Body></s:Envelope>'
)


DOCUMENT_TYPE = "it has a document type or entity declaration, which SOAP 1.2 part 1 section 5 forbids"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (LAUGHS, DOCUMENT_TYPE),
        (b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', DOCUMENT_TYPE),
        (b"<a>" * 100_000, "not well-formed XML (no element found: line 1, column 300000)"),
        (b"<a>" * 5000 + b"</a>" * 5000, "nested more than 64 deep"),
        (b"\0" * 1000, "not well-formed XML (a NUL character)"),
        (b"<html>login</html>", "expected a SOAP Envelope, got 'html'"),
        (
            b'<?xml version="1.0" encoding="utf-7"?><a/>',
            "declared as utf-7; WS-Management is UTF-8 or UTF-16 (DSP0226 section 13)",
        ),
        (
            b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>',
            "expected an object, got an empty body",
        ),
    ],
)
def test_hostile_xml_is_one_error(body: bytes, what: str) -> None:
    with stranger(http("200 OK", SOAP, body=body)) as server:
        assert said(ask(session_to(server, "basic"))) == not_soap(what)


def test_a_fault_in_a_namespace_of_its_own_is_read_as_a_fault_without_a_code() -> None:
    body = b'<e:Envelope xmlns:e="x"><e:Body><e:Fault/></e:Body></e:Envelope>'
    with stranger(http("200 OK", SOAP, body=body)) as server:
        assert said(ask(session_to(server, "basic"))) == (
            RemoteFault,
            Cause.PROTOCOL,
            "PC-0001 answered Get SMS_Client with a fault: a fault without a code",
        )


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
        assert said(ask(session_to(server, "basic"))) == NOT_LISTENING


def test_an_answer_with_an_error_status_that_is_not_a_fault_is_refused() -> None:
    object_ = (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><SMS_Client>'
        b"<ClientVersion>5</ClientVersion></SMS_Client></s:Body></s:Envelope>"
    )
    with stranger(http("503 Service Unavailable", SOAP, body=object_)) as server:
        assert said(ask(session_to(server, "basic"))) == not_soap("HTTP 503 with an answer that is not a fault")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("404 Not Found", NO_LISTENER),
        ("500 Internal Server Error", PLAIN_TEXT),
        ("503 Service Unavailable", NOT_LISTENING),
    ],
)
def test_a_fault_in_plain_text_is_not_read_if_encryption_is_in_force(status: str, expected: Said, stack: Any) -> None:
    with stranger(*begun(stack), challenge(), http("200 OK"), http(status, SOAP, body=FAULT)) as server:
        assert said(ask(session_to(server, stack=stack))) == expected


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
def test_an_empty_answer_is_called_so(status: str) -> None:
    with stranger(http(status, SOAP)) as server:
        assert said(ask(session_to(server, "basic"))) == not_winrm(
            f"answered HTTP {status[:3]} without a word (an empty body)",
            "it probably takes no unencrypted messages (AllowUnencrypted): use https, or winrm_transport ntlm",
        )


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
        assert said(ask(session_to(server, "basic"))) == not_soap("the answer relates to another message than ours")


def test_a_compression_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000, 9)
    with stranger(http("200 OK", SOAP, "Content-Encoding: gzip", body=bomb)) as server:
        assert said(ask(session_to(server, "basic", read=10.0))) == (
            ProtocolError,
            Cause.PROTOCOL,
            "the PC sent a compressed answer ('gzip'), which was not asked for; it was not unpacked; find out what"
            " answers on that port",
        )


def test_proxies_and_passwords_in_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, stack: Any
) -> None:
    with stranger(http("200 OK")) as proxy, stranger(http("404 Not Found")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password stolen\n")
        assert said(ask(session_to(server, stack=stack))) == NO_LISTENER

        assert proxy.connections == 0
        assert base64.b64encode(b"thief:stolen") not in server.received


def test_the_password_never_crosses_the_wire_readable_with_ntlm(stack: Any) -> None:
    with stranger(*begun(stack), challenge(), http("401 Unauthorized", "WWW-Authenticate: Negotiate")) as server:
        assert said(ask(session_to(server, stack=stack))) == REFUSED_USER
        assert CANARY.encode() not in server.received
        assert CANARY.encode("utf-16-le") not in server.received


@pytest.mark.parametrize("authentication", ["ntlm", "kerberos"])
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
        if authentication == "kerberos":
            target = replace(target, credentials=replace(target.credentials, user="auditor@CORP.EXAMPLE"))
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
def test_a_port_that_speaks_no_tls_is_called_so(authentication: Any, stack: Any) -> None:
    class WithoutTls(Stranger):
        def _request(self, connection: socket.socket) -> bytes:
            return connection.recv(65536)  # the client's greeting

    server = WithoutTls([http("400 Bad Request")])
    try:
        message = str(ask(session_to(server, authentication, scheme="https", stack=stack)))
    finally:
        server.close()

    assert "check that the port is the HTTPS listener (5986)" in message
    assert server.connections == 1
