"""Steps about provisioning packages: one is added or removed.

Windows goes on applying a package after the command that adds it has ended. So a step ends only when Windows says what
became of the package: its file is kept, there is a result, and no part of it failed. What is still applied after two
minutes is not called done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from provmode.ccm.model import ClientReadings
from provmode.errors import AnswerLost, HostError
from provmode.fields import ANY_TEXT, DIGEST, LINES, TEXT, Field, matching
from provmode.packages.on_pc.copies import OnThisPc, copies_of
from provmode.packages.on_pc.policies import MAX_AREAS, policy_winners
from provmode.packages.preview import NOT_TAKEN_BACK
from provmode.reading import Unknown, known
from provmode.remediation.package_rules import check_newer, check_size, may_add, may_remove
from provmode.remediation.steps.base import (
    ALREADY,
    CHANGED,
    PACKAGES,
    PAUSES,
    About,
    Announce,
    Look,
    NotProved,
    Property,
    Step,
    Work,
    no_look,
    not_proved,
    register,
    stale,
)
from provmode.remediation.uploads import by_script, clean_up, uploaded, with_file
from provmode.text import one_line, shortened
from provmode.windows.conversation import Conversation, Pause
from provmode.windows.files import sha256
from provmode.windows.scripts import REMOVE_PACKAGE
from provmode.wsman import CommandLine, Completed, Operation

Read = dict[str, tuple[str, str]]
"""Id and version of packages that were read before, by the hash of their files."""
RESTART_NEEDED = 3010
"""DISM ends with it if it did what was asked and a restart has to follow (ERROR_SUCCESS_REBOOT_REQUIRED)."""
PACKAGE_ID = matching(r"\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}")
NO_OR_THUMBPRINT = matching("(?:[0-9a-f]{40})?")
_POLICY = "[A-Za-z0-9_.~-]{1,200}/[^/]{1,200}"
WINS = Field(
    {"type": "array", "items": {"type": "string", "pattern": f"^{_POLICY}$"}},
    lambda value: (
        isinstance(value, list)
        and all(isinstance(each, str) and re.fullmatch(_POLICY, each) for each in value)
        and len({each.partition("/")[0] for each in value}) <= MAX_AREAS
    ),
)


class StillApplying(NotProved):
    """The package was added, and Windows has not said yet what became of it."""


@register
@dataclass(frozen=True)
class AddPackage(Step):
    """A provisioning package is added from a file of this computer. Its bytes are passed beside the step."""

    kind: ClassVar[str] = "package-add"
    plan_fields: ClassVar[Mapping[str, Field]] = {
        "file": TEXT,
        "name": ANY_TEXT,
        "id": PACKAGE_ID,
        "version": ANY_TEXT,
        "sha256": DIGEST,
        "signer": NO_OR_THUMBPRINT,
        "before": LINES,
        "wins": WINS,
        "effects": LINES,
    }
    plan_description = "A provisioning package is added from a file of the computer that applies the plan."
    about: ClassVar[About] = PACKAGES
    file: str
    """Its file on this computer."""
    name: str
    id: str
    version: str
    sha256: str
    signer: str = ""
    """SHA-1 of the certificate that signed it; empty if it is not signed."""
    before: tuple[str, ...] = ()
    """What the PC has of the package: `OnThisPc.lines`."""
    wins: tuple[str, ...] = ()
    """Policies, as ``Area/Policy``, whose value should be the package's afterwards."""
    effects: tuple[str, ...] = ()
    """What it changes on the PC, in words."""

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the package."""
        return (Property(_called(self.name, self.id), _before(self.before), _after(self.version, self.sha256)),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The command that adds it, once its file is there."""
        return (add_command(self.sha256),)

    @property
    def source(self) -> tuple[str, str] | None:
        """The package's file."""
        return self.file, self.sha256

    @property
    def undo(self) -> Step | None:
        """Remove it. If another version was there before, nothing brings that back."""
        if self.before:
            return None
        return RemovePackage(self.name, self.id, (f"{self.version} (SHA-256 {self.sha256})", "applied"), NOT_TAKEN_BACK)

    @property
    def undo_leaves(self) -> str:
        """What a removal does not take back."""
        said = [line for line in self.effects if line.startswith("! a removal")] or NOT_TAKEN_BACK
        return "; ".join(line.removeprefix("! ") for line in said)

    def shown_after(self, client: ClientReadings, data: bytes | None) -> ClientReadings | None:
        """Return the client as it is: packages are not about it."""
        return client

    def text_diff(self) -> tuple[str, ...]:
        """Return what changes, in words."""
        return self.effects

    def diff_encoding(self) -> str:
        """Return what the lines are about."""
        return f"what {self.name or self.id} changes"

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Put the file there if the PC may have it, add the package, and read back what became of it."""
        if data is None or sha256(data) != self.sha256:
            raise HostError(f"{self.file}: its bytes are not those that were planned", next_step="plan anew")
        check_size(self.file, data)
        read: Read = {self.sha256: (self.id, self.version)}
        there: OnThisPc = yield from copies_of(self.id, read)
        if there.has(self.sha256) and there.settled:
            return ALREADY
        added_since = there.has(self.sha256) and not any(self.sha256 in line for line in self.before)
        if added_since or (there.has(self.sha256) and there.applying):
            yield from self._read_back(read)  # by an earlier request of ours, or by somebody else
            return ALREADY
        if there.lines != self.before:
            raise stale(_called(self.name, self.id), _before(self.before), _before(there.lines))
        check_newer(there, self.version)
        yield from may_add(self.signer)
        yield from look()
        announce(None)
        yield from with_file(uploaded(self.sha256), data, self._add(read))
        yield from self._read_back(read)
        return CHANGED

    def clean_up(self) -> Conversation[None]:
        """Delete the file, which may hold secrets."""
        yield from clean_up(uploaded(self.sha256), self.sha256)

    def _add(self, read: Read) -> Conversation[None]:
        """Run DISM. If its answer is lost it may still need the file: wait until Windows has kept its own."""
        if (yield from _run(add_command(self.sha256), "DISM")):
            return
        for pause in PAUSES:
            there: OnThisPc = yield from copies_of(self.id, read)
            if there.has(self.sha256):
                return
            yield Pause(pause)

    def _read_back(self, read: Read) -> Conversation[None]:
        what = _called(self.name, self.id)
        for pause in (*PAUSES, None):
            there: OnThisPc = yield from copies_of(self.id, read)
            if there.has(self.sha256) and there.settled:
                return (yield from self._wins())
            if there.failed and not there.applying:
                break
            if pause is not None:
                yield Pause(pause)
        if there.failed:
            first = there.failed[0]
            part = f"{shortened(one_line(first.name), 100)} of it"
            node = f" at {shortened(one_line(first.failing_node), 200)}" if first.failing_node else ""
            raise NotProved(
                f"{what} was added, and {part} failed: {first.hresult or 'no number'}{node}",
                next_step="look up the number and the setting, then at the PC's provisioning events",
            )
        if there.has(self.sha256):
            raise StillApplying(
                f"{what} was added and is still being applied", next_step="--resume in a while: it reads back again"
            )
        if there.lines == self.before:
            raise NotProved(
                f"{what} is {_before(there.lines)} as before, and Windows refused nothing",
                next_step="Windows skips a package whose id it applied before: build it with a higher version",
            )
        raise not_proved(what, _after(self.version, self.sha256), _before(there.lines))

    def _wins(self) -> Conversation[None]:
        """Check that policies that should be the package's are, as far as the PC tells."""
        areas = tuple(dict.fromkeys(policy.partition("/")[0] for policy in self.wins))
        if not areas:
            return
        winners = yield from policy_winners(areas)
        if isinstance(winners, Unknown):
            raise NotProved(
                f"{_called(self.name, self.id)} was added; whose policies hold could not be told: {winners.detail}",
                next_step="look at PolicyManager on the PC",
            )
        for winner in known(winners, ()):
            policy = f"{winner.area}/{winner.policy}"
            if policy.lower() in {each.lower() for each in self.wins} and winner.provider != self.id:
                raise NotProved(
                    f"{_called(self.name, self.id)} was added, and {policy} is that of {winner.provider}",
                    next_step="find out who sets it: a package of higher precedence, or a device management",
                )

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> AddPackage:
        """Read back the fields."""
        return cls(**_tuples(fields, "before", "wins", "effects"))


