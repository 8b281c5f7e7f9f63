"""A lab in this process: a fleet of modelled PCs, each behind its own port, with accounts and certificates."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any

from provmode.lab.machine import DNS_DOMAIN, NETBIOS_DOMAIN, Machine
from provmode.lab.server import listener
from provmode.lab.server.accounts import Account, AccountFile
from provmode.lab.server.authentication import AuthenticationPolicy
from provmode.lab.server.certificates import CertificateAuthority, ServerCertificate, make_authority
from provmode.lab.server.connection import Endpoint
from provmode.lab.server.injection import Injection, Kind
from provmode.lab.server.listener import ANYWHERE, HTTP, HTTPS, LOOPBACK, Place, Port
from provmode.lab.server.logon import Logon, Tickets, with_logon
from provmode.lab.server.ntlm import PcNames
from provmode.lab.server.service import ServiceOptions, WinRMService
from provmode.lab.server.shells import StartCommand

USER = f"{NETBIOS_DOMAIN}\\provmode"
"""The lab's account, which every PC knows."""


class Network(str, Enum):
    """How a PC is reached, or why it is not."""

    ANSWERS = "answers"
    REFUSED = "refused"
    """Nothing listens: the kernel resets connections."""
    BLACK_HOLE = "black-hole"
    """Connection attempts get no answer, as with a firewall or a PC that is off."""
    UNRESOLVABLE = "unresolvable"
    """No DNS server knows the name."""
    BAD_CERTIFICATE = "bad-certificate"
    """HTTPS with a self-signed certificate for another name."""
    WRONG_PASSWORD = "wrong-password"  # noqa: S105 - a kind of failure
    """The lab's account has another password here."""
    ACCESS_DENIED = "access-denied"
    """The account may log on, but every operation is denied."""
    QUOTA = "quota"
    """The user's quota of operations is always used up."""
    DIES = "dies"
    """The connection breaks in the middle of every answer."""


_PERMANENT_INJECTIONS = {
    Network.ACCESS_DENIED: Kind.ACCESS_DENIED,
    Network.QUOTA: Kind.QUOTA,
    Network.DIES: Kind.CUT_ANSWER,
}


@dataclass(frozen=True)
class HostSpec:
    """One PC of the lab before it listens."""

    name: str
    machine: Machine
    start: StartCommand
    """Starts a command line on it."""
    options: ServiceOptions = field(default_factory=ServiceOptions)
    network: Network = Network.ANSWERS
    https: bool = False
    allow_unencrypted: bool = False
    logon: Logon = field(default_factory=Logon)
    accounts: tuple[Account, ...] | None = None
    """Its own accounts instead of the lab's."""
    address: str | None = None
    """An address of its own, on which it has WinRM's own ports; ``None``: it has any port of 127.0.0.1."""
    persona: str = ""
    """The name of its persona."""

    @property
    def over_tls(self) -> bool:
        """Whether it listens on HTTPS."""
        return self.https or self.network is Network.BAD_CERTIFICATE

    @property
    def place(self) -> Place:
        """Where it listens."""
        return Place(self.address, HTTPS if self.over_tls else HTTP) if self.address else ANYWHERE


@dataclass(frozen=True)
class LabHost:
    """One PC of the lab, and how clients reach it."""

    name: str
    address: str
    port: int
    scheme: str
    persona: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {
            "name": self.name,
            "address": self.address,
            "port": self.port,
            "scheme": self.scheme,
            "persona": self.persona,
        }


@dataclass(frozen=True)
class LabKeys:
    """The secrets of a lab: its passwords and its CA."""

    password: str
    other_password: str
    """That of the same account on PCs where it has another."""
    authority: str
    """Key and certificate of the CA, in PEM."""

    @classmethod
    def make(cls, password: str = "") -> LabKeys:
        """Return new ones, with the *password* if there is one."""
        return cls(password or secrets.token_urlsafe(18), secrets.token_urlsafe(18), make_authority())


class LabClock:
    """The lab's clock in seconds; it runs, and can be moved on."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        """Return the seconds since a fixed moment."""
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock on by *seconds*."""
        self._ahead += seconds


