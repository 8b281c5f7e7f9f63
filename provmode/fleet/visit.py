"""Visiting many hosts: each is dialled, worked on, and disconnected.

`Runner` is the interface, and `GeventRunner` visits many hosts at once, in a sliding window. Dialling costs a socket
and waits for silent PCs; working costs the controller's CPU. So each has its own window: many silent PCs are waited
for while few are worked on, and hosts that never answer cost a run one connect deadline in all.
"""

from __future__ import annotations

import contextlib
import ipaddress
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from gevent.pool import Pool
from pyinfra.api import Host

from provmode.ccm.policy import Policy, PolicyError
from provmode.ccm.verdict import NEXT_STEP
from provmode.connector.host_data import check_files, check_keys, check_target
from provmode.connector.winrm import LAST_ERROR, WinRMConnector
from provmode.errors import HostError, ProvmodeError, UsageError
from provmode.fleet.guarding.ramp import Turns
from provmode.fleet.inventory import Fleet
from provmode.transport.session import Session
from provmode.transport.target import Counters

T = TypeVar("T")

WORKING = 64
"""Hosts worked on at a time: round trips overlap, and one process has one core to give anyway."""
DIALLING = 1000
"""Hosts dialled or waiting for their turn at a time; fewer if the process cannot open so many files."""


def never() -> bool:
    """Do not stop."""
    return False


class Visit:
    """One host being visited.

    The work is done inside *turn*, and does not begin once *stop* turns true. The host waits outside its turn until
    its password may be tried (`provmode.transport.logons`).
    """

    def __init__(
        self, host: Host, turn: AbstractContextManager[Any] | None = None, stop: Callable[[], bool] = never
    ) -> None:
        self.host = host
        self._turn = turn if turn is not None else contextlib.nullcontext()
        self._stop = stop
        connector = host.connector
        assert isinstance(connector, WinRMConnector)
        self._connector = connector

    @property
    def session(self) -> Session:
        """The session to the PC, read-only until its `read_only` is set to false."""
        return self._connector.open()

    @property
    def error(self) -> Exception | None:
        """What went wrong with this host, if anything."""
        error: Exception | None = self.host.connector_data.get(LAST_ERROR)
        return error

    @property
    def counters(self) -> Counters:
        """Requests, retries and seconds of this visit."""
        return self._connector.session.counters if self._connector.session is not None else Counters()

    @property
    def read_only(self) -> bool:
        """Whether the inventory says that this host must not be changed (``winrm_read_only``)."""
        return bool(self._connector.data["winrm_read_only"])

    def connected(self, work: Callable[[], T]) -> T | None:
        """Dial, wait for a turn, connect, do *work*, disconnect.

        ``None`` if that failed; `error` says why. Without an error the run was stopped before this host's turn.
        """
        if self._stop():
            return None
        try:
            self._connector.dial()  # and wait for the logon, before it is this host's turn
            with self._turn:
                return self._in_turn(work)
        finally:
            self._connector.disconnect()

    def forget(self) -> None:
        """Let go of everything about this host, once nothing more is asked of the visit.

        pyinfra's objects refer to each other in circles, so the session would stay until Python looks for garbage.
        """
        self.host.connector_data.clear()
        self._connector.session = self._connector.lease = None

    def _in_turn(self, work: Callable[[], T]) -> T | None:
        try:
            if self._stop():
                return None
            self.host.connect(show_errors=False)
            return work() if self.host.connected else None
        except Exception as error:  # noqa: BLE001 - it concerns this host alone
            self.host.connector_data.setdefault(LAST_ERROR, error)
            return None
        finally:
            self._connector.disconnect()  # within the turn, so that few hosts have a connection that works


class Runner(Protocol):
    """Visits hosts."""

    def visit(
        self,
        fleet: Fleet,
        names: Sequence[str],
        work: Callable[[Visit], None],
        *,
        stop: Callable[[], bool],
        finish_begun: bool,
    ) -> None:
        """Call *work* once for each host of *names*, with its visit; *work* handles every error of its host.

        When *stop* turns true no further host is begun. Hosts in progress are finished if *finish_begun*; otherwise
        they can be dropped.

        Raises:
            UsageError: a host's data has a value of the wrong type.
        """


