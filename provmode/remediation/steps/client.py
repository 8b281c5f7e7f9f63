"""Steps on the ConfigMgr client, by the methods of ``SMS_Client``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from provmode.ccm.client import SMS_CLIENT, client_version, provisioning_mode, system_task_excludes
from provmode.ccm.codes import MACHINE_POLICY_EVALUATION, MACHINE_POLICY_RETRIEVAL
from provmode.ccm.model import ClientReadings
from provmode.errors import AnswerLost, HostError, QuotaExceeded, RemoteFault
from provmode.fields import Field, one_of
from provmode.reading import Known, Unknown, known
from provmode.remediation.steps.base import (
    ALREADY,
    CHANGED,
    PAUSES,
    Announce,
    Look,
    NotProved,
    Property,
    Step,
    Work,
    no_look,
    not_proved,
    register,
)
from provmode.remediation.steps.service import read_service
from provmode.windows.conversation import Conversation, Pause
from provmode.wsman import Instance, Invoke, Operation, integer

LOST_ANSWERS = 4
"""How often a request is sent if its answers are lost and it does no harm to repeat it."""


@register
@dataclass(frozen=True)
class SetMode(Step):
    """Provisioning mode, by the client's own method, and read back until everything agrees."""

    kind: ClassVar[str] = "mode"
    plan_fields: ClassVar[Mapping[str, Field]] = {"enabled": one_of(False), "before": one_of("true", "half-exited")}
    plan_description = "Provisioning mode is left, by the client's own method."
    enabled: bool
    before: str
    """``true``, ``false`` or ``half-exited``."""

    @property
    def properties(self) -> tuple[Property, ...]:
        """Mode, and the task excludes that follow it."""
        return (Property("ProvisioningMode", self.before, "true" if self.enabled else "false"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The client's own method."""
        flag = "true" if self.enabled else "false"
        return (Invoke(SMS_CLIENT.resource, "SetClientProvisioningMode", (("bEnable", flag),), at_once=True),)

    @property
    def undo(self) -> SetMode | None:
        """Nothing: what the client did since (policy, installs) cannot be undone."""
        return None

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Set the mode. The client has no compare-and-swap, so the last look comes as late as can be."""
        wanted = (self.enabled, self.enabled)
        if (yield from _read_mode()) == wanted:
            return ALREADY
        yield from look()
        announce(None)
        if (yield from _read_mode()) == wanted:
            return ALREADY  # somebody else did it first
        yield from _call(self.operations[0], look=look)
        return (yield from _until_mode(self.enabled))

    def still_done(self, client: ClientReadings) -> bool:
        """Return whether the client is still out of the mode."""
        return not client.needs_more


@register
@dataclass(frozen=True)
class RequestPolicy(Step):
    """Request machine policy and have it evaluated, in this order."""

    kind: ClassVar[str] = "policy"
    plan_fields: ClassVar[Mapping[str, Field]] = {}
    plan_description = "Machine policy is requested and evaluated."
    only_after_changes = True

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: machine policy."""
        return (Property("machine policy", "as it is", "requested and evaluated"),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Schedules 021 and 022."""
        return tuple(
            Invoke(SMS_CLIENT.resource, "TriggerSchedule", (("sScheduleID", schedule),))
            for schedule in (MACHINE_POLICY_RETRIEVAL, MACHINE_POLICY_EVALUATION)
        )

    @property
    def undo(self) -> None:
        """Nothing: a request cannot be undone."""
        return

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Request policy. Nothing on the client shows the request, so it is sent again after a lost answer."""
        announce(None)
        for operation in self.operations:
            yield from _call(operation, repeatable=True)
        return CHANGED


def _read_mode() -> Conversation[tuple[bool, bool]]:
    """Return the mode, and whether system tasks are excluded.

    Raises:
        HostError: one of them cannot be read.
    """
    mode = yield from provisioning_mode()
    excludes = yield from system_task_excludes()
    for reading in (mode, excludes):
        if isinstance(reading, Unknown):
            raise HostError(f"the mode cannot be read: {reading.detail}", next_step="look at the account's rights")
    return known(mode, False), bool(known(excludes, ()))


def _call(operation: Operation, *, repeatable: bool = False, look: Look = no_look) -> Conversation[None]:
    """Call a method of the client; while its service restarts, wait, *look* and call again: nothing was done yet.

    A *repeatable* method does no harm if it is called twice: it is called until it answers. For another method whose
    answer is lost, the caller reads back.
    """
    lost, pauses = 0, iter(PAUSES)
    while True:
        pause = next(pauses, None)
        try:
            answer: Instance = yield operation
        except AnswerLost:
            if not repeatable:
                return
            lost += 1
            if pause is None or lost == LOST_ANSWERS:
                raise
            yield Pause(pause)
        except (RemoteFault, QuotaExceeded) as refused:
            if not (isinstance(refused, QuotaExceeded) or refused.kind == "unavailable") or pause is None:
                raise
            yield Pause(pause)
            yield from look()  # a task sequence might have begun in the meantime
        else:
            code = integer(answer, "ReturnValue")
            if code:  # absent counts as success, as published scripts take it: its return type is not documented
                raise HostError(f"the client answered {code:#x}", next_step="look at SmsClientMethodProvider.log there")
            return


def _until_mode(enabled: bool) -> Work:
    """Wait until registry and excludes agree, the service runs and the client answers again."""
    for pause in (*PAUSES, None):
        service = yield from read_service("CcmExec")
        if service.running or pause is None:  # else the client cannot answer yet
            mode, excluded = yield from _read_mode()
            answering = yield from client_version()
            if (mode, excluded) == (enabled, enabled) and service.running and isinstance(answering, Known):
                return CHANGED
        if pause is not None:
            yield Pause(pause)
    words = "true" if enabled else "false"
    if (mode, excluded) != (enabled, enabled):
        raise not_proved("ProvisioningMode", words, f"{str(mode).lower()}{', tasks excluded' if excluded else ''}")
    raise NotProved(
        f"ProvisioningMode is {words}, and the client does not answer (CcmExec {service.state})",
        next_step="look at the PC",
    )
