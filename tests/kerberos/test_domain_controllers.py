"""A domain controller that demands TLS, or the binding to its certificate; and one with somebody in between."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sansldap

from provmode.connector.sources import domain_controllers, ldap
from provmode.connector.sources.domain_controllers import opened
from provmode.connector.sources.wanted import Wanted
from provmode.errors import UsageError
from provmode.lab.server.certificates import CertificateAuthority, ServerCertificate
from provmode.transport.dial import dial

pytestmark = pytest.mark.kdc

DOMAIN = "corp.example"
DC, OTHER = f"dc1.{DOMAIN}", f"dc2.{DOMAIN}"
"""The second is a computer of the domain with a principal of two parts, as every member can have it."""
CHANNEL_BOUND = 0x800
"""GSS_C_CHANNEL_BOUND_FLAG, which MIT's acceptor sets if both sides agree on the channel."""
SEALING, SIGNING = 16, 32
STRONGER_AUTH, CONFIDENTIALITY, UNWILLING, INVALID = 8, 13, 53, 49
NO_BINDING = "80090346: LdapErr: DSID-0C0906B5, comment: AcceptSecurityContext error, data 80090346, v4563"


@dataclass
class Controller:
    """What Active Directory does on ports 389 and 636 with *LdapEnforceChannelBinding* 2."""

    keytab: Path
    certificate: ServerCertificate
    refuses_without_tls: int = STRONGER_AUTH
    takes_kerberos_over_tls: bool = True
    """Samba takes it only if its configuration says so."""
    asked: list[str] = field(default_factory=list)
    """What was asked, in order."""

    def plain(self, line: socket.socket) -> None:
        """Serve a connection to port 389."""
        side = sansldap.LDAPServer()
        for request in side.receive(line.recv(100_000)):
            assert isinstance(request, sansldap.BindRequest)
            self.asked.append("bind without TLS")
            code = sansldap.LDAPResultCode(self.refuses_without_tls)
            side.bind_response(request.message_id, result_code=code, diagnostics_message="00002028: no")
        line.sendall(side.data_to_send())

    def over_tls(self, line: socket.socket) -> None:
        """Serve a connection to port 636."""
        import gssapi

        side = sansldap.LDAPServer()
        with self.certificate.context.wrap_socket(line, server_side=True) as tls:
            binding = gssapi.raw.ChannelBindings(0, b"", 0, b"", b"tls-server-end-point:" + self.certificate.digest)
            accepts = gssapi.Credentials(usage="accept", store={"keytab": str(self.keytab)})
            context = gssapi.SecurityContext(creds=accepts, usage="accept", channel_bindings=binding)
            while data := tls.recv(100_000):
                for request in side.receive(data):
                    if isinstance(request, sansldap.BindRequest):
                        self._bind(side, request, context)
                    else:
                        self.asked.append("search")
                        entry = [sansldap.PartialAttribute("name", [b"PC-0001"])]
                        side.search_result_entry(request.message_id, "CN=PC-0001", entry)
                        side.search_result_done(request.message_id, sansldap.LDAPResultCode.SUCCESS)
                tls.sendall(side.data_to_send())

    def _bind(self, side: sansldap.LDAPServer, request: sansldap.BindRequest, context: Any) -> None:
        import gssapi

        assert isinstance(request.authentication, sansldap.SaslCredential)
        self.asked.append("bind")
        code, text = 0, ""
        token = context.step(request.authentication.credentials)  # an error token, if the channel is another one
        try:
            assert context.complete
        except gssapi.raw.exceptions.BadChannelBindingsError:
            code, text = INVALID, NO_BINDING
        else:
            self.asked.append(str(context.target_name))
            if not self.takes_kerberos_over_tls:
                code, text = STRONGER_AUTH, "SASL:[GSS-SPNEGO]: Sign or Seal are required."
            elif int(context.actual_flags) & (SEALING | SIGNING):
                code, text = UNWILLING, "SASL:[GSS-SPNEGO]: Sign or Seal are not allowed if TLS is used"
            elif not int(context.actual_flags) & CHANNEL_BOUND:
                code, text = INVALID, NO_BINDING
        result = sansldap.LDAPResultCode(code)
        side.bind_response(request.message_id, result_code=result, diagnostics_message=text, sasl_creds=token)


