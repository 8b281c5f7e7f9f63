"""Address, account, trust and deadlines of one PC: plain values, nothing is opened here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from provmode.errors import UsageError
from provmode.transport.kerberos_words import principal_of

Authentication = Literal["ntlm", "kerberos", "credssp", "certificate", "basic"]
AUTHENTICATIONS: tuple[Authentication, ...] = ("ntlm", "kerberos", "credssp", "certificate", "basic")
Stack = Literal["lean", "pywinrm"]
STACKS: tuple[Stack, ...] = ("lean", "pywinrm")
CredSspMechanism = Literal["ntlm", "kerberos"]
CREDSSP_MECHANISMS: tuple[CredSspMechanism, ...] = ("ntlm", "kerberos")


@dataclass(frozen=True)
class Endpoint:
    """Address at which a PC's WinRM listens."""

    name: str
    """The PC's name in the inventory, used in errors."""
    address: str
    """Name or IP address to connect to."""
    port: int = 5985
    scheme: Literal["http", "https"] = "http"
    path: str = "/wsman"
    computer: str = ""
    """Name of the PC that is meant; empty if the inventory does not say, so that any PC may answer."""

    @property
    def url(self) -> str:
        """The URL requests go to."""
        address = self.address.partition("%")[0]  # the zone of an IPv6 address means something on this computer only
        host = f"[{address}]" if ":" in address else address
        return f"{self.scheme}://{host}:{self.port}{self.path}"


@dataclass(frozen=True)
class Credentials:
    """The account, and how it authenticates. ``repr`` shows no secret."""

    authentication: Authentication
    user: str = ""
    """``DOMAIN\\user``, ``user@domain`` or a local account."""
    password: str = field(default="", repr=False)
    certificate: Path | None = None
    """PEM file of the client certificate (``certificate`` only)."""
    certificate_key: Path | None = None
    keytab: Path | None = None
    """File with the account's Kerberos keys, in place of a password (``kerberos`` only)."""
    kerberos_host: str | None = None
    """Host name in the service principal, if it is not the address."""
    kerberos_delegation: bool = False
    credssp_mechanism: CredSspMechanism = "ntlm"
    """How the account logs on inside of CredSSP (``credssp`` only)."""
    basic_over_http: bool = False
    """The user explicitly allowed sending the password in clear text."""
    renew: Callable[[], tuple[str, str]] | None = field(default=None, repr=False, compare=False)
    """Looks where the password is kept for a newer one, and returns user and password, or raises `base.NotRenewed`."""


@dataclass(frozen=True)
class Trust:
    """Which certificates are trusted over HTTPS."""

    validate: bool = True
    ca: Path | None = None
    """PEM bundle; ``None``: the system's own store."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds."""

    connect: float = 5.0
    """For the name and the TCP connection together."""
    read: float = 30.0
    """For one answer."""
    host: float = 120.0
    """For everything asked of one PC in one conversation, retries included."""


@dataclass(frozen=True)
class Target:
    """Everything needed to talk to one PC."""

    endpoint: Endpoint
    credentials: Credentials
    trust: Trust = field(default_factory=Trust)
    deadlines: Deadlines = field(default_factory=Deadlines)
    stack: Stack = "lean"
    """Which code speaks HTTP for NTLM and Kerberos; CredSSP always takes lean, the others pywinrm."""
    read_only_lines: frozenset[str] = frozenset()
    """Command lines that only read (the static scripts); the write gate lets them through."""


@dataclass
class Counters:
    """What one PC cost, added up over reconnects."""

    requests: int = 0
    """HTTP requests, including those for authentication."""
    bytes_sent: int = 0
    """Bodies as sent, sealed."""
    bytes_received: int = 0
    retries: int = 0
    connections: int = 0
    seconds: float = 0.0
    """Time spent waiting for answers and connections."""

    @contextmanager
    def timed(self, clock: Callable[[], float]) -> Iterator[None]:
        """Add the time that is spent inside; *clock* is monotonic."""
        started = clock()
        try:
            yield
        finally:
            self.seconds += clock() - started

    def to_json(self) -> dict[str, float]:
        """Return the figures by name."""
        return dict(vars(self), seconds=round(self.seconds, 3))


def check_stack(name: str, stack: Stack, authentication: Authentication) -> None:
    """Refuse CredSSP over pywinrm: what hands the password over there checks nothing of the logon before.

    Raises:
        UsageError: says what to set instead; *name* is the PC's.
    """
    if stack == "pywinrm" and authentication == "credssp":
        raise UsageError(
            f"{name}: winrm_stack pywinrm does not check to whom CredSSP hands the password",
            next_step="leave winrm_stack out, or use winrm_transport ntlm or kerberos",
        )


def check_credentials(endpoint: Endpoint, credentials: Credentials) -> None:
    """Refuse combinations that would expose a secret or cannot work.

    Raises:
        UsageError: the message says what is wrong and what to set instead.
    """
    if credentials.authentication == "basic" and endpoint.scheme == "http" and not credentials.basic_over_http:
        raise UsageError(
            f"{endpoint.name}: Basic over plain HTTP would send the password readable",
            next_step="use winrm_scheme https, or set winrm_basic_over_http True if you accept that",
        )
    if credentials.authentication == "certificate":
        if endpoint.scheme != "https":
            raise UsageError(f"{endpoint.name}: certificate authentication needs winrm_scheme https")
        if credentials.certificate is None or credentials.certificate_key is None:
            raise UsageError(
                f"{endpoint.name}: certificate authentication needs winrm_certificate and winrm_certificate_key"
            )
    elif credentials.authentication == "kerberos":
        principal_of(credentials.user)
    elif not credentials.user:
        raise UsageError(f"{endpoint.name}: no user is given", next_step="set winrm_user")
    elif credentials.authentication == "credssp" and credentials.credssp_mechanism == "kerberos":
        try:
            principal_of(credentials.user)
        except UsageError:
            raise UsageError(
                f"{endpoint.name}: Kerberos inside of CredSSP needs the realm, and {credentials.user} has the short "
                "name of a domain",
                next_step="write user@REALM (the domain's DNS name), or set winrm_credssp_mechanism ntlm",
            ) from None
