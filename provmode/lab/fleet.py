"""Which PC of a lab fleet is what: reproducible by seed, and the truth about it."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provmode.lab.personas import BY_NAME, PERSONAS, Persona


@dataclass(frozen=True)
class Placed:
    """One PC before it is built."""

    name: str
    persona: Persona
    seed: int


def compose(hosts: int, seed: int, mix: Mapping[str, float] | None = None) -> list[Placed]:
    """Return *hosts* PCs; the same *seed* and *mix* give the same fleet.

    *mix* gives personas their shares by name; without it the shares of a plausible fleet are used. Every persona of
    the mix is there at least once where there are hosts enough.

    Raises:
        ValueError: no hosts, an unknown persona, or a share that is not a number above 0.
    """
    if hosts < 1:
        raise ValueError(f"a fleet of {hosts} hosts: give 1 or more")
    shares = _shares(mix)
    rng = random.Random(seed)  # noqa: S311 - variety, not secrecy
    chosen = list(shares) if hosts >= len(shares) else []
    chosen += rng.choices(list(shares), weights=list(shares.values()), k=hosts - len(chosen))
    rng.shuffle(chosen)
    return [Placed(f"PC-{number:05d}", BY_NAME[name], rng.randrange(2**63)) for number, name in enumerate(chosen, 1)]


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


def truth(placed: Sequence[Placed]) -> dict[str, Any]:
    """Return ``{"hosts": {name: {"persona", "verdict"[, "cause"]}}}``: what an audit has to find."""
    hosts = {}
    for item in placed:
        hosts[item.name] = {"persona": item.persona.name, "verdict": item.persona.verdict}
        if item.persona.cause is not None:
            hosts[item.name]["cause"] = item.persona.cause
    return {"hosts": hosts}
