"""Our own client against a real KDC: where a ticket comes from, and what each failure is called."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from provmode.errors import AuthenticationFailed, Cause, HostError, ProtocolError
from provmode.lab.process import Host, LabProcess
from provmode.transport.base import LogonNotSent
from provmode.transport.session import Session
from provmode.transport.target import Credentials, Deadlines, Endpoint, Target, Trust
from provmode.transport.tickets import PROCESS, Tickets
from provmode.wsman import CommandLine, Get, Resource, text

pytestmark = pytest.mark.kdc
CLIENT = Get(Resource.cim("root/ccm", "SMS_Client"))
Connect = Callable[..., Session]


@pytest.fixture(autouse=True)
def _new_process() -> Iterator[None]:
    """Begin as a new process does, without a ticket."""
    PROCESS.forget()
    yield
    PROCESS.forget()


@pytest.fixture
def connect(name_of: Callable[[Host], str]) -> Iterator[Connect]:
    """Open sessions to PCs by Kerberos, and close them."""
    opened: list[Session] = []

    def opener(lab: LabProcess, pc: Host, *, connect: float = 5.0, stack: Any = "lean", **credentials: Any) -> Session:
        target = Target(
            Endpoint(pc.name, pc.address, pc.port, pc.scheme),  # type: ignore[arg-type]
            Credentials("kerberos", **{"kerberos_host": name_of(pc), **credentials}),
            trust=Trust(ca=lab.ca_file),
            deadlines=Deadlines(connect=connect, read=20, host=60),
            stack=stack,
        )
        opened.append(Session(target, read_only=False, pause=lambda seconds: None))
        return opened[-1]

    yield opener
    for session in opened:
        session.close()


def failure(session: Session) -> HostError:
    """Return the error of a question."""
    with pytest.raises(HostError) as error:
        session.send(CLIENT)
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is None
    return error.value


def wait_for_the_end(context: Any) -> None:
    """Wait until a context of GSS-API has ended."""
    import gssapi.exceptions  # built only where `make system` has run, as the KDC is there

    until = time.monotonic() + 20
    try:
        while context.lifetime > 0:
            assert time.monotonic() < until
            time.sleep(0.1)  # what is waited for is the time itself
    except gssapi.exceptions.ExpiredContextError:
        pass  # it has


# -- what works -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", ["lean", "pywinrm"])
def test_a_ticket_from_the_cache_is_enough(
    domain_lab: LabProcess, pc: Host, ticket: Path, connect: Connect, stack: str
) -> None:
    session = connect(domain_lab, pc, stack=stack)

    assert text(session.send(CLIENT), "ClientVersion")
    assert session.send(CommandLine("hostname")).stdout.strip().decode() == pc.name
    assert session.counters.connections == 1


@pytest.mark.parametrize("cbt", ["None", "Relaxed", "Strict"])
def test_over_https_the_first_token_is_bound_to_the_certificate(
    secure_domain_lab: LabProcess, https_pc: Host, ticket: Path, connect: Connect, cbt: str
) -> None:
    secure_domain_lab.logon(https_pc.name, cbt=cbt)
    session = connect(secure_domain_lab, https_pc)

    assert text(session.send(CLIENT), "ClientVersion")
    assert session.counters.requests == 2


@pytest.mark.parametrize(
    "spelling", ["provmode@CORP.EXAMPLE", "provmode@corp.example", "corp.example\\provmode", "provmode"]
)
def test_user_and_password_get_a_ticket(
    realm: Any, domain_lab: LabProcess, pc: Host, no_ticket: Path, connect: Connect, spelling: str
) -> None:
    session = connect(domain_lab, pc, user=spelling, password=realm.password)

    assert text(session.send(CLIENT), "ClientVersion")
    assert not no_ticket.exists()


@pytest.mark.parametrize("user", ["auditor@CORP.EXAMPLE", ""])
def test_a_keytab_gets_a_ticket(
    realm: Any, domain_lab: LabProcess, pc: Host, no_ticket: Path, connect: Connect, tmp_path: Path, user: str
) -> None:
    keytab = tmp_path / "auditor.keytab"
    realm.kadmin(
        f"cpw -pw {realm.password} provmode@{realm.name}", f"ktadd -norandkey -k {keytab} provmode@{realm.name}"
    )
    session = connect(domain_lab, pc, user=user and f"provmode@{realm.name}", keytab=keytab)

    assert text(session.send(CLIENT), "ClientVersion")
    assert not no_ticket.exists()


def test_an_account_logs_on_once_for_a_whole_fleet(
    realm: Any, domain_lab: LabProcess, no_ticket: Path, connect: Connect
) -> None:
    asked = Path(realm.server.tmpdir) / "kdc.log"
    before = asked.read_text().count("AS_REQ") if asked.exists() else None

    for host in domain_lab.hosts:
        session = connect(domain_lab, host, user=f"provmode@{realm.name}", password=realm.password)
        assert text(session.send(CLIENT), "ClientVersion")

    assert len(PROCESS._got) == 1
    if before is not None:
        assert asked.read_text().count("AS_REQ") - before <= 2  # the second has what the KDC asked for in the first


def test_the_cache_of_the_person_who_runs_it_stays_as_it_was(
    domain_lab: LabProcess, ticket: Path, connect: Connect
) -> None:
    before = ticket.read_bytes()

    for host in domain_lab.hosts:
        connect(domain_lab, host).send(CLIENT)

    assert ticket.read_bytes() == before


def test_a_pc_that_offers_kerberos_alone_is_spoken_to_by_that_scheme(
    domain_lab: LabProcess, pc: Host, ticket: Path, connect: Connect
) -> None:
    domain_lab.logon(pc.name, negotiate=False)
    session = connect(domain_lab, pc)

    assert text(session.send(CLIENT), "ClientVersion")
    assert session.counters.requests == 3


def test_a_forgotten_logon_is_a_new_connection(
    domain_lab: LabProcess, pc: Host, ticket: Path, connect: Connect
) -> None:
    session = connect(domain_lab, pc)
    session.send(CLIENT)
    domain_lab.inject(pc.name, kind="forget")

    assert text(session.send(CLIENT), "ClientVersion")
    assert session.counters.connections == 2


def test_a_pc_with_rc4_keys_is_spoken_to(
    realm: Any, domain_lab: LabProcess, ticket: Path, connect: Connect, tmp_path: Path, name_of: Any, pc: Host
) -> None:
    keytab = realm.add_pc("PC-RC4", keys="arcfour-hmac:normal", keytab=tmp_path / "rc4.keytab")
    domain_lab.logon(pc.name, keytab=str(keytab))
    session = connect(domain_lab, pc, kerberos_host="pc-rc4.corp.example")

    assert text(session.send(CLIENT), "ClientVersion")
    assert session.send(CommandLine("hostname")).stdout.strip().decode() == pc.name


def test_a_ticket_that_is_not_forwardable_is_not_delegated_and_that_is_said_once(
    realm: Any, domain_lab: LabProcess, no_ticket: Path, connect: Connect
) -> None:
    realm.kinit(no_ticket, "-F")
    for host in domain_lab.hosts:
        assert text(connect(domain_lab, host, kerberos_delegation=True).send(CLIENT), "ClientVersion")

    (note,) = PROCESS.notes()
    assert "winrm_kerberos_delegation was asked for and not given to" in note
    assert f"and {len(domain_lab.hosts) - 1} more" in note


def test_a_ticket_that_ends_in_the_middle_is_replaced_over_a_new_connection(
    realm: Any, domain_lab: LabProcess, pc: Host, no_ticket: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm.kinit(no_ticket, "-l", "4s")
    session = connect(domain_lab, pc)
    session.send(CLIENT)
    wait_for_the_end(session._connection._context._context._context)  # type: ignore[union-attr]
    realm.kinit(no_ticket)

    assert text(session.send(CLIENT), "ClientVersion")
    assert session.counters.connections == 2


# -- what fails -----------------------------------------------------------------------------------------------------

HERE: dict[str, tuple[dict[str, Any], str]] = {
    "no ticket": ({}, r"there is no Kerberos ticket here; run kinit, or give a keytab"),
    "no ticket of this user": (
        {"user": "other@CORP.EXAMPLE"},
        r"there is no Kerberos ticket of other@CORP\.EXAMPLE here; run kinit other@CORP\.EXAMPLE",
    ),
    "wrong password": (
        {"user": "provmode@CORP.EXAMPLE", "password": "wrong"},
        r"the domain refused the password of provmode@CORP\.EXAMPLE; correct it; it was tried once .* accounts lock",
    ),
    "unknown account": (
        {"user": "nobody@CORP.EXAMPLE", "password": "x"},
        r"the domain knows no account nobody@CORP\.EXAMPLE; check winrm_user",
    ),
    "unknown realm": (
        {"user": "provmode@OTHER.EXAMPLE", "password": "x"},
        r"no KDC is known for the realm OTHER\.EXAMPLE; name it in /etc/krb5\.conf",
    ),
}


@pytest.mark.parametrize("case", HERE)
def test_what_is_wrong_here_is_said_and_nothing_is_sent(
    domain_lab: LabProcess, pc: Host, no_ticket: Path, connect: Connect, case: str
) -> None:
    credentials, words = HERE[case]
    before = domain_lab.counters(pc.name)["requests"]

    error = failure(connect(domain_lab, pc, **credentials))

    assert isinstance(error, LogonNotSent)
    assert error.cause is Cause.AUTH
    assert re.search(words, str(error)), error
    assert domain_lab.counters(pc.name)["requests"] == before


def test_an_expired_ticket_is_said_to_be_one(domain_lab: LabProcess, pc: Host, expired: Path, connect: Connect) -> None:
    error = failure(connect(domain_lab, pc))

    assert isinstance(error, LogonNotSent)
    assert "the Kerberos ticket has expired; run kinit; for nightly runs give a keytab" in str(error)


@pytest.mark.parametrize("name", ["nobody.corp.example", "127.0.0.1"])
def test_a_name_without_a_service_is_said_to_be_one(
    domain_lab: LabProcess, pc: Host, ticket: Path, connect: Connect, name: str
) -> None:
    error = failure(connect(domain_lab, pc, kerberos_host=name))

    assert isinstance(error, LogonNotSent)
    assert f"the domain knows no service HTTP/{name}; connect by the PC's full DNS name (winrm_address)" in str(error)


def test_a_wrong_password_is_tried_once_in_a_run(
    realm: Any, domain_lab: LabProcess, no_ticket: Path, connect: Connect
) -> None:
    log = Path(realm.server.tmpdir) / "kdc.log"
    before = log.read_text().count("PREAUTH_FAILED") if log.exists() else 0

    for host in domain_lab.hosts:
        error = failure(connect(domain_lab, host, user=f"provmode@{realm.name}", password="wrong"))
        assert "the domain refused the password" in str(error)

    if log.exists():
        assert log.read_text().count("PREAUTH_FAILED") - before <= 1


def test_a_kdc_that_is_not_there_is_named(
    domain_lab: LabProcess, pc: Host, refusing_kdc: Any, connect: Connect
) -> None:
    error = failure(connect(domain_lab, pc, user="provmode@CORP.EXAMPLE", password="x"))

    assert "no KDC of CORP.EXAMPLE answers; look at DNS (_kerberos._udp), at port 88" in str(error)


def test_a_pc_with_the_keys_of_another_is_said_to_be_one(
    domain_lab: LabProcess, pc: Host, ticket: Path, connect: Connect
) -> None:
    error = failure(connect(domain_lab, pc, kerberos_host="pc-00002.corp.example"))

    assert type(error) is AuthenticationFailed
    assert "it has another key than the domain has for HTTP/pc-00002.corp.example; DNS leads to another" in str(error)


@pytest.mark.parametrize("minutes", [-11, 11])
def test_a_pc_whose_clock_is_off_is_said_to_be_so(
    domain_lab: LabProcess, pc: Host, ticket: Path, connect: Connect, minutes: int
) -> None:
    domain_lab.logon(pc.name, ahead=minutes * 60)

    error = failure(connect(domain_lab, pc))

    assert type(error) is AuthenticationFailed
    assert "its clock and this computer's differ too much; set the PC's clock (w32tm /resync)" in str(error)


def test_a_pc_that_takes_no_ticket_is_said_to_refuse_it(
    domain_lab: LabProcess, pc: Host, ticket: Path, connect: Connect
) -> None:
    domain_lab.logon(pc.name, keytab=None)

    error = failure(connect(domain_lab, pc))

    assert isinstance(error, AuthenticationFailed)
    assert "it refused the Kerberos ticket" in str(error)


def test_a_pc_whose_acceptor_breaks_is_not_believed(
    domain_lab: LabProcess, pc: Host, ticket: Path, connect: Connect
) -> None:
    domain_lab.inject(pc.name, kind="handshake-status", code=500)

    error = failure(connect(domain_lab, pc))

    assert isinstance(error, ProtocolError)
    assert "the Kerberos handshake with" in str(error)
    assert "lacks the PC's own proof of who it is: somebody stands in between" in str(error)


# -- a KDC that does not answer -------------------------------------------------------------------------------------


def test_a_silent_kdc_stops_nobody_and_no_host_for_longer_than_the_connect_deadline(
    domain_lab: LabProcess, silent_kdc: Any, connect: Connect
) -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            gevent.sleep(0.005)

    waiting = [
        connect(domain_lab, host, connect=1.0, user="provmode@CORP.EXAMPLE", password="x") for host in domain_lab.hosts
    ]
    ticking = gevent.spawn(tick)
    began = time.monotonic()
    errors = gevent.pool.Pool(8).map(failure, waiting)
    seconds = time.monotonic() - began
    ticking.kill()

    assert {re.sub(r"^.*?: ", "", str(error)).partition(";")[0] for error in errors} == {
        "no KDC of CORP.EXAMPLE answered within 1 s (connect deadline)"
    }
    assert ticks > seconds / 0.005 / 10  # a hub that stood still for the library's 27 s would have ticked once


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    tickets, begun = Tickets(), list[int]()

    def slow() -> None:
        begun.append(1)
        time.sleep(0.3)  # a library that waits for a KDC, in a thread

    def ask() -> None:
        with pytest.raises(Exception, match="no answer in time"):
            tickets.run(slow, 0.05)

    gevent.joinall([gevent.spawn(ask) for _ in range(40)], timeout=10, raise_error=True)
    tickets.run(lambda: None, 5)

    assert len(begun) < 20


# -- somebody in between --------------------------------------------------------------------------------------------


def _token(edit: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Edit the token of a handshake in the head of a message."""
    return lambda message: re.sub(
        rb"(Negotiate )([A-Za-z0-9+/=]+)",
        lambda found: found[1] + base64.b64encode(edit(base64.b64decode(found[2]))),
        message,
        count=1,
    )


