"""Runs contenders, each in its own process, and sums up their results."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from benchmarks.fleet import Fleet
from benchmarks.job import Measured
from benchmarks.sizes import Sizes

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 1800
"""Seconds after which a contender is stopped."""


class ContenderFailed(RuntimeError):
    """A contender did not finish, or read values that differ from those of the PCs."""


def run(contender: str, *arguments: object) -> Measured:
    """Run one contender and return its measurements.

    Raises:
        ContenderFailed: it failed, or read wrong values.
    """
    output = start(contender, *arguments)
    measured = Measured(**json.loads(output.splitlines()[-1]))
    if measured.right != measured.hosts:
        wrong = measured.hosts - measured.right
        why = f"; {measured.note}" if measured.note else ""
        raise ContenderFailed(f"{measured.contender} read {wrong} of {measured.hosts} hosts wrong or not at all{why}")
    return measured


def start(contender: str, *arguments: object) -> str:
    """Run a program of `benchmarks.contenders` and return its output.

    Raises:
        ContenderFailed: it failed.
    """
    command = [sys.executable, "-m", f"benchmarks.contenders.{contender}", *map(str, arguments)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        raise ContenderFailed(f"{contender} did not finish within {LONGEST} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise ContenderFailed(f"{contender} ended with {done.returncode}: {last[:300]}")
    return done.stdout


@dataclass(frozen=True)
class Series:
    """Several runs of the same contender."""

    runs: Sequence[Measured]

    def median(self, value: Callable[[Measured], float]) -> float:
        """Return the median of *value*."""
        return statistics.median(map(value, self.runs))

    def spread(self, value: Callable[[Measured], float], digits: int = 1) -> str:
        """Return the median of *value* and, for several runs, minimum and maximum: ``10.2 (10.0-10.9)``."""
        values = sorted(map(value, self.runs))
        middle = f"{self.median(value):.{digits}f}"
        return middle if len(values) == 1 else f"{middle} ({values[0]:.{digits}f}-{values[-1]:.{digits}f})"


def alternating(contenders: Sequence[Callable[[], Measured]], repeats: int) -> list[Series]:
    """Run the contenders in turn, *repeats* times, so that a busy machine slows all of them down."""
    rounds = [[contender() for contender in contenders] for _ in range(repeats)]
    return [Series([each[number] for each in rounds]) for number in range(len(contenders))]


Setting = TypeVar("Setting")


@dataclass(frozen=True)
class Duel(Generic[Setting]):
    """provmode and another contender at its best setting, run in turn."""

    ours: Series
    theirs: Series
    best: Setting
    tried: Mapping[Setting, float]
    """Hosts per second for every setting that was tried."""

    @property
    def factor(self) -> float:
        """How many times as many hosts per second provmode does."""
        return self.ours.median(_rate) / self.theirs.median(_rate)

    @property
    def cpu_factor(self) -> float:
        """How many times provmode's CPU per host the other one needs."""
        return self.theirs.median(_cpu_each) / self.ours.median(_cpu_each)

    def summary(self, unit: str) -> str:
        """Return the figures as text; *unit* is the unit of the setting."""
        tried = ", ".join(f"{setting}: {rate:.1f}" for setting, rate in self.tried.items())
        return (
            f"{self.factor:.1f} times: {self.ours.spread(_rate)} to {self.theirs.spread(_rate)} hosts/s with "
            f"{self.best} {unit} (tried once each, {tried}); CPU per host {self.ours.median(_cpu_each):.1f} ms to "
            f"{self.theirs.median(_cpu_each):.0f} ms, {self.cpu_factor:.1f} times"
        )


def _rate(measured: Measured) -> float:
    return measured.rate


def _cpu_each(measured: Measured) -> float:
    return measured.cpu_each


@dataclass
class Bench:
    """What the rows share: the lab and the sizes."""

    fleet: Fleet
    sizes: Sizes
    say: Callable[[str], None]
    """Prints what is being measured."""

    def provmode(self, healthy: int, silent: int = 0) -> Measured:
        """Audit this many hosts once."""
        self.say(f"provmode, {healthy + silent:,} hosts")
        return run("provmode_audit", self.fleet.job(healthy, silent))

    def against(self, contender: Callable[[Setting], Measured], settings: Sequence[Setting]) -> Duel[Setting]:
        """Try *contender* with each of *settings*, then run it with the best one in turn with provmode."""
        tried = {setting: contender(setting).rate for setting in settings}
        best = max(tried, key=lambda setting: tried[setting])
        ours, theirs = alternating([lambda: self.provmode(self.sizes.cpu), lambda: contender(best)], self.sizes.repeats)
        return Duel(ours, theirs, best, tried)
