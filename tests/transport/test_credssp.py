"""CredSSP: the password is handed over to a PC that has proved what it is, by a sound logon, and to nobody else.

Somebody in between ends the TLS inside of CredSSP, as he can: its certificate needs no CA. He reads what passes there,
and edits it.
"""

from __future__ import annotations

import base64
import json
import re
import signal
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import spnego
import spnego.tls
from hypothesis import given
from hypothesis import strategies as st
from spnego._credssp_structures import NegoData, TSRequest

from provmode.errors import AuthenticationFailed, Cause, HostError, ProtocolError, UsageError
from provmode.lab.process import Host, LabProcess
from provmode.lab.server.accounts import Account, AccountFile
from provmode.lab.server.ntlm import PcNames, acceptor
from provmode.transport.base import LogonNotSent
from provmode.transport.failures import Failures
from provmode.transport.handshakes import CredSspLogon
from provmode.transport.ntlm_checks import REQUIRED
from provmode.transport.session import Session
from provmode.transport.stack import connection
from provmode.transport.target import Counters, Credentials, Endpoint, Target
from provmode.windows.registry import Key, get_value
from provmode.wsman import CommandLine, Get, Resource, text

Connect = Callable[..., Session]
EditRequest = Callable[[TSRequest], "TSRequest | None"]
"""Edits a message inside; ``None`` ends TLS in its place."""

CLIENT = Get(Resource.cim("root/ccm", "SMS_Client"))
BETWEEN = "somebody stands in between, or the PC is set to weaker security"
TOKEN = re.compile(rb"(CredSSP )([A-Za-z0-9+/=]+)")
CHALLENGE = b"NTLMSSP\0\2\0\0\0"
AUTHENTICATE = b"NTLMSSP\0\3\0\0\0"
HANDSHAKE = 5
"""Requests of a handshake with TLS 1.2: two for TLS, two for NTLM, and one that hands the password over."""


@pytest.fixture
def stack() -> str:
    """The only code that speaks CredSSP."""
    return "lean"


@pytest.fixture
def pc(lab: LabProcess, healthy: Host) -> Iterator[Host]:
    """A PC that takes CredSSP."""
    lab.logon(healthy.name, credssp=True)
    yield healthy
    lab.logon(healthy.name)


@pytest.fixture
def ask(connect: Connect, lab: LabProcess) -> Callable[[Host], Session]:
    """Open a session by CredSSP."""
    return lambda host, **changes: connect(lab, host, authentication="credssp", **changes)


def failure(session: Session) -> HostError:
    """Return the error of a question."""
    with pytest.raises(HostError) as error:
        session.send(CLIENT)
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is None
    return error.value


class End:
    """One end of the TLS inside."""

    def __init__(self, context: ssl.SSLContext, *, server: bool) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server)
        self.agreed = False

    def take(self, token: bytes) -> bytes:
        """Take what the other end sent, and return what is inside of it."""
        self._in.write(token)
        self._shake_hands()
        read = b""
        while self.agreed:
            try:
                read += self._tls.read(65536)
            except ssl.SSLWantReadError:
                break
        return read

    def give(self, message: bytes) -> bytes:
        """Return what to send to the other end, with *message* inside if TLS is agreed on."""
        self._shake_hands()
        if message:
            self._tls.write(message)
        return self._out.read()

    def goodbye(self) -> bytes:
        """Return what ends TLS."""
        with pytest.raises(ssl.SSLWantReadError):  # it waits for the other side to end it, too
            self._tls.unwrap()
        return self._out.read()

    def alert(self) -> bytes:
        """Return what the other end is told of a handshake that has failed."""
        return self._out.read()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
            self.agreed = True
        except ssl.SSLWantReadError:
            pass  # it goes on with what comes next


