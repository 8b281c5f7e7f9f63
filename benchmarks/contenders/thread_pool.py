"""A thread pool with plain pywinrm, one command per value: the way admins' scripts read a fleet."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import winrm

from benchmarks.contenders.commands import COMMANDS, read
from benchmarks.contenders.meter import Meter
from benchmarks.job import Host, Job, Read


def main() -> None:
    """Read every host. Arguments: the job, and the number of threads."""
    job, threads = Job.read(Path(sys.argv[1])), int(sys.argv[2])
    user, password = job.user, job.password

    def look(host: Host) -> Read | None:
        session = winrm.Session(host.url, auth=(user, password), transport="ntlm", message_encryption="always")
        outputs = {name: session.run_cmd(line).std_out.decode("cp437") for name, line in COMMANDS.items()}
        session.protocol.transport.close_session()
        return read(outputs)

    winrm.Session(job.hosts[0].url, auth=(user, password), transport="ntlm")  # makes its late imports now
    meter = Meter(f"thread pool, {threads} threads")
    with ThreadPoolExecutor(threads) as pool:
        values = dict(zip((host.name for host in job.hosts), pool.map(look, job.hosts), strict=True))
    meter.stop()
    meter.report(job, values)


if __name__ == "__main__":
    main()