class Lab:
    """A fleet that listens; use it as an asynchronous context manager, or call `start` and `stop`."""

    def __init__(
        self,
        specs: Iterable[HostSpec],
        *,
        basic: bool = False,
        dns_domain: str = DNS_DOMAIN,
        keys: LabKeys | None = None,
    ) -> None:
        self._specs = list(specs)
        self._basic = basic
        self._dns_domain = dns_domain
        self._asks = any(spec.logon.certificate for spec in self._specs)
        self._ports: dict[str, Port] = {}
        self._logons = {spec.name: spec.logon for spec in self._specs}
        self._tickets = Tickets()
        self.clock = LabClock()
        self._keys = keys or LabKeys.make()
        self.account = Account("provmode", self._keys.password, dns_domain=dns_domain)
        self.services: dict[str, WinRMService] = {}
        """By name of the PC; PCs that never answer have no service."""
        self.hosts: list[LabHost] = []

    @property
    def specs(self) -> Sequence[HostSpec]:
        """Return the PCs as they were given."""
        return self._specs

    async def __aenter__(self) -> Lab:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind every port and listen.

        Raises:
            OSError: too few file descriptors, or no port left.
            ValueError: a keytab cannot be used, or the library for it is missing.

        """
        listener.allow_open_files(1000 + 2 * len(self._specs))  # a black hole takes two; the rest is for connections
        self.folder = Path(tempfile.mkdtemp(prefix="provmode-lab-"))
        try:
            self._prepare()
            for spec in self._specs:
                self._ports[spec.name] = port = await self._listen(spec)
                self.hosts.append(self._lab_host(spec, port))
        except BaseException:
            await self.stop()
            raise

    def _prepare(self) -> None:
        """Write the account files and make the certificates."""
        assert self.folder is not None
        self.authority = CertificateAuthority(self.folder, self._keys.authority)
        self.ca_file = self.authority.path
        self._accounts = AccountFile([self.account], self.folder)
        other_password = replace(self.account, password=self._keys.other_password)
        self._other_password_accounts = AccountFile([other_password], self.folder)
        self.password_file = self.folder / "password"
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(self.account.password + "\n", encoding="utf-8")
        self.user_certificate = self.certificate_file = self.folder / "user.pem"
        self.authority.issue_to_user(f"{self.account.user}@{self._dns_domain}", self.user_certificate)
        self._trusted: ServerCertificate | None = None
        self._distrusted: ServerCertificate | None = None

    async def stop(self) -> None:
        """Close every port and connection, and delete the files."""
        for port in self._ports.values():
            await port.close()
        self._ports.clear()
        self._tickets.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _listen(self, spec: HostSpec) -> Port:
        """Open the port of one PC."""
        if spec.network is Network.REFUSED:
            return listener.refuse(spec.place)
        if spec.network is Network.BLACK_HOLE:
            return listener.black_hole(spec.place)
        if spec.network is Network.UNRESOLVABLE:
            return Port(HTTPS if spec.https else HTTP)
        certificate = self._certificate(spec)
        service = WinRMService(spec.machine, spec.start, replace(spec.options, basic=self._basic), self.clock)
        kind = _PERMANENT_INJECTIONS.get(spec.network)
        if kind is not None:
            service.injections.add(Injection(kind, times=None))
        self.services[spec.name] = service
        policy = AuthenticationPolicy(
            accounts=self._accounts_of(spec),
            names=self._names(spec),
            basic=self._basic,
            allow_unencrypted=spec.allow_unencrypted,
            tls=certificate is not None,
            certificate_digest=certificate.digest if certificate else b"",
        )
        endpoint = Endpoint(with_logon(policy, spec.logon, self._tickets), service)
        return await listener.listen(endpoint, certificate.context if certificate else None, spec.place)

    def _names(self, spec: HostSpec) -> PcNames:
        """Return what a PC calls itself."""
        machine = spec.machine
        return PcNames(machine.computer_name, dns_domain=self._dns_domain, os_version=machine.os_version)

    def change_logon(self, name: str, changes: Mapping[str, Any]) -> None:
        """Change the ways by which the PC *name* lets users log on, for connections from now on; none: as at the start.

        Raises:
            ValueError: see `Logon.changed`; the PC never answers; its keytab cannot be used.
        """
        port = self._ports.get(name)
        if port is None or port.endpoint is None:
            raise ValueError(f"{name} never answers")
        start = next(spec.logon for spec in self._specs if spec.name == name)
        logon = self._logons[name].changed(changes) if changes else start
        port.endpoint.policy = with_logon(port.endpoint.policy, logon, self._tickets)
        self._logons[name] = logon

    def _accounts_of(self, spec: HostSpec) -> AccountFile:
        """Return the accounts that may log on to a PC."""
        if spec.accounts is not None:
            return AccountFile(spec.accounts, self.folder)
        return self._other_password_accounts if spec.network is Network.WRONG_PASSWORD else self._accounts

    def _certificate(self, spec: HostSpec) -> ServerCertificate | None:
        """Return the certificate a PC presents: all good PCs share one, and so do all bad ones."""
        if spec.network is Network.BAD_CERTIFICATE:
            self._distrusted = self._distrusted or self.authority.self_signed("somebody-else.example")
            return self._distrusted
        if not spec.https:
            return None
        if self._trusted is None:
            names = [each.name for each in self._specs if each.https]
            known = ["localhost", LOOPBACK, *names, f"*.{self._dns_domain}"]
            self._trusted = self.authority.issue(known, asks=self._asks)
        return self._trusted

    @staticmethod
    def _lab_host(spec: HostSpec, port: Port) -> LabHost:
        """Return a PC as an inventory lists it."""
        unknown = spec.network is Network.UNRESOLVABLE
        address = f"{spec.name.lower()}.invalid" if unknown else spec.address or LOOPBACK
        return LabHost(spec.name, address, port.number, "https" if spec.over_tls else "http", spec.persona)

    def advance(self, seconds: float, name: str | None = None) -> None:
        """Move the clocks on by *seconds*: of every PC and of the lab, or only of the PC called *name*.

        Requests that wait for output look again.
        """
        if name is None:
            self.clock.advance(seconds)
        for spec in self._specs:
            if name in (None, spec.name):
                spec.machine.advance(seconds)
        for service in self.services.values():
            service.shells.wake()
