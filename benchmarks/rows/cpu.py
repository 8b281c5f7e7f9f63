"""CPU that provmode adds to the requests themselves, compared with a bare pywinrm loop."""

from __future__ import annotations

from benchmarks.contest import Bench, alternating, run, start
from benchmarks.row import Row

FACTOR = 0.35
POOL = 64
"""Hosts at a time in the bare loop: provmode's own default (`provmode.fleet.audit.WORKING`)."""


def measure(bench: Bench) -> list[Row]:
    """Record the messages once, then let both contenders send them in turn."""
    job = bench.fleet.job(bench.sizes.cpu)
    messages = job.with_suffix(".messages.json")
    bench.say("recording the messages")
    start("record", job, messages)
    bench.say(f"provmode and the bare loop in turn, {bench.sizes.cpu:,} hosts")
    ours, bare = alternating(
        [lambda: run("provmode_audit", job), lambda: run("bare_pywinrm", job, messages, POOL)], bench.sizes.repeats
    )
    factor = ours.median(lambda each: each.cpu) / bare.median(lambda each: each.cpu)
    pairs = sorted(one.cpu / other.cpu for one, other in zip(ours.runs, bare.runs, strict=True))
    return [
        Row(
            f"Controller CPU per healthy host, against a bare pywinrm loop sending the same messages "
            f"({bench.sizes.cpu:,} hosts, {bench.sizes.repeats} runs each in turn, medians, imports not counted)",
            f"at most {FACTOR} times",
            f"{factor:.2f} times (pairs {pairs[0]:.2f}-{pairs[-1]:.2f}): {ours.spread(lambda each: each.cpu_each)} ms "
            f"to {bare.spread(lambda each: each.cpu_each)} ms; "
            f"{ours.spread(lambda each: each.rate, 0)} to {bare.spread(lambda each: each.rate, 0)} hosts/s",
            factor <= FACTOR,
        )
    ]
