"""Sizes of the measurements: the real ones, and small ones for developing the benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Hosts and repetitions of every row."""

    repeats: int
    cost: int
    """Hosts whose requests are counted."""
    cpu: int
    """Hosts of provmode and the bare loop when two contenders are compared."""
    ansible: int
    """Hosts for Ansible with one task per value."""
    ansible_joined: int
    """Hosts for Ansible with all values in one task."""
    forks: tuple[int, ...]
    threads_hosts: int
    threads: tuple[int, ...]
    scale: tuple[int, ...]
    scale_repeats: int
    few: int
    """Hosts of the run that memory is compared with."""
    answering: int
    silent: int
    processes: int
    """Hosts that are audited in one process and in two."""
    change: int
    """Stuck hosts for plan and apply, compared with the bare loop."""
    change_scale: tuple[int, ...]
    operations: int
    domain: tuple[int, int]
    """PCs of a domain that is only set up, and of one that is audited as well."""
    page: int
    """PCs on a page."""
    history: tuple[int, int, int]
    """Hosts of a history, its nights in a file, and those in PostgreSQL."""
    package: int
    """Bytes of a large package."""
    package_fleet: int
    """Hosts whose packages are looked at."""

    @property
    def healthy(self) -> int:
        """Number of healthy hosts that the lab must have."""
        return max(self.healthy_of_most_rows, self.processes, *self.scale)

    @property
    def healthy_of_most_rows(self) -> int:
        """Number of healthy hosts that all rows need but `scale` and `processes`."""
        return max(
            *(self.cost, self.cpu, self.ansible, self.ansible_joined, self.threads_hosts),
            *(self.few, self.answering),
        )


FULL = Sizes(
    repeats=3,
    cost=200,
    cpu=400,
    ansible=48,
    ansible_joined=192,
    forks=(2, 4, 8, 16),
    threads_hosts=120,
    threads=(8, 16, 32),
    scale=(1000, 5000, 20_000),
    scale_repeats=2,
    few=10,
    answering=1400,
    silent=600,
    processes=20_000,
    change=100,
    change_scale=(200, 2000),
    operations=1000,
    domain=(10, 200),
    page=10_000,
    history=(100_000, 365, 30),
    package=1 << 30,
    package_fleet=1000,
)
QUICK = Sizes(
    repeats=1,
    cost=20,
    cpu=60,
    ansible=8,
    ansible_joined=16,
    forks=(2, 8),
    threads_hosts=16,
    threads=(8,),
    scale=(50, 100, 200),
    scale_repeats=1,
    few=10,
    answering=35,
    silent=15,
    processes=200,
    change=10,
    change_scale=(20, 100),
    operations=50,
    domain=(2, 10),
    page=500,
    history=(2000, 10, 5),
    package=64 << 20,
    package_fleet=20,
)
