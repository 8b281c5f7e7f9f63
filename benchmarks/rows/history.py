"""What runs remember: a year of nights of a large fleet in a file, and some of them in PostgreSQL."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.contest import ROOT, Bench, ContenderFailed, start
from benchmarks.row import Row
from provmode.lab.process import LabProcess

SEED = 31
PERSONAS = {
    **{"healthy": 60, "osd-running": 6, "upgrade-running": 6, "self-healing": 10, "stuck-old-client": 6},
    **{"stuck-no-enabled-time": 6, "stuck-service-disabled": 4, "overdue": 10, "half-exited": 4, "armed": 4},
    **{"client-broken": 3, "no-client": 3, "refused": 20, "unresolvable-name": 8, "access-denied": 4},
    **{"wrong-password": 2, "bad-certificate": 2},
}
"""The PCs whose rows the fleet's are made of. Those of a kind differ in the client's version and much else."""
WRITE, TIMELINE, STATE, DRIFT, SIZE = 1.0, 0.010, 2.0, 1.0, 200
Times = list[tuple[float, float]]
"""Seconds, and CPU seconds of the process."""


def measure(bench: Bench) -> list[Row]:
    """Measure a file, and PostgreSQL beside it."""
    hosts, nights, fewer = bench.sizes.history
    with tempfile.TemporaryDirectory(prefix="provmode-bench-") as name:
        folder = Path(name)
        report = _report(folder)
        bench.say(f"a history in a file: {hosts:,} hosts, {nights} nights")
        file = folder / "history.sqlite"
        measured = _measured(report, hosts, nights, f"sqlite:///{file}")
        size = sum(each.stat().st_size for each in folder.glob("history.sqlite*")) / 1e6
        rows = _rows(measured, size, f"{hosts:,} hosts, {nights} nights, SQLite")
        bench.say(f"a history in PostgreSQL: {hosts:,} hosts, {fewer} nights")
        try:
            beside = _in_postgresql(report, hosts, fewer)
        except ContenderFailed as error:
            beside = f"not measured: {error}"
    return [*rows, Row(f"The same in PostgreSQL ({hosts:,} hosts, {fewer} nights)", "none", beside, None)]


def _in_postgresql(report: Path, hosts: int, nights: int) -> str:
    """Return what was measured, in words.

    Raises:
        ContenderFailed: it is not there, or failed.
    """
    with _server() as socket:
        measured = _measured(report, hosts, nights, f"postgresql://postgres@/postgres?host={socket}")
        size = _size(socket)
    return "; ".join(f"{row.what.partition(' (')[0]}: {row.measured}" for row in _rows(measured, size, ""))


def _report(folder: Path) -> Path:
    """Audit PCs of the lab; return the report."""
    file, inventory = folder / "report.json", folder / "lab.py"
    with LabProcess(sum(PERSONAS.values()), SEED, mix=PERSONAS, inventory=inventory):
        command = [sys.executable, "-m", "provmode", "audit", str(inventory), "--format", "json", "--output", str(file)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not file.exists():
        raise ContenderFailed(f"no report: {(done.stderr.strip() or 'no reason given').splitlines()[-1][:200]}")
    return file


def _measured(report: Path, hosts: int, nights: int, url: str) -> dict[str, Any]:
    measured: dict[str, Any] = json.loads(start("history_scale", report, hosts, nights, url).splitlines()[-1])
    return measured


def _rows(measured: dict[str, Any], size: float, where: str) -> list[Row]:
    times: dict[str, Times] = measured["measured"]
    fleet = {
        kind: f"{100 * count / sum(measured['fleet'].values()):.1f} %" for kind, count in measured["fleet"].items()
    }
    mix = f"{fleet['healthy']} healthy, {fleet['unassessed']} unassessed, {fleet['mode']} in the mode, 1 % move a night"
    written, state, drift = (_median(times[name]) for name in ("write", "state", "drift"))
    return [
        Row(
            f"Writing a run to the history ({where}; {mix})",
            f"at most {WRITE:g} s",
            f"{_said(times['write'])}; the first {_said(times['first'])}; before, while the run goes, "
            f"{_said(times['digest'])} to digest what comes in; {measured['max_rss'] / 1e6:.0f} MB of memory, with the "
            "reports",
            written <= WRITE,
        ),
        Row(
            f"One host's timeline ({where})",
            f"at most {1000 * TIMELINE:g} ms",
            _said(times["timeline"], 1000, "ms"),
            _median(times["timeline"]) <= TIMELINE,
        ),
        Row(f"The state of a past run ({where})", f"at most {STATE:g} s", _said(times["state"]), state <= STATE),
        Row(
            f"Drift between two runs ({where})",
            f"at most {DRIFT:g} s",
            f"{_said(times['drift'])}; between the first run and the last {_said(times['drift of all'])}",
            drift <= DRIFT,
        ),
        Row(f"The database ({where})", f"at most {SIZE} MB", f"{size:.0f} MB", size <= SIZE),
    ]


def _median(times: Times) -> float:
    return statistics.median(wall for wall, _ in times)


def _said(times: Times, factor: float = 1, unit: str = "s") -> str:
    """Return the median, with minimum and maximum of several, and the CPU of it."""
    walls, digits = sorted(factor * wall for wall, _ in times), 1 if factor > 1 else 2
    several = f" ({walls[0]:.{digits}f}-{walls[-1]:.{digits}f})" if len(walls) > 1 else ""
    cpu = factor * statistics.median(cpu for _, cpu in times)
    return f"{factor * _median(times):.{digits}f}{several} {unit}, {cpu:.{digits}f} {unit} of CPU"


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


def _as_its_user(*command: str) -> None:
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, *command], cwd="/", stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise ContenderFailed(f"PostgreSQL: {Path(command[0]).name} ended with {done.returncode}")


@contextmanager
def _server() -> Iterator[Path]:
    """Run a server as it is after its installation; it listens on a socket in the folder alone."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if programs is None:
        raise ContenderFailed("PostgreSQL is not installed; `make system` as root does it")
    folder = Path(tempfile.mkdtemp(prefix="provmode-pg-", dir="/tmp"))  # its socket's path must be short
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data = str(folder / "data")
    control = [str(programs / "pg_ctl"), "-D", data, "-l", str(folder / "log"), "-s", "-w"]
    try:
        _as_its_user(str(programs / "initdb"), "-D", data, "-U", "postgres", "-A", "trust")
        _as_its_user(*control, "-o", f"-k {folder} -c listen_addresses=''", "start")
        try:
            yield folder
        finally:
            _as_its_user(*control, "-m", "fast", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _size(socket: Path) -> float:
    """Return the size of the database, in megabytes."""
    import psycopg

    with psycopg.connect(host=str(socket), user="postgres", dbname="postgres") as connection:
        found = connection.execute("SELECT pg_database_size('postgres')").fetchone()
    return (found[0] if found else 0) / 1e6
