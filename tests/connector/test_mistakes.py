"""Mistakes in a host's data are said before anything is sent, by key and cure."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import winrm.transport
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from provmode.connector.host_data import WINRM_DATA, check_files, check_target, target_of
from provmode.connector.mistakes import check_address
from provmode.errors import UsageError
from provmode.fleet.inventory import load
from provmode.fleet.visit import policies_of

DATA = {**{key: meta.default for key, meta in WINRM_DATA.items()}, "winrm_user": "LAB\\x", "winrm_password": "p"}
LOOPBACK = next(name for _, name in socket.if_nameindex())
NUMBER = socket.if_nametoindex(LOOPBACK)


def refusal(**data: Any) -> str:
    """Return the error about a host of these data; a run and a connection of pyinfra's have the same."""
    with pytest.raises(UsageError) as in_a_run:
        check_target("@winrm/PC-1", {**DATA, **data}, set())
    with pytest.raises(UsageError) as in_pyinfra:
        target_of("@winrm/PC-1", {**DATA, **data})
    assert str(in_a_run.value) == str(in_pyinfra.value)
    return str(in_a_run.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"winrm_path": "wsman"}, "winrm_path is 'wsman', which does not begin with a slash; write '/wsman'"),
        ({"winrm_path": "http://pc-1:5985/wsman"}, "which does not begin with a slash; write '/wsman'"),
        ({"winrm_path": "//wsman"}, "with two slashes"),
        ({"winrm_path": "/wsman?x"}, "no path has '?'"),
        ({"winrm_path": "/wsman "}, "with a blank (U+0020 SPACE)"),
        ({"winrm_user": "LAB\bob"}, "cannot be seen (U+0008); in Python a backslash in quotes is written twice"),
        ({"winrm_user": "LAB\\\u200bbob"}, "U+200B ZERO WIDTH SPACE"),
        ({"winrm_user": "LAB\\bob "}, "with a blank (U+0020 SPACE)"),
        ({"winrm_user": "LAB\\b\u00a0b"}, "U+00A0 NO-BREAK SPACE"),
        ({"winrm_user": "LAB\\bob\u3164"}, "U+3164 HANGUL FILLER"),
        ({"winrm_user": "LAB\\\\bob"}, "with two backslashes"),
        ({"winrm_user": "LAB\\"}, "a part is missing"),
        ({"winrm_user": "@corp.example"}, "a part is missing"),
        ({"winrm_user": "LAB/bob"}, "with a slash; write LAB\\bob"),
        ({"winrm_user": None}, "PC-1: no user is given; set winrm_user or $PROVMODE_USER"),
        ({"winrm_user": None, "winrm_password": None}, "no user is given"),
        ({"winrm_address": "127.0.0.1 "}, "winrm_address is '127.0.0.1 ', with a blank"),
        ({"winrm_address": "pc\t1"}, "cannot be seen (U+0009)"),
        ({"winrm_address": "[::1]"}, "in brackets; write '::1' without them"),
        ({"winrm_address": "https://pc-1"}, "a URL; give the name alone"),
        ({"winrm_address": "pc-1:5986"}, "a name with a port; write 'pc-1', and winrm_port 5986"),
        ({"winrm_address": "pc-1/wsman"}, "it has a /"),
        ({"winrm_address": "CORP\\pc-1"}, "it has a \\"),
        ({"winrm_address": "pc,1"}, "no name has U+002C COMMA"),
        ({"winrm_address": "pc-1."}, "ends with a dot; write 'pc-1'"),
        ({"winrm_address": "pc..corp"}, "not a host name"),
        ({"winrm_address": "127.1"}, "a number that resolvers read as 127.0.0.1"),
        ({"winrm_address": "0x7f.1"}, "a number that resolvers read as 127.0.0.1"),
        ({"winrm_address": "2130706433"}, "a number that resolvers read as 127.0.0.1"),
        ({"winrm_address": "010.0.0.1"}, "a number that resolvers read as 8.0.0.1"),
        ({"winrm_address": "10.0.0.300"}, "neither an IP address nor a name"),
        ({"winrm_address": "127\u30020\u30020\u30021"}, "U+3002 IDEOGRAPHIC FULL STOP"),
        ({"winrm_address": "\uff11\uff10.0.0.1"}, "resolvers read as 10.0.0.1"),
        ({"winrm_address": "stra\u00dfe"}, "a name that is looked up as 'strasse'"),
        ({"winrm_address": "xn--0.corp"}, "whose encoded letters (xn--) mean nothing"),
        ({"winrm_address": "1::2::3"}, "not an IPv6 address"),
        ({"winrm_address": "10.0.0.1%eth0"}, "only those have a zone"),
        ({"winrm_address": "fe80::1"}, "link-local without a zone"),
        ({"winrm_address": "fe80::1%99999"}, "in the zone '99999', and this computer has no such network interface"),
        ({"winrm_address": "fe80::1%no-such"}, "in the zone 'no-such'"),
        ({"winrm_address": 5}, "winrm_address is 5, of the wrong type"),
        ({"winrm_computer": "PC-\u200b1"}, "winrm_computer is 'PC-\\u200b1'"),
        ({"winrm_kerberos_host": "HTTP/pc-1"}, "winrm_kerberos_host is 'HTTP/pc-1'"),
        ({"winrm_port": 5986}, "winrm_port is 5986, the port of https, and winrm_scheme is http"),
        ({"winrm_port": 443}, "the port of https"),
        ({"winrm_port": 5985, "winrm_scheme": "https"}, "the port of http, and winrm_scheme is https"),
        ({"winrm_transport": "basic", "winrm_basic_over_http": True, "winrm_user": "\u044e"}, "outside Latin-1"),
        ({"winrm_transport": "basic", "winrm_basic_over_http": True, "winrm_password": "\u044e"}, "the password has"),
        ({"winrm_transport": "basic", "winrm_basic_over_http": True, "winrm_user": "a:b"}, "ends at the colon"),
    ],
)
def test_a_mistake_is_refused_by_name_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, data: dict[str, Any], message: str
) -> None:
    monkeypatch.delenv("PROVMODE_USER", raising=False)

    said = refusal(**data)

    assert message in said
    assert said.isascii()


