"""What is known of a provisioning package. No object here holds a secret: of those only place and kind are kept.

What ``to_json`` returns is a contract: ``docs/package.schema.json`` describes it (`provmode.packages.document`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from provmode.reading import plain

if TYPE_CHECKING:
    from provmode.packages.container import Signature
    from provmode.packages.findings import Finding

OWNERS = ("Microsoft", "SiliconVendor", "OEM", "SystemIntegrator", "MobileOperator", "ITAdmin")
"""The owner types, from lowest to highest precedence."""
RANKS = range(100)
"""The ranks that a package may have."""
HIGHEST_RANKS = 1000
"""What one owner type is above the one below it, in an altitude: more than any rank."""
TOKEN_LIFE = timedelta(days=180)
"""How long a bulk token lives at most. It was obtained before the package was made."""


class Stage(str, Enum):
    """When Windows applies a setting."""

    STATIC = "static"
    """First, while Windows is set up: what cannot be done when an image is made."""
    SYSTEM = "system"
    """For the whole PC, during OOBE or when the package is added."""
    UICC = "uicc"
    """For each new SIM card."""
    UPDATE = "update"
    """After an update of Windows."""
    USER = "user"
    """For each user, at the first logon."""
    UNKNOWN = "unknown"
    """Under a name that Microsoft does not describe, or it could not be told."""

    def __str__(self) -> str:
        """Return the value, so that it prints as in JSON."""
        return self.value


class Holds(str, Enum):
    """What stands in a setting."""

    VALUE = "value"
    SECRET = "secret"  # noqa: S105 - the word itself
    """A secret, which is not kept."""
    EMPTY = "empty"
    MACRO = "macro"
    """In the place of a secret: a macro, which Windows replaces. No secret."""

    def __str__(self) -> str:
        """Return the value, so that it prints as in JSON."""
        return self.value


@dataclass(frozen=True, order=True)
class Step:
    """One name in a setting's path."""

    name: str
    identity: str = ""
    """What tells this member of a list from the others, as ``UserName=admin``; empty if it is no member of a list."""
    again: int = 0
    """How many with the same name and identity stand before it."""

    def __str__(self) -> str:
        """Return it as it is written in a path."""
        told = f"[{self.identity.replace(']', ']]')}]" if self.identity else ""
        return self.name + told + (f"#{self.again + 1}" if self.again else "")


def path_of(steps: tuple[Step, ...]) -> str:
    """Return a path as text: ``Accounts/Users/User[UserName=admin]/Password``."""
    return "/".join(map(str, steps))


@dataclass(frozen=True)
class Condition:
    """One condition of a target state."""

    name: str
    value: str

    @property
    def priority(self) -> int | None:
        """Return 0 or 1, as Microsoft's table has it; ``None`` for a name that is not in it."""
        return PRIORITIES.get(self.name.lower())

    @property
    def match(self) -> str:
        """Return how the value is compared: ``equal``, ``pattern`` (a regular expression) or ``range`` (of numbers)."""
        beginning = self.value.lower().lstrip("!")
        return next((kind for kind in ("pattern", "range") if beginning.startswith(f"{kind}:")), "equal")

    def __str__(self) -> str:
        """Return it as ``Mcc=310``."""
        return f"{self.name}={self.value}"

    def to_json(self) -> dict[str, Any]:
        """Return it as the schema describes it."""
        return {"name": self.name, "value": self.value, "priority": self.priority, "match": self.match}


PRIORITIES = {
    **dict.fromkeys(("mnc", "mcc", "spn", "pnn", "gid1", "iccid", "roaming", "uicc", "uiccslot"), 0),
    **dict.fromkeys(("processortype", "processorname", "aoac", "powerplatformrole", "socidentifier"), 1),
    **dict.fromkeys(("architecture", "server", "region", "lang"), 1),
}
"""The priority of each condition, by its name in lower case."""


