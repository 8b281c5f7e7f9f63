"""Names of a PC, and whether a name in an inventory is the name of the PC that answers. Pure.

A PC has a DNS host name, and a NetBIOS name, which is the same in capitals and cut to 15 characters (Microsoft, "Naming
conventions in Active Directory for computers, domains, sites, and OUs"). Names are compared by their first label,
without regard to case. If the DNS name is known it decides, because two long names can have one NetBIOS name.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

NETBIOS_LENGTH = 15
"""The most characters that a NetBIOS name has."""


@dataclass(frozen=True)
class ComputerName:
    """What a PC calls itself; a name that is not known is empty, and one of the two is known."""

    netbios: str = ""
    dns: str = ""
    """With or without its domain."""

    def __str__(self) -> str:
        """Return the name to show."""
        return self.dns.partition(".")[0] or self.netbios

    def is_called(self, name: str) -> bool:
        """Return whether *name*, with or without a domain, means this PC."""
        if self.dns:
            return first_label(name) == first_label(self.dns)
        return first_label(name)[:NETBIOS_LENGTH] == first_label(self.netbios)[:NETBIOS_LENGTH]

    def is_one_with(self, other: ComputerName) -> bool:
        """Return whether this and *other* are one PC, as far as the names that both have can tell."""
        if self.dns and other.dns:
            mine, his = self.dns.rstrip(".").casefold(), other.dns.rstrip(".").casefold()
            both_whole = "." in mine and "." in his
            return mine == his if both_whole else first_label(mine) == first_label(his)
        if self.dns or other.dns:
            whole, cut = (self, other) if self.dns else (other, self)
            return first_label(whole.dns)[:NETBIOS_LENGTH] == first_label(cut.netbios)[:NETBIOS_LENGTH]
        return first_label(self.netbios) == first_label(other.netbios)


def first_label(name: str) -> str:
    """Return the part of *name* before its domain, in one case."""
    return name.strip().partition(".")[0].casefold()


def is_address(name: str) -> bool:
    """Return whether *name* is an IP address, which says nothing about the PC that is meant."""
    text = name.strip().strip("[]")
    if text.replace(".", "").isdigit():
        return True  # also the short forms, such as 127.1; no computer name has digits alone
    if "." not in text and ":" not in text:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