@pytest.mark.parametrize("name", ["127.1", "0x7f.1", "PC-1.", "[::1]", "fe80::1", "10.0.0.300"])
def test_a_host_name_that_is_no_name_is_refused_before_a_run(name: str) -> None:
    fleet = load(f"@winrm/{name}", override={"winrm_user": "u", "winrm_password": "p"})

    with pytest.raises(UsageError, match="the host name"):
        policies_of(fleet, fleet.names)


def test_a_second_address_with_a_mistake_is_not_hidden_by_the_first() -> None:
    checked: set[tuple[str, str]] = set()
    check_target("PC-1", {**DATA, "winrm_address": "10.0.0.1"}, checked)

    with pytest.raises(UsageError, match="PC-2: winrm_address"):
        check_target("PC-2", {**DATA, "winrm_address": "10.0.0.2 "}, checked)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "pc-1.example.com", "PC_1", "b\u00fcro-1", "2001:db8::1", f"fe80::1%{LOOPBACK}", f"fe80::1%{NUMBER}"],
)
def test_an_address_without_a_mistake_is_taken_as_it_is(address: str) -> None:
    check_address("winrm_address", address)

    assert target_of("PC-1", {**DATA, "winrm_address": address}).endpoint.address == address


@pytest.mark.parametrize(
    "user", ["bob", ".\\bob", "LAB\\John Smith", "bob@corp.example", "LAB\\\u044e\u0437\u0435\u0440"]
)
def test_an_account_without_a_mistake_is_taken_as_it_is(user: str) -> None:
    assert target_of("PC-1", {**DATA, "winrm_user": user}).credentials.user == user


PLAIN = st.from_regex(r"[a-z0-9]{1,3}([.-][a-z0-9]{1,3}){0,4}", fullmatch=True)


@given(PLAIN | st.text("xn-_.0127afZ\u00e9", max_size=12))
def test_an_address_that_is_seen_to_be_plain_at_a_glance_has_no_mistake_at_a_closer_look(address: str) -> None:
    def said() -> str:
        try:
            check_address("winrm_address", address)
        except UsageError as error:
            return str(error)
        return ""

    at_a_glance = said()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("provmode.connector.mistakes._PLAIN", re.compile(r"(?!)"))
        assert said() == at_a_glance


@pytest.mark.parametrize("zone", [LOOPBACK, str(NUMBER)])
def test_the_zone_of_an_address_is_not_sent_to_the_pc(zone: str) -> None:
    endpoint = target_of("PC-1", {**DATA, "winrm_address": f"fe80::1%{zone}"}).endpoint

    assert endpoint.url == "http://[fe80::1]:5985/wsman"


# -- libraries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authentication", "stack", "missing"),
    [
        ("kerberos", "lean", "gssapi"),
        ("kerberos", "lean", "krb5"),
        ("kerberos", "pywinrm", "HAVE_KERBEROS"),
    ],
)
def test_a_missing_extra_ends_the_run_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, authentication: str, stack: str, missing: str
) -> None:
    if missing.startswith("HAVE"):
        monkeypatch.setattr(winrm.transport, missing, False)
    else:
        monkeypatch.setitem(sys.modules, missing, None)

    said = refusal(winrm_transport=authentication, winrm_stack=stack)

    assert f"{authentication} needs a library that is not installed here" in said
    assert f"pip install '.[{authentication}]'" in said


