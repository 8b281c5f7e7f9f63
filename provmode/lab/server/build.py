"""From the fleet's composition to PCs that listen: persona by persona, the same for the same seed."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import partial

from provmode.lab.fleet import Placed
from provmode.lab.personas import make
from provmode.lab.server.envelope import WINRM_3, WINRM_3_2012, Stack
from provmode.lab.server.hosting import HostSpec, Network
from provmode.lab.server.service import ServiceOptions
from provmode.lab.windows import cmd

_STACKS: tuple[Stack, ...] = (WINRM_3, WINRM_3, WINRM_3_2012)
"""Some PCs put a single item into the first answer of an enumeration, others as many as fit."""
_CHUNKS = (4096, 4096, 1024, 61)
"""Bytes at which output is cut: on some PCs in the middle of lines and characters."""


def cast(placed: Sequence[Placed], *, https: float = 0.0) -> list[HostSpec]:
    """Build the PCs of a fleet; *https* is the share, 0 to 1, of those that listen on HTTPS."""
    now = datetime.now(timezone.utc)
    return [_spec(item, now, https) for item in placed]


def _spec(item: Placed, now: datetime, https: float) -> HostSpec:
    """Build one PC and say how it is to be reached."""
    rng = random.Random(f"{item.seed} server")  # noqa: S311 - variety, not secrecy
    pc = make(item.persona, item.name, item.seed, now, time.monotonic)
    options = ServiceOptions(
        stack=rng.choice(_STACKS),
        language="de-DE" if pc.german else "en-US",
        codepage=850 if pc.german else 437,
        chunk=rng.choice(_CHUNKS),
        latency=item.persona.latency,
    )
    return HostSpec(
        item.name,
        pc,
        partial(cmd.start, pc),
        options,
        network=Network(item.persona.network),
        https=rng.random() < https,
        persona=item.persona.name,
    )
