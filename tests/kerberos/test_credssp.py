"""Kerberos inside of CredSSP: one logon at the KDC, a ticket for each PC, and the password for that PC alone."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import spnego

from provmode.errors import AuthenticationFailed, HostError, ProtocolError, UsageError
from provmode.lab.process import Host, LabProcess
from provmode.lab.server.mechanisms import ChannelBinding
from provmode.transport.base import LogonNotSent
from provmode.transport.credssp import KerberosInside, NotProved
from provmode.transport.failures import Failures
from provmode.transport.session import Session
from provmode.transport.target import Credentials, Deadlines, Endpoint, Target
from provmode.transport.tickets import PROCESS
from provmode.wsman import CommandLine, Get, Resource, text

pytestmark = pytest.mark.kdc
CLIENT = Get(Resource.cim("root/ccm", "SMS_Client"))


@pytest.fixture(autouse=True)
def _new_process() -> Iterator[None]:
    """Begin as a new process does, without a ticket."""
    PROCESS.forget()
    yield
    PROCESS.forget()


@pytest.fixture
def credssp(domain_lab: LabProcess) -> Iterator[LabProcess]:
    """The PCs of the realm, which take CredSSP and, inside of it, no NTLM."""
    for host in domain_lab.hosts:
        domain_lab.logon(host.name, credssp=True, ntlm=False)
    yield domain_lab
    for host in domain_lab.hosts:
        domain_lab.logon(host.name)


@pytest.fixture
def connect(realm: Any, name_of: Callable[[Host], str]) -> Iterator[Callable[..., Session]]:
    """Open sessions by CredSSP, and close them."""
    opened: list[Session] = []

    def opener(pc: Host, **changes: Any) -> Session:
        given = {"user": f"provmode@{realm.name}", "password": realm.password, "kerberos_host": name_of(pc), **changes}
        target = Target(
            Endpoint(pc.name, pc.address, pc.port),
            Credentials("credssp", credssp_mechanism="kerberos", **given),
            deadlines=Deadlines(connect=5, read=20, host=60),
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
    return error.value


# -- whole clients -------------------------------------------------------------------------------------------------


def test_an_account_logs_on_once_for_a_whole_fleet_and_hands_its_password_to_each(
    credssp: LabProcess, between: Any, no_ticket: Path, connect: Any, realm: Any
) -> None:
    for host in credssp.hosts:
        before = credssp.counters(host.name)["delegated"]
        proxy = between(host)
        session = connect(proxy.host, kerberos_host=f"{host.name.lower()}.corp.example")

        assert text(session.send(CLIENT), "ClientVersion")
        assert session.send(CommandLine("hostname")).stdout.strip().decode() == host.name

        assert credssp.counters(host.name)["delegated"] == before + 1
        everything = b"".join(proxy.requests + proxy.answers)
        for word in ("SMS_Client", "hostname", realm.password):
            assert word.encode() not in everything
            assert word.encode("utf-16-le") not in everything

    assert len(PROCESS._got) == 1
    assert not no_ticket.exists()


@pytest.mark.parametrize("mechanism", ["kerberos", "negotiate"])
def test_the_lab_takes_it_raw_and_in_spnego_from_a_client_that_is_not_ours(
    credssp: LabProcess, pc: Host, ticket: Path, realm: Any, name_of: Any, mechanism: str
) -> None:
    inner = spnego.client(hostname=name_of(pc), service="HTTP", protocol=mechanism)
    context = spnego.client(
        f"provmode@{realm.name}", realm.password, protocol="credssp", credssp_negotiate_context=inner
    )
    before = credssp.counters(pc.name)["delegated"]
    connection = http.client.HTTPConnection(pc.address, pc.port)
    try:
        token, status = context.step(), 401
        while status == 401:
            said = base64.b64encode(token or b"").decode()
            connection.request("POST", "/wsman", b"", {"Authorization": f"CredSSP {said}"})
            answer = connection.getresponse()
            answer.read()
            status = answer.status
            offered = (answer.headers.get_all("WWW-Authenticate") or [""])[-1].removeprefix("CredSSP")
            assert status != 401 or offered
            token = context.step(base64.b64decode(offered)) if status == 401 else b""
    finally:
        connection.close()

    assert status == 200
    assert context.negotiated_protocol == "kerberos"
    assert credssp.counters(pc.name)["delegated"] == before + 1


# -- who is refused ------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_tried_once_in_a_run_and_no_pc_is_asked(
    credssp: LabProcess, no_ticket: Path, connect: Any
) -> None:
    for host in credssp.hosts:
        before = credssp.counters(host.name)["requests"]
        error = failure(connect(host, password="wrong"))

        assert isinstance(error, LogonNotSent)
        assert "the domain refused the password of provmode@CORP.EXAMPLE; correct it; it was tried once" in str(error)
        assert credssp.counters(host.name)["requests"] == before

    assert len(PROCESS._got) == 1


def test_a_pc_with_the_keys_of_another_gets_no_password(
    credssp: LabProcess, pc: Host, no_ticket: Path, connect: Any
) -> None:
    before = credssp.counters(pc.name)["delegated"]

    error = failure(connect(pc, kerberos_host="pc-00002.corp.example"))

    assert isinstance(error, AuthenticationFailed)
    assert "it refused the Kerberos ticket" in str(error)
    assert credssp.counters(pc.name)["delegated"] == before


def test_a_short_name_of_a_domain_is_refused_before_anything_is_sent(
    connect: Any, credssp: LabProcess, pc: Host
) -> None:
    with pytest.raises(UsageError, match=r"CORP\\provmode has the short name of a domain; write user@REALM"):
        connect(pc, user="CORP\\provmode").send(CLIENT)


# -- the logon inside ----------------------------------------------------------------------------------------------


@pytest.fixture
def both(realm: Any, no_ticket: Path, name_of: Any, pc: Host) -> tuple[KerberosInside, Any, Target]:
    """The logon inside, and the lab's acceptor in this process."""
    from provmode.lab.server.kerberos import KerberosAcceptor, KerberosMechanism

    target = Target(
        Endpoint(pc.name, pc.address, pc.port), Credentials("credssp", f"provmode@{realm.name}", realm.password)
    )
    context = PROCESS.context(target.credentials, name_of(pc), b"", 5)
    acceptor = KerberosAcceptor(realm.keytabs / f"{pc.name}.keytab", "none:", timedelta(0))
    mechanism = KerberosMechanism(acceptor, ChannelBinding(), lambda name, domain: name, wrapped=False)
    return KerberosInside(context, Failures(target), f"HTTP/{name_of(pc)}"), mechanism, target


