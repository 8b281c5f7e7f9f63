"""The lease: a folder on the PC that says who works on it, so that two never do at once. Pure conversations.

The folder is `FOLDER`, and only administrators can write there. It contains one more folder, named by the token of who
holds the lease: one host's record in one run, or in one resume of a run (`holder`).

* The lease is exclusive because creating a folder fails if the folder exists. But ``cmd.exe`` also creates missing
  parent folders, so if several runs clear an empty lease at once, two tokens can meet. So every command line that
  takes the lease ends by listing the folder, and the lease is held only if one's own token is the only one there. Who
  finds another token beside the own gives way.
* A lease is taken over by renaming its token to one's own: of several that rename one folder only one succeeds, and
  there is no moment without a token. A resume takes over the tokens that its journal announced, and no other, without
  waiting.
* The token of somebody else is abandoned if it is old by the PC's clock, which may jump, **and** did not change while
  we watched it for `WATCH` seconds of our own. Who works renews the token more often than that.

Exit codes are ignored, because ``rmdir`` does not always set one. Only the listing counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from provmode.errors import AnswerLost, HostError, ProvmodeError
from provmode.reading import Unknown, known
from provmode.remediation.execute import StaleStep
from provmode.remediation.lease_folder import FOLDER, Found, look
from provmode.remediation.lease_folder import LOOK as LOOK
from provmode.remediation.lease_folder import NAME as NAME
from provmode.remediation.lease_folder import Token as Token
from provmode.remediation.lease_folder import lines as lines_of
from provmode.remediation.lease_folder import tokens as tokens_in
from provmode.windows.conversation import Conversation, Pause
from provmode.windows.system import clock
from provmode.wsman.operations import CommandLine, Completed

ABANDONED = timedelta(minutes=15)
"""A token older than this, by the PC's clock, may be from a run that died: it is watched."""
WATCH = 420.0
"""Seconds for which the token of somebody else must not change before it is taken over. Who works renews it before each
step, and a step lasts less: the host deadline, and its pauses of twice two minutes."""
WATCH_LOOKS = 7
RENEW = 60.0
"""Seconds after which the holder renews its token before the next step."""
EMPTY_PAUSE = 2.0
"""Seconds after which a folder that is still empty is abandoned, and not just being filled by another run."""
ATTEMPTS = 6
RELEASED = "@provmode released"


class LeaseTaken(StaleStep):
    """Another run works on the PC. Nothing was changed."""


class LeaseLost(StaleStep):
    """Another run took the lease over while we worked. Nothing more is changed."""


class LeaseRefused(ProvmodeError):
    """The PC did not let us create the folder; the message quotes its reason. Nothing was changed."""


def holder(run: str, host: str) -> str:
    """Return who holds the lease on *host* in *run*, for its token: 16 hexadecimal digits."""
    return hashlib.sha256(f"{run}\n{host}".encode()).hexdigest()[:16]


def take(
    by: str,
    announce: Callable[[Token], None] = lambda token: None,
    *,
    earlier: Sequence[Token] = (),
    now: datetime | None = None,
) -> Conversation[Token]:
    """Take the lease for the holder *by* and return its token. *announce* is called before anything changes the PC.

    *earlier* are the tokens that were announced before a crash. One of them is taken over without waiting. *now* is the
    PC's own time, if the caller knows it; without it the PC is asked.

    Raises:
        LeaseTaken: somebody else holds it.
        LeaseRefused: the PC refuses it.
        HostError: any other; the lease might have been taken.
    """
    since = now if now is not None else (yield from _time())
    own = Token(since.replace(microsecond=0), by)
    announce(own)
    line, refusals = _take_line(own), 0
    completed: Completed | None = None
    for _ in range(ATTEMPTS):
        completed = yield from _send(line)
        if completed is not None and tokens_in(completed) == (own,):
            return own
        found = yield from look()
        if found.exists and not found.tokens:
            yield Pause(EMPTY_PAUSE)  # another run might be between its two mkdirs
            found = yield from look()
        if found.tokens == (own,):
            return own
        others = tuple(token for token in found.tokens if token != own)
        if own in found.tokens:
            yield from release(own)
            raise _lease_taken(others[0])
        if others and not (len(others) == 1 and others[0] in earlier):
            yield from _watch(own, others)
        tried, line = line, _take_line(own, found)
        if completed is not None and line == tried:
            refusals += 1  # once can be chance: another run came or went between our command line and our look
        if refusals == 2:
            break
    raise _lease_refused(completed)


