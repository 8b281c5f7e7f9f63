"""What the limits of a run make of its hosts: their kinds, and the waves that they are cut into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from provmode.ccm.machine import known_of
from provmode.connector.host_data import SITE
from provmode.errors import UsageError
from provmode.fleet.guarding.cutting import Cutting, Kind
from provmode.fleet.plan_file import PlannedHost
from provmode.fleet.waves import Limits


class Hosts(Protocol):
    """The hosts of an inventory: `provmode.fleet.inventory.Fleet`."""

    groups_of: dict[str, list[str]]
    connector_of: dict[str, Any]

    def data_of(self, name: str) -> dict[str, Any]:
        """Return a host's data."""


def cutting_of(
    limits: Limits, hosts: Hosts, names: Sequence[str], planned: Mapping[str, Mapping[str, Any]] | None = None
) -> Cutting:
    """Return how the hosts *names* are cut into waves under *limits*; *planned* is what a plan says of each.

    Raises:
        UsageError: a limit cannot be read, or the site of a host is no text.
    """
    per_group, per_site = limits.caps()
    kinds = {}
    if limits.spread or per_site is not None:
        kinds = {name: kind_of(name, hosts, (planned or {}).get(name, {})) for name in names}
    groups = {}
    if per_group is not None:
        groups = {name: [each for each in hosts.groups_of.get(name, ()) if each != "all"] for name in names}
    return Cutting(per_group, per_site, limits.spread, kinds, groups)


def waves_of(planned: Sequence[PlannedHost], hosts: Hosts, limits: Limits) -> list[list[str]]:
    """Return the hosts of each wave of a run over *planned*, without the connector.

    Raises:
        UsageError: as `cutting_of`.
    """
    names = [host.name for host in planned]
    cutting = cutting_of(limits, hosts, names, {host.name: host.document for host in planned})
    return [[name.rpartition("/")[2] for name in wave] for wave in cutting.cut(names, limits.sizes(len(names)))]


def kind_of(name: str, hosts: Hosts, planned: Mapping[str, Any]) -> Kind:
    """Return the kind of a host, as far as its data and what a plan says of it tell."""
    site = hosts.data_of(name).get(SITE, "") if name in hosts.connector_of else ""
    if not isinstance(site, str):
        raise UsageError(f"data of {name.rpartition('/')[2]}: {SITE} is not text", next_step="write it in quotes")
    found = known_of(planned)
    site = site or found.get("ad_site", "") or found.get("site_code", "")
    return Kind(found.get("model", ""), found.get("build", ""), _known(planned.get("facts"), "client_version"), site)


def _known(readings: Any, name: str) -> str:
    """Return a reading of a plan as text; empty if it is not known."""
    reading = readings.get(name) if isinstance(readings, Mapping) else None
    value = reading.get("known") if isinstance(reading, Mapping) else None
    return value if isinstance(value, str) else ""
