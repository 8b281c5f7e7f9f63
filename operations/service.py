"""Windows services, by the methods of ``Win32_Service``, and read back."""

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

    + service: its name, such as ``CcmExec`` (not the name that is displayed)
    + running: True starts it (and what it depends on), False stops it; ``None`` leaves it as it is
    + start_mode: ``Auto``, ``Manual`` or ``Disabled``; ``None`` leaves it as it is
    + restarted: stop and start it, each time this runs

    Changes the start mode first, so that a disabled service can be started, then the state, and waits for it within
    about two minutes. A service that others need which run is not stopped: the PC's answer says so. A start mode is
    undone by setting the one before, which ``--diff`` shows; what a service did while it ran is not.

    .. code:: python

        service.service(name="Let the client run", service="CcmExec", start_mode="Auto", running=True)
    """
    if start_mode is not None and start_mode not in START_MODES:
        raise ValueError(f"start_mode {start_mode!r} is none of {', '.join(START_MODES)}")
    there = _there(service)
    steps: list[SetStartMode | SetServiceState] = []
    if start_mode is not None and there.start_mode != start_mode:
        steps.append(SetStartMode(there.name, there.start_mode, start_mode))
    if restarted:
        steps.append(SetServiceState(there.name, there.state, "Restarted"))
    elif running is not None and there.running != running:
        steps.append(SetServiceState(there.name, there.state, "Running" if running else "Stopped"))
    if not steps:
        host.noop(f"service {service} is as it should be")
    yield from carry_out(*steps)


def _there(name: str) -> Service:
    if "'" in name or "\\" in name:
        raise ValueError(f"service {name!r} is no name of a service")
    wql = f"SELECT Name,State,StartMode FROM Win32_Service WHERE Name='{name}'"
    found = known(known_or_absent(host.get_fact(Query, wql=wql), f"service {name}"), [])
    if not found:
        raise ValueError(f"there is no service {name} on this PC")
    return Service(found[0]["Name"] or name, found[0]["State"] or "", found[0]["StartMode"] or "")
