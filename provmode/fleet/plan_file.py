"""A plan as a file: what was seen, what would change on which host, who made it, until when, and a signature over all.

The schema is ``docs/plan.schema.json`` (``"version": 1``). The signature is over the canonical JSON of everything else
but approvals, with the author's own key, or with a shared one: without it nobody can have changes made.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from provmode.atomic_file import write_output
from provmode.ccm.policy import Policy
from provmode.ccm.verdict import Verdict
from provmode.connector.host_data import KEYS, SITE
from provmode.connector.sources.found import FoundHost
from provmode.errors import UsageError
from provmode.fields import object_schema
from provmode.fleet.approvals import FIELD, Approval, Approving, PlanRefused, approvals_in, check_approvals
from provmode.fleet.change_number import is_change
from provmode.fleet.key_files import read_key
from provmode.remediation.steps import CLIENT, KINDS, About, Step, step_from_json
from provmode.signing.canonical import KeyTwice, canonical, each_key_once
from provmode.signing.key_text import shared
from provmode.signing.keys import PLAN, Given, Key, Keys
from provmode.text import json_text

__all__ = [
    "KEY_ENVIRONMENT",
    "MadeFrom",
    "Plan",
    "PlanRefused",
    "PlannedHost",
    "as_text",
    "key_from",
    "load",
    "read",
    "sign",
    "step_schema",
    "write",
]
FORMAT, VERSION = "provmode-plan", 1
KEY_ENVIRONMENT = "PROVMODE_PLAN_KEY"
_NOT_SIGNED = frozenset({"signature", FIELD})
"""Fields that the author's signature does not cover."""
AHEAD = timedelta(minutes=5)
"""How far the clock of the controller that made a plan may be ahead of ours."""


@dataclass(frozen=True)
class PlannedHost:
    """One host's part of a plan."""

    name: str
    """Its name in the inventory, with the connector."""
    verdict: str
    reason: str
    fingerprint: str | None
    """``None`` if the host could not be assessed."""
    steps: tuple[Step, ...]
    left_alone: str
    policy: Policy
    """The policy that the plan was made with."""
    document: Mapping[str, Any]
    """Everything that the plan says about the host."""

    @property
    def host(self) -> str:
        """Its name without the connector."""
        return self.name.rpartition("/")[2]

    @property
    def about(self) -> About:
        """What its steps are for; the client, if they are not all for one thing."""
        kinds = {step.about for step in self.steps}
        return kinds.pop() if len(kinds) == 1 else CLIENT


