"""The ConfigMgr client: provisioning mode, its causes and limits, and policy afterwards."""

from __future__ import annotations

import functools
import logging
from datetime import datetime, timezone

from pyinfra import host
from pyinfra.api import OperationError, operation

from facts.client import ClientService, ClientState, MobileClientTcf, ProvisioningMaxMinutes, SystemTaskExcludes
from facts.files import Contents
from facts.registry import Value
from facts.system import Processes, ServiceState, SetupState
from operations.step import Commands, carry_out, isolated, known_or_absent
from provmode.ccm import tcf
from provmode.ccm.client import AGENT, CCMEXEC
from provmode.ccm.model import ClientReadings
from provmode.ccm.policy import Policy
from provmode.ccm.rules import live
from provmode.reading import NOT_READ, Absent, known
from provmode.remediation.decide import check_idle, disarm
from provmode.remediation.execute import Look
from provmode.remediation.exit_guard import GUARD_KEY, GUARD_VALUE, guard_data
from provmode.remediation.steps import RequestPolicy, SetMode, SetRegistryValue
from provmode.windows.registry import RegistryData, ValueType

logger = logging.getLogger("pyinfra")


@operation()
@isolated
def provisioning_mode(enabled: bool = False) -> Commands:
    """
    Make the client leave provisioning mode, or enter it, by its own method; then read back.

    + enabled: False leaves the mode; True enters it, for rehearsals

    Changes ``ProvisioningMode`` and ``SystemTaskExcludes`` and restarts CcmExec. The operation succeeds when both
    values agree, the service runs and the client answers again, within about two minutes. Leaving starts past-due
    installs at once and cannot be undone: what the client did in the meantime remains.

    The operation refuses, in both directions, a PC on which a task sequence, an upgrade or Windows Setup runs, and a PC
    on which this cannot be determined.

    .. code:: python

        client.provisioning_mode(name="Leave provisioning mode", enabled=False)
    """
    state = _state()
    mode, excluded = known(state.provisioning_mode, False), bool(state.excludes)
    if (mode, excluded) == (enabled, enabled):
        host.noop(f"provisioning mode is {'on' if enabled else 'off'}")
        return
    refuse_if_at_work()
    before = "half-exited" if excluded and not mode else str(mode).lower()
    yield from carry_out(SetMode(enabled, before), look=idle_look())


@operation()
@isolated
def tcf_disarmed() -> Commands:
    """
    Take ``SMSPROVISIONINGMODE=1`` out of every `MobileClient.TCF`, and touch no other byte.

    Changes a file only if it is still the file that was read. The old file is kept beside it (``.provmode-backup``):
    undone by ``files.restored``.

    .. code:: python

        client.tcf_disarmed(name="Keep MobileClient.TCF from bringing the mode back")
    """
    armed = [
        file for file in known(known_or_absent(host.get_fact(MobileClientTcf), "MobileClient.TCF"), ()) if file.armed
    ]
    read = {
        file.path: known(known_or_absent(host.get_fact(Contents, path=file.path), file.path), None) for file in armed
    }
    for path, file in read.items():
        if file is not None and len(file.data) > tcf.MAX_BYTES:
            raise OperationError(f"{path} has {len(file.data):,} bytes, too large to be a MobileClient.TCF")
    steps = [disarm(path, file.data) for path, file in read.items() if file is not None and tcf.read(file.data).armed]
    if not steps:
        host.noop("no MobileClient.TCF is armed")
    yield from carry_out(*steps)


@operation()
@isolated
def max_minutes(minutes: int | None = None) -> Commands:
    """
    Set after how many minutes the client leaves the mode by itself, or leave that to its default (2880).

    + minutes: 1 to 525600; ``None`` removes the value

    Changes ``ProvisioningMaxMinutes``. The client checks it every 60 minutes, so less than 60 cannot be kept exactly;
    clients before 1902 do not check it at all. Undone by setting the previous value.
    """
    if minutes is not None and (type(minutes) is not int or not 0 < minutes <= 525_600):
        raise ValueError(f"minutes is {minutes!r}, not a whole number between 1 and 525600")
    _state()  # fails on a PC without a client
    if minutes is not None and minutes < 60:
        host.log(f"ProvisioningMaxMinutes {minutes}: the client checks only every 60 minutes", logger.warning)
    known_or_absent(host.get_fact(ProvisioningMaxMinutes), "ProvisioningMaxMinutes")
    yield from _value(
        str(CCMEXEC),
        "ProvisioningMaxMinutes",
        None if minutes is None else RegistryData(ValueType.REG_DWORD, minutes),
    )


