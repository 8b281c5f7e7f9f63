"""A Kerberos realm of its own (MIT's KDC, high ports, no root), and lab PCs that are members of it.

A test that wants a PC asks for `pc` (or `https_pc`) and for `ticket`: the PC takes tickets of the realm, and the
process and the programs that it starts have a ticket of the user `provmode`. Both are as new for every test.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.process import Host, LabProcess

DOMAIN = "corp.example"
"""The lab's domain; the realm is the same in capitals, as in Active Directory."""
USER = "provmode"
SERVICES = ("HTTP", "WSMAN", "host")
"""The services under which clients look for WinRM. In Active Directory the last one stands for the first two."""


@dataclass(frozen=True)
class Realm:
    """A realm that runs."""

    server: Any
    """k5test's realm."""
    keytabs: Path
    """The keytab of every PC, as ``NAME.keytab``."""

    @property
    def name(self) -> str:
        """The realm."""
        return str(self.server.realm)

    @property
    def krb5_conf(self) -> Path:
        """How clients find the KDC."""
        return Path(self.server.env["KRB5_CONFIG"])

    @property
    def password(self) -> str:
        """The password of the user `provmode`."""
        return str(self.server.password(USER))

    def kadmin(self, *lines: str) -> None:
        """Carry out commands of kadmin."""
        said = self.server.run([self.server.kadmin_local], input="\n".join(lines) + "\n").decode()
        assert "while" not in said, said

    def add_user(self, name: str, password: str) -> None:
        """Make an account."""
        self.kadmin(f"addprinc -pw {password} {name}@{self.name}")

    def add_pc(self, name: str, *, keys: str = "aes256-cts-hmac-sha1-96:normal", keytab: Path | None = None) -> Path:
        """Make the services of a PC, or new keys for them: the keytab that was written before is then stale."""
        keytab = keytab or self.keytabs / f"{name}.keytab"
        principals = [f"{service}/{full_name(name)}@{self.name}" for service in SERVICES]
        known = self.server.run([self.server.kadmin_local, "-q", "listprincs"]).decode()
        make = "cpw" if principals[0] in known else "addprinc"
        self.kadmin(
            *(f"{make} -randkey -e {keys} {principal}" for principal in principals),
            *(f"setstr {principal} session_enctypes {keys.partition(':')[0]}" for principal in principals),
            f"ktadd -norandkey -k {keytab} {' '.join(principals)}",
        )
        return keytab

    def kinit(self, cache: Path, *options: str, user: str = USER, password: str | None = None) -> Path:
        """Get a ticket into *cache* with *options* of kinit (``-l 1s``, ``-f``)."""
        environment = {**self.server.env, "KRB5CCNAME": f"FILE:{cache}"}
        arguments = ["kinit", *options, f"{user}@{self.name}"]
        self.server.run(arguments, env=environment, input=(password or self.password) + "\n")
        return cache

    def configured(self, path: Path, *, kdc: str | None = None, libdefaults: str = "") -> Path:
        """Write a krb5.conf like that of the realm: with another KDC, with none (empty), or with more `libdefaults`."""
        text = self.krb5_conf.read_text()
        known = f"kdc = 127.0.0.1:{self.server.portbase}\n"
        assert known in text
        if kdc is not None:
            text = text.replace(known, f"kdc = {kdc}\n" if kdc else "")
        path.write_text(text.replace("[libdefaults]\n", f"[libdefaults]\n{libdefaults}\n"))
        return path


def full_name(name: str) -> str:
    """Return the DNS name of a PC: what its services are called by."""
    return f"{name.lower()}.{DOMAIN}"


