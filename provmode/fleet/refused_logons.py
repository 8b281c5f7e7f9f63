"""Refused logons that outlast a run, in a file of the user: a nightly timer must not lock an account by patience.

The file holds who refused, and of account and password together only a slow, salted hash: neither can be read from it,
and a changed password is not found in it. Nothing here ever ends a run. What goes wrong is said by `trouble`, and the
fuse still works within the run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from provmode.fleet.state_folder import check_ours, one_writer, state_folder
from provmode.transport.logons import Refusals

FORMAT, VERSION = "provmode-refused-logons", 1
FILE = "refused-logons.json"
ROUNDS = 600_000
"""Of PBKDF2 with HMAC-SHA256: a quarter of a second for each guess."""
MOST_ACCOUNTS = 100
MOST_BYTES = 1_000_000
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading a file raises that is not there, not ours or not as we wrote it."""


class RefusedLogons:
    """The memory of refused logons in *folder*. *now* is the controller's clock, UTC. *rounds*: fewer in tests."""

    def __init__(self, folder: Path | None, *, now: Callable[[], datetime], rounds: int = ROUNDS) -> None:
        self._folder, self._now, self._rounds = folder, now, rounds
        self.trouble = "" if folder is not None else "there is no home folder: refused logons are not remembered"
        """What went wrong, in one line; empty if nothing did."""

    @classmethod
    def of_user(cls, *, now: Callable[[], datetime]) -> RefusedLogons:
        """Return the memory of the user who runs this."""
        try:
            return cls(state_folder(), now=now)
        except RuntimeError:
            return cls(None, now=now)

    def recall(self, user: str, password: str) -> Refusals | None:
        """Return the refusals in a row at the end of the last run; ``None`` if there were none."""
        if self._folder is None or not os.path.lexists(self._folder / FILE):
            return None
        try:
            document = self._read()
            entry = self._entry(document, user, password)
        except UNREADABLE as error:
            self._failed("read", error)
            return None
        return entry[1] if entry is not None else None

    def keep(self, user: str, password: str, refusals: Refusals | None) -> None:
        """Keep the refusals in a row, in place of the earlier ones; ``None``: there are none."""
        if self._folder is None:
            return
        try:
            with one_writer(self._folder):
                self._replace(user, password, refusals)
        except OSError as error:
            self._failed("written", error)

    def _replace(self, user: str, password: str, refusals: Refusals | None) -> None:
        try:
            document = self._read()
            entry = self._entry(document, user, password)
        except UNREADABLE:  # none, or not one of ours: a new one
            document, entry = {"format": FORMAT, "version": VERSION, "salt": secrets.token_hex(16), "logons": {}}, None
        logons = document["logons"]
        if entry is not None:
            del logons[entry[0]]
        elif refusals is None:
            return
        if refusals is not None:
            key = self._hash(document["salt"], user, password)
            logons[key] = {"user": user, "refused_by": list(refusals.pcs), "at": refusals.at.isoformat()}
        document["logons"] = dict(list(logons.items())[-MOST_ACCOUNTS:])
        self._write(json.dumps(document, indent=1) + "\n")

    def _entry(self, document: dict[str, Any], user: str, password: str) -> tuple[str, Refusals] | None:
        """Return key and refusals of an account. The hash is slow, so it is made only if the name stands there."""
        logons: dict[str, Any] = document["logons"]
        if not any(str(entry["user"]).casefold() == user.casefold() for entry in logons.values()):
            return None
        key = self._hash(document["salt"], user, password)
        if key not in logons:
            return None
        entry = logons[key]
        return key, Refusals(tuple(map(str, entry["refused_by"])), datetime.fromisoformat(entry["at"]))

    def _hash(self, salt: str, user: str, password: str) -> str:
        together = f"{user.casefold()}\0{password}".encode("utf-8", "surrogatepass")
        return hashlib.pbkdf2_hmac("sha256", together, bytes.fromhex(salt), self._rounds).hex()

    # -- the file -----------------------------------------------------------------------------------------------

    def _read(self) -> dict[str, Any]:
        assert self._folder is not None
        handle = os.open(self._folder / FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            check_ours(found)
            if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
                raise ValueError("it is not a file of provmode")
            document: dict[str, Any] = json.loads(file.read())
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise ValueError("it is not a file of this version of provmode")
        if not re.fullmatch("[0-9a-f]{32}", document["salt"]):
            raise ValueError("it is damaged")
        return document

    def _write(self, text: str) -> None:
        assert self._folder is not None
        handle, name = tempfile.mkstemp(prefix=".refused-", dir=self._folder)  # a new file with a random name, 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._folder / FILE)
        except BaseException:
            os.unlink(name)
            raise

    def _failed(self, what: str, error: Exception) -> None:
        assert self._folder is not None
        reason = error.strerror if isinstance(error, OSError) and error.strerror else _REASONS.get(type(error), error)
        self.trouble = (
            f"{self._folder / FILE} cannot be {what} ({reason}): refused logons are remembered only within this run"
        )


_REASONS: Mapping[type[Exception], str] = {
    **dict.fromkeys(
        (KeyError, TypeError, AttributeError, RecursionError, json.JSONDecodeError, UnicodeDecodeError), "it is damaged"
    )
}
