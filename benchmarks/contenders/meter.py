"""Measures the cost of this process from the creation of a `Meter`; earlier imports are not counted."""

from __future__ import annotations

import codecs
import importlib
import json
import resource
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from benchmarks.job import Job, Measured, Read, is_right


class Meter:
    """Starts counting when it is created. `stop` stops; `report` prints the contender's line."""

    def __init__(self, contender: str, *, children: bool = False) -> None:
        self._contender = contender
        self._usage_of = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
        self._wall, self._cpu = 0.0, 0.0
        import_late_modules()
        self._modules = len(sys.modules)
        self._cpu_from, self._wall_from = self._cpu_now(), time.perf_counter()

    def _cpu_now(self) -> float:
        used = resource.getrusage(self._usage_of)
        return used.ru_utime + used.ru_stime

    def stop(self) -> None:
        """Stop counting."""
        self._wall = time.perf_counter() - self._wall_from
        self._cpu = self._cpu_now() - self._cpu_from
        self._modules = len(sys.modules) - self._modules

    def report(self, job: Job, values: Mapping[str, Read | None], *, startup: float = 0.0, note: str = "") -> None:
        """Compare *values* with those of the PCs and print the line; subtract *startup* seconds from the wall time."""
        right = sum(host.name in values and is_right(host, values[host.name]) for host in job.hosts)
        late = f"{self._modules} modules imported while measured" if self._modules else ""
        line = Measured(
            self._contender,
            hosts=len(job.hosts),
            right=right,
            cpu=self._cpu,
            wall=self._wall - startup,
            max_rss=max_rss(self._usage_of),
            note="; ".join(part for part in (note, late) if part),
        )
        print(json.dumps(asdict(line)), flush=True)


def import_late_modules() -> None:
    """Import the modules that the libraries import on first use; the same for every contender."""
    for codec in ("utf-16-le", "utf-8-sig", "cp437"):
        codecs.lookup(codec)
    importlib.import_module("cryptography.hazmat.backends.openssl.backend")
    socket.getaddrinfo("127.0.0.1", 1)  # gevent's resolver


def max_rss(usage_of: int) -> int:
    """Return the maximum resident memory, in bytes.

    On Linux ``ru_maxrss`` begins at the size of the parent process (it survives ``exec``), so read the kernel's own
    high-water mark if there is one.
    """
    status = Path("/proc/self/status")
    if usage_of == resource.RUSAGE_SELF and status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(usage_of).ru_maxrss * unit
