"""Cost of a look at the packages of a fleet, all of them known: HTTP requests and processes, as the lab counts them.

Each PC has four packages that were applied, and the six that every PC of the lab has.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.contest import LONGEST, Bench, ContenderFailed
from benchmarks.fleet import PROCESSES, SEED
from benchmarks.row import Row
from provmode.lab.packages import inbox
from provmode.lab.packages.cases import BY_NAME
from provmode.lab.packages.catalogue import made
from provmode.lab.process import LabProcess

REQUESTS = 30
KIND = "conflict"
"""The kind of PC, by its packages."""


def measure(bench: Bench) -> list[Row]:
    """Look at the packages of many PCs once, and read the lab's counters of each."""
    hosts = bench.sizes.package_fleet
    bench.say(f"packages of {hosts:,} hosts")
    with tempfile.TemporaryDirectory(prefix="provmode-bench-") as name:
        folder = Path(name)
        known = _known(folder)
        lab = LabProcess(
            hosts,
            SEED,
            mix={"healthy": 1},
            packages={KIND: 1},
            inventory=folder / "lab.py",
            processes=PROCESSES,
        )
        with lab:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.monotonic()
            found = _look(folder, known)
            seconds = time.monotonic() - began
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            counters = lab.counters()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    requests = sorted(each["requests"] for each in counters.values())
    processes = sorted(each["processes"] for each in counters.values())
    if found["summary"]["clean"] != hosts:
        raise ContenderFailed(f"{hosts - found['summary']['clean']:,} of {hosts:,} hosts were not clean")
    packages = len(known)
    return [
        Row(
            f"Packages of {hosts:,} hosts with {packages} each, all of them known: requests, authentication included",
            f"at most {REQUESTS} a host",
            f"{_between(requests)}; {seconds:.0f} s in one process, {1000 * cpu / hosts:.1f} ms of CPU a host",
            requests[-1] <= REQUESTS,
        ),
        Row("Processes started on such a host", "1, none PowerShell", _between(processes), processes == [1] * hosts),
    ]


def _known(folder: Path) -> list[Path]:
    """Write the packages of such a PC."""
    files = {f"{each.package}.ppkg": made(each.package).data for each in BY_NAME[KIND].added}
    files |= {path.rpartition("\\")[2]: file.data for path, file in inbox.files().items() if path.endswith(".ppkg")}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def _look(folder: Path, known: list[Path]) -> dict[str, Any]:
    options = [word for path in known for word in ("--known", str(path))]
    command = [sys.executable, "-m", "provmode", "package", "fleet", "lab.py", "--format", "json", *options]
    environment = {**os.environ, "XDG_STATE_HOME": str(folder), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST
    )
    if ran.returncode != 0:
        last = (ran.stderr.strip() or "no output").splitlines()[-1]
        raise ContenderFailed(f"package fleet ended with {ran.returncode}: {last[:300]}")
    document: dict[str, Any] = json.loads(ran.stdout)
    return document


def _between(values: list[int]) -> str:
    return str(values[0]) if values[0] == values[-1] else f"{values[0]} to {values[-1]}"
