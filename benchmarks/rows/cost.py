"""Cost of an audit to a healthy host: HTTP requests and processes, as the lab counts them."""

from __future__ import annotations

from typing import Any

from benchmarks.contest import Bench
from benchmarks.job import Job
from benchmarks.row import Row

REQUESTS = 10


def measure(bench: Bench) -> list[Row]:
    """Audit some healthy hosts and read the lab's counters of each."""
    job = Job.read(bench.fleet.job(bench.sizes.cost))
    before = bench.fleet.lab.counters()
    bench.provmode(bench.sizes.cost)
    after = bench.fleet.lab.counters()
    names = [host.name for host in job.hosts]
    requests = sorted(after[name]["requests"] - before[name]["requests"] for name in names)
    started = [_lines(after[name])[len(_lines(before[name])) :] for name in names]
    processes = sorted(map(len, started))
    lines = [line for each in started for line in each]
    powershell = sum("powershell" in line.lower() or "pwsh" in line.lower() for line in lines)
    typed = all(line.startswith("(if exist ") for line in lines)
    return [
        Row(
            "HTTP requests to a healthy host, authentication included",
            f"at most {REQUESTS}",
            f"{_between(requests)} ({len(names):,} hosts)",
            requests[-1] <= REQUESTS,
        ),
        Row(
            "Processes started on a healthy host",
            "1 (the line that looks for MobileClient.TCF), none PowerShell",
            f"{_between(processes)}, {'all' if typed else 'not all'} that line; {powershell} PowerShell",
            processes == [1] * len(names) and typed and powershell == 0,
        ),
    ]


def _lines(counters: dict[str, Any]) -> list[str]:
    lines: list[str] = counters["commands"]
    return lines


def _between(values: list[int]) -> str:
    return str(values[0]) if values[0] == values[-1] else f"{values[0]} to {values[-1]}"
