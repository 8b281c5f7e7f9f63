"""Which PC of a lab fleet has which persona, reproducible by seed, and which verdict an audit must give it."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provmode.lab.packages import cases
from provmode.lab.packages.cases import CASES, INBOX
from provmode.lab.personas import BY_NAME, PERSONAS, Persona


@dataclass(frozen=True)
class FleetMember:
    """One PC before it is built."""

    name: str
    persona: Persona
    seed: int
    address: str = ""
    """A loopback address of its own, if the lab is asked for one: 127.1.0.1 for the first PC."""
    packages: str = INBOX
    """Its kind by its provisioning packages: a name of `provmode.lab.packages.cases`."""


def compose(
    hosts: int, seed: int, mix: Mapping[str, float] | None = None, packages: Mapping[str, float] | None = None
) -> list[FleetMember]:
    """Return *hosts* PCs; the same *seed*, *mix* and *packages* give the same fleet.

    *mix* maps personas to their shares, *packages* the kinds of PC by their provisioning packages; without them the
    shares of a plausible fleet are used. If there are enough hosts, every persona of the mix and every kind occurs at
    least once. The packages change no persona.

    Raises:
        ValueError: no hosts, an unknown persona or kind, or a share that is not a finite number above 0.
    """
    if hosts < 1:
        raise ValueError(f"a fleet of {hosts} hosts: give 1 or more")
    personas = _shares("persona", mix, {persona.name: persona.share for persona in PERSONAS})
    kinds = _shares("kind of PC by its packages", packages, {case.name: case.share for case in CASES})
    rng = random.Random(seed)  # noqa: S311 - variety, not secrecy
    chosen = _chosen(rng, hosts, personas)
    of_packages = _chosen(random.Random(f"{seed} packages"), hosts, kinds)  # noqa: S311 - a stream of its own
    return [
        FleetMember(f"PC-{number:05d}", BY_NAME[name], rng.randrange(2**63), _address(number), kind)
        for number, (name, kind) in enumerate(zip(chosen, of_packages, strict=True), 1)
    ]


def _chosen(rng: random.Random, hosts: int, shares: Mapping[str, float]) -> list[str]:
    chosen = list(shares) if hosts >= len(shares) else []
    chosen += rng.choices(list(shares), weights=list(shares.values()), k=hosts - len(chosen))
    rng.shuffle(chosen)
    return chosen


def _address(number: int) -> str:
    """Return the address of the PC with this number; no octet is 0 or 255 at its end."""
    rest, last = divmod(number - 1, 250)
    second, third = divmod(rest, 250)
    return f"127.{second + 1}.{third}.{last + 1}"


def _shares(what: str, mix: Mapping[str, float] | None, plausible: Mapping[str, float]) -> dict[str, float]:
    if mix is None:
        return dict(plausible)
    for name, share in mix.items():
        if name not in plausible:
            raise ValueError(f"there is no {what} {name!r}: there are {', '.join(plausible)}")
        if not share > 0:
            raise ValueError(f"the share of {name} is {share}: give more than 0")
        if math.isinf(share):
            raise ValueError(f"the share of {name} is {share}: give a number")
    if not mix:
        raise ValueError("the mix is empty")
    return dict(mix)


def truth(members: Sequence[FleetMember]) -> dict[str, Any]:
    """Return ``{"hosts": {name: {"persona", "verdict"[, "cause"]}}, "packages": {name: {...}}}``.

    ``hosts`` is what an audit must find, ``packages`` what a look at the packages must find on each PC that answers.
    """
    hosts = {}
    for member in members:
        hosts[member.name] = {"persona": member.persona.name, "verdict": member.persona.verdict}
        if member.persona.cause is not None:
            hosts[member.name]["cause"] = member.persona.cause
    return {"hosts": hosts, "packages": packages_truth(members)}


def packages_truth(members: Sequence[FleetMember]) -> dict[str, Any]:
    """Return what a look at the packages of each PC must find (`provmode.lab.packages.cases.truth`)."""
    return {member.name: cases.truth(cases.BY_NAME[member.packages]) for member in members}