class InTheMiddle:
    """Somebody who ends the TLS inside, with a certificate of his own, for one connection."""

    def __init__(
        self,
        *,
        request: EditRequest = lambda message: message,
        answer: EditRequest = lambda message: message,
        in_the_pcs_place: Callable[[InTheMiddle], TSRequest] | None = None,
    ) -> None:
        own = spnego.tls.default_tls_context("accept").context
        own.load_cert_chain(certificate())
        own.maximum_version = ssl.TLSVersion.TLSv1_2  # as the lab's: so each message has one answer on both sides
        theirs = spnego.tls.default_tls_context("initiate").context
        self._client, self._pc = End(own, server=True), End(theirs, server=False)
        self._request, self._answer, self._own_answer = request, answer, in_the_pcs_place
        self.seen: list[TSRequest] = []
        """What the client has sent inside."""

    def request(self, number: int, message: bytes) -> bytes:
        """Pass a request on."""
        return self._passed(message, self._client, self._pc, self._request, self.seen)

    def answer(self, number: int, message: bytes) -> bytes:
        """Pass an answer on."""
        if self._own_answer is not None and self.seen and self.seen[-1].pub_key_auth:
            token = self._client.give(self._own_answer(self).pack())
            return answer_with(token)
        return self._passed(message, self._pc, self._client, self._answer, [])

    def _passed(self, message: bytes, come: End, go: End, edit: EditRequest, seen: list[TSRequest]) -> bytes:
        found = TOKEN.search(message)
        if found is None:
            return message
        inside = come.take(base64.b64decode(found[2]))
        if inside:
            seen.append(TSRequest.unpack(inside))
            edited = edit(TSRequest.unpack(inside))
            token = go.goodbye() if edited is None else go.give(edited.pack())
        else:
            token = go.give(b"")
        return message.replace(found[0], found[1] + base64.b64encode(token))


def answer_with(token: bytes) -> bytes:
    """Return an answer that goes on with the handshake."""
    token = base64.b64encode(token)
    return b"HTTP/1.1 401 \r\nWWW-Authenticate: CredSSP " + token + b"\r\nContent-Length: 0\r\n\r\n"


_CERTIFICATE: list[str] = []


def certificate() -> str:
    """Return a file with a certificate and its key, as anybody can make one."""
    return _CERTIFICATE[0]


def der_of(path: str) -> bytes:
    """Return the certificate in a file, as DER."""
    pem = Path(path).read_text()
    return ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n")


@pytest.fixture(scope="module", autouse=True)
def _certificate(tmp_path_factory: pytest.TempPathFactory) -> None:
    made, key, _ = spnego.tls.generate_tls_certificate()
    path = tmp_path_factory.mktemp("between") / "own.pem"
    path.write_bytes(made + key)
    _CERTIFICATE[:] = [str(path)]


@pytest.fixture
def middle(between: Any, pc: Host) -> Callable[..., tuple[InTheMiddle, Any]]:
    """Put somebody in front of the PC who ends the TLS inside."""

    def stand(**edits: Any) -> tuple[InTheMiddle, Any]:
        man = InTheMiddle(**edits)
        return man, between(pc, request=man.request, answer=man.answer)

    return stand


def edit_challenge(edit: Callable[[bytes], bytes]) -> EditRequest:
    """Edit the CHALLENGE."""

    def whole(message: TSRequest) -> TSRequest:
        for nego in message.nego_tokens or []:
            if nego.nego_token.startswith(CHALLENGE):
                return TSRequest(message.version, nego_tokens=NegoData(edit(nego.nego_token)))
        return message

    return whole


def clear(flags: int) -> Callable[[bytes], bytes]:
    """Clear flags in a CHALLENGE."""
    return lambda token: token[:20] + struct.pack("<I", struct.unpack_from("<I", token, 20)[0] & ~flags) + token[24:]


def drop_timestamp(token: bytes) -> bytes:
    """Rename MsvAvTimestamp, so that nobody takes it for one."""
    start = struct.unpack_from("<I", token, 44)[0]
    at = token.index(struct.pack("<HH", 7, 8), start)
    return token[:at] + struct.pack("<H", 0x77) + token[at + 2 :]


def nothing_handed_over(man: InTheMiddle, lab: LabProcess, pc: Host, before: int) -> bool:
    """Whether neither he nor the PC was given the password."""
    return not any(message.auth_info for message in man.seen) and lab.counters(pc.name)["delegated"] == before