def _flip(place: float) -> Callable[[bytes], bytes]:
    """Flip a bit at a fraction of the way."""

    def edit(data: bytes) -> bytes:
        at = round((len(data) - 1) * place)
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return edit


def _sealed(place: float) -> Callable[[bytes], bytes]:
    """Flip a bit of a sealed message: of its signature or its body."""

    def edit(message: bytes) -> bytes:
        start = message.index(b"application/octet-stream\r\n") + len(b"application/octet-stream\r\n") + 4
        end = message.rindex(b"--Encrypted Boundary--")
        return message[:start] + _flip(place)(message[start:end]) + message[end:]

    return edit


def _without_proof(message: bytes) -> bytes:
    return re.sub(rb"WWW-Authenticate: [^\r]*\r\n", b"", message)


def test_who_only_passes_on_reads_and_changes_nothing(
    domain_lab: LabProcess, between: Any, ticket: Path, connect: Connect, pc: Host
) -> None:
    proxy = between(pc)
    session = connect(domain_lab, proxy.host)

    version = text(session.send(CLIENT), "ClientVersion")
    session.send(CommandLine("hostname"))

    everything = b"".join(proxy.requests + proxy.answers)
    for word in (version, "SMS_Client", "hostname", pc.name, "Envelope"):
        assert str(word).encode() not in everything
        assert str(word).encode("utf-16-le") not in everything


