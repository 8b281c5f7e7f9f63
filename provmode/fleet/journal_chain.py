"""The lines of a journal as a chain: what stands in the file, the hash of each line, and who signed it.

Each line has the hash of the line before it (``prev``) and its own (``hash``). Without a key that is a SHA-256, which
everybody can compute. A shared key makes it an HMAC. A key of Ed25519 signs the SHA-256 (``signature``).

Each run, resume and undo begins a section with a line that says which key signs it (``key``; of a shared key nothing).
So who resumes another's run, or undoes it, signs with a key of his own. Whoever reads has to have the key of every
section. What a section says of its key only finds it among those that were given.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provmode.errors import UsageError
from provmode.signing.keys import ED25519, HMAC, JOURNAL, Key, Keys

FIRST = "0" * 64
"""``prev`` of the first line."""
BEGINS = frozenset({"run-begun", "run-resumed", "undo-begun"})
"""Events of the first line of a section."""


class JournalDamaged(UsageError):
    """A line was changed, is missing, or was not written by provmode; the message says which."""


class KeyMissing(JournalDamaged):
    """A run was signed with a key that was not given, or all of it was changed."""


def encoded(line: dict[str, Any]) -> bytes:
    """Return a line as it stands in the file, without its end."""
    return json.dumps(line, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")


def sealed(line: dict[str, Any], key: Key | None) -> dict[str, Any]:
    """Return a line with its hash and, if the key is one of Ed25519, its signature."""
    digest = _digest(line, key)
    if key is None or key.algorithm == HMAC:
        return {**line, "hash": digest}
    return {**line, "hash": digest, "signature": key.sign(JOURNAL, digest.encode("ascii"))}


def _digest(line: dict[str, Any], key: Key | None) -> str:
    if key is None or key.algorithm != HMAC:
        return hashlib.sha256(encoded(line)).hexdigest()
    return key.sign(JOURNAL, encoded(line))


@dataclass(frozen=True)
class Section:
    """By what the lines of one section are checked."""

    algorithm: str = ""
    """Empty: it is not signed."""
    name: str = ""
    """The fingerprint of its key, if it is one of Ed25519."""
    key: Key | None = None
    """``None``: it is not signed, or is read without the key that could prove it."""

    def fits(self, line: dict[str, Any], digest: Any, signature: Any) -> bool:
        """Return whether *digest* and *signature* are those of a line."""
        if self.algorithm == HMAC:
            return self.key is None or self.key.verify(JOURNAL, encoded(line), digest)
        if not isinstance(digest, str):
            return False
        ours = hashlib.sha256(encoded(line)).hexdigest()
        if not hmac.compare_digest(digest.encode("utf-8", "surrogatepass"), ours.encode()):
            return False
        return self.algorithm != ED25519 or self.key is None or self.key.verify(JOURNAL, ours.encode(), signature)


def is_signed(whole: bytes) -> bool:
    """Return whether the first line says that the journal is signed; the hashes prove that line too."""
    try:
        first = json.loads(whole.partition(b"\n")[0])
    except (ValueError, RecursionError):
        first = None
    return isinstance(first, dict) and first.get("signed") is True


def checked_lines(
    path: Path, whole: bytes, keys: Keys | None, *, unchecked: bool = False
) -> Iterator[tuple[int, dict[str, Any], Section]]:
    """Yield number, content and section of each line; *unchecked*: a signed one without what only a key can prove.

    Raises:
        JournalDamaged: a line was changed, added or removed, or signed with a key that was not given.
    """
    signed, section, last = is_signed(whole), Section(), FIRST
    for number, data in enumerate(whole.split(b"\n")[:-1], 1):
        try:
            line = json.loads(data)
            prev, event, digest = line["prev"], line.get("event"), line.pop("hash")
            if signed and event in BEGINS:
                section = _section(path, number, line, digest, keys, unchecked=unchecked)
            if signed and not section.algorithm:
                raise ValueError("the first line of a signed journal begins no run")
            signature = line.pop("signature") if section.algorithm == ED25519 else None
        except JournalDamaged:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise JournalDamaged(f"{path}, line {number}: it was not written by provmode") from None
        whole_line = {**line, "hash": digest, **({} if signature is None else {"signature": signature})}
        if not section.fits(line, digest, signature) or data != encoded(whole_line):
            if number == 1 and section.algorithm == HMAC and not _fits_any(whole, section):
                raise KeyMissing(
                    f"the key fits no line of {path}: it was signed with another key, or all of it was changed",
                    next_step="give the key that the plan was signed with",
                )
            raise JournalDamaged(f"{path}, line {number}: it was changed")
        if prev != last:
            raise JournalDamaged(
                f"{path}, line {number}: it does not follow the line before it: a line was changed, added or removed"
            )
        last = digest
        yield number, whole_line, section


def _section(
    path: Path, number: int, line: dict[str, Any], digest: Any, keys: Keys | None, *, unchecked: bool
) -> Section:
    """Return the section that a line begins, with the key among those given that it names.

    Raises:
        JournalDamaged: it is not signed although the journal is, or its key was not given.
    """
    if line.get("signed") is not True:
        raise JournalDamaged(f"{path}, line {number}: a run that is not signed, in a journal that is")
    name = line.get("key")
    header = {"algorithm": HMAC} if name is None else {"algorithm": ED25519, "key": name}
    found = keys.named(header) if keys is not None else []
    if not found and not unchecked:
        words = "a shared key" if name is None else f"the key {name!s:.16}"
        raise KeyMissing(
            f"{path}, line {number}: this run was signed with {words}, which was not given",
            next_step="give the key of the plan" if name is None else "give the public key of who made this run",
        )
    if name is None:  # shared keys have no name: of several the one that fits
        found.sort(key=lambda key: not key.verify(JOURNAL, encoded(line), digest))
    return Section(header["algorithm"], "" if name is None else str(name), found[0] if found else None)


def _fits_any(whole: bytes, section: Section) -> bool:
    """Return whether one of the lines, as it stands in the file, was signed with the key of a section."""
    for data in whole.split(b"\n"):
        try:
            line = json.loads(data)
            if section.fits(line, line.pop("hash"), None):
                return True
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return False
