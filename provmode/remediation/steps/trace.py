"""Steps that remove what provmode itself left on a PC, and nothing else.

A plan can be edited by whoever has it, so each of these steps names one of a few fixed places: files beside a
`MobileClient.TCF` whose extension is provmode's, files that were put on the PC to be added, the exit guard, and the
folder of the lease.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provmode.ccm.client import TCF_PATHS
from provmode.errors import AnswerLost
from provmode.fields import ANY_TEXT, DIGEST, Field, matching
from provmode.remediation.exit_guard import GUARD_KEY, GUARD_VALUE
from provmode.remediation.lease_folder import FOLDER
from provmode.remediation.lease_folder import look as look_there
from provmode.remediation.steps.base import (
    ALREADY,
    CHANGED,
    TRACES,
    About,
    Announce,
    Look,
    Property,
    Step,
    Work,
    no_look,
    not_proved,
    register,
    stale,
)
from provmode.remediation.steps.file import SetFile
from provmode.remediation.steps.registry import SetRegistryValue
from provmode.remediation.uploads import FOLDER as UPLOADS
from provmode.windows.file_changes import delete_file
from provmode.windows.files import StaleFile, file_hash, read_file, sha256
from provmode.windows.registry import RegistryData, ValueType
from provmode.wsman import Operation

TRACE_PATH = matching(rf"(?:{'|'.join(map(re.escape, TCF_PATHS))})\.provmode-(?:backup|replaced|[0-9a-f]{{32}})")
"""A file that provmode left beside a `MobileClient.TCF`."""
UPLOAD_PATH = matching(re.escape(f"{UPLOADS}\\provmode-") + r"[0-9a-f]{64}\.(?:ppkg|cer)(?:\.provmode-[0-9a-f]{32})?")
"""A package or certificate that provmode put on a PC, or half of one."""
TOKEN = matching("(?:[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16})?")


@register
@dataclass(frozen=True)
class DeleteTrace(Step):
    """A file that provmode left beside a `MobileClient.TCF` is deleted; its bytes go into the journal."""

    kind: ClassVar[str] = "trace-file"
    plan_fields: ClassVar[Mapping[str, Field]] = {"path": TRACE_PATH, "before": DIGEST}
    plan_description = "A file that provmode left beside a MobileClient.TCF is deleted."
    about: ClassVar[About] = TRACES
    in_words = "compare-and-delete by the static script; the bytes go into the journal"
    path: str
    before: str
    """SHA-256 of the file that was seen."""

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the file."""
        return (Property(self.path, f"SHA-256 {self.before[:12]}", "absent"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Nothing that could be pasted: a static script gets the path on its standard input."""
        return ()

    @property
    def undo(self) -> SetFile | None:
        """The file as it was; its bytes are in the journal."""
        return SetFile(self.path, None, self.before)

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Delete the file, if it is still the file that was seen."""
        current = yield from read_file(self.path)
        if current is None:
            return ALREADY
        if sha256(current) != self.before:
            raise stale(self.path, "what it was", "another file")
        announce(current)
        try:
            yield from delete_file(self.path, expected=self.before)
        except (AnswerLost, StaleFile):
            pass  # read back below: our own request can have arrived twice
        if (yield from file_hash(self.path)) is not None:
            raise not_proved(self.path, "absent", "a file")
        return CHANGED


@register
@dataclass(frozen=True)
class DeleteUpload(Step):
    """A package or certificate that was left on the PC is deleted. It may hold secrets, so its bytes go nowhere."""

    kind: ClassVar[str] = "trace-upload"
    plan_fields: ClassVar[Mapping[str, Field]] = {"path": UPLOAD_PATH, "before": DIGEST}
    plan_description = "A package or certificate that provmode put on the PC, and that was left there, is deleted."
    about: ClassVar[About] = TRACES
    in_words = "compare-and-delete by the static script; the bytes go into no journal, because they may hold secrets"
    path: str
    before: str
    """SHA-256 of the file that was seen."""

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the file."""
        return (Property(self.path, f"SHA-256 {self.before[:12]}", "absent"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Nothing that could be pasted: a static script gets the path on its standard input."""
        return ()

    @property
    def undo(self) -> Step | None:
        """Nothing: nobody needs it back."""
        return None

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Delete the file, if it is still the file that was seen."""
        there = yield from file_hash(self.path)
        if there is None:
            return ALREADY
        if there != self.before:
            raise stale(self.path, "what it was", "another file")
        announce(None)
        try:
            yield from delete_file(self.path, expected=self.before)
        except (AnswerLost, StaleFile):
            pass  # read back below: our own request can have arrived twice
        if (yield from file_hash(self.path)) is not None:
            raise not_proved(self.path, "absent", "a file")
        return CHANGED


@register
@dataclass(frozen=True)
class RemoveGuard(Step):
    """The exit guard is removed; see `provmode.remediation.exit_guard`."""

    kind: ClassVar[str] = "trace-guard"
    plan_fields: ClassVar[Mapping[str, Field]] = {"before": ANY_TEXT}
    plan_description = "The exit guard, a value of RunOnce, is removed."
    about: ClassVar[About] = TRACES
    before: str
    """The command that it runs."""

    @property
    def _value(self) -> SetRegistryValue:
        return SetRegistryValue(GUARD_KEY, GUARD_VALUE, RegistryData(ValueType.REG_SZ, self.before), None)

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the value of RunOnce."""
        return self._value.properties

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The call of StdRegProv."""
        return self._value.operations

    @property
    def undo(self) -> SetRegistryValue | None:
        """The value as it was."""
        return self._value.undo

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Delete the value, if it is still what was seen, and read back."""
        return (yield from self._value.execute(announce, data=data, look=look))


@register
@dataclass(frozen=True)
class EndLease(Step):
    """The lease that a run left when it died is ended: this run takes it over and releases it."""

    kind: ClassVar[str] = "trace-lease"
    plan_fields: ClassVar[Mapping[str, Field]] = {"token": TOKEN}
    plan_description = "The lease that a run left when it died is taken over, and released."
    about: ClassVar[About] = TRACES
    in_words = "taken over once it has not changed for 7 minutes, as every lease that a run left, and released"
    token: str
    """The name of its folder; empty if there is none."""

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the folder."""
        return (Property(FOLDER, f"lease {self.token}" if self.token else "an empty folder", "absent"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Nothing of its own: every run takes the lease over and releases it."""
        return ()

    @property
    def undo(self) -> Step | None:
        """Nothing: nobody needs it back."""
        return None

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Look whether it was taken over. The run released it itself, after its last step."""
        found = [str(token) for token in (yield from look_there()).tokens]
        if self.token and self.token in found:
            raise stale(FOLDER, "taken over by this run", f"still lease {self.token}")
        announce(None)
        return CHANGED

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> EndLease:
        """Read back the fields."""
        return cls(**fields)