def _time() -> Conversation[datetime]:
    """Ask the PC's own time."""
    reading = yield from clock()
    found = known(reading, None)
    if found is None:
        reason = reading.detail if isinstance(reading, Unknown) else "it has no clock"
        raise HostError(f"the PC's clock cannot be read: {reason}", next_step="look at the account's rights")
    return found.now


def _watch(own: Token, others: tuple[Token, ...]) -> Conversation[None]:
    """Return if the tokens *others* are abandoned: old by the PC's clock, and the same all the time we watch them.

    Raises:
        LeaseTaken: they are not.
    """
    young = [token for token in others if abs(own.since - token.since) <= ABANDONED]
    if young:
        raise _lease_taken(young[0])
    for _ in range(WATCH_LOOKS):
        yield Pause(WATCH / WATCH_LOOKS)
        found = yield from look()
        if set(found.tokens) != set(others):
            if not found.tokens:
                return  # it was released: try again
            raise _lease_taken(found.tokens[0])


def renew(token: Token, new: Token) -> Conversation[Token]:
    """Rename the token to *new*, which was announced, so that others see that work goes on; return the one in force.

    Raises:
        LeaseLost: the token is not there any more.
        HostError: any other.
    """
    completed = yield from _send(CommandLine(f'{_rename(token, new)} & dir /b "{FOLDER}"'))
    tokens = tokens_in(completed) if completed is not None else (yield from look()).tokens
    for ours in (new, token):
        if ours in tokens:
            return ours
    raise _lease_lost(tokens)


def check_held(*announced: Token) -> Conversation[None]:
    """Look whether the lease is still held, by one of the tokens that were *announced* and by nobody else.

    Raises:
        LeaseLost: it is not.
    """
    for pause in (EMPTY_PAUSE, EMPTY_PAUSE, None):
        found = yield from look()
        ours = [token for token in found.tokens if token in announced]
        if ours and len(found.tokens) == 1:
            return
        if not ours or pause is None:
            raise _lease_lost(found.tokens)
        yield Pause(pause)  # somebody who came too late gives way


def release(*tokens: Token) -> Conversation[bool]:
    """Release the lease; return whether none of *tokens* is left. The last of them is tried first."""
    token: Token | None = tokens[-1]
    for _ in range(ATTEMPTS):
        if token is not None:
            completed = yield from _send(CommandLine(f"{_release_line(token)} && echo {RELEASED}"))
            if completed is not None and RELEASED in lines_of(completed):
                return True
        found = yield from look()
        token = next((token for token in found.tokens if token in tokens), None)
        if token is None:
            return True
    return False


# -- lines ----------------------------------------------------------------------------------------------------------


def _take_line(token: Token, found: Found | None = None) -> CommandLine:
    """Return the command line that takes the lease over from what was *found*; if several send it, one gets it."""
    if found is not None and len(found.tokens) == 1:
        return CommandLine(f'{_rename(found.tokens[0], token)} & dir /b "{FOLDER}"')
    clear = ""
    if found is not None and found.exists:
        remove_tokens = "".join(f'rmdir "{FOLDER}\\{old}" && ' for old in found.tokens)
        clear = f'{remove_tokens}rmdir "{FOLDER}" && '
    return CommandLine(f'{clear}mkdir "{FOLDER}" && mkdir "{FOLDER}\\{token}" && dir /b "{FOLDER}"')


def _rename(token: Token, new: Token) -> str:
    return f'ren "{FOLDER}\\{token}" "{new}"'


def _release_line(token: Token) -> str:
    return f'rmdir "{FOLDER}\\{token}" && rmdir "{FOLDER}"'


def _send(line: CommandLine) -> Conversation[Completed | None]:
    """Send a command line; ``None`` if its answer was lost: the line might have run, or might still run."""
    try:
        completed: Completed = yield line
    except AnswerLost:
        return None
    return completed


def _lease_taken(token: Token) -> LeaseTaken:
    since = token.since.strftime("%Y-%m-%d %H:%M:%S")
    return LeaseTaken(
        f"another controller is at work on it since {since} UTC by its clock (lease {token})",
        next_step="apply again when it is done",
    )


def _lease_lost(found: tuple[Token, ...]) -> LeaseLost:
    by = f"lease {found[0]}" if found else "and has ended"
    return LeaseLost(f"another controller took over ({by}): its work was overtaken", next_step="plan anew")


def _lease_refused(completed: Completed | None) -> LeaseRefused:
    reason = " ".join(completed.stderr.decode("utf-8", "replace").split()) if completed is not None else ""
    return LeaseRefused(
        f"{FOLDER} could not be made: {reason or 'the PC did not say why'}",
        next_step="look at the account's rights there, and at what is in the way",
    )
