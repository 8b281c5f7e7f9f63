"""``make bench``: every claim about provmode's cost, measured in one run against one lab, as one table.

The lab runs in its own process, and so does every contender, so that none pays for another's imports or garbage. A
contender that reads a single wrong value has failed, however fast it was.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Mapping

from rich.console import Console

from benchmarks import fleet
from benchmarks.contest import Bench, ContenderFailed
from benchmarks.row import Row, show
from benchmarks.rows import (
    ansible,
    change,
    cost,
    cpu,
    domain,
    history,
    package_fleet,
    packages,
    page,
    processes,
    scale,
    silent,
    threads,
)
from benchmarks.sizes import FULL, QUICK, Sizes
from provmode.lab.process import LabError

ROWS: Mapping[str, Callable[[Bench], list[Row]]] = {
    "cost": cost.measure,
    "cpu": cpu.measure,
    "ansible": ansible.measure,
    "threads": threads.measure,
    "scale": scale.measure,
    "processes": processes.measure,
    "silent": silent.measure,
    "change": change.measure,
    "operations": change.operations,
    "domain": domain.measure,
    "page": page.measure,
    "history": history.measure,
    "packages": packages.measure,
    "package-fleet": package_fleet.measure,
}


def main() -> int:
    """Measure, print the table and return 0; return 1 if no lab could be started."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measures what provmode costs, against the lab.")
    parser.add_argument("--quick", action="store_true", help="small sizes: seconds instead of minutes, noisy figures")
    parser.add_argument("--only", choices=list(ROWS), metavar="NAME", help=f"one of {', '.join(ROWS)}")
    chosen = parser.parse_args()
    sizes = QUICK if chosen.quick else FULL
    progress, started = Console(stderr=True), time.monotonic()
    try:
        with fleet.running(_healthy(sizes, chosen.only), sizes.silent) as lab:
            rows = _measured(Bench(lab, sizes, lambda what: progress.print(f"... {what}", style="dim")), chosen.only)
    except LabError as error:
        progress.print(f"no lab, no measurement: {error}")
        return 1
    title = (
        f"One run of {time.monotonic() - started:.0f} s, one lab of {len(lab.hosts):,} PCs; {os.cpu_count()} cores "
        f"shared by lab and controller, {platform.python_implementation()} {platform.python_version()}"
    )
    show(rows, Console(), title=title)
    return 0


def _healthy(sizes: Sizes, only: str | None) -> int:
    """Return how many healthy PCs the lab needs: the largest fleets are for two rows alone."""
    return sizes.healthy if only in (None, "scale", "processes") else sizes.healthy_of_most_rows


def _measured(bench: Bench, only: str | None) -> list[Row]:
    rows = []
    for name, measure in ROWS.items():
        if only in (None, name):
            try:
                rows += measure(bench)
            except ContenderFailed as error:
                rows.append(Row(name, "its targets", f"could not be measured: {error}", False))
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
