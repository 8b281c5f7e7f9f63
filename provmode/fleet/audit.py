"""The audit: every host of a selection looked at once, through pyinfra's own facts.

A sliding window, no barriers: each host is dialled, then worked on, then let go. Dialling costs a socket and waits
for silent PCs, working costs the controller's CPU, so the two have windows of their own: many silent PCs are waited
for at once while few are worked on, and hosts that never answer cost the run one connect deadline in all.

One host's failure, of whatever kind, becomes that host's answer.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Pool
from pyinfra.api import Host

from provmode.ccm.judge import Assessment, Outcome, Verdict, judge, outcome, unassessed
from provmode.ccm.model import ClientState
from provmode.ccm.policy import Policy, PolicyError
from provmode.connector import LAST_ERROR, WinRMConnector
from provmode.errors import HostError, ProvmodeError, UsageError
from provmode.fleet.inventory import Fleet
from provmode.inventory_data import check_files, check_keys

logger = logging.getLogger(__name__)

WORKING = 64
"""Hosts worked on at a time: round trips overlap, and one process has one core to give anyway."""
DIALLING = 1000
"""Hosts dialled or waiting for their turn at a time; less where the process may open fewer files."""


@dataclass(frozen=True)
class HostReport:
    """The answer about one host."""

    host: str
    """Its name, without the connector."""
    assessment: Assessment
    state: ClientState | None = None
    """What was read; ``None`` where nothing was."""
    requests: int = 0
    """HTTP requests it cost, authentication included."""
    retries: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the host's row of the JSON report (contract: host, verdict, reason, findings, facts)."""
        return {
            "host": self.host,
            **self.assessment.to_json(),
            "requests": self.requests,
            "retries": self.retries,
            "facts": self.state.to_json() if self.state is not None else {},
        }


@dataclass
class Audit:
    """A whole run, or what is known of one that was interrupted."""

    selected: list[str]
    """Host names of the selection, without the connector: the denominator."""
    reports: list[HostReport] = field(default_factory=list)
    interrupted: bool = False

    @property
    def missing(self) -> list[str]:
        """Hosts of the selection that were not looked at because the run was interrupted."""
        seen = {report.host for report in self.reports}
        return [name for name in self.selected if name not in seen]

    def count(self, verdict: Verdict) -> int:
        """Return how many hosts have *verdict*."""
        return sum(report.assessment.verdict is verdict for report in self.reports)

    def exit_code(self) -> int:
        """Return the run's exit code (contract): 2 pending, 4 failed, 6 both, 8 only unassessed, else 0.

        An interrupted run ends with 130, as programs ended by Ctrl-C do.
        """
        if self.interrupted:
            return 130
        outcomes = {outcome(report.assessment.verdict) for report in self.reports}
        code = (2 if Outcome.PENDING in outcomes else 0) | (4 if Outcome.FAILED in outcomes else 0)
        return code or (8 if Outcome.UNASSESSED in outcomes else 0)


def short(name: str) -> str:
    """Return a host's name without ``@winrm/``."""
    return name.rpartition("/")[2]


def run_audit(
    fleet: Fleet,
    names: Sequence[str],
    *,
    progress: Callable[[HostReport], None] = lambda report: None,
    stop: Callable[[], bool] = lambda: False,
    working: int = WORKING,
    dialling: int = DIALLING,
) -> Audit:
    """Look at every host of *names* and return what was found.

    *progress* is called with each report as it comes. When *stop* turns true no further host is begun, and those in
    hand are dropped.

    Raises:
        UsageError: a host has another connector, or data of the wrong type or an impossible policy; nothing was sent.
    """
    policies = _policies(fleet, names)
    audit = Audit([short(name) for name in names])
    turns = BoundedSemaphore(working)
    pool = Pool(min(dialling, _sockets()))

    def look(host: Host) -> None:
        report = _look(host, policies[host.name], turns)
        audit.reports.append(report)
        progress(report)

    try:
        for host in _hosts(fleet, names):
            if stop():
                break
            pool.spawn(look, host)
        while not stop() and not pool.join(timeout=0.2):
            pass
    finally:
        audit.interrupted = stop()
        pool.kill()
    audit.reports.sort(key=_in_order(audit.selected))
    return audit


def _in_order(selected: list[str]) -> Callable[[HostReport], int]:
    position = {name: number for number, name in enumerate(selected)}
    return lambda report: position[report.host]


def _hosts(fleet: Fleet, names: Sequence[str]) -> Iterator[Host]:
    for shard in fleet.shards(names):
        yield from shard


def _sockets() -> int:
    """Return how many connections the process may hold, leaving some files for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(DIALLING, soft - 64)) if soft != resource.RLIM_INFINITY else DIALLING


def _policies(fleet: Fleet, names: Sequence[str]) -> dict[str, Policy]:
    """Check every host's data and return its policy; hosts with the same data share one."""
    known: dict[str, Policy] = {}
    policies = {}
    checked: set[tuple[str, str]] = set()
    for name in names:
        if not issubclass(fleet.connector_of[name], WinRMConnector):
            raise UsageError(f"{name} is not a @winrm host", next_step=f"write it as @winrm/{short(name)}")
        data = fleet.data_of(name)
        check_keys(short(name), data)
        check_files(short(name), data, checked)
        policy = data.get("provmode_policy", {})
        key = repr(policy)
        if key not in known:
            try:
                known[key] = Policy.from_mapping(policy, where=f"data of {short(name)}")
            except PolicyError as error:
                raise UsageError(str(error)) from None
        policies[name] = known[key]
    return policies


def _look(host: Host, policy: Policy, turns: BoundedSemaphore) -> HostReport:
    """Dial, wait for a turn, read, judge; whatever goes wrong becomes the report."""
    from facts.client import ClientState as ClientStateFact

    connector = host.connector
    assert isinstance(connector, WinRMConnector)
    state: ClientState | None = None
    connector.dial()
    with turns:
        try:
            host.connect(show_errors=False)
            if host.connected:
                # without _ignore_errors pyinfra ends the run when the last host of a shard has failed
                state = host.get_fact(ClientStateFact, _ignore_errors=True)
        except gevent.GreenletExit:
            raise
        except Exception as error:  # noqa: BLE001 - it concerns this host alone
            host.connector_data.setdefault(LAST_ERROR, error)
        finally:
            connector.disconnect()
    return _report(host, connector, state, policy)


def _report(host: Host, connector: WinRMConnector, state: ClientState | None, policy: Policy) -> HostReport:
    error = host.connector_data.get(LAST_ERROR)
    if error is not None or state is None:
        assessment, state = _unassessed(host.name, error), None
    else:
        assessment = judge(state, policy, datetime.now(timezone.utc))
    counters = connector.session.counters if connector.session is not None else None
    return HostReport(
        short(host.name),
        assessment,
        state,
        requests=counters.requests if counters else 0,
        retries=counters.retries if counters else 0,
        seconds=counters.seconds if counters else 0.0,
    )


def _unassessed(name: str, error: Exception | None) -> Assessment:
    if isinstance(error, HostError):
        return unassessed(str(error.cause), error.what, error.next_step)
    if isinstance(error, ProvmodeError):
        return unassessed("protocol", error.what, error.next_step)
    logger.debug("unforeseen error about %s", name, exc_info=error)
    return unassessed("protocol", f"provmode's own error ({type(error).__name__}: {error})", "report it")
