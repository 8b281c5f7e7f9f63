"""Steps on Windows services, by the methods of ``Win32_Service``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from provmode.ccm.codes import SERVICE_RETURN, name_of
from provmode.ccm.model import ClientReadings
from provmode.errors import AnswerLost, HostError
from provmode.fields import TEXT, Field, one_of
from provmode.reading import Absent, Known, Unknown, known
from provmode.remediation.steps.base import (
    ALREADY,
    CHANGED,
    PAUSES,
    Announce,
    Look,
    Property,
    Step,
    Work,
    no_look,
    not_proved,
    register,
    stale,
)
from provmode.windows.conversation import Conversation, Pause
from provmode.windows.model import Service
from provmode.windows.system import service, service_dependencies
from provmode.wsman import Instance, Invoke, Operation, Resource, integer

START_MODES: dict[str, str] = {"Auto": "Automatic", "Manual": "Manual", "Disabled": "Disabled"}
"""What ``Win32_Service.StartMode`` says, and what ``ChangeStartMode`` takes. Microsoft, "Win32_Service class"."""


@register
@dataclass(frozen=True)
class SetStartMode(Step):
    """How a service starts."""

    kind: ClassVar[str] = "start-mode"
    plan_fields: ClassVar[Mapping[str, Field]] = {"service": TEXT, "before": TEXT, "after": one_of(*START_MODES)}
    plan_description = "How a service starts."
    service: str
    before: str
    after: str

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: ``service start mode``."""
        return (Property(f"{self.service} start mode", self.before, self.after),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """``Win32_Service.ChangeStartMode``."""
        mode = START_MODES.get(self.after, self.after)
        return (Invoke(service_resource(self.service), "ChangeStartMode", (("StartMode", mode),)),)

    @property
    def undo(self) -> SetStartMode | None:
        """The opposite change."""
        return SetStartMode(self.service, self.after, self.before)

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Change the start mode if it is still what was seen, and read it back."""
        what = f"{self.service} start mode"
        current = yield from read_service(self.service)
        if current.start_mode == self.after:
            return ALREADY
        if current.start_mode != self.before:
            raise stale(what, self.before, current.start_mode)
        announce(None)
        yield from _call(self.operations[0], what)
        current = yield from read_service(self.service)
        if current.start_mode != self.after:
            raise not_proved(what, self.after, current.start_mode)
        return CHANGED

    def shown_after(self, client: ClientReadings, data: bytes | None) -> ClientReadings | None:
        """Return the client with CcmExec or smstsmgr in this start mode."""
        if self.service.lower() == "ccmexec" and isinstance(client.service, Known):
            return replace(client, service=Known(replace(client.service.value, start_mode=self.after)))
        if self.service.lower() == "smstsmgr" and isinstance(client.task_sequence_agent, Known):
            agent = replace(client.task_sequence_agent.value, start_mode=self.after)
            return replace(client, task_sequence_agent=Known(agent))
        return None

    def still_done(self, client: ClientReadings) -> bool:
        """Return whether the client's service still has this start mode."""
        current = known(client.service, None)
        return current is None or current.start_mode == self.after


@register
@dataclass(frozen=True)
class SetServiceState(Step):
    """Whether a service runs. ``Restarted`` stops and starts it."""

    kind: ClassVar[str] = "service-state"
    plan_fields: ClassVar[Mapping[str, Field]] = {"service": TEXT, "before": TEXT, "after": one_of("Running")}
    plan_description = "A service is started."
    service: str
    before: str
    after: Literal["Running", "Stopped", "Restarted"]

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: ``service state``."""
        return (Property(f"{self.service} state", self.before, self.after),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """``StopService`` and ``StartService``."""
        stop = Invoke(service_resource(self.service), "StopService")
        start = Invoke(service_resource(self.service), "StartService")
        return {"Running": (start,), "Stopped": (stop,), "Restarted": (stop, start)}[self.after]

    @property
    def undo(self) -> SetServiceState | None:
        """Nothing: what the service did in the meantime cannot be undone, and its start mode is a step of its own."""
        return None

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Stop or start the service, and wait until it has the wanted state."""
        current = yield from read_service(self.service)
        if current.state == self.after:
            return ALREADY
        announce(None)
        if self.after in ("Stopped", "Restarted") and current.state != "Stopped":
            # 5: it cannot accept the control; 6: it is not active. Either way it is stopping already
            yield from _call(self.operations[0], f"stop of {self.service}", accepted=frozenset({0, 5, 6}))
            yield from _until(self.service, "Stopped")
        if self.after in ("Running", "Restarted"):
            # 10: it runs already
            yield from _call(self.operations[-1], f"start of {self.service}", accepted=frozenset({0, 10}))
            yield from _until(self.service, "Running")
        return CHANGED


@register
@dataclass(frozen=True)
class SetServiceDependencies(Step):
    """Which services have to run before a service."""

    kind: ClassVar[str] = "service-dependencies"
    service: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: ``service depends on``."""
        return (Property(f"{self.service} depends on", _names(self.before), _names(self.after)),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """``Win32_Service.Change``. An empty string means "none"; nothing at all would mean "as they are"."""
        wanted = self.after or ("",)
        return (Invoke(service_resource(self.service), "Change", (("ServiceDependencies", wanted),)),)

    @property
    def undo(self) -> SetServiceDependencies:
        """The opposite change."""
        return SetServiceDependencies(self.service, self.after, self.before)

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Set the services if they are still what was seen, and read them back."""
        what = f"what {self.service} depends on"
        current = yield from _dependencies(self.service)
        if _same(current, self.after):
            return ALREADY
        if not _same(current, self.before):
            raise stale(what, _names(self.before), _names(current))
        announce(None)
        yield from _call(self.operations[0], what)
        current = yield from _dependencies(self.service)
        if not _same(current, self.after):
            raise not_proved(what, _names(self.after), _names(current))
        return CHANGED

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> SetServiceDependencies:
        """Read back the fields that `to_json` wrote."""
        return cls(str(fields["service"]), tuple(fields["before"]), tuple(fields["after"]))


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"


def _same(names: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Return whether both name the same services; their order and case mean nothing."""
    return {name.lower() for name in names} == {name.lower() for name in others}


def _dependencies(name: str) -> Conversation[tuple[str, ...]]:
    reading = yield from service_dependencies(name)
    if isinstance(reading, Unknown):
        raise HostError(
            f"what service {name} depends on cannot be read: {reading.detail}",
            next_step="look at the account's rights",
        )
    return known(reading, ())


def service_resource(name: str) -> Resource:
    """Return the address of one service."""
    return Resource.cim("root/cimv2", "Win32_Service", {"Name": name})


def read_service(name: str) -> Conversation[Service]:
    """Return a service as it is now.

    Raises:
        HostError: there is no such service, or it cannot be read.
    """
    reading = yield from service(name)
    if isinstance(reading, Absent):
        raise HostError(f"there is no service {name}", next_step="check its name")
    if isinstance(reading, Unknown):
        raise HostError(f"service {name} cannot be read: {reading.detail}", next_step="look at the account's rights")
    return reading.value


def _call(operation: Operation, what: str, *, accepted: frozenset[int] = frozenset({0})) -> Conversation[None]:
    """Call a method of Win32_Service; a return value that is not *accepted* is an error, in words."""
    try:
        answer: Instance = yield operation
    except AnswerLost:
        return  # the caller reads back
    code = integer(answer, "ReturnValue")
    if code not in accepted:
        meaning = "nothing" if code is None else f"{name_of(code, SERVICE_RETURN)} ({code})"
        raise HostError(f"{what}: the PC answered {meaning}", next_step="look at the service on the PC")


def _until(name: str, state: str) -> Conversation[None]:
    for pause in (*PAUSES, None):
        current = yield from read_service(name)
        if current.state == state:
            return
        if pause is not None:
            yield Pause(pause)
    raise not_proved(f"{name} state", state, current.state)
