"""The lease on one host during a run: announced in the journal, taken before the first step, released at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from typing_extensions import override

from provmode.connector.session_lease import SessionLease
from provmode.remediation.lease import Token, holder
from provmode.transport.session import Session


class HostLease(SessionLease):
    """The lease on one host.

    *write* writes a line of the journal, and *run_id* is the journal's. *earlier* are the tokens that an earlier run
    announced in the journal and is not known to have released: that run has ended, so they are this host's own.
    *seconds* is a monotonic clock. Whatever *write* raises, `take`, `renew` and `release` raise.
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
        tokens = [token for token in map(Token.parse, earlier) if token is not None]
        super().__init__(holder(run_id, host), session, earlier=tokens, seconds=seconds)
        self._host, self._write = host, write

    @override
    def announce(self, token: Token) -> None:
        self._write("claim-begun", host=self._host, token=str(token))
        super().announce(token)

    @override
    def release(self) -> bool | None:
        released = super().release()
        if released:
            self._write("claim-released", host=self._host)
        return released
