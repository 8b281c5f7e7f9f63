"""Which PC of a fleet gets what in the domain: its OU, its name in DNS, and the verdict of an audit with Kerberos."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from provmode.lab.fleet import FleetMember, packages_truth
from provmode.lab.personas import PERSONAS, build_pc

OFFICES = ("Clients/Berlin", "Clients/Hamburg", "Clients/Munich")
"""Every client is in the OU of one of them."""
RETIRED = "Clients/Retired"
PILOT = "Pilot"
"""A group with every fourth PC."""
_TO_MEND = ("stuck", "overdue", "half-exited", "armed")
"""Verdicts that a plan mends."""
_LEFT_OUT = ("bad-certificate", "wrong-password")
"""Personas that cannot be seen in a domain: an audit comes by HTTP, and with a ticket instead of the password."""
WITH_A_TICKET: Mapping[str, tuple[str, str | None]] = {
    "wrong-clock": ("unassessed", "auth"),
    "wrong-password": ("healthy", None),
    "bad-certificate": ("unassessed", "refused"),
}
"""Verdict and cause of the personas with which Kerberos makes a difference: clocks count, passwords do not."""


def default_mix() -> dict[str, float]:
    """Return the shares of a plausible fleet in a domain."""
    return {persona.name: persona.share for persona in PERSONAS if persona.name not in _LEFT_OUT}


def directory_of(members: Sequence[FleetMember], dns_domain: str, users: Mapping[str, str], keytabs: Path) -> Any:
    """Return what `fleet_objects` is to add: the PCs, *users* with their passwords, and two PCs that are no more.

    The keys of the PCs are to be written into the folder *keytabs*.
    """
    computers = [_computer(number, member) for number, member in enumerate(members)]
    gone: dict[str, Any] = {
        "unit": RETIRED,
        "address": "",
        "system": "Windows 10 Enterprise",
        "version": "10.0 (19045)",
    }
    computers += [
        {**gone, "name": "OLD-00001", "enabled": False, "days_since_logon": 40, "password": _password()},
        {**gone, "name": "OLD-00002", "enabled": True, "days_since_logon": 200, "password": _password()},
    ]
    return {
        "dns_domain": dns_domain,
        "units": ["Clients", *OFFICES, RETIRED],
        "users": dict(users),
        "computers": computers,
        "groups": {PILOT: [member.name for member in members[::4]]},
        "keytabs": str(keytabs),
    }


def _computer(number: int, member: FleetMember) -> dict[str, Any]:
    """Return the account of a PC of the lab."""
    pc = build_pc(member.persona, member.name, member.seed, datetime.now(timezone.utc), time.monotonic)
    release, _, build = pc.os_version.rpartition(".")
    return {
        "name": member.name,
        "unit": office_of(number),
        "address": "" if member.persona.network == "unresolvable" else member.address,
        "enabled": True,
        "days_since_logon": 1,
        "system": pc.caption.removeprefix("Microsoft "),
        "version": f"{release} ({build})",
        "password": _password(),
    }


def _password() -> str:
    """Return a computer's password."""
    return secrets.token_urlsafe(60)


def office_to_mend(members: Sequence[FleetMember]) -> str:
    """Return the OU that has the most PCs to mend."""
    to_mend = Counter(dict.fromkeys(OFFICES, 0))
    to_mend.update(office_of(n) for n, member in enumerate(members) if member.persona.verdict in _TO_MEND)
    return to_mend.most_common(1)[0][0]


def office_of(number: int) -> str:
    """Return the OU of the PC at the place *number* of a fleet, which begins at 0."""
    return OFFICES[number % len(OFFICES)]


def truth(members: Sequence[FleetMember]) -> dict[str, Any]:
    """Return what an audit with Kerberos must find, in the form of `provmode.lab.fleet.truth`."""
    hosts: dict[str, Any] = {}
    for member in members:
        persona = member.persona
        verdict, cause = WITH_A_TICKET.get(persona.name, (persona.verdict, persona.cause))
        hosts[member.name] = {"persona": persona.name, "verdict": verdict, **({"cause": cause} if cause else {})}
    return {"hosts": hosts, "packages": packages_truth(members)}