@pytest.fixture
def delegated(lab: LabProcess, pc: Host) -> int:
    """How often the PC was given a password before the test."""
    return int(lab.counters(pc.name)["delegated"])


# -- what works ----------------------------------------------------------------------------------------------------


def test_the_password_is_handed_over_once_and_messages_are_sealed(
    lab: LabProcess, pc: Host, between: Any, ask: Any, delegated: int
) -> None:
    proxy = between(pc)
    session = ask(proxy.host)

    version = text(session.send(CLIENT), "ClientVersion")
    assert session.send(CommandLine("hostname")).stdout.strip().decode() == pc.name

    assert session.computer is not None
    assert session.counters.requests == len(proxy.requests) == HANDSHAKE + 4
    assert lab.counters(pc.name)["delegated"] == delegated + 1
    everything = b"".join(proxy.requests + proxy.answers)
    for word in (version, "SMS_Client", "hostname", lab.password):
        assert word.encode() not in everything
        assert word.encode("utf-16-le") not in everything


def test_a_long_message_and_a_long_answer_go_in_pieces(lab: LabProcess, pc: Host, between: Any, ask: Any) -> None:
    proxy = between(pc)
    session = ask(proxy.host)
    key, long = Key.parse("HKLM\\SOFTWARE\\CredSSP"), "x" * 70_000
    session.send(key.invoke("CreateKey"))

    session.send(key.invoke("SetStringValue", ("sValueName", "Long"), ("sValue", long)))
    answer = session.send(get_value(key, "Long"))
    session.send(key.invoke("DeleteKey"))

    assert text(answer, "sValue") == long
    assert sum(b"multipart/x-multi-encrypted" in request for request in proxy.requests) == 1
    assert sum(b"multipart/x-multi-encrypted" in answer for answer in proxy.answers) == 1


def test_over_https_it_logs_on_too(secure_lab: LabProcess, of_persona: Any, connect: Connect) -> None:
    host = of_persona(secure_lab, "healthy")
    secure_lab.logon(host.name, credssp=True)
    try:
        session = connect(secure_lab, host, authentication="credssp")
        assert text(session.send(CLIENT), "ClientVersion")
        assert session.counters.requests == HANDSHAKE + 1
    finally:
        secure_lab.logon(host.name)


def test_tls_1_3_inside_seals_too(make_target: Any, lab: LabProcess, pc: Host) -> None:
    tls = spnego.tls.default_tls_context("accept")
    tls.context.load_cert_chain(certificate())
    tls.public_key = spnego.tls.get_certificate_public_key(der_of(certificate()))
    tls.context.minimum_version = ssl.TLSVersion.TLSv1_3
    target = make_target(lab, pc, authentication="credssp")
    accounts = AccountFile([Account(lab.user.partition("\\")[2], lab.password)])
    try:
        with accounts.in_force():
            inner = acceptor(accounts, PcNames("PC-1"), wrapped=False)
        theirs = spnego.server(protocol="credssp", credssp_negotiate_context=inner, credssp_tls_context=tls)
        ours = CredSspLogon(target, Failures(target))
        token: bytes | None = ours.begin(b"")
        while token is not None:
            answer = theirs.step(token)
            if theirs.complete:
                break
            token = ours.next(answer or None)
        ours.finish(None)
    finally:
        accounts.remove()

    length, header, data = ours.context.seal(b"a message")
    assert theirs.get_extra_info("client_credential").password == lab.password
    assert theirs.unwrap_winrm(header, data) == b"a message"
    answer = theirs.wrap_winrm(b"an answer")
    assert ours.context.open(len(b"an answer"), answer.header, answer.data) == b"an answer"
    assert length == len(b"a message")


# -- who is refused ------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_refused_once(lab: LabProcess, pc: Host, ask: Any, delegated: int) -> None:
    before = lab.counters(pc.name)["refused_logins"]

    error = failure(ask(pc, password="wrong"))

    assert type(error) is AuthenticationFailed
    assert f"refused {lab.user} (credssp); check user and password" in str(error)
    assert lab.counters(pc.name)["refused_logins"] == before + 1
    assert lab.counters(pc.name)["delegated"] == delegated


