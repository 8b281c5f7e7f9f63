"""The lease on one host during a run: announced in the journal, taken before the first step, released at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from provmode.remediation.lease import RENEW, Token, check_held, holder, release, renew, take
from provmode.transport.session import Session
from provmode.windows.conversation import Conversation


class HostLease:
    """The lease on one host.

    *write* writes a line of the journal, and *run_id* is the journal's. *earlier* are the tokens that an earlier run
    announced in the journal and is not known to have released: that run has ended, so they are this host's own.
    *seconds* is a monotonic clock.
    """

    def __init__(
        self,
        host: str,
        session: Session,
        write: Callable[..., None],
        run_id: str,
        *,
        earlier: Sequence[str] = (),
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self._session, self._write, self._seconds = host, session, write, seconds
        self._holder = holder(run_id, host)
        self._earlier = [token for token in map(Token.parse, earlier) if token is not None]
        self._announced: list[Token] = []
        self._token: Token | None = None
        self._renewed = 0.0

    def take(self) -> None:
        """Take the lease.

        Raises:
            LeaseTaken: another controller is at work on the host.
            LeaseRefused: the PC refuses it.
            HostError: any other failure of the host.
            whatever *write* raises.
        """
        self._session.begin()
        self._token = self._session.converse(take(self._holder, self._announce, earlier=self._earlier))
        self._renewed = self._seconds()

    def _announce(self, token: Token) -> None:
        self._write("claim-begun", host=self._host, token=str(token))
        self._announced.append(token)

    def renew(self) -> None:
        """Renew the lease if that is due, so that nobody takes it for abandoned.

        Raises:
            LeaseLost: somebody took it over.
            HostError: any other failure of the host.
            whatever *write* raises.
        """
        waited = self._seconds() - self._renewed
        if self._token is None or waited < RENEW:
            return
        new = Token(self._token.since + timedelta(seconds=int(waited)), self._holder)
        self._announce(new)
        self._session.begin()
        self._token = self._session.converse(renew(self._token, new))
        self._renewed = self._seconds()

    def look(self) -> Conversation[None]:
        """Look whether the lease is still held, by this host's record alone.

        Raises:
            LeaseLost: it is not.
        """
        yield from check_held(*self._announced)

    def release(self) -> None:
        """Release the lease, if it was announced. A failure of the host is ignored: the lease is abandoned then.

        Raises:
            whatever *write* raises.
        """
        tokens = [*self._earlier, *self._announced]
        if not tokens:
            return
        self._session.read_only = False
        self._session.begin()
        try:
            released = self._session.converse(release(*tokens))
        except Exception:  # noqa: BLE001 - the work on the host is done and reported all the same
            return
        if released:
            self._write("claim-released", host=self._host)
