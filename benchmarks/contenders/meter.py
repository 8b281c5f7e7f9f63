"""Measures what this process costs from `Meter` on: everything imported before it is not counted."""

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
    """Starts counting when it is made. `stop` stops, `report` prints the one line that a contender prints."""

    def __init__(self, contender: str, *, children: bool = False) -> None:
        self._contender = contender
        self._who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
        self._wall, self._cpu = 0.0, 0.0
        import_the_late()
        self._modules = len(sys.modules)
        self._cpu_from, self._wall_from = self._cpu_now(), time.perf_counter()

    def _cpu_now(self) -> float:
        used = resource.getrusage(self._who)
        return used.ru_utime + used.ru_stime

    def stop(self) -> None:
        """Stop counting."""
        self._wall = time.perf_counter() - self._wall_from
        self._cpu = self._cpu_now() - self._cpu_from
        self._modules = len(sys.modules) - self._modules

    def report(self, job: Job, found: Mapping[str, Read | None], *, startup: float = 0.0, note: str = "") -> None:
        """Compare *found* with the truth and print the line; *startup* seconds are taken off the wall clock's."""
        right = sum(host.name in found and is_right(host, found[host.name]) for host in job.hosts)
        late = f"{self._modules} modules imported while measured" if self._modules else ""
        line = Measured(
            self._contender,
            hosts=len(job.hosts),
            right=right,
            cpu=self._cpu,
            wall=self._wall - startup,
            max_rss=max_rss(self._who),
            note="; ".join(part for part in (note, late) if part),
        )
        print(json.dumps(asdict(line)), flush=True)


def import_the_late() -> None:
    """Import what the libraries import when they are first used, the same for every contender."""
    for codec in ("utf-16-le", "utf-8-sig", "cp437"):
        codecs.lookup(codec)
    importlib.import_module("cryptography.hazmat.backends.openssl.backend")
    socket.getaddrinfo("127.0.0.1", 1)  # gevent's resolver


def max_rss(who: int) -> int:
    """Return the most bytes that were resident.

    ``ru_maxrss`` of a process started by another begins at the other's size (Linux keeps it across ``exec``), so
    the kernel's own high-water mark is read where there is one.
    """
    status = Path("/proc/self/status")
    if who == resource.RUSAGE_SELF and status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(who).ru_maxrss * unit
