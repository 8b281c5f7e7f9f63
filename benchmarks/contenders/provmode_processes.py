"""An audit in several processes, and the CPU of the busiest of them: what bounds its hosts/s where cores allow."""

# ruff: noqa: E402 - sockets are patched before anything imports ssl, as provmode.cli.entry does it
from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json
import logging
import resource
import sys
import time
from pathlib import Path

from benchmarks.contenders.meter import import_late_modules
from benchmarks.job import Job
from provmode.ccm.verdict import Verdict
from provmode.clock import utc_now
from provmode.fleet.audit import run_audit
from provmode.fleet.inventory import load
from provmode.fleet.processes import Processes
from provmode.process import collect_rarely
from provmode.report.document import written
from provmode.transport import lean  # noqa: F401 - what a run imports late comes before the measurement here


def main() -> None:
    """Audit the hosts of the job in so many processes. Arguments: the job, the number of processes."""
    job, count = Job.read(Path(sys.argv[1])), int(sys.argv[2])
    logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)
    collect_rarely()
    import_late_modules()
    fleet = load(job.inventory)
    started, own = time.perf_counter(), _cpu(resource.RUSAGE_SELF)
    audit = run_audit(fleet, fleet.names, now=utc_now, looker=Processes(count))
    for _ in written(audit):
        pass
    wall, own = time.perf_counter() - started, _cpu(resource.RUSAGE_SELF) - own
    measured = {
        "right": audit.count(Verdict.HEALTHY),
        "wall": wall,
        "own": own,
        "worker": _cpu(resource.RUSAGE_CHILDREN) / count if count > 1 else 0.0,
    }
    print(json.dumps(measured), flush=True)


def _cpu(usage_of: int) -> float:
    used = resource.getrusage(usage_of)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
