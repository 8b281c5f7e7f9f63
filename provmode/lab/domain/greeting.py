"""What a person reads first in the shell of a domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from provmode.lab.domain.controller import Setup
from provmode.lab.domain.fleet import office_to_mend, truth
from provmode.lab.fleet import FleetMember


def greeting(members: Sequence[FleetMember], setup: Setup, user: str) -> str:
    """Return the greeting."""
    verdicts = Counter(host["verdict"] for host in truth(members)["hosts"].values())
    fleet = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    domain, office = f"@ad/{setup.dns_domain}", f"@ad/{setup.dns_domain}/{office_to_mend(members)}"
    commands = (
        ("klist", "your ticket"),
        (f"provmode inventory show {domain}", "which PCs a run would ask, and who is left out"),
        (f"provmode audit {domain}", "who is stuck, and why"),
        (f"provmode plan {office} --output plan.json", "what would be changed in one office"),
        ("provmode apply plan.json", "change that"),
    )
    width = max(len(command) for command, _ in commands)
    return "\n".join(
        [
            "",
            f"This shell is in the domain {setup.dns_domain}, on a network of its own, with {len(members)} PCs:",
            f"{fleet}.",
            f"You have the ticket of {user}@{setup.realm}, who is an administrator of each PC.",
            "",
            *(f"  {command:{width}}  {what}" for command, what in commands),
            "",
            'docs/lab.md has more under "A domain to try". `exit` ends the domain; only what you write yourself stays.',
            "",
        ]
    )