@contextmanager
def serving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve one connection after the other on a port of its own, which is returned."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve_all, args=(listener, serve), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def serve_all(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            line, _ = listener.accept()
        except OSError:
            return  # the test has ended
        with line, suppress(OSError, sansldap.ProtocolError):  # a client that goes away, or speaks TLS on port 389
            serve(line)


def in_between(certificate: ServerCertificate, port: int) -> Callable[[socket.socket], None]:
    """Open TLS with a certificate of one's own and hand everything on, both ways."""

    def serve(line: socket.socket) -> None:
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with (
            certificate.context.wrap_socket(line, server_side=True) as client,
            trusting.wrap_socket(socket.create_connection(("127.0.0.1", port))) as server,
        ):
            hand_on(client, server)

    return serve


def hand_on(one: ssl.SSLSocket, other: ssl.SSLSocket) -> None:
    """Hand everything on until one of the two ends."""
    ways = {one: other, other: one}
    for each in ways:
        each.setblocking(False)
    while True:
        for source in select.select(list(ways), [], [])[0]:
            try:
                data = source.recv(100_000)
            except ssl.SSLWantReadError:
                continue  # a session ticket, which is no data
            if not data:
                return
            ways[source].sendall(data)


@pytest.fixture(scope="module")
def keytab(realm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys of the controller, and of a member that calls itself a controller."""
    file: Path = tmp_path_factory.mktemp("controller") / "keytab"
    for principal in (f"ldap/{DC}/{DOMAIN}", f"ldap/{DC}", f"ldap/{OTHER}"):
        realm.kadmin(f"addprinc -randkey {principal}@{realm.name}", f"ktadd -k {file} {principal}@{realm.name}")
    return file


@pytest.fixture
def there(keytab: Path, ticket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The controller on both ports, its CA, and the ports by which it is reached."""
    authority = CertificateAuthority(tmp_path)
    controller = Controller(keytab, authority.issue([DC, OTHER]))
    ports: dict[int, int] = {}

    def dialled(endpoint: Any, deadline: float, *, seconds: Callable[[], float]) -> socket.socket:
        here = replace(endpoint, address="127.0.0.1", port=ports[endpoint.port])
        return dial(here, deadline, seconds=seconds)

    monkeypatch.setattr(domain_controllers, "dial", dialled)
    with serving(controller.plain) as ports[389], serving(controller.over_tls) as ports[636]:
        yield SimpleNamespace(controller=controller, authority=authority, ca=str(authority.path), ports=ports)


def ask(**options: Any) -> list[str]:
    with opened(Wanted(DOMAIN, **options)) as directory:
        wanted = ldap.equal("objectClass", "computer")
        found = directory.carry_out(ldap.search(directory.wire, "DC=x", ldap.SUBTREE, wanted, ["name"]))
        return [entry.text("name") for entry in found]


def test_over_tls_the_logon_is_bound_to_the_certificate_and_seals_nothing(there: Any) -> None:
    assert ask(server=DC, ldaps=True, ca=there.ca) == ["PC-0001"]

    assert there.controller.asked == ["bind", f"ldap/{DC}/{DOMAIN}@CORP.EXAMPLE", "search"]


@pytest.mark.parametrize("code", [STRONGER_AUTH, CONFIDENTIALITY])
def test_a_controller_that_demands_tls_is_asked_over_tls(there: Any, code: int) -> None:
    there.controller.refuses_without_tls = code

    assert ask(server=DC, ca=there.ca) == ["PC-0001"]

    assert there.controller.asked[0] == "bind without TLS"
    assert there.controller.asked[-1] == "search"


def test_a_samba_that_takes_no_kerberos_over_tls_is_asked_once_and_the_cure_is_said(there: Any) -> None:
    there.controller.takes_kerberos_over_tls = False

    with pytest.raises(UsageError) as refused:
        ask(server=DC, ca=there.ca)

    assert str(refused.value) == (
        f"the domain controller {DC} refused the logon (LDAP 8: SASL:[GSS-SPNEGO]: Sign or Seal are required.); take "
        "ldaps=1 out, or set Samba's ldap server require strong auth = allow_sasl_over_tls"
    )
    assert there.controller.asked.count("bind") == 1


def test_any_other_refusal_is_not_tried_over_tls(there: Any) -> None:
    there.controller.refuses_without_tls = UNWILLING

    with pytest.raises(UsageError, match=r"refused the logon \(LDAP 53: 00002028: no\)"):
        ask(server=DC, ca=there.ca)

    assert there.controller.asked == ["bind without TLS"]


def test_somebody_in_between_with_a_certificate_that_is_trusted_is_refused(there: Any) -> None:
    """As programs do that open TLS to look into it: the certificate is fine, and not the controller's."""
    with serving(in_between(there.authority.issue([DC]), there.ports[636])) as port:
        there.ports[636] = port
        with pytest.raises(UsageError) as refused:
            ask(server=DC, ldaps=True, ca=there.ca)

    assert str(refused.value) == (
        f"the domain controller {DC} refused the logon: it has another certificate than the one that came here; "
        "something between here and there opens TLS; ask from elsewhere, or take ldaps=1 out"
    )
    assert "search" not in there.controller.asked


@pytest.mark.parametrize("plain_first", [False, True])
def test_a_certificate_that_is_not_trusted_ends_it_before_the_logon(
    there: Any, tmp_path: Path, plain_first: bool
) -> None:
    (tmp_path / "other").mkdir()
    other = CertificateAuthority(tmp_path / "other")

    with pytest.raises(UsageError) as refused:
        ask(server=DC, ldaps=not plain_first, ca=str(other.path))

    assert str(refused.value).startswith(
        f"the certificate of the domain controller {DC} is not trusted: unable to get local issuer certificate; "
        "if it is your domain's, give the CA that signed it: ca=FILE"
    )
    assert "\n" not in str(refused.value)
    assert "bind" not in there.controller.asked


def test_a_certificate_for_another_name_ends_it(there: Any) -> None:
    there.controller.certificate = there.authority.issue(["other.corp.example"])

    with pytest.raises(UsageError, match=r"not trusted: Hostname mismatch.*; name the controller as its certificate"):
        ask(server=DC, ldaps=True, ca=there.ca)


def test_a_controller_without_a_certificate_agrees_on_no_tls(there: Any) -> None:
    there.ports[636] = there.ports[389]

    with pytest.raises(
        UsageError, match=rf"answers: {DC} agrees on no TLS \(has it a certificate\?\); look at DNS, at p"
    ):
        ask(server=DC, ldaps=True, ca=there.ca)


def test_a_ca_that_cannot_be_read_is_said(there: Any) -> None:
    with pytest.raises(UsageError, match="cannot read the CA bundle /no/such/file: No such file"):
        ask(server=DC, ldaps=True, ca="/no/such/file")


# -- who is a domain controller ---------------------------------------------------------------------------------------


def test_a_member_that_dns_calls_a_controller_gets_no_ticket(there: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever answers DNS and has the key of a computer; a person may name it all the same."""
    monkeypatch.setattr(domain_controllers, "controllers_of", lambda domain: [OTHER])

    with pytest.raises(UsageError) as refused:
        ask(ldaps=True, ca=there.ca)

    assert str(refused.value) == (
        f"cannot ask {OTHER}: the domain knows no service ldap/{OTHER}/{DOMAIN}; name a domain controller that you "
        "know by its full DNS name with server=DC, or take server= out"
    )
    assert there.controller.asked == []
    assert ask(server=OTHER, ldaps=True, ca=there.ca) == ["PC-0001"]
    assert there.controller.asked[1] == f"ldap/{OTHER}@CORP.EXAMPLE"


def test_a_controller_that_dns_names_is_asked_for_by_its_domain(there: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain_controllers, "controllers_of", lambda domain: [DC])

    assert ask(ldaps=True, ca=there.ca) == ["PC-0001"]

    assert there.controller.asked[1] == f"ldap/{DC}/{DOMAIN}@CORP.EXAMPLE"
