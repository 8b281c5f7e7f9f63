"""One host's claim during a run: announced in the journal, taken before the first step, given back in the end."""

from __future__ import annotations

from collections.abc import Callable

from provmode.remediation.lease import Token, release, take
from provmode.transport.session import Session


class Claim:
    """The claim on one host. *write* writes a line of the journal, *run* is the journal's.

    *left* tells that an earlier run of this journal announced one and did not say that it released it.
    """

    def __init__(self, host: str, session: Session, write: Callable[..., None], run: str, *, left: bool) -> None:
        self._host, self._session, self._write, self._run = host, session, write, run
        self._announced = left
        self._token: Token | None = None

    def take(self) -> None:
        """Take it.

        Raises:
            ClaimTaken: another controller is at work on the host.
            ClaimRefused: the PC does not let it be taken.
            HostError: any other, also of *write*.
        """
        self._session.begin()
        self._token = self._session.converse(take(self._run, self._announce))

    def _announce(self, token: Token) -> None:
        self._write("claim-begun", host=self._host, token=str(token))
        self._announced = True

    def release(self) -> None:
        """Give it back, where there is one. That it cannot be is no failure of the work: in time it is abandoned.

        Raises:
            whatever *write* raises.
        """
        if not self._announced:
            return
        self._session.read_only = False
        self._session.begin()
        try:
            released = self._session.converse(release(self._run, self._token))
        except Exception:  # noqa: BLE001 - what was done on the host is reported all the same; the claim stays open
            return
        if released:
            self._write("claim-released", host=self._host)
