"""A Samba domain controller, made from nothing in the namespaces of this process, which it has for itself."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from provmode.lab.server.certificates import CertificateAuthority

SYSTEM_PYTHON = "/usr/bin/python3"
"""The Python that Samba's library is for."""
SAMBA = "/usr/sbin/samba"
FOLDER = Path("/var/lib/samba")
"""Over it lies the memory that keeps the domain's files, inside alone. Every Samba has it, and the path of a socket may
have 107 characters, which a temporary folder can exceed."""
PATIENCE = 120.0
"""Seconds until a controller that was started has to answer; a busy machine needs several."""
_PAUSE = 0.05
_LDAP, _LDAPS = 389, 636
KRB5_CONF = """
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = true
    dns_lookup_realm = false
    rdns = false
[domain_realm]
    .{dns_domain} = {realm}
    {dns_domain} = {realm}
"""


class ControllerFailed(RuntimeError):
    """There is no domain controller; the message says why."""


@dataclass(frozen=True)
class Setup:
    """Which domain to make."""

    dns_domain: str
    workgroup: str
    """Its NetBIOS name."""
    administrator_password: str
    program: str = ""
    """A program that fills the directory: `samba_setup` says how."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """What that program is given."""

    @property
    def realm(self) -> str:
        """The Kerberos realm."""
        return self.dns_domain.upper()


class Controller:
    """The controller; its files are in *folder*."""

    def __init__(self, folder: Path, setup: Setup) -> None:
        self._folder = folder
        self._setup = setup
        self._samba: asyncio.subprocess.Process | None = None
        self.environment = {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5CCNAME": f"FILE:{folder / 'tickets'}",
            "SMB_CONF_PATH": str(folder / "smb.conf"),
        }
        """What programs find the domain by."""

    async def start(self) -> None:
        """Make the domain, and start its controller.

        Raises:
            ControllerFailed: Samba could not do it.
        """
        names = {"realm": self._setup.realm, "dns_domain": self._setup.dns_domain}
        (self._folder / "krb5.conf").write_text(KRB5_CONF.format(**names), encoding="utf-8")
        (self._folder / "setup.json").write_text(json.dumps(asdict(self._setup)), encoding="utf-8")
        authority = CertificateAuthority(self._folder)
        authority.issue_to_files(
            [f"dc1.{self._setup.dns_domain}"], self._folder / "tls.pem", self._folder / "tls-key.pem"
        )
        program = Path(__file__).with_name("samba_setup.py")
        with (self._folder / "setup.log").open("wb") as log:
            making = await asyncio.create_subprocess_exec(
                SYSTEM_PYTHON, str(program), str(self._folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            code = await _ended(making)
        if code != 0:
            raise ControllerFailed(f"Samba could not make the domain: {_last_line(self._folder / 'setup.log')}")
        with (self._folder / "samba.log").open("wb") as log:
            self._samba = await asyncio.create_subprocess_exec(
                *(SAMBA, "--foreground", "--no-process-group", f"--configfile={self._folder / 'smb.conf'}"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def log_on(self, user: str, password: str) -> None:
        """Get a ticket for *user* as soon as the controller gives tickets and its directory answers.

        Raises:
            ControllerFailed: Samba has ended, or did not answer in time.
        """
        assert self._samba is not None
        ends, said = time.monotonic() + PATIENCE, ""
        while time.monotonic() < ends:
            if self._samba.returncode is not None:
                raise ControllerFailed(
                    f"samba ended with {self._samba.returncode}: {_last_line(self._folder / 'samba.log')}"
                )
            kinit = await asyncio.create_subprocess_exec(
                *("kinit", f"{user}@{self._setup.realm}"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, **self.environment},
            )
            _, words = await kinit.communicate(f"{password}\n".encode())
            if kinit.returncode == 0 and _listens(_LDAP) and _listens(_LDAPS):
                return
            said = words.decode("utf-8", "replace").strip() or said
            await asyncio.sleep(_PAUSE)
        raise ControllerFailed(f"samba did not answer within {PATIENCE:.0f} s; kinit says: {said}")

    async def stop(self) -> None:
        """Stop the controller."""
        if self._samba is not None and self._samba.returncode is None:
            self._samba.terminate()
            await self._samba.wait()


async def _ended(process: asyncio.subprocess.Process) -> int:
    """Wait until *process* ends; end it if nobody waits any more."""
    try:
        return await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