@dataclass(frozen=True)
class MadeFrom:
    """The hosts of a list, a table or a directory that a plan was made from."""

    again: bool
    """Whether the inventory can be read again. If not, `apply` takes the hosts from here."""
    hosts: tuple[FoundHost, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the field ``made_from`` of a plan."""
        return {"again": self.again, "hosts": [_kept(host) for host in self.hosts]}


def _kept(host: FoundHost) -> dict[str, Any]:
    """Return what a plan keeps of a host: no password."""
    data = {key: value for key, value in host.data.items() if key != "winrm_password"}
    return {
        "name": host.full_name,
        **({"groups": list(host.groups)} if host.groups else {}),
        **({"data": data} if data else {}),
    }


@dataclass(frozen=True)
class Plan:
    """A plan that was read, and whose signature was checked."""

    id: str
    inventory: str
    created: datetime
    expires: datetime
    by: str
    hosts: tuple[PlannedHost, ...]
    signed: bool
    document: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Everything that the plan says."""
    made_from: MadeFrom | None = None
    """The hosts that it was made from, if the inventory was no program."""
    author: Key | None = None
    """The key that signed it; ``None`` if it is not signed, or was read without a key."""
    approvals: tuple[Approval, ...] = ()
    change: str = ""
    """Number of the change that it is part of; empty if nobody named one."""

    @property
    def changing(self) -> tuple[PlannedHost, ...]:
        """Hosts that have something to change."""
        return tuple(host for host in self.hosts if host.steps)


def key_from(file: Path | None, environment: Mapping[str, str] = os.environ) -> Key | None:
    """Return the key: that in *file*, else the shared one in ``PROVMODE_PLAN_KEY``; ``None`` if there is no key.

    Raises:
        UsageError: the file cannot be read or used, or the key is too short.
    """
    if file is not None:
        return read_key(file)
    if KEY_ENVIRONMENT in environment:
        return shared(environment[KEY_ENVIRONMENT].encode("utf-8", "surrogateescape"))
    return None


def sign(document: dict[str, Any], key: Given) -> dict[str, Any]:
    """Return *document* with its signature; without a key the signature is ``None``.

    Raises:
        UsageError: the key is a public one.
    """
    unsigned = {name: value for name, value in document.items() if name not in _NOT_SIGNED}
    keys = Keys.of(key)
    if keys is None:
        return {**unsigned, "signature": None}
    own = keys.own or keys.trusted[0]
    return {**unsigned, "signature": {**own.header, "value": own.sign(PLAN, canonical(unsigned))}}


def as_text(document: Mapping[str, Any]) -> str:
    """Return a plan as JSON with a line for each host, so that two plans can be compared line by line."""
    hosts = ",\n".join("  " + json_text(host) for host in document["hosts"])
    fields = [
        f" {json.dumps(name)}: " + (f"[\n{hosts}\n ]" if name == "hosts" else json_text(value))
        for name, value in document.items()
    ]
    return "{\n" + ",\n".join(fields) + "\n}\n"


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a plan, whole or not at all. Only its owner can read a new one.

    Raises:
        UsageError: it cannot be written.
    """
    write_output(path, as_text(document), private=True)


def load(path: Path, key: Given, *, unsigned: bool, now: datetime, approving: Approving | None = None) -> Plan:
    """Read a plan and check that it can be applied now. *approving* says who has to have approved it, if anybody.

    Raises:
        UsageError: the file cannot be read.
        PlanRefused: it is not a plan, or it is expired, made in the future, changed, not signed with *key*, not
            approved, or of another version.
    """
    document = _document(path)
    signature = document.get("signature")
    if signature is None and not unsigned:
        raise PlanRefused(f"the plan {path} is not signed", next_step="sign plans with a key, or give --unsigned")
    author = _check_signature(path, document, signature, key) if signature is not None else None
    plan = _plan(path, document, author)
    if approving is not None and (approving.needed or approving.approvers):
        check_approvals(path, document, approving, author=author, made_by=plan.by)
    if plan.created - now > AHEAD:
        raise PlanRefused(
            f"the plan {path} was made at {plan.created:%Y-%m-%d %H:%M UTC}, and here it is {now:%Y-%m-%d %H:%M UTC}",
            next_step="one of the two clocks is wrong: set it right, and plan anew",
        )
    if now >= plan.expires:
        raise PlanRefused(f"the plan {path} expired at {plan.expires:%Y-%m-%d %H:%M UTC}", next_step="plan anew")
    return plan


def read(path: Path, key: Given) -> Plan:
    """Read a plan to show it, whatever the time. Its signature is checked only if there is a *key*.

    Raises:
        UsageError: the file cannot be read.
        PlanRefused: it is not a whole plan, of another version, or it was changed or signed with another key.
    """
    document = _document(path)
    signed = document.get("signature") is not None and Keys.of(key) is not None
    return _plan(path, document, _check_signature(path, document, document["signature"], key) if signed else None)


def _plan(path: Path, document: dict[str, Any], author: Key | None) -> Plan:
    try:
        plan = Plan(
            id=_text(document, "id"),
            inventory=_text(document, "inventory"),
            created=_time(_text(document, "created")),
            expires=_time(_text(document, "expires")),
            by=_text(document, "by"),
            hosts=tuple(_host(host) for host in _list(document, "hosts")),
            signed=document.get("signature") is not None,
            document=document,
            made_from=_made_from(document["made_from"]) if "made_from" in document else None,
            author=author,
            approvals=approvals_in(document),
            change=_change(document["change"]) if "change" in document else "",
        )
        _each_once([host.name for host in plan.hosts])
    except KeyError as error:
        raise PlanRefused(f"{path} is not a whole plan: {error} is missing", next_step="plan anew") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise PlanRefused(f"{path} is not a whole plan: {error}", next_step="plan anew") from None
    return plan


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes(), object_pairs_hook=each_key_once)
    except OSError as error:
        raise UsageError(f"cannot read the plan {path}: {error.strerror}") from None
    except KeyTwice as error:
        raise PlanRefused(f"{path} is not a plan file ({error})", next_step="plan anew") from None
    except (ValueError, RecursionError):
        raise PlanRefused(f"{path} is not a plan file (not valid JSON)", next_step="plan anew") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise PlanRefused(f"{path} is not a plan of provmode")
    if type(document.get("version")) is not int or document["version"] != VERSION:
        raise PlanRefused(f"{path} has plan version {document.get('version')!r}; this provmode applies {VERSION}")
    return document


def _check_signature(path: Path, document: dict[str, Any], signature: Any, given: Given) -> Key:
    """Return the key that signed a plan: one of those that are given, and nothing that the plan says decides how.

    Raises:
        PlanRefused: none of them did.
    """
    keys = Keys.of(given)
    if keys is None:
        raise PlanRefused(
            f"the plan {path} is signed and there is no key to check it with",
            next_step=f"give --key-file or ${KEY_ENVIRONMENT}",
        )
    unsigned = {name: value for name, value in document.items() if name not in _NOT_SIGNED}
    header = dict(signature) if isinstance(signature, dict) else {}
    value = header.pop("value", None)
    named = keys.named(header)
    for key in named:
        if key.verify(PLAN, canonical(unsigned), value):
            return key
    others = " and ".join(name_of(key.header) for key in keys.trusted)
    if not named and isinstance(header.get("algorithm"), str) and name_of(header) not in others:
        raise PlanRefused(
            f"the plan {path} was signed with {name_of(header)}, and given is {others}",
            next_step="give the key of who made it, or plan anew",
        )
    raise PlanRefused(
        f"the signature of {path} does not fit: the plan was changed, or signed with another key",
        next_step="give the key that it was signed with, or plan anew",
    )


def name_of(header: Mapping[str, Any]) -> str:
    """Return with what something was signed, by what its signature says."""
    algorithm, key = header.get("algorithm"), header.get("key")
    return f"the key {key:.16} ({algorithm:.20})" if isinstance(key, str) else f"a shared key ({algorithm:.20})"


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text} has no offset")
    return moment.astimezone(timezone.utc)


def _host(document: Any) -> PlannedHost:
    if not isinstance(document, dict):
        raise TypeError(f"a host is {document!r:.40}, not an object")
    name = _text(document, "name")
    if not name.rpartition("/")[2]:
        raise ValueError("a host has no name")
    Verdict(_text(document, "verdict"))
    if not isinstance(document.get("facts"), dict):
        raise TypeError(f"{name}: facts is not an object")
    fingerprint = document["fingerprint"]
    if fingerprint is not None and not isinstance(fingerprint, str):
        raise TypeError(f"{name}: fingerprint is {fingerprint!r:.40}, not text")
    steps = tuple(_step(name, step) for step in _list(document, "steps"))
    if steps and fingerprint is None:
        raise ValueError(f"{name} has steps although it was not assessed")
    return PlannedHost(
        name=name,
        verdict=document["verdict"],
        reason=_text(document, "reason"),
        fingerprint=fingerprint,
        steps=steps,
        left_alone=_text(document, "left_alone"),
        policy=Policy.from_mapping(document["policy"], where=name),
        document=document,
    )


def _change(value: Any) -> str:
    if not is_change(value):
        raise ValueError(f"change is {value!r:.80}")
    return str(value)


def _made_from(document: Any) -> MadeFrom:
    if not isinstance(document, dict) or not isinstance(document.get("again"), bool):
        raise TypeError(f"made_from is {document!r:.40}")
    hosts = tuple(_kept_host(host) for host in _list(document, "hosts"))
    _each_once([host.name for host in hosts])
    return MadeFrom(document["again"], hosts)


def _kept_host(document: Any) -> FoundHost:
    if not isinstance(document, dict):
        raise TypeError(f"a host of made_from is {document!r:.40}, not an object")
    name, data, groups = _text(document, "name"), document.get("data", {}), document.get("groups", [])
    if not name.startswith("@winrm/") or "/" in name.removeprefix("@winrm/") or name == "@winrm/":
        raise ValueError(f"made_from has a host {name!r:.60}")
    if not isinstance(data, dict) or not set(data) <= (KEYS | {SITE}) - {"winrm_password"}:
        raise ValueError(f"made_from: the data of {name} has a key that no list has")
    if not isinstance(groups, list) or not all(isinstance(group, str) and group not in ("", "all") for group in groups):
        raise TypeError(f"made_from: the groups of {name} are {groups!r:.40}")
    return FoundHost(name.removeprefix("@winrm/"), data, tuple(groups))


def _step(host: str, document: Any) -> Step:
    kind = document.get("kind") if isinstance(document, dict) else None
    step = KINDS.get(kind) if isinstance(kind, str) else None
    fields = step.plan_fields if step is not None else None
    if fields is None or set(document) != {"kind", *fields}:
        raise ValueError(f"{host}: {document!r:.60} is not a step of a plan")
    for name, field in fields.items():
        if not field.accepts(document[name]):
            raise ValueError(f"{host}: {name} of the step {kind} is {document[name]!r:.60}")
    return step_from_json(document)


def step_schema() -> dict[str, Any]:
    """Return the JSON schema of a step in a plan, made from the kinds of step that a plan may have."""
    rows = []
    for step in KINDS.values():
        if step.plan_fields is not None:
            row = object_schema(step.plan_description, step.plan_fields)
            row["required"] = ["kind", *row["required"]]
            row["properties"] = {"kind": {"const": step.kind}, **row["properties"]}
            rows.append(row)
    return {
        "description": "One change of one thing: the state that it expects, and the state after it.",
        "oneOf": rows,
    }


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r:.40}, not text")
    return value


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document[name]
    if not isinstance(value, list):
        raise TypeError(f"{name} is {value!r:.40}, not a list")
    return value


def _each_once(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"it has {name} twice")
        seen.add(name)
