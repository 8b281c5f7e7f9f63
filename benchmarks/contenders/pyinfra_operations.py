"""pyinfra's own cost: operations that change nothing and ask nothing, prepared and run for every host.

They run twice: once to measure CPU, once under the profiler to get the share of call-stack inspection. Operation ids
come from the call stack, as on pyinfra's command line.
"""

# ruff: noqa: E402 - sockets are patched before anything imports ssl
from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import cProfile
import json
import logging
import pstats
import resource
import sys

import pyinfra
from pyinfra.api import Config, State, operation
from pyinfra.api.operations import run_ops
from pyinfra.api.state import StateStage
from pyinfra.context import ctx_host, ctx_state

from provmode.fleet.inventory import load

OPERATIONS = 3


@operation()
def nothing() -> object:
    """Change nothing."""
    pyinfra.host.noop("nothing to do")
    return
    yield


def main() -> None:
    """Measure, then profile, and print one line of JSON."""
    logging.getLogger("pyinfra").setLevel(logging.CRITICAL)
    hosts = run(sys.argv[1])
    before = _cpu()
    run(sys.argv[1])
    cpu = _cpu() - before
    profile = cProfile.Profile()
    profile.runcall(run, sys.argv[1])
    stats = pstats.Stats(profile)
    whole = stats.total_tt  # type: ignore[attr-defined]
    inspected = max(
        (row[3] for (_, _, name), row in stats.stats.items() if name in ("get_call_location", "getframeinfo")),  # type: ignore[attr-defined]
        default=0.0,
    )
    print(json.dumps({"ms": 1000 * cpu / hosts / OPERATIONS, "share": inspected / whole}), flush=True)


def run(inventory: str) -> int:
    """Prepare and run the operations on every host of *inventory*, and return the number of hosts."""
    fleet = load(inventory)
    pyinfra.is_cli = True
    hosts = 0
    for shard in fleet.shards(fleet.names):
        state: State = shard[0].state
        state.config = Config(PARALLEL=64)
        for host in shard:
            state.activate_host(host)
        state.set_stage(StateStage.Prepare)
        with ctx_state.use(state):
            for host in shard:
                with ctx_host.use(host):
                    nothing(name="one")
                    nothing(name="two")
                    nothing(name="three")
                hosts += 1
            state.set_stage(StateStage.Execute)
            run_ops(state)
    return hosts


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
