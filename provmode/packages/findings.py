"""Findings: the table of what can be wrong with a package, and what to do about it.

`FINDINGS` is the source of a table in ``docs/reference.md``. `lint` says what is worth knowing before a package is
shipped; what is contradictory in a file is said by whoever reads it (`provmode.packages.read`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from provmode.text import shortened


class Weight(str, Enum):
    """How much a finding weighs."""

    WRONG = "wrong"
    """The package contradicts itself, or is not what it was made as."""
    RISK = "risk"
    """It may do harm, or not do what it was made for."""
    HINT = "hint"
    """Worth knowing. It does not make a package unclean."""

    def __str__(self) -> str:
        """Return the value, so that it prints as in JSON."""
        return self.value


@dataclass(frozen=True)
class Kind:
    """A kind of finding."""

    weight: Weight
    means: str
    """What it means, for the documents."""
    to_do: str
    """What to do about it."""


_REBUILD = "build the package again from its project, and do not use this file"
_LOOK = "ask who made the package; if nobody can say, build it again from its project"

FINDINGS: Mapping[str, Kind] = {
    # what the file says of itself
    "id-differs": Kind(Weight.WRONG, "source, container and designer do not name one id", _REBUILD),
    "name-differs": Kind(Weight.WRONG, "source and container do not have one name", _REBUILD),
    "version-differs": Kind(Weight.WRONG, "source and container do not have one version", _REBUILD),
    "altitude-differs": Kind(
        Weight.WRONG, "the container is ordered by another number than owner type and rank give", _REBUILD
    ),
    "owner-unknown": Kind(
        Weight.WRONG, "Windows does not know the owner type; precedence cannot be told", "choose one of the six"
    ),
    "rank-invalid": Kind(Weight.WRONG, "the rank is no number from 0 to 99", "choose one from 0 to 99"),
    "not-signed-as-said": Kind(
        Weight.WRONG,
        "the designer was asked to sign it, and there is no signature in it",
        "sign it, or build it again without that choice; the word in it proves nothing",
    ),
    "trailing-bytes": Kind(
        Weight.WRONG, "bytes follow that belong to nothing, such as a signature that was cut loose", _LOOK
    ),
    "signature-broken": Kind(Weight.WRONG, "it is signed, and was changed after that", _REBUILD),
    "signature-malformed": Kind(Weight.WRONG, "there is a signature in it that cannot be read", _REBUILD),
    "signature-untold": Kind(
        Weight.RISK, "it is signed in a way that is not read; whether it is intact cannot be told", "sign it again"
    ),
    "signature-weak": Kind(
        Weight.RISK, "it is signed with means that can be forged", "sign it again, with SHA-256 and a key of today"
    ),
    "signature-odd": Kind(
        Weight.RISK, "its signature holds, and something about it is unusual", "look at who signed it, and with what"
    ),
    "several-sources": Kind(Weight.WRONG, "there is more than one customizations.xml in it", _REBUILD),
    # source and compiled
    "compiled-command": Kind(
        Weight.WRONG, "Windows would run a command as SYSTEM that is not in the source", f"do not add it; {_LOOK}"
    ),
    "compiled-without-source": Kind(
        Weight.WRONG,
        "a compiled file is of no setting of the source; Windows would apply it",
        f"do not add it; {_LOOK}",
    ),
    "compiled-differs": Kind(
        Weight.WRONG, "a setting is compiled to another value than it has in the source", f"do not add it; {_LOOK}"
    ),
    "compiled-missing": Kind(Weight.WRONG, "a compiled file is named in the package, and is not in it", _REBUILD),
    "compiled-unlisted": Kind(Weight.WRONG, "a compiled file is in the package, and no stage names it", _LOOK),
    "compiled-unmatched": Kind(
        Weight.HINT,
        "which setting the compiled files are of could not be told, so they were not compared",
        "compare them with the source yourself",
    ),
    "not-compiled": Kind(
        Weight.HINT,
        "no compiled file was found of a setting of the source; Windows applies only what is compiled",
        "look for it among the compiled files; if it is not there, build the package again",
    ),
    "answer-file-differs": Kind(Weight.WRONG, "the answer file in it has other settings than the source", _LOOK),
    "asset-hash-differs": Kind(Weight.WRONG, "an asset is not the file that it is named after", _REBUILD),
    "stage-unknown": Kind(
        Weight.RISK,
        "settings are in a stage that Microsoft does not describe; when they are applied cannot be told",
        "build it with the current designer",
    ),
    "target-missing": Kind(
        Weight.RISK,
        "settings refer to a target that is not in the package",
        "add the target, or take the reference out",
    ),
    "condition-unknown": Kind(
        Weight.HINT, "a condition is not in Microsoft's table; it may never hold", "check how it is written"
    ),
    "duplicate": Kind(
        Weight.RISK,
        "a setting or a member of a list is there more than once; which one holds is not documented",
        "leave one",
    ),
    "not-scanned": Kind(
        Weight.HINT,
        "not everything in it was looked through for secrets, since it is large",
        "look through what is named",
    ),
    # lint
    "secret": Kind(
        Weight.RISK,
        "a secret stands in it that whoever has the file can read; Windows keeps the file on the PC",
        "use a one-time or a low-privileged account, change the secret after the rollout, or encrypt the package",
    ),
    "secret-in-command": Kind(
        Weight.RISK,
        "a secret stands in a command line; it also stands in what Windows logs of processes",
        "let the command fetch it with the PC's own account, or give it an account that may do nothing else",
    ),
    "secret-in-file": Kind(
        Weight.RISK,
        "a secret stands in a script or another file that comes with it",
        "let the script fetch it with the PC's own account, or give it an account that may do nothing else",
    ),
    "token": Kind(
        Weight.RISK,
        "a bulk token is in it; its last day cannot be told, since the package does not say when it was made",
        "get a new token and build the package again",
    ),
    "token-dead": Kind(
        Weight.RISK,
        "the bulk token in it is over 180 days old, and no longer works",
        "get a new token and build the package again",
    ),
    "token-ends-soon": Kind(
        Weight.RISK,
        "the bulk token in it will be dead in less than 30 days",
        "get a new token and build the package again",
    ),
    "unsigned": Kind(
        Weight.HINT,
        "it is not signed; if the policy of a PC asks for a signature, Windows refuses it",
        "sign it if your PCs ask for signatures",
    ),
    "default-rank": Kind(
        Weight.HINT,
        "it has rank 0, which is the default; which of two such packages wins is not documented",
        "give each package of one owner type a rank of its own",
    ),
    "owner-loses": Kind(
        Weight.HINT,
        "its owner type is OEM; it loses to every package of owner type ITAdmin, whatever the ranks",
        "an IT department chooses ITAdmin",
    ),
    "command-result": Kind(
        Weight.HINT,
        "a command does not say which codes mean success, or that Windows has to restart",
        "set ReturnCodeSuccess and ReturnCodeRestart",
    ),
    "command-stops": Kind(
        Weight.HINT,
        "if a command fails, the commands after it are not run",
        "set ContinueInstall if they do not depend on it",
    ),
    "command-restarts": Kind(
        Weight.HINT, "a command restarts the PC, although others come after it", "let the last command restart it"
    ),
    "command-long": Kind(
        Weight.RISK, "a command line is longer than cmd.exe takes (8,191 characters)", "put it into a script"
    ),
    "command-context": Kind(
        Weight.RISK,
        "a command is in a context that Microsoft does not describe; as whom it runs cannot be told",
        "use PrimaryContext or DeviceContext",
    ),
    # several packages
    "undecided": Kind(
        Weight.RISK,
        "several packages set it to different values, and which one wins is not documented or not known",
        "give them different ranks, or set it in one of them",
    ),
    "same-version-differs": Kind(
        Weight.WRONG,
        "two files have one id and version, and differ; which of them a PC has cannot be told from these",
        "raise the version whenever a package is built again",
    ),
    "version-unclear": Kind(
        Weight.RISK, "files have one id, and which of their versions is newer cannot be told", "use numbers and dots"
    ),
    "winner-differs": Kind(
        Weight.RISK,
        "a PC has the value of another provider than the packages come to: another package, MDM, or one not given",
        "look at what that provider is, and which value is wanted",
    ),
    "winner-absent": Kind(
        Weight.RISK, "a PC has no value for a policy that a package sets", "look whether the package was applied"
    ),
}
"""Every kind of finding, by its code."""


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is worth saying of a package."""

    code: str
    """A key of `FINDINGS`."""
    text: str
    """One sentence, with what it is about."""

    @property
    def weight(self) -> Weight:
        """Return how much it weighs."""
        return FINDINGS[self.code].weight

    @property
    def to_do(self) -> str:
        """Return what to do about it."""
        return FINDINGS[self.code].to_do

    @property
    def counts(self) -> bool:
        """Return whether a package with it is not clean."""
        return self.weight is not Weight.HINT

    def to_json(self) -> dict[str, Any]:
        """Return it as ``docs/package.schema.json`` describes it."""
        return {"code": self.code, "weight": self.weight.value, "text": self.text, "to_do": self.to_do}


LONGEST_PLACE = 160
SHOWN = 20
"""Places that one sentence of a finding names."""


def places(names: Sequence[str]) -> str:
    """Return places in a line, the first few of many."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(shortened(name, LONGEST_PLACE) for name in names[:SHOWN]) + more
