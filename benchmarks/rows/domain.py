"""PCs in a domain: how long a domain of the lab takes to set up, and Kerberos beside NTLM."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from benchmarks.contenders.domain_audit import LOOPS, NTLM, TICKETS, TICKETS_OF_PCS
from benchmarks.contest import LONGEST, ROOT, Bench, ContenderFailed, Series
from benchmarks.job import Measured
from benchmarks.row import Row

WORDS = {
    NTLM: "NTLM",
    TICKETS: "Kerberos, only the own ticket",
    TICKETS_OF_PCS: "Kerberos, each PC's ticket in the cache",
}


def measure(bench: Bench) -> list[Row]:
    """Set up a small and a large domain, and audit the large one in each way in turn."""
    small, large = bench.sizes.domain
    bench.say(f"a domain of {small:,} PCs")
    few, _ = _in_domain(small, 0)
    bench.say(f"a domain of {large:,} PCs, and its audits")
    many, runs = _in_domain(large, bench.sizes.repeats)
    audits = {kind: Series([each for each in runs if each.contender == kind]) for kind in WORDS}
    return [
        Row(
            "Time from `provmode lab --domain` until its command runs",
            "none",
            f"{few:.1f} s for {small:,} PCs, {many:.1f} s for {large:,}",
            None,
        ),
        Row(
            f"`provmode audit @ad/...` over {large:,} healthy PCs (the whole command, {bench.sizes.repeats} runs each "
            "in turn)",
            "none",
            "; ".join(
                f"{WORDS[kind]}: {series.spread(lambda each: each.wall)} s, "
                f"{series.spread(lambda each: each.cpu, 2)} s of CPU"
                for kind, series in audits.items()
            ),
            None,
        ),
        _beside_its_loop(runs, large),
    ]


def _beside_its_loop(runs: list[Measured], hosts: int) -> Row:
    """Compare CPU with that of pywinrm's bare loop, both with Kerberos."""
    ours, bare = (Series([each for each in runs if each.contender == kind]) for kind in LOOPS)
    wrong = [each for each in (*ours.runs, *bare.runs) if each.right != hosts]
    if wrong:
        raise ContenderFailed(f"{wrong[0].contender} with Kerberos read {wrong[0].right} of {hosts} hosts")
    factor = ours.median(lambda each: each.cpu) / bare.median(lambda each: each.cpu)
    return Row(
        f"Controller CPU per healthy host with Kerberos, against pywinrm's bare loop, same messages ({hosts:,})",
        "none",
        f"{factor:.2f} times: {ours.spread(lambda each: each.cpu_each)} ms to "
        f"{bare.spread(lambda each: each.cpu_each)} ms; {ours.spread(lambda each: each.rate, 0)} to "
        f"{bare.spread(lambda each: each.rate, 0)} hosts/s",
        None,
    )


def _in_domain(hosts: int, repeats: int) -> tuple[float, list[Measured]]:
    """Run the contender in a domain; return the seconds until it began, and what it measured.

    Raises:
        ContenderFailed: there is no domain, or the contender failed.
    """
    began = time.monotonic()
    lab = [sys.executable, "-m", "provmode", "lab", "--domain", "--hosts", str(hosts), "--mix", "healthy=1"]
    contender = [sys.executable, "-m", "benchmarks.contenders.domain_audit", str(hosts), str(repeats)]
    done = subprocess.run([*lab, *contender], cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST)
    if done.returncode != 0:
        raise ContenderFailed((done.stderr.strip() or "no output").splitlines()[-1][:300])
    first, *lines = done.stdout.splitlines()
    return float(first) - began, [Measured(**json.loads(line)) for line in lines]
