"""Input and output of a contender, as JSON, so that contenders can run in any environment."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

CCMEXEC = r"SOFTWARE\Microsoft\CCM\CcmExec"
SERVICE = "CcmExec"
TCF = r"%windir%\ccmsetup\MobileClient.TCF"


@dataclass(frozen=True)
class Host:
    """One PC and its actual values: `None` if there is no such value."""

    name: str
    address: str
    port: int
    mode: str | None
    excludes: str | None
    silent: bool = False
    """The PC never answers: a black hole."""

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://{self.address}:{self.port}/wsman"


@dataclass(frozen=True)
class Job:
    """Hosts to read, and the account."""

    hosts: tuple[Host, ...]
    user: str
    password_file: str
    inventory: str
    """The same hosts as a pyinfra inventory."""

    @property
    def password(self) -> str:
        """The password of `user`."""
        return Path(self.password_file).read_text(encoding="utf-8").strip()

    def write(self, path: Path) -> None:
        """Write the job to *path*."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read the job in *path*."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**fields, "hosts": tuple(Host(**host) for host in fields["hosts"])})


@dataclass(frozen=True)
class Read:
    """Values that a contender read from one PC, as the registry has them."""

    mode: str | None
    excludes: str | None
    service_running: bool


def is_right(host: Host, read: Read | None) -> bool:
    """Return whether *read* matches the PC's values; for a silent PC it must be ``None``."""
    if host.silent or read is None:
        return host.silent and read is None
    same_mode = (read.mode or "").lower() == (host.mode or "").lower()
    return same_mode and (read.excludes or "") == (host.excludes or "") and read.service_running


@dataclass(frozen=True)
class Measured:
    """One run of one contender."""

    contender: str
    hosts: int
    right: int
    """Hosts whose values are the same as the PC's own."""
    cpu: float
    """User and system seconds of the contender's process, after imports (of all its processes for Ansible)."""
    wall: float
    max_rss: int
    """Maximum resident memory, in bytes."""
    note: str = ""

    @property
    def rate(self) -> float:
        """Hosts per second."""
        return self.hosts / self.wall

    @property
    def cpu_each(self) -> float:
        """CPU milliseconds per host."""
        return 1000 * self.cpu / self.hosts