@pytest.mark.parametrize("place", [0.3, 0.6, 0.95])
def test_a_ticket_that_was_edited_is_refused_by_the_pc(
    domain_lab: LabProcess, pc: Host, between: Any, ticket: Path, connect: Connect, place: float
) -> None:
    proxy = between(pc, request=lambda number, message: message if number else _token(_flip(place))(message))

    assert isinstance(failure(connect(domain_lab, proxy.host)), (AuthenticationFailed, ProtocolError))
    assert (len(proxy.requests), len(proxy.answers)) == (1, 1)


@pytest.mark.parametrize("edit", [_without_proof, *(_token(_flip(place)) for place in (0.3, 0.6, 0.95))])
def test_a_pc_that_does_not_prove_who_it_is_gets_no_message(
    domain_lab: LabProcess, pc: Host, between: Any, ticket: Path, connect: Connect, edit: Callable[[bytes], bytes]
) -> None:
    proxy = between(pc, answer=lambda number, message: message if number else edit(message))

    error = failure(connect(domain_lab, proxy.host))

    assert isinstance(error, ProtocolError)
    assert "lacks the PC's own proof of who it is: somebody stands in between" in str(error)
    assert (len(proxy.requests), len(proxy.answers)) == (1, 1)


@pytest.mark.parametrize("place", [0, 0.02, 0.3, 0.6, 1])
@pytest.mark.parametrize("side", ["request", "answer"])
def test_a_sealed_message_with_one_bit_flipped_does_nothing_and_is_not_believed(
    domain_lab: LabProcess, pc: Host, between: Any, ticket: Path, connect: Connect, side: str, place: float
) -> None:
    proxy = between(pc, **{side: lambda number, message: _sealed(place)(message) if number == 1 else message})
    before = domain_lab.counters(pc.name)["commands"]

    with pytest.raises(HostError):
        connect(domain_lab, proxy.host).send(CommandLine('mkdir "C:\\Between"'))

    assert (len(proxy.requests), len(proxy.answers)) == (2, 2)
    assert domain_lab.counters(pc.name)["commands"] == before


def test_a_recorded_conversation_cannot_be_used_again(
    domain_lab: LabProcess, pc: Host, between: Any, ticket: Path, connect: Connect
) -> None:
    recorded = between(pc)
    connect(domain_lab, recorded.host).send(CLIENT)
    again = between(pc, request=lambda number, message: recorded.requests[number])

    assert isinstance(failure(connect(domain_lab, again.host)), HostError)
    assert b" 401 " in again.answers[0]
