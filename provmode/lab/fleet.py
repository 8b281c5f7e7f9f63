"""Which PC of a lab fleet has which persona, reproducible by seed, and which verdict an audit must give it."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provmode.lab.personas import BY_NAME, PERSONAS, Persona


@dataclass(frozen=True)
class FleetMember:
    """One PC before it is built."""

    name: str
    persona: Persona
    seed: int
    address: str = ""
    """A loopback address of its own, if the lab is asked for one: 127.1.0.1 for the first PC."""


def compose(hosts: int, seed: int, mix: Mapping[str, float] | None = None) -> list[FleetMember]:
    """Return *hosts* PCs; the same *seed* and *mix* give the same fleet.

    *mix* maps personas to their shares; without it the shares of a plausible fleet are used. If there are enough
    hosts, every persona of the mix occurs at least once.

    Raises:
        ValueError: no hosts, an unknown persona, or a share that is not a finite number above 0.
    """
    if hosts < 1:
        raise ValueError(f"a fleet of {hosts} hosts: give 1 or more")
    shares = _shares(mix)
    rng = random.Random(seed)  # noqa: S311 - variety, not secrecy
    chosen = list(shares) if hosts >= len(shares) else []
    chosen += rng.choices(list(shares), weights=list(shares.values()), k=hosts - len(chosen))
    rng.shuffle(chosen)
    return [
        FleetMember(f"PC-{number:05d}", BY_NAME[name], rng.randrange(2**63), _address(number))
        for number, name in enumerate(chosen, 1)
    ]


def _address(number: int) -> str:
    """Return the address of the PC with this number; no octet is 0 or 255 at its end."""
    rest, last = divmod(number - 1, 250)
    second, third = divmod(rest, 250)
    return f"127.{second + 1}.{third}.{last + 1}"


def _shares(mix: Mapping[str, float] | None) -> dict[str, float]:
    if mix is None:
        return {persona.name: persona.share for persona in PERSONAS}
    for name, share in mix.items():
        if name not in BY_NAME:
            raise ValueError(f"there is no persona {name!r}: there are {', '.join(BY_NAME)}")
        if not share > 0:
            raise ValueError(f"the share of {name} is {share}: give more than 0")
        if math.isinf(share):
            raise ValueError(f"the share of {name} is {share}: give a number")
    if not mix:
        raise ValueError("the mix is empty")
    return dict(mix)


def truth(members: Sequence[FleetMember]) -> dict[str, Any]:
    """Return ``{"hosts": {name: {"persona", "verdict"[, "cause"]}}}``: what an audit must find."""
    hosts = {}
    for member in members:
        hosts[member.name] = {"persona": member.persona.name, "verdict": member.persona.verdict}
        if member.persona.cause is not None:
            hosts[member.name]["cause"] = member.persona.cause
    return {"hosts": hosts}
