"""What a run with an inventory would ask, and what it would leave out. No PC is asked, and no password is looked up."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provmode import __version__
from provmode.connector.host_data import (
    SAY_WHERE_THE_PASSWORD_IS,
    USER_ENVIRONMENT,
    WINRM_DATA,
    computer_meant,
)
from provmode.connector.sources.found import LeftOut
from provmode.fields import ANY_TEXT, BOOLEAN, LINES, NUMBER, TEXT, Field, object_schema, one_of
from provmode.fleet.audit import named
from provmode.fleet.inventory import Fleet, InventorySource, load
from provmode.fleet.visit import policies_of, short

FORMAT, VERSION = "provmode-inventory", 1


@dataclass(frozen=True)
class AskedHost:
    """A host that would be asked."""

    host: str
    """Its name, without the connector."""
    address: str
    port: int
    scheme: str
    transport: str
    user: str
    """The account; empty if none is given yet, or none is needed."""
    computer: str
    """The name of the PC that is meant; empty if any PC may answer."""
    read_only: bool
    groups: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the host's row (contract)."""
        return {**vars(self), "groups": list(self.groups)}


@dataclass(frozen=True)
class Asked:
    """What a run would ask."""

    inventory: str
    limit: tuple[str, ...]
    exclude: tuple[str, ...]
    hosts: tuple[AskedHost, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    @property
    def groups(self) -> dict[str, int]:
        """How many of the hosts each group has, by the group's name."""
        counted = Counter(group for host in self.hosts for group in host.groups)
        return {group: counted[group] for group in sorted(counted)}

    def to_json(self) -> dict[str, Any]:
        """Return everything, as ``docs/inventory.schema.json`` describes it (contract)."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "provmode": __version__,
            "inventory": self.inventory,
            "limit": list(self.limit),
            "exclude": list(self.exclude),
            "hosts": [host.to_json() for host in self.hosts],
            "groups": self.groups,
            "left_out": [item.to_json() for item in self.left_out],
            "notes": list(self.notes),
        }


def would_ask(
    inventory: str | InventorySource,
    *,
    limit: Sequence[str] = (),
    exclude: Sequence[str] = (),
    override: Mapping[str, Any] | None = None,
) -> Asked:
    """Return what a run with an inventory would ask; *limit* names some of its hosts, *exclude* leaves some out.

    Raises:
        UsageError: the run would end before it asks a PC. A password that is missing is no reason for it here, nor is
            a user: both can come from the environment of the run.
    """
    fleet = load(inventory, override=override)
    chosen = fleet.select(limit, exclude)
    policies_of(fleet, chosen, data_of=lambda name: _without_password(fleet, name))
    hosts = tuple(_asked(fleet, name) for name in chosen)
    left_out = (*fleet.left_out, *_not_chosen(fleet, chosen, limit))
    return Asked(named(inventory), tuple(limit), tuple(exclude), hosts, left_out, tuple(fleet.notes))


def _without_password(fleet: Fleet, name: str) -> dict[str, Any]:
    """Return a host's data with an account, so that nothing is looked up."""
    data = {key: value for key, value in fleet.data_of(name).items() if key not in SAY_WHERE_THE_PASSWORD_IS}
    return {**data, "winrm_password": "-", "winrm_user": data.get("winrm_user") or _user() or "-"}


def _user() -> str:
    return os.environ.get(USER_ENVIRONMENT, "")


def _asked(fleet: Fleet, name: str) -> AskedHost:
    data = {**{key: meta.default for key, meta in WINRM_DATA.items()}, **fleet.data_of(name)}
    host, scheme = short(name), data["winrm_scheme"]
    return AskedHost(
        host,
        address=data["winrm_address"] or host,
        port=data["winrm_port"] or (5986 if scheme == "https" else 5985),
        scheme=scheme,
        transport=data["winrm_transport"],
        user=str(data["winrm_user"] or _user()) if data["winrm_transport"] != "certificate" else "",
        computer=computer_meant(host, data),
        read_only=bool(data["winrm_read_only"]),
        groups=tuple(dict.fromkeys(fleet.groups_of[name])),
    )


def _not_chosen(fleet: Fleet, chosen: Sequence[str], limit: Sequence[str]) -> list[LeftOut]:
    """Return the hosts that ``--limit`` or ``--exclude`` leaves out."""
    left = set(chosen)
    if len(left) == len(fleet.names):
        return []
    limited = set(fleet.select(limit))
    return [
        LeftOut(short(name), "by --exclude" if name in limited else "not in --limit")
        for name in fleet.names
        if name not in left
    ]


HOST_FIELDS: Mapping[str, Field] = {
    "host": TEXT,
    "address": TEXT,
    "port": NUMBER,
    "scheme": one_of("http", "https"),
    "transport": TEXT,
    "user": ANY_TEXT,
    "computer": ANY_TEXT,
    "read_only": BOOLEAN,
    "groups": LINES,
}
LEFT_OUT_FIELDS: Mapping[str, Field] = {"what": ANY_TEXT, "why": TEXT, "place": ANY_TEXT}


def schema() -> dict[str, Any]:
    """Return the JSON schema of `Asked.to_json`."""
    host = object_schema(
        "A host that would be asked. An empty user: none is given yet, or none is needed.", HOST_FIELDS
    )
    left_out = object_schema("What could be a host of the run and is none, and why.", LEFT_OUT_FIELDS)
    fields: dict[str, Field] = {
        "format": one_of(FORMAT),
        "version": one_of(VERSION),
        "provmode": TEXT,
        "inventory": TEXT,
        "limit": LINES,
        "exclude": LINES,
        "hosts": _list_of(host),
        "groups": Field({"type": "object", "additionalProperties": dict(NUMBER.schema)}, lambda value: True),
        "left_out": _list_of(left_out),
        "notes": LINES,
    }
    body = object_schema(
        "What a run with an inventory would ask. Written by `provmode inventory show --json`. Later versions of "
        "provmode may add fields; the fields here stay what they are while `version` is 1.",
        fields,
    )
    del body["additionalProperties"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:provmode:inventory:1",
        "title": "An inventory as provmode reads it, version 1",
        **body,
    }


def _list_of(items: Mapping[str, Any]) -> Field:
    return Field({"type": "array", "items": dict(items)}, lambda value: isinstance(value, list))