@dataclass(frozen=True)
class GeventRunner:
    """Visits many hosts at once, each in a greenlet."""

    working: int = WORKING
    dialling: int = DIALLING
    _turns: list[Turns] = field(default_factory=list, init=False, repr=False, compare=False)
    """The turns of the visits that are going on."""
    _ramp: list[int] = field(default_factory=list, init=False, repr=False, compare=False)
    """How many hosts may be worked on at a time, if that grows with those that end well; else nothing."""

    @property
    def in_progress(self) -> int:
        """How many hosts are being worked on now."""
        return sum(turns.taken for turns in self._turns)

    def begin_small(self) -> None:
        """Work on one host at a time from now on, until hosts end well."""
        self._ramp[:] = [1]

    def ended_well(self) -> None:
        """Work on one more host at a time, up to `working`, as one has ended well."""
        if self._ramp:
            self._ramp[0] = min(self._ramp[0] + 1, self.working)
            for turns in self._turns:
                turns.allow(self._ramp[0])

    def visit(
        self,
        fleet: Fleet,
        names: Sequence[str],
        work: Callable[[Visit], None],
        *,
        stop: Callable[[], bool],
        finish_begun: bool,
    ) -> None:
        """Call *work* once for each host of *names*, with its visit; see `Runner`."""
        turns = Turns(self._ramp[0] if self._ramp else self.working)
        pool = Pool(min(self.dialling, _sockets()))
        self._turns.append(turns)
        try:
            for host in hosts_of(fleet, names):
                if stop():
                    break
                pool.spawn(work, Visit(host, turns, stop) if finish_begun else Visit(host, turns))
            while not (stop() and not finish_begun) and not pool.join(timeout=0.2):
                pass
        finally:
            if finish_begun:
                pool.join()
            else:
                pool.kill()
            self._turns.remove(turns)


def hosts_of(fleet: Fleet, names: Sequence[str]) -> Iterator[Host]:
    """Make the hosts of *names*, a shard at a time.

    Raises:
        UsageError: a host's data has a value of the wrong type.
    """
    for shard in fleet.shards(names):
        yield from shard


def _sockets() -> int:
    """Return how many connections the process can hold, leaving some open files for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(DIALLING, soft - 64)) if soft != resource.RLIM_INFINITY else DIALLING


def policies_of(
    fleet: Fleet, names: Sequence[str], *, data_of: Callable[[str], dict[str, Any]] | None = None
) -> dict[str, Policy]:
    """Check every host's data and return its policy; hosts with the same data share one.

    *data_of* returns a host's data, if not as the fleet has it.

    Raises:
        UsageError: another connector, a misspelt key, an unreadable file, an impossible policy; nothing was sent.
    """
    policy_of_data: dict[str, Policy] = {}
    policies = {}
    checked: set[tuple[str, str]] = set()
    for name in names:
        if not issubclass(fleet.connector_of[name], WinRMConnector):
            raise UsageError(f"{name} is not a @winrm host", next_step=f"write it as @winrm/{short(name)}")
        data = (data_of or fleet.data_of)(name)
        check_keys(short(name), data)
        check_files(short(name), data, checked)
        check_target(name, data, checked)
        policy = data.get("provmode_policy", {})
        key = repr(policy)
        if key not in policy_of_data:
            try:
                policy_of_data[key] = Policy.from_mapping(policy, where=f"data of {short(name)}")
            except PolicyError as error:
                raise UsageError(str(error)) from None
        policies[name] = policy_of_data[key]
    return policies


def short(name: str) -> str:
    """Return a host's name without ``@winrm/``."""
    return name.rpartition("/")[2]


def looked_up(fleet: Fleet, names: Sequence[str]) -> frozenset[str]:
    """Return the hosts of *names*, without the connector, whose address is a name."""
    return frozenset(short(name) for name in names if not _numeric(fleet.data_of(name), short(name)))


def _numeric(data: Mapping[str, Any], host: str) -> bool:
    try:
        ipaddress.ip_address(str(data.get("winrm_address") or host).partition("%")[0].strip("[]"))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Failure:
    """Why a host could not be reached."""

    what: str
    cause: str
    next_step: str
    to_mend: bool = False
    """Whether it is the operator's to mend, whatever the cause says."""
    passes: bool = False
    """Whether it passes by itself, whatever the cause says."""


def failure_of(error: Exception | None) -> Failure:
    """Return why a host could not be reached; the cause of an unforeseen error is ``protocol``."""
    if isinstance(error, HostError):
        cause = str(error.cause)
        return Failure(error.what, cause, error.next_step or NEXT_STEP[cause], error.to_mend, error.passes)
    if isinstance(error, ProvmodeError):
        return Failure(error.what, "protocol", error.next_step or NEXT_STEP["protocol"])
    return Failure(f"provmode's own error ({type(error).__name__}: {error})", "protocol", "report it")