@operation(is_idempotent=False, idempotent_notice="it asks for policy each time it runs")
@isolated
def policy_requested() -> Commands:
    """
    Ask the client to fetch machine policy and to evaluate it (schedules 021, then 022).

    Changes nothing by itself. The site decides what the policy contains, and this cannot be undone from here. A client
    in provisioning mode is refused: it accepts no policy.
    """
    state = _state()
    if known(state.provisioning_mode, False) and host.state.is_executing:  # a dry run has not left the mode
        raise OperationError("the client is in provisioning mode and takes no policy: leave the mode first")
    yield from carry_out(RequestPolicy())


@operation()
@isolated
def task_excludes_cleared(after_failed_exits: int = 0) -> Commands:
    """
    Empty ``SystemTaskExcludes`` by hand: the last resort, after the client's own method has failed twice.

    + after_failed_exits: how often `provisioning_mode` failed on this PC; fewer than 2 is refused

    Microsoft warns against this: the client itself does not know that it left the mode. Changes only this value; undone
    by setting the previous value.
    """
    if after_failed_exits < 2:
        raise ValueError("task_excludes_cleared is the last resort: use provisioning_mode, twice, before it")
    _state()
    refuse_if_at_work()
    excludes = known(known_or_absent(host.get_fact(SystemTaskExcludes), "SystemTaskExcludes"), ())
    if not excludes:
        host.noop("no task is excluded")
        return
    yield from _value(str(CCMEXEC), "SystemTaskExcludes", RegistryData(ValueType.REG_SZ, ""))


@operation()
@isolated
def exit_guard(present: bool = True) -> Commands:
    """
    Have the PC leave provisioning mode at an administrator's next logon, if an upgrade dies before it does so itself.

    + present: True sets the guard before an upgrade; False removes it afterwards

    Changes one value under ``RunOnce`` of ``HKLM``; Windows deletes the value when it has run. Undone by
    ``present=False``.
    """
    yield from _value(GUARD_KEY, GUARD_VALUE, guard_data() if present else None)


def _value(key: str, value: str, wanted: RegistryData | None) -> Commands:
    current = known(known_or_absent(host.get_fact(Value, key=key, value=value), f"{key}\\{value}"), None)
    if current == wanted:
        host.noop(f"{key}\\{value} is as it should be")
        return
    yield from carry_out(SetRegistryValue(key, value, current, wanted))


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _policy() -> Policy:
    return Policy.from_mapping(host.data.get("provmode_policy", {}), where="data")


def _state() -> ClientReadings:
    """Return the client's state.

    Raises:
        OperationError: there is no client, or its mode could not be read.
    """
    state: ClientReadings = host.get_fact(ClientState)
    version, service = (
        known_or_absent(state.client_version, "the client's version"),
        known_or_absent(state.service, "CcmExec"),
    )
    if isinstance(version, Absent) or isinstance(service, Absent):
        raise OperationError("there is no ConfigMgr client on this PC, or a broken one")
    known_or_absent(state.provisioning_mode, "ProvisioningMode")
    known_or_absent(state.system_task_excludes, "SystemTaskExcludes")
    return state


def idle_look() -> Look:
    """Return the last look before a change: it raises if something runs that might be a task sequence."""
    return functools.partial(check_idle, _now, _policy())


def refuse_if_at_work() -> None:
    """Refuse a PC on which something runs that might be a task sequence, or on which this cannot be determined.

    Raises:
        OperationError: names what runs, or why this cannot be determined.
    """
    processes = known_or_absent(host.get_fact(Processes), "processes")
    agent = known_or_absent(host.get_fact(ServiceState, service=AGENT), "the task sequence agent")
    state = ClientReadings(
        _now(),
        service=host.get_fact(ClientService) if isinstance(agent, Absent) else NOT_READ,
        processes=processes,
        task_sequence_agent=agent,
        setup=known_or_absent(host.get_fact(SetupState), "Windows Setup"),
    )
    running, unread = live(state, _policy())
    if running:
        raise OperationError(f"the PC is at work ({'; '.join(running)}) and is not touched")
    if unread is not None:
        raise OperationError(f"could not tell whether the PC is at work ({unread.detail}); nothing was changed")
