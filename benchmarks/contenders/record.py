"""Not a contender: audits the job's hosts once and records every message that provmode sends, for the bare loop."""

# ruff: noqa: E402 - sockets are patched before anything imports ssl
from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import sys
from collections import defaultdict
from pathlib import Path

from benchmarks.contenders import messages
from benchmarks.job import Job
from provmode.clock import utc_now
from provmode.fleet.audit import run_audit
from provmode.fleet.inventory import load
from provmode.transport.lean import LeanConnection


def main() -> None:
    """Arguments: the job, and the file for the messages."""
    job = Job.read(Path(sys.argv[1]))
    record(job.inventory, Path(sys.argv[2]))


def record(inventory: str, path: Path) -> None:
    """Audit an inventory, and write the messages of every host to *path*."""
    exchanged: dict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
    send = LeanConnection.exchange

    def exchange(self: LeanConnection, message: bytes) -> tuple[int, bytes]:
        status, answer = send(self, message)
        exchanged[self.endpoint.name.rpartition("/")[2]].append((message, answer))
        return status, answer

    LeanConnection.exchange = exchange  # type: ignore[method-assign]  # in this process only
    fleet = load(inventory)
    run_audit(fleet, fleet.names, now=utc_now)
    messages.write(path, {host: messages.with_placeholders(pairs) for host, pairs in exchanged.items()})


if __name__ == "__main__":
    main()
