"""The lease on one host during a run: announced in the journal, taken before the first step, released at the end."""

from __future__ import annotations

from collections.abc import Callable

from provmode.remediation.lease import Token, release, take
from provmode.transport.session import Session


class HostLease:
    """The lease on one host.

    *write* writes a line of the journal, and *run_id* is the journal's. *open_lease* says that the journal of an
    earlier run announces a lease and does not say that it was released.
    """

    def __init__(
        self, host: str, session: Session, write: Callable[..., None], run_id: str, *, open_lease: bool
    ) -> None:
        self._host, self._session, self._write, self._run_id = host, session, write, run_id
        self._announced = open_lease
        self._token: Token | None = None

    def take(self) -> None:
        """Take the lease.

        Raises:
            LeaseTaken: another controller is at work on the host.
            LeaseRefused: the PC refuses it.
            HostError: any other failure of the host.
            whatever *write* raises.
        """
        self._session.begin()
        self._token = self._session.converse(take(self._run_id, self._announce))

    def _announce(self, token: Token) -> None:
        self._write("claim-begun", host=self._host, token=str(token))
        self._announced = True

    def release(self) -> None:
        """Release the lease, if it was taken. A failure of the host is ignored: the lease expires by itself.

        Raises:
            whatever *write* raises.
        """
        if not self._announced:
            return
        self._session.read_only = False
        self._session.begin()
        try:
            released = self._session.converse(release(self._run_id, self._token))
        except Exception:  # noqa: BLE001 - the work on the host is done and reported all the same
            return
        if released:
            self._write("claim-released", host=self._host)
