"""The lease on one host in a pyinfra run: each operation takes it for itself, or several share one.

pyinfra prepares all operations first and runs them later, operation by operation, and stops a host at its first
failure. So nothing here waits for a last operation to release the lease: pyinfra's callbacks say when an operation has
ended, and the connector's `disconnect` is the end of every run, also of one that was interrupted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gevent.lock import RLock
from pyinfra.api.state import BaseStateCallback
from typing_extensions import override

from provmode.connector.session_lease import SessionLease
from provmode.connector.undisturbed import undisturbed
from provmode.errors import ProvmodeError
from provmode.windows.conversation import Conversation

if TYPE_CHECKING:
    from pyinfra.api import Host, State

LEASE = "provmode_lease"
"""Key in ``host.connector_data`` under which a host's `RunLease` is kept."""

logger = logging.getLogger("pyinfra")


class RunLease:
    """The lease on one host, as long as its operations need it.

    *lease* is taken when the first step that changes the PC begins, and released when its operation has ended; for
    operations that share one (`share`, `shared`), when the last of them has ended, or one of them has failed.
    """

    def __init__(self, lease: SessionLease, host: Host, state: State) -> None:
        self._lease, self._host, self._state = lease, host, state
        self._step = RLock()
        """Held while a step is carried out, and while the lease is released: neither is left in the middle."""
        self._run_ended = False
        self._followed: dict[str, bool] = {}
        """The operations that share a lease, by their hash: whether another one follows that shares it."""
        self._blocks = 0
        """The blocks of `shared` that are open."""

    @contextmanager
    def at_work(self) -> Iterator[Callable[[], Conversation[None]]]:
        """Hold the lease while a step is carried out; yield the look whether it is still held by this run alone.

        Ctrl-C does not end the step.

        Raises:
            LeaseTaken, LeaseLost: another controller is at work on the PC. Nothing was changed.
            LeaseRefused: the PC refuses the lease. Nothing was changed.
            HostError: any other failure of the host.
        """
        with self._step, undisturbed():
            if self._run_ended:
                raise ProvmodeError("the run has ended: nothing more is done", next_step="run it again")
            _listen(self._state)
            if self._lease.taken:
                self._lease.renew()
            else:
                self._lease.take()
            yield self._lease.look

    def share(self, operations: Sequence[str]) -> None:
        """Hold one lease for these *operations* (their hashes, in order), which were prepared and run later."""
        for operation in operations[:-1]:
            self._followed[operation] = True
        for operation in operations[-1:]:
            self._followed.setdefault(operation, False)

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold one lease for all operations that run within this block."""
        self._blocks += 1
        try:
            yield
        finally:
            self._blocks -= 1
            if not self._blocks and self._host.executing_op_hash not in self._followed:
                self.release()

    def operation_ended(self, operation: str, *, goes_on: bool) -> None:
        """Release the lease after an operation, unless a further one shares it. *goes_on*: pyinfra goes on here."""
        outer = self._host.executing_op_hash
        nested = outer is not None and outer != operation
        if self._blocks or (nested and outer in self._followed):
            return  # what it is nested in has not ended
        if not (goes_on and self._followed.get(operation)):
            self.release()

    def release(self) -> None:
        """Release the lease if there is one to be released; say so if that fails."""
        with self._step, undisturbed():
            released = self._lease.release()
        if released is False:
            self._host.log(
                "the lease on the PC could not be released: it counts as abandoned after 15 minutes", logger.warning
            )

    def begin_run(self) -> None:
        """Allow steps, after the connection was made (again)."""
        self._run_ended = False

    def end_run(self) -> None:
        """Wait until a step in progress has ended, begin no further one, and release the lease."""
        with self._step:
            self._run_ended = True
            self.release()


class _Operations(BaseStateCallback):
    """Tells a host's lease when an operation of any kind has ended there."""

    @staticmethod
    @override
    def operation_host_success(state: State, host: Host, op_hash: str, retry_count: int = 0) -> None:
        _ended(host, op_hash, goes_on=True)

    @staticmethod
    @override
    def operation_host_error(
        state: State, host: Host, op_hash: str, retry_count: int = 0, max_retries: int = 0
    ) -> None:
        ignored = state.get_op_data_for_host(host, op_hash).global_arguments["_ignore_errors"]
        _ended(host, op_hash, goes_on=bool(ignored))


def _ended(host: Host, operation: str, *, goes_on: bool) -> None:
    lease = host.connector_data.get(LEASE)
    if isinstance(lease, RunLease):
        lease.operation_ended(operation, goes_on=goes_on)


def _listen(state: State) -> None:
    """Have pyinfra say when operations end; once a run."""
    if not any(isinstance(handler, _Operations) for handler in state.callback_handlers):
        state.add_callback_handler(_Operations())
