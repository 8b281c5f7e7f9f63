"""Windows services, changed by the methods of ``Win32_Service`` and read back."""

from __future__ import annotations

from typing import Literal

from pyinfra import host
from pyinfra.api import operation

from facts.cim import Query
from operations.step import Commands, carry_out, isolated, known_or_absent
from provmode.reading import known
from provmode.remediation.steps import START_MODES, SetServiceState, SetStartMode
from provmode.windows.model import Service


@operation()
@isolated
def service(
    service: str,
    running: bool | None = None,
    start_mode: Literal["Auto", "Manual", "Disabled"] | None = None,
    restarted: bool = False,
) -> Commands:
    """
    Make a service start as it should, and run or not run.

    + service: its name, such as ``CcmExec`` (not the display name)
    + running: True starts it (and the services it depends on), False stops it; ``None`` leaves it as it is
    + start_mode: ``Auto``, ``Manual`` or ``Disabled``; ``None`` leaves it as it is
    + restarted: True stops and starts it each time this operation runs

    Changes the start mode first, so that a disabled service can be started, then the state, and waits for the state up
    to about two minutes. Windows refuses to stop a service that running services depend on, and the error says so. A
    start mode is undone by setting the previous one, which ``--diff`` shows; what a service did while it ran is not.

    .. code:: python

        service.service(name="Let the client run", service="CcmExec", start_mode="Auto", running=True)
    """
    if start_mode is not None and start_mode not in START_MODES:
        raise ValueError(f"start_mode {start_mode!r} is not one of {', '.join(START_MODES)}")
    current = _read_service(service)
    steps: list[SetStartMode | SetServiceState] = []
    if start_mode is not None and current.start_mode != start_mode:
        steps.append(SetStartMode(current.name, current.start_mode, start_mode))
    if restarted:
        steps.append(SetServiceState(current.name, current.state, "Restarted"))
    elif running is not None and current.running != running:
        steps.append(SetServiceState(current.name, current.state, "Running" if running else "Stopped"))
    if not steps:
        host.noop(f"service {service} is as it should be")
    yield from carry_out(*steps)


def _read_service(name: str) -> Service:
    if "'" in name or "\\" in name:
        raise ValueError(f"service {name!r} is not a service name")
    wql = f"SELECT Name,State,StartMode FROM Win32_Service WHERE Name='{name}'"
    services = known(known_or_absent(host.get_fact(Query, wql=wql), f"service {name}"), [])
    if not services:
        raise ValueError(f"there is no service {name} on this PC")
    return Service(services[0]["Name"] or name, services[0]["State"] or "", services[0]["StartMode"] or "")
