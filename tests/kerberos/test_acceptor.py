"""The lab's acceptor of Kerberos, used by clients that are not ours: pypsrp, pywinrm, curl and GSS-API itself."""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import winrm
from pypsrp.exceptions import AuthenticationError
from pypsrp.shell import Process, SignalCode, WinRS
from pypsrp.wsman import WSMan

from provmode.lab.process import Host, LabProcess
from provmode.lab.server import sealing

pytestmark = pytest.mark.kdc

FLAGS = 2 | 4 | 8 | 16 | 32
"""Mutual authentication, replays and order detected, confidentiality, integrity (RFC 2744 appendix A)."""
DELEGATE = 1
KERBEROS, SPNEGO = "1.2.840.113554.1.2.2", "1.3.6.1.5.5.2"
OS = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/Win32_OperatingSystem"
IDENTIFY = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    "<s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>"
)


def pypsrp(host: Host, name: str, **options: Any) -> WSMan:
    """Pypsrp's client with a ticket for the PC called *name*; over HTTP it seals."""
    secure = host.scheme == "https"
    settings: dict[str, Any] = {
        "port": host.port,
        "ssl": secure,
        "auth": "kerberos",
        "encryption": "auto" if secure else "always",
        "negotiate_hostname_override": name,
        "cert_validation": False,
        "no_proxy": True,
    }
    return WSMan(host.address, **{**settings, **options})


def pywinrm(host: Host, name: str, **options: Any) -> winrm.Protocol:
    """Pywinrm's client, which makes its tokens with pykerberos."""
    return winrm.Protocol(
        host.url,
        transport="kerberos",
        kerberos_hostname_override=name,
        proxy=None,
        **{"message_encryption": "always", "ca_trust_path": None, "server_cert_validation": "ignore", **options},
    )


def output_of(protocol: winrm.Protocol, line: str) -> bytes:
    """Run a command with pywinrm."""
    shell = protocol.open_shell()
    command = protocol.run_command(shell, line)
    out = bytes(protocol.get_command_output(shell, command)[0])
    protocol.cleanup_command(shell, command)
    protocol.close_shell(shell)
    return out


class GssClient:
    """GSS-API on a connection, token by token, for what no whole client sends."""

    def __init__(self, host: Host, ca: Path | None = None) -> None:
        if host.scheme == "https":
            tls = ssl.create_default_context(cafile=str(ca))
            self.http: http.client.HTTPConnection = http.client.HTTPSConnection("localhost", host.port, context=tls)
        else:
            self.http = http.client.HTTPConnection(host.address, host.port)
        self.first = b""
        self.offered: list[str] = []
        self.context: Any = None

    def post(self, scheme: str, token: bytes) -> int:
        """Send a token; return the status."""
        return self._request(b"", {"Authorization": f"{scheme} {base64.b64encode(token).decode()}"})

    def ask(self) -> int:
        """Ask for the identity of the PC, without sealing and without a token; return the status."""
        return self._request(IDENTIFY.encode(), {"Content-Type": "application/soap+xml;charset=UTF-8"})

    def sealed(self, *, encrypt: bool = True, protocol: str = sealing.SPNEGO, length: int = 0) -> bytes:
        """Return a sealed body that asks for the identity, or one with something wrong about it."""
        import gssapi

        parts = gssapi.raw.IOV(gssapi.raw.IOVBufferType.header, IDENTIFY.encode(), std_layout=False)
        gssapi.raw.wrap_iov(self.context, parts, confidential=encrypt)
        header, data = (each.value for each in parts)
        return sealing.frame(header, data, len(data) + length, "application/soap+xml;charset=UTF-8", protocol)

    def send(self, body: bytes, protocol: str = sealing.SPNEGO) -> int:
        """Send a sealed body; return the status."""
        return self._request(body, {"Content-Type": sealing.content_type_of(protocol)})

    def _request(self, body: bytes, headers: dict[str, str]) -> int:
        self.http.request("POST", "/wsman", body, headers)
        response = self.http.getresponse()
        response.read()
        self.offered = response.headers.get_all("WWW-Authenticate") or []
        return response.status

    def login(
        self,
        name: str,
        *,
        mech: str = KERBEROS,
        scheme: str = "Negotiate",
        bound_to: bytes | None = None,
        flags: int = FLAGS,
    ) -> int:
        """Log on with the ticket in the environment; return the last status."""
        import gssapi

        binding = None if bound_to is None else gssapi.raw.ChannelBindings(application_data=bound_to)
        self.context = gssapi.SecurityContext(
            name=gssapi.Name(f"HTTP@{name}", gssapi.NameType.hostbased_service),
            mech=gssapi.OID.from_int_seq(mech),
            flags=flags,
            usage="initiate",
            channel_bindings=binding,
        )
        token = self.context.step()
        self.first = token
        while True:
            status = self.post(scheme, token)
            said = [each.partition(" ")[2] for each in self.offered if each.partition(" ")[0] == scheme]
            if not said or not said[0]:
                return status
            token = self.context.step(base64.b64decode(said[0]))
            if self.context.complete or not token:  # asking raises the error that `step` has kept
                return status

    def close(self) -> None:
        self.http.close()


