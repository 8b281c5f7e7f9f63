"""The lease on one PC, held through a session: taken before the first change, renewed between changes, released."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from provmode.remediation.lease import RENEW, Token, check_held, release, renew, take
from provmode.transport.session import Session
from provmode.windows.conversation import Conversation


class SessionLease:
    """The lease on one PC for the holder *by*.

    *earlier* are the tokens that are this holder's own from a run that has ended. *seconds* is a monotonic clock. Who
    has to write down a token before anything is sent overrides `announce`.
    """

    def __init__(
        self,
        by: str,
        session: Session,
        *,
        earlier: Sequence[Token] = (),
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._by, self._session, self._seconds = by, session, seconds
        self._earlier = list(earlier)
        self._announced: list[Token] = []
        self._token: Token | None = None
        self._renewed = 0.0

    @property
    def taken(self) -> bool:
        """Whether the lease was taken, and not released since."""
        return self._token is not None

    def announce(self, token: Token) -> None:
        """Remember a token of our own, before anything is sent."""
        self._announced.append(token)

    def take(self, now: datetime | None = None) -> None:
        """Take the lease. *now* is the PC's own time, if it was read a moment ago; else the PC is asked.

        Raises:
            LeaseTaken: another controller is at work on the PC.
            LeaseRefused: the PC refuses it.
            HostError: any other failure of the host.
            whatever `announce` raises.
        """
        self._session.begin()
        self._token = self._session.converse(take(self._by, self.announce, earlier=self._earlier, now=now))
        self._renewed = self._seconds()

    def renew(self) -> None:
        """Renew the lease if that is due, so that nobody takes it for abandoned.

        Raises:
            LeaseLost: somebody took it over.
            HostError: any other failure of the host.
            whatever `announce` raises.
        """
        waited = self._seconds() - self._renewed
        if self._token is None or waited < RENEW:
            return
        new = Token(self._token.since + timedelta(seconds=int(waited)), self._by)
        self.announce(new)
        self._session.begin()
        self._token = self._session.converse(renew(self._token, new))
        self._renewed = self._seconds()

    def look(self) -> Conversation[None]:
        """Look whether the lease is still held, by this holder alone.

        Raises:
            LeaseLost: it is not.
        """
        yield from check_held(*self._announced)

    def release(self) -> bool | None:
        """Release the lease; return whether that succeeded, or ``None`` if it was never announced.

        A failure of the host is not raised: the lease is abandoned then. It is not tried again.
        """
        tokens = [*self._earlier, *self._announced]
        if not tokens:
            return None
        self._earlier, self._announced, self._token = [], [], None
        self._session.read_only = False
        self._session.begin()
        try:
            return self._session.converse(release(*tokens))
        except Exception:  # noqa: BLE001 - the work on the host is done and reported all the same
            return False