@dataclass(frozen=True)
class TargetState:
    """Conditions that have to hold together."""

    target: str
    conditions: tuple[Condition, ...]

    @property
    def priority(self) -> tuple[int, int, int]:
        """Return what decides between target states that both hold: conditions of priority 0, of 1, and all."""
        found = [each.priority for each in self.conditions]
        return found.count(0), found.count(1), len(found)

    def __str__(self) -> str:
        """Return the conditions in a line."""
        return " and ".join(map(str, self.conditions)) or "no condition"


@dataclass(frozen=True)
class When:
    """When a conditional setting applies: if one of the states holds."""

    kind: str
    """``variant`` or ``profile``."""
    states: tuple[TargetState, ...]
    missing: tuple[str, ...] = ()
    """Targets that are referred to and are not in the package."""

    @property
    def priority(self) -> tuple[int, int, int]:
        """Return the highest priority of its states."""
        return max((each.priority for each in self.states), default=(0, 0, 0))

    def __str__(self) -> str:
        """Return the states in a line."""
        return " or ".join(map(str, self.states)) or "no target"

    def to_json(self) -> dict[str, Any]:
        """Return it as the schema describes it."""
        states = [{"target": state.target, "conditions": plain(state.conditions)} for state in self.states]
        return {"kind": self.kind, "states": states, "missing": list(self.missing)}


@dataclass(frozen=True)
class Setting:
    """One setting of a package."""

    steps: tuple[Step, ...]
    holds: Holds
    value: str
    """The value, with every secret in it replaced; empty if the setting is a secret."""
    stage: Stage = Stage.UNKNOWN
    source: str = ""
    """The name of the stage in the package, such as ``User_RunTime``; empty if it could not be told."""
    when: When | None = None
    """When it applies; ``None``: always."""
    masked: bool = False
    """Whether secrets were replaced in the value."""
    mark: bytes = field(default=b"", repr=False)
    """What is the same for the same whole value, secrets included, within this process only; empty if none is made."""

    @property
    def path(self) -> str:
        """Return the path as text."""
        return path_of(self.steps)

    @property
    def plain_path(self) -> str:
        """Return the path without what tells members of lists apart."""
        return "/".join(step.name for step in self.steps)

    @property
    def is_command(self) -> bool:
        """Return whether it is a part of a command."""
        return self.steps[0].name == COMMANDS

    def same_value(self, other: Setting) -> bool | None:
        """Return whether both have the same value; ``None`` if it cannot be told, since there are no marks."""
        if (self.holds, self.value, self.masked) != (other.holds, other.value, other.masked):
            return False
        if self.holds is not Holds.SECRET and not self.masked:
            return True
        return self.mark == other.mark if self.mark and other.mark else None

    def to_json(self) -> dict[str, Any]:
        """Return it as the schema describes it."""
        return {
            "path": self.path,
            "holds": self.holds.value,
            "value": None if self.holds is Holds.SECRET else self.value,
            "masked": self.masked,
            "stage": self.stage.value,
            "stage_name": self.source,
            "when": self.when.to_json() if self.when else None,
        }


COMMANDS = "ProvisioningCommands"
"""Under which commands stand."""


@dataclass(frozen=True)
class Command:
    """A command that Windows runs when it applies the package."""

    context: str
    """``DeviceContext``, ``PrimaryContext`` or another."""
    name: str
    """Its name; empty in ``DeviceContext``, which has one command."""
    order: int
    """Its place among the commands of the package, from 1."""
    line: str
    """The command line, with every secret in it replaced."""
    masked: bool
    files: tuple[str, ...] = ()
    """The files that come with it, as the author's path or name."""
    continue_install: str = ""
    restart_required: str = ""
    success_codes: str = ""
    restart_codes: str = ""
    when: When | None = None
    only_compiled: bool = False
    """Whether it stands only in what Windows applies, and not in the source."""
    mark: bytes = field(default=b"", repr=False)

    @property
    def as_system(self) -> bool | None:
        """Return whether it runs as SYSTEM; ``None`` for a context that Microsoft does not describe."""
        return True if self.context in ("DeviceContext", "PrimaryContext") else None

    def to_json(self) -> dict[str, Any]:
        """Return it as the schema describes it."""
        document = {name: value for name, value in vars(self).items() if name not in ("mark", "when")}
        return {
            **document,
            "files": list(self.files),
            "as_system": self.as_system,
            "when": self.when.to_json() if self.when else None,
        }