@pytest.fixture(scope="session")
def realm(start_kdc: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    """The realm CORP.EXAMPLE with the user `provmode` and the services of PC-00001 to PC-00004."""
    local = {"dns_lookup_realm": "false", "dns_canonicalize_hostname": "false", "rdns": "false"}
    local["allow_rc4"] = "true"  # for session keys too, which a KDC has refused since MIT 1.21 unless told so
    with start_kdc(
        realm=DOMAIN.upper(),
        krb5_conf={
            "libdefaults": local,
            "realms": {"$realm": {"kdc": "127.0.0.1:$port0"}},
            "domain_realm": {f".{DOMAIN}": "$realm"},
        },
        create_user=False,
        create_host=False,
        get_creds=False,
    ) as server:
        made = Realm(server, tmp_path_factory.mktemp("keytabs"))
        made.add_user(USER, made.password)
        for number in range(1, 5):
            made.add_pc(f"PC-{number:05}")
        yield made


@pytest.fixture(scope="session")
def domain_lab(realm: Realm) -> Iterator[LabProcess]:
    """Four PCs of the realm, over HTTP."""
    with LabProcess(4, 5, mix={"healthy": 1}, keytabs=realm.keytabs) as running:
        yield running


@pytest.fixture(scope="session")
def secure_domain_lab(realm: Realm) -> Iterator[LabProcess]:
    """Two PCs of the realm, over HTTPS."""
    with LabProcess(2, 5, mix={"healthy": 1}, https=1.0, keytabs=realm.keytabs) as running:
        yield running


def _restored(lab: LabProcess) -> Iterator[Host]:
    host = lab.hosts[0]
    yield host
    lab.heal(host.name)
    lab.logon(host.name)


@pytest.fixture
def pc(domain_lab: LabProcess) -> Iterator[Host]:
    """A PC of the realm over HTTP; what `LabProcess.logon` and `inject` changed is undone after the test."""
    yield from _restored(domain_lab)


@pytest.fixture
def https_pc(secure_domain_lab: LabProcess) -> Iterator[Host]:
    """A PC of the realm over HTTPS; changes are undone after the test."""
    yield from _restored(secure_domain_lab)


@pytest.fixture
def no_ticket(realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The realm's krb5.conf in the environment and an empty ticket cache, whose file this is."""
    cache = tmp_path / "tickets"
    monkeypatch.setenv("KRB5_CONFIG", str(realm.krb5_conf))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{cache}")
    monkeypatch.setenv("KRB5_KTNAME", str(tmp_path / "no keytab"))
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", str(tmp_path / "no client keytab"))
    return cache


@pytest.fixture(scope="session")
def granted(realm: Realm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a forwardable ticket of `provmode` that nobody writes into."""
    return realm.kinit(tmp_path_factory.mktemp("granted") / "tickets", "-f")


@pytest.fixture
def ticket(granted: Path, no_ticket: Path) -> Path:
    """A ticket of `provmode` in a cache that is the test's own."""
    shutil.copyfile(granted, no_ticket)
    return no_ticket


@pytest.fixture
def expired(realm: Realm, no_ticket: Path) -> Path:
    """A cache with a ticket of `provmode` that has expired."""
    realm.kinit(no_ticket, "-l", "1s")
    ended = int(time.time()) + 1  # to Kerberos the last second is still good
    until = time.monotonic() + 20
    while subprocess.run(["klist", "-s"], check=False).returncode == 0 or int(time.time()) <= ended:
        assert time.monotonic() < until, "the ticket does not expire"
        time.sleep(0.1)  # what is waited for is the time itself
    return no_ticket


@dataclass(frozen=True)
class BrokenKdc:
    """A place of a KDC where none answers."""

    krb5_conf: Path
    udp: socket.socket | None = None

    def wait_until_asked(self) -> None:
        """Wait until a client has sent its question."""
        assert self.udp is not None
        self.udp.settimeout(20)
        assert self.udp.recv(65536)


@pytest.fixture
def silent_kdc(realm: Realm, no_ticket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokenKdc]:
    """A KDC that takes every question, over UDP and TCP, and never answers; the environment names it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        place = tcp.getsockname()
        udp.bind(place)
        found = realm.configured(tmp_path / "silent.conf", kdc=f"127.0.0.1:{place[1]}")
        monkeypatch.setenv("KRB5_CONFIG", str(found))
        yield BrokenKdc(found, udp)


@pytest.fixture
def refusing_kdc(realm: Realm, no_ticket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokenKdc]:
    """The place of a KDC where no program listens; the environment names it."""
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))  # bound, so that nobody else gets the port, and without listening
        place = tcp.getsockname()
        udp.bind(place)
        udp.connect(place)  # takes datagrams from itself alone: others get "port unreachable"
        found = realm.configured(tmp_path / "refusing.conf", kdc=f"127.0.0.1:{place[1]}")
        monkeypatch.setenv("KRB5_CONFIG", str(found))
        yield BrokenKdc(found)


@pytest.fixture
def name_of() -> Callable[[Host], str]:
    """Return the DNS name of a PC, by which its services are called (``winrm_kerberos_host``)."""
    return lambda host: full_name(host.name)


@pytest.fixture(scope="session", autouse=True)
def _no_realm_of_the_machine() -> None:
    """Nothing here may depend on the Kerberos of whoever runs the tests."""
    for name in ("KRB5_TRACE", "KRB5_CLIENT_KTNAME"):
        os.environ.pop(name, None)
