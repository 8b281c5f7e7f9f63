"""What a second process is worth."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.contest import Bench, ContenderFailed, start
from benchmarks.row import Row

FACTOR = 1.7


def measure(bench: Bench) -> list[Row]:
    """Audit the same hosts in one process and in two, once: a large fleet takes long."""
    hosts = bench.sizes.processes
    job = bench.fleet.job(hosts)
    bench.say(f"one process, {hosts:,} hosts")
    one = _run(job, hosts, 1)
    bench.say(f"two processes, {hosts:,} hosts")
    two = _run(job, hosts, 2)
    by_cpu, by_wall = _busiest(one) / _busiest(two), one["wall"] / two["wall"]
    alone, own, worker = (1000 * seconds / hosts for seconds in (one["own"], two["own"], two["worker"]))
    return [
        Row(
            f"Hosts/s of two processes against one ({hosts:,} healthy hosts), as the busiest process's CPU bounds them",
            f"at least {FACTOR} times",
            f"{by_cpu:.2f} times: {alone:.2f} ms a host in one process; in two, {worker:.2f} ms in each worker, its "
            f"start included, and {own:.2f} ms in the run's own. By the clock {by_wall:.2f} times, with the lab on "
            "the same cores",
            by_cpu >= FACTOR,
        )
    ]


def _run(job: object, hosts: int, processes: int) -> dict[str, Any]:
    measured: dict[str, Any] = json.loads(start("provmode_processes", job, processes).splitlines()[-1])
    if measured["right"] != hosts:
        raise ContenderFailed(f"{processes} processes found {measured['right']} of {hosts} hosts healthy")
    return measured


def _busiest(measured: dict[str, Any]) -> float:
    return float(max(measured["own"], measured["worker"]))