def test_a_pc_that_does_not_offer_it_gets_nothing(lab: LabProcess, healthy: Host, ask: Any) -> None:
    error = failure(ask(healthy))

    assert isinstance(error, LogonNotSent)
    assert "not credssp; set winrm_transport to what the PC offers" in str(error)


def test_pywinrm_hands_no_password_over(make_target: Any, lab: LabProcess, pc: Host) -> None:
    target: Target = make_target(lab, pc, authentication="credssp", stack="pywinrm")

    with pytest.raises(UsageError, match="does not check to whom CredSSP hands the password"):
        connection(target, counters=Counters(), seconds=lambda: 0.0)
    assert connection(replace(target, stack="lean"), counters=Counters(), seconds=lambda: 0.0)


# -- who ends the TLS inside ---------------------------------------------------------------------------------------


def test_who_ends_the_tls_inside_is_noticed_by_the_pc(
    lab: LabProcess, pc: Host, middle: Any, ask: Any, delegated: int
) -> None:
    man, proxy = middle()

    error = failure(ask(proxy.host))

    assert type(error) is AuthenticationFailed  # the PC says of it what it says of a wrong password
    assert len(man.seen) == 2
    assert nothing_handed_over(man, lab, pc, delegated)


FORGED: dict[str, Callable[[InTheMiddle], TSRequest]] = {
    "our own proof": lambda man: TSRequest(6, pub_key_auth=man.seen[-1].pub_key_auth),
    "any other": lambda man: TSRequest(6, pub_key_auth=bytes(48)),
    "no proof": lambda man: TSRequest(6),
}


@pytest.mark.parametrize("forged", FORGED)
def test_who_answers_in_the_pcs_place_gets_no_password(
    lab: LabProcess, pc: Host, middle: Any, ask: Any, delegated: int, forged: str
) -> None:
    man, proxy = middle(in_the_pcs_place=FORGED[forged])

    error = failure(ask(proxy.host))

    assert isinstance(error, ProtocolError)
    assert error.cause is Cause.PROTOCOL
    assert f"lacks the proof that the TLS inside ends at the PC: {BETWEEN}" in str(error)
    assert nothing_handed_over(man, lab, pc, delegated)


@pytest.mark.parametrize("cleared", [*REQUIRED.values(), "all of them"])
def test_a_challenge_inside_without_a_required_flag_gets_no_response_and_no_password(
    lab: LabProcess, pc: Host, middle: Any, ask: Any, delegated: int, cleared: str
) -> None:
    flags = {name: flag for flag, name in REQUIRED.items()}.get(cleared, sum(REQUIRED))
    man, proxy = middle(answer=edit_challenge(clear(flags)))

    error = failure(ask(proxy.host))

    missing = list(REQUIRED.values()) if cleared == "all of them" else [cleared]
    assert isinstance(error, ProtocolError)
    assert f"the NTLM handshake with {pc.name} (127.0.0.1:{proxy.host.port}) lacks {', '.join(missing)}" in str(error)
    assert BETWEEN in str(error)
    assert not any(AUTHENTICATE in message.pack() for message in man.seen)
    assert nothing_handed_over(man, lab, pc, delegated)


def test_a_challenge_inside_without_a_time_stamp_gets_no_response_and_no_password(
    lab: LabProcess, pc: Host, middle: Any, ask: Any, delegated: int
) -> None:
    man, proxy = middle(answer=edit_challenge(drop_timestamp))

    assert f"lacks the time stamp: {BETWEEN}" in str(failure(ask(proxy.host)))
    assert not any(AUTHENTICATE in message.pack() for message in man.seen)
    assert nothing_handed_over(man, lab, pc, delegated)


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_an_old_version_gets_no_response_and_no_password(
    lab: LabProcess, pc: Host, middle: Any, ask: Any, delegated: int, version: int
) -> None:
    man, proxy = middle(answer=lambda message: TSRequest(version, nego_tokens=message.nego_tokens))

    error = failure(ask(proxy.host))

    assert isinstance(error, ProtocolError)
    assert f"speaks CredSSP version {version}, with which somebody in between can take over the logon" in str(error)
    assert not any(AUTHENTICATE in message.pack() for message in man.seen)
    assert nothing_handed_over(man, lab, pc, delegated)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("newest", ["TLSv1", "TLSv1_1"])
