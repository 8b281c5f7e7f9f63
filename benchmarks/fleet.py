"""The lab of a run, and jobs for parts of it: so many healthy PCs, so many that never answer."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.job import CCMEXEC, Host, Job
from provmode.lab.process import LabProcess

SEED = 11
HEALTHY, SILENT = "healthy", "black-hole"
PROCESSES = max(1, min(4, len(os.sched_getaffinity(0)) - 1))
"""Processes of the lab: the contender has a core for itself, so on two cores there is one."""
PCS_A_PROCESS = 10_000
"""PCs that a process of the lab can have: each is an open file, and a process may have 20,000 and more."""


@dataclass
class Fleet:
    """A running lab. Jobs take its PCs in the lab's order, so that jobs of the same size have the same PCs."""

    lab: LabProcess
    folder: Path
    hosts: Sequence[Host]

    def job(self, healthy: int, silent: int = 0) -> Path:
        """Return the file of a job with so many PCs of each kind, in the lab's order.

        Raises:
            ValueError: the lab has too few PCs of a kind.
        """
        left = {False: healthy, True: silent}
        chosen = []
        for host in self.hosts:
            if left[host.silent] > 0:
                left[host.silent] -= 1
                chosen.append(host)
        if any(left.values()):
            raise ValueError(f"the lab has too few PCs: {left} are missing")
        path = self.folder / f"job-{healthy}-{silent}.json"
        inventory = path.with_name(f"inventory_{healthy}_{silent}.py")
        inventory.write_text(self._inventory(chosen), encoding="utf-8")
        Job(tuple(chosen), self.lab.user, str(self.lab.password_file), str(inventory)).write(path)
        return path

    def _inventory(self, hosts: Sequence[Host]) -> str:
        """Return a pyinfra inventory with the same data as the lab's own inventories."""
        common: dict[str, Any] = {
            "winrm_scheme": "http",
            "winrm_transport": "ntlm",
            "winrm_user": self.lab.user,
            "winrm_password_file": str(self.lab.password_file),
            "winrm_ca": str(self.lab.ca_file),
        }
        pairs = [
            (f"@winrm/{host.name}", {"winrm_address": host.address, "winrm_port": host.port, **common})
            for host in hosts
        ]
        return "\n".join(["lab = [", *(f"    {pair!r}," for pair in pairs), "]", ""])


@contextmanager
def running(healthy: int, silent: int) -> Iterator[Fleet]:
    """Start a lab with at least so many PCs of each kind in its own process, and stop it at the end."""
    spare = 8 + healthy // 50 + silent // 5  # the lab chooses personas at random
    mix = {HEALTHY: healthy + spare, **({SILENT: silent + spare} if silent else {})}
    processes = max(PROCESSES, -(-sum(mix.values()) // PCS_A_PROCESS))
    with (
        tempfile.TemporaryDirectory(prefix="provmode-bench-") as folder,
        LabProcess(sum(mix.values()), SEED, mix=mix, processes=processes) as lab,
    ):
        hosts = [_host(lab, each.name, each.address, each.port, each.persona == SILENT) for each in lab.hosts]
        yield Fleet(lab, Path(folder), hosts)


def _host(lab: LabProcess, name: str, address: str, port: int, silent: bool) -> Host:
    """Read a PC's values from inside the lab."""
    mode = None if silent else lab.registry(name, f"HKLM\\{CCMEXEC}", "ProvisioningMode")
    excludes = None if silent else lab.registry(name, f"HKLM\\{CCMEXEC}", "SystemTaskExcludes")
    return Host(name, address, port, mode, excludes, silent)
