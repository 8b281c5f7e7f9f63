"""Which settings of an inventory protect less than the defaults, and on which hosts: reports repeat them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provmode.ccm.policy import Lowered, Policy
from provmode.connector.host_data import lowered_by
from provmode.fleet.inventory import Fleet
from provmode.fleet.visit import short


@dataclass(frozen=True)
class LoweredOn:
    """A setting that protects less than its default, and the hosts that have it."""

    setting: Lowered
    hosts: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the setting and its hosts (contract)."""
        setting = self.setting
        return {"setting": setting.setting, "value": setting.value, "says": setting.says, "hosts": list(self.hosts)}


def lowered_in(fleet: Fleet, names: Sequence[str], policies: Mapping[str, Policy]) -> list[LoweredOn]:
    """Return the settings of the hosts *names* that protect less than the defaults, the most frequent first."""
    hosts: dict[Lowered, list[str]] = {}
    of_policy: dict[int, tuple[Lowered, ...]] = {}  # hosts with the same data share a policy
    for name in names:
        policy = policies[name]
        if id(policy) not in of_policy:
            of_policy[id(policy)] = policy.lowered
        for setting in (*of_policy[id(policy)], *lowered_by(fleet.data_of(name))):
            hosts.setdefault(setting, []).append(short(name))
    found = [LoweredOn(setting, tuple(members)) for setting, members in hosts.items()]
    return sorted(found, key=lambda item: -len(item.hosts))
