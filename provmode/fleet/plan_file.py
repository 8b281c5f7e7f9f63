"""A plan as a file: what was seen, what would change on which host, who made it, until when, and a signature over it.

The schema is ``docs/plan.schema.json`` (``"version": 1``). The signature is an HMAC-SHA256 over the canonical JSON of
everything else, with a key of the fleet's owner: who cannot sign cannot have changes made.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from provmode.errors import ProvmodeError, UsageError
from provmode.remedy.steps import Step, step_from_json

FORMAT, VERSION = "provmode-plan", 1
KEY_ENVIRONMENT = "PROVMODE_PLAN_KEY"
MINIMUM_KEY = 16
"""Bytes a key has at least."""


class PlanRefused(ProvmodeError):
    """The plan cannot be applied at all: expired, tampered with, signed with another key, or for another fleet."""


@dataclass(frozen=True)
class PlannedHost:
    """One host's part of a plan."""

    name: str
    """As the inventory has it, with its connector."""
    verdict: str
    reason: str
    fingerprint: str | None
    """``None`` where it could not be assessed."""
    steps: tuple[Step, ...]
    left_alone: str
    document: Mapping[str, Any]
    """Everything the plan says about it."""

    @property
    def host(self) -> str:
        """Its name without the connector."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Plan:
    """A plan that was read, and whose signature was looked at."""

    id: str
    inventory: str
    created: datetime
    expires: datetime
    by: str
    hosts: tuple[PlannedHost, ...]
    signed: bool

    @property
    def changing(self) -> tuple[PlannedHost, ...]:
        """Hosts that have something to change."""
        return tuple(host for host in self.hosts if host.steps)


def key_from(file: Path | None, environment: Mapping[str, str] = os.environ) -> bytes | None:
    """Return the signing key: from *file*, else from ``PROVMODE_PLAN_KEY``; ``None`` where there is none.

    Raises:
        UsageError: the file cannot be read, or the key is too short.
    """
    if file is not None:
        try:
            key = file.read_bytes().strip()
        except OSError as error:
            raise UsageError(f"cannot read the key file {file}: {error.strerror}") from None
    elif KEY_ENVIRONMENT in environment:
        key = environment[KEY_ENVIRONMENT].encode().strip()
    else:
        return None
    if len(key) < MINIMUM_KEY:
        raise UsageError(
            f"the plan key has {len(key)} bytes, under {MINIMUM_KEY}", next_step="make one: openssl rand -hex 32"
        )
    return key


def sign(document: dict[str, Any], key: bytes | None) -> dict[str, Any]:
    """Return *document* with its signature, ``None`` without a key."""
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    if key is None:
        return {**unsigned, "signature": None}
    return {**unsigned, "signature": {"algorithm": "HMAC-SHA256", "value": _mac(unsigned, key)}}


def _mac(document: Mapping[str, Any], key: bytes) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hmac.new(key, canonical.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a plan, whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"cannot write the plan {path}: {error.strerror}") from None


def load(path: Path, key: bytes | None, *, unsigned: bool, now: datetime) -> Plan:
    """Read a plan and check that it may be applied.

    Raises:
        UsageError: it cannot be read, or is no plan.
        PlanRefused: expired, tampered with, not signed with *key*, or of another version.
    """
    document = _document(path)
    signature = document.get("signature")
    if signature is None and not unsigned:
        raise PlanRefused(f"the plan {path} is not signed", next_step="sign plans with a key, or say --unsigned")
    if signature is not None:
        _check_signature(path, document, signature, key)
    try:
        plan = Plan(
            id=document["id"],
            inventory=document["inventory"],
            created=_time(document["created"]),
            expires=_time(document["expires"]),
            by=document["by"],
            hosts=tuple(_host(host) for host in document["hosts"]),
            signed=signature is not None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is no whole plan: {error}") from None
    if now >= plan.expires:
        raise PlanRefused(f"the plan {path} expired at {plan.expires:%Y-%m-%d %H:%M UTC}", next_step="plan anew")
    return plan


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the plan {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{path} is no plan: it is no JSON") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{path} is no plan of provmode")
    if document.get("version") != VERSION:
        raise PlanRefused(f"{path} has plan version {document.get('version')!r}; this provmode applies {VERSION}")
    return document


def _check_signature(path: Path, document: dict[str, Any], signature: Any, key: bytes | None) -> None:
    if key is None:
        raise PlanRefused(
            f"the plan {path} is signed and there is no key to check it with",
            next_step=f"give --key-file or ${KEY_ENVIRONMENT}",
        )
    value = signature.get("value") if isinstance(signature, dict) else None
    unsigned = {name: item for name, item in document.items() if name != "signature"}
    if not isinstance(value, str) or not hmac.compare_digest(_mac(unsigned, key).encode(), value.encode()):
        raise PlanRefused(
            f"the signature of {path} does not fit: it was changed, or signed with another key", next_step="plan anew"
        )


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text} has no offset")
    return moment.astimezone(timezone.utc)


def _host(document: dict[str, Any]) -> PlannedHost:
    return PlannedHost(
        name=document["name"],
        verdict=document["verdict"],
        reason=document["reason"],
        fingerprint=document["fingerprint"],
        steps=tuple(step_from_json(step) for step in document["steps"]),
        left_alone=document["left_alone"],
        document=document,
    )
