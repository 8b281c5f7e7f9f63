"""The lease on one host during a run: announced in the journal, taken before the first step, released at the end."""

from __future__ import annotations

from collections.abc import Callable

from provmode.remediation.lease import Token, release, take
from provmode.transport.session import Session


class HostLease:
    """The lease on one host.

    *write* writes a line of the journal, *run_id* is the journal's. *left* says that an earlier run of this journal
    announced a lease and did not write that it released it.
    """

    def __init__(self, host: str, session: Session, write: Callable[..., None], run_id: str, *, left: bool) -> None:
        self._host, self._session, self._write, self._run_id = host, session, write, run_id
        self._announced = left
        self._token: Token | None = None

    def take(self) -> None:
        """Take it.

        Raises:
            LeaseTaken: another controller is at work on the host.
            LeaseRefused: the PC does not let it be taken.
            HostError: any other, also of *write*.
        """
        self._session.begin()
        self._token = self._session.converse(take(self._run_id, self._announce))

    def _announce(self, token: Token) -> None:
        self._write("claim-begun", host=self._host, token=str(token))
        self._announced = True

    def release(self) -> None:
        """Release it, if it was taken. If that fails, the work has not failed: the lease runs out by itself.

        Raises:
            whatever *write* raises.
        """
        if not self._announced:
            return
        self._session.read_only = False
        self._session.begin()
        try:
            released = self._session.converse(release(self._run_id, self._token))
        except Exception:  # noqa: BLE001 - what was done on the host is reported all the same; the lease stays open
            return
        if released:
            self._write("claim-released", host=self._host)
