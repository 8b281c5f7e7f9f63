"""The folder of the lease on a PC: its name, its tokens, and looking into it. `lease` says how they are used. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from provmode.windows.conversation import Conversation
from provmode.wsman.operations import CommandLine, Completed

NAME = "provmode-claim"
"""The folder's name. It must not change: other versions of provmode look for the same folder."""
FOLDER = f"%windir%\\ccmsetup\\{NAME}"
LOOK = CommandLine(f'dir /b "{FOLDER}*" & dir /b "{FOLDER}"')
"""Asks whether the folder exists and then what is in it: for an empty folder ``dir`` answers as for a missing one."""
LISTING = 64 * 1024
"""Bytes of a listing that are read: a folder with more in it is not ours alone."""

_TOKEN = re.compile(r"([0-9]{8}T[0-9]{6}Z)-([0-9a-f]{16})")
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Token:
    """Who holds the lease, and since when by the PC's clock, or since when it was last renewed."""

    since: datetime
    run: str
    """16 hexadecimal digits: see `holder`. In tokens of version 0.1.0 those of the run, for all its hosts."""

    @classmethod
    def parse(cls, text: str) -> Token | None:
        """Return the token whose folder is called *text*; ``None`` if it is not a token."""
        match = _TOKEN.fullmatch(text)
        try:
            return cls(datetime.strptime(match[1], _TIME).replace(tzinfo=timezone.utc), match[2]) if match else None
        except ValueError:  # no such date
            return None

    def __str__(self) -> str:
        """Return the name of the token's folder."""
        return f"{self.since.astimezone(timezone.utc).strftime(_TIME)}-{self.run}"


@dataclass(frozen=True)
class Found:
    """What was found: whether the folder is there, and the tokens in it."""

    exists: bool
    tokens: tuple[Token, ...]


def look() -> Conversation[Found]:
    """Look into the folder."""
    completed: Completed = yield LOOK
    return Found(NAME in lines(completed), tokens(completed))


def lines(completed: Completed) -> list[str]:
    """Return the lines of a listing, without blanks around them."""
    return [line.strip() for line in completed.stdout[:LISTING].decode("utf-8", "replace").splitlines()]


def tokens(completed: Completed) -> tuple[Token, ...]:
    """Return the tokens in a listing."""
    return tuple(token for line in lines(completed) if (token := Token.parse(line)) is not None)