@pytest.fixture
def gss() -> Iterator[Callable[..., GssClient]]:
    """Return a function that makes clients; they are closed at the end."""
    made: list[GssClient] = []

    def make(host: Host, ca: Path | None = None) -> GssClient:
        made.append(GssClient(host, ca))
        return made[-1]

    yield make
    for client in made:
        client.close()


def why(refused: Callable[[], Any]) -> str:
    """Return what the client's GSS library says of a refusal."""
    import gssapi

    with pytest.raises(gssapi.exceptions.GSSError) as raised:
        refused()
    return str(raised.value)


# -- whole clients ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("auth", ["kerberos", "negotiate"])
@pytest.mark.parametrize("service", ["HTTP", "WSMAN", "host"])
def test_pypsrp_reads_and_runs_commands_over_sealed_http(
    domain_lab: LabProcess, pc: Host, name_of: Any, auth: str, service: str
) -> None:
    before = domain_lab.counters(pc.name)

    client = pypsrp(pc, name_of(pc), auth=auth, negotiate_service=service)
    answer = client.get(OS, None)
    with WinRS(client) as shell:
        process = Process(shell, "hostname")
        process.invoke()
        process.signal(SignalCode.CTRL_C)

    after = domain_lab.counters(pc.name)
    assert answer[0].findtext(f"{{{OS}}}CSName") == pc.name
    assert process.stdout.strip() == pc.name.encode()
    assert shell.owner == "LAB\\provmode"
    assert after["refused_logins"] == before["refused_logins"]


@pytest.mark.usefixtures("ticket")
def test_pywinrm_runs_commands_over_sealed_http_and_https(pc: Host, https_pc: Host, name_of: Any) -> None:
    sealed = output_of(pywinrm(pc, name_of(pc)), "hostname")
    secure = output_of(pywinrm(https_pc, name_of(https_pc), message_encryption="never"), "hostname")
    both = output_of(pywinrm(https_pc, name_of(https_pc)), "hostname")

    assert sealed.strip() == pc.name.encode()
    assert secure.strip() == both.strip() == https_pc.name.encode()


