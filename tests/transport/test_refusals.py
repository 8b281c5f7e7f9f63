"""Unlike causes have their own words: HTTP in front of WinRM, TLS, certificates and refused accounts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from provmode.errors import AuthenticationFailed, Cause, CertificateUntrusted, HostError, ProtocolError
from provmode.lab.process import Host, LabProcess
from provmode.transport import refusals
from provmode.transport.base import LogonNotSent
from provmode.transport.session import Session
from provmode.transport.target import Credentials, Deadlines, Endpoint, Target, Trust
from provmode.wsman import Get, Resource

Answer = Callable[..., int]
CLIENT = Get(Resource.cim("root/ccm", "SMS_Client"))
UAC = "LocalAccountTokenFilterPolicy"
LIMITS = "MaxFieldLength"


@pytest.fixture
def answering() -> Iterator[Answer]:
    """Listen on a port that gives each of these answers to one request, on every connection, and then closes it."""
    listeners: list[socket.socket] = []

    def listen(*answers: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    try:
                        for answer in answers:
                            peer.recv(65536)
                            peer.sendall(answer)
                    except OSError:
                        continue  # the client closed the connection

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield listen
    for listener in listeners:
        listener.close()


def http(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


def error_of(port: int, authentication: Any = "ntlm", scheme: Any = "http", user: str = "LAB\\x") -> HostError:
    """Return the error with which a question to this port ends."""
    target = Target(
        Endpoint("PC-1", "127.0.0.1", port, scheme),
        Credentials(authentication, user, "p", basic_over_http=True),
        trust=Trust(),
        deadlines=Deadlines(connect=5, read=5, host=30),
    )
    session = Session(target, read_only=True, pause=lambda seconds: None)
    try:
        with pytest.raises(HostError) as error:
            session.send(CLIENT)
    finally:
        session.close()
    return error.value


WINDOWS = "Server: Microsoft-HTTPAPI/2.0"


@pytest.mark.parametrize(
    ("answer", "what", "next_step"),
    [
        (http("400 Bad Request", WINDOWS, body=b"<h2>Bad Request - Request Too Long</h2>"), "as too long", LIMITS),
        (http("400 Bad Request", WINDOWS, body=b"HTTP Error 400. A request header field"), "as too long", LIMITS),
        (http("431 Request Header Fields Too Large"), "as too long", LIMITS),
        (http("400 Bad Request", WINDOWS, body=b"<h2>Bad Request - Invalid Hostname</h2>"), "127.0.0.1", "own name"),
        (http("400 Bad Request", WINDOWS, body=b"<h2>Bad Request - Invalid Verb</h2>"), "understand", "winrm_scheme"),
        (http("400 Bad Request", WINDOWS), "before WinRM saw it", LIMITS),
        (http("400 Bad Request", body=b"The plain HTTP request was sent to HTTPS port"), "HTTPS", "winrm_scheme https"),
        (http("400 Bad Request", "Server: nginx"), "not an answer of WinRM", "check the port"),
        (http("403 Forbidden"), "forbidden", "proxy or filter"),
        (http("404 Not Found"), "no WinRM listener under /wsman", "winrm_path"),
        (http("502 Bad Gateway"), "a proxy on the way", "look at the proxy"),
        (http("503 Service Unavailable"), "not listening", "start the service WinRM"),
    ],
)
def test_each_http_status_has_its_own_words(answering: Answer, answer: bytes, what: str, next_step: str) -> None:
    error = error_of(answering(answer))

    assert isinstance(error, ProtocolError)
    assert what in error.what
    assert next_step in error.next_step


# -- ports of the other scheme --------------------------------------------------------------------------------------


@pytest.mark.parametrize("authentication", ["ntlm", "basic"])
def test_plain_http_to_an_https_listener_is_called_so(
    secure_lab: LabProcess, of_persona: Any, authentication: str
) -> None:
    port = of_persona(secure_lab, "healthy").port

    error = error_of(port, authentication)

    assert "was spoken to in plain HTTP and speaks TLS" in error.what
    assert error.to_mend, "trying again does not help"
    assert "set winrm_scheme https" in error.next_step


def test_a_tls_alert_in_answer_to_plain_http_is_recognised(answering: Answer) -> None:
    assert "speaks TLS" in error_of(answering(b"\x15\x03\x01\x00\x02\x02\x16")).what


def test_a_port_that_closes_and_speaks_no_tls_is_not_called_https(answering: Answer) -> None:
    assert "TLS" not in str(error_of(answering(b"")))


def test_tls_to_a_port_that_stays_silent_is_a_fault_of_tls(lab: LabProcess, healthy: Host) -> None:
    error = error_of(healthy.port, scheme="https")

    assert error.cause is Cause.TLS
    assert "set winrm_scheme http" in error.next_step


def test_tls_to_a_port_that_closes_is_a_fault_of_tls(answering: Answer) -> None:
    error = error_of(answering(b""), scheme="https")

    assert error.cause is Cause.TLS
    assert "set winrm_scheme http" in error.next_step


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("WRONG_VERSION_NUMBER", "winrm_scheme http"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "enable TLS 1.2"),
        ("UNSUPPORTED_PROTOCOL", "enable TLS 1.2"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "cipher"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "set winrm_certificate"),
        ("TLSV1_ALERT_UNKNOWN_CA", "refuses the client certificate"),
        ("UNEXPECTED_EOF_WHILE_READING", "no certificate"),
    ],
)
def test_each_failure_of_tls_has_its_own_cure(reason: str, words: str) -> None:
    assert words in refusals.tls(reason)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (9, "clock"),
        (10, "expired"),
        (18, "self-signed"),
        (19, "set winrm_ca"),
        (20, "set winrm_ca"),
        (26, "Server Aut"),
    ],
)
def test_each_reason_to_distrust_a_certificate_has_its_own_cure(code: int, words: str) -> None:
    assert words in refusals.certificate(code)


@pytest.mark.parametrize("code", [62, 64])
def test_a_certificate_for_another_name_is_not_blamed_on_the_ca(code: int) -> None:
    assert "connect by a name that the certificate carries" in refusals.certificate(code)
    assert "winrm_ca" not in refusals.certificate(code)


def test_the_reason_is_the_one_that_openssl_gives(
    secure_lab: LabProcess, of_persona: Any, connect: Callable[..., Session]
) -> None:
    with pytest.raises(CertificateUntrusted, match="it is self-signed"):
        connect(secure_lab, of_persona(secure_lab, "bad-certificate")).connect()


# -- accounts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", [".\\admin", "admin", "PC-1\\admin"])
def test_a_local_account_may_be_filtered_by_uac(user: str) -> None:
    words = refusals.account(Endpoint("PC-1", "PC-1"), Credentials("ntlm", user), "pc-1")

    assert UAC in words
    assert "accounts lock" in words
    assert UAC in refusals.denied(user, "PC-1")


@pytest.mark.parametrize("user", ["CORP\\admin", "admin@corp.example"])
def test_an_account_of_the_domain_is_not_told_about_uac(user: str) -> None:
    words = refusals.account(Endpoint("PC-1", "PC-1"), Credentials("ntlm", user), "PC-1")

    assert UAC not in words
    assert "Protected User" in words
    assert UAC not in refusals.denied(user, "PC-1")


def test_a_refused_local_account_is_told_about_uac_by_the_name_in_the_challenge(
    lab: LabProcess, healthy: Host, connect: Callable[..., Session], make_target: Callable[..., Target]
) -> None:
    target = make_target(lab, healthy, password="wrong")
    account = Credentials("ntlm", f"{healthy.name}\\admin", "wrong")
    session = Session(Target(target.endpoint, account, deadlines=target.deadlines), read_only=True)

    with pytest.raises(AuthenticationFailed, match=UAC):
        session.connect()
    session.close()


def test_what_else_refuses_an_account_goes_by_its_authentication() -> None:
    plain, tls = Endpoint("PC-1", "PC-1"), Endpoint("PC-1", "PC-1", 5986, "https")

    assert "channel binding" in refusals.account(tls, Credentials("ntlm", "CORP\\x"))
    assert "channel binding" not in refusals.account(plain, Credentials("ntlm", "CORP\\x"))
    assert "local accounts only" in refusals.account(tls, Credentials("basic", "CORP\\x"))
    assert "certmapping" in refusals.account(tls, Credentials("certificate"))
    assert "klist" in refusals.account(plain, Credentials("kerberos"))


NEGOTIATE = http("401 Unauthorized", "WWW-Authenticate: Negotiate")


def test_ntlm_that_is_switched_off_is_told_from_a_wrong_password(answering: Answer) -> None:
    error = error_of(answering(NEGOTIATE, NEGOTIATE))

    assert isinstance(error, LogonNotSent)  # no password was sent: the fuse does not count it
    assert "NTLM may be switched off" in error.next_step
    assert "password" not in str(error)


def test_an_authentication_that_is_not_offered_says_how_to_enable_it(answering: Answer) -> None:
    error = error_of(answering(NEGOTIATE), "basic")

    assert isinstance(error, LogonNotSent)
    assert 'winrm set winrm/config/service/auth @{Basic="true"}' in error.next_step


def test_a_refusal_that_offers_nothing_is_not_called_a_wrong_password(answering: Answer) -> None:
    error = error_of(answering(http("401 Unauthorized")))

    assert isinstance(error, LogonNotSent)
    assert "offered no authentication" in error.what
