"""Windows services, changed by the methods of ``Win32_Service`` and read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pyinfra import host
from pyinfra.api import operation

from facts.system import ServiceDependencies, ServiceState
from operations.step import Commands, carry_out, isolated, known_or_absent
from provmode.reading import known
from provmode.remediation.steps import START_MODES, SetServiceDependencies, SetServiceState, SetStartMode
from provmode.windows.model import Service
from provmode.windows.system import service_name


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


@operation()
@isolated
def dependencies(service: str, depends_on: Sequence[str]) -> Commands:
    """
    Make a service depend on these services and no others.

    + service: its name, such as ``smstsmgr`` (not the display name)
    + depends_on: names of services that have to run before it; an empty list means none

    Changes the service's whole list of dependencies, and reads it back. Some clients have a task sequence agent,
    smstsmgr, that depends on CcmExec, which the exit method restarts: the method then fails with 0x80004005. `provmode
    audit` has the finding ``agent-depends-on-client`` for them. Undone by setting the previous services, which
    ``--diff`` shows. A service that waits for a restart of Windows keeps waiting.

    .. code:: python

        service.dependencies(name="Let the mode be left", service="smstsmgr", depends_on=["Winmgmt"])
    """
    wanted = _names(depends_on)
    if service.lower() in {name.lower() for name in wanted}:
        raise ValueError(f"service {service} cannot depend on itself")
    current = _read_service(service)
    reading = host.get_fact(ServiceDependencies, service=current.name)
    before = known(known_or_absent(reading, f"what {service} depends on"), ())
    for name in wanted:
        _read_service(name)
    if {name.lower() for name in before} == {name.lower() for name in wanted}:
        host.noop(f"service {service} depends on what it should")
        return
    yield from carry_out(SetServiceDependencies(current.name, before, wanted))


def _names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"depends_on is {names!r}, not a list of service names")
    return tuple(service_name(name) for name in names)


def _read_service(name: str) -> Service:
    """Return a service as it is now.

    Raises:
        ValueError: *name* is no name of a service, or there is no such service.
        OperationError: it could not be read.
    """
    found = known(known_or_absent(host.get_fact(ServiceState, service=service_name(name)), f"service {name}"), None)
    if found is None:
        raise ValueError(f"there is no service {name} on this PC")
    return found
