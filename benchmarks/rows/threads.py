"""Hosts per second compared with threads with plain pywinrm, one command per value."""

from __future__ import annotations

from benchmarks.contest import Bench, run
from benchmarks.job import Measured
from benchmarks.row import Row

FACTOR = 3


def measure(bench: Bench) -> list[Row]:
    """Try several numbers of threads and compare with the best."""
    job = bench.fleet.job(bench.sizes.threads_hosts)

    def pool(threads: int) -> Measured:
        bench.say(f"thread pool, {threads} threads")
        return run("thread_pool", job, threads)

    duel = bench.against(pool, bench.sizes.threads)
    return [
        Row(
            "Hosts/s against a thread pool of pywinrm's run_cmd, a command for each of 5 values",
            f"at least {FACTOR} times",
            duel.summary("threads"),
            duel.factor >= FACTOR,
        )
    ]
