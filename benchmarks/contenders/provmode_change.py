"""provmode's plan and apply over an inventory of PCs that may be changed: CPU, time, requests and memory.

Arguments: inventory, folder for the journal, waves, and a file for the messages of the run (``-``: no file).
"""

# ruff: noqa: E402 - sockets are patched before anything imports ssl, as provmode.cli.entry does it
from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json
import logging
import resource
import sys
import time
import uuid
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyinfra_cli.inventory  # noqa: F401 - imported before the measurement
from pyinfra.api.connectors import get_all_connectors, get_execution_connectors

from benchmarks.contenders import messages
from benchmarks.contenders.meter import import_late_modules, max_rss
from provmode.fleet.apply import PlanRun
from provmode.fleet.apply_host import HostResult
from provmode.fleet.inventory import load
from provmode.fleet.journal import Journal
from provmode.fleet.plan import run_plan
from provmode.fleet.plan_file import load as load_plan
from provmode.fleet.plan_file import sign, write
from provmode.fleet.progress import Silent
from provmode.fleet.waves import wave_sizes
from provmode.transport.lean import LeanConnection

KEY = b"a key for the benchmark alone"


def now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(timezone.utc)


class Phase:
    """Measures CPU and wall time from its creation."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu()

    def done(self) -> dict[str, float]:
        """Return the seconds of both."""
        return {"wall": time.perf_counter() - self._wall, "cpu": _cpu() - self._cpu}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Plan, apply, and print one line of JSON."""
    inventory, folder, waves, messages_file = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)
    logging.getLogger("pyinfra").setLevel(logging.CRITICAL)
    exchanged = _record_messages() if messages_file != "-" else {}
    get_all_connectors()
    get_execution_connectors()
    import_late_modules()
    phase = Phase()
    fleet = load(inventory)
    planned = run_plan(fleet, fleet.names, now=now)
    document = planned.document(
        plan_id=str(uuid.uuid4()), inventory=inventory, limit=(), by="bench", now=now(), valid=timedelta(hours=1)
    )
    path = folder / "plan.json"
    write(path, sign(document, KEY))
    plan = load_plan(path, KEY, unsigned=False, now=now())
    planning = phase.done()
    end_times: dict[str, float] = {}
    phase, started = Phase(), time.perf_counter()

    class Clocked(Silent):
        def ended(self, result: HostResult) -> None:
            end_times[result.host] = time.perf_counter() - started

    journal = Journal.create(folder / "plan.journal", plan.id, now)
    application = PlanRun(plan, fleet, journal, now=now, progress=Clocked())
    applied = application.run(wave_sizes(waves, len(plan.changing)) if waves else [len(plan.changing)])
    journal.close()
    applying = phase.done()
    if messages_file != "-":
        recorded = {host: messages.with_placeholders(pairs) for host, pairs in exchanged.items()}
        messages.write(Path(messages_file), recorded)
    line: dict[str, Any] = {
        "hosts": len(planned.audit.selected),
        "ended": {result.host: result.outcome.value for result in applied.hosts},
        "plan": planning,
        "apply": applying,
        "requests_plan": {item.report.host: item.report.requests for item in planned.changing},
        "requests_apply": {result.host: result.requests for result in applied.hosts},
        "times": end_times,
        "max_rss": max_rss(resource.RUSAGE_SELF),
    }
    print(json.dumps(line), flush=True)


def _record_messages() -> dict[str, list[tuple[bytes, bytes]]]:
    """Make connections record their messages, and return the (message, answer) pairs of each host."""
    exchanged: dict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
    send, last = LeanConnection.exchange, dict[str, LeanConnection]()

    def exchange(self: LeanConnection, message: bytes) -> tuple[int, bytes]:
        status, answer = send(self, message)
        host = self.endpoint.name.rpartition("/")[2]
        if last.setdefault(host, self) is not self:
            last[host] = self
            exchanged[host].append((messages.CONNECT, b""))
        exchanged[host].append((message, answer))
        return status, answer

    LeanConnection.exchange = exchange  # type: ignore[method-assign]  # in this process only
    return exchanged


if __name__ == "__main__":
    main()
