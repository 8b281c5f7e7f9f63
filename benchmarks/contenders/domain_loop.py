"""Kerberos in a domain of the lab: an audit, or pywinrm's bare loop over the same messages.

``domain_loop record|provmode|bare INVENTORY MESSAGES``, inside of the domain, with a ticket in the cache.
"""

# ruff: noqa: E402 - sockets are patched before anything imports ssl
from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pyinfra_cli.inventory  # noqa: F401 - what a run imports late comes before the measurement here
from gevent.pool import Pool
from pyinfra.api.connectors import get_all_connectors, get_execution_connectors

from benchmarks.contenders import messages
from benchmarks.contenders.bare_pywinrm import send
from benchmarks.contenders.meter import import_late_modules, max_rss
from benchmarks.contenders.record import record
from benchmarks.job import Measured
from provmode.ccm.verdict import Verdict
from provmode.clock import utc_now
from provmode.fleet.audit import run_audit
from provmode.fleet.inventory import load
from provmode.fleet.visit import WORKING
from provmode.process import collect_rarely
from provmode.report.document import written
from provmode.transport import lean, tickets  # noqa: F401 - as above

USER = "provmode@CORP.EXAMPLE"


def main() -> None:
    """Do what the first argument says."""
    kind, inventory, path = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if kind == "record":
        record(inventory, path)
        return
    get_all_connectors()
    get_execution_connectors()
    import_late_modules()
    recorded = messages.read(path)
    if kind == "bare":
        _bare(dict(list(recorded.items())[:1]))  # makes its late imports now
    else:
        collect_rarely()
    began, before = time.perf_counter(), _cpu()
    right = _bare(recorded) if kind == "bare" else _audit(inventory)
    wall, cpu = time.perf_counter() - began, _cpu() - before
    measured = Measured(kind, len(recorded), right, cpu, wall, max_rss(resource.RUSAGE_SELF))
    print(json.dumps(asdict(measured)), flush=True)


def _audit(inventory: str) -> int:
    fleet = load(inventory)
    audit = run_audit(fleet, fleet.names, now=utc_now)
    for _ in written(audit):
        pass
    return audit.count(Verdict.HEALTHY)


def _bare(recorded: dict[str, list[bytes]]) -> int:
    """Send the messages to every PC; return how many answered all of them."""
    answered = []

    def work(name: str) -> None:
        sent = recorded[name]
        url = f"http://{name.lower()}.corp.example:5985/wsman"
        answered.append(len(send(url, USER, "", sent, "kerberos")) == len(sent))

    pool = Pool(WORKING)
    for name in recorded:
        pool.spawn(work, name)
    pool.join()
    return sum(answered)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
