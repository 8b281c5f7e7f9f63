"""A thread pool with pypsrp's WinRS, one shell a host for all five commands: the best of the other Python clients."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pypsrp.shell import Process, WinRS
from pypsrp.wsman import WSMan

from benchmarks.contenders.commands import COMMANDS, read
from benchmarks.contenders.meter import Meter
from benchmarks.job import Host, Job, Read


def main() -> None:
    """Read every host. Arguments: the job, and the number of threads."""
    job, threads = Job.read(Path(sys.argv[1])), int(sys.argv[2])
    user, password = job.user, job.password

    def look(host: Host) -> Read | None:
        with (
            WSMan(host.address, port=host.port, ssl=False, auth="ntlm", username=user, password=password) as wsman,
            WinRS(wsman) as shell,
        ):
            outputs = {}
            for name, line in COMMANDS.items():
                process = Process(shell, line)
                process.invoke()
                outputs[name] = process.stdout.decode("cp437")
            return read(outputs)

    look(job.hosts[0])  # makes its late imports now
    meter = Meter(f"pypsrp, {threads} threads")
    with ThreadPoolExecutor(threads) as pool:
        values = dict(zip((host.name for host in job.hosts), pool.map(look, job.hosts), strict=True))
    meter.stop()
    meter.report(job, values)


if __name__ == "__main__":
    main()