@register
@dataclass(frozen=True)
class RemovePackage(Step):
    """A provisioning package is removed by its id. Most of what it set stays."""

    kind: ClassVar[str] = "package-remove"
    plan_fields: ClassVar[Mapping[str, Field]] = {
        "name": ANY_TEXT,
        "id": PACKAGE_ID,
        "before": LINES,
        "effects": LINES,
    }
    plan_description = "A provisioning package is removed by its id."
    about: ClassVar[About] = PACKAGES
    in_words = "Uninstall-ProvisioningPackage, by the static script"
    name: str
    id: str
    before: tuple[str, ...]
    """What the PC has of the package: `OnThisPc.lines`."""
    effects: tuple[str, ...] = ()
    """What stays, in words."""

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the package."""
        return (Property(_called(self.name, self.id), _before(self.before), "absent"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Nothing that could be pasted: a static script gets the id on its standard input."""
        return ()

    @property
    def undo(self) -> Step | None:
        """Nothing: the package has to be added again from its file."""
        return None

    def shown_after(self, client: ClientReadings, data: bytes | None) -> ClientReadings | None:
        """Return the client as it is: packages are not about it."""
        return client

    def text_diff(self) -> tuple[str, ...]:
        """Return what stays, in words."""
        return self.effects

    def diff_encoding(self) -> str:
        """Return what the lines are about."""
        return f"what removing {self.name or self.id} leaves"

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Remove the package if it is still what was seen, and read back that it is gone."""
        read = self._known
        there: OnThisPc = yield from copies_of(self.id, read)
        if not there.lines:
            return ALREADY
        if there.lines != self.before:
            raise stale(_called(self.name, self.id), _before(self.before), _before(there.lines))
        yield from may_remove()
        yield from look()
        announce(None)
        yield from by_script(REMOVE_PACKAGE, f"removing {_called(self.name, self.id)}", id=self.id)
        for pause in (*PAUSES, None):
            there = yield from copies_of(self.id, read)
            if not there.lines:
                return CHANGED
            if pause is not None:
                yield Pause(pause)
        raise not_proved(_called(self.name, self.id), "absent", _before(there.lines))

    @property
    def _known(self) -> Read:
        found = [re.fullmatch(r"(.*) \(SHA-256 ([0-9a-f]{64})\)", line, re.DOTALL) for line in self.before]
        return {each.group(2): (self.id, each.group(1)) for each in found if each is not None}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> RemovePackage:
        """Read back the fields."""
        return cls(**_tuples(fields, "before", "effects"))


def add_command(digest: str) -> CommandLine:
    """Return the command that adds the package whose file was put there."""
    return CommandLine(f'DISM.exe /Online /NoRestart /Add-ProvisioningPackage /PackagePath:"{uploaded(digest)}"')


def _run(command: CommandLine, program: str) -> Conversation[bool]:
    """Run a command; return whether it answered. A lost answer is not a failure: the caller reads back.

    Raises:
        HostError: it failed; the message has its number.
    """
    try:
        completed: Completed = yield command
    except AnswerLost:
        return False
    if completed.exit_code not in (0, RESTART_NEEDED):
        raise HostError(
            f"{program} refused it: 0x{completed.exit_code & 0xFFFFFFFF:08X}",
            next_step="look up the number, then at the PC's provisioning events",
        )
    return True


def _called(name: str, id_: str) -> str:
    return f"package {name} {id_}" if name else f"package {id_}"


def _before(lines: Sequence[str]) -> str:
    return ", ".join(lines) if lines else "absent"


def _after(version: str, digest: str) -> str:
    return f"{version} (SHA-256 {digest}), applied"


def _tuples(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**fields, **{name: tuple(fields[name]) for name in names}}
