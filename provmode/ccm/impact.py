"""What leaving provisioning mode sets off at once: past-due installs, a pending restart, an open window. Pure.

Source: Microsoft's reference of the Client SDK classes in ``root\\ccm\\ClientSDK``: ``CCM_Program``,
``CCM_Application`` and ``CCM_SoftwareUpdate`` with their base ``CCM_SoftwareBase``, ``CCM_ServiceWindow``, and
``DetermineIfRebootPending`` of ``CCM_ClientUtilities``. A client in the mode might not answer all of these questions.
A question without an answer is reported as unknown, never as "nothing".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provmode.reading import Absent, Known, Reading, Unknown, from_json, plain
from provmode.text import shortened
from provmode.windows.conversation import Conversation, ask
from provmode.windows.model import PcClock
from provmode.windows.system import clock as clock_of
from provmode.wsman import Enumerate, Instance, Invoke, Resource, UnexpectedAnswer, integer, moment, text

CLIENT_SDK = "root/ccm/ClientSDK"
REQUIRED = ("CCM_Program", "CCM_Application", "CCM_SoftwareUpdate")
"""Classes of the deployments to the PC. A deployment with a ``Deadline`` is required."""
MAINTENANCE_WINDOWS = range(1, 6)
"""The types of service window that are maintenance windows: all programs, programs, reboot required, software updates,
task sequences. Type 6, "corresponds to non-working hours", is not a maintenance window: it is the time outside the
user's business hours, and every client has one (seen in the field: a local policy, github.com/rzander/sccmclictr
issue 71)."""


MAX_DUE = 1000
"""Deployments past their deadline that are listed: a PC has some dozens."""


@dataclass(frozen=True)
class Impact:
    """What starts when the client leaves the mode."""

    past_due: Reading[tuple[str, ...]]
    """Names of required deployments past their deadline: they start at once."""
    reboot_pending: Reading[bool]
    window_open: Reading[bool]
    """Whether a maintenance window is open now. Absent: the PC has no window, so nothing waits for one."""

    def to_json(self) -> dict[str, Any]:
        """Return the three readings by name."""
        return {name: plain(getattr(self, name)) for name in ("past_due", "reboot_pending", "window_open")}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Impact:
        """Read back what ``to_json`` wrote."""
        return cls(
            from_json(document["past_due"], tuple),
            from_json(document["reboot_pending"], bool),
            from_json(document["window_open"], bool),
        )

    @property
    def words(self) -> str:
        """The known impact in words; empty if leaving the mode sets off nothing."""
        parts = []
        if isinstance(self.past_due, Unknown):
            parts.append(f"could not tell what would start ({self.past_due.cause})")
        elif isinstance(self.past_due, Known) and self.past_due.value:
            parts.append(f"would start installing at once: {', '.join(self.past_due.value)}")
        if self.reboot_pending == Known(True):
            parts.append("a restart is pending")
        if self.window_open == Known(True):
            parts.append("a maintenance window is open")
        return "; ".join(parts)

    @property
    def starts_installs(self) -> bool:
        """Whether we know of an install that would start at once."""
        return isinstance(self.past_due, Known) and bool(self.past_due.value)


def exit_impact() -> Conversation[Reading[Impact]]:
    """Ask the PC's clock, then what leaving the mode would set off."""
    now = yield from clock_of()
    if not isinstance(now, Known):
        return now
    return Known((yield from impact(now.value)))


def impact(clock: PcClock | None) -> Conversation[Impact]:
    """Ask what leaving the mode would set off; *clock* is the PC's own: its deadlines count by it."""
    past_due = yield from _past_due(clock)
    return Impact(past_due, (yield from _reboot_pending()), (yield from window_open(clock)))


def _past_due(clock: PcClock | None) -> Conversation[Reading[tuple[str, ...]]]:
    if clock is None:
        return Unknown("not-read", "the PC's clock is not known")
    due: list[str] = []
    for name in REQUIRED:

        def read(found: list[Instance]) -> Reading[tuple[str, ...]]:
            return Known(tuple(_name(item) for item in found if _starts_now(item, clock.now)))

        names: Reading[tuple[str, ...]] = yield from ask(
            Enumerate(Resource.cim(CLIENT_SDK, name)), read, f"deployments ({name})"
        )
        if isinstance(names, Unknown):
            return names
        due += (shortened(each) for each in names.value) if isinstance(names, Known) else ()
    if len(due) > MAX_DUE:
        return Unknown("too-large", f"{len(due):,} deployments are past their deadline, over {MAX_DUE}")
    return Known(tuple(sorted(due)))


def _starts_now(item: Instance, now: datetime) -> bool:
    deadline = moment(item, "Deadline")
    return deadline is not None and deadline <= now and not _already_done(item)


def _already_done(item: Instance) -> bool:
    """Whether an application is already in the state it was deployed for.

    ``CCM_Application`` lists such applications too. The other two classes have no such state.
    """
    wanted = "NotInstalled" if text(item, "ResolvedState") == "NotInstalled" else "Installed"
    return text(item, "InstallState") == wanted


def _name(item: Instance) -> str:
    return text(item, "Name") or text(item, "FullName") or text(item, "PackageID") or "a deployment"


def _reboot_pending() -> Conversation[Reading[bool]]:
    def read(answer: Instance) -> Reading[bool]:
        flag = (text(answer, "RebootPending") or "").lower()
        return Known(flag == "true") if flag in ("true", "false") else Unknown("malformed", "RebootPending is missing")

    question = Invoke(Resource.cim(CLIENT_SDK, "CCM_ClientUtilities"), "DetermineIfRebootPending")
    return (yield from ask(question, read, "pending restart"))


def window_open(clock: PcClock | None) -> Conversation[Reading[bool]]:
    """Ask whether a maintenance window is open by the PC's clock.

    Types, ``StartTime`` and ``EndTime``: Microsoft, "CCM_ServiceWindow Client WMI Class". That page does not say in
    which zone the times are. We read them with the offset they come with, like every CIM time. Public scripts read
    their digits as local time instead. Only a real client can settle which is right (docs/evidence.md, T17).
    """
    if clock is None:
        return Unknown("not-read", "the PC's clock is not known")

    def read(found: list[Instance]) -> Reading[bool]:
        windows = [_is_open(item, clock.now) for item in found]
        if Known(True) in windows:
            return Known(True)
        unknown = next((window for window in windows if isinstance(window, Unknown)), None)
        if unknown is not None:
            return unknown
        return Known(False) if Known(False) in windows else Absent()

    return (yield from ask(Enumerate(Resource.cim(CLIENT_SDK, "CCM_ServiceWindow")), read, "maintenance windows"))


def _is_open(item: Instance, now: datetime) -> Reading[bool]:
    """Return whether a service window is open *now*; absent if it is not a maintenance window."""
    try:
        kind = integer(item, "Type")
        if kind is not None and kind not in MAINTENANCE_WINDOWS:
            return Absent()
        begin, end = moment(item, "StartTime"), moment(item, "EndTime")
    except UnexpectedAnswer as error:
        return Unknown("malformed", f"a service window: {error}")
    if kind is None or begin is None or end is None:
        return Unknown("malformed", "a service window without Type, StartTime or EndTime")
    return Known(begin <= now < end)
