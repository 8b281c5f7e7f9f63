"""Whether cost grows no faster than the fleet: 1,000 to 20,000 hosts."""

from __future__ import annotations

from benchmarks.contest import Bench, Series
from benchmarks.job import Measured
from benchmarks.row import Row

KB_PER_HOST = 20
GROWTH = 1.3


def measure(bench: Bench) -> list[Row]:
    """Audit fleets of growing size, several times over."""
    sizes = bench.sizes
    few, *ladder = _rounds(bench, (sizes.few, *sizes.scale))
    least = few.median(lambda each: each.max_rss)
    rows = []
    for hosts, series in zip(sizes.scale, ladder, strict=True):
        largest = hosts == sizes.scale[-1]
        kb = (series.median(lambda each: each.max_rss) - least) / hosts / 1024
        rows.append(
            Row(
                f"A fleet of {hosts:,} healthy hosts",
                f"memory at most {KB_PER_HOST} KB a host above a run of {sizes.few}" if largest else "none",
                f"{kb:.1f} KB a host ({series.median(_megabytes):.0f} MB at most); "
                f"{series.spread(lambda each: each.wall)} s, {series.median(lambda each: each.rate):.0f} hosts/s, "
                f"{series.spread(lambda each: each.cpu_each)} ms CPU a host",
                kb <= KB_PER_HOST if largest else None,
            )
        )
    smallest, largest = ladder[0], ladder[-1]
    growth = largest.median(lambda each: each.cpu_each) / smallest.median(lambda each: each.cpu_each)
    rows.append(
        Row(
            f"CPU per host at {sizes.scale[-1]:,} hosts against {sizes.scale[0]:,}",
            f"at most {GROWTH} times",
            f"{growth:.2f} times",
            growth <= GROWTH,
        )
    )
    return rows


def _rounds(bench: Bench, ladder: tuple[int, ...]) -> list[Series]:
    rounds = [[bench.provmode(hosts) for hosts in ladder] for _ in range(bench.sizes.scale_repeats)]
    return [Series(runs) for runs in zip(*rounds, strict=True)]


def _megabytes(measured: Measured) -> float:
    return measured.max_rss / 2**20