def test_nothing_is_sealed_before_the_pc_has_proved_who_it_is(both: Any) -> None:
    ours, theirs, _ = both
    proof = theirs.step(ours.step())

    with pytest.raises(ProtocolError, match="lacks the PC's own proof of who it is"):
        ours.wrap(b"the password")
    ours.step(proof)

    assert theirs.unwrap(ours.wrap(b"the password").data) == b"the password"
    assert ours.unwrap(theirs.wrap(b"its proof")).data == b"its proof"


@pytest.mark.parametrize("place", [0.1, 0.3, 0.6, 0.95])
def test_a_proof_that_was_edited_is_none(both: Any, place: float) -> None:
    ours, theirs, _ = both
    proof = bytearray(theirs.step(ours.step()))
    proof[round(len(proof) * place)] ^= 1

    with pytest.raises(ProtocolError, match="lacks the PC's own proof of who it is: somebody stands in between"):
        ours.step(bytes(proof))
    with pytest.raises(ProtocolError, match="lacks the PC's own proof"):
        ours.wrap(b"the password")


def test_what_is_signed_and_not_sealed_proves_nothing(both: Any) -> None:
    ours, theirs, _ = both
    ours.step(theirs.step(ours.step()))
    signed = bytes(theirs._context.wrap(b"its proof", encrypt=False).message)

    with pytest.raises(NotProved):
        ours.unwrap(signed)
