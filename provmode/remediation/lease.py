"""The claim: a folder on the PC that says which run is at work on it, so that no two are at once. Pure conversations.

The folder is `FOLDER`, where administrators alone can write; in it is one folder more, the token of who has it. What
makes it exclusive is that making a folder that is there already fails. cmd.exe also makes missing folders on the way,
so where several clear an abandoned claim at once two tokens can meet: every line that takes the claim ends by listing
it, and has it only where its own token is there alone. Whoever finds another beside his own gives way.

No exit code is believed, because ``rmdir`` does not always set one. What counts is what is listed.
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
FOLDER = f"%windir%\\ccmsetup\\{NAME}"
LOOK = CommandLine(f'dir /b "{FOLDER}*" & dir /b "{FOLDER}"')
"""Is there such a folder, and what is in it: of an empty one ``dir`` says the same as of none."""
ABANDONED = timedelta(minutes=15)
"""Whose token is older, by the PC's clock, has died."""
EMPTY_PAUSE = 2.0
"""Seconds after which an empty claim is no longer one that somebody is about to take."""
ATTEMPTS = 6
RELEASED = "@provmode released"

_TOKEN = re.compile(r"([0-9]{8}T[0-9]{6}Z)-([0-9a-f]{16})")
_TIME = "%Y%m%dT%H%M%SZ"


class ClaimTaken(StaleStep):
    """Another run is at work on the PC. Nothing was changed."""


class ClaimRefused(ProvmodeError):
    """The PC would not have the claim made; its own words say why. Nothing was changed."""


@dataclass(frozen=True)
class Token:
    """Who has the claim, and since when by the PC's clock."""

    since: datetime
    run: str
    """16 hexadecimal digits; a run that is gone on with has the same."""

    @classmethod
    def parse(cls, text: str) -> Token | None:
        """Return the token that *text* is the name of; ``None`` where it is none."""
        match = _TOKEN.fullmatch(text)
        try:
            return cls(datetime.strptime(match[1], _TIME).replace(tzinfo=timezone.utc), match[2]) if match else None
        except ValueError:  # such a day there is not
            return None

    def __str__(self) -> str:
        """Return the name of its folder."""
        return f"{self.since.astimezone(timezone.utc).strftime(_TIME)}-{self.run}"


@dataclass(frozen=True)
class _Found:
    there: bool
    tokens: tuple[Token, ...]


def take(run: str, record: Callable[[Token], None] = lambda token: None) -> Conversation[Token]:
    """Take the claim for *run*, and return its token. *record* is called before anything is sent that changes.

    A token of the same run is of before a crash, and is replaced by one of now.

    Raises:
        ClaimTaken: another run has it.
        ClaimRefused: the PC does not let it be taken.
        HostError: any other; it may have been taken.
    """
    reading = yield from clock()
    now = known(reading, None)
    if now is None:
        said = reading.detail if isinstance(reading, Unknown) else "it has none"
        raise HostError(f"the PC's clock cannot be read: {said}", next_step="look at the account's rights")
    mine = Token(now.now.replace(microsecond=0), run)
    record(mine)
    line, refused = _taking(mine), 0
    completed: Completed | None = None
    for _ in range(ATTEMPTS):
        completed = yield from _sent(line)
        if completed is not None and _tokens(completed) == (mine,):
            return mine
        found = yield from _look()
        if found.there and not found.tokens:
            yield Pause(EMPTY_PAUSE)  # somebody may be between the two mkdirs
            found = yield from _look()
        if found.tokens == (mine,):
            return mine
        others = [token for token in found.tokens if token != mine]
        alive = [token for token in others if token.run != run and abs(mine.since - token.since) <= ABANDONED]
        if mine in found.tokens or alive:
            if mine in found.tokens:
                yield from release(run, mine)
            raise _taken((alive or others)[0])
        if completed is not None and (not found.there or line == _taking(mine, found)):
            refused += 1  # the first time somebody may have come or gone between our line and our look
        if refused == 2:
            break
        line = _taking(mine, found)
    raise _refused(completed)


def release(run: str, token: Token | None = None) -> Conversation[bool]:
    """Give the claim back, and return whether nothing of *run* is there any more. Without *token* it looks first."""
    for _ in range(ATTEMPTS):
        if token is not None:
            completed = yield from _sent(CommandLine(f"{_leaving(token)} && echo {RELEASED}"))
            if completed is not None and RELEASED in _lines(completed):
                return True
        found = yield from _look()
        token = next((token for token in found.tokens if token.run == run), None)
        if token is None:
            return True
    return False


# -- lines ----------------------------------------------------------------------------------------------------------


def _taking(token: Token, found: _Found | None = None) -> CommandLine:
    """Return the line that takes the claim in place of what was *found*; of several that send it one has it."""
    cleared = ""
    if found is not None and found.there:
        gone = "".join(f'rmdir "{FOLDER}\\{old}" && ' for old in found.tokens)
        cleared = f'{gone}rmdir "{FOLDER}" && '
    return CommandLine(f'{cleared}mkdir "{FOLDER}" && mkdir "{FOLDER}\\{token}" && dir /b "{FOLDER}"')


def _leaving(token: Token) -> str:
    return f'rmdir "{FOLDER}\\{token}" && rmdir "{FOLDER}"'


def _sent(line: CommandLine) -> Conversation[Completed | None]:
    """Send a line; ``None`` where its answer was lost and it may have run, or may run yet."""
    try:
        completed: Completed = yield line
    except AnswerLost:
        return None
    return completed


def _look() -> Conversation[_Found]:
    completed: Completed = yield LOOK
    return _Found(NAME in _lines(completed), _tokens(completed))


def _lines(completed: Completed) -> list[str]:
    return [line.strip() for line in completed.stdout.decode("utf-8", "replace").splitlines()]


def _tokens(completed: Completed) -> tuple[Token, ...]:
    return tuple(token for line in _lines(completed) if (token := Token.parse(line)) is not None)


def _taken(token: Token) -> ClaimTaken:
    since = token.since.strftime("%Y-%m-%d %H:%M:%S")
    return ClaimTaken(
        f"another controller is at work on it since {since} UTC by its clock (claim {token})",
        next_step="apply again when it is done",
    )


def _refused(completed: Completed | None) -> ClaimRefused:
    said = " ".join(completed.stderr.decode("utf-8", "replace").split()) if completed is not None else ""
    return ClaimRefused(
        f"{FOLDER} could not be made: {said or 'the PC did not say why'}",
        next_step="look at the account's rights there, and at what is in the way",
    )
