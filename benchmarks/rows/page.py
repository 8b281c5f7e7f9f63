"""The page of a large fleet, out of the history: the whole command, on the worst night, on which nobody is healthy."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contest import ROOT, Bench, ContenderFailed
from benchmarks.row import Row
from provmode.history.database import Database, url_of
from provmode.history.run import NewRun
from provmode.history.writer import write

SECONDS, MEGABYTES = 2.0, 2.0
NIGHTS = 5
FIRST = datetime(2026, 11, 20, 2, 0, tzinfo=timezone.utc)


def measure(bench: Bench) -> list[Row]:
    """Make the page several times."""
    hosts = bench.sizes.page
    bench.say(f"the page of {hosts:,} PCs")
    with TemporaryDirectory(prefix="provmode-bench-") as name:
        folder = Path(name)
        (folder / "provmode.toml").write_text('[history]\nurl = "sqlite:///history.sqlite"\n')
        with Database(url_of("sqlite:///history.sqlite", folder)) as database:
            for night in range(NIGHTS):
                write(database, _night(hosts, night))
        before = _cpu()
        taken = sorted(_make(folder) for _ in range(bench.sizes.repeats))
        cpu = (_cpu() - before) / len(taken)
        size = (folder / "page.html").stat().st_size / 1e6
    middle = taken[len(taken) // 2]
    return [
        Row(
            f"The page of {hosts:,} PCs, none of them healthy, out of the history (the whole command)",
            f"at most {SECONDS:g} s and {MEGABYTES:g} MB",
            f"{middle:.1f} ({taken[0]:.1f}-{taken[-1]:.1f}) s, {cpu:.1f} s of CPU; {size:.2f} MB",
            middle <= SECONDS and size <= MEGABYTES,
        )
    ]


def _cpu() -> float:
    """Return the CPU seconds of the processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _make(folder: Path) -> float:
    """Make the page and return the seconds that it took."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "provmode", "report", "--output", "page.html"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ContenderFailed(f"provmode report ended with {done.returncode}: {done.stderr.strip()[:300]}")
    return time.perf_counter() - begun


def _night(hosts: int, night: int) -> NewRun:
    began = FIRST + timedelta(days=night)
    rows = list(_rows(hosts, night, began))
    return NewRun(
        f"night-{night}", "audit", began, began + timedelta(minutes=9), "fleet.py", True, 6, "bench", "0.1.0", rows
    )


def _rows(hosts: int, night: int, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield the rows of a report; each night every third PC is in another state."""
    for number in range(hosts):
        name = f"PC-{number:05}.corp.example.com"
        state = (number + (night if number % 3 == 0 else 0)) % 4
        entered = now - timedelta(days=3, minutes=number)
        row: dict[str, Any] = {"host": name, "rule": "unreached", "findings": [], "requests": 9, "retries": 0}
        if state == 0:
            row |= {
                "verdict": "unassessed",
                "cause": "connect-timeout",
                "reason": f"{name} (10.{number % 200}.{number % 250}.7:5985) did not answer within 5 s",
                "next_step": "the PC is off, away or behind a firewall; try again when it is on",
                "facts": {},
            }
        else:
            row |= {
                "verdict": ("overdue", "stuck", "armed")[state - 1],
                "rule": ("overdue", "old-client", "armed")[state - 1],
                "reason": f"in provisioning mode since {entered:%Y-%m-%d %H:%M} UTC (3 days {number % 24} h), nothing "
                f"runs; it should have left by {entered + timedelta(days=2):%Y-%m-%d %H:%M} UTC: take it out",
                "findings": [{"code": "clock-skew", "text": f"its clock is {number % 90} min behind"}][: number % 2],
                "facts": {
                    "observed_at": f"{now:%Y-%m-%dT%H:%M:%S}+00:00",
                    "client_version": {"known": "5.00.9128.1007"},
                    "provisioning_mode": {"known": True},
                    "enabled_time": {"known": f"{entered:%Y-%m-%dT%H:%M:%S}+00:00"},
                    "max_minutes": {"absent": True},
                    "service": {"known": {"name": "CcmExec", "start_mode": "Auto", "state": "Running"}},
                    "system_task_excludes": {"known": ["SchedulerStartup", "SchedulerShutdown", "SchedulerLogon"]},
                    "setup": {"known": {"command_line": "", "oobe_in_progress": False, "setup_type": 0}},
                    "tcf": {"known": []},
                },
            }
        yield row
