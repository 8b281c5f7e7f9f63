"""Run a lab until it is stopped: ``provmode lab`` and ``python -m provmode.lab``."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from provmode.lab.fleet import FleetMember, compose, truth
from provmode.lab.machine import DNS_DOMAIN
from provmode.lab.server.build import build_fleet, find_keytabs
from provmode.lab.server.control import Control, serve_control
from provmode.lab.server.hosting import USER, Lab, LabKeys
from provmode.lab.server.processes import SharedLab
from provmode.lab.server.state import STATE_FILE, Listening, describe, inventory, write_json


@dataclass(frozen=True)
class LabOptions:
    """Which fleet to run, and what to write about it."""

    hosts: int
    seed: int = 1
    mix: Mapping[str, float] | None = None
    """Shares of personas; ``None`` for the fleet's own mix."""
    packages: Mapping[str, float] | None = None
    """Shares of the kinds of PC by their provisioning packages; ``None`` for the fleet's own."""
    https: float = 0.0
    """Share of the PCs that listen on HTTPS, 0 to 1."""
    basic: bool = False
    """Whether Basic authentication is offered as well."""
    client_certificates: bool = False
    """Whether the PCs on HTTPS ask for a client certificate and map that of the lab's account."""
    keytabs: Path | None = None
    """A folder with ``NAME.keytab`` for each PC that takes Kerberos tickets."""
    dns_domain: str = DNS_DOMAIN
    """The DNS name of the PCs' domain; in capitals it is the Kerberos realm."""
    own_addresses: bool = False
    """Whether each PC has an address of its own, with WinRM's own ports."""
    truth: Path | None = None
    """Where to write the persona and verdict of every PC."""
    inventory: Path | None = None
    """Where to write a pyinfra inventory; without one the state goes to ``.lab/fleet.json``."""
    processes: int = 1
    """Over how many processes the PCs are shared out; 1: they are in this one."""


def parse_mix(text: str) -> dict[str, float]:
    """Read ``healthy=9,overdue=1``; the kinds of PC by their packages are written so too.

    Raises:
        ValueError: *text* is not a mix; the message says how to write one.
    """
    mix: dict[str, float] = {}
    for part in text.split(","):
        name, sign, share = part.partition("=")
        try:
            mix[name.strip()] = float(share if sign else "x")
        except ValueError:
            raise ValueError(f"a mix is persona=share,persona=share; cannot read {part!r}") from None
    return mix


CarryOut = Callable[[str], Awaitable[dict[str, Any]]]
"""Carries out a request of the control channel."""
Work = Callable[[Listening, CarryOut], Awaitable[None]]
"""What is done while a lab runs."""


async def serve(
    options: LabOptions, *, control: bool = False, echo: Callable[[str], None] = print, state: Path | None = None
) -> int:
    """Run a lab until SIGINT or SIGTERM, with *control* until its input ends; return 0.

    *echo* prints the lines for a person; *state* is the path of the state file instead of `STATE_FILE`. At the end the
    lab removes the files it wrote for its clients; the truth file stays.

    Raises:
        ValueError, OSError, WorkerEnded: as `serve_while`.
    """

    async def wait(lab: Listening, carry_out: CarryOut) -> None:
        written = _write_state(lab, options, control=control, state=state or STATE_FILE)
        try:
            if control:
                await until_stopped(serve_control(lab, carry_out), ignore_interrupt=True)
            else:
                await until_stopped(_announce_and_wait(lab, options, echo), ignore_interrupt=False)
        finally:
            for path in written:
                path.unlink(missing_ok=True)

    await serve_while(wait, options)
    return 0


