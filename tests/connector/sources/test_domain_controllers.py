"""A domain controller that is silent, breaks off, lies, or is not there."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import dns.exception
import dns.resolver
import pytest
import sansldap

from provmode.connector.sources import domain_controllers, ldap
from provmode.connector.sources.connectors import AdConnector
from provmode.connector.sources.domain_controllers import Directory, controllers_of
from provmode.connector.sources.found import SourceError
from provmode.connector.sources.wanted import Wanted
from provmode.errors import Cause, Unreachable, UsageError
from provmode.transport.sealed_body import SealError
from provmode.transport.security import SecurityContext


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    mine, its = socket.socketpair()
    with mine, its:
        yield mine, its


def asked(connection: socket.socket, *, ends_in: float = 30.0) -> Any:
    there = Directory(connection, "dc1.corp.example", time.monotonic() + ends_in)
    wanted = ldap.equal("a", "b")
    return there.carry_out(ldap.search(there.wire, "DC=x", ldap.SUBTREE, wanted, ["name"]))


def test_a_silent_controller_is_given_up(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain_controllers, "SILENCE", 0.2)

    with pytest.raises(UsageError, match=r"dc1\.corp\.example did not answer for 0\.2 s; try again; look at DNS"):
        asked(pair[0])


def test_everything_together_has_a_deadline(pair: Any) -> None:
    """One byte after the other never ends a wait, so the whole has an end of its own."""
    pair[1].sendall(b"\x30\x84\x00\x0f\xff\xff")

    with pytest.raises(UsageError, match="was not done within 120 s; ask for an OU"):
        asked(pair[0], ends_in=-1)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", r"the connection to the domain controller dc1\.corp\.example broke \(it closed the connection\)"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it sent something that is not LDAP; is it a domain controller"),
        (b"\x30\x84\x7f\xff\xff\xff", "it announced a message that is too large"),
        (b"\x30\x0c\x02\x01\x05\x65\x07\x0a\x01\x00\x04\x00\x04\x00", "dc1"),
    ],
)
def test_what_else_it_can_answer_is_one_line(pair: Any, sent: bytes, said: str) -> None:
    pair[1].sendall(sent)
    pair[1].shutdown(socket.SHUT_WR)

    with pytest.raises(UsageError, match=said) as refused:
        asked(pair[0])

    assert str(refused.value).isprintable()


def sealed_by(unseal: Callable[[bytes], bytes]) -> Any:
    return SimpleNamespace(seal_whole=lambda data: data, open_whole=unseal)


def test_a_broken_seal_ends_it(pair: Any) -> None:
    def broken(_: bytes) -> bytes:
        raise ValueError("checksum")

    there = Directory(pair[0], "dc1.corp.example", time.monotonic() + 30)
    there.seal(sealed_by(broken))
    pair[1].sendall(b"\0\0\0\1x")

    with pytest.raises(UsageError, match=r"sent a message whose seal is broken \(ValueError\); something between"):
        there.carry_out(ldap.search(there.wire, "DC=x", ldap.SUBTREE, ldap.equal("a", "b"), ["name"]))


def test_an_answer_in_plain_text_is_not_read_after_the_handshake(pair: Any) -> None:
    there = Directory(pair[0], "dc1.corp.example", time.monotonic() + 30)
    there.seal(sealed_by(lambda data: data))
    client, side = sansldap.LDAPClient(), sansldap.LDAPServer()
    client.search_request("DC=x")
    side.receive(client.data_to_send())
    side.search_result_done(1, sansldap.LDAPResultCode.SUCCESS)
    pair[1].sendall(side.data_to_send())

    with pytest.raises(UsageError, match="it announced a sealed message that is too large"):
        there.carry_out(ldap.search(there.wire, "DC=x", ldap.SUBTREE, ldap.equal("a", "b"), ["name"]))


@pytest.mark.parametrize(
    ("context", "lacks"),
    [
        (SimpleNamespace(complete=False), "an end"),
        (SimpleNamespace(complete=True, missing=lambda required: list(required.values())[:1]), "{}"),
        (SimpleNamespace(complete=True, missing=lambda required: [], mechanism="ntlm"), "Kerberos"),
    ],
)
@pytest.mark.parametrize(("over_tls", "first"), [(False, "signing"), (True, "the PC's own proof of who it is")])
def test_a_weak_handshake_is_refused_before_anything_is_asked(
    context: Any, lacks: str, over_tls: bool, first: str
) -> None:
    lacks = lacks.format(first)
    with pytest.raises(UsageError, match=f"lacks {lacks}; nothing was asked"):
        domain_controllers._require(context, "dc1.corp.example", over_tls=over_tls)


def test_what_a_controller_says_does_not_reach_the_terminal() -> None:
    refused = ldap.Refused(49, "\x1b[2J80090308: \u202edata 52e\0")
    error = domain_controllers._not_let_in("dc1.corp.example", refused, over_tls=False)

    assert str(error).isprintable()
    assert "LDAP 49: " in str(error)


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_message_that_is_signed_and_not_sealed_is_not_read(encrypted: bool) -> None:
    context: Any = SimpleNamespace(unwrap=lambda data: SimpleNamespace(data=data, encrypted=encrypted))

    with nullcontext() if encrypted else pytest.raises(SealError, match="not sealed"):
        assert SecurityContext(context).open_whole(b"x") == b"x"


# -- DNS ------------------------------------------------------------------------------------------------------------


def answers(monkeypatch: pytest.MonkeyPatch, result: Any) -> list[tuple[Any, ...]]:
    asked: list[tuple[Any, ...]] = []

    def resolve(*question: Any, **_: Any) -> Any:
        asked.append(question)
        if isinstance(result, Exception):
            raise result
        records = [SimpleNamespace(target=name) for name in result]
        return SimpleNamespace(rrset=SimpleNamespace(processing_order=lambda: records))

    monkeypatch.setattr(dns.resolver, "resolve", resolve)
    return asked


def test_controllers_are_those_that_dns_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, ["DC1.corp.example.", "evil/x.", "10.", *(f"dc{n}.corp.example." for n in range(9))])

    assert controllers_of("corp.example") == ["dc1.corp.example", *(f"dc{n}.corp.example" for n in range(3))]
    assert asked == [("_ldap._tcp.dc._msdcs.corp.example", "SRV")]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (dns.resolver.NXDOMAIN(), "DNS knows no domain controller of corp.example"),
        (dns.resolver.LifetimeTimeout(timeout=5, errors=[]), "DNS does not answer for _ldap._tcp.dc._msdcs.corp"),
        (dns.resolver.NoResolverConfiguration(), "DNS does not answer for"),
        (OSError("no"), "DNS does not answer for"),
        (["."], "DNS names no domain controller of corp.example that has a name"),
    ],
)
def test_dns_that_knows_none(monkeypatch: pytest.MonkeyPatch, result: Any, said: str) -> None:
    answers(monkeypatch, result)

    with pytest.raises(UsageError, match=said) as refused:
        controllers_of("corp.example")

    assert "server=DC" in str(refused.value)


def test_the_next_controller_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = []

    def dial(endpoint: Any, *_: Any, **__: Any) -> str:
        dialled.append((endpoint.address, endpoint.port))
        if endpoint.address.startswith("dc3"):
            return "connection"
        raise Unreachable("no", cause=Cause.REFUSED if endpoint.address.startswith("dc1") else None)

    monkeypatch.setattr(domain_controllers, "dial", dial)
    servers = [f"dc{number}.corp.example" for number in (1, 2, 3)]

    wanted = Wanted("corp.example")

    assert domain_controllers._connected(servers, wanted) == (servers[2], "connection", b"")
    assert dialled == [(server, 389) for server in servers]
    with pytest.raises(UsageError) as refused:
        domain_controllers._connected(servers[:2], wanted)
    assert str(refused.value).startswith(
        "no domain controller of corp.example answers: dc1.corp.example refused the connection, dc2.corp.example was "
        "silent for 5 s or cannot be reached; look at DNS, at port 389"
    )
    assert str(refused.value).endswith("or name another one with server=DC; ldaps=1 asks port 636")


# -- the connector --------------------------------------------------------------------------------------------------


def test_a_mistake_of_the_argument_comes_before_anybody_is_asked() -> None:
    with pytest.raises(SourceError, match="@ad names no domain"):
        AdConnector.find(None)


def test_a_filter_that_is_none_comes_before_anybody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, [])

    with pytest.raises(SourceError, match="is no LDAP filter"):
        AdConnector.find("corp.example?filter=((")
    assert asked == []


@pytest.mark.parametrize("library", ["sansldap", "dns", "gssapi"])
def test_a_missing_library_is_said(library: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from provmode.connector.sources.connectors import AdConnector\n"
        "AdConnector.find('corp.example')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.stderr.splitlines()[-1].endswith(
        "SourceError: @ad needs libraries that are not installed here; in the checkout: pip install '.[ad]'"
    )


def test_a_keytab_that_is_none_is_said() -> None:
    with pytest.raises(UsageError, match="cannot read"):
        domain_controllers._context(Wanted("corp.example", keytab="/no/such/keytab"), "dc1.corp.example", b"")
