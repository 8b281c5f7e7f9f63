"""Cost of a change: requests on a stuck host, CPU compared with the bare loop, growth with the fleet, one slow host."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.contest import LONGEST, ROOT, Bench, ContenderFailed, start
from benchmarks.fleet import PROCESSES
from benchmarks.job import Host, Job
from benchmarks.row import Row
from provmode.lab.process import LabProcess

SEED = 21
FACTOR = 0.6
REQUESTS = 90
LOOKS = 19
"""Requests of the looks that keep a change safe, on a host that only has to leave the mode: see docs/performance.md."""
GROWTH = 1.25
STUCK = "stuck-no-enabled-time"


def measure(bench: Bench) -> list[Row]:
    """Measure on separate labs: a PC can be changed only once."""
    return [*_cost(bench), *_scale(bench), _slow(bench)]


@contextmanager
def _lab(mix: Mapping[str, float], hosts: int) -> Iterator[tuple[LabProcess, Path]]:
    with tempfile.TemporaryDirectory(prefix="provmode-bench-") as folder:
        inventory = Path(folder, "lab.py")
        with LabProcess(hosts, SEED, mix=mix, inventory=inventory, processes=PROCESSES) as lab:
            yield lab, Path(folder)


def _change(folder: Path, *, waves: str = "", messages: str = "-") -> dict[str, Any]:
    """Plan and apply over the lab of *folder* in a separate process.

    Raises:
        ContenderFailed: the process failed.
    """
    output = start("provmode_change", folder / "lab.py", folder, waves, messages)
    measured: dict[str, Any] = json.loads(output.splitlines()[-1])
    return measured


def _all_changed(measured: Mapping[str, Any], expected: int) -> None:
    outcomes = Counter(measured["ended"].values())
    if outcomes != Counter({"changed": expected}):
        raise ContenderFailed(f"{expected} stuck hosts had to be changed; the outcomes are: {dict(outcomes)}")


def _cost(bench: Bench) -> list[Row]:
    """Count the requests of one stuck host; compare CPU with the bare loop that sends the same messages."""
    size = bench.sizes.change
    bench.say(f"plan and apply on {size} stuck hosts")
    with _lab({STUCK: 1}, size) as (lab, folder):
        messages_file = folder / "messages.json"
        _all_changed(_change(folder, messages=str(messages_file)), size)
        actions = lab.counters(lab.hosts[0].name)["actions"]
        recorded = messages_file.read_text(encoding="utf-8")
    requests, pairs = [], []
    for _ in range(bench.sizes.repeats):
        with _lab({STUCK: 1}, size) as (lab, folder):
            ours = _change(folder)
            _all_changed(ours, size)
            requests += [ours["requests_plan"][host.name] + ours["requests_apply"][host.name] for host in lab.hosts]
        with _lab({STUCK: 1}, size) as (lab, folder):
            bare = _bare(lab, folder, recorded)
        pairs.append((1000 * (ours["plan"]["cpu"] + ours["apply"]["cpu"]) / size, bare))
    factors = sorted(one / other for one, other in pairs)
    cpu, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    factor = cpu / bare
    listed = ", ".join(f"{count} {name}" for name, count in sorted(actions.items(), key=lambda item: -item[1]))
    return [
        Row(
            "HTTP requests of plan and apply together on a stuck host, two authentications and the wait included",
            f"at most {REQUESTS}, and {LOOKS} of the looks that keep a change safe",
            f"{min(requests)} to {max(requests)}; one of them: {listed}",
            max(requests) <= REQUESTS + LOOKS,
        ),
        Row(
            f"Controller CPU of plan and apply per stuck host, against the bare loop with the same messages ({size})",
            f"at most {FACTOR} times",
            f"{factor:.2f} times (pairs {factors[0]:.2f}-{factors[-1]:.2f}): {cpu:.1f} ms to {bare:.1f} ms",
            factor <= FACTOR,
        ),
    ]


def _bare(lab: LabProcess, folder: Path, recorded: str) -> float:
    """Return the CPU milliseconds per host that the bare loop needs for the recorded messages."""
    (folder / "messages.json").write_text(recorded, encoding="utf-8")
    hosts = tuple(Host(host.name, host.address, host.port, None, None) for host in lab.hosts)
    job = folder / "job.json"
    Job(hosts, lab.user, str(lab.password_file), str(folder / "lab.py")).write(job)
    output = start("bare_pywinrm", job, folder / "messages.json", 64)
    measured = json.loads(output.splitlines()[-1])  # its values are not compared: the messages change the PCs
    return 1000 * float(measured["cpu"]) / float(measured["hosts"])


def _scale(bench: Bench) -> list[Row]:
    """Plan and apply over fleets in which a fifth of the hosts is stuck."""
    rows, cpus = [], []
    for hosts in bench.sizes.change_scale:
        bench.say(f"plan and apply over {hosts:,} hosts, 20 % of them stuck")
        with _lab({"healthy": 4, STUCK: 1}, hosts) as (lab, folder):
            stuck = sum(host.persona == STUCK for host in lab.hosts)
            measured = _change(folder)
        _all_changed(measured, stuck)
        wall, cpu = (measured["plan"][unit] + measured["apply"][unit] for unit in ("wall", "cpu"))
        cpus.append(1000 * cpu / hosts)
        rows.append(
            Row(
                f"Plan and apply over {hosts:,} hosts, {stuck} of them stuck",
                "none",
                f"{wall:.1f} s ({measured['plan']['wall']:.1f} + {measured['apply']['wall']:.1f}), "
                f"{hosts / wall:.0f} hosts/s, {cpus[-1]:.1f} ms CPU a host, {measured['max_rss'] / 2**20:.0f} MB",
                None,
            )
        )
    growth = cpus[-1] / cpus[0]
    rows.append(
        Row(
            f"CPU per host of plan and apply at {bench.sizes.change_scale[-1]:,} hosts against "
            f"{bench.sizes.change_scale[0]:,}",
            f"at most {GROWTH} times",
            f"{growth:.2f} times",
            growth <= GROWTH,
        )
    )
    return rows


def _slow(bench: Bench) -> Row:
    """Let one host of the second wave never answer the exit method: it must not delay the other hosts."""
    bench.say("waves with one slow host")
    size = 30
    with _lab({STUCK: 1}, size) as (lab, folder):
        names = [host.name for host in lab.hosts]
        slow = names[12]
        lab.inject(slow, kind="stall", action="SetClientProvisioningMode", times=None)
        measured = _change(folder, waves="10,10")
    times = {name: measured["times"][name] for name in names if name in measured["times"]}
    first = max(times[name] for name in names[:10])
    others = [times[name] - first for name in names[10:20] if name != slow]
    return Row(
        "Waves of 10 with one host in the second that never answers: when the other nine of its wave had ended",
        "as long as the first wave took, give or take a second",
        f"after {max(others):.1f} s; the first wave took {first:.1f} s, the slow host {times[slow] - first:.1f} s",
        max(others) <= first + 1,
    )


def operations(bench: Bench) -> list[Row]:
    """Measure the cost of pyinfra's operations per host, and the share of call-stack inspection."""
    hosts = bench.sizes.operations
    bench.say(f"pyinfra's operations on {hosts:,} hosts")
    with _lab({"healthy": 1}, hosts) as (_, folder):
        output = _python("-m", "benchmarks.contenders.pyinfra_operations", folder / "lab.py")
        measured = json.loads(output.splitlines()[-1])
        bench.say(f"provmode plan on the same {hosts:,} hosts")
        own = _change(folder)
    each = 1000 * own["plan"]["cpu"] / hosts
    return [
        Row(
            f"pyinfra's own cost per operation and host, {hosts:,} hosts, operations that ask and change nothing",
            "measured",
            f"{measured['ms']:.2f} ms of CPU; {measured['share']:.0%} of it in call-stack inspection (profiled); "
            f"provmode's own runner uses no operations: {each:.1f} ms a host for the whole plan",
            None,
        )
    ]


def _python(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST
    )
    if done.returncode:
        raise ContenderFailed(f"{arguments[1]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout
