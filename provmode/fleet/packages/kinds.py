"""The table of what can be found about a PC's packages, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provmode.packages.findings import FINDINGS as OF_PACKAGES
from provmode.packages.findings import Kind, Weight
from provmode.text import SENTENCE, shortened

FINDINGS: Mapping[str, Kind] = {
    "missing": Kind(Weight.WRONG, "a package that the inventory wants is not on the PC", "add it, and look again"),
    "other-version": Kind(
        Weight.WRONG, "the PC has another version of a wanted package", "add the wanted version, and look again"
    ),
    "other-bytes": Kind(
        Weight.WRONG,
        "the PC has a file of the wanted id and version, with other bytes",
        "find out which file is the right one, and give a changed package a new version",
    ),
    "unwanted": Kind(
        Weight.WRONG, "a package that the inventory does not want is on the PC", "remove it; most settings stay"
    ),
    "version-not-told": Kind(
        Weight.RISK,
        "a wanted package was applied and its file is gone, so its version could not be told",
        "add the wanted version, and look again",
    ),
    "not-applied": Kind(
        Weight.RISK,
        "the file of a package is kept on the PC or in its image, and Windows has no result of it",
        "look for its events on the PC, then add it again",
    ),
    "failed": Kind(
        Weight.RISK, "a part of a package failed", "look up the number, and the node in Microsoft's CSP reference"
    ),
    "add-failed": Kind(
        Weight.RISK,
        "the newest event of a package says that adding, applying or removing it failed",
        "look up the number; a policy, rights, or power settings after setup are usual",
    ),
    "unsigned": Kind(
        Weight.RISK, "a policy requires signed packages, and this one is unsigned", "sign it, or remove it"
    ),
    "untrusted": Kind(
        Weight.RISK,
        "a policy requires signed packages, and the PC does not trust the signer of this one",
        "install the signer's certificate as a trusted provisioner, or remove the package",
    ),
    "tampered": Kind(Weight.WRONG, "the package is not what was signed", "remove it, and find out who changed it"),
    "secrets": Kind(
        Weight.RISK,
        "whoever can read the file can read secrets in it",
        "change these secrets, and delete the file once it was applied",
    ),
    "token-dead": Kind(
        Weight.RISK, "the token for bulk enrolment in it is dead", "make a new token, and build the package again"
    ),
    "contradiction": Kind(Weight.WRONG, "the package contradicts itself", "see `provmode package lint` of its file"),
    **{
        code: OF_PACKAGES[code]
        for code in ("same-version-differs", "version-unclear", "winner-differs", "winner-absent", "undecided")
    },
    "token-dies": Kind(
        Weight.HINT, "the token for bulk enrolment in it dies within 30 days", "make a new token in time"
    ),
    "no-file": Kind(Weight.HINT, "a package was applied and its file is gone", "nothing, if somebody deleted it"),
    "at-reset": Kind(
        Weight.HINT, "a package is applied again whenever the PC is reset", "nothing, if that is what it is for"
    ),
    "on-removable": Kind(
        Weight.HINT, "a package is on a removable drive: Windows applies it if the PC is set up now", "remove the drive"
    ),
    "not-listed": Kind(
        Weight.HINT, "a package was applied that the inventory does not name", "add it to `provmode_packages`"
    ),
    "signature-not-told": Kind(
        Weight.HINT, "whether a package is intact could not be told", "see `provmode package show` of its file"
    ),
    "service-disabled": Kind(
        Weight.HINT,
        "the service dmwappushservice, which the engine starts, is disabled, and a package was not applied",
        "set its start mode to Manual",
    ),
    "same-computer": Kind(
        Weight.HINT, "another host of the inventory is the same PC", "take one of both out of the inventory"
    ),
    "other-name": Kind(
        Weight.HINT, "the PC calls itself otherwise than the inventory does", "set `winrm_computer` to its name"
    ),
}
"""Each finding by its code."""


@dataclass(frozen=True)
class Noted:
    """Something about the packages of one host."""

    code: str
    """A key of `FINDINGS`."""
    text: str
    """What was found; the same on every host where it is the same."""
    package: str = ""
    """Its id; empty if none is known."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", shortened(self.text, SENTENCE))

    @property
    def kind(self) -> Kind:
        """What it means, and what to do."""
        return FINDINGS[self.code]

    @property
    def counts(self) -> bool:
        """Whether it makes the exit code say that something was found."""
        return self.kind.weight is not Weight.HINT

    def to_json(self) -> dict[str, Any]:
        """Return it by its fields, and how much it weighs."""
        return {
            "code": self.code,
            "weight": self.kind.weight.value,
            "text": self.text,
            "package": self.package,
            "to_do": self.kind.to_do,
        }


@dataclass(frozen=True)
class Unread:
    """Something that could not be told."""

    text: str
    cause: str
    """The cause of the `Unknown`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", shortened(self.text, SENTENCE))

    def to_json(self) -> dict[str, Any]:
        """Return both by name."""
        return dict(vars(self))
