"""provmode itself: ``provmode audit`` from reading the inventory to the finished JSON report."""

# ruff: noqa: E402 - sockets are patched before anything imports ssl, as provmode.cli.entry does it
from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import logging
import sys
from collections import Counter
from pathlib import Path

import pyinfra_cli.inventory  # noqa: F401 - what a run imports late comes before the measurement here
from pyinfra.api.connectors import get_all_connectors, get_execution_connectors

from benchmarks.contenders.meter import Meter
from benchmarks.job import Job, Read
from provmode.ccm.model import ClientReadings
from provmode.clock import utc_now
from provmode.fleet.audit import Audit, run_audit
from provmode.fleet.inventory import load
from provmode.process import collect_rarely
from provmode.reading import Known, Unknown
from provmode.report.document import written
from provmode.transport import lean  # noqa: F401 - as above


def main() -> None:
    """Audit the hosts of the job."""
    job = Job.read(Path(sys.argv[1]))
    logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)
    logging.getLogger("pyinfra").setLevel(logging.CRITICAL)
    get_all_connectors()
    get_execution_connectors()
    collect_rarely()  # as the command does
    meter = Meter("provmode")
    fleet = load(job.inventory)
    audit = run_audit(fleet, fleet.names, now=utc_now)
    for _ in written(audit):
        pass
    meter.stop()
    values = {report.host: _read(report.state) for report in audit.reports}
    meter.report(job, values, note=_failures(job, audit))


def _failures(job: Job, audit: Audit) -> str:
    """Return why hosts that answer could not be assessed; empty if all could."""
    silent = {host.name for host in job.hosts if host.silent}
    failed = [each.assessment for each in audit.reports if each.state is None and each.host not in silent]
    causes = Counter(str(assessment.cause) for assessment in failed)
    counted = ", ".join(f"{cause}: {count}" for cause, count in sorted(causes.items()))
    return f"{counted} (one of them: {failed[0].reason})" if failed else ""


def _read(state: ClientReadings | None) -> Read | None:
    if state is None:
        return None
    readings = (state.provisioning_mode, state.system_task_excludes, state.service, state.client_version, state.tcf)
    if any(isinstance(reading, Unknown) for reading in readings):
        return None
    mode, excludes, service = state.provisioning_mode, state.system_task_excludes, state.service
    return Read(
        mode=str(mode.value).lower() if isinstance(mode, Known) else None,
        excludes=";".join(excludes.value) if isinstance(excludes, Known) else None,
        service_running=isinstance(service, Known) and service.value.state == "Running",
    )


if __name__ == "__main__":
    main()