def test_a_tls_inside_that_is_older_than_1_2_is_not_agreed_on(pc: Host, between: Any, ask: Any, newest: str) -> None:
    def answer(number: int, message: bytes) -> bytes:
        end = End(only(ssl.TLSVersion[newest]), server=True)
        found = TOKEN.search(proxy.requests[0])
        assert found is not None
        with pytest.raises(ssl.SSLError, match="PROTOCOL"):
            end.take(base64.b64decode(found[2]))
        return answer_with(end.alert())

    proxy = between(pc, answer=answer)

    error = failure(ask(proxy.host))

    assert isinstance(error, ProtocolError)
    assert "TLS inside of CredSSP with" in str(error)
    assert "no password was handed over; it takes TLS 1.2 or later" in str(error)
    assert len(proxy.requests) == 1


def only(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return the TLS of a server that has one version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate())
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


class StillAtIt(BaseException):
    """It has taken too long. No handler of errors stops this."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail if it takes longer, even if it never lets anybody else run."""

    def ring(number: int, frame: Any) -> None:
        raise StillAtIt

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except StillAtIt:
        pytest.fail(f"still at it after {seconds:g} s")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_who_ends_tls_in_the_middle_of_the_handshake_does_not_stop_us(
    lab: LabProcess, pc: Host, middle: Any, ask: Any, delegated: int
) -> None:
    man, proxy = middle(answer=lambda message: None)

    with at_most(10):
        assert isinstance(failure(ask(proxy.host)), ProtocolError)
    assert nothing_handed_over(man, lab, pc, delegated)


def test_an_audit_through_somebody_who_ends_the_tls_inside_has_no_verdict(
    lab: LabProcess, pc: Host, middle: Any, provmode: Any, tmp_path: Path, delegated: int
) -> None:
    weakened: dict[str, dict[str, Any]] = {
        **{name.replace(" ", "-"): {"answer": edit_challenge(clear(flag))} for flag, name in REQUIRED.items()},
        "no-time-stamp": {"answer": edit_challenge(drop_timestamp)},
        "old-version": {"answer": lambda message: TSRequest(4, nego_tokens=message.nego_tokens)},
        **{forged.replace(" ", "-"): {"in_the_pcs_place": FORGED[forged]} for forged in FORGED},
    }
    men = {name: middle(**edits) for name, edits in weakened.items()}
    pcs = [
        (f"@winrm/{name}", {"winrm_address": proxy.host.address, "winrm_port": proxy.host.port})
        for name, (_, proxy) in men.items()
    ]
    data = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file), "winrm_transport": "credssp"}
    (tmp_path / "fleet.py").write_text(f"pcs = ({pcs!r}, {data!r})\n")
    changed = lab.mutations(pc.name)

    ran = provmode("audit", "fleet.py", "--format", "json")

    hosts = {host["host"]: host for host in json.loads(ran.stdout)["hosts"]}
    assert set(hosts) == set(weakened)
    assert {(host["verdict"], host["cause"]) for host in hosts.values()} == {("unassessed", "protocol")}
    assert not any(host["facts"] for host in hosts.values())
    assert all(nothing_handed_over(man, lab, pc, delegated) for man, _ in men.values())
    assert lab.mutations(pc.name) == changed


TOKENS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda version, token: TSRequest(version, nego_tokens=NegoData(token)).pack(),
        st.integers(0, 2**31),
        st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda rest: CHALLENGE + rest)),
    ),
    st.builds(lambda version, proof: TSRequest(version, pub_key_auth=proof).pack(), st.integers(0, 9), st.binary()),
    st.builds(lambda status: TSRequest(6, error_code=status).pack(), st.integers(-(2**31), 2**32)),
)


