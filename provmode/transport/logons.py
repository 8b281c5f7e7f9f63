"""The logons of a process: one fuse for each account and password, shared by all hosts.

`LogonFuse` decides; this module lets greenlets wait for it, and carries refusals from run to run in a `Memory`.

A host waits before it takes a working turn, and keeps its place until its logon has ended. A host that has a turn
never waits for a place, so neither can wait for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gevent.event import Event

from provmode.clock import utc_now
from provmode.errors import AuthenticationFailed
from provmode.transport.logon_fuse import MOST_REFUSED, LogonFuse, has_fuse, refused_by
from provmode.transport.target import Target

RETRY_OPTION = "--retry-refused-logons"


class LogonNotTried(AuthenticationFailed):
    """The password was not tried on this PC, because others refused it."""


@dataclass(frozen=True)
class Refusals:
    """The PCs that refused an account in a row, and when the last of them did."""

    pcs: tuple[str, ...]
    at: datetime


class Memory(Protocol):
    """What outlasts a run. It never raises: what it cannot do, it says in its own way."""

    def recall(self, user: str, password: str) -> Refusals | None:
        """Return the refusals in a row at the end of the last run; ``None`` if there were none."""

    def keep(self, user: str, password: str, refusals: Refusals | None) -> None:
        """Keep the refusals in a row, in place of the earlier ones; ``None``: there are none."""


class SharedAccount(Protocol):
    """An account with its password, whose refusals count over all PCs."""

    def enter(self) -> None:
        """Wait until a logon may begin, and count it as in flight.

        Raises:
            LogonNotTried: the fuse has blown.
        """

    def check(self) -> None:
        """Raise if the fuse has blown.

        Raises:
            LogonNotTried: it has.
        """

    def leave(self) -> None:
        """Count a logon as no longer in flight."""

    def accepted(self) -> None:
        """A PC accepted the password."""

    def refused(self, pc: str) -> None:
        """A PC refused the password."""


class Account:
    """An account with its password: the fuse, who waits for it, and what is remembered of it."""

    def __init__(self, user: str, password: str, memory: Memory | None, now: Callable[[], datetime], retry: bool):
        self.user, self._password, self._memory, self._now = user, password, memory, now
        self._kept = memory.recall(user, password) if memory is not None else None
        self._last = self._kept if self._kept is not None and not retry else None
        self.fuse = LogonFuse(self._last.pcs if self._last is not None else ())
        self._decided = False
        self._changed = Event()

    def enter(self) -> None:
        """Wait until a logon may begin, and count it as in flight.

        Raises:
            LogonNotTried: the fuse has blown.
        """
        while not self.fuse.may_begin:
            self.check()
            self._changed.wait()
        self.fuse.begin()

    def check(self) -> None:
        """Raise if the fuse has blown.

        Raises:
            LogonNotTried: it has.
        """
        if self.fuse.blown:
            again = "run again" if self._memory is None else f"give {RETRY_OPTION} if it is right"
            raise LogonNotTried(
                f"not tried: {refused_by(self.fuse.refused)} ({self.user}), the last on {self._when()}",
                next_step=f"correct its password, or {again}; accounts lock",
            )

    def leave(self) -> None:
        """Count a logon as no longer in flight."""
        self.fuse.end()
        self._tell()

    def accepted(self) -> None:
        """A PC accepted the password."""
        self._decided = True
        self.fuse.accept()
        self._tell()

    def refused(self, pc: str) -> None:
        """A PC refused the password. If that blows the fuse, it is remembered at once."""
        self._decided = True
        blown_before = self.fuse.blown
        self.fuse.refuse(pc)
        self._last = Refusals(self.fuse.refused, self._now())
        self._tell()
        if self.fuse.blown and not blown_before:
            self.remember()

    def remember(self) -> None:
        """Keep the refusals in a row for the next run, if they have changed."""
        refusals = self._last if self.fuse.refused else None
        if self._memory is not None and self._decided and refusals != self._kept:
            self._memory.keep(self.user, self._password, refusals)
            self._kept = refusals

    def note(self) -> str:
        """Return one line that says when the fuse blew, by whom and how to go on; empty if it has not blown."""
        if not self.fuse.blown:
            return ""
        by = ", ".join(dict.fromkeys(self.fuse.refused[:MOST_REFUSED]))
        return (
            f"{self.user} was refused {len(self.fuse.refused)} times in a row, the last time on {self._when()} ({by}): "
            f"it is not tried on any other PC, in later runs either, until its password is another one or you give "
            f"{RETRY_OPTION}"
        )

    def _when(self) -> str:
        return f"{self._last.at:%Y-%m-%d %H:%M} UTC" if self._last is not None else "an unknown day"

    def _tell(self) -> None:
        """Wake all who wait."""
        waited_for, self._changed = self._changed, Event()
        waited_for.set()


class Logon:
    """The logons of one session to one PC. Without a fuse (*account* is ``None``) everything is allowed."""

    def __init__(self, account: Callable[[], SharedAccount] | None, pc: str) -> None:
        self._find, self._pc = account, pc
        self._account: SharedAccount | None = None
        self._entered = False

    def enter(self) -> None:
        """Wait until the password may be tried on this PC; the second time only check that it still may be.

        Raises:
            LogonNotTried: it may not: others refused it.
        """
        if self._find is None:
            return
        if self._account is None:
            self._account = self._find()
        if self._entered:
            self._account.check()
        else:
            self._account.enter()
            self._entered = True

    def accepted(self) -> None:
        """The PC accepted the password."""
        if self._account is not None:
            self._account.accepted()
        self.leave()

    def refused(self) -> None:
        """The PC refused the password."""
        if self._account is not None:
            self._account.refused(self._pc)
        self.leave()

    def leave(self) -> None:
        """Give the place to another host. A second call does nothing."""
        if self._account is not None and self._entered:
            self._entered = False
            self._account.leave()


class Logons:
    """The accounts of a process, each with its fuse. *now* is the clock, UTC."""

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._accounts: dict[tuple[str, str], Account] = {}
        self._elsewhere: Callable[[str, str], SharedAccount] | None = None
        self._memory: Memory | None = None
        self._retry = False

    def keep_elsewhere(self, account: Callable[[str, str], SharedAccount]) -> None:
        """Take accounts from *account*, of user and password: another process keeps their fuses."""
        self._elsewhere = account

    def of(self, target: Target) -> Logon:
        """Return the logons of a session to *target*."""
        credentials = target.credentials
        if not has_fuse(target.endpoint, credentials):
            return Logon(None, target.endpoint.name)
        account = self._elsewhere or self.account
        return Logon(lambda: account(credentials.user, credentials.password), target.endpoint.name)

    def account(self, user: str, password: str) -> Account:
        """Return the account of *user* with *password*."""
        key = (user.casefold(), password)
        if key not in self._accounts:
            self._accounts[key] = Account(user, password, self._memory, self._now, self._retry)
        return self._accounts[key]

    def forget(self) -> None:
        """Forget all accounts of this process; a memory keeps what it has."""
        self._accounts.clear()

    @contextmanager
    def remembering(self, memory: Memory, *, retry: bool = False) -> Iterator[None]:
        """Begin with the refusals of earlier runs, and keep those of this one. *retry*: try refused passwords again."""
        self.forget()
        self._memory, self._retry = memory, retry
        try:
            yield
        finally:
            for account in self._accounts.values():
                account.remember()
            self._memory, self._retry = None, False

    def notes(self) -> list[str]:
        """Return a line about each fuse that has blown."""
        return [note for account in self._accounts.values() if (note := account.note())]


PROCESS = Logons()
"""The logons of this process: every host that the connector reaches shares them."""

SAYING: list[Callable[[], list[str]]] = [PROCESS.notes]
"""Who has something to say about the logons of this process; Kerberos' tickets join once they are used."""


def notes() -> list[str]:
    """Return what is to be said about the logons of this process, a line each."""
    return [note for say in SAYING for note in say()]
