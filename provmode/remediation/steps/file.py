"""Steps on files, by compare-and-swap: only the file that was seen is replaced, and it is kept beside the new one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from provmode.ccm import tcf
from provmode.ccm.client import TCF_PATHS
from provmode.ccm.model import ClientReadings, TcfFile
from provmode.errors import AnswerLost, HostError
from provmode.fields import DIGEST, LINES, TEXT, Field
from provmode.reading import Known, Unknown, known
from provmode.remediation.steps.base import (
    ALREADY,
    CHANGED,
    Announce,
    Look,
    OvertakenStep,
    Property,
    Step,
    Work,
    no_look,
    not_proved,
    register,
    stale,
)
from provmode.windows.file_changes import remove_file, swap_file
from provmode.windows.files import StaleFile, TooLarge, file_hash, read_file, sha256
from provmode.wsman import Operation

BY_SCRIPT = "compare-and-swap by the static script, the old file kept beside it"
BACKUP = "provmode-backup"


@register
@dataclass(frozen=True)
class SetFile(Step):
    """The contents of a file, by hash; ``None`` means that there is no file. The bytes are passed beside the step."""

    kind: ClassVar[str] = "file"
    in_words = BY_SCRIPT
    path: str
    before: str | None
    """SHA-256, hexadecimal."""
    after: str | None
    diff: tuple[str, ...] = ()
    """A unified diff, if both are text."""
    backup: str = BACKUP
    """Extension of the old file, which is kept: ``path.backup``."""

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the file."""
        return (Property(self.path, _hash_text(self.before), _hash_text(self.after)),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Nothing that could be pasted: a static script gets the bytes on its standard input."""
        return ()

    @property
    def undo(self) -> SetFile | None:
        """The opposite change; its bytes are in the journal."""
        return SetFile(self.path, self.after, self.before, reversed_diff(self.diff))

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Write *data*, or move the file to its backup if the step removes it."""
        wanted = data if self.after is not None else None
        if _digest(wanted) != self.after:
            raise HostError(f"{self.path}: the bytes to write are not those of the step", next_step="plan anew")
        current = yield from read_file(self.path) if self.before is not None else file_hash(self.path)
        digest = sha256(current) if isinstance(current, bytes) else current
        if digest == self.after:
            return ALREADY
        if digest != self.before:
            raise stale(self.path, "what it was", "absent" if digest is None else "another file")
        announce(current)
        if wanted is None:
            assert self.before is not None
            return (yield from _remove(self.path, self.before, self.backup))
        return (yield from _swap(self.path, wanted, self.before, self.backup))

    def text_diff(self) -> tuple[str, ...]:
        """Return the diff."""
        return self.diff

    def shown_after(self, client: ClientReadings, data: bytes | None) -> ClientReadings | None:
        """Return the client with this `MobileClient.TCF`; no other file counts for it."""
        if self.path.lower() not in {path.lower() for path in TCF_PATHS}:
            return None
        if isinstance(client.tcf, Unknown):
            return client
        others = tuple(file for file in known(client.tcf, ()) if file.path.lower() != self.path.lower())
        if self.after is None or data is None:
            return replace(client, tcf=Known(others))
        content = tcf.read(data)
        entries = tuple(entry.text for entry in content.entries)
        return replace(client, tcf=Known((*others, TcfFile(self.path, content.armed, content.encoding, entries))))

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> SetFile:
        """Read back the fields."""
        return cls(**_with_diff(fields))


@register
@dataclass(frozen=True)
class DisarmTcf(Step):
    """`MobileClient.TCF` without the entry that brings the mode back, every other byte as it was."""

    kind: ClassVar[str] = "tcf"
    plan_fields: ClassVar[Mapping[str, Field]] = {
        "path": TEXT,
        "before": DIGEST,
        "after": DIGEST,
        "encoding": TEXT,
        "diff": LINES,
    }
    plan_description = "MobileClient.TCF without the entry that brings the mode back."
    in_words = BY_SCRIPT
    path: str
    before: str
    """SHA-256 of the file that was seen."""
    after: str
    """SHA-256 of the file after the step."""
    encoding: str
    diff: tuple[str, ...]

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the entry."""
        return (Property(f"{self.path} SMSPROVISIONINGMODE", "1", "absent"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Nothing that could be pasted: a static script gets the bytes on its standard input."""
        return ()

    @property
    def undo(self) -> SetFile | None:
        """The file as it was; its bytes are in the journal."""
        return SetFile(self.path, self.after, self.before, reversed_diff(self.diff))

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Take the entry out of the file, if it is still the file that was seen."""
        try:
            current = yield from read_file(self.path, tcf.MAX_BYTES)
        except TooLarge:
            raise stale(self.path, "what it was", "another file, too large to be one") from None
        if current is not None and sha256(current) == self.after:
            return ALREADY
        if current is None or sha256(current) != self.before:
            raise stale(self.path, "what it was", "another file" if current is not None else "absent")
        edited = tcf.disarm(current)
        if sha256(edited) != self.after:
            raise stale(self.path, "edited as planned", "edited otherwise by this version of provmode")
        announce(current)
        return (yield from _swap(self.path, edited, self.before, BACKUP))

    def text_diff(self) -> tuple[str, ...]:
        """Return the diff."""
        return self.diff

    def diff_encoding(self) -> str:
        """Return the file's encoding, which stays as it is."""
        return self.encoding

    def still_done(self, client: ClientReadings) -> bool:
        """Return whether the file is not armed again."""
        return self.path not in {file.path for file in client.armed_files}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> DisarmTcf:
        """Read back the fields."""
        return cls(**_with_diff(fields))


def _swap(path: str, data: bytes, before: str | None, backup: str) -> Work:
    after = sha256(data)
    try:
        yield from swap_file(path, data, expected=before, backup=backup)
    except StaleFile:  # somebody changed it between our look and our write, or our own request arrived twice
        if (yield from file_hash(path)) == after:
            raise OvertakenStep(f"{path} was changed as planned in between", next_step="look again") from None
        raise stale(path, "what it was a moment ago", "another file") from None
    except AnswerLost:
        digest = yield from file_hash(path)
        if digest != after:
            found = "what it was before" if digest == before else "another file" if digest else "absent"
            raise not_proved(path, "what was written", found) from None
    return CHANGED


def _remove(path: str, before: str, backup: str) -> Work:
    try:
        yield from remove_file(path, expected=before, backup=backup)
    except StaleFile:
        raise stale(path, "what it was a moment ago", "another file") from None
    except AnswerLost:
        pass  # read back below
    if (yield from file_hash(path)) is not None:
        raise not_proved(path, "absent", "a file")
    return CHANGED


def _with_diff(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "diff": tuple(fields["diff"])} if "diff" in fields else fields


def _digest(data: bytes | None) -> str | None:
    return None if data is None else sha256(data)


def _hash_text(digest: str | None) -> str:
    return "absent" if digest is None else f"SHA-256 {digest[:12]}"


def reversed_diff(diff: tuple[str, ...]) -> tuple[str, ...]:
    """Return the unified diff of the opposite change; the first two lines are its head."""
    return (*diff[:2], *(_reversed_line(line) for line in diff[2:]))


def _reversed_line(line: str) -> str:
    if line.startswith("@@"):
        return re.sub(r"^@@ -(\S+) \+(\S+) @@", r"@@ -\2 +\1 @@", line)
    return {"+": "-", "-": "+"}.get(line[:1], line[:1]) + line[1:]