@given(TOKENS)
def test_whatever_a_pc_says_inside_ends_the_logon_before_a_response(said: bytes) -> None:
    target = Target(Endpoint("PC-1", "127.0.0.1", 1), Credentials("credssp", "CORP\\auditor", "a password"))
    logon, pc = CredSspLogon(target, Failures(target)), End(only(ssl.TLSVersion.TLSv1_2), server=True)
    token = logon.begin(b"")
    while not pc.agreed:
        pc.take(token)
        token = logon.next(pc.give(b""))
    assert TSRequest.unpack(pc.take(token)).nego_tokens

    with pytest.raises(Exception) as ended:
        logon.next(pc.give(said))

    assert isinstance(ended.value, (HostError, ValueError, TypeError, IndexError, struct.error, UnicodeError))
    assert not logon.context.complete


# -- who edits without ending TLS ----------------------------------------------------------------------------------


def flip(place: float) -> Callable[[bytes], bytes]:
    """Flip a bit at a fraction of the way."""

    def edit(data: bytes) -> bytes:
        at = round((len(data) - 1) * place)
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]

    return edit


@pytest.mark.parametrize("place", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("side", ["request", "answer"])
def test_a_handshake_with_one_bit_flipped_hands_nothing_over(
    lab: LabProcess, pc: Host, between: Any, ask: Any, delegated: int, side: str, number: int, place: float
) -> None:
    def edit(at: int, message: bytes) -> bytes:
        found = TOKEN.search(message)
        if at != number or found is None:
            return message
        return message.replace(found[2], base64.b64encode(flip(place)(base64.b64decode(found[2]))))

    proxy = between(pc, **{side: edit})

    assert isinstance(failure(ask(proxy.host)), (ProtocolError, AuthenticationFailed))
    assert len(proxy.requests) <= number + 2
    assert lab.counters(pc.name)["delegated"] == delegated


@pytest.mark.parametrize("place", [0, 0.02, 0.3, 0.6, 1])
@pytest.mark.parametrize("side", ["request", "answer"])
def test_a_message_with_one_bit_flipped_does_nothing_and_is_not_believed(
    lab: LabProcess, pc: Host, between: Any, ask: Any, side: str, place: float
) -> None:
    def edit(number: int, message: bytes) -> bytes:
        if number != HANDSHAKE:
            return message
        start = message.index(b"application/octet-stream\r\n") + len(b"application/octet-stream\r\n") + 4
        end = message.rindex(b"--Encrypted Boundary--")
        return message[:start] + flip(place)(message[start:end]) + message[end:]

    proxy = between(pc, **{side: edit})
    before = lab.counters(pc.name)["commands"]

    with pytest.raises(HostError):
        ask(proxy.host).send(CommandLine('mkdir "C:\\Between"'))

    assert len(proxy.requests) == HANDSHAKE + 1
    assert lab.counters(pc.name)["commands"] == before


def test_an_answer_in_plain_text_is_not_read(pc: Host, between: Any, ask: Any) -> None:
    plain = b"HTTP/1.1 200 \r\nContent-Type: application/soap+xml;charset=UTF-8\r\nContent-Length: 4\r\n\r\n<a/>"
    proxy = between(pc, answer=lambda number, message: plain if number == HANDSHAKE else message)

    assert "answered in plain text although encryption is in force" in str(failure(ask(proxy.host)))


def test_a_refusal_of_a_sealed_message_is_not_answered(lab: LabProcess, pc: Host, between: Any, ask: Any) -> None:
    offer = b"HTTP/1.1 401 \r\nWWW-Authenticate: CredSSP\r\nContent-Length: 0\r\n\r\n"
    proxy = between(pc, answer=lambda number, message: offer if number == HANDSHAKE else message)

    with pytest.raises(HostError):
        ask(proxy.host).send(CommandLine('mkdir "C:\\Between"'))

    assert sum(b"multipart/encrypted" in request for request in proxy.requests) == 1


def test_a_recorded_conversation_cannot_be_used_again(
    lab: LabProcess, pc: Host, between: Any, ask: Any, delegated: int
) -> None:
    recorded = between(pc)
    ask(recorded.host).send(CLIENT)
    again = between(pc, request=lambda number, message: recorded.requests[number])

    assert isinstance(failure(ask(again.host)), HostError)
    assert lab.counters(pc.name)["delegated"] == delegated + 1
