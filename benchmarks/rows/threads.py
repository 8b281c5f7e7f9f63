"""Compared with thread pools of the other Python clients: pywinrm, a command per value, and pypsrp, a shell a host."""

from __future__ import annotations

from benchmarks.contest import Bench, run
from benchmarks.job import Measured
from benchmarks.row import Row

FACTOR = 3
CPU_OF_PYPSRP = 6.5


def measure(bench: Bench) -> list[Row]:
    """Try several numbers of threads and compare with the best."""
    job = bench.fleet.job(bench.sizes.threads_hosts)

    def pool(threads: int) -> Measured:
        bench.say(f"thread pool, {threads} threads")
        return run("thread_pool", job, threads)

    def pypsrp(threads: int) -> Measured:
        bench.say(f"pypsrp, {threads} threads")
        return run("pypsrp_pool", job, threads)

    duel, best = bench.against(pool, bench.sizes.threads), bench.against(pypsrp, bench.sizes.threads)
    return [
        Row(
            "Hosts/s against a thread pool of pywinrm's run_cmd, a command for each of 5 values",
            f"at least {FACTOR} times",
            duel.summary("threads"),
            duel.factor >= FACTOR,
        ),
        Row(
            "CPU per host against a thread pool of pypsrp, one shell a host for all 5 values (the best other Python)",
            f"at most 1/{CPU_OF_PYPSRP}",
            best.summary("threads"),
            best.cpu_factor >= CPU_OF_PYPSRP,
        ),
    ]
