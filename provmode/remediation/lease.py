"""The lease: a folder on the PC that says which run works on it, so that two never do at once. Pure conversations.

The folder is `FOLDER`, and only administrators can write there. It contains one more folder, named by the token of the
run that holds the lease. The lease is exclusive because creating a folder fails if the folder exists. But ``cmd.exe``
also creates missing parent folders, so if several runs clear an abandoned lease at once, two tokens can meet. So
every command line that takes the lease ends by listing the folder, and the run holds the lease only if its own token
is the only one. A run that finds another token beside its own gives way.

Exit codes are ignored, because ``rmdir`` does not always set one. Only the listing counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from provmode.errors import AnswerLost, HostError, ProvmodeError
from provmode.reading import Unknown, known
from provmode.remediation.execute import StaleStep
from provmode.windows.conversation import Conversation, Pause
from provmode.windows.system import clock
from provmode.wsman.operations import CommandLine, Completed

NAME = "provmode-claim"
"""The folder's name. It must not change: other versions of provmode look for the same folder."""
FOLDER = f"%windir%\\ccmsetup\\{NAME}"
LOOK = CommandLine(f'dir /b "{FOLDER}*" & dir /b "{FOLDER}"')
"""Asks whether the folder exists and then what is in it: for an empty folder ``dir`` answers as for a missing one."""
ABANDONED = timedelta(minutes=15)
"""A token older than this, by the PC's clock, is from a run that died."""
EMPTY_PAUSE = 2.0
"""Seconds after which a folder that is still empty is abandoned, and not just being filled by another run."""
ATTEMPTS = 6
RELEASED = "@provmode released"
LISTING = 64 * 1024
"""Bytes of a listing that are read: a folder with more in it is not ours alone."""

_TOKEN = re.compile(r"([0-9]{8}T[0-9]{6}Z)-([0-9a-f]{16})")
_TIME = "%Y%m%dT%H%M%SZ"


class LeaseTaken(StaleStep):
    """Another run works on the PC. Nothing was changed."""


class LeaseRefused(ProvmodeError):
    """The PC did not let us create the folder; the message quotes its reason. Nothing was changed."""


@dataclass(frozen=True)
class Token:
    """Which run holds the lease, and since when by the PC's clock."""

    since: datetime
    run: str
    """16 hexadecimal digits; a resumed run keeps them."""

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
class _Found:
    exists: bool
    tokens: tuple[Token, ...]


def take(run: str, announce: Callable[[Token], None] = lambda token: None) -> Conversation[Token]:
    """Take the lease for *run* and return its token. *announce* is called before anything is sent that changes the PC.

    A token of the same run is from before a crash; it is replaced by a new one.

    Raises:
        LeaseTaken: another run holds it.
        LeaseRefused: the PC refuses it.
        HostError: any other; the lease might have been taken.
    """
    reading = yield from clock()
    now = known(reading, None)
    if now is None:
        reason = reading.detail if isinstance(reading, Unknown) else "it has no clock"
        raise HostError(f"the PC's clock cannot be read: {reason}", next_step="look at the account's rights")
    own = Token(now.now.replace(microsecond=0), run)
    announce(own)
    line, refusals = _take_line(own), 0
    completed: Completed | None = None
    for _ in range(ATTEMPTS):
        completed = yield from _send(line)
        if completed is not None and _tokens(completed) == (own,):
            return own
        found = yield from _look()
        if found.exists and not found.tokens:
            yield Pause(EMPTY_PAUSE)  # another run might be between its two mkdirs
            found = yield from _look()
        if found.tokens == (own,):
            return own
        others = [token for token in found.tokens if token != own]
        alive = [token for token in others if token.run != run and abs(own.since - token.since) <= ABANDONED]
        if own in found.tokens or alive:
            if own in found.tokens:
                yield from release(run, own)
            raise _lease_taken((alive or others)[0])
        if completed is not None and (not found.exists or line == _take_line(own, found)):
            refusals += 1  # once can be chance: another run came or went between our command line and our look
        if refusals == 2:
            break
        line = _take_line(own, found)
    raise _lease_refused(completed)


def release(run: str, token: Token | None = None) -> Conversation[bool]:
    """Release the lease; return whether no token of *run* is left. Without *token* it looks first."""
    for _ in range(ATTEMPTS):
        if token is not None:
            completed = yield from _send(CommandLine(f"{_release_line(token)} && echo {RELEASED}"))
            if completed is not None and RELEASED in _lines(completed):
                return True
        found = yield from _look()
        token = next((token for token in found.tokens if token.run == run), None)
        if token is None:
            return True
    return False


# -- lines ----------------------------------------------------------------------------------------------------------


def _take_line(token: Token, found: _Found | None = None) -> CommandLine:
    """Return the command line that removes what was *found* and takes the lease; if several send it, one gets it."""
    clear = ""
    if found is not None and found.exists:
        remove_tokens = "".join(f'rmdir "{FOLDER}\\{old}" && ' for old in found.tokens)
        clear = f'{remove_tokens}rmdir "{FOLDER}" && '
    return CommandLine(f'{clear}mkdir "{FOLDER}" && mkdir "{FOLDER}\\{token}" && dir /b "{FOLDER}"')


def _release_line(token: Token) -> str:
    return f'rmdir "{FOLDER}\\{token}" && rmdir "{FOLDER}"'


def _send(line: CommandLine) -> Conversation[Completed | None]:
    """Send a command line; ``None`` if its answer was lost: the line might have run, or might still run."""
    try:
        completed: Completed = yield line
    except AnswerLost:
        return None
    return completed


def _look() -> Conversation[_Found]:
    completed: Completed = yield LOOK
    return _Found(NAME in _lines(completed), _tokens(completed))


def _lines(completed: Completed) -> list[str]:
    return [line.strip() for line in completed.stdout[:LISTING].decode("utf-8", "replace").splitlines()]


def _tokens(completed: Completed) -> tuple[Token, ...]:
    return tuple(token for line in _lines(completed) if (token := Token.parse(line)) is not None)


def _lease_taken(token: Token) -> LeaseTaken:
    since = token.since.strftime("%Y-%m-%d %H:%M:%S")
    return LeaseTaken(
        f"another controller is at work on it since {since} UTC by its clock (lease {token})",
        next_step="apply again when it is done",
    )


def _lease_refused(completed: Completed | None) -> LeaseRefused:
    reason = " ".join(completed.stderr.decode("utf-8", "replace").split()) if completed is not None else ""
    return LeaseRefused(
        f"{FOLDER} could not be made: {reason or 'the PC did not say why'}",
        next_step="look at the account's rights there, and at what is in the way",
    )