@dataclass(frozen=True)
class Asset:
    """A file that the package carries."""

    path: str
    """Where it is in the package."""
    name: str
    size: int
    sha256: str
    """As the package says, in hexadecimal; empty if it says none."""
    sha1: str
    """By which the container finds its content, in hexadecimal."""
    matches: bool | None = None
    """Whether its content has that SHA-256; ``None`` if the content was not read."""

    def to_json(self) -> dict[str, Any]:
        """Return it as the schema describes it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Secret:
    """A secret that whoever can read the file can read. Its value is nowhere in here."""

    place: str
    """The path of the setting, or a file of the package with the line."""
    kind: str
    """What it opens, such as ``account password``."""
    copies: tuple[str, ...] = ()
    """Where in the package it stands: ``source``, ``answer file``, ``compiled``, ``command line``, ``script``."""
    mark: bytes = field(default=b"", repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return it as the schema describes it."""
        return {"place": self.place, "kind": self.kind, "copies": list(self.copies)}


@dataclass(frozen=True)
class Token:
    """A token for bulk enrolment."""

    place: str
    dead_at: datetime | None
    """When it is dead at the latest; ``None`` if the package does not say when it was made."""

    def to_json(self) -> dict[str, Any]:
        """Return it as the schema describes it."""
        return {"place": self.place, "dead_at": plain(self.dead_at)}


@dataclass(frozen=True)
class Metadata:
    """What a package says of itself."""

    id: str
    """In lower case, with braces."""
    name: str
    version: str
    owner: str
    rank: int | None
    """``None`` if what stands there is no number."""
    notes: str = ""
    description: str = ""
    author: str = ""
    altitude: int | None = None
    """The number by which Windows orders packages, as the container says."""
    created: datetime | None = None
    modified: datetime | None = None
    designer: str = ""
    """The version of the program that made it."""
    made_by: str = ""
    """``CLI`` or ``Classic``, as that program says."""
    target_skus: str = ""
    encrypt_package: bool | None = None
    sign_package: bool | None = None
    """What the author asked for; it proves nothing."""

    @property
    def precedence(self) -> int | None:
        """Return the altitude that owner type and rank give; ``None`` if one of them is not known to Windows."""
        if self.owner not in OWNERS or self.rank not in RANKS or self.rank is None:
            return None
        return OWNERS.index(self.owner) * HIGHEST_RANKS + self.rank

    @property
    def ordered_by(self) -> int | None:
        """Return the altitude to order by; ``None`` if owner and rank give none, or the container says another."""
        if self.altitude is not None and self.altitude != self.precedence:
            return None
        return self.precedence

    def to_json(self) -> dict[str, Any]:
        """Return it as the schema describes it."""
        return {**{name: plain(value) for name, value in vars(self).items()}, "precedence": self.precedence}


@dataclass(frozen=True)
class Package:
    """A provisioning package that was read."""

    metadata: Metadata
    size: int
    files: int
    """How many files are in it."""
    settings: tuple[Setting, ...]
    commands: tuple[Command, ...]
    assets: tuple[Asset, ...]
    secrets: tuple[Secret, ...]
    tokens: tuple[Token, ...]
    stages: tuple[str, ...]
    """The names of its stages, as the package has them."""
    signature: Signature
    findings: tuple[Finding, ...]
    """What is contradictory or odd in the file itself."""

    def __str__(self) -> str:
        """Return name, version and what it is ordered by."""
        return f"{self.metadata.name or self.metadata.id} {self.metadata.version}".rstrip()

    def by_stage(self) -> Iterator[tuple[Stage, list[Setting]]]:
        """Yield the settings of each stage."""
        for stage in Stage:
            found = [each for each in self.settings if each.stage is stage]
            if found:
                yield stage, found
