"""Time that PCs add which never answer a connection: one connect deadline in all, however many there are."""

from __future__ import annotations

from benchmarks.contest import Bench, alternating
from benchmarks.row import Row

CONNECT_DEADLINE = 5.0
"""Seconds, provmode's default for ``winrm_connect_deadline``."""


def measure(bench: Bench) -> list[Row]:
    """Audit the same healthy hosts alone and among silent ones, in turn."""
    sizes = bench.sizes
    alone, among = alternating(
        [lambda: bench.provmode(sizes.answering), lambda: bench.provmode(sizes.answering, sizes.silent)], sizes.repeats
    )
    added = among.median(lambda each: each.wall) - alone.median(lambda each: each.wall)
    share = sizes.silent / (sizes.answering + sizes.silent)
    return [
        Row(
            f"{sizes.silent:,} black-holed hosts ({share:.0%}) beside {sizes.answering:,} healthy ones",
            f"adds at most the connect deadline ({CONNECT_DEADLINE:g} s)",
            f"adds {added:.1f} s: {alone.spread(lambda each: each.wall)} s alone, "
            f"{among.spread(lambda each: each.wall)} s with them",
            added <= CONNECT_DEADLINE,
        )
    ]