def test_kerberos_inside_of_credssp_needs_the_same_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)

    said = refusal(winrm_transport="credssp", winrm_credssp_mechanism="kerberos")

    assert "winrm_transport kerberos needs a library that is not installed here" in said
    assert target_of("PC-1", {**DATA, "winrm_transport": "credssp"}).credentials.credssp_mechanism == "ntlm"


def test_credssp_over_pywinrm_ends_the_run_before_it_begins() -> None:
    said = refusal(winrm_transport="credssp", winrm_stack="pywinrm")

    assert "PC-1: winrm_stack pywinrm does not check to whom CredSSP hands the password; leave winrm_stack out" in said


def test_a_missing_library_of_the_system_ends_the_run_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gssapi.py").write_text("raise ImportError('libgssapi_krb5.so.2: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "gssapi", raising=False)

    said = refusal(winrm_transport="kerberos")

    assert "cannot load this system's Kerberos library (libgssapi_krb5.so.2: cannot open" in said
    assert "install MIT Kerberos (Debian: libgssapi-krb5-2)" in said


def test_a_missing_keyring_library_ends_the_run_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)

    with pytest.raises(UsageError, match="needs the library keyring"):
        target_of("PC-1", {**DATA, "winrm_password": None, "winrm_password_keyring": "provmode"})


def test_a_computer_without_a_keyring_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring
    import keyring.backends.fail

    monkeypatch.setattr(keyring, "get_keyring", keyring.backends.fail.Keyring)

    with pytest.raises(UsageError, match="no keyring that can be used"):
        target_of("PC-1", {**DATA, "winrm_password": None, "winrm_password_keyring": "provmode"})


# -- certificate files ----------------------------------------------------------------------------------------------

Make = Callable[..., dict[str, str]]


@pytest.fixture
def client_files(tmp_path: Path) -> Make:
    """Write a client certificate and its key; return the data that name them."""

    def make(days: int = 30, use: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH) -> dict[str, str]:
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
        now = datetime.now(timezone.utc)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .sign(key, hashes.SHA256())
        )
        for passphrase, file in ((None, "key.pem"), (b"secret", "locked.pem")):
            lock = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
            kind = serialization.PrivateFormat.PKCS8
            (tmp_path / file).write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, lock))
        other = ec.generate_private_key(ec.SECP256R1())
        (tmp_path / "other.pem").write_bytes(
            other.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (tmp_path / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return files("certificate.pem", "key.pem")

    def files(certificate: str, key: str) -> dict[str, str]:
        return {"winrm_certificate": str(tmp_path / certificate), "winrm_certificate_key": str(tmp_path / key)}

    return make


def test_a_client_certificate_and_its_key_are_accepted(client_files: Make) -> None:
    check_files("PC-1", client_files(), set())


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("missing.pem", "key.pem", "cannot read the client certificate .*missing.pem: No such file"),
        ("certificate.pem", "missing.pem", "cannot read the key of the client certificate .*missing.pem: No such file"),
        ("certificate.pem", "other.pem", "other.pem does not belong to the client certificate"),
        ("certificate.pem", "locked.pem", "locked.pem is encrypted"),
        ("certificate.pem", "certificate.pem", "certificate.pem: no key is in it"),
        ("key.pem", "key.pem", "key.pem: no certificate is in it"),
    ],
)
def test_certificate_files_that_do_not_fit_are_refused_by_name(
    client_files: Make, tmp_path: Path, certificate: str, key: str, message: str
) -> None:
    client_files()
    data = {"winrm_certificate": str(tmp_path / certificate), "winrm_certificate_key": str(tmp_path / key)}

    with pytest.raises(UsageError, match=message):
        check_files("PC-1", data, set())


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"days": -1}, "is valid from"), ({"use": ExtendedKeyUsageOID.SERVER_AUTH}, "not made for client authentication")],
)
def test_a_certificate_that_no_pc_would_take_is_refused(
    client_files: Make, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_files("PC-1", client_files(**changes), set())


def test_a_ca_file_without_a_certificate_says_so(client_files: Make) -> None:
    key = client_files()["winrm_certificate_key"]

    with pytest.raises(UsageError, match=r"CA bundle .*key.pem: no certificate is in it"):
        check_files("PC-1", {"winrm_ca": key}, set())


def test_a_keytab_is_refused_beside_the_stack_that_would_ignore_it() -> None:
    said = refusal(winrm_transport="kerberos", winrm_stack="pywinrm", winrm_kerberos_keytab="audit.keytab")

    assert "winrm_stack pywinrm takes Kerberos tickets from the cache only" in said
    assert "kinit -k -t" in said