async def serve_while(work: Work, options: LabOptions, keys: LabKeys | None = None) -> None:
    """Run a lab, with *keys* if there are some, until *work* is done.

    At the end the lab removes the inventory that it wrote; the truth file stays.

    Raises:
        ValueError: an unknown persona in the mix, or keytabs that cannot be used.
        OSError: no port or file descriptor left, or a file cannot be written.
        WorkerEnded: one of several processes ended.
    """
    members = compose(options.hosts, options.seed, options.mix, options.packages)
    if options.processes > 1 and len(members) > 1:
        shared = SharedLab([member.name for member in members], _jobs(members, options, keys or LabKeys.make()))
        async with shared:
            await shared.while_it_runs(_write_and_work(shared, shared.answer, members, options, work))
        return
    fleet = build_fleet(
        members,
        https=options.https,
        client_certificates=options.client_certificates,
        keytabs=find_keytabs(members, options.keytabs),
        own_addresses=options.own_addresses,
    )
    async with Lab(fleet, basic=options.basic, dns_domain=options.dns_domain, keys=keys) as lab:
        settle()
        await _write_and_work(lab, Control(lab).carry_out, members, options, work)


def settle() -> None:
    """Spare the garbage collector the fleet, which stays until the end: it would look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def _jobs(members: Sequence[FleetMember], options: LabOptions, keys: LabKeys) -> list[dict[str, Any]]:
    """Return the share of each process; all have the same keys and count time from the same moment."""
    keytabs = find_keytabs(members, options.keytabs)
    processes = min(options.processes, len(members))
    job = {
        "hosts": options.hosts,
        "seed": options.seed,
        "mix": options.mix,
        "packages": options.packages,
        "https": options.https,
        "basic": options.basic,
        "client_certificates": options.client_certificates,
        "keytabs": {name: str(path) for name, path in keytabs.items()},
        "dns_domain": options.dns_domain,
        "own_addresses": options.own_addresses,
        "keys": asdict(keys),
        "now": datetime.now(timezone.utc).isoformat(),
        "at": time.monotonic(),
        "processes": processes,
    }
    return [{**job, "number": number} for number in range(processes)]


async def _write_and_work(
    lab: Listening, carry_out: CarryOut, members: Sequence[FleetMember], options: LabOptions, work: Work
) -> None:
    """Write the files that the options name, do *work*, and remove those that are of no use without the lab."""
    _write_truth(members, options)
    if options.inventory is not None:
        options.inventory.write_text(inventory(lab), encoding="utf-8")
    try:
        await work(lab, carry_out)
    finally:
        if options.inventory is not None:
            options.inventory.unlink(missing_ok=True)


def _write_truth(members: Sequence[FleetMember], options: LabOptions) -> None:
    """Write the persona and verdict of every PC, if a file was given."""
    if options.truth is not None:
        options.truth.write_text(json.dumps(truth(members), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _write_state(lab: Listening, options: LabOptions, *, control: bool, state: Path) -> list[Path]:
    """Write what clients need to find the lab, if no inventory says it; return the files to remove at the end."""
    if options.inventory is not None or control:
        return []
    write_json(state, describe(lab))
    return [state]


async def until_stopped(work: object, *, ignore_interrupt: bool) -> None:
    """Run *work* until it ends or a signal comes. A lab under control leaves Ctrl-C to the program that started it."""
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    loop.add_signal_handler(signal.SIGINT, (lambda: None) if ignore_interrupt else task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass  # a signal: end normally
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)


async def _announce_and_wait(lab: Listening, options: LabOptions, echo: Callable[[str], None]) -> None:
    """Print what runs, and wait without end. Signals are heeded before the first line is printed."""
    _announce(lab, options, echo)
    await asyncio.Event().wait()


def _announce(lab: Listening, options: LabOptions, echo: Callable[[str], None]) -> None:
    """Print what runs and how to use it."""
    personas = Counter(host.persona for host in lab.hosts)
    processes = min(options.processes, len(lab.hosts))
    shared = f" in {processes} processes" if processes > 1 else ""
    place = "addresses from 127.1.0.1 on" if options.own_addresses else "127.0.0.1"
    echo(f"lab fleet: {len(lab.hosts)} PCs on {place}{shared}, seed {options.seed}")
    for persona, count in sorted(personas.items(), key=lambda item: (-item[1], item[0])):
        echo(f"  {count:6,}  {persona}")
    echo(f"account {USER}, password in {lab.password_file}")
    echo(f"inventory: {options.inventory or 'inventories/lab.py in the checkout; --inventory FILE writes one'}")
    echo("Ctrl-C ends the lab")
