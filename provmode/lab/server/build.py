"""Build the PCs of a fleet, persona by persona; the same seed gives the same PCs."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from provmode.lab.fleet import FleetMember
from provmode.lab.personas import build_pc
from provmode.lab.server.envelope import WINRM_3, WINRM_3_2012, Stack
from provmode.lab.server.hosting import HostSpec, Network
from provmode.lab.server.logon import Logon
from provmode.lab.server.service import ServiceOptions
from provmode.lab.windows import cmd

_STACKS: tuple[Stack, ...] = (WINRM_3, WINRM_3, WINRM_3_2012)
"""Some PCs put a single item into the first answer of an enumeration, others as many as fit."""
_CHUNKS = (4096, 4096, 1024, 61)
"""Bytes of one piece of output: on some PCs output is cut in the middle of lines and characters."""


def build_fleet(
    members: Sequence[FleetMember],
    *,
    https: float = 0.0,
    client_certificates: bool = False,
    keytabs: Mapping[str, Path] | None = None,
    own_addresses: bool = False,
    now: datetime | None = None,
) -> list[HostSpec]:
    """Build the PCs of a fleet; *https* is the share, 0 to 1, of those that listen on HTTPS.

    With *client_certificates* these take the certificate of the lab's account. *keytabs* are those of `find_keytabs`.
    With *own_addresses* each listens on that of its `FleetMember`. *now* is the time of all PCs with a right clock.
    """
    now, found = now or datetime.now(timezone.utc), keytabs or {}
    return [
        replace(
            _spec(member, now, https, client_certificates=client_certificates, keytab=found.get(member.name)),
            address=member.address if own_addresses else None,
        )
        for member in members
    ]


def find_keytabs(members: Sequence[FleetMember], folder: Path | None) -> dict[str, Path]:
    """Return the ``NAME.keytab`` in *folder* of each PC that takes Kerberos tickets.

    Raises:
        ValueError: no PC has a keytab there.
    """
    found = {} if folder is None else {path.stem: path for path in folder.glob("*.keytab")}
    if folder is not None and not found.keys() & {member.name for member in members}:
        raise ValueError(f"{folder} has no keytab of any PC: it would be called {members[0].name}.keytab")
    return found


def _spec(
    member: FleetMember, now: datetime, https: float, *, client_certificates: bool, keytab: Path | None
) -> HostSpec:
    """Build one PC, its service and its network."""
    rng = random.Random(f"{member.seed} server")  # noqa: S311 - variety, not secrecy
    pc = build_pc(member.persona, member.name, member.seed, now, time.monotonic, member.packages)
    options = ServiceOptions(
        stack=rng.choice(_STACKS),
        language="de-DE" if pc.german else "en-US",
        codepage=850 if pc.german else 437,
        chunk=rng.choice(_CHUNKS),
        latency=member.persona.latency,
    )
    listens_on_https = rng.random() < https
    return HostSpec(
        member.name,
        pc,
        partial(cmd.start, pc),
        options,
        network=Network(member.persona.network),
        https=listens_on_https,
        logon=Logon(
            certificate=client_certificates and listens_on_https,
            keytab=keytab,
            ahead=member.persona.skew,
        ),
        persona=member.persona.name,
    )
