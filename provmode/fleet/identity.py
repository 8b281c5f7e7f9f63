"""Which PC answered for a host: another than its name says, or one that answers for a second host as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from provmode.ccm.model import ClientReadings
from provmode.ccm.verdict import OTHER_COMPUTER, Assessment, Finding, unassessed
from provmode.reading import NOT_READ, Known, Reading
from provmode.transport.session import Session
from provmode.windows.names import NETBIOS_LENGTH, ComputerName

NAMED = 3
"""How many of the other hosts of a PC a finding names."""


def name_read(computer: Reading[str]) -> ComputerName | None:
    """Return the name that a PC gave over the sealed channel (``CSName``, a NetBIOS name)."""
    return ComputerName(netbios=computer.value) if isinstance(computer, Known) else None


@dataclass(frozen=True)
class Answering:
    """The PC that answered for a host."""

    meant: str
    """Name of the PC that is meant; empty if the inventory does not say."""
    label: str
    """The host's name in the inventory."""
    said: ComputerName | None
    """What it called itself while it authenticated us, or when it was asked for it."""
    read: ComputerName | None = None
    """What it called itself over the sealed channel, if it was asked there."""

    @classmethod
    def of(cls, session: Session, client: ClientReadings) -> Answering:
        """Return what is known after *client* was read over *session*. Asks for the name if nothing told it yet.

        Raises:
            HostError: as `Session.send`.
        """
        read = name_read(client.computer)
        said = session.name() if read is None else session.computer
        return cls(session.target.endpoint.computer, session.target.endpoint.name, said, read)

    @property
    def name(self) -> ComputerName | None:
        """The fullest name; ``None`` if it could not be told."""
        return self.said if self.said is not None else self.read

    @property
    def names(self) -> tuple[ComputerName, ...]:
        """Every name that was given."""
        return tuple(name for name in (self.said, self.read) if name is not None)

    @property
    def other(self) -> ComputerName | None:
        """A name that is not that of the PC that is meant, if one was given."""
        return next((name for name in self.names if self.meant and not name.is_called(self.meant)), None)

    def shown_in(self, client: ClientReadings) -> ClientReadings:
        """Return *client* with the name, for reports, if the client's own questions did not include it."""
        if client.computer != NOT_READ or self.name is None:
            return client
        return replace(client, computer=Known(self.name.netbios or str(self.name)))

    def judged(self, assessment: Assessment) -> Assessment:
        """Return *assessment*, with a finding if the PC has another name; ``unassessed`` if another PC is meant."""
        if self.other is not None:
            detail = f"{self.label} leads to another PC, which calls itself {self.other}"
            return unassessed(OTHER_COMPUTER, detail)
        differs = next((name for name in self.names if not self.meant and not name.is_called(self.label)), None)
        if differs is None:
            return assessment
        text = f"the PC that answers calls itself {differs}; winrm_computer would say which PC is meant"
        return replace(assessment, findings=(*assessment.findings, Finding("other-name", text)))


class Together:
    """The PCs that a run works on, so that two hosts that are one PC are not both worked on."""

    def __init__(self) -> None:
        self._hosts: dict[str, list[tuple[ComputerName, str]]] = {}

    def enter(self, host: str, name: ComputerName | None) -> str | None:
        """Return the host that entered as the same PC before; ``None`` if *host* is the first. It has entered then."""
        if name is None:
            return None
        entered = self._hosts.setdefault(_key(name), [])
        before = next((other for known, other in entered if known.is_one_with(name)), None)
        if before is None or before == host:
            entered.append((name, host))
            return None
        return before


def _key(name: ComputerName) -> str:
    """Return what all names of one PC have in common."""
    return (name.netbios or str(name)).casefold()[:NETBIOS_LENGTH]


def twins(answering: Mapping[str, Answering], order: Sequence[str]) -> dict[str, list[str]]:
    """Return for each host that shares its PC with others the names of these others, all in *order*."""
    groups: list[list[str]] = []
    by_key: dict[str, list[list[str]]] = {}
    for host in order:
        name = answering[host].name if host in answering else None
        if name is None:
            continue
        candidates = by_key.setdefault(_key(name), [])
        for group in candidates:
            first = answering[group[0]].name
            if first is not None and name.is_one_with(first):
                group.append(host)
                break
        else:
            candidates.append([host])
            groups.append(candidates[-1])
    return {host: [other for other in group if other != host] for group in groups if len(group) > 1 for host in group}


def with_twins(assessment: Assessment, others: Sequence[str]) -> Assessment:
    """Return *assessment* with the finding that *others* are the same PC."""
    shown = ", ".join(others[:NAMED]) + (f" and {len(others) - NAMED:,} more" if len(others) > NAMED else "")
    text = f"the same PC answers for {shown}"
    return replace(assessment, findings=(*assessment.findings, Finding("same-computer", text)))