def curl(host: Host, name: str, ca: Path) -> str:
    """Ask for the identity of a PC; return the answer and, on a line of its own, the status."""
    place = f"{name}:{host.port}"
    ran = subprocess.run(
        [
            *("curl", "-s", "--negotiate", "-u", ":", "--cacert", str(ca), "--noproxy", "*"),
            *("--resolve", f"{place}:127.0.0.1", "-H", "Content-Type: application/soap+xml;charset=UTF-8"),
            *("-d", IDENTIFY, "-w", "\n%{http_code}", f"{host.scheme}://{place}/wsman"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout


@pytest.mark.usefixtures("ticket")
def test_curl_logs_on_over_https_where_the_certificate_has_the_name_of_the_domain(
    secure_domain_lab: LabProcess, https_pc: Host, name_of: Any
) -> None:
    answer = curl(https_pc, name_of(https_pc), secure_domain_lab.ca_file)

    assert answer.endswith("\n200")
    assert "OS: 10.0." in answer  # what Identify tells to those who logged on


@pytest.mark.usefixtures("ticket")
def test_curl_which_binds_to_no_channel_is_refused_where_that_is_required(
    secure_domain_lab: LabProcess, https_pc: Host, name_of: Any
) -> None:
    secure_domain_lab.logon(https_pc.name, cbt="Strict")

    assert curl(https_pc, name_of(https_pc), secure_domain_lab.ca_file) == "\n401"


@pytest.mark.usefixtures("ticket")
def test_curl_without_sealing_logs_on_over_http_and_its_message_is_refused(
    domain_lab: LabProcess, pc: Host, name_of: Any
) -> None:
    assert curl(pc, name_of(pc), domain_lab.ca_file) == "\n500"


def test_without_a_ticket_negotiate_is_ntlm_as_before(
    domain_lab: LabProcess, pc: Host, name_of: Any, no_ticket: Path
) -> None:
    client = pypsrp(pc, name_of(pc), auth="negotiate", username="LAB\\provmode", password=domain_lab.password)

    assert client.get(OS, None)[0].findtext(f"{{{OS}}}CSName") == pc.name
    assert not no_ticket.exists()


def test_a_password_of_the_realm_is_enough(realm: Any, pc: Host, name_of: Any, no_ticket: Path) -> None:
    user = f"provmode@{realm.name}"

    client = pypsrp(pc, name_of(pc), auth="kerberos", username=user, password=realm.password)

    assert client.get(OS, None)[0].findtext(f"{{{OS}}}CSName") == pc.name


# -- the schemes on offer -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ticket")
def test_a_pc_that_offers_kerberos_alone_seals_under_that_name(
    domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any
) -> None:
    domain_lab.logon(pc.name, negotiate=False)
    client = pypsrp(pc, name_of(pc), auth="negotiate")
    client.get(OS, None)
    seen: list[str] = []
    hooks = client.transport.session.hooks["response"]
    hooks.append(lambda answer, **_: seen.append(answer.headers["Content-Type"]))

    client.get(OS, None)

    assert gss(pc).login(name_of(pc)) == 401
    assert [each.split(";")[1] for each in seen] == ['protocol="application/HTTP-Kerberos-session-encrypted"']


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        ({}, ["Negotiate", "Kerberos"]),
        ({"negotiate": False}, ["Kerberos"]),
        ({"kerberos": False}, ["Negotiate"]),
        ({"negotiate": False, "kerberos": False}, []),
    ],
)
def test_a_pc_names_the_schemes_that_are_on_and_takes_no_other(
    domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any, changes: Any, offered: list[str]
) -> None:
    domain_lab.logon(pc.name, **changes)
    statuses = {}

    for scheme in ("Negotiate", "Kerberos"):
        client = gss(pc)
        statuses[scheme] = client.login(name_of(pc), scheme=scheme)
    asked = gss(pc)
    asked.http.request("POST", "/wsman", b"")
    response = asked.http.getresponse()

    assert (response.headers.get_all("WWW-Authenticate") or []) == offered
    assert statuses == {name: 200 if name in offered else 401 for name in statuses}


@pytest.mark.usefixtures("ticket")
def test_the_scheme_kerberos_takes_no_spnego_and_no_ntlm(pc: Host, name_of: Any, gss: Any) -> None:
    ntlm = gss(pc).post("Kerberos", b"NTLMSSP\0\1\0\0\0" + bytes(24))

    assert gss(pc).login(name_of(pc), mech=SPNEGO, scheme="Kerberos") == 401
    assert ntlm == 401


@pytest.mark.usefixtures("ticket")
def test_a_policy_against_ntlm_leaves_kerberos(domain_lab: LabProcess, pc: Host, name_of: Any) -> None:
    domain_lab.logon(pc.name, ntlm=False)
    ntlm = pypsrp(pc, name_of(pc), auth="ntlm", username="LAB\\provmode", password=domain_lab.password)

    with pytest.raises(AuthenticationError):
        ntlm.get(OS, None)

    assert pypsrp(pc, name_of(pc)).get(OS, None)[0].findtext(f"{{{OS}}}CSName") == pc.name
    assert pypsrp(pc, name_of(pc), auth="negotiate").get(OS, None) is not None


def test_a_pc_with_its_keytab_taken_away_refuses_tickets(
    domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any, ticket: Path
) -> None:
    domain_lab.logon(pc.name, keytab=None)

    assert gss(pc).login(name_of(pc)) == 401


# -- the handshake ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("mech", [KERBEROS, SPNEGO])
def test_a_handshake_is_one_request_and_its_answer_proves_the_pc(
    domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any, mech: str
) -> None:
    before = domain_lab.counters(pc.name)
    client = gss(pc)

    status = client.login(name_of(pc), mech=mech)

    after = domain_lab.counters(pc.name)
    assert status == 200
    assert client.context.complete
    assert client.context.actual_flags & 2  # mutual authentication
    assert after["requests"] - before["requests"] == 1


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("mech", [KERBEROS, SPNEGO])
@pytest.mark.parametrize(
    ("level", "token", "status"),
    [
        ("Relaxed", "right", 200),
        ("Relaxed", "none", 200),
        ("Relaxed", "wrong", 401),
        ("Strict", "right", 200),
        ("Strict", "none", 401),
        ("Strict", "wrong", 401),
        ("None", "wrong", 200),
    ],
)
def test_channel_binding_is_checked_over_https(
    secure_domain_lab: LabProcess,
    https_pc: Host,
    name_of: Any,
    gss: Any,
    mech: str,
    level: str,
    token: str,
    status: int,
) -> None:
    secure_domain_lab.logon(https_pc.name, cbt=level)
    client = gss(https_pc, secure_domain_lab.ca_file)
    client.http.connect()
    digest = hashlib.sha256(client.http.sock.getpeercert(binary_form=True)).digest()
    bound = {"right": b"tls-server-end-point:" + digest, "wrong": b"tls-server-end-point:" + bytes(32), "none": None}

    assert client.login(name_of(https_pc), mech=mech, bound_to=bound[token]) == status


@pytest.mark.usefixtures("ticket")
def test_a_token_that_was_seen_is_refused_on_another_connection(
    domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any
) -> None:
    client, thief = gss(pc), gss(pc)
    client.login(name_of(pc))

    status = thief.post("Negotiate", client.first)

    said = base64.b64decode(thief.offered[0].partition(" ")[2])
    assert status == 401
    assert re.search(rb"\xa6\x03\x02\x01\x22", said)  # error-code [6] 34: KRB_AP_ERR_REPEAT


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("mech", [KERBEROS, SPNEGO])
def test_a_pc_whose_clock_is_off_says_so(domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any, mech: str) -> None:
    domain_lab.logon(pc.name, ahead=-11 * 60)

    said = why(lambda: gss(pc).login(name_of(pc), mech=mech))

    assert "Clock skew too great" in said


@pytest.mark.usefixtures("ticket")
def test_a_clock_that_is_a_little_off_is_no_matter(domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any) -> None:
    domain_lab.logon(pc.name, ahead=4 * 60)

    assert gss(pc).login(name_of(pc)) == 200


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("mech", [KERBEROS, SPNEGO])
def test_a_ticket_for_another_pc_was_modified_as_windows_says(
    domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any, mech: str
) -> None:
    other = domain_lab.hosts[1]

    said = why(lambda: gss(pc).login(name_of(other), mech=mech))

    assert "Message stream modified" in said


def test_a_pc_with_stale_keys_says_that_the_ticket_was_modified(
    realm: Any, domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any, ticket: Path, tmp_path: Path
) -> None:
    stale = realm.add_pc("PC-STALE", keytab=tmp_path / "stale.keytab")
    realm.add_pc("PC-STALE", keytab=tmp_path / "new.keytab")
    domain_lab.logon(pc.name, keytab=str(stale))

    said = why(lambda: gss(pc).login("pc-stale.corp.example"))
    domain_lab.logon(pc.name, keytab=str(tmp_path / "new.keytab"))

    assert "Message stream modified" in said
    assert gss(pc).login("pc-stale.corp.example") == 200


def test_a_user_whom_the_pc_does_not_know_is_refused(
    realm: Any, domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any, no_ticket: Path
) -> None:
    realm.add_user("somebody", "a-password")
    realm.kinit(no_ticket, user="somebody", password="a-password")
    before = domain_lab.counters(pc.name)["refused_logins"]

    client = gss(pc)
    status = client.login(name_of(pc))

    assert (status, client.offered) == (401, ["Negotiate", "Kerberos"])
    assert domain_lab.counters(pc.name)["refused_logins"] == before + 1


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("token", [b"\x60", b"`\x0b\x06\x09*\x86H\x86\xf7\x12\x01\x02\x02", b"`\x84\xff\xff\xff\xff"])
def test_what_is_no_token_is_a_401_without_one(pc: Host, gss: Any, token: bytes) -> None:
    client = gss(pc)

    assert client.post("Negotiate", token) == 401
    assert client.offered == ["Negotiate", "Kerberos"]


@pytest.mark.parametrize(("options", "delegated"), [(("-f",), 1), (("-F",), 0)])
def test_a_ticket_is_delegated_if_the_client_may(
    realm: Any,
    domain_lab: LabProcess,
    pc: Host,
    name_of: Any,
    gss: Any,
    no_ticket: Path,
    options: tuple[str],
    delegated: int,
) -> None:
    realm.kinit(no_ticket, *options)
    before = domain_lab.counters(pc.name)["delegated"]

    statuses = [gss(pc).login(name_of(pc), flags=FLAGS), gss(pc).login(name_of(pc), flags=FLAGS | DELEGATE)]

    assert statuses == [200, 200]
    assert domain_lab.counters(pc.name)["delegated"] - before == delegated


# -- sealing ------------------------------------------------------------------------------------------------------


def test_a_pc_that_knows_rc4_alone_is_served_by_both_clients(
    realm: Any, ticket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise MIT's acceptor takes a stronger key than that of the ticket, if the client offers one."""
    realm.add_pc("PC-RC4", keys="arcfour-hmac:normal", keytab=tmp_path / "PC-00001.keytab")
    name = "pc-rc4.corp.example"
    known = realm.configured(tmp_path / "rc4.conf", libdefaults="permitted_enctypes = arcfour-hmac")
    with monkeypatch.context() as patched:
        patched.setenv("KRB5_CONFIG", str(known))
        lab = LabProcess(1, 5, mix={"healthy": 1}, keytabs=tmp_path).start()
    try:
        answer = pypsrp(lab.hosts[0], name).get(OS, None)  # its Length counts the padding
        out = output_of(pywinrm(lab.hosts[0], name), "hostname")  # its Length does not
    finally:
        lab.stop()

    listed = subprocess.run(["klist", "-e"], capture_output=True, text=True, check=True).stdout
    assert listed.count("Etype (skey, tkt): DEPRECATED:arcfour-hmac, DEPRECATED:arcfour-hmac") == 2
    assert answer[0].findtext(f"{{{OS}}}CSName") == "PC-00001"
    assert out.strip() == b"PC-00001"


@pytest.mark.usefixtures("ticket")
def test_a_sealed_message_that_was_changed_ends_the_connection(pc: Host, name_of: Any) -> None:
    client = pypsrp(pc, name_of(pc))
    client.get(OS, None)
    session = client.transport.session
    send = session.send

    def change(request: Any, **options: Any) -> Any:
        at = request.body.index(b"octet-stream\r\n") + 200
        request.body = request.body[:at] + bytes([request.body[at] ^ 1]) + request.body[at + 1 :]
        return send(request, **options)

    session.send = change

    with pytest.raises(Exception, match="400"):
        client.get(OS, None)


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("mech", [KERBEROS, SPNEGO])
def test_a_sealed_message_is_taken_once_and_in_its_order(pc: Host, name_of: Any, gss: Any, mech: str) -> None:
    client = gss(pc)
    client.login(name_of(pc), mech=mech)
    first, second = client.sealed(), client.sealed()
    other = gss(pc)
    other.login(name_of(pc), mech=mech)
    early = [other.sealed(), other.sealed()][1]

    assert [client.send(first), client.send(second), client.send(first)] == [200, 200, 400]
    assert other.send(early) == 400


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("wrong", [{"encrypt": False}, {"length": 1}, {"length": -1}, {"protocol": sealing.KERBEROS}])
def test_a_message_that_is_not_sealed_as_it_says_is_refused(pc: Host, name_of: Any, gss: Any, wrong: Any) -> None:
    client = gss(pc)
    client.login(name_of(pc))

    assert client.send(client.sealed(**wrong)) == 400


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize(
    ("scheme", "inside", "outside", "status"),
    [
        ("Negotiate", sealing.SPNEGO, sealing.SPNEGO, 200),
        ("Negotiate", sealing.KERBEROS, sealing.KERBEROS, 400),
        ("Kerberos", sealing.KERBEROS, sealing.KERBEROS, 200),
        ("Kerberos", sealing.SPNEGO, sealing.KERBEROS, 200),
        ("Kerberos", sealing.SPNEGO, sealing.SPNEGO, 400),
    ],
)
def test_a_message_is_sealed_under_the_name_of_its_scheme(
    pc: Host, name_of: Any, gss: Any, scheme: str, inside: str, outside: str, status: int
) -> None:
    client = gss(pc)
    client.login(name_of(pc), scheme=scheme)

    assert client.send(client.sealed(protocol=inside), outside) == status


# -- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ticket")
def test_a_broken_acceptor_can_be_injected(domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any) -> None:
    domain_lab.inject(pc.name, kind="handshake-status", code=500)

    assert [gss(pc).login(name_of(pc)) for _ in range(2)] == [500, 200]


@pytest.mark.usefixtures("ticket")
def test_a_logon_can_be_forgotten_in_the_middle_of_a_connection(
    secure_domain_lab: LabProcess, https_pc: Host, name_of: Any, gss: Any
) -> None:
    client = gss(https_pc, secure_domain_lab.ca_file)
    client.login(name_of(https_pc))
    before = client.ask()
    secure_domain_lab.inject(https_pc.name, kind="forget")

    after = [client.ask(), client.ask()]
    offered = client.offered
    client.login(name_of(https_pc))

    assert (before, after, client.ask()) == (200, [401, 401], 200)
    assert offered == ["Negotiate", "Kerberos"]


def test_a_silent_kdc_is_asked_and_says_nothing(realm: Any, silent_kdc: Any, no_ticket: Path) -> None:
    with subprocess.Popen(
        ["kinit", f"provmode@{realm.name}"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as kinit:
        assert kinit.stdin is not None
        kinit.stdin.write(b"x\n")
        kinit.stdin.flush()
        silent_kdc.wait_until_asked()
        still_waiting = kinit.poll() is None
        kinit.kill()

    assert still_waiting
    assert not no_ticket.exists()


def test_a_kdc_that_is_not_there_is_named_at_once(realm: Any, refusing_kdc: Any, no_ticket: Path) -> None:
    ran = subprocess.run(
        ["kinit", f"provmode@{realm.name}"], input="x\n", capture_output=True, text=True, check=False, timeout=60
    )

    assert "Cannot contact any KDC for realm" in ran.stderr


def test_a_realm_without_a_kdc_and_a_name_that_the_kdc_does_not_know_have_their_words(
    realm: Any, pc: Host, gss: Any, ticket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = [why(lambda: gss(pc).login(name)) for name in ("nobody.corp.example", "127.0.0.1")]  # noqa: B023
    monkeypatch.setenv("KRB5_CONFIG", str(realm.configured(tmp_path / "none.conf", kdc="")))
    nowhere = why(lambda: gss(pc).login("nobody.corp.example"))

    assert all("not found in Kerberos database" in said for said in unknown)
    assert "Cannot find KDC for realm" in nowhere


def test_an_expired_ticket_is_refused_before_anything_is_sent(
    domain_lab: LabProcess, pc: Host, name_of: Any, gss: Any, expired: Path
) -> None:
    before = domain_lab.counters(pc.name)["requests"]

    said = why(lambda: gss(pc).login(name_of(pc)))

    assert "expired" in said
    assert domain_lab.counters(pc.name)["requests"] == before


# -- without the library ------------------------------------------------------------------------------------------

WITHOUT = "import sys; sys.modules['gssapi'] = None; from provmode.lab.command import lab; lab()"


def test_without_the_library_a_keytab_is_one_line_and_a_lab_without_keytabs_is_as_before(realm: Any) -> None:
    arguments = [sys.executable, "-c", WITHOUT, "--hosts", "1", "--mix", "healthy=1", "--control"]

    with_keytabs = subprocess.run(
        [*arguments, "--keytabs", str(realm.keytabs)], capture_output=True, text=True, check=False, input="", timeout=60
    )
    without = subprocess.run(arguments, capture_output=True, text=True, check=False, input="", timeout=60)

    assert with_keytabs.returncode == 1
    assert with_keytabs.stderr.startswith(
        "Error: a PC with a keytab needs the libraries of the extra `kerberos`, see docs/install.md ("
    )
    assert (without.returncode, without.stderr) == (0, "")


def test_a_folder_without_a_keytab_of_a_pc_and_a_file_that_is_none_are_named(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "provmode.lab", "--hosts", "1", "--mix", "healthy=1", "--control"]

    def said() -> str:
        ran = subprocess.run(
            [*arguments, "--keytabs", str(tmp_path)], capture_output=True, text=True, check=False, input="", timeout=60
        )
        assert ran.returncode == 1
        return ran.stderr

    empty = said()
    (tmp_path / "PC-00001.keytab").write_bytes(b"this is no keytab")

    assert empty == f"lab: {tmp_path} has no keytab of any PC: it would be called PC-00001.keytab\n"
    assert said().startswith(f"lab: {tmp_path}/PC-00001.keytab cannot be used as a keytab: ")


def test_a_lab_leaves_no_replay_cache_behind(domain_lab: LabProcess) -> None:
    places = [
        Path(f"/proc/{domain_lab.pid}/fd/{fd.name}").readlink() for fd in Path(f"/proc/{domain_lab.pid}/fd").iterdir()
    ]

    assert [str(each) for each in places if "replay" in str(each) or ".rcache" in str(each)] == [
        "/memfd:provmode-lab-replay-cache (deleted)"
    ]
